"""The client-facing protocols, each as its own client would use it: where it asks, how, and what it understands.

    door = DOORS["anthropic"]
    exchange = door.read(door.body("support", "Hi"))        by hand
    status, body = await door.ask(session, "support", "Hi")  over a socket
    understood(door.heard(body))                             what that client reads, as canonical events

What a client understands is told by the translator of the same protocol, which was written to read any server.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct
from msgspec.structs import replace
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.events import (
    Event,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    Notice,
    ReasoningCompleted,
    Source,
    TextCompleted,
    ToolCallCompleted,
    ToolResult,
    Usage,
    UsageReported,
)
from gateway.canonical.message import TextPart
from gateway.canonical.turn import Tool
from gateway.framing.record import Framing
from gateway.framing.sse import LenientSseDecoder, SseDecoder
from gateway.protocols.base import ClientRequest, Dialect, Exchange, Translator
from gateway.protocols.registry import BUILT_IN
from tests.support.translating import ask, heard, lawful, records

TOOLS = [Tool("look", "Looks.", {"type": "object"}), Tool("count", "Counts.", {"type": "object"})]


class Door(Struct, frozen=True):
    """`body` makes a request of a route and a text; `target` is what its protocol's translator is made with."""

    name: str
    path: str
    body: Callable[[str, str], dict[str, Any]]
    target: dict[str, Any]
    framing: Callable[[], Framing] = SseDecoder
    parameters: dict[str, str] = {}
    query: dict[str, str] = {}

    def dialect(self, **settings: Any) -> Dialect:
        descriptor = BUILT_IN[self.name]
        assert descriptor.dialect is not None
        return descriptor.dialect(descriptor.dialect_settings(**settings))

    def read(self, body: Mapping[str, Any], route: str = "support", **settings: Any) -> Exchange:
        headers = CIMultiDict({"Content-Type": "application/json"})
        parameters = {name: value.format(route=route) for name, value in self.parameters.items()}
        return self.dialect(**settings).read(
            ClientRequest(headers, msgspec.json.encode(body), parameters, dict(self.query))
        )

    def translator(self) -> Translator:
        """One whose first request went out."""
        descriptor = BUILT_IN[self.name]
        assert descriptor.translator is not None
        translator = descriptor.translator(msgspec.convert(self.target, descriptor.target), Blocks(Numbering()))
        tools = TOOLS if descriptor.capabilities["client_tools"] == "yes" else []
        next(translator.requests(ask(TextPart("hi"), tools=tools)))
        return translator

    def heard(self, body: bytes) -> list[Event]:
        return relayed(heard(self.translator(), records(self.framing(), body)))

    async def ask(
        self, session: aiohttp.ClientSession, route: str, text: str, **headers: str
    ) -> tuple[int, Mapping[str, str], bytes]:
        path = self.path.format(route=route)
        async with session.post(path, json=self.body(route, text), params=self.query, headers=headers) as response:
            return response.status, response.headers, await response.read()


def _chat(route: str, text: str) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": route, "messages": messages, "stream": True, "stream_options": {"include_usage": True}}


def _ui(_: str, text: str) -> dict[str, Any]:
    message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": f"chat of {text}", "messages": [message], "trigger": "submit-message"}


def _run(_: str, text: str) -> dict[str, Any]:
    return {
        "threadId": f"thread of {text}",
        "runId": "run-1",
        "protocolVersion": "1.0",
        "state": {},
        "messages": [{"id": "u1", "role": "user", "content": text}],
        "tools": [],
        "context": [],
        "forwardedProps": {},
    }


DOORS = {
    door.name: door
    for door in (
        Door("openai_chat", "/openai/v1/chat/completions", _chat, {"model": "m"}, LenientSseDecoder),
        Door(
            "openai_responses",
            "/openai/v1/responses",
            lambda route, text: {"model": route, "input": text, "stream": True},
            {"model": "m"},
        ),
        Door(
            "anthropic",
            "/anthropic/v1/messages",
            lambda route, text: {
                "model": route,
                "max_tokens": 100,
                "messages": [{"role": "user", "content": text}],
                "stream": True,
            },
            {"model": "m"},
        ),
        Door(
            "gemini",
            "/gemini/v1beta/models/{route}:streamGenerateContent",
            lambda _, text: {"contents": [{"role": "user", "parts": [{"text": text}]}]},
            {"model": "m"},
            parameters={"model": "{route}", "version": "v1beta", "method": "streamGenerateContent"},
            query={"alt": "sse"},
        ),
        Door("ai_sdk", "/ai-sdk/{route}", _ui, {}, parameters={"route": "{route}"}),
        Door("ag_ui", "/ag-ui/{route}", _run, {}, parameters={"route": "{route}"}),
    )
}


def relayed(told: Iterable[Event | Notice]) -> list[Event]:
    """The stream that the relay makes of it, with what it adds to the terminal."""
    *events, terminal = lawful(told)
    found = [event for event in events if isinstance(event, UsageReported)]
    usage = msgspec.convert(msgspec.to_builtins(found[-1]), Usage) if found else None
    if isinstance(terminal, MessageCompleted):
        terminal = replace(terminal, vendor="acme", model="acme-large", usage=usage)
    elif isinstance(terminal, (MessageFailed, MessageCanceled)):
        terminal = replace(terminal, usage=usage and replace(usage, partial=True))
    return [*events, terminal]


class Understood(Struct, frozen=True):
    """What a stream says, in the order in which its blocks began, but for calls, (id, name, arguments), by their ids.

    Sources are (url, title). A result is told the same whether as a value, as its JSON, or as parts of text.
    """

    text: str
    reasoning: str
    calls: list[tuple[str, str, dict[str, Any]]]
    vendor_calls: list[tuple[str, str, dict[str, Any]]]
    results: list[tuple[str, Any]]
    sources: set[tuple[str | None, str | None]]
    asked: list[str]
    usage: tuple[int, int, int, int]
    ending: str


def understood(events: Iterable[Event | Notice]) -> Understood:
    told = list(events)
    terminal = told[-1]
    owed = terminal.pending_tool_calls if isinstance(terminal, MessageCompleted) else []
    blocks = sorted((event for event in told if isinstance(event, _COMPLETED)), key=lambda event: event.block)
    calls = [event for event in blocks if isinstance(event, ToolCallCompleted)]
    usage = next((event for event in reversed(told) if isinstance(event, UsageReported)), UsageReported())
    return Understood(
        text="".join(event.text for event in blocks if isinstance(event, TextCompleted)),
        reasoning="".join(event.text for event in blocks if isinstance(event, ReasoningCompleted)),
        calls=sorted((_call(event) for event in calls if event.tool_call_id in owed), key=itemgetter(0)),
        vendor_calls=sorted((_call(event) for event in calls if event.tool_call_id not in owed), key=itemgetter(0)),
        results=[(event.tool_call_id, _value(event.output)) for event in told if isinstance(event, ToolResult)],
        sources={(event.url, event.title or event.url) for event in told if isinstance(event, Source)},
        asked=[event.request_id for event in told if isinstance(event, InputRequested)],
        usage=(
            usage.input_tokens or 0,
            usage.output_tokens or 0,
            usage.cached_tokens or 0,
            usage.reasoning_tokens or 0,
        ),
        ending=_ending(terminal),
    )


_COMPLETED = (TextCompleted, ReasoningCompleted, ToolCallCompleted)


def _value(output: Any) -> Any:
    if isinstance(output, list) and output and all(isinstance(part, dict) and "text" in part for part in output):
        return _value("".join(str(part["text"]) for part in output))
    if isinstance(output, str):
        try:
            return _value(msgspec.json.decode(output))
        except msgspec.DecodeError:
            return output
    return output


def _call(event: ToolCallCompleted) -> tuple[str, str, dict[str, Any]]:
    return event.tool_call_id, event.name, event.arguments


def _ending(terminal: object) -> str:
    match terminal:
        case MessageCompleted(finish_reason=reason):
            return reason
        case MessageFailed():
            return "failed"
        case MessageCanceled():
            return "canceled"
    raise AssertionError(terminal)

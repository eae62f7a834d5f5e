"""An application's chat endpoint, played: a POST with the messages so far -> a UI message stream.

    POST anything       {id, messages, trigger, ...} -> the stream, whose play the last question chooses
    another method      405
    /unknown...         404

It keeps nothing but the count of what it made, as its clients post the whole history. It refuses what the package's
`validateUIMessages` and `convertToModelMessages` refuse: messages without id, role or parts, parts without what their
type and state need, static tools that it has not, calls without a result, and a last message that asks nothing. Any
key is good but `invalid`; a cookie must not hold `expired`.

Source: ai 7.0.173, `validate-ui-messages.ts` and `convert-to-model-messages.ts`, read 2026-11.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from gateway.protocols.ai_sdk.plays import (
    CHOICE,
    PLAYS,
    REFUSALS,
    Chunk,
    Play,
    Refused,
    after_approval,
    after_tools,
    usual,
    written,
)
from gateway.protocols.base import Head, Pause, Script, Send, SimulatedRequest, Step

TOOLS = frozenset({"weather", "locate", "pay", "web_search"})
"""Those that the application has."""

STREAM_HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "x-vercel-ai-ui-message-stream": "v1",
    "x-accel-buffering": "no",
}

_encode = msgspec.json.encode


class AiSdkSimulator:
    plays: Mapping[str, str] = {
        "": "a friendly answer that comes word by word",
        **{name: play.shows for name, play in PLAYS.items()},
        **{name: f"refused: {refused.status}" for name, refused in REFUSALS.items()},
    }

    def __init__(self, play: str = "") -> None:
        self._play = play
        self._messages = 0
        self._calls = 0

    def answer(self, request: SimulatedRequest) -> Script:
        try:
            return list(self._answer(request))
        except _Refusal as refusal:
            return _refuse(refusal.refused)

    def _answer(self, request: SimulatedRequest) -> Iterator[Step]:
        _admit(request)
        messages = _messages(request)
        play = self._chosen(messages)
        last = messages[-1]
        if last["role"] == "assistant":
            message_id = last["id"]
        else:
            message_id = f"msg_{self._messages}"
            self._messages += 1
        if play.shape == "page":
            return iter([Head(200, {"Content-Type": "text/html"}), Send(b"<html><h1>Welcome</h1></html>")])
        chunks = list(written(play, message_id, self._calls))
        self._calls += len({chunk["toolCallId"] for chunk in chunks if "toolCallId" in chunk})
        return _stream(play, chunks)

    def _chosen(self, messages: list[Chunk]) -> Play:
        last = messages[-1]
        if last["role"] == "assistant":
            return _go_on(last)
        asked = "\n".join(part["text"] for part in last["parts"] if part["type"] == "text")
        named = [name for name in CHOICE.findall(asked) if name in self.plays]
        name = named[-1] if named else self._play
        if name in REFUSALS:
            raise _Refusal(REFUSALS[name])
        return PLAYS.get(name) or usual(asked)


def _go_on(answer: Chunk) -> Play:
    """With what the last step's tools gave, or the person said."""
    tools = _last_tools(answer)
    for part in tools:
        if part["state"] == "approval-responded":
            return after_approval(part["toolCallId"], approved=part["approval"]["approved"])
    return after_tools([part["errorText"] if part["state"] == "output-error" else part.get("output") for part in tools])


def _last_tools(answer: Chunk) -> list[Chunk]:
    """The tool parts of the last step."""
    tools: list[Chunk] = []
    for part in answer["parts"]:
        if part["type"] == "step-start":
            tools = []
        elif _is_tool(part):
            tools.append(part)
    return tools


def _stream(play: Play, chunks: list[Chunk]) -> Iterator[Step]:
    yield Head(200, STREAM_HEADERS)
    for chunk in chunks:
        yield Send(b"data: %b\n\n" % _encode(chunk))
        if play.pace and chunk["type"] == "text-delta":
            yield Pause(play.pace)
    if play.ending != "cut":
        yield Send(b"data: [DONE]\n\n")


# --- what is refused


class _Refusal(Exception):
    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.status)
        self.refused = refused


def _invalid(problem: str) -> _Refusal:
    return _Refusal(Refused(400, {"error": f"Type validation failed: {problem}"}))


def _refuse(refused: Refused) -> Script:
    is_text = isinstance(refused.body, str)
    media_type = "text/plain" if is_text else "application/json"
    body = refused.body.encode() if isinstance(refused.body, str) else _encode(refused.body)
    return [Head(refused.status, {"Content-Type": media_type, **refused.headers}), Send(body)]


def _admit(request: SimulatedRequest) -> None:
    if request.path.startswith("/unknown"):
        raise _Refusal(Refused(404, "Not Found"))
    if request.method != "POST":
        raise _Refusal(Refused(405, "Method Not Allowed", {"Allow": "POST"}))
    is_wrong = request.headers.get("Authorization") == "Bearer invalid"
    if is_wrong or "expired" in request.headers.get("Cookie", ""):
        raise _Refusal(REFUSALS["unauthorized"])


def _messages(request: SimulatedRequest) -> list[Chunk]:
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _invalid("the body is no JSON") from None
    if not isinstance(body, dict) or not _is_text(body.get("id")):
        raise _invalid("id")
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages")
    for message in messages:
        _check_message(message)
    if len({message["id"] for message in messages}) < len(messages):
        raise _invalid("two messages of one id")
    _check_last(messages[-1])
    return messages


def _check_message(message: Any) -> None:
    if not isinstance(message, dict) or not _is_text(message.get("id")):
        raise _invalid("message.id")
    if message.get("role") not in {"system", "user", "assistant"}:
        raise _invalid("message.role")
    parts = message.get("parts")
    if not isinstance(parts, list) or not parts:
        raise _invalid("message.parts")
    for part in parts:
        _check_part(part)


def _check_last(last: Chunk) -> None:
    if last["role"] == "system" or (last["role"] == "assistant" and not _last_tools(last)):
        raise _invalid("the last message asks nothing")


def _check_part(part: Any) -> None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise _invalid("part.type")
    kind = part["type"]
    if _is_tool(part):
        _check_tool(part)
    elif kind.startswith("data-"):
        _need(part, data=_is_there)
    elif kind in PARTS:
        _need(part, **PARTS[kind])
    else:
        raise _invalid(f"a part {kind}")


def _check_tool(part: Chunk) -> None:
    _need(part, toolCallId=_is_text, state=_is_text, input=_is_there)
    if part["type"] == "dynamic-tool":
        _need(part, toolName=_is_text)
    elif part["type"].removeprefix("tool-") not in TOOLS:
        raise _invalid(f"no tool schema for {part['type']}")
    if part["state"] not in STATES:
        raise _invalid("a tool call without a result")
    _need(part, **STATES[part["state"]])


Rule = Callable[[Any], bool]


def _need(part: Chunk, **rules: Rule) -> None:
    for name, fits in rules.items():
        if name not in part or not fits(part[name]):
            raise _invalid(f"{part['type']}.{name}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _is_there(_: object) -> bool:
    return True


def _is_approval(value: object) -> bool:
    return isinstance(value, dict) and _is_text(value.get("id")) and isinstance(value.get("approved"), bool)


def _is_refusal(value: object) -> bool:
    return isinstance(value, dict) and _is_approval(value) and value["approved"] is False


def _is_tool(part: Chunk) -> bool:
    kind: str = part["type"]
    return kind == "dynamic-tool" or kind.startswith("tool-")


PARTS: dict[str, dict[str, Rule]] = {
    "text": {"text": lambda value: isinstance(value, str)},
    "reasoning": {"text": lambda value: isinstance(value, str)},
    "file": {"mediaType": _is_text, "url": _is_text},
    "source-url": {"sourceId": _is_text, "url": _is_text},
    "source-document": {"sourceId": _is_text, "mediaType": _is_text, "title": _is_text},
    "step-start": {},
}
STATES: dict[str, dict[str, Rule]] = {
    "output-available": {"output": _is_there},
    "output-error": {"errorText": _is_text},
    "output-denied": {"approval": _is_refusal},
    "approval-responded": {"approval": _is_approval},
}

"""What the simulated Chatbase can play: answers step by step, refusals, and how each spelling writes an answer.

    stream     the frames of a play, one `Send` each
    document   the same answer whole, as the body's `data`
    parts      what of it is kept as the conversation's message

Written from the manual and the tests of the vendor's clients, apart from what the translator knows. Read 2026-11.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gateway.protocols.base import Pause, Send, Step

Frame = dict[str, Any]

CHOICE = re.compile(r"\[play:([a-z0-9-]+)\]\s*")
_WORD = re.compile(r"\S+\s*")


# --- what is played


class Text(Struct, frozen=True):
    deltas: tuple[str, ...]


class Call(Struct, frozen=True):
    """A tool call; the `fragments` of its input are streamed before it, where there are any."""

    number: int
    name: str
    input: Frame
    fragments: tuple[str, ...] = ()


class Together(Struct, frozen=True):
    """Tool calls whose inputs are streamed in turns."""

    calls: tuple[Call, ...]


class Output(Struct, frozen=True):
    number: int
    output: Any


class Raw(Struct, frozen=True):
    """A frame as it stands; `toolCallId` is a call's number. A document has no place for it."""

    frame: Frame


Item = Text | Call | Together | Output | Raw
Steps = tuple[tuple[Item, ...], ...]


class Play(Struct, frozen=True):
    """One answer, and in which of the vendor's spellings it is written.

    `metadata`: flat or nested in an event of its own, in the finish event below one of two names, or after it.
    `ends` False: the stream breaks off behind the last step.
    """

    shows: str
    steps: Steps
    finish: str = "stop"
    credits: float = 1
    start: Literal["message-start", "start"] = "message-start"
    lines: Literal["named", "data", "json"] = "named"
    metadata: Literal["flat", "nested", "finish", "finish-metadata", "after"] = "flat"
    shows_steps: bool = False
    has_text_ids: bool = True
    ends: bool = True
    done: bool = True
    pace: float = 0


class Refused(Struct, frozen=True):
    """An error answer."""

    status: int
    code: str
    message: str
    details: dict[str, str] = {}
    headers: dict[str, str] = {}


LOOK_UP = Call(1, "lookupOrder", {"orderId": "42"}, ('{"orderId":', '"42"}'))
WEATHER = Call(2, "getWeather", {"city": "Kyiv"}, ('{"city"', ':"Kyiv"}'))
HELLO = ((Text(("Hello", " there")),),)
BROKEN_OFF = (Text(("Let me", " see")),)

PLAYS: dict[str, Play] = {
    "documented": Play("the manual's names, event lines and flat metadata", HELLO),
    "sdk": Play(
        "as the vendor's clients are tested: `start`, data lines alone, deltas without ids, metadata in `finish`",
        ((Text(("Hello",)),),),
        start="start",
        lines="data",
        metadata="finish",
        shows_steps=True,
        has_text_ids=False,
    ),
    "nested-metadata": Play("metadata nested in its own event", HELLO, metadata="nested", credits=2),
    "finish-metadata": Play("metadata in `finish`, as the older guide has it", HELLO, metadata="finish-metadata"),
    "metadata-after-finish": Play("metadata behind `finish`", HELLO, metadata="after", credits=1.5),
    "json-lines": Play("newline-delimited JSON, as the streaming guide calls it", HELLO, lines="json"),
    "no-done": Play("no `[DONE]`", HELLO, done=False),
    "client-action": Play(
        "a tool call for the client, registered late: its first result is not found",
        ((Text(("Let me look.",)), Call(1, "lookupOrder", {"orderId": "42"})),),
        finish="tool-calls",
    ),
    "parallel-actions": Play(
        "two tool calls for the client, their inputs in turns",
        ((Together((LOOK_UP, WEATHER)),),),
        finish="tool-calls",
    ),
    "vendor-action": Play(
        "a tool that the vendor runs, then text in a second step",
        ((LOOK_UP, Output(1, {"ok": True})), (Text(("It is", " shipped.")),)),
        shows_steps=True,
    ),
    "available-only": Play(
        "a tool call without deltas, run by the vendor",
        ((Call(1, "lookupOrder", {"orderId": "42"}), Output(1, {"ok": True}), Text(("Done.",))),),
    ),
    "error-text": Play(
        "an `error` with a text after two deltas",
        ((*BROKEN_OFF, Raw({"type": "error", "errorText": "Something went wrong, please try again"})),),
        finish="error",
        ends=False,
    ),
    "error-object": Play(
        "an `error` with an object after two deltas",
        ((*BROKEN_OFF, Raw({"type": "error", "error": {"code": "ERR", "message": "It broke"}})),),
        finish="error",
        ends=False,
    ),
    "error-message": Play(
        "an `error` with a message after two deltas",
        ((*BROKEN_OFF, Raw({"type": "error", "message": "It broke"})),),
        finish="error",
        ends=False,
    ),
    "error-first": Play(
        "an `error` as the first event",
        ((Raw({"type": "error", "errorText": "Something failed"}),),),
        finish="error",
        ends=False,
    ),
    "finish-error": Play("an answer whose finish reason is `error`", (BROKEN_OFF,), finish="error"),
    "finish-other": Play("a finish reason that nobody knows", HELLO, finish="tired"),
    "cut-before-metadata": Play("the end before the metadata", HELLO, ends=False, done=False),
    "abort": Play("an `abort` after two deltas", ((*BROKEN_OFF, Raw({"type": "abort"})),), ends=False),
    "paused": Play("a paused conversation: nothing is answered", ()),
    "unknown-parts": Play(
        "reasoning, a source and data",
        (
            (
                Raw({"type": "reasoning-start", "id": "reasoning_001"}),
                Raw({"type": "reasoning-delta", "id": "reasoning_001", "delta": "Think."}),
                Raw({"type": "reasoning-end", "id": "reasoning_001"}),
                Raw({"type": "source-url", "sourceId": "source_1", "url": "https://example.com/a", "title": "A"}),
                Raw({"type": "data-foo", "data": {"bar": 1}}),
                Text(("Hello",)),
            ),
        ),
    ),
    "other-parts": Play(
        "a document, a file, failed tools, a request for approval and an unheard-of event",
        (
            (
                Raw({"type": "source-document", "sourceId": "source_1", "mediaType": "text/plain", "title": "Terms"}),
                Raw({"type": "file", "url": "https://example.com/a.png", "mediaType": "image/png"}),
                Raw(
                    {
                        "type": "tool-input-error",
                        "toolCallId": 1,
                        "toolName": "pay",
                        "input": "x",
                        "errorText": "no object",
                    }
                ),
                Raw({"type": "tool-input-available", "toolCallId": 2, "toolName": "pay", "input": {"sum": 1}}),
                Raw({"type": "tool-output-error", "toolCallId": 2, "errorText": "no money"}),
                Raw({"type": "tool-input-available", "toolCallId": 3, "toolName": "pay", "input": {"sum": 2}}),
                Raw({"type": "tool-output-denied", "toolCallId": 3}),
                Raw({"type": "tool-input-available", "toolCallId": 4, "toolName": "pay", "input": {"sum": 3}}),
                Raw({"type": "tool-approval-request", "approvalId": "approval_1", "toolCallId": 4}),
                Raw({"type": "sparkle", "count": 3}),
            ),
        ),
        finish="tool-calls",
    ),
}

REFUSALS: dict[str, Refused] = {
    "validation": Refused(
        400, "VALIDATION_INVALID_BODY", "Request body validation failed", {"message": "Message is too long"}
    ),
    "invalid-key": Refused(401, "AUTH_INVALID_API_KEY", "Invalid API key"),
    "credits": Refused(402, "CHAT_CREDITS_EXHAUSTED", "Message limit reached"),
    "agent-credits": Refused(402, "CHAT_AGENT_CREDITS_EXHAUSTED", "The agent's message limit is reached"),
    "plan": Refused(403, "SUBSCRIPTION_API_RESTRICTED_PLAN", "Your plan does not include API access"),
    "permissions": Refused(403, "AUTH_INSUFFICIENT_PERMISSIONS", "The API key may not do this"),
    "model": Refused(403, "CHAT_MODEL_NOT_ALLOWED", "The agent's model is not part of your plan"),
    "mismatch": Refused(403, "CHAT_CONVERSATION_MISMATCH", "The conversation belongs to another agent"),
    "not-ongoing": Refused(409, "CHAT_CONVERSATION_NOT_ONGOING", "The conversation is not ongoing"),
    "agent-not-found": Refused(404, "AGENT_NOT_FOUND", "Agent not found"),
    "rate-limit": Refused(
        429,
        "RATE_LIMIT_TOO_MANY_REQUESTS",
        "Too many requests, please try again later",
        headers={"X-RateLimit-Remaining": "0", "Retry-After": "3"},
    ),
    "internal": Refused(500, "INTERNAL_SERVER_ERROR", "Something went wrong"),
    "maintenance": Refused(503, "SERVICE_UNDER_MAINTENANCE", "The service is under maintenance"),
}


class Exchange(Struct, frozen=True):
    """The names that one answer goes by."""

    conversation_id: str
    user_id: str | None
    message_id: str
    user_message_id: str
    first_call: int

    def call(self, number: int) -> str:
        return f"call_{self.first_call + number - 1}"


def usual(message: str) -> Play:
    lines = [line for line in CHOICE.sub("", message).splitlines() if line.strip()]
    words = " ".join(lines[-1].split()[:6]) if lines else "nothing"
    text = f"You asked: “{words}”. I am a simulated Chatbase agent, so all I can do is repeat it."
    return Play("", ((Text(tuple(_WORD.findall(text))),),), pace=0.02)


# --- how an answer is written


def calls(play: Play) -> Iterator[Call]:
    for step in play.steps:
        for item in step:
            if isinstance(item, Call):
                yield item
            elif isinstance(item, Together):
                yield from item.calls


def answered(play: Play) -> set[int]:
    """The numbers of the calls that the vendor runs itself."""
    return {item.number for step in play.steps for item in step if isinstance(item, Output)}


def stream(play: Play, exchange: Exchange) -> Iterator[Step]:
    for frame in _frames(play, exchange):
        yield Send(_write(frame, play.lines))
        if play.pace and frame["type"] == "text-delta":
            yield Pause(play.pace)
    if play.done:
        yield Send(b"data: [DONE]\n\n")


def _write(frame: Frame, lines: str) -> bytes:
    data = _encode(frame)
    if lines == "json":
        return data + b"\n"
    name = b"event: %b\n" % frame["type"].encode() if lines == "named" else b""
    return b"%bdata: %b\n\n" % (name, data)


def _frames(play: Play, exchange: Exchange) -> Iterator[Frame]:
    yield {"type": play.start, "messageId": exchange.message_id}
    texts = 0
    for step in play.steps:
        if play.shows_steps:
            yield {"type": "start-step"}
        for item in step:
            texts += isinstance(item, Text)
            yield from _item(item, exchange, f"text_{texts:03}" if play.has_text_ids else None)
        if play.shows_steps:
            yield {"type": "finish-step"}
    if play.ends:
        yield from _ending(play, exchange)


def _item(item: Item, exchange: Exchange, text_id: str | None) -> Iterator[Frame]:
    match item:
        case Text(deltas):
            yield from _text_frames(deltas, text_id)
        case Call():
            yield from _call_frames((item,), exchange)
        case Together(calls):
            yield from _call_frames(calls, exchange)
        case Output(number, output):
            yield {"type": "tool-output-available", "toolCallId": exchange.call(number), "output": output}
        case _:
            call = item.frame.get("toolCallId")
            yield {**item.frame, "toolCallId": exchange.call(call)} if call else item.frame


def _text_frames(deltas: Sequence[str], text_id: str | None) -> Iterator[Frame]:
    if text_id is None:
        yield from ({"type": "text-delta", "delta": delta} for delta in deltas)
        return
    yield {"type": "text-start", "id": text_id}
    yield from ({"type": "text-delta", "id": text_id, "delta": delta} for delta in deltas)
    yield {"type": "text-end", "id": text_id}


def _call_frames(calls: Sequence[Call], exchange: Exchange) -> Iterator[Frame]:
    for call in calls:
        if call.fragments:
            yield {"type": "tool-input-start", "toolCallId": exchange.call(call.number), "toolName": call.name}
    turns = zip(*(call.fragments for call in calls), strict=True)
    for turn in turns:
        for call, fragment in zip(calls, turn, strict=True):
            yield {
                "type": "tool-input-delta",
                "toolCallId": exchange.call(call.number),
                "inputTextDelta": fragment,
            }
    for call in calls:
        yield {
            "type": "tool-input-available",
            "toolCallId": exchange.call(call.number),
            "toolName": call.name,
            "input": call.input,
        }


def _ending(play: Play, exchange: Exchange) -> Iterator[Frame]:
    metadata: Frame = {
        "messageId": exchange.message_id,
        "userMessageId": exchange.user_message_id,
        "conversationId": exchange.conversation_id,
        "userId": exchange.user_id,
        "usage": {"credits": play.credits},
    }
    finish: Frame = {"type": "finish", "finishReason": play.finish}
    match play.metadata:
        case "flat":
            yield from ({"type": "message-metadata", **metadata}, finish)
        case "nested":
            yield from ({"type": "message-metadata", "messageMetadata": metadata}, finish)
        case "after":
            yield from (finish, {"type": "message-metadata", **metadata})
        case "finish":
            yield {"type": "finish", "messageMetadata": {**metadata, "finishReason": play.finish}}
        case _:
            told = ("conversationId", "userId", "usage")
            yield {**finish, "metadata": {name: metadata[name] for name in told}}


def whole(play: Play, exchange: Exchange) -> Frame:
    return {
        "id": exchange.message_id,
        "role": "assistant",
        "parts": parts(play, exchange),
        "metadata": {
            "userMessageId": exchange.user_message_id,
            "conversationId": exchange.conversation_id,
            "userId": exchange.user_id,
            "finishReason": play.finish,
            "usage": {"credits": play.credits},
        },
    }


def parts(play: Play, exchange: Exchange) -> list[Frame]:
    names = {call.number: call.name for call in calls(play)}
    return [part for step in play.steps for item in step for part in _parts(item, exchange, names)]


def _parts(item: Item, exchange: Exchange, names: dict[int, str]) -> Iterator[Frame]:
    match item:
        case Text(deltas):
            yield {"type": "text", "text": "".join(deltas)}
        case Call(number, name, arguments):
            yield {"type": "tool-call", "toolCallId": exchange.call(number), "toolName": name, "input": arguments}
        case Together(together):
            for call in together:
                yield from _parts(call, exchange, names)
        case Output(number, output):
            call_id = exchange.call(number)
            yield {"type": "tool-result", "toolCallId": call_id, "toolName": names[number], "output": output}


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value)

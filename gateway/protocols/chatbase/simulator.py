"""Chatbase, played: conversations that are kept, answers as a stream or a document, and the refusals of the manual.

    POST /agents/{agent}/chat                                        -> stream (the usual) or {"data": answer}
    POST /agents/{agent}/conversations/{id}/tool-result              -> {"data": {"success": true}}
    POST /agents/{agent}/conversations/{id}/retry                    -> as chat

Every agent exists whose id does not begin with `unknown`; every key is good but `invalid` and `expired`. A conversation
remembers its agent, its user, its messages and its open tool calls. Ids are counted, and the time stands still.
Where the manual is silent (fields it does not name, a chat without a message while no tool result waits, 405) the
simulator refuses.
Source: chatbase.co/docs/api-v2, spec/openapi.json and the tests of the vendor's clients, read 2026-11.
"""

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gateway.protocols.base import Head, Pause, Script, Send, SimulatedRequest, Step

Frame = dict[str, Any]

RESET_MS = 1781083862000
MAX_OUTPUT = 20 * 1024
MAX_USER_ID = 128

_PLAY = re.compile(r"\[play:([a-z0-9-]+)\]\s*")
_USER_ID = re.compile(r"[a-zA-Z0-9._-]+")
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


# --- state


class Conversation(Struct):
    """`calls`: what became of each tool call; a `late` one is not found at first."""

    id: str
    agent: str
    user_id: str | None
    messages: list[tuple[str, str, str]] = []
    calls: dict[str, Literal["late", "open", "answered"]] = {}
    outputs: list[Any] = []


class Exchange(Struct, frozen=True):
    """The names that one answer goes by."""

    conversation: Conversation
    message_id: str
    user_message_id: str
    first_call: int

    def call(self, number: int) -> str:
        return f"call_{self.first_call + number - 1}"


class ChatbaseSimulator:
    plays: Mapping[str, str] = {
        "": "a friendly answer that comes word by word",
        **{name: play.shows for name, play in PLAYS.items()},
        **{name: f"refused: {refused.status} {refused.code}" for name, refused in REFUSALS.items()},
    }

    def __init__(self, play: str = "") -> None:
        self._play = play
        self._conversations: dict[str, Conversation] = {}
        self._requests = 0
        self._messages = 0
        self._calls = 1

    def answer(self, request: SimulatedRequest) -> Script:
        self._requests += 1
        try:
            return self._answer(request)
        except _Refusal as refusal:
            return self._refuse(refusal.refused)

    def _answer(self, request: SimulatedRequest) -> Script:
        match request.path.split("/"):
            case ["", "agents", agent, "chat"]:
                body = _admit(request, agent)
                return self._chat(agent, body)
            case ["", "agents", agent, "conversations", conversation, ("tool-result" | "retry") as what]:
                body = _admit(request, agent)
                known = self._find(conversation, agent)
                return self._take_result(known, body) if what == "tool-result" else self._retry(known, body)
            case _:
                raise _Refusal(Refused(404, "RESOURCE_NOT_FOUND", "Resource not found"))

    def _find(self, conversation: str, agent: str) -> Conversation:
        known = self._conversations.get(conversation)
        if known is None:
            raise _Refusal(Refused(404, "RESOURCE_NOT_FOUND", "Conversation not found"))
        if known.agent != agent:
            raise _Refusal(REFUSALS["mismatch"])
        return known

    def _chat(self, agent: str, body: Frame) -> Script:
        _check(body, CHAT_FIELDS)
        message = body.get("message")
        if message is None and "conversationId" not in body:
            raise _invalid("message", "Required for a new conversation")
        play = self._choose(message or "")
        if message is not None and play in REFUSALS:
            raise _Refusal(REFUSALS[play])
        if "conversationId" in body:
            conversation = self._find(body["conversationId"], agent)
        else:
            conversation = self._begin(agent, body.get("userId"))
        streams = body.get("stream", True)
        if message is None:
            return self._go_on(conversation, streams=streams)
        self._keep(conversation, "user", message)
        return self._reply(conversation, message, streams=streams)

    def _choose(self, message: str) -> str:
        """The last play that the message names: what it quotes of the past stands in front."""
        named = [name for name in _PLAY.findall(message) if name in self.plays]
        return named[-1] if named else self._play

    def _begin(self, agent: str, user_id: str | None) -> Conversation:
        number = len(self._conversations) + 1
        conversation = Conversation(str(uuid.uuid5(uuid.NAMESPACE_URL, f"chatbase:{number}")), agent, user_id)
        self._conversations[conversation.id] = conversation
        return conversation

    def _keep(self, conversation: Conversation, role: str, text: str) -> str:
        message_id = f"msg_{self._messages}"
        self._messages += 1
        conversation.messages.append((message_id, role, text))
        return message_id

    def _go_on(self, conversation: Conversation, *, streams: bool) -> Script:
        if not conversation.outputs:
            raise _invalid("message", "Required while no tool result waits")
        outputs = ", ".join(_encode(output).decode() for output in conversation.outputs)
        conversation.outputs = []
        return self._perform(conversation, Play("", ((Text(("The tools say ", f"{outputs}.")),),)), streams=streams)

    def _reply(self, conversation: Conversation, message: str, *, streams: bool) -> Script:
        play = PLAYS.get(self._choose(message)) or _usual(_PLAY.sub("", message))
        return self._perform(conversation, play, streams=streams)

    def _perform(self, conversation: Conversation, play: Play, *, streams: bool) -> Script:
        asked = next(message_id for message_id, role, _ in reversed(conversation.messages) if role == "user")
        exchange = Exchange(conversation, self._keep(conversation, "assistant", ""), asked, self._calls)
        calls = list(_calls(play))
        answered = {item.number for step in play.steps for item in step if isinstance(item, Output)}
        for call in calls:
            self._calls += 1
            if call.number not in answered:
                conversation.calls[exchange.call(call.number)] = "late"
        if streams:
            return [Head(200, self._headers(STREAM_HEADERS)), *_stream(play, exchange)]
        return self._document(200, {"data": _whole(play, exchange)})

    def _take_result(self, conversation: Conversation, body: Frame) -> Script:
        _check(body, TOOL_RESULT_FIELDS)
        call = body["toolCallId"]
        state = conversation.calls.get(call)
        if state == "open":
            conversation.calls[call] = "answered"
            conversation.outputs.append(body["output"])
            return self._document(200, {"data": {"success": True}})
        if state == "late":
            conversation.calls[call] = "open"
        raise _Refusal(Refused(404, "RESOURCE_TOOL_CALL_NOT_FOUND", "Tool call not found or expired"))

    def _retry(self, conversation: Conversation, body: Frame) -> Script:
        _check(body, RETRY_FIELDS)
        ids = [message_id for message_id, _, _ in conversation.messages]
        if body["messageId"] not in ids:
            raise _Refusal(Refused(404, "CHAT_RETRY_MESSAGE_NOT_FOUND", "Message not found"))
        kept = conversation.messages[: ids.index(body["messageId"])]
        while kept and kept[-1][1] != "user":
            kept.pop()
        if not kept:
            raise _Refusal(Refused(400, "CHAT_RETRY_NO_USER_MESSAGE", "There is no user message to retry"))
        conversation.messages = kept
        return self._reply(conversation, kept[-1][2], streams=body.get("stream", True))

    def _refuse(self, refused: Refused) -> Script:
        error: Frame = {"code": refused.code, "message": refused.message}
        if refused.details:
            error["details"] = refused.details
        return self._document(refused.status, {"error": error}, refused.headers)

    def _document(self, status: int, body: Frame, headers: Mapping[str, str] | None = None) -> Script:
        return [
            Head(status, {**self._headers({"Content-Type": "application/json"}), **(headers or {})}),
            Send(_encode(body)),
        ]

    def _headers(self, own: Mapping[str, str]) -> dict[str, str]:
        return {
            **own,
            "X-RateLimit-Limit": "100",
            "X-RateLimit-Remaining": "99",
            "X-RateLimit-Reset": str(RESET_MS),
            "x-request-id": f"req_{self._requests}",
        }


STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "x-vercel-ai-ui-message-stream": "v1",
}


def _usual(message: str) -> Play:
    lines = [line for line in message.splitlines() if line.strip()]
    words = " ".join(lines[-1].split()[:6]) if lines else "nothing"
    text = f"You asked: “{words}”. I am a simulated Chatbase agent, so all I can do is repeat it."
    return Play("", ((Text(tuple(_WORD.findall(text))),),), pace=0.02)


# --- what is refused


class _Refusal(Exception):
    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.code)
        self.refused = refused


def _invalid(field: str, why: str) -> _Refusal:
    return _Refusal(Refused(400, "VALIDATION_INVALID_BODY", "Request body validation failed", {field: why}))


def _admit(request: SimulatedRequest, agent: str) -> Frame:
    """The body of a request that has the right method, key and agent."""
    if request.method != "POST":
        raise _Refusal(Refused(405, "METHOD_NOT_ALLOWED", "Method not allowed", headers={"Allow": "POST"}))
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if not key:
        raise _Refusal(Refused(401, "AUTH_MISSING_API_KEY", "API key is required"))
    if key == "expired":
        raise _Refusal(Refused(401, "AUTH_EXPIRED_API_KEY", "API key has expired"))
    if scheme != "Bearer" or key == "invalid":
        raise _Refusal(REFUSALS["invalid-key"])
    if agent.startswith("unknown"):
        raise _Refusal(REFUSALS["agent-not-found"])
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _Refusal(Refused(400, "VALIDATION_INVALID_JSON", "Request body is not valid JSON")) from None
    if not isinstance(body, dict):
        raise _invalid("body", "Expected an object")
    return body


Rule = Callable[[Any], str | None]
"""Why a value will not do."""


def _text(value: object) -> str | None:
    return None if isinstance(value, str) and value else "Expected a text of at least 1 character"


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "Expected true or false"


def _user(value: object) -> str | None:
    fits = isinstance(value, str) and len(value) <= MAX_USER_ID and _USER_ID.fullmatch(value)
    return None if fits else "Expected at most 128 of a-z A-Z 0-9 . _ -"


def _output(value: object) -> str | None:
    return None if len(_encode(value)) <= MAX_OUTPUT else "Expected at most 20 KB"


class Fields(Struct, frozen=True):
    rules: dict[str, Rule]
    required: tuple[str, ...] = ()


CHAT_FIELDS = Fields({"message": _text, "conversationId": _text, "stream": _flag, "userId": _user})
TOOL_RESULT_FIELDS = Fields({"toolCallId": _text, "output": _output}, ("toolCallId", "output"))
RETRY_FIELDS = Fields({"messageId": _text, "stream": _flag}, ("messageId",))


def _check(body: Frame, fields: Fields) -> None:
    for name in fields.required:
        if name not in body:
            raise _invalid(name, "Required")
    for name, value in body.items():
        why = fields.rules[name](value) if name in fields.rules else "Unrecognized key"
        if why is not None:
            raise _invalid(name, why)


# --- how an answer is written


def _calls(play: Play) -> Iterator[Call]:
    for step in play.steps:
        for item in step:
            if isinstance(item, Call):
                yield item
            elif isinstance(item, Together):
                yield from item.calls


def _stream(play: Play, exchange: Exchange) -> Iterator[Step]:
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
    conversation = exchange.conversation
    metadata: Frame = {
        "messageId": exchange.message_id,
        "userMessageId": exchange.user_message_id,
        "conversationId": conversation.id,
        "userId": conversation.user_id,
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


def _whole(play: Play, exchange: Exchange) -> Frame:
    conversation = exchange.conversation
    return {
        "id": exchange.message_id,
        "role": "assistant",
        "parts": [part for step in play.steps for item in step for part in _parts(item, exchange)],
        "metadata": {
            "userMessageId": exchange.user_message_id,
            "conversationId": conversation.id,
            "userId": conversation.user_id,
            "finishReason": play.finish,
            "usage": {"credits": play.credits},
        },
    }


def _parts(item: Item, exchange: Exchange) -> Iterator[Frame]:
    match item:
        case Text(deltas):
            yield {"type": "text", "text": "".join(deltas)}
        case Call(number, name, arguments):
            yield {"type": "tool-call", "toolCallId": exchange.call(number), "toolName": name, "input": arguments}
        case Together(calls):
            for call in calls:
                yield from _parts(call, exchange)
        case Output(number, output):
            yield {"type": "tool-result", "toolCallId": exchange.call(number), "output": output}


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value)

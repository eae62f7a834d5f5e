"""Chatbase, played: conversations that are kept and listed, answers as a stream or a document, the manual's refusals.

    POST  /agents/{agent}/chat                                  -> stream (the usual) or {"data": answer}
    GET   /agents/{agent}/conversations                         -> a page of them, the latest used first
    GET   /agents/{agent}/users/{user}/conversations            -> the same, of one user
    GET   /agents/{agent}/conversations/export                  -> the same, each with its messages
    GET   /agents/{agent}/conversations/{id}                    -> one, with the newest page of its messages
    PATCH /agents/{agent}/conversations/{id}                    -> paused, or ongoing again
    GET   /agents/{agent}/conversations/{id}/messages           -> a page, the newest first, chronological inside
    PATCH /agents/{agent}/conversations/{id}/messages/{id}/feedback
    POST  /agents/{agent}/conversations/{id}/tool-result        -> {"data": {"success": true}}
    POST  /agents/{agent}/conversations/{id}/retry              -> as chat

Every agent exists whose id does not begin with `unknown`; every key is good but `invalid` and `expired`. A conversation
remembers its agent, its user, its messages and its open tool calls; an answer is kept whole, however its stream ended.
Ids are counted, and the time stands still, far ahead, so that what is asked for since any day is there.
Where the manual is silent (fields it does not name, a chat without a message while no tool result waits, 405, the
shape of an export) the simulator refuses, or does the obvious.
Source: chatbase.co/docs/api-v2, spec/openapi.json and the tests of the vendor's clients, read 2026-11.
"""

import base64
import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Literal

import msgspec
from msgspec import Struct

from gateway.protocols.base import Head, Script, Send, SimulatedRequest
from gateway.protocols.chatbase.plays import (
    CHOICE,
    PLAYS,
    REFUSALS,
    Exchange,
    Frame,
    Play,
    Refused,
    Text,
    answered,
    calls,
    parts,
    stream,
    usual,
    whole,
)

NOW = 4102444800
"""Unix seconds: the year 2100."""
RESET_MS = 1781083862000
MAX_OUTPUT = 20 * 1024
MAX_USER_ID = 128
USUAL_PAGE = "20"

_USER_ID = re.compile(r"[a-zA-Z0-9._-]+")
_LIMIT = re.compile(r"[1-9][0-9]?|100")

_encode = msgspec.json.encode


# --- state


class Message(Struct):
    id: str
    role: Literal["user", "assistant"]
    parts: list[Frame]
    created_at: int
    feedback: str | None = None

    def written(self) -> Frame:
        return {
            "id": self.id,
            "role": self.role,
            "parts": self.parts,
            "createdAt": self.created_at,
            "feedback": self.feedback,
            "metadata": {"score": None},
        }


class Conversation(Struct):
    """`calls`: what became of each tool call; a `late` one is not found at first."""

    id: str
    agent: str
    user_id: str | None
    created_at: int
    messages: list[Message] = []
    calls: dict[str, Literal["late", "open", "answered"]] = {}
    outputs: list[Any] = []
    is_paused: bool = False

    @property
    def status(self) -> str:
        return "paused" if self.is_paused else "ongoing"

    def written(self) -> Frame:
        return {
            "id": self.id,
            "title": None,
            "createdAt": self.created_at,
            "updatedAt": self.created_at,
            "userId": self.user_id,
            "status": self.status,
        }


class ChatbaseSimulator:
    plays: Mapping[str, str] = {
        "": "a friendly answer that comes word by word",
        **{name: play.shows for name, play in PLAYS.items()},
        **{name: f"refused: {refused.status} {refused.code}" for name, refused in REFUSALS.items()},
    }

    def __init__(self, play: str = "", now: int = NOW) -> None:
        self._play = play
        self._now = now
        self._conversations: dict[str, Conversation] = {}
        """By id, the one that was used last at the end."""
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
            case ["", "agents", agent, *rest]:
                doors = self._doors(agent, rest)
            case _:
                raise _unknown("Resource not found")
        if request.method not in doors:
            allow = {"Allow": ", ".join(doors)}
            raise _Refusal(Refused(405, "METHOD_NOT_ALLOWED", "Method not allowed", headers=allow))
        _admit(request, agent)
        return doors[request.method](request)

    def _doors(self, agent: str, rest: list[str]) -> dict[str, Callable[[SimulatedRequest], Script]]:
        """What a path answers, by method."""
        match rest:
            case ["chat"]:
                return {"POST": partial(self._chat, agent)}
            case ["conversations"]:
                return {"GET": partial(self._list, agent)}
            case ["users", user_id, "conversations"]:
                return {"GET": partial(self._list_of_user, agent, user_id)}
            case ["conversations", "export"]:
                return {"GET": partial(self._export, agent)}
            case ["conversations", conversation]:
                known = partial(self._find, conversation, agent)
                return {"GET": partial(self._tell, known), "PATCH": partial(self._pause, known)}
            case ["conversations", conversation, "messages"]:
                return {"GET": partial(self._list_messages, partial(self._find, conversation, agent))}
            case ["conversations", conversation, "messages", message, "feedback"]:
                return {"PATCH": partial(self._take_feedback, partial(self._find, conversation, agent), message)}
            case ["conversations", conversation, "tool-result"]:
                return {"POST": partial(self._take_result, partial(self._find, conversation, agent))}
            case ["conversations", conversation, "retry"]:
                return {"POST": partial(self._retry, partial(self._find, conversation, agent))}
            case _:
                raise _unknown("Resource not found")

    def _find(self, conversation: str, agent: str) -> Conversation:
        known = self._conversations.get(conversation)
        if known is None:
            raise _unknown("Conversation not found")
        if known.agent != agent:
            raise _Refusal(REFUSALS["mismatch"])
        return known

    # Messages.

    def _chat(self, agent: str, request: SimulatedRequest) -> Script:
        body = _body(request)
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
        self._keep(conversation, "user", [{"type": "text", "text": message}])
        return self._reply(conversation, message, streams=streams)

    def _choose(self, message: str) -> str:
        """The last play that the message names: what it quotes of the past stands in front."""
        named = [name for name in CHOICE.findall(message) if name in self.plays]
        return named[-1] if named else self._play

    def _begin(self, agent: str, user_id: str | None) -> Conversation:
        number = len(self._conversations) + 1
        conversation_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"chatbase:{number}"))
        conversation = Conversation(conversation_id, agent, user_id, self._now)
        self._conversations[conversation.id] = conversation
        return conversation

    def _keep(self, conversation: Conversation, role: Literal["user", "assistant"], parts: list[Frame]) -> Message:
        message = Message(f"msg_{self._messages}", role, parts, self._now)
        self._messages += 1
        conversation.messages.append(message)
        self._conversations[conversation.id] = self._conversations.pop(conversation.id)
        return message

    def _go_on(self, conversation: Conversation, *, streams: bool) -> Script:
        if not conversation.outputs:
            raise _invalid("message", "Required while no tool result waits")
        outputs = ", ".join(_encode(output).decode() for output in conversation.outputs)
        conversation.outputs = []
        return self._perform(conversation, Play("", ((Text(("The tools say ", f"{outputs}.")),),)), streams=streams)

    def _reply(self, conversation: Conversation, message: str, *, streams: bool) -> Script:
        name = "paused" if conversation.is_paused else self._choose(message)
        return self._perform(conversation, PLAYS.get(name) or usual(message), streams=streams)

    def _perform(self, conversation: Conversation, play: Play, *, streams: bool) -> Script:
        asked = next(message.id for message in reversed(conversation.messages) if message.role == "user")
        message = self._keep(conversation, "assistant", [])
        exchange = Exchange(conversation.id, conversation.user_id, message.id, asked, self._calls)
        message.parts = parts(play, exchange)
        for call in calls(play):
            self._calls += 1
            if call.number not in answered(play):
                conversation.calls[exchange.call(call.number)] = "late"
        if streams:
            return [Head(200, self._headers(STREAM_HEADERS)), *stream(play, exchange)]
        return self._document(200, {"data": whole(play, exchange)})

    def _take_result(self, known: Callable[[], Conversation], request: SimulatedRequest) -> Script:
        body = _body(request)
        conversation = known()
        _check(body, TOOL_RESULT_FIELDS)
        call = body["toolCallId"]
        state = conversation.calls.get(call)
        if state == "open":
            conversation.calls[call] = "answered"
            conversation.outputs.append(body["output"])
            _keep_result(conversation, call, body["output"])
            return self._document(200, {"data": {"success": True}})
        if state == "late":
            conversation.calls[call] = "open"
        raise _Refusal(Refused(404, "RESOURCE_TOOL_CALL_NOT_FOUND", "Tool call not found or expired"))

    def _retry(self, known: Callable[[], Conversation], request: SimulatedRequest) -> Script:
        body = _body(request)
        conversation = known()
        _check(body, RETRY_FIELDS)
        ids = [message.id for message in conversation.messages]
        if body["messageId"] not in ids:
            raise _Refusal(Refused(404, "CHAT_RETRY_MESSAGE_NOT_FOUND", "Message not found"))
        kept = conversation.messages[: ids.index(body["messageId"])]
        while kept and kept[-1].role != "user":
            kept.pop()
        if not kept:
            raise _Refusal(Refused(400, "CHAT_RETRY_NO_USER_MESSAGE", "There is no user message to retry"))
        conversation.messages = kept
        return self._reply(conversation, kept[-1].parts[0]["text"], streams=body.get("stream", True))

    # Conversations.

    def _list(self, agent: str, request: SimulatedRequest) -> Script:
        return self._page(request, [conversation.written() for conversation in self._latest_first(agent, request)])

    def _list_of_user(self, agent: str, user_id: str, request: SimulatedRequest) -> Script:
        latest_first = self._latest_first(agent, request)
        return self._page(request, [listed.written() for listed in latest_first if listed.user_id == user_id])

    def _export(self, agent: str, request: SimulatedRequest) -> Script:
        wanted = request.query.get("conversationId")
        return self._page(
            request,
            [
                {**conversation.written(), "messages": [message.written() for message in conversation.messages]}
                for conversation in self._latest_first(agent, request)
                if wanted in {None, conversation.id}
            ],
        )

    def _latest_first(self, agent: str, request: SimulatedRequest) -> list[Conversation]:
        first, last = _days(request)
        return [
            known
            for known in reversed(self._conversations.values())
            if known.agent == agent and first <= datetime.fromtimestamp(known.created_at, UTC).date() <= last
        ]

    def _page(self, request: SimulatedRequest, entries: list[Frame]) -> Script:
        begin, end = _span(request)
        pagination = _pagination(end, len(entries))
        return self._document(200, {"data": entries[begin:end], "pagination": pagination})

    def _tell(self, known: Callable[[], Conversation], request: SimulatedRequest) -> Script:
        conversation = known()
        messages, pagination = _newest(request, conversation)
        return self._document(200, {"data": {**conversation.written(), "messages": messages}, "pagination": pagination})

    def _list_messages(self, known: Callable[[], Conversation], request: SimulatedRequest) -> Script:
        messages, pagination = _newest(request, known())
        return self._document(200, {"data": messages, "pagination": pagination})

    def _pause(self, known: Callable[[], Conversation], request: SimulatedRequest) -> Script:
        body = _body(request)
        conversation = known()
        _check(body, PAUSE_FIELDS)
        conversation.is_paused = body["paused"]
        return self._document(200, {"data": {"id": conversation.id, "status": conversation.status}})

    def _take_feedback(self, known: Callable[[], Conversation], message_id: str, request: SimulatedRequest) -> Script:
        body = _body(request)
        conversation = known()
        _check(body, FEEDBACK_FIELDS)
        message = next((message for message in conversation.messages if message.id == message_id), None)
        if message is None:
            raise _Refusal(Refused(404, "RESOURCE_MESSAGE_NOT_FOUND", "Message not found"))
        if message.role != "assistant":
            raise _Refusal(Refused(422, "RESOURCE_MESSAGE_NOT_ASSISTANT", "Only an answer takes feedback"))
        message.feedback = body["feedback"]
        return self._document(200, {"data": message.written()})

    # How it is written.

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


def _keep_result(conversation: Conversation, call: str, output: object) -> None:
    """Behind its call, in the same message."""
    for message in conversation.messages:
        names = [part["toolName"] for part in message.parts if part.get("toolCallId") == call]
        message.parts += [
            {"type": "tool-result", "toolCallId": call, "toolName": name, "output": output} for name in names
        ]


# --- pages


def _span(request: SimulatedRequest) -> tuple[int, int]:
    """Which entries are asked for; a cursor says how many were told already."""
    limit = request.query.get("limit", USUAL_PAGE)
    if not _LIMIT.fullmatch(limit):
        raise _invalid("limit", "Expected a number from 1 to 100")
    cursor = request.query.get("cursor")
    begin = 0 if cursor is None else _told_before(cursor)
    return begin, begin + int(limit)


def _told_before(cursor: str) -> int:
    try:
        told = int(base64.urlsafe_b64decode(cursor))
    except ValueError:
        told = 0
    if told < 1:
        raise _invalid("cursor", "Unknown cursor")
    return told


def _pagination(end: int, total: int) -> Frame:
    cursor = base64.urlsafe_b64encode(str(end).encode()).decode() if end < total else None
    return {"cursor": cursor, "hasMore": cursor is not None, "total": total}


def _newest(request: SimulatedRequest, conversation: Conversation) -> tuple[list[Frame], Frame]:
    begin, end = _span(request)
    total = len(conversation.messages)
    page = conversation.messages[max(total - end, 0) : max(total - begin, 0)]
    return [message.written() for message in page], _pagination(end, total)


def _days(request: SimulatedRequest) -> tuple[date, date]:
    first, last = _date(request, "startDate", date.min), _date(request, "endDate", date.max)
    if first > last:
        raise _Refusal(Refused(400, "VALIDATION_INVALID_DATE_RANGE", "The start is after the end"))
    return first, last


def _date(request: SimulatedRequest, name: str, otherwise: date) -> date:
    try:
        return date.fromisoformat(request.query[name]) if name in request.query else otherwise
    except ValueError:
        raise _invalid(name, "Expected a date") from None


# --- what is refused


class _Refusal(Exception):
    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.code)
        self.refused = refused


def _unknown(message: str) -> _Refusal:
    return _Refusal(Refused(404, "RESOURCE_NOT_FOUND", message))


def _invalid(field: str, why: str) -> _Refusal:
    return _Refusal(Refused(400, "VALIDATION_INVALID_BODY", "Request body validation failed", {field: why}))


def _admit(request: SimulatedRequest, agent: str) -> None:
    """Refuses a request without the right key or agent."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if not key:
        raise _Refusal(Refused(401, "AUTH_MISSING_API_KEY", "API key is required"))
    if key == "expired":
        raise _Refusal(Refused(401, "AUTH_EXPIRED_API_KEY", "API key has expired"))
    if scheme != "Bearer" or key == "invalid":
        raise _Refusal(REFUSALS["invalid-key"])
    if agent.startswith("unknown"):
        raise _Refusal(REFUSALS["agent-not-found"])


def _body(request: SimulatedRequest) -> Frame:
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


def _feedback(value: object) -> str | None:
    return None if value is None or value in ("positive", "negative") else "Expected positive, negative or null"


class Fields(Struct, frozen=True):
    rules: dict[str, Rule]
    required: tuple[str, ...] = ()


CHAT_FIELDS = Fields({"message": _text, "conversationId": _text, "stream": _flag, "userId": _user})
TOOL_RESULT_FIELDS = Fields({"toolCallId": _text, "output": _output}, ("toolCallId", "output"))
RETRY_FIELDS = Fields({"messageId": _text, "stream": _flag}, ("messageId",))
PAUSE_FIELDS = Fields({"paused": _flag}, ("paused",))
FEEDBACK_FIELDS = Fields({"feedback": _feedback}, ("feedback",))


def _check(body: Frame, fields: Fields) -> None:
    for name in fields.required:
        if name not in body:
            raise _invalid(name, "Required")
    for name, value in body.items():
        why = fields.rules[name](value) if name in fields.rules else "Unrecognized key"
        if why is not None:
            raise _invalid(name, why)

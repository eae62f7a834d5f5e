"""Dimedove, played: Apps with conversations that are kept, answers as a stream or a document, the manual's refusals.

    GET    /apps/{app}/config, /apps/{app}/metrics
    POST   /apps/{app}/conversations                            -> conversation
    GET    /apps/{app}/conversations                            -> list: limit, after, before, order
    GET    /apps/{app}/users/{user}/conversations               -> the same
    GET    /apps/{app}/conversations/{id}                       -> conversation with its items
    PATCH  /apps/{app}/conversations/{id} {title}               -> conversation
    DELETE /apps/{app}/conversations/{id}                       -> {"deleted": true}; it is not found any more
    POST   /apps/{app}/conversations/{id} {message, stream}     -> stream or document
    POST   /apps/{app}/completions {prompt, stream}             -> stream or document

Every App exists whose id does not begin with `unknown`; one that begins with `denied`, `inactive` or `unavailable` is
refused so, one that begins with `document` answers documents where `stream` is left out. Every key is good but
`invalid` and those that begin with `pk_`. Ids are counted, and the time stands still. What the manual does not say (a
body that does not fit, 405) is answered in the words of the framework below.
Source: docs.dimedove.com/api-reference and /developer/apps, openapi/apps-api.json, read 2026-11.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.base import Head, Script, Send, SimulatedRequest
from gateway.protocols.dimedove.plays import PLAYS, REFUSALS, Json, Play, Refused, Text
from gateway.protocols.dimedove.writing import Exchange, document, encode, framed, kept_parts, stream

NOW = 1709712000
FIRST = uuid.UUID("550e8400-e29b-41d4-a716-446655440000")
"""The id of the first conversation; the others are counted on from it."""

MAX_METADATA = 16 * 1024
MAX_PROMPT = 32_000
MAX_LIMIT = 100

REFUSED_APPS = {"denied": "access-denied", "inactive": "app-inactive", "unavailable": "agent-unavailable"}

_PLAY = re.compile(r"\[play:([a-z0-9-]+)\]\s*")
_WORD = re.compile(r"\S+\s*")


class Conversation(Struct):
    id: str
    app: str
    external_user_id: str | None
    title: str | None
    metadata: Json | None
    generated_title: dict[str, str] | None = None
    items: list[Json] = []
    is_deleted: bool = False

    def shown(self) -> Json:
        return {
            "id": self.id,
            "object": "conversation",
            "created_at": NOW,
            "external_user_id": self.external_user_id,
            "title": self.title,
            "generated_title": self.generated_title,
            "metadata": self.metadata,
        }


class DimedoveSimulator:
    plays: Mapping[str, str] = {
        "": "a friendly answer that comes word by word",
        **{name: play.shows for name, play in PLAYS.items()},
        **{name: refused.shows for name, refused in REFUSALS.items()},
    }

    def __init__(self, play: str = "") -> None:
        self._play = play
        self._conversations: list[Conversation] = []
        self._responses = 0
        self._items = 0
        self._calls = 1

    def answer(self, request: SimulatedRequest) -> Script:
        try:
            return self._answer(request)
        except _Refusal as refusal:
            return _document(refusal.refused.body, refusal.refused.status, refusal.refused.headers)

    def _answer(self, request: SimulatedRequest) -> Script:
        match request.path.split("/"):
            case ["", "apps", app, "config"]:
                _admit(request, app, "GET")
                return _document(_config(app))
            case ["", "apps", app, "metrics"]:
                _admit(request, app, "GET")
                return self._metrics(app)
            case ["", "apps", app, "conversations"]:
                if _admit(request, app, "GET", "POST") == "GET":
                    return _page(self._of(app), request.query)
                return self._create(app, _body(request))
            case ["", "apps", app, "users", user, "conversations"]:
                _admit(request, app, "GET")
                return _page([one for one in self._of(app) if one.external_user_id == user], request.query)
            case ["", "apps", app, "conversations", conversation]:
                method = _admit(request, app, "GET", "PATCH", "DELETE", "POST")
                return self._METHODS[method](self, self._find(app, conversation), request)
            case ["", "apps", app, "completions"]:
                _admit(request, app, "POST")
                return self._complete(app, _body(request))
            case _:
                raise _Refusal(Refused(404, {"detail": "Not Found"}))

    # Conversations.

    def _of(self, app: str) -> list[Conversation]:
        return [one for one in self._conversations if one.app == app and not one.is_deleted]

    def _find(self, app: str, conversation: str) -> Conversation:
        found = next((one for one in self._of(app) if one.id == conversation), None)
        if found is None:
            raise _Refusal(REFUSALS["not-found"])
        return found

    def _metrics(self, app: str) -> Script:
        known = self._of(app)
        return _document(
            {
                "total_conversations": len(known),
                "total_messages": sum(len(one.items) for one in known),
                "total_users": len({one.external_user_id for one in known} - {None}),
            }
        )

    def _create(self, app: str, body: Json) -> Script:
        _check(body, CREATE_FIELDS)
        conversation = Conversation(
            str(uuid.UUID(int=FIRST.int + len(self._conversations))),
            app,
            body.get("external_user_id"),
            body.get("title"),
            body.get("metadata"),
        )
        self._conversations.append(conversation)
        return _document(conversation.shown())

    def _show(self, conversation: Conversation, _: SimulatedRequest) -> Script:
        return _document({**conversation.shown(), "items": conversation.items})

    def _rename(self, conversation: Conversation, request: SimulatedRequest) -> Script:
        body = _body(request)
        _check(body, RENAME_FIELDS)
        conversation.title = body.get("title")
        return _document(conversation.shown())

    def _delete(self, conversation: Conversation, _: SimulatedRequest) -> Script:
        conversation.is_deleted = True
        return _document({"id": conversation.id, "object": "conversation", "deleted": True})

    # Answers.

    def _send(self, conversation: Conversation, request: SimulatedRequest) -> Script:
        body = _body(request)
        _check(body, SEND_FIELDS)
        message: Json = body["message"]
        _check(message, MESSAGE_FIELDS, "message")
        play = self._choose(message["content"])
        conversation.metadata = body.get("metadata") or conversation.metadata
        first_call = self._calls
        exchange = Exchange(
            self._respond("resp"), conversation.id, NOW, lambda number: f"call_{first_call + number - 1}"
        )
        self._keep(conversation, "user", [{"type": "text", "text": message["content"]}])
        if play.ends == "completed":
            parts = kept_parts(play, exchange.call)
            self._calls += sum(part["type"] == "tool-call" for part in parts)
            self._keep(conversation, "assistant", parts)
            conversation.generated_title = {"en-ca": "A question", "fr-ca": "Une question"}
        if play.is_document or not _streams(conversation.app, body):
            return [JSON, Send(document(play, exchange))]
        return [EVENTS, *stream(play, exchange)]

    def _complete(self, app: str, body: Json) -> Script:
        _check(body, COMPLETE_FIELDS)
        play = self._choose(body["prompt"])
        completion = {"id": self._respond("cmpl"), "object": "completion"}
        if _streams(app, body):
            return [EVENTS, *framed(play, {**completion, "status": "in_progress"}, str)]
        text = "".join(part["text"] for part in kept_parts(play, str) if part["type"] == "text")
        status = "failed" if play.ends == "failed" else "completed"
        return _document({**completion, "created_at": NOW, "text": text, "status": status})

    def _choose(self, text: str) -> Play:
        """The last play that the text names: what it quotes of the past stands in front."""
        named = [name for name in _PLAY.findall(text) if name in self.plays]
        name = named[-1] if named else self._play
        if name in REFUSALS:
            raise _Refusal(REFUSALS[name])
        return PLAYS.get(name) or _usual(_PLAY.sub("", text))

    def _respond(self, prefix: str) -> str:
        self._responses += 1
        return f"{prefix}_{self._responses}"

    def _keep(self, conversation: Conversation, role: str, parts: list[Json]) -> None:
        self._items += 1
        item = {"id": f"item_{self._items}", "type": "message", "role": role, "parts": parts, "created_at": NOW}
        conversation.items = [*conversation.items, item]

    _METHODS: Mapping[str, Callable[["DimedoveSimulator", Conversation, SimulatedRequest], Script]] = {
        "GET": _show,
        "PATCH": _rename,
        "DELETE": _delete,
        "POST": _send,
    }


JSON = Head(200, {"Content-Type": "application/json"})
EVENTS = Head(200, {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})


def _usual(question: str) -> Play:
    lines = [line for line in question.splitlines() if line.strip()]
    words = " ".join(lines[-1].split()[:6]) if lines else "nothing"
    text = f"You asked: “{words}”. I am a simulated Dimedove agent, so all I can do is repeat it."
    return Play("", (Text(tuple(_WORD.findall(text))),), pace=0.02)


def _document(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Script:
    return [Head(status, {**JSON.headers, **(headers or {})}), Send(encode(body))]


def _config(app: str) -> Json:
    config = {"primary_color": None, "secondary_color": None}
    agent = {"name": "Simulated agent", "config": config}
    return {"app_id": app, "stream": _streams(app, {}), "generative_ui": True, "agent": agent}


def _streams(app: str, body: Json) -> bool:
    """Without a word of the request the App's own default decides."""
    asked = body.get("stream")
    return not app.startswith("document") if asked is None else bool(asked)


def _page(conversations: list[Conversation], query: Mapping[str, str]) -> Script:
    """`after` and `before` are places in the order that is asked for."""
    limit = query.get("limit", "20")
    order = query.get("order", "desc")
    if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= MAX_LIMIT):
        raise _misfit("int_parsing", ["query", "limit"], "Input should be from 1 to 100")
    if order not in {"asc", "desc"}:
        raise _misfit("literal_error", ["query", "order"], "Input should be 'asc' or 'desc'")
    rows = conversations if order == "asc" else conversations[::-1]
    ids = [row.id for row in rows]
    start = _place(query, "after", ids) + 1 if "after" in query else 0
    stop = _place(query, "before", ids) if "before" in query else len(rows)
    data = rows[start:stop][: int(limit)]
    return _document(
        {
            "object": "list",
            "data": [row.shown() for row in data],
            "first_id": data[0].id if data else None,
            "last_id": data[-1].id if data else None,
            "has_more": len(rows[start:stop]) > len(data),
        }
    )


def _place(query: Mapping[str, str], name: str, ids: list[str]) -> int:
    if query[name] not in ids:
        raise _misfit("value_error", ["query", name], "Unknown conversation")
    return ids.index(query[name])


# --- what is refused


class _Refusal(Exception):
    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.shows)
        self.refused = refused


def _misfit(kind: str, place: list[str], why: str) -> _Refusal:
    return _Refusal(Refused(422, {"detail": [{"type": kind, "loc": place, "msg": why}]}))


def _admit(request: SimulatedRequest, app: str, *methods: str) -> str:
    """The method of a request that has a right one, a key and an App."""
    if request.method not in methods:
        raise _Refusal(Refused(405, {"detail": "Method Not Allowed"}, {"Allow": ", ".join(methods)}))
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not key or key == "invalid" or key.startswith("pk_"):
        raise _Refusal(REFUSALS["invalid-key"])
    if app.startswith("unknown"):
        raise _Refusal(REFUSALS["not-found"])
    for prefix, name in REFUSED_APPS.items():
        if app.startswith(prefix):
            raise _Refusal(REFUSALS[name])
    return request.method


def _body(request: SimulatedRequest) -> Json:
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _Refusal(REFUSALS["bad-request"]) from None
    if not isinstance(body, dict):
        raise _misfit("dict_type", ["body", "payload"], "Input should be an object")
    return body


Rule = Callable[[Any], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_text_or_null(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_flag_or_null(value: object) -> bool:
    return value is None or isinstance(value, bool)


def _is_metadata(value: object) -> bool:
    return value is None or (isinstance(value, dict) and len(encode(value)) <= MAX_METADATA)


def _is_prompt(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_PROMPT


class Fields(Struct, frozen=True):
    """Each field's rule and what it should be; fields of other names are passed over."""

    rules: dict[str, tuple[Rule, str]]
    required: tuple[str, ...] = ()


TEXT_OR_NULL = (_is_text_or_null, "a string or null")
METADATA = (_is_metadata, "an object of at most 16 KB or null")
STREAM = (_is_flag_or_null, "true, false or null")
FLAG = (_is_flag, "true or false")

CREATE_FIELDS = Fields({"external_user_id": TEXT_OR_NULL, "title": TEXT_OR_NULL, "metadata": METADATA})
RENAME_FIELDS = Fields({"title": TEXT_OR_NULL})
SEND_FIELDS = Fields(
    {"message": (lambda value: isinstance(value, dict), "an object"), "stream": STREAM, "metadata": METADATA},
    ("message",),
)
MESSAGE_FIELDS = Fields(
    {"content": (_is_text, "a string"), "role": (lambda value: value == "user", "'user'")}, ("content",)
)
COMPLETE_FIELDS = Fields(
    {
        "prompt": (_is_prompt, "a string of 1 to 32000 characters"),
        "stream": STREAM,
        "knowledge_search": FLAG,
        "fast": FLAG,
        "metadata": METADATA,
    },
    ("prompt",),
)


def _check(body: Json, fields: Fields, *place: str) -> None:
    where = ["body", "payload", *place]
    for name in fields.required:
        if name not in body:
            raise _misfit("missing", [*where, name], "Field required")
    for name, (is_right, what) in fields.rules.items():
        if name in body and not is_right(body[name]):
            raise _misfit("value_error", [*where, name], f"Input should be {what}")

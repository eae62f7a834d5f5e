"""Sema4.ai, played: conversations with messages, files and data frames, runs as a stream or a document, refusals.

    GET    /agents, /agents/{agent}
    GET    /agents/{agent}/conversations                    POST {"name"}
    DELETE /agents/{agent}/conversations/{id}
    GET    .../messages                                     POST {"content"} -> a document
    POST   .../stream {"content"}                           -> the run as a stream
    GET    .../files                                        POST a form with `files`
    GET    .../files/download/?file_ref=
    GET    .../data-frames?num_samples=                     GET .../data-frames/{name}

Every agent exists whose id does not begin with `unknown`; every key is good but `invalid` and `forbidden`. A list is
paged where a `limit` is asked for. Ids are counted, and the time stands still. Where the dossier is silent (fields that
it does not name) the simulator refuses.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, cast
from urllib.parse import quote

import msgspec
from msgspec import Struct

from gateway.protocols.base import Head, Script, Send, SimulatedRequest
from gateway.protocols.sema4.plays import PLAYS, Fields, Frame, Play, Said, usual
from gateway.protocols.sema4.telling import NOW, Names, encode, stored, stream

STREAM_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "Connection": "keep-alive",
    "X-Accel-Buffering": "no",
}
PARQUET = b"PAR1\x15\x04\x15\x00PAR1"
PAGE = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

_PLAY = re.compile(r"\[play:([a-z0-9-]+)\]")
_INTEGER = re.compile(r"-?[0-9]{1,9}")
_MANY = 10**9


class Refused(Struct, frozen=True):
    """`detail`: in the web framework's own words, not in the vendor's."""

    status: int
    code: str
    message: str
    detail: bool = False


REFUSALS: dict[str, Refused] = {
    "bad-request": Refused(400, "bad_request", "Bad request"),
    "unauthorized": Refused(401, "unauthorized", "Invalid API key"),
    "forbidden": Refused(403, "forbidden", "The API key may not do this"),
    "agent-not-found": Refused(404, "not_found", "Agent not found"),
    "thread-not-found": Refused(404, "not_found", "Thread not found"),
    "not-found-plain": Refused(404, "not_found", "Thread not found", detail=True),
    "conflict": Refused(409, "conflict", "Conflict"),
    "invalid-body": Refused(422, "unprocessable_entity", "Request validation failed: content: Field required"),
    "too-many": Refused(429, "too_many_requests", "Quota exceeded"),
    "unexpected": Refused(500, "unexpected", "An unexpected error occurred"),
    "internal-error": Refused(500, "internal_error", "Internal error"),
    "bad-gateway": Refused(502, "", ""),
}


class StoredFile(Struct):
    id: str
    name: str
    media_type: str
    data: bytes


class Conversation(Struct):
    id: str
    agent: str
    name: str
    messages: list[Fields] = []
    files: list[StoredFile] = []
    frames: dict[str, Frame] = {}


class Sema4Simulator:
    plays: Mapping[str, str] = {
        "": "a thought, and a friendly answer that comes word by word",
        **{name: play.shows for name, play in PLAYS.items()},
        **{name: f"refused: {refused.status} {refused.code}".rstrip() for name, refused in REFUSALS.items()},
    }

    def __init__(self, play: str = "") -> None:
        self._play = play
        self._conversations: dict[str, Conversation] = {}
        self._ids = 0

    def answer(self, request: SimulatedRequest) -> Script:
        try:
            _admit(request)
            return self._answer(request)
        except _Refusal as refusal:
            return self._refuse(refusal.refused)

    def _answer(self, request: SimulatedRequest) -> Script:
        match request.path.split("/"):
            case ["", "agents"]:
                return _routed(request, {"GET": lambda: _page([_agent("a1")], request)})
            case ["", "agents", agent]:
                _known_agent(agent)
                return _routed(request, {"GET": lambda: _document(_agent(agent))})
            case ["", "agents", agent, "conversations"]:
                _known_agent(agent)
                return _routed(
                    request, {"GET": lambda: self._list(request, agent), "POST": lambda: self._create(request, agent)}
                )
            case ["", "agents", agent, "conversations", conversation]:
                known = self._find(agent, conversation, "Conversation not found")
                return _routed(request, {"DELETE": lambda: self._delete(known)})
            case ["", "agents", agent, "conversations", conversation, *rest]:
                missing = "Thread not found" if rest == ["stream"] else "Conversation not found"
                return self._answer_within(request, self._find(agent, conversation, missing), rest)
        raise _Refusal(Refused(404, "not_found", "Not Found"))

    def _answer_within(self, request: SimulatedRequest, conversation: Conversation, rest: list[str]) -> Script:
        match rest:
            case ["messages"]:
                return _routed(
                    request,
                    {
                        "GET": lambda: _page(conversation.messages, request),
                        "POST": lambda: self._run_to_its_end(request, conversation),
                    },
                )
            case ["stream"]:
                return _routed(request, {"POST": lambda: self._stream(request, conversation)})
            case ["files"]:
                files = conversation.files
                return _routed(
                    request,
                    {
                        "GET": lambda: _document([_file(file, conversation) for file in files]),
                        "POST": lambda: self._store(request, conversation),
                    },
                )
            case ["files", "download", ""]:
                return _routed(request, {"GET": lambda: _download(request, conversation)})
            case ["data-frames"]:
                return _routed(request, {"GET": lambda: _list_frames(request, conversation)})
            case ["data-frames", *name]:
                return _routed(request, {"GET": lambda: _read_frame(request, conversation, "/".join(name))})
        raise _Refusal(Refused(404, "not_found", "Not Found"))

    # Conversations.

    def _list(self, request: SimulatedRequest, agent: str) -> Script:
        return _page([_shown(each) for each in self._conversations.values() if each.agent == agent], request)

    def _create(self, request: SimulatedRequest, agent: str) -> Script:
        conversation = Conversation(self._new_id(), agent, _only_text(request.body, "name"))
        self._conversations[conversation.id] = conversation
        return _document(_shown(conversation))

    def _delete(self, conversation: Conversation) -> Script:
        del self._conversations[conversation.id]
        return _document(_shown(conversation))

    def _find(self, agent: str, conversation: str, missing: str) -> Conversation:
        _known_agent(agent)
        known = self._conversations.get(conversation)
        if known is None or known.agent != agent:
            raise _Refusal(Refused(404, "not_found", missing))
        return known

    # Runs.

    def _stream(self, request: SimulatedRequest, conversation: Conversation) -> Script:
        play, names = self._begin(request, conversation)
        if play.ending == "finished":
            conversation.messages += stored(play, names)
        return [Head(200, STREAM_HEADERS), *stream(play, names)]

    def _run_to_its_end(self, request: SimulatedRequest, conversation: Conversation) -> Script:
        play, names = self._begin(request, conversation)
        if play.ending != "finished":
            raise _Refusal(REFUSALS["unexpected"])
        answers = stored(play, names)
        conversation.messages += answers
        match play.document:
            case "data":
                return _document({"next": None, "has_more": False, "data": conversation.messages})
            case "messages":
                plain = [_plain_message(message) for message in conversation.messages]
                return _document({**_shown(conversation), "messages": plain})
            case "list":
                return _document(conversation.messages)
            case _:
                return _document({"id": answers[-1]["message_id"], "content": _text(answers[-1])})

    def _begin(self, request: SimulatedRequest, conversation: Conversation) -> tuple[Play, Names]:
        """The message is stored before the run: what follows may still fail."""
        text = _only_text(request.body, "content")
        chosen = [name for name in _PLAY.findall(text) if name in self.plays]
        name = chosen[-1] if chosen else self._play
        if name in REFUSALS:
            raise _Refusal(REFUSALS[name])
        conversation.messages.append(self._asked(text))
        play = PLAYS.get(name) or usual(text)
        conversation.frames.update({frame.name: frame for frame in play.frames})
        messages = sum(isinstance(part, Said) for part in play.parts)
        run = self._new_id()
        ids = tuple(self._new_id() for _ in range(messages))
        return play, Names(run, conversation.id, conversation.agent, ids)

    def _asked(self, text: str) -> Fields:
        content = {"content_id": self._new_id(), "kind": "text", "complete": True, "text": text, "citations": []}
        return {
            "message_id": self._new_id(),
            "role": "user",
            "content": [content],
            "created_at": NOW,
            "updated_at": NOW,
            "agent_metadata": {},
            "server_metadata": {},
            "parent_run_id": None,
            "complete": True,
            "commited": True,
        }

    # Files.

    def _store(self, request: SimulatedRequest, conversation: Conversation) -> Script:
        parts = _form(request)
        if not parts:
            raise _invalid("files: Field required")
        uploaded = [StoredFile(self._new_id(), *part) for part in parts]
        names = {file.name for file in uploaded}
        conversation.files = [file for file in conversation.files if file.name not in names] + uploaded
        return _document([_file(file, conversation) for file in uploaded])

    # What all of them use.

    def _new_id(self) -> str:
        self._ids += 1
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"sema4:{self._ids}"))

    def _refuse(self, refused: Refused) -> Script:
        if refused.status == 502:
            return [Head(502, {"Content-Type": "text/html"}), Send(PAGE)]
        if refused.detail:
            return _document({"detail": refused.message}, refused.status)
        error = {"error_id": self._new_id(), "code": refused.code, "message": refused.message}
        return _document({"error": error}, refused.status)


# --- what is refused


class _Refusal(Exception):
    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.code)
        self.refused = refused


def _invalid(why: str) -> _Refusal:
    return _Refusal(Refused(422, "unprocessable_entity", f"Request validation failed: {why}"))


def _admit(request: SimulatedRequest) -> None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme == "Snowflake" and key.startswith('Token="') and key.endswith('"'):
        key = key[7:-1]
    elif scheme != "Bearer":
        key = ""
    if key in {"", "invalid"}:
        raise _Refusal(REFUSALS["unauthorized"])
    if key == "forbidden":
        raise _Refusal(REFUSALS["forbidden"])


def _known_agent(agent: str) -> None:
    if not agent or agent.startswith("unknown"):
        raise _Refusal(REFUSALS["agent-not-found"])


def _routed(request: SimulatedRequest, methods: Mapping[str, Callable[[], Script]]) -> Script:
    answer = methods.get(request.method)
    if answer is None:
        raise _Refusal(Refused(405, "method_not_allowed", "Method Not Allowed"))
    return answer()


def _only_text(body: bytes, field: str) -> str:
    """The one field that a body holds."""
    try:
        sent = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _invalid("body: JSON decode error") from None
    if not isinstance(sent, dict) or field not in sent:
        raise _invalid(f"{field}: Field required")
    if not isinstance(sent[field], str) or not sent[field]:
        raise _invalid(f"{field}: Input should be a valid string")
    if len(sent) > 1:
        raise _invalid("Extra inputs are not permitted")
    return cast("str", sent[field])


def _form(request: SimulatedRequest) -> list[tuple[str, str, bytes]]:
    """Name, media type and bytes of each part that is called `files`."""
    media_type = request.headers.get("Content-Type", "")
    if not media_type.startswith("multipart/form-data"):
        raise _invalid("files: Field required")
    whole = b"Content-Type: %b\r\n\r\n%b" % (media_type.encode(), request.body)
    parts: list[tuple[str, str, bytes]] = []
    for part in BytesParser(policy=HTTP).parsebytes(whole).iter_parts():
        name = part.get_filename()
        if part.get_param("name", header="content-disposition") == "files" and name:
            parts.append((name, part.get_content_type(), cast("bytes", part.get_payload(decode=True))))
    return parts


def _number(request: SimulatedRequest, name: str, otherwise: int, lowest: int) -> int:
    text = request.query.get(name)
    if text is None:
        return otherwise
    if not _INTEGER.fullmatch(text) or int(text) < lowest:
        raise _invalid(f"{name}: Input should be a valid integer")
    return int(text)


# --- what is shown


def _document(value: object, status: int = 200) -> Script:
    return [Head(status, {"Content-Type": "application/json"}), Send(encode(value))]


def _page(entries: list[Fields], request: SimulatedRequest) -> Script:
    limit = _number(request, "limit", _MANY, 1)
    start = _number(request, "next", 0, 0)
    end = start + limit
    more = end < len(entries)
    return _document({"next": str(end) if more else None, "has_more": more, "data": entries[start:end]})


def _agent(agent: str) -> Fields:
    return {"id": agent, "name": "Invoices", "description": "Knows all invoices", "mode": "conversational"}


def _shown(conversation: Conversation) -> Fields:
    return {"id": conversation.id, "name": conversation.name, "agent_id": conversation.agent}


def _plain_message(message: Fields) -> Fields:
    """As v1 has it."""
    role = "human" if message["role"] == "user" else "agent"
    return {"id": message["message_id"], "type": role, "content": _text(message)}


def _text(message: Fields) -> str:
    return "".join(content.get("text", "") for content in message["content"])


def _file(file: StoredFile, conversation: Conversation) -> Fields:
    return {
        "file_id": file.id,
        "file_path": None,
        "file_ref": file.name,
        "file_hash": f"{len(file.data):064x}",
        "file_size_raw": len(file.data),
        "mime_type": file.media_type,
        "created_at": NOW,
        "embedded": False,
        "file_path_expiration": None,
        "agent_id": conversation.agent,
        "thread_id": conversation.id,
        "user_id": None,
        "file_url": None,
        "work_item_id": None,
    }


def _download(request: SimulatedRequest, conversation: Conversation) -> Script:
    ref = request.query.get("file_ref")
    if ref is None:
        raise _invalid("file_ref: Field required")
    for file in conversation.files:
        if file.name == ref:
            disposition = f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"
            return [Head(200, {"Content-Type": file.media_type, "Content-Disposition": disposition}), Send(file.data)]
    raise _Refusal(Refused(404, "not_found", "File not found"))


def _list_frames(request: SimulatedRequest, conversation: Conversation) -> Script:
    samples = _number(request, "num_samples", 0, -1)
    return _document([_frame(frame, samples, conversation) for frame in conversation.frames.values()])


def _frame(frame: Frame, samples: int, conversation: Conversation) -> Fields:
    return {
        "data_frame_id": f"df-{frame.name}",
        "thread_id": conversation.id,
        "name": frame.name,
        "sheet_name": None,
        "description": None,
        "num_rows": len(frame.rows),
        "num_columns": len(frame.columns),
        "created_at": NOW,
        "column_headers": frame.columns,
        "sample_rows": frame.rows if samples < 0 else frame.rows[:samples],
        "input_id_type": "in_memory",
        "parent_data_frame_ids": None,
        "file_id": None,
        "file_ref": None,
        "sql_dialect": None,
        "sql_query": None,
    }


def _read_frame(request: SimulatedRequest, conversation: Conversation, name: str) -> Script:
    frame = conversation.frames.get(name)
    if frame is None:
        raise _Refusal(Refused(404, "not_found", "Data frame not found"))
    rows = _slice(request, frame)
    match request.query.get("output_format", "json"):
        case "json":
            return _document(_written(frame, rows))
        case "parquet":
            disposition = f'attachment; filename="{name}.parquet"'
            headers = {"Content-Type": "application/octet-stream", "Content-Disposition": disposition}
            return [Head(200, headers), Send(PARQUET)]
    raise _invalid("output_format: Input should be 'json' or 'parquet'")


def _slice(request: SimulatedRequest, frame: Frame) -> list[Fields]:
    rows = [dict(zip(frame.columns, row, strict=True)) for row in frame.rows]
    order = request.query.get("order_by", "")
    column = order.removeprefix("-")
    wanted = [name for name in request.query.get("column_names", "").split(",") if name] or list(frame.columns)
    unknown = {*wanted, *filter(None, [column])} - set(frame.columns)
    if unknown:
        raise _Refusal(Refused(400, "bad_request", f"No such column: {min(unknown)}"))
    if column:
        rows.sort(key=lambda row: _sort_key(row[column]), reverse=order.startswith("-"))
    offset, limit = _number(request, "offset", 0, 0), _number(request, "limit", -1, -1)
    end = len(rows) if limit < 0 else offset + limit
    return [{name: row[name] for name in wanted} for row in rows[offset:end]]


def _sort_key(value: Any) -> tuple[bool, Any]:
    return value is not None, 0 if value is None else value


def _written(frame: Frame, rows: list[Fields]) -> object:
    lists = [list(row.values()) for row in rows]
    columns = list(rows[0]) if rows else list(frame.columns)
    match frame.shape:
        case "lists":
            return lists
        case "columns":
            return {"columns": columns, "rows": lists}
        case "data":
            return {"columns": columns, "data": lists}
        case _:
            return rows

"""Dynamiq, simulated: the management API and one App's host below one address.

    POST, GET    /v1/conversations                    {app_id or model_id, title?}; page, page_size, sort
    GET, DELETE  /v1/conversations/{id}
    POST         /v3/conversations/{id}/messages      -> SSE
    POST, GET    /v1/runs                             sync, `stream` or `background`; JSON or a form
    GET          /v1/runs/{id}, /v1/runs/{id}/events, /v1/runs/{id}/stream?after_sequence=
    POST         /v1/runs/{id}/input, /v1/runs/{id}/cancel
    POST         /v1/files                            one `file` in a form

Every App and model exists but UNKNOWN; every key is good but `invalid` (401), `other-project` (403) and, on the App's
host, a Personal Access Token (403). A run remembers what it told, so that it can be resumed, answered and canceled; a
background run is started at the first look at it, and done at the second. Ids are counted, and the time stands still.
Where the manual is silent (405, a message for a run that is over) the simulator refuses.
Source: docs.getdynamiq.ai/docs/api-reference, read 2026-11. The plays are in `plays.py`.
"""

import re
from collections.abc import Iterator, Mapping
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import msgspec
from msgspec import Struct

from gateway.protocols.base import Head, Pause, Script, Send, SimulatedRequest, Step
from gateway.protocols.dynamiq.plays import (
    BAD_GATEWAY,
    CANCELED,
    CHOICE,
    HEARTBEAT_SECONDS,
    PLAYS,
    REFUSALS,
    RUN,
    Act,
    Acts,
    Ask,
    Cut,
    Play,
    Refusal,
    Silence,
    Tell,
    usual,
)

NOW = "2026-06-10T09:11:00Z"
APP = "0c9a4e5e-0d5b-4c8e-9f5a-6f1d2c3b4a59"
ORG = "1d0b5f6f-1e6c-4d9f-8a6b-7a2e3d4c5b6a"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
MAX_PAGE_SIZE = 100

JSON = {"Content-Type": "application/json"}
STREAM = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "Connection": "keep-alive"}
PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>\n"
ENDED = frozenset({"completed", "failed", "canceled"})
ENDS = {"run.completed": "completed", "run.failed": "failed", "run.canceled": "canceled", "run.cancelled": "canceled"}

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_LOST_HEAD = (Head(502, {"Content-Type": "text/html"}), Send(PAGE))

Json = dict[str, Any]


class Refused(Exception):
    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal


class Lost(Exception):
    """The request never reached the vendor: its gateway answers with a page."""


class Run(Struct):
    """`pending` is what it will tell once somebody listens again, `after` once it has its input."""

    id: str
    input: Any
    more: Json
    status: str = "started"
    is_conversation: bool = False
    sequence: int = 0
    told: list[Json] = []
    text: str = ""
    pending: Acts = ()
    after: Acts = ()
    asked: Json | None = None


class DynamiqSimulator:
    plays: Mapping[str, str] = {
        "": "a friendly answer that comes word by word",
        **{name: play.shows for name, play in PLAYS.items()},
        **{name: f"refused: {refusal.status} {refusal.code}" for name, refusal in REFUSALS.items()},
        BAD_GATEWAY: "refused: a page of HTML with 502",
    }

    def __init__(self, play: str = "", now: str = NOW) -> None:
        self._play = play
        self._now = now
        self._made = 0
        self._conversations: dict[str, Json] = {}
        self._runs: dict[str, Run] = {}
        self._files: dict[str, Json] = {}

    def answer(self, request: SimulatedRequest) -> Script:
        try:
            return list(self._answer(request))
        except Refused as refused:
            refusal = refused.refusal
            details = {"details": refusal.details} if refusal.details else {}
            error = {"code": refusal.code, "message": refusal.message, **details}
            return list(_json(refusal.status, {"error": error}))
        except Lost:
            return _LOST_HEAD

    def _answer(self, request: SimulatedRequest) -> Iterator[Step]:
        segments = request.path.strip("/").split("/")
        is_app = segments[:2] in (["v1", "runs"], ["v1", "files"])
        _admit(request, is_app=is_app)
        match request.method, segments:
            case "POST", ["v1", "conversations"]:
                return self._create(_body(request))
            case "GET", ["v1", "conversations"]:
                return self._list(request.query)
            case "GET", ["v1", "conversations", conversation]:
                return _json(200, {"data": _owned(self._conversation(conversation))})
            case "DELETE", ["v1", "conversations", conversation]:
                del self._conversations[self._conversation(conversation)["id"]]
                return _json(200, {"message": "deleted"})
            case "POST", ["v3", "conversations", conversation, "messages"]:
                return self._take_message(self._conversation(conversation), _body(request))
            case "POST", ["v1", "files"]:
                return self._store(request)
            case _, ["v1", "runs", *rest]:
                return self._answer_run(request, rest)
        raise Refused(_unknown("Route") if request.method in {"GET", "POST", "DELETE"} else _WRONG_METHOD)

    def _answer_run(self, request: SimulatedRequest, rest: list[str]) -> Iterator[Step]:
        match request.method, rest:
            case "POST", []:
                return self._start(request)
            case "GET", []:
                return self._list_runs(request.query)
            case "GET", [run]:
                return self._look(self._run(run))
            case "GET", [run, "events"]:
                return _json(200, _page(self._run(run).told, request.query, "sequence"))
            case "GET", [run, "stream"]:
                return self._follow(self._run(run), request.query)
            case "POST", [run, "input"]:
                return self._take_input(self._run(run), _body(request))
            case "POST", [run, "cancel"]:
                return self._cancel(self._run(run))
        raise Refused(_WRONG_METHOD)

    # --- conversations

    def _create(self, body: Json) -> Iterator[Step]:
        owners = {name: body[name] for name in ("app_id", "model_id") if body.get(name) is not None}
        if len(owners) != 1:
            raise _bad(app_id="exactly one of app_id and model_id is required")
        ((name, owner),) = owners.items()
        if not isinstance(owner, str) or not _UUID.fullmatch(owner):
            raise _bad(**{name: "must be a valid UUID"})
        if owner == UNKNOWN:
            raise Refused(_unknown("App" if name == "app_id" else "Model"))
        if not isinstance(body.get("title", ""), str):
            raise _bad(title="must be a string")
        times = {"created_at": self._now, "updated_at": self._now}
        conversation = {"id": self._new_id(), "title": body.get("title"), **owners, "org_id": ORG, **times}
        self._conversations[conversation["id"]] = conversation
        return _json(200, {"data": conversation})

    def _list(self, query: Mapping[str, str]) -> Iterator[Step]:
        wanted: Json = {name: query[name] for name in ("app_id", "model_id", "org_id") if name in query}
        found = [item for item in self._conversations.values() if all(item.get(n) == v for n, v in wanted.items())]
        return _json(200, _page([_owned(item) for item in found], query, "created_at"))

    def _conversation(self, conversation: str) -> Json:
        known = self._conversations.get(conversation)
        if known is None:
            raise Refused(_unknown("Conversation"))
        return known

    def _take_message(self, conversation: Json, body: Json) -> Iterator[Step]:
        question, files = self._read_content(body.get("content"))
        if "model_id" in conversation and body.get("model_id") != conversation["model_id"]:
            raise _bad(model_id="cannot be blank")
        if not isinstance(body.get("subagents_enabled", False), bool):
            raise _bad(subagents_enabled="must be a boolean")
        play = self._choose(question, files)
        run = self._begin(question, {}, play, is_conversation=True)
        return self._stream(run, play.acts)

    def _read_content(self, content: Any) -> tuple[str, list[str]]:
        if not isinstance(content, list) or not content:
            raise _bad(content="cannot be blank")
        said = [self._read_part(part) for part in content]
        return "\n".join(text for text, _ in said if text), [name for _, name in said if name]

    def _read_part(self, part: Any) -> tuple[str, str]:
        match part:
            case {"type": "text", "text": str(text)} if text.strip():
                return text, ""
            case {"type": "text"}:
                raise _bad(text="cannot be blank")
            case {"type": "file", "file": {"id": str(file), "name": str(name)}} if file in self._files and name:
                return "", name
            case {"type": "file"}:
                raise _bad(file="is unknown")
        raise _bad(content="is invalid")

    # --- runs

    def _choose(self, question: str, files: list[str]) -> Play:
        """The last play that the message names: what it quotes of the past stands in front."""
        named = [name for name in CHOICE.findall(question) if name in self.plays]
        name = named[-1] if named else self._play
        if name in REFUSALS:
            raise Refused(REFUSALS[name])
        if name == BAD_GATEWAY:
            raise Lost
        return PLAYS.get(name) or usual(question, files)

    def _begin(self, asked: Any, more: Json, play: Play, *, is_conversation: bool) -> Run:
        run = Run(self._new_id(), asked, more, is_conversation=is_conversation, after=play.after)
        self._runs[run.id] = run
        return run

    def _start(self, request: SimulatedRequest) -> Iterator[Step]:
        body, files = self._read_start(request)
        streams, waits = body.get("stream", False), body.get("background", False)
        if streams and waits:
            raise _bad(background="cannot be combined with stream")
        if not isinstance(body.get("input"), dict) or not body["input"]:
            raise _bad(input="cannot be blank")
        question = next((value for value in body["input"].values() if isinstance(value, str)), "")
        play = self._choose(question, files)
        more: Json = {name: body[name] for name in ("user_id", "session_id") if name in body}
        run = self._begin(body["input"], more, play, is_conversation=False)
        if streams:
            return self._stream(run, play.acts)
        if waits:
            run.status, run.pending = "created", play.acts
            return _json(202, {"data": self._tell(run)})
        self._finish(run, play.acts)
        return _json(200, {"data": self._tell(run)})

    def _read_start(self, request: SimulatedRequest) -> tuple[Json, list[str]]:
        if not request.headers.get("Content-Type", "").startswith("multipart/"):
            body = _body(request)
            ids = body.get("file_ids", [])
            if not all(file in self._files for file in ids):
                raise _bad(file_ids="is unknown")
            return body, [self._files[file]["name"] for file in ids]
        parts = _form(request)
        fields = {_name(part): _bytes(part) for part in parts if not part.get_filename()}
        asked = _decode(fields.pop("input", b"null"))
        flags = {name: value == b"true" for name, value in fields.items() if name in {"stream", "background"}}
        return {"input": asked, **flags}, [part.get_filename() or "" for part in parts if _name(part) == "files"]

    def _stream(self, run: Run, acts: Acts) -> Iterator[Step]:
        yield Head(200, STREAM)
        yield from self._perform(run, acts)

    def _perform(self, run: Run, acts: Acts) -> Iterator[Step]:
        """Tells the acts up to a cut; what follows is told to who listens next."""
        for number, act in enumerate(acts):
            match act:
                case Cut():
                    run.pending = acts[number + 1 :]
                    return
                case Silence(heartbeats):
                    yield from _heartbeats(heartbeats)
                case Ask(tell, asked):
                    event = self._tell_event(run, tell)
                    run.status = "paused"
                    run.asked = _request(event["data"], asked)
                    yield _event(event, tell.lines)
                case _:
                    if act.seconds:
                        yield Pause(act.seconds)
                    yield _event(self._tell_event(run, act), act.lines)
                    run.status = ENDS.get(act.type, run.status)

    def _finish(self, run: Run, acts: Acts) -> None:
        """The whole run, with nobody listening."""
        run.pending = tuple(act for act in acts if not isinstance(act, Cut))
        for _ in self._perform(run, run.pending):
            pass
        run.pending = ()

    def _tell_event(self, run: Run, act: Tell) -> Json:
        data = {name: run.id if value == RUN else value for name, value in act.data.items()}
        if act.type == "agent.response.delta":
            run.text += data["delta"]
        if act.type == "run.completed" and not run.is_conversation:
            data = {"id": run.id, **data, "output": data.get("output") or {"content": run.text}}
        run.sequence += act.gap
        place = {"id": self._new_id(), "type": act.type, "sequence": run.sequence, "timestamp": self._now}
        event = {**place, "data": data}
        run.told.append(event)
        return event

    def _run(self, run: str) -> Run:
        known = self._runs.get(run)
        if known is None:
            raise Refused(_unknown("Run"))
        return known

    def _look(self, run: Run) -> Iterator[Step]:
        if run.status == "created":
            run.status = "started"
        elif run.status == "started" and run.pending:
            self._finish(run, run.pending)
        return _json(200, {"data": self._tell(run)})

    def _tell(self, run: Run) -> Json:
        status = "awaiting_input" if run.status == "paused" else run.status
        told: Json = {"id": run.id, "app_id": APP, "status": status, "started_at": self._now, "input": run.input}
        if run.status in ENDED:
            told["ended_at"] = self._now
        if run.status == "completed":
            told["output"] = run.told[-1]["data"].get("output") or {"content": run.text}
        if run.asked is not None:
            told["input_requests"] = [run.asked]
        return {**told, **run.more}

    def _list_runs(self, query: Mapping[str, str]) -> Iterator[Step]:
        runs = [self._tell(run) for run in self._runs.values()]
        wanted: Json = {name: query[name] for name in ("status", "user_id", "session_id") if name in query}
        found = [run for run in runs if all(run.get(name) == value for name, value in wanted.items())]
        return _json(200, _page(found, query, "started_at"))

    def _follow(self, run: Run, query: Mapping[str, str]) -> Iterator[Step]:
        """What was told from `after_sequence` on, that one once more; then what is still to come."""
        after = _number(query, "after_sequence", 0)
        yield Head(200, STREAM)
        for event in run.told:
            if event["sequence"] >= after:
                yield _event(event)
        pending, run.pending = run.pending, ()
        yield from self._perform(run, pending)
        if run.status not in ENDED:
            yield from _heartbeats(3)

    def _take_input(self, run: Run, body: Json) -> Iterator[Step]:
        kind, data, asked = body.get("type"), body.get("data"), run.asked
        if asked is None:
            raise _bad(status="the run does not wait for input")
        if kind != asked["type"] or not isinstance(data, dict):
            raise _bad(type="is invalid")
        if data.get("request_id") != asked["id"]:
            raise _bad(request_id="is unknown")
        answer = _verdict(data, asked) if kind == "approval_request" else data.get("feedback")
        if not isinstance(answer, str) or not answer.strip():
            raise _bad(feedback="cannot be blank")
        run.asked, run.status = None, "started"
        run.pending = tuple(_answered(act, answer) for act in run.after)
        return _json(200, {"message": "ok"})

    def _cancel(self, run: Run) -> Iterator[Step]:
        if run.status not in ENDED:
            run.asked = None
            self._finish(run, (CANCELED,))
        return _json(200, {"message": "canceled"})

    # --- files

    def _store(self, request: SimulatedRequest) -> Iterator[Step]:
        files = [part for part in _form(request) if _name(part) == "file"]
        if len(files) != 1:
            raise _bad(file="exactly one is required")
        data = _bytes(files[0])
        name, kind = files[0].get_filename() or "file", files[0].get_content_type()
        file: Json = {"id": self._new_id(), "name": name, "size": len(data), "mime_type": kind}
        self._files[file["id"]] = file
        return _json(200, {"data": file})

    def _new_id(self) -> str:
        self._made += 1
        return str(uuid5(NAMESPACE_URL, f"dynamiq/{self._made}"))


# --- what is refused


_WRONG_METHOD = Refusal(405, "method_not_allowed", "Method Not Allowed")


def _bad(**details: str) -> Refused:
    return Refused(Refusal(400, "bad_request", "Bad Request", details))


def _unknown(what: str) -> Refusal:
    return Refusal(404, "not_found", f"{what} not found")


def _admit(request: SimulatedRequest, *, is_app: bool) -> None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme != "Bearer" or not key or key == "invalid":
        raise Refused(REFUSALS["unauthorized"])
    if key == "other-project" or (is_app and key.startswith(("dyn_pat_", "uak_"))):
        raise Refused(REFUSALS["forbidden"])


def _body(request: SimulatedRequest) -> Json:
    body = _decode(request.body)
    if not isinstance(body, dict):
        raise _bad(error="expected an object")
    return body


def _decode(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Refused(Refusal(400, "bad_request", "Failed to parse data")) from None


def _form(request: SimulatedRequest) -> list[Message]:
    head = f"Content-Type: {request.headers.get('Content-Type', '')}\r\n\r\n".encode()
    form = BytesParser(policy=HTTP).parsebytes(head + request.body)
    parts = form.get_payload()
    if not isinstance(parts, list):
        raise _bad(file="expected a form")
    return [part for part in parts if isinstance(part, Message)]


def _name(part: Message) -> str:
    return str(part.get_param("name", "", "Content-Disposition"))


def _bytes(part: Message) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""


def _verdict(data: Json, asked: Json) -> str:
    params = data.get("params", {})
    if not isinstance(data.get("approved"), bool) or not isinstance(params, dict):
        raise _bad(approved="must be a boolean")
    if not params.keys() <= set(asked.get("editable_params", ())):
        raise _bad(params="cannot be edited")
    changed = f" with {_encode(params).decode()}" if params else ""
    remark = f" ({data['feedback']})" if data.get("feedback") else ""
    return ("approved" if data["approved"] else "declined") + changed + remark


# --- what is told


def _request(data: Json, kind: str) -> Json:
    """A request as the run shows it; without an id of its own it can still be answered by its place."""
    told: Json = {name: data[name] for name in ("params", "editable_params") if name in data}
    prompt = data.get("prompt") or data.get("template")
    if "mutable_data_params" in data:
        told = {"params": data["data"], "editable_params": data["mutable_data_params"]}
    return {"id": data.get("id", "input_0"), "type": kind, "prompt": prompt, **told}


def _answered(act: Act, answer: str) -> Act:
    if not isinstance(act, Tell) or "delta" not in act.data:
        return act
    data = {**act.data, "delta": act.data["delta"].replace("{answer}", answer)}
    return Tell(act.type, data, act.gap, act.lines)


def _owned(conversation: Json) -> Json:
    return {**conversation, "user_id": "user-1", "sandbox_id": None}


def _page(items: list[Json], query: Mapping[str, str], time: str) -> Json:
    """Items come in the order in which they were made; the newest stand first unless another order is asked for."""
    number, size = _number(query, "page", 1), min(_number(query, "page_size", 25), MAX_PAGE_SIZE)
    sort = query.get("sort", time if time == "sequence" else f"-{time}")
    if sort not in {time, f"-{time}"}:
        raise _bad(sort="is invalid")
    ordered = items[::-1] if sort.startswith("-") else items
    counts = {"page": number, "page_size": size, "page_count": -(-len(items) // size), "total_count": len(items)}
    return {"data": ordered[(number - 1) * size : number * size], "pagination": counts}


def _number(query: Mapping[str, str], name: str, otherwise: int) -> int:
    text = query.get(name)
    if text is None:
        return otherwise
    if not text.isdecimal() or int(text) < 1:
        raise _bad(**{name: "must be a positive number"})
    return int(text)


def _heartbeats(count: int) -> Iterator[Step]:
    for _ in range(count):
        yield Pause(HEARTBEAT_SECONDS)
        yield Send(b": heartbeat\n\n")


def _event(event: Json, lines: str = "both") -> Send:
    shown = {name: value for name, value in event.items() if name != "type" or lines != "event"}
    name = b"" if lines == "data" else b"event: %b\n" % event["type"].encode()
    return Send(b"%bdata: %b\n\n" % (name, _encode(shown)))


def _json(status: int, body: Json) -> Iterator[Step]:
    yield Head(status, JSON)
    yield Send(_encode(body))


def _encode(value: object) -> bytes:
    return msgspec.json.encode(value)

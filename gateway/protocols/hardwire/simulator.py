"""Hardwire, simulated: accounts, chats, workflow runs, in the words of the manual (`documented`) or of the server.

    POST   /auth/sign-in/email, GET /auth/get-session      any e-mail, any password but WRONG_PASSWORD
    POST   /chats/{uuid}/messages/stream | /messages       an unknown chat is created
    GET    /chats/{uuid}/messages
    GET    /chats/{uuid}/workflow-runs/{run}/stream
    DELETE /chats/{uuid}
    GET    /users/{user}/chats?limit&offset                the latest used first
    GET    /models
    GET    /liveness

Any cookie named `better-auth.session_token` is a session of the user USER until a play has expired it; OTHERS_CHAT is a
chat of somebody else. Ids are counted, the time stands still, and a run happens when its stream is asked for. The plays
are in `plays.py`; one of the manual's given to the constructor puts refusals, lists and deletions into the manual's
words as well.
Source: docs-hardwire.branmcf.com and the server in `branmcf/tenex-take-home`, read 2026-11.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from gateway.protocols.base import Head, Pause, Script, Send, SimulatedRequest, Step
from gateway.protocols.hardwire.plays import (
    CHOICE,
    DOCUMENTED_STREAMS,
    GENERIC,
    PLAYS,
    REFUSALS,
    SOURCES,
    documented_run,
    friendly_answer,
    snapshot,
    tokens,
    unanswered,
    unfinished_run,
    with_tool_call,
    words,
)

USER = {"id": "user-123", "email": "user@example.org", "name": "User"}
OTHERS_CHAT = "99999999-9999-4999-8999-999999999999"
WRONG_PASSWORD = "wrong"  # noqa: S105  (the one that is refused)
MODELS = [
    {"id": "gpt-4", "name": "GPT-4", "provider": "openai"},
    {"id": "claude-sonnet-4", "name": "Claude Sonnet 4", "provider": "anthropic"},
    {"id": "gemini-2.0-flash", "name": "Gemini 2.0 Flash", "provider": "google"},
]
SNIPPET = 80
NOW = "2026-03-01T12:00:00.000Z"
DELTA_SECONDS = 0.02
POLL_SECONDS = 0.2
LATE_SECONDS = 8.0

RATE_HEADERS = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "99", "X-RateLimit-Reset": "60"}
LIMITED_HEADERS = {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"}
JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}
STREAM_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "Connection": "keep-alive"}

SESSION_COOKIE = re.compile(r"(?:^|;\s*)(?:__Secure-)?better-auth\.session_token=([^;]+)")
ROUTE = re.compile(r"/chats/(?P<chat>[^/]+)(?:/(?P<rest>.+))?")
CHATS = re.compile(r"/users/([^/]+)/chats")
LIMIT = re.compile(r"[1-9][0-9]?|100")
OFFSET = re.compile(r"[0-9]{1,9}")
USUAL_LIMIT = "25"
RUN_STREAM = re.compile(r"workflow-runs/([^/]+)/stream")


class Refused(Exception):
    """A request that the vendor would refuse, by the name of the refusal."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Ask(msgspec.Struct, rename="camel"):
    """The body of a message."""

    content: str
    model_id: str
    user_id: str
    workflow_id: UUID | None = None


class Run(msgspec.Struct):
    id: str
    play: str
    question: str


class Chat(msgspec.Struct):
    messages: list[dict[str, Any]] = []
    runs: dict[str, Run] = {}
    has_expired: bool = False


class HardwireSimulator:
    plays: Mapping[str, str] = PLAYS

    def __init__(self, play: str = "", now: str = NOW) -> None:
        self._play = play
        self._now = now
        self._made = 0
        self._chats: dict[str, Chat] = {}
        self._expired: set[str] = set()

    def answer(self, request: SimulatedRequest) -> Script:
        try:
            return list(self._answer(request))
        except Refused as refused:
            name = refused.name.removesuffix("-documented")
            is_documented = name != refused.name or self._is_documented
            return _refuse(name, _documented_body if is_documented else _server_body)

    def _answer(self, request: SimulatedRequest) -> Iterator[Step]:
        match request.method, request.path:
            case "GET", "/liveness":
                return _json(200, {"status": "ok"})
            case "POST", "/auth/sign-in/email":
                return self._sign_in(request.body)
            case "GET", "/auth/get-session":
                return self._tell_session(request)
        route, chats = ROUTE.fullmatch(request.path), CHATS.fullmatch(request.path)
        if route is None and chats is None and request.path != "/models":
            return _no_route(request)
        token = _session_token(request)
        if token is None or token in self._expired:
            raise Refused("unauthorized")
        if route is not None:
            return self._answer_chat(request, token, _chat_id(route["chat"]), route["rest"] or "")
        if request.method != "GET":
            return _no_route(request)
        return self._list_models() if chats is None else self._list_chats(request, chats[1])

    def _answer_chat(self, request: SimulatedRequest, token: str, chat_id: str, rest: str) -> Iterator[Step]:
        run = RUN_STREAM.fullmatch(rest)
        match request.method, rest:
            case "POST", "messages/stream":
                return self._stream(request.body, token, chat_id)
            case "POST", "messages":
                return self._answer_whole(request.body, token, chat_id)
            case "GET", "messages":
                return self._list(self._known_chat(chat_id))
            case "DELETE", "":
                self._known_chat(chat_id)
                del self._chats[chat_id]
                return self._tell_deleted()
            case "GET", _ if run is not None:
                return self._follow(self._known_chat(chat_id), run[1])
        return _no_route(request)

    # --- accounts

    def _sign_in(self, body: bytes) -> Iterator[Step]:
        form = _decode(body, dict[str, str])
        if not form.get("email") or not form.get("password"):
            raise Refused("bad-request")
        if form["password"] == WRONG_PASSWORD:
            error = {"code": "INVALID_EMAIL_OR_PASSWORD", "message": "Invalid email or password"}
            return _json(401, error)
        token = f"session-{self._new_id()}"
        cookie = f"better-auth.session_token={token}; Max-Age=604800; Path=/; HttpOnly; SameSite=Lax"
        return _json(200, {"redirect": False, "token": token, "user": USER}, {"Set-Cookie": cookie})

    def _tell_session(self, request: SimulatedRequest) -> Iterator[Step]:
        token = _session_token(request)
        if token is None or token in self._expired:
            return _json(200, None)
        return _json(200, {"session": {"userId": USER["id"], "token": token}, "user": USER})

    # --- messages

    def _asked(self, body: bytes, token: str, chat_id: str) -> tuple[Ask, Chat, str]:
        """A valid question, the chat it goes to, and the play it is answered with."""
        ask = _decode(body, Ask)
        if not ask.content.strip() or not ask.model_id or not ask.user_id:
            raise Refused("bad-request")
        if chat_id == OTHERS_CHAT:
            raise Refused("access-denied")
        if ask.user_id != USER["id"]:
            raise Refused("user-mismatch" if chat_id in self._chats else "not-found")
        chat = self._chats[chat_id] = self._chats.pop(chat_id, Chat())
        play = [self._play, *CHOICE.findall(ask.content)][-1]
        if play.removesuffix("-documented") in REFUSALS:
            raise Refused(play)
        if play == "expired" and not chat.has_expired:
            chat.has_expired = True
            self._expired.add(token)
            raise Refused("unauthorized")
        return ask, chat, play

    def _stream(self, body: bytes, token: str, chat_id: str) -> Iterator[Step]:
        ask, chat, play = self._asked(body, token, chat_id)
        question = self._store(chat, "user", ask.content)
        yield Head(200, {**STREAM_HEADERS, **RATE_HEADERS})
        if play == "late":
            yield Pause(LATE_SECONDS)
        tell = DOCUMENTED_STREAMS.get(play)
        if tell is not None:
            role = "system" if play == "documented-error" else "assistant"
            yield from _events(tell(self._store(chat, role, "Quantum bits!")["id"]))
        else:
            yield from _events(self._server_stream(chat, chat_id, question, play))

    def _server_stream(self, chat: Chat, chat_id: str, question: dict[str, Any], play: str) -> Iterator[dict[str, Any]]:
        whole = friendly_answer(question["content"])
        yield {"type": "user_message", "message": question}
        match play:
            case "streaming-error":
                self._store(chat, "system", "The answer failed.")
                yield from tokens(words(whole)[:3])
                error = {"message": "Streaming failed", "code": "STREAMING_ERROR"}
                yield {"type": "error", "error": error, "chatId": chat_id}
                return
            case "create-message-failed":
                yield from tokens(words(whole))
                yield {"type": "error", "error": self._storing_failed()}
                return
            case "cut":
                self._store(chat, "assistant", whole)
                yield from tokens(words(whole)[:5])
                return
            case "extended":
                yield from tokens(words(whole)[:5])
            case "corrected":
                yield from tokens(["Something", " else", "."])
            case _:
                yield from tokens(words(whole))
        sources = SOURCES if play == "sources" else []
        answer = self._store(chat, "assistant", whole)
        yield {"type": "complete", "message": {**answer, "sources": sources}, "chatId": chat_id}

    def _answer_whole(self, body: bytes, token: str, chat_id: str) -> Iterator[Step]:
        ask, chat, play = self._asked(body, token, chat_id)
        question = self._store(chat, "user", ask.content)
        if ask.workflow_id is not None:
            return _json(201, self._start_run(chat, chat_id, question, play))
        if play == "sync-llm-error":
            self._store(chat, "system", "The answer failed.")
            error = {"message": "LLM request failed", "code": "LLM_ERROR"}
            return _json(201, unanswered(question, chat_id, error=error))
        answer = self._store(chat, "assistant", friendly_answer(ask.content))
        if "documented" in play:
            response = {**answer, "chatId": chat_id}
            return _json(201, {"data": {**question, "chatId": chat_id, "response": response}})
        if play == "sources":
            answer = {**answer, "sources": SOURCES}
        return _json(201, {"userMessage": question, "assistantMessage": answer, "chatId": chat_id})

    def _list(self, chat: Chat) -> Iterator[Step]:
        if self._is_documented or any("documented" in run.play for run in chat.runs.values()):
            return _json(200, {"data": {"messages": chat.messages}})
        return _json(200, {"messages": chat.messages})

    # --- chats and models

    @property
    def _is_documented(self) -> bool:
        return "documented" in self._play

    def _tell_deleted(self) -> Iterator[Step]:
        if self._is_documented:
            yield Head(204, RATE_HEADERS)
        else:
            yield from _json(200, {"success": True})

    def _list_models(self) -> Iterator[Step]:
        return _json(200, {"data": {"models": MODELS}} if self._is_documented else {"models": MODELS})

    def _list_chats(self, request: SimulatedRequest, user_id: str) -> Iterator[Step]:
        if user_id != USER["id"]:
            raise Refused("user-mismatch")
        limit, offset = request.query.get("limit", USUAL_LIMIT), request.query.get("offset", "0")
        if not LIMIT.fullmatch(limit) or not OFFSET.fullmatch(offset):
            raise Refused("bad-request")
        latest_first = list(reversed(self._chats.items()))
        page = latest_first[int(offset) : int(offset) + int(limit)]
        if self._is_documented:
            times = {"createdAt": self._now, "updatedAt": self._now}
            chats = [{"id": chat_id, "userId": user_id, **times} for chat_id, _ in page]
            return _json(200, {"data": {"chats": chats, "total": len(latest_first)}})
        return _json(200, {"chats": [self._line(chat_id, chat) for chat_id, chat in page]})

    def _line(self, chat_id: str, chat: Chat) -> dict[str, Any]:
        snippet = chat.messages[-1]["content"][:SNIPPET] if chat.messages else ""
        return {"id": chat_id, "title": None, "snippet": snippet, "updatedAt": self._now}

    # --- workflow runs

    def _start_run(self, chat: Chat, chat_id: str, question: dict[str, Any], play: str) -> dict[str, Any]:
        if play == "workflow-start-failed":
            error = {"message": "Workflow run failed to start", "code": "WORKFLOW_RUN_FAILED"}
            return unanswered(question, chat_id, error=error)
        run = Run(self._new_id(), play, question["content"])
        chat.runs[run.id] = run
        return unanswered(question, chat_id, workflowRunId=run.id)

    def _follow(self, chat: Chat, run_id: str) -> Iterator[Step]:
        run = chat.runs.get(run_id)
        if run is None:
            raise Refused("not-found")
        yield Head(200, {**STREAM_HEADERS, **RATE_HEADERS})
        yield from _events(self._run_events(chat, run), POLL_SECONDS)

    def _run_events(self, chat: Chat, run: Run) -> Iterator[dict[str, Any]]:
        match run.play:
            case "workflow-documented":
                self._store(chat, "assistant", friendly_answer(run.question))
                yield from documented_run(run.id)
                yield {"type": "run_completed", "runId": run.id, "status": "completed"}
            case "workflow-documented-failed":
                yield from documented_run(run.id)
                yield {"type": "step_failed", "stepId": "step-2", "error": "The model did not answer."}
                yield {"type": "run_failed", "runId": run.id, "error": "The workflow failed."}
            case "workflow-error":
                yield snapshot(run.id, "RUNNING", ("RUNNING", "QUEUED"), self._now)
                yield {"type": "error", "error": self._failed("SERVER_INTERNAL_ERROR", "Something went wrong.")}
            case "workflow-failed":
                yield from unfinished_run(run.id, "FAILED", self._now)
            case "workflow-cancelled":
                yield from unfinished_run(run.id, "CANCELLED", self._now)
            case _:
                yield from self._passed_run(chat, run)

    def _passed_run(self, chat: Chat, run: Run) -> Iterator[dict[str, Any]]:
        yield snapshot(run.id, "RUNNING", ("RUNNING", "QUEUED"), self._now)
        searched = snapshot(run.id, "RUNNING", ("PASSED", "RUNNING"), self._now)
        yield with_tool_call(searched) if run.play == "workflow-tool" else searched
        yield snapshot(run.id, "PASSED", ("PASSED", "PASSED"), self._now)
        message = self._store(chat, "assistant", friendly_answer(run.question))
        yield snapshot(run.id, "PASSED", ("PASSED", "PASSED"), self._now, message)
        yield {"type": "complete", "workflowRunId": run.id, "status": "PASSED"}

    # --- state

    def _known_chat(self, chat_id: str) -> Chat:
        if chat_id == OTHERS_CHAT:
            raise Refused("access-forbidden")
        if chat_id not in self._chats:
            raise Refused("not-found")
        return self._chats[chat_id]

    def _store(self, chat: Chat, role: str, content: str) -> dict[str, Any]:
        message = {"id": self._new_id(), "role": role, "content": content.strip(), "createdAt": self._now}
        chat.messages.append(message)
        return message

    def _storing_failed(self) -> dict[str, Any]:
        return self._failed("CREATE_MESSAGE_FAILED", "Failed to create message.")

    def _failed(self, code: str, told: str) -> dict[str, Any]:
        return {
            "message": GENERIC,
            "clientMessage": told,
            "code": code,
            "requestId": self._new_id(),
            "statusCode": 500,
        }

    def _new_id(self) -> str:
        self._made += 1
        return str(uuid5(NAMESPACE_URL, f"hardwire/{self._made}"))


# --- requests


def _decode(body: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise Refused("bad-request") from None


def _session_token(request: SimulatedRequest) -> str | None:
    found = SESSION_COOKIE.search(request.headers.get("Cookie", ""))
    return found[1] if found else None


def _chat_id(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise Refused("bad-request") from None


# --- scripts


def _events(events: Iterator[dict[str, Any]], seconds: float = DELTA_SECONDS) -> Iterator[Step]:
    for index, event in enumerate(events):
        if index:
            yield Pause(seconds)
        yield Send(b"data: %b\n\n" % msgspec.json.encode(event))


def _json(status: int, body: object, headers: dict[str, str] | None = None) -> Iterator[Step]:
    yield Head(status, {**JSON_HEADERS, **RATE_HEADERS, **(headers or {})})
    yield Send(msgspec.json.encode(body))


def _refuse(name: str, form: Callable[[str], dict[str, Any]]) -> Script:
    status = REFUSALS[name][0]
    headers = _limit_headers(name) if status == 429 else None
    return list(_json(status, form(name), headers))


def _documented_body(name: str) -> dict[str, Any]:
    status, _, _, message = REFUSALS[name]
    return {"error": HTTPStatus(status).phrase, "message": message}


def _server_body(name: str) -> dict[str, Any]:
    status, code, told, message = REFUSALS[name]
    request_id = str(uuid5(NAMESPACE_URL, f"hardwire/refused/{name}"))
    body = {"message": message, "clientMessage": told, "code": code, "requestId": request_id, "statusCode": status}
    return {**body, "retryAfter": 12} if status == 429 else body


def _limit_headers(name: str) -> dict[str, str]:
    return LIMITED_HEADERS if name == "rate-limited-reset" else {**LIMITED_HEADERS, "Retry-After": "12"}


def _no_route(request: SimulatedRequest) -> Iterator[Step]:
    page = f"<!DOCTYPE html>\n<html><body><pre>Cannot {request.method} this path</pre></body></html>\n"
    yield Head(404, {"Content-Type": "text/html; charset=utf-8"})
    yield Send(page.encode())

"""Hardwire, simulated: its answers are the dossier's bytes, and it refuses what the vendor refuses."""

import json
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.protocols.base import Head, Pause, Script, Send, SimulatedRequest
from gateway.protocols.hardwire.plays import PLAYS
from gateway.protocols.hardwire.simulator import OTHERS_CHAT, WRONG_PASSWORD, HardwireSimulator

CHAT = "550e8400-e29b-41d4-a716-446655440000"
WORKFLOW = "3f0b6a52-5a0e-4c3b-9b0a-0c1d2e3f4a5b"
NOW = "2026-03-01T12:00:00.000Z"
STREAM = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "X-RateLimit-Limit": "100",
    "X-RateLimit-Remaining": "99",
    "X-RateLimit-Reset": "60",
}
JSON = {
    "Content-Type": "application/json; charset=utf-8",
    "X-RateLimit-Limit": "100",
    "X-RateLimit-Remaining": "99",
    "X-RateLimit-Reset": "60",
}


def request(
    method: str, path: str, body: object = None, cookie: str = "better-auth.session_token=t", **query: str
) -> SimulatedRequest:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    return SimulatedRequest(method, path, CIMultiDict({"Cookie": cookie}), query, data)


def message(text: str = "Explain quantum computing", **more: Any) -> dict[str, Any]:
    return {"content": text, "modelId": "gpt-4", "userId": "user-123", **more}


def stream(simulator: HardwireSimulator, text: str = "Explain quantum computing", chat: str = CHAT) -> Script:
    return simulator.answer(request("POST", f"/chats/{chat}/messages/stream", message(text)))


def status_of(script: Script) -> int:
    assert isinstance(script[0], Head)
    return script[0].status


def events(script: Script) -> list[Any]:
    """One event per step, each framed as the dossier frames it."""
    sent = [step.data for step in script if isinstance(step, Send)]
    assert all(data.startswith(b"data: {") and data.endswith(b"}\n\n") and data.count(b"\n") == 2 for data in sent)
    return [json.loads(data[6:]) for data in sent]


def document(script: Script) -> Any:
    return json.loads(b"".join(step.data for step in script if isinstance(step, Send)))


def tokens(told: list[Any]) -> str:
    return "".join(event["token"] for event in told if event["type"] == "token")


# --- streams


def test_a_message_is_answered_in_small_pieces_that_echo_the_question() -> None:
    script = stream(HardwireSimulator())
    first, *between, last = events(script)
    text = (
        "You asked: Explain quantum computing. This is Hardwire's simulator, and it answers in small pieces, "
        "as the real one does."
    )
    assert script[0] == Head(200, STREAM)
    assert first["message"] | {"id": ""} == {
        "id": "",
        "role": "user",
        "content": "Explain quantum computing",
        "createdAt": NOW,
    }
    assert tokens(between) == text
    assert 10 <= len(between) <= 20
    assert last["message"] | {"id": ""} == {
        "id": "",
        "role": "assistant",
        "content": text,
        "createdAt": NOW,
        "sources": [],
    }
    assert last["chatId"] == CHAT
    assert first["message"]["id"] != last["message"]["id"]
    assert {step for step in script if isinstance(step, Pause)} == {Pause(0.02)}


def test_the_same_requests_are_answered_with_the_same_bytes() -> None:
    assert stream(HardwireSimulator()) == stream(HardwireSimulator())


def test_a_blank_question_behind_a_choice_is_answered_too() -> None:
    assert tokens(events(stream(HardwireSimulator(), "[play:sources]"))).startswith("You asked: nothing. ")


def told_after_the_start(play: str) -> list[Any]:
    first, *others = events(stream(HardwireSimulator(), f"[play:{play}] Hi"))
    assert first["type"] == "start"
    last = others[-1]
    if last["type"] == "end":
        assert last == {"type": "end", "messageId": first["messageId"]}
        del others[-1]
    return others


SEARCH = "exa-web-search"
SEARCHED = {"items": [{"title": "Qubits", "url": "https://example.org/q"}]}
DOCUMENTED = {
    "documented": [
        {"type": "content", "delta": "Quantum"},
        {"type": "content", "delta": " bits"},
        {"type": "content", "delta": "!"},
    ],
    "documented-tool": [
        {"type": "tool_call", "toolName": SEARCH, "toolArgs": {"query": "quantum computing"}},
        {"type": "tool_result", "toolName": SEARCH, "result": SEARCHED},
        {"type": "content", "delta": "Quantum"},
        {"type": "content", "delta": " bits!"},
    ],
    "documented-two-calls": [
        {"type": "tool_call", "toolName": SEARCH, "toolArgs": {"query": "qubits"}},
        {"type": "tool_call", "toolName": SEARCH, "toolArgs": {"query": "superposition"}},
        {"type": "tool_result", "toolName": SEARCH, "result": {"items": ["first"]}},
        {"type": "tool_result", "toolName": SEARCH, "result": {"items": ["second"]}},
        {"type": "content", "delta": "Quantum bits!"},
    ],
    "documented-error": [
        {"type": "content", "delta": "Quantum"},
        {"type": "error", "error": "LLM_REQUEST_FAILED", "message": "Failed to get response from LLM."},
    ],
}


@pytest.mark.parametrize("play", DOCUMENTED)
def test_the_manuals_dialect_is_played(play: str) -> None:
    assert told_after_the_start(play) == DOCUMENTED[play]


def test_the_configured_play_is_played_where_the_message_chooses_none() -> None:
    simulator = HardwireSimulator("documented")
    assert events(stream(simulator))[0]["type"] == "start"
    assert events(stream(simulator, "[play:no-sources] Hi"))[0]["type"] == "user_message"


def test_the_last_choice_counts_since_earlier_ones_may_be_history() -> None:
    assert events(stream(HardwireSimulator(), "user: [play:cut] Hi\n[play:documented] Hi"))[-1]["type"] == "end"


def test_two_sources_are_told_at_the_end() -> None:
    assert events(stream(HardwireSimulator("sources")))[-1]["message"]["sources"] == [
        {"url": "https://example.org/q", "title": "Qubits", "description": "What a qubit is."},
        {"url": "https://example.org/s", "title": "Superposition"},
    ]


def test_the_closing_text_may_extend_or_correct_the_tokens() -> None:
    extended, corrected = (events(stream(HardwireSimulator(play))) for play in ("extended", "corrected"))
    whole = extended[-1]["message"]["content"]
    assert whole.startswith(tokens(extended))
    assert whole != tokens(extended)
    assert (tokens(corrected), corrected[-1]["message"]["content"]) == ("Something else.", whole)


def test_a_stream_fails_after_three_tokens() -> None:
    told = events(stream(HardwireSimulator("streaming-error")))
    assert [event["type"] for event in told] == ["user_message", "token", "token", "token", "error"]
    assert told[-1] == {
        "type": "error",
        "error": {"message": "Streaming failed", "code": "STREAMING_ERROR"},
        "chatId": CHAT,
    }


def test_storing_the_answer_fails_after_all_tokens() -> None:
    told = events(stream(HardwireSimulator("create-message-failed")))
    assert tokens(told).endswith("as the real one does.")
    assert told[-1]["error"] | {"requestId": ""} == {
        "message": "We experienced an internal error. Please try again later.",
        "clientMessage": "Failed to create message.",
        "code": "CREATE_MESSAGE_FAILED",
        "requestId": "",
        "statusCode": 500,
    }


def test_a_stream_ends_without_a_terminal_and_the_answer_is_stored_all_the_same() -> None:
    simulator = HardwireSimulator("cut")
    assert [event["type"] for event in events(stream(simulator))] == ["user_message", *["token"] * 5]
    stored = document(simulator.answer(request("GET", f"/chats/{CHAT}/messages")))["messages"]
    assert [entry["role"] for entry in stored] == ["user", "assistant"]


def test_the_first_event_may_come_late() -> None:
    head, pause, first, *_ = stream(HardwireSimulator("late"))
    assert (head, pause) == (Head(200, STREAM), Pause(8.0))
    assert isinstance(first, Send)


# --- documents


def whole(simulator: HardwireSimulator, **more: Any) -> Script:
    return simulator.answer(request("POST", f"/chats/{CHAT}/messages", message(**more)))


def test_the_servers_document_has_both_messages() -> None:
    script = whole(HardwireSimulator("sources"))
    body = document(script)
    assert script[0] == Head(201, JSON)
    assert list(body) == ["userMessage", "assistantMessage", "chatId"]
    assert body["assistantMessage"]["sources"][0]["url"] == "https://example.org/q"
    assert "sources" not in document(whole(HardwireSimulator()))["assistantMessage"]


def test_the_manuals_document_has_the_answer_inside_the_question() -> None:
    body = document(whole(HardwireSimulator("sync-documented")))
    question = body["data"]
    assert (question["role"], question["response"]["role"]) == ("user", "assistant")
    assert (question["chatId"], question["response"]["chatId"]) == (CHAT, CHAT)


def test_a_failed_model_is_a_201() -> None:
    script = whole(HardwireSimulator("sync-llm-error"))
    body = document(script)
    assert script[0] == Head(201, JSON)
    assert (body["assistantMessage"], body["error"]) == (
        None,
        {"message": "LLM request failed", "code": "LLM_ERROR"},
    )


# --- workflow runs


def followed(simulator: HardwireSimulator) -> list[Any]:
    started = document(whole(simulator, workflowId=WORKFLOW))
    assert started["assistantMessage"] is None
    path = f"/chats/{CHAT}/workflow-runs/{started['workflowRunId']}/stream"
    return events(simulator.answer(request("GET", path)))


def test_a_run_is_told_in_snapshots() -> None:
    told = followed(HardwireSimulator())
    assert [
        (event["workflowRun"]["status"], [step["status"] for step in event["steps"]], event["message"] is not None)
        for event in told[:-1]
    ] == [
        ("RUNNING", ["RUNNING", "QUEUED"], False),
        ("RUNNING", ["PASSED", "RUNNING"], False),
        ("PASSED", ["PASSED", "PASSED"], False),
        ("PASSED", ["PASSED", "PASSED"], True),
    ]
    assert told[-1] == {
        "type": "complete",
        "workflowRunId": told[0]["workflowRun"]["id"],
        "status": "PASSED",
    }


def test_a_step_calls_a_tool() -> None:
    assert followed(HardwireSimulator("workflow-tool"))[1]["steps"][0]["toolCalls"] == [
        {"toolName": SEARCH, "toolArgs": {"query": "quantum computing"}, "result": SEARCHED}
    ]


RUN_TYPES = {
    "workflow-documented": [
        "run_started",
        "step_started",
        "step_progress",
        "step_completed",
        "step_started",
        "run_completed",
    ],
    "workflow-documented-failed": [
        "run_started",
        "step_started",
        "step_progress",
        "step_completed",
        "step_started",
        "step_failed",
        "run_failed",
    ],
    "workflow-failed": ["snapshot", "snapshot", "complete"],
    "workflow-cancelled": ["snapshot", "snapshot", "complete"],
    "workflow-error": ["snapshot", "error"],
}


@pytest.mark.parametrize("play", RUN_TYPES)
def test_a_run_ends_as_it_is_told_to(play: str) -> None:
    told = followed(HardwireSimulator(play))
    assert [event["type"] for event in told] == RUN_TYPES[play]
    assert told[-1].get("status") == {
        "workflow-documented": "completed",
        "workflow-failed": "FAILED",
        "workflow-cancelled": "CANCELLED",
    }.get(play)


def test_a_run_in_the_manuals_dialect_leaves_its_answer_in_the_list() -> None:
    simulator = HardwireSimulator()
    body = message("[play:workflow-documented] Hi", workflowId=WORKFLOW)
    started = document(simulator.answer(request("POST", f"/chats/{CHAT}/messages", body)))
    simulator.answer(request("GET", f"/chats/{CHAT}/workflow-runs/{started['workflowRunId']}/stream"))
    listed = document(simulator.answer(request("GET", f"/chats/{CHAT}/messages")))["data"]["messages"]
    assert [entry["role"] for entry in listed] == ["user", "assistant"]


def test_a_run_that_cannot_start_is_a_201() -> None:
    body = document(whole(HardwireSimulator("workflow-start-failed"), workflowId=WORKFLOW))
    assert body["error"] == {"message": "Workflow run failed to start", "code": "WORKFLOW_RUN_FAILED"}


def test_the_stream_ignores_a_workflow() -> None:
    body = message(workflowId=WORKFLOW)
    script = HardwireSimulator().answer(request("POST", f"/chats/{CHAT}/messages/stream", body))
    assert events(script)[-1]["type"] == "complete"


# --- refusals

STATUSES = {
    "workflow-in-progress": (409, "WORKFLOW_RUN_IN_PROGRESS"),
    "workflow-timeout": (504, "WORKFLOW_RUN_TIMEOUT"),
    "bad-request": (400, "REQUEST_VALIDATION"),
    "unauthorized": (401, "UNAUTHORIZED"),
    "access-denied": (403, "CHAT_ACCESS_DENIED"),
    "access-forbidden": (403, "CHAT_ACCESS_FORBIDDEN"),
    "user-mismatch": (403, "USER_ID_MISMATCH"),
    "not-found": (404, "CHAT_NOT_FOUND"),
    "rate-limited": (429, "RATE_LIMIT_EXCEEDED"),
    "rate-limited-reset": (429, "RATE_LIMIT_EXCEEDED"),
    "llm-failed": (500, "LLM_REQUEST_FAILED"),
    "internal": (500, "SERVER_INTERNAL_ERROR"),
}


@pytest.mark.parametrize("play", STATUSES)
def test_a_refusal_has_the_servers_body(play: str) -> None:
    script = stream(HardwireSimulator(), f"[play:{play}] Hi")
    status, code = STATUSES[play]
    body = document(script)
    assert (status_of(script), body["code"], body["statusCode"]) == (status, code, status)
    assert {"message", "clientMessage", "requestId"} < set(body)


DOCUMENTED_REFUSALS = {
    "bad-request-documented": (400, {"error": "Bad Request", "message": "Request validation failed"}),
    "unauthorized-documented": (401, {"error": "Unauthorized", "message": "Valid session required"}),
    "access-denied-documented": (403, {"error": "Forbidden", "message": "Chat access denied"}),
    "not-found-documented": (404, {"error": "Not Found", "message": "Chat not found"}),
    "rate-limited-documented": (
        429,
        {"error": "Too Many Requests", "message": "Too many requests. Please try again later."},
    ),
}


@pytest.mark.parametrize("play", DOCUMENTED_REFUSALS)
def test_a_refusal_has_the_manuals_body(play: str) -> None:
    script = stream(HardwireSimulator(), f"[play:{play}] Hi")
    assert (status_of(script), document(script)) == DOCUMENTED_REFUSALS[play]


def test_a_simulator_of_the_manual_refuses_in_the_manuals_words() -> None:
    script = HardwireSimulator("documented").answer(request("GET", f"/chats/{CHAT}/messages", cookie=""))
    assert document(script) == {"error": "Unauthorized", "message": "Valid session required"}


def test_a_rate_limit_is_the_dossiers() -> None:
    head, send = stream(HardwireSimulator("rate-limited"))
    limited = {**JSON, "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"}
    assert head == Head(429, {**limited, "Retry-After": "12"})
    assert isinstance(send, Send)
    assert json.loads(send.data) | {"requestId": ""} == {
        "message": "Too many requests. Please try again later.",
        "clientMessage": "Too many requests. Please try again later.",
        "code": "RATE_LIMIT_EXCEEDED",
        "requestId": "",
        "statusCode": 429,
        "retryAfter": 12,
    }
    assert stream(HardwireSimulator("rate-limited-reset"))[0] == Head(429, limited)


def test_every_play_is_played_somewhere() -> None:
    usual = events(stream(HardwireSimulator()))
    for play in set(PLAYS) - {"sources", "no-sources", "late"}:
        simulator = HardwireSimulator(play)
        path = f"/chats/{CHAT}/messages" if play.startswith(("sync", "workflow")) else f"/chats/{CHAT}/messages/stream"
        body = message(workflowId=WORKFLOW) if play.startswith("workflow") else message()
        script = simulator.answer(request("POST", path, body))
        assert status_of(script) != 200 or events(script) != usual, play


BAD_BODIES = [
    b"",
    b"{",
    b"\xff",
    b"[" * 100_000,
    b"[]",
    message(" "),
    message(modelId=""),
    message(userId=""),
    message(modelId=7),
    message(workflowId="x"),
    {"content": "Hi", "modelId": "gpt-4"},
]


@pytest.mark.parametrize("body", BAD_BODIES, ids=range(len(BAD_BODIES)))
def test_a_bad_body_is_refused(body: object) -> None:
    script = HardwireSimulator().answer(request("POST", f"/chats/{CHAT}/messages/stream", body))
    assert (status_of(script), document(script)["code"]) == (400, "REQUEST_VALIDATION")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/chats/not-a-uuid/messages/stream", message(), 400, "REQUEST_VALIDATION"),
        ("POST", f"/chats/{OTHERS_CHAT}/messages", message(), 403, "CHAT_ACCESS_DENIED"),
        ("POST", f"/chats/{CHAT}/messages", message(userId="user-9"), 404, "CHAT_NOT_FOUND"),
        ("GET", f"/chats/{OTHERS_CHAT}/messages", None, 403, "CHAT_ACCESS_FORBIDDEN"),
        ("GET", f"/chats/{CHAT}/messages", None, 404, "CHAT_NOT_FOUND"),
        ("DELETE", f"/chats/{CHAT}", None, 404, "CHAT_NOT_FOUND"),
        ("GET", f"/chats/{CHAT}/workflow-runs/run-1/stream", None, 404, "CHAT_NOT_FOUND"),
    ],
)
def test_what_the_vendor_refuses_is_refused(method: str, path: str, body: object, status: int, code: str) -> None:
    script = HardwireSimulator().answer(request(method, path, body))
    assert (status_of(script), document(script)["code"]) == (status, code)


def test_another_user_may_not_write_into_a_chat_that_exists() -> None:
    simulator = HardwireSimulator()
    stream(simulator)
    script = simulator.answer(request("POST", f"/chats/{CHAT}/messages", message(userId="user-9")))
    assert (status_of(script), document(script)["code"]) == (403, "USER_ID_MISMATCH")


def test_an_unknown_run_of_a_known_chat_is_not_found() -> None:
    simulator = HardwireSimulator()
    stream(simulator)
    assert status_of(simulator.answer(request("GET", f"/chats/{CHAT}/workflow-runs/run-1/stream"))) == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", f"/chats/{CHAT}/messages"),
        ("GET", "/nowhere"),
        ("GET", "/auth/session"),
        ("POST", "/models"),
        ("DELETE", "/users/user-123/chats"),
    ],
)
def test_a_path_or_method_that_does_not_exist_is_a_page_of_html(method: str, path: str) -> None:
    head, send = HardwireSimulator().answer(request(method, path))
    assert head == Head(404, {"Content-Type": "text/html; charset=utf-8"})
    assert isinstance(send, Send)
    assert send.data.startswith(b"<!DOCTYPE html>")


def test_a_deleted_chat_is_gone() -> None:
    simulator = HardwireSimulator()
    stream(simulator)
    assert document(simulator.answer(request("DELETE", f"/chats/{CHAT}"))) == {"success": True}
    assert status_of(simulator.answer(request("GET", f"/chats/{CHAT}/messages"))) == 404


def test_a_simulator_of_the_manual_deletes_without_a_word() -> None:
    simulator = HardwireSimulator("documented")
    stream(simulator)
    assert simulator.answer(request("DELETE", f"/chats/{CHAT}")) == [
        Head(204, {"X-RateLimit-Limit": "100", "X-RateLimit-Remaining": "99", "X-RateLimit-Reset": "60"})
    ]
    assert status_of(simulator.answer(request("DELETE", f"/chats/{CHAT}"))) == 404


# --- chats and models

OTHER = "650e8400-e29b-41d4-a716-446655440000"
CHATS = "/users/user-123/chats"


def test_the_users_chats_are_listed_by_their_last_use() -> None:
    simulator = HardwireSimulator()
    for chat in (CHAT, OTHER, CHAT):
        stream(simulator, "Hi", chat)
    snippet = "You asked: Hi. This is Hardwire's simulator, and it answers in small pieces, as "
    assert document(simulator.answer(request("GET", CHATS))) == {
        "chats": [
            {"id": CHAT, "title": None, "snippet": snippet, "updatedAt": NOW},
            {"id": OTHER, "title": None, "snippet": snippet, "updatedAt": NOW},
        ]
    }
    second = document(simulator.answer(request("GET", CHATS, limit="1", offset="1")))["chats"]
    assert [entry["id"] for entry in second] == [OTHER]


def test_the_chats_are_listed_in_the_manuals_envelope() -> None:
    simulator = HardwireSimulator("documented")
    stream(simulator)
    stream(simulator, chat=OTHER)
    assert document(simulator.answer(request("GET", CHATS, limit="1"))) == {
        "data": {"chats": [{"id": OTHER, "userId": "user-123", "createdAt": NOW, "updatedAt": NOW}], "total": 2}
    }


def test_a_chat_whose_first_message_was_refused_is_listed_without_a_word() -> None:
    simulator = HardwireSimulator()
    stream(simulator, "[play:internal] Hi")
    listed = document(simulator.answer(request("GET", CHATS)))
    assert listed == {"chats": [{"id": CHAT, "title": None, "snippet": "", "updatedAt": NOW}]}


@pytest.mark.parametrize(
    ("path", "query", "status", "code"),
    [
        ("/users/user-9/chats", {}, 403, "USER_ID_MISMATCH"),
        (CHATS, {"limit": "101"}, 400, "REQUEST_VALIDATION"),
        (CHATS, {"limit": "0"}, 400, "REQUEST_VALIDATION"),
        (CHATS, {"offset": "-1"}, 400, "REQUEST_VALIDATION"),
    ],
)
def test_a_list_of_chats_that_cannot_be_told_is_refused(
    path: str, query: dict[str, str], status: int, code: str
) -> None:
    script = HardwireSimulator().answer(request("GET", path, **query))
    assert (status_of(script), document(script)["code"]) == (status, code)


MODELS = [
    {"id": "gpt-4", "name": "GPT-4", "provider": "openai"},
    {"id": "claude-sonnet-4", "name": "Claude Sonnet 4", "provider": "anthropic"},
    {"id": "gemini-2.0-flash", "name": "Gemini 2.0 Flash", "provider": "google"},
]


def test_the_models_are_listed_in_both_envelopes() -> None:
    assert document(HardwireSimulator().answer(request("GET", "/models"))) == {"models": MODELS}
    told = document(HardwireSimulator("documented").answer(request("GET", "/models")))
    assert told == {"data": {"models": MODELS}}


@pytest.mark.parametrize("path", ["/models", CHATS])
def test_without_a_session_nothing_is_listed(path: str) -> None:
    assert status_of(HardwireSimulator().answer(request("GET", path, cookie=""))) == 401


def test_the_server_is_alive_without_a_session() -> None:
    assert HardwireSimulator().answer(request("GET", "/liveness", cookie=""))[0] == Head(200, JSON)


# --- sessions


@pytest.mark.parametrize("cookie", ["", "other=1", "better-auth.session_token="])
def test_without_a_session_nothing_is_answered(cookie: str) -> None:
    simulator = HardwireSimulator()
    path = f"/chats/{CHAT}/messages/stream"
    assert status_of(simulator.answer(request("POST", path, message(), cookie))) == 401
    assert document(simulator.answer(request("GET", "/auth/get-session", cookie=cookie))) is None


def test_a_session_knows_its_user() -> None:
    cookie = "a=1; __Secure-better-auth.session_token=t"
    assert document(HardwireSimulator().answer(request("GET", "/auth/get-session", cookie=cookie))) == {
        "session": {"userId": "user-123", "token": "t"},
        "user": {"id": "user-123", "email": "user@example.org", "name": "User"},
    }


def sign_in(simulator: HardwireSimulator, password: str = "right") -> Script:
    return simulator.answer(request("POST", "/auth/sign-in/email", {"email": "a@b.test", "password": password}))


def test_a_wrong_password_is_refused() -> None:
    script = sign_in(HardwireSimulator(), WRONG_PASSWORD)
    assert (status_of(script), document(script)["code"]) == (401, "INVALID_EMAIL_OR_PASSWORD")


@pytest.mark.parametrize("form", [{}, {"email": "a"}, {"email": "a", "password": ""}, {"email": 7}])
def test_an_incomplete_sign_in_is_refused(form: object) -> None:
    assert status_of(HardwireSimulator().answer(request("POST", "/auth/sign-in/email", form))) == 400


def test_an_expired_session_is_renewed_by_signing_in_again() -> None:
    simulator = HardwireSimulator("expired")
    cookies = []
    statuses = []
    for _ in range(2):
        head = sign_in(simulator)[0]
        assert isinstance(head, Head)
        cookie = head.headers["Set-Cookie"].partition(";")[0]
        cookies.append(cookie)
        path = f"/chats/{CHAT}/messages/stream"
        statuses.append(status_of(simulator.answer(request("POST", path, message(), cookie))))
    assert statuses == [401, 200]
    assert cookies[0] != cookies[1]
    assert document(simulator.answer(request("GET", "/auth/get-session", cookie=cookies[0]))) is None

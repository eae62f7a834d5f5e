"""What the simulated Hardwire can play: the names, the refusals, and the events of each dialect.

Spelled from the manual and the server's source, apart from what the translator knows; only the shape of a step's
`toolCalls` is a guess. Read 2026-11.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

ECHOED_WORDS = 6
REMARK = "This is Hardwire's simulator, and it answers in small pieces, as the real one does."

CHOICE = re.compile(r"\[play:([a-z0-9-]+)\]")

PLAYS: dict[str, str] = {
    "documented": "the manual's dialect: start, three deltas, end",
    "documented-tool": "the manual's dialect, with a tool call and its result",
    "documented-two-calls": "two calls of the same tool before either result",
    "documented-error": "the manual's dialect, failing in mid-stream",
    "sources": "the server's dialect, complete with two sources",
    "no-sources": "the server's dialect, complete with an empty list of sources",
    "extended": "the whole text at the end goes on where the tokens stopped",
    "corrected": "the whole text at the end is not what the tokens spelled",
    "streaming-error": "STREAMING_ERROR after three tokens",
    "create-message-failed": "CREATE_MESSAGE_FAILED after all tokens",
    "cut": "a clean end of the body without a terminal event",
    "late": "the first byte comes after eight seconds",
    "sync-documented": "the manual's body from the endpoint that does not stream",
    "sync-llm-error": "a 201 with LLM_ERROR in place of an answer",
    "workflow-documented": "a workflow run in the manual's dialect; its message only in the chat's list",
    "workflow-documented-failed": "a workflow run in the manual's dialect that fails",
    "workflow-tool": "a workflow run whose first step calls a tool (the shape of its `toolCalls` is not documented)",
    "workflow-failed": "a workflow run that ends as FAILED",
    "workflow-cancelled": "a workflow run that ends as CANCELLED",
    "workflow-error": "an error event on the run's stream",
    "workflow-start-failed": "a 201 with WORKFLOW_RUN_FAILED in place of a run",
    "expired": "the first message of a chat finds its session expired; a new sign-in helps",
    "workflow-in-progress": "409 while another run of the chat goes on",
    "workflow-timeout": "504: the run did not start in time",
    "bad-request": "400",
    "unauthorized": "401",
    "access-denied": "403",
    "access-forbidden": "403, as reading another's chat is refused",
    "user-mismatch": "403, for the user's id",
    "not-found": "404",
    "rate-limited": "429 with Retry-After: 12",
    "rate-limited-reset": "429 with X-RateLimit-Reset alone",
    "llm-failed": "500 LLM_REQUEST_FAILED before the stream",
    "internal": "500 SERVER_INTERNAL_ERROR before the stream",
    "bad-request-documented": "400 in the manual's body",
    "unauthorized-documented": "401 in the manual's body",
    "access-denied-documented": "403 in the manual's body",
    "not-found-documented": "404 in the manual's body",
    "rate-limited-documented": "429 in the manual's body",
}

TOO_MANY = "Too many requests. Please try again later."
GENERIC = "We experienced an internal error. Please try again later."

# play -> status, code, what the user is told, the internal message
REFUSALS: dict[str, tuple[int, str, str, str]] = {
    "workflow-in-progress": (409, "WORKFLOW_RUN_IN_PROGRESS", "A workflow is already running in this chat.", GENERIC),
    "workflow-timeout": (504, "WORKFLOW_RUN_TIMEOUT", "The workflow did not start in time.", GENERIC),
    "bad-request": (400, "REQUEST_VALIDATION", "Invalid request.", "Request validation failed"),
    "unauthorized": (401, "UNAUTHORIZED", "Please sign in.", "Valid session required"),
    "access-denied": (403, "CHAT_ACCESS_DENIED", "You have no access to this chat.", "Chat access denied"),
    "access-forbidden": (403, "CHAT_ACCESS_FORBIDDEN", "You have no access to this chat.", "Chat access forbidden"),
    "user-mismatch": (403, "USER_ID_MISMATCH", "The user does not match the session.", "User id mismatch"),
    "not-found": (404, "CHAT_NOT_FOUND", "Chat not found.", "Chat not found"),
    "rate-limited": (429, "RATE_LIMIT_EXCEEDED", TOO_MANY, TOO_MANY),
    "rate-limited-reset": (429, "RATE_LIMIT_EXCEEDED", TOO_MANY, TOO_MANY),
    "llm-failed": (500, "LLM_REQUEST_FAILED", "Failed to get response from LLM.", GENERIC),
    "internal": (500, "SERVER_INTERNAL_ERROR", "Something went wrong.", GENERIC),
}

SOURCES = [
    {"url": "https://example.org/q", "title": "Qubits", "description": "What a qubit is."},
    {"url": "https://example.org/s", "title": "Superposition"},
]
SEARCH = "exa-web-search"
SEARCH_RESULT = {"items": [{"title": "Qubits", "url": "https://example.org/q"}]}


def friendly_answer(question: str) -> str:
    lines = CHOICE.sub("", question).strip().splitlines() or ["nothing"]
    echo = " ".join(lines[-1].split()[:ECHOED_WORDS])
    return f"You asked: {echo}. {REMARK}"


def words(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def tokens(pieces: list[str]) -> Iterator[dict[str, Any]]:
    for piece in pieces:
        yield {"type": "token", "token": piece}


def _told(delta: str) -> dict[str, Any]:
    return {"type": "content", "delta": delta}


def _called(query: str) -> dict[str, Any]:
    return {"type": "tool_call", "toolName": SEARCH, "toolArgs": {"query": query}}


def _returned(result: dict[str, Any]) -> dict[str, Any]:
    return {"type": "tool_result", "toolName": SEARCH, "result": result}


def _documented(answer_id: str, *between: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {"type": "start", "messageId": answer_id}
    yield from between
    yield {"type": "end", "messageId": answer_id}


def _plain(answer_id: str) -> Iterator[dict[str, Any]]:
    return _documented(answer_id, _told("Quantum"), _told(" bits"), _told("!"))


def _with_tool(answer_id: str) -> Iterator[dict[str, Any]]:
    answer = _told("Quantum"), _told(" bits!")
    return _documented(answer_id, _called("quantum computing"), _returned(SEARCH_RESULT), *answer)


def _with_two_calls(answer_id: str) -> Iterator[dict[str, Any]]:
    calls = _called("qubits"), _called("superposition")
    results = _returned({"items": ["first"]}), _returned({"items": ["second"]})
    return _documented(answer_id, *calls, *results, _told("Quantum bits!"))


def _with_error(answer_id: str) -> Iterator[dict[str, Any]]:
    yield {"type": "start", "messageId": answer_id}
    yield _told("Quantum")
    yield {"type": "error", "error": "LLM_REQUEST_FAILED", "message": "Failed to get response from LLM."}


DOCUMENTED_STREAMS: dict[str, Callable[[str], Iterator[dict[str, Any]]]] = {
    "documented": _plain,
    "documented-tool": _with_tool,
    "documented-two-calls": _with_two_calls,
    "documented-error": _with_error,
}


def unanswered(question: dict[str, Any], chat_id: str, **more: Any) -> dict[str, Any]:
    return {"userMessage": question, "assistantMessage": None, "chatId": chat_id, **more}


def documented_run(run_id: str) -> Iterator[dict[str, Any]]:
    yield {"type": "run_started", "runId": run_id, "workflowId": "3f0b6a52-5a0e-4c3b-9b0a-0c1d2e3f4a5b"}
    yield {"type": "step_started", "stepId": "step-1", "toolId": SEARCH}
    yield {"type": "step_progress", "stepId": "step-1", "progress": 50, "message": "Searching"}
    yield {"type": "step_completed", "stepId": "step-1", "result": SEARCH_RESULT}
    yield {"type": "step_started", "stepId": "step-2", "toolId": "answer"}


def snapshot(
    run_id: str, status: str, steps: tuple[str, str], now: str, message: dict[str, Any] | None = None
) -> dict[str, Any]:
    ended = None if status == "RUNNING" else now
    run = {"id": run_id, "status": status, "startedAt": now, "completedAt": ended}
    told = [_step(number, name, steps[number - 1], now) for number, name in ((1, "Search"), (2, "Answer"))]
    return {"type": "snapshot", "workflowRun": run, "steps": told, "message": message}


def with_tool_call(snapshot: dict[str, Any]) -> dict[str, Any]:
    call = {"toolName": SEARCH, "toolArgs": {"query": "quantum computing"}, "result": SEARCH_RESULT}
    first, *others = snapshot["steps"]
    return {**snapshot, "steps": [{**first, "toolCalls": [call]}, *others]}


def _step(number: int, name: str, status: str, now: str) -> dict[str, Any]:
    return {
        "id": f"run-step-{number}",
        "stepId": f"step-{number}",
        "name": name,
        "status": status,
        "output": "Two pages found." if status == "PASSED" else None,
        "error": "The step failed." if status == "FAILED" else None,
        "logs": None,
        "toolCalls": None,
        "startedAt": None if status == "QUEUED" else now,
        "completedAt": None if status in {"QUEUED", "RUNNING"} else now,
    }


def unfinished_run(run_id: str, status: str, now: str) -> Iterator[dict[str, Any]]:
    yield snapshot(run_id, "RUNNING", ("RUNNING", "QUEUED"), now)
    yield snapshot(run_id, status, ("PASSED", status), now)
    yield {"type": "complete", "workflowRunId": run_id, "status": status}

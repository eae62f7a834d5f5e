"""An AG-UI server, played: every POST with a right `RunAgentInput` is a run, whatever its path.

It keeps nothing: the last message of the history says what is asked.
    user message      the play that it chooses, or an answer that repeats it
    tool message      an answer that repeats what the tools say
    `resume`          what the interrupted call gave, or that it was not run
Every key is good but `invalid`; none is needed. A body that does not fit is refused as pydantic's models refuse it: 422
and a list of errors. What they take and no server can use, an answer of no call or an empty history, is a RUN_ERROR.
Source: ag-ui-protocol 1.0.0, pydantic-ai 2.68, read 2026-11.
"""

from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

import msgspec

from gateway.protocols.ag_ui.plays import (
    CHOICE,
    PLAYS,
    REFUSALS,
    Frame,
    Play,
    Refused,
    failed,
    result,
    said,
    usual,
    written,
)
from gateway.protocols.base import Head, Script, Send, SimulatedRequest

PARTS = frozenset({"text", "image", "audio", "video", "document"})
SOURCES = {"data": ("value", "mimeType"), "url": ("value",), "file": ("value",)}
TEXT_ROLES = frozenset({"developer", "system", "reasoning"})
INTERRUPT = "int-"


class AgUiSimulator:
    plays: Mapping[str, str] = {
        "": "a friendly answer that comes word by word",
        **{name: play.shows for name, play in PLAYS.items()},
        **{name: f"refused: {refused.status}" for name, refused in REFUSALS.items()},
    }

    def __init__(self, play: str = "") -> None:
        self._play = play

    def answer(self, request: SimulatedRequest) -> Script:
        if request.method != "POST":
            return _refuse(Refused(405, {"detail": "Method Not Allowed"}, {"Allow": "POST"}))
        if request.headers.get("Authorization", "").removeprefix("Bearer ") == "invalid":
            return _refuse(REFUSALS["unauthorized"])
        try:
            run = msgspec.json.decode(request.body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            return _refuse(Refused(422, [{"type": "json_invalid", "loc": [], "msg": "Invalid JSON"}]))
        errors = list(_errors(run))
        if errors:
            return _refuse(Refused(422, errors))
        return self._run(run)

    def _run(self, run: Frame) -> Script:
        messages = run["messages"]
        chosen = self._chosen(messages)
        if chosen in REFUSALS:
            return _refuse(REFUSALS[chosen])
        tools = [tool["name"] for tool in run.get("tools") or []]
        play = _play(run, messages, chosen)
        headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
        return [Head(200, headers), *written(play, run, tools)]

    def _chosen(self, messages: list[Frame]) -> str:
        named = [name for name in CHOICE.findall(_asked(messages)) if name in self.plays]
        return named[-1] if named else self._play


def _play(run: Frame, messages: list[Frame], chosen: str) -> Play:
    if run.get("resume"):
        return _resumed(messages, run["resume"])
    if not messages:
        return Play("", (), failed("No message history, user prompt, or instructions provided"))
    if messages[-1]["role"] == "tool":
        return _answered(messages)
    return PLAYS.get(chosen) or usual(_asked(messages))


def _resumed(messages: list[Frame], resume: list[Frame]) -> Play:
    open_calls = _calls(messages) - {message["toolCallId"] for message in messages if message["role"] == "tool"}
    events: list[Frame | str] = []
    for entry in resume:
        call = entry["interruptId"].removeprefix(INTERRUPT)
        if entry["interruptId"] == "int-q":
            events += said("m1", f"You said {msgspec.json.encode(entry.get('payload')).decode()}.")
        elif call not in open_calls:
            return Play("", (), failed(f"ResumeEntry.interrupt_id {entry['interruptId']!r} names no open call"))
        elif entry["status"] == "resolved" and (entry.get("payload") or {}).get("approved") is True:
            events += [result(call, "deleted"), *said("m1", "It is done.")]
        else:
            events += [result(call, "The tool call was denied."), *said("m1", "I left it.")]
    return Play("", tuple(events))


def _answered(messages: list[Frame]) -> Play:
    known = _calls(messages)
    results = [*takewhile(lambda message: message["role"] == "tool", reversed(messages))]
    for message in results:
        if message["toolCallId"] not in known:
            return Play("", (), failed(f"Tool call with ID {message['toolCallId']} not found in the history."))
    said_by_tools = ", ".join(str(message["content"]) for message in reversed(results))
    return Play("", said("m1", "The tools say ", f"{said_by_tools}."))


def _calls(messages: list[Frame]) -> set[str]:
    return {call["id"] for message in messages for call in message.get("toolCalls") or []}


def _asked(messages: list[Frame]) -> str:
    """The text of the last user message."""
    content = next((message["content"] for message in reversed(messages) if message["role"] == "user"), "")
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


# --- what is refused


def _refuse(refused: Refused) -> Script:
    headers = {"Content-Type": "application/json", **refused.headers}
    return [Head(refused.status, headers), Send(msgspec.json.encode(refused.body))]


def _missing(*loc: str | int) -> Frame:
    return {"type": "missing", "loc": loc, "msg": "Field required"}


def _wrong(*loc: str | int) -> Frame:
    return {"type": "value_error", "loc": loc, "msg": "Input is not valid"}


def _errors(run: Any) -> Iterator[Frame]:
    if not isinstance(run, dict):
        yield _wrong()
        return
    for name in ("threadId", "runId"):
        if not isinstance(run.get(name), str):
            yield _missing(name)
    messages = run.get("messages")
    if not isinstance(messages, list):
        yield _missing("messages")
        return
    for number, message in enumerate(messages):
        yield from _message_errors(message, number)
    yield from (_wrong("tools", number) for number, tool in enumerate(run.get("tools") or []) if not _is_tool(tool))
    yield from (
        _wrong("resume", number) for number, entry in enumerate(run.get("resume") or []) if not _is_resume(entry)
    )


def _message_errors(message: Any, number: int) -> Iterator[Frame]:
    if not isinstance(message, dict) or not isinstance(message.get("id"), str):
        yield _missing("messages", number, "id")
        return
    role, content = message.get("role"), message.get("content")
    if role == "assistant":
        fits = isinstance(content, str | None) and all(map(_is_call, message.get("toolCalls") or []))
    elif role in TEXT_ROLES:
        fits = isinstance(content, str)
    elif role in {"user", "tool"}:
        fits = isinstance(content, str) or (isinstance(content, list) and all(map(_is_part, content)))
        fits = fits and (role == "user" or isinstance(message.get("toolCallId"), str))
    else:
        fits = role == "activity" and isinstance(content, dict)
    if not fits:
        yield _wrong("messages", number, str(role))


def _is_call(call: Any) -> bool:
    match call:
        case {"id": str(), "type": "function", "function": {"name": str(), "arguments": str()}}:
            return True
        case _:
            return False


def _is_tool(tool: Any) -> bool:
    match tool:
        case {"name": str(), "description": str()}:
            return True
        case _:
            return False


def _is_resume(entry: Any) -> bool:
    match entry:
        case {"interruptId": str(), "status": "resolved" | "cancelled"}:
            return True
        case _:
            return False


def _is_part(part: Any) -> bool:
    if not isinstance(part, dict) or part.get("type") not in PARTS:
        return False
    if part["type"] == "text":
        return isinstance(part.get("text"), str)
    source = part.get("source")
    if not isinstance(source, dict) or source.get("type") not in SOURCES:
        return False
    return all(isinstance(source.get(name), str) for name in SOURCES[source["type"]])

"""What the simulated AG-UI server can play: runs event by event, refusals, and how a run is written.

A play's events stand between RUN_STARTED and its end. In them `@` is the name of the first tool that the client
declares, `@@` of the second; a text that begins with a colon is a comment on the wire.
Written from docs.ag-ui.com, the Python models 1.0.0 and recordings of pydantic-ai 2.68, apart from what the translator
knows. Read 2026-11.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct, field

from gateway.protocols.base import Pause, Send, Step

Frame = dict[str, Any]

CHOICE = re.compile(r"\[play:([a-z0-9-]+)\]\s*")
_WORD = re.compile(r"\S+\s*")

USAGE = [{"provider": "sim", "model": "sim-1", "inputTokens": 12, "outputTokens": 5, "totalTokens": 17}]

SUCCESS: Frame = {"type": "RUN_FINISHED", "outcome": {"type": "success"}, "usage": USAGE}


class Play(Struct, frozen=True):
    """One run. `end` is the last event's own fields; None: the stream breaks off."""

    shows: str
    events: tuple[Frame | str, ...]
    end: Frame | None = field(default_factory=lambda: SUCCESS)
    starts: bool = True
    pace: float = 0


class Refused(Struct, frozen=True):
    status: int
    body: Any
    headers: dict[str, str] = {}


def said(message_id: str, *deltas: str, **start: str) -> tuple[Frame, ...]:
    return (
        {"type": "TEXT_MESSAGE_START", "messageId": message_id, "role": "assistant", **start},
        *({"type": "TEXT_MESSAGE_CONTENT", "messageId": message_id, "delta": delta} for delta in deltas),
        {"type": "TEXT_MESSAGE_END", "messageId": message_id},
    )


def called(call: str, name: str, *fragments: str) -> tuple[Frame, ...]:
    return (
        {"type": "TOOL_CALL_START", "toolCallId": call, "toolCallName": name},
        *({"type": "TOOL_CALL_ARGS", "toolCallId": call, "delta": fragment} for fragment in fragments),
        {"type": "TOOL_CALL_END", "toolCallId": call},
    )


def result(call: str, content: Any) -> Frame:
    return {
        "type": "TOOL_CALL_RESULT",
        "messageId": f"r-{call}",
        "toolCallId": call,
        "content": content,
        "role": "tool",
    }


def thought(message_id: str, *deltas: str, signature: str = "") -> tuple[Frame, ...]:
    signed = {"type": "REASONING_ENCRYPTED_VALUE", "subtype": "message", "entityId": message_id}
    return (
        {"type": "REASONING_START", "messageId": message_id},
        {"type": "REASONING_MESSAGE_START", "messageId": message_id, "role": "reasoning"},
        *({"type": "REASONING_MESSAGE_CONTENT", "messageId": message_id, "delta": delta} for delta in deltas),
        {"type": "REASONING_MESSAGE_END", "messageId": message_id},
        *(({**signed, "encryptedValue": signature},) if signature else ()),
        {"type": "REASONING_END", "messageId": message_id},
    )


BEGUN = said("m1", "Let me", " see")[:-1]
HELLO = said("m1", "Hello", " there")
INTERRUPT = {
    "id": "int-c1",
    "reason": "tool_call",
    "message": "Delete /tmp/a?",
    "toolCallId": "c1",
    "responseSchema": {"type": "object", "properties": {"approved": {"type": "boolean"}}, "required": ["approved"]},
}


def finished(**fields: Any) -> Frame:
    return {"type": "RUN_FINISHED", **fields}


def failed(message: str, code: str = "") -> Frame:
    return {"type": "RUN_ERROR", "message": message, **({"code": code} if code else {})}


PLAYS: dict[str, Play] = {
    "text": Play("a text of two deltas", HELLO),
    "two-models": Play(
        "usage of two models, with cached and reasoning tokens",
        HELLO,
        finished(
            usage=[
                {"model": "sim-1", "inputTokens": 10, "outputTokens": 4, "reasoningTokens": 3, "cachedInputTokens": 6},
                {"model": "sim-2", "inputTokens": 5, "outputTokens": 1, "cacheWriteInputTokens": 2},
            ]
        ),
    ),
    "reasoning": Play(
        "reasoning with its encrypted value, then a text",
        (*thought("t1", "Think", " hard.", signature="sealed"), *said("m1", "Done.")),
    ),
    "thinking": Play(
        "reasoning as servers before 1.0 spell it",
        (
            {"type": "THINKING_START", "title": "Thinking"},
            {"type": "THINKING_TEXT_MESSAGE_START"},
            {"type": "THINKING_TEXT_MESSAGE_CONTENT", "delta": "Think."},
            {"type": "THINKING_TEXT_MESSAGE_END"},
            {"type": "THINKING_END"},
            *said("m1", "Done."),
        ),
        finished(),
    ),
    "client-tool": Play(
        "a text, then a call of the client's tool",
        (*said("m1", "Let me ask."), *called("c1", "@", '{"city":', '"Kyiv"}')),
        finished(outcome={"type": "success", "pendingToolCallIds": ["c1"]}, usage=USAGE),
    ),
    "parallel-tools": Play(
        "two calls of the client's, their arguments in turns; nothing says that they are pending",
        (
            {"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": "@"},
            {"type": "TOOL_CALL_START", "toolCallId": "c2", "toolCallName": "@@"},
            {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": '{"a":'},
            {"type": "TOOL_CALL_ARGS", "toolCallId": "c2", "delta": '{"b":'},
            {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": "1}"},
            {"type": "TOOL_CALL_ARGS", "toolCallId": "c2", "delta": "2}"},
            {"type": "TOOL_CALL_END", "toolCallId": "c2"},
            {"type": "TOOL_CALL_END", "toolCallId": "c1"},
        ),
        finished(),
    ),
    "server-tool": Play(
        "a tool that the server runs, behind an empty message as its parent",
        (*said("m1"), *called("c1", "search", '{"q":"x"}'), result("c1", '{"hits":2}'), *said("m2", "Two hits.")),
    ),
    "result-parts": Play(
        "a tool's result as content parts",
        (
            *called("c1", "search"),
            result("c1", [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]),
            *said("m1", "Found."),
        ),
    ),
    "parallel-messages": Play(
        "two texts that grow in turns",
        (
            {"type": "TEXT_MESSAGE_START", "messageId": "m1"},
            {"type": "TEXT_MESSAGE_START", "messageId": "m2"},
            {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": "A"},
            {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m2", "delta": "B"},
            {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m1", "delta": "a"},
            {"type": "TEXT_MESSAGE_END", "messageId": "m2"},
            {"type": "TEXT_MESSAGE_END", "messageId": "m1"},
        ),
    ),
    "chunks": Play(
        "the short forms of a reasoning, a text and a call",
        (
            {"type": "REASONING_MESSAGE_CHUNK", "messageId": "t1", "delta": "Hm"},
            {"type": "REASONING_MESSAGE_CHUNK", "delta": "m."},
            {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m1", "role": "assistant", "delta": "Hel"},
            {"type": "TEXT_MESSAGE_CHUNK", "delta": "lo"},
            {"type": "TOOL_CALL_CHUNK", "toolCallId": "c1", "toolCallName": "search", "delta": '{"q":'},
            {"type": "TOOL_CALL_CHUNK", "delta": '"x"}'},
            result("c1", "none"),
            {"type": "TEXT_MESSAGE_CHUNK", "messageId": "m2", "delta": "Nothing."},
        ),
    ),
    "snapshot-only": Play(
        "an answer that comes in MESSAGES_SNAPSHOT alone",
        (
            {
                "type": "MESSAGES_SNAPSHOT",
                "messages": [
                    {"id": "u1", "role": "user", "content": "hi"},
                    {"id": "m1", "role": "assistant", "content": "Hello from a snapshot"},
                ],
            },
        ),
    ),
    "state": Play(
        "shared state, an activity, custom and raw events",
        (
            {"type": "STATE_SNAPSHOT", "snapshot": {"count": 1}},
            {"type": "STATE_DELTA", "delta": [{"op": "replace", "path": "/count", "value": 2}]},
            {"type": "ACTIVITY_SNAPSHOT", "messageId": "a1", "activityType": "PLAN", "content": {"steps": []}},
            {
                "type": "ACTIVITY_DELTA",
                "messageId": "a1",
                "activityType": "PLAN",
                "patch": [{"op": "add", "path": "/steps/-", "value": "look"}],
            },
            {"type": "CUSTOM", "name": "mood", "value": {"happy": True}},
            {"type": "RAW", "event": {"kind": "tick"}, "source": "engine"},
            *HELLO,
        ),
        finished(result={"score": 1}, usage=USAGE),
    ),
    "steps": Play(
        "steps and a subagent",
        (
            {"type": "STEP_STARTED", "stepName": "plan"},
            {"type": "SUBAGENT_STARTED", "subagentRunId": "s1", "name": "researcher"},
            {"type": "SUBAGENT_FINISHED", "subagentRunId": "s1"},
            *HELLO,
            {"type": "STEP_FINISHED", "stepName": "plan"},
        ),
    ),
    "approval": Play(
        "an interrupt that asks whether a call may run; `resume` answers it",
        called("c1", "delete", '{"path":"/tmp/a"}'),
        finished(outcome={"type": "interrupt", "interrupts": [INTERRUPT]}, usage=USAGE),
    ),
    "question": Play(
        "an interrupt that asks for a text",
        (),
        finished(
            outcome={"type": "interrupt", "interrupts": [{"id": "int-q", "reason": "input", "message": "Which city?"}]}
        ),
    ),
    "cancelled": Play("a run that the server cancels", BEGUN, finished(outcome={"type": "cancelled"})),
    "open": Play("a text that is never ended", BEGUN, finished()),
    "unknown": Play("an event of a later version", ({"type": "HOLOGRAM", "size": 3}, *HELLO)),
    "heartbeats": Play("comments between the deltas", (": ping", *BEGUN, ": ping", HELLO[-1])),
    "slow": Play("a quarter of a second before each event", HELLO, pace=0.25),
    "done": Play("a `[DONE]` behind the end, which no client takes", HELLO),
    "empty": Play("a run that says nothing", ()),
    "error-first": Play("an error before anything else", (), failed("Something failed"), starts=False),
    "error": Play("an error after two deltas", BEGUN, failed("Something failed")),
    "error-rate": Play("a rate limit in the stream", (), failed("Slow down", "rate_limit_exceeded")),
    "error-context": Play("a context too long in the stream", (), failed("Too long", "CONTEXT_LENGTH_EXCEEDED")),
    "cut": Play("the end of the bytes before the end of the run", BEGUN, None),
}

REFUSALS: dict[str, Refused] = {
    "unauthorized": Refused(401, {"detail": "Invalid API key"}),
    "forbidden": Refused(403, {"detail": "Not allowed"}),
    "not-found": Refused(404, {"detail": "Not Found"}),
    "rate-limited": Refused(429, {"error": "Too many requests"}, {"Retry-After": "3"}),
    "internal": Refused(500, {"error": {"message": "Internal error", "code": "internal_error"}}),
    "unavailable": Refused(503, {"detail": "Try again later"}),
}


def usual(text: str) -> Play:
    asked = CHOICE.sub("", text).strip()
    answer = f"You asked: {asked} This is AG-UI's simulator, and it answers in small pieces, as a real one does."
    return Play("", said("m1", *_WORD.findall(answer)))


def written(play: Play, run: Frame, tools: list[str]) -> Iterator[Step]:
    """The steps that play a run to a client which declares `tools`."""
    ids = {"threadId": run["threadId"], "runId": run["runId"]}
    events: list[Frame | str] = [*play.events]
    if play.starts:
        events.insert(0, {"type": "RUN_STARTED", **ids, "protocolVersion": "1.0"})
    if play.end is not None:
        events.append({**play.end, **(ids if play.end["type"] == "RUN_FINISHED" else {})})
    if play is PLAYS["done"]:
        events.append("data: [DONE]")
    for event in events:
        if play.pace:
            yield Pause(play.pace)
        yield Send(_frame(event, tools))


def _frame(event: Frame | str, tools: list[str]) -> bytes:
    if isinstance(event, str):
        return f"{event}\n\n".encode()
    names = {"@": tools[0] if tools else "ask", "@@": tools[-1] if tools else "ask"}
    name = event.get("toolCallName")
    told = {**event, "toolCallName": names[name]} if name in names else event
    return b"data: " + msgspec.json.encode(told) + b"\n\n"

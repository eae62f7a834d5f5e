"""What the simulated Dynamiq can play: what a run tells, act by act, and the refusals.

A run tells its acts in order. Behind `Cut` it goes on where nobody listens; behind an act that asks, it waits for its
input, and then tells `after`. `RUN` stands for the run's id, `{answer}` for what a person answered.
Spelled from the manual; names and payloads that it lacks are guesses, after its siblings and the vendor's open engine.
Read 2026-11.
"""

import re
from typing import Any

from msgspec import Struct

CHOICE = re.compile(r"\[play:([a-z0-9-]+)\]\s*")
ECHOED_WORDS = 6
REMARK = "This is a simulated Dynamiq App, and it answers in small pieces, as the real one does."

RUN = "@run"
CALL = "5e6f7081-92a3-4b5c-8d7e-9f0a1b2c3d4e"
OTHER_CALL = "6f708192-a3b4-4c5d-9e8f-0a1b2c3d4e5f"
REQUEST = "7a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
HEARTBEAT_SECONDS = 15.0
DELTA_SECONDS = 0.02


class Tell(Struct, frozen=True):
    """One event. `gap`: how far its sequence is from the one before. `lines`: what names its type."""

    type: str
    data: dict[str, Any]
    gap: int = 1
    lines: str = "both"
    seconds: float = 0


class Ask(Struct, frozen=True):
    """An event that leaves the run waiting for a person; `input` is what it waits for."""

    tell: Tell
    input: str


class Silence(Struct, frozen=True):
    """So many heartbeats, 15 s before each."""

    heartbeats: int


class Cut(Struct, frozen=True):
    """The connection's clean end; the run goes on."""


Act = Tell | Ask | Silence | Cut
Acts = tuple[Act, ...]


class Play(Struct, frozen=True):
    shows: str
    acts: Acts
    after: Acts = ()


class Refusal(Struct, frozen=True):
    status: int
    code: str
    message: str
    details: dict[str, str] = {}


def said(delta: str, gap: int = 1, seconds: float = 0) -> Tell:
    data = {"object": "agent.response.delta", "delta": delta}
    return Tell("agent.response.delta", data, gap, seconds=seconds)


def text(*deltas: str) -> tuple[Tell, ...]:
    return tuple(said(delta) for delta in deltas)


def thought(delta: str, iteration: int = 1) -> Tell:
    data = {"object": "agent.reasoning.delta", "delta": delta, "iteration": iteration}
    return Tell("agent.reasoning.delta", data)


def tool(kind: str, call: str = CALL, **fields: Any) -> Tell:
    data = {"id": call, "object": "agent.tool_call", **fields}
    return Tell(f"agent.tool_call.{kind}", {**data, "iteration": 1, "tool": LOOKUP})


def failed(**error: Any) -> Tell:
    return Tell("run.failed", {"id": RUN, "object": "run", "status": "failed", **error})


LOOKUP = {"name": "lookup-customer", "type": "http-api-call"}
CUSTOMER = {"customer_id": "c-1"}
CHARGES = '{"charges":2}'
STARTED = Tell("run.started", {"id": RUN, "object": "run", "status": "started"})
COMPLETED = Tell("run.completed", {"object": "run", "status": "completed"})
CANCELED = Tell("run.canceled", {"id": RUN, "object": "run", "status": "canceled"})
LOOKED_UP = tool("completed", result=CHARGES, input=CUSTOMER)
TWICE = text("The customer", " was charged", " twice")
QUESTION = Tell(
    "agent.human_feedback.requested",
    {"id": REQUEST, "object": "agent.human_feedback", "prompt": "Which of the two charges?"},
)
ORDER = {"id": REQUEST, "object": "approval_request", "type": "approval_request"}
REFUND = Tell(
    "approval_request.created",
    {
        **ORDER,
        "prompt": "Approve issuing a $620 refund to customer-7421?",
        "params": {"amount": 620, "currency": "USD"},
        "editable_params": ["amount"],
    },
)
ENGINE_QUESTION = Tell(
    "agent.human_feedback.requested",
    {"object": "agent.human_feedback", "prompt": "Which plan?", "action": "ask", "questions": ["Pro", "Team"]},
)
ENGINE_REFUND = Tell(
    "approval_request.created",
    {**ORDER, "template": "Refund?", "data": {"amount": 620}, "mutable_data_params": ["amount"]},
)
ENGINE_RESULT = Tell(
    "agent.tool_call.completed",
    {
        "tool_run_id": CALL,
        "name": "Make a report",
        "tool": {"name": "make-report", "type": "python", "action_type": "run"},
        "input": {"month": "June"},
        "result": "Done.",
        "files": [{"content": "YQ==", "size": 1, "name": "june.csv", "mime_type": "text/csv"}],
        "loop_num": 1,
        "output": "Done.",
        "timestamp": "2026-06-10T09:11:00Z",
        "status": "success",
    },
)


def _unnamed(acts: tuple[Tell, ...], lines: str) -> Acts:
    return tuple(Tell(act.type, act.data, act.gap, lines) for act in acts)


PLAYS: dict[str, Play] = {
    "plain": Play("three deltas", (STARTED, *TWICE, COMPLETED)),
    "tool": Play(
        "reasoning, a heartbeat, a tool call that is told only when it is done, text",
        (STARTED, thought("Check the account."), Silence(1), LOOKED_UP, *text("Yes, twice."), COMPLETED),
    ),
    "tool-started": Play(
        "a tool call told when it starts and when it is done",
        (STARTED, tool("started", input=CUSTOMER), LOOKED_UP, *text("Yes, twice."), COMPLETED),
    ),
    "tool-deltas": Play(
        "a tool call whose input comes in deltas",
        (
            STARTED,
            tool("started"),
            tool("delta", delta='{"customer_id":'),
            tool("delta", delta='"c-1"}'),
            LOOKED_UP,
            *text("Yes, twice."),
            COMPLETED,
        ),
    ),
    "tool-failed": Play(
        "a tool call that fails, and a second one between two pieces of text",
        (
            STARTED,
            tool("started", input=CUSTOMER),
            tool("failed", error={"message": "No such customer"}),
            *text("Once more."),
            tool("completed", OTHER_CALL, result="two charges", input={"customer_id": "c-2"}),
            *text("Yes, twice."),
            COMPLETED,
        ),
    ),
    "iterations": Play(
        "reasoning over two iterations",
        (
            STARTED,
            thought("Check"),
            thought(" the account."),
            thought("Two charges.", 2),
            Tell("agent.reasoning.completed", {"object": "agent.reasoning", "iteration": 2}),
            *TWICE,
            Tell("agent.response.completed", {"object": "agent.response"}),
            COMPLETED,
        ),
    ),
    "output": Play(
        "no deltas: the text stands in the run's output",
        (STARTED, Tell("run.completed", {**COMPLETED.data, "output": {"content": "Yes, twice."}})),
    ),
    "output-object": Play(
        "no deltas, and an output that is no text",
        (STARTED, Tell("run.completed", {**COMPLETED.data, "output": {"charges": 2}})),
    ),
    "output-repeated": Play(
        "deltas, and the whole text once more in the output",
        (STARTED, *TWICE, Tell("run.completed", {**COMPLETED.data, "output": "The customer was charged twice"})),
    ),
    "failed": Play(
        "a failure after two deltas",
        (STARTED, *TWICE[:2], failed(error={"code": "internal_error", "message": "Tool execution failed"})),
    ),
    "failed-text": Play("a failure that says a text", (STARTED, *TWICE[:2], failed(error="Tool execution failed"))),
    "failed-silently": Play("a failure that says nothing", (STARTED, *TWICE[:2], failed())),
    "canceled": Play("a run that somebody else cancels", (STARTED, *TWICE[:2], CANCELED)),
    "feedback": Play(
        "a question to a person, then heartbeats; the answer is told on the run's stream",
        (STARTED, thought("Ask."), Ask(QUESTION, "human_feedback"), Silence(3)),
        (*text("You said:", " {answer}."), COMPLETED),
    ),
    "feedback-engine": Play(
        "a question in the engine's own words, without an id",
        (STARTED, Ask(ENGINE_QUESTION, "human_feedback"), Silence(3)),
        (*text("You said: {answer}."), COMPLETED),
    ),
    "feedback-info": Play(
        "a word to a person that wants no reply",
        (
            STARTED,
            Tell(
                "agent.human_feedback.requested",
                {"object": "agent.human_feedback", "prompt": "This takes a while.", "action": "info"},
            ),
            *TWICE,
            COMPLETED,
        ),
    ),
    "approval": Play(
        "a request for approval with parameters that may be edited",
        (STARTED, Ask(REFUND, "approval_request"), Silence(3)),
        (*text("The refund", " is {answer}."), COMPLETED),
    ),
    "approval-engine": Play(
        "a request for approval in the engine's own words",
        (STARTED, Ask(ENGINE_REFUND, "approval_request"), Silence(3)),
        (*text("The refund is {answer}."), COMPLETED),
    ),
    "engine": Play(
        "reasoning and a tool's result, with a file, in the engine's own words",
        (
            STARTED,
            Tell("agent.reasoning.completed", {"thought": "I need a report.", "action": "make-report", "loop_num": 1}),
            ENGINE_RESULT,
            *text("Here it is."),
            COMPLETED,
        ),
    ),
    "cut": Play(
        "the end at sequence 5; the rest, with the fifth once more, is on the run's stream",
        (STARTED, thought("Check."), *TWICE, Cut(), *text(", on Monday", "."), COMPLETED),
    ),
    "waiting": Play(
        "a run that goes on under heartbeats until it is canceled, or somebody listens again",
        (STARTED, *TWICE[:1], Silence(4), Cut(), *TWICE[1:], COMPLETED),
    ),
    "unknown": Play(
        "events of unknown types and gaps in the sequence",
        (
            STARTED,
            Tell("agent.planning.started", {"object": "agent.planning", "steps": 3}, gap=3),
            said("The customer", 8),
            said(" was charged"),
            Tell("subagent.response.delta", {"object": "agent.response.delta", "delta": "Charged on Monday."}),
            Tell("run.paused", {"id": RUN, "object": "run", "status": "paused"}),
            Tell("run.resumed", {"id": RUN, "object": "run", "status": "started"}),
            said(" twice", 5),
            COMPLETED,
        ),
    ),
    "siblings": Play(
        "names that are other spellings of the documented ones",
        (
            Tell("run.created", STARTED.data),
            Tell("workflow.response.delta", {"object": "agent.response.delta", "delta": "The customer"}),
            *text(" was charged"),
            Tell("run.cancelled", {**CANCELED.data, "status": "cancelled"}),
        ),
    ),
    "repeated": Play(
        "an event told twice, and one whose sequence goes back",
        (STARTED, *TWICE[:2], said(" was charged", 0), said("The customer", -1), said(" twice", 2), COMPLETED),
    ),
    "no-event-lines": Play("the type only in the data", _unnamed((STARTED, *TWICE, COMPLETED), "data")),
    "no-types": Play("the type only in the event line", _unnamed((STARTED, *TWICE, COMPLETED), "event")),
}

REFUSALS: dict[str, Refusal] = {
    "bad-request": Refusal(400, "bad_request", "Bad Request", {"content": "cannot be blank"}),
    "unauthorized": Refusal(401, "unauthorized", "Unauthorized"),
    "forbidden": Refusal(403, "forbidden", "Forbidden"),
    "not-found": Refusal(404, "not_found", "Conversation not found"),
    "rate-limited": Refusal(429, "too_many_requests", "Too many requests"),
    "internal": Refusal(500, "internal_error", "Internal server error"),
}
BAD_GATEWAY = "bad-gateway"


def usual(question: str, files: list[str]) -> Play:
    lines = CHOICE.sub("", question).strip().splitlines() or ["nothing"]
    echo = " ".join(lines[-1].split()[:ECHOED_WORDS])
    mention = f" I have {', '.join(files)}." if files else ""
    words = re.findall(r"\s*\S+", f"You asked: {echo}.{mention} {REMARK}")
    deltas = (said(word, seconds=DELTA_SECONDS) for word in words)
    return Play("", (STARTED, *deltas, COMPLETED))

"""Each law has a stream that keeps it and streams that break it, event by event."""

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.canonical.errors import ErrorBody
from gateway.canonical.events import (
    Data,
    Event,
    File,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    MessageRouted,
    MessageStarted,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    Source,
    StepCompleted,
    StepStarted,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.laws import LawBroken, Laws, check_stream

STARTED = MessageStarted("m1", "c1", "default", datetime(2026, 11, 2, tzinfo=UTC))
ROUTED = MessageRouted("acme", 1, "acme-large")
ERROR = ErrorBody("upstream_unavailable", "the vendor is unavailable", retryable=True)
SWITCH = MessageRouted("zeta", 2, None, "acme", ERROR, discard=True)
GOES_ON = MessageRouted("zeta", 2, None, "acme", ERROR, discard=False)
STOP = MessageCompleted("stop")
FAILED = MessageFailed(ERROR)
HELLO: list[Event] = [TextStarted(0), TextDelta(0, "Hel"), TextDelta(0, "lo"), TextCompleted(0, "Hello")]
CALL = ToolCallStarted(0, "call_1", "search", "client")
CALLED = ToolCallCompleted(0, "call_1", "search", {"q": 1}, "complete")
CUT = ToolCallCompleted(0, "call_1", "search", {}, "cut", '{"q"')
QUERY = ToolCallDelta(0, "call_1", '{"q":1}')
HALF = ToolCallDelta(0, "call_1", '{"q"')


def answer(*events: Event) -> list[Event]:
    return [STARTED, ROUTED, *events]


LAWFUL: dict[str, list[Event]] = {
    "a text": answer(*HELLO, STOP),
    "refused before anyone was asked": [STARTED, FAILED],
    "canceled before anyone was asked": [STARTED, MessageCanceled("client")],
    "everything at once": answer(
        StepStarted(0, "plan"),
        ReasoningStarted(0),
        TextStarted(1),
        ReasoningDelta(0, "hm"),
        TextDelta(1, "a"),
        ReasoningCompleted(0, "hm"),
        Source("s1", block=1),
        TextCompleted(1, "a"),
        Source("s2"),
        ToolCallStarted(2, "call_1", "f", "vendor"),
        ToolCallCompleted(2, "call_1", "f", {}, "complete"),
        ToolResult("call_1", {"n": 1}, is_error=False),
        StepCompleted(0, "plan"),
        UsageReported(input_tokens=1),
        VendorEvent("sparkle", {}),
        STOP,
    ),
    "a corrected text": answer(*HELLO, TextStarted(1, 0), TextDelta(1, "Hi"), TextCompleted(1, "Hi"), STOP),
    "a switch that forgets": answer(*HELLO, SWITCH, TextStarted(1), TextDelta(1, "x"), TextCompleted(1, "x"), STOP),
    "a switch that goes on": answer(*HELLO, GOES_ON, STOP),
    "a cut call that is forgotten, and its id used anew": answer(
        CALL,
        HALF,
        CUT,
        SWITCH,
        ToolCallStarted(1, "call_1", "search", "client"),
        ToolCallCompleted(1, "call_1", "search", {}, "complete"),
        MessageCompleted("tool_calls", pending_tool_calls=["call_1"]),
    ),
    "a call the client owes": answer(
        CALL, QUERY, CALLED, MessageCompleted("tool_calls", pending_tool_calls=["call_1"])
    ),
    "a call cut by length": answer(CALL, HALF, CUT, MessageCompleted("length")),
    "a vendor's call cut": answer(
        ToolCallStarted(0, "call_1", "search", "vendor"), HALF, CUT, MessageCompleted("stop")
    ),
    "a call cut before a failure": answer(CALL, HALF, CUT, FAILED),
    "a file is an answer": answer(File("f1"), STOP),
    "data is an answer": answer(Data("chart", None), MessageCompleted("other")),
    "filtered with nothing said": answer(MessageCompleted("content_filter")),
    "a question": answer(InputRequested("r1", "question"), MessageCompleted("input_required")),
}

OPEN: list[Event] = [TextStarted(0), TextDelta(0, "Hel")]

BROKEN: dict[str, tuple[int, list[Event]]] = {
    "nothing": (2, []),
    "no start": (1, [ROUTED]),
    "two starts": (1, answer(STARTED)),
    "content before anyone was asked": (1, [STARTED, TextStarted(0), TextDelta(0, "a")]),
    "no terminal": (2, answer(*HELLO)),
    "two terminals": (2, answer(*HELLO, STOP, FAILED)),
    "something after the terminal": (2, answer(*HELLO, STOP, UsageReported(input_tokens=1))),
    "a block left open": (3, answer(*OPEN, STOP)),
    "a block left open at a failure": (3, answer(*OPEN, FAILED)),
    "a block left open at a cancel": (3, answer(*OPEN, MessageCanceled("client"))),
    "a block left open at a switch": (3, answer(*OPEN, SWITCH)),
    "a step left open": (3, answer(*HELLO, StepStarted(0), STOP)),
    "a step left open at a switch": (3, answer(StepStarted(0), SWITCH)),
    "a switch that does not say whether to forget": (3, answer(MessageRouted("zeta", 2, from_="acme"))),
    "a switch that does not say from whom": (3, answer(MessageRouted("zeta", 2, discard=False))),
    "a block replaced twice": (
        3,
        answer(*HELLO, TextStarted(1, replaces=0), TextCompleted(1, ""), TextStarted(2, replaces=0)),
    ),
    "a number that comes again": (3, answer(*HELLO, TextStarted(0))),
    "a number that comes again after a switch": (3, answer(*HELLO, SWITCH, ReasoningStarted(0))),
    "a delta of a block never opened": (3, answer(TextDelta(0, "a"))),
    "a delta of a completed block": (3, answer(*HELLO, TextDelta(0, "a"))),
    "a delta of another kind": (3, answer(TextStarted(0), ReasoningDelta(0, "a"))),
    "a fragment for a text": (3, answer(TextStarted(0), QUERY)),
    "a completion of a block never opened": (3, answer(TextCompleted(0, ""))),
    "a completion of another kind": (3, answer(ReasoningStarted(0), TextCompleted(0, ""))),
    "a second completion": (3, answer(*HELLO, TextCompleted(0, "Hello"))),
    "a call's completion for a text": (3, answer(TextStarted(0), CALLED)),
    "a call's completion for nothing": (3, answer(CALLED)),
    "a correction of nothing": (3, answer(TextStarted(1, 0))),
    "a correction of another kind": (3, answer(*HELLO, ReasoningStarted(1, 0))),
    "a correction of an open block": (3, answer(TextStarted(0), TextStarted(1, 0))),
    "a source of a block never opened": (3, answer(Source("s", block=0))),
    "a step that starts twice": (3, answer(StepStarted(0), StepCompleted(0), StepStarted(0))),
    "a step that ends twice": (3, answer(StepStarted(0), StepCompleted(0), StepCompleted(0))),
    "deltas that spell another text": (4, answer(*OPEN, TextCompleted(0, "Hello"))),
    "deltas that spell another reasoning": (4, answer(ReasoningStarted(0), ReasoningCompleted(0, "hm"))),
    "deltas that spell other arguments": (4, answer(CALL, CALLED)),
    "a call id that comes again": (5, answer(CALL, ToolCallStarted(1, "call_1", "f", "client"))),
    "a call that completes under another id": (
        5,
        answer(CALL, QUERY, ToolCallCompleted(0, "call_2", "search", {"q": 1}, "complete")),
    ),
    "a cut call with arguments": (
        5,
        answer(CALL, HALF, ToolCallCompleted(0, "call_1", "search", {"q": 1}, "cut", '{"q"')),
    ),
    "a cut call without its text": (5, answer(CALL, HALF, ToolCallCompleted(0, "call_1", "search", {}, "cut"))),
    "completed with a call the client cannot run": (5, answer(CALL, HALF, CUT, MessageCompleted("tool_calls"))),
    "a pending call that was never made": (5, answer(*HELLO, MessageCompleted("stop", pending_tool_calls=["x"]))),
    "a pending call that was forgotten": (
        5,
        answer(CALL, QUERY, CALLED, SWITCH, MessageCompleted("tool_calls", pending_tool_calls=["call_1"])),
    ),
    "half a character": (7, answer(TextStarted(0), TextDelta(0, "\ud83d"))),
    "half a character deep inside": (7, answer(Data("d", {"a": ["\ud83d"]}))),
    "an empty answer": (9, answer(STOP)),
    "an empty answer for another reason": (9, answer(TextStarted(0), TextCompleted(0, ""), MessageCompleted("other"))),
    "reasoning alone": (9, answer(ReasoningStarted(0), ReasoningDelta(0, "a"), ReasoningCompleted(0, "a"), STOP)),
    "an empty answer after a switch that forgets": (9, answer(*HELLO, SWITCH, STOP)),
}


@pytest.mark.parametrize("events", LAWFUL.values(), ids=LAWFUL.keys())
def test_a_lawful_stream_passes(events: list[Event]) -> None:
    check_stream(events)


@pytest.mark.parametrize(("law", "events"), BROKEN.values(), ids=BROKEN.keys())
def test_a_stream_that_breaks_a_law_is_caught_at_its_last_event(law: int, events: list[Event]) -> None:
    laws = Laws()
    for event in events[:-1]:
        laws.check(event)
    with pytest.raises(LawBroken) as caught:
        check_stream(events)
    assert caught.value.law == law
    assert str(caught.value).startswith(f"law {law}: ")


def test_what_broke_a_law_is_named_by_its_type() -> None:
    with pytest.raises(LawBroken, match=r"law 2: text\.delta after the terminal"):
        check_stream(answer(*HELLO, STOP, TextDelta(0, "a")))


@pytest.mark.parametrize("size", range(1, len(LAWFUL["everything at once"])))
def test_a_stream_cut_short_is_never_lawful(size: int) -> None:
    cut: list[Any] = LAWFUL["everything at once"][:size]
    with pytest.raises(LawBroken):
        check_stream(cut)

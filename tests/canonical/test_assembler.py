"""Events folded into the message they make, and what is open at any moment."""

from datetime import UTC, datetime

import msgspec

from gateway.canonical.assembler import EVENT_COST, Assembler
from gateway.canonical.errors import ErrorBody
from gateway.canonical.events import (
    Data,
    DataFrame,
    Event,
    File,
    InputRequested,
    MessageCompleted,
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
    Usage,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.message import (
    DataFramePart,
    DataPart,
    FilePart,
    InputPart,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

STARTED = MessageStarted("m1", "c1", "default", datetime(2026, 11, 2, tzinfo=UTC))
ERROR = ErrorBody("upstream_unavailable", "the vendor is unavailable", retryable=True)


def assembled(*events: Event) -> Assembler:
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    return assembler


def test_every_kind_of_content_becomes_a_part_with_the_fields_of_its_events() -> None:
    assembler = assembled(
        STARTED,
        MessageRouted("acme", 1),
        ReasoningStarted(0),
        ReasoningDelta(0, "hm"),
        ReasoningCompleted(0, "hm", "sig"),
        TextStarted(1),
        TextDelta(1, "Hi"),
        TextCompleted(1, "Hi", "gis"),
        ToolCallStarted(2, "call_1", "search", "vendor"),
        ToolCallDelta(2, "call_1", '{"q":1}'),
        ToolCallCompleted(2, "call_1", "search", {"q": 1}, "complete", None, "s"),
        ToolResult("call_1", ["r"], is_error=True, name="search"),
        Source("s1", "Title", "https://x.test", None, "quote", 1, 0, 2),
        File("f1", "a.png", "image/png", "https://x.test/a.png"),
        DataFrame("sales", ["a"], [[1]]),
        Data("chart", {"x": 1}),
        InputRequested("r1", "approval", "May I?", "call_1", {"type": "object"}),
        MessageCompleted("stop"),
    )
    assert assembler.parts() == [
        ReasoningPart("hm", 0, "sig"),
        TextPart("Hi", 1, "gis"),
        ToolCallPart("call_1", "search", {"q": 1}, 2, "complete", "vendor", None, "s"),
        ToolResultPart("call_1", ["r"], is_error=True, name="search"),
        SourcePart("s1", "Title", "https://x.test", None, "quote", 1, 0, 2),
        FilePart("f1", "https://x.test/a.png", None, "image/png", "a.png"),
        DataFramePart("sales", ["a"], [[1]]),
        DataPart("chart", {"x": 1}),
        InputPart("r1", "approval", "May I?", "call_1", {"type": "object"}),
    ]
    assert assembler.open_events() == []


def test_parts_stand_in_the_order_in_which_their_blocks_were_opened() -> None:
    assembler = assembled(
        TextStarted(0), TextStarted(1), Data("d", 1), TextCompleted(1, ""), ReasoningStarted(2), TextCompleted(0, "")
    )
    assert assembler.parts() == [TextPart("", 0), TextPart("", 1), DataPart("d", 1)]


def test_a_correction_stands_in_the_place_of_what_it_replaces() -> None:
    assembler = assembled(
        TextStarted(0),
        TextCompleted(0, "a"),
        TextStarted(1),
        TextCompleted(1, "b"),
        TextStarted(2, replaces=0),
        TextCompleted(2, "A"),
        TextStarted(3, replaces=2),
        TextCompleted(3, "AA"),
    )
    assert assembler.parts() == [TextPart("AA", 3), TextPart("b", 1)]
    assert "".join(part.text for part in assembler.parts() if isinstance(part, TextPart)) == "AAb"


def test_a_block_that_is_corrected_twice_is_what_the_last_correction_says() -> None:
    assembler = assembled(
        TextStarted(0),
        TextCompleted(0, "a"),
        TextStarted(1, replaces=0),
        TextCompleted(1, "A"),
        TextStarted(2, replaces=0),
        TextCompleted(2, "AA"),
    )
    assert assembler.parts() == [TextPart("AA", 2)]


def test_what_is_open_is_completed_in_the_order_of_its_numbers_and_then_the_steps_from_within() -> None:
    assembler = assembled(
        StepStarted(0, "plan"),
        StepStarted(1),
        StepStarted(2),
        StepCompleted(1),
        TextStarted(1),
        ToolCallStarted(0, "call_1", "search", "client"),
        ToolCallDelta(0, "call_1", '{"q":1}'),
        ReasoningStarted(2),
        ReasoningDelta(2, "h"),
        ReasoningDelta(2, "m"),
        TextDelta(1, "Hel"),
        TextDelta(1, "lo"),
    )
    assert assembler.parts() == []
    completions: list[Event] = [
        ToolCallCompleted(0, "call_1", "search", {}, "cut", '{"q":1}'),
        TextCompleted(1, "Hello"),
        ReasoningCompleted(2, "hm"),
        StepCompleted(2),
        StepCompleted(0, "plan"),
    ]
    assert assembler.open_events() == completions
    for event in completions:
        assembler.add(event)
    assert assembler.open_events() == []
    assert assembler.parts() == [
        TextPart("Hello", 1),
        ToolCallPart("call_1", "search", {}, 0, "cut", "client", '{"q":1}'),
        ReasoningPart("hm", 2),
    ]


def test_calls_that_did_not_finish_are_known_with_who_would_have_run_them() -> None:
    assembler = assembled(
        ToolCallStarted(0, "whole", "f", "client"),
        ToolCallCompleted(0, "whole", "f", {}, "complete"),
        ToolCallStarted(1, "unreadable", "f", "client"),
        ToolCallCompleted(1, "unreadable", "f", {}, "unreadable", "{"),
        ToolCallStarted(2, "open", "f", "vendor"),
        TextStarted(3),
    )
    assert assembler.unfinished_calls() == {"unreadable": "client", "open": "vendor"}


def test_a_switch_that_forgets_leaves_nothing_and_one_that_goes_on_leaves_everything() -> None:
    events: list[Event] = [MessageRouted("acme", 1), TextStarted(0), TextDelta(0, "a"), TextCompleted(0, "a")]
    goes_on = assembled(*events, MessageRouted("zeta", 2, None, "acme", ERROR, discard=False))
    forgets = assembled(*events, MessageRouted("zeta", 2, None, "acme", ERROR, discard=True))
    assert (goes_on.parts(), goes_on.has_answer) == ([TextPart("a", 0)], True)
    assert (forgets.parts(), forgets.has_answer, forgets.unfinished_calls()) == ([], False, {})
    assert goes_on.size == forgets.size


def test_a_correction_of_what_was_forgotten_is_a_part_of_its_own() -> None:
    assembler = assembled(
        TextStarted(0), TextCompleted(0, "a"), MessageRouted("zeta", 2, discard=True), TextStarted(1, replaces=0)
    )
    assembler.add(TextCompleted(1, "b"))
    assert assembler.parts() == [TextPart("b", 1)]


ANSWERS: list[tuple[Event, ...]] = [
    (TextStarted(0), TextDelta(0, "a")),
    (ToolCallStarted(0, "c", "f", "vendor"),),
    (File("f1"),),
    (DataFrame("d", [], []),),
    (Data("d", None),),
    (InputRequested("r", "question"),),
]
NO_ANSWERS: list[tuple[Event, ...]] = [
    (TextStarted(0), TextCompleted(0, "")),
    (ReasoningStarted(0), ReasoningDelta(0, "a"), ReasoningCompleted(0, "a")),
    (ToolResult("c", None, is_error=False),),
    (Source("s"),),
    (StepStarted(0), UsageReported(credits=1), VendorEvent("x", {})),
]


def test_reasoning_results_sources_and_the_like_are_no_answer() -> None:
    assert [assembled(*events).has_answer for events in ANSWERS] == [True] * len(ANSWERS)
    assert [assembled(*events).has_answer for events in NO_ANSWERS] == [False] * len(NO_ANSWERS)


def test_the_last_usage_counts() -> None:
    assembler = assembled(UsageReported(input_tokens=1), UsageReported(input_tokens=2, output_tokens=3, partial=True))
    assert assembled().usage is None
    assert assembler.usage == Usage(input_tokens=2, output_tokens=3, partial=True)


def test_the_size_counts_texts_fragments_and_whatever_a_vendor_hands_over() -> None:
    deltas = assembled(
        TextStarted(0),
        TextDelta(0, "abc"),
        ReasoningStarted(1),
        ReasoningDelta(1, "de"),
        ToolCallStarted(2, "c", "f", "vendor"),
        ToolCallDelta(2, "c", "{}"),
    )
    assert deltas.size == 7 + 6 * EVENT_COST
    data = Data("d", "x" * 1000)
    assert assembled(data).size == EVENT_COST + len(msgspec.json.encode([[[[DataPart("d", "x" * 1000)]]]]))
    assert assembled(VendorEvent("x", "y" * 1000)).size > 1000

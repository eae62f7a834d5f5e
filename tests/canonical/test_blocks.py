"""What a translator says of its vendor's blocks, and the events that become of it."""

from typing import Any

import pytest

from gateway.canonical.blocks import MAX_BLOCKS, Blocks, Numbering, parse_arguments
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    StepCompleted,
    StepStarted,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
)


@pytest.fixture
def blocks() -> Blocks:
    return Blocks(Numbering())


def test_an_invented_id_names_its_message() -> None:
    numbering = Numbering("9f3a")
    numbering.taken.add("call_9f3a_1")
    assert [numbering.identify("call") for _ in range(2)] == ["call_9f3a_0", "call_9f3a_2"]


# --- texts and reasonings


def test_a_delta_opens_its_text_and_the_deltas_spell_it(blocks: Blocks) -> None:
    assert [*blocks.text("Hel"), *blocks.text(""), *blocks.text("lo"), *blocks.complete_text(signature="s")] == [
        TextStarted(0),
        TextDelta(0, "Hel"),
        TextDelta(0, "lo"),
        TextCompleted(0, "Hello", "s"),
    ]


def test_an_empty_delta_opens_nothing(blocks: Blocks) -> None:
    assert (blocks.text(""), blocks.reasoning("")) == ((), ())


def test_a_second_start_and_a_second_completion_change_nothing(blocks: Blocks) -> None:
    assert [*blocks.start_text("a"), *blocks.start_text("a")] == [TextStarted(0)]
    assert [*blocks.complete_text("a"), *blocks.complete_text("a")] == [TextCompleted(0, "")]
    assert [*blocks.start_reasoning("a"), *blocks.start_reasoning("a")] == [ReasoningStarted(1)]
    assert [*blocks.complete_reasoning("a"), *blocks.complete_reasoning("a")] == [ReasoningCompleted(1, "")]


def test_blocks_of_one_key_are_told_apart_by_their_kind_and_grow_side_by_side(blocks: Blocks) -> None:
    events = [
        *blocks.reasoning("hm", "x"),
        *blocks.text("a", "x"),
        *blocks.text("b", "y"),
        *blocks.reasoning("m", "x"),
        *blocks.text("A", "x"),
        *blocks.complete_reasoning("x", "sig"),
        *blocks.complete(),
    ]
    assert events == [
        ReasoningStarted(0),
        ReasoningDelta(0, "hm"),
        TextStarted(1),
        TextDelta(1, "a"),
        TextStarted(2),
        TextDelta(2, "b"),
        ReasoningDelta(0, "m"),
        TextDelta(1, "A"),
        ReasoningCompleted(0, "hmm", "sig"),
        TextCompleted(1, "aA"),
        TextCompleted(2, "b"),
    ]


def test_a_text_after_its_completion_is_a_new_block(blocks: Blocks) -> None:
    assert [*blocks.text("a"), *blocks.complete(), *blocks.text("b")] == [
        TextStarted(0),
        TextDelta(0, "a"),
        TextCompleted(0, "a"),
        TextStarted(1),
        TextDelta(1, "b"),
    ]


def test_completing_goes_by_number_and_leaves_calls_and_steps_open(blocks: Blocks) -> None:
    blocks.start_step()
    blocks.start_text("t")
    blocks.start_call("c", "search")
    blocks.start_reasoning("r")
    blocks.start_text("u")
    assert blocks.complete() == (TextCompleted(0, ""), ReasoningCompleted(2, ""), TextCompleted(3, ""))
    assert blocks.is_call_open("c")
    assert blocks.complete_step() == (StepCompleted(0),)


# --- a text that the vendor repeats at its end


def test_a_repeated_text_that_agrees_only_completes(blocks: Blocks) -> None:
    blocks.text("Hello")
    assert blocks.settle_text("Hello", signature="s") == (TextCompleted(0, "Hello", "s"),)


def test_a_repeated_text_that_goes_on_adds_what_is_missing(blocks: Blocks) -> None:
    blocks.text("Hel")
    assert blocks.settle_text("Hello") == (TextDelta(0, "lo"), TextCompleted(0, "Hello"))


def test_a_repeated_text_that_was_never_streamed_is_a_block(blocks: Blocks) -> None:
    assert blocks.settle_text("Hello") == (TextStarted(0), TextDelta(0, "Hello"), TextCompleted(0, "Hello"))


def test_a_repeated_text_that_differs_replaces_what_was_shown(blocks: Blocks) -> None:
    blocks.text("Helo")
    assert blocks.settle_text("Hello", signature="s") == (
        TextCompleted(0, "Helo"),
        TextStarted(1, replaces=0),
        TextDelta(1, "Hello"),
        TextCompleted(1, "Hello", "s"),
    )


def test_a_text_repeated_after_its_completion_is_corrected_once_and_only_where_it_differs(blocks: Blocks) -> None:
    blocks.text("Helo")
    blocks.complete_text()
    assert blocks.settle_text("Hello") == (
        TextStarted(1, replaces=0),
        TextDelta(1, "Hello"),
        TextCompleted(1, "Hello"),
    )
    assert blocks.settle_text("Hello") == ()
    assert blocks.settle_text("") == (TextStarted(2, replaces=1), TextCompleted(2, ""))


def test_a_repeated_reasoning_is_settled_alike(blocks: Blocks) -> None:
    blocks.reasoning("Hm")
    assert blocks.settle_reasoning("Hmm", signature="s") == (
        ReasoningDelta(0, "m"),
        ReasoningCompleted(0, "Hmm", "s"),
    )


# --- tool calls


def test_the_fragments_of_a_call_spell_its_arguments(blocks: Blocks) -> None:
    events = [
        *blocks.start_call("k", "search", tool_call_id="call_abc", executor="client"),
        *blocks.start_call("k", "search again"),
        *blocks.call("k", '{"q":'),
        *blocks.call("k", ""),
        *blocks.call("k", "1}"),
        *blocks.complete_call("k", signature="s"),
        *blocks.complete_call("k"),
        *blocks.call("k", "late"),
    ]
    assert events == [
        ToolCallStarted(0, "call_abc", "search", "client"),
        ToolCallDelta(0, "call_abc", '{"q":'),
        ToolCallDelta(0, "call_abc", "1}"),
        ToolCallCompleted(0, "call_abc", "search", {"q": 1}, "complete", None, "s"),
    ]


def test_a_call_without_an_id_gets_one_of_ours(blocks: Blocks) -> None:
    assert [*blocks.start_call("a", "x"), *blocks.start_call("b", "y", tool_call_id="")] == [
        ToolCallStarted(0, "call_0", "x", "unknown"),
        ToolCallStarted(1, "call_1", "y", "unknown"),
    ]


def test_an_id_that_the_vendor_gives_to_two_calls_stays_with_the_first(blocks: Blocks) -> None:
    events = [
        *blocks.start_call("a", "x"),
        *blocks.start_call("b", "y", tool_call_id="call_1"),
        *blocks.start_call("c", "z", tool_call_id="call_1"),
        *blocks.start_call("d", "z", tool_call_id="call_0"),
    ]
    assert events == [
        ToolCallStarted(0, "call_0", "x", "unknown"),
        ToolCallStarted(1, "call_1", "y", "unknown"),
        ToolCallStarted(2, "call_2", "z", "unknown"),
        ToolCallStarted(3, "call_3", "z", "unknown"),
    ]


def test_an_id_of_an_earlier_attempt_is_the_vendors_to_give_and_not_ours(blocks: Blocks) -> None:
    blocks.start_call("k", "f", tool_call_id="call_0")
    again = Blocks(blocks.numbering)
    assert [*again.start_call("a", "x"), *again.start_call("b", "y", tool_call_id="call_0")] == [
        ToolCallStarted(1, "call_1", "x", "unknown"),
        ToolCallStarted(2, "call_0", "y", "unknown"),
    ]


def test_a_call_that_the_vendor_repeats_after_its_completion_changes_nothing(blocks: Blocks) -> None:
    blocks.start_call("k", "f", tool_call_id="c")
    blocks.call("k", "{}")
    blocks.complete_call("k")
    assert (blocks.start_call("k", "f", tool_call_id="c"), blocks.call("k", "{}"), blocks.complete_call("k")) == (
        (),
        (),
        (),
    )
    assert blocks.start_call("k", "f", tool_call_id="d") == (ToolCallStarted(1, "d", "f", "unknown"),)


COMPLETIONS: list[tuple[str, str, dict[str, Any] | None, list[Any]]] = [
    ("nothing at all", "", None, [ToolCallCompleted(0, "c", "f", {}, "complete")]),
    ("empty arguments", "", {}, [ToolCallCompleted(0, "c", "f", {}, "complete")]),
    (
        "arguments that were not streamed",
        "",
        {"q": "é"},
        [ToolCallDelta(0, "c", '{"q":"é"}'), ToolCallCompleted(0, "c", "f", {"q": "é"}, "complete")],
    ),
    ("arguments that agree", '{ "q": 1 }', {"q": 1}, [ToolCallCompleted(0, "c", "f", {"q": 1}, "complete")]),
    ("other arguments", '{"q":1}', {"q": 2}, [ToolCallCompleted(0, "c", "f", {}, "unreadable", '{"q":1}')]),
    ("arguments that are gone", '{"q":1}', {}, [ToolCallCompleted(0, "c", "f", {}, "unreadable", '{"q":1}')]),
    ("half a text", '{"q":', None, [ToolCallCompleted(0, "c", "f", {}, "unreadable", '{"q":')]),
    ("a list", "[1]", None, [ToolCallCompleted(0, "c", "f", {}, "unreadable", "[1]")]),
]


@pytest.mark.parametrize(
    ("spelled", "arguments", "expected"), [row[1:] for row in COMPLETIONS], ids=[row[0] for row in COMPLETIONS]
)
def test_a_call_completes_with_an_object_or_as_unreadable(
    blocks: Blocks, spelled: str, arguments: dict[str, Any] | None, expected: list[Any]
) -> None:
    blocks.start_call("k", "f", tool_call_id="c")
    blocks.call("k", spelled)
    assert list(blocks.complete_call("k", arguments)) == expected


def test_what_is_said_of_a_call_that_was_never_opened_is_dropped(blocks: Blocks) -> None:
    assert (blocks.call("k", "{}"), blocks.complete_call("k"), blocks.is_call_open("k")) == ((), (), False)


ARGUMENTS: list[tuple[str, str, dict[str, Any] | None]] = [
    ("empty", "", {}),
    ("blank", " \n\t", {}),
    ("an object", '{"a":[1,null]}', {"a": [1, None]}),
    ("of duplicate keys the last", '{"a":1,"a":2}', {"a": 2}),
    ("a pair of surrogates", '{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
    ("400 digits", '{"a":1' + "0" * 400 + "}", {"a": 10**400}),
    ("a list", "[]", None),
    ("null", "null", None),
    ("a number", "1", None),
    ("half an object", '{"a":', None),
    ("two objects", "{}{}", None),
    ("not a number", '{"a":NaN}', None),
    ("out of range", '{"a":1e400}', None),
    ("5000 digits", '{"a":' + "1" * 5000 + "}", None),
    ("a lone surrogate, escaped", '{"a":"\\ud800"}', None),
    ("a lone surrogate, raw", '{"a":"\ud800"}', None),
    ("depth 100,000", '{"a":' * 100_000, None),
    ("depth 100,000, closed", "[" * 100_000 + "]" * 100_000, None),
    ("a byte order mark", "\ufeff{}", None),
]


@pytest.mark.parametrize(("text", "expected"), [row[1:] for row in ARGUMENTS], ids=[row[0] for row in ARGUMENTS])
def test_arguments_are_an_object_or_unreadable(text: str, expected: dict[str, Any] | None) -> None:
    assert parse_arguments(text) == expected


# --- steps and numbers


def test_steps_are_numbered_apart_from_blocks_and_told_apart_by_key(blocks: Blocks) -> None:
    events = [
        *blocks.start_step("plan"),
        *blocks.start_step("plan again"),
        *blocks.text("a"),
        *blocks.start_step("act", "b"),
        *blocks.complete_step(),
        *blocks.complete_step(),
        *blocks.complete_step("b"),
    ]
    assert events == [
        StepStarted(0, "plan"),
        TextStarted(0),
        TextDelta(0, "a"),
        StepStarted(1, "act"),
        StepCompleted(0, "plan"),
        StepCompleted(1, "act"),
    ]


def test_numbers_and_ids_go_on_in_the_next_attempt(blocks: Blocks) -> None:
    blocks.start_call("k", "f")
    blocks.start_step()
    again = Blocks(blocks.numbering)
    assert [*again.start_call("k", "f"), *again.start_step()] == [
        ToolCallStarted(1, "call_1", "f", "unknown"),
        StepStarted(1),
    ]


def test_blocks_beyond_the_cap_are_a_protocol_error(blocks: Blocks) -> None:
    for number in range(MAX_BLOCKS):
        blocks.start_text(str(number))
    with pytest.raises(GatewayError) as caught:
        blocks.start_call("k", "f")
    assert (caught.value.code, caught.value.cause) == ("upstream_protocol", "too_large")
    assert caught.value.message == "the vendor sent more than 4096 blocks"


def test_steps_beyond_the_cap_are_a_protocol_error(blocks: Blocks) -> None:
    for number in range(MAX_BLOCKS):
        blocks.start_step(key=str(number))
    with pytest.raises(GatewayError, match="more than 4096 steps"):
        blocks.start_step(key="one more")

"""Whatever a vendor says of its blocks, in whatever order: the stream is lawful and the message is what it spells."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.assembler import Assembler
from gateway.canonical.blocks import Blocks, Events, Numbering
from gateway.canonical.errors import ErrorBody
from gateway.canonical.events import (
    Event,
    MessageCanceled,
    MessageFailed,
    MessageRouted,
    MessageStarted,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
)
from gateway.canonical.laws import LawBroken, check_stream
from gateway.canonical.message import ReasoningPart, TextPart, ToolCallPart

STARTED = MessageStarted("m1", "c1", "default", datetime(2026, 11, 2, tzinfo=UTC))
ERROR = ErrorBody("upstream_protocol", "the vendor ended in the middle", retryable=True)
Operation = Callable[[Blocks], Events]

keys = st.sampled_from(["", "a", "b"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
fragments = st.sampled_from(["", "{}", '{"q":', "1}", "[", "x", " "])
arguments = st.sampled_from([None, {}, {"q": 1}, {"q": 2}])


def attempts(*call_ids: str | None) -> st.SearchStrategy[list[Operation]]:
    """What one attempt may say, with calls of these ids (None: the vendor gives none)."""
    operations: st.SearchStrategy[Operation] = st.one_of(
        keys.map(lambda key: lambda blocks: blocks.start_text(key)),
        st.tuples(texts, keys).map(lambda told: lambda blocks: blocks.text(*told)),
        keys.map(lambda key: lambda blocks: blocks.complete_text(key)),
        st.tuples(texts, keys).map(lambda told: lambda blocks: blocks.settle_text(*told)),
        keys.map(lambda key: lambda blocks: blocks.start_reasoning(key)),
        st.tuples(texts, keys).map(lambda told: lambda blocks: blocks.reasoning(*told)),
        keys.map(lambda key: lambda blocks: blocks.complete_reasoning(key)),
        st.tuples(texts, keys).map(lambda told: lambda blocks: blocks.settle_reasoning(*told)),
        st.tuples(keys, st.sampled_from(call_ids)).map(
            lambda told: lambda blocks: blocks.start_call(told[0], "f", tool_call_id=told[1], executor="client")
        ),
        st.tuples(keys, fragments).map(lambda told: lambda blocks: blocks.call(*told)),
        st.tuples(keys, arguments).map(lambda told: lambda blocks: blocks.complete_call(*told)),
        keys.map(lambda key: lambda blocks: blocks.start_step("s", key)),
        keys.map(lambda key: lambda blocks: blocks.complete_step(key)),
        st.just(lambda blocks: blocks.complete()),
    )
    return st.lists(operations, max_size=30)


first_attempts = attempts(None, "", "call_0", "call_1", "x")
second_attempts = st.one_of(
    st.tuples(st.just(True), first_attempts),  # what was shown is forgotten, so that its ids may come again
    st.tuples(st.just(False), attempts(None, "", "y")),
)
terminals: st.SearchStrategy[Event] = st.sampled_from([MessageFailed(ERROR), MessageCanceled("client")])


class Stream:
    """Plays the relay: hands events on, completes what is open, and keeps all of it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.assembler = Assembler()

    def add(self, *events: Event) -> None:
        for event in events:
            self.events.append(event)
            self.assembler.add(event)

    def play(self, operations: list[Operation], blocks: Blocks) -> None:
        for operation in operations:
            self.add(*operation(blocks))

    def close(self, event: Event) -> None:
        self.add(*self.assembler.open_events(), event)


def played(first: list[Operation], second: tuple[bool, list[Operation]], terminal: Event) -> Stream:
    stream = Stream()
    numbering = Numbering()
    discard, operations = second
    stream.add(STARTED, MessageRouted("acme", 1))
    stream.play(first, Blocks(numbering))
    stream.close(MessageRouted("zeta", 2, None, "acme", ERROR, discard))
    stream.play(operations, Blocks(numbering))
    stream.close(terminal)
    return stream


def shown(events: list[Event]) -> list[TextPart | ReasoningPart | ToolCallPart]:
    """What a reader of the stream holds at its end: told as plainly as can be, to judge the assembler by."""
    blocks: list[tuple[int, Event, list[str]]] = []
    for event in events:
        match event:
            case MessageRouted(discard=True):
                blocks = []
            case TextStarted(block, replaces) | ReasoningStarted(block, replaces):
                place = next((i for i, row in enumerate(blocks) if row[0] == replaces), len(blocks))
                blocks[place : place + 1] = [(block, event, [])]
            case ToolCallStarted(block):
                blocks.append((block, event, []))
            case TextDelta(block, delta) | ReasoningDelta(block, delta) | ToolCallDelta(block, delta=delta):
                next(row for row in blocks if row[0] == block)[2].append(delta)
    ended = {event.block: event for event in events if isinstance(event, ToolCallCompleted)}
    return [_part(block, started, "".join(deltas), ended.get(block)) for block, started, deltas in blocks]


def _part(
    block: int, started: Event, text: str, ended: ToolCallCompleted | None
) -> TextPart | ReasoningPart | ToolCallPart:
    if isinstance(started, TextStarted):
        return TextPart(text, block)
    if isinstance(started, ReasoningStarted):
        return ReasoningPart(text, block)
    assert isinstance(started, ToolCallStarted)
    assert ended is not None
    raw = None if ended.status == "complete" else text
    return ToolCallPart(started.tool_call_id, "f", ended.arguments, block, ended.status, "client", raw)


@given(first_attempts, second_attempts, terminals)
def test_any_order_of_starts_deltas_and_completions_is_a_lawful_stream(
    first: list[Operation], second: tuple[bool, list[Operation]], terminal: Event
) -> None:
    stream = played(first, second, terminal)
    check_stream(stream.events)
    assert stream.assembler.open_events() == []


@given(first_attempts, second_attempts, terminals)
def test_the_message_is_what_its_deltas_spell(
    first: list[Operation], second: tuple[bool, list[Operation]], terminal: Event
) -> None:
    stream = played(first, second, terminal)
    assert stream.assembler.parts() == shown(stream.events)


def test_the_judge_is_not_blind() -> None:
    """A stream without the completions that the relay adds is unlawful, and its message another one."""
    events: list[Event] = [STARTED, MessageRouted("acme", 1), *Blocks(Numbering()).text("a"), MessageFailed(ERROR)]
    with pytest.raises(LawBroken):
        check_stream(events)
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    assert (assembler.parts(), shown(events)) == ([], [TextPart("a", 0)])
    assembler.add(TextCompleted(0, "a"))
    assembler.add(ReasoningStarted(1))
    assembler.add(ReasoningCompleted(1, ""))
    assert assembler.parts() == [TextPart("a", 0), ReasoningPart("", 1)]

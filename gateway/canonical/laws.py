"""The laws of a stream, as a program: what every test runs over every stream, and the relay runs in strict mode.

    Laws().check(event)   for each event in order; raises `LawBroken` at the first that breaks a law
    Laws().end()          at the end of the stream: was there a terminal?
    check_stream(events)  both, over a whole stream

The numbers are those of the list in the design: 1 start, 2 one terminal, 3 blocks, 4 deltas spell the text, 5 tool
calls, 7 whole characters, 9 a true ending. (6, silence, 8, dialects, and the sequence numbers need a clock or bytes:
see tests.)
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import msgspec

from gateway.canonical.blocks import parse_arguments
from gateway.canonical.events import (
    ANSWER,
    CONTENT,
    TERMINAL,
    Event,
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
)


class LawBroken(AssertionError):
    """`law` is the number; the text says which event broke it and how."""

    def __init__(self, law: int, text: str) -> None:
        super().__init__(f"law {law}: {text}")
        self.law = law


class Laws:
    """Watches one stream. Costs about what the encoder costs; not for the hot path of production."""

    def __init__(self) -> None:
        self._count = 0
        self._ended = False
        self._routed = False
        self._answered = False
        self._blocks: dict[int, type] = {}
        self._replaced: set[int] = set()
        self._open: dict[int, tuple[Any, list[str]]] = {}
        self._steps: set[int] = set()
        self._open_steps: set[int] = set()
        self._calls: dict[str, ToolCallStarted] = {}
        self._broken_client_calls: set[str] = set()

    def check(self, event: Event) -> None:
        _require(not self._ended, 2, f"{_name(event)} after the terminal")
        if self._count == 0:
            _require(type(event) is MessageStarted, 1, f"the stream begins with {_name(event)}")
        else:
            _require(type(event) is not MessageStarted, 1, "a second message.started")
        self._count += 1
        if type(event) in CONTENT:
            _require(self._routed, 1, f"{_name(event)} before message.routed")
        self._answered = self._answered or (type(event) in ANSWER and not _is_empty_text(event))
        _require(_is_unicode(event), 7, f"{_name(event)} is no valid UTF-8")
        check = self._CHECKS.get(type(event))
        if check is not None:
            check(self, event)
        if type(event) in TERMINAL:
            self._all_closed("the terminal")
            self._ended = True

    def end(self) -> None:
        _require(self._ended, 2, "the stream ends without a terminal")

    def _all_closed(self, before: str) -> None:
        _require(not self._open, 3, f"blocks {sorted(self._open)} are open before {before}")
        _require(not self._open_steps, 3, f"steps {sorted(self._open_steps)} are open before {before}")

    def _switch(self, event: MessageRouted) -> None:
        if self._routed:
            _require(event.from_ is not None and event.discard is not None, 3, "a switch does not say so")
            self._all_closed("a switch")
        self._routed = True
        if event.discard:
            self._answered = False
            self._calls = {}
            self._broken_client_calls = set()

    def _start(self, event: TextStarted | ReasoningStarted) -> None:
        if event.replaces is not None:
            _require(self._blocks.get(event.replaces) is type(event), 3, f"no such block: {event.replaces}")
            _require(event.replaces not in self._open, 3, f"block {event.replaces} is replaced while open")
            _require(event.replaces not in self._replaced, 3, f"block {event.replaces} is replaced twice")
            self._replaced.add(event.replaces)
        self._begin(event)

    def _begin(self, event: TextStarted | ReasoningStarted | ToolCallStarted) -> None:
        _require(event.block not in self._blocks, 3, f"block {event.block} starts twice")
        self._blocks[event.block] = type(event)
        self._open[event.block] = event, []

    def _start_call(self, event: ToolCallStarted) -> None:
        _require(event.tool_call_id not in self._calls, 5, f"tool call id {event.tool_call_id!r} twice")
        self._calls[event.tool_call_id] = event
        self._begin(event)

    def _grow(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> None:
        started, deltas = self._open.get(event.block, (None, []))
        _require(type(started) is _GROWS[type(event)], 3, f"{_name(event)} for block {event.block}, not open")
        deltas.append(event.delta)

    def _complete(self, event: TextCompleted | ReasoningCompleted) -> None:
        started, deltas = self._open.pop(event.block, (None, []))
        _require(type(started) is _COMPLETES[type(event)], 3, f"{_name(event)} for block {event.block}, not open")
        _require("".join(deltas) == event.text, 4, f"the deltas of block {event.block} do not spell its text")

    def _complete_call(self, event: ToolCallCompleted) -> None:
        started, deltas = self._open.pop(event.block, (None, []))
        _require(type(started) is ToolCallStarted, 3, f"{_name(event)} for block {event.block}, not open")
        _require(event.tool_call_id == started.tool_call_id, 5, "a call completes under another id")
        spelled = "".join(deltas)
        if event.status == "complete":
            _require(parse_arguments(spelled) == event.arguments, 4, "the deltas do not spell the arguments")
            return
        _require(event.arguments == {}, 5, f"a call that is {event.status} has arguments")
        _require(event.raw_arguments == spelled, 5, "raw_arguments is not what the deltas spell")
        if started.executor == "client":
            self._broken_client_calls.add(event.tool_call_id)

    def _source(self, event: Source) -> None:
        _require(event.block is None or event.block in self._blocks, 3, f"a source of block {event.block}")

    def _start_step(self, event: StepStarted) -> None:
        _require(event.step not in self._steps, 3, f"step {event.step} starts twice")
        self._steps.add(event.step)
        self._open_steps.add(event.step)

    def _complete_step(self, event: StepCompleted) -> None:
        _require(event.step in self._open_steps, 3, f"step {event.step} completes, not open")
        self._open_steps.remove(event.step)

    def _end_well(self, event: MessageCompleted) -> None:
        if event.finish_reason in {"stop", "other"}:
            _require(self._answered, 9, f"completed({event.finish_reason}) without an answer")
        if event.finish_reason != "length":
            _require(not self._broken_client_calls, 5, "completed with a call the client cannot run")
        unknown = set(event.pending_tool_calls) - set(self._calls)
        _require(not unknown, 5, f"pending tool calls that were never made: {sorted(unknown)}")

    _CHECKS: ClassVar[dict[type, Callable[["Laws", Any], None]]] = {
        MessageRouted: _switch,
        TextStarted: _start,
        ReasoningStarted: _start,
        ToolCallStarted: _start_call,
        TextDelta: _grow,
        ReasoningDelta: _grow,
        ToolCallDelta: _grow,
        TextCompleted: _complete,
        ReasoningCompleted: _complete,
        ToolCallCompleted: _complete_call,
        Source: _source,
        StepStarted: _start_step,
        StepCompleted: _complete_step,
        MessageCompleted: _end_well,
    }


_GROWS = {TextDelta: TextStarted, ReasoningDelta: ReasoningStarted, ToolCallDelta: ToolCallStarted}
_COMPLETES = {TextCompleted: TextStarted, ReasoningCompleted: ReasoningStarted}


def check_stream(events: Iterable[Event]) -> None:
    """Raises `LawBroken` unless `events` is a whole, lawful stream."""
    laws = Laws()
    for event in events:
        laws.check(event)
    laws.end()


def _require(fact: bool, law: int, text: str) -> None:  # noqa: FBT001  (an assertion's own shape)
    if not fact:
        raise LawBroken(law, text)


def _is_empty_text(event: Event) -> bool:
    return isinstance(event, TextDelta) and not event.delta


def _name(event: Event) -> str:
    tag = event.__struct_config__.tag
    return str(tag)


def _is_unicode(event: Event) -> bool:
    try:
        msgspec.json.encode(event)
    except UnicodeEncodeError:
        return False
    return True

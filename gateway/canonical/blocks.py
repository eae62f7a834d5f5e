"""Opens, grows and completes blocks, so that a translator only says what its vendor said.

A translator names a block by its vendor's own key ("" where the vendor has one block at a time); each method returns
the events to yield, as a tuple. What the vendor leaves out is made up for: a delta opens its block, a second start
changes nothing. Block and step numbers and invented ids come from a `Numbering` that lives as long as the message, so
that they never repeat across attempts.

Raises `GatewayError("upstream_protocol")` above `MAX_BLOCKS` blocks or steps of one attempt.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    Executor,
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

MAX_BLOCKS = 4096

Events = tuple[Event, ...]

_UNREADABLE_JSON = (msgspec.MsgspecError, UnicodeError, RecursionError)


class Numbering:
    """Hands out block numbers, step numbers and invented ids; one per message, whose `name` the ids hold.

    Clients keep calls by their ids for as long as a conversation lasts, so none may come again in a later message.
    """

    def __init__(self, name: str = "") -> None:
        self._name = f"{name}_" if name else ""
        self._next_block = 0
        self._next_step = 0
        self._next_id = 0
        self.make_room()
        self.taken: set[str] = set()
        """Ids that vendors gave, and that none of ours may be."""

    def make_room(self) -> None:
        """For an attempt: what an earlier one has used up is not its fault."""
        self._last_block = self._next_block + MAX_BLOCKS
        self._last_step = self._next_step + MAX_BLOCKS

    def block(self) -> int:
        self._next_block = _below(self._next_block, self._last_block, "blocks")
        return self._next_block - 1

    def step(self) -> int:
        self._next_step = _below(self._next_step, self._last_step, "steps")
        return self._next_step - 1

    def identify(self, prefix: str) -> str:
        """An id such as `call_0`, for a vendor that gives none."""
        while (invented := f"{prefix}_{self._name}{self._next_id}") in self.taken:
            self._next_id += 1
        self._next_id += 1
        return invented


class Growing(Struct):
    """An open text or reasoning block."""

    number: int
    deltas: list[str]


class GrowingCall(Struct):
    """An open tool call; its deltas are fragments of JSON text."""

    number: int
    deltas: list[str]
    tool_call_id: str
    name: str


class GrowingStep(Struct):
    number: int
    name: str | None


class _Prose:
    """The blocks of one kind of prose, by the vendor's key."""

    def __init__(
        self,
        numbering: Numbering,
        started: type[TextStarted] | type[ReasoningStarted],
        delta: type[TextDelta] | type[ReasoningDelta],
        completed: type[TextCompleted] | type[ReasoningCompleted],
    ) -> None:
        self._numbering = numbering
        self._started = started
        self._delta = delta
        self._completed = completed
        self.open: dict[str, Growing] = {}
        self.closed: dict[str, tuple[int, str]] = {}

    def start(self, key: str, replaces: int | None = None) -> Events:
        if key in self.open:
            return ()
        block = Growing(self._numbering.block(), [])
        self.open[key] = block
        return (self._started(block.number, replaces),)

    def grow(self, key: str, delta: str) -> Events:
        if not delta:
            return ()
        block = self.open.get(key)
        if block is None:
            return self.start(key) + self.grow(key, delta)
        block.deltas.append(delta)
        return (self._delta(block.number, delta),)

    def complete(self, key: str, signature: str | None = None) -> Events:
        block = self.open.pop(key, None)
        if block is None:
            return ()
        text = "".join(block.deltas)
        self.closed[key] = block.number, text
        return (self._completed(block.number, text, signature),)

    def settle(self, key: str, text: str, signature: str | None = None) -> Events:
        if key in self.open:
            return self._settle_open(key, text, signature)
        if key not in self.closed:
            return (*self.start(key), *self.grow(key, text), *self.complete(key, signature))
        number, shown = self.closed[key]
        if text == shown:
            return ()
        return (*self.start(key, replaces=number), *self.grow(key, text), *self.complete(key, signature))

    def _settle_open(self, key: str, text: str, signature: str | None) -> Events:
        shown = "".join(self.open[key].deltas)
        if text.startswith(shown):
            return (*self.grow(key, text[len(shown) :]), *self.complete(key, signature))
        number = self.open[key].number
        return (
            *self.complete(key),
            *self.start(key, replaces=number),
            *self.grow(key, text),
            *self.complete(key, signature),
        )


class Blocks:
    """The blocks of one attempt. Keys of texts, reasonings, tool calls and steps are apart from each other."""

    def __init__(self, numbering: Numbering) -> None:
        numbering.make_room()
        self.numbering = numbering
        self._texts = _Prose(numbering, TextStarted, TextDelta, TextCompleted)
        self._reasonings = _Prose(numbering, ReasoningStarted, ReasoningDelta, ReasoningCompleted)
        self._calls: dict[str, GrowingCall] = {}
        self._call_keys: dict[str, str] = {}
        self._steps: dict[str, GrowingStep] = {}

    def start_text(self, key: str = "") -> Events:
        return self._texts.start(key)

    def text(self, delta: str, key: str = "") -> Events:
        """Grows a text, and opens it first where it is not open. An empty delta is nothing."""
        block = self._texts.open.get(key)
        if block is None or not delta:
            return self._texts.grow(key, delta)
        block.deltas.append(delta)
        return (TextDelta(block.number, delta),)

    def complete_text(self, key: str = "", signature: str | None = None) -> Events:
        return self._texts.complete(key, signature)

    def settle_text(self, text: str, key: str = "", signature: str | None = None) -> Events:
        """Completes a text whose whole the vendor repeats: what is missing is added, what differs is replaced."""
        return self._texts.settle(key, text, signature)

    def start_reasoning(self, key: str = "") -> Events:
        return self._reasonings.start(key)

    def reasoning(self, delta: str, key: str = "") -> Events:
        return self._reasonings.grow(key, delta)

    def complete_reasoning(self, key: str = "", signature: str | None = None) -> Events:
        return self._reasonings.complete(key, signature)

    def settle_reasoning(self, text: str, key: str = "", signature: str | None = None) -> Events:
        return self._reasonings.settle(key, text, signature)

    def start_call(
        self, key: str, name: str, *, tool_call_id: str | None = None, executor: Executor = "unknown"
    ) -> Events:
        """Opens a tool call; without an id of the vendor's, or with one of another call, it gets one of ours.

        A call that comes again under its key and id, also after its completion, changes nothing.
        """
        if key in self._calls or (tool_call_id and self._call_keys.get(tool_call_id) == key):
            return ()
        call = GrowingCall(self.numbering.block(), [], self._unused_call_id(tool_call_id), name)
        self._calls[key] = call
        self._call_keys[call.tool_call_id] = key
        return (ToolCallStarted(call.number, call.tool_call_id, name, executor),)

    def call(self, key: str, delta: str) -> Events:
        """Grows the arguments of an open call; a fragment for a call that is not open is dropped."""
        call = self._calls.get(key)
        if call is None or not delta:
            return ()
        call.deltas.append(delta)
        return (ToolCallDelta(call.number, call.tool_call_id, delta),)

    def is_call_open(self, key: str) -> bool:
        return key in self._calls

    def complete_call(
        self, key: str, arguments: dict[str, Any] | None = None, *, signature: str | None = None
    ) -> Events:
        """Completes a call with the vendor's final `arguments`, or with what its deltas spell where it gives none.

        Deltas that are no JSON object, or another one than `arguments`, make the call `unreadable`.
        """
        call = self._calls.pop(key, None)
        if call is None:
            return ()
        spelled = "".join(call.deltas)
        before: Events = ()
        if arguments and not spelled:
            spelled = msgspec.json.encode(arguments).decode()
            before = (ToolCallDelta(call.number, call.tool_call_id, spelled),)
        parsed = parse_arguments(spelled)
        if parsed is None or (arguments is not None and arguments != parsed):
            completed = ToolCallCompleted(
                call.number, call.tool_call_id, call.name, {}, "unreadable", spelled, signature
            )
        else:
            completed = ToolCallCompleted(
                call.number, call.tool_call_id, call.name, parsed, "complete", None, signature
            )
        return (*before, completed)

    def _unused_call_id(self, wanted: str | None) -> str:
        if not wanted or wanted in self._call_keys:
            return self.numbering.identify("call")
        self.numbering.taken.add(wanted)
        return wanted

    def start_step(self, name: str | None = None, key: str = "") -> Events:
        if key in self._steps:
            return ()
        step = GrowingStep(self.numbering.step(), name)
        self._steps[key] = step
        return (StepStarted(step.number, name),)

    def complete_step(self, key: str = "") -> Events:
        step = self._steps.pop(key, None)
        return () if step is None else (StepCompleted(step.number, step.name),)

    def complete(self) -> Events:
        """Completes every open text and reasoning, in the order of their numbers. Calls and steps stay as they are."""
        events = [event for key in list(self._texts.open) for event in self._texts.complete(key)]
        events += [event for key in list(self._reasonings.open) for event in self._reasonings.complete(key)]
        return tuple(sorted(events, key=_number))


def parse_arguments(text: str) -> dict[str, Any] | None:
    """The object that a tool call's argument text spells; `{}` for an empty text, None for anything else."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
    except _UNREADABLE_JSON:
        return None
    return value if isinstance(value, dict) else None


def _number(event: Any) -> int:
    number: int = event.block
    return number


def _below(number: int, last: int, what: str) -> int:
    if number >= last:
        raise GatewayError("upstream_protocol", f"the vendor sent more than {MAX_BLOCKS} {what}", cause="too_large")
    return number + 1

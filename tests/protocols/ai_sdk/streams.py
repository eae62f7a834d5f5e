"""Lawful canonical streams at random: blocks that are open at once, steps, calls of each kind, results, corrections."""

import json
from typing import Any

from hypothesis import strategies as st

from gateway.canonical.assembler import Assembler
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
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
)

WORDS = st.text(st.characters(codec="utf-8"), max_size=4)
ARGUMENTS = st.sampled_from(["{}", '{"a":[1]}'])
OUTPUTS = st.sampled_from([None, 1, "x", {"a": None}])
KINDS = {"text": TextStarted, "reasoning": ReasoningStarted}
ERROR = GatewayError("upstream_unavailable", "the vendor is unavailable").body("req_1")
ENDINGS: list[Event] = [MessageCompleted("length"), MessageCanceled("canceled"), MessageFailed(ERROR)]
"""Of an answer whose blocks were cut."""


class Teller:
    """What was told so far, and what may come next."""

    def __init__(self, draw: st.DrawFn) -> None:
        self._draw = draw
        self.events: list[Event] = []
        self.pending: list[str] = []
        self.next_block = 0
        self._open: dict[int, tuple[str, list[str]]] = {}
        self._texts: list[int] = []
        self._unanswered: list[str] = []
        self._steps: list[int] = []
        self._next_step = 0

    def tell(self) -> None:
        kind = self._draw(st.sampled_from(["text", "reasoning", "call", "grow", "close", "step", "result", "source"]))
        getattr(self, f"_{kind}")()

    @property
    def is_open(self) -> bool:
        return bool(self._open)

    def _text(self) -> None:
        replaces = self._draw(st.sampled_from([None, *self._texts]))
        self._texts = [number for number in self._texts if number != replaces]
        self.events.append(TextStarted(self._begin("text"), replaces))

    def _reasoning(self) -> None:
        self.events.append(ReasoningStarted(self._begin("reasoning")))

    def _call(self) -> None:
        executor: Any = self._draw(st.sampled_from(["client", "vendor", "unknown"]))
        number = self._begin(executor)
        self.events.append(ToolCallStarted(number, f"c{number}", "pay", executor))

    def _begin(self, kind: str) -> int:
        self._open[self.next_block] = kind, []
        self.next_block += 1
        return self.next_block - 1

    def _grow(self) -> None:
        prose = [number for number, (kind, _) in self._open.items() if kind in KINDS]
        if prose:
            number = self._draw(st.sampled_from(prose))
            kind, deltas = self._open[number]
            deltas.append(self._draw(WORDS))
            self.events.append((TextDelta if kind == "text" else ReasoningDelta)(number, deltas[-1]))

    def _close(self) -> None:
        if not self._open:
            return
        number = self._draw(st.sampled_from(sorted(self._open)))
        kind, deltas = self._open.pop(number)
        if kind == "text":
            self.events.append(TextCompleted(number, "".join(deltas)))
            self._texts.append(number)
        elif kind == "reasoning":
            self.events.append(ReasoningCompleted(number, "".join(deltas)))
        else:
            self._close_call(number, kind)

    def _close_call(self, number: int, executor: str) -> None:
        call_id, spelled = f"c{number}", self._draw(ARGUMENTS)
        self.events.append(ToolCallDelta(number, call_id, spelled))
        self.events.append(ToolCallCompleted(number, call_id, "pay", json.loads(spelled), "complete"))
        is_owed = executor == "client" or (executor == "unknown" and self._draw(st.booleans()))
        (self.pending if is_owed else self._unanswered).append(call_id)

    def _result(self) -> None:
        if self._unanswered:
            is_error = self._draw(st.booleans())
            self.events.append(ToolResult(self._unanswered.pop(), self._draw(OUTPUTS), is_error))

    def _step(self) -> None:
        if self._steps:
            self.events.append(StepCompleted(self._steps.pop()))
        else:
            self.events.append(StepStarted(self._next_step))
            self._steps.append(self._next_step)
            self._next_step += 1

    def _source(self) -> None:
        url = self._draw(st.sampled_from([None, "https://example.org"]))
        self.events.append(Source("s", self._draw(st.none() | WORDS), url))


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    teller = Teller(draw)
    for _ in range(draw(st.integers(1, 14))):
        teller.tell()
    events = teller.events
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    events += assembler.open_events()
    if teller.is_open:
        events.append(draw(st.sampled_from(ENDINGS)))
        return events
    if teller.pending:
        return [*events, MessageCompleted("tool_calls", None, teller.pending)]
    number = teller.next_block
    events += [TextStarted(number), TextDelta(number, "End"), TextCompleted(number, "End"), MessageCompleted("stop")]
    return events

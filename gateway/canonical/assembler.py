"""Folds events into the message they make, and knows at any moment which blocks and steps are open.

    add(event)        as each event is released
    open_events()     what completes everything still open; a tool call is `cut`, even if its text parses
    parts()           the message's parts so far

One assembler serves one attempt; a reader of a whole stream needs only one as well.
"""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from gateway.canonical import message as m
from gateway.canonical.events import (
    Data,
    DataFrame,
    Event,
    Executor,
    File,
    InputRequested,
    MessageRouted,
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

EVENT_COST = 16
"""Bytes that any event counts in `size` beside its content: what one more entry of a log costs at least."""


class _Block(Struct):
    """A block from its start on: `part` once it is completed."""

    kind: type
    deltas: list[str]
    started: Any
    part: m.Part | None = None


class Assembler:
    def __init__(self) -> None:
        self._forget()
        self.usage: Usage | None = None
        self.size = 0
        """Characters of content so far, with `EVENT_COST` for each event."""

    def _forget(self) -> None:
        self._entries: list[_Block | m.Part] = []
        self._blocks: dict[int, _Block] = {}
        self._open: dict[int, _Block] = {}
        self._steps: dict[int, StepStarted] = {}
        self.has_answer = False
        """Whether there was a text, tool call, file, data frame, data or input request."""
        self._broken_calls: dict[str, Executor] = {}

    def add(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self.grow_text(event)
            return
        self.size += EVENT_COST
        handler = self._HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event)

    def grow_text(self, delta: TextDelta) -> None:
        """`add`, for the one kind of event that nearly all are."""
        self._open[delta.block].deltas.append(delta.delta)
        self.size += len(delta.delta) + EVENT_COST
        if delta.delta:
            self.has_answer = True

    def open_events(self) -> list[Event]:
        """Completions of all open blocks in the order of their numbers, then of the open steps."""
        events: list[Event] = []
        for number, block in sorted(self._open.items()):
            text = "".join(block.deltas)
            if block.kind is TextStarted:
                events.append(TextCompleted(number, text))
            elif block.kind is ReasoningStarted:
                events.append(ReasoningCompleted(number, text))
            else:
                call = block.started
                events.append(ToolCallCompleted(number, call.tool_call_id, call.name, {}, "cut", text))
        events += [StepCompleted(step.step, step.name) for step in reversed(self._steps.values())]
        return events

    def unfinished_calls(self) -> dict[str, Executor]:
        """Tool calls that are open, cut or unreadable: id -> executor."""
        if not self._broken_calls and not self._open:
            return {}
        calls = [block.started for block in self._open.values() if block.kind is ToolCallStarted]
        return self._broken_calls | {call.tool_call_id: call.executor for call in calls}

    def parts(self) -> list[m.Part]:
        """The finished parts; an open block is left out."""
        return [
            part for entry in self._entries if (part := entry.part if isinstance(entry, _Block) else entry) is not None
        ]

    def _start(self, event: TextStarted | ReasoningStarted) -> None:
        block = _Block(type(event), [], event)
        replaced = None if event.replaces is None else self._blocks.get(event.replaces)
        if event.replaces is None or replaced not in self._entries:
            self._entries.append(block)
        else:
            self._entries[self._entries.index(replaced)] = block
            self._blocks[event.replaces] = block
        self._blocks[event.block] = self._open[event.block] = block

    def _start_call(self, event: ToolCallStarted) -> None:
        block = _Block(ToolCallStarted, [], event)
        self._entries.append(block)
        self._blocks[event.block] = self._open[event.block] = block
        self.has_answer = True

    def _grow(self, event: ReasoningDelta | ToolCallDelta) -> None:
        self._open[event.block].deltas.append(event.delta)
        self.size += len(event.delta)

    def _complete_text(self, event: TextCompleted) -> None:
        self._open.pop(event.block).part = m.TextPart(event.text, event.block, event.signature)

    def _complete_reasoning(self, event: ReasoningCompleted) -> None:
        self._open.pop(event.block).part = m.ReasoningPart(event.text, event.block, event.signature)

    def _complete_call(self, event: ToolCallCompleted) -> None:
        block = self._open.pop(event.block)
        executor = block.started.executor
        if event.status != "complete":
            self._broken_calls[event.tool_call_id] = executor
        block.part = m.ToolCallPart(
            tool_call_id=event.tool_call_id,
            name=event.name,
            arguments=event.arguments,
            block=event.block,
            status=event.status,
            executor=executor,
            raw_arguments=event.raw_arguments,
            signature=event.signature,
        )

    def _append(self, part: m.Part) -> None:
        # Four levels deeper than here is where it will stand in a document: what cannot be written there fails now.
        self.size += len(msgspec.json.encode([[[[part]]]]))
        self._entries.append(part)

    def _tool_result(self, event: ToolResult) -> None:
        self._append(m.ToolResultPart(event.tool_call_id, event.output, event.is_error, event.name))

    def _source(self, event: Source) -> None:
        fields = msgspec.structs.asdict(event)
        self._append(m.SourcePart(**fields))

    def _file(self, event: File) -> None:
        self._append(m.FilePart(file_id=event.file_id, url=event.url, media_type=event.media_type, name=event.name))
        self.has_answer = True

    def _data_frame(self, event: DataFrame) -> None:
        self._append(m.DataFramePart(event.name, event.columns, event.rows))
        self.has_answer = True

    def _data(self, event: Data) -> None:
        self._append(m.DataPart(event.name, event.value))
        self.has_answer = True

    def _input(self, event: InputRequested) -> None:
        self._append(m.InputPart(event.request_id, event.kind, event.prompt, event.tool_call_id, event.fields))
        self.has_answer = True

    def _vendor_event(self, event: VendorEvent) -> None:
        self.size += len(msgspec.json.encode(event))

    def _start_step(self, event: StepStarted) -> None:
        self._steps[event.step] = event

    def _complete_step(self, event: StepCompleted) -> None:
        del self._steps[event.step]

    def _report_usage(self, event: UsageReported) -> None:
        self.usage = Usage(**msgspec.structs.asdict(event))

    def _switch(self, event: MessageRouted) -> None:
        if event.discard:
            self._forget()

    _HANDLERS: ClassVar[dict[type, Callable[["Assembler", Any], None]]] = {
        TextStarted: _start,
        ReasoningStarted: _start,
        ReasoningDelta: _grow,
        ToolCallStarted: _start_call,
        ToolCallDelta: _grow,
        TextCompleted: _complete_text,
        ReasoningCompleted: _complete_reasoning,
        ToolCallCompleted: _complete_call,
        ToolResult: _tool_result,
        Source: _source,
        File: _file,
        DataFrame: _data_frame,
        Data: _data,
        InputRequested: _input,
        VendorEvent: _vendor_event,
        StepStarted: _start_step,
        StepCompleted: _complete_step,
        UsageReported: _report_usage,
        MessageRouted: _switch,
    }

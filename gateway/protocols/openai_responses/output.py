"""The output of one response as canonical events: its texts, its reasoning, its calls and what came of them.

Blocks are known by `output_index` and what counts below it, never by an id, which some servers make anew for each
event. A `done` repeats what its deltas said, or says it alone; so does the end of an item, and the response at its end.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, cast

import msgspec
from msgspec import Raw, Struct

from gateway.canonical.blocks import Blocks, parse_arguments
from gateway.canonical.events import (
    Event,
    Notice,
    Source,
    TextStarted,
    ToolCallCompleted,
    ToolCallStarted,
    ToolResult,
    VendorEvent,
)
from gateway.framing.typed import Unknown, open_union
from gateway.protocols.openai_responses import items, wire, wire_items

Told = Iterable[Event | Notice]

TRANSCRIPT = "transcript"

_encode = msgspec.json.encode
_decode_item = open_union(cast("Any", wire_items.AnyItem))
_decode_annotation = open_union(cast("Any", wire_items.Annotation))


class _Call(Struct):
    """A tool call; `id` is ours, `plain` what its arguments are called where they are a text, `shown` that text."""

    id: str
    name: str
    executor: str
    plain: str | None
    shown: list[str] = []
    is_answered: bool = False
    is_readable: bool = False


class Output:
    def __init__(self, blocks: Blocks) -> None:
        self.is_refused = False
        self._blocks = blocks
        self._asked: set[str] = set()
        """The approvals that a person owes."""
        self._opened: set[int] = set()
        self._closed: set[int] = set()
        self._pictures: set[int] = set()
        """Images that were there from the beginning: no call made them."""
        self._phases: dict[int, str | None] = {}
        self._numbers: dict[str, int] = {}
        """The numbers of text blocks, by key."""
        self._paragraphs: dict[int, int] = {}
        """The part of its summary that each reasoning has come to."""
        self._calls: dict[int, _Call] = {}
        self._by_call_id: dict[str, _Call] = {}
        self._cited: set[tuple[str, bytes]] = set()

    def pending(self) -> list[str]:
        """The calls that the client owes an answer."""
        return [call.id for call in self._calls.values() if call.executor == "client" and not call.is_answered]

    def is_asking(self) -> bool:
        return bool(self._asked)

    def has_unreadable_call(self) -> bool:
        """Whether the client was begun to be told of a call that it cannot run."""
        return any(call.executor == "client" and not call.is_readable for call in self._calls.values())

    def grow_text(self, delta: str, key: str) -> Sequence[Event]:
        events = self._blocks.text(delta, key)
        if len(events) > 1:
            self._number(key, events)
        return events

    def read(self, frame: wire.Frame) -> Told:
        """Of a frame that tells of an item."""
        return self._READERS[type(frame)](self, frame)

    def read_rest(self, output: Sequence[Raw]) -> Iterator[Event | Notice]:
        """Of the response at its end: what was begun, or, where nothing was, all of it."""
        wanted = self._opened - self._closed if self._opened else set(range(len(output)))
        for number, raw in enumerate(output):
            if number in wanted:
                yield from self._close(number, raw)
        self._opened.update(wanted)

    def complete_calls(self) -> Iterator[Event]:
        """What the vendor left open although it says that it is done."""
        for number, call in self._calls.items():
            yield from self._finish_call(number, call, None, None)

    # Items.

    def _open_item(self, frame: wire.ItemAdded) -> Told:
        if frame.item == wire.NOTHING:
            return ()
        item = _decode_item(bytes(frame.item))
        self._opened.add(frame.output_index)
        if isinstance(item, wire_items.Message):
            self._phases[frame.output_index] = item.phase
        if isinstance(item, wire_items.ImageGenerationCall) and item.result:
            self._pictures.add(frame.output_index)
            return ()
        return self._open_call(frame.output_index, item)

    def _close_item(self, frame: wire.ItemDone) -> Told:
        return () if frame.item == wire.NOTHING else self._close(frame.output_index, frame.item)

    def _close(self, number: int, raw: Raw) -> Told:
        if number in self._closed:
            return (Notice("repaired_block"),)
        item = _decode_item(bytes(raw))
        self._opened.add(number)
        self._closed.add(number)
        match item:
            case wire_items.Message():
                self._phases[number] = item.phase or self._phases.get(number)
                return self._close_message(number, item)
            case wire_items.Reasoning():
                return self._close_reasoning(number, item)
            case wire_items.McpApprovalRequest():
                request_id = item.id or self._blocks.numbering.identify("approval")
                self._asked.add(request_id)
                return (items.approval(item, request_id),)
            case Unknown(name, payload):
                return (VendorEvent(name, payload),)
            case _:
                return self._close_call(number, item, bytes(raw))

    # Texts.

    def _number(self, key: str, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, TextStarted):
                self._numbers[key] = event.block

    def _open_part(self, frame: wire.PartAdded) -> Told:
        if frame.part.type == "reasoning_text":
            return ()
        key = _key(frame)
        events = self._blocks.start_text(key)
        self._number(key, events)
        return events

    def _close_part(self, frame: wire.PartDone) -> Told:
        return self._settle_part(frame.output_index, frame.content_index, frame.part)

    def _settle_part(self, number: int, index: int, part: wire_items.Part) -> Told:
        match part.type:
            case "refusal":
                return self._settle_refusal(f"{number}.{index}", part.refusal or "")
            case "reasoning_text":
                return ()
            case _:
                key = f"{number}.{index}"
                phase = self._phases.get(number)
                return (*self._settle_text(key, part.text or "", phase), *self._cite(key, part.annotations))

    def _settle_text(self, key: str, text: str, signature: str | None = None) -> Told:
        """An empty repetition is none."""
        if not text:
            return self._blocks.complete_text(key, signature)
        events = self._blocks.settle_text(text, key, signature)
        self._number(key, events)
        return events

    def _finish_text(self, frame: wire.TextDone) -> Told:
        return self._settle_text(_key(frame), frame.text, self._phases.get(frame.output_index))

    def _grow_refusal(self, frame: wire.RefusalDelta) -> Told:
        self.is_refused = True
        return self.grow_text(frame.delta, _key(frame))

    def _finish_refusal(self, frame: wire.RefusalDone) -> Told:
        return self._settle_refusal(_key(frame), frame.refusal)

    def _settle_refusal(self, key: str, refusal: str) -> Told:
        self.is_refused = True
        return self._settle_text(key, refusal)

    def _close_message(self, number: int, item: wire_items.Message) -> Iterator[Event | Notice]:
        for index, part in enumerate(item.content or []):
            yield from self._settle_part(number, index, part)

    # What a text cites.

    def _add_annotation(self, frame: wire.AnnotationAdded) -> Told:
        return self._cite(_key(frame), [] if frame.annotation == wire.NOTHING else [frame.annotation])

    def _cite(self, key: str, annotations: Sequence[Raw] | None) -> Iterator[Event]:
        """Each one once, though it is told with its text, its part, its item and the response."""
        for raw in annotations or ():
            cited = _decode_annotation(bytes(raw))
            known = (key, _encode(cited))
            if known not in self._cited:
                self._cited.add(known)
                yield self._source(cited, self._numbers.get(key))

    def _source(self, cited: wire_items.Annotation | Unknown, block: int | None) -> Event:
        if isinstance(cited, Unknown):
            return VendorEvent(cited.name, cited.payload)
        span = (cited.start_index, cited.end_index) if block is not None else (None, None)
        if isinstance(cited, wire_items.FilePath):
            return items.cited_file(cited)
        source_id = self._blocks.numbering.identify("source")
        if isinstance(cited, wire_items.UrlCitation):
            return Source(source_id, cited.title or None, cited.url, block=block, start=span[0], end=span[1])
        return Source(source_id, cited.filename or None, file_id=cited.file_id, block=block, start=span[0], end=span[1])

    # Reasoning.

    def _grow_summary(self, frame: wire.SummaryDelta) -> Told:
        return self._grow_paragraph(frame.output_index, frame.summary_index, frame.delta)

    def _grow_paragraph(self, number: int, index: int, delta: str) -> Told:
        if not delta:
            return ()
        key = f"{number}.summary"
        before = self._paragraphs.get(number)
        self._paragraphs[number] = index
        between = self._blocks.reasoning("\n\n", key) if before not in {None, index} else ()
        return (*between, *self._blocks.reasoning(delta, key))

    def _finish_summary(self, frame: wire.SummaryDone) -> Told:
        return self._fill_paragraph(frame.output_index, frame.summary_index, frame.text)

    def _finish_summary_part(self, frame: wire.SummaryPartDone) -> Told:
        return self._fill_paragraph(frame.output_index, frame.summary_index, frame.part.text or "")

    def _fill_paragraph(self, number: int, index: int, text: str) -> Told:
        """A part of which no delta was seen."""
        return () if self._paragraphs.get(number, -1) >= index else self._grow_paragraph(number, index, text)

    def _start_paragraph(self, frame: wire.SummaryPartAdded) -> Told:
        return self._blocks.start_reasoning(f"{frame.output_index}.summary")

    def _grow_reasoning(self, frame: wire.ReasoningDelta) -> Told:
        return self._blocks.reasoning(frame.delta, f"{frame.output_index}.content")

    def _fill_reasoning(self, frame: wire.ReasoningDone) -> Told:
        return self._settle_reasoning(f"{frame.output_index}.content", frame.text, None)

    def _close_reasoning(self, number: int, item: wire_items.Reasoning) -> Iterator[Event | Notice]:
        """What the vendor wants back goes with the summary, or with a block without a text."""
        content = "".join(part.text or "" for part in item.content or [])
        summary = "\n\n".join(part.text for part in item.summary or [] if part.text)
        sealed = items.seal(item)
        yield from self._settle_reasoning(f"{number}.content", content, None)
        if sealed is not None:
            yield from self._blocks.start_reasoning(f"{number}.summary")
        yield from self._settle_reasoning(f"{number}.summary", summary, sealed)

    def _settle_reasoning(self, key: str, text: str, signature: str | None) -> Told:
        if not text:
            return self._blocks.complete_reasoning(key, signature)
        return self._blocks.settle_reasoning(text, key, signature)

    # Calls.

    def _open_call(self, number: int, item: object) -> Sequence[Event]:
        opening = items.opening(item)
        if opening is None or number in self._calls:
            return ()
        started = self._blocks.start_call(str(number), opening.name, tool_call_id=opening.id, executor=opening.executor)
        call_id = cast("ToolCallStarted", started[0]).tool_call_id
        call = _Call(call_id, opening.name, opening.executor, items.PLAIN.get(type(item)))
        self._calls[number] = call
        self._by_call_id[opening.id or call_id] = call
        return started

    def _grow_call(self, frame: wire.OfCallDelta) -> Told:
        call = self._open_call_at(frame.output_index)
        return (Notice("repaired_block"),) if call is None else self._spell(frame.output_index, call, frame.delta)

    def _fill_arguments(self, frame: wire.ArgumentsDone | wire.McpArgumentsDone) -> Told:
        call = self._open_call_at(frame.output_index)
        return () if call is None or call.shown else self._spell(frame.output_index, call, frame.arguments)

    def _open_call_at(self, number: int) -> _Call | None:
        return self._calls[number] if self._blocks.is_call_open(str(number)) else None

    def _spell(self, number: int, call: _Call, fragment: str) -> Sequence[Event]:
        """A plain text becomes the one member of an object, written as it grows."""
        if not fragment:
            return ()
        written = fragment if call.plain is None else _escaped(call, fragment)
        call.shown.append(fragment)
        return self._blocks.call(str(number), written)

    def _close_call(self, number: int, item: Any, raw: bytes) -> Iterator[Event | Notice]:
        """A call that was cut short stays open: it ends with the response."""
        if number in self._pictures:
            yield from items.files(item)
            return
        yield from self._open_call(number, item)
        call = self._calls.get(number)
        if call is not None:
            yield from self._fill_call(number, call, items.spelled(item))
            if item.status == "incomplete":
                return
            yield from self._finish_call(number, call, item, items.signature(item, raw))
        yield from items.files(item)
        found = items.finding(item)
        if found is not None:
            self._asked.discard(getattr(item, "approval_request_id", None) or "")
            yield from self._answer(found, call)

    def _fill_call(self, number: int, call: _Call, spelled: str | None) -> Sequence[Event]:
        """What no delta has told; what differs from them shows in the end."""
        shown = "".join(call.shown)
        if not spelled or not spelled.startswith(shown):
            return ()
        return self._spell(number, call, spelled.removeprefix(shown))

    def _finish_call(self, number: int, call: _Call, item: object, signature: str | None) -> Iterator[Event]:
        if not self._blocks.is_call_open(str(number)):
            return
        final: dict[str, Any] | None = None
        spelled = items.spelled(item)
        if call.plain is not None:
            shown = "".join(call.shown)
            final = {call.plain: spelled or shown}
            yield from self._blocks.call(str(number), _escaped(call, "") + '"}')
        elif spelled:
            final = parse_arguments(spelled)
        elif not call.shown:
            final = items.arguments(item)
        for event in self._blocks.complete_call(str(number), final, signature=signature):
            call.is_readable = isinstance(event, ToolCallCompleted) and event.status == "complete"
            yield event

    def _answer(self, found: items.Finding, call: _Call | None) -> Told:
        if found.call_id is not None:
            call = self._by_call_id.get(found.call_id)
        if call is None or call.is_answered:
            return (Notice("repaired_block"),)
        call.is_answered = True
        return (ToolResult(call.id, found.output, found.is_error, call.name),)

    def _close_transcript(self, _: wire.TranscriptDone) -> Told:
        return self._blocks.complete_text(TRANSCRIPT)

    _READERS: ClassVar[dict[type, Callable[["Output", Any], Told]]] = {
        wire.ItemAdded: _open_item,
        wire.ItemDone: _close_item,
        wire.PartAdded: _open_part,
        wire.PartDone: _close_part,
        wire.TextDone: _finish_text,
        wire.AnnotationAdded: _add_annotation,
        wire.RefusalDelta: _grow_refusal,
        wire.RefusalDone: _finish_refusal,
        wire.SummaryPartAdded: _start_paragraph,
        wire.SummaryPartDone: _finish_summary_part,
        wire.SummaryDelta: _grow_summary,
        wire.SummaryDone: _finish_summary,
        wire.ReasoningDelta: _grow_reasoning,
        wire.ReasoningDone: _fill_reasoning,
        wire.ArgumentsDelta: _grow_call,
        wire.ArgumentsDone: _fill_arguments,
        wire.McpArgumentsDelta: _grow_call,
        wire.McpArgumentsDone: _fill_arguments,
        wire.InputDelta: _grow_call,
        wire.CodeDelta: _grow_call,
        wire.TranscriptDelta: lambda self, frame: self._blocks.text(frame.delta, TRANSCRIPT),
        wire.TranscriptDone: _close_transcript,
    }


def _key(frame: wire.OfContent) -> str:
    return f"{frame.output_index}.{frame.content_index}"


def _escaped(call: _Call, text: str) -> str:
    """A fragment of a plain text as JSON, behind the beginning of its object where it is the first."""
    head = "" if call.shown else f'{{"{call.plain}":"'
    return head + _encode(text)[1:-1].decode()

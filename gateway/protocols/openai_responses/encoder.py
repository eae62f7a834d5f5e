"""The canonical events as a stream of OpenAI's Responses, with all brackets that the official clients insist on.

    message.started           response.created, response.in_progress
    text                      a message of one output_text each; a correction is one more, behind a blank line
    reasoning                 a reasoning, its text as the summary, its signature as `encrypted_content`
    tool call of the client   function_call or custom_tool_call; as it came from a vendor of this protocol, if it did
    tool call of the vendor   mcp_call of a server named after the vendor; its result is the `output` or the `error`
    who runs it is unknown    held back until a result, or the terminal, says it
    source, file              an annotation of its text, else of the latest, else of the next one
    picture                   image_generation_call, if its data is here
    input.requested           mcp_approval_request
    message.completed         response.completed; response.incomplete for all but stop, tool_calls and input_required
    message.failed            error (nested and flat: some clients raise on either), then response.failed
    message.canceled          response.incomplete with the status `cancelled`

Source: openai 3.54.0 (Python) `types/responses`, `lib/streaming/responses`; openai 7.57.0 (JS)
`internal/responses/response-accumulator.js`, which takes no id twice and no unknown event; read 2026-11.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from gateway.canonical.events import (
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
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    Usage,
    UsageReported,
)
from gateway.framing.sse import encode_comment
from gateway.protocols.openai_responses.calls import WrittenCalls
from gateway.protocols.openai_responses.echo import Echo
from gateway.protocols.openai_responses.frames import Frames, Item, delta_template
from gateway.protocols.openai_responses.refusals import response_fault, stream_fault
from gateway.protocols.openai_responses.said import APPROVAL, PHASES

ENDS_WELL = frozenset({"stop", "tool_calls", "input_required"})
INCOMPLETE: dict[str, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}
RAW_REASONS = frozenset({"max_messages", "steered"})

PICTURE = "data:image/"
SPANNED = "url_citation"

_HEARTBEAT = encode_comment(b"heartbeat")

_encode = msgspec.json.Encoder().encode


class _Growing(Struct):
    """A text or a reasoning; a reasoning has its template with its first delta."""

    index: int
    id: str
    deltas: list[str] = []
    delta_frame: bytes = b""
    annotations: list[Item] = []
    measured: int = 0
    """How many of its deltas are counted in `length`."""
    length: int = 0

    def measure(self) -> int:
        """Its characters so far."""
        self.length += sum(map(len, self.deltas[self.measured :]))
        self.measured = len(self.deltas)
        return self.length


class _Citation(Struct, frozen=True):
    annotation: Item
    block: int | None = None
    start: int | None = None
    end: int | None = None


class ResponsesEncoder:
    """`response` is the response as it was told last."""

    def __init__(self, echo: Echo) -> None:
        self._omitted: dict[str, int] = {}
        self.omitted: Mapping[str, int] = self._omitted
        self.response: Item = {}
        self._echo = echo
        self._frames = Frames()
        self._calls = WrittenCalls(self._frames, echo.functions, echo.custom)
        self._texts: dict[int, _Growing] = {}
        self._latest_text: _Growing | None = None
        self._reasonings: dict[int, _Growing] = {}
        self._waiting: list[_Citation] = []
        """What is cited before any text."""
        self._usage: Usage | None = None

    def event(self, sequence: int, event: Event) -> bytes:  # noqa: ARG002  (the stream has a counter of its own)
        if type(event) is TextDelta:
            text = self._texts[event.block]
            text.deltas.append(event.delta)
            return text.delta_frame % (_encode(event.delta), self._frames.number())
        writer = self._WRITERS.get(type(event))
        if writer is None:
            self._omit(event)
            return b""
        return b"".join(writer(self, event))

    def heartbeat(self) -> bytes | None:
        return _HEARTBEAT

    def end(self) -> bytes:
        return b""

    def _omit(self, event: Event) -> None:
        kind = str(event.__struct_config__.tag)
        self._omitted[kind] = self._omitted.get(kind, 0) + 1

    # The response.

    def _start(self, event: MessageStarted) -> Iterator[bytes]:
        self._frames.prefix = event.message_id
        self.response = self._echo.response(event)
        yield self._frames.frame("response.created", response=self.response)
        yield self._frames.frame("response.in_progress", response=self.response)

    def _route(self, event: MessageRouted) -> Iterator[bytes]:
        yield from ()
        self._calls.server_label = event.vendor
        self._omit(event)

    def _report(self, event: UsageReported) -> Iterator[bytes]:
        yield from ()
        self._usage = event

    def _end(self, kind: str, status: str, usage: Usage | None, **fields: Any) -> Iterator[bytes]:
        told = {"status": status, "output": self._frames.output, "usage": _usage(usage or self._usage)}
        self.response = {**self.response, **told, **fields}
        yield self._frames.frame(kind, response=self.response)

    def _complete(self, event: MessageCompleted) -> Iterator[bytes]:
        yield from self._finish(*event.pending_tool_calls)
        named = {"model": event.model} if event.model else {}
        if event.finish_reason in ENDS_WELL:
            yield from self._end("response.completed", "completed", event.usage, **named)
            return
        raw = event.raw_finish_reason if event.raw_finish_reason in RAW_REASONS else None
        details = {"reason": INCOMPLETE.get(event.finish_reason, raw)}
        yield from self._end("response.incomplete", "incomplete", event.usage, incomplete_details=details, **named)

    def _fail(self, event: MessageFailed) -> Iterator[bytes]:
        yield from self._finish()
        fault = stream_fault(event.error)
        flat = {name: fault[name] for name in ("code", "message", "param")}
        yield self._frames.frame("error", error=fault, **flat)
        yield from self._end("response.failed", "failed", event.usage, error=response_fault(event.error))

    def _cancel(self, event: MessageCanceled) -> Iterator[bytes]:
        yield from self._finish()
        yield from self._end("response.incomplete", "cancelled", event.usage)

    def _finish(self, *pending: str) -> Iterator[bytes]:
        yield from self._calls.finish(pending)
        if self._waiting:
            yield from self._start_text(TextStarted(-1))
            yield from self._complete_text(TextCompleted(-1, ""))

    # Texts.

    def _start_text(self, event: TextStarted) -> Iterator[bytes]:
        item_id = self._frames.identify("msg")
        index, added = self._frames.open(_message(item_id, "in_progress", []))
        template = delta_template("response.output_text.delta", index, item_id, content_index=0, logprobs=[])
        text = _Growing(index, item_id, delta_frame=template)
        self._texts[event.block] = self._latest_text = text
        yield added
        yield self._of_text(text, "response.content_part.added", part=_part("", []))
        if event.replaces is not None:
            yield self.event(0, TextDelta(event.block, "\n\n"))
        for citation in self._waiting:
            yield self._annotate(text, citation)
        self._waiting = []

    def _of_text(self, text: _Growing, kind: str, /, **fields: Any) -> bytes:
        return self._frames.frame(kind, item_id=text.id, output_index=text.index, content_index=0, **fields)

    def _complete_text(self, event: TextCompleted) -> Iterator[bytes]:
        text = self._texts[event.block]
        whole = "".join(text.deltas)
        part = _part(whole, text.annotations)
        named = {"phase": event.signature} if event.signature in PHASES else {}
        yield self._of_text(text, "response.output_text.done", text=whole, logprobs=[])
        yield self._of_text(text, "response.content_part.done", part=part)
        yield self._frames.close(text.index, {**_message(text.id, "completed", [part]), **named})

    # What a text cites.

    def _cite(self, event: Source) -> Iterator[bytes]:
        if event.url is not None:
            annotation = {"type": SPANNED, "url": event.url, "title": event.title or ""}
        else:
            file_id = event.file_id or event.source_id
            annotation = {"type": "file_citation", "file_id": file_id, "filename": event.title or ""}
        yield from self._place(_Citation(annotation, event.block, event.start, event.end))

    def _show(self, event: File) -> Iterator[bytes]:
        url = event.url or ""
        if url.startswith(PICTURE) and ";base64," in url:
            kind, _, data = url.removeprefix(PICTURE).partition(";base64,")
            item = {"id": self._frames.identify("ig"), "type": "image_generation_call", "status": "completed"}
            yield self._frames.whole({**item, "output_format": kind.partition("+")[0], "result": data})
        elif url or event.file_id:
            yield from self._place(_Citation({"type": "file_path", "file_id": url or event.file_id}))
        else:
            self._omit(event)

    def _place(self, citation: _Citation) -> Iterator[bytes]:
        """A text that is complete takes more; its last form stands in the response."""
        own = None if citation.block is None else self._texts.get(citation.block)
        text = own or self._latest_text
        if text is None:
            self._waiting.append(citation)
        else:
            yield self._annotate(text, citation)

    def _annotate(self, text: _Growing, citation: _Citation) -> bytes:
        last = text.measure()
        start, end = (last if place is None else place for place in (citation.start, citation.end))
        is_spanned = citation.annotation["type"] == SPANNED
        place = {"start_index": start, "end_index": end} if is_spanned else {"index": end}
        annotation = {**citation.annotation, **place}
        text.annotations.append(annotation)
        number = len(text.annotations) - 1
        kind = "response.output_text.annotation.added"
        return self._of_text(text, kind, annotation_index=number, annotation=annotation)

    # Reasoning.

    def _start_reasoning(self, event: ReasoningStarted) -> Iterator[bytes]:
        item_id = self._frames.identify("rs")
        index, added = self._frames.open({"id": item_id, "type": "reasoning", "summary": []})
        self._reasonings[event.block] = _Growing(index, item_id)
        yield added

    def _grow_reasoning(self, event: ReasoningDelta) -> Iterator[bytes]:
        reasoning = self._reasonings[event.block]
        if not reasoning.deltas:
            kind = "response.reasoning_summary_text.delta"
            reasoning.delta_frame = delta_template(kind, reasoning.index, reasoning.id, summary_index=0)
            yield self._of_summary(reasoning, "response.reasoning_summary_part.added", part=_summary(""))
        reasoning.deltas.append(event.delta)
        yield reasoning.delta_frame % (_encode(event.delta), self._frames.number())

    def _of_summary(self, reasoning: _Growing, kind: str, **fields: Any) -> bytes:
        place = {"item_id": reasoning.id, "output_index": reasoning.index, "summary_index": 0}
        return self._frames.frame(kind, **place, **fields)

    def _complete_reasoning(self, event: ReasoningCompleted) -> Iterator[bytes]:
        reasoning = self._reasonings[event.block]
        summary = [_summary(event.text)] if reasoning.deltas else []
        for part in summary:
            yield self._of_summary(reasoning, "response.reasoning_summary_text.done", text=event.text)
            yield self._of_summary(reasoning, "response.reasoning_summary_part.done", part=part)
        sealed = {} if event.signature is None else {"encrypted_content": event.signature}
        item = {"id": reasoning.id, "type": "reasoning", "summary": summary, **sealed}
        yield self._frames.close(reasoning.index, item)

    # What a person is asked.

    def _ask(self, event: InputRequested) -> Iterator[bytes]:
        fields = event.fields or {}
        name, called_with = self._calls.approve(event.request_id, event.tool_call_id)
        if fields.keys() >= APPROVAL:
            told = {name: fields[name] for name in ("server_label", "name", "arguments")}
        else:
            prompt = {} if event.prompt is None else {"prompt": event.prompt}
            told = {
                "server_label": self._calls.server_label,
                "name": name or event.kind,
                "arguments": {**called_with, **fields, **prompt},
            }
        if not isinstance(told["arguments"], str):
            told["arguments"] = _encode(told["arguments"]).decode()
        yield self._frames.whole({"id": event.request_id, "type": "mcp_approval_request", **told})

    _WRITERS: ClassVar[dict[type, Callable[["ResponsesEncoder", Any], Iterator[bytes]]]] = {
        MessageStarted: _start,
        MessageRouted: _route,
        UsageReported: _report,
        MessageCompleted: _complete,
        MessageFailed: _fail,
        MessageCanceled: _cancel,
        TextStarted: _start_text,
        TextCompleted: _complete_text,
        Source: _cite,
        File: _show,
        ReasoningStarted: _start_reasoning,
        ReasoningDelta: _grow_reasoning,
        ReasoningCompleted: _complete_reasoning,
        ToolCallStarted: lambda self, event: self._calls.start(event),
        ToolCallDelta: lambda self, event: self._calls.grow(event),
        ToolCallCompleted: lambda self, event: self._calls.complete(event),
        ToolResult: lambda self, event: self._calls.answer(event),
        InputRequested: _ask,
    }


def _message(item_id: str, status: str, content: list[Item]) -> Item:
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


def _part(text: str, annotations: list[Item]) -> Item:
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": []}


def _summary(text: str) -> Item:
    return {"type": "summary_text", "text": text}


def _usage(usage: Usage | None) -> Item | None:
    """None where no tokens are known: clients take no counts but all of them."""
    if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    read, written = usage.input_tokens or 0, usage.output_tokens or 0
    cached = {"cached_tokens": usage.cached_tokens or 0, "cache_write_tokens": usage.cache_write_tokens or 0}
    return {
        "input_tokens": read,
        "input_tokens_details": cached,
        "output_tokens": written,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": read + written,
    }

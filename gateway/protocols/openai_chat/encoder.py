"""The canonical events as chunks of a chat completion.

    message.started      a first chunk with the role
    text.delta           {"content"}             one text at a time; one that opens meanwhile waits
    reasoning.delta      {"reasoning_content"}   likewise
    tool_call.*          {"tool_calls"}          the client's, likewise; another's whole at the end, if it is owed
    source               {"annotations"}         at the end, with indices over the whole content
    input.requested      {"content"}             its prompt behind a blank line
    message.completed    the finish chunk; then usage, where it was asked for
    message.canceled     the finish reason `length`: less than all was said
    message.failed       {"error"}
    end                  [DONE]

The official client takes a call for complete, and parses it, once another one begins: so calls do not take turns. A
text delta costs one JSON string between two fixed pieces of bytes.
Source: openai (Python) 3.54 types and stream reader, read 2026-11.
"""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from gateway.canonical.events import (
    Data,
    DataFrame,
    Event,
    File,
    FinishReason,
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
    Usage,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.message import SourcePart
from gateway.framing.sse import encode_comment
from gateway.protocols.openai_chat.failures import error_document

FINISH_REASONS: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "input_required": "stop",
    "other": "stop",
}
CUT_SHORT = "length"

BLANK_LINE = "\n\n"

_HEARTBEAT = encode_comment(b"keep-alive")
_DONE = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


class Writing:
    """Blocks of one kind, written one after another: `block` is being written, and those behind it wait.

    `offsets` tells where each began in all that was written.
    """

    def __init__(self) -> None:
        self.block: int | None = None
        self.offsets: dict[int, int] = {}
        self._length = 0
        self._waiting: dict[int, list[str]] = {}
        self._lengths: dict[int, int] = {}

    def start(self, block: int, lead: str) -> str:
        """What can be written at once. `lead` stands before the block."""
        if self.block is not None:
            self._waiting[block] = [lead]
            return ""
        self._begin(block, lead)
        return lead

    def grow(self, block: int, delta: str) -> str:
        if block == self.block:
            return delta
        self._waiting[block].append(delta)
        return ""

    def complete(self, block: int, length: int) -> str:
        self._lengths[block] = length
        if block != self.block:
            return ""
        self._length += length
        self.block = None
        text = ""
        while self._waiting:
            following = next(iter(self._waiting))
            lead, *deltas = self._waiting.pop(following)
            self._begin(following, lead)
            text += lead + "".join(deltas)
            if following not in self._lengths:
                break
            self._length += self._lengths[following]
            self.block = None
        return text

    def insert(self, text: str) -> str:
        """What belongs to no block."""
        self._length += len(text)
        return text

    @property
    def is_empty(self) -> bool:
        return not self._length and self.block is None

    def _begin(self, block: int, lead: str) -> None:
        self.block = block
        self._length += len(lead)
        self.offsets[block] = self._length


class _Call(Struct):
    started: ToolCallStarted
    spelled: list[str]
    is_over: bool = False


class ChatEncoder:
    def __init__(self, model: str, *, includes_usage: bool) -> None:
        self._omitted: dict[str, int] = {}
        self.omitted: Mapping[str, int] = self._omitted
        self._model = model
        self._includes_usage = includes_usage
        self._head = b""
        self._tail = b""
        self._before = self._before_thought = self._after = b""
        self._texts = Writing()
        self._reasonings = Writing()
        self._calls: dict[int, _Call] = {}
        self._waiting: deque[_Call] = deque()
        self._held: list[_Call] = []
        """Those that may not be the client's."""
        self._writing: _Call | None = None
        self._index = -1
        self._sources: list[Source] = []

    def event(self, sequence: int, event: Event) -> bytes:  # noqa: ARG002  (the port's)
        if type(event) is TextDelta and event.block == self._texts.block:
            return self._before + _encode(event.delta) + self._after
        return self._WRITERS[type(event)](self, event)

    def heartbeat(self) -> bytes | None:
        return _HEARTBEAT

    def end(self) -> bytes:
        return _DONE

    def _start(self, event: MessageStarted) -> bytes:
        head = {
            "id": event.message_id,
            "object": "chat.completion.chunk",
            "created": int(event.created_at.timestamp()),
            "model": self._model,
        }
        self._head = b"data: " + _encode(head)[:-1] + b',"choices":['
        self._tail = b',"usage":null}\n\n' if self._includes_usage else b"}\n\n"
        self._before = self._head + b'{"index":0,"delta":{"content":'
        self._before_thought = self._head + b'{"index":0,"delta":{"reasoning_content":'
        self._after = b'},"finish_reason":null}]' + self._tail
        return self._chunk({"role": "assistant", "content": ""})

    def _chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        return self._head + _encode({"index": 0, "delta": delta, "finish_reason": finish}) + b"]" + self._tail

    # Prose.

    def _content(self, text: str) -> bytes:
        return self._before + _encode(text) + self._after if text else b""

    def _thought(self, text: str) -> bytes:
        return self._before_thought + _encode(text) + self._after if text else b""

    def _start_text(self, event: TextStarted) -> bytes:
        return self._content(self._texts.start(event.block, _lead(event)))

    def _grow_text(self, event: TextDelta) -> bytes:
        return self._content(self._texts.grow(event.block, event.delta))

    def _complete_text(self, event: TextCompleted) -> bytes:
        return self._content(self._texts.complete(event.block, len(event.text)))

    def _start_reasoning(self, event: ReasoningStarted) -> bytes:
        return self._thought(self._reasonings.start(event.block, _lead(event)))

    def _grow_reasoning(self, event: ReasoningDelta) -> bytes:
        return self._thought(self._reasonings.grow(event.block, event.delta))

    def _complete_reasoning(self, event: ReasoningCompleted) -> bytes:
        return self._thought(self._reasonings.complete(event.block, len(event.text)))

    def _ask(self, event: InputRequested) -> bytes:
        """The question must be seen, though the client cannot tell that it is one."""
        if not event.prompt:
            return self._omit(event)
        lead = "" if self._texts.is_empty else BLANK_LINE
        return self._content(self._texts.insert(lead + event.prompt))

    # Tool calls.

    def _start_call(self, event: ToolCallStarted) -> bytes:
        call = self._calls[event.block] = _Call(event, [])
        if event.executor != "client":
            self._held.append(call)
            return b""
        self._waiting.append(call)
        return self._go_on() if self._writing is None else b""

    def _grow_call(self, event: ToolCallDelta) -> bytes:
        call = self._calls[event.block]
        call.spelled.append(event.delta)
        return self._fragment(event.delta) if call is self._writing else b""

    def _complete_call(self, event: ToolCallCompleted) -> bytes:
        """Arguments of which nothing was spelled are an empty object: clients parse them."""
        call = self._calls[event.block]
        call.is_over = True
        written = b""
        if event.status == "complete" and not "".join(call.spelled).strip():
            call.spelled.append("{}")
            written = self._fragment("{}") if call is self._writing else b""
        if call is not self._writing:
            return written
        self._writing = None
        return written + self._go_on()

    def _go_on(self) -> bytes:
        """Writes the calls that wait, up to one that still grows."""
        written = b""
        while self._waiting:
            call = self._waiting.popleft()
            written += self._begin_call(call)
            if not call.is_over:
                self._writing = call
                break
        return written

    def _begin_call(self, call: _Call) -> bytes:
        self._index += 1
        head = {
            "index": self._index,
            "id": call.started.tool_call_id,
            "type": "function",
            "function": {"name": call.started.name, "arguments": ""},
        }
        spelled = "".join(call.spelled)
        return self._chunk({"tool_calls": [head]}) + (self._fragment(spelled) if spelled else b"")

    def _fragment(self, arguments: str) -> bytes:
        return self._chunk({"tool_calls": [{"index": self._index, "function": {"arguments": arguments}}]})

    def _owed(self, pending: list[str]) -> bytes:
        """Calls that were held back, now that it is known whose they are."""
        written = b""
        for call in self._held:
            if call.started.tool_call_id in pending:
                written += self._begin_call(call)
            else:
                self._omit(call.started)
        return written

    # Endings.

    def _cite(self, event: Source) -> bytes:
        if event.url is None:
            return self._omit(event)
        self._sources.append(event)
        return b""

    def _finish(self, reason: str, pending: list[str]) -> bytes:
        written = self._owed(pending)
        if self._sources:
            offsets = self._texts.offsets
            written += self._chunk({"annotations": [annotation(source, offsets) for source in self._sources]})
        return written + self._chunk({}, reason)

    def _complete(self, event: MessageCompleted) -> bytes:
        return self._finish(FINISH_REASONS[event.finish_reason], event.pending_tool_calls) + self._usage(event.usage)

    def _cancel(self, event: MessageCanceled) -> bytes:
        return self._finish(CUT_SHORT, []) + self._usage(event.usage)

    def _usage(self, usage: Usage | None) -> bytes:
        counted = usage_document(usage)
        if counted is None or not self._includes_usage:
            return b""
        return self._head + b'],"usage":' + _encode(counted) + b"}\n\n"

    def _fail(self, event: MessageFailed) -> bytes:
        return b"data: " + error_document(event.error) + b"\n\n"

    def _pass_over(self, _: Event) -> bytes:
        return b""

    def _omit(self, event: Event) -> bytes:
        tag = str(event.__struct_config__.tag)
        self._omitted[tag] = self._omitted.get(tag, 0) + 1
        return b""

    _WRITERS: ClassVar[dict[type, Callable[["ChatEncoder", Any], bytes]]] = {
        MessageStarted: _start,
        MessageRouted: _pass_over,
        TextStarted: _start_text,
        TextDelta: _grow_text,
        TextCompleted: _complete_text,
        ReasoningStarted: _start_reasoning,
        ReasoningDelta: _grow_reasoning,
        ReasoningCompleted: _complete_reasoning,
        ToolCallStarted: _start_call,
        ToolCallDelta: _grow_call,
        ToolCallCompleted: _complete_call,
        ToolResult: _omit,
        Source: _cite,
        File: _omit,
        DataFrame: _omit,
        Data: _omit,
        StepStarted: _omit,
        StepCompleted: _omit,
        InputRequested: _ask,
        UsageReported: _pass_over,
        VendorEvent: _omit,
        MessageCompleted: _complete,
        MessageFailed: _fail,
        MessageCanceled: _cancel,
    }


def annotation(source: Source | SourcePart, offsets: dict[int, int]) -> dict[str, Any]:
    """Clients demand all four fields; a source of no passage has the indices 0."""
    start = end = 0
    if source.block in offsets and source.start is not None and source.end is not None:
        start, end = offsets[source.block] + source.start, offsets[source.block] + source.end
    citation = {"url": source.url, "title": source.title or source.url, "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": citation}


def usage_document(usage: Usage | None) -> dict[str, Any] | None:
    """None where neither input nor output was counted."""
    if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    inputs, outputs = usage.input_tokens or 0, usage.output_tokens or 0
    told: dict[str, Any] = {
        "prompt_tokens": inputs,
        "completion_tokens": outputs,
        "total_tokens": inputs + outputs,
    }
    if usage.cached_tokens is not None:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return told


def _lead(event: TextStarted | ReasoningStarted) -> str:
    return "" if event.replaces is None else BLANK_LINE

"""One message as Anthropic's clients read it: blocks one behind the other, every frame with its `event:`.

    message_start          with the first block, or the end: usage that a vendor told before stands in it
    content_block_*        a block's start waits for its first delta, so that none is empty
    message_delta, message_stop
                           the end; canceled is an end without a reason to stop
    error                  a failure, behind what was shown; no `message_stop` follows, nor `[DONE]`
    ping                   a heartbeat

On this wire one block is open at a time, in ours several may be. The first of them streams; what the others say waits
until it closes, and is then told in the order in which they began. A call of which it is not known who runs it waits
for its result (the vendor ran it) or for the end, which says whether the client owes it. A vendor's call that is none
of Anthropic's own is told whole, because not every client reads deltas of it.
"""

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from gateway.canonical.errors import ErrorBody
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
from gateway.protocols.anthropic import writing
from gateway.protocols.anthropic.writing import Frame

_encode = msgspec.json.Encoder().encode

HEARTBEAT = b'event: ping\ndata: {"type":"ping"}\n\n'


def _delta(kind: str, field: str) -> bytes:
    head = 'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
    return f'{head}"delta":{{"type":"{kind}","{field}":%b}}}}\n\n'.encode()


_TEXT = _delta("text_delta", "text")
_THINKING = _delta("thinking_delta", "thinking")
_ARGUMENTS = _delta("input_json_delta", "partial_json")
_SIGNATURE = _delta("signature_delta", "signature")
_CITATION = _delta("citations_delta", "citation")

BLANK_LINE = "\n\n"
"""Before a text that corrects another one: nothing can be taken back."""


def frame(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **fields}))


class Whole(Struct, frozen=True):
    """A block that is told at once, with what a delta says of it."""

    block: Frame
    delta: str | None = None
    template: bytes = _ARGUMENTS


class _Call(Struct):
    """A call that is told whole, once it is known who runs it."""

    started: ToolCallStarted
    completed: ToolCallCompleted | None = None
    results: list[ToolResult] = []

    @property
    def was_run(self) -> bool:
        return self.started.executor == "vendor" or bool(self.results)


class AnthropicEncoder:
    def __init__(self, model: str, stop: Sequence[str], fail: Callable[[ErrorBody], Frame]) -> None:
        self._omitted: Counter[str] = Counter()
        self.omitted: Mapping[str, int] = self._omitted
        self._model = model
        self._stop = stop
        self._fail_with = fail
        self._message = ""
        self._usage: Usage | None = None
        self._has_begun = False
        self._index = 0
        self._live: int | None = None
        """The block that is open on the wire; `_template` is that of its deltas, none while its start waits."""
        self._template = b""
        self._is_text = False
        self._waiting: deque[list[Event | Whole]] = deque()
        self._waits: dict[int, list[Event | Whole]] = {}
        """Of `_waiting`, what a block that is open says, by its number."""
        self._calls: dict[str, _Call] = {}
        self._unplaced: list[Source] = []

    def event(self, _sequence: int, event: Event) -> bytes:
        if type(event) is TextDelta and event.block == self._live and self._template:
            return self._template % (self._index, _encode(event.delta))
        handler = self._HANDLERS.get(type(event))
        if handler is None:
            self._omitted[str(event.__struct_config__.tag)] += 1
            return b""
        data = handler(self, event)
        if not data or self._has_begun:
            return data
        self._has_begun = True
        return self._begin() + data

    def heartbeat(self) -> bytes | None:
        return HEARTBEAT

    def end(self) -> bytes:
        return b""

    # The message.

    def _start(self, event: MessageStarted) -> bytes:
        self._message = event.message_id
        return b""

    def _route(self, event: MessageRouted) -> bytes:
        self._model = event.model or self._model
        return b""

    def _count(self, event: UsageReported) -> bytes:
        self._usage = event
        return b""

    def _begin(self) -> bytes:
        return frame("message_start", message=writing.begun(self._message, self._model, self._usage))

    def _complete(self, event: MessageCompleted) -> bytes:
        ending = writing.ending(event.finish_reason, event.raw_finish_reason, self._stop)
        return self._let_go(set(event.pending_tool_calls)) + self._end(event.usage, ending)

    def _cancel(self, event: MessageCanceled) -> bytes:
        return self._let_go(set()) + self._end(event.usage, writing.ending(None, None, self._stop))

    def _fail(self, event: MessageFailed) -> bytes:
        told = self._let_go(set())
        if not told:
            self._has_begun = True  # an error needs no start
        return told + frame("error", **self._fail_with(event.error))

    def _let_go(self, owed: set[str]) -> bytes:
        """What waits until nothing more comes: calls that only the end tells who runs, and sources behind all texts."""
        calls = [whole for id_, call in list(self._calls.items()) for whole in self._told(call, is_clients=id_ in owed)]
        return self._tell_whole(*calls) + self._cite_at_the_end()

    def _end(self, usage: Usage | None, delta: Frame) -> bytes:
        counts = writing.counts(usage or self._usage)
        return frame("message_delta", delta=delta, usage=counts) + frame("message_stop")

    # One block at a time.

    def _open(self, event: TextStarted | ReasoningStarted | ToolCallStarted) -> bytes:
        if self._live is not None:
            self._waits[event.block] = [event]
            self._waiting.append(self._waits[event.block])
            return b""
        self._live, self._template, self._is_text = event.block, b"", isinstance(event, TextStarted)
        if isinstance(event, ToolCallStarted):
            make = writing.clients_call if event.executor == "client" else writing.vendors_call
            return self._start_block(make(event.tool_call_id, event.name, {}), _ARGUMENTS)
        return b"" if event.replaces is None else self._grow(TextDelta(event.block, BLANK_LINE))

    def _start_block(self, block: Frame, template: bytes) -> bytes:
        self._template = template
        return frame("content_block_start", index=self._index, content_block=block)

    def _start_prose(self) -> bytes:
        """What waits for a block's first delta."""
        if self._template:
            return b""
        if not self._is_text:
            return self._start_block(writing.thought("", None), _THINKING)
        unplaced, self._unplaced = self._unplaced, []
        return self._start_block({"type": "text", "text": ""}, _TEXT) + b"".join(map(self._cited, unplaced))

    def _grow(self, event: TextDelta | ReasoningDelta | ToolCallDelta) -> bytes:
        if event.block != self._live:
            return self._keep(event.block, event)
        if not event.delta:
            return b""
        start = self._start_prose()
        return start + self._template % (self._index, _encode(event.delta))

    def _close(self, event: TextCompleted | ReasoningCompleted | ToolCallCompleted) -> bytes:
        if event.block != self._live:
            return self._keep(event.block, event)
        return self._close_block(event) + self._drain()

    def _close_block(self, event: TextCompleted | ReasoningCompleted | ToolCallCompleted) -> bytes:
        signed = b""
        if isinstance(event, ReasoningCompleted) and event.signature:
            signed = self._sign(event.text, event.signature)
        self._live = None
        return signed + self._stop_block() if self._template else b""

    def _sign(self, text: str, signature: str) -> bytes:
        thought = writing.thought(text, signature)
        if thought["type"] == "redacted_thinking":
            return self._start_block(thought, _THINKING)
        start = self._start_prose()
        return start + _SIGNATURE % (self._index, _encode(signature))

    def _stop_block(self) -> bytes:
        self._index += 1
        return frame("content_block_stop", index=self._index - 1)

    def _keep(self, block: int, event: Event) -> bytes:
        """For its turn; what belongs to no block that waits is of a call that is told whole."""
        _encode(event)  # what cannot be written fails now
        if block in self._waits:
            self._waits[block].append(event)
        return b""

    def _tell_whole(self, *blocks: Whole) -> bytes:
        self._waiting.extend([block] for block in blocks)
        return self._drain()

    def _drain(self) -> bytes:
        told: list[bytes] = []
        while self._waiting and self._live is None:
            kept = self._waiting.popleft()
            if isinstance(kept[0], (TextStarted, ReasoningStarted, ToolCallStarted)):
                del self._waits[kept[0].block]
            told += [self._tell(item) for item in kept]
        return b"".join(told)

    def _tell(self, item: Event | Whole) -> bytes:
        if isinstance(item, (TextCompleted, ReasoningCompleted, ToolCallCompleted)):
            return self._close_block(item)
        if not isinstance(item, Whole):
            return self._HANDLERS[type(item)](self, item)
        start = self._start_block(item.block, item.template)
        grown = b"" if item.delta is None else item.template % (self._index, _encode(item.delta))
        return start + grown + self._stop_block()

    # Calls.

    def _start_call(self, event: ToolCallStarted) -> bytes:
        is_streamed = event.executor == "client" or (
            event.executor == "vendor" and writing.is_server_tool(event.name, event.tool_call_id)
        )
        if is_streamed:
            return self._open(event)
        self._calls[event.tool_call_id] = _Call(event)
        return b""

    def _complete_call(self, event: ToolCallCompleted) -> bytes:
        call = self._calls.get(event.tool_call_id)
        if call is None:
            return self._close(event)
        _encode(event)
        call.completed = event
        return self._tell_whole(*self._told(call, is_clients=False)) if call.was_run else b""

    def _take_result(self, event: ToolResult) -> bytes:
        call = self._calls.get(event.tool_call_id)
        if call is None:
            return self._tell_whole(Whole(writing.vendors_result(event)))
        _encode(event)
        call.results.append(event)
        return b"" if call.completed is None else self._tell_whole(*self._told(call, is_clients=False))

    def _told(self, call: _Call, *, is_clients: bool) -> list[Whole]:
        del self._calls[call.started.tool_call_id]
        tool_call_id, name, completed = call.started.tool_call_id, call.started.name, call.completed
        arguments = completed.arguments if completed else {}
        if not is_clients:
            results = [Whole(writing.vendors_result(result)) for result in call.results]
            return [Whole(writing.vendors_call(tool_call_id, name, arguments)), *results]
        raw = completed.raw_arguments if completed else None
        spelled = _encode(arguments).decode() if raw is None else raw
        return [Whole(writing.clients_call(tool_call_id, name, {}), spelled)]

    # What stands beside.

    def _cite(self, event: Source) -> bytes:
        if event.block in self._waits:
            return self._keep(event.block or 0, event)
        if self._live is not None and self._is_text:
            start = self._start_prose()
            return start + self._cited(event)
        _encode(event)
        self._unplaced.append(event)
        return b""

    def _cited(self, source: Source) -> bytes:
        return _CITATION % (self._index, _encode(writing.citation(source)))

    def _cite_at_the_end(self) -> bytes:
        if not self._unplaced:
            return b""
        self._is_text, self._template = True, b""
        return self._start_prose() + self._stop_block()

    def _upload(self, event: File) -> bytes:
        if event.file_id is None:
            self._omitted["file"] += 1
            return b""
        return self._tell_whole(Whole({"type": "container_upload", "file_id": event.file_id}))

    def _ask(self, event: InputRequested) -> bytes:
        return self._tell_whole(Whole({"type": "text", "text": ""}, writing.question(event), _TEXT))

    _HANDLERS: ClassVar[dict[type, Callable[["AnthropicEncoder", Any], bytes]]] = {
        MessageStarted: _start,
        MessageRouted: _route,
        TextStarted: _open,
        TextDelta: _grow,
        TextCompleted: _close,
        ReasoningStarted: _open,
        ReasoningDelta: _grow,
        ReasoningCompleted: _close,
        ToolCallStarted: _start_call,
        ToolCallDelta: _grow,
        ToolCallCompleted: _complete_call,
        ToolResult: _take_result,
        Source: _cite,
        File: _upload,
        InputRequested: _ask,
        UsageReported: _count,
        MessageCompleted: _complete,
        MessageFailed: _fail,
        MessageCanceled: _cancel,
    }

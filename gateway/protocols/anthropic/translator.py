"""Anthropic's Messages, upstream: one call a turn with all that was said, answered by a stream or one document.

    message_start            vendor ids, model, usage
    content_block_*          text.*, reasoning.*, tool_call.*; a block may be whole at its start
    server_tool_use, mcp_tool_use / *_tool_result
                             tool_call.* that the vendor runs / tool_result
    citations_delta          source, of the text's block
    container_upload         file
    message_delta            usage, cumulative; the reason to stop
    message_stop             message.completed
    error                    GatewayError
    end of bytes before `message_stop` or `error`: `upstream_protocol`

Nothing is kept at the vendor, so that a request may be sent again. Proxies that try again splice a second
`message_start` into a stream: what the first attempt showed cannot be taken back (a tool call least of all), so that
this is `upstream_protocol` once a block has begun, and the route decides what to do about it.
Of a block that `max_tokens` cut the end never comes. Unknown events, deltas and blocks are passed on as `vendor.event`.
Source: platform.claude.com/docs/en/api, read 2026-11; recordings in tests/protocols/anthropic/examples.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Literal, cast

import msgspec
from msgspec import Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    File,
    FinishReason,
    MessageCompleted,
    Notice,
    Source,
    ToolCallCompleted,
    ToolCallStarted,
    ToolResult,
    VendorEvent,
)
from gateway.canonical.turn import Turn
from gateway.framing.lines import JsonDecoder
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import Malformed, Unknown, document, open_union
from gateway.protocols.anthropic import asking, wire
from gateway.protocols.anthropic.content import REDACTED
from gateway.protocols.anthropic.refusals import failure, read_refusal, refused
from gateway.protocols.anthropic.spent import Spent
from gateway.protocols.base import Authorization, Calls, Credentials, Headers, VendorRequest
from gateway.protocols.refusing import vendor_error

Told = Iterable[Event | Notice]

FINISH_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}

_encode = msgspec.json.Encoder().encode
_decode_frame = open_union(cast("Any", wire.Frame))
_decode_block = open_union(cast("Any", wire.Started))
_decode_document = document(wire.Document)


class _Open(Struct):
    """A block that has begun: `number` is a text's, `input` a call's arguments where no delta spells them."""

    kind: Literal["text", "reasoning", "call", "other"]
    key: str
    number: int | None = None
    input: Any = None
    signature: str | None = None


class AnthropicTranslator:
    def __init__(self, target: asking.AnthropicTarget, blocks: Blocks) -> None:
        self._target = target
        self._blocks = blocks
        self._is_document = False
        self._is_over = False
        self._open: dict[int, _Open] = {}
        self._begun = 0
        self._calls: dict[str, ToolCallStarted] = {}
        """By the vendor's id."""
        self._owed: list[str] = []
        self._has_unreadable_call = False
        self._spent = Spent()
        self._stop_reason: str | None = None
        self.vendor_ids: dict[str, str] = {}
        self.model: str | None = None
        self.ending = False

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:  # noqa: ARG002  (the port's)
        yield from ()
        if "api_key" in credentials:
            return Authorization({"x-api-key": credentials["api_key"]})
        return Authorization({"Authorization": f"Bearer {credentials['auth_token']}"})

    def requests(self, turn: Turn) -> Calls[None]:
        self._is_document = not (turn.stream or self._target.upstream_stream)
        ask = asking.compose(turn, self._target, stream=not self._is_document)
        accept = "application/json" if self._is_document else "text/event-stream"
        yield VendorRequest(
            "POST",
            "/v1/messages",
            headers={**asking.headers(turn, self._target), "Accept": accept},
            body=_encode(ask),
            framing=JsonDecoder if self._is_document else SseDecoder,
            effect="repeatable",
        )

    def feed(self, record: Record) -> Told:
        if self._is_document:
            return self._read_document(record)
        if not record.data:
            return ()
        frame = _read_frame(record)
        if self._is_over:
            return () if isinstance(frame, wire.Ping) else (Notice("after_terminal"),)
        if isinstance(frame, wire.BlockDelta):
            delta, block = frame.delta, self._open.get(frame.index)
            if delta.type == "text_delta" and block is not None and block.kind == "text" and delta.text is not None:
                return self._blocks.text(delta.text, block.key)
            return self._grow(frame, record)
        if isinstance(frame, Unknown):
            return _read_unknown(frame)
        return self._READERS[type(frame)](self, frame)

    def finish(self) -> Told:
        if not self._is_over:
            raise GatewayError(
                "upstream_protocol", "anthropic ended its stream before `message_stop`", cause="truncated"
            )
        return ()

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return refused(status, headers, body)

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        return None

    # The message.

    def _start(self, frame: wire.MessageStart) -> Told:
        if self._begun:
            raise GatewayError("upstream_protocol", "anthropic began its answer anew in mid-stream", cause="protocol")
        again: Told = (Notice("repaired_block"),) if self.vendor_ids else ()
        self._name(frame.message.id, frame.message.model)
        return (*again, *self._spent.report(frame.message.usage))

    def _name(self, message: str | None, model: str | None) -> None:
        if message:
            self.vendor_ids["message"] = message
        self.model = model or self.model

    def _settle(self, frame: wire.MessageDelta) -> Told:
        self._stop_reason = frame.delta.stop_reason or self._stop_reason
        return (*_explain(frame.delta.stop_details), *self._spent.report(frame.usage))

    def _end(self, _: wire.MessageStop) -> Iterator[Event]:
        reason = self._finish_reason()
        for index, block in list(self._open.items()):
            if reason != "length" or block.kind != "call":
                yield from self._complete(index)
        if reason != "length" and self._has_unreadable_call:
            if reason == "content_filter":
                raise vendor_error("content_filtered", vendor_code=self._stop_reason)
            raise GatewayError("upstream_protocol", "a tool call of anthropic's cannot be read", cause="malformed")
        self._is_over = True
        yield MessageCompleted(reason, self._stop_reason, self._owed if reason == "tool_calls" else [])

    def _finish_reason(self) -> FinishReason:
        """Compatible servers end with `end_turn` behind a call; with `tool_use` and no call, nothing is owed."""
        reason = FINISH_REASONS.get(self._stop_reason or "", "other")
        if reason in {"stop", "tool_calls"}:
            return "tool_calls" if self._owed else "stop"
        return reason

    def _ping(self, _: wire.Ping) -> Told:
        return ()

    def _fail(self, frame: wire.Error) -> Told:
        raise failure(frame)

    # Blocks.

    def _start_block(self, frame: wire.BlockStart) -> Told:
        before = (*self._complete(frame.index), Notice("repaired_block")) if frame.index in self._open else ()
        return (*before, *self._begin(frame.index, bytes(frame.content_block)))

    def _begin(self, index: int, raw: bytes) -> Told:
        block = _decode_block(raw)
        opened = self._open_block(index, "other")
        if isinstance(block, Unknown):
            return self._take_unknown(block)
        return self._STARTERS[type(block)](self, opened, block)

    def _open_block(self, index: int, kind: Literal["text", "reasoning", "other"]) -> _Open:
        self._begun += 1
        block = self._open[index] = _Open(kind, str(self._begun))
        return block

    def _begin_text(self, opened: _Open, block: wire.TextStart) -> Told:
        begun = self._start_text(opened)
        return (*begun, *self._blocks.text(block.text, opened.key), *map(self._cite(opened), block.citations or ()))

    def _start_text(self, opened: _Open) -> tuple[Event, ...]:
        events = self._blocks.start_text(opened.key)
        opened.kind, opened.number = "text", cast("Any", events[0]).block
        return events

    def _cite(self, opened: _Open | None) -> Callable[[wire.Citation], Source]:
        number = opened.number if opened else None
        return lambda citation: _as_source(citation, self._blocks.numbering.identify("source"), number)

    def _begin_thinking(self, opened: _Open, block: wire.ThinkingStart) -> Told:
        opened.kind, opened.signature = "reasoning", block.signature or None
        return (*self._blocks.start_reasoning(opened.key), *self._blocks.reasoning(block.thinking, opened.key))

    def _begin_redacted(self, opened: _Open, block: wire.RedactedStart) -> Told:
        opened.kind, opened.signature = "reasoning", REDACTED + block.data
        return self._blocks.start_reasoning(opened.key)

    def _begin_call(self, opened: _Open, block: wire.Call) -> Told:
        opened.kind, opened.input = "call", block.input
        executor: Literal["client", "vendor"] = "client" if isinstance(block, wire.ToolUseStart) else "vendor"
        events = self._blocks.start_call(opened.key, block.name, tool_call_id=block.id, executor=executor)
        started = cast("ToolCallStarted", events[0])
        self._calls.setdefault(block.id, started)
        if executor == "client":
            self._owed.append(started.tool_call_id)
        return events

    def _take_file(self, _: _Open, block: wire.ContainerUpload) -> Told:
        return (File(file_id=block.file_id),)

    def _fall_back(self, _: _Open, block: wire.Fallback) -> Told:
        self.model = block.to.model or self.model
        return (VendorEvent("fallback", msgspec.to_builtins(block)),)

    def _take_unknown(self, block: Unknown) -> Told:
        if not block.name.endswith(wire.OUTCOME):
            return (VendorEvent(block.name, block.payload),)
        outcome = _read_outcome(block)
        call = self._calls.get(outcome.tool_use_id)
        result = ToolResult(
            call.tool_call_id if call else outcome.tool_use_id,
            outcome.content,
            outcome.is_error or _is_error(outcome.content),
            call.name if call else None,
        )
        return (result,)

    def _stop_block(self, frame: wire.BlockStop) -> Told:
        return self._complete(frame.index) if frame.index in self._open else (Notice("repaired_block"),)

    def _complete(self, index: int) -> tuple[Event, ...]:
        block = self._open.pop(index)
        match block.kind:
            case "text":
                return self._blocks.complete_text(block.key)
            case "reasoning":
                return self._blocks.complete_reasoning(block.key, block.signature)
            case "call":
                return self._complete_call(block)
            case _:
                return ()

    def _complete_call(self, block: _Open) -> tuple[Event, ...]:
        if not block.input or isinstance(block.input, dict):
            events = self._blocks.complete_call(block.key, block.input or None)
        else:
            spelled = self._blocks.call(block.key, _as_text(block.input))
            events = (*spelled, *self._blocks.complete_call(block.key))
        completed = cast("ToolCallCompleted", events[-1])
        if completed.status != "complete" and completed.tool_call_id in self._owed:
            self._has_unreadable_call = True
        return events

    # Deltas.

    def _grow(self, frame: wire.BlockDelta, record: Record) -> Told:
        reader = self._DELTAS.get(frame.delta.type)
        if reader is None:
            return (VendorEvent(frame.delta.type, msgspec.json.decode(record.data)),)
        return reader(self, frame.index, frame.delta)

    def _grow_text(self, index: int, delta: wire.Delta) -> Told:
        """A text that never began, or began as something else."""
        text = _need(delta.text, delta)
        begun = self._start_text(self._open_block(index, "text"))
        return (Notice("repaired_block"), *begun, *self._blocks.text(text, self._open[index].key))

    def _grow_thinking(self, index: int, delta: wire.Delta) -> Told:
        thinking = _need(delta.thinking, delta)
        block = self._open.get(index)
        if block is not None and block.kind == "reasoning":
            return self._blocks.reasoning(thinking, block.key)
        opened = self._open_block(index, "reasoning")
        begun = self._blocks.start_reasoning(opened.key)
        return (Notice("repaired_block"), *begun, *self._blocks.reasoning(thinking, opened.key))

    def _grow_call(self, index: int, delta: wire.Delta) -> Told:
        fragment = _need(delta.partial_json, delta)
        block = self._open.get(index)
        if block is None or block.kind != "call":
            return (Notice("repaired_block"),)
        if fragment:
            block.input = None
        return self._blocks.call(block.key, fragment)

    def _sign(self, index: int, delta: wire.Delta) -> Told:
        signature = _need(delta.signature, delta)
        block = self._open.get(index)
        if block is None or block.kind != "reasoning":
            return (Notice("repaired_block"),)
        block.signature = signature or block.signature
        return ()

    def _add_citation(self, index: int, delta: wire.Delta) -> Told:
        if delta.citation is None:
            raise Malformed("citations_delta without a citation")
        return (self._cite(self._open.get(index))(delta.citation),)

    # Documents.

    def _read_document(self, record: Record) -> Iterator[Event | Notice]:
        read = _decode_document(record.data)
        if read.error or read.content is None:
            raise failure(read_refusal(record.data))
        yield from self._start(wire.MessageStart(wire.Begun(read.id, read.model, read.usage)))
        is_cut = FINISH_REASONS.get(read.stop_reason or "") == "length"
        for index, raw in enumerate(read.content, 1):
            yield from self._begin(index, bytes(raw))
            if is_cut and index == len(read.content):
                yield from self._spell(self._open[index])
            else:
                yield from self._complete(index)
        yield from self._settle(wire.MessageDelta(wire.Ending(read.stop_reason, read.stop_details)))
        yield from self._end(wire.MessageStop())

    def _spell(self, block: _Open) -> tuple[Event, ...]:
        """The arguments of a call that was cut, as far as they came."""
        return self._blocks.call(block.key, _as_text(block.input)) if block.input else ()

    _READERS: ClassVar[dict[type, Callable[["AnthropicTranslator", Any], Told]]] = {
        wire.MessageStart: _start,
        wire.BlockStart: _start_block,
        wire.BlockStop: _stop_block,
        wire.MessageDelta: _settle,
        wire.MessageStop: _end,
        wire.Ping: _ping,
        wire.Error: _fail,
    }

    _STARTERS: ClassVar[dict[type, Callable[["AnthropicTranslator", _Open, Any], Told]]] = {
        wire.TextStart: _begin_text,
        wire.ThinkingStart: _begin_thinking,
        wire.RedactedStart: _begin_redacted,
        wire.ToolUseStart: _begin_call,
        wire.ServerToolUseStart: _begin_call,
        wire.McpToolUseStart: _begin_call,
        wire.ContainerUpload: _take_file,
        wire.Fallback: _fall_back,
    }

    _DELTAS: ClassVar[dict[str, Callable[["AnthropicTranslator", int, wire.Delta], Told]]] = {
        "text_delta": _grow_text,
        "thinking_delta": _grow_thinking,
        "input_json_delta": _grow_call,
        "signature_delta": _sign,
        "citations_delta": _add_citation,
    }


# --- what comes in


def _read_frame(record: Record) -> wire.Frame | Unknown:
    """A frame that cannot be read, but holds an error, is that error."""
    try:
        return cast("wire.Frame | Unknown", _decode_frame(record.data, record.name))
    except Malformed as error:
        read = read_refusal(record.data)
        if read.error:
            raise failure(read) from error
        raise


def _read_unknown(frame: Unknown) -> Told:
    if frame.payload.get("error"):
        raise failure(wire.Refusal(frame.payload["error"], frame.payload.get("request_id")))
    return (VendorEvent(frame.name, frame.payload),)


def _read_outcome(block: Unknown) -> wire.Outcome:
    try:
        return msgspec.convert(block.payload, wire.Outcome)
    except msgspec.ValidationError as error:
        raise Malformed(error) from error


def _is_error(content: object) -> bool:
    """Whether a tool's result is the object that tells of its failure."""
    return isinstance(content, dict) and str(content.get("type", "")).endswith("_error")


def _as_source(citation: wire.Citation, source_id: str, block: int | None) -> Source:
    link = citation.url or citation.source or ""
    return Source(
        source_id,
        title=citation.title or citation.document_title,
        url=link if link.startswith(("https://", "http://")) else None,
        quote=citation.cited_text or None,
        block=block,
    )


def _explain(details: object) -> tuple[Event, ...]:
    """Why an answer was refused."""
    return (VendorEvent("stop_details", details),) if details else ()


def _need(text: str | None, delta: wire.Delta) -> str:
    if text is None:
        raise Malformed(f"{delta.type} without its text")
    return text


def _as_text(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else _encode(arguments).decode()

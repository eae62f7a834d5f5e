"""OpenAI Responses, upstream: one call a turn with all that was said, answered by a stream of items or one document.

    turn                            POST /responses -> stream, or the same as one document
    output_text, refusal            text.*              a refusal ends the answer with `content_filter`
    reasoning_summary_*             reasoning.*         one block an item, a blank line between two parts
    reasoning_text                  reasoning.*         a block of its own
    function_call, custom ...       tool_call.*         of the client's; see `items.py`
    mcp_call, web_search_call ...   tool_call.*, tool_result, file, of the vendor's
    annotations                     source              each one once, though it is told three times
    mcp_approval_request            input.requested     then completed(input_required)
    response.completed              message.completed   `incomplete` says why; `failed` is an error, `cancelled` is not
    error                           GatewayError        flat or nested; a `response.failed` behind it is the same one
    end of bytes before one of these: `upstream_protocol`

Blocks are known by `output_index` and what counts below it, never by an id. A `done` repeats what its deltas said, or
says it alone. What a server streams no item of is read from the response at the end.
Source: openai 3.52.0 `types/responses`, recordings of OpenAI, Copilot, LM Studio and xAI; read 2026-11.
"""

from collections.abc import Iterator
from typing import Any, cast

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    FinishReason,
    MessageCanceled,
    MessageCompleted,
    Notice,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.turn import Turn
from gateway.framing.lines import JsonDecoder
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import Malformed, Unknown, document, open_union
from gateway.protocols.base import Authorization, Calls, Credentials, Headers, VendorRequest
from gateway.protocols.openai_responses import faults, wire
from gateway.protocols.openai_responses.output import Output, Told
from gateway.protocols.openai_responses.sending import create
from gateway.protocols.openai_responses.target import SERVERS, Target
from gateway.protocols.refusing import vendor_error

INCOMPLETE_REASONS: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}

ENDINGS: dict[type, str] = {
    wire.Completed: "completed",
    wire.Incompleted: "incomplete",
    wire.Failed: "failed",
}
"""The status that a terminal frame stands for, where its response does not say another one."""
STATUSES = frozenset({"completed", "incomplete", "failed", "cancelled"})

BRACKETS = frozenset({wire.Created, wire.Queued, wire.InProgress})

_decode_frame = open_union(cast("Any", wire.Frame))
_decode_document = document(wire.Response)


class ResponsesTranslator:
    def __init__(self, target: Target, blocks: Blocks) -> None:
        self._target = target
        self._server = SERVERS[target.server]
        self._is_document = False
        self._has_terminal = False
        self._output = Output(blocks)
        self.vendor_ids: dict[str, str] = {}
        self.model: str | None = None
        self.ending = False

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:  # noqa: ARG002  (the port's)
        yield from ()
        key = credentials.get("api_key")
        if key is None:
            return Authorization({})
        header = self._server.key_header
        return Authorization({header: f"Bearer {key}" if header == "Authorization" else key})

    def requests(self, turn: Turn) -> Calls[None]:
        self._is_document = not (turn.stream or self._target.upstream_stream)
        yield VendorRequest(
            "POST",
            "/responses",
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json" if self._is_document else "text/event-stream",
            },
            body=create(self._target, self._server, turn, stream=not self._is_document),
            framing=JsonDecoder if self._is_document else SseDecoder,
            effect="repeatable",
        )

    def feed(self, record: Record) -> Told:
        if self._is_document:
            return self._read_document(record)
        if not record.data or record.data == wire.DONE:
            return ()
        if self._has_terminal:
            return (Notice("after_terminal"),)
        frame = _read_frame(record)
        if type(frame) is wire.TextDelta:
            return self._output.grow_text(frame.delta, f"{frame.output_index}.{frame.content_index}")
        return self._read(frame)

    def finish(self) -> Told:
        if not self._has_terminal:
            raise GatewayError(
                "upstream_protocol", "the stream of the response ended before its terminal event", cause="truncated"
            )
        return ()

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return faults.refused(status, headers, body)

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        return None

    def _read(self, frame: wire.Frame | Unknown) -> Told:
        match frame:
            case wire.Bracket() if type(frame) in BRACKETS:
                self._keep(frame.response)
                return ()
            case wire.Bracket(response):
                status = response.status if response.status in STATUSES else ENDINGS[type(frame)]
                return self._end(response, status)
            case wire.Error(error, code, message):
                raise faults.failure(faults.fault(error, code, message))
            case wire.Keepalive():
                return ()
            case Unknown():
                return _read_unknown(frame)
            case _:
                return self._output.read(frame)

    def _read_document(self, record: Record) -> Told:
        response = _decode_document(record.data)
        status = response.status or ("failed" if response.error else "")
        if status not in STATUSES:
            raise Malformed("a response that has not ended")
        return self._end(response, status)

    def _keep(self, response: wire.Response) -> None:
        if response.id:
            self.vendor_ids["message"] = response.id
        self.model = response.model or self.model

    def _end(self, response: wire.Response, status: str) -> Iterator[Event | Notice]:
        self._keep(response)
        if status != "failed":
            yield from self._output.read_rest(response.output or [])
        if status == "completed":
            yield from self._output.complete_calls()
        yield from _usage(response.usage)
        if status == "failed":
            raise faults.failure(faults.fault(response.error))
        terminal = self._terminal(status, response.incomplete_details or wire.Incomplete())
        self._has_terminal = True
        yield terminal

    def _terminal(self, status: str, incomplete: wire.Incomplete) -> MessageCompleted | MessageCanceled:
        if status == "cancelled":
            return MessageCanceled("vendor")
        terminal = self._completed(status, incomplete.reason)
        if terminal.finish_reason != "length" and self._output.has_unreadable_call():
            if terminal.finish_reason == "content_filter":
                raise vendor_error("content_filtered", vendor_code=terminal.raw_finish_reason)
            raise GatewayError("upstream_protocol", "a tool call of the response cannot be read", cause="malformed")
        return terminal

    def _completed(self, status: str, reason: str | None) -> MessageCompleted:
        if status == "incomplete":
            return MessageCompleted(INCOMPLETE_REASONS.get(reason or "", "other"), reason or status)
        if self._output.is_refused:
            return MessageCompleted("content_filter", "refusal")
        pending = self._output.pending()
        if self._output.is_asking():
            return MessageCompleted("input_required", status, pending)
        return MessageCompleted("tool_calls" if pending else "stop", status, pending)


def _read_frame(record: Record) -> wire.Frame | Unknown:
    """A frame that cannot be read, but holds an error, is that error."""
    try:
        return cast("wire.Frame | Unknown", _decode_frame(record.data, record.name))
    except Malformed as error:
        failure = faults.unread(record.data)
        if failure is not None:
            raise failure from error
        raise


def _read_unknown(frame: Unknown) -> Told:
    """What a known kind of progress tells besides can be large, and says nothing that does not come again."""
    if frame.name in wire.PROGRESS:
        return (VendorEvent(frame.name, {"output_index": frame.payload.get("output_index")}),)
    return (VendorEvent(frame.name, frame.payload),)


def _usage(usage: wire.Usage | None) -> Iterator[UsageReported]:
    if usage is None:
        return
    read = usage.input_tokens_details or wire.InputTokens()
    written = usage.output_tokens_details or wire.OutputTokens()
    yield UsageReported(
        usage.input_tokens,
        usage.output_tokens,
        written.reasoning_tokens,
        read.cached_tokens,
        read.cache_write_tokens,
    )

"""What the client has been told of one message: the log, what is held before commit, and the bytes to send.

    begin()      an attempt starts: what an earlier one left uncommitted is forgotten
    take()       an event of the vendor's: held, or committed and encoded
    release()    `message.started` goes out, so that from now on failures travel in the stream
    end()        completes what is open and writes the one terminal
    flush()      the bytes since the last flush

An event's sequence is its place in `log`. Without an encoder the answer is one document: nothing is committed before
its terminal. Times are seconds of a monotonic clock.
"""

import msgspec
from msgspec import Struct

from gateway.canonical.assembler import Assembler
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    CONTENT,
    Event,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    MessageRouted,
    MessageStarted,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from gateway.protocols.base import Encoder

_DELTAS = (TextDelta, ReasoningDelta, ToolCallDelta)


class Limits(Struct, frozen=True):
    """Bytes: `message` caps an answer's content, `held` what precedes its commit, the others one body of a vendor's."""

    message: int = 4 * 1024 * 1024
    held: int = 64 * 1024
    record: int = 2 * 1024 * 1024
    error_body: int = 64 * 1024


class Answer:
    def __init__(self, started: MessageStarted, encoder: Encoder | None, limits: Limits, now: float) -> None:
        self.log: list[Event] = [started]
        self.released = False
        self.committed = False
        self.has_content = False
        self.last_out = now
        self.first_text_at: float | None = None
        self.heartbeats = 0
        self.assembler = Assembler()
        self._encoder = encoder
        self._limits = limits
        self._held: list[Event] = []
        self._held_size = 0
        self._out: list[bytes] = []
        self._encode = _encode_for_nobody if encoder is None else encoder.event
        self.flows = False
        """Whether nothing but text is to be expected: committed, released, and the first text was seen."""

    def begin(self, vendor: str, attempt: int) -> None:
        self._routed = MessageRouted(vendor, attempt)
        if not self.committed:
            self.assembler = Assembler()
            self.has_content = False
            self._held = []
            self._held_size = 0

    def take(self, event: Event, model: str | None, now: float) -> None:
        """Raises `GatewayError("upstream_protocol")` over a cap, and what the encoder raises for unencodable text."""
        frame = self._encode(len(self.log), event)  # first, so that what cannot be encoded is never kept
        self.assembler.add(event)
        if type(event) is TextDelta and self.first_text_at is None:
            self.first_text_at = now
        self.has_content = self.has_content or _is_content(event)
        if self.committed:
            self._log(event, frame)
        elif self._encoder is None:
            self._held.append(event)
        elif self.has_content:
            self._commit(model)
            self._write(event)
        else:
            self._hold(event, len(frame))
        self.flows = self.released and self.committed and self.first_text_at is not None

    def take_text(self, delta: TextDelta) -> None:
        """`take`, for the one kind of event that nearly all are; only while `flows`."""
        log = self.log
        frame = self._encode(len(log), delta)
        self.assembler.grow_text(delta)
        self._out.append(frame)
        log.append(delta)

    def check_size(self) -> None:
        if self.assembler.size > self._limits.message:
            raise GatewayError(
                "upstream_protocol", f"the answer is over {self._limits.message} bytes", cause="too_large"
            )

    def release(self) -> None:
        if self.released or self._encoder is None:
            return
        self.released = True
        frame = self._encode(0, self.log[0])
        self._out.append(frame or self._encoder.heartbeat() or b"")

    def heartbeat(self) -> None:
        if self._encoder is not None:
            self.heartbeats += 1
            self._out.append(self._encoder.heartbeat() or b"")

    def objection(self, terminal: MessageCompleted) -> GatewayError | None:
        """Why an answer that its vendor calls complete is not: laws 5 and 9."""
        if terminal.finish_reason == "content_filter" and not self.has_content:
            return GatewayError("content_filtered", "the vendor filtered the answer")
        if terminal.finish_reason in {"stop", "other"} and not self.assembler.has_answer:
            return GatewayError("upstream_empty", "the vendor answered with nothing")
        if terminal.finish_reason != "length":
            owed = set(terminal.pending_tool_calls)
            for tool_call_id, executor in self.assembler.unfinished_calls().items():
                if executor == "client" or tool_call_id in owed:
                    return GatewayError(
                        "upstream_protocol", "a tool call of the vendor's cannot be read", cause="malformed"
                    )
        return None

    def end(self, terminal: MessageCompleted | MessageCanceled, vendor_ids: dict[str, str], model: str | None) -> None:
        """An ending that is no failure. A stream of which nothing was released yet is released whole."""
        is_whole = type(terminal) is MessageCompleted
        self.release()
        if not self.committed and (is_whole or self._held):
            self._commit(model)
        usage = self._usage(is_partial=not is_whole)
        if isinstance(terminal, MessageCompleted):
            terminal = msgspec.structs.replace(
                terminal, vendor=self._routed.vendor, model=model, usage=usage, vendor_ids=dict(vendor_ids)
            )
        else:
            terminal = MessageCanceled(terminal.reason, usage, dict(vendor_ids))
        self._complete_open()
        self._write(terminal)
        self._close()

    def fail(self, error: GatewayError, request_id: str, vendor_ids: dict[str, str]) -> None:
        """A failure: in the stream where that has begun, else for the log alone (the client gets an HTTP status)."""
        terminal = MessageFailed(error.body(request_id), self._usage(is_partial=True), dict(vendor_ids))
        if self._encoder is None and self._held:
            self._commit(None)
        if self.committed:
            self._complete_open()
        self._write(terminal)
        self._close()

    def flush(self, now: float) -> bytes:
        out = self._out
        if not out:
            return b""
        self.last_out = now
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return data

    def _usage(self, *, is_partial: bool) -> Usage | None:
        usage = self.assembler.usage
        if usage is None or not is_partial:
            return usage
        return msgspec.structs.replace(usage, partial=True)

    def _hold(self, event: Event, size: int) -> None:
        self._held.append(event)
        self._held_size += size
        if self._held_size > self._limits.held:
            raise GatewayError(
                "upstream_protocol", f"over {self._limits.held} bytes without content", cause="too_large"
            )

    def _commit(self, model: str | None) -> None:
        self.release()
        self.committed = True
        self._write(msgspec.structs.replace(self._routed, model=model))
        for event in self._held:
            self._write(event)
        self._held = []

    def _complete_open(self) -> None:
        for event in self.assembler.open_events():
            self.assembler.add(event)
            self._write(event)

    def _write(self, event: Event) -> None:
        self._log(event, self._encode(len(self.log), event))

    def _log(self, event: Event, frame: bytes) -> None:
        if self.released:
            self._out.append(frame)
        self.log.append(event)

    def _close(self) -> None:
        if self.released and self._encoder is not None:
            self._out.append(self._encoder.end())


def _encode_for_nobody(_sequence: int, event: Event) -> bytes:
    """For a document: no frame is sent, but what could not be encoded must not come into it either."""
    return msgspec.json.encode(event)


def _is_content(event: Event) -> bool:
    if isinstance(event, _DELTAS):
        return bool(event.delta)
    return type(event) in CONTENT

"""What the client has been told of one message: the log, what is held before commit, and the bytes to send.

    begin()      an attempt starts: what an earlier one left uncommitted is forgotten
    take()       an event of the vendor's: held, or committed and encoded
    accept()     commits an answer that is held only because it may be too slow
    break_off()  what was shown is over: the next attempt's first content is announced as a switch
    release()    `message.started` goes out, so that from now on failures travel in the stream
    end()        completes what is open and writes the one terminal
    flush()      the bytes since the last flush

An attempt is committed with its first content event, or where a minimum speed is asked for once it was quick enough.
An event's sequence is its place in `log`. Without an encoder the answer is one document: nothing is committed before
its terminal. Times are seconds of a monotonic clock.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.canonical.assembler import Assembler
from gateway.canonical.errors import ErrorBody, GatewayError
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
    ToolCallCompleted,
    ToolCallDelta,
    Usage,
)
from gateway.canonical.message import Part, ReasoningPart, SourcePart, TextPart
from gateway.protocols.base import Encoder
from gateway.routing.rules import Speed

_DELTAS = (TextDelta, ReasoningDelta, ToolCallDelta)
_SPOKEN = (TextDelta, ReasoningDelta)
_as_json = msgspec.json.Encoder().encode
_TEXT_ALONE = (TextPart, ReasoningPart, SourcePart)


class Limits(Struct, frozen=True):
    """Bytes: `message` caps an answer's content, `held` what precedes its commit, the others one body of a vendor's."""

    message: int = 4 * 1024 * 1024
    held: int = 64 * 1024
    record: int = 2 * 1024 * 1024
    error_body: int = 64 * 1024


class _Switch(Struct, frozen=True):
    broken: MessageRouted
    error: ErrorBody
    discard: bool


class _Probe:
    """Whether an answer's first text comes quickly enough; seconds, and characters that are still wanted."""

    def __init__(self, speed: Speed) -> None:
        self._window = speed.window
        self._wanted = speed.wanted
        self.until: float | None = None

    def stood_still(self, since: float, now: float) -> None:
        if self.until is not None:
            self.until += max(0.0, now - max(since, self.until - self._window))

    def is_passed_by(self, event: Event, now: float) -> bool:
        """With the last of the characters wanted, and with the first content that is no text."""
        if self.until is None:
            self.until = now + self._window
        if isinstance(event, _SPOKEN):
            self._wanted -= len(event.delta)
        return self._wanted <= 0 or (not isinstance(event, _SPOKEN) and _is_content(event))


class Answer:
    def __init__(self, started: MessageStarted, encoder: Encoder | None, limits: Limits, now: float) -> None:
        self.log: list[Event] = [started]
        self.released = False
        self.committed = False
        self.has_content = False
        self.last_out = now
        self.first_text_at: float | None = None
        self.attempt_text_at: float | None = None
        """The first text of the attempt in hand."""
        self.heartbeats = 0
        self.assembler = Assembler()
        self._encoder = encoder
        self._limits = limits
        self._held: list[Event] = []
        self._held_size = 0
        self._probe: _Probe | None = None
        self._switch: _Switch | None = None
        self._kept: list[Part] = []
        """Of earlier attempts, which the client has seen and not been told to forget."""
        self._kept_size = 0
        self._kept_usage: Usage | None = None
        self.discarded: dict[int, int] = {}
        """How many characters the client was told to forget when each of these attempts had broken off."""
        self._out: list[bytes] = []
        self._encode = _encode_for_nobody if encoder is None else encoder.event
        self.flows = False
        """Whether nothing but text is to be expected: committed, released, and the first text was seen."""

    def begin(self, vendor: str, attempt: int, speed: Speed | None = None) -> None:
        if not self.committed and self._switch is None:
            self.first_text_at = None  # of an attempt that nobody saw
        self._routed = MessageRouted(vendor, attempt)
        self._probe = None if speed is None else _Probe(speed)
        self.assembler = Assembler()
        self.committed = False
        self.has_content = False
        self.attempt_text_at = None
        self.flows = False
        self._held = []
        self._held_size = 0

    def take(self, event: Event, model: str | None, now: float) -> None:
        """Raises `GatewayError("upstream_protocol")` over a cap, and what the encoder raises for unencodable text."""
        # First, so that what cannot be encoded is never kept; a dialect is given no event before it is shown.
        frame = self._encode(len(self.log), event) if self.committed else _as_json(event)
        self.assembler.add(event)
        if type(event) is TextDelta and self.attempt_text_at is None:
            self.attempt_text_at = now
            if self.first_text_at is None:
                self.first_text_at = now
        self.has_content = self.has_content or _is_content(event)
        if self.committed:
            self._log(event, frame)
        elif self._is_slow_yet(event, now) or self._encoder is None or not self.has_content:
            self._hold(event, len(frame), model)
        else:
            self._commit(model)
            self._write(event)
        self.flows = self.released and self.committed and self.attempt_text_at is not None

    def take_text(self, delta: TextDelta) -> None:
        """`take`, for the one kind of event that nearly all are; only while `flows`."""
        log = self.log
        frame = self._encode(len(log), delta)
        self.assembler.grow_text(delta)
        self._out.append(frame)
        log.append(delta)

    def check_size(self) -> None:
        if self.assembler.size + self._kept_size > self._limits.message:
            raise GatewayError(
                "upstream_protocol", f"the answer is over {self._limits.message} bytes", cause="too_large"
            )

    def lags(self, now: float) -> bool:
        """Whether the answer has begun, and is slower than is asked for."""
        return self._probe is not None and self._probe.until is not None and now >= self._probe.until

    def stood_still(self, since: float, now: float) -> None:
        """The vendor was not heard, so its speed is that of the rest of the time."""
        if self._probe is not None:
            self._probe.stood_still(since, now)

    def accept(self, model: str | None) -> None:
        self._probe = None
        if self._encoder is not None:
            self._commit(model)

    def parts(self) -> list[Part]:
        """Of the message so far: what the client has seen, or of a document would."""
        return [*self._kept, *self.assembler.parts()] if self.committed else self._kept

    def is_text_alone(self) -> bool:
        """Whether another vendor could go on with the answer: nothing was done in it but to speak."""
        calls = any(isinstance(event, ToolCallCompleted) for event in self.assembler.open_events())
        return not calls and all(isinstance(part, _TEXT_ALONE) for part in self.parts())

    def break_off(self, error: ErrorBody, *, discard: bool) -> None:
        self._complete_open()
        self._kept = self.parts()
        self._switch = _Switch(self._routed, error, discard)
        self._kept_size = 0 if discard else self._kept_size + self.assembler.size
        self._kept_usage = self.assembler.usage or self._kept_usage

    def text(self) -> str:
        """All of it that was shown as text."""
        return "".join(part.text for part in self._kept if isinstance(part, TextPart))

    def release(self) -> None:
        if self.released or self._encoder is None:
            return
        self.released = True
        frame = self._encode(0, self.log[0])
        self._out.append(frame or self._encoder.heartbeat() or b"")

    def take_over_release(self) -> None:
        """Another run of the message has sent `message.started` already."""
        if not self.released and self._encoder is not None:
            self.released = True
            self._encode(0, self.log[0])

    @property
    def omitted(self) -> Mapping[str, int]:
        """Events that the client's dialect has no words for, by type."""
        return {} if self._encoder is None else self._encoder.omitted

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
        """An ending that is no failure. A stream of which nothing was released yet is released whole.

        Raises what the encoder raises for unencodable text, before anything is told.
        """
        is_whole = type(terminal) is MessageCompleted
        usage = self._usage(is_partial=not is_whole)
        if isinstance(terminal, MessageCompleted):
            terminal = msgspec.structs.replace(
                terminal, vendor=self._routed.vendor, model=model, usage=usage, vendor_ids=dict(vendor_ids)
            )
        else:
            terminal = MessageCanceled(terminal.reason, usage, dict(vendor_ids))
        _as_json(terminal)
        self.release()
        if not self.committed and (is_whole or (self._held and self._switch is None)):
            self._commit(model)
        if self.committed:
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
        if usage is None and is_partial:
            usage = self._kept_usage
        if usage is None or not is_partial:
            return usage
        return msgspec.structs.replace(usage, partial=True)

    def _is_slow_yet(self, event: Event, now: float) -> bool:
        if self._probe is None or not self.has_content:
            return False
        if self._probe.is_passed_by(event, now):
            self._probe = None
        return self._probe is not None

    def _hold(self, event: Event, size: int, model: str | None) -> None:
        self._held.append(event)
        if self._encoder is None:
            return
        self._held_size += size
        if self._held_size <= self._limits.held:
            return
        if self.has_content:
            self.accept(model)
        else:
            raise GatewayError(
                "upstream_protocol", f"over {self._limits.held} bytes without content", cause="too_large"
            )

    def _commit(self, model: str | None) -> None:
        self.release()
        self.committed = True
        self._probe = None
        self._write(msgspec.structs.replace(self._routed_now(), model=model))
        for event in self._held:
            self._write(event)
        self._held = []

    def _routed_now(self) -> MessageRouted:
        switch, self._switch = self._switch, None
        if switch is None:
            return self._routed
        broken = switch.broken
        if switch.discard:
            self.discarded[broken.attempt] = len(self.text())
            self._kept = []
            self._kept_usage = None
        return msgspec.structs.replace(self._routed, from_=broken.vendor, error=switch.error, discard=switch.discard)

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
    return _as_json(event)


def _is_content(event: Event) -> bool:
    if isinstance(event, _DELTAS):
        return bool(event.delta)
    return type(event) in CONTENT

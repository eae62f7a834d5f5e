"""The AI SDK's UI message stream, upstream: one POST a turn, with all that was said, answered by a stream of chunks.

    turn                 POST {base_url}{path} {id, messages, trigger, messageId?, ...body} -> event stream
    text-*, reasoning-*  text.*, reasoning.*    `providerMetadata` becomes the signature, citations become sources
    tool-input-*         tool_call.*            the arguments whole, as one delta
    tool-output-*        tool_result            also of a call of the answer before, which a person approved
    tool-approval-*      input.requested        then completed(input_required)
    *metadata            usage, model           deep-merged, see `metadata.py`
    data-NAME            data                   a later one of the same id is told beside the first
    reset-step           prose that was shown is replaced by nothing; anything else cannot be taken back: a failure
    finish               message.completed      after its trailers; not where another stream begins behind it
    [DONE] alone         message.completed      `other`: a stream that its author writes by hand needs no `finish`
    error, abort         GatewayError, message.canceled
    end of bytes before any of these four: `upstream_protocol`

A server repairs the arguments and fills defaults in, so that `input` may differ from what its deltas spelled: they are
held back until it is there. Which calls are the client's to run, only the end tells.
Nothing is resumed: the vendor's replay begins at `start`, and would tell everything twice.
Source: ai 5.0.277, 6.0.326, 7.0.173; recordings in tests/protocols/ai_sdk/examples; read 2026-11.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, ClassVar, cast

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    CONTENT,
    Data,
    Event,
    File,
    FinishReason,
    MessageCanceled,
    MessageCompleted,
    Notice,
    ReasoningDelta,
    Source,
    TextDelta,
    Usage,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.one_text import cannot_take
from gateway.canonical.turn import Turn
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import Malformed, Unknown, document, open_union
from gateway.protocols.ai_sdk import metadata, wire
from gateway.protocols.ai_sdk.calls import ToolCalls
from gateway.protocols.ai_sdk.prose import Prose
from gateway.protocols.ai_sdk.transcript import Transcript
from gateway.protocols.base import Authorization, Calls, Credentials, Headers, VendorRequest
from gateway.protocols.refusing import refusal, showable, vendor_error

Told = Iterable[Event | Notice]

FINISH_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "content-filter": "content_filter"}
"""`tool-calls` is told by the calls themselves: where none is owed, the server's agent has run out of steps."""

GOES_ON = frozenset(
    {
        wire.Start,
        wire.StartStep,
        wire.TextStart,
        wire.TextDelta,
        wire.ReasoningStart,
        wire.ReasoningDelta,
        wire.ToolInputStart,
        wire.ToolInputDelta,
        wire.ToolInputAvailable,
    }
)
"""Behind a `finish`, another stream that the server merges into the answer; data and the like are trailers."""

LASTING = CONTENT - {TextDelta, ReasoningDelta}
"""What cannot be taken back once it was shown."""

_encode = msgspec.json.encode
_decode_frame = open_union(cast("Any", wire.Frame))
_decode_refusal = document(wire.Refusal)

_REQUEST_IDS = ("x-request-id", "x-vercel-id")


class AiSdkTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """`path` stands behind the base URL, where that is not the endpoint itself; `body` is added to each request's.

    `repeatable` where an answer does nothing that must not happen twice.
    """

    path: Annotated[str, Meta(max_length=1024, pattern=r"^(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?\Z")] = ""
    body: dict[str, Any] = {}
    repeatable: bool = False


class AiSdkOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What a client adds to the body, before what the target adds, and to its own message as metadata."""

    body: dict[str, Any] = {}
    metadata: dict[str, Any] = {}


class AiSdkTranslator:
    def __init__(self, target: AiSdkTarget, blocks: Blocks) -> None:
        self._target = target
        self._blocks = blocks
        self._texts = Prose(blocks.start_text, blocks.text, blocks.complete_text, blocks.settle_text)
        self._reasonings = Prose(
            blocks.start_reasoning, blocks.reasoning, blocks.complete_reasoning, blocks.settle_reasoning
        )
        self._calls = ToolCalls(blocks)
        self._metadata: Any = None
        self._usage: Usage | None = None
        self._streams = 0
        """Those that began and did not finish: a server may merge several into one."""
        self._has_finished = False
        self._has_terminal = False
        self._has_lasting = False
        self._finish_reason: str | None = None
        self.vendor_ids: dict[str, str] = {}
        self.model: str | None = None
        self.ending = False

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:  # noqa: ARG002  (the port's)
        yield from ()
        headers = {}
        if "api_key" in credentials:
            headers["Authorization"] = f"Bearer {credentials['api_key']}"
        if "cookie" in credentials:
            headers["Cookie"] = credentials["cookie"]
        return Authorization(headers)

    def requests(self, turn: Turn) -> Calls[None]:
        _refuse_what_has_no_field(turn)
        chat = turn.vendor_ids.get("conversation") or turn.new_id()
        transcript = Transcript(turn, chat)
        messages = transcript.messages
        if not messages:
            raise GatewayError("bad_request", "the message has no content", details={"path": "$.content"})
        self.vendor_ids["conversation"] = chat
        self._calls.earlier = transcript.calls
        options = turn.options or AiSdkOptions()
        messages[-1] = _last(messages[-1], turn, options)
        body = wire.Body(
            id=chat,
            messages=messages,
            trigger="submit-message" if turn.regenerates is None else "regenerate-message",
            message_id=turn.regenerates,
        )
        yield VendorRequest(
            "POST",
            self._target.path,
            headers={"Content-Type": "application/json", "Accept": "text/event-stream"},
            body=_encode({**_without_ours(options.body), **self._target.body, **wire.fields(body)}),
            framing=SseDecoder,
            effect="repeatable" if self._target.repeatable else "once",
        )

    def feed(self, record: Record) -> Told:
        if record.data == wire.DONE:
            return self._end_all()
        if self._has_terminal:
            return (Notice("after_terminal"),)
        if not record.data:
            return ()
        frame = _decode_frame(record.data, record.name)
        if type(frame) is wire.TextDelta and frame.provider_metadata is None and not self._has_finished:
            return self._texts.grow(frame.id, frame.delta)
        if self._has_finished and type(frame) in GOES_ON:
            self._has_finished = self.ending = False
        told = tuple(self._READERS[type(frame)](self, frame))
        self._has_lasting = self._has_lasting or not LASTING.isdisjoint(map(type, told))
        return told

    def finish(self) -> Told:
        if self._has_terminal:
            return ()
        if not self._has_finished:
            raise GatewayError(
                "upstream_protocol", "the vendor ended its stream before its terminal chunk", cause="truncated"
            )
        return self._complete()

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        code, message = _said(body)
        request_id = next((found for name in _REQUEST_IDS if (found := showable(headers.get(name)))), None)
        return refusal(status, headers, vendor_code=code, vendor_message=message, request_id=request_id)

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        return None

    # The stream, its ending and its metadata.

    def _start(self, frame: wire.Start) -> Told:
        self._streams += 1
        if frame.message_id:
            self.vendor_ids["message"] = frame.message_id
        return self._keep_metadata(frame)

    def _keep_metadata(self, frame: wire.Start | wire.MessageMetadata | wire.Finish) -> Told:
        if frame.message_metadata is None:
            return ()
        self._metadata = metadata.merge(self._metadata, frame.message_metadata)
        self.model = metadata.model(self._metadata) or self.model
        usage = metadata.usage(self._metadata)
        if usage is None or usage == self._usage:
            return ()
        self._usage = usage
        return (UsageReported(**msgspec.structs.asdict(usage)),)

    def _finish(self, frame: wire.Finish) -> Told:
        told = self._keep_metadata(frame)
        self._finish_reason = frame.finish_reason or self._finish_reason
        if self._finish_reason == "error":
            raise vendor_error("upstream_unavailable", cause="vendor_error")
        self._has_finished = True
        self._streams -= 1
        self.ending = self._streams <= 0
        return told

    def _end_all(self) -> Told:
        """No chunk follows."""
        return () if self._has_terminal else self._complete()

    def _complete(self) -> Told:
        reason: FinishReason = FINISH_REASONS.get(self._finish_reason or "", "other")
        pending = self._calls.owed() if reason in {"stop", "other"} else []
        if not all(map(self._calls.is_readable, pending)):
            raise GatewayError(
                "upstream_protocol", "the vendor asks for a tool call without readable arguments", cause="malformed"
            )
        if reason in {"stop", "other"} and self._calls.awaits_approval:
            reason = "input_required"
        elif pending:
            reason = "tool_calls"
        self._has_terminal = True
        return (*self._calls.flush(), MessageCompleted(reason, self._finish_reason, pending))

    def _cancel(self, _: wire.Abort) -> Told:
        self._has_terminal = True
        return (MessageCanceled("vendor"),)

    def _fail(self, frame: wire.Error) -> Told:
        text = frame.error_text if isinstance(frame.error_text, str) else None
        raise vendor_error("upstream_unavailable", cause="vendor_error", vendor_message=text)

    # Steps.

    def _start_step(self, _: wire.StartStep) -> Told:
        self._texts.begin_step()
        self._reasonings.begin_step()
        self._has_lasting = False
        return (*self._blocks.complete_step(), *self._blocks.start_step())

    def _reset_step(self, _: wire.ResetStep) -> Told:
        """The vendor begins its step anew. What the client was shown of it can be corrected where it is prose."""
        if self._has_lasting:
            raise GatewayError("upstream_protocol", "the vendor took back what was shown", cause="protocol")
        return (*self._texts.retract(), *self._reasonings.retract())

    # Parts.

    def _end_text(self, frame: wire.TextEnd) -> Told:
        told = self._texts.end(frame.id, frame.provider_metadata)
        return (*told, *(_cited(citation, self._texts.block) for citation in frame.citations or () if told))

    def _answer_well(self, frame: wire.ToolOutputAvailable) -> Told:
        if frame.preliminary:
            return self._calls.progress(frame.tool_call_id)
        return self._calls.answer(frame.tool_call_id, frame.output, is_error=False)

    def _read_unknown(self, frame: Unknown) -> Told:
        """Data is an open set of types; what is transient is no part of the message."""
        name = frame.name.removeprefix(wire.DATA)
        if name and name != frame.name and not frame.payload.get("transient"):
            return (Data(name, frame.payload.get("data")),)
        return (VendorEvent(frame.name, frame.payload),)

    _READERS: ClassVar[dict[type, Callable[["AiSdkTranslator", Any], Told]]] = {
        Unknown: _read_unknown,
        wire.Start: _start,
        wire.MessageMetadata: _keep_metadata,
        wire.Finish: _finish,
        wire.Abort: _cancel,
        wire.Error: _fail,
        wire.StartStep: _start_step,
        wire.FinishStep: lambda self, _: self._blocks.complete_step(),
        wire.ResetStep: _reset_step,
        wire.TextStart: lambda self, frame: self._texts.start(frame.id, frame.provider_metadata),
        wire.TextDelta: lambda self, frame: self._texts.grow(frame.id, frame.delta, frame.provider_metadata),
        wire.TextEnd: _end_text,
        wire.ReasoningStart: lambda self, frame: self._reasonings.start(frame.id, frame.provider_metadata),
        wire.ReasoningDelta: lambda self, frame: self._reasonings.grow(frame.id, frame.delta, frame.provider_metadata),
        wire.ReasoningEnd: lambda self, frame: self._reasonings.end(frame.id, frame.provider_metadata),
        wire.ToolInputStart: lambda self, frame: self._calls.start(frame),
        wire.ToolInputDelta: lambda self, frame: self._calls.grow(frame),
        wire.ToolInputAvailable: lambda self, frame: self._calls.end(frame),
        wire.ToolInputError: lambda self, frame: self._calls.fail(frame),
        wire.ToolOutputAvailable: _answer_well,
        wire.ToolOutputError: lambda self, frame: self._calls.answer(
            frame.tool_call_id, frame.error_text, is_error=True
        ),
        wire.ToolOutputDenied: lambda self, frame: self._calls.answer(frame.tool_call_id, "denied", is_error=True),
        wire.ToolApprovalRequest: lambda self, frame: self._calls.ask(frame),
        wire.ToolApprovalResponse: lambda self, frame: self._calls.take(frame),
        wire.SourceUrl: lambda _, frame: (Source(frame.source_id, frame.title, frame.url),),
        wire.SourceDocument: lambda _, frame: (Source(frame.source_id, frame.title or frame.filename),),
        wire.File: lambda _, frame: (File(media_type=frame.media_type, url=frame.url),),
        wire.ReasoningFile: lambda _, frame: (File(media_type=frame.media_type, url=frame.url),),
    }


# --- what goes out


def _refuse_what_has_no_field(turn: Turn) -> None:
    if turn.instructions:
        raise cannot_take("the vendor", "instructions", "$.instructions")
    if turn.tools:
        raise cannot_take("the vendor", "the client's tools", "$.tools")
    if turn.tool_choice not in {None, "auto"}:
        raise cannot_take("the vendor", "a choice of tools", "$.tool_choice")


def _without_ours(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in wire.KEYS}


def _last(message: wire.UiMessage, turn: Turn, options: AiSdkOptions) -> wire.UiMessage:
    """The last message: the client's own has its metadata, an answer that goes on the name that its vendor gave it."""
    if message.role == "assistant":
        return msgspec.structs.replace(message, id=turn.vendor_ids.get("message") or message.id)
    return msgspec.structs.replace(message, metadata={**options.metadata, **turn.metadata} or None)


# --- what comes in


def _cited(citation: wire.Citation, block: int) -> Source:
    source = citation.source
    return Source(
        source.id,
        source.title or source.filename,
        source.url,
        quote=citation.cited_text,
        block=block,
        start=citation.start_index,
        end=citation.end_index,
    )


def _said(body: bytes) -> tuple[str | None, str | None]:
    """Code and message of a refusal, from where servers usually put them."""
    try:
        read = _decode_refusal(body)
    except Malformed:
        return None, None
    inner = read.error if isinstance(read.error, dict) else {"message": read.error}
    texts = (inner.get("message"), read.message)
    message = next((text for text in texts if isinstance(text, str) and text), None)
    return showable(inner.get("code")) or showable(read.code), message

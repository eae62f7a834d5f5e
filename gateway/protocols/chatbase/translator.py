"""Chatbase, upstream: one call a turn, answered by the UI message stream of the AI SDK or by one document.

    turn              POST /agents/{agent}/chat {message, conversationId or userId, stream} -> stream or document
    tool results      POST /agents/{agent}/conversations/{id}/tool-result, one each, then /chat, without a message
    an answer anew    POST /agents/{agent}/conversations/{id}/retry {messageId, stream} -> as a turn
    text-*            text.*               an id may be missing
    tool-input-*      tool_call.*          `available` may come alone
    tool-output-*     tool_result
    message-metadata  usage, vendor ids    also in `finish`, below two names, before or after it
    finish            message.completed    after its trailers; the reason `error` is a failure
    error             GatewayError         any frame that holds an `error` is one
    abort             message.canceled
    end of bytes, or `[DONE]`, before `finish`: `upstream_protocol`

The id of a new conversation comes with the last metadata: a stream cut before it has lost its conversation. The vendor
stores the user's message before it answers, so a chat is never sent twice.
A retry forgets the answer and all that followed it, so what was said elsewhere since does not matter to it.
A tool call may be registered a moment after its stream ended: a 404 on its result is asked again, twice. One that was
answered before has no other status: then the newest messages tell whether it was.
Source: chatbase.co/docs/api-v2 and the vendor's clients, read 2026-11.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, ClassVar, cast

import msgspec
from msgspec import UNSET, Meta, Raw, Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import Code, GatewayError
from gateway.canonical.events import (
    Data,
    Event,
    File,
    FinishReason,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    Notice,
    Source,
    ToolCallCompleted,
    ToolResult,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.message import InputResponsePart, ToolResultPart
from gateway.canonical.one_text import as_one_text, refuse_what_is_no_text, spoken
from gateway.canonical.turn import Turn
from gateway.framing.lines import JsonDecoder
from gateway.framing.record import Record
from gateway.framing.sse import LenientSseDecoder
from gateway.framing.typed import Malformed, Unknown, document, open_union
from gateway.protocols.base import (
    Authorization,
    Calls,
    Credentials,
    Headers,
    VendorRequest,
    VendorResponse,
    path_segment,
)
from gateway.protocols.chatbase import wire
from gateway.protocols.chatbase.lists import decode_messages, decode_part, read_page
from gateway.protocols.refusing import refusal, showable, vendor_error

Told = Iterable[Event | Notice]

MAX_OUTPUT = 20 * 1024
"""Bytes of JSON that a tool result may have."""

LATE_CALL_WAITS = (0.0, 0.3, 0.6)
"""Seconds before each try to hand in a tool result."""

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "content-filter": "content_filter",
    "tool-calls": "tool_calls",
}

MAINTENANCE = "SERVICE_UNDER_MAINTENANCE"
"""Rejected before anything is written: the same request may be sent again."""

ERROR_CODES: dict[str, Code] = {
    "VALIDATION_INVALID_BODY": "upstream_rejected",
    "VALIDATION_INVALID_JSON": "upstream_rejected",
    "VALIDATION_INVALID_DATE_RANGE": "upstream_rejected",
    "CHAT_RETRY_NO_USER_MESSAGE": "upstream_rejected",
    "RESOURCE_MESSAGE_NOT_ASSISTANT": "upstream_rejected",
    "AUTH_MISSING_API_KEY": "upstream_auth",
    "AUTH_INVALID_API_KEY": "upstream_auth",
    "AUTH_EXPIRED_API_KEY": "upstream_auth",
    "AUTH_INVALID_JWT": "upstream_auth",
    "AUTH_INSUFFICIENT_PERMISSIONS": "upstream_auth",
    "SUBSCRIPTION_API_RESTRICTED_PLAN": "upstream_auth",
    "SUBSCRIPTION_PLAN_REQUIRED": "upstream_auth",
    "CHAT_MODEL_NOT_ALLOWED": "upstream_auth",
    "CHAT_CREDITS_EXHAUSTED": "quota_exhausted",
    "CHAT_AGENT_CREDITS_EXHAUSTED": "quota_exhausted",
    "CHAT_CONVERSATION_MISMATCH": "upstream_not_found",
    "CHAT_CONVERSATION_NOT_ONGOING": "upstream_not_found",
    "AGENT_NOT_FOUND": "upstream_not_found",
    "RESOURCE_NOT_FOUND": "upstream_not_found",
    "RESOURCE_MESSAGE_NOT_FOUND": "upstream_not_found",
    "RESOURCE_TOOL_CALL_NOT_FOUND": "upstream_not_found",
    "CHAT_RETRY_MESSAGE_NOT_FOUND": "upstream_not_found",
    "RATE_LIMIT_TOO_MANY_REQUESTS": "upstream_rate_limited",
    "INTERNAL_SERVER_ERROR": "upstream_unavailable",
    MAINTENANCE: "upstream_unavailable",
}

TAKEN_BESIDE_TEXT = frozenset({ToolResultPart, InputResponsePart})

_USER_ID = re.compile(r"[a-zA-Z0-9._-]{1,128}")

_encode = msgspec.json.encode
_decode_frame = open_union(cast("Any", wire.Frame))
_decode_document = document(wire.Document)
_decode_receipt = document(wire.ToolReceipt)
_decode_refusal = document(wire.Refusal)


class ChatbaseTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """`upstream_stream` off: an answer that the client does not stream is asked for as one document."""

    agent: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^(?!\.{1,2}\Z)")]
    upstream_stream: bool = True


class ChatbaseOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Chatbase takes no options of its own."""


class ChatbaseTranslator:
    def __init__(self, target: ChatbaseTarget, blocks: Blocks) -> None:
        self._target = target
        self._blocks = blocks
        self._is_document = False
        self._has_terminal = False
        self._text_key = ""
        self._reasoning_key = ""
        self._calls: dict[str, str] = {}
        """Every tool call's name, by its id."""
        self._run_by_vendor: set[str] = set()
        self._grown: set[str] = set()
        self._broken: set[str] = set()
        self._answered: set[str] = set()
        self._approvals: dict[str, str] = {}
        """The approvals that a person owes, by the tool call's id."""
        self._finish_reason: str | None = None
        self._credits: float | None = None
        self._foreign: GatewayError | None = None
        self.vendor_ids: dict[str, str] = {}
        self.model: str | None = None
        self.ending = False

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:  # noqa: ARG002  (the port's)
        yield from ()
        return Authorization({"Authorization": f"Bearer {credentials['api_key']}"})

    def requests(self, turn: Turn) -> Calls[None]:
        refuse_what_is_no_text(turn, "chatbase", but=TAKEN_BESIDE_TEXT)
        conversation = turn.vendor_ids.get("conversation") or None
        self._is_document = not (turn.stream or self._target.upstream_stream)
        if turn.regenerates is not None:
            yield self._retry(turn.regenerates, conversation)
            return
        results = [(f"$.content[{n}]", part) for n, part in enumerate(turn.parts) if isinstance(part, ToolResultPart)]
        message = as_one_text(turn) if any(spoken(part).strip() for part in turn.parts) else ""
        if results and conversation is None:
            path, _ = results[0]
            raise GatewayError("bad_request", "there is no such tool call to answer", details={"path": path})
        if not message and not results:
            raise GatewayError("bad_request", "the message has no text", details={"path": "$.content"})
        outcomes = [_outcome(part, path) for path, part in results]
        if conversation is not None:
            self.vendor_ids["conversation"] = conversation
            for outcome in outcomes:
                yield from self._hand_in(outcome, conversation)
        yield self._chat(turn, message, conversation)

    def _hand_in(self, outcome: wire.ToolOutcome, conversation: str) -> Calls[None]:
        path = f"{self.conversation_path(conversation)}/tool-result"
        for wait in LATE_CALL_WAITS:
            response = yield VendorRequest(
                "POST",
                path,
                headers={"Content-Type": "application/json", "Accept": "application/json"},
                body=_encode(outcome),
                effect="once",
                own_statuses=frozenset({404}),
                after=wait,
            )
            if response.status != 404:
                _check_receipt(response)
                return
        if not (yield from self._is_handed_in(outcome.tool_call_id, conversation)):
            raise self.refuse(response.status, response.headers, response.body)

    def _is_handed_in(self, call_id: str, conversation: str) -> Calls[bool]:
        """A call that was answered before is as unknown as one that never was: the newest messages tell which."""
        page = yield from read_page(self.messages_path(conversation), decode_messages)
        parts = (decode_part(bytes(raw)) for stored in page.data for raw in stored.parts)
        return any(isinstance(part, wire.ToolResultPart) and part.tool_call_id == call_id for part in parts)

    def _chat(self, turn: Turn, message: str, conversation: str | None) -> VendorRequest:
        is_new_of_user = conversation is None and turn.user_id is not None
        chat = wire.Chat(
            message=message or UNSET,
            conversation_id=conversation or UNSET,
            stream=not self._is_document,
            user_id=as_user_id(turn.user_id or "") if is_new_of_user else UNSET,
        )
        return self._ask(f"{self.agent_path}/chat", chat)

    def _retry(self, message_id: str, conversation: str | None) -> VendorRequest:
        if conversation is None:
            raise GatewayError("bad_request", "there is no such answer to give anew", details={"path": "$.regenerate"})
        self.vendor_ids["conversation"] = conversation
        retry = wire.Retry(message_id, stream=not self._is_document)
        return self._ask(f"{self.conversation_path(conversation)}/retry", retry)

    def _ask(self, path: str, question: wire.Chat | wire.Retry) -> VendorRequest:
        return VendorRequest(
            "POST",
            path,
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json" if self._is_document else "text/event-stream",
            },
            body=_encode(question),
            framing=JsonDecoder if self._is_document else LenientSseDecoder,
            effect="once",
        )

    @property
    def agent_path(self) -> str:
        return f"/agents/{path_segment(self._target.agent)}"

    def conversation_path(self, conversation: str) -> str:
        return f"{self.agent_path}/conversations/{path_segment(conversation)}"

    def messages_path(self, conversation: str) -> str:
        return f"{self.conversation_path(conversation)}/messages"

    def feed(self, record: Record) -> Told:
        if self._is_document:
            return self._read_document(record)
        if not record.data:
            return ()
        if record.data == wire.DONE:
            return self.finish()  # no trailers follow
        if self._has_terminal:
            return (Notice("after_terminal"),)
        frame = _read_frame(record)
        if self.ending:
            return self._read_trailer(frame)
        if type(frame) is wire.TextDelta and not frame.error:
            return self._blocks.text(frame.delta, frame.id or self._text_key)
        return self._read_part(frame)

    def finish(self) -> Told:
        if self._has_terminal:
            return ()
        if not self.ending:
            raise _truncated()
        return self._complete()

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        said = _said(_read_refusal(body))
        error = refusal(
            status,
            headers,
            code=ERROR_CODES.get(said.code or ""),
            vendor_code=said.code,
            vendor_message=said.message,
            request_id=showable(headers.get("x-request-id")) or said.request_id,
        )
        if said.code == MAINTENANCE:
            error.may_be_accepted = False
        return error

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        return None

    # Frames.

    def _read_part(self, frame: wire.Frame | Unknown) -> Told:
        if isinstance(frame, Unknown):
            return _read_unknown(frame)
        if frame.error and not isinstance(frame, wire.Error):
            raise _failure(wire.Refusal(error=frame.error), "upstream_protocol")
        return self._READERS[type(frame)](self, frame)

    def _read_trailer(self, frame: wire.Frame | Unknown) -> Told:
        if isinstance(frame, wire.MessageMetadata) and self.ending and not self._has_terminal:
            return self._keep_metadata(frame)
        return (Notice("after_terminal"),)

    def _keep_metadata(self, frame: wire.Carrier) -> Told:
        before = self._credits
        for metadata in (frame, frame.message_metadata, frame.metadata):
            if metadata is not None:
                self._merge(metadata)
        if self._credits is None or self._credits == before:
            return ()
        return (UsageReported(credits=self._credits),)

    def _merge(self, metadata: wire.Metadata) -> None:
        if metadata.conversation_id:
            self._keep_conversation(metadata.conversation_id)
        for name, value in (("message", metadata.message_id), ("user_message", metadata.user_message_id)):
            if value:
                self.vendor_ids[name] = value
        if metadata.usage is not None and metadata.usage.credits is not None:
            self._credits = metadata.usage.credits
        self._finish_reason = metadata.finish_reason or self._finish_reason

    def _keep_conversation(self, conversation: str) -> None:
        if not is_segment(conversation) or self.vendor_ids.setdefault("conversation", conversation) != conversation:
            # It is kept as well: nothing that is raised after `finish` fails the attempt by itself.
            self._foreign = GatewayError(
                "upstream_protocol", "chatbase answered for another conversation", cause="protocol"
            )
            raise self._foreign

    def _end(self, frame: wire.Finish) -> Iterator[Event | Notice]:
        yield from self._keep_metadata(frame)
        self.ending = True

    def _complete(self) -> Iterator[Event | Notice]:
        if self._foreign is not None:
            raise self._foreign
        if self._finish_reason == "error":
            raise vendor_error("upstream_unavailable", cause="vendor_error")
        settled = self._answered | self._run_by_vendor
        owed = [call for call in self._calls if call not in settled]
        reason = self._reason(owed)
        pending = self._pending(owed) if reason in {"tool_calls", "input_required"} else []
        self._has_terminal = True
        yield MessageCompleted(reason, self._finish_reason, pending)

    def _reason(self, owed: list[str]) -> FinishReason:
        """The flat metadata of the manual comes with a `finish` that says no reason: the calls tell it then."""
        inferred = "tool-calls" if owed else "stop"
        reason = FINISH_REASONS.get(self._finish_reason or inferred, "other")
        if reason in {"stop", "tool_calls"} and self._approvals.keys() - self._answered:
            return "input_required"
        return reason

    def _pending(self, owed: list[str]) -> list[str]:
        pending = [call for call in owed if call not in self._approvals]
        if any(call in self._broken or self._blocks.is_call_open(call) for call in pending):
            raise GatewayError(
                "upstream_protocol", "chatbase asks for a tool call without readable arguments", cause="malformed"
            )
        return pending

    def _cancel(self, _: wire.Abort) -> Told:
        self._has_terminal = True
        return (MessageCanceled("vendor"),)

    def _fail(self, frame: wire.Error) -> Told:
        fields = msgspec.structs.asdict(frame)
        raise _failure(wire.Refusal(**fields), "upstream_unavailable")

    def _start_step(self, _: wire.StartStep) -> Told:
        return self._blocks.start_step()

    def _finish_step(self, _: wire.FinishStep) -> Told:
        """What was streamed without an id has no end of its own: it ends with its step."""
        return (*self._blocks.complete_reasoning(), *self._blocks.complete_text(), *self._blocks.complete_step())

    def _start_text(self, frame: wire.TextStart) -> Told:
        self._text_key = frame.id or ""
        return self._blocks.start_text(self._text_key)

    def _end_text(self, frame: wire.TextEnd) -> Told:
        return self._blocks.complete_text(frame.id or self._text_key)

    def _start_reasoning(self, frame: wire.ReasoningStart) -> Told:
        self._reasoning_key = frame.id or ""
        return self._blocks.start_reasoning(self._reasoning_key)

    def _grow_reasoning(self, frame: wire.ReasoningDelta) -> Told:
        return self._blocks.reasoning(frame.delta, frame.id or self._reasoning_key)

    def _end_reasoning(self, frame: wire.ReasoningEnd) -> Told:
        return self._blocks.complete_reasoning(frame.id or self._reasoning_key)

    # Tool calls.

    def _start_call(self, frame: wire.ToolInputStart) -> Told:
        return self._open_call(frame.tool_call_id, frame.tool_name, by_vendor=frame.provider_executed is True)

    def _open_call(self, call: str, name: str, *, by_vendor: bool = False) -> Told:
        if call in self._calls:
            return (Notice("repaired_block"),)
        self._calls[call] = name
        if by_vendor:
            self._run_by_vendor.add(call)
        return self._blocks.start_call(call, name, tool_call_id=call, executor="vendor" if by_vendor else "unknown")

    def _grow_call(self, frame: wire.ToolInputDelta) -> Told:
        if not self._blocks.is_call_open(frame.tool_call_id):
            return (Notice("repaired_block"),)
        self._grown.add(frame.tool_call_id)
        return self._blocks.call(frame.tool_call_id, frame.input_text_delta)

    def _end_call(self, frame: wire.ToolInputAvailable | wire.ToolInputError) -> Told:
        call = frame.tool_call_id
        started: Told = ()
        if not self._blocks.is_call_open(call):
            started = self._open_call(call, frame.tool_name, by_vendor=frame.provider_executed is True)
        return (*started, *self._complete_call(call, frame.input))

    def _complete_call(self, call: str, arguments: object) -> Told:
        """Without an object as `arguments` the deltas say them; without deltas too, the call is unreadable."""
        spelled: tuple[Event, ...] = ()
        final = arguments if isinstance(arguments, dict) else None
        if arguments is not None and final is None and call not in self._grown:
            spelled = self._blocks.call(call, _encode(arguments).decode())
        events = (*spelled, *self._blocks.complete_call(call, final))
        if not events or cast("ToolCallCompleted", events[-1]).status == "complete":
            return events
        self._broken.add(call)
        return (*events, Notice("arguments_differ")) if final is not None else events

    def _break_call(self, frame: wire.ToolInputError) -> Told:
        return (*self._end_call(frame), *self._answer(frame.tool_call_id, frame.error_text, is_error=True))

    def _answer_well(self, frame: wire.ToolOutputAvailable) -> Told:
        if frame.preliminary:
            return ()
        return self._answer(frame.tool_call_id, frame.output, is_error=False)

    def _answer_badly(self, frame: wire.ToolOutputError) -> Told:
        return self._answer(frame.tool_call_id, frame.error_text, is_error=True)

    def _deny(self, frame: wire.ToolOutputDenied) -> Told:
        return self._answer(frame.tool_call_id, "denied", is_error=True)

    def _answer(self, call: str, output: object, *, is_error: bool) -> Told:
        if call in self._answered:
            return (Notice("repaired_block"),)
        self._answered.add(call)
        result = ToolResult(call, output, is_error, self._calls.get(call))
        return (*self._complete_call(call, None), result)

    def _ask_approval(self, frame: wire.ToolApprovalRequest) -> Told:
        if frame.is_automatic:
            return ()
        self._approvals[frame.tool_call_id] = frame.approval_id
        return (InputRequested(frame.approval_id, "approval", frame.reason, frame.tool_call_id),)

    def _take_approval(self, frame: wire.ToolApprovalResponse) -> Told:
        self._approvals = {call: name for call, name in self._approvals.items() if name != frame.approval_id}
        return ()

    # Documents.

    def _read_document(self, record: Record) -> Iterator[Event | Notice]:
        read = _decode_document(record.data)
        if read.error:
            raise _failure(_read_refusal(record.data), "upstream_unavailable")
        if read.data is None:
            raise Malformed("a document without `data`")
        for number, part in enumerate(read.data.parts):
            yield from self._read_whole(decode_part(bytes(part)), str(number))
        yield from self._keep_metadata(wire.Finish(message_id=read.data.id, metadata=read.data.metadata))
        yield from self._complete()

    def _read_whole(self, part: wire.AnswerPart | Unknown, key: str) -> Told:
        match part:
            case wire.TextPart(text):
                return self._blocks.settle_text(text, key)
            case wire.ToolCallPart(call, name, arguments):
                return (*self._open_call(call, name), *self._complete_call(call, arguments))
            case wire.ToolResultPart(call, output):
                return self._answer(call, output, is_error=False)
            case _:
                return _read_unknown(part)

    _READERS: ClassVar[dict[type, Callable[["ChatbaseTranslator", Any], Told]]] = {
        wire.MessageStart: _keep_metadata,
        wire.Start: _keep_metadata,
        wire.MessageMetadata: _keep_metadata,
        wire.Finish: _end,
        wire.Abort: _cancel,
        wire.Error: _fail,
        wire.StartStep: _start_step,
        wire.FinishStep: _finish_step,
        wire.TextStart: _start_text,
        wire.TextEnd: _end_text,
        wire.ReasoningStart: _start_reasoning,
        wire.ReasoningDelta: _grow_reasoning,
        wire.ReasoningEnd: _end_reasoning,
        wire.ToolInputStart: _start_call,
        wire.ToolInputDelta: _grow_call,
        wire.ToolInputAvailable: _end_call,
        wire.ToolInputError: _break_call,
        wire.ToolOutputAvailable: _answer_well,
        wire.ToolOutputError: _answer_badly,
        wire.ToolOutputDenied: _deny,
        wire.ToolApprovalRequest: _ask_approval,
        wire.ToolApprovalResponse: _take_approval,
        wire.SourceUrl: lambda _, frame: (Source(frame.source_id, frame.title, frame.url),),
        wire.SourceDocument: lambda _, frame: (Source(frame.source_id, frame.title or frame.filename),),
        wire.File: lambda _, frame: (File(media_type=frame.media_type, url=frame.url),),
    }


# --- what goes out


def _outcome(part: ToolResultPart, path: str) -> wire.ToolOutcome:
    output = _encode({"error": part.output} if part.is_error else part.output)
    if len(output) > MAX_OUTPUT:
        raise GatewayError(
            "payload_too_large", f"chatbase takes tool results of at most {MAX_OUTPUT} bytes", details={"path": path}
        )
    return wire.ToolOutcome(part.tool_call_id, Raw(output))


def as_user_id(user_id: str) -> str:
    """A user id as Chatbase takes them: unchanged, or hashed."""
    return user_id if _USER_ID.fullmatch(user_id) else f"u-{hashlib.sha256(user_id.encode()).hexdigest()}"


# --- what comes in


def is_segment(vendor_id: str) -> bool:
    """Whether an id that the vendor gave can go back into a path."""
    try:
        path_segment(vendor_id)
    except GatewayError:
        return False
    return True


def _check_receipt(response: VendorResponse) -> None:
    if not _decode_receipt(response.body).data.success:
        raise GatewayError("upstream_protocol", "chatbase did not take the tool result", cause="protocol")


def _read_frame(record: Record) -> wire.Frame | Unknown:
    """A frame that cannot be read, but holds an error, is that error."""
    try:
        return cast("wire.Frame | Unknown", _decode_frame(record.data, record.name))
    except Malformed as error:
        read = _read_refusal(record.data)
        if read.error:
            raise _failure(read, "upstream_protocol") from error
        raise


def _read_unknown(frame: Unknown) -> Told:
    if frame.payload.get("error"):
        raise _failure(wire.Refusal(error=frame.payload["error"]), "upstream_protocol")
    name = frame.name.removeprefix("data-")
    if name != frame.name and name and not frame.payload.get("transient"):
        return (Data(name, frame.payload.get("data")),)
    return (VendorEvent(frame.name, frame.payload),)


def _truncated() -> GatewayError:
    return GatewayError("upstream_protocol", "chatbase ended its stream before its terminal event", cause="truncated")


class _Said(Struct, frozen=True):
    code: str | None
    message: str | None
    request_id: str | None


def _read_refusal(body: bytes) -> wire.Refusal:
    try:
        return _decode_refusal(body)
    except Malformed:
        return wire.Refusal()


def _said(read: wire.Refusal) -> _Said:
    """Code, message and request id, from wherever they stand."""
    inner = read.error if isinstance(read.error, dict) else {"message": read.error}
    texts = (inner.get("message"), read.error_text, read.message)
    message = next((text for text in texts if isinstance(text, str) and text), None)
    if inner.get("details"):
        message = f"{message or ''} {_encode(inner['details']).decode()}".lstrip()
    return _Said(
        showable(inner.get("code")) or showable(read.code),
        message,
        showable(inner.get("requestId")) or showable(read.request_id),
    )


def _failure(read: wire.Refusal, otherwise: Code) -> GatewayError:
    """An error inside a 200; `otherwise` where its code does not say."""
    said = _said(read)
    code = ERROR_CODES.get(said.code or "", otherwise)
    return vendor_error(
        code,
        cause="vendor_error" if code in {"upstream_unavailable", "upstream_protocol"} else None,
        vendor_code=said.code,
        vendor_message=said.message,
        request_id=said.request_id,
    )

"""OpenAI's Responses, downstream: a client changes its base URL to `.../openai/v1`, and nothing else.

    POST /openai/v1/responses               a message: the stream of a response, or the response
    GET  /openai/v1/responses/{id}          the response of a message
    POST /openai/v1/responses/{id}/cancel   stops it where it runs

The key stands in `Authorization: Bearer`, or in `api-key` (Azure's clients); two different ones are none.
The stream, and what it omits, is told in `encoder.py`; what is read in `asked.py`; how we say no in `refusals.py`.
A document is what a stream of the same message would end with.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.canonical.errors import ErrorBody, GatewayError
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
)
from gateway.canonical.message import (
    FilePart,
    InputPart,
    Message,
    Part,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.resources import Ask, CancelMessage, GetMessage, Result
from gateway.protocols.base import (
    ClientRequest,
    DialectRoute,
    Encoder,
    ErrorResponse,
    Exchange,
    Operation,
    Thread,
)
from gateway.protocols.openai_responses.asked import Asked, read
from gateway.protocols.openai_responses.echo import Echo, message_id
from gateway.protocols.openai_responses.encoder import ResponsesEncoder
from gateway.protocols.openai_responses.refusals import refuse
from gateway.protocols.reading import bearer, cannot_carry, header

RESPONSES = "/openai/v1/responses"

_encode = msgspec.json.Encoder().encode


class ResponsesExchange:
    thread: Thread | None = None

    def __init__(self, asked: Asked) -> None:
        self.request = asked.request
        self.follows = asked.follows
        self._echo = asked.echo

    def encoder(self) -> Encoder:
        return ResponsesEncoder(self._echo)

    def document(self, message: Message) -> bytes:
        return _encode(told_of(message, self._echo))


class ResponsesDialect:
    name = "openai_responses"
    routes: tuple[DialectRoute, ...] = (
        DialectRoute("POST", RESPONSES, "message"),
        DialectRoute("GET", f"{RESPONSES}/{{response_id}}", "get_message"),
        DialectRoute("POST", f"{RESPONSES}/{{response_id}}/cancel", "cancel_message"),
    )
    content_type = "text/event-stream"
    can_discard = False
    losses: Mapping[str, str] = {
        "message.routed": "omitted: the model is told at the end, the vendor by its tools alone",
        "data": "omitted",
        "data_frame": "omitted",
        "step.started": "omitted",
        "step.completed": "omitted",
        "vendor.event": "omitted",
        "usage": "told with the terminal; credits are not, nor that it is estimated or partial",
        "tool_result": "an output that is no text goes as its JSON text",
        "file": "a picture's data is an image_generation_call, any other place an annotation; without one, nothing",
        "source.quote": "omitted",
        "text.started.replaces": "the correction follows behind a blank line",
        "tool_call.completed.signature": "told only of calls that came from a vendor of this protocol",
        "message.completed.raw_finish_reason": "told only where it is one of this protocol",
    }

    def credential(self, request: ClientRequest) -> str | None:
        keys = {bearer(request), header(request, "api-key")} - {None}
        return keys.pop() if len(keys) == 1 else None

    def headers(self, request_id: str) -> dict[str, str]:
        return {"x-request-id": request_id}

    def read(self, request: ClientRequest) -> Exchange:
        return ResponsesExchange(read(request))

    def read_ask(self, operation: Operation, request: ClientRequest) -> Ask:
        named = message_id(request.parameters["response_id"], "path.response_id")
        if operation == "cancel_message":
            return CancelMessage(named)
        if request.query.get("stream", "false") != "false":
            raise cannot_carry("query.stream", "a stream that was left")
        return GetMessage(named)

    def write_result(self, result: Result) -> bytes:
        assert isinstance(result, Message)  # noqa: S101  (no route of ours asks for anything else)
        return _encode(told_of(result, Echo()))

    def error(self, error: GatewayError, request_id: str) -> ErrorResponse:  # noqa: ARG002  (it stands in a header)
        return refuse(error)


# --- a stored message


def told_of(message: Message, echo: Echo) -> dict[str, Any]:
    """The response as a stream of the message would have told it last."""
    encoder = ResponsesEncoder(echo)
    for number, event in enumerate(_events(message)):
        encoder.event(number, event)
    return encoder.response


def _events(message: Message) -> Iterator[Event]:
    yield MessageStarted(message.id, message.conversation_id, message.route or "", message.created_at)
    if message.vendor is not None:
        yield MessageRouted(message.vendor, 1, message.model)
    blocks = {part.block: number for number, part in enumerate(message.parts) if isinstance(part, TextPart)}
    for number, part in enumerate(message.parts):
        yield from _of_part(part, number, blocks)
    yield from _terminal(message)


def _of_part(part: Part, block: int, blocks: Mapping[int | None, int]) -> Iterator[Event]:
    match part:
        case TextPart():
            yield TextStarted(block)
            yield TextDelta(block, part.text)
            yield TextCompleted(block, part.text, part.signature)
        case ReasoningPart():
            yield ReasoningStarted(block)
            if part.text:
                yield ReasoningDelta(block, part.text)
            yield ReasoningCompleted(block, part.text, part.signature)
        case ToolCallPart():
            yield from _of_call(part, block)
        case ToolResultPart():
            yield ToolResult(part.tool_call_id, part.output, part.is_error, part.name)
        case SourcePart():
            own = None if part.block is None else blocks.get(part.block)
            place = {"block": own, "start": part.start, "end": part.end} if own is not None else {}
            yield Source(part.source_id, part.title, part.url, part.file_id, part.quote, **place)
        case FilePart():
            yield File(part.file_id, part.name, part.media_type, part.url)
        case InputPart():
            yield InputRequested(part.request_id, part.kind, part.prompt, part.tool_call_id, part.fields)


def _of_call(part: ToolCallPart, block: int) -> Iterator[Event]:
    spelled = part.raw_arguments
    if spelled is None:
        spelled = _encode(part.arguments).decode()
    call = part.tool_call_id
    yield ToolCallStarted(block, call, part.name, part.executor)
    yield ToolCallDelta(block, call, spelled)
    yield ToolCallCompleted(block, call, part.name, part.arguments, part.status, part.raw_arguments, part.signature)


def _terminal(message: Message) -> Iterator[Event]:
    match message.status:
        case "completed":
            yield MessageCompleted(
                message.finish_reason or "stop",
                message.raw_finish_reason,
                message.pending_tool_calls,
                model=message.model,
                usage=message.usage,
            )
        case "failed":
            error = message.error or ErrorBody("internal", "the answer failed", retryable=False)
            yield MessageFailed(error, message.usage)
        case "canceled":
            yield MessageCanceled(message.reason or "", message.usage)
        case _:
            yield from ()

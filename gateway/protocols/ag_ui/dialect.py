"""AG-UI 1.0, downstream: one route, a run for each message.

    POST /ag-ui/{route}   `RunAgentInput` (see `incoming.py`) -> an event stream (see `encoder.py`)
    an error              {"code", "message", "request_id"}: the client's library shows `HTTP 404: {...}`
    stopping              closing the connection, the protocol's one way

A `threadId` names a conversation; what a request tells was said in it is all that was said.
The client's library cannot be told to forget a text: MESSAGES_SNAPSHOT replaces all messages of its thread, and its
subscribers have been told of the text by then.
"""

from collections.abc import Mapping

import msgspec

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message, TextPart, ToolCallPart
from gateway.canonical.resources import Ask, Result
from gateway.canonical.turn import MessageRequest
from gateway.protocols.ag_ui import run_input
from gateway.protocols.ag_ui.encoder import AgUiEncoder, Run
from gateway.protocols.ag_ui.incoming import as_request, responses
from gateway.protocols.base import ClientRequest, DialectRoute, Encoder, ErrorResponse, Exchange, Operation, Thread
from gateway.protocols.reading import bearer, read_body, retry_headers

_decode_run = msgspec.json.Decoder(run_input.RunAgentInput).decode
_encode = msgspec.json.Encoder().encode

LOSSES = {
    "message.started.conversation_id": "not told: the client's threadId names the conversation",
    "message.routed": "omitted; RUN_FINISHED.usage names who answered",
    "text.started": "told with the first delta: a text without any is not told",
    "text.started.replaces": "not told: the correction is a message of its own behind what it corrects",
    "reasoning.started": "told with the first delta",
    "reasoning.started.replaces": "not told",
    "tool_call.completed.status": "not told: arguments that were cut are no JSON, and the call is answered as not run",
    "tool_result.output": "told as JSON text where it is no text",
    "tool_result.name": "not told: the call tells it",
    "source.block": "told as a message's id",
    "input.requested": "told with the end, as an interrupt",
    "usage": "told with the end",
    "usage.credits": "not told",
    "vendor.event.vendor": "not told",
    "message.completed.raw_finish_reason": "told where the answer was cut short",
    "message.completed.vendor_ids": "not told",
    "message.failed.error": "its code, message, and whether to ask again are told",
    "message.canceled.reason": "not told",
}


class AgUiExchange:
    follows: str | None = None

    def __init__(self, run: run_input.RunAgentInput, request: MessageRequest) -> None:
        self.request = request
        self.thread: Thread | None = Thread(run.thread_id)
        self._run = Run(run.thread_id, run.run_id, _takes_outcomes(run.protocol_version), responses(run))

    def encoder(self) -> Encoder:
        return AgUiEncoder(self._run)

    def document(self, message: Message) -> bytes:
        """The answer as an assistant message: a run is always streamed, and nobody asks for this."""
        text = "\n\n".join(part.text for part in message.parts if isinstance(part, TextPart))
        calls = [
            run_input.ToolCall(
                part.tool_call_id,
                run_input.FunctionCall(part.name, part.raw_arguments or _encode(part.arguments).decode()),
            )
            for part in message.parts
            if isinstance(part, ToolCallPart)
        ]
        return _encode(run_input.AssistantMessage(message.id, text or None, calls or None))


class AgUiDialect:
    name = "ag_ui"
    routes: tuple[DialectRoute, ...] = (DialectRoute("POST", "/ag-ui/{route}", "message"),)
    content_type = "text/event-stream"
    can_discard = False
    losses: Mapping[str, str] = LOSSES

    def credential(self, request: ClientRequest) -> str | None:
        return bearer(request)

    def headers(self, request_id: str) -> dict[str, str]:
        return {"X-Request-Id": request_id}

    def read(self, request: ClientRequest) -> Exchange:
        run = read_body(_decode_run, request)
        return AgUiExchange(run, as_request(run, request.parameters["route"]))

    def read_ask(self, operation: Operation, request: ClientRequest) -> Ask:  # noqa: ARG002  (the port's)
        raise GatewayError("unsupported", f"AG-UI has no {operation}")

    def write_result(self, result: Result) -> bytes:
        return _encode(result)

    def error(self, error: GatewayError, request_id: str) -> ErrorResponse:
        headers = {"Content-Type": "application/json", **retry_headers(error)}
        if error.code == "unauthorized":
            headers["WWW-Authenticate"] = "Bearer"
        is_of_route = error.code == "not_found" and error.details.get("path") == "$.route"
        message = "there is no agent of that name" if is_of_route else error.message
        body = {"code": error.code, "message": message, "request_id": request_id}
        return ErrorResponse(error.status, headers, _encode(body))


def _takes_outcomes(protocol_version: str | None) -> bool:
    """Whether the client speaks 1.0: one that names no version is older, and any other name is newer."""
    return protocol_version is not None and not protocol_version.startswith("0.")

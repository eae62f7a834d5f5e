"""Anthropic's Messages, downstream: its clients change their base URL alone.

    POST /anthropic/v1/messages                a message -> events, or one document
    POST /anthropic/v1/messages/count_tokens   {"input_tokens"}, an estimate
    GET  /anthropic/v1/models, .../{model}     the routes

The key stands in `x-api-key` or in `Authorization: Bearer`; two different ones are none. Every answer has `request-id`.
What is asked is read in `asked.py`, and told in `encoder.py` and `writing.py`; `LOSSES` is what cannot be told.
Source: platform.claude.com/docs/en/api, anthropic (Python) 2.12.0; read 2026-11.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message
from gateway.canonical.resources import Ask, CountTokens, GetModel, ListModels, Model, Page, Result, TokenCount
from gateway.canonical.turn import MessageRequest
from gateway.protocols.anthropic import asked, errors, writing
from gateway.protocols.anthropic.encoder import AnthropicEncoder
from gateway.protocols.base import (
    ClientRequest,
    DialectRoute,
    Encoder,
    ErrorResponse,
    Exchange,
    Operation,
    Thread,
    all_values,
)
from gateway.protocols.reading import bearer

LOSSES: dict[str, str] = {
    "data": "omitted",
    "data_frame": "omitted",
    "step.started": "omitted",
    "step.completed": "omitted",
    "vendor.event": "omitted",
    "file.url": "a file without a `file_id` is left out, and counted",
    "file.name": "left out, as `media_type` is",
    "message.routed.from": "a switch of vendors is not told: the text goes on in a new block",
    "text.started.replaces": "the corrected text stands behind a blank line, and what it corrects stays",
    "reasoning.started.replaces": "as a text's",
    "text.completed.signature": "left out, as a call's is",
    "tool_call.completed.raw_arguments": "of a call that the vendor ran: left out; in a document: of any call",
    "tool_result.output": "of a tool that is none of Anthropic's own: a text, JSON where it was none",
    "tool_result.name": "the call has it",
    "source.source_id": "left out where the source has a URL or a `file_id`",
    "source.start": "left out, as `end` is: a citation is of its whole block",
    "source.block": "behind the end of its block: the next text's, or one of its own at the end",
    "input.requested": "its prompt is told as a text, and the message ends with `end_turn`",
    "usage.credits": "left out, as `estimated` and `partial` are",
    "message.completed.finish_reason": "`other` is `end_turn`, but for `pause_turn`",
    "message.completed.raw_finish_reason": "told where it is one of Anthropic's; of several stop sequences not which",
    "message.canceled": "the end of a message without a `stop_reason`; what it was canceled for is left out",
}


class AnthropicExchange:
    thread: Thread | None = None
    follows: str | None = None

    def __init__(self, request: MessageRequest) -> None:
        self.request = request
        self._stop = request.parameters.stop if request.parameters else []

    def encoder(self) -> Encoder:
        return AnthropicEncoder(self.request.route or "", self._stop, errors.told)

    def document(self, message: Message) -> bytes:
        return writing.document(message, self._stop)


class AnthropicDialect:
    name = "anthropic"
    routes: tuple[DialectRoute, ...] = (
        DialectRoute("POST", "/anthropic/v1/messages", "message"),
        DialectRoute("POST", "/anthropic/v1/messages/count_tokens", "count_tokens"),
        DialectRoute("GET", "/anthropic/v1/models", "list_models"),
        DialectRoute("GET", "/anthropic/v1/models/{model}", "get_model"),
    )
    content_type = "text/event-stream"
    can_discard = False
    losses: Mapping[str, str] = LOSSES

    def credential(self, request: ClientRequest) -> str | None:
        keys = {key.strip() for key in all_values(request.headers, "x-api-key")}
        token = bearer(request)
        if token is not None:
            keys.add(token)
        return (keys.pop() or None) if len(keys) == 1 else None

    def headers(self, request_id: str) -> dict[str, str]:
        return {"request-id": request_id, "X-Request-Id": request_id}

    def read(self, request: ClientRequest) -> Exchange:
        return AnthropicExchange(asked.read_message(request))

    def read_ask(self, operation: Operation, request: ClientRequest) -> Ask:
        return _ASKS[operation](request)

    def write_result(self, result: Result) -> bytes:
        return msgspec.json.encode(_written(result))

    def error(self, error: GatewayError, request_id: str) -> ErrorResponse:
        return errors.response(error, request_id)


_ASKS: Mapping[Operation, Callable[[ClientRequest], Ask]] = {
    "count_tokens": lambda request: CountTokens(asked.read_count(request)),
    "list_models": lambda _: ListModels(),
    "get_model": lambda request: GetModel(request.parameters["model"]),
}


def _written(result: Result) -> Any:
    match result:
        case Page(data=models):
            listed = [_model(model) for model in models if isinstance(model, Model)]
            ends = {"first_id": listed[0]["id"], "last_id": listed[-1]["id"]} if listed else {}
            return {"data": listed, "has_more": False, "first_id": None, "last_id": None, **ends}
        case Model():
            return _model(result)
        case TokenCount():
            return result
        case _:
            raise TypeError(f"no operation of this dialect answers with {type(result).__name__}")


def _model(model: Model) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.name,
        "created_at": model.created_at,
        "lifecycle": "active",
    }

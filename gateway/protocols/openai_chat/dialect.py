"""OpenAI Chat Completions, downstream: clients change their base URL to `/openai/v1`, and nothing else.

    POST /openai/v1/chat/completions   see `asks.py`, `encoder.py`, `answers.py`
    GET  /openai/v1/models             our routes, as models
    GET  /openai/v1/models/{model}     a name may hold slashes
    the key                            `Authorization: Bearer`, or `api-key` (Azure's clients)
    heartbeat                          a comment

The wire names no conversation: it is recognised by what is resent. Its replies name the model that was asked for.
Source: openai (Python) 3.54, read 2026-11.
"""

from collections.abc import Mapping
from typing import cast

import msgspec

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message
from gateway.canonical.resources import Ask, GetModel, ListModels, Model, Page, Result
from gateway.protocols.base import (
    ClientRequest,
    DialectRoute,
    Encoder,
    ErrorResponse,
    Exchange,
    Operation,
    Thread,
)
from gateway.protocols.openai_chat.answers import completion, model_document
from gateway.protocols.openai_chat.asks import ChatRequest, as_request, read
from gateway.protocols.openai_chat.encoder import ChatEncoder
from gateway.protocols.openai_chat.failures import error_response
from gateway.protocols.reading import bearer, header

_encode = msgspec.json.Encoder().encode


class ChatExchange:
    thread: Thread | None = None
    follows: str | None = None

    def __init__(self, asked: ChatRequest) -> None:
        self.request = as_request(asked)
        self._asked = asked

    def encoder(self) -> Encoder:
        return ChatEncoder(self._asked.model, includes_usage=self._asked.includes_usage)

    def document(self, message: Message) -> bytes:
        return completion(message, self._asked.model)


class ChatDialect:
    name = "openai_chat"
    routes: tuple[DialectRoute, ...] = (
        DialectRoute("POST", "/openai/v1/chat/completions", "message"),
        DialectRoute("GET", "/openai/v1/models", "list_models"),
        DialectRoute("GET", "/openai/v1/models/{model:.+}", "get_model"),
    )
    content_type = "text/event-stream"
    can_discard = False
    losses: Mapping[str, str] = {
        "message.routed": "not told: the model is the one that was asked for",
        "message.completed.finish_reason": "`input_required` and `other` are `stop`",
        "message.canceled": "ends with the finish reason `length`",
        "text.started": "not told: all texts are one content",
        "text.started.replaces": "the corrected text follows behind a blank line, in a stream",
        "text.completed": "not told: all texts are one content",
        "text.completed.signature": "not told",
        "reasoning.started": "not told: all reasoning is one `reasoning_content`",
        "reasoning.completed": "not told: all reasoning is one `reasoning_content`",
        "reasoning.completed.signature": "not told",
        "tool_call.started.executor": "the vendor's calls are left out; an unknown one comes at the end, if owed",
        "tool_call.completed.signature": "not told",
        "tool_result": "omitted: the vendor's own tools are not told",
        "source.url": "a source without one is left out",
        "source.quote": "not told, as `source_id` and `file_id` are not",
        "file": "omitted",
        "data_frame": "omitted",
        "data": "omitted",
        "step.started": "omitted",
        "step.completed": "omitted",
        "input.requested": "its prompt is text; one without a prompt is left out",
        "usage": "told once, at the end, where `stream_options.include_usage` asks for it",
        "usage.credits": "not told, as `cache_write_tokens` is not",
        "vendor.event": "omitted",
    }

    def credential(self, request: ClientRequest) -> str | None:
        keys = {bearer(request), header(request, "api-key")} - {None}
        return keys.pop() if len(keys) == 1 else None

    def headers(self, request_id: str) -> dict[str, str]:
        return {"x-request-id": request_id}

    def read(self, request: ClientRequest) -> Exchange:
        return ChatExchange(read(request))

    def read_ask(self, operation: Operation, request: ClientRequest) -> Ask:
        return ListModels() if operation == "list_models" else GetModel(request.parameters["model"])

    def write_result(self, result: Result) -> bytes:
        if isinstance(result, Model):
            return _encode(model_document(result))
        models = cast("Page[Model]", result).data
        return _encode({"object": "list", "data": [model_document(model) for model in models]})

    def error(self, error: GatewayError, request_id: str) -> ErrorResponse:  # noqa: ARG002  (the server's own header)
        return error_response(error)

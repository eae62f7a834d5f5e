"""Gemini, downstream: its clients change their base URL alone.

    POST /gemini/{version}/models/{model}:streamGenerateContent   ?alt=sse -> events; without it a list of one answer
    POST /gemini/{version}/models/{model}:generateContent         -> one document
    POST /gemini/{version}/models/{model}:countTokens             {"totalTokens"}, an estimate
    GET  /gemini/{version}/models, .../{model}                    the routes

`version` is `v1` or `v1beta`; a model's name may hold slashes and dots. The key stands in `x-goog-api-key`, in the
query as `key`, or in `Authorization: Bearer`; two different ones are none.
What is asked is read in `asks.py` and `contents.py`, and told in `encoder.py` and `writing.py`.
Source: ai.google.dev/api/generate-content; google-genai (Python) 3.4.0, @google/genai 2.32.0; read 2026-11.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message
from gateway.canonical.resources import Ask, CountTokens, GetModel, ListModels, Model, Page, Result, TokenCount
from gateway.canonical.turn import MessageRequest
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
from gateway.protocols.gemini import asks, errors, writing
from gateway.protocols.gemini.encoder import LOSSES, GeminiEncoder
from gateway.protocols.reading import bearer

_MODELS = "/gemini/{version:v1|v1beta}/models"
_MODEL = _MODELS + "/{model:.+}"

_encode = msgspec.json.Encoder().encode


class GeminiExchange:
    thread: Thread | None = None
    follows: str | None = None

    def __init__(self, read: asks.Read, *, as_list: bool) -> None:
        self.request: MessageRequest = read.request
        self._shows_thoughts = read.shows_thoughts
        self._as_list = as_list

    def encoder(self) -> Encoder:
        return GeminiEncoder(self.request.route or "", shows_thoughts=self._shows_thoughts)

    def document(self, message: Message) -> bytes:
        answer = writing.document(message, self.request.route or "", shows_thoughts=self._shows_thoughts)
        return _encode([answer] if self._as_list else answer)


class GeminiDialect:
    name = "gemini"
    routes: tuple[DialectRoute, ...] = (
        DialectRoute("POST", _MODEL + ":{method:generateContent|streamGenerateContent}", "message"),
        DialectRoute("POST", _MODEL + ":countTokens", "count_tokens"),
        DialectRoute("GET", _MODELS, "list_models"),
        DialectRoute("GET", _MODEL, "get_model"),
    )
    content_type = "text/event-stream"
    can_discard = False
    losses: Mapping[str, str] = LOSSES

    def credential(self, request: ClientRequest) -> str | None:
        keys = {key.strip() for key in all_values(request.headers, "x-goog-api-key")}
        keys |= {key for key in (request.query.get("key"), bearer(request)) if key is not None}
        return (keys.pop() or None) if len(keys) == 1 else None

    def headers(self, request_id: str) -> dict[str, str]:
        return {"X-Request-Id": request_id}

    def read(self, request: ClientRequest) -> Exchange:
        is_streamed = request.parameters["method"] == "streamGenerateContent"
        is_sse = request.query.get("alt") == "sse"
        read = asks.read_message(request, stream=is_streamed and is_sse)
        return GeminiExchange(read, as_list=is_streamed and not is_sse)

    def read_ask(self, operation: Operation, request: ClientRequest) -> Ask:
        return _ASKS[operation](request)

    def write_result(self, result: Result) -> bytes:
        return _encode(_written(result))

    def error(self, error: GatewayError, request_id: str) -> ErrorResponse:
        return errors.response(error, request_id)


_ASKS: Mapping[Operation, Callable[[ClientRequest], Ask]] = {
    "count_tokens": lambda request: CountTokens(asks.read_count(request)),
    "list_models": lambda _: ListModels(),
    "get_model": lambda request: GetModel(request.parameters["model"]),
}


def _written(result: Result) -> Any:
    match result:
        case Page(data=models):
            return {"models": [_model(model) for model in models if isinstance(model, Model)]}
        case Model():
            return _model(result)
        case TokenCount(tokens):
            return {"totalTokens": tokens}
        case _:
            raise TypeError(f"no operation of this dialect answers with {type(result).__name__}")


def _model(model: Model) -> dict[str, Any]:
    return {
        "name": f"models/{model.name}",
        "version": model.created_at.date().isoformat(),
        "displayName": model.name,
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }

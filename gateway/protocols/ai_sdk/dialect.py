"""The AI SDK's UI message stream, downstream: what `useChat` posts to, for versions 5, 6 and 7 of the package `ai`.

    POST   /ai-sdk/{route}                 {id, messages} or {id, message} -> a UI message stream
    GET    /ai-sdk/{route}/{chat}/stream   goes on with the answer that runs in the chat; 204 where none does
    DELETE /ai-sdk/{route}/{chat}/stream   stops it
    POST   /ai-sdk/{route}/{chat}/stop     the same
    an error                               a short text: the clients show a body as it is, as the error's message
    a heartbeat                            a comment

The chat's id is the client's own name of the conversation; `messages` is all that was said in it. `trigger` and
`messageId` say nothing that the messages do not: an answer that is asked for anew has been left out of them. Unknown
fields of the body are the application's: only the same protocol upstream can pass them on.
A request does not tell the client's version, so the operator does; what all of them understand is the default.
Source: ai 5.0.277, 6.0.326, 7.0.173, `http-chat-transport.ts` and `chat.ts`, read 2026-11.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message
from gateway.canonical.resources import Ask, Result, Resume, Stop
from gateway.protocols.ai_sdk import wire
from gateway.protocols.ai_sdk.asks import Asked, chat_id, read_chat
from gateway.protocols.ai_sdk.documents import as_ui_message
from gateway.protocols.ai_sdk.encoder import AiSdkEncoder, Version
from gateway.protocols.base import ClientRequest, DialectRoute, Encoder, ErrorResponse, Exchange, Operation
from gateway.protocols.reading import bearer, retry_headers

_encode = msgspec.json.Encoder().encode

LOSSES = {
    "text.completed.signature": "not told: the gateway keeps it with the conversation",
    "reasoning.completed.signature": "not told: the gateway keeps it with the conversation",
    "tool_call.completed.signature": "not told: the gateway keeps it with the conversation",
    "text.started.replaces": "the correction is a part of its own, marked, behind what it corrects",
    "reasoning.started.replaces": "the correction is a part of its own, behind what it corrects",
    "tool_call.started": "where it is unknown whose it is, held back until that is known",
    "tool_call.delta": "where it is unknown whose it is, held back until that is known",
    "tool_call.completed": "where it is not complete, nothing: its part stays `input-streaming`",
    "tool_result": "of an error, its output as a text; one of no call brings a call without arguments along",
    "source.block": "not told, nor are `start` and `end`",
    "source.file_id": "its title, where it has none",
    "file.name": "not told where the file has a URL",
    "data.name": "what is neither letter, digit, dot, dash nor underscore becomes an underscore",
    "message.canceled.reason": "not told",
    "message.failed.error": "its message and code",
    "usage": "told with the ending",
    "message.completed.raw_finish_reason": "not told, nor are `vendor_ids`",
}
BEFORE_6 = {"input.requested": "its prompt as text, and a data part"}
BEFORE_7 = {
    "step.started": "a boundary where no part is open and the client owes no call, else nothing",
    "step.completed": "told with the next step, or with the ending",
    "step.started.name": "not told",
}
SINCE_6 = {
    "input.requested": "of a question, or of no call that was told: its prompt as text, and a data part",
    "input.requested.fields": "of an approval, not told",
}
FROM_7 = {
    "step.started": "omitted: the whole answer is one step, so that it can be taken back",
    "step.completed": "omitted",
}


class AiSdkSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """`version`: the oldest major version of `ai` among the clients."""

    version: Version = 5


class AiSdkExchange:
    follows: str | None = None

    def __init__(self, asked: Asked, version: Version) -> None:
        self.request = asked.request
        self.thread = asked.thread
        self._continued = asked.continued
        self._version = version

    def encoder(self) -> Encoder:
        return AiSdkEncoder(self._version, self._continued)

    def document(self, message: Message) -> bytes:
        return _encode(as_ui_message(message))


class AiSdkDialect:
    name = "ai_sdk"
    routes: tuple[DialectRoute, ...] = (
        DialectRoute("POST", "/ai-sdk/{route}", "message"),
        DialectRoute("GET", "/ai-sdk/{route}/{chat}/stream", "resume"),
        DialectRoute("DELETE", "/ai-sdk/{route}/{chat}/stream", "stop"),
        DialectRoute("POST", "/ai-sdk/{route}/{chat}/stop", "stop"),
    )
    content_type = "text/event-stream"

    def __init__(self, settings: AiSdkSettings) -> None:
        self._version: Version = settings.version
        self.can_discard = settings.version == 7
        self.losses: Mapping[str, str] = {
            **LOSSES,
            **(BEFORE_6 if settings.version < 6 else SINCE_6),
            **(FROM_7 if settings.version == 7 else BEFORE_7),
        }

    def credential(self, request: ClientRequest) -> str | None:
        return bearer(request)

    def headers(self, request_id: str) -> dict[str, str]:
        return {**wire.MESSAGE_STREAM, "X-Request-Id": request_id}

    def read(self, request: ClientRequest) -> Exchange:
        return AiSdkExchange(read_chat(request), self._version)

    def read_ask(self, operation: Operation, request: ClientRequest) -> Ask:
        thread = chat_id(request)
        return Resume(thread) if operation == "resume" else Stop(thread)

    def write_result(self, result: Result) -> bytes:
        return _encode(result)

    def error(self, error: GatewayError, request_id: str) -> ErrorResponse:
        headers = {"Content-Type": "text/plain; charset=utf-8", **retry_headers(error)}
        if error.code == "unauthorized":
            headers["WWW-Authenticate"] = "Bearer"
        is_route = error.code == "not_found" and error.details.get("path") == "$.route"
        message = "there is no such route" if is_route else error.message
        return ErrorResponse(error.status, headers, f"{message} ({error.code}, request {request_id})".encode())

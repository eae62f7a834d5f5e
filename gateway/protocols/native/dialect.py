"""The canonical API, downstream: one JSON request in, the canonical events out as they are.

    POST /v1/messages   `MessageRequest` -> an event stream, or with `stream: false` one `Message`
    the other paths     see `asks.py`
    a frame             id: 3 / event: text.delta / data: {"type":"text.delta","sequence":3,"block":0,"delta":"Hi"}
    heartbeat           a comment
    an error            {"error": {"code", "message", "retryable", ...}}

A request is decoded strictly. Its errors name the path and never the value, because a value may be a secret.
"""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from gateway.canonical.errors import ErrorBody, GatewayError
from gateway.canonical.events import Event
from gateway.canonical.message import Message
from gateway.canonical.resources import Ask, Result
from gateway.canonical.turn import MessageRequest
from gateway.framing.sse import encode_comment, event_template
from gateway.protocols.base import (
    ClientRequest,
    DialectRoute,
    Encoder,
    ErrorResponse,
    Exchange,
    Operation,
    Thread,
)
from gateway.protocols.native.asks import ASKS, ROUTES
from gateway.protocols.reading import bearer, check_metadata, read_body, refuse, retry_headers

_decode_request = msgspec.json.Decoder(MessageRequest).decode
_encode = msgspec.json.Encoder().encode

_HEARTBEAT = encode_comment(b"heartbeat")


def _template(kind: type[Struct]) -> tuple[bytes, int]:
    """A frame to be filled in with id, sequence and the rest of the event's JSON; how much of that JSON it replaces."""
    name = str(kind.__struct_config__.tag).encode()
    head = b'{"type":"%b"' % name
    return event_template(name).replace(b"%b", head + b',"sequence":%d%b'), len(head)


_TEMPLATES: dict[type, tuple[bytes, int]] = {kind: _template(kind) for kind in Event.__args__}


class _ErrorDocument(Struct, frozen=True):
    error: ErrorBody


class NativeEncoder:
    omitted: Mapping[str, int] = {}

    def event(self, sequence: int, event: Event) -> bytes:
        template, replaced = _TEMPLATES[type(event)]
        return template % (sequence, sequence, _encode(event)[replaced:])

    def heartbeat(self) -> bytes | None:
        return _HEARTBEAT

    def end(self) -> bytes:
        return b""


class NativeExchange:
    thread: Thread | None = None
    follows: str | None = None

    def __init__(self, request: MessageRequest) -> None:
        self.request = request

    def encoder(self) -> Encoder:
        return NativeEncoder()

    def document(self, message: Message) -> bytes:
        return _encode(message)


class NativeDialect:
    name = "native"
    routes: tuple[DialectRoute, ...] = (DialectRoute("POST", "/v1/messages", "message"), *ROUTES)
    content_type = "text/event-stream"
    can_discard = True
    losses: Mapping[str, str] = {}

    def credential(self, request: ClientRequest) -> str | None:
        return bearer(request)

    def headers(self, request_id: str) -> dict[str, str]:
        return {"X-Request-Id": request_id}

    def read(self, request: ClientRequest) -> Exchange:
        asked = read_body(_decode_request, request)
        _check(asked)
        return NativeExchange(asked)

    def read_ask(self, operation: Operation, request: ClientRequest) -> Ask:
        return ASKS[operation](request)

    def write_result(self, result: Result) -> bytes:
        return _encode(result)

    def error(self, error: GatewayError, request_id: str) -> ErrorResponse:
        headers = {"Content-Type": "application/json", **retry_headers(error)}
        if error.code == "unauthorized":
            headers["WWW-Authenticate"] = "Bearer"
        return ErrorResponse(error.status, headers, _encode(_ErrorDocument(error.body(request_id))))


def _check(asked: MessageRequest) -> None:
    """What the types cannot say."""
    if (asked.content is None) == (asked.regenerate is None):
        raise refuse("$.content", "either `content` or `regenerate` is needed, not both")
    if asked.regenerate is not None and asked.conversation_id is None:
        raise refuse("$.conversation_id", "`regenerate` needs its conversation")
    if asked.history and asked.conversation_id is not None:
        raise refuse("$.history", "`history` does not go together with `conversation_id`")
    check_metadata(asked.metadata)

"""How Sema4.ai says no: one body and one list of codes, over HTTP and inside a stream.

    {"error": {"error_id", "code", "message", "details"}}    whose `error_id` is the request's id
    {"detail": "..." or [...]}                               the web framework's own
    {"error_message", "error_stack_trace"}                   an older build's, inside a stream alone

An unknown code means what its status says; inside a stream, that the vendor failed. Read 2026-11.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.canonical.errors import Code, GatewayError
from gateway.framing.typed import Malformed, document
from gateway.protocols.base import Headers
from gateway.protocols.refusing import refusal, showable, vendor_error
from gateway.protocols.sema4 import wire

ERROR_CODES: dict[str | None, Code] = {
    "bad_request": "upstream_rejected",
    "unprocessable_entity": "upstream_rejected",
    "method_not_allowed": "upstream_rejected",
    "conflict": "upstream_rejected",
    "precondition_failed": "upstream_rejected",
    "unsupported_media_type": "upstream_rejected",
    "unauthorized": "upstream_auth",
    "forbidden": "upstream_auth",
    "not_found": "upstream_not_found",
    "too_many_requests": "upstream_rate_limited",
    "unexpected": "upstream_unavailable",
    "internal_error": "upstream_unavailable",
}

_decode_refusal = document(wire.Refusal)


class _Said(Struct, frozen=True):
    code: str | None = None
    message: str | None = None
    request_id: str | None = None


def refuse(status: int, headers: Headers, body: bytes) -> GatewayError:
    said = _read(body)
    return refusal(
        status,
        headers,
        code=ERROR_CODES.get(said.code) if status >= 400 else None,
        vendor_code=said.code,
        vendor_message=said.message,
        request_id=said.request_id,
    )


def failure(error: Any, message: Any = None, *, otherwise: Code = "upstream_unavailable") -> GatewayError:
    """A failure told inside a 200; `otherwise` is what an unknown code means."""
    said = _said(error, message)
    code = ERROR_CODES.get(said.code, otherwise)
    return vendor_error(
        code,
        cause="vendor_error" if code in {"upstream_unavailable", "upstream_protocol"} else None,
        vendor_code=said.code,
        vendor_message=said.message,
        request_id=said.request_id,
    )


def _read(body: bytes) -> _Said:
    try:
        read = _decode_refusal(body)
    except Malformed:
        return _Said()
    return _said(read.error, read.detail)


def _said(error: Any, otherwise: Any) -> _Said:
    """What an error says, wherever it says it; `otherwise` is a text beside it."""
    fields = error if isinstance(error, dict) else {"message": error}
    texts = (_text(part) for part in (fields.get("message"), fields.get("details"), otherwise))
    return _Said(showable(fields.get("code")), " ".join(filter(None, texts)) or None, showable(fields.get("error_id")))


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return msgspec.json.encode(value).decode()
    except RecursionError:
        return ""

"""How Dimedove says no: what its error types mean, in a refusal, in a stream and in a document.

{"error": {"message", "type", "param", "code"}}   as documented; `type` tells, `code` is null
{"error": "..."}, {"message": "..."}              tolerated
{"detail": "..." or [...]}                        of the framework below, not documented; by its status
HTML, nothing, anything else                      by its status
"""

from collections.abc import Callable
from typing import TypeVar

import msgspec

from gateway.canonical.errors import Code, GatewayError
from gateway.framing.typed import Malformed, document
from gateway.protocols.base import Headers
from gateway.protocols.dimedove import wire
from gateway.protocols.refusing import refusal, showable, vendor_error

T = TypeVar("T")

ERROR_CODES: dict[str, Code] = {
    "invalid_api_key": "upstream_auth",
    "access_denied": "upstream_auth",
    "app_inactive": "upstream_unavailable",
    "agent_unavailable": "upstream_unavailable",
    "not_found": "upstream_not_found",
    "rate_limit_exceeded": "upstream_rate_limited",
    "internal_error": "upstream_unavailable",
}


_decode_refusal = document(wire.Refusal)


def refuse(status: int, headers: Headers, body: bytes) -> GatewayError:
    read = _read(body)
    code = _code(read)
    error = refusal(
        status,
        headers,
        code=ERROR_CODES.get(code or ""),
        vendor_code=code,
        vendor_message=_message(read),
        request_id=showable(headers.get("x-request-id")),
    )
    if error.code == "upstream_unavailable" and 400 <= status < 500:
        error.cause = "status_4xx"
    return error


def failure(error: object, otherwise: Code) -> GatewayError:
    """An error inside a 200; `otherwise` where its type does not say."""
    read = wire.Refusal(error)
    vendor_code = _code(read)
    code = ERROR_CODES.get(vendor_code or "", otherwise)
    return vendor_error(
        code,
        cause="vendor_error" if code in {"upstream_unavailable", "upstream_protocol"} else None,
        vendor_code=vendor_code,
        vendor_message=_message(read),
    )


def decoded(decode: Callable[[bytes], T], data: bytes, otherwise: Code) -> T:
    """What cannot be read, but holds an error, is that error."""
    try:
        return decode(data)
    except Malformed as malformed:
        error = _read(data).error
        if error:
            raise failure(error, otherwise) from malformed
        raise


def _read(body: bytes) -> wire.Refusal:
    try:
        return _decode_refusal(body)
    except Malformed:
        return wire.Refusal()


def _code(read: wire.Refusal) -> str | None:
    if not isinstance(read.error, dict):
        return None
    return showable(read.error.get("type")) or showable(read.error.get("code"))


def _message(read: wire.Refusal) -> str | None:
    text = read.error.get("message") if isinstance(read.error, dict) else read.error
    found = next((said for said in (text, read.detail, read.message) if isinstance(said, str) and said), None)
    return found or (msgspec.json.encode(read.detail).decode() if read.detail else None)

"""Dynamiq's refusals and failures: one shape, `{"error": {"code", "message", "details"}}`, or a text in its place.

The message and the details go to the log alone; a code is shown where it looks like one.
Source: docs.getdynamiq.ai/docs/api-reference, read 2026-11.
"""

from typing import Any

import msgspec

from gateway.canonical.errors import Code, GatewayError
from gateway.framing.typed import Malformed, document
from gateway.protocols.base import Headers
from gateway.protocols.dynamiq import wire
from gateway.protocols.refusing import refusal as base_refusal
from gateway.protocols.refusing import showable, vendor_error

ERROR_CODES: dict[str | None, Code] = {
    "bad_request": "upstream_rejected",
    "unauthorized": "upstream_auth",
    "forbidden": "upstream_auth",
    "not_found": "upstream_not_found",
}


_decode_refusal = document(wire.Refusal)


def refusal(status: int, headers: Headers, body: bytes) -> GatewayError:
    error = read_error(body)
    vendor_code = _code(error)
    return base_refusal(
        status,
        headers,
        code=ERROR_CODES.get(vendor_code),
        vendor_code=vendor_code,
        vendor_message=_message(error),
        request_id=showable(headers.get("x-request-id")),
    )


def failure(error: Any, code: Code) -> GatewayError:
    """A failure told in a stream. A run's own code says nothing of our request, so it decides nothing."""
    return vendor_error(code, cause="vendor_error", vendor_code=_code(error), vendor_message=_message(error))


def read_error(body: bytes) -> Any:
    """The error that a body or a frame holds; None where there is none, or nothing can be read."""
    try:
        read = _decode_refusal(body)
    except Malformed:
        return None
    return error_in(read.error, read.data)


def error_in(error: Any, data: Any) -> Any:
    return error or (data.get("error") if isinstance(data, dict) else None) or None


def _code(error: Any) -> str | None:
    return showable(error.get("code")) if isinstance(error, dict) else None


def _message(error: Any) -> str | None:
    if not isinstance(error, dict):
        return error if isinstance(error, str) else None
    message = error.get("message")
    said = message if isinstance(message, str) else ""
    details = msgspec.json.encode(error["details"]).decode() if error.get("details") else ""
    return " ".join(filter(None, (said, details))) or None

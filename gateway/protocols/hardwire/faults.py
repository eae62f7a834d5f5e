"""Hardwire's refusals and failures: two bodies, two forms of `error`, one table of codes.

    documented   {"error": "LLM_REQUEST_FAILED" or a title, "message"}
    server       {"message", "clientMessage", "code", "requestId", "statusCode"}, whole or below `error`

The text worth logging is `clientMessage`, else `message`, else the error's own. Only what looks like a code or an id is
shown to a client as one. Read 2026-11.
"""

import re

import msgspec

from gateway.canonical.errors import Code, GatewayError
from gateway.canonical.events import Event, VendorEvent
from gateway.framing.typed import Malformed, Unknown, document
from gateway.protocols.base import Headers
from gateway.protocols.hardwire import wire
from gateway.protocols.refusing import refusal as base_refusal
from gateway.protocols.refusing import vendor_error

ERROR_CODES: dict[str | None, Code] = {
    "REQUEST_VALIDATION": "upstream_rejected",
    "UNAUTHORIZED": "upstream_auth",
    "CHAT_ACCESS_DENIED": "upstream_auth",
    "CHAT_ACCESS_FORBIDDEN": "upstream_auth",
    "USER_ID_MISMATCH": "upstream_auth",
    "CHAT_NOT_FOUND": "upstream_not_found",
    "WORKFLOW_RUN_IN_PROGRESS": "upstream_unavailable",
    "RATE_LIMIT_EXCEEDED": "upstream_rate_limited",
    "CREATE_MESSAGE_FAILED": "upstream_unavailable",
    "CREATE_CHAT_FAILED": "upstream_unavailable",
    "LLM_REQUEST_FAILED": "upstream_unavailable",
    "LLM_ERROR": "upstream_unavailable",
    "STREAMING_ERROR": "upstream_unavailable",
    "SERVER_INTERNAL_ERROR": "upstream_unavailable",
    "WORKFLOW_RUN_FAILED": "upstream_unavailable",
    "WORKFLOW_RUN_TIMEOUT": "upstream_timeout",
}

NO_ERROR = (None, False, "")
CODE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

decode_refusal = document(wire.Refusal)


def failure(
    error: wire.Fault | str | None, message: str | None = None, *, otherwise: Code = "upstream_protocol"
) -> GatewayError:
    """A failure told inside a 200 or 201; `otherwise` is what an unknown code means."""
    fault = _fold(error, message)
    return vendor_error(
        ERROR_CODES.get(fault.code, otherwise),
        cause="vendor_error",
        vendor_code=fault.code,
        vendor_message=fault.message,
        request_id=fault.request_id,
    )


def refusal(status: int, headers: Headers, body: bytes, code: Code | None = None) -> GatewayError:
    """An HTTP refusal: `code`, else what its own code says, else its status."""
    fault = _read_refusal(body)
    error = base_refusal(
        status,
        headers,
        code=code or ERROR_CODES.get(fault.code),
        vendor_code=fault.code,
        vendor_message=fault.message,
        request_id=fault.request_id,
    )
    if status < 500 and error.cause == "status_5xx":
        error.cause = "status_4xx"
    return error


def read_unknown(frame: Unknown) -> tuple[Event]:
    """A frame of a type we do not know; one that holds an error is a failure."""
    error = frame.payload.get("error")
    if error not in NO_ERROR:
        raise failure(_as_error(error))
    return (VendorEvent(frame.name, frame.payload),)


def _read_refusal(body: bytes) -> wire.Fault:
    try:
        said = decode_refusal(body)
    except Malformed:
        return wire.Fault()
    if said.code is None:
        return _fold(_as_error(said.error), said.message)
    return _fold(wire.Fault(said.message, said.client_message, said.code, said.request_id))


def _as_error(value: object) -> wire.Fault | str | None:
    try:
        return msgspec.convert(value, wire.Fault | str)
    except msgspec.ValidationError:
        return None


def _fold(error: wire.Fault | str | None, message: str | None = None) -> wire.Fault:
    if not isinstance(error, wire.Fault):
        return wire.Fault(message or error, code=_match(CODE, error))
    text = error.client_message or message or error.message
    return wire.Fault(text, code=_match(CODE, error.code), request_id=_match(ID, error.request_id))


def _match(pattern: re.Pattern[str], text: str | None) -> str | None:
    return text if text is not None and pattern.fullmatch(text) else None

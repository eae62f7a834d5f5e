"""How a failure is told to a client: OpenAI's one shape, in a body and in a stream alike.

    {"error": {"message", "type", "param", "code"}}

The clients ask again by themselves after 408, 409, 429 and 5xx, unless `x-should-retry` says no: the gateway has then
asked every vendor it may ask.
Source: openai (Python) 3.54 `_base_client.py`; platform.openai.com/docs/guides/error-codes, read 2026-11.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.canonical.errors import CODES, Code, ErrorBody, GatewayError
from gateway.protocols.base import ErrorResponse
from gateway.protocols.reading import exact_retry_headers

INVALID = "invalid_request_error"
SERVER = "server_error"


class Told(Struct, frozen=True):
    """`status` is the table's own where none is given."""

    type: str
    code: str | None = None
    status: int | None = None


TOLD: dict[Code, Told] = {
    "bad_request": Told(INVALID),
    "unauthorized": Told(INVALID, "invalid_api_key"),
    "forbidden": Told("permission_error", "permission_denied"),
    "not_found": Told(INVALID, "not_found"),
    "method_not_allowed": Told(INVALID, "method_not_allowed"),
    "request_timeout": Told("timeout_error", "request_timeout"),
    "conflict": Told(INVALID, "conflict"),
    "gone": Told(INVALID, "gone"),
    "payload_too_large": Told(INVALID, "request_too_large"),
    "unsupported_media_type": Told(INVALID, "unsupported_media_type"),
    "unsupported": Told(INVALID, "unsupported_value", 400),
    "rate_limited": Told("rate_limit_error", "rate_limit_exceeded"),
    "upstream_rate_limited": Told("rate_limit_error", "rate_limit_exceeded"),
    "upstream_auth": Told(SERVER, "upstream_auth"),
    "upstream_not_found": Told(SERVER, "upstream_not_found"),
    "upstream_rejected": Told(INVALID, "upstream_rejected", 400),
    "upstream_unavailable": Told(SERVER, "upstream_unavailable"),
    "upstream_timeout": Told(SERVER, "upstream_timeout"),
    "upstream_protocol": Told(SERVER, "upstream_protocol"),
    "upstream_empty": Told(SERVER, "upstream_empty"),
    "content_filtered": Told(INVALID, "content_filter", 400),
    "context_too_long": Told(INVALID, "context_length_exceeded", 400),
    "quota_exhausted": Told("insufficient_quota", "insufficient_quota", 429),
    "overloaded": Told(SERVER, "overloaded"),
    "store_unavailable": Told(SERVER, "store_unavailable"),
    "internal": Told(SERVER, "internal_error"),
}

ASK_AGAIN: frozenset[Code] = frozenset({"rate_limited", "overloaded", "store_unavailable"})
ASK_NO_MORE: frozenset[Code] = frozenset(
    code
    for code in CODES
    if code in {"content_filtered", "context_too_long", "quota_exhausted", "internal"} or code.startswith("upstream_")
)

NO_SUCH_MODEL = "The model does not exist, or you have no access to it."

_encode = msgspec.json.Encoder().encode


def error_document(error: GatewayError | ErrorBody) -> bytes:
    path = error.details.get("path")
    is_model = error.code == "not_found" and path == "$.route"
    told = TOLD[error.code]
    document: dict[str, Any] = {
        "message": NO_SUCH_MODEL if is_model else error.message,
        "type": told.type,
        "param": _parameter(path),
        "code": "model_not_found" if is_model else told.code,
    }
    return _encode({"error": document})


def error_response(error: GatewayError) -> ErrorResponse:
    headers = {"Content-Type": "application/json", **exact_retry_headers(error)}
    if error.code in ASK_AGAIN:
        headers["x-should-retry"] = "true"
    elif error.code in ASK_NO_MORE:
        headers["x-should-retry"] = "false"
    if error.code == "unauthorized":
        headers["WWW-Authenticate"] = "Bearer"
    return ErrorResponse(TOLD[error.code].status or error.status, headers, error_document(error))


def _parameter(path: object) -> str | None:
    """A path as OpenAI spells it: `messages[0].role`."""
    if path == "$.route":
        return "model"
    return path.removeprefix("$").removeprefix(".") or None if isinstance(path, str) else None

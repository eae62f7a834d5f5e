"""Errors as Anthropic's clients read them: its types and statuses, and whether its libraries are to ask again.

    {"type":"error","error":{"type","message","details":{"error_code"}},"request_id"}

`error_code` is the gateway's own code: clients take one that they do not know for the bare type. A vendor's failure is
told after every vendor of the route was asked, so that a client's library is told not to repeat it.
Source: platform.claude.com/docs/en/api; `_exceptions.py` and `_base_client.py` of anthropic (Python) 2.12.0.
"""

from typing import Any, NamedTuple

import msgspec

from gateway.canonical.errors import Code, ErrorBody, GatewayError
from gateway.protocols.base import ErrorResponse
from gateway.protocols.reading import exact_retry_headers

TOO_LONG = "prompt is too long"
"""What clients look for before they shorten a conversation."""
NO_MODEL = "model: there is none of that name"


class _Row(NamedTuple):
    status: int
    type: str
    asks_again: bool | None = None


ROWS: dict[Code, _Row] = {
    "bad_request": _Row(400, "invalid_request_error"),
    "unauthorized": _Row(401, "authentication_error"),
    "forbidden": _Row(403, "permission_error"),
    "not_found": _Row(404, "not_found_error"),
    "method_not_allowed": _Row(405, "invalid_request_error"),
    "request_timeout": _Row(408, "invalid_request_error"),
    "conflict": _Row(409, "conflict_error"),
    "gone": _Row(410, "not_found_error"),
    "payload_too_large": _Row(413, "request_too_large"),
    "unsupported_media_type": _Row(415, "invalid_request_error"),
    "unsupported": _Row(400, "invalid_request_error"),
    "rate_limited": _Row(429, "rate_limit_error", True),
    "upstream_rate_limited": _Row(429, "rate_limit_error", False),
    "upstream_auth": _Row(502, "api_error", False),
    "upstream_not_found": _Row(502, "api_error", False),
    "upstream_rejected": _Row(400, "invalid_request_error", False),
    "upstream_unavailable": _Row(503, "overloaded_error", False),
    "upstream_timeout": _Row(504, "timeout_error", False),
    "upstream_protocol": _Row(502, "api_error", False),
    "upstream_empty": _Row(502, "api_error", False),
    "content_filtered": _Row(400, "invalid_request_error", False),
    "context_too_long": _Row(400, "invalid_request_error", False),
    "quota_exhausted": _Row(402, "billing_error", False),
    "overloaded": _Row(529, "overloaded_error", True),
    "store_unavailable": _Row(503, "api_error", True),
    "internal": _Row(500, "api_error", False),
}


def told(error: ErrorBody) -> dict[str, Any]:
    """The fields of an error, beside its `type`."""
    row = ROWS[error.code]
    words = {"type": row.type, "message": _message(error), "details": {"error_code": error.code}}
    return {"error": words, **({"request_id": error.request_id} if error.request_id else {})}


def response(error: GatewayError, request_id: str) -> ErrorResponse:
    row = ROWS[error.code]
    headers = {"Content-Type": "application/json", "request-id": request_id, **exact_retry_headers(error)}
    if row.asks_again is not None:
        headers["x-should-retry"] = "true" if row.asks_again else "false"
    return ErrorResponse(row.status, headers, msgspec.json.encode({"type": "error", **told(error.body(request_id))}))


def _message(error: ErrorBody) -> str:
    if error.code == "context_too_long":
        return f"{TOO_LONG}: {error.message}"
    if error.code == "not_found" and error.details.get("path") == "$.route":
        return NO_MODEL
    return error.message

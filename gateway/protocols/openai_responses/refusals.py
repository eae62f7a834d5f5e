"""How we say no to a client of OpenAI's: status, type and code for each of our codes, and whether to ask again.

    HTTP      {"error": {"message", "type", "param", "code"}}, `x-should-retry`, `Retry-After`, `retry-after-ms`
    stream    the same object below `error`, and in a failed response {"code", "message"} with a code from its list

The official clients ask again at 408, 409, 429 and above 499 unless `x-should-retry` says otherwise: it does where the
gateway has asked every vendor already. Source: openai 3.54.0 `_base_client.py`, `types/responses/response_error.py`.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.canonical.errors import Code, ErrorBody, GatewayError
from gateway.protocols.base import ErrorResponse
from gateway.protocols.reading import exact_retry_headers

ASKED = "invalid_request_error"
SERVER = "server_error"


class Row(Struct, frozen=True):
    """`in_response`: what a failed response calls it, from a closed list. `again`: to ask again; None: as usual."""

    status: int
    type: str
    code: str | None
    in_response: str = "server_error"
    again: bool | None = None


ROWS: dict[Code, Row] = {
    "bad_request": Row(400, ASKED, "invalid_value", "invalid_prompt"),
    "unauthorized": Row(401, ASKED, "invalid_api_key"),
    "forbidden": Row(403, ASKED, "forbidden"),
    "not_found": Row(404, ASKED, "not_found"),
    "method_not_allowed": Row(405, ASKED, "method_not_supported"),
    "request_timeout": Row(408, SERVER, "request_timeout"),
    "conflict": Row(409, ASKED, "conflict"),
    "gone": Row(410, ASKED, "gone"),
    "payload_too_large": Row(413, ASKED, "request_too_large"),
    "unsupported_media_type": Row(415, ASKED, "unsupported_media_type"),
    "unsupported": Row(400, ASKED, "unsupported_parameter", "invalid_prompt"),
    "rate_limited": Row(429, "requests", "rate_limit_exceeded", "rate_limit_exceeded", again=True),
    "upstream_rate_limited": Row(429, "requests", "rate_limit_exceeded", "rate_limit_exceeded", again=False),
    "upstream_auth": Row(502, SERVER, "upstream_auth", again=False),
    "upstream_not_found": Row(502, SERVER, "upstream_not_found", again=False),
    "upstream_rejected": Row(400, ASKED, "upstream_rejected", "invalid_prompt", again=False),
    "upstream_unavailable": Row(503, SERVER, "upstream_unavailable", again=False),
    "upstream_timeout": Row(504, SERVER, "upstream_timeout", again=False),
    "upstream_protocol": Row(502, SERVER, "upstream_protocol", again=False),
    "upstream_empty": Row(502, SERVER, "upstream_empty", again=False),
    "content_filtered": Row(400, ASKED, "content_filter", "invalid_prompt", again=False),
    "context_too_long": Row(400, ASKED, "context_length_exceeded", "invalid_prompt", again=False),
    "quota_exhausted": Row(429, "insufficient_quota", "insufficient_quota", again=False),
    "overloaded": Row(503, SERVER, "overloaded", again=True),
    "store_unavailable": Row(503, SERVER, "store_unavailable", again=True),
    "internal": Row(500, SERVER, "internal_error", again=False),
}

NOT_FOUND = {
    "$.route": "model_not_found",
    "$.follows": "previous_response_not_found",
    "$.previous_response_id": "previous_response_not_found",
}
"""What is not found, by its path."""
PARAMS = {"$.route": "model", "$.follows": "previous_response_id"}
"""Fields of ours that a client calls otherwise."""

_encode = msgspec.json.Encoder().encode


def refuse(error: GatewayError) -> ErrorResponse:
    row = ROWS[error.code]
    headers = {"Content-Type": "application/json", **exact_retry_headers(error)}
    if row.again is not None:
        headers["x-should-retry"] = "true" if row.again else "false"
    if error.code == "unauthorized":
        headers["WWW-Authenticate"] = "Bearer"
    return ErrorResponse(row.status, headers, _encode({"error": stream_fault(error.body())}))


def stream_fault(error: ErrorBody) -> dict[str, Any]:
    row = ROWS[error.code]
    path = str(error.details.get("path", ""))
    code = NOT_FOUND.get(path, row.code) if error.code == "not_found" else row.code
    return {"message": error.message, "type": row.type, "param": _param(path), "code": code}


def response_fault(error: ErrorBody) -> dict[str, str]:
    return {"code": ROWS[error.code].in_response, "message": error.message}


def _param(path: str) -> str | None:
    return PARAMS.get(path, path.removeprefix("$.")) or None

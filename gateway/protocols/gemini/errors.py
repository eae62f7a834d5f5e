"""Errors as Gemini's clients read them, over HTTP and within a stream.

    {"error": {"code": 504, "message", "status": "DEADLINE_EXCEEDED", "details": [ErrorInfo, RequestInfo, ...]}}

    ErrorInfo     the gateway's own code, in capitals
    RequestInfo   the request's id
    RetryInfo     when to ask again
    BadRequest    where the request does not fit

The clients ask again only where their user configured it, and then by the HTTP status alone.
Source: google.rpc error model; google-genai (Python) 3.4.0 `errors.py`; read 2026-11.
"""

from typing import Any

import msgspec

from gateway.canonical.errors import Code, ErrorBody, GatewayError
from gateway.protocols.base import ErrorResponse
from gateway.protocols.reading import retry_headers

DOMAIN = "gateway"
TOO_LONG = "The input token count exceeds the maximum number of tokens allowed"
"""What clients look for before they shorten a conversation."""
NO_MODEL = "the model is not found, call ListModels to see the list of available models"

STATUSES: dict[Code, tuple[int, str]] = {
    "bad_request": (400, "INVALID_ARGUMENT"),
    "unauthorized": (401, "UNAUTHENTICATED"),
    "forbidden": (403, "PERMISSION_DENIED"),
    "not_found": (404, "NOT_FOUND"),
    "method_not_allowed": (405, "UNIMPLEMENTED"),
    "request_timeout": (408, "DEADLINE_EXCEEDED"),
    "conflict": (409, "ABORTED"),
    "gone": (410, "NOT_FOUND"),
    "payload_too_large": (413, "INVALID_ARGUMENT"),
    "unsupported_media_type": (415, "INVALID_ARGUMENT"),
    "unsupported": (400, "INVALID_ARGUMENT"),
    "rate_limited": (429, "RESOURCE_EXHAUSTED"),
    "upstream_rate_limited": (429, "RESOURCE_EXHAUSTED"),
    "upstream_auth": (502, "INTERNAL"),
    "upstream_not_found": (502, "INTERNAL"),
    "upstream_rejected": (400, "INVALID_ARGUMENT"),
    "upstream_unavailable": (503, "UNAVAILABLE"),
    "upstream_timeout": (504, "DEADLINE_EXCEEDED"),
    "upstream_protocol": (502, "INTERNAL"),
    "upstream_empty": (502, "INTERNAL"),
    "content_filtered": (400, "INVALID_ARGUMENT"),
    "context_too_long": (400, "INVALID_ARGUMENT"),
    "quota_exhausted": (429, "RESOURCE_EXHAUSTED"),
    "overloaded": (503, "UNAVAILABLE"),
    "store_unavailable": (503, "UNAVAILABLE"),
    "internal": (500, "INTERNAL"),
}

CANCELED: dict[str, Any] = {"error": {"code": 499, "message": "the answer was canceled", "status": "CANCELLED"}}


def told(error: ErrorBody) -> dict[str, Any]:
    code, status = STATUSES[error.code]
    return {"error": {"code": code, "message": _message(error), "status": status, "details": _details(error)}}


def response(error: GatewayError, request_id: str) -> ErrorResponse:
    code, _ = STATUSES[error.code]
    headers = {"Content-Type": "application/json", **retry_headers(error)}
    return ErrorResponse(code, headers, msgspec.json.encode(told(error.body(request_id))))


def _message(error: ErrorBody) -> str:
    if error.code == "context_too_long":
        return f"{TOO_LONG}: {error.message}"
    if error.code == "not_found" and error.details.get("path") == "$.route":
        return NO_MODEL
    return error.message


def _details(error: ErrorBody) -> list[dict[str, Any]]:
    details = [_detail("ErrorInfo", reason=error.code.upper(), domain=DOMAIN)]
    if error.request_id is not None:
        details.append(_detail("RequestInfo", requestId=error.request_id))
    if error.retry_after is not None:
        details.append(_detail("RetryInfo", retryDelay=f"{error.retry_after:g}s"))
    if error.code in {"bad_request", "unsupported"} and "path" in error.details:
        violation = {"field": error.details["path"], "description": error.message}
        details.append(_detail("BadRequest", fieldViolations=[violation]))
    return details


def _detail(kind: str, **fields: Any) -> dict[str, Any]:
    return {"@type": f"type.googleapis.com/google.rpc.{kind}", **fields}

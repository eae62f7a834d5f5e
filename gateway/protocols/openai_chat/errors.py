"""How the servers say no: as an HTTP refusal, or as an error inside a 200.

    {"error": {"message", "type", "param", "code"}}                       most of them
    {"error": {"code": 429, "message", "metadata"}}                       OpenRouter: the code is a status
    {"error": {"code": "content_filter", "innererror": {"code"}}}         Azure
    {"error": {..., "status_code": 400}}                                  Groq, in a stream
    {"object": "error", "message", "type", "code": 400}                   vLLM, Mistral
    {"error": "text", "code": "text"}, {"detail": ...}                    xAI, FastAPI

A code decides before a status, a status before a type: `invalid_request_error` stands beside 401 and 404 as well.
Retry hints: `retry-after-ms`, `retry-after`, then the reset of what is used up (`6m0s`, `12ms`, seconds).
Source: openai (Python) 3.52; platform.openai.com/docs/guides/error-codes; openrouter.ai/docs (errors); recordings.
"""

import re
from typing import Any

from msgspec import Struct

from gateway.canonical.errors import Code, GatewayError
from gateway.framing.typed import Malformed, document
from gateway.protocols.base import Headers
from gateway.protocols.openai_chat.wire import Refusal
from gateway.protocols.refusing import (
    MAX_RETRY_AFTER,
    STATUS_CODES,
    refusal,
    retry_after,
    retry_after_ms,
    showable,
    vendor_error,
)

ERROR_CODES: dict[str, Code] = {
    "rate_limit_exceeded": "upstream_rate_limited",
    "RateLimitReached": "upstream_rate_limited",
    "too_many_requests": "upstream_rate_limited",
    "throttling_error": "upstream_rate_limited",
    "insufficient_quota": "quota_exhausted",
    "billing_hard_limit_reached": "quota_exhausted",
    "billing_not_active": "quota_exhausted",
    "insufficient_balance": "quota_exhausted",
    "budget_exceeded": "quota_exhausted",
    "context_length_exceeded": "context_too_long",
    "context_window_exceeded": "context_too_long",
    "model_max_prompt_tokens_exceeded": "context_too_long",
    "content_filter": "content_filtered",
    "content_policy_violation": "content_filtered",
    "ResponsibleAIPolicyViolation": "content_filtered",
    "invalid_api_key": "upstream_auth",
    "invalid_authentication": "upstream_auth",
    "account_deactivated": "upstream_auth",
    "unsupported_country_region_territory": "upstream_auth",
    "model_not_found": "upstream_not_found",
    "DeploymentNotFound": "upstream_not_found",
    "insufficient_system_resource": "upstream_unavailable",
    "engine_overloaded": "upstream_unavailable",
    "capacity_exceeded": "upstream_unavailable",
    # The model, not the request, spelled something that is no call: another try may do better.
    "tool_use_failed": "upstream_protocol",
    "json_validate_failed": "upstream_protocol",
}

TYPES: dict[str, Code] = {
    "invalid_request_error": "upstream_rejected",
    "BadRequestError": "upstream_rejected",
    "authentication_error": "upstream_auth",
    "permission_error": "upstream_auth",
    "not_found_error": "upstream_not_found",
    "NotFoundError": "upstream_not_found",
    "rate_limit_error": "upstream_rate_limited",
    "timeout": "upstream_timeout",
    "timeout_error": "upstream_timeout",
}
"""What a type means inside a 200, where no status tells."""

STATUSES: dict[int, Code] = {**STATUS_CODES, 413: "context_too_long", 498: "upstream_unavailable"}
"""413: one request is over what the account may send at once; 498: Groq has no room for it now."""

TOO_LONG = re.compile(
    r"maximum context length|context length (?:is|of)|context (?:window|size)|prompt is too long", re.IGNORECASE
)
"""For servers without a code for it."""

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_REQUEST_IDS = ("x-request-id", "apim-request-id", "x-ms-request-id")

_decode = document(Refusal)


class Said(Struct, frozen=True):
    codes: tuple[str, ...] = ()
    """From the most telling one on; the last is the type."""
    type: str | None = None
    status: int | None = None
    message: str | None = None

    @property
    def code(self) -> Code | None:
        """As its words decide."""
        known = next((ERROR_CODES[code] for code in self.codes if code in ERROR_CODES), None)
        if known is None and self.status in {None, 400, 422} and TOO_LONG.search(self.message or ""):
            return "context_too_long"
        return known

    @property
    def shown(self) -> str | None:
        return self.codes[0] if self.codes else None


def read_refusal(body: bytes) -> Refusal:
    try:
        return _decode(body)
    except Malformed:
        return Refusal()


def is_failure(read: Refusal) -> bool:
    return bool(read.error) or read.object == "error"


def say(read: Refusal, status: int | None = None) -> Said:
    """Codes, status and message, from wherever they stand; an HTTP `status` goes before one in the body."""
    flat = {"message": read.message or read.detail, "type": read.type, "code": read.code}
    inner: dict[str, Any] = read.error if isinstance(read.error, dict) else {**flat, "message": read.error}
    if not read.error:
        inner = flat
    deeper = inner.get("innererror")
    spelled = (deeper.get("code") if isinstance(deeper, dict) else None, inner.get("code"), inner.get("type"))
    numbers = (inner.get("status_code"), inner.get("code"), read.status_code, read.code)
    message = inner.get("message")
    return Said(
        tuple(code for code in map(_name, spelled) if code),
        _name(inner.get("type")),
        status or next(filter(None, map(_status, numbers)), None),
        message if isinstance(message, str) and message else None,
    )


def failure(read: Refusal) -> GatewayError:
    """An error inside a 200."""
    said = say(read)
    code = said.code or _of_status(said.status) or TYPES.get(said.type or "", "upstream_unavailable")
    return vendor_error(
        code,
        cause="vendor_error" if code in {"upstream_unavailable", "upstream_protocol"} else None,
        vendor_code=said.shown,
        vendor_message=said.message,
    )


def refused(status: int, headers: Headers, body: bytes) -> GatewayError:
    read = read_refusal(body)
    error = failure(read) if status < 300 and is_failure(read) else _refusal(status, headers, read)
    error.vendor_status = status
    error.vendor_request_id = next(filter(None, (showable(headers.get(name)) for name in _REQUEST_IDS)), None)
    error.retry_after = retry_after_ms(headers) or retry_after(headers) or error.retry_after
    if status == 429 and error.retry_after is None:
        error.retry_after = _reset(headers)
    return error


def _refusal(status: int, headers: Headers, read: Refusal) -> GatewayError:
    said = say(read, status)
    return refusal(
        status,
        headers,
        code=said.code or (STATUSES.get(status) if status not in STATUS_CODES else None),
        vendor_code=said.shown,
        vendor_message=said.message,
    )


def _name(value: object) -> str | None:
    """A code that is a word; a number is a status."""
    return None if _status(value) else showable(value)


def _status(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    return value if type(value) is int and 400 <= value < 600 else None


def _of_status(status: int | None) -> Code | None:
    if status is None:
        return None
    return STATUSES.get(status, "upstream_unavailable" if status >= 500 else "upstream_rejected")


def _reset(headers: Headers) -> float | None:
    """The longest wait for what is used up, or for anything where nothing says that it is."""
    waits: dict[bool, list[float]] = {True: [], False: []}
    for kind in ("requests", "tokens"):
        seconds = _seconds(headers.get(f"x-ratelimit-reset-{kind}", "").strip())
        if seconds:
            waits[headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0"].append(seconds)
    longest = max(waits[True] or waits[False], default=None)
    return None if longest is None else min(longest, MAX_RETRY_AFTER)


def _seconds(text: str) -> float | None:
    """`6m0s`, `12ms`, or plain seconds; None for anything else."""
    if not text.isascii() or len(text) > 32:
        return None
    if text.replace(".", "", 1).isdigit():
        return float(text)
    found = _DURATION.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    hours, minutes, seconds, milliseconds = (float(group or 0) for group in found.groups())
    return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000

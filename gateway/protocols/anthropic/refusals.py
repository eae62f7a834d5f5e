"""How Anthropic says no, in a body and in an `error` event, and which code each word of its is.

    {"type":"error","error":{"type","message","details":{"error_code"}},"request_id"}    and the header `request-id`

What is too long, filtered or unpaid comes as an `invalid_request_error`: its message tells. A 429 that names no time
to come back is a spending limit. Unknown types go by the status; in a stream they are `upstream_unavailable`.
Source: platform.claude.com/docs/en/api/errors; read 2026-11.
"""

import re
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.errors import Code, GatewayError
from gateway.framing.typed import Malformed, document
from gateway.protocols.anthropic import wire
from gateway.protocols.base import Headers
from gateway.protocols.refusing import (
    MAX_RETRY_AFTER,
    header_date,
    refusal,
    retry_after_ms,
    should_retry,
    showable,
    vendor_error,
)

ERROR_CODES: dict[str, Code] = {
    "invalid_request_error": "upstream_rejected",
    "authentication_error": "upstream_auth",
    "permission_error": "upstream_auth",
    "billing_error": "quota_exhausted",
    "not_found_error": "upstream_not_found",
    "request_too_large": "context_too_long",
    "conflict_error": "upstream_unavailable",
    "rate_limit_error": "upstream_rate_limited",
    "timeout_error": "upstream_timeout",
    "api_error": "upstream_unavailable",
    "overloaded_error": "upstream_unavailable",
}

SPEND_LIMIT = "enforced_spend_limit_reached"

_MEANT: tuple[tuple[re.Pattern[str], Code], ...] = (
    (
        re.compile(r"prompt is too long|exceeds? (the )?(model's )?context (limit|window)", re.IGNORECASE),
        "context_too_long",
    ),
    (re.compile(r"content filtering policy", re.IGNORECASE), "content_filtered"),
    (re.compile(r"credit balance is too low|API usage limits", re.IGNORECASE), "quota_exhausted"),
)
"""What the message of an `invalid_request_error` may really say."""

_LIMITS = tuple(f"anthropic-ratelimit-{kind}" for kind in ("requests", "tokens", "input-tokens", "output-tokens"))

_Moment = Annotated[datetime, Meta(tz=True)]

_decode_refusal = document(wire.Refusal)


class _Words(Struct, frozen=True):
    kind: str | None
    code: str | None
    message: str | None
    request_id: str | None


def read_refusal(body: bytes) -> wire.Refusal:
    try:
        return _decode_refusal(body)
    except Malformed:
        return wire.Refusal()


def failure(read: wire.Refusal | wire.Error) -> GatewayError:
    """An error inside a 200."""
    words = _words(read)
    code = _code(words) or "upstream_unavailable"
    return vendor_error(
        code,
        cause="vendor_error" if code == "upstream_unavailable" else None,
        vendor_code=words.code,
        vendor_message=words.message,
        request_id=words.request_id,
    )


def refused(status: int, headers: Headers, body: bytes) -> GatewayError:
    words = _words(read_refusal(body))
    code = _code(words)
    if words.code == SPEND_LIMIT or (code == "upstream_rate_limited" and not _tells_when(headers)):
        code = "quota_exhausted"
    error = refusal(
        status,
        headers,
        code=code,
        vendor_code=words.code,
        vendor_message=words.message,
        request_id=showable(headers.get("request-id")) or words.request_id,
    )
    if code == "upstream_unavailable" and status < 500:
        error.cause = "status_4xx" if status >= 400 else "vendor_error"
    if words.kind == "overloaded_error":
        error.may_be_accepted = False
    error.retry_after = retry_after_ms(headers) or error.retry_after
    if error.retry_after is None and error.code == "upstream_rate_limited":
        error.retry_after = _until_reset(headers)
    return error


def _code(words: _Words) -> Code | None:
    if words.kind == "invalid_request_error":
        for pattern, code in _MEANT:
            if pattern.search(words.message or ""):
                return code
    return ERROR_CODES.get(words.kind or "")


def _words(read: wire.Refusal | wire.Error) -> _Words:
    inner = read.error if isinstance(read.error, dict) else {"message": read.error}
    details = inner.get("details")
    cause = details.get("error_code") if isinstance(details, dict) else None
    kind, message = showable(inner.get("type")), inner.get("message")
    return _Words(
        kind,
        showable(cause) or kind,
        message if isinstance(message, str) and message else None,
        showable(read.request_id),
    )


def _tells_when(headers: Headers) -> bool:
    return (
        should_retry(headers) is True
        or "retry-after" in headers
        or "retry-after-ms" in headers
        or any(_is_used_up(headers, limit) for limit in _LIMITS)
    )


def _is_used_up(headers: Headers, limit: str) -> bool:
    return headers.get(f"{limit}-remaining") == "0"


def _until_reset(headers: Headers) -> float | None:
    """Seconds until none of the limits is used up any more, by the answer's own date."""
    resets = [_rfc3339(headers.get(f"{limit}-reset", "")) for limit in _LIMITS if _is_used_up(headers, limit)]
    known = [reset for reset in resets if reset is not None]
    now = header_date(headers.get("Date", ""))
    if now is None or not known:
        return None
    return min(max(max(known) - now, 0.0), MAX_RETRY_AFTER)


def _rfc3339(text: str) -> float | None:
    try:
        return msgspec.convert(text, _Moment, strict=False).timestamp()
    except (msgspec.MsgspecError, OverflowError):
        return None

"""What a vendor's refusal means, and what may be shown of it: what the rooms have in common.

    refusal            an HTTP refusal -> `GatewayError`, by status where the vendor's own code did not decide
    vendor_error       the same of what a vendor said in a stream
    should_retry       whether asking again may help, where the vendor says so itself
    showable           an id or a code of a vendor's, as far as it may stand in a header and in an error body
    retry_after ...    seconds to wait, from each header that tells

Seconds are floats, and at most `MAX_RETRY_AFTER`. Source: RFC 9110, 10.2.3; vendors' manuals for the other headers.
"""

import re
from email.utils import parsedate_to_datetime

from gateway.canonical.errors import Cause, Code, GatewayError
from gateway.protocols.base import Headers

STATUS_CODES: dict[int, Code] = {
    400: "upstream_rejected",
    401: "upstream_auth",
    402: "quota_exhausted",
    403: "upstream_auth",
    404: "upstream_not_found",
    408: "upstream_timeout",
    422: "upstream_rejected",
    429: "upstream_rate_limited",
    504: "upstream_timeout",
}
"""What a status means where the vendor's own code does not say better."""

REFUSED_BEFORE_READING = frozenset({401, 429})
"""Statuses that prove that nothing was accepted, at any vendor."""

_MESSAGES: dict[Code, str] = {
    "upstream_rejected": "the vendor rejected the request",
    "upstream_auth": "the vendor refused our credential",
    "quota_exhausted": "the vendor's quota is used up",
    "upstream_not_found": "the vendor does not know this conversation or target",
    "upstream_timeout": "the vendor gave up waiting",
    "upstream_rate_limited": "the vendor limits our rate",
    "upstream_unavailable": "the vendor is unavailable",
    "upstream_protocol": "the vendor answered with something else than its protocol says",
    "upstream_empty": "the vendor answered with nothing",
    "content_filtered": "the vendor filtered the content",
    "context_too_long": "the conversation is too long for the vendor",
}


def vendor_error(
    code: Code,
    *,
    cause: Cause | None = None,
    vendor_code: str | None = None,
    vendor_message: str | None = None,
    request_id: str | None = None,
) -> GatewayError:
    """An error in our words for what the vendor said in its own: its code is shown, its text is for the log."""
    return GatewayError(
        code,
        _MESSAGES.get(code, "the vendor failed"),
        cause=cause,
        vendor_code=vendor_code,
        vendor_message=vendor_message,
        vendor_request_id=request_id,
    )


_SHOULD_RETRY = {"true": True, "false": False}
"""By which some servers overrule what their official clients make of a status."""

_SHOWABLE = re.compile(r"[\x21-\x7e]{1,128}")


def showable(text: object) -> str | None:
    """None for what is no text, or holds more or other characters than an id or a code."""
    return text if isinstance(text, str) and _SHOWABLE.fullmatch(text) else None


def refusal(
    status: int,
    headers: Headers,
    *,
    code: Code | None = None,
    vendor_code: str | None = None,
    vendor_message: str | None = None,
    request_id: str | None = None,
) -> GatewayError:
    """An HTTP refusal, mapped by status where the vendor's own code did not decide; a 2xx is one of a wrong type."""
    cause: Cause | None = None
    if code is None:
        if status < 300:
            code, cause = "upstream_protocol", "content_type"
        elif status >= 500:
            code = STATUS_CODES.get(status, "upstream_unavailable")
            cause = "status_5xx"
        else:
            code = STATUS_CODES.get(status, "upstream_rejected")
            cause = None if status in STATUS_CODES else "status_4xx"
    error = vendor_error(
        code, cause=cause, vendor_code=vendor_code, vendor_message=vendor_message, request_id=request_id
    )
    error.vendor_status = status
    error.retry_after = retry_after(headers)
    if error.retry_after is None and status == 429:
        error.retry_after = reset_after(headers)
    error.may_be_accepted = status not in REFUSED_BEFORE_READING
    error.may_be_repeated = should_retry(headers)
    return error


def should_retry(headers: Headers) -> bool | None:
    """What a vendor says itself of asking it again (`x-should-retry`); None where it says nothing."""
    return _SHOULD_RETRY.get(headers.get("x-should-retry", "").strip().lower())


def retry_after(headers: Headers) -> float | None:
    """Seconds from `Retry-After`: a number, or a date against the answer's own `Date` (RFC 9110, 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    seconds = _number(value)
    if seconds is None:
        then, now = header_date(value), header_date(headers.get("Date", ""))
        seconds = None if then is None or now is None else then - now
    return _within_a_day(seconds)


def retry_after_ms(headers: Headers) -> float | None:
    """Seconds from `retry-after-ms`, which some servers send beside or instead of `Retry-After`."""
    value = _number(headers.get("retry-after-ms", "").strip())
    return None if value is None else _within_a_day(value / 1000)


def reset_after(headers: Headers) -> float | None:
    """Seconds from `X-RateLimit-Reset`: those left, or a time since 1970, in seconds or milliseconds, less `Date`."""
    value = _number(headers.get("X-RateLimit-Reset", "").strip())
    if value is None or value <= LONGEST_WAIT:
        return _within_a_day(value)
    now = header_date(headers.get("Date", ""))
    return None if now is None else _within_a_day((value / 1000 if value > LATEST_SECOND else value) - now)


def _number(text: str) -> float | None:
    return float(text) if text.isascii() and text.replace(".", "", 1).isdigit() else None


def header_date(text: str) -> float | None:
    """A header's date in seconds since 1970; one without a time zone tells nothing."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return date.timestamp() if date.tzinfo else None


def _within_a_day(seconds: float | None) -> float | None:
    return None if seconds is None else min(max(seconds, 0.0), MAX_RETRY_AFTER)


LONGEST_WAIT = 1e8
"""Seconds, three years: what is more is a time since 1970."""
LATEST_SECOND = 1e11
"""The year 5138 in seconds since 1970: what is more is counted in milliseconds."""
MAX_RETRY_AFTER = 86_400.0

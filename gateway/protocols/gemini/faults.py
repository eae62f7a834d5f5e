"""How Gemini says no: the same error as an HTTP body, as an event of a stream, and as bare JSON between events.

    {"error": {"code": 429, "message", "status": "RESOURCE_EXHAUSTED", "details": [...]}}, or a list of one such object

    status              canonical code, where the details do not say better
    ErrorInfo           API_KEY_INVALID and its like, which come as INVALID_ARGUMENT: our credential
    QuotaFailure        a quota per day: used up, and no wait for today would help
    RetryInfo           when to ask again: "17s"
    INVALID_ARGUMENT    whose text tells of too many tokens: the conversation is too long

Source: google.rpc error model; recorded bodies of googleapis/python-genai issue 2044, google-gemini/gemini-cli issues
4692, 6454 and 6678; read 2026-11.
"""

import re
from typing import Any

from msgspec import Struct

from gateway.canonical.errors import Code, GatewayError
from gateway.framing.typed import Malformed, document
from gateway.protocols.base import Headers
from gateway.protocols.refusing import MAX_RETRY_AFTER, STATUS_CODES, refusal, showable, vendor_error

ERROR_CODES: dict[str, Code] = {
    "INVALID_ARGUMENT": "upstream_rejected",
    "OUT_OF_RANGE": "upstream_rejected",
    "FAILED_PRECONDITION": "upstream_auth",  # no billing, or not in this country: it is our account
    "UNAUTHENTICATED": "upstream_auth",
    "PERMISSION_DENIED": "upstream_auth",
    "NOT_FOUND": "upstream_not_found",
    "RESOURCE_EXHAUSTED": "upstream_rate_limited",
    "CANCELLED": "upstream_unavailable",
    "ABORTED": "upstream_unavailable",
    "INTERNAL": "upstream_unavailable",
    "UNKNOWN": "upstream_unavailable",
    "UNAVAILABLE": "upstream_unavailable",
    "DEADLINE_EXCEEDED": "upstream_timeout",
}

_OF_OUR_KEY = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "SERVICE_DISABLED"})
_TOO_LONG = re.compile(r"token count.* exceeds the maximum|exceeds the maximum number of tokens", re.IGNORECASE)
MOST_READ = 1000
"""Characters of a message that are looked at."""
_SECONDS = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")


class _Error(Struct):
    code: Any = None
    message: Any = None
    status: Any = None
    details: Any = None


class _Refusal(Struct):
    error: _Error | None = None


class Said(Struct, frozen=True):
    """What an error says, as far as it can be shown or understood."""

    http_status: int | None = None
    status: str | None = None
    message: str | None = None
    reasons: frozenset[str] = frozenset()
    quotas: tuple[str, ...] = ()
    wait: float | None = None
    request_id: str | None = None

    @property
    def code(self) -> Code | None:
        if self.reasons & _OF_OUR_KEY:
            return "upstream_auth"
        if self.status == "RESOURCE_EXHAUSTED" and any("PerDay" in quota for quota in self.quotas):
            return "quota_exhausted"
        if self.status == "INVALID_ARGUMENT" and self.message and _TOO_LONG.search(self.message[:MOST_READ]):
            return "context_too_long"
        return ERROR_CODES.get(self.status or "")


_decode = document(_Refusal | list[_Refusal])  # type: ignore[arg-type]


def read_error(body: bytes) -> Said:
    """Of a body that holds an error in one of its shapes; of any other, nothing."""
    try:
        read: Any = _decode(body)
    except Malformed:
        return Said()
    refusals = read if isinstance(read, list) else [read]
    return next((_said(one.error) for one in refusals if one.error is not None), Said())


def refused(status: int, headers: Headers, body: bytes) -> GatewayError:
    """An HTTP refusal."""
    said = read_error(body)
    error = refusal(
        status,
        headers,
        code=said.code,
        vendor_code=said.status,
        vendor_message=said.message,
        request_id=said.request_id,
    )
    if error.retry_after is None:
        error.retry_after = said.wait
    return error


def failed(said: Said) -> GatewayError:
    """An error inside of a 200."""
    code = said.code or STATUS_CODES.get(said.http_status or 500, "upstream_unavailable")
    error = vendor_error(
        code,
        cause="vendor_error" if code == "upstream_unavailable" else None,
        vendor_code=said.status,
        vendor_message=said.message,
        request_id=said.request_id,
    )
    error.retry_after = said.wait
    return error


def _said(error: _Error) -> Said:
    details = [detail for detail in _list(error.details) if isinstance(detail, dict)]
    return Said(
        error.code if type(error.code) is int and 400 <= error.code < 600 else None,
        showable(error.status),
        error.message if isinstance(error.message, str) and error.message else None,
        frozenset(reason for detail in details if (reason := showable(detail.get("reason")))),
        tuple(_quotas(details)),
        next((wait for detail in details if (wait := _wait(detail.get("retryDelay"))) is not None), None),
        next((known for detail in details if (known := showable(detail.get("requestId")))), None),
    )


def _quotas(details: list[dict[str, Any]]) -> list[str]:
    violations = [one for detail in details for one in _list(detail.get("violations")) if isinstance(one, dict)]
    return [quota for violation in violations if (quota := showable(violation.get("quotaId")))]


def _wait(delay: object) -> float | None:
    found = _SECONDS.fullmatch(delay) if isinstance(delay, str) else None
    return min(float(found[1]), MAX_RETRY_AFTER) if found else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

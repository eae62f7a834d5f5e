"""The one exception that crosses rooms, and the closed table of its codes.

A `GatewayError` says what failed in our words (`message`, safe to show to a client), under a code of `CODES`. What the
vendor said stays apart: `vendor_code` and `vendor_request_id` are shown, `vendor_message` goes to the log alone,
because a vendor's text may hold our key, an internal address or a stack.

`cause` is the attempt's outcome in the metrics: finer than the code, and as closed a set (`CAUSES`).
"""

from typing import Any, Literal, get_args

from msgspec import Struct

Code = Literal[
    "bad_request",
    "unauthorized",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "request_timeout",
    "conflict",
    "gone",
    "payload_too_large",
    "unsupported_media_type",
    "unsupported",
    "rate_limited",
    "upstream_rate_limited",
    "upstream_auth",
    "upstream_not_found",
    "upstream_rejected",
    "upstream_unavailable",
    "upstream_timeout",
    "upstream_protocol",
    "upstream_empty",
    "content_filtered",
    "context_too_long",
    "quota_exhausted",
    "overloaded",
    "store_unavailable",
    "internal",
]

Cause = Literal[
    "connect",
    "connect_timeout",
    "tls",
    "reset_before_headers",
    "stale_connection",
    "reset_midstream",
    "first_event_timeout",
    "idle_timeout",
    "total_timeout",
    "too_slow",
    "protocol",
    "redirect",
    "content_type",
    "encoding",
    "truncated",
    "too_large",
    "malformed",
    "empty",
    "vendor_error",
    "auth",
    "not_found",
    "rate_limited",
    "rejected",
    "content_filtered",
    "context_too_long",
    "quota_exhausted",
    "status_4xx",
    "status_5xx",
    "client_gone",
    "slow_client",
    "hedged",
    "canceled",
    "unsupported",
    "internal",
]
CAUSES: tuple[str, ...] = get_args(Cause)


class Row(Struct, frozen=True):
    """What a code means: its HTTP status, whether the same call may succeed later, and the cause it stands for."""

    status: int
    retryable: bool
    cause: Cause = "internal"


CODES: dict[Code, Row] = {
    "bad_request": Row(400, False),
    "unauthorized": Row(401, False),
    "forbidden": Row(403, False),
    "not_found": Row(404, False),
    "method_not_allowed": Row(405, False),
    "request_timeout": Row(408, True),
    "conflict": Row(409, True),
    "gone": Row(410, False),
    "payload_too_large": Row(413, False),
    "unsupported_media_type": Row(415, False),
    "unsupported": Row(422, False, "unsupported"),
    "rate_limited": Row(429, True),
    "upstream_rate_limited": Row(429, True, "rate_limited"),
    "upstream_auth": Row(502, False, "auth"),
    "upstream_not_found": Row(502, False, "not_found"),
    "upstream_rejected": Row(422, False, "rejected"),
    "upstream_unavailable": Row(503, True, "status_5xx"),
    "upstream_timeout": Row(504, True, "first_event_timeout"),
    "upstream_protocol": Row(502, True, "protocol"),
    "upstream_empty": Row(502, True, "empty"),
    "content_filtered": Row(422, False, "content_filtered"),
    "context_too_long": Row(422, False, "context_too_long"),
    "quota_exhausted": Row(402, False, "quota_exhausted"),
    "overloaded": Row(503, True),
    "store_unavailable": Row(503, True),
    "internal": Row(500, False),
}


class ErrorBody(Struct, frozen=True, omit_defaults=True):
    """The error as a client reads it: in HTTP bodies (below `error`), in `message.failed`. `retry_after` is seconds."""

    code: Code
    message: str
    retryable: bool
    retry_after: float | None = None
    vendor: str | None = None
    vendor_status: int | None = None
    vendor_code: str | None = None
    vendor_request_id: str | None = None
    request_id: str | None = None
    details: dict[str, Any] = {}


class GatewayError(Exception):
    """Any failure, ours, the client's or a vendor's. `message` is our own text; `retry_after` is seconds."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        cause: Cause | None = None,
        retry_after: float | None = None,
        vendor: str | None = None,
        vendor_status: int | None = None,
        vendor_code: str | None = None,
        vendor_request_id: str | None = None,
        vendor_message: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message
        self.cause: Cause = cause or CODES[code].cause
        self.retry_after = retry_after
        self.vendor = vendor
        self.vendor_status = vendor_status
        self.vendor_code = vendor_code
        self.vendor_request_id = vendor_request_id
        self.vendor_message = vendor_message
        self.details = details or {}
        self.may_be_accepted = True
        """False where a vendor's refusal proves that nothing of the request was taken: asking again is free."""
        self.may_be_repeated: bool | None = None
        """Whether asking that vendor again may help, where it said so itself: that goes before the code."""

    @property
    def status(self) -> int:
        """The HTTP status a client gets while nothing else was sent."""
        return CODES[self.code].status

    @property
    def retryable(self) -> bool:
        return CODES[self.code].retryable

    def body(self, request_id: str | None = None) -> ErrorBody:
        return ErrorBody(
            code=self.code,
            message=self.message,
            retryable=self.retryable,
            retry_after=self.retry_after,
            vendor=self.vendor,
            vendor_status=self.vendor_status,
            vendor_code=self.vendor_code,
            vendor_request_id=self.vendor_request_id,
            request_id=request_id,
            details=self.details,
        )

"""What an AG-UI server's `RUN_ERROR`, or its HTTP refusal, means in our codes.

    RUN_ERROR {message, code?}    the code is an open string: its words are looked for, in the order of the table
    HTTP, any body                {"error": {code, message}}, {"error"}, {"detail"}, {"message", "code"}

The protocol defines no codes and no error body. Our own dialect writes canonical codes, which the table maps as well.
Source: ag-ui-protocol 1.0.0, pydantic-ai 2.68 (HTTP 422 with a list), read 2026-11.
"""

import re

from msgspec import Struct

from gateway.canonical.errors import Code, GatewayError
from gateway.framing.typed import Malformed, document
from gateway.protocols.ag_ui import wire
from gateway.protocols.base import Headers
from gateway.protocols.refusing import refusal, showable, vendor_error

WORDS: tuple[tuple[str, Code], ...] = (
    ("context_too_long|context_length|context_window|context_length_exceeded|too_many_tokens", "context_too_long"),
    ("content_filter|content_filtered|content_policy|moderation|safety|blocked", "content_filtered"),
    ("quota|credits?|billing|payment_required|insufficient_funds|402", "quota_exhausted"),
    ("rate_limit|rate_limited|ratelimit|too_many_requests|throttled|throttling|429", "upstream_rate_limited"),
    ("auth|authentication|unauthorized|unauthenticated|forbidden|permission|api_key|401|403", "upstream_auth"),
    ("not_found|404", "upstream_not_found"),
    ("timeout|timed_out|deadline|408|504", "upstream_timeout"),
    ("protocol|malformed", "upstream_protocol"),
    ("empty", "upstream_empty"),
    ("invalid|validation|bad_request|unsupported|rejected|400|422", "upstream_rejected"),
    ("overloaded|unavailable|internal|server_error|500|502|503|529", "upstream_unavailable"),
)

CODES = tuple((re.compile(rf"(?:^|_)(?:{words})(?:_|$)"), code) for words, code in WORDS)

CANCELED = frozenset({"abort", "aborted", "cancel", "canceled", "cancelled"})
"""The client's own library calls an aborted run `abort`."""

_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


class Inner(Struct):
    code: str | None = None
    type: str | None = None
    message: str | None = None


class Refusal(Struct):
    error: Inner | str | None = None
    code: str | None = None
    message: str | None = None
    detail: str | None = None


_read = document(Refusal)


def code_of(vendor_code: str | None) -> Code | None:
    """None for one that says nothing to us."""
    spelled = _WORD_ENDS.sub("_", vendor_code or "").lower()
    return next((code for pattern, code in CODES if pattern.search(spelled)), None)


def failure(error: wire.RunError) -> GatewayError:
    """An error in the stream."""
    vendor_code = showable(None if error.code is None else str(error.code))
    code = code_of(vendor_code) or "upstream_unavailable"
    return vendor_error(
        code,
        cause="vendor_error" if code == "upstream_unavailable" else None,
        vendor_code=vendor_code,
        vendor_message=error.message or None,
    )


def is_cancellation(error: wire.RunError) -> bool:
    return isinstance(error.code, str) and error.code.lower() in CANCELED


def refused(status: int, headers: Headers, body: bytes) -> GatewayError:
    try:
        said = _read(body)
    except Malformed:
        said = Refusal()
    inner = said.error if isinstance(said.error, Inner) else Inner(message=said.error)
    vendor_code = showable(inner.code) or showable(inner.type) or showable(said.code)
    code = code_of(vendor_code)
    return refusal(
        status,
        headers,
        # `invalid_request_error` is the type of a 401 and of a 404 as well: the status says more than such a word.
        code=None if code == "upstream_rejected" and status >= 400 else code,
        vendor_code=vendor_code,
        vendor_message=inner.message or said.message or said.detail or None,
        request_id=showable(headers.get("x-request-id")),
    )

"""How OpenAI's Responses says no: as an HTTP status, as an `error` event, as a failed response; one table of codes.

    HTTP      {"error": {"message", "type", "param", "code"}}, or the same fields flat (compatible servers)
    stream    {"type": "error", "code", "message"}, flat or below `error`; often a `response.failed` comes after it
    failed    {"response": {"status": "failed", "error": {"code", "message"}}}

The code decides, else the type, else the status. A compatible server's code may be an HTTP status.
Hints: `retry-after-ms`, `retry-after`, and at a 429 `x-ratelimit-reset-requests` and `-tokens` ("6m0s", "12ms").
Source: openai 3.52.0 `types/responses/response_error.py`, `_base_client.py`; read 2026-11.
"""

import re

from gateway.canonical.errors import Code, GatewayError
from gateway.framing.typed import Malformed, document
from gateway.protocols.base import Headers
from gateway.protocols.openai_responses import wire
from gateway.protocols.refusing import MAX_RETRY_AFTER, STATUS_CODES, refusal, retry_after_ms, showable, vendor_error

ERROR_CODES: dict[str, Code] = {
    "server_error": "upstream_unavailable",
    "internal_error": "upstream_unavailable",
    "overloaded": "upstream_unavailable",
    "server_overloaded": "upstream_unavailable",
    "service_unavailable": "upstream_unavailable",
    "rate_limit_exceeded": "upstream_rate_limited",
    "rate_limit_error": "upstream_rate_limited",
    "vector_store_timeout": "upstream_timeout",
    "insufficient_quota": "quota_exhausted",
    "billing_hard_limit_reached": "quota_exhausted",
    "billing_not_active": "quota_exhausted",
    "context_length_exceeded": "context_too_long",
    "string_above_max_length": "context_too_long",
    "bio_policy": "content_filtered",
    "cyber_policy": "content_filtered",
    "misalignment_policy_violation": "content_filtered",
    "image_content_policy_violation": "content_filtered",
    "content_policy_violation": "content_filtered",
    "content_filter": "content_filtered",
    "moderation_blocked": "content_filtered",
    "invalid_api_key": "upstream_auth",
    "account_deactivated": "upstream_auth",
    "data_residency_mismatch": "upstream_auth",
    "model_not_found": "upstream_not_found",
    "invalid_prompt": "upstream_rejected",
    "invalid_request_error": "upstream_rejected",
    "invalid_image": "upstream_rejected",
    "invalid_image_format": "upstream_rejected",
    "invalid_base64_image": "upstream_rejected",
    "invalid_image_url": "upstream_rejected",
    "image_too_large": "upstream_rejected",
    "image_too_small": "upstream_rejected",
    "image_parse_error": "upstream_rejected",
    "invalid_image_mode": "upstream_rejected",
    "image_file_too_large": "upstream_rejected",
    "unsupported_image_media_type": "upstream_rejected",
    "empty_image_file": "upstream_rejected",
    "failed_to_download_image": "upstream_rejected",
    "image_file_not_found": "upstream_rejected",
}

OF_THE_VENDOR = frozenset({"upstream_unavailable", "upstream_protocol"})

_SPAN = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

_decode_refusal = document(wire.Refusal)


def refused(status: int, headers: Headers, body: bytes) -> GatewayError:
    """Of an HTTP refusal, or of a body that is no stream."""
    said = _said(_read(body))
    told = STATUS_CODES.get(said.code) if status < 300 and isinstance(said.code, int) else None
    error = refusal(
        status,
        headers,
        code=_code(said) or told,
        vendor_code=showable(said.code) or showable(said.type),
        vendor_message=said.message,
        request_id=showable(headers.get("x-request-id")),
    )
    hint = _retry_after(status, headers)
    if hint is not None:
        error.retry_after = min(hint, MAX_RETRY_AFTER)
    return error


def failure(fault: wire.Fault) -> GatewayError:
    """Of an error inside a 200."""
    code = _code(fault) or _of_status(fault.code)
    return vendor_error(
        code,
        cause="vendor_error" if code in OF_THE_VENDOR else None,
        vendor_code=showable(str(fault.code or "")) or showable(fault.type),
        vendor_message=fault.message,
    )


def fault(error: wire.Fault | str | None, code: str | int | None = None, message: str | None = None) -> wire.Fault:
    """An error from where it may stand: below `error`, as a text there, or flat."""
    match error:
        case wire.Fault():
            return error
        case str():
            return wire.Fault(code, None, error)
        case _:
            return wire.Fault(code, None, message)


def unread(data: bytes) -> GatewayError | None:
    """Of a frame that cannot be read, where it holds an error."""
    read = _read(data)
    return failure(_said(read)) if read.error else None


def _code(fault: wire.Fault) -> Code | None:
    return ERROR_CODES.get(str(fault.code)) or ERROR_CODES.get(str(fault.type))


def _of_status(code: str | int | None) -> Code:
    return STATUS_CODES.get(code, "upstream_unavailable") if isinstance(code, int) else "upstream_unavailable"


def _read(body: bytes) -> wire.Refusal:
    try:
        return _decode_refusal(body)
    except Malformed:
        return wire.Refusal()


def _said(read: wire.Refusal) -> wire.Fault:
    if isinstance(read.error, dict):
        fields = read.error
        return wire.Fault(_code_of(fields.get("code")), _text(fields.get("type")), _text(fields.get("message")))
    if isinstance(read.error, str):
        return wire.Fault(_code_of(read.code), _text(read.type), read.error)
    return wire.Fault(_code_of(read.code), _text(read.type), _text(read.message))


def _code_of(value: object) -> str | int | None:
    return value if type(value) is int else _text(value)


def _text(value: object) -> str | None:
    return value or None if isinstance(value, str) else None


def _retry_after(status: int, headers: Headers) -> float | None:
    """Seconds, from what OpenAI sends beside or instead of `Retry-After`."""
    in_ms = retry_after_ms(headers)
    if in_ms is not None:
        return in_ms
    if status != 429 or headers.get("Retry-After"):
        return None
    spans = [_seconds(headers.get(f"x-ratelimit-reset-{what}", "")) for what in ("requests", "tokens")]
    return max((span for span in spans if span is not None), default=None)


def _seconds(text: str) -> float | None:
    """Of a span such as `1m30.5s`; Azure sends plain seconds."""
    text = text.strip()
    if re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", text, re.ASCII):
        return float(text)
    if not re.fullmatch(rf"(?:{_SPAN.pattern})+", text, re.ASCII):
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in _SPAN.findall(text))

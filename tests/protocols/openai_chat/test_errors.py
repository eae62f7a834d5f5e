"""How each server refuses, and when it may be asked again."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.blocks import Blocks, Numbering
from gateway.protocols.openai_chat.errors import say
from gateway.protocols.openai_chat.translator import ChatTarget, ChatTranslator
from gateway.protocols.openai_chat.wire import Refusal
from tests.support.translating import blame, refuse

FIXTURES = Path(__file__).parent / "fixtures"


def translator() -> ChatTranslator:
    return ChatTranslator(ChatTarget("m"), Blocks(Numbering()))


def error(code: object, kind: str | None = "invalid_request_error", message: str = "sk-secret", **more: Any) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code, **more}}).encode()


def test_a_recorded_refusal_is_read() -> None:
    recorded = json.loads((FIXTURES / "model-not-found.http-error.json").read_bytes())
    refused = refuse(translator(), recorded["status"], json.dumps(recorded["body"]).encode())
    assert blame(refused) == ("upstream_not_found", "not_found", 404, "model_not_found", None)


@pytest.mark.parametrize(
    ("status", "body", "code", "cause", "vendor_code"),
    [
        (400, error(None), "upstream_rejected", "rejected", "invalid_request_error"),
        (400, error("context_length_exceeded"), "context_too_long", "context_too_long", "context_length_exceeded"),
        (400, error("content_filter", None), "content_filtered", "content_filtered", "content_filter"),
        (
            400,
            error("bad", None, innererror={"code": "ResponsibleAIPolicyViolation"}),
            "content_filtered",
            "content_filtered",
            "ResponsibleAIPolicyViolation",
        ),
        (400, error("tool_use_failed"), "upstream_protocol", "protocol", "tool_use_failed"),
        (
            400,
            b'{"object":"error","message":"maximum context length is 4096 tokens","type":"BadRequestError","code":400}',
            "context_too_long",
            "context_too_long",
            "BadRequestError",
        ),
        (401, error("invalid_api_key"), "upstream_auth", "auth", "invalid_api_key"),
        (402, b'{"error":{"code":402,"message":"no credits"}}', "quota_exhausted", "quota_exhausted", None),
        (403, error("unsupported_country_region_territory"), "upstream_auth", "auth", None),
        (404, b'{"detail":"Not Found"}', "upstream_not_found", "not_found", None),
        (408, error(None), "upstream_timeout", "first_event_timeout", "invalid_request_error"),
        (413, error(None), "context_too_long", "context_too_long", "invalid_request_error"),
        (429, error("rate_limit_exceeded", "requests"), "upstream_rate_limited", "rate_limited", "rate_limit_exceeded"),
        (429, error("insufficient_quota", "insufficient_quota"), "quota_exhausted", "quota_exhausted", None),
        (429, error("insufficient_quota"), "quota_exhausted", "quota_exhausted", "insufficient_quota"),
        (498, error("capacity_exceeded"), "upstream_unavailable", "status_5xx", "capacity_exceeded"),
        (500, error(None, "server_error"), "upstream_unavailable", "status_5xx", "server_error"),
        (502, b"<html>", "upstream_unavailable", "status_5xx", None),
        (503, b"", "upstream_unavailable", "status_5xx", None),
        (200, b"<html>", "upstream_protocol", "content_type", None),
        (200, b'{"error":{"code":429,"message":"sk-secret"}}', "upstream_rate_limited", "rate_limited", None),
        (200, error(None, "server_error"), "upstream_unavailable", "vendor_error", "server_error"),
        (200, error(None, message="maximum context length"), "context_too_long", "context_too_long", None),
        (422, b'{"detail":[{"loc":["body"]}]}', "upstream_rejected", "rejected", None),
        (400, b'{"code":"no_luck","error":"sk-secret"}', "upstream_rejected", "rejected", "no_luck"),
    ],
)
def test_each_refusal_has_its_canonical_code(
    status: int, body: bytes, code: str, cause: str, vendor_code: str | None
) -> None:
    refused = refuse(translator(), status, body, x_request_id="req_1")
    assert blame(refused)[:3] == (code, cause, status)
    assert vendor_code is None or refused.vendor_code == vendor_code
    assert (refused.vendor_request_id, "sk-secret" in refused.message) == ("req_1", False)
    assert refused.may_be_accepted is (status not in {401, 429})


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {}, None),
        (503, {"retry_after": "7"}, 7.0),
        (503, {"retry_after": "7", "retry_after_ms": "1500"}, 1.5),
        (503, {"retry_after_ms": "soon"}, None),
        (503, {"retry_after_ms": "99999999999"}, 86_400.0),
        (429, {"x_ratelimit_reset_requests": "1m30s"}, 90.0),
        (429, {"x_ratelimit_reset_requests": "12ms", "x_ratelimit_reset_tokens": "6m0s"}, 360.0),
        (
            429,
            {
                "x_ratelimit_reset_requests": "1.5s",
                "x_ratelimit_remaining_requests": "0",
                "x_ratelimit_reset_tokens": "6m0s",
            },
            1.5,
        ),
        (429, {"x_ratelimit_reset_tokens": "26"}, 26.0),
        (429, {"x_ratelimit_reset_tokens": "1h0m0s"}, 3600.0),
        (429, {"x_ratelimit_reset_tokens": "999h"}, 86_400.0),
        (429, {"x_ratelimit_reset_tokens": "-1"}, None),
        (429, {"x_ratelimit_reset_tokens": "0"}, None),
        (429, {"x_ratelimit_reset_tokens": "9" * 40}, None),
        (503, {"x_ratelimit_reset_tokens": "26"}, None),
    ],
)
def test_a_retry_hint_is_read_wherever_it_stands(status: int, headers: dict[str, str], seconds: float | None) -> None:
    assert refuse(translator(), status, b"{}", **headers).retry_after == seconds


@pytest.mark.parametrize("name", ["x_request_id", "apim_request_id", "x_ms_request_id"])
def test_a_request_id_is_read_where_the_server_puts_it(name: str) -> None:
    assert refuse(translator(), 500, b"", **{name: "abc"}).vendor_request_id == "abc"
    assert refuse(translator(), 500, b"", **{name: "two words"}).vendor_request_id is None


@given(st.binary() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(repr))
def test_a_body_of_any_shape_is_read_by_its_status(body: bytes | str) -> None:
    data = body if isinstance(body, bytes) else body.encode("utf-8", "replace")
    assert refuse(translator(), 503, data).code == "upstream_unavailable"


def test_a_status_in_the_body_does_not_go_before_the_one_that_came() -> None:
    assert say(Refusal(error={"code": 429}), 503).status == 503
    assert say(Refusal(error={"code": 429})).status == 429
    assert say(Refusal(error={"code": 42})).status is None

"""Every code has a row, and an error shows a client what is ours to show."""

from typing import get_args

import msgspec
import pytest

from gateway.canonical.errors import CAUSES, CODES, Code, GatewayError

STATUSES = {
    "bad_request": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "request_timeout": 408,
    "conflict": 409,
    "gone": 410,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "unsupported": 422,
    "rate_limited": 429,
    "upstream_rate_limited": 429,
    "upstream_auth": 502,
    "upstream_not_found": 502,
    "upstream_rejected": 422,
    "upstream_unavailable": 503,
    "upstream_timeout": 504,
    "upstream_protocol": 502,
    "upstream_empty": 502,
    "content_filtered": 422,
    "context_too_long": 422,
    "quota_exhausted": 402,
    "overloaded": 503,
    "store_unavailable": 503,
    "internal": 500,
}


def test_every_code_has_the_status_that_the_design_gives_it() -> None:
    assert {code: GatewayError(code, "").status for code in get_args(Code)} == STATUSES


def test_every_code_stands_for_a_cause_of_the_closed_set() -> None:
    assert {GatewayError(code, "").cause for code in CODES} <= set(CAUSES)


def test_the_clients_own_mistakes_are_not_worth_repeating() -> None:
    mistakes: list[Code] = ["bad_request", "unauthorized", "forbidden", "not_found", "unsupported", "upstream_rejected"]
    passing: list[Code] = [
        "rate_limited",
        "upstream_unavailable",
        "upstream_timeout",
        "overloaded",
        "upstream_protocol",
    ]
    assert [GatewayError(code, "").retryable for code in (*mistakes, *passing)] == [False] * 6 + [True] * 5


def test_a_cause_of_its_own_outweighs_the_one_of_the_code() -> None:
    assert GatewayError("upstream_timeout", "").cause == "first_event_timeout"
    assert GatewayError("upstream_timeout", "", cause="idle_timeout").cause == "idle_timeout"


def test_a_client_reads_everything_but_the_vendors_words() -> None:
    error = GatewayError(
        "upstream_rate_limited",
        "the vendor limits our rate",
        retry_after=1.5,
        vendor="acme",
        vendor_status=429,
        vendor_code="slow_down",
        vendor_request_id="r-9",
        vendor_message="key sk_live_123 is over its limit at 10.0.0.7",
        details={"path": "$.content"},
    )
    assert msgspec.json.decode(msgspec.json.encode(error.body("req_1"))) == {
        "code": "upstream_rate_limited",
        "message": "the vendor limits our rate",
        "retryable": True,
        "retry_after": 1.5,
        "vendor": "acme",
        "vendor_status": 429,
        "vendor_code": "slow_down",
        "vendor_request_id": "r-9",
        "request_id": "req_1",
        "details": {"path": "$.content"},
    }
    assert str(error) == "the vendor limits our rate"
    assert "sk_live_123" not in repr(error)


def test_what_does_not_apply_is_absent() -> None:
    assert msgspec.json.encode(GatewayError("internal", "a bug").body()) == (
        b'{"code":"internal","message":"a bug","retryable":false}'
    )


def test_a_code_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(KeyError):
        GatewayError("teapot", "")  # type: ignore[arg-type]  # this is what is refused

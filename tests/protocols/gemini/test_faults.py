"""How Gemini's refusals are read, over HTTP and within a stream."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.protocols.gemini.translator import GeminiTarget, GeminiTranslator
from tests.support.translating import blame, failure, logged, refuse

EXAMPLES = Path(__file__).parent / "examples"
INFO = "type.googleapis.com/google.rpc."


def make() -> GeminiTranslator:
    return GeminiTranslator(GeminiTarget("m"), Blocks(Numbering()))


def said(code: int, status: str, message: str = "sk-secret", *details: dict[str, Any]) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": status, "details": details}}).encode()


def test_a_recorded_refusal() -> None:
    recorded = json.loads((EXAMPLES / "model-not-found.http-error").read_bytes())
    error = refuse(make(), recorded["status"], json.dumps(recorded["body"]).encode())
    assert blame(error) == ("upstream_not_found", "not_found", 404, "NOT_FOUND", None)
    assert error.vendor_message == recorded["body"]["error"]["message"]


ROWS = [
    (400, "INVALID_ARGUMENT", "upstream_rejected", "rejected"),
    (400, "OUT_OF_RANGE", "upstream_rejected", "rejected"),
    (400, "FAILED_PRECONDITION", "upstream_auth", "auth"),
    (401, "UNAUTHENTICATED", "upstream_auth", "auth"),
    (403, "PERMISSION_DENIED", "upstream_auth", "auth"),
    (404, "NOT_FOUND", "upstream_not_found", "not_found"),
    (429, "RESOURCE_EXHAUSTED", "upstream_rate_limited", "rate_limited"),
    (499, "CANCELLED", "upstream_unavailable", "status_5xx"),
    (500, "INTERNAL", "upstream_unavailable", "status_5xx"),
    (500, "UNKNOWN", "upstream_unavailable", "status_5xx"),
    (503, "UNAVAILABLE", "upstream_unavailable", "status_5xx"),
    (504, "DEADLINE_EXCEEDED", "upstream_timeout", "first_event_timeout"),
    (418, "SOMETHING_NEW", "upstream_rejected", "status_4xx"),
    (502, "SOMETHING_NEW", "upstream_unavailable", "status_5xx"),
    (200, "SOMETHING_NEW", "upstream_protocol", "content_type"),
    (200, "UNAVAILABLE", "upstream_unavailable", "status_5xx"),
]


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize(("status", "name", "code", "cause"), ROWS)
def test_each_status_has_its_code(*, as_list: bool, status: int, name: str, code: str, cause: str) -> None:
    body = said(status, name)
    error = refuse(make(), status, b"[%b]" % body if as_list else body)
    assert blame(error) == (code, cause, status, name, None)
    assert (error.vendor_message, error.may_be_accepted) == ("sk-secret", status not in {401, 429})


@pytest.mark.parametrize("message", ["API key not valid.", ""])
def test_a_key_that_is_not_valid_is_our_credential(message: str) -> None:
    error = refuse(
        make(), 400, said(400, "INVALID_ARGUMENT", message, {"@type": f"{INFO}ErrorInfo", "reason": "API_KEY_INVALID"})
    )
    assert error.code == "upstream_auth"


@pytest.mark.parametrize(
    "message",
    [
        "The input token count (2845475) exceeds the maximum number of tokens allowed (1048576).",
        "The input token count exceeds the maximum number of tokens allowed 1048576.",
    ],
)
def test_too_many_tokens_are_a_conversation_that_is_too_long(message: str) -> None:
    assert refuse(make(), 400, said(400, "INVALID_ARGUMENT", message)).code == "context_too_long"


def test_a_message_of_any_length_is_read_in_linear_time() -> None:
    began = time.process_time()
    error = refuse(make(), 400, said(400, "INVALID_ARGUMENT", "token count" * 20_000))
    assert (error.code, time.process_time() - began < 1) == ("upstream_rejected", True)


def quota(name: str) -> dict[str, Any]:
    return {"@type": f"{INFO}QuotaFailure", "violations": [{"quotaId": name}, 7, {}]}


def test_a_quota_per_day_is_used_up() -> None:
    wait = {"@type": f"{INFO}RetryInfo", "retryDelay": "47s"}
    per_day = quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier")
    error = refuse(make(), 429, said(429, "RESOURCE_EXHAUSTED", "no", per_day, wait))
    assert (error.code, error.retry_after) == ("quota_exhausted", 47.0)
    per_minute = quota("GenerateRequestsPerMinutePerProjectPerModel")
    error = refuse(make(), 429, said(429, "RESOURCE_EXHAUSTED", "no", per_minute, wait))
    assert (error.code, error.retry_after) == ("upstream_rate_limited", 47.0)


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("17.5s", 17.5), ("0s", 0.0), ("999999s", 86400.0), ("17", None), (17, None), ("-1s", None), ("", None)],
)
def test_when_to_ask_again(delay: object, seconds: float | None) -> None:
    body = said(503, "UNAVAILABLE", "no", {"@type": f"{INFO}RetryInfo", "retryDelay": delay})
    assert refuse(make(), 503, body).retry_after == seconds


def test_a_header_tells_it_as_well() -> None:
    assert refuse(make(), 503, said(503, "UNAVAILABLE"), Retry_After="5").retry_after == 5.0


def test_the_vendors_name_of_the_request() -> None:
    body = said(500, "INTERNAL", "no", {"@type": f"{INFO}RequestInfo", "requestId": "abc"})
    assert refuse(make(), 500, body).vendor_request_id == "abc"


@pytest.mark.parametrize(
    "error",
    [
        {"code": "x", "message": 7, "status": 7, "details": 7},
        {"code": 503, "details": [7, {}, {"violations": 7}, {"reason": "two words"}]},
        {},
    ],
)
def test_any_fields_may_be_of_any_kind(error: dict[str, Any]) -> None:
    read = refuse(make(), 503, json.dumps({"error": error}).encode())
    assert blame(read) == ("upstream_unavailable", "status_5xx", 503, None, None)


# --- within a stream


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (
            '{"error":{"code":503,"status":"UNAVAILABLE"}}',
            ("upstream_unavailable", "vendor_error", "UNAVAILABLE", None),
        ),
        ('{"error":{"code":429,"message":"no"}}', ("upstream_rate_limited", "rate_limited", None, "no")),
        (
            '[{"error":{"code":400,"status":"INVALID_ARGUMENT"}}]',
            ("upstream_rejected", "rejected", "INVALID_ARGUMENT", None),
        ),
        ('[{"error":{"code":418}}]', ("upstream_unavailable", "vendor_error", None, None)),
        ('{"error":"broken"}', ("upstream_unavailable", "vendor_error", None, None)),
        ('{"candidates":7,"error":{"code":500}}', ("upstream_unavailable", "vendor_error", None, None)),
    ],
)
def test_an_error_in_a_stream(frame: str, expected: tuple[str, str, str | None, str | None]) -> None:
    assert logged(failure(make(), frame)) == expected


def test_an_error_in_a_stream_tells_when_to_ask_again() -> None:
    wait = {"@type": f"{INFO}RetryInfo", "retryDelay": "3s"}
    error: GatewayError = failure(make(), said(429, "RESOURCE_EXHAUSTED", "no", wait).decode())
    assert (error.retry_after, error.vendor_status) == (3.0, None)

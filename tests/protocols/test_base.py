"""What the protocols share: refusals, retry hints, path segments, headers that stand twice, reprs without secrets."""

import pytest
from multidict import CIMultiDict

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import Authorization, Credentials, VendorRequest, all_values, path_segment
from gateway.protocols.refusing import refusal, reset_after, retry_after


@pytest.mark.parametrize(
    ("status", "code", "cause"),
    [
        (200, "upstream_protocol", "content_type"),
        (400, "upstream_rejected", "rejected"),
        (401, "upstream_auth", "auth"),
        (402, "quota_exhausted", "quota_exhausted"),
        (403, "upstream_auth", "auth"),
        (404, "upstream_not_found", "not_found"),
        (409, "upstream_rejected", "status_4xx"),
        (418, "upstream_rejected", "status_4xx"),
        (422, "upstream_rejected", "rejected"),
        (429, "upstream_rate_limited", "rate_limited"),
        (500, "upstream_unavailable", "status_5xx"),
        (503, "upstream_unavailable", "status_5xx"),
        (504, "upstream_timeout", "status_5xx"),
        (529, "upstream_unavailable", "status_5xx"),
    ],
)
def test_a_refusal_that_says_nothing_else_means_what_its_status_means(status: int, code: str, cause: str) -> None:
    error = refusal(status, CIMultiDict())
    assert (error.code, error.cause, error.vendor_status) == (code, cause, status)


@pytest.mark.parametrize(("status", "may_be_accepted"), [(401, False), (429, False), (500, True), (404, True)])
def test_only_a_refused_key_and_a_limit_prove_that_nothing_was_accepted(status: int, may_be_accepted: object) -> None:
    assert refusal(status, CIMultiDict()).may_be_accepted is may_be_accepted


@pytest.mark.parametrize(
    ("word", "may_be_repeated"), [(None, None), ("true", True), ("false", False), (" True ", True), ("perhaps", None)]
)
def test_a_vendor_may_say_itself_whether_asking_it_again_helps(word: str | None, may_be_repeated: object) -> None:
    headers = CIMultiDict({} if word is None else {"X-Should-Retry": word})
    assert refusal(503, headers).may_be_repeated is may_be_repeated


def test_the_vendors_own_code_goes_before_the_status() -> None:
    error = refusal(
        400,
        CIMultiDict({"Retry-After": "3"}),
        code="context_too_long",
        vendor_code="TOO_LONG",
        vendor_message="your text",
        request_id="r-1",
    )
    assert (error.code, error.cause, error.retry_after) == ("context_too_long", "context_too_long", 3.0)
    assert (error.vendor_code, error.vendor_message, error.vendor_request_id) == ("TOO_LONG", "your text", "r-1")
    assert "your text" not in error.message


NOW = "Fri, 20 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "12"}, 12.0),
        ({"Retry-After": " 0.5 "}, 0.5),
        ({"Retry-After": "9" * 40}, 86_400.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "Fri, 20 Nov 2026 10:00:30 GMT", "Date": NOW}, 30.0),
        ({"Retry-After": "Fri, 20 Nov 2026 09:00:00 GMT", "Date": NOW}, 0.0),
        ({"Retry-After": "Fri, 20 Nov 2026 10:00:30 GMT"}, None),
        ({"Retry-After": "Fri, 20 Nov 2026 10:00:30 -0000", "Date": NOW}, None),
        ({"Retry-After": "Fri, 20 Nov 9999 10:00:30 GMT", "Date": NOW}, 86_400.0),
    ],
)
def test_a_retry_hint_is_seconds_or_a_date_against_the_answers_own(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after(CIMultiDict(headers)) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-RateLimit-Reset": "1795168802000", "Date": NOW}, 2.0),
        ({"X-RateLimit-Reset": "1795168802500", "Date": NOW}, 2.5),
        ({"X-RateLimit-Reset": "1795168802", "Date": NOW}, 2.0),
        ({"X-RateLimit-Reset": "1795168700", "Date": NOW}, 0.0),
        ({"X-RateLimit-Reset": "999999999999999", "Date": NOW}, 86_400.0),
        ({"X-RateLimit-Reset": "9" * 400, "Date": NOW}, 86_400.0),
        ({"X-RateLimit-Reset": " 7 "}, 7.0),
        ({"X-RateLimit-Reset": "0.5"}, 0.5),
        ({"X-RateLimit-Reset": "0"}, 0.0),
        ({"X-RateLimit-Reset": "100000000"}, 86_400.0),
        ({"X-RateLimit-Reset": "100000001"}, None),
        ({"X-RateLimit-Reset": "1795168802000"}, None),
        ({"X-RateLimit-Reset": "1795168802000", "Date": "yesterday"}, None),
        ({"X-RateLimit-Reset": "1795168802", "Date": "Fri, 20 Nov 2026 10:00:00 -0000"}, None),
        ({"X-RateLimit-Reset": "-7"}, None),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({"X-RateLimit-Reset": "."}, None),
        ({"X-RateLimit-Reset": "٣"}, None),
        ({}, None),
    ],
)
def test_the_reset_of_a_rate_limit_is_told_in_any_unit(headers: dict[str, str], seconds: float | None) -> None:
    assert reset_after(CIMultiDict(headers)) == seconds


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (429, {"X-RateLimit-Reset": "7"}, 7.0),
        (429, {"X-RateLimit-Reset": "7", "Retry-After": "3"}, 3.0),
        (429, {"X-RateLimit-Reset": "7", "Retry-After": "0"}, 0.0),
        (429, {"X-RateLimit-Reset": "7", "Retry-After": "soon"}, 7.0),
        (503, {"X-RateLimit-Reset": "7"}, None),
        (503, {"X-RateLimit-Reset": "7", "Retry-After": "3"}, 3.0),
    ],
)
def test_the_reset_counts_where_a_limit_was_hit_and_nothing_else_says_when_to_come_back(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    assert refusal(status, CIMultiDict(headers)).retry_after == seconds


@pytest.mark.parametrize(
    ("text", "segment"),
    [("a", "a"), ("a/b c?d#e%", "a%2Fb%20c%3Fd%23e%25"), ("...", "..."), ("é", "%C3%A9"), ("x" * 1024, "x" * 1024)],
)
def test_any_id_is_one_segment_of_a_path(text: str, segment: str) -> None:
    assert path_segment(text) == segment


@pytest.mark.parametrize("text", ["", ".", "..", "x" * 1025, "a\0", "\ud800"])
def test_an_id_that_no_encoding_makes_harmless_is_refused(text: str) -> None:
    with pytest.raises(GatewayError) as caught:
        path_segment(text)
    assert (caught.value.code, caught.value.message) == ("bad_request", "an id or name cannot stand in a path")


def test_a_header_that_stands_twice_has_two_values() -> None:
    twice = CIMultiDict([("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
    assert all_values(twice, "SET-COOKIE") == ["a=1", "b=2"]
    assert all_values(twice, "Cookie") == []
    assert all_values({"Cookie": "a=1"}, "Cookie") == ["a=1"]
    assert all_values({}, "Cookie") == []


def test_no_repr_shows_a_secret() -> None:
    credentials = Credentials({"api_key": "s3cret"})
    shown = repr(
        [
            credentials,
            Authorization({"Authorization": "s3cret"}, "s3cret"),
            VendorRequest("POST", "/in", body=b"s3cret"),
        ]
    )
    assert shown == "[Credentials(api_key), Authorization(...), VendorRequest(POST /in)]"
    assert (dict(credentials), len(credentials)) == ({"api_key": "s3cret"}, 1)

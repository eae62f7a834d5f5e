"""What every dialect checks of a client's request."""

from typing import Annotated

import msgspec
import pytest
from msgspec import Meta, Struct
from multidict import CIMultiDict

from gateway.canonical.errors import GatewayError
from gateway.canonical.turn import MAX_METADATA
from gateway.protocols import reading
from gateway.protocols.base import ClientRequest


class Body(Struct):
    size: Annotated[int, Meta(ge=1)] = 1


decode = msgspec.json.Decoder(Body).decode
JSON = {"Content-Type": "application/json; charset=utf-8"}


def request(body: bytes = b"", headers: dict[str, str] | CIMultiDict[str] = JSON, **query: str) -> ClientRequest:
    return ClientRequest(CIMultiDict(headers), body, {}, query)


def refused(error: GatewayError) -> tuple[str, object]:
    return error.code, error.details.get("path")


def test_a_body_is_read_or_refused_with_the_path() -> None:
    assert reading.read_body(decode, request(b'{"size":2}')) == Body(2)
    for body, path in ((b'{"size":"7"}', "$.size"), (b"{", "$"), (b"[]", "$")):
        with pytest.raises(GatewayError) as caught:
            reading.read_body(decode, request(body))
        assert refused(caught.value) == ("bad_request", path)
        assert "7" not in caught.value.message


@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}])
def test_a_body_is_json(headers: dict[str, str]) -> None:
    with pytest.raises(GatewayError) as caught:
        reading.read_body(decode, request(b"{}", headers))
    assert caught.value.code == "unsupported_media_type"


def test_a_query_is_read_or_refused_with_the_name() -> None:
    assert reading.read_query(Body, request(size="3")) == Body(3)
    with pytest.raises(GatewayError) as caught:
        reading.read_query(Body, request(size="many"))
    assert refused(caught.value) == ("bad_request", "query.size")


def test_metadata_has_a_size() -> None:
    reading.check_metadata({"a": "b"})
    with pytest.raises(GatewayError) as caught:
        reading.check_metadata({"a": "b" * MAX_METADATA}, "$.meta")
    assert refused(caught.value) == ("bad_request", "$.meta")


def test_a_users_id_is_printable() -> None:
    assert reading.user_id(None, "$.user") is None
    assert reading.user_id("ann@example.org", "$.user") == "ann@example.org"
    for given in ("", "a\nb", "x" * 257):
        with pytest.raises(GatewayError) as caught:
            reading.user_id(given, "$.user")
        assert refused(caught.value) == ("bad_request", "$.user")


@pytest.mark.parametrize(
    ("values", "key"),
    [
        (["Bearer k-1"], "k-1"),
        (["bearer  k-1 "], "k-1"),
        (["Basic k-1"], None),
        (["Bearer "], None),
        (["Bearer"], None),
        ([], None),
        (["Bearer k-1", "Bearer k-1"], None),
    ],
)
def test_a_key_stands_once_behind_bearer(values: list[str], key: str | None) -> None:
    headers = CIMultiDict([("authorization", value) for value in values])
    assert reading.bearer(request(headers=headers)) == key


def test_when_to_ask_again_is_told_in_whole_seconds() -> None:
    assert reading.retry_headers(GatewayError("rate_limited", "too many", retry_after=1.2)) == {"Retry-After": "2"}
    assert reading.retry_headers(GatewayError("internal", "the gateway failed")) == {}


def test_what_cannot_be_passed_on_is_named() -> None:
    error = reading.cannot_carry("$.audio", "audio")
    assert (error.code, error.message, error.details) == (
        "unsupported",
        "$.audio: audio cannot be passed on",
        {"path": "$.audio"},
    )

"""Faults on the way to the vendor, rows 1 to 20: what a client of a route with one target is told, and what is kept."""

import asyncio
import gzip
import ssl
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.relay.upstream import Connection, Origin, Pool
from tests.support.gateway import END, HELLO, START, resident_bytes, running_gateway, told
from tests.support.scripts import (
    HEAD,
    Drip,
    Hold,
    Read,
    Repeat,
    Reset,
    ScriptServer,
    Sleep,
    Step,
    Write,
    chunk,
    closed_port,
    response,
    unanswered_port,
)
from tests.support.targets import STATELESS

UNREACHABLE = {
    "code": "upstream_unavailable",
    "message": "the vendor cannot be reached",
    "retryable": True,
    "vendor": "acme",
}
TOO_LATE_TO_CONNECT = {
    "code": "upstream_timeout",
    "message": "the vendor could not be reached in time",
    "retryable": True,
    "vendor": "acme",
}
TOO_LATE = {
    "code": "upstream_timeout",
    "message": "the vendor did not begin to answer in time",
    "retryable": True,
    "vendor": "acme",
}
UNTRUSTED = {
    "code": "upstream_protocol",
    "message": "the vendor's certificate or TLS cannot be trusted",
    "retryable": True,
    "vendor": "acme",
}
UNREADABLE = {
    "code": "upstream_protocol",
    "message": "the vendor's HTTP cannot be read",
    "retryable": True,
    "vendor": "acme",
}

MB = 1024 * 1024


# --- rows 1 to 4: before anything is sent


async def test_row_1_a_name_that_does_not_resolve_is_a_vendor_that_cannot_be_reached(tmp_path: Path) -> None:
    async with running_gateway(tmp_path, "http://x.invalid") as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.error) == (503, UNREACHABLE)
        assert answer.ending == ("failed", "connect", "upstream_unavailable")
        assert answer.line["vendor_message"].startswith("x.invalid:80: ")
        assert await gateway.outcomes() == {"connect": 1}


async def test_row_1_a_resolver_that_sleeps_meets_the_connect_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sleep(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    async with running_gateway(tmp_path, "http://x.invalid") as gateway:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", sleep)
        began = time.monotonic()
        answer = await gateway.ask()
        assert time.monotonic() - began < 1.6
        assert (answer.status, answer.error) == (504, TOO_LATE_TO_CONNECT)
        assert await gateway.outcomes() == {"connect_timeout": 1}


async def test_row_2_a_refused_connection_is_told_at_once(tmp_path: Path) -> None:
    port = closed_port()
    async with running_gateway(tmp_path, f"http://127.0.0.1:{port}") as gateway:
        began = time.monotonic()
        answer = await gateway.ask()
        assert time.monotonic() - began < 1
        assert (answer.status, answer.error) == (503, UNREACHABLE)
        assert answer.ending == ("failed", "connect", "upstream_unavailable")
        assert answer.line["vendor_message"].startswith(f"127.0.0.1:{port}: ")
        assert await gateway.outcomes() == {"connect": 1}


async def test_row_3_connecting_that_hangs_ends_at_the_connect_deadline(tmp_path: Path) -> None:
    async with (
        unanswered_port() as port,
        running_gateway(tmp_path, f"http://127.0.0.1:{port}", deadlines={"first_event": 30, "total": 60}) as gateway,
    ):
        began = time.monotonic()
        answer = await gateway.ask()
        assert 0.6 <= time.monotonic() - began < 1.6
        assert (answer.status, answer.error) == (504, TOO_LATE_TO_CONNECT)
        assert answer.ending == ("failed", "connect_timeout", "upstream_timeout")
        assert await gateway.outcomes() == {"connect_timeout": 1}


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


YESTERDAY = datetime.now(UTC) - timedelta(days=1)

DISTRUSTED: dict[str, Callable[[trustme.CA], trustme.LeafCert]] = {
    "expired": lambda authority: authority.issue_cert("127.0.0.1", not_after=YESTERDAY),
    "of another host": lambda authority: authority.issue_cert("other.test"),
    "of another authority": lambda _: trustme.CA().issue_cert("127.0.0.1"),
}


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """The only one that this process trusts."""
    authority = trustme.CA()
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    return authority


@pytest.mark.parametrize("kind", DISTRUSTED)
async def test_row_4_a_vendor_whose_tls_cannot_be_trusted_gets_no_request(
    tmp_path: Path, authority: trustme.CA, kind: str
) -> None:
    tls = server_context(DISTRUSTED[kind](authority))
    async with (
        ScriptServer([Read(), *told(START, HELLO, END)], tls=tls) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
    ):
        answer = await gateway.ask()
        assert (answer.status, answer.error) == (502, UNTRUSTED)
        assert answer.ending == ("failed", "tls", "upstream_protocol")
        assert answer.line["vendor_message"].startswith(f"127.0.0.1:{vendor.port}: ")
        assert "CERTIFICATE-----" not in repr(gateway.log.lines)
        assert vendor.requests == []
        assert await gateway.outcomes() == {"tls": 1}


HANDSHAKES = {
    "TLS 1.1 is all it speaks": (b"\x15\x03\x02\x00\x02\x02\x46", 502, "tls"),  # the alert `protocol_version`
    "no TLS at all": (b"HTTP/1.1 400 Bad Request\r\n\r\n", 502, "tls"),
    "closed in the handshake": (b"", 503, "connect"),
}


@pytest.mark.parametrize(("data", "status", "outcome"), HANDSHAKES.values(), ids=HANDSHAKES)
async def test_row_4_a_vendor_that_shakes_no_hands_gets_no_request(
    tmp_path: Path, data: bytes, status: int, outcome: str
) -> None:
    async with (
        ScriptServer([Write(data)]) as vendor,
        running_gateway(tmp_path, f"https://127.0.0.1:{vendor.port}") as gateway,
    ):
        answer = await gateway.ask()
        assert (answer.status, answer.ending[:2]) == (status, ("failed", outcome))
        assert b"POST" not in vendor.connections[0].received
        assert len(vendor.connections) == 1
        assert await gateway.outcomes() == {outcome: 1}


async def test_row_4_a_vendor_whose_tls_can_be_trusted_answers(tmp_path: Path, authority: trustme.CA) -> None:
    tls = server_context(authority.issue_cert("127.0.0.1"))
    async with (
        ScriptServer([Read(), *told(START, HELLO, END)], tls=tls) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
    ):
        answer = await gateway.ask()
        assert (answer.text, answer.ending) == ("Hello", ("completed", "completed", None))


# --- rows 5 to 8: the request was written


async def test_row_5_a_reset_without_an_answer_is_not_asked_again(tmp_path: Path) -> None:
    async with ScriptServer([Read(), Reset()]) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert answer.status == 503
        assert answer.error == {
            "code": "upstream_unavailable",
            "message": "the vendor closed the connection without an answer",
            "retryable": True,
            "vendor": "acme",
        }
        assert answer.ending == ("failed", "reset_before_headers", "upstream_unavailable")
        assert [request.method for request in vendor.requests] == ["POST"]
        assert len(vendor.connections) == 1
        assert await gateway.outcomes() == {"reset_before_headers": 1}


@pytest.mark.parametrize("death", [Reset(), Write(b"")], ids=["reset", "closed"])
async def test_row_6_a_kept_connection_that_dies_under_a_request_is_not_asked_again(
    tmp_path: Path, death: Step
) -> None:
    first = [Read(), *told(START, HELLO, END), Read(), death]
    async with (
        ScriptServer(first, [Read(), *told(START, HELLO, END)]) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
    ):
        assert (await gateway.ask()).text == "Hello"
        answer = await gateway.ask()
        assert answer.status == 503
        assert answer.error == {
            "code": "upstream_unavailable",
            "message": "the vendor closed a kept connection as the request was sent",
            "retryable": True,
            "vendor": "acme",
        }
        assert answer.ending == ("failed", "stale_connection", "upstream_unavailable")
        assert len(vendor.connections) == 1
        assert await gateway.outcomes() == {"completed": 1, "stale_connection": 1}
        assert (await gateway.ask()).text == "Hello"


async def test_rows_6_and_3_connecting_anew_for_a_kept_connection_that_died_ends_at_the_connect_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What may be asked again is; but the second connection does not come about."""

    async def hang(_pool: Pool, _origin: Origin) -> Connection:
        await asyncio.Event().wait()
        raise AssertionError

    async with (
        ScriptServer([Read(), *told(START, HELLO, END), Read(), Reset()]) as vendor,
        running_gateway(
            tmp_path, vendor.url, protocol="stateless", protocols=STATELESS, deadlines={"first_event": 4, "total": 8}
        ) as gateway,
    ):
        assert (await gateway.ask()).text == "Hello"
        monkeypatch.setattr(Pool, "connect", hang)
        answer = await gateway.ask()
        assert (answer.status, answer.error) == (504, TOO_LATE_TO_CONNECT)
        assert answer.ending == ("failed", "connect_timeout", "upstream_timeout")
        assert len(vendor.requests) == 2


LATE_HEADS: dict[str, list[Step]] = {
    "row 7: never": [Read(), Hold()],
    "row 8: byte by byte": [Read(), Drip(HEAD * 10, every=0.1), Hold()],
    "row 8: after interim answers": [Read(), Repeat(b"HTTP/1.1 102 Processing\r\n\r\n", every=0.1)],
}


@pytest.mark.parametrize("script", LATE_HEADS.values(), ids=LATE_HEADS)
async def test_a_vendor_without_a_whole_head_meets_the_first_event_deadline(tmp_path: Path, script: list[Step]) -> None:
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        began = time.monotonic()
        answer = await gateway.ask()
        took = time.monotonic() - began
        assert 1.0 <= took < 2.0
        assert (answer.status, answer.error) == (504, TOO_LATE)
        assert answer.ending == ("failed", "first_event_timeout", "upstream_timeout")
        await (await vendor.connection()).left(within=1)
        assert len(vendor.requests) == 1
        assert await gateway.outcomes() == {"first_event_timeout": 1}


# --- rows 9 to 14: heads that cannot be accepted

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"

UNREADABLE_HTTP: dict[str, bytes] = {
    "garbage": b"hello, who is there?\r\n\r\n",
    "garbage of one line without end": b"x" * 100_000,
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "a status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "a header line over 8 KB": OK + b"X-Long: " + b"x" * 9000 + b"\r\n\r\n",
    "1,000 headers": OK + b"".join(b"X-%d: 1\r\n" % number for number in range(1000)) + b"\r\n",
    "a head of 100 KB without an end": OK + b"X-Long: 1\r\n" * 10_000,
    "a length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(START),
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "chunked, identity": OK + b"Transfer-Encoding: chunked, identity\r\n\r\n" + chunk(START),
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk(START),
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a chunk size that is none": HEAD + b"0x5\r\nhello\r\n",
    "a chunk longer than it says": HEAD + b"5\r\nhello, who is there?\r\n",
}


@pytest.mark.parametrize("data", UNREADABLE_HTTP.values(), ids=UNREADABLE_HTTP)
async def test_row_9_http_that_cannot_be_read_in_one_way_is_refused(tmp_path: Path, data: bytes) -> None:
    script = [Read(), Write(data), Hold()]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.error) == (502, UNREADABLE)
        assert answer.ending == ("failed", "protocol", "upstream_protocol")
        assert len(answer.line["vendor_message"]) <= 100
        assert answer.line["vendor_message"].isprintable()
        assert await (await vendor.connection()).left(within=1) in {"closed", "reset"}
        assert await gateway.outcomes() == {"protocol": 1}


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
async def test_row_10_a_redirect_is_not_followed(tmp_path: Path, status: int) -> None:
    async with ScriptServer([Hold()], host="127.0.0.2") as other:
        script = [Read(), Write(response(status, b"", location=f"{other.url}/chats"))]
        async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
            answer = await gateway.ask()
            assert answer.status == 502
            assert answer.error == {
                "code": "upstream_protocol",
                "message": "the vendor answered with a redirect",
                "retryable": True,
                "vendor": "acme",
            }
            assert answer.ending == ("failed", "redirect", "upstream_protocol")
            assert other.connections == []
            assert len(vendor.requests) == 1
            assert await gateway.outcomes() == {"redirect": 1}


PAGE = b"<html><body>Sign in to the hotel's network</body></html>"
EVENTS = START + HELLO + END
WRONG_TYPES: dict[str, bytes] = {
    "a page": response(200, PAGE, "text/html"),
    "events as text": response(200, EVENTS, "text/plain"),
    "events as JSON": response(200, EVENTS, "application/json"),
    "events without a type": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(EVENTS) + EVENTS,
}


@pytest.mark.parametrize("data", WRONG_TYPES.values(), ids=WRONG_TYPES)
async def test_row_11_an_answer_of_another_type_is_refused(tmp_path: Path, data: bytes) -> None:
    script = [Read(), Write(data)]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert answer.status == 502
        assert answer.error == {
            "code": "upstream_protocol",
            "message": "the vendor answered with something else than its protocol says",
            "retryable": True,
            "vendor": "acme",
            "vendor_status": 200,
        }
        assert answer.ending == ("failed", "content_type", "upstream_protocol")
        assert await gateway.outcomes() == {"content_type": 1}


async def test_row_11_a_page_without_end_is_cut(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    script = [Read(), Write(head), Repeat(PAGE * 1000)]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert answer.ending == ("failed", "content_type", "upstream_protocol")
        await (await vendor.connection()).left(within=1)


EMPTY = {
    "no bytes, by length": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 0\r\n\r\n",
    "no bytes, by chunks": HEAD + b"0\r\n\r\n",
    "no bytes, until the close": b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    "comments": HEAD + chunk(b": hello\n\n") + b"0\r\n\r\n",
    "no content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "reset content": b"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("data", EMPTY.values(), ids=EMPTY)
async def test_row_13_nothing_is_never_a_completed_answer(tmp_path: Path, data: bytes) -> None:
    async with ScriptServer([Read(), Write(data)]) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.error["code"]) == (502, "upstream_protocol")
        assert answer.ending == ("failed", "truncated", "upstream_protocol")
        assert len(vendor.requests) == 1
        assert await gateway.outcomes() == {"truncated": 1}


def compressed(status: int, coding: str, body: bytes) -> bytes:
    return response(status, body, "text/event-stream", content_encoding=coding)


BOMB = gzip.compress(bytes(50 * MB))


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "deflate", "GZIP", "identity, gzip"])
async def test_row_14_a_compressed_answer_is_refused_unread(tmp_path: Path, coding: str) -> None:
    script = [Read(), Write(compressed(200, coding, gzip.compress(EVENTS)))]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert answer.status == 502
        assert answer.error == {
            "code": "upstream_protocol",
            "message": "the vendor compressed its answer",
            "retryable": True,
            "vendor": "acme",
        }
        assert answer.ending == ("failed", "encoding", "upstream_protocol")
        assert vendor.requests[0].headers.getall("Accept-Encoding") == ["identity"]
        assert await gateway.outcomes() == {"encoding": 1}


BOMBS = {
    "that says so": (compressed(200, "gzip", BOMB), "encoding"),
    "that does not": (response(200, BOMB, "text/event-stream"), "truncated"),
    "in a refusal": (compressed(500, "gzip", BOMB), "status_5xx"),
}


@pytest.mark.parametrize(("data", "outcome"), BOMBS.values(), ids=BOMBS)
async def test_row_14_a_bomb_is_never_inflated(tmp_path: Path, data: bytes, outcome: str) -> None:
    async with ScriptServer([Read(), Write(data)]) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        before = resident_bytes()
        answer = await gateway.ask()
        assert answer.ending[:2] == ("failed", outcome)
        assert resident_bytes() - before < 10 * MB


# --- rows 15 to 20: refusals


def refused(status: int, code: str, **headers: str) -> list[Step]:
    body = b'{"error":"%b","message":"Your key sk-123 at http://10.0.0.7"}' % code.encode()
    return [Read(), Write(response(status, body, **headers))]


REFUSALS: list[tuple[Sequence[Step], int, dict[str, Any], str]] = [
    (
        refused(401, "UNAUTHORIZED"),
        502,
        {
            "code": "upstream_auth",
            "message": "the vendor refused our credential",
            "retryable": False,
            "vendor": "acme",
            "vendor_status": 401,
            "vendor_code": "UNAUTHORIZED",
        },
        "auth",
    ),
    (
        refused(403, "Forbidden"),
        502,
        {
            "code": "upstream_auth",
            "message": "the vendor refused our credential",
            "retryable": False,
            "vendor": "acme",
            "vendor_status": 403,
        },
        "auth",
    ),
    (
        refused(404, "CHAT_NOT_FOUND"),
        502,
        {
            "code": "upstream_not_found",
            "message": "the vendor does not know this conversation or target",
            "retryable": False,
            "vendor": "acme",
            "vendor_status": 404,
            "vendor_code": "CHAT_NOT_FOUND",
        },
        "not_found",
    ),
    (
        refused(429, "RATE_LIMIT_EXCEEDED", retry_after="7"),
        429,
        {
            "code": "upstream_rate_limited",
            "message": "the vendor limits our rate",
            "retryable": True,
            "retry_after": 7.0,
            "vendor": "acme",
            "vendor_status": 429,
            "vendor_code": "RATE_LIMIT_EXCEEDED",
        },
        "rate_limited",
    ),
    (
        refused(400, "REQUEST_VALIDATION"),
        422,
        {
            "code": "upstream_rejected",
            "message": "the vendor rejected the request",
            "retryable": False,
            "vendor": "acme",
            "vendor_status": 400,
            "vendor_code": "REQUEST_VALIDATION",
        },
        "rejected",
    ),
    (
        refused(422, "Unprocessable"),
        422,
        {
            "code": "upstream_rejected",
            "message": "the vendor rejected the request",
            "retryable": False,
            "vendor": "acme",
            "vendor_status": 422,
        },
        "rejected",
    ),
    *(
        (
            script,
            503,
            {
                "code": "upstream_unavailable",
                "message": "the vendor is unavailable",
                "retryable": True,
                "vendor": "acme",
                "vendor_status": status,
            },
            "status_5xx",
        )
        for status in (500, 503, 529)
        for script in (
            refused(status, "Internal"),
            [Read(), Write(response(status, b"x" * MB, "text/html")), Hold()],
            [Read(), Write(b"HTTP/1.1 %d E\r\n\r\n" % status), Repeat(b"x" * 65536)],
            [Read(), Write(b"HTTP/1.1 %d E\r\nContent-Length: 9\r\n\r\nx" % status), Reset()],
        )
    ),
]


@pytest.mark.parametrize(("script", "status", "error", "outcome"), REFUSALS)
async def test_rows_15_to_20_a_refusal_is_told_in_our_words_and_not_repeated(
    tmp_path: Path, script: list[Step], status: int, error: dict[str, Any], outcome: str
) -> None:
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.error) == (status, error)
        assert answer.ending == ("failed", outcome, error["code"])
        assert answer.line["vendor_status"] == error["vendor_status"]
        assert b"sk-123" not in answer.body
        assert len(vendor.requests) == 1
        assert await gateway.outcomes() == {outcome: 1}


async def test_row_15_a_limit_is_told_with_the_time_to_wait(tmp_path: Path) -> None:
    script = refused(429, "RATE_LIMIT_EXCEEDED", retry_after="7")
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        assert (await gateway.ask()).headers["Retry-After"] == "7"


async def test_row_20_the_body_of_a_refusal_may_take_five_seconds(tmp_path: Path) -> None:
    script = [Read(), Write(b"HTTP/1.1 500 Oops\r\n\r\n"), Repeat(b"x", every=0.1)]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        began = time.monotonic()
        answer = await gateway.ask()
        assert 5.0 <= time.monotonic() - began < 6.5
        assert answer.ending == ("failed", "status_5xx", "upstream_unavailable")
        await (await vendor.connection()).left(within=1)


async def test_a_first_event_that_comes_late_but_in_time_is_no_fault(tmp_path: Path) -> None:
    script = [Read(), Sleep(0.7), *told(START, HELLO, END)]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        assert (await gateway.ask()).text == "Hello"

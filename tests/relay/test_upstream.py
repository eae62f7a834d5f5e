"""Connections to vendors over real sockets: which are used again and which never, what a cut means, how we ask."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import pytest
import trustme

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import Headers, VendorRequest
from gateway.relay.upstream import (
    DRAIN_BYTES,
    DRAIN_GRACE,
    KEEPALIVE,
    Connection,
    Origin,
    Pool,
    render_head,
    split_base_url,
)
from tests.support.gateway import open_sockets, until
from tests.support.scripts import (
    HEAD,
    LAST_CHUNK,
    Close,
    HalfClose,
    Hold,
    Read,
    ReadHead,
    Repeat,
    Reset,
    ScriptServer,
    Step,
    Wait,
    Write,
    chunk,
    closed_port,
    response,
    unanswered_port,
)

REQUEST = b"POST /chat HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
HELLO = response(200, b"hello")


class Heard:
    """A reader that keeps what it is told; `heard` is set at each word."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: Headers = {}
        self.body = b""
        self.error: GatewayError | None = None
        self.is_over = asyncio.Event()
        self.has_bytes = asyncio.Event()

    def on_head(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, headers

    def on_body(self, data: bytes) -> None:
        self.body += data
        self.has_bytes.set()

    def on_end(self, error: GatewayError | None) -> None:
        assert not self.is_over.is_set()
        self.error = error
        self.is_over.set()

    async def end(self) -> GatewayError | None:
        async with asyncio.timeout(2):
            await self.is_over.wait()
        return self.error

    async def bytes_came(self) -> None:
        async with asyncio.timeout(2):
            await self.has_bytes.wait()


def origin_of(vendor: ScriptServer) -> Origin:
    return Origin("http", vendor.host, vendor.port)


async def connect(pool: Pool, origin: Origin) -> tuple[Connection, Heard]:
    """The connection that a run would take, with a request written."""
    connection = pool.take_idle(origin) or await pool.connect(origin)
    heard = Heard()
    connection.exchange(REQUEST, b"{}", heard)
    return connection, heard


@pytest.fixture
async def pool() -> Any:
    pool = Pool()
    yield pool
    pool.close()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert pool.open_connections == 0


# --- one exchange


async def test_an_answer_is_told_as_head_body_and_end(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD + chunk(b"a") + chunk(b"b") + LAST_CHUNK)]) as vendor:
        _, heard = await connect(pool, origin_of(vendor))
        assert await heard.end() is None
        assert (heard.status, heard.headers.get("content-type"), heard.body) == (200, "text/event-stream", b"ab")
        assert [(got.method, got.target, got.body) for got in vendor.requests] == [("POST", "/chat", b"{}")]


async def test_an_answer_over_tls_is_told_alike() -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    pool = Pool(client)
    async with ScriptServer([Read(), Write(HELLO), Read(), Write(HELLO)], tls=server) as vendor:
        for _ in range(2):
            _, heard = await connect(pool, Origin("https", vendor.host, vendor.port))
            assert (await heard.end(), heard.body) == (None, b"hello")
        assert len(vendor.connections) == 1
        pool.close()


async def test_a_vendor_is_written_to_without_delay(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO)]) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        assert connection.transport is not None
        assert connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
        await heard.end()


CUTS: dict[str, tuple[list[Step], str, str]] = {
    "closed without an answer": ([Close()], "reset_before_headers", "upstream_unavailable"),
    "reset without an answer": ([Reset()], "reset_before_headers", "upstream_unavailable"),
    "closed within a head": ([Write(HELLO[:20])], "reset_before_headers", "upstream_unavailable"),
    "closed within a length": ([Write(HELLO[:-1])], "reset_midstream", "upstream_unavailable"),
    "closed within chunks": ([Write(HEAD + chunk(b"a"))], "reset_midstream", "upstream_unavailable"),
    "half closed within chunks": ([Write(HEAD), HalfClose(), Hold()], "reset_midstream", "upstream_unavailable"),
    "reset within chunks": ([Write(HEAD), Reset()], "reset_midstream", "upstream_unavailable"),
    "garbage": ([Write(b"hello\r\n\r\n"), Hold()], "protocol", "upstream_protocol"),
    "garbage within chunks": ([Write(HEAD + b"zz\r\n"), Hold()], "protocol", "upstream_protocol"),
}


@pytest.mark.parametrize(("script", "cause", "code"), CUTS.values(), ids=CUTS)
async def test_a_cut_is_told_once_and_its_connection_is_never_used_again(
    pool: Pool, script: list[Step], cause: str, code: str
) -> None:
    async with ScriptServer([Read(), *script]) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        error = await heard.end()
        assert error is not None
        assert (error.cause, error.code) == (cause, code)
        assert not connection.is_open
        assert pool.take_idle(origin_of(vendor)) is None


async def test_a_reset_of_a_body_until_the_close_is_no_end_of_it(pool: Pool) -> None:
    head = b"HTTP/1.1 200 OK\r\n\r\n"
    async with ScriptServer([Read(), Write(head + b"hel"), Reset()], [Read(), Write(head + b"hello")]) as vendor:
        _, cut = await connect(pool, origin_of(vendor))
        error = await cut.end()
        assert error is not None
        assert (error.cause, cut.body in {b"", b"hel"}) == ("reset_midstream", True)
        _, whole = await connect(pool, origin_of(vendor))
        assert (await whole.end(), whole.body) == (None, b"hello")


async def test_a_request_on_a_connection_that_is_gone_is_refused(pool: Pool) -> None:
    async with ScriptServer([Hold()]) as vendor:
        connection = await pool.connect(origin_of(vendor))
        connection.abort()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(GatewayError) as caught:
            connection.exchange(REQUEST, b"{}", Heard())
        assert (caught.value.code, caught.value.cause) == ("upstream_unavailable", "connect")
        for gone in (connection.pause, connection.unpause, connection.leave, connection.abort):
            gone()


async def test_a_kept_connection_that_dies_under_a_request_says_so(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO), Read(), Reset()]) as vendor:
        first, heard = await connect(pool, origin_of(vendor))
        await heard.end()
        second, heard = await connect(pool, origin_of(vendor))
        assert first is second
        error = await heard.end()
        assert error is not None
        assert (error.code, error.cause) == ("upstream_unavailable", "stale_connection")


# --- a body that is written after its head

UPLOAD = b"POST /files HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


class StopReading(Step, frozen=True):
    """Until the test sets `go_on`."""

    go_on: asyncio.Event

    async def play(self, connection: Any) -> None:
        connection.transport.pause_reading()
        await self.go_on.wait()
        connection.transport.resume_reading()


async def fill(connection: Connection) -> int:
    """Writes until the vendor has to read on first; how many bytes."""
    size = 0
    while not connection.writing_paused:
        connection.write(chunk(b"x" * 60_000))
        size += 60_000
        await asyncio.sleep(0)
    return size


async def test_a_body_may_follow_its_head(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO)]) as vendor:
        connection = await pool.connect(origin_of(vendor))
        heard = Heard()
        connection.exchange(UPLOAD, b"", heard)
        for piece in (chunk(b"a"), chunk(b"b"), LAST_CHUNK):
            connection.write(piece)
            await connection.drain()
        assert (await heard.end(), heard.body, vendor.requests[0].body) == (None, b"hello", b"ab")


async def test_who_writes_a_body_waits_until_the_vendor_reads_on(pool: Pool) -> None:
    go_on = asyncio.Event()
    async with ScriptServer([ReadHead(), StopReading(go_on), Read(), Write(HELLO)]) as vendor:
        connection = await pool.connect(origin_of(vendor))
        heard = Heard()
        connection.exchange(UPLOAD, b"", heard)
        size = await fill(connection)
        draining = asyncio.create_task(connection.drain())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(draining), 0.05)
        go_on.set()
        await draining
        connection.write(LAST_CHUNK)
        assert (await heard.end(), len(vendor.requests[0].body)) == (None, size)


async def test_who_waits_to_write_is_told_when_the_vendor_is_gone(pool: Pool) -> None:
    reset = asyncio.Event()
    async with ScriptServer([ReadHead(), StopReading(reset), Reset()]) as vendor:
        connection = await pool.connect(origin_of(vendor))
        heard = Heard()
        connection.exchange(UPLOAD, b"", heard)
        await fill(connection)
        draining = asyncio.create_task(connection.drain())
        await asyncio.sleep(0)
        reset.set()
        with pytest.raises(GatewayError) as caught:
            await draining
        assert (caught.value.code, caught.value.cause) == ("upstream_unavailable", "reset_before_headers")
        assert await heard.end() is not None


async def test_nothing_is_written_to_a_connection_that_is_gone(pool: Pool) -> None:
    async with ScriptServer([Read(), Close()]) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        await heard.end()
        await until(lambda: connection.transport is None)
        with pytest.raises(GatewayError) as caught:
            connection.write(b"x")
        assert (caught.value.code, caught.value.cause) == ("upstream_unavailable", "reset_before_headers")
        with pytest.raises(GatewayError) as caught:
            await connection.drain()
        assert (caught.value.code, caught.value.cause) == ("upstream_unavailable", "reset_before_headers")


# --- the pool


async def test_a_connection_is_used_again_after_a_whole_answer(pool: Pool) -> None:
    script = [Read(), Write(HELLO), Read(), Write(HEAD + LAST_CHUNK), Read(), Write(HELLO)]
    async with ScriptServer(script) as vendor:
        for body in (b"hello", b"", b"hello"):
            _, heard = await connect(pool, origin_of(vendor))
            assert (await heard.end(), heard.body) == (None, body)
        assert (len(vendor.connections), len(vendor.requests)) == (1, 3)
        assert pool.open_connections == 1


UNFIT: dict[str, bytes] = {
    "Connection: close": response(200, b"hello", connection="close"),
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "a body until the close": b"HTTP/1.1 200 OK\r\n\r\nhello",
}


@pytest.mark.parametrize("data", UNFIT.values(), ids=UNFIT)
async def test_a_connection_that_its_vendor_will_not_keep_is_not_kept(pool: Pool, data: bytes) -> None:
    async with ScriptServer([Read(), Write(data)]) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        assert (await heard.end(), heard.body) == (None, b"hello")
        assert pool.take_idle(origin_of(vendor)) is None
        assert not connection.is_open


async def test_the_connection_used_last_is_used_first(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO), Hold()]) as vendor:
        origin = origin_of(vendor)
        connections = [await pool.connect(origin) for _ in range(3)]
        for connection in connections:
            heard = Heard()
            connection.exchange(REQUEST, b"{}", heard)
            await heard.end()
        assert [pool.take_idle(origin) for _ in range(4)] == [*reversed(connections), None]


async def test_connections_are_kept_by_scheme_host_and_port(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO), Hold()]) as vendor:
        origin = origin_of(vendor)
        connection, heard = await connect(pool, origin)
        await heard.end()
        others = [
            Origin("https", origin.host, origin.port),
            Origin("http", "localhost", origin.port),
            Origin("http", origin.host, origin.port + 1),
        ]
        assert [pool.take_idle(other) for other in others] == [None, None, None]
        assert pool.take_idle(origin) is connection


async def test_an_idle_connection_is_closed_after_its_time(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO), Hold()]) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        await heard.end()
        pool.sweep(connection.idle_since + KEEPALIVE - 0.1)
        assert pool.open_connections == 1
        pool.sweep(connection.idle_since + KEEPALIVE)
        await vendor.connections[0].left(within=1)
        assert pool.take_idle(origin_of(vendor)) is None


async def test_an_idle_connection_that_its_vendor_closes_is_forgotten(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO)], [Read(), Write(HELLO)]) as vendor:
        for _ in range(2):
            _, heard = await connect(pool, origin_of(vendor))
            assert await heard.end() is None
            await until(lambda: pool.open_connections == 0, within=1)
        assert len(vendor.connections) == 2
        pool.sweep(time.monotonic())
        assert pool.take_idle(origin_of(vendor)) is None


@pytest.mark.parametrize("word", [b"x", HELLO, b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
async def test_bytes_that_nobody_asked_for_close_an_idle_connection(pool: Pool, word: bytes) -> None:
    asked = asyncio.Event()
    async with ScriptServer([Read(), Write(HELLO), Wait(asked), Write(word), Hold()]) as vendor:
        _, heard = await connect(pool, origin_of(vendor))
        await heard.end()
        asked.set()
        await vendor.connections[0].left(within=1)
        assert pool.take_idle(origin_of(vendor)) is None


async def test_bytes_behind_an_answer_are_not_the_next_answer(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO + HELLO), Hold()]) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        await heard.end()
        await vendor.connections[0].left(within=1)
        assert not connection.is_open
        assert pool.take_idle(origin_of(vendor)) is None


async def test_a_connection_is_free_before_its_reader_is_told_of_the_end(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO), Read(), Write(HELLO)]) as vendor:
        origin = origin_of(vendor)
        found: list[Connection | None] = []

        class Next(Heard):
            def on_end(self, error: GatewayError | None) -> None:
                found.append(pool.take_idle(origin))
                super().on_end(error)

        connection = await pool.connect(origin)
        heard = Next()
        connection.exchange(REQUEST, b"{}", heard)
        await heard.end()
        assert found == [connection]


async def test_a_connection_that_its_reader_paused_with_the_last_bytes_reads_again_in_the_pool(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO), Read(), Write(HELLO)]) as vendor:

        class Pausing(Heard):
            def on_body(self, data: bytes) -> None:
                super().on_body(data)
                connection.pause()

        connection = await pool.connect(origin_of(vendor))
        heard = Pausing()
        connection.exchange(REQUEST, b"{}", heard)
        await heard.end()
        again, heard_again = await connect(pool, origin_of(vendor))
        assert again is connection
        assert (await heard_again.end(), heard_again.body) == (None, b"hello")


async def test_a_connection_that_was_paused_is_noticed_in_the_pool_when_its_vendor_closes_it(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO)]) as vendor:

        class Pausing(Heard):
            def on_head(self, status: int, headers: Headers) -> None:
                connection.pause()

        connection = await pool.connect(origin_of(vendor))
        heard = Pausing()
        connection.exchange(REQUEST, b"{}", heard)
        await heard.end()
        await until(lambda: pool.open_connections == 0, within=1)


async def test_a_reader_may_leave_as_it_is_told_of_the_head(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD + chunk(b"a") + LAST_CHUNK), Hold()]) as vendor:

        class Leaving(Heard):
            def on_head(self, status: int, headers: Headers) -> None:
                super().on_head(status, headers)
                connection.abort()

        connection = await pool.connect(origin_of(vendor))
        heard = Leaving()
        connection.exchange(REQUEST, b"{}", heard)
        await vendor.connections[0].left(within=1)
        assert (heard.status, heard.body, heard.is_over.is_set()) == (200, b"", False)


async def test_a_pool_that_closes_closes_all(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD), Hold()]) as vendor:
        for _ in range(2):
            await connect(pool, origin_of(vendor))
        assert pool.open_connections == 2
        pool.close()
        for number in range(2):
            await (await vendor.connection(number)).left(within=1)


# --- leaving an answer


async def test_the_rest_of_an_answer_comes_in_so_that_its_connection_is_used_again(pool: Pool) -> None:
    left = asyncio.Event()
    script = [Read(), Write(HEAD + chunk(b"a")), Wait(left), Write(chunk(b"b") + LAST_CHUNK), Read(), Write(HELLO)]
    async with ScriptServer(script) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        await heard.bytes_came()
        connection.pause()
        connection.leave()
        left.set()
        await until(lambda: connection.idle_since > 0, within=1)
        assert (heard.body, heard.is_over.is_set()) == (b"a", False)
        again, heard = await connect(pool, origin_of(vendor))
        assert again is connection
        assert (await heard.end(), heard.body) == (None, b"hello")


async def test_an_answer_that_is_left_before_its_head_is_cut_off(pool: Pool) -> None:
    async with ScriptServer([Read(), Hold()]) as vendor:
        connection, _ = await connect(pool, origin_of(vendor))
        await (await vendor.connection()).heard(b"{}")
        connection.leave()
        await vendor.connections[0].left(within=1)


async def test_a_rest_that_takes_too_long_is_cut_off(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD + chunk(b"a")), Hold()]) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        await heard.bytes_came()
        connection.leave()
        now = time.monotonic()
        pool.sweep(now + DRAIN_GRACE - 0.2)
        assert pool.open_connections == 1
        pool.sweep(now + DRAIN_GRACE)
        await vendor.connections[0].left(within=1)


async def test_a_rest_that_is_too_large_is_cut_off(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD + chunk(b"a")), Repeat(chunk(b"x" * 10_000))]) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        await heard.bytes_came()
        before = len(heard.body)
        connection.leave()
        await vendor.connections[0].left(within=2)
        assert not connection.is_open
        assert len(heard.body) == before
        assert before < DRAIN_BYTES


async def test_a_rest_that_cannot_be_read_is_cut_off(pool: Pool) -> None:
    left = asyncio.Event()
    async with ScriptServer([Read(), Write(HEAD + chunk(b"a")), Wait(left), Write(b"zz\r\n"), Hold()]) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        await heard.bytes_came()
        connection.leave()
        left.set()
        await vendor.connections[0].left(within=1)
        assert pool.take_idle(origin_of(vendor)) is None


async def test_leaving_an_answer_that_is_over_does_nothing(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO), Hold()]) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        await heard.end()
        connection.leave()
        assert pool.take_idle(origin_of(vendor)) is connection


async def test_a_paused_vendor_waits_and_goes_on(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD), Repeat(chunk(b"x" * 60_000))]) as vendor:
        connection, heard = await connect(pool, origin_of(vendor))
        await heard.bytes_came()
        connection.pause()
        await vendor.connections[0].stalled(within=5)
        size = len(heard.body)
        await asyncio.sleep(0.05)
        assert len(heard.body) == size
        heard.has_bytes.clear()
        connection.unpause()
        await heard.bytes_came()
        connection.abort()


# --- connecting

Addresses = list[tuple[int, int, int, str, tuple[str, int]]]


def addresses(*found: tuple[str, int]) -> Callable[..., Any]:
    async def getaddrinfo(*_: object, **__: object) -> Addresses:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in found]

    return getaddrinfo


async def test_a_dead_address_is_passed_over(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptServer([Read(), Write(HELLO)]) as vendor:
        resolve = addresses(("127.0.0.2", closed_port("127.0.0.2")), (vendor.host, vendor.port))
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        _, heard = await connect(pool, Origin("http", "acme.test", 80))
        assert (await heard.end(), heard.body) == (None, b"hello")


async def test_an_address_that_does_not_answer_is_not_waited_for(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    async with ScriptServer([Read(), Write(HELLO)]) as vendor, unanswered_port() as port:
        resolve = addresses(("127.0.0.1", port), (vendor.host, vendor.port))
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        began = time.monotonic()
        _, heard = await connect(pool, Origin("http", "acme.test", 80))
        assert (await heard.end(), heard.body) == (None, b"hello")
        assert time.monotonic() - began < 1


async def test_a_vendor_of_dead_addresses_cannot_be_reached(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    resolve = addresses(("127.0.0.2", closed_port("127.0.0.2")), ("127.0.0.1", closed_port()))
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(GatewayError) as caught:
        await pool.connect(Origin("http", "acme.test", 80))
    assert (caught.value.code, caught.value.cause) == ("upstream_unavailable", "connect")
    assert str(caught.value.vendor_message).startswith("acme.test:80: ")


async def test_a_connecting_that_is_given_up_leaves_no_socket_behind(pool: Pool) -> None:
    async with unanswered_port() as port:
        before = open_sockets()
        connecting = asyncio.create_task(pool.connect(Origin("http", "127.0.0.1", port)))
        await until(lambda: open_sockets() == before + 1)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert (open_sockets(), pool.open_connections) == (before, 0)


# --- how a request looks

ACME = Origin("https", "acme.test", 443)
OURS = b"Accept-Encoding: identity\r\nUser-Agent: protocol-gateway\r\n"


def test_a_post_has_its_path_behind_the_base_our_headers_the_credential_and_its_own() -> None:
    post = VendorRequest("POST", "/chat", headers={"Content-Type": "application/json"})
    assert render_head(post, ACME, "/v1", {"Authorization": "Bearer k"}, 7) == (
        b"POST /v1/chat HTTP/1.1\r\nHost: acme.test\r\n" + OURS + b"Authorization: Bearer k\r\n"
        b"Content-Type: application/json\r\nContent-Length: 7\r\n\r\n"
    )


def test_where_neither_has_a_path_the_root_is_asked_for() -> None:
    assert render_head(VendorRequest("GET", ""), ACME, "", {}, 0).startswith(b"GET / HTTP/1.1\r\n")
    assert render_head(VendorRequest("GET", "", query={"a": "1"}), ACME, "", {}, 0).startswith(
        b"GET /?a=1 HTTP/1.1\r\n"
    )


def test_a_header_of_the_request_goes_before_one_of_ours() -> None:
    get = VendorRequest("GET", "/", headers={"User-Agent": "acme-client"})
    assert render_head(get, ACME, "", {}, 0) == (
        b"GET / HTTP/1.1\r\nHost: acme.test\r\nAccept-Encoding: identity\r\nUser-Agent: acme-client\r\n\r\n"
    )


LENGTHS = [
    ("GET", b""),
    ("HEAD", b""),
    ("DELETE", b""),
    ("POST", b"Content-Length: 0\r\n"),
    ("PUT", b"Content-Length: 0\r\n"),
]


@pytest.mark.parametrize(("method", "length"), LENGTHS)
def test_a_request_without_a_body_says_so_where_it_could_have_one(method: str, length: bytes) -> None:
    expected = method.encode() + b" / HTTP/1.1\r\nHost: acme.test\r\n" + OURS + length + b"\r\n"
    assert render_head(VendorRequest(method, "/"), ACME, "", {}, 0) == expected


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_request_of_unknown_length_comes_in_chunks(method: str) -> None:
    expected = method.encode() + b" / HTTP/1.1\r\nHost: acme.test\r\n" + OURS + b"Transfer-Encoding: chunked\r\n\r\n"
    assert render_head(VendorRequest(method, "/"), ACME, "", {}, None) == expected


@pytest.mark.parametrize("name", ["Transfer-Encoding", "content-length", "Host", "CONNECTION"])
def test_a_header_that_is_ours_to_set_is_set_by_nobody_else(name: str) -> None:
    for request_, headers in [
        (VendorRequest("GET", "/", headers={name: "x"}), {}),
        (VendorRequest("GET", "/"), {name: "x"}),
    ]:
        with pytest.raises(GatewayError) as caught:
            render_head(request_, ACME, "", headers, None)
        assert caught.value.code == "internal"


def test_a_query_is_encoded() -> None:
    get = VendorRequest("GET", "/find", query={"q": "a b&c=d\r\n", "é": "ü"})
    expected = b"GET /find?q=a+b%26c%3Dd%0D%0A&%C3%A9=%C3%BC HTTP/1.1\r\nHost: acme.test\r\n" + OURS + b"\r\n"
    assert render_head(get, ACME, "", {}, 0) == expected


HOSTS: dict[bytes, Origin] = {
    b"acme.test": ACME,
    b"acme.test:80": Origin("https", "acme.test", 80),
    b"acme.test:443": Origin("http", "acme.test", 443),
    b"[::1]": Origin("http", "::1", 80),
    b"[::1]:8080": Origin("http", "::1", 8080),
}


@pytest.mark.parametrize(("host", "origin"), HOSTS.items(), ids=map(bytes.decode, HOSTS))
def test_a_host_has_its_port_where_that_is_not_the_schemes(host: bytes, origin: Origin) -> None:
    expected = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n" + OURS + b"\r\n"
    assert render_head(VendorRequest("GET", "/"), origin, "", {}, 0) == expected


INJECTIONS: dict[str, VendorRequest] = {
    "a line end in a header": VendorRequest("GET", "/", headers={"X-A": "1\r\nX-Evil: 1"}),
    "a bare LF in a header": VendorRequest("GET", "/", headers={"X-A": "1\nX-Evil: 1"}),
    "a bare CR in a header": VendorRequest("GET", "/", headers={"X-A": "1\rX-Evil: 1"}),
    "NUL in a header": VendorRequest("GET", "/", headers={"X-A": "1\0"}),
    "a line end in a name": VendorRequest("GET", "/", headers={"X-A: 1\r\nX-Evil": "1"}),
    "a line end in a path": VendorRequest("GET", "/a HTTP/1.1\r\nX-Evil: 1\r\n\r\n"),
    "a space in a path": VendorRequest("GET", "/a HTTP/1.1"),
    "a line end in a method": VendorRequest("GET / HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET", "/"),
}


@pytest.mark.parametrize("request_", INJECTIONS.values(), ids=INJECTIONS)
def test_what_would_be_an_injection_is_not_sent(request_: VendorRequest) -> None:
    with pytest.raises(GatewayError) as caught:
        render_head(request_, ACME, "", {}, 0)
    assert (caught.value.code, caught.value.message) == ("internal", "a request to the vendor could not be built")


def test_text_that_is_no_unicode_is_not_sent() -> None:
    with pytest.raises((GatewayError, UnicodeError)):
        render_head(VendorRequest("GET", "/", headers={"X-A": "\ud800"}), ACME, "", {}, 0)


URLS: dict[str, tuple[Origin, str]] = {
    "https://acme.test": (Origin("https", "acme.test", 443), ""),
    "http://acme.test/": (Origin("http", "acme.test", 80), ""),
    "https://acme.test:8443/v1/": (Origin("https", "acme.test", 8443), "/v1"),
    "http://[::1]:8080/a/b": (Origin("http", "::1", 8080), "/a/b"),
    "https://ACME.test": (Origin("https", "acme.test", 443), ""),
}


@pytest.mark.parametrize(("url", "expected"), URLS.items(), ids=URLS)
def test_a_base_url_is_an_origin_and_a_path(url: str, expected: tuple[Origin, str]) -> None:
    assert split_base_url(url) == expected


@pytest.mark.parametrize("url", ["", "acme.test", "ftp://acme.test", "https://", "//acme.test", "file:///etc/passwd"])
def test_any_other_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an http"):
        split_base_url(url)

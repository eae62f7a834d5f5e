"""The script server and the raw client do what their names say, or no fault test proves anything."""

import asyncio
import itertools
import ssl
import time

import pytest
import trustme

from tests.support.scripts import (
    HEAD,
    LAST_CHUNK,
    Close,
    Drip,
    HalfClose,
    Hold,
    RawClient,
    Read,
    ReadHead,
    Repeat,
    Reset,
    ScriptServer,
    Sleep,
    Wait,
    Write,
    chunk,
    closed_port,
    parse_request,
    request,
    response,
    unanswered_port,
)

CHUNKED = b"POST /up HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"


async def test_a_request_is_recorded_as_it_stood_on_the_wire_and_as_it_reads() -> None:
    sent = b"POST /chat?a=1 HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two: 2\r\nContent-Length: 2\r\n\r\n{}"
    async with ScriptServer([Read(), Write(response(200, b"[]"))]) as vendor, RawClient(vendor.url) as client:
        await client.send(sent)
        await client.read_all()
        (received,) = vendor.requests
    assert (received.raw, received.method, received.target, received.body) == (sent, "POST", "/chat?a=1", b"{}")
    assert received.headers.getall("X-Two") == ["1", "2"]


@pytest.mark.parametrize("sent", [CHUNKED, request("POST", "/up", b"hello!")], ids=["chunked", "length"])
def test_a_request_is_read_once_its_last_byte_is_there(sent: bytes) -> None:
    assert [parse_request(sent[:length]) for length in range(len(sent))] == [None] * len(sent)
    received = parse_request(sent + b"GET / HTTP/1.1\r\n")
    assert received is not None
    assert (received.raw, received.body) == (sent, b"hello!")


async def test_an_answer_names_its_status_headers_and_length() -> None:
    answer = response(429, b"{}", retry_after="3")
    assert answer == (
        b"HTTP/1.1 429 Status\r\nContent-Type: application/json\r\nContent-Length: 2\r\nRetry-After: 3\r\n\r\n{}"
    )


async def test_two_requests_on_one_connection_are_answered_in_turn() -> None:
    script = [Read(), Write(response(200, b"1")), Read(), Write(response(200, b"2"))]
    async with ScriptServer(script) as vendor, RawClient(vendor.url) as client:
        await client.send(request("GET", "/a") + request("GET", "/b"))
        answers = await client.read_all()
        assert answers == response(200, b"1") + response(200, b"2")
        assert [each.target for each in vendor.requests] == ["/a", "/b"]


async def test_each_connection_plays_its_own_script_and_the_last_one_is_repeated() -> None:
    answers = []
    async with ScriptServer([Write(b"first")], [Write(b"later")]) as vendor:
        for _ in range(3):
            async with RawClient(vendor.url) as client:
                answers.append(await client.read_all())
    assert answers == [b"first", b"later", b"later"]


async def test_the_head_of_a_request_can_be_answered_before_its_body_came() -> None:
    script = [ReadHead(), Write(b"HTTP/1.1 100 Continue\r\n\r\n"), Read(), Write(response(200, b"ok"))]
    async with ScriptServer(script) as vendor, RawClient(vendor.url) as client:
        await client.send(b"PUT / HTTP/1.1\r\nContent-Length: 4\r\n\r\n")
        assert await client.read_until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert vendor.requests == []
        await client.send(b"body")
        assert await client.read_all() == response(200, b"ok")
        assert [each.body for each in vendor.requests] == [b"body"]


async def test_a_reset_reaches_the_client_as_a_reset() -> None:
    arrived = asyncio.Event()
    script = [Read(), Write(HEAD + chunk(b"data: ha")), Wait(arrived), Reset()]
    async with ScriptServer(script) as vendor, RawClient(vendor.url) as client:
        await client.send(request("GET", "/"))
        assert await client.read_until(b"data: ha") == HEAD + b"8\r\ndata: ha"
        arrived.set()
        with pytest.raises(ConnectionResetError):
            await client.read_all()


async def test_a_half_close_ends_what_the_vendor_says_and_nothing_else() -> None:
    async with ScriptServer([Write(b"bye"), HalfClose(), Read(), Hold()]) as vendor, RawClient(vendor.url) as client:
        assert await client.read_all() == b"bye"
        await client.send(request("POST", "/", b"still here"))
        client.finish()
        assert await (await vendor.connection()).left() == "closed"
        assert [each.body for each in vendor.requests] == [b"still here"]


async def test_a_client_that_closes_is_told_from_one_that_resets() -> None:
    async with ScriptServer([Hold()]) as vendor:
        before = time.monotonic()
        async with RawClient(vendor.url) as polite:
            await vendor.connection(0)
            polite.close()
        async with RawClient(vendor.url) as rude:
            await vendor.connection(1)
            rude.reset()
        assert [await each.left() for each in vendor.connections] == ["closed", "reset"]
        assert all(before <= (each.left_at or 0) <= time.monotonic() for each in vendor.connections)


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\n"], ids=["nothing", "half a head"])
async def test_a_client_that_closes_before_it_has_asked_ends_the_play(sent: bytes) -> None:
    async with ScriptServer([Read(), Hold()]) as vendor:
        async with RawClient(vendor.url) as client:
            await client.send(sent)
            connection = await vendor.connection()
        assert await asyncio.wait([connection.playing], timeout=1) == ({connection.playing}, set())
        assert connection.leaving == "closed"


async def test_a_client_that_stays_is_waited_for_in_vain() -> None:
    async with ScriptServer([Hold()]) as vendor, RawClient(vendor.url) as client:
        await client.send(b"x")
        connection = await vendor.connection()
        await connection.heard(b"x")
        with pytest.raises(TimeoutError):
            await connection.left(within=0.05)


async def test_a_close_of_ours_is_not_taken_for_the_peers() -> None:
    async with ScriptServer([Close()]) as vendor, RawClient(vendor.url) as client:
        assert await client.read_all() == b""
        client.close()
        await asyncio.sleep(0.01)
        assert vendor.connections[0].leaving is None


async def test_an_endless_answer_goes_no_faster_than_it_is_read_and_ends_with_the_client() -> None:
    async with ScriptServer([Repeat(b"x" * 65536)]) as vendor:
        async with RawClient(vendor.url, receive_buffer=4096) as client:
            await client.read_until(b"x" * 100_000)
            connection = await vendor.connection()
            await connection.stalled()
            await asyncio.sleep(0.05)
            assert connection.transport.get_write_buffer_size() <= 2 * 65536
        assert await connection.left() == "reset"


async def test_bytes_drip_one_at_a_time() -> None:
    script = [Drip(b"abc", every=0.02), Sleep(0.02), Drip(b"defg", size=2)]
    async with ScriptServer(script) as vendor, RawClient(vendor.url) as client:
        before = time.monotonic()
        assert await client.read_all() == b"abcdefg"
        assert time.monotonic() - before >= 0.08


async def test_a_client_can_drip_its_request() -> None:
    async with ScriptServer([Read(), Write(b"ok")]) as vendor, RawClient(vendor.url) as client:
        before = time.monotonic()
        await client.drip(request("GET", "/slow"), every=0.005, size=10)
        assert await client.read_all() == b"ok"
        assert time.monotonic() - before >= 0.02
        assert [each.target for each in vendor.requests] == ["/slow"]


async def test_a_marker_that_never_comes_is_an_end_of_file() -> None:
    async with ScriptServer([Write(HEAD + LAST_CHUNK)]) as vendor, RawClient(vendor.url) as client:
        assert await client.read_until(b"\r\n\r\n") == HEAD
        with pytest.raises(EOFError) as caught:
            await client.read_until(b"data:")
        assert caught.value.args == (LAST_CHUNK,)


async def test_a_client_may_leave_its_answer_unread() -> None:
    script = [Read(), Repeat(b"x" * 65536)]
    async with ScriptServer(script) as vendor, RawClient(vendor.url, receive_buffer=4096) as client:
        await client.send(request("GET", "/"))
        connection = await vendor.connection()
        await connection.stalled()
        client.reset()
        assert await connection.left() == "reset"


async def test_a_script_listens_on_another_address_behind_a_certificate() -> None:
    authority = trustme.CA()
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.2").configure_cert(ours)
    theirs = ssl.create_default_context()
    authority.configure_trust(theirs)
    async with ScriptServer([Read(), Write(b"secret"), Reset()], host="127.0.0.2", tls=ours) as vendor:
        assert vendor.url == f"https://127.0.0.2:{vendor.port}"
        reader, writer = await asyncio.open_connection("127.0.0.2", vendor.port, ssl=theirs)
        writer.write(request("GET", "/"))
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()
        with pytest.raises(ConnectionResetError):
            await writer.wait_closed()


async def test_what_a_script_does_wrong_fails_its_test() -> None:
    async def send_a_chunk_of_no_size() -> None:
        async with ScriptServer([Read()]) as vendor, RawClient(vendor.url) as client:
            await client.send(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
            await client.read_all()

    with pytest.raises(ValueError, match="'zz'"):
        await send_a_chunk_of_no_size()


async def test_a_failed_test_is_not_blamed_on_its_script() -> None:
    async def send_nonsense_and_fail() -> None:
        async with ScriptServer([Read()]) as vendor, RawClient(vendor.url) as client:
            await client.send(b"nonsense\r\n\r\n")
            await client.read_all()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await send_nonsense_and_fail()


async def test_a_closed_port_refuses() -> None:
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", closed_port())


async def test_an_unanswered_port_lets_a_client_hang() -> None:
    async with unanswered_port() as port:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await asyncio.open_connection("127.0.0.1", port)


def test_a_chunk_names_its_length_in_hexadecimal() -> None:
    assert list(itertools.starmap(chunk, [(b"x" * 11,), (b"",)])) == [b"b\r\nxxxxxxxxxxx\r\n", LAST_CHUNK]

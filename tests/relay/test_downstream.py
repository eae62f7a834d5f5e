"""The client's side of a stream over real sockets: what is written when, to clients that read, do not read, or left."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from gateway.relay.downstream import ClientGone, Downstream, send_document
from tests.support.scripts import RawClient, request

Handle = Callable[[Downstream, web.Request], Awaitable[web.StreamResponse]]

ASK = request("POST", "/")
OLD_ASK = b"POST / HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
BIG = b"x" * 65_536


@asynccontextmanager
async def serving(handle: Handle, *, is_cancelled: bool = True) -> AsyncIterator[str]:
    """A server of one handler, which is cancelled when its client leaves unless that is to be seen by itself."""

    async def answer(asked: web.Request) -> web.StreamResponse:
        await asked.read()
        return await handle(Downstream(asked, "text/event-stream", {"X-Request-Id": "r-1"}), asked)

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, handler_cancellation=is_cancelled, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_head_leaves_with_the_first_bytes_and_each_write_is_one_chunk() -> None:
    may_end = asyncio.Event()

    async def handle(downstream: Downstream, _: web.Request) -> web.StreamResponse:
        assert downstream.write(b"id: 0\n\n")
        assert downstream.write(b"id: 1\n\nid: 2\n\n")
        await may_end.wait()
        return await downstream.end(b"id: 3\n\n", 1)

    async with serving(handle) as url, RawClient(url) as client:
        await client.send(ASK)
        head = await client.read_until(b"\r\n\r\n")
        lines = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        del lines["Date"], lines["Server"]
        assert {name.lower(): value for name, value in lines.items()} == {
            "content-type": "text/event-stream",
            "cache-control": "no-cache, no-transform",
            "x-accel-buffering": "no",
            "x-request-id": "r-1",
            "transfer-encoding": "chunked",
        }
        assert await client.read_until(b"id: 2\n\n\r\n") == b"7\r\nid: 0\n\n\r\ne\r\nid: 1\n\nid: 2\n\n\r\n"
        may_end.set()
        assert await client.read_until(b"0\r\n\r\n") == b"7\r\nid: 3\n\n\r\n0\r\n\r\n"


async def test_a_stream_that_is_over_at_its_start_is_written_at_once() -> None:
    async def handle(downstream: Downstream, _: web.Request) -> web.StreamResponse:
        await downstream.drain(1)
        return await downstream.end(b"id: 0\n\n", 1)

    async with serving(handle) as url, RawClient(url) as client:
        await client.send(ASK)
        assert (await client.read_until(b"0\r\n\r\n")).endswith(b"\r\n\r\n7\r\nid: 0\n\n\r\n0\r\n\r\n")


@pytest.mark.parametrize("is_over", [False, True])
async def test_the_head_and_the_first_bytes_are_one_write(monkeypatch: pytest.MonkeyPatch, *, is_over: bool) -> None:
    writes: list[bytes] = []

    async def handle(downstream: Downstream, asked: web.Request) -> web.StreamResponse:
        transport = asked.transport
        assert transport is not None
        write = transport.write

        def look_at(data: bytes) -> None:
            writes.append(data)
            write(data)

        monkeypatch.setattr(transport, "write", look_at)
        if not is_over:
            downstream.write(b"id: 0\n\n")
        return await downstream.end(b"id: 1\n\n", 1)

    async with serving(handle) as url, RawClient(url) as client:
        await client.send(ASK)
        await client.read_until(b"0\r\n\r\n")
    assert len(writes) == (1 if is_over else 2)
    assert writes[0].startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_client_of_http_1_0_gets_no_chunks() -> None:
    async def handle(downstream: Downstream, _: web.Request) -> web.StreamResponse:
        downstream.write(b"id: 0\n\n")
        downstream.write(b"id: 1\n\n")
        return await downstream.end(b"id: 2\n\n", 1)

    async with serving(handle) as url, RawClient(url) as client:
        await client.send(OLD_ASK)
        head, _, body = (await client.read_all()).partition(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        assert body == b"id: 0\n\nid: 1\n\nid: 2\n\n"


async def test_a_client_is_written_to_without_delay() -> None:
    found: list[int] = []

    async def handle(downstream: Downstream, asked: web.Request) -> web.StreamResponse:
        assert asked.transport is not None
        found.append(asked.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return await downstream.end(b"", 1)

    async with serving(handle) as url, RawClient(url) as client:
        await client.send(ASK)
        await client.read_until(b"0\r\n\r\n")
    assert found
    assert 0 not in found


@pytest.mark.parametrize("ask", [ASK, OLD_ASK], ids=["HTTP/1.1", "HTTP/1.0"])
async def test_a_client_that_reads_on_gets_all_of_it_in_order(ask: bytes) -> None:
    async def handle(downstream: Downstream, _: web.Request) -> web.StreamResponse:
        for number in range(200):
            if not downstream.write(b"%05d" % number + BIG):
                await downstream.drain(5)
        return await downstream.end(b"", 1)

    async with serving(handle) as url, RawClient(url, receive_buffer=262_144) as client:
        await client.send(ask)
        if ask is ASK:
            body = await client.read_until(b"0\r\n\r\n", within=20)
            assert [b"%05d" % number + b"x" in body for number in range(200)] == [True] * 200
        else:
            _, _, body = (await client.read_all(within=20)).partition(b"\r\n\r\n")
            assert body == b"".join(b"%05d" % number + BIG for number in range(200))


async def test_a_wait_that_is_broken_off_spoils_no_later_one() -> None:
    waited: list[float] = []

    async def handle(downstream: Downstream, _: web.Request) -> web.StreamResponse:
        while downstream.write(BIG):
            pass
        for wait in (downstream.drain(10), downstream.drain(0.2), downstream.end(BIG, 0.2)):
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await wait
            waited.append(time.monotonic() - began)
        downstream.abort()
        raise ClientGone

    async with serving(handle) as url, RawClient(url, receive_buffer=4096) as client:
        await client.send(ASK)
        async with asyncio.timeout(5):
            while len(waited) < 3:  # noqa: ASYNC110  (no event is set for it)
                await asyncio.sleep(0.01)
    assert [seconds > 0.1 for seconds in waited] == [True, True, True]


async def drain(downstream: Downstream) -> None:
    await downstream.drain(0.2)


async def end(downstream: Downstream) -> None:
    await downstream.end(BIG, 0.2)


@pytest.mark.parametrize("step", [drain, end])
async def test_a_client_that_does_not_read_meets_the_deadline_and_is_cut(
    step: Callable[[Downstream], Awaitable[None]],
) -> None:
    """At the end of a stream too, whose last bytes would else be kept for as long as the client likes."""
    is_late = asyncio.Event()

    async def handle(downstream: Downstream, _: web.Request) -> web.StreamResponse:
        for _number in range(1000):
            if not downstream.write(BIG):
                break
        with pytest.raises(TimeoutError):
            await step(downstream)
        downstream.abort()
        downstream.abort()
        is_late.set()
        raise ClientGone

    async with serving(handle) as url, RawClient(url, receive_buffer=65_536) as client:
        await client.send(ASK)
        async with asyncio.timeout(5):
            await is_late.wait()
        assert not (await client.read_all(within=20)).endswith(b"0\r\n\r\n")


async def test_a_document_leaves_whole() -> None:
    async def handle(_: Downstream, asked: web.Request) -> web.StreamResponse:
        return await send_document(asked, web.Response(body=b"{}"), 1)

    async with serving(handle) as url, RawClient(url) as client:
        await client.send(ASK)
        assert (await client.read_until(b"{}")).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_a_document_that_is_not_read_in_time_is_cut() -> None:
    is_cut = asyncio.Event()

    async def handle(_: Downstream, asked: web.Request) -> web.StreamResponse:
        with pytest.raises(ClientGone):
            await send_document(asked, web.Response(body=BIG * 200), 0.2)
        is_cut.set()
        raise ClientGone

    async with serving(handle) as url, RawClient(url, receive_buffer=65_536) as client:
        await client.send(ASK)
        async with asyncio.timeout(5):
            await is_cut.wait()
        assert len(await client.read_all(within=20)) < len(BIG) * 200


async def test_a_document_for_a_client_that_left_is_written_to_nobody() -> None:
    told = asyncio.Event()

    async def handle(_: Downstream, asked: web.Request) -> web.StreamResponse:
        assert asked.transport is not None
        asked.transport.abort()
        with pytest.raises(ClientGone):
            await send_document(asked, web.Response(body=b"{}"), 1)
        told.set()
        raise ClientGone

    async with serving(handle) as url, RawClient(url) as client:
        await client.send(ASK)
        async with asyncio.timeout(2):
            await told.wait()


@pytest.mark.parametrize("begun", ["before the head", "in the stream"])
async def test_a_client_that_left_is_told_of_at_the_next_step(begun: str) -> None:
    left = asyncio.Event()
    told: list[str] = []

    async def handle(downstream: Downstream, asked: web.Request) -> web.StreamResponse:
        if begun == "in the stream":
            downstream.write(b"id: 0\n\n")
        assert asked.transport is not None
        asked.transport.abort()
        for step in ("write", "drain", "end"):
            try:
                if step == "write":
                    downstream.write(b"id: 1\n\n")
                elif step == "drain":
                    await downstream.drain(1)
                else:
                    await downstream.end(b"", 1)
            except ClientGone:
                told.append(step)
        downstream.abort()
        left.set()
        return web.Response()

    async with serving(handle) as url, RawClient(url) as client:
        await client.send(ASK)
        async with asyncio.timeout(2):
            await left.wait()
    assert "write" in told
    assert "end" in told


async def test_a_client_that_left_before_is_told_of_though_there_is_nothing_to_wait_for() -> None:
    told = asyncio.Event()

    async def handle(downstream: Downstream, asked: web.Request) -> web.StreamResponse:
        downstream.write(b"id: 0\n\n")
        assert asked.transport is not None
        asked.transport.abort()
        await asyncio.sleep(0.01)
        with pytest.raises(ClientGone):
            await downstream.drain(1)
        told.set()
        raise ClientGone

    async with serving(handle, is_cancelled=False) as url, RawClient(url) as client:
        await client.send(ASK)
        async with asyncio.timeout(2):
            await told.wait()


@pytest.mark.parametrize("leave", [RawClient.reset, RawClient.close], ids=["reset", "close"])
async def test_waiting_for_a_client_ends_when_it_leaves(leave: Callable[[RawClient], None]) -> None:
    stalled, told = asyncio.Event(), asyncio.Event()

    async def handle(downstream: Downstream, _: web.Request) -> web.StreamResponse:
        while downstream.write(BIG):
            pass
        stalled.set()
        with pytest.raises(ClientGone):
            await downstream.drain(5)
        told.set()
        raise ClientGone

    async with serving(handle, is_cancelled=False) as url, RawClient(url, receive_buffer=65_536) as client:
        await client.send(ASK)
        async with asyncio.timeout(5):
            await stalled.wait()
            leave(client)
            await told.wait()

"""An answer on its way past, over real sockets: taken piece by piece or whole, paused, broken, late and left."""

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.canonical.errors import GatewayError
from gateway.relay.passing import MAX_WAITING, Passing
from gateway.relay.upstream import Connection, Origin, Pool
from tests.support.gateway import until
from tests.support.scripts import (
    HEAD,
    LAST_CHUNK,
    Close,
    Hold,
    Read,
    Repeat,
    Reset,
    ScriptServer,
    Step,
    Wait,
    Write,
    chunk,
    response,
)

REQUEST = b"POST /files HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
HELLO = response(200, b"hello")


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    mishaps: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, mishap: mishaps.append(mishap))
    pool = Pool()
    yield pool
    pool.close()
    await until(lambda: pool.open_connections == 0)
    gc.collect(1)  # a failure's traceback may be what keeps it
    assert mishaps == []


async def connect(pool: Pool, vendor: ScriptServer) -> Connection:
    origin = Origin("http", vendor.host, vendor.port)
    return pool.take_idle(origin) or await pool.connect(origin)


async def ask(pool: Pool, vendor: ScriptServer, deadline: float = 2) -> Passing:
    """An answer whose head has come."""
    connection = await connect(pool, vendor)
    passing = Passing(connection)
    connection.exchange(REQUEST, b"{}", passing)
    passing.is_sent = True
    await passing.begin(deadline)
    return passing


async def test_an_answer_is_its_head_and_its_pieces(pool: Pool) -> None:
    second = asyncio.Event()
    script = [Read(), Write(HEAD + chunk(b"a")), Wait(second), Write(chunk(b"b") + LAST_CHUNK), Hold()]
    async with ScriptServer(script) as vendor:
        passing = await ask(pool, vendor)
        assert (passing.status, passing.headers["content-type"]) == (200, "text/event-stream")
        pieces = []
        async for piece in passing.pieces(2):
            pieces.append(piece)
            second.set()
        assert pieces == [b"a", b"b"]
        passing.close()
        assert (await connect(pool, vendor)).is_reused


async def test_an_answer_is_read_whole(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO), Read(), Write(response(200, b""))]) as vendor:
        assert await (await ask(pool, vendor)).whole(5) == b"hello"
        assert await (await ask(pool, vendor)).whole(0) == b""


async def test_an_answer_over_the_limit_is_too_large(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD), Repeat(chunk(b"x" * 1000))]) as vendor:
        passing = await ask(pool, vendor)
        with pytest.raises(GatewayError) as caught:
            await passing.whole(100_000)
        assert (caught.value.code, caught.value.cause) == ("upstream_protocol", "too_large")
        assert caught.value.message == "a document is over 100000 bytes"
        passing.close()
        await vendor.connections[0].left()


async def test_an_answer_that_never_begins_is_given_up(pool: Pool) -> None:
    async with ScriptServer([Read(), Hold()]) as vendor:
        with pytest.raises(GatewayError) as caught:
            await ask(pool, vendor, deadline=0.05)
        assert (caught.value.code, caught.value.cause) == ("upstream_timeout", "first_event_timeout")


async def test_an_answer_that_comes_drop_by_drop_must_still_be_whole_in_time(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD), Repeat(chunk(b"x"), every=0.01)]) as vendor:
        passing = await ask(pool, vendor, deadline=0.15)
        with pytest.raises(GatewayError) as caught:
            await passing.whole(1000)
        assert (caught.value.code, caught.value.cause) == ("upstream_timeout", "total_timeout")
        passing.close()
        await vendor.connections[0].left()


async def test_pieces_that_fall_silent_are_given_up(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD + chunk(b"a")), Hold()]) as vendor:
        passing = await ask(pool, vendor)
        pieces = passing.pieces(0.05)
        assert await anext(pieces) == b"a"
        with pytest.raises(GatewayError) as caught:
            await anext(pieces)
        assert (caught.value.code, caught.value.cause) == ("upstream_timeout", "idle_timeout")
        passing.close()
        await vendor.connections[0].left()


BREAKS: dict[str, tuple[list[Step], str]] = {
    "closed": ([Close()], "reset_midstream"),
    "reset": ([Reset()], "reset_midstream"),
    "garbage": ([Write(b"zz\r\n"), Hold()], "protocol"),
}


@pytest.mark.parametrize(("end", "cause"), BREAKS.values(), ids=BREAKS)
async def test_what_came_before_a_break_is_taken_and_then_the_break_is_raised(
    pool: Pool, end: list[Step], cause: str
) -> None:
    taken = asyncio.Event()
    async with ScriptServer([Read(), Write(HEAD + chunk(b"a")), Wait(taken), *end]) as vendor:
        passing = await ask(pool, vendor)
        pieces = passing.pieces(2)
        assert await anext(pieces) == b"a"
        taken.set()
        with pytest.raises(GatewayError) as caught:
            await anext(pieces)
        assert caught.value.cause == cause
        passing.close()


async def test_the_beginning_of_a_body_is_what_came_of_it(pool: Pool) -> None:
    scripts: list[list[Step]] = [
        [Read(), Write(HEAD + chunk(b"abc") + LAST_CHUNK)],
        [Read(), Write(HEAD + chunk(b"abc")), Hold()],
        [Read(), Write(HEAD + chunk(b"abc") + b"zz\r\n"), Hold()],
        [Read(), Write(response(200, b"abcdef"))],
        [Read(), Write(HEAD), Hold()],
    ]
    async with ScriptServer(*scripts) as vendor:
        for expected in (b"abc", b"abc", b"abc", b"abcd", b""):
            passing = await ask(pool, vendor)
            assert await passing.beginning(4, 0.05) == expected
            passing.close()
            pool.close()
        assert len(vendor.connections) == len(scripts)


async def test_a_vendor_is_paused_while_nobody_takes_and_goes_on_when_somebody_does(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD), Repeat(chunk(b"x" * 60_000))]) as vendor:
        passing = await ask(pool, vendor)
        connection = await vendor.connection()
        await connection.stalled(within=5)
        assert MAX_WAITING < passing._size < 4 * MAX_WAITING
        waiting, taken = passing._size, 0
        async for piece in passing.pieces(2):
            taken += len(piece)
            if taken > waiting + 20_000_000:
                break
        await connection.stalled(within=5)
        passing.close()
        await until(lambda: pool.open_connections == 0)


async def test_a_paused_answer_that_is_over_leaves_its_connection_to_the_next(pool: Pool) -> None:
    large = response(200, b"x" * (MAX_WAITING + 200_000))
    async with ScriptServer([Read(), Write(large), Read(), Write(HELLO)]) as vendor:
        passing = await ask(pool, vendor)
        body = b"".join([piece async for piece in passing.pieces(2)])
        assert len(body) == MAX_WAITING + 200_000
        assert await (await ask(pool, vendor)).whole(5) == b"hello"
        assert len(vendor.connections) == 1


async def test_taking_what_is_left_of_an_answer_that_is_over_does_not_touch_the_connection(pool: Pool) -> None:
    """It may belong to somebody else by then, who has paused it."""
    async with ScriptServer([Read(), Write(response(200, b"x" * (MAX_WAITING + 1))), Hold()]) as vendor:
        passing = await ask(pool, vendor)
        await until(lambda: passing._connection is None)
        connection = await connect(pool, vendor)
        assert connection.is_reused
        connection.pause()
        assert len(b"".join([piece async for piece in passing.pieces(2)])) == MAX_WAITING + 1
        assert connection.transport is not None
        assert not connection.transport.is_reading()


async def test_an_answer_before_the_request_is_written_leaves_no_connection_to_anybody(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HELLO), Hold()]) as vendor:
        connection = await connect(pool, vendor)
        passing = Passing(connection)
        connection.exchange(REQUEST, b"{}", passing)
        await passing.begin(2)
        assert await passing.whole(5) == b"hello"
        assert not connection.is_open
        assert pool.take_idle(connection.origin) is None


async def test_closing_frees_the_connection_at_any_moment(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD + chunk(b"a")), Hold()], [Read(), Hold()]) as vendor:
        (await ask(pool, vendor)).close()
        await vendor.connections[0].left()
        connection = await connect(pool, vendor)
        passing = Passing(connection)
        connection.exchange(REQUEST, b"{}", passing)
        await (await vendor.connection(1)).heard(b"{}")
        passing.close()
        passing.close()
        await vendor.connections[1].left()


async def test_a_failure_that_nobody_waited_for_is_let_go(pool: Pool) -> None:
    async with ScriptServer([Read()]) as vendor:
        connection = await connect(pool, vendor)
        passing = Passing(connection)
        connection.exchange(REQUEST, b"{}", passing)
        await until(passing.head.done)
        passing.close()


async def test_a_head_that_comes_after_it_was_given_up_is_of_no_consequence(pool: Pool) -> None:
    late = asyncio.Event()
    async with ScriptServer([Read(), Wait(late), Write(HELLO), Hold()]) as vendor:
        connection = await connect(pool, vendor)
        passing = Passing(connection)
        connection.exchange(REQUEST, b"{}", passing)
        passing.is_sent = True
        with pytest.raises(GatewayError):
            await passing.begin(0.01)
        late.set()
        await until(lambda: passing.status == 200)
        assert passing.head.cancelled()
        passing.close()

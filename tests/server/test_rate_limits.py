"""A vendor that limits our rate, and is the only one: waited for, or told on, and never called early (row 15)."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from gateway.canonical.events import MessageCompleted
from tests.support.gateway import until
from tests.support.served import Reply, Served, serving
from tests.support.shelf import HELLO, PROTOCOLS, Shelf, answer, config

ASK = "POST /conversations/c1/messages"


@pytest.fixture
async def acme() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        yield shelf


@pytest.fixture
async def beta() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        yield shelf


@pytest.fixture
async def gateway(tmp_path: Path, acme: Shelf, beta: Shelf) -> AsyncIterator[Served]:
    async with serving(
        tmp_path, config(acme=acme, beta=beta, deadlines="first_event = 4"), protocols=PROTOCOLS
    ) as served:
        yield served
        assert served.log.of("unhandled") == []


class Limited:
    """Refuses the first call, and remembers when each came."""

    def __init__(self, seconds: int) -> None:
        self.times: list[float] = []
        self._refusal = answer(429, retry_after=str(seconds))

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.times.append(time.monotonic())
        if len(self.times) == 1:
            return await self._refusal(request)
        return web.Response(body=HELLO, content_type="text/event-stream")


async def say(gateway: Served, **fields: object) -> Reply:
    return await gateway.post({"content": "Hi", "route": "acme", **fields})


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_a_limit_that_ends_in_time_is_waited_for(gateway: Served, acme: Shelf, *, stream: bool) -> None:
    acme.instead[ASK] = limited = Limited(1)
    reply = await say(gateway, stream=stream)
    assert reply.status == 200
    first, second = limited.times
    assert 1.0 <= second - first < 2.5
    assert acme.calls == ["POST /conversations", ASK, ASK]
    assert await gateway.samples("gateway_attempts_total") == {
        ("rate_limited", "shelf", "acme"): 1,
        ("completed", "shelf", "acme"): 1,
    }
    if stream:
        assert isinstance(reply.events[-1], MessageCompleted)


async def test_no_other_message_calls_the_vendor_before_its_time(gateway: Served, acme: Shelf) -> None:
    acme.instead[ASK] = limited = Limited(1)
    waiting = asyncio.create_task(say(gateway))
    await until(lambda: bool(limited.times))
    refused_at = limited.times[0]
    times: list[float] = []

    async def create(request: web.Request) -> web.StreamResponse:
        times.append(time.monotonic())
        return await acme._usual(request)

    acme.instead["POST /conversations"] = create
    await asyncio.sleep(0.1)
    replies = [*await asyncio.gather(say(gateway), say(gateway)), await waiting]
    assert [reply.status for reply in replies] == [200, 200, 200]
    assert all(moment - refused_at >= 1.0 for moment in [*times, limited.times[1]])
    assert len(times) == 2


async def test_a_limit_that_is_too_long_is_told_to_all_without_a_call(gateway: Served, acme: Shelf) -> None:
    acme.instead[ASK] = Limited(7)
    began = time.monotonic()
    first = await say(gateway)
    assert time.monotonic() - began < 1
    assert (first.status, first.error["code"], first.headers["Retry-After"]) == (429, "upstream_rate_limited", "7")
    assert (first.error["retry_after"], first.error["vendor"], first.error["vendor_status"]) == (7, "acme", 429)
    calls = list(acme.calls)
    for stream in (True, False):
        second = await say(gateway, stream=stream)
        assert (second.status, second.error["code"], second.error["vendor"]) == (429, "upstream_rate_limited", "acme")
        assert 5 <= int(second.headers["Retry-After"]) <= 7
    assert acme.calls == calls
    paused = await gateway.samples("gateway_vendor_paused_seconds")
    assert list(paused) == [("acme",)]
    assert 5 < paused["acme",] <= 7
    refused = gateway.log.of("refused")
    assert [line["code"] for line in refused] == ["upstream_rate_limited"] * 2


async def test_another_vendor_is_not_held_back(gateway: Served, acme: Shelf) -> None:
    acme.instead[ASK] = Limited(7)
    assert (await say(gateway)).status == 429
    assert (await say(gateway, route="beta")).status == 200


async def test_a_refusal_during_a_pause_leaves_no_conversation_behind(gateway: Served, acme: Shelf) -> None:
    acme.instead[ASK] = Limited(7)
    await say(gateway)
    before = (await gateway.ask("GET", "/v1/conversations")).document["data"]
    await say(gateway)
    assert (await gateway.ask("GET", "/v1/conversations")).document["data"] == before


async def test_a_pause_is_over_when_its_time_has_come(gateway: Served, acme: Shelf) -> None:
    acme.instead[ASK] = Limited(1)
    assert (await say(gateway)).status == 200
    assert await gateway.samples("gateway_vendor_paused_seconds") == {}
    began = time.monotonic()
    assert (await say(gateway)).status == 200
    assert time.monotonic() - began < 0.5


class Late:
    """Refuses the first call when it is told to, and no other."""

    def __init__(self, seconds: int) -> None:
        self.may_refuse = asyncio.Event()
        self.times: list[float] = []
        self._refusal = answer(429, retry_after=str(seconds))

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.times.append(time.monotonic())
        if len(self.times) > 1:
            return web.Response(body=HELLO, content_type="text/event-stream")
        await self.may_refuse.wait()
        return await self._refusal(request)


@pytest.mark.parametrize(("seconds", "status"), [(2, 200), (9, 429)])
async def test_who_waits_calls_no_earlier_than_another_message_is_told_meanwhile(
    gateway: Served, acme: Shelf, seconds: int, status: int
) -> None:
    acme.instead["POST /conversations/c1/messages"] = late = Late(seconds)
    acme.instead["POST /conversations/c2/messages"] = limited = Limited(1)
    other = asyncio.create_task(say(gateway))
    await until(lambda: late.times)
    waiting = asyncio.create_task(say(gateway))
    await until(lambda: limited.times)
    late.may_refuse.set()
    told = time.monotonic()
    replies = await waiting, await other
    assert [reply.status for reply in replies] == [status] * 2
    assert all(called >= told + seconds - 0.01 for called in (*late.times[1:], *limited.times[1:]))

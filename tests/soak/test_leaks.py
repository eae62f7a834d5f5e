"""Many short messages with faults at random against one gateway: what it holds afterwards is what it held before.

The seed is printed; `GATEWAY_SOAK_SEED` repeats a run. The simulated vendors remember all they were told, so they play
in a process of their own. The store keeps the last 10,000 conversations, so the first look comes after twice as many.
"""

import asyncio
import os
import random
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import pytest

from gateway.protocols.registry import BUILT_IN
from gateway.simulation.faults import FAULTS
from tests.support.command import Command, configuration
from tests.support.gateway import read_events, until
from tests.support.scripts import RawClient, request
from tests.support.served import DEMO, serving

pytestmark = pytest.mark.soak

MESSAGES = 10_000
FILLING = 20_000
AT_ONCE = 40
TOLERANCE = 1.05
SETTLED_WITHIN = 20.0
"""Seconds: the pool keeps idle connections for 15."""

SLOW = {"slow-head", "stall-silent", "stall-heartbeats", "endless-comments", "late"}
CHOICES = {
    route: [
        "",
        *(f"[play:{name}] " for name in descriptor.simulator("").plays if name and name not in SLOW),
        *(f"[fault:{name}] " for name in FAULTS if name not in SLOW),
    ]
    for route, descriptor in BUILT_IN.items()
    if descriptor.simulator is not None
}
ODD = (b"{", b"[]", b'{"content":1}', b'{"content":"Hi","route":"%d"}', b"\xff")
MAY_BE = {200, 400, 402, 404, 413, 422, 429, 502, 503, 504}


def seed() -> int:
    chosen = int(os.environ.get("GATEWAY_SOAK_SEED", random.randrange(1 << 32)))
    print(f"GATEWAY_SOAK_SEED={chosen}")  # noqa: T201  (shown where the test fails)
    return chosen


async def ask_many(url: str, count: int, chance: random.Random) -> None:
    """So many messages, a few at a time; most are answered, some clients leave, some send nonsense."""
    numbers = iter(range(count))

    async def work(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            match chance.random():
                case drawn if drawn < 0.05:
                    await leave(url, chance)
                case drawn if drawn < 0.08:
                    await send_nonsense(session, chance, number)
                case _:
                    await ask(session, chance)

    async with aiohttp.ClientSession(url) as session, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(work(session))


def draw(chance: random.Random) -> dict[str, object]:
    route = chance.choice(list(CHOICES))
    return {
        "route": route,
        "content": f"{chance.choice(CHOICES[route])}Hi",
        "stream": chance.random() < 0.7,
        "user_id": f"user-{chance.randrange(1 << 32)}",
    }


async def ask(session: aiohttp.ClientSession, chance: random.Random) -> None:
    body = draw(chance)
    async with session.post("/v1/messages", json=body) as response:
        told = await response.read()
    assert response.status in MAY_BE, (body, told)
    if response.content_type == "text/event-stream":
        read_events(told)


async def leave(url: str, chance: random.Random) -> None:
    async with RawClient(url) as client:
        data = request("POST", "/v1/messages", msgspec.json.encode(draw(chance)), ["Content-Type: application/json"])
        await client.send(data[: chance.randrange(len(data) // 2, len(data) + 1)])
        await asyncio.sleep(chance.random() * 0.05)
        if chance.random() < 0.5:
            client.reset()


async def send_nonsense(session: aiohttp.ClientSession, chance: random.Random, number: int) -> None:
    body = chance.choice(ODD).replace(b"%d", b"%d" % number)
    headers = {"Content-Type": "application/json", "X-Request-Id": f"soak-{number}"}
    async with session.post("/v1/messages", data=body, headers=headers) as response:
        assert response.status in {400, 404}


@asynccontextmanager
async def simulated_vendors() -> AsyncIterator[str]:
    """The configuration of a gateway in front of them."""
    playing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "simulate", "--port", "0"), stdout=PIPE, stderr=DEVNULL
    )
    assert playing.stdout is not None
    try:
        text = DEMO.replace("[simulation]\nport = 0\n", "")
        for _ in CHOICES:
            name, url = (await playing.stdout.readline()).decode().split()
            text = text.replace(f'"simulation:{name}"', f'"{url}"')
        yield text
    finally:
        playing.terminate()
        await playing.communicate()


async def series(url: str) -> int:
    async with aiohttp.ClientSession(url) as session, session.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    assert "gateway_unhandled_errors_total 0.0" in lines
    assert "gateway_open_streams 0.0" in lines
    return sum(not line.startswith("#") for line in lines)


async def test_ten_thousand_messages_leave_nothing_behind_in_the_process(tmp_path: Path) -> None:
    chance = random.Random(seed())
    async with simulated_vendors() as text, Command(configuration(tmp_path, text)) as gateway:
        sockets = gateway.sockets()
        await ask_many(gateway.url, FILLING, chance)
        await until(lambda: gateway.sockets() <= sockets, within=SETTLED_WITHIN)
        memory, kinds = gateway.rss(), await series(gateway.url)
        await ask_many(gateway.url, MESSAGES, chance)
        await until(lambda: gateway.sockets() <= sockets, within=SETTLED_WITHIN)
        print(memory >> 10, gateway.rss() >> 10, kinds, await series(gateway.url))  # noqa: T201  (as above)
        assert gateway.rss() < memory * TOLERANCE
        assert await series(gateway.url) < kinds * TOLERANCE
        assert await gateway.stop() == 0


async def test_a_thousand_messages_leave_no_task_behind(tmp_path: Path) -> None:
    chance = random.Random(seed())
    async with serving(tmp_path, DEMO) as gateway:
        await ask_many(gateway.url, 20, chance)
        await until(lambda: len(lasting()) == 0, within=SETTLED_WITHIN)
        before = len(asyncio.all_tasks())
        await ask_many(gateway.url, 1000, chance)
        await until(lambda: len(lasting()) == 0, within=SETTLED_WITHIN)
        assert len(asyncio.all_tasks()) <= before


def lasting() -> list[str]:
    """Tasks of connections and of vendors' sessions; those that serve a gateway are there all the time."""
    names = ("RequestHandler.start", "Sessions._keep")
    return [repr(task) for task in asyncio.all_tasks() if any(name in repr(task) for name in names)]

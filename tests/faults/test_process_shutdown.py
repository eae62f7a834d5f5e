"""SIGTERM with open streams, against the installed command in a process of its own (row 89 of the list of faults)."""

import asyncio
import signal
import time
from pathlib import Path

import aiohttp
import msgspec
import pytest

from gateway.canonical.events import MessageCompleted, MessageFailed, TextCompleted
from tests.support.command import Command, configuration
from tests.support.gateway import END, HELLO, START, read_events, told
from tests.support.scripts import (
    HEAD,
    LAST_CHUNK,
    Hold,
    RawClient,
    Read,
    Repeat,
    ScriptServer,
    Wait,
    Write,
    chunk,
    request,
)

pytestmark = pytest.mark.process

CONFIG = """
default_route = "ending"
[server]
shutdown_grace = {grace}
send_deadline = 1.0
body_deadline = 5.0
[limits]
max_message = 1_000_000_000
[vendors.ending]
protocol = "hardwire"
base_url = "{ending}"
[vendors.ending.credentials]
cookie = {{ env = "NOT_SET_ANYWHERE", default = "a=1" }}
user_id = {{ env = "NOT_SET_ANYWHERE", default = "u" }}
[vendors.endless]
protocol = "hardwire"
base_url = "{endless}"
[vendors.endless.credentials]
cookie = {{ env = "NOT_SET_ANYWHERE", default = "a=1" }}
user_id = {{ env = "NOT_SET_ANYWHERE", default = "u" }}
[routes.ending]
targets = [{{ vendor = "ending", model = "m"{target} }}]
[routes.endless]
targets = [{{ vendor = "endless", model = "m"{target} }}]
"""

ENDLESS = [Read(), Write(HEAD + chunk(START) + chunk(HELLO)), Hold()]
SILENT = [Read(), Hold()]
SHUTTING_DOWN = ("overloaded", "the gateway is shutting down", True)
JSON_TYPE = "Content-Type: application/json"


def served(tmp_path: Path, ending: str, endless: str, grace: float = 1.0, target: str = "") -> Command:
    text = CONFIG.format(ending=ending, endless=endless, grace=grace, target=target)
    return Command(configuration(tmp_path, text))


def ask(route: str, **fields: object) -> bytes:
    body = msgspec.json.encode({"content": "Hi", "route": route, **fields})
    return request("POST", "/v1/messages", body, ["Content-Type: application/json"])


def body_of(answer: bytes) -> bytes:
    """The body of a chunked answer, put together."""
    rest = answer.partition(b"\r\n\r\n")[2]
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size, 16)]
        rest = rest[int(size, 16) + 2 :]
    return body


async def test_streams_end_by_themselves_or_are_told_that_the_gateway_stops(tmp_path: Path) -> None:
    may_end = asyncio.Event()
    ending_script = [*[Read(), Write(HEAD + chunk(START) + chunk(HELLO))], Wait(may_end), *told(END)[1:], Hold()]
    async with (
        ScriptServer(ending_script) as ending,
        ScriptServer(ENDLESS) as endless,
        served(tmp_path, ending.url, endless.url) as gateway,
        RawClient(gateway.url) as patient,
        RawClient(gateway.url) as unlucky,
    ):
        await patient.send(ask("ending"))
        await unlucky.send(ask("endless"))
        shown = await patient.read_until(b'"delta":"Hello"')
        cut = await unlucky.read_until(b'"delta":"Hello"')
        gateway.send_signal(signal.SIGTERM)
        stopped_at = time.monotonic()
        await gateway.line("stopping")
        may_end.set()
        shown += await patient.read_until(LAST_CHUNK)
        assert time.monotonic() - stopped_at < 0.5
        cut += await unlucky.read_all()
        assert 0.8 < time.monotonic() - stopped_at < 2.5
        await (await endless.connection()).left(within=1)
        assert await gateway.ended() == 0
    assert isinstance(read_events(body_of(shown))[-1], MessageCompleted)
    *_, text, failed = read_events(body_of(cut))
    assert text == TextCompleted(0, "Hello")
    assert isinstance(failed, MessageFailed)
    assert (failed.error.code, failed.error.message, failed.error.retryable) == SHUTTING_DOWN
    assert gateway.lines[-1]["event"] == "stopped"
    assert [line["event"] for line in gateway.lines if line["level"] == "error"] == []


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_a_message_of_which_nothing_was_sent_yet_becomes_a_503(tmp_path: Path, *, stream: bool) -> None:
    async with (
        ScriptServer(SILENT) as vendor,
        served(tmp_path, vendor.url, vendor.url) as gateway,
        RawClient(gateway.url) as client,
    ):
        await client.send(ask("endless", stream=stream))
        await (await vendor.connection()).heard(b'"modelId"')
        gateway.send_signal(signal.SIGTERM)
        answer = await client.read_all()
        assert await gateway.ended() == 0
        await (await vendor.connection()).left(within=1)
    assert answer.startswith(b"HTTP/1.1 503 ")
    error = msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])["error"]
    assert (error["code"], error["message"], error["retryable"]) == SHUTTING_DOWN


async def test_it_says_that_it_is_not_ready_while_streams_end(tmp_path: Path) -> None:
    async with (
        ScriptServer(ENDLESS) as vendor,
        served(tmp_path, vendor.url, vendor.url, grace=2.0) as gateway,
        RawClient(gateway.url) as client,
        aiohttp.ClientSession(gateway.url) as session,
    ):
        await client.send(ask("endless"))
        await client.read_until(b'"delta":"Hello"')
        gateway.send_signal(signal.SIGTERM)
        await gateway.line("stopping")
        await asyncio.sleep(0.2)
        async with session.get("/readyz") as response:
            assert (response.status, await response.json()) == (503, {"status": "not ready"})


async def test_a_message_that_comes_while_streams_end_is_refused(tmp_path: Path) -> None:
    async with (
        ScriptServer(ENDLESS) as vendor,
        served(tmp_path, vendor.url, vendor.url, grace=2) as gateway,
        RawClient(gateway.url) as client,
        RawClient(gateway.url) as late,
    ):
        await client.send(ask("endless"))
        await client.read_until(b'"delta":"Hello"')
        whole = ask("endless")
        await late.send(whole[:-5])
        gateway.send_signal(signal.SIGTERM)
        await gateway.line("stopping")
        await late.send(whole[-5:])
        answer = await late.read_until(b'"request_id"')
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"overloaded"' in answer
        assert await gateway.ended() == 0


async def test_a_second_signal_changes_nothing(tmp_path: Path) -> None:
    async with (
        ScriptServer(ENDLESS) as vendor,
        served(tmp_path, vendor.url, vendor.url) as gateway,
        RawClient(gateway.url) as client,
    ):
        await client.send(ask("endless"))
        await client.read_until(b'"delta":"Hello"')
        gateway.send_signal(signal.SIGTERM)
        await gateway.line("stopping")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            gateway.send_signal(number)
        answer = await client.read_all()
        assert b'"code":"overloaded"' in answer
        assert answer.endswith(LAST_CHUNK)
        assert await gateway.ended() == 0
    assert [line["event"] for line in gateway.lines if line["level"] == "error"] == []


async def test_a_client_that_does_not_read_delays_the_end_by_the_send_deadline_at_most(tmp_path: Path) -> None:
    flood = chunk(b'data: {"type":"content","delta":"%b"}\n\n' % (b"x" * 16_384))
    async with (
        ScriptServer([Read(), Write(HEAD + chunk(START)), Repeat(flood)]) as vendor,
        served(tmp_path, vendor.url, vendor.url, grace=0.1) as gateway,
        RawClient(gateway.url, receive_buffer=4096) as client,
    ):
        await client.send(ask("endless"))
        await (await vendor.connection()).stalled()
        gateway.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert await gateway.ended() == 0
        assert time.monotonic() - began < 4


@pytest.mark.parametrize("policy", ['"continue"', '"drain", drain = 60.0'])
async def test_runs_without_a_client_end_like_the_others_and_are_stored(policy: str, tmp_path: Path) -> None:
    may_end = asyncio.Event()
    ending_script = [*[Read(), Write(HEAD + chunk(START) + chunk(HELLO))], Wait(may_end), *told(END)[1:], Hold()]
    target = f", on_disconnect = {policy}"
    ids: dict[str, str] = {}
    async with ScriptServer(ending_script) as ending, ScriptServer(ENDLESS) as endless:
        async with served(tmp_path, ending.url, endless.url, target=target) as gateway:
            for route in ("ending", "endless"):
                async with RawClient(gateway.url) as client:
                    await client.send(ask(route))
                    shown = await client.read_until(b'"delta":"Hello"')
                    ids[route] = shown.partition(b'"message_id":"')[2].partition(b'"')[0].decode()
            await until_left(gateway, 2)
            gateway.send_signal(signal.SIGTERM)
            stopped_at = time.monotonic()
            await gateway.line("stopping")
            may_end.set()
            await gateway.line("message", route="ending")
            assert time.monotonic() - stopped_at < 0.5
            await (await endless.connection()).left(within=3)
            assert 0.8 < time.monotonic() - stopped_at < 2.5
            assert await gateway.ended() == 0
        assert [line["event"] for line in gateway.lines if line["level"] == "error"] == []
        async with (
            served(tmp_path, ending.url, endless.url, target=target) as again,
            aiohttp.ClientSession(again.url) as session,
        ):
            kept = [(await (await session.get(f"/v1/messages/{ids[route]}")).json()) for route in ("ending", "endless")]
    assert [message["status"] for message in kept] == ["completed", "failed"]
    assert [message["parts"][0]["text"] for message in kept] == ["Hello", "Hello"]
    error = kept[1]["error"]
    assert (error["code"], error["message"], error["retryable"]) == SHUTTING_DOWN


async def until_left(gateway: Command, count: int) -> None:
    """Until the gateway has noticed that so many clients have gone."""
    async with asyncio.timeout(5), aiohttp.ClientSession(gateway.url) as session:
        while True:
            async with session.get("/metrics") as response:
                lines = (await response.text()).splitlines()
            found = [line for line in lines if line.startswith("gateway_client_disconnects_total{")]
            if sum(float(line.rpartition(" ")[2]) for line in found) == count:
                return
            await asyncio.sleep(0.01)


async def test_an_idle_gateway_stops_at_once(tmp_path: Path) -> None:
    async with (
        served(tmp_path, "http://127.0.0.1:9", "http://127.0.0.1:9", grace=30) as gateway,
        aiohttp.ClientSession(gateway.url) as session,
        session.get("/healthz") as response,
    ):
        assert response.status == 200
        began = time.monotonic()
        assert await gateway.stop() == 0
        assert time.monotonic() - began < 2

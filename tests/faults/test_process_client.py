"""Clients that leave, that do not read and that dawdle, against the installed command in a process of its own.

Rows 54 to 58 of the list of faults. The test server of aiohttp hides all of them: there, a handler is always cancelled.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import msgspec
import pytest

from gateway.canonical.events import Event, MessageCompleted
from tests.support.command import Command, configuration, connections_to
from tests.support.gateway import END, HELLO, START, read_events, told, until
from tests.support.scripts import (
    HEAD,
    LAST_CHUNK,
    Hold,
    RawClient,
    Read,
    Repeat,
    ScriptServer,
    Step,
    Wait,
    Write,
    chunk,
    request,
    unanswered_port,
)

pytestmark = pytest.mark.process

CONFIG = """
default_route = "support"
[server]
header_deadline = 1.0
body_deadline = 1.0
send_deadline = {send_deadline}
shutdown_grace = 1.0
[limits]
max_message = 1_000_000_000
[simulation]
port = 0
[vendors.acme]
protocol = "hardwire"
base_url = "{url}"
credentials = {{ {credentials} }}
[vendors.sibling]
protocol = "chatbase"
base_url = "simulation:chatbase"
credentials = {{ api_key = {{ env = "NOT_SET_ANYWHERE", default = "key" }} }}
[routes.support]
targets = [{{ vendor = "acme", model = "m"{target} }}]
[routes.sibling]
targets = [{{ vendor = "sibling", agent = "a" }}]
"""

COOKIE = 'cookie = { env = "NOT_SET_ANYWHERE", default = "a=1" }, user_id = { env = "NOT_SET_ANYWHERE", default = "u" }'
PASSWORD = (
    'email = { env = "NOT_SET_ANYWHERE", default = "a@b.c" }, password = { env = "NOT_SET_ANYWHERE", default = "p" }'
)

JSON_TYPE = "Content-Type: application/json"
MANY_SLOW_CLIENTS = [pytest.param(200, 4), pytest.param(1000, 12, marks=pytest.mark.soak)]
"""And the seconds after which each is cut."""
MEMORY_OF_SLOW_CLIENT = 1024 * 1024
"""What the kernel takes before slowness shows was sent, and is kept for the transcript."""
FLOOD = chunk(b'data: {"type":"content","delta":"%b"}\n\n' % (b"x" * 16_384))


def ask(**fields: object) -> bytes:
    return request("POST", "/v1/messages", msgspec.json.encode({"content": "Hi", **fields}), [JSON_TYPE])


@contextlib.asynccontextmanager
async def served(
    tmp_path: Path, url: str, credentials: str = COOKIE, *, send_deadline: float = 1, target: str = ""
) -> AsyncIterator[Command]:
    text = CONFIG.format(url=url, credentials=credentials, send_deadline=send_deadline, target=target)
    async with Command(configuration(tmp_path, text)) as gateway:
        yield gateway


async def samples(gateway: Command, name: str) -> dict[str, float]:
    """The samples of that name by their labels, as they stand in the exposition."""
    async with aiohttp.ClientSession(gateway.url) as session, session.get("/metrics") as response:
        lines = (await response.text()).splitlines()
    found = (line.rpartition(" ") for line in lines if line.startswith((f"{name} ", f"{name}{{")))
    return {labels.removeprefix(name): float(value) for labels, _, value in found}


async def ask_sibling(gateway: Command) -> list[Event]:
    async with (
        aiohttp.ClientSession(gateway.url) as session,
        session.post("/v1/messages", json={"content": "Hi", "route": "sibling"}) as response,
    ):
        return read_events(await response.read())


async def check_client_is_gone(gateway: Command, cause: str = "client_gone") -> None:
    """What an operator sees of it: a message that was canceled, one attempt, no error."""
    line = await gateway.line("message")
    assert (line["level"], line["outcome"], line["cause"], line["code"], line["attempts"]) == (
        "info",
        "canceled",
        cause,
        None,
        1,
    )
    assert await samples(gateway, "gateway_attempts_total") == {
        f'{{outcome="{cause}",protocol="hardwire",vendor="acme"}}': 1
    }
    assert await samples(gateway, "gateway_messages_total") == {'{outcome="canceled",route="support",vendor="acme"}': 1}
    assert await samples(gateway, "gateway_unhandled_errors_total") == {"": 0}
    assert await samples(gateway, "gateway_open_streams") == {"": 0}
    assert [each["event"] for each in gateway.lines if each["level"] == "error"] == []


# --- a client that leaves


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
@pytest.mark.parametrize(
    "script",
    [
        pytest.param([Read(), Hold()], id="before the headers"),
        pytest.param([Read(), Write(HEAD), Hold()], id="before the first event"),
        pytest.param([Read(), Write(HEAD + chunk(START)), Hold()], id="before the first content"),
        pytest.param([Read(), Write(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n"), Hold()], id="within a refusal"),
    ],
)
async def test_a_client_that_leaves_before_the_answer_takes_the_vendor_along(
    script: Sequence[Step], tmp_path: Path, *, stream: bool
) -> None:
    async with ScriptServer(script) as vendor, served(tmp_path, vendor.url) as gateway:
        async with RawClient(gateway.url) as client:
            await client.send(ask(stream=stream))
            connection = await vendor.connection()
            await connection.heard(b'"modelId"')
            client.reset()
        await connection.left(within=1)
        await check_client_is_gone(gateway)
        assert len(vendor.connections) == 1


@pytest.mark.parametrize("leave", ["reset", "close", "finish"])
async def test_a_client_that_leaves_in_mid_stream_takes_the_vendor_along(leave: str, tmp_path: Path) -> None:
    script = [Read(), Write(HEAD + chunk(START) + chunk(HELLO)), Hold()]
    async with ScriptServer(script) as vendor, served(tmp_path, vendor.url) as gateway:
        async with RawClient(gateway.url) as client:
            await client.send(ask())
            await client.read_until(b'"delta":"Hello"')
            getattr(client, leave)()
            await (await vendor.connection()).left(within=1)
        await check_client_is_gone(gateway)
        assert len(vendor.connections) == 1


async def test_a_client_that_leaves_while_its_document_grows_takes_the_vendor_along(tmp_path: Path) -> None:
    script = [Read(), Write(HEAD + chunk(START) + chunk(HELLO)), Repeat(chunk(HELLO), every=0.05)]
    async with ScriptServer(script) as vendor, served(tmp_path, vendor.url) as gateway:
        async with RawClient(gateway.url) as client:
            await client.send(ask(stream=False))
            connection = await vendor.connection()
            await connection.heard(b'"modelId"')
            client.reset()
        await connection.left(within=1)
        await check_client_is_gone(gateway)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_a_client_that_leaves_while_we_connect_ends_the_connecting(tmp_path: Path, *, stream: bool) -> None:
    async with unanswered_port() as port, served(tmp_path, f"http://127.0.0.1:{port}") as gateway:
        before = connections_to(port)
        async with RawClient(gateway.url) as client:
            await client.send(ask(stream=stream))
            await until(lambda: connections_to(port) == before + 1)
            client.reset()
        await until(lambda: connections_to(port) == before, within=1)
        await check_client_is_gone(gateway)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_a_client_that_leaves_while_we_sign_in_ends_the_sign_in(tmp_path: Path, *, stream: bool) -> None:
    async with ScriptServer([Read(), Hold()]) as vendor, served(tmp_path, vendor.url, PASSWORD) as gateway:
        async with RawClient(gateway.url) as client:
            await client.send(ask(stream=stream))
            connection = await vendor.connection()
            await connection.heard(b'"password"')
            client.reset()
        await check_client_is_gone(gateway)
        await connection.left(within=1)
        assert len(vendor.connections) == 1


async def test_a_sign_in_that_nobody_waits_for_any_more_does_not_delay_the_next_message(tmp_path: Path) -> None:
    signed_in = b'HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 20\r\n\r\n{"user":{"id":"u1"}}'
    scripts = [[Read(), Hold()], [Read(), Write(signed_in), Read(), *told(START, HELLO, END), Hold()]]
    async with ScriptServer(*scripts) as vendor, served(tmp_path, vendor.url, PASSWORD) as gateway:
        async with RawClient(gateway.url) as client:
            await client.send(ask())
            await (await vendor.connection()).heard(b'"password"')
            client.reset()
        await gateway.line("message")
        async with RawClient(gateway.url) as client:
            await client.send(ask())
            await client.read_until(b"message.completed", within=2)


async def test_a_hundred_clients_that_leave_leave_nothing_behind(tmp_path: Path) -> None:
    script = [Read(), Write(HEAD + chunk(START) + chunk(HELLO)), Hold()]
    async with ScriptServer(script) as vendor, served(tmp_path, vendor.url) as gateway:
        sockets = gateway.sockets()
        async with contextlib.AsyncExitStack() as clients:
            for _ in range(100):
                client = await clients.enter_async_context(RawClient(gateway.url))
                await client.send(ask())
                await client.read_until(b'"delta":"Hello"')
            assert gateway.sockets() == sockets + 200
        for number in range(100):
            await (await vendor.connection(number)).left(within=1)
        await until(lambda: gateway.sockets() == sockets, within=2)
        assert await samples(gateway, "gateway_open_streams") == {"": 0}


# --- a client that leaves its run behind


GOING_ON = {
    "drain": ', on_disconnect = "drain", drain = 20.0',
    "continue": ', on_disconnect = "continue"',
}
ENDING = [Write(chunk(START)), Write(chunk(HELLO)), Write(chunk(END)), Write(LAST_CHUNK), Hold()]
BEFORE: dict[str, list[Step]] = {
    "before the headers": [Read()],
    "before the first event": [Read(), Write(HEAD)],
    "before the first content": [Read(), Write(HEAD + chunk(START))],
    "while the vendor is silent": [Read(), Write(HEAD + chunk(START) + chunk(HELLO))],
}


async def check_goes_on(gateway: Command, policy: str, count: int = 1) -> None:
    async with asyncio.timeout(5):
        name, labels = "gateway_client_disconnects_total", f'{{policy="{policy}",route="support"}}'
        while await samples(gateway, name) != {labels: count}:  # noqa: ASYNC110  (no event is set for it)
            await asyncio.sleep(0.01)
    assert await samples(gateway, "gateway_open_streams") == {"": count}


async def check_went_on(gateway: Command, count: int = 1) -> None:
    """What an operator sees of it: messages that were completed, each in one attempt, and clients that had left."""
    lines = [await gateway.line("message", within=10)]
    async with asyncio.timeout(10):
        while len(lines) < count:
            await asyncio.sleep(0.01)
            lines = [line for line in gateway.lines if line["event"] == "message"]
    told = {(line["outcome"], line["cause"], line["client_gone"], line["attempts"]) for line in lines}
    assert told == {("completed", "completed", True, 1)}
    assert await samples(gateway, "gateway_attempts_total") == {
        '{outcome="completed",protocol="hardwire",vendor="acme"}': count
    }
    assert await samples(gateway, "gateway_unhandled_errors_total") == {"": 0}
    assert await samples(gateway, "gateway_open_streams") == {"": 0}
    assert [each["event"] for each in gateway.lines if each["level"] == "error"] == []


@pytest.mark.parametrize(("stream", "leave"), [(True, "reset"), (False, "close")], ids=["stream", "document"])
@pytest.mark.parametrize("phase", BEFORE)
@pytest.mark.parametrize("policy", GOING_ON)
async def test_a_run_that_may_goes_on_once_when_its_client_leaves(
    policy: str, phase: str, leave: str, tmp_path: Path, *, stream: bool
) -> None:
    goes_on = asyncio.Event()
    before = BEFORE[phase]
    rest = ENDING[sum(b"start" in step.data for step in before if isinstance(step, Write)) :]
    script = [*before, Wait(goes_on), *([Write(HEAD)] if phase == "before the headers" else []), *rest]
    async with ScriptServer(script) as vendor, served(tmp_path, vendor.url, target=GOING_ON[policy]) as gateway:
        sockets = gateway.sockets()
        async with RawClient(gateway.url) as client:
            await client.send(ask(stream=stream))
            connection = await vendor.connection()
            await connection.heard(b'"modelId"')
            getattr(client, leave)()
            await check_goes_on(gateway, policy)
        assert connection.leaving is None
        goes_on.set()
        await check_went_on(gateway)
        assert (len(vendor.connections), len(vendor.requests)) == (1, 1)
        connection.stop()
        await until(lambda: gateway.sockets() == sockets, within=2)


async def test_a_run_that_is_drained_for_too_long_is_stopped(tmp_path: Path) -> None:
    script = [Read(), Write(HEAD + chunk(START) + chunk(HELLO)), Hold()]
    target = ', on_disconnect = "drain", drain = 0.7'
    async with ScriptServer(script) as vendor, served(tmp_path, vendor.url, target=target) as gateway:
        async with RawClient(gateway.url) as client:
            await client.send(ask())
            await client.read_until(b'"delta":"Hello"')
            client.reset()
        left_at = time.monotonic()
        await (await vendor.connection()).left(within=3)
        assert 0.6 < time.monotonic() - left_at < 2
        await check_client_is_gone(gateway)


@pytest.mark.parametrize("policy", GOING_ON)
async def test_a_hundred_runs_left_behind_leave_nothing_behind(policy: str, tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    script = [Read(), Write(HEAD + chunk(START) + chunk(HELLO)), Wait(goes_on), *ENDING[2:]]
    async with ScriptServer(script) as vendor, served(tmp_path, vendor.url, target=GOING_ON[policy]) as gateway:
        sockets = gateway.sockets()
        async with contextlib.AsyncExitStack() as clients:
            for _ in range(100):
                client = await clients.enter_async_context(RawClient(gateway.url))
                await client.send(ask())
                await client.read_until(b'"delta":"Hello"')
        await check_goes_on(gateway, policy, 100)
        goes_on.set()
        await check_went_on(gateway, 100)
        for connection in vendor.connections:
            connection.stop()
        await until(lambda: gateway.sockets() == sockets, within=2)


@pytest.mark.parametrize("policy", GOING_ON)
async def test_a_run_goes_on_without_a_client_that_stops_reading(policy: str, tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    script = [Read(), Write(HEAD + chunk(START) + FLOOD * 400), Wait(goes_on), *ENDING[2:]]
    async with (
        ScriptServer(script) as vendor,
        served(tmp_path, vendor.url, target=GOING_ON[policy]) as gateway,
        RawClient(gateway.url, receive_buffer=4096) as client,
    ):
        await client.send(ask())
        await (await vendor.connection()).stalled()
        await check_goes_on(gateway, policy)
        goes_on.set()
        await check_went_on(gateway)


# --- a client that does not read


async def test_a_client_that_stops_reading_is_cut_and_its_vendor_with_it(tmp_path: Path) -> None:
    script = [Read(), Write(HEAD + chunk(START)), Repeat(FLOOD)]
    async with (
        ScriptServer(script) as vendor,
        served(tmp_path, vendor.url) as gateway,
        RawClient(gateway.url, receive_buffer=4096) as client,
    ):
        await client.send(ask())
        connection = await vendor.connection()
        await connection.stalled()
        stalled_at = time.monotonic()
        await connection.left(within=3)
        assert connection.left_at is not None
        assert 0.5 < connection.left_at - stalled_at < 2
        await check_client_is_gone(gateway, "slow_client")


async def test_a_client_that_does_not_read_its_document_is_cut(tmp_path: Path) -> None:
    frames = [FLOOD] * 512
    script = [Read(), Write(HEAD + chunk(START) + b"".join(frames) + chunk(END)), Hold()]
    async with ScriptServer(script) as vendor, served(tmp_path, vendor.url) as gateway:
        sockets = gateway.sockets()
        async with RawClient(gateway.url, receive_buffer=4096) as client:
            await client.send(ask(stream=False))
            await gateway.line("message", within=10)
            await until(lambda: gateway.sockets() == sockets, within=3)


async def test_a_client_that_reads_slowly_but_steadily_gets_it_all(tmp_path: Path) -> None:
    script = [Read(), Write(HEAD + chunk(START) + FLOOD * 200), *told(END)[1:], Hold()]
    async with (
        ScriptServer(script) as vendor,
        served(tmp_path, vendor.url, send_deadline=5) as gateway,
        RawClient(gateway.url, receive_buffer=65_536) as client,
    ):
        await client.send(ask())
        answer = await client.read_until(b"message.completed", within=20)
    assert answer.count(b"event: text.delta") == 200


@pytest.mark.parametrize(("count", "send_deadline"), MANY_SLOW_CLIENTS)
async def test_many_clients_that_do_not_read_cost_bounded_memory_and_no_sibling_its_time(
    tmp_path: Path, count: int, send_deadline: int
) -> None:
    script = [Read(), Write(HEAD + chunk(START)), Repeat(FLOOD)]
    async with (
        ScriptServer(script) as vendor,
        served(tmp_path, vendor.url, send_deadline=send_deadline) as gateway,
        contextlib.AsyncExitStack() as clients,
    ):
        await ask_sibling(gateway)
        before = gateway.rss()
        for _ in range(count):
            client = await clients.enter_async_context(RawClient(gateway.url, receive_buffer=4096))
            await client.send(ask())
        connections = [await vendor.connection(number) for number in range(count)]
        await asyncio.gather(*(connection.stalled(within=25) for connection in connections))
        for _ in range(10):
            began = time.monotonic()
            events = await ask_sibling(gateway)
            assert time.monotonic() - began < 10
            assert isinstance(events[-1], MessageCompleted)
        assert gateway.rss() - before < count * MEMORY_OF_SLOW_CLIENT
        await asyncio.gather(*(connection.left(within=20) for connection in connections))
        assert await samples(gateway, "gateway_attempts_total") == {
            '{outcome="completed",protocol="chatbase",vendor="sibling"}': 11,
            '{outcome="slow_client",protocol="hardwire",vendor="acme"}': count,
        }


# --- a client that dawdles


async def test_a_head_that_comes_a_byte_a_second_and_a_silent_connection_get_a_408(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9") as gateway, contextlib.AsyncExitStack() as stack:
        before = gateway.sockets()
        silent = [await stack.enter_async_context(RawClient(gateway.url)) for _ in range(250)]
        slow = [await stack.enter_async_context(RawClient(gateway.url)) for _ in range(250)]
        began = time.monotonic()
        dripping = [asyncio.create_task(client.drip(b"POST /v1/", every=0.3)) for client in slow]
        answers = await asyncio.gather(*(client.read_all(within=3) for client in [*silent, *slow]))
        assert 0.8 < time.monotonic() - began < 2.5
        await asyncio.gather(*dripping, return_exceptions=True)
        assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 408 Request Timeout"}
        told = msgspec.json.decode(answers[0].partition(b"\r\n\r\n")[2])["error"]
        assert (told["code"], told["retryable"]) == ("request_timeout", True)
        await until(lambda: gateway.sockets() == before, within=2)
        assert await samples(gateway, "gateway_http_requests_total") == {'{handler="unread",status_class="4xx"}': 500}
        assert [line["event"] for line in gateway.lines if line["event"] == "message"] == []


async def test_what_comes_behind_a_408_neither_takes_it_from_the_client_nor_is_answered(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9") as gateway, RawClient(gateway.url) as client:
        await client.send(b"GET /healthz HT")
        await asyncio.sleep(1.4)
        await client.send(b"TP/1.1\r\nHost: localhost\r\n\r\n")
        await asyncio.sleep(0.2)
        answer = await client.read_all(within=3)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert answer.count(b"HTTP/1.1") == 1
        assert await samples(gateway, "gateway_http_requests_total") == {'{handler="unread",status_class="4xx"}': 1}


async def test_clients_that_go_on_sending_a_head_can_read_their_408(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9") as gateway, contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(RawClient(gateway.url)) for _ in range(300)]
        dripping = [asyncio.create_task(client.drip(b"GET /" + b"a" * 1000, every=0.01)) for client in clients]
        answers = await asyncio.gather(*(client.read_all() for client in clients))
        for task in dripping:
            task.cancel()
        await asyncio.gather(*dripping, return_exceptions=True)
        assert {answer.partition(b"\r\n")[0] for answer in answers} == {b"HTTP/1.1 408 Request Timeout"}


async def test_half_a_head_behind_an_answered_request_is_not_waited_for_longer(tmp_path: Path) -> None:
    async with served(tmp_path, "http://127.0.0.1:9") as gateway, RawClient(gateway.url) as client:
        await client.send(request("GET", "/healthz"))
        await client.read_until(b'{"status":"ok"}')
        await client.send(b"GET /healthz HTTP/1.1\r\nHo")
        answer = await client.read_all(within=3)
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("body", [b"", b'{"content":'], ids=["no body", "half a body"])
async def test_a_body_that_never_comes_gets_a_408_at_its_deadline(body: bytes, tmp_path: Path) -> None:
    head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\n{JSON_TYPE}\r\nContent-Length: 50\r\n\r\n".encode()
    async with served(tmp_path, "http://127.0.0.1:9") as gateway, RawClient(gateway.url) as client:
        began = time.monotonic()
        await client.send(head + body)
        answer = await client.read_all(within=5)
        assert 0.8 < time.monotonic() - began < 3
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"code":"request_timeout"' in answer


@pytest.mark.parametrize("framing", ["Content-Length: 50", "Transfer-Encoding: chunked"])
async def test_a_body_that_drips_gets_a_408_at_its_deadline(framing: str, tmp_path: Path) -> None:
    head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\n{JSON_TYPE}\r\n{framing}\r\n\r\n".encode()
    drop = b" " if framing.startswith("Content") else chunk(b" ")
    async with served(tmp_path, "http://127.0.0.1:9") as gateway, RawClient(gateway.url) as client:
        await client.send(head)
        dripping = asyncio.create_task(client.drip(drop * 40, every=0.1, size=len(drop)))
        answer = await client.read_until(b"request_timeout", within=3)
        assert answer.startswith(b"HTTP/1.1 408 ")
        dripping.cancel()

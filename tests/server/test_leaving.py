"""What becomes of a message when its client goes away, by the rules of the target that is asked then.

With `cancel` alone on the route, `tests/faults/test_process_client.py` shows it against the installed command.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import UsageReported
from gateway.conversations.memory import MemoryStore
from gateway.conversations.store import Ending
from gateway.protocols.hardwire.translator import HardwireTranslator
from gateway.protocols.registry import BUILT_IN
from gateway.relay import relay
from gateway.relay.downstream import ClientGone, Downstream
from gateway.server.keeping import Keeper
from tests.support.gateway import END, HELLO, ONE, START, RunningGateway, until
from tests.support.scripts import (
    Hold,
    RawClient,
    Read,
    ScriptServer,
    Step,
    Wait,
    Write,
    chunk,
    request,
    response,
    unanswered_port,
)
from tests.support.served import scripted, serving
from tests.support.stopping import cancel, get, running_message, stored_message
from tests.support.targets import LAST_HEAD, WELL, at, played, refused, running_targets

JSON_TYPE = "Content-Type: application/json"

GOING_ON = {"drain": 'on_disconnect = "drain"\ndrain = 20', "continue": 'on_disconnect = "continue"'}
CONTINUE = GOING_ON["continue"]
BRIEFLY = 'on_disconnect = "drain"\ndrain = 0.3'
CANCEL = 'on_disconnect = "cancel"'

APART = {"spare": played(WELL, target=CONTINUE)}
"""A further target, because of which the messages of a route have tasks of their own."""

both_modes = pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
both_policies = pytest.mark.parametrize("policy", GOING_ON)

OVER = [Write(chunk(HELLO)), Write(chunk(END)), Write(b"0\r\n\r\n")]
FLOOD = chunk(b'data: {"type":"content","delta":"%b"}\n\n' % (b"x" * 16_384))


@pytest.fixture(autouse=True)
def quick_sweeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times of tenths of a second are met."""
    monkeypatch.setattr(relay, "SWEEP_INTERVAL", 0.05)


@asynccontextmanager
async def asking(gateway: RunningGateway, **fields: object) -> AsyncIterator[RawClient]:
    async with RawClient(gateway.url) as client:
        await client.send(post(**fields))
        yield client


def post(**fields: object) -> bytes:
    return request("POST", "/v1/messages", msgspec.json.encode({"content": "Hi", **fields}), [JSON_TYPE])


async def left(gateway: RunningGateway) -> Any:
    """The clients that left, once there is one, by policy and route."""
    async with asyncio.timeout(2):
        while not (found := await gateway.counts("gateway_client_disconnects_total")):  # noqa: ASYNC110  (no event)
            await asyncio.sleep(0.01)
    return found


async def only_line(gateway: RunningGateway) -> Mapping[str, Any]:
    await until(lambda: gateway.log.of("message"))
    (line,) = gateway.log.of("message")
    return line


def text_of(message: Any) -> str:
    return "".join(part["text"] for part in message["parts"])


# --- it goes on


def phases(goes_on: asyncio.Event) -> dict[str, list[list[Step]]]:
    """Where the message is when its client leaves, as scripts of its vendor; it goes on with the event."""
    wait = Wait(goes_on)
    signed_in = response(200, b'{"user":{"id":"u1"}}', set_cookie="session=s1", connection="close")
    return {
        "signing in": [[Read(), wait, Write(signed_in)], WELL],
        "before the headers": [[Read(), wait, *WELL[1:]]],
        "before the first event": [[Read(), Write(LAST_HEAD), wait, Write(chunk(START)), *OVER]],
        "before the first content": [[Read(), Write(LAST_HEAD + chunk(START)), wait, *OVER]],
        "in mid-stream": [[Read(), Write(LAST_HEAD + chunk(START) + chunk(HELLO)), wait, *OVER[1:]]],
    }


@both_modes
@pytest.mark.parametrize("phase", phases(asyncio.Event()))
@both_policies
async def test_the_run_goes_on_once_and_is_stored_as_if_the_client_had_stayed(
    policy: str, phase: str, tmp_path: Path, *, stream: bool
) -> None:
    goes_on = asyncio.Event()
    scripts = phases(goes_on)[phase]
    credentials = ("email", "password") if phase == "signing in" else ()
    acme = played(*scripts, target=GOING_ON[policy], credentials=credentials)
    async with running_targets(tmp_path, {"acme": acme}) as gateway:
        async with asking(gateway, stream=stream) as client:
            connection = await gateway.vendors["acme"].connection()
            await connection.heard(b"\r\n\r\n")
            if phase == "in mid-stream" and stream:
                await client.read_until(b'"delta":"Hello"')
            running = await running_message(gateway.session)
            client.reset()
        assert await left(gateway) == {(policy, "support"): 1}
        assert await gateway.count("gateway_open_streams") == 1
        assert (connection.leaving, gateway.log.of("message")) == (None, [])
        async with gateway.session.post(
            "/v1/messages", json={"content": "On", "conversation_id": running["conversation_id"]}
        ) as refused:
            assert (refused.status, (await refused.json())["error"]["code"]) == (409, "conflict")
        goes_on.set()
        stored = await stored_message(gateway.session, running["id"])
        assert (stored["status"], stored["finish_reason"], text_of(stored)) == ("completed", "stop", "Hello")
        line = await only_line(gateway)
        assert (line["outcome"], line["cause"], line["client_gone"]) == ("completed", "completed", True)
        assert (gateway.hits, await gateway.outcomes()) == ({"acme": len(scripts)}, {"completed": 1})
        async with gateway.session.get(f"/v1/conversations/{running['conversation_id']}") as found:
            (binding,) = (await found.json())["bindings"]
        assert "is_uncertain" not in binding
        assert await left(gateway) == {(policy, "support"): 1}


@both_modes
async def test_the_next_turn_goes_to_the_same_conversation_of_the_vendor(tmp_path: Path, *, stream: bool) -> None:
    goes_on = asyncio.Event()
    acme = played([Read(), Wait(goes_on), *WELL[1:]], WELL, target=CONTINUE)
    async with running_targets(tmp_path, {"acme": acme}) as gateway:
        async with asking(gateway, stream=stream):
            running = await running_message(gateway.session)
        await left(gateway)
        goes_on.set()
        await stored_message(gateway.session, running["id"])
        await gateway.ask("On", conversation_id=running["conversation_id"])
        first, second = gateway.vendors["acme"].requests
        assert (first.method, first.target) == (second.method, second.target)


@both_policies
async def test_a_failover_goes_on_as_well(policy: str, tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    vendors = {
        "acme": played([Read(), Wait(goes_on), *refused(500)[1:]], target=GOING_ON[policy]),
        "spare": played(WELL, target=CANCEL),
    }
    async with running_targets(tmp_path, vendors) as gateway:
        async with asking(gateway):
            running = await running_message(gateway.session)
            await (await gateway.vendors["acme"].connection()).heard(b'"modelId"')
        await left(gateway)
        goes_on.set()
        stored = await stored_message(gateway.session, running["id"])
        assert (stored["status"], stored["vendor"], text_of(stored)) == ("completed", "spare", "Hello")
        assert gateway.hits == {"acme": 1, "spare": 1}


async def test_a_failure_without_a_client_is_stored_as_one(tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    acme = played([Read(), Wait(goes_on), *refused(500)[1:]], target=CONTINUE)
    async with running_targets(tmp_path, {"acme": acme}) as gateway:
        async with asking(gateway):
            running = await running_message(gateway.session)
        await left(gateway)
        goes_on.set()
        stored = await stored_message(gateway.session, running["id"])
        assert (stored["status"], stored["error"]["code"]) == ("failed", "upstream_unavailable")
        line = await only_line(gateway)
        assert (line["outcome"], line["cause"], line["client_gone"]) == ("failed", "status_5xx", True)


async def test_nobody_is_sent_heartbeats_who_has_gone(tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    acme = played([Read(), Wait(goes_on), *WELL[1:]], target=CONTINUE)
    route = "headers_after = 0.1\nheartbeat = 0.1"
    async with running_targets(tmp_path, {"acme": acme}, route=route) as gateway:
        async with asking(gateway) as client:
            await client.read_until(b": heartbeat")
            await client.read_until(b": heartbeat")
        await left(gateway)
        await asyncio.sleep(0.6)
        goes_on.set()
        await only_line(gateway)
        assert await gateway.count("gateway_heartbeats_total") in {2, 3}


@both_policies
async def test_a_hundred_streams_left_behind_leave_nothing_behind(policy: str, tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    acme = played([Read(), Write(LAST_HEAD + chunk(START)), Wait(goes_on), *OVER], target=GOING_ON[policy])
    async with running_targets(tmp_path, {"acme": acme}) as gateway:
        async with AsyncExitStack() as clients:
            for number in range(100):
                await clients.enter_async_context(asking(gateway, stream=number % 2 == 0))
            await (await gateway.vendors["acme"].connection(99, within=10)).heard(b'"modelId"')
        await until(lambda: len(gateway.vendors["acme"].requests) == 100)
        assert await gateway.count("gateway_open_streams") == 100
        goes_on.set()
        await until(lambda: len(gateway.log.of("message")) == 100, within=10)
        assert {(line["outcome"], line["client_gone"]) for line in gateway.log.of("message")} == {("completed", True)}
        assert await left(gateway) == {(policy, "support"): 100}


# --- but not for ever, and not where the target says no


@both_modes
async def test_a_drained_run_that_takes_too_long_is_canceled(tmp_path: Path, *, stream: bool) -> None:
    acme = played([Read(), Write(LAST_HEAD + chunk(START) + chunk(HELLO)), Hold()], target=BRIEFLY)
    async with running_targets(tmp_path, {"acme": acme}) as gateway:
        async with asking(gateway, stream=stream):
            connection = await gateway.vendors["acme"].connection()
            await connection.heard(b'"modelId"')
            running = await running_message(gateway.session)
        left_at = time.monotonic()
        await connection.left(within=1)
        assert 0.2 < time.monotonic() - left_at < 1
        stored = await stored_message(gateway.session, running["id"])
        assert (stored["status"], stored["reason"], text_of(stored)) == ("canceled", "client_gone", "Hello")
        line = await only_line(gateway)
        assert (line["outcome"], line["cause"], line["client_gone"]) == ("canceled", "client_gone", True)
        assert await left(gateway) == {("drain", "support"): 1}


async def test_the_time_of_a_drained_run_is_not_prolonged_by_a_failover(tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    vendors = {
        "acme": played([Read(), Wait(goes_on), *refused(500)[1:]], target=BRIEFLY),
        "spare": played([Read(), Hold()], target=CONTINUE),
    }
    async with running_targets(tmp_path, vendors) as gateway:
        async with asking(gateway):
            running = await running_message(gateway.session)
            await (await gateway.vendors["acme"].connection()).heard(b'"modelId"')
        await left(gateway)
        goes_on.set()
        await (await gateway.vendors["spare"].connection()).left(within=1)
        assert (await stored_message(gateway.session, running["id"]))["reason"] == "client_gone"


@both_modes
@pytest.mark.parametrize("phase", phases(asyncio.Event()))
async def test_a_target_that_says_cancel_is_left_at_once_whatever_the_others_say(
    phase: str, tmp_path: Path, *, stream: bool
) -> None:
    scripts = phases(asyncio.Event())[phase]
    credentials = ("email", "password") if phase == "signing in" else ()
    vendors = {"acme": played(*scripts, target=CANCEL, credentials=credentials), **APART}
    async with running_targets(tmp_path, vendors) as gateway:
        async with asking(gateway, stream=stream) as client:
            connection = await gateway.vendors["acme"].connection()
            await connection.heard(b"\r\n\r\n")
            if phase == "in mid-stream" and stream:
                await client.read_until(b'"delta":"Hello"')
            running = await running_message(gateway.session)
            client.reset()
        await connection.left(within=1)
        connection.stop()  # it waits for an event that never comes
        stored = await stored_message(gateway.session, running["id"])
        assert (stored["status"], stored["reason"]) == ("canceled", "client_gone")
        line = await only_line(gateway)
        assert (line["outcome"], line["cause"], line["client_gone"]) == ("canceled", "client_gone", True)
        assert gateway.hits == {"acme": 1, "spare": 0}
        assert await left(gateway) == {("cancel", "support"): 1}


async def test_a_target_that_says_cancel_is_left_while_we_connect_to_it(tmp_path: Path) -> None:
    async with (
        unanswered_port() as port,
        running_targets(tmp_path, {"acme": at(f"http://127.0.0.1:{port}", target=CANCEL), **APART}) as gateway,
    ):
        async with asking(gateway):
            running = await running_message(gateway.session)
        assert (await stored_message(gateway.session, running["id"], within=1))["reason"] == "client_gone"
        assert gateway.hits == {"spare": 0}


async def test_it_is_the_target_asked_then_that_says_what_becomes_of_the_run(tmp_path: Path) -> None:
    """The first says cancel, but it had failed by then."""
    goes_on = asyncio.Event()
    vendors = {
        "acme": played(refused(500), target=CANCEL),
        "spare": played([Read(), Wait(goes_on), *WELL[1:]], target=CONTINUE),
    }
    async with running_targets(tmp_path, vendors) as gateway:
        async with asking(gateway):
            await (await gateway.vendors["spare"].connection()).heard(b'"modelId"')
            running = await running_message(gateway.session)
        assert await left(gateway) == {("continue", "support"): 1}
        goes_on.set()
        assert (await stored_message(gateway.session, running["id"]))["status"] == "completed"


async def test_a_message_without_a_client_can_be_canceled(tmp_path: Path) -> None:
    acme = played([Read(), Write(LAST_HEAD + chunk(START) + chunk(HELLO)), Hold()], target=CONTINUE)
    async with running_targets(tmp_path, {"acme": acme}) as gateway:
        async with asking(gateway) as client:
            await client.read_until(b'"delta":"Hello"')
            running = await running_message(gateway.session)
        await left(gateway)
        status, told = await cancel(gateway.session, running["id"])
        assert (status, told["status"], told["reason"], text_of(told)) == (200, "canceled", "canceled", "Hello")
        await gateway.vendors["acme"].connections[0].left(within=1)
        line = await only_line(gateway)
        assert (line["outcome"], line["cause"], line["client_gone"]) == ("canceled", "canceled", True)


# --- usage


class Counting(HardwireTranslator):
    """Tells what was used so far with every record."""

    _records = 0

    def feed(self, record: Any) -> Any:
        self._records += 1
        yield UsageReported(output_tokens=self._records)
        yield from super().feed(record)


PROTOCOLS = {**BUILT_IN, "hardwire": msgspec.structs.replace(BUILT_IN["hardwire"], translator=Counting)}


@both_modes
@pytest.mark.parametrize(
    ("target", "usage"),
    [
        (CANCEL, {"output_tokens": 2, "partial": True}),
        (BRIEFLY, {"output_tokens": 2, "partial": True}),
        (GOING_ON["drain"], {"output_tokens": 3}),
        (CONTINUE, {"output_tokens": 3}),
    ],
    ids=["cancel", "drain, too long", "drain", "continue"],
)
async def test_what_was_used_is_stored_and_marked_where_it_is_not_all(
    target: str, usage: dict[str, object], tmp_path: Path, *, stream: bool
) -> None:
    goes_on = asyncio.Event()
    script = [Read(), Write(LAST_HEAD + chunk(START) + chunk(HELLO)), Wait(goes_on), *OVER[1:]]
    async with running_targets(tmp_path, {"acme": played(script, target=target)}, protocols=PROTOCOLS) as gateway:
        async with asking(gateway, stream=stream) as client:
            connection = await gateway.vendors["acme"].connection()
            await connection.heard(b'"modelId"')
            if stream:
                await client.read_until(b'"delta":"Hello"')
            else:
                await asyncio.sleep(0.1)
            running = await running_message(gateway.session)
        await left(gateway)
        if "partial" in usage:
            await connection.left(within=1)
        goes_on.set()
        stored = await stored_message(gateway.session, running["id"])
        assert (stored["usage"], text_of(stored)) == (usage, "Hello")
        assert ("vendor_ids" in stored, stored["vendor"]) == (True, "acme")


# --- a client that reads no more


@both_policies
async def test_a_client_that_stops_reading_counts_as_gone(policy: str, tmp_path: Path) -> None:
    script = [Read(), Write(LAST_HEAD + chunk(START) + FLOOD * 300), *OVER[1:]]
    tables = "[server]\nsend_deadline = 0.4\n[limits]\nmax_message = 1_000_000_000"
    acme = played(script, target=GOING_ON[policy])
    async with (
        running_targets(tmp_path, {"acme": acme}, tables=tables) as gateway,
        RawClient(gateway.url, receive_buffer=4096) as client,
    ):
        await client.send(post())
        running = await running_message(gateway.session)
        stored = await stored_message(gateway.session, running["id"])
        assert (stored["status"], len(text_of(stored))) == ("completed", 300 * 16_384)
        line = await only_line(gateway)
        assert (line["outcome"], line["cause"], line["client_gone"]) == ("completed", "completed", True)
        assert await left(gateway) == {(policy, "support"): 1}
        client.close()


async def test_a_client_that_stops_reading_and_then_leaves_is_gone_once(tmp_path: Path) -> None:
    script = [Read(), Write(LAST_HEAD + chunk(START) + FLOOD * 300), *OVER[1:]]
    tables = "[server]\nsend_deadline = 20\n[limits]\nmax_message = 1_000_000_000"
    async with running_targets(tmp_path, {"acme": played(script, target=CONTINUE)}, tables=tables) as gateway:
        async with RawClient(gateway.url, receive_buffer=4096) as client:
            await client.send(post())
            connection = await gateway.vendors["acme"].connection()
            await connection.stalled()
            running = await running_message(gateway.session)
            client.reset()
        stored = await stored_message(gateway.session, running["id"])
        assert (stored["status"], len(text_of(stored))) == ("completed", 300 * 16_384)
        assert await left(gateway) == {("continue", "support"): 1}


async def test_a_client_that_does_not_take_its_last_bytes_was_gone_before_the_end(tmp_path: Path) -> None:
    """The whole answer came in one piece, and only its end finds out that nobody reads."""
    whole = chunk(START + b'data: {"type":"content","delta":"%b"}\n\n' % (b"x" * 3_000_000) + END)
    tables = "[server]\nsend_deadline = 0.4\n[limits]\nmax_message = 1_000_000_000\nmax_record = 100_000_000"
    acme = played([Read(), Write(LAST_HEAD + whole + b"0\r\n\r\n")], target=CONTINUE)
    async with (
        running_targets(tmp_path, {"acme": acme}, tables=tables) as gateway,
        RawClient(gateway.url, receive_buffer=4096) as client,
    ):
        await client.send(post(stream=False))
        line = await only_line(gateway)
        assert (line["outcome"], line["client_gone"]) == ("completed", True)
        assert await left(gateway) == {("continue", "support"): 1}
        client.close()


@pytest.mark.parametrize("target", [CONTINUE, CANCEL])
async def test_a_write_that_finds_the_client_gone_tells_so(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the handler is cancelled: the transport is closing already."""
    goes_on, ends = asyncio.Event(), asyncio.Event()
    spoken = Write(LAST_HEAD + chunk(START) + chunk(HELLO))
    acme = played([Read(), spoken, Wait(goes_on), OVER[0], Wait(ends), *OVER[1:]], target=target)
    write = Downstream.write

    def write_until_gone(downstream: Downstream, data: bytes) -> bool:
        if goes_on.is_set():
            raise ClientGone
        return write(downstream, data)

    monkeypatch.setattr(Downstream, "write", write_until_gone)
    async with running_targets(tmp_path, {"acme": acme}) as gateway, asking(gateway) as client:
        await client.read_until(b'"delta":"Hello"')
        running = await running_message(gateway.session)
        goes_on.set()
        await left(gateway)
        ends.set()
        stored = await stored_message(gateway.session, running["id"])
        status = "completed" if target == CONTINUE else "canceled"
        assert (stored["status"], text_of(stored)) == (status, "HelloHello")
        assert (await only_line(gateway))["client_gone"] is True


@pytest.mark.parametrize("target", [CONTINUE, CANCEL])
async def test_a_wait_for_a_slow_client_that_finds_it_gone_tells_so(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above: before the handler is cancelled."""

    async def find_it_gone(_downstream: Downstream, _deadline: float) -> None:
        raise ClientGone

    monkeypatch.setattr(Downstream, "drain", find_it_gone)
    script = [Read(), Write(LAST_HEAD + chunk(START) + FLOOD * 300), *OVER[1:]]
    tables = "[limits]\nmax_message = 1_000_000_000"
    async with (
        running_targets(tmp_path, {"acme": played(script, target=target)}, tables=tables) as gateway,
        RawClient(gateway.url, receive_buffer=4096) as client,
    ):
        await client.send(post())
        line = await only_line(gateway)
        outcome = ("completed", "completed") if target == CONTINUE else ("canceled", "client_gone")
        assert (line["outcome"], line["cause"], line["client_gone"]) == (*outcome, True)
        client.close()


# --- while the message begins


class Beginning:
    """Stops at the store's door."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ids: list[str] = []
        self.goes_on = asyncio.Event()
        self.error: Exception | None = None
        begin = MemoryStore.begin

        async def begin_late(store: MemoryStore, conversation: Any, messages: Any) -> None:
            self.ids.append(messages[-1].id)
            await self.goes_on.wait()
            if self.error is not None:
                raise self.error
            await begin(store, conversation, messages)

        monkeypatch.setattr(MemoryStore, "begin", begin_late)


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Beginning:
    return Beginning(monkeypatch)


@both_modes
@pytest.mark.parametrize(("target", "status"), [(CONTINUE, "completed"), (CANCEL, "canceled")])
async def test_a_client_that_leaves_while_the_store_begins_is_told_of_to_the_first_target(
    target: str, status: str, tmp_path: Path, store: Beginning, *, stream: bool
) -> None:
    async with running_targets(tmp_path, {"acme": played(WELL, target=target), **APART}) as gateway:
        async with asking(gateway, stream=stream):
            await until(lambda: store.ids)
        await asyncio.sleep(0.1)
        store.goes_on.set()
        line = await only_line(gateway)
        assert (line["outcome"], line["client_gone"]) == (status, True)
        assert (await get(gateway.session, store.ids[0]))[1]["status"] == status
        assert gateway.hits == {"acme": int(target == CONTINUE), "spare": 0}


async def test_a_client_that_leaves_while_the_store_begins_takes_a_message_of_a_plain_route_along(
    tmp_path: Path, store: Beginning
) -> None:
    async with running_targets(tmp_path, {"acme": played(WELL)}) as gateway:
        async with RawClient(gateway.url) as client:
            await client.send(request("POST", "/v1/messages", b'{"content":"Hi"}', [JSON_TYPE, "X-Request-Id: r-1"]))
            await until(lambda: store.ids)
        assert await left(gateway) == {("cancel", "support"): 1}
        line = await only_line(gateway)
        assert (line["request_id"], line["message_id"], line["client_gone"]) == ("r-1", store.ids[0], True)
        assert (line["outcome"], line["cause"], line["attempts"]) == ("canceled", "client_gone", 0)
        assert gateway.hits == {"acme": 0}


async def test_a_refusal_that_nobody_hears_is_in_the_log(tmp_path: Path, store: Beginning) -> None:
    store.error = GatewayError("store_unavailable", "conversations cannot be stored or read now")
    async with running_targets(tmp_path, {"acme": played(WELL, target=CONTINUE)}) as gateway:
        async with asking(gateway):
            await until(lambda: store.ids)
        await asyncio.sleep(0.1)
        store.goes_on.set()
        await until(lambda: gateway.log.of("refused"))
        assert [line["code"] for line in gateway.log.of("refused")] == ["store_unavailable"]
        assert gateway.hits == {"acme": 0}


async def test_a_bug_that_no_handler_hears_of_is_in_the_log(tmp_path: Path, store: Beginning) -> None:
    store.error = ZeroDivisionError("a bug")
    async with running_targets(tmp_path, {"acme": played(WELL, target=CONTINUE)}, bugs=ONE) as gateway:
        async with asking(gateway):
            await until(lambda: store.ids)
        await asyncio.sleep(0.1)
        store.goes_on.set()
        await until(lambda: gateway.log.of("unhandled"))
        assert "ZeroDivisionError" in gateway.log.of("unhandled")[0]["exception"]


async def test_a_bug_is_an_error_for_a_client_that_stayed(tmp_path: Path, store: Beginning) -> None:
    store.error = ZeroDivisionError("a bug")
    store.goes_on.set()
    async with (
        running_targets(tmp_path, {"acme": played(WELL, target=CONTINUE)}, bugs=ONE) as gateway,
        gateway.session.post("/v1/messages", json={"content": "Hi"}) as answer,
    ):
        assert (answer.status, (await answer.json())["error"]["code"]) == (500, "internal")


# --- while the process stops


def stopping(url: str, grace: float) -> str:
    text = scripted(url).replace('model = "m"', 'model = "m", on_disconnect = "continue"')
    return f"{text}\n[server]\nshutdown_grace = {grace}\n"


async def test_a_run_without_a_client_ends_with_the_process_and_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[Ending] = []
    end = MemoryStore.end

    def keep(store: MemoryStore, conversation_id: str, ending: Ending) -> Any:
        kept.append(ending)
        return end(store, conversation_id, ending)

    monkeypatch.setattr(MemoryStore, "end", keep)
    before = asyncio.all_tasks()
    script = [Read(), Write(LAST_HEAD + chunk(START) + chunk(HELLO)), Hold()]
    async with ScriptServer(script) as vendor:
        async with serving(tmp_path, stopping(vendor.url, 0.3)) as gateway:
            async with gateway.raw() as client:
                await client.send(post())
                await client.read_until(b'"delta":"Hello"')
            async with asyncio.timeout(2):
                while not await gateway.samples("gateway_client_disconnects_total"):  # noqa: ASYNC110  (no event)
                    await asyncio.sleep(0.01)
            stopped_at = time.monotonic()
        assert 0.2 < time.monotonic() - stopped_at < 2
        await (await vendor.connection()).left(within=1)
    assert asyncio.all_tasks() == before
    (ending,) = kept
    assert (ending.answer.status, ending.answer.error and ending.answer.error.code) == ("failed", "overloaded")
    (line,) = gateway.log.of("message")
    assert (line["outcome"], line["code"], line["client_gone"]) == ("failed", "overloaded", True)


async def test_a_message_that_the_store_begins_as_the_process_stops_asks_nobody(
    tmp_path: Path, store: Beginning
) -> None:
    async with ScriptServer(WELL) as vendor, AsyncExitStack() as stack:
        async with serving(tmp_path, stopping(vendor.url, 0.1)) as gateway:
            client = await stack.enter_async_context(gateway.raw())
            await client.send(post())
            await until(lambda: store.ids)
            asyncio.get_running_loop().call_later(0.3, store.goes_on.set)
        assert (await client.read_all()).startswith(b"HTTP/1.1 503 ")
        assert vendor.connections == []
    (line,) = gateway.log.of("message")
    assert (line["outcome"], line["code"], line["client_gone"]) == ("failed", "overloaded", False)


# --- a client that stays


@both_modes
@both_policies
async def test_who_stays_sees_no_difference(policy: str, tmp_path: Path, *, stream: bool) -> None:
    vendors = {"acme": played(WELL, refused(500), target=GOING_ON[policy])}
    async with running_targets(tmp_path, vendors) as gateway:
        well = await gateway.ask(stream=stream)
        assert (well.status, well.ending, well.line["client_gone"]) == (200, ("completed", "completed", None), False)
        failed = await gateway.ask(stream=stream)
        assert (failed.status, failed.ending[2]) == (503, "upstream_unavailable")
        refused_one = await gateway.session.post("/v1/messages", json={"content": "Hi", "conversation_id": "conv_1"})
        assert refused_one.status == 404
        refused_one.close()
        assert await gateway.counts("gateway_client_disconnects_total") == {}


@pytest.mark.parametrize("target", [CONTINUE, CANCEL])
async def test_who_leaves_with_the_whole_answer_has_not_left_before_its_end(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it is not stored yet."""
    may_store = asyncio.Event()
    end = Keeper.end

    def end_late(*args: Any, **kwargs: Any) -> Any:
        stored = end(*args, **kwargs)

        async def wait() -> None:
            await may_store.wait()
            await stored

        return wait()

    monkeypatch.setattr(Keeper, "end", end_late)
    async with running_targets(tmp_path, {"acme": played(WELL, target=target)}) as gateway:
        async with asking(gateway) as client:
            await client.read_until(b"message.completed")
            await client.read_until(b"\r\n0\r\n\r\n")
        await asyncio.sleep(0.1)
        may_store.set()
        assert (await only_line(gateway))["client_gone"] is False
        assert await gateway.counts("gateway_client_disconnects_total") == {}

"""`GET /v1/messages/{id}` and `POST /v1/messages/{id}/cancel`: in every phase of a message, and after its end."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageCanceled
from gateway.conversations.memory import MemoryStore
from gateway.protocols.base import VendorRequest
from gateway.protocols.hardwire.translator import HardwireTranslator
from gateway.protocols.registry import BUILT_IN
from gateway.relay.run import Run
from gateway.relay.upstream import Pool
from gateway.server import answering
from tests.support.gateway import HELLO, START, RunningGateway, until
from tests.support.scripts import (
    HEAD,
    Hold,
    RawClient,
    Read,
    Received,
    Repeat,
    Step,
    Wait,
    Write,
    chunk,
    request,
    response,
    unanswered_port,
)
from tests.support.stopping import cancel, get, running_message, stored_message
from tests.support.targets import TOUCHY, WELL, WHOLE, Choosing, Played, at, played, refused, running_targets, said

both_modes = pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])

JSON_TYPE = "Content-Type: application/json"
PASSWORD: Any = {"credentials": ("email", "password")}
NEVER = ["message.started", "message.canceled"]
"""The events of a message of which nothing was said yet."""


def _later(asked: Received) -> list[Step]:
    """What a vendor says to the next message: that it knows of no earlier one, and "Hello"."""
    return WELL if asked.method == "POST" else [Write(response(404, b"{}", connection="close"))]


LATER: list[Step] = [Choosing(_later)]
SIGNED_IN = response(200, b'{"user":{"id":"u1"}}', set_cookie="session=s1", connection="close")


class Phase(Struct, frozen=True):
    """Where a message is when it is canceled: what its vendors play, and how it is known that it has come so far.

    `cut` is the vendor whose connection the cancel is to close, `failed` why there was an attempt before this one.
    """

    vendors: dict[str, Played]
    reached: Callable[[RunningGateway], Awaitable[object]]
    failed: str | None = None
    text: str = ""
    cut: str = "acme"

    @property
    def outcomes(self) -> dict[str, int]:
        return {"canceled": 1} if self.failed is None else {self.failed: 1, "canceled": 1}


def heard(data: bytes, vendor: str = "acme") -> Callable[[RunningGateway], Awaitable[object]]:
    async def reached(gateway: RunningGateway) -> None:
        await (await gateway.vendors[vendor].connection()).heard(data)

    return reached


async def _answered(gateway: RunningGateway) -> None:
    """The first connection is over, and the gateway has seen it."""
    connection = await gateway.vendors["acme"].connection()
    await until(connection.playing.done)
    while await gateway.count("gateway_vendor_connections"):  # noqa: ASYNC110  (no event is set for it)
        await asyncio.sleep(0.01)


async def _shown(gateway: RunningGateway) -> None:
    """Some time after the vendor spoke."""
    await heard(b'"modelId"')(gateway)
    await asyncio.sleep(0.1)


ASKED = heard(b'"modelId"')
SPOKEN = [Read(), Write(HEAD + chunk(START) + chunk(HELLO)), Hold()]

PHASES = {
    "signing in": Phase(
        {"acme": played([Read(), Hold()], [Read(), Write(SIGNED_IN)], LATER, **PASSWORD)}, heard(b'"password"')
    ),
    "before the headers": Phase({"acme": played([Read(), Hold()], LATER)}, ASKED),
    "before the first event": Phase({"acme": played([Read(), Write(HEAD), Hold()], LATER)}, _shown),
    "before the first content": Phase({"acme": played([Read(), Write(HEAD + chunk(START)), Hold()], LATER)}, _shown),
    "within a refusal": Phase(
        {"acme": played([Read(), Write(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\n"), Hold()], LATER)}, _shown
    ),
    "in mid-stream": Phase({"acme": played(SPOKEN, LATER)}, _shown, text="Hello"),
    "after a failover": Phase(
        {"acme": played(refused(500), LATER), "spare": played([Read(), Hold()], LATER)},
        heard(b'"modelId"', "spare"),
        failed="status_5xx",
        cut="spare",
    ),
}


@both_modes
@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)
async def test_a_message_can_be_canceled_in_every_phase_and_the_next_one_works_at_once(
    phase: Phase, tmp_path: Path, *, stream: bool
) -> None:
    async with running_targets(tmp_path, phase.vendors) as gateway:
        asking = asyncio.create_task(gateway.ask(stream=stream))
        await phase.reached(gateway)
        running = await running_message(gateway.session)
        assert await get(gateway.session, running["id"]) == (200, running)
        began = time.monotonic()
        status, told = await cancel(gateway.session, running["id"])
        assert time.monotonic() - began < 1
        assert (status, told["id"], told["status"], told["reason"]) == (200, running["id"], "canceled", "canceled")
        assert "".join(part["text"] for part in told["parts"]) == phase.text
        answer = await asking
        assert (answer.status, said(answer)) == (200, phase.text)
        if stream:
            assert answer.kinds == ([*WHOLE[:-1], "message.canceled"] if phase.text else NEVER)
            assert isinstance(answer.terminal, MessageCanceled)
            assert answer.terminal.reason == "canceled"
        else:
            assert answer.document == told
        await gateway.vendors[phase.cut].connections[0].left(within=1)
        assert await get(gateway.session, running["id"]) == (200, told)
        assert answer.ending == ("canceled", "canceled", None)
        assert answer.line["client_gone"] is False
        assert await gateway.outcomes() == phase.outcomes
        assert await gateway.counts("gateway_messages_total") == {("canceled", "support", answer.line["vendor"]): 1}
        assert await gateway.counts("gateway_client_disconnects_total") == {}
        assert [line for line in gateway.log.lines if line["level"] == "error"] == []
        again = await gateway.ask("Again", conversation_id=running["conversation_id"], stream=stream)
        assert (again.status, said(again), again.ending[0]) == (200, "Hello", "completed")


def with_requests(requests: Callable[..., Any]) -> Any:
    changed = type("Changed", (HardwireTranslator,), {"requests": requests})
    return {**BUILT_IN, "hardwire": msgspec.structs.replace(BUILT_IN["hardwire"], translator=changed)}


def stateless(self: Any, turn: Any) -> Any:
    """A vendor that keeps nothing, and so may be asked again whatever became of the first time."""
    for asked in HardwireTranslator.requests(self, turn):
        yield msgspec.structs.replace(asked, effect="repeatable")


@both_modes
@pytest.mark.parametrize(("status", "cause"), [(503, "status_5xx"), (429, "rate_limited")], ids=["retry", "pause"])
async def test_a_message_that_waits_before_it_asks_again_can_be_canceled(
    status: int, cause: str, tmp_path: Path, *, stream: bool
) -> None:
    vendors = {"acme": played(refused(status, retry_after="20"), target="retries = 1")}
    async with running_targets(tmp_path, vendors, protocols=with_requests(stateless)) as gateway:
        asking = asyncio.create_task(gateway.ask(stream=stream))
        await _answered(gateway)
        running = await running_message(gateway.session)
        assert (await cancel(gateway.session, running["id"]))[1]["status"] == "canceled"
        assert (await asking).ending == ("canceled", "canceled", None)
        assert (await gateway.outcomes(), gateway.hits) == ({cause: 1, "canceled": 1}, {"acme": 1})


@both_modes
async def test_a_message_can_be_canceled_while_we_connect(tmp_path: Path, *, stream: bool) -> None:
    async with (
        unanswered_port() as port,
        running_targets(tmp_path, {"acme": at(f"http://127.0.0.1:{port}")}) as gateway,
    ):
        asking = asyncio.create_task(gateway.ask(stream=stream))
        running = await running_message(gateway.session)
        assert (await cancel(gateway.session, running["id"]))[1]["status"] == "canceled"
        assert (await asking).ending == ("canceled", "canceled", None)


async def test_a_message_can_be_canceled_while_one_of_its_requests_has_to_wait(tmp_path: Path) -> None:
    def requests(_self: Any, _turn: Any) -> Any:
        yield VendorRequest("GET", "/late", after=60)

    vendors = {"acme": played([Hold()])}
    async with running_targets(tmp_path, vendors, protocols=with_requests(requests)) as gateway:
        asking = asyncio.create_task(gateway.ask())
        running = await running_message(gateway.session)
        assert (await cancel(gateway.session, running["id"]))[1]["status"] == "canceled"
        assert (await asking).kinds == NEVER
        assert gateway.vendors["acme"].connections == []


async def test_a_message_can_be_canceled_while_its_vendor_is_asked_what_it_knows(tmp_path: Path) -> None:
    """The turn before broke off, so the vendor's own list is read first; it does not come."""
    cut = [Read(), Write(HEAD + chunk(START))]
    vendors = {"acme": played(cut, [Read(), Hold()], LATER)}
    async with running_targets(tmp_path, vendors) as gateway:
        first = await gateway.ask()
        conversation_id = first.line["conversation_id"]
        asking = asyncio.create_task(gateway.ask("On", conversation_id=conversation_id))
        listing = await gateway.vendors["acme"].connection(1)
        await listing.heard(b"GET /chats/")
        running = await running_message(gateway.session)
        assert (await cancel(gateway.session, running["id"]))[1]["status"] == "canceled"
        assert (await asking).kinds == NEVER
        await listing.left(within=1)
        assert (await gateway.ask("Again", conversation_id=conversation_id)).text == "Hello"


# --- a client that does not read


FLOOD = chunk(b'data: {"type":"content","delta":"%b"}\n\n' % (b"x" * 16_384))


async def test_a_message_can_be_canceled_whose_client_does_not_read(tmp_path: Path) -> None:
    vendors = {"acme": played([Read(), Write(HEAD + chunk(START)), Repeat(FLOOD)], LATER)}
    tables = "[limits]\nmax_message = 1_000_000_000\n[server]\nsend_deadline = 20"
    async with running_targets(tmp_path, vendors, tables=tables) as gateway:
        async with RawClient(gateway.url, receive_buffer=4096) as client:
            await client.send(request("POST", "/v1/messages", b'{"content":"Hi"}', [JSON_TYPE]))
            connection = await gateway.vendors["acme"].connection()
            await connection.stalled(within=5)
            running = await running_message(gateway.session)
            began = time.monotonic()
            status, told = await cancel(gateway.session, running["id"])
            assert time.monotonic() - began < 2
            assert (status, told["status"], told["reason"]) == (200, "canceled", "canceled")
            await connection.left(within=1)
            again = await gateway.ask("Again", conversation_id=running["conversation_id"])
            assert again.text == "Hello"
            told_late = await client.read_until(b"message.canceled", within=10)
            await client.read_until(b"\r\n0\r\n\r\n")
            assert told_late.count(b"event: text.delta") == told["parts"][0]["text"].count("x") // 16_384
        await until(lambda: len(gateway.log.of("message")) == 2)
        assert {line["cause"] for line in gateway.log.of("message")} == {"canceled", "completed"}


async def cancel_unread(gateway: RunningGateway, client: RawClient) -> None:
    """A message of which the client has read so little that the vendor waits."""
    await client.send(request("POST", "/v1/messages", b'{"content":"Hi"}', [JSON_TYPE]))
    await (await gateway.vendors["acme"].connection()).stalled(within=5)
    await cancel(gateway.session, (await running_message(gateway.session))["id"])


async def test_a_canceled_message_is_not_told_for_ever_to_a_client_that_does_not_read(tmp_path: Path) -> None:
    vendors = {"acme": played([Read(), Write(HEAD + chunk(START)), Repeat(FLOOD)])}
    tables = "[limits]\nmax_message = 1_000_000_000\n[server]\nsend_deadline = 1.5"
    async with running_targets(tmp_path, vendors, tables=tables) as gateway:
        async with RawClient(gateway.url, receive_buffer=4096) as client:
            await cancel_unread(gateway, client)
            began = time.monotonic()
            await until(lambda: gateway.log.of("message"), within=4)
            assert 1 < time.monotonic() - began < 3
        (line,) = gateway.log.of("message")
        assert (line["outcome"], line["cause"], line["client_gone"]) == ("canceled", "canceled", True)


async def test_a_client_that_did_not_read_may_leave_when_its_message_was_canceled(tmp_path: Path) -> None:
    """What waited for it is read: nothing is told to the event loop, as is checked at the end."""
    vendors = {"acme": played([Read(), Write(HEAD + chunk(START)), Repeat(FLOOD)])}
    tables = "[limits]\nmax_message = 1_000_000_000\n[server]\nsend_deadline = 20"
    async with running_targets(tmp_path, vendors, tables=tables) as gateway:
        async with RawClient(gateway.url, receive_buffer=4096) as client:
            await cancel_unread(gateway, client)
            client.reset()
            await until(lambda: gateway.log.of("message"))
        await gateway.settle()
        gc.collect()


# --- while the message begins


class Beginning:
    """Stops at the store's door."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ids: list[str] = []
        self.goes_on = asyncio.Event()
        self.error: GatewayError | None = None
        begin = MemoryStore.begin

        async def begin_late(store: MemoryStore, conversation: Any, messages: Any) -> None:
            self.ids.append(messages[-1].id)
            await self.goes_on.wait()
            if self.error is not None:
                raise self.error
            await begin(store, conversation, messages)

        monkeypatch.setattr(MemoryStore, "begin", begin_late)


@both_modes
async def test_a_message_can_be_canceled_while_the_store_begins_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, stream: bool
) -> None:
    store = Beginning(monkeypatch)
    async with running_targets(tmp_path, {"acme": played(WELL)}) as gateway:
        asking = asyncio.create_task(gateway.ask(stream=stream))
        await until(lambda: store.ids)
        canceling = asyncio.create_task(cancel(gateway.session, store.ids[0]))
        await asyncio.sleep(0.05)
        store.goes_on.set()
        status, told = await canceling
        assert (status, told["status"], told["reason"]) == (200, "canceled", "canceled")
        answer = await asking
        assert answer.kinds == NEVER if stream else answer.document == told
        assert gateway.hits == {"acme": 0}


async def test_canceling_what_the_store_then_refuses_is_canceling_what_never_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Beginning(monkeypatch)
    store.error = GatewayError("store_unavailable", "conversations cannot be stored or read now")
    async with running_targets(tmp_path, {"acme": played(WELL)}) as gateway:
        asking = asyncio.create_task(gateway.session.post("/v1/messages", json={"content": "Hi"}))
        await until(lambda: store.ids)
        canceling = asyncio.create_task(cancel(gateway.session, store.ids[0]))
        await asyncio.sleep(0.05)
        store.goes_on.set()
        assert (await canceling)[0] == 404
        async with await asking as refused:
            assert refused.status == 503


async def test_who_cancels_waits_no_longer_than_he_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "CANCELED_WITHIN", 0.1)
    store = Beginning(monkeypatch)
    async with running_targets(tmp_path, {"acme": played(WELL)}) as gateway:
        asking = asyncio.create_task(gateway.ask())
        await until(lambda: store.ids)
        assert (await cancel(gateway.session, store.ids[0]))[0] == 404
        store.goes_on.set()
        assert (await asking).kinds == NEVER


# --- races, and what is over


@pytest.mark.parametrize("store", ["memory", "sqlite"])
async def test_two_who_cancel_at_once_are_told_the_same(store: str, tmp_path: Path) -> None:
    async with running_targets(tmp_path, {"acme": played(SPOKEN)}, store=store) as gateway:
        asking = asyncio.create_task(gateway.ask())
        await _shown(gateway)
        running = await running_message(gateway.session)
        told = await asyncio.gather(*(cancel(gateway.session, running["id"]) for _ in range(5)))
        assert {status for status, _ in told} == {200}
        assert [document for _, document in told] == [told[0][1]] * 5
        assert (await asking).kinds.count("message.canceled") == 1
        assert await gateway.outcomes() == {"canceled": 1}


@both_modes
@pytest.mark.parametrize(("script", "status"), [(WELL, "completed"), (refused(500), "failed"), (SPOKEN, "canceled")])
async def test_a_message_that_is_over_stays_as_it_is(
    script: list[Step], status: str, tmp_path: Path, *, stream: bool
) -> None:
    async with running_targets(tmp_path, {"acme": played(script)}) as gateway:
        asking = asyncio.create_task(gateway.ask(stream=stream))
        if status == "canceled":
            await _shown(gateway)
            await cancel(gateway.session, (await running_message(gateway.session))["id"])
        message_id = (await asking).line["message_id"]
        before = await stored_message(gateway.session, message_id)
        assert (before["id"], before["status"]) == (message_id, status)
        for _ in range(2):
            assert await cancel(gateway.session, message_id) == (200, before)
        assert sum((await gateway.outcomes()).values()) == 1


async def test_a_question_is_a_message_too(tmp_path: Path) -> None:
    async with running_targets(tmp_path, {"acme": played(WELL)}) as gateway:
        conversation_id = (await gateway.ask("What?")).line["conversation_id"]
        async with gateway.session.get(f"/v1/conversations/{conversation_id}/messages") as listed:
            question, answer = (await listed.json())["data"]
        assert (question["role"], question["parts"][0]["text"]) == ("user", "What?")
        for message in (question, answer):
            assert await get(gateway.session, message["id"]) == (200, message)
            assert await cancel(gateway.session, message["id"]) == (200, message)


@pytest.mark.parametrize("message_id", ["msg_" + "0" * 24, "x", "%00", "conv_1"])
async def test_an_unknown_message_is_not_found(message_id: str, tmp_path: Path) -> None:
    async with running_targets(tmp_path, {"acme": played(WELL)}) as gateway:
        for status, told in (await get(gateway.session, message_id), await cancel(gateway.session, message_id)):
            assert (status, told["error"]["code"], told["error"]["message"]) == (404, "not_found", "no such message")


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_parameter_is_refused(method: str, tmp_path: Path) -> None:
    path = "/v1/messages/msg_1" + ("/cancel" if method == "POST" else "")
    async with (
        running_targets(tmp_path, {"acme": played(WELL)}) as gateway,
        gateway.session.request(method, f"{path}?force=1") as refused,
    ):
        assert (refused.status, (await refused.json())["error"]["details"]["path"]) == (400, "query.force")


async def test_a_message_that_ends_as_it_is_canceled_has_one_ending(tmp_path: Path) -> None:
    """Whichever comes first: the two are let loose together, many times."""
    goes_on = [asyncio.Event() for _ in range(20)]
    scripts = [[*WELL[:3], Wait(event), *WELL[3:]] for event in goes_on]
    async with running_targets(tmp_path, {"acme": played(*scripts)}) as gateway:
        for number, event in enumerate(goes_on):
            asking = asyncio.create_task(gateway.ask())
            await (await gateway.vendors["acme"].connection(number)).heard(b'"modelId"')
            running = await running_message(gateway.session)
            canceling = asyncio.create_task(cancel(gateway.session, running["id"]))
            await asyncio.sleep(0.0005 * number)
            event.set()
            status, told = await canceling
            answer = await asking
            assert (status, told["status"]) == (200, answer.ending[0])
            assert answer.kinds[-1] == f"message.{told['status']}"


async def test_no_breaker_is_charged_with_a_cancel(tmp_path: Path) -> None:
    vendors = {"acme": played([Read(), Hold()], [Read(), Hold()], WELL, vendor=TOUCHY)}
    async with running_targets(tmp_path, vendors) as gateway:
        for number in range(2):
            asking = asyncio.create_task(gateway.ask())
            await (await gateway.vendors["acme"].connection(number)).heard(b'"modelId"')
            await cancel(gateway.session, (await running_message(gateway.session))["id"])
            await asking
        assert (await gateway.counts("gateway_breaker_state")) == {("closed", "acme"): 1}
        assert (await gateway.ask()).text == "Hello"


async def test_no_request_is_sent_on_a_connection_that_stands_just_too_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stands, and before the run is awake again the message is canceled."""
    stands, goes_on = asyncio.Event(), asyncio.Event()
    connect = Pool.connect

    async def connect_late(pool: Pool, origin: Any) -> Any:
        connection = await connect(pool, origin)
        stands.set()
        await goes_on.wait()
        return connection

    monkeypatch.setattr(Pool, "connect", connect_late)
    async with running_targets(tmp_path, {"acme": played([Hold()])}) as gateway:
        asking = asyncio.create_task(gateway.ask())
        await stands.wait()
        running = await running_message(gateway.session)
        run_cancel = Run.cancel

        def cancel_and_go_on(run: Any, reason: Any) -> None:
            goes_on.set()  # its waiter is awake first
            run_cancel(run, reason)

        monkeypatch.setattr(Run, "cancel", cancel_and_go_on)
        await cancel(gateway.session, running["id"])
        assert (await asking).kinds == NEVER
        connection = gateway.vendors["acme"].connections[0]
        await connection.left()
        assert connection.received == b""

"""Stopping a message, and leaving it behind, at all five simulated vendors."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.canonical.events import MessageCanceled
from gateway.protocols.base import Pause, SimulatedRequest, Step
from tests.support.gateway import until
from tests.support.stopping import cancel, running_message, stored_message
from tests.vendors.cases import LINES
from tests.vendors.five import VENDORS, Five, Telling, five, held, interrupted, is_stream

TARGETS = {
    "dynamiq": 'app = "8e9f6c1a-3b7d-4c52-9a41-6f0d2b8e7c15"',
    "chatbase": 'agent = "demo-agent"',
    "dimedove": 'app = "app_1"',
    "hardwire": 'model = "gpt-4o"',
    "sema4": 'agent = "a1"',
}
STAYING = "".join(
    f'[routes.{vendor}-{policy}]\ntargets = [{{ vendor = "{vendor}", {target}, on_disconnect = "{policy}" }}]\n'
    for vendor, target in TARGETS.items()
    for policy in ("drain", "continue")
)

STOPS = {"dynamiq": "POST /v1/runs/*/cancel"}
"""Who has a call for it; at the others closing the connection is all that can be done."""

every_vendor = pytest.mark.parametrize("vendor", VENDORS)
both_modes = pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Five]:
    async with five(tmp_path, STAYING) as running:
        yield running


async def speaking(gateway: Five, vendor: str) -> Telling:
    """The vendor's stream, of which all but the last event was told."""
    tellings = gateway.record(vendor).tellings
    await until(lambda: bool(tellings) and not tellings[-1].is_over)
    await asyncio.sleep(0.1)
    return tellings[-1]


async def errands(gateway: Five) -> dict[tuple[str, ...], float]:
    return await gateway.samples("gateway_errands_total")


@both_modes
@every_vendor
async def test_a_message_that_is_canceled_stops_and_the_next_one_works_at_once(
    vendor: str, gateway: Five, *, stream: bool
) -> None:
    record = gateway.record(vendor)
    record.bend = held
    asking = asyncio.create_task(gateway.say(vendor, "Hi", stream=stream))
    telling = await speaking(gateway, vendor)
    running = await running_message(gateway.session)
    status, told = await cancel(gateway.session, running["id"])
    assert (status, told["status"], told["reason"]) == (200, "canceled", "canceled")
    assert "You asked" in "".join(part.get("text", "") for part in told["parts"])
    reply = await asking
    assert reply.status == 200
    if stream:
        assert isinstance(reply.events[-1], MessageCanceled)
    else:
        assert reply.document == told
    await until(lambda: telling.is_over, within=1)
    assert not telling.is_whole

    record.bend = as_it_is
    began = time.monotonic()
    again = await gateway.say(vendor, "Again", conversation_id=told["conversation_id"], stream=False)
    assert time.monotonic() - began < 2
    assert (again.status, again.document["status"]) == (200, "completed")
    assert "Again" in again.document["parts"][-1]["text"]

    stops = {("stop", "completed", vendor): 1.0} if vendor in STOPS else {}
    assert {labels: count for labels, count in (await errands(gateway)).items() if labels[0] == "stop"} == stops
    assert [line for line in record.lines if line.endswith("/cancel")] == [STOPS[vendor] for _ in stops]
    assert [line["outcome"] for line in gateway.log.of("message")] == ["canceled", "completed"]


def as_it_is(_: SimulatedRequest, steps: list[Step]) -> list[Step]:
    return steps


@pytest.mark.parametrize("vendor", STOPS)
async def test_a_vendors_run_is_stopped_that_has_outlived_its_client(vendor: str, tmp_path: Path) -> None:
    """Canceled by somebody, and when its time is over."""
    target = f'{{ vendor = "{vendor}", {TARGETS[vendor]}, on_disconnect = "drain", drain = 0.4 }}'
    async with five(tmp_path, f"{STAYING}[routes.brief]\ntargets = [{target}]\n") as gateway:
        record = gateway.record(vendor)
        record.bend = held
        message_id = await leave(gateway, f"{vendor}-continue")
        assert record.lines == LINES[vendor][0]
        await cancel(gateway.session, message_id)
        await until(lambda: record.lines == [*LINES[vendor][0], STOPS[vendor]], within=1)
        record.requests.clear()
        await leave(gateway, "brief")
        await until(lambda: record.lines == [*LINES[vendor][0], STOPS[vendor]], within=2)
        await until(partial(has_lines, gateway, 2))
        assert [line["cause"] for line in gateway.log.of("message")] == ["canceled", "client_gone"]
        async with asyncio.timeout(2):
            while await errands(gateway) != {("stop", "completed", vendor): 2.0}:  # noqa: ASYNC110  (no event is set)
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("vendor", STOPS)
async def test_a_vendors_run_is_stopped_that_is_left_for_another(vendor: str, tmp_path: Path) -> None:
    first = f'{{ vendor = "{vendor}", {TARGETS[vendor]}, deadlines = {{ first_event = 0.3 }} }}'
    second = f'{{ vendor = "chatbase", {TARGETS["chatbase"]} }}'
    async with five(tmp_path, f"[routes.both]\ntargets = [{first}, {second}]\n") as gateway:
        record = gateway.record(vendor)
        record.bend = begun
        reply = await gateway.say("both", "Hi", stream=False)
        assert (reply.status, reply.document["vendor"]) == (200, "chatbase")
        await until(lambda: record.lines == [*LINES[vendor][0], STOPS[vendor]], within=2)


@pytest.mark.parametrize("vendor", STOPS)
async def test_a_vendors_run_is_stopped_that_goes_on_when_the_gateway_stops(vendor: str, tmp_path: Path) -> None:
    async with interrupted(tmp_path, f"{STAYING}[server]\nshutdown_grace = 0.1\n") as gateway:
        record = gateway.record(vendor)
        record.bend = held
        await leave(gateway, f"{vendor}-continue")
        assert record.lines == LINES[vendor][0]
    assert record.lines == [*LINES[vendor][0], STOPS[vendor]]


def begun(_: SimulatedRequest, steps: list[Step]) -> list[Step]:
    """A stream that falls silent behind its first event."""
    return [*steps[:2], Pause(60)] if is_stream(steps) else steps


def has_lines(gateway: Five, count: int) -> bool:
    return len(gateway.log.of("message")) == count


async def leave(gateway: Five, route: str) -> str:
    """A client that reads some text and goes, and the gateway has noticed; the message's id."""
    before = await disconnects(gateway)
    async with gateway.session.post("/v1/messages", json={"route": route, "content": "Hi"}) as response:
        seen = b""
        while b"event: text.delta" not in seen:
            seen += await response.content.readany()
        response.close()
    async with asyncio.timeout(2):
        while await disconnects(gateway) == before:  # noqa: ASYNC110  (as above)
            await asyncio.sleep(0.01)
    return seen.partition(b'"message_id":"')[2].partition(b'"')[0].decode()


async def disconnects(gateway: Five) -> float:
    return sum((await gateway.samples("gateway_client_disconnects_total")).values())


@pytest.mark.parametrize("policy", ["drain", "continue"])
@every_vendor
async def test_an_answer_that_goes_on_without_its_client_is_whole(vendor: str, policy: str, gateway: Five) -> None:
    record = gateway.record(vendor)
    whole = (await gateway.say(vendor, "Hi", stream=False)).document
    record.requests.clear()
    record.bend = late
    route = f"{vendor}-{policy}"
    message_id = await leave(gateway, route)
    stored = await stored_message(gateway.session, message_id)
    assert shown(stored) == shown(whole)
    assert record.lines == LINES[vendor][0]
    (_, line) = gateway.log.of("message")
    assert (line["outcome"], line["client_gone"]) == ("completed", True)
    assert await gateway.samples("gateway_client_disconnects_total") == {(policy, route): 1}
    assert await errands(gateway) == {}
    again = await gateway.say(route, "Again", conversation_id=stored["conversation_id"], stream=False)
    assert (again.status, record.lines) == (200, [*LINES[vendor][0], *LINES[vendor][1]])


def late(_: SimulatedRequest, steps: list[Step]) -> list[Step]:
    """A stream whose last event comes a second after the others."""
    return [*steps[:-1], Pause(1), steps[-1]] if is_stream(steps) else steps


def shown(message: Any) -> Any:
    return (
        message["status"],
        message["finish_reason"],
        message["parts"],
        message.get("usage"),
        set(message["vendor_ids"]),
    )

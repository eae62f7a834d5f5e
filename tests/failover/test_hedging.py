"""Hedging: a second target is asked beside the first that has not begun to answer; one of them is the message."""

import asyncio
from pathlib import Path

import pytest

from tests.support.gateway import END, HELLO, START, RunningGateway
from tests.support.scripts import Hold, RawClient, Read, Reset, Sleep, Step, Wait, Write, chunk
from tests.support.targets import (
    BEGUN,
    CONTINUE,
    LAST_HEAD,
    QUICK,
    RESTART,
    WELL,
    WHOLE,
    Played,
    also_well,
    content,
    message,
    played,
    refused,
    running_targets,
    said,
)

TWICE = "may_run_twice = true"
SOON = "hedge_after = 0.1"
SILENT: list[Step] = [Read(), Hold()]
BEGUN_ONLY: list[Step] = [Read(), Write(BEGUN), Hold()]
HALF: list[Step] = [Read(), Write(LAST_HEAD + chunk(START) + chunk(content("Half"))), Reset()]
SPOKEN = also_well("From", " spare")

either_mode = pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])


def late(seconds: float, text: str = "Late") -> list[Step]:
    return [Read(), Sleep(seconds), *also_well(text)[1:]]


def pair(acme: list[Step], spare: list[Step], **fields: str) -> dict[str, Played]:
    return {"acme": played(acme, **{"target": TWICE, **fields}), "spare": played(spare, target=TWICE)}


async def hedges(gateway: RunningGateway) -> dict[str, float]:
    """Of the second target, by how they ended."""
    counted = {each: await gateway.count("gateway_hedges_total", each, "spare") for each in ("won", "lost")}
    return {outcome: count for outcome, count in counted.items() if count}


@either_mode
async def test_a_second_target_answers_where_the_first_does_not_begin(tmp_path: Path, *, stream: bool) -> None:
    async with running_targets(tmp_path, pair(SILENT, SPOKEN), route=SOON) as gateway:
        answer = await gateway.ask(stream=stream)
        assert said(answer) == "From spare"
        assert gateway.hits == {"acme": 1, "spare": 1}
        assert await gateway.outcomes() == {"hedged": 1, "completed": 1}
        assert await hedges(gateway) == {"won": 1}
        await (await gateway.vendors["acme"].connection()).left(within=1)
        if stream:
            assert answer.kinds == [*WHOLE[:3], "text.delta", *WHOLE[3:]]
        assert answer.line["vendor"] == "spare"


@either_mode
async def test_the_first_answers_where_it_begins_before_the_second(tmp_path: Path, *, stream: bool) -> None:
    async with running_targets(tmp_path, pair(late(0.4), SILENT), route=SOON) as gateway:
        answer = await gateway.ask(stream=stream)
        assert said(answer) == "Late"
        assert await gateway.outcomes() == {"hedged": 1, "completed": 1}
        assert await hedges(gateway) == {"lost": 1}


async def test_lifecycle_events_win_nothing(tmp_path: Path) -> None:
    async with running_targets(tmp_path, pair(late(0.5), BEGUN_ONLY), route=SOON) as gateway:
        assert said(await gateway.ask()) == "Late"


async def test_who_has_begun_in_time_has_nobody_beside(tmp_path: Path) -> None:
    steps: list[Step] = [Read(), Write(LAST_HEAD), Write(chunk(START)), Write(chunk(HELLO)), Sleep(0.4)]
    steps += [Write(chunk(END)), Write(b"0\r\n\r\n")]
    async with running_targets(tmp_path, pair(steps, SPOKEN), route=SOON) as gateway:
        assert said(await gateway.ask()) == "Hello"
        assert gateway.hits == {"acme": 1, "spare": 0}
        assert await hedges(gateway) == {}


@pytest.mark.parametrize(
    ("acme", "spare", "route"),
    [(TWICE, "", SOON), ("", TWICE, SOON), (TWICE, TWICE, "")],
    ids=["the second may not", "the first may not", "off"],
)
async def test_nobody_is_asked_beside_who_may_not_be_run_twice(
    tmp_path: Path, acme: str, spare: str, route: str
) -> None:
    vendors = {"acme": played(late(0.5), target=acme), "spare": played(SPOKEN, target=spare)}
    async with running_targets(tmp_path, vendors, route=route) as gateway:
        assert said(await gateway.ask()) == "Late"
        assert gateway.hits == {"acme": 1, "spare": 0}


async def test_a_message_without_failover_has_no_hedge(tmp_path: Path) -> None:
    async with running_targets(tmp_path, pair(late(0.5), SPOKEN), route=SOON) as gateway:
        assert said(await gateway.ask(failover=False)) == "Late"
        assert gateway.hits == {"acme": 1, "spare": 0}


@either_mode
async def test_one_that_fails_leaves_the_message_to_the_other(tmp_path: Path, *, stream: bool) -> None:
    failing: list[Step] = [Read(), Sleep(0.3), Reset()]
    async with running_targets(tmp_path, pair(failing, late(0.5, "Spare")), route=SOON) as gateway:
        assert said(await gateway.ask(stream=stream)) == "Spare"
        assert await gateway.outcomes() == {"reset_before_headers": 1, "completed": 1}
    async with running_targets(tmp_path, pair(late(0.6), refused(500)), route=SOON) as gateway:
        assert said(await gateway.ask(stream=stream)) == "Late"
        assert await gateway.outcomes() == {"status_5xx": 1, "completed": 1}


@either_mode
async def test_where_both_fail_the_firsts_failure_is_told(tmp_path: Path, *, stream: bool) -> None:
    failing: list[Step] = [Read(), Sleep(0.4), Reset()]
    async with running_targets(tmp_path, pair(failing, refused(422)), route=SOON) as gateway:
        answer = await gateway.ask(stream=stream)
        assert (answer.status, answer.error["code"]) == (503, "upstream_unavailable")
        assert gateway.hits == {"acme": 1, "spare": 1}
        assert await gateway.outcomes() == {"reset_before_headers": 1, "rejected": 1}


async def test_a_third_target_is_asked_after_the_first_has_failed_beside_a_hedge(tmp_path: Path) -> None:
    vendors = {**pair([Read(), Sleep(0.3), Reset()], SILENT), "third": played(also_well("Third"))}
    async with running_targets(tmp_path, vendors, route=SOON) as gateway:
        assert said(await gateway.ask()) == "Third"
        assert gateway.hits == {"acme": 1, "spare": 1, "third": 1}
        assert await gateway.outcomes() == {"reset_before_headers": 1, "hedged": 1, "completed": 1}


async def test_a_start_that_was_sent_is_not_sent_twice(tmp_path: Path) -> None:
    spare = late(1.2, "Spare")
    async with running_targets(tmp_path, pair(SILENT, spare), route=f"{SOON}\nheaders_after = 0.2") as gateway:
        answer = await gateway.ask()
        assert said(answer) == "Spare"
        assert answer.kinds == WHOLE


BEATING = f"{SOON}\nheaders_after = 0.2\nheartbeat = 0.2"


@pytest.mark.usefixtures("quick_sweeper")
async def test_silence_is_bridged_whoever_of_the_two_is_left(tmp_path: Path) -> None:
    halting = [*SPOKEN[:4], Sleep(0.7), *SPOKEN[4:]]
    async with running_targets(tmp_path, pair(SILENT, halting), route=BEATING) as gateway:
        answer = await gateway.ask()
        assert said(answer) == "From spare"
        assert await gateway.count("gateway_heartbeats_total") >= 2
    failing: list[Step] = [Read(), Sleep(0.3), Reset()]
    async with running_targets(tmp_path, pair(failing, late(1.2, "Spare")), route=BEATING) as gateway:
        answer = await gateway.ask()
        assert said(answer) == "Spare"
        assert answer.kinds == WHOLE
        assert await gateway.count("gateway_heartbeats_total") >= 2


@pytest.mark.usefixtures("quick_sweeper")
async def test_a_start_is_sent_once_whatever_the_second_target_says_of_its_headers(tmp_path: Path) -> None:
    vendors = {
        "acme": played(SILENT, target=TWICE),
        "spare": played(late(0.5, "Spare"), target=f"{TWICE}\nheaders_after = 0.1"),
    }
    async with running_targets(tmp_path, vendors, route=SOON) as gateway:
        assert (await gateway.ask()).kinds == WHOLE


@pytest.mark.usefixtures("quick_sweeper")
async def test_where_the_one_that_is_left_fails_too_behind_its_start_the_stream_says_so(tmp_path: Path) -> None:
    first: list[Step] = [Read(), Sleep(0.15), Reset()]
    second: list[Step] = [Read(), Sleep(0.7), Reset()]
    async with running_targets(tmp_path, pair(first, second), route=BEATING) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.kinds) == (200, ["message.started", "message.failed"])


async def test_a_hedge_that_breaks_off_moves_on_by_the_rules(tmp_path: Path) -> None:
    async with running_targets(tmp_path, pair(SILENT, HALF), route=SOON) as gateway:
        answer = await gateway.ask()
        assert answer.kinds[-1] == "message.failed"
        assert await gateway.outcomes() == {"hedged": 1, "reset_midstream": 1}


@pytest.mark.parametrize(("policy", "text"), [(RESTART, "Third"), (CONTINUE, "HalfThird")], ids=["restart", "continue"])
async def test_a_third_target_gives_the_rest_of_a_hedge_that_won_and_breaks_off(
    tmp_path: Path, policy: str, text: str
) -> None:
    vendors = {**pair(SILENT, HALF), "third": played(also_well("Third"))}
    async with running_targets(tmp_path, vendors, route=f"{SOON}\n{policy}") as gateway:
        answer = await gateway.ask()
        assert (said(answer), answer.kinds[-1]) == (text, "message.completed")
        assert gateway.hits == {"acme": 1, "spare": 1, "third": 1}
        assert await gateway.outcomes() == {"hedged": 1, "reset_midstream": 1, "completed": 1}


async def test_who_was_left_for_another_in_the_race_that_was_lost_is_counted_and_told(tmp_path: Path) -> None:
    fails, wins = asyncio.Event(), asyncio.Event()
    vendors = {
        **pair([Read(), Wait(fails), Reset()], [Read(), Wait(wins), *SPOKEN[1:]]),
        "third": played(SILENT),
    }
    async with running_targets(tmp_path, vendors, route=SOON) as gateway:
        asking = asyncio.create_task(gateway.ask())
        for vendor, goes_on in (("spare", fails), ("third", wins)):
            await (await gateway.vendors[vendor].connection()).heard(b"POST")
            goes_on.set()
        assert said(await asking) == "From spare"
        assert await gateway.outcomes() == {"reset_before_headers": 1, "hedged": 1, "completed": 1}
        assert sum((await gateway.counts("gateway_failovers_total")).values()) == 1
        assert len(gateway.log.of("failover")) == 1


@pytest.mark.usefixtures("quick_sweeper")
async def test_the_heartbeats_of_a_first_that_lost_are_counted(tmp_path: Path) -> None:
    route = f"{SOON}\nheaders_after = 0.1\nheartbeat = 0.1"
    async with running_targets(tmp_path, pair(SILENT, late(0.6)), route=route) as gateway:
        answer = await gateway.ask()
        beats = answer.body.count(b": heartbeat")
        assert (said(answer), beats > 0) == ("Late", True)
        assert await gateway.count("gateway_heartbeats_total") == beats


@pytest.mark.parametrize("policy", ["cancel", "continue"])
async def test_a_client_that_leaves_leaves_both(tmp_path: Path, policy: str) -> None:
    route = f'{SOON}\non_disconnect = "{policy}"'
    vendors = pair(SILENT, SILENT, target=f"{TWICE}\n{QUICK}" if policy == "continue" else TWICE)
    async with running_targets(tmp_path, vendors, route=route) as gateway:
        async with RawClient(gateway.url) as client:
            await client.send(message())
            for vendor in gateway.vendors.values():
                await (await vendor.connection()).heard(b"POST")
        for vendor in gateway.vendors.values():
            await (await vendor.connection()).left(within=2)
        assert (await gateway.outcomes())["hedged"] == 1
        assert await gateway.counts("gateway_client_disconnects_total") == {(policy, "support"): 1}


async def test_a_conversation_goes_on_with_who_won_and_never_again_asks_who_may_know_the_turn(tmp_path: Path) -> None:
    vendors = {
        "acme": played(SILENT, WELL, target=TWICE),
        "spare": played(SPOKEN, also_well("Again"), target=TWICE),
    }
    async with running_targets(tmp_path, vendors, route=SOON) as gateway:
        first = await gateway.ask(stream=False)
        again = await gateway.ask(stream=False, conversation_id=first.document["conversation_id"])
        assert said(again) == "Again"
        assert gateway.hits == {"acme": 1, "spare": 2}

"""A conversation that outlives its vendor: told to the next one, and told to the first when that is back, once.

Over sockets, for each ordered pair of the five vendors.
"""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from pathlib import Path

import pytest

from gateway.protocols.base import Head, Reset, Script, Send
from gateway.protocols.registry import BUILT_IN
from tests.failover.two import Pair, told, two
from tests.support.clock import Clock, moved_clock
from tests.vendors.five import VENDORS

RETURN = "stickiness = { return_after = 60 }\n"
PAIRS = [
    pytest.param(first, second, number % 2 == 0, id=f"{first}-{second}-{'document' if number % 2 else 'stream'}")
    for number, (first, second) in enumerate(permutations(VENDORS, 2))
]


@pytest.fixture
def clock() -> Iterator[type[Clock]]:
    with moved_clock() as clock:
        yield clock


async def say_all(pair: Pair, first: int, last: int) -> None:
    for number in range(first, last + 1):
        await pair.say(f"Question {number}.")


def check_ids(pair: Pair) -> None:
    """What one vendor calls anything, the other never hears."""
    for turn in pair.turns:
        other = pair.second if turn.vendor == pair.first.name else pair.first
        assert [name for name, value in turn.ids.items() if other.has_heard(value)] == []


@pytest.mark.parametrize(("first", "second", "stream"), PAIRS)
async def test_a_conversation_goes_on_elsewhere_and_comes_back(
    first: str, second: str, tmp_path: Path, clock: type[Clock], *, stream: bool
) -> None:
    async with two(tmp_path, first, second, stream=stream, more=RETURN) as pair:
        turns = pair.turns
        await say_all(pair, 1, 5)
        assert pair.first.texts == [f"Question {number}." for number in range(1, 6)]
        assert pair.second.record.requests == []

        await pair.first.shut()
        await say_all(pair, 6, 7)
        assert pair.second.texts == [told(turns[:5], "Question 6."), "Question 7."]
        assert len(pair.first.texts) == 5
        assert [line["attempts"] for line in pair.lines[5:]] == [3, 1]

        await pair.first.open()
        await say_all(pair, 8, 8)
        assert pair.second.texts[2:] == ["Question 8."]
        clock.ahead = timedelta(seconds=60)
        await say_all(pair, 9, 10)
        assert pair.first.texts[5:] == [told(turns[5:8], "Question 9."), "Question 10."]

        clock.ahead = timedelta()
        await pair.first.shut()
        await say_all(pair, 11, 12)
        assert pair.second.texts[3:] == [told(turns[8:10], "Question 11."), "Question 12."]

        by_vendor = {name: [turn for turn in turns if turn.vendor == name] for name in (first, second)}
        assert [turn.vendor for turn in turns] == [first] * 5 + [second] * 3 + [first] * 2 + [second] * 2
        for house in (pair.first, pair.second):
            (conversation,) = {turn.conversation for turn in by_vendor[house.name]}
            assert all(conversation in f"{ask.path} {ask.body!r}" for ask in house.asks[1:])
        check_ids(pair)
        assert await pair.samples("gateway_catch_ups_total") == {(first,): 1, (second,): 2}
        assert await pair.samples("gateway_recoveries_total") == {}


REFUSING: dict[str, Script] = {
    "503": [Head(503, {"Content-Type": "application/json"}), Send(b"{}")],
    "reset": [Reset()],
}
NEIGHBOURS = list(zip(VENDORS, (*VENDORS[1:], VENDORS[0]), strict=True))


@pytest.mark.parametrize("way", REFUSING)
@pytest.mark.parametrize(("first", "second"), NEIGHBOURS)
async def test_a_vendor_that_fell_over_a_question_says_itself_that_it_missed_it(
    first: str, second: str, way: str, tmp_path: Path, clock: type[Clock]
) -> None:
    async with two(tmp_path, first, second, more=RETURN) as pair:
        turns, record = pair.turns, pair.first.record
        await say_all(pair, 1, 5)
        record.instead = lambda _: REFUSING[way]
        await say_all(pair, 6, 7)
        assert pair.first.texts[5:] == ["Question 6."]
        assert pair.second.texts == [told(turns[:5], "Question 6."), "Question 7."]

        record.instead = lambda _: None
        clock.ahead = timedelta(seconds=60)
        await say_all(pair, 8, 9)
        can_say = BUILT_IN[first].capabilities["message_list"] == "yes"
        missed = turns[5:7] if can_say else turns[:7]
        assert pair.first.texts[6:] == [told(missed, "Question 8."), "Question 9."]
        assert (turns[7].conversation == turns[4].conversation) is can_say
        assert turns[8].conversation == turns[7].conversation
        check_ids(pair)
        assert await pair.samples("gateway_catch_ups_total") == {(first,): 1, (second,): 1}
        outcome = "missed" if can_say else "abandoned"
        assert await pair.samples("gateway_recoveries_total") == {(outcome, first): 1}


async def test_a_conversation_that_does_not_stick_comes_back_as_soon_as_its_vendor_does(tmp_path: Path) -> None:
    async with two(tmp_path, "sema4", "hardwire", more='stickiness = { mode = "none" }\n') as pair:
        await say_all(pair, 1, 5)
        await pair.first.shut()
        await say_all(pair, 6, 7)
        assert pair.second.texts == [told(pair.turns[:5], "Question 6."), "Question 7."]
        assert [line["attempts"] for line in pair.lines[5:]] == [3, 3]
        await pair.first.open()
        await say_all(pair, 8, 9)
        assert pair.first.texts[5:] == [told(pair.turns[5:7], "Question 8."), "Question 9."]


async def test_a_vendor_is_left_alone_while_its_breaker_is_open_and_told_by_the_call_that_closes_it(
    tmp_path: Path,
) -> None:
    breaker = "[vendors.dimedove.breaker]\nminimum = 1\nratio = 0.1\nopen_for = 1\njitter = 0\n"
    async with two(tmp_path, "dimedove", "chatbase", more='stickiness = { mode = "none" }\n' + breaker) as pair:
        await say_all(pair, 1, 5)
        await pair.first.shut()
        await say_all(pair, 6, 6)
        assert await pair.breaker("dimedove") == "open"
        await pair.first.open()
        await say_all(pair, 7, 7)
        assert [line["attempts"] for line in pair.lines[5:]] == [2, 1]
        assert len(pair.first.texts) == 5
        while await pair.breaker("dimedove") == "open":  # noqa: ASYNC110  (no event is set for it)
            await asyncio.sleep(0.05)
        assert await pair.breaker("dimedove") == "half_open"
        await say_all(pair, 8, 9)
        assert await pair.breaker("dimedove") == "closed"
        assert pair.second.texts == [told(pair.turns[:5], "Question 6."), "Question 7."]
        assert pair.first.texts[5:] == [told(pair.turns[5:7], "Question 8."), "Question 9."]

"""A conversation that outlives its vendor, where one of the two is told all that was said with each message."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.failover.two import House, Said, told, two
from tests.support.clock import Clock, moved_clock
from tests.vendors import general
from tests.vendors.general import GENERAL, Line, as_told, heard

RETURN = "stickiness = { return_after = 60 }\n"
SEEDS = ("chatbase", "hardwire")
CYCLE = list(zip(GENERAL, (*GENERAL[1:], GENERAL[0]), strict=True))
PAIRS = [*product(SEEDS, GENERAL), *product(GENERAL, SEEDS), *CYCLE]


@pytest.fixture
def clock() -> Iterator[type[Clock]]:
    with moved_clock() as clock:
        yield clock


def check_last(house: House, turns: list[Said], *, seen: int) -> None:
    """What it was told with the last of the turns; one that keeps the conversation knows the first `seen` of them."""
    *before, now = turns
    if house.name in GENERAL:
        lines = [line for turn in before for line in (("user", turn.question), ("assistant", turn.answer))]
        assert heard(house.name, house.record.bodies[-1]) == [*lines, ("user", now.question)]
    else:
        missed = before[seen:]
        assert house.texts[-1] == (told(missed, now.question) if missed else now.question)


@pytest.mark.parametrize(("first", "second"), PAIRS)
async def test_a_conversation_goes_on_elsewhere_and_comes_back(
    first: str, second: str, tmp_path: Path, clock: type[Clock]
) -> None:
    async with two(tmp_path, first, second, stream=PAIRS.index((first, second)) % 2 == 0, more=RETURN) as pair:

        async def say(house: House, *, seen: int) -> None:
            turn = await pair.say(f"Question {len(pair.turns) + 1}.")
            assert turn.vendor == house.vendor
            check_last(house, pair.turns, seen=seen)

        await say(pair.first, seen=0)
        await say(pair.first, seen=1)
        await pair.first.shut()
        await say(pair.second, seen=0)
        await say(pair.second, seen=3)
        await pair.first.open()
        clock.ahead = timedelta(seconds=60)
        await say(pair.first, seen=2)
        await say(pair.first, seen=5)
        assert (len(pair.first.record.bodies), len(pair.second.record.bodies)) == (4, 2)
        told_once = {(house.vendor,): 1.0 for house in (pair.first, pair.second) if house.name in SEEDS}
        assert await pair.samples("gateway_catch_ups_total") == told_once


TOOL = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}
CALLING = {**general.CALLING, "chatbase": "client-action"}

TOOLLESS = {"chatbase", "hardwire", "ai_sdk"}
"""Who is never told of a client's tools: a message that brings some is not for it."""


def tools(*vendors: str) -> dict[str, Any]:
    return {} if TOOLLESS & set(vendors) else {"tools": [TOOL]}


def result(whole: Any) -> list[dict[str, Any]]:
    assert whole["finish_reason"] == "tool_calls"
    (call,) = whole["pending_tool_calls"]
    return [{"type": "tool_result", "tool_call_id": call, "output": {"found": 42}}]


def asked(first: str, whole: Any) -> list[Line]:
    """The turn in which it calls, with the result of the call."""
    lines: list[Line] = [("user", f"[play:{CALLING[first]}] Look.")]
    for part in whole["parts"]:
        if part["type"] == "tool_call":
            lines.append(("call", part["name"], part["arguments"]))
        else:
            lines.append(("assistant", part["text"]))
    return [*lines, ("result", {"found": 42})]


@pytest.mark.parametrize(("first", "second"), [*product(["chatbase"], GENERAL), *CYCLE])
async def test_a_result_that_its_asker_is_not_there_for_is_taken_by_another(
    first: str, second: str, tmp_path: Path, clock: type[Clock]
) -> None:
    """Who is told of the call as well; and so is the asker, when it is back."""
    async with two(tmp_path, first, second, more=RETURN) as pair:
        hello = await pair.say("Hello.")
        whole = await pair.ask(f"[play:{CALLING[first]}] Look.", **tools(first))
        await pair.first.shut()
        answer = await pair.ask(result(whole), **tools(second))
        assert (answer["vendor"], answer["finish_reason"]) == (pair.second.vendor, "stop")
        lines: list[Line] = [("user", "Hello."), ("assistant", hello.answer), *asked(first, whole)]
        assert heard(second, pair.second.record.bodies[-1]) == as_told(second, lines)
        assert '{"found":42}' in answer["parts"][-1]["text"]

        await pair.first.open()
        clock.ahead = timedelta(seconds=60)
        last = await pair.ask("So?")
        assert last["vendor"] == pair.first.vendor
        lines += [("assistant", answer["parts"][-1]["text"]), ("user", "So?")]
        if first in GENERAL:
            assert heard(first, pair.first.record.bodies[-1]) == as_told(first, lines)
        else:
            answered = f'(got {{"found":42}})\nassistant: {answer["parts"][-1]["text"]}'
            assert pair.first.texts[-1] == f"<<earlier>>\nuser: {answered}\n<<now>>\nSo?"


@pytest.mark.parametrize("second", SEEDS)
@pytest.mark.parametrize("first", GENERAL)
async def test_who_takes_only_a_text_is_told_of_calls_and_results_once(first: str, second: str, tmp_path: Path) -> None:
    async with two(tmp_path, first, second) as pair:
        whole = await pair.ask(f"[play:{CALLING[first]}] Look.", **tools(first))
        answer = await pair.ask(result(whole), **tools(first))
        await pair.first.shut()
        await pair.ask("So?")
        await pair.ask("And?")
        said, call = whole["parts"]
        arguments = msgspec.json.encode(call["arguments"]).decode()
        earlier = [
            f"user: [play:{CALLING[first]}] Look.",
            f"assistant: {said['text']} (called {call['name']} with {arguments})",
            'user: (got {"found":42})',
            f"assistant: {answer['parts'][-1]['text']}",
        ]
        assert pair.second.texts == ["\n".join(["<<earlier>>", *earlier, "<<now>>", "So?"]), "And?"]


SIGNED = {
    "openai_chat": ("reasoning-details", "c2lnbmVk"),
    "openai_responses": ("two-tools", "sealed-"),
    "anthropic": ("thinking", "EqQBsig"),
    "gemini": ("tool", "CiQBjz1rX0l"),
    "ai_sdk": ("reasoning", "sig-1"),
    "ag_ui": ("reasoning", "sealed"),
}
"""The play of an answer that its vendor signs, and what stands in the signature. OpenAI itself takes none back."""


@pytest.mark.parametrize(("first", "second"), CYCLE)
async def test_what_a_vendor_has_signed_comes_back_to_it_and_to_no_other(
    first: str, second: str, tmp_path: Path, clock: type[Clock]
) -> None:
    play, mark = SIGNED[first]
    async with two(tmp_path, first, second, more=RETURN) as pair:
        whole = await pair.ask(f"[play:{play}] Sign.", **tools(first))
        assert mark in "".join(part.get("signature", "") for part in whole["parts"])
        owed = whole.get("pending_tool_calls", [])
        content: Any = [{"type": "tool_result", "tool_call_id": call, "output": {}} for call in owed] or "So?"
        await pair.ask(content, **tools(first))
        await pair.first.shut()
        assert (await pair.ask("And?"))["vendor"] == pair.second.vendor
        assert not pair.second.has_heard(mark)
        await pair.first.open()
        clock.ahead = timedelta(seconds=60)
        assert (await pair.ask("Well?"))["vendor"] == pair.first.vendor
        assert (mark in repr(pair.first.record.bodies[-1])) is (first != "openai_chat")

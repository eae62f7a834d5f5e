"""Clients that name no conversation and resend all that was said: with which one they go on, or that with none."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.served import Served, serving
from tests.support.shelf import HELLO, PROTOCOLS, Shelf, config, cut

ASK = "POST /conversations/c1/messages"
Said = list[tuple[str, str]]


@pytest.fixture
async def acme() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        yield shelf


@pytest.fixture
async def gateway(tmp_path: Path, acme: Shelf) -> AsyncIterator[Served]:
    async with serving(tmp_path, config(acme=acme, bare={"plain": acme}), protocols=PROTOCOLS) as served:
        yield served
        assert served.log.of("unhandled") == []


async def say(gateway: Served, text: str, said: Said | None = None, **fields: object) -> Any:
    history = [{"role": role, "parts": [{"type": "text", "text": told}]} for role, told in said or []]
    asked: dict[str, object] = {"content": text, "route": "acme", "stream": False, **fields}
    if history:
        asked["history"] = history
    return (await gateway.post(asked)).document


def turn(question: str, answered: str = "Hello") -> Said:
    return [("user", question), ("assistant", answered)]


def texts(shelf: Shelf) -> dict[str, list[str]]:
    """What each of the vendor's conversations was told."""
    return {name: kept.texts for name, kept in shelf.conversations.items()}


async def stored(gateway: Served, conversation_id: str) -> list[tuple[str, str]]:
    listed = await gateway.ask("GET", f"/v1/conversations/{conversation_id}/messages")
    return [(each["role"], "".join(part["text"] for part in each["parts"])) for each in listed.document["data"]]


async def test_a_history_that_we_know_goes_on_with_its_conversation(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "One")
    second = await say(gateway, "Two", turn("One"))
    third = await say(gateway, "Three", [*turn("One"), *turn("Two")])
    assert first["conversation_id"] == second["conversation_id"] == third["conversation_id"]
    assert texts(acme) == {"c1": ["One", "Two", "Three"]}
    assert await stored(gateway, first["conversation_id"]) == [*turn("One"), *turn("Two"), *turn("Three")]


async def test_white_space_around_a_message_makes_no_difference(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "One")
    second = await say(gateway, "Two", [("user", " One\n"), ("assistant", "Hello ")])
    assert second["conversation_id"] == first["conversation_id"]
    assert texts(acme) == {"c1": ["One", "Two"]}


@pytest.mark.parametrize(
    "said",
    [
        turn("One!"),
        turn("One", "Hullo"),
        [("assistant", "Hello"), ("user", "One")],
        [("system", "Be kind"), *turn("One")],
        [("user", "One")],
    ],
    ids=["another question", "another answer", "another order", "more before", "less behind"],
)
async def test_a_history_that_differs_is_a_conversation_of_its_own(gateway: Served, acme: Shelf, said: Said) -> None:
    first = await say(gateway, "One")
    other = await say(gateway, "Two", said)
    assert other["conversation_id"] != first["conversation_id"]
    assert texts(acme)["c1"] == ["One"]
    (told,) = texts(acme)["c2"]
    assert told.startswith("[Earlier in this conversation]\n")
    assert told.endswith("[Now]\nTwo")
    assert await stored(gateway, other["conversation_id"]) == [*said, *turn("Two")]


async def test_an_edit_of_an_earlier_turn_branches_and_the_branch_goes_on(gateway: Served, acme: Shelf) -> None:
    await say(gateway, "One")
    first = await say(gateway, "Two", turn("One"))
    branch = await say(gateway, "Other", turn("One"))
    assert branch["conversation_id"] != first["conversation_id"]
    again = await say(gateway, "Three", [*turn("One"), *turn("Other")])
    assert again["conversation_id"] == branch["conversation_id"]
    assert texts(acme)["c2"][1:] == ["Three"]
    assert texts(acme)["c1"] == ["One", "Two"]


async def test_two_that_said_the_same_are_never_mistaken_for_each_other(gateway: Served, acme: Shelf) -> None:
    one, other = await say(gateway, "One"), await say(gateway, "One")
    third = await say(gateway, "Two", turn("One"))
    assert third["conversation_id"] not in {one["conversation_id"], other["conversation_id"]}
    assert [len(told) for told in texts(acme).values()] == [1, 1, 1]


@pytest.mark.parametrize("fields", [{"user_id": "u-2"}, {"route": "plain"}], ids=["user", "route"])
async def test_another_users_and_another_routes_conversations_are_not_recognised(
    gateway: Served, fields: dict[str, object]
) -> None:
    first = await say(gateway, "One", user_id="u-1")
    other = await say(gateway, "Two", turn("One"), **{"user_id": "u-1", **fields})
    assert other["conversation_id"] != first["conversation_id"]


async def test_a_turn_that_failed_is_not_in_what_is_recognised(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "One")
    acme.instead[ASK] = cut
    assert (await say(gateway, "Two", turn("One")))["error"]["code"] == "upstream_unavailable"
    acme.instead.clear()
    third = await say(gateway, "Three", turn("One"))
    assert third["conversation_id"] == first["conversation_id"]


async def test_a_conversation_that_runs_is_left_alone(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "One")
    may_go_on, asked = asyncio.Event(), asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        asked.set()
        await may_go_on.wait()
        await request.read()
        return web.Response(body=HELLO, content_type="text/event-stream")

    acme.instead[ASK] = wait
    running = asyncio.create_task(say(gateway, "Two", turn("One")))
    await asked.wait()
    other = await say(gateway, "Other", turn("One"))
    may_go_on.set()
    assert other["conversation_id"] != first["conversation_id"]
    assert (await running)["conversation_id"] == first["conversation_id"]


async def test_a_client_that_names_its_conversation_is_recognised_by_nothing_else(gateway: Served) -> None:
    first = await say(gateway, "One")
    await say(gateway, "Two", conversation_id=first["conversation_id"])
    other = await say(gateway, "Three", [*turn("One"), *turn("Two")])
    assert other["conversation_id"] != first["conversation_id"]

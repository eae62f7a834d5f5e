"""What becomes of a conversation whose last attempt broke off: the vendor's own list of messages tells."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from gateway.canonical.turn import Turn
from gateway.protocols.base import Calls, VendorRequest
from gateway.server import recovery
from tests.support.served import Served, serving
from tests.support.shelf import (
    PROTOCOLS,
    SHELF,
    Handler,
    Shelf,
    ShelfTranslator,
    answer,
    config,
    cut,
    hold,
)

EARLIER = "[Earlier in this conversation]"
KEYS = "".join(
    f'[[keys]]\nid = "{name}"\nsha256 = "{hashlib.sha256(f"gwk_{name}".encode()).hexdigest()}"\n' for name in "ab"
)
LIST = "GET /conversations/c1/messages"
ASK = "POST /conversations/c1/messages"


@pytest.fixture
async def acme() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        yield shelf


@pytest.fixture
async def gateway(tmp_path: Path, acme: Shelf) -> AsyncIterator[Served]:
    text = config(acme=acme, bare={"plain": acme}, deadlines="first_event = 3")
    async with serving(tmp_path, text, protocols=PROTOCOLS) as served:
        yield served
        assert served.log.of("unhandled") == []


async def say(gateway: Served, text: str, said: Any = None, **fields: object) -> Any:
    """A message, and its answer as a document, a failed one's from the list."""
    asked: dict[str, object] = {"content": text, "route": "acme", "stream": False, **fields}
    if said is not None:
        asked["conversation_id"] = said["conversation_id"]
    return (await gateway.post(asked)).document


def taken_and(handler: Handler, shelf: Shelf) -> Handler:
    """The vendor keeps the question, and then fails."""

    async def handle(request: web.Request) -> web.StreamResponse:
        shelf.conversations["c1"].texts.append(await request.text())
        return await handler(request)

    return handle


async def bindings(gateway: Served, said: Any) -> Any:
    return (await gateway.ask("GET", f"/v1/conversations/{said['conversation_id']}")).document["bindings"]


BOUND = [{"vendor": "acme", "vendor_ids": {"conversation": "c1"}}]


async def test_a_question_that_the_vendor_holds_is_not_said_again(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "One")
    acme.instead[ASK] = taken_and(cut, acme)
    failed = await say(gateway, "Two", first)
    assert failed["error"]["code"] == "upstream_unavailable"
    acme.instead.clear()
    await say(gateway, "Three", first)
    assert acme.conversations["c1"].texts == ["One", "Two", "Three"]
    assert acme.calls[-2:] == [LIST, ASK]
    assert await bindings(gateway, first) == BOUND
    assert await gateway.samples("gateway_recoveries_total") == {("confirmed", "acme"): 1}
    assert await gateway.samples("gateway_errands_total") == {("list_messages", "completed", "acme"): 1}


async def test_a_question_that_the_vendor_missed_goes_along_with_the_next(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "One")
    acme.instead[ASK] = cut
    await say(gateway, "Two", first)
    acme.instead.clear()
    await say(gateway, "Three", first)
    assert acme.conversations["c1"].texts == ["One", f"{EARLIER}\nuser: Two\n[Now]\nThree"]
    assert await gateway.samples("gateway_recoveries_total") == {("missed", "acme"): 1}
    await say(gateway, "Four", first)
    assert acme.conversations["c1"].texts[2:] == ["Four"]
    assert acme.calls.count(LIST) == 1


async def test_a_question_in_the_words_of_the_one_before_is_found_missing(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "Next page")
    acme.instead[ASK] = cut
    await say(gateway, "Next page", first)
    acme.instead.clear()
    await say(gateway, "Sum up", first)
    assert acme.conversations["c1"].texts == ["Next page", f"{EARLIER}\nuser: Next page\n[Now]\nSum up"]
    assert await gateway.samples("gateway_recoveries_total") == {("missed", "acme"): 1}


async def test_a_question_in_the_words_of_the_one_before_is_found_where_the_vendor_holds_both(
    gateway: Served, acme: Shelf
) -> None:
    first = await say(gateway, "Next page")
    acme.instead[ASK] = taken_and(cut, acme)
    await say(gateway, "Next page", first)
    acme.instead.clear()
    await say(gateway, "Sum up", first)
    assert acme.conversations["c1"].texts == ["Next page", "Next page", "Sum up"]
    assert await gateway.samples("gateway_recoveries_total") == {("confirmed", "acme"): 1}


@pytest.mark.parametrize("handler", [cut, answer(429)], ids=["cut", "429"])
async def test_questions_of_the_same_words_that_were_missed_behind_one_another_go_along_in_one(
    handler: Handler, gateway: Served, acme: Shelf
) -> None:
    first = await say(gateway, "Next page")
    acme.instead[ASK] = handler
    await say(gateway, "Next page", first)
    acme.instead[ASK] = cut
    await say(gateway, "Next page", first)
    acme.instead.clear()
    await say(gateway, "Sum up", first)
    lost = "user: Next page\nuser: Next page"
    assert acme.conversations["c1"].texts == ["Next page", f"{EARLIER}\n{lost}\n[Now]\nSum up"]


async def test_a_question_in_the_words_of_one_that_broke_off_at_the_vendor_is_found_missing(
    gateway: Served, acme: Shelf
) -> None:
    first = await say(gateway, "One")
    acme.instead[ASK] = taken_and(cut, acme)
    await say(gateway, "Next page", first)
    acme.instead[ASK] = cut
    await say(gateway, "Next page", first)
    acme.instead.clear()
    await say(gateway, "Sum up", first)
    assert acme.conversations["c1"].texts[1:] == ["Next page", f"{EARLIER}\nuser: Next page\n[Now]\nSum up"]
    assert await gateway.samples("gateway_recoveries_total") == {("confirmed", "acme"): 1, ("missed", "acme"): 1}


async def test_what_was_missed_twice_goes_along_in_one(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "One")
    acme.instead[ASK] = cut
    await say(gateway, "Two", first)
    await say(gateway, "Three", first)
    acme.instead.clear()
    await say(gateway, "Four", first)
    assert acme.conversations["c1"].texts == ["One", f"{EARLIER}\nuser: Two\nuser: Three\n[Now]\nFour"]
    assert await gateway.samples("gateway_recoveries_total") == {("missed", "acme"): 2}


async def test_what_was_answered_in_part_goes_along_too(gateway: Served, acme: Shelf) -> None:
    async def half(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"data: Half\n\n", content_type="text/event-stream")

    first = await say(gateway, "One")
    acme.instead[ASK] = half
    failed = await say(gateway, "Two", first)
    assert failed["error"]["details"]["message"]["parts"][0]["text"] == "Half"
    acme.instead.clear()
    await say(gateway, "Three", first)
    assert acme.conversations["c1"].texts[1:] == [f"{EARLIER}\nuser: Two\nassistant: Half\n[Now]\nThree"]


@pytest.mark.parametrize(
    "handler", [answer(404), answer(500), answer(200, b"<html>"), cut], ids=["404", "500", "html", "cut"]
)
async def test_where_the_list_fails_a_new_conversation_is_begun_with_all_that_was_said(
    handler: Handler, gateway: Served, acme: Shelf
) -> None:
    first = await say(gateway, "One")
    acme.instead[ASK] = taken_and(cut, acme)
    await say(gateway, "Two", first)
    acme.instead[LIST] = handler
    assert (await say(gateway, "Three", first))["status"] == "completed"
    assert acme.conversations["c2"].texts == [f"{EARLIER}\nuser: One\nassistant: Hello\nuser: Two\n[Now]\nThree"]
    assert await bindings(gateway, first) == [{"vendor": "acme", "vendor_ids": {"conversation": "c2"}}]
    assert await gateway.samples("gateway_recoveries_total") == {("abandoned", "acme"): 1}


async def test_what_was_said_is_not_lost_where_the_new_conversation_breaks_off_too(
    gateway: Served, acme: Shelf
) -> None:
    first = await say(gateway, "One")
    acme.instead[ASK] = cut
    await say(gateway, "Two", first)
    acme.instead[LIST] = answer(500)
    acme.instead["POST /conversations/c2/messages"] = cut
    await say(gateway, "Three", first)
    acme.instead.clear()
    await say(gateway, "Four", first)
    assert acme.conversations["c2"].texts == [
        f"{EARLIER}\nuser: One\nassistant: Hello\nuser: Two\nuser: Three\n[Now]\nFour"
    ]


async def test_a_list_that_never_comes_is_given_up(
    gateway: Served, acme: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "DEADLINE", 0.2)
    first = await say(gateway, "One")
    acme.instead[ASK] = cut
    await say(gateway, "Two", first)
    acme.instead[LIST] = hold
    assert (await say(gateway, "Three", first))["status"] == "completed"
    assert acme.left.is_set()
    assert list(acme.conversations) == ["c1", "c2"]
    assert await gateway.samples("gateway_errands_total") == {("list_messages", "canceled", "acme"): 1}


async def test_a_vendor_without_a_list_begins_anew(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "One", route="plain")
    acme.instead[ASK] = cut
    await say(gateway, "Two", first, route="plain")
    await say(gateway, "Three", first, route="plain")
    assert acme.conversations["c2"].texts == [f"{EARLIER}\nuser: One\nassistant: Hello\nuser: Two\n[Now]\nThree"]
    assert await gateway.samples("gateway_recoveries_total") == {("abandoned", "plain"): 1}
    assert await gateway.samples("gateway_errands_total") == {}


# --- where the vendor's id never came


def lost(shelf: Shelf) -> Handler:
    """The vendor begins the conversation with its first message, and breaks off before it says which."""

    async def handle(request: web.Request) -> web.StreamResponse:
        await shelf._usual(request)
        shelf.conversations["c1"].texts.append("One")
        return await cut(request)

    return handle


class Implicit(ShelfTranslator):
    """Its conversations are begun by what must not be sent twice."""

    def requests(self, turn: Turn) -> Calls[None]:
        if "conversation" not in turn.vendor_ids:
            created = yield VendorRequest("POST", "/conversations", effect="once")
            conversation = msgspec.json.decode(created.body)["id"]
            turn = msgspec.structs.replace(turn, vendor_ids={"conversation": conversation})
        yield from super().requests(turn)


IMPLICIT = {**PROTOCOLS, "shelf": msgspec.structs.replace(SHELF, translator=Implicit)}


@pytest.mark.parametrize("user_id", ["u-1", None])
async def test_a_lost_conversation_is_looked_for_where_it_can_only_be_that_users(
    user_id: str | None, tmp_path: Path, acme: Shelf
) -> None:
    fields = {} if user_id is None else {"user_id": user_id}
    async with serving(tmp_path, config(acme=acme), protocols=IMPLICIT) as gateway:
        created = (await gateway.ask("POST", "/v1/conversations")).document
        said = {"conversation_id": created["id"]}
        acme.instead["POST /conversations"] = lost(acme)
        assert "error" in await say(gateway, "One", said, **fields)
        assert await bindings(gateway, said) == [{"vendor": "acme", "vendor_ids": {}, "is_uncertain": True}]
        acme.instead.clear()
        acme.calls.clear()
        assert (await say(gateway, "Two", said, **fields))["status"] == "completed"
        if user_id is not None:
            assert acme.calls == ["GET /conversations", LIST, ASK]
            assert acme.conversations["c1"].texts == ["One", "Two"]
        else:
            assert "GET /conversations" not in acme.calls
            assert acme.conversations["c1"].texts == ["One"]


async def test_a_conversation_that_a_vendor_may_have_unnamed_is_deleted_only_where_copies_may_stay(
    tmp_path: Path, acme: Shelf
) -> None:
    async with serving(tmp_path, config(acme=acme), protocols=IMPLICIT) as gateway:
        created = (await gateway.ask("POST", "/v1/conversations")).document
        acme.instead["POST /conversations"] = lost(acme)
        await say(gateway, "One", {"conversation_id": created["id"]})
        path = f"/v1/conversations/{created['id']}"
        reply = await gateway.ask("DELETE", path)
        assert (reply.status, reply.error["code"]) == (422, "unsupported")
        assert reply.error["details"] == {"path": "query.copies", "vendors": ["acme"]}
        assert (await gateway.ask("DELETE", f"{path}?copies=keep")).document["copies"] == {"acme": "kept"}


async def test_another_callers_conversations_are_never_searched(tmp_path: Path, acme: Shelf) -> None:
    async with serving(tmp_path, config(acme=acme) + KEYS, protocols=IMPLICIT) as gateway:
        headers = {"Authorization": "Bearer gwk_a"}
        created = (await gateway.ask("POST", "/v1/conversations", headers=headers)).document
        body = {"content": "One", "conversation_id": created["id"], "user_id": "u-1", "stream": False}
        acme.instead["POST /conversations"] = lost(acme)
        await gateway.ask("POST", "/v1/messages", json=body, headers=headers)
        acme.instead.clear()
        reply = await gateway.ask("POST", "/v1/messages", json={**body, "content": "Two"}, headers=headers)
        assert reply.status == 200
        assert "GET /conversations" not in acme.calls
        assert await gateway.samples("gateway_recoveries_total") == {("abandoned", "acme"): 1}

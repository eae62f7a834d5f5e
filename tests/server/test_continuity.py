"""What each vendor is told of a conversation: nothing that it knows, all that it missed, and that once."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Event, InputRequested, MessageCompleted, Notice
from gateway.canonical.message import Message, Role, TextPart
from gateway.canonical.resources import Page, PageOf
from gateway.conversations.catch_up import Missed, Transcript
from gateway.conversations.memory import MemoryStore
from gateway.conversations.store import Binding, BindingKey
from gateway.framing.record import Record
from gateway.protocols.base import Head, Reset, Script, Send
from gateway.routing.plan import Target
from gateway.routing.rules import CatchUp
from gateway.server.continuity import Continuity, Told
from tests.support.clock import Clock, moved_clock
from tests.support.fakes import SPARE, TARGET
from tests.support.gateway import until
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
    form,
)
from tests.vendors.cases import LINES, LOST, lost
from tests.vendors.five import Five, five

# --- by itself

ACME, OTHER = BindingKey("acme", ""), BindingKey("spare", "")
THEN = datetime(2026, 11, 21, tzinfo=UTC)


def said(message_id: str, text: str) -> Message:
    role: Role = "user" if message_id.startswith("q") else "assistant"
    return Message(message_id, "c", role, "completed", [TextPart(text)], THEN)


STORED = [said("q1", "One"), said("a1", "Hello"), said("q2", "Two"), said("a2", "Again")]
SEEN = Binding({"conversation": "c1"}, seen="a2")
STALE = Binding({"conversation": "c1"}, seen="a1")
UNSURE = Binding({"conversation": "c1"}, seen="a1", uncertain="q2")
BEGUN = Binding({"conversation": "c1"})


class Known:
    """A continuity, and what it did to know more; `settled` is what an uncertain binding turns out to be worth."""

    def __init__(
        self,
        bindings: dict[BindingKey, Binding],
        *,
        settled: Binding | None = None,
        is_new: bool = False,
        characters: int = 1000,
    ) -> None:
        self.did: list[str] = []
        self._settled = settled
        self.continuity = Continuity(
            bindings, read=self._read, recover=self._recover, rules=CatchUp(characters), is_new=is_new
        )

    async def told(self, target: Target = TARGET) -> list[str]:
        """The texts that the target is told, message by message."""
        key = BindingKey(target.vendor, "")
        await self.continuity.prepare(target, key)
        parts = [part for message in self.continuity.missed(key).messages for part in message.parts]
        return [part.text for part in parts if isinstance(part, TextPart)]

    async def _read(self) -> Transcript:
        self.did.append("read")
        return Transcript(STORED)

    async def _recover(self, target: Target, binding: Binding, transcript: Transcript) -> Binding | None:
        self.did.append(f"recover {target.vendor} {binding.uncertain}")
        assert transcript.after(None) == STORED
        return self._settled


ALL = ["One", "Hello", "Two", "Again"]


async def test_a_conversation_in_which_nothing_was_said_is_not_read() -> None:
    known = Known({}, is_new=True)
    assert (await known.told(), known.did, known.continuity.told) == ([], [], [])


async def test_the_vendor_where_the_conversation_is_is_told_nothing() -> None:
    known = Known({OTHER: STALE, ACME: SEEN})
    assert (await known.told(), known.did, known.continuity.told) == ([], [], [])


@pytest.mark.parametrize(
    ("bindings", "missed"),
    [
        ({OTHER: SEEN}, ALL),
        ({ACME: BEGUN, OTHER: SEEN}, ALL),
        ({OTHER: SEEN, ACME: BEGUN}, ALL),
        ({ACME: BEGUN}, ALL),
        ({ACME: STALE, OTHER: SEEN}, ["Two", "Again"]),
        ({ACME: SEEN, OTHER: SEEN}, []),
    ],
    ids=["never there", "only begun", "begun last", "begun alone", "stale", "nothing new"],
)
async def test_any_other_is_told_what_it_missed(bindings: dict[BindingKey, Binding], missed: list[str]) -> None:
    known = Known(bindings)
    assert await known.told() == missed
    assert known.did == ["read"]


async def test_the_transcript_is_read_once_for_all_vendors() -> None:
    known = Known({})
    assert (await known.told(), await known.told(SPARE), known.did) == (ALL, ALL, ["read"])
    size = sum(len(f"user: {text}") for text in ("One", "Two")) + sum(
        len(f"assistant: {text}") for text in ("Hello", "Again")
    )
    told = [(each.vendor, len(each.missed.messages), each.missed.size) for each in known.continuity.told]
    assert told == [("acme", 4, size), ("spare", 4, size)]


async def test_a_vendor_that_is_asked_twice_is_told_the_same_and_counted_once() -> None:
    known = Known({})
    assert (await known.told(), await known.told()) == (ALL, ALL)
    assert [each.vendor for each in known.continuity.told] == ["acme"]


async def test_what_there_is_no_room_for_is_counted() -> None:
    known = Known({}, characters=1)
    assert await known.told() == []
    assert known.continuity.told == [Told("acme", Missed([], left_out=2))]


@pytest.mark.parametrize(
    ("settled", "missed"),
    [(replace(UNSURE, seen="a2", uncertain=None), []), (STALE, ["Two", "Again"]), (None, ALL)],
    ids=["confirmed", "missed", "abandoned"],
)
async def test_an_uncertain_binding_is_settled_before_its_vendor_is_asked(
    settled: Binding | None, missed: list[str]
) -> None:
    known = Known({ACME: UNSURE}, settled=settled)
    assert (await known.told(), known.did) == (missed, ["read", "recover acme q2"])
    assert known.continuity.bindings.get(ACME) == settled
    assert (await known.told(), known.did) == (missed, ["read", "recover acme q2"])


async def test_an_uncertain_binding_is_left_alone_while_another_vendor_is_asked() -> None:
    known = Known({ACME: UNSURE, OTHER: SEEN})
    assert (await known.told(SPARE), known.did) == ([], [])
    known = Known({OTHER: SEEN, ACME: UNSURE})
    assert (await known.told(SPARE), known.did) == ([], ["read"])
    assert known.continuity.bindings[ACME] == UNSURE


async def test_a_vendor_that_has_lost_the_conversation_is_told_all_of_it() -> None:
    known = Known({ACME: SEEN})
    assert await known.told() == []
    assert (known.continuity.lose(ACME), known.continuity.lose(ACME)) == (True, False)
    assert (await known.told(), known.continuity.home) == (ALL, None)


async def test_what_one_vendor_loses_another_keeps() -> None:
    known = Known({ACME: STALE, OTHER: SEEN})
    known.continuity.lose(ACME)
    assert (await known.told(), await known.told(SPARE), known.continuity.home) == (ALL, [], OTHER)


@pytest.mark.parametrize(
    ("bindings", "home"),
    [
        ({}, None),
        ({ACME: BEGUN}, None),
        ({ACME: SEEN, OTHER: BEGUN}, ACME),
        ({ACME: SEEN, OTHER: UNSURE}, OTHER),
        ({OTHER: Binding({}, uncertain="q2")}, OTHER),
    ],
)
def test_the_conversation_is_where_it_was_heard_last(
    bindings: dict[BindingKey, Binding], home: BindingKey | None
) -> None:
    assert Known(bindings).continuity.home == home


def test_a_failure_brought_a_conversation_only_where_it_is() -> None:
    moved = replace(SEEN, moved_at=THEN)
    continuity = Known({OTHER: moved, ACME: moved}).continuity
    assert (continuity.moved_at(ACME), continuity.moved_at(OTHER)) == (THEN, None)
    continuity.lose(ACME)
    assert continuity.moved_at(ACME) == THEN
    assert Known({}).continuity.moved_at(ACME) is None


# --- in a gateway before two vendors

EARLIER = "[Earlier in this conversation]"
ONE = "user: One\nassistant: Hello"
CREATE, LIST, ASK = "POST /conversations", "GET /conversations/c1/messages", "POST /conversations/c1/messages"
ROUTES = """
[routes.both]
targets = [{ vendor = "acme", retries = 0 }, { vendor = "brio", retries = 0 }]
stickiness = { mode = "none" }
[routes.sticky]
targets = [{ vendor = "acme", retries = 0 }, { vendor = "brio", retries = 0 }]
stickiness = { return_after = 60 }
[routes.small]
targets = [{ vendor = "brio" }]
catch_up = { characters = 52, template = "<past>{earlier}</past>{now}" }
"""


@pytest.fixture
async def acme() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        yield shelf


@pytest.fixture
async def brio() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        yield shelf


@pytest.fixture
async def gateway(tmp_path: Path, acme: Shelf, brio: Shelf) -> AsyncIterator[Served]:
    async with serving(tmp_path, config(acme=acme, brio=brio) + ROUTES, protocols=PROTOCOLS) as served:
        yield served
        assert served.log.of("unhandled") == []


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The conversations whose messages are read from the store."""
    found: list[str] = []
    usual = MemoryStore.messages

    async def messages(self: MemoryStore, conversation_id: str, owner: str, page: PageOf) -> Page[Message]:
        found.append(conversation_id)
        return await usual(self, conversation_id, owner, page)

    monkeypatch.setattr(MemoryStore, "messages", messages)
    return found


@pytest.fixture
def clock() -> Iterator[type[Clock]]:
    with moved_clock() as clock:
        yield clock


class Talk:
    """One conversation."""

    def __init__(self, gateway: Served) -> None:
        self.gateway = gateway
        self.id: str | None = None

    async def say(self, content: object, route: str, **fields: object) -> Any:
        """The answer, or the body of an error."""
        asked: dict[str, object] = {"content": content, "route": route, "stream": False, **fields}
        if self.id is not None:
            asked["conversation_id"] = self.id
        document = (await self.gateway.post(asked)).document
        if self.id is None:
            await until(lambda: self.gateway.log.of("message") != [])
            self.id = self.gateway.log.of("message")[0]["conversation_id"]
        return document

    async def say_all(self, *turns: tuple[str, str]) -> None:
        for text, route in turns:
            assert (await self.say(text, route))["status"] == "completed"

    async def get(self, tail: str = "") -> Any:
        return (await self.gateway.ask("GET", f"/v1/conversations/{self.id}{tail}")).document

    async def bindings(self) -> dict[str, Any]:
        return {binding.pop("vendor"): binding for binding in (await self.get())["bindings"]}


@pytest.fixture
def talk(gateway: Served) -> Talk:
    return Talk(gateway)


def texts(shelf: Shelf, name: str = "c1") -> list[str]:
    return shelf.conversations[name].texts


def says(shelf: Shelf, words: str) -> Handler:
    """The vendor keeps the question, and answers with these words."""

    async def handle(request: web.Request) -> web.StreamResponse:
        await shelf._usual(request)
        return web.Response(body=f"data: {words}\n\ndata: end\n\n".encode(), content_type="text/event-stream")

    return handle


def taken_and(handler: Handler, shelf: Shelf) -> Handler:
    """The vendor keeps the question, and then fails."""

    async def handle(request: web.Request) -> web.StreamResponse:
        await shelf._usual(request)
        return await handler(request)

    return handle


async def half(_: web.Request) -> web.StreamResponse:
    return web.Response(body=b"data: Half\n\n", content_type="text/event-stream")


async def test_a_new_conversation_and_its_next_turns_read_nothing_from_the_store(
    talk: Talk, acme: Shelf, reads: list[str]
) -> None:
    await talk.say_all(("One", "acme"), ("Two", "acme"), ("Three", "both"))
    assert (texts(acme), reads) == (["One", "Two", "Three"], [])


async def test_a_vendor_is_told_what_came_meanwhile_once(
    talk: Talk, gateway: Served, acme: Shelf, brio: Shelf, reads: list[str]
) -> None:
    brio.instead[ASK] = says(brio, "Ciao")
    await talk.say_all(("One", "acme"), ("Two", "brio"), ("Three", "brio"), ("Four", "acme"), ("Five", "acme"))
    await talk.say_all(("Six", "brio"))
    two, three = "user: Two\nassistant: Ciao", "user: Three\nassistant: Ciao"
    assert texts(acme) == ["One", f"{EARLIER}\n{two}\n{three}\n[Now]\nFour", "Five"]
    four, five = "user: Four\nassistant: Hello", "user: Five\nassistant: Hello"
    assert texts(brio) == [f"{EARLIER}\n{ONE}\n[Now]\nTwo", "Three", f"{EARLIER}\n{four}\n{five}\n[Now]\nSix"]
    assert reads == [talk.id] * 3
    assert await gateway.samples("gateway_catch_ups_total") == {("acme",): 1, ("brio",): 2}
    sizes = {("acme",): len(two + three) - 2, ("brio",): len(ONE + four + five) - 3}
    assert await gateway.samples("gateway_catch_up_characters_total") == sizes
    assert await gateway.samples("gateway_catch_up_turns_left_out_total") == {}


async def test_a_store_that_cannot_tell_what_was_said_fails_the_message_before_a_vendor_is_asked(
    talk: Talk, brio: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    await talk.say_all(("One", "acme"))

    async def fail(*_: object) -> Page[Message]:
        raise GatewayError("store_unavailable", "the store is gone")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryStore, "messages", fail)
        assert (await talk.say("Two", "brio"))["error"]["code"] == "store_unavailable"
    assert brio.calls == []
    await talk.say_all(("Three", "brio"))
    assert texts(brio) == [f"{EARLIER}\n{ONE}\nuser: Two\n[Now]\nThree"]


# --- a vendor of which nobody knows what it has


class Doubt(Struct, frozen=True):
    """What becomes of a question, and of the list that could tell; and what the vendor is told where."""

    outcome: str
    is_taken: bool
    instead: dict[str, Handler]
    name: str
    earlier: str


DOUBTS = [
    Doubt("confirmed", True, {}, "c1", ""),
    Doubt("missed", False, {}, "c1", "user: Two\n"),
    Doubt("abandoned", False, {LIST: answer(500)}, "c2", f"{ONE}\nuser: Two\n"),
]


@pytest.mark.parametrize("doubt", DOUBTS, ids=lambda doubt: doubt.outcome)
async def test_what_a_vendor_has_is_found_out_when_it_is_asked_again_and_not_before(
    doubt: Doubt, talk: Talk, gateway: Served, acme: Shelf, brio: Shelf
) -> None:
    await talk.say_all(("One", "acme"))
    acme.instead[ASK] = taken_and(cut, acme) if doubt.is_taken else cut
    assert (await talk.say("Two", "acme"))["error"]["code"] == "upstream_unavailable"
    acme.instead = dict(doubt.instead)
    calls = list(acme.calls)
    await talk.say_all(("Three", "brio"), ("Four", "brio"))
    assert texts(brio) == [f"{EARLIER}\n{ONE}\nuser: Two\n[Now]\nThree", "Four"]
    assert (acme.calls, (await talk.bindings())["acme"]["is_uncertain"]) == (calls, True)
    assert await gateway.samples("gateway_recoveries_total") == {}
    await talk.say_all(("Five", "both"), ("Six", "both"))
    meanwhile = "user: Three\nassistant: Hello\nuser: Four\nassistant: Hello"
    assert texts(acme, doubt.name)[-2:] == [f"{EARLIER}\n{doubt.earlier}{meanwhile}\n[Now]\nFive", "Six"]
    assert await gateway.samples("gateway_recoveries_total") == {(doubt.outcome, "acme"): 1}
    assert acme.calls.count(LIST) == 1
    assert (await talk.bindings())["acme"] == {"vendor_ids": {"conversation": doubt.name}}


async def test_a_question_that_a_vendor_broke_off_over_and_another_answered_is_known_to_the_first(
    talk: Talk, acme: Shelf, brio: Shelf
) -> None:
    await talk.say_all(("One", "both"))
    acme.instead[ASK] = taken_and(cut, acme)
    await talk.say_all(("Two", "both"), ("Three", "brio"))
    acme.instead.clear()
    await talk.say_all(("Four", "acme"))
    assert texts(brio) == [f"{EARLIER}\n{ONE}\n[Now]\nTwo", "Three"]
    (_, _, told) = texts(acme)
    assert "user: Two" not in told
    assert told.endswith("user: Three\nassistant: Hello\n[Now]\nFour")


async def test_the_answer_that_another_vendor_gave_is_told_to_the_one_that_broke_off(
    talk: Talk, acme: Shelf, brio: Shelf
) -> None:
    brio.instead[ASK] = says(brio, "Ciao")
    await talk.say_all(("One", "both"))
    acme.instead[ASK] = taken_and(cut, acme)
    await talk.say_all(("Two", "both"))
    acme.instead.clear()
    await talk.say_all(("Three", "both"))
    assert texts(acme) == ["One", "Two", f"{EARLIER}\nassistant: Ciao\n[Now]\nThree"]


async def test_a_question_in_the_words_of_the_last_one_there_is_found_missing_though_another_answered_between(
    talk: Talk, acme: Shelf
) -> None:
    await talk.say_all(("Next page", "acme"), ("Two", "brio"))
    acme.instead[ASK] = cut
    await talk.say("Next page", "acme")
    acme.instead.clear()
    await talk.say_all(("Sum up", "acme"))
    lines = "user: Two\nassistant: Hello\nuser: Next page"
    assert texts(acme) == ["Next page", f"{EARLIER}\n{lines}\n[Now]\nSum up"]


async def test_a_question_in_doubt_that_the_store_has_lost_hinders_nothing(
    talk: Talk, acme: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    await talk.say_all(("One", "acme"))
    acme.instead[ASK] = cut
    await talk.say("Two", "acme")
    acme.instead.clear()
    usual = MemoryStore.messages

    async def two(self: MemoryStore, conversation_id: str, owner: str, page: PageOf) -> Page[Message]:
        return Page((await usual(self, conversation_id, owner, page)).data[:2])

    monkeypatch.setattr(MemoryStore, "messages", two)
    await talk.say_all(("Three", "acme"))
    assert texts(acme) == ["One", "Three"]
    assert await talk.bindings() == {"acme": {"vendor_ids": {"conversation": "c1"}}}


async def test_a_question_that_stood_within_a_template_is_recognised(tmp_path: Path, acme: Shelf, brio: Shelf) -> None:
    framed = '[routes.framed]\ntargets = [{ vendor = "brio" }]\ncatch_up = { template = "{earlier}\\n{now}\\n<end>" }\n'
    async with serving(tmp_path, config(acme=acme, brio=brio) + framed, protocols=PROTOCOLS) as gateway:
        talk = Talk(gateway)
        await talk.say_all(("One", "acme"))
        brio.instead[ASK] = taken_and(cut, brio)
        await talk.say("Two", "framed")
        brio.instead.clear()
        await talk.say_all(("Three", "framed"))
        assert await gateway.samples("gateway_recoveries_total") == {("confirmed", "brio"): 1}
        assert texts(brio)[1:] == ["Three"]


async def test_a_question_that_stood_before_the_beginning_of_its_answer_is_recognised(
    tmp_path: Path, acme: Shelf, brio: Shelf
) -> None:
    going_on = '[routes.on]\ntargets = [{ vendor = "acme" }, { vendor = "brio" }]\nmid_stream = "continue"\n'
    async with serving(tmp_path, config(acme=acme, brio=brio) + going_on, protocols=PROTOCOLS) as gateway:
        talk = Talk(gateway)
        acme.instead[ASK], brio.instead[ASK] = half, taken_and(cut, brio)
        told = await gateway.post({"content": "One", "route": "on"})
        assert told.events[-1].__struct_config__.tag == "message.failed"
        talk.id = gateway.log.of("message")[0]["conversation_id"]
        assert texts(brio) == ["One\n[Your answer so far; go on where it stops]\nHalf"]
        brio.instead.clear()
        await talk.say_all(("Two", "brio"))
        assert await gateway.samples("gateway_recoveries_total") == {("confirmed", "brio"): 1}
        assert texts(brio)[1:] == ["Two"]


# --- a vendor that has lost the conversation, or only began one


async def test_a_second_vendor_that_has_lost_the_conversation_begins_it_anew_with_all_that_was_said(
    talk: Talk, gateway: Served, acme: Shelf, brio: Shelf
) -> None:
    await talk.say_all(("One", "acme"), ("Two", "brio"), ("Three", "acme"))
    acme.instead[ASK] = answer(503)
    del brio.conversations["c1"]
    brio.calls.clear()
    await talk.say_all(("Four", "both"), ("Five", "brio"))
    lines = f"{ONE}\nuser: Two\nassistant: Hello\nuser: Three\nassistant: Hello"
    assert texts(brio, "c2") == [f"{EARLIER}\n{lines}\n[Now]\nFour", "Five"]
    assert brio.calls == [ASK, CREATE, "POST /conversations/c2/messages", "POST /conversations/c2/messages"]
    assert await gateway.samples("gateway_rebound_conversations_total") == {("brio",): 1}
    assert (await talk.bindings())["brio"] == {"vendor_ids": {"conversation": "c2"}}


async def test_a_vendor_that_loses_the_new_conversation_too_is_left_for_the_next(
    talk: Talk, gateway: Served, acme: Shelf, brio: Shelf
) -> None:
    await talk.say_all(("One", "acme"))
    acme.instead[ASK] = acme.instead["POST /conversations/c2/messages"] = answer(404)
    await talk.say_all(("Two", "both"))
    assert acme.calls[2:] == [ASK, CREATE, "POST /conversations/c2/messages"]
    assert texts(brio) == [f"{EARLIER}\n{ONE}\n[Now]\nTwo"]
    assert await gateway.samples("gateway_rebound_conversations_total") == {("acme",): 1}
    assert list(await talk.bindings()) == ["acme", "brio"]


async def test_a_conversation_that_was_only_begun_is_told_all_and_is_not_where_the_conversation_is(
    talk: Talk, acme: Shelf, brio: Shelf
) -> None:
    acme.instead[ASK] = answer(429)
    await talk.say_all(("One", "both"))
    assert (texts(brio), await talk.bindings()) == (
        ["One"],
        {"acme": {"vendor_ids": {"conversation": "c1"}}, "brio": {"vendor_ids": {"conversation": "c1"}}},
    )
    acme.instead.clear()
    await talk.say_all(("Two", "sticky"), ("Three", "acme"))
    assert texts(brio) == ["One", "Two"]
    assert texts(acme) == [f"{EARLIER}\n{ONE}\nuser: Two\nassistant: Hello\n[Now]\nThree"]
    assert acme.calls.count(CREATE) == 1


async def test_a_first_message_that_a_vendor_refused_is_told_with_the_next(talk: Talk, acme: Shelf) -> None:
    acme.instead[ASK] = answer(429)
    assert (await talk.say("One", "acme"))["error"]["code"] == "upstream_rate_limited"
    acme.instead.clear()
    await talk.say_all(("Two", "acme"))
    assert (texts(acme), acme.calls.count(CREATE)) == ([f"{EARLIER}\nuser: One\n[Now]\nTwo"], 1)


async def test_a_conversation_begun_in_the_place_of_an_uncertain_one_is_kept_though_its_first_message_is_refused(
    talk: Talk, gateway: Served, acme: Shelf
) -> None:
    await talk.say_all(("One", "acme"))
    acme.instead = {ASK: cut, LIST: answer(500), "POST /conversations/c2/messages": answer(429)}
    await talk.say("Two", "acme")
    assert (await talk.say("Three", "acme"))["error"]["code"] == "upstream_rate_limited"
    assert await talk.bindings() == {"acme": {"vendor_ids": {"conversation": "c2"}}}
    acme.instead.clear()
    await talk.say_all(("Four", "acme"))
    assert texts(acme, "c2") == [f"{EARLIER}\n{ONE}\nuser: Two\nuser: Three\n[Now]\nFour"]
    assert await gateway.samples("gateway_recoveries_total") == {("abandoned", "acme"): 1}


# --- what is told


async def test_questions_that_nobody_answered_are_told_as_they_stand(talk: Talk, acme: Shelf, brio: Shelf) -> None:
    acme.instead[CREATE] = answer(400)
    for text in ("One", "Two"):
        assert (await talk.say(text, "acme"))["error"]["code"] == "upstream_rejected"
    await talk.say_all(("Three", "brio"))
    assert texts(brio) == [f"{EARLIER}\nuser: One\nuser: Two\n[Now]\nThree"]


async def test_what_the_client_saw_of_an_answer_that_failed_is_told(talk: Talk, acme: Shelf, brio: Shelf) -> None:
    acme.instead[ASK] = half
    failed = await talk.say("One", "acme")
    assert failed["error"]["details"]["message"]["parts"][0]["text"] == "Half"
    await talk.say_all(("Two", "brio"))
    assert texts(brio) == [f"{EARLIER}\nuser: One\nassistant: Half\n[Now]\nTwo"]


async def test_what_the_client_saw_before_it_left_is_told(
    talk: Talk, gateway: Served, acme: Shelf, brio: Shelf
) -> None:
    async def begin(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: Half\n\n")
        await asyncio.Event().wait()
        return response

    acme.instead[ASK] = begin
    async with gateway.session.post("/v1/messages", json={"route": "acme", "content": "One"}) as response:
        async for piece in response.content:
            if b"Half" in piece:
                break
    await until(lambda: gateway.log.of("message") != [])
    (line,) = gateway.log.of("message")
    talk.id = line["conversation_id"]
    await talk.say_all(("Two", "brio"))
    assert (line["outcome"], texts(brio)) == ("canceled", [f"{EARLIER}\nuser: One\nassistant: Half\n[Now]\nTwo"])


async def test_a_file_is_told_by_its_name(talk: Talk, gateway: Served, acme: Shelf, brio: Shelf) -> None:
    await talk.say_all(("One", "acme"))
    path = f"/v1/conversations/{talk.id}/files"
    (uploaded,) = (await gateway.ask("POST", path, data=form(("report.pdf", b"A")))).document["data"]
    content = [{"type": "text", "text": "Read"}, {"type": "file", "file_id": uploaded["id"]}]
    assert (await talk.say(content, "acme"))["status"] == "completed"
    await talk.say_all(("Three", "brio"))
    assert texts(brio) == [f"{EARLIER}\n{ONE}\nuser: Read (file report.pdf)\nassistant: Hello\n[Now]\nThree"]


async def test_a_route_says_how_much_is_told_and_how_it_is_marked(talk: Talk, gateway: Served, brio: Shelf) -> None:
    await talk.say_all(("One", "acme"), ("Two", "acme"), ("Three", "acme"), ("Four", "small"))
    lines = "user: Two\nassistant: Hello\nuser: Three\nassistant: Hello"
    assert texts(brio) == [f"<past>(1 earlier turn is left out)\n{lines}</past>Four"]
    assert await gateway.samples("gateway_catch_ups_total") == {("brio",): 1}
    assert await gateway.samples("gateway_catch_up_characters_total") == {("brio",): len(lines) - 3}
    assert await gateway.samples("gateway_catch_up_turns_left_out_total") == {("brio",): 1}


async def test_turns_that_were_left_out_are_not_told_later(talk: Talk, brio: Shelf) -> None:
    await talk.say_all(("One" * 40, "acme"), ("Two", "small"), ("Three", "brio"), ("Four", "acme"), ("Five", "small"))
    assert texts(brio) == [
        "<past>(1 earlier turn is left out)</past>Two",
        "Three",
        "<past>user: Four\nassistant: Hello</past>Five",
    ]


async def test_a_history_is_told_to_the_first_vendor_and_to_the_one_after_it(
    talk: Talk, acme: Shelf, brio: Shelf
) -> None:
    history = [
        {"role": "user", "parts": [{"type": "text", "text": "Red?"}]},
        {"role": "assistant", "parts": [{"type": "text", "text": "Blue."}]},
    ]
    first = await talk.say("One", "acme", history=history)
    acme.instead[ASK] = answer(429)
    await talk.say_all(("Two", "both"))
    red = "user: Red?\nassistant: Blue."
    assert texts(acme) == [f"{EARLIER}\n{red}\n[Now]\nOne"]
    assert texts(brio) == [f"{EARLIER}\n{red}\n{ONE}\n[Now]\nTwo"]
    kept = (await talk.get("/messages"))["data"]
    assert [each["parts"] for each in kept[:2]] == [each["parts"] for each in history]
    assert kept[3]["id"] == first["id"]


async def test_a_history_is_told_to_the_second_vendor_where_the_first_fails_at_once(
    talk: Talk, acme: Shelf, brio: Shelf
) -> None:
    history = [{"role": "user", "parts": [{"type": "text", "text": "Red?"}]}]
    acme.instead[CREATE] = answer(429)
    assert (await talk.say("One", "both", history=history))["status"] == "completed"
    assert texts(brio) == [f"{EARLIER}\nuser: Red?\n[Now]\nOne"]
    acme.instead.clear()
    await talk.say_all(("Two", "acme"))
    assert texts(acme) == [f"{EARLIER}\nuser: Red?\n{ONE}\n[Now]\nTwo"]


# --- where a conversation is, and when it returns


class Limiting(ShelfTranslator):
    def feed(self, record: Record) -> Iterable[Event | Notice]:
        if record.data == b"later":
            raise GatewayError("upstream_rate_limited", "not now")
        return super().feed(record)


async def test_a_conversation_is_where_it_was_answered_last_also_where_that_vendor_was_asked_first(
    tmp_path: Path, acme: Shelf, brio: Shelf
) -> None:
    limits = iter([answer(429, retry_after="0.1")])

    async def limited(request: web.Request) -> web.StreamResponse:
        return await next(limits, acme._usual)(request)

    acme.instead[ASK] = limited
    brio.instead[ASK] = taken_and(answer(200, b"data: later\n\n", content_type="text/event-stream"), brio)
    protocols = {**PROTOCOLS, "shelf": replace(SHELF, translator=Limiting)}
    async with serving(tmp_path, config(acme=acme, brio=brio) + ROUTES, protocols=protocols) as gateway:
        talk = Talk(gateway)
        await talk.say_all(("One", "both"))
        assert (texts(acme), texts(brio), list(await talk.bindings())) == (["One"], ["One"], ["brio", "acme"])
        await talk.say_all(("Two", "sticky"))
        assert texts(acme) == ["One", "Two"]


async def test_a_conversation_that_a_failure_moved_returns_after_a_time_and_stays(
    talk: Talk, acme: Shelf, brio: Shelf, clock: type[Clock]
) -> None:
    await talk.say_all(("One", "sticky"))
    acme.instead[ASK] = answer(429)
    await talk.say_all(("Two", "sticky"))
    acme.instead.clear()
    clock.ahead = timedelta(seconds=59)
    await talk.say_all(("Three", "sticky"))
    assert (len(texts(acme)), len(texts(brio))) == (1, 2)
    clock.ahead = timedelta(seconds=60)
    await talk.say_all(("Four", "sticky"), ("Five", "sticky"))
    assert (len(texts(acme)), len(texts(brio))) == (3, 2)


async def test_a_conversation_that_no_failure_moved_stays_where_it_is(
    talk: Talk, acme: Shelf, brio: Shelf, clock: type[Clock]
) -> None:
    await talk.say_all(("One", "brio"))
    clock.ahead = timedelta(days=1)
    await talk.say_all(("Two", "sticky"))
    assert (acme.calls, texts(brio)) == ([], ["One", "Two"])


async def test_a_return_that_fails_is_tried_again_after_the_same_time(
    talk: Talk, acme: Shelf, brio: Shelf, clock: type[Clock]
) -> None:
    await talk.say_all(("One", "sticky"))
    acme.instead[ASK] = answer(503)
    await talk.say_all(("Two", "sticky"))
    clock.ahead = timedelta(seconds=60)
    await talk.say_all(("Three", "sticky"))
    assert acme.calls.count(ASK) == 3
    clock.ahead = timedelta(seconds=59)
    await talk.say_all(("Four", "sticky"))
    assert acme.calls.count(ASK) == 3
    assert texts(brio)[1:] == ["Three", "Four"]


@pytest.mark.parametrize("at", ["the move", "a later turn"])
async def test_a_conversation_whose_turn_broke_off_where_a_failure_moved_it_returns_all_the_same(
    at: str, talk: Talk, acme: Shelf, brio: Shelf, clock: type[Clock]
) -> None:
    await talk.say_all(("One", "sticky"))
    acme.instead[ASK] = answer(429)
    if at == "a later turn":
        await talk.say_all(("Two", "sticky"))
    brio.instead[ASK] = cut
    assert "error" in await talk.say("Three", "sticky")
    acme.instead.clear()
    brio.instead.clear()
    await talk.say_all(("Four", "sticky"))
    assert (texts(acme), texts(brio)[-1].endswith("Four")) == (["One"], True)
    clock.ahead = timedelta(seconds=60)
    await talk.say_all(("Five", "sticky"))
    assert texts(acme)[1].endswith("user: Four\nassistant: Hello\n[Now]\nFive")


async def test_a_conversation_that_was_lost_where_a_failure_moved_it_returns_all_the_same(
    talk: Talk, acme: Shelf, brio: Shelf, clock: type[Clock]
) -> None:
    await talk.say_all(("One", "sticky"))
    acme.instead[ASK] = answer(429)
    await talk.say_all(("Two", "sticky"))
    acme.instead.clear()
    del brio.conversations["c1"]
    await talk.say_all(("Three", "sticky"))
    assert texts(brio, "c2") == [f"{EARLIER}\n{ONE}\nuser: Two\nassistant: Hello\n[Now]\nThree"]
    clock.ahead = timedelta(seconds=60)
    await talk.say_all(("Four", "sticky"))
    assert len(texts(acme)) == 2


# --- what is counted


async def test_a_vendor_that_was_tried_twice_in_one_message_is_counted_once(
    tmp_path: Path, acme: Shelf, brio: Shelf
) -> None:
    patient = '[routes.patient]\ntargets = [{ vendor = "brio" }]\nbackoff = { base = 0.001 }\n'
    async with serving(tmp_path, config(acme=acme, brio=brio) + patient, protocols=PROTOCOLS) as gateway:
        talk = Talk(gateway)
        await talk.say_all(("One", "acme"))
        brio.instead[CREATE] = answer(503)
        assert (await talk.say("Two", "patient"))["error"]["code"] == "upstream_unavailable"
        assert brio.calls == [CREATE, CREATE]
        assert await gateway.samples("gateway_catch_ups_total") == {("brio",): 1}


async def test_a_vendor_that_took_nothing_was_told_nothing(talk: Talk, gateway: Served, brio: Shelf) -> None:
    await talk.say_all(("One", "acme"))
    brio.instead[CREATE] = answer(429)
    assert "error" in await talk.say("Two", "brio")
    assert await gateway.samples("gateway_catch_ups_total") == {}


# --- what answers a vendor's question

RED = [{"type": "input_response", "request_id": "r1", "text": "Red"}]


class Asking(ShelfTranslator):
    def feed(self, record: Record) -> Iterable[Event | Notice]:
        if record.data == b"ask":
            yield InputRequested("r1", "question", "Which?")
            yield MessageCompleted("input_required")
        else:
            yield from super().feed(record)


@pytest.fixture
async def asked(tmp_path: Path, acme: Shelf, brio: Shelf) -> AsyncIterator[Talk]:
    """A conversation in which Acme has just asked something."""
    protocols = {**PROTOCOLS, "shelf": replace(SHELF, translator=Asking)}
    async with serving(tmp_path, config(acme=acme, brio=brio) + ROUTES, protocols=protocols) as gateway:
        talk = Talk(gateway)
        acme.instead[ASK] = answer(200, b"data: ask\n\n", content_type="text/event-stream")
        assert (await talk.say("One", "acme"))["finish_reason"] == "input_required"
        acme.instead.clear()
        yield talk


async def test_a_question_is_answered_where_it_was_asked_though_others_call_their_conversations_the_same(
    asked: Talk, acme: Shelf, brio: Shelf
) -> None:
    await asked.say_all(("Two", "brio"))
    assert (await asked.say(RED, "brio"))["error"]["code"] == "unsupported"
    assert (await asked.say(RED, "both"))["vendor"] == "acme"
    assert texts(brio) == [f"{EARLIER}\nuser: One\nassistant: (asked: Which?)\n[Now]\nTwo"]
    assert texts(acme) == [f"{EARLIER}\nuser: Two\nassistant: Hello\nuser: Red\n[Now]\nRed"]


async def test_a_question_is_not_answered_in_a_conversation_that_was_begun_in_the_place_of_its_own(
    asked: Talk, acme: Shelf, brio: Shelf
) -> None:
    del acme.conversations["c1"]
    await asked.say_all(("Two", "brio"), ("Three", "acme"))
    assert (await asked.say(RED, "acme"))["error"]["code"] == "unsupported"
    assert len(texts(acme, "c2")) == 1


async def test_no_conversation_is_begun_to_answer_a_question_in(asked: Talk, acme: Shelf) -> None:
    del acme.conversations["c1"]
    assert (await asked.say(RED, "acme"))["error"]["code"] == "upstream_not_found"
    assert acme.calls == [CREATE, ASK, ASK]
    assert await asked.gateway.samples("gateway_rebound_conversations_total") == {}


async def test_what_nobody_asked_is_answered_where_the_conversation_is(asked: Talk, acme: Shelf, brio: Shelf) -> None:
    await asked.say_all(("Two", "brio"))
    content = [{"type": "input_response", "request_id": "r2", "text": "Blue"}]
    assert (await asked.say(content, "acme"))["error"]["code"] == "unsupported"
    assert (await asked.say(content, "brio"))["status"] == "completed"
    assert (texts(acme), texts(brio)[1:]) == ([], ["Blue"])


# --- with vendors that ask, and that give answers anew


@pytest.fixture
async def vendors(tmp_path: Path) -> AsyncIterator[Five]:
    async with five(tmp_path) as running:
        yield running


LOST_THERE: Script = [Head(404, {"Content-Type": "application/json"}), Send(LOST["chatbase"])]
UNAVAILABLE: Script = [Head(503, {"Content-Type": "application/json"}), Send(b"{}")]


def text_of(document: Any) -> str:
    return "".join(part["text"] for part in document["parts"] if part["type"] == "text")


async def test_an_answer_that_was_given_anew_is_told_once(vendors: Five) -> None:
    first = await vendors.begin("chatbase")
    ours = first["conversation_id"]
    anew = await vendors.ask(
        "POST",
        "/v1/messages",
        json={"route": "chatbase", "conversation_id": ours, "regenerate": first["id"], "stream": False},
    )
    assert anew.status == 200
    await vendors.say("hardwire", "Two", conversation_id=ours)
    (body,) = vendors.record("hardwire").bodies
    assert body["content"] == f"{EARLIER}\nuser: One\nassistant: {text_of(anew.document)}\n[Now]\nTwo"


async def test_an_answer_is_given_anew_by_the_vendor_that_gave_it_alone(vendors: Five) -> None:
    first = await vendors.begin("chatbase")
    body = {"conversation_id": first["conversation_id"], "regenerate": first["id"], "stream": False}
    other = await vendors.ask("POST", "/v1/messages", json={"route": "hardwire", **body})
    assert (other.status, other.error["code"]) == (422, "unsupported")
    assert not vendors.record("hardwire").has_heard(first["vendor_ids"]["message"])
    both = await vendors.ask("POST", "/v1/messages", json={"route": "support", **body})
    assert (both.status, both.document["vendor"]) == (200, "chatbase")


async def test_an_answer_that_the_vendor_has_lost_is_not_given_anew_elsewhere(vendors: Five) -> None:
    first = await vendors.begin("chatbase")
    record = vendors.record("chatbase")
    record.instead = lambda _: LOST_THERE
    body = {"conversation_id": first["conversation_id"], "regenerate": first["id"], "route": "support"}
    reply = await vendors.ask("POST", "/v1/messages", json=body)
    assert (reply.status, reply.error["code"]) == (502, "upstream_not_found")
    assert record.lines == ["POST /agents/demo-agent/conversations/*/retry"]
    assert await vendors.samples("gateway_rebound_conversations_total") == {}
    assert [vendors.record(name).lines for name in ("hardwire", "sema4")] == [[], []]


@pytest.mark.parametrize("vendor", ["dynamiq", "dimedove", "sema4"])
async def test_a_conversation_whose_loss_could_not_be_mended_goes_on_once_the_vendor_is_well(
    vendor: str, vendors: Five
) -> None:
    first = await vendors.begin(vendor)
    ours, theirs = first["conversation_id"], first["vendor_ids"]["conversation"]
    record = vendors.record(vendor)
    gone = lost(vendor, theirs)
    record.instead = lambda request: gone(request) or UNAVAILABLE
    failed = await vendors.say(vendor, "Two", conversation_id=ours)
    assert (failed.status, failed.error["code"]) == (503, "upstream_unavailable")
    record.instead = lambda _: None
    record.requests.clear()
    third = await vendors.say(vendor, "Three", conversation_id=ours, stream=False)
    assert third.document["vendor_ids"]["conversation"] == theirs
    assert (record.lines, record.has_heard("Three"), record.has_heard("One")) == (LINES[vendor][1], True, False)


async def ask_a_tool(vendors: Five) -> tuple[str, list[dict[str, str]]]:
    """A conversation in which Chatbase waits for two results, and those."""
    first = await vendors.begin("chatbase", "[play:parallel-actions]")
    assert first["pending_tool_calls"] == ["call_1", "call_2"]
    results = [{"type": "tool_result", "tool_call_id": call, "output": "sunny"} for call in ("call_1", "call_2")]
    return first["conversation_id"], results


async def test_a_result_is_handed_to_the_vendor_that_asked_for_it_past_all_others(vendors: Five) -> None:
    ours, results = await ask_a_tool(vendors)
    elsewhere = await vendors.say("hardwire", "Never mind", conversation_id=ours, stream=False)
    assert elsewhere.status == 200
    reply = await vendors.say("support", results, conversation_id=ours, stream=False)
    assert (reply.status, reply.document["vendor"]) == (200, "chatbase")
    assert vendors.log.of("message")[-1]["attempts"] == 2
    assert not vendors.record("hardwire").has_heard("sunny")
    assert not vendors.record("hardwire").has_heard("call_1")
    assert "POST /agents/demo-agent/conversations/*/tool-result" in vendors.record("chatbase").lines


@pytest.mark.parametrize("route", ["hardwire", "sema4"])
async def test_a_result_that_another_vendor_asked_for_is_refused(route: str, vendors: Five) -> None:
    ours, results = await ask_a_tool(vendors)
    reply = await vendors.say(route, results, conversation_id=ours)
    assert (reply.status, reply.error["code"], reply.error["details"]) == (422, "unsupported", {"path": "$.content[0]"})
    assert vendors.record(route).lines == []


async def test_where_only_another_vendor_could_be_asked_the_asking_ones_failure_is_told(vendors: Five) -> None:
    ours, results = await ask_a_tool(vendors)
    vendors.record("chatbase").instead = lambda _: UNAVAILABLE
    reply = await vendors.say("support", results, conversation_id=ours)
    assert (reply.status, reply.error["code"], reply.error["vendor"]) == (503, "upstream_unavailable", "chatbase")
    assert [vendors.record(name).lines for name in ("hardwire", "sema4")] == [[], []]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["at once", "after a turn elsewhere"])
async def test_an_approval_goes_to_the_vendor_that_asked_and_to_no_other(elsewhere: bool, vendors: Five) -> None:  # noqa: FBT001  (a parameter)
    first = await vendors.begin("dynamiq", "[play:approval]")
    ours = first["conversation_id"]
    (asked,) = [part for part in first["parts"] if part["type"] == "input"]
    approved = [{"type": "input_response", "request_id": asked["request_id"], "approved": True}]
    if elsewhere:
        await vendors.say("sema4", "Wait", conversation_id=ours)
        told = vendors.record("sema4").bodies[-1]["content"]
        assert f"assistant: (asked: {asked['prompt']})\n[Now]\nWait" in told
    refused = await vendors.say("sema4", approved, conversation_id=ours)
    assert (refused.status, refused.error["code"]) == (422, "unsupported")
    taken = await vendors.say("dynamiq", approved, conversation_id=ours)
    assert taken.status == 200
    assert "POST /v1/runs/*/input" in vendors.record("dynamiq").lines
    for vendor in ("sema4", "hardwire", "chatbase", "dimedove"):
        assert not vendors.record(vendor).has_heard("Approved")
        assert not vendors.record(vendor).has_heard(asked["request_id"])


async def test_an_answer_is_not_given_to_a_conversation_in_which_nobody_asked(vendors: Five) -> None:
    first = await vendors.begin("dynamiq", "[play:feedback]")
    ours = first["conversation_id"]
    (asked,) = [part for part in first["parts"] if part["type"] == "input"]
    content = [{"type": "input_response", "request_id": asked["request_id"], "text": "The first"}]
    record = vendors.record("dynamiq")
    record.instead = lambda request: [Reset()] if b"Broken" in request.body else None
    assert (await vendors.say("dynamiq", "Broken", conversation_id=ours)).status == 503
    record.requests.clear()
    reply = await vendors.say("dynamiq", content, conversation_id=ours)
    assert (reply.status, reply.error["code"], record.lines) == (422, "unsupported", [])

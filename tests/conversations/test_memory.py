"""Conversations in memory: who owns them, one message at a time, and which of them make room."""

from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message, TextPart
from gateway.conversations.memory import MemoryStore
from gateway.conversations.store import BindingKey, Conversation

NOW = datetime(2026, 11, 2, tzinfo=UTC)
KEY = BindingKey("acme", "agent-1")


def conversation(name: str, owner: str = "ann") -> Conversation:
    return Conversation(name, owner, NOW)


def message(name: str) -> Message:
    return Message(name, "c1", "user", "completed", [TextPart("Hi")], NOW)


async def refused(call: Coroutine[Any, Any, object]) -> str:
    with pytest.raises(GatewayError) as caught:
        await call
    return caught.value.code


async def new_store(*names: str, capacity: int = 10) -> MemoryStore:
    store = MemoryStore(capacity)
    for name in names:
        await store.create(conversation(name))
    return store


async def test_a_conversation_keeps_its_messages_in_order() -> None:
    store = await new_store("c1")
    assert await store.messages("c1", "ann") == []
    await store.append("c1", [message("m1"), message("m2")])
    await store.append("c1", [message("m3")])
    assert await store.messages("c1", "ann") == [message("m1"), message("m2"), message("m3")]


async def test_what_is_read_can_be_changed_without_harm() -> None:
    store = await new_store("c1")
    await store.append("c1", [message("m1")])
    (await store.messages("c1", "ann")).clear()
    assert await store.messages("c1", "ann") == [message("m1")]


async def test_another_keys_conversation_does_not_exist() -> None:
    store = await new_store("c1")
    for name in ("c1", "c2"):
        assert await refused(store.begin(name, "bob")) == "not_found"
        assert await refused(store.messages(name, "bob")) == "not_found"


async def test_the_refusal_of_a_foreign_conversation_is_that_of_a_made_up_one() -> None:
    store = await new_store("c1")
    texts = []
    for name in ("c1", "c2"):
        with pytest.raises(GatewayError) as caught:
            await store.begin(name, "bob")
        texts.append((caught.value.message, caught.value.details))
    assert texts[0] == texts[1]


async def test_one_message_runs_at_a_time() -> None:
    store = await new_store("c1", "c2")
    await store.begin("c1", "ann")
    assert await refused(store.begin("c1", "ann")) == "conflict"
    await store.begin("c2", "ann")
    await store.end("c1")
    await store.begin("c1", "ann")


async def test_a_foreign_key_does_not_learn_that_a_message_runs() -> None:
    store = await new_store("c1")
    await store.begin("c1", "ann")
    assert await refused(store.begin("c1", "bob")) == "not_found"


async def test_each_vendor_and_scope_has_a_binding_of_its_own() -> None:
    store = await new_store("c1")
    assert await store.bindings("c1") == {}
    other = BindingKey("acme", "agent-2")
    await store.bind("c1", KEY, {"conversation": "v-1"})
    await store.bind("c1", other, {"conversation": "v-2"})
    await store.bind("c1", KEY, {"conversation": "v-3"})
    assert await store.bindings("c1") == {KEY: {"conversation": "v-3"}, other: {"conversation": "v-2"}}


async def test_the_oldest_conversation_makes_room() -> None:
    store = await new_store("c1", "c2", "c3", capacity=2)
    assert await refused(store.messages("c1", "ann")) == "not_found"
    assert await store.messages("c2", "ann") == []


async def test_a_conversation_that_was_used_is_not_the_oldest() -> None:
    store = await new_store("c1", "c2", capacity=2)
    await store.begin("c1", "ann")
    await store.end("c1")
    await store.create(conversation("c3"))
    assert await refused(store.messages("c2", "ann")) == "not_found"
    assert await store.messages("c1", "ann") == []


async def test_a_conversation_that_runs_never_makes_room() -> None:
    store = await new_store("c1", "c2", capacity=2)
    await store.begin("c1", "ann")
    await store.create(conversation("c3"))
    assert await store.messages("c1", "ann") == []
    assert await refused(store.messages("c2", "ann")) == "not_found"


async def test_where_all_run_the_new_one_has_room_all_the_same() -> None:
    store = await new_store("c1", capacity=1)
    await store.begin("c1", "ann")
    await store.create(conversation("c2"))
    await store.begin("c2", "ann")
    assert await refused(store.begin("c1", "ann")) == "conflict"


async def test_a_conversation_that_is_gone_takes_nothing_in() -> None:
    store = await new_store()
    await store.append("c1", [message("m1")])
    await store.bind("c1", KEY, {"conversation": "v-1"})
    await store.end("c1")
    assert await store.bindings("c1") == {}
    assert await refused(store.messages("c1", "ann")) == "not_found"

"""What every store keeps to: whose conversations are, one message at a time, paging, bindings, files, deleting,
fingerprints."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Usage
from gateway.canonical.message import DataPart, Message, TextPart, ToolCallPart
from gateway.canonical.resources import Page, PageOf
from gateway.conversations.memory import MemoryStore
from gateway.conversations.sqlite import SqliteStore
from gateway.conversations.store import Binding, BindingKey, Conversation, Ending, Named, Store, StoredFile

NOW = datetime(2026, 11, 2, 12, 30, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(seconds=7)
ALL = PageOf(100)

KEY = BindingKey("acme", "agent-1")
OTHER_KEY = BindingKey("acme", "agent-2")
BINDING = Binding({"conversation": "v-1"}, seen="c1-a1")

C1 = Conversation("c1", "ann", NOW, NOW, "Holidays", {"team": {"id": 7}})
C2 = Conversation("c2", "ann", NOW, NOW)

QUESTION = Message("c1-q1", "c1", "user", "completed", [TextPart("Hi \u2028 \x00 \U0001f600")], NOW)
RUNNING = Message("c1-a1", "c1", "assistant", "running", [], NOW, route="support")
ANSWER = Message(
    id="c1-a1",
    conversation_id="c1",
    role="assistant",
    status="completed",
    parts=[
        TextPart("Hello", 0, "signed"),
        ToolCallPart("call_1", "search", {"q": [1, None, 2.5]}, 1, executor="vendor"),
        DataPart("chart", {"bars": []}),
    ],
    created_at=NOW,
    completed_at=LATER,
    finish_reason="stop",
    usage=Usage(input_tokens=3, credits=0.5),
    route="support",
    vendor="acme",
    model="acme-large",
    vendor_ids={"conversation": "v-1"},
)
ENDING = Ending(ANSWER, {KEY: BINDING})
NEXT_QUESTION = replace(QUESTION, id="c1-q2", created_at=LATER)
NEXT_RUNNING = replace(RUNNING, id="c1-a2", created_at=LATER)
NEXT_ANSWER = replace(ANSWER, id="c1-a2", created_at=LATER)

FINGERPRINT = bytes(range(32))
LATER_FINGERPRINT = bytes(range(32, 64))

FILE = StoredFile("f1", "c1", KEY, "ref-1", "a.pdf", "application/pdf", 3, NOW)


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    opened: Store = MemoryStore() if request.param == "memory" else await SqliteStore.open(tmp_path / "store.db")
    yield opened
    await opened.close()


Refusal = tuple[str, str, dict[str, object]]


async def refused(call: Awaitable[object]) -> Refusal:
    with pytest.raises(GatewayError) as caught:
        await call
    return caught.value.code, caught.value.message, caught.value.details


NOT_FOUND: Refusal = ("not_found", "no such conversation", {})
NO_MESSAGE: Refusal = ("not_found", "no such message", {})
CONFLICT: Refusal = ("conflict", "another message of this conversation is being answered", {})
TAKEN: Refusal = ("conflict", "there is a conversation with this id already", {})
BAD_CURSOR: Refusal = ("bad_request", "$.cursor: it is none that this list gave", {"path": "$.cursor"})


# --- conversations


async def test_a_conversation_is_read_as_it_was_created(store: Store) -> None:
    await store.create(C1)
    assert await store.conversation("c1", "ann") == C1


async def test_an_id_is_taken_once(store: Store) -> None:
    await store.create(C1)
    assert await refused(store.create(replace(C1, owner="bob"))) == TAKEN
    assert await refused(store.begin(replace(C1, owner="bob"), [QUESTION, RUNNING])) == TAKEN
    assert await store.conversation("c1", "ann") == C1
    assert (await store.messages("c1", "ann", ALL)).data == []


async def test_an_id_that_was_taken_does_not_run(store: Store) -> None:
    await store.create(C1)
    assert await refused(store.begin(C1, [QUESTION, RUNNING])) == TAKEN
    assert await store.resume("c1", "ann", [QUESTION, RUNNING]) == {}


@pytest.mark.parametrize(
    "call",
    [
        lambda store, name: store.conversation(name, "bob"),
        lambda store, name: store.delete(name, "bob"),
        lambda store, name: store.resume(name, "bob", [NEXT_QUESTION, NEXT_RUNNING]),
        lambda store, name: store.messages(name, "bob", ALL),
        lambda store, name: store.bindings(name, "bob"),
        lambda store, name: store.files(name, "bob"),
    ],
    ids=["conversation", "delete", "resume", "messages", "bindings", "files"],
)
async def test_another_keys_conversation_does_not_exist_whether_idle_or_running(
    store: Store, call: Callable[[Store, str], Awaitable[object]]
) -> None:
    assert await refused(call(store, "c1")) == NOT_FOUND
    await store.begin(C1, [QUESTION, RUNNING])
    assert await refused(call(store, "c1")) == NOT_FOUND
    await store.end("c1", ENDING)
    assert await refused(call(store, "c1")) == NOT_FOUND
    assert (await store.messages("c1", "ann", ALL)).data == [QUESTION, ANSWER]
    assert await store.conversations("bob", ALL) == Page([])


async def test_who_asks_for_another_keys_conversation_does_not_keep_its_owner_waiting(store: Store) -> None:
    await store.create(C1)
    foreign, own = await asyncio.gather(
        store.resume("c1", "bob", [replace(QUESTION, id="b-q"), replace(RUNNING, id="b-a")]),
        store.resume("c1", "ann", [QUESTION, RUNNING]),
        return_exceptions=True,
    )
    assert (getattr(foreign, "code", None), own) == ("not_found", {})


async def test_what_is_deleted_is_gone_with_all_it_had(store: Store) -> None:
    await store.begin(C1, [QUESTION, RUNNING])
    await store.end("c1", ENDING)
    await store.keep_files([FILE])
    await store.delete("c1", "ann")
    assert await refused(store.conversation("c1", "ann")) == NOT_FOUND
    assert await refused(store.delete("c1", "ann")) == NOT_FOUND
    assert await refused(store.bind("c1", KEY, BINDING)) == NOT_FOUND
    assert await refused(store.bind("c1", KEY, None)) == NOT_FOUND
    assert await refused(store.keep_files([FILE])) == NOT_FOUND
    assert await store.conversations("ann", ALL) == Page([])
    await store.create(C1)
    assert (await store.messages("c1", "ann", ALL)).data == []
    assert await store.bindings("c1", "ann") == {}
    assert await store.files("c1", "ann") == []


async def test_a_conversation_is_not_deleted_while_a_message_of_it_runs(store: Store) -> None:
    await store.begin(C1, [QUESTION, RUNNING])
    assert await refused(store.delete("c1", "ann")) == CONFLICT
    await store.end("c1", ENDING)
    await store.delete("c1", "ann")


# --- messages


async def test_a_message_begins_and_ends(store: Store) -> None:
    await store.begin(C1, [QUESTION, RUNNING])
    assert await store.messages("c1", "ann", ALL) == Page([QUESTION, RUNNING])
    await store.end("c1", ENDING)
    assert await store.messages("c1", "ann", ALL) == Page([QUESTION, ANSWER])
    assert await store.bindings("c1", "ann") == {KEY: BINDING}


async def test_the_next_message_is_given_the_bindings(store: Store) -> None:
    await store.begin(C1, [QUESTION, RUNNING])
    await store.end("c1", ENDING)
    assert await store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING]) == {KEY: BINDING}
    await store.end("c1", Ending(NEXT_ANSWER, {KEY: None, OTHER_KEY: BINDING}))
    assert await store.messages("c1", "ann", ALL) == Page([QUESTION, ANSWER, NEXT_QUESTION, NEXT_ANSWER])
    assert await store.bindings("c1", "ann") == {OTHER_KEY: BINDING}


async def test_a_conversation_without_a_message_can_be_resumed(store: Store) -> None:
    await store.create(C1)
    await store.bind("c1", KEY, BINDING)
    assert await store.resume("c1", "ann", [QUESTION, RUNNING]) == {KEY: BINDING}


async def test_one_message_runs_at_a_time(store: Store) -> None:
    await store.begin(C1, [QUESTION, RUNNING])
    assert await refused(store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING])) == CONFLICT
    await store.begin(C2, [replace(QUESTION, id="c2-q"), replace(RUNNING, id="c2-a", conversation_id="c2")])
    await store.end("c1", ENDING)
    await store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING])
    assert await store.messages("c1", "ann", ALL) == Page([QUESTION, ANSWER, NEXT_QUESTION, NEXT_RUNNING])


async def test_of_two_that_race_one_begins(store: Store) -> None:
    await store.create(C1)
    outcomes = await asyncio.gather(
        store.resume("c1", "ann", [QUESTION, RUNNING]),
        store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING]),
        return_exceptions=True,
    )
    assert [getattr(outcome, "code", outcome) for outcome in outcomes] == [{}, "conflict"]
    assert await store.messages("c1", "ann", ALL) == Page([QUESTION, RUNNING])


async def test_the_ending_is_seen_by_whoever_comes_next_though_nobody_waited_for_it(store: Store) -> None:
    await store.begin(C1, [QUESTION, RUNNING])
    ended = store.end("c1", ENDING)
    assert await store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING]) == {KEY: BINDING}
    assert await store.messages("c1", "ann", ALL) == Page([QUESTION, ANSWER, NEXT_QUESTION, NEXT_RUNNING])
    await ended


async def test_the_ending_of_what_does_not_run_changes_nothing(store: Store) -> None:
    await store.end("c1", ENDING)
    await store.begin(C1, [QUESTION, RUNNING])
    await store.end("c1", Ending(NEXT_ANSWER, {KEY: BINDING}))
    assert await refused(store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING])) == CONFLICT
    await store.end("c1", Ending(ANSWER))
    await store.end("c1", Ending(replace(ANSWER, status="canceled"), {KEY: BINDING}))
    assert await store.messages("c1", "ann", ALL) == Page([QUESTION, ANSWER])
    assert await store.bindings("c1", "ann") == {}


async def test_a_message_may_bring_the_history_before_it(store: Store) -> None:
    earlier = [replace(QUESTION, id=f"h{number}") for number in range(3)]
    await store.begin(C1, [*earlier, QUESTION, RUNNING])
    await store.end("c1", ENDING)
    assert await store.messages("c1", "ann", ALL) == Page([*earlier, QUESTION, ANSWER])


async def test_messages_are_paged_from_the_oldest_on(store: Store) -> None:
    earlier = [replace(QUESTION, id=f"h{number}") for number in range(3)]
    await store.begin(C1, [*earlier, QUESTION, RUNNING])
    first = await store.messages("c1", "ann", PageOf(2))
    second = await store.messages("c1", "ann", PageOf(2, first.next_cursor))
    last = await store.messages("c1", "ann", PageOf(2, second.next_cursor))
    assert [first.data, second.data, last.data] == [earlier[:2], [earlier[2], QUESTION], [RUNNING]]
    assert last.next_cursor is None


async def test_a_page_that_ends_with_the_list_has_no_cursor(store: Store) -> None:
    await store.begin(C1, [QUESTION, RUNNING])
    assert await store.messages("c1", "ann", PageOf(2)) == Page([QUESTION, RUNNING])
    assert (await store.conversations("ann", PageOf(1))).next_cursor is None


async def test_what_is_added_meanwhile_stands_on_a_later_page(store: Store) -> None:
    await store.begin(C1, [QUESTION, RUNNING])
    first = await store.messages("c1", "ann", PageOf(1))
    await store.end("c1", ENDING)
    await store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING])
    rest = await store.messages("c1", "ann", PageOf(9, first.next_cursor))
    assert rest == Page([ANSWER, NEXT_QUESTION, NEXT_RUNNING])


async def test_a_message_is_found_by_its_id_whether_it_runs_or_has_ended(store: Store) -> None:
    earlier = replace(QUESTION, id="h1")
    await store.begin(C1, [earlier, QUESTION, RUNNING])
    assert [await store.message(name, "ann") for name in ("h1", "c1-q1", "c1-a1")] == [earlier, QUESTION, RUNNING]
    ended = store.end("c1", ENDING)
    assert await store.message("c1-a1", "ann") == ANSWER
    await ended
    await store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING])
    assert await store.message("c1-a1", "ann") == ANSWER
    assert await store.message("c1-a2", "ann") == NEXT_RUNNING


async def test_a_message_of_nobody_or_of_another_key_does_not_exist(store: Store) -> None:
    await store.begin(C1, [QUESTION, RUNNING])
    assert await refused(store.message("c1-a2", "ann")) == NO_MESSAGE
    assert await refused(store.message("c1", "ann")) == NO_MESSAGE
    assert await refused(store.message("c1-a1", "bob")) == NO_MESSAGE
    await store.end("c1", ENDING)
    await store.delete("c1", "ann")
    assert await refused(store.message("c1-q1", "ann")) == NO_MESSAGE
    assert await refused(store.message("c1-a1", "ann")) == NO_MESSAGE


# --- recognised by a fingerprint


async def leave(store: Store, conversation: Conversation, fingerprint: bytes | None) -> None:
    """A conversation that begins, and is left with this fingerprint."""
    question = replace(QUESTION, id=f"{conversation.id}-q1", conversation_id=conversation.id)
    answer = replace(ANSWER, id=f"{conversation.id}-a1", conversation_id=conversation.id)
    await store.begin(conversation, [question, replace(answer, status="running", parts=[])])
    await store.end(conversation.id, Ending(answer, fingerprint=fingerprint))


async def test_a_conversation_is_recognised_by_what_its_latest_ending_left(store: Store) -> None:
    assert await store.recognise("ann", FINGERPRINT) is None
    await leave(store, C1, FINGERPRINT)
    assert await store.recognise("ann", FINGERPRINT) == "c1"
    assert await store.recognise("ann", LATER_FINGERPRINT) is None
    await store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING])
    await store.end("c1", Ending(NEXT_ANSWER, {KEY: BINDING}, LATER_FINGERPRINT))
    assert await store.recognise("ann", FINGERPRINT) is None
    assert await store.recognise("ann", LATER_FINGERPRINT) == "c1"


async def test_an_ending_without_a_fingerprint_leaves_none(store: Store) -> None:
    await leave(store, C1, FINGERPRINT)
    await store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING])
    await store.end("c1", Ending(NEXT_ANSWER))
    assert await store.recognise("ann", FINGERPRINT) is None


async def test_a_conversation_that_runs_is_not_recognised(store: Store) -> None:
    await leave(store, C1, FINGERPRINT)
    await store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING])
    assert await store.recognise("ann", FINGERPRINT) is None
    ended = store.end("c1", Ending(NEXT_ANSWER, fingerprint=FINGERPRINT))
    assert await store.recognise("ann", FINGERPRINT) == "c1"
    await ended


async def test_a_conversation_that_is_held_is_not_recognised(store: Store) -> None:
    await leave(store, C1, FINGERPRINT)
    async with store.hold("c1", "ann"):
        assert await store.recognise("ann", FINGERPRINT) is None
    assert await store.recognise("ann", FINGERPRINT) == "c1"


async def test_of_several_that_are_alike_none_is_recognised(store: Store) -> None:
    for name in ("c1", "c2", "c3"):
        await leave(store, replace(C1, id=name), FINGERPRINT)
    assert await store.recognise("ann", FINGERPRINT) is None
    await store.delete("c3", "ann")
    assert await store.recognise("ann", FINGERPRINT) is None
    async with store.hold("c2", "ann"):
        assert await store.recognise("ann", FINGERPRINT) is None
    await store.resume("c2", "ann", [NEXT_QUESTION, NEXT_RUNNING])
    assert await store.recognise("ann", FINGERPRINT) == "c1"
    await store.end("c2", Ending(NEXT_ANSWER, fingerprint=LATER_FINGERPRINT))
    assert await store.recognise("ann", FINGERPRINT) == "c1"
    assert await store.recognise("ann", LATER_FINGERPRINT) == "c2"


async def test_what_another_key_left_is_not_recognised(store: Store) -> None:
    await leave(store, C1, FINGERPRINT)
    assert await store.recognise("bob", FINGERPRINT) is None
    await leave(store, replace(C2, owner="bob"), FINGERPRINT)
    assert await store.recognise("ann", FINGERPRINT) == "c1"
    assert await store.recognise("bob", FINGERPRINT) == "c2"


async def test_what_is_deleted_is_not_recognised_and_does_not_stand_in_the_way(store: Store) -> None:
    await leave(store, C1, FINGERPRINT)
    await store.delete("c1", "ann")
    assert await store.recognise("ann", FINGERPRINT) is None
    await store.create(C1)
    assert await store.recognise("ann", FINGERPRINT) is None
    await leave(store, C2, FINGERPRINT)
    assert await store.recognise("ann", FINGERPRINT) == "c2"


async def test_the_ending_of_what_does_not_run_leaves_no_fingerprint(store: Store) -> None:
    await leave(store, C1, FINGERPRINT)
    await store.end("c1", Ending(ANSWER, fingerprint=LATER_FINGERPRINT))
    await store.end("c1", Ending(NEXT_ANSWER))
    assert await store.recognise("ann", FINGERPRINT) == "c1"
    assert await store.recognise("ann", LATER_FINGERPRINT) is None


async def test_what_is_done_beside_its_messages_does_not_change_what_a_conversation_is_recognised_by(
    store: Store,
) -> None:
    await leave(store, C1, FINGERPRINT)
    await store.bind("c1", KEY, BINDING)
    await store.keep_files([FILE])
    assert await refused(store.create(C1)) == TAKEN
    assert await refused(store.resume("c1", "bob", [NEXT_QUESTION, NEXT_RUNNING])) == NOT_FOUND
    assert await store.recognise("ann", FINGERPRINT) == "c1"


# --- the list of conversations


async def test_the_latest_used_conversation_comes_first(store: Store) -> None:
    await store.create(replace(C2, updated_at=NOW + timedelta(seconds=1)))
    await store.begin(C1, [QUESTION, RUNNING])
    assert [found.id for found in (await store.conversations("ann", ALL)).data] == ["c2", "c1"]
    await store.end("c1", ENDING)
    assert await store.conversations("ann", ALL) == Page(
        [replace(C1, updated_at=LATER), replace(C2, updated_at=NOW + timedelta(seconds=1))]
    )


async def test_a_clock_that_goes_back_does_not_take_a_conversation_back(store: Store) -> None:
    await store.begin(replace(C1, updated_at=LATER), [QUESTION, RUNNING])
    await store.end("c1", Ending(replace(ANSWER, completed_at=None)))
    assert (await store.conversation("c1", "ann")).updated_at == LATER


async def test_conversations_of_one_moment_are_paged_without_loss_or_doubling(store: Store) -> None:
    for number in (3, 1, 4, 0, 2):
        await store.create(replace(C1, id=f"c{number}"))
    await store.create(replace(C1, id="b1", owner="bob"))
    page = await store.conversations("ann", PageOf(2))
    shown = [found.id for found in page.data]
    while page.next_cursor is not None:
        page = await store.conversations("ann", PageOf(2, page.next_cursor))
        shown += [found.id for found in page.data]
    assert shown == ["c4", "c3", "c2", "c1", "c0"]


async def test_another_keys_cursor_shows_nothing_of_another_keys_list(store: Store) -> None:
    for number in range(3):
        await store.create(replace(C1, id=f"c{number}"))
    page = await store.conversations("ann", PageOf(1))
    assert await store.conversations("bob", PageOf(9, page.next_cursor)) == Page([])


def encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "%",
        "a",
        "\u00fc",
        "\ud800",
        "\x00",
        "=" * 8,
        "A" * 100_000,
        encoded(b"[" * 500),
        encoded(b"\xff"),
        encoded(b"null"),
        encoded(b"[]"),
        encoded(b"{}"),
        encoded(b'["c1"]'),
        encoded(b'[1,"c1",2]'),
        encoded(b'[1, "c1"]'),
        encoded(b"[1e99]"),
        encoded(b"[1.5]"),
        encoded(b"[true]"),
        encoded(b"[-1]"),
        encoded(b"[9223372036854775808]"),
        encoded(b"[-9223372036854775809]"),
        encoded(b'[9223372036854775808,"c1"]'),
        encoded(b"[" + b"9" * 700 + b"]"),
        encoded(b'[1,"\\ud800"]'),
        encoded(b"[1]") + "==",
        encoded(b"[1]") + "\n",
    ],
)
async def test_a_cursor_that_is_none_of_ours_is_refused(store: Store, cursor: str) -> None:
    await store.create(C1)
    assert await refused(store.conversations("ann", PageOf(1, cursor))) == BAD_CURSOR
    assert await refused(store.messages("c1", "ann", PageOf(1, cursor))) == BAD_CURSOR


async def test_the_cursor_of_one_list_is_none_of_the_other(store: Store) -> None:
    await store.create(C2)
    await store.begin(C1, [QUESTION, RUNNING])
    conversations = (await store.conversations("ann", PageOf(1))).next_cursor
    messages = (await store.messages("c1", "ann", PageOf(1))).next_cursor
    assert await refused(store.messages("c1", "ann", PageOf(1, conversations))) == BAD_CURSOR
    assert await refused(store.conversations("ann", PageOf(1, messages))) == BAD_CURSOR


async def test_a_cursor_at_the_end_of_all_numbers_is_a_place_like_others(store: Store) -> None:
    await store.begin(C1, [QUESTION, RUNNING])
    assert await store.messages("c1", "ann", PageOf(9, encoded(b"[9223372036854775807]"))) == Page([])
    assert await store.conversations("ann", PageOf(9, encoded(b'[9223372036854775807,"c1"]'))) == Page([C1])
    assert await store.conversations("ann", PageOf(9, encoded(b'[-9223372036854775807,"c1"]'))) == Page([])


# --- bindings and files


async def test_each_vendor_and_scope_has_a_binding_of_its_own(store: Store) -> None:
    await store.create(C1)
    await store.bind("c1", KEY, BINDING)
    await store.bind("c1", OTHER_KEY, Binding({"conversation": "v-2"}, None, "c1-q1"))
    assert await store.bindings("c1", "ann") == {
        KEY: BINDING,
        OTHER_KEY: Binding({"conversation": "v-2"}, None, "c1-q1"),
    }


async def test_the_binding_that_was_set_last_stands_last(store: Store) -> None:
    await store.create(C1)
    for key in (KEY, OTHER_KEY, KEY):
        await store.bind("c1", key, BINDING)
    assert list(await store.bindings("c1", "ann")) == [OTHER_KEY, KEY]


async def test_a_binding_takes_its_files_with_it(store: Store) -> None:
    other = replace(FILE, id="f2", key=OTHER_KEY)
    await store.begin(C1, [QUESTION, RUNNING])
    await store.bind("c1", KEY, BINDING)
    await store.keep_files([FILE, other])
    await store.bind("c1", KEY, None)
    assert await store.bindings("c1", "ann") == {}
    assert await store.files("c1", "ann") == [other]
    await store.end("c1", Ending(ANSWER, {OTHER_KEY: None}))
    assert await store.files("c1", "ann") == []


async def test_a_file_that_is_known_keeps_its_id_and_takes_what_is_new(store: Store) -> None:
    await store.create(C1)
    await store.create(C2)
    assert await store.keep_files([FILE]) == [FILE]
    grown = StoredFile("f2", "c1", KEY, "ref-1", "b.pdf", None, 2**40, None)
    fresh = [replace(FILE, id="f3", ref="ref-2"), replace(FILE, id="f4", key=OTHER_KEY)]
    elsewhere = replace(FILE, id="f5", conversation_id="c2")
    assert await store.keep_files([grown, *fresh, elsewhere]) == [replace(grown, id="f1"), *fresh, elsewhere]
    assert await store.files("c1", "ann") == [replace(grown, id="f1"), *fresh]
    assert await store.files("c2", "ann") == [elsewhere]


async def test_files_are_kept_all_or_none(store: Store) -> None:
    await store.create(C1)
    assert await refused(store.keep_files([FILE, replace(FILE, id="f2", conversation_id="c9")])) == NOT_FOUND
    assert await store.files("c1", "ann") == []
    assert await store.keep_files([]) == []


# --- memory alone


async def test_the_oldest_conversation_makes_room_in_memory() -> None:
    store = MemoryStore(capacity=2)
    for name in ("c1", "c2", "c3"):
        await store.create(replace(C1, id=name))
    assert await refused(store.conversation("c1", "ann")) == NOT_FOUND
    assert (await store.conversation("c2", "ann")).id == "c2"


async def test_what_made_room_is_neither_found_nor_recognised() -> None:
    store = MemoryStore(capacity=2)
    for name in ("c1", "c2", "c3"):
        await leave(store, replace(C1, id=name), FINGERPRINT)
    assert await refused(store.message("c1-q1", "ann")) == NO_MESSAGE
    assert await refused(store.message("c1-a1", "ann")) == NO_MESSAGE
    assert (await store.message("c2-a1", "ann")).id == "c2-a1"
    await store.delete("c2", "ann")
    assert await store.recognise("ann", FINGERPRINT) == "c3"


async def test_nothing_is_kept_of_what_memory_forgets() -> None:
    store = MemoryStore(capacity=1)
    for name in ("c1", "c2"):
        await leave(store, replace(C1, id=name), FINGERPRINT)
    await store.delete("c2", "ann")
    assert (store._kept, store._places, store._alike) == ({}, {}, {})


async def test_a_conversation_that_was_used_is_not_the_oldest() -> None:
    store = MemoryStore(capacity=2)
    await store.create(C1)
    await store.create(C2)
    await store.resume("c1", "ann", [QUESTION, RUNNING])
    await store.end("c1", ENDING)
    await store.create(replace(C1, id="c3"))
    assert await refused(store.conversation("c2", "ann")) == NOT_FOUND
    assert (await store.conversation("c1", "ann")).id == "c1"


async def test_a_conversation_that_runs_never_makes_room() -> None:
    store = MemoryStore(capacity=1)
    await store.begin(C1, [QUESTION, RUNNING])
    await store.begin(C2, [replace(QUESTION, id="c2-q"), replace(RUNNING, id="c2-a")])
    assert await refused(store.resume("c1", "ann", [NEXT_QUESTION, NEXT_RUNNING])) == CONFLICT
    assert await refused(store.resume("c2", "ann", [NEXT_QUESTION, NEXT_RUNNING])) == CONFLICT


# --- holding


async def hold(store: Store, owner: str = "ann") -> None:
    async with store.hold("c1", owner):
        pass


async def test_nothing_begins_in_a_conversation_that_is_held_and_all_may_afterwards(store: Store) -> None:
    await store.create(C1)
    async with store.hold("c1", "ann"):
        assert await refused(store.resume("c1", "ann", [QUESTION, RUNNING])) == CONFLICT
        assert await refused(hold(store)) == CONFLICT
        await store.bind("c1", KEY, BINDING)
    assert await store.resume("c1", "ann", [QUESTION, RUNNING]) == {KEY: BINDING}
    assert await refused(hold(store)) == CONFLICT


async def test_who_holds_a_conversation_may_delete_it(store: Store) -> None:
    await store.create(C1)
    async with store.hold("c1", "ann"):
        await store.delete("c1", "ann")
    assert await refused(hold(store)) == NOT_FOUND


async def test_nobody_holds_the_conversation_of_another(store: Store) -> None:
    await store.create(C1)
    assert await refused(hold(store, "bob")) == NOT_FOUND
    async with store.hold("c1", "ann"):
        assert await refused(hold(store, "bob")) == NOT_FOUND


async def test_a_conversation_is_free_again_after_a_failure_of_its_holder(store: Store) -> None:
    await store.create(C1)
    with pytest.raises(ZeroDivisionError):
        async with store.hold("c1", "ann"):
            raise ZeroDivisionError
    await hold(store)


async def test_a_held_conversation_is_not_forgotten_to_make_room() -> None:
    store = MemoryStore(capacity=1)
    await store.create(C1)
    async with store.hold("c1", "ann"):
        await store.create(C2)
        assert await store.conversation("c1", "ann") == C1


# --- aliases

NAMED = replace(C1, alias="chat:1")


async def test_a_conversation_is_found_by_what_its_client_calls_it(store: Store) -> None:
    await store.begin(NAMED, [QUESTION, RUNNING])
    assert await store.named("ann", "chat:1") == Named("c1", None, "c1-a1")
    await store.end("c1", replace(ENDING, fingerprint=FINGERPRINT))
    assert await store.named("ann", "chat:1") == Named("c1", FINGERPRINT)
    assert await store.named("ann", "chat:2") is None
    assert await store.named("bob", "chat:1") is None
    assert await store.conversation("c1", "ann") == replace(NAMED, updated_at=LATER)


async def test_an_alias_goes_over_to_the_conversation_that_takes_it(store: Store) -> None:
    await store.create(NAMED)
    await store.create(replace(C2, owner="bob", alias="chat:1"))
    await store.begin(
        replace(NAMED, id="c3"),
        [replace(message, id=f"{message.id}-3", conversation_id="c3") for message in (QUESTION, RUNNING)],
    )
    assert await store.named("ann", "chat:1") == Named("c3", None, "c1-a1-3")
    assert await store.named("bob", "chat:1") == Named("c2")
    assert await store.conversation("c1", "ann") == C1


async def test_an_alias_stays_where_a_message_runs(store: Store) -> None:
    await store.begin(NAMED, [QUESTION, RUNNING])
    assert await refused(store.create(replace(NAMED, id="c2"))) == CONFLICT
    assert await refused(store.conversation("c2", "ann")) == NOT_FOUND
    await store.end("c1", ENDING)
    await store.create(replace(NAMED, id="c2"))
    assert await store.named("ann", "chat:1") == Named("c2")


async def test_the_alias_of_a_deleted_conversation_is_free(store: Store) -> None:
    await store.create(NAMED)
    await store.delete("c1", "ann")
    assert await store.named("ann", "chat:1") is None
    await store.create(NAMED)
    assert await store.named("ann", "chat:1") == Named("c1")

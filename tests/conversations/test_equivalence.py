"""Whatever is asked, in whatever order, with restarts and crashes between: both stores answer the same."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from gateway.canonical.errors import ErrorBody, GatewayError
from gateway.canonical.message import Message, Status, TextPart
from gateway.canonical.resources import PageOf
from gateway.conversations.memory import MemoryStore
from gateway.conversations.sqlite import SqliteStore
from gateway.conversations.store import Binding, BindingKey, Conversation, Ending, Store, StoredFile

NOW = datetime(2026, 11, 2, tzinfo=UTC)
STOPPED = ErrorBody("internal", "the gateway stopped while this message was answered", retryable=False)
NAMES = ("c0", "c1", "c2")
OWNERS = ("ann", "bob")
ALIASES = ("chat:1", "chat:2")
FINGERPRINTS = (b"1" * 32, b"2" * 32)

names = st.sampled_from(NAMES)
owners = st.sampled_from(OWNERS)
moments = st.integers(0, 3).map(lambda seconds: NOW + timedelta(seconds=seconds))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
keys = st.builds(BindingKey, st.just("acme"), st.sampled_from(["agent-1", "agent-2"]))
bindings = st.none() | st.builds(Binding, st.dictionaries(texts, texts, max_size=2), st.none() | texts, st.none())
aliases = st.none() | st.sampled_from(ALIASES)
conversations = st.builds(Conversation, names, owners, moments, moments, st.none() | texts, alias=aliases)
fingerprints = st.none() | st.sampled_from(FINGERPRINTS)
statuses: st.SearchStrategy[Status] = st.sampled_from(["completed", "failed", "canceled"])


class BothStores(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = TemporaryDirectory()
        self.path = Path(self.directory.name) / "store.db"
        self.memory = MemoryStore()
        self.sqlite = self.runner.run(SqliteStore.open(self.path))
        self.running: dict[str, Message] = {}
        self.number = 0

    def teardown(self) -> None:
        self.runner.run(self.sqlite.close())
        self.runner.close()
        self.directory.cleanup()

    def both(self, call: Callable[[Store], Awaitable[object]]) -> object:
        """What both answer: a value, or the code of a refusal."""
        mine, theirs = (self.runner.run(outcome(call, store)) for store in (self.memory, self.sqlite))
        assert mine == theirs
        return mine

    def start(self, name: str, moment: datetime, text: str) -> list[Message]:
        self.number += 1
        return [
            Message(f"q{self.number}", name, "user", "completed", [TextPart(text)], moment),
            Message(f"a{self.number}", name, "assistant", "running", [], moment),
        ]

    def started(self, name: str, messages: list[Message], answer: object) -> None:
        if not isinstance(answer, str):
            self.running[name] = messages[-1]

    @rule(conversation=conversations)
    def create(self, conversation: Conversation) -> None:
        self.both(lambda store: store.create(conversation))

    @rule(conversation=conversations, moment=moments, text=texts)
    def begin(self, conversation: Conversation, moment: datetime, text: str) -> None:
        messages = self.start(conversation.id, moment, text)
        self.started(conversation.id, messages, self.both(lambda store: store.begin(conversation, messages)))

    @rule(name=names, owner=owners, moment=moments, text=texts)
    def resume(self, name: str, owner: str, moment: datetime, text: str) -> None:
        messages = self.start(name, moment, text)
        self.started(name, messages, self.both(lambda store: store.resume(name, owner, messages)))

    @rule(
        name=names,
        status=statuses,
        text=texts,
        completed_at=st.none() | moments,
        changes=st.dictionaries(keys, bindings, max_size=2),
        fingerprint=fingerprints,
    )
    def end(
        self,
        *,
        name: str,
        status: Status,
        text: str,
        completed_at: datetime | None,
        changes: dict[BindingKey, Binding | None],
        fingerprint: bytes | None,
    ) -> None:
        answer = self.running.pop(name, Message("a0", name, "assistant", "running", [], NOW))
        answer = replace(answer, status=status, parts=[TextPart(text, 0)], completed_at=completed_at)
        self.both(lambda store: store.end(name, Ending(answer, changes, fingerprint)))

    @rule(owner=owners, kind=st.sampled_from("qa"), number=st.integers(0, 30))
    def message(self, owner: str, kind: str, number: int) -> None:
        self.both(lambda store: store.message(f"{kind}{number}", owner))

    @rule(name=names, owner=owners)
    def delete(self, name: str, owner: str) -> None:
        self.both(lambda store: store.delete(name, owner))

    @rule(name=names, owner=owners, moment=moments)
    def hold(self, name: str, owner: str, moment: datetime) -> None:
        messages = self.start(name, moment, "held")
        self.both(partial(while_held, name=name, owner=owner, messages=messages))

    @rule(name=names, key=keys, binding=bindings)
    def bind(self, name: str, key: BindingKey, binding: Binding | None) -> None:
        self.both(lambda store: store.bind(name, key, binding))

    @rule(found=st.lists(st.tuples(names, keys, st.sampled_from(["r1", "r2"]), texts), max_size=3))
    def keep_files(self, found: list[tuple[str, BindingKey, str, str]]) -> None:
        self.number += len(found)
        files = [
            StoredFile(f"f{self.number - index}", name, key, ref, text)
            for index, (name, key, ref, text) in enumerate(found)
        ]
        self.both(lambda store: store.keep_files(files))

    @rule()
    def restart(self) -> None:
        """With nothing running it changes nothing; what runs fails."""
        self.runner.run(self.sqlite.close())
        self.sqlite = self.runner.run(SqliteStore.open(self.path))
        assert self.sqlite.interrupted == len(self.running)
        for name, answer in self.running.items():
            self.runner.run(fail(self.memory, name, answer))
        self.running.clear()

    @rule(owner=owners, limit=st.integers(1, 3))
    def page_through_conversations(self, owner: str, limit: int) -> None:
        self.both(lambda store: all_pages(lambda page: store.conversations(owner, page), limit))

    @rule(name=names, owner=owners, limit=st.integers(1, 3))
    def page_through_messages(self, name: str, owner: str, limit: int) -> None:
        self.both(lambda store: all_pages(lambda page: store.messages(name, owner, page), limit))

    @invariant()
    def read_the_same(self) -> None:
        self.both(everything)


async def fail(store: Store, name: str, answer: Message) -> None:
    """As a start does with what ran before it: whether a vendor heard the question is uncertain."""
    question_id = f"q{answer.id[1:]}"
    doubted: dict[BindingKey, Binding | None] = {}
    for owner in OWNERS:
        with suppress(GatewayError):
            bindings = await store.bindings(name, owner)
            certain = {key: binding for key, binding in bindings.items() if binding.uncertain is None}
            doubted |= {key: replace(binding, uncertain=question_id) for key, binding in certain.items()}
    await store.end(name, Ending(replace(answer, status="failed", error=STOPPED), doubted))


async def while_held(store: Store, name: str, owner: str, messages: list[Message]) -> object:
    async with store.hold(name, owner):
        return [
            await outcome(partial(resume, name=name, owner=owner, messages=messages), store),
            await outcome(partial(while_held, name=name, owner=owner, messages=messages), store),
            *await recognised(store),
        ]


async def resume(store: Store, name: str, owner: str, messages: list[Message]) -> object:
    return await store.resume(name, owner, messages)


async def recognised(store: Store) -> list[object]:
    return [await store.recognise(owner, fingerprint) for owner in OWNERS for fingerprint in FINGERPRINTS]


async def everything(store: Store) -> object:
    found: list[object] = [await store.conversations(owner, PageOf(100)) for owner in OWNERS]
    found += await recognised(store)
    found += [await store.named(owner, alias) for owner in OWNERS for alias in ALIASES]
    for name in NAMES:
        for owner in OWNERS:
            found += [await outcome(partial(read, name=name, owner=owner), store) for read in READS]
    return found


async def read_conversation(store: Store, name: str, owner: str) -> object:
    return await store.conversation(name, owner)


async def read_messages(store: Store, name: str, owner: str) -> object:
    return await store.messages(name, owner, PageOf(100))


async def read_bindings(store: Store, name: str, owner: str) -> object:
    return list((await store.bindings(name, owner)).items())


async def read_files(store: Store, name: str, owner: str) -> object:
    return await store.files(name, owner)


READS = (read_conversation, read_messages, read_bindings, read_files)


async def outcome(call: Callable[[Store], Awaitable[object]], store: Store) -> object:
    try:
        return await call(store)
    except GatewayError as error:
        return error.code


async def all_pages(read: Callable[[PageOf], Awaitable[object]], limit: int) -> list[object]:
    pages = [await read(PageOf(limit))]
    while (cursor := getattr(pages[-1], "next_cursor", None)) is not None:
        pages.append(await read(PageOf(limit, cursor)))
    return pages


TestBothStores = BothStores.TestCase
TestBothStores.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)

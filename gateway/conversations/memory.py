"""Conversations in memory: for one process, gone with it. The oldest idle ones make room above `capacity`."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from heapq import nlargest
from itertools import islice

from msgspec import Struct, field
from msgspec.structs import replace

from gateway.canonical.message import Message
from gateway.canonical.resources import Page, PageOf
from gateway.conversations.ledger import (
    FIRST_CONVERSATION,
    FIRST_MESSAGE,
    ConversationPlace,
    MessagePlace,
    is_running,
    is_taken,
    microseconds,
    no_such_conversation,
    no_such_message,
    read_cursor,
    write_cursor,
)
from gateway.conversations.store import Binding, BindingKey, Bindings, Conversation, Ending, Named, StoredFile


class _Kept(Struct):
    """`running` is the id of the answer that runs; files are kept by their key and `ref`.

    `fingerprint` is the one that the latest ending left; there is none while a message runs.
    """

    conversation: Conversation
    messages: list[Message] = field(default_factory=list)
    bindings: dict[BindingKey, Binding] = field(default_factory=dict)
    files: dict[tuple[BindingKey, str], StoredFile] = field(default_factory=dict)
    fingerprint: bytes | None = None
    running: str | None = None
    is_held: bool = False

    def is_busy(self) -> bool:
        return self.running is not None or self.is_held

    def place(self) -> tuple[int, str]:
        return microseconds(self.conversation.updated_at), self.conversation.id

    def start(self, messages: list[Message]) -> None:
        answer = messages[-1]
        self.messages += messages
        self.running = answer.id
        self.touch(answer)

    def touch(self, answer: Message) -> None:
        used = max(self.conversation.updated_at, answer.completed_at or answer.created_at)
        self.conversation = replace(self.conversation, updated_at=used)

    def bind(self, key: BindingKey, binding: Binding | None) -> None:
        self.bindings.pop(key, None)
        if binding is not None:
            self.bindings[key] = binding
            return
        for name in [name for name in self.files if name[0] == key]:
            del self.files[name]


class MemoryStore:
    """No call ever waits for another.

    `_places` tells by a message's id whose it is and where it stands, `_alike` by owner and fingerprint which
    conversations were left with it, `_named` by owner and alias which one it is.
    """

    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._places: dict[str, tuple[_Kept, int]] = {}
        self._alike: dict[tuple[str, bytes], set[str]] = {}
        self._named: dict[tuple[str, str], _Kept] = {}

    async def create(self, conversation: Conversation) -> None:
        self._add(conversation)

    async def conversation(self, conversation_id: str, owner: str) -> Conversation:
        return self._owned(conversation_id, owner).conversation

    async def conversations(self, owner: str, page: PageOf) -> Page[Conversation]:
        behind = read_cursor(page.cursor, FIRST_CONVERSATION)
        place = (behind.updated_at, behind.id)
        owned = (kept for kept in self._kept.values() if kept.conversation.owner == owner and kept.place() < place)
        found = nlargest(page.limit + 1, owned, key=_Kept.place)
        shown = [kept.conversation for kept in found[: page.limit]]
        if len(found) == len(shown):
            return Page(shown)
        return Page(shown, write_cursor(ConversationPlace(*found[page.limit - 1].place())))

    async def recognise(self, owner: str, fingerprint: bytes) -> str | None:
        alike = self._alike.get((owner, fingerprint), ())
        if len(alike) != 1:
            return None
        (conversation_id,) = alike
        return None if self._kept[conversation_id].is_busy() else conversation_id

    async def named(self, owner: str, alias: str) -> Named | None:
        kept = self._named.get((owner, alias))
        return None if kept is None else Named(kept.conversation.id, kept.fingerprint, kept.running)

    @asynccontextmanager
    async def hold(self, conversation_id: str, owner: str) -> AsyncIterator[None]:
        kept = self._idle(conversation_id, owner)
        kept.is_held = True
        try:
            yield
        finally:
            kept.is_held = False

    async def delete(self, conversation_id: str, owner: str) -> None:
        if self._owned(conversation_id, owner).running is not None:
            raise is_running()
        self._forget(conversation_id)

    async def begin(self, conversation: Conversation, messages: list[Message]) -> None:
        self._start(self._add(conversation), messages)

    async def resume(self, conversation_id: str, owner: str, messages: list[Message]) -> Bindings:
        kept = self._idle(conversation_id, owner)
        self._kept.move_to_end(conversation_id)
        self._start(kept, messages)
        return dict(kept.bindings)

    def end(self, conversation_id: str, ending: Ending) -> Awaitable[None]:
        kept = self._kept.get(conversation_id)
        if kept is not None and kept.running == ending.answer.id:
            kept.running = None
            kept.messages[-1] = ending.answer
            kept.touch(ending.answer)
            self._mark(kept, ending.fingerprint)
            for key, binding in ending.bindings.items():
                kept.bind(key, binding)
        stored = asyncio.get_running_loop().create_future()
        stored.set_result(None)
        return stored

    async def messages(self, conversation_id: str, owner: str, page: PageOf) -> Page[Message]:
        start = read_cursor(page.cursor, FIRST_MESSAGE).position + 1
        messages = self._owned(conversation_id, owner).messages
        end = start + page.limit
        return Page(messages[start:end], write_cursor(MessagePlace(end - 1)) if end < len(messages) else None)

    async def message(self, message_id: str, owner: str) -> Message:
        place = self._places.get(message_id)
        if place is None or place[0].conversation.owner != owner:
            raise no_such_message()
        kept, position = place
        return kept.messages[position]

    async def bindings(self, conversation_id: str, owner: str) -> Bindings:
        return dict(self._owned(conversation_id, owner).bindings)

    async def bind(self, conversation_id: str, key: BindingKey, binding: Binding | None) -> None:
        self._known(conversation_id).bind(key, binding)

    async def keep_files(self, files: list[StoredFile]) -> list[StoredFile]:
        homes = [self._known(file.conversation_id).files for file in files]
        return [_keep(home, file) for home, file in zip(homes, files, strict=True)]

    async def files(self, conversation_id: str, owner: str) -> list[StoredFile]:
        return list(self._owned(conversation_id, owner).files.values())

    async def close(self) -> None:
        self._kept.clear()
        self._places.clear()
        self._alike.clear()
        self._named.clear()

    def _add(self, conversation: Conversation) -> _Kept:
        holder = self._named.get((conversation.owner, conversation.alias or ""))
        if holder is not None and holder.running is not None:
            raise is_running()
        if conversation.id in self._kept:
            raise is_taken()
        if holder is not None:
            holder.conversation = replace(holder.conversation, alias=None)
        self._make_room()
        self._kept[conversation.id] = kept = _Kept(conversation)
        if conversation.alias is not None:
            self._named[conversation.owner, conversation.alias] = kept
        return kept

    def _start(self, kept: _Kept, messages: list[Message]) -> None:
        for position, message in enumerate(messages, len(kept.messages)):
            self._places[message.id] = kept, position
        self._mark(kept, None)
        kept.start(messages)

    def _mark(self, kept: _Kept, fingerprint: bytes | None) -> None:
        """From now on it is recognised by this one alone."""
        conversation_id, owner = kept.conversation.id, kept.conversation.owner
        if kept.fingerprint is not None:
            alike = self._alike[owner, kept.fingerprint]
            alike.remove(conversation_id)
            if not alike:
                del self._alike[owner, kept.fingerprint]
        if fingerprint is not None:
            self._alike.setdefault((owner, fingerprint), set()).add(conversation_id)
        kept.fingerprint = fingerprint

    def _forget(self, conversation_id: str) -> None:
        kept = self._kept.pop(conversation_id)
        self._mark(kept, None)
        if kept.conversation.alias is not None:
            del self._named[kept.conversation.owner, kept.conversation.alias]
        for message in kept.messages:
            self._places.pop(message.id, None)

    def _known(self, conversation_id: str) -> _Kept:
        kept = self._kept.get(conversation_id)
        if kept is None:
            raise no_such_conversation()
        return kept

    def _owned(self, conversation_id: str, owner: str) -> _Kept:
        kept = self._known(conversation_id)
        if kept.conversation.owner != owner:
            raise no_such_conversation()
        return kept

    def _idle(self, conversation_id: str, owner: str) -> _Kept:
        kept = self._owned(conversation_id, owner)
        if kept.is_busy():
            raise is_running()
        return kept

    def _make_room(self) -> None:
        """One that is busy is never forgotten, so above the capacity there may be as many as are busy."""
        surplus = len(self._kept) + 1 - self._capacity
        if surplus > 0:
            idle = (conversation_id for conversation_id, kept in self._kept.items() if not kept.is_busy())
            for conversation_id in list(islice(idle, surplus)):
                self._forget(conversation_id)


def _keep(home: dict[tuple[BindingKey, str], StoredFile], file: StoredFile) -> StoredFile:
    known = home.get((file.key, file.ref))
    kept = file if known is None else replace(file, id=known.id)
    home[file.key, file.ref] = kept
    return kept

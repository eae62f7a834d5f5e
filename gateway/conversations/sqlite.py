"""Conversations in one SQLite file, for one process: what the event loop sees of it.

Calls wait in a queue for one thread, which answers them in the order in which they were made; the event loop never
waits for the disk. What runs is known at once, without the file.

A call that finds the file locked by another process fails `busy_timeout` seconds after it was made, whether it spent
them in the queue or at the lock: a lock that is held for long delays every call once, not each behind the others.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from msgspec.structs import replace

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message
from gateway.canonical.resources import Page, PageOf
from gateway.conversations.ledger import FIRST_CONVERSATION, FIRST_MESSAGE, is_running, read_cursor
from gateway.conversations.sqlite_file import SqliteFile
from gateway.conversations.sqlite_tables import FAULTS, SqliteTables
from gateway.conversations.store import Binding, BindingKey, Bindings, Conversation, Ending, Named, StoredFile
from gateway.conversations.worker import Worker

P = ParamSpec("P")
T = TypeVar("T")


class SqliteStore:
    """`interrupted`: how many messages ran when the process before this one stopped; they have failed now."""

    def __init__(
        self, worker: Worker, file: SqliteFile, tables: SqliteTables, interrupted: int, busy_timeout: float
    ) -> None:
        self._worker = worker
        worker.together = tables.together
        self._file = file
        self._tables = tables
        self._busy_timeout = busy_timeout
        self._running = _Running()
        self.interrupted = interrupted

    @classmethod
    async def open(cls, path: Path, *, busy_timeout: float = 2.0) -> "SqliteStore":
        """Raises `GatewayError` with the path and the reason where the file cannot be used."""
        worker = Worker("conversations")
        try:
            opened = await worker.submit(lambda: _open(path, busy_timeout))
        except GatewayError:
            worker.close()
            raise
        return cls(worker, *opened, busy_timeout)

    async def create(self, conversation: Conversation) -> None:
        await self._call(self._tables.create, conversation)

    async def conversation(self, conversation_id: str, owner: str) -> Conversation:
        return await self._call(self._tables.conversation, conversation_id, owner)

    async def conversations(self, owner: str, page: PageOf) -> Page[Conversation]:
        behind = read_cursor(page.cursor, FIRST_CONVERSATION)
        return await self._call(self._tables.conversations, owner, page.limit, behind)

    async def recognise(self, owner: str, fingerprint: bytes) -> str | None:
        found = await self._call(self._tables.recognise, owner, fingerprint)
        return found if found is not None and self._running.is_idle(found, owner) else None

    async def named(self, owner: str, alias: str) -> Named | None:
        return await self._call(self._tables.named, owner, alias)

    @asynccontextmanager
    async def hold(self, conversation_id: str, owner: str) -> AsyncIterator[None]:
        self._running.hold(conversation_id, owner)
        try:
            await self.conversation(conversation_id, owner)
            yield
        finally:
            self._running.release(conversation_id, owner)

    async def delete(self, conversation_id: str, owner: str) -> None:
        self._running.check_unanswered(conversation_id, owner)
        await self._call(self._tables.delete, conversation_id, owner)

    async def begin(self, conversation: Conversation, messages: list[Message]) -> None:
        self._running.add(conversation.id, conversation.owner, messages[-1])
        await self._start(messages[-1], self._tables.begin, conversation, messages)

    async def resume(self, conversation_id: str, owner: str, messages: list[Message]) -> Bindings:
        self._running.add(conversation_id, owner, messages[-1])
        return await self._start(messages[-1], self._tables.resume, conversation_id, owner, messages)

    def end(self, conversation_id: str, ending: Ending) -> Awaitable[None]:
        self._running.remove(ending.answer)
        stored = asyncio.shield(self._call(self._tables.end, conversation_id, ending))
        stored.add_done_callback(_look_at)
        return stored

    async def messages(self, conversation_id: str, owner: str, page: PageOf) -> Page[Message]:
        behind = read_cursor(page.cursor, FIRST_MESSAGE)
        return await self._call(self._tables.messages, conversation_id, owner, page.limit, behind)

    async def message(self, message_id: str, owner: str) -> Message:
        return await self._call(self._tables.message, message_id, owner)

    async def bindings(self, conversation_id: str, owner: str) -> Bindings:
        return await self._call(self._tables.bindings, conversation_id, owner)

    async def bind(self, conversation_id: str, key: BindingKey, binding: Binding | None) -> None:
        await self._call(self._tables.bind, conversation_id, key, binding)

    async def keep_files(self, files: list[StoredFile]) -> list[StoredFile]:
        return await self._call(self._tables.keep_files, files)

    async def files(self, conversation_id: str, owner: str) -> list[StoredFile]:
        return await self._call(self._tables.files, conversation_id, owner)

    async def close(self) -> None:
        if self._worker.is_closed:
            return
        await self._call(self._tables.store_lost)
        await self._call(self._file.close)
        self._worker.close()

    async def _start(self, answer: Message, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The start of a message; its caller may be cancelled before, while and after it is stored."""
        try:
            return await self._call(work, *args, **kwargs)
        except asyncio.CancelledError:
            self.end(answer.conversation_id, Ending(replace(answer, status="canceled")))
            raise
        except Exception:
            self._running.remove(answer)
            raise

    def _call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        deadline = time.monotonic() + self._busy_timeout

        def call() -> T:
            try:
                self._tables.wait_at_most(deadline - time.monotonic())
                return work(*args, **kwargs)
            except FAULTS as error:
                raise GatewayError("store_unavailable", "conversations cannot be stored or read now") from error

        return self._worker.submit(call)


class _Running:
    """The conversations that have a message running, or are held.

    They are known by id and owner, since who asks for a conversation of another key waits a moment for `not_found`, and
    is not to block the owner meanwhile.
    """

    def __init__(self) -> None:
        self._answers: dict[str, tuple[str, str]] = {}
        self._conversations: set[tuple[str, str]] = set()
        self._held: set[tuple[str, str]] = set()

    def is_idle(self, conversation_id: str, owner: str) -> bool:
        name = (conversation_id, owner)
        return name not in self._conversations and name not in self._held

    def check_unanswered(self, conversation_id: str, owner: str) -> None:
        if (conversation_id, owner) in self._conversations:
            raise is_running()

    def check_idle(self, conversation_id: str, owner: str) -> None:
        if not self.is_idle(conversation_id, owner):
            raise is_running()

    def hold(self, conversation_id: str, owner: str) -> None:
        self.check_idle(conversation_id, owner)
        self._held.add((conversation_id, owner))

    def release(self, conversation_id: str, owner: str) -> None:
        self._held.remove((conversation_id, owner))

    def add(self, conversation_id: str, owner: str, answer: Message) -> None:
        self.check_idle(conversation_id, owner)
        self._answers[answer.id] = conversation_id, owner
        self._conversations.add((conversation_id, owner))

    def remove(self, answer: Message) -> None:
        if answer.id in self._answers:
            self._conversations.remove(self._answers.pop(answer.id))


def _open(path: Path, busy_timeout: float) -> tuple[SqliteFile, SqliteTables, int]:
    file = SqliteFile(path, busy_timeout)
    tables = SqliteTables(file.connection)
    try:
        return file, tables, tables.fail_interrupted()
    except FAULTS as error:
        file.close()
        raise GatewayError("store_unavailable", f"{path}: {error}") from error


def _look_at(stored: asyncio.Future[None]) -> None:
    """Whoever ends a message need not wait for it, and then nobody asks for its error."""
    if not stored.cancelled():
        stored.exception()

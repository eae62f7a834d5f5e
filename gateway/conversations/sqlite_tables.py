"""What the SQLite store keeps, and every query that reads or writes it.

Called by one thread. What a call writes is one transaction, or part of one (see `sqlite_transactions`). Its errors are
SQLite's and msgspec's own (`FAULTS`), and those of the port. Beside the tables it knows

    started   the answers whose start is stored and whose ending is not
    lost      endings that could not be stored: such an answer reads as failed, and its conversation as incomplete,
              until a write succeeds again and this is stored with it
"""

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from math import ceil
from typing import Any

import msgspec
from msgspec.structs import replace

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message
from gateway.canonical.resources import Page
from gateway.conversations.ledger import (
    ConversationPlace,
    MessagePlace,
    from_microseconds,
    is_running,
    is_taken,
    microseconds,
    no_such_conversation,
    no_such_message,
    write_cursor,
)
from gateway.conversations.sqlite_transactions import Transactions
from gateway.conversations.store import Binding, BindingKey, Bindings, Conversation, Ending, Named, StoredFile
from gateway.conversations.worker import Outcome, Work

FAULTS = (sqlite3.Error, msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError)
"""What the engine raises where it cannot write, and what a damaged row makes of being read."""

STOPPED = GatewayError("internal", "the gateway stopped while this message was answered").body()
NOT_STORED = GatewayError("store_unavailable", "the answer could not be stored").body()

_Row = tuple[Any, ...]


class SqliteTables:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._transactions = Transactions(connection, after_commit=self.store_lost)
        self._started: set[str] = set()
        self._lost: dict[str, Message] = {}
        self._tenths = -1

    def wait_at_most(self, seconds: float) -> None:
        """How long calls wait where another process has locked the file; in tenths, so that it seldom changes."""
        tenths = max(0, ceil(seconds * 10))
        if tenths != self._tenths and not self._transactions.is_open:
            self._connection.execute(f"PRAGMA busy_timeout = {tenths * 100}")
            self._tenths = tenths

    def fail_interrupted(self) -> int:
        """Ends what ran when the process before this one stopped; how many those were.

        Whether a vendor has heard the question, nobody knows.
        """
        with self._transactions.one():
            running = self._all("SELECT body, position FROM messages WHERE status = 'running'")
            for body, position in running:
                answer = _decode_message(body)
                self._store(replace(answer, status="failed", error=STOPPED))
                self._doubt_bindings(answer.conversation_id, position)
        return len(running)

    def create(self, conversation: Conversation) -> None:
        with self._transactions.one():
            self._insert(conversation)

    def conversation(self, conversation_id: str, owner: str) -> Conversation:
        row = self._one(
            "SELECT id, owner, created_at, updated_at, title, metadata, is_incomplete, alias FROM conversations "
            "WHERE id = ? AND owner = ?",
            conversation_id,
            owner,
        )
        if row is None:
            raise no_such_conversation()
        return self._read_conversation(row)

    def conversations(self, owner: str, limit: int, behind: ConversationPlace) -> Page[Conversation]:
        rows = self._all(
            "SELECT id, owner, created_at, updated_at, title, metadata, is_incomplete, alias FROM conversations "
            "WHERE owner = ? AND (updated_at, id) < (?, ?) ORDER BY updated_at DESC, id DESC LIMIT ?",
            owner,
            behind.updated_at,
            behind.id,
            limit + 1,
        )
        shown = [self._read_conversation(row) for row in rows[:limit]]
        if len(rows) == len(shown):
            return Page(shown)
        return Page(shown, write_cursor(ConversationPlace(microseconds(shown[-1].updated_at), shown[-1].id)))

    def recognise(self, owner: str, fingerprint: bytes) -> str | None:
        rows = self._all("SELECT id FROM conversations WHERE owner = ? AND fingerprint = ? LIMIT 2", owner, fingerprint)
        return rows[0][0] if len(rows) == 1 else None

    def named(self, owner: str, alias: str) -> Named | None:
        row = self._one(
            "SELECT c.id, c.fingerprint, m.id FROM conversations AS c "
            "LEFT JOIN messages AS m ON m.conversation_id = c.id AND m.status = 'running' "
            "WHERE c.owner = ? AND c.alias = ?",
            owner,
            alias,
        )
        if row is None:
            return None
        conversation_id, fingerprint, running = row
        return Named(conversation_id, fingerprint, running if running in self._started else None)

    def delete(self, conversation_id: str, owner: str) -> None:
        with self._transactions.one():
            self._check_owner(conversation_id, owner)
            self._connection.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))

    def begin(self, conversation: Conversation, messages: list[Message]) -> None:
        with self._transactions.one():
            used_at = max(conversation.updated_at, _when(messages[-1]))
            self._insert(replace(conversation, updated_at=used_at))
            self._append(conversation.id, messages, 0)
        self._start(messages[-1].id)

    def resume(self, conversation_id: str, owner: str, messages: list[Message]) -> Bindings:
        with self._transactions.one():
            self._check_owner(conversation_id, owner)
            ((last,),) = self._all("SELECT max(position) FROM messages WHERE conversation_id = ?", conversation_id)
            self._append(conversation_id, messages, 0 if last is None else last + 1)
            self._touch(conversation_id, messages[-1], fingerprint=None)
            bindings = self._read_bindings(conversation_id)
        self._start(messages[-1].id)
        return bindings

    def end(self, conversation_id: str, ending: Ending) -> None:
        answer = ending.answer
        if answer.id not in self._started:
            return
        self._started.remove(answer.id)
        self._transactions.if_undone(partial(self._started.add, answer.id))
        try:
            with self._transactions.one():
                self._store(answer)
                self._touch(conversation_id, answer, ending.fingerprint)
                for key, binding in ending.bindings.items():
                    self._set_binding(conversation_id, key, binding)
        except Exception:
            if not self._transactions.is_shared:
                self._lost[answer.id] = _without_answer(answer)
            raise

    def messages(self, conversation_id: str, owner: str, limit: int, behind: MessagePlace) -> Page[Message]:
        self._check_owner(conversation_id, owner)
        rows = self._all(
            "SELECT position, body FROM messages WHERE conversation_id = ? AND position > ? ORDER BY position LIMIT ?",
            conversation_id,
            behind.position,
            limit + 1,
        )
        shown = [self._read_message(body) for _, body in rows[:limit]]
        return Page(shown, write_cursor(MessagePlace(rows[limit - 1][0])) if len(rows) > limit else None)

    def message(self, message_id: str, owner: str) -> Message:
        row = self._one(
            "SELECT body FROM messages JOIN conversations ON conversations.id = conversation_id "
            "WHERE messages.id = ? AND owner = ?",
            message_id,
            owner,
        )
        if row is None:
            raise no_such_message()
        return self._read_message(*row)

    def bindings(self, conversation_id: str, owner: str) -> Bindings:
        self._check_owner(conversation_id, owner)
        return self._read_bindings(conversation_id)

    def bind(self, conversation_id: str, key: BindingKey, binding: Binding | None) -> None:
        with self._transactions.one():
            self._check_known(conversation_id)
            self._set_binding(conversation_id, key, binding)

    def keep_files(self, files: list[StoredFile]) -> list[StoredFile]:
        with self._transactions.one():
            return [self._keep_file(file) for file in files]

    def files(self, conversation_id: str, owner: str) -> list[StoredFile]:
        self._check_owner(conversation_id, owner)
        rows = self._all("SELECT id, body FROM files WHERE conversation_id = ? ORDER BY rowid", conversation_id)
        return [replace(_decode_file(body), id=file_id) for file_id, body in rows]

    def store_lost(self) -> None:
        """Where it still cannot be stored, it stays as it is."""
        if not self._lost:
            return
        with suppress(*FAULTS), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            for message in self._lost.values():
                self._store(message)
                self._connection.execute(
                    "UPDATE conversations SET is_incomplete = 1 WHERE id = ?", (message.conversation_id,)
                )
            self._connection.execute("COMMIT")
            self._lost.clear()

    def together(self, works: Sequence[Work]) -> Sequence[Outcome]:
        return self._transactions.together(works)

    def _start(self, answer_id: str) -> None:
        self._started.add(answer_id)
        self._transactions.if_undone(partial(self._started.discard, answer_id))

    def _one(self, query: str, *values: object) -> _Row | None:
        row: _Row | None = self._connection.execute(query, values).fetchone()
        return row

    def _all(self, query: str, *values: object) -> list[_Row]:
        return self._connection.execute(query, values).fetchall()

    def _check_owner(self, conversation_id: str, owner: str) -> None:
        if self._one("SELECT 1 FROM conversations WHERE id = ? AND owner = ?", conversation_id, owner) is None:
            raise no_such_conversation()

    def _check_known(self, conversation_id: str) -> None:
        if self._one("SELECT 1 FROM conversations WHERE id = ?", conversation_id) is None:
            raise no_such_conversation()

    def _insert(self, conversation: Conversation) -> None:
        if conversation.alias is not None:
            self._free_alias(conversation.owner, conversation.alias)
        added = self._connection.execute(
            "INSERT INTO conversations (id, owner, created_at, updated_at, title, metadata, is_incomplete, alias) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (
                conversation.id,
                conversation.owner,
                microseconds(conversation.created_at),
                microseconds(conversation.updated_at),
                conversation.title,
                _encode(conversation.metadata),
                conversation.is_incomplete,
                conversation.alias,
            ),
        )
        if not added.rowcount:
            raise is_taken()

    def _free_alias(self, owner: str, alias: str) -> None:
        """Raises `conflict` while a message of the conversation that has it runs."""
        found = self.named(owner, alias)
        if found is None:
            return
        if found.running is not None:
            raise is_running()
        self._connection.execute("UPDATE conversations SET alias = NULL WHERE id = ?", (found.conversation_id,))

    def _append(self, conversation_id: str, messages: list[Message], position: int) -> None:
        """From that position on."""
        self._connection.executemany(
            "INSERT INTO messages (id, conversation_id, position, status, body) VALUES (?, ?, ?, ?, ?)",
            [
                (message.id, conversation_id, position, message.status, _encode(message))
                for position, message in enumerate(messages, position)
            ],
        )

    def _store(self, message: Message) -> None:
        self._connection.execute(
            "UPDATE messages SET status = ?, body = ? WHERE id = ?", (message.status, _encode(message), message.id)
        )

    def _touch(self, conversation_id: str, answer: Message, fingerprint: bytes | None) -> None:
        """Where the ending is never stored, no fingerprint is left to match wrongly: the start has cleared it."""
        self._connection.execute(
            "UPDATE conversations SET updated_at = max(updated_at, ?), fingerprint = ? WHERE id = ?",
            (microseconds(_when(answer)), fingerprint, conversation_id),
        )

    def _set_binding(self, conversation_id: str, key: BindingKey, binding: Binding | None) -> None:
        name = (conversation_id, key.vendor, key.scope)
        if binding is None:
            for table in ("bindings", "files"):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE conversation_id = ? AND vendor = ? AND scope = ?",  # noqa: S608  (ours)
                    name,
                )
            return
        # REPLACE gives the row a new number, the highest: the order of the numbers is that of their setting.
        self._connection.execute(
            "INSERT OR REPLACE INTO bindings (conversation_id, vendor, scope, body) VALUES (?, ?, ?, ?)",
            (*name, _encode(binding)),
        )

    def _keep_file(self, file: StoredFile) -> StoredFile:
        self._check_known(file.conversation_id)
        row = self._one(
            "INSERT INTO files (id, conversation_id, vendor, scope, ref, body) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (conversation_id, vendor, scope, ref) DO UPDATE SET body = excluded.body RETURNING id",
            file.id,
            file.conversation_id,
            file.key.vendor,
            file.key.scope,
            file.ref,
            _encode(file),
        )
        return file if row is None else replace(file, id=row[0])

    def _doubt_bindings(self, conversation_id: str, position: int) -> None:
        question_id = self._question_before(conversation_id, position)
        for key, binding in self._read_bindings(conversation_id).items():
            if binding.uncertain is None:
                self._set_binding(conversation_id, key, replace(binding, uncertain=question_id))

    def _question_before(self, conversation_id: str, position: int) -> str | None:
        bodies = self._connection.execute(
            "SELECT body FROM messages WHERE conversation_id = ? AND position < ? ORDER BY position DESC",
            (conversation_id, position),
        )
        earlier = (_decode_message(body) for (body,) in bodies)
        return next((message.id for message in earlier if message.role == "user"), None)

    def _read_conversation(self, row: _Row) -> Conversation:
        conversation_id, owner, created_at, updated_at, title, metadata, is_incomplete, alias = row
        return Conversation(
            id=conversation_id,
            owner=owner,
            created_at=from_microseconds(created_at),
            updated_at=from_microseconds(updated_at),
            title=title,
            metadata=_decode_metadata(metadata),
            is_incomplete=bool(is_incomplete) or self._has_lost(conversation_id),
            alias=alias,
        )

    def _has_lost(self, conversation_id: str) -> bool:
        return any(lost.conversation_id == conversation_id for lost in self._lost.values())

    def _read_message(self, body: str) -> Message:
        message = _decode_message(body)
        return self._lost.get(message.id, message)

    def _read_bindings(self, conversation_id: str) -> Bindings:
        rows = self._all(
            "SELECT vendor, scope, body FROM bindings WHERE conversation_id = ? ORDER BY rowid", conversation_id
        )
        return {BindingKey(vendor, scope): _decode_binding(body) for vendor, scope, body in rows}


def _when(answer: Message) -> datetime:
    """The latest that is known of it."""
    return answer.completed_at or answer.created_at


def _without_answer(answer: Message) -> Message:
    return Message(
        id=answer.id,
        conversation_id=answer.conversation_id,
        role=answer.role,
        status="failed",
        parts=[],
        created_at=answer.created_at,
        completed_at=answer.completed_at,
        route=answer.route,
        error=NOT_STORED,
    )


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


_decode_message = msgspec.json.Decoder(Message).decode
_decode_binding = msgspec.json.Decoder(Binding).decode
_decode_file = msgspec.json.Decoder(StoredFile).decode
_decode_metadata = msgspec.json.Decoder(dict[str, Any]).decode

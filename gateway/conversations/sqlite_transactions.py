"""The transactions of one connection: each call has its own, or all that waited together share one.

    one()           around what a call writes
    if_undone()     how to take back what a call changed beside the file, should its transaction come to nothing
    together()      does several calls

A commit writes every page that was touched, so that sharing one is what makes a busy store cheap. A shared transaction
that fails, for whatever reason, leaves no trace: each of its calls is done again, in a transaction of its own.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from gateway.conversations.worker import Outcome, Work, attempt, one_by_one


class Transactions:
    def __init__(self, connection: sqlite3.Connection, after_commit: Callable[[], None]) -> None:
        self._connection = connection
        self._after_commit = after_commit
        self._shared: _Shared | None = None

    @property
    def is_shared(self) -> bool:
        return self._shared is not None

    @property
    def is_open(self) -> bool:
        """Whether a shared transaction has the file already, so that none of its calls waits for a lock."""
        return self._shared is not None and self._shared.is_open

    @contextmanager
    def one(self) -> Iterator[None]:
        if self._shared is not None:
            with self._shared.part():
                yield
            return
        with self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
        self._after_commit()

    def if_undone(self, take_back: Callable[[], object]) -> None:
        if self._shared is not None:
            self._shared.undo.append(take_back)

    def together(self, works: Sequence[Work]) -> Sequence[Outcome]:
        outcomes = self._share(works) if len(works) > 1 else None
        return one_by_one(works) if outcomes is None else outcomes

    def _share(self, works: Sequence[Work]) -> list[Outcome] | None:
        """None where it came to nothing."""
        shared = self._shared = _Shared(self._connection)
        outcomes: list[Outcome] = []
        try:
            for work in works:
                outcomes.append(attempt(work))
                if shared.has_failed:
                    break
            is_kept = shared.close()
        finally:
            self._shared = None
        if is_kept and shared.is_open:
            self._after_commit()
        return outcomes if is_kept else None


class _Shared:
    """Open from the first write on."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.is_open = False
        self.has_failed = False
        self.undo: list[Callable[[], object]] = []
        self._connection = connection

    @contextmanager
    def part(self) -> Iterator[None]:
        try:
            if not self.is_open:
                self._connection.execute("BEGIN IMMEDIATE")
                self.is_open = True
            self._check_open()
            yield
        except BaseException:
            self.has_failed = True
            raise

    def close(self) -> bool:
        """Whether all of it is kept."""
        try:
            if self.is_open and not self.has_failed:
                self._check_open()
                self._connection.commit()
        except sqlite3.Error:
            self.has_failed = True
        if self.has_failed:
            with suppress(sqlite3.Error):
                self._connection.rollback()
            for take_back in reversed(self.undo):
                take_back()
        return not self.has_failed

    def _check_open(self) -> None:
        """A fault may make the engine roll back by itself, be it at a read (sqlite.org/lang_transaction.html)."""
        if not self._connection.in_transaction:
            raise sqlite3.OperationalError("the transaction was rolled back")

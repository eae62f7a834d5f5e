"""The file of the SQLite store: opened for one process, brought to the newest schema, or refused with its path and why.

PATH        the database; WAL, `synchronous=NORMAL`: a crash of the process loses nothing, one of the machine at
            most the last transactions that its kernel had not written yet, never half of one
PATH.lock   held with `flock` while the file is open, so that no second gateway answers from it; the kernel lets go
            of it when the process dies. A file of its own: closing any descriptor of the database would drop the
            locks that SQLite has on it (sqlite.org/howtocorrupt.html, 2.2, read 2026-11).
"""

import fcntl
import os
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

from gateway.canonical.errors import GatewayError

APPLICATION_ID = 0x67617465
"""Tells our files from other programs' (`gate`)."""

CHECKPOINT = 10_000
"""Pages of the log, 40 MB, after which it is copied into the database: calls wait about 15 ms then."""

SCHEMA = (
    """
    CREATE TABLE conversations (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        created_at INTEGER NOT NULL, -- microseconds, as `updated_at`
        updated_at INTEGER NOT NULL,
        title TEXT,
        metadata TEXT NOT NULL,
        is_incomplete INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX conversations_by_use ON conversations (owner, updated_at, id);

    CREATE TABLE messages (
        id TEXT PRIMARY KEY,
        conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
        position INTEGER NOT NULL,
        status TEXT NOT NULL,
        body TEXT NOT NULL,
        UNIQUE (conversation_id, position)
    ) STRICT;
    CREATE INDEX messages_running ON messages (id) WHERE status = 'running';

    CREATE TABLE bindings (
        conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
        vendor TEXT NOT NULL,
        scope TEXT NOT NULL,
        body TEXT NOT NULL,
        PRIMARY KEY (conversation_id, vendor, scope)
    ) STRICT;

    CREATE TABLE files (
        id TEXT PRIMARY KEY,
        conversation_id TEXT NOT NULL REFERENCES conversations ON DELETE CASCADE,
        vendor TEXT NOT NULL,
        scope TEXT NOT NULL,
        ref TEXT NOT NULL,
        body TEXT NOT NULL,
        UNIQUE (conversation_id, vendor, scope, ref)
    ) STRICT;
    """,
    """
    ALTER TABLE conversations ADD COLUMN fingerprint BLOB;
    CREATE INDEX conversations_by_fingerprint ON conversations (owner, fingerprint) WHERE fingerprint IS NOT NULL;
    """,
    """
    ALTER TABLE conversations ADD COLUMN alias TEXT;
    CREATE UNIQUE INDEX conversations_by_alias ON conversations (owner, alias) WHERE alias IS NOT NULL;
    """,
)
"""Each script makes the next version of the schema; what was released is never changed. Bodies are JSON."""


class SqliteFile:
    """Opened, and from then on used, by one thread. `busy_timeout` is seconds."""

    def __init__(self, path: Path, busy_timeout: float) -> None:
        with ExitStack() as opened:
            try:
                _lock(path, opened)
                self.connection = opened.enter_context(closing(_connect(path, busy_timeout)))
                _prepare(path, self.connection)
            except BlockingIOError as error:
                raise _refused(path, "another gateway uses it") from error
            except OSError as error:
                raise _refused(path, error.strerror or str(error)) from error
            except (sqlite3.Error, UnicodeError) as error:
                raise _refused(path, str(error)) from error
            self._opened = opened.pop_all()

    def close(self) -> None:
        self._opened.close()


def _lock(path: Path, opened: ExitStack) -> None:
    lock = _open_private(f"{path.resolve()}.lock")
    opened.callback(os.close, lock)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _connect(path: Path, busy_timeout: float) -> sqlite3.Connection:
    os.close(_open_private(str(path)))
    return sqlite3.connect(path.resolve(), timeout=busy_timeout, isolation_level=None)


def _open_private(path: str) -> int:
    """What people say to their agents is read by nobody else on this machine."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _prepare(path: Path, connection: sqlite3.Connection) -> None:
    """Looks at everything before it writes anything, which takes about a second for each gigabyte."""
    version = _number(connection, "PRAGMA user_version")
    if _number(connection, "PRAGMA application_id") != APPLICATION_ID:
        if version or _number(connection, "SELECT count(*) FROM sqlite_schema"):
            raise _refused(path, "it is the database of another program")
    elif version > len(SCHEMA):
        raise _refused(path, f"its schema is version {version}, and this gateway knows {len(SCHEMA)} at most")
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise _refused(path, f"it is corrupt: {verdict}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.executescript(f"BEGIN IMMEDIATE; PRAGMA application_id = {APPLICATION_ID}; COMMIT;")
    for number, script in enumerate(SCHEMA[version:], version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;")


def _number(connection: sqlite3.Connection, query: str) -> int:
    (number,) = connection.execute(query).fetchone()
    return int(number)


def _refused(path: Path, reason: str) -> GatewayError:
    return GatewayError("store_unavailable", f"{path}: {reason}")

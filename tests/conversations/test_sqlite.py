"""The SQLite store where things go wrong: crashes, locks, full disks, damaged files, callers that leave."""

import asyncio
import os
import resource
import signal
import sqlite3
import stat
import sys
import threading
from collections.abc import Awaitable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.canonical.errors import ErrorBody, GatewayError
from gateway.canonical.message import Message, TextPart
from gateway.canonical.resources import Page, PageOf
from gateway.conversations.sqlite import SqliteStore
from gateway.conversations.store import Binding, BindingKey, Conversation, Ending, StoredFile
from tests.support.stores import held, opened

NOW = datetime(2026, 11, 2, 12, 30, tzinfo=UTC)
ALL = PageOf(100)
KEY = BindingKey("acme", "agent-1")
BINDING = Binding({"conversation": "v-1"}, seen="a1")
C1 = Conversation("c1", "ann", NOW, NOW)
C2 = Conversation("c2", "ann", NOW, NOW)
QUESTION = Message("q1", "c1", "user", "completed", [TextPart("Hi")], NOW)
RUNNING = Message("a1", "c1", "assistant", "running", [], NOW, route="support")
ANSWER = Message("a1", "c1", "assistant", "completed", [TextPart("Hello", 0)], NOW, NOW, "stop", route="support")
FINGERPRINT = bytes(range(32))
LATER_FINGERPRINT = bytes(range(32, 64))
ENDING = Ending(ANSWER, {KEY: BINDING}, FINGERPRINT)
ENDING_2 = Ending(replace(ANSWER, id="a2"), {}, LATER_FINGERPRINT)
CANCELED = replace(RUNNING, status="canceled")
QUESTION_2 = replace(QUESTION, id="q2")
RUNNING_2 = replace(RUNNING, id="a2")
INTERRUPTED = replace(
    RUNNING,
    status="failed",
    error=ErrorBody("internal", "the gateway stopped while this message was answered", retryable=False),
)
NOT_STORED = replace(
    RUNNING,
    status="failed",
    completed_at=NOW,
    error=ErrorBody("store_unavailable", "the answer could not be stored", retryable=True),
)
LONG = TextPart("x" * 1_000_000, 0)
LONG_ANSWER = replace(ANSWER, parts=[LONG])
UNAVAILABLE = ("store_unavailable", "conversations cannot be stored or read now")

CHECKOUT = Path(__file__).parents[2]
VERSION_1 = Path(__file__).with_name("version-1.sql").read_text()

pytestmark = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def refused(call: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(GatewayError) as caught:
        await call
    return caught.value.code, caught.value.message


def files_beside(path: Path) -> list[Path]:
    return sorted(path.parent.iterdir())


def read(path: Path) -> bytes:
    return path.read_bytes()


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def allow(path: Path, mode: int) -> None:
    path.chmod(mode)


async def reason(path: Path) -> str:
    """Why the file is refused, without the path that must stand before it."""
    code, message = await refused(SqliteStore.open(path, busy_timeout=0.1))
    assert code == "store_unavailable"
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


async def at_work(store: SqliteStore, query: str) -> None:
    await store._call(store._tables._connection.execute, query)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process holds the file as `BEGIN EXCLUSIVE` does."""
    script = (
        "import sqlite3, sys\n"
        "connection = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "connection.execute('BEGIN EXCLUSIVE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
        "connection.execute('ROLLBACK')\n"
        "print('unlocked', flush=True)\n"
    )
    with child(script, path) as process:
        assert said(process) == b"locked\n"
        yield
        assert process.stdin is not None
        process.stdin.close()
        assert said(process) == b"unlocked\n"


@contextmanager
def child(script: str, path: Path) -> Iterator[Popen[bytes]]:
    command = [sys.executable, "-c", script, str(path)]
    with Popen(command, stdin=PIPE, stdout=PIPE, cwd=CHECKOUT) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return process.stdout.readline()


async def next_write(store: SqliteStore) -> asyncio.Event:
    """Set once the thread begins to write, whether or not it has to wait for a lock then."""
    begins = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look_at(statement: str) -> None:
        if statement == "BEGIN IMMEDIATE":
            loop.call_soon_threadsafe(begins.set)

    await store._call(store._tables._connection.set_trace_callback, look_at)
    return begins


async def begun(store: SqliteStore) -> None:
    await store.begin(C1, [QUESTION, RUNNING])


async def transcript(store: SqliteStore) -> list[Message]:
    return (await store.messages("c1", "ann", ALL)).data


async def recognised(store: SqliteStore) -> list[str | None]:
    """By the fingerprint that the first message of c1 leaves, and by that of the second."""
    return [await store.recognise("ann", fingerprint) for fingerprint in (FINGERPRINT, LATER_FINGERPRINT)]


# --- what stays


async def test_what_was_stored_is_there_after_a_restart(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
        await store.end("c1", ENDING)
    async with opened(path) as store:
        assert store.interrupted == 0
        assert await store.conversation("c1", "ann") == C1
        assert await transcript(store) == [QUESTION, ANSWER]
        assert await store.message("a1", "ann") == ANSWER
        assert await recognised(store) == ["c1", None]
        assert await store.resume("c1", "ann", [QUESTION_2, RUNNING_2]) == {KEY: BINDING}


async def test_closing_writes_what_is_queued(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
        async with held(store):
            ended = store.end("c1", ENDING)
            closed = asyncio.ensure_future(store.close())
            await asyncio.sleep(0)
        await closed
        await ended
    assert [file.name for file in files_beside(path)] == ["store.db", "store.db.lock"]
    async with opened(path) as store:
        assert await transcript(store) == [QUESTION, ANSWER]


async def test_a_closed_store_is_unavailable(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
    closed = ("store_unavailable", "the store is closed")
    assert await refused(store.conversation("c1", "ann")) == closed
    assert await refused(store.begin(C2, [QUESTION_2, RUNNING_2])) == closed
    assert await refused(store.end("c1", ENDING)) == closed


async def test_nobody_else_on_the_machine_may_read_the_file(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in files_beside(path)}
    assert modes == dict.fromkeys(("store.db", "store.db-wal", "store.db-shm", "store.db.lock"), 0o600)


async def test_the_file_is_a_wal_with_foreign_keys(path: Path) -> None:
    async with opened(path) as store:
        one = store._tables._one
        pragmas = [
            (await store._call(one, f"PRAGMA {name}")) for name in ("journal_mode", "synchronous", "foreign_keys")
        ]
    assert pragmas == [("wal",), (1,), (1,)]


# --- crashes


CRASHER = """
import asyncio, sys
from pathlib import Path
from tests.conversations.test_sqlite import *

async def main():
    store = await SqliteStore.open(Path(sys.argv[1]))
    await store.begin(C1, [QUESTION, RUNNING])
    await store.end("c1", ENDING)
    await store.resume("c1", "ann", [QUESTION_2, RUNNING_2])
    print("running", flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


async def test_a_process_that_is_killed_leaves_a_failed_message_an_uncertain_binding_and_no_lock(path: Path) -> None:
    with child(CRASHER, path) as process:
        assert said(process) == b"running\n"
        assert await reason(path) == "another gateway uses it"
        process.send_signal(signal.SIGKILL)
        process.wait()
        async with opened(path) as store:
            assert store.interrupted == 1
            assert await transcript(store) == [QUESTION, ANSWER, QUESTION_2, replace(INTERRUPTED, id="a2")]
            assert await recognised(store) == [None, None]
            assert await store.resume("c1", "ann", [replace(QUESTION, id="q3"), replace(RUNNING, id="a3")]) == {
                KEY: replace(BINDING, uncertain="q2")
            }
            await store.end("c1", Ending(replace(ANSWER, id="a3")))
        async with opened(path) as store:
            assert store.interrupted == 0


async def test_one_file_serves_one_gateway_by_whatever_name(path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    async with opened(path):
        assert await reason(path) == "another gateway uses it"
        assert await reason(link) == "another gateway uses it"
    async with opened(link):
        assert await reason(path) == "another gateway uses it"


# --- files that are refused


async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    async with opened(path):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = read(path)
    assert await reason(path) == "its schema is version 99, and this gateway knows 3 at most"
    assert read(path) == before


@pytest.mark.parametrize("query", ["CREATE TABLE songs (title TEXT)", "PRAGMA user_version = 1"])
async def test_the_database_of_another_program_is_refused_and_left_alone(path: Path, query: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(query)
    before = read(path)
    assert await reason(path) == "it is the database of another program"
    assert read(path) == before


async def test_what_is_no_database_is_refused(path: Path) -> None:
    write(path, b"[store]\n" * 100)
    assert await reason(path) == "file is not a database"


async def test_a_directory_and_a_path_to_nowhere_are_refused(tmp_path: Path) -> None:
    assert await reason(tmp_path) == "Is a directory"
    assert await reason(tmp_path / "none" / "store.db") == "No such file or directory"


async def test_a_file_that_is_locked_is_refused_at_the_start(path: Path) -> None:
    async with opened(path):
        pass
    with locked(path):
        assert await reason(path) == "database is locked"


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write what is read-only."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.mark.parametrize(
    ("read_only", "expected"),
    [
        ("store.db", "Permission denied"),
        ("store.db.lock", "Permission denied"),
        (".", "attempt to write a readonly database"),
    ],
)
async def test_what_is_read_only_is_refused(read_only: str, expected: str) -> None:
    with TemporaryDirectory() as name:
        directory = Path(name)
        path = directory / "store.db"
        async with opened(path):
            pass
        for file, mode in ((directory, 0o777), (path, 0o666), (directory / "store.db.lock", 0o666)):
            allow(file, mode)
        allow(directory / read_only, 0o555)
        with as_nobody():
            assert await reason(path) == expected
        allow(directory, 0o700)


async def fate(path: Path) -> str:
    """How a damaged file shows."""
    try:
        async with opened(path) as store:
            await store.conversations("ann", ALL)
            await store.messages("c1", "ann", ALL)
            await store.bindings("c1", "ann")
            await store.message("a1", "ann")
            await store.recognise("ann", FINGERPRINT)
    except GatewayError as error:
        return "refused" if error.message.startswith(f"{path}: ") else error.code
    return "harmless"


async def test_a_flipped_byte_is_refused_or_unavailable_or_harmless(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
        await store.end("c1", replace(ENDING, answer=replace(ANSWER, parts=[TextPart("Hello " * 2000)])))
        await store.resume("c1", "ann", [QUESTION_2, RUNNING_2])
    sound = read(path)
    fates = set()
    for position in [*range(100), *range(100, len(sound), len(sound) // 150)]:
        write(path, sound[:position] + bytes([sound[position] ^ 0xA5]) + sound[position + 1 :])
        fates.add(await fate(path))
    assert {"refused", "harmless"} <= fates <= {"refused", "harmless", "store_unavailable", "not_found"}


async def test_a_file_that_was_cut_is_refused(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
    write(path, read(path)[:-5000])
    assert "malformed" in await reason(path) or "corrupt" in await reason(path)


async def test_rows_that_do_not_fit_their_table_are_refused(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = replace(sql, 'title TEXT', 'title TEXT NOT NULL')")
    assert await reason(path) == "it is corrupt: NULL value in conversations.title"


@pytest.mark.parametrize("status", ["completed", "running"])
async def test_a_row_that_cannot_be_read_is_unavailable_and_one_that_runs_refuses_the_start(
    path: Path, status: str
) -> None:
    async with opened(path) as store:
        await begun(store)
        await store.create(C2)
        await at_work(store, f"UPDATE messages SET body = '[]', status = '{status}' WHERE id = 'q1'")
        await at_work(store, "UPDATE conversations SET updated_at = 9223372036854775807 WHERE id = 'c1'")
        assert await refused(store.messages("c1", "ann", ALL)) == UNAVAILABLE
        assert await refused(store.conversation("c1", "ann")) == UNAVAILABLE
        assert await store.conversation("c2", "ann") == C2
        await store.end("c1", ENDING)
    if status == "running":
        assert (await reason(path)).startswith("Expected `object`, got `array`")
    else:
        async with opened(path) as store:
            assert await store.conversation("c2", "ann") == C2


# --- files of an earlier version


def dumped(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def says(path: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


async def test_a_file_of_version_1_is_brought_to_the_newest_and_keeps_what_it_had(path: Path) -> None:
    dumped(path, VERSION_1)
    async with opened(path) as store:
        assert store.interrupted == 1
        assert await store.conversation("c1", "ann") == replace(C1, title="Holidays", metadata={"team": 7})
        assert await transcript(store) == [QUESTION, ANSWER]
        assert await store.files("c1", "ann") == [
            StoredFile("f1", "c1", KEY, "ref-1", "a.pdf", "application/pdf", 3, NOW)
        ]
        assert await store.message("a2", "ann") == replace(INTERRUPTED, id="a2", conversation_id="c2")
        assert (await store.conversations("bob", ALL)).data == [Conversation("c3", "bob", NOW, NOW)]
        assert await recognised(store) == [None, None]
        question, running = replace(QUESTION_2, id="q3"), replace(RUNNING_2, id="a3")
        assert await store.resume("c1", "ann", [question, running]) == {KEY: BINDING}
        await store.end("c1", Ending(replace(ANSWER, id="a3"), fingerprint=FINGERPRINT))
        assert await recognised(store) == ["c1", None]
    assert says(path, "PRAGMA user_version") == [(3,)]
    async with opened(path) as store:
        assert await recognised(store) == ["c1", None]


async def test_a_migrated_file_has_the_schema_of_a_new_one(path: Path) -> None:
    new = path.with_name("new.db")
    dumped(path, VERSION_1)
    for file in (path, new):
        async with opened(file):
            pass
    schemas = [says(file, "SELECT name, sql FROM sqlite_schema ORDER BY name") for file in (path, new)]
    assert schemas[0] == schemas[1]


async def test_a_migration_that_fails_leaves_the_file_at_its_version(path: Path) -> None:
    dumped(path, VERSION_1 + "CREATE INDEX conversations_by_fingerprint ON conversations (title);")
    schema = "SELECT name, sql FROM sqlite_schema ORDER BY name"
    before = says(path, schema)
    assert await reason(path) == "index conversations_by_fingerprint already exists"
    assert says(path, "PRAGMA user_version") == [(1,)]
    assert says(path, schema) == before


# --- what a call costs the engine


async def test_messages_and_fingerprints_are_found_by_an_index(path: Path) -> None:
    statements: list[str] = []
    async with opened(path) as store:
        await begun(store)
        await store.end("c1", ENDING)
        await store._call(store._tables._connection.set_trace_callback, statements.append)
        await store.message("a1", "ann")
        await store.recognise("ann", FINGERPRINT)
        await store._call(store._tables._connection.set_trace_callback, None)
    plans = [[step for *_, step in says(path, f"EXPLAIN QUERY PLAN {statement}")] for statement in statements]
    assert plans == [
        [
            "SEARCH messages USING INDEX sqlite_autoindex_messages_1 (id=?)",
            "SEARCH conversations USING INDEX sqlite_autoindex_conversations_1 (id=?)",
        ],
        ["SEARCH conversations USING INDEX conversations_by_fingerprint (owner=? AND fingerprint=?)"],
    ]


async def test_a_fingerprint_costs_an_ending_no_statement(path: Path) -> None:
    statements: list[str] = []
    async with opened(path) as store:
        await begun(store)
        await store._call(store._tables._connection.set_trace_callback, statements.append)
        await store.end("c1", Ending(ANSWER, fingerprint=FINGERPRINT))
        await store._call(store._tables._connection.set_trace_callback, None)
    assert [" ".join(statement.split()[:2]) for statement in statements] == [
        "BEGIN IMMEDIATE",
        "UPDATE messages",
        "UPDATE conversations",
        "COMMIT",
    ]


# --- a file that another process has locked


async def test_a_locked_file_is_waited_for_off_the_loop_and_not_for_ever(path: Path) -> None:
    async with opened(path, busy_timeout=0.2) as store:
        with locked(path):
            call = asyncio.ensure_future(refused(begun(store)))
            turns = 0
            while not call.done():
                await asyncio.sleep(0.001)
                turns += 1
            assert await call == UNAVAILABLE
            assert turns > 20
        assert await refused(store.conversation("c1", "ann")) == ("not_found", "no such conversation")
        await begun(store)
        assert await transcript(store) == [QUESTION, RUNNING]


async def test_a_lock_that_goes_in_time_is_not_noticed(path: Path) -> None:
    async with opened(path, busy_timeout=30.0) as store:
        with locked(path):
            begins = await next_write(store)
            call = asyncio.ensure_future(begun(store))
            await begins.wait()
            assert not call.done()
        await call
        assert await transcript(store) == [QUESTION, RUNNING]


async def test_a_lock_delays_every_call_once_not_each_behind_the_others(path: Path) -> None:
    async with opened(path, busy_timeout=0.3) as store:
        with locked(path):
            started = asyncio.get_running_loop().time()
            calls = [store.create(replace(C1, id=f"c{number}")) for number in range(30)]
            assert await asyncio.gather(*map(refused, calls)) == [UNAVAILABLE] * 30
            assert asyncio.get_running_loop().time() - started < 3.0


async def test_an_ending_that_cannot_be_stored_frees_the_conversation_and_marks_it(path: Path) -> None:
    async with opened(path, busy_timeout=0.1) as store:
        await begun(store)
        with locked(path):
            assert await refused(store.end("c1", ENDING)) == UNAVAILABLE
            assert await transcript(store) == [QUESTION, NOT_STORED]
            assert await store.conversation("c1", "ann") == replace(C1, is_incomplete=True)
            assert await store.conversations("ann", ALL) == Page([replace(C1, is_incomplete=True)])
            assert await store.bindings("c1", "ann") == {}
        assert await store.resume("c1", "ann", [QUESTION_2, RUNNING_2]) == {}
        await store.end("c1", Ending(replace(ANSWER, id="a2")))
    async with opened(path) as store:
        assert store.interrupted == 0
        assert await transcript(store) == [QUESTION, NOT_STORED, QUESTION_2, replace(ANSWER, id="a2")]
        assert await store.conversation("c1", "ann") == replace(C1, is_incomplete=True)


async def test_of_two_endings_that_cannot_be_stored_neither_is_forgotten(path: Path) -> None:
    """Not even the marks find room, while what begins does."""
    async with opened(path) as store:
        await begun(store)
        await at_work(
            store, "CREATE TRIGGER no_room BEFORE UPDATE ON messages BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )
        assert await refused(store.end("c1", ENDING)) == UNAVAILABLE
        await store.resume("c1", "ann", [QUESTION_2, RUNNING_2])
        assert await refused(store.end("c1", ENDING_2)) == UNAVAILABLE
        failed = [QUESTION, NOT_STORED, QUESTION_2, replace(NOT_STORED, id="a2")]
        assert await transcript(store) == failed
        assert await store.conversation("c1", "ann") == replace(C1, is_incomplete=True)
        await at_work(store, "DROP TRIGGER no_room")
        await store.create(C2)
    async with opened(path) as store:
        assert store.interrupted == 0
        assert await transcript(store) == failed
        assert await store.conversation("c1", "ann") == replace(C1, is_incomplete=True)


async def test_after_an_ending_that_cannot_be_stored_no_older_fingerprint_recognises_the_conversation(
    path: Path,
) -> None:
    async with opened(path, busy_timeout=0.1) as store:
        await begun(store)
        await store.end("c1", ENDING)
        assert await recognised(store) == ["c1", None]
        await store.resume("c1", "ann", [QUESTION_2, RUNNING_2])
        with locked(path):
            assert await refused(store.end("c1", ENDING_2)) == UNAVAILABLE
            assert await recognised(store) == [None, None]
            assert await store.message("a1", "ann") == ANSWER
            assert await store.message("a2", "ann") == replace(NOT_STORED, id="a2")
        assert await recognised(store) == [None, None]
        await store.create(C2)
        assert await recognised(store) == [None, None]
    async with opened(path) as store:
        assert await recognised(store) == [None, None]
        assert await store.message("a2", "ann") == replace(NOT_STORED, id="a2")
        await store.resume("c1", "ann", [replace(QUESTION, id="q3"), replace(RUNNING, id="a3")])
        await store.end("c1", replace(ENDING, answer=replace(ANSWER, id="a3")))
        assert await recognised(store) == ["c1", None]


async def test_an_ending_that_is_lost_with_the_process_leaves_no_older_fingerprint(path: Path) -> None:
    async with opened(path, busy_timeout=0.1) as store:
        await begun(store)
        await store.end("c1", ENDING)
        await store.resume("c1", "ann", [QUESTION_2, RUNNING_2])
        with locked(path):
            assert await refused(store.end("c1", ENDING_2)) == UNAVAILABLE
            await store.close()
    async with opened(path) as store:
        assert store.interrupted == 1
        assert await recognised(store) == [None, None]


async def test_the_mark_is_written_at_the_end_where_nothing_was_written_since(path: Path) -> None:
    async with opened(path, busy_timeout=0.1) as store:
        await begun(store)
        with locked(path):
            assert await refused(store.end("c1", ENDING)) == UNAVAILABLE
    async with opened(path) as store:
        assert store.interrupted == 0
        assert await transcript(store) == [QUESTION, NOT_STORED]
        assert await store.conversation("c1", "ann") == replace(C1, is_incomplete=True)


async def test_a_file_that_is_locked_to_the_end_closes_all_the_same(path: Path) -> None:
    async with opened(path, busy_timeout=0.1) as store:
        await begun(store)
        with locked(path):
            assert await refused(store.end("c1", ENDING)) == UNAVAILABLE
            await store.close()
    async with opened(path) as store:
        assert store.interrupted == 1
        assert await transcript(store) == [QUESTION, INTERRUPTED]


async def test_an_ending_that_nobody_waits_for_fails_in_silence(path: Path) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with opened(path, busy_timeout=0.1) as store:
        await begun(store)
        with locked(path):
            store.end("c1", ENDING)
            assert await transcript(store) == [QUESTION, NOT_STORED]
    assert complaints == []


# --- a disk that is full


async def test_a_full_disk_stores_nothing_of_a_message_that_begins(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
        await store.end("c1", ENDING)
        await at_work(store, "PRAGMA max_page_count = 40")
        long = replace(QUESTION_2, parts=[LONG])
        assert await refused(store.resume("c1", "ann", [long, RUNNING_2])) == UNAVAILABLE
        assert await transcript(store) == [QUESTION, ANSWER]
        assert await recognised(store) == ["c1", None]
        assert await store.resume("c1", "ann", [QUESTION_2, RUNNING_2]) == {KEY: BINDING}


async def test_a_full_disk_makes_a_transcript_incomplete(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
        await at_work(store, "PRAGMA max_page_count = 40")
        assert await refused(store.end("c1", Ending(LONG_ANSWER, {KEY: BINDING}))) == UNAVAILABLE
        await store.create(C2)
    async with opened(path) as store:
        assert await transcript(store) == [QUESTION, NOT_STORED]
        assert await store.bindings("c1", "ann") == {}
        assert await store.conversation("c1", "ann") == replace(C1, is_incomplete=True)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Writing beyond it fails, as on a disk that has no more room for the log."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


async def test_a_disk_that_fails_in_the_middle_of_a_commit_stores_nothing(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
        with files_of_at_most(300_000):
            assert await refused(store.end("c1", Ending(LONG_ANSWER, {KEY: BINDING}))) == UNAVAILABLE
            assert await transcript(store) == [QUESTION, NOT_STORED]
        assert await store.resume("c1", "ann", [QUESTION_2, RUNNING_2]) == {}
        assert await transcript(store) == [QUESTION, NOT_STORED, QUESTION_2, RUNNING_2]


async def test_what_cannot_be_written_as_text_is_not_stored(path: Path) -> None:
    broken = [TextPart("\ud800")]
    async with opened(path) as store:
        assert await refused(store.begin(C1, [replace(QUESTION, parts=broken), RUNNING])) == UNAVAILABLE
        await begun(store)
        assert await refused(store.end("c1", Ending(replace(ANSWER, parts=broken)))) == UNAVAILABLE
        assert await transcript(store) == [QUESTION, NOT_STORED]


# --- callers that leave


async def test_a_start_whose_caller_leaves_while_it_is_queued_never_was(path: Path) -> None:
    async with opened(path) as store:
        async with held(store):
            caller = asyncio.ensure_future(begun(store))
            await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait([caller])
        assert caller.cancelled()
        assert await store.conversations("ann", ALL) == Page([])
        await begun(store)
        assert await transcript(store) == [QUESTION, RUNNING]


async def test_a_start_whose_caller_leaves_takes_the_fingerprint_only_where_it_was_stored(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
        await store.end("c1", ENDING)
        async with held(store):
            caller = asyncio.ensure_future(store.resume("c1", "ann", [QUESTION_2, RUNNING_2]))
            await asyncio.sleep(0)
            caller.cancel()
            await asyncio.wait([caller])
        assert await recognised(store) == ["c1", None]
        caller = asyncio.ensure_future(store.resume("c1", "ann", [QUESTION_2, RUNNING_2]))
        await asyncio.sleep(0)
        is_stored = threading.Event()
        told = store._call(is_stored.set)
        assert is_stored.wait(5)  # with the loop standing still, so that its caller is not told
        caller.cancel()
        await told
        await asyncio.wait([caller])
        assert await transcript(store) == [QUESTION, ANSWER, QUESTION_2, replace(CANCELED, id="a2")]
        assert await recognised(store) == [None, None]


async def test_a_conversation_whose_next_message_begins_meanwhile_is_not_recognised(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
        await store.end("c1", ENDING)
        async with held(store):
            found = asyncio.ensure_future(store.recognise("ann", FINGERPRINT))
            resumed = asyncio.ensure_future(store.resume("c1", "ann", [QUESTION_2, RUNNING_2]))
            await asyncio.sleep(0)
        assert (await found, await resumed) == (None, {KEY: BINDING})


@pytest.mark.parametrize("busy_timeout", [0.1, 30.0])
async def test_a_start_whose_caller_leaves_while_it_is_stored_is_canceled_or_never_was(
    path: Path, busy_timeout: float
) -> None:
    async with opened(path) as store:
        await store.create(C1)
    async with opened(path, busy_timeout) as store:
        with locked(path):
            begins = await next_write(store)
            caller = asyncio.ensure_future(store.resume("c1", "ann", [QUESTION, RUNNING]))
            await begins.wait()
            caller.cancel()
            await asyncio.wait([caller])
            following = asyncio.ensure_future(transcript(store))
            if busy_timeout < 1:
                await following
        assert await following == ([] if busy_timeout < 1 else [QUESTION, CANCELED])
        assert await store.resume("c1", "ann", [QUESTION_2, RUNNING_2]) == {}
        assert not (await store.conversation("c1", "ann")).is_incomplete


async def test_a_start_whose_caller_leaves_as_it_is_stored_is_canceled(path: Path) -> None:
    async with opened(path) as store:
        caller = asyncio.ensure_future(begun(store))
        await asyncio.sleep(0)
        is_stored = threading.Event()
        told = store._call(is_stored.set)
        assert is_stored.wait(5)  # with the loop standing still, so that its caller is not told
        caller.cancel()
        await told
        await asyncio.wait([caller])
        assert caller.cancelled()
        assert await transcript(store) == [QUESTION, CANCELED]
        assert await store.resume("c1", "ann", [QUESTION_2, RUNNING_2]) == {}


async def test_a_stranger_who_leaves_harms_nothing(path: Path) -> None:
    async with opened(path, busy_timeout=0.1) as store:
        await begun(store)
        with locked(path):
            foreign = [replace(QUESTION, id="bq"), replace(RUNNING, id="ba")]
            begins = await next_write(store)
            caller = asyncio.ensure_future(store.resume("c1", "bob", foreign))
            await begins.wait()
            caller.cancel()
            await asyncio.wait([caller])
            assert await transcript(store) == [QUESTION, RUNNING]
        assert await store.conversation("c1", "ann") == C1
        assert await refused(store.delete("c1", "ann")) == (
            "conflict",
            "another message of this conversation is being answered",
        )


async def test_an_ending_is_stored_though_its_caller_leaves(path: Path) -> None:
    async with opened(path) as store:
        await begun(store)
        async with held(store):
            ended = asyncio.ensure_future(store.end("c1", ENDING))
            ended.cancel()
        assert await transcript(store) == [QUESTION, ANSWER]
        assert ended.cancelled()


def test_a_loop_that_ends_leaves_the_thread_at_work(path: Path) -> None:
    with asyncio.Runner() as first:
        store = first.run(SqliteStore.open(path))
        free = threading.Event()

        async def leave_at_once() -> None:
            await begun(store)
            store._call(free.wait)
            store.end("c1", ENDING)

        first.run(leave_at_once())
    free.set()
    with asyncio.Runner() as second:
        assert second.run(transcript(store)) == [QUESTION, ANSWER]
        second.run(store.close())


async def test_a_mistake_of_ours_is_not_blamed_on_the_engine(path: Path) -> None:
    async with opened(path) as store:
        with pytest.raises(ZeroDivisionError):
            await store._call(lambda: 1 // 0)
        await begun(store)

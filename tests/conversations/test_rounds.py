"""Calls that waited together: one transaction where all goes well, and always the same as one after the other."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message, TextPart
from gateway.conversations.sqlite_file import SCHEMA
from gateway.conversations.sqlite_tables import SqliteTables
from gateway.conversations.store import Binding, BindingKey, Conversation, Ending
from gateway.conversations.worker import LONGEST_ROUND, Outcome, Work, Worker, one_by_one
from tests.support.stores import held, opened

NOW = datetime(2026, 11, 2, tzinfo=UTC)
KEY = BindingKey("acme", "agent-1")
NAMES = ("c0", "c1", "c2")

pytestmark = pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")


def question(name: str, number: int) -> Message:
    return Message(f"{name}-q{number}", name, "user", "completed", [TextPart("Hi")], NOW)


def answer(name: str, number: int) -> Message:
    return Message(f"{name}-a{number}", name, "assistant", "running", [], NOW)


def ended(name: str, number: int) -> Ending:
    return Ending(replace(answer(name, number), status="completed", completed_at=NOW), {KEY: Binding({})}, b"1" * 32)


def conversation(name: str, alias: str | None = None) -> Conversation:
    return Conversation(name, "ann", NOW, NOW, alias=alias)


# --- the tables: whatever waits together

Call = Callable[[SqliteTables], object]


def tables() -> SqliteTables:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = ON")
    for script in SCHEMA:
        connection.executescript(script)
    return SqliteTables(connection)


def fail(of: SqliteTables) -> None:
    with of._transactions.one():
        raise sqlite3.OperationalError("disk I/O error")


def roll_back(of: SqliteTables) -> None:
    """As the engine does by itself at some faults."""
    of._connection.rollback()
    raise sqlite3.OperationalError("disk I/O error")


def break_the_commit(of: SqliteTables) -> None:
    """Where the transaction is shared the engine finds out as late as it can."""
    of._connection.execute("PRAGMA defer_foreign_keys = ON")
    of.bind("c0", KEY, Binding({}))
    of._connection.execute("UPDATE bindings SET conversation_id = 'nobody'")


def begin(name: str, number: int, alias: str | None, of: SqliteTables) -> None:
    of.begin(conversation(name, alias), [question(name, number), answer(name, number)])


def resume(name: str, number: int, of: SqliteTables) -> object:
    return of.resume(name, "ann", [question(name, number), answer(name, number)])


def end(name: str, number: int, of: SqliteTables) -> None:
    of.end(name, ended(name, number))


names = st.sampled_from(NAMES)
numbers = st.integers(0, 2)
aliases = st.sampled_from([None, "chat:1"])
calls: st.SearchStrategy[Call] = st.one_of(
    st.builds(lambda *args: partial(begin, *args), names, numbers, aliases),
    st.builds(lambda *args: partial(resume, *args), names, numbers),
    st.builds(lambda *args: partial(end, *args), names, numbers),
    st.builds(lambda name: lambda of: of.conversation(name, "ann"), names),
    st.builds(lambda name: lambda of: of.delete(name, "ann"), names),
    st.builds(lambda name: lambda of: of.bind(name, KEY, Binding({"conversation": "v"})), names),
    st.just(lambda of: of.named("ann", "chat:1")),
    st.sampled_from([fail, roll_back]),
)


def seen(outcome: Outcome) -> object:
    return outcome.value if outcome.error is None else (type(outcome.error), str(outcome.error))


def known(of: SqliteTables) -> object:
    rows = {
        table: of._connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
        for table in ("conversations", "messages", "bindings")
    }
    return rows, of._started, of._lost, of._connection.in_transaction


@given(st.lists(st.lists(calls, max_size=6), max_size=5))
def test_calls_that_wait_together_do_what_they_do_one_after_the_other(rounds: list[list[Call]]) -> None:
    together, apart = tables(), tables()
    for asked in rounds:
        shared = together.together([partial(call, together) for call in asked])
        alone = one_by_one([partial(call, apart) for call in asked])
        assert list(map(seen, shared)) == list(map(seen, alone))
        assert known(together) == known(apart)


def test_a_round_whose_commit_fails_is_done_call_by_call() -> None:
    of = tables()
    begin("c0", 0, None, of)
    asked: list[Call] = [partial(end, "c0", 0), break_the_commit, partial(begin, "c1", 0, None)]
    first, second, third = of.together([partial(call, of) for call in asked])
    assert (first, third) == (Outcome(), Outcome())
    assert isinstance(second.error, sqlite3.IntegrityError)
    assert of.message("c0-a0", "ann").status == "completed"
    assert of._started == {"c1-a0"}
    assert not of._connection.in_transaction


def test_an_ending_is_not_taken_for_lost_where_only_the_round_failed() -> None:
    of = tables()
    begin("c0", 0, None, of)
    ending, failed = of.together([partial(end, "c0", 0, of), partial(fail, of)])
    assert (ending.error, str(failed.error)) == (None, "disk I/O error")
    assert of._lost == {}
    assert of.message("c0-a0", "ann").status == "completed"


# --- the store: what shares a transaction


async def test_messages_that_begin_and_end_together_cost_one_commit(tmp_path: Path) -> None:
    statements: list[str] = []
    async with opened(tmp_path / "store.db") as store:
        await store.begin(conversation("c0"), [question("c0", 0), answer("c0", 0)])
        await store._call(store._tables._connection.set_trace_callback, statements.append)
        async with held(store):
            await asyncio.sleep(0.05)  # the thread has begun to wait, so that what follows is the next round
            asked = [
                store.end("c0", ended("c0", 0)),
                *(
                    asyncio.ensure_future(store.begin(conversation(name), [question(name, 0), answer(name, 0)]))
                    for name in ("c1", "c2")
                ),
            ]
            await asyncio.sleep(0)
        await asyncio.gather(*asked)
        await store._call(store._tables._connection.set_trace_callback, None)
        assert statements.count("BEGIN IMMEDIATE") == statements.count("COMMIT") == 1
        assert (await store.message("c0-a0", "ann")).status == "completed"
        assert (await store.message("c2-a0", "ann")).status == "running"


async def test_a_round_has_an_end() -> None:
    rounds: list[int] = []
    worker = Worker("test")
    free = threading.Event()

    def together(works: Sequence[Work]) -> list[Outcome]:
        rounds.append(len(works))
        return one_by_one(works)

    worker.together = together
    holding = worker.submit(free.wait)
    await asyncio.sleep(0.05)
    waiting = [worker.submit(partial(int, number)) for number in range(LONGEST_ROUND + 1)]
    free.set()
    assert await asyncio.gather(holding, *waiting) == [True, *range(LONGEST_ROUND + 1)]
    assert rounds == [1, LONGEST_ROUND, 1]
    worker.close()


async def test_each_call_of_a_round_is_told_its_own_outcome(tmp_path: Path) -> None:
    async with opened(tmp_path / "store.db") as store:
        async with held(store):
            asked = [
                asyncio.ensure_future(store.create(conversation("c0"))),
                asyncio.ensure_future(store.conversation("c9", "ann")),
                asyncio.ensure_future(store.create(conversation("c0"))),
                asyncio.ensure_future(store.conversation("c0", "ann")),
            ]
            await asyncio.sleep(0)
        told = await asyncio.gather(*asked, return_exceptions=True)
    assert [each.code if isinstance(each, GatewayError) else each for each in told] == [
        None,
        "not_found",
        "conflict",
        conversation("c0"),
    ]

"""A SQLite store for a test, and a moment in which its thread is busy.

async with opened(tmp_path / "store.db") as store:
    async with held(store):
        ...  # what is asked for here waits together
"""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.conversations.sqlite import SqliteStore


@asynccontextmanager
async def opened(path: Path, busy_timeout: float = 2.0) -> AsyncIterator[SqliteStore]:
    """Closed at the end; `busy_timeout` is seconds. Raises as `SqliteStore.open` does."""
    store = await SqliteStore.open(path, busy_timeout=busy_timeout)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def held(store: SqliteStore) -> AsyncIterator[None]:
    """The thread is busy, so that whatever is called meanwhile waits in the queue."""
    free = threading.Event()
    holding = store._call(free.wait)
    try:
        yield
    finally:
        free.set()
        await holding

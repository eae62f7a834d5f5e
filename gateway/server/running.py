"""The messages that this process is answering: found by id, and ended when it stops.

add, remove      once per message
find             the one of that id, for its owner
spawn            a message whose client may leave it behind has a task of its own
drain, close     the process stops
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from gateway.canonical.errors import GatewayError

T = TypeVar("T")


class RunningMessage(Protocol):
    id: str
    owner: str

    async def cancel(self) -> None:
        """Stops it; returns when the store knows."""
        ...

    def stop(self, error: GatewayError) -> None:
        """Ends it for a reason of ours."""
        ...


class Running:
    def __init__(self) -> None:
        self._messages: dict[str, RunningMessage] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_idle = asyncio.Event()

    def add(self, message: RunningMessage) -> None:
        self._messages[message.id] = message

    def remove(self, message: RunningMessage) -> None:
        del self._messages[message.id]
        if not self._messages:
            self._is_idle.set()

    def find(self, message_id: str, owner: str) -> RunningMessage | None:
        message = self._messages.get(message_id)
        return message if message is not None and message.owner == owner else None

    def spawn(self, answering: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(answering)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def drain(self, grace: float, reason: str) -> None:
        """Lets the messages end by themselves for `grace` seconds; the others fail as `overloaded` then."""
        self._is_idle.clear()
        if self._messages:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_idle.wait(), grace)
        for message in list(self._messages.values()):
            message.stop(GatewayError("overloaded", reason))

    async def close(self, within: float) -> None:
        """What goes on without a client is stored within so many seconds, or cut."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=within)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

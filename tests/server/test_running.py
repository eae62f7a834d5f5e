"""The messages of a process: found by their owner alone, ended when it stops, none left behind."""

import asyncio
from typing import Any

from gateway.canonical.errors import GatewayError
from gateway.server.running import Running


class Answered:
    """A message that is told to stop, and does where it is not stubborn."""

    def __init__(self, running: Running, message_id: str, *, is_stubborn: bool = False) -> None:
        self.id = message_id
        self.owner = "anna"
        self.errors: list[GatewayError] = []
        self._running = running
        self._is_stubborn = is_stubborn

    async def cancel(self) -> None: ...

    def stop(self, error: GatewayError) -> None:
        self.errors.append(error)
        if not self._is_stubborn:
            self._running.remove(self)


def test_a_message_is_found_by_its_owner_while_it_runs() -> None:
    running = Running()
    message = Answered(running, "msg_1")
    running.add(message)
    assert running.find("msg_1", "anna") is message
    assert (running.find("msg_1", "ben"), running.find("msg_2", "anna")) == (None, None)
    running.remove(message)
    assert running.find("msg_1", "anna") is None


async def test_messages_that_end_in_time_are_waited_for() -> None:
    running = Running()
    message = Answered(running, "msg_1")
    running.add(message)
    draining = asyncio.create_task(running.drain(60, "the gateway is shutting down"))
    await asyncio.sleep(0)
    assert not draining.done()
    running.remove(message)
    async with asyncio.timeout(1):
        await draining
    assert message.errors == []


async def test_the_others_fail_each_with_an_error_of_its_own() -> None:
    running = Running()
    messages = [Answered(running, f"msg_{number}", is_stubborn=number == 1) for number in range(3)]
    for message in messages:
        running.add(message)
    await running.drain(0.01, "the gateway is shutting down")
    errors = [error for message in messages for error in message.errors]
    assert [(error.code, error.message) for error in errors] == [("overloaded", "the gateway is shutting down")] * 3
    assert len({id(error) for error in errors}) == 3


async def test_nothing_is_waited_for_where_nothing_runs() -> None:
    running = Running()
    async with asyncio.timeout(1):
        await running.drain(60, "the gateway is shutting down")
        await running.close(60)


async def test_a_task_that_takes_too_long_to_store_its_message_is_cut() -> None:
    running = Running()
    stored: list[str] = []

    async def store(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        stored.append(name)

    quick, slow = running.spawn(store("quick", 0)), running.spawn(store("slow", 60))
    async with asyncio.timeout(1):
        await running.close(0.05)
    assert (stored, quick.done(), slow.cancelled()) == (["quick"], True, True)


async def test_a_task_that_fails_as_it_is_cut_troubles_nobody() -> None:
    running = Running()

    async def fail() -> Any:
        try:
            await asyncio.sleep(60)
        finally:
            raise ZeroDivisionError

    running.spawn(fail())
    async with asyncio.timeout(1):
        await running.close(0.01)

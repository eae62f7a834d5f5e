"""Sessions with vendors: one sign-in for all who wait, kept until it is refused."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import Authorization
from gateway.relay.sessions import Sessions

FIRST = Authorization({"Cookie": "c=1"}, "s-1")
SECOND = Authorization({"Cookie": "c=2"}, "s-2")
LOCKED = GatewayError("upstream_auth", "the vendor refused our credential")


class Door:
    """A sign-in that is let through by hand, and counts who knocked."""

    def __init__(self, *outcomes: Authorization | GatewayError) -> None:
        self.knocks = 0
        self._outcomes = list(outcomes)
        self._opened = asyncio.Event()

    def open(self) -> None:
        self._opened.set()

    async def sign_in(self) -> Authorization:
        self.knocks += 1
        await self._opened.wait()
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, GatewayError):
            raise outcome
        return outcome


def wait(sessions: Sessions, sign_in: Callable[[], Coroutine[Any, Any, Authorization]]) -> asyncio.Task[Authorization]:
    return asyncio.create_task(sessions.sign_in("acme", sign_in))


async def settle() -> None:
    """Lets every task run until it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_who_wait_share_one_sign_in() -> None:
    sessions, door = Sessions(), Door(FIRST)
    waiting = [wait(sessions, door.sign_in) for _ in range(20)]
    await settle()
    assert (door.knocks, sessions.get("acme")) == (1, None)
    door.open()
    assert await asyncio.gather(*waiting) == [FIRST] * 20
    assert (door.knocks, sessions.get("acme")) == (1, "s-1")


async def test_all_who_wait_share_its_failure_and_the_next_tries_again() -> None:
    sessions, door = Sessions(), Door(LOCKED, SECOND)
    waiting = [wait(sessions, door.sign_in) for _ in range(3)]
    await settle()
    door.open()
    assert await asyncio.gather(*waiting, return_exceptions=True) == [LOCKED] * 3
    assert sessions.get("acme") is None
    assert await sessions.sign_in("acme", door.sign_in) == SECOND
    assert (door.knocks, sessions.get("acme")) == (2, "s-2")


async def test_who_leaves_does_not_take_the_sign_in_along() -> None:
    sessions, door = Sessions(), Door(FIRST)
    first, second = wait(sessions, door.sign_in), wait(sessions, door.sign_in)
    await settle()
    first.cancel()
    await settle()
    door.open()
    assert await second == FIRST
    assert (first.cancelled(), door.knocks, sessions.get("acme")) == (True, 1, "s-1")


@pytest.mark.parametrize("outcome", [FIRST, LOCKED])
async def test_a_sign_in_that_everybody_left_ends_without_a_complaint(outcome: Authorization | GatewayError) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    sessions, door = Sessions(), Door(outcome)
    waiting = wait(sessions, door.sign_in)
    await settle()
    waiting.cancel()
    door.open()
    await settle()
    assert complaints == []
    assert sessions.get("acme") is None


async def test_what_needs_no_session_keeps_none() -> None:
    sessions, door = Sessions(), Door(Authorization({"X-Key": "k"}))
    door.open()
    assert (await sessions.sign_in("acme", door.sign_in)).headers == {"X-Key": "k"}
    assert sessions.get("acme") is None


async def test_vendors_do_not_share_their_sessions() -> None:
    sessions, door = Sessions(), Door(FIRST, SECOND)
    door.open()
    await sessions.sign_in("acme", door.sign_in)
    await sessions.sign_in("other", door.sign_in)
    assert (sessions.get("acme"), sessions.get("other")) == ("s-1", "s-2")


async def test_a_refused_session_is_forgotten_unless_it_was_renewed_since() -> None:
    sessions, door = Sessions(), Door(FIRST, SECOND)
    door.open()
    await sessions.sign_in("acme", door.sign_in)
    sessions.drop("acme", "s-1")
    assert sessions.get("acme") is None
    await sessions.sign_in("acme", door.sign_in)
    sessions.drop("acme", "s-1")
    assert sessions.get("acme") == "s-2"
    sessions.drop("other", "s-1")
    assert sessions.get("other") is None


async def test_a_sign_in_that_is_cancelled_itself_is_forgotten() -> None:
    sessions = Sessions()

    async def give_up() -> Authorization:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await sessions.sign_in("acme", give_up)
    door = Door(FIRST)
    door.open()
    await settle()
    assert await sessions.sign_in("acme", door.sign_in) == FIRST

"""Vendor sessions, one per vendor: signed in once for all who wait, renewed only after a 401.

get(vendor)            the session in hand, or None
sign_in(vendor, ...)   the first to come signs in, the others wait for its outcome, good or bad
drop(vendor, refused)  forgets a session that the vendor refused, unless somebody has renewed it since
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from gateway.protocols.base import Authorization
from gateway.relay.outcomes import read_outcome

SignIn = Callable[[], Coroutine[Any, Any, Authorization]]


class _SigningIn(Struct):
    """A sign-in under way, and how many wait for it."""

    task: asyncio.Task[Authorization]
    waiting: int = 0


class Sessions:
    def __init__(self) -> None:
        self._sessions: dict[str, object] = {}
        self._under_way: dict[str, _SigningIn] = {}

    def get(self, vendor: str) -> object:
        return self._sessions.get(vendor)

    async def sign_in(self, vendor: str, sign_in: SignIn) -> Authorization:
        """Raises what the sign-in raised. It goes on as long as anybody waits for it, whoever came first."""
        shared = self._under_way.get(vendor)
        if shared is None:
            shared = self._under_way[vendor] = _SigningIn(asyncio.create_task(self._keep(vendor, sign_in)))
            shared.task.add_done_callback(read_outcome)
        shared.waiting += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.waiting -= 1
            if not shared.waiting:
                self._end(vendor, shared)

    def drop(self, vendor: str, refused: object) -> None:
        if self._sessions.get(vendor) is refused:
            self._sessions.pop(vendor, None)

    async def _keep(self, vendor: str, sign_in: SignIn) -> Authorization:
        authorization = await sign_in()
        if authorization.session is not None:
            self._sessions[vendor] = authorization.session
        return authorization

    def _end(self, vendor: str, shared: _SigningIn) -> None:
        """Nobody waits any more. Who comes next begins anew, also while this one is being cancelled."""
        if self._under_way.get(vendor) is shared:
            del self._under_way[vendor]
        shared.task.cancel()

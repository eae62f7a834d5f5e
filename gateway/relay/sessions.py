"""Vendor sessions, one per vendor: signed in once for all who wait, renewed only after a 401.

get(vendor)            the session in hand, or None
sign_in(vendor, ...)   the first to come signs in, the others wait for its outcome, good or bad
drop(vendor, refused)  forgets a session that the vendor refused, unless somebody has renewed it since
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gateway.protocols.base import Authorization

SignIn = Callable[[], Coroutine[Any, Any, Authorization]]


class Sessions:
    def __init__(self) -> None:
        self._sessions: dict[str, object] = {}
        self._signing_in: dict[str, asyncio.Task[Authorization]] = {}
        self._waiting: dict[str, int] = {}

    def get(self, vendor: str) -> object:
        return self._sessions.get(vendor)

    async def sign_in(self, vendor: str, sign_in: SignIn) -> Authorization:
        """Raises what the sign-in raised. It goes on as long as anybody waits for it, whoever came first."""
        task = self._signing_in.get(vendor)
        if task is None:
            task = self._signing_in[vendor] = asyncio.create_task(self._keep(vendor, sign_in))
            task.add_done_callback(lambda done: self._forget(vendor, done))
            self._waiting[vendor] = 0
        self._waiting[vendor] += 1
        try:
            return await asyncio.shield(task)
        finally:
            self._waiting[vendor] -= 1
            if not self._waiting[vendor]:
                task.cancel()  # nobody waits any more; nothing happens to one that is over

    def drop(self, vendor: str, refused: object) -> None:
        if self._sessions.get(vendor) is refused:
            self._sessions.pop(vendor, None)

    async def _keep(self, vendor: str, sign_in: SignIn) -> Authorization:
        authorization = await sign_in()
        if authorization.session is not None:
            self._sessions[vendor] = authorization.session
        return authorization

    def _forget(self, vendor: str, done: asyncio.Task[Authorization]) -> None:
        if self._signing_in.get(vendor) is done:
            del self._signing_in[vendor]
        if not done.cancelled():
            done.exception()  # read here, because those who waited may all be gone

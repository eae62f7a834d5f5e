"""Asks vendors for their health: `GET` and a path, without credentials, in a task for each vendor that has a probe.

A status of 2xx is well, and anything else is not. No redirect is followed. Each probe makes a connection of its own, so
that a kept one's age is not taken for an illness; what comes of the body is thrown away, and the connection kept or
closed as `Connection.leave` says.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Literal

from gateway.canonical.errors import Cause, GatewayError
from gateway.protocols.base import Headers, VendorRequest
from gateway.relay.rendering import Rendered, Vendor, render
from gateway.relay.upstream import Connection, Pool
from gateway.routing.probe import Probe, ProbeSettings

Outcome = Literal["ok"] | Cause

OUTCOMES: dict[int, Outcome] = {2: "ok", 3: "redirect", 4: "status_4xx", 5: "status_5xx"}
"""By a status's first digit."""


class Probes:
    def __init__(
        self, pool: Pool, *, on_bug: Callable[[BaseException], None], on_probed: Callable[[str, Outcome], None]
    ) -> None:
        """`on_probed` is told of each vendor that was asked, and what came of it."""
        self._pool = pool
        self._on_bug = on_bug
        self._on_probed = on_probed
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, vendor: Vendor, probe: Probe) -> None:
        self._tasks.append(asyncio.create_task(self._ask_on(vendor, probe)))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask_on(self, vendor: Vendor, probe: Probe) -> None:
        """Until it is stopped. A bug is told of once, and says nothing of the vendor."""
        is_told = False
        wait = probe.first_wait()
        while True:
            await asyncio.sleep(wait)
            began = time.monotonic()
            try:
                outcome = await self._ask(vendor, probe.settings)
                probe.end(time.monotonic(), is_well=outcome == "ok")
                self._on_probed(vendor.name, outcome)
            except Exception as bug:  # noqa: BLE001  (it must stop neither this probe nor those of other vendors)
                if not is_told:
                    self._on_bug(bug)
                is_told = True
            wait = began + probe.wait() - time.monotonic()

    async def _ask(self, vendor: Vendor, settings: ProbeSettings) -> Outcome:
        rendered = render(VendorRequest("GET", settings.path), vendor, {})
        late: Cause = "connect_timeout"
        try:
            async with asyncio.timeout(settings.timeout):
                connection = await self._pool.connect(rendered.origin)
                late = "first_event_timeout"
                return await _exchange(connection, rendered)
        except TimeoutError:
            return late
        except GatewayError as error:
            return error.cause


async def _exchange(connection: Connection, rendered: Rendered) -> Outcome:
    answer = _Answer()
    try:
        connection.exchange(rendered.head, rendered.body, answer)
        await answer.came.wait()
    finally:
        if not answer.is_over:
            connection.leave()
    return answer.outcome


class _Answer:
    """Reads what its head says (`upstream.Reader`). Once it is over, somebody else may have the connection."""

    def __init__(self) -> None:
        self.came = asyncio.Event()
        self.outcome: Outcome = "protocol"
        self.is_over = False

    def on_head(self, status: int, _headers: Headers) -> None:
        self.outcome = OUTCOMES.get(status // 100, "protocol")
        self.came.set()

    def on_body(self, data: bytes) -> None: ...

    def on_end(self, error: GatewayError | None) -> None:
        self.is_over = True
        if error is not None and not self.came.is_set():
            self.outcome = error.cause
            self.came.set()

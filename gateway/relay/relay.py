"""What all runs of a process share: vendors, connections, sessions, and the sweeper that keeps their deadlines.

async with Relay(vendors) as relay:
    run = relay.start(core, downstream)
    last = await run.run()
"""

import asyncio
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Literal, Self

from gateway.canonical.errors import Cause, GatewayError
from gateway.protocols.base import Calls, VendorRequest
from gateway.relay.attempt import Left
from gateway.relay.core import Core
from gateway.relay.errands import Errand, Errands, Times
from gateway.relay.probes import Outcome, Probes
from gateway.relay.rendering import Vendor
from gateway.relay.run import Client, Run
from gateway.relay.sessions import Sessions
from gateway.relay.upstream import Pool
from gateway.routing.probe import Probe
from gateway.routing.rules import OnDisconnect

SWEEP_INTERVAL = 0.5
"""Seconds between two looks at every run: how late a deadline or a heartbeat may be."""

STOPPING = Times(connect=5.0, answer=5.0, idle=5.0)
"""A vendor's run that is not stopped by then goes on."""

GOODBYE = 1.0
"""Seconds in which the runs that are left when the process ends may be stopped."""


class Relay:
    def __init__(
        self,
        vendors: Mapping[str, Vendor],
        *,
        send_deadline: float = 30.0,
        ssl_context: ssl.SSLContext | None = None,
        probes: Iterable[tuple[str, Probe]] = (),
        on_bug: Callable[[BaseException], None],
        on_stopped: Callable[[str, Cause | Literal["completed"]], None] = lambda *_: None,
        on_left: Callable[[str, OnDisconnect], None] = lambda *_: None,
        on_probed: Callable[[str, Outcome], None] = lambda *_: None,
    ) -> None:
        """`probes` are asked of the vendors of those names; `on_probed` is told what came of each.

        `on_stopped` is told of each vendor whose run was to be stopped, and how that went. `on_left` is told of the
        route of each message that lost its client, and what becomes of its run.
        """
        if ssl_context is None and any(_is_secure(vendor) for vendor in vendors.values()):
            ssl_context = ssl.create_default_context()  # 0.1 s: now, so that no stream waits for it
        self.pool = Pool(ssl_context)
        self.sessions = Sessions()
        self.errands = Errands(self.pool, self.sessions)
        self.runs: set[Run] = set()
        self._vendors = vendors
        self._send_deadline = send_deadline
        self._on_bug = on_bug
        self._to_probe = tuple(probes)
        self._probes = Probes(self.pool, on_bug=on_bug, on_probed=on_probed)
        self._on_stopped = on_stopped
        self._on_left = on_left
        self._stopping: set[asyncio.Task[None]] = set()
        self._sweeper: asyncio.Task[None] | None = None

    def vendor(self, name: str) -> Vendor:
        return self._vendors[name]

    def start(self, core: Core, downstream: Client | None) -> Run:
        """A run that the sweeper looks after until it is closed."""
        run = Run(core, self, downstream, self._send_deadline)
        self.runs.add(run)
        return run

    def end(self, run: Run) -> None:
        self.runs.discard(run)

    def note_left(self, core: Core) -> None:
        self._on_left(core.ask.started.route, core.target.rules.on_disconnect)

    def stop_vendor(self, left: Left) -> None:
        errand = Errand(self.vendor(left.vendor), left.translator, STOPPING)
        task = asyncio.create_task(self._stop(errand, left.stop))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _stop(self, errand: Errand, request: VendorRequest) -> None:
        outcome: Cause | Literal["completed"] = "completed"
        try:
            await self.errands.run(errand, _only(request))
        except GatewayError as error:
            outcome = error.cause
        except Exception as error:  # noqa: BLE001  (a translator may be anybody's)
            self._on_bug(error)
            outcome = "internal"
        self._on_stopped(errand.vendor.name, outcome)

    async def __aenter__(self) -> Self:
        self._sweeper = asyncio.create_task(self._sweep())
        for name, probe in self._to_probe:
            self._probes.start(self.vendor(name), probe)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
        await self._probes.stop()
        await self._end_stopping()
        self.pool.close()
        await asyncio.sleep(0)  # the transports' own goodbye

    async def _end_stopping(self) -> None:
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=GOODBYE)
        for task in self._stopping:
            task.cancel()
        await asyncio.gather(*self._stopping, return_exceptions=True)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_INTERVAL)
            now = time.monotonic()
            self.pool.sweep(now)
            for run in list(self.runs):
                try:
                    run.sweep(now)
                except Exception as error:  # noqa: BLE001  (one run's bug must not stop the clock of all)
                    self._on_bug(error)


def _only(request: VendorRequest) -> Calls[None]:
    yield request


def _is_secure(vendor: Vendor) -> bool:
    return any(origin.scheme == "https" for origin, _ in vendor.bases.values())

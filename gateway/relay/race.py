"""Hedging: where the target asked first has not begun to answer in time, a second one is asked beside it.

    race = Race(relay.start, first, downstream, after=1.5, hedge=second_core)
    last = await race.run()          stands where a run would; `race.core` is that of the answer

Nothing of an answer goes out before one of the two has content (of a document: before one is whole). That one is the
message from then on, and the other is cancelled: its vendor is left, and its attempts stand in the winner's `beside`.
One that fails leaves the message to the other. Until then the first alone keeps the client waiting. Only targets that
may be run twice are ever asked so: see the plan.
"""

import asyncio
from collections.abc import Callable

from gateway.canonical.errors import GatewayError
from gateway.relay.core import Core, Leaving
from gateway.relay.run import Client, Run, clock

Start = Callable[[Core, Client | None], Run]
"""`Relay.start`."""


class Race:
    def __init__(
        self,
        start: Start,
        first: Core,
        downstream: Client | None,
        *,
        after: float,
        hedge: Callable[[float], Core | None],
    ) -> None:
        """`hedge` makes the core of the second run, if anybody may be asked; `after` is seconds."""
        self._start_run = start
        self._downstream = downstream
        self._after = after
        self._hedge = hedge
        self._first = self._start(first)
        self._second: Run | None = None
        self._winner: Run | None = None

    @property
    def core(self) -> Core:
        return self._leading.core

    @property
    def has_lost_client(self) -> bool:
        return self._leading.has_lost_client

    @property
    def _leading(self) -> Run:
        return self._winner or self._first

    async def run(self) -> bytes:
        """As `Run.run`."""
        tasks = {asyncio.create_task(self._first.run()): self._first}
        try:
            await asyncio.wait(tasks, timeout=self._after)
            if self._may_hedge() and (core := self._hedge(clock())) is not None:
                core.is_muted = True
                self._second = self._start(core)
                if self._first.core.answer.released:
                    core.answer.take_over_release()
                tasks[asyncio.create_task(self._second.run())] = self._second
            return await self._first_past_the_post(tasks)
        except asyncio.CancelledError:
            self.leave()
            raise
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        for run in filter(None, (self._first, self._second)):
            run.close()

    def cancel(self, reason: Leaving) -> None:
        self._win(self._leading)
        self._leading.cancel(reason)

    def leave(self) -> None:
        self._win(self._leading)
        self._leading.leave()

    def stop(self, error: GatewayError) -> None:
        self._win(self._leading)
        self._leading.stop(error)

    def _start(self, core: Core) -> Run:
        if self._downstream is None:
            return self._start_run(core, None)
        lane = _Lane(self, self._downstream)
        lane.run = self._start_run(core, lane)
        return lane.run

    def _may_hedge(self) -> bool:
        core = self._first.core
        return self._winner is None and core.do != "done" and core.first_event_at is None

    async def _first_past_the_post(self, tasks: dict[asyncio.Task[bytes], Run]) -> bytes:
        left = set(tasks)
        while True:
            ended, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                if tasks[task].core.outcome != "failed":
                    self._win(tasks[task])
            for task in left:
                self._win(tasks[task])
            self._win(self._leading)
            for task, run in tasks.items():
                if run is self._winner and task.done():
                    return task.result()

    def _win(self, run: Run) -> None:
        if self._winner is not None:
            return
        self._winner = run
        run.core.is_muted = False
        loser = self._first if run is self._second else self._second
        if loser is not None:
            loser.cancel("hedged")
            run.core.beside = loser.core.attempts
            run.core.answer.heartbeats += loser.core.answer.heartbeats
            run.core.bugs += loser.core.bugs

    def may_write(self, run: Run) -> bool:
        """Whether the client is to see what a run writes: all of the winner's, and the first's start and heartbeats."""
        if self._winner is None and run.core.answer.committed:
            self._win(run)
        if self._winner is None and run is self._first and self._second is not None:
            self._second.core.answer.take_over_release()
        return run is self._leading


class _Lane:
    """The client, as one of the two runs sees it."""

    run: Run

    def __init__(self, race: Race, downstream: Client) -> None:
        self._race = race
        self._downstream = downstream

    def write(self, data: bytes) -> bool:
        return self._downstream.write(data) if self._race.may_write(self.run) else True

    async def drain(self, deadline: float) -> None:
        await self._downstream.drain(deadline)

    def abort(self) -> None:
        self._downstream.abort()

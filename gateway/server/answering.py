"""One message, from the store's first word of it to its last.

    answer    it begins, is run, told to its client and stored; then the metrics and the access line
    cancel    somebody asked to stop it
    leave     its client has gone: the vendor's run is stopped or goes on, as the rules of the target in hand say
    stop      the process ends

All but `answer` may come at any time: what comes while the message begins is done as soon as it is run. What it left
behind is visible to the next message before the client has its last byte.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message
from gateway.canonical.turn import MessageRequest
from gateway.protocols.base import Dialect, Exchange
from gateway.relay.core import Ask, Core, Pace
from gateway.relay.downstream import SERVER, ClientGone, Downstream, send_document
from gateway.relay.race import Race
from gateway.relay.run import Run
from gateway.routing.failover import Failover, key_of
from gateway.routing.order import Bound
from gateway.routing.plan import Route
from gateway.server.asked import Asked
from gateway.server.edge import refuse
from gateway.server.gateway import REQUEST_ID, Gateway
from gateway.server.keeping import Coming, Keeper, Opened, answer_of
from gateway.server.report import Reporter

CANCELED_WITHIN = 10.0
"""Seconds that a message may take to stop before who asked for it is told how it stands."""

NOBODY_READS = 499
"""The status of an answer whose client has gone."""


class Posted(Struct, frozen=True):
    """A message as it came in: who asked what of whom, and when by the monotonic clock."""

    request: web.Request
    exchange: Exchange
    route: Route
    owner: str
    began: float

    @property
    def asked(self) -> MessageRequest:
        return self.exchange.request


class Answering:
    def __init__(self, gateway: Gateway, dialect: Dialect, posted: Posted) -> None:
        self.id = gateway.ids.new("msg")
        self.owner = posted.owner
        self._gateway = gateway
        self._dialect = dialect
        self._posted = posted
        self._keeper = Keeper(gateway, dialect.name)
        self._reporter = Reporter(gateway, dialect.name)
        self._run: Run | Race | None = None
        self._plans: dict[Core, Failover] = {}
        self._plan: Failover | None = None
        self._pending: list[Callable[[Run | Race], None]] = []
        """What is to be done to the run, from before there was one."""
        self._is_over = asyncio.Event()
        self._is_told = False

    async def answer(self) -> web.StreamResponse:
        """Raises `GatewayError` where nobody could be asked."""
        running = self._gateway.running
        running.add(self)
        try:
            return await self._carry_out(*await self._begin())
        except asyncio.CancelledError:
            if self._run is None:
                self._reporter.report_left(
                    self._posted.request[REQUEST_ID], self._posted.route.name, self.owner, self.id
                )
            raise
        finally:
            if self._plan is not None:
                self._plan.close(time.monotonic())
            self._is_over.set()
            running.remove(self)

    async def cancel(self) -> None:
        """Returns when the store knows, or after `CANCELED_WITHIN` seconds."""
        self._do(_cancel)
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCELED_WITHIN):
                await self._is_over.wait()

    def leave(self) -> None:
        if not self._is_told:
            self._do(lambda run: run.leave())

    def stop(self, error: GatewayError) -> None:
        self._do(lambda run: run.stop(error))

    def _do(self, act: Callable[[Run | Race], None]) -> None:
        if self._run is None:
            self._pending.append(act)
        else:
            act(self._run)

    async def _begin(self) -> tuple[Asked, Core, Downstream | None]:
        gateway, posted = self._gateway, self._posted
        asked, route = posted.asked, posted.route
        opened = await self._keeper.begin(Coming(posted.exchange, route, posted.owner, self.id))
        try:
            continuity = self._keeper.continuity(asked, route, opened)
            ask = Asked(
                asked,
                opened.started,
                posted.request[REQUEST_ID],
                route=route,
                protocols=gateway.protocols,
                known=await self._keeper.known(asked, opened, continuity),
                continuity=continuity,
                can_discard=self._dialect.can_discard,
                ids=gateway.ids,
                relay=gateway.relay,
            )
            home = _home(ask, route)
            plan = Failover(route, gateway.health, home=home, began=posted.began, may_leave=asked.failover)
            self._plan = plan
            plan.reserve(time.monotonic())
            core = self._new_core(ask, plan, posted.began)
            downstream = self._downstream(ask) if asked.stream else None
        except BaseException as error:
            await self._refuse(opened, error)
            raise
        return ask, core, downstream

    def _downstream(self, ask: Asked) -> Downstream:
        return Downstream(self._posted.request, self._dialect.content_type, self._dialect.headers(ask.request_id))

    async def _refuse(self, opened: Opened, error: BaseException) -> None:
        """A store that fails is for the log and the metrics: the client is told what was wrong first."""
        stored = asyncio.ensure_future(self._keeper.refuse(opened, error))
        stored.add_done_callback(
            partial(self._reporter.report_stored, self._posted.request[REQUEST_ID], opened.started)
        )
        with suppress(GatewayError):
            await asyncio.shield(stored)

    async def _carry_out(self, ask: Asked, core: Core, downstream: Downstream | None) -> web.StreamResponse:
        gateway, posted = self._gateway, self._posted
        gateway.metrics.stream_opened()
        run = self._run = self._start(core, self._plans[core], downstream)
        stored: asyncio.Future[None] | None = None
        try:
            for act in self._pending:
                act(run)
            try:
                last = await run.run()
            finally:
                core = run.core
                answer = answer_of(core, ask)
                stored = self._keep(core, ask, answer, is_moved=self._plans[core].is_moved)
            return await self._respond(run, answer, downstream, last)
        except ClientGone:
            run.leave()
            return web.Response(status=NOBODY_READS)
        except asyncio.CancelledError:
            run.leave()
            raise
        finally:
            self._is_told = True
            run.close()
            gateway.metrics.stream_closed()
            self._reporter.report(core, ask, posted.owner, client_gone=run.has_lost_client)
            if stored is not None:
                with suppress(GatewayError):
                    await asyncio.shield(stored)  # a client that leaves meanwhile changes nothing

    def _keep(self, core: Core, ask: Asked, answer: Message, *, is_moved: bool) -> "asyncio.Future[None]":
        """From now on the store tells how the message ended."""
        stored = asyncio.ensure_future(self._keeper.end(core, ask, answer, is_moved=is_moved))
        stored.add_done_callback(partial(self._reporter.report_stored, ask.request_id, ask.started))
        self._is_over.set()
        return stored

    def _new_core(self, ask: Ask, plan: Failover, now: float) -> Core:
        route = self._posted.route
        pace = Pace(route.headers_after, route.heartbeat)
        encoder = self._posted.exchange.encoder() if self._posted.asked.stream else None
        core = Core(ask, plan, encoder, now, limits=self._gateway.limits, pace=pace)
        core.started_at = self._posted.began
        self._plans[core] = plan
        return core

    def _start(self, core: Core, plan: Failover, downstream: Downstream | None) -> Run | Race:
        after = self._posted.route.rules.hedge_after
        relay = self._gateway.relay
        if after is None:
            return relay.start(core, downstream)
        return Race(relay.start, core, downstream, after=after, hedge=partial(self._hedge, core.ask, plan))

    def _hedge(self, ask: Ask, plan: Failover, now: float) -> Core | None:
        beside = plan.hedge(now)
        return None if beside is None else self._new_core(ask, beside, now)

    async def _respond(
        self, run: Run | Race, answer: Message, downstream: Downstream | None, last: bytes
    ) -> web.StreamResponse:
        """Raises `ClientGone`."""
        core, request = run.core, self._posted.request
        if run.has_lost_client:
            raise ClientGone
        if downstream is not None and (core.answer.released or core.error is None):
            try:
                return await downstream.end(last, self._gateway.edge.send_deadline)
            except TimeoutError as error:
                downstream.abort()
                raise ClientGone from error
        if core.error is None:
            response = web.Response(
                body=self._posted.exchange.document(answer),
                content_type="application/json",
                headers={**self._dialect.headers(request[REQUEST_ID]), "Server": SERVER},
            )
            return await send_document(request, response, self._gateway.edge.send_deadline)
        if downstream is None and answer.parts:
            core.error.details = {**core.error.details, "message": msgspec.to_builtins(answer)}
        return refuse(self._dialect, core.error, request[REQUEST_ID])


def _cancel(run: Run | Race) -> None:
    run.cancel("canceled")


def _home(ask: Asked, route: Route) -> Bound | None:
    """Where the conversation is, among the route's targets."""
    home = ask.continuity.home
    if home is None or len(route.targets) == 1:
        return None
    for position, target in enumerate(route.targets):
        if ask.binding_key(target) == home:
            moved_at = ask.continuity.bindings[home].moved_at
            moved = None if moved_at is None else (datetime.now(UTC) - moved_at).total_seconds()
            return Bound(key_of(route, position), moved)
    return None

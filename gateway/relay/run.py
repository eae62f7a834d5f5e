"""Drives one message: the core decides, this carries it out over aiohttp and the vendor's connection.

    run()        the handler's task: signs in, sends requests, and otherwise sleeps until it is needed
    on_head ...  called from the vendor's connection: the core turns bytes into bytes, which are written at once
    sweep(now)   called twice a second for every run of the process: deadlines and heartbeats

A delta's way is one callback: no task switch, queue or timer. A client that reads slowly pauses the vendor's transport,
and is cut after `send_deadline` seconds. When the handler is cancelled, because the client went away, the vendor's
connection is closed at once, and its run stopped where that would go on.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import Authorization, Headers, Translator, VendorRequest
from gateway.relay.core import Core
from gateway.relay.downstream import ClientGone, Downstream
from gateway.relay.errands import Errands
from gateway.relay.rendering import Vendor, render
from gateway.relay.sessions import Sessions
from gateway.relay.upstream import Connection, Pool

T = TypeVar("T")

clock = time.monotonic


class Carrier(Protocol):
    """What runs share."""

    pool: Pool
    sessions: Sessions
    errands: Errands

    def vendor(self, name: str) -> Vendor: ...

    def stop_vendor(self, core: Core) -> None:
        """Stops the vendor's run of a canceled message, in the background, where it would go on without us."""
        ...


class Run:
    """One message on its way. `downstream` is None where the answer is one document; durations are seconds."""

    def __init__(self, core: Core, carrier: Carrier, downstream: Downstream | None, send_deadline: float) -> None:
        self.core = core
        self._carrier = carrier
        self._downstream = downstream
        self._send_deadline = send_deadline
        self._connection: Connection | None = None
        self._session: object = None
        self._epoch = core.epoch
        self._last = b""
        self._client_is_gone = False
        self._is_stalled = False
        self._is_stale = False
        self._wake: asyncio.Future[None] | None = None
        self._scope: asyncio.Timeout | None = None

    async def run(self) -> bytes:
        """Until the message is over; returns the bytes to send with the end. Raises `ClientGone`."""
        try:
            while self.core.do != "done":
                await self._catch_up()
                self._epoch = self.core.epoch
                if self.core.do == "authorize":
                    await self._authorize()
                else:
                    await self._call()
        except (ClientGone, asyncio.CancelledError):
            self.core.cancel("client_gone", clock())
            self._carrier.stop_vendor(self.core)
            raise
        except Exception as bug:  # noqa: BLE001  (a bug of ours must not cost the client its terminal event)
            self._confess(bug)
        finally:
            self._let_go()
        return self._last

    def stop(self, error: GatewayError) -> None:
        """Ends the message for a reason of ours, as at shutdown."""
        self._emit(self.core.fail(error, clock()))

    def sweep(self, now: float) -> None:
        if not self._is_stalled:
            try:
                self._emit(self.core.tick(now))
            except Exception as bug:  # noqa: BLE001  (as in `run`)
                self._confess(bug)

    # Signing in.

    async def _authorize(self) -> None:
        core, sessions = self.core, self._carrier.sessions
        epoch = core.epoch
        vendor = self._carrier.vendor(core.target.vendor)
        if core.renew:
            sessions.drop(vendor.name, self._session)
        try:
            await self._wait_until(core.not_before)
            await core.ask.prepare(core.target)
            authorization = await self._authorization(core.translator, vendor)
        except _MovedOn:
            return
        except Exception as error:  # noqa: BLE001  (a translator may be anybody's)
            if core.epoch == epoch:
                self._emit(core.unauthorized(error, clock()))
            return
        if core.epoch == epoch:
            self._session = authorization.session
            self._emit(core.authorized(authorization, clock()))

    async def _wait_until(self, moment: float) -> None:
        wait = moment - clock()
        if wait > 0:
            await self._interruptibly(asyncio.sleep(wait))

    async def _authorization(self, translator: Translator, vendor: Vendor) -> Authorization:
        errands = self._carrier.errands
        ready = errands.ready(translator, vendor)
        if ready is not None:
            return ready
        deadline = self.core.target.deadlines.first_event
        return await self._interruptibly(errands.sign_in(translator, vendor, deadline))

    # Sending.

    async def _call(self) -> None:
        core, request = self.core, self.core.request
        if request is None:
            raise RuntimeError("a call without a request")
        epoch = core.epoch
        vendor = self._carrier.vendor(core.target.vendor)
        while core.epoch == epoch:
            try:
                self._connection = await self._send(request, vendor)
            except _MovedOn:
                return
            except GatewayError as error:
                if core.epoch == epoch:
                    self._emit(core.ended(error, clock()))
                return
            self._is_stale = False
            while core.epoch == epoch and not self._is_stale:
                await self._sleep()
                await self._catch_up()
        self._let_go()

    async def _send(self, request: VendorRequest, vendor: Vendor) -> Connection:
        if request.after:
            await self._interruptibly(asyncio.sleep(request.after))
        rendered = render(request, vendor, self.core.request_headers)
        if rendered.pieces is not None:
            raise RuntimeError("a message's request holds an upload")
        pool = self._carrier.pool
        connection = pool.take_idle(rendered.origin)
        if connection is None:
            connection = await self._interruptibly(pool.connect(rendered.origin))
        self._emit(self.core.sent(clock()))
        connection.exchange(rendered.head, rendered.body, self)
        if self._is_stalled:
            connection.pause()
        return connection

    def _let_go(self) -> None:
        """The response in hand is over, or of no more use; what is left of a complete one may still come in."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if self.core.outcome == "completed":
            connection.leave()
        else:
            connection.abort()

    # What the vendor's connection tells; `_epoch` is that of the request it answers.

    def on_head(self, status: int, headers: Headers) -> None:
        if self.core.epoch == self._epoch:
            try:
                self._emit(self.core.answered(status, headers, clock()))
            except Exception as bug:  # noqa: BLE001  (as in `run`)
                self._confess(bug)

    def on_body(self, data: bytes) -> None:
        if self.core.epoch == self._epoch:
            try:
                self._emit(self.core.received(data, clock()))
            except Exception as bug:  # noqa: BLE001  (as in `run`)
                self._confess(bug)

    def on_end(self, error: GatewayError | None) -> None:
        self._connection = None
        request = self.core.request
        if self.core.epoch != self._epoch:
            return
        if error is not None and error.cause == "stale_connection" and request is not None and request.effect != "once":
            self._is_stale = True  # a kept connection that turned out closed fails nothing that may be repeated
            self._rouse()
        else:
            try:
                self._emit(self.core.ended(error, clock()))
            except Exception as bug:  # noqa: BLE001  (as in `run`)
                self._confess(bug)

    # Towards the client, and waking the handler.

    def _emit(self, data: bytes) -> None:
        """Writes what the core returned, and rouses the handler where it has something to do."""
        core, downstream = self.core, self._downstream
        if core.do == "done":
            self._last += data
        elif data and downstream is not None:
            try:
                keeps_up = downstream.write(data)
            except ClientGone:
                self._client_is_gone = True
                self._rouse()
                return
            if not keeps_up and not self._is_stalled:
                self._is_stalled = True
                if self._connection is not None:
                    self._connection.pause()
                self._rouse()
        if core.epoch != self._epoch:
            self._rouse()

    def _confess(self, bug: Exception) -> None:
        error = GatewayError("internal", "the gateway failed")
        self.core.bugs.append(bug)
        try:
            self._emit(self.core.fail(error, clock()))
        except Exception:  # noqa: BLE001  (the same bug again, as of an encoder)
            self._emit(self.core.abandon(error, clock()))

    def _rouse(self) -> None:
        if self._wake is not None:
            if not self._wake.done():
                self._wake.set_result(None)
        elif self._scope is not None and self._scope.when() is None:
            self._scope.reschedule(0)

    async def _sleep(self) -> None:
        if self._is_stalled or self._is_stale or self._client_is_gone:
            return
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    async def _interruptibly(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Awaits; raises `_MovedOn` when the handler is roused meanwhile."""
        self._scope = asyncio.timeout(None)
        try:
            async with self._scope:
                return await coroutine
        except TimeoutError as error:
            raise _MovedOn from error
        finally:
            self._scope = None

    async def _catch_up(self) -> None:
        """Waits for a slow client while the vendor's transport is paused, and cuts it when it does not read on."""
        if self._client_is_gone:
            raise ClientGone
        if not self._is_stalled or self._downstream is None:
            return
        try:
            await self._downstream.drain(self._send_deadline)
        except TimeoutError as error:
            self.core.cancel("slow_client", clock())
            self._downstream.abort()
            raise ClientGone from error
        self._is_stalled = False
        if self._connection is not None:
            self._connection.unpause()


class _MovedOn(Exception):
    """What was awaited is of no more use."""

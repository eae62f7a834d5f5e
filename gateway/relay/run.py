"""Drives one message: the core decides, this carries it out over aiohttp and the vendor's connection.

    run()        a task: signs in, sends requests, and otherwise sleeps until it is needed
    on_head ...  called from the vendor's connection: the core turns bytes into bytes, which are written at once
    sweep(now)   called twice a second for every run of the process: deadlines and heartbeats

A delta's way is one callback: no task switch, queue or timer. A client that reads slowly pauses the vendor's transport,
and is cut after `send_deadline` seconds.

    cancel()     somebody asked to stop: the vendor's connection is closed at once
    leave()      the client has gone: the same, or the run goes on without it, as the rules of the target in hand say
    stop()       the process ends

Where the run is its handler's own task, that one is cancelled when the client goes away. A vendor that is left, for
whatever reason, is told to stop where its run would go on without us.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Protocol, TypeVar

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import Authorization, Headers, Translator, VendorRequest
from gateway.relay.attempt import Left
from gateway.relay.core import Core, Leaving
from gateway.relay.downstream import ClientGone
from gateway.relay.errands import Errands
from gateway.relay.rendering import Vendor, render
from gateway.relay.sessions import Sessions
from gateway.relay.upstream import Connection, Origin, Pool

T = TypeVar("T")

clock = time.monotonic


class Client(Protocol):
    """Who is written to, as `downstream.Downstream` says."""

    def write(self, data: bytes) -> bool: ...
    async def drain(self, deadline: float) -> None: ...
    def abort(self) -> None: ...


class Carrier(Protocol):
    """What runs share."""

    pool: Pool
    sessions: Sessions
    errands: Errands

    def vendor(self, name: str) -> Vendor: ...

    def stop_vendor(self, left: Left) -> None:
        """In the background."""
        ...

    def note_left(self, core: Core) -> None:
        """A message lost its client."""
        ...

    def end(self, run: "Run") -> None:
        """It needs to be looked after no more."""
        ...


class Run:
    """One message on its way. `downstream` is None where the answer is one document; durations are seconds."""

    def __init__(self, core: Core, carrier: Carrier, downstream: Client | None, send_deadline: float) -> None:
        self.core = core
        self._carrier = carrier
        self._downstream = downstream
        self._send_deadline = send_deadline
        self._connection: Connection | None = None
        self._session: object = None
        self._epoch = core.epoch
        self._last = b""
        self.has_lost_client = False
        """Before its last bytes were sent, as far as is known."""
        self._ends_at: float | None = None
        """When a run that goes on without its client is canceled."""
        self._is_stalled = False
        self._stalled_at = 0.0
        self._is_stale = False
        self._wake: asyncio.Future[None] | None = None
        self._scope: asyncio.Timeout | None = None

    async def run(self) -> bytes:
        """Until the message is over; returns the bytes to send with the end."""
        try:
            while self.core.do != "done":
                self._epoch = self.core.epoch
                if self.core.do == "authorize":
                    await self._authorize()
                else:
                    await self._call()
                await self._catch_up()
        except asyncio.CancelledError:
            self.cancel("client_gone")
            raise
        except Exception as bug:  # noqa: BLE001  (a bug of ours must not cost the client its terminal event)
            self._confess(bug)
        finally:
            self._let_go()
        return self._last

    def close(self) -> None:
        self._carrier.end(self)

    def cancel(self, reason: Leaving) -> None:
        """Ends the message where it stands; one that is over stays as it is."""
        if self.core.do == "done":
            return
        self._tell(self.core.cancel, reason, clock())

    def leave(self, reason: Literal["client_gone", "slow_client"] = "client_gone") -> None:
        """The client has gone, or reads no more. What becomes of the run is settled now, whoever is asked later."""
        if self.has_lost_client:
            return
        self.has_lost_client = True
        self._downstream = None
        self._carrier.note_left(self.core)
        self._unstall()
        rules = self.core.target.rules
        if rules.on_disconnect == "cancel":
            self.cancel(reason)
            return
        self.core.is_muted = True
        if rules.on_disconnect == "drain":
            self._ends_at = clock() + rules.drain

    def stop(self, error: GatewayError) -> None:
        """Ends the message for a reason of ours, as at shutdown."""
        self._tell(self.core.fail, error, clock())

    def sweep(self, now: float) -> None:
        if self._ends_at is not None and now >= self._ends_at:
            self.cancel("client_gone")
        elif not self._is_stalled:
            self._tell(self.core.tick, now)

    # Signing in.

    async def _authorize(self) -> None:
        core, sessions = self.core, self._carrier.sessions
        epoch = core.epoch
        vendor = self._carrier.vendor(core.target.vendor)
        if core.renew:
            sessions.drop(vendor.name, self._session)
        try:
            await self._wait_until(core.not_before)
            if core.epoch != epoch:
                return
            if not core.ask.is_prepared(core.target):
                await self._interruptibly(core.ask.prepare(core.target))
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
            self._emit(self.core.waited(clock()))

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
                await self._send(request, vendor)
            except _MovedOn:
                break
            except GatewayError as error:
                if core.epoch == epoch:
                    self._emit(core.ended(error, clock()))
                break
            self._is_stale = False
            while core.epoch == epoch and not self._is_stale:
                await self._sleep()
                if core.epoch == epoch:  # else the vendor is let go of before anybody is waited for
                    await self._catch_up()
        self._let_go()

    async def _send(self, request: VendorRequest, vendor: Vendor) -> None:
        if request.after:
            await self._interruptibly(asyncio.sleep(request.after))
        rendered = render(request, vendor, self.core.request_headers)
        if rendered.pieces is not None:
            raise RuntimeError("a message's request holds an upload")
        connection = self._carrier.pool.take_idle(rendered.origin)
        if connection is None:
            self.core.connects(clock())
            connection = await self._interruptibly(self._connect(rendered.origin))
        self._connection = connection
        self._emit(self.core.sent(clock()))
        connection.exchange(rendered.head, rendered.body, self)
        if self._is_stalled:
            connection.pause()

    async def _connect(self, origin: Origin) -> Connection:
        """Kept at once, so that one that comes when it is of no more use is let go of."""
        self._connection = await self._carrier.pool.connect(origin)
        return self._connection

    def _let_go(self) -> None:
        """The response in hand is over, or of no more use; what is left of a complete one may still come in."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if self.core.outcome == "completed":
                connection.leave()
            else:
                connection.abort()
        while self.core.left:
            self._carrier.stop_vendor(self.core.left.pop())

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
                self.leave()
            else:
                if not keeps_up and not self._is_stalled:
                    self._stall()
        if core.epoch != self._epoch:
            self._rouse()

    def _tell(self, entry: Callable[..., bytes], *told: object) -> None:
        try:
            self._emit(entry(*told))
        except Exception as bug:  # noqa: BLE001  (as in `run`)
            self._confess(bug)

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
        if self._is_stalled or self._is_stale:
            return
        self._wake = asyncio.get_running_loop().create_future()
        try:
            await self._wake
        finally:
            self._wake = None

    async def _interruptibly(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Awaits; raises `_MovedOn` when the run is roused meanwhile, be it too late to break off."""
        scope = self._scope = asyncio.timeout(None)
        try:
            async with scope:
                result = await coroutine
        except TimeoutError as error:
            if scope.when() is None:
                raise
            raise _MovedOn from error
        finally:
            self._scope = None
        if scope.when() is not None:
            raise _MovedOn
        return result

    # A client that reads slowly.

    def _stall(self) -> None:
        self._is_stalled = True
        self._stalled_at = clock()
        if self._connection is not None:
            self._connection.pause()
        self._rouse()

    def _unstall(self) -> None:
        if self._is_stalled:
            self._is_stalled = False
            self.core.stood_still(self._stalled_at, clock())
            if self._connection is not None:
                self._connection.unpause()
            self._rouse()

    async def _catch_up(self) -> None:
        """Waits for a slow client while the vendor's transport is paused; one that does not read on is given up."""
        while self._is_stalled and self._downstream is not None and self.core.do != "done":
            try:
                await self._interruptibly(self._downstream.drain(self._stalled_at + self._send_deadline - clock()))
            except _MovedOn:
                continue
            except TimeoutError:
                self._downstream.abort()
                self.leave("slow_client")
            except ClientGone:
                self.leave()
            else:
                self._unstall()


class _MovedOn(Exception):
    """What was awaited is of no more use."""

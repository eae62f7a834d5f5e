"""Drives one message: the core decides, this carries it out over aiohttp and the vendor's connection.

    run()        the handler's task: signs in, sends requests, and otherwise sleeps until it is needed
    on_head ...  called from the vendor's connection: the core turns bytes into bytes, which are written at once
    sweep(now)   called twice a second for every run of the process: deadlines and heartbeats

A delta's way is one callback: no task switch, queue or timer. A client that reads slowly pauses the vendor's transport,
and is cut after `send_deadline` seconds. When the handler is cancelled, because the client went away, the vendor's
connection is closed at once.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from aiohttp import MultipartWriter
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import (
    Authorization,
    Calls,
    Credentials,
    Form,
    Headers,
    Translator,
    VendorRequest,
    VendorResponse,
)
from gateway.relay.core import Core, is_wanted, unusable
from gateway.relay.downstream import ClientGone, Downstream
from gateway.relay.sessions import Sessions
from gateway.relay.upstream import Connection, Origin, Pool, render_head

T = TypeVar("T")

clock = time.monotonic


class Vendor(Struct, frozen=True):
    """A configured vendor as the relay calls it: where each base URL leads, and its secrets."""

    name: str
    bases: dict[str, tuple[Origin, str]]
    credentials: Credentials


class Carrier(Protocol):
    """What runs share."""

    pool: Pool
    sessions: Sessions

    def vendor(self, name: str) -> Vendor: ...


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

    async def _authorization(self, translator: Translator, vendor: Vendor) -> Authorization:
        """Without I/O where a plain key or the session in hand suffices; else by the sign-in that all share."""
        sessions = self._carrier.sessions
        calls = translator.authorize(vendor.credentials, sessions.get(vendor.name))
        try:
            request = next(calls)
        except StopIteration as stop:
            ready: Authorization = stop.value
            return ready
        authorization = await self._interruptibly(
            sessions.sign_in(vendor.name, lambda: self._sign_in(calls, request, translator, vendor))
        )
        if authorization.session is None:
            return authorization
        try:
            next(translator.authorize(vendor.credentials, authorization.session))
        except StopIteration as stop:
            own: Authorization = stop.value
            return own
        raise GatewayError("upstream_auth", "the vendor's session was not accepted")

    async def _sign_in(
        self, calls: Calls[Authorization], request: VendorRequest, translator: Translator, vendor: Vendor
    ) -> Authorization:
        """Each answer is read whole and sent back; one that the generator does not want is a refusal.

        Others may wait for it, so it has a deadline of its own and leaves alone what belongs to this run.
        """
        try:
            async with asyncio.timeout(self.core.target.deadlines.first_event):
                while True:
                    response = await self._fetch(request, vendor)
                    fault = unusable(request, response.status, response.headers)
                    if fault is not None:
                        raise fault
                    if not is_wanted(request, response.status):
                        raise translator.refuse(response.status, response.headers, response.body)
                    request = calls.send(response)
        except StopIteration as stop:
            authorization: Authorization = stop.value
            return authorization
        except TimeoutError as error:
            raise GatewayError("upstream_timeout", "the vendor did not answer the sign-in in time") from error
        finally:
            calls.close()

    async def _fetch(self, request: VendorRequest, vendor: Vendor) -> VendorResponse:
        """One small answer, whole. A kept connection that turns out closed fails nothing that may be repeated."""
        pool = self._carrier.pool
        origin, head, body = await _render(request, vendor, {})
        kept = pool.take_idle(origin)
        if kept is not None:
            try:
                return await _exchange(kept, head, body)
            except GatewayError as error:
                if error.cause != "stale_connection" or request.effect == "once":
                    raise
        return await _exchange(await pool.connect(origin), head, body)

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
        origin, head, body = await _render(request, vendor, self.core.request_headers)
        pool = self._carrier.pool
        connection = pool.take_idle(origin)
        if connection is None:
            connection = await self._interruptibly(pool.connect(origin))
        self._emit(self.core.sent(clock()))
        connection.exchange(head, body, self)
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


class _WholeReader:
    """Reads one small response whole, as of a sign-in."""

    def __init__(self, limit: int = 64 * 1024) -> None:
        self.response: asyncio.Future[VendorResponse] = asyncio.get_running_loop().create_future()
        self._limit = limit
        self._status = 0
        self._headers: Headers = {}
        self._pieces: list[bytes] = []
        self._size = 0

    def on_head(self, status: int, headers: Headers) -> None:
        self._status, self._headers = status, headers

    def on_body(self, data: bytes) -> None:
        self._pieces.append(data)
        self._size += len(data)
        if self._size > self._limit:
            self.on_end(GatewayError("upstream_protocol", "a document is too large", cause="too_large"))

    def on_end(self, error: GatewayError | None) -> None:
        if self.response.done():
            return
        if error is not None:
            self.response.set_exception(error)
        else:
            self.response.set_result(VendorResponse(self._status, self._headers, b"".join(self._pieces)))


async def _exchange(connection: Connection, head: bytes, body: bytes) -> VendorResponse:
    reader = _WholeReader()
    connection.exchange(head, body, reader)
    try:
        return await reader.response
    except BaseException:
        connection.abort()
        raise


async def _render(request: VendorRequest, vendor: Vendor, headers: dict[str, str]) -> tuple[Origin, bytes, bytes]:
    """Where a request goes, its head and its body."""
    origin, base_path = vendor.bases[request.base]
    body = request.body
    if isinstance(body, Form):
        body, media_type = await _render_form(body)
        headers = headers | {"Content-Type": media_type}
    return origin, render_head(request, origin, base_path, headers, len(body)), body


async def _render_form(form: Form) -> tuple[bytes, str]:
    """A multipart body and its media type (RFC 7578)."""
    writer = MultipartWriter("form-data")
    for part in form.parts:
        payload = writer.append(part.data, {"Content-Type": part.media_type or "application/octet-stream"})
        if part.file_name is None:
            payload.set_content_disposition("form-data", name=part.name)
        else:
            payload.set_content_disposition("form-data", name=part.name, filename=part.file_name)
    return await writer.as_bytes(), writer.content_type

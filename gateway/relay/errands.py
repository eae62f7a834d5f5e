"""What is asked of a vendor beside messages: signing in, and the errands of the further ports.

    ready(translator, vendor)     the authorization, where a plain key or the session in hand suffices
    sign_in(translator, ...)      the authorization, by the sign-in that all share
    run(errand, calls)            a port's generator, answer by answer; what it returns
    download(errand, request)     one answer's head, and its body piece by piece

Each answer is read whole and capped, save a download's, which pauses the vendor while its pieces wait to be taken. A
401 renews the session and repeats the request, once. What streams an upload is never repeated.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TypeVar

from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.framing.typed import Malformed
from gateway.protocols.base import Authorization, Calls, Headers, Translator, VendorRequest, VendorResponse
from gateway.relay.passing import Passing
from gateway.relay.rendering import Rendered, Vendor, render
from gateway.relay.response import REFUSAL_GRACE, is_wanted, unusable
from gateway.relay.sessions import Sessions
from gateway.relay.upstream import Connection, Pool

T = TypeVar("T")

MAX_REFUSAL = 64 * 1024


class Times(Struct, frozen=True):
    """Seconds to connect; until an answer is whole, or begins where it is passed on; between two pieces."""

    connect: float = 5.0
    answer: float = 60.0
    idle: float = 300.0


class Errand(Struct, frozen=True):
    """Who is asked, by a translator of its own that signs in and explains refusals; `limit` is bytes of an answer."""

    vendor: Vendor
    translator: Translator
    times: Times = Times()
    limit: int = 2 * 1024 * 1024


class Download(Struct, frozen=True):
    headers: Headers
    pieces: AsyncIterator[bytes]


class Errands:
    def __init__(self, pool: Pool, sessions: Sessions) -> None:
        self._pool = pool
        self._sessions = sessions

    # Signing in.

    def ready(self, translator: Translator, vendor: Vendor) -> Authorization | None:
        calls = translator.authorize(vendor.credentials, self._sessions.get(vendor.name))
        try:
            next(calls)
        except StopIteration as stop:
            authorization: Authorization = stop.value
            return authorization
        calls.close()
        return None

    async def sign_in(self, translator: Translator, vendor: Vendor, deadline: float) -> Authorization:
        """Raises `GatewayError` as the vendor refuses; `deadline` seconds bound it for all who wait."""
        authorization = await self._sessions.sign_in(vendor.name, lambda: self._sign_in(translator, vendor, deadline))
        if authorization.session is None:
            return authorization
        own = self.ready(translator, vendor)
        if own is None:
            raise GatewayError("upstream_auth", "the vendor's session was not accepted")
        return own

    async def _sign_in(self, translator: Translator, vendor: Vendor, deadline: float) -> Authorization:
        """Others may wait for it, so it has a deadline of its own and leaves alone what belongs to one message."""
        errand = Errand(vendor, translator, Times(deadline, deadline), MAX_REFUSAL)
        calls = translator.authorize(vendor.credentials, None)
        try:
            with _explained():
                async with asyncio.timeout(deadline):
                    return await _converse(calls, lambda request: self._answer(errand, request, {}))
        except TimeoutError as error:
            raise GatewayError("upstream_timeout", "the vendor did not answer the sign-in in time") from error
        finally:
            calls.close()

    # Errands.

    async def run(self, errand: Errand, calls: Calls[T]) -> T:
        """Raises `GatewayError`: what the vendor refused, what cannot be read, what took too long."""
        try:
            with _explained():
                return await _converse(calls, lambda request: self._authorized_answer(errand, request))
        finally:
            calls.close()

    @asynccontextmanager
    async def download(self, errand: Errand, request: VendorRequest) -> AsyncIterator[Download]:
        """Raises as `run` does, also between two pieces."""
        passing = await self._open(errand, request)
        try:
            with _explained():
                await _check(errand, request, passing)
            async with aclosing(passing.pieces(errand.times.idle)) as pieces:
                yield Download(passing.headers, pieces)
        finally:
            passing.close()

    async def _authorized_answer(self, errand: Errand, request: VendorRequest) -> VendorResponse:
        return await _whole(errand, request, await self._open(errand, request))

    async def _answer(self, errand: Errand, request: VendorRequest, headers: dict[str, str]) -> VendorResponse:
        return await _whole(errand, request, await self._send(errand, request, headers))

    async def _open(self, errand: Errand, request: VendorRequest) -> Passing:
        """The answer's head has come; a session that was refused is renewed, once."""
        authorization = await self._authorize(errand)
        passing = await self._send(errand, request, authorization.headers)
        if passing.status != 401 or authorization.session is None:
            return passing
        self._sessions.drop(errand.vendor.name, authorization.session)
        if request.is_upload:
            return passing
        passing.close()
        return await self._send(errand, request, (await self._authorize(errand)).headers)

    async def _authorize(self, errand: Errand) -> Authorization:
        ready = self.ready(errand.translator, errand.vendor)
        return ready or await self.sign_in(errand.translator, errand.vendor, errand.times.answer)

    # One exchange.

    async def _send(self, errand: Errand, request: VendorRequest, headers: dict[str, str]) -> Passing:
        """A kept connection that turns out closed fails nothing that may be repeated."""
        if request.after:
            await asyncio.sleep(request.after)
        rendered = render(request, errand.vendor, headers)
        kept = self._pool.take_idle(rendered.origin) if rendered.pieces is None else None
        if kept is not None:
            try:
                return await _exchange(kept, rendered, errand.times)
            except GatewayError as error:
                if error.cause != "stale_connection" or request.effect == "once":
                    raise
        return await _exchange(await self._connect(rendered, errand.times), rendered, errand.times)

    async def _connect(self, rendered: Rendered, times: Times) -> Connection:
        try:
            async with asyncio.timeout(times.connect):
                return await self._pool.connect(rendered.origin)
        except TimeoutError as error:
            raise GatewayError(
                "upstream_timeout", "the vendor could not be reached in time", cause="connect_timeout"
            ) from error


async def _converse(calls: Calls[T], answer: Callable[[VendorRequest], Awaitable[VendorResponse]]) -> T:
    """Each answer is sent back to the generator, until it returns."""
    try:
        request = next(calls)
        while True:
            request = calls.send(await answer(request))
    except StopIteration as stop:
        done: T = stop.value
        return done


async def _exchange(connection: Connection, rendered: Rendered, times: Times) -> Passing:
    """Until the answer's head."""
    passing = Passing(connection)
    try:
        connection.exchange(rendered.head, rendered.body, passing)
        if rendered.pieces is None:
            passing.is_sent = True
        else:
            await _upload(connection, rendered.pieces, passing, times.idle)
        await passing.begin(times.answer)
    except BaseException:
        passing.close()
        raise
    return passing


async def _upload(connection: Connection, pieces: AsyncIterator[bytes], passing: Passing, idle: float) -> None:
    """The vendor may refuse before it has read all; that it took what it has not read is not believed."""
    writing = asyncio.create_task(_write(connection, pieces, passing, idle))
    try:
        await asyncio.wait({writing, passing.head}, return_when=asyncio.FIRST_COMPLETED)
        if not passing.head.done():
            await writing
    finally:
        writing.cancel()
        await asyncio.wait({writing})
        if not writing.cancelled():
            writing.exception()  # read, so that asyncio does not complain
    if not passing.is_sent and 200 <= passing.status < 300:
        raise GatewayError("upstream_protocol", "the vendor answered before it had read the upload")


async def _write(connection: Connection, pieces: AsyncIterator[bytes], passing: Passing, idle: float) -> None:
    """Nothing is waited for behind the last piece: a vendor may answer as it sees the form's end."""
    async for piece in pieces:
        await _drain(connection, idle)
        connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
    connection.write(b"0\r\n\r\n")
    passing.is_sent = True


async def _drain(connection: Connection, idle: float) -> None:
    try:
        async with asyncio.timeout(idle):
            await connection.drain()
    except TimeoutError as error:
        raise GatewayError("upstream_timeout", "the vendor did not read on in time", cause="idle_timeout") from error


async def _whole(errand: Errand, request: VendorRequest, passing: Passing) -> VendorResponse:
    try:
        await _check(errand, request, passing)
        body = await passing.whole(errand.limit)
    finally:
        passing.close()
    return VendorResponse(passing.status, passing.headers, body)


async def _check(errand: Errand, request: VendorRequest, passing: Passing) -> None:
    """Raises what is wrong with an answer by its status and headers."""
    fault = unusable(request, passing.status, passing.headers)
    if fault is not None:
        raise fault
    if not is_wanted(request, passing.status):
        body = await passing.beginning(MAX_REFUSAL, REFUSAL_GRACE)
        error = errand.translator.refuse(passing.status, passing.headers, body)
        error.vendor_status = passing.status
        raise error


@contextmanager
def _explained() -> Iterator[None]:
    """What a protocol raises of a document that cannot be read becomes a `GatewayError`."""
    try:
        yield
    except Malformed as cause:
        error = GatewayError("upstream_protocol", "the vendor sent a document that cannot be read", cause="malformed")
        error.vendor_message = str(cause)
        raise error from cause

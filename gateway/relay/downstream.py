"""The client's side of one stream: headers, whole frames written at once, and the wait for a client that reads slowly.

Nothing here suspends but `drain` and `end`: a frame is written from the callback that made it, without a task switch.
A write to a client that has gone raises `ClientGone`.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from aiohttp import web
from aiohttp.http import StreamWriter

T = TypeVar("T")

STREAM_HEADERS = {
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx passes each frame on at once
}


class ClientGone(Exception):  # noqa: N818  (it names the fact)
    """The client closed its connection."""


class Downstream:
    def __init__(self, request: web.Request, content_type: str, headers: dict[str, str]) -> None:
        self._request = request
        self._response = web.StreamResponse(headers={"Content-Type": content_type, **STREAM_HEADERS, **headers})
        self._writer: StreamWriter | None = None

    @property
    def has_begun(self) -> bool:
        return self._writer is not None

    @property
    def is_slow(self) -> bool:
        """The client reads slower than we write: what is buffered is over the transport's high-water mark."""
        return self._request.protocol.writing_paused

    def write(self, data: bytes) -> None:
        try:
            if self._writer is None:
                self._writer = cast("StreamWriter | None", _at_once(self._response.prepare(self._request)))
            if self._writer is not None:
                _at_once(self._writer.write(data, drain=False))
        except ConnectionError as error:
            raise ClientGone from error

    async def drain(self, deadline: float) -> None:
        """Waits until the client has read on, at most `deadline` seconds; raises `TimeoutError` and `ClientGone`."""
        if self._writer is None:
            return
        try:
            async with asyncio.timeout(deadline):
                await self._writer.drain()
        except ConnectionError as error:
            raise ClientGone from error
        if self._request.transport is None:
            raise ClientGone

    async def end(self, data: bytes, deadline: float) -> web.StreamResponse:
        """The last bytes and the end of the body in one write; raises as `drain` does."""
        try:
            await self._response.prepare(self._request)
            async with asyncio.timeout(deadline):
                await self._response.write_eof(data)
        except ConnectionError as error:
            raise ClientGone from error
        return self._response

    def abort(self) -> None:
        """Cuts the connection, dropping what the client has not read."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends (aiohttp's `prepare`, and `write` that does not drain)."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine suspended that never should")

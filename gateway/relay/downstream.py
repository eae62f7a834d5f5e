"""The client's side of one stream: headers, whole frames written at once, and the wait for a client that reads slowly.

Nothing here suspends but `drain` and `end`: a frame is written from the callback that made it, without a task switch.
A write to a client that has gone raises `ClientGone`.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar, cast

from aiohttp import web
from aiohttp.http import HttpVersion11, StreamWriter

from gateway.relay.outcomes import read_outcome

T = TypeVar("T")

SERVER = "protocol-gateway"
"""Instead of the versions of what we are made of."""

STREAM_HEADERS = {
    "Server": SERVER,
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",  # nginx passes each frame on at once
}


ROOM = 32 * 1024


class ClientGone(Exception):
    """The client closed its connection."""


class _Stream(web.StreamResponse):
    _send_headers_immediately = False  # but in one write with the first bytes


class Downstream:
    """aiohttp writes the head and the end; in between each batch of frames is one chunk, written to the transport."""

    def __init__(self, request: web.Request, content_type: str, headers: dict[str, str]) -> None:
        self._request = request
        self._protocol = request.protocol
        self._response = _Stream(headers={"Content-Type": content_type, **STREAM_HEADERS, **headers})
        self._writer: StreamWriter | None = None
        self._transport: asyncio.Transport | None = None

    def write(self, data: bytes) -> bool:
        """Whether the client keeps up: False when what is buffered is over the transport's high-water mark."""
        transport = self._transport
        if transport is None:
            self._begin(data)
        elif transport.is_closing():
            raise ClientGone
        else:
            transport.write(_chunk(data))
        return not self._protocol.writing_paused

    def _begin(self, data: bytes) -> None:
        """The head and the first bytes in one write; a client of HTTP/1.0 gets no chunks, so aiohttp writes on."""
        try:
            self._writer = cast("StreamWriter | None", _at_once(self._response.prepare(self._request)))
            if self._writer is not None:
                _at_once(self._writer.write(data, drain=False))
        except ConnectionError as error:
            raise ClientGone from error
        if self._request.version >= HttpVersion11:
            self._transport = self._request.transport

    async def drain(self, deadline: float) -> None:
        """Waits until the client has read on, at most `deadline` seconds; raises `TimeoutError` and `ClientGone`."""
        if self._writer is None:
            return
        try:
            async with asyncio.timeout(deadline):
                if self._protocol.writing_paused:
                    # Shielded: a wait of aiohttp's that was cancelled cancels whoever waits there next.
                    draining = asyncio.ensure_future(self._writer.drain())
                    draining.add_done_callback(read_outcome)
                    await asyncio.shield(draining)
        except ConnectionError as error:
            raise ClientGone from error
        if self._request.transport is None:
            raise ClientGone

    async def end(self, data: bytes, deadline: float) -> web.StreamResponse:
        """The last bytes and the end of the body in one write; raises as `drain` does."""
        try:
            await self._response.prepare(self._request)
            if self._has_room_for(data):
                await self._response.write_eof(data)
            else:
                async with asyncio.timeout(deadline):
                    await self._response.write_eof(data)
        except ConnectionError as error:
            raise ClientGone from error
        return self._response

    def _has_room_for(self, data: bytes) -> bool:
        """Whether a write cannot have to wait: far less is buffered than the transport's high-water mark (64 KB)."""
        transport = self._request.transport
        return transport is not None and transport.get_write_buffer_size() + len(data) < ROOM

    def abort(self) -> None:
        """Cuts the connection, dropping what the client has not read."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()


_SIZE_LINES = [b"%x\r\n" % size for size in range(4096)]


def _chunk(data: bytes) -> bytes:
    size = len(data)
    line = _SIZE_LINES[size] if size < len(_SIZE_LINES) else b"%x\r\n" % size
    return line + data + b"\r\n"


async def send_document(request: web.Request, response: web.Response, deadline: float) -> web.Response:
    """A whole answer; raises `ClientGone` where its client has gone, or does not read it within `deadline` seconds."""
    try:
        async with asyncio.timeout(deadline):
            await response.prepare(request)
            await response.write_eof()
    except ConnectionError as error:
        raise ClientGone from error
    except TimeoutError as error:
        if request.transport is not None:
            request.transport.abort()
        raise ClientGone from error
    return response


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never suspends (aiohttp's `prepare`, and `write` that does not drain)."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    coroutine.close()
    raise RuntimeError("a coroutine suspended that never should")

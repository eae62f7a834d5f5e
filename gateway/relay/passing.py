"""One answer of a vendor on its way past: its head, then its body piece by piece, or whole up to a limit.

The vendor is paused while more than `MAX_WAITING` bytes wait to be taken, so a slow client slows the vendor down.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import suppress

from gateway.canonical.errors import Cause, GatewayError
from gateway.protocols.base import Headers
from gateway.relay.upstream import Connection

MAX_WAITING = 256 * 1024


class Passing:
    """Reads one exchange of `connection` (`upstream.Reader`). `close` frees the connection, whatever is left."""

    def __init__(self, connection: Connection) -> None:
        self._loop = asyncio.get_running_loop()
        self.head: asyncio.Future[None] = self._loop.create_future()
        """Done once `status` and `headers` are known; what kept them from coming is its exception."""
        self.status = 0
        self.headers: Headers = {}
        self.is_sent = False
        """The request is written to its end. An answer that comes before leaves a connection nobody can use again."""
        self._connection: Connection | None = connection
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._is_paused = False
        self._is_over = False
        self._error: GatewayError | None = None
        self._news = asyncio.Event()
        self._due = 0.0

    def on_head(self, status: int, headers: Headers) -> None:
        self.status, self.headers = status, headers
        if not self.head.done():
            self.head.set_result(None)

    def on_body(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        self._news.set()
        if self._size > MAX_WAITING and not self._is_paused and self._connection is not None:
            self._is_paused = True
            self._connection.pause()

    def on_end(self, error: GatewayError | None) -> None:
        connection, self._connection = self._connection, None
        if not self.is_sent and connection is not None:
            connection.abort()  # else the rest of this request would stand before the next one
        self._is_over = True
        self._error = error
        self._news.set()
        if error is not None and not self.head.done():
            self.head.set_exception(error)

    async def begin(self, deadline: float) -> None:
        """Waits for the head. `whole` counts `deadline` from now, too. Raises what kept it from coming."""
        self._due = self._loop.time() + deadline
        try:
            async with asyncio.timeout_at(self._due):
                await self.head
        except TimeoutError as error:
            raise GatewayError("upstream_timeout", "the vendor did not answer in time") from error

    async def pieces(self, idle: float) -> AsyncGenerator[bytes, None]:
        """Raises what broke the body, and `upstream_timeout` after `idle` seconds of silence."""
        while await self._has_more(self._loop.time() + idle, "idle_timeout"):
            yield self._take()

    async def whole(self, limit: int) -> bytes:
        """The body. Raises `upstream_protocol` where it is over `limit` bytes."""
        body = bytearray()
        while await self._has_more(self._due, "total_timeout"):
            body += self._take()
            if len(body) > limit:
                raise GatewayError("upstream_protocol", f"a document is over {limit} bytes", cause="too_large")
        return bytes(body)

    async def beginning(self, limit: int, grace: float) -> bytes:
        """What comes of the body within `grace` seconds, up to `limit` bytes, whatever breaks it."""
        due = self._loop.time() + grace
        body = bytearray()
        with suppress(GatewayError):
            while len(body) < limit and await self._has_more(due, "total_timeout"):
                body += self._take()
        return bytes(body[:limit])

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        if self.head.done() and not self.head.cancelled():
            self.head.exception()  # read, so that asyncio does not complain

    def _take(self) -> bytes:
        piece = self._waiting.popleft()
        self._size -= len(piece)
        if self._is_paused and self._size <= MAX_WAITING // 2 and self._connection is not None:
            self._is_paused = False
            self._connection.unpause()
        return piece

    async def _has_more(self, due: float, late: Cause) -> bool:
        """Whether a piece waits to be taken; False at the body's end. Raises what broke it."""
        if not self._waiting and not self._is_over:
            self._news.clear()
            try:
                async with asyncio.timeout_at(due):
                    await self._news.wait()
            except TimeoutError as error:
                raise GatewayError("upstream_timeout", "the vendor did not go on in time", cause=late) from error
        if not self._waiting and self._error is not None:
            raise self._error
        return bool(self._waiting)

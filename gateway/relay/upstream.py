"""HTTP/1.1 to vendors: pooled connections whose bytes come in by callback, without a task switch per read.

    Pool.connect(origin)    an idle connection of that origin, or a new one
    Connection.exchange()   writes one request; the `Reader` is told of the answer, its bytes and its end

aiohttp's client is left out: it costs a task switch per read (an event then takes 14 us instead of 9), and cannot say
whether a request was written. What its defaults would do is decided
here: no redirect is followed, no cookie kept, no proxy or netrc read, no body decompressed, no POST ever repeated, no
limit on connections. `Accept-Encoding: identity` is asked for.

Every failure reaches the caller as a `GatewayError` whose `cause` says where it happened.
"""

import asyncio
import socket
import ssl
import time
from collections import deque
from typing import Protocol
from urllib.parse import urlencode, urlsplit

from aiohappyeyeballs import start_connection
from aiohttp.base_protocol import BaseProtocol
from msgspec import Struct

from gateway.canonical.errors import Cause, GatewayError
from gateway.protocols.base import Headers, VendorRequest
from gateway.relay.http1 import Body, HeadReader, Unreadable, body_of

KEEPALIVE = 15.0
"""Seconds that an idle connection is kept; below the shortest keep-alive in common use."""

DRAIN_GRACE = 1.0
"""Seconds that the rest of a body may take once nobody wants it, so that its connection can be used again."""

DRAIN_BYTES = 1024 * 1024

MAX_SHOWN = 100
"""Characters of an exception that the log shows, escaped."""

HAPPY_EYEBALLS_DELAY = 0.25


class Origin(Struct, frozen=True):
    """Where connections go; two requests share a connection only if all of it is equal."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


DEFAULT_PORTS = {"http": 80, "https": 443}


def split_base_url(url: str) -> tuple[Origin, str]:
    """A base URL as its origin and its path without a slash at the end. Raises `ValueError` for any other URL."""
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ValueError("not an http(s) URL with a host")
    return Origin(parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme]), parts.path.rstrip("/")


class Reader(Protocol):
    """Who reads the response. Each is called from the connection's own callback."""

    def on_head(self, status: int, headers: Headers) -> None: ...
    def on_body(self, data: bytes) -> None: ...
    def on_end(self, error: GatewayError | None) -> None: ...


class Connection(BaseProtocol):
    """One connection, one exchange at a time. After its end it goes back to the pool, or is closed."""

    __slots__ = (
        "_body",
        "_heads",
        "_is_last",
        "_is_paused",
        "_pool",
        "_reader",
        "_spare",
        "idle_since",
        "is_reused",
        "origin",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: "Pool", origin: Origin) -> None:
        super().__init__(loop)
        self.origin = origin
        self.is_reused = False
        self.idle_since = 0.0
        self._pool = pool
        self._heads = HeadReader(self, loop)
        self._reader: Reader | None = None
        self._body: Body | None = None
        self._is_last = False
        self._is_paused = False
        self._spare = 0

    @property
    def is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def exchange(self, head: bytes, body: bytes, reader: Reader) -> None:
        if self.transport is None:
            raise _lost("connect", None)
        self._reader = reader
        self._body = None
        self.transport.write(head + body if body else head)

    def write(self, data: bytes) -> None:
        """More of a request's body."""
        if self.transport is None:
            raise _lost("reset_before_headers", None)
        self.transport.write(data)

    async def drain(self) -> None:
        """Waits until the vendor has read on."""
        try:
            await self._drain_helper()
        except ConnectionError as error:
            raise _lost("reset_before_headers", error) from error

    def pause(self) -> None:
        """Stops reading, so that TCP slows the vendor down."""
        self._is_paused = True
        if self.transport is not None:
            self.transport.pause_reading()

    def unpause(self) -> None:
        self._is_paused = False
        if self.transport is not None:
            self.transport.resume_reading()

    def leave(self) -> None:
        """Nobody wants the rest. What is left of a body may still come within a bound; anything else is cut off."""
        if self._reader is None:
            return
        if self._body is not None and self.is_open:
            self._spare = DRAIN_BYTES
            self._reader = _Nobody()
            self._pool.drain(self)
        else:
            self.abort()

    def abort(self) -> None:
        self._reader = None
        self._body = None
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader is None:
            self.abort()  # bytes that no request asked for
            return
        try:
            if self._body is None:
                data = self._read_head(data, reader)
            body = self._body
            if body is None or self._reader is not reader:
                return
            piece = body.feed(data) if data else b""
        except Unreadable as error:
            self._give_up(error, reader)
            return
        if piece:
            reader.on_body(piece)
        if body.is_whole and self._body is body:
            self._end(None)
        elif self._spare:
            self._spend(len(data))

    def _give_up(self, error: Unreadable, reader: Reader) -> None:
        if error.before:
            reader.on_body(error.before)
        if self._reader is reader:
            self._end(_unreadable(error))

    def _spend(self, count: int) -> None:
        """Of the bytes that may still come though nobody wants them."""
        self._spare -= count
        if self._spare <= 0:
            self.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._is_last = True
        if self._reader is not None:
            self._lose(exc)
        super().connection_lost(exc)
        self._pool.forget(self)

    def _read_head(self, data: bytes, reader: Reader) -> bytes:
        """Tells the reader of a head that is whole; the bytes behind it."""
        found = self._heads.feed(data)
        if found is None:
            return b""
        head, rest = found
        self._body = body_of(head)
        self._is_last = head.is_last
        reader.on_head(head.status, head.headers)
        return rest

    def _end(self, error: GatewayError | None) -> None:
        """The exchange is over. The connection is freed before the reader is told, so that it can be used at once."""
        reader, self._reader, self._body, self._spare = self._reader, None, None, 0
        if error is None and not self._is_last and self.is_open:
            if self._is_paused:  # by the reader, as the last bytes came
                self.unpause()
            self._pool.release(self)
        else:
            self.abort()
        if reader is not None:
            reader.on_end(error)

    def _lose(self, exc: BaseException | None) -> None:
        """The transport is gone: a body that lasts until the close is whole now, anything else was cut."""
        if self._body is not None:
            try:
                if exc is None:
                    self._body.close()
                    self._end(None)
                    return
            except Unreadable:
                pass  # told below: the answer was cut
            self._end(_lost("reset_midstream", exc))
        else:
            self._end(_lost("stale_connection" if self.is_reused else "reset_before_headers", exc))


class _Nobody:
    """Reads what nobody wants."""

    def on_head(self, status: int, headers: Headers) -> None: ...
    def on_body(self, data: bytes) -> None: ...
    def on_end(self, error: GatewayError | None) -> None: ...


_LOST: dict[Cause, str] = {
    "connect": "the vendor cannot be reached",
    "reset_midstream": "the vendor's connection broke in the middle of its answer",
    "stale_connection": "the vendor closed a kept connection as the request was sent",
    "reset_before_headers": "the vendor closed the connection without an answer",
}


class Pool:
    """The idle connections to all vendors. One per process; `sweep` is called every now and then."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl = ssl_context
        self._idle: dict[Origin, deque[Connection]] = {}
        self._open: set[Connection] = set()
        self._draining: dict[Connection, float] = {}

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def take_idle(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.is_open:
                connection.is_reused = True
                return connection
        return None

    async def connect(self, origin: Origin) -> Connection:
        """A new connection. Raises `GatewayError` with cause `connect` or `tls`; nothing was sent then."""
        loop = asyncio.get_running_loop()
        try:
            addresses = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
            sock = await start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY, interleave=1)
        except OSError as error:
            raise _unreachable("connect", "the vendor cannot be reached", origin, error) from error
        is_secure = origin.scheme == "https"
        if is_secure and self._ssl is None:
            self._ssl = ssl.create_default_context()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(loop, self, origin),
                sock=sock,
                ssl=self._ssl if is_secure else None,
                server_hostname=origin.host if is_secure else None,
            )
        except ssl.SSLError as error:
            raise _unreachable("tls", "the vendor's certificate or TLS cannot be trusted", origin, error) from error
        except OSError as error:
            raise _unreachable("connect", "the vendor cannot be reached", origin, error) from error
        self._open.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        self._draining.pop(connection, None)
        connection.idle_since = time.monotonic()
        self._idle.setdefault(connection.origin, deque()).append(connection)

    def drain(self, connection: Connection) -> None:
        connection.unpause()
        self._draining[connection] = time.monotonic() + DRAIN_GRACE

    def forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._draining.pop(connection, None)

    def sweep(self, now: float) -> None:
        """Closes what was idle for too long, and what went on sending after nobody wanted it."""
        for connection in [late for late, deadline in self._draining.items() if deadline <= now]:
            connection.abort()
        for origin, idle in list(self._idle.items()):
            while idle and (now - idle[0].idle_since >= KEEPALIVE or not idle[0].is_open):
                idle.popleft().abort()
            if not idle:
                del self._idle[origin]

    def close(self) -> None:
        for connection in list(self._open):
            connection.abort()


def render_head(
    request: VendorRequest, origin: Origin, base_path: str, headers: dict[str, str], size: int | None
) -> bytes:
    """The request's head; the body has `size` bytes, or comes in chunks (None).

    Raises `GatewayError("internal")` for a line end in it, which would be an injection.
    """
    target = f"{base_path}{request.path}" or "/"
    if request.query:
        target += "?" + urlencode(request.query)
    fields = {
        "Host": origin.netloc,
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        **headers,
        **request.headers,
    }
    if size is None:
        fields["Transfer-Encoding"] = "chunked"
    elif size or request.method not in {"GET", "HEAD", "DELETE"}:
        fields["Content-Length"] = str(size)
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    text = "\r\n".join(lines)
    if not FORBIDDEN.isdisjoint(map(str.lower, (*headers, *request.headers))):
        raise GatewayError("internal", "a request to the vendor names a header that is ours to set")
    if text.count("\r") != len(fields) or text.count("\n") != len(fields) or "\0" in text or " " in target:
        raise GatewayError("internal", "a request to the vendor could not be built")
    return (text + "\r\n\r\n").encode("utf-8", "strict")


FORBIDDEN = frozenset({"host", "content-length", "transfer-encoding", "connection"})
USER_AGENT = "protocol-gateway"


def _unreachable(cause: Cause, message: str, origin: Origin, error: OSError) -> GatewayError:
    reason = getattr(error, "verify_message", None) or error.strerror or type(error).__name__
    failure = GatewayError("upstream_protocol" if cause == "tls" else "upstream_unavailable", message, cause=cause)
    failure.vendor_message = f"{origin.host}:{origin.port}: {reason}"
    return failure


def _lost(cause: Cause, exc: BaseException | None) -> GatewayError:
    error = GatewayError("upstream_unavailable", _LOST[cause], cause=cause)
    error.vendor_message = ascii(str(exc))[:MAX_SHOWN] if exc else None
    return error


def _unreadable(cause: Unreadable) -> GatewayError:
    error = GatewayError("upstream_protocol", "the vendor's HTTP cannot be read", cause="protocol")
    error.vendor_message = ascii(str(cause))[:MAX_SHOWN]
    return error

"""HTTP/1.1 to vendors: pooled connections whose bytes come in by callback, without a task switch per read.

    Pool.connect(origin)    an idle connection of that origin, or a new one
    Connection.exchange()   writes one request; the `Reader` is told of the answer, its bytes and its end

aiohttp's compiled parser reads the responses; its client is left out because it costs a task switch per read (an event
then takes 14 us instead of 9) and cannot say whether a request was written. What its defaults would do is decided
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
from aiohttp.http import HttpProcessingError, HttpResponseParser, RawResponseMessage
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.streams import StreamReader
from msgspec import Struct

from gateway.canonical.errors import Cause, GatewayError
from gateway.protocols.base import Headers, VendorRequest

UNLIMITED = 1 << 30
"""For the parser's own flow control, which is not used: each read's bytes are taken out as soon as they are parsed."""

KEEPALIVE = 15.0
"""Seconds that an idle connection is kept; below the shortest keep-alive in common use."""

DRAIN_GRACE = 1.0
"""Seconds that the rest of a body may take once nobody wants it, so that its connection can be used again."""

DRAIN_BYTES = 1024 * 1024

MAX_HEADER_LINE = 8190
MAX_HEADERS = 128

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

    __slots__ = ("_closes", "_head_seen", "_payload", "_pool", "_reader", "_spare", "idle_since", "is_reused", "origin")

    def __init__(self, loop: asyncio.AbstractEventLoop, pool: "Pool", origin: Origin) -> None:
        super().__init__(loop)
        self.origin = origin
        self.is_reused = False
        self.idle_since = 0.0
        self._pool = pool
        self._reader: Reader | None = None
        self._payload: StreamReader | None = None
        self._head_seen = False
        self._closes = False
        self._spare = 0

    @property
    def is_open(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def exchange(self, head: bytes, body: bytes, reader: Reader) -> None:
        if self.transport is None:
            raise ConnectionResetError("the connection is closed")
        self._reader = reader
        self._payload = None
        self._head_seen = False
        self._parser = HttpResponseParser(
            self,
            self._loop,
            UNLIMITED,
            max_line_size=MAX_HEADER_LINE,
            max_field_size=MAX_HEADER_LINE,
            max_headers=MAX_HEADERS,
            read_until_eof=True,
            auto_decompress=False,
        )
        self.transport.write(head + body if body else head)

    def pause(self) -> None:
        """Stops reading, so that TCP slows the vendor down."""
        if self.is_open and self.transport is not None:
            self.transport.pause_reading()

    def unpause(self) -> None:
        if self.is_open and self.transport is not None:
            self.transport.resume_reading()

    def leave(self) -> None:
        """Nobody wants the rest. What is left of a body may still come within a bound; anything else is cut off."""
        if self._reader is None:
            return
        self._reader = None
        if self._head_seen and self.is_open:
            self._spare = DRAIN_BYTES
            self._pool.drain(self)
        else:
            self.abort()

    def abort(self) -> None:
        self._reader = None
        self._closes = True
        if self.transport is not None:
            self.transport.abort()

    def pause_reading(self) -> None:
        """The parser's flow control is not used: what it parsed is taken out at once."""

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002  (aiohttp's signature)
        """As `pause_reading`; aiohttp's own would parse again from within a read."""

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            self.abort()  # bytes that no request asked for
            return
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except (HttpProcessingError, ValueError) as error:
            self._break("protocol", "the vendor's HTTP cannot be read", _shown(error))
            return
        for message, payload in messages:
            if message.code < 200 and message.code != 101:
                continue
            if upgraded or self._head_seen:
                self._break("protocol", "the vendor's HTTP has an answer that no request asked for", "")
                return
            self._begin(message, payload)
        self._read_body()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._closes = True
        if self._parser is not None and self._reader is not None:
            self._lose(exc)
        self._parser = None
        super().connection_lost(exc)
        self._pool.forget(self)

    def _begin(self, message: RawResponseMessage, payload: StreamReader) -> None:
        self._head_seen = True
        self._payload = payload
        self._closes = message.should_close
        if self._reader is not None:
            self._reader.on_head(message.code, message.headers)

    def _read_body(self) -> None:
        payload = self._payload
        if payload is None:
            return
        failed = payload.exception()
        if failed is not None:
            self._break("reset_midstream", "the vendor's body cannot be read", _shown(failed))
            return
        data = payload.read_nowait()
        if data:
            if self._reader is not None:
                self._reader.on_body(data)
            else:
                self._spare -= len(data)
        if payload.is_eof():
            self._end(None)
        elif self._reader is None and self._spare <= 0:
            self.abort()

    def _end(self, error: GatewayError | None) -> None:
        """The exchange is over: the reader is told, and the connection freed first, so that it can be used at once."""
        reader, self._reader = self._reader, None
        self._payload = None
        self._parser = None
        if error is None and not self._closes and self.is_open:
            self._pool.release(self)
        else:
            self.abort()
        if reader is not None:
            reader.on_end(error)

    def _lose(self, exc: BaseException | None) -> None:
        """The transport is gone: a body that lasts until the close is whole now, anything else was cut."""
        if self._head_seen and exc is None and self._payload is not None and self._parser is not None:
            try:
                self._parser.feed_eof()
            except (HttpProcessingError, ValueError):
                pass  # a length or a last chunk is missing
            else:
                self._read_body()
                return
        if self._head_seen:
            cause: Cause = "reset_midstream"
        else:
            cause = "stale_connection" if self.is_reused else "reset_before_headers"
        error = GatewayError("upstream_unavailable", _LOST[cause], cause=cause)
        error.vendor_message = _shown(exc) if exc else None
        self._end(error)

    def _break(self, cause: Cause, message: str, shown: str) -> None:
        error = GatewayError("upstream_protocol", message, cause=cause)
        error.vendor_message = shown
        self._end_broken(error)

    def _end_broken(self, error: GatewayError) -> None:
        self._closes = True
        self._end(error)


_LOST = {
    "reset_midstream": "the vendor's connection broke in the middle of its answer",
    "stale_connection": "the vendor closed a kept connection as the request was sent",
    "reset_before_headers": "the vendor closed the connection without an answer",
}


class Pool:
    """The idle connections to all vendors. One per process; `sweep` is called every now and then."""

    def __init__(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl = ssl_context or ssl.create_default_context()
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


def render_head(request: VendorRequest, origin: Origin, base_path: str, headers: dict[str, str], size: int) -> bytes:
    """The request's head. Raises `GatewayError("internal")` for a line end in it, which would be an injection."""
    target = f"{base_path}{request.path}"
    if request.query:
        target += "?" + urlencode(request.query)
    fields = {
        "Host": origin.netloc,
        "Accept-Encoding": "identity",
        "User-Agent": USER_AGENT,
        **headers,
        **request.headers,
    }
    if size or request.method not in {"GET", "HEAD", "DELETE"}:
        fields["Content-Length"] = str(size)
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    text = "\r\n".join(lines)
    if text.count("\r") != len(fields) or text.count("\n") != len(fields) or "\0" in text or " " in target:
        raise GatewayError("internal", "a request to the vendor could not be built")
    return (text + "\r\n\r\n").encode("utf-8", "strict")


USER_AGENT = "protocol-gateway"


def _unreachable(cause: Cause, message: str, origin: Origin, error: OSError) -> GatewayError:
    reason = getattr(error, "verify_message", None) or error.strerror or type(error).__name__
    failure = GatewayError("upstream_protocol" if cause == "tls" else "upstream_unavailable", message, cause=cause)
    failure.vendor_message = f"{origin.host}:{origin.port}: {reason}"
    return failure


def _shown(error: BaseException) -> str:
    """At most 100 characters of an exception, escaped, for the log."""
    text = error.message if isinstance(error, BadHttpMessage) else str(error)
    return ascii(text)[:100]

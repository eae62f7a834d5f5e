"""A vendor that plays bytes and a client that sends them: both ends of a connection, for faults no HTTP library makes.

    async with ScriptServer([Read(), Write(HEAD), Write(chunk(b"data: 1\\n\\n")), Reset()]) as vendor:
        ...                                    # vendor.url is where it listens
        assert vendor.requests[0].target == "/chat"
        assert await (await vendor.connection()).left() == "closed"

    async with RawClient(url, receive_buffer=4096) as client:
        await client.send(request("POST", "/v1/messages", b"{}"))
        head = await client.read_until(b"\\r\\n\\r\\n")

Each connection plays a script of its own: the first script the first connection and so on; later connections repeat the
last one. After its last step a script closes the connection. A peer that is gone ends the play wherever it stands.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable, Sequence
from types import TracebackType
from typing import Literal, Self, cast
from urllib.parse import urlsplit

from msgspec import Struct
from multidict import CIMultiDict

BLANK_LINE = b"\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
"""The beginning of an event stream; its body is made of `chunk`s and ends with `LAST_CHUNK`."""
LAST_CHUNK = b"0\r\n\r\n"

Leaving = Literal["closed", "reset"]


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def response(status: int, body: bytes, media_type: str = "application/json", **headers: str) -> bytes:
    """A whole answer; `retry_after="3"` among `headers` becomes `Retry-After: 3`."""
    lines = [f"HTTP/1.1 {status} Status", f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-').title()}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + BLANK_LINE + body


def request(method: str, target: str, body: bytes = b"", headers: Sequence[str] = ()) -> bytes:
    """A whole request; `headers` are lines such as `X-Key: 1`."""
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + BLANK_LINE + body


class Step(Struct, frozen=True):
    """One step of a script: what happens to a connection next."""

    async def play(self, connection: "Connection") -> None:
        raise NotImplementedError


class Read(Step, frozen=True):
    """Waits for one whole request, which is then among `requests`."""

    async def play(self, connection: "Connection") -> None:
        while not connection.take_request():
            await connection.more()


class ReadHead(Step, frozen=True):
    """Waits for the head of a request alone; the body is left to a `Read` of the same request."""

    async def play(self, connection: "Connection") -> None:
        while BLANK_LINE not in connection.unread:
            await connection.more()


class Write(Step, frozen=True):
    data: bytes

    async def play(self, connection: "Connection") -> None:
        await connection.write(self.data)


class Drip(Step, frozen=True):
    """Writes `data` in pieces of `size`, `every` so many seconds."""

    data: bytes
    size: int = 1
    every: float = 0

    async def play(self, connection: "Connection") -> None:
        for start in range(0, len(self.data), self.size):
            await connection.write(self.data[start : start + self.size])
            await asyncio.sleep(self.every)


class Repeat(Step, frozen=True):
    """Writes `data` until the peer is gone, as fast as it reads, or `every` so many seconds."""

    data: bytes
    every: float = 0

    async def play(self, connection: "Connection") -> None:
        while True:
            await connection.write(self.data)
            await asyncio.sleep(self.every)


class Sleep(Step, frozen=True):
    seconds: float

    async def play(self, connection: "Connection") -> None:
        await asyncio.sleep(self.seconds)


class Wait(Step, frozen=True):
    """Goes on when the test sets `event`."""

    event: asyncio.Event

    async def play(self, connection: "Connection") -> None:
        await self.event.wait()


class Hold(Step, frozen=True):
    """Keeps the connection open, in silence, until the peer leaves."""

    async def play(self, connection: "Connection") -> None:
        while connection.leaving is None:
            await connection.news()


class HalfClose(Step, frozen=True):
    """Ends what we send; what the peer sends is read on."""

    async def play(self, connection: "Connection") -> None:
        connection.transport.write_eof()


class Reset(Step, frozen=True):
    """Tears the connection down with a TCP reset."""

    async def play(self, connection: "Connection") -> None:
        set_linger_zero(connection.transport.get_extra_info("socket"))
        connection.transport.abort()
        await connection.gone()


class Close(Step, frozen=True):
    """Closes after all that was written has left."""

    async def play(self, connection: "Connection") -> None:
        connection.transport.close()
        await connection.gone()


class Received(Struct, frozen=True):
    """A request as it stood on the wire (`raw`) and what it says; a chunked `body` is put together."""

    raw: bytes
    method: str
    target: str
    headers: CIMultiDict[str]
    body: bytes


def parse_request(data: bytes) -> Received | None:
    """The first whole request in `data`; None while some of it is missing."""
    head, found, rest = data.partition(BLANK_LINE)
    if not found:
        return None
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = CIMultiDict((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    if "chunked" in headers.get("Transfer-Encoding", ""):
        body, size = _read_chunks(rest)
    else:
        size = int(headers.get("Content-Length", 0))
        body = rest[:size]
    if size is None or len(rest) < size:
        return None
    return Received(data[: len(head) + len(BLANK_LINE) + size], method, target, headers, body)


def _read_chunks(data: bytes) -> tuple[bytes, int | None]:
    """The body, and how many bytes spelled it (None: some are missing)."""
    pieces: list[bytes] = []
    position = 0
    while True:
        line_end = data.find(b"\r\n", position)
        if line_end < 0:
            return b"", None
        size = int(data[position:line_end].partition(b";")[0].decode(), 16)
        start = line_end + 2
        position = start + size + 2
        if len(data) < position:
            return b"", None
        if size == 0:
            return b"".join(pieces), position
        pieces.append(data[start : start + size])


class Connection(asyncio.Protocol):
    """One connection of a `ScriptServer`: what came, and how the peer left (`leaving`; None while it has not).

    `reset` is also what a peer sends that closes with bytes unread.
    """

    transport: asyncio.Transport

    def __init__(self, opened: Callable[["Connection"], Sequence[Step]]) -> None:
        """`opened` is told of the connection once it stands, and answers with its script."""
        self.received = bytearray()
        self.unread = b""
        """What no step has taken yet."""
        self.requests: list[Received] = []
        self.leaving: Leaving | None = None
        self.left_at: float | None = None
        """By `time.monotonic()`."""
        self._opened = opened
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._gone = asyncio.Event()
        self._is_closed_by_us = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.playing = asyncio.ensure_future(self._play(self._opened(self)))

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.unread += data
        self._news.set()

    def eof_received(self) -> bool:
        self._leave("closed")
        return self.transport.can_write_eof()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave("closed" if exc is None else "reset")
        self._gone.set()
        self.playing.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()
        self._news.set()

    def resume_writing(self) -> None:
        self._writable.set()

    async def left(self, within: float = 2) -> Leaving:
        """How the peer left; raises `TimeoutError` where it stays."""
        async with asyncio.timeout(within):
            while self.leaving is None:
                await self.news()
        return self.leaving

    async def heard(self, data: bytes, within: float = 2) -> None:
        """Until `data` is among what was received."""
        async with asyncio.timeout(within):
            while data not in self.received:
                await self.news()

    async def stalled(self, within: float = 2) -> None:
        """Until the peer reads more slowly than we write, so that writing is paused."""
        async with asyncio.timeout(within):
            while self._writable.is_set():
                await self.news()

    def stop(self) -> None:
        """Ends the play at once, as when the server is stopped."""
        self._is_closed_by_us = True
        self.playing.cancel()
        self.transport.abort()

    def take_request(self) -> bool:
        """Moves a whole request from `unread` to `requests`, if there is one."""
        received = parse_request(self.unread)
        if received is None:
            return False
        self.unread = self.unread[len(received.raw) :]
        self.requests.append(received)
        return True

    async def news(self) -> None:
        """Until bytes came, the peer left or writing was paused."""
        self._news.clear()
        await self._news.wait()

    async def more(self) -> None:
        """Until bytes came; a peer that sends no more ends the play."""
        if self.leaving is not None:
            await Close().play(self)
        await self.news()

    async def write(self, data: bytes) -> None:
        await self._writable.wait()
        self.transport.write(data)

    async def gone(self) -> None:
        """Until the connection that we are closing is closed."""
        self._is_closed_by_us = True
        await self._gone.wait()

    def _leave(self, leaving: Leaving) -> None:
        if self.leaving is None and not self._is_closed_by_us:
            self.leaving = leaving
            self.left_at = time.monotonic()
        self._news.set()

    async def _play(self, script: Sequence[Step]) -> None:
        try:
            for step in (*script, Close()):
                await step.play(self)
        finally:
            if not self._gone.is_set():  # asyncio raises where a transport that is gone is aborted
                self.transport.abort()


class ScriptServer:
    """Listens on `host` (127.0.0.2 is another vendor's) and plays `scripts`; with `tls` behind a certificate."""

    def __init__(self, *scripts: Sequence[Step], host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.connections: list[Connection] = []
        self.host = host
        self.port = 0
        self._scripts = scripts
        self._news = asyncio.Event()
        self._tls = tls

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    @property
    def requests(self) -> list[Received]:
        """Those of all connections, in the order of the connections."""
        return [received for connection in self.connections for received in connection.requests]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self._opened), self.host, 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raises what a script itself did wrong, unless the test has failed already."""
        self._server.close()
        for connection in self.connections:
            connection.stop()
        endings = await asyncio.gather(*(each.playing for each in self.connections), return_exceptions=True)
        mistakes = [ending for ending in endings if isinstance(ending, Exception)]
        if mistakes and error is None:
            raise mistakes[0]

    async def connection(self, number: int = 0, within: float = 2) -> Connection:
        """The connection of that number, waited for."""
        async with asyncio.timeout(within):
            while len(self.connections) <= number:
                self._news.clear()
                await self._news.wait()
        return self.connections[number]

    def _opened(self, connection: Connection) -> Sequence[Step]:
        self.connections.append(connection)
        self._news.set()
        return self._scripts[min(len(self.connections), len(self._scripts)) - 1]


def set_linger_zero(connection: socket.socket) -> None:
    """From now on a close sends a reset instead of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def closed_port(host: str = "127.0.0.1") -> int:
    """A port at which nothing listens."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def unanswered_port(host: str = "127.0.0.1") -> AsyncIterator[int]:
    """A port at which connecting hangs: its backlog is full and nobody accepts."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind((host, 0))
        listener.listen(0)
        address = listener.getsockname()
        filler = sockets.enter_context(socket.socket())
        filler.setblocking(False)
        await loop.sock_connect(filler, address)
        yield address[1]


class RawClient:
    """A TCP client that sends bytes as they are and receives only when asked, so that it can be as slow as it likes."""

    def __init__(self, url: str, *, receive_buffer: int | None = None) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname, parts.port
        self._receive_buffer = receive_buffer
        self._unread = b""

    async def __aenter__(self) -> Self:
        self._socket = socket.socket()
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        await asyncio.get_running_loop().sock_connect(self._socket, self._address)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    async def drip(self, data: bytes, *, every: float, size: int = 1) -> None:
        """Sends `data` in pieces of `size` bytes, `every` so many seconds."""
        for start in range(0, len(data), size):
            await self.send(data[start : start + size])
            await asyncio.sleep(every)

    async def read_until(self, marker: bytes, within: float = 5) -> bytes:
        """What comes up to and with `marker`. Raises `EOFError` with what came, where the peer ends before."""
        async with asyncio.timeout(within):
            while marker not in self._unread:
                piece = await self._receive()
                if not piece:
                    raise EOFError(self._unread)
        end = self._unread.index(marker) + len(marker)
        found, self._unread = self._unread[:end], self._unread[end:]
        return found

    async def read_all(self, within: float = 5) -> bytes:
        """What comes until the peer ends; a reset raises `ConnectionResetError`."""
        async with asyncio.timeout(within):
            while await self._receive():
                pass
        found, self._unread = self._unread, b""
        return found

    def finish(self) -> None:
        """Half close: nothing more will be sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        set_linger_zero(self._socket)
        self._socket.close()

    def close(self) -> None:
        self._socket.close()

    async def _receive(self) -> bytes:
        piece = await asyncio.get_running_loop().sock_recv(self._socket, 65536)
        self._unread += piece
        return piece

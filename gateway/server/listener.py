"""aiohttp's HTTP/1.1 server with what it lacks: a deadline for a request's head, and our shape for unreadable requests.

A connection that sends no whole request head within `header_deadline` seconds gets a 408 and is closed, however many
bytes it drips; no handler runs for it. What it sends behind that is passed over for a moment: the kernel resets a
connection that is closed before all was read, and the client might lose the answer. Between two requests the keep-alive
deadline holds.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import Dialect
from gateway.server.edge import refuse

KEEPALIVE = 75.0
"""Seconds; longer than the 60 s that balancers commonly keep idle connections."""

LINGER = 1.0
"""Seconds that the rest of a refused request is read, so that the client can read the refusal."""

CLOSING = 5.0
"""Seconds that handlers may take to end once their streams were ended."""

SEND_BUFFER = 128 * 1024
"""Bytes that the kernel takes for a client that does not read; by itself it would take 4 MB."""

OnLate = Callable[[], None]


class DeadlineHandler(RequestHandler):
    __slots__ = ("_deadline", "_deadline_handle", "_dialect", "_is_late", "_on_late")

    def __init__(
        self, manager: web.Server, dialect: Dialect, deadline: float, on_late: OnLate, **settings: Any
    ) -> None:
        super().__init__(manager, **settings)
        self._dialect = dialect
        self._deadline = deadline
        self._on_late = on_late
        self._deadline_handle: asyncio.TimerHandle | None = None
        self._is_late = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        if self._is_late:
            return
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            self._stop_waiting()
        elif self._deadline_handle is None and self._current_request is None:
            self._wait_for_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,  # noqa: ARG002  (aiohttp's signature; its text may echo the request)
        message: str | None = None,  # noqa: ARG002
    ) -> web.StreamResponse:
        if status >= 500:
            error = GatewayError("internal", "the gateway failed")
        else:
            error = GatewayError("bad_request", "the request is not valid HTTP")
        response = refuse(self._dialect, error, "unread")
        response.force_close()
        if request.writer.output_size > 0:
            raise ConnectionError("a response was begun already")
        return response

    def _wait_for_head(self) -> None:
        self._deadline_handle = self._loop.call_later(self._deadline, self._be_late)

    def _stop_waiting(self) -> None:
        if self._deadline_handle is not None:
            self._deadline_handle.cancel()
            self._deadline_handle = None

    def _be_late(self) -> None:
        self._deadline_handle = None
        if self._current_request is not None or self.transport is None:
            return
        self._on_late()
        told = self._dialect.error(GatewayError("request_timeout", "no request came in time"), "unread")
        head = f"HTTP/1.1 {told.status} Request Timeout\r\nContent-Length: {len(told.body)}\r\nConnection: close\r\n"
        fields = "".join(f"{name}: {value}\r\n" for name, value in told.headers.items())
        self.transport.write((head + fields + "\r\n").encode() + told.body)
        self.transport.write_eof()
        self._is_late = True
        self._deadline_handle = self._loop.call_later(LINGER, self.force_close)


class Listener(web.Server):
    def __init__(
        self, server: web.Server, make_handler: Callable[[web.Server], RequestHandler], **settings: Any
    ) -> None:
        super().__init__(server.request_handler, request_factory=server.request_factory, **settings)
        self._make_handler = make_handler

    def __call__(self) -> RequestHandler:
        return self._make_handler(self)


class Runner(web.AppRunner):
    """Runs the application behind a `Listener`. A handler is cancelled when its client goes away."""

    def __init__(self, app: web.Application, dialect: Dialect, header_deadline: float, on_late: OnLate) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=CLOSING)
        self._dialect = dialect
        self._header_deadline = header_deadline
        self._on_late = on_late

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        loop = asyncio.get_running_loop()

        def make_handler(manager: web.Server) -> RequestHandler:
            return DeadlineHandler(
                manager,
                self._dialect,
                self._header_deadline,
                self._on_late,
                loop=loop,
                keepalive_timeout=KEEPALIVE,
                lingering_time=LINGER,
                access_log=None,
            )

        return Listener(server, make_handler, handler_cancellation=True, loop=loop)

"""Plays simulators over HTTP on loopback: `/acme/v2/threads` is the request `/v2/threads` to `simulators["acme"]`.

Each `Send` is one write, each `Reset` a real TCP reset. A document (one `Send` that is no event stream) has its length
in `Content-Length`, everything else is chunked. The play ends with the client's connection. Faults: see `faults.py`.
`GET /acme/healthz` is answered for every simulator, which is not asked.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import unquote

from aiohttp import web

from gateway.framing.sse import SseDecoder
from gateway.protocols.base import Head, Pause, Reset, Script, Send, SimulatedRequest, Simulator
from gateway.simulation.faults import inject

MAX_UPLOAD = 64 * 1024 * 1024
HEALTH = "/healthz"
SHUTDOWN = 0.5
"""Seconds that a play may go on after the host was told to stop."""
RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""`SO_LINGER` on, for zero seconds."""


def build_host(simulators: Mapping[str, Simulator]) -> web.Application:
    async def play(request: web.Request) -> web.StreamResponse:
        name, path = _address(request)
        simulator = simulators.get(name)
        if simulator is None:
            return web.json_response({"error": f"no simulator {name!r}", "simulators": sorted(simulators)}, status=404)
        if (request.method, path) == ("GET", HEALTH):
            return web.json_response({"status": "ok"})
        body = await request.read()
        asked = SimulatedRequest(request.method, path, request.headers, dict(request.query), body)
        return await _play(request, inject(simulator.answer(asked), body, name))

    host = web.Application(client_max_size=MAX_UPLOAD)
    host.router.add_route("*", "/{path:.*}", play)
    return host


@asynccontextmanager
async def serve_host(simulators: Mapping[str, Simulator], port: int = 0) -> AsyncIterator[str]:
    """Listens on 127.0.0.1 (`port` 0: any) and yields the URL to which a simulator's name is added."""
    runner = web.AppRunner(
        build_host(simulators), handler_cancellation=True, access_log=None, shutdown_timeout=SHUTDOWN
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        _, bound = runner.addresses[0]
        yield f"http://127.0.0.1:{bound}"
    finally:
        await runner.cleanup()


def _address(request: web.Request) -> tuple[str, str]:
    """The simulator's name and the path that it sees, percent-decoded once."""
    name, _, path = request.rel_url.raw_path.removeprefix("/").partition("/")
    return unquote(name), "/" + unquote(path)


async def _play(request: web.Request, script: Script) -> web.StreamResponse:
    response: web.StreamResponse = web.Response()
    for place, step in enumerate(script):
        match step:
            case Head(status, headers):
                document = _document(script[place:])
                if document is not None:
                    return document
                response = web.StreamResponse(status=status, headers=headers)
                await response.prepare(request)
            case Send(data):
                try:
                    await response.write(data)
                except ConnectionError:
                    break  # whom it is played to has gone
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Reset():
                _reset(request)
                break
    return response


def _document(steps: Script) -> web.Response | None:
    """The answer as a whole; None for an event stream, and for what comes in several steps."""
    match steps:
        case [Head(status, headers)]:
            body = b""
        case [Head(status, headers), Send(body)]:
            pass
        case _:
            return None
    media_type = headers.get("Content-Type", "").partition(";")[0]
    return None if media_type in SseDecoder.content_types else web.Response(status=status, headers=headers, body=body)


def _reset(request: web.Request) -> None:
    request.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    request.protocol.force_close()

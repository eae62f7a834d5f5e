"""The edge every request passes: its id, and for every error, the router's own included, the shape of its dialect.

A client's `X-Request-Id` is kept where it is a plain name, and refused otherwise: it goes into headers and log lines.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import web
from aiohttp.http import HttpVersion11

from gateway.canonical.errors import Code, GatewayError
from gateway.protocols.base import Dialect
from gateway.relay.downstream import SERVER, ClientGone, send_document
from gateway.server.gateway import DOORS, GATEWAY, REQUEST_ID

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")

PLAIN_HEADERS = ("X-Request-Id", "Idempotency-Key")
"""Headers whose values reach headers, keys or log lines of ours."""

ROUTER_CODES: dict[int, tuple[Code, str]] = {
    404: ("not_found", "no such path"),
    405: ("method_not_allowed", "this path does not take this method"),
    413: ("payload_too_large", "the body is too large"),
}


@web.middleware
async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    gateway = request.app[GATEWAY]
    given = request.headers.get("X-Request-Id")
    is_plain = given is not None and _NAME.fullmatch(given) is not None
    request_id = given if given is not None and is_plain else gateway.ids.new("req")
    request[REQUEST_ID] = request_id
    try:
        _refuse_odd_headers(request)
        response = gateway.cors.preflight(request) or await handler(request)
    except GatewayError as error:
        dialect = _door(request)
        gateway.report_refusal(error, request_id, dialect.name)
        response = refuse(dialect, error, request_id)
    except web.HTTPException as error:
        response = _in_our_shape(request, error)
    except Exception as error:  # noqa: BLE001  (a bug of ours must not cost the client its answer)
        gateway.report_bug(error, request_id)
        response = _confess(request)
        if request.writer.output_size and request.transport is not None:
            request.transport.abort()  # a response was begun: nothing true can follow in it
    if not response.prepared:
        response.headers["Server"] = SERVER
    gateway.metrics.request(_handler_name(request), response.status)
    if isinstance(response, web.Response) and not response.prepared and request.transport is not None:
        with suppress(ClientGone):
            return await send_document(request, response, gateway.edge.send_deadline)
    return response


async def expect(request: web.Request) -> web.StreamResponse | None:
    """Answers an `Expect` header (RFC 9110, 10.1.1), which aiohttp asks for before the edge; None goes on."""
    if request.version < HttpVersion11:
        return None
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the answer itself has not begun
        return None
    gateway = request.app[GATEWAY]
    error = GatewayError("bad_request", "this expectation cannot be met", details={"path": "headers.Expect"})
    request_id = gateway.ids.new("req")
    dialect = _door(request)
    gateway.report_refusal(error, request_id, dialect.name)
    return refuse(dialect, error, request_id)


def refuse(dialect: Dialect, error: GatewayError, request_id: str) -> web.Response:
    """An error as a whole response. A body that was not read to its end is not waited for: the connection closes."""
    told = dialect.error(error, request_id)
    response = web.Response(status=told.status, body=told.body, headers={**told.headers, "X-Request-Id": request_id})
    if error.code in {"payload_too_large", "request_timeout"}:
        response.force_close()
    return response


async def read_body(request: web.Request, limit: int, deadline: float) -> bytes:
    """The whole body. Raises `payload_too_large` before reading one that says so, and `request_timeout`."""
    if (request.content_length or 0) > limit:
        raise GatewayError("payload_too_large", f"the body is over {limit} bytes")
    try:
        if request.content.is_eof():
            return await request.read()
        async with asyncio.timeout(deadline):
            return await request.read()
    except TimeoutError as error:
        raise GatewayError("request_timeout", "the body did not come in time") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise GatewayError("payload_too_large", f"the body is over {limit} bytes") from error
    except web.RequestPayloadError as error:
        raise GatewayError("bad_request", "the body cannot be decoded") from error


def _refuse_odd_headers(request: web.Request) -> None:
    for name in PLAIN_HEADERS:
        for value in request.headers.getall(name, []):
            if not _NAME.fullmatch(value):
                raise GatewayError(
                    "bad_request", f"the header {name} is not a plain name", details={"path": f"headers.{name}"}
                )


def _in_our_shape(request: web.Request, error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        return error
    refused = GatewayError(*ROUTER_CODES.get(error.status, ("bad_request", "the request cannot be read")))
    dialect = _door(request)
    request.app[GATEWAY].report_refusal(refused, request[REQUEST_ID], dialect.name)
    response = refuse(dialect, refused, request[REQUEST_ID])
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = error.headers["Allow"]
    return response


def _confess(request: web.Request) -> web.Response:
    error = GatewayError("internal", "the gateway failed")
    try:
        return refuse(_door(request), error, request[REQUEST_ID])
    except Exception:  # noqa: BLE001  (the same bug again, as of a dialect that cannot write errors)
        return refuse(request.app[GATEWAY].dialect, error, request[REQUEST_ID])


def first_segment(path: str) -> str:
    return path.split("/")[1]


def _door(request: web.Request) -> Dialect:
    return request.app[DOORS].get(first_segment(request.path), request.app[GATEWAY].dialect)


def _handler_name(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"

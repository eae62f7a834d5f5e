"""The aiohttp application: the dialects' routes, the small handlers, and the edge around them all."""

from collections.abc import Iterable

from aiohttp import web

from gateway.protocols.base import Dialect, Operation
from gateway.server import plain
from gateway.server.edge import Handler, edge, expect, first_segment
from gateway.server.gateway import DOORS, GATEWAY, Gateway
from gateway.server.messages import MessageHandler
from gateway.server.resources import ResourceHandler


def build_application(gateway: Gateway, dialects: Iterable[Dialect]) -> web.Application:
    app = web.Application(middlewares=[edge], client_max_size=gateway.edge.max_body)
    app[GATEWAY] = gateway
    app[DOORS] = {}
    if gateway.cors.is_on:
        app.on_response_prepare.append(gateway.cors.sign)
    for dialect in dialects:
        for route in dialect.routes:
            app[DOORS].setdefault(first_segment(route.path), dialect)
            handler = _handler(gateway, dialect, route.operation)
            app.router.add_route(route.method, route.path, handler, expect_handler=expect)
    app.router.add_get("/v1/routes", plain.routes)
    app.router.add_get("/healthz", plain.healthz)
    app.router.add_get("/readyz", plain.readyz)
    app.router.add_get("/metrics", plain.metrics)
    return app


def _handler(gateway: Gateway, dialect: Dialect, operation: Operation) -> Handler:
    if operation == "message":
        return MessageHandler(gateway, dialect).handle
    return ResourceHandler(gateway, dialect, operation).handle

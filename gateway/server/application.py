"""The aiohttp application: the dialects' routes, the small handlers, and the edge around them all."""

from collections.abc import Iterable

from aiohttp import web

from gateway.protocols.base import Dialect
from gateway.server import plain
from gateway.server.edge import edge, expect
from gateway.server.gateway import GATEWAY, Gateway
from gateway.server.messages import MessageHandler


def build_application(gateway: Gateway, dialects: Iterable[Dialect]) -> web.Application:
    app = web.Application(middlewares=[edge], client_max_size=gateway.edge.max_body)
    app[GATEWAY] = gateway
    for dialect in dialects:
        operations = {"message": MessageHandler(gateway, dialect).handle}
        for route in dialect.routes:
            app.router.add_route(route.method, route.path, operations[route.operation], expect_handler=expect)
    app.router.add_get("/v1/routes", plain.routes)
    app.router.add_get("/healthz", plain.healthz)
    app.router.add_get("/readyz", plain.readyz)
    app.router.add_get("/metrics", plain.metrics)
    return app

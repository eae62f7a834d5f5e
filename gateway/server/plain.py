"""The small handlers: which routes there are, whether the process lives and is ready, and its metrics."""

import time
from collections.abc import Mapping

import msgspec
from aiohttp import web

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import ClientRequest, Support
from gateway.routing.plan import Route, Target
from gateway.server.explain import explain
from gateway.server.gateway import GATEWAY, Gateway


async def routes(request: web.Request) -> web.Response:
    """`GET /v1/routes`: {"data": [{"name", "targets": [{"vendor", "protocol", ...}], "capabilities"}], ...}.

    `?explain=true` adds "explain" to each: see `explain`.
    """
    gateway = request.app[GATEWAY]
    gateway.keys.owner(gateway.dialect.credential(ClientRequest(request.headers, b"")))
    describe = _describe_and_explain if _is_explained(request) else _describe
    data = [describe(gateway, route) for route in gateway.routes.values()]
    return _json({"data": data, "next_cursor": None})


async def healthz(_: web.Request) -> web.Response:
    """The process lives."""
    return _json({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """The process takes messages; 503 before it has started and while it drains."""
    is_ready = request.app[GATEWAY].is_ready
    return _json({"status": "ready" if is_ready else "not ready"}, 200 if is_ready else 503)


async def metrics(request: web.Request) -> web.Response:
    body, content_type = request.app[GATEWAY].metrics.exposition()
    return web.Response(body=body, headers={"Content-Type": content_type})


def _is_explained(request: web.Request) -> bool:
    """Raises `bad_request` for any other query than none and `explain=true`."""
    query = list(request.query.items())
    if query not in ([], [("explain", "true")]):
        raise GatewayError(
            "bad_request",
            "the request does not fit: query.explain: `true` is all that can be asked for",
            details={"path": "query.explain"},
        )
    return bool(query)


def _describe_and_explain(gateway: Gateway, route: Route) -> dict[str, object]:
    return {**_describe(gateway, route), "explain": explain(route, gateway.health, time.monotonic())}


def _describe(gateway: Gateway, route: Route) -> dict[str, object]:
    """A target that cannot do the same as the first one, which is the one that is asked, tells its own capabilities."""
    capabilities = _capabilities(gateway, route.targets[0])
    targets: list[dict[str, object]] = []
    for target in route.targets:
        told = {"vendor": target.vendor, "protocol": target.protocol, **msgspec.to_builtins(target.settings)}
        own = _capabilities(gateway, target)
        targets.append(told if own == capabilities else {**told, "capabilities": own})
    return {"name": route.name, "targets": targets, "capabilities": capabilities}


def _capabilities(gateway: Gateway, target: Target) -> Mapping[str, Support]:
    return gateway.protocols[target.protocol].capabilities


def _json(document: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(document), content_type="application/json")

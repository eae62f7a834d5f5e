"""What the handlers share, built by the composition root and kept under one `AppKey`."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from aiohttp import web
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.conversations.store import Store
from gateway.protocols.base import Descriptor, Dialect
from gateway.relay.answer import Limits
from gateway.relay.relay import Relay
from gateway.routing.health import Health
from gateway.routing.plan import Route
from gateway.server.cors import Cors
from gateway.server.ids import Ids
from gateway.server.running import Running
from gateway.telemetry.metrics import Metrics

ANONYMOUS = "anonymous"
"""Who owns what is made under a configuration without keys, which serves on loopback alone."""

MAX_SHOWN = 128
"""Characters of a path in a request, which may hold names that a client made up."""


class Log(Protocol):
    """What the server asks of a structured logger."""

    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...


class Key(Struct, frozen=True):
    """A caller's key by its SHA-256 digest."""

    id: str
    digest: bytes


class Keys:
    def __init__(self, keys: tuple[Key, ...]) -> None:
        self._keys = keys

    @property
    def is_one_caller(self) -> bool:
        return len(self._keys) <= 1

    def owner(self, presented: str | None) -> str:
        """The id of the key presented; every digest is compared, each in constant time. Raises `unauthorized`."""
        if not self._keys:
            return ANONYMOUS
        digest = hashlib.sha256((presented or "").encode("utf-8", "surrogateescape")).digest()
        matches = [key.id for key in self._keys if hmac.compare_digest(key.digest, digest)]
        if not matches or presented is None:
            raise GatewayError("unauthorized", "a valid gateway key is needed")
        return matches[0]


class Edge(Struct, frozen=True):
    """Limits of what a client may send, and of a file or a document on its way to one: bytes and seconds."""

    max_body: int = 1024 * 1024
    body_deadline: float = 15.0
    send_deadline: float = 30.0
    max_file: int = 128 * 1024 * 1024
    max_document: int = 16 * 1024 * 1024


class Gateway:
    def __init__(
        self,
        *,
        relay: Relay,
        store: Store,
        metrics: Metrics,
        log: Log,
        health: Health,
        routes: Mapping[str, Route],
        default_route: str | None,
        protocols: Mapping[str, Descriptor],
        dialect: Dialect,
        keys: Keys,
        edge: Edge,
        limits: Limits,
        cors: Cors,
    ) -> None:
        self.relay = relay
        self.store = store
        self.metrics = metrics
        self.log = log
        self.health = health
        self.routes = routes
        self.default_route = default_route
        self.protocols = protocols
        self.dialect = dialect
        """In whose words errors are told where no dialect's route was matched."""
        self.keys = keys
        self.edge = edge
        self.limits = limits
        self._models = {model: route for route in routes.values() for model in route.models}
        beginnings = [(model[:-1], route) for model, route in self._models.items() if model.endswith("*")]
        self._beginnings = sorted(beginnings, key=lambda found: len(found[0]), reverse=True)
        self.cors = cors
        self.began = datetime.now(UTC)
        self.ids = Ids()
        self.running = Running()
        self.is_ready = False

    def route(self, name: str | None) -> Route:
        """The route of that name, or for that model, or the default one.

        Raises `not_found`, and `bad_request` where none is the default.
        """
        chosen = name or self.default_route
        if chosen is None:
            raise GatewayError("bad_request", "`route` is needed: there is no default", details={"path": "$.route"})
        route = self.routes.get(chosen) or self._models.get(chosen) or self._route_beginning(chosen)
        if route is None:
            raise GatewayError("not_found", "no such route", details={"path": "$.route"})
        return route

    def _route_beginning(self, model: str) -> Route | None:
        """The longest beginning wins."""
        return next((route for beginning, route in self._beginnings if model.startswith(beginning)), None)

    def report_refusal(self, error: GatewayError, request_id: str, dialect: str) -> None:
        """The access line of a request that never came to a run."""
        self.log.info(
            "refused",
            request_id=request_id,
            dialect=dialect,
            code=error.code,
            status=error.status,
            path=str(error.details.get("path", ""))[:MAX_SHOWN],
        )

    def report_bug(self, bug: BaseException, request_id: str) -> None:
        self.metrics.unhandled_error()
        self.log.error("unhandled", request_id=request_id, exc_info=bug)


GATEWAY = web.AppKey("gateway", Gateway)
DOORS = web.AppKey("doors", dict[str, Dialect])
"""In whose words errors are told, by the first segment of the path; elsewhere they are told in the canonical API's."""
REQUEST_ID = web.RequestKey("request_id", str)

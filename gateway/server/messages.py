"""The message operation of any dialect: a request in, a stream or a document out.

    who asks -> the body, within its limits -> the dialect reads it -> the route -> one message is answered

The body is read only after the key was accepted. When its client leaves, the handler is cancelled. It is the message's
own task, unless a target of the route says that a run may go on without its client: then the message has another.
"""

import asyncio
import time
from functools import partial

import msgspec
from aiohttp import web

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import ClientRequest, Dialect
from gateway.routing.failover import check_free
from gateway.server.answering import Answering, Posted
from gateway.server.edge import read_body, refuse
from gateway.server.gateway import REQUEST_ID, Gateway


class MessageHandler:
    def __init__(self, gateway: Gateway, dialect: Dialect) -> None:
        self._gateway = gateway
        self._dialect = dialect
        self._outliving = {
            name
            for name, route in gateway.routes.items()
            if any(target.rules.on_disconnect != "cancel" for target in route.targets)
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            posted = await self._read(request)
            message = Answering(self._gateway, self._dialect, posted)
            if posted.route.name in self._outliving:
                return await self._answer_apart(message, request)
            return await message.answer()
        except GatewayError as error:
            return self._refuse(request, error)

    async def _read(self, request: web.Request) -> Posted:
        began = time.monotonic()
        gateway = self._gateway
        self._check_ready()
        head = ClientRequest(request.headers, b"", dict(request.match_info), dict(request.query))
        owner = gateway.keys.owner(self._dialect.credential(head))
        body = await read_body(request, gateway.edge.max_body, gateway.edge.body_deadline)
        self._check_ready()
        exchange = self._dialect.read(msgspec.structs.replace(head, body=body))
        route = gateway.route(exchange.request.route)
        check_free(route, gateway.health, began)
        return Posted(request, exchange, route, owner, began)

    def _check_ready(self) -> None:
        if not self._gateway.is_ready:
            raise GatewayError("overloaded", "the gateway takes no messages now", retry_after=1.0)

    def _refuse(self, request: web.Request, error: GatewayError) -> web.Response:
        self._gateway.report_refusal(error, request[REQUEST_ID], self._dialect.name)
        return refuse(self._dialect, error, request[REQUEST_ID])

    # A message whose client may leave it behind.

    async def _answer_apart(self, message: Answering, request: web.Request) -> web.StreamResponse:
        task = self._gateway.running.spawn(self._answer_or_refuse(message, request))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            message.leave()
            task.add_done_callback(partial(self._look_at, request[REQUEST_ID]))
            raise

    async def _answer_or_refuse(self, message: Answering, request: web.Request) -> web.StreamResponse:
        try:
            return await message.answer()
        except GatewayError as error:
            return self._refuse(request, error)

    def _look_at(self, request_id: str, task: asyncio.Task[web.StreamResponse]) -> None:
        """Nobody else does, once the handler is gone."""
        bug = None if task.cancelled() else task.exception()
        if bug is not None:
            self._gateway.report_bug(bug, request_id)

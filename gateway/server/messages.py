"""The message operation of any dialect: a request in, a stream or a document out.

    who asks -> the body, within its limits -> the dialect reads it -> route, conversation, options -> the relay runs it
    -> the answer and the bindings are kept -> metrics and the access line

The body is read only after the key was accepted. A client that leaves cancels the handler, and so the vendor's run.
What a message left behind is visible to the next before the client has its last byte.
"""

import asyncio
import time
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial

import msgspec
from aiohttp import web

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message
from gateway.protocols.base import ClientRequest, Dialect
from gateway.relay.core import Core, Pace
from gateway.relay.downstream import SERVER, ClientGone, Downstream, send_document
from gateway.routing.plan import FirstTarget, Plan
from gateway.server.asked import Asked
from gateway.server.edge import read_body, refuse
from gateway.server.gateway import REQUEST_ID, Gateway
from gateway.server.keeping import Keeper, answer_of
from gateway.server.report import Reporter


class MessageHandler:
    def __init__(self, gateway: Gateway, dialect: Dialect) -> None:
        self._gateway = gateway
        self._dialect = dialect
        self._keeper = Keeper(gateway)
        self._reporter = Reporter(gateway, dialect.name)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except GatewayError as error:
            self._gateway.report_refusal(error, request[REQUEST_ID], self._dialect.name)
            return refuse(self._dialect, error, request[REQUEST_ID])

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        began = time.monotonic()
        gateway = self._gateway
        self._check_ready()
        head = ClientRequest(request.headers, b"", dict(request.match_info))
        owner = gateway.keys.owner(self._dialect.credential(head))
        body = await read_body(request, gateway.edge.max_body, gateway.edge.body_deadline)
        self._check_ready()
        asked = self._dialect.read(msgspec.structs.replace(head, body=body))
        route = gateway.route(asked.route)
        plan = FirstTarget(route.targets, gateway.pauses, began)
        plan.check(began)
        opened = await self._keeper.begin(asked, route, owner)
        try:
            ask = Asked(
                asked,
                opened.started,
                request[REQUEST_ID],
                route=route,
                protocols=gateway.protocols,
                known=await self._keeper.known(asked, route, opened),
                said_before=partial(self._keeper.said_before, opened),
                ids=gateway.ids,
                relay=gateway.relay,
            )
        except BaseException as error:
            await self._keeper.refuse(opened, error)
            raise
        return await self._run(request, ask, plan, owner, began)

    def _check_ready(self) -> None:
        if not self._gateway.is_ready:
            raise GatewayError("overloaded", "the gateway takes no messages now", retry_after=1.0)

    async def _run(self, request: web.Request, ask: Asked, plan: Plan, owner: str, began: float) -> web.StreamResponse:
        gateway, route = self._gateway, ask.route
        encoder = self._dialect.encoder() if ask.request.stream else None
        core = Core(ask, plan, encoder, began, limits=gateway.limits, pace=Pace(route.headers_after, route.heartbeat))
        downstream = None
        if encoder is not None:
            headers = {"X-Request-Id": ask.request_id}
            downstream = Downstream(request, self._dialect.content_type, headers)
        gateway.metrics.stream_opened()
        run = gateway.relay.start(core, downstream)
        ending: Awaitable[None] | None = None
        try:
            last = await run.run()
            answer = answer_of(core, ask)
            ending = self._keeper.end(core, ask, answer)
            return await self._respond(request, core, answer, downstream, last)
        except ClientGone:
            return web.Response(status=499)  # nobody reads it: the connection is gone
        finally:
            gateway.relay.end(run)
            gateway.metrics.stream_closed()
            self._reporter.report(core, ask, owner)
            await self._settle(ending or self._keeper.end(core, ask, answer_of(core, ask)), ask)

    async def _respond(
        self, request: web.Request, core: Core, answer: Message, downstream: Downstream | None, last: bytes
    ) -> web.StreamResponse:
        if downstream is not None and (core.answer.released or core.error is None):
            try:
                return await downstream.end(last, self._gateway.edge.send_deadline)
            except TimeoutError as error:
                downstream.abort()
                raise ClientGone from error
        if core.error is None:
            response = web.Response(
                body=self._dialect.document(answer),
                content_type="application/json",
                headers={"X-Request-Id": request[REQUEST_ID], "Server": SERVER},
            )
            return await send_document(request, response, self._gateway.edge.send_deadline)
        if downstream is None and answer.parts:
            core.error.details = {**core.error.details, "message": msgspec.to_builtins(answer)}
        return refuse(self._dialect, core.error, request[REQUEST_ID])

    async def _settle(self, ending: Awaitable[None], ask: Asked) -> None:
        """Waits until the message is stored; a client that leaves meanwhile changes nothing."""
        stored = asyncio.ensure_future(ending)
        stored.add_done_callback(partial(self._reporter.report_stored, ask))
        with suppress(GatewayError):
            await asyncio.shield(stored)

"""The message operation of any dialect: a request in, a stream or a document out, one access line and its metrics.

    who asks -> the body, within its limits -> the dialect reads it -> route, conversation, options -> the relay runs it
    -> the answer and the bindings are kept -> metrics and the access line

The body is read only after the key was accepted. A client that leaves cancels the handler, and so the vendor's run.
What a message left behind is visible to the next before the client has its last byte.
"""

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageCompleted, MessageStarted
from gateway.canonical.message import FilePart, ImagePart, Message
from gateway.canonical.turn import MessageRequest
from gateway.conversations.store import Binding, BindingKey, Conversation, Ending
from gateway.protocols.base import ClientRequest, Dialect
from gateway.relay.core import Attempt, Core, Pace
from gateway.relay.downstream import SERVER, ClientGone, Downstream, send_document
from gateway.routing.plan import FirstTarget, Plan, Route
from gateway.server.asked import Asked, Known
from gateway.server.edge import refuse
from gateway.server.gateway import REQUEST_ID, Gateway
from gateway.server.recovery import Recovery


class _Timing(Struct):
    """Seconds since the request came in; None where it never came to that."""

    total: float
    first_event: float | None
    first_text: float | None


class _Opened(Struct, frozen=True):
    """A message that has begun: whose it is, when its request came in, and the bindings its conversation had then."""

    owner: str
    began: float
    started: MessageStarted
    question: Message
    bindings: dict[BindingKey, Binding]


class MessageHandler:
    def __init__(self, gateway: Gateway, dialect: Dialect) -> None:
        self._gateway = gateway
        self._dialect = dialect

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
        if asked.regenerate is not None:
            raise GatewayError("unsupported", "no message can be regenerated", details={"path": "$.regenerate"})
        route = gateway.route(asked.route)
        plan = FirstTarget(route.targets, gateway.pauses, began)
        plan.check(began)
        opened = await self._begin(asked, route, owner, began)
        try:
            ask = Asked(
                asked,
                opened.started,
                request[REQUEST_ID],
                route=route,
                protocols=gateway.protocols,
                known=await self._known(asked, route, opened),
                ids=gateway.ids,
                relay=gateway.relay,
            )
        except BaseException as error:
            await gateway.store.end(opened.started.conversation_id, Ending(refused_message(opened.started, error)))
            raise
        return await self._run(request, ask, plan, opened)

    async def _begin(self, asked: MessageRequest, route: Route, owner: str, began: float) -> _Opened:
        """The question and the answer, still running, are stored; a conversation that is not named is a new one."""
        gateway, now = self._gateway, datetime.now(UTC)
        conversation_id = asked.conversation_id or gateway.ids.new("conv")
        started = MessageStarted(gateway.ids.new("msg"), conversation_id, route.name, now)
        question = Message(
            id=gateway.ids.new("msg"),
            conversation_id=conversation_id,
            role="user",
            status="completed",
            parts=list(asked.parts()),
            created_at=now,
            route=route.name,
        )
        running = Message(
            id=started.message_id,
            conversation_id=conversation_id,
            role="assistant",
            status="running",
            parts=[],
            created_at=now,
            route=route.name,
        )
        if asked.conversation_id is not None:
            bindings = await gateway.store.resume(conversation_id, owner, [question, running])
            return _Opened(owner, began, started, question, dict(bindings))
        conversation = Conversation(conversation_id, owner, created_at=now, updated_at=now)
        await gateway.store.begin(conversation, [question, running])
        return _Opened(owner, began, started, question, {})

    async def _known(self, asked: MessageRequest, route: Route, opened: _Opened) -> Known:
        known = Known(bindings=opened.bindings)
        if any(binding.uncertain is not None for binding in opened.bindings.values()):
            await Recovery(self._gateway).recover(known, route, opened.started, opened.owner, asked.user_id)
        names_files = any(isinstance(part, (FilePart, ImagePart)) and part.file_id for part in asked.parts())
        if names_files and asked.conversation_id is not None:
            known.files = await self._gateway.store.files(asked.conversation_id, opened.owner)
        return known

    def _check_ready(self) -> None:
        if not self._gateway.is_ready:
            raise GatewayError("overloaded", "the gateway takes no messages now", retry_after=1.0)

    async def _run(self, request: web.Request, ask: Asked, plan: Plan, opened: _Opened) -> web.StreamResponse:
        gateway, route = self._gateway, ask.route
        encoder = self._dialect.encoder() if ask.request.stream else None
        core = Core(
            ask,
            plan,
            encoder,
            opened.began,
            limits=gateway.limits,
            pace=Pace(route.headers_after, route.heartbeat),
        )
        downstream = None
        if encoder is not None:
            headers = {"X-Request-Id": ask.request_id}
            downstream = Downstream(request, self._dialect.content_type, headers)
        gateway.metrics.stream_opened()
        run = gateway.relay.start(core, downstream)
        ending: Awaitable[None] | None = None
        try:
            last = await run.run()
            ending = self._keep(core, ask, opened)
            return await self._respond(request, core, ask, downstream, last)
        except ClientGone:
            return web.Response(status=499)  # nobody reads it: the connection is gone
        finally:
            gateway.relay.end(run)
            gateway.metrics.stream_closed()
            self._report(core, ask, opened.owner)
            await self._settle(ending or self._keep(core, ask, opened), ask)

    async def _respond(
        self, request: web.Request, core: Core, ask: Asked, downstream: Downstream | None, last: bytes
    ) -> web.StreamResponse:
        if downstream is not None and (core.answer.released or core.error is None):
            try:
                return await downstream.end(last, self._gateway.edge.send_deadline)
            except TimeoutError as error:
                downstream.abort()
                raise ClientGone from error
        message = assistant_message(core, ask.started)
        if core.error is None:
            response = web.Response(
                body=self._dialect.document(message),
                content_type="application/json",
                headers={"X-Request-Id": ask.request_id, "Server": SERVER},
            )
            return await send_document(request, response, self._gateway.edge.send_deadline)
        if downstream is None and message.parts:
            core.error.details = {**core.error.details, "message": msgspec.to_builtins(message)}
        return refuse(self._dialect, core.error, ask.request_id)

    def _keep(self, core: Core, ask: Asked, opened: _Opened) -> Awaitable[None]:
        """The answer, whatever became of it, and what each vendor calls the conversation and has seen of it."""
        bindings: dict[BindingKey, Binding | None] = {}
        for attempt in core.attempts:
            key = ask.binding_key(attempt.target)
            before = opened.bindings.get(key)
            if attempt.outcome == "completed":
                bindings[key] = Binding(attempt.vendor_ids, seen=ask.started.message_id)
            elif attempt.is_uncertain:
                known = attempt.vendor_ids if before is None else {**attempt.vendor_ids, **before.vendor_ids}
                bindings[key] = Binding(known, before.seen if before else None, uncertain=opened.question.id)
            elif before is None and "conversation" in attempt.vendor_ids:
                bindings[key] = Binding(attempt.vendor_ids)
        return self._gateway.store.end(
            ask.started.conversation_id, Ending(assistant_message(core, ask.started), bindings)
        )

    async def _settle(self, ending: Awaitable[None], ask: Asked) -> None:
        """The client has its answer already, so a store that fails is for the log and the metrics."""
        try:
            await ending
        except GatewayError as error:
            self._gateway.metrics.store_failure("end")
            self._gateway.log.error(  # noqa: TRY400  (the reason says it, and a trace might tell more)
                "not stored",
                request_id=ask.request_id,
                conversation_id=ask.started.conversation_id,
                message_id=ask.started.message_id,
                code=error.code,
                reason=str(error.__cause__ or error.message),
            )

    def _report(self, core: Core, ask: Asked, owner: str) -> None:
        timing = _timing(core)
        for attempt in core.attempts:
            self._count_attempt(attempt)
        for bug in core.bugs:
            self._gateway.metrics.unhandled_error()
            self._gateway.log.error("unhandled", request_id=ask.request_id, exc_info=bug)
        for vendor in ask.rebound:
            self._gateway.metrics.rebound(vendor)
        self._gateway.metrics.message(
            route=ask.route.name,
            vendor=core.target.vendor,
            outcome=core.outcome or "canceled",
            duration=timing.total,
            first_event=timing.first_event,
            first_text=timing.first_text,
            heartbeats=core.answer.heartbeats,
        )
        self._write_access_line(core, ask, owner, timing)

    def _write_access_line(self, core: Core, ask: Asked, owner: str, timing: _Timing) -> None:
        error = core.error
        self._gateway.log.info(
            "message",
            request_id=ask.request_id,
            key=owner,
            dialect=self._dialect.name,
            route=ask.route.name,
            vendor=core.target.vendor,
            protocol=core.target.protocol,
            conversation_id=ask.started.conversation_id,
            message_id=ask.started.message_id,
            stream=ask.request.stream,
            outcome=core.outcome,
            cause=core.attempts[-1].outcome,
            code=error.code if error else None,
            attempts=len(core.attempts),
            events=len(core.answer.log),
            duration=timing.total,
            first_event=timing.first_event,
            first_text=timing.first_text,
            **(_vendors_words(error) if error else {}),
        )

    def _count_attempt(self, attempt: Attempt) -> None:
        metrics, target = self._gateway.metrics, attempt.target
        metrics.attempt(
            vendor=target.vendor,
            protocol=target.protocol,
            outcome=attempt.outcome or "canceled",
            to_headers=attempt.answered_after,
            longest_gap=attempt.longest_gap,
        )
        if attempt.unknown_events:
            metrics.unknown_vendor_events(target.protocol, attempt.unknown_events)
        for kind, count in attempt.notices.items():
            metrics.notice(target.protocol, kind, count)


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


def assistant_message(core: Core, started: MessageStarted) -> Message:
    """The answer as it is stored, and told as one document."""
    terminal = core.answer.log[-1]
    attempt = core.attempts[-1]
    message = Message(
        id=started.message_id,
        conversation_id=started.conversation_id,
        role="assistant",
        status=core.outcome or "canceled",
        parts=core.answer.assembler.parts(),
        created_at=started.created_at,
        completed_at=datetime.now(UTC),
        route=started.route,
        vendor=attempt.target.vendor,
        model=attempt.model,
        vendor_ids=attempt.vendor_ids,
        usage=getattr(terminal, "usage", None),
        error=getattr(terminal, "error", None),
        reason=getattr(terminal, "reason", None),
    )
    if isinstance(terminal, MessageCompleted):
        message = msgspec.structs.replace(
            message,
            finish_reason=terminal.finish_reason,
            raw_finish_reason=terminal.raw_finish_reason,
            pending_tool_calls=terminal.pending_tool_calls,
        )
    return message


def refused_message(started: MessageStarted, error: BaseException) -> Message:
    """An answer that no vendor was asked for."""
    body = error.body() if isinstance(error, GatewayError) else None
    return Message(
        id=started.message_id,
        conversation_id=started.conversation_id,
        role="assistant",
        status="canceled" if body is None else "failed",
        parts=[],
        created_at=started.created_at,
        completed_at=datetime.now(UTC),
        route=started.route,
        error=body,
    )


def _vendors_words(error: GatewayError) -> dict[str, object]:
    return {
        "vendor_status": error.vendor_status,
        "vendor_code": error.vendor_code,
        "vendor_request_id": error.vendor_request_id,
        "vendor_message": error.vendor_message,
    }


def _timing(core: Core) -> _Timing:
    start = core.started_at
    ended = core.ended_at if core.ended_at is not None else time.monotonic()
    first_event, first_text = core.first_event_at, core.answer.first_text_at
    return _Timing(
        total=round(ended - start, 4),
        first_event=None if first_event is None else round(first_event - start, 4),
        first_text=None if first_text is None else round(first_text - start, 4),
    )

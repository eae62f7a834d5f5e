"""The message operation of any dialect: a request in, a stream or a document out, one access line and its metrics.

    who asks -> the body, within its limits -> the dialect reads it -> route, conversation, options -> the relay runs it
    -> the transcript and the binding are kept -> metrics and the access line

The body is read only after the key was accepted. A client that leaves cancels the handler, and so the vendor's run.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageCompleted, MessageStarted
from gateway.canonical.message import Message
from gateway.canonical.turn import MessageRequest, Turn
from gateway.conversations.store import BindingKey, Conversation
from gateway.framing.typed import UNREADABLE, explain
from gateway.protocols.base import ClientRequest, Descriptor, Dialect, Translator
from gateway.relay.core import Attempt, Core, Pace
from gateway.relay.downstream import SERVER, ClientGone, Downstream, send_document
from gateway.relay.relay import Relay
from gateway.routing.plan import FirstTarget, Route, Target
from gateway.server.edge import refuse
from gateway.server.gateway import REQUEST_ID, Gateway
from gateway.server.ids import Ids


class Asked:
    """One message as the relay's core is asked it (`relay.core.Ask`)."""

    def __init__(
        self,
        request: MessageRequest,
        started: MessageStarted,
        request_id: str,
        *,
        route: Route,
        protocols: Mapping[str, Descriptor],
        bindings: Mapping[BindingKey, dict[str, str]],
        ids: Ids,
        relay: Relay,
    ) -> None:
        self.request = request
        self.started = started
        self.request_id = request_id
        self.route = route
        self.wants_vendor_events = route.vendor_events
        self._protocols = protocols
        self._bindings = bindings
        self._ids = ids
        self._relay = relay
        self._options = read_options(request.vendor_options, protocols)

    def turn(self, target: Target) -> Turn:
        request = self.request
        return Turn(
            parts=request.parts(),
            new_id=self._ids.uuid,
            history=request.history,
            instructions=request.instructions,
            tools=request.tools,
            tool_choice=request.tool_choice,
            parameters=request.parameters,
            user_id=request.user_id,
            metadata=request.metadata,
            options=self._options.get(target.protocol),
            vendor_ids=self._bindings.get(self.binding_key(target), {}),
            stream=request.stream,
        )

    def translator(self, target: Target, blocks: Blocks) -> Translator:
        make = self._protocols[target.protocol].translator
        if make is None:
            raise GatewayError("internal", "a target's protocol has no translator")
        return make(target.settings, blocks)

    def is_secret(self, target: Target, text: str) -> bool:
        return any(secret in text for secret in self._relay.vendor(target.vendor).credentials.values())

    def binding_key(self, target: Target) -> BindingKey:
        return BindingKey(target.vendor, self._protocols[target.protocol].scope(target.settings))


class _Timing(Struct):
    """Seconds since the request came in; None where it never came to that."""

    total: float
    first_event: float | None
    first_text: float | None


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
        conversation_id = await self._begin_conversation(asked.conversation_id, owner)
        try:
            bindings = await gateway.store.bindings(conversation_id)
            started = MessageStarted(gateway.ids.new("msg"), conversation_id, route.name, datetime.now(UTC))
            ask = Asked(
                asked,
                started,
                request[REQUEST_ID],
                route=route,
                protocols=gateway.protocols,
                bindings=bindings,
                ids=gateway.ids,
                relay=gateway.relay,
            )
            return await self._run(request, ask, owner, began)
        finally:
            await gateway.store.end(conversation_id)

    def _check_ready(self) -> None:
        if not self._gateway.is_ready:
            raise GatewayError("overloaded", "the gateway takes no messages now", retry_after=1.0)

    async def _begin_conversation(self, conversation_id: str | None, owner: str) -> str:
        store = self._gateway.store
        if conversation_id is None:
            conversation_id = self._gateway.ids.new("conv")
            await store.create(Conversation(conversation_id, owner, datetime.now(UTC)))
        await store.begin(conversation_id, owner)
        return conversation_id

    async def _run(self, request: web.Request, ask: Asked, owner: str, began: float) -> web.StreamResponse:
        gateway, route = self._gateway, ask.route
        encoder = self._dialect.encoder() if ask.request.stream else None
        core = Core(
            ask,
            FirstTarget(route.targets),
            encoder,
            began,
            limits=gateway.limits,
            pace=Pace(route.headers_after, route.heartbeat),
        )
        downstream = None
        if encoder is not None:
            headers = {"X-Request-Id": ask.request_id}
            downstream = Downstream(request, self._dialect.content_type, headers)
        gateway.metrics.stream_opened()
        run = gateway.relay.start(core, downstream)
        try:
            last = await run.run()
            return await self._respond(request, core, ask, downstream, last)
        except ClientGone:
            return web.Response(status=499)  # nobody reads it: the connection is gone
        finally:
            gateway.relay.end(run)
            gateway.metrics.stream_closed()
            self._report(core, ask, owner)
            await self._keep(core, ask)

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

    async def _keep(self, core: Core, ask: Asked) -> None:
        """The transcript, whatever the outcome, and what the vendor calls the conversation where it said so."""
        store, conversation_id = self._gateway.store, ask.started.conversation_id
        asked = Message(
            id=self._gateway.ids.new("msg"),
            conversation_id=conversation_id,
            role="user",
            status="completed",
            parts=list(ask.request.parts()),
            created_at=ask.started.created_at,
            route=ask.route.name,
        )
        await store.append(conversation_id, [asked, assistant_message(core, ask.started)])
        for attempt in core.attempts:
            if "conversation" in attempt.vendor_ids and attempt.outcome != "not_found":
                ids = {"conversation": attempt.vendor_ids["conversation"]}
                await store.bind(conversation_id, ask.binding_key(attempt.target), ids)

    def _report(self, core: Core, ask: Asked, owner: str) -> None:
        timing = _timing(core)
        for attempt in core.attempts:
            self._count_attempt(attempt)
        for bug in core.bugs:
            self._gateway.metrics.unhandled_error()
            self._gateway.log.error("unhandled", request_id=ask.request_id, exc_info=bug)
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


def read_options(given: Mapping[str, dict[str, object]], protocols: Mapping[str, Descriptor]) -> dict[str, Struct]:
    """`vendor_options`, typed by each protocol. Raises `bad_request` for a protocol or a key that there is not."""
    options = {}
    for name, values in given.items():
        path = f"$.vendor_options.{name}"
        descriptor = protocols.get(name)
        if descriptor is None or descriptor.translator is None:
            raise GatewayError("bad_request", f"{path}: no such protocol", details={"path": path})
        try:
            options[name] = msgspec.convert(values, descriptor.options)
        except UNREADABLE as error:
            inner, problem = explain(error)
            path += inner.removeprefix("$")
            raise GatewayError(
                "bad_request", f"{path}: {problem}", details={"path": path, "problem": problem}
            ) from error
    return options


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

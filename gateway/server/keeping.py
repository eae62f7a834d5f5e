"""What a message leaves in its conversation.

begin    before any vendor is asked: the question, and the answer, which runs
known    what the conversation brings along: bindings made certain, files, the turn that is answered anew
end      the answer as it became, and what each vendor calls the conversation and has seen of it
"""

from collections.abc import Awaitable
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageCompleted, MessageStarted
from gateway.canonical.message import FilePart, ImagePart, Message
from gateway.canonical.resources import MAX_PAGE, PageOf
from gateway.canonical.turn import HistoryMessage, MessageRequest
from gateway.conversations.store import Binding, BindingKey, Conversation, Ending
from gateway.relay.core import Core
from gateway.routing.plan import Route
from gateway.server.asked import Anew, Asked, Known
from gateway.server.gateway import Gateway
from gateway.server.recovery import Recovery, said


class Opened(Struct, frozen=True):
    """A message that has begun: whose it is, and the bindings that its conversation had then.

    `stored` are the ids of its question, where it brought one, and of its answer.
    """

    owner: str
    started: MessageStarted
    stored: list[str]
    bindings: dict[BindingKey, Binding]


class Keeper:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def begin(self, asked: MessageRequest, route: Route, owner: str) -> Opened:
        """A conversation that is not named is a new one. Raises as the store does."""
        gateway, now = self._gateway, datetime.now(UTC)
        conversation_id = asked.conversation_id or gateway.ids.new("conv")
        started = MessageStarted(gateway.ids.new("msg"), conversation_id, route.name, now)
        messages = [_running(started)]
        if asked.regenerate is None:
            messages.insert(0, _question(asked, started, gateway.ids.new("msg")))
        opened = Opened(owner, started, [message.id for message in messages], {})
        try:
            if asked.conversation_id is not None:
                opened.bindings.update(await gateway.store.resume(conversation_id, owner, messages))
            else:
                conversation = Conversation(conversation_id, owner, created_at=now, updated_at=now)
                await gateway.store.begin(conversation, messages)
        except GatewayError as error:
            if error.code == "store_unavailable":
                gateway.metrics.store_failure("begin")
            raise
        return opened

    async def known(self, asked: MessageRequest, route: Route, opened: Opened) -> Known:
        known = Known(bindings=opened.bindings, question_id=opened.stored[0])
        is_uncertain = any(binding.uncertain is not None for binding in opened.bindings.values())
        if is_uncertain or asked.regenerate is not None:
            transcript = await self._transcript(opened)
            if is_uncertain:
                await Recovery(self._gateway).recover(known, route, transcript, asked.user_id)
            if asked.regenerate is not None:
                known.anew = _last_turn(transcript, asked.regenerate)
                known.question_id = known.anew.question.id
        names_files = any(isinstance(part, (FilePart, ImagePart)) and part.file_id for part in asked.parts())
        if names_files and asked.conversation_id is not None:
            known.files = await self._gateway.store.files(asked.conversation_id, opened.owner)
        return known

    async def said_before(self, opened: Opened) -> list[HistoryMessage]:
        """As much of the conversation's end as a vendor is told at once."""
        return said(await self._transcript(opened))

    async def refuse(self, opened: Opened, error: BaseException) -> None:
        """Ends a message that no vendor was asked for."""
        body = error.body() if isinstance(error, GatewayError) else None
        answer = msgspec.structs.replace(
            _running(opened.started),
            status="canceled" if body is None else "failed",
            completed_at=datetime.now(UTC),
            error=body,
        )
        await self._gateway.store.end(opened.started.conversation_id, Ending(answer))

    def end(self, core: Core, ask: Asked, answer: Message) -> Awaitable[None]:
        """Raises as the store does, when it is awaited."""
        bindings: dict[BindingKey, Binding | None] = {}
        for attempt in core.attempts:
            if not ask.has_key(attempt.target):
                continue
            key = ask.binding_key(attempt.target)
            before = ask.binding(key)
            if attempt.outcome == "completed":
                bindings[key] = Binding(attempt.vendor_ids, seen=ask.started.message_id)
            elif attempt.is_uncertain:
                known = attempt.vendor_ids if before is None else {**attempt.vendor_ids, **before.vendor_ids}
                bindings[key] = Binding(known, before.seen if before else None, uncertain=ask.question_id)
            elif not ask.was_bound(key) and "conversation" in attempt.vendor_ids:
                bindings[key] = Binding(attempt.vendor_ids)
        return self._gateway.store.end(ask.started.conversation_id, Ending(answer, bindings))

    async def _transcript(self, opened: Opened) -> list[Message]:
        """What was said before, the oldest first, without answers that were given anew."""
        found: list[Message] = []
        cursor: str | None = None
        while not found or cursor is not None:
            page = await self._gateway.store.messages(
                opened.started.conversation_id, opened.owner, PageOf(MAX_PAGE, cursor)
            )
            found += page.data
            cursor = page.next_cursor
        replaced = {message.regenerates for message in found if message.status == "completed"}
        left_out = {*opened.stored, *replaced}
        return [message for message in found if message.id not in left_out]


def answer_of(core: Core, ask: Asked) -> Message:
    """The answer as it is stored, and told as one document."""
    terminal = core.answer.log[-1]
    attempt = core.attempts[-1]
    message = msgspec.structs.replace(
        _running(ask.started),
        status=core.outcome or "canceled",
        parts=core.answer.assembler.parts(),
        completed_at=datetime.now(UTC),
        vendor=attempt.target.vendor,
        model=attempt.model,
        vendor_ids=attempt.vendor_ids,
        usage=getattr(terminal, "usage", None),
        error=getattr(terminal, "error", None),
        reason=getattr(terminal, "reason", None),
        regenerates=ask.request.regenerate,
    )
    if isinstance(terminal, MessageCompleted):
        message = msgspec.structs.replace(
            message,
            finish_reason=terminal.finish_reason,
            raw_finish_reason=terminal.raw_finish_reason,
            pending_tool_calls=terminal.pending_tool_calls,
        )
    return message


def _question(asked: MessageRequest, started: MessageStarted, question_id: str) -> Message:
    return Message(
        id=question_id,
        conversation_id=started.conversation_id,
        role="user",
        status="completed",
        parts=list(asked.parts()),
        created_at=started.created_at,
        route=started.route,
    )


def _running(started: MessageStarted) -> Message:
    return Message(
        id=started.message_id,
        conversation_id=started.conversation_id,
        role="assistant",
        status="running",
        parts=[],
        created_at=started.created_at,
        route=started.route,
    )


def _last_turn(transcript: list[Message], answer_id: str) -> Anew:
    """Raises `not_found`, and `unsupported` for any turn but the last: what came after it would be lost."""
    path = "$.regenerate"
    if all(message.id != answer_id or message.role != "assistant" for message in transcript):
        raise GatewayError("not_found", "the conversation has no such answer", details={"path": path})
    last = max(number for number, message in enumerate(transcript) if message.role == "user")
    for message in transcript[last:]:
        if message.id == answer_id:
            return Anew(transcript[last], message)
    raise GatewayError("unsupported", "only the last turn can be answered anew", details={"path": path})

"""What a message leaves in its conversation.

begin        before any vendor is asked: the question, and the answer, which runs
known        what the conversation brings along: files, the turn that is answered anew
continuity   what each vendor knows of it, and is told
end          the answer as it became, and what each vendor calls the conversation and has seen of it
"""

import asyncio
from collections.abc import Awaitable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

import msgspec
from msgspec import Struct

from gateway.canonical.errors import Code, GatewayError
from gateway.canonical.events import MessageCompleted, MessageStarted
from gateway.canonical.history import joined
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputPart,
    Message,
    Part,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.resources import MAX_PAGE, PageOf
from gateway.canonical.turn import HistoryMessage, MessageRequest
from gateway.conversations.catch_up import Transcript
from gateway.conversations.fingerprint import extend, seed
from gateway.conversations.store import Binding, BindingKey, Bindings, Conversation, Ending, Named
from gateway.protocols.base import Exchange, Thread
from gateway.relay.attempt import Attempt
from gateway.relay.core import Core
from gateway.routing.plan import Route
from gateway.server.asked import ANSWERS, Anew, Asked, Known
from gateway.server.continuity import Continuity
from gateway.server.gateway import Gateway
from gateway.server.recovery import Recovery

TAKEN: frozenset[Code] = frozenset({"conflict", "not_found"})
"""What a conversation that was recognised may have become in the next moment: then a new one is begun."""


FOLLOWS = "$.follows"
"""Where a dialect tells that there is no answer of the id that a message is to follow."""


class Opened(Struct, frozen=True):
    """A message that has begun: whose it is, and the bindings that its conversation had then.

    `stored` are the ids of its question, where it brought one, and of its answer; `chain` is the fingerprint of what
    was said before, where the client names no conversation. `is_new`: nothing was.
    """

    owner: str
    started: MessageStarted
    stored: list[str]
    bindings: Bindings
    chain: bytes | None
    is_new: bool


class Coming(Struct, frozen=True):
    """A message that is about to begin: how it is asked, by whom, of which route, and the id of its answer."""

    exchange: Exchange
    route: Route
    owner: str
    message_id: str

    @property
    def asked(self) -> MessageRequest:
        return self.exchange.request


class Keeper:
    def __init__(self, gateway: Gateway, dialect: str) -> None:
        self._gateway = gateway
        self._dialect = dialect

    async def begin(self, coming: Coming) -> Opened:
        """In the conversation that is named, or else the one that the history tells, or a new one.

        Raises as the store does.
        """
        try:
            if coming.asked.conversation_id is not None:
                return await self._resume(coming, coming.asked.conversation_id)
            if coming.exchange.follows is not None:
                return await self._follow(coming, coming.exchange.follows)
            if coming.exchange.thread is not None:
                return await self._go_on(coming, coming.exchange.thread)
            return await self._recognise(coming)
        except GatewayError as error:
            if error.code == "store_unavailable":
                self._gateway.metrics.store_failure("begin")
            raise

    async def _recognise(self, coming: Coming) -> Opened:
        chain = _chain(coming.asked.history, coming)
        known = await self._gateway.store.recognise(coming.owner, chain) if coming.asked.history and chain else None
        if known is not None:
            try:
                return await self._resume(coming, known, chain=chain)
            except GatewayError as error:
                if error.code not in TAKEN:
                    raise
        return await self._start(coming, chain)

    async def _go_on(self, coming: Coming, thread: Thread) -> Opened:
        """In a thread whose history is another than we know, that history is the true one: a new conversation."""
        alias = alias_of(self._dialect, thread.id)
        chain = _chain(coming.asked.history, coming) if thread.is_whole else None
        known = await self._gateway.store.named(coming.owner, alias)
        if known is None or (thread.is_whole and not await self._is_all_of(chain, known, coming)):
            return await self._start(coming, chain, alias)
        return await self._resume(coming, known.conversation_id, chain=chain)

    async def _is_all_of(self, chain: bytes | None, known: Named, coming: Coming) -> bool:
        """Whether a history tells what we know; clients keep failed answers, as far as they saw them, or do not."""
        if known.running is not None or known.fingerprint == chain:
            return True
        said = Transcript(await self._read(known.conversation_id, coming.owner)).after(None)
        told = [HistoryMessage(message.role, [_run_by(message, part) for part in message.parts]) for message in said]
        return _chain(told, coming) == chain

    async def _follow(self, coming: Coming, answer_id: str) -> Opened:
        """Behind that answer; where the conversation went on since, in a new one that begins with all up to it."""
        try:
            answer = await self._gateway.store.message(answer_id, coming.owner)
        except GatewayError as error:
            if error.code == "not_found":
                error.details = {"path": FOLLOWS}
            raise
        if answer.role != "assistant":
            raise GatewayError("not_found", "no such answer", details={"path": FOLLOWS})
        said = await self._read(answer.conversation_id, coming.owner)
        if said[-1].id == answer_id:
            return await self._resume(coming, answer.conversation_id)
        until = next(number for number, message in enumerate(said, 1) if message.id == answer_id)
        return await self._start(coming, None, earlier=Transcript(said[:until]).after(None))

    async def _resume(self, coming: Coming, conversation_id: str, *, chain: bytes | None = None) -> Opened:
        started, messages = self._messages(coming, conversation_id)
        bindings = await self._gateway.store.resume(conversation_id, coming.owner, messages)
        return Opened(coming.owner, started, [message.id for message in messages], bindings, chain, is_new=False)

    async def _start(
        self, coming: Coming, chain: bytes | None, alias: str | None = None, earlier: Sequence[Message] = ()
    ) -> Opened:
        """`earlier` was said before in another conversation of ours, the request's history anywhere."""
        started, messages = self._messages(coming, self._gateway.ids.new("conv"))
        now = started.created_at
        conversation = Conversation(started.conversation_id, coming.owner, created_at=now, updated_at=now, alias=alias)
        told = [_earlier(told, started) for told in coming.asked.history]
        before = [
            msgspec.structs.replace(message, id=self._gateway.ids.new("msg"), conversation_id=started.conversation_id)
            for message in (*earlier, *told)
        ]
        await self._gateway.store.begin(conversation, [*before, *messages])
        return Opened(coming.owner, started, [message.id for message in messages], {}, chain, is_new=not before)

    def _messages(self, coming: Coming, conversation_id: str) -> tuple[MessageStarted, list[Message]]:
        started = MessageStarted(coming.message_id, conversation_id, coming.route.name, datetime.now(UTC))
        if coming.asked.regenerate is not None:
            return started, [_running(started)]
        return started, [_question(coming.asked, started, self._gateway.ids.new("msg")), _running(started)]

    def continuity(self, asked: MessageRequest, route: Route, opened: Opened) -> Continuity:
        return Continuity(
            opened.bindings,
            read=partial(self._transcript, opened),
            recover=Recovery(self._gateway, asked.user_id).recover,
            rules=route.rules.catch_up,
            is_new=opened.is_new,
        )

    async def known(self, asked: MessageRequest, opened: Opened, continuity: Continuity) -> Known:
        known = Known(question_id=opened.stored[0], chain=opened.chain)
        if asked.regenerate is not None:
            transcript = await continuity.transcript()
            known.anew = _last_turn(transcript.after(None), asked.regenerate)
            known.question_id = known.anew.question.id
        answered = _answered(asked)
        if answered and opened.bindings:
            known.asker = _asker((await continuity.transcript()).after(None), answered)
        parts = asked.parts() if known.anew is None else known.anew.question.parts
        names_files = any(isinstance(part, (FilePart, ImagePart)) and part.file_id for part in parts)
        if names_files and asked.conversation_id is not None:
            known.files = await self._gateway.store.files(asked.conversation_id, opened.owner)
        return known

    async def refuse(self, opened: Opened, error: BaseException) -> None:
        """Ends a message that no vendor was asked for."""
        body = None if isinstance(error, asyncio.CancelledError) else _told(error).body()
        answer = msgspec.structs.replace(
            _running(opened.started),
            status="canceled" if body is None else "failed",
            completed_at=datetime.now(UTC),
            error=body,
        )
        await self._gateway.store.end(opened.started.conversation_id, Ending(answer, fingerprint=opened.chain))

    def end(self, core: Core, ask: Asked, answer: Message, *, is_moved: bool) -> Awaitable[None]:
        """`is_moved`: a failure elsewhere brought the conversation there. Raises as the store does, when awaited."""
        bindings: dict[BindingKey, Binding | None] = {}
        for attempt in (*core.beside, *core.attempts):
            if ask.has_key(attempt.target):
                key = ask.binding_key(attempt.target)
                is_last = attempt is core.attempts[-1]
                moved_at = datetime.now(UTC) if is_moved and is_last else ask.continuity.moved_at(key)
                binding = _left_by(attempt, ask, key, moved_at)
                if binding is not None:
                    bindings.pop(key, None)  # the one that is set last is where the conversation is
                    bindings[key] = binding
        fingerprint = _fingerprint(ask, answer)
        return self._gateway.store.end(ask.started.conversation_id, Ending(answer, bindings, fingerprint))

    async def _transcript(self, opened: Opened) -> Transcript:
        found = await self._read(opened.started.conversation_id, opened.owner)
        if any(_is_nameless(part) for message in found for part in message.parts):
            files = await self._gateway.store.files(opened.started.conversation_id, opened.owner)
            names = {file.id: file.name for file in files}
            found = [_with_names(message, names) for message in found]
        return Transcript(found, running=opened.stored)

    async def _read(self, conversation_id: str, owner: str) -> list[Message]:
        """All of its messages, the oldest first; there is one at least."""
        found: list[Message] = []
        cursor: str | None = None
        while not found or cursor is not None:
            page = await self._gateway.store.messages(conversation_id, owner, PageOf(MAX_PAGE, cursor))
            found += page.data
            cursor = page.next_cursor
        return found


def alias_of(dialect: str, thread: str) -> str:
    """What the store calls a thread: what clients of one kind call so is nothing to those of another."""
    return f"{dialect}:{thread}"


def _left_by(attempt: Attempt, ask: Asked, key: BindingKey, moved_at: datetime | None) -> Binding | None:
    """What is known of the vendor's copy after an attempt, where that is something new."""
    is_completed = attempt.outcome == "completed"
    if is_completed and ask.can_be_found_again(attempt.target, attempt.vendor_ids):
        return Binding(attempt.vendor_ids, seen=ask.started.message_id, moved_at=moved_at)
    before = ask.binding(key)
    if is_completed or attempt.is_uncertain:
        known = attempt.vendor_ids if before is None else {**attempt.vendor_ids, **before.vendor_ids}
        return Binding(known, before.seen if before else None, uncertain=ask.question_id, moved_at=moved_at)
    if not ask.was_bound(key) and ask.began_anew(key, attempt.vendor_ids):
        return Binding(attempt.vendor_ids)
    return None


def _chain(said: Iterable[HistoryMessage], coming: Coming) -> bytes | None:
    """None where a history holds what cannot be written: it is recognised by nothing."""
    chain = seed(coming.route.name, coming.asked.user_id)
    try:
        for told in joined(said):
            chain = extend(chain, told.role, told.parts)
    except (UnicodeEncodeError, RecursionError):
        return None
    return chain


def _fingerprint(ask: Asked, answer: Message) -> bytes | None:
    """What the client will tell next time: a turn that failed is not in it."""
    if ask.chain is None or answer.status == "failed":
        return ask.chain
    return extend(
        extend(ask.chain, "user", ask.request.parts()), "assistant", map(partial(_run_by, answer), answer.parts)
    )


def _run_by(answer: Message, part: Part) -> Part:
    """A call of which it was not known who runs it is the client's only where the answer waits for its result."""
    if isinstance(part, ToolCallPart) and part.executor == "unknown":
        is_owed = part.tool_call_id in answer.pending_tool_calls
        return msgspec.structs.replace(part, executor="client" if is_owed else "vendor")
    return part


def _told(error: BaseException) -> GatewayError:
    return error if isinstance(error, GatewayError) else GatewayError("internal", "the gateway failed")


def answer_of(core: Core, ask: Asked) -> Message:
    """The answer as it is stored, and told as one document."""
    terminal = core.answer.log[-1]
    attempt = core.attempts[-1]
    message = msgspec.structs.replace(
        _running(ask.started),
        status=core.outcome or "canceled",
        parts=core.answer.parts(),
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


def _earlier(told: HistoryMessage, started: MessageStarted) -> Message:
    """What a client says was said before we were asked; it has no id yet."""
    return Message(
        id="",
        conversation_id=started.conversation_id,
        role=told.role,
        status="completed",
        parts=told.parts,
        created_at=started.created_at,
    )


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


def _is_nameless(part: Part) -> bool:
    return isinstance(part, (FilePart, ImagePart)) and part.name is None


def _with_names(message: Message, names: dict[str, str]) -> Message:
    """Files that were asked about by their ids alone get the names that they are known by."""
    parts = [
        msgspec.structs.replace(part, name=names.get(part.file_id or ""))
        if isinstance(part, (FilePart, ImagePart)) and part.name is None
        else part
        for part in message.parts
    ]
    return msgspec.structs.replace(message, parts=parts)


def _answered(asked: MessageRequest) -> set[str]:
    """The ids of the tool calls and the questions that a message answers."""
    answers = [part for part in asked.parts() if isinstance(part, ANSWERS)]
    return {part.tool_call_id if isinstance(part, ToolResultPart) else part.request_id for part in answers}


def _asker(transcript: list[Message], answered: set[str]) -> Message | None:
    """The latest message that asked for any of it; None where nobody did."""
    for message in reversed(transcript):
        calls = {part.tool_call_id for part in message.parts if isinstance(part, ToolCallPart)}
        questions = {part.request_id for part in message.parts if isinstance(part, InputPart)}
        if not answered.isdisjoint(calls | questions):
            return message
    return None


def _last_turn(transcript: list[Message], answer_id: str) -> Anew:
    """Raises `not_found`, and `unsupported` for any turn but the last: what came after it would be lost."""
    path = "$.regenerate"
    if all(message.id != answer_id or message.role != "assistant" for message in transcript):
        raise GatewayError("not_found", "the conversation has no such answer", details={"path": path})
    last = max((number for number, message in enumerate(transcript) if message.role == "user"), default=None)
    if last is None:
        raise GatewayError("unsupported", "there is no question to answer anew", details={"path": path})
    for message in transcript[last:]:
        if message.id == answer_id:
            return Anew(transcript[last], message)
    raise GatewayError("unsupported", "only the last turn can be answered anew", details={"path": path})

"""AG-UI, upstream: one run a turn, told all that was said, answered by an event stream.

    turn                    POST {path}, RunAgentInput (see `telling.py`) -> stream
    TEXT_MESSAGE_*          text.*               opened by its first delta: servers send empty messages as parents
    REASONING_*, THINKING_* reasoning.*          the signature may come between its end and REASONING_END
    TOOL_CALL_*             tool_call.*          `client` where the turn declares the tool, else `vendor`
    TOOL_CALL_RESULT        tool_result          content of texts becomes one text
    *_CHUNK                 the short forms: the next event of another kind ends them
    STEP_*, SUBAGENT_*      step.*
    STATE_*, ACTIVITY_*     data                 `state`, `state_delta`, `activity`, `activity_delta`
    CUSTOM                  data                 by its name; `gateway.*` is what our own dialect writes
    MESSAGES_SNAPSHOT       what of the answer never came otherwise, told at the end (see `snapshot.py`)
    RUN_FINISHED            message.completed, or message.canceled; `result` is data before it
    RUN_ERROR               GatewayError         see `faults.py`
    RAW, what is unknown    vendor.event
    end of bytes before RUN_FINISHED or RUN_ERROR: `upstream_protocol`

A server may refuse to repeat a run that did things: a request is sent twice only where the target says `repeatable`.
Source: ag-ui-protocol 1.0.0, @ag-ui/client 1.0.0; recordings of pydantic-ai 2.68; read 2026-11.
"""

from collections.abc import Callable, Iterator
from typing import Annotated, Any, ClassVar, cast

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Data,
    Event,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    Notice,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.one_text import cannot_take
from gateway.canonical.turn import Turn
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import Unknown, open_union
from gateway.protocols.ag_ui import customs, faults, run_input, wire
from gateway.protocols.ag_ui.calls import Heard, ToolCalls
from gateway.protocols.ag_ui.snapshot import answer_in
from gateway.protocols.ag_ui.speech import Speech
from gateway.protocols.ag_ui.telling import INTERRUPTS, NAME, Told, tell
from gateway.protocols.base import Authorization, Calls, Credentials, Headers, VendorRequest

Chunk = wire.TextMessageChunk | wire.ReasoningMessageChunk | wire.ToolCallChunk
THINKING = "thinking"
"""The key of what comes as `THINKING_*`, which has no ids."""

_encode = msgspec.json.Encoder().encode
_decode_event = open_union(cast("Any", wire.AnyEvent))


class AgUiTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """`path` is behind the base URL; `repeatable` where a run does nothing that must not happen twice."""

    path: Annotated[str, Meta(max_length=1024, pattern=r"^(?:/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*)?\Z")] = ""
    repeatable: bool = False
    forwarded_props: dict[str, Any] = {}


class AgUiOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Fields of `RunAgentInput` that have no canonical one; the target's `forwarded_props` stay over these."""

    forwarded_props: dict[str, Any] = {}
    state: Any = None
    context: list[run_input.Context] = []


class AgUiTranslator:
    def __init__(self, target: AgUiTarget, blocks: Blocks) -> None:
        self._target = target
        self._blocks = blocks
        self._has_terminal = False
        self._speech = Speech(blocks)
        self._calls = ToolCalls(blocks)
        self._chunk: tuple[type, str] | None = None
        """What short forms are writing: their kind, and its id."""
        self._finish = customs.Finish()
        self._snapshot: list[Raw] = []
        self._told = Told([], [])
        self.vendor_ids: dict[str, str] = {}
        self.model: str | None = None
        self.ending = False

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:  # noqa: ARG002  (the port's)
        yield from ()
        key = credentials.get("api_key")
        return Authorization({"Authorization": f"Bearer {key}"} if key else {})

    def requests(self, turn: Turn) -> Calls[None]:
        if turn.tool_choice not in {None, "auto", "none"}:
            raise cannot_take(NAME, "a choice of tools", "$.tool_choice")
        options = turn.options or AgUiOptions()
        thread_id = turn.vendor_ids.get("conversation") or turn.new_id()
        self.vendor_ids["conversation"] = thread_id
        self._told = tell(turn, _instructions(turn.instructions, options.context), thread_id)
        tools = [] if turn.tool_choice == "none" else turn.tools
        self._calls.of_client = frozenset(tool.name for tool in tools)
        run = run_input.RunAgentInput(
            thread_id,
            turn.new_id(),
            self._told.messages,
            run_input.PROTOCOL_VERSION,
            state={} if options.state is None else options.state,
            tools=[run_input.Tool(tool.name, tool.description or "", tool.parameters) for tool in tools],
            context=options.context,
            forwarded_props={**options.forwarded_props, **self._target.forwarded_props},
            resume=self._told.resume or None,
        )
        yield VendorRequest(
            "POST",
            self._target.path,
            headers={"Content-Type": "application/json", "Accept": "text/event-stream"},
            body=_encode(run),
            framing=SseDecoder,
            effect="repeatable" if self._target.repeatable else "once",
        )

    def feed(self, record: Record) -> Heard:
        if not record.data or record.data == b"[DONE]":  # no server should send it, and some do
            return ()
        if self._has_terminal:
            return (Notice("after_terminal"),)
        event = _decode_event(record.data, record.name)
        if type(event) is wire.TextMessageContent and not self._speech.others:
            return self._blocks.text(event.delta, event.message_id)
        return self._read(event)

    def finish(self) -> Heard:
        if not self._has_terminal:
            raise GatewayError(
                "upstream_protocol", "the AG-UI server ended its stream before its terminal event", cause="truncated"
            )
        return ()

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return faults.refused(status, headers, body)

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        """Closing the connection is the protocol's one way."""
        return None

    # Events.

    def _read(self, event: wire.Event | Unknown) -> Iterator[Event | Notice]:
        if isinstance(event, Unknown):
            yield VendorEvent(event.name, event.payload)
            return
        kind = type(event)
        if kind not in BESIDES:
            yield from self._end_chunk(event)
        if kind not in BESIDES and kind is not wire.ReasoningEnd:
            yield from self._speech.end_unsigned()
        yield from self._READERS.get(kind, _nothing)(self, event)

    def _end_chunk(self, event: wire.Event) -> tuple[Event, ...]:
        """What short forms are writing ends with the next event that is no part of it."""
        if self._chunk is None:
            return ()
        kind, key = self._chunk
        if isinstance(event, Chunk) and type(event) is kind and _chunk_id(event) in {None, key}:
            return ()
        self._chunk = None
        return self._ENDS[kind](self, key)

    def _open_chunk(self, event: Chunk) -> tuple[str, bool]:
        """The id of what a short form writes, and whether it is new."""
        if self._chunk is not None:
            return self._chunk[1], False
        key = _chunk_id(event) or ""
        self._chunk = type(event), key
        return key, True

    def _start_run(self, event: wire.RunStarted) -> Heard:
        if event.thread_id:
            self.vendor_ids["conversation"] = event.thread_id
        if event.run_id:
            self.vendor_ids["run"] = event.run_id
        return ()

    def _end_run(self, event: wire.RunFinished) -> Iterator[Event | Notice]:
        outcome = event.outcome or wire.Outcome()
        if outcome.type == "cancelled" or self._finish.reason == "canceled":
            yield from self._report(event.usage)
            yield self._cancel()
            return
        yield from self._speech.complete()
        if self._finish.reason != "length":  # a call that was cut stays open, so that it is told so
            yield from self._calls.complete_all()
        for message in answer_in(self._snapshot, self._told):
            if isinstance(message, run_input.AssistantMessage) and message.content:
                yield from self._speech.recover(message.id, message.content)
            yield from self._calls.recover(message)
        if event.result is not None:
            yield Data("result", event.result)
        interrupts = (outcome.interrupts or []) if outcome.type == "interrupt" else []
        for interrupt in interrupts:
            yield _question(interrupt)
        if interrupts:
            self.vendor_ids[INTERRUPTS] = "\n".join(interrupt.id for interrupt in interrupts)
        yield from self._report(event.usage)
        self._has_terminal = True
        yield self._completed(outcome, interrupts)

    def _completed(self, outcome: wire.Outcome, interrupts: list[wire.Interrupt]) -> MessageCompleted:
        asked_about = {interrupt.tool_call_id for interrupt in interrupts}
        owed = self._calls.owed(outcome.pending_tool_call_ids or (), asked_about)
        raw = self._finish.raw
        if interrupts:
            return MessageCompleted("input_required", "interrupt", owed)
        if self._finish.reason in customs.CUT_SHORT:
            return MessageCompleted(self._finish.reason, raw)
        return MessageCompleted("tool_calls" if owed else "stop", raw, owed)

    def _fail(self, event: wire.RunError) -> Iterator[Event | Notice]:
        yield from self._report(event.usage)
        if not faults.is_cancellation(event):
            raise faults.failure(event)
        yield self._cancel()

    def _cancel(self) -> MessageCanceled:
        self._has_terminal = True
        return MessageCanceled("vendor")

    def _report(self, usage: list[wire.TokenUsage] | wire.TokenUsage | None) -> Heard:
        entries = [usage] if isinstance(usage, wire.TokenUsage) else usage or []
        self.model = next((entry.model for entry in entries if entry.model), self.model)
        reported = UsageReported(
            _sum(entries, "input_tokens"),
            _sum(entries, "output_tokens"),
            _sum(entries, "reasoning_tokens"),
            _sum(entries, "cached_input_tokens"),
            _sum(entries, "cache_write_input_tokens"),
        )
        return () if reported == UsageReported() else (reported,)

    # Messages and calls.

    def _start_text(self, event: wire.TextMessageStart) -> Heard:
        if self._speech.is_others(event.message_id, event.role):
            return (VendorEvent("TEXT_MESSAGE_START", {"messageId": event.message_id, "role": event.role}),)
        self.vendor_ids["message"] = event.message_id
        return ()

    def _text_chunk(self, event: wire.TextMessageChunk) -> Heard:
        message_id, is_new = self._open_chunk(event)
        started = self._start_text(wire.TextMessageStart(message_id, event.role)) if is_new else ()
        return (*started, *self._speech.text(message_id, event.delta or ""))

    def _reasoning_chunk(self, event: wire.ReasoningMessageChunk) -> Heard:
        message_id, _ = self._open_chunk(event)
        return self._speech.reasoning(message_id, event.delta or "")

    def _call_chunk(self, event: wire.ToolCallChunk) -> Heard:
        key, is_new = self._open_chunk(event)
        started = self._calls.start(key, event.tool_call_name or "") if is_new else ()
        return (*started, *self._calls.grow(key, event.delta or ""))

    def _take_result(self, event: wire.ToolCallResult) -> Heard:
        """`metadata.gateway` is what our own dialect tells of a result, for which the protocol has no field."""
        match event.metadata:
            case {"gateway": {"is_run": False}}:
                return ()
            case {"gateway": {"is_error": True}}:
                return self._calls.answer(event.tool_call_id, event.content, is_error=True)
            case _:
                return self._calls.answer(event.tool_call_id, event.content, is_error=False)

    def _sign(self, event: wire.ReasoningEncryptedValue) -> Heard:
        signed = self._calls if event.subtype == "tool-call" else self._speech
        told = signed.sign(event.entity_id, event.encrypted_value)
        if told is None:
            told = (VendorEvent("REASONING_ENCRYPTED_VALUE", {"subtype": event.subtype, "entityId": event.entity_id}),)
        return told

    # State and the rest.

    def _keep_snapshot(self, event: wire.MessagesSnapshot) -> Heard:
        self._snapshot = event.messages
        return ()

    def _take_custom(self, event: wire.Custom) -> Heard:
        told = customs.read(event.name, event.value)
        if isinstance(told, customs.Finish):
            self._finish = told
            return ()
        return (told,)

    def _fail_subagent(self, event: wire.SubagentError) -> Heard:
        payload = {"subagentRunId": event.subagent_run_id, "message": event.message, "code": event.code}
        return (
            *self._blocks.complete_step(_subagent(event.subagent_run_id)),
            VendorEvent("SUBAGENT_ERROR", payload),
        )

    _ENDS: ClassVar[dict[type, Callable[["AgUiTranslator", str], tuple[Event, ...]]]] = {
        wire.TextMessageChunk: lambda self, key: self._speech.complete_text(key),
        wire.ReasoningMessageChunk: lambda self, key: self._speech.complete_reasoning(key),
        wire.ToolCallChunk: lambda self, key: self._calls.complete(key),
    }

    _READERS: ClassVar[dict[type, Callable[["AgUiTranslator", Any], Heard]]] = {
        wire.RunStarted: _start_run,
        wire.RunFinished: _end_run,
        wire.RunError: _fail,
        wire.StepStarted: lambda self, event: self._blocks.start_step(event.step_name, _step(event.step_name)),
        wire.StepFinished: lambda self, event: self._blocks.complete_step(_step(event.step_name)),
        wire.SubagentStarted: lambda self, event: self._blocks.start_step(
            event.name or None, _subagent(event.subagent_run_id)
        ),
        wire.SubagentFinished: lambda self, event: self._blocks.complete_step(_subagent(event.subagent_run_id)),
        wire.SubagentError: _fail_subagent,
        wire.TextMessageStart: _start_text,
        wire.TextMessageContent: lambda self, event: self._speech.text(event.message_id, event.delta),
        wire.TextMessageEnd: lambda self, event: self._speech.complete_text(event.message_id),
        wire.TextMessageChunk: _text_chunk,
        wire.ReasoningMessageContent: lambda self, event: self._speech.reasoning(event.message_id, event.delta),
        wire.ReasoningMessageEnd: lambda self, event: self._speech.end_reasoning(event.message_id),
        wire.ReasoningEnd: lambda self, event: self._speech.end_reasoning(event.message_id),
        wire.ReasoningMessageChunk: _reasoning_chunk,
        wire.ReasoningEncryptedValue: _sign,
        wire.ThinkingTextMessageContent: lambda self, event: self._speech.reasoning(THINKING, event.delta),
        wire.ThinkingTextMessageEnd: lambda self, event: self._speech.complete_reasoning(THINKING),  # noqa: ARG005
        wire.ToolCallStart: lambda self, event: self._calls.start(event.tool_call_id, event.tool_call_name),
        wire.ToolCallArgs: lambda self, event: self._calls.grow(event.tool_call_id, event.delta),
        wire.ToolCallEnd: lambda self, event: self._calls.complete(event.tool_call_id),
        wire.ToolCallChunk: _call_chunk,
        wire.ToolCallResult: _take_result,
        wire.StateSnapshot: lambda self, event: (Data("state", event.snapshot),),  # noqa: ARG005
        wire.StateDelta: lambda self, event: (Data("state_delta", event.delta),),  # noqa: ARG005
        wire.MessagesSnapshot: _keep_snapshot,
        wire.ActivitySnapshot: lambda self, event: (Data("activity", _activity(event)),),  # noqa: ARG005
        wire.ActivityDelta: lambda self, event: (Data("activity_delta", _activity(event)),),  # noqa: ARG005
        wire.RawEvent: lambda self, event: (VendorEvent(event.source or "RAW", event.event),),  # noqa: ARG005
        wire.Custom: _take_custom,
    }


BESIDES = frozenset(
    {wire.RawEvent, wire.ActivitySnapshot, wire.ActivityDelta, wire.ReasoningEncryptedValue, wire.SubagentStarted}
)
"""Events that come between the short forms of one message, and between a reasoning and its signature."""


def _nothing(translator: AgUiTranslator, event: Any) -> Heard:  # noqa: ARG001  (a reader's shape)
    """Of events that only frame others: REASONING_START, REASONING_MESSAGE_START and the like."""
    return ()


def _instructions(instructions: str | None, context: list[run_input.Context]) -> str | None:
    """Without the context that our dialect put behind them for vendors that have no field for it."""
    if not instructions or not context:
        return instructions or None
    return instructions.removesuffix(run_input.spell_context(context)).rstrip() or None


def _chunk_id(chunk: Chunk) -> str | None:
    return chunk.tool_call_id if isinstance(chunk, wire.ToolCallChunk) else chunk.message_id


def _question(interrupt: wire.Interrupt) -> InputRequested:
    schema = interrupt.response_schema
    fields = {
        "reason": interrupt.reason,
        "schema": schema,
        "expires_at": interrupt.expires_at,
        "metadata": interrupt.metadata,
    }
    is_approval = interrupt.tool_call_id is not None or "approved" in ((schema or {}).get("properties") or {})
    return InputRequested(
        interrupt.id,
        "approval" if is_approval else "question",
        interrupt.message or interrupt.reason or None,
        interrupt.tool_call_id,
        {name: value for name, value in fields.items() if value} or None,
    )


def _activity(event: wire.ActivitySnapshot | wire.ActivityDelta) -> dict[str, Any]:
    told = {name: value for name, value in msgspec.to_builtins(event).items() if value is not None}
    del told["type"]
    return told


def _step(name: str) -> str:
    return f"step {name}"


def _subagent(run_id: str) -> str:
    return f"subagent {run_id}"


def _sum(entries: list[wire.TokenUsage], name: str) -> int | None:
    counts = [count for entry in entries if (count := getattr(entry, name)) is not None]
    return sum(counts) if counts else None

"""Our events as AG-UI's, one stream long.

    message.started        RUN_STARTED, with the client's own ids
    text.*                 TEXT_MESSAGE_*      a message for each block, from its first delta on
    reasoning.*            REASONING_START, REASONING_MESSAGE_*, REASONING_END
    a signature            REASONING_ENCRYPTED_VALUE before the end of what it signs
    tool_call.*            TOOL_CALL_*         whoever runs it: a client runs the tools that it declared, and no other
    tool_result            TOOL_CALL_RESULT    what is no text as JSON
    step.*                 STEP_*              two of one name get a number
    source, file, data_frame                   CUSTOM, see `customs.py`
    data                   CUSTOM; `state`, `state_delta`, `activity`, `activity_delta`, `result` as the protocol's own
    vendor.event           RAW
    input.requested        an interrupt of RUN_FINISHED
    message.completed      CUSTOM `gateway.finish` where it was cut short, RUN_FINISHED
    message.failed         RUN_ERROR, its code ours
    message.canceled       RUN_FINISHED with the outcome `cancelled`

Calls behind one text are calls of one message, so that their results stand behind all of them when they come back. The
client's library takes every call without a result for one that the client owes: one that nobody owes is answered.
A client of before 1.0 fails on the outcome `cancelled` and on `pendingToolCallIds`: it is spared both.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from gateway.canonical import events as e
from gateway.canonical.message import InputResponsePart
from gateway.framing.sse import encode_comment
from gateway.framing.typed import UNREADABLE
from gateway.protocols.ag_ui import customs, frames
from gateway.protocols.ag_ui.frames import GATEWAY
from gateway.protocols.ag_ui.run_input import PROTOCOL_VERSION

_HEARTBEAT = encode_comment(b"heartbeat")
NOT_RUN = "This call was not run."
_REASONS = {"approval": "approval", "question": "input_required"}

_encode = msgspec.json.Encoder().encode


class Run(Struct, frozen=True):
    """What the client calls it, and answered with it; `takes_outcomes` where it speaks 1.0."""

    thread_id: str
    run_id: str
    takes_outcomes: bool = True
    answers: list[InputResponsePart] = []


class AgUiEncoder:
    def __init__(self, run: Run) -> None:
        self._omitted: Counter[str] = Counter()
        self.omitted: Mapping[str, int] = self._omitted
        self._run = run
        self._mark = {"answers": msgspec.to_builtins(run.answers)} if run.answers else {}
        """What the first message of the answer is marked with."""
        self._message_id = ""
        self._parent = "calls"
        """What the id of the message ends with that calls belong to."""
        self._growing: dict[int, bytes] = {}
        """The head of a delta's frame, by the open block that something was written of."""
        self._calls: dict[str, None] = {}
        """Those without a result, in their order."""
        self._steps: dict[int, str] = {}
        self._results = 0
        self._interrupts: list[frames.Interrupt] = []
        self._result: Any = None

    def event(self, sequence: int, event: e.Event) -> bytes:  # noqa: ARG002  (AG-UI numbers nothing)
        if isinstance(event, e.TextDelta):
            head = self._growing.get(event.block)
            if head is not None:
                return b'%b"delta":%b}\n\n' % (head, _encode(event.delta))
        return self._WRITERS[type(event)](self, event)

    def heartbeat(self) -> bytes | None:
        return _HEARTBEAT

    def end(self) -> bytes:
        return b""

    # Blocks.

    def _start_run(self, event: e.MessageStarted) -> bytes:
        self._message_id = event.message_id
        return _frame(frames.RunStarted(self._run.thread_id, self._run.run_id, PROTOCOL_VERSION))

    def _omit(self, event: e.Event) -> bytes:
        self._omitted[str(event.__struct_config__.tag)] += 1
        return b""

    def _wait(self, event: e.Event) -> bytes:  # noqa: ARG002  (a writer's shape)
        """What is written with something that comes later."""
        return b""

    def _id(self, block: int | str) -> str:
        return f"{self._message_id}/{block}"

    def _grow_text(self, event: e.TextDelta) -> bytes:
        """The first delta of a block; `event` writes the others."""
        return self._open_text(event.block) + self.event(0, event) if event.delta else b""

    def _open_text(self, block: int) -> bytes:
        self._parent = str(block)
        self._growing[block] = _head("TEXT_MESSAGE_CONTENT", messageId=self._id(block))
        return _frame(frames.TextMessageStart(self._id(block), "assistant", self._marked()))

    def _complete_text(self, event: e.TextCompleted) -> bytes:
        message_id = self._id(event.block)
        opened = self._open_text(event.block) if event.signature and event.block not in self._growing else b""
        if self._growing.pop(event.block, None) is None:
            return b""
        return opened + _signed("message", message_id, event.signature) + _frame(frames.TextMessageEnd(message_id))

    def _grow_reasoning(self, event: e.ReasoningDelta) -> bytes:
        if not event.delta:
            return b""
        opened = b"" if event.block in self._growing else self._open_reasoning(event.block)
        return b'%b%b"delta":%b}\n\n' % (opened, self._growing[event.block], _encode(event.delta))

    def _open_reasoning(self, block: int) -> bytes:
        message_id = self._id(block)
        self._growing[block] = _head("REASONING_MESSAGE_CONTENT", messageId=message_id)
        started = frames.ReasoningMessageStart(message_id, "reasoning", self._marked())
        return _frame(frames.ReasoningStart(message_id), started)

    def _complete_reasoning(self, event: e.ReasoningCompleted) -> bytes:
        message_id = self._id(event.block)
        opened = self._open_reasoning(event.block) if event.signature and event.block not in self._growing else b""
        if self._growing.pop(event.block, None) is None:
            return b""
        ended = _frame(frames.ReasoningMessageEnd(message_id))
        return (
            opened + ended + _signed("message", message_id, event.signature) + _frame(frames.ReasoningEnd(message_id))
        )

    def _start_call(self, event: e.ToolCallStarted) -> bytes:
        self._calls[event.tool_call_id] = None
        metadata = self._marked(executor=event.executor)
        return _frame(frames.ToolCallStart(event.tool_call_id, event.name, self._id(self._parent), metadata))

    def _marked(self, **mark: str) -> dict[str, Any] | None:
        whole = {**self._mark, **mark}
        self._mark = {}
        return {GATEWAY: whole} if whole else None

    def _grow_call(self, event: e.ToolCallDelta) -> bytes:
        if not event.delta:
            return b""
        head = self._growing.get(event.block)
        if head is None:
            head = self._growing[event.block] = _head("TOOL_CALL_ARGS", toolCallId=event.tool_call_id)
        return b'%b"delta":%b}\n\n' % (head, _encode(event.delta))

    def _complete_call(self, event: e.ToolCallCompleted) -> bytes:
        call = event.tool_call_id
        is_spelled = self._growing.pop(event.block, None) is not None or event.status != "complete"
        # The client's library reads no arguments as no JSON.
        spelled = b"" if is_spelled else _frame(frames.ToolCallArgs(call, "{}"))
        return spelled + _signed("tool-call", call, event.signature) + _frame(frames.ToolCallEnd(call))

    def _write_result(self, event: e.ToolResult) -> bytes:
        output = event.output if isinstance(event.output, str) else _encode(event.output).decode()
        return self._answer(event.tool_call_id, output, {"is_error": event.is_error})

    def _answer(self, call: str, output: str, mark: dict[str, bool]) -> bytes:
        self._calls.pop(call, None)
        self._results += 1
        message_id = self._id(f"result-{self._results}")
        return _frame(frames.ToolCallResult(message_id, call, output, "tool", {GATEWAY: mark}))

    # What has no block.

    def _write_source(self, event: e.Source) -> bytes:
        message_id = None if event.block is None else self._id(event.block)
        source = customs.Source(
            event.source_id,
            event.title,
            event.url,
            event.file_id,
            event.quote,
            message_id,
            event.start,
            event.end,
        )
        return _frame(frames.Custom(customs.SOURCE, source))

    def _write_file(self, event: e.File) -> bytes:
        file = customs.File(event.file_id, event.name, event.media_type, event.url)
        return _frame(frames.Custom(customs.FILE, file))

    def _write_data_frame(self, event: e.DataFrame) -> bytes:
        return _frame(frames.Custom(customs.DATA_FRAME, customs.DataFrame(event.name, event.columns, event.rows)))

    def _write_data(self, event: e.Data) -> bytes:
        if event.name == "result" and event.value is not None:
            self._result = event.value
            return b""
        return _frame(_own(event) or frames.Custom(event.name, event.value))

    def _write_vendor_event(self, event: e.VendorEvent) -> bytes:
        return _frame(frames.Raw(event.payload, event.name))

    def _start_step(self, event: e.StepStarted) -> bytes:
        name = event.name or f"step {event.step}"
        name = f"{name} ({event.step})" if name in self._steps.values() else name
        self._steps[event.step] = name
        return _frame(frames.StepStarted(name))

    def _complete_step(self, event: e.StepCompleted) -> bytes:
        return _frame(frames.StepFinished(self._steps.pop(event.step)))

    def _request_input(self, event: e.InputRequested) -> bytes:
        fields = dict(event.fields or {})
        reason = _taken(fields, "reason", str) or ("tool_call" if event.tool_call_id else _REASONS[event.kind])
        schema = _taken(fields, "schema", dict)
        expires_at = _taken(fields, "expires_at", str)
        metadata = _taken(fields, "metadata", dict) or {}
        if fields:
            metadata = {**metadata, GATEWAY: {"fields": fields}}
        self._interrupts.append(
            frames.Interrupt(
                event.request_id, reason, event.prompt, event.tool_call_id, schema, expires_at, metadata or None
            )
        )
        return b""

    # The end.

    def _complete(self, event: e.MessageCompleted) -> bytes:
        cut = b""
        if event.finish_reason in customs.CUT_SHORT:
            cut = _frame(frames.Custom(customs.FINISH, customs.Finish(event.finish_reason, event.raw_finish_reason)))
        outcome: frames.Success | frames.Interrupted | None = None
        if not self._interrupts:
            cut += self._answer_all_but(event.pending_tool_calls)
        if self._interrupts:
            outcome = frames.Interrupted(self._interrupts)
        elif self._run.takes_outcomes:
            outcome = frames.Success(event.pending_tool_calls or None)
        return cut + self._finished(outcome, _usage(event.usage, event.vendor, event.model))

    def _cancel(self, event: e.MessageCanceled) -> bytes:
        answered = self._answer_all_but(())
        if self._run.takes_outcomes:
            return answered + self._finished(frames.Cancelled(), _usage(event.usage))
        cut = _frame(frames.Custom(customs.FINISH, customs.Finish("canceled")))
        return answered + cut + self._finished(None, _usage(event.usage))

    def _answer_all_but(self, pending: Collection[str]) -> bytes:
        """Calls that nobody owes."""
        unowed = [call for call in self._calls if call not in pending]
        return b"".join(self._answer(call, NOT_RUN, {"is_error": True, "is_run": False}) for call in unowed)

    def _finished(
        self, outcome: frames.Success | frames.Interrupted | frames.Cancelled | None, usage: list[frames.TokenUsage]
    ) -> bytes:
        run = self._run
        return _frame(frames.RunFinished(run.thread_id, run.run_id, self._result, outcome, usage or None))

    def _fail(self, event: e.MessageFailed) -> bytes:
        error = event.error
        hints = {"retryable": error.retryable, "retry_after": error.retry_after, "request_id": error.request_id}
        metadata = {GATEWAY: {name: value for name, value in hints.items() if value is not None}}
        return _frame(frames.RunError(error.message, error.code, _usage(event.usage, error.vendor) or None, metadata))

    _WRITERS: ClassVar[dict[type, Callable[["AgUiEncoder", Any], bytes]]] = {
        e.MessageStarted: _start_run,
        e.MessageRouted: _omit,
        e.TextStarted: _wait,
        e.TextDelta: _grow_text,
        e.TextCompleted: _complete_text,
        e.ReasoningStarted: _wait,
        e.ReasoningDelta: _grow_reasoning,
        e.ReasoningCompleted: _complete_reasoning,
        e.ToolCallStarted: _start_call,
        e.ToolCallDelta: _grow_call,
        e.ToolCallCompleted: _complete_call,
        e.ToolResult: _write_result,
        e.Source: _write_source,
        e.File: _write_file,
        e.DataFrame: _write_data_frame,
        e.Data: _write_data,
        e.StepStarted: _start_step,
        e.StepCompleted: _complete_step,
        e.InputRequested: _request_input,
        e.UsageReported: _wait,
        e.VendorEvent: _write_vendor_event,
        e.MessageCompleted: _complete,
        e.MessageFailed: _fail,
        e.MessageCanceled: _cancel,
    }


def _frame(*written: frames.Frame) -> bytes:
    return b"".join(b"data: %b\n\n" % _encode(frame) for frame in written)


def _head(kind: str, **ids: str) -> bytes:
    """A delta's frame up to its `delta`."""
    return b"data: %b," % _encode({"type": kind, **ids})[:-1]


def _signed(subtype: Any, entity: str, signature: str | None) -> bytes:
    return b"" if signature is None else _frame(frames.ReasoningEncryptedValue(subtype, entity, signature))


def _own(data: e.Data) -> frames.Frame | None:
    """State and activities, which the protocol has events for; None where the value does not fit them."""
    try:
        match data.name, data.value:
            case "state", value if value is not None:
                return frames.StateSnapshot(value)
            case "state_delta", value:
                return frames.StateDelta(msgspec.convert(value, frames.Patch))
            case "activity", dict() as value:
                return msgspec.convert({**value, "type": "ACTIVITY_SNAPSHOT"}, frames.ActivitySnapshot)
            case "activity_delta", dict() as value:
                return msgspec.convert({**value, "type": "ACTIVITY_DELTA"}, frames.ActivityDelta)
            case _:
                return None
    except UNREADABLE:
        return None


def _taken(fields: dict[str, Any], name: str, kind: type) -> Any:
    return fields.pop(name) if isinstance(fields.get(name), kind) else None


def _usage(usage: e.Usage | None, vendor: str | None = None, model: str | None = None) -> list[frames.TokenUsage]:
    """One entry, for one vendor answered; none where nothing was counted."""
    if usage is None:
        return []
    given = _count(usage.input_tokens)
    made = _count(usage.output_tokens)
    counts = [
        given,
        made,
        None if given is None or made is None else _count(given + made),
        _count(usage.reasoning_tokens),
        _count(usage.cached_tokens),
        _count(usage.cache_write_tokens),
    ]
    return [] if counts == [None] * len(counts) else [frames.TokenUsage(vendor, model, *counts)]


def _count(tokens: int | None) -> int | None:
    return tokens if tokens is not None and 0 <= tokens <= frames.MAX_COUNT else None

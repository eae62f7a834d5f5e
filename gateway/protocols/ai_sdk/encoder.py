"""Canonical events as the chunks of a UI message stream, of the set that every client from version 5 on reads.

    message.started     start            with the id of the answer that the client goes on with, where it does
    message.routed      message-metadata, and start-step, so that the client's own tools are looked for behind it
      with discard      reset-step       version 7: the whole answer is one step, so that all of it can be taken back
    text.*, reasoning.* text-*, reasoning-*
    tool_call.*         tool-input-*     of the client: typed parts; of the vendor: dynamic, `providerExecuted`
      executor unknown  held back until a result, an approval, the terminal or a switch tells whose it is
      cut, unreadable   nothing more: the part stays `input-streaming`, which starts no tool and posts no answer
    tool_result         tool-output-available, tool-output-error
    source, file        source-url, source-document, file; a file without a URL: data-file
    data, data_frame    data-NAME, data-data_frame
    step.*              start-step and finish-step, where no part is open and the client owes no call (5 and 6)
    input.requested     tool-approval-request (6 and 7, of a call), else its prompt as text, and data-input_request
    vendor.event        data-vendor_event, transient
    completed           finish           failed: error, canceled: abort, each behind its metadata; then [DONE]

No chunk has a null, and none stands without what must come before it: the clients give up there. A client runs its
tools on `tool-input-available` without `providerExecuted`, and posts again when all of its tools behind the last
`start-step` have outputs. Clients of version 5 forget open parts at `finish-step`.
Source: ai 5.0.277, 6.0.326, 7.0.173, `process-ui-message-stream.ts` and `chat.ts`; tried against them; read 2026-11.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import takewhile
from typing import Any, ClassVar, Literal

import msgspec
from msgspec import Struct

from gateway.canonical.events import (
    Data,
    DataFrame,
    Event,
    Executor,
    File,
    FinishReason,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    MessageRouted,
    MessageStarted,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    Source,
    StepCompleted,
    StepStarted,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    Usage,
    UsageReported,
    VendorEvent,
)
from gateway.framing.sse import encode_comment
from gateway.protocols.ai_sdk import metadata
from gateway.protocols.ai_sdk.asks import OWN, REQUEST, Continued
from gateway.protocols.ai_sdk.transcript import BINARY, as_text

Version = Literal[5, 6, 7]

FINISH_REASONS: dict[FinishReason, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "input_required": "stop",
    "content_filter": "content-filter",
    "other": "other",
}

PROMPTS = {"question": "The assistant asks you something.", "approval": "The assistant asks for your approval."}

DONE = b"data: [DONE]\n\n"
HEARTBEAT = encode_comment(b"heartbeat")

_TEXT_DELTA = b'data: {"type":"text-delta","id":"%d","delta":%b}\n\n'
_REASONING_DELTA = b'data: {"type":"reasoning-delta","id":"%d","delta":%b}\n\n'
_CALL_DELTA = b'data: {"type":"tool-input-delta","toolCallId":%b,"inputTextDelta":%b}\n\n'

_encode = msgspec.json.Encoder().encode
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def chunk(kind: str, **fields: Any) -> bytes:
    """A frame; what is None is left out."""
    return _frame({"type": kind, **{name: value for name, value in fields.items() if value is not None}})


def _frame(fields: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % _encode(fields)


class _Call(Struct):
    """A tool call: `deltas` and `completed` are what is held back of it."""

    block: int
    tool_call_id: str
    name: str
    executor: Executor
    is_written: bool = False
    deltas: list[str] = []
    completed: ToolCallCompleted | None = None

    @property
    def marks(self) -> dict[str, bool]:
        return BY_VENDOR if self.executor == "vendor" else {}


BY_VENDOR = {"providerExecuted": True, "dynamic": True}


class AiSdkEncoder:
    def __init__(self, version: Version, continued: Continued | None) -> None:
        self._omitted: Counter[str] = Counter()
        self.omitted: Mapping[str, int] = self._omitted
        self._version = version
        self._continued = continued
        self._calls: dict[str, _Call] = {}
        self._texts: list[int] = []
        """The blocks of the texts that were written, in their order."""
        self._open: set[int] = set()
        """The blocks that were begun and not completed."""
        self._is_stepping = False
        self._is_step_empty = True
        self._owes_call = False
        self._asks_approval = False
        self._vendor: str | None = None
        self._model: str | None = None

    def event(self, sequence: int, event: Event) -> bytes:  # noqa: ARG002  (the port's)
        if type(event) is TextDelta:
            return _TEXT_DELTA % (event.block, _encode(event.delta))
        return self._WRITERS[type(event)](self, event)

    def heartbeat(self) -> bytes | None:
        return HEARTBEAT

    def end(self) -> bytes:
        return DONE

    # The message.

    def _start(self, event: MessageStarted) -> bytes:
        message_id = event.message_id if self._continued is None else self._continued.message_id
        told = {"conversationId": event.conversation_id, "messageId": event.message_id}
        return chunk("start", messageId=message_id or None, messageMetadata=told)

    def _route(self, event: MessageRouted) -> bytes:
        self._vendor, self._model = event.vendor, event.model
        # Metadata is merged: a model told now would stay beside a vendor that names none.
        told = chunk("message-metadata", messageMetadata={"vendor": event.vendor})
        if not self._is_stepping:
            self._is_stepping = True
            return told + chunk("start-step")
        if event.discard:
            self._calls, self._texts, self._owes_call = {}, [], False
            self._is_step_empty = True
            return chunk("reset-step") + told
        return self._release_all() + told

    def _metadata(self, usage: Usage | None, **more: str | None) -> dict[str, Any]:
        told: dict[str, Any] = {"vendor": self._vendor, "model": self._model, **more}
        if usage is not None:
            told["usage"] = metadata.told(usage)
        return {name: value for name, value in told.items() if value is not None}

    def _complete(self, event: MessageCompleted) -> bytes:
        self._vendor, self._model = event.vendor or self._vendor, event.model or self._model
        reason = "tool-calls" if self._asks_approval else FINISH_REASONS[event.finish_reason]
        return b"".join(
            [
                self._release_all(frozenset(event.pending_tool_calls)),
                chunk("finish-step") if self._is_stepping else b"",
                chunk("finish", finishReason=reason, messageMetadata=self._metadata(event.usage)),
            ]
        )

    def _fail(self, event: MessageFailed) -> bytes:
        error = event.error
        told = self._metadata(event.usage, requestId=error.request_id)
        return self._leave(told) + chunk("error", errorText=f"{error.message} ({error.code})")

    def _cancel(self, event: MessageCanceled) -> bytes:
        return self._leave(self._metadata(event.usage)) + chunk("abort")

    def _leave(self, told: dict[str, Any]) -> bytes:
        return self._release_all() + (chunk("message-metadata", messageMetadata=told) if told else b"")

    # Steps.

    def _start_step(self, event: StepStarted) -> bytes:
        if self._version == 7:
            return self._omit(event)
        if self._is_step_empty or self._open or self._owes_call:
            return b""
        self._is_step_empty = True
        return chunk("finish-step") + chunk("start-step")

    def _end_step(self, event: StepCompleted) -> bytes:
        return self._omit(event) if self._version == 7 else b""

    def _omit(self, event: Event) -> bytes:
        self._omitted[str(event.__struct_config__.tag)] += 1
        return b""

    # Text and reasoning.

    def _start_text(self, event: TextStarted) -> bytes:
        corrected = event.replaces
        back = len(self._texts) - self._texts.index(corrected) if corrected in self._texts else None
        self._texts.append(event.block)
        self._begin(event.block)
        return chunk("text-start", id=f"{event.block}", providerMetadata=None if back is None else _own(replaces=back))

    def _begin(self, block: int) -> None:
        self._open.add(block)
        self._is_step_empty = False

    def _end_text(self, event: TextCompleted) -> bytes:
        self._open.discard(event.block)
        return chunk("text-end", id=f"{event.block}")

    def _start_reasoning(self, event: ReasoningStarted) -> bytes:
        self._begin(event.block)
        return chunk("reasoning-start", id=f"{event.block}")

    def _grow_reasoning(self, event: ReasoningDelta) -> bytes:
        return _REASONING_DELTA % (event.block, _encode(event.delta))

    def _end_reasoning(self, event: ReasoningCompleted) -> bytes:
        self._open.discard(event.block)
        return chunk("reasoning-end", id=f"{event.block}")

    # Tool calls.

    def _start_call(self, event: ToolCallStarted) -> bytes:
        call = _Call(event.block, event.tool_call_id, event.name, event.executor)
        self._calls[event.tool_call_id] = call
        return self._write(call) if call.executor == "vendor" else self._advance()

    def _grow_call(self, event: ToolCallDelta) -> bytes:
        call = self._calls[event.tool_call_id]
        if not call.is_written:
            call.deltas.append(event.delta)
            return b""
        return _CALL_DELTA % (_encode(call.tool_call_id), _encode(event.delta))

    def _end_call(self, event: ToolCallCompleted) -> bytes:
        call = self._calls[event.tool_call_id]
        call.completed = event
        self._open.discard(event.block)
        return _input(call, event) if call.is_written else b""

    def _write(self, call: _Call) -> bytes:
        """All there is of a call, now that it is known whose it is."""
        call.is_written = True
        self._is_step_empty = False
        self._owes_call = self._owes_call or call.executor == "client"
        if call.completed is None:
            self._open.add(call.block)
        started = chunk("tool-input-start", toolCallId=call.tool_call_id, toolName=call.name, **call.marks)
        delta = _CALL_DELTA % (_encode(call.tool_call_id), _encode("".join(call.deltas))) if call.deltas else b""
        return started + delta + (b"" if call.completed is None else _input(call, call.completed))

    def _advance(self) -> bytes:
        """The calls in front of the first one of which it is unknown whose it is: the client's keep their order."""
        waiting = (call for call in self._calls.values() if not call.is_written)
        return b"".join(map(self._write, takewhile(lambda call: call.executor != "unknown", waiting)))

    def _release(self, call: _Call) -> bytes:
        """A call of which it is known now that the vendor runs it."""
        if call.is_written:
            return b""
        call.executor = "vendor"
        return self._write(call) + self._advance()

    def _release_all(self, owed: frozenset[str] = frozenset()) -> bytes:
        for call in self._calls.values():
            if call.executor == "unknown":
                call.executor = "client" if call.tool_call_id in owed else "vendor"
        return self._advance()

    def _answer(self, event: ToolResult) -> bytes:
        call = self._calls.get(event.tool_call_id)
        if call is not None:
            before, marks = self._release(call), call.marks
        else:
            before, marks = self._recall(event)
        if event.is_error:
            text = as_text(event.output)
            return before + chunk("tool-output-error", toolCallId=event.tool_call_id, errorText=text, **marks)
        result = {"type": "tool-output-available", "toolCallId": event.tool_call_id, "output": event.output, **marks}
        return before + _frame(result)

    def _recall(self, event: ToolResult) -> tuple[bytes, dict[str, bool]]:
        """Of a call that this stream did not make: the client has it in the answer that it goes on with, or is told."""
        known = {} if self._continued is None else self._continued.calls
        if event.tool_call_id in known:
            return b"", {"providerExecuted": True, **({"dynamic": True} if known[event.tool_call_id] else {})}
        call = _Call(-1, event.tool_call_id, event.name or "tool", "vendor", is_written=True)
        self._calls[call.tool_call_id] = call
        self._is_step_empty = False
        return _input(call, ToolCallCompleted(0, call.tool_call_id, call.name, {}, "complete")), call.marks

    # All else.

    def _cite(self, event: Source) -> bytes:
        own = None if event.quote is None else _own(quote=event.quote)
        if event.url is not None:
            return self._part(
                "source-url", sourceId=event.source_id, url=event.url, title=event.title, providerMetadata=own
            )
        title = event.title or event.file_id or event.source_id
        return self._part(
            "source-document", sourceId=event.source_id, mediaType=BINARY, title=title, providerMetadata=own
        )

    def _attach(self, event: File) -> bytes:
        if event.url is not None:
            return self._part("file", url=event.url, mediaType=event.media_type or BINARY)
        told = {"fileId": event.file_id, "name": event.name, "mediaType": event.media_type}
        return self._part("data-file", data={name: value for name, value in told.items() if value is not None})

    def _tabulate(self, event: DataFrame) -> bytes:
        return self._part("data-data_frame", data={"name": event.name, "columns": event.columns, "rows": event.rows})

    def _show(self, event: Data) -> bytes:
        self._is_step_empty = False
        name = _NO_NAME.sub("_", event.name) or "data"
        return _frame({"type": f"data-{name}", "data": event.value})

    def _part(self, kind: str, **fields: Any) -> bytes:
        self._is_step_empty = False
        return chunk(kind, **fields)

    def _pass(self, event: VendorEvent) -> bytes:
        told = {"vendor": event.vendor, "name": event.name, "payload": event.payload}
        return chunk("data-vendor_event", data=told, transient=True)

    def _ask(self, event: InputRequested) -> bytes:
        call = self._calls.get(event.tool_call_id or "")
        before = b"" if call is None else self._release(call)
        if call is not None and event.kind == "approval" and self._version > 5:
            self._asks_approval = True
            reason = event.prompt if self._version == 7 else None
            return before + chunk(
                "tool-approval-request", approvalId=event.request_id, toolCallId=call.tool_call_id, reason=reason
            )
        told = {
            "requestId": event.request_id,
            "kind": event.kind,
            "prompt": event.prompt,
            "toolCallId": event.tool_call_id,
            "fields": event.fields,
        }
        return b"".join(
            [
                before,
                self._prompt(event.prompt or PROMPTS[event.kind], event.request_id),
                chunk(REQUEST, data={name: value for name, value in told.items() if value is not None}),
            ]
        )

    def _prompt(self, text: str, request_id: str) -> bytes:
        part_id = f"input-{len(self._texts)}"
        self._texts.append(-1)
        self._is_step_empty = False
        return b"".join(
            [
                chunk("text-start", id=part_id, providerMetadata=_own(prompt=request_id)),
                chunk("text-delta", id=part_id, delta=text),
                chunk("text-end", id=part_id),
            ]
        )

    def _keep_for_the_end(self, _: UsageReported) -> bytes:
        return b""

    _WRITERS: ClassVar[dict[type, Callable[["AiSdkEncoder", Any], bytes]]] = {
        MessageStarted: _start,
        MessageRouted: _route,
        MessageCompleted: _complete,
        MessageFailed: _fail,
        MessageCanceled: _cancel,
        StepStarted: _start_step,
        StepCompleted: _end_step,
        TextStarted: _start_text,
        TextCompleted: _end_text,
        ReasoningStarted: _start_reasoning,
        ReasoningDelta: _grow_reasoning,
        ReasoningCompleted: _end_reasoning,
        ToolCallStarted: _start_call,
        ToolCallDelta: _grow_call,
        ToolCallCompleted: _end_call,
        ToolResult: _answer,
        Source: _cite,
        File: _attach,
        DataFrame: _tabulate,
        Data: _show,
        InputRequested: _ask,
        UsageReported: _keep_for_the_end,
        VendorEvent: _pass,
    }


def _input(call: _Call, completed: ToolCallCompleted) -> bytes:
    if completed.status != "complete":
        return b""
    return chunk(
        "tool-input-available",
        toolCallId=call.tool_call_id,
        toolName=call.name,
        input=completed.arguments,
        **call.marks,
    )


def _own(**marks: Any) -> dict[str, Any]:
    return {OWN: marks}

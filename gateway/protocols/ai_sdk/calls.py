"""The tool calls of one answer, as its chunks tell them.

    start, grow, end    a call with its arguments; `end` may come alone
    fail                arguments that the server refused: the call, and an error as its result
    answer              a result, of this answer's call or of one that a person approved since
    ask, take           an approval is asked for, and given by the server itself
    owed                calls that only the client can run: unanswered, and neither the vendor's nor to be approved

The SDK's clients keep what came first: an input that comes twice and a result of a call that has one are oddities.
"""

from typing import Any, cast

import msgspec
from msgspec import Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.events import Event, InputRequested, Notice, ToolCallCompleted, ToolResult
from gateway.protocols.ai_sdk import wire
from gateway.protocols.ai_sdk.transcript import seal

Told = tuple[Event | Notice, ...]

_encode = msgspec.json.encode

_REPAIRED: Told = (Notice("repaired_block"),)


class _Call(Struct):
    """`deltas` spell the arguments; `is_readable` is known once it is not open any more."""

    name: str
    deltas: list[str]
    by_vendor: bool = False
    is_dynamic: bool = False
    is_open: bool = True
    is_readable: bool = False
    is_answered: bool = False


class ToolCalls:
    def __init__(self, blocks: Blocks) -> None:
        self.earlier: dict[str, str] = {}
        """The names of calls of earlier answers, by id."""
        self._blocks = blocks
        self._calls: dict[str, _Call] = {}
        self._answered_earlier: set[str] = set()
        self._approvals: dict[str, str] = {}
        """The tool calls that wait for a person, by the approval's id."""

    def start(self, frame: wire.ToolInputStart | wire.ToolInputAvailable | wire.ToolInputError) -> Told:
        if frame.tool_call_id in self._calls:
            return _REPAIRED
        by_vendor = frame.provider_executed is True
        self._calls[frame.tool_call_id] = _Call(frame.tool_name, [], by_vendor, is_dynamic=frame.dynamic is True)
        return self._blocks.start_call(
            frame.tool_call_id,
            frame.tool_name,
            tool_call_id=frame.tool_call_id,
            executor="vendor" if by_vendor else "unknown",
        )

    def grow(self, frame: wire.ToolInputDelta) -> Told:
        call = self._calls.get(frame.tool_call_id)
        if call is None or not call.is_open:
            return _REPAIRED
        call.deltas.append(frame.input_text_delta)
        return ()

    def end(self, frame: wire.ToolInputAvailable | wire.ToolInputError) -> Told:
        call = self._calls.get(frame.tool_call_id)
        if call is None:
            return (*self.start(frame), *self.end(frame))
        if not call.is_open:
            return _REPAIRED
        call.by_vendor = call.by_vendor or frame.provider_executed is True
        call.is_dynamic = call.is_dynamic or frame.dynamic is True
        return self._complete(frame.tool_call_id, call, frame.input, frame.provider_metadata)

    def fail(self, frame: wire.ToolInputError) -> Told:
        return (*self.end(frame), *self.answer(frame.tool_call_id, frame.error_text, is_error=True))

    def progress(self, call_id: str) -> Told:
        """Of a call that the server runs, since it tells what it has so far."""
        if call_id in self._calls:
            self._calls[call_id].by_vendor = True
        return ()

    def answer(self, call_id: str, output: object, *, is_error: bool) -> Told:
        call = self._calls.get(call_id)
        if call is None:
            return self._answer_earlier(call_id, output, is_error=is_error)
        if call.is_answered:
            return _REPAIRED
        call.is_answered = True
        completed = self._complete(call_id, call, None, None) if call.is_open else ()
        return (*completed, ToolResult(call_id, output, is_error, call.name))

    def _answer_earlier(self, call_id: str, output: object, *, is_error: bool) -> Told:
        if call_id in self._answered_earlier:
            return _REPAIRED
        self._answered_earlier.add(call_id)
        return (ToolResult(call_id, output, is_error, self.earlier.get(call_id)),)

    def ask(self, frame: wire.ToolApprovalRequest) -> Told:
        if frame.is_automatic:
            return ()
        self._approvals[frame.approval_id] = frame.tool_call_id
        shown = frame.approval_descriptor if isinstance(frame.approval_descriptor, dict) else None
        return (InputRequested(frame.approval_id, "approval", frame.reason, frame.tool_call_id, shown),)

    def take(self, frame: wire.ToolApprovalResponse) -> Told:
        self._approvals.pop(frame.approval_id, None)
        return ()

    def flush(self) -> Told:
        """What was spelled of calls that are still open: the relay completes them as cut."""
        open_calls = [(call_id, call) for call_id, call in self._calls.items() if call.is_open]
        return tuple(
            event for call_id, call in open_calls for event in self._blocks.call(call_id, "".join(call.deltas))
        )

    @property
    def awaits_approval(self) -> bool:
        return any(self._is_unanswered(call_id) for call_id in self._approvals.values())

    def owed(self) -> list[str]:
        waiting = set(self._approvals.values())
        return [
            call_id
            for call_id, call in self._calls.items()
            if not (call.is_answered or call.by_vendor or call_id in waiting)
        ]

    def is_readable(self, call_id: str) -> bool:
        return self._calls[call_id].is_readable

    def _is_unanswered(self, call_id: str) -> bool:
        call = self._calls.get(call_id)
        return call is None or not call.is_answered

    def _complete(self, call_id: str, call: _Call, given: Any, metadata: wire.Metadata | None) -> Told:
        """With `given`, where that is an object: else with what its deltas spelled, or with `given` as it stands."""
        call.is_open = False
        sealed = seal(wire.Seal(metadata, dynamic=call.is_dynamic, by_provider=call.by_vendor))
        spelled: Told = ()
        if not isinstance(given, dict):
            text = "".join(call.deltas) or ("" if given is None else _encode(given).decode())
            spelled = self._blocks.call(call_id, text)
            given = None
        events = self._blocks.complete_call(call_id, given, signature=sealed)
        call.is_readable = cast("ToolCallCompleted", events[-1]).status == "complete"
        return (*spelled, *events)

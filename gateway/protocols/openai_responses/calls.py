"""Tool calls as items of a response, see `encoder.py`.

open           at once, where it is known who runs it; else held back and written whole
function_call  the client's; custom_tool_call for a name that the request declares as custom
mcp_call       the vendor's, open until its result; without one it was `calling`, or `incomplete` where it was cut
"""

from collections.abc import Collection, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from gateway.canonical.events import Executor, ToolCallCompleted, ToolCallDelta, ToolCallStarted, ToolResult
from gateway.protocols.openai_responses.frames import Frames, Item, delta_template
from gateway.protocols.openai_responses.items import CLIENT_NAMES
from gateway.protocols.openai_responses.said import own_item

UNNAMED_VENDOR = "vendor"

OWN_KINDS = frozenset({*CLIENT_NAMES.values(), "shell", "tool_search"})
"""Names of the client's calls that may be another item than a function call."""

_encode = msgspec.json.Encoder().encode


class _Call(Struct):
    """`kind` is the item's type once that is known; `index` its place once it was written."""

    id: str
    name: str
    executor: Executor
    kind: str | None
    deltas: list[str] = []
    delta_frame: bytes = b""
    index: int = -1
    item_id: str = ""
    completed: ToolCallCompleted | None = None
    is_done: bool = False

    @property
    def arguments(self) -> str:
        spelled = "".join(self.deltas)
        return spelled or ("" if self.is_cut else "{}")

    @property
    def is_cut(self) -> bool:
        return self.completed is not None and self.completed.status != "complete"


class WrittenCalls:
    def __init__(self, frames: Frames, functions: Collection[str], custom: Collection[str]) -> None:
        self.server_label = UNNAMED_VENDOR
        self._frames = frames
        self._functions = functions
        self._custom = custom
        self._calls: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._approvals: dict[str, str] = {}
        """What is asked for a call, by the call's id."""

    def start(self, event: ToolCallStarted) -> Iterator[bytes]:
        call = _Call(event.tool_call_id, event.name, event.executor, self._kind(event))
        self._calls[event.block] = call
        self._by_id[call.id] = call
        if call.kind is not None:
            yield from self._open(call, call.kind)

    def _kind(self, event: ToolCallStarted) -> str | None:
        """None where it has to be held back."""
        match event.executor:
            case "vendor":
                return "mcp_call"
            case "client" if event.name in self._functions or event.name not in {*self._custom, *OWN_KINDS}:
                return "function_call"
            case _:
                return None

    def _open(self, call: _Call, kind: str) -> Iterator[bytes]:
        call.kind = kind
        if kind == "mcp_call":
            call.item_id = f"mcp_{call.id}"
        else:
            call.item_id = self._frames.identify("fc")
        call.index, added = self._frames.open(self._item(call, "in_progress", arguments=""))
        yield added
        if kind == "mcp_call":
            yield self._frame(call, "response.mcp_call.in_progress")
        name = "mcp_call" if kind == "mcp_call" else "function_call"
        call.delta_frame = delta_template(f"response.{name}_arguments.delta", call.index, call.item_id)

    def _item(self, call: _Call, status: str, *, arguments: str, **fields: Any) -> Item:
        named = {"id": call.item_id, "type": call.kind, "name": call.name, "arguments": arguments, "status": status}
        if call.kind == "mcp_call":
            asked = {"approval_request_id": self._approvals.get(call.id)}
            return {**named, "server_label": self.server_label, **asked, "output": None, "error": None, **fields}
        return {**named, "call_id": call.id}

    def _frame(self, call: _Call, kind: str, **fields: Any) -> bytes:
        return self._frames.frame(kind, item_id=call.item_id, output_index=call.index, **fields)

    def grow(self, event: ToolCallDelta) -> Iterator[bytes]:
        call = self._calls[event.block]
        call.deltas.append(event.delta)
        if call.delta_frame:
            yield call.delta_frame % (_encode(event.delta), self._frames.number())

    def complete(self, event: ToolCallCompleted) -> Iterator[bytes]:
        call = self._calls[event.block]
        call.completed = event
        if call.kind is not None:
            yield from self._spell(call)
        elif call.executor == "client":
            yield from self._write_whole(call)

    def _spell(self, call: _Call) -> Iterator[bytes]:
        if not call.is_cut:
            yield self._frame(call, f"response.{call.kind}_arguments.done", arguments=call.arguments)
        if call.kind == "function_call":
            status = "incomplete" if call.is_cut else "completed"
            yield self._close(call, self._item(call, status, arguments=call.arguments))

    def _close(self, call: _Call, item: Item) -> bytes:
        call.is_done = True
        return self._frames.close(call.index, item)

    def _write_whole(self, call: _Call) -> Iterator[bytes]:
        """A call of the client's that was held back."""
        own = own_item(call.completed.signature) if call.completed is not None else None
        if own is not None and own.get("call_id") == call.id and not call.is_cut:
            call.is_done = True
            yield self._frames.whole({**own, "id": self._frames.identify("call")})
        elif call.name in self._custom and not call.is_cut:
            yield from self._write_custom(call)
        else:
            yield from self._write_held(call, "function_call")

    def _write_custom(self, call: _Call) -> Iterator[bytes]:
        given = call.completed.arguments.get("input") if call.completed is not None else None
        text = given if isinstance(given, str) else call.arguments
        call.item_id = self._frames.identify("ctc")
        item = {"id": call.item_id, "type": "custom_tool_call", "call_id": call.id, "name": call.name, "input": ""}
        call.index, added = self._frames.open(item)
        yield added
        yield self._frame(call, "response.custom_tool_call_input.delta", delta=text)
        yield self._frame(call, "response.custom_tool_call_input.done", input=text)
        yield self._close(call, {**item, "input": text, "status": "completed"})

    def _write_held(self, call: _Call, kind: str) -> Iterator[bytes]:
        yield from self._open(call, kind)
        for delta in call.deltas:
            yield call.delta_frame % (_encode(delta), self._frames.number())
        yield from self._spell(call)

    def answer(self, event: ToolResult) -> Iterator[bytes]:
        output = event.output if isinstance(event.output, str) else _encode(event.output).decode()
        call = self._by_id.get(event.tool_call_id)
        if call is None:
            call = _Call(event.tool_call_id, event.name or "tool", "vendor", None)
            self._by_id[call.id] = call
        if call.is_done:
            status = "incomplete" if event.is_error else "completed"
            item = {"id": self._frames.identify("fco"), "type": "function_call_output", "call_id": call.id}
            yield self._frames.whole({**item, "output": output, "status": status})
            return
        if call.kind is None:
            yield from self._write_held(call, "mcp_call")
        yield from self._end(call, event, output)

    def _end(self, call: _Call, event: ToolResult, output: str) -> Iterator[bytes]:
        if event.is_error:
            error = {"type": "mcp_tool_execution_error", "content": event.output}
            yield self._frame(call, "response.mcp_call.failed")
            yield self._close(call, self._item(call, "failed", arguments=call.arguments, error=error))
        else:
            yield self._frame(call, "response.mcp_call.completed")
            yield self._close(call, self._item(call, "completed", arguments=call.arguments, output=output))

    def finish(self, pending: Collection[str]) -> Iterator[bytes]:
        """What is still held back, and what waits for a result, before the terminal.

        A call that waits for an approval is told by that alone.
        """
        for call in self._calls.values():
            if call.kind is None and call.id in self._approvals:
                continue
            if call.kind is None and not call.is_done:
                if call.id in pending:
                    yield from self._write_whole(call)
                else:
                    yield from self._write_held(call, "mcp_call")
            if not call.is_done:
                status = "incomplete" if call.is_cut else "calling"
                yield self._close(call, self._item(call, status, arguments=call.arguments))

    def approve(self, request_id: str, tool_call_id: str | None) -> tuple[str, dict[str, Any]]:
        """Name and arguments of a call that an approval is asked for."""
        call = self._by_id.get(tool_call_id or "")
        if call is None:
            return "", {}
        self._approvals[call.id] = request_id
        return call.name, call.completed.arguments if call.completed is not None else {}

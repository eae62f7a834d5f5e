"""The client's tool calls, put together from fragments.

    {"index": 0, "id": "call_1", "function": {"name": "pay", "arguments": ""}}   a call begins
    {"index": 0, "function": {"arguments": "{\\"a\\":"}}                           it grows
    all of it in one fragment; without an index; without an id                    as some servers send it
    another id and a name under a known index                                     another call

The wire never says that a call is over. One whose arguments are a whole object is completed when another begins; the
others at the end.
"""

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from gateway.canonical.blocks import Blocks, parse_arguments
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Event, Notice, ToolCallCompleted, ToolCallStarted
from gateway.protocols.openai_chat.wire import CallFragment, Function

_encode = msgspec.json.Encoder().encode


class _Call(Struct):
    """`waiting` is what came before its name."""

    key: str
    id: str | None
    has_begun: bool = False
    is_over: bool = False
    waiting: list[str] = []
    spelled: list[str] = []

    @property
    def is_whole(self) -> bool:
        text = "".join(self.spelled)
        return bool(text.strip()) and parse_arguments(text) is not None


class Calls:
    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._latest: _Call | None = None
        self.ids: list[str] = []
        """Of the calls that began, in that order."""

    def read(self, fragment: CallFragment) -> Iterator[Event | Notice]:
        function = fragment.function or Function()
        call = self._find(fragment, function)
        if call is None:
            yield Notice("repaired_block")
            return
        call.id = call.id or fragment.id
        if function.name and not call.has_begun:
            yield from self._begin(call, function.name)
        spelled = _spelled(function)
        if not spelled:
            return
        if call.is_over:
            if spelled.strip():
                yield Notice("arguments_differ")
        elif call.has_begun:
            call.spelled.append(spelled)
            yield from self._blocks.call(call.key, spelled)
        else:
            call.waiting.append(spelled)

    @property
    def are_whole(self) -> bool:
        return all(call.is_over or (call.has_begun and call.is_whole) for call in self._calls)

    def complete(self, *, was_cut: bool) -> Iterator[Event]:
        """Completes what is open; of an answer that was cut only what is whole, so that the rest shows as cut.

        Raises `upstream_protocol` for a call that the client could not run.
        """
        for call in self._calls:
            if call.is_over or (was_cut and not call.is_whole):
                continue
            if not call.has_begun:
                raise GatewayError("upstream_protocol", "a tool call came without a name", cause="malformed")
            for event in self._complete(call):
                yield event
                if isinstance(event, ToolCallCompleted) and event.status != "complete":
                    raise GatewayError("upstream_protocol", "a tool call cannot be read", cause="malformed")

    def _find(self, fragment: CallFragment, function: Function) -> _Call | None:
        known: _Call | None = None
        if fragment.index is not None:
            known = self._by_index.get(fragment.index)
            if known is not None and function.name and fragment.id and known.id not in {None, fragment.id}:
                known = None
        elif fragment.id:
            known = self._by_id.get(fragment.id)
        elif not function.name:
            return self._calls[-1] if self._calls else None
        return known or self._add(fragment)

    def _add(self, fragment: CallFragment) -> _Call:
        call = _Call(str(len(self._calls)), fragment.id)
        self._calls.append(call)
        if fragment.index is not None:
            self._by_index[fragment.index] = call
        if fragment.id:
            self._by_id[fragment.id] = call
        return call

    def _begin(self, call: _Call, name: str) -> Iterator[Event]:
        if self._latest is not None and self._latest.is_whole:
            yield from self._complete(self._latest)
        self._latest = call
        call.has_begun = True
        started = self._blocks.start_call(call.key, name, tool_call_id=call.id, executor="client")
        self.ids += [event.tool_call_id for event in started if isinstance(event, ToolCallStarted)]
        yield from started
        waiting = "".join(call.waiting)
        call.spelled.append(waiting)
        yield from self._blocks.call(call.key, waiting)

    def _complete(self, call: _Call) -> Iterator[Event]:
        call.is_over = True
        yield from self._blocks.complete_call(call.key)


def _spelled(function: Function) -> str:
    if isinstance(function.arguments, dict):
        return _encode(function.arguments).decode()
    return function.arguments or ""

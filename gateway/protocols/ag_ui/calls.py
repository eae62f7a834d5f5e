"""The tool calls of a run: who runs them, how they were answered, and which of them the client owes.

declared by the turn         `client`
any other                    `vendor`
owed                         what `pendingToolCallIds` names, or else every call of the client's without a result
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Any, cast

import msgspec
from msgspec import Struct

from gateway.canonical.blocks import Blocks, Events
from gateway.canonical.events import Event, Executor, Notice, ToolCallStarted, ToolResult
from gateway.protocols.ag_ui import run_input

Heard = Iterable[Event | Notice]


class _Call(Struct):
    """`id` is ours where the server gives none."""

    id: str
    name: str
    is_for_client: bool
    is_answered: bool = False


class ToolCalls:
    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._calls: dict[str, _Call] = {}
        self._signatures: dict[str, str] = {}
        self.of_client: frozenset[str] = frozenset()
        """The names of the tools that the turn declares."""

    def start(self, key: str, name: str) -> Heard:
        if key in self._calls:
            return (Notice("repaired_block"),)
        is_for_client = name in self.of_client
        executor: Executor = "client" if is_for_client else "vendor"
        started = self._blocks.start_call(key, name, tool_call_id=key, executor=executor)
        self._calls[key] = _Call(cast("ToolCallStarted", started[0]).tool_call_id, name, is_for_client)
        return started

    def grow(self, key: str, delta: str) -> Heard:
        if not self._blocks.is_call_open(key):
            return (Notice("repaired_block"),)
        return self._blocks.call(key, delta)

    def complete(self, key: str) -> Events:
        return self._blocks.complete_call(key, signature=self._signatures.pop(key, None))

    def complete_all(self) -> Iterator[Event]:
        """Whatever is open: a server may forget to end it."""
        for key in self._calls:
            yield from self.complete(key)

    def sign(self, key: str, signature: str) -> Events | None:
        """None where it comes too late."""
        if key in self._calls and not self._blocks.is_call_open(key):
            return None
        self._signatures[key] = signature
        return ()

    def answer(self, key: str, content: str | list[run_input.AnyPart], *, is_error: bool) -> Heard:
        call = self._calls.get(key)
        if call is None:
            return (ToolResult(key, output_of(content), is_error),)
        if call.is_answered:
            return (Notice("repaired_block"),)
        call.is_answered = True
        return (*self.complete(key), ToolResult(call.id, output_of(content), is_error, call.name))

    def recover(self, message: run_input.AssistantMessage | run_input.ToolMessage) -> Iterator[Event | Notice]:
        """What a snapshot tells, as far as it did not come by itself."""
        if isinstance(message, run_input.ToolMessage):
            known = self._calls.get(message.tool_call_id)
            if known is not None and not known.is_answered:
                yield from self.answer(message.tool_call_id, message.content, is_error=message.error is not None)
            return
        for call in message.tool_calls or ():
            if call.id not in self._calls:
                yield from self.start(call.id, call.function.name)
                yield from self.grow(call.id, call.function.arguments)
                yield from self.complete(call.id)

    def owed(self, named: Collection[str], asked_about: Collection[str | None]) -> list[str]:
        """`named` by the server; `asked_about` are those that wait for an approval."""
        known = set(named) & self._calls.keys()
        return [
            call.id
            for key, call in self._calls.items()
            if not call.is_answered and key not in asked_about and (key in known if known else call.is_for_client)
        ]


def output_of(content: str | list[run_input.AnyPart]) -> Any:
    """A tool's output: its text, or its parts where some are no text."""
    if isinstance(content, str):
        return content
    texts = [part.text for part in content if isinstance(part, run_input.TextPart)]
    return "\n".join(texts) if len(texts) == len(content) else msgspec.to_builtins(content)

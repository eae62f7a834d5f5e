"""Tools that the vendor ran itself: Groq's compound systems tell them in `executed_tools`.

    {"index": 0, "type": "search", "arguments": "{...}"}                                   a call of the vendor's
    {"index": 0, "type": "search", "arguments": "{...}", "output": "...", "search_results": {"results": [...]}}
                                                                                           its result, and sources

They have no ids; the index tells which is meant.
Source: groq (Python) types, read 2026-11.
"""

from collections.abc import Iterator

from msgspec import Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.events import Event, ToolCallStarted, ToolResult
from gateway.protocols.openai_chat.sources import Sources
from gateway.protocols.openai_chat.wire import ExecutedTool


class _Run(Struct):
    key: str
    tool_call_id: str
    has_arguments: bool = False
    is_over: bool = False


class ExecutedTools:
    def __init__(self, blocks: Blocks, sources: Sources) -> None:
        self._blocks = blocks
        self._sources = sources
        self._runs: dict[int, _Run] = {}

    def read(self, tool: ExecutedTool) -> Iterator[Event]:
        run = self._runs.get(tool.index)
        if run is None:
            started = self._blocks.start_call(f"executed {tool.index}", tool.type, executor="vendor")
            ids = [event.tool_call_id for event in started if isinstance(event, ToolCallStarted)]
            run = self._runs[tool.index] = _Run(f"executed {tool.index}", ids[0])
            yield from started
        if tool.arguments and not run.has_arguments:
            run.has_arguments = True
            yield from self._blocks.call(run.key, tool.arguments)
        found = tool.search_results.results if tool.search_results is not None else None
        if run.is_over or (tool.output is None and not found):
            return
        run.is_over = True
        yield from self._blocks.complete_call(run.key)
        output = [{"url": entry.url, "title": entry.title} for entry in found or ()] if not tool.output else tool.output
        yield ToolResult(run.tool_call_id, output, is_error=False, name=tool.type)
        yield from self._sources.list(found or ())

    def complete(self) -> Iterator[Event]:
        for run in self._runs.values():
            yield from self._blocks.complete_call(run.key)

"""What a client of Anthropic's is told, piece by piece: the same in a stream (`encoder.py`) and in a document.

    a call that the client runs      tool_use
    one that the vendor ran          server_tool_use where it is one of Anthropic's own tools, else mcp_tool_use
    its result                       <tool>_tool_result as the vendor gave it, or mcp_tool_result with a text
    a source                         a citation: of a page where it has a URL, else of a search result
    usage                            cached tokens beside `input_tokens`, not in it

Official clients know the seven names of `SERVER_TOOLS` and the shapes of their results; any other tool is written as
one of an MCP server's, which they pass on whatever its name. A call is one of Anthropic's own by its id.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.canonical.events import FinishReason, InputRequested, Source, ToolResult, Usage
from gateway.canonical.message import (
    FilePart,
    InputPart,
    Message,
    Part,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.protocols.anthropic.content import REDACTED

Frame = dict[str, Any]

SERVER_TOOLS = {
    "web_search": "web_search_tool_result",
    "web_fetch": "web_fetch_tool_result",
    "code_execution": "code_execution_tool_result",
    "bash_code_execution": "bash_code_execution_tool_result",
    "text_editor_code_execution": "text_editor_code_execution_tool_result",
    "tool_search_tool_regex": "tool_search_tool_result",
    "tool_search_tool_bm25": "tool_search_tool_result",
}
SERVER_CALL = "srvtoolu_"
SERVER_NAME = "gateway"
"""The MCP server that an unknown tool is said to be of."""

STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "input_required": "end_turn",
    "content_filter": "refusal",
    "other": "end_turn",
}
FINER: dict[FinishReason, frozenset[str]] = {
    "stop": frozenset({"stop_sequence"}),
    "length": frozenset({"model_context_window_exceeded"}),
    "other": frozenset({"pause_turn"}),
}
"""Reasons of this wire that say more, where a vendor gave them."""

QUESTIONS = {"question": "There is a question for you.", "approval": "Your approval is needed."}
"""Said where a vendor asks without a word."""

_encode = msgspec.json.Encoder().encode


def is_server_tool(name: str, call: str) -> bool:
    return name in SERVER_TOOLS and call.startswith(SERVER_CALL)


def clients_call(call: str, name: str, arguments: Frame) -> Frame:
    return {"type": "tool_use", "id": call, "name": name, "input": arguments}


def vendors_call(call: str, name: str, arguments: Frame) -> Frame:
    if is_server_tool(name, call):
        return {"type": "server_tool_use", "id": call, "name": name, "input": arguments}
    return {"type": "mcp_tool_use", "id": call, "name": name, "server_name": SERVER_NAME, "input": arguments}


def vendors_result(result: ToolResult | ToolResultPart) -> Frame:
    if result.name is not None and is_server_tool(result.name, result.tool_call_id):
        kind = SERVER_TOOLS[result.name]
        return {"type": kind, "tool_use_id": result.tool_call_id, "content": result.output}
    return {
        "type": "mcp_tool_result",
        "tool_use_id": result.tool_call_id,
        "is_error": result.is_error,
        "content": _texts(result.output),
    }


def _texts(output: Any) -> list[Frame]:
    """The texts that such a result is made of."""
    if isinstance(output, list) and output and all(map(_is_text, output)):
        return output
    return [{"type": "text", "text": output if isinstance(output, str) else _encode(output).decode()}]


def _is_text(block: object) -> bool:
    return isinstance(block, dict) and block.keys() == {"type", "text"} and isinstance(block["text"], str)


def citation(source: Source | SourcePart) -> Frame:
    quote = source.quote or ""
    if source.url:
        return {
            "type": "web_search_result_location",
            "url": source.url,
            "title": source.title,
            "cited_text": quote,
            "encrypted_index": "",
        }
    return {
        "type": "search_result_location",
        "source": source.file_id or source.source_id,
        "title": source.title,
        "cited_text": quote,
        "search_result_index": 0,
        "start_block_index": 0,
        "end_block_index": 1,
    }


def question(asked: InputRequested | InputPart) -> str:
    return asked.prompt or QUESTIONS[asked.kind]


def counts(usage: Usage | None) -> Frame:
    """Those that are known."""
    if usage is None:
        return {"output_tokens": 0}
    known: Frame = {"output_tokens": usage.output_tokens or 0}
    if usage.input_tokens is not None:
        known["input_tokens"] = max(
            usage.input_tokens - (usage.cached_tokens or 0) - (usage.cache_write_tokens or 0), 0
        )
    if usage.cached_tokens is not None:
        known["cache_read_input_tokens"] = usage.cached_tokens
    if usage.cache_write_tokens is not None:
        known["cache_creation_input_tokens"] = usage.cache_write_tokens
    if usage.reasoning_tokens is not None:
        known["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return known


def ending(reason: FinishReason | None, raw: str | None, stop: Sequence[str]) -> Frame:
    """`stop`: the sequences that the client asked for; which of several it was is not known."""
    if reason is None:
        return {"stop_reason": None, "stop_sequence": None}
    told = raw if raw is not None and raw in FINER.get(reason, ()) else STOP_REASONS[reason]
    met = stop[0] if told == "stop_sequence" and len(stop) == 1 else None
    return {"stop_reason": told, "stop_sequence": met}


def begun(message: str, model: str, usage: Usage | None) -> Frame:
    return {
        "id": message,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 0, **counts(usage)},
    }


# --- documents


def document(message: Message, stop: Sequence[str]) -> bytes:
    return _encode(
        {
            **begun(message.id, message.model or message.route or "", message.usage),
            "content": _content(message),
            **ending(message.finish_reason, message.raw_finish_reason, stop),
        }
    )


def _content(message: Message) -> list[Frame]:
    owed = set(message.pending_tool_calls)
    cited: dict[int | None, list[Frame]] = {}
    texts = {part.block for part in message.parts if isinstance(part, TextPart) and part.text}
    for part in message.parts:
        if isinstance(part, SourcePart):
            cited.setdefault(part.block if part.block in texts else None, []).append(citation(part))
    blocks = [block for part in message.parts for block in _blocks(part, owed, cited)]
    if None in cited:
        blocks.append({"type": "text", "text": "", "citations": cited[None]})
    return blocks


def _blocks(part: Part, owed: set[str], cited: dict[int | None, list[Frame]]) -> list[Frame]:
    match part:
        case TextPart(text) if text:
            citations = {"citations": cited[part.block]} if part.block in cited else {}
            return [{"type": "text", "text": text, **citations}]
        case ReasoningPart(text, _, signature) if text or signature:
            return [thought(text, signature)]
        case ToolCallPart(call, name, arguments):
            is_clients = part.executor == "client" or call in owed
            return [(clients_call if is_clients else vendors_call)(call, name, arguments)]
        case ToolResultPart():
            return [vendors_result(part)]
        case FilePart(file_id=str(file_id)):
            return [{"type": "container_upload", "file_id": file_id}]
        case InputPart():
            return [{"type": "text", "text": question(part)}]
        case _:
            return []


def thought(text: str, signature: str | None) -> Frame:
    if not text and signature is not None and signature.startswith(REDACTED):
        return {"type": "redacted_thinking", "data": signature.removeprefix(REDACTED)}
    return {"type": "thinking", "thinking": text, "signature": signature or ""}

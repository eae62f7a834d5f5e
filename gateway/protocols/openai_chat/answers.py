"""A stored answer as one `chat.completion`, and what a client is told beside answers.

    Message       {"id", "object", "created", "model", "choices": [{"message", "finish_reason"}], "usage"}
    Model         {"id", "object": "model", "created", "owned_by"}
    Page[Model]   {"object": "list", "data": [...]}

What a stream leaves out is left out here as well; see `ChatDialect.losses`.
"""

from typing import Any

import msgspec

from gateway.canonical.message import (
    InputPart,
    Message,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
)
from gateway.canonical.resources import Model
from gateway.protocols.openai_chat.encoder import BLANK_LINE, CUT_SHORT, FINISH_REASONS, annotation, usage_document

OWNER = "gateway"

_encode = msgspec.json.Encoder().encode


def completion(message: Message, model: str) -> bytes:
    document: dict[str, Any] = {
        "id": message.id,
        "object": "chat.completion",
        "created": int(message.created_at.timestamp()),
        "model": model,
        "choices": [
            {"index": 0, "message": _said(message), "logprobs": None, "finish_reason": _finish_reason(message)}
        ],
    }
    usage = usage_document(message.usage)
    return _encode(document if usage is None else {**document, "usage": usage})


def model_document(model: Model) -> dict[str, Any]:
    created = int(model.created_at.timestamp())
    return {"id": model.name, "object": "model", "created": created, "owned_by": OWNER}


def _finish_reason(message: Message) -> str:
    return CUT_SHORT if message.finish_reason is None else FINISH_REASONS[message.finish_reason]


def _said(message: Message) -> dict[str, Any]:
    content, offsets = _content(message)
    reasoning = "".join(part.text for part in message.parts if isinstance(part, ReasoningPart))
    calls = [_call(part) for part in message.parts if isinstance(part, ToolCallPart) and _is_the_clients(part, message)]
    sources = [part for part in message.parts if isinstance(part, SourcePart) and part.url is not None]
    said: dict[str, Any] = {"role": "assistant", "content": content or (None if calls else ""), "refusal": None}
    if reasoning:
        said["reasoning_content"] = reasoning
    if calls:
        said["tool_calls"] = calls
    if sources:
        said["annotations"] = [annotation(source, offsets) for source in sources]
    return said


def _content(message: Message) -> tuple[str, dict[int, int]]:
    content = ""
    offsets: dict[int, int] = {}
    for part in message.parts:
        if isinstance(part, TextPart):
            if part.block is not None:
                offsets[part.block] = len(content)
            content += part.text
        elif isinstance(part, InputPart) and part.prompt:
            content += (BLANK_LINE if content else "") + part.prompt
    return content, offsets


def _is_the_clients(part: ToolCallPart, message: Message) -> bool:
    return part.executor == "client" or part.tool_call_id in message.pending_tool_calls


def _call(part: ToolCallPart) -> dict[str, Any]:
    arguments = _encode(part.arguments).decode() if part.raw_arguments is None else part.raw_arguments
    return {"id": part.tool_call_id, "type": "function", "function": {"name": part.name, "arguments": arguments}}

"""A stored answer as one UI message, as a client would hold it once it has read the answer's stream."""

from collections.abc import Iterator

from msgspec import UNSET

from gateway.canonical.events import Executor
from gateway.canonical.message import (
    DataFramePart,
    DataPart,
    FilePart,
    Message,
    Part,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.protocols.ai_sdk import metadata, wire
from gateway.protocols.ai_sdk.transcript import BINARY, as_text


def as_ui_message(message: Message) -> wire.UiMessage:
    told = {
        "conversationId": message.conversation_id,
        "messageId": message.id,
        "vendor": message.vendor,
        "model": message.model,
        "usage": None if message.usage is None else metadata.told(message.usage),
    }
    results = {part.tool_call_id: part for part in message.parts if isinstance(part, ToolResultPart)}
    parts = [written for part in message.parts for written in _written(part, message, results)]
    known = {name: value for name, value in told.items() if value is not None}
    return wire.UiMessage(id=message.id, role=message.role, metadata=known, parts=parts)


def _written(part: Part, message: Message, results: dict[str, ToolResultPart]) -> Iterator[wire.UiPart]:
    match part:
        case TextPart():
            yield wire.UiPart(type="text", text=part.text, state="done")
        case ReasoningPart():
            yield wire.UiPart(type="reasoning", text=part.text, state="done")
        case ToolCallPart():
            executor: Executor = "client" if part.tool_call_id in message.pending_tool_calls else part.executor
            yield _call(part, results.get(part.tool_call_id), executor)
        case SourcePart(url=str(url)):
            yield wire.UiPart(type="source-url", source_id=part.source_id, url=url, title=part.title)
        case SourcePart():
            title = part.title or part.file_id or part.source_id
            yield wire.UiPart(type="source-document", source_id=part.source_id, media_type=BINARY, title=title)
        case FilePart(url=str(url)):
            yield wire.UiPart(type="file", url=url, media_type=part.media_type or BINARY, filename=part.name)
        case DataFramePart():
            table = {"name": part.name, "columns": part.columns, "rows": part.rows}
            yield wire.UiPart(type="data-data_frame", data=table)
        case DataPart():
            yield wire.UiPart(type=f"data-{part.name}", data=part.value)


def _call(part: ToolCallPart, result: ToolResultPart | None, executor: Executor) -> wire.UiPart:
    is_clients = executor == "client"
    is_whole = part.status == "complete"
    if result is None:
        state = "input-available" if is_whole else "input-streaming"
    else:
        state = "output-error" if result.is_error else "output-available"
    return wire.UiPart(
        type=wire.TOOL + part.name if is_clients else wire.DYNAMIC_TOOL,
        tool_name=None if is_clients else part.name,
        tool_call_id=part.tool_call_id,
        state=state,
        input=part.arguments if is_whole else UNSET,
        raw_input=None if is_whole else part.raw_arguments,
        output=result.output if result is not None and not result.is_error else UNSET,
        error_text=as_text(result.output) if result is not None and result.is_error else None,
        provider_executed=None if is_clients else True,
    )

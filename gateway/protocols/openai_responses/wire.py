"""OpenAI's Responses as a vendor streams it: `Frame`s, which hold items of the output, and a `Response` at the ends.

    Frame        tagged by `type`; what is sent only to be watched (`...in_progress`, `...searching`) is in `PROGRESS`
    Raw          an item or an annotation, decoded apart, as it may be of a new kind: see `wire_items.py`
    Refusal      the body of an HTTP error

An item is known by its `output_index`, as its id may be another one in every event.
Source: openai 3.52.0 `types/responses`, and the recordings in tests/protocols; read 2026-11.
"""

from typing import Any

from msgspec import Raw, Struct

from gateway.protocols.openai_responses.wire_items import Part

DONE = b"[DONE]"
NOTHING = Raw(b"null")


# --- the response


class InputTokens(Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputTokens(Struct, frozen=True):
    reasoning_tokens: int | None = None


class Usage(Struct, frozen=True):
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_tokens_details: InputTokens | None = None
    output_tokens_details: OutputTokens | None = None


class Fault(Struct, frozen=True):
    """An error wherever it stands. Some servers give their HTTP status for its code."""

    code: str | int | None = None
    type: str | None = None
    message: str | None = None


class Incomplete(Struct, frozen=True):
    reason: str | None = None


class Response(Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    status: str | None = None
    error: Fault | str | None = None
    incomplete_details: Incomplete | None = None
    output: list[Raw] | None = None
    usage: Usage | None = None


class Refusal(Struct, frozen=True):
    """An error's body: nested, or flat."""

    error: Any = None
    code: Any = None
    type: Any = None
    message: Any = None


# --- frames


class Event(Struct, frozen=True, tag_field="type"):
    """Any frame of the stream."""


class Bracket(Event, frozen=True):
    response: Response = Response()


class Created(Bracket, frozen=True, tag="response.created"): ...


class Queued(Bracket, frozen=True, tag="response.queued"): ...


class InProgress(Bracket, frozen=True, tag="response.in_progress"): ...


class Completed(Bracket, frozen=True, tag="response.completed"): ...


class Incompleted(Bracket, frozen=True, tag="response.incomplete"): ...


class Failed(Bracket, frozen=True, tag="response.failed"): ...


class Error(Event, frozen=True, tag="error"):
    error: Fault | str | None = None
    code: str | int | None = None
    message: str | None = None


class Keepalive(Event, frozen=True, tag="keepalive"): ...


class OfItem(Event, frozen=True):
    output_index: int = 0


class ItemAdded(OfItem, frozen=True, tag="response.output_item.added"):
    item: Raw = NOTHING


class ItemDone(OfItem, frozen=True, tag="response.output_item.done"):
    item: Raw = NOTHING


class OfContent(OfItem, frozen=True):
    content_index: int = 0


class PartAdded(OfContent, frozen=True, tag="response.content_part.added"):
    part: Part = Part()


class PartDone(OfContent, frozen=True, tag="response.content_part.done"):
    part: Part = Part()


class TextDelta(Event, frozen=True, tag="response.output_text.delta"):
    delta: str
    output_index: int = 0
    content_index: int = 0


class TextDone(OfContent, frozen=True, tag="response.output_text.done"):
    text: str = ""


class AnnotationAdded(OfContent, frozen=True, tag="response.output_text.annotation.added"):
    annotation: Raw = NOTHING


class RefusalDelta(OfContent, frozen=True, kw_only=True, tag="response.refusal.delta"):
    delta: str


class RefusalDone(OfContent, frozen=True, tag="response.refusal.done"):
    refusal: str = ""


class SummaryPartAdded(OfItem, frozen=True, tag="response.reasoning_summary_part.added"):
    summary_index: int = 0


class SummaryPartDone(OfItem, frozen=True, tag="response.reasoning_summary_part.done"):
    part: Part = Part()
    summary_index: int = 0


class SummaryDelta(OfItem, frozen=True, kw_only=True, tag="response.reasoning_summary_text.delta"):
    delta: str
    summary_index: int = 0


class SummaryDone(OfItem, frozen=True, tag="response.reasoning_summary_text.done"):
    text: str = ""
    summary_index: int = 0


class ReasoningDelta(OfContent, frozen=True, kw_only=True, tag="response.reasoning_text.delta"):
    delta: str


class ReasoningDone(OfContent, frozen=True, tag="response.reasoning_text.done"):
    text: str = ""


class OfCallDelta(OfItem, frozen=True, kw_only=True):
    delta: str


class ArgumentsDelta(OfCallDelta, frozen=True, tag="response.function_call_arguments.delta"): ...


class ArgumentsDone(OfItem, frozen=True, tag="response.function_call_arguments.done"):
    arguments: str = ""


class McpArgumentsDelta(OfCallDelta, frozen=True, tag="response.mcp_call_arguments.delta"): ...


class McpArgumentsDone(OfItem, frozen=True, tag="response.mcp_call_arguments.done"):
    arguments: str = ""


class InputDelta(OfCallDelta, frozen=True, tag="response.custom_tool_call_input.delta"): ...


class CodeDelta(OfCallDelta, frozen=True, tag="response.code_interpreter_call_code.delta"): ...


class TranscriptDelta(Event, frozen=True, tag="response.audio.transcript.delta"):
    delta: str


class TranscriptDone(Event, frozen=True, tag="response.audio.transcript.done"): ...


Frame = (
    Created
    | Queued
    | InProgress
    | Completed
    | Incompleted
    | Failed
    | Error
    | Keepalive
    | ItemAdded
    | ItemDone
    | PartAdded
    | PartDone
    | TextDelta
    | TextDone
    | AnnotationAdded
    | RefusalDelta
    | RefusalDone
    | SummaryPartAdded
    | SummaryPartDone
    | SummaryDelta
    | SummaryDone
    | ReasoningDelta
    | ReasoningDone
    | ArgumentsDelta
    | ArgumentsDone
    | McpArgumentsDelta
    | McpArgumentsDone
    | InputDelta
    | CodeDelta
    | TranscriptDelta
    | TranscriptDone
)

PROGRESS = frozenset(
    {
        "response.audio.delta",
        "response.audio.done",
        "response.code_interpreter_call.completed",
        "response.code_interpreter_call.in_progress",
        "response.code_interpreter_call.interpreting",
        "response.code_interpreter_call_code.done",
        "response.compaction.compacting",
        "response.custom_tool_call_input.done",
        "response.file_search_call.completed",
        "response.file_search_call.in_progress",
        "response.file_search_call.searching",
        "response.image_generation_call.completed",
        "response.image_generation_call.generating",
        "response.image_generation_call.in_progress",
        "response.image_generation_call.partial_image",
        "response.mcp_call.completed",
        "response.mcp_call.failed",
        "response.mcp_call.in_progress",
        "response.mcp_list_tools.completed",
        "response.mcp_list_tools.failed",
        "response.mcp_list_tools.in_progress",
        "response.shell_call_command.added",
        "response.shell_call_command.delta",
        "response.shell_call_command.done",
        "response.shell_call_output_content.delta",
        "response.shell_call_output_content.done",
        "response.web_search_call.completed",
        "response.web_search_call.in_progress",
        "response.web_search_call.searching",
    }
)
"""Known frames that say nothing which the end of their item does not repeat: a sign that the vendor works."""

"""What an output of OpenAI's Responses is made of, as it is spelled on the wire.

    AnyItem      a message, reasoning, a call, what came of a call
    Annotation   what a text cites
    Sealed       the vendor's reasoning as we keep it, in the signature of ours

Source: openai 3.52.0 `types/responses/response_output_item.py`, `response_output_text.py`; read 2026-11.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct


class Part(Struct, frozen=True):
    """Of a message: a text or a refusal; of reasoning: its text, in full or in summary."""

    type: str = ""
    text: str | None = None
    refusal: str | None = None
    annotations: list[Raw] | None = None


class Item(Struct, frozen=True, tag_field="type"):
    """One of the output; `id` may differ between the events of one item."""

    id: str | None = None
    status: str | None = None


class Message(Item, frozen=True, tag="message"):
    content: list[Part] | None = None
    phase: str | None = None


class Reasoning(Item, frozen=True, tag="reasoning"):
    summary: list[Part] | None = None
    content: list[Part] | None = None
    encrypted_content: str | None = None


class Call(Item, frozen=True):
    call_id: str | None = None


class FunctionCall(Call, frozen=True, tag="function_call"):
    name: str = ""
    arguments: str | None = None
    namespace: str | None = None


class CustomToolCall(Call, frozen=True, tag="custom_tool_call"):
    name: str = ""
    input: str | None = None


class LocalShellCall(Call, frozen=True, tag="local_shell_call"):
    action: dict[str, Any] | None = None


class Environment(Struct, frozen=True):
    type: str | None = None


class ShellCall(Call, frozen=True, tag="shell_call"):
    """In an `environment` of the vendor's own it runs there, and its output follows as an item."""

    action: dict[str, Any] | None = None
    environment: Environment | None = None


class ApplyPatchCall(Call, frozen=True, tag="apply_patch_call"):
    operation: dict[str, Any] | None = None


class ComputerCall(Call, frozen=True, tag="computer_call"):
    action: dict[str, Any] | None = None
    actions: list[dict[str, Any]] | None = None
    pending_safety_checks: list[dict[str, Any]] | None = None


class ToolSearchCall(Call, frozen=True, tag="tool_search_call"):
    arguments: Any = None
    execution: str | None = None


class Program(Call, frozen=True, tag="program"):
    code: str | None = None


class McpCall(Item, frozen=True, tag="mcp_call"):
    """`approval_request_id`: what it was approved, or declined, by."""

    name: str = ""
    approval_request_id: str | None = None
    arguments: str | None = None
    output: str | None = None
    error: Any = None


class WebSearchCall(Item, frozen=True, tag="web_search_call"):
    action: dict[str, Any] | None = None
    results: Any = None


class FileSearchCall(Item, frozen=True, tag="file_search_call"):
    queries: list[str] | None = None
    results: list[dict[str, Any]] | None = None


class CodeOutput(Struct, frozen=True):
    type: str = ""
    logs: str | None = None
    url: str | None = None


class CodeInterpreterCall(Item, frozen=True, tag="code_interpreter_call"):
    code: str | None = None
    outputs: list[CodeOutput] | None = None


class ImageGenerationCall(Item, frozen=True, tag="image_generation_call"):
    result: str | None = None
    output_format: str | None = None
    revised_prompt: str | None = None
    error: Any = None


class McpApprovalRequest(Item, frozen=True, tag="mcp_approval_request"):
    name: str = ""
    arguments: str = ""
    server_label: str = ""


class Outcome(Call, frozen=True):
    """What came of a call that stands in an item of its own."""

    output: Any = None


class FunctionCallOutput(Outcome, frozen=True, tag="function_call_output"): ...


class CustomToolCallOutput(Outcome, frozen=True, tag="custom_tool_call_output"): ...


class ShellCallOutput(Outcome, frozen=True, tag="shell_call_output"): ...


class LocalShellCallOutput(Outcome, frozen=True, tag="local_shell_call_output"): ...


class ApplyPatchCallOutput(Outcome, frozen=True, tag="apply_patch_call_output"): ...


class ComputerCallOutput(Outcome, frozen=True, tag="computer_call_output"): ...


class ToolSearchOutput(Call, frozen=True, tag="tool_search_output"):
    tools: Any = None


class ProgramOutput(Call, frozen=True, tag="program_output"):
    result: Any = None


AnyItem = (
    Message
    | Reasoning
    | FunctionCall
    | CustomToolCall
    | LocalShellCall
    | ShellCall
    | ApplyPatchCall
    | ComputerCall
    | ToolSearchCall
    | Program
    | McpCall
    | WebSearchCall
    | FileSearchCall
    | CodeInterpreterCall
    | ImageGenerationCall
    | McpApprovalRequest
    | FunctionCallOutput
    | CustomToolCallOutput
    | ShellCallOutput
    | LocalShellCallOutput
    | ApplyPatchCallOutput
    | ComputerCallOutput
    | ToolSearchOutput
    | ProgramOutput
)


# --- annotations


class Cited(Struct, frozen=True, tag_field="type"):
    start_index: int | None = None
    end_index: int | None = None


class UrlCitation(Cited, frozen=True, tag="url_citation"):
    url: str | None = None
    title: str | None = None


class OfFile(Cited, frozen=True):
    file_id: str | None = None
    filename: str | None = None


class FileCitation(OfFile, frozen=True, tag="file_citation"): ...


class ContainerFileCitation(OfFile, frozen=True, tag="container_file_citation"): ...


class FilePath(OfFile, frozen=True, tag="file_path"): ...


Annotation = UrlCitation | FileCitation | ContainerFileCitation | FilePath


class Sealed(Struct, frozen=True):
    """What a reasoning block's signature holds: what its vendor wants back."""

    id: str
    encrypted_content: str


read_sealed = msgspec.json.Decoder(Sealed).decode

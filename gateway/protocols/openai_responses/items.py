"""What an item of the output means: a tool call, who runs it, what it was given, and what came of it.

    function_call, custom_tool_call           calls of the client's tools; a custom one's text is {"input": text}
    local_shell_call, apply_patch_call,
    computer_call, tool_search_call, shell_call
                                              the client's too; in an environment of the vendor's own, its
    mcp_call, web_search_call, file_search_call, code_interpreter_call, image_generation_call, program
                                              the vendor's, with a result
    ..._output                                the result of a call that names itself by `call_id`

A call whose item must go back as it came has that item for its signature.
Source: openai 3.52.0 `types/responses/response_output_item.py`; read 2026-11.
"""

from typing import Any

import msgspec
from msgspec import Struct

from gateway.canonical.blocks import parse_arguments
from gateway.canonical.events import Executor, File, InputRequested
from gateway.protocols.openai_responses import wire_items

_encode = msgspec.json.encode

IMAGE_TYPES = {"svg": "image/svg+xml"}
"""Media types of images that are not `image/` and their format."""

UNFINISHED = frozenset({"in_progress", "calling"})

VENDORS_ENVIRONMENTS = frozenset({"container_auto", "container_reference"})


Hosted = (
    wire_items.WebSearchCall
    | wire_items.FileSearchCall
    | wire_items.CodeInterpreterCall
    | wire_items.ImageGenerationCall
)


class Opening(Struct, frozen=True):
    """A tool call as its item begins; `id` is how the vendor calls it."""

    id: str | None
    name: str
    executor: Executor


class Finding(Struct, frozen=True):
    """What came of a call; `call_id` is the vendor's, None where it stands in the call's own item."""

    output: Any
    is_error: bool
    call_id: str | None = None


def opening(item: object) -> Opening | None:
    """None for what is no call, or has not said its name yet."""
    match item:
        case wire_items.FunctionCall() | wire_items.CustomToolCall():
            return Opening(item.call_id, item.name, "client") if item.name else None
        case wire_items.McpCall():
            return Opening(item.id, item.name, "vendor") if item.name else None
        case wire_items.ShellCall():
            runs_there = item.environment is not None and item.environment.type in VENDORS_ENVIRONMENTS
            return Opening(item.call_id, "shell", "vendor" if runs_there else "client")
        case wire_items.ToolSearchCall():
            return Opening(item.call_id or item.id, "tool_search", "client" if item.execution == "client" else "vendor")
        case wire_items.LocalShellCall() | wire_items.ApplyPatchCall() | wire_items.ComputerCall():
            return Opening(item.call_id, CLIENT_NAMES[type(item)], "client")
        case wire_items.Program():
            return Opening(item.call_id, "program", "vendor")
        case _ if type(item) in VENDOR_NAMES:
            return Opening(getattr(item, "id", None), VENDOR_NAMES[type(item)], "vendor")
        case _:
            return None


CLIENT_NAMES: dict[type, str] = {
    wire_items.LocalShellCall: "local_shell",
    wire_items.ApplyPatchCall: "apply_patch",
    wire_items.ComputerCall: "computer",
}
VENDOR_NAMES: dict[type, str] = {
    wire_items.WebSearchCall: "web_search",
    wire_items.FileSearchCall: "file_search",
    wire_items.CodeInterpreterCall: "code_interpreter",
    wire_items.ImageGenerationCall: "image_generation",
}

PLAIN: dict[type, str] = {wire_items.CustomToolCall: "input", wire_items.CodeInterpreterCall: "code"}
"""Calls whose arguments are a plain text, and what it is called among ours."""


def spelled(item: object) -> str | None:
    """The arguments as the text that the vendor spells; None where they are no text."""
    match item:
        case wire_items.FunctionCall() | wire_items.McpCall():
            return item.arguments
        case wire_items.CustomToolCall():
            return item.input
        case wire_items.CodeInterpreterCall():
            return item.code
        case _:
            return None


def arguments(item: object) -> dict[str, Any]:
    """Of a call whose arguments are no text."""
    match item:
        case wire_items.LocalShellCall() | wire_items.ShellCall() | wire_items.WebSearchCall():
            return item.action or {}
        case wire_items.ApplyPatchCall():
            return item.operation or {}
        case wire_items.ComputerCall():
            given = {"actions": item.actions, "action": item.action, "safety_checks": item.pending_safety_checks}
            return {name: value for name, value in given.items() if value}
        case wire_items.ToolSearchCall():
            return item.arguments if isinstance(item.arguments, dict) else {}
        case wire_items.FileSearchCall():
            return {"queries": item.queries or []}
        case wire_items.Program():
            return {"code": item.code or ""}
        case wire_items.ImageGenerationCall():
            return {"prompt": item.revised_prompt} if item.revised_prompt else {}
        case _:
            return {}


def finding(item: object) -> Finding | None:
    """What came of a call, where the item says it."""
    match item:
        case wire_items.McpCall():
            return _found_by_mcp(item)
        case (
            wire_items.WebSearchCall()
            | wire_items.FileSearchCall()
            | wire_items.CodeInterpreterCall()
            | wire_items.ImageGenerationCall()
        ):
            return Finding(_found(item) or {"status": item.status or "completed"}, item.status == "failed")
        case wire_items.ToolSearchOutput():
            return Finding(item.tools, is_error=False, call_id=item.call_id or "")
        case wire_items.ProgramOutput():
            return Finding(item.result, is_error=False, call_id=item.call_id or "")
        case wire_items.Outcome():
            return Finding(item.output, item.status == "failed", item.call_id or "")
        case _:
            return None


def _found_by_mcp(item: wire_items.McpCall) -> Finding | None:
    if item.error:
        return Finding(_content_of(item.error), is_error=True)
    if item.output is None and item.status in UNFINISHED:
        return None
    return Finding(item.output or "", item.status == "failed")


def _found(item: Hosted) -> Any:
    match item:
        case wire_items.WebSearchCall():
            return item.results or (item.action or {}).get("sources")
        case wire_items.FileSearchCall():
            return item.results
        case wire_items.CodeInterpreterCall():
            outputs = [msgspec.structs.asdict(output) for output in item.outputs or []]
            return [{name: value for name, value in output.items() if value is not None} for output in outputs]
        case _:
            return item.error


def _content_of(error: Any) -> Any:
    return error.get("content", error) if isinstance(error, dict) else error


def files(item: object) -> tuple[File, ...]:
    """What a tool of the vendor's made."""
    match item:
        case wire_items.ImageGenerationCall() if item.result:
            kind = item.output_format or "png"
            media_type = IMAGE_TYPES.get(kind, f"image/{kind}")
            return (File(media_type=media_type, url=f"data:{media_type};base64,{item.result}"),)
        case wire_items.CodeInterpreterCall():
            return tuple(File(url=output.url) for output in item.outputs or [] if output.url)
        case _:
            return ()


def cited_file(cited: wire_items.FilePath) -> File:
    """Some servers give a file's address for its id."""
    file_id = cited.file_id or ""
    return File(url=file_id) if "://" in file_id or file_id.startswith("data:") else File(file_id=file_id or None)


def approval(item: wire_items.McpApprovalRequest, request_id: str) -> InputRequested:
    parsed = parse_arguments(item.arguments)
    return InputRequested(
        request_id,
        "approval",
        f"Allow {item.server_label} to run {item.name}?",
        fields={
            "server_label": item.server_label,
            "name": item.name,
            "arguments": item.arguments if parsed is None else parsed,
        },
    )


def seal(item: wire_items.Reasoning) -> str | None:
    """What the vendor wants back with a reasoning; None where it cannot take it back."""
    if not (item.id and item.encrypted_content):
        return None
    return _encode(wire_items.Sealed(item.id, item.encrypted_content)).decode()


def signature(item: object, raw: bytes) -> str | None:
    """Of a call of the client's that no plain `function_call` could tell."""
    match item:
        case wire_items.FunctionCall() if item.namespace is None:
            return None
        case wire_items.Call():
            called = opening(item)
            return raw.decode() if called is not None and called.executor == "client" else None
        case _:
            return None

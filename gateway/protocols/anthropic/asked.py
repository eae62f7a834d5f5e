"""What a client of Anthropic's asks, as a message of ours.

    model                      the route, or a model that a route answers for
    system, messages           instructions; history and what is said now
    tools                      those without a `type` of their own; the others go to Anthropic alone
    max_tokens, temperature, top_p, stop_sequences, output_config.format     parameters
    thinking, output_config.effort                                           reasoning_effort, and as they are
    metadata.user_id           user_id

What only Anthropic's API has goes to `vendor_options.anthropic`: top_k, thinking, effort, service_tier, speed,
container, inference_geo, context_management, disable_parallel_tool_use, the names in `anthropic-beta`, tools with a
`type`, and of all `cache_control` one for the whole. No other vendor is told of them.
Refused: `mcp_servers`, which would have us call any URL, and a last message of the assistant's, which no other vendor
could go on with. Without effect: `diagnostics`, `fallbacks`, `user_profile_id`, a tool's `defer_loading`,
`eager_input_streaming`, `input_examples` and `allowed_callers`; `compaction` and `fallback` blocks that come back.
A document's `context` becomes a text before it, a search result a text.
Source: the types of anthropic (Python) 2.12.0, read 2026-11.
"""

import base64
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.history import split
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import Effort, HistoryMessage, MessageRequest, NamedTool, Parameters, ResponseFormat, Tool
from gateway.framing.typed import UNREADABLE, explain
from gateway.protocols.anthropic import content as c
from gateway.protocols.anthropic import wire
from gateway.protocols.anthropic.asking import BUDGETS, AnthropicOptions, Beta
from gateway.protocols.base import ClientRequest, all_values
from gateway.protocols.reading import cannot_carry, read_body, refuse, user_id

VENDOR = "anthropic"


class UserMessage(Struct, frozen=True, tag_field="role", tag="user"):
    content: str | list[c.UserBlock]


class AssistantMessage(Struct, frozen=True, tag_field="role", tag="assistant"):
    content: str | list[c.AssistantBlock] | None = None


class SystemMessage(Struct, frozen=True, tag_field="role", tag="system"):
    content: str | list[c.TextBlock]


class ClientTool(Struct, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    input_schema: dict[str, Any] = {}
    description: str | None = None
    strict: bool | None = None
    cache_control: c.CacheControl | None = None


class Counted(Struct, frozen=True, kw_only=True):
    """What the size of a message is counted of."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[list[UserMessage | AssistantMessage | SystemMessage], Meta(min_length=1)]
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    system: str | list[c.TextBlock] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: wire.ToolChoice | None = None
    thinking: wire.Thinking | None = None
    output_config: wire.OutputConfig | None = None
    output_format: wire.OutputFormat | None = None
    mcp_servers: list[Any] | None = None
    context_management: dict[str, Any] | None = None
    cache_control: c.CacheControl | None = None
    speed: str | None = None


class Asked(Counted, frozen=True, kw_only=True):
    max_tokens: Annotated[int, Meta(ge=1)]
    stream: bool = False
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    stop_sequences: list[str] | None = None
    metadata: wire.Metadata | None = None
    service_tier: str | None = None
    container: str | dict[str, Any] | None = None
    inference_geo: str | None = None


_decode_asked = msgspec.json.Decoder(Asked).decode
_decode_counted = msgspec.json.Decoder(Counted).decode


def read_message(request: ClientRequest) -> MessageRequest:
    asked = read_body(_decode_asked, request)
    parameters = Parameters(
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_output_tokens=asked.max_tokens,
        stop=asked.stop_sequences or [],
        response_format=_format(asked),
        reasoning_effort=_effort(asked),
    )
    own = {
        "top_k": asked.top_k,
        "service_tier": asked.service_tier,
        "container": asked.container,
        "inference_geo": asked.inference_geo,
    }
    return msgspec.structs.replace(
        _common(asked, request, own),
        parameters=parameters,
        user_id=user_id(asked.metadata.user_id if asked.metadata else None, "$.metadata.user_id"),
        stream=asked.stream,
    )


def read_count(request: ClientRequest) -> MessageRequest:
    counted = read_body(_decode_counted, request)
    return msgspec.structs.replace(_common(counted, request, {}), stream=False)


def _common(asked: Counted, request: ClientRequest, own: dict[str, Any]) -> MessageRequest:
    if asked.mcp_servers:
        raise cannot_carry("$.mcp_servers", "servers by their URL")
    said = split(_said(asked))
    if not said.content:
        _refuse_last(asked)
    client_tools, server_tools = _tools(asked.tools or [])
    return MessageRequest(
        route=asked.model,
        content=said.content,
        history=said.history,
        instructions=said.instructions,
        tools=[Tool(tool.name, tool.description, tool.input_schema, tool.strict) for tool in client_tools],
        tool_choice=_tool_choice(asked.tool_choice),
        vendor_options=_options(asked, request, client_tools, own | {"server_tools": server_tools or None}),
    )


def _refuse_last(asked: Counted) -> NoReturn:
    path = f"$.messages[{len(asked.messages) - 1}]"
    if isinstance(asked.messages[-1], AssistantMessage):
        raise refuse(f"{path}.role", "the last message must be the user's")
    raise refuse(f"{path}.content", "the message is empty")


# --- what was said


def _said(asked: Counted) -> Iterator[HistoryMessage]:
    yield HistoryMessage("system", _texts(asked.system or ""))
    for number, message in enumerate(asked.messages):
        match message:
            case SystemMessage(content):
                yield HistoryMessage("system", _texts(content))
            case UserMessage(content):
                path = f"$.messages[{number}].content"
                yield HistoryMessage("user", list(_of_the_user(content, path)))
            case _:
                yield HistoryMessage("assistant", list(_of_the_assistant(message.content or "")))


def _texts(content: str | list[c.TextBlock]) -> list[Part]:
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    return [TextPart(block.text) for block in content if block.text]


def _of_the_user(content: str | list[c.UserBlock], path: str) -> Iterator[Part]:
    if isinstance(content, str):
        yield from _texts(content)
        return
    for number, block in enumerate(content):
        match block:
            case c.TextBlock(text):
                if text:
                    yield TextPart(text)
            case c.ImageBlock(source):
                yield _image(source)
            case c.DocumentBlock():
                yield from _document(block, f"{path}[{number}].source")
            case c.ToolResult(call, output, is_error):
                yield ToolResultPart(call, _output(output), is_error)
            case c.SearchResult(source, title, pieces):
                yield TextPart("\n".join([title, source, *(piece.text for piece in pieces)]))
            case _:
                yield FilePart(file_id=block.file_id)


def _image(source: c.Base64Source | c.UrlSource | c.FileSource) -> ImagePart:
    match source:
        case c.Base64Source(media_type, data):
            return ImagePart(data=data, media_type=media_type)
        case c.UrlSource(url):
            return ImagePart(url=url)
        case _:
            return ImagePart(file_id=source.file_id)


def _document(block: c.DocumentBlock, path: str) -> Iterator[Part]:
    if block.context:
        yield TextPart(block.context)
    match block.source:
        case c.Base64Source(media_type, data):
            yield FilePart(data=data, media_type=media_type, name=block.title)
        case c.UrlSource(url):
            yield FilePart(url=url, name=block.title)
        case c.FileSource(file_id):
            yield FilePart(file_id=file_id, name=block.title)
        case c.TextSource(text):
            yield _text_file(text, block.title, path)
        case _:
            content = block.source.content
            pieces = [content] if isinstance(content, str) else [piece.text for piece in content]
            yield _text_file("\n\n".join(pieces), block.title, path)


def _text_file(text: str, title: str | None, path: str) -> FilePart:
    if not text:
        raise refuse(path, "the document is empty")
    return FilePart(data=base64.b64encode(text.encode()).decode(), media_type="text/plain", name=title)


def _output(content: str | list[dict[str, Any]] | None) -> Any:
    """A text as a text, anything else as its blocks; a hint of one block is no part of it."""
    if isinstance(content, list):
        blocks = [{name: value for name, value in block.items() if name != "cache_control"} for block in content]
        return blocks[0]["text"] if len(blocks) == 1 and _is_text(blocks[0]) else blocks
    return content or ""


def _is_text(block: dict[str, Any]) -> bool:
    return block.get("type") == "text" and isinstance(block.get("text"), str)


def _of_the_assistant(content: str | list[c.AssistantBlock]) -> Iterator[Part]:
    if isinstance(content, str):
        yield from _texts(content)
        return
    names = {block.id: block.name for block in content if isinstance(block, c.VendorCall)}
    for block in content:
        if isinstance(block, c.Outcome):
            yield _outcome(block, names.get(block.tool_use_id))
        else:
            yield from _spoken(block)


def _spoken(block: c.AssistantBlock) -> Iterator[Part]:
    match block:
        case c.TextBlock(text) if text:
            yield TextPart(text)
        case c.ThinkingBlock(thinking, signature):
            yield ReasoningPart(thinking, signature=signature or None)
        case c.RedactedThinking(data):
            yield ReasoningPart("", signature=c.REDACTED + data)
        case c.ToolUse(call, name, arguments):
            yield ToolCallPart(call, name, arguments, executor="client")
        case c.ServerToolUse(call, name, arguments) | c.McpToolUse(call, name, arguments):
            yield ToolCallPart(call, name, arguments, executor="vendor")
        case c.ContainerUpload(file_id):
            yield FilePart(file_id=file_id)


def _outcome(block: c.Outcome, name: str | None) -> ToolResultPart:
    output = _output(block.content) if isinstance(block, c.McpToolResult) else block.content
    return ToolResultPart(block.tool_use_id, output, block.is_error is True or _is_failure(output), name)


def _is_failure(output: object) -> bool:
    return isinstance(output, dict) and str(output.get("type", "")).endswith("_error")


# --- tools


def _tools(tools: list[dict[str, Any]]) -> tuple[list[ClientTool], list[dict[str, Any]]]:
    clients, servers = [], []
    for number, tool in enumerate(tools):
        if tool.get("type") in {None, "custom"}:
            clients.append(_client_tool(tool, f"$.tools[{number}]"))
        elif isinstance(tool["type"], str):
            servers.append(tool)
        else:
            raise refuse(f"$.tools[{number}].type", "expected `str`")
    return clients, servers


def _client_tool(tool: dict[str, Any], path: str) -> ClientTool:
    try:
        return msgspec.convert(tool, ClientTool)
    except UNREADABLE as error:
        where, problem = explain(error)
        raise refuse(path + where.removeprefix("$"), problem) from error


def _tool_choice(choice: wire.ToolChoice | None) -> Any:
    if choice is None:
        return None
    if choice.type != "tool":
        return "required" if choice.type == "any" else choice.type
    if not choice.name:
        raise refuse("$.tool_choice.name", "a tool is to be named")
    return NamedTool(choice.name)


# --- what the answer is to be like


def _format(asked: Asked) -> ResponseFormat | None:
    form = asked.output_config.format if asked.output_config else None
    form = form or asked.output_format
    return None if form is None else ResponseFormat("json_schema", schema=form.schema)


def _effort(asked: Counted) -> Effort | None:
    """As another vendor is to understand it."""
    match asked.thinking:
        case wire.ThinkingDisabled():
            return "none"
        case wire.ThinkingEnabled(budget):
            return next((effort for effort in ("high", "medium", "low") if budget >= BUDGETS[effort]), "minimal")
    effort = asked.output_config.effort if asked.output_config else None
    return "high" if effort in {"xhigh", "max"} else effort  # type: ignore[return-value]


def _options(
    asked: Counted, request: ClientRequest, tools: list[ClientTool], own: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    choice, config = asked.tool_choice, asked.output_config
    options = {
        **own,
        "thinking": None if asked.thinking is None else msgspec.to_builtins(asked.thinking),
        "effort": config.effort if config else None,
        "speed": asked.speed,
        "context_management": asked.context_management,
        "disable_parallel_tool_use": choice.disable_parallel_tool_use if choice else None,
        "document_citations": _cites(asked) or None,
        "cache_control": _cache_control(asked, tools),
        "betas": _betas(request) or None,
    }
    given = {name: value for name, value in options.items() if value is not None}
    try:
        msgspec.convert(given, AnthropicOptions)
    except UNREADABLE as error:
        raise refuse(*explain(error)) from error
    return {VENDOR: given} if given else {}


def _cites(asked: Counted) -> bool:
    return any(
        isinstance(block, c.DocumentBlock) and block.citations is not None and block.citations.enabled
        for block in _all_blocks(asked)
    )


def _cache_control(asked: Counted, tools: list[ClientTool]) -> Any:
    """The client's own for the whole, or the last one of a part: then the whole is to be kept as far as it goes."""
    system = asked.system if isinstance(asked.system, list) else []
    marked = [asked.cache_control] + [block.cache_control for block in reversed([*tools, *system, *_all_blocks(asked)])]
    hint = next((hint for hint in marked if hint is not None), None)
    return None if hint is None else msgspec.to_builtins(hint)


def _all_blocks(asked: Counted) -> list[Any]:
    return [block for message in asked.messages if isinstance(message.content, list) for block in message.content]


def _betas(request: ClientRequest) -> list[str]:
    names = [name.strip() for value in all_values(request.headers, "anthropic-beta") for name in value.split(",")]
    try:
        return msgspec.convert([name for name in names if name], list[Beta])
    except UNREADABLE as error:
        raise refuse("header.anthropic-beta", "a name holds what none does") from error

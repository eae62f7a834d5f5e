"""A turn as a request of Anthropic's: all that was said as messages of two roles, and what the answer is to be like.

    instructions, system messages      `system`, one text
    user / tool results                a user message; the results stand first in it
    assistant                          text, tool_use, and thinking where it has a signature: without one it is refused
    image, file                        image, document, by url or inline; a text file as text
    response_format json_schema        output_config.format
    reasoning_effort                   thinking and output_config.effort, or a budget of tokens: the target's `thinking`
    user_id                            metadata.user_id
    seed, json_object, and where the API's version has none temperature and top_p: `unsupported`

An id of another vendor's call that Anthropic would refuse goes as a hash of itself.
Source: platform.claude.com/docs/en/api and the types of anthropic (Python) 2.12.0; read 2026-11.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.history import Spoken, dialogue
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputResponsePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.one_text import cannot_take, spoken
from gateway.canonical.turn import Effort, NamedTool, Parameters, ResponseFormat, Tool, Turn
from gateway.protocols.anthropic import wire
from gateway.protocols.anthropic.content import (
    REDACTED,
    Base64Source,
    Block,
    CacheControl,
    CitationsConfig,
    DocumentBlock,
    ImageBlock,
    RedactedThinking,
    TextBlock,
    TextSource,
    ThinkingBlock,
    ToolResult,
    ToolUse,
    UrlSource,
)

VENDOR = "anthropic"

CLASSIC: Literal["2023-06-01"] = "2023-06-01"
"""The version of the API that still takes temperature, top_p and top_k."""

Beta = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._-]+\Z")]

EFFORTS: dict[Effort, wire.Effort] = {"minimal": "low", "low": "low", "medium": "medium", "high": "high"}
BUDGETS: dict[Effort, int] = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384}
"""Tokens of thinking."""
MIN_BUDGET = 1024

RESULT_BLOCKS = frozenset({"text", "image", "document", "search_result", "tool_reference"})
"""What the result of a client's tool may be made of; any other output goes as its JSON text."""

LEFT_OUT = "(The beginning of the conversation is left out.)"
"""Said where an answer would come first: a conversation begins with its user."""

_CALL_ID = re.compile(r"[a-zA-Z0-9_-]+")

_encode = msgspec.json.Encoder().encode


class AnthropicTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """`max_tokens` where the client says none; `thinking`: how a model is told to reason; `betas` for every request.

    `upstream_stream` off: an answer that the client does not stream is asked for as one document.
    """

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    max_tokens: Annotated[int, Meta(ge=1)] = 8192
    thinking: Literal["adaptive", "budget"] = "adaptive"
    version: Literal["2023-06-01", "2026-10-21"] = CLASSIC
    betas: tuple[Beta, ...] = ()
    upstream_stream: bool = True


class Container(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    id: str | None = None
    skills: list[dict[str, Any]] = []


class AnthropicOptions(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What only this API has. `effort` and `thinking` go before what `reasoning_effort` would come to.

    `server_tools` are tools that have a `type`, as they are; `document_citations` asks for citations of every document.
    """

    top_k: Annotated[int, Meta(ge=0)] | None = None
    thinking: wire.Thinking | None = None
    effort: wire.Effort | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    speed: Literal["standard", "fast"] | None = None
    container: Annotated[str, Meta(min_length=1, max_length=256)] | Container | None = None
    inference_geo: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    cache_control: CacheControl | None = None
    context_management: dict[str, Any] | None = None
    disable_parallel_tool_use: bool | None = None
    document_citations: bool = False
    server_tools: list[dict[str, Any]] = []
    betas: list[Beta] = []


def compose(turn: Turn, target: AnthropicTarget, *, stream: bool) -> wire.Ask:
    options = turn.options if isinstance(turn.options, AnthropicOptions) else AnthropicOptions()
    parameters = turn.parameters or Parameters()
    _refuse_what_it_cannot_take(turn, parameters, options, target)
    max_tokens = parameters.max_output_tokens or target.max_tokens
    said = dialogue(turn)
    messages = _messages(said, cites=options.document_citations)
    thinking = options.thinking or _thinking(parameters.reasoning_effort, options, target, max_tokens)
    if isinstance(thinking, wire.ThinkingEnabled) and _goes_on_without_its_thoughts(messages):
        thinking = wire.ThinkingDisabled()
    return wire.Ask(
        model=target.model,
        max_tokens=max_tokens,
        messages=messages,
        stream=stream,
        system=_system(turn.instructions, said),
        tools=[*map(_tool, turn.tools), *options.server_tools],
        tool_choice=_tool_choice(turn, options),
        thinking=thinking,
        output_config=_output_config(parameters, options, target),
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        top_k=options.top_k,
        stop_sequences=parameters.stop,
        metadata=wire.Metadata(turn.user_id) if turn.user_id else None,
        service_tier=options.service_tier,
        speed=options.speed,
        container=_container(options.container),
        inference_geo=options.inference_geo,
        cache_control=options.cache_control,
        context_management=options.context_management,
    )


def headers(turn: Turn, target: AnthropicTarget) -> dict[str, str]:
    asked = turn.options.betas if isinstance(turn.options, AnthropicOptions) else []
    betas = dict.fromkeys((*target.betas, *asked))
    named = {"anthropic-beta": ",".join(betas)} if betas else {}
    return {"Content-Type": "application/json", "anthropic-version": target.version, **named}


def _refuse_what_it_cannot_take(
    turn: Turn, parameters: Parameters, options: AnthropicOptions, target: AnthropicTarget
) -> None:
    for number, part in enumerate(turn.parts):
        if isinstance(part, (ImagePart, FilePart)) and not (part.url or part.data):
            raise cannot_take(VENDOR, "a file of another vendor's", f"$.content[{number}]")
    if parameters.seed is not None:
        raise cannot_take(VENDOR, "a seed", "$.parameters.seed")
    if parameters.temperature is not None and parameters.temperature > 1:
        raise cannot_take(VENDOR, "a temperature over 1", "$.parameters.temperature")
    if target.version != CLASSIC:
        sampling = {
            "$.parameters.temperature": parameters.temperature,
            "$.parameters.top_p": parameters.top_p,
            f"$.vendor_options.{VENDOR}.top_k": options.top_k,
        }
        for path, value in sampling.items():
            if value is not None:
                raise cannot_take(VENDOR, f"sampling parameters in version {target.version}", path)


# --- messages


def _system(instructions: str | None, said: Iterable[Spoken]) -> str | None:
    texts = [spoken(part) for message in said if message.role == "system" for part in message.parts]
    return "\n\n".join(filter(None, (instructions, *texts))) or None


def _messages(said: Iterable[Spoken], *, cites: bool) -> list[wire.Said]:
    messages: list[wire.Said] = []
    for message in said:
        if message.role == "system":
            continue
        role: Literal["user", "assistant"] = "assistant" if message.role == "assistant" else "user"
        blocks = [block for part in message.parts for block in _blocks(part, cites=cites)]
        if messages and messages[-1].role == role:
            messages[-1].content.extend(blocks)
        elif blocks:
            messages.append(wire.Said(role, blocks))
    if not messages or messages[-1].role != "user":
        raise GatewayError("bad_request", "the message is empty", details={"path": "$.content"})
    if messages[0].role == "assistant":
        messages.insert(0, wire.Said("user", [TextBlock(LEFT_OUT)]))
    return messages


def _goes_on_without_its_thoughts(messages: list[wire.Said]) -> bool:
    """Whether a tool's results go back to an answer whose thoughts we do not have, as another vendor's.

    It is refused while thinking is `enabled`: "a final `assistant` message must start with a thinking block".
    """
    if len(messages) < 2:
        return False
    asked, answered = messages[-2:]
    thinks = isinstance(asked.content[0], (ThinkingBlock, RedactedThinking))
    return isinstance(answered.content[0], ToolResult) and not thinks


def _blocks(part: Part, *, cites: bool) -> Iterator[Block]:
    match part:
        case TextPart() | InputResponsePart():
            text = spoken(part)
            if text.strip():  # a text of white space alone is refused
                yield TextBlock(text)
        case ReasoningPart(signature=str(signature)) if signature:
            yield _thought(part.text, signature)
        case ToolCallPart():
            yield ToolUse(_call_id(part.tool_call_id), part.name, part.arguments)
        case ToolResultPart():
            yield ToolResult(_call_id(part.tool_call_id), _output(part.output), part.is_error)
        case ImagePart():
            yield ImageBlock(_image_source(part))
        case FilePart():
            yield DocumentBlock(_document_source(part), part.name, CitationsConfig(enabled=True) if cites else None)


def _thought(text: str, signature: str) -> ThinkingBlock | RedactedThinking:
    redacted = signature.removeprefix(REDACTED)
    return ThinkingBlock(text, signature) if redacted == signature else RedactedThinking(redacted)


def _call_id(call: str) -> str:
    return call if _CALL_ID.fullmatch(call) else f"toolu_{hashlib.sha256(call.encode()).hexdigest()[:24]}"


def _output(output: Any) -> str | list[dict[str, Any]]:
    if isinstance(output, str):
        return output
    if isinstance(output, list) and output and all(_is_result_block(block) for block in output):
        return output
    return _encode(output).decode()


def _is_result_block(block: object) -> bool:
    return isinstance(block, dict) and block.get("type") in RESULT_BLOCKS


def _image_source(part: ImagePart) -> Base64Source | UrlSource:
    return UrlSource(part.url) if part.url else Base64Source(part.media_type or "image/png", part.data or "")


def _document_source(part: FilePart) -> Base64Source | UrlSource | TextSource:
    if part.url:
        return UrlSource(part.url)
    media_type, data = part.media_type or "application/pdf", part.data or ""
    text = _text_of(data) if media_type.startswith("text/") else None
    return Base64Source(media_type, data) if text is None else TextSource(text)


def _text_of(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        return None


# --- what the answer is to be like


def _tool(tool: Tool) -> wire.Tool:
    return wire.Tool(tool.name, {"type": "object", **tool.parameters}, tool.description, tool.strict)


def _tool_choice(turn: Turn, options: AnthropicOptions) -> wire.ToolChoice | None:
    one_at_a_time = options.disable_parallel_tool_use
    match turn.tool_choice:
        case NamedTool(name):
            return wire.ToolChoice("tool", name, one_at_a_time)
        case "required":
            return wire.ToolChoice("any", None, one_at_a_time)
        case "none":
            return wire.ToolChoice("none")
        case "auto":
            return wire.ToolChoice("auto", None, one_at_a_time)
        case _:
            return wire.ToolChoice("auto", None, one_at_a_time) if one_at_a_time is not None else None


def _thinking(
    effort: Effort | None, options: AnthropicOptions, target: AnthropicTarget, max_tokens: int
) -> wire.Thinking | None:
    if effort is None or options.effort is not None:
        return None
    if effort == "none":
        return wire.ThinkingDisabled()
    if target.thinking == "adaptive":
        return wire.ThinkingAdaptive()
    if max_tokens <= MIN_BUDGET:
        path = "$.parameters.reasoning_effort"
        raise cannot_take(VENDOR, f"reasoning within {max_tokens} tokens of output", path)
    return wire.ThinkingEnabled(min(BUDGETS[effort], max_tokens - 1))


def _output_config(
    parameters: Parameters, options: AnthropicOptions, target: AnthropicTarget
) -> wire.OutputConfig | None:
    effort = options.effort
    if effort is None and options.thinking is None and target.thinking == "adaptive" and parameters.reasoning_effort:
        effort = EFFORTS.get(parameters.reasoning_effort)
    form = _format(parameters.response_format)
    return None if effort is None and form is None else wire.OutputConfig(effort, form)


def _format(wanted: ResponseFormat | None) -> wire.OutputFormat | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object" or wanted.schema is None:
        raise cannot_take(VENDOR, "JSON without a schema", "$.parameters.response_format")
    return wire.OutputFormat(wanted.schema)


def _container(container: str | Container | None) -> str | dict[str, Any] | None:
    return msgspec.to_builtins(container) if isinstance(container, Container) else container

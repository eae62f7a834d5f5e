"""What we send to a server of OpenAI's Responses: `POST /responses`, with all that was said as `input`.

    input                  see `said.py`
    instructions, tools, tool_choice, parameters
                           their namesakes; `max_output_tokens` and `reasoning` also from the target
    user_id, metadata      safety_identifier or user, hashed where too long; metadata as far as it fits
    vendor_options         what has no canonical field

The vendor keeps nothing (`store` is false). It has no field for `stop`, which is refused, nor for a `seed`, which is
left out. Source: openai 3.52.0 `types/responses/response_create_params.py`, `response_input_item_param.py`.
"""

import hashlib
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.canonical.message import FilePart, ImagePart
from gateway.canonical.one_text import cannot_take
from gateway.canonical.turn import NamedTool, Parameters, ResponseFormat, Tool, Turn
from gateway.protocols.openai_responses.said import VENDOR, Item, items
from gateway.protocols.openai_responses.target import Options, Server, Target

ENCRYPTED_REASONING = "reasoning.encrypted_content"

MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512
MAX_IDENTIFIER = 64

_encode = msgspec.json.encode


class Reasoning(Struct, frozen=True, omit_defaults=True):
    effort: str | None = None
    summary: str | None = None


class Text(Struct, frozen=True):
    format: dict[str, Any] | UnsetType = UNSET
    verbosity: str | UnsetType = UNSET


class Create(Struct, frozen=True):
    model: str
    input: list[Item]
    stream: bool
    store: bool = False
    include: list[str] | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    tools: list[dict[str, Any]] | UnsetType = UNSET
    tool_choice: str | dict[str, Any] | UnsetType = UNSET
    temperature: float | UnsetType = UNSET
    top_p: float | UnsetType = UNSET
    max_output_tokens: int | UnsetType = UNSET
    text: Text | UnsetType = UNSET
    reasoning: Reasoning | UnsetType = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    user: str | UnsetType = UNSET
    safety_identifier: str | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    max_tool_calls: int | UnsetType = UNSET
    top_logprobs: int | UnsetType = UNSET
    truncation: str | UnsetType = UNSET
    prompt: dict[str, Any] | UnsetType = UNSET
    prompt_cache_key: str | UnsetType = UNSET
    prompt_cache_retention: str | UnsetType = UNSET
    service_tier: str | UnsetType = UNSET
    context_management: list[dict[str, Any]] | UnsetType = UNSET
    moderation: dict[str, Any] | UnsetType = UNSET


def create(target: Target, server: Server, turn: Turn, *, stream: bool) -> bytes:
    """The body of a turn. Raises `unsupported` for what it cannot say."""
    parameters = turn.parameters or Parameters()
    options = turn.options or Options()
    _refuse_what_cannot_be_said(turn, parameters)
    who = _identifier(turn.user_id) if turn.user_id else UNSET
    include = [*([ENCRYPTED_REASONING] if server.seals_reasoning else []), *options.include]
    return _encode(
        Create(
            model=target.model,
            input=items(turn),
            stream=stream,
            include=list(dict.fromkeys(include)) or UNSET,
            instructions=turn.instructions or UNSET,
            tools=[*map(_tool, turn.tools), *target.tools, *options.tools] or UNSET,
            tool_choice=_tool_choice(turn, options),
            temperature=_given(parameters.temperature),
            top_p=_given(parameters.top_p),
            max_output_tokens=_given(parameters.max_output_tokens or target.max_output_tokens),
            text=_text(parameters.response_format, options.verbosity),
            reasoning=_reasoning(target, parameters, options),
            metadata=(_metadata(turn.metadata) or UNSET) if server.takes_metadata else UNSET,
            user=who if server.user_field == "user" else UNSET,
            safety_identifier=who if server.user_field == "safety_identifier" else UNSET,
            parallel_tool_calls=_given(options.parallel_tool_calls),
            max_tool_calls=_given(options.max_tool_calls),
            top_logprobs=_given(options.top_logprobs),
            truncation=_given(options.truncation),
            prompt=_given(options.prompt),
            prompt_cache_key=_given(options.prompt_cache_key),
            prompt_cache_retention=_given(options.prompt_cache_retention),
            service_tier=_given(options.service_tier),
            context_management=options.context_management or UNSET,
            moderation=_given(options.moderation),
        )
    )


def _refuse_what_cannot_be_said(turn: Turn, parameters: Parameters) -> None:
    if parameters.stop:
        raise cannot_take(VENDOR, "stop sequences", "$.parameters.stop")
    for number, part in enumerate(turn.parts):
        if isinstance(part, ImagePart | FilePart) and not (part.url or part.data):
            raise cannot_take(VENDOR, "a file of another vendor's", f"$.content[{number}]")


def _given(value: Any) -> Any:
    return UNSET if value is None else value


def _identifier(user_id: str) -> str:
    return user_id if len(user_id) <= MAX_IDENTIFIER else hashlib.sha256(user_id.encode()).hexdigest()


def _tool(tool: Tool) -> dict[str, Any]:
    """Without `strict: false` the vendor would make a schema stricter than it was meant."""
    described = {} if tool.description is None else {"description": tool.description}
    return {
        "type": "function",
        "name": tool.name,
        **described,
        "parameters": tool.parameters or {"type": "object", "properties": {}},
        "strict": tool.strict or False,
    }


def _tool_choice(turn: Turn, options: Options) -> str | dict[str, Any] | UnsetType:
    match turn.tool_choice:
        case NamedTool(name):
            return {"type": "function", "name": name}
        case None:
            return options.tool_choice or UNSET
        case choice:
            return choice


def _text(wanted: ResponseFormat | None, verbosity: str | None) -> Text | UnsetType:
    if wanted is None and verbosity is None:
        return UNSET
    return Text(UNSET if wanted is None else _format(wanted), _given(verbosity))


def _format(wanted: ResponseFormat) -> dict[str, Any]:
    if wanted.type != "json_schema":
        return {"type": wanted.type}
    described = {} if wanted.description is None else {"description": wanted.description}
    return {
        "type": "json_schema",
        "name": wanted.name or "answer",
        **described,
        "schema": wanted.schema or {},
        "strict": wanted.strict or False,
    }


def _reasoning(target: Target, parameters: Parameters, options: Options) -> Reasoning | UnsetType:
    effort = options.reasoning_effort or parameters.reasoning_effort or target.reasoning_effort
    summary = options.reasoning_summary or target.reasoning_summary
    return Reasoning(effort, summary) if effort or summary else UNSET


def _metadata(metadata: dict[str, Any]) -> dict[str, str]:
    """As much as the vendor takes: texts, of bounded length."""
    pairs = {name: value if isinstance(value, str) else _encode(value).decode() for name, value in metadata.items()}
    fitting = [
        (name, value)
        for name, value in pairs.items()
        if len(name) <= MAX_METADATA_KEY and len(value) <= MAX_METADATA_VALUE
    ]
    return dict(fitting[:MAX_METADATA_PAIRS])

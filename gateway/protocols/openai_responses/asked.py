"""What a client of OpenAI's Responses asks: the body of `POST /responses`, and what becomes of its fields.

input, instructions          see `resent.py`; both, and system messages around the turn, are the instructions
previous_response_id         the answer that this one follows: an id of ours
conversation                 an id of ours, or {"id"}; not with the former, and with neither are answers resent
tools of type function, tool_choice, temperature, top_p, max_output_tokens, text.format, reasoning.effort,
metadata, safety_identifier, user, stream
                             their namesakes of ours
other tools, include, prompt, truncation, verbosity, service_tier ...
                             `vendor_options` for a vendor of this protocol; no other vendor knows them
background, and a tool's `server_url`, `connector_id`, `authorization`, `headers`
                             refused: a vendor would call any server; a target's `tools` may name one
store, stream_options, prompt_cache_options, moderation of images ...
                             ignored: what is kept is the gateway's to say
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.history import Split, split
from gateway.canonical.turn import Effort, MessageRequest, Name, NamedTool, Parameters, ResponseFormat, Tool
from gateway.framing.typed import UNREADABLE, explain
from gateway.protocols.base import ClientRequest
from gateway.protocols.openai_responses import target
from gateway.protocols.openai_responses.echo import Echo, message_id, shown_tool
from gateway.protocols.openai_responses.resent import read_input
from gateway.protocols.reading import cannot_carry, check_metadata, read_body, refuse, user_id

PROTOCOL = "openai_responses"

ToolName = Annotated[str, Meta(min_length=1, max_length=128)]
Options = dict[str, Any]


class Format(Struct, frozen=True):
    type: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class Text(Struct, frozen=True):
    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Struct, frozen=True):
    effort: target.Effort | None = None
    summary: target.Summary | None = None
    generate_summary: target.Summary | None = None


class ConversationId(Struct, frozen=True):
    id: str


class Tagged(Struct, frozen=True):
    type: Annotated[str, Meta(min_length=1)]


class FunctionTool(Struct, frozen=True):
    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class CustomTool(Struct, frozen=True):
    name: ToolName


class Create(Struct, frozen=True):
    input: str | list[Raw]
    model: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | ConversationId | None = None
    tools: list[Raw] | None = None
    tool_choice: str | dict[str, Any] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    text: Text | None = None
    reasoning: Reasoning | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    stream: bool | None = None
    background: bool | None = None
    include: list[str] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    prompt: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    context_management: list[dict[str, Any]] | None = None
    moderation: dict[str, Any] | None = None


KEPT = (
    "include",
    "parallel_tool_calls",
    "max_tool_calls",
    "top_logprobs",
    "truncation",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "context_management",
    "moderation",
)
"""Fields that go on to a vendor of this protocol as they are."""

REPEATED = (
    "instructions",
    "metadata",
    "temperature",
    "top_p",
    "max_output_tokens",
    "max_tool_calls",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "tool_choice",
    "top_logprobs",
    "truncation",
    "user",
)
"""Fields that a response repeats where they were asked."""

CHOICES = ("auto", "none", "required")
HIGHER_EFFORTS = frozenset({"xhigh", "max"})
"""`high` to any vendor but one of this protocol."""

_decode = msgspec.json.Decoder(Create).decode
_decode_tagged = msgspec.json.Decoder(Tagged).decode
_decode_function = msgspec.json.Decoder(FunctionTool).decode
_decode_custom = msgspec.json.Decoder(CustomTool).decode


class Asked(Struct, frozen=True):
    request: MessageRequest
    follows: str | None
    echo: Echo


class Tools(Struct):
    functions: list[Tool] = []
    others: list[dict[str, Any]] = []
    custom: set[str] = set()
    shown: list[dict[str, Any]] = []


def read(request: ClientRequest) -> Asked:
    asked = read_body(_decode, request)
    if asked.background:
        raise cannot_carry("$.background", "an answer in the background")
    if asked.conversation is not None and asked.previous_response_id is not None:
        raise refuse("$.conversation", "`conversation` does not go together with `previous_response_id`")
    check_metadata(asked.metadata or {})
    said = _said(asked)
    tools = _read_tools(asked.tools or [])
    choice, chosen = _read_choice(asked.tool_choice)
    options = {**_options(asked), **chosen, **({"tools": tools.others} if tools.others else {})}
    message = MessageRequest(
        route=asked.model,
        conversation_id=_conversation(asked.conversation),
        content=said.content,
        history=said.history,
        instructions="\n\n".join(filter(None, (asked.instructions, said.instructions))) or None,
        tools=tools.functions,
        tool_choice=choice,
        parameters=_parameters(asked),
        user_id=user_id(asked.safety_identifier, "$.safety_identifier") or user_id(asked.user, "$.user"),
        metadata=dict(asked.metadata or {}),
        stream=bool(asked.stream),
        vendor_options={PROTOCOL: options} if options else {},
    )
    previous = asked.previous_response_id
    follows = None if previous is None else message_id(previous, "$.previous_response_id")
    functions = frozenset(tool.name for tool in tools.functions)
    return Asked(message, follows, Echo(asked.model, _repeated(asked, tools), functions, frozenset(tools.custom)))


def _said(asked: Create) -> Split:
    """Where the conversation is named it is one turn of the client's, whatever system messages stand in it."""
    given = read_input(asked.input)
    names_past = asked.conversation is not None or asked.previous_response_id is not None
    if names_past:
        given = sorted(given, key=lambda message: message.role != "system")
    said = split(given)
    if not said.content:
        raise refuse("$.input", "the last of it must be the client's, and not empty")
    if names_past and said.history:
        raise refuse("$.input", "answers are not resent where the conversation is named")
    return said


def _conversation(given: str | ConversationId | None) -> str | None:
    if given is None:
        return None
    try:
        return msgspec.convert(given if isinstance(given, str) else given.id, Name)
    except UNREADABLE as error:
        raise GatewayError("not_found", "no such conversation", details={"path": "$.conversation"}) from error


def _read_tools(given: list[Raw]) -> Tools:
    tools = Tools()
    for number, raw in enumerate(given):
        path = f"$.tools[{number}]"
        kind = _within(_decode_tagged, raw, path).type
        tool: dict[str, Any] = msgspec.json.decode(raw)
        if (field := target.leads_out(tool)) is not None:
            raise cannot_carry(f"{path}.{field}", "a server of the client's")
        tools.shown.append(shown_tool(tool))
        if kind == "function":
            read_as = _within(_decode_function, raw, path)
            tools.functions.append(Tool(read_as.name, read_as.description, read_as.parameters or {}, read_as.strict))
        else:
            tools.others.append(tool)
            if kind == "custom":
                tools.custom.add(_within(_decode_custom, raw, path).name)
    return tools


def _within(decode: Any, raw: Raw, path: str) -> Any:
    try:
        return decode(raw)
    except UNREADABLE as error:
        inside, problem = explain(error)
        raise refuse(path + inside.removeprefix("$"), problem) from error


def _read_choice(given: str | dict[str, Any] | None) -> tuple[Any, Options]:
    """A choice that is no function's goes on to a vendor of this protocol."""
    match given:
        case None:
            return None, {}
        case str() if given in CHOICES:
            return given, {}
        case {"type": "function", "name": str(name)} if 0 < len(name) <= 128:
            return NamedTool(name), {}
        case {"type": str(kind)} if kind != "function":
            return None, {"tool_choice": given}
        case _:
            raise refuse("$.tool_choice", "expected auto, none, required, or a tool")


def _parameters(asked: Create) -> Parameters | None:
    text, reasoning = asked.text or Text(), asked.reasoning or Reasoning()
    parameters = Parameters(
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_output_tokens=asked.max_output_tokens,
        response_format=None if text.format is None else ResponseFormat(**msgspec.structs.asdict(text.format)),
        reasoning_effort=_effort(reasoning.effort),
    )
    return None if parameters == Parameters() else parameters


def _effort(wanted: target.Effort | None) -> Effort | None:
    match wanted:
        case "xhigh" | "max":
            return "high"
        case _:
            return wanted


def _options(asked: Create) -> Options:
    text, reasoning = asked.text or Text(), asked.reasoning or Reasoning()
    kept = {name: getattr(asked, name) for name in KEPT}
    kept["verbosity"] = text.verbosity
    kept["reasoning_effort"] = reasoning.effort if reasoning.effort in HIGHER_EFFORTS else None
    kept["reasoning_summary"] = reasoning.summary or reasoning.generate_summary
    return {name: value for name, value in kept.items() if value is not None}


def _repeated(asked: Create, tools: Tools) -> dict[str, Any]:
    given = {name: getattr(asked, name) for name in REPEATED}
    told = {name: value for name, value in given.items() if value is not None}
    text, reasoning = asked.text or Text(), asked.reasoning or Reasoning()
    summary = reasoning.summary or reasoning.generate_summary
    told["text"] = {"format": dict(_present(text.format or Format())), **dict(_present(text, "format"))}
    told["reasoning"] = {"effort": reasoning.effort, "summary": summary}
    told["tools"] = tools.shown
    return told


def _present(fields: Struct, *but: str) -> Iterator[tuple[str, Any]]:
    return (
        (name, value) for name, value in msgspec.structs.asdict(fields).items() if value is not None and name not in but
    )

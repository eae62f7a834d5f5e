"""What a client of Gemini's asks, as a message of ours.

    the model in the path           route
    contents, systemInstruction     history, content, instructions
    tools, toolConfig               tools, tool_choice; of several allowed tools the others are not offered
    generationConfig                parameters
    all that only Gemini has        vendor_options.gemini, so that it is told what its client said
    responseLogprobs, labels ...    likewise, and nobody else is told

Refused as `unsupported`: more than one candidate, and what a part or a tool's result holds that has no place with us.
Source: google-genai (Python) 3.4.0, ai.google.dev/api; read 2026-11.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.history import split
from gateway.canonical.message import TextPart
from gateway.canonical.turn import (
    Effort,
    HistoryMessage,
    MessageRequest,
    NamedTool,
    Parameters,
    ResponseFormat,
    Tool,
)
from gateway.framing.typed import UNREADABLE, explain
from gateway.protocols.base import ClientRequest
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.contents import read_contents
from gateway.protocols.gemini.schemas import as_json_schema, camel
from gateway.protocols.reading import cannot_carry, read_body, refuse

CHOICES: dict[str, Literal["auto", "none", "required"] | None] = {
    "MODE_UNSPECIFIED": None,
    "AUTO": "auto",
    "VALIDATED": "auto",
    "NONE": "none",
    "ANY": "required",
}
EFFORTS: dict[str, Effort] = {
    "MINIMAL": "minimal",
    "LOW": "low",
    "MEDIUM": "medium",
    "HIGH": "high",
    "XHIGH": "high",
}
BUDGETS: tuple[tuple[int, Effort], ...] = ((0, "none"), (1024, "low"), (8192, "medium"))
"""At most so many tokens are that much; more are `high`."""

JSON = "application/json"
PLAIN = frozenset({None, "text/plain"})


class _Generation(wire.GenerationConfig, frozen=True):
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None


class _Asked(wire.GenerateContent, frozen=True):
    generation_config: _Generation | None = None


class _Offered(Struct, frozen=True, rename="camel"):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | None = None
    parameters: wire.Json | None = None
    parameters_json_schema: wire.Json | None = None


class _Counted(Struct, frozen=True, rename="camel"):
    """`generate_content_request` has the message within."""

    generate_content_request: _Asked | None = None


class Read(Struct, frozen=True):
    """`shows_thoughts`: the client did not say that it wants none."""

    request: MessageRequest
    shows_thoughts: bool


def read_message(request: ClientRequest, *, stream: bool) -> Read:
    return _read(read_body(_decode, request), request.parameters["model"], stream=stream)


def read_count(request: ClientRequest) -> MessageRequest:
    counted = read_body(_decode_counted, request).generate_content_request
    asked = read_body(_decode, request) if counted is None else counted
    return _read(asked, request.parameters["model"], stream=False).request


def _decode(body: bytes) -> _Asked:
    return msgspec.convert(camel(msgspec.json.decode(body)), _Asked)


def _decode_counted(body: bytes) -> _Counted:
    return msgspec.convert(camel(msgspec.json.decode(body)), _Counted)


def _read(asked: _Asked, model: str, *, stream: bool) -> Read:
    said = split([*_instructions(asked.system_instruction), *read_contents(asked.contents)])
    if not said.content:
        raise refuse("$.contents", "expected a last content of the user's that is not empty")
    generation = asked.generation_config or _Generation()
    config = asked.tool_config or wire.ToolConfig()
    offered = _tools(asked.tools or [], config.function_calling_config or wire.FunctionCallingConfig())
    thinking = generation.thinking_config or wire.ThinkingConfig()
    options = msgspec.to_builtins(_options(asked, generation, config))
    request = MessageRequest(
        route=model,
        content=said.content,
        history=said.history,
        instructions=said.instructions,
        tools=offered,
        tool_choice=_choice(config.function_calling_config),
        parameters=_parameters(generation),
        stream=stream,
        vendor_options={"gemini": options} if options else {},
    )
    return Read(request, thinking.include_thoughts is not False)


def _instructions(content: wire.Content | None) -> list[HistoryMessage]:
    texts = [TextPart(part.text) for part in (content and content.parts) or () if part.text]
    return [HistoryMessage("system", [text]) for text in texts]


# --- tools


def _tools(given: list[wire.Json], config: wire.FunctionCallingConfig) -> list[Tool]:
    offered = [
        tool
        for number, one in enumerate(given)
        for tool in _declared(one.get("functionDeclarations"), f"$.tools[{number}].functionDeclarations")
    ]
    allowed = config.allowed_function_names
    is_strict = True if config.mode == "VALIDATED" else None
    return [
        Tool(tool.name, tool.description, _schema(tool.parameters_json_schema, tool.parameters, "$.tools"), is_strict)
        for tool in offered
        if not allowed or tool.name in allowed
    ]


def _declared(given: object, path: str) -> list[_Offered]:
    try:
        return msgspec.convert(given or [], list[_Offered])
    except UNREADABLE as error:
        where, problem = explain(error)
        raise refuse(path + where.removeprefix("$"), problem) from error


def _schema(usual: wire.Json | None, own: wire.Json | None, path: str) -> wire.Json:
    try:
        return usual or as_json_schema(own or {})
    except RecursionError as error:
        raise refuse(path, "a schema is nested too deeply") from error


def _choice(config: wire.FunctionCallingConfig | None) -> Literal["auto", "none", "required"] | NamedTool | None:
    if config is None or config.mode is None:
        return None
    if config.mode not in CHOICES:
        raise refuse("$.toolConfig.functionCallingConfig.mode", "expected AUTO, ANY, NONE or VALIDATED")
    names = config.allowed_function_names or []
    return NamedTool(names[0]) if config.mode == "ANY" and len(names) == 1 else CHOICES[config.mode]


# --- parameters


def _parameters(given: _Generation) -> Parameters | None:
    if given.candidate_count not in {None, 1}:
        raise cannot_carry("$.generationConfig.candidateCount", "more than one candidate")
    parameters = Parameters(
        given.temperature,
        given.top_p,
        given.max_output_tokens,
        given.stop_sequences or [],
        given.seed,
        _format(given),
        _effort(given.thinking_config),
    )
    return parameters if parameters != Parameters() else None


def _format(given: _Generation) -> ResponseFormat | None:
    if given.response_mime_type != JSON:
        return None
    schema = _schema(given.response_json_schema, given.response_schema, "$.generationConfig.responseSchema")
    return ResponseFormat("json_schema", schema=schema) if schema else ResponseFormat("json_object")


def _effort(thinking: wire.ThinkingConfig | None) -> Effort | None:
    if thinking is None:
        return None
    if thinking.thinking_level is not None:
        return EFFORTS.get(thinking.thinking_level.upper())
    budget = thinking.thinking_budget
    if budget is None or budget < 0:
        return None
    return next((effort for most, effort in BUDGETS if budget <= most), "high")


# --- what only this vendor has


def _options(asked: _Asked, generation: _Generation, config: wire.ToolConfig) -> wire.GeminiOptions:
    tools = [
        {name: value for name, value in tool.items() if name != "functionDeclarations"} for tool in asked.tools or ()
    ]
    streams = (config.function_calling_config or wire.FunctionCallingConfig()).stream_function_call_arguments
    calling = None if streams is None else wire.FunctionCallingConfig(stream_function_call_arguments=streams)
    kept = msgspec.structs.replace(config, function_calling_config=calling)
    more: dict[str, Any] = {name: getattr(generation, name) for name in wire.MoreGeneration.__struct_fields__}
    if more["response_mime_type"] in {JSON, *PLAIN}:
        more["response_mime_type"] = None
    special = wire.MoreGeneration(**more)
    return wire.GeminiOptions(
        tools=[tool for tool in tools if tool],
        tool_config=kept if kept != wire.ToolConfig() else None,
        generation_config=special if special != wire.MoreGeneration() else None,
        safety_settings=asked.safety_settings,
        cached_content=asked.cached_content,
        labels=asked.labels,
        service_tier=asked.service_tier,
        store=asked.store,
    )

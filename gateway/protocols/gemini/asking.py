"""A turn as Gemini's request: all that was said, every time, because the vendor keeps nothing.

    instructions, system      systemInstruction
    user                      role user     text, inlineData, fileData
    assistant                 role model    text, functionCall, and thoughts that are signed
    tool                      role user     functionResponse; what is no object is put into one
    tools                     functionDeclarations, with their schema as it is; beside them the tools of the options
    tool_choice               mode AUTO, NONE, ANY; of one tool: ANY with its name alone; strict: VALIDATED
    response_format           responseMimeType, responseJsonSchema
    reasoning_effort          thinkingLevel, or thinkingBudget for the models before it

A signature goes back with the part that it came with. The models that sign refuse a step whose first call is not
signed, as where another vendor made it; for those the manual names a signature that is taken for any.
Ignored: `user_id` and `metadata`, which the vendor has no fields for.
Source: google-genai (Python) 3.4.0; thinking, thought-signatures, function-calling and openai below
ai.google.dev/gemini-api/docs; read 2026-11.
"""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct

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
from gateway.canonical.turn import Effort, NamedTool, Parameters, Turn
from gateway.protocols.gemini import wire

UNSIGNED = "skip_thought_signature_validator"
"""The signature of a call that no Gemini made."""

BEFORE_LEVELS = ("gemini-1", "gemini-2")
"""How the models are called that neither need signatures nor know levels of thinking."""

LEVELS: dict[Effort, str] = {"none": "MINIMAL", "minimal": "MINIMAL", "low": "LOW", "medium": "MEDIUM", "high": "HIGH"}
BUDGETS: dict[Effort, int] = {"none": 0, "minimal": 1024, "low": 1024, "medium": 8192, "high": 24576}
"""Tokens. Source: the vendor's own table for clients of OpenAI's kind."""

MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY"}


class Usual(Struct, frozen=True):
    """What a target asks where its client says nothing."""

    model: str
    max_output_tokens: int | None = None
    include_thoughts: bool = False
    stream_arguments: bool = False

    @property
    def is_before_levels(self) -> bool:
        return self.model.rpartition("/")[2].startswith(BEFORE_LEVELS)


def write(turn: Turn, usual: Usual) -> wire.GenerateContent:
    """Raises `unsupported` for a file that only another vendor has, `bad_request` where nothing is said."""
    _refuse_foreign_files(turn)
    options = turn.options or wire.GeminiOptions()
    said = dialogue(turn)
    contents = list(_contents(said, signs=not usual.is_before_levels))
    if not contents:
        raise GatewayError("bad_request", "the message has no text", details={"path": "$.content"})
    return wire.GenerateContent(
        contents=contents,
        system_instruction=_instruction(turn.instructions, said),
        tools=[*_declarations(turn), *options.tools] or None,
        tool_config=_tool_config(turn, options.tool_config, usual),
        generation_config=_generation(turn.parameters or Parameters(), options.generation_config, usual),
        safety_settings=options.safety_settings,
        cached_content=options.cached_content,
        labels=options.labels,
        service_tier=options.service_tier,
        store=options.store,
    )


def _refuse_foreign_files(turn: Turn) -> None:
    for number, part in enumerate(turn.parts):
        if isinstance(part, (ImagePart, FilePart)) and not (part.url or part.data):
            raise cannot_take("gemini", "a file by its id", f"$.content[{number}]")


# --- what was said


def _instruction(instructions: str | None, said: Sequence[Spoken]) -> wire.Content | None:
    texts = [instructions] if instructions else []
    texts += [
        part.text
        for message in said
        if message.role == "system"
        for part in message.parts
        if isinstance(part, TextPart)
    ]
    return wire.Content([wire.Part(text=text) for text in texts], "user") if texts else None


def _contents(said: Sequence[Spoken], *, signs: bool) -> Iterator[wire.Content]:
    names: dict[str, str] = {}
    for message in said:
        if message.role == "system":
            continue
        names.update({part.tool_call_id: part.name for part in message.parts if isinstance(part, ToolCallPart)})
        parts = [written for part in message.parts if (written := _part(part, names)) is not None]
        if message.role == "assistant" and signs:
            parts = _signed(parts)
        if parts:
            yield wire.Content(parts, "model" if message.role == "assistant" else "user")


def _part(part: Part, names: dict[str, str]) -> wire.Part | None:
    match part:
        case TextPart(text):
            return wire.Part(text=text, thought_signature=part.signature)
        case ReasoningPart(text, signature=str(signature)):
            return wire.Part(text=text, thought=True if text else None, thought_signature=signature)
        case ToolCallPart(call, name, arguments):
            asked = wire.FunctionCall(call, name, arguments)
            return wire.Part(function_call=asked, thought_signature=part.signature)
        case ToolResultPart(call, output):
            answered = wire.FunctionResponse(_response(output, is_error=part.is_error), names[call], call)
            return wire.Part(function_response=answered)
        case ImagePart() | FilePart():
            return _file(part)
        case InputResponsePart():
            return wire.Part(text=spoken(part)) if spoken(part) else None
        case _:
            return None


def _response(output: object, *, is_error: bool) -> wire.Json:
    if is_error:
        return {"error": output}
    return output if isinstance(output, dict) else {"result": output}


def _file(part: ImagePart | FilePart) -> wire.Part:
    if part.data is not None:
        return wire.Part(inline_data=wire.Blob(part.data, part.media_type or "application/octet-stream"))
    url = part.url or ""
    head, comma, data = url.partition(",")
    if head.startswith("data:") and head.endswith(";base64") and comma:
        media_type = head.removeprefix("data:").partition(";")[0] or part.media_type
        return wire.Part(inline_data=wire.Blob(data, media_type or "application/octet-stream"))
    return wire.Part(file_data=wire.FileData(url, part.media_type))


def _signed(parts: list[wire.Part]) -> list[wire.Part]:
    """The first call is signed by whatever the vendor takes, where none is."""
    calls = [number for number, part in enumerate(parts) if part.function_call is not None]
    if calls and not any(parts[number].thought_signature for number in calls):
        parts[calls[0]] = msgspec.structs.replace(parts[calls[0]], thought_signature=UNSIGNED)
    return parts


# --- what is wanted


def _declarations(turn: Turn) -> list[wire.Json]:
    declared = [
        wire.FunctionDeclaration(tool.name, tool.description, None, tool.parameters or None) for tool in turn.tools
    ]
    return [{"functionDeclarations": declared}] if declared else []


def _tool_config(turn: Turn, options: wire.ToolConfig | None, usual: Usual) -> wire.ToolConfig | None:
    given = options or wire.ToolConfig()
    told = given.function_calling_config or wire.FunctionCallingConfig()
    mode, names = _mode(turn)
    config = wire.FunctionCallingConfig(
        mode or told.mode,
        names or told.allowed_function_names,
        told.stream_function_call_arguments or usual.stream_arguments or None,
    )
    wanted = msgspec.structs.replace(
        given, function_calling_config=config if turn.tools and config != wire.FunctionCallingConfig() else None
    )
    return wanted if wanted != wire.ToolConfig() else None


def _mode(turn: Turn) -> tuple[str | None, list[str] | None]:
    if isinstance(turn.tool_choice, NamedTool):
        return "ANY", [turn.tool_choice.name]
    if turn.tool_choice in {None, "auto"} and any(tool.strict for tool in turn.tools):
        return "VALIDATED", None
    return (None, None) if turn.tool_choice is None else (MODES[turn.tool_choice], None)


def _generation(asked: Parameters, options: wire.MoreGeneration | None, usual: Usual) -> wire.GenerationConfig | None:
    more = {} if options is None else msgspec.structs.asdict(options)
    wanted = asked.response_format
    is_json = wanted is not None and wanted.type != "text"
    config = wire.GenerationConfig(
        **{
            **more,
            "thinking_config": more.get("thinking_config") or _thinking(asked.reasoning_effort, usual),
            "response_mime_type": "application/json" if is_json else more.get("response_mime_type"),
        },
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_output_tokens=asked.max_output_tokens or usual.max_output_tokens,
        stop_sequences=asked.stop or None,
        seed=asked.seed,
        response_json_schema=wanted.schema if wanted is not None else None,
    )
    return config if config != wire.GenerationConfig() else None


def _thinking(effort: Effort | None, usual: Usual) -> wire.ThinkingConfig | None:
    """Who asks for reasoning is shown it."""
    if effort is None:
        return wire.ThinkingConfig(include_thoughts=True) if usual.include_thoughts else None
    is_shown = True if effort != "none" else None
    if usual.is_before_levels:
        return wire.ThinkingConfig(is_shown, BUDGETS[effort])
    return wire.ThinkingConfig(is_shown, thinking_level=LEVELS[effort])

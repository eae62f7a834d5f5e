"""What a client of OpenAI Chat Completions asks: its body, and the canonical request it becomes.

    model                                 route: one of ours, or a model that a route answers for
    messages                              instructions, history, content
      system, developer                   instructions where they stand first or last
      user                                text, image_url, file, input_audio (a file)
      assistant                           text, refusal (text), reasoning_content (or reasoning), tool_calls
      tool                                the result of a call: its text, as the client sent it
    max_completion_tokens, max_tokens ... parameters
    safety_identifier, user               user_id
    metadata                              metadata
    the fields of `Extras`                vendor_options of this protocol, so that the same wire upstream gets them

Refused as `unsupported`: `n` over 1, `logprobs`, audio out, functions and tools of other kinds. Ignored: `store`,
`stream_options.include_obfuscation`, `detail` of images, names of speakers, and what is not named here.
Source: openai (Python) 3.54 types, read 2026-11.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.blocks import parse_arguments
from gateway.canonical.history import split
from gateway.canonical.message import FilePart, ImagePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from gateway.canonical.turn import (
    Effort,
    HistoryMessage,
    MessageRequest,
    NamedTool,
    Parameters,
    ResponseFormat,
    Tool,
)
from gateway.protocols.base import ClientRequest
from gateway.protocols.openai_chat.options import Extras
from gateway.protocols.reading import cannot_carry, check_metadata, read_body, refuse, user_id

PROTOCOL = "openai_chat"

AUDIO = {"wav": "audio/wav", "mp3": "audio/mpeg"}
CARRIED = tuple(field for field in Extras.__struct_fields__)

ToolName = Annotated[str, Meta(min_length=1, max_length=128)]
CallId = Annotated[str, Meta(min_length=1, max_length=256)]


# --- messages


class ClientText(Struct, frozen=True, tag_field="type", tag="text"):
    text: str


class ClientRefusal(Struct, frozen=True, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(Struct, frozen=True):
    url: str


class ClientImage(Struct, frozen=True, tag_field="type", tag="image_url"):
    image_url: ImageUrl


class Audio(Struct, frozen=True):
    data: str
    format: Literal["wav", "mp3"]


class ClientAudio(Struct, frozen=True, tag_field="type", tag="input_audio"):
    input_audio: Audio


class File(Struct, frozen=True):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class ClientFile(Struct, frozen=True, tag_field="type", tag="file"):
    file: File


ClientPart = ClientText | ClientImage | ClientAudio | ClientFile


class Function(Struct, frozen=True):
    name: ToolName
    arguments: str = ""


class ClientCall(Struct, frozen=True):
    id: CallId
    function: Function
    type: Literal["function"] = "function"


class System(Struct, frozen=True, tag_field="role", tag="system"):
    content: str | list[ClientText]


class Developer(Struct, frozen=True, tag_field="role", tag="developer"):
    content: str | list[ClientText]


class User(Struct, frozen=True, tag_field="role", tag="user"):
    content: str | list[ClientPart]


class Assistant(Struct, frozen=True, tag_field="role", tag="assistant"):
    content: str | list[ClientText | ClientRefusal] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ClientCall] | None = None
    function_call: Any = None
    audio: Any = None


class ToolOutput(Struct, frozen=True, tag_field="role", tag="tool"):
    tool_call_id: CallId
    content: str | list[ClientText]


ClientMessage = System | Developer | User | Assistant | ToolOutput


# --- the rest of the body


class FunctionTool(Struct, frozen=True):
    name: ToolName
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ClientTool(Struct, frozen=True):
    type: str
    function: FunctionTool | None = None


class ChosenFunction(Struct, frozen=True):
    name: ToolName


class Choice(Struct, frozen=True):
    type: str
    function: ChosenFunction | None = None


class Schema(Struct, frozen=True):
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class Format(Struct, frozen=True):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: Schema | None = None


class StreamOptions(Struct, frozen=True):
    include_usage: bool | None = None


class ChatRequest(Extras, frozen=True, kw_only=True):
    model: Annotated[str, Meta(min_length=1, max_length=256)]
    messages: Annotated[list[ClientMessage], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    response_format: Format | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    tools: list[ClientTool] | None = None
    tool_choice: Literal["auto", "none", "required"] | Choice | None = None
    safety_identifier: str | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    n: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[str] | None = None
    audio: Any = None
    functions: Any = None
    function_call: Any = None

    @property
    def includes_usage(self) -> bool:
        return self.stream_options is not None and self.stream_options.include_usage is True


_decode = msgspec.json.Decoder(ChatRequest).decode


def read(request: ClientRequest) -> ChatRequest:
    asked = read_body(_decode, request)
    check_metadata(asked.metadata or {})
    _refuse_what_is_not_carried(asked)
    return asked


def as_request(asked: ChatRequest) -> MessageRequest:
    said = split(message for message in _history(asked.messages) if message.parts)
    if not said.content:
        raise refuse("$.messages", "expected the last message to be the user's or a tool's, and to say something")
    return MessageRequest(
        route=asked.model,
        content=said.content,
        history=said.history,
        instructions=said.instructions,
        tools=[_tool(tool, number) for number, tool in enumerate(asked.tools or ())],
        tool_choice=_choice(asked.tool_choice),
        parameters=_parameters(asked),
        user_id=_user(asked),
        metadata=asked.metadata or {},
        stream=bool(asked.stream),
        vendor_options=_options(asked),
    )


def _refuse_what_is_not_carried(asked: ChatRequest) -> None:
    wanted = {
        "n": asked.n not in {None, 1},
        "logprobs": bool(asked.logprobs),
        "top_logprobs": bool(asked.top_logprobs),
        "modalities": asked.modalities not in (None, ["text"]),
        "audio": asked.audio is not None,
        "functions": bool(asked.functions),
        "function_call": asked.function_call not in {None, "none", "auto"}
        if isinstance(asked.function_call, str | None)
        else True,
    }
    for field, is_wanted in wanted.items():
        if is_wanted:
            raise cannot_carry(f"$.{field}", f"`{field}`")


def _user(asked: ChatRequest) -> str | None:
    if asked.safety_identifier is not None:
        return user_id(asked.safety_identifier, "$.safety_identifier")
    return user_id(asked.user, "$.user")


def _options(asked: ChatRequest) -> dict[str, dict[str, Any]]:
    options = {field: value for field in CARRIED if (value := getattr(asked, field)) is not None}
    if asked.reasoning_effort == "xhigh":
        options["reasoning_effort"] = "xhigh"
    return {PROTOCOL: options} if options else {}


def _parameters(asked: ChatRequest) -> Parameters | None:
    effort: Effort | None = "high" if asked.reasoning_effort == "xhigh" else asked.reasoning_effort
    parameters = Parameters(
        temperature=asked.temperature,
        top_p=asked.top_p,
        max_output_tokens=asked.max_completion_tokens or asked.max_tokens,
        stop=[asked.stop] if isinstance(asked.stop, str) else asked.stop or [],
        seed=asked.seed,
        response_format=_format(asked.response_format),
        reasoning_effort=effort,
    )
    return None if parameters == Parameters() else parameters


def _format(asked: Format | None) -> ResponseFormat | None:
    if asked is None:
        return None
    schema = asked.json_schema or Schema()
    return ResponseFormat(asked.type, schema.name, schema.description, schema.schema, schema.strict)


def _tool(tool: ClientTool, number: int) -> Tool:
    if tool.type != "function":
        raise cannot_carry(f"$.tools[{number}].type", "a tool that is no function")
    if tool.function is None:
        raise refuse(f"$.tools[{number}].function", "required")
    function = tool.function
    return Tool(function.name, function.description, function.parameters or {}, function.strict)


def _choice(choice: Literal["auto", "none", "required"] | Choice | None) -> Any:
    if not isinstance(choice, Choice):
        return choice
    if choice.type != "function":
        raise cannot_carry("$.tool_choice.type", "a choice of several tools")
    if choice.function is None:
        raise refuse("$.tool_choice.function", "required")
    return NamedTool(choice.function.name)


# --- what was said


def _history(messages: list[ClientMessage]) -> Iterator[HistoryMessage]:
    for number, message in enumerate(messages):
        path = f"$.messages[{number}]"
        match message:
            case System() | Developer():
                yield HistoryMessage("system", _texts(message.content))
            case User():
                yield HistoryMessage("user", list(_asked(message.content, path)))
            case Assistant():
                yield HistoryMessage("assistant", list(_answered(message, path)))
            case _:
                output = "".join(part.text for part in _texts(message.content))
                yield HistoryMessage("tool", [ToolResultPart(message.tool_call_id, output)])


def _texts(content: str | list[ClientText]) -> list[Any]:
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    return [TextPart(part.text) for part in content if part.text]


def _asked(content: str | list[ClientPart], path: str) -> Iterator[Part]:
    if isinstance(content, str):
        yield from _texts(content)
        return
    for number, part in enumerate(content):
        where = f"{path}.content[{number}]"
        match part:
            case ClientText(text):
                yield from _texts(text)
            case ClientImage(ImageUrl(url)):
                yield _image(url, f"{where}.image_url.url")
            case ClientAudio(Audio(data, kind)):
                yield FilePart(data=data, media_type=AUDIO[kind])
            case _:
                yield _file(part.file, f"{where}.file")


def _image(url: str, path: str) -> ImagePart:
    if url.startswith("data:"):
        media_type, data = _data_url(url, path)
        return ImagePart(data=data, media_type=media_type)
    if not url.startswith(("http://", "https://")):
        raise refuse(path, "expected an http, https or data URL")
    return ImagePart(url=url)


def _file(file: File, path: str) -> FilePart:
    if file.file_id is not None:
        return FilePart(file_id=file.file_id, name=file.filename)
    if file.file_data is None:
        raise refuse(path, "expected `file_data` or `file_id`")
    if file.file_data.startswith(("http://", "https://")):
        return FilePart(url=file.file_data, name=file.filename)
    if file.file_data.startswith("data:"):
        media_type, data = _data_url(file.file_data, f"{path}.file_data")
        return FilePart(data=data, media_type=media_type, name=file.filename)
    return FilePart(data=file.file_data, name=file.filename)


def _data_url(url: str, path: str) -> tuple[str, str]:
    head, found, data = url.removeprefix("data:").partition(",")
    media_type, *parameters = head.split(";")
    if not found or not data or "base64" not in parameters:
        raise refuse(path, "expected a data URL in base64")
    return media_type or "application/octet-stream", data


def _answered(message: Assistant, path: str) -> Iterator[Part]:
    if message.audio is not None:
        raise cannot_carry(f"{path}.audio", "an answer in audio")
    if message.function_call is not None:
        raise cannot_carry(f"{path}.function_call", "a function call of the old kind")
    thought = message.reasoning_content or message.reasoning
    if thought:
        yield ReasoningPart(thought)
    if isinstance(message.content, str):
        yield from _texts(message.content)
    else:
        for part in message.content or ():
            yield from _texts(part.text if isinstance(part, ClientText) else part.refusal)
    if message.refusal:
        yield TextPart(message.refusal)
    for call in message.tool_calls or ():
        yield _call(call)


def _call(call: ClientCall) -> ToolCallPart:
    """Arguments that are no object were cut, or could not be read, when we wrote them."""
    function = call.function
    arguments = parse_arguments(function.arguments)
    if arguments is None:
        return ToolCallPart(
            call.id, function.name, {}, status="unreadable", executor="client", raw_arguments=function.arguments
        )
    return ToolCallPart(call.id, function.name, arguments, executor="client")

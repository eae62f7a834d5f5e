"""What a turn becomes on the wire: the body of one call, as a server's row says.

    instructions, system   {"role": "developer" or "system", "content"}
    user                   {"role": "user", "content": text, or parts: text, image_url, file, input_audio}
    assistant              {"role": "assistant", "content", "tool_calls", reasoning where the server wants it}
    tool                   {"role": "tool", "tool_call_id", "content"}: a text as it is, anything else as JSON
    parameters, tools      the fields of the same meaning; a `strict` that a server does not know is left out
    user_id                `safety_identifier` (at most 64 characters, else hashed) or `user`
    options                as they are

Raises `unsupported`, with the path, for what the turn itself holds and the server cannot take; of what was said before
such parts are mentioned as text. `metadata` is not sent: OpenAI takes it only for answers that it is to store.
Source: openai (Python) 3.52 types; the servers' manuals as in `servers.py`; read 2026-11.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
from msgspec import UNSET

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
from gateway.canonical.one_text import cannot_take, mention, spoken
from gateway.canonical.turn import NamedTool, Parameters, ResponseFormat, Tool, Turn
from gateway.protocols.openai_chat.servers import Server
from gateway.protocols.openai_chat.thinking import restore
from gateway.protocols.openai_chat.wire import SentCall, SentFunction, SentMessage

AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
MAX_CALL_ID = 40
MAX_USER = 64

_SHORT_ID = re.compile(r"[a-zA-Z0-9]{9}")

_encode = msgspec.json.Encoder().encode

Json = dict[str, Any]


def body(
    turn: Turn, server: Server, name: str, *, model: str | None, max_output_tokens: int | None, stream: bool
) -> bytes:
    """The request's body; `model` is None where the path names it. `name` is the server's, for what it cannot take."""
    _check_parts(turn, server, name)
    messages = list(_messages(turn, server))
    if not any(message.role in {"user", "tool"} for message in messages):
        raise GatewayError("bad_request", "the message has no text", details={"path": "$.content"})
    sent: Json = {} if model is None else {"model": model}
    sent["messages"] = messages
    sent["stream"] = stream
    if stream and server.include_usage:
        sent["stream_options"] = {"include_usage": True}
    _add_parameters(sent, turn.parameters or Parameters(), server, name, max_output_tokens)
    if turn.user_id is not None and server.user is not None:
        sent[server.user] = _user(turn.user_id)
    options: Json = {} if turn.options is None else msgspec.to_builtins(turn.options)
    if server.effort == "reasoning" and "reasoning_effort" in options:  # OpenRouter refuses the one beside the other
        options = {"reasoning": {"effort": options.pop("reasoning_effort")}, **options}
    if turn.tools:
        _add_tools(sent, turn, server, name)
    else:
        options.pop("parallel_tool_calls", None)  # refused by OpenAI where there are no tools
    return _encode({**sent, **options})


# --- parameters and tools


def _add_parameters(
    sent: Json, parameters: Parameters, server: Server, name: str, max_output_tokens: int | None
) -> None:
    given = {
        server.max_tokens: parameters.max_output_tokens or max_output_tokens,
        "temperature": parameters.temperature,
        "top_p": parameters.top_p,
        "stop": parameters.stop or None,
        server.seed: parameters.seed,
        "response_format": _response_format(parameters.response_format, server, name),
    }
    sent.update({field: value for field, value in given.items() if value is not None})
    effort = parameters.reasoning_effort
    if effort is None:
        return
    if server.effort == "reasoning":
        sent["reasoning"] = {"effort": effort}
    elif server.effort == "thinking":
        sent["thinking"] = {"type": "disabled" if effort == "none" else "enabled"}
    else:
        sent["reasoning_effort"] = effort


def _response_format(wanted: ResponseFormat | None, server: Server, name: str) -> Json | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type not in server.formats:
        raise cannot_take(name, f"a response format of the type {wanted.type}", "$.parameters.response_format")
    if wanted.type == "json_object":
        return {"type": "json_object"}
    schema = {
        "name": wanted.name or "answer",
        "description": wanted.description,
        "schema": wanted.schema,
        "strict": wanted.strict,
    }
    return {
        "type": "json_schema",
        "json_schema": {field: value for field, value in schema.items() if value is not None},
    }


def _add_tools(sent: Json, turn: Turn, server: Server, name: str) -> None:
    if not server.takes_tools:
        raise cannot_take(name, "the client's tools", "$.tools")
    sent["tools"] = [{"type": "function", "function": _function(tool, server)} for tool in turn.tools]
    if isinstance(turn.tool_choice, NamedTool):
        sent["tool_choice"] = {"type": "function", "function": {"name": turn.tool_choice.name}}
    elif turn.tool_choice is not None:
        sent["tool_choice"] = turn.tool_choice


def _function(tool: Tool, server: Server) -> Json:
    function: Json = {"name": tool.name, "parameters": tool.parameters or {"type": "object", "properties": {}}}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None and server.strict_tools:
        function["strict"] = tool.strict
    return function


def _user(user_id: str) -> str:
    return user_id if len(user_id) <= MAX_USER else hashlib.sha256(user_id.encode()).hexdigest()


# --- messages


def _check_parts(turn: Turn, server: Server, name: str) -> None:
    for number, part in enumerate(turn.parts):
        if isinstance(part, ImagePart | FilePart) and _sent_file(part, server) is None:
            what = "images" if isinstance(part, ImagePart) else "files"
            raise cannot_take(name, f"{what} of this kind", f"$.content[{number}]")


def _messages(turn: Turn, server: Server) -> Iterator[SentMessage]:
    if turn.instructions:
        yield SentMessage(server.system_role, turn.instructions)
    said = dialogue(turn)
    last_turn = max((number for number, message in enumerate(said) if message.role == "user"), default=0)
    for number, message in enumerate(said):
        yield from _sent(message, server, in_tool_loop=number > last_turn)


def _sent(message: Spoken, server: Server, *, in_tool_loop: bool) -> Iterator[SentMessage]:
    match message.role:
        case "system":
            yield from _said(server.system_role, _joined(message.parts))
        case "user":
            yield from _said("user", _content(message.parts, server))
        case "assistant":
            yield from _answer(message.parts, server, in_tool_loop=in_tool_loop)
        case _:
            results = [part for part in message.parts if isinstance(part, ToolResultPart)]
            for part in results:
                yield SentMessage("tool", _output(part), tool_call_id=_call_id(part.tool_call_id, server))


def _said(role: Literal["system", "developer", "user"], content: str | list[Json]) -> Iterator[SentMessage]:
    if content:
        yield SentMessage(role, content)


def _content(parts: Iterable[Part], server: Server) -> str | list[Json]:
    """A text alone as such: not every server takes parts."""
    told: list[Json] = []
    for part in parts:
        sent = _sent_file(part, server) if isinstance(part, ImagePart | FilePart) else None
        if sent is not None:
            told.append(sent)
        elif text := spoken(part) if isinstance(part, TextPart | InputResponsePart) else mention(part):
            told.append({"type": "text", "text": text})
    if all(part["type"] == "text" for part in told):
        return "\n\n".join(part["text"] for part in told)
    return told


def _answer(parts: list[Part], server: Server, *, in_tool_loop: bool) -> Iterator[SentMessage]:
    text = _joined(parts)
    calls = [
        SentCall(_call_id(part.tool_call_id, server), SentFunction(part.name, _encode(part.arguments).decode()))
        for part in parts
        if isinstance(part, ToolCallPart)
    ]
    if not text and not calls:
        return
    message = SentMessage("assistant", text or None, tool_calls=calls or UNSET)
    thoughts = [part for part in parts if isinstance(part, ReasoningPart)]
    yield _with_reasoning(message, thoughts, server, in_tool_loop=in_tool_loop) if thoughts else message


def _with_reasoning(
    message: SentMessage, thoughts: list[ReasoningPart], server: Server, *, in_tool_loop: bool
) -> SentMessage:
    """DeepSeek wants reasoning back as long as its tools run, and no longer; OpenRouter what was signed, always."""
    text = "".join(part.text for part in thoughts)
    match server.reasoning_back:
        case "reasoning_details":
            details = [
                detail for part in thoughts if part.signature for detail in restore(part.signature, part.text) or ()
            ]
            return msgspec.structs.replace(message, reasoning_details=details or UNSET)
        case "thinking" if text:
            thought = {"type": "thinking", "thinking": [{"type": "text", "text": text}]}
            said = [{"type": "text", "text": message.content}] if message.content else []
            return msgspec.structs.replace(message, content=[thought, *said])
        case "reasoning_content" if text and in_tool_loop:
            return msgspec.structs.replace(message, reasoning_content=text)
        case "reasoning" if text and in_tool_loop:
            return msgspec.structs.replace(message, reasoning=text)
        case _:
            return message


def _joined(parts: Iterable[Part]) -> str:
    return "\n\n".join(part.text for part in parts if isinstance(part, TextPart) and part.text)


def _output(part: ToolResultPart) -> str:
    output = {"error": part.output} if part.is_error else part.output
    return output if isinstance(output, str) else _encode(output).decode()


def _call_id(call: str, server: Server) -> str:
    """Mistral takes nine letters and digits, OpenAI forty characters; the same id becomes the same again."""
    if server.short_call_ids:
        return call if _SHORT_ID.fullmatch(call) else hashlib.sha256(call.encode()).hexdigest()[:9]
    return call if len(call) <= MAX_CALL_ID else f"call_{hashlib.sha256(call.encode()).hexdigest()[:32]}"


# --- images and files


def _sent_file(part: ImagePart | FilePart, server: Server) -> Json | None:
    """None for what the server cannot take."""
    media_type = part.media_type or ""
    if isinstance(part, ImagePart) or media_type.startswith("image/"):
        url = _url(part, media_type or "image/png")
        return {"type": "image_url", "image_url": {"url": url}} if _way(part) in server.images else None
    if media_type in AUDIO:
        if not server.takes_audio or part.data is None:
            return None
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": AUDIO[media_type]}}
    if _way(part) not in server.files:
        return None
    url = _url(part, media_type or "application/octet-stream")
    if server.file_part == "document_url":
        return {"type": "document_url", "document_url": url}
    return {"type": "file", "file": {"filename": part.name or "file", "file_data": url}}


def _way(part: ImagePart | FilePart) -> Literal["data", "url"] | None:
    return "data" if part.data is not None else "url" if part.url is not None else None


def _url(part: ImagePart | FilePart, media_type: str) -> str:
    return part.url or "" if part.data is None else f"data:{media_type};base64,{part.data}"

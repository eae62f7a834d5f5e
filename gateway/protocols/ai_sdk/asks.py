"""A client's list of UI messages as what was said before, and what is asked now.

    text, file                          text; image, or file: a `data:` URL becomes inline data
    data-input_response                 input_response {requestId, approved, text, values}, in a message of the user's
    tool-NAME, dynamic-tool             tool_call, and by its state:
        input-streaming                   cut
        output-available, -error          tool_result, of the vendor where `providerExecuted`, else of the client
        output-denied                     tool_result of the vendor
        approval                          input, and input_response once it was given
    reasoning, source-*, data-*         as they are, in an answer
    step-start                          behind answers of the client's, the vendor's next answer begins

An answer and all that went on in it is one UI message: what the client's tools gave and what the person approved stand
in their calls. It is told apart into the vendor's messages and the client's, and where nothing follows, the client's
last one is what is asked now. What our encoder marked below `providerMetadata.gateway` is undone: a text that corrects
another takes its place, and a prompt shown as text is none.
Left unread: other parts of a user's message, parts of unknown types, signatures (they cannot be told whose they are).
Source: ai 7.0.173, `ui-messages.ts`, read 2026-11.
"""

import base64
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import UNSET, Struct

from gateway.canonical.blocks import parse_arguments
from gateway.canonical.events import Executor
from gateway.canonical.history import split
from gateway.canonical.message import (
    DataPart,
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    Part,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import HistoryMessage, MessageRequest
from gateway.framing.typed import UNREADABLE, explain
from gateway.protocols.ai_sdk import wire
from gateway.protocols.base import ClientRequest, Thread
from gateway.protocols.reading import read_body, refuse

OWN = "gateway"
"""Our key among the `providerMetadata`."""
REQUEST, RESPONSE = "data-input_request", "data-input_response"

_encode = msgspec.json.encode
_decode_chat = msgspec.json.Decoder(wire.Chat).decode
_decode_keys = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Continued(Struct, frozen=True):
    """The answer that the client goes on with: its id, and for each of its calls whether the part is a dynamic one."""

    message_id: str
    calls: dict[str, bool]


class Asked(Struct, frozen=True):
    request: MessageRequest
    thread: Thread | None
    continued: Continued | None


def read_chat(request: ClientRequest) -> Asked:
    """Raises `bad_request`."""
    chat = read_body(_decode_chat, request)
    path = "$.message" if chat.messages is None else "$.messages"
    messages = chat.messages or ([] if chat.message is None else [chat.message])
    if not messages:
        raise refuse(path, "expected at least one message")
    if chat.messages is None and chat.id is None:
        raise refuse("$.id", "a message alone needs the chat that it belongs to")
    places = [path] if chat.messages is None else [f"{path}[{number}]" for number in range(len(messages))]
    said = split(told for place, message in zip(places, messages, strict=True) for told in _read(message, place))
    last = messages[-1]
    if not said.content:
        raise refuse(places[-1], "the last message asks nothing")
    is_whole = chat.messages is not None
    return Asked(
        MessageRequest(
            route=request.parameters["route"],
            content=said.content,
            history=said.history if is_whole else [],
            instructions=said.instructions,
            vendor_options=_options(request.body, last),
        ),
        None if chat.id is None else Thread(chat.id, is_whole),
        _continued(last) if last.role == "assistant" else None,
    )


def chat_id(request: ClientRequest) -> str:
    """Out of the path."""
    try:
        return msgspec.convert(request.parameters["chat"], wire.ChatId)
    except UNREADABLE as error:
        raise refuse("path.chat", explain(error)[1]) from error


def _options(body: bytes, last: wire.UiMessage) -> dict[str, dict[str, Any]]:
    """What the same protocol upstream can keep: the application's own fields, and the message's metadata."""
    own = _own_fields(body)
    options: dict[str, Any] = {}
    if own:
        options["body"] = own
    if last.role == "user" and isinstance(last.metadata, dict) and last.metadata:
        options["metadata"] = last.metadata
    return {"ai_sdk": options} if options else {}


def _own_fields(body: bytes) -> dict[str, Any]:
    try:
        return {key: msgspec.json.decode(value) for key, value in _decode_keys(body).items() if key not in wire.KEYS}
    except UNREADABLE as error:
        raise refuse(*explain(error)) from error


def _continued(last: wire.UiMessage) -> Continued:
    calls = {part.tool_call_id: part.type == wire.DYNAMIC_TOOL for part in last.parts if part.tool_call_id}
    return Continued(last.id, calls)


# --- messages


def _read(message: wire.UiMessage, path: str) -> list[HistoryMessage]:
    places = [(part, f"{path}.parts[{number}]") for number, part in enumerate(message.parts)]
    match message.role:
        case "assistant":
            return _Answer(places).said
        case "user":
            return [HistoryMessage("user", [told for part, place in places for told in _of_the_user(part, place)])]
        case "system":
            texts: list[Part] = [TextPart(_text(part, place)) for part, place in places if part.type == "text"]
            return [HistoryMessage("system", texts)]
        case _:
            raise refuse(f"{path}.role", "expected system, user or assistant")


def _of_the_user(part: wire.UiPart, path: str) -> Iterator[Part]:
    match part.type:
        case "text":
            text = _text(part, path)
            if text:
                yield TextPart(text)
        case "file":
            yield _file(part, path)
        case kind if kind == RESPONSE:
            yield _response(part, path)


def _response(part: wire.UiPart, path: str) -> InputResponsePart:
    try:
        told = msgspec.convert(part.data, wire.InputResponse)
    except UNREADABLE as error:
        inner, problem = explain(error)
        raise refuse(f"{path}.data{inner.removeprefix('$')}", problem) from error
    return InputResponsePart(told.request_id, told.approved, told.text, told.values)


def _text(part: wire.UiPart, path: str) -> str:
    if part.text is None:
        raise refuse(f"{path}.text", "expected a text")
    return part.text


def _file(part: wire.UiPart, path: str) -> ImagePart | FilePart:
    if not part.url:
        raise refuse(f"{path}.url", "expected a URL")
    url, data, media_type = part.url, None, part.media_type
    if url.startswith("data:"):
        head, comma, body = url[5:].partition(",")
        if not comma:
            raise refuse(f"{path}.url", "expected a data URL")
        media_type = media_type or head.partition(";")[0] or None
        is_base64 = head.endswith(";base64")
        data = body if is_base64 else base64.b64encode(unquote_to_bytes(body)).decode()
    kind = ImagePart if (media_type or "").startswith("image") else FilePart
    return kind(url=None if data is not None else url, data=data, media_type=media_type, name=part.filename)


class _Answer:
    """A UI message of the assistant's, told apart."""

    def __init__(self, places: list[tuple[wire.UiPart, str]]) -> None:
        self.said: list[HistoryMessage] = []
        self._parts: list[Part] = []
        self._answers: list[Part] = []
        """The client's, to what stands in `_parts`."""
        self._texts: list[int | None] = []
        """Where in `_parts` each text stands that the message holds so far; None for one that does not count."""
        for part, path in places:
            self._take(part, path)
        self._break()

    def _break(self) -> None:
        if self._parts:
            self.said.append(HistoryMessage("assistant", self._parts))
        if self._answers:
            self.said.append(HistoryMessage("tool", self._answers))
        self._parts, self._answers, self._texts = [], [], []

    def _take(self, part: wire.UiPart, path: str) -> None:
        match part.type:
            case "step-start":
                if self._answers:
                    self._break()
            case "text":
                self._take_text(part, _text(part, path))
            case wire.DYNAMIC_TOOL:
                self._take_call(part, part.tool_name, path)
            case kind if kind.startswith(wire.TOOL):
                self._take_call(part, kind.removeprefix(wire.TOOL), path)
            case _:
                self._parts.extend(_of_the_vendor(part, path))

    def _take_text(self, part: wire.UiPart, text: str) -> None:
        mark = (part.provider_metadata or {}).get(OWN)
        own = mark if isinstance(mark, dict) else {}
        if "prompt" in own:
            self._texts.append(None)
            return
        corrected = self._corrected(own.get("replaces"))
        if corrected is None:
            self._texts.append(len(self._parts))
            self._parts.append(TextPart(text))
        else:
            self._texts.append(corrected)
            self._parts[corrected] = TextPart(text)

    def _corrected(self, back: object) -> int | None:
        """Where the text stands that one corrects which stood so many texts before it."""
        if not isinstance(back, int) or not 1 <= back <= len(self._texts):
            return None
        return self._texts[-back]

    def _take_call(self, part: wire.UiPart, name: str | None, path: str) -> None:
        if part.tool_call_id is None:
            raise refuse(f"{path}.toolCallId", "expected the id of a tool call")
        if not name:
            raise refuse(f"{path}.toolName", "expected the name of a tool")
        by_vendor = part.provider_executed is True
        self._parts.append(_call(part, part.tool_call_id, name, "vendor" if by_vendor else "client"))
        if part.approval is not None:
            self._take_approval(part.approval, part.tool_call_id)
        result = _result(part, part.tool_call_id, name)
        if result is not None:
            is_vendors = by_vendor or part.state == "output-denied"
            (self._parts if is_vendors else self._answers).append(result)

    def _take_approval(self, approval: wire.Approval, call_id: str) -> None:
        self._parts.append(InputPart(approval.id, "approval", None, call_id))
        if approval.approved is not None:
            response = InputResponsePart(approval.id, approved=approval.approved, text=approval.reason)
            self._answers.append(response)


def _of_the_vendor(part: wire.UiPart, path: str) -> Iterator[Part]:
    match part.type:
        case "reasoning":
            yield ReasoningPart(_text(part, path))
        case "source-url" | "source-document":
            yield SourcePart(part.source_id or "", part.title or part.filename, part.url)
        case "file":
            yield _file(part, path)
        case kind if kind == REQUEST:
            yield _question(part.data)
        case kind if kind.startswith(wire.DATA):
            yield DataPart(kind.removeprefix(wire.DATA), _or_none(part.data))


def _call(part: wire.UiPart, call_id: str, name: str, executor: Executor) -> ToolCallPart:
    """Version 5 keeps arguments that it could not use in `rawInput`, the others in `input`."""
    given = part.raw_input if part.input is UNSET else part.input
    if part.state == "input-streaming":
        raw = part.raw_input if isinstance(part.raw_input, str) else ""
        return ToolCallPart(call_id, name, {}, status="cut", executor=executor, raw_arguments=raw)
    if given is None:
        return ToolCallPart(call_id, name, {}, executor=executor)
    if isinstance(given, dict):
        return ToolCallPart(call_id, name, given, executor=executor)
    raw = given if isinstance(given, str) else _encode(given).decode()
    spelled = parse_arguments(raw)
    if spelled is not None:
        return ToolCallPart(call_id, name, spelled, executor=executor)
    return ToolCallPart(call_id, name, {}, status="unreadable", executor=executor, raw_arguments=raw)


def _result(part: wire.UiPart, call_id: str, name: str) -> ToolResultPart | None:
    match part.state:
        case "output-available":
            return ToolResultPart(call_id, _or_none(part.output), name=name)
        case "output-error":
            return ToolResultPart(call_id, part.error_text or "", is_error=True, name=name)
        case "output-denied":
            return ToolResultPart(call_id, "denied", is_error=True, name=name)
        case _:
            return None


def _question(data: object) -> InputPart:
    fields = data if isinstance(data, dict) else {}
    kind: Literal["question", "approval"] = "approval" if fields.get("kind") == "approval" else "question"
    prompt = fields.get("prompt")
    return InputPart(str(fields.get("requestId")), kind, prompt if isinstance(prompt, str) else None)


def _or_none(value: Any) -> Any:
    return None if value is UNSET else value

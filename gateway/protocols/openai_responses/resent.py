"""What a client of OpenAI's Responses resends: the items of its `input`, as messages of ours.

    message                      text, image, file, of its role; `developer` is a system message
    reasoning                    reasoning, whose signature is the encrypted content
    function_call, custom ...    a tool call of the client's in an answer; its output, the result of a tool
    mcp_call, web_search ...     a tool call of a vendor's with its result, both in the answer
    mcp_approval_request         an input request in the answer; mcp_approval_response, the client's word on it
    mcp_list_tools               nothing

A reference to an item, and what was compacted, mean something only to who stored it: `unsupported`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal, cast

import msgspec
from msgspec import Raw, Struct

from gateway.canonical.blocks import parse_arguments
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import HistoryMessage
from gateway.framing.typed import UNREADABLE, explain
from gateway.protocols.openai_responses import items, wire_items
from gateway.protocols.reading import cannot_carry, refuse

# --- what a message holds


class Content(Struct, frozen=True, tag_field="type"): ...


class InputText(Content, frozen=True, tag="input_text"):
    text: str


class OutputText(Content, frozen=True, tag="output_text"):
    text: str


class Refusal(Content, frozen=True, tag="refusal"):
    refusal: str


class InputImage(Content, frozen=True, tag="input_image"):
    image_url: str | None = None
    file_id: str | None = None


class InputFile(Content, frozen=True, tag="input_file"):
    file_url: str | None = None
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class InputAudio(Content, frozen=True, tag="input_audio"): ...


Contents = InputText | OutputText | Refusal | InputImage | InputFile | InputAudio


class Said(Struct, frozen=True):
    """A message; its `type` may be missing."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Contents]
    phase: str | None = None


class Verdict(Struct, frozen=True):
    approval_request_id: str
    approve: bool
    reason: str | None = None


class Kind(Struct, frozen=True):
    type: str = "message"


IGNORED = frozenset({"mcp_list_tools"})
UNSUPPORTED = {
    "item_reference": "an item that is not stored (send it whole, with `store: false`)",
    "compaction": "a compacted conversation",
    "compaction_trigger": "a compaction",
    "additional_tools": "tools among the input",
    "configuration_update": "a change of configuration",
}
ITEMS = {member.__struct_config__.tag for member in wire_items.AnyItem.__args__}

_decode_kind = msgspec.json.Decoder(Kind).decode
_decode_said = msgspec.json.Decoder(Said).decode
_decode_verdict = msgspec.json.Decoder(Verdict).decode
_decode_item = msgspec.json.Decoder(cast("type[Any]", wire_items.AnyItem)).decode


def read_input(given: str | Sequence[Raw]) -> list[HistoryMessage]:
    """Raises `bad_request` and `unsupported`, with the path."""
    if isinstance(given, str):
        return [HistoryMessage("user", _text(given))]
    reader = _Reader()
    for number, raw in enumerate(given):
        reader.read(bytes(raw), f"$.input[{number}]")
    return reader.messages


class _Reader:
    def __init__(self) -> None:
        self.messages: list[HistoryMessage] = []
        self._of_vendors: set[str] = set()
        """Calls that a vendor ran."""

    def read(self, raw: bytes, path: str) -> None:
        kind = _decode(_decode_kind, raw, path).type
        if kind == "message":
            self._say(_decode(_decode_said, raw, path), path)
        elif kind == "mcp_approval_response":
            verdict = _decode(_decode_verdict, raw, path)
            self._add("user", InputResponsePart(verdict.approval_request_id, verdict.approve, verdict.reason))
        elif kind in UNSUPPORTED:
            raise cannot_carry(path, UNSUPPORTED[kind])
        elif kind in ITEMS:
            self._take(_decode(_decode_item, raw, path), raw, path)
        elif kind not in IGNORED:
            raise refuse(f"{path}.type", "unknown type")

    def _add(self, role: Role, *parts: Part) -> None:
        if parts:
            self.messages.append(HistoryMessage(role, list(parts)))

    def _say(self, said: Said, path: str) -> None:
        role: Role = "system" if said.role == "developer" else said.role
        if isinstance(said.content, str):
            self._add(role, *_text(said.content, said.phase))
            return
        parts = [
            part
            for number, content in enumerate(said.content)
            for part in _part(content, f"{path}.content[{number}]", said.phase)
        ]
        self._add(role, *parts)

    def _take(self, item: Any, raw: bytes, path: str) -> None:
        match item:
            case wire_items.Reasoning():
                text = "\n\n".join(part.text for part in item.summary or [] if part.text)
                self._add("assistant", ReasoningPart(text, signature=item.encrypted_content))
            case wire_items.McpApprovalRequest():
                asked = items.approval(item, _known(item.id, f"{path}.id"))
                self._add("assistant", InputPart(asked.request_id, asked.kind, asked.prompt, fields=asked.fields))
            case _:
                self._call(item, raw, path)
                self._answer(item, path)

    def _call(self, item: Any, raw: bytes, path: str) -> None:
        opening = items.opening(item)
        if opening is None:
            return
        call_id = _known(opening.id, f"{path}.call_id")
        if opening.executor == "vendor":
            self._of_vendors.add(call_id)
        part = _called(item, opening, call_id)
        self._add("assistant", msgspec.structs.replace(part, signature=items.signature(item, raw)))

    def _answer(self, item: Any, path: str) -> None:
        made = [FilePart(url=file.url, media_type=file.media_type) for file in items.files(item)]
        self._add("assistant", *made)
        found = items.finding(item)
        if found is None:
            return
        call_id = _known(item.id if found.call_id is None else found.call_id or item.id, f"{path}.call_id")
        role: Role = "assistant" if found.call_id is None or call_id in self._of_vendors else "tool"
        self._add(role, ToolResultPart(call_id, found.output, found.is_error))


def _decode(decode: Callable[[bytes], Any], raw: bytes, path: str) -> Any:
    try:
        return decode(raw)
    except UNREADABLE as error:
        inside, problem = explain(error)
        raise refuse(path + inside.removeprefix("$"), problem) from error


def _known(given: str | None, path: str) -> str:
    if not given:
        raise refuse(path, "a text is needed")
    return given


def _called(item: Any, opening: items.Opening, call_id: str) -> ToolCallPart:
    spelled = items.spelled(item)
    plain = items.PLAIN.get(type(item))
    if plain is not None:
        return ToolCallPart(call_id, opening.name, {plain: spelled or ""}, executor=opening.executor)
    arguments = items.arguments(item) if spelled is None else parse_arguments(spelled)
    if arguments is None:
        return ToolCallPart(
            call_id, opening.name, {}, status="unreadable", executor=opening.executor, raw_arguments=spelled
        )
    return ToolCallPart(call_id, opening.name, arguments, executor=opening.executor)


def _text(text: str, phase: str | None = None) -> list[Part]:
    return [TextPart(text, signature=phase)] if text else []


def _part(content: Contents, path: str, phase: str | None) -> list[Part]:
    match content:
        case InputText(text) | OutputText(text) | Refusal(text):
            return _text(text, phase)
        case InputImage():
            return [_image(content, path)]
        case InputFile():
            return [_file(content, path)]
        case _:
            raise cannot_carry(path, "audio")


def _image(image: InputImage, path: str) -> ImagePart:
    if image.file_id:
        return ImagePart(file_id=image.file_id)
    url = _known(image.image_url, f"{path}.image_url")
    media_type, data = _inline(url)
    return ImagePart(url=url) if data is None else ImagePart(data=data, media_type=media_type)


def _file(file: InputFile, path: str) -> FilePart:
    if file.file_id:
        return FilePart(file_id=file.file_id, name=file.filename)
    if file.file_url:
        return FilePart(url=file.file_url, name=file.filename)
    given = _known(file.file_data, f"{path}.file_data")
    media_type, data = _inline(given)
    return FilePart(data=given if data is None else data, media_type=media_type, name=file.filename)


def _inline(url: str) -> tuple[str | None, str | None]:
    """Media type and base64 of a data URL; nothing of any other."""
    head, found, data = url.partition(";base64,")
    if not found or not head.startswith("data:"):
        return None, None
    return head.removeprefix("data:").partition(";")[0] or None, data

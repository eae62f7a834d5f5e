"""A turn as one text, for vendors that take a text and keep the conversation themselves.

[Earlier in this conversation]        what was said elsewhere, where something was
user: ...
assistant: ...
[Now]
the text of the turn
[Your answer so far; go on where it stops]
what an earlier attempt already showed, where it did
"""

from collections.abc import Container

import msgspec

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputResponsePart,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import HistoryMessage, Turn

_NAMES: dict[type, str] = {
    ImagePart: "images",
    FilePart: "files",
    ToolResultPart: "results of the client's tools",
    InputResponsePart: "answers to input requests",
}
_VERDICTS = {None: "", True: "Approved.", False: "Declined."}

_encode = msgspec.json.Encoder().encode


def refuse_what_is_no_text(turn: Turn, vendor: str, *, but: Container[type] = (InputResponsePart,)) -> None:
    """Raises `unsupported`, with the path, for instructions, the client's tools and every part no text, save `but`."""
    if turn.instructions:
        raise cannot_take(vendor, "instructions", "$.instructions")
    if turn.tools:
        raise cannot_take(vendor, "the client's tools", "$.tools")
    if turn.tool_choice not in {None, "auto"}:
        raise cannot_take(vendor, "a choice of tools", "$.tool_choice")
    for number, part in enumerate(turn.parts):
        if type(part) in _NAMES and type(part) not in but:
            raise cannot_take(vendor, _NAMES[type(part)], f"$.content[{number}]")


def cannot_take(vendor: str, what: str, path: str) -> GatewayError:
    return GatewayError("unsupported", f"{vendor} cannot take {what}", details={"path": path})


def as_one_text(turn: Turn) -> str:
    """What to send; "" where the turn itself has no text, and nothing was said before."""
    asked = "\n\n".join(filter(None, map(spoken, turn.parts)))
    earlier = [line for message in (*turn.history, *turn.missed) if (line := _line(message))]
    sections = [("Earlier in this conversation", "\n".join(earlier)), ("Now", asked)] if earlier else [("", asked)]
    if turn.partial:
        sections.append(("Your answer so far; go on where it stops", turn.partial))
    return "\n".join(f"[{title}]\n{text}" if title else text for title, text in sections if text)


def spoken(part: Part) -> str:
    """A part of the turn itself as text; "" for what goes another way, or nowhere."""
    match part:
        case TextPart():
            return part.text
        case InputResponsePart():
            values = _encode(part.values).decode() if part.values else ""
            return " ".join(filter(None, (_VERDICTS[part.approved], part.text, values)))
        case _:
            return ""


def _line(message: HistoryMessage) -> str:
    said = " ".join(filter(None, map(_mention, message.parts)))
    return f"{message.role}: {said}" if said else ""


def _mention(part: Part) -> str:
    match part:
        case ToolCallPart():
            return f"(called {part.name} with {_encode(part.arguments).decode()})"
        case ToolResultPart():
            return f"(got {_encode(part.output).decode()})"
        case FilePart() | ImagePart():
            return f"(file {part.name or 'without a name'})"
        case _:
            return spoken(part)

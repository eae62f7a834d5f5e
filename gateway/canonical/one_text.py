"""A turn as one text, for vendors that take a text and keep the conversation themselves.

[Earlier in this conversation]        what was said elsewhere, where something was: the turn's `template`
(2 earlier turns are left out)
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
    InputPart,
    InputResponsePart,
    Part,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import EARLIER, NOW, HistoryMessage, Turn

_NAMES: dict[type, str] = {
    ImagePart: "images",
    FilePart: "files",
    ToolResultPart: "results of the client's tools",
    InputResponsePart: "answers to input requests",
}
SO_FAR = "[Your answer so far; go on where it stops]"
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
    sections = [_with_what_was_missed(turn, asked)]
    if turn.partial:
        sections.append(f"{SO_FAR}\n{turn.partial}")
    return "\n".join(filter(None, sections))


def _with_what_was_missed(turn: Turn, asked: str) -> str:
    lines = [line for message in turn.missed if (line := as_line(message))]
    if turn.left_out:
        lines.insert(0, f"({turn.left_out} earlier {'turn is' if turn.left_out == 1 else 'turns are'} left out)")
    if not lines:
        return asked
    head, _, rest = turn.template.partition(EARLIER)
    between, _, tail = rest.partition(NOW)
    earlier = head + "\n".join(lines)
    return earlier + between + asked + tail if asked else earlier


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


def as_line(message: HistoryMessage) -> str:
    """What is told of it; "" where that is nothing."""
    said = " ".join(filter(None, map(mention, message.parts)))
    return f"{message.role}: {said}" if said else ""


def mention(part: Part) -> str:
    """A part of what was said as text; "" for what is not told."""
    match part:
        case ToolCallPart():
            return f"(called {part.name} with {_encode(part.arguments).decode()})"
        case ToolResultPart():
            return f"(got {_encode(part.output).decode()})"
        case InputPart(prompt=str(prompt)):
            return f"(asked: {prompt})"
        case FilePart() | ImagePart():
            return f"(file {part.name or 'without a name'})"
        case _:
            return spoken(part)

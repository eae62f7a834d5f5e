"""What a turn becomes for Hardwire, which takes one text and nothing else.

[Earlier in this conversation]     what was said elsewhere, where something was
user: ...
assistant: ...
[Now]
the text
[Your answer so far: ...]          what an earlier attempt already showed, where it did
"""

from collections.abc import Iterator

import msgspec

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import FilePart, ImagePart, InputResponsePart, Part, TextPart, ToolResultPart
from gateway.canonical.turn import HistoryMessage, Turn

SPEAKERS = frozenset({"user", "assistant"})
UNSUPPORTED: dict[type, str] = {
    ImagePart: "images",
    FilePart: "files",
    ToolResultPart: "results of the client's tools",
}
VERDICTS = {True: "Yes.", False: "No.", None: ""}


def content(turn: Turn) -> str:
    """The one text that Hardwire takes: what it missed goes before it, what was answered already after it."""
    _refuse_unsupported(turn)
    text = "\n\n".join(filter(None, map(_visible, turn.parts)))
    if not text.strip():
        raise _unsupported("$.content", "a blank text")
    lines = [text]
    said = [line for message in (*turn.history, *turn.missed) for line in _said(message)]
    if said:
        lines = ["[Earlier in this conversation]", *said, "[Now]", *lines]
    if turn.partial:
        lines += ["[Your answer so far: go on from its end, repeat nothing]", turn.partial]
    return "\n".join(lines)


def _refuse_unsupported(turn: Turn) -> None:
    for index, part in enumerate(turn.parts):
        if type(part) in UNSUPPORTED:
            raise _unsupported(f"$.content[{index}]", UNSUPPORTED[type(part)])
    if turn.instructions:
        raise _unsupported("$.instructions", "instructions")
    if turn.tools:
        raise _unsupported("$.tools", "the client's tools")
    if turn.tool_choice not in {None, "auto", "none"}:
        raise _unsupported("$.tool_choice", "a choice of tools")


def _said(message: HistoryMessage) -> Iterator[str]:
    text = "".join(map(_visible, message.parts))
    if text and message.role in SPEAKERS:
        yield f"{message.role}: {text}"


def _visible(part: Part) -> str:
    match part:
        case TextPart():
            return part.text
        case FilePart() | ImagePart():
            return f"[{part.name or 'a file'}]"
        case InputResponsePart():
            return _response(part)
        case _:
            return ""


def _response(part: InputResponsePart) -> str:
    """The answer to what another vendor asked: Hardwire has no call for it, so it is told as text."""
    values = msgspec.json.encode(part.values).decode() if part.values else ""
    return " ".join(filter(None, (VERDICTS[part.approved], part.text, values)))


def _unsupported(path: str, what: str) -> GatewayError:
    return GatewayError("unsupported", f"hardwire does not take {what}", details={"path": path})

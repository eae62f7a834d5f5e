"""What a vendor has missed of a conversation: what came after the last message it knows, as much as there is room for.

    Transcript(messages).after(seen)       messages of ours, the oldest first
    Transcript(messages).before(message)   likewise
    catch_up(messages, characters)         what is told of them
    history(messages, vendor)              all of them, for a vendor that keeps nothing

Whole turns are left out, the oldest first; a turn is a question with all that answered it, and is never cut. What a
vendor has signed means something to itself alone: no other is told the signature.
"""

from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.message import Message, Part, ReasoningPart, TextPart, ToolCallPart
from gateway.canonical.one_text import as_line
from gateway.canonical.turn import HistoryMessage


class Missed(Struct, frozen=True):
    """`left_out` counts turns, `size` the characters of what is told."""

    messages: list[HistoryMessage] = []
    left_out: int = 0
    size: int = 0


class Transcript:
    """All of a conversation's messages but those that run, and answers that were given anew."""

    def __init__(self, stored: list[Message], running: Collection[str] = ()) -> None:
        self._stored = stored
        replaced = {message.regenerates for message in stored if message.status == "completed"}
        self._left_out = {*running, *replaced}

    def after(self, seen: str | None) -> list[Message]:
        """All of it where that message is not known."""
        start = next((number for number, message in enumerate(self._stored, 1) if message.id == seen), 0)
        return [message for message in self._stored[start:] if message.id not in self._left_out]

    def before(self, message_id: str | None) -> list[Message]:
        """All of it where that message is not known."""
        found = self.after(None)
        end = next((number for number, message in enumerate(found) if message.id == message_id), len(found))
        return found[:end]


def history(messages: Iterable[Message], vendor: str) -> list[HistoryMessage]:
    return [
        HistoryMessage(message.role, message.parts if message.vendor == vendor else list(map(_unsigned, message.parts)))
        for message in messages
        if message.parts
    ]


def _unsigned(part: Part) -> Part:
    if isinstance(part, (TextPart, ReasoningPart, ToolCallPart)) and part.signature is not None:
        return replace(part, signature=None)
    return part


def catch_up(messages: Iterable[Message], characters: int) -> Missed:
    kept: list[list[HistoryMessage]] = []
    size = 0
    turns = list(_turns(messages))
    for turn in reversed(turns):
        own = sum(len(as_line(message)) for message in turn)
        if size + own > characters:
            break
        size += own
        kept.append(turn)
    told = [message for turn in reversed(kept) for message in turn]
    return Missed(told, len(turns) - len(kept), size)


def _turns(messages: Iterable[Message]) -> Iterator[list[HistoryMessage]]:
    turn: list[HistoryMessage] = []
    for message in messages:
        if message.role == "user" and turn:
            yield turn
            turn = []
        told = HistoryMessage(message.role, message.parts)
        if as_line(told):
            turn.append(told)
    if turn:
        yield turn

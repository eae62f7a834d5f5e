"""What a vendor has missed of a conversation: what came after the last message it knows, as much as there is room for.

    Transcript(messages).after(seen)       messages of ours, the oldest first
    Transcript(messages).before(message)   likewise
    catch_up(messages, characters)         what is told of them
    history(messages, vendor)              all of them, for a vendor that keeps nothing

Whole turns are left out, the oldest first; a turn is a question with all that answered it, and is never cut. What a
vendor has signed means something to itself alone: no other is told the signature. A vendor may number its calls anew
with each answer, as may another: in a history, each call has an id of its own, and the latest keeps what it was given.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import count

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.message import (
    InputPart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
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
    return _told_apart(
        [
            HistoryMessage(
                message.role, message.parts if message.vendor == vendor else list(map(_unsigned, message.parts))
            )
            for message in messages
            if message.parts
        ]
    )


def _unsigned(part: Part) -> Part:
    if isinstance(part, (TextPart, ReasoningPart, ToolCallPart)) and part.signature is not None:
        return replace(part, signature=None)
    return part


def _told_apart(said: list[HistoryMessage]) -> list[HistoryMessage]:
    latest = {call: number for number, message in enumerate(said) for call in _calls(message)}
    if sum(len(_calls(message)) for message in said) == len(latest):
        return said
    taken = set(latest)
    names: dict[str, str] = {}
    told: list[HistoryMessage] = []
    for number, message in enumerate(said):
        for call in _calls(message):
            names[call] = call if number == latest[call] else _free_id(call, number, taken)
        told.append(replace(message, parts=[_named(part, names) for part in message.parts]))
    return told


def _calls(message: HistoryMessage) -> dict[str, None]:
    return {part.tool_call_id: None for part in message.parts if isinstance(part, ToolCallPart)}


def _free_id(call: str, start: int, taken: set[str]) -> str:
    free = next(each for number in count(start) if (each := f"{call}_{number}") not in taken)
    taken.add(free)
    return free


def _named(part: Part, names: Mapping[str, str]) -> Part:
    match part:
        case ToolCallPart(call) | ToolResultPart(call) | InputPart(tool_call_id=str(call)) if call in names:
            return replace(part, tool_call_id=names[call])
        case _:
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

"""What was said, on its way in from a client that resends it, and on its way out to a vendor that keeps nothing.

    joined(said)     what stands together is one message
    split(said)      [HistoryMessage, ...] -> instructions, history, content   the last turn is what is asked now
    dialogue(turn)   Turn -> [Spoken, ...]                                     what the vendor is told, in order

A turn of the client's is one user message: the results of its tools, and what it says. `split` makes one of what stands
together, so that the same words are the same messages whoever resends them.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from msgspec import Struct

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
from gateway.canonical.one_text import mention
from gateway.canonical.turn import AskPart, HistoryMessage, Turn

GO_ON = "Go on exactly where your answer stops."
"""Asked behind an answer that another vendor began."""


class Split(Struct, frozen=True):
    """`instructions` are the system messages before the first turn and behind the last; `content` is [] where the last
    message is none of the client's."""

    instructions: str | None
    history: list[HistoryMessage]
    content: list[AskPart]


def split(said: Iterable[HistoryMessage]) -> Split:
    """Of a client's own list of messages, oldest first."""
    messages = joined(said)
    first = next((number for number, message in enumerate(messages) if message.role != "system"), len(messages))
    last = next((number for number in range(len(messages), first, -1) if messages[number - 1].role != "system"), first)
    instructions = [part.text for message in (*messages[:first], *messages[last:]) for part in _texts(message.parts)]
    content: list[AskPart] = []
    if last > first and messages[last - 1].role == "user":
        last -= 1
        content = [part for part in messages[last].parts if isinstance(part, AskPart)]
    return Split("\n\n".join(instructions) or None, messages[first:last], content)


def joined(said: Iterable[HistoryMessage]) -> list[HistoryMessage]:
    """A tool's results are the client's words, what it says in a row is one message, and an empty one is none."""
    groups: list[tuple[Literal["system", "user", "assistant"], list[Part]]] = []
    for message in said:
        if not message.parts:
            continue
        role: Literal["system", "user", "assistant"] = "user" if message.role == "tool" else message.role
        if role == "system" or not groups or groups[-1][0] != role:
            groups.append((role, list(message.parts)))
        else:
            groups[-1][1].extend(message.parts)
    return [HistoryMessage(role, parts) for role, parts in groups]


class Spoken(Struct, frozen=True):
    """One message for a vendor. No two of one role stand in a row, but `system` may, anywhere.

    assistant   text, reasoning, and calls that the client answered
    tool        their results, each one once, right behind
    user        text, images, files, and answers to input requests
    system      text

    All else that was said has become text: what a vendor's own tools did, calls that nobody answered, results of no
    call, data, and files that only another vendor has.
    """

    role: Literal["system", "user", "assistant", "tool"]
    parts: list[Part]


def dialogue(turn: Turn) -> list[Spoken]:
    """All that was said, the turn itself, and what an earlier attempt at it has shown."""
    said = [*turn.missed, HistoryMessage("user", list(turn.parts))]
    results = _results(said)
    spoken: list[Spoken] = []
    answered: set[str] = set()
    for message in said:
        if message.role == "assistant":
            _add(spoken, "assistant", _of_the_vendor(message.parts, results))
            calls = [part.tool_call_id for part in spoken[-1].parts if isinstance(part, ToolCallPart)] if spoken else []
            owed = [call for call in dict.fromkeys(calls) if call not in answered]
            _add(spoken, "tool", [results[call] for call in owed])
            answered.update(owed)
        elif message.role == "system":
            spoken += [Spoken("system", [text]) for text in _texts(message.parts)]
        else:
            _add(spoken, "user", _of_the_client(message.parts, answered))
    if spoken and spoken[-1].role == "assistant":  # a late result, which stands behind its call already
        _add(spoken, "user", [told for part in turn.parts for told in _as_text(part)])
    if turn.partial:
        _add(spoken, "assistant", [TextPart(turn.partial)])
        _add(spoken, "user", [TextPart(GO_ON)])
    return spoken


def _add(spoken: list[Spoken], role: Literal["user", "assistant", "tool"], parts: Iterable[Part]) -> None:
    new = list(parts)
    if not new:
        return
    if spoken and spoken[-1].role == role:
        spoken[-1].parts.extend(new)
    else:
        spoken.append(Spoken(role, new))


def _results(said: Sequence[HistoryMessage]) -> dict[str, ToolResultPart]:
    """What the client's tools gave, by call; the first one counts."""
    results: dict[str, ToolResultPart] = {}
    for message in said:
        if message.role in {"user", "tool"}:
            for part in message.parts:
                if isinstance(part, ToolResultPart):
                    results.setdefault(part.tool_call_id, part)
    return results


def _of_the_vendor(parts: Sequence[Part], results: dict[str, ToolResultPart]) -> Iterator[Part]:
    for part in parts:
        match part:
            case TextPart(text=""):
                continue
            case TextPart() | ReasoningPart():
                yield part
            case ToolCallPart(executor="client" | "unknown", status="complete") if part.tool_call_id in results:
                yield part
            case _:
                yield from _as_text(part)


def _of_the_client(parts: Sequence[Part], answered: set[str]) -> Iterator[Part]:
    for part in parts:
        match part:
            case ToolResultPart() if part.tool_call_id in answered:
                continue
            case TextPart(text=""):
                continue
            case TextPart() | InputResponsePart():
                yield part
            case ImagePart() | FilePart() if part.url or part.data:
                yield part
            case _:
                yield from _as_text(part)


def _as_text(part: Part) -> Iterator[Part]:
    told = mention(part)
    if told:
        yield TextPart(told)


def _texts(parts: Iterable[Part]) -> Iterator[TextPart]:
    return (part for part in parts if isinstance(part, TextPart) and part.text)

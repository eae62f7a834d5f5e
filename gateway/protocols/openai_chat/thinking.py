"""Reasoning as the servers hide it: signed pieces beside the text, and tags within it.

    Details     OpenRouter's `reasoning_details`, collected piece by piece -> a block's signature, and back
    ThinkTags   `<think>...</think>` at the head of a text -> what is reasoning, and what is answer

A signature is the JSON of the details without the text that the block itself holds; where two or more of them have
text, each keeps its own.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec
from msgspec.structs import replace

from gateway.framing.typed import UNREADABLE
from gateway.protocols.openai_chat.wire import Detail

_TEXT_FIELDS = {"reasoning.text": "text", "reasoning.summary": "summary"}
"""Where a detail has its text, by type."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(list[Detail]).decode


class Details:
    """Those of one reasoning block; a piece goes on with the one before it that has its type, index and id."""

    def __init__(self) -> None:
        self._runs: list[list[Detail]] = []

    def add(self, pieces: list[Detail]) -> str:
        """The text of these pieces."""
        for piece in pieces:
            if self._runs and _goes_on(self._runs[-1][0], piece):
                self._runs[-1].append(piece)
            else:
                self._runs.append([piece])
        return "".join(piece.text or piece.summary or "" for piece in pieces)

    def seal(self) -> str | None:
        """The signature of the block that ends here; None where nothing was signed."""
        details, self._runs = list(map(_joined, self._runs)), []
        if not any(detail.signature or detail.data for detail in details):
            return None
        if sum(bool(detail.text or detail.summary) for detail in details) == 1:
            details = [replace(detail, text=None, summary=None) for detail in details]
        return _encode(details).decode()


def restore(signature: str, text: str) -> list[Detail] | None:
    """What `Details.seal` made of them; None for another's signature."""
    try:
        details = _decode(signature)
    except UNREADABLE:
        return None
    if text and not any(detail.text or detail.summary for detail in details):
        number = next((number for number, detail in enumerate(details) if detail.type in _TEXT_FIELDS), None)
        if number is not None:
            details[number] = replace(details[number], **{_TEXT_FIELDS[details[number].type]: text})
    return details


def _goes_on(first: Detail, piece: Detail) -> bool:
    if first.type != piece.type or first.index != piece.index:
        return False
    return piece.id in {None, first.id} and not first.data


def _joined(run: list[Detail]) -> Detail:
    return replace(
        run[0],
        text=_together(piece.text for piece in run),
        summary=_together(piece.summary for piece in run),
        signature=_last(piece.signature for piece in run),
        format=_last(piece.format for piece in run),
    )


def _together(texts: Iterable[str | None]) -> str | None:
    known = [text for text in texts if text is not None]
    return "".join(known) if known else None


def _last(texts: Iterable[str | None]) -> str | None:
    return next(filter(None, reversed(list(texts))), None)


# --- tags

OPEN, CLOSE = "<think>", "</think>"
MAX_LEAD = 256
"""Characters, white space nearly all, that are held back because a tag may follow."""

Kind = Literal["reasoning", "text"]


class ThinkTags:
    """Reads a text as it grows. `is_over` once all that comes is answer."""

    def __init__(self) -> None:
        self.is_over = False
        self._held = ""
        self._inside = False
        self._between = False

    def read(self, delta: str) -> list[tuple[Kind, str]]:
        if self.is_over:
            return [("text", delta)]
        if self._between:
            return self._begin_answer(delta)
        held = self._held + delta
        if self._inside:
            return self._think(held)
        head = held.lstrip()
        if head.startswith(OPEN):
            self._inside = True
            return self._think(head[len(OPEN) :])
        if OPEN.startswith(head) and len(held) <= MAX_LEAD:
            self._held = held
            return []
        self.is_over = True
        self._held = ""
        return [("text", held)]

    def end(self) -> list[tuple[Kind, str]]:
        """What was held back, because it could have been the beginning of a tag."""
        kind: Kind = "reasoning" if self._inside else "text"
        held, self._held = self._held, ""
        return [(kind, held)] if held else []

    def _think(self, held: str) -> list[tuple[Kind, str]]:
        thought, found, answer = held.partition(CLOSE)
        if found:
            self._held = ""
            self._inside = False
            self._between = True
            return [("reasoning", thought), *self._begin_answer(answer)]
        kept = next((size for size in range(len(CLOSE) - 1, 0, -1) if held.endswith(CLOSE[:size])), 0)
        self._held = held[len(held) - kept :]
        return [("reasoning", held[: len(held) - kept])]

    def _begin_answer(self, delta: str) -> list[tuple[Kind, str]]:
        answer = delta.lstrip()
        if not answer:
            return []
        self._between = False
        self.is_over = True
        return [("text", answer)]

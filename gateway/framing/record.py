"""The unit that a framing yields, the port of all framings, and how a framing fails."""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from msgspec import Struct

MAX_RECORD = 2 * 1024 * 1024
"""Bytes of one record, and of one line: twice the largest event that a vendor has been seen to send (1 MB)."""


class Record(Struct, frozen=True, gc=False):
    """One framed, undecoded unit: `data` is valid UTF-8; `name` and `id` are the event stream's, else empty."""

    data: bytes
    name: bytes = b""
    id: bytes = b""


class Framing(Protocol):
    """An incremental decoder of one response body. `feed` and `end` raise `TooLarge`."""

    content_types: ClassVar[frozenset[str]]
    """The media types (lower case, without parameters) that this framing fits."""
    repaired: int
    """Records whose invalid UTF-8 was replaced by U+FFFD."""

    def feed(self, data: bytes) -> Sequence[Record]: ...
    def end(self) -> Sequence[Record]: ...


class TooLarge(Exception):
    """A line, a record or a document over its cap; the connection is of no further use."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"{what} is over {limit} bytes")


def repair_utf8(data: bytes) -> bytes:
    """`data` with every invalid sequence replaced by U+FFFD, as the WHATWG encoding standard replaces them."""
    return data.decode("utf-8", "replace").encode()


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True

"""HTTP/1.1 responses, incrementally and without I/O: the head by aiohttp's compiled parser, the body here.

    head = HeadReader();  head.feed(data)   -> (`ResponseHead`, the bytes behind it), or None while it is unfinished
    body = body_of(head)                    -> `Chunked`, `Sized` or `UntilClose`, by RFC 9112, section 6.3
    body.feed(data)                         -> the body's bytes in it; `is_whole` once the last has come
    body.close()                            -> the connection is over: whole now, or `Unreadable`

aiohttp's own body reader costs nine calls per read, this one two. It is strict where leniency lets a message be read in
two ways (RFC 9112, section 11.2): both a length and chunks, two lengths, a chunk size that is no plain number.
"""

import asyncio
import re
from typing import Protocol

from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpResponseParser
from msgspec import Struct

from gateway.protocols.base import Headers, all_values

MAX_HEAD = 64 * 1024
MAX_HEADER_LINE = 8190
MAX_HEADERS = 128
MAX_CHUNK_LINE = 1024
MAX_TRAILERS = 16 * 1024

_SIZES = {b"%x" % size: size for size in range(1, 4096)}
"""The sizes that nearly all chunks have, as they are written."""
_LAST = b"0\r\n\r\n"
_HEX = re.compile(rb"[0-9A-Fa-f]{1,15}")
_SPACED_NAME = re.compile(rb"\n[^:\r\n]*[ \t]:")
_DIGITS = re.compile(r"[0-9]{1,18}")


class Unreadable(Exception):
    """What the vendor sent cannot be read in one way only. `before`: the body's bytes in front of it."""

    before = b""


class ResponseHead(Struct, frozen=True):
    status: int
    headers: Headers
    is_last: bool
    """The connection is of no use for another request."""


class HeadReader:
    """Reads the heads of one connection, one after another."""

    def __init__(self, protocol: BaseProtocol, loop: asyncio.AbstractEventLoop) -> None:
        self._parser = HttpResponseParser(
            protocol,
            loop,
            MAX_HEAD,
            max_line_size=MAX_HEADER_LINE,
            max_field_size=MAX_HEADER_LINE,
            max_headers=MAX_HEADERS,
            response_with_body=False,
            auto_decompress=False,
        )
        self._pending = bytearray()

    def feed(self, data: bytes) -> tuple[ResponseHead, bytes] | None:
        """Interim answers (1xx) are skipped. Raises `Unreadable`."""
        searched = max(len(self._pending) - 3, 0)
        self._pending += data
        while (end := self._pending.find(b"\r\n\r\n", searched) + 4) >= 4:
            searched = 0
            head = self._parse(bytes(self._pending[:end]))
            del self._pending[:end]
            if head.status >= 200:
                rest = bytes(self._pending)
                self._pending.clear()
                return head, rest
        if len(self._pending) > MAX_HEAD:
            raise Unreadable(f"a head is over {MAX_HEAD} bytes")
        return None

    def _parse(self, data: bytes) -> ResponseHead:
        if data.count(b"\n") != data.count(b"\r\n") or _SPACED_NAME.search(data):
            raise Unreadable("a line of the head ends in LF alone, or has a space before its colon")
        try:
            messages, upgraded, _ = self._parser.feed_data(data)
        except (HttpProcessingError, ValueError) as error:
            raise Unreadable(getattr(error, "message", None) or str(error)) from error
        if len(messages) != 1 or upgraded:
            raise Unreadable("the connection changed its protocol")
        message, _ = messages[0]
        return ResponseHead(message.code, message.headers, message.should_close)


class Body(Protocol):
    is_whole: bool

    def feed(self, data: bytes) -> bytes: ...
    def close(self) -> None: ...


def body_of(head: ResponseHead) -> Body:
    """Raises `Unreadable` where the head does not say in one way how long the body is."""
    codings = all_values(head.headers, "Transfer-Encoding")
    lengths = set(all_values(head.headers, "Content-Length"))
    if head.status in {204, 304}:
        return Sized(0)
    if codings:
        if lengths or [coding.strip().lower() for coding in codings] != ["chunked"]:
            raise Unreadable("the length of the body is ambiguous")
        return Chunked()
    if not lengths:
        return UntilClose()
    length = lengths.pop().strip()
    if lengths or not _DIGITS.fullmatch(length):
        raise Unreadable("the length of the body is ambiguous")
    return Sized(int(length))


class Chunked:
    """`Transfer-Encoding: chunked` (RFC 9112, section 7.1). Chunk extensions and trailers are passed over."""

    def __init__(self) -> None:
        self.is_whole = False
        self._left = 0
        self._line = b""
        self._after_data = False
        self._trailers: int | None = None
        self._is_between = True
        """The next byte is the first of a chunk's size."""

    def feed(self, data: bytes) -> bytes:
        if self._is_between:
            end = data.find(b"\r\n")
            if _SIZES.get(data[:end]) == len(data) - end - 4 and data[-2:] == b"\r\n":
                return data[end + 2 : -2]  # one whole chunk, as nearly every read is
        return self._feed_pieces(data)

    def _feed_pieces(self, data: bytes) -> bytes:
        if self._line:
            data, self._line = self._line + data, b""
        pieces: list[bytes] = []
        try:
            self._cut_up(self._cut_whole(data, pieces), pieces)
        except Unreadable as error:
            error.before = b"".join(pieces)
            raise
        self._is_between = not (self._line or self._left or self._after_data or self._trailers is not None)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _cut_whole(self, data: bytes, pieces: list[bytes]) -> bytes:
        """Takes the whole chunks of usual sizes at the front; what is left."""
        position = 0
        while self._is_between and (end := data.find(b"\r\n", position)) > 0:
            begin = end + 2
            behind = begin + _SIZES.get(data[position:end], len(data))
            if data[behind : behind + 2] != b"\r\n":
                break
            pieces.append(data[begin:behind])
            position = behind + 2
        return data[position:]

    def _cut_up(self, data: bytes, pieces: list[bytes]) -> None:
        if data == _LAST and self._is_between:
            self._trailers = 0
            self.is_whole = True
            return
        position = 0
        while position < len(data):
            if self.is_whole:
                raise Unreadable("bytes behind the last chunk")
            if self._left:
                piece = data[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                self._after_data = not self._left
                continue
            end = data.find(b"\r\n", position)
            if end < 0:
                self._keep_line(data[position:])
                return
            self._read_line(data[position:end])
            position = end + 2

    def close(self) -> None:
        raise Unreadable("the connection ended within a chunked body")

    def _keep_line(self, line: bytes) -> None:
        if len(line) > MAX_CHUNK_LINE or (self._after_data and line != b"\r"):
            raise Unreadable("a chunk's line is too long, or its data is longer than it said")
        self._line = line

    def _read_line(self, line: bytes) -> None:
        if len(line) > MAX_CHUNK_LINE:
            raise Unreadable("a chunk's line is too long")
        if self._after_data:
            if line:
                raise Unreadable("a chunk's data is longer than it said")
            self._after_data = False
        elif self._trailers is not None:
            self._trailers += len(line)
            if self._trailers > MAX_TRAILERS:
                raise Unreadable(f"trailers are over {MAX_TRAILERS} bytes")
            self.is_whole = not line
        else:
            self._left = self._size(line.partition(b";")[0].rstrip(b" \t"))
            if not self._left:
                self._trailers = 0

    def _size(self, digits: bytes) -> int:
        if not _HEX.fullmatch(digits):
            raise Unreadable("a chunk's size is no number")
        return int(digits, 16)


class Sized:
    """`Content-Length` bytes."""

    def __init__(self, length: int) -> None:
        self.is_whole = length == 0
        self._left = length

    def feed(self, data: bytes) -> bytes:
        if len(data) > self._left:
            error = Unreadable("bytes behind the body")
            error.before = data[: self._left]
            raise error
        self._left -= len(data)
        self.is_whole = not self._left
        return data

    def close(self) -> None:
        raise Unreadable("the connection ended within a body of known length")


class UntilClose:
    """Everything up to the end of the connection."""

    def __init__(self) -> None:
        self.is_whole = False

    def feed(self, data: bytes) -> bytes:
        return data

    def close(self) -> None:
        self.is_whole = True

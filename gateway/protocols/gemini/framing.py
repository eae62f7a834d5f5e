"""An event stream in which an error may stand as bare JSON, spread over several lines and without `data:`.

    data: {"candidates": [...]}      an event, as any
    {                                from a line that begins with a brace or a bracket on, until all are closed again:
      "error": {"code": 503}         one record
    }

Source: the reader of google-genai (Python) 3.4.0, `_RawJsonLineBuffer`; read 2026-11.
"""

import re

from gateway.framing.record import MAX_RECORD, Record, TooLarge
from gateway.framing.sse import SseDecoder

_MARKS = re.compile(rb'[{}\[\]]|"(?:[^"\\]|\\.)*"?')


class ChunkDecoder(SseDecoder):
    def __init__(self, limit: int = MAX_RECORD) -> None:
        super().__init__(limit)
        self._bare: list[bytes] = []
        self._depth = 0

    def end(self) -> list[Record]:
        """A bare document is over with the bytes, even where its last line has no end."""
        tail = b"".join(self._tail)
        self._tail = []
        if self._bare or tail[:1] in (b"{", b"["):
            self._bare.append(tail)
            return [self._take_bare()]
        return super().end()

    def _line(self, line: bytes, records: list[Record]) -> None:
        if not self._bare and line[:1] not in (b"{", b"["):
            super()._line(line, records)
            return
        if not self._bare:
            self._dispatch(records)
        self._in_block = True
        self._size += len(line)
        if self._size > self._limit:
            raise TooLarge("an event", self._limit)
        self._bare.append(line)
        self._depth += _depth(line)
        if self._depth <= 0:
            records.append(self._take_bare())

    def _take_bare(self) -> Record:
        data = b"\n".join(self._bare)
        self._bare = []
        self._depth = 0
        self._size = 0
        self._in_block = False
        return self._record(data, b"")


def _depth(line: bytes) -> int:
    """How many more braces and brackets it opens than it closes, outside of texts, which end where their line does."""
    return sum(1 if mark in b"{[" else -1 for mark in _MARKS.findall(line) if mark[:1] != b'"')

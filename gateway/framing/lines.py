"""Newline-delimited JSON and whole JSON documents, as framings."""

from typing import ClassVar

from gateway.framing.record import MAX_RECORD, Record, TooLarge, is_utf8, repair_utf8


class _Pieces:
    """Bytes kept in the pieces they came in, under a cap."""

    def __init__(self, limit: int) -> None:
        self.repaired = 0
        self._limit = limit
        self._pieces: list[bytes] = []
        self._size = 0

    def _keep(self, piece: bytes, what: str) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._limit:
            raise TooLarge(what, self._limit)

    def _take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces = []
        self._size = 0
        return data

    def _record(self, data: bytes) -> Record:
        if not is_utf8(data):
            self.repaired += 1
            data = repair_utf8(data)
        return Record(data)


class NdjsonDecoder(_Pieces):
    """One record a line; empty lines are heartbeats, and the last line may lack its end."""

    content_types: ClassVar[frozenset[str]] = frozenset(
        {"application/x-ndjson", "application/ndjson", "application/jsonl", "application/json"}
    )

    def __init__(self, limit: int = MAX_RECORD) -> None:
        super().__init__(limit)

    def feed(self, data: bytes) -> list[Record]:
        records: list[Record] = []
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._keep(line, "a line")
            records += self._line()
        self._keep(rest, "a line")
        return records

    def end(self) -> list[Record]:
        return self._line()

    def _line(self) -> list[Record]:
        line = self._take().strip(b" \t\r")
        return [self._record(line)] if line else []


class JsonDecoder(_Pieces):
    """The whole body is one record, known at its end; an empty body is none."""

    content_types: ClassVar[frozenset[str]] = frozenset({"application/json"})

    def __init__(self, limit: int = MAX_RECORD) -> None:
        super().__init__(limit)

    def feed(self, data: bytes) -> list[Record]:
        self._keep(data, "the document")
        return []

    def end(self) -> list[Record]:
        body = self._take()
        return [self._record(body)] if body.strip() else []

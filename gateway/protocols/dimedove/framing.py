"""A response's body, whichever of the two it is: an event stream, or one JSON document.

Where `stream` does not decide, the App's own default does, so that either may answer any message. An event stream's
lines begin with a field's name or a colon, a document with a brace: the first byte that shows tells them apart. A
document is handed on as a `Document`, known at its end.
"""

from typing import ClassVar

from gateway.framing.lines import JsonDecoder
from gateway.framing.record import MAX_RECORD, Record
from gateway.framing.sse import BOM, SseDecoder

_UNSEEN = BOM + b" \t\r\n"


class Document(Record, frozen=True, gc=False):
    """A whole body."""


class AnswerDecoder(SseDecoder):
    content_types: ClassVar[frozenset[str]] = SseDecoder.content_types | JsonDecoder.content_types

    def __init__(self, limit: int = MAX_RECORD) -> None:
        super().__init__(limit)
        self._document = JsonDecoder(limit)
        self._has_begun = False
        self._is_document = False

    def feed(self, data: bytes) -> list[Record]:
        if not self._has_begun:
            data = data.lstrip(_UNSEEN)
            self._has_begun = data != b""
            self._is_document = data[:1] == b"{"
        return self._document.feed(data) if self._is_document else super().feed(data)

    def end(self) -> list[Record]:
        if not self._is_document:
            return super().end()
        records: list[Record] = [Document(record.data) for record in self._document.end()]
        self.repaired += self._document.repaired
        return records

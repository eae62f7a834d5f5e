"""The event stream format, read and written: WHATWG HTML, section 9.2 (https://html.spec.whatwg.org/#server-sent-events).

`SseDecoder` is incremental and takes linear time: bytes are split where they arrive and an unfinished line is kept in
pieces. Line ends are LF, CR or CRLF; a CR ends its line at once, so that the last event of a CR stream is not held
back. Where it departs from a browser: a line or an event over `limit` bytes raises `TooLarge`, and nothing ever
reconnects.
"""

from typing import ClassVar

from gateway.framing.record import MAX_RECORD, Record, TooLarge, is_utf8, repair_utf8

BOM = b"\xef\xbb\xbf"
MAX_RETRY_DIGITS = 18


class SseDecoder:
    content_types: ClassVar[frozenset[str]] = frozenset({"text/event-stream"})

    def __init__(self, limit: int = MAX_RECORD) -> None:
        self.repaired = 0
        self.last_event_id = b""
        self.retry_ms: int | None = None
        self._limit = limit
        self._head: bytes | None = b""  # the first bytes, until it is known whether they are a BOM
        self._after_cr = False
        self._tail: list[bytes] = []
        self._tail_size = 0
        self._lines: list[bytes] = []
        self._size = 0
        self._name = b""
        self._id = b""
        self._in_block = False
        self._is_clean = False
        """The next byte is the first of a block."""

    def feed(self, data: bytes) -> list[Record]:
        if self._is_clean and data[:6] == b"data: " and data[-1:] == b"\n" and data.find(b"\n") == len(data) - 2:
            payload = data[6:-2]
            if payload.isascii() and b"\r" not in payload and len(payload) <= self._limit:
                return [Record(payload, b"", self.last_event_id)]  # one whole event, as nearly every read is
        return self._feed_any(data)

    def _feed_any(self, data: bytes) -> list[Record]:
        if self._head is not None:
            data = self._drop_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._end_lines_with_lf(data)
        records: list[Record] = []
        if self._in_block or self._tail:
            self._feed_lines(data, records)
        else:
            blocks = data.split(b"\n\n")
            rest = blocks.pop()
            for block in blocks:
                self._feed_block(block, records)
            if rest:
                self._feed_lines(rest, records)
        self._is_clean = not (self._in_block or self._tail or self._after_cr or self._head is not None)
        return records

    def end(self) -> list[Record]:
        """The stream is over: a block that no empty line closed is dropped, and its id with it."""
        return []

    def _drop_bom(self, data: bytes) -> bytes:
        head = (self._head or b"") + data
        if len(head) < len(BOM) and BOM.startswith(head):
            self._head = head
            return b""
        self._head = None
        return head.removeprefix(BOM)

    def _end_lines_with_lf(self, data: bytes) -> bytes:
        if not data:
            return data
        if self._after_cr and data[:1] == b"\n":
            data = data[1:]
            self._after_cr = False
            if b"\r" not in data:
                return data
        self._after_cr = data[-1:] == b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _feed_block(self, block: bytes, records: list[Record]) -> None:
        """A whole block in a clean state: the two usual shapes are cut out, any other goes line by line."""
        if len(block) <= self._limit:
            if block[:6] == b"data: " and b"\n" not in block:
                records.append(self._record(block[6:], b""))
                return
            if block[:7] == b"event: ":
                name, found, data = block.partition(b"\ndata: ")
                if found and b"\n" not in data and b"\n" not in name:
                    records.append(self._record(data, self._valid(name[7:])))
                    return
        self._feed_lines(block + b"\n\n", records)

    def _feed_lines(self, data: bytes, records: list[Record]) -> None:
        first, found, rest = data.partition(b"\n")
        self._tail.append(first)
        self._tail_size += len(first)
        if self._tail_size > self._limit:
            raise TooLarge("a line of the event stream", self._limit)
        if not found:
            return
        lines = rest.split(b"\n")
        tail = lines.pop()
        self._line(b"".join(self._tail), records)
        for line in lines:
            self._line(line, records)
        self._tail = [tail] if tail else []
        self._tail_size = len(tail)
        if self._tail_size > self._limit:
            raise TooLarge("a line of the event stream", self._limit)

    def _line(self, line: bytes, records: list[Record]) -> None:
        if not line:
            self._dispatch(records)
            return
        if not self._in_block:
            self._in_block = True
            self._id = self.last_event_id
        self._size += len(line)
        if self._size > self._limit:
            raise TooLarge("an event", self._limit)
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._lines.append(value)
        elif field == b"event":
            self._name = self._valid(value)
        elif field == b"id":
            if b"\0" not in value:
                self._id = self._valid(value)
        elif field == b"retry" and value.isdigit() and len(value) <= MAX_RETRY_DIGITS:
            self.retry_ms = int(value)

    def _dispatch(self, records: list[Record]) -> None:
        if not self._in_block:
            return
        self.last_event_id = self._id
        if self._lines:
            records.append(self._record(b"\n".join(self._lines), self._name))
        self._lines = []
        self._size = 0
        self._name = b""
        self._in_block = False

    def _record(self, data: bytes, name: bytes) -> Record:
        return Record(data if data.isascii() else self._valid(data), name, self.last_event_id)

    def _valid(self, data: bytes) -> bytes:
        if is_utf8(data):
            return data
        self.repaired += 1
        return repair_utf8(data)


class LenientSseDecoder(SseDecoder):
    """An event stream in which a line that begins with `{` is an event by itself, as in newline-delimited JSON."""

    content_types: ClassVar[frozenset[str]] = frozenset(
        {"text/event-stream", "application/x-ndjson", "application/jsonl"}
    )

    def end(self) -> list[Record]:
        records: list[Record] = []
        tail = b"".join(self._tail)
        if tail[:1] == b"{":
            self._line(tail, records)
        return records

    def _line(self, line: bytes, records: list[Record]) -> None:
        if line[:1] == b"{":
            self._dispatch(records)
            records.append(self._record(line, b""))
        else:
            super()._line(line, records)


def event_template(name: bytes) -> bytes:
    """A frame to be filled in with `%`: first its id, a number, then its data, which holds no line end."""
    return b"id: %%d\nevent: %b\ndata: %%b\n\n" % name.replace(b"%", b"%%")


def encode_event(data: bytes, name: bytes, sequence: int) -> bytes:
    """One whole frame; `data` holds no line end, as JSON text does not."""
    return event_template(name) % (sequence, data)


def encode_comment(text: bytes = b"") -> bytes:
    """A heartbeat: a comment that every conforming reader skips."""
    return b": %b\n\n" % text

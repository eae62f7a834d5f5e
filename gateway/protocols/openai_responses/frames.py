"""Frames of a stream that we write: their own counter, and the items of the output as they stand."""

from typing import Any

import msgspec

Item = dict[str, Any]

_encode = msgspec.json.Encoder().encode


class Frames:
    """`output` holds each item as it was told last; `prefix` makes the ids of items this answer's own."""

    def __init__(self) -> None:
        self.output: list[Item] = []
        self.prefix = ""
        self._next = 0

    def number(self) -> int:
        self._next += 1
        return self._next - 1

    def frame(self, kind: str, **fields: Any) -> bytes:
        data = _encode({"type": kind, **fields, "sequence_number": self.number()})
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), data)

    def identify(self, prefix: str) -> str:
        """The id of the next item."""
        return f"{prefix}_{self.prefix}_{len(self.output)}"

    def open(self, item: Item) -> tuple[int, bytes]:
        """The item's place in the output, and the frame that adds it."""
        index = len(self.output)
        self.output.append(item)
        return index, self.frame("response.output_item.added", output_index=index, item=item)

    def close(self, index: int, item: Item) -> bytes:
        self.output[index] = item
        return self.frame("response.output_item.done", output_index=index, item=item)

    def whole(self, item: Item) -> bytes:
        """An item that has no parts in between."""
        index, added = self.open(item)
        return added + self.close(index, item)


def delta_template(kind: str, index: int, item_id: str, **fields: Any) -> bytes:
    """A frame to be filled in with a delta's JSON and a number."""
    data = _encode({"type": kind, "item_id": item_id, "output_index": index, **fields})
    head = b"event: %b\ndata: %b" % (kind.encode(), data[:-1])
    return head.replace(b"%", b"%%") + b',"delta":%b,"sequence_number":%d}\n\n'

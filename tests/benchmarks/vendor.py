"""The measured vendor: the manual's dialect of Hardwire, one event per write.

    head and start                  one write, at once
    {"type":"content"} ...          one write and one HTTP chunk each, a timer of GAP seconds after the one before
    end and the last chunk          one write, GAP seconds later

The message's text is "EVENTS GAP". With GAP 0 the next event is written in the event loop's next turn.
"""

import asyncio
import re
from typing import cast

import msgspec
from msgspec import Struct

from tests.benchmarks.loops import announce, run

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
MESSAGE_ID = "0f9c1e6e-53a1-4b1e-9d1c-0a3f5b6c7d8e"

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Asked(Struct):
    content: str


def _chunk(event: dict[str, str]) -> bytes:
    data = b"data: %b\n\n" % msgspec.json.encode(event)
    return b"%x\r\n%b\r\n" % (len(data), data)


START = _chunk({"type": "start", "messageId": MESSAGE_ID})
CONTENT = _chunk({"type": "content", "delta": " word"})
END = _chunk({"type": "end", "messageId": MESSAGE_ID})


class Vendor(asyncio.Protocol):
    """One connection; the next request comes only after the last answer."""

    def __init__(self) -> None:
        self._received = b""
        self._left = 0
        self._gap = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by inheritance
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, _, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if length is not None and len(body) == int(length[1]):
            self._received = b""
            self._start(body)

    def _start(self, body: bytes) -> None:
        events, gap = msgspec.json.decode(body, type=Asked).content.split()
        self._left, self._gap = int(events), float(gap)
        self._transport.write(HEAD + START)
        self._loop.call_later(self._gap, self._go_on)

    def _go_on(self) -> None:
        if self._transport.is_closing():
            return
        if self._left == 0:
            self._transport.write(END + LAST_CHUNK)
            return
        self._left -= 1
        self._transport.write(CONTENT)
        self._loop.call_later(self._gap, self._go_on)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Vendor, "127.0.0.1", 0)
    await announce(server.sockets[0].getsockname()[1])


if __name__ == "__main__":
    run(main())

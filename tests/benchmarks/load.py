"""The measured clients: keep-alive connections that ask for one stream after another, and check each.

Every stream must be a 200, hold as many deltas as were asked for, and its terminal. The result is one line of JSON.
"""

import argparse
import asyncio
import sys
from asyncio import StreamReader, StreamWriter

import msgspec
from msgspec import Struct

from tests.benchmarks.loops import run

DELTA = b'"delta":" word"'
LAST_CHUNK = b"\r\n0\r\n\r\n"


class Result(Struct):
    """`writes` counts the HTTP chunks: what the target wrote at once."""

    streams: int = 0
    writes: int = 0


class Load(Struct):
    port: int
    request: bytes
    events: int
    terminal: bytes
    seconds: float

    async def run(self, connections: int) -> Result:
        result = Result()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(connections):
                tasks.create_task(self._connect(result))
        return result

    async def _connect(self, result: Result) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.seconds
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while loop.time() < deadline:
            writes = await self._stream(reader, writer)
            result.writes += writes
            result.streams += 1
        writer.close()

    async def _stream(self, reader: StreamReader, writer: StreamWriter) -> int:
        writer.write(self.request)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise ValueError(f"refused: {head!r}")
        body = bytearray()
        while not body.endswith(LAST_CHUNK):
            data = await reader.read(65_536)
            if not data:
                raise EOFError("the stream ends before its last chunk")
            body += data
        chunks = split_chunks(bytes(body))
        self.check(b"".join(chunks))
        return len(chunks)

    def check(self, body: bytes) -> None:
        if body.count(DELTA) != self.events or self.terminal not in body:
            raise ValueError(f"no whole stream: {body[-500:]!r}")


def split_chunks(body: bytes) -> list[bytes]:
    """The contents of a chunked body, without its last, empty chunk."""
    chunks: list[bytes] = []
    start = 0
    while True:
        line_end = body.index(b"\r\n", start)
        size = int(body[start:line_end], 16)
        if size == 0:
            return chunks
        begin = line_end + 2
        chunks.append(body[begin : begin + size])
        start = begin + size + 2


def build_request(path: str, key: str, body: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name, kind in (("port", int), ("path", str), ("key", str), ("body", str), ("terminal", str)):
        parser.add_argument(f"--{name}", type=kind, required=True)
    parser.add_argument("--events", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, required=True)
    asked = parser.parse_args()
    request = build_request(asked.path, asked.key, asked.body)
    load = Load(asked.port, request, asked.events, asked.terminal.encode(), asked.seconds)
    try:
        result = run(load.run(asked.connections))
    except* (ValueError, OSError, EOFError) as failures:
        sys.exit(f"{failures.exceptions[0]}")
    sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


if __name__ == "__main__":
    main()

"""Where log lines go: a bounded queue and one thread, so that a pipe nobody reads never holds the event loop.

    write(line)    appends and returns; above the bound the line is dropped and counted
    dropped        lines lost so far, also those whose write failed
    close()        writes what is left, and waits at most `CLOSE_TIMEOUT` for a reader

The thread wakes every `INTERVAL`, not per line, and writes all it finds at once. It writes to the file descriptor
itself: a thread that hangs inside a buffered stream would abort the interpreter's shutdown.
"""

import atexit
import os
import select
import threading
from collections import deque

BOUND = 10_000
INTERVAL = 0.05
CLOSE_TIMEOUT = 2.0


class Sink:
    def __init__(self, descriptor: int, bound: int = BOUND) -> None:
        self._descriptor = descriptor
        self._bound = bound
        self._lines: deque[bytes] = deque()
        self._under_way = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-log", daemon=True)
        self.dropped = 0
        self._thread.start()
        atexit.register(self.close)

    def write(self, line: bytes) -> None:
        if len(self._lines) + self._under_way >= self._bound:
            self.dropped += 1
        else:
            self._lines.append(line)

    def close(self) -> None:
        self._closing.set()
        self._thread.join(CLOSE_TIMEOUT)
        atexit.unregister(self.close)

    def _run(self) -> None:
        while not self._closing.wait(INTERVAL):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        self._under_way = len(self._lines)
        try:
            self._write_all(b"".join([self._lines.popleft() for _ in range(self._under_way)]))
        except OSError:
            self.dropped += self._under_way
        self._under_way = 0

    def _write_all(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [])

"""The installed command in a process of its own: its address, its log, what it holds open, and its end.

    async with Command(configuration(tmp_path, CONFIG)) as gateway:
        ...                                              # gateway.url is where it listens
        line = await gateway.line("message", route="support")
        assert await gateway.stop() == 0

What it holds is read from `/proc`, so these tests run on Linux.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

READY_WITHIN = 30.0
STOPPED_WITHIN = 20.0
PAGE = os.sysconf("SC_PAGE_SIZE")
MAX_LINE = 1 << 20


class Command:
    """`environ` is added to the environment; a log line that is no JSON fails the test that reads the log."""

    def __init__(self, config: Path, **environ: str) -> None:
        self.url = ""
        self.lines: list[dict[str, Any]] = []
        self.log = bytearray()
        """The same, as bytes."""
        self._config = config
        self._environ = environ
        self._news = asyncio.Event()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    async def __aenter__(self) -> Self:
        self._process: Process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "serve", "--config", str(self._config), "--port", "0"),
            stderr=PIPE,
            env={**os.environ, **self._environ},
            limit=MAX_LINE,
        )
        self._reading = asyncio.create_task(self._read_log())
        try:
            self.url = (await self.line("listening", within=READY_WITHIN))["url"]
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def stop(self, within: float = STOPPED_WITHIN) -> int:
        """SIGTERM, and SIGKILL where that does not end it; the exit code."""
        if self._process.returncode is None:
            self.send_signal(signal.SIGTERM)
        return await self.ended(within)

    async def ended(self, within: float = STOPPED_WITHIN) -> int:
        """The exit code of a process that is to end by itself; it is killed where it does not."""
        try:
            async with asyncio.timeout(within):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading
        return self._process.returncode or 0

    async def line(self, event: str, *, within: float = 5, **fields: object) -> dict[str, Any]:
        """The first log line of that event with those fields, waited for."""
        async with asyncio.timeout(within):
            while True:
                for line in self.lines:
                    if line["event"] == event and fields.items() <= line.items():
                        return line
                if self._reading.done():
                    raise EOFError(self.log.decode())
                self._news.clear()
                await self._news.wait()

    def rss(self) -> int:
        """Bytes of memory in use."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * PAGE

    def sockets(self) -> int:
        """How many sockets the process holds."""
        kept = 0
        for entry in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                kept += entry.readlink().name.startswith("socket:")
            except FileNotFoundError:
                continue  # closed meanwhile
        return kept

    async def _read_log(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self.log += line
            try:
                self.lines.append(msgspec.json.decode(line, type=dict[str, Any]))
            except msgspec.DecodeError:
                self.lines.append({"event": "unreadable", "line": line.decode()})
            self._news.set()
        self._news.set()


def connections_to(port: int, host: str = "127.0.0.1") -> int:
    """How many sockets of this machine are connected, or connecting, to that port; closed ones do not count."""
    address = "".join(f"{int(byte):02X}" for byte in reversed(host.split(".")))
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2] == f"{address}:{port:04X}" and row[3] in CONNECTED for row in rows)


CONNECTED = frozenset({"01", "02"})
"""ESTABLISHED and SYN_SENT, as the kernel writes them."""


def configuration(folder: Path, text: str) -> Path:
    file = folder / "gateway.toml"
    file.write_text(text)
    return file

"""A whole gateway in this process, in front of a vendor that a test plays; what it may never do is checked at the end.

    script = [Read(), *told(START, HELLO, END)]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert answer.text == "Hello"

When the block ends well, all of this must hold, whatever happened in it: each stream obeys the laws; each attempt has
one outcome in the metrics; each message one access line; tasks and sockets are back where they were within two seconds;
nothing of ours raised what nobody expected; the vendor's credential stands in no log line, metric or client byte.

The vendor is a chat service of one request: POST /chats/{uuid}/messages/stream, answered by `start`, `content`, `end`.
"""

import asyncio
import os
import re
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from gateway import settings as s
from gateway.app import running
from gateway.canonical.events import Event, MessageCompleted, TextDelta
from gateway.canonical.laws import check_stream
from gateway.protocols.base import Descriptor
from gateway.protocols.registry import BUILT_IN
from gateway.telemetry.redaction import Redactor
from tests.support.scripts import HEAD, LAST_CHUNK, ScriptServer, Step, Write, chunk

CANARY = "canary-6f1d2c"
"""Stands in every credential of the vendor's."""

START = b'data: {"type":"start","messageId":"m1"}\n\n'
HELLO = b'data: {"type":"content","delta":"Hello"}\n\n'
END = b'data: {"type":"end","messageId":"m1"}\n\n'

QUICK = {"connect": 0.6, "first_event": 1.0, "idle": 1.0, "total": 2.0}
"""Seconds; the sweeper looks twice a second."""

SETTLED_WITHIN = 2.0
NONE, ONE, TWO, SOME = range(1), range(1, 2), range(2, 3), range(1, 4)
"""How many exceptions a test expects to be logged that nobody declared."""
PATIENCE = aiohttp.ClientTimeout(total=30)


def told(*frames: bytes) -> list[Step]:
    """A whole event stream, each frame a chunk of its own."""
    return [Write(HEAD), *(Write(chunk(frame)) for frame in frames), Write(LAST_CHUNK)]


Line = dict[str, Any]
Samples = dict[tuple[str, tuple[str, ...]], float]


class RecordingLog:
    """A log whose lines are kept as they would be written: redacted, an exception as its traceback."""

    def __init__(self, secrets: Collection[str]) -> None:
        self.lines: list[Line] = []
        self._redact = Redactor(secrets)

    def info(self, event: str, **fields: Any) -> None:
        self._keep("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._keep("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._keep("error", event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        self._keep("error", event, fields)

    def of(self, event: str) -> list[Line]:
        return [line for line in self.lines if line["event"] == event]

    def about(self, request_id: str) -> list[Line]:
        """The access lines of that request."""
        return [line for line in self.of("message") if line["request_id"] == request_id]

    def _keep(self, level: str, event: str, fields: Line) -> None:
        error = fields.pop("exc_info", None)
        if isinstance(error, BaseException):
            fields["exception"] = "".join(traceback.format_exception(error))
        self.lines.append(self._redact({"event": event, "level": level, **fields}))


class Answer(Struct, frozen=True):
    """What a client was told, and the access line of it."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    line: Line

    @property
    def events(self) -> list[Event]:
        return read_events(self.body)

    @property
    def kinds(self) -> list[str]:
        return [str(event.__struct_config__.tag) for event in self.events]

    @property
    def text(self) -> str:
        return "".join(event.delta for event in self.events if isinstance(event, TextDelta))

    @property
    def terminal(self) -> Any:
        return self.events[-1]

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def ending(self) -> tuple[str, str, str | None]:
        """Outcome, cause and code as the access line has them."""
        return self.line["outcome"], self.line["cause"], self.line["code"]

    @property
    def error(self) -> Any:
        """The error's body, from the HTTP answer or from the stream's terminal; without the request's id."""
        if self.headers["Content-Type"] == "text/event-stream":
            told = msgspec.to_builtins(self.terminal.error)
        else:
            told = msgspec.json.decode(self.body)["error"]
        assert told.pop("request_id") == self.line["request_id"]
        return told


_FRAMES = re.compile(rb"(?:(?:id: \d+\nevent: [a-z_.]+\ndata: [^\r\n]+|: [^\r\n]*)\n\n)*")
_decode = msgspec.json.Decoder[Event](Event).decode
_FRAME = re.compile(rb"id: (\d+)\nevent: ([a-z_.]+)\ndata: ([^\r\n]+)\n\n")


def read_events(body: bytes) -> list[Event]:
    """The events of a stream. It must be whole frames (law 7), numbered without a gap (law 1), and lawful."""
    assert _FRAMES.fullmatch(body), body[-500:]
    frames = _FRAME.findall(body)
    documents = [msgspec.json.decode(data) for _, _, data in frames]
    assert [int(number) for number, _, _ in frames] == list(range(len(frames)))
    assert [document["sequence"] for document in documents] == list(range(len(frames)))
    assert [document["type"].encode() for document in documents] == [name for _, name, _ in frames]
    events = [_decode(data) for _, _, data in frames]
    check_stream(events)
    return events


class RunningGateway:
    def __init__(
        self, url: str, session: aiohttp.ClientSession, log: RecordingLog, vendors: Mapping[str, ScriptServer]
    ) -> None:
        self.url = url
        self.session = session
        self.log = log
        self.vendors = vendors
        """Those that a test plays, where it gave them names."""
        self.received: list[bytes] = []
        """All that clients were told, for a test that reads by itself to add to."""
        self._asked = 0
        self._answers: list[Answer] = []
        self._tasks = asyncio.all_tasks()
        self._sockets = open_sockets()

    async def ask(self, text: str = "Hi", *, path: str = "/v1/messages", **fields: Any) -> Answer:
        """One message, read to the end of its answer."""
        self._asked += 1
        request_id = f"request-{self._asked}"
        headers = {"X-Request-Id": request_id}
        async with self.session.post(path, json={"content": text, **fields}, headers=headers) as response:
            body = await response.read()
        answer = Answer(response.status, response.headers, body, await self.line(request_id))
        assert response.headers["X-Request-Id"] == request_id
        self._answers.append(answer)
        return answer

    @property
    def hits(self) -> dict[str, int]:
        """How many requests each vendor received."""
        return {name: len(vendor.requests) for name, vendor in self.vendors.items()}

    async def line(self, request_id: str) -> Line:
        """The access line of that request, waited for."""
        await until(lambda: bool(self.log.about(request_id)))
        return self.log.about(request_id)[0]

    async def metrics(self) -> Samples:
        """The samples by name and label values, in the order of the labels' names."""
        return _samples(await self._exposition())

    async def count(self, name: str, *labels: str) -> float:
        return (await self.metrics()).get((name, labels), 0)

    async def counts(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of that name that are not 0, by their labels' values in the order of the labels' names."""
        return (await self.all_counts(name))[0]

    async def all_counts(self, *names: str) -> list[dict[tuple[str, ...], float]]:
        """The same of several names, at one moment."""
        samples = await self.metrics()
        return [
            {labels: value for (name, labels), value in samples.items() if name == asked and value} for asked in names
        ]

    async def outcomes(self) -> dict[str, int]:
        """How often attempts ended how."""
        return _outcomes(await self.metrics())

    async def settle(self) -> None:
        """Until tasks and sockets are back where they were at the start; raises `AssertionError` with what is left."""
        try:
            await until(lambda: not self._left_over(), SETTLED_WITHIN)
        except TimeoutError:
            raise AssertionError(self._left_over()) from None

    async def check(self, bugs: range) -> None:
        await self.settle()
        exposition = await self._exposition()
        samples = _samples(exposition)
        assert len(self.log.of("unhandled")) in bugs
        assert samples["gateway_unhandled_errors_total", ()] == len(self.log.of("unhandled"))
        assert samples["gateway_open_streams", ()] == 0
        access = self.log.of("message")
        ids = [line["request_id"] for line in access]
        assert len(ids) == len(set(ids))
        assert sum(_outcomes(samples).values()) == sum(line["attempts"] for line in access)
        for answer in self._answers:
            if answer.headers["Content-Type"] == "text/event-stream":
                assert (answer.line["outcome"] == "completed") is isinstance(answer.terminal, MessageCompleted)
        told = [*(answer.body for answer in self._answers), *self.received]
        headers = [repr(sorted(answer.headers.items())).encode() for answer in self._answers]
        for place in [*told, *headers, repr(self.log.lines).encode(), exposition.encode()]:
            assert CANARY[:7].encode() not in place

    async def _exposition(self) -> str:
        async with self.session.get("/metrics") as response:
            return await response.text()

    def _left_over(self) -> list[str]:
        tasks = [repr(task) for task in asyncio.all_tasks() - self._tasks if task is not asyncio.current_task()]
        sockets = open_sockets() - self._sockets
        return [*tasks, f"{sockets} sockets"] if tasks or sockets > 0 else []


@asynccontextmanager
async def running_gateway(
    tmp_path: Path,
    base_url: str,
    *,
    protocol: str = "hardwire",
    credentials: Sequence[str] = ("cookie", "user_id"),
    target: str = 'model = "model-1"',
    deadlines: Mapping[str, float] = QUICK,
    route: str = "",
    tables: str = "",
    store: str = "memory",
    protocols: Mapping[str, Descriptor] = BUILT_IN,
    bugs: range = NONE,
) -> AsyncIterator[RunningGateway]:
    """One route to one vendor, `acme`. `target`, `route` and `tables` are TOML; `bugs`: how many are provoked."""
    secrets = "".join(f'{name} = {{ env = "ACME_{name.upper()}" }}\n' for name in credentials)
    times = ", ".join(f"{name} = {seconds}" for name, seconds in {**QUICK, **deadlines}.items())
    text = f"""
[store]
kind = "{store}"
[vendors.acme]
protocol = "{protocol}"
base_url = "{base_url}"
allow_plain_http = true
[vendors.acme.breaker]
minimum = 1_000_000
[vendors.acme.credentials]
{secrets}
[routes.support]
{route}
[[routes.support.targets]]
vendor = "acme"
deadlines = {{ {times} }}
{"" if "retries" in target else "retries = 0"}
{target}
{tables}
"""
    environ = {f"ACME_{name.upper()}": f"{name}={CANARY}" for name in credentials}
    async with gateway_of(tmp_path, text, environ=environ, protocols=protocols, bugs=bugs) as gateway:
        yield gateway


@asynccontextmanager
async def gateway_of(
    tmp_path: Path,
    text: str,
    *,
    environ: Mapping[str, str],
    vendors: Mapping[str, ScriptServer] = {},
    protocols: Mapping[str, Descriptor] = BUILT_IN,
    bugs: range = NONE,
) -> AsyncIterator[RunningGateway]:
    """The same from a configuration as text."""
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    settings = s.load(path, protocols, environ=environ, port=0)
    log = RecordingLog(s.secrets(settings))
    mishaps: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, mishap: mishaps.append(mishap))
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    async with (
        running(settings, protocols, log) as url,
        aiohttp.ClientSession(url, connector=connector, read_bufsize=2**20, timeout=PATIENCE) as session,
    ):
        gateway = RunningGateway(url, session, log, vendors)
        yield gateway
        await gateway.check(bugs)
    assert mishaps == []


async def until(is_so: Any, within: float = 5.0) -> None:
    """Waits for a fact about this process that nothing announces; raises `TimeoutError`."""
    async with asyncio.timeout(within):
        while not is_so():  # noqa: ASYNC110  (no event is set for it)
            await asyncio.sleep(0.01)


def open_sockets() -> int:
    """How many sockets this process holds."""
    found = 0
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  (as cheap as can be: it is polled)
        try:
            found += os.readlink(f"/proc/self/fd/{name}").startswith("socket:")  # noqa: PTH115  (as above)
        except FileNotFoundError:
            continue  # the listing's own descriptor
    return found


def resident_bytes() -> int:
    """The memory that this process occupies."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _outcomes(samples: Samples) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (name, labels), value in samples.items():
        if name == "gateway_attempts_total":
            found[labels[0]] += int(value)
    return dict(found)


def _samples(exposition: str) -> Samples:
    return {
        (sample.name, tuple(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }

"""A gateway in front of the five simulated vendors of the demonstration, and all that reached each of them.

    async with five(tmp_path) as gateway:
        answer = await gateway.say("dynamiq", "Hi")
        gateway.record("dynamiq").lines == ["POST /v1/conversations", "POST /v3/conversations/.../messages"]

Pauses of a play are left out. A record's `bend` and `instead` spoil what its vendor answers.
"""

import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, overload

import msgspec
from msgspec.structs import replace
from multidict import CIMultiDict

from gateway.protocols.base import Descriptor, Head, Pause, Script, Send, SimulatedRequest, Simulator, Step
from gateway.protocols.registry import BUILT_IN
from tests.support.served import Reply, Served, serving

VENDORS = ("dynamiq", "chatbase", "dimedove", "hardwire", "sema4")

DEMO = (Path(__file__).parents[2] / "config" / "demo.toml").read_text()

MORE_ROUTES = """
[routes.dynamiq-hasty]
targets = [{ vendor = "dynamiq", app = "8e9f6c1a-3b7d-4c52-9a41-6f0d2b8e7c15", deadlines = { first_event = 2.0 } }]
[routes.chatbase-hasty]
targets = [{ vendor = "chatbase", agent = "demo-agent", deadlines = { first_event = 2.0 } }]
[routes.dimedove-hasty]
targets = [{ vendor = "dimedove", app = "app_1", deadlines = { first_event = 2.0 } }]
[routes.hardwire-hasty]
targets = [{ vendor = "hardwire", model = "gpt-4o", deadlines = { first_event = 2.0 } }]
[routes.sema4-hasty]
targets = [{ vendor = "sema4", agent = "a1", deadlines = { first_event = 2.0 } }]

[routes.chatbase-whole]
targets = [{ vendor = "chatbase", agent = "demo-agent", upstream_stream = false }]
[routes.dimedove-whole]
targets = [{ vendor = "dimedove", app = "app_1", upstream_stream = false }]
[routes.hardwire-whole]
targets = [{ vendor = "hardwire", model = "gpt-4o", upstream_stream = false }]
[routes.sema4-whole]
targets = [{ vendor = "sema4", agent = "a1", upstream_stream = false }]

[routes.dynamiq-model]
targets = [{ vendor = "dynamiq", model = "1a2b3c4d-3b7d-4c52-9a41-6f0d2b8e7c15" }]
[routes.hardwire-model]
targets = [{ vendor = "hardwire", model = "claude-sonnet-4" }]
"""
"""`hasty`: who limits our rate is not waited for. `whole`: the vendor is asked for a document too."""

SECRETS = (b"demo-api-key", b"sk_live_demo", b"demo-password")

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Bend = Callable[[SimulatedRequest, list[Step]], list[Step]]
"""What a vendor's answer becomes on its way."""

Instead = Callable[[SimulatedRequest], Script | None]
"""What is answered to a request that the vendor never sees; None: it sees it."""


def _as_it_is(_: SimulatedRequest, steps: list[Step]) -> list[Step]:
    return steps


def _nothing(_: SimulatedRequest) -> Script | None:
    return None


class Telling(Sequence[Step]):
    """A script that knows how it was played: `is_over` once its player is done, `is_whole` if nothing broke it off."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.is_over = False
        self.is_whole = False
        self._steps = steps

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, place: int) -> Step: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Step]: ...
    def __getitem__(self, place: int | slice) -> Step | Sequence[Step]:
        return self._steps[place]

    def __iter__(self) -> Iterator[Step]:
        try:
            yield from self._steps
            self.is_whole = True
        finally:
            self.is_over = True


class Record:
    """What was sent to one vendor, and how its answers were played."""

    def __init__(self) -> None:
        self.requests: list[SimulatedRequest] = []
        self.tellings: list[Telling] = []
        self.bend: Bend = _as_it_is
        self.instead: Instead = _nothing
        self.simulator: Simulator | None = None

    @property
    def lines(self) -> list[str]:
        """Method and path of all but the sign-in, which comes before anything is asked; an id in it is `*`."""
        lines = [f"{request.method} {_ID.sub('*', request.path)}" for request in self.requests]
        return [line for line in lines if "/auth/" not in line]

    @property
    def bodies(self) -> list[Any]:
        """Those that are JSON, but for the sign-in."""
        return [
            msgspec.json.decode(request.body)
            for request in self.requests
            if "json" in request.headers.get("Content-Type", "") and "/auth/" not in request.path
        ]

    def has_heard(self, text: str) -> bool:
        return any(text in repr((request.path, request.query, request.body)) for request in self.requests)


class Recorder:
    """A simulator whose requests are kept."""

    def __init__(self, simulator: Simulator, record: Record) -> None:
        self.plays = simulator.plays
        self._simulator = simulator
        self._record = record
        record.simulator = simulator

    def answer(self, request: SimulatedRequest) -> Script:
        record = self._record
        record.requests.append(request)
        script = record.instead(request)
        if script is None:
            steps: list[Step] = [step for step in self._simulator.answer(request) if not isinstance(step, Pause)]
            script = record.bend(request, steps)
        telling = Telling(script)
        record.tellings.append(telling)
        return telling


class Five:
    def __init__(self, served: Served, records: dict[str, Record]) -> None:
        self._served = served
        self._records = records
        self._told: list[bytes] = []
        self.samples = served.samples
        self.session = served.session

    def record(self, vendor: str) -> Record:
        return self._records[vendor]

    @property
    def log(self) -> Any:
        return self._served.log

    async def ask(self, method: str, path: str, **options: Any) -> Reply:
        reply = await self._served.ask(method, path, **options)
        self._told.append(reply.body + repr(sorted(reply.headers.items())).encode())
        return reply

    async def say(self, route: str, content: object, **fields: object) -> Reply:
        return await self.ask("POST", "/v1/messages", json={"route": route, "content": content, **fields})

    async def check(self) -> None:
        """Each message has one line in the log and each attempt one outcome; nothing broke that nobody expected."""
        lines = self.log.of("message")
        assert len({line["request_id"] for line in lines}) == len(lines)
        attempts = await self.samples("gateway_attempts_total")
        assert sum(attempts.values()) == sum(line["attempts"] for line in lines)
        assert (self.log.of("unhandled"), await self.samples("gateway_open_streams")) == ([], {(): 0})
        heard = b"".join([*self._told, repr(self.log.lines).encode()])
        assert [secret for secret in SECRETS if secret in heard] == []

    def look(self, vendor: str, path: str) -> int:
        """The status with which the vendor itself answers a GET."""
        simulator = self._records[vendor].simulator
        assert simulator is not None
        headers = CIMultiDict({"Authorization": "Bearer sk_live_demo", "Cookie": "better-auth.session_token=x"})
        head = simulator.answer(SimulatedRequest("GET", path, headers))[0]
        assert isinstance(head, Head)
        return head.status

    async def begin(self, route: str, content: object = "One", **fields: object) -> Any:
        """A completed first turn, as a document; the vendor's record is empty behind it."""
        reply = await self.say(route, content, stream=False, **fields)
        assert reply.status == 200, reply.body
        self._records[vendor_of(route)].requests.clear()
        return reply.document


def vendor_of(route: str) -> str:
    return route.partition("-")[0]


@asynccontextmanager
async def five(tmp_path: Path, routes: str = "", *, demo: str = DEMO + MORE_ROUTES) -> AsyncIterator[Five]:
    """At its end all messages must be over, and told of."""
    async with interrupted(tmp_path, routes, demo=demo) as gateway:
        yield gateway
        await gateway.check()


@asynccontextmanager
async def interrupted(tmp_path: Path, routes: str = "", *, demo: str = DEMO + MORE_ROUTES) -> AsyncIterator[Five]:
    """A record begins when the simulator is made: with the gateway. `routes` are TOML, as is what they are added to."""
    records = {name: Record() for name, descriptor in BUILT_IN.items() if descriptor.simulator is not None}
    protocols = {name: _recorded(descriptor, records.get(name)) for name, descriptor in BUILT_IN.items()}
    async with serving(tmp_path, demo + routes, protocols=protocols) as served:
        yield Five(served, records)


def _recorded(descriptor: Descriptor, record: Record | None) -> Descriptor:
    if record is None or descriptor.simulator is None:
        return descriptor
    return replace(descriptor, simulator=partial(_record, descriptor.simulator, record))


def _record(make: Callable[[str], Simulator], record: Record, play: str) -> Recorder:
    return Recorder(make(play), record)


# --- how a record is told to spoil an answer


def is_stream(steps: Sequence[Step]) -> bool:
    return sum(isinstance(step, Send) for step in steps) > 1


def swapped(*pairs: tuple[bytes, bytes]) -> Bend:
    """The same answer in other words."""

    def bend(_: SimulatedRequest, steps: list[Step]) -> list[Step]:
        return [Send(_swap(step.data, pairs)) if isinstance(step, Send) else step for step in steps]

    return bend


def _swap(data: bytes, pairs: tuple[tuple[bytes, bytes], ...]) -> bytes:
    for before, after in pairs:
        data = data.replace(before, after)
    return data


def broken_off(events: int, *frames: bytes) -> Bend:
    """A stream of so many events (counted from the end where negative), then `frames`, then the end."""

    def bend(_: SimulatedRequest, steps: list[Step]) -> list[Step]:
        if not is_stream(steps):
            return steps
        head, *sends = steps
        return [head, *sends[:events], *map(Send, frames)]

    return bend


def held(_: SimulatedRequest, steps: list[Step]) -> list[Step]:
    """A stream that falls silent before its last event."""
    return [*steps[:-1], Pause(60), steps[-1]] if is_stream(steps) else steps

"""A route over two of the simulated vendors, each behind a port of its own that can be shut and opened again.

    async with two(tmp_path, "dynamiq", "chatbase") as pair:
        turn = await pair.say("One")
        await pair.first.shut()
        assert (await pair.say("Two")).vendor == "chatbase"
        assert pair.second.texts == ["[Earlier in this conversation]\nuser: One\nassistant: ..."]

A vendor that is shut keeps its conversations. Pauses of a play are left out.
"""

import socket
import tomllib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gateway.canonical.events import MessageCompleted, MessageStarted, TextDelta
from gateway.protocols.base import SimulatedRequest
from gateway.protocols.registry import BUILT_IN
from gateway.simulation.host import serve_host
from tests.support.served import Reply, Served, serving
from tests.vendors.five import DEMO, Record, Recorder
from tests.vendors.general import ROUTES

TEMPLATE = "<<earlier>>\n{earlier}\n<<now>>\n{now}"


class House:
    """`shut` refuses connections; `record.instead` answers in the vendor's place. `name` is its protocol's."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.vendor = ROUTES.get(name, name)
        self.record = Record()
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))  # nobody else is given the port while it is shut
        self._port: int = self._place.getsockname()[1]
        self._stack = AsyncExitStack()
        make = BUILT_IN[name].simulator
        assert make is not None
        self._simulators = {name: Recorder(make(""), self.record)}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/{self.name}"

    async def open(self) -> None:
        await self._stack.enter_async_context(serve_host(self._simulators, self._port))

    async def shut(self) -> None:
        await self._stack.aclose()

    async def leave(self) -> None:
        await self.shut()
        self._place.close()

    @property
    def asks(self) -> list[SimulatedRequest]:
        """The requests that bring a message."""
        return [request for request in self.record.requests if _text(request)]

    @property
    def texts(self) -> list[str]:
        """What it was told, message by message."""
        return [_text(request) for request in self.asks]

    def has_heard(self, text: str) -> bool:
        return any(
            text in repr((request.path, request.query, dict(request.headers), request.body))
            for request in self.record.requests
        )


class Said(Struct, frozen=True):
    """A turn as the client knows it; `ids` are its vendor's, `ours` is our conversation's."""

    ours: str
    question: str
    answer: str
    vendor: str
    ids: dict[str, str]

    @property
    def lines(self) -> str:
        return f"user: {self.question}\nassistant: {self.answer}"

    @property
    def conversation(self) -> str:
        return self.ids["conversation"]


def told(earlier: list[Said], now: str) -> str:
    """What a vendor is sent that missed these turns."""
    lines = "\n".join(turn.lines for turn in earlier)
    return TEMPLATE.format(earlier=lines, now=now)


class Pair:
    def __init__(self, served: Served, first: House, second: House, *, stream: bool) -> None:
        self.first = first
        self.second = second
        self.turns: list[Said] = []
        self.samples = served.samples
        self._served = served
        self._stream = stream
        self._conversation: str | None = None

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The access lines."""
        return self._served.log.of("message")

    async def say(self, text: str) -> Said:
        """The next message of the one conversation; it must be answered."""
        reply = await self._ask(text, stream=self._stream)
        said = _streamed(text, reply) if self._stream else _whole(text, reply)
        self._conversation = said.ours
        self.turns.append(said)
        return said

    async def ask(self, content: object, **more: object) -> Any:
        """Likewise, with anything in it; the answer as a document."""
        whole = (await self._ask(content, stream=False, **more)).document
        self._conversation = whole["conversation_id"]
        return whole

    async def _ask(self, content: object, **more: object) -> Reply:
        asked = {"route": "pair", "content": content, **more}
        if self._conversation is not None:
            asked["conversation_id"] = self._conversation
        reply = await self._served.post(asked)
        assert reply.status == 200, reply.body
        return reply

    async def breaker(self, vendor: str) -> str:
        (state,) = (
            state
            for (state, name), value in (await self.samples("gateway_breaker_state")).items()
            if name == vendor and value
        )
        return state


@asynccontextmanager
async def two(tmp_path: Path, first: str, second: str, *, stream: bool = True, more: str = "") -> AsyncIterator[Pair]:
    """`more` stands behind the route's table, and may add to it."""
    houses = [House(first), House(second)]
    async with AsyncExitStack() as stack:
        for house in houses:
            stack.push_async_callback(house.leave)
            await house.open()
        served = await stack.enter_async_context(serving(tmp_path, _config(houses) + more))
        yield Pair(served, *houses, stream=stream)
        assert served.log.of("unhandled") == []


def _config(houses: list[House]) -> str:
    text = DEMO
    for house in houses:
        text = text.replace(f'"simulation:{house.name}"', f'"{house.url}"')
    routes = tomllib.loads(DEMO)["routes"]
    targets = [
        ", ".join(f'{name} = "{value}"' for name, value in routes[house.vendor]["targets"][0].items())
        for house in houses
    ]
    return f"""{text}
[routes.pair]
targets = [{", ".join(f"{{ {target} }}" for target in targets)}]
backoff = {{ base = 0.001 }}
catch_up = {{ template = {msgspec.json.encode(TEMPLATE).decode()} }}
"""


def _streamed(text: str, reply: Reply) -> Said:
    events = reply.events
    start, ending = events[0], events[-1]
    assert isinstance(start, MessageStarted)
    assert isinstance(ending, MessageCompleted)
    answer = "".join(event.delta for event in events if isinstance(event, TextDelta))
    return Said(start.conversation_id, text, answer, ending.vendor or "", ending.vendor_ids)


def _whole(text: str, reply: Reply) -> Said:
    answer = reply.document
    assert answer["status"] == "completed"
    spoken = "".join(part["text"] for part in answer["parts"] if part["type"] == "text")
    return Said(answer["conversation_id"], text, spoken, answer["vendor"], answer["vendor_ids"])


def _text(request: SimulatedRequest) -> str:
    """The text that a request brings, wherever its vendor keeps it."""
    if "json" not in request.headers.get("Content-Type", ""):
        return ""
    match msgspec.json.decode(request.body):
        case {"message": str(text)} | {"content": str(text)} | {"message": {"content": str(text)}}:
            return text
        case {"content": [{"text": str(text)}]}:
            return text
    return ""

"""A gateway in this process, from a configuration as text, for what clients see of it.

async with serving(tmp_path, DEMO) as gateway:                  two simulated vendors
    answer = await gateway.post({"content": "Hi"})

async with serving(tmp_path, scripted(vendor.url)) as gateway:  one vendor that the test plays
"""

import asyncio
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from gateway import settings as s
from gateway.app import running
from gateway.canonical.events import Event
from gateway.protocols.base import Descriptor
from gateway.protocols.registry import BUILT_IN
from tests.support.gateway import read_events
from tests.support.scripts import RawClient

DEMO = """
default_route = "hardwire"
[store]
kind = "memory"
[simulation]
port = 0
[vendors.hardwire]
protocol = "hardwire"
base_url = "simulation:hardwire"
[vendors.hardwire.credentials]
email = { env = "NOT_SET_ANYWHERE", default = "demo@example.com" }
password = { env = "NOT_SET_ANYWHERE", default = "demo-password" }
[vendors.chatbase]
protocol = "chatbase"
base_url = "simulation:chatbase"
[vendors.chatbase.credentials]
api_key = { env = "NOT_SET_ANYWHERE", default = "demo-api-key" }
[routes.hardwire]
targets = [{ vendor = "hardwire", model = "gpt-4o" }]
[routes.chatbase]
targets = [{ vendor = "chatbase", agent = "demo-agent" }]
"""

_SCRIPTED = """
[store]
kind = "memory"
[vendors.acme]
protocol = "hardwire"
base_url = "%s"
[vendors.acme.credentials]
cookie = { env = "NOT_SET_ANYWHERE", default = "a=1" }
user_id = { env = "NOT_SET_ANYWHERE", default = "user-1" }
[routes.support]
targets = [{ vendor = "acme", model = "m" }]
"""


def scripted(url: str, route: str = "") -> str:
    """A route `support` to one vendor, which answers POST /chats/{uuid}/messages/stream; `route` adds to its table."""
    return _SCRIPTED % url + route


class Reply(Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def events(self) -> list[Event]:
        return read_events(self.body)

    @property
    def document(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> Any:
        """The error's body; every refusal has one of this shape, and its request's id."""
        assert self.headers["Content-Type"] == "application/json"
        (name,) = self.document
        assert name == "error"
        error = self.document["error"]
        assert {"code", "message", "retryable", "request_id"} <= error.keys()
        assert error["request_id"] == self.headers["X-Request-Id"]
        return error


class KeptLog:
    """A log whose lines are kept: the fields, with `event` and `level`; an exception as its traceback."""

    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, "level": "info", **fields})

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, "level": "warning", **fields})

    def error(self, event: str, exc_info: BaseException | None = None, **fields: Any) -> None:
        told = "".join(traceback.format_exception(exc_info)) if exc_info is not None else None
        self.lines.append({"event": event, "level": "error", "exception": told, **fields})

    def of(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["event"] == event]


class Served:
    def __init__(self, url: str, session: aiohttp.ClientSession, log: KeptLog) -> None:
        self.url = url
        self.session = session
        self.log = log

    def raw(self, **options: int) -> RawClient:
        return RawClient(self.url, **options)

    async def post(self, body: Mapping[str, object] | bytes, **headers: str) -> Reply:
        """A message; `request_id="a"` among the headers becomes `Request-Id: a`."""
        data = body if isinstance(body, bytes) else msgspec.json.encode(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.ask("POST", "/v1/messages", data=data, headers={"Content-Type": "application/json", **named})

    async def ask(self, method: str, path: str, **options: Any) -> Reply:
        async with self.session.request(method, path, allow_redirects=False, **options) as response:
            return Reply(response.status, response.headers, await response.read())

    async def samples(self, name: str) -> dict[tuple[str, ...], float]:
        """The samples of that name by their labels' values, in the order of the labels' names."""
        exposition = (await self.ask("GET", "/metrics")).body.decode()
        return {
            tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
            for family in text_string_to_metric_families(exposition)
            for sample in family.samples
            if sample.name == name
        }


@asynccontextmanager
async def serving(
    tmp_path: Path,
    text: str,
    *,
    environ: Mapping[str, str] | None = None,
    protocols: Mapping[str, Descriptor] = BUILT_IN,
    log: Any = None,
) -> AsyncIterator[Served]:
    """`log` takes the place of one that is kept. At the end no exception may have reached the event loop."""
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    kept = KeptLog()
    mishaps: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, mishap: mishaps.append(mishap))
    settings = s.load(path, protocols, environ=environ or {}, port=0)
    async with running(settings, protocols, log or kept) as url, aiohttp.ClientSession(url) as session:
        yield Served(url, session, kept)
    assert mishaps == []

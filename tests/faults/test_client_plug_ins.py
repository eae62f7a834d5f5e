"""A plug-in that raises at any of its call points costs its own message alone (row 98 of the list of faults).

The stream ends by the laws, the exception is logged once with the request's id and counted, the vendor's connection is
closed, no task is left, and the exception's text reaches nobody.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import pytest
from msgspec import Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Event, MessageCompleted, MessageFailed, Notice
from gateway.canonical.turn import Turn
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.protocols.base import (
    CAPABILITIES,
    Authorization,
    Calls,
    Credentials,
    Descriptor,
    Headers,
    Translator,
    VendorRequest,
)
from gateway.protocols.refusing import vendor_error
from gateway.protocols.registry import BUILT_IN
from tests.support.gateway import told, until
from tests.support.scripts import Hold, Read, ScriptServer, Step, Write, response
from tests.support.served import Served, serving

CONFIG = """
default_route = "raising"
[simulation]
port = 0
[vendors.raising]
protocol = "raising"
base_url = "URL"
credentials = { api_key = { env = "NOT_SET_ANYWHERE", default = "k" } }
[vendors.sibling]
protocol = "hardwire"
base_url = "simulation:hardwire"
[vendors.sibling.credentials]
email = { env = "NOT_SET_ANYWHERE", default = "a@b.c" }
password = { env = "NOT_SET_ANYWHERE", default = "p" }
[routes.raising]
targets = [{ vendor = "raising" }]
[routes.sibling]
targets = [{ vendor = "sibling", model = "m" }]
"""

SECRET_TEXT = "the text of a bug"

BEFORE_COMMIT = [
    "translator",
    "authorize",
    "authorize after an answer",
    "requests",
    "requests after an answer",
    "feed",
    "feed without content",
    "finish without content",
    "refuse",
    "scope",
]
AFTER_COMMIT = ["feed after text", "finish", "requests after the stream", "ending", "model"]

PLAIN = response(200, b"{}")
PIECES = (b"data: open\n\n", b"data: text\n\n", b"data: more\n\n")
STREAM: list[Step] = [Read(), *told(*PIECES), Hold()]
SILENT: list[Step] = [Read(), *told(b"data: open\n\n"), Hold()]
UNENDING: list[Step] = [Read(), *told(*PIECES)[:-1], Hold()]
SCRIPTS: dict[str, list[Step]] = {
    "authorize after an answer": [Read(), Write(PLAIN), Hold()],
    "requests after an answer": [Read(), Write(PLAIN), Hold()],
    "feed": UNENDING,
    "feed without content": UNENDING,
    "feed after text": UNENDING,
    "ending": UNENDING,
    "finish without content": SILENT,
    "refuse": [Read(), Write(response(500, b"{}")), Hold()],
}


class NoSettings(Struct, frozen=True):
    """The plug-in has none."""


class Raising:
    """A translator of three records, `open`, `text` and `more`, that raises at `point`."""

    def __init__(self, point: str, blocks: Blocks) -> None:
        self._point = point
        self._blocks = blocks
        self._has_shown_text = False
        self._raise_at("translator")

    @property
    def vendor_ids(self) -> dict[str, str]:
        self._raise_late("vendor_ids")
        return {}

    @property
    def model(self) -> str | None:
        self._raise_late("model")
        return None

    @property
    def ending(self) -> bool:
        self._raise_late("ending")
        return False

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
        self._raise_at("authorize")
        if self._point == "authorize after an answer":
            yield VendorRequest("GET", "/sign-in")
            self._raise_at("authorize after an answer")
        return Authorization({"X-Key": credentials["api_key"]})

    def requests(self, turn: Turn) -> Calls[None]:
        self._raise_at("requests")
        if self._point == "requests after an answer":
            yield VendorRequest("GET", "/conversation")
            self._raise_at("requests after an answer")
        yield VendorRequest("POST", "/stream", body=turn.text.encode(), framing=SseDecoder)
        self._raise_at("requests after the stream")

    def feed(self, record: Record) -> Iterable[Event | Notice]:
        self._raise_at("feed")
        if record.data == b"open":
            self._raise_at("feed without content")
            return
        if record.data == b"more":
            self._raise_at("feed after text")
            self._has_shown_text = True
        yield from self._blocks.text(record.data.decode(), "0")

    def finish(self) -> Iterable[Event | Notice]:
        self._raise_at("finish")
        self._raise_at("finish without content")
        yield from self._blocks.complete()
        yield MessageCompleted("stop")

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        self._raise_at("refuse")
        return vendor_error("upstream_unavailable")

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        return None

    def _raise_at(self, point: str) -> None:
        if self._point == point:
            raise RuntimeError(SECRET_TEXT)

    def _raise_late(self, point: str) -> None:
        """Properties are read often: they fail once the client has seen text."""
        if self._has_shown_text:
            self._raise_at(point)


def plug_in(point: str) -> Descriptor:
    def scope(_: Any) -> str:
        if point == "scope":
            raise RuntimeError(SECRET_TEXT)
        return ""

    def translator(_: Any, blocks: Blocks) -> Translator:
        return cast("Translator", Raising(point, blocks))  # what the port has as attributes are properties here

    return Descriptor(
        name="raising",
        title="Raising",
        capabilities=dict.fromkeys(CAPABILITIES, "no"),
        translator=translator,
        target=NoSettings,
        options=NoSettings,
        credentials=(frozenset({"api_key"}),),
        scope=scope,
    )


async def check_aftermath(gateway: Served, request_id: str, tasks: set["asyncio.Task[Any]"]) -> None:
    (line,) = gateway.log.of("unhandled")
    assert line["request_id"] == request_id
    assert f"RuntimeError: {SECRET_TEXT}" in line["exception"]
    assert await gateway.samples("gateway_unhandled_errors_total") == {(): 1}
    assert await gateway.samples("gateway_open_streams") == {(): 0}
    (access,) = gateway.log.of("message")
    assert (access["request_id"], access["outcome"], access["code"]) == (request_id, "failed", "internal")
    after = await gateway.post({"content": "Hi", "route": "sibling"})
    assert isinstance(after.events[-1], MessageCompleted)
    await until(lambda: own_tasks() <= tasks, within=2)


async def check_vendor_is_left(vendor: ScriptServer, point: str) -> None:
    """A connection whose answer was not read to its end is of no more use."""
    if SCRIPTS.get(point) is UNENDING:
        await vendor.connections[0].left(within=1)


OTHERS = ("RequestHandler", "Connection._play")
"""Tasks that stay for a connection's next request, and the test's own vendor."""


def own_tasks() -> set["asyncio.Task[Any]"]:
    return {task for task in asyncio.all_tasks() if not any(name in repr(task) for name in OTHERS)}


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
@pytest.mark.parametrize("point", BEFORE_COMMIT)
async def test_a_plug_in_that_raises_before_any_content_is_a_500(point: str, tmp_path: Path, *, stream: bool) -> None:
    protocols = {**BUILT_IN, "raising": plug_in(point)}
    async with (
        ScriptServer(SCRIPTS.get(point, STREAM)) as vendor,
        serving(tmp_path, CONFIG.replace("URL", vendor.url), protocols=protocols) as gateway,
    ):
        tasks = own_tasks()
        reply = await gateway.post({"content": "Hi", "stream": stream}, X_Request_Id="r-1")
        assert (reply.status, reply.error["code"], reply.error["message"]) == (500, "internal", "the gateway failed")
        assert SECRET_TEXT.encode() not in reply.body
        await check_aftermath(gateway, "r-1", tasks)
        await check_vendor_is_left(vendor, point)


@pytest.mark.parametrize("point", AFTER_COMMIT)
async def test_a_plug_in_that_raises_after_content_ends_the_stream_with_a_failure(point: str, tmp_path: Path) -> None:
    protocols = {**BUILT_IN, "raising": plug_in(point)}
    async with (
        ScriptServer(SCRIPTS.get(point, STREAM)) as vendor,
        serving(tmp_path, CONFIG.replace("URL", vendor.url), protocols=protocols) as gateway,
    ):
        tasks = own_tasks()
        async with asyncio.timeout(3):
            reply = await gateway.post({"content": "Hi"}, X_Request_Id="r-1")
        failed = reply.events[-1]
        assert isinstance(failed, MessageFailed)
        assert (failed.error.code, failed.error.message) == ("internal", "the gateway failed")
        assert SECRET_TEXT.encode() not in reply.body
        await check_aftermath(gateway, "r-1", tasks)
        await check_vendor_is_left(vendor, point)


async def test_a_plug_in_that_raises_when_asked_for_its_ids_has_answered_all_the_same(tmp_path: Path) -> None:
    protocols = {**BUILT_IN, "raising": plug_in("vendor_ids")}
    async with (
        ScriptServer(STREAM) as vendor,
        serving(tmp_path, CONFIG.replace("URL", vendor.url), protocols=protocols) as gateway,
    ):
        async with asyncio.timeout(3):
            reply = await gateway.post({"content": "Hi"}, X_Request_Id="r-1")
        assert isinstance(reply.events[-1], MessageCompleted)
        assert SECRET_TEXT.encode() not in reply.body
        assert await gateway.samples("gateway_unhandled_errors_total") == {(): 1}


@pytest.mark.parametrize("point", AFTER_COMMIT)
async def test_a_plug_in_that_raises_after_content_makes_a_document_a_500(point: str, tmp_path: Path) -> None:
    protocols = {**BUILT_IN, "raising": plug_in(point)}
    async with (
        ScriptServer(SCRIPTS.get(point, STREAM)) as vendor,
        serving(tmp_path, CONFIG.replace("URL", vendor.url), protocols=protocols) as gateway,
    ):
        tasks = own_tasks()
        async with asyncio.timeout(3):
            reply = await gateway.post({"content": "Hi", "stream": False}, X_Request_Id="r-1")
        assert (reply.status, reply.error["code"], reply.error["message"]) == (500, "internal", "the gateway failed")
        assert reply.error["details"]["message"]["status"] == "failed"
        assert SECRET_TEXT.encode() not in reply.body
        await check_aftermath(gateway, "r-1", tasks)
        await check_vendor_is_left(vendor, point)


async def test_a_plug_in_that_raises_nothing_answers(tmp_path: Path) -> None:
    protocols = {**BUILT_IN, "raising": plug_in("nowhere")}
    async with (
        ScriptServer(STREAM) as vendor,
        serving(tmp_path, CONFIG.replace("URL", vendor.url), protocols=protocols) as gateway,
    ):
        reply = await gateway.post({"content": "Hi"})
    assert isinstance(reply.events[-1], MessageCompleted)

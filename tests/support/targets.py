"""A whole gateway in this process, in front of a route with several targets, each a vendor that a test plays.

    vendors = {"acme": Played([Read(), Reset()]), "spare": Played(WELL)}
    async with running_targets(tmp_path, vendors, route='mid_stream = "restart"') as gateway:
        answer = await gateway.ask()
        assert (said(answer), gateway.hits) == ("Hello", {"acme": 1, "spare": 1})

The targets are asked in the order in which they stand. Unless a test says otherwise none is retried, no breaker opens
and no time is short: what a test is about, it says itself. What `running_gateway` checks at its end is checked here.

`WELL` answers "Hello", `also_well` other words. A script is played once a connection; the heads made here say that the
connection closes with the answer, so that no message meets one that is about to.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gateway.canonical.events import MessageRouted, TextDelta
from gateway.canonical.turn import Turn
from gateway.protocols.base import Calls, Descriptor
from gateway.protocols.hardwire.translator import HardwireTranslator
from gateway.protocols.registry import BUILT_IN
from tests.support.gateway import CANARY, END, NONE, START, Answer, RunningGateway, gateway_of, until
from tests.support.scripts import (
    BLANK_LINE,
    HEAD,
    LAST_CHUNK,
    Connection,
    Read,
    Received,
    ScriptServer,
    Step,
    Write,
    chunk,
    closed_port,
    request,
    response,
)

LAST_HEAD = HEAD.replace(BLANK_LINE, b"\r\nConnection: close\r\n\r\n")
"""`HEAD` of a connection's last answer."""

ACME_START = b'data: {"type":"start","messageId":"acme-1"}\n\n'
ACME_SAYS = b'data: {"type":"content","delta":"From acme"}\n\n'
"""What the first vendor says before it fails; a client that is to see nothing of it sees neither."""

BEGUN = LAST_HEAD + chunk(ACME_START)
SAID = BEGUN + chunk(ACME_SAYS)

WHOLE = ["message.started", "message.routed", "text.started", "text.delta", "text.completed", "message.completed"]
"""The events of an answer in one piece."""
BROKEN = [*WHOLE[:-1], "message.failed"]
SWITCHED = [*WHOLE[:-1], *WHOLE[1:]]

RESTART = 'mid_stream = "restart"'
CONTINUE = 'mid_stream = "continue"'

QUICK = "deadlines = { connect = 0.8, first_event = 0.8, idle = 0.8, total = 1.6 }"
"""Of a target that is to miss them."""

TOUCHY = "breaker = { minimum = 1, ratio = 1.0, jitter = 0 }"
"""Of a vendor whose breaker opens with its first bad call."""

PROTOCOLS = {
    "chatbase": ('agent = "agent-1"', ("api_key",)),
    "dimedove": ('app = "app-1"', ("api_key",)),
    "sema4": ('agent = "agent-1"', ("api_key",)),
    "dynamiq": ('app = "8e9f6c1a-3b7d-4c52-9a41-6f0d2b8e7c15"', ("api_key",)),
}
"""What a target of each protocol has to be told, and its vendor's credentials."""
HARDWIRE = ('model = "model-1"', ("cookie", "user_id"))
"""Of Hardwire, and of any other protocol, which is Hardwire's with another translator."""


def content(text: str) -> bytes:
    return b'data: {"type":"content","delta":%b}\n\n' % msgspec.json.encode(text)


def answered(*frames: bytes) -> list[Step]:
    """A whole event stream after a request, each frame a chunk of its own."""
    return [Read(), Write(LAST_HEAD), *(Write(chunk(frame)) for frame in frames), Write(LAST_CHUNK)]


def also_well(*words: str) -> list[Step]:
    return answered(START, *map(content, words), END)


def refused(status: int, code: str = "No", **headers: str) -> list[Step]:
    body = b'{"error":"%b","message":"Your key sk-123 at http://10.0.0.7"}' % code.encode()
    return [Read(), Write(response(status, body, connection="close", **headers))]


WELL = also_well("Hello")

FAILING = refused(500)


class Played(Struct, frozen=True):
    """A target and its vendor: the script of each connection, or a `url`; with neither, nobody listens.

    `target` and `vendor` are lines of TOML in the tables of the two.
    """

    scripts: tuple[Sequence[Step], ...]
    target: str = ""
    vendor: str = ""
    protocol: str = "hardwire"
    credentials: tuple[str, ...] = ()
    url: str = ""


def played(*scripts: Sequence[Step], **fields: Any) -> Played:
    return Played(scripts, **fields)


def at(url: str, **fields: Any) -> Played:
    return Played((), url=url, **fields)


def two(acme: Sequence[Step], spare: Sequence[Step] = WELL, **fields: Any) -> dict[str, Played]:
    """`fields` are the first one's."""
    return {"acme": played(acme, **fields), "spare": played(spare)}


class Stateless(HardwireTranslator):
    """A vendor that keeps nothing, and so may be asked again whatever became of the first time."""

    def requests(self, turn: Turn) -> Calls[None]:
        for asked in super().requests(turn):
            yield msgspec.structs.replace(asked, effect="repeatable")


STATELESS: Mapping[str, Descriptor] = {
    **BUILT_IN,
    "stateless": msgspec.structs.replace(BUILT_IN["hardwire"], name="stateless", translator=Stateless),
}


def nobody(**fields: Any) -> Played:
    return Played((), **fields)


class Choosing(Step, frozen=True):
    """Answers a request with what `choose` says, when it comes."""

    choose: Callable[[Received], Sequence[Step]]

    async def play(self, connection: Connection) -> None:
        await Read().play(connection)
        for step in self.choose(connection.requests[-1]):
            if not isinstance(step, Read):
                await step.play(connection)


@asynccontextmanager
async def running_targets(
    tmp_path: Path,
    vendors: Mapping[str, Played],
    *,
    route: str = "",
    tables: str = "",
    protocols: Mapping[str, Descriptor] = BUILT_IN,
    store: str = "memory",
    bugs: range = NONE,
) -> AsyncIterator[RunningGateway]:
    """One route, `support`; `route` and `tables` are TOML."""
    async with AsyncExitStack() as stack:
        servers = {
            name: await stack.enter_async_context(ScriptServer(*vendor.scripts))
            for name, vendor in vendors.items()
            if vendor.scripts
        }
        environ: dict[str, str] = {}
        text = f'[store]\nkind = "{store}"\n'
        for name, vendor in vendors.items():
            url = servers[name].url if name in servers else vendor.url or f"http://127.0.0.1:{closed_port()}"
            text += _vendor_table(name, vendor, url, environ)
        text += f"[routes.support]\n{route}\n"
        for name, vendor in vendors.items():
            text += _target_table(name, vendor)
        text += tables
        gateway = await stack.enter_async_context(
            gateway_of(tmp_path, text, environ=environ, vendors=servers, protocols=protocols, bugs=bugs)
        )
        yield gateway


def _vendor_table(name: str, vendor: Played, url: str, environ: dict[str, str]) -> str:
    lines = [f"[vendors.{name}]", f'protocol = "{vendor.protocol}"', f'base_url = "{url}"', "allow_plain_http = true"]
    if "breaker" not in vendor.vendor:
        lines.append("breaker = { minimum = 1_000_000 }")
    lines += [vendor.vendor, f"[vendors.{name}.credentials]"]
    _, usual = PROTOCOLS.get(vendor.protocol, HARDWIRE)
    for credential in vendor.credentials or usual:
        variable = f"{name}_{credential}".upper()
        environ[variable] = f"{credential}={CANARY}"
        lines.append(f'{credential} = {{ env = "{variable}" }}')
    return "\n".join(lines) + "\n"


def _target_table(name: str, vendor: Played) -> str:
    settings, _ = PROTOCOLS.get(vendor.protocol, HARDWIRE)
    lines = ["[[routes.support.targets]]", f'vendor = "{name}"', settings]
    if "retries" not in vendor.target:
        lines.append("retries = 0")
    return "\n".join([*lines, vendor.target]) + "\n"


async def breaker_is(state: str, gateway: RunningGateway, vendor: str = "acme", within: float = 3) -> None:
    """Waits until the vendor's breaker is in that state."""
    async with asyncio.timeout(within):
        while not await gateway.count("gateway_breaker_state", state, vendor):  # noqa: ASYNC110  (no event is set for it)
            await asyncio.sleep(0.01)


async def lines(gateway: RunningGateway, count: int) -> list[dict[str, Any]]:
    """The access lines, once there are so many."""
    await until(lambda: len(gateway.log.of("message")) >= count)
    return gateway.log.of("message")


def message(**fields: object) -> bytes:
    """For a `RawClient` to send."""
    body = msgspec.json.encode({"content": "Hi", **fields})
    return request("POST", "/v1/messages", body, ["Content-Type: application/json"])


# --- what a client was told, in either mode


def switches(answer: Answer) -> list[MessageRouted]:
    """What the client was told of who answers, but for the first."""
    return [event for event in answer.events if isinstance(event, MessageRouted)][1:]


def is_stream(answer: Answer) -> bool:
    return answer.headers["Content-Type"] == "text/event-stream"


def said(answer: Answer) -> str:
    """The text that stands at the end: what the client was told to forget is forgotten."""
    if not is_stream(answer):
        return "".join(part["text"] for part in answer.document["parts"] if part["type"] == "text")
    text = ""
    for event in answer.events:
        if isinstance(event, MessageRouted) and event.discard:
            text = ""
        elif isinstance(event, TextDelta):
            text += event.delta
    return text


def check_unseen(answer: Answer, *, by: str = "spare", attempt: int = 2, text: str = "Hello") -> None:
    """The client was told of the last attempt alone."""
    assert answer.status == 200, answer.body
    assert said(answer) == text
    if is_stream(answer):
        assert answer.kinds == WHOLE
        routed = answer.events[1]
        assert isinstance(routed, MessageRouted)
        assert (routed.vendor, routed.attempt) == (by, attempt)
        assert (routed.from_, routed.error, routed.discard) == (None, None, None)
    else:
        assert (answer.document["status"], answer.document["vendor"]) == ("completed", by)
        assert "error" not in answer.document
    assert b"acme" not in answer.body
    assert answer.ending == ("completed", "completed", None)
    assert (answer.line["vendor"], answer.line["attempts"]) == (by, attempt)


def spoken_to(vendor: ScriptServer, number: int = -1) -> str:
    """The text in the body of one of the requests that it received."""
    body = msgspec.json.decode(vendor.requests[number].body)
    told: str = body["content"] if "content" in body else body["message"]
    return told

"""Whole exchanges with vendors, to be cut, split and spoilt: the recorded examples, and each play of the simulators.

An `Exchange` holds the question and the vendor's answers in the order of the requests.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.blocks import Blocks
from gateway.canonical.message import FilePart, InputResponsePart, TextPart, ToolResultPart
from gateway.canonical.turn import AskPart
from gateway.protocols.base import Credentials, Head, Script, Send, Translator
from gateway.protocols.chatbase import CHATBASE
from gateway.protocols.chatbase.translator import ChatbaseTarget
from gateway.protocols.dimedove import DIMEDOVE
from gateway.protocols.dimedove.translator import DimedoveTarget
from gateway.protocols.dynamiq import DYNAMIQ
from gateway.protocols.dynamiq.calls import DynamiqTarget
from gateway.protocols.hardwire import HARDWIRE
from gateway.protocols.hardwire.plays import REFUSALS
from gateway.protocols.hardwire.translator import HardwireTarget
from gateway.protocols.registry import BUILT_IN
from gateway.protocols.sema4 import SEMA4
from gateway.protocols.sema4.translator import Sema4Target
from gateway.relay.core import Pace
from gateway.routing.plan import Deadlines, Target
from tests.support.play import (
    DOCUMENT,
    ONCE,
    STREAM,
    Played,
    Question,
    Recorder,
    Vendor,
    answers,
    body_of,
    play,
    simulated,
    whole,
)
from tests.support.terminals import terminal_end

EXAMPLES = Path(__file__).parents[1] / "protocols"
CHAT = "550e8400-e29b-41d4-a716-446655440000"
THREAD = "529a03ad-5e61-58a6-bb91-7b491b10c201"
WORKFLOW = UUID("3f0b6a52-5a0e-4c3b-9b0a-0c1d2e3f4a5b")
APP = "8e9f0a1b-2c3d-4e5f-8a7b-9c0d1e2f3a4b"
REQUEST = "7a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
STARTED = (
    DOCUMENT,
    Send(
        b'{"userMessage":{"id":"m1","role":"user","content":"Hi"},"assistantMessage":null,'
        b'"chatId":"550e8400-e29b-41d4-a716-446655440000","workflowRunId":"run-1"}'
    ),
)
LISTED = (
    DOCUMENT,
    Send(
        b'{"messages":[{"id":"m1","role":"user","content":"Hi"},'
        b'{"id":"m2","role":"assistant","content":"Quantum bits"}]}'
    ),
)

DEADLINES = Deadlines(connect=1, first_event=10, idle=3, total=60)
PATIENT = Deadlines(connect=1, first_event=10, idle=90, total=300)
"""Longer than any play is silent."""

PACE = Pace(headers_after=15, heartbeat=15)

DESCRIPTORS = {each.name: each for each in (CHATBASE, DIMEDOVE, DYNAMIQ, HARDWIRE, SEMA4)}
KEY = Credentials({"api_key": "k"})
PASSWORD = Credentials({"email": "a@b.test", "password": "right"})
COOKIE = Credentials({"cookie": "c=1", "user_id": "u"})


Make = Callable[[Any, Blocks], Translator]


def _for_good(make: Make) -> Make:
    """A protocol whose runs cannot be gone back to."""

    def made(settings: Any, blocks: Blocks) -> Translator:
        translator = make(settings, blocks)
        setattr(translator, "resume", lambda: None)  # noqa: B010  (a method, to mypy)
        return translator

    return made


class Exchange(Struct, frozen=True):
    """`streams`: whether the client asked for a stream; `scripts` holds each of the vendor's answers in one piece.

    `messages` are the numbers of those that do not belong to a sign-in, `answer` is the number of the one that holds
    the message; `paced` holds a play's with their pauses. `goes_back`: to a run whose stream broke off.
    """

    protocol: str
    settings: Any
    scripts: tuple[Script, ...] = ()
    messages: tuple[int, ...] = ()
    answer: int = 0
    is_play: bool = False
    streams: bool = True
    parts: tuple[AskPart, ...] = (TextPart("Hi"),)
    vendor_ids: dict[str, str] = {}
    credentials: Credentials = KEY
    deadlines: Deadlines = DEADLINES
    wants_vendor_events: bool = False
    paced: tuple[Script, ...] = ()
    goes_back: bool = False

    def play(self, change: Callable[[Script], Script] = whole, number: int | None = None) -> Played:
        """The exchange with one answer changed: the one that holds the message, or `number`."""
        scripts = list(self.scripts)
        place = self.answer if number is None else number
        scripts[place] = change(scripts[place])
        return self.play_with(answers(*scripts))

    def play_with(self, vendor: Vendor) -> Played:
        target = Target("acme", self.protocol, self.settings, self.deadlines, ONCE)
        question = Question(
            self.make(),
            self.parts,
            vendor_ids=self.vendor_ids,
            stream=self.streams,
            wants_vendor_events=self.wants_vendor_events,
        )
        return play(question, vendor, targets=(target,), credentials=self.credentials, pace=PACE)

    def make(self) -> Make:
        make = BUILT_IN[self.protocol].translator
        assert make is not None
        return make if self.goes_back else _for_good(make)

    def terminal(self) -> int:
        """After how many bytes of its answer the terminal is whole; a document is whole behind its end."""
        script = self.scripts[self.answer]
        body = body_of(script)
        if not is_stream(script):
            return len(body.rstrip())
        return terminal_end(self.protocol, body, int(self.vendor_ids.get("sequence", 0)))


def is_stream(script: Script) -> bool:
    head = script[0]
    return isinstance(head, Head) and "event-stream" in head.headers.get("Content-Type", "")


# --- examples


def examples() -> list[str]:
    """Those of the vendors in `DESCRIPTORS`."""
    paths = [path for name in DESCRIPTORS for path in sorted(EXAMPLES.glob(f"{name}/examples/**/*"))]
    found = [path for path in paths if path.suffix in {".sse", ".json"} and not path.name.endswith(".events.json")]
    return [str(path.relative_to(EXAMPLES)) for path in found]


def example(name: str) -> Exchange:
    body = Send((EXAMPLES / name).read_bytes())
    protocol = name.partition("/")[0]
    is_document = name.endswith(".json")
    answer = (DOCUMENT if is_document else STREAM, body)
    asked = Exchange(protocol, None, (answer,), (0,), streams=not is_document)
    match protocol:
        case "chatbase":
            return replace(asked, settings=ChatbaseTarget("5QHA6VB", upstream_stream=not is_document))
        case "dimedove":
            settings: Any = DimedoveTarget("app_1", upstream_stream=not is_document, tool_outputs=False)
            return replace(asked, settings=settings, vendor_ids={"conversation": CHAT})
        case "dynamiq":
            return replace(asked, settings=DynamiqTarget(APP), vendor_ids={"conversation": "c1"})
        case "sema4":
            thread = "c1" if "/dossier-" in name else THREAD
            settings = Sema4Target("a1", upstream_stream=not is_document)
            return replace(asked, settings=settings, vendor_ids={"conversation": thread})
    is_run = "/runs/" in name
    settings = HardwireTarget("gpt-4", workflow_id=WORKFLOW if is_run else None, upstream_stream=not is_document)
    asked = replace(asked, settings=settings, vendor_ids={"conversation": CHAT}, credentials=COOKIE)
    return replace(asked, scripts=(STARTED, answer, LISTED), messages=(0, 1, 2), answer=1) if is_run else asked


# --- plays


MODES = ("stream", "assembled", "document")
"""The client streams; it wants a document of what the vendor streams; the vendor is asked for a document too."""

GOES_ON: dict[tuple[str, str], tuple[AskPart, ...]] = {
    ("chatbase", "client-action"): (ToolResultPart("call_1", {"status": "shipped"}),),
    ("dimedove", "mapped-tool"): (TextPart("And now?"),),
    ("dynamiq", "plain"): (TextPart("Read"), FilePart(data="YWI=", name="a.txt")),
    ("dynamiq", "feedback"): (InputResponsePart(REQUEST, text="The second"),),
    ("dynamiq", "approval"): (InputResponsePart(REQUEST, approved=True, values={"amount": 600}),),
    ("sema4", "text"): (TextPart("Read"), FilePart(data="YWI=", name="a.txt")),
}
"""What is said next in the conversation of a play."""


def plays() -> list[tuple[str, str, str]]:
    """Protocol, mode and name of each play; a name that ends in `+` is that play's conversation going on."""
    return [
        (protocol, mode, name)
        for protocol in DESCRIPTORS
        for mode in MODES
        for name in _names(protocol)
        if _has(protocol, mode, name)
    ]


def _names(protocol: str) -> list[str]:
    make = DESCRIPTORS[protocol].simulator
    assert make is not None
    going_on = [f"{name}+" for of, name in GOES_ON if of == protocol]
    return [*dict.fromkeys(["", *make("").plays]), *going_on]


def _has(protocol: str, mode: str, name: str) -> bool:
    """A workflow always streams, as Dynamiq does; what is said of a document is only played in one."""
    always_streams = protocol == "dynamiq" or (protocol, name.partition("-")[0]) == ("hardwire", "workflow")
    return not always_streams or mode != "document"


@cache
def recorded(protocol: str, mode: str, name: str) -> Exchange:
    """What a simulator answers, each answer in one piece."""
    settings = _settings(protocol, mode, name)
    credentials = PASSWORD if protocol == "hardwire" else KEY
    asked = Exchange(protocol, settings, is_play=True, streams=mode == "stream", credentials=credentials)
    make = DESCRIPTORS[protocol].simulator
    assert make is not None
    play_name = name.removesuffix("+")
    vendor = Recorder(simulated(make(play_name)))
    if name.endswith("+"):
        first = asked.play_with(vendor)
        asked = replace(asked, parts=GOES_ON[protocol, play_name], vendor_ids=first.core.attempts[-1].vendor_ids)
        vendor.scripts.clear()
    requests = asked.play_with(vendor).requests
    messages = tuple(number for number, request in enumerate(requests) if not request.path.startswith("/auth/"))
    fed = [number for number in messages if requests[number].framing is not None]
    return replace(
        asked,
        scripts=tuple(map(whole, vendor.scripts)),
        messages=messages,
        answer=(fed or messages)[-1],
        paced=tuple(vendor.scripts),
    )


def _settings(protocol: str, mode: str, name: str) -> Any:
    streams = mode != "document"
    match protocol:
        case "chatbase":
            return ChatbaseTarget("5QHA6VB", upstream_stream=streams)
        case "dimedove":
            return DimedoveTarget("app_1", upstream_stream=streams)
        case "dynamiq":
            return DynamiqTarget(APP)
        case "sema4":
            return Sema4Target("a1", upstream_stream=streams)
    is_run = name.startswith("workflow-") and name not in REFUSALS
    return HardwireTarget("gpt-4", workflow_id=WORKFLOW if is_run else None, upstream_stream=streams or is_run)

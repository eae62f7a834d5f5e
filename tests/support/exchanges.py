"""Whole exchanges with vendors, to be cut, split and spoilt: the recorded examples, and each play of the simulators.

An `Exchange` holds the question and the vendor's answers in the order of the requests. Which frames are a vendor's
success terminal is told here from its manual, apart from what the translators know.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.message import TextPart, ToolResultPart
from gateway.canonical.turn import AskPart
from gateway.protocols.base import Credentials, Head, Script, Send
from gateway.protocols.chatbase import CHATBASE
from gateway.protocols.chatbase.simulator import ChatbaseSimulator
from gateway.protocols.chatbase.translator import ChatbaseTarget
from gateway.protocols.hardwire import HARDWIRE
from gateway.protocols.hardwire.plays import PLAYS, REFUSALS
from gateway.protocols.hardwire.translator import HardwireTarget
from gateway.relay.core import Pace
from gateway.routing.plan import Deadlines, Target
from tests.support.play import (
    DOCUMENT,
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

EXAMPLES = Path(__file__).parents[1] / "protocols"
CHAT = "550e8400-e29b-41d4-a716-446655440000"
WORKFLOW = UUID("3f0b6a52-5a0e-4c3b-9b0a-0c1d2e3f4a5b")
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
PACE = Pace(headers_after=15, heartbeat=15)

TERMINALS = {"chatbase": {"finish"}, "hardwire": {"end", "complete", "run_completed"}}
DESCRIPTORS = {"chatbase": CHATBASE, "hardwire": HARDWIRE}
CREDENTIALS = {
    "chatbase": Credentials({"api_key": "k"}),
    "hardwire": Credentials({"email": "a@b.test", "password": "right"}),
}
COOKIE = Credentials({"cookie": "c=1", "user_id": "u"})


class Exchange(Struct, frozen=True):
    """`streams`: whether the client asked for a stream; `scripts` holds each of the vendor's answers in one piece.

    `messages` are the numbers of those that do not belong to a sign-in, `paced` holds a play's with their pauses.
    """

    protocol: str
    settings: Any
    scripts: tuple[Script, ...]
    messages: tuple[int, ...]
    is_play: bool = False
    streams: bool = True
    parts: tuple[AskPart, ...] = (TextPart("Hi"),)
    vendor_ids: dict[str, str] = {}
    credentials: Credentials = COOKIE
    wants_vendor_events: bool = False
    paced: tuple[Script, ...] = ()

    def play(self, change: Callable[[Script], Script] = whole, number: int = -1) -> Played:
        """The exchange with its answer `number` changed; the last is -1."""
        scripts = list(self.scripts)
        scripts[number] = change(scripts[number])
        return self.play_with(answers(*scripts))

    def play_with(self, vendor: Vendor) -> Played:
        target = Target("acme", self.protocol, self.settings, DEADLINES)
        make = DESCRIPTORS[self.protocol].translator
        assert make is not None
        question = Question(
            make,
            self.parts,
            vendor_ids=self.vendor_ids,
            stream=self.streams,
            wants_vendor_events=self.wants_vendor_events,
        )
        return play(question, vendor, targets=(target,), credentials=self.credentials, pace=PACE)

    def terminal(self) -> tuple[int, int]:
        """The number of the answer that holds the success terminal, and after how many of its bytes that is whole.

        An answer without one is whole behind its end.
        """
        if not self.settings.upstream_stream:
            last = len(self.scripts) - 1
            return last, len(body_of(self.scripts[last]).rstrip())
        streams = [number for number, script in enumerate(self.scripts) if is_stream(script)]
        number = streams[-1] if streams else len(self.scripts) - 1
        body = body_of(self.scripts[number])
        ends = (end for end in range(len(body) + 1) if _holds_terminal(body[:end], TERMINALS[self.protocol]))
        return number, next(ends, len(body) + 1)


def is_stream(script: Script) -> bool:
    head = script[0]
    return isinstance(head, Head) and "event-stream" in head.headers.get("Content-Type", "")


def _holds_terminal(data: bytes, terminals: set[str]) -> bool:
    """A block that a blank line closed, or a line that is JSON by itself, of one of these types."""
    *blocks, rest = data.split(b"\n\n")
    lines = [line for block in blocks for line in block.split(b"\n")]
    lines += [line for line in rest.split(b"\n") if line.startswith(b"{")]
    return any(_type_of(line.removeprefix(b"data: ")) in terminals for line in lines)


def _type_of(line: bytes) -> object:
    if not line.startswith(b"{"):
        return None
    try:
        return json.loads(line).get("type")
    except ValueError:
        return None


# --- examples


def examples() -> list[str]:
    paths = [path for path in sorted(EXAMPLES.glob("*/examples/**/*")) if path.suffix in {".sse", ".json"}]
    return [str(path.relative_to(EXAMPLES)) for path in paths if not path.name.endswith(".events.json")]


def example(name: str) -> Exchange:
    body = Send((EXAMPLES / name).read_bytes())
    protocol = name.partition("/")[0]
    is_document = name.endswith(".json")
    answer = (DOCUMENT if is_document else STREAM, body)
    if protocol == "chatbase":
        settings: Any = ChatbaseTarget("5QHA6VB", upstream_stream=not is_document)
        return Exchange(protocol, settings, (answer,), (0,), False, not is_document, credentials=CREDENTIALS[protocol])
    is_run = "/runs/" in name
    settings = HardwireTarget("gpt-4", workflow_id=WORKFLOW if is_run else None, upstream_stream=not is_document)
    scripts = (STARTED, answer, LISTED) if is_run else (answer,)
    numbers = tuple(range(len(scripts)))
    return Exchange(protocol, settings, scripts, numbers, False, not is_document, vendor_ids={"conversation": CHAT})


# --- plays


MODES = ("stream", "assembled", "document")
"""The client streams; it wants a document of what the vendor streams; the vendor is asked for a document too."""


def plays() -> list[tuple[str, str, str]]:
    """Protocol, mode and name of each play; a name that ends in `+` is that play's conversation going on."""
    return [
        *(("chatbase", mode, name) for mode in MODES for name in (*ChatbaseSimulator.plays, "client-action+")),
        *(("hardwire", mode, name) for mode in MODES for name in ("", *PLAYS) if _has(mode, name)),
    ]


def _has(mode: str, name: str) -> bool:
    """A workflow always streams; what is said of a document is only played in one."""
    return not name.startswith("workflow-") or mode != "document"


@cache
def recorded(protocol: str, mode: str, name: str) -> Exchange:
    """What a simulator answers, each answer in one piece."""
    credentials = CREDENTIALS[protocol]
    asked = Exchange(protocol, _settings(protocol, mode, name), (), (), True, mode == "stream", credentials=credentials)
    make = DESCRIPTORS[protocol].simulator
    assert make is not None
    vendor = Recorder(simulated(make(name.removesuffix("+"))))
    if name.endswith("+"):
        first = asked.play_with(vendor)
        results = (ToolResultPart("call_1", {"status": "shipped"}),)
        asked = replace(asked, parts=results, vendor_ids=first.core.attempts[-1].vendor_ids)
        vendor.scripts.clear()
    requests = asked.play_with(vendor).requests
    messages = tuple(number for number, request in enumerate(requests) if not request.path.startswith("/auth/"))
    return replace(asked, scripts=tuple(map(whole, vendor.scripts)), messages=messages, paced=tuple(vendor.scripts))


def _settings(protocol: str, mode: str, name: str) -> Any:
    streams = mode != "document"
    if protocol == "chatbase":
        return ChatbaseTarget("5QHA6VB", upstream_stream=streams)
    is_run = name.startswith("workflow-") and name not in REFUSALS
    return HardwireTarget("gpt-4", workflow_id=WORKFLOW if is_run else None, upstream_stream=streams or is_run)

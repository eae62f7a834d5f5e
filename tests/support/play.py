"""Plays one message against the relay's core without a socket, and holds what comes out against the laws.

    played = play(question, answers(script, ...))     scripts in the order of the requests, sign-in among them
    played = play(question, simulated(simulator))     whatever the vendor's simulator answers

A script is a simulator's: a head, bytes, pauses, a reset; behind its last step the body ends cleanly, and a script
without a head is a connection that says nothing. `SILENCE` is a pause that only a deadline ends. The clock stands still
but for pauses, which pass in steps of `TICK`, as the relay's sweeper looks at it.
"""

import itertools
import math
import uuid
from collections.abc import AsyncIterable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast
from urllib.parse import unquote

import msgspec
import pytest
from msgspec import Struct
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    MessageRouted,
    MessageStarted,
    TextCompleted,
    TextStarted,
)
from gateway.canonical.laws import check_stream
from gateway.canonical.message import TextPart
from gateway.canonical.turn import AskPart, Turn
from gateway.framing.sse import SseDecoder
from gateway.protocols.base import (
    Authorization,
    Calls,
    Credentials,
    Head,
    Pause,
    Reset,
    Script,
    Send,
    SimulatedRequest,
    Simulator,
    Step,
    Translator,
    VendorRequest,
    VendorResponse,
)
from gateway.protocols.native.dialect import NativeEncoder
from gateway.relay import rendering
from gateway.relay.answer import Limits
from gateway.relay.core import Core, Pace
from gateway.relay.upstream import split_base_url
from gateway.routing.failover import Failover
from gateway.routing.health import Health, HealthSettings
from gateway.routing.plan import Plan, Route, Target
from gateway.routing.rules import RouteRules, TargetRules

START = 1000.0
TICK = 0.5
SILENCE = Pause(math.inf)
STREAM = Head(200, {"Content-Type": "text/event-stream"})
DOCUMENT = Head(200, {"Content-Type": "application/json"})
STARTED = MessageStarted("msg_1", "conv_1", "support", datetime(2026, 11, 2, tzinfo=UTC))
NOTHING = Credentials({})

OUTCOMES = {MessageCompleted: "completed", MessageFailed: "failed", MessageCanceled: "canceled"}

Vendor = Callable[[VendorRequest, Mapping[str, str]], Script]

_decode_event = msgspec.json.Decoder(cast("type[Event]", Event)).decode


class Question:
    """What is asked (`relay.core.Ask`); fresh ids are counted, so that two plays of it are alike."""

    started = STARTED
    request_id = "req_1"
    can_discard = True

    def __init__(
        self,
        make: Callable[[Any, Blocks], Translator],
        parts: Sequence[AskPart] = (TextPart("Hi"),),
        *,
        vendor_ids: Mapping[str, str] | None = None,
        stream: bool = True,
        wants_vendor_events: bool = False,
    ) -> None:
        self._make = make
        self._parts = list(parts)
        self._vendor_ids = dict(vendor_ids or {})
        self.stream = stream
        self.wants_vendor_events = wants_vendor_events

    def is_prepared(self, target: Target) -> bool:
        return True

    async def prepare(self, target: Target) -> None:
        """Nothing is stored."""

    def turn(self, target: Target, partial: str) -> Turn:
        numbers = itertools.count()
        return Turn(
            self._parts,
            lambda: str(uuid.uuid5(uuid.NAMESPACE_URL, str(next(numbers)))),
            vendor_ids=self._vendor_ids,
            partial=partial,
            stream=self.stream,
        )

    def translator(self, target: Target, blocks: Blocks) -> Translator:
        return self._make(target.settings, blocks)

    def rebind(self, target: Target) -> bool:
        bound, self._vendor_ids = self._vendor_ids, {}
        return bool(bound)

    def rejoin(self, target: Target, vendor_ids: dict[str, str]) -> None:
        self._vendor_ids = {**vendor_ids, **self._vendor_ids}

    def is_secret(self, target: Target, text: str) -> bool:
        return "canary" in text


class Played(Struct):
    """A message that is over: what the client was sent, and what the vendor was asked."""

    core: Core
    data: bytes
    requests: list[VendorRequest]
    seconds: float

    @property
    def log(self) -> list[Event]:
        return self.core.answer.log

    @property
    def code(self) -> str | None:
        return self.core.error.code if self.core.error else None

    @property
    def cause(self) -> str | None:
        return self.core.attempts[-1].outcome

    @property
    def tags(self) -> list[str]:
        return [str(event.__struct_config__.tag) for event in self.log]


class Player:
    """Does what the core says until the message is over."""

    def __init__(self, core: Core, vendor: Vendor, credentials: Credentials = NOTHING, now: float = START) -> None:
        self.core = core
        self.now = now
        self.requests: list[VendorRequest] = []
        self._vendor = vendor
        self._credentials = credentials
        self._session: object = None
        self._began = now
        self._data: list[bytes] = []

    def run(self) -> Played:
        while self.core.do != "done":
            if self.core.do == "authorize":
                self._authorize()
            else:
                self._call()
        return Played(self.core, b"".join(self._data), self.requests, self.now - self._began)

    def _authorize(self) -> None:
        core, epoch = self.core, self.core.epoch
        if core.renew:
            self._session = None
        if core.not_before > self.now:
            self._wait(core.not_before - self.now)
            if core.epoch == epoch:
                self._hear(core.waited(self.now))
        if core.epoch != epoch:
            return
        try:
            authorization = self._sign_in(core.translator, core.translator.authorize(self._credentials, self._session))
        except Exception as error:  # noqa: BLE001  (as the relay's driver: a translator may be anybody's)
            if core.epoch == epoch:
                self._hear(core.unauthorized(error, self.now))
            return
        if core.epoch == epoch:
            self._session = authorization.session
            self._hear(core.authorized(authorization, self.now))

    def _sign_in(self, translator: Translator, calls: Calls[Authorization]) -> Authorization:
        try:
            request = next(calls)
            while True:
                response = self._fetch(request)
                if not 200 <= response.status < 300 and response.status not in request.own_statuses:
                    raise translator.refuse(response.status, response.headers, response.body)
                request = calls.send(response)
        except StopIteration as stop:
            authorization: Authorization = stop.value
            return authorization

    def _fetch(self, request: VendorRequest) -> VendorResponse:
        self.requests.append(request)
        response = VendorResponse(0, CIMultiDict())
        for step in self._vendor(request, {}):
            match step:
                case Head(status, headers):
                    response = VendorResponse(status, CIMultiDict(headers))
                case Send(data):
                    response = msgspec.structs.replace(response, body=response.body + data)
                case Pause(seconds):
                    self._wait(seconds)
                case Reset():
                    raise lost()
        return response

    def _call(self) -> None:
        core, epoch, request = self.core, self.core.epoch, self.core.request
        assert request is not None
        self._wait(request.after)
        if core.epoch != epoch:
            return
        self.requests.append(request)
        core.connects(self.now)
        self._hear(core.sent(self.now))
        for step in (*self._vendor(request, core.request_headers), None):
            self._tell(step)
            if core.epoch != epoch:
                return

    def _tell(self, step: Step | None) -> None:
        core = self.core
        match step:
            case Head(status, headers):
                self._hear(core.answered(status, CIMultiDict(headers), self.now))
            case Send(data):
                self._hear(core.received(data, self.now))
            case Pause(seconds):
                self._wait(seconds)
            case Reset():
                self._hear(core.ended(lost(), self.now))
            case None:
                self._hear(core.ended(None, self.now))

    def _wait(self, seconds: float) -> None:
        epoch, until = self.core.epoch, self.now + seconds
        while self.now < until and self.core.epoch == epoch:
            self.now = min(self.now + TICK, until)
            self._hear(self.core.tick(self.now))

    def _hear(self, data: bytes) -> None:
        if data:
            self._data.append(data)


ONCE = TargetRules(retries=0)
"""Of a target whose failures are not retried."""


def plan_of(*targets: Target, rules: RouteRules | None = None) -> Failover:
    """Over a route to vendors that are well; random numbers are 0.5."""
    route = Route("support", targets, rules=rules or RouteRules())
    health = Health({target.vendor: HealthSettings() for target in targets}, lambda: 0.5)
    plan = Failover(route, health, home=None, began=START)
    plan.reserve(START)
    return plan


def lost() -> GatewayError:
    return GatewayError("upstream_unavailable", "the connection broke", cause="reset_midstream")


def play(
    question: Question,
    vendor: Vendor,
    *,
    targets: tuple[Target, ...],
    plan: Plan | None = None,
    credentials: Credentials = NOTHING,
    limits: Limits | None = None,
    pace: Pace | None = None,
) -> Played:
    """One message from its start to its end; not yet held against the laws."""
    encoder = NativeEncoder() if question.stream else None
    plan = plan or plan_of(*targets)
    core = Core(question, plan, encoder, START, limits=limits or Limits(), pace=pace or Pace())
    return Player(core, vendor, credentials).run()


# --- vendors


def answers(*scripts: Script) -> Vendor:
    """One script for each request, in order."""
    left = iter(scripts)

    def answer(request: VendorRequest, headers: Mapping[str, str]) -> Script:
        script = next(left, None)
        assert script is not None, f"one request more than answers: {request}"
        return script

    return answer


def simulated(simulator: Simulator) -> Vendor:
    """The simulator, asked in the relay's own rendering."""

    def answer(request: VendorRequest, headers: Mapping[str, str]) -> Script:
        vendor = rendering.Vendor("acme", {request.base: split_base_url("http://acme.test")}, NOTHING)
        rendered = rendering.render(request, vendor, dict(headers))
        _, *lines = rendered.head.decode().strip().split("\r\n")
        every: CIMultiDict[str] = CIMultiDict()
        for line in lines:
            name, _, value = line.partition(": ")
            every.add(name, value)
        body = rendered.body if rendered.pieces is None else gathered(rendered.pieces)
        asked = SimulatedRequest(request.method, unquote(request.path), every, request.query, body)
        return list(simulator.answer(asked))

    return answer


def gathered(pieces: AsyncIterable[bytes]) -> bytes:
    """An upload that is there already: one that had to be waited for would never come."""

    async def gather() -> bytes:
        return b"".join([piece async for piece in pieces])

    with pytest.raises(StopIteration) as ended:
        gather().send(None)
    data: bytes = ended.value.value
    return data


class Recorder:
    """A vendor that remembers what another answered."""

    def __init__(self, vendor: Vendor) -> None:
        self.scripts: list[Script] = []
        self._vendor = vendor

    def __call__(self, request: VendorRequest, headers: Mapping[str, str]) -> Script:
        script = self._vendor(request, headers)
        self.scripts.append(script)
        return script


# --- scripts


def body_of(script: Script) -> bytes:
    return b"".join(step.data for step in script if isinstance(step, Send))


def whole(script: Script) -> Script:
    """The same answer at once, in one piece."""
    return (script[0], Send(body_of(script)))


def split(script: Script, at: int) -> Script:
    body = body_of(script)
    return (script[0], Send(body[:at]), Send(body[at:]))


def in_pieces(script: Script, size: int) -> Script:
    body = body_of(script)
    return (script[0], *(Send(body[start : start + size]) for start in range(0, len(body), size)))


def cut(script: Script, at: int, ending: Sequence[Step] = ()) -> Script:
    return (script[0], Send(body_of(script)[:at]), *ending)


# --- what must be true of every message that is over


def check(played: Played) -> None:
    """The laws, one terminal that fits the outcome, the client's bytes one by one, the message that they make."""
    core, log = played.core, played.log
    assert core.bugs == []
    check_stream(log)
    assert core.outcome == OUTCOMES[cast("Any", type(log[-1]))]
    assert (core.error is not None) == (core.outcome == "failed")
    assert all(attempt.outcome is not None for attempt in core.attempts)
    if core.answer.released:
        assert read_stream(played.data) == log
    else:
        assert played.data == b""
    if core.answer.committed:
        assert stored_texts(core) == spelled_texts(log)


def read_stream(data: bytes) -> list[Event]:
    """The events that a stream of whole frames brings, after their sequences were found to be 0, 1, 2 ..."""
    assert b"\r" not in data
    *frames, rest = data.split(b"\n\n")
    assert rest == b""
    assert all(frame.count(b"\n") == (0 if frame.startswith(b":") else 2) for frame in frames)
    return list(_read_frames(data))


def _read_frames(data: bytes) -> Iterator[Event]:
    for sequence, record in enumerate(SseDecoder().feed(data)):
        event = _decode_event(record.data)
        tag = str(event.__struct_config__.tag).encode()
        begin = b'{"type":"%b","sequence":%d' % (tag, sequence)
        assert record.data.startswith(begin)
        assert (record.name, record.id) == (tag, b"%d" % sequence)
        yield event


def spelled_texts(log: list[Event]) -> dict[int, str]:
    """What each text block came to, without those that were replaced or discarded."""
    texts: dict[int, str] = {}
    for event in log:
        if isinstance(event, MessageRouted) and event.discard:
            texts = {}
        elif isinstance(event, TextStarted) and event.replaces is not None:
            texts.pop(event.replaces, None)
        elif isinstance(event, TextCompleted):
            texts[event.block] = event.text
    return texts


def stored_texts(core: Core) -> dict[int, str]:
    parts = core.answer.parts()
    return {part.block or 0: part.text for part in parts if isinstance(part, TextPart)}

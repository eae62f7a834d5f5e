"""Every recorded answer, cut behind each of its frames while another target stands by, under each policy.

What the cut answer comes to alone, and what the other target answers alone, together say what the client must be told.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, cast

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.blocks import Blocks
from gateway.canonical.events import (
    CONTENT,
    Event,
    MessageCompleted,
    MessageRouted,
    ReasoningDelta,
    Source,
    TextDelta,
)
from gateway.canonical.message import Part, TextPart
from gateway.canonical.turn import Turn
from gateway.protocols.base import Reset, Script, Step, Translator, VendorRequest
from gateway.routing.plan import Target
from gateway.routing.rules import MidStream, TargetRules
from tests.support.exchanges import DESCRIPTORS, PACE, Exchange, example, examples
from tests.support.play import SILENCE, STARTED, Played, Question, answers, body_of, check, cut, play

pytestmark = pytest.mark.sweep

POLICIES: tuple[MidStream, ...] = ("fail", "restart", "continue")
ENDINGS: dict[str, tuple[Step, ...]] = {"clean": (), "reset": (Reset(),), "silence": (SILENCE,)}

SAMPLE = 3
"""Of so many frames a vendor falls silent behind one."""

SPOKEN = {TextDelta, ReasoningDelta, Source}

FRAME_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
LINE_END = re.compile(rb"\r\n|\r|\n")
INVENTED_ID = re.compile(r"[a-z]+(?:_\d+){1,2}")


class Standby(Question):
    """Two vendors with an exchange each; remembers what they were asked, and what they were given of the answer."""

    def __init__(self, first: Exchange, second: Exchange) -> None:
        super().__init__(first.make(), stream=first.streams)
        self.partials: list[str] = []
        self.requests: dict[str, list[VendorRequest]] = {"acme": [], "spare": []}
        self._exchanges = {"acme": first, "spare": second}
        self._at = ""

    def translator(self, target: Target, blocks: Blocks) -> Translator:
        self._at = target.vendor
        return self._exchanges[self._at].make()(target.settings, blocks)

    def turn(self, target: Target, partial: str) -> Turn:
        self.partials.append(partial)
        vendor_ids = self._exchanges[target.vendor].vendor_ids
        return msgspec.structs.replace(super().turn(target, partial), vendor_ids=vendor_ids)

    def play(self, policy: MidStream) -> Played:
        rules = {"acme": TargetRules(retries=0, mid_stream=policy), "spare": TargetRules(retries=0)}
        targets = tuple(
            Target(vendor, exchange.protocol, exchange.settings, exchange.deadlines, rules[vendor])
            for vendor, exchange in self._exchanges.items()
        )
        return play(self, self._answer, targets=targets, credentials=self._exchanges["acme"].credentials, pace=PACE)

    def _answer(self, request: VendorRequest, _: Mapping[str, str]) -> Script:
        asked = self.requests[self._at]
        asked.append(request)
        return self._exchanges[self._at].scripts[len(asked) - 1]


class Whole(Struct, frozen=True):
    """What the second target answers: its events from `message.routed` on, its parts, and what it is asked."""

    exchange: Exchange
    log: list[Event]
    parts: list[Part]
    requests: list[VendorRequest]


@cache
def whole_answer(name: str, *, streams: bool) -> Whole:
    """The same exchange once more, or a usual one of that vendor where it is no answer."""
    exchange = replace(example(name), streams=streams)
    played = exchange.play()
    if played.core.outcome != "completed":
        return whole_answer(f"{exchange.protocol}/examples/usual.sse", streams=streams)
    check(played)
    return Whole(exchange, [as_second(event) for event in played.log[1:]], played.core.answer.parts(), played.requests)


def as_second(event: Event) -> Event:
    match event:
        case MessageRouted():
            return replace(event, vendor="spare", attempt=2)
        case MessageCompleted():
            return replace(event, vendor="spare")
        case _:
            return event


def cases() -> list[Any]:
    return [
        pytest.param(name, streams, id=f"{name}-{'stream' if streams else 'document'}")
        for name in examples()
        for streams in (True, False)
        if name.endswith(".sse") or not streams
    ]


@pytest.mark.parametrize("ending", ENDINGS.values(), ids=ENDINGS)
@pytest.mark.parametrize(("name", "streams"), cases())
def test_an_answer_that_is_cut_goes_on_as_its_route_says(name: str, ending: tuple[Step, ...], *, streams: bool) -> None:
    whole = whole_answer(name, streams=streams)
    for policy, played, alone in sweep(name, ending, streams=streams):
        check(played)
        hold(played, alone, whole, policy)


@pytest.mark.parametrize("protocol", DESCRIPTORS)
def test_the_sweep_cuts_before_and_behind_the_first_content_of_each_vendor(protocol: str) -> None:
    met = {
        (policy, alone.core.answer.committed, len(played.core.attempts))
        for policy, played, alone in sweep(f"{protocol}/examples/usual.sse", (), streams=True)
        if alone.core.outcome == "failed"
    }
    before = {("fail", False, 2), ("restart", False, 2), ("continue", False, 2)}
    behind = {("fail", True, 1), ("restart", True, 2), ("continue", True, 2)}
    assert met >= before | behind


def sweep(name: str, ending: tuple[Step, ...], *, streams: bool) -> Iterator[tuple[MidStream, Played, Played]]:
    """Under which policy, what came of it, and what the answer that is cut comes to where nobody else may be asked."""
    exchange, second = replace(example(name), streams=streams), whole_answer(name, streams=streams).exchange
    for position in exchange.messages:
        ends = frame_ends(exchange.scripts[position])
        for number, at in enumerate(ends[::SAMPLE] if SILENCE in ending else ends):
            scripts = list(exchange.scripts)
            scripts[position] = cut(scripts[position], at, ending)
            first = replace(exchange, scripts=tuple(scripts))
            alone = first.play_with(answers(*scripts))
            for policy in POLICIES if streams else [POLICIES[number % 3]]:  # to a document they are all the same
                yield policy, Standby(first, second).play(policy), alone


def frame_ends(script: Script) -> Sequence[int]:
    """Where an answer is cut: before it, and behind each of its frames, or of its lines where it has no frames."""
    body = body_of(script)
    ends = [found.end() for found in FRAME_END.finditer(body)]
    if len(ends) < 2:
        ends += [found.end() for found in LINE_END.finditer(body)]
    return sorted({0, *ends, len(body)})


def hold(played: Played, alone: Played, whole: Whole, policy: MidStream) -> None:
    question = cast("Standby", played.core.ask)
    shown: list[Event] = alone.log[:-1] if question.stream else [STARTED]
    kept = alone.core.answer.parts() if question.stream and policy == "continue" else []
    log, parts = played.log, played.core.answer.parts()
    if not moves_on(alone, shown, policy):
        assert (log, parts) == (alone.log, alone.core.answer.parts())
        assert question.partials == [""]
        hold_requests(question, alone, [])
        return
    assert (log[: len(shown)], parts[: len(kept)]) == (shown, kept)
    assert alike(log[len(shown) :]) == alike(announced(alone, shown, whole, policy))
    assert alike(parts[len(kept) :]) == alike(whole.parts)
    assert question.partials == ["", "".join(part.text for part in kept if isinstance(part, TextPart))]
    hold_requests(question, alone, whole.requests)


def moves_on(alone: Played, shown: list[Event], policy: MidStream) -> bool:
    """Whether the second target is to be asked."""
    content = {type(event) for event in shown} & CONTENT
    if alone.core.outcome != "failed":
        return False
    return not content or policy == "restart" or (policy == "continue" and content <= SPOKEN)


def announced(alone: Played, shown: list[Event], whole: Whole, policy: MidStream) -> list[Event]:
    """What the client is told of the second target, which is a switch where it has seen the first."""
    routed, *rest = whole.log
    if len(shown) > 1:
        assert isinstance(routed, MessageRouted)
        assert alone.core.error is not None
        error = alone.core.error.body("req_1")
        routed = replace(routed, from_="acme", error=error, discard=policy == "restart")
    return [routed, *rest]


def hold_requests(question: Standby, alone: Played, second: list[VendorRequest]) -> None:
    """Each vendor is asked what it would be asked alone, and no more: its turn once."""
    acme, spare = question.requests.values()
    assert acme == alone.requests
    assert list(map(place, spare)) == list(map(place, second))
    assert [sum(request.effect == "once" for request in asked) for asked in (acme, spare)] == [1, len(second) and 1]
    if len(question.partials) > 1 and question.partials[1]:
        partial_text = msgspec.json.encode(question.partials[1])[1:-1]
        assert any(isinstance(request.body, bytes) and partial_text in request.body for request in spare)


def place(request: VendorRequest) -> tuple[str, str, str]:
    return request.method, request.path, request.effect


def alike(things: Sequence[Event] | Sequence[Part]) -> Any:
    """Without what a second attempt cannot have the same: numbers of blocks and steps, ids that we made up."""
    return _renumbered(msgspec.to_builtins(things), {})


def _renumbered(value: Any, names: dict[tuple[str, Any], int], key: str = "") -> Any:
    match value:
        case dict():
            return {key: _renumbered(inner, names, key) for key, inner in value.items()}
        case list():
            return [_renumbered(inner, names, key) for inner in value]
        case int() if key in {"block", "replaces", "step"}:
            return names.setdefault(("step" if key == "step" else "block", value), len(names))
        case str() if INVENTED_ID.fullmatch(value):
            return names.setdefault(("id", value), len(names))
        case _:
            return value

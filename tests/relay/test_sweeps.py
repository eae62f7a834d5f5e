"""Every recorded exchange, split, cut and spoilt in every way that a connection or a vendor can think of."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.canonical.events import CONTENT, Event
from gateway.protocols.base import Reset, Script, Send, Step, VendorRequest
from tests.support.exchanges import PACE, PATIENT, Exchange, example, examples, is_stream, plays, recorded
from tests.support.play import SILENCE, Played, Vendor, answers, body_of, check, cut, in_pieces, split
from tests.support.spoil import spoilt_bytes, spoilt_json

pytestmark = pytest.mark.sweep

Find = Callable[[], Exchange]

every_exchange = pytest.mark.parametrize(
    "find",
    [
        *(pytest.param(partial(example, name), id=name) for name in examples()),
        *(pytest.param(partial(recorded, *names), id="-".join(names)) for names in plays()),
    ],
)

PIECES = (1, 2, 3, 7)
SAMPLE = 16
"""Bytes between two cuts where not each is tried."""

MOST_SAMPLES = 60
"""Cuts of one body that are enough then, or about as many."""

LONG = 3000
"""Bytes above which a body is not cut after each of them. The longest of the vendors' own examples has 2,865."""

NEAR = 4
"""Bytes around a line's end that are tried even then."""

LINE_END = re.compile(rb"\r\n|\r|\n")

EXAMPLES = {body_of(each.scripts[each.answer]) for each in map(example, examples())}


class Checked:
    """Holds each ending against the laws once: most cuts of one stream come to the same."""

    def __init__(self) -> None:
        self._seen: dict[bytes, list[Event]] = {}

    def check(self, played: Played) -> None:
        if played.data and self._seen.get(played.data) == played.log and not played.core.bugs:
            return
        check(played)
        check_release(played)
        self._seen[played.data] = played.log


def check_release(played: Played) -> None:
    """A failure is a plain HTTP status, unless content or the time of the headers made them leave before it."""
    if played.core.answer._encoder is not None and played.core.outcome == "failed":
        has_content = any(type(event) in CONTENT for event in played.log)
        assert played.core.answer.released == (has_content or played.seconds > PACE.headers_after)


@every_exchange
def test_an_exchange_in_pieces_is_the_same_as_whole(find: Find) -> None:
    exchange = find()
    expected = exchange.play()
    check(expected)
    check_release(expected)
    for size in PIECES:
        assert told(exchange.play(partial(in_pieces, size=size))) == told(expected)
    for at in samples(exchange.scripts[exchange.answer], every=SAMPLE if exchange.is_play else 5):
        assert told(exchange.play(partial(split, at=at))) == told(expected)


def told(played: Played) -> tuple[bytes, list[Event]]:
    return played.data, played.log


@pytest.mark.parametrize("names", plays(), ids="-".join)
def test_a_play_at_its_own_pace_tells_the_same(names: tuple[str, str, str]) -> None:
    exchange = replace(recorded(*names), deadlines=PATIENT)
    played = exchange.play_with(answers(*exchange.paced))
    check(played)
    assert played.log == exchange.play().log


@every_exchange
@pytest.mark.parametrize("ending", [(), (Reset(),)], ids=["clean", "reset"])
def test_an_exchange_that_is_cut_is_completed_only_behind_its_terminal(find: Find, ending: tuple[Step, ...]) -> None:
    sweep(find(), ending, cuts)


@every_exchange
def test_an_exchange_that_falls_silent_is_completed_only_behind_its_terminal(find: Find) -> None:
    sweep(find(), (SILENCE,), lambda _, script: samples(script))


Choose = Callable[[Exchange, Script], Sequence[int]]


def samples(script: Script, every: int = SAMPLE) -> Sequence[int]:
    size = len(body_of(script))
    return range(0, size + 1, max(every, size // MOST_SAMPLES))


def cuts(exchange: Exchange, script: Script) -> Sequence[int]:
    """Where an answer is cut: an example everywhere, what a play repeats of the examples in samples.

    A long body, and a stream that only a play has, is cut everywhere near the ends of its lines, else in samples.
    """
    body = body_of(script)
    size = len(body)
    if exchange.is_play and (not exchange.streams or not is_stream(script) or body in EXAMPLES):
        return samples(script)
    if not exchange.is_play and size <= LONG:
        return range(size + 1)
    ends = [0, *(match.start() for match in LINE_END.finditer(body)), size]
    near = {at for end in ends for at in range(max(end - NEAR, 0), min(end + NEAR, size) + 1)}
    return sorted(near.union(range(0, size + 1, SAMPLE)))


@pytest.mark.parametrize("name", [name for name in examples() if "/dossier-" in name])
def test_each_example_of_a_vendors_own_is_cut_after_every_byte(name: str) -> None:
    exchange = example(name)
    assert list(cuts(exchange, exchange.scripts[0])) == list(range(len(body_of(exchange.scripts[0])) + 1))


def sweep(exchange: Exchange, ending: tuple[Step, ...], choose: Choose) -> None:
    """An answer that is cut is a failure or ends as the whole one does, and that only behind the vendor's terminal."""
    outcome, end = exchange.play().core.outcome, exchange.terminal()
    checked = Checked()
    for position in exchange.messages:
        script = exchange.scripts[position]
        for at in choose(exchange, script):
            played = exchange.play(partial(cut, at=at, ending=ending), position)
            checked.check(played)
            has_terminal = position != exchange.answer or at >= end
            if played.core.outcome != "failed":
                assert played.core.outcome == outcome, (position, at)
                assert has_terminal, (position, at)
            elif outcome != "failed" and position == exchange.answer and has_terminal:
                assert not is_enough(exchange, position, at, ending), (position, at, played.code)


def is_enough(exchange: Exchange, position: int, at: int, ending: tuple[Step, ...]) -> bool:
    """Whether what came by then is told to be whole: a document by its clean end alone, the rest by its last line."""
    script = exchange.scripts[position]
    is_last = position == len(exchange.scripts) - 1
    return not ending or (is_last and is_stream(script) and body_of(script)[at - 1 : at] in {b"\r", b"\n"})


# --- gone back to


def names_its_run(name: str) -> bool:
    return "hardwire/examples/runs/" in name or b'"type":"run.started"' in body_of(example(name).scripts[0])


RUNS = [name for name in examples() if names_its_run(name) and example(name).play().cause != "truncated"]
SEQUENCE = re.compile(rb'"sequence":(\d+)')


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("ending", [(), (Reset(),)], ids=["clean", "reset"])
def test_a_run_that_is_gone_back_to_is_told_as_if_nothing_had_broken(name: str, ending: tuple[Step, ...]) -> None:
    exchange = replace(example(name), goes_back=True)
    log, checked, resumes = exchange.play().log, Checked(), 0
    for at in cuts(exchange, exchange.scripts[exchange.answer]):
        played = exchange.play_with(broken_once(exchange, at, ending))
        checked.check(played)
        resumes += played.core.attempts[0].resumes
        assert played.log == log or (played.core.attempts[0].resumes, played.core.outcome) == (0, "failed"), at
    assert resumes > 0


def broken_once(exchange: Exchange, at: int, ending: tuple[Step, ...]) -> Vendor:
    """A vendor whose answer breaks off, and that tells the rest of the run, or all of it, to who goes back to it."""
    left = list(exchange.scripts)
    script = left[exchange.answer]
    left[exchange.answer : exchange.answer + 1] = [cut(script, at, ending)]
    path = ""

    def answer(request: VendorRequest, _: Mapping[str, str]) -> Script:
        nonlocal path
        place = len(exchange.scripts) - len(left)
        if place == exchange.answer + 1 and (request.path == path or "/runs/" in request.path):
            return rest(script, int(request.query.get("after_sequence", "0")))
        path = request.path
        return left.pop(0)

    return answer


def rest(script: Script, after: int) -> Script:
    """What comes behind the event of that number, and that event once more; all of what has no numbers."""
    frames = re.split(rb"(?<=\n\n)", body_of(script))
    numbers = [SEQUENCE.search(frame) for frame in frames]
    kept = [frame for frame, number in zip(frames, numbers, strict=True) if not number or int(number[1]) >= after]
    return (script[0], Send(b"".join(kept)))


# --- spoilt


FOUND: dict[str, Find] = {
    **{name: partial(example, name) for name in examples()},
    **{"-".join(names): partial(recorded, *names) for names in plays() if names[1] == "stream"},
}


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.data(), st.sampled_from(sorted(FOUND)))
def test_json_that_is_spoilt_breaks_no_law(data: st.DataObject, name: str) -> None:
    endure(data, FOUND[name](), spoilt_json)


@settings(max_examples=500, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.sampled_from(sorted(FOUND)))
def test_bytes_that_are_spoilt_break_no_law(data: st.DataObject, name: str) -> None:
    endure(data, FOUND[name](), spoilt_bytes)


def endure(data: st.DataObject, exchange: Exchange, spoil: Callable[[bytes], st.SearchStrategy[bytes]]) -> None:
    number = data.draw(st.sampled_from(exchange.messages))
    script = exchange.scripts[number]
    spoilt = (script[0], Send(data.draw(spoil(body_of(script)))))
    changed = in_pieces(spoilt, data.draw(st.sampled_from([7, 500, 10_000_000])))
    exchange = replace(exchange, wants_vendor_events=data.draw(st.booleans()))
    played = exchange.play(lambda _: changed, number)
    check(played)
    check_release(played)

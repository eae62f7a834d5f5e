"""Every recorded exchange, split, cut and spoilt in every way that a connection or a vendor can think of."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.canonical.events import CONTENT, Event
from gateway.protocols.base import Reset, Script, Send, Step
from tests.support.exchanges import Exchange, example, examples, is_stream, plays, recorded
from tests.support.play import SILENCE, Played, answers, body_of, check, cut, in_pieces, split
from tests.support.spoil import spoilt_bytes, spoilt_json

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
"""Bytes between two cuts by silence, which lasts many ticks, and between two cuts of what is cut as an example."""

EXAMPLES = {body_of(example(name).scripts[-1]) for name in examples()}


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
    """A failure before any content is a plain HTTP status, one after it travels in the stream."""
    if played.core.answer._encoder is not None and played.core.outcome == "failed":
        assert played.core.answer.released == any(type(event) in CONTENT for event in played.log)


@every_exchange
def test_an_exchange_in_pieces_is_the_same_as_whole(find: Find) -> None:
    exchange = find()
    expected = exchange.play()
    check(expected)
    check_release(expected)
    for size in PIECES:
        assert told(exchange.play(partial(in_pieces, size=size))) == told(expected)
    for at in positions(exchange.scripts[-1], exchange, every=5 if exchange.is_play else 1):
        assert told(exchange.play(partial(split, at=at))) == told(expected)


def told(played: Played) -> tuple[bytes, list[Event]]:
    return played.data, played.log


@pytest.mark.parametrize("names", plays(), ids="-".join)
def test_a_play_at_its_own_pace_tells_the_same(names: tuple[str, str, str]) -> None:
    exchange = recorded(*names)
    played = exchange.play_with(answers(*exchange.paced))
    check(played)
    assert played.log == exchange.play().log


@every_exchange
@pytest.mark.parametrize("ending", [(), (Reset(),)], ids=["clean", "reset"])
def test_an_exchange_that_is_cut_is_completed_only_behind_its_terminal(find: Find, ending: tuple[Step, ...]) -> None:
    sweep(find(), ending, every=1)


@every_exchange
def test_an_exchange_that_falls_silent_is_completed_only_behind_its_terminal(find: Find) -> None:
    sweep(find(), (SILENCE,), every=SAMPLE)


def positions(script: Script, exchange: Exchange, every: int = 1) -> range:
    """Where an answer is cut: each example and each new stream everywhere, what a play repeats in samples."""
    is_new = not exchange.is_play or (exchange.streams and is_stream(script) and body_of(script) not in EXAMPLES)
    return range(0, len(body_of(script)) + 1, every if is_new else SAMPLE)


def sweep(exchange: Exchange, ending: tuple[Step, ...], every: int) -> None:
    is_completed = exchange.play().core.outcome == "completed"
    number, end = exchange.terminal()
    checked = Checked()
    for position in exchange.messages:
        script = exchange.scripts[position]
        for at in positions(script, exchange, every):
            played = exchange.play(partial(cut, at=at, ending=ending), position)
            checked.check(played)
            has_terminal = position != number or at >= end
            if played.core.outcome == "completed":
                assert is_completed, (position, at)
                assert has_terminal, (position, at)
            elif is_completed and position == number and has_terminal:
                assert not is_enough(exchange, position, at, ending), (position, at, played.code)


def is_enough(exchange: Exchange, position: int, at: int, ending: tuple[Step, ...]) -> bool:
    """Whether what came by then is told to be whole: a document by its clean end alone, the rest by its last line."""
    script = exchange.scripts[position]
    is_last = position == len(exchange.scripts) - 1
    return not ending or (is_last and is_stream(script) and body_of(script)[at - 1 : at] == b"\n")


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
    played = exchange.play_with(answers(*exchange.scripts[:number], changed, *exchange.scripts[number + 1 :]))
    check(played)
    check_release(played)

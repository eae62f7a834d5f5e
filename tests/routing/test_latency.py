"""How long targets take to their first text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.latency import Latency

NOTES = st.lists(st.tuples(st.floats(0, 60), st.floats(0, 600)), min_size=1, max_size=20)
"""Each: seconds to the first text, and how long after the note before."""


def test_a_target_of_which_nothing_was_noted_has_no_mean() -> None:
    latency = Latency()
    latency.note("acme", 1.0, 100.0)
    assert latency.mean("acme", 100.0) == 1.0
    assert latency.mean("spare", 100.0) is None


def test_attempts_of_one_moment_weigh_the_same() -> None:
    latency = Latency()
    for seconds in (1.0, 2.0, 6.0):
        latency.note("acme", seconds, 100.0)
    assert latency.mean("acme", 100.0) == 3.0


def test_an_attempt_counts_half_after_a_half_life() -> None:
    latency = Latency(half_life=10.0)
    latency.note("acme", 4.0, 100.0)
    latency.note("acme", 1.0, 110.0)
    assert latency.mean("acme", 110.0) == 2.0
    latency.note("acme", 9.0, 120.0)
    assert latency.mean("acme", 120.0) == (4 / 4 + 1 / 2 + 9) / (1 / 4 + 1 / 2 + 1)


def test_the_usual_half_life_is_a_minute() -> None:
    latency = Latency()
    latency.note("acme", 4.0, 0.0)
    latency.note("acme", 1.0, 60.0)
    assert latency.mean("acme", 60.0) == 2.0


def test_silence_makes_nobody_quicker() -> None:
    latency = Latency()
    latency.note("acme", 5.0, 0.0)
    assert [latency.mean("acme", now) for now in (1.0, 60.0, 3600.0)] == [5.0, 5.0, 5.0]


def test_what_a_target_was_like_an_hour_ago_is_forgotten() -> None:
    latency = Latency()
    latency.note("acme", 5.0, 0.0)
    assert latency.mean("acme", 3600.1) is None
    latency.note("acme", 1.0, 4000.0)
    assert latency.mean("acme", 4000.0) == pytest.approx(1.0)


def test_a_note_after_a_very_long_silence_stands_alone() -> None:
    latency = Latency()
    latency.note("acme", 5.0, 0.0)
    latency.note("acme", 1.0, 1e9)
    assert latency.mean("acme", 1e9) == 1.0


def test_an_outage_outweighs_the_good_minutes_before_it_within_a_minute() -> None:
    """A vendor asked once a second that answered in half a second, and now lets its first-event deadline pass."""
    latency = Latency()
    for second in range(300):
        latency.note("acme", 0.5, float(second))
    latency.note("acme", 60.0, 300.0)
    mean = latency.mean("acme", 300.0)
    assert mean is not None
    assert mean > 1.0


@given(NOTES)
def test_a_mean_lies_between_the_least_and_the_greatest_that_was_noted(notes: list[tuple[float, float]]) -> None:
    latency, now = Latency(), 0.0
    for seconds, later in notes:
        now += later
        latency.note("acme", seconds, now)
    mean = latency.mean("acme", now)
    noted = [seconds for seconds, _ in notes]
    assert mean is not None
    assert min(noted) - 1e-9 <= mean <= max(noted) + 1e-9

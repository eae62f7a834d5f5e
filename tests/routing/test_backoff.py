"""How long a retry waits."""

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.backoff import BackoffSettings, delay, wait

USUAL = BackoffSettings()


def half() -> float:
    return 0.5


def test_the_bound_doubles_with_every_retry_up_to_the_cap() -> None:
    assert [delay(USUAL, attempt, half) for attempt in range(1, 9)] == [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]


@pytest.mark.parametrize(("random", "seconds"), [(0.0, 0.0), (0.25, 0.5), (0.75, 1.5)])
def test_a_retry_waits_anything_from_nothing_to_the_bound(random: float, seconds: float) -> None:
    assert delay(USUAL, 4, lambda: random) == seconds


def test_a_cap_below_the_base_is_the_bound_from_the_start() -> None:
    assert [delay(BackoffSettings(base=4, cap=1), attempt, half) for attempt in (1, 2)] == [0.5, 0.5]


def test_the_thousandth_retry_waits_as_long_as_the_cap_says() -> None:
    assert delay(BackoffSettings(base=0.001, cap=3600), 10_000, half) == 1800.0


@pytest.mark.parametrize(
    ("hint", "seconds"),
    [(None, 1.0), (0.0, 1.0), (0.5, 1.0), (1.5, 1.5), (60.0, 60.0), (90.0, 60.0), (math.inf, 60.0), (-1.0, 1.0)],
)
def test_a_hint_wins_where_it_is_longer_and_is_cut_where_it_is_too_long(hint: float | None, seconds: float) -> None:
    assert wait(USUAL, 4, hint, half) == seconds


def test_a_hint_may_count_for_nothing() -> None:
    assert wait(BackoffSettings(max_hint=0), 4, 30.0, half) == 1.0


settings = st.builds(
    BackoffSettings, base=st.floats(0.001, 3600), cap=st.floats(0.001, 3600), max_hint=st.floats(0, 86_400)
)
hints = st.none() | st.floats(0, 1e9)
randoms = st.floats(0, 1, exclude_max=True)


@given(settings, st.integers(1, 10_000), hints, randoms)
def test_no_retry_waits_longer_than_the_cap_and_the_longest_hint(
    settings: BackoffSettings, attempt: int, hint: float | None, random: float
) -> None:
    own = delay(settings, attempt, lambda: random)
    assert 0 <= own <= min(settings.cap, settings.base * 2 ** min(attempt - 1, 100))
    assert own <= wait(settings, attempt, hint, lambda: random) <= max(own, settings.max_hint)


def test_a_backoff_is_set_as_is_usual() -> None:
    assert msgspec.convert({}, BackoffSettings) == BackoffSettings(base=0.25, cap=8, max_hint=60)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"bases": 1}, "unknown field `bases`"),
        ({"base": 0}, ">= 0.001 - at `\\$.base`"),
        ({"cap": 3601}, "<= 3600.0 - at `\\$.cap`"),
        ({"max_hint": -1}, ">= 0.0 - at `\\$.max_hint`"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, BackoffSettings)

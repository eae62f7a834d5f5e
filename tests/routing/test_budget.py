"""How many retries a vendor's first attempts allow."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.budget import Budget, BudgetSettings


def taken(budget: Budget, times: int, now: float) -> int:
    return sum(budget.take(now) for _ in range(times))


def test_a_vendor_that_is_seldom_asked_can_be_asked_again() -> None:
    budget = Budget(BudgetSettings())
    assert budget.left(100.0) == 10
    assert taken(budget, 20, 100.0) == 10
    assert budget.left(100.0) == 0


def test_of_many_first_attempts_a_share_may_be_tried_again() -> None:
    budget = Budget(BudgetSettings())
    for _ in range(100):
        budget.first(100.0)
    assert budget.left(105.0) == 20
    assert taken(budget, 50, 105.0) == 20
    budget.first(105.0)
    assert 0 < budget.left(105.0) < 1
    assert not budget.take(105.0)


def test_retries_are_paid_back_when_the_window_is_over() -> None:
    budget = Budget(BudgetSettings(minimum=2))
    assert taken(budget, 3, 100.0) == 2
    assert [budget.left(now) for now in (100.0, 110.0, 110.75, 111.0)] == [0, 0, 0, 2]


def test_first_attempts_of_long_ago_allow_nothing() -> None:
    budget = Budget(BudgetSettings(minimum=2))
    for _ in range(100):
        budget.first(100.0)
    assert [budget.left(now) for now in (109.75, 110.0)] == [20, 2]


def test_retries_of_which_more_are_not_allowed_any_longer_leave_nothing() -> None:
    budget = Budget(BudgetSettings(minimum=2))
    for _ in range(100):
        budget.first(100.0)
    assert taken(budget, 20, 109.0) == 20
    assert budget.left(110.0) == 0
    assert not budget.take(110.0)


def test_where_nothing_is_allowed_nothing_is_tried_again() -> None:
    budget = Budget(BudgetSettings(share=0, minimum=0))
    budget.first(100.0)
    assert not budget.take(100.0)


steps = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 8), st.integers(0, 8)), max_size=60)


@given(steps, st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(0, 4))
def test_at_every_retry_those_of_the_window_are_within_the_share_of_its_first_attempts(
    steps: list[tuple[int, int, int]], share: float, minimum: int
) -> None:
    """Against a list of all that happened; a refusal is looked at too, with a slice of tolerance."""
    budget = Budget(BudgetSettings(share=share, minimum=minimum, window=10))
    now = 1000.0
    firsts: list[float] = []
    retries: list[float] = []
    for quarters, asked, asked_again in steps:
        now += quarters / 4
        for _ in range(asked):
            budget.first(now)
            firsts.append(now)
        for _ in range(asked_again):
            if budget.take(now):
                retries.append(now)
                allowed = max(minimum, share * sum(then > now - 10 for then in firsts))
                assert sum(then >= now - 10 for then in retries) <= allowed
            else:
                allowed = max(minimum, share * sum(then >= now - 9 for then in firsts))
                assert sum(then > now - 11 for then in retries) + 1 > allowed


def test_a_budget_is_set_as_is_usual() -> None:
    assert msgspec.convert({}, BudgetSettings) == BudgetSettings(share=0.2, minimum=10, window=10)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"shares": 1}, "unknown field `shares`"),
        ({"share": -0.1}, ">= 0.0 - at `\\$.share`"),
        ({"share": 1.1}, "<= 1.0 - at `\\$.share`"),
        ({"minimum": -1}, ">= 0 - at `\\$.minimum`"),
        ({"window": 0}, "> 0.0 - at `\\$.window`"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, BudgetSettings)

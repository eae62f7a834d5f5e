"""In which order the targets of a message are asked."""

from collections import Counter
from itertools import permutations
from random import Random
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.latency import Latency
from gateway.routing.order import EXPLORED, Bound, Candidate, Stickiness, Strategy, Weight, order

NOW = 1000.0
STAYS = Stickiness()
FREE = Stickiness(mode="none")
MESSAGES = 20_000

ACME = Candidate("acme", "acme")
BOLT = Candidate("bolt", "bolt")
SPARE = Candidate("spare", "spare")
THREE = (ACME, BOLT, SPARE)

strategies = st.sampled_from(get_args(Strategy))
seconds = st.floats(0, 60)
bounds = st.none() | st.builds(Bound, st.integers(0, 9), st.none() | seconds)
stickinesses = st.builds(Stickiness, st.sampled_from(["none", "prefer"]), st.none() | seconds)


def means(**noted: float) -> Latency:
    latency = Latency()
    for key, value in noted.items():
        latency.note(key, value, NOW)
    return latency


def asked(
    candidates: tuple[Candidate[str], ...] = THREE,
    strategy: Strategy = "priority",
    *,
    stickiness: Stickiness = STAYS,
    bound: Bound | None = None,
    latency: Latency | None = None,
    random: float = 0.5,
) -> list[str]:
    return order(
        candidates,
        strategy,
        stickiness=stickiness,
        bound=bound,
        latency=latency or Latency(),
        now=NOW,
        random=lambda: random,
    )


def tally(candidates: tuple[Candidate[str], ...], strategy: Strategy, latency: Latency) -> Counter[tuple[str, ...]]:
    """How many of `MESSAGES` had each order."""
    random = Random(7).random
    return Counter(
        tuple(order(candidates, strategy, stickiness=STAYS, bound=None, latency=latency, now=NOW, random=random))
        for _ in range(MESSAGES)
    )


def firsts(orders: Counter[tuple[str, ...]]) -> dict[str, float]:
    """The share of the messages that begin with each target."""
    shares: Counter[str] = Counter()
    for names, count in orders.items():
        shares[names[0]] += count
    return {name: count / MESSAGES for name, count in shares.items()}


def near(share: float) -> object:
    """Within five standard deviations: for a right share, fewer than one seed in a million is beyond."""
    return pytest.approx(share, abs=5 * (share * (1 - share) / MESSAGES) ** 0.5)


# --- whatever the strategy


@given(
    st.lists(st.tuples(st.integers(0, 9), st.just(0.0) | st.floats(0, 1_000_000), st.none() | seconds), max_size=10),
    strategies,
    stickinesses,
    bounds,
    st.randoms(use_true_random=False),
)
def test_every_target_is_asked_exactly_once(
    rows: list[tuple[int, float, float | None]],
    strategy: Strategy,
    stickiness: Stickiness,
    bound: Bound | None,
    random: Random,
) -> None:
    latency = Latency()
    for key, _, noted in rows:
        if noted is not None:
            latency.note(key, noted, NOW)
    candidates = [Candidate(place, key, weight) for place, (key, weight, _) in enumerate(rows)]
    places = order(
        candidates, strategy, stickiness=stickiness, bound=bound, latency=latency, now=NOW, random=random.random
    )
    assert sorted(places) == list(range(len(rows)))


@pytest.mark.parametrize("strategy", get_args(Strategy))
@pytest.mark.parametrize("random", [0.0, 1 - 2**-53])
def test_the_ends_of_chance_are_no_exception(strategy: Strategy, random: float) -> None:
    assert sorted(asked(strategy=strategy, random=random)) == ["acme", "bolt", "spare"]
    assert asked((ACME,), strategy, random=random) == ["acme"]
    assert asked((), strategy, random=random) == []


def test_a_target_need_not_be_hashable_nor_differ_from_another() -> None:
    twins = [Candidate({"vendor": "acme"}, "acme"), Candidate({"vendor": "acme"}, "acme")]
    assert order(
        twins, "priority", stickiness=STAYS, bound=Bound("acme"), latency=Latency(), now=NOW, random=Random(7).random
    ) == [{"vendor": "acme"}, {"vendor": "acme"}]


# --- the strategies


def test_priority_keeps_the_order_of_the_configuration() -> None:
    assert asked((SPARE, ACME, BOLT), latency=means(spare=9.0, acme=1.0)) == ["spare", "acme", "bolt"]


def test_weights_are_the_shares_of_the_first_and_of_the_next_among_the_rest() -> None:
    weights = {"acme": 6.0, "bolt": 3.0, "spare": 1.0}
    orders = tally(tuple(Candidate(name, name, weight) for name, weight in weights.items()), "weighted", Latency())
    expected = {
        (first, second, third): weights[first] / 10 * weights[second] / (10 - weights[first])
        for first, second, third in permutations(weights)
    }
    assert {names: count / MESSAGES for names, count in orders.items()} == {
        names: near(share) for names, share in expected.items()
    }


def test_weights_need_not_be_small_numbers() -> None:
    orders = tally((Candidate("acme", "acme", 750_000.0), Candidate("bolt", "bolt", 250_000.0)), "weighted", Latency())
    assert firsts(orders) == {"acme": near(0.75), "bolt": near(0.25)}


def test_targets_of_weight_0_are_asked_after_all_others_as_they_are_configured() -> None:
    last = (Candidate("spare", "spare", 0.0), Candidate("bolt", "bolt", 0.0))
    assert set(tally((*last, Candidate("acme", "acme", 0.001)), "weighted", Latency())) == {("acme", "spare", "bolt")}


def test_a_weight_is_no_negative_number() -> None:
    assert [msgspec.convert(weight, Weight) for weight in (0, 2.5)] == [0.0, 2.5]
    for weight in (-1, float("nan"), float("inf")):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(weight, Weight)


def test_the_quickest_to_its_first_text_is_asked_first() -> None:
    assert asked(strategy="least_latency", latency=means(acme=2.0, bolt=3.0, spare=1.0)) == ["spare", "acme", "bolt"]


def test_one_message_in_fifty_begins_with_another_target_than_the_quickest() -> None:
    orders = tally(THREE, "least_latency", means(acme=2.0, bolt=60.0, spare=1.0))
    assert {names: count / MESSAGES for names, count in orders.items()} == {
        ("spare", "acme", "bolt"): near(1 - EXPLORED),
        ("acme", "spare", "bolt"): near(EXPLORED / 2),
        ("bolt", "spare", "acme"): near(EXPLORED / 2),
    }


def test_targets_of_which_nothing_is_known_are_asked_evenly() -> None:
    orders = tally(THREE, "least_latency", Latency())
    assert {names: count / MESSAGES for names, count in orders.items()} == {
        names: near(1 / 6) for names in permutations(("acme", "bolt", "spare"))
    }


def test_an_unknown_target_shares_with_the_quickest_and_goes_before_the_others() -> None:
    orders = tally(THREE, "least_latency", means(acme=2.0, bolt=1.0))
    even = (1 - EXPLORED) / 2
    assert {names: count / MESSAGES for names, count in orders.items()} == {
        ("bolt", "spare", "acme"): near(even + EXPLORED / 4),
        ("spare", "bolt", "acme"): near(even + EXPLORED / 4),
        ("acme", "bolt", "spare"): near(EXPLORED / 4),
        ("acme", "spare", "bolt"): near(EXPLORED / 4),
    }


def test_a_target_that_was_slow_once_wins_its_place_back() -> None:
    """Two messages a second. Acme answers in half a second, but let one deadline pass; bolt takes a second."""
    latency, random = means(acme=60.0, bolt=1.0), Random(7).random
    begun: list[str] = []
    for message in range(2000):
        now = NOW + message / 2
        first = order(
            (ACME, BOLT), "least_latency", stickiness=STAYS, bound=None, latency=latency, now=now, random=random
        )[0]
        latency.note(first, {"acme": 0.5, "bolt": 1.0}[first], now)
        begun.append(first)
    assert begun[:100].count("bolt") > 90
    assert begun[-100:].count("acme") > 90


# --- a conversation that is somewhere


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_a_conversation_stays_where_it_is_and_the_others_follow_as_they_would_without_it(strategy: Strategy) -> None:
    latency = means(acme=1.0, bolt=2.0, spare=3.0)
    free = asked(strategy=strategy, latency=latency)
    bound = asked(strategy=strategy, latency=latency, bound=Bound("spare"))
    assert bound == ["spare", *(name for name in free if name != "spare")]


def test_where_conversations_are_told_not_to_stay_the_strategy_alone_decides() -> None:
    assert asked(stickiness=FREE, bound=Bound("spare")) == ["acme", "bolt", "spare"]
    assert asked(stickiness=Stickiness(mode="none", return_after=60.0), bound=Bound("spare", moved=1.0)) == [
        "acme",
        "bolt",
        "spare",
    ]


def test_a_conversation_at_a_target_that_may_not_be_asked_now_goes_to_the_others() -> None:
    assert asked((ACME, BOLT), bound=Bound("spare")) == ["acme", "bolt"]


def test_a_new_conversation_is_the_strategys() -> None:
    assert asked(bound=None) == ["acme", "bolt", "spare"]


@pytest.mark.parametrize(
    ("return_after", "moved", "first"),
    [
        (None, 0.0, "spare"),
        (None, 1e9, "spare"),
        (0.0, 0.0, "acme"),
        (0.0, 0.1, "acme"),
        (60.0, 0.0, "spare"),
        (60.0, 59.9, "spare"),
        (60.0, 60.0, "acme"),
        (60.0, 61.0, "acme"),
    ],
)
def test_a_conversation_that_a_failure_moved_returns_when_its_time_has_come(
    return_after: float | None, moved: float, first: str
) -> None:
    assert asked(stickiness=Stickiness(return_after=return_after), bound=Bound("spare", moved))[0] == first


@given(strategies, st.none() | seconds, st.randoms(use_true_random=False))
def test_a_conversation_that_no_failure_moved_has_nowhere_to_return_to(
    strategy: Strategy, return_after: float | None, random: Random
) -> None:
    stickiness = Stickiness(return_after=return_after)
    first = order(
        THREE,
        strategy,
        stickiness=stickiness,
        bound=Bound("spare"),
        latency=Latency(),
        now=NOW,
        random=random.random,
    )[0]
    assert first == "spare"


def test_conversations_stay_unless_the_configuration_says_otherwise() -> None:
    assert msgspec.convert({}, Stickiness) == Stickiness(mode="prefer", return_after=None)
    assert msgspec.convert({"mode": "none", "return_after": 0}, Stickiness) == Stickiness("none", 0.0)
    for wrong in ({"mode": "always"}, {"return_after": -1}, {"return_afer": 1}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, Stickiness)

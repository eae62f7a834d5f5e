"""When a target is left alone, for how long, and what lets it back in."""

from functools import partial
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.canonical.errors import CAUSES, Cause, Code, GatewayError
from gateway.routing.breaker import VERDICTS, Breaker, BreakerSettings, Ticket, Verdict, Window, verdict


def none() -> float:
    return 0.0


def call(breaker: Breaker, *verdicts: Verdict, now: float, times: int = 1) -> None:
    for said in verdicts * times:
        ticket = breaker.begin(now)
        assert ticket is not None
        breaker.end(ticket, said, now, none)


def opened(settings: BreakerSettings, now: float) -> Breaker:
    breaker = Breaker(settings)
    call(breaker, "bad", now=now, times=settings.minimum)
    return breaker


def probe(breaker: Breaker, now: float) -> Ticket:
    ticket = breaker.begin(now)
    assert ticket is not None
    return ticket


# --- what opens it


def test_a_target_of_which_half_the_calls_fail_is_left_alone() -> None:
    breaker = Breaker(BreakerSettings(minimum=4))
    call(breaker, "good", "good", "bad", now=100.0)
    assert (breaker.state(100.0), breaker.admits(100.0), breaker.wait(100.0)) == ("closed", True, 0.0)
    call(breaker, "bad", now=100.0)
    assert (breaker.state(100.0), breaker.admits(100.0), breaker.wait(100.0)) == ("open", False, 30.0)
    assert breaker.begin(129.75) is None


def test_a_target_of_which_fewer_calls_fail_is_asked_on() -> None:
    breaker = Breaker(BreakerSettings(minimum=4))
    call(breaker, "good", "good", "good", "bad", "bad", now=100.0, times=10)
    assert breaker.state(100.0) == "closed"


def test_too_few_calls_say_nothing() -> None:
    breaker = Breaker(BreakerSettings())
    call(breaker, "bad", now=100.0, times=9)
    assert breaker.state(100.0) == "closed"
    call(breaker, "bad", now=100.0)
    assert breaker.state(100.0) == "open"


def test_failures_of_long_ago_are_forgotten() -> None:
    breaker = Breaker(BreakerSettings(minimum=4))
    call(breaker, "bad", "bad", "bad", now=100.0)
    call(breaker, "bad", now=130.0)
    assert breaker.state(130.0) == "closed"


def test_failures_of_the_whole_window_count_together() -> None:
    breaker = Breaker(BreakerSettings(minimum=4))
    for now in (100.0, 108.0, 116.0, 126.0):
        call(breaker, "bad", now=now)
    assert breaker.state(126.0) == "open"


def test_a_target_that_is_slow_as_often_as_is_too_much_is_left_alone() -> None:
    breaker = Breaker(BreakerSettings(minimum=4, slow_ratio=0.75))
    call(breaker, "slow", "slow", "good", now=100.0)
    assert breaker.state(100.0) == "closed"
    call(breaker, "slow", now=100.0)
    assert breaker.state(100.0) == "open"


def test_a_success_never_opens_the_breaker_though_older_ones_are_forgotten() -> None:
    breaker = Breaker(BreakerSettings(minimum=4))
    call(breaker, "good", now=100.0, times=4)
    call(breaker, "bad", now=120.0, times=3)
    call(breaker, "good", now=131.0)
    assert breaker.state(131.0) == "closed"
    call(breaker, "bad", now=131.0)
    assert breaker.state(131.0) == "open"


def test_calls_that_say_nothing_are_not_counted() -> None:
    breaker = Breaker(BreakerSettings(minimum=4))
    call(breaker, "neutral", "bad", "neutral", now=100.0, times=3)
    assert breaker.state(100.0) == "closed"
    call(breaker, "neutral", "bad", now=100.0)
    assert breaker.state(100.0) == "open"


# --- what closes it


def test_after_its_time_one_call_probes_the_target_while_the_others_wait() -> None:
    breaker = opened(BreakerSettings(), 100.0)
    assert [breaker.state(now) for now in (129.75, 130.0, 9999.0)] == ["open", "half_open", "half_open"]
    assert [breaker.wait(now) for now in (110.0, 129.75, 130.0)] == [20.0, 0.25, 0.0]
    probe(breaker, 130.0)
    assert breaker.begin(130.0) is None
    assert (breaker.state(131.0), breaker.admits(131.0), breaker.wait(131.0)) == ("half_open", False, 30.0)


def test_as_many_calls_probe_the_target_at_once_as_are_allowed() -> None:
    breaker = opened(BreakerSettings(probes=2), 100.0)
    assert [breaker.begin(130.0) is not None for _ in range(3)] == [True, True, False]


def test_a_good_probe_closes_the_breaker_and_all_that_was_is_forgotten() -> None:
    breaker = opened(BreakerSettings(minimum=4, window=60), 100.0)
    breaker.end(probe(breaker, 130.0), "good", 131.0, none)
    assert breaker.state(131.0) == "closed"
    call(breaker, "bad", "bad", "bad", now=131.0)
    assert breaker.state(131.0) == "closed"


@pytest.mark.parametrize("said", ["bad", "slow"])
def test_each_probe_that_fails_doubles_the_time_up_to_the_longest(said: Verdict) -> None:
    breaker = opened(BreakerSettings(open_for=30, max_open=100), 0.0)
    now = 0.0
    waits = []
    for _ in range(4):
        waits.append(breaker.wait(now))
        now += breaker.wait(now)
        breaker.end(probe(breaker, now), said, now, none)
    assert waits == [30.0, 60.0, 100.0, 100.0]


def test_once_it_was_closed_the_breaker_opens_for_its_first_time_again() -> None:
    breaker = opened(BreakerSettings(minimum=1), 0.0)
    breaker.end(probe(breaker, 30.0), "bad", 30.0, none)
    assert breaker.wait(30.0) == 60.0
    breaker.end(probe(breaker, 90.0), "good", 90.0, none)
    call(breaker, "bad", now=90.0)
    assert breaker.wait(90.0) == 30.0


def test_a_probe_that_says_nothing_gives_its_place_back() -> None:
    breaker = opened(BreakerSettings(), 100.0)
    breaker.end(probe(breaker, 130.0), "neutral", 131.0, none)
    assert (breaker.state(131.0), breaker.wait(131.0)) == ("half_open", 0.0)
    probe(breaker, 131.0)


@pytest.mark.parametrize(("random", "seconds"), [(0.0, 40.0), (0.5, 35.0), (0.75, 32.5)])
def test_breakers_that_opened_together_do_not_probe_together(random: float, seconds: float) -> None:
    breaker = Breaker(BreakerSettings(minimum=1, open_for=40, jitter=0.25))
    breaker.end(probe(breaker, 100.0), "bad", 100.0, lambda: random)
    assert breaker.wait(100.0) == seconds


# --- what a probe of the vendor's health does


def test_a_tripped_breaker_is_as_if_its_window_had_decided() -> None:
    breaker = Breaker(BreakerSettings(jitter=0.25))
    breaker.trip(100.0, lambda: 0.5, 10.0)
    assert (breaker.state(100.0), breaker.admits(100.0), breaker.wait(100.0)) == ("open", False, 26.25)
    assert breaker.state(126.25) == "half_open"
    breaker.end(probe(breaker, 126.25), "good", 127.0, none)
    assert breaker.state(127.0) == "closed"


def test_a_breaker_that_is_tripped_is_open_for_as_long_as_is_asked_at_least() -> None:
    breaker = Breaker(BreakerSettings(open_for=10, max_open=10))
    breaker.trip(100.0, none, 20.0)
    assert breaker.wait(100.0) == 20.0
    breaker.end(probe(breaker, 120.0), "bad", 120.0, none)
    assert breaker.wait(120.0) == 10.0


def test_an_open_breaker_that_is_tripped_again_stays_open_and_is_never_open_for_less() -> None:
    breaker = opened(BreakerSettings(), 100.0)
    breaker.trip(105.0, none, 10.0)
    assert breaker.wait(105.0) == 25.0
    breaker.trip(125.0, none, 10.0)
    assert breaker.wait(125.0) == 10.0
    assert breaker.state(135.0) == "half_open"


def test_a_half_open_breaker_that_is_tripped_opens_for_no_longer_than_before() -> None:
    breaker = opened(BreakerSettings(), 0.0)
    breaker.end(probe(breaker, 30.0), "bad", 30.0, none)
    breaker.trip(90.0, none, 10.0)
    assert (breaker.state(90.0), breaker.wait(90.0)) == ("open", 60.0)
    breaker.end(probe(breaker, 150.0), "bad", 150.0, none)
    assert breaker.wait(150.0) == 120.0


def test_calls_that_began_before_the_breaker_was_tripped_count_for_nothing() -> None:
    breaker = Breaker(BreakerSettings(minimum=1))
    early = probe(breaker, 100.0)
    breaker.trip(100.0, none, 10.0)
    breaker.end(early, "good", 101.0, none)
    assert breaker.state(101.0) == "open"
    running = probe(breaker, 130.0)
    breaker.trip(131.0, none, 10.0)
    breaker.end(running, "good", 132.0, none)
    assert breaker.state(132.0) == "open"
    assert [breaker.begin(161.0) is not None for _ in range(2)] == [True, False]


def test_an_open_breaker_that_is_woken_lets_one_call_probe_at_once() -> None:
    breaker = opened(BreakerSettings(), 100.0)
    breaker.wake(105.0)
    assert (breaker.state(105.0), breaker.wait(105.0)) == ("half_open", 0.0)
    running = probe(breaker, 105.0)
    breaker.wake(106.0)
    assert breaker.begin(106.0) is None
    breaker.end(running, "bad", 107.0, none)
    assert breaker.wait(107.0) == 60.0


def test_a_closed_breaker_that_is_woken_goes_on_counting() -> None:
    breaker = Breaker(BreakerSettings(minimum=2))
    call(breaker, "bad", now=100.0)
    breaker.wake(100.0)
    assert breaker.state(100.0) == "closed"
    call(breaker, "bad", now=100.0)
    assert breaker.state(100.0) == "open"


# --- calls that end late, or twice


def test_a_call_from_before_the_breaker_opened_counts_for_nothing_after_it() -> None:
    breaker = Breaker(BreakerSettings(minimum=2))
    late = [probe(breaker, 100.0) for _ in range(6)]
    call(breaker, "bad", "bad", now=100.0)
    breaker.end(late[0], "bad", 110.0, none)
    assert breaker.wait(110.0) == 20.0
    breaker.end(late[1], "good", 110.0, none)
    assert breaker.state(110.0) == "open"
    running = probe(breaker, 130.0)
    breaker.end(late[2], "good", 131.0, none)
    breaker.end(late[3], "neutral", 131.0, none)
    assert (breaker.state(131.0), breaker.admits(131.0)) == ("half_open", False)
    breaker.end(running, "good", 132.0, none)
    breaker.end(late[4], "bad", 132.0, none)
    breaker.end(late[5], "bad", 132.0, none)
    assert breaker.state(132.0) == "closed"


def test_a_probe_that_ends_after_another_decided_counts_for_nothing() -> None:
    breaker = opened(BreakerSettings(probes=2), 100.0)
    first, second = probe(breaker, 130.0), probe(breaker, 130.0)
    breaker.end(first, "bad", 131.0, none)
    breaker.end(second, "good", 132.0, none)
    assert (breaker.state(132.0), breaker.wait(132.0)) == ("open", 59.0)
    assert [breaker.begin(191.0) is not None for _ in range(3)] == [True, True, False]


def test_a_call_that_is_ended_twice_counts_once() -> None:
    breaker = Breaker(BreakerSettings(minimum=2))
    ticket = probe(breaker, 100.0)
    for _ in range(5):
        breaker.end(ticket, "bad", 100.0, none)
    assert breaker.state(100.0) == "closed"


def test_a_probe_that_is_ended_twice_gives_one_place_back() -> None:
    breaker = opened(BreakerSettings(probes=2), 100.0)
    first, _ = probe(breaker, 130.0), probe(breaker, 130.0)
    for _ in range(5):
        breaker.end(first, "neutral", 131.0, none)
    assert [breaker.begin(131.0) is not None for _ in range(2)] == [True, False]


@given(
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8),
    st.floats(0, 1, exclude_max=True),
    st.floats(1, 60),
    st.floats(1, 8),
)
def test_it_is_open_for_its_time_less_the_jitter_at_most(
    randoms: list[float], jitter: float, open_for: float, times: float
) -> None:
    max_open = open_for * times
    breaker = Breaker(BreakerSettings(minimum=1, open_for=open_for, max_open=max_open, jitter=jitter))
    now = 100.0
    for failures, random in enumerate(randoms):
        longest = min(open_for * 2**failures, max_open)
        breaker.end(probe(breaker, now), "bad", now, partial(float, random))
        assert longest * (1 - jitter) - 1e-9 <= breaker.wait(now) <= longest + 1e-9
        now += longest


CALLERS: list[Cause] = ["status_4xx", "rejected", "content_filtered", "context_too_long", "unsupported", "client_gone"]


@given(st.lists(st.sampled_from(CALLERS), max_size=50))
def test_whatever_callers_do_wrong_opens_no_breaker_and_decides_no_probe(causes: list[Cause]) -> None:
    closed = Breaker(BreakerSettings(minimum=1, ratio=0.01))
    probed = opened(BreakerSettings(minimum=1), 70.0)
    for cause in causes:
        said = verdict(GatewayError("upstream_rejected", "no", cause=cause), cause, None, None)
        for breaker in (closed, probed):
            breaker.end(probe(breaker, 100.0), said, 100.0, none)
    assert [breaker.state(100.0) for breaker in (closed, probed)] == ["closed", "half_open"]


# --- the window

quarters = st.integers(0, 200).map(lambda count: count / 4)


@given(st.lists(st.tuples(st.integers(0, 1), quarters), max_size=60), quarters)
def test_the_window_counts_nothing_older_than_itself_and_all_that_is_a_slice_younger(
    added: list[tuple[int, float]], later: float
) -> None:
    window = Window(10.0, 10, 2)
    added.sort(key=lambda one: one[1])
    for kind, then in added:
        window.add(kind, then)
    now = max([then for _, then in added], default=0.0) + later
    for kind, count in enumerate(window.sums(now)):
        ages = [now - then for one, then in added if one == kind]
        assert sum(age <= 9.0 for age in ages) <= count <= sum(age < 10.0 for age in ages)


def test_a_call_that_ends_out_of_order_counts_as_of_the_latest_slice() -> None:
    window = Window(10.0, 10, 1)
    for now in (105.0, 100.0):
        window.add(0, now)
    assert [list(window.sums(now)) for now in (100.0, 105.0, 114.75, 115.0)] == [[2], [2], [2], [0]]


# --- whatever happens

SLICE, SLICES = 1.0, 10
OPEN_FOR, MAX_OPEN, JITTER = 4.0, 12.0, 0.25


class AnyCalls(RuleBasedStateMachine):
    """A breaker beside a model that keeps every call there was. All times are quarters, so that floats are exact."""

    @initialize(minimum=st.integers(1, 4), ratio=st.sampled_from([0.25, 0.5, 1.0]), probes=st.integers(1, 3))
    def build(self, minimum: int, ratio: float, probes: int) -> None:
        self.settings = BreakerSettings(
            window=SLICE * SLICES,
            minimum=minimum,
            ratio=ratio,
            slow_ratio=0.75,
            open_for=OPEN_FOR,
            max_open=MAX_OPEN,
            jitter=JITTER,
            probes=probes,
        )
        self.breaker = Breaker(self.settings)
        self.now = 1000.0
        self.calls: list[tuple[Ticket, int]] = []
        """With the period in which each began."""
        self.outcomes: list[tuple[int, float, Verdict]] = []
        """With the period in which each began and ended."""
        self.running: set[int] = set()
        self.period = 0
        self.until: float | None = None
        self.open_time = OPEN_FOR
        self.longest = OPEN_FOR

    @property
    def is_open(self) -> bool:
        return self.until is not None and self.now < self.until

    @property
    def probing(self) -> int:
        return sum(self.calls[index][1] == self.period for index in self.running)

    @property
    def admits(self) -> bool:
        return self.until is None or (not self.is_open and self.probing < self.settings.probes)

    def is_too_much(self) -> bool:
        """By the calls of this slice and of the nine before it."""
        oldest = self.now // SLICE - SLICES + 1
        counted = [said for period, then, said in self.outcomes if period == self.period and then // SLICE >= oldest]
        if len(counted) < self.settings.minimum:
            return False
        return (
            counted.count("bad") / len(counted) >= self.settings.ratio
            or counted.count("slow") / len(counted) >= self.settings.slow_ratio
        )

    def open(self, seconds: float, random: float, keep: float = 0.0) -> None:
        self.open_time = seconds
        self.longest = max(seconds, keep)
        self.until = self.now + max(seconds - seconds * JITTER * random, keep)
        self.period += 1

    @rule(quarters=st.integers(1, 12))
    def a_little_later(self, quarters: int) -> None:
        self.now += quarters / 4

    @precondition(lambda self: self.is_open)
    @rule()
    def when_the_target_may_be_probed(self) -> None:
        self.now = self.until or 0.0

    @rule()
    def begin(self) -> None:
        ticket = self.breaker.begin(self.now)
        assert (ticket is not None) == self.admits
        if ticket is not None:
            self.running.add(len(self.calls))
            self.calls.append((ticket, self.period))

    @precondition(lambda self: self.running)
    @rule(
        data=st.data(),
        said=st.sampled_from(["good", "bad", "bad", "slow", "neutral"]),
        random=st.sampled_from([0.0, 0.25, 0.5, 0.75]),
    )
    def end(self, data: st.DataObject, said: Verdict, random: float) -> None:
        """Also a call of an earlier period."""
        index = data.draw(st.sampled_from(sorted(self.running)))
        ticket, period = self.calls[index]
        self.breaker.end(ticket, said, self.now, lambda: random)
        self.running.discard(index)
        if period != self.period or said == "neutral":
            return
        if self.until is None:
            self.outcomes.append((period, self.now, said))
            if said != "good" and self.is_too_much():
                recent = [
                    then for then_period, then, _ in self.outcomes if then_period == period and self.now - then < 10
                ]
                assert len(recent) >= self.settings.minimum
                self.open(OPEN_FOR, random)
        elif said == "good":
            self.until = None
            self.period += 1
        else:
            self.open(min(self.open_time * 2, MAX_OPEN), random)

    @rule(random=st.sampled_from([0.0, 0.25, 0.5, 0.75]), keep=st.integers(0, 80))
    def trip(self, random: float, keep: int) -> None:
        self.breaker.trip(self.now, lambda: random, keep / 4)
        if self.is_open:
            self.until = max(self.until or 0.0, self.now + keep / 4)
            self.longest = max(self.longest, keep / 4)
        else:
            self.open(OPEN_FOR if self.until is None else self.open_time, random, keep / 4)

    @rule()
    def wake(self) -> None:
        self.breaker.wake(self.now)
        if self.is_open:
            self.until = self.now

    @precondition(lambda self: len(self.running) < len(self.calls))
    @rule(data=st.data(), said=st.sampled_from(["good", "bad", "slow", "neutral"]))
    def end_again(self, data: st.DataObject, said: Verdict) -> None:
        index = data.draw(st.sampled_from(sorted(set(range(len(self.calls))) - self.running)))
        self.breaker.end(self.calls[index][0], said, self.now, none)

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        expected = "closed" if self.until is None else "open" if self.is_open else "half_open"
        assert self.breaker.state(self.now) == expected
        assert self.breaker.admits(self.now) == self.admits

    @invariant()
    def its_wait_is_honest(self) -> None:
        wait = self.breaker.wait(self.now)
        assert (wait == 0) == self.admits
        if self.is_open and self.until is not None:
            assert wait == self.until - self.now
            assert wait <= self.longest

    @invariant()
    def no_more_than_so_many_probe_at_once(self) -> None:
        assert self.until is None or self.probing <= self.settings.probes


TestAnyCalls = AnyCalls.TestCase
TestAnyCalls.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)


# --- what a call says of its target


def test_every_cause_has_its_verdict() -> None:
    assert set(VERDICTS) == set(CAUSES)
    assert set(VERDICTS.values()) == set(get_args(Verdict)) - {"good"}


BAD: set[Cause] = {
    "connect",
    "connect_timeout",
    "tls",
    "reset_before_headers",
    "reset_midstream",
    "first_event_timeout",
    "idle_timeout",
    "total_timeout",
    "protocol",
    "redirect",
    "content_type",
    "encoding",
    "truncated",
    "malformed",
    "empty",
    "vendor_error",
    "auth",
    "quota_exhausted",
    "status_5xx",
}


@pytest.mark.parametrize("cause", get_args(Cause))
def test_a_fault_of_the_vendor_or_of_our_account_is_bad_and_any_other_says_nothing(cause: Cause) -> None:
    expected = "slow" if cause == "too_slow" else "bad" if cause in BAD else "neutral"
    assert verdict(None, cause, None, None) == expected


@pytest.mark.parametrize(
    ("code", "cause", "said"),
    [
        ("upstream_unavailable", "vendor_error", "bad"),
        ("upstream_protocol", "vendor_error", "bad"),
        ("upstream_auth", "vendor_error", "bad"),
        ("upstream_rejected", "vendor_error", "neutral"),
        ("upstream_rate_limited", "vendor_error", "neutral"),
        ("context_too_long", "vendor_error", "neutral"),
        ("upstream_rejected", "status_4xx", "neutral"),
        ("upstream_unavailable", "status_4xx", "bad"),
        ("upstream_timeout", "total_timeout", "bad"),
        ("upstream_protocol", "too_large", "neutral"),
    ],
)
def test_what_a_vendor_told_decides_and_not_how_it_told_it(code: Code, cause: Cause, said: Verdict) -> None:
    assert verdict(GatewayError(code, "the vendor failed", cause=cause), cause, 1.0, None) == said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("upstream_unavailable", "bad"),
        ("upstream_rejected", "neutral"),
        ("bad_request", "neutral"),
        ("overloaded", "neutral"),
        ("store_unavailable", "neutral"),
        ("internal", "neutral"),
    ],
)
def test_an_error_of_ours_or_of_the_caller_says_nothing(code: Code, said: Verdict) -> None:
    error = GatewayError(code, "no")
    assert verdict(error, error.cause, None, None) == said


@pytest.mark.parametrize(
    ("first_event_after", "slow_after", "said"),
    [(5.5, 5.0, "slow"), (5.0, 5.0, "good"), (None, 5.0, "good"), (5.5, None, "good"), (None, None, "good")],
)
def test_a_call_that_begins_to_answer_late_is_slow(
    first_event_after: float | None, slow_after: float | None, said: Verdict
) -> None:
    assert verdict(None, "completed", first_event_after, slow_after) == said


def test_a_late_call_that_fails_is_bad_and_one_whose_client_left_says_nothing() -> None:
    assert verdict(GatewayError("upstream_unavailable", "gone"), "reset_midstream", 9.0, 5.0) == "bad"
    assert verdict(None, "client_gone", 9.0, 5.0) == "neutral"


# --- settings


def test_a_breaker_is_set_as_is_usual() -> None:
    assert msgspec.convert({}, BreakerSettings) == BreakerSettings(
        window=30,
        minimum=10,
        ratio=0.5,
        slow_after=None,
        slow_ratio=0.5,
        open_for=30,
        max_open=300,
        jitter=0.2,
        probes=1,
    )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"windows": 3}, "unknown field `windows`"),
        ({"window": 0}, "> 0.0 - at `\\$.window`"),
        ({"minimum": 0}, ">= 1 - at `\\$.minimum`"),
        ({"ratio": 1.5}, "<= 1.0 - at `\\$.ratio`"),
        ({"ratio": 0}, "> 0.0 - at `\\$.ratio`"),
        ({"slow_after": -1}, "> 0.0 - at `\\$.slow_after`"),
        ({"slow_ratio": 0}, "> 0.0 - at `\\$.slow_ratio`"),
        ({"open_for": 86401}, "<= 86400.0 - at `\\$.open_for`"),
        ({"max_open": 0}, "> 0.0 - at `\\$.max_open`"),
        ({"jitter": 1}, "< 1.0 - at `\\$.jitter`"),
        ({"probes": 0}, ">= 1 - at `\\$.probes`"),
        ({"open_for": 400}, "open_for is longer than max_open: 400.0 > 300.0"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, BreakerSettings)

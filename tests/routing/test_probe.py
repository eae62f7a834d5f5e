"""What a vendor's answers to a probe of its health do to its breaker, and when it is asked."""

from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.routing.breaker import Breaker, BreakerSettings, State, Ticket, Verdict
from gateway.routing.probe import Probe, ProbeSettings

BAD, WELL = False, True


def none() -> float:
    return 0.0


def probed(
    breaker: Breaker,
    *,
    failures: int = 3,
    every: float = 10.0,
    timeout: float = 2.0,
    random: Callable[[], float] = none,
) -> Probe:
    return Probe(ProbeSettings("/healthz", every=every, timeout=timeout, failures=failures), breaker, random)


def end(probe: Probe, *answers: bool, now: float) -> None:
    for is_well in answers:
        probe.end(now, is_well=is_well)


# --- what it does


def test_so_many_bad_answers_in_a_row_open_the_breaker() -> None:
    breaker = Breaker(BreakerSettings())
    probe = probed(breaker)
    end(probe, BAD, BAD, now=100.0)
    assert breaker.state(100.0) == "closed"
    end(probe, BAD, now=110.0)
    assert (breaker.state(110.0), breaker.wait(110.0)) == ("open", 30.0)


def test_a_good_answer_between_them_begins_the_row_anew() -> None:
    breaker = Breaker(BreakerSettings())
    end(probed(breaker), BAD, BAD, WELL, BAD, BAD, WELL, BAD, BAD, now=100.0)
    assert breaker.state(100.0) == "closed"


def test_the_breaker_stays_open_while_bad_answers_go_on_and_not_much_longer() -> None:
    breaker = Breaker(BreakerSettings(open_for=5, max_open=5))
    probe = probed(breaker, failures=1)
    for now in (100.0, 112.0, 124.0):
        end(probe, BAD, now=now)
        assert breaker.wait(now) == 20.0
    assert [breaker.state(now) for now in (143.75, 144.0)] == ["open", "half_open"]


def test_a_good_answer_lets_a_call_try_at_once_and_only_that_call_closes_the_breaker() -> None:
    breaker = Breaker(BreakerSettings())
    probe = probed(breaker, failures=1)
    end(probe, BAD, now=100.0)
    end(probe, WELL, WELL, WELL, now=110.0)
    assert breaker.state(110.0) == "half_open"
    ticket = breaker.begin(110.0)
    assert ticket is not None
    breaker.end(ticket, "good", 111.0, none)
    assert breaker.state(111.0) == "closed"


def test_a_breaker_that_calls_opened_keeps_its_time_whatever_good_answers_come() -> None:
    breaker = Breaker(BreakerSettings(minimum=1))
    ticket = breaker.begin(100.0)
    assert ticket is not None
    breaker.end(ticket, "bad", 100.0, none)
    end(probed(breaker), WELL, now=104.0)
    assert breaker.state(104.0) == "open"


def test_replicas_whose_probes_open_their_breakers_together_do_not_come_back_together() -> None:
    breaker = Breaker(BreakerSettings(open_for=40, jitter=0.25))
    end(probed(breaker, failures=1, random=lambda: 0.5), BAD, now=100.0)
    assert breaker.wait(100.0) == 35.0


# --- when


@pytest.mark.parametrize(("random", "first", "wait"), [(0.0, 0.0, 10.0), (0.5, 5.0, 9.5), (0.75, 7.5, 9.25)])
def test_replicas_that_start_together_do_not_ask_together(random: float, first: float, wait: float) -> None:
    probe = probed(Breaker(BreakerSettings()), random=lambda: random)
    assert (probe.first_wait(), probe.wait()) == (first, wait)


@given(st.floats(0.001, 86_400), st.floats(0, 1, exclude_max=True))
def test_the_time_between_two_probes_is_what_is_set_less_a_tenth_at_most(every: float, random: float) -> None:
    probe = probed(Breaker(BreakerSettings()), every=every, timeout=every, random=partial(float, random))
    assert 0 <= probe.first_wait() < every
    assert every * 0.9 <= probe.wait() <= every


# --- whatever happens

EVERY, TIMEOUT = 4.0, 1.0


class AnyAnswers(RuleBasedStateMachine):
    """A breaker with calls and probes, each of which is answered in time. All times are quarters: floats are exact."""

    @initialize(failures=st.integers(1, 3), open_for=st.sampled_from([1.0, 6.0, 20.0]))
    def build(self, failures: int, open_for: float) -> None:
        self.breaker = Breaker(BreakerSettings(minimum=2, open_for=open_for, max_open=40, jitter=0.25, probes=2))
        self.probe = probed(self.breaker, failures=failures, every=EVERY, timeout=TIMEOUT, random=lambda: 0.5)
        self.failures = failures
        self.now = self.latest = 1000.0
        self.bad = 0
        self.running: list[Ticket] = []
        self.probing: list[Ticket] = []

    def seen(self) -> tuple[State, float]:
        return self.breaker.state(self.now), self.breaker.wait(self.now)

    @rule(quarters=st.integers(1, 20))
    def time_passes_until_the_next_answer_is_due_at_most(self, quarters: int) -> None:
        was_closed = self.seen()[0] == "closed"
        self.now = min(self.now + quarters / 4, self.latest + EVERY + TIMEOUT)
        assert (self.seen()[0] == "closed") == was_closed

    @rule()
    def a_bad_answer(self) -> None:
        before = self.seen()
        self.probe.end(self.now, is_well=False)
        self.bad += 1
        self.latest = self.now
        if self.bad < self.failures:
            assert self.seen() == before
        elif before[0] == "open":
            assert self.seen()[1] >= before[1]

    @rule()
    def a_good_answer(self) -> None:
        before, is_opener = self.seen(), self.bad >= self.failures
        self.probe.end(self.now, is_well=True)
        self.bad = 0
        self.latest = self.now
        assert self.seen() == (("half_open", 0.0) if is_opener else before)

    @rule()
    def a_call_begins(self) -> None:
        ticket = self.breaker.begin(self.now)
        if ticket is not None:
            (self.running if self.seen()[0] == "closed" else self.probing).append(ticket)

    @precondition(lambda self: self.running)
    @rule(data=st.data(), said=st.sampled_from(["good", "bad", "slow", "neutral"]))
    def a_call_ends(self, data: st.DataObject, said: Verdict) -> None:
        before = self.seen()
        self.breaker.end(self.running.pop(data.draw(st.integers(0, len(self.running) - 1))), said, self.now, none)
        assert before[0] == "closed" or self.seen() == before

    @precondition(lambda self: self.probing)
    @rule(data=st.data(), said=st.sampled_from(["good", "bad", "slow", "neutral"]))
    def a_call_ends_that_tried(self, data: st.DataObject, said: Verdict) -> None:
        before = self.seen()
        self.breaker.end(self.probing.pop(data.draw(st.integers(0, len(self.probing) - 1))), said, self.now, none)
        assert before[0] == "half_open" or self.seen() == before
        assert self.seen()[0] != "closed" or before[0] == "closed" or said == "good"

    @invariant()
    def nobody_is_called_while_the_answers_are_bad(self) -> None:
        if self.bad >= self.failures:
            assert self.seen()[0] == "open"
            assert self.breaker.begin(self.now) is None


TestAnyAnswers = AnyAnswers.TestCase
TestAnyAnswers.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)


# --- settings


def test_a_probe_is_set_as_is_usual() -> None:
    assert msgspec.convert({"path": "/healthz"}, ProbeSettings) == ProbeSettings(
        "/healthz", every=10, timeout=2, failures=3
    )


@pytest.mark.parametrize("path", ["/", "/healthz", "/v1/models/%7Bx%7D", "/a(b)~c:d@e!f"])
def test_any_plain_path_can_be_asked(path: str) -> None:
    assert ProbeSettings(path).path == path


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "missing required field `path`"),
        ({"path": "/", "interval": 3}, "unknown field `interval`"),
        ({"path": "/", "every": 0}, "> 0.0 - at `\\$.every`"),
        ({"path": "/", "timeout": 0}, "> 0.0 - at `\\$.timeout`"),
        ({"path": "/", "failures": 0}, ">= 1 - at `\\$.failures`"),
        ({"path": "/", "every": 1}, "timeout is longer than every: 2.0 > 1.0"),
        *(({"path": path}, "path is no plain path") for path in ("", "healthz", "/a b", "/a?b", "/a#b", "/a\n", "/é")),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, ProbeSettings)

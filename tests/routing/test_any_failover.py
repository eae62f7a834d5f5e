"""Whatever befalls the messages of a route, what failover promises holds: beside a model that only counts."""

from random import Random
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import Struct

from gateway.canonical.errors import CODES, Cause, Code, GatewayError
from gateway.routing.breaker import BreakerSettings, Ticket
from gateway.routing.budget import BudgetSettings
from gateway.routing.failover import MAX_WAITS, OF_THE_VENDOR, TRANSIENT, Failover, key_of
from gateway.routing.health import Health, HealthSettings
from gateway.routing.order import Bound
from gateway.routing.plan import Deadlines, Ended, Failure, Phase, Route, Target
from gateway.routing.rules import USUAL_CODES, FailOverCode, RouteRules, TargetRules

VENDORS = ["acme", "bolt", "spare"]
PROBES = 2
LONGEST_OPEN = 8.0
LONGEST_PAUSE = 25.0
CODE: st.SearchStrategy[Code] = st.sampled_from(
    [
        *sorted(TRANSIENT) * 2,
        *sorted(OF_THE_VENDOR),
        "upstream_rate_limited",
        "upstream_rejected",
        "unsupported",
        "internal",
    ]
)
CODE_SETS: list[tuple[FailOverCode, ...]] = [
    *[USUAL_CODES] * 4,
    ("upstream_timeout", "upstream_rate_limited"),
    (),
]
HINT = st.sampled_from([None, None, 0.0, 0.25, 2.0, LONGEST_PAUSE])
WORD = st.sampled_from([None, None, None, True, False])
OUTCOMES: list[Cause | Literal["completed"] | None] = [None, "completed", "client_gone", "too_slow"]

seconds = st.sampled_from([0.25, 1.0, 2.0, 6.0])
vendors = st.sampled_from(VENDORS)
targets = st.builds(
    Target,
    vendors,
    st.just("parrot"),
    st.just(Struct()),
    st.builds(Deadlines, first_event=st.sampled_from([5.0, 20.0])),
    st.builds(
        TargetRules,
        retries=st.sampled_from([2, 1, 0]),
        fail_over_on=st.sampled_from(CODE_SETS),
        once_sent=st.sampled_from(["ask_another"] * 4 + ["fail"]),
    ),
    st.sampled_from([0.0, 1.0, 5.0]),
)
route_rules = st.builds(
    RouteRules,
    strategy=st.sampled_from(["priority", "weighted", "least_latency"]),
    attempts=st.sampled_from([8, 3, 1, 8]),
    attempts_within=st.sampled_from([5.0, 60.0]),
    switches=st.integers(0, 2),
)
routes = st.builds(
    Route,
    st.just("support"),
    st.sampled_from([4, 3, 2, 1]).flatmap(lambda size: st.tuples(*[targets] * size)),
    rules=route_rules,
)


class AnyMessages(RuleBasedStateMachine):
    """One message after another, among calls and pauses of messages that are not looked at."""

    @initialize(
        route=routes,
        budget=st.builds(BudgetSettings, share=st.just(0.5), minimum=st.sampled_from([9, 1, 0])),
        minimum=st.sampled_from([100, 3]),
        random=st.randoms(use_true_random=False),
    )
    def build(self, route: Route, budget: BudgetSettings, minimum: int, random: Random) -> None:
        breaker = BreakerSettings(window=10, minimum=minimum, open_for=2, max_open=LONGEST_OPEN, probes=PROBES)
        self.route = route
        self.health = Health(dict.fromkeys(VENDORS, HealthSettings(breaker, budget)), random.random)
        self.now = 1000.0
        self.plan: Failover | None = None
        self.running: dict[str, list[Ticket]] = {vendor: [] for vendor in VENDORS}
        """Others' calls."""

    # Others, and time.

    @rule(seconds=seconds)
    def a_little_later(self, seconds: float) -> None:
        self.now += seconds

    @rule(vendor=vendors, happens=st.sampled_from(["call", "good", "bad", "neutral", "pause", "break down"]))
    def of_another_message(self, vendor: str, happens: str) -> None:
        breaker = self.health.of(vendor).breaker
        match happens:
            case "pause":
                self.health.pauses.pause(vendor, self.now + 5.0)
            case "break down":
                while (ticket := breaker.begin(self.now)) is not None:
                    breaker.end(ticket, "bad", self.now, self.health.random)
            case "call":
                ticket = breaker.begin(self.now)
                if ticket is not None:
                    self.running[vendor].append(ticket)
            case "good" | "bad" | "neutral" as said:
                if self.running[vendor]:
                    breaker.end(self.running[vendor].pop(), said, self.now, self.health.random)

    # The message.

    @precondition(lambda self: self.plan is None)
    @rule(may_leave=st.sampled_from([True, True, False]), home=st.none() | st.integers(0, 3))
    def begin(self, may_leave: bool, home: int | None) -> None:  # noqa: FBT001  (drawn)
        bound = None if home is None else Bound(key_of(self.route, home))
        plan = Failover(self.route, self.health, home=bound, began=self.now, may_leave=may_leave)
        candidates = [self.route.targets[position] for position in plan._order]
        assert len(candidates) == (len(self.route.targets) if may_leave else 1)
        wait = min(self.health.wait(target.vendor, self.now) for target in candidates)
        self.began = self.now
        self.latest = self.now + self.route.rules.attempts_within
        self.may_leave = may_leave
        self.tries = self.retries = self.waits = self.switches = 0
        self.closed_to_us: set[str] = set()
        """Vendors that possibly accepted what must not be repeated, or that refuse all we ask."""
        self.asked: list[int] = []
        admitted = self.admitted()
        try:
            plan.reserve(self.now)
        except GatewayError as error:
            assert (error.retry_after, plan._ticket) == (wait, None)  # noqa: PT017  (it need not be raised)
            assert wait > 0
            return
        self.plan = plan
        chosen = plan.next(None, self.now)
        assert chosen is not None
        assert (chosen[1] == 0) == (wait == 0)
        self.attempt(chosen, admitted)

    @rule(code=CODE, hint=HINT, word=WORD)
    def fail_before_anything_is_accepted(self, code: Code, hint: float | None, word: bool | None) -> None:  # noqa: FBT001  (drawn)
        self.fail(code, "not_sent", is_repeatable=False, hint=hint, word=word)

    @rule(hint=HINT)
    def meet_a_limit(self, hint: float | None) -> None:
        self.fail("upstream_rate_limited", "not_sent", is_repeatable=False, hint=hint)

    @rule(code=CODE, phase=st.sampled_from(["possibly_accepted", "committed"]), is_repeatable=st.booleans(), hint=HINT)
    def fail_after_it_was_sent(self, code: Code, phase: Phase, is_repeatable: bool, hint: float | None) -> None:  # noqa: FBT001  (drawn)
        self.fail(code, phase, is_repeatable=is_repeatable, hint=hint)

    def fail(
        self, code: Code, phase: Phase, *, is_repeatable: bool, hint: float | None, word: bool | None = None
    ) -> None:
        if self.plan is None:
            self.begin(may_leave=True, home=None)
        if self.plan is None:
            return
        target, error = self.target, GatewayError(code, "no", retry_after=hint)
        error.may_be_repeated = word
        may_repeat = phase == "not_sent" or is_repeatable
        if not may_repeat or code in OF_THE_VENDOR:
            self.closed_to_us.add(target.vendor)
        may_move = self.may_leave and target.rules.fails_over(code)
        may_move = may_move and (may_repeat or target.rules.once_sent == "ask_another")
        may_switch = phase != "committed" or self.switches < self.route.rules.switches
        if phase == "committed" and may_switch:
            self.switches += 1
            self.latest = self.now + self.route.rules.attempts_within
        self.plan.ended(Ended(target, CODES[code].cause, error, None, None), self.now)
        admitted = self.admitted()
        retries_left = self.health.of(target.vendor).budget.left(self.now)
        left = self.asked[-1]
        chosen = self.plan.next(Failure(error, phase, target, is_repeatable), self.now)
        if chosen is None:
            is_over = self.tries >= self.route.rules.attempts or self.now > self.latest
            assert is_over or not (may_move and may_switch) or not self.untried(admitted)
            self.close()
            return
        assert may_switch
        self.attempt(chosen, admitted)
        if self.asked[-1] != left:
            assert may_move
            self.retries = 0
        elif code != "upstream_rate_limited":
            self.retries += 1
            assert word or (code in TRANSIENT and word is None)
            assert self.retries <= target.rules.retries
            assert retries_left >= 1

    @precondition(lambda self: self.plan is not None)
    @rule()
    def ask_for_a_new_conversation(self) -> None:
        assert self.plan is not None
        gone = GatewayError("upstream_not_found", "no such conversation")
        self.plan.ended(Ended(self.target, "not_found", gone, None, None), self.now)
        self.plan.again(self.now)
        self.tries += 1

    @precondition(lambda self: self.plan is not None)
    @rule(outcome=st.sampled_from(OUTCOMES), text_after=st.none() | seconds)
    def end(self, outcome: Cause | Literal["completed"] | None, text_after: float | None) -> None:
        """Where there is no outcome, nobody is told of the attempt's end."""
        assert self.plan is not None
        if outcome is not None:
            self.plan.ended(Ended(self.target, outcome, None, text_after, text_after), self.now)
        before = self.states()
        self.close()
        assert self.states() == before

    @precondition(lambda self: self.plan is not None)
    @rule()
    def look_whether_there_is_another(self) -> None:
        """If so, it is who is asked where the answer is too slow."""
        assert self.plan is not None
        if self.plan.has_other(self.now):
            asked = self.target.vendor
            self.fail("upstream_timeout", "possibly_accepted", is_repeatable=False, hint=None)
            assert self.plan is not None
            assert self.target.vendor != asked

    # The model.

    @property
    def target(self) -> Target:
        return self.route.targets[self.asked[-1]]

    def states(self) -> list[str]:
        return [state.breaker for _, state in self.health.states(self.now)]

    def admitted(self) -> set[str]:
        return {vendor for vendor in VENDORS if self.health.of(vendor).breaker.admits(self.now)}

    def untried(self, admitted: set[str]) -> list[Target]:
        """Whom the message might still ask at once, and has never asked."""
        free = {vendor for vendor in admitted - self.closed_to_us if not self.health.pauses.left(vendor, self.now)}
        return [
            target
            for position, target in enumerate(self.route.targets)
            if position not in self.asked and target.vendor in free
        ]

    def attempt(self, chosen: tuple[Target, float], admitted: set[str]) -> None:
        assert self.plan is not None
        target, wait = chosen
        self.asked.append(self.plan._at)
        self.tries += 1
        assert target is self.target
        assert target.vendor in admitted - self.closed_to_us
        assert self.tries <= self.route.rules.attempts
        assert self.now + wait <= self.latest
        pause = self.health.pauses.left(target.vendor, self.now)
        if pause:
            self.waits += 1
            assert self.waits <= MAX_WAITS
            assert wait == pause
            assert self.now + wait <= self.began + target.deadlines.first_event
        self.now += wait

    def close(self) -> None:
        assert self.plan is not None
        self.plan.close(self.now)
        assert self.plan._ticket is None
        self.plan = None

    # Always.

    @invariant()
    def whoever_holds_a_place_still_runs(self) -> None:
        for vendor in VENDORS:
            breaker = self.health.of(vendor).breaker
            tickets = list(self.running[vendor])
            if self.plan is not None and self.plan._ticket is not None and self.target.vendor == vendor:
                tickets.append(self.plan._ticket)
            if breaker.state(self.now) != "closed":
                assert breaker._probing == sum(ticket.period == breaker._period for ticket in tickets)

    def teardown(self) -> None:
        """In the end all vendors can be probed again."""
        if self.plan is not None:
            self.close()
        for vendor, tickets in self.running.items():
            for ticket in tickets:
                self.health.of(vendor).breaker.end(ticket, "neutral", self.now, self.health.random)
        self.now += LONGEST_OPEN + LONGEST_PAUSE
        for vendor in VENDORS:
            breaker = self.health.of(vendor).breaker
            places = [breaker.begin(self.now) is not None for _ in range(PROBES + 1)]
            assert places == [True] * PROBES + [breaker.state(self.now) == "closed"]
            assert self.health.pauses.left(vendor, self.now) == 0


TestAnyMessages = AnyMessages.TestCase
TestAnyMessages.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)

"""Whom one message asks: first, after each failure, and at last nobody."""

from functools import partial
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from gateway.canonical.errors import CODES, Cause, Code, GatewayError
from gateway.routing.breaker import BreakerSettings, Verdict
from gateway.routing.budget import BudgetSettings
from gateway.routing.failover import MAX_WAITS, OF_THE_VENDOR, TRANSIENT, Failover, check_free, key_of, rank, refusal
from gateway.routing.health import Health, HealthSettings
from gateway.routing.order import Bound, Stickiness
from gateway.routing.plan import Deadlines, Ended, Failure, Phase, Plan, Route, Target
from gateway.routing.rules import USUAL_CODES, FailOverCode, RouteRules, TargetRules

NOW = 1000.0
OPEN_FOR = 30.0
PUNCTUAL = BreakerSettings(open_for=OPEN_FOR, jitter=0)
USUAL_BUDGET = BudgetSettings()
USUAL_RULES = RouteRules()


class Model(Struct, frozen=True):
    name: str = "large"


ACME = Target("acme", "parrot", Model())
ACME_SMALL = Target("acme", "parrot", Model("small"))
BOLT = Target("bolt", "parrot", Model())
SPARE = Target("spare", "parrot", Model())
THREE = (ACME, BOLT, SPARE)

TIMED_OUT = GatewayError("upstream_timeout", "the vendor fell silent")


def ruled(target: Target, rules: TargetRules) -> Target:
    return replace(target, rules=rules)


def healthy(breaker: BreakerSettings = PUNCTUAL, budget: BudgetSettings = USUAL_BUDGET) -> Health:
    """Chance is always the middle."""
    return Health({name: HealthSettings(breaker, budget) for name in ("acme", "bolt", "spare")}, lambda: 0.5)


def break_down(health: Health, vendor: str, now: float = NOW) -> None:
    """Until its breaker opens, for `OPEN_FOR` seconds."""
    breaker = health.of(vendor).breaker
    while (ticket := breaker.begin(now)) is not None:
        breaker.end(ticket, "bad", now, health.random)


def places(health: Health, vendor: str, now: float) -> int:
    """How many calls its breaker would admit at once, where that is bounded."""
    breaker = health.of(vendor).breaker
    tickets = []
    while (ticket := breaker.begin(now)) is not None:
        tickets.append(ticket)
    for ticket in tickets:
        breaker.end(ticket, "neutral", now, health.random)
    return len(tickets)


class Message:
    """One message that is told how each of its attempts ends, at `now`."""

    def __init__(
        self,
        *targets: Target,
        health: Health | None = None,
        home: int | None = None,
        may_leave: bool = True,
        rules: RouteRules = USUAL_RULES,
        now: float = NOW,
    ) -> None:
        route = Route("support", targets, rules=rules)
        bound = None if home is None else Bound(key_of(route, home))
        self.now = now
        self.health = healthy() if health is None else health
        self.plan = Failover(route, self.health, home=bound, began=now, may_leave=may_leave)
        self.plan.reserve(now)
        chosen = self.plan.next(None, now)
        assert chosen is not None
        self.asked, self.wait = chosen

    def end(
        self,
        outcome: Cause | None = None,
        error: GatewayError | None = None,
        *,
        first_event: float | None = None,
        first_text: float | None = None,
    ) -> None:
        self.plan.ended(Ended(self.asked, outcome or "completed", error, first_event, first_text), self.now)

    def fail(
        self,
        code: Code,
        phase: Phase = "not_sent",
        *,
        is_repeatable: bool = False,
        hint: float | None = None,
        cause: Cause | None = None,
        later: float = 0.0,
        word: bool | None = None,
    ) -> tuple[Target, float] | None:
        """Who is asked next, and after how long. `word` is what the vendor says of asking it again."""
        self.now += later
        error = GatewayError(code, "no", cause=cause, retry_after=hint)
        error.may_be_repeated = word
        self.end(error.cause, error)
        chosen = self.plan.next(Failure(error, phase, self.asked, is_repeatable), self.now)
        if chosen is not None:
            self.asked, self.wait = chosen
        return chosen


# --- the order


def test_the_first_in_the_order_is_asked_at_once() -> None:
    message = Message(*THREE)
    assert (message.asked, message.wait, message.plan.is_moved) == (ACME, 0.0, False)


def test_a_conversation_is_asked_where_it_is_and_then_in_the_order() -> None:
    message = Message(*THREE, home=1)
    assert (message.asked, message.plan.is_moved) == (BOLT, False)
    assert message.fail("upstream_timeout") == (ACME, 0.0)
    assert message.plan.is_moved
    assert message.fail("upstream_timeout") == (SPARE, 0.0)


def test_the_strategy_and_its_stickiness_are_the_routes() -> None:
    free = RouteRules(stickiness=Stickiness(mode="none"))
    assert Message(*THREE, home=1, rules=free).asked == ACME
    health = healthy()
    for position, seconds in enumerate((9.0, 1.0, 5.0)):
        health.latency.note(("support", position), seconds, NOW)
    quickest = Message(*THREE, health=health, rules=RouteRules(strategy="least_latency"))
    assert [quickest.asked, quickest.fail("upstream_timeout"), quickest.fail("upstream_timeout")] == [
        BOLT,
        (SPARE, 0.0),
        (ACME, 0.0),
    ]
    weighted = RouteRules(strategy="weighted")
    assert Message(replace(ACME, weight=0.0), BOLT, rules=weighted).asked == BOLT


def test_a_ranking_says_whom_a_message_would_ask_if_all_were_well() -> None:
    health = healthy()
    break_down(health, "acme")
    route = Route("support", THREE)
    assert rank(route, health, None, NOW) == [0, 1, 2]
    assert rank(route, health, Bound(key_of(route, 2)), NOW) == [2, 0, 1]
    assert rank(route, health, Bound(("sales", 2)), NOW) == [0, 1, 2]
    assert rank(Route("support", (ACME,)), health, Bound(("support", 7)), NOW) == [0]


def test_a_failover_is_a_plan() -> None:
    plan: Plan = Message(ACME).plan
    assert plan.next(None, NOW) is None, "the reserved target is told once"


# --- the first target


def test_a_vendor_whose_breaker_is_open_is_passed_over() -> None:
    health = healthy()
    break_down(health, "acme")
    message = Message(*THREE, health=health)
    assert (message.asked, message.wait, message.plan.is_moved) == (BOLT, 0.0, True)


def test_a_vendor_that_limits_our_rate_is_passed_over() -> None:
    health = healthy()
    health.pauses.pause("acme", NOW + 1)
    message = Message(*THREE, health=health)
    assert (message.asked, message.wait, message.plan.is_moved) == (BOLT, 0.0, True)


def test_a_vendor_that_limits_our_rate_is_waited_for_where_there_is_no_other() -> None:
    health = healthy()
    health.pauses.pause("acme", NOW + 20)
    assert Message(ACME, ACME_SMALL, health=health).wait == 20.0
    break_down(health, "bolt")
    message = Message(ACME, BOLT, health=health)
    assert (message.asked, message.wait) == (ACME, 20.0)


def test_of_several_that_limit_our_rate_the_one_that_may_be_asked_first_is_waited_for() -> None:
    health = healthy()
    for vendor, pause in (("acme", 20.0), ("bolt", 5.0), ("spare", 10.0)):
        health.pauses.pause(vendor, NOW + pause)
    message = Message(*THREE, health=health)
    assert (message.asked, message.wait) == (BOLT, 5.0)


def test_of_two_targets_that_are_free_together_the_first_in_the_order_is_waited_for() -> None:
    health = healthy()
    health.pauses.pause("acme", NOW + 20)
    assert Message(ACME, ACME_SMALL, health=health, home=1).asked == ACME_SMALL


def test_a_vendor_is_not_waited_for_so_long_that_its_first_event_cannot_come_in_time() -> None:
    health = healthy()
    health.pauses.pause("acme", NOW + 20)
    for target, rules in (
        (replace(ACME, deadlines=Deadlines(first_event=19.75)), USUAL_RULES),
        (ACME, RouteRules(attempts_within=19.75)),
    ):
        with pytest.raises(GatewayError, match="limits our rate"):
            Message(target, health=health, rules=rules)
    assert Message(replace(ACME, deadlines=Deadlines(first_event=20)), health=health).wait == 20.0


def test_the_time_that_passed_before_a_target_was_reserved_counts() -> None:
    health = healthy()
    health.pauses.pause("acme", NOW + 60.5)
    late = Failover(Route("support", (ACME,)), health, home=None, began=NOW)
    with pytest.raises(GatewayError) as caught:
        late.reserve(NOW + 30)
    assert caught.value.retry_after == 30.5


def test_a_vendor_that_limits_our_rate_and_has_failed_too_often_is_not_waited_for() -> None:
    health = healthy()
    health.pauses.pause("acme", NOW + 5)
    break_down(health, "acme")
    with pytest.raises(GatewayError, match="failed too often"):
        Message(ACME, health=health)


# --- refusals


def told(error: GatewayError) -> tuple[Code, str, float | None, str | None]:
    return error.code, error.message, error.retry_after, error.vendor


def refused(*targets: Target, health: Health, may_leave: bool = True) -> tuple[Code, str, float | None, str | None]:
    with pytest.raises(GatewayError) as caught:
        Message(*targets, health=health, may_leave=may_leave)
    return told(caught.value)


def test_where_all_have_failed_too_often_the_message_may_come_back_when_the_first_is_probed() -> None:
    health = healthy()
    for vendor, earlier in (("acme", 2), ("bolt", 10), ("spare", 5)):
        break_down(health, vendor, NOW - earlier)
    assert refused(*THREE, health=health) == (
        "upstream_unavailable",
        "every vendor has failed too often to be asked now",
        20.0,
        None,
    )


def test_where_all_limit_our_rate_for_long_the_message_may_come_back_when_the_first_does_no_more() -> None:
    health = healthy()
    for vendor, pause in (("acme", 90), ("bolt", 70), ("spare", 80)):
        health.pauses.pause(vendor, NOW + pause)
    assert refused(*THREE, health=health) == ("upstream_rate_limited", "every vendor limits our rate", 70.0, None)


def test_where_some_have_failed_and_others_limit_our_rate_both_are_told() -> None:
    health = healthy()
    break_down(health, "acme")
    health.pauses.pause("bolt", NOW + 70)
    assert refused(ACME, BOLT, health=health) == (
        "upstream_unavailable",
        "every vendor has failed too often or limits our rate",
        OPEN_FOR,
        None,
    )


@pytest.mark.parametrize("targets", [(ACME,), (ACME, ACME_SMALL)])
def test_a_refusal_names_the_vendor_where_there_is_one(targets: tuple[Target, ...]) -> None:
    health = healthy()
    health.pauses.pause("acme", NOW + 90)
    assert refused(*targets, health=health) == ("upstream_rate_limited", "the vendor limits our rate", 90.0, "acme")
    break_down(health, "acme")
    failed = ("upstream_unavailable", "the vendor has failed too often to be asked now", 90.0, "acme")
    assert refused(*targets, health=health) == failed


def test_a_message_that_may_not_leave_is_refused_for_its_own_target_alone() -> None:
    health = healthy()
    break_down(health, "acme")
    failed = ("upstream_unavailable", "the vendor has failed too often to be asked now", OPEN_FOR, "acme")
    assert refused(*THREE, health=health, may_leave=False) == failed


def test_a_vendor_that_is_being_probed_may_be_asked_when_it_would_have_been_left_alone_as_long_again() -> None:
    health = healthy()
    break_down(health, "acme", NOW - OPEN_FOR)
    Message(ACME, health=health)
    assert refused(ACME, health=health)[2] == OPEN_FOR


def test_a_refusal_can_be_asked_for_without_a_message() -> None:
    health = healthy()
    health.pauses.pause("acme", NOW + 3)
    assert told(refusal([ACME], health, NOW)) == ("upstream_rate_limited", "the vendor limits our rate", 3.0, "acme")


TARGETS = st.lists(st.sampled_from([ACME, ACME_SMALL, BOLT, SPARE]), min_size=1, max_size=4)
PAUSES = st.dictionaries(st.sampled_from(["acme", "bolt", "spare"]), st.sampled_from([5, 20, 60, 61]))
BROKEN = st.sets(st.sampled_from(["acme", "bolt", "spare"]))


@given(TARGETS, PAUSES, BROKEN, st.sampled_from([10.0, 120.0]))
def test_a_message_is_refused_early_exactly_where_it_would_be_refused_later(
    targets: list[Target], pauses: dict[str, float], broken: set[str], within: float
) -> None:
    route, health = Route("support", tuple(targets), rules=RouteRules(attempts_within=within)), healthy()
    for vendor, pause in pauses.items():
        health.pauses.pause(vendor, NOW + pause)
    for vendor in broken:
        break_down(health, vendor)
    refusals = []
    for look in (partial(check_free, route, health), Failover(route, health, home=None, began=NOW).reserve):
        try:
            look(NOW)
        except GatewayError as error:
            refusals.append(told(error))
    assert len(refusals) in {0, 2}
    assert len(set(refusals)) <= 1


# --- the same target once more


def test_a_vendor_that_is_unavailable_is_asked_once_more_before_another() -> None:
    message = Message(*THREE)
    assert [message.fail("upstream_unavailable") for _ in range(7)] == [
        (ACME, 0.125),
        (BOLT, 0.0),
        (BOLT, 0.125),
        (SPARE, 0.0),
        (SPARE, 0.125),
        None,
        None,
    ]


def test_one_that_may_be_repeated_is_asked_once_more_though_it_was_accepted() -> None:
    assert Message(ACME, BOLT).fail("upstream_unavailable", "possibly_accepted", is_repeatable=True) == (ACME, 0.125)


@pytest.mark.parametrize("hint", [None, 0.0])
def test_each_retry_waits_up_to_twice_as_long(hint: float | None) -> None:
    message = Message(ruled(ACME, TargetRules(retries=3)), BOLT)
    waits = [message.fail("upstream_unavailable", hint=hint) for _ in range(4)]
    assert [chosen and chosen[1] for chosen in waits] == [0.125, 0.25, 0.5, 0.0]
    assert message.asked == BOLT


def test_one_that_says_how_long_it_will_be_unavailable_is_asked_again_only_where_there_is_no_other() -> None:
    message = Message(ACME, BOLT)
    assert message.fail("upstream_unavailable", hint=3.0) == (BOLT, 0.0)
    assert message.fail("upstream_unavailable", hint=4.0) == (BOLT, 4.0)
    assert message.fail("upstream_unavailable", hint=5.0) is None


@pytest.mark.parametrize("code", sorted(TRANSIENT - {"upstream_unavailable"}))
def test_after_a_timeout_or_a_broken_answer_others_are_asked_first_and_then_the_last_once_more(code: Code) -> None:
    message = Message(*THREE)
    assert [message.fail(code) for _ in range(4)] == [(BOLT, 0.0), (SPARE, 0.0), (SPARE, 0.125), None]
    alone = Message(ACME)
    assert [alone.fail(code, "possibly_accepted", is_repeatable=True) for _ in range(2)] == [(ACME, 0.125), None]


@pytest.mark.parametrize("code", sorted(set(get_args(FailOverCode)) - TRANSIENT))
def test_what_another_try_would_not_mend_is_not_retried(code: Code) -> None:
    assert Message(ruled(ACME, TargetRules(retries=9))).fail(code) is None


def test_a_vendor_that_says_that_asking_it_again_is_of_no_use_is_not_asked_again() -> None:
    message = Message(ACME, BOLT)
    assert message.fail("upstream_unavailable", word=False) == (BOLT, 0.0)
    assert message.fail("upstream_timeout", word=False) is None
    assert Message(ACME).fail("upstream_rate_limited", hint=2.0, word=False) is None
    assert Message(ACME).fail("upstream_rate_limited", hint=2.0) == (ACME, 2.0)


@pytest.mark.parametrize("code", ["upstream_rejected", "upstream_rate_limited", "upstream_not_found"])
def test_a_vendor_that_says_that_asking_it_again_helps_is_asked_again_where_there_is_no_other(code: Code) -> None:
    alone = Message(ACME)
    assert [alone.fail(code, word=True) for _ in range(2)] == [(ACME, 0.125), None]
    assert alone.plan.next(None, NOW) is None
    assert Message(ACME).fail(code, "possibly_accepted", word=True) is None, "a turn is not taken twice"


def test_what_a_vendor_says_of_asking_it_again_leaves_its_pause_as_it_is() -> None:
    message = Message(ACME, ACME_SMALL)
    assert message.fail("upstream_rate_limited", hint=2.0, word=True) == (ACME, 2.0)


def test_a_target_that_allows_no_retries_is_asked_once() -> None:
    never = TargetRules(retries=0)
    assert Message(ruled(ACME, never)).fail("upstream_unavailable") is None
    assert Message(ruled(ACME, never), BOLT).fail("upstream_unavailable") == (BOLT, 0.0)


def test_each_target_has_its_own_retries() -> None:
    bolt = ruled(BOLT, TargetRules(retries=2))
    message = Message(ruled(ACME, TargetRules(retries=0)), bolt)
    assert [message.fail("upstream_unavailable") for _ in range(4)] == [
        (bolt, 0.0),
        (bolt, 0.125),
        (bolt, 0.25),
        None,
    ]


def test_no_more_attempts_are_made_than_the_route_allows() -> None:
    many = ruled(ACME, TargetRules(retries=10))
    message = Message(many, BOLT, rules=RouteRules(attempts=3))
    assert [message.fail("upstream_unavailable") for _ in range(3)] == [(many, 0.125), (many, 0.25), None]
    assert Message(ACME, BOLT, rules=RouteRules(attempts=1)).fail("upstream_timeout") is None


def test_no_attempt_begins_later_than_the_route_allows() -> None:
    rules = RouteRules(attempts_within=10.0)
    assert Message(ACME, BOLT, rules=rules).fail("upstream_timeout", later=10.0) == (BOLT, 0.0)
    assert Message(ACME, BOLT, rules=rules).fail("upstream_timeout", later=10.25) is None
    assert Message(ACME, rules=rules).fail("upstream_unavailable", later=9.875) == (ACME, 0.125)
    assert Message(ACME, rules=rules).fail("upstream_unavailable", later=9.9) is None
    assert Message(ACME, BOLT, rules=rules).fail("upstream_unavailable", later=9.9) == (BOLT, 0.0)


def test_no_more_retries_are_made_than_the_vendors_budget_allows() -> None:
    health = healthy(budget=BudgetSettings(share=0, minimum=1))
    assert Message(ACME, BOLT, health=health).fail("upstream_unavailable") == (ACME, 0.125)
    assert Message(ACME, BOLT, health=health).fail("upstream_unavailable") == (BOLT, 0.0)
    assert Message(BOLT, health=health).fail("upstream_unavailable") == (BOLT, 0.125)


def test_each_message_adds_to_the_budget_of_whom_it_asks_and_its_retries_take_from_it() -> None:
    health = healthy(budget=BudgetSettings(share=1, minimum=0))
    stubborn = ruled(ACME, TargetRules(retries=9))
    message = Message(stubborn, BOLT, health=health)
    assert health.of("acme").budget.left(NOW) == 1
    assert [message.fail("upstream_unavailable") for _ in range(2)] == [(stubborn, 0.125), (BOLT, 0.0)]
    assert [health.of(vendor).budget.left(NOW) for vendor in ("acme", "bolt", "spare")] == [0, 1, 0]


def test_no_retry_is_made_where_the_breaker_has_opened() -> None:
    health = healthy(BreakerSettings(minimum=2, jitter=0))
    message = Message(ruled(ACME, TargetRules(retries=9)), BOLT, health=health)
    assert message.fail("upstream_unavailable") == (message.asked, 0.125)
    assert message.fail("upstream_unavailable") == (BOLT, 0.0)


def test_a_probe_that_fails_is_not_retried() -> None:
    health = healthy()
    break_down(health, "acme", NOW - OPEN_FOR)
    assert Message(ACME, health=health).fail("upstream_unavailable") is None


def test_a_wait_for_a_pause_and_a_new_conversation_are_no_retries() -> None:
    message = Message(ACME)
    assert message.fail("upstream_rate_limited", hint=1.0) == (ACME, 1.0)
    message.now += 1.0
    message.end("not_found", GatewayError("upstream_not_found", "no such conversation"))
    message.plan.again(message.now)
    assert [message.fail("upstream_unavailable") for _ in range(2)] == [(ACME, 0.125), None]
    assert message.health.of("acme").budget.left(message.now) == 9


# --- another target


def test_a_target_that_was_left_is_not_gone_back_to() -> None:
    message = Message(ACME, BOLT)
    assert [message.fail("upstream_timeout") for _ in range(3)] == [(BOLT, 0.0), (BOLT, 0.125), None]


def test_another_target_is_passed_over_while_its_vendor_may_not_be_asked() -> None:
    health = healthy()
    break_down(health, "bolt")
    assert Message(*THREE, health=health).fail("upstream_timeout") == (SPARE, 0.0)
    health.pauses.pause("spare", NOW + 5)
    assert Message(*THREE, health=health).fail("upstream_timeout") == (ACME, 0.125)


def test_another_target_of_the_vendor_may_be_asked_where_nothing_was_accepted() -> None:
    assert Message(ACME, ACME_SMALL).fail("upstream_timeout") == (ACME_SMALL, 0.0)
    assert Message(ACME, ACME_SMALL).fail("context_too_long", "possibly_accepted", is_repeatable=True) == (
        ACME_SMALL,
        0.0,
    )


@pytest.mark.parametrize("code", sorted(USUAL_CODES))
def test_after_each_of_the_usual_codes_another_target_is_asked(code: FailOverCode) -> None:
    message = Message(ruled(ACME, TargetRules(retries=0)), BOLT)
    assert message.fail(code, "possibly_accepted") == (BOLT, 0.0)


@pytest.mark.parametrize("code", sorted(set(CODES) - set(USUAL_CODES)))
def test_after_any_other_code_nobody_is_asked(code: Code) -> None:
    assert Message(*THREE).fail(code) is None


def test_a_target_may_say_after_which_codes_others_are_asked() -> None:
    rejecting = ruled(ACME, TargetRules(fail_over_on=("upstream_rejected", "content_filtered")))
    assert Message(rejecting, BOLT).fail("upstream_rejected") == (BOLT, 0.0)
    assert Message(rejecting, BOLT).fail("content_filtered") == (BOLT, 0.0)
    assert Message(rejecting, BOLT).fail("upstream_auth") is None


@pytest.mark.parametrize("code", sorted(TRANSIENT))
def test_where_no_other_is_asked_the_same_one_still_is(code: Code) -> None:
    alone = ruled(ACME, TargetRules(fail_over_on=()))
    message = Message(alone, BOLT)
    assert [message.fail(code) for _ in range(2)] == [(alone, 0.125), None]


def test_a_target_that_cannot_do_it_is_walked_past_without_a_word_to_its_breaker() -> None:
    health = healthy(BreakerSettings(minimum=1, jitter=0))
    message = Message(*THREE, health=health)
    assert [message.fail("unsupported") for _ in range(3)] == [(BOLT, 0.0), (SPARE, 0.0), None]
    assert [state.breaker for _, state in health.states(NOW)] == ["closed"] * 3
    assert health.latency.mean(("support", 0), NOW) is None


def test_a_message_that_may_not_leave_asks_the_first_alone() -> None:
    for code in sorted(USUAL_CODES):
        assert Message(ruled(ACME, TargetRules(retries=0)), BOLT, may_leave=False).fail(code) is None
    message = Message(*THREE, may_leave=False, home=1)
    assert [message.asked, message.fail("upstream_unavailable"), message.fail("upstream_unavailable")] == [
        BOLT,
        (BOLT, 0.125),
        None,
    ]
    assert not message.plan.is_moved
    assert Message(*THREE, may_leave=False).fail("upstream_timeout") == (ACME, 0.125)
    assert Message(*THREE, may_leave=False).fail("upstream_rate_limited", hint=2.0) == (ACME, 2.0)


# --- what was possibly accepted

SENT: list[Phase] = ["possibly_accepted", "committed"]


@pytest.mark.parametrize("phase", SENT)
@pytest.mark.parametrize("code", sorted(TRANSIENT))
def test_a_vendor_that_has_possibly_accepted_the_turn_is_not_asked_again(code: Code, phase: Phase) -> None:
    assert Message(ACME).fail(code, phase) is None
    assert Message(ACME, ACME_SMALL).fail(code, phase) is None
    message = Message(ACME, ACME_SMALL, BOLT)
    assert message.fail(code, phase) == (BOLT, 0.0)
    assert message.fail(code) == (BOLT, 0.125)
    assert message.fail(code) is None


@pytest.mark.parametrize("phase", SENT)
def test_a_vendor_that_accepted_the_turn_and_then_limits_our_rate_is_not_waited_for(phase: Phase) -> None:
    assert Message(ACME, ACME_SMALL).fail("upstream_rate_limited", phase, hint=1.0) is None
    message = Message(ACME, BOLT)
    assert message.fail("upstream_rate_limited", phase, hint=1.0) == (BOLT, 0.0)
    assert message.fail("upstream_timeout", later=2.0) == (BOLT, 0.125)
    assert message.health.pauses.left("acme", NOW) == 1.0


@pytest.mark.parametrize("phase", SENT)
def test_no_other_vendor_is_asked_where_the_route_forbids_it(phase: Phase) -> None:
    strict = ruled(ACME, TargetRules(once_sent="fail"))
    for code in sorted(USUAL_CODES):
        assert Message(strict, BOLT).fail(code, phase) is None
    health = healthy()
    health.pauses.pause("bolt", NOW + 5)
    assert Message(strict, BOLT, health=health).fail("upstream_rate_limited", phase, hint=9.0) is None
    assert Message(strict, BOLT).fail("upstream_timeout") == (BOLT, 0.0)
    assert Message(strict, BOLT).fail("upstream_timeout", phase, is_repeatable=True) == (BOLT, 0.0)


# --- what the client has seen


def test_an_answer_that_breaks_off_is_begun_anew_once() -> None:
    message = Message(*THREE)
    assert message.fail("upstream_protocol", "committed") == (BOLT, 0.0)
    assert message.fail("upstream_protocol", "committed") is None


def test_only_what_the_client_has_seen_counts_as_a_switch() -> None:
    message = Message(*THREE)
    assert message.fail("upstream_protocol", "possibly_accepted") == (BOLT, 0.0)
    assert message.fail("upstream_protocol", "committed") == (SPARE, 0.0)
    assert message.fail("upstream_protocol", "not_sent") == (SPARE, 0.125)
    assert message.fail("upstream_protocol", "committed") is None


def test_an_answer_that_the_same_target_begins_anew_is_a_switch_as_well() -> None:
    message = Message(ACME, BOLT)
    assert message.fail("upstream_unavailable", "committed", is_repeatable=True) == (ACME, 0.125)
    assert message.fail("upstream_unavailable", "committed", is_repeatable=True) is None


@pytest.mark.parametrize("switches", [0, 1, 2, 3])
def test_a_route_may_say_how_often_an_answer_that_breaks_off_is_begun_anew(switches: int) -> None:
    targets = [Target(vendor, "parrot", Model()) for vendor in ("acme", "bolt", "spare")]
    message = Message(*targets, rules=RouteRules(switches=switches))
    failed = [message.fail("upstream_protocol", "committed") for _ in range(3)]
    assert failed == [(target, 0.0) for target in targets[1:][:switches]] + [None] * (3 - min(switches, 2))


def test_an_answer_that_breaks_off_late_has_the_time_that_a_message_has_at_its_start() -> None:
    message = Message(*THREE, rules=RouteRules(attempts_within=10, switches=2))
    assert message.fail("upstream_protocol", "committed", later=600.0) == (BOLT, 0.0)
    assert message.fail("upstream_timeout", "possibly_accepted", later=10.5) is None
    message = Message(ACME, BOLT, rules=RouteRules(attempts_within=10))
    assert message.fail("upstream_timeout", "possibly_accepted", later=10.5) is None


# --- hedging

TWICE = TargetRules(may_run_twice=True)


def test_a_second_target_is_asked_beside_the_first_and_by_nobody_else() -> None:
    message = Message(ruled(ACME, TWICE), ruled(BOLT, TWICE), SPARE)
    beside = message.plan.hedge(NOW + 1)
    assert beside is not None
    assert beside.next(None, NOW + 1) == (ruled(BOLT, TWICE), 0.0)
    assert beside.is_moved
    assert message.fail("upstream_timeout") == (SPARE, 0.0)
    assert message.plan.hedge(NOW + 2) is None


@pytest.mark.parametrize(
    "targets",
    [
        (ruled(ACME, TWICE),),
        (ruled(ACME, TWICE), BOLT),
        (ACME, ruled(BOLT, TWICE)),
    ],
)
def test_only_who_may_be_run_twice_takes_part_in_a_hedge(targets: tuple[Target, ...]) -> None:
    assert Message(*targets).plan.hedge(NOW) is None


def test_no_hedge_is_asked_of_a_vendor_that_may_not_be_asked_now_or_at_all() -> None:
    pair, health = (ruled(ACME, TWICE), ruled(BOLT, TWICE)), healthy()
    assert Message(*pair, may_leave=False).plan.hedge(NOW) is None
    break_down(health, "bolt")
    assert Message(*pair, health=health).plan.hedge(NOW) is None


def test_a_hedge_is_one_of_the_attempts_of_its_message() -> None:
    pair = (ruled(ACME, TWICE), ruled(BOLT, TWICE))
    assert Message(*pair, rules=RouteRules(attempts=1)).plan.hedge(NOW) is None
    assert Message(*pair, rules=RouteRules(attempts_within=9)).plan.hedge(NOW + 9.25) is None
    message = Message(*pair, SPARE, rules=RouteRules(attempts=2))
    assert message.plan.hedge(NOW) is not None
    assert message.fail("upstream_timeout") is None


def test_a_hedge_holds_a_place_of_its_own_at_its_vendors_breaker() -> None:
    health = healthy()
    break_down(health, "bolt")
    half_open = NOW + OPEN_FOR
    beside = Message(ruled(ACME, TWICE), ruled(BOLT, TWICE), health=health, now=half_open).plan.hedge(half_open)
    assert beside is not None
    assert places(health, "bolt", half_open) == 0
    beside.close(half_open)
    assert places(health, "bolt", half_open) == 1


def test_a_message_that_is_closed_closes_its_hedge() -> None:
    health = healthy()
    break_down(health, "bolt", NOW - OPEN_FOR)
    message = Message(ruled(ACME, TWICE), ruled(BOLT, TWICE), health=health)
    assert message.plan.hedge(NOW) is not None
    message.plan.close(NOW)
    assert places(health, "bolt", NOW) == 1


def test_a_switch_that_found_nobody_is_none() -> None:
    health = healthy()
    health.pauses.pause("bolt", NOW + 5)
    message = Message(ACME, BOLT, health=health)
    assert message.fail("upstream_protocol", "committed") is None
    assert message.fail("upstream_protocol", "committed", later=5.0) == (BOLT, 0.0)


# --- vendors that limit our rate


def test_a_vendor_that_limits_our_rate_is_left_at_once() -> None:
    assert Message(ACME, BOLT).fail("upstream_rate_limited", hint=1.0) == (BOLT, 0.0)
    assert Message(ACME, ACME_SMALL, BOLT).fail("upstream_rate_limited", hint=1.0) == (BOLT, 0.0)


def test_no_message_asks_it_before_its_pause_is_over() -> None:
    health = healthy()
    Message(ACME, BOLT, health=health).fail("upstream_rate_limited", hint=20.0)
    assert Message(ACME, BOLT, health=health, now=NOW + 19.75).asked == BOLT
    assert Message(ACME, health=health, now=NOW + 5).wait == 15.0
    assert Message(ACME, BOLT, health=health, now=NOW + 20).asked == ACME


def test_it_is_gone_back_to_when_its_pause_is_over() -> None:
    message = Message(ACME, BOLT)
    assert message.fail("upstream_rate_limited", hint=2.0) == (BOLT, 0.0)
    assert message.fail("upstream_timeout", later=2.0) == (ACME, 0.0)
    assert not message.plan.is_moved


def test_one_that_cannot_do_what_is_asked_is_not_gone_back_to_though_its_vendor_was_paused() -> None:
    message = Message(ACME, BOLT)
    message.health.pauses.pause("acme", NOW + 2)
    assert message.fail("context_too_long") == (BOLT, 0.0)
    assert message.fail("upstream_timeout", later=2.0) == (BOLT, 0.125)


def test_where_all_limit_our_rate_the_one_that_may_be_asked_first_is_waited_for() -> None:
    message = Message(*THREE)
    assert message.fail("upstream_rate_limited", hint=20.0) == (BOLT, 0.0)
    assert message.fail("upstream_rate_limited", hint=5.0, later=1.0) == (SPARE, 0.0)
    assert message.fail("upstream_rate_limited", hint=9.0, later=1.0) == (BOLT, 4.0)
    assert message.fail("upstream_rate_limited", hint=30.0, later=4.0) == (SPARE, 5.0)


def test_vendors_are_waited_for_a_few_times_at_most() -> None:
    message = Message(ACME)
    waits = [message.fail("upstream_rate_limited", hint=1.0, later=1.0) for _ in range(MAX_WAITS + 1)]
    assert waits == [(ACME, 1.0)] * MAX_WAITS + [None]


def test_the_first_wait_counts_among_them() -> None:
    health = healthy()
    health.pauses.pause("acme", NOW + 1)
    message = Message(ACME, health=health)
    waits = [message.fail("upstream_rate_limited", hint=1.0, later=1.0) for _ in range(MAX_WAITS)]
    assert waits == [(ACME, 1.0)] * (MAX_WAITS - 1) + [None]


def test_a_vendor_is_waited_for_only_where_its_first_event_may_come_in_time() -> None:
    assert Message(ACME).fail("upstream_rate_limited", hint=50.0, later=10.0) == (ACME, 50.0)
    assert Message(ACME).fail("upstream_rate_limited", hint=50.25, later=10.0) is None
    quick = replace(ACME, deadlines=Deadlines(first_event=20))
    assert Message(quick).fail("upstream_rate_limited", hint=10.0, later=10.0) == (quick, 10.0)
    assert Message(quick).fail("upstream_rate_limited", hint=10.25, later=10.0) is None


@pytest.mark.parametrize("hint", [None, 0.0])
def test_a_limit_without_a_hint_pauses_nobody_and_is_not_waited_for(hint: float | None) -> None:
    alone = Message(ACME)
    assert alone.fail("upstream_rate_limited", hint=hint) is None
    assert alone.health.pauses.left("acme", NOW) == 0
    assert Message(ACME, BOLT).fail("upstream_rate_limited", hint=hint) == (BOLT, 0.0)


def test_where_no_other_may_be_asked_for_it_only_the_same_vendor_is_waited_for() -> None:
    alone = ruled(ACME, TargetRules(fail_over_on=()))
    for target, waited_for in ((ACME, (BOLT, 1.0)), (alone, (alone, 5.0))):
        message = Message(target, BOLT)
        message.health.pauses.pause("bolt", NOW + 1)
        assert message.fail("upstream_rate_limited", hint=5.0) == waited_for


def test_a_vendor_whose_breaker_opened_meanwhile_is_not_waited_for() -> None:
    health = healthy()
    message = Message(ACME, health=health)
    break_down(health, "acme")
    assert message.fail("upstream_rate_limited", hint=5.0) is None


def test_a_limit_charges_no_breaker() -> None:
    health = healthy(BreakerSettings(minimum=1, jitter=0))
    Message(ACME, health=health).fail("upstream_rate_limited", hint=5.0)
    assert health.of("acme").breaker.state(NOW) == "closed"


# --- vendors that refuse our credential


@pytest.mark.parametrize("code", sorted(OF_THE_VENDOR))
def test_what_every_target_of_the_vendor_would_meet_is_asked_of_none_of_them(code: Code) -> None:
    assert Message(ACME, ACME_SMALL).fail(code) is None
    assert Message(ACME, ACME_SMALL, BOLT).fail(code) == (BOLT, 0.0)


def test_a_vendor_that_refused_our_credential_is_asked_last_until_a_call_succeeds() -> None:
    health = healthy()
    Message(*THREE, health=health).fail("upstream_auth")
    message = Message(*THREE, health=health)
    assert (message.asked, message.plan.is_moved) == (BOLT, True)
    assert [message.fail("upstream_timeout"), message.fail("upstream_timeout")] == [(SPARE, 0.0), (ACME, 0.0)]
    assert Message(*THREE, health=health, home=0).asked == BOLT
    message.end()
    assert Message(*THREE, health=health).asked == ACME


def test_another_failure_neither_marks_a_vendor_nor_clears_it() -> None:
    health = healthy()
    Message(ACME, health=health).fail("quota_exhausted")
    assert not health.of("acme").is_refused
    Message(ACME, health=health).fail("upstream_auth")
    Message(ACME, health=health).fail("upstream_timeout")
    Message(ACME, health=health).end("canceled")
    assert health.of("acme").is_refused


def test_a_vendor_that_refused_our_credential_is_asked_where_there_is_no_other() -> None:
    health = healthy()
    Message(ACME, health=health).fail("upstream_auth")
    assert Message(ACME, health=health).asked == ACME
    assert Message(ACME, BOLT, health=health, may_leave=False).asked == ACME


# --- a slow answer


def test_a_slow_answer_may_be_left_for_another_vendor() -> None:
    assert Message(ACME, BOLT).plan.has_other(NOW)
    assert Message(ACME, BOLT).fail("upstream_timeout", "possibly_accepted", cause="too_slow") == (BOLT, 0.0)


@pytest.mark.parametrize(
    "targets",
    [
        (ACME,),
        (ACME, ACME_SMALL),
        (ruled(ACME, TargetRules(once_sent="fail")), BOLT),
        (ruled(ACME, TargetRules(fail_over_on=("upstream_unavailable",))), BOLT),
    ],
)
def test_it_is_kept_where_nobody_would_be_asked_instead(targets: tuple[Target, ...]) -> None:
    message = Message(*targets)
    assert not message.plan.has_other(NOW)
    assert message.fail("upstream_timeout", "possibly_accepted", cause="too_slow") is None


def test_it_is_kept_where_no_other_may_be_asked_now() -> None:
    health = healthy()
    break_down(health, "bolt")
    health.pauses.pause("spare", NOW + 5)
    plan = Message(*THREE, health=health).plan
    assert [plan.has_other(now) for now in (NOW, NOW + 5)] == [False, True]
    assert not Message(ACME, BOLT, may_leave=False).plan.has_other(NOW)
    assert not Message(ACME, BOLT, rules=RouteRules(attempts=1)).plan.has_other(NOW)
    assert not Message(ACME, BOLT).plan.has_other(NOW + 120.25)


def test_it_is_kept_where_the_others_have_failed() -> None:
    message = Message(ACME, BOLT)
    assert message.fail("upstream_timeout") == (BOLT, 0.0)
    assert not message.plan.has_other(NOW)


# --- what an attempt says of its vendor


@pytest.mark.parametrize(
    ("outcome", "error", "first_event", "state"),
    [
        (None, None, 1.0, "closed"),
        (None, None, 5.5, "open"),
        ("first_event_timeout", TIMED_OUT, None, "open"),
        ("too_slow", TIMED_OUT, 1.0, "open"),
        ("client_gone", None, 9.0, "closed"),
    ],
)
def test_an_attempt_is_told_to_the_breaker(
    outcome: Cause | None, error: GatewayError | None, first_event: float | None, state: str
) -> None:
    health = healthy(BreakerSettings(minimum=1, slow_after=5.0))
    Message(ACME, health=health).end(outcome, error, first_event=first_event)
    assert health.of("acme").breaker.state(NOW) == state


def test_the_time_to_the_first_text_is_noted_of_the_target() -> None:
    message = Message(*THREE, home=1)
    message.end(first_event=0.5, first_text=0.75)
    message.end("client_gone", first_text=1.25)
    assert [message.health.latency.mean(("support", position), NOW) for position in range(3)] == [None, 1.0, None]


def test_where_the_text_never_came_the_deadline_is_noted_if_the_vendor_is_to_blame() -> None:
    hasty = replace(ACME, deadlines=Deadlines(first_event=7))
    message = Message(hasty)
    message.end("canceled")
    message.end("rejected", GatewayError("upstream_rejected", "no"))
    message.end()
    assert message.health.latency.mean(("support", 0), NOW) is None
    message.end("first_event_timeout", TIMED_OUT)
    assert message.health.latency.mean(("support", 0), NOW) == 7.0
    slow = Message(hasty)
    slow.end("too_slow", TIMED_OUT)
    assert slow.health.latency.mean(("support", 0), NOW) == 7.0


# --- places at a half-open breaker


def probing(*targets: Target) -> Message:
    """Acme is to be probed, by one call at a time, and the message has its place."""
    health = healthy()
    break_down(health, "acme", NOW - OPEN_FOR)
    message = Message(*targets, health=health)
    assert message.asked == ACME
    assert not health.admits("acme", NOW)
    return message


VERDICTS: dict[Verdict, tuple[Cause | None, str, int]] = {
    "good": (None, "closed", 0),
    "bad": ("connect", "open", 0),
    "neutral": ("client_gone", "half_open", 1),
}


@pytest.mark.parametrize("said", VERDICTS)
def test_a_probe_that_ended_holds_no_place(said: Verdict) -> None:
    outcome, state, left = VERDICTS[said]
    message = probing(ACME)
    message.end(outcome)
    message.plan.close(NOW)
    breaker = message.health.of("acme").breaker
    assert breaker.state(NOW) == state
    if state != "closed":
        assert places(message.health, "acme", NOW) == left


def test_other_messages_go_elsewhere_while_one_probes() -> None:
    message = probing(ACME, BOLT)
    assert Message(ACME, BOLT, health=message.health).asked == BOLT


def test_a_message_that_is_closed_gives_back_what_it_reserved() -> None:
    message = probing(ACME)
    message.plan.close(NOW)
    assert places(message.health, "acme", NOW) == 1
    message.plan.close(NOW)
    message.end("connect")
    assert message.health.of("acme").breaker.state(NOW) == "half_open"


def test_a_message_that_was_reserved_and_never_ran_gives_its_place_back() -> None:
    health = healthy()
    break_down(health, "acme", NOW - OPEN_FOR)
    plan = Failover(Route("support", (ACME,)), health, home=None, began=NOW)
    plan.close(NOW)
    plan.reserve(NOW)
    assert places(health, "acme", NOW) == 0
    plan.close(NOW)
    assert places(health, "acme", NOW) == 1


def test_a_probe_that_is_walked_past_gives_its_place_back() -> None:
    message = probing(ACME, BOLT)
    assert message.fail("unsupported") == (BOLT, 0.0)
    assert places(message.health, "acme", NOW) == 1


def test_a_probe_that_is_asked_for_a_new_conversation_holds_one_place() -> None:
    message = probing(ACME)
    message.end("not_found", GatewayError("upstream_not_found", "no such conversation"))
    message.plan.again(NOW)
    assert places(message.health, "acme", NOW) == 0
    message.end()
    assert message.health.of("acme").breaker.state(NOW) == "closed"


def test_a_call_that_the_breaker_did_not_admit_says_nothing_to_it() -> None:
    message = Message(ACME)
    message.end("not_found", GatewayError("upstream_not_found", "no such conversation"))
    break_down(message.health, "acme")
    message.plan.again(NOW)
    message.end()
    assert message.health.of("acme").breaker.state(NOW) == "open"

"""What `gateway check` says of a route: who is asked, and nobody who is not."""

import pytest
from msgspec import Struct

from gateway.cli.routes import explain_route
from gateway.routing.backoff import BackoffSettings
from gateway.routing.order import Stickiness, Strategy
from gateway.routing.plan import Deadlines, Route, Target
from gateway.routing.rules import USUAL_CODES, CatchUp, FailOverCode, RouteRules, Speed, TargetRules


class Agent(Struct, frozen=True):
    agent: str = "a1"
    mode: str | None = None


QUICK = Deadlines(first_event=20.0)


def target(vendor: str = "acme", rules: TargetRules | None = None, *, weight: float = 1.0) -> Target:
    return Target(vendor, "acme-chat", Agent(), QUICK, rules or TargetRules(), weight)


def page(*targets: Target, rules: RouteRules | None = None) -> list[str]:
    route = Route("support", targets, rules=rules or RouteRules())
    return list(explain_route(route, is_default=False))


def beginning(told: list[str], begin: str) -> list[str]:
    """What the lines say that begin so."""
    return [line.strip().removeprefix(begin).strip() for line in told if line.strip().startswith(begin)]


def test_all_that_a_route_can_say_is_told() -> None:
    special = TargetRules(
        headers_after=3.0,
        retries=4,
        fail_over_on=(*USUAL_CODES[1:], "upstream_rejected"),
        mid_stream="restart",
        mid_stream_by_cause={"truncated": "continue", "too_large": "fail", "empty": "restart"},
        on_disconnect="drain",
        drain=45.0,
        min_speed=Speed(20.0, 1.5),
    )
    route = Route(
        "support",
        (
            Target("acme", "acme-chat", Agent("a1", "deep"), Deadlines(1.0, 2.5, 3.0, 4.0), special, 3.0),
            Target("apex", "apex", Agent("a2"), QUICK, TargetRules(on_disconnect="continue"), 1.0),
            Target("apex", "apex", Agent("a3"), QUICK, TargetRules(), 0.0),
        ),
        headers_after=5.0,
        heartbeat=4.0,
        vendor_events=True,
        models=("gpt-4o", "gpt-*"),
        rules=RouteRules(
            strategy="weighted",
            stickiness=Stickiness(return_after=600.0),
            attempts=5,
            attempts_within=30.0,
            switches=2,
            backoff=BackoffSettings(1.0, 2.0, 3.0),
            catch_up=CatchUp(1000),
        ),
    )
    assert "\n".join(explain_route(route, is_default=True)) == (
        """\
route support (the default)
    models     gpt-4o, gpt-*
    order      drawn by weight; a conversation stays where it is, where a failure moved it 600 s at most
    attempts   at most 5 begin within 30 s; a retry waits up to 1 s, later 2 s, for a vendor's hint 3 s
    catch-up   at most 1000 characters of what a vendor missed
    target 1   acme (acme-chat), agent "a1", mode "deep"
               weight 3 of 4
               connect 1 s, first event 2.5 s, idle 3 s, total 4 s
               headers after 3 s here
               fails: 4 retries; another target is asked on the usual codes, and upstream_rejected, not on unsupported
               once sent: another vendor is asked
               below 20 characters/s in 1.5 s: another target is asked
               breaks off: another target answers anew; \
truncated: another target goes on with it, where it is all text; too_large: the message fails; 2 switches at most
               client leaves: the vendor's run may go on for 45 s
    target 2   apex (apex), agent "a2"
               weight 1 of 4
               connect 5 s, first event 20 s, idle 300 s, total 1800 s
               fails: 1 retry; another target is asked on the usual codes
               once sent: another vendor is asked
               breaks off: the message fails
               client leaves: the vendor's run goes on to its end
    target 3   apex (apex), agent "a3"
               weight 0: asked after all others
               connect 5 s, first event 20 s, idle 300 s, total 1800 s
               fails: 1 retry; another target is asked on the usual codes
               once sent: another vendor is asked
               breaks off: the message fails
               client leaves: the vendor's run is stopped
    headers after 5 s, a heartbeat every 4 s
    vendor events are passed on"""
    )


@pytest.mark.parametrize(
    ("strategy", "stickiness", "expected"),
    [
        ("priority", Stickiness(), "as below; a conversation stays where it is"),
        ("weighted", Stickiness("none"), "drawn by weight, for each message anew"),
        ("least_latency", Stickiness("none", 5.0), "the quickest to its first text first, for each message anew"),
    ],
)
def test_the_order_is_told_in_words(strategy: Strategy, stickiness: Stickiness, expected: str) -> None:
    rules = RouteRules(strategy, stickiness)
    assert beginning(page(target(), target("apex"), rules=rules), "order") == [expected]


def test_a_route_with_one_target_asks_nobody_else_whatever_it_says() -> None:
    eager = TargetRules(retries=9, mid_stream="restart", min_speed=Speed(20.0))
    told = page(target(rules=eager), rules=RouteRules("least_latency"))
    assert beginning(told, "order") == ["there is one target: nobody else is asked"]
    assert beginning(told, "fails:") == ["5 retries; nobody else is asked: there is no other target"]
    assert beginning(told, "once sent:") == []
    assert beginning(told, "below") == ["20 characters/s in 2 s: nobody else is asked: there is no other target"]
    assert beginning(told, "breaks off:") == [
        "this target answers anew, only where it may be asked twice; 1 switch at most"
    ]


def test_one_attempt_is_the_last() -> None:
    told = page(target(), target("apex"), rules=RouteRules(attempts=1))
    assert beginning(told, "fails:") == ["0 retries; nobody else is asked: attempts is 1"] * 2
    assert beginning(told, "once sent:") == []


def test_a_target_that_fails_over_on_nothing_is_the_last() -> None:
    told = page(target(rules=TargetRules(fail_over_on=())), target("apex"))
    assert beginning(told, "fails:") == [
        "1 retry; nobody else is asked: fail_over_on is empty",
        "1 retry; another target is asked on the usual codes",
    ]


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (USUAL_CODES[::-1], "the usual codes"),
        ((*USUAL_CODES, "content_filtered"), "the usual codes, and content_filtered"),
        (USUAL_CODES[2:], "the usual codes, not on unsupported, upstream_rate_limited"),
        (("upstream_timeout", "upstream_rejected"), "upstream_timeout, upstream_rejected alone"),
    ],
)
def test_codes_are_told_by_how_they_differ_from_the_usual_ones(codes: tuple[FailOverCode, ...], expected: str) -> None:
    told = page(target(rules=TargetRules(fail_over_on=codes)), target("apex"))
    assert beginning(told, "fails:")[0] == f"1 retry; another target is asked on {expected}"


def test_what_a_vendor_may_have_accepted_is_asked_of_nobody_where_the_route_says_so_or_has_no_other_vendor() -> None:
    rules = TargetRules(once_sent="fail", mid_stream="continue", min_speed=Speed(20.0))
    told = page(target(rules=rules), target("apex"))
    assert beginning(told, "once sent:") == ["nobody else is asked: once_sent is fail", "another vendor is asked"]
    assert beginning(told, "below") == ["20 characters/s in 2 s: nobody else is asked: once_sent is fail"]
    assert beginning(told, "breaks off:")[0] == (
        "this target goes on with it, only where it is all text and may be asked twice; 1 switch at most"
    )
    assert beginning(page(target(), target()), "once sent:") == [
        "nobody else is asked: all targets are of this vendor",
        "nobody else is asked: all targets are of this vendor",
    ]


def test_a_slow_answer_is_left_only_where_that_fails_over() -> None:
    rules = TargetRules(fail_over_on=("upstream_unavailable",), min_speed=Speed(20.0))
    assert beginning(page(target(rules=rules), target("apex")), "below") == [
        "20 characters/s in 2 s: nobody else is asked: upstream_timeout is not in fail_over_on"
    ]


def test_a_silence_that_outlasts_the_time_for_attempts_is_told() -> None:
    told = page(target(), target("apex"), rules=RouteRules(attempts_within=20.0))
    assert beginning(told, "silent for") == ["20 s: nobody else is asked: attempts_within is over"] * 2
    assert beginning(page(target(), target("apex")), "silent for") == []


@pytest.mark.parametrize(
    ("retries", "rules", "why"),
    [(0, RouteRules(), "once_sent is fail"), (1, RouteRules(attempts=1), "attempts is 1")],
)
def test_an_answer_that_breaks_off_fails_where_nobody_is_asked_and_nothing_is_retried(
    retries: int, rules: RouteRules, why: str
) -> None:
    last = TargetRules(retries=retries, once_sent="fail", mid_stream="restart")
    told = page(target(rules=last), target("apex"), rules=rules)
    assert beginning(told, "breaks off:")[0] == f"the message fails: {why}, and there is no retry"


def test_without_switches_an_answer_that_breaks_off_fails() -> None:
    told = page(target(rules=TargetRules(mid_stream="restart")), target("apex"), rules=RouteRules(switches=0))
    assert beginning(told, "breaks off:") == ["the message fails: switches is 0", "the message fails"]


def test_who_is_asked_beside_another_is_told() -> None:
    twice = TargetRules(may_run_twice=True)
    told = page(target(rules=twice), target("apex", twice), target("third"), rules=RouteRules(hedge_after=1.5))
    assert beginning(told, "hedging") == ["one of acme, apex is asked beside another that has not begun after 1.5 s"]
    told = page(target(rules=twice), target("apex"), rules=RouteRules(hedge_after=1.5))
    assert beginning(told, "hedging") == ["nobody: fewer than two targets may_run_twice"]
    assert beginning(page(target()), "hedging") == []

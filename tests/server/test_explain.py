"""Why targets are asked in the order in which they are, told of the vendors' health as it is."""

from collections.abc import Iterator

from msgspec import Struct

from gateway.routing.breaker import BreakerSettings
from gateway.routing.failover import key_of
from gateway.routing.health import Health, HealthSettings
from gateway.routing.order import Stickiness
from gateway.routing.plan import Deadlines, Route, Target
from gateway.routing.rules import USUAL_CODES, RouteRules, Speed, TargetRules
from gateway.server.explain import explain

NOW = 100.0


class Agent(Struct, frozen=True):
    agent: str


ACME = Target("acme", "acme-chat", Agent("a1"))
APEX = Target("apex", "apex", Agent("a2"))
ZETA = Target("zeta", "zeta", Agent("a3"))


def healthy(*drawn: float) -> Health:
    draws: Iterator[float] = iter(drawn)
    fragile = HealthSettings(BreakerSettings(minimum=1))
    return Health({"acme": fragile, "apex": fragile, "zeta": fragile}, lambda: next(draws, 0.0))


def fail(health: Health, vendor: str, now: float = NOW) -> None:
    breaker = health.of(vendor).breaker
    ticket = breaker.begin(now)
    assert ticket is not None
    breaker.end(ticket, "bad", now, health.random)


def told(
    health: Health, *targets: Target, rules: RouteRules | None = None, now: float = NOW
) -> list[tuple[object, ...]]:
    """Of each target in its order: the vendor, whether it may be asked, and why."""
    explained = explain(Route("support", targets, rules=rules or RouteRules()), health, now)["targets"]
    assert isinstance(explained, list)
    return [(each["vendor"], each["may_be_asked"], each["why"]) for each in explained]


def test_a_route_is_explained_with_all_that_is_effective() -> None:
    health = healthy()
    slow = Target(
        "apex",
        "apex",
        Agent("a2"),
        Deadlines(first_event=5.0),
        TargetRules(headers_after=2.0, fail_over_on=("upstream_timeout",), min_speed=Speed(20.0)),
        2.0,
    )
    route = Route("support", (ACME, slow), headers_after=7.0, rules=RouteRules(stickiness=Stickiness("none")))
    health.latency.note(key_of(route, 1), 1.5, NOW)
    assert explain(route, health, NOW) == {
        "strategy": "priority",
        "stickiness": {"mode": "none", "return_after": None},
        "attempts": 6,
        "attempts_within": 120.0,
        "switches": 1,
        "backoff": {"base": 0.25, "cap": 8.0, "max_hint": 60.0},
        "catch_up": {"characters": 65_536, "template": "[Earlier in this conversation]\n{earlier}\n[Now]\n{now}"},
        "hedge_after": None,
        "targets": [
            {
                "vendor": "acme",
                "position": 0,
                "may_be_asked": True,
                "why": "first in the order",
                "breaker": "closed",
                "mean_first_text": None,
                "weight": 1.0,
                "deadlines": {"connect": 5.0, "first_event": 60.0, "idle": 300.0, "total": 1800.0},
                "rules": {
                    "headers_after": 7.0,
                    "retries": 1,
                    "fail_over_on": USUAL_CODES,
                    "once_sent": "ask_another",
                    "mid_stream": "fail",
                    "mid_stream_by_cause": {},
                    "on_disconnect": "cancel",
                    "drain": 30.0,
                    "min_speed": None,
                    "may_run_twice": False,
                },
            },
            {
                "vendor": "apex",
                "position": 1,
                "may_be_asked": True,
                "why": "asked where those before it fail",
                "breaker": "closed",
                "mean_first_text": 1.5,
                "weight": 2.0,
                "deadlines": {"connect": 5.0, "first_event": 5.0, "idle": 300.0, "total": 1800.0},
                "rules": {
                    "headers_after": 2.0,
                    "retries": 1,
                    "fail_over_on": ("upstream_timeout",),
                    "once_sent": "ask_another",
                    "mid_stream": "fail",
                    "mid_stream_by_cause": {},
                    "on_disconnect": "cancel",
                    "drain": 30.0,
                    "min_speed": {"characters": 20.0, "window": 2.0},
                    "may_run_twice": False,
                },
            },
        ],
    }


def test_a_vendor_whose_breaker_is_open_keeps_its_place_but_is_not_asked() -> None:
    health = healthy()
    fail(health, "acme")
    assert told(health, ACME, APEX, now=NOW + 17.5) == [
        ("acme", False, "its breaker is open for 13 s"),
        ("apex", True, "first in the order"),
    ]


def test_a_half_open_breaker_lets_one_call_try_and_no_more() -> None:
    health = healthy()
    fail(health, "acme")
    later = NOW + 30
    assert told(health, ACME, now=later) == [
        ("acme", True, "its breaker is half open: this call tries whether it is well again")
    ]
    assert health.of("acme").breaker.begin(later) is not None
    assert told(health, ACME, now=later) == [
        ("acme", False, "its breaker is half open, and lets no more calls through until one has ended")
    ]


def test_a_vendor_that_limits_our_rate_is_not_asked() -> None:
    health = healthy()
    health.pauses.pause("acme", NOW + 30)
    assert told(health, ACME, APEX) == [
        ("acme", False, "it limits our rate for 30 s"),
        ("apex", True, "first in the order"),
    ]


def test_a_vendor_that_refused_our_credential_comes_last() -> None:
    health = healthy()
    health.of("acme").is_refused = True
    assert told(health, ACME, APEX, ZETA) == [
        ("apex", True, "first in the order"),
        ("zeta", True, "asked where those before it fail"),
        ("acme", True, "it refused our credential: asked last"),
    ]


def test_nobody_is_asked_after_the_only_attempt() -> None:
    health = healthy()
    fail(health, "acme")
    assert told(health, ACME, APEX, ZETA, rules=RouteRules(attempts=1)) == [
        ("acme", False, "its breaker is open for 30 s"),
        ("apex", True, "first in the order"),
        ("zeta", False, "nobody is asked after the first: attempts is 1"),
    ]


def test_nobody_is_asked_after_a_target_that_fails_over_on_nothing() -> None:
    last = Target("acme", "acme-chat", Agent("a1"), rules=TargetRules(fail_over_on=()))
    assert told(healthy(), last, APEX) == [
        ("acme", True, "first in the order"),
        ("apex", False, "nobody is asked after acme: its fail_over_on is empty"),
    ]


def test_the_only_target_is_told_so() -> None:
    assert told(healthy(), ACME) == [("acme", True, "the only target")]


def test_targets_are_drawn_by_weight() -> None:
    never = Target("zeta", "zeta", Agent("a3"), weight=0.0)
    assert told(healthy(0.9, 0.1), ACME, APEX, never, rules=RouteRules("weighted")) == [
        ("apex", True, "drawn by weight"),
        ("acme", True, "drawn by weight"),
        ("zeta", True, "its weight is 0: asked after all others"),
    ]


def test_targets_are_ordered_by_their_time_to_the_first_text() -> None:
    health = healthy(0.5, 0.6, 0.5, 0.5)
    route = Route("support", (ACME, APEX, ZETA))
    health.latency.note(key_of(route, 0), 2.0, NOW)
    health.latency.note(key_of(route, 1), 1.0, NOW)
    assert told(health, ACME, APEX, ZETA, rules=RouteRules("least_latency")) == [
        ("zeta", True, "its time is not known yet"),
        ("apex", True, "ordered by its mean time to the first text"),
        ("acme", True, "ordered by its mean time to the first text"),
    ]

"""What a route and its targets may be told."""

from typing import get_args

import msgspec
import pytest

from gateway.canonical.errors import CODES
from gateway.routing.backoff import BackoffSettings
from gateway.routing.order import Stickiness
from gateway.routing.rules import USUAL_CODES, CatchUp, FailOverCode, RouteRules, Speed, TargetRules

# --- a target


def test_a_target_is_trusted_as_is_usual() -> None:
    assert msgspec.convert({}, TargetRules) == TargetRules(
        headers_after=None,
        retries=1,
        fail_over_on=USUAL_CODES,
        once_sent="ask_another",
        mid_stream="fail",
        mid_stream_by_cause={},
        on_disconnect="cancel",
        drain=30,
        min_speed=None,
    )


def test_the_codes_after_which_others_may_be_asked_are_codes_and_most_of_them_usual() -> None:
    codes = get_args(FailOverCode)
    assert set(codes) <= set(CODES)
    assert set(codes) - set(USUAL_CODES) == {"upstream_rejected", "content_filtered"}
    assert [code for code in codes if code in USUAL_CODES] == list(USUAL_CODES)


def test_others_are_asked_after_the_codes_that_the_target_names() -> None:
    assert [TargetRules().fails_over(code) for code in ("upstream_timeout", "upstream_rejected")] == [True, False]
    rules = TargetRules(fail_over_on=("upstream_rejected",))
    assert [rules.fails_over(code) for code in ("upstream_timeout", "upstream_rejected")] == [False, True]


def test_an_answer_that_breaks_off_is_judged_by_its_cause_where_the_target_names_it() -> None:
    rules = TargetRules(mid_stream="restart", mid_stream_by_cause={"idle_timeout": "continue", "too_large": "fail"})
    assert [rules.after_break(cause) for cause in ("idle_timeout", "too_large", "truncated")] == [
        "continue",
        "fail",
        "restart",
    ]
    assert TargetRules().after_break("truncated") == "fail"


def test_a_speed_is_so_many_characters_in_its_window() -> None:
    assert Speed(20).wanted == 40
    assert Speed(20, 0.5).wanted == 10


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"retry": 1}, "unknown field `retry`"),
        ({"headers_after": 15.5}, "<= 15.0 - at `\\$.headers_after`"),
        ({"retries": 11}, "<= 10 - at `\\$.retries`"),
        ({"retries": -1}, ">= 0 - at `\\$.retries`"),
        ({"fail_over_on": ["bad_request"]}, "'bad_request' - at `\\$.fail_over_on"),
        ({"once_sent": "retry"}, "'retry' - at `\\$.once_sent`"),
        ({"mid_stream": "glue"}, "'glue' - at `\\$.mid_stream`"),
        ({"mid_stream_by_cause": {"bad_luck": "fail"}}, "'bad_luck' - at `key` in `\\$.mid_stream_by_cause`"),
        ({"on_disconnect": "wait"}, "'wait' - at `\\$.on_disconnect`"),
        ({"drain": 0}, "> 0.0 - at `\\$.drain`"),
        ({"min_speed": {"characters": 0}}, "> 0.0 - at `\\$.min_speed.characters`"),
        ({"min_speed": {"characters": 5, "window": 61}}, "<= 60.0 - at `\\$.min_speed.window`"),
    ],
)
def test_a_targets_rule_that_makes_no_sense_is_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, TargetRules)


# --- a route


def test_a_route_is_ruled_as_is_usual() -> None:
    assert msgspec.convert({}, RouteRules) == RouteRules(
        strategy="priority",
        stickiness=Stickiness(),
        attempts=6,
        attempts_within=120,
        switches=1,
        backoff=BackoffSettings(),
        catch_up=CatchUp(),
    )


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"hedge": True}, "unknown field `hedge`"),
        ({"strategy": "random"}, "'random' - at `\\$.strategy`"),
        ({"attempts": 0}, ">= 1 - at `\\$.attempts`"),
        ({"attempts": 101}, "<= 100 - at `\\$.attempts`"),
        ({"attempts_within": 0}, "> 0.0 - at `\\$.attempts_within`"),
        ({"switches": -1}, ">= 0 - at `\\$.switches`"),
        ({"switches": 11}, "<= 10 - at `\\$.switches`"),
    ],
)
def test_a_routes_rule_that_makes_no_sense_is_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, RouteRules)


# --- catching up


def test_a_vendor_is_told_what_was_said_before_what_is_asked_now() -> None:
    usual = CatchUp()
    assert usual.characters == 65_536
    assert usual.template.format(earlier="A: Hi", now="B: Hello") == (
        "[Earlier in this conversation]\nA: Hi\n[Now]\nB: Hello"
    )


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("{now}", "the template must hold {earlier} exactly once"),
        ("{earlier}", "the template must hold {now} exactly once"),
        ("{earlier}{now}{earlier}", "the template must hold {earlier} exactly once"),
        ("{earlier}{now}{now}", "the template must hold {now} exactly once"),
        ("{now}{earlier}", "the template must hold {earlier} before {now}"),
    ],
)
def test_a_template_that_would_lose_or_turn_what_was_said_is_refused(template: str, problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert({"template": template}, CatchUp)


@pytest.mark.parametrize("characters", [-1, 4_194_305])
def test_a_cap_that_makes_no_sense_is_refused(characters: int) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"at `\$.characters`"):
        msgspec.convert({"characters": characters}, CatchUp)

"""Whom to ask, and within what time."""

import msgspec
import pytest
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.routing.pauses import Pauses
from gateway.routing.plan import Deadlines, Failure, FirstTarget, Route, Target

FIRST = Target("acme", "parrot", Struct())
SECOND = Target("spare", "parrot", Struct())


GONE = Failure(GatewayError("upstream_unavailable", "the vendor is gone"), "not_sent", FIRST)


def limited(retry_after: float | None) -> Failure:
    return Failure(GatewayError("upstream_rate_limited", "slowly", retry_after=retry_after), "not_sent", FIRST)


def test_the_first_target_is_asked_at_once_and_nobody_after_it() -> None:
    plan = FirstTarget((FIRST, SECOND), Pauses(), 0.0)
    plan.check(0.0)
    assert plan.next(None, 0.0) == (FIRST, 0.0)
    assert plan.next(GONE, 1.0) is None


def test_a_vendor_that_limits_our_rate_is_waited_for_where_the_first_event_may_come_so_late() -> None:
    plan = FirstTarget((FIRST,), Pauses(), 100.0)
    assert plan.next(limited(20.0), 110.0) == (FIRST, 20.0)
    assert plan.next(limited(20.0), 140.0) == (FIRST, 20.0)
    plan = FirstTarget((FIRST,), Pauses(), 100.0)
    assert plan.next(limited(50.1), 110.0) is None


def test_a_vendor_that_limits_our_rate_is_waited_for_twice_at_most() -> None:
    plan = FirstTarget((FIRST,), Pauses(), 0.0)
    assert [plan.next(limited(1.0), now) for now in (1.0, 2.0, 3.0)] == [(FIRST, 1.0), (FIRST, 1.0), None]


@pytest.mark.parametrize("hint", [None, 0.0])
def test_a_limit_without_a_hint_is_the_end(hint: float | None) -> None:
    pauses = Pauses()
    assert FirstTarget((FIRST,), pauses, 0.0).next(limited(hint), 1.0) is None
    assert pauses.left("acme", 1.0) == 0


def test_no_other_message_calls_a_vendor_before_its_time() -> None:
    pauses = Pauses()
    FirstTarget((FIRST,), pauses, 0.0).next(limited(20.0), 5.0)
    other = FirstTarget((FIRST,), pauses, 10.0)
    other.check(10.0)
    assert other.next(None, 10.0) == (FIRST, 15.0)
    assert FirstTarget((SECOND,), pauses, 10.0).next(None, 10.0) == (SECOND, 0.0)


def test_a_message_for_which_the_pause_is_too_long_is_refused_with_what_is_left_of_it() -> None:
    pauses = Pauses()
    FirstTarget((FIRST,), pauses, 0.0).next(limited(90.0), 5.0)
    with pytest.raises(GatewayError, match="limits our rate") as caught:
        FirstTarget((FIRST,), pauses, 10.0).check(10.0)
    assert (caught.value.code, caught.value.retry_after, caught.value.vendor) == ("upstream_rate_limited", 85.0, "acme")
    FirstTarget((FIRST,), pauses, 35.0).check(35.0)


def test_a_target_has_the_usual_deadlines() -> None:
    assert FIRST.deadlines == Deadlines(connect=5, first_event=60, idle=300, total=1800)


def test_a_deadline_that_there_is_not_is_refused() -> None:
    assert msgspec.convert({"idle": 10}, Deadlines) == Deadlines(idle=10)
    with pytest.raises(msgspec.ValidationError, match="unknown field `idel`"):
        msgspec.convert({"idel": 10}, Deadlines)


def test_a_route_passes_no_vendor_events_unless_it_is_told_to() -> None:
    route = Route("support", (FIRST,))
    assert (route.headers_after, route.heartbeat, route.vendor_events) == (10, 10, False)

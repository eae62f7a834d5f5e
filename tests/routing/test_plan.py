"""Whom to ask, and within what time."""

import msgspec
import pytest
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.routing.plan import Deadlines, Failure, FirstTarget, Route, Target

FIRST = Target("acme", "parrot", Struct())
SECOND = Target("spare", "parrot", Struct())


def test_the_first_target_is_asked_at_once_and_nobody_after_it() -> None:
    plan = FirstTarget((FIRST, SECOND))
    assert plan.next(None, 0.0) == (FIRST, 0.0)
    failure = Failure(GatewayError("upstream_unavailable", "the vendor is gone"), "not_sent", FIRST)
    assert plan.next(failure, 1.0) is None


def test_a_target_has_the_usual_deadlines() -> None:
    assert FIRST.deadlines == Deadlines(connect=5, first_event=60, idle=300, total=1800)


def test_a_deadline_that_there_is_not_is_refused() -> None:
    assert msgspec.convert({"idle": 10}, Deadlines) == Deadlines(idle=10)
    with pytest.raises(msgspec.ValidationError, match="unknown field `idel`"):
        msgspec.convert({"idel": 10}, Deadlines)


def test_a_route_passes_no_vendor_events_unless_it_is_told_to() -> None:
    route = Route("support", (FIRST,))
    assert (route.headers_after, route.heartbeat, route.vendor_events) == (10, 10, False)

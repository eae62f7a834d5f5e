"""What a route and its targets are, where nothing else is said of them."""

import msgspec
import pytest
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.routing.plan import Deadlines, Failure, Route, Target
from gateway.routing.rules import RouteRules, TargetRules

ACME = Target("acme", "parrot", Struct())


def test_a_target_has_the_usual_deadlines_rules_and_weight() -> None:
    assert ACME.deadlines == Deadlines(connect=5, first_event=60, idle=300, total=1800)
    assert (ACME.rules, ACME.weight) == (TargetRules(), 1.0)


def test_a_deadline_that_there_is_not_is_refused() -> None:
    assert msgspec.convert({"idle": 10}, Deadlines) == Deadlines(idle=10)
    with pytest.raises(msgspec.ValidationError, match="unknown field `idel`"):
        msgspec.convert({"idel": 10}, Deadlines)


def test_a_route_passes_no_vendor_events_unless_it_is_told_to() -> None:
    route = Route("support", (ACME,))
    assert (route.headers_after, route.heartbeat, route.vendor_events, route.rules) == (10, 10, False, RouteRules())


def test_what_a_vendor_accepted_may_not_be_repeated_unless_the_failure_says_so() -> None:
    assert not Failure(GatewayError("upstream_timeout", "no"), "possibly_accepted", ACME).is_repeatable

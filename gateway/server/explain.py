"""Whom a route asks now, and why: what `GET /v1/routes?explain=true` adds to a route.

    the route's own rules     each under its name
    targets                   in the order in which the first message of a new conversation would ask them now
        vendor, position      `position` counts the targets of the configuration from 0
        may_be_asked, why     whether that message could come to this target at all
        breaker               closed, open or half_open
        mean_first_text       seconds to the first text, of late; null where none came
        weight, deadlines, rules

It is a look, not a promise: where targets are drawn, the next message draws again. Neither a secret nor a URL is in it.
"""

from collections.abc import Iterator
from math import ceil

import msgspec

from gateway.routing.failover import key_of, rank
from gateway.routing.health import Health, VendorState
from gateway.routing.plan import Route, Target


def explain(route: Route, health: Health, now: float) -> dict[str, object]:
    return {**msgspec.to_builtins(route.rules), "targets": list(_targets(route, health, now))}


def _targets(route: Route, health: Health, now: float) -> Iterator[dict[str, object]]:
    states = dict(health.states(now))
    ranked = rank(route, health, None, now)
    first: Target | None = None
    for position in sorted(ranked, key=lambda position: states[route.targets[position].vendor].is_refused):
        target = route.targets[position]
        state = states[target.vendor]
        mean = health.latency.mean(key_of(route, position), now)
        obstacle = _obstacle(state) or (_barrier(route, first) if first is not None else None)
        yield {
            "vendor": target.vendor,
            "position": position,
            "may_be_asked": obstacle is None,
            "why": obstacle or _why(route, target, state, mean, is_first=first is None),
            "breaker": state.breaker,
            "mean_first_text": mean,
            "weight": target.weight,
            "deadlines": msgspec.to_builtins(target.deadlines),
            "rules": _rules(route, target),
        }
        if obstacle is None and first is None:
            first = target


def _obstacle(state: VendorState) -> str | None:
    """Why the vendor is asked nothing now; None where it may be."""
    if state.breaker == "open":
        return f"its breaker is open for {ceil(state.breaker_wait)} s"
    if state.breaker_wait:
        return "its breaker is half open, and lets no more calls through until one has ended"
    if state.paused:
        return f"it limits our rate for {ceil(state.paused)} s"
    return None


def _barrier(route: Route, first: Target) -> str | None:
    """Why nobody is asked after the first; None where somebody is."""
    if route.rules.attempts == 1:
        return "nobody is asked after the first: attempts is 1"
    if not first.rules.fail_over_on:
        return f"nobody is asked after {first.vendor}: its fail_over_on is empty"
    return None


def _why(route: Route, target: Target, state: VendorState, mean: float | None, *, is_first: bool) -> str:
    if state.is_refused:
        return "it refused our credential: asked last"
    if state.breaker == "half_open":
        return "its breaker is half open: this call tries whether it is well again"
    if len(route.targets) == 1:
        return "the only target"
    match route.rules.strategy:
        case "weighted":
            return "drawn by weight" if target.weight else "its weight is 0: asked after all others"
        case "least_latency":
            return "ordered by its mean time to the first text" if mean is not None else "its time is not known yet"
        case _:
            return "first in the order" if is_first else "asked where those before it fail"


def _rules(route: Route, target: Target) -> dict[str, object]:
    own = target.rules.headers_after
    headers_after = route.headers_after if own is None else own
    return {**msgspec.to_builtins(target.rules), "headers_after": headers_after}

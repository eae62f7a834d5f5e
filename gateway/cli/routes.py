"""What a route does, in short lines for `gateway check`: whom it asks, and where it asks nobody else, and why not."""

from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.routing.order import Strategy
from gateway.routing.plan import Route, Target
from gateway.routing.rules import USUAL_CODES, MidStream, OnDisconnect

STRATEGIES: dict[Strategy, str] = {
    "priority": "as below",
    "weighted": "drawn by weight",
    "least_latency": "the quickest to its first text first",
}

BREAKS_OFF: dict[MidStream, str] = {
    "fail": "the message fails",
    "restart": "another target answers anew",
    "continue": "another target goes on with it, where it is all text",
}

BREAKS_OFF_ALONE: dict[MidStream, str] = {
    "fail": "the message fails",
    "restart": "this target answers anew, only where it may be asked twice",
    "continue": "this target goes on with it, only where it is all text and may be asked twice",
}

CLIENT_LEAVES: dict[OnDisconnect, str] = {
    "cancel": "the vendor's run is stopped",
    "drain": "the vendor's run may go on for {drain:g} s",
    "continue": "the vendor's run goes on to its end",
}


def explain_route(route: Route, *, is_default: bool) -> Iterator[str]:
    rules, backoff = route.rules, route.rules.backoff
    yield f"route {route.name}{' (the default)' if is_default else ''}"
    if route.models:
        yield f"    models     {', '.join(route.models)}"
    yield f"    order      {_order(route)}"
    yield (
        f"    attempts   at most {rules.attempts} begin within {rules.attempts_within:g} s; a retry waits up to "
        f"{backoff.base:g} s, later {backoff.cap:g} s, for a vendor's hint {backoff.max_hint:g} s"
    )
    if rules.hedge_after is not None:
        yield f"    hedging    {_hedging(route, rules.hedge_after)}"
    yield f"    catch-up   at most {rules.catch_up.characters} characters of what a vendor missed"
    for number, target in enumerate(route.targets, 1):
        yield f"    target {number}   {target.vendor} ({target.protocol}), {_settings(target)}"
        yield from (f"               {line}" for line in _target(route, target))
    yield f"    headers after {route.headers_after:g} s, a heartbeat every {route.heartbeat:g} s"
    if route.vendor_events:
        yield "    vendor events are passed on"


def _order(route: Route) -> str:
    if len(route.targets) == 1:
        return "there is one target: nobody else is asked"
    strategy, stickiness = STRATEGIES[route.rules.strategy], route.rules.stickiness
    if stickiness.mode == "none":
        return f"{strategy}, for each message anew"
    stays = f"{strategy}; a conversation stays where it is"
    if stickiness.return_after is None:
        return stays
    return f"{stays}, where a failure moved it {stickiness.return_after:g} s at most"


def _hedging(route: Route, after: float) -> str:
    vendors = [target.vendor for target in route.targets if target.rules.may_run_twice]
    if len(vendors) < 2:
        return "nobody: fewer than two targets may_run_twice"
    return f"one of {', '.join(vendors)} is asked beside another that has not begun after {after:g} s"


def _settings(target: Target) -> str:
    fields: dict[str, Any] = msgspec.to_builtins(target.settings)
    return ", ".join(
        f"{name} {msgspec.json.encode(value).decode()}" for name, value in fields.items() if value is not None
    )


def _target(route: Route, target: Target) -> Iterator[str]:
    if route.rules.strategy == "weighted":
        yield _weight(route, target)
    waits = target.deadlines
    yield (
        f"connect {waits.connect:g} s, first event {waits.first_event:g} s, "
        f"idle {waits.idle:g} s, total {waits.total:g} s"
    )
    if target.rules.headers_after is not None:
        yield f"headers after {target.rules.headers_after:g} s here"
    yield from _failure(route, target)
    yield _break(route, target)
    yield f"client leaves: {CLIENT_LEAVES[target.rules.on_disconnect].format(drain=target.rules.drain)}"


def _weight(route: Route, target: Target) -> str:
    if target.weight == 0:
        return "weight 0: asked after all others"
    return f"weight {target.weight:g} of {sum(each.weight for each in route.targets):g}"


def _failure(route: Route, target: Target) -> Iterator[str]:
    retries = _times(_retries(route, target), "retry", "retries")
    alone = _why_alone(route, target)
    if alone is not None:
        yield f"fails: {retries}; nobody else is asked: {alone}"
    else:
        yield f"fails: {retries}; another target is asked on {_codes(target)}"
        yield f"once sent: {_else(_why_alone_once_sent(route, target), 'another vendor is asked')}"
        if target.deadlines.first_event >= route.rules.attempts_within:
            yield f"silent for {target.deadlines.first_event:g} s: nobody else is asked: attempts_within is over"
    speed = target.rules.min_speed
    if speed is not None:
        slow = f"below {speed.characters:g} characters/s in {speed.window:g} s"
        yield f"{slow}: {_else(_why_kept(route, target), 'another target is asked')}"


def _retries(route: Route, target: Target) -> int:
    return min(target.rules.retries, route.rules.attempts - 1)


def _codes(target: Target) -> str:
    codes = target.rules.fail_over_on
    more = [code for code in codes if code not in USUAL_CODES]
    less = [code for code in USUAL_CODES if code not in codes]
    if len(less) > len(codes):
        return f"{', '.join(codes)} alone"
    also = f", and {', '.join(more)}" if more else ""
    not_on = f", not on {', '.join(less)}" if less else ""
    return f"the usual codes{also}{not_on}"


def _break(route: Route, target: Target) -> str:
    rules = target.rules
    others = {cause: policy for cause, policy in rules.mid_stream_by_cause.items() if policy != rules.mid_stream}
    if {rules.mid_stream, *others.values()} == {"fail"}:
        return "breaks off: the message fails"
    if route.rules.switches == 0:
        return "breaks off: the message fails: switches is 0"
    alone = _why_alone_once_sent(route, target)
    if alone is not None and _retries(route, target) == 0:
        return f"breaks off: the message fails: {alone}, and there is no retry"
    words = BREAKS_OFF if alone is None else BREAKS_OFF_ALONE
    told = [words[rules.mid_stream], *(f"{cause}: {words[policy]}" for cause, policy in others.items())]
    return f"breaks off: {'; '.join(told)}; {_times(route.rules.switches, 'switch', 'switches')} at most"


def _why_alone(route: Route, target: Target) -> str | None:
    """Why nobody else is asked after a failure of the target; None where somebody is."""
    if len(route.targets) == 1:
        return "there is no other target"
    if route.rules.attempts == 1:
        return "attempts is 1"
    return None if target.rules.fail_over_on else "fail_over_on is empty"


def _why_alone_once_sent(route: Route, target: Target) -> str | None:
    """The same, where the vendor has possibly accepted the turn."""
    alone = _why_alone(route, target)
    if alone is None and target.rules.once_sent == "fail":
        return "once_sent is fail"
    if alone is None and {other.vendor for other in route.targets} == {target.vendor}:
        return "all targets are of this vendor"
    return alone


def _why_kept(route: Route, target: Target) -> str | None:
    """The same, where the answer is slow: too slow is `upstream_timeout`."""
    if not target.rules.fails_over("upstream_timeout"):
        return "upstream_timeout is not in fail_over_on"
    return _why_alone_once_sent(route, target)


def _else(alone: str | None, asked: str) -> str:
    return asked if alone is None else f"nobody else is asked: {alone}"


def _times(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"

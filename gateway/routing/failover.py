"""Failover: the plan of one message over a route's targets.

    plan = Failover(route, health, home=home, began=now, may_leave=True)
    plan.reserve(now)       raises where nobody may be asked
    plan.next(None, now)    whom that named
    plan.ended(...)         what the attempt says of its vendor's health
    plan.next(failure, now) the same target once more, another one, or nobody
    plan.close(now)         whatever became of the message

What a failure leads to:

    nothing was accepted, or what was may be repeated   the same target, `retries` times, within the vendor's budget
    the vendor has possibly accepted a turn             never that vendor again; another one, unless the route says no
    it says whether asking it again helps               that goes before its code, where the same target is meant
    the client has seen content                         the same, `switches` times, once `mid_stream` allows it
    it limits our rate                                  another target at once; else that one, when its pause is over
    its code is not in `fail_over_on`                   nobody else

A vendor that is merely unavailable is retried before another is asked, because leaving it moves the conversation; after
a timeout or a broken answer another is asked first. A target that was left is gone back to only after a pause. Times
are seconds of a monotonic clock.
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter

from gateway.canonical.errors import Code, GatewayError
from gateway.routing import backoff
from gateway.routing.breaker import Ticket, verdict
from gateway.routing.health import Health
from gateway.routing.order import Bound, Candidate, order
from gateway.routing.plan import Ended, Failure, Route, Target

MAX_WAITS = 2
"""How often one message waits for vendors that limit our rate."""

TRANSIENT: frozenset[Code] = frozenset(
    {"upstream_unavailable", "upstream_timeout", "upstream_protocol", "upstream_empty"}
)
"""Codes after which the same target may do better at once."""

OF_THE_VENDOR: frozenset[Code] = frozenset({"upstream_auth", "quota_exhausted"})
"""Codes that every target of the vendor would meet."""

Choice = tuple[int, float]
"""The position of a target in its route, and how many seconds to wait before it is asked."""


class Failover:
    def __init__(
        self, route: Route, health: Health, *, home: Bound | None, began: float, may_leave: bool = True
    ) -> None:
        """`home` is where the conversation is (`key_of`); `may_leave` whether a second vendor may be asked."""
        self._route = route
        self._targets = route.targets
        self._rules = route.rules
        self._health = health
        self._began = began
        self._latest = began + route.rules.attempts_within
        ranked = rank(route, health, home, began)
        self._preferred = ranked[0]
        self._order = sorted(ranked, key=self._is_refused) if may_leave else ranked[:1]
        self._left: set[int] = set()
        """Positions that are not asked again."""
        self._tries = 0
        self._retries = 0
        self._waits = 0
        self._switches = 0
        self._at = self._preferred
        self._reserved: Choice | None = None
        self._hedges: list[Failover] = []
        self._beside_of: Failover | None = None
        """The plan of the run that this one is a hedge of, until one of the two is the message."""
        self._ticket: Ticket | None = None

    @property
    def is_moved(self) -> bool:
        """Whether the target asked last is another than the one that should have been."""
        return self._at != self._preferred

    @property
    def tries(self) -> int:
        """How many times anybody was asked."""
        return self._tries

    def others(self) -> list[int]:
        """Positions that may be asked yet, but for those of the vendor that is asked now."""
        asked = self._targets[self._at].vendor
        return [position for position in self._candidates() if self._targets[position].vendor != asked]

    def reserve(self, now: float) -> None:
        """Raises as `refusal` says where nobody may be asked."""
        self._reserved = self._choose(now) or self._choose_paused(now)
        if self._reserved is None:
            raise refusal([self._targets[position] for position in self._order], self._health, now)
        self._take(self._reserved[0], now)

    def next(self, failure: Failure | None, now: float) -> tuple[Target, float] | None:
        choice, self._reserved = self._reserved, None
        if failure is not None:
            choice = self._after(failure, now)
            if choice is not None:
                self._switches += failure.phase == "committed"
                self._take(choice[0], now)
        return None if choice is None else (self._targets[choice[0]], choice[1])

    def again(self, now: float) -> None:
        self._take(self._at, now)

    def ended(self, ended: Ended, now: float) -> None:
        ticket, self._ticket = self._ticket, None
        health, vendor = self._health, self._health.of(ended.target.vendor)
        said = verdict(ended.error, ended.outcome, ended.first_event_after, vendor.slow_after)
        if ticket is not None:
            vendor.breaker.end(ticket, said, now, health.random)
        if ended.first_text_after is not None:
            health.latency.note(key_of(self._route, self._at), ended.first_text_after, now)
        elif said in {"bad", "slow"}:
            health.latency.note(key_of(self._route, self._at), ended.target.deadlines.first_event, now)
        if ended.outcome == "completed":
            vendor.is_refused = False
        elif ended.error is not None and ended.error.code == "upstream_auth":
            vendor.is_refused = True

    def pause_left(self, now: float) -> float:
        return self._health.pauses.left(self._targets[self._at].vendor, now)

    def has_other(self, now: float) -> bool:
        """Another vendor's: this one has possibly accepted what it answers so slowly."""
        asked = self._targets[self._at]
        if not asked.rules.fails_over("upstream_timeout") or asked.rules.once_sent == "fail":
            return False
        return self._may_go_on(now) and any(
            self._targets[position].vendor != asked.vendor and self._is_free(position, now)
            for position in self._candidates()
        )

    def hedge(self, now: float) -> "Failover | None":
        """The plan of one more attempt beside the one in hand, at a target that is not asked otherwise then."""
        if not self._targets[self._at].rules.may_run_twice or not self._may_go_on(now):
            return None
        for position in self._candidates():
            if position != self._at and self._targets[position].rules.may_run_twice and self._is_free(position, now):
                self._left.add(position)
                self._tries += 1
                return self._beside(position, now)
        return None

    def _beside(self, position: int, now: float) -> "Failover":
        plan = Failover(self._route, self._health, home=None, began=self._began)
        plan._preferred, plan._order = self._preferred, [position]
        plan._beside_of = self
        plan.reserve(now)
        self._hedges.append(plan)
        return plan

    def close(self, now: float) -> None:
        """Gives back the places at breakers that attempts without an end still hold."""
        for hedge in self._hedges:
            hedge.close(now)
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            vendor = self._health.of(self._targets[self._at].vendor)
            vendor.breaker.end(ticket, "neutral", now, self._health.random)

    def _take_over(self) -> None:
        """The client has seen this answer, so the run beside it is over: whom that one had left, this one may ask."""
        beside, self._beside_of = self._beside_of, None
        if beside is not None:
            self._order += beside.others()
            self._tries = beside.tries  # which counts this run

    # After a failure.

    def _after(self, failure: Failure, now: float) -> Choice | None:
        error, rules = failure.error, failure.target.rules
        may_repeat = failure.phase == "not_sent" or failure.is_repeatable
        self._note(failure, may_repeat, now)
        if failure.phase == "committed":
            if self._switches == self._rules.switches:
                return None
            self._take_over()
            self._latest = now + self._rules.attempts_within  # however long the answer went well
        if not self._may_go_on(now):
            return None
        retry_first = error.code == "upstream_unavailable" and not error.retry_after and _may_do_better(error)
        if retry_first and (choice := self._retry(error, now)) is not None:
            return choice
        may_leave = rules.fails_over(error.code) and (may_repeat or rules.once_sent == "ask_another")
        if may_leave and (choice := self._choose(now, but=self._at)) is not None:
            if not self._health.pauses.left(failure.target.vendor, now):
                self._left.add(self._at)
            return choice
        if error.code == "upstream_rate_limited":
            choice = self._choose_paused(now, only=None if may_leave else self._at)
            if choice is not None:
                return choice
        return None if retry_first else self._retry(error, now)

    def _note(self, failure: Failure, may_repeat: bool, now: float) -> None:  # noqa: FBT001  (of this failure)
        error, vendor = failure.error, failure.target.vendor
        if error.code in OF_THE_VENDOR or not may_repeat:
            self._left.update(number for number, target in enumerate(self._targets) if target.vendor == vendor)
        if error.code == "upstream_rate_limited" and error.retry_after:
            self._health.pauses.pause(vendor, now + error.retry_after)
        elif not _may_do_better(error):
            self._left.add(self._at)
        if error.may_be_repeated is False:
            self._left.add(self._at)

    def _may_go_on(self, now: float) -> bool:
        return self._tries < self._rules.attempts and now <= self._latest

    def _retry(self, error: GatewayError, now: float) -> Choice | None:
        """The same target once more, if its rules, its breaker, the time and the vendor's budget allow it."""
        target, retries = self._targets[self._at], self._retries + 1
        if not _may_do_better(error) or self._at in self._left or retries > target.rules.retries:
            return None
        wait = backoff.wait(self._rules.backoff, retries, error.retry_after, self._health.random)
        if now + wait > self._latest or not self._is_free(self._at, now):
            return None
        if not self._health.of(target.vendor).budget.take(now):
            return None
        self._retries = retries
        return self._at, wait

    # Who may be asked.

    def _is_refused(self, position: int) -> bool:
        return self._health.of(self._targets[position].vendor).is_refused

    def _candidates(self) -> Iterator[int]:
        return (position for position in self._order if position not in self._left)

    def _is_free(self, position: int, now: float) -> bool:
        return self._health.admits(self._targets[position].vendor, now)

    def _choose(self, now: float, but: int | None = None) -> Choice | None:
        """The first that may be asked at once."""
        for position in self._candidates():
            if position != but and self._is_free(position, now):
                return position, 0.0
        return None

    def _choose_paused(self, now: float, only: int | None = None) -> Choice | None:
        """The one whose pause is over first, where its first event may still come in time."""
        if self._waits == MAX_WAITS:
            return None
        waits = []
        for position in self._candidates():
            target = self._targets[position]
            wait = self._health.pauses.left(target.vendor, now)
            latest = min(self._latest, self._began + target.deadlines.first_event)
            if only not in {None, position} or not wait or now + wait > latest:
                continue
            if self._health.of(target.vendor).breaker.admits(now):
                waits.append((wait, position))
        if not waits:
            return None
        self._waits += 1
        wait, position = min(waits, key=itemgetter(0))  # of equals the first in the order
        return position, wait

    def _take(self, position: int, now: float) -> None:
        vendor = self._health.of(self._targets[position].vendor)
        if position != self._at or not self._tries:
            vendor.budget.first(now)
            self._retries = 0
        self._at = position
        self._tries += 1
        self._ticket = vendor.breaker.begin(now)


def _may_do_better(error: GatewayError) -> bool:
    """Whether the same target may, asked again at once."""
    return error.code in TRANSIENT if error.may_be_repeated is None else error.may_be_repeated


def rank(route: Route, health: Health, home: Bound | None, now: float) -> list[int]:
    """The positions of a route's targets in the order in which a message would ask them, if all were well."""
    if len(route.targets) == 1:
        return [0]
    return order(
        [Candidate(number, key_of(route, number), target.weight) for number, target in enumerate(route.targets)],
        route.rules.strategy,
        stickiness=route.rules.stickiness,
        bound=home,
        latency=health.latency,
        now=now,
        random=health.random,
    )


def key_of(route: Route, position: int) -> tuple[str, int]:
    """What finds a target's latency, and the conversations that are there (`Bound.key`)."""
    return route.name, position


def check_free(route: Route, health: Health, now: float) -> None:
    """Refuses a message early that nobody could be asked for. Raises as `refusal` says."""
    for target in route.targets:
        latest = min(route.rules.attempts_within, target.deadlines.first_event)
        if health.pauses.left(target.vendor, now) <= latest and health.of(target.vendor).breaker.admits(now):
            return
    raise refusal(route.targets, health, now)


def refusal(targets: Sequence[Target], health: Health, now: float) -> GatewayError:
    """Why no vendor may be asked, and when to come back: when the first of them may be asked again."""
    vendors = {target.vendor for target in targets}
    wait = min(health.wait(vendor, now) for vendor in vendors)
    vendor, who = (targets[0].vendor, "the vendor") if len(vendors) == 1 else (None, "every vendor")
    admitted = [health.of(vendor).breaker.admits(now) for vendor in vendors]
    if all(admitted):
        return GatewayError("upstream_rate_limited", f"{who} limits our rate", retry_after=wait, vendor=vendor)
    why = "has failed too often or limits our rate" if any(admitted) else "has failed too often to be asked now"
    return GatewayError("upstream_unavailable", f"{who} {why}", retry_after=wait, vendor=vendor)

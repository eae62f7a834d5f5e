"""A breaker leaves a vendor that fails alone for a while, and then asks it one call at a time whether it is well again.

    closed      every call is admitted. A bad or slow one opens it, where the window holds at least `minimum` calls and
                at least `ratio` of them were bad, or `slow_ratio` slow
    open        no call is admitted for `open_for` seconds, less a random part of at most `jitter` of them
    half_open   `probes` calls at once are admitted: a good one closes it, with an empty window; a bad or slow one opens
                it again, for twice as long as before, up to `max_open`

    ticket = breaker.begin(now)            None where the call is not admitted
    breaker.end(ticket, verdict(...), now, random)
    breaker.trip(now, random, keep)        what a probe of the vendor's health says: see `probe.py`
    breaker.wake(now)

Each ticket must be ended, whatever becomes of its call: a probe's holds a place until then. One that was taken before
the breaker opened or closed counts for nothing after it. Times are seconds of a monotonic clock; `random` is at least 0
and below 1.
"""

from collections import deque
from collections.abc import Callable
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.canonical.errors import CODES, Cause, GatewayError

State = Literal["closed", "open", "half_open"]

Verdict = Literal["good", "bad", "slow", "neutral"]
"""What a call says of its vendor; a neutral one says nothing, and is not counted."""

SLICES = 10
"""Of a breaker's window."""

VERDICTS: dict[Cause, Verdict] = {
    "connect": "bad",
    "connect_timeout": "bad",
    "tls": "bad",
    "reset_before_headers": "bad",
    "stale_connection": "neutral",  # a kept connection's age, not the vendor's health
    "reset_midstream": "bad",
    "first_event_timeout": "bad",
    "idle_timeout": "bad",
    "total_timeout": "bad",
    "protocol": "bad",
    "redirect": "bad",
    "content_type": "bad",
    "encoding": "bad",
    "truncated": "bad",
    "too_large": "neutral",  # it depends on what was asked: one caller must not close the vendor to all others
    "too_slow": "slow",
    "malformed": "bad",
    "empty": "bad",
    "vendor_error": "bad",
    "auth": "bad",  # our credential: every call will meet it
    "not_found": "neutral",  # one conversation's
    "rate_limited": "neutral",  # see `pauses`
    "rejected": "neutral",
    "content_filtered": "neutral",
    "context_too_long": "neutral",
    "quota_exhausted": "bad",  # our account's: every call will meet it
    "status_4xx": "neutral",
    "status_5xx": "bad",
    "client_gone": "neutral",
    "slow_client": "neutral",
    "hedged": "neutral",  # another vendor was quicker, which says little
    "canceled": "neutral",
    "unsupported": "neutral",
    "internal": "neutral",
}

SAID_BY_CODE: frozenset[Cause] = frozenset({"vendor_error", "status_4xx"})
"""Causes that say how the vendor told us; what it told, our code says."""


def verdict(
    error: GatewayError | None,
    outcome: Cause | Literal["completed"],
    first_event_after: float | None,
    slow_after: float | None,
) -> Verdict:
    """Of an attempt that ended in `outcome`, with its `error` where it has one."""
    if outcome == "completed":
        is_slow = slow_after is not None and first_event_after is not None and first_event_after > slow_after
        return "slow" if is_slow else "good"
    if outcome in SAID_BY_CODE and error is not None:
        outcome = CODES[error.code].cause
    return VERDICTS[outcome]


Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Share = Annotated[float, Meta(gt=0, le=1)]


class BreakerSettings(Struct, frozen=True, forbid_unknown_fields=True):
    window: Seconds = 30.0
    minimum: Annotated[int, Meta(ge=1, le=1_000_000)] = 10
    """Fewer calls than these within the window never open the breaker."""
    ratio: Share = 0.5
    slow_after: Seconds | None = None
    """A call whose first event comes later is slow."""
    slow_ratio: Share = 0.5
    open_for: Seconds = 30.0
    max_open: Seconds = 300.0
    jitter: Annotated[float, Meta(ge=0, lt=1)] = 0.2
    probes: Annotated[int, Meta(ge=1, le=1000)] = 1

    def __post_init__(self) -> None:
        if self.open_for > self.max_open:
            raise ValueError(f"open_for is longer than max_open: {self.open_for} > {self.max_open}")


class Window:
    """Counts of several kinds over the last `seconds`.

    They leave slice by slice: none counts that is older than the window, and some leave it up to a slice too early.
    """

    def __init__(self, seconds: float, slices: int, kinds: int) -> None:
        self._slice = seconds / slices
        self._slices = slices
        self._counted: deque[tuple[int, list[int]]] = deque()
        """The slices in which there was anything: number and counts."""
        self._sums = [0] * kinds
        self._latest = 0

    def add(self, kind: int, now: float) -> None:
        self._move(now)
        counted = self._counted
        if not counted or counted[-1][0] != self._latest:
            counted.append((self._latest, [0] * len(self._sums)))
        counted[-1][1][kind] += 1
        self._sums[kind] += 1

    def sums(self, now: float) -> list[int]:
        """By kind; not to be changed."""
        self._move(now)
        return self._sums

    def _move(self, now: float) -> None:
        """A `now` that is earlier than the latest one belongs to the latest slice."""
        self._latest = max(self._latest, int(now // self._slice))
        counted, first = self._counted, self._latest - self._slices + 1
        while counted and counted[0][0] < first:
            for kind, count in enumerate(counted.popleft()[1]):
                self._sums[kind] -= count


class Ticket(Struct):
    """A call's place, for the period of the breaker in which it was taken."""

    period: int


ENDED = -1
GOOD, BAD, SLOW = range(3)
KINDS: dict[Verdict, int] = {"good": GOOD, "bad": BAD, "slow": SLOW}


class Breaker:
    """Of one vendor."""

    def __init__(self, settings: BreakerSettings) -> None:
        self._settings = settings
        self._window = self._empty_window()
        self._until: float | None = None  # closed where None; then open, and half open from that time on
        self._open_time = settings.open_for
        self._probing = 0
        self._period = 0

    def state(self, now: float) -> State:
        if self._until is None:
            return "closed"
        return "open" if now < self._until else "half_open"

    def admits(self, now: float) -> bool:
        until = self._until
        return until is None or (now >= until and self._probing < self._settings.probes)

    def wait(self, now: float) -> float:
        """Seconds until a call may be admitted; 0 where it is now.

        Nobody knows when a running probe ends: where all their places are taken it is `open_for`, the time for which a
        vendor is left alone anyway.
        """
        if self.admits(now):
            return 0.0
        if self._until is not None and now < self._until:
            return self._until - now
        return self._settings.open_for

    def begin(self, now: float) -> Ticket | None:
        if not self.admits(now):
            return None
        if self._until is not None:
            self._probing += 1
        return Ticket(self._period)

    def end(self, ticket: Ticket, verdict: Verdict, now: float, random: Callable[[], float]) -> None:
        """A second end of one ticket does nothing."""
        if ticket.period != self._period:
            return
        ticket.period = ENDED
        if self._until is not None:
            self._end_probe(verdict, now, random)
        elif verdict != "neutral":
            self._window.add(KINDS[verdict], now)
            if verdict != "good" and self._is_too_much(now):
                self._open(self._settings.open_for, now, random)

    def trip(self, now: float, random: Callable[[], float], keep: float) -> None:
        """Opens it, as if its window had decided, for `keep` seconds at least; one that is open stays so as long."""
        until = self._until
        if until is None:
            self._open(self._settings.open_for, now, random, keep)
        elif now >= until:
            self._open(self._open_time, now, random, keep)
        else:
            self._until = max(until, now + keep)

    def wake(self, now: float) -> None:
        """One that is open is half open from now on."""
        if self._until is not None:
            self._until = now

    def _end_probe(self, verdict: Verdict, now: float, random: Callable[[], float]) -> None:
        if verdict == "neutral":
            self._probing -= 1
        elif verdict == "good":
            self._close()
        else:
            self._open(min(2 * self._open_time, self._settings.max_open), now, random)

    def _is_too_much(self, now: float) -> bool:
        settings, sums = self._settings, self._window.sums(now)
        total = sum(sums)
        if total < settings.minimum:
            return False
        return sums[BAD] / total >= settings.ratio or sums[SLOW] / total >= settings.slow_ratio

    def _open(self, seconds: float, now: float, random: Callable[[], float], keep: float = 0.0) -> None:
        self._open_time = seconds
        self._until = now + max(seconds * (1 - self._settings.jitter * random()), keep)
        self._begin_period()

    def _close(self) -> None:
        self._until = None
        self._window = self._empty_window()
        self._begin_period()

    def _begin_period(self) -> None:
        self._period += 1
        self._probing = 0

    def _empty_window(self) -> Window:
        return Window(self._settings.window, SLICES, len(KINDS))

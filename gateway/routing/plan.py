"""A route's targets and the plan of one message: whom to ask first, and whom after a failure."""

from typing import Literal, Protocol

from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.routing.pauses import Pauses

MAX_WAITS = 2
"""How often one message waits for a vendor that limits our rate."""

Phase = Literal["not_sent", "possibly_accepted", "committed"]
"""How far an attempt came: nothing was written; a request was; the client has seen content of it."""


class Deadlines(Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds. `first_event` runs from the attempt's start, `idle` between real events, `total` over the attempt."""

    connect: float = 5.0
    first_event: float = 60.0
    idle: float = 300.0
    total: float = 1800.0


class Target(Struct, frozen=True):
    """One configured vendor and what to ask it for; `settings` is typed by the vendor's protocol."""

    vendor: str
    protocol: str
    settings: Struct
    deadlines: Deadlines = Deadlines()


class Failure(Struct, frozen=True):
    error: GatewayError
    phase: Phase
    target: Target


class Plan(Protocol):
    def next(self, failure: Failure | None, now: float) -> tuple[Target, float] | None:
        """The next target and how many seconds to wait before it; None where nobody is left to ask."""
        ...


class FirstTarget:
    """Asks the first target, and nobody after it; one that limits our rate is waited for where the time allows."""

    def __init__(self, targets: tuple[Target, ...], pauses: Pauses, began: float) -> None:
        self._target = targets[0]
        self._pauses = pauses
        self._latest = began + self._target.deadlines.first_event
        self._waits = MAX_WAITS

    def check(self, now: float) -> None:
        """Raises `upstream_rate_limited` where the target may not be called in time."""
        wait = self._pauses.left(self._target.vendor, now)
        if now + wait > self._latest:
            raise GatewayError(
                "upstream_rate_limited", "the vendor limits our rate", retry_after=wait, vendor=self._target.vendor
            )

    def next(self, failure: Failure | None, now: float) -> tuple[Target, float] | None:
        if failure is None:
            return self._target, self._pauses.left(self._target.vendor, now)
        error = failure.error
        if error.code != "upstream_rate_limited" or not error.retry_after:
            return None
        self._pauses.pause(self._target.vendor, now + error.retry_after)
        self._waits -= 1
        if self._waits < 0 or now + error.retry_after > self._latest:
            return None
        return self._target, error.retry_after


class Route(Struct, frozen=True):
    """What a client may ask for by name. `headers_after` and `heartbeat` are seconds, and at most 15."""

    name: str
    targets: tuple[Target, ...]
    headers_after: float = 10.0
    heartbeat: float = 10.0
    vendor_events: bool = False

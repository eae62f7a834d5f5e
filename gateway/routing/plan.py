"""A route's targets and the plan of one message: whom to ask first, and whom after a failure."""

from typing import Literal, Protocol

from msgspec import Struct

from gateway.canonical.errors import GatewayError

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
    """Asks the first target, and nobody after it."""

    def __init__(self, targets: tuple[Target, ...]) -> None:
        self._targets = targets

    def next(self, failure: Failure | None, now: float) -> tuple[Target, float] | None:  # noqa: ARG002  (the port's)
        return (self._targets[0], 0.0) if failure is None else None


class Route(Struct, frozen=True):
    """What a client may ask for by name. `headers_after` and `heartbeat` are seconds, and at most 15."""

    name: str
    targets: tuple[Target, ...]
    headers_after: float = 10.0
    heartbeat: float = 10.0
    vendor_events: bool = False

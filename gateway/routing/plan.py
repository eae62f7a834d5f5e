"""A route's targets, and the port of a message's plan: whom to ask first, and whom after a failure."""

from typing import Literal, Protocol

from msgspec import Struct

from gateway.canonical.errors import Cause, GatewayError
from gateway.routing.order import Weight
from gateway.routing.rules import RouteRules, TargetRules

Phase = Literal["not_sent", "possibly_accepted", "committed"]
"""How far an attempt came: nothing was accepted; a request may have been; the client has seen content of it."""


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
    rules: TargetRules = TargetRules()
    weight: Weight = 1.0


class Failure(Struct, frozen=True):
    """`is_repeatable`: whatever the vendor has accepted of the attempt, it may be asked the same again."""

    error: GatewayError
    phase: Phase
    target: Target
    is_repeatable: bool = False


class Ended(Struct, frozen=True):
    """How the attempt that began last came out, and its seconds to the first event and text, where they came."""

    target: Target
    outcome: Cause | Literal["completed"]
    error: GatewayError | None
    first_event_after: float | None
    first_text_after: float | None


class Plan(Protocol):
    """Each attempt is told to `ended` when it is over, before anybody is asked next."""

    def next(self, failure: Failure | None, now: float) -> tuple[Target, float] | None:
        """The next target and how many seconds to wait before it; None where nobody is left to ask."""
        ...

    def again(self, now: float) -> None:
        """The target asked last is asked once more, for a reason that is not its failure."""
        ...

    def ended(self, ended: Ended, now: float) -> None: ...

    def pause_left(self, now: float) -> float:
        """Seconds for which the target in hand may not be called: it may have said so while the message waited."""
        ...

    def has_other(self, now: float) -> bool:
        """Whether another target could be asked now, if this one were too slow."""
        ...


class Route(Struct, frozen=True):
    """What a client may ask for by name. `headers_after` and `heartbeat` are seconds, and at most 15.

    `models` are names by which clients that ask for a model mean it; one that ends in `*` stands for all that begin so.
    """

    name: str
    targets: tuple[Target, ...]
    headers_after: float = 10.0
    heartbeat: float = 10.0
    vendor_events: bool = False
    models: tuple[str, ...] = ()
    rules: RouteRules = RouteRules()

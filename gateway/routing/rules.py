"""What a route says of its targets, of the order in which they are asked, and of what happens when one fails.

    TargetRules   how far one target is trusted, and when it is left; a target may say otherwise of itself
    RouteRules    the strategy, the bounds of one message, catching up, hedging

All seconds are durations.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from gateway.canonical.errors import Cause, Code
from gateway.canonical.turn import CATCH_UP_TEMPLATE, EARLIER, NOW
from gateway.routing.backoff import BackoffSettings
from gateway.routing.order import Stickiness, Strategy

MidStream = Literal["fail", "restart", "continue"]
"""What becomes of an answer that breaks off when the client has seen content of it.

restart    another target answers anew, and the client is told to forget what it saw
continue   another target is given the partial answer, and goes on in a new block; only where all of it is text
"""

OnDisconnect = Literal["cancel", "drain", "continue"]
"""What becomes of the vendor's run when the client goes away: `drain` lets it end for at most `drain` seconds."""

FailOverCode = Literal[
    "unsupported",
    "upstream_rate_limited",
    "upstream_auth",
    "upstream_not_found",
    "upstream_rejected",
    "upstream_unavailable",
    "upstream_timeout",
    "upstream_protocol",
    "upstream_empty",
    "content_filtered",
    "context_too_long",
    "quota_exhausted",
]
"""Codes after which another target may be asked; after all others the caller, or we, have to mend something."""

USUAL_CODES: tuple[FailOverCode, ...] = (
    "unsupported",
    "upstream_rate_limited",
    "upstream_auth",
    "upstream_not_found",
    "upstream_unavailable",
    "upstream_timeout",
    "upstream_protocol",
    "upstream_empty",
    "context_too_long",
    "quota_exhausted",
)

ShortSeconds = Annotated[float, Meta(gt=0, le=15)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]


class Speed(Struct, frozen=True, forbid_unknown_fields=True):
    """At least so many characters a second in the first `window` seconds of an answer, which is held back as long."""

    characters: Annotated[float, Meta(gt=0, le=1_000_000)]
    window: Annotated[float, Meta(gt=0, le=60)] = 2.0

    @property
    def wanted(self) -> float:
        """Characters after which the answer is quick enough, whatever time is left."""
        return self.characters * self.window


class TargetRules(Struct, frozen=True, forbid_unknown_fields=True):
    """`headers_after` None is the route's. `retries` are of the same target, one after another, in one message."""

    headers_after: ShortSeconds | None = None
    retries: Annotated[int, Meta(ge=0, le=10)] = 1
    fail_over_on: tuple[FailOverCode, ...] = USUAL_CODES
    once_sent: Literal["ask_another", "fail"] = "ask_another"
    """Whether another vendor may be asked what this one has possibly accepted."""
    mid_stream: MidStream = "fail"
    mid_stream_by_cause: dict[Cause, MidStream] = {}
    on_disconnect: OnDisconnect = "cancel"
    drain: Seconds = 30.0
    min_speed: Speed | None = None
    may_run_twice: bool = False
    """Whether a turn may be asked of it beside another target, and be dropped."""

    def fails_over(self, code: Code) -> bool:
        return code in self.fail_over_on

    def after_break(self, cause: Cause) -> MidStream:
        return self.mid_stream_by_cause.get(cause, self.mid_stream)


class CatchUp(Struct, frozen=True, forbid_unknown_fields=True):
    """How a vendor is told what was said elsewhere, where it takes only a text.

    `characters` caps it: whole turns are left out, the oldest first, and `{earlier}` says how many.
    """

    characters: Annotated[int, Meta(ge=0, le=4_194_304)] = 65_536
    template: str = CATCH_UP_TEMPLATE

    def __post_init__(self) -> None:
        for name in (EARLIER, NOW):
            if self.template.count(name) != 1:
                raise ValueError(f"the template must hold {name} exactly once")
        if self.template.index(EARLIER) > self.template.index(NOW):
            raise ValueError(f"the template must hold {EARLIER} before {NOW}")


class RouteRules(Struct, frozen=True, forbid_unknown_fields=True):
    """`attempts` bounds all tries of one message; none begins later than `attempts_within` seconds after it came in.

    Where its answer breaks off when the client has seen content, that time begins anew.
    """

    strategy: Strategy = "priority"
    stickiness: Stickiness = Stickiness()
    attempts: Annotated[int, Meta(ge=1, le=100)] = 6
    attempts_within: Seconds = 120.0
    switches: Annotated[int, Meta(ge=0, le=10)] = 1
    """How often an answer that breaks off when the client has seen content of it may be begun anew, or gone on with."""
    backoff: BackoffSettings = BackoffSettings()
    catch_up: CatchUp = CatchUp()
    hedge_after: Seconds | None = None
    """How long the first target may take to its first event before a second one is asked beside it; None: for ever."""

"""One try at one target.

Attempt   what the metrics, the log and the store want to know of it
Try       its moving parts, as long as it runs
Left      a run that it leaves behind at the vendor
"""

from collections import Counter
from collections.abc import Generator
from typing import Literal

import msgspec
from msgspec import Struct

from gateway.canonical.errors import Cause, GatewayError
from gateway.canonical.events import NoticeKind
from gateway.protocols.base import Translator, VendorRequest, VendorResponse
from gateway.routing.plan import Phase, Target


class Attempt(Struct):
    """`phase` is how far it came; `is_uncertain`: the vendor may have stored the turn, though it was not completed.

    `answered_after` is seconds to its first head, `longest_gap` seconds between two events.
    """

    target: Target
    started: float
    outcome: Cause | Literal["completed"] | None = None
    phase: Phase = "not_sent"
    error: GatewayError | None = None
    answered_after: float | None = None
    longest_gap: float = 0.0
    notices: Counter[NoticeKind] = msgspec.field(default_factory=Counter)
    unknown_events: int = 0
    vendor_ids: dict[str, str] = {}
    model: str | None = None
    is_uncertain: bool = False
    resumes: int = 0
    """How often the vendor's run was gone back to."""
    discarded: int = 0
    """How many characters of it the client was told to forget."""

    def told(self) -> dict[str, object]:
        """As a client is told of it where it failed: nothing that a vendor wrote."""
        told: dict[str, object] = {"vendor": self.target.vendor, "cause": self.outcome}
        return told if self.error is None else {**told, "code": self.error.code}


class Left(Struct, frozen=True):
    """A vendor's run that would go on though nobody hears of it any more, and the request that stops it."""

    vendor: str
    translator: Translator
    stop: VendorRequest


class Try:
    def __init__(self, translator: Translator, now: float) -> None:
        self.translator = translator
        self.calls: Generator[VendorRequest, VendorResponse, None] | None = None
        self.phase: Phase = "not_sent"
        self.is_connecting = False
        self.may_have_stored = False
        self.had_stored = False
        """Whether it may have before the request in hand: what refuses that one says nothing of earlier ones."""
        self.called_at = now
        self.first_event: float | None = None
        self.last_event = now
        self.ending_at: float | None = None
        self.is_finishing = False
        self.has_session = False
        self.was_renewed = False
        self.resumes = 0
        self.resumed_at_event = now
        self.broken: GatewayError | None = None
        """Why the run is gone back to; where that is refused, this is what is told."""

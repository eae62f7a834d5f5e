"""How long to wait before a retry: a random time up to a bound that doubles, or what the vendor asks for.

    retry 1, 2, 3, ...   0 to `base`, 2 x `base`, 4 x `base`, ..., at most `cap` seconds ("full jitter")
    a hint               the vendor's `Retry-After`, cut to `max_hint`: wins where it is longer

`random` is at least 0 and below 1.
"""

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

MAX_DOUBLINGS = 22
"""From the least `base` to beyond the greatest `cap`: further ones change nothing but may overflow."""


class BackoffSettings(Struct, frozen=True, forbid_unknown_fields=True):
    base: Annotated[float, Meta(ge=0.001, le=3600)] = 0.25
    cap: Annotated[float, Meta(ge=0.001, le=3600)] = 8.0
    max_hint: Annotated[float, Meta(ge=0, le=86_400)] = 60.0


def delay(settings: BackoffSettings, attempt: int, random: Callable[[], float]) -> float:
    """Before retry number `attempt`, counted from 1."""
    return random() * min(settings.cap, settings.base * 2.0 ** min(attempt - 1, MAX_DOUBLINGS))


def wait(settings: BackoffSettings, attempt: int, hint: float | None, random: Callable[[], float]) -> float:
    """As `delay`, but not before the hint is over."""
    own = delay(settings, attempt, random)
    return own if hint is None else max(own, min(hint, settings.max_hint))

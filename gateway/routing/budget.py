"""A budget of retries: so many for each first attempt of late, so that retries never multiply a vendor's trouble.

At every retry, those of the last `window` seconds are at most `share` of the first attempts of that time, or `minimum`,
whichever is more. Times are counted by tenths of the window and rounded against us: a retry may weigh, and a first
attempt be forgotten, one tenth too long or too early. Times are seconds of a monotonic clock.
"""

from typing import Annotated

from msgspec import Meta, Struct

from gateway.routing.breaker import Window

SLICES = 10


class BudgetSettings(Struct, frozen=True, forbid_unknown_fields=True):
    share: Annotated[float, Meta(ge=0, le=1)] = 0.2
    minimum: Annotated[int, Meta(ge=0, le=1_000_000)] = 10
    """Of retries within the window, so that a vendor that is seldom asked can be asked again."""
    window: Annotated[float, Meta(gt=0, le=86_400)] = 10.0


class Budget:
    """Of one vendor."""

    def __init__(self, settings: BudgetSettings) -> None:
        self._settings = settings
        self._firsts = Window(settings.window, SLICES, 1)
        # One slice more, so that no retry is forgotten before its time.
        self._retries = Window(settings.window / SLICES * (SLICES + 1), SLICES + 1, 1)

    def first(self, now: float) -> None:
        """A first attempt begins."""
        self._firsts.add(0, now)

    def take(self, now: float) -> bool:
        """Whether a retry may begin, which is counted then."""
        is_left = self.left(now) >= 1
        if is_left:
            self._retries.add(0, now)
        return is_left

    def left(self, now: float) -> float:
        """How many retries may begin now."""
        allowed = max(self._settings.minimum, self._settings.share * self._firsts.sums(now)[0])
        return max(0.0, allowed - self._retries.sums(now)[0])

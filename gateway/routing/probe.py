"""A vendor may be asked for its health though nobody calls it; its answers move its breaker.

    bad     `failures` of them in a row open the breaker, and as long as they go on it stays open
    good    a breaker that bad answers opened is half open at once; it closes only where a call succeeds

    await asyncio.sleep(probe.first_wait())
    ... the vendor is asked ...
    probe.end(now, is_well=...)            then again, `probe.wait()` seconds after this one began

Times are seconds of a monotonic clock; `random` is at least 0 and below 1.
"""

import re
from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

from gateway.routing.breaker import Breaker, Seconds

JITTER = 0.1
"""At most this part of `every` is left out, so that replicas do not ask in step."""

PATH = re.compile(r'/[!"$->@-~]*')
"""Visible ASCII without `#` and `?`."""


class ProbeSettings(Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    """Below the vendor's base URL."""
    every: Seconds = 10.0
    timeout: Seconds = 2.0
    failures: Annotated[int, Meta(ge=1, le=1000)] = 3
    """In a row."""

    def __post_init__(self) -> None:
        if not PATH.fullmatch(self.path):
            raise ValueError("path is no plain path, such as /healthz")
        if self.timeout > self.every:
            raise ValueError(f"timeout is longer than every: {self.timeout} > {self.every}")


class Probe:
    """Of one vendor, and of its breaker."""

    def __init__(self, settings: ProbeSettings, breaker: Breaker, random: Callable[[], float]) -> None:
        self.settings = settings
        self._breaker = breaker
        self._random = random
        self._failures = 0

    def first_wait(self) -> float:
        return self.settings.every * self._random()

    def wait(self) -> float:
        return self.settings.every * (1 - JITTER * self._random())

    def end(self, now: float, *, is_well: bool) -> None:
        if is_well:
            if self._failures >= self.settings.failures:
                self._breaker.wake(now)
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= self.settings.failures:
            self._breaker.trip(now, self._random, self._until_next)

    @property
    def _until_next(self) -> float:
        """Seconds by which the next answer is there: `timeout` is at most `every`."""
        return 2 * self.settings.every

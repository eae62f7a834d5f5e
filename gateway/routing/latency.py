"""How long each target takes to its first text: a mean in which an attempt counts half after each half life.

    note   one attempt's seconds to its first text, or its deadline where that never came
    mean   of what was noted; None where that is nothing, or older than `FORGOTTEN_AFTER` half lives

Every attempt of a moment weighs the same, and silence changes nothing: a mean is of seconds that somebody waited. The
peak EWMA of Finagle jumps to each slow answer and sinks to 0 in silence, which suits servers of one kind under steady
calls. A vendor's first text depends on the question, so that peaks would rank the questions; and in a quiet hour
whoever is not asked would soon seem the quickest (its PeakEwma.scala, read 2026-11).

Times are seconds of a monotonic clock. What is kept is bounded by the keys, which are those of the configuration.
"""

from collections.abc import Hashable

FORGOTTEN_AFTER = 60
"""Half lives, an hour of the usual ones: what a target was like before says nothing of today."""


class Latency:
    def __init__(self, half_life: float = 60.0) -> None:
        self._half_life = half_life
        self._noted: dict[Hashable, tuple[float, float, float]] = {}
        """Key -> the decayed sum and number of seconds noted, and when the last was."""

    def note(self, key: Hashable, seconds: float, now: float) -> None:
        total, count, last = self._noted.get(key, (0.0, 0.0, now))
        kept = 0.5 ** ((now - last) / self._half_life)
        self._noted[key] = total * kept + seconds, count * kept + 1, now

    def mean(self, key: Hashable, now: float) -> float | None:
        noted = self._noted.get(key)
        if noted is None:
            return None
        total, count, last = noted
        return None if now - last > FORGOTTEN_AFTER * self._half_life else total / count

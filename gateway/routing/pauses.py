"""Which vendors limit our rate, and until when: no message of the process calls a target of theirs before."""

from collections.abc import Iterator


class Pauses:
    """Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def pause(self, vendor: str, until: float) -> None:
        """A pause is never shortened: the vendor said both times."""
        self._until[vendor] = max(until, self._until.get(vendor, until))

    def left(self, vendor: str, now: float) -> float:
        """Seconds until the vendor may be called."""
        until = self._until.get(vendor)
        if until is None:
            return 0.0
        if until <= now:
            del self._until[vendor]
            return 0.0
        return until - now

    def all_left(self, now: float) -> Iterator[tuple[str, float]]:
        """Each vendor that must not be called now, and for how many seconds."""
        for vendor in list(self._until):
            seconds = self.left(vendor, now)
            if seconds:
                yield vendor, seconds

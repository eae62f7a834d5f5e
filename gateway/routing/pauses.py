"""Which vendors limit our rate, and until when: no message of the process calls a target of theirs before."""


class Pauses:
    """Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def pause(self, vendor: str, until: float) -> None:
        """A pause is never shortened: the vendor said both times."""
        self._until[vendor] = max(until, self._until.get(vendor, until))

    def left(self, vendor: str, now: float) -> float:
        """Seconds until the vendor may be called."""
        return max(0.0, self._until.get(vendor, now) - now)

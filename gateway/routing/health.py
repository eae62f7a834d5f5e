"""What the process knows of its vendors' health, shared by all messages.

    breaker   whether a vendor is asked at all
    probe     what it answers where it is asked for its health, which moves the breaker
    budget    how many retries it may still be sent
    pauses    which vendors limit our rate, and until when
    refused   which have refused our credential: they are asked last, until a call succeeds
    latency   how long each target takes to its first text

All decisions are made on the one thread of the event loop. Times are seconds of a monotonic clock.
"""

from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from gateway.routing.breaker import Breaker, BreakerSettings, State
from gateway.routing.budget import Budget, BudgetSettings
from gateway.routing.latency import Latency
from gateway.routing.pauses import Pauses
from gateway.routing.probe import Probe, ProbeSettings


class HealthSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Of one vendor."""

    breaker: BreakerSettings = BreakerSettings()
    retry_budget: BudgetSettings = BudgetSettings()
    probe: ProbeSettings | None = None


class VendorHealth:
    def __init__(self, settings: HealthSettings, random: Callable[[], float]) -> None:
        self.breaker = Breaker(settings.breaker)
        self.probe = Probe(settings.probe, self.breaker, random) if settings.probe is not None else None
        self.budget = Budget(settings.retry_budget)
        self.slow_after = settings.breaker.slow_after
        self.is_refused = False


class VendorState(Struct, frozen=True):
    """As it is shown: `breaker_wait` and `paused` are seconds, 0 where there is nothing to wait for."""

    breaker: State
    breaker_wait: float
    paused: float
    retries_left: float
    is_refused: bool


class Health:
    def __init__(self, vendors: Mapping[str, HealthSettings], random: Callable[[], float]) -> None:
        self.pauses = Pauses()
        self.latency = Latency()
        self.random = random
        self._vendors = {name: VendorHealth(settings, random) for name, settings in vendors.items()}

    def of(self, vendor: str) -> VendorHealth:
        return self._vendors[vendor]

    def admits(self, vendor: str, now: float) -> bool:
        return self._vendors[vendor].breaker.admits(now) and not self.pauses.left(vendor, now)

    def wait(self, vendor: str, now: float) -> float:
        """Seconds until the vendor may be asked; 0 where it may be now."""
        return max(self.pauses.left(vendor, now), self._vendors[vendor].breaker.wait(now))

    def probes(self) -> Iterator[tuple[str, Probe]]:
        """Of the vendors that are asked for their health."""
        for name, vendor in self._vendors.items():
            if vendor.probe is not None:
                yield name, vendor.probe

    def states(self, now: float) -> Iterator[tuple[str, VendorState]]:
        for name, vendor in self._vendors.items():
            yield (
                name,
                VendorState(
                    vendor.breaker.state(now),
                    vendor.breaker.wait(now),
                    self.pauses.left(name, now),
                    vendor.budget.left(now),
                    vendor.is_refused,
                ),
            )

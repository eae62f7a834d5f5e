"""What the process knows of its vendors, and shows."""

import msgspec
import pytest

from gateway.routing.breaker import BreakerSettings
from gateway.routing.budget import BudgetSettings
from gateway.routing.health import Health, HealthSettings, VendorState
from gateway.routing.probe import ProbeSettings

FRAGILE = HealthSettings(BreakerSettings(minimum=1, open_for=30, jitter=0))
PATIENT = HealthSettings(BreakerSettings(slow_after=5), BudgetSettings(minimum=3))
WELL = VendorState("closed", 0.0, 0.0, 10, is_refused=False)


def both() -> Health:
    return Health({"acme": FRAGILE, "bolt": PATIENT}, lambda: 0.5)


def fail(health: Health, vendor: str, now: float) -> None:
    breaker = health.of(vendor).breaker
    ticket = breaker.begin(now)
    assert ticket is not None
    breaker.end(ticket, "bad", now, health.random)


def test_each_vendor_has_a_health_of_its_own() -> None:
    health = both()
    fail(health, "acme", 100.0)
    assert [health.of(vendor).breaker.state(100.0) for vendor in ("acme", "bolt")] == ["open", "closed"]
    assert [health.of(vendor).budget.left(100.0) for vendor in ("acme", "bolt")] == [10, 3]
    assert [health.of(vendor).slow_after for vendor in ("acme", "bolt")] == [None, 5]


def test_a_vendor_that_nobody_configured_has_none() -> None:
    with pytest.raises(KeyError):
        both().of("spare")


def test_a_vendor_may_be_asked_when_its_breaker_and_its_pause_allow_it() -> None:
    health = both()
    assert (health.wait("acme", 100.0), health.admits("acme", 100.0)) == (0.0, True)
    fail(health, "acme", 100.0)
    assert [(health.wait("acme", now), health.admits("acme", now)) for now in (110.0, 130.0)] == [
        (20.0, False),
        (0.0, True),
    ]
    health.pauses.pause("acme", 140.0)
    assert [(health.wait("acme", now), health.admits("acme", now)) for now in (105.0, 130.0, 140.0)] == [
        (35.0, False),
        (10.0, False),
        (0.0, True),
    ]
    assert (health.wait("bolt", 105.0), health.admits("bolt", 105.0)) == (0.0, True)


def test_what_is_known_of_each_vendor_is_shown() -> None:
    health = both()
    assert dict(health.states(100.0)) == {"acme": WELL, "bolt": msgspec.structs.replace(WELL, retries_left=3)}
    fail(health, "acme", 100.0)
    health.pauses.pause("bolt", 104.0)
    health.of("bolt").budget.take(100.0)
    health.of("bolt").is_refused = True
    assert dict(health.states(101.0)) == {
        "acme": VendorState("open", 29.0, 0.0, 10, is_refused=False),
        "bolt": VendorState("closed", 0.0, 3.0, 2, is_refused=True),
    }


def test_a_probe_moves_the_breaker_of_its_own_vendor() -> None:
    probed = HealthSettings(probe=ProbeSettings("/healthz", failures=1))
    health = Health({"acme": FRAGILE, "bolt": probed, "zeta": probed}, lambda: 0.5)
    ((first, probe), (second, _)) = health.probes()
    assert (first, second, probe.first_wait()) == ("bolt", "zeta", 5.0)
    probe.end(100.0, is_well=False)
    assert [health.of(vendor).breaker.wait(100.0) for vendor in ("acme", "bolt", "zeta")] == [0.0, 27.0, 0.0]


def test_a_vendors_health_is_set_by_its_breaker_its_retry_budget_and_its_probe() -> None:
    given = {"breaker": {"minimum": 3}, "retry_budget": {"share": 0.5}, "probe": {"path": "/healthz"}}
    expected = HealthSettings(BreakerSettings(minimum=3), BudgetSettings(share=0.5), ProbeSettings("/healthz"))
    assert msgspec.convert(given, HealthSettings) == expected
    with pytest.raises(msgspec.ValidationError, match="unknown field `braker`"):
        msgspec.convert({"braker": {}}, HealthSettings)

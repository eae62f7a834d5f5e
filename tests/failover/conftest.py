"""Times that are short enough for tests."""

import pytest

from gateway.relay import core, relay


@pytest.fixture
def quick_sweeper(monkeypatch: pytest.MonkeyPatch) -> None:
    """Deadlines of tenths of a second are met in time."""
    monkeypatch.setattr(relay, "SWEEP_INTERVAL", 0.05)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is gone back to without a wait."""
    monkeypatch.setattr(core, "RESUME_WAITS", (0.0, 0.0, 0.0))

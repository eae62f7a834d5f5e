"""Prometheus' own tool reads what we expose, and the scrape configuration that we ship."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from gateway.canonical.errors import CAUSES
from gateway.telemetry.metrics import Metrics, Outcome

pytestmark = pytest.mark.acceptance

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("promtool is missing: make acceptance installs it")
        pytest.skip("promtool is missing: make acceptance installs it")
    return found


def checked(promtool: str, *arguments: str, given: bytes = b"") -> tuple[int, str]:
    ended = subprocess.run(
        [promtool, *arguments], input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False
    )
    return ended.returncode, ended.stdout.decode()


def test_every_metric_is_named_and_described_as_prometheus_asks(promtool: str) -> None:
    metrics = Metrics("0.1.0", lambda: 3)
    for outcome in get_args(Outcome):
        metrics.message(
            route="support",
            vendor="acme",
            outcome=outcome,
            duration=2.0,
            first_event=0.5,
            first_text=0.6,
            heartbeats=1,
        )
    for cause in CAUSES:
        metrics.attempt(vendor="acme", protocol="acme-chat", outcome=cause)  # type: ignore[arg-type]  # they are its own
    metrics.unknown_vendor_events("acme-chat")
    metrics.notice("acme-chat", "text_corrected")
    metrics.request("messages", 200)
    metrics.unhandled_error()
    metrics.stream_opened()
    body, _ = metrics.exposition()
    assert checked(promtool, "check", "metrics", given=body) == (0, "")


def test_a_badly_named_metric_would_be_noticed(promtool: str) -> None:
    code, told = checked(promtool, "check", "metrics", given=b"# TYPE badName counter\nbadName 1\n")
    assert code != 0
    assert "badName" in told


def test_the_scrape_configuration_is_right(promtool: str) -> None:
    code, told = checked(promtool, "check", "config", str(DEPLOY / "prometheus.yml"))
    assert code == 0, told

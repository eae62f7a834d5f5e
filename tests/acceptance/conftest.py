"""Gateways, and clients that were started for all tests of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.speakers import Clients, started
from tests.acceptance.strangers import SIMULATED, Gateway, configuration

FAILOVER = """
[routes.support]
targets = [
    { vendor = "hardwire", model = "gpt-4o" },
    { vendor = "chatbase", agent = "demo-agent" },
]
"""


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Every vendor that can be simulated, a route for each, and `support` over two of them."""
    with Gateway(written(tmp_path_factory, configuration(SIMULATED, FAILOVER))) as gateway:
        yield gateway


def written(folders: pytest.TempPathFactory, text: str) -> Path:
    file = folders.mktemp("gateway") / "gateway.toml"
    file.write_text(text)
    return file


@pytest.fixture(scope="session")
def clients() -> Iterator[Clients]:
    yield from started()

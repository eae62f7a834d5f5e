from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.vendors.five import Five, five


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Five]:
    async with five(tmp_path) as running:
        yield running

"""Tasks whose outcome may be nobody's by the time it comes."""

import asyncio
from typing import Any


def read_outcome(task: "asyncio.Task[Any]") -> None:
    """Those who waited may all be gone: without this asyncio complains of an exception that nobody read."""
    if not task.cancelled():
        task.exception()

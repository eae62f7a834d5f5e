"""The clock by which conversations return, moved by hand: `clock.ahead = timedelta(minutes=1)`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, tzinfo
from typing import Self

import pytest

from gateway.server import answering


class Clock(datetime):
    ahead = timedelta()

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + cls.ahead


@contextmanager
def moved_clock() -> Iterator[type[Clock]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Clock, "ahead", timedelta())
        patch.setattr(answering, "datetime", Clock)
        yield Clock

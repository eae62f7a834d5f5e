"""Ids that nobody can guess, from the system's randomness, which is asked for many at a time (each asking costs 3 us).

ids.new("msg")   "msg_" and 24 hexadecimal digits: 96 random bits
ids.uuid()       a version 4 UUID as text (RFC 9562, 5.4)
"""

import os

BATCH = 4096
VARIANTS = "89ab"
"""What the first digit of the fourth group may be: two of its bits are fixed."""


class Ids:
    def __init__(self) -> None:
        self._random = b""
        self._used = 0

    def new(self, prefix: str) -> str:
        return f"{prefix}_{self._take(12).hex()}"

    def uuid(self) -> str:
        digits = self._take(16).hex()
        variant = VARIANTS[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def _take(self, count: int) -> bytes:
        """Random bytes of which none is handed out twice."""
        start = self._used
        if start + count > len(self._random):
            self._random = os.urandom(BATCH)
            start = 0
        self._used = start + count
        return self._random[start : self._used]

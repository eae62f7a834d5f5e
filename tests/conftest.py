"""How property tests run: without deadlines, since machines differ, and the same each time where CI asks.

`make test` draws a few examples of each, `make sweeps` many.
"""

import os

from hypothesis import settings

IN_CI = "CI" in os.environ

settings.register_profile("quick", deadline=None, derandomize=IN_CI, max_examples=30)
settings.register_profile("thorough", deadline=None, derandomize=IN_CI, max_examples=100)
settings.load_profile("quick")

"""`gateway key`: a random key for a caller, and its hash for the configuration.

gwk_pq3...        32 random bytes; the prefix lets log redaction and secret scanners find it
"""

import hashlib
import secrets
from typing import TextIO

PREFIX = "gwk_"


def make_key(key_id: str, out: TextIO) -> int:
    key = PREFIX + secrets.token_urlsafe(32)
    digest = hashlib.sha256(key.encode()).hexdigest()
    out.write(f"""The key, shown this once. Its caller sends it as `Authorization: Bearer ...`:

    {key}

What the configuration needs to know it:

    [[keys]]
    id = "{key_id}"
    sha256 = "{digest}"
""")
    return 0

"""Keeps secrets out of log lines, and makes of every value something that JSON can say.

    by key             authorization, cookie, api_key, ..., and whatever ends like `_token`; the whole value goes
    by configuration   the vendors' own secrets, wherever they stand in a text
    by shape           `Bearer ...`, `sk-...`, JSON web tokens, `token=...`, `https://user:password@`

It is the last step before the renderer, so nothing can be added behind it. Values that are no plain JSON are shown by
their `repr`, which is searched too. Depth and lengths are capped.
"""

import re
from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import Any

REDACTED = "[redacted]"

MIN_SECRET = 6
"""A configured secret shorter than this is left to its key: looked for everywhere, it would eat ordinary words."""

MAX_DEPTH = 8
MAX_TEXT = 16_384
MAX_ENTRIES = 256

_SECRET_KEYS = frozenset(
    {
        "authorization",
        "proxy_authorization",
        "cookie",
        "set_cookie",
        "api_key",
        "apikey",
        "password",
        "passwd",
        "secret",
        "token",
        "credential",
        "credentials",
    }
)
_SCALARS = frozenset({str, int, float, bool, type(None)})
_SECRET_ENDINGS = ("_token", "_secret", "_password", "_api_key", "_cookie", "_apikey")

_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]{6,}"), rf"\1 {REDACTED}"),
    (re.compile(r"(?i)\b(basic)\s+[\w+/=-]{16,}"), rf"\1 {REDACTED}"),
    (re.compile(r"\b(?:sk|pk|rk|gwk)[-_][\w-]{8,}|\bAIza[\w-]{30,}|\beyJ[\w-]{6,}\.[\w-]+\.?[\w-]*"), REDACTED),
    (re.compile(r"""(?i)\b([\w.-]{0,40}(?:key|token|secret|password|signature))=[^&;\s"']+"""), rf"\1={REDACTED}"),
    (re.compile(r"://[^/\s@]{1,256}@"), f"://{REDACTED}@"),
)

_HINTS = ("=", "@", "k-", "k_", "bearer", "basic", "aiza", "eyj")
"""Every shape holds one of these, in lower case: looking for them costs 1 us a line where the shapes cost 30."""


class Redactor:
    """Called with an event's fields, it answers them without the secrets."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        self._secrets = sorted((secret for secret in secrets if len(secret) >= MIN_SECRET), key=len, reverse=True)

    def __call__(self, event: Mapping[str, object]) -> dict[str, object]:
        return dict(event) if self._is_clean(event) else self._table(event, 0)

    def _is_clean(self, event: Mapping[str, object]) -> bool:
        """Whether a look at all texts at once proves that there is nothing to do, as for nearly every line."""
        values = event.values()
        if _name_secrets(tuple(event)) or not _SCALARS.issuperset(map(type, values)):
            return False
        text = "\n".join([value for value in values if isinstance(value, str)])
        if len(text) > MAX_TEXT:
            return False
        for secret in self._secrets:
            if secret in text:
                return False
        lowered = text.lower()
        for hint in _HINTS:  # noqa: SIM110  (`any` over a generator costs twice as much)
            if hint in lowered:
                return False
        return True

    def _table(self, fields: Mapping[Any, object], depth: int) -> dict[str, object]:
        return {
            self._text(str(key)): REDACTED
            if value is not None and _names_secret(str(key))
            else self._plain(value, depth)
            for key, value in list(fields.items())[:MAX_ENTRIES]
        }

    def _plain(self, value: object, depth: int) -> object:
        if isinstance(value, str):
            return self._text(value)
        if value is None or isinstance(value, int | float):
            return value
        if depth >= MAX_DEPTH:
            return "..."
        if isinstance(value, Mapping):
            return self._table(value, depth + 1)
        if isinstance(value, list | tuple | set | frozenset):
            return [self._plain(entry, depth + 1) for entry in list(value)[:MAX_ENTRIES]]
        return self._text(value.decode("utf-8", "replace") if isinstance(value, bytes) else repr(value))

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, REDACTED)
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
        return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "..."


@lru_cache(maxsize=1024)
def _names_secret(key: str) -> bool:
    name = key.lower().replace("-", "_")
    return name in _SECRET_KEYS or name.endswith(_SECRET_ENDINGS)


@lru_cache(maxsize=1024)
def _name_secrets(keys: tuple[str, ...]) -> bool:
    return any(_names_secret(key) for key in keys)

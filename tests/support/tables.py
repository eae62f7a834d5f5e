"""The README's tables that are made of the descriptors.

.venv/bin/python -m tests.support.tables    prints them, to be pasted
"""

import re
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import Struct

from gateway.protocols.base import CAPABILITIES, Descriptor
from gateway.protocols.registry import BUILT_IN

ORDER = (
    "dynamiq",
    "chatbase",
    "dimedove",
    "hardwire",
    "sema4",
    "openai_chat",
    "openai_responses",
    "anthropic",
    "gemini",
    "ai_sdk",
    "ag_ui",
)
"""As the README tells of them."""


def capabilities() -> str:
    """Protocol by capability: yes, no or ignored."""
    rows = ([name, *(descriptor.capabilities[name] for descriptor in _described())] for name in CAPABILITIES)
    return _table(["capability", *(descriptor.title for descriptor in _described())], rows)


def settings() -> str:
    """What a configuration and a request may set by protocol; a `?` marks what may be left out."""
    rows = (
        [
            f"`{descriptor.name}`",
            ", or ".join(map(_names, descriptor.credentials)),
            ", ".join(f"`{name}`?" for name in sorted(descriptor.optional_bases)) or "-",
            _fields(descriptor.target),
            _fields(descriptor.options) or "-",
        ]
        for descriptor in _described()
    )
    return _table(["protocol", "credentials", "`bases`", "target", "`vendor_options`"], rows)


def paths() -> str:
    """What each client-facing protocol but our own is asked."""
    rows = (
        [f"`{route.method} {_spelled(route.path)}`", route.operation.replace("_", " ")]
        for name in ORDER
        if (make := BUILT_IN[name].dialect) is not None
        for route in make(BUILT_IN[name].dialect_settings()).routes
    )
    return _table(["request of a client's own", "what it does"], rows)


def _spelled(path: str) -> str:
    """Without the patterns of its variable segments."""
    return re.sub(r":[^{}/]+}", "}", path)


def _described() -> Iterator[Descriptor]:
    return (BUILT_IN[name] for name in ORDER)


def _names(names: Iterable[str]) -> str:
    return " and ".join(f"`{name}`" for name in sorted(names)) or "none"


def _fields(kind: type[Struct]) -> str:
    fields = msgspec.structs.fields(kind)
    return ", ".join(f"`{field.encode_name}`{'' if field.required else '?'}" for field in fields)


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(capabilities(), settings(), paths(), sep="\n", end="")  # noqa: T201  (what the command is for)

"""A message as patches make it: JSON Patch (RFC 6902), and the vendor's own `concat_string` and `inc`.

    document.apply(patch)   -> what it did: `Grown` for a string that now is longer, `Changed` for anything else
    plain(node)             -> the JSON value of a part of it

A string that grows is kept in pieces, so that each `concat_string` costs the same. What else an operation costs (what
it puts in, copies or shifts) is spent from a `Budget`, so that a run takes time in proportion to its bytes. What the
standard forbids raises `Malformed`: a place that does not exist, an index behind the end, a `test` that fails. As in
the vendor's own sources a null counts as an empty string, zero or an empty object where an operation goes into it.
"""

import re
from typing import Any

from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.framing.typed import Malformed
from gateway.protocols.sema4 import wire

MAX_DEPTH = 64
MAX_WORK = 16 * 1024 * 1024
"""Characters that all patches of one run may put into its messages; a value costs as much as `VALUE` of them."""

VALUE = 16

SHIFTED_AT_ONCE = 64
"""Entries of a list that move in the time that one value takes."""

Path = tuple[str, ...]
Node = dict[str, Any]

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_BAD_ESCAPE = re.compile(r"~(?![01])")


class Budget:
    """What is left for one run. `spend` raises `GatewayError("upstream_protocol")` where it is used up."""

    def __init__(self, left: int = MAX_WORK) -> None:
        self._left = left

    def spend(self, cost: int) -> None:
        self._left -= cost
        if self._left < 0:
            raise GatewayError(
                "upstream_protocol", "the vendor's messages are larger than any answer may be", cause="too_large"
            )


class Growing:
    """A string in the pieces that it came in."""

    __slots__ = ("_pieces", "size")

    def __init__(self, text: str = "") -> None:
        self._pieces = [text]
        self.size = len(text)

    def grow(self, delta: str) -> None:
        self._pieces.append(delta)
        self.size += len(delta)

    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0]


class Grown(Struct, frozen=True):
    """The string at `path` now has `delta` at its end."""

    path: Path
    delta: str


class Changed(Struct, frozen=True):
    """At `path` stands something else than before, or nothing."""

    path: Path


Change = Grown | Changed


class Document:
    def __init__(self, budget: Budget) -> None:
        self.root: Node = {}
        self._budget = budget

    def apply(self, patch: wire.Patch) -> tuple[Change, ...]:
        match patch:
            case wire.ConcatString():
                return (self._concat(patch),)
            case wire.Add() | wire.Replace() if not patch.path:
                return (self.become({} if patch.value is None else patch.value),)
            case wire.Add():
                return (self._add(parse_pointer(patch.path), patch.value),)
            case wire.Replace():
                return (self._replace(parse_pointer(patch.path), patch.value),)
            case wire.Remove():
                return (self._remove(parse_pointer(patch.path)),)
            case wire.Move() | wire.Copy():
                return self._transfer(patch)
            case wire.Inc():
                return (self._increase(patch),)
            case _:
                return self._test(patch)

    def become(self, value: object) -> Changed:
        """The whole document anew."""
        self._budget.spend(_weigh(value, 0))
        if not isinstance(value, dict):
            raise Malformed("a message that is no object")
        self.root = value
        return Changed(())

    def leaf(self, path: str) -> Growing:
        """The string at `path`, made ready to grow."""
        parent, key = self._place(parse_pointer(path))
        value = parent[key]
        if isinstance(value, Growing):
            return value
        if not isinstance(value, str | None):
            raise Malformed(f"no string at {path}")
        grown = Growing(value or "")
        parent[key] = grown
        return grown

    def grow(self, leaf: Growing, delta: str) -> None:
        self._budget.spend(len(delta) + 1)
        leaf.grow(delta)

    # Operations.

    def _concat(self, patch: wire.ConcatString) -> Grown:
        self.grow(self.leaf(patch.path), patch.value)
        return Grown(parse_pointer(patch.path), patch.value)

    def _add(self, path: Path, value: Any) -> Change:
        self._budget.spend(_weigh(value, len(path)))
        parent = self._parent(path)
        if isinstance(parent, dict):
            return _put(parent, path[-1], path, value)
        if not isinstance(parent, list):
            raise Malformed("a value that is added to neither an object nor a list")
        index = len(parent) if path[-1] == "-" else _index(path[-1], len(parent))
        self._shift(parent, index)
        parent.insert(index, value)
        return Changed((*path[:-1], str(index)))

    def _replace(self, path: Path, value: Any) -> Change:
        self._budget.spend(_weigh(value, len(path)))
        return _put(*self._place(path), path, value)

    def _remove(self, path: Path) -> Changed:
        parent, key = self._place(path)
        if isinstance(parent, list):
            self._shift(parent, key)
        del parent[key]
        return Changed(path)

    def _transfer(self, patch: wire.Move | wire.Copy) -> tuple[Change, ...]:
        source = patch.from_ if patch.from_ is not None else patch.standard_from
        if source is None:
            raise Malformed("an operation without its source")
        here, there = parse_pointer(source), parse_pointer(patch.path)
        self._budget.spend(_weigh(self._find(here), len(there)))
        value = plain(self._find(here))
        if here == there:
            return ()
        before: tuple[Change, ...] = ()
        if isinstance(patch, wire.Move):
            if there[: len(here)] == here:
                raise Malformed("a value that moves into itself")
            before = (self._remove(here),)
        return (*before, self._add(there, value) if there else self.become(value))

    def _increase(self, patch: wire.Inc) -> Changed:
        path = parse_pointer(patch.path)
        parent, key = self._place(path)
        before = parent[key]
        if isinstance(before, bool) or not isinstance(before, int | float | None):
            raise Malformed(f"no number at {patch.path}")
        try:
            parent[key] = (before or 0) + patch.value
        except OverflowError as error:
            raise Malformed("a number beyond all bounds") from error
        return Changed(path)

    def _test(self, patch: wire.Test) -> tuple[Change, ...]:
        _weigh(patch.value, 0)
        if not _is_same(self._find(parse_pointer(patch.path)), patch.value):
            raise Malformed(f"not the value that is told of {patch.path}")
        return ()

    # Places.

    def _parent(self, path: Path) -> Any:
        node: Any = self.root
        for name in path[:-1]:
            key = _key(node, name)
            if node[key] is None:
                node[key] = {}
            node = node[key]
        return node

    def _place(self, path: Path) -> tuple[Any, Any]:
        """Where something stands, and under which key or index."""
        if not path:
            raise Malformed("an operation that the whole message cannot bear")
        parent = self._parent(path)
        return parent, _key(parent, path[-1])

    def _find(self, path: Path) -> Any:
        if not path:
            return self.root
        parent, key = self._place(path)
        return parent[key]

    def _shift(self, entries: list[Any], index: int) -> None:
        self._budget.spend(VALUE * (1 + (len(entries) - index) // SHIFTED_AT_ONCE))


def parse_pointer(path: str) -> Path:
    """RFC 6901. Raises `Malformed`."""
    if not path:
        return ()
    names = path.split("/")
    if names[0] or len(names) > MAX_DEPTH + 1 or _BAD_ESCAPE.search(path):
        raise Malformed("a path that cannot be read")
    if "~" in path:
        names = [name.replace("~1", "/").replace("~0", "~") for name in names]
    return tuple(names[1:])


def plain(node: Any) -> Any:
    """A value of a document as JSON has it, and a copy."""
    if isinstance(node, dict):
        return {name: plain(value) for name, value in node.items()}
    if isinstance(node, list):
        return [plain(value) for value in node]
    return node.text() if isinstance(node, Growing) else node


def _put(parent: Any, key: Any, path: Path, value: Any) -> Change:
    """A string that begins with the one before it has grown."""
    before = parent[key] if isinstance(parent, list) else parent.get(key)
    parent[key] = value
    if isinstance(before, Growing):
        before = before.text() if isinstance(value, str) and before.size <= len(value) else None
    if isinstance(value, str) and isinstance(before, str) and value.startswith(before):
        return Grown(path, value[len(before) :])
    return Changed(path)


def _key(parent: Any, name: str) -> Any:
    """The key or index of what stands in `parent` under `name`."""
    if isinstance(parent, dict) and name in parent:
        return name
    if isinstance(parent, list) and parent:
        return _index(name, len(parent) - 1)
    raise Malformed(f"nothing at {name}")


def _index(name: str, highest: int) -> int:
    if not _INDEX.fullmatch(name) or int(name) > highest:
        raise Malformed(f"no such index: {name}")
    return int(name)


def _weigh(value: Any, depth: int) -> int:
    """What it costs to put in. Raises `Malformed` for what lies deeper than anything of use."""
    if depth > MAX_DEPTH:
        raise Malformed("a value that is too deep")
    if isinstance(value, dict):
        return VALUE + sum(len(name) + _weigh(inner, depth + 1) for name, inner in value.items())
    if isinstance(value, list):
        return VALUE + sum(_weigh(inner, depth + 1) for inner in value)
    if isinstance(value, str):
        return VALUE + len(value)
    return VALUE + (value.size if isinstance(value, Growing) else 0)


def _is_same(one: Any, other: Any) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_is_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_is_same, one, other))
    if isinstance(one, Growing):
        return isinstance(other, str) and one.size == len(other) and one.text() == other
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)

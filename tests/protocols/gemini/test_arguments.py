"""Arguments that come as values at JSON paths: what they spell, in order, and what cannot be spelled."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.framing.typed import Malformed
from gateway.protocols.gemini.arguments import ArgumentText, Path, parse_path
from gateway.protocols.gemini.wire import PartialArg


def grown(*values: dict[str, Any]) -> list[str]:
    text = ArgumentText()
    return [*(text.grow(msgspec.convert(value, PartialArg)) for value in values), text.end()]


def test_a_text_grows_until_it_does_not_continue() -> None:
    assert grown(
        {"jsonPath": "$.location", "stringValue": "Bos", "willContinue": True},
        {"jsonPath": "$.location", "stringValue": 't"n', "willContinue": True},
        {"jsonPath": "$.location", "stringValue": ""},
        {"jsonPath": "$.unit", "stringValue": "C"},
    ) == ['{"location":"Bos', 't\\"n', '"', ',"unit":"C"', "}"]


def test_a_text_whose_end_is_missing_ends_with_the_next_value_or_with_the_call() -> None:
    assert grown(
        {"jsonPath": "$.a", "stringValue": "x", "willContinue": True},
        {"jsonPath": "$.b", "stringValue": "y", "willContinue": True},
    ) == ['{"a":"x', '","b":"y', '"}']


def test_a_text_may_end_without_a_value() -> None:
    assert grown({"jsonPath": "$.a", "stringValue": "x", "willContinue": True}, {"jsonPath": "$.a"}) == [
        '{"a":"x',
        '"',
        "}",
    ]


def test_places_are_opened_and_closed_on_the_way() -> None:
    assert grown(
        {"jsonPath": "$.to.city", "stringValue": "Kyiv"},
        {"jsonPath": "$.to.zip", "numberValue": 1},
        {"jsonPath": "$.days[0].n", "numberValue": 2.5},
        {"jsonPath": "$.days[1].n", "boolValue": False},
        {"jsonPath": '$["a \\"b\\""]', "nullValue": None},
        {"jsonPath": "$.c['d.e'][0][0]", "nullValue": "NULL_VALUE"},
        {"jsonPath": "$.nothing"},
    ) == [
        '{"to":{"city":"Kyiv"',
        ',"zip":1',
        '},"days":[{"n":2.5',
        '},{"n":false',
        '}],"a \\"b\\"":null',
        ',"c":{"d.e":[[null',
        "",
        "]]}}",
    ]


def test_nothing_spells_nothing() -> None:
    assert grown() == [""]


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("$.a", ("a",)),
        ("$.a[0].b", ("a", 0, "b")),
        ("$['a'][1]", ("a", 1)),
        ("$.ключ", ("ключ",)),
        ("$['it\\'s']", ("it's",)),
        ("$['\"']", ('"',)),
        ('$["\\""]', ('"',)),
        ("$['a\\\\b\\n\\u00e9']", ("a\\b\né",)),
    ],
)
def test_a_path_has_steps(path: str, steps: Path) -> None:
    assert parse_path(path) == steps


@pytest.mark.parametrize(
    "path", ["", "$", "a", ".a", "$[0]", "$.", "$.a[", "$.a[x]", "$.a[-1]", "$..a", "$.a.", "$['a]", "$['\\x']"]
)
def test_what_is_no_path_into_an_object_is_malformed(path: str) -> None:
    with pytest.raises(Malformed):
        parse_path(path)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("$.a", "$.a"),
        ("$.a.b", "$.a"),
        ("$.a", "$.a.b"),
        ("$.a[0]", "$.a.b"),
        ("$.a[0]", "$.a[2]"),
    ],
)
def test_what_no_model_writes_in_this_order_is_malformed(first: str, second: str) -> None:
    with pytest.raises(Malformed):
        grown({"jsonPath": first, "numberValue": 1}, {"jsonPath": second, "numberValue": 1})


def test_what_is_closed_is_not_opened_again() -> None:
    with pytest.raises(Malformed):
        grown(*({"jsonPath": path, "numberValue": 1} for path in ("$.a.b", "$.c", "$.a.d")))


NAMES = st.text(min_size=1, max_size=4)
LEAVES = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=6)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=6,
)


def leaves(value: Any, path: str) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            quoted = name.replace("\\", "\\\\").replace("'", "\\'")
            yield from leaves(inner, f"{path}['{quoted}']")
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    elif isinstance(value, str):
        yield {"jsonPath": path, "stringValue": value[:2], "willContinue": True}
        yield {"jsonPath": path, "stringValue": value[2:]}
    elif isinstance(value, bool):
        yield {"jsonPath": path, "boolValue": value}
    elif value is None:
        yield {"jsonPath": path, "nullValue": "NULL_VALUE"}
    else:
        yield {"jsonPath": path, "numberValue": value}


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=3))
def test_any_arguments_are_spelled(arguments: dict[str, Any]) -> None:
    assert json.loads("".join(grown(*leaves(arguments, "$")))) == arguments

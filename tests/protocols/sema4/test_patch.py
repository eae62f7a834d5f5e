"""The fold of patches: each operation of the standard and the vendor's own two, what is refused, and what it costs."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.errors import GatewayError
from gateway.framing.typed import Malformed
from gateway.protocols.sema4 import wire
from gateway.protocols.sema4.patch import Budget, Changed, Document, Grown, parse_pointer, plain

decode = msgspec.json.Decoder[Any](wire.Patch).decode


def fold(*patches: str, begin: Any = None) -> Any:
    return plain(document(*patches, begin=begin).root)


def document(*patches: str, begin: Any = None) -> Document:
    folded = Document(Budget())
    folded.become(begin or {})
    for patch in patches:
        folded.apply(decode(patch))
    return folded


def does(patch: str, begin: Any) -> Any:
    """What an operation says that it did."""
    return document(begin=begin).apply(decode(patch))


def refused(patch: str, begin: Any = None) -> None:
    with pytest.raises(Malformed):
        fold(patch, begin=begin)


# --- operations


def test_add_sets_a_field() -> None:
    assert fold('{"op":"add","path":"/a","value":1}') == {"a": 1}
    assert does('{"op":"add","path":"/a","value":1}', {}) == (Changed(("a",)),)


def test_add_sets_a_field_anew() -> None:
    assert fold('{"op":"add","path":"/a","value":1}', begin={"a": [2]}) == {"a": 1}


def test_add_inserts_into_a_list() -> None:
    assert fold('{"op":"add","path":"/a/1","value":9}', begin={"a": [1, 2]}) == {"a": [1, 9, 2]}


def test_add_appends_at_the_length_and_at_a_dash() -> None:
    assert fold('{"op":"add","path":"/a/2","value":9}', begin={"a": [1, 2]}) == {"a": [1, 2, 9]}
    assert fold('{"op":"add","path":"/a/-","value":9}', begin={"a": [1, 2]}) == {"a": [1, 2, 9]}
    assert does('{"op":"add","path":"/a/-","value":9}', {"a": [1, 2]}) == (Changed(("a", "2")),)


@pytest.mark.parametrize("op", ["add", "replace"])
def test_a_patch_of_the_empty_path_is_the_whole_document(op: str) -> None:
    assert fold(f'{{"op":"{op}","path":"","value":{{"b":1}}}}', begin={"a": 1}) == {"b": 1}
    assert fold(f'{{"op":"{op}","path":"","value":null}}', begin={"a": 1}) == {}
    refused(f'{{"op":"{op}","path":"","value":[1]}}')


def test_replace_changes_what_is_there() -> None:
    assert fold('{"op":"replace","path":"/a/0","value":9}', begin={"a": [1, 2]}) == {"a": [9, 2]}
    assert does('{"op":"replace","path":"/a/0","value":9}', {"a": [1, 2]}) == (Changed(("a", "0")),)


def test_replace_by_a_longer_text_says_what_it_grew_by() -> None:
    assert does('{"op":"replace","path":"/a","value":"Hello"}', {"a": "He"}) == (Grown(("a",), "llo"),)
    assert does('{"op":"replace","path":"/a","value":"Jello"}', {"a": "He"}) == (Changed(("a",)),)
    assert does('{"op":"replace","path":"/a","value":"H"}', {"a": "He"}) == (Changed(("a",)),)


def test_replace_of_a_text_that_grew_says_what_it_grew_by() -> None:
    grown = document('{"op":"concat_string","path":"/a","value":"l"}', begin={"a": "He"})
    assert grown.apply(decode('{"op":"replace","path":"/a","value":"Hello"}')) == (Grown(("a",), "lo"),)
    grown = document('{"op":"concat_string","path":"/a","value":"l"}', begin={"a": "He"})
    assert grown.apply(decode('{"op":"replace","path":"/a","value":"H"}')) == (Changed(("a",)),)


def test_remove_takes_away_a_field_and_an_entry() -> None:
    assert fold('{"op":"remove","path":"/a/0"}', '{"op":"remove","path":"/b"}', begin={"a": [1, 2], "b": 3}) == {
        "a": [2]
    }


def test_move_takes_from_one_place_to_another() -> None:
    assert fold('{"op":"move","path":"/b","from_":"/a/0"}', begin={"a": [1, 2]}) == {"a": [2], "b": 1}
    assert does('{"op":"move","path":"/b","from_":"/a/0"}', {"a": [1]}) == (Changed(("a", "0")), Changed(("b",)))


def test_move_may_spell_its_source_as_the_standard_does() -> None:
    assert fold('{"op":"move","path":"/b","from":"/a"}', begin={"a": 1}) == {"b": 1}


def test_move_to_where_it_is_changes_nothing() -> None:
    assert does('{"op":"move","path":"/a","from_":"/a"}', {"a": 1}) == ()


def test_move_of_a_part_may_become_the_whole() -> None:
    assert fold('{"op":"move","path":"","from_":"/a"}', begin={"a": {"b": 1}}) == {"b": 1}


def test_copy_leaves_its_source_apart() -> None:
    assert fold(
        '{"op":"copy","path":"/b","from_":"/a"}',
        '{"op":"add","path":"/a/-","value":2}',
        '{"op":"copy","path":"/whole","from_":""}',
        begin={"a": [1]},
    ) == {"a": [1, 2], "b": [1], "whole": {"a": [1, 2], "b": [1]}}


def test_concat_string_appends_to_a_text() -> None:
    patch = '{"op":"concat_string","path":"/a/0/b","value":"lo"}'
    assert fold(patch, begin={"a": [{"b": "Hel"}]}) == {"a": [{"b": "Hello"}]}
    assert does(patch, {"a": [{"b": "Hel"}]}) == (Grown(("a", "0", "b"), "lo"),)


def test_concat_string_takes_a_null_as_an_empty_text() -> None:
    assert fold('{"op":"concat_string","path":"/a","value":"lo"}', begin={"a": None}) == {"a": "lo"}


def test_inc_adds_to_a_number() -> None:
    assert fold('{"op":"inc","path":"/a","value":2}', begin={"a": 1}) == {"a": 3}
    assert fold('{"op":"inc","path":"/a","value":-0.5}', begin={"a": 1}) == {"a": 0.5}
    assert fold('{"op":"inc","path":"/a","value":2}', begin={"a": None}) == {"a": 2}


def test_test_passes_where_the_value_is_the_same() -> None:
    begin = {"a": [{"b": "Hel", "c": None}], "n": 1}
    concat = '{"op":"concat_string","path":"/a/0/b","value":"lo"}'
    same = '{"op":"test","path":"/a","value":[{"c":null,"b":"Hello"}]}'
    number = '{"op":"test","path":"/n","value":1.0}'
    assert fold(concat, same, number, begin=begin) == {"a": [{"b": "Hello", "c": None}], "n": 1}


@pytest.mark.parametrize("value", ["true", '"1"', "2", "[1]", '{"a":1}', "null"])
def test_test_fails_where_the_value_is_another(value: str) -> None:
    refused(f'{{"op":"test","path":"/n","value":{value}}}', {"n": 1})


def test_a_null_on_the_way_becomes_an_object() -> None:
    assert fold('{"op":"add","path":"/a/b","value":1}', begin={"a": None}) == {"a": {"b": 1}}


def test_a_path_may_hold_escapes() -> None:
    assert parse_pointer("/a~1b/m~0n/~01") == ("a/b", "m~n", "~1")
    assert parse_pointer("") == ()
    assert parse_pointer("/") == ("",)


# --- what is refused


@pytest.mark.parametrize(
    "patch",
    [
        '{"op":"add","path":"a","value":1}',
        '{"op":"add","path":"/a~2","value":1}',
        '{"op":"add","path":"/a~","value":1}',
        '{"op":"add","path":"/list/4","value":1}',
        '{"op":"add","path":"/list/1000000000","value":1}',
        '{"op":"add","path":"/list/999999999","value":1}',
        '{"op":"add","path":"/list/01","value":1}',
        '{"op":"add","path":"/list/-1","value":1}',
        '{"op":"add","path":"/list/\\u0661","value":1}',
        '{"op":"add","path":"/none/a","value":1}',
        '{"op":"add","path":"/text/0","value":1}',
        '{"op":"replace","path":"/none","value":1}',
        '{"op":"replace","path":"/list/3","value":1}',
        '{"op":"replace","path":"/list/-","value":1}',
        '{"op":"replace","path":"/empty/0","value":1}',
        '{"op":"remove","path":""}',
        '{"op":"remove","path":"/none"}',
        '{"op":"remove","path":"/list/3"}',
        '{"op":"move","path":"/a"}',
        '{"op":"move","path":"/a","from_":"/none"}',
        '{"op":"move","path":"/list/0","from_":"/list"}',
        '{"op":"move","path":"/a","from_":""}',
        '{"op":"copy","path":"","from_":"/list"}',
        '{"op":"concat_string","path":"","value":"a"}',
        '{"op":"concat_string","path":"/none","value":"a"}',
        '{"op":"concat_string","path":"/list","value":"a"}',
        '{"op":"concat_string","path":"/number","value":"a"}',
        '{"op":"inc","path":"","value":1}',
        '{"op":"inc","path":"/text","value":1}',
        '{"op":"inc","path":"/true","value":1}',
        '{"op":"inc","path":"/huge","value":0.5}',
        '{"op":"test","path":"/none","value":null}',
    ],
)
def test_what_cannot_be_done_is_malformed(patch: str) -> None:
    begin = {"list": [1, 2, 3], "empty": [], "text": "t", "number": 1, "true": True, "huge": 10**400}
    refused(patch, begin)


@pytest.mark.parametrize("patch", ['{"op":"explode","path":"/a"}', '{"path":"/a"}', '{"op":"add"}', "[]", '"add"'])
def test_an_operation_that_nobody_knows_is_no_patch(patch: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        decode(patch)


def test_a_message_is_never_deeper_than_64() -> None:
    deep = "[" * 64 + "]" * 64
    assert fold(f'{{"op":"add","path":"/a","value":{deep}}}')
    refused(f'{{"op":"add","path":"/a","value":[{deep}]}}')
    refused(f'{{"op":"test","path":"/a","value":[{deep}]}}', {"a": 1})
    refused(f'{{"op":"add","path":"{"/a" * 65}","value":1}}')
    refused('{"op":"copy","path":"/a/a","from_":"/b"}', {"a": {}, "b": msgspec.json.decode("[" * 64 + "]" * 64)})


def test_a_message_that_doubles_itself_is_stopped() -> None:
    copies = [f'{{"op":"copy","path":"/{number}","from_":""}}' for number in range(60)]
    with pytest.raises(GatewayError) as caught:
        fold('{"op":"add","path":"/a","value":"0123456789"}', *copies)
    assert (caught.value.code, caught.value.cause) == ("upstream_protocol", "too_large")


def test_a_list_that_shifts_for_ever_is_stopped() -> None:
    shifts = ['{"op":"remove","path":"/a/0"}'] * 2000
    with pytest.raises(GatewayError):
        fold(*shifts, begin={"a": [0] * 1_000_000})


# --- properties

leaves = st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
messages = st.dictionaries(st.sampled_from(["a", "b/c", "d~e", ""]), values, max_size=4)


def escape(name: object) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


def spell(draw: Callable[..., Any], path: str, value: Any) -> list[dict[str, Any]]:
    """Patches that build `value` at `path`: in one piece, or piece by piece."""
    if not draw(st.booleans()):
        return [{"op": "add", "path": path, "value": value}]
    match value:
        case str():
            cuts = sorted(draw(st.lists(st.integers(0, len(value)), max_size=3)))
            pieces = [value[start:end] for start, end in zip([0, *cuts], [*cuts, len(value)], strict=True)]
            first, *others = pieces
            begin = [{"op": "add", "path": path, "value": first}]
            return begin + [{"op": "concat_string", "path": path, "value": piece} for piece in others]
        case dict():
            parts = [spell(draw, f"{path}/{escape(name)}", inner) for name, inner in value.items()]
            return [{"op": "add", "path": path, "value": {}}] + [patch for part in parts for patch in part]
        case list():
            parts = [spell(draw, f"{path}/{place}", inner) for place, inner in enumerate(value)]
            return [{"op": "add", "path": path, "value": []}] + [patch for part in parts for patch in part]
        case bool() | None:
            return [{"op": "add", "path": path, "value": 7}, {"op": "replace", "path": path, "value": value}]
        case _:
            half = draw(st.integers(-9, 9))
            begin = [{"op": "add", "path": path, "value": value - half}]
            return [*begin, {"op": "inc", "path": path, "value": half}]


@given(st.data(), messages)
def test_whatever_is_spelled_by_patches_folds_to_itself(data: st.DataObject, message: dict[str, Any]) -> None:
    patches = [patch for name, value in message.items() for patch in spell(data.draw, f"/{escape(name)}", value)]
    assert fold(*(msgspec.json.encode(patch).decode() for patch in patches)) == message


@given(messages, messages)
def test_a_test_of_a_document_passes_for_itself_alone(one: dict[str, Any], other: dict[str, Any]) -> None:
    def passes(value: Any) -> bool:
        try:
            fold(msgspec.json.encode({"op": "test", "path": "", "value": value}).decode(), begin=plain(one))
        except Malformed:
            return False
        return True

    assert passes(one)
    assert passes(other) == (msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted"))

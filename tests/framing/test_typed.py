"""A record is of a known type, of an unknown one, or malformed; nothing else comes of any bytes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from gateway.framing.typed import Malformed, Unknown, document, open_union


class Begin(Struct, tag="begin", tag_field="kind"):
    id: str


class Chunk(Struct, tag="chunk", tag_field="kind"):
    text: str
    count: int = 0


decode = open_union(Begin | Chunk)


def test_a_known_type_becomes_its_struct_and_unknown_fields_pass_by() -> None:
    assert decode(b'{"kind":"chunk","text":"a","sparkle":[1]}') == Chunk("a")
    assert decode(b'{"id":"7","kind":"begin"}') == Begin("7")


def test_an_unknown_type_keeps_its_name_and_payload() -> None:
    assert decode(b'{"kind":"sparkle","n":1}') == Unknown("sparkle", {"kind": "sparkle", "n": 1})


def test_the_name_of_the_event_stands_in_for_a_tag_that_is_missing() -> None:
    assert decode(b'{"text":"a"}', b"chunk") == Chunk("a")
    assert decode(b'{"kind":null,"text":"a"}', b"chunk") == Chunk("a")
    assert decode(b'{"n":1}', b"sparkle") == Unknown("sparkle", {"n": 1, "kind": "sparkle"})


def test_the_name_of_the_event_never_outweighs_the_tag() -> None:
    assert decode(b'{"kind":"chunk","text":"a"}', b"begin") == Chunk("a")
    assert decode(b'{"kind":"sparkle"}', b"chunk") == Unknown("sparkle", {"kind": "sparkle"})


def test_one_struct_is_a_union_of_one() -> None:
    decode_chunk = open_union(Chunk)
    assert decode_chunk(b'{"kind":"chunk","text":"a"}') == Chunk("a")
    assert decode_chunk(b'{"kind":"begin","id":"7"}') == Unknown("begin", {"kind": "begin", "id": "7"})


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b'{"kind":"chunk","text":7}', b"", "Expected `str`, got `int` - at `$.text`"),
        (b'{"kind":"chunk"}', b"", "Object missing required field `text`"),
        (b'{"text":7}', b"chunk", "Expected `str`, got `int` - at `$.text`"),
        (b'{"kind":7}', b"", "Expected `str`"),
        (b'{"kind":["chunk"]}', b"chunk", "Expected `str`"),
        (b'{"text":"a"}', b"", "Object missing required field `kind`"),
        (b"null", b"", "Expected `object`, got `null`"),
        (b"[]", b"chunk", "Expected `object`, got `array`"),
        (b"7", b"", "Expected `object`, got `int`"),
        (b"", b"", "Input data was truncated"),
        (b'{"kind":"chunk","text":"a"', b"", "Input data was truncated"),
        (b'{"kind":"sparkle","n":', b"", "Input data was truncated"),
        (b'{"kind":"chunk","text":"a"}{}', b"", "JSON is malformed"),
        (b'{"kind":"sparkle"}{}', b"", "JSON is malformed"),
        (b'{"kind":"sparkle","n":NaN}', b"", "JSON is malformed"),
        (b'{"kind":"sparkle","n":1e400}', b"", "Number out of range"),
        (b'{"kind":"sparkle","n":"\\ud800"}', b"", "Input data was truncated"),
        (b'{"kind":"sparkle","n":"\xff"}', b"", "utf-8"),
        (b'{"kind":"chunk","text":"\xff"}', b"", "utf-8"),
        (b'{"kind":"sparkle","n":' + b"[" * 100_000, b"", "recursion"),
        (b'{"kind":"chunk","n":' + b"[" * 100_000, b"", "recursion"),
        (b'{"kind":"sparkle","n":' + b"1" * 5_000 + b"}", b"", "out of range"),
    ],
)
def test_what_cannot_be_read_is_malformed_and_says_where(data: bytes, name: bytes, reason: str) -> None:
    with pytest.raises(Malformed) as caught:
        decode(data, name)
    assert reason in str(caught.value)
    assert len(str(caught.value)) <= 100


def test_a_long_reason_is_cut_for_the_log() -> None:
    assert str(Malformed("x" * 1000)) == "x" * 100


def test_of_duplicate_keys_the_last_wins() -> None:
    assert decode(b'{"kind":"chunk","text":"a","text":"b"}') == Chunk("b")


def test_a_document_is_read_as_its_kind_or_malformed() -> None:
    read = document(Chunk)
    assert read(b'{"text":"a","count":2}') == Chunk("a", 2)
    with pytest.raises(Malformed, match=r"\$\.count"):
        read(b'{"text":"a","count":"2"}')
    with pytest.raises(Malformed):
        read(b"[" * 100_000)


value = st.sampled_from(
    ["null", "true", "7", "1e999", '"chunk"', '"begin"', '"sparkle"', "[]", "{}", '"\\ud800"', "x", ""]
)
field = st.tuples(st.sampled_from(["kind", "text", "count", "id"]), value).map(lambda pair: f'"{pair[0]}":{pair[1]}')
objects = st.lists(field, max_size=4).map(lambda fields: "{" + ",".join(fields) + "}")


@given(st.binary() | objects.map(str.encode), st.sampled_from([b"", b"chunk", b"\xff"]))
def test_any_bytes_are_a_known_type_an_unknown_one_or_malformed(data: bytes, name: bytes) -> None:
    try:
        frame: Any = decode(data, name)
    except Malformed:
        return
    assert isinstance(frame, Begin | Chunk | Unknown)

"""Newline-delimited JSON and whole documents, however they arrive."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.framing.lines import JsonDecoder, NdjsonDecoder
from gateway.framing.record import Framing, Record, TooLarge

LINES = b'{"n":1}\r\n\n  \n{"n":"\xc3\xa9"} \n[2]\n\n{"n":3}'
RECORDS = [Record(b'{"n":1}'), Record(b'{"n":"\xc3\xa9"}'), Record(b"[2]"), Record(b'{"n":3}')]


def read(pieces: list[bytes], decoder: Framing) -> list[Record]:
    return [*(record for piece in pieces for record in decoder.feed(piece)), *decoder.end()]


def test_each_line_that_is_not_empty_is_a_record_and_the_last_may_lack_its_end() -> None:
    assert read([LINES], NdjsonDecoder()) == RECORDS
    assert read([LINES + b"\n"], NdjsonDecoder()) == RECORDS


def test_lines_cut_in_two_anywhere_are_the_same_records() -> None:
    assert [read([LINES[:place], LINES[place:]], NdjsonDecoder()) for place in range(len(LINES) + 1)] == [RECORDS] * (
        len(LINES) + 1
    )


def test_a_line_is_a_record_as_soon_as_it_ends() -> None:
    decoder = NdjsonDecoder()
    assert [decoder.feed(piece) for piece in (b"{", b"}", b"\n[", b"")] == [[], [], [Record(b"{}")], []]


def test_a_document_is_one_record_at_its_end() -> None:
    decoder = JsonDecoder()
    assert [decoder.feed(b'{"a":'), decoder.feed(b"1}\n")] == [[], []]
    assert decoder.end() == [Record(b'{"a":1}\n')]


@pytest.mark.parametrize("body", [b"", b" \r\n"])
@pytest.mark.parametrize("decoder", [JsonDecoder, NdjsonDecoder])
def test_an_empty_body_is_no_record(body: bytes, decoder: type[JsonDecoder | NdjsonDecoder]) -> None:
    assert read([body], decoder()) == []


@pytest.mark.parametrize("decoder", [JsonDecoder, NdjsonDecoder])
def test_invalid_utf8_is_replaced_and_counted(decoder: type[JsonDecoder | NdjsonDecoder]) -> None:
    reader = decoder()
    assert read([b'"a\xff', b'b\xc3\xa9"'], reader) == [Record('"a\ufffdbé"'.encode())]
    assert reader.repaired == 1


@pytest.mark.parametrize(
    ("decoder", "pieces", "message"),
    [
        (NdjsonDecoder(10), [b"x" * 11], "a line is over 10 bytes"),
        (NdjsonDecoder(10), [b"1\n2\n" + b"x" * 11 + b"\n3"], "a line is over 10 bytes"),
        (NdjsonDecoder(10), [b"x"] * 11, "a line is over 10 bytes"),
        (JsonDecoder(10), [b"1234567", b"8901"], "the document is over 10 bytes"),
    ],
)
def test_what_is_over_the_cap_is_too_large(decoder: Framing, pieces: list[bytes], message: str) -> None:
    with pytest.raises(TooLarge, match=message):
        read(pieces, decoder)


def test_the_cap_counts_each_line_afresh() -> None:
    assert read([b"1234567890\n" * 100], NdjsonDecoder(10)) == [Record(b"1234567890")] * 100


@given(st.binary(), st.lists(st.integers(min_value=0, max_value=200)))
def test_any_bytes_cut_anywhere_give_the_same_records(data: bytes, cuts: list[int]) -> None:
    places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    for decoder in (NdjsonDecoder, JsonDecoder):
        whole, cut = decoder(), decoder()
        assert read(pieces, cut) == read([data], whole)
        assert cut.repaired == whole.repaired

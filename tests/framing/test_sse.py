"""The event stream decoder beyond the conformance cases: caps, repairs, cost; and what the encoder writes."""

import itertools
import time
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.framing.record import Framing, Record, TooLarge
from gateway.framing.sse import LenientSseDecoder, SseDecoder, encode_comment, encode_event

LIMIT = 100


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[start:end] for start, end in itertools.pairwise(places)]


def read(pieces: Iterable[bytes], decoder: Framing | None = None) -> list[Record]:
    decoder = decoder or SseDecoder()
    return [*(record for piece in pieces for record in decoder.feed(piece)), *decoder.end()]


# --- caps


@pytest.mark.parametrize(
    "data",
    [
        b"data: " + b"x" * LIMIT,
        b"data: " + b"x" * LIMIT + b"\n\n",
        b"event: a\ndata: " + b"x" * LIMIT + b"\n\n",
        b"data: a\n" + b"x" * (LIMIT + 1),
        b"data: a\n" * 20,
        b"data: a\n" * 20 + b"\n",
        b"data:\n" * 30,
        b"data: 1\n\ndata: 2\n" + b": " + b"x" * LIMIT + b"\n\n",
    ],
    ids=[
        "endless line",
        "line",
        "named event",
        "unfinished second line",
        "endless event",
        "many small lines",
        "many empty lines",
        "comment",
    ],
)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_line_or_an_event_over_the_cap_is_too_large(data: bytes, size: int) -> None:
    decoder = SseDecoder(LIMIT)
    with pytest.raises(TooLarge, match="is over 100 bytes"):
        read([data[start : start + size] for start in range(0, len(data), size)], decoder)


def test_an_event_of_exactly_the_cap_is_read() -> None:
    data = b"data: " + b"x" * (LIMIT - 6)
    assert read([data + b"\n\n"], SseDecoder(LIMIT)) == [Record(b"x" * (LIMIT - 6))]
    assert read([data, b"\n\n"], SseDecoder(LIMIT)) == [Record(b"x" * (LIMIT - 6))]


def test_the_cap_counts_each_event_afresh() -> None:
    assert read([b"data: 12345678\n\n" * 1000], SseDecoder(LIMIT)) == [Record(b"12345678")] * 1000


def test_a_line_of_ten_megabytes_is_refused_at_the_cap() -> None:
    chunks = iter([b"x" * 65_536] * 160)
    with pytest.raises(TooLarge, match="a line of the event stream is over 2097152 bytes"):
        read(chunks)
    assert len(list(chunks)) == 127


# --- repairs


def test_invalid_utf8_is_replaced_and_counted_by_field() -> None:
    decoder = SseDecoder()
    records = decoder.feed(b"id: \xff\nevent: a\xc3\ndata: \xe2\x82\xacb\xe2\x82\n\ndata: ok \xf0\x9f\x98\x80\n\n")
    assert records == [
        Record("€b\ufffd".encode(), "a\ufffd".encode(), "\ufffd".encode()),
        Record("ok 😀".encode(), b"", "\ufffd".encode()),
    ]
    assert decoder.repaired == 3


def test_valid_utf8_is_no_repair_wherever_it_is_cut() -> None:
    data = 'event: é\ndata: {"text":"€ 😀 \u2028"}\n\n'.encode()
    for place in range(len(data)):
        decoder = SseDecoder()
        assert read([data[:place], data[place:]], decoder) == [Record('{"text":"€ 😀 \u2028"}'.encode(), "é".encode())]
        assert decoder.repaired == 0


# --- the lenient reader


def test_a_line_that_begins_with_a_brace_is_an_event_by_itself() -> None:
    data = b'{"n":1}\n{"n":2}\r\ndata: {"n":3}\n\n: x\nevent: e\ndata: {"n":4}\n{"n":5}\n\n{"n":6}'
    expected = [
        Record(b'{"n":1}'),
        Record(b'{"n":2}'),
        Record(b'{"n":3}'),
        Record(b'{"n":4}', b"e"),
        Record(b'{"n":5}'),
        Record(b'{"n":6}'),
    ]
    assert read([data], LenientSseDecoder()) == expected
    assert read([data[place : place + 1] for place in range(len(data))], LenientSseDecoder()) == expected


def test_a_last_line_without_its_end_is_an_event_only_where_it_begins_with_a_brace() -> None:
    assert read([b"data: 1\n\ndata: 2"], LenientSseDecoder()) == [Record(b"1")]
    assert read([b"data: 1\n\n", b'{"n":', b"2}"], LenientSseDecoder()) == [Record(b"1"), Record(b'{"n":2}')]


# --- what the encoder writes


def test_a_frame_is_an_id_a_name_one_line_of_data_and_an_empty_line() -> None:
    assert encode_event(b'{"a":1}', b"text.delta", 7) == b'id: 7\nevent: text.delta\ndata: {"a":1}\n\n'


def test_a_heartbeat_is_a_comment_that_no_reader_sees() -> None:
    assert (encode_comment(), encode_comment(b"ping")) == (b": \n\n", b": ping\n\n")
    assert read([encode_comment(), encode_comment(b"ping")]) == []


line = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n")).map(str.encode)


@given(st.lists(st.tuples(line, line, st.integers(min_value=0))), st.lists(st.integers(min_value=0)))
def test_what_the_encoder_writes_the_decoder_reads(events: list[tuple[bytes, bytes, int]], cuts: list[int]) -> None:
    written = b"".join(encode_event(data, name, sequence) + encode_comment() for data, name, sequence in events)
    assert read(pieces_of(written, cuts)) == [Record(data, name, b"%d" % sequence) for data, name, sequence in events]


# --- whatever arrives

words = [b"data", b"event", b"id", b"retry", b":", b" ", b"x", b"{", b"7", b"\0", "é".encode(), b"\xff"]
fragments = st.sampled_from([*words, b"\n", b"\r", b"\n\n", b"\r\n\r\n", b"\xef", b"\xbb", b"\xbf"])
streams = st.lists(fragments | st.binary(max_size=3), max_size=60).map(b"".join)


@given(streams, st.lists(st.integers(min_value=0), max_size=8), st.sampled_from([SseDecoder, LenientSseDecoder]))
def test_any_bytes_cut_anywhere_give_the_same_records(
    data: bytes, cuts: list[int], decoder: Callable[[], SseDecoder]
) -> None:
    whole, cut = decoder(), decoder()
    assert read(pieces_of(data, cuts), cut) == read([data], whole)
    assert (cut.repaired, cut.last_event_id, cut.retry_ms) == (whole.repaired, whole.last_event_id, whole.retry_ms)


@given(streams, st.lists(st.integers(min_value=0), max_size=8), st.integers(min_value=0, max_value=20))
def test_any_bytes_under_any_cap_raise_nothing_but_too_large(data: bytes, cuts: list[int], limit: int) -> None:
    decoder = LenientSseDecoder(limit)
    try:
        records = read(pieces_of(data, cuts), decoder)
    except TooLarge:
        return
    for record in records:
        assert len(record.data.decode()) <= limit
        assert record.name.decode() is not None


# --- cost


def seconds(pieces: list[bytes]) -> float:
    """The best of three, since other programs run, too."""
    return min(_seconds_once(pieces) for _ in range(3))


def _seconds_once(pieces: list[bytes]) -> float:
    started = time.process_time()
    read(pieces, SseDecoder(1 << 30))
    return time.process_time() - started


def in_chunks(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@pytest.mark.sweep
@pytest.mark.parametrize(
    "make",
    [
        lambda size: in_chunks(b"data: " + b"x" * size * 100 + b"\n\n", 1024),
        lambda size: in_chunks(b": " + b"x" * size * 100 + b"\n\n", 1024),
        lambda size: in_chunks(b"data: x\n" * size + b"\n", 64),
        lambda size: in_chunks(b"data: x\n\n" * size, 1024),
        lambda size: in_chunks(b"data: x\r\n\r\n" * size, 7),
        lambda size: in_chunks(b"\r" * size * 2, 1),
    ],
    ids=["long line", "long comment", "many lines", "many events", "small chunks", "bare returns"],
)
def test_eight_times_the_bytes_take_nowhere_near_sixty_four_times_the_time(make: Callable[[int], list[bytes]]) -> None:
    assert seconds(make(24_000)) < 24 * seconds(make(3_000)) + 0.005

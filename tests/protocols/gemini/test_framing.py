"""Events, and errors as bare JSON between them, whole and in pieces."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.framing.record import TooLarge
from gateway.protocols.gemini.framing import ChunkDecoder
from tests.support.translating import records

BARE = b'{\n  "error": {\n    "code": 503,\n    "message": "a { \\" b"\n  }\n}\n'


def read(*pieces: bytes, limit: int = 1000) -> list[bytes]:
    return [record.data for record in records(ChunkDecoder(limit), *pieces)]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'data: {"a":1}\n\ndata: {"b":2}\r\n\r\n', [b'{"a":1}', b'{"b":2}']),
        (b'data: {"a":1}\n\n' + BARE, [b'{"a":1}', BARE[:-1]]),
        (b'data: {"a":1}\n\n' + BARE + b'data: {"b":2}\n\n', [b'{"a":1}', BARE[:-1], b'{"b":2}']),
        (b'data: {"a":1}\n' + BARE, [b'{"a":1}', BARE[:-1]]),
        (b'[{"error":{}}\n]\n', [b'[{"error":{}}\n]']),
        (b'{"error":{}}', [b'{"error":{}}']),
        (b'{"error":{\n\n"a":1', [b'{"error":{\n\n"a":1']),
        (b'{"a":"', [b'{"a":"']),
        (b": comment\n\nevent: x\ndata: 1\n\n", [b"1"]),
        (b'data: {"a":1}', []),
        (b'{"a":"\xff"}\n', [b'{"a":"\xef\xbf\xbd"}']),
    ],
)
def test_records(body: bytes, expected: list[bytes]) -> None:
    assert read(body) == expected
    assert read(*(bytes([byte]) for byte in body)) == expected


def test_a_bare_document_has_a_cap() -> None:
    with pytest.raises(TooLarge):
        read(b'{"a":\n' + b"1,\n" * 100, limit=100)


def test_unclosed_texts_take_linear_time() -> None:
    assert len(read(b'{"' + b'\\"' * 500_000, limit=2_000_000)) == 1


@given(st.lists(st.integers(0, len(BARE) + 30)))
def test_where_it_is_cut_does_not_matter(cuts: list[int]) -> None:
    body = b'data: {"a":1}\n\n' + BARE + b'data: {"b":2}\n\n'
    edges = sorted({0, len(body), *cuts})
    assert read(*(body[a:b] for a, b in pairwise(edges))) == [b'{"a":1}', BARE[:-1], b'{"b":2}']

"""The body of an answer: a stream or a document, told apart by its first byte, however it comes in."""

import pytest

from gateway.framing.record import Record, TooLarge
from gateway.protocols.dimedove.framing import AnswerDecoder, Document

STREAM = b': hi\n\nevent: a\ndata: {"b":1}\n\ndata: [DONE]\n\n'
RECORDS = [Record(b'{"b":1}', b"a"), Record(b"[DONE]")]
DOCUMENT = '{"id": "é",\n "output": []}\n'.encode()


def read(*pieces: bytes, limit: int = 1000) -> tuple[list[Record], int]:
    framing = AnswerDecoder(limit)
    records = [record for piece in pieces for record in framing.feed(piece)]
    return [*records, *framing.end()], framing.repaired


def bytewise(data: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in data]


def test_both_media_types_fit() -> None:
    assert AnswerDecoder.content_types == {"text/event-stream", "application/json"}


@pytest.mark.parametrize("before", [b"", b"\n", b"\r\n \t", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_stream_is_read_event_by_event(before: bytes) -> None:
    assert read(before + STREAM) == (RECORDS, 0)
    assert read(*bytewise(before + STREAM)) == (RECORDS, 0)


@pytest.mark.parametrize("before", [b"", b"\n", b"\r\n \t", b"\xef\xbb\xbf"])
def test_a_document_is_one_record_known_at_its_end(before: bytes) -> None:
    assert read(before + DOCUMENT) == ([Document(DOCUMENT)], 0)
    assert read(*bytewise(before + DOCUMENT)) == ([Document(DOCUMENT)], 0)


def test_an_event_is_no_document() -> None:
    (record, _), _ = read(STREAM)
    assert type(record) is Record


def test_a_brace_further_on_begins_no_document() -> None:
    assert read(b'data: 1\n{"a":1}\n\n') == ([Record(b"1")], 0)


@pytest.mark.parametrize("pieces", [(), (b"",), (b"", b"\n\n", b" "), (b": ping\n\n",), (b"event: a\ndata: 1\n",)])
def test_a_body_without_a_whole_event_is_nothing(pieces: tuple[bytes, ...]) -> None:
    assert read(*pieces) == ([], 0)


@pytest.mark.parametrize("body", [b'{"a":"\xff"}', b"data: \xff\n\n"])
def test_broken_utf8_is_repaired_and_counted(body: bytes) -> None:
    (record,), repaired = read(body)
    assert ("\ufffd".encode() in record.data, repaired) == (True, 1)


@pytest.mark.parametrize("body", [b"{" + b" " * 20, b"data: " + b"x" * 20 + b"\n\n"])
def test_what_is_over_the_cap_is_too_large(body: bytes) -> None:
    with pytest.raises(TooLarge):
        read(body, limit=20)

"""The shared conformance cases (WHATWG HTML 9.2, Web Platform Tests), however their bytes arrive."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from gateway.framing.record import Record
from gateway.framing.sse import LenientSseDecoder, SseDecoder

SHORT = 400


class Part(Struct, forbid_unknown_fields=True):
    text: str = ""
    hex: str = ""
    times: int = 1

    def spell(self) -> bytes:
        return (self.text.encode() + bytes.fromhex(self.hex)) * self.times


class ExpectedEvent(Struct, forbid_unknown_fields=True):
    event: str
    last_event_id: str
    data: str = ""
    data_repeat: tuple[str, int] = ("", 0)
    data_suffix: str = ""

    def record(self) -> Record:
        text, times = self.data_repeat
        name = "" if self.event == "message" else self.event
        return Record(
            (self.data + text * times + self.data_suffix).encode(), name.encode(), self.last_event_id.encode()
        )


class Expected(Struct, forbid_unknown_fields=True):
    events: list[ExpectedEvent]
    last_event_id: str
    retry_ms: int | None


class Case(Struct):
    id: str
    input: list[Part]
    expect: Expected
    input_bytes: int
    input_sha256: str

    def spell(self) -> bytes:
        return b"".join(part.spell() for part in self.input)

    def outcome(self) -> tuple[list[Record], bytes, int | None]:
        records = [event.record() for event in self.expect.events]
        return records, self.expect.last_event_id.encode(), self.expect.retry_ms


class CaseFile(Struct):
    cases: list[Case]


CASES = msgspec.json.decode((Path(__file__).parent / "sse_cases.json").read_bytes(), type=CaseFile).cases
every_case = pytest.mark.parametrize("case", CASES, ids=[case.id for case in CASES])


def outcome(pieces: Iterable[bytes], decoder: SseDecoder) -> tuple[list[Record], bytes, int | None]:
    """What is known when the last byte is in, before the end of the stream is told."""
    records = [_unnamed(record) for piece in pieces for record in decoder.feed(piece)]
    before_the_end = records, decoder.last_event_id, decoder.retry_ms
    assert decoder.end() == []
    assert (decoder.last_event_id, decoder.retry_ms) == before_the_end[1:]
    return before_the_end


def _unnamed(record: Record) -> Record:
    """An event that is called `message` is the same as one without a name."""
    return msgspec.structs.replace(record, name=b"") if record.name == b"message" else record


def one_by_one(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


def test_there_are_as_many_cases_as_the_file_had_when_it_was_copied() -> None:
    assert len(CASES) == 71


@every_case
def test_a_case_is_built_as_its_author_built_it(case: Case) -> None:
    data = case.spell()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (case.input_bytes, case.input_sha256)


@every_case
def test_a_whole_stream_gives_the_events(case: Case) -> None:
    assert outcome([case.spell()], SseDecoder()) == case.outcome()


@every_case
def test_a_stream_byte_by_byte_gives_the_same_events(case: Case) -> None:
    assert outcome(one_by_one(case.spell()), SseDecoder()) == case.outcome()


@every_case
def test_a_stream_cut_in_two_anywhere_gives_the_same_events(case: Case) -> None:
    data = case.spell()
    places = range(len(data) + 1) if len(data) <= SHORT else ()
    outcomes = [outcome([data[:place], data[place:]], SseDecoder()) for place in places]
    assert outcomes == [case.outcome()] * len(places)


@every_case
def test_a_stream_with_empty_chunks_gives_the_same_events(case: Case) -> None:
    data = case.spell()
    pieces = [data[start:end] for start in range(0, len(data), 100) for end in (start, start + 100)]
    assert outcome([*pieces, b""], SseDecoder()) == case.outcome()


@every_case
def test_a_lenient_reader_reads_a_strict_stream_alike(case: Case) -> None:
    """None of the cases has a line that begins with a brace."""
    assert outcome([case.spell()], LenientSseDecoder()) == case.outcome()


def test_the_cases_hold_no_line_that_begins_with_a_brace() -> None:
    lines: list[Any] = [case.id for case in CASES if b"\n{" in b"\n" + case.spell().replace(b"\r", b"\n")]
    assert lines == []

"""A translator driven by hand: what it makes of records, of refusals and of answers to its requests.

told = heard(translator, records(SseDecoder(), body))
as_json(told) == expected(path)     as an example's `.events.json` spells it
lawful(told)                        the stream that the relay makes of it
"""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from multidict import CIMultiDict

from gateway.canonical.assembler import Assembler
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    TERMINAL,
    Event,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    MessageRouted,
    MessageStarted,
    Notice,
)
from gateway.canonical.laws import check_stream
from gateway.canonical.turn import AskPart, Turn
from gateway.framing.record import Framing, Record
from gateway.protocols.base import Authorization, Calls, Credentials, Translator, VendorRequest, VendorResponse

T = TypeVar("T")
Told = list[Event | Notice]

STARTED = MessageStarted("m", "c", "r", datetime(2026, 11, 2, tzinfo=UTC))


# --- requests


def ask(*parts: AskPart, new_id: Callable[[], str] = lambda: "new", **fields: Any) -> Turn:
    return Turn(list(parts), new_id, **fields)


def exchange(calls: Calls[T], *answers: VendorResponse | bytes) -> tuple[list[VendorRequest], T]:
    """The requests of a call that takes exactly these answers, and what it comes to; bytes are the body of a 200."""
    requests: list[VendorRequest] = []
    left = iter(answers)
    try:
        requests.append(next(calls))
        for answer in left:
            response = VendorResponse(200, CIMultiDict(), answer) if isinstance(answer, bytes) else answer
            requests.append(calls.send(response))
    except StopIteration as stop:
        assert list(left) == [], "fewer requests than answers"
        return requests, stop.value
    pytest.fail(f"one more request than answers: {requests[-1]}")


def sign_in(translator: Translator, **secrets: str) -> Authorization:
    """The authorization of a protocol that asks nobody for it."""
    _, authorization = exchange(translator.authorize(Credentials(secrets), None))
    return authorization


def refused(translator: Translator, turn: Turn) -> tuple[str, str, dict[str, Any]]:
    """How a turn is refused before anything is sent."""
    with pytest.raises(GatewayError) as caught:
        next(translator.requests(turn))
    return caught.value.code, caught.value.message, caught.value.details


# --- answers


def records(framing: Framing, *pieces: bytes) -> list[Record]:
    found = [record for piece in pieces for record in framing.feed(piece)]
    return [*found, *framing.end()]


def framed(*frames: str) -> list[Record]:
    return [Record(frame.encode()) for frame in frames]


def told_by(translator: Translator, fed: Iterable[Record]) -> Iterator[Event | Notice]:
    for record in fed:
        yield from translator.feed(record)
    yield from translator.finish()


def heard(translator: Translator, fed: Iterable[Record]) -> Told:
    """What the records and the end of the bytes mean; a failure is the last event."""
    return until_failure(told_by(translator, fed))


def until_failure(events: Iterable[Event | Notice]) -> Told:
    told: Told = []
    try:
        for event in events:
            told.append(event)
    except GatewayError as error:
        told.append(MessageFailed(error.body()))
    return told


def failure(translator: Translator, *frames: str) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        list(told_by(translator, framed(*frames)))
    return caught.value


def lawful(told: Iterable[Event | Notice]) -> list[Event]:
    """The stream that the relay makes of what a translator told, after it obeyed the laws."""
    assembler = Assembler()
    events: list[Event] = [STARTED, MessageRouted("v", 1)]
    for event in told:
        if isinstance(event, Notice):
            continue
        assembler.add(event)
        if type(event) in TERMINAL:
            events += assembler.open_events()
        is_empty = isinstance(event, MessageCompleted) and not assembler.has_answer
        events.append(MessageCanceled("empty") if is_empty else event)
    check_stream(events)
    return events


def as_json(told: Iterable[Event | Notice]) -> list[Any]:
    return [json.loads(msgspec.json.encode(event)) for event in told if not isinstance(event, Notice)]


def expected(path: Path) -> Any:
    return json.loads(path.with_suffix(".events.json").read_bytes())


def documents(examples: Path) -> list[Path]:
    return [path for path in sorted(examples.glob("*.json")) if not path.name.endswith(".events.json")]


# --- refusals


def refuse(translator: Translator, status: int, body: bytes = b"", **headers: str) -> GatewayError:
    spelled = {name.replace("_", "-"): value for name, value in headers.items()}
    return translator.refuse(status, CIMultiDict(spelled), body)


def blame(error: GatewayError) -> tuple[str, str | None, int | None, str | None, str | None]:
    """What a refusal came to, and what of the vendor's words may be shown."""
    return error.code, error.cause, error.vendor_status, error.vendor_code, error.vendor_request_id


def logged(error: GatewayError) -> tuple[str, str | None, str | None, str | None]:
    """What a failure came to, and what of the vendor's words goes into the log."""
    return error.code, error.cause, error.vendor_code, error.vendor_message

"""Each fault bends a script as its description says; the scripts are compared step by step."""

from collections.abc import Sequence

import msgspec
import pytest

from gateway.protocols.base import Head, Pause, Reset, Script, Send, Step
from gateway.simulation.faults import FAULTS, inject

SSE = Head(200, {"Content-Type": "text/event-stream", "X-Request-Id": "r1"})
ONE = Send(b'data: {"n":1}\n\n')
TWO = Send('data: {"n":"é"}\n\n'.encode())
DONE = Send(b"event: end\ndata: {}\n\n")
STREAM: list[Step] = [SSE, ONE, Pause(0.5), TWO, DONE]
JSON = {"Content-Type": "application/json"}
REFUSAL = Send(b'{"error":{"code":"injected","message":"this refusal was asked for"}}')
SPARKLE = Send(b'event: sparkle\ndata: {"type":"sparkle","event_type":"sparkle","event":"sparkle"}\n\n')
PAGE = Send(b"<!doctype html><title>Bad gateway</title><h1>The origin is unreachable</h1>\n")
HTML = {"Content-Type": "text/html; charset=utf-8"}
HEARTBEAT: list[Step] = [Send(b": heartbeat\n\n"), Pause(1)]
COMMENTS: list[Step] = [Send(b": heartbeat\n\n"), Pause(0.1)] * 36_000


def bent(fault: str, script: Script = STREAM) -> list[Step]:
    return list(inject(script, b'{"content":"hello [fault:%b]"}' % fault.encode(), "acme"))


SCRIPTS: list[tuple[str, Sequence[Step]]] = [
    ("slow-head", [Pause(8), *STREAM]),
    ("slow-head:2", [Pause(2), *STREAM]),
    ("reset-head", [Pause(0), Reset()]),
    ("status-401", [Head(401, JSON), REFUSAL]),
    ("status-429", [Head(429, JSON), REFUSAL]),
    ("status-429:3", [Head(429, {**JSON, "Retry-After": "3"}), REFUSAL]),
    ("status-503", [Head(503, JSON), REFUSAL]),
    ("status-502-html", [Head(502, HTML), PAGE]),
    ("status-204", [Head(204)]),
    ("endless-refusal", [Head(500, JSON), *[Send(b"x" * 65_536)] * 1024]),
    ("redirect:8080", [Head(307, {"Location": "http://127.0.0.2:8080/"})]),
    ("html-200", [Head(200, HTML), PAGE]),
    ("wrong-type", [Head(200, {"Content-Type": "text/plain", "X-Request-Id": "r1"}), *STREAM[1:]]),
    ("empty-200", [SSE]),
    ("cut:0", [SSE]),
    ("cut", [SSE, ONE, Pause(0.5)]),
    ("cut:2", [SSE, ONE, Pause(0.5), TWO]),
    ("cut:9", STREAM),
    ("reset-mid-event", [SSE, ONE, Pause(0.5), Send(b'data: {"n'), Reset()]),
    ("reset-mid-event:9", [*STREAM, Reset()]),
    ("reset-mid-character", [SSE, ONE, Pause(0.5), Send(b'data: {"n":"\xc3'), Reset()]),
    ("reset-mid-character:0", [SSE, Send(b"data: {\xc3"), Reset()]),
    ("stall-silent", [SSE, ONE, Pause(0.5), Pause(20), TWO, DONE]),
    ("stall-heartbeats:2", [SSE, ONE, Pause(0.5), *HEARTBEAT, *HEARTBEAT, TWO, DONE]),
    ("endless-comments", [SSE, *COMMENTS]),
    ("endless-line", [SSE, ONE, Pause(0.5), Send(b"data: "), *[Send(b"x" * 65_536)] * 1024]),
    ("stays-open", [*STREAM, Pause(3600)]),
    ("twice", [*STREAM, *STREAM[1:]]),
    ("unknown-event", [SSE, ONE, Pause(0.5), SPARKLE, TWO, DONE]),
    ("malformed-json", [SSE, ONE, Pause(0.5), Send('data: {"n":"é"\n\n'.encode()), DONE]),
    ("duplicate-event", [SSE, ONE, Pause(0.5), TWO, TWO, DONE]),
    ("swapped-events", [SSE, ONE, Pause(0.5), DONE, TWO]),
    ("swapped-events:0", [SSE, TWO, ONE, Pause(0.5), DONE]),
    ("huge-event:3", [SSE, ONE, Pause(0.5), Send('data: {"padding":"xxx","n":"é"}\n\n'.encode()), DONE]),
    ("one-chunk", [SSE, Send(ONE.data + TWO.data + DONE.data)]),
]
SHORT: list[Step] = [SSE, Send(b"data: a\r\n\ndata: b\n\n"), Pause(1), Send(b":\n")]
RECUT: list[tuple[str, Sequence[Step]]] = [
    ("cut:1", [SSE, Send(b"data: a\r\n\n")]),
    (
        "one-byte-chunks",
        [SSE, *[Send(b"%c" % byte) for byte in b"data: a\r\n\ndata: b\n\n"], Pause(1), Send(b":"), Send(b"\n")],
    ),
    (
        "one-byte-chunks:0",
        [SSE, *[Send(b"%c" % byte) for byte in b"data: a\r\n\ndata: b\n\n"], Pause(1), Send(b":"), Send(b"\n")],
    ),
    ("one-byte-chunks:12", [SSE, Send(b"data: a\r\n\nda"), Send(b"ta: b\n\n"), Pause(1), Send(b":\n")]),
    ("crlf", [SSE, Send(b"data: a\r\n\r\ndata: b\r\n\r\n"), Pause(1), Send(b":\r\n")]),
    ("cr", [SSE, Send(b"data: a\r\rdata: b\r\r"), Pause(1), Send(b":\r")]),
]


@pytest.mark.parametrize(("fault", "script"), SCRIPTS, ids=[fault for fault, _ in SCRIPTS])
def test_a_fault_bends_the_script_as_it_says(fault: str, script: Sequence[Step]) -> None:
    assert bent(fault) == script


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504, 529])
def test_a_refusal_has_its_status(status: int) -> None:
    assert bent(f"status-{status}") == [Head(status, JSON), REFUSAL]


@pytest.mark.parametrize(("fault", "script"), RECUT, ids=[fault for fault, _ in RECUT])
def test_a_fault_cuts_bytes_elsewhere_and_keeps_the_pauses(fault: str, script: Sequence[Step]) -> None:
    assert bent(fault, SHORT) == script


def test_an_answer_to_a_request_without_a_fault_stays_as_it_is() -> None:
    assert inject(STREAM, b'{"content":"what is a [fault]?"}', "acme") is STREAM


def test_a_fault_for_another_simulator_stays_without_effect() -> None:
    body = b"[fault:status-503@zeta] [fault:cut:0@acme]"
    assert inject(STREAM, body, "acme") == [SSE]
    assert inject(STREAM, body, "zeta") == [Head(503, JSON), REFUSAL]
    assert inject(STREAM, body, "other") is STREAM


def test_a_fault_that_does_not_exist_is_refused_with_the_names_of_those_that_do() -> None:
    head, answer = bent("slow-haed")
    assert head == Head(400, JSON)
    assert isinstance(answer, Send)
    assert msgspec.json.decode(answer.data) == {
        "error": "no fault is named slow-haed",
        "faults": {name: fault.description for name, fault in FAULTS.items()},
    }


def test_a_document_is_one_event() -> None:
    document: list[Step] = [Head(200, JSON), Send(b'{"text":"hi"}')]
    assert bent("reset-mid-event:0", document) == [Head(200, JSON), Send(b'{"text'), Reset()]


def test_a_huge_event_has_no_comma_too_many_and_an_event_without_json_stays() -> None:
    assert bent("huge-event:2", [SSE, ONE, Send(b"data: { }\n\n")]) == [SSE, ONE, Send(b'data: {"padding":"xx" }\n\n')]
    assert bent("huge-event:2", [SSE, ONE, Send(b"data: [DONE]\n\n")]) == [SSE, ONE, Send(b"data: [DONE]\n\n")]


def test_a_script_is_never_changed_in_place() -> None:
    for name, fault in FAULTS.items():
        script = list(STREAM)
        assert fault.bend(script, fault.number) is not script, name
        assert script == STREAM, name

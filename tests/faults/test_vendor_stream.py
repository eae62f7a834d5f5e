"""Faults of a stream in transit, rows 21 to 37: cuts, silence, floods; the stream that a client gets stays lawful."""

import asyncio
import socket
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.canonical.events import MessageCompleted, MessageFailed, TextCompleted
from tests.support.gateway import END, HELLO, START, read_events, resident_bytes, running_gateway, told, until
from tests.support.scripts import (
    HEAD,
    LAST_CHUNK,
    Close,
    Drip,
    HalfClose,
    Hold,
    Read,
    Repeat,
    Reset,
    ScriptServer,
    Step,
    Wait,
    Write,
    chunk,
)

MB = 1024 * 1024

TRUNCATED = {
    "code": "upstream_protocol",
    "message": "hardwire ended its stream before its terminal event",
    "retryable": True,
    "vendor": "acme",
}
BROKEN = {
    "code": "upstream_unavailable",
    "message": "the vendor's connection broke in the middle of its answer",
    "retryable": True,
    "vendor": "acme",
}
COMPLETED = [
    "message.started",
    "message.routed",
    "text.started",
    "text.delta",
    "text.completed",
    "message.completed",
]
FAILED = [*COMPLETED[:-1], "message.failed"]

BEGUN = HEAD + chunk(START)
SAID = BEGUN + chunk(HELLO)
HALF = chunk(HELLO)[:20]

# --- rows 21 to 23: cuts

CUTS: dict[str, tuple[list[Step], dict[str, Any], str]] = {
    "row 21: a reset": ([Reset()], BROKEN, "reset_midstream"),
    "row 21: a close within a chunk": ([Write(HALF)], BROKEN, "reset_midstream"),
    "row 21: a half close within a chunk": ([Write(HALF), HalfClose(), Hold()], BROKEN, "reset_midstream"),
    "row 21: a close between chunks": ([Close()], BROKEN, "reset_midstream"),
    "row 23: a clean end": ([Write(LAST_CHUNK)], TRUNCATED, "truncated"),
    "row 23: a clean end within an event": ([Write(chunk(HELLO[:20]) + LAST_CHUNK)], TRUNCATED, "truncated"),
    "row 23: a clean end within the last event": ([Write(chunk(END[:-1]) + LAST_CHUNK)], TRUNCATED, "truncated"),
}


@pytest.mark.parametrize(("cut", "error", "outcome"), CUTS.values(), ids=CUTS)
async def test_a_cut_before_any_content_is_a_plain_refusal(
    tmp_path: Path, cut: list[Step], error: dict[str, Any], outcome: str
) -> None:
    script = [Read(), Write(BEGUN), *cut]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.error) == (502 if outcome == "truncated" else 503, error)
        assert answer.ending == ("failed", outcome, error["code"])
        assert len(vendor.requests) == 1
        assert await gateway.outcomes() == {outcome: 1}


@pytest.mark.parametrize(("cut", "error", "outcome"), CUTS.values(), ids=CUTS)
async def test_a_cut_after_content_fails_in_the_stream(
    tmp_path: Path, cut: list[Step], error: dict[str, Any], outcome: str
) -> None:
    script = [Read(), Write(SAID), *cut]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.kinds, answer.text) == (200, FAILED, "Hello")
        assert answer.error == error
        assert answer.terminal.vendor_ids["message"] == "m1"
        assert answer.ending == ("failed", outcome, error["code"])
        assert len(vendor.requests) == 1
        assert await gateway.outcomes() == {outcome: 1}
        assert await gateway.count("gateway_messages_total", "failed", "support", "acme") == 1


@pytest.mark.parametrize(("cut", "error", "outcome"), CUTS.values(), ids=CUTS)
async def test_a_cut_document_holds_what_there_was(
    tmp_path: Path, cut: list[Step], error: dict[str, Any], outcome: str
) -> None:
    script = [Read(), Write(SAID), *cut]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask(stream=False)
        assert answer.status == (502 if outcome == "truncated" else 503)
        message = answer.error.pop("details")["message"]
        assert (message["status"], message["parts"]) == ("failed", [{"type": "text", "text": "Hello", "block": 0}])
        assert answer.ending == ("failed", outcome, error["code"])


async def test_row_22_a_stream_cut_after_each_of_its_bytes_is_completed_only_when_it_is_whole(tmp_path: Path) -> None:
    body = HEAD + chunk(START + HELLO + END) + LAST_CHUNK
    whole = body.index(END) + len(END)
    scripts: list[list[Step]] = [[Read(), Write(body[:end]), Reset()] for end in range(len(HEAD), len(body))]
    async with ScriptServer(*scripts) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        for end in range(len(HEAD), len(body)):
            answer = await gateway.ask()
            if end >= whole:
                assert (answer.kinds, answer.text) == (COMPLETED, "Hello")
            elif answer.status == 200:
                assert (answer.kinds, answer.text) == (FAILED, "Hello")
            else:
                assert answer.status == 503
            assert answer.ending[1] == ("completed" if end >= whole else "reset_midstream")
        assert len(vendor.requests) == len(scripts)


# --- rows 25 to 27: bytes

MIXED = "Grüße 👋🏽 aus Kyōto — 東京 🇯🇵"
MIXED_FRAME = f'data: {{"type":"content","delta":"{MIXED}"}}\n\n'.encode()


async def test_row_25_a_character_cut_anywhere_stays_whole(tmp_path: Path) -> None:
    bytewise = HEAD + b"".join(chunk(bytes([byte])) for byte in START + MIXED_FRAME + END) + LAST_CHUNK
    async with (
        ScriptServer([Read(), Write(bytewise)], [Read(), Drip(bytewise)]) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
    ):
        for _ in range(2):
            answer = await gateway.ask()
            assert (answer.text, answer.kinds[-1]) == (MIXED, "message.completed")


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CR LF", "CR"])
async def test_row_26_an_event_is_told_at_once_whatever_ends_its_lines(tmp_path: Path, line_end: bytes) -> None:
    heard = asyncio.Event()
    script = [
        Read(),
        Write(HEAD),
        *(Write(chunk(bytes([byte]))) for byte in (START + HELLO).replace(b"\n", line_end)),
        Wait(heard),
        *(Write(chunk(bytes([byte]))) for byte in END.replace(b"\n", line_end)),
        Write(LAST_CHUNK),
    ]
    async with (
        ScriptServer(script) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
        gateway.session.post("/v1/messages", json={"content": "Hi"}) as response,
    ):
        body = b""
        async with asyncio.timeout(0.5):
            while b'"delta":"Hello"' not in body:
                body += await response.content.readany()
        heard.set()
        body += await response.read()
        assert [event.delta for event in read_events(body) if hasattr(event, "delta")] == ["Hello"]


async def test_row_27_invalid_utf8_is_repaired_and_the_stream_goes_on(tmp_path: Path) -> None:
    frames = START, b'data: {"type":"content","delta":"Hel\xff\xfelo \xe6\x9d"}\n\n', HELLO, END
    async with (
        ScriptServer([Read(), *told(*frames)]) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
    ):
        answer = await gateway.ask()
        assert (answer.text, answer.kinds[-1]) == ("Hel\ufffd\ufffdlo \ufffdHello", "message.completed")
        assert await gateway.count("gateway_notices_total", "repaired_utf8", "hardwire") == 1


# --- row 28: floods


async def test_row_28_twenty_endless_lines_cost_neither_memory_nor_a_siblings_time(tmp_path: Path) -> None:
    endless = [Read(), Write(HEAD), Repeat(chunk(b"x" * 65_536))]
    sibling = [Read(), Write(HEAD + chunk(START)), *[Drip(chunk(HELLO) * 40, len(chunk(HELLO)), 0.02)], *told(END)[1:]]
    async with (
        ScriptServer(sibling, endless) as vendor,
        running_gateway(tmp_path, vendor.url, deadlines={"total": 20, "first_event": 20}) as gateway,
        gateway.session.post("/v1/messages", json={"content": "Hi"}) as response,
    ):
        await response.content.readany()
        before = resident_bytes()
        flood = asyncio.gather(*(gateway.ask() for _ in range(20)))
        gaps, last, body = [], time.monotonic(), b""
        while piece := await response.content.readany():
            now = time.monotonic()
            gaps.append(now - last)
            last = now
            body += piece
        assert max(gaps) < 3
        assert body.count(b"event: message.completed\n") == 1
        for answer in await flood:
            assert (answer.status, answer.ending) == (502, ("failed", "too_large", "upstream_protocol"))
        assert resident_bytes() - before < 200 * MB
        assert await gateway.outcomes() == {"completed": 1, "too_large": 20}


@pytest.mark.parametrize("said", [BEGUN, SAID], ids=["before content", "after content"])
async def test_row_28_an_event_of_ten_megabytes_is_too_large(tmp_path: Path, said: bytes) -> None:
    event = b'data: {"type":"content","delta":"' + b"x" * (10 * MB) + b'"}\n\n'
    script = [Read(), Write(said), Write(chunk(event)), Hold()]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert answer.ending == ("failed", "too_large", "upstream_protocol")
        assert answer.error["code"] == "upstream_protocol"
        assert await (await vendor.connection()).left(within=1) in {"closed", "reset"}


async def test_row_28_an_endless_answer_is_too_large(tmp_path: Path) -> None:
    delta = b'data: {"type":"content","delta":"' + b"x" * 60_000 + b'"}\n\n'
    script = [Read(), Write(BEGUN), Repeat(chunk(delta))]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.ending) == (200, ("failed", "too_large", "upstream_protocol"))
        assert len(answer.text) <= 4 * MB + 200_000
        await (await vendor.connection()).left(within=1)


async def test_row_28_chunk_lines_and_trailers_without_end_are_refused(tmp_path: Path) -> None:
    extension = [Read(), Write(BEGUN + b"5;"), Repeat(b"x" * 4096)]
    trailers = [Read(), Write(BEGUN + b"0\r\n"), Repeat(b"X-Trailer: 1\r\n" * 100)]
    async with ScriptServer(extension, trailers) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        for _ in range(2):
            answer = await gateway.ask()
            assert (answer.status, answer.ending) == (502, ("failed", "protocol", "upstream_protocol"))


# --- rows 30 to 33: silence and time


@pytest.mark.parametrize(
    "noise",
    [b": still here\n\n", b"\n", b"id: 7\n\n", b"retry: 10\n\n", b'data: {"type":"ping"}\n\n'],
    ids=["comments", "blank lines", "ids", "retries", "unknown events"],
)
async def test_row_30_noise_without_content_meets_the_first_event_deadline(tmp_path: Path, noise: bytes) -> None:
    script = [Read(), Write(BEGUN), Repeat(chunk(noise), every=0.1)]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        began = time.monotonic()
        answer = await gateway.ask()
        assert 1.0 <= time.monotonic() - began < 2.0
        assert (answer.status, answer.ending) == (504, ("failed", "first_event_timeout", "upstream_timeout"))
        await (await vendor.connection()).left(within=1)
        assert await gateway.outcomes() == {"first_event_timeout": 1}


@pytest.mark.parametrize("noise", [Hold(), Repeat(chunk(b": still here\n\n"), every=0.1)], ids=["silence", "comments"])
async def test_row_31_a_vendor_that_falls_silent_is_left_after_the_idle_deadline(tmp_path: Path, noise: Step) -> None:
    script = [Read(), Write(SAID), noise]
    async with (
        ScriptServer(script) as vendor,
        running_gateway(tmp_path, vendor.url, deadlines={"idle": 1.7, "total": 9}, route="heartbeat = 0.4") as gateway,
    ):
        answer = await gateway.ask()
        assert (answer.kinds, answer.text) == (FAILED, "Hello")
        assert answer.error == {
            "code": "upstream_timeout",
            "message": "the vendor fell silent",
            "retryable": True,
            "vendor": "acme",
        }
        assert answer.ending == ("failed", "idle_timeout", "upstream_timeout")
        assert answer.body.count(b": heartbeat\n\n") >= 2
        assert await gateway.count("gateway_heartbeats_total") == answer.body.count(b": heartbeat\n\n")
        await (await vendor.connection()).left(within=1)


async def test_row_32_an_answer_that_never_ends_meets_the_total_deadline(tmp_path: Path) -> None:
    script = [Read(), Write(BEGUN), Repeat(chunk(HELLO), every=0.2)]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        began = time.monotonic()
        answer = await gateway.ask()
        assert 2.0 <= time.monotonic() - began < 3.0
        assert answer.error == {
            "code": "upstream_timeout",
            "message": "the vendor took too long in all",
            "retryable": True,
            "vendor": "acme",
        }
        assert answer.ending == ("failed", "total_timeout", "upstream_timeout")
        await (await vendor.connection()).left(within=1)


async def test_row_32_an_event_of_one_byte_at_a_time_meets_the_first_event_deadline(tmp_path: Path) -> None:
    script = [Read(), Write(HEAD), Drip(chunk(START) + chunk(HELLO), every=0.1), Hold()]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.ending) == (504, ("failed", "first_event_timeout", "upstream_timeout"))


@pytest.mark.parametrize("rest", [Hold(), Repeat(chunk(b": bye\n\n"), every=0.05)], ids=["silent", "chatty"])
async def test_row_33_a_terminal_ends_the_clients_stream_at_once_and_the_vendors_soon(
    tmp_path: Path, rest: Step
) -> None:
    script = [Read(), Write(SAID + chunk(END)), rest]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        began = time.monotonic()
        answer = await gateway.ask()
        assert time.monotonic() - began < 0.3
        assert (answer.kinds, answer.text) == (COMPLETED, "Hello")
        connection = await vendor.connection()
        await connection.left(within=2)
        assert connection.left_at is not None
        assert connection.left_at - began < 1.8


async def test_row_33_what_a_vendor_floods_us_with_behind_its_terminal_is_not_read_for_long(tmp_path: Path) -> None:
    script = [Read(), Write(SAID + chunk(END)), Repeat(chunk(b": " + b"x" * 65_536 + b"\n\n"))]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.kinds, answer.text) == (COMPLETED, "Hello")
        await (await vendor.connection()).left(within=0.5)


async def test_a_body_that_ends_behind_its_terminal_leaves_a_connection_for_the_next_message(tmp_path: Path) -> None:
    script = [Read(), Write(SAID + chunk(END)), Drip(LAST_CHUNK, every=0.05), Read(), *told(START, HELLO, END)]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        first = await gateway.ask()
        await asyncio.sleep(0.5)  # until the body's end has come
        second = await gateway.ask()
        assert (first.text, second.text) == ("Hello", "Hello")
        assert (len(vendor.connections), len(vendor.requests)) == (1, 2)


# --- row 34: behind the terminal

BEHIND: dict[str, list[bytes]] = {
    "content": [HELLO, HELLO],
    "a second terminal": [END],
    "a contradiction": [b'data: {"type":"error","error":"LLM_ERROR","message":"no"}\n\n'],
    "what cannot be read": [b"data: {\n\n"],
}


@pytest.mark.parametrize("frames", BEHIND.values(), ids=BEHIND)
@pytest.mark.parametrize("writes", ["one", "many"])
async def test_row_34_nothing_comes_behind_the_first_terminal(tmp_path: Path, frames: list[bytes], writes: str) -> None:
    together = [Write(HEAD + chunk(b"".join([START, HELLO, END, *frames])) + LAST_CHUNK)]
    script = [Read(), *(together if writes == "one" else told(START, HELLO, END, *frames))]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.kinds, answer.text) == (COMPLETED, "Hello")
        assert answer.ending == ("completed", "completed", None)


async def test_row_34_events_behind_the_terminal_are_counted(tmp_path: Path) -> None:
    script = [Read(), Write(HEAD + chunk(START + HELLO + END + HELLO + HELLO) + LAST_CHUNK)]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        await gateway.ask()
        assert await gateway.count("gateway_notices_total", "after_terminal", "hardwire") == 2


# --- row 35: a slow client

COUNT = 100_000


def small_buffers(address: Any) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
    return made


async def test_row_35_a_hundred_thousand_events_reach_a_slow_client_without_loss(tmp_path: Path) -> None:
    padding = "x" * 150
    frames = [
        f'data: {{"type":"content","delta":"{number} ","padding":"{padding}"}}\n\n'.encode() for number in range(COUNT)
    ]
    batches = [chunk(b"".join(frames[start : start + 500])) for start in range(0, COUNT, 500)]
    script = [Read(), Write(BEGUN), *map(Write, batches), *told(END)[1:]]
    connector = aiohttp.TCPConnector(force_close=True, socket_factory=small_buffers)
    async with (
        ScriptServer(script) as vendor,
        running_gateway(tmp_path, vendor.url, deadlines={"idle": 30, "total": 60}) as gateway,
        aiohttp.ClientSession(gateway.url, connector=connector, read_bufsize=32_768) as slow,
        slow.post("/v1/messages", json={"content": "Hi"}) as response,
    ):
        await (await vendor.connection()).stalled(within=10)
        before = resident_bytes()
        pieces = [piece async for piece in response.content.iter_any()]
        assert resident_bytes() - before < 120 * MB
        gateway.received += pieces
        *_, text, terminal = read_events(b"".join(pieces))
        assert isinstance(text, TextCompleted)
        assert text.text == "".join(f"{number} " for number in range(COUNT))
        assert isinstance(terminal, MessageCompleted)


async def test_row_35_a_slow_client_pauses_its_vendor_and_no_other(tmp_path: Path) -> None:
    flood = [Read(), Write(BEGUN), Repeat(chunk(b'data: {"type":"content","delta":"x"}\n\n' * 500))]
    connector = aiohttp.TCPConnector(force_close=True, socket_factory=small_buffers)
    async with (
        ScriptServer(flood, [Read(), *told(START, HELLO, END)]) as vendor,
        running_gateway(tmp_path, vendor.url, deadlines={"total": 60, "idle": 60}) as gateway,
        aiohttp.ClientSession(gateway.url, connector=connector, read_bufsize=32_768) as slow,
        slow.post("/v1/messages", json={"content": "Hi"}) as response,
    ):
        connection = await vendor.connection()
        await connection.stalled(within=10)
        assert (await gateway.ask()).text == "Hello"
        response.close()
        await connection.left(within=1)
        await until(lambda: len(gateway.log.of("message")) == 2)
        assert [line["cause"] for line in gateway.log.of("message")] == ["completed", "client_gone"]


async def test_a_client_that_stops_reading_is_cut_after_the_send_deadline(tmp_path: Path) -> None:
    flood = [Read(), Write(BEGUN), Repeat(chunk(b'data: {"type":"content","delta":"x"}\n\n' * 500))]
    connector = aiohttp.TCPConnector(force_close=True, socket_factory=small_buffers)
    async with (
        ScriptServer(flood) as vendor,
        running_gateway(
            tmp_path, vendor.url, deadlines={"total": 60, "idle": 60}, tables="[server]\nsend_deadline = 0.5"
        ) as gateway,
        aiohttp.ClientSession(gateway.url, connector=connector, read_bufsize=32_768) as slow,
        slow.post("/v1/messages", json={"content": "Hi"}),
    ):
        await (await vendor.connection()).left(within=10)
        await until(lambda: len(gateway.log.of("message")) == 1)
        assert [line["cause"] for line in gateway.log.of("message")] == ["slow_client"]


# --- row 37: hostile fields

HOSTILE: dict[str, bytes] = {
    "retry: 0": b"retry: 0\n",
    "retry of 40 digits": b"retry: " + b"9" * 40 + b"\n",
    "an id of 40 digits": b"id: " + b"9" * 40 + b"\n",
    "an id with NUL": b"id: a\0b\n",
    "an id with CR": b"id: a\rX-Evil: 1\n",
    "a name that is none": b"event: \x01\xff message.failed\n",
    "fields that are none": b"X-Evil: 1\n: comment\nno colon\n",
}


@pytest.mark.parametrize("fields", HOSTILE.values(), ids=HOSTILE)
async def test_row_37_hostile_fields_have_no_effect_on_our_frames(tmp_path: Path, fields: bytes) -> None:
    script = [Read(), *told(START, fields + HELLO, END)]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.kinds, answer.text) == (COMPLETED, "Hello")
        assert b"Evil" not in answer.body
        assert b"retry" not in answer.body
        again = await gateway.ask()
        assert "Last-Event-ID" not in vendor.requests[-1].headers
        assert again.text == "Hello"


async def test_row_37_an_event_of_a_megabyte_is_passed_on(tmp_path: Path) -> None:
    event = b'data: {"type":"content","delta":"' + b"x" * MB + b'"}\n\n'
    async with (
        ScriptServer([Read(), *told(START, event, END)]) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
    ):
        answer = await gateway.ask()
        assert (answer.kinds, len(answer.text)) == (COMPLETED, MB)


# --- trailers: a vendor whose last words come behind its success terminal

WORDS = (
    b'data: {"type":"start","messageId":"m1"}\n\n'
    b'data: {"type":"text-start","id":"t"}\n\n'
    b'data: {"type":"text-delta","id":"t","delta":"Hello"}\n\n'
    b'data: {"type":"text-end","id":"t"}\n\n'
)
FINISH = b'data: {"type":"finish","finishReason":"stop"}\n\n'
METADATA = b'data: {"type":"message-metadata","conversationId":"c1","usage":{"credits":2}}\n\n'

TRAILERS: dict[str, tuple[list[Step], dict[str, str]]] = {
    "metadata, then a reset": ([Write(chunk(METADATA)), Reset()], {"conversation": "c1", "message": "m1"}),
    "metadata, then silence": ([Write(chunk(METADATA)), Hold()], {"conversation": "c1", "message": "m1"}),
    "a reset": ([Reset()], {"message": "m1"}),
    "silence": ([Hold()], {"message": "m1"}),
    "what cannot be read": ([Write(chunk(b"data: {\n\n")), Hold()], {"message": "m1"}),
    "HTTP that cannot be read": ([Write(b"zz\r\n"), Hold()], {"message": "m1"}),
    "half an event": ([Write(chunk(METADATA[:30])), Reset()], {"message": "m1"}),
    "comments": ([Repeat(chunk(b": bye\n\n"), every=0.05)], {"message": "m1"}),
}


@pytest.mark.parametrize(("trailers", "vendor_ids"), TRAILERS.values(), ids=TRAILERS)
async def test_nothing_behind_the_success_terminal_fails_an_answer(
    tmp_path: Path, trailers: list[Step], vendor_ids: dict[str, str]
) -> None:
    script = [Read(), Write(HEAD + chunk(WORDS + FINISH)), *trailers]
    async with (
        ScriptServer(script) as vendor,
        running_gateway(
            tmp_path, vendor.url, protocol="chatbase", credentials=["api_key"], target='agent = "agent-1"'
        ) as gateway,
    ):
        began = time.monotonic()
        answer = await gateway.ask()
        assert time.monotonic() - began < 3.0
        assert (answer.text, answer.ending) == ("Hello", ("completed", "completed", None))
        assert answer.terminal.vendor_ids == vendor_ids


async def test_a_stream_failure_after_the_headers_went_out_travels_in_the_stream(tmp_path: Path) -> None:
    script = [Read(), Write(BEGUN), Hold()]
    async with (
        ScriptServer(script) as vendor,
        running_gateway(tmp_path, vendor.url, route="headers_after = 0.3") as gateway,
    ):
        answer = await gateway.ask()
        assert (answer.status, answer.kinds) == (200, ["message.started", "message.failed"])
        assert isinstance(answer.terminal, MessageFailed)
        assert answer.ending == ("failed", "first_event_timeout", "upstream_timeout")

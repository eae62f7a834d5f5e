"""Faults in what the vendor says, rows 38 to 50 and 98: malformed, hostile, contradictory words; broken plug-ins."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import msgspec
import pytest

from gateway.canonical.blocks import MAX_BLOCKS
from gateway.canonical.events import (
    Event,
    MessageCanceled,
    MessageCompleted,
    ToolCallCompleted,
    ToolResult,
    VendorEvent,
)
from gateway.canonical.turn import MessageRequest
from gateway.protocols.base import ClientRequest, Descriptor, Dialect, DialectRoute, ErrorResponse
from gateway.protocols.hardwire.translator import HardwireTranslator
from gateway.protocols.native.dialect import NativeDialect, NativeEncoder, NativeExchange
from gateway.protocols.registry import BUILT_IN
from tests.support.gateway import (
    END,
    HELLO,
    ONE,
    SOME,
    START,
    TWO,
    RunningGateway,
    running_gateway,
    told,
    until,
)
from tests.support.scripts import (
    HEAD,
    LAST_CHUNK,
    Connection,
    Hold,
    Read,
    ScriptServer,
    Step,
    Write,
    chunk,
    request,
    response,
)

CHATBASE: Any = {"protocol": "chatbase", "credentials": ["api_key"], "target": 'agent = "agent-1"'}
COMPLETED = [
    "message.started",
    "message.routed",
    "text.started",
    "text.delta",
    "text.completed",
    "message.completed",
]
FAILED = [*COMPLETED[:-1], "message.failed"]


def frames(*documents: str) -> list[bytes]:
    return [f"data: {document}\n\n".encode() for document in documents]


# --- rows 38 to 40: what cannot be read

DEEP = b"[" * 100_000
MALFORMED: dict[str, bytes] = {
    "row 38: no JSON": b"hello",
    "row 38: half a document": b'{"type":"content","delta":"Hel',
    "row 38: two documents": b'{"type":"content","delta":"a"}{"type":"content","delta":"b"}',
    "row 38: a page": b"<html>",
    "row 39: null": b"null",
    "row 39: a list": b"[]",
    "row 39: a number": b"7",
    "row 39: a text": b'"content"',
    "row 39: no type": b"{}",
    "row 39: a type that is a number": b'{"type":7}',
    "row 39: a delta that is a number": b'{"type":"content","delta":7}',
    "row 39: a delta that is null": b'{"type":"content","delta":null}',
    "row 39: no delta": b'{"type":"content"}',
    "row 39: a source that is a text": b'{"type":"complete","message":{"content":"a","sources":["b"]}}',
    "row 40: a depth of 100,000": b'{"type":"content","delta":"a","more":' + DEEP,
    "row 40: a known depth of 100,000": b'{"type":"tool_call","toolName":"t","toolArgs":{"a":' + DEEP,
    "row 40: NaN": b'{"type":"content","delta":"a","more":NaN}',
    "row 40: Infinity": b'{"type":"content","delta":"a","more":-Infinity}',
    "row 40: a lone surrogate": b'{"type":"content","delta":"\\ud83d"}',
    "row 40: NUL as it is": b'{"type":"content","delta":"\0"}',
}
CANNOT_BE_READ = {
    "code": "upstream_protocol",
    "message": "the vendor sent an event that cannot be read",
    "retryable": True,
    "vendor": "acme",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
async def test_an_event_that_cannot_be_read_is_one_kind_of_failure(tmp_path: Path, data: bytes) -> None:
    frame = b"data: " + data + b"\n\n"
    async with (
        ScriptServer([Read(), *told(START, frame, HELLO, END)], [Read(), *told(START, HELLO, frame, END)]) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
    ):
        before, after = await gateway.ask(), await gateway.ask()
        assert (before.status, before.error) == (502, CANNOT_BE_READ)
        assert (after.status, after.kinds, after.error) == (200, FAILED, CANNOT_BE_READ)
        for answer in (before, after):
            assert answer.ending == ("failed", "malformed", "upstream_protocol")
            assert 0 < len(answer.line["vendor_message"]) <= 100
        assert len(vendor.requests) == 2
        assert await gateway.outcomes() == {"malformed": 2}


READABLE: dict[str, tuple[bytes, str]] = {
    "a number of 400 digits": (b'{"type":"content","delta":"a","more":1' + b"0" * 400 + b"}", "a"),
    "a number out of range": (b'{"type":"content","delta":"a","more":1e400}', "a"),
    "duplicate keys": (b'{"type":"content","delta":"a","delta":"b"}', "b"),
    "a surrogate pair": (b'{"type":"content","delta":"\\ud83d\\udc4b"}', "\N{WAVING HAND SIGN}"),
    "NUL, escaped": (b'{"type":"content","delta":"a\\u0000b"}', "a\0b"),
    "line ends": (b'{"type":"content","delta":"a\\r\\nb\\n\\nc\\u2028d\\u0085e"}', "a\r\nb\n\nc\u2028d\x85e"),
    "a depth of 100": (b'{"type":"content","delta":"a","more":' + b"[" * 100 + b"]" * 100 + b"}", "a"),
}


@pytest.mark.parametrize(("data", "text"), READABLE.values(), ids=READABLE)
async def test_row_40_odd_json_that_can_be_read_is_read(tmp_path: Path, data: bytes, text: str) -> None:
    async with (
        ScriptServer([Read(), *told(START, b"data: " + data + b"\n\n", END)]) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
    ):
        answer = await gateway.ask()
        assert (answer.kinds, answer.text) == (COMPLETED, text)


# --- rows 41 to 45: what is unknown, repeated, out of order

UNKNOWN = frames('{"type":"sparkle","level":3}', '{"type":"sparkle","level":4}')


async def test_row_41_what_is_unknown_is_counted_and_ignored(tmp_path: Path) -> None:
    more = b'data: {"type":"content","delta":"Hello","mood":"good","tokens":[1]}\n\n'
    async with (
        ScriptServer([Read(), *told(START, UNKNOWN[0], more, UNKNOWN[1], END)]) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
    ):
        answer = await gateway.ask()
        assert (answer.kinds, answer.text) == (COMPLETED, "Hello")
        assert await gateway.count("gateway_unknown_vendor_events_total", "hardwire") == 2
        assert not [name for name, labels in await gateway.metrics() if "sparkle" in labels]


async def test_row_41_what_is_unknown_is_passed_on_where_the_route_asks(tmp_path: Path) -> None:
    async with (
        ScriptServer([Read(), *told(START, UNKNOWN[0], HELLO, UNKNOWN[1], END)]) as vendor,
        running_gateway(tmp_path, vendor.url, route="vendor_events = true") as gateway,
    ):
        answer = await gateway.ask()
        assert [event for event in answer.events if isinstance(event, VendorEvent)] == [
            VendorEvent("sparkle", {"type": "sparkle", "level": 3}, "acme"),
            VendorEvent("sparkle", {"type": "sparkle", "level": 4}, "acme"),
        ]


async def test_row_43_ids_that_repeat_or_go_back_leave_our_numbers_alone(tmp_path: Path) -> None:
    numbered = [b"id: 5\n" + START, b"id: 5\n" + HELLO, b"id: 3\n" + HELLO, b"id: -1\n" + HELLO, b"id: 900\n" + END]
    async with ScriptServer([Read(), *told(*numbered)]) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.text, answer.kinds[-1]) == ("HelloHelloHello", "message.completed")


BEGIN = '{"type":"start","messageId":"m1"}'
SAY = '{"type":"text-delta","id":"t","delta":"Hello"}'
CALL = '{"type":"tool-input-start","toolCallId":"c1","toolName":"look"}'
FINISH = '{"type":"finish","finishReason":"stop"}'
FINISH_CALLS = '{"type":"finish","finishReason":"tool-calls"}'
FINISH_LENGTH = '{"type":"finish","finishReason":"length"}'


def arguments(text: str) -> str:
    quoted = msgspec.json.encode(text).decode()
    return f'{{"type":"tool-input-delta","toolCallId":"c1","inputTextDelta":{quoted}}}'


@pytest.mark.parametrize("spelled", ['{"a":', '{"a":1}}', "[1]", '"a"', "nonsense", ""])
async def test_row_44_a_call_that_the_client_must_run_and_cannot_read_fails_the_message(
    tmp_path: Path, spelled: str
) -> None:
    script = [Read(), *told(*frames(BEGIN, CALL, arguments(spelled), FINISH_CALLS))]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url, **CHATBASE) as gateway:
        answer = await gateway.ask()
        assert answer.status == 200
        assert answer.ending == ("failed", "malformed", "upstream_protocol")
        *_, call, _ = answer.events
        assert isinstance(call, ToolCallCompleted)
        assert (call.arguments, call.status, call.raw_arguments) == ({}, "cut", spelled)


async def test_row_44_a_call_cut_by_length_is_completed_and_marked(tmp_path: Path) -> None:
    script = [Read(), *told(*frames(BEGIN, CALL, arguments('{"a":'), FINISH_LENGTH))]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url, **CHATBASE) as gateway:
        answer = await gateway.ask()
        assert isinstance(answer.terminal, MessageCompleted)
        assert (answer.terminal.finish_reason, answer.terminal.pending_tool_calls) == ("length", [])
        calls = [event for event in answer.events if isinstance(event, ToolCallCompleted)]
        assert [(call.status, call.arguments, call.raw_arguments) for call in calls] == [("cut", {}, '{"a":')]


async def test_row_44_arguments_of_a_call_that_the_vendor_runs_may_be_unreadable(tmp_path: Path) -> None:
    script = [
        Read(),
        *told(
            START,
            *frames('{"type":"tool_call","toolName":"t","toolArgs":"{\\"a\\":"}'),
            *frames('{"type":"tool_result","toolName":"t","result":[1]}'),
            HELLO,
            END,
        ),
    ]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.text, answer.ending[0]) == ("Hello", "completed")
        calls = [event for event in answer.events if isinstance(event, ToolCallCompleted | ToolResult)]
        invented = calls[0].tool_call_id
        assert calls == [
            ToolCallCompleted(0, invented, "t", {}, "unreadable", '{"a":'),
            ToolResult(invented, [1], is_error=False, name="t"),
        ]


UNTIDY: dict[str, list[str]] = {
    "a delta of a block never opened": [SAY],
    "a block opened twice": ['{"type":"text-start","id":"t"}', '{"type":"text-start","id":"t"}', SAY],
    "a block closed twice": [SAY, '{"type":"text-end","id":"t"}', '{"type":"text-end","id":"t"}'],
    "a block that is never closed": ['{"type":"text-start","id":"t"}', SAY],
    "another block closed": [SAY, '{"type":"text-end","id":"other"}'],
    "a step closed that was never opened": ['{"type":"finish-step"}', SAY],
    "a step never closed": ['{"type":"start-step"}', SAY],
    "a result of a call never made": [SAY, '{"type":"tool-output-available","toolCallId":"x","output":1}'],
}


@pytest.mark.parametrize("untidy", UNTIDY.values(), ids=UNTIDY)
async def test_row_45_untidy_blocks_are_repaired(tmp_path: Path, untidy: list[str]) -> None:
    script = [Read(), *told(*frames(BEGIN, *untidy, FINISH))]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url, **CHATBASE) as gateway:
        answer = await gateway.ask()
        assert (answer.text, answer.ending) == ("Hello", ("completed", "completed", None))


async def test_row_45_the_number_of_blocks_is_capped(tmp_path: Path) -> None:
    blocks = [f'{{"type":"text-delta","id":"{number}","delta":"a"}}' for number in range(10_000)]
    script = [Read(), Write(HEAD + chunk(b"".join(frames(BEGIN, *blocks, FINISH)))), Write(LAST_CHUNK)]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url, **CHATBASE) as gateway:
        answer = await gateway.ask()
        assert answer.ending[0] == "failed"
        assert answer.error["code"] == "upstream_protocol"
        assert answer.kinds.count("text.started") == answer.kinds.count("text.completed") <= MAX_BLOCKS


# --- rows 47 and 48: an ending that is told inside a 200

ERRORS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "a code we know": (
        b'data: {"type":"error","error":"LLM_ERROR","message":"sk-123 broke at http://10.0.0.7"}\n\n',
        {
            "code": "upstream_unavailable",
            "message": "the vendor is unavailable",
            "retryable": True,
            "vendor": "acme",
            "vendor_code": "LLM_ERROR",
        },
    ),
    "a code we do not know": (
        b'data: {"type":"error","error":{"code":"NEW_FAULT","message":"sk-123","requestId":"r-1"}}\n\n',
        {
            "code": "upstream_protocol",
            "message": "the vendor answered with something else than its protocol says",
            "retryable": True,
            "vendor": "acme",
            "vendor_code": "NEW_FAULT",
            "vendor_request_id": "r-1",
        },
    ),
    "an error in another frame": (
        b'data: {"type":"content","delta":"x","error":{"code":"LLM_ERROR"}}\n\n',
        {
            "code": "upstream_unavailable",
            "message": "the vendor is unavailable",
            "retryable": True,
            "vendor": "acme",
            "vendor_code": "LLM_ERROR",
        },
    ),
    "an error in an unknown frame": (
        b'data: {"type":"sparkle","error":{"code":"LLM_ERROR"}}\n\n',
        {
            "code": "upstream_unavailable",
            "message": "the vendor is unavailable",
            "retryable": True,
            "vendor": "acme",
            "vendor_code": "LLM_ERROR",
        },
    ),
}


@pytest.mark.parametrize(("frame", "error"), ERRORS.values(), ids=ERRORS)
async def test_row_47_an_error_inside_a_200_is_an_error(tmp_path: Path, frame: bytes, error: dict[str, Any]) -> None:
    async with (
        ScriptServer([Read(), *told(START, frame, END)], [Read(), *told(START, HELLO, frame, END)]) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
    ):
        before, after = await gateway.ask(), await gateway.ask()
        status = {"upstream_unavailable": 503, "upstream_protocol": 502}[error["code"]]
        assert (before.status, before.error) == (status, error)
        assert (after.status, after.kinds, after.error) == (200, FAILED, error)
        assert before.ending == after.ending == ("failed", "vendor_error", error["code"])
        assert await gateway.outcomes() == {"vendor_error": 2}
        assert b"sk-123" not in before.body + after.body


async def test_row_48_a_vendor_that_cancels_unasked_is_canceled(tmp_path: Path) -> None:
    abort = '{"type":"abort"}'
    async with (
        ScriptServer([Read(), *told(*frames(BEGIN, abort))], [Read(), *told(*frames(BEGIN, SAY, abort))]) as vendor,
        running_gateway(tmp_path, vendor.url, **CHATBASE) as gateway,
    ):
        before, after = await gateway.ask(), await gateway.ask()
        assert before.kinds == ["message.started", "message.canceled"]
        assert after.kinds == [*COMPLETED[:-1], "message.canceled"]
        for answer in (before, after):
            assert isinstance(answer.terminal, MessageCanceled)
            assert answer.terminal.reason == "vendor"
            assert answer.ending == ("canceled", "canceled", None)


FILTERED = '{"type":"finish","finishReason":"content-filter"}'


async def test_row_48_an_answer_filtered_before_content_is_an_error_and_after_it_an_ending(tmp_path: Path) -> None:
    async with (
        ScriptServer(
            [Read(), *told(*frames(BEGIN, FILTERED))], [Read(), *told(*frames(BEGIN, SAY, FILTERED))]
        ) as vendor,
        running_gateway(tmp_path, vendor.url, **CHATBASE) as gateway,
    ):
        before, after = await gateway.ask(), await gateway.ask()
        assert (before.status, before.ending) == (422, ("failed", "content_filtered", "content_filtered"))
        assert (after.kinds, after.terminal.finish_reason) == (COMPLETED, "content_filter")


@pytest.mark.parametrize(
    "said", [[], frames('{"type":"content","delta":""}'), frames('{"type":"content","delta":""}') * 9]
)
async def test_an_answer_of_nothing_is_empty_and_no_completion(tmp_path: Path, said: list[bytes]) -> None:
    async with (
        ScriptServer([Read(), *told(START, *said, END)]) as vendor,
        running_gateway(tmp_path, vendor.url) as gateway,
    ):
        answer = await gateway.ask()
        assert (answer.status, answer.ending) == (502, ("failed", "empty", "upstream_empty"))


# --- row 50: a vendor that tells our secrets


class Echo(Step, frozen=True):
    """Writes `data` with the request's head in place of `HEAD`, as a vendor that tells what it was asked."""

    data: bytes
    is_stream: bool = False

    async def play(self, connection: Connection) -> None:
        head = connection.requests[-1].raw.partition(b"\r\n\r\n")[0]
        said = self.data.replace(b"HEAD", msgspec.json.encode(head.decode())[1:-1])
        said = said.replace(b"COOKIE", connection.requests[-1].headers["Cookie"].encode())
        if self.is_stream:
            await connection.write(HEAD + chunk(b"data: " + said + b"\n\n") + LAST_CHUNK)
        elif said.startswith(b"HTTP"):
            await connection.write(said)
        else:
            await connection.write(response(500, said))


ECHOES: dict[str, Step] = {
    "in a refusal's text": Echo(b'{"error":"LLM_ERROR","message":"asked: HEAD"}'),
    "in a refusal's code": Echo(b'{"code":"COOKIE","requestId":"COOKIE","message":"no"}'),
    "in a refusal that is no JSON": Echo(b"HEAD"),
    "in a refusal's headers": Echo(
        b"HTTP/1.1 500 COOKIE\r\nX-Request-Id: COOKIE\r\nRetry-After: COOKIE\r\nContent-Length: 0\r\n\r\n"
    ),
    "in a redirect": Echo(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2/?COOKIE\r\nContent-Length: 0\r\n\r\n"),
    "in a status line": Echo(b"HTTP/9.9 COOKIE\r\n\r\n"),
    "in a header that cannot be read": Echo(b"HTTP/1.1 200 OK\r\nA B\1C: COOKIE\r\n\r\n"),
    "in a header cut for the log": Echo(b"HTTP/1.1 200 OK\r\n\1" + b"-" * 42 + b": COOKIE\r\n\r\n"),
    "in a chunk's line": Echo(HEAD + b"COOKIE\r\n\r\n"),
    "in a type": Echo(b"HTTP/1.1 200 OK\r\nContent-Type: COOKIE\r\nContent-Length: 0\r\n\r\n"),
    "in an error's text": Echo(b'{"type":"error","error":"LLM_ERROR","message":"HEAD"}', is_stream=True),
    "in an error's code": Echo(b'{"type":"error","error":{"code":"COOKIE","requestId":"COOKIE"}}', is_stream=True),
    "in what cannot be read": Echo(b'{"type":"content","delta":{"HEAD":1}}', is_stream=True),
    "in an unknown type": Echo(b'{"type":"COOKIE"}', is_stream=True),
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES)
async def test_row_50_a_vendor_that_tells_our_credential_tells_it_to_nobody(tmp_path: Path, echo: Step) -> None:
    """What may not be told is checked by the gateway's own end."""
    async with ScriptServer([Read(), echo]) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        streamed, whole = await gateway.ask(), await gateway.ask(stream=False)
        assert streamed.ending == whole.ending
        assert streamed.ending[0] == "failed"
        assert b"Cookie: cookie=canary" in vendor.requests[0].raw


# --- row 98: plug-ins that raise


def explode(*_: object, **__: object) -> NoReturn:
    raise RuntimeError("boom at http://10.0.0.7")


def explode_later(*_: object, **__: object) -> Iterator[NoReturn]:
    yield from ()
    explode()


ANSWERS = told(START, HELLO, END)
POINTS: dict[str, tuple[dict[str, Any], list[Step]]] = {
    "its birth": ({"__init__": explode}, ANSWERS),
    "authorize": ({"authorize": explode}, ANSWERS),
    "authorize, on its way": ({"authorize": explode_later}, ANSWERS),
    "requests": ({"requests": explode}, ANSWERS),
    "requests, on its way": ({"requests": explode_later}, ANSWERS),
    "feed": ({"feed": explode}, ANSWERS),
    "feed, on its way": ({"feed": explode_later}, ANSWERS),
    "finish": ({"finish": explode}, told(START)),
    "finish, on its way": ({"finish": explode_later}, told(START)),
    "refuse": ({"refuse": explode}, [Write(response(500, b""))]),
}
BUG = {"code": "internal", "message": "the gateway failed", "retryable": False}


def with_translator(parts: Mapping[str, Any]) -> Mapping[str, Descriptor]:
    broken = type("Broken", (HardwireTranslator,), dict(parts))
    return {**BUILT_IN, "hardwire": msgspec.structs.replace(BUILT_IN["hardwire"], translator=broken)}


@pytest.mark.parametrize(("parts", "script"), POINTS.values(), ids=POINTS)
async def test_row_98_a_translator_that_raises_costs_one_message_and_is_logged_once(
    tmp_path: Path, parts: dict[str, Any], script: list[Step]
) -> None:
    async with (
        ScriptServer([Read(), *script]) as vendor,
        running_gateway(tmp_path, vendor.url, protocols=with_translator(parts), bugs=TWO) as gateway,
    ):
        for stream in (True, False):
            answer = await gateway.ask(stream=stream)
            assert (answer.status, answer.error) == (500, BUG)
            assert answer.ending == ("failed", "internal", "internal")
        assert await gateway.outcomes() == {"internal": 2}
        bugs = gateway.log.of("unhandled")
        assert [bug["request_id"] for bug in bugs] == ["request-1", "request-2"]
        assert all("RuntimeError: boom" in str(bug["exception"]) for bug in bugs)


async def test_row_98_a_translator_that_raises_after_content_fails_in_the_stream(tmp_path: Path) -> None:
    def feed(self: Any, record: Any) -> Iterable[Any]:
        yield from HardwireTranslator.feed(self, record)
        if b"Hello" in record.data:
            explode()

    async with (
        ScriptServer([Read(), *ANSWERS]) as vendor,
        running_gateway(tmp_path, vendor.url, protocols=with_translator({"feed": feed}), bugs=ONE) as gateway,
    ):
        answer = await gateway.ask()
        assert (answer.kinds, answer.text, answer.error) == (FAILED, "Hello", BUG)
        assert answer.ending == ("failed", "internal", "internal")


class BrokenEncoder(NativeEncoder):
    def __init__(self, at: str) -> None:
        self._at = at

    def event(self, sequence: int, event: Event) -> bytes:
        if event.__struct_config__.tag == self._at:
            explode()
        return super().event(sequence, event)

    def heartbeat(self) -> bytes | None:
        return explode() if self._at == "heartbeat" else super().heartbeat()

    def end(self) -> bytes:
        return explode() if self._at == "end" else super().end()


class BrokenExchange(NativeExchange):
    def __init__(self, request: MessageRequest, at: str) -> None:
        super().__init__(request)
        self._at = at

    def encoder(self) -> BrokenEncoder:
        return explode() if self._at == "encoder" else BrokenEncoder(self._at)

    def document(self, message: Any) -> bytes:
        return explode() if self._at == "document" else super().document(message)


class BrokenDialect(NativeDialect):
    routes: tuple[DialectRoute, ...] = (DialectRoute("POST", "/broken", "message"),)

    def __init__(self, at: str) -> None:
        self._at = at

    def credential(self, request: ClientRequest) -> str | None:
        return explode() if self._at == "credential" else super().credential(request)

    def read(self, request: ClientRequest) -> Any:
        return explode() if self._at == "read" else BrokenExchange(super().read(request).request, self._at)

    def error(self, error: Any, request_id: str) -> ErrorResponse:
        return explode() if self._at == "error" else super().error(error, request_id)


def with_dialect(at: str) -> Mapping[str, Descriptor]:
    def make(_: object) -> Dialect:
        return BrokenDialect(at)

    return {**BUILT_IN, "broken": Descriptor("broken", "Broken", {}, dialect=make)}


async def ask_broken(gateway: RunningGateway, body: bytes) -> bytes:
    raw = request("POST", "/broken", body, ["Content-Type: application/json", "X-Request-Id: r-1"])
    head, _, payload = raw.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if not line.startswith("Host"))
    async with gateway.session.post("/broken", data=payload, headers=headers) as answer:
        return str(answer.status).encode() + b" " + await answer.read()


REFUSED = b'500 {"error":{"code":"internal","message":"the gateway failed","retryable":false,"request_id":"r-1"}}'


@pytest.mark.parametrize("at", ["credential", "read", "encoder"])
async def test_row_98_a_dialect_that_raises_before_the_stream_is_a_refusal(tmp_path: Path, at: str) -> None:
    async with (
        ScriptServer([Read(), *ANSWERS]) as vendor,
        running_gateway(tmp_path, vendor.url, protocols=with_dialect(at), bugs=ONE) as gateway,
    ):
        assert await ask_broken(gateway, b'{"content":"Hi"}') == REFUSED


IN_THE_STREAM = [
    "message.started",
    "message.routed",
    "text.started",
    "text.delta",
    "text.completed",
    "message.completed",
]
SLOW_WORDS: list[Step] = [Read(), *(Write(data) for data in (HEAD, chunk(START), chunk(HELLO), chunk(END))), Hold()]


@pytest.mark.parametrize("at", IN_THE_STREAM)
async def test_row_98_an_encoder_that_raises_in_the_stream_ends_it(tmp_path: Path, at: str) -> None:
    """It is logged as often as it raises: what it cannot write is open, and tried again, when the stream is ended."""
    async with (
        ScriptServer(SLOW_WORDS) as vendor,
        running_gateway(tmp_path, vendor.url, protocols=with_dialect(at), bugs=SOME) as gateway,
    ):
        async with asyncio.timeout(3):
            told = await ask_broken(gateway, b'{"content":"Hi"}')
        assert told == REFUSED or told.count(b"event: message.failed\n") == 1
        assert b"boom" not in told
        await until(lambda: bool(gateway.log.of("message")))
        assert [line["cause"] for line in gateway.log.of("message")] == ["internal"]
        assert {line["request_id"] for line in gateway.log.of("unhandled")} == {"r-1"}


async def test_row_98_an_encoder_that_cannot_end_its_stream_leaves_nobody_waiting(tmp_path: Path) -> None:
    async with (
        ScriptServer(SLOW_WORDS) as vendor,
        running_gateway(tmp_path, vendor.url, protocols=with_dialect("end"), bugs=SOME) as gateway,
    ):
        async with asyncio.timeout(3):
            with suppress(aiohttp.ClientError):
                await ask_broken(gateway, b'{"content":"Hi"}')
            await until(lambda: bool(gateway.log.of("message")))
        assert [line["cause"] for line in gateway.log.of("message")] == ["internal"]
        assert {line["request_id"] for line in gateway.log.of("unhandled")} == {"r-1"}


@pytest.mark.parametrize(("at", "script"), [("document", ANSWERS), ("error", [Write(response(500, b""))])])
async def test_row_98_a_dialect_that_cannot_write_its_answer_is_a_refusal(
    tmp_path: Path, at: str, script: list[Step]
) -> None:
    async with (
        ScriptServer([Read(), *script]) as vendor,
        running_gateway(tmp_path, vendor.url, protocols=with_dialect(at), bugs=ONE) as gateway,
    ):
        assert await ask_broken(gateway, b'{"content":"Hi","stream":false}') == REFUSED
        assert len(gateway.log.of("message")) == 1


async def test_row_98_a_heartbeat_that_raises_ends_its_stream_and_is_logged_once(tmp_path: Path) -> None:
    script = [Read(), Write(HEAD + chunk(START + HELLO)), Hold()]
    async with (
        ScriptServer(script) as vendor,
        running_gateway(
            tmp_path, vendor.url, protocols=with_dialect("heartbeat"), route="heartbeat = 0.4", bugs=ONE
        ) as gateway,
    ):
        told = await ask_broken(gateway, b'{"content":"Hi"}')
        assert told.count(b"event: message.failed\n") == 1
        await until(lambda: bool(gateway.log.of("message")))
        assert [line["cause"] for line in gateway.log.of("message")] == ["internal"]
        assert [line["request_id"] for line in gateway.log.of("unhandled")] == ["r-1"]

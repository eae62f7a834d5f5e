"""One message's run over real sockets: signing in for all who wait, renewing after a 401, waiting, forms."""

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.canonical.events import MessageCanceled, MessageFailed
from gateway.protocols.base import Descriptor, Form, FormPart, VendorRequest
from gateway.protocols.hardwire.translator import HardwireTranslator
from gateway.protocols.native.dialect import NativeEncoder
from gateway.protocols.registry import BUILT_IN
from gateway.relay import relay
from gateway.relay.downstream import Downstream
from gateway.relay.relay import Relay
from gateway.server.asked import Asked
from tests.support.gateway import END, HELLO, ONE, SOME, START, RecordingLog, running_gateway, told, until
from tests.support.scripts import (
    HEAD,
    LAST_CHUNK,
    Close,
    Connection,
    Hold,
    RawClient,
    Read,
    Received,
    Reset,
    ScriptServer,
    Sleep,
    Step,
    Write,
    chunk,
    request,
    response,
    unanswered_port,
)
from tests.support.stopping import cancel, running_message
from tests.support.targets import RESTART, SAID, WELL, played, running_targets, said

PASSWORD: Any = {"credentials": ["email", "password"]}
ANSWER = HEAD + chunk(START + HELLO + END) + LAST_CHUNK


class Serve(Step, frozen=True):
    """Answers every request by what it says."""

    answer: Callable[[Received], bytes]

    async def play(self, connection: Connection) -> None:
        while True:
            await Read().play(connection)
            await connection.write(self.answer(connection.requests[-1]))


class Doorman:
    """A vendor with sessions: `valid` cookies are let in, a sign-in hands out the next one."""

    def __init__(self) -> None:
        self.signed_in = 0
        self.valid: set[str] = set()
        self.refused = 0

    def answer(self, asked: Received) -> bytes:
        if asked.target == "/auth/sign-in/email":
            self.signed_in += 1
            self.valid.add(f"session=s{self.signed_in}")
            return response(200, b'{"user":{"id":"u1"}}', set_cookie=f"session=s{self.signed_in}; Path=/; HttpOnly")
        if asked.headers["Cookie"] in self.valid:
            return ANSWER
        self.refused += 1
        return response(401, b'{"code":"UNAUTHORIZED"}')


# --- signing in


async def test_ten_who_come_at_once_are_signed_in_once(tmp_path: Path) -> None:
    door = Doorman()
    async with (
        ScriptServer([Serve(door.answer)]) as vendor,
        running_gateway(tmp_path, vendor.url, **PASSWORD) as gateway,
    ):
        answers = await asyncio.gather(*(gateway.ask() for _ in range(10)))
        assert [answer.text for answer in answers] == ["Hello"] * 10
        assert (door.signed_in, door.refused) == (1, 0)
        cookies = {asked.headers["Cookie"] for asked in vendor.requests if "Cookie" in asked.headers}
        assert cookies == {"session=s1"}
        for connection in vendor.connections:
            connection.stop()


async def test_a_session_that_expires_is_renewed_once_for_all_and_each_request_repeated_once(tmp_path: Path) -> None:
    door = Doorman()
    async with (
        ScriptServer([Serve(door.answer)]) as vendor,
        running_gateway(tmp_path, vendor.url, **PASSWORD) as gateway,
    ):
        assert (await gateway.ask()).text == "Hello"
        door.valid.clear()
        answers = await asyncio.gather(*(gateway.ask() for _ in range(10)))
        assert [answer.text for answer in answers] == ["Hello"] * 10
        assert (door.signed_in, door.refused) == (2, 10)
        assert (await gateway.ask()).text == "Hello"
        assert door.signed_in == 2
        assert await gateway.outcomes() == {"completed": 12}
        for connection in vendor.connections:
            connection.stop()


async def test_a_session_that_is_refused_when_new_is_not_renewed_again(tmp_path: Path) -> None:
    door = Doorman()

    def answer(asked: Received) -> bytes:
        told = door.answer(asked)
        door.valid.clear()
        return told

    async with ScriptServer([Serve(answer)]) as vendor, running_gateway(tmp_path, vendor.url, **PASSWORD) as gateway:
        answered = await gateway.ask()
        assert (answered.status, answered.ending) == (502, ("failed", "auth", "upstream_auth"))
        assert (door.signed_in, door.refused) == (2, 2)
        for connection in vendor.connections:
            connection.stop()


async def test_a_credential_of_its_own_is_not_renewed_after_a_401(tmp_path: Path) -> None:
    script = [Read(), Write(response(401, b'{"code":"UNAUTHORIZED"}'))]
    async with ScriptServer(script) as vendor, running_gateway(tmp_path, vendor.url) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.ending) == (502, ("failed", "auth", "upstream_auth"))
        assert len(vendor.requests) == 1


WITHOUT_USER = response(200, b"not json", set_cookie="session=s1")
SIGN_INS: dict[str, tuple[list[Step], int, str]] = {
    "refused": ([Read(), Write(response(401, b'{"code":"UNAUTHORIZED"}'))], 502, "auth"),
    "forbidden": ([Read(), Write(response(403, b"<html>"))], 502, "auth"),
    "failing": ([Read(), Write(response(500, b"sk-123"))], 503, "status_5xx"),
    "redirected": ([Read(), Write(response(302, b"", location="http://127.0.0.2/"))], 502, "redirect"),
    "without a cookie": ([Read(), Write(response(200, b'{"user":{"id":"u1"}}'))], 502, "protocol"),
    "without a user": ([Read(), Write(WITHOUT_USER), Read(), Write(response(200, b"null"))], 502, "auth"),
    "reset": ([Read(), Reset()], 503, "reset_before_headers"),
    "garbage": ([Read(), Write(b"hello\r\n\r\n")], 502, "protocol"),
    "too large": ([Read(), Write(response(200, b"x" * 70_000))], 502, "too_large"),
    "compressed": ([Read(), Write(response(200, b"\x1f\x8b", content_encoding="gzip"))], 502, "encoding"),
    "cut": ([Read(), Write(response(200, b'{"user":{"id":"u1"}}')[:-1])], 503, "reset_midstream"),
}


async def test_nobody_signs_in_again_before_the_vendor_allows_it(tmp_path: Path) -> None:
    limited: list[Step] = [Read(), Write(response(429, b"", retry_after="3"))]
    async with ScriptServer(limited) as vendor, running_gateway(tmp_path, vendor.url, **PASSWORD) as gateway:
        first = await gateway.ask()
        assert (first.status, first.headers["Retry-After"], first.ending[1]) == (429, "3", "rate_limited")
        async with gateway.session.post("/v1/messages", json={"content": "Hi"}) as second:
            assert (second.status, second.headers["Retry-After"]) == (429, "3")
        assert len(vendor.requests) == 1


@pytest.mark.parametrize(("script", "status", "cause"), SIGN_INS.values(), ids=SIGN_INS)
async def test_a_sign_in_that_fails_is_told_and_tried_anew_by_the_next_message(
    tmp_path: Path, script: list[Step], status: int, cause: str
) -> None:
    door = Doorman()
    async with (
        ScriptServer(script, [Serve(door.answer)]) as vendor,
        running_gateway(tmp_path, vendor.url, **PASSWORD) as gateway,
    ):
        first = await gateway.ask()
        assert (first.status, first.ending[1]) == (status, cause)
        assert b"sk-123" not in first.body
        assert [asked.method for asked in vendor.connections[0].requests][:1] == ["POST"]
        assert (await gateway.ask()).text == "Hello"
        for connection in vendor.connections:
            connection.stop()


async def test_a_sign_in_on_a_kept_connection_that_turns_out_closed_is_repeated_on_a_new_one(tmp_path: Path) -> None:
    door = Doorman()
    refused = response(401, b'{"code":"UNAUTHORIZED"}')
    async with (
        ScriptServer([Read(), Write(refused), Read(), Close()], [Serve(door.answer)]) as vendor,
        running_gateway(tmp_path, vendor.url, **PASSWORD) as gateway,
    ):
        assert (await gateway.ask()).status == 502
        assert (await gateway.ask()).text == "Hello"
        assert [asked.target for asked in vendor.connections[0].requests] == ["/auth/sign-in/email"] * 2
        assert door.signed_in == 1
        for connection in vendor.connections:
            connection.stop()


async def test_a_sign_in_that_hangs_meets_the_first_event_deadline_and_holds_up_nobody_after_it(
    tmp_path: Path,
) -> None:
    door = Doorman()
    async with (
        ScriptServer([Read(), Hold()], [Serve(door.answer)]) as vendor,
        running_gateway(tmp_path, vendor.url, **PASSWORD) as gateway,
    ):
        async with asyncio.timeout(3):
            first = await gateway.ask()
        assert (first.status, first.ending) == (504, ("failed", "first_event_timeout", "upstream_timeout"))
        await vendor.connections[0].left(within=1)
        assert (await gateway.ask()).text == "Hello"
        for connection in vendor.connections:
            connection.stop()


async def test_a_sign_in_goes_on_for_the_others_when_the_first_who_came_leaves(tmp_path: Path) -> None:
    door = Doorman()
    may_answer = asyncio.Event()

    class Late(Step, frozen=True):
        async def play(self, connection: Connection) -> None:
            await Read().play(connection)
            await may_answer.wait()
            await connection.write(door.answer(connection.requests[-1]))
            await Serve(door.answer).play(connection)

    async with (
        ScriptServer([Late()], [Serve(door.answer)]) as vendor,
        running_gateway(tmp_path, vendor.url, deadlines={"first_event": 10, "total": 10}, **PASSWORD) as gateway,
    ):
        first = asyncio.create_task(gateway.ask())
        await (await vendor.connection()).heard(b"/auth/sign-in/email")
        second = asyncio.create_task(gateway.ask())
        while await gateway.count("gateway_open_streams") < 2:  # noqa: ASYNC110  (no event is set for it)
            await asyncio.sleep(0.01)
        first.cancel()
        await until(lambda: len(gateway.log.of("message")) == 1)
        may_answer.set()
        assert (await second).text == "Hello"
        assert door.signed_in == 1
        assert [line["cause"] for line in gateway.log.of("message")] == ["client_gone", "completed"]
        for connection in vendor.connections:
            connection.stop()


# --- other requests


async def test_a_request_that_has_to_wait_waits(tmp_path: Path) -> None:
    begin = b'data: {"type":"start","messageId":"m1"}\n\n'
    call = (
        b'data: {"type":"tool-input-available","toolCallId":"c1","toolName":"look","input":{}}\n\n'
        b'data: {"type":"finish","finishReason":"tool-calls","messageMetadata":{"conversationId":"v1"}}\n\n'
    )
    words = b'data: {"type":"text-delta","id":"t","delta":"Seen"}\n\ndata: {"type":"finish","finishReason":"stop"}\n\n'
    tries: list[float] = []

    def answer(asked: Received) -> bytes:
        if asked.target.endswith("/tool-result"):
            tries.append(time.monotonic())
            missing = response(404, b'{"error":{"code":"RESOURCE_TOOL_CALL_NOT_FOUND"}}')
            return missing if len(tries) < 3 else response(200, b'{"data":{"success":true}}')
        return HEAD + chunk(begin + (words if tries else call)) + LAST_CHUNK

    async with (
        ScriptServer([Serve(answer)]) as vendor,
        running_gateway(
            tmp_path,
            vendor.url,
            protocol="chatbase",
            credentials=["api_key"],
            target='agent = "agent-1"',
            deadlines={"first_event": 20, "total": 20},
        ) as gateway,
    ):
        first = await gateway.ask()
        assert first.terminal.pending_tool_calls == ["c1"]
        result: Any = [{"type": "tool_result", "tool_call_id": "c1", "output": 1}]
        second = await gateway.ask(result, conversation_id=first.line["conversation_id"])
        assert second.text == "Seen"
        first_wait, second_wait = tries[1] - tries[0], tries[2] - tries[1]
        assert first_wait > 0.25
        assert second_wait > 0.55
        for connection in vendor.connections:
            connection.stop()


def with_(**methods: Callable[..., Any]) -> Mapping[str, Descriptor]:
    changed = type("Changed", (HardwireTranslator,), methods)
    return {**BUILT_IN, "hardwire": msgspec.structs.replace(BUILT_IN["hardwire"], translator=changed)}


async def test_a_wait_that_is_too_long_meets_the_first_event_deadline(tmp_path: Path) -> None:
    def requests(_self: Any, _turn: Any) -> Any:
        yield VendorRequest("GET", "/late", after=60)

    async with (
        ScriptServer([Hold()]) as vendor,
        running_gateway(tmp_path, vendor.url, protocols=with_(requests=requests), deadlines={"connect": 30}) as gateway,
    ):
        answer = await gateway.ask()
        assert answer.ending == ("failed", "first_event_timeout", "upstream_timeout")
        assert vendor.connections == []


async def test_a_form_is_sent_as_multipart(tmp_path: Path) -> None:
    parts = FormPart("note", b"hi"), FormPart("file", b"\0\xff\r\n", 'a "b".bin', "application/x-bin")

    def requests(_self: Any, _turn: Any) -> Any:
        yield VendorRequest("POST", "/upload", body=Form(parts))

    async with (
        ScriptServer([Read(), Write(response(500, b""))]) as vendor,
        running_gateway(tmp_path, vendor.url, protocols=with_(requests=requests)) as gateway,
    ):
        await gateway.ask()
        [asked] = vendor.requests
        media_type, _, boundary = asked.headers["Content-Type"].partition("; boundary=")
        line = b"--" + boundary.encode()
        assert media_type == "multipart/form-data"
        assert asked.body.startswith(line)
        assert asked.body.endswith(line + b"--\r\n")
        note, file = asked.body.split(line)[1:-1]
        assert b'name="note"' in note
        assert note.endswith(b"\r\n\r\nhi\r\n")
        assert b"Content-Type: application/x-bin" in file
        assert file.endswith(b"\r\n\r\n\0\xff\r\n\r\n")


async def test_documents_between_requests_are_read_whole_and_capped(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def requests(self: Any, turn: Any) -> Any:
        answer = yield VendorRequest("GET", "/first")
        seen.append(answer.body)
        yield from HardwireTranslator.requests(self, turn)

    large = response(200, b"x" * 3_000_000)
    async with (
        ScriptServer(
            [Read(), Write(response(200, b'{"a":1}')), Read(), *told(START, HELLO, END), Read(), Close()],
            [Read(), Write(large)],
        ) as vendor,
        running_gateway(tmp_path, vendor.url, protocols=with_(requests=requests)) as gateway,
    ):
        assert (await gateway.ask()).text == "Hello"
        assert seen == [b'{"a":1}']
        assert (len(vendor.connections), len(vendor.requests)) == (1, 2)
        answer = await gateway.ask()  # its first request finds the kept connection closed, and is repeated
        assert (answer.status, answer.ending) == (502, ("failed", "too_large", "upstream_protocol"))
        assert [asked.target for asked in vendor.requests[-2:]] == ["/first", "/first"]


# --- a client that reads slowly


async def test_a_client_that_reads_on_in_time_gets_it_all(tmp_path: Path) -> None:
    flood = chunk(b'data: {"type":"content","delta":"%b"}\n\n' % (b"x" * 16_384)) * 300
    script = [Read(), Write(HEAD + chunk(START) + flood), *told(END)[1:], Hold()]
    tables = "[limits]\nmax_message = 1_000_000_000"
    async with (
        ScriptServer(script) as vendor,
        running_gateway(tmp_path, vendor.url, tables=tables) as gateway,
        RawClient(gateway.url, receive_buffer=65_536) as client,
    ):
        await client.send(request("POST", "/v1/messages", b'{"content":"Hi"}', ["Content-Type: application/json"]))
        await (await vendor.connection()).stalled()
        answer = await client.read_until(b"message.completed", within=10)
        assert answer.count(b"event: text.delta") == 300
        client.close()
        await until(lambda: bool(gateway.log.of("message")))
        vendor.connections[0].stop()


async def test_a_client_that_reads_slowly_while_we_connect_delays_no_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but heartbeats was sent by then, and there is no vendor to pause."""
    write = Downstream.write

    def write_to_the_brim(downstream: Downstream, data: bytes) -> bool:
        write(downstream, data)
        return False

    monkeypatch.setattr(Downstream, "write", write_to_the_brim)
    monkeypatch.setattr(relay, "SWEEP_INTERVAL", 0.05)
    route = "headers_after = 0.1\nheartbeat = 0.1"
    async with (
        unanswered_port() as port,
        running_gateway(tmp_path, f"http://127.0.0.1:{port}", route=route) as gateway,
    ):
        answer = await gateway.ask()
        assert answer.ending == ("failed", "connect_timeout", "upstream_timeout")
        assert 0.5 < answer.line["duration"] < 1.5


class SlowClient:
    """One that stops reading once it is sent what the first vendor says, until `reads_on`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads_on = asyncio.Event()
        self.reads_on.set()
        write = Downstream.write

        def write_to_the_brim(downstream: Downstream, data: bytes) -> bool:
            keeps_up = write(downstream, data)
            if b"From acme" in data:
                self.reads_on.clear()
            return keeps_up and self.reads_on.is_set()

        async def drain(_downstream: Downstream, _deadline: float) -> None:
            await self.reads_on.wait()

        monkeypatch.setattr(Downstream, "write", write_to_the_brim)
        monkeypatch.setattr(Downstream, "drain", drain)


async def test_a_vendor_whose_answer_breaks_off_is_left_though_the_client_reads_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = SlowClient(monkeypatch)
    vendors = {"acme": played([Read(), Write(SAID + chunk(b"data: not json\n\n")), Hold()]), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, route=RESTART) as gateway:
        asking = asyncio.create_task(gateway.ask())
        await (await gateway.vendors["acme"].connection()).left(within=3)
        assert not client.reads_on.is_set()
        client.reads_on.set()
        assert said(await asking) == "Hello"
        assert gateway.hits == {"acme": 1, "spare": 1}


async def test_the_next_target_has_all_its_time_though_the_client_reads_slowly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = SlowClient(monkeypatch)
    monkeypatch.setattr(relay, "SWEEP_INTERVAL", 0.05)
    vendors = {
        "acme": played([Read(), Write(SAID + LAST_CHUNK)]),
        "spare": played(
            [Read(), Sleep(0.3), *WELL[1:]],
            target="deadlines = { connect = 5, first_event = 1, idle = 10, total = 20 }",
        ),
    }
    async with running_targets(tmp_path, vendors, route=RESTART) as gateway:
        asking = asyncio.create_task(gateway.ask())
        await until(lambda: not client.reads_on.is_set())
        await asyncio.sleep(1.1)
        client.reads_on.set()
        assert (said(await asking), gateway.hits) == ("Hello", {"acme": 1, "spare": 1})


# --- being stopped


async def test_a_timeout_that_is_none_of_ours_is_a_bug_and_not_waited_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def prepare(_self: Any, _target: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(Asked, "is_prepared", lambda _self, _target: False)
    monkeypatch.setattr(Asked, "prepare", prepare)
    async with running_gateway(tmp_path, "http://127.0.0.1:9", bugs=ONE) as gateway:
        async with asyncio.timeout(5):
            answer = await gateway.ask()
        assert (answer.status, answer.ending) == (500, ("failed", "internal", "internal"))


async def test_a_dialect_that_cannot_write_the_end_does_not_keep_a_message_from_being_canceled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = NativeEncoder.event

    def write_all_but_the_end(encoder: NativeEncoder, sequence: int, told: Any) -> bytes:
        if isinstance(told, (MessageCanceled, MessageFailed)):
            raise ZeroDivisionError
        return event(encoder, sequence, told)

    monkeypatch.setattr(NativeEncoder, "event", write_all_but_the_end)
    script = [Read(), Write(HEAD + chunk(START) + chunk(HELLO)), Hold()]
    async with (
        ScriptServer(script) as vendor,
        running_gateway(tmp_path, vendor.url, bugs=SOME) as gateway,
        gateway.session.post("/v1/messages", json={"content": "Hi"}) as answer,
    ):
        await answer.content.readuntil(b'"delta":"Hello"')
        message_id = (await running_message(gateway.session))["id"]
        status, told = await cancel(gateway.session, message_id)
        assert (status, told["status"]) == (200, "failed")
        await (await vendor.connection()).left(within=1)


# --- the clock of all


async def test_a_bug_in_one_run_does_not_stop_the_clock_of_all() -> None:
    bugs: list[BaseException] = []
    swept = asyncio.Event()

    class Broken:
        def sweep(self, _now: float) -> None:
            raise RuntimeError("boom")

    class Sound:
        def sweep(self, _now: float) -> None:
            swept.set()

    async with Relay({}, on_bug=bugs.append) as running:
        running.runs |= {Broken(), Sound()}  # type: ignore[arg-type]  # all that the sweeper asks of a run
        async with asyncio.timeout(2):
            await swept.wait()
            swept.clear()
            await swept.wait()
    assert [str(bug) for bug in bugs[:2]] == ["boom", "boom"]


def test_the_recording_log_leaves_out_what_the_real_one_leaves_out() -> None:
    log = RecordingLog(["s3cret-s3cret"])
    log.warning("asked", cookie="a=b", text="with s3cret-s3cret in it")
    log.error("failed", exc_info=ValueError("s3cret-s3cret"))
    assert log.lines == [
        {"event": "asked", "level": "warning", "cookie": "[redacted]", "text": "with [redacted] in it"},
        {"event": "failed", "level": "error", "exception": "ValueError: [redacted]\n"},
    ]

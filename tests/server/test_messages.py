"""`POST /v1/messages` as a client sees it: the stream, the document, the conversation, and what is told when."""

import asyncio
import time
from pathlib import Path

import msgspec
import pytest

from gateway.canonical.events import MessageCompleted, MessageFailed, MessageStarted, TextDelta, VendorEvent
from gateway.canonical.message import Message, TextPart
from gateway.protocols.native.dialect import NativeDialect
from tests.support.gateway import END, HELLO, START, told
from tests.support.scripts import HEAD, Close, Hold, Read, ScriptServer, Wait, Write, chunk, request, response
from tests.support.served import DEMO, scripted, serving

JSON_TYPE = "Content-Type: application/json"


@pytest.mark.parametrize("route", ["hardwire", "chatbase"])
async def test_a_document_has_the_text_that_the_stream_spells(route: str, tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        streamed = await gateway.post({"route": route, "content": "Explain it"})
        whole = await gateway.post({"route": route, "content": "Explain it", "stream": False})
    assert (streamed.status, streamed.headers["Content-Type"]) == (200, "text/event-stream")
    assert streamed.headers["Cache-Control"] == "no-cache, no-transform"
    assert streamed.headers["X-Accel-Buffering"] == "no"
    text = "".join(event.delta for event in streamed.events if isinstance(event, TextDelta))
    started, completed = streamed.events[0], streamed.events[-1]
    assert isinstance(started, MessageStarted)
    assert isinstance(completed, MessageCompleted)
    assert (started.route, completed.vendor, completed.finish_reason) == (route, route, "stop")
    assert (whole.status, whole.headers["Content-Type"]) == (200, "application/json")
    message = msgspec.json.decode(whole.body, type=Message)
    assert "".join(part.text for part in message.parts if isinstance(part, TextPart)) == text != ""
    assert (message.role, message.status, message.finish_reason, message.route, message.vendor) == (
        "assistant",
        "completed",
        "stop",
        route,
        route,
    )


async def test_the_default_route_answers_where_none_is_named(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        reply = await gateway.post({"content": "Hi"})
    assert isinstance(reply.events[0], MessageStarted)
    assert reply.events[0].route == "hardwire"


async def test_without_a_default_route_one_must_be_named(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO.replace('default_route = "hardwire"', "")) as gateway:
        reply = await gateway.post({"content": "Hi"})
    assert (reply.status, reply.error["code"], reply.error["details"]) == (400, "bad_request", {"path": "$.route"})


async def test_every_frame_leaves_at_once(tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    script = [Read(), Write(HEAD + chunk(START) + chunk(HELLO)), Wait(goes_on), Write(chunk(END)), Hold()]
    async with (
        ScriptServer(script) as vendor,
        serving(tmp_path, scripted(vendor.url)) as gateway,
        gateway.raw() as client,
    ):
        await client.send(request("POST", "/v1/messages", b'{"content":"Hi"}', [JSON_TYPE]))
        await client.read_until(b'"delta":"Hello"}\n\n')
        goes_on.set()
        await client.read_until(b"0\r\n\r\n")


async def test_a_client_of_http_1_0_gets_the_stream_without_chunks(tmp_path: Path) -> None:
    async with (
        ScriptServer([Read(), *told(START, HELLO, END), Hold()]) as vendor,
        serving(tmp_path, scripted(vendor.url)) as gateway,
        gateway.raw() as client,
    ):
        whole = request("POST", "/v1/messages", b'{"content":"Hi"}', [JSON_TYPE])
        await client.send(whole.replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = await client.read_all()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"chunked" not in head.lower()
    assert body.startswith(b"id: 0\nevent: message.started\n")
    assert body.rstrip().rpartition(b"\n")[2].startswith(b'data: {"type":"message.completed"')


async def test_two_messages_travel_on_one_connection(tmp_path: Path) -> None:
    ask = request("POST", "/v1/messages", b'{"content":"Hi"}', [JSON_TYPE])
    async with (
        ScriptServer([Read(), *told(START, HELLO, END), Read(), *told(START, HELLO, END), Hold()]) as vendor,
        serving(tmp_path, scripted(vendor.url)) as gateway,
        gateway.raw() as client,
    ):
        for _ in range(2):
            await client.send(ask)
            assert b"message.completed" in await client.read_until(b"\r\n0\r\n\r\n")


# --- what is told when


async def test_a_silent_vendor_is_bridged_by_the_start_and_heartbeats_and_its_failure_travels_in_the_stream(
    tmp_path: Path,
) -> None:
    fails = asyncio.Event()
    route = "headers_after = 0.5\nheartbeat = 0.5"
    script = [Read(), Wait(fails), Write(response(500, b"{}")), Close()]
    async with (
        ScriptServer(script) as vendor,
        serving(tmp_path, scripted(vendor.url, route)) as gateway,
        gateway.raw() as client,
    ):
        began = time.monotonic()
        await client.send(request("POST", "/v1/messages", b'{"content":"Hi"}', [JSON_TYPE]))
        head = await client.read_until(b"event: message.started")
        assert 0.4 < time.monotonic() - began < 1.4
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        await client.read_until(b": heartbeat\n\n")
        assert time.monotonic() - began < 2.4
        await client.read_until(b": heartbeat\n\n")
        fails.set()
        rest = await client.read_until(b"\r\n0\r\n\r\n")
    assert b"event: message.failed" in rest
    assert b'"code":"upstream_unavailable"' in rest


async def test_a_vendor_that_fails_before_the_start_is_an_http_status(tmp_path: Path) -> None:
    refusal = response(500, b'{"error":"secret-text"}')
    async with (
        ScriptServer([Read(), Write(refusal), Close()]) as vendor,
        serving(tmp_path, scripted(vendor.url)) as gateway,
    ):
        reply = await gateway.post({"content": "Hi"})
    assert (reply.status, reply.error["code"], reply.error["vendor"], reply.error["vendor_status"]) == (
        503,
        "upstream_unavailable",
        "acme",
        500,
    )
    assert b"secret-text" not in reply.body


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_a_vendor_that_never_answers_the_sign_in_is_given_up_at_the_deadline(
    tmp_path: Path, *, stream: bool
) -> None:
    config = scripted("URL").replace("cookie", "email").replace("user_id", "password")
    config = config.replace('model = "m"', 'model = "m", deadlines = { first_event = 0.5 }')
    async with (
        ScriptServer([Read(), Hold()]) as vendor,
        serving(tmp_path, config.replace("URL", vendor.url)) as gateway,
    ):
        async with asyncio.timeout(3):
            reply = await gateway.post({"content": "Hi", "stream": stream})
    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")


async def test_a_retry_hint_that_is_over_the_deadline_is_told_in_the_header_too(tmp_path: Path) -> None:
    refusal = response(429, b"{}", retry_after="7")
    config = scripted("URL").replace('model = "m"', 'model = "m", deadlines = { first_event = 5 }')
    async with (
        ScriptServer([Read(), Write(refusal), Close()]) as vendor,
        serving(tmp_path, config.replace("URL", vendor.url)) as gateway,
    ):
        reply = await gateway.post({"content": "Hi"})
    assert (reply.status, reply.error["retry_after"], reply.headers["Retry-After"]) == (429, 7, "7")


async def test_a_document_that_fails_half_way_shows_what_there_is(tmp_path: Path) -> None:
    async with (
        ScriptServer([Read(), *told(START, HELLO), Close()]) as vendor,
        serving(tmp_path, scripted(vendor.url)) as gateway,
    ):
        reply = await gateway.post({"content": "Hi", "stream": False})
    assert (reply.status, reply.error["code"]) == (502, "upstream_protocol")
    partial = reply.error["details"]["message"]
    assert (partial["status"], [part["text"] for part in partial["parts"]]) == ("failed", ["Hello"])


async def test_a_stream_that_fails_half_way_ends_with_one_failure(tmp_path: Path) -> None:
    async with (
        ScriptServer([Read(), *told(START, HELLO), Close()]) as vendor,
        serving(tmp_path, scripted(vendor.url)) as gateway,
    ):
        reply = await gateway.post({"content": "Hi"})
    assert reply.status == 200
    failed = reply.events[-1]
    assert isinstance(failed, MessageFailed)
    assert (failed.error.code, failed.error.request_id) == ("upstream_protocol", reply.headers["X-Request-Id"])


@pytest.mark.parametrize(("route", "shown"), [("vendor_events = true", 1), ("", 0)])
async def test_unknown_vendor_events_are_shown_only_where_the_route_asks(
    route: str, shown: int, tmp_path: Path
) -> None:
    sparkle = b'data: {"type":"sparkle","glitter":1}\n\n'
    async with (
        ScriptServer([Read(), *told(START, sparkle, HELLO, END), Hold()]) as vendor,
        serving(tmp_path, scripted(vendor.url, route)) as gateway,
    ):
        reply = await gateway.post({"content": "Hi"})
        assert await gateway.samples("gateway_unknown_vendor_events_total") == {("hardwire",): 1}
    events = [event for event in reply.events if isinstance(event, VendorEvent)]
    assert [(event.vendor, event.name) for event in events] == [("acme", "sparkle")] * shown


async def test_the_access_line_and_the_metrics_tell_of_each_message_once(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        await gateway.post({"content": "Hi", "user_id": "u-1"}, X_Request_Id="r-1")
        await gateway.post({"content": "[fault:status-500] Hi", "route": "chatbase"}, X_Request_Id="r-2")
        lines = [
            (line["request_id"], line["outcome"], line["cause"], line["code"]) for line in gateway.log.of("message")
        ]
        assert lines == [
            ("r-1", "completed", "completed", None),
            ("r-2", "failed", "status_5xx", "upstream_unavailable"),
        ]
        assert await gateway.samples("gateway_messages_total") == {
            ("completed", "hardwire", "hardwire"): 1,
            ("failed", "chatbase", "chatbase"): 1,
        }
        assert await gateway.samples("gateway_open_streams") == {(): 0}


async def test_what_is_asked_for_in_vain_is_counted_and_logged_by_its_name(tmp_path: Path) -> None:
    asked = {
        "content": "Hi",
        "user_id": "u-1",
        "metadata": {"team": "blue"},
        "parameters": {"seed": 7, "temperature": 0.5},
        "vendor_options": {"openai_chat": {"top_k": 3, "verbosity": "low"}, "chatbase": {}},
    }
    async with serving(tmp_path, DEMO) as gateway:
        for route in ("hardwire", "chatbase"):
            await gateway.post({**asked, "route": route})
        await gateway.post({"content": "Hi", "route": "hardwire"})
        assert await gateway.samples("gateway_ignored_options_total") == {
            ("user_id", "hardwire"): 1,
            **{
                (option, protocol): 1
                for protocol in ("hardwire", "chatbase")
                for option in (
                    "metadata",
                    "parameters.seed",
                    "parameters.temperature",
                    "openai_chat.top_k",
                    "openai_chat.verbosity",
                )
            },
        }
        given = "parameters.temperature,parameters.seed,openai_chat.verbosity,openai_chat.top_k"
        assert [line["ignored"] for line in gateway.log.of("message")] == [
            f"user_id,metadata,{given}",
            f"metadata,{given}",
            None,
        ]


async def test_no_word_of_a_message_or_its_answer_is_logged(tmp_path: Path) -> None:
    asked: dict[str, object] = {"content": "canary", "user_id": "canary", "metadata": {"canary": "canary"}}
    spoken = b'data: {"type":"content","delta":"canary"}\n\n'
    script = [Read(), *told(START, spoken, END), Read(), *told(START, spoken), Close()]
    async with ScriptServer(script) as vendor, serving(tmp_path, scripted(vendor.url)) as gateway:
        for stream in (True, False):
            await gateway.post({**asked, "stream": stream})
        await gateway.post({**asked, "route": "canary"})
        assert len(gateway.log.lines) == 3
        assert "canary" not in repr(gateway.log.lines)


# --- conversations


async def test_the_second_turn_goes_to_the_vendors_own_conversation(tmp_path: Path) -> None:
    async with ScriptServer([Read(), *told(START, HELLO, END), Read(), *told(START, HELLO, END), Hold()]) as vendor:
        async with serving(tmp_path, scripted(vendor.url)) as gateway:
            first = (await gateway.post({"content": "One", "stream": False})).document
            second = (
                await gateway.post({"content": "Two", "stream": False, "conversation_id": first["conversation_id"]})
            ).document
        targets = [received.target for received in vendor.requests]
    assert first["conversation_id"] == second["conversation_id"]
    assert first["id"] != second["id"]
    assert targets == [f"/chats/{first['vendor_ids']['conversation']}/messages/stream"] * 2


async def test_a_conversation_that_a_document_of_chatbase_began_is_continued_by_a_stream(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        first = (await gateway.post({"route": "chatbase", "content": "One", "stream": False})).document
        second = await gateway.post(
            {"route": "chatbase", "content": "Two", "conversation_id": first["conversation_id"]}
        )
    completed = second.events[-1]
    assert isinstance(completed, MessageCompleted)
    assert completed.vendor_ids["conversation"] == first["vendor_ids"]["conversation"]


async def test_an_unknown_conversation_is_not_found(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        reply = await gateway.post({"content": "Hi", "conversation_id": "conv_unknown"})
    assert (reply.status, reply.error["code"], reply.error["message"]) == (404, "not_found", "no such conversation")


async def test_two_messages_of_one_conversation_at_once_conflict(tmp_path: Path) -> None:
    ends = asyncio.Event()
    slow = [Write(HEAD + chunk(START) + chunk(HELLO)), Wait(ends), Write(chunk(END) + b"0\r\n\r\n")]
    script = [Read(), *told(START, HELLO, END), Read(), *slow, Read(), *told(START, HELLO, END), Hold()]
    async with ScriptServer(script) as vendor, serving(tmp_path, scripted(vendor.url)) as gateway:
        first = (await gateway.post({"content": "One", "stream": False})).document
        body = {"content": "Two", "conversation_id": first["conversation_id"]}
        running = asyncio.create_task(gateway.post(body))
        await (await vendor.connection()).heard(b"Two")
        refused = await gateway.post(body)
        ends.set()
        completed = await running
        later = await gateway.post({**body, "content": "Three"})
        assert len(vendor.requests) == 3
    assert (refused.status, refused.error["code"], refused.error["retryable"]) == (409, "conflict", True)
    assert isinstance(completed.events[-1], MessageCompleted)
    assert isinstance(later.events[-1], MessageCompleted)


async def test_a_conversation_is_free_again_after_a_failure(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        first = (await gateway.post({"content": "One", "stream": False})).document
        body = {"stream": False, "conversation_id": first["conversation_id"]}
        failed = await gateway.post({**body, "content": "[fault:status-500] Two"})
        third = await gateway.post({**body, "content": "Three"})
    assert [failed.status, third.status] == [503, 200]


async def test_a_dialect_that_fails_at_its_headers_has_ended_its_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_dialect: NativeDialect, _request_id: str) -> dict[str, str]:
        raise ZeroDivisionError

    async with serving(tmp_path, DEMO) as gateway:
        first = (await gateway.post({"content": "One", "stream": False})).document
        body = {"content": "Two", "conversation_id": first["conversation_id"]}
        with monkeypatch.context() as patched:
            patched.setattr(NativeDialect, "headers", fail)
            failed = await gateway.post(body)
        after = await gateway.post({**body, "stream": False})
        listed = await gateway.ask("GET", f"/v1/conversations/{first['conversation_id']}/messages")
    assert (failed.status, failed.error["code"], after.status) == (500, "internal", 200)
    answers = [each for each in listed.document["data"] if each["role"] == "assistant"]
    assert [each["status"] for each in answers] == ["completed", "failed", "completed"]
    assert answers[1]["error"]["code"] == "internal"


async def test_a_message_that_is_refused_makes_no_conversation_busy(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        first = (await gateway.post({"content": "One", "stream": False})).document
        body = {"content": "Two", "stream": False, "conversation_id": first["conversation_id"]}
        refused = await gateway.post({**body, "vendor_options": {"nobody": {}}})
        after = await gateway.post(body)
    assert [refused.status, after.status] == [400, 200]

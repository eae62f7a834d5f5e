"""Chatbase, upstream: each recorded stream becomes the events beside it; requests, refusals and oddities one by one."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    Notice,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    Source,
    StepCompleted,
    StepStarted,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.message import FilePart, ImagePart, InputResponsePart, TextPart, ToolResultPart
from gateway.canonical.turn import AskPart, HistoryMessage, NamedTool, Parameters, Tool, Turn
from gateway.framing.lines import JsonDecoder
from gateway.framing.record import Record
from gateway.framing.sse import LenientSseDecoder
from gateway.framing.typed import Malformed
from gateway.protocols.base import Authorization, VendorRequest, VendorResponse
from gateway.protocols.chatbase import CHATBASE
from gateway.protocols.chatbase.translator import ChatbaseTarget, ChatbaseTranslator
from tests.support.translating import Told, ask, failure, framed, heard, logged, records, refuse, refused, sign_in

EXAMPLES = Path(__file__).parent / "examples"
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
STREAM_HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream"}


def make(**settings: Any) -> ChatbaseTranslator:
    return ChatbaseTranslator(ChatbaseTarget("5QHA6VB", **settings), Blocks(Numbering()))


def start(turn: Turn, **settings: Any) -> ChatbaseTranslator:
    """A translator whose one request went out."""
    translator = make(**settings)
    next(translator.requests(turn))
    return translator


def play(name: str, translator: ChatbaseTranslator) -> None:
    framing = JsonDecoder() if name.endswith(".json") else LenientSseDecoder()
    heard(translator, records(framing, (EXAMPLES / name).read_bytes()))


def read(translator: ChatbaseTranslator, *frames: str) -> Told:
    return heard(translator, framed(*frames))


def bound(conversation: str) -> ChatbaseTranslator:
    return start(ask(TextPart("hi"), vendor_ids={"conversation": conversation}))


# --- examples


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("dossier-sdk", {"conversation": "conv-1", "message": "msg-1", "user_message": "user-1"}),
        (
            "dossier-client-action",
            {
                "conversation": "a1b2c3d4-e5f6-4a7b-8c9d-0e1f2a3b4c5d",
                "message": "msg_1",
                "user_message": "msg_0",
            },
        ),
        ("dossier-error", {"message": "msg-2"}),
        (
            "metadata-after-finish",
            {
                "conversation": "40f838c7-5ee0-5b89-956d-9d22cfd1107f",
                "message": "msg_1",
                "user_message": "msg_0",
            },
        ),
        ("finish-metadata", {"conversation": "40f838c7-5ee0-5b89-956d-9d22cfd1107f", "message": "msg_1"}),
    ],
)
def test_the_vendor_ids_are_kept_wherever_they_stand(name: str, ids: dict[str, str]) -> None:
    translator = make()
    play(f"{name}.sse", translator)
    assert translator.vendor_ids == ids


def test_a_document_says_the_vendor_ids_too() -> None:
    translator = start(ask(TextPart("hi"), stream=False), upstream_stream=False)
    play("sync-stop.json", translator)
    assert translator.vendor_ids == {
        "conversation": "40f838c7-5ee0-5b89-956d-9d22cfd1107f",
        "message": "msg_1",
        "user_message": "msg_0",
    }


# --- requests


def test_a_first_message_opens_a_conversation_for_its_user() -> None:
    calls = make().requests(ask(TextPart("Where is order 42?"), user_id="user_abc123"))
    assert next(calls) == VendorRequest(
        "POST",
        "/agents/5QHA6VB/chat",
        headers=STREAM_HEADERS,
        body=b'{"message":"Where is order 42?","stream":true,"userId":"user_abc123"}',
        framing=LenientSseDecoder,
        effect="once",
    )
    with pytest.raises(StopIteration):
        calls.send(VendorResponse(200, CIMultiDict()))


def test_a_further_message_names_its_conversation_and_no_user() -> None:
    turn = ask(TextPart("And 43?"), user_id="user_abc123", vendor_ids={"conversation": "conv-1"})
    assert list(make().requests(turn)) == [
        VendorRequest(
            "POST",
            "/agents/5QHA6VB/chat",
            headers=STREAM_HEADERS,
            body=b'{"message":"And 43?","conversationId":"conv-1","stream":true}',
            framing=LenientSseDecoder,
            effect="once",
        )
    ]


def test_a_message_without_a_user_names_none() -> None:
    (request,) = make().requests(ask(TextPart("hi")))
    assert request.body == b'{"message":"hi","stream":true}'


def test_a_document_is_asked_for_where_neither_client_nor_target_streams() -> None:
    (request,) = make(upstream_stream=False).requests(ask(TextPart("hi"), stream=False))
    assert request == VendorRequest(
        "POST",
        "/agents/5QHA6VB/chat",
        headers=JSON_HEADERS,
        body=b'{"message":"hi","stream":false}',
        framing=JsonDecoder,
        effect="once",
    )


@pytest.mark.parametrize(("client", "target"), [(True, False), (False, True)])
def test_a_stream_is_asked_for_where_the_client_or_the_target_streams(*, client: bool, target: bool) -> None:
    (request,) = make(upstream_stream=target).requests(ask(TextPart("hi"), stream=client))
    assert (request.body, request.framing) == (b'{"message":"hi","stream":true}', LenientSseDecoder)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("a.B_c-9", "a.B_c-9"),
        ("x" * 128, "x" * 128),
        ("x" * 129, "u-0ec9eb33e74510bcdd1f2ea55206e82f21649c5c2becbf2b433eb475b34c01bd"),
        ("ann@example.com", "u-71d4f55f72fa128dfb468a1a3901507c804b74316488744d769d7f4b16696476"),
        ("user\n", "u-6d9010b2b7a1483b256ae7477738dba7c530bd9ba53db1d6691441e74b83608a"),
    ],
)
def test_a_user_id_that_the_vendor_refuses_is_hashed(ours: str, theirs: str) -> None:
    (request,) = make().requests(ask(TextPart("hi"), user_id=ours))
    sent = json.loads(bytes_of(request))["userId"]
    assert sent == theirs


def bytes_of(request: VendorRequest) -> bytes:
    assert isinstance(request.body, bytes)
    return request.body


def test_the_agent_is_percent_encoded() -> None:
    translator = ChatbaseTranslator(ChatbaseTarget("a/b c"), Blocks(Numbering()))
    (request,) = translator.requests(ask(TextPart("hi")))
    assert request.path == "/agents/a%2Fb%20c/chat"


@pytest.mark.parametrize("agent", ["", ".", "..", "x" * 129])
def test_an_agent_that_cannot_stand_in_a_path_is_refused(agent: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"agent": agent}, ChatbaseTarget)


def test_an_automatic_choice_of_tools_is_left_out() -> None:
    (request,) = make().requests(ask(TextPart("hi"), tool_choice="auto"))
    assert request.body == b'{"message":"hi","stream":true}'


@pytest.mark.parametrize(
    ("turn", "message", "path"),
    [
        (ask(TextPart("a"), instructions="Be kind"), "chatbase cannot take instructions", "$.instructions"),
        (ask(TextPart("a"), tools=[Tool("t")]), "chatbase cannot take the client's tools", "$.tools"),
        (ask(TextPart("a"), tool_choice="none"), "chatbase cannot take a choice of tools", "$.tool_choice"),
        (ask(TextPart("a"), tool_choice=NamedTool("t")), "chatbase cannot take a choice of tools", "$.tool_choice"),
        (ask(TextPart("a"), ImagePart(url="https://x.test/a.png")), "chatbase cannot take images", "$.content[1]"),
        (ask(FilePart(file_id="file_1")), "chatbase cannot take files", "$.content[0]"),
    ],
)
def test_what_chatbase_cannot_take_is_refused_before_anything_is_sent(turn: Turn, message: str, path: str) -> None:
    assert refused(make(), turn) == ("unsupported", message, {"path": path})


@pytest.mark.parametrize("parts", [[], [TextPart("")], [TextPart(" \n")], [InputResponsePart("approval_1")]])
def test_a_message_without_text_is_refused(parts: list[AskPart]) -> None:
    assert refused(make(), ask(*parts)) == ("bad_request", "the message has no text", {"path": "$.content"})


def test_what_was_said_elsewhere_goes_in_front_as_one_block() -> None:
    turn = ask(
        TextPart("And now?"),
        missed=[HistoryMessage("user", [TextPart("Hi")]), HistoryMessage("assistant", [TextPart("I look.")])],
    )
    (request,) = make().requests(turn)
    assert json.loads(bytes_of(request))["message"] == (
        "[Earlier in this conversation]\nuser: Hi\nassistant: I look.\n[Now]\nAnd now?"
    )


def test_an_answer_is_given_anew_by_a_retry() -> None:
    turn = ask(TextPart("hi"), vendor_ids={"conversation": "conv/1"}, regenerates="msg_1")
    translator = make()
    assert list(translator.requests(turn)) == [
        VendorRequest(
            "POST",
            "/agents/5QHA6VB/conversations/conv%2F1/retry",
            headers=STREAM_HEADERS,
            body=b'{"messageId":"msg_1","stream":true}',
            framing=LenientSseDecoder,
            effect="once",
        )
    ]
    assert translator.vendor_ids == {"conversation": "conv/1"}


def test_a_retry_may_be_asked_for_as_a_document() -> None:
    turn = ask(vendor_ids={"conversation": "c"}, regenerates="msg_1", stream=False)
    (request,) = make(upstream_stream=False).requests(turn)
    assert request == VendorRequest(
        "POST",
        "/agents/5QHA6VB/conversations/c/retry",
        headers=JSON_HEADERS,
        body=b'{"messageId":"msg_1","stream":false}',
        framing=JsonDecoder,
        effect="once",
    )


@pytest.mark.parametrize("ids", [{}, {"conversation": ""}])
def test_an_answer_without_a_conversation_cannot_be_given_anew(ids: dict[str, str]) -> None:
    turn = ask(TextPart("hi"), vendor_ids=ids, regenerates="msg_1")
    assert refused(make(), turn) == (
        "bad_request",
        "there is no such answer to give anew",
        {"path": "$.regenerate"},
    )


def test_a_partial_answer_is_given_to_go_on_with() -> None:
    (request,) = make().requests(ask(TextPart("Tell me"), partial="Once upon"))
    assert json.loads(bytes_of(request))["message"] == (
        "Tell me\n[Your answer so far; go on where it stops]\nOnce upon"
    )


def test_an_answer_to_an_input_request_is_given_as_text() -> None:
    answer = InputResponsePart("r", approved=False, text="too dear")
    (request,) = make().requests(ask(answer, TextPart("thanks"), vendor_ids={"conversation": "c"}))
    assert json.loads(bytes_of(request))["message"] == "Declined. too dear\n\nthanks"


# --- tool results


RECEIPT = VendorResponse(200, CIMultiDict(), b'{"data":{"success":true}}')
NOT_FOUND = VendorResponse(
    404,
    CIMultiDict({"x-request-id": "req_9"}),
    b'{"error":{"code":"RESOURCE_TOOL_CALL_NOT_FOUND","message":"Tool call not found or expired"}}',
)


def tool_result(body: bytes, after: float = 0) -> VendorRequest:
    return VendorRequest(
        "POST",
        "/agents/5QHA6VB/conversations/conv%2F1/tool-result",
        headers=JSON_HEADERS,
        body=body,
        effect="once",
        own_statuses=frozenset({404}),
        after=after,
    )


def test_each_tool_result_is_handed_in_then_the_chat_goes_on_without_a_message() -> None:
    turn = ask(
        ToolResultPart("call_1", {"status": "shipped"}),
        ToolResultPart("call_2", "no such city", is_error=True),
        vendor_ids={"conversation": "conv/1"},
    )
    calls = make().requests(turn)
    assert next(calls) == tool_result(b'{"toolCallId":"call_1","output":{"status":"shipped"}}')
    assert calls.send(RECEIPT) == tool_result(b'{"toolCallId":"call_2","output":{"error":"no such city"}}')
    assert calls.send(RECEIPT) == VendorRequest(
        "POST",
        "/agents/5QHA6VB/chat",
        headers=STREAM_HEADERS,
        body=b'{"conversationId":"conv/1","stream":true}',
        framing=LenientSseDecoder,
        effect="once",
    )


def test_a_text_beside_a_tool_result_goes_with_the_chat() -> None:
    turn = ask(ToolResultPart("call_1", 1), TextPart("and?"), vendor_ids={"conversation": "c"})
    calls = make().requests(turn)
    next(calls)
    assert calls.send(RECEIPT).body == b'{"message":"and?","conversationId":"c","stream":true}'


def test_a_tool_call_that_is_not_yet_registered_is_asked_for_again() -> None:
    calls = make().requests(ask(ToolResultPart("call_1", 1), vendor_ids={"conversation": "conv/1"}))
    body = b'{"toolCallId":"call_1","output":1}'
    assert next(calls) == tool_result(body)
    assert calls.send(NOT_FOUND) == tool_result(body, after=0.3)
    assert calls.send(NOT_FOUND) == tool_result(body, after=0.6)
    assert calls.send(RECEIPT).path == "/agents/5QHA6VB/chat"


def test_a_tool_call_that_stays_unknown_is_not_found() -> None:
    calls = make().requests(ask(ToolResultPart("call_1", 1), vendor_ids={"conversation": "conv/1"}))
    next(calls)
    calls.send(NOT_FOUND)
    calls.send(NOT_FOUND)
    assert calls.send(NOT_FOUND) == VendorRequest(
        "GET",
        "/agents/5QHA6VB/conversations/conv%2F1/messages",
        query={"limit": "100"},
        headers={"Accept": "application/json"},
    )
    with pytest.raises(GatewayError) as caught:
        calls.send(listed("call_0"))
    error = caught.value
    assert (error.code, error.vendor_code, error.vendor_request_id, error.vendor_status) == (
        "upstream_not_found",
        "RESOURCE_TOOL_CALL_NOT_FOUND",
        "req_9",
        404,
    )


def test_a_tool_call_that_was_answered_before_is_gone_on_from() -> None:
    calls = make().requests(ask(ToolResultPart("call_1", 1), vendor_ids={"conversation": "conv/1"}))
    next(calls)
    for _ in range(3):
        calls.send(NOT_FOUND)
    assert calls.send(listed("call_1")).path == "/agents/5QHA6VB/chat"


def listed(answered: str) -> VendorResponse:
    """A page of messages, with a call and its result."""
    called = {"type": "tool-call", "toolCallId": "call_1", "toolName": "t", "input": {}}
    result = {"type": "tool-result", "toolCallId": answered, "toolName": "t", "output": 1}
    page = {"data": [{"id": "a1", "role": "assistant", "parts": [called, result]}]}
    return VendorResponse(200, CIMultiDict(), json.dumps(page).encode())


@pytest.mark.parametrize("body", [b'{"data":{"success":false}}', b'{"data":{}}'])
def test_a_tool_result_that_is_not_taken_is_a_protocol_error(body: bytes) -> None:
    calls = make().requests(ask(ToolResultPart("call_1", 1), vendor_ids={"conversation": "c"}))
    next(calls)
    with pytest.raises(GatewayError) as caught:
        calls.send(VendorResponse(200, CIMultiDict(), body))
    assert caught.value.code == "upstream_protocol"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"data":null}'])
def test_an_unreadable_receipt_is_malformed(body: bytes) -> None:
    calls = make().requests(ask(ToolResultPart("call_1", 1), vendor_ids={"conversation": "c"}))
    next(calls)
    with pytest.raises(Malformed):
        calls.send(VendorResponse(200, CIMultiDict(), body))


@pytest.mark.parametrize("ids", [{}, {"conversation": ""}])
def test_a_tool_result_without_a_conversation_is_refused(ids: dict[str, str]) -> None:
    turn = ask(TextPart("a"), ToolResultPart("call_1", 1), vendor_ids=ids)
    assert refused(make(), turn) == ("bad_request", "there is no such tool call to answer", {"path": "$.content[1]"})


@pytest.mark.parametrize("conversation", [".", ".."])
def test_a_conversation_that_leads_elsewhere_in_a_path_is_refused(conversation: str) -> None:
    code, message, _ = refused(make(), ask(ToolResultPart("call_1", 1), vendor_ids={"conversation": conversation}))
    assert (code, message) == ("bad_request", "an id or name cannot stand in a path")


def test_a_tool_result_over_20_kb_is_refused_before_anything_is_sent() -> None:
    turn = ask(
        ToolResultPart("call_1", 1),
        ToolResultPart("call_2", "x" * (20 * 1024 - 1)),
        vendor_ids={"conversation": "c"},
    )
    assert refused(make(), turn) == (
        "payload_too_large",
        "chatbase takes tool results of at most 20480 bytes",
        {"path": "$.content[1]"},
    )


def test_a_tool_result_of_20_kb_is_sent() -> None:
    turn = ask(ToolResultPart("call_1", "x" * (20 * 1024 - 2)), vendor_ids={"conversation": "c"})
    assert len(bytes_of(next(make().requests(turn)))) == 20 * 1024 + len('{"toolCallId":"call_1","output":}')


# --- authorization, resume, cancel


def test_the_key_goes_as_a_bearer_token() -> None:
    authorization = sign_in(make(), api_key="k-1")
    assert authorization == Authorization({"Authorization": "Bearer k-1"})
    assert authorization.headers == {"Authorization": "Bearer k-1"}


def test_there_is_nothing_to_resume_or_to_cancel() -> None:
    translator = make()
    assert (translator.resume(), translator.cancel(), translator.model) == (None, None, None)


# --- how a stream ends


def test_a_finish_without_a_reason_is_stop() -> None:
    assert read(make(), '{"type":"finish"}') == [MessageCompleted("stop")]


def test_a_finish_with_an_empty_reason_is_stop() -> None:
    assert read(make(), '{"type":"finish","finishReason":""}') == [MessageCompleted("stop")]


CALL_STARTED = [
    ToolCallStarted(0, "c1", "look", "unknown"),
    ToolCallCompleted(0, "c1", "look", {}, "complete"),
]
CALL = '{"type":"tool-input-available","toolCallId":"c1","toolName":"look","input":{}}'


def test_a_finish_without_a_reason_owes_the_calls_without_output() -> None:
    assert read(make(), CALL, '{"type":"finish"}') == [
        *CALL_STARTED,
        MessageCompleted("tool_calls", None, ["c1"]),
    ]


def test_a_finish_without_a_reason_stops_where_every_call_has_its_output() -> None:
    output = '{"type":"tool-output-available","toolCallId":"c1","output":[1]}'
    assert read(make(), CALL, output, '{"type":"finish"}') == [
        *CALL_STARTED,
        ToolResult("c1", [1], False, "look"),
        MessageCompleted("stop"),
    ]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("content-filter", "content_filter"),
        ("tool-calls", "tool_calls"),
        ("other", "other"),
        ("unknown", "other"),
        ("interrupted", "other"),
    ],
)
def test_each_finish_reason_has_its_canonical_name(raw: str, reason: Any) -> None:
    assert read(make(), f'{{"type":"finish","finishReason":"{raw}"}}') == [MessageCompleted(reason, raw)]


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"finish","finishReason":"error"}',
        '{"type":"finish","messageMetadata":{"finishReason":"error"}}',
        '{"type":"finish","metadata":{"finishReason":"error"}}',
    ],
)
def test_the_finish_reason_error_is_a_failure(frame: str) -> None:
    error = failure(make(), frame)
    assert (error.code, error.cause) == ("upstream_unavailable", "vendor_error")


def test_metadata_after_finish_may_still_say_the_reason() -> None:
    frames = ('{"type":"finish"}', '{"type":"message-metadata","messageMetadata":{"finishReason":"length"}}')
    assert read(make(), *frames) == [MessageCompleted("length", "length")]


def test_metadata_in_pieces_is_one_record() -> None:
    translator = make()
    told = read(
        translator,
        '{"type":"start","messageMetadata":{"conversationId":"c"}}',
        '{"type":"message-metadata","usage":{"credits":1}}',
        '{"type":"message-metadata","messageMetadata":{"messageId":"m","usage":{"credits":1}}}',
        '{"type":"finish","finishReason":"stop","metadata":{"userMessageId":"u","usage":{"credits":2.5}}}',
    )
    assert told == [UsageReported(credits=1), UsageReported(credits=2.5), MessageCompleted("stop", "stop")]
    assert translator.vendor_ids == {"conversation": "c", "message": "m", "user_message": "u"}


def test_empty_metadata_changes_nothing() -> None:
    translator = make()
    told = read(
        translator,
        '{"type":"message-metadata","messageId":"","conversationId":null,"usage":null}',
        '{"type":"finish","messageMetadata":null,"metadata":{"usage":{}}}',
    )
    assert (told, translator.vendor_ids) == ([MessageCompleted("stop")], {})


def test_trailers_may_follow_finish_until_done() -> None:
    translator = make()
    assert list(translator.feed(Record(b'{"type":"finish"}'))) == []
    assert translator.ending
    assert list(translator.feed(Record(b'{"type":"message-metadata","usage":{"credits":3}}'))) == [
        UsageReported(credits=3)
    ]
    assert list(translator.feed(Record(b"[DONE]"))) == [MessageCompleted("stop")]
    assert list(translator.finish()) == []


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"text-delta","delta":"more"}',
        '{"type":"error","errorText":"late"}',
        '{"type":"finish","finishReason":"error"}',
        '{"type":"sparkle"}',
        '{"type":"sparkle","error":"late"}',
        '{"type":"data-a","data":1}',
    ],
)
def test_content_after_finish_is_never_shown(frame: str) -> None:
    assert read(make(), '{"type":"finish","finishReason":"stop"}', frame) == [
        Notice("after_terminal"),
        MessageCompleted("stop", "stop"),
    ]


@pytest.mark.parametrize("frame", ['{"type":"text-delta","delta":"more"}', '{"type":"message-metadata"}'])
def test_nothing_is_shown_after_done(frame: str) -> None:
    assert read(make(), '{"type":"finish"}', "[DONE]", frame, "[DONE]") == [
        MessageCompleted("stop"),
        Notice("after_terminal"),
    ]


def test_nothing_is_shown_after_an_abort() -> None:
    assert read(make(), '{"type":"abort","reason":"sk-secret"}', '{"type":"finish"}', "[DONE]") == [
        MessageCanceled("vendor"),
        Notice("after_terminal"),
    ]


@pytest.mark.parametrize("frames", [(), ("[DONE]",), ('{"type":"start"}', "[DONE]"), ('{"type":"start"}',)])
def test_a_stream_that_ends_before_finish_is_truncated(frames: tuple[str, ...]) -> None:
    error = failure(make(), *frames)
    assert (error.code, error.cause, error.message) == (
        "upstream_protocol",
        "truncated",
        "chatbase ended its stream before its terminal event",
    )


def test_the_answer_of_another_conversation_is_a_protocol_error() -> None:
    translator = bound("conv-1")
    error = failure(translator, '{"type":"message-metadata","conversationId":"conv-2","messageId":"m"}')
    assert (error.code, error.cause, translator.vendor_ids) == (
        "upstream_protocol",
        "protocol",
        {"conversation": "conv-1"},
    )


def test_the_answer_of_another_conversation_is_a_protocol_error_after_finish_too() -> None:
    translator = bound("conv-1")
    list(translator.feed(Record(b'{"type":"finish"}')))
    with pytest.raises(GatewayError):
        list(translator.feed(Record(b'{"type":"message-metadata","conversationId":"conv-2"}')))
    error = failure(translator)
    assert (error.message, translator.vendor_ids) == (
        "chatbase answered for another conversation",
        {"conversation": "conv-1"},
    )


def test_the_conversation_that_was_asked_may_be_named() -> None:
    translator = bound("conv-1")
    assert read(translator, '{"type":"finish","metadata":{"conversationId":"conv-1"}}') == [MessageCompleted("stop")]


@pytest.mark.parametrize("conversation", [".", "..", "x" * 1025])
def test_a_new_conversation_whose_id_leads_elsewhere_in_a_path_is_a_protocol_error(conversation: str) -> None:
    translator = make()
    error = failure(translator, f'{{"type":"message-metadata","conversationId":"{conversation}"}}')
    assert (error.code, translator.vendor_ids) == ("upstream_protocol", {})


# --- texts, reasoning, steps


def test_a_delta_without_an_id_belongs_to_the_open_text() -> None:
    frames = (
        '{"type":"text-start","id":"t1"}',
        '{"type":"text-delta","delta":"a"}',
        '{"type":"text-delta","id":"t1","delta":"b"}',
        '{"type":"text-end"}',
        '{"type":"finish"}',
    )
    assert read(make(), *frames) == [
        TextStarted(0),
        TextDelta(0, "a"),
        TextDelta(0, "b"),
        TextCompleted(0, "ab"),
        MessageCompleted("stop"),
    ]


def test_two_texts_may_interleave() -> None:
    frames = (
        '{"type":"text-start","id":"t1"}',
        '{"type":"text-start","id":"t2"}',
        '{"type":"text-delta","id":"t1","delta":"a"}',
        '{"type":"text-delta","id":"t2","delta":"b"}',
        '{"type":"text-end","id":"t1"}',
        '{"type":"text-end","id":"t2"}',
    )
    assert read(make(), *frames)[:-1] == [
        TextStarted(0),
        TextStarted(1),
        TextDelta(0, "a"),
        TextDelta(1, "b"),
        TextCompleted(0, "a"),
        TextCompleted(1, "b"),
    ]


def test_a_text_without_an_id_ends_with_its_step() -> None:
    frames = (
        '{"type":"start-step"}',
        '{"type":"reasoning-delta","delta":"hm"}',
        '{"type":"text-delta","delta":"a"}',
        '{"type":"finish-step"}',
        '{"type":"start-step"}',
        '{"type":"text-delta","delta":"b"}',
        '{"type":"finish-step"}',
        '{"type":"finish"}',
    )
    assert read(make(), *frames) == [
        StepStarted(0),
        ReasoningStarted(0),
        ReasoningDelta(0, "hm"),
        TextStarted(1),
        TextDelta(1, "a"),
        ReasoningCompleted(0, "hm"),
        TextCompleted(1, "a"),
        StepCompleted(0),
        StepStarted(1),
        TextStarted(2),
        TextDelta(2, "b"),
        TextCompleted(2, "b"),
        StepCompleted(1),
        MessageCompleted("stop"),
    ]


def test_a_text_that_is_left_open_is_left_to_the_relay() -> None:
    assert read(make(), '{"type":"text-delta","delta":"a"}', '{"type":"finish"}') == [
        TextStarted(0),
        TextDelta(0, "a"),
        MessageCompleted("stop"),
    ]


# --- tool calls


def test_a_call_that_the_vendor_says_it_runs_is_the_vendors() -> None:
    frames = (
        '{"type":"tool-input-start","toolCallId":"c1","toolName":"look","providerExecuted":true}',
        '{"type":"tool-input-available","toolCallId":"c2","toolName":"see","providerExecuted":true,"input":{}}',
    )
    assert read(make(), *frames)[:-1] == [
        ToolCallStarted(0, "c1", "look", "vendor"),
        ToolCallStarted(1, "c2", "see", "vendor"),
        ToolCallCompleted(1, "c2", "see", {}, "complete"),
    ]


def test_a_call_that_the_vendor_runs_is_not_owed_by_the_client() -> None:
    frame = '{"type":"tool-input-available","toolCallId":"c1","toolName":"look","providerExecuted":true,"input":{}}'
    assert read(make(), frame, '{"type":"finish"}')[-1] == MessageCompleted("stop")


def test_a_call_whose_final_arguments_are_others_is_unreadable() -> None:
    frames = (
        '{"type":"tool-input-start","toolCallId":"c1","toolName":"look"}',
        '{"type":"tool-input-delta","toolCallId":"c1","inputTextDelta":"{\\"a\\":1}"}',
        '{"type":"tool-input-available","toolCallId":"c1","toolName":"look","input":{"a":2}}',
        '{"type":"finish","finishReason":"stop"}',
    )
    assert read(make(), *frames) == [
        ToolCallStarted(0, "c1", "look", "unknown"),
        ToolCallDelta(0, "c1", '{"a":1}'),
        ToolCallCompleted(0, "c1", "look", {}, "unreadable", '{"a":1}'),
        Notice("arguments_differ"),
        MessageCompleted("stop", "stop"),
    ]


@pytest.mark.parametrize("given", ["", ',"input":null', ',"input":"{}"'])
def test_a_call_whose_arguments_are_not_repeated_is_what_its_deltas_spell(given: str) -> None:
    frames = (
        '{"type":"tool-input-start","toolCallId":"c1","toolName":"look"}',
        '{"type":"tool-input-delta","toolCallId":"c1","inputTextDelta":"{\\"a\\":1}"}',
        f'{{"type":"tool-input-available","toolCallId":"c1","toolName":"look"{given}}}',
    )
    assert read(make(), *frames)[2] == ToolCallCompleted(0, "c1", "look", {"a": 1}, "complete")


def test_an_unreadable_call_that_the_client_owes_fails_the_message() -> None:
    error = failure(
        make(),
        '{"type":"tool-input-available","toolCallId":"c1","toolName":"look","input":[1]}',
        '{"type":"finish","finishReason":"tool-calls"}',
    )
    assert (error.code, error.cause) == ("upstream_protocol", "malformed")


def test_a_call_that_the_client_owes_but_that_never_became_available_fails_the_message() -> None:
    error = failure(
        make(),
        '{"type":"tool-input-start","toolCallId":"c1","toolName":"look"}',
        '{"type":"finish","finishReason":"tool-calls"}',
    )
    assert (error.code, error.cause) == ("upstream_protocol", "malformed")


def test_a_call_that_was_cut_by_length_is_left_open_for_the_relay() -> None:
    frames = (
        '{"type":"tool-input-start","toolCallId":"c1","toolName":"look"}',
        '{"type":"tool-input-delta","toolCallId":"c1","inputTextDelta":"{"}',
        '{"type":"finish","finishReason":"length"}',
    )
    assert read(make(), *frames) == [
        ToolCallStarted(0, "c1", "look", "unknown"),
        ToolCallDelta(0, "c1", "{"),
        MessageCompleted("length", "length"),
    ]


def test_a_call_is_shown_once() -> None:
    started = '{"type":"tool-input-start","toolCallId":"c1","toolName":"look"}'
    grown = '{"type":"tool-input-delta","toolCallId":"c1","inputTextDelta":"{}"}'
    assert read(make(), grown, started, started, CALL, CALL, started, grown)[:-1] == [
        Notice("repaired_block"),
        CALL_STARTED[0],
        Notice("repaired_block"),
        CALL_STARTED[1],
        Notice("repaired_block"),
        Notice("repaired_block"),
        Notice("repaired_block"),
    ]


def test_a_result_is_shown_once() -> None:
    output = '{"type":"tool-output-available","toolCallId":"c1","output":1}'
    failed = '{"type":"tool-output-error","toolCallId":"c1","errorText":"no"}'
    assert read(make(), CALL, output, failed)[:-1] == [
        *CALL_STARTED,
        ToolResult("c1", 1, False, "look"),
        Notice("repaired_block"),
    ]


def test_a_preliminary_result_waits_for_the_final_one() -> None:
    first = '{"type":"tool-output-available","toolCallId":"c1","output":1,"preliminary":true}'
    final = '{"type":"tool-output-available","toolCallId":"c1","output":2}'
    assert read(make(), CALL, first, final)[:-1] == [*CALL_STARTED, ToolResult("c1", 2, False, "look")]


def test_a_result_completes_a_call_that_was_left_open() -> None:
    frames = (
        '{"type":"tool-input-start","toolCallId":"c1","toolName":"look"}',
        '{"type":"tool-output-available","toolCallId":"c1","output":1}',
    )
    assert read(make(), *frames)[:-1] == [*CALL_STARTED, ToolResult("c1", 1, False, "look")]


def test_a_result_of_an_unheard_of_call_is_shown_without_a_name() -> None:
    assert read(make(), '{"type":"tool-output-error","toolCallId":"c9","errorText":"no"}')[:-1] == [
        ToolResult("c9", "no", True)
    ]


def test_a_call_without_an_id_is_malformed() -> None:
    with pytest.raises(Malformed):
        make().feed(Record(b'{"type":"tool-input-start","toolCallId":"","toolName":"look"}'))


# --- approvals


REQUEST = '{"type":"tool-approval-request","approvalId":"a1","toolCallId":"c1","reason":"Pay 3?"}'


@pytest.mark.parametrize("finish", ['{"type":"finish"}', '{"type":"finish","finishReason":"stop"}'])
def test_an_approval_that_a_person_owes_ends_with_input_required(finish: str) -> None:
    other = '{"type":"tool-input-available","toolCallId":"c2","toolName":"see","input":{}}'
    told = read(make(), CALL, REQUEST, other, finish)
    assert told[2] == InputRequested("a1", "approval", "Pay 3?", "c1")
    assert isinstance(told[-1], MessageCompleted)
    assert (told[-1].finish_reason, told[-1].pending_tool_calls) == ("input_required", ["c2"])


@pytest.mark.parametrize(
    "answer",
    [
        '{"type":"tool-approval-response","approvalId":"a1","approved":true}',
        '{"type":"tool-output-available","toolCallId":"c1","output":1}',
        '{"type":"tool-output-denied","toolCallId":"c1"}',
    ],
)
def test_an_approval_that_was_settled_is_owed_by_nobody(answer: str) -> None:
    told = read(make(), CALL, REQUEST, answer, '{"type":"finish","finishReason":"stop"}')
    assert told[-1] == MessageCompleted("stop", "stop")


def test_an_automatic_approval_asks_nobody() -> None:
    automatic = '{"type":"tool-approval-request","approvalId":"a1","toolCallId":"c1","isAutomatic":true}'
    assert read(make(), automatic, '{"type":"finish"}') == [MessageCompleted("stop")]


# --- other parts


def test_a_document_without_a_title_is_named_by_its_file() -> None:
    assert read(make(), '{"type":"source-document","sourceId":"s","filename":"a.pdf"}')[:-1] == [Source("s", "a.pdf")]


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        ('{"type":"data-","data":1}', "data-"),
        ('{"type":"data-a","data":1,"transient":true}', "data-a"),
        ('{"type":"xdata-a","data":1}', "xdata-a"),
        ('{"type":"reset-step"}', "reset-step"),
    ],
)
def test_what_has_no_meaning_of_ours_is_passed_on_as_the_vendors(frame: str, name: str) -> None:
    assert read(make(), frame)[:-1] == [VendorEvent(name, json.loads(frame))]


def test_the_type_may_stand_in_the_event_line_alone() -> None:
    translator = make()
    assert list(translator.feed(Record(b'{"delta":"a"}', b"text-delta"))) == [TextStarted(0), TextDelta(0, "a")]


def test_an_event_without_data_is_nothing() -> None:
    fed = records(LenientSseDecoder(), b'retry: 5\ndata:\n\n: ping\n\nevent: ping\ndata\n\ndata: {"type":"finish"}\n\n')
    assert heard(make(), fed) == [MessageCompleted("stop")]


# --- errors inside a 200


@pytest.mark.parametrize(
    ("frame", "code", "cause", "vendor_code", "vendor_message"),
    [
        ('{"type":"error","errorText":"Oh"}', "upstream_unavailable", "vendor_error", None, "Oh"),
        ('{"type":"error","error":"Oh"}', "upstream_unavailable", "vendor_error", None, "Oh"),
        ('{"type":"error","message":"Oh"}', "upstream_unavailable", "vendor_error", None, "Oh"),
        ('{"type":"error"}', "upstream_unavailable", "vendor_error", None, None),
        (
            '{"type":"error","error":{"code":"ERR","message":"Oh"}}',
            "upstream_unavailable",
            "vendor_error",
            "ERR",
            "Oh",
        ),
        (
            '{"type":"error","code":"CHAT_CREDITS_EXHAUSTED","message":"Oh"}',
            "quota_exhausted",
            "quota_exhausted",
            "CHAT_CREDITS_EXHAUSTED",
            "Oh",
        ),
        (
            '{"type":"error","error":{"code":"RATE_LIMIT_TOO_MANY_REQUESTS"}}',
            "upstream_rate_limited",
            "rate_limited",
            "RATE_LIMIT_TOO_MANY_REQUESTS",
            None,
        ),
        ('{"type":"sparkle","error":"Oh"}', "upstream_protocol", "vendor_error", None, "Oh"),
        (
            '{"type":"data-a","error":{"code":"INTERNAL_SERVER_ERROR"}}',
            "upstream_unavailable",
            "vendor_error",
            "INTERNAL_SERVER_ERROR",
            None,
        ),
        ('{"error":{"code":"X","message":"Oh"}}', "upstream_protocol", "vendor_error", "X", "Oh"),
        ('{"type":null,"error":"Oh"}', "upstream_protocol", "vendor_error", None, "Oh"),
        ('{"type":"finish","error":{"message":"Oh"}}', "upstream_protocol", "vendor_error", None, "Oh"),
        ('{"type":"text-delta","delta":"a","error":"Oh"}', "upstream_protocol", "vendor_error", None, "Oh"),
        ('{"type":"text-delta","delta":7,"error":"Oh"}', "upstream_protocol", "vendor_error", None, "Oh"),
    ],
)
def test_any_frame_that_holds_an_error_is_a_failure(
    frame: str, code: str, cause: str, vendor_code: str | None, vendor_message: str | None
) -> None:
    error = failure(make(), frame)
    assert logged(error) == (code, cause, vendor_code, vendor_message)
    assert "Oh" not in error.message


@pytest.mark.parametrize(
    "data", [b"oops", b"[]", b"null", b"{}", b'{"type":7}', b'{"type":"text-delta"}', b"{" * 99999]
)
def test_a_frame_that_cannot_be_read_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        make().feed(Record(data))


# --- documents


def document(data: str) -> Told:
    return read(start(ask(TextPart("hi"), stream=False), upstream_stream=False), data)


def test_a_part_of_an_unknown_kind_passes_by_in_a_document() -> None:
    parts = '[{"type":"sparkle","n":1},{"type":"data-a","data":2},{"type":"text","text":"a"}]'
    assert document(f'{{"data":{{"parts":{parts}}}}}') == [
        VendorEvent("sparkle", {"type": "sparkle", "n": 1}),
        *read(make(), '{"type":"data-a","data":2}')[:-1],
        TextStarted(0),
        TextDelta(0, "a"),
        TextCompleted(0, "a"),
        MessageCompleted("stop"),
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ('{"error":{"code":"CHAT_CREDITS_EXHAUSTED","message":"Oh"}}', "quota_exhausted"),
        ('{"error":"Oh"}', "upstream_unavailable"),
        ('{"data":{"parts":[{"type":"sparkle","error":"Oh"}]}}', "upstream_protocol"),
        ('{"data":{"metadata":{"finishReason":"error"}}}', "upstream_unavailable"),
    ],
)
def test_a_document_that_holds_an_error_is_a_failure(data: str, code: str) -> None:
    told = document(data)
    assert isinstance(told[-1], MessageFailed)
    assert (len(told), told[-1].error.code) == (1, code)


def test_no_document_at_all_is_truncated() -> None:
    assert failure(start(ask(TextPart("hi"), stream=False), upstream_stream=False)).cause == "truncated"


@pytest.mark.parametrize("data", ["{}", "[]", "oops", '{"data":null}', '{"data":{"parts":[{"type":"text"}]}}'])
def test_a_document_that_cannot_be_read_is_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        document(data)


# --- refusals


def test_the_details_of_a_refusal_go_to_the_log() -> None:
    body = b'{"error":{"code":"VALIDATION_INVALID_BODY","message":"Invalid","details":{"userId":"too long"}}}'
    assert refuse(make(), 400, body).vendor_message == 'Invalid {"userId":"too long"}'


def test_details_without_a_message_go_to_the_log_alone() -> None:
    assert refuse(make(), 400, b'{"error":{"details":{"userId":"too long"}}}').vendor_message == '{"userId":"too long"}'


@pytest.mark.parametrize(
    ("header", "body", "request_id"),
    [
        ("req_1", b'{"requestId":"req_2"}', "req_1"),
        ("", b'{"requestId":"req_2"}', "req_2"),
        ("", b'{"error":{"requestId":"req_3"},"requestId":"req_2"}', "req_3"),
        ("caf\udce9", b"", None),
        ("two words", b"", None),
        ("x" * 129, b"", None),
    ],
)
def test_the_request_id_comes_from_the_header_or_the_body(header: str, body: bytes, request_id: str | None) -> None:
    assert refuse(make(), 500, body, x_request_id=header).vendor_request_id == request_id


@pytest.mark.parametrize("code", ["two words", "x" * 129, "línea", ""])
def test_a_vendor_code_that_is_a_text_is_not_shown(code: str) -> None:
    assert refuse(make(), 500, msgspec.json.encode({"error": {"code": code}})).vendor_code is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3", "X-RateLimit-Reset": "7"}, 3.0),
        ({"X-RateLimit-Reset": "1781083862000", "Date": "Wed, 10 Jun 2026 09:31:00 GMT"}, 2.0),
        ({}, None),
    ],
)
def test_a_rate_limit_says_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    assert make().refuse(429, CIMultiDict(headers), b"").retry_after == seconds


# --- the descriptor


NEVER_TOLD = {"reasoning", "sources", "files_out"}
"""The manual names none, so there is nothing to refuse."""
NO_DOOR = {"data_frames", "model_choice", "cancel", "resume"}
REFUSED = {
    "files_in": ask(FilePart(file_id="file_1")),
    "instructions": ask(TextPart("a"), instructions="Be kind"),
    "client_tools": ask(TextPart("a"), tools=[Tool("t")]),
}


def test_what_the_descriptor_says_no_to_is_refused_or_has_no_door() -> None:
    said_no = {name for name, support in CHATBASE.capabilities.items() if support == "no"}
    assert said_no == NEVER_TOLD | NO_DOOR | REFUSED.keys() | {"delete_conversation"}  # see test_conversations.py
    assert {name: refused(make(), turn)[0] for name, turn in REFUSED.items()} == dict.fromkeys(REFUSED, "unsupported")
    assert (CHATBASE.files, CHATBASE.data_frames, CHATBASE.options.__struct_fields__) == (None, None, ())
    assert (make().cancel(), make().resume()) == (None, None)


def test_what_the_descriptor_ignores_changes_nothing() -> None:
    assert {name for name, support in CHATBASE.capabilities.items() if support == "ignored"} == {
        "parameters",
        "metadata",
    }
    turn = ask(TextPart("hi"), parameters=Parameters(temperature=1), metadata={"a": 1})
    assert list(make().requests(turn)) == list(make().requests(ask(TextPart("hi"))))

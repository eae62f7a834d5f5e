"""The AI SDK, upstream: requests, credentials, refusals and oddities; the streams stand in `examples`."""

import json
from typing import Any

import pytest
from msgspec import ValidationError, convert

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageCompleted, Notice
from gateway.canonical.message import FilePart, ImagePart, InputResponsePart, TextPart, ToolResultPart
from gateway.canonical.turn import HistoryMessage, NamedTool, Parameters, Tool
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import Malformed
from gateway.protocols.ai_sdk import AI_SDK
from gateway.protocols.ai_sdk.translator import AiSdkOptions, AiSdkTarget, AiSdkTranslator
from gateway.protocols.base import Authorization, VendorRequest
from tests.support.translating import ask, blame, exchange, failure, framed, heard, logged, refuse, refused, sign_in

HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream"}
HI = '{"type":"text-delta","id":"t","delta":"Hi"}'
FINISH = '{"type":"finish","finishReason":"stop"}'


def make(**settings: Any) -> AiSdkTranslator:
    return AiSdkTranslator(AiSdkTarget(**settings), Blocks(Numbering()))


def sent(translator: AiSdkTranslator, *parts: Any, **fields: Any) -> Any:
    (request,), _ = exchange(translator.requests(ask(*parts, **fields)), b"")
    assert isinstance(request.body, bytes)
    return json.loads(request.body)


# --- requests


def test_a_first_message_opens_a_chat() -> None:
    translator = make()
    assert list(translator.requests(ask(TextPart("Hi")))) == [
        VendorRequest(
            "POST",
            "",
            headers=HEADERS,
            body=b'{"id":"new","messages":[{"id":"new-0","role":"user","parts":[{"type":"text","text":"Hi"}]}],'
            b'"trigger":"submit-message"}',
            framing=SseDecoder,
            effect="once",
        )
    ]
    assert translator.vendor_ids == {"conversation": "new"}


def test_a_further_message_goes_to_the_same_chat() -> None:
    translator = make(path="/api/chat")
    calls = translator.requests(ask(TextPart("Hi"), vendor_ids={"conversation": "chat-1", "message": "m1"}))
    request = next(calls)
    assert (request.path, translator.vendor_ids) == ("/api/chat", {"conversation": "chat-1"})


def test_a_request_is_repeated_only_where_its_server_does_nothing_twice() -> None:
    assert next(make(repeatable=True).requests(ask(TextPart("Hi")))).effect == "repeatable"


def test_the_operators_fields_of_the_body_come_before_the_clients() -> None:
    options = AiSdkOptions(body={"id": "mine", "messageId": "m", "agent": "b", "mood": "good"}, metadata={"k": 1})
    body = sent(make(body={"agent": "a"}), TextPart("Hi"), options=options, metadata={"l": 2})
    assert body == {
        "agent": "a",
        "mood": "good",
        "id": "new",
        "messages": [
            {"id": "new-0", "role": "user", "metadata": {"k": 1, "l": 2}, "parts": [{"type": "text", "text": "Hi"}]}
        ],
        "trigger": "submit-message",
    }


def test_an_answer_is_asked_for_anew_by_its_id() -> None:
    body = sent(make(), TextPart("Hi"), regenerates="m1")
    assert (body["trigger"], body["messageId"]) == ("regenerate-message", "m1")


def test_what_an_earlier_attempt_has_shown_is_gone_on_with() -> None:
    body = sent(make(), TextPart("Hi"), partial="Half")
    assert [(message["id"], message["role"], message["parts"][0]["text"]) for message in body["messages"]] == [
        ("new-0", "user", "Hi"),
        ("new-1", "assistant", "Half"),
        ("new-2", "user", "Go on exactly where your answer stops."),
    ]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"instructions": "Be brief"}, "$.instructions"),
        ({"tools": [Tool("pay")]}, "$.tools"),
        ({"tool_choice": NamedTool("pay")}, "$.tool_choice"),
        ({"tool_choice": "none"}, "$.tool_choice"),
    ],
)
def test_what_the_protocol_has_no_field_for_is_refused(fields: dict[str, Any], path: str) -> None:
    code, _, details = refused(make(), ask(TextPart("Hi"), **fields))
    assert (code, details) == ("unsupported", {"path": path})


@pytest.mark.parametrize(
    "fields", [{"parameters": Parameters(temperature=1)}, {"tool_choice": "auto"}, {"user_id": "ann"}]
)
def test_what_asks_nothing_of_it_is_not_refused(fields: dict[str, Any]) -> None:
    assert sent(make(), TextPart("Hi"), **fields) == sent(make(), TextPart("Hi"))


@pytest.mark.parametrize("part", [ImagePart(file_id="f"), FilePart(file_id="f")])
def test_a_file_that_only_we_name_is_refused(part: ImagePart | FilePart) -> None:
    code, _, details = refused(make(), ask(TextPart("Hi"), part))
    assert (code, details) == ("unsupported", {"path": "$.content[1]"})


@pytest.mark.parametrize("parts", [[], [TextPart("")], [InputResponsePart("r")]])
def test_a_message_of_nothing_is_refused(parts: list[Any]) -> None:
    code, _, details = refused(make(), ask(*parts))
    assert (code, details) == ("bad_request", {"path": "$.content"})


def test_a_result_of_no_call_is_told_as_text() -> None:
    (message,) = sent(make(), ToolResultPart("c9", {"a": 1}), missed=[HistoryMessage("user", [])])["messages"]
    assert message["parts"] == [{"type": "text", "text": '(got {"a":1})'}]


# --- settings and credentials


@pytest.mark.parametrize("path", ["api", "/a b", "/a?b=1", "/a#b", "//\n", "/ä"])
def test_a_path_that_is_none_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        convert({"path": path}, AiSdkTarget)


@pytest.mark.parametrize(
    ("secrets", "headers"),
    [
        ({}, {}),
        ({"api_key": "k"}, {"Authorization": "Bearer k"}),
        ({"cookie": "session=s"}, {"Cookie": "session=s"}),
    ],
)
def test_each_set_of_credentials_has_its_header(secrets: dict[str, str], headers: dict[str, str]) -> None:
    assert frozenset(secrets) in AI_SDK.credentials
    assert sign_in(make(), **secrets) == Authorization(headers)


def test_a_conversation_hangs_on_the_path() -> None:
    assert AI_SDK.scope(AiSdkTarget("/api/chat", {"agent": "a"})) == "/api/chat"
    assert AI_SDK.takes_history


def test_a_stream_is_neither_resumed_nor_stopped() -> None:
    assert (make().resume(), make().cancel()) == (None, None)


# --- answers


def test_the_names_of_message_and_model_are_kept() -> None:
    translator = make()
    start = '{"type":"start","messageId":"m1","messageMetadata":{"model":"gpt"}}'
    heard(translator, framed(start, HI, '{"type":"message-metadata","messageMetadata":{"modelId":""}}', FINISH))
    assert (translator.vendor_ids, translator.model) == ({"message": "m1"}, "gpt")


def test_trailers_are_waited_for_until_the_end_is_told() -> None:
    translator = make()
    (start, text, finish, late, done) = framed('{"type":"start"}', HI, FINISH, '{"type":"data-a","data":1}', "[DONE]")
    seen = [(len(list(translator.feed(record))), translator.ending) for record in (start, text, finish)]
    assert seen == [(0, False), (2, False), (0, True)]
    assert len(list(translator.feed(late))) == 1
    assert list(translator.feed(done)) == [MessageCompleted("stop", "stop")]
    assert list(translator.feed(done)) == []
    assert list(translator.feed(late)) == [Notice("after_terminal")]
    assert list(translator.finish()) == []


def test_of_two_merged_streams_the_last_one_ends() -> None:
    translator = make()
    seen = []
    for record in framed('{"type":"start"}', '{"type":"start"}', HI, FINISH, FINISH):
        list(translator.feed(record))
        seen.append(translator.ending)
    assert seen == [False, False, False, False, True]


@pytest.mark.parametrize("more", ['{"type":"start"}', '{"type":"start-step"}', HI, '{"type":"text-start","id":"u"}'])
def test_a_finish_behind_which_another_stream_begins_is_none(more: str) -> None:
    translator = make()
    endings = []
    for record in framed('{"type":"start"}', HI, FINISH, more):
        list(translator.feed(record))
        endings.append(translator.ending)
    assert endings == [False, False, True, False]
    with pytest.raises(GatewayError) as caught:
        list(translator.finish())
    assert caught.value.cause == "truncated"
    list(translator.feed(framed(FINISH)[0]))
    assert list(translator.finish())[-1] == MessageCompleted("stop", "stop")


def test_a_person_and_the_client_may_both_be_waited_for() -> None:
    told = heard(
        make(),
        framed(
            '{"type":"tool-input-available","toolCallId":"c1","toolName":"pay","input":{}}',
            '{"type":"tool-approval-request","approvalId":"a1","toolCallId":"c1"}',
            '{"type":"tool-input-available","toolCallId":"c2","toolName":"locate","input":{}}',
            '{"type":"finish","finishReason":"tool-calls"}',
        ),
    )
    assert told[-1] == MessageCompleted("input_required", "tool-calls", ["c2"])


def test_of_an_answer_that_was_cut_nothing_is_to_be_run() -> None:
    call = '{"type":"tool-input-available","toolCallId":"c1","toolName":"pay","input":{}}'
    told = heard(make(), framed(call, '{"type":"finish","finishReason":"length"}'))
    assert told[-1] == MessageCompleted("length", "length")


def test_oddities_are_counted() -> None:
    twice = '{"type":"tool-input-start","toolCallId":"c","toolName":"pay"}'
    told = heard(make(), framed(twice, twice, '{"type":"tool-input-delta","toolCallId":"d","inputTextDelta":"x"}'))
    assert told[1:3] == [Notice("repaired_block"), Notice("repaired_block")]


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"text-delta","id":"t"}',
        '{"type":"text-delta","id":7,"delta":"x"}',
        '{"type":"tool-input-start","toolCallId":"","toolName":"pay"}',
        "[1]",
        "{",
    ],
)
def test_a_chunk_that_cannot_be_read_is_malformed(frame: str) -> None:
    with pytest.raises(Malformed):
        heard(make(), framed(frame))


@pytest.mark.parametrize(("text", "kept"), [('"boom"', "boom"), ("null", None), ('{"a":1}', None)])
def test_what_an_error_says_is_for_the_log(text: str, kept: str | None) -> None:
    error = failure(make(), f'{{"type":"error","errorText":{text}}}')
    assert logged(error) == ("upstream_unavailable", "vendor_error", None, kept)


def test_a_stream_that_stops_half_way_is_truncated() -> None:
    error = failure(make(), '{"type":"start"}', HI)
    assert logged(error) == ("upstream_protocol", "truncated", None, None)


# --- refusals


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (400, b"Bad", ("upstream_rejected", "rejected", 400, None, "r1")),
        (401, b'{"error":"no"}', ("upstream_auth", "auth", 401, None, "r1")),
        (402, b'{"error":{"code":"quota","message":"no"}}', ("quota_exhausted", "quota_exhausted", 402, "quota", "r1")),
        (404, b"", ("upstream_not_found", "not_found", 404, None, "r1")),
        (429, b'{"code":"slow","message":"no"}', ("upstream_rate_limited", "rate_limited", 429, "slow", "r1")),
        (503, b"<html>", ("upstream_unavailable", "status_5xx", 503, None, "r1")),
        (200, b"<html>", ("upstream_protocol", "content_type", 200, None, "r1")),
    ],
)
def test_a_refusal_is_read_by_its_status(status: int, body: bytes, told: tuple[object, ...]) -> None:
    error = refuse(make(), status, body, x_vercel_id="r1", Retry_After="3")
    assert blame(error) == told
    assert error.retry_after == 3
    assert error.vendor_message in {None, "no"}

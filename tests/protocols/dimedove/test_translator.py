"""Dimedove, upstream: each recorded answer becomes the events beside it; requests, refusals and oddities one by one."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Data,
    MessageCompleted,
    MessageFailed,
    Notice,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    VendorEvent,
)
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputResponsePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import AskPart, HistoryMessage, NamedTool, Parameters, Tool, Turn
from gateway.framing.record import Record
from gateway.framing.typed import Malformed
from gateway.protocols.base import Authorization, VendorRequest, VendorResponse
from gateway.protocols.dimedove import DIMEDOVE
from gateway.protocols.dimedove.conversations import DimedoveConversations
from gateway.protocols.dimedove.framing import AnswerDecoder, Document
from gateway.protocols.dimedove.translator import DimedoveTarget, DimedoveTranslator
from tests.support.spoil import spoilt_json
from tests.support.translating import Told, ask, failure, framed, heard, logged, records, refuse, refused, sign_in

EXAMPLES = Path(__file__).parent / "examples"
CHAT = "550e8400-e29b-41d4-a716-446655440000"
PATH = f"/apps/app_1/conversations/{CHAT}"
BOUND = {"conversation": CHAT}
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
STREAM_HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream"}
STOP = MessageCompleted("stop")
COMPLETED = '{"type":"response.completed"}'


def make(**settings: Any) -> DimedoveTranslator:
    return DimedoveTranslator(DimedoveTarget("app_1", **settings), Blocks(Numbering()))


def bound(**settings: Any) -> DimedoveTranslator:
    """A translator whose message went to its conversation."""
    translator = make(**settings)
    next(translator.requests(ask(TextPart("hi"), vendor_ids=BOUND)))
    return translator


def read(*frames: str, **settings: Any) -> Told:
    return heard(make(**settings), framed(*frames))


def document(data: str) -> Told:
    return heard(bound(), [Document(data.encode())])


def body_of(request: VendorRequest) -> Any:
    assert isinstance(request.body, bytes)
    return json.loads(request.body)


# --- examples


@pytest.mark.parametrize("name", ["manual-text.sse", "dossier-sync.json", "failed.sse", "types-only.sse"])
def test_an_answer_names_its_run(name: str) -> None:
    translator = bound()
    heard(translator, records(AnswerDecoder(), (EXAMPLES / name).read_bytes()))
    run = "resp_abc123" if name in {"manual-text.sse", "dossier-sync.json"} else "resp_1"
    assert translator.vendor_ids == {"conversation": CHAT, "run": run}


# --- requests

CREATED = VendorResponse(200, CIMultiDict(), f'{{"id":"{CHAT}","object":"conversation"}}'.encode())


def test_a_first_message_creates_its_conversation() -> None:
    translator = make()
    calls = translator.requests(ask(TextPart("Is it here?"), user_id="ann/1", metadata={"city": "Montreal"}))
    assert next(calls) == VendorRequest(
        "POST",
        "/apps/app_1/conversations",
        headers=JSON_HEADERS,
        body=b'{"external_user_id":"ann/1","metadata":{"city":"Montreal"}}',
        effect="repeatable",
    )
    assert calls.send(CREATED) == VendorRequest(
        "POST",
        PATH,
        headers=STREAM_HEADERS,
        body=b'{"message":{"role":"user","content":"Is it here?"},"stream":true,"metadata":{"city":"Montreal"}}',
        framing=AnswerDecoder,
        effect="once",
    )
    assert translator.vendor_ids == BOUND
    with pytest.raises(StopIteration):
        calls.send(VendorResponse(200, CIMultiDict()))


@pytest.mark.parametrize("ids", [{}, {"conversation": ""}, {"run": "resp_1"}])
def test_a_conversation_of_nobody_is_created_empty(ids: dict[str, str]) -> None:
    assert next(make().requests(ask(TextPart("hi"), vendor_ids=ids))).body == b"{}"


def test_a_further_message_goes_to_its_conversation() -> None:
    translator = make()
    assert list(translator.requests(ask(TextPart("And now?"), user_id="ann", vendor_ids=BOUND))) == [
        VendorRequest(
            "POST",
            PATH,
            headers=STREAM_HEADERS,
            body=b'{"message":{"role":"user","content":"And now?"},"stream":true}',
            framing=AnswerDecoder,
            effect="once",
        )
    ]
    assert translator.vendor_ids == BOUND


def test_a_document_is_asked_for_where_neither_client_nor_target_streams() -> None:
    turn = ask(TextPart("hi"), stream=False, vendor_ids=BOUND)
    assert list(make(upstream_stream=False).requests(turn)) == [
        VendorRequest(
            "POST",
            PATH,
            headers=JSON_HEADERS,
            body=b'{"message":{"role":"user","content":"hi"},"stream":false}',
            framing=AnswerDecoder,
            effect="once",
        )
    ]


@pytest.mark.parametrize(("client", "target"), [(True, False), (False, True)])
def test_a_stream_is_asked_for_where_the_client_or_the_target_streams(*, client: bool, target: bool) -> None:
    (request,) = make(upstream_stream=target).requests(ask(TextPart("hi"), stream=client, vendor_ids=BOUND))
    assert (body_of(request)["stream"], request.headers) == (True, STREAM_HEADERS)


def test_ids_in_a_path_are_percent_encoded() -> None:
    translator = DimedoveTranslator(DimedoveTarget("a/b c"), Blocks(Numbering()))
    (request,) = translator.requests(ask(TextPart("hi"), vendor_ids={"conversation": "x/y"}))
    assert request.path == "/apps/a%2Fb%20c/conversations/x%2Fy"


@pytest.mark.parametrize("app", ["", ".", "..", "x" * 129])
def test_an_app_that_cannot_stand_in_a_path_is_refused(app: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"app": app}, DimedoveTarget)


@pytest.mark.parametrize("conversation", [".", ".."])
def test_a_conversation_that_leads_elsewhere_in_a_path_is_refused(conversation: str) -> None:
    turn = ask(TextPart("hi"), vendor_ids={"conversation": conversation})
    assert refused(make(), turn) == ("bad_request", "an id or name cannot stand in a path", {})


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"id":null}', b'{"id":""}', b'{"id":".."}', b'{"id":"a b"}', b'{"id":"a\\u0000"}'],
)
def test_a_conversation_without_a_good_id_is_malformed(body: bytes) -> None:
    calls = make().requests(ask(TextPart("hi")))
    next(calls)
    with pytest.raises(Malformed):
        calls.send(VendorResponse(200, CIMultiDict(), body))


def test_parameters_and_an_automatic_choice_of_tools_are_left_out() -> None:
    turn = ask(TextPart("hi"), parameters=Parameters(temperature=1), tool_choice="auto", vendor_ids=BOUND)
    (request,) = make().requests(turn)
    assert body_of(request) == {"message": {"role": "user", "content": "hi"}, "stream": True}


@pytest.mark.parametrize(
    ("turn", "what", "path"),
    [
        (ask(TextPart("a"), instructions="Be kind"), "instructions", "$.instructions"),
        (ask(TextPart("a"), tools=[Tool("t")]), "the client's tools", "$.tools"),
        (ask(TextPart("a"), tool_choice="none"), "a choice of tools", "$.tool_choice"),
        (ask(TextPart("a"), tool_choice=NamedTool("t")), "a choice of tools", "$.tool_choice"),
        (ask(TextPart("a"), ImagePart(url="https://x.test/a.png")), "images", "$.content[1]"),
        (ask(FilePart(file_id="file_1")), "files", "$.content[0]"),
        (ask(ToolResultPart("call_1", 1)), "results of the client's tools", "$.content[0]"),
        (ask(TextPart("a"), regenerates="item_1"), "a wish for another answer", "$.regenerate"),
    ],
)
def test_what_dimedove_cannot_take_is_refused_before_anything_is_sent(turn: Turn, what: str, path: str) -> None:
    assert refused(make(), turn) == ("unsupported", f"dimedove cannot take {what}", {"path": path})


@pytest.mark.parametrize("parts", [[], [TextPart("")], [TextPart(" \n")], [InputResponsePart("r")]])
def test_a_message_without_text_is_refused(parts: list[AskPart]) -> None:
    assert refused(make(), ask(*parts)) == ("bad_request", "the message has no text", {"path": "$.content"})


def test_what_was_said_elsewhere_goes_in_front_and_what_was_answered_behind() -> None:
    turn = ask(
        TextPart("And now?"),
        InputResponsePart("r", approved=True),
        missed=[
            HistoryMessage("user", [TextPart("Hi")]),
            HistoryMessage("assistant", [ToolCallPart("call_1", "look", {"id": 1})]),
        ],
        partial="It",
        vendor_ids=BOUND,
    )
    (request,) = make().requests(turn)
    assert body_of(request)["message"]["content"] == (
        "[Earlier in this conversation]\n"
        "user: Hi\n"
        'assistant: (called look with {"id":1})\n'
        "[Now]\n"
        "And now?\n\nApproved.\n"
        "[Your answer so far; go on where it stops]\n"
        "It"
    )


# --- authorization, resume, cancel


def test_the_key_goes_as_a_bearer_token() -> None:
    authorization = sign_in(make(), api_key="sk_live_1")
    assert authorization == Authorization({"Authorization": "Bearer sk_live_1"})
    assert authorization.headers == {"Authorization": "Bearer sk_live_1"}


def test_there_is_nothing_to_resume_or_to_cancel() -> None:
    translator = make()
    assert (translator.resume(), translator.cancel(), translator.model) == (None, None, None)


# --- which event it is


@pytest.mark.parametrize(
    "record",
    [
        Record(b'{"type":"response.output_text.delta","delta":"a"}', b"response.output_text.delta"),
        Record(b'{"type":"response.output_text.delta","delta":"a"}'),
        Record(b'{"delta":"a"}', b"response.output_text.delta"),
        Record(b'{"type":null,"delta":"a"}', b"response.output_text.delta"),
        Record(b'{"type":"response.function_call.start","delta":"a"}', b"response.output_text.delta"),
        Record(b'{"type":"response.output_text.delta","delta":"a"}', b"message"),
    ],
)
def test_an_event_is_named_by_its_line_or_else_by_its_type(record: Record) -> None:
    assert list(make().feed(record)) == [TextStarted(0), TextDelta(0, "a")]


@pytest.mark.parametrize(
    ("record", "event"),
    [
        (Record(b'{"type":"sparkle","n":1}'), VendorEvent("sparkle", {"type": "sparkle", "n": 1})),
        (Record(b'{"n":1}', b"sparkle"), VendorEvent("sparkle", {"n": 1})),
        (Record(b'{"type":"","error":null}', b"sparkle"), VendorEvent("sparkle", {"type": "", "error": None})),
    ],
)
def test_an_event_that_nobody_knows_is_passed_on_as_the_vendors(record: Record, event: VendorEvent) -> None:
    assert list(make().feed(record)) == [event]


@pytest.mark.parametrize(
    "data",
    [
        b"oops",
        b"[]",
        b"null",
        b"{}",
        b'{"type":7}',
        b'{"type":"response.output_text.delta"}',
        b'{"type":"response.output_text.delta","delta":7}',
        b'{"type":"response.output_text.delta","delta":"a","output_index":"b"}',
        b'{"type":"response.output_text.done"}',
        b'{"type":"response.function_call.start","call_id":"c1"}',
        b'{"type":"response.function_call.start","call_id":"","name":"look"}',
        b'{"type":"response.function_call_arguments.done","name":"look"}',
        b'{"type":"response.output_item.done"}',
        b'{"type":"response.output_item.done","item":{"type":"function_call","arguments":{}}}',
        b'{"type":"response.output_item.done","item":7}',
        b'{"type":"response.data_spec"}',
        b'{"type":"response.completed","status":7}',
        b"{" * 99999,
    ],
)
def test_an_event_that_cannot_be_read_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        list(make().feed(Record(data)))


def test_an_event_without_data_is_nothing() -> None:
    fed = records(AnswerDecoder(), b"retry: 5\ndata:\n\n: ping\n\nevent: response.completed\ndata\n\n")
    assert heard(make(), [*fed, Record(COMPLETED.encode())]) == [STOP]


# --- how an answer ends


@pytest.mark.parametrize("frames", [(), ("[DONE]",), ('{"type":"response.created"}', "[DONE]")])
def test_a_stream_that_ends_before_its_terminal_is_truncated(frames: tuple[str, ...]) -> None:
    error = failure(bound(), *frames)
    assert (error.code, error.cause, error.message) == (
        "upstream_protocol",
        "truncated",
        "dimedove ended its stream before its terminal event",
    )


@pytest.mark.parametrize("done", ["[DONE]", "[DONE] ", ""])
def test_done_behind_the_terminal_is_nothing(done: str) -> None:
    assert read(COMPLETED, done) == [STOP]


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"response.output_text.delta","delta":"more"}',
        '{"type":"response.failed"}',
        '{"type":"sparkle","error":"late"}',
        COMPLETED,
        "oops",
    ],
)
def test_nothing_is_shown_after_the_terminal(frame: str) -> None:
    assert read(COMPLETED, frame) == [STOP, Notice("after_terminal")]


def test_nothing_is_shown_while_the_tools_outputs_are_fetched() -> None:
    translator = make()
    list(translator.feed(Record(SIGNAL.encode())))
    assert list(translator.feed(Record(COMPLETED.encode()))) == []
    assert translator.ending
    late = Record(b'{"type":"response.output_text.delta","delta":"more"}')
    assert list(translator.feed(late)) == [Notice("after_terminal")]
    assert list(translator.finish()) == [STOP]
    assert list(translator.finish()) == []


@pytest.mark.parametrize(
    ("frame", "code", "cause"),
    [
        ('{"type":"response.completed","status":"failed"}', "upstream_unavailable", "vendor_error"),
        ('{"type":"response.completed","status":"incomplete"}', "upstream_protocol", "protocol"),
        ('{"type":"response.failed","status":"failed"}', "upstream_unavailable", "vendor_error"),
        ('{"type":"response.failed","error":null}', "upstream_unavailable", "vendor_error"),
    ],
)
def test_an_ending_that_is_no_success_is_a_failure(frame: str, code: str, cause: str) -> None:
    error = failure(bound(), frame)
    assert (error.code, error.cause, error.vendor_code, error.vendor_message) == (code, cause, None, None)


@pytest.mark.parametrize(
    ("frame", "code", "cause", "vendor_code", "vendor_message"),
    [
        ('{"type":"response.failed","error":{"message":"Oh"}}', "upstream_unavailable", "vendor_error", None, "Oh"),
        ('{"type":"response.failed","error":"Oh"}', "upstream_unavailable", "vendor_error", None, "Oh"),
        (
            '{"type":"response.failed","error":{"message":"Oh","type":"rate_limit_exceeded"}}',
            "upstream_rate_limited",
            "rate_limited",
            "rate_limit_exceeded",
            "Oh",
        ),
        (
            '{"type":"response.failed","error":{"message":"Oh","type":null,"code":"E1"}}',
            "upstream_unavailable",
            "vendor_error",
            "E1",
            "Oh",
        ),
        ('{"type":"response.completed","error":{"message":"Oh"}}', "upstream_protocol", "vendor_error", None, "Oh"),
        (
            '{"type":"response.output_text.delta","delta":"a","error":"Oh"}',
            "upstream_protocol",
            "vendor_error",
            None,
            "Oh",
        ),
        (
            '{"type":"response.output_text.delta","delta":7,"error":"Oh"}',
            "upstream_protocol",
            "vendor_error",
            None,
            "Oh",
        ),
        ('{"type":"sparkle","error":"Oh"}', "upstream_protocol", "vendor_error", None, "Oh"),
        (
            '{"error":{"type":"not_found","message":"Oh"}}',
            "upstream_not_found",
            "not_found",
            "not_found",
            "Oh",
        ),
        ('{"type":7,"error":"Oh"}', "upstream_protocol", "vendor_error", None, "Oh"),
        ('{"type":"error","message":"Oh"}', "upstream_protocol", "vendor_error", None, "Oh"),
        (
            '{"type":"response.output_item.done","item":{"type":"glitter","error":"Oh"}}',
            "upstream_protocol",
            "vendor_error",
            None,
            "Oh",
        ),
    ],
)
def test_any_event_that_holds_an_error_is_a_failure(
    frame: str, code: str, cause: str, vendor_code: str | None, vendor_message: str | None
) -> None:
    error = failure(bound(), frame)
    assert logged(error) == (code, cause, vendor_code, vendor_message)
    assert "Oh" not in error.message


@pytest.mark.parametrize(
    "record",
    [
        Record(b'{"conversation_id":"other"}', b"response.created"),
        Document(b'{"id":"resp_1","conversation_id":"other"}'),
    ],
)
def test_the_answer_of_another_conversation_is_a_protocol_error(record: Record) -> None:
    translator = bound()
    with pytest.raises(GatewayError) as caught:
        list(translator.feed(record))
    error = caught.value
    assert (error.code, error.cause, error.message) == (
        "upstream_protocol",
        "protocol",
        "dimedove answered for another conversation",
    )
    assert translator.vendor_ids == BOUND


# --- texts


def delta(text: str, output: int = 0, content: int = 0) -> str:
    place = {"output_index": output, "content_index": content}
    return json.dumps({"type": "response.output_text.delta", "delta": text, **place})


def done(text: str, output: int = 0, content: int = 0) -> str:
    place = {"output_index": output, "content_index": content}
    return json.dumps({"type": "response.output_text.done", "text": text, **place})


def test_a_text_of_another_place_is_a_block_of_its_own() -> None:
    frames = (delta("a"), delta("b", content=1), delta("c", output=1), done("a"), done("b", content=1))
    assert read(*frames, COMPLETED) == [
        TextStarted(0),
        TextDelta(0, "a"),
        TextStarted(1),
        TextDelta(1, "b"),
        TextStarted(2),
        TextDelta(2, "c"),
        TextCompleted(0, "a"),
        TextCompleted(1, "b"),
        TextCompleted(2, "c"),
        STOP,
    ]


def test_places_need_not_be_named() -> None:
    assert read('{"type":"response.output_text.delta","delta":"a"}', done("a"), COMPLETED) == [
        TextStarted(0),
        TextDelta(0, "a"),
        TextCompleted(0, "a"),
        STOP,
    ]


def test_a_closing_text_adds_what_the_deltas_lack() -> None:
    assert read(delta("Hel"), done("Hello"), done("Hello"), COMPLETED) == [
        TextStarted(0),
        TextDelta(0, "Hel"),
        TextDelta(0, "lo"),
        TextCompleted(0, "Hello"),
        STOP,
    ]


def test_a_closing_text_that_differs_takes_the_place_of_the_deltas() -> None:
    assert read(delta("Four"), done("4"), COMPLETED) == [
        TextStarted(0),
        TextDelta(0, "Four"),
        TextCompleted(0, "Four"),
        TextStarted(1, 0),
        TextDelta(1, "4"),
        TextCompleted(1, "4"),
        Notice("text_corrected"),
        STOP,
    ]


def test_an_empty_closing_text_takes_nothing_back() -> None:
    assert read(delta("Hi"), delta(""), done(""), done("", 1), COMPLETED) == [
        TextStarted(0),
        TextDelta(0, "Hi"),
        TextCompleted(0, "Hi"),
        STOP,
    ]


def test_a_patch_of_the_vendors_ui_is_data() -> None:
    assert read('{"type":"response.data_spec","data":[null]}', COMPLETED) == [Data("data_spec", [None]), STOP]


# --- tool calls


START = '{"type":"response.function_call.start","call_id":"c1","name":"look"}'
SIGNAL = '{"type":"response.output_item.done","item":{"type":"function_call","name":"look","call_id":"c1"}}'


def grow(text: str) -> str:
    return json.dumps({"type": "response.function_call_arguments.delta", "call_id": "c1", "delta": text})


def call_done(arguments: str | None, **more: str) -> str:
    kind = "response.function_call_arguments.done"
    return json.dumps({"type": kind, "call_id": "c1", "arguments": arguments, **more})


def item_done(arguments: str | None, **more: str) -> str:
    item = {"type": "function_call", "name": "look", "arguments": arguments, **more}
    return json.dumps({"type": "response.output_item.done", "item": item})


STARTED = ToolCallStarted(0, "c1", "look", "vendor")


def complete(arguments: dict[str, Any]) -> ToolCallCompleted:
    return ToolCallCompleted(0, "c1", "look", arguments, "complete")


@pytest.mark.parametrize(
    "end", [call_done('{ "a": 1 }'), call_done(None), call_done(""), item_done(None, call_id="c1")]
)
def test_a_call_whose_arguments_are_streamed_is_the_vendors(end: str) -> None:
    assert read(START, grow('{"a"'), grow(":1}"), end, COMPLETED) == [
        STARTED,
        ToolCallDelta(0, "c1", '{"a"'),
        ToolCallDelta(0, "c1", ":1}"),
        complete({"a": 1}),
        STOP,
    ]


@pytest.mark.parametrize("end", [call_done('{"a":1}', name="look"), item_done('{"a":1}', call_id="c1")])
def test_a_call_that_is_told_whole_with_its_arguments_is_the_vendors(end: str) -> None:
    assert read(end, COMPLETED) == [STARTED, ToolCallDelta(0, "c1", '{"a":1}'), complete({"a": 1}), STOP]


def test_a_call_without_arguments_may_be_a_mere_signal() -> None:
    assert read(SIGNAL, COMPLETED) == [ToolCallStarted(0, "c1", "look", "unknown"), complete({}), STOP]


def test_a_call_without_a_name_is_a_tool() -> None:
    assert read(call_done("{}"), COMPLETED)[0] == ToolCallStarted(0, "c1", "tool", "vendor")


def test_calls_without_ids_get_ids_of_ours() -> None:
    assert read(item_done(None), item_done(None), COMPLETED) == [
        ToolCallStarted(0, "call_0", "look", "unknown"),
        ToolCallCompleted(0, "call_0", "look", {}, "complete"),
        ToolCallStarted(1, "call_1", "look", "unknown"),
        ToolCallCompleted(1, "call_1", "look", {}, "complete"),
        STOP,
    ]


def test_a_call_is_shown_once() -> None:
    item = item_done('{"a":2}', call_id="c1")
    assert read(grow("{}"), START, START, grow(""), call_done('{"a":1}'), item, item, START, grow("{}"), COMPLETED) == [
        Notice("repaired_block"),
        STARTED,
        Notice("repaired_block"),
        ToolCallDelta(0, "c1", '{"a":1}'),
        complete({"a": 1}),
        Notice("repaired_block"),
        Notice("repaired_block"),
        STOP,
    ]


@pytest.mark.parametrize(
    ("spelled", "final", "completed", "notices"),
    [
        ('{"a":1}', '{"a":2}', ToolCallCompleted(0, "c1", "look", {}, "unreadable", '{"a":1}'), 1),
        ('{"a":1}', "{}", ToolCallCompleted(0, "c1", "look", {}, "unreadable", '{"a":1}'), 1),
        ('{"a":1}', "x", complete({"a": 1}), 1),
        ("x", '{"a":1}', ToolCallCompleted(0, "c1", "look", {}, "unreadable", "x"), 1),
        ("x", "x", ToolCallCompleted(0, "c1", "look", {}, "unreadable", "x"), 0),
        ("[1]", "[1]", ToolCallCompleted(0, "c1", "look", {}, "unreadable", "[1]"), 0),
    ],
)
def test_arguments_that_differ_or_are_no_object_are_told_as_they_came(
    spelled: str, final: str, completed: ToolCallCompleted, notices: int
) -> None:
    assert read(START, grow(spelled), call_done(final), COMPLETED) == [
        STARTED,
        ToolCallDelta(0, "c1", spelled),
        completed,
        *[Notice("arguments_differ")] * notices,
        STOP,
    ]


def test_a_call_that_is_left_open_is_left_to_the_relay() -> None:
    assert read(START, grow("{"), COMPLETED) == [STARTED, ToolCallDelta(0, "c1", "{"), STOP]


@pytest.mark.parametrize("item", ['{"type":"message","content":[]}', '{"type":"data_spec","data":1}'])
def test_other_items_are_not_told_again(item: str) -> None:
    assert read(f'{{"type":"response.output_item.done","item":{item}}}', COMPLETED) == [STOP]


# --- what the tools gave

READ = VendorRequest("GET", PATH, headers={"Accept": "application/json"})
KEPT = {
    "id": CHAT,
    "items": [
        {"id": "item_1", "role": "user", "parts": [{"type": "text", "text": "hi"}], "created_at": 1},
        {
            "id": "item_2",
            "role": "assistant",
            "parts": [
                {"type": "sparkle"},
                {"type": "tool-call", "toolCallId": "c0", "toolName": "old", "input": {}, "output": {"a": 0}},
                {"type": "tool-call", "toolCallId": "c1", "toolName": "look", "input": {}, "output": {"a": 1}},
                {"type": "tool-call", "toolCallId": "c2", "toolName": "see", "input": {}, "output": None},
                {"type": "text", "text": "There."},
            ],
            "created_at": 2,
        },
    ],
}


def told_with(kept: bytes, *records: Record, **settings: Any) -> tuple[Told, dict[str, str]]:
    """A turn whose conversation is read behind it, as the relay plays it."""
    translator = make(**settings)
    calls = translator.requests(ask(TextPart("hi"), vendor_ids=BOUND))
    next(calls)
    told: Told = []
    for record in records:
        told += translator.feed(record)
    assert calls.send(VendorResponse(200, CIMultiDict())) == READ
    with pytest.raises(StopIteration):
        calls.send(VendorResponse(200, CIMultiDict(), kept))
    return [*told, *translator.finish()], translator.vendor_ids


CALLS = (
    Record(call_done("{}", name="look").encode()),
    Record(item_done(None, call_id="c2").encode()),
    Record(COMPLETED.encode()),
)
CALLS_TOLD = [
    ToolCallStarted(0, "c1", "look", "vendor"),
    ToolCallDelta(0, "c1", "{}"),
    complete({}),
    ToolCallStarted(1, "c2", "look", "unknown"),
    ToolCallCompleted(1, "c2", "look", {}, "complete"),
]


def test_what_this_turns_tools_gave_is_told_before_the_end() -> None:
    assert told_with(json.dumps(KEPT).encode(), *CALLS) == (
        [*CALLS_TOLD, ToolResult("c1", {"a": 1}, is_error=False, name="look"), STOP],
        {"conversation": CHAT, "message": "item_2"},
    )


def test_what_an_earlier_turns_tool_gave_is_not_told_for_a_call_of_the_same_id() -> None:
    call = {"type": "tool-call", "toolCallId": "c2", "toolName": "see", "input": {}, "output": {"b": 7}}
    earlier = [
        {"id": "item_1", "role": "user", "parts": [{"type": "text", "text": "before"}]},
        {"id": "item_2", "role": "assistant", "parts": [call]},
    ]
    kept = {"id": CHAT, "items": [*earlier, *KEPT["items"]]}
    assert told_with(json.dumps(kept).encode(), *CALLS)[0] == [
        *CALLS_TOLD,
        ToolResult("c1", {"a": 1}, is_error=False, name="look"),
        STOP,
    ]


def test_a_documents_tools_are_asked_for_too() -> None:
    item = '{"type":"function_call","call_id":"c1","name":"look","arguments":null}'
    told, _ = told_with(json.dumps(KEPT).encode(), Document(f'{{"id":"r","output":[{item}]}}'.encode()))
    assert told[-2:] == [ToolResult("c1", {"a": 1}, is_error=False, name="look"), STOP]


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"items":[]}',
        b'{"items":[{"role":"user","parts":[{"type":"tool-call"}]}]}',
        b'{"items":[{"role":"user","parts":[7]}]}',
        b'{"items":' + b"[" * 99999,
    ],
)
def test_a_conversation_that_cannot_be_read_fails_nothing(kept: bytes) -> None:
    assert told_with(kept, *CALLS) == ([*CALLS_TOLD, STOP], BOUND)


def test_an_item_without_an_id_names_no_message() -> None:
    kept = b'{"items":[{"role":"a","parts":[{"type":"tool-call","toolCallId":"c1","toolName":"t","output":[]}]}]}'
    told, ids = told_with(kept, *CALLS)
    assert (told[-2], ids) == (ToolResult("c1", [], is_error=False, name="look"), BOUND)


@pytest.mark.parametrize(("records", "settings"), [(CALLS, {"tool_outputs": False}), (CALLS[-1:], {})])
def test_the_conversation_is_not_read_without_need(records: tuple[Record, ...], settings: Any) -> None:
    translator = make(**settings)
    calls = translator.requests(ask(TextPart("hi"), vendor_ids=BOUND))
    next(calls)
    told = [event for record in records for event in translator.feed(record)]
    assert (told[-1], translator.ending) == (STOP, False)
    with pytest.raises(StopIteration):
        calls.send(VendorResponse(200, CIMultiDict()))


@given(spoilt_json(json.dumps(KEPT).encode()))
def test_a_spoilt_conversation_fails_nothing(kept: bytes) -> None:
    told, _ = told_with(kept, *CALLS)
    assert (told[: len(CALLS_TOLD)], told[-1]) == (CALLS_TOLD, STOP)


# --- documents


def test_both_names_of_a_text_are_read_in_a_document() -> None:
    content = (
        '[{"type":"output_text","text":"a"},{"type":"text","text":""},{"type":"image"},{"type":"text","text":"b"}]'
    )
    items = f'[{{"type":"message","content":{content}}},{{"type":"message","content":null}},{{"type":"glitter"}}]'
    assert document(f'{{"id":"resp_1","output":{items}}}') == [
        TextStarted(0),
        TextDelta(0, "a"),
        TextCompleted(0, "a"),
        VendorEvent("image", {"type": "image"}),
        TextStarted(1),
        TextDelta(1, "b"),
        TextCompleted(1, "b"),
        VendorEvent("glitter", {"type": "glitter"}),
        STOP,
    ]


@pytest.mark.parametrize(
    ("data", "code", "vendor_code"),
    [
        ('{"error":{"message":"Oh","type":"rate_limit_exceeded"}}', "upstream_rate_limited", "rate_limit_exceeded"),
        ('{"error":"Oh"}', "upstream_unavailable", None),
        ('{"id":"resp_1","error":"Oh","output":[]}', "upstream_unavailable", None),
        ('{"id":"resp_1","status":"failed"}', "upstream_unavailable", None),
        ('{"id":"resp_1","status":"in_progress"}', "upstream_protocol", None),
        ('{"id":"resp_1","output":[{"type":"glitter","error":"Oh"}]}', "upstream_protocol", None),
        (
            '{"id":"resp_1","output":[{"type":"message","content":[{"type":"refusal","error":"Oh"}]}]}',
            "upstream_protocol",
            None,
        ),
    ],
)
def test_a_document_that_holds_an_error_is_a_failure(data: str, code: str, vendor_code: str | None) -> None:
    (told,) = document(data)
    assert isinstance(told, MessageFailed)
    assert (told.error.code, told.error.vendor_code) == (code, vendor_code)


@pytest.mark.parametrize(
    "data",
    [
        "{}",
        "{",
        '{"detail":"Oh"}',
        '{"id":"resp_1","output":[7]}',
        '{"id":"resp_1","output":{}}',
        '{"id":"resp_1","output":[{}]}',
        '{"id":"resp_1","output":[{"type":"message","content":[{"type":"text"}]}]}',
    ],
)
def test_a_document_that_cannot_be_read_is_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        document(data)


# --- refusals


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"detail":"Not Found"}', "Not Found"),
        (b'{"detail":[{"loc":["body","message"],"msg":"Field required"}]}', None),
        (b'{"error":"Oh","detail":"x"}', "Oh"),
        (b'{"message":"Oh"}', "Oh"),
    ],
)
def test_what_a_refusal_says_goes_to_the_log(body: bytes, message: str | None) -> None:
    said = refuse(make(), 422, body).vendor_message
    assert said == (message or '[{"loc":["body","message"],"msg":"Field required"}]')


@pytest.mark.parametrize(("headers", "seconds"), [({"Retry-After": "3"}, 3.0), ({}, None)])
def test_the_wait_after_a_429_is_kept(headers: dict[str, str], seconds: float | None) -> None:
    assert make().refuse(429, CIMultiDict(headers), b"").retry_after == seconds


# --- the descriptor


def test_the_descriptor_makes_what_there_is_beside_messages() -> None:
    assert DIMEDOVE.conversations is not None
    conversations = DIMEDOVE.conversations(make())
    assert isinstance(conversations, DimedoveConversations)
    assert next(conversations.messages(BOUND)) == READ
    assert (DIMEDOVE.files, DIMEDOVE.data_frames) == (None, None)

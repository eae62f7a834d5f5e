"""AG-UI's translator: what it sends, what it makes of streams beside the examples, and how it is refused."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from msgspec import ValidationError, convert

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.events import MessageCompleted, Notice, TextDelta, ToolCallStarted, VendorEvent
from gateway.canonical.message import TextPart, ToolCallPart, ToolResultPart
from gateway.canonical.turn import HistoryMessage, NamedTool, Tool, Turn
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.protocols.ag_ui import AG_UI
from gateway.protocols.ag_ui.faults import WORDS, code_of
from gateway.protocols.ag_ui.run_input import Context, spell_context
from gateway.protocols.ag_ui.translator import AgUiOptions, AgUiTarget, AgUiTranslator
from gateway.protocols.base import VendorRequest
from tests.support.translating import (
    as_json,
    ask,
    blame,
    expected,
    failure,
    framed,
    heard,
    lawful,
    logged,
    records,
    refuse,
    refused,
    sign_in,
)

CLIENT = Path(__file__).parent / "examples" / "client"
TOOLS = [Tool("weather"), Tool("map"), Tool("pick_color")]
STARTED = '{"type":"RUN_STARTED","threadId":"t1","runId":"r1"}'
FINISHED = '{"type":"RUN_FINISHED","threadId":"t1","runId":"r1"}'


def make(**target: Any) -> AgUiTranslator:
    return AgUiTranslator(AgUiTarget(**target), Blocks(Numbering()))


def asked(turn: Turn, translator: AgUiTranslator | None = None) -> VendorRequest:
    return next((translator or make()).requests(turn))


def body(turn: Turn, **target: Any) -> Any:
    request = asked(turn, make(**target))
    assert isinstance(request.body, bytes)
    return json.loads(request.body)


def with_tools() -> AgUiTranslator:
    translator = make()
    asked(ask(TextPart("hi"), tools=TOOLS), translator)
    return translator


# --- the request


def test_a_run_is_asked_as_the_client_library_asks_it() -> None:
    ids = iter(["t1", "r1"])
    request = asked(ask(TextPart("hello"), new_id=lambda: next(ids)))
    assert json.loads(bytes(request.body)) == {  # type: ignore[arg-type]
        "threadId": "t1",
        "runId": "r1",
        "protocolVersion": "1.0",
        "state": {},
        "messages": [{"id": "t1-0", "role": "user", "content": "hello"}],
        "tools": [],
        "context": [],
        "forwardedProps": {},
    }
    assert (request.method, request.path, request.effect) == ("POST", "", "once")
    assert request.headers == {"Content-Type": "application/json", "Accept": "text/event-stream"}


def test_a_path_begins_with_a_slash_and_is_one() -> None:
    for path in ("agent", "/a b", "/a?b=c", "/a\r\nHost: b"):
        with pytest.raises(ValidationError):
            convert({"path": path}, AgUiTarget)


def test_a_target_may_say_that_its_runs_can_be_repeated() -> None:
    request = asked(ask(TextPart("hi")), make(path="/agent", repeatable=True))
    assert (request.path, request.effect) == ("/agent", "repeatable")


def test_a_conversation_goes_on_in_its_thread() -> None:
    translator = make()
    asked(ask(TextPart("hi"), vendor_ids={"conversation": "t7"}), translator)
    assert translator.vendor_ids == {"conversation": "t7"}


def test_tools_and_options_are_sent() -> None:
    options = AgUiOptions({"a": 3, "b": 2}, {"count": 1}, [Context("The page", "/home")])
    sent = body(
        ask(
            TextPart("hi"), tools=[Tool("f", "does it", {"type": "object"})], options=options, instructions="Be brief."
        ),
        forwarded_props={"a": 1},
    )
    assert sent["tools"] == [{"name": "f", "description": "does it", "parameters": {"type": "object"}}]
    assert sent["forwardedProps"] == {"a": 1, "b": 2}
    assert sent["state"] == {"count": 1}
    assert sent["context"] == [{"description": "The page", "value": "/home"}]
    assert sent["messages"][0] == {"id": "new-0", "role": "system", "content": "Be brief."}


@pytest.mark.parametrize("instructions", ["", "Be brief.\n\n"])
def test_context_that_has_its_own_field_is_not_said_twice(instructions: str) -> None:
    context = [Context("The page", "/home"), Context("The user", "Olena")]
    spelled = instructions + spell_context(context)
    sent = body(ask(TextPart("hi"), instructions=spelled, options=AgUiOptions(context=context)))
    assert [message["content"] for message in sent["messages"]] == [*filter(None, [instructions.strip()]), "hi"]


def test_no_tool_is_declared_where_none_may_be_called() -> None:
    assert body(ask(TextPart("hi"), tools=TOOLS, tool_choice="none"))["tools"] == []


@pytest.mark.parametrize("choice", ["required", NamedTool("map")])
def test_a_choice_of_tools_cannot_be_told(choice: Any) -> None:
    told = refused(make(), ask(TextPart("hi"), tools=TOOLS, tool_choice=choice))
    assert told == ("unsupported", "ag_ui cannot take a choice of tools", {"path": "$.tool_choice"})


def test_a_server_may_need_a_key_or_none() -> None:
    assert sign_in(make()).headers == {}
    assert sign_in(make(), api_key="k").headers == {"Authorization": "Bearer k"}


# --- the stream


@pytest.mark.parametrize("path", sorted(CLIENT.glob("*.sse")), ids=lambda path: path.stem)
def test_each_call_of_a_declared_tool_is_the_clients(path: Path) -> None:
    told = heard(with_tools(), records(SseDecoder(), path.read_bytes()))
    assert as_json(told) == expected(path)
    lawful(told)


def test_ids_and_the_model_are_kept() -> None:
    translator = make()
    heard(translator, records(SseDecoder(), (CLIENT.parent / "text.sse").read_bytes()))
    assert translator.vendor_ids == {"conversation": "t1", "run": "r1", "message": "m1"}
    assert translator.model == "sim-1"


def test_a_run_that_names_nothing_keeps_our_ids() -> None:
    translator = make()
    asked(ask(TextPart("hi")), translator)
    heard(translator, framed('{"type":"RUN_STARTED"}', FINISHED))
    assert translator.vendor_ids == {"conversation": "new"}


def test_what_a_run_waits_for_is_kept() -> None:
    translator = make()
    heard(translator, records(SseDecoder(), (CLIENT.parent / "approval.sse").read_bytes()))
    assert translator.vendor_ids["interrupts"] == "int-c1"


def test_a_text_delta_is_one_event() -> None:
    translator = make()
    delta = Record(b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"m1","delta":"a"}')
    list(translator.feed(delta))
    assert translator.feed(delta) == (TextDelta(0, "a"),)


def test_what_comes_after_the_end_is_only_noted() -> None:
    translator = make()
    list(translator.feed(Record(FINISHED.encode())))
    assert translator.feed(Record(STARTED.encode())) == (Notice("after_terminal"),)
    assert translator.feed(Record(b"")) == ()


def test_a_short_form_without_an_id_is_an_answer_all_the_same() -> None:
    chunks = [
        '{"type":"TEXT_MESSAGE_CHUNK","delta":"Hi"}',
        '{"type":"RAW","event":1}',
        '{"type":"TEXT_MESSAGE_CHUNK","messageId":"m2","delta":"Ho"}',
        '{"type":"TOOL_CALL_CHUNK","toolCallName":"f"}',
    ]
    told = heard(make(), framed(STARTED, *chunks, FINISHED))
    assert VendorEvent("RAW", 1) in told
    assert [event.tool_call_id for event in told if isinstance(event, ToolCallStarted)] == ["call_0"]
    lawful(told)


def test_a_call_named_as_pending_is_owed_though_nobody_declared_it() -> None:
    call = '{"type":"TOOL_CALL_START","toolCallId":"c1","toolCallName":"f"}'
    end = '{"type":"RUN_FINISHED","outcome":{"type":"success","pendingToolCallIds":["c1","c9"]}}'
    assert heard(make(), framed(STARTED, call, end))[-1] == MessageCompleted("tool_calls", None, ["c1"])


def test_a_call_cut_by_length_is_left_open_so_that_it_is_told_as_cut() -> None:
    frames = [
        '{"type":"TOOL_CALL_START","toolCallId":"c1","toolCallName":"weather"}',
        '{"type":"TOOL_CALL_ARGS","toolCallId":"c1","delta":"{\\"a"}',
        '{"type":"CUSTOM","name":"gateway.finish","value":{"reason":"length"}}',
    ]
    told = lawful(heard(with_tools(), framed(STARTED, *frames, FINISHED)))
    assert getattr(told[-2], "status", None) == "cut"
    assert told[-1] == MessageCompleted("length")


def test_our_own_dialect_tells_a_cancellation_to_old_clients_too() -> None:
    custom = '{"type":"CUSTOM","name":"gateway.finish","value":{"reason":"canceled"}}'
    assert as_json(heard(make(), framed(STARTED, custom, FINISHED))) == [
        {"type": "message.canceled", "reason": "vendor"}
    ]


@pytest.mark.parametrize(
    ("metadata", "is_error"), [({}, False), ({"gateway": 1}, False), ({"gateway": {"is_error": True}}, True)]
)
def test_a_result_may_be_marked_as_an_error(metadata: Any, is_error: bool) -> None:  # noqa: FBT001
    result = {"type": "TOOL_CALL_RESULT", "messageId": "r", "toolCallId": "c", "content": "x", "metadata": metadata}
    told = heard(make(), framed(STARTED, json.dumps(result), FINISHED))
    assert getattr(told[0], "is_error", None) is is_error


def test_a_call_that_our_own_dialect_answers_as_not_run_has_no_result() -> None:
    metadata = {"gateway": {"is_error": True, "is_run": False}}
    result = {"type": "TOOL_CALL_RESULT", "messageId": "r", "toolCallId": "c", "content": "x", "metadata": metadata}
    assert heard(make(), framed(STARTED, json.dumps(result), FINISHED)) == [MessageCompleted("stop")]


def test_a_snapshot_that_repeats_what_was_told_tells_nothing() -> None:
    translator = make()
    missed = [
        HistoryMessage("user", [TextPart("hi")]),
        HistoryMessage("assistant", [TextPart("Let me."), ToolCallPart("c1", "f", {}, executor="client")]),
    ]
    asked(ask(ToolResultPart("c1", "x"), missed=missed, instructions="hi"), translator)
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"id": "renamed", "role": "assistant", "content": "Let me."},
        {"id": "other", "role": "assistant", "toolCalls": [call]},
        {"id": "result", "role": "tool", "toolCallId": "c1", "content": "x"},
        {"id": "new-0", "role": "system", "content": "hi"},
    ]
    snapshot = json.dumps({"type": "MESSAGES_SNAPSHOT", "messages": messages})
    assert heard(translator, framed(STARTED, snapshot, FINISHED)) == [MessageCompleted("stop")]


def test_a_snapshot_of_any_length_is_read_in_linear_time() -> None:
    ids = [f"m{number}" for number in range(500)]
    text = {"type": "TEXT_MESSAGE_CONTENT", "delta": "a" * 8000}
    texts = [json.dumps({**text, "messageId": message_id}) for message_id in ids]
    messages = [{"id": f"x{n}", "role": "assistant", "content": "b"} for n in range(3500)]
    snapshot = json.dumps({"type": "MESSAGES_SNAPSHOT", "messages": messages})
    ends = [json.dumps({"type": "TEXT_MESSAGE_END", "messageId": message_id}) for message_id in ids]
    began = time.process_time()
    told = heard(make(), framed(STARTED, *texts, *ends, snapshot, FINISHED))
    assert time.process_time() - began < 2
    assert len(told) == 3 * 500 + 3 * 3500 + 1


# --- failures


@pytest.mark.parametrize(
    ("vendor_code", "code"),
    [
        ("context_length_exceeded", "context_too_long"),
        ("contentFilter", "content_filtered"),
        ("insufficient_quota", "quota_exhausted"),
        ("RateLimitExceeded", "upstream_rate_limited"),
        ("429", "upstream_rate_limited"),
        ("UNAUTHENTICATED", "upstream_auth"),
        ("agent_not_found", "upstream_not_found"),
        ("deadline exceeded", "upstream_timeout"),
        ("upstream_protocol", "upstream_protocol"),
        ("upstream_empty", "upstream_empty"),
        ("validation-error", "upstream_rejected"),
        ("internal", "upstream_unavailable"),
        ("generate", None),
        ("", None),
        (None, None),
    ],
)
def test_a_code_is_read_by_its_words(vendor_code: str | None, code: str | None) -> None:
    assert code_of(vendor_code) == code


def test_each_row_of_words_is_reached() -> None:
    for words, code in WORDS:
        assert [code_of(word.rstrip("?")) for word in words.split("|")] == [code] * len(words.split("|"))


def test_an_error_in_the_stream_shows_its_code_and_hides_its_text() -> None:
    error = failure(make(), STARTED, '{"type":"RUN_ERROR","message":"sk-secret","code":"two words"}')
    assert logged(error) == ("upstream_unavailable", "vendor_error", None, "sk-secret")
    error = failure(make(), '{"type":"RUN_ERROR","message":"","code":"throttled"}')
    assert logged(error) == ("upstream_rate_limited", "rate_limited", "throttled", None)


def test_a_stream_that_stops_half_way_is_a_protocol_error() -> None:
    assert failure(make(), STARTED).cause == "truncated"


@pytest.mark.parametrize(
    ("status", "said", "code", "vendor_code", "message"),
    [
        (401, {"detail": "no"}, "upstream_auth", None, "no"),
        (422, [{"loc": ["threadId"]}], "upstream_rejected", None, None),
        (429, {"error": "slow"}, "upstream_rate_limited", None, "slow"),
        (400, {"error": {"code": "context_length", "message": "long"}}, "context_too_long", "context_length", "long"),
        (400, {"error": {"type": "billing"}}, "quota_exhausted", "billing", None),
        (500, {"code": "rate_limited", "message": "m"}, "upstream_rate_limited", "rate_limited", "m"),
        (502, {}, "upstream_unavailable", None, None),
        (401, {"error": {"type": "invalid_request"}}, "upstream_auth", "invalid_request", None),
        (503, {"code": "invalid_state"}, "upstream_unavailable", "invalid_state", None),
        (400, {"code": "invalid"}, "upstream_rejected", "invalid", None),
        (200, {"code": "invalid"}, "upstream_rejected", "invalid", None),
    ],
)
def test_a_refusal_is_read_in_the_shapes_that_servers_use(
    status: int, said: Any, code: str, vendor_code: str | None, message: str | None
) -> None:
    error = refuse(make(), status, json.dumps(said).encode(), x_request_id="req_1")
    assert (error.code, error.vendor_code, error.vendor_message) == (code, vendor_code, message)
    assert blame(error)[4] == "req_1"


def test_a_run_is_stopped_by_closing_its_connection_alone() -> None:
    assert (make().resume(), make().cancel()) == (None, None)


def test_the_descriptor_makes_them_all() -> None:
    assert AG_UI.translator is AgUiTranslator
    assert AG_UI.takes_history
    assert AG_UI.scope(AgUiTarget("/a")) == "/a"
    assert AG_UI.dialect is not None
    assert AG_UI.dialect(AG_UI.dialect_settings()).name == "ag_ui"

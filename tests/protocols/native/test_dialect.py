"""The canonical API on the wire: what is read, what is refused and how, what is written."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.canonical.errors import CODES, ErrorBody, GatewayError
from gateway.canonical.events import (
    Data,
    DataFrame,
    Event,
    File,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    MessageRouted,
    MessageStarted,
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
    Usage,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.message import ImagePart, InputResponsePart, Message, TextPart, ToolResultPart
from gateway.canonical.turn import HistoryMessage, MessageRequest, NamedTool, Parameters, Tool
from gateway.framing.sse import SseDecoder
from gateway.protocols.base import ClientRequest, NoSettings
from gateway.protocols.native import NATIVE
from gateway.protocols.native.dialect import NativeDialect, NativeEncoder, NativeExchange
from tests.support.play import read_stream

DIALECT = NativeDialect()
NOW = datetime(2026, 11, 2, 12, 30, tzinfo=UTC)
ERROR = ErrorBody("upstream_timeout", "the vendor fell silent", retryable=True, vendor="acme")
SECRET = "sk-0123456789abcdef"


def read(body: bytes, media_type: str | None = "application/json") -> MessageRequest:
    headers = {} if media_type is None else {"content-type": media_type}
    return DIALECT.read(ClientRequest(CIMultiDict(headers), body)).request


def refused(body: bytes, media_type: str | None = "application/json") -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        read(body, media_type)
    return caught.value


# --- requests


def test_a_request_is_read_in_full() -> None:
    body = {
        "route": "support",
        "content": [
            {"type": "text", "text": "Hi"},
            {"type": "image", "url": "https://example.org/a.png"},
            {"type": "tool_result", "tool_call_id": "c", "output": {"a": 1}, "is_error": True},
            {"type": "input_response", "request_id": "r", "approved": True},
        ],
        "history": [{"role": "user", "parts": [{"type": "text", "text": "Earlier"}]}],
        "instructions": "Be brief",
        "tools": [{"name": "pay", "parameters": {"type": "object"}}],
        "tool_choice": {"name": "pay"},
        "parameters": {"temperature": 0.5, "stop": ["."]},
        "user_id": "ann@example.org",
        "metadata": {"a": [1]},
        "stream": False,
        "failover": False,
        "vendor_options": {"acme": {"x": 1}},
    }
    assert read(msgspec.json.encode(body)) == MessageRequest(
        route="support",
        content=[
            TextPart("Hi"),
            ImagePart(url="https://example.org/a.png"),
            ToolResultPart("c", {"a": 1}, is_error=True),
            InputResponsePart("r", approved=True),
        ],
        history=[HistoryMessage("user", [TextPart("Earlier")])],
        instructions="Be brief",
        tools=[Tool("pay", parameters={"type": "object"})],
        tool_choice=NamedTool("pay"),
        parameters=Parameters(temperature=0.5, stop=["."]),
        user_id="ann@example.org",
        metadata={"a": [1]},
        stream=False,
        failover=False,
        vendor_options={"acme": {"x": 1}},
    )


@pytest.mark.parametrize("media_type", ["application/json", "Application/JSON; charset=utf-8", " application/json ;x"])
def test_a_body_is_json(media_type: str) -> None:
    assert read(b'{"content":"Hi"}', media_type).parts() == [TextPart("Hi")]


@pytest.mark.parametrize(
    "media_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jsonl"]
)
def test_a_body_of_another_type_is_not_read(media_type: str | None) -> None:
    assert refused(b'{"content":"Hi"}', media_type).code == "unsupported_media_type"


def test_of_two_fields_of_one_name_the_last_counts() -> None:
    assert read(b'{"content":"a","content":"b"}').content == "b"


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", "$"),
        (b"\xff", "$"),
        (b"{", "$"),
        (b"[]", "$"),
        (b"null", "$"),
        (b'"x"', "$"),
        (b'{"content":"Hi"} {}', "$"),
        (b'{"content":"\\ud800"}', "$"),
        (b'{"content":"\xff"}', "$"),
        (b'{"content":"Hi","metadata":{"a":NaN}}', "$"),
        (b'{"content":"Hi","metadata":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "$"),
        (b"[" * 100_000, "$"),
        (b"{}", "$.content"),
        (b'{"content":null}', "$.content"),
        (b'{"content":""}', "$.content"),
        (b'{"content":[]}', "$.content"),
        (b'{"content":7}', "$.content"),
        (b'{"content":"Hi","regenerate":"msg_1"}', "$.content"),
        (b'{"content":"Hi","colour":"red"}', "$.colour"),
        (b'{"content":[{"type":"text"}]}', "$.content[0].text"),
        (b'{"content":[{"type":"text","text":"a"},{"type":"text","text":7}]}', "$.content[1].text"),
        (b'{"content":[{"type":"text","text":"a","colour":"red"}]}', "$.content[0].colour"),
        (b'{"content":[{"type":"video"}]}', "$.content[0].type"),
        (b'{"content":[{"text":"a"}]}', "$.content[0].type"),
        (b'{"content":[{"type":"data","name":"a","value":1}]}', "$.content[0].type"),
        (b'{"content":"Hi","route":"../x"}', "$.route"),
        (b'{"content":"Hi","route":"a\\n"}', "$.route"),
        (b'{"content":"Hi","route":""}', "$.route"),
        (b'{"content":"Hi","conversation_id":"a/b"}', "$.conversation_id"),
        (b'{"content":"Hi","conversation_id":"%b"}' % (b"a" * 129), "$.conversation_id"),
        (b'{"regenerate":"a b"}', "$.regenerate"),
        (b'{"content":"Hi","user_id":"a\\u0000"}', "$.user_id"),
        (b'{"content":"Hi","user_id":"%b"}' % (b"a" * 257), "$.user_id"),
        (b'{"content":"Hi","stream":"yes"}', "$.stream"),
        (b'{"content":"Hi","tool_choice":"never"}', "$.tool_choice"),
        (b'{"content":"Hi","tools":[{"name":""}]}', "$.tools[0].name"),
        (b'{"content":"Hi","tools":[{"name":"a"},{}]}', "$.tools[1].name"),
        (b'{"content":"Hi","parameters":{"temperature":3}}', "$.parameters.temperature"),
        (b'{"content":"Hi","parameters":{"stop":["a",1]}}', "$.parameters.stop[1]"),
        (b'{"content":"Hi","parameters":{"top_k":1}}', "$.parameters.top_k"),
        (b'{"content":"Hi","history":[{"role":"god","parts":[]}]}', "$.history[0].role"),
        (b'{"content":"Hi","history":[{"role":"user"}]}', "$.history[0].parts"),
        (
            b'{"content":"Hi","conversation_id":"c","history":[{"role":"user","parts":[{"type":"text","text":"a"}]}]}',
            "$.history",
        ),
        (b'{"content":"Hi","vendor_options":{"a/b":{}}}', "$.vendor_options"),
        (b'{"content":"Hi","vendor_options":{"acme":[]}}', "$.vendor_options[...]"),
        (b'{"content":"Hi","metadata":{"a":"%b"}}' % (b"x" * 16 * 1024), "$.metadata"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(body: bytes, path: str) -> None:
    error = refused(body)
    assert (error.code, error.details["path"]) == ("bad_request", path)
    assert error.message == f"the request does not fit: {path}: {error.details['problem']}"


def test_metadata_fits_up_to_its_cap() -> None:
    value = "x" * (16 * 1024 - len('{"a":""}'))
    assert read(b'{"content":"Hi","metadata":{"a":"%b"}}' % value.encode()).metadata == {"a": value}


@pytest.mark.parametrize("secret", [SECRET, f"\n{SECRET}", f"a\n{SECRET}\n", f"` - at `$.{SECRET}", f"value {SECRET}"])
@pytest.mark.parametrize(
    "body",
    [
        {"content": [{"type": "@"}]},
        {"content": [{"type": "text", "text": ["@"]}]},
        {"content": "Hi", "tool_choice": "@"},
        {"content": "Hi", "history": [{"role": "@", "parts": []}]},
        {"content": "Hi", "route": "@ "},
        {"content": "Hi", "vendor_options": {"acme": "@"}},
    ],
)
def test_a_value_that_does_not_fit_is_not_echoed(body: dict[str, Any], secret: str) -> None:
    error = refused(json.dumps(body).replace('"@', json.dumps(secret)[:-1]).encode())
    assert SECRET not in error.message
    assert SECRET not in repr(error.details)


KEYS = [*MessageRequest.__struct_fields__, "type", "text", "name", "role", "parts", "tool_call_id", "output", "values"]
SECRETS = st.tuples(st.text(max_size=3), st.sampled_from(["", "\n", "`", "'", " - at `$.x`", "value "])).map(
    lambda around: f"{around[0]}{around[1]}{SECRET}{around[1]}"
)
VALUES = st.recursive(
    SECRETS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4))
def test_no_value_of_a_request_is_echoed(body: dict[str, Any]) -> None:
    try:
        read(json.dumps(body).encode())
    except GatewayError as error:
        written = DIALECT.error(error, "req_1").body.decode() + error.message + repr(error.details)
        assert SECRET not in written


# --- credentials


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ([], None),
        (["Bearer k-1"], "k-1"),
        (["bearer  k-1 "], "k-1"),
        (["Bearer"], None),
        (["Bearer "], None),
        (["Basic k-1"], None),
        (["k-1"], None),
        (["Bearer k-1", "Bearer k-2"], None),
        (["Bearer k-1", "Basic x"], None),
    ],
)
def test_a_key_is_one_bearer_and_nothing_else(values: list[str], key: str | None) -> None:
    headers = CIMultiDict([("authorization", value) for value in values])
    assert DIALECT.credential(ClientRequest(headers, b"", query={"key": "k-9"})) == key


# --- streams


EVENTS: list[tuple[Event, dict[str, Any]]] = [
    (
        MessageStarted("msg_1", "conv_1", "support", NOW),
        {
            "type": "message.started",
            "message_id": "msg_1",
            "conversation_id": "conv_1",
            "route": "support",
            "created_at": "2026-11-02T12:30:00Z",
        },
    ),
    (MessageRouted("acme", 1), {"type": "message.routed", "vendor": "acme", "attempt": 1}),
    (
        MessageRouted("spare", 2, "m-1", "acme", ERROR, discard=True),
        {
            "type": "message.routed",
            "vendor": "spare",
            "attempt": 2,
            "model": "m-1",
            "from": "acme",
            "error": {
                "code": "upstream_timeout",
                "message": "the vendor fell silent",
                "retryable": True,
                "vendor": "acme",
            },
            "discard": True,
        },
    ),
    (TextStarted(0), {"type": "text.started", "block": 0}),
    (TextStarted(1, replaces=0), {"type": "text.started", "block": 1, "replaces": 0}),
    (
        TextDelta(0, '100 % of "a"\n\u2028\x00'),
        {"type": "text.delta", "block": 0, "delta": '100 % of "a"\n\u2028\x00'},
    ),
    (TextCompleted(0, "%b%d", "s"), {"type": "text.completed", "block": 0, "text": "%b%d", "signature": "s"}),
    (ReasoningStarted(0), {"type": "reasoning.started", "block": 0}),
    (ReasoningDelta(0, ""), {"type": "reasoning.delta", "block": 0, "delta": ""}),
    (ReasoningCompleted(0, "x"), {"type": "reasoning.completed", "block": 0, "text": "x"}),
    (
        ToolCallStarted(0, "c", "pay", "client"),
        {"type": "tool_call.started", "block": 0, "tool_call_id": "c", "name": "pay", "executor": "client"},
    ),
    (
        ToolCallDelta(0, "c", '{"type":"x"'),
        {"type": "tool_call.delta", "block": 0, "tool_call_id": "c", "delta": '{"type":"x"'},
    ),
    (
        ToolCallCompleted(0, "c", "pay", {"type": "x", "sequence": 9}, "complete"),
        {
            "type": "tool_call.completed",
            "block": 0,
            "tool_call_id": "c",
            "name": "pay",
            "arguments": {"type": "x", "sequence": 9},
            "status": "complete",
        },
    ),
    (
        ToolResult("c", None, is_error=False),
        {"type": "tool_result", "tool_call_id": "c", "output": None, "is_error": False},
    ),
    (
        Source("s", "A", "https://example.org", None, "q", 0, 1, 2),
        {
            "type": "source",
            "source_id": "s",
            "title": "A",
            "url": "https://example.org",
            "quote": "q",
            "block": 0,
            "start": 1,
            "end": 2,
        },
    ),
    (File(), {"type": "file"}),
    (
        DataFrame("d", ["a"], [[1], [None]]),
        {"type": "data_frame", "name": "d", "columns": ["a"], "rows": [[1], [None]]},
    ),
    (Data("d", {"from": 1}), {"type": "data", "name": "d", "value": {"from": 1}}),
    (StepStarted(0, "search"), {"type": "step.started", "step": 0, "name": "search"}),
    (StepCompleted(0), {"type": "step.completed", "step": 0}),
    (InputRequested("r", "approval"), {"type": "input.requested", "request_id": "r", "kind": "approval"}),
    (UsageReported(), {"type": "usage"}),
    (
        UsageReported(1, 2, credits=0.5, partial=True),
        {"type": "usage", "input_tokens": 1, "output_tokens": 2, "credits": 0.5, "partial": True},
    ),
    (
        VendorEvent("sparkle", {"n": 1}, "acme"),
        {"type": "vendor.event", "name": "sparkle", "payload": {"n": 1}, "vendor": "acme"},
    ),
    (MessageCompleted("stop"), {"type": "message.completed", "finish_reason": "stop"}),
    (
        MessageCompleted("tool_calls", "calls", ["c"], "acme", "m-1", Usage(1), {"run": "r"}),
        {
            "type": "message.completed",
            "finish_reason": "tool_calls",
            "raw_finish_reason": "calls",
            "pending_tool_calls": ["c"],
            "vendor": "acme",
            "model": "m-1",
            "usage": {"input_tokens": 1},
            "vendor_ids": {"run": "r"},
        },
    ),
    (
        MessageFailed(ErrorBody("internal", "the gateway failed", retryable=False)),
        {
            "type": "message.failed",
            "error": {"code": "internal", "message": "the gateway failed", "retryable": False},
        },
    ),
    (MessageCanceled("client_gone"), {"type": "message.canceled", "reason": "client_gone"}),
]


def test_every_type_of_event_is_among_the_examples() -> None:
    assert {type(event) for event, _ in EVENTS} == set(get_args(Event))


@pytest.mark.parametrize(("event", "fields"), EVENTS, ids=lambda value: getattr(type(value), "__name__", ""))
@pytest.mark.parametrize("sequence", [0, 12_345])
def test_an_event_is_one_frame_with_its_sequence(event: Event, fields: dict[str, Any], sequence: int) -> None:
    frame = NativeEncoder().event(sequence, event)
    id_line, event_line, data_line, *rest = frame.split(b"\n")
    assert (id_line, event_line, rest) == (
        b"id: %d" % sequence,
        b"event: " + fields["type"].encode(),
        [b"", b""],
    )
    (record,) = SseDecoder().feed(frame)
    assert data_line == b"data: " + record.data
    assert list(json.loads(record.data).items())[:2] == [("type", fields["type"]), ("sequence", sequence)]
    assert json.loads(record.data) == {**fields, "sequence": sequence}


def test_a_stream_is_read_back_as_the_events_it_was_made_of() -> None:
    encoder = NativeEncoder()
    frames = [encoder.event(sequence, event) for sequence, (event, _) in enumerate(EVENTS)]
    data = (encoder.heartbeat() or b"").join(frames) + encoder.end()
    assert read_stream(data) == [event for event, _ in EVENTS]


def test_a_heartbeat_is_a_comment_and_the_end_says_nothing() -> None:
    encoder = NativeEncoder()
    assert (encoder.heartbeat(), encoder.end()) == (b": heartbeat\n\n", b"")


# --- documents and errors


def test_a_message_is_written_without_what_is_absent() -> None:
    message = Message("msg_1", "conv_1", "assistant", "completed", [TextPart("Hi", 0)], NOW, finish_reason="stop")
    assert json.loads(NativeExchange(MessageRequest()).document(message)) == {
        "id": "msg_1",
        "conversation_id": "conv_1",
        "role": "assistant",
        "status": "completed",
        "parts": [{"type": "text", "text": "Hi", "block": 0}],
        "created_at": "2026-11-02T12:30:00Z",
        "finish_reason": "stop",
    }


@pytest.mark.parametrize("code", CODES)
def test_an_error_has_its_codes_status_and_one_shape(code: Any) -> None:
    answer = DIALECT.error(GatewayError(code, "it failed", vendor_message=SECRET, details={"path": "$"}), "req_1")
    assert (answer.status, answer.headers["Content-Type"]) == (CODES[code].status, "application/json")
    assert ("WWW-Authenticate" in answer.headers) == (answer.status == 401)
    assert json.loads(answer.body) == {
        "error": {
            "code": code,
            "message": "it failed",
            "retryable": CODES[code].retryable,
            "request_id": "req_1",
            "details": {"path": "$"},
        }
    }


@pytest.mark.parametrize(("seconds", "header"), [(None, None), (0, "0"), (0.2, "1"), (3, "3"), (3.01, "4")])
def test_a_client_is_never_told_to_come_back_too_early(seconds: float | None, header: str | None) -> None:
    answer = DIALECT.error(GatewayError("rate_limited", "too many", retry_after=seconds), "req_1")
    assert answer.headers.get("Retry-After") == header


def test_the_descriptor_has_this_dialect_and_no_vendor() -> None:
    assert NATIVE.dialect is not None
    assert isinstance(NATIVE.dialect(NoSettings()), NativeDialect)
    assert (NATIVE.translator, NATIVE.simulator) == (None, None)
    assert (DIALECT.name, DIALECT.content_type, DIALECT.can_discard) == ("native", "text/event-stream", True)

"""The dialect's stream: what is written for each event, its brackets, and what its own translator reads of it.

What the official clients make of these streams was tried by hand: openai 3.54.0 for Python, 7.57.0 for JS.
"""

import json
from datetime import UTC, datetime
from time import process_time
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.canonical.assembler import Assembler
from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import CODES, Code, ErrorBody, GatewayError
from gateway.canonical.events import (
    Data,
    DataFrame,
    Event,
    File,
    FinishReason,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    MessageRouted,
    MessageStarted,
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
    Usage,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.message import Message, Status, TextPart
from gateway.framing.sse import SseDecoder
from gateway.protocols.base import ClientRequest, Exchange
from gateway.protocols.openai_responses.dialect import ResponsesDialect
from gateway.protocols.openai_responses.echo import Echo
from gateway.protocols.openai_responses.encoder import ResponsesEncoder
from gateway.protocols.openai_responses.refusals import ROWS
from gateway.protocols.openai_responses.target import Target
from gateway.protocols.openai_responses.translator import ResponsesTranslator
from tests.support.translating import as_json, heard, records
from tests.support.translating import ask as turn_of

DIALECT = ResponsesDialect()
NOW = datetime(2026, 11, 2, tzinfo=UTC)
STARTED = MessageStarted("msg_a", "conv_1", "support", NOW)
ROUTED = MessageRouted("acme", 1)
DONE = MessageCompleted("stop", "end", model="acme-1", usage=Usage(20, 12, 4, 5, 6))
ERROR = ErrorBody("upstream_unavailable", "the vendor is unavailable", retryable=True, details={"path": "$.x"})
PIXEL = "data:image/png;base64,aGk="


def exchange(**fields: Any) -> Exchange:
    body = json.dumps({"model": "support", "input": "Hi", "stream": True, **fields}).encode()
    return DIALECT.read(ClientRequest(CIMultiDict({"content-type": "application/json"}), body))


TOOLS = [
    {"type": "function", "name": "look", "parameters": {}},
    {"type": "function", "name": "count"},
    {"type": "custom", "name": "sql"},
    {"type": "local_shell"},
]


def written(*events: Event, **fields: Any) -> bytes:
    encoder = exchange(tools=TOOLS, **fields).encoder()
    frames = [encoder.event(number, event) for number, event in enumerate((STARTED, ROUTED, *events))]
    return (encoder.heartbeat() or b"").join(frames) + encoder.end()


def told(*events: Event, **fields: Any) -> list[dict[str, Any]]:
    """The frames behind the two that begin every stream, without their numbers."""
    frames = [json.loads(record.data) for record in records(SseDecoder(), written(*events, **fields))]
    assert [frame.pop("sequence_number") for frame in frames] == list(range(len(frames)))
    assert [frame["type"] for frame in frames[:2]] == ["response.created", "response.in_progress"]
    return frames[2:]


def output(*events: Event, **fields: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = told(*events, **fields)[-1]["response"]["output"]
    return items


def read(*events: Event) -> list[Any]:
    translator = ResponsesTranslator(Target("m"), Blocks(Numbering()))
    next(translator.requests(turn_of(TextPart("hi"))))
    return as_json(heard(translator, records(SseDecoder(), written(*events))))


def text(block: int, *deltas: str, **fields: Any) -> list[Event]:
    whole = "".join(deltas)
    grown: list[Event] = [TextDelta(block, delta) for delta in deltas]
    return [TextStarted(block, **fields), *grown, TextCompleted(block, whole)]


def call(block: int, call_id: str, name: str, executor: Any, arguments: Any, **fields: Any) -> list[Event]:
    return [
        ToolCallStarted(block, call_id, name, executor),
        ToolCallDelta(block, call_id, json.dumps(arguments)),
        ToolCallCompleted(block, call_id, name, arguments, "complete", **fields),
    ]


RICH: list[Event] = [
    ReasoningStarted(0),
    ReasoningDelta(0, "Let "),
    ReasoningDelta(0, "me."),
    ReasoningCompleted(0, "Let me.", "sealed"),
    *text(1, "Hel", "lo"),
    Source("s1", "T", "https://a.test", block=1, start=0, end=5),
    ToolCallStarted(2, "call_a", "look", "client"),
    ToolCallStarted(3, "call_b", "count", "client"),
    ToolCallDelta(2, "call_a", '{"at"'),
    ToolCallDelta(3, "call_b", "{}"),
    ToolCallDelta(2, "call_a", ':"sky"}'),
    ToolCallCompleted(2, "call_a", "look", {"at": "sky"}, "complete"),
    ToolCallCompleted(3, "call_b", "count", {}, "complete"),
    UsageReported(20, 12, 4, 5, 6),
]
OWED = MessageCompleted("tool_calls", "end", ["call_a", "call_b"], model="acme-1", usage=Usage(20, 12, 4, 5, 6))


# --- the brackets


def test_a_text_has_all_its_brackets() -> None:
    place = {"item_id": "msg_msg_a_0", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}
    message = {"id": "msg_msg_a_0", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
    *frames, end = told(*text(0, "Hel", "lo"), DONE)
    assert frames == [
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {**message, "status": "in_progress", "content": []},
        },
        {"type": "response.content_part.added", **place, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", **place, "delta": "Hel", "logprobs": []},
        {"type": "response.output_text.delta", **place, "delta": "lo", "logprobs": []},
        {"type": "response.output_text.done", **place, "text": "Hello", "logprobs": []},
        {"type": "response.content_part.done", **place, "part": part},
        {"type": "response.output_item.done", "output_index": 0, "item": message},
    ]
    assert end["type"] == "response.completed"
    assert end["response"] == {
        "id": "resp_msg_a",
        "object": "response",
        "created_at": 1793577600,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": "acme-1",
        "output": [message],
        "usage": {
            "input_tokens": 20,
            "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 6},
            "output_tokens": 12,
            "output_tokens_details": {"reasoning_tokens": 4},
            "total_tokens": 32,
        },
        "conversation": {"id": "conv_1"},
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "store": True,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [
            {"parameters": {}, "strict": None, "type": "function", "name": "look"},
            {"parameters": None, "strict": None, "type": "function", "name": "count"},
            {"type": "custom", "name": "sql"},
            {"type": "local_shell"},
        ],
        "top_p": None,
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": None, "summary": None},
    }


def test_the_stream_begins_with_the_response_as_it_was_asked_for() -> None:
    frames = [json.loads(record.data) for record in records(SseDecoder(), written(DONE))]
    created = frames[0]["response"]
    assert (created["id"], created["model"], created["status"]) == ("resp_msg_a", "support", "in_progress")
    assert frames[1]["response"] == created
    assert written(DONE).startswith(b"event: response.created\ndata: {")
    nameless = ResponsesEncoder(Echo())
    nameless.event(0, STARTED)
    assert nameless.response["model"] == "support"


def test_reasoning_is_a_summary_with_what_is_sealed() -> None:
    *frames, _ = told(*RICH[:4], DONE)
    assert [frame["type"].removeprefix("response.") for frame in frames] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert frames[-1]["item"] == {
        "id": "rs_msg_a_0",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "Let me."}],
        "encrypted_content": "sealed",
    }
    [silent] = output(ReasoningStarted(0), ReasoningCompleted(0, "", None), DONE)
    assert silent == {"id": "rs_msg_a_0", "type": "reasoning", "summary": []}


def test_calls_of_the_clients_are_open_together() -> None:
    *frames, _ = told(*RICH[9:16], OWED)
    assert [(frame["type"].removeprefix("response."), frame["output_index"]) for frame in frames] == [
        ("output_item.added", 0),
        ("output_item.added", 1),
        ("function_call_arguments.delta", 0),
        ("function_call_arguments.delta", 1),
        ("function_call_arguments.delta", 0),
        ("function_call_arguments.done", 0),
        ("output_item.done", 0),
        ("function_call_arguments.done", 1),
        ("output_item.done", 1),
    ]
    assert frames[6]["item"] == {
        "id": "fc_msg_a_0",
        "type": "function_call",
        "name": "look",
        "arguments": '{"at":"sky"}',
        "status": "completed",
        "call_id": "call_a",
    }


def test_a_call_without_a_delta_has_arguments_all_the_same() -> None:
    silent: list[Event] = [ToolCallStarted(0, "c", "look", "client"), ToolCallCompleted(0, "c", "look", {}, "complete")]
    assert output(*silent, DONE)[0]["arguments"] == "{}"


def test_a_call_that_was_cut_is_incomplete() -> None:
    events: list[Event] = [
        ToolCallStarted(0, "c", "look", "client"),
        ToolCallDelta(0, "c", '{"a'),
        ToolCallCompleted(0, "c", "look", {}, "cut", '{"a'),
    ]
    [item] = output(*events, MessageCompleted("length"))
    assert (item["status"], item["arguments"]) == ("incomplete", '{"a')
    [empty] = output(events[0], ToolCallCompleted(0, "c", "look", {}, "cut", ""), MessageCompleted("length"))
    assert empty["arguments"] == ""


def test_a_custom_tool_is_called_with_a_text() -> None:
    *frames, _ = told(*call(0, "c", "sql", "client", {"input": "select"}), DONE)
    assert [frame["type"].removeprefix("response.") for frame in frames] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert frames[-1]["item"]["input"] == "select"
    assert output(*call(0, "c", "sql", "client", {"a": 1}), DONE)[0]["input"] == '{"a": 1}'
    cut: list[Event] = [ToolCallStarted(0, "c", "sql", "client"), ToolCallCompleted(0, "c", "sql", {}, "cut", "")]
    assert output(*cut, MessageCompleted("length"))[0]["type"] == "function_call"


def test_a_call_of_another_kind_goes_on_as_it_came() -> None:
    item = {"type": "local_shell_call", "id": "lsh_1", "call_id": "c", "action": {"command": ["ls"]}}
    [own] = output(*call(0, "c", "local_shell", "client", {"command": ["ls"]}, signature=json.dumps(item)), DONE)
    assert own == {**item, "id": "call_msg_a_0"}
    [other] = output(*call(0, "d", "local_shell", "client", {}, signature=json.dumps(item)), DONE)
    assert other["type"] == "function_call"


# --- tools that a vendor runs


def test_a_tool_of_the_vendors_is_one_of_a_server_named_after_it() -> None:
    *frames, _ = told(*call(0, "v", "search", "vendor", {"q": "x"}), ToolResult("v", {"hits": 2}, is_error=False), DONE)
    assert [frame["type"].removeprefix("response.") for frame in frames] == [
        "output_item.added",
        "mcp_call.in_progress",
        "mcp_call_arguments.delta",
        "mcp_call_arguments.done",
        "mcp_call.completed",
        "output_item.done",
    ]
    assert frames[-1]["item"] == {
        "id": "mcp_v",
        "type": "mcp_call",
        "name": "search",
        "arguments": '{"q": "x"}',
        "status": "completed",
        "server_label": "acme",
        "approval_request_id": None,
        "output": '{"hits":2}',
        "error": None,
    }


def test_a_tool_that_failed_has_an_error() -> None:
    [item] = output(*call(0, "v", "search", "vendor", {}), ToolResult("v", "no", is_error=True), DONE)
    assert (item["status"], item["output"]) == ("failed", None)
    assert item["error"] == {"type": "mcp_tool_execution_error", "content": "no"}


def test_a_call_is_held_back_until_it_is_known_who_runs_it() -> None:
    unknown = call(0, "u", "f", "unknown", {"a": 1})
    assert told(*unknown, DONE)[0]["type"] == "response.output_item.added"
    assert output(*unknown, ToolResult("u", "x", is_error=False), DONE)[0]["type"] == "mcp_call"
    assert output(*unknown, MessageCompleted("tool_calls", None, ["u"]))[0]["type"] == "function_call"
    [nobodys] = output(*unknown, DONE)
    assert (nobodys["type"], nobodys["status"], nobodys["output"]) == ("mcp_call", "calling", None)


def test_a_call_of_the_vendors_that_was_cut_is_incomplete() -> None:
    cut: list[Event] = [ToolCallStarted(0, "v", "f", "vendor"), ToolCallCompleted(0, "v", "f", {}, "cut", "{")]
    assert output(*cut, MessageFailed(ERROR))[0]["status"] == "incomplete"


def test_a_result_of_no_call_has_one_made_for_it() -> None:
    [item] = output(ToolResult("ghost", "x", is_error=False), DONE)
    assert (item["name"], item["arguments"], item["output"]) == ("tool", "{}", "x")


@pytest.mark.parametrize(("is_error", "status"), [(True, "incomplete"), (False, "completed")])
def test_a_result_of_the_clients_own_call_stands_beside_it(*, is_error: bool, status: str) -> None:
    items = output(*call(0, "c", "look", "client", {}), ToolResult("c", [1], is_error=is_error), DONE)
    assert items[1] == {
        "id": "fco_msg_a_1",
        "type": "function_call_output",
        "call_id": "c",
        "output": "[1]",
        "status": status,
    }


# --- what is cited, shown and asked


def cited(*events: Event) -> list[Any]:
    messages = [item for item in output(*events, DONE) if item["type"] == "message"]
    return [(item["content"][0]["text"], item["content"][0]["annotations"]) for item in messages]


def test_a_text_is_measured_once_however_much_it_cites() -> None:
    encoder = ResponsesEncoder(Echo())
    encoder.event(0, STARTED)
    encoder.event(1, TextStarted(0))
    began = process_time()
    for number in range(20_000):
        encoder.event(number, TextDelta(0, "a"))
        encoder.event(number, Source("s", url="https://a.test"))
    assert process_time() - began < 5


def test_a_source_is_an_annotation_of_its_text() -> None:
    late: list[Event] = [
        Source("s2", None, "https://b.test", block=0, start=1, end=2),
        Source("s3", "Terms", file_id="f"),
    ]
    place = {"type": "url_citation", "url": "https://b.test", "title": "", "start_index": 1, "end_index": 2}
    file = {"type": "file_citation", "file_id": "f", "filename": "Terms", "index": 5}
    assert cited(*text(0, "Hello"), *late) == [("Hello", [place, file])]


def test_a_source_without_a_text_waits_for_one() -> None:
    annotation = {"type": "file_citation", "file_id": "s", "filename": "", "index": 0}
    assert cited(Source("s"), *text(0, "Hello")) == [("Hello", [annotation])]
    assert cited(Source("s", block=7)) == [("", [annotation])]


def test_a_file_is_a_picture_or_a_place() -> None:
    [picture] = output(File(url=PIXEL), DONE)
    assert picture == {
        "id": "ig_msg_a_0",
        "type": "image_generation_call",
        "status": "completed",
        "output_format": "png",
        "result": "aGk=",
    }
    place = {"type": "file_path", "file_id": "https://a.test/x.pdf", "index": 2}
    assert cited(*text(0, "Hi"), File(url="https://a.test/x.pdf")) == [("Hi", [place])]
    encoder = ResponsesEncoder(Echo())
    assert encoder.event(0, File(name="a.csv")) == b""
    assert encoder.omitted == {"file": 1}


def test_an_approval_is_asked_for() -> None:
    fields = {"server_label": "disk", "name": "rm", "arguments": {"path": "/a"}}
    request = {"id": "a", "type": "mcp_approval_request"}
    assert output(InputRequested("a", "approval", "May I?", fields=fields), MessageCompleted("input_required")) == [
        {**request, "server_label": "disk", "name": "rm", "arguments": '{"path":"/a"}'}
    ]
    plain = InputRequested("a", "approval", fields={**fields, "arguments": "{"})
    assert output(plain, DONE)[0]["arguments"] == "{"


def test_a_question_is_asked_for_too() -> None:
    asked = InputRequested("q", "question", "Which?", fields={"options": [1]})
    assert output(asked, MessageCompleted("input_required")) == [
        {
            "id": "q",
            "type": "mcp_approval_request",
            "server_label": "acme",
            "name": "question",
            "arguments": '{"options":[1],"prompt":"Which?"}',
        }
    ]


def test_an_approval_of_a_call_tells_it() -> None:
    asked: list[Event] = [
        *call(0, "u", "rm", "unknown", {"path": "/a"}),
        InputRequested("a", "approval", tool_call_id="u"),
    ]
    [item] = output(*asked, MessageCompleted("input_required"))
    assert (item["type"], item["name"], item["arguments"]) == ("mcp_approval_request", "rm", '{"path":"/a"}')
    items = output(*asked, ToolResult("u", "gone", is_error=False), DONE)
    assert [item.get("approval_request_id") for item in items] == [None, "a"]
    early: list[Event] = [ToolCallStarted(0, "v", "rm", "vendor"), InputRequested("a", "approval", tool_call_id="v")]
    assert output(*early, ToolCallCompleted(0, "v", "rm", {}, "cut", ""), DONE)[1]["arguments"] == "{}"


# --- endings


@pytest.mark.parametrize(
    ("reason", "raw", "kind", "details"),
    [
        ("stop", None, "completed", None),
        ("tool_calls", None, "completed", None),
        ("input_required", None, "completed", None),
        ("length", None, "incomplete", {"reason": "max_output_tokens"}),
        ("content_filter", None, "incomplete", {"reason": "content_filter"}),
        ("other", "tired", "incomplete", {"reason": None}),
        ("other", "steered", "incomplete", {"reason": "steered"}),
    ],
)
def test_each_finish_has_its_ending(reason: FinishReason, raw: str | None, kind: str, details: Any) -> None:
    end = told(*text(0, "Hi"), MessageCompleted(reason, raw))[-1]
    assert (end["type"], end["response"]["status"]) == (f"response.{kind}", kind)
    assert (end["response"]["incomplete_details"], end["response"]["model"]) == (details, "support")


def test_a_failure_is_an_error_in_both_shapes_and_a_failed_response() -> None:
    error, failed = told(*text(0, "Hi"), MessageFailed(ERROR, Usage(1)))[-2:]
    fault = {"message": ERROR.message, "type": "server_error", "param": "x", "code": "upstream_unavailable"}
    flat = {"code": "upstream_unavailable", "message": ERROR.message, "param": "x"}
    assert error == {"type": "error", "error": fault, **flat}
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"] == {"code": "server_error", "message": ERROR.message}
    assert failed["response"]["usage"]["total_tokens"] == 1
    assert len(failed["response"]["output"]) == 1


def test_a_canceled_answer_is_no_error() -> None:
    end = told(*text(0, "Hi"), UsageReported(credits=2), MessageCanceled("client"))[-1]
    assert (end["type"], end["response"]["status"]) == ("response.incomplete", "cancelled")
    assert (end["response"]["error"], end["response"]["usage"]) == (None, None)


def test_a_correction_follows_behind_a_blank_line() -> None:
    assert [one for one, _ in cited(*text(0, "Ho"), *text(1, "Hi", replaces=0))] == ["Ho", "\n\nHi"]


# --- what is read back


def test_its_own_translator_reads_the_same() -> None:
    assert read(*RICH, OWED) == [
        {"type": "reasoning.started", "block": 0},
        {"type": "reasoning.delta", "block": 0, "delta": "Let "},
        {"type": "reasoning.delta", "block": 0, "delta": "me."},
        {
            "type": "reasoning.completed",
            "block": 0,
            "text": "Let me.",
            "signature": '{"id":"rs_msg_a_0","encrypted_content":"sealed"}',
        },
        {"type": "text.started", "block": 1},
        {"type": "text.delta", "block": 1, "delta": "Hel"},
        {"type": "text.delta", "block": 1, "delta": "lo"},
        {"type": "text.completed", "block": 1, "text": "Hello"},
        {
            "type": "source",
            "source_id": "source_0",
            "title": "T",
            "url": "https://a.test",
            "block": 1,
            "start": 0,
            "end": 5,
        },
        {"type": "tool_call.started", "block": 2, "tool_call_id": "call_a", "name": "look", "executor": "client"},
        {"type": "tool_call.started", "block": 3, "tool_call_id": "call_b", "name": "count", "executor": "client"},
        {"type": "tool_call.delta", "block": 2, "tool_call_id": "call_a", "delta": '{"at"'},
        {"type": "tool_call.delta", "block": 3, "tool_call_id": "call_b", "delta": "{}"},
        {"type": "tool_call.delta", "block": 2, "tool_call_id": "call_a", "delta": ':"sky"}'},
        {
            "type": "tool_call.completed",
            "block": 2,
            "tool_call_id": "call_a",
            "name": "look",
            "arguments": {"at": "sky"},
            "status": "complete",
        },
        {
            "type": "tool_call.completed",
            "block": 3,
            "tool_call_id": "call_b",
            "name": "count",
            "arguments": {},
            "status": "complete",
        },
        {
            "type": "usage",
            "input_tokens": 20,
            "output_tokens": 12,
            "reasoning_tokens": 4,
            "cached_tokens": 5,
            "cache_write_tokens": 6,
        },
        {
            "type": "message.completed",
            "finish_reason": "tool_calls",
            "raw_finish_reason": "completed",
            "pending_tool_calls": ["call_a", "call_b"],
        },
    ]


@pytest.mark.parametrize(
    ("terminal", "kind", "reason"),
    [
        (DONE, "message.completed", "stop"),
        (MessageCompleted("length"), "message.completed", "length"),
        (MessageCompleted("content_filter"), "message.completed", "content_filter"),
        (MessageCompleted("other"), "message.completed", "other"),
        (MessageCanceled("client"), "message.canceled", None),
        (MessageFailed(ERROR), "message.failed", None),
    ],
)
def test_its_own_translator_reads_the_same_ending(terminal: Event, kind: str, reason: str | None) -> None:
    end = read(*text(0, "Hi"), terminal)[-1]
    assert (end["type"], end.get("finish_reason")) == (kind, reason)


def test_its_own_translator_reads_tools_files_and_approvals() -> None:
    events = read(
        *call(0, "v", "search", "vendor", {"q": "x"}),
        ToolResult("v", "found", is_error=False),
        *call(1, "w", "fetch", "unknown", {}),
        ToolResult("w", {"why": 1}, is_error=True),
        *call(2, "x", "ping", "vendor", {}),
        File(url=PIXEL, media_type="image/png"),
        File(url="https://a.test/x.pdf"),
        InputRequested("a", "approval", "May I?"),
        MessageCompleted("input_required"),
    )
    kinds = {"tool_result", "file", "input.requested", "message.completed"}
    assert [event for event in events if event["type"] in kinds] == [
        {"type": "tool_result", "tool_call_id": "mcp_v", "output": "found", "is_error": False, "name": "search"},
        {"type": "tool_result", "tool_call_id": "mcp_w", "output": {"why": 1}, "is_error": True, "name": "fetch"},
        {"type": "file", "media_type": "image/png", "url": PIXEL},
        {
            "type": "input.requested",
            "request_id": "a",
            "kind": "approval",
            "prompt": "Allow acme to run approval?",
            "fields": {"server_label": "acme", "name": "approval", "arguments": {"prompt": "May I?"}},
        },
        {"type": "file", "url": "https://a.test/x.pdf"},
        {"type": "message.completed", "finish_reason": "input_required", "raw_finish_reason": "completed"},
    ]


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1))
def test_any_text_is_read_back_as_it_was(deltas: list[str]) -> None:
    events = read(*text(0, *deltas), DONE)
    assert [event["delta"] for event in events if event["type"] == "text.delta"] == deltas


# --- losses

EACH: dict[type, Event] = {
    TextDelta: TextDelta(0, "Hi"),
    ReasoningDelta: ReasoningDelta(1, "Hm"),
    ToolCallDelta: ToolCallDelta(2, "c", "{}"),
    TextStarted: TextStarted(5),
    ReasoningStarted: ReasoningStarted(6),
    ToolCallStarted: ToolCallStarted(7, "d", "look", "client"),
    TextCompleted: TextCompleted(0, "Hi"),
    ReasoningCompleted: ReasoningCompleted(1, "Hm"),
    ToolCallCompleted: ToolCallCompleted(2, "c", "look", {}, "complete"),
    ToolResult: ToolResult("v", 1, is_error=False),
    Source: Source("s", "T", "https://a.test"),
    File: File(url=PIXEL),
    DataFrame: DataFrame("d", [], []),
    Data: Data("d", 1),
    StepStarted: StepStarted(0),
    StepCompleted: StepCompleted(0),
    InputRequested: InputRequested("a", "approval"),
    UsageReported: UsageReported(1, 2),
    VendorEvent: VendorEvent("x", 1),
    MessageRouted: MessageRouted("beta", 2, from_="acme", discard=False),
    MessageStarted: STARTED,
    MessageCompleted: DONE,
    MessageFailed: MessageFailed(ERROR),
    MessageCanceled: MessageCanceled("client"),
}
TOLD_LATER = {UsageReported}


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: str(kind.__struct_config__.tag))
def test_each_event_is_written_or_listed(kind: type) -> None:
    encoder = ResponsesEncoder(Echo())
    opened: list[Event] = [TextStarted(0), ReasoningStarted(1), ToolCallStarted(2, "c", "look", "client")]
    for number, event in enumerate((STARTED, ROUTED, *opened)):
        encoder.event(number, event)
    before = dict(encoder.omitted)
    tag = str(EACH[kind].__struct_config__.tag)
    frame = encoder.event(9, EACH[kind])
    is_omitted = DIALECT.losses.get(tag, "").startswith("omitted")
    assert encoder.omitted.get(tag, 0) - before.get(tag, 0) == int(is_omitted)
    assert bool(frame) is not (is_omitted or kind in TOLD_LATER)


# --- documents


@pytest.mark.parametrize(
    ("status", "fields", "response"),
    [
        ("completed", {"finish_reason": "tool_calls", "pending_tool_calls": ["call_a", "call_b"]}, "completed"),
        ("completed", {}, "completed"),
        ("failed", {"error": ERROR}, "failed"),
        ("failed", {}, "failed"),
        ("canceled", {"reason": "client"}, "cancelled"),
        ("running", {}, "in_progress"),
    ],
)
def test_a_document_is_what_the_stream_would_have_ended_with(status: Status, fields: Any, response: str) -> None:
    assembler = Assembler()
    extras: list[Event] = [
        InputRequested("a", "approval"),
        File(url=PIXEL),
        ToolResult("v", "x", is_error=False),
        Data("d", 1),
    ]
    cut: list[Event] = [ToolCallStarted(8, "k", "look", "client"), ToolCallCompleted(8, "k", "look", {}, "cut", "")]
    silent: list[Event] = [ReasoningStarted(9), ReasoningCompleted(9, "", "sealed")]
    events: list[Event] = [*RICH, *extras, Source("s9", "U", "https://u.test"), *cut, *silent]
    for event in events:
        assembler.add(event)
    message = Message("msg_a", "conv_1", "assistant", status, assembler.parts(), NOW, vendor="acme", **fields)
    document = json.loads(exchange(stream=False).document(message))
    assert document["status"] == response
    assert json.loads(DIALECT.write_result(message))["id"] == "resp_msg_a"
    if response == "completed":
        terminal = MessageCompleted("tool_calls", None, ["call_a", "call_b"])
        assert ordered(document["output"]) == ordered(output(*events, terminal))


def ordered(items: list[dict[str, Any]]) -> list[str]:
    """Without ids, which count the items, and without the spacing of arguments."""
    told = [{name: value for name, value in item.items() if name != "id"} for item in items]
    return sorted(msgspec.json.encode(item, order="sorted").decode() for item in told)


def test_a_message_of_no_vendor_is_a_response_too() -> None:
    message = Message("msg_a", "c", "assistant", "completed", [TextPart("Hi", 3)], NOW)
    assert json.loads(DIALECT.write_result(message))["output"][0]["content"][0]["text"] == "Hi"


# --- refusals


def test_every_code_has_a_row() -> None:
    assert set(ROWS) == set(CODES)


@pytest.mark.parametrize("code", get_args(Code))
def test_each_code_is_told_in_the_clients_words(code: Code) -> None:
    error = GatewayError(code, "no", retry_after=1.2, details={"path": "$.input[0].role"})
    answer = DIALECT.error(error, "req_1")
    row = ROWS[code]
    assert (answer.status, json.loads(answer.body)) == (
        row.status,
        {"error": {"message": "no", "type": row.type, "param": "input[0].role", "code": row.code}},
    )
    assert (answer.headers["Retry-After"], answer.headers["retry-after-ms"]) == ("2", "1200")
    asked_all = code.startswith("upstream_") or code in {
        "content_filtered",
        "context_too_long",
        "quota_exhausted",
        "internal",
    }
    again = "true" if code in {"rate_limited", "overloaded", "store_unavailable"} else None
    assert answer.headers.get("x-should-retry") == ("false" if asked_all else again)
    assert ("WWW-Authenticate" in answer.headers) is (code == "unauthorized")


def test_a_route_that_is_not_known_is_a_model() -> None:
    answer = DIALECT.error(GatewayError("not_found", "no such route", details={"path": "$.route"}), "req_1")
    assert json.loads(answer.body)["error"] == {
        "message": "no such route",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_found",
    }
    plain = DIALECT.error(GatewayError("not_found", "no"), "req_1")
    assert (json.loads(plain.body)["error"]["param"], "Retry-After" in plain.headers) == (None, False)


def test_the_clients_of_azure_have_a_header_of_their_own() -> None:
    own = ClientRequest(CIMultiDict({"api-key": "k"}), b"")
    two = ClientRequest(CIMultiDict({"api-key": "k", "Authorization": "Bearer j"}), b"")
    assert (DIALECT.credential(own), DIALECT.credential(two)) == ("k", None)


def test_headers_and_key_are_where_the_clients_look() -> None:
    assert DIALECT.headers("req_1") == {"x-request-id": "req_1"}
    key = ClientRequest(CIMultiDict({"Authorization": "Bearer k"}), b"")
    assert (DIALECT.credential(key), DIALECT.credential(ClientRequest(CIMultiDict(), b""))) == ("k", None)
    assert not [event for event in EACH.values() if isinstance(event, Notice)]

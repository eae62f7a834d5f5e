"""A message as Anthropic's clients read it: streams of events in, frames out, and what our translator reads back."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.assembler import Assembler
from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import ErrorBody, GatewayError
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
from gateway.canonical.message import (
    Message,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.framing.sse import SseDecoder
from gateway.protocols.anthropic import errors
from gateway.protocols.anthropic.asking import AnthropicTarget
from gateway.protocols.anthropic.dialect import LOSSES
from gateway.protocols.anthropic.encoder import AnthropicEncoder
from gateway.protocols.anthropic.translator import AnthropicTranslator
from gateway.protocols.anthropic.writing import document
from tests.support.translating import Told, heard, records

STARTED = MessageStarted("msg-1", "c-1", "support", datetime(2026, 11, 2, tzinfo=UTC))
ROUTED = MessageRouted("acme", 1, "claude-x")
STOP = MessageCompleted("stop")


def encoder(stop: Sequence[str] = ()) -> AnthropicEncoder:
    return AnthropicEncoder("support", stop, errors.told)


def write(*events: Event, to: AnthropicEncoder | None = None) -> bytes:
    encoder_ = to or encoder()
    told = [STARTED, ROUTED, *events]
    return b"".join(encoder_.event(n, event) for n, event in enumerate(told)) + encoder_.end()


def frames(data: bytes) -> list[Any]:
    told = []
    for block in data.decode().split("\n\n")[:-1]:
        name, _, payload = block.partition("\ndata: ")
        told.append(json.loads(payload))
        assert name == f"event: {told[-1]['type']}"
    return told


def told(*events: Event, to: AnthropicEncoder | None = None) -> list[Any]:
    """The frames between the start and the end of the message."""
    return frames(write(*events, STOP, to=to))[1:-2]


def end_of(*events: Event, stop: Sequence[str] = ()) -> Any:
    return frames(write(*events, to=encoder(stop)))[-2]


def text(number: int, *deltas: str) -> list[Event]:
    grown = [TextDelta(number, delta) for delta in deltas]
    return [TextStarted(number), *grown, TextCompleted(number, "".join(deltas))]


def reasoning(number: int, *deltas: str, signature: str | None = None) -> list[Event]:
    grown = [ReasoningDelta(number, delta) for delta in deltas]
    return [ReasoningStarted(number), *grown, ReasoningCompleted(number, "".join(deltas), signature)]


def call(
    number: int, call_id: str, name: str, *deltas: str, executor: Any = "client", status: Any = "complete"
) -> list[Event]:
    spelled = "".join(deltas)
    arguments = json.loads(spelled or "{}") if status == "complete" else {}
    raw = None if status == "complete" else spelled
    return [
        ToolCallStarted(number, call_id, name, executor),
        *(ToolCallDelta(number, call_id, delta) for delta in deltas),
        ToolCallCompleted(number, call_id, name, arguments, status, raw),
    ]


def begin(index: int, **block: Any) -> Any:
    return {"type": "content_block_start", "index": index, "content_block": block}


def grow(index: int, **delta: Any) -> Any:
    return {"type": "content_block_delta", "index": index, "delta": delta}


def end(index: int) -> Any:
    return {"type": "content_block_stop", "index": index}


def said(index: int, *deltas: str) -> list[Any]:
    grown = [grow(index, type="text_delta", text=delta) for delta in deltas]
    return [begin(index, type="text", text=""), *grown, end(index)]


# --- the message


def test_a_text_streams() -> None:
    assert write(*text(0, "Hi", " ünï\n"), STOP).decode() == (
        "event: message_start\n"
        'data: {"type":"message_start","message":{"id":"msg-1","type":"message","role":"assistant","model":"claude-x",'
        '"content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}}\n\n'
        "event: content_block_start\n"
        'data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}\n\n'
        "event: content_block_delta\n"
        'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" ünï\\n"}}\n\n'
        "event: content_block_stop\n"
        'data: {"type":"content_block_stop","index":0}\n\n'
        "event: message_delta\n"
        'data: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
        '"usage":{"output_tokens":0}}\n\n'
        'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    )


def test_the_start_waits_for_the_first_content_and_what_the_vendor_spent_until_then() -> None:
    encoder_ = encoder()
    spent = UsageReported(input_tokens=20, output_tokens=1, cached_tokens=7, cache_write_tokens=3)
    held = [encoder_.event(0, event) for event in (STARTED, ROUTED, spent, TextStarted(0))]
    assert held == [b""] * 4
    start = frames(encoder_.event(4, TextDelta(0, "Hi")))[0]
    assert start["message"]["usage"] == {
        "input_tokens": 10,
        "output_tokens": 1,
        "cache_read_input_tokens": 7,
        "cache_creation_input_tokens": 3,
    }
    assert encoder_.heartbeat() == b'event: ping\ndata: {"type":"ping"}\n\n'


def test_without_a_vendors_model_the_route_is_named() -> None:
    encoder_ = encoder()
    encoder_.event(0, STARTED)
    encoder_.event(1, MessageRouted("acme", 1))
    assert frames(encoder_.event(2, STOP))[0]["message"]["model"] == "support"


def test_the_end_has_the_whole_usage() -> None:
    usage = Usage(input_tokens=9, output_tokens=5, reasoning_tokens=2, cached_tokens=10)
    assert end_of(*text(0, "Hi"), MessageCompleted("stop", usage=usage))["usage"] == {
        "input_tokens": 0,
        "output_tokens": 5,
        "cache_read_input_tokens": 10,
        "output_tokens_details": {"thinking_tokens": 2},
    }
    assert end_of(UsageReported(output_tokens=4), *text(0, "Hi"), MessageCanceled("client"))["usage"] == {
        "output_tokens": 4
    }


@pytest.mark.parametrize(
    ("completed", "reason"),
    [
        (MessageCompleted("stop"), "end_turn"),
        (MessageCompleted("stop", "end_turn"), "end_turn"),
        (MessageCompleted("stop", "stop_sequence"), "stop_sequence"),
        (MessageCompleted("length", "max_tokens"), "max_tokens"),
        (MessageCompleted("length", "model_context_window_exceeded"), "model_context_window_exceeded"),
        (MessageCompleted("tool_calls"), "tool_use"),
        (MessageCompleted("input_required"), "end_turn"),
        (MessageCompleted("content_filter", "SAFETY"), "refusal"),
        (MessageCompleted("other", "pause_turn"), "pause_turn"),
        (MessageCompleted("other", "refusal"), "end_turn"),
        (MessageCanceled("client"), None),
    ],
)
def test_each_ending_has_its_reason(completed: Event, reason: str | None) -> None:
    assert end_of(*text(0, "Hi"), completed)["delta"] == {"stop_reason": reason, "stop_sequence": None}


def test_which_stop_sequence_it_was_is_known_of_one() -> None:
    completed = MessageCompleted("stop", "stop_sequence")
    assert end_of(completed, stop=["END"])["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}
    assert end_of(completed, stop=["A", "B"])["delta"]["stop_sequence"] is None
    assert end_of(STOP, stop=["END"])["delta"]["stop_sequence"] is None


FAILED = MessageFailed(ErrorBody("upstream_unavailable", "the vendor is unavailable", True, request_id="r-1"))
TOLD_FAILURE = {
    "type": "error",
    "error": {
        "type": "overloaded_error",
        "message": "the vendor is unavailable",
        "details": {"error_code": "upstream_unavailable"},
    },
    "request_id": "r-1",
}


def test_a_failure_is_an_error_event_wherever_it_comes() -> None:
    assert frames(write(FAILED)) == [TOLD_FAILURE]
    assert frames(write(*text(0, "Hi"), FAILED))[-2:] == [end(0), TOLD_FAILURE]


def test_a_failure_lets_go_what_waited() -> None:
    waiting = call(0, "c1", "look", executor="unknown")
    assert [frame["type"] for frame in frames(write(*waiting, FAILED))] == [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "error",
    ]


# --- blocks


def test_thoughts_have_their_signature_and_redacted_ones_their_data() -> None:
    assert told(
        *reasoning(0, "Hm", "!", signature="sig"),
        *reasoning(1, signature="redacted_thinking:EmwK"),
        *reasoning(2, "unsigned"),
        *reasoning(3, signature="of nothing shown"),
        *reasoning(4),
    ) == [
        begin(0, type="thinking", thinking="", signature=""),
        grow(0, type="thinking_delta", thinking="Hm"),
        grow(0, type="thinking_delta", thinking="!"),
        grow(0, type="signature_delta", signature="sig"),
        end(0),
        begin(1, type="redacted_thinking", data="EmwK"),
        end(1),
        begin(2, type="thinking", thinking="", signature=""),
        grow(2, type="thinking_delta", thinking="unsigned"),
        end(2),
        begin(3, type="thinking", thinking="", signature=""),
        grow(3, type="signature_delta", signature="of nothing shown"),
        end(3),
    ]


def test_no_block_is_empty() -> None:
    assert told(TextStarted(0), TextDelta(0, ""), TextCompleted(0, ""), *text(1, "Hi")) == said(0, "Hi")


def test_blocks_that_are_open_together_are_told_one_behind_the_other() -> None:
    assert told(
        TextStarted(0),
        TextDelta(0, "a"),
        ToolCallStarted(1, "c1", "look", "client"),
        ToolCallDelta(1, "c1", '{"x"'),
        ToolCallStarted(2, "c2", "list", "client"),
        TextDelta(0, "b"),
        ToolCallDelta(2, "c2", "{}"),
        ToolCallDelta(1, "c1", ":1}"),
        ToolCallCompleted(1, "c1", "look", {"x": 1}, "complete"),
        TextCompleted(0, "ab"),
        ToolCallCompleted(2, "c2", "list", {}, "complete"),
    ) == [
        *said(0, "a", "b"),
        begin(1, type="tool_use", id="c1", name="look", input={}),
        grow(1, type="input_json_delta", partial_json='{"x"'),
        grow(1, type="input_json_delta", partial_json=":1}"),
        end(1),
        begin(2, type="tool_use", id="c2", name="list", input={}),
        grow(2, type="input_json_delta", partial_json="{}"),
        end(2),
    ]


def test_a_block_that_waited_goes_on_streaming_in_its_turn() -> None:
    encoder_ = encoder()
    events = [STARTED, ROUTED, *text(0, "a")[:2], TextStarted(1), TextDelta(1, "b"), TextCompleted(0, "a")]
    for event in events:
        last = encoder_.event(0, event)
    assert frames(last) == [end(0), begin(1, type="text", text=""), grow(1, type="text_delta", text="b")]
    assert frames(encoder_.event(0, TextDelta(1, "c"))) == [grow(1, type="text_delta", text="c")]


def test_many_blocks_that_waited_are_told_without_depth() -> None:
    waiting = [event for number in range(1, 3000) for event in text(number, "x")]
    assert len(told(TextStarted(0), TextDelta(0, "a"), *waiting, TextCompleted(0, "a"))) == 9000


def test_a_cut_call_is_told_as_far_as_it_came() -> None:
    assert told(*call(0, "c1", "look", '{"x', status="cut")) == [
        begin(0, type="tool_use", id="c1", name="look", input={}),
        grow(0, type="input_json_delta", partial_json='{"x'),
        end(0),
    ]


def test_a_correction_stands_behind_a_blank_line() -> None:
    correction: list[Event] = [TextStarted(1, replaces=0), TextDelta(1, "Hello"), TextCompleted(1, "Hello")]
    assert told(*text(0, "Hullo"), *correction) == [*said(0, "Hullo"), *said(1, "\n\n", "Hello")]


def test_what_cannot_be_written_fails_where_it_comes() -> None:
    encoder_ = encoder()
    for event in (STARTED, ROUTED, *text(0, "a")[:2], TextStarted(1)):
        encoder_.event(0, event)
    with pytest.raises(UnicodeEncodeError):
        encoder_.event(0, TextDelta(1, "\ud800"))


# --- calls that the vendor runs


RUN = ToolResult("c1", {"ok": True}, is_error=False, name="look")
MCP = [
    begin(0, type="mcp_tool_use", id="c1", name="look", server_name="gateway", input={"x": 1}),
    end(0),
    begin(
        1,
        type="mcp_tool_result",
        tool_use_id="c1",
        is_error=False,
        content=[{"type": "text", "text": '{"ok":true}'}],
    ),
    end(1),
]


@pytest.mark.parametrize("executor", ["vendor", "unknown"])
def test_a_vendors_tool_of_any_name_is_an_mcp_servers(executor: str) -> None:
    assert told(*call(0, "c1", "look", '{"x":1}', executor=executor), RUN) == MCP


def test_a_result_may_come_before_its_call_is_complete() -> None:
    started, delta, completed = call(0, "c1", "look", '{"x":1}', executor="unknown")
    assert told(started, delta, RUN, completed) == MCP


def test_a_call_that_the_client_owes_after_all_is_told_at_the_end() -> None:
    owed = MessageCompleted("tool_calls", pending_tool_calls=["c1"])
    events = [*call(0, "c1", "look", '{"x":1}', executor="unknown"), *text(1, "Hi"), owed]
    assert frames(write(*events))[1:-2] == [
        *said(0, "Hi"),
        begin(1, type="tool_use", id="c1", name="look", input={}),
        grow(1, type="input_json_delta", partial_json='{"x":1}'),
        end(1),
    ]
    events = [*call(0, "c1", "look", '{"x', executor="unknown", status="cut"), owed]
    assert frames(write(*events))[2] == grow(0, type="input_json_delta", partial_json='{"x')
    events = [call(0, "c1", "look", executor="unknown")[0], owed]
    assert frames(write(*events))[2] == grow(0, type="input_json_delta", partial_json="{}")


def test_a_call_that_nobody_owes_is_not_the_clients() -> None:
    assert told(*call(0, "c1", "look", '{"x":1}', executor="unknown")) == MCP[:2]
    assert told(call(0, "c1", "look", executor="unknown")[0])[0]["content_block"]["input"] == {}


def test_anthropics_own_tools_stream_and_their_results_are_as_they_were() -> None:
    found = [{"type": "web_search_result", "url": "https://a.test"}]
    assert told(
        *call(0, "srvtoolu_1", "web_search", '{"query":"x"}', executor="vendor"),
        ToolResult("srvtoolu_1", found, is_error=False, name="web_search"),
    ) == [
        begin(0, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        grow(0, type="input_json_delta", partial_json='{"query":"x"}'),
        end(0),
        begin(1, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=found),
        end(1),
    ]


def test_a_vendors_call_waits_for_the_block_that_is_open() -> None:
    events = [*text(0, "a")[:2], *call(1, "c1", "look", '{"x":1}', executor="vendor"), RUN, TextCompleted(0, "a")]
    assert [frame["index"] for frame in told(*events)] == [0, 0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("output", "content"),
    [
        ("so", [{"type": "text", "text": "so"}]),
        ([{"type": "text", "text": "a"}], [{"type": "text", "text": "a"}]),
        ([{"type": "text", "text": 7}], [{"type": "text", "text": '[{"type":"text","text":7}]'}]),
        ([1], [{"type": "text", "text": "[1]"}]),
        ([], [{"type": "text", "text": "[]"}]),
        (None, [{"type": "text", "text": "null"}]),
    ],
)
def test_a_result_is_made_of_texts(output: Any, content: Any) -> None:
    block = told(ToolResult("c9", output, is_error=True))[0]["content_block"]
    assert (block["content"], block["is_error"]) == (content, True)


# --- what stands beside


PAGE = Source("s1", "A", "https://a.test", quote="So it is.", block=0)
CITED = {
    "type": "web_search_result_location",
    "url": "https://a.test",
    "title": "A",
    "cited_text": "So it is.",
    "encrypted_index": "",
}
SHELF = Source("s2", "B", file_id="f1")
FILED = {
    "type": "search_result_location",
    "source": "f1",
    "title": "B",
    "cited_text": "",
    "search_result_index": 0,
    "start_block_index": 0,
    "end_block_index": 1,
}


def cites(index: int, citation: Any) -> Any:
    return grow(index, type="citations_delta", citation=citation)


def test_a_source_is_a_citation_of_its_text() -> None:
    assert told(TextStarted(0), PAGE, TextDelta(0, "a"), SHELF, TextCompleted(0, "a")) == [
        begin(0, type="text", text=""),
        cites(0, CITED),
        grow(0, type="text_delta", text="a"),
        cites(0, FILED),
        end(0),
    ]


def test_a_source_waits_with_its_text() -> None:
    events = [*reasoning(9, "Hm")[:2], TextStarted(0), TextDelta(0, "a"), PAGE, ReasoningCompleted(9, "Hm")]
    assert told(*events, TextCompleted(0, "a"))[3:] == [
        begin(1, type="text", text=""),
        grow(1, type="text_delta", text="a"),
        cites(1, CITED),
        end(1),
    ]


def test_a_source_outside_a_text_is_the_next_ones_or_one_of_its_own() -> None:
    assert told(SHELF, *text(0, "a"), PAGE, *reasoning(1, "Hm")) == [
        begin(0, type="text", text=""),
        cites(0, FILED),
        grow(0, type="text_delta", text="a"),
        end(0),
        begin(1, type="thinking", thinking="", signature=""),
        grow(1, type="thinking_delta", thinking="Hm"),
        end(1),
        begin(2, type="text", text=""),
        cites(2, CITED),
        end(2),
    ]
    nameless = told(*call(0, "c1", "look")[:1], Source("s3"), *call(0, "c1", "look")[1:])[-2]
    assert nameless["delta"]["citation"]["source"] == "s3"


def test_a_question_is_told_as_a_text() -> None:
    assert told(InputRequested("r", "question", "Which one?")) == said(0, "Which one?")
    assert told(InputRequested("r", "approval")) == said(0, "Your approval is needed.")


def test_a_file_is_the_containers() -> None:
    encoder_ = encoder()
    assert told(File("f1", "a.png"), File(name="b.png", url="https://a.test"), to=encoder_) == [
        begin(0, type="container_upload", file_id="f1"),
        end(0),
    ]
    assert encoder_.omitted == {"file": 1}


OMITTED: dict[str, Event] = {
    "data": Data("chart", {}),
    "data_frame": DataFrame("t", ["a"], [[1]]),
    "step.started": StepStarted(0),
    "step.completed": StepCompleted(0),
    "vendor.event": VendorEvent("x", {}),
}


def test_what_is_omitted_is_counted_and_is_listed() -> None:
    encoder_ = encoder()
    assert told(*OMITTED.values(), to=encoder_) == []
    assert encoder_.omitted == dict.fromkeys(OMITTED, 1)
    assert {name for name, words in LOSSES.items() if words.startswith("omitted")} == set(OMITTED)


def test_of_every_other_kind_something_is_told() -> None:
    kinds = {kind.__struct_config__.tag: kind for kind in Event.__args__}
    for tag in kinds.keys() - OMITTED.keys():
        assert kinds[tag] in AnthropicEncoder._HANDLERS


# --- documents


def stored(*parts: Any, **fields: Any) -> Message:
    at = datetime(2026, 11, 2, tzinfo=UTC)
    usual: dict[str, Any] = {"finish_reason": "stop", "model": "claude-x", **fields}
    return Message("msg-1", "c-1", "assistant", "completed", list(parts), at, **usual)


def test_a_document_is_what_the_stream_says() -> None:
    message = stored(
        ReasoningPart("Hm", 0, "sig"),
        ReasoningPart("", 1),
        ReasoningPart("", 2, "redacted_thinking:EmwK"),
        TextPart("a", 3),
        SourcePart("s1", "A", "https://a.test", quote="So it is.", block=3),
        TextPart("", 4),
        ToolCallPart("c1", "look", {"x": 1}, executor="unknown"),
        ToolResultPart("c1", {"ok": True}, name="look"),
        ToolCallPart("c2", "list", {}, executor="client"),
        ToolCallPart("c3", "list", {}, executor="unknown"),
        SourcePart("s2", "B", file_id="f1"),
        finish_reason="tool_calls",
        pending_tool_calls=["c2", "c3"],
        usage=Usage(input_tokens=9, output_tokens=5),
    )
    assert json.loads(document(message, [])) == {
        "id": "msg-1",
        "type": "message",
        "role": "assistant",
        "model": "claude-x",
        "content": [
            {"type": "thinking", "thinking": "Hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "EmwK"},
            {"type": "text", "text": "a", "citations": [CITED]},
            MCP[0]["content_block"],
            MCP[2]["content_block"],
            {"type": "tool_use", "id": "c2", "name": "list", "input": {}},
            {"type": "tool_use", "id": "c3", "name": "list", "input": {}},
            {"type": "text", "text": "", "citations": [FILED]},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 5},
    }


def test_a_document_of_a_canceled_message_has_no_reason_to_stop() -> None:
    message = json.loads(document(stored(finish_reason=None, model=None, route="support"), []))
    assert (message["model"], message["content"], message["stop_reason"]) == ("support", [], None)
    assert json.loads(document(stored(model=None), []))["model"] == ""


def test_a_documents_files_and_questions() -> None:
    from gateway.canonical.message import DataPart, FilePart, InputPart

    message = stored(
        FilePart("f1"), FilePart(url="https://a.test"), InputPart("r", "question", "Which?"), DataPart("d", 1)
    )
    assert json.loads(document(message, []))["content"] == [
        {"type": "container_upload", "file_id": "f1"},
        {"type": "text", "text": "Which?"},
    ]


# --- read back


def understood(data: bytes) -> Told:
    translator = AnthropicTranslator(AnthropicTarget("m"), Blocks(Numbering()))
    return heard(translator, records(SseDecoder(), data))


def gist(events: Sequence[Any]) -> list[Any]:
    """What a reader has in the end."""
    kinds = (TextCompleted, ReasoningCompleted, ToolCallCompleted, ToolResult, MessageCompleted)
    return [event for event in events if isinstance(event, kinds)]


def test_what_is_written_is_read_back_the_same() -> None:
    found = [{"type": "web_search_result", "url": "https://a.test"}]
    events = [
        *reasoning(0, "Hm", signature="sig"),
        *reasoning(1, signature="redacted_thinking:EmwK"),
        *call(2, "srvtoolu_1", "web_search", '{"query":"x"}', executor="vendor"),
        ToolResult("srvtoolu_1", found, is_error=False, name="web_search"),
        *text(3, "It is", " so."),
        *call(4, "c1", "look", '{"x":1}'),
        *call(5, "c2", "list"),
        MessageCompleted("tool_calls", "tool_use", ["c1", "c2"]),
    ]
    assert gist(understood(write(*events))) == gist(events)


def test_a_failure_is_read_back_as_one() -> None:
    read = understood(write(*text(0, "Hi"), FAILED))
    assert isinstance(read[-1], MessageFailed)
    assert read[-1].error.code == "upstream_unavailable"


def test_usage_and_sources_are_read_back() -> None:
    spent = Usage(input_tokens=20, output_tokens=9, reasoning_tokens=2, cached_tokens=7, cache_write_tokens=3)
    read = understood(
        write(TextStarted(0), TextDelta(0, "a"), PAGE, TextCompleted(0, "a"), MessageCompleted("stop", usage=spent))
    )
    usage = [event for event in read if isinstance(event, UsageReported)][-1]
    assert usage == UsageReported(20, 9, 2, 7, 3)
    assert [event for event in read if isinstance(event, Source)] == [
        Source("source_0", "A", "https://a.test", quote="So it is.", block=0)
    ]


@given(st.data())
def test_blocks_in_any_order_are_read_back_whole(data: st.DataObject) -> None:
    """Several blocks grow in turns; each is read back as it was, in the order in which they began."""
    word = st.text(st.characters(codec="utf-8"), min_size=1, max_size=4)
    words = data.draw(st.lists(st.lists(word, min_size=1, max_size=3), min_size=1, max_size=4))
    makers = [data.draw(st.sampled_from([text, reasoning])) for _ in words]
    queues = [list(make(number, *deltas)) for number, (make, deltas) in enumerate(zip(makers, words, strict=True))]
    begun = [queue.pop(0) for queue in queues]
    events: list[Event] = []
    left = list(range(len(queues)))
    for number in left:
        events.append(begun[number])
        events += [queues[number].pop(0) for _ in range(data.draw(st.integers(0, len(queues[number]))))]
    while left:
        number = data.draw(st.sampled_from(left))
        if queues[number]:
            events.append(queues[number].pop(0))
        else:
            left.remove(number)
    read = understood(write(*events, MessageCompleted("stop", "end_turn")))
    spoken = [event.text for event in gist(read)[:-1]]
    assert spoken == ["".join(deltas) for deltas in words]
    assembler = Assembler()
    for event in read:
        if not isinstance(event, MessageCompleted):
            assembler.add(event)  # type: ignore[arg-type]
    assert not assembler.open_events()


def test_every_error_is_an_event_that_is_read_back() -> None:
    for code in errors.ROWS:
        read = understood(write(MessageFailed(GatewayError(code, "no").body())))
        assert isinstance(read[-1], MessageFailed)

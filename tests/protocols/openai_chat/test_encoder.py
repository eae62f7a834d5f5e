"""OpenAI chat, downstream: each event as the chunk that the official client reads, and what no chunk can say."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import ErrorBody
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
from gateway.framing.sse import SseDecoder
from gateway.protocols.openai_chat.dialect import ChatDialect
from gateway.protocols.openai_chat.encoder import ChatEncoder
from gateway.protocols.openai_chat.translator import ChatTarget, ChatTranslator
from tests.support.translating import Told, heard, records

Json = dict[str, Any]

STARTED = MessageStarted("msg_1", "conv_1", "support", datetime(2026, 11, 2, 12, 30, tzinfo=UTC))
ROUTED = MessageRouted("acme", 1, "gpt")
STOP = MessageCompleted("stop", vendor="acme", model="gpt")
BODY = ErrorBody("upstream_timeout", "the vendor fell silent", retryable=True, vendor="acme")


def encode(*events: Event, usage: bool = False) -> bytes:
    encoder = ChatEncoder("support", includes_usage=usage)
    return b"".join(encoder.event(number, event) for number, event in enumerate(events)) + encoder.end()


def chunks(*events: Event, usage: bool = False) -> list[Json]:
    """Behind the first one, without `[DONE]`."""
    body = encode(STARTED, ROUTED, *events, usage=usage)
    *frames, done = [record.data for record in records(SseDecoder(), body)]
    assert done == b"[DONE]"
    first, *rest = [json.loads(frame) for frame in frames]
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    return rest


def deltas(*events: Event) -> list[Json]:
    return [choice["delta"] for chunk in chunks(*events, STOP)[:-1] for choice in chunk["choices"]]


def content(*events: Event) -> str:
    return "".join(delta.get("content") or "" for delta in deltas(*events))


def read_back(body: bytes) -> Told:
    return heard(ChatTranslator(ChatTarget("m"), Blocks(Numbering())), records(SseDecoder(), body))


def text(block: int, *pieces: str) -> list[Event]:
    return [TextStarted(block), *(TextDelta(block, piece) for piece in pieces), TextCompleted(block, "".join(pieces))]


def call(
    block: int, name: str, *pieces: str, id_: str, executor: Any = "client", status: Any = "complete"
) -> list[Event]:
    spelled = "".join(pieces)
    arguments = json.loads(spelled or "{}") if status == "complete" else {}
    raw = None if status == "complete" else spelled
    return [
        ToolCallStarted(block, id_, name, executor),
        *(ToolCallDelta(block, id_, piece) for piece in pieces),
        ToolCallCompleted(block, id_, name, arguments, status, raw),
    ]


def written_calls(*events: Event, pending: list[str] | None = None) -> list[list[Any]]:
    """[id, name, arguments] of each call as a client puts it together; calls do not take turns."""
    calls: list[list[Any]] = []
    for chunk in chunks(*events, MessageCompleted("tool_calls", pending_tool_calls=pending or [])):
        for choice in chunk["choices"]:
            for fragment in choice["delta"].get("tool_calls", []):
                function = fragment["function"]
                if "id" in fragment:
                    assert (fragment["index"], fragment["type"]) == (len(calls), "function")
                    calls.append([fragment["id"], function["name"], ""])
                assert fragment["index"] == len(calls) - 1
                calls[-1][2] += function["arguments"]
    return calls


# --- frames


def test_a_plain_answer_byte_by_byte() -> None:
    head = b'data: {"id":"msg_1","object":"chat.completion.chunk","created":1793622600,"model":"support","choices":['
    assert encode(STARTED, ROUTED, *text(0, "H\u00e9\n"), STOP) == (
        head
        + b'{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
        + head
        + b'{"index":0,"delta":{"content":"H\xc3\xa9\\n"},"finish_reason":null}]}\n\n'
        + head
        + b'{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
        + b"data: [DONE]\n\n"
    )


def test_usage_comes_behind_the_finish_and_is_null_before() -> None:
    usage = Usage(10, 5, 2, 3)
    told = chunks(*text(0, "Hi"), MessageCompleted("stop", usage=usage), usage=True)
    assert [chunk["usage"] for chunk in told[:-1]] == [None, None]
    assert told[-1]["choices"] == []
    assert told[-1]["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert all("usage" not in chunk for chunk in chunks(MessageCompleted("stop", usage=usage)))


def test_what_was_not_counted_is_not_told() -> None:
    assert len(chunks(MessageCompleted("stop", usage=Usage(credits=1.0)), usage=True)) == 1
    assert len(chunks(STOP, usage=True)) == 1
    told = chunks(MessageCompleted("stop", usage=Usage(output_tokens=5)), usage=True)[-1]["usage"]
    assert told == {"prompt_tokens": 0, "completion_tokens": 5, "total_tokens": 5}


def test_a_heartbeat_is_a_comment() -> None:
    assert ChatEncoder("m", includes_usage=False).heartbeat() == b": keep-alive\n\n"


# --- prose


def test_texts_are_one_content() -> None:
    assert deltas(*text(0, "a", "b"), *text(1, "c")) == [{"content": "a"}, {"content": "b"}, {"content": "c"}]
    assert deltas(TextStarted(0), TextDelta(0, ""), TextCompleted(0, "")) == [{"content": ""}]


def test_a_text_that_opens_in_another_waits_for_its_end() -> None:
    first, second, third = text(0, "a", "b"), text(1, "c", "d"), text(2, "e", "f")
    told = content(
        first[0], second[0], third[0], second[1], third[1], first[1], *second[2:], first[2], first[3], *third[2:]
    )
    assert told == "abcdef"


def test_reasoning_has_a_field_of_its_own() -> None:
    started = ReasoningStarted(0)
    delta, completed = ReasoningDelta(0, "Hm"), ReasoningCompleted(0, "Hm", "sig")
    assert deltas(started, delta, completed, *text(1, "a")) == [{"reasoning_content": "Hm"}, {"content": "a"}]
    later: list[Event] = [ReasoningStarted(1), ReasoningDelta(1, "?")]
    assert deltas(started, *later, delta, completed)[1:] == [{"reasoning_content": "?"}]


def test_a_correction_follows_behind_a_blank_line() -> None:
    corrected: list[Event] = [TextStarted(1, replaces=0), TextDelta(1, "Four"), TextCompleted(1, "Four")]
    assert content(*text(0, "Five"), *corrected) == "Five\n\nFour"


def test_a_question_is_text() -> None:
    request = InputRequested("r", "approval", "May I?")
    assert content(request) == "May I?"
    assert content(*text(0, "Well."), request) == "Well.\n\nMay I?"
    assert chunks(request, MessageCompleted("input_required"))[-1]["choices"][0]["finish_reason"] == "stop"


# --- tool calls


def test_a_call_comes_as_it_grows() -> None:
    head = {"index": 0, "id": "a", "type": "function", "function": {"name": "pay", "arguments": ""}}
    assert deltas(*call(0, "pay", '{"sum":', "1}", id_="a")) == [
        {"tool_calls": [head]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"sum":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "1}"}}]},
    ]


def test_calls_that_take_turns_are_written_one_after_another() -> None:
    first, second, third = (
        call(0, "pay", '{"a":', "1}", id_="a"),
        call(1, "ship", "{}", id_="b"),
        call(2, "list", id_="c"),
    )
    told = written_calls(first[0], second[0], first[1], *second[1:], third[0], first[2], first[3], third[1])
    assert told == [["a", "pay", '{"a":1}'], ["b", "ship", "{}"], ["c", "list", "{}"]]


def test_a_call_that_waits_goes_on_where_it_is() -> None:
    first, second = call(0, "pay", "{}", id_="a"), call(1, "ship", '{"to":', '"Oslo"}', id_="b")
    told = written_calls(first[0], second[0], second[1], first[1], first[2], second[2], second[3])
    assert told == [["a", "pay", "{}"], ["b", "ship", '{"to":"Oslo"}']]


@pytest.mark.parametrize("pieces", [(), (" ",)])
def test_a_call_without_arguments_has_an_empty_object(pieces: tuple[str, ...]) -> None:
    events = call(0, "list", id_="a")
    spelled = [ToolCallDelta(0, "a", piece) for piece in pieces]
    ((_, _, arguments),) = written_calls(events[0], *spelled, events[1])
    assert json.loads(arguments) == {}


def test_a_cut_call_keeps_what_came_of_it() -> None:
    assert written_calls(*call(0, "pay", '{"su', id_="a", status="cut")) == [["a", "pay", '{"su']]
    assert written_calls(*call(0, "pay", id_="a", status="cut")) == [["a", "pay", ""]]


@pytest.mark.parametrize("executor", ["vendor", "unknown"])
def test_a_call_that_the_vendor_ran_is_left_out(executor: str) -> None:
    encoder = ChatEncoder("m", includes_usage=False)
    result = ToolResult("a", "1", is_error=False)
    events = [STARTED, *call(0, "search", "{}", id_="a", executor=executor), result, *text(1, "Hi"), STOP]
    assert b"search" not in b"".join(encoder.event(0, event) for event in events)
    assert encoder.omitted == {"tool_call.started": 1, "tool_result": 1}


def test_a_call_of_an_unknown_hand_is_written_whole_where_the_client_owes_it() -> None:
    owed = call(0, "pay", '{"a":', "1}", id_="a", executor="unknown")
    ran = call(1, "search", id_="b", executor="unknown")
    mine = call(2, "ship", "{}", id_="c")
    told = written_calls(*owed, *ran, *mine, pending=["a", "c"])
    assert told == [["c", "ship", "{}"], ["a", "pay", '{"a":1}']]


# --- sources


def test_sources_stand_at_the_end_with_indices_over_the_whole_content() -> None:
    told = deltas(
        *text(0, "ab"),
        Source("s0", "A", "https://e/a", block=2, start=1, end=3),
        Source("s1", url="https://e/b", block=2),
        Source("s2", "F", file_id="f"),
        ReasoningStarted(1),
        *text(2, "cde"),
    )
    placed = {"url": "https://e/a", "title": "A", "start_index": 3, "end_index": 5}
    unplaced = {"url": "https://e/b", "title": "https://e/b", "start_index": 0, "end_index": 0}
    assert told[-1] == {
        "annotations": [
            {"type": "url_citation", "url_citation": placed},
            {"type": "url_citation", "url_citation": unplaced},
        ]
    }


def test_indices_count_what_stands_between_texts_as_well() -> None:
    waiting: list[Event] = [
        TextStarted(0),
        TextStarted(1, replaces=0),
        TextDelta(1, "cd"),
        TextCompleted(1, "cd"),
        TextDelta(0, "ab"),
    ]
    told = deltas(
        *waiting,
        TextCompleted(0, "ab"),
        InputRequested("r", "question", "Eh?"),
        *text(2, "ef"),
        Source("s", "A", "https://e/a", block=1, start=0, end=2),
        Source("s", "A", "https://e/a", block=2, start=0, end=2),
    )
    whole = "".join(delta.get("content", "") for delta in told)
    passages = [entry["url_citation"] for entry in told[-1]["annotations"]]
    assert [whole[entry["start_index"] : entry["end_index"]] for entry in passages] == ["cd", "ef"]
    assert whole == "ab\n\ncd\n\nEh?ef"


# --- endings


@pytest.mark.parametrize(
    ("reason", "written"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("input_required", "stop"),
        ("other", "stop"),
    ],
)
def test_each_ending_has_a_finish_reason(reason: Any, written: str) -> None:
    (last,) = chunks(MessageCompleted(reason))
    assert last["choices"] == [{"index": 0, "delta": {}, "finish_reason": written}]


def test_a_canceled_answer_is_one_that_was_cut_short() -> None:
    told = chunks(*text(0, "Hi"), MessageCanceled("client", Usage(1, 1)), usage=True)
    assert told[1]["choices"][0]["finish_reason"] == "length"
    assert told[2]["usage"]["total_tokens"] == 2


def test_a_failure_is_an_error_and_then_the_end() -> None:
    *_, error = chunks(*text(0, "Hi"), MessageFailed(BODY))
    assert error == {
        "error": {
            "message": "the vendor fell silent",
            "type": "server_error",
            "param": None,
            "code": "upstream_timeout",
        }
    }


def test_after_a_switch_the_text_goes_on() -> None:
    switch = MessageRouted("other", 2, from_="acme", error=BODY, discard=False)
    assert content(*text(0, "Once "), switch, *text(1, "upon")) == "Once upon"


# --- losses


EXAMPLES: dict[type, list[Event]] = {
    MessageStarted: [],
    MessageRouted: [MessageRouted("other", 2, from_="acme", error=BODY, discard=False)],
    TextStarted: [TextStarted(9)],
    TextDelta: [TextStarted(9), TextDelta(9, "x")],
    TextCompleted: [*text(9)],
    ReasoningStarted: [ReasoningStarted(9)],
    ReasoningDelta: [ReasoningStarted(9), ReasoningDelta(9, "x")],
    ReasoningCompleted: [ReasoningStarted(9), ReasoningCompleted(9, "")],
    ToolCallStarted: [ToolCallStarted(9, "a", "pay", "client")],
    ToolCallDelta: [ToolCallStarted(9, "a", "pay", "client"), ToolCallDelta(9, "a", "{}")],
    ToolCallCompleted: [*call(9, "pay", id_="a")],
    ToolResult: [ToolResult("a", 1, is_error=False)],
    Source: [Source("s", url="https://e/a")],
    File: [File(url="https://e/a")],
    DataFrame: [DataFrame("d", ["a"], [[1]])],
    Data: [Data("chart", {})],
    StepStarted: [StepStarted(0)],
    StepCompleted: [StepCompleted(0)],
    InputRequested: [InputRequested("r", "question", "Eh?")],
    UsageReported: [UsageReported(1, 1)],
    VendorEvent: [VendorEvent("x", {})],
    MessageCompleted: [STOP],
    MessageFailed: [MessageFailed(BODY)],
    MessageCanceled: [MessageCanceled("client")],
}
SILENT = {"message.routed", "text.started", "text.completed", "reasoning.started", "reasoning.completed", "usage"}
"""Listed in `losses`, and not counted: what they tell is told by other events."""


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: kind.__struct_config__.tag)
def test_every_event_is_written_or_its_loss_is_listed(kind: type) -> None:
    tag = kind.__struct_config__.tag  # type: ignore[attr-defined]
    encoder = ChatEncoder("m", includes_usage=False)
    *before, event = [STARTED, *EXAMPLES[kind]]
    for earlier in before:
        encoder.event(0, earlier)
    written = encoder.event(1, event)
    loss = ChatDialect.losses.get(tag, "")
    if loss.startswith("omitted"):
        assert (written, encoder.omitted) == (b"", {tag: 1})
    elif tag in SILENT:
        assert (written, encoder.omitted, bool(loss)) == (b"", {}, True)
    else:
        assert written or (kind is Source and b"https://e/a" in encoder.event(2, STOP))


@pytest.mark.parametrize("event", [Source("s", file_id="f"), InputRequested("r", "approval")])
def test_what_lacks_the_part_that_could_be_written_is_counted(event: Event) -> None:
    encoder = ChatEncoder("m", includes_usage=False)
    assert (encoder.event(0, event), list(encoder.omitted.values())) == (b"", [1])


# --- law 8


def test_what_is_written_is_read_back_by_the_same_wire() -> None:
    events = [
        ReasoningStarted(0),
        ReasoningDelta(0, "Hm"),
        ReasoningCompleted(0, "Hm"),
        *text(1, "a\u2028", "b"),
        *call(2, "pay", '{"sum":', "1}", id_="a"),
        *call(3, "list", id_="b"),
        Source("s", "A", "https://e/a", block=1, start=0, end=2, quote="q"),
        MessageCompleted("tool_calls", pending_tool_calls=["a", "b"], usage=Usage(10, 5, 2, 3)),
    ]
    assert read_back(encode(STARTED, ROUTED, *events, usage=True)) == [
        *events[:-3],
        ToolCallDelta(3, "b", "{}"),
        ToolCallCompleted(3, "b", "list", {}, "complete"),
        Source("source_0", "A", "https://e/a", block=1, start=0, end=2),
        UsageReported(10, 5, 2, 3),
        MessageCompleted("tool_calls", "tool_calls", ["a", "b"]),
    ]


pieces = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=8), min_size=1, max_size=5)


@given(first=pieces, second=pieces)
def test_any_text_is_read_back(first: list[str], second: list[str]) -> None:
    told = read_back(encode(STARTED, ROUTED, *text(0, *first), *text(1, *second), STOP))
    assert [event.text for event in told if isinstance(event, TextCompleted)] == ["".join(first + second)]


def test_a_failure_is_read_back_as_one() -> None:
    told = read_back(encode(STARTED, ROUTED, *text(0, "Hi"), MessageFailed(BODY)))
    assert isinstance(told[-1], MessageFailed)

"""OpenAI chat, upstream: variants and oddities of the stream one by one. Whole streams: `test_rooms.py`."""

import json
from time import process_time
from typing import Any

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    File,
    MessageCompleted,
    Notice,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    Source,
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
from gateway.canonical.message import TextPart
from gateway.framing.record import Record
from gateway.framing.typed import Malformed
from gateway.protocols.openai_chat.servers import SERVERS
from gateway.protocols.openai_chat.sources import Sources
from gateway.protocols.openai_chat.translator import ChatTarget, ChatTranslator
from gateway.protocols.openai_chat.wire import Annotation
from tests.support.translating import Told, ask, failure, framed, heard, logged, sign_in

Json = dict[str, Any]

DONE = "[DONE]"
STOP = MessageCompleted("stop", "stop")


def make(**settings: Any) -> ChatTranslator:
    return ChatTranslator(ChatTarget("m", **settings), Blocks(Numbering()))


def chunk(delta: Json | None = None, finish: str | None = None, **top: Any) -> str:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return json.dumps({"id": "c1", "model": "m-1", "object": "chat.completion.chunk", "choices": choices, **top})


def read(*frames: str, **settings: Any) -> Told:
    return heard(make(**settings), framed(*frames))


def fails(*frames: str) -> GatewayError:
    return failure(make(), *frames)


def text(block: int, *deltas: str) -> list[Event]:
    grown = [TextDelta(block, delta) for delta in deltas]
    return [TextStarted(block), *grown, TextCompleted(block, "".join(deltas))]


def reasoning(block: int, *deltas: str, signature: str | None = None) -> list[Event]:
    grown = [ReasoningDelta(block, delta) for delta in deltas]
    return [ReasoningStarted(block), *grown, ReasoningCompleted(block, "".join(deltas), signature)]


def call(block: int, name: str, *deltas: str, id_: str, **completed: Any) -> list[Event]:
    return [
        ToolCallStarted(block, id_, name, "client"),
        *(ToolCallDelta(block, id_, delta) for delta in deltas),
        ToolCallCompleted(block, id_, name, completed, "complete"),
    ]


def fragment(arguments: str | None = None, name: str | None = None, **more: Any) -> Json:
    function = {"name": name, "arguments": arguments}
    return {**more, "function": {field: value for field, value in function.items() if value is not None}}


def calls(*fragments: Json, finish: str | None = None) -> str:
    return chunk({"tool_calls": list(fragments)}, finish)


# --- text


def test_text_grows_and_is_completed_at_the_end() -> None:
    frames = (chunk({"role": "assistant", "content": ""}), chunk({"content": "Hi"}), chunk({"content": " you"}))
    assert read(*frames, chunk({}, "stop"), DONE) == [*text(0, "Hi", " you"), STOP]


def test_a_chunk_of_text_alone_is_read_the_short_way_and_any_other_the_long_one() -> None:
    told = read(
        chunk({"content": "a"}),
        chunk({"content": "b", "reasoning": None, "reasoning_details": [], "tool_calls": []}, usage=None),
        chunk({"content": None}),
        chunk({"content": "c", "reasoning": ""}),
        chunk({"content": "d"}, usage={"prompt_tokens": 1}),
        chunk({"content": "e"}, "stop"),
    )
    assert told == [*text(0, "a", "b", "c", "d", "e"), UsageReported(input_tokens=1), STOP]


def test_who_answered_is_known_as_soon_as_it_is_told() -> None:
    translator = make()
    list(translator.feed(Record(chunk(None, id="", model="").encode())))
    assert (translator.vendor_ids, translator.model) == ({}, None)
    list(translator.feed(Record(chunk({"content": "Hi"}).encode())))
    assert (translator.vendor_ids, translator.model) == ({"message": "c1"}, "m-1")


def test_only_the_first_of_several_answers_is_told() -> None:
    other = {"index": 1, "delta": {"content": "B"}, "finish_reason": "stop"}
    first = {"index": 0, "delta": {"content": "A"}, "finish_reason": "stop"}
    assert read(chunk(choices=[first, other])) == [*text(0, "A"), STOP]


def test_a_choice_may_hold_nothing_but_its_end() -> None:
    assert read(chunk({"content": "A"}), chunk(choices=[{"finish_reason": "stop"}])) == [*text(0, "A"), STOP]


def test_a_refusal_is_a_text_that_the_filter_ended() -> None:
    told = read(chunk({"refusal": "I can"}), chunk({"refusal": "not."}), chunk({}, "stop"), DONE)
    assert told == [*text(0, "I can", "not."), MessageCompleted("content_filter", "stop")]


def test_an_image_is_a_file() -> None:
    images = [{"type": "image_url", "image_url": {"url": url}} for url in ("data:image/png;base64,AA==", "https://e/x")]
    assert read(chunk({"images": images}, "stop"), DONE) == [
        File(media_type="image/png", url="data:image/png;base64,AA=="),
        File(url="https://e/x"),
        STOP,
    ]


# --- reasoning


@pytest.mark.parametrize(
    "delta",
    [
        {"reasoning_content": "Hm"},
        {"reasoning": "Hm"},
        {"reasoning": "Hm", "reasoning_content": "Hm"},
        {"reasoning": "Hm", "reasoning_details": [{"type": "reasoning.text", "text": "Hm"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm"}]},
        {"content": [{"type": "thinking", "thinking": "Hm"}]},
        {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}, {"type": "image"}]}]},
    ],
)
def test_reasoning_is_told_once_wherever_it_stands(delta: Json) -> None:
    told = read(chunk(delta), chunk({"content": "Yes"}), chunk({}, "stop"))
    assert told == [*reasoning(0, "Hm"), *text(1, "Yes"), STOP]


def test_reasoning_and_text_take_turns() -> None:
    told = read(chunk({"reasoning": "1"}), chunk({"content": "2"}), chunk({"reasoning": "3"}), chunk({}, "stop"))
    assert told == [*reasoning(0, "1"), *text(1, "2"), *reasoning(2, "3"), STOP]


def test_what_is_signed_is_kept_without_the_text() -> None:
    told = read(
        chunk({"reasoning": "a", "reasoning_details": [{"type": "reasoning.text", "text": "a", "index": 0}]}),
        chunk({"reasoning": "b", "reasoning_details": [{"type": "reasoning.text", "text": "b", "index": 0}]}),
        chunk({"reasoning_details": [{"type": "reasoning.text", "signature": "sig", "index": 0, "format": "f"}]}),
        chunk({"content": "Yes"}, "stop"),
    )
    signature = '[{"type":"reasoning.text","signature":"sig","format":"f","index":0}]'
    assert told == [*reasoning(0, "a", "b", signature=signature), *text(1, "Yes"), STOP]


def test_what_was_signed_and_not_shown_is_a_reasoning_without_a_text() -> None:
    sealed = {"type": "reasoning.encrypted", "data": "xyz", "id": "rs_1", "index": 0}
    told = read(chunk({"content": "Yes"}), chunk({"reasoning_details": [sealed]}), chunk({}, "stop"))
    signature = '[{"type":"reasoning.encrypted","data":"xyz","id":"rs_1","index":0}]'
    assert told == [*text(0, "Yes"), *reasoning(1, signature=signature), STOP]


@pytest.mark.parametrize("pieces", [["<think>Hm</think>\n\nYes"], list("\n<think>Hm</think>\n\nYes")])
def test_tags_at_the_head_of_a_text_hold_reasoning(pieces: list[str]) -> None:
    told = read(*(chunk({"content": piece}) for piece in pieces), chunk({}, "stop"), server="ollama")
    joined = [event for event in told if isinstance(event, ReasoningCompleted | TextCompleted | MessageCompleted)]
    assert joined == [ReasoningCompleted(0, "Hm"), TextCompleted(1, "Yes"), STOP]


@pytest.mark.parametrize("server", SERVERS)
def test_whether_tags_are_read_is_the_servers_or_the_targets_to_say(server: str) -> None:
    frames = (chunk({"content": "<think>Hm</think>Yes"}), chunk({}, "stop"))
    shown = read(*frames, server=server)
    expected = [*reasoning(0, "Hm"), *text(1, "Yes"), STOP]
    assert (shown == expected) is (server in {"ollama", "vllm", "lm_studio"})
    assert read(*frames, server=server, think_tags=True) == expected
    assert read(*frames, server=server, think_tags=False) == [*text(0, "<think>Hm</think>Yes"), STOP]


@pytest.mark.parametrize(
    ("pieces", "told"),
    [
        (["<thi"], text(0, "<thi")),
        (["<this>", " is"], text(0, "<this>", " is")),
        (["<think>Hm</thi"], reasoning(0, "Hm", "</thi")),
        (["<think>Hm"], reasoning(0, "Hm")),
        (["Yes, <think>"], text(0, "Yes, <think>")),
        (["<think></think>", "Yes", " sir"], text(0, "Yes", " sir")),
    ],
)
def test_what_is_no_whole_tag_is_told_as_it_is(pieces: list[str], told: list[Event]) -> None:
    frames = (chunk({"content": piece}) for piece in pieces)
    assert read(*frames, chunk({}, "stop"), think_tags=True) == [*told, STOP]


# --- tool calls


def test_the_arguments_of_a_call_come_in_fragments() -> None:
    told = read(
        calls(fragment("", "pay", index=0, id="a", type="function")),
        calls(fragment('{"sum":', index=0)),
        calls(fragment("1}", index=0)),
        chunk({}, "tool_calls"),
        DONE,
    )
    assert told == [
        *call(0, "pay", '{"sum":', "1}", id_="a", sum=1),
        MessageCompleted("tool_calls", "tool_calls", ["a"]),
    ]


def test_arguments_may_come_as_an_object() -> None:
    told = read(calls(fragment({"n": 1}, "pay", index=0, id="a")), chunk({}, "tool_calls"))  # type: ignore[arg-type]
    assert told[:-1] == call(0, "pay", '{"n":1}', id_="a", n=1)


def test_a_call_that_is_whole_is_completed_when_another_begins() -> None:
    told = read(
        calls(fragment("{}", "pay", index=0, id="a")),
        calls(fragment("{}", "ship", index=1, id="b")),
        calls(fragment(" ", index=0), fragment("x", index=0)),
        chunk({}, "tool_calls"),
    )
    started, *rest = call(1, "ship", "{}", id_="b")
    assert told == [
        *call(0, "pay", "{}", id_="a"),
        started,
        rest[0],
        Notice("arguments_differ"),
        rest[1],
        MessageCompleted("tool_calls", "tool_calls", ["a", "b"]),
    ]


def test_another_id_under_a_known_index_is_another_call() -> None:
    told = read(
        calls(fragment("{}", "pay", index=0, id="a"), fragment("{}", "pay", index=0, id="b")),
        calls(fragment("", "pay", index=0, id="b")),
        chunk({}, "stop"),
    )
    assert told == [
        *call(0, "pay", "{}", id_="a"),
        *call(1, "pay", "{}", id_="b"),
        MessageCompleted("tool_calls", "stop", ["a", "b"]),
    ]


def test_calls_without_an_index_are_told_apart_by_id_and_then_by_order() -> None:
    told = read(
        calls(fragment('{"n":', "pay", id="a")),
        calls(fragment("1", id="a"), fragment("}")),
        calls(fragment('{"n":2}', "pay")),
        chunk({}, "tool_calls"),
    )
    assert told == [
        *call(0, "pay", '{"n":', "1", "}", id_="a", n=1),
        *call(1, "pay", '{"n":2}', id_="call_0", n=2),
        MessageCompleted("tool_calls", "tool_calls", ["a", "call_0"]),
    ]


def test_what_comes_before_the_name_of_a_call_waits_for_it() -> None:
    told = read(
        calls(fragment('{"n"', index=0, id="a")),
        calls(fragment(":1}", "pay", index=0)),
        chunk({}, "tool_calls"),
    )
    assert told == [
        *call(0, "pay", '{"n"', ":1}", id_="a", n=1),
        MessageCompleted("tool_calls", "tool_calls", ["a"]),
    ]


def test_a_call_of_the_old_kind_is_one_like_any_other() -> None:
    told = read(
        chunk({"function_call": {"name": "pay", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"n":1}'}}),
        chunk({}, "function_call"),
    )
    assert told == [
        *call(0, "pay", '{"n":1}', id_="call_0", n=1),
        MessageCompleted("tool_calls", "function_call", ["call_0"]),
    ]


def test_a_fragment_of_no_call_is_passed_over() -> None:
    told = read(calls(fragment("{}"), {"index": 0}), chunk({"content": "Hi"}), chunk({}, "length"))
    assert told == [Notice("repaired_block"), *text(0, "Hi"), MessageCompleted("length", "length")]


def test_a_call_without_a_name_fails() -> None:
    error = fails(calls(fragment("{}", index=0, id="a")), chunk({}, "tool_calls"), DONE)
    assert logged(error) == ("upstream_protocol", "malformed", None, None)


@pytest.mark.parametrize("reason", ["stop", "tool_calls", "whatever"])
def test_a_call_that_cannot_be_read_fails(reason: str) -> None:
    error = fails(calls(fragment("{", "pay", index=0, id="a"), finish=reason), DONE)
    assert logged(error) == ("upstream_protocol", "malformed", None, None)


def test_a_call_that_the_filter_cut_is_filtered() -> None:
    error = fails(calls(fragment("{", "pay", index=0, id="a"), finish="content_filter"), DONE)
    assert logged(error) == ("content_filtered", "content_filtered", "content_filter", None)
    whole = read(calls(fragment("{}", "pay", index=0, id="a"), finish="content_filter"), DONE)
    assert whole == [*call(0, "pay", "{}", id_="a"), MessageCompleted("content_filter", "content_filter")]


# --- the vendor's own tools


def executed(**more: Any) -> str:
    return chunk({"executed_tools": [{"index": 0, "type": "search", "arguments": '{"q":1}', **more}]})


def test_a_tool_that_the_vendor_runs_is_its_own_call_with_a_result() -> None:
    found = {"results": [{"url": "https://e/a", "title": "A", "content": "about a"}]}
    told = read(executed(), executed(output="found a", search_results=found), executed(output="x"), chunk({}, "stop"))
    assert told == [
        ToolCallStarted(0, "call_0", "search", "vendor"),
        ToolCallDelta(0, "call_0", '{"q":1}'),
        ToolCallCompleted(0, "call_0", "search", {"q": 1}, "complete"),
        ToolResult("call_0", "found a", is_error=False, name="search"),
        Source("source_1", "A", "https://e/a", quote="about a"),
        STOP,
    ]


def test_results_without_an_output_are_the_output() -> None:
    found = {"results": [{"url": "https://e/a", "title": "A"}]}
    told = read(chunk({"content": "Let me see."}), executed(arguments="", search_results=found), chunk({}, "stop"))
    assert told[3:7] == [
        ToolCallStarted(1, "call_0", "search", "vendor"),
        ToolCallCompleted(1, "call_0", "search", {}, "complete"),
        ToolResult("call_0", [{"url": "https://e/a", "title": "A"}], is_error=False, name="search"),
        Source("source_1", "A", "https://e/a"),
    ]


def test_a_tool_whose_result_never_came_is_a_call_all_the_same() -> None:
    told = read(executed(search_results={}), chunk({"content": "Hm"}), chunk({}, "stop"))
    assert [event for event in told if isinstance(event, ToolCallCompleted | ToolResult)] == [
        ToolCallCompleted(0, "call_0", "search", {"q": 1}, "complete")
    ]


# --- sources


def test_each_source_is_told_once_by_its_best_name() -> None:
    results = [{"url": "https://e/a", "title": "A", "snippet": "about a"}, {"title": "no url"}]
    urls = ["https://e/a", "https://e/b", {"url": "https://e/c", "title": "C"}, ""]
    frame = chunk({"content": "x"}, search_results=results, citations=urls)
    assert read(frame, frame, chunk({}, "stop")) == [
        TextStarted(0),
        TextDelta(0, "x"),
        Source("source_0", "A", "https://e/a", quote="about a"),
        Source("source_1", url="https://e/b"),
        Source("source_2", "C", "https://e/c"),
        TextDelta(0, "x"),
        TextCompleted(0, "xx"),
        STOP,
    ]


def test_an_annotation_without_a_passage_is_told_at_once_and_one_with_a_passage_at_the_end() -> None:
    cited = {"type": "url_citation", "url_citation": {"url": "https://e/a", "title": "A"}}
    placed = {"type": "url_citation", "url_citation": {"url": "https://e/a", "start_index": 1, "end_index": 9}}
    beyond = {"type": "url_citation", "url_citation": {"url": "https://e/b", "start_index": 5, "end_index": 9}}
    nothing = {"type": "file", "file": {}}
    told = read(chunk({"content": "abc", "annotations": [cited, cited, placed, placed, beyond, nothing]}, "stop"))
    assert told == [
        TextStarted(0),
        TextDelta(0, "abc"),
        Source("source_0", "A", "https://e/a"),
        TextCompleted(0, "abc"),
        Source("source_1", url="https://e/a", block=0, start=1, end=3),
        Source("source_2", url="https://e/b"),
        STOP,
    ]


# --- usage


@pytest.mark.parametrize(
    ("usage", "reported"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 4}, UsageReported(input_tokens=3, output_tokens=4)),
        (
            {
                "prompt_tokens": 3,
                "completion_tokens": 4,
                "total_tokens": 7,
                "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
                "completion_tokens_details": {"reasoning_tokens": 2},
                "cost": 0.5,
            },
            UsageReported(3, 4, 2, 1, 2, 0.5),
        ),
        (
            {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 304, "reasoning_tokens": 263},
            UsageReported(input_tokens=32, output_tokens=272, reasoning_tokens=263),
        ),
        ({"prompt_cache_hit_tokens": 5, "cost": {"total": 1}}, UsageReported(cached_tokens=5)),
    ],
)
def test_usage_is_told_in_one_way(usage: Json, reported: UsageReported) -> None:
    hi, end = chunk({"content": "Hi"}), chunk({}, "stop")
    expected = [*text(0, "Hi"), reported, STOP]
    assert read(hi, end, chunk(usage=usage), DONE) == expected
    assert read(hi, end, chunk(x_groq={"id": "req_1", "usage": usage}), DONE) == expected
    choice = {"index": 0, "delta": {}, "finish_reason": "stop", "usage": usage}
    assert read(hi, chunk(choices=[choice]), DONE) == expected
    assert read(hi, end, json.dumps({"usage": usage}), DONE) == expected


def test_of_several_counts_the_last_is_told() -> None:
    frames = [chunk({"content": "a"}, usage={"completion_tokens": count}) for count in (1, 2)]
    assert read(*frames, chunk({}, "stop")) == [*text(0, "a", "a"), UsageReported(output_tokens=2), STOP]


# --- endings


@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "stop"),
        ("sparkle", "other"),
    ],
)
def test_each_finish_reason_has_its_meaning(reason: str, finish_reason: Any) -> None:
    told = read(chunk({"content": "Hi"}, reason), DONE)
    assert told == [*text(0, "Hi"), MessageCompleted(finish_reason, reason)]


def test_the_end_is_held_until_the_trailers_came() -> None:
    translator = make()
    assert list(translator.feed(Record(chunk({"content": "Hi"}, "stop").encode()))) == text(0, "Hi")[:-1]
    assert translator.ending
    assert list(translator.feed(Record(chunk(usage={"prompt_tokens": 1}).encode()))) == []
    told = list(translator.feed(Record(b" [DONE]")))
    assert told == [TextCompleted(0, "Hi"), UsageReported(input_tokens=1), STOP]
    assert list(translator.finish()) == []
    assert list(translator.feed(Record(b"{}"))) == [Notice("after_terminal")]


def test_done_without_a_finish_reason_is_an_end() -> None:
    assert read(chunk({"content": "Hi"}), "", DONE) == [*text(0, "Hi"), MessageCompleted("stop")]


def test_an_end_without_either_is_a_truncation() -> None:
    assert logged(fails(chunk({"content": "Hi"}))) == ("upstream_protocol", "truncated", None, None)
    assert logged(fails()) == ("upstream_protocol", "truncated", None, None)


def test_a_document_is_read_as_a_stream_of_one_chunk() -> None:
    translator = make(upstream_stream=False)
    (request,) = [next(translator.requests(ask(TextPart("Hi"), stream=False)))]
    assert request.headers["Accept"] == "application/json"
    message = {"role": "assistant", "content": "Hi"}
    told = heard(translator, framed(chunk(choices=[{"index": 0, "message": message, "finish_reason": None}])))
    assert told == [*text(0, "Hi"), MessageCompleted("stop")]


# --- failures inside a 200


@pytest.mark.parametrize(
    ("frame", "code", "cause", "vendor_code"),
    [
        ('{"error":{"message":"m"}}', "upstream_unavailable", "vendor_error", None),
        ('{"error":"m"}', "upstream_unavailable", "vendor_error", None),
        ('{"error":{"message":"m","code":"insufficient_quota"}}', "quota_exhausted", None, "insufficient_quota"),
        ('{"error":{"message":"m","code":429}}', "upstream_rate_limited", None, None),
        ('{"error":{"message":"m","code":"429"}}', "upstream_rate_limited", None, None),
        ('{"error":{"message":"m","code":502}}', "upstream_unavailable", "vendor_error", None),
        ('{"error":{"message":"m","code":409}}', "upstream_rejected", None, None),
        ('{"error":{"message":"m","type":"authentication_error"}}', "upstream_auth", None, "authentication_error"),
        ('{"error":{"message":"m","type":"overloaded"}}', "upstream_unavailable", "vendor_error", "overloaded"),
        ('{"object":"error","message":"m","code":400}', "upstream_rejected", None, None),
        ('{"object":"error","message":"m","choices":7}', "upstream_unavailable", "vendor_error", None),
        ('{"error":"m","code":"no_luck"}', "upstream_unavailable", "vendor_error", "no_luck"),
        ('{"choices":[],"x_groq":{"error":"m"}}', "upstream_unavailable", "vendor_error", None),
        ('{"choices":[{"error":{"code":504,"message":"m"}}]}', "upstream_timeout", None, None),
    ],
)
def test_an_error_fails_in_any_place_and_shape(frame: str, code: str, cause: str | None, vendor_code: str) -> None:
    error = fails(chunk({"content": "Hi"}), frame, DONE)
    expected = GatewayError(code, "") if cause is None else GatewayError(code, "", cause=cause)  # type: ignore[arg-type]
    assert logged(error) == (code, expected.cause, vendor_code, "m")


@pytest.mark.parametrize("reason", ["error", "insufficient_system_resource"])
def test_a_finish_reason_that_means_failure_fails(reason: str) -> None:
    error = fails(chunk({"content": "Hi"}, reason), DONE)
    assert logged(error) == ("upstream_unavailable", "vendor_error", reason, None)


@pytest.mark.parametrize("data", [b'{"error":{"message":"m"}}', b'{"message":"m"}', b'{"choices":7,"message":"m"}'])
def test_an_event_named_error_fails_whatever_it_holds(data: bytes) -> None:
    translator = make()
    list(translator.feed(Record(chunk({"content": "Hi"}).encode())))
    with pytest.raises(GatewayError) as caught:
        list(translator.feed(Record(data, b"error")))
    assert logged(caught.value) == ("upstream_unavailable", "vendor_error", None, "m")


def test_an_error_behind_a_finish_reason_is_not_forgotten() -> None:
    translator = make()
    list(translator.feed(Record(chunk({"content": "Hi"}, "length").encode())))
    with pytest.raises(GatewayError):
        list(translator.feed(Record(b'{"error":"m"}')))
    with pytest.raises(GatewayError):
        list(translator.finish())


@pytest.mark.parametrize("frame", ["", "null", "[]", "{", '{"choices":7}', '{"choices":[{"delta":{"content":7}}]}'])
def test_what_is_no_chunk_is_malformed(frame: str) -> None:
    translator = make()
    if not frame:
        assert list(translator.feed(Record(b""))) == []
        return
    with pytest.raises(Malformed):
        list(translator.feed(Record(frame.encode())))


@pytest.mark.parametrize(
    ("frame", "name", "told"),
    [
        ('{"object":"sparkle"}', b"", "sparkle"),
        ('{"object":"sparkle"}', b"ping", "ping"),
        ("{}", b"", "unknown"),
    ],
)
def test_what_has_no_choices_is_the_vendors_own(frame: str, name: bytes, told: str) -> None:
    assert list(make().feed(Record(frame.encode(), name))) == [VendorEvent(told, json.loads(frame))]


# --- credentials


def test_each_server_has_its_key_where_it_looks_for_it() -> None:
    assert sign_in(make(), api_key="k").headers == {"Authorization": "Bearer k"}
    assert sign_in(make(server="azure"), api_key="k").headers == {"api-key": "k"}
    assert sign_in(make(server="ollama"), api_key="k").headers == {"Authorization": "Bearer k"}


@pytest.mark.parametrize("server", SERVERS)
def test_only_servers_without_accounts_do_without_a_key(server: Any) -> None:
    if server in {"ollama", "vllm", "lm_studio", "compatible"}:
        assert sign_in(make(server=server)).headers == {}
        return
    with pytest.raises(GatewayError) as caught:
        sign_in(make(server=server))
    assert caught.value.code == "upstream_auth"


def test_there_is_nothing_to_resume_or_to_cancel() -> None:
    assert (make().resume(), make().cancel()) == (None, None)


def test_what_many_texts_cite_is_placed_in_linear_time() -> None:
    sources = Sources(Numbering())
    sources.add_texts(TextCompleted(block, "abc") for block in range(4000))
    began = process_time()
    for end in range(40_000):
        assert list(sources.annotate([Annotation("https://a.test", start_index=11_998, end_index=12_000 + end)])) == []
    placed = list(sources.end())
    assert {(source.block, source.start, source.end) for source in placed} == {(3999, 1, 3)}
    assert (len(placed), process_time() - began < 4) == (40_000, True)

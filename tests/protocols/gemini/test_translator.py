"""What Gemini's chunks mean, one by one; the recorded streams are in `tests/protocols/test_rooms.py`."""

from typing import Any

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    File,
    MessageCanceled,
    MessageCompleted,
    Notice,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
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
from gateway.framing.record import Record
from gateway.framing.typed import Malformed
from gateway.protocols.gemini.translator import FAILURES, GeminiTarget, GeminiTranslator
from gateway.protocols.gemini.wire import FINISH_REASONS
from tests.support.translating import Told, failure, framed, heard, lawful, logged


def make() -> GeminiTranslator:
    return GeminiTranslator(GeminiTarget("m"), Blocks(Numbering()))


def chunk(parts: str = "", more: str = "") -> str:
    return f'{{"candidates":[{{"content":{{"role":"model","parts":[{parts}]}}{more}}}]}}'


STOP = chunk(more=',"finishReason":"STOP"')
DONE = MessageCompleted("stop", "STOP")


def told(*frames: str) -> Told:
    events = heard(make(), framed(*frames))
    lawful(events)
    return events


def answered(*parts: str) -> list[Event | Notice]:
    """What parts in chunks of their own mean, less the ending."""
    events = told(*(chunk(part) for part in parts), STOP)
    assert isinstance(events.pop(), MessageCompleted)
    return events


def text(block: int, words: str, signature: str | None = None) -> list[Event]:
    return [TextStarted(block), TextDelta(block, words), TextCompleted(block, words, signature)]


def reasoning(block: int, words: str, signature: str | None = None) -> list[Event]:
    return [ReasoningStarted(block), ReasoningDelta(block, words), ReasoningCompleted(block, words, signature)]


# --- endings


@pytest.mark.parametrize("reason", [*FINISH_REASONS, "OTHER", "NO_IMAGE", "SPARKLE"])
def test_each_finish_reason(reason: str) -> None:
    events = told(chunk('{"text":"a"}', f',"finishReason":"{reason}"'))
    assert events == [*text(0, "a"), MessageCompleted(FINISH_REASONS.get(reason, "other"), reason)]


@pytest.mark.parametrize("reason", sorted(FAILURES))
def test_an_answer_that_is_none_is_a_failure(reason: str) -> None:
    error = failure(make(), chunk(more=f',"finishReason":"{reason}","finishMessage":"sk"'))
    assert logged(error) == ("upstream_protocol", "vendor_error", reason, "sk")


def test_a_stream_without_a_finish_reason_is_truncated() -> None:
    error = failure(make(), chunk('{"text":"a"}'))
    assert (error.code, error.cause) == ("upstream_protocol", "truncated")


USAGE = '{"usageMetadata":{"promptTokenCount":1}}'


@pytest.mark.parametrize("trailer", [USAGE, chunk(), chunk('{"text":"","thoughtSignature":"c2ln"}')])
def test_the_ending_waits_for_what_follows_the_finish_reason(trailer: str) -> None:
    translator = make()
    list(translator.feed(Record(chunk('{"text":"a"}', ',"finishReason":"STOP"').encode())))
    assert translator.ending
    list(translator.feed(Record(trailer.encode())))
    assert translator.ending
    assert list(translator.finish())[-1] == DONE
    assert list(translator.finish()) == []
    assert list(translator.feed(Record(STOP.encode()))) == [Notice("after_terminal")]


def test_a_finish_reason_behind_which_the_answer_goes_on_was_none() -> None:
    translator = make()
    list(translator.feed(Record(chunk('{"text":"a"}', ',"finishReason":"STOP"').encode())))
    assert list(translator.feed(Record(chunk('{"text":"b"}').encode()))) == [TextDelta(0, "b")]
    assert not translator.ending
    with pytest.raises(GatewayError) as caught:
        list(translator.finish())
    assert caught.value.cause == "truncated"


def test_a_server_that_gives_a_finish_reason_with_every_chunk_may_take_its_time() -> None:
    translator = make()
    endings = []
    for part in ('{"text":"a"}', '{"text":"b"}', '{"functionCall":{"name":"f"}}', '{"text":"c"}'):
        list(translator.feed(Record(chunk(part, ',"finishReason":"STOP"').encode())))
        endings.append(translator.ending)
    assert endings == [True, False, False, False]
    assert list(translator.finish())[-1] == MessageCompleted("tool_calls", "STOP", ["call_0"])


def test_an_empty_finish_reason_is_none() -> None:
    translator = make()
    list(translator.feed(Record(chunk('{"text":"a"}', ',"finishReason":""').encode())))
    assert not translator.ending
    events = told(chunk('{"text":"a"}', ',"finishReason":""'), chunk('{"text":"b"}', ',"finishReason":"STOP"'))
    assert events == [TextStarted(0), TextDelta(0, "a"), TextDelta(0, "b"), TextCompleted(0, "ab"), DONE]


def test_a_prompt_that_is_blocked_is_filtered() -> None:
    translator = make()
    assert list(translator.feed(Record(b'{"promptFeedback":{"blockReason":"JAILBREAK"}}'))) == []
    assert translator.ending
    assert list(translator.finish()) == [MessageCompleted("content_filter", "JAILBREAK")]


def test_feedback_that_blocks_nothing_is_no_ending() -> None:
    assert told('{"promptFeedback":{}}', chunk('{"text":"a"}'), STOP) == [*text(0, "a"), DONE]


def test_a_vendor_that_cancels_unasked() -> None:
    cancelled = '{"error":{"code":499,"status":"CANCELLED"}}'
    assert told(chunk('{"text":"a"}'), cancelled, STOP) == [
        TextStarted(0),
        TextDelta(0, "a"),
        MessageCanceled("vendor"),
        Notice("after_terminal"),
    ]


# --- chunks


@pytest.mark.parametrize(
    "frame",
    [
        "{}",
        '{"candidates":null}',
        '{"candidates":[]}',
        '{"candidates":[{}]}',
        '{"candidates":[{"content":null}]}',
        '{"candidates":[{"content":{}}]}',
        '{"candidates":[{"content":{"parts":null}}]}',
        '{"candidates":[{"content":{"parts":[]}}]}',
        '{"candidates":[{"content":{"parts":[{}]}}]}',
        '{"candidates":[{"content":{"parts":[{"text":""}]}}]}',
        '{"usageMetadata":{"trafficType":"ON_DEMAND"}}',
        '{"error":null}',
    ],
)
def test_a_chunk_may_say_nothing(frame: str) -> None:
    assert told(frame, chunk('{"text":"a"}'), frame, STOP) == [*text(0, "a"), DONE]


def test_only_the_first_candidate_is_read() -> None:
    two = '{"candidates":[{"content":{"parts":[{"text":"a"}]}},{"content":{"parts":[{"text":"b"}]}}]}'
    assert told(two, STOP) == [*text(0, "a"), DONE]


def test_what_is_known_of_the_answer_is_kept() -> None:
    translator = make()
    list(translator.feed(Record(b'{"responseId":"r1","modelVersion":"gemini-3-pro"}')))
    list(translator.feed(Record(b"{}")))
    assert (translator.vendor_ids, translator.model) == ({"message": "r1"}, "gemini-3-pro")


def test_usage_is_told_first_and_last() -> None:
    def counted(counts: str) -> str:
        return chunk('{"text":"a"}')[:-1] + f',"usageMetadata":{{{counts}}}}}'

    events = told(
        counted('"promptTokenCount":5'),
        counted('"promptTokenCount":5,"candidatesTokenCount":1'),
        counted('"promptTokenCount":5,"candidatesTokenCount":2,"thoughtsTokenCount":3,"cachedContentTokenCount":4'),
        STOP,
    )
    assert [event for event in events if isinstance(event, UsageReported)] == [
        UsageReported(5),
        UsageReported(5, 5, 3, 4),
    ]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "[DONE]",
        "[]",
        "7",
        '{"candidates":7}',
        chunk('{"text":7}'),
        chunk('{"functionCall":{"name":"a","args":[]}}'),
        chunk('{"functionCall":{"name":"a","willContinue":true,"partialArgs":[{"jsonPath":"a","boolValue":true}]}}'),
    ],
)
def test_what_cannot_be_read_is_malformed(frame: str) -> None:
    with pytest.raises(Malformed):
        list(make().feed(Record(frame.encode())))


# --- text, thoughts and their signatures


def test_parts_of_one_kind_are_one_block() -> None:
    events = answered('{"text":"a","thought":true}', '{"text":"b","thought":true}', '{"text":"c"},{"text":"d"}')
    assert events == [
        ReasoningStarted(0),
        ReasoningDelta(0, "a"),
        ReasoningDelta(0, "b"),
        ReasoningCompleted(0, "ab"),
        TextStarted(1),
        TextDelta(1, "c"),
        TextDelta(1, "d"),
        TextCompleted(1, "cd"),
    ]


def test_thoughts_come_again_behind_text() -> None:
    assert answered('{"text":"a"}', '{"text":"b","thought":true}', '{"text":"c"}') == [
        *text(0, "a"),
        *reasoning(1, "b"),
        *text(2, "c"),
    ]


@pytest.mark.parametrize(
    ("parts", "events"),
    [
        (['{"text":"a","thoughtSignature":"s"}', '{"text":"b"}'], [*text(0, "a", "s"), *text(1, "b")]),
        (['{"text":"a"}', '{"text":"","thoughtSignature":"s"}'], text(0, "a", "s")),
        (['{"text":"a"}', '{"thoughtSignature":"s"}'], text(0, "a", "s")),
        (['{"text":"a","thought":true}', '{"text":"","thoughtSignature":"s"}'], reasoning(0, "a", "s")),
        (['{"text":"a","thought":true,"thoughtSignature":"s"}'], reasoning(0, "a", "s")),
        (
            ['{"thoughtSignature":"s"}', '{"text":"a"}'],
            [ReasoningStarted(0), ReasoningCompleted(0, "", "s"), *text(1, "a")],
        ),
    ],
)
def test_a_signature_is_that_of_the_block_that_it_ends(parts: list[str], events: list[Event]) -> None:
    assert answered(*parts) == events


# --- calls


def call(block: int, call_id: str, name: str, spelled: str, **fields: Any) -> list[Event]:
    deltas: list[Event] = [ToolCallDelta(block, call_id, spelled)] if spelled else []
    executor = fields.pop("executor", "client")
    completed = ToolCallCompleted(block, call_id, name, fields.pop("arguments", {}), "complete", None, **fields)
    return [ToolCallStarted(block, call_id, name, executor), *deltas, completed]


def test_calls_are_whole_and_the_clients() -> None:
    frame = chunk(
        '{"functionCall":{"id":"f1","name":"a","args":{"x":1}},"thoughtSignature":"s"},'
        '{"functionCall":{"name":"b"}},{"functionCall":{"id":"f1","name":"c","args":null}}'
    )
    assert told(chunk('{"text":"t"}'), frame, STOP) == [
        *text(0, "t"),
        *call(1, "f1", "a", '{"x":1}', arguments={"x": 1}, signature="s"),
        *call(2, "call_0", "b", ""),
        *call(3, "call_1", "c", ""),
        MessageCompleted("tool_calls", "STOP", ["f1", "call_0", "call_1"]),
    ]


def test_a_call_in_pieces_keeps_the_signature_that_came_with_any_of_them() -> None:
    events = answered(
        '{"functionCall":{"name":"a","willContinue":true}}',
        '{"functionCall":{"partialArgs":[{"jsonPath":"$.x","numberValue":1}]},"thoughtSignature":"s"}',
    )
    assert events == [
        ToolCallStarted(0, "call_0", "a", "client"),
        ToolCallDelta(0, "call_0", '{"x":1'),
        ToolCallDelta(0, "call_0", "}"),
        ToolCallCompleted(0, "call_0", "a", {"x": 1}, "complete", None, "s"),
    ]


def test_a_call_may_begin_with_its_first_piece() -> None:
    begun = '{"functionCall":{"name":"a","willContinue":true,"partialArgs":[{"jsonPath":"$.x","boolValue":true}]}}'
    assert answered(begun, '{"functionCall":{}}')[1:3] == [
        ToolCallDelta(0, "call_0", '{"x":true'),
        ToolCallDelta(0, "call_0", "}"),
    ]


@pytest.mark.parametrize(
    "after",
    [
        '{"functionCall":{"name":"b"}}',
        '{"executableCode":{"code":"1"}}',
        '{"toolCall":{"toolType":"URL_CONTEXT"}}',
    ],
)
def test_a_call_whose_end_is_missing_ends_with_the_next(after: str) -> None:
    events = answered('{"functionCall":{"name":"a","willContinue":true}}', after)
    assert events[:2] == call(0, "call_0", "a", "")


def test_a_call_that_the_limit_cuts_stays_open() -> None:
    begun = '{"functionCall":{"name":"a","willContinue":true,"partialArgs":[{"jsonPath":"$.x","boolValue":true}]}}'
    events = heard(make(), framed(chunk(begun), chunk(more=',"finishReason":"MAX_TOKENS"')))
    assert events == [
        ToolCallStarted(0, "call_0", "a", "client"),
        ToolCallDelta(0, "call_0", '{"x":true'),
        MessageCompleted("length", "MAX_TOKENS"),
    ]
    assert ToolCallCompleted(0, "call_0", "a", {}, "cut", '{"x":true') in lawful(events)


def test_a_piece_of_no_call_is_an_oddity() -> None:
    assert answered('{"text":"a"}', '{"functionCall":{}}') == [
        TextStarted(0),
        TextDelta(0, "a"),
        Notice("repaired_block"),
        TextCompleted(0, "a"),
    ]


# --- what the vendor runs


def test_code_and_its_result() -> None:
    output = {"outcome": "OUTCOME_FAILED", "output": "boom"}
    assert answered(
        '{"text":"a"}',
        '{"executableCode":{"code":"1/0","language":"PYTHON"},"thoughtSignature":"s"}',
        '{"codeExecutionResult":{"outcome":"OUTCOME_FAILED","output":"boom"}}',
        '{"codeExecutionResult":{"outcome":"OUTCOME_OK"}}',
    ) == [
        *text(0, "a"),
        *call(
            1,
            "call_0",
            "code_execution",
            '{"language":"PYTHON","code":"1/0"}',
            arguments={"language": "PYTHON", "code": "1/0"},
            executor="vendor",
            signature="s",
        ),
        ToolResult("call_0", output, True, "code_execution"),
        Notice("repaired_block"),
    ]


def test_results_find_their_calls_by_id_or_by_name() -> None:
    events = answered(
        '{"toolCall":{"toolType":"GOOGLE_SEARCH_WEB","id":"s1","args":{"q":"a"}}}',
        '{"toolCall":{"toolType":"URL_CONTEXT"}}',
        '{"toolResponse":{"toolType":"URL_CONTEXT","response":{"n":1}}}',
        '{"toolResponse":{"id":"s1"}}',
    )
    assert [event for event in events if isinstance(event, ToolResult)] == [
        ToolResult("call_0", {"n": 1}, False, "URL_CONTEXT"),
        ToolResult("s1", {}, False, "GOOGLE_SEARCH_WEB"),
    ]
    assert {event.executor for event in events if isinstance(event, ToolCallStarted)} == {"vendor"}


def test_files() -> None:
    assert answered(
        '{"text":"a"}',
        '{"inlineData":{"mimeType":"image/png","data":"AAAA","displayName":"a.png"}}',
        '{"inlineData":{"data":"AAAA"}}',
        '{"fileData":{"fileUri":"https://example.com/a","mimeType":"video/mp4"}}',
    ) == [
        *text(0, "a"),
        File(None, "a.png", "image/png", "data:image/png;base64,AAAA"),
        File(None, None, "application/octet-stream", "data:application/octet-stream;base64,AAAA"),
        File(None, None, "video/mp4", "https://example.com/a"),
    ]


@pytest.mark.parametrize(
    ("part", "payload"),
    [
        ('{"sparkle":{"n":1}}', {"sparkle": {"n": 1}}),
        ('{"thought":true,"inlineData":{"data":"AAAA"}}', {"thought": True, "inlineData": {"data": "AAAA"}}),
    ],
)
def test_a_part_that_has_no_meaning_is_passed_on_as_it_is(part: str, payload: dict[str, Any]) -> None:
    assert answered('{"text":"a"},' + part) == [
        TextStarted(0),
        TextDelta(0, "a"),
        VendorEvent("part", payload),
        TextCompleted(0, "a"),
    ]

"""Anthropic, upstream: its oddities one by one, and its refusals. The streams in `examples/` are `test_rooms.py`'s."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.events import (
    Event,
    MessageCompleted,
    Notice,
    ReasoningCompleted,
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
)
from gateway.canonical.message import TextPart
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import Malformed
from gateway.protocols.anthropic import ANTHROPIC
from gateway.protocols.anthropic.asking import AnthropicTarget
from gateway.protocols.anthropic.simulator import AnthropicSimulator
from gateway.protocols.anthropic.translator import AnthropicTranslator
from gateway.protocols.base import Authorization
from tests.support.translating import (
    Told,
    ask,
    blame,
    failure,
    framed,
    heard,
    logged,
    records,
    refuse,
    sign_in,
)

EXAMPLES = Path(__file__).parent / "examples"

START = '{"type":"message_start","message":{"id":"msg_1","model":"claude-x"}}'
STOP = '{"type":"message_stop"}'


def make(**settings: Any) -> AnthropicTranslator:
    return AnthropicTranslator(AnthropicTarget("m", **settings), Blocks(Numbering()))


def begin(index: int, block: str) -> str:
    return f'{{"type":"content_block_start","index":{index},"content_block":{block}}}'


def grow(index: int, delta: str) -> str:
    return f'{{"type":"content_block_delta","index":{index},"delta":{delta}}}'


def end(index: int) -> str:
    return f'{{"type":"content_block_stop","index":{index}}}'


def settle(reason: str) -> str:
    return f'{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}}}}'


def read(*frames: str) -> Told:
    return heard(make(), framed(*frames))


TEXT = begin(0, '{"type":"text","text":""}')
CALL = begin(0, '{"type":"tool_use","id":"toolu_1","name":"look","input":{}}')


# --- the message


def test_an_event_without_data_is_a_heartbeat() -> None:
    assert read(START, "", STOP) == read(START, STOP)


def test_its_ids_and_its_model_are_kept() -> None:
    translator = make()
    heard(translator, framed(START, STOP))
    assert (translator.vendor_ids, translator.model, translator.ending) == ({"message": "msg_1"}, "claude-x", False)


def test_the_model_that_goes_on_is_the_one_that_is_told() -> None:
    translator = make()
    heard(translator, records(SseDecoder(), (EXAMPLES / "new-things.sse").read_bytes()))
    assert translator.model == "claude-y"
    heard(translator := make(), framed(START, begin(0, '{"type":"fallback","to":{}}'), STOP))
    assert translator.model == "claude-x"


def test_a_recording_whose_last_event_no_empty_line_closes_is_truncated() -> None:
    """The terminal of the cut call's recording as it was recorded: a conforming reader drops it."""
    body = (EXAMPLES / "tool-cut-by-max-tokens.sse").read_bytes()
    error = failure_of(records(SseDecoder(), body.removesuffix(b"\n\n")))
    assert error == ("upstream_protocol", "truncated")


def failure_of(fed: list[Record]) -> tuple[str, str]:
    translator = make()
    for record in fed:
        list(translator.feed(record))
    with pytest.raises(Exception, match="before `message_stop`") as caught:
        translator.finish()
    return caught.value.code, caught.value.cause  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "stop"),
        ("refusal", "content_filter"),
        ("pause_turn", "other"),
        ("compaction", "other"),
        ("tide", "other"),
    ],
)
def test_each_reason_to_stop_has_its_canonical_one(raw: str, reason: str) -> None:
    assert read(START, settle(raw), STOP) == [MessageCompleted(reason, raw)]  # type: ignore[arg-type]


def test_what_was_filtered_in_the_midst_of_a_call_is_an_error() -> None:
    begun = grow(0, '{"type":"input_json_delta","partial_json":"{\\"a\\":"}')
    error = failure(make(), START, CALL, begun, settle("refusal"), STOP)
    assert logged(error) == ("content_filtered", "content_filtered", "refusal", None)
    assert read(START, CALL, settle("refusal"), STOP)[-1] == MessageCompleted("content_filter", "refusal")


def test_without_a_reason_to_stop_the_message_ends_somehow() -> None:
    assert read(START, STOP) == [MessageCompleted("other")]


def test_an_open_call_is_owed_also_where_a_server_calls_it_the_end_of_a_turn() -> None:
    assert read(CALL, settle("end_turn"), STOP) == [
        ToolCallStarted(0, "toolu_1", "look", "client"),
        ToolCallCompleted(0, "toolu_1", "look", {}, "complete"),
        MessageCompleted("tool_calls", "end_turn", ["toolu_1"]),
    ]


def test_of_what_is_cut_by_length_the_prose_is_completed_and_the_call_left_open() -> None:
    told = read(
        begin(0, '{"type":"thinking","thinking":"Hm","signature":"s"}'),
        begin(1, '{"type":"tool_use","id":"toolu_1","name":"look","input":{}}'),
        settle("max_tokens"),
        STOP,
    )
    assert told[-2:] == [ReasoningCompleted(0, "Hm", "s"), MessageCompleted("length", "max_tokens")]
    assert not [event for event in told if isinstance(event, ToolCallCompleted)]


def test_what_follows_the_end_is_an_oddity_but_a_heartbeat() -> None:
    assert read(STOP, '{"type":"ping"}', TEXT)[1:] == [Notice("after_terminal")]


def test_a_second_start_before_any_block_takes_the_first_ones_place() -> None:
    translator = make()
    again = START.replace("msg_1", "msg_2")
    assert heard(translator, framed(START, again, STOP)) == [Notice("repaired_block"), MessageCompleted("other")]
    assert translator.vendor_ids == {"message": "msg_2"}


def test_a_second_start_behind_a_block_fails() -> None:
    error = failure(make(), START, TEXT, end(0), START)
    assert (error.code, error.cause) == ("upstream_protocol", "protocol")


# --- usage


def usage(**counts: Any) -> str:
    return msgspec.json.encode({"type": "message_delta", "delta": {}, "usage": counts}).decode()


def test_usage_is_cumulative_and_a_count_that_is_missing_stands() -> None:
    told = read(
        usage(input_tokens=3, cache_read_input_tokens=4, output_tokens=1),
        usage(output_tokens=9, cache_creation_input_tokens=None),
        usage(output_tokens=9),
        usage(input_tokens=5, output_tokens_details={"thinking_tokens": 2}),
        usage(cache_creation_input_tokens=10),
    )
    assert told[:-1] == [
        UsageReported(input_tokens=7, output_tokens=1, cached_tokens=4),
        UsageReported(input_tokens=7, output_tokens=9, cached_tokens=4),
        UsageReported(input_tokens=9, output_tokens=9, reasoning_tokens=2, cached_tokens=4),
        UsageReported(input_tokens=19, output_tokens=9, reasoning_tokens=2, cached_tokens=4, cache_write_tokens=10),
    ]


def test_usage_without_input_tokens_has_none() -> None:
    assert read(usage(output_tokens=1))[0] == UsageReported(output_tokens=1)


# --- blocks


def test_a_block_that_begins_twice_is_two() -> None:
    said = grow(0, '{"type":"text_delta","text":"a"}')
    assert read(TEXT, said, TEXT, said, end(0), settle("end_turn"), STOP) == [
        TextStarted(0),
        TextDelta(0, "a"),
        TextCompleted(0, "a"),
        Notice("repaired_block"),
        TextStarted(1),
        TextDelta(1, "a"),
        TextCompleted(1, "a"),
        MessageCompleted("stop", "end_turn"),
    ]


def test_two_calls_of_one_id_are_two() -> None:
    told = read(CALL, end(0), CALL.replace('"index":0', '"index":1'), end(1), settle("tool_use"), STOP)
    assert told[-1] == MessageCompleted("tool_calls", "tool_use", ["toolu_1", "call_0"])


@pytest.mark.parametrize(
    ("given", "deltas", "expected"),
    [
        ('{"a":1}', [], ('{"a":1}', {"a": 1}, "complete")),
        ('{"a":1}', [""], ('{"a":1}', {"a": 1}, "complete")),
        ('{"a":1}', ['{"a":', "2}"], ('{"a":2}', {"a": 2}, "complete")),
        ('"{\\"a\\":1}"', [], ('{"a":1}', {"a": 1}, "complete")),
        ("[1]", [], ("[1]", {}, "unreadable")),
        ("null", [], ("", {}, "complete")),
        ("{}", ['{"a"'], ('{"a"', {}, "unreadable")),
    ],
)
def test_arguments_stand_in_the_deltas_or_at_the_start(
    given: str, deltas: list[str], expected: tuple[str, dict[str, Any], str]
) -> None:
    fragments = [grow(0, msgspec.json.encode({"type": "input_json_delta", "partial_json": d}).decode()) for d in deltas]
    told = read(CALL.replace('"input":{}', f'"input":{given}'), *fragments, end(0))
    spelled = "".join(event.delta for event in told if isinstance(event, ToolCallDelta))
    completed = next(event for event in told if isinstance(event, ToolCallCompleted))
    assert (spelled, completed.arguments, completed.status) == expected


def test_a_call_that_the_client_cannot_run_fails_the_message() -> None:
    error = failure(make(), START, CALL.replace('"input":{}', '"input":[1]'), end(0), settle("tool_use"), STOP)
    assert logged(error) == ("upstream_protocol", "malformed", None, None)


def test_thoughts_grow_in_their_block() -> None:
    hm = grow(0, '{"type":"thinking_delta","thinking":"Hm"}')
    told = read(begin(0, '{"type":"thinking","thinking":""}'), hm, hm, end(0))
    assert told[3] == ReasoningCompleted(0, "HmHm")


def test_a_message_may_lack_an_id_and_a_model() -> None:
    translator = make()
    assert heard(translator, framed('{"type":"message_start","message":{}}', STOP)) == [MessageCompleted("other")]
    assert (translator.vendor_ids, translator.model) == ({}, None)


def test_a_signature_is_kept_where_a_later_one_is_empty() -> None:
    told = read(
        begin(0, '{"type":"thinking","thinking":"","signature":"a"}'),
        grow(0, '{"type":"signature_delta","signature":"b"}'),
        grow(0, '{"type":"signature_delta","signature":""}'),
        end(0),
    )
    assert told[:2] == [ReasoningStarted(0), ReasoningCompleted(0, "", "b")]


def test_a_delta_of_another_kind_than_its_block_opens_a_block_of_its_own() -> None:
    told = read(
        TEXT,
        grow(0, '{"type":"thinking_delta","thinking":"Hm"}'),
        grow(0, '{"type":"thinking_delta","thinking":"!"}'),
        grow(0, '{"type":"text_delta","text":"Hi"}'),
        grow(0, '{"type":"signature_delta","signature":"s"}'),
    )
    assert told.count(Notice("repaired_block")) == 3
    assert [event.delta for event in told if isinstance(event, TextDelta)] == ["Hi"]


def test_a_fragment_of_no_call_is_dropped() -> None:
    fragment = grow(0, '{"type":"input_json_delta","partial_json":"{}"}')
    assert read(TEXT, fragment)[1] == Notice("repaired_block")
    assert read(fragment)[0] == Notice("repaired_block")


def test_a_citation_outside_a_text_is_of_no_block() -> None:
    citation = '{"type":"search_result_location","source":"https://a.test","title":"A","cited_text":""}'
    told = read(grow(3, f'{{"type":"citations_delta","citation":{citation}}}'))
    assert told[0] == Source("source_0", "A", "https://a.test")
    citation = citation.replace("https://a.test", "shelf 4")
    assert read(grow(3, f'{{"type":"citations_delta","citation":{citation}}}'))[0] == Source("source_0", "A")


def test_a_result_of_no_call_is_told_as_it_is() -> None:
    block = '{"type":"advisor_tool_result","tool_use_id":"srvtoolu_9","content":"do"}'
    assert read(begin(0, block))[0] == ToolResult("srvtoolu_9", "do", is_error=False)


@pytest.mark.parametrize(
    "frame",
    [
        grow(0, '{"type":"text_delta"}'),
        grow(0, '{"type":"text_delta","text":7}'),
        grow(0, '{"type":"thinking_delta"}'),
        grow(0, '{"type":"input_json_delta"}'),
        grow(0, '{"type":"signature_delta"}'),
        grow(0, '{"type":"citations_delta"}'),
        begin(0, '{"type":"tool_use","id":"","name":"look"}'),
        begin(0, '{"type":"web_fetch_tool_result"}'),
        begin(0, "7"),
        "{",
        "7",
        '{"type":"message_start"}',
    ],
)
def test_a_known_event_that_does_not_fit_is_malformed(frame: str) -> None:
    with pytest.raises(Malformed):
        list(make().feed(Record(frame.encode())))


# --- failures in a stream


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (
            '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
            ("upstream_unavailable", "vendor_error", "overloaded_error", "Overloaded"),
        ),
        (
            '{"type":"error","error":{"type":"rate_limit_error","message":"Slow"}}',
            ("upstream_rate_limited", "rate_limited", "rate_limit_error", "Slow"),
        ),
        (
            '{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 3 > 2"}}',
            ("context_too_long", "context_too_long", "invalid_request_error", "prompt is too long: 3 > 2"),
        ),
        ('{"type":"error","error":"boom"}', ("upstream_unavailable", "vendor_error", None, "boom")),
        ('{"error":{"type":"api_error"}}', ("upstream_unavailable", "vendor_error", "api_error", None)),
        (
            '{"type":"alarm","error":{"type":"timeout_error","message":"late"}}',
            ("upstream_timeout", "first_event_timeout", "timeout_error", "late"),
        ),
    ],
)
def test_an_error_in_the_stream_has_its_code(frame: str, expected: tuple[str, str, str | None, str | None]) -> None:
    assert logged(failure(make(), START, frame)) == expected


@pytest.mark.parametrize("body", [b"{}", b'{"content":null}', b'{"type":"error","error":{"type":"api_error"}}'])
def test_a_document_that_is_no_message_is_a_failure(body: bytes) -> None:
    assert read_document(body)[-1].__struct_config__.tag == "message.failed"


def read_document(body: bytes) -> Told:
    translator = make(upstream_stream=False)
    next(translator.requests(ask(TextPart("hi"), stream=False)))
    return heard(translator, [Record(body)])


@pytest.mark.parametrize(("arguments", "spelled"), [("{}", []), ('{"a":1}', ['{"a":1}'])])
def test_the_last_call_of_a_document_that_was_cut_is_not_complete(arguments: str, spelled: list[str]) -> None:
    call = f'{{"type":"tool_use","id":"%s","name":"look","input":{arguments}}}'
    told = read_document(f'{{"content":[{call % "a"},{call % "b"}],"stop_reason":"max_tokens"}}'.encode())
    assert [event.tool_call_id for event in told if isinstance(event, ToolCallCompleted)] == ["a"]
    assert [event.delta for event in told if isinstance(event, ToolCallDelta) and event.block == 1] == spelled
    assert told[-1] == MessageCompleted("length", "max_tokens")


# --- refusals


def spelled(kind: str, message: str = "no", **details: str) -> bytes:
    error: dict[str, Any] = {"type": kind, "message": message}
    if details:
        error["details"] = details
    return msgspec.json.encode({"type": "error", "error": error, "request_id": "req_body"})


@pytest.mark.parametrize(
    ("status", "kind", "code", "cause"),
    [
        (400, "invalid_request_error", "upstream_rejected", "rejected"),
        (401, "authentication_error", "upstream_auth", "auth"),
        (402, "billing_error", "quota_exhausted", "quota_exhausted"),
        (403, "permission_error", "upstream_auth", "auth"),
        (404, "not_found_error", "upstream_not_found", "not_found"),
        (409, "conflict_error", "upstream_unavailable", "status_4xx"),
        (413, "request_too_large", "context_too_long", "context_too_long"),
        (500, "api_error", "upstream_unavailable", "status_5xx"),
        (504, "timeout_error", "upstream_timeout", "first_event_timeout"),
        (529, "overloaded_error", "upstream_unavailable", "status_5xx"),
        (418, "teapot_error", "upstream_rejected", "status_4xx"),
        (502, "teapot_error", "upstream_unavailable", "status_5xx"),
        (200, "teapot_error", "upstream_protocol", "content_type"),
        (200, "api_error", "upstream_unavailable", "vendor_error"),
    ],
)
def test_each_refusal_has_its_code(status: int, kind: str, code: str, cause: str) -> None:
    error = refuse(make(), status, spelled(kind), request_id="req_head")
    assert blame(error) == (code, cause, status, kind, "req_head")
    assert error.vendor_message == "no"


def test_the_recorded_refusal_is_of_a_model_that_is_not_there() -> None:
    body = (
        b'{"error":{"message":"model: claude-sonet-4-5","type":"not_found_error"},'
        b'"request_id":"req_011CdufXo8Y2LVfY2veyuQWG","type":"error"}'
    )
    error = refuse(make(), 404, body, content_type="application/json")
    assert blame(error) == ("upstream_not_found", "not_found", 404, "not_found_error", "req_011CdufXo8Y2LVfY2veyuQWG")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("prompt is too long: 208310 tokens > 200000 maximum", "context_too_long"),
        ("input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000", "context_too_long"),
        ("Output blocked by content filtering policy", "content_filtered"),
        ("Your credit balance is too low to access the Anthropic API.", "quota_exhausted"),
        ("You have reached your specified API usage limits.", "quota_exhausted"),
        ("messages: at least one message is required", "upstream_rejected"),
    ],
)
def test_a_bad_request_says_by_its_message_what_it_really_is(message: str, code: str) -> None:
    assert refuse(make(), 400, spelled("invalid_request_error", message)).code == code


USED_UP = {
    "anthropic_ratelimit_tokens_remaining": "0",
    "anthropic_ratelimit_tokens_reset": "2026-11-02T12:00:30Z",
    "anthropic_ratelimit_requests_remaining": "7",
    "anthropic_ratelimit_requests_reset": "2026-11-02T12:50:00Z",
}
NOON = {"date": "Mon, 02 Nov 2026 12:00:00 GMT"}


@pytest.mark.parametrize(
    ("headers", "code", "wait"),
    [
        ({"retry_after": "17"}, "upstream_rate_limited", 17.0),
        ({"retry_after": "17", "retry_after_ms": "1500"}, "upstream_rate_limited", 1.5),
        ({"retry_after_ms": "soon"}, "upstream_rate_limited", None),
        ({"x_should_retry": "true"}, "upstream_rate_limited", None),
        ({**USED_UP, **NOON}, "upstream_rate_limited", 30.0),
        ({**USED_UP, "date": "Mon, 02 Nov 2026 13:00:00 GMT"}, "upstream_rate_limited", 0.0),
        (USED_UP, "upstream_rate_limited", None),
        ({**USED_UP, "date": "Mon, 02 Nov 2026 12:00:00 -0000"}, "upstream_rate_limited", None),
        ({**USED_UP, "date": "once"}, "upstream_rate_limited", None),
        ({**NOON, "anthropic_ratelimit_tokens_remaining": "0"}, "upstream_rate_limited", None),
        ({}, "quota_exhausted", None),
        ({"x_should_retry": "false"}, "quota_exhausted", None),
    ],
)
def test_a_429_tells_when_to_come_back_or_is_a_spending_limit(
    headers: dict[str, str], code: str, wait: float | None
) -> None:
    error = refuse(make(), 429, spelled("rate_limit_error"), **headers)
    assert (error.code, error.retry_after, error.may_be_accepted) == (code, wait, False)


def test_a_spending_limit_may_be_named() -> None:
    body = spelled("rate_limit_error", error_code="enforced_spend_limit_reached")
    error = refuse(make(), 429, body, retry_after="60")
    assert (error.code, error.vendor_code) == ("quota_exhausted", "enforced_spend_limit_reached")


def test_a_proxys_429_is_a_rate_limit() -> None:
    assert refuse(make(), 429, b"<html>slow down</html>").code == "upstream_rate_limited"


def test_what_was_refused_for_load_was_not_begun() -> None:
    assert refuse(make(), 529, spelled("overloaded_error")).may_be_accepted is False
    assert refuse(make(), 500, spelled("api_error")).may_be_accepted is True


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":{"type":7,"message":[]}}', b"\xff", b"[" * 100_000])
def test_a_refusal_of_any_shape_is_read_by_its_status(body: bytes) -> None:
    error = refuse(make(), 503, body, request_id="two words")
    assert blame(error) == ("upstream_unavailable", "status_5xx", 503, None, None)


# --- the rest of the port


def test_it_signs_in_with_either_kind_of_key() -> None:
    assert sign_in(make(), api_key="k") == Authorization({"x-api-key": "k"})
    assert sign_in(make(), auth_token="t") == Authorization({"Authorization": "Bearer t"})


def test_a_run_can_be_neither_resumed_nor_stopped() -> None:
    assert (make().resume(), make().cancel()) == (None, None)


def test_the_descriptor_makes_them_all() -> None:
    assert (ANTHROPIC.translator, ANTHROPIC.simulator) == (AnthropicTranslator, AnthropicSimulator)
    assert ANTHROPIC.scope(AnthropicTarget("claude-x")) == "claude-x"
    assert ANTHROPIC.takes_history


def test_a_delta_costs_one_event() -> None:
    translator = make()
    list(translator.feed(Record(TEXT.encode())))
    delta = Record(grow(0, '{"type":"text_delta","text":"Hi"}').encode())
    told: tuple[Event | Notice, ...] = tuple(translator.feed(delta))
    assert told == (TextDelta(0, "Hi"),)

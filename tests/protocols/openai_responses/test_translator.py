"""What comes in: frames that the examples do not show (`test_rooms.py` reads those), endings, and refusals."""

import json
from typing import Any

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    File,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    Notice,
    ReasoningCompleted,
    Source,
    TextCompleted,
    TextStarted,
    ToolCallCompleted,
    ToolCallStarted,
    ToolResult,
    VendorEvent,
)
from gateway.framing.typed import Malformed
from gateway.protocols.openai_responses import faults
from gateway.protocols.openai_responses.target import Target
from gateway.protocols.openai_responses.translator import ResponsesTranslator
from tests.support.translating import Told, ask, blame, framed, heard, lawful, logged, refuse, told_by

Frame = dict[str, Any]


def make(**target: Any) -> ResponsesTranslator:
    return ResponsesTranslator(Target("gpt-5", **target), Blocks(Numbering()))


def frame(kind: str, **fields: Any) -> Frame:
    return {"type": kind if kind in {"error", "keepalive"} else f"response.{kind}", **fields}


def added(index: int, kind: str, **fields: Any) -> Frame:
    return frame("output_item.added", output_index=index, item={"type": kind, **fields})


def done(index: int, kind: str, **fields: Any) -> Frame:
    return frame("output_item.done", output_index=index, item={"type": kind, **fields})


def completed(*output: Frame, **fields: Any) -> Frame:
    return frame("completed", response={"id": "resp_1", "model": "m", "output": list(output), **fields})


HI = frame("output_text.delta", delta="Hi")


def hear(*frames: Frame) -> Told:
    return heard(make(), framed(*map(json.dumps, frames)))


def events(*frames: Frame) -> list[Event]:
    """All of them but notices, after they obeyed the laws."""
    told = hear(*frames)
    assert lawful(told)
    return [event for event in told if not isinstance(event, Notice)]


def fail(*frames: Frame) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        list(told_by(make(), framed(*map(json.dumps, frames))))
    return caught.value


# --- endings


@pytest.mark.parametrize(
    ("ended", "terminal"),
    [
        (completed(), MessageCompleted("stop", "completed")),
        (completed(status="in_progress"), MessageCompleted("stop", "completed")),
        (completed(status="cancelled"), MessageCanceled("vendor")),
        (completed(status="incomplete"), MessageCompleted("other", "incomplete")),
        (frame("incomplete", response={}), MessageCompleted("other", "incomplete")),
        (
            frame("incomplete", response={"incomplete_details": {"reason": "max_output_tokens"}}),
            MessageCompleted("length", "max_output_tokens"),
        ),
        (
            frame("incomplete", response={"incomplete_details": {"reason": "content_filter"}}),
            MessageCompleted("content_filter", "content_filter"),
        ),
        (
            frame("incomplete", response={"incomplete_details": {"reason": "steered"}}),
            MessageCompleted("other", "steered"),
        ),
    ],
)
def test_each_ending_has_its_terminal(ended: Frame, terminal: Event) -> None:
    assert events(HI, ended)[-1] == terminal


@pytest.mark.parametrize(
    ("ended", "code", "vendor_code"),
    [
        (frame("failed", response={"error": {"code": "server_error"}}), "upstream_unavailable", "server_error"),
        (frame("failed", response={}), "upstream_unavailable", None),
        (frame("failed", response={"error": "It broke"}), "upstream_unavailable", None),
        (frame("error", code="rate_limit_exceeded", message="m"), "upstream_rate_limited", "rate_limit_exceeded"),
        (frame("error", error={"type": "insufficient_quota"}), "quota_exhausted", "insufficient_quota"),
        (frame("error", error={"code": 429, "message": "m"}), "upstream_rate_limited", "429"),
        (frame("error", error={"code": 502}), "upstream_unavailable", "502"),
        (frame("error", error="It broke"), "upstream_unavailable", None),
        (frame("error", error=[]), "upstream_protocol", None),
        (frame("created", response=7, error={"code": "server_error"}), "upstream_unavailable", "server_error"),
        ({"error": {"message": "m", "code": "context_length_exceeded"}}, "context_too_long", "context_length_exceeded"),
        ({"error": "It broke"}, "upstream_unavailable", None),
    ],
)
def test_each_failure_has_its_code(ended: Frame, code: str, vendor_code: str | None) -> None:
    try:
        error = fail(HI, ended)
    except Malformed:
        assert code == "upstream_protocol"
        return
    assert (error.code, error.vendor_code) == (code, vendor_code)


def test_an_error_and_a_failed_response_are_one_failure() -> None:
    nested = frame("error", error={"code": "server_error", "message": "m"})
    assert logged(fail(HI, nested, frame("failed", response={}))) == (
        "upstream_unavailable",
        "vendor_error",
        "server_error",
        "m",
    )


@pytest.mark.parametrize("frames", [[], [HI], [frame("created", response={})]])
def test_the_end_of_bytes_before_a_terminal_is_a_failure(frames: list[Frame]) -> None:
    error = fail(*frames)
    assert (error.code, error.cause) == ("upstream_protocol", "truncated")


def test_nothing_counts_behind_the_terminal() -> None:
    assert hear(HI, completed(), HI)[-2:] == [MessageCompleted("stop", "completed"), Notice("after_terminal")]


def test_heartbeats_and_done_say_nothing() -> None:
    translator = make()
    told = [*framed('{"type":"keepalive"}', "[DONE]", ""), *framed(json.dumps(HI), json.dumps(completed()), "[DONE]")]
    assert [type(event) for event in heard(translator, told)][-1] is MessageCompleted
    assert (translator.resume(), translator.cancel(), translator.ending) == (None, None, False)


def test_the_response_names_itself_and_its_model() -> None:
    translator = make()
    bracket = frame("in_progress", response={"id": "resp_1", "model": "gpt-5-2026"})
    list(translator.feed(framed(json.dumps(bracket))[0]))
    assert (translator.vendor_ids, translator.model) == ({"message": "resp_1"}, "gpt-5-2026")
    list(translator.feed(framed('{"type":"response.queued","response":{}}')[0]))
    assert (translator.vendor_ids, translator.model) == ({"message": "resp_1"}, "gpt-5-2026")


@pytest.mark.parametrize("body", ["{}", '{"status":"in_progress"}', "[]", "<html>"])
def test_a_document_that_has_not_ended_is_malformed(body: str) -> None:
    translator = make(upstream_stream=False)
    next(translator.requests(ask(stream=False)))
    with pytest.raises(Malformed):
        list(translator.feed(framed(body)[0]))


def test_a_document_may_be_an_error_alone() -> None:
    translator = make(upstream_stream=False)
    next(translator.requests(ask(stream=False)))
    with pytest.raises(GatewayError) as caught:
        list(translator.feed(framed('{"error":{"code":"server_error"}}')[0]))
    assert caught.value.code == "upstream_unavailable"


# --- texts


def test_a_text_may_come_in_its_done_alone() -> None:
    frames = [
        frame("output_text.done", text="Hi"),
        frame("content_part.done", part={"type": "output_text", "text": "Hi"}),
        done(0, "message", content=[{"type": "output_text", "text": "Hi"}]),
    ]
    told = events(*frames, completed())
    assert told[2] == TextCompleted(0, "Hi")
    assert len(told) == 4


def test_an_empty_repetition_is_none() -> None:
    told = events(HI, done(0, "message", content=[{"type": "output_text"}]), done(1, "message"), completed())
    assert told[2] == TextCompleted(0, "Hi")


def test_a_text_that_differs_at_its_end_is_corrected() -> None:
    told = events(HI, frame("output_text.done", text="Ho"), completed())
    assert TextStarted(1, replaces=0) in told


def test_the_response_at_the_end_fills_in_what_was_begun() -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "Hi there"}]}
    assert TextCompleted(0, "Hi there") in events(added(0, "message"), HI, completed(message))
    whole = events(completed(message, {"type": "refusal_item"}))
    assert [type(event) for event in whole][-2:] == [VendorEvent, MessageCompleted]


def test_an_item_that_ends_twice_ends_once() -> None:
    twice = done(0, "message", content=[{"type": "output_text", "text": "Hi"}])
    assert Notice("repaired_block") in hear(twice, twice, completed())


def test_what_is_missing_is_passed_over() -> None:
    told = events(
        HI,
        frame("output_item.added"),
        frame("output_item.done"),
        frame("output_text.annotation.added"),
        frame("content_part.added", content_index=1, part={"type": "reasoning_text"}),
        frame("content_part.done", content_index=1, part={"type": "reasoning_text"}),
        frame("reasoning_summary_text.delta", output_index=1, delta=""),
        completed(),
    )
    assert len(told) == 3


def test_a_transcript_is_a_text() -> None:
    told = events(frame("audio.transcript.delta", delta="Hi"), frame("audio.transcript.done"), completed())
    assert told[2] == TextCompleted(0, "Hi")


@pytest.mark.parametrize(
    ("annotation", "source"),
    [
        (
            {"type": "url_citation", "url": "https://a.test", "title": "A", "start_index": 0, "end_index": 2},
            Source("source_0", "A", "https://a.test", block=0, start=0, end=2),
        ),
        (
            {"type": "container_file_citation", "file_id": "f", "filename": "a.csv", "start_index": 0, "end_index": 2},
            Source("source_0", "a.csv", file_id="f", block=0, start=0, end=2),
        ),
        ({"type": "file_path", "file_id": "f", "index": 3}, File(file_id="f")),
        ({"type": "file_path", "file_id": "https://a.test/b.csv"}, File(url="https://a.test/b.csv")),
        ({"type": "sparkle", "n": 1}, VendorEvent("sparkle", {"type": "sparkle", "n": 1})),
    ],
)
def test_each_citation_is_told_once(annotation: Frame, source: Event) -> None:
    part = {"type": "output_text", "text": "Hi", "annotations": [annotation]}
    told = events(
        HI,
        frame("output_text.annotation.added", annotation=annotation),
        frame("content_part.done", part=part),
        done(0, "message", content=[part]),
        completed(),
    )
    assert told.count(source) == 1


def test_a_citation_of_no_text_has_no_place() -> None:
    cited = {"type": "url_citation", "url": "https://a.test", "start_index": 0, "end_index": 2}
    told = events(frame("output_text.annotation.added", content_index=1, annotation=cited), HI, completed())
    assert told[0] == Source("source_0", url="https://a.test")


def test_a_reasoning_in_full_is_a_block_of_its_own() -> None:
    told = events(
        frame("reasoning_text.delta", delta="Hm"),
        frame("reasoning_text.done", text="Hmm"),
        done(0, "reasoning", id="rs", content=[{"text": "Hmm"}], encrypted_content="s"),
        HI,
        completed(),
    )
    assert [event for event in told if isinstance(event, ReasoningCompleted)] == [
        ReasoningCompleted(0, "Hmm"),
        ReasoningCompleted(1, "", '{"id":"rs","encrypted_content":"s"}'),
    ]


# --- calls


def test_a_call_may_come_in_its_end_alone() -> None:
    call = done(0, "function_call", call_id="c", name="t", arguments='{"a":1}', status="completed")
    assert ToolCallCompleted(0, "c", "t", {"a": 1}, "complete") in events(call, completed())
    nothing = done(0, "function_call", call_id="c", name="t", arguments="")
    assert ToolCallCompleted(0, "c", "t", {}, "complete") in events(nothing, completed())


def test_a_call_of_a_namespace_goes_back_as_it_came() -> None:
    told = events(done(0, "function_call", call_id="c", name="t", arguments="{}", namespace="n"), completed())
    [call] = [event for event in told if isinstance(event, ToolCallCompleted)]
    assert json.loads(call.signature or "")["namespace"] == "n"


def test_a_call_whose_end_never_came_ends_with_the_response() -> None:
    told = events(
        added(0, "function_call", call_id="c", name="t"),
        frame("function_call_arguments.delta", delta="{}"),
        added(1, "custom_tool_call", call_id="d", name="u"),
        frame("custom_tool_call_input.delta", output_index=1, delta="x"),
        completed(),
    )
    assert ToolCallCompleted(0, "c", "t", {}, "complete") in told
    assert ToolCallCompleted(1, "d", "u", {"input": "x"}, "complete") in told


def test_a_custom_input_may_come_in_its_end_alone() -> None:
    told = events(
        added(0, "custom_tool_call", call_id="d", name="u"),
        done(0, "custom_tool_call", call_id="d", name="u", input='a"b'),
        completed(),
    )
    assert [event.arguments for event in told if isinstance(event, ToolCallCompleted)] == [{"input": 'a"b'}]


@pytest.mark.parametrize(
    "frames",
    [
        [done(0, "function_call", call_id="c", name="t", arguments="{")],
        [
            added(0, "function_call", call_id="c", name="t"),
            frame("function_call_arguments.delta", delta='{"a":1}'),
            done(0, "function_call", call_id="c", name="t", arguments='{"a":2}'),
        ],
        [
            added(0, "custom_tool_call", call_id="c", name="t"),
            frame("custom_tool_call_input.delta", delta="a"),
            done(0, "custom_tool_call", call_id="c", name="t", input="b"),
        ],
        [done(0, "function_call", call_id="c", name="t", arguments='{"a', status="incomplete")],
    ],
)
def test_a_call_that_the_client_cannot_run_fails_the_answer(frames: list[Frame]) -> None:
    error = fail(*frames, completed())
    assert (error.code, error.cause) == ("upstream_protocol", "malformed")


@pytest.mark.parametrize(
    "stray",
    [
        frame("function_call_arguments.delta", output_index=7, delta="{}"),
        frame("custom_tool_call_input.delta", output_index=7, delta="x"),
        done(7, "function_call_output", call_id="nobody", output="x"),
        done(7, "mcp_call", id="m", output="x"),
    ],
)
def test_what_belongs_to_no_call_is_dropped(stray: Frame) -> None:
    assert Notice("repaired_block") in hear(HI, stray, completed())


def test_what_was_filtered_in_the_midst_of_a_call_is_an_error() -> None:
    begun = added(0, "function_call", call_id="c", name="t")
    grown = frame("function_call_arguments.delta", output_index=0, delta='{"a')
    filtered = frame("incomplete", response={"incomplete_details": {"reason": "content_filter"}})
    error = fail(begun, grown, filtered)
    assert logged(error) == ("content_filtered", "content_filtered", "content_filter", None)


def test_a_phase_may_be_a_new_one() -> None:
    message = {"phase": "draft", "content": [{"type": "output_text", "text": "Hi"}]}
    told = events(added(0, "message", phase="draft"), HI, done(0, "message", **message), completed())
    assert told[-1] == MessageCompleted("stop", "completed")


def test_the_arguments_of_no_call_are_dropped() -> None:
    assert len(events(HI, frame("function_call_arguments.done", output_index=7, arguments="{}"), completed())) == 3


@pytest.mark.parametrize(
    ("item", "name", "executor", "arguments"),
    [
        ({"type": "shell_call", "action": {"commands": ["ls"]}}, "shell", "client", {"commands": ["ls"]}),
        ({"type": "shell_call", "environment": {"type": "local"}}, "shell", "client", {}),
        ({"type": "apply_patch_call", "operation": {"path": "a"}}, "apply_patch", "client", {"path": "a"}),
        (
            {"type": "computer_call", "actions": [{"type": "wait"}], "pending_safety_checks": []},
            "computer",
            "client",
            {"actions": [{"type": "wait"}]},
        ),
        (
            {"type": "tool_search_call", "execution": "client", "arguments": {"q": "x"}},
            "tool_search",
            "client",
            {"q": "x"},
        ),
        ({"type": "tool_search_call", "execution": "server", "arguments": "x"}, "tool_search", "vendor", {}),
        ({"type": "program", "code": "1"}, "program", "vendor", {"code": "1"}),
    ],
)
def test_each_call_has_its_name_and_its_executor(item: Frame, name: str, executor: Any, arguments: Frame) -> None:
    told = events(frame("output_item.done", item={"call_id": "c", **item}), HI, completed())
    assert told[0] == ToolCallStarted(0, "c", name, executor)
    [call] = [event for event in told if isinstance(event, ToolCallCompleted)]
    assert (call.arguments, call.signature is not None) == (arguments, executor == "client")


@pytest.mark.parametrize(
    ("call", "output", "result"),
    [
        ("program", {"type": "program_output", "result": "1"}, "1"),
        ("tool_search_call", {"type": "tool_search_output", "tools": []}, []),
        ("apply_patch_call", {"type": "apply_patch_call_output", "status": "completed", "output": "ok"}, "ok"),
    ],
)
def test_a_result_may_be_an_item_of_its_own(call: str, output: Frame, result: Any) -> None:
    told = events(done(0, call, call_id="c"), done(1, call_id="c", kind=output.pop("type"), **output), HI, completed())
    assert [event.output for event in told if isinstance(event, ToolResult)] == [result]
    assert told[-1] == MessageCompleted("stop", "completed")


def test_a_result_counts_once() -> None:
    output = {"call_id": "c", "result": "1"}
    frames = [done(0, "program", call_id="c"), done(1, "program_output", **output), done(2, "program_output", **output)]
    assert Notice("repaired_block") in hear(*frames, HI, completed())


@pytest.mark.parametrize(
    ("item", "output", "is_error"),
    [
        ({"type": "mcp_call", "name": "t", "error": {"content": "no"}}, "no", True),
        ({"type": "mcp_call", "name": "t", "error": "no"}, "no", True),
        ({"type": "mcp_call", "name": "t", "status": "failed"}, "", True),
        ({"type": "web_search_call", "action": {"sources": [{"url": "u"}]}}, [{"url": "u"}], False),
        ({"type": "web_search_call", "results": ["r"]}, ["r"], False),
        ({"type": "file_search_call", "status": "failed"}, {"status": "failed"}, True),
        ({"type": "code_interpreter_call"}, {"status": "completed"}, False),
        ({"type": "image_generation_call", "status": "failed", "error": {"code": "x"}}, {"code": "x"}, True),
    ],
)
def test_each_tool_of_the_vendors_has_its_result(item: Frame, output: Any, *, is_error: bool) -> None:
    told = events(frame("output_item.done", item={"id": "i", **item}), HI, completed())
    [result] = [event for event in told if isinstance(event, ToolResult)]
    assert (result.tool_call_id, result.output, result.is_error) == ("i", output, is_error)


def test_a_drawing_has_its_media_type() -> None:
    told = events(done(0, "image_generation_call", id="i", result="PHN2Zz4=", output_format="svg"), completed())
    assert File(media_type="image/svg+xml", url="data:image/svg+xml;base64,PHN2Zz4=") in told


@pytest.mark.parametrize("number", [0, 1])
def test_an_approval_is_asked_for_as_it_came(number: int) -> None:
    item = [{"id": "mcpr_1", "arguments": "{}"}, {"arguments": "{"}][number]
    told = events(done(0, "mcp_approval_request", name="rm", server_label="disk", **item), completed())
    asked = [
        InputRequested(
            "mcpr_1",
            "approval",
            "Allow disk to run rm?",
            fields={"server_label": "disk", "name": "rm", "arguments": {}},
        ),
        InputRequested(
            "approval_0",
            "approval",
            "Allow disk to run rm?",
            fields={"server_label": "disk", "name": "rm", "arguments": "{"},
        ),
    ]
    assert told == [asked[number], MessageCompleted("input_required", "completed")]


def test_progress_is_told_without_what_comes_again() -> None:
    partial = frame("image_generation_call.partial_image", output_index=3, partial_image_b64="x" * 100_000)
    assert VendorEvent("response.image_generation_call.partial_image", {"output_index": 3}) in events(
        HI, partial, completed()
    )
    sparkle = frame("sparkle", n=1)
    assert VendorEvent("response.sparkle", sparkle) in events(HI, sparkle, completed())


# --- refusals


@pytest.mark.parametrize(
    ("status", "code", "kind", "canonical"),
    [
        (400, "context_length_exceeded", "invalid_request_error", "context_too_long"),
        (400, "invalid_prompt", "invalid_request_error", "upstream_rejected"),
        (400, "bio_policy", "invalid_request_error", "content_filtered"),
        (400, None, "invalid_request_error", "upstream_rejected"),
        (401, "invalid_api_key", "invalid_request_error", "upstream_auth"),
        (403, "something_new", "request_forbidden", "upstream_auth"),
        (404, "model_not_found", "invalid_request_error", "upstream_not_found"),
        (429, "rate_limit_exceeded", "requests", "upstream_rate_limited"),
        (429, "insufficient_quota", "insufficient_quota", "quota_exhausted"),
        (429, None, "tokens", "upstream_rate_limited"),
        (500, None, "server_error", "upstream_unavailable"),
        (503, None, "something_new", "upstream_unavailable"),
        (200, None, "something_new", "upstream_protocol"),
    ],
)
def test_each_refusal_has_its_code(status: int, code: str | None, kind: str, canonical: str) -> None:
    fault = {"code": code, "type": kind, "message": "sk-secret", "param": None}
    for body in ({"error": fault}, {"object": "error", **fault}):
        error = refuse(make(), status, json.dumps(body).encode(), x_request_id="req_1")
        assert (error.code, error.vendor_status, error.vendor_code, error.vendor_message) == (
            canonical,
            status,
            code or kind,
            "sk-secret",
        )
        assert error.vendor_request_id == "req_1"
        assert error.may_be_accepted is (status not in {401, 429})


def test_a_status_in_the_place_of_the_stream_is_read() -> None:
    error = refuse(make(), 200, b'{"error":{"code":429,"message":"slow down"}}')
    assert blame(error) == ("upstream_rate_limited", "rate_limited", 200, None, None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after": "9"}, 9.0),
        ({"x_ratelimit_reset_requests": "12ms", "x_ratelimit_reset_tokens": "1m30.5s"}, 90.5),
        ({"x_ratelimit_reset_tokens": "30"}, 30.0),
        ({"x_ratelimit_reset_tokens": "-1"}, None),
        ({"x_ratelimit_reset_tokens": "soon"}, None),
        ({"retry_after_ms": "soon"}, None),
        ({"x_ratelimit_reset_tokens": "9d"}, 86_400.0),
        ({}, None),
    ],
)
def test_each_hint_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert refuse(make(), 429, b"", **headers).retry_after == seconds


def test_a_reset_is_no_hint_where_nothing_was_limited() -> None:
    assert refuse(make(), 503, x_ratelimit_reset_tokens="30").retry_after is None


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error":null}', b'{"error":[1]}', b'{"error":{"code":7,"message":[]}}']
)
def test_a_refusal_of_any_shape_is_read_by_its_status(body: bytes) -> None:
    error = refuse(make(), 502, body, x_request_id="two words")
    assert blame(error) == ("upstream_unavailable", "status_5xx", 502, None, None)


def test_every_code_that_the_vendor_documents_has_a_row() -> None:
    documented = "server_error rate_limit_exceeded invalid_prompt data_residency_mismatch bio_policy"
    documented += " misalignment_policy_violation vector_store_timeout invalid_image invalid_image_format"
    documented += " invalid_base64_image invalid_image_url image_too_large image_too_small image_parse_error"
    documented += " image_content_policy_violation invalid_image_mode image_file_too_large"
    documented += " unsupported_image_media_type empty_image_file failed_to_download_image image_file_not_found"
    assert set(documented.split()) <= set(faults.ERROR_CODES)

"""Canonical streams as a client of the AI SDK sees them, and as they come back."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from multidict import CIMultiDict

from gateway.canonical.assembler import Assembler
from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
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
from gateway.canonical.laws import check_stream
from gateway.canonical.message import Part, ToolCallPart
from gateway.canonical.turn import HistoryMessage
from gateway.conversations.fingerprint import extend, seed
from gateway.framing.sse import SseDecoder
from gateway.protocols.ai_sdk.asks import Continued, read_chat
from gateway.protocols.ai_sdk.dialect import AiSdkDialect, AiSdkSettings
from gateway.protocols.ai_sdk.encoder import AiSdkEncoder, Version
from gateway.protocols.ai_sdk.transcript import as_text
from gateway.protocols.ai_sdk.translator import AiSdkTarget, AiSdkTranslator
from gateway.protocols.base import ClientRequest
from tests.protocols.ai_sdk.browser import Browser
from tests.protocols.ai_sdk.streams import streams
from tests.support.translating import heard, records

STARTED = MessageStarted("msg_1", "conv_1", "support", datetime(2026, 11, 2, tzinfo=UTC))
ROUTED = MessageRouted("acme", 1, "m-1")
ERROR = GatewayError("upstream_unavailable", "the vendor is unavailable").body("req_1")
END = MessageCompleted("stop", "end", [], "acme", "m-2", Usage(12, 7), {"message": "x"})
VERSIONS: list[Version] = [5, 6, 7]
STEP = {"type": "step-start"}

each_version = pytest.mark.parametrize("version", VERSIONS)


def text(block: int, *deltas: str, replaces: int | None = None) -> list[Event]:
    return [
        TextStarted(block, replaces),
        *(TextDelta(block, delta) for delta in deltas),
        TextCompleted(block, "".join(deltas)),
    ]


def call(block: int, call_id: str, executor: Any, spelled: str = '{"a":1}', status: Any = "complete") -> list[Event]:
    arguments = json.loads(spelled) if status == "complete" else {}
    raw = None if status == "complete" else spelled
    return [
        ToolCallStarted(block, call_id, "pay", executor),
        ToolCallDelta(block, call_id, spelled[:3]),
        ToolCallDelta(block, call_id, spelled[3:]),
        ToolCallCompleted(block, call_id, "pay", arguments, status, raw),
    ]


def chunks(version: Version, *events: Event, continued: Continued | None = None) -> list[Any]:
    """What is written for these, behind the start and the routing."""
    encoder = AiSdkEncoder(version, continued)
    for event in (STARTED, ROUTED):
        encoder.event(0, event)
    data = b"".join(encoder.event(0, event) for event in events)
    return [json.loads(record.data) for record in SseDecoder().feed(data)]


def written(
    version: Version, events: Sequence[Event], continued: Continued | None = None
) -> tuple[bytes, AiSdkEncoder]:
    """A whole lawful stream, with a heartbeat in front of each event."""
    stream = [STARTED, ROUTED, *events]
    check_stream(stream)
    encoder = AiSdkEncoder(version, continued)
    frames = [(encoder.heartbeat() or b"") + encoder.event(n, event) for n, event in enumerate(stream)]
    return b"".join([*frames, encoder.end()]), encoder


def seen(version: Version, *events: Event) -> Browser:
    browser = Browser(version).read(written(version, events)[0])
    assert browser.is_done
    return browser


BY_VENDOR = {"type": "dynamic-tool", "toolName": "pay", "providerExecuted": True}
OURS = {"conversationId": "conv_1", "messageId": "msg_1", "vendor": "acme"}

# --- what a client sees


@each_version
def test_an_answer_is_one_message_with_usage_in_its_metadata(version: Version) -> None:
    browser = seen(
        version,
        ReasoningStarted(0),
        ReasoningDelta(0, "Hm"),
        ReasoningCompleted(0, "Hm", "signature"),
        *text(1, "Hello", ' "☀"\n'),
        UsageReported(1),
        END,
    )
    assert browser.message == {
        "id": "msg_1",
        "role": "assistant",
        "metadata": {**OURS, "model": "m-2", "usage": {"inputTokens": 12, "outputTokens": 7, "totalTokens": 19}},
        "parts": [
            STEP,
            {"type": "reasoning", "text": "Hm", "state": "done"},
            {"type": "text", "text": 'Hello "☀"\n', "state": "done"},
        ],
    }
    assert (browser.finish, browser.error, browser.was_aborted) == ("stop", None, False)


@each_version
def test_calls_and_texts_may_be_open_at_once(version: Version) -> None:
    browser = seen(
        version,
        StepStarted(0),
        TextStarted(0),
        ToolCallStarted(1, "c1", "locate", "client"),
        ToolCallStarted(2, "c2", "pay", "client"),
        TextDelta(0, "One"),
        ToolCallDelta(1, "c1", '{"a"'),
        ToolCallDelta(2, "c2", '{"b"'),
        StepCompleted(0),
        StepStarted(1),
        ToolCallDelta(2, "c2", ":2}"),
        TextDelta(0, " more"),
        ToolCallCompleted(2, "c2", "pay", {"b": 2}, "complete"),
        ToolCallDelta(1, "c1", ":1}"),
        ToolCallCompleted(1, "c1", "locate", {"a": 1}, "complete"),
        TextCompleted(0, "One more"),
        StepCompleted(1),
        StepStarted(2),
        *text(3, "Now you"),
        StepCompleted(2),
        MessageCompleted("tool_calls", None, ["c1", "c2"]),
    )
    assert browser.parts == [
        STEP,
        {"type": "text", "text": "One more", "state": "done"},
        {"type": "tool-locate", "toolCallId": "c1", "state": "input-available", "input": {"a": 1}},
        {"type": "tool-pay", "toolCallId": "c2", "state": "input-available", "input": {"b": 2}},
        {"type": "text", "text": "Now you", "state": "done"},
    ]
    assert (browser.ran, browser.finish) == (["c2", "c1"], "tool-calls")


@each_version
def test_the_vendors_tools_are_not_run_by_the_client(version: Version) -> None:
    browser = seen(
        version,
        *call(0, "c1", "vendor"),
        ToolResult("c1", {"ok": None}, is_error=False),
        *call(1, "c2", "vendor"),
        ToolResult("c2", "no", is_error=True),
        *call(2, "c3", "unknown"),
        ToolResult("c3", {"code": 7}, is_error=True),
        *call(3, "c4", "unknown"),
        *text(4, "Done"),
        END,
    )
    whole = {**BY_VENDOR, "input": {"a": 1}}
    assert browser.parts == [
        STEP,
        {**whole, "toolCallId": "c1", "state": "output-available", "output": {"ok": None}},
        {**whole, "toolCallId": "c2", "state": "output-error", "errorText": "no"},
        {**whole, "toolCallId": "c3", "state": "output-error", "errorText": '{"code":7}'},
        {"type": "text", "text": "Done", "state": "done"},
        {**whole, "toolCallId": "c4", "state": "input-available"},
    ]
    assert (browser.ran, browser.posts_again()) == ([], False)


@each_version
def test_a_call_that_turns_out_to_be_the_clients_is_told_before_the_end(version: Version) -> None:
    told = chunks(version, *call(0, "c1", "unknown"), *text(1, "Now you"), MessageCompleted("tool_calls", None, ["c1"]))
    assert [chunk["type"] for chunk in told] == [
        "text-start",
        "text-delta",
        "text-end",
        "tool-input-start",
        "tool-input-delta",
        "tool-input-available",
        "finish-step",
        "finish",
    ]
    assert told[5] == {"type": "tool-input-available", "toolCallId": "c1", "toolName": "pay", "input": {"a": 1}}


@each_version
@pytest.mark.parametrize("executor", ["client", "unknown"])
def test_a_client_posts_again_once_its_tools_have_given_something(version: Version, executor: str) -> None:
    browser = seen(version, *call(0, "c1", executor), MessageCompleted("tool_calls", None, ["c1"]))
    assert not browser.posts_again()
    browser.parts[1].update(state="output-available", output=1)
    assert browser.posts_again()
    continued = Continued("a1", {"c1": False})
    data, _ = written(version, [*text(0, "Thanks"), END], continued)
    again = Browser(version, browser.message).read(data)
    assert (again.message["id"], again.message["metadata"]["messageId"]) == ("a1", "msg_1")
    assert [part["type"] for part in again.parts] == ["step-start", "tool-pay", "step-start", "text"]
    assert not again.posts_again()


@each_version
@pytest.mark.parametrize("executor", ["client", "vendor", "unknown"])
@pytest.mark.parametrize("status", ["cut", "unreadable"])
def test_a_call_without_whole_arguments_is_neither_run_nor_answered(
    version: Version, executor: str, status: str
) -> None:
    browser = seen(version, *call(0, "c1", executor, '{"a', status), MessageCompleted("length"))
    (_, part) = browser.parts
    assert (part["state"], part["rawInput"], browser.ran) == ("input-streaming", '{"a', [])
    assert (browser.finish, browser.posts_again()) == ("length", False)


@each_version
def test_a_failure_is_the_last_chunk_of_what_was_shown(version: Version) -> None:
    browser = seen(version, *text(0, "Half"), *call(1, "c1", "unknown"), MessageFailed(ERROR, Usage(1)))
    assert browser.error == "the vendor is unavailable (upstream_unavailable)"
    assert browser.message["metadata"] == {**OURS, "model": "m-1", "requestId": "req_1", "usage": {"inputTokens": 1}}
    assert [part["type"] for part in browser.parts] == ["step-start", "text", "dynamic-tool"]
    assert (browser.finish, browser.ran) == (None, [])


@each_version
def test_a_failure_before_anyone_answered_says_no_more(version: Version) -> None:
    encoder = AiSdkEncoder(version, None)
    error = GatewayError("internal", "the gateway failed").body()
    data = encoder.event(0, STARTED) + encoder.event(1, MessageFailed(error)) + encoder.end()
    assert data.count(b"data: ") == 3
    assert Browser(version).read(data).error == "the gateway failed (internal)"


@each_version
def test_what_was_canceled_is_no_error(version: Version) -> None:
    browser = seen(version, *text(0, "Half"), MessageCanceled("client_gone", Usage(1)))
    assert (browser.was_aborted, browser.error, browser.finish) == (True, None, None)
    assert browser.message["metadata"]["usage"] == {"inputTokens": 1}


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool-calls"),
        ("input_required", "stop"),
        ("content_filter", "content-filter"),
        ("other", "other"),
    ],
)
def test_each_ending_has_a_reason_that_all_clients_know(reason: Any, told: str) -> None:
    assert seen(5, *text(0, "Hi"), MessageCompleted(reason)).finish == told


# --- switches and corrections


@each_version
def test_after_a_switch_the_answer_goes_on(version: Version) -> None:
    switch = MessageRouted("spare", 2, "m-9", "acme", ERROR, discard=False)
    browser = seen(
        version, *text(0, "Half"), *call(1, "c1", "unknown"), switch, *text(2, " whole"), MessageCompleted("stop")
    )
    assert [part.get("text", part["type"]) for part in browser.parts] == [
        "step-start",
        "Half",
        "dynamic-tool",
        " whole",
    ]
    assert (browser.message["metadata"]["vendor"], browser.message["metadata"]["model"]) == ("spare", "m-9")


@each_version
def test_of_a_vendor_that_names_no_model_none_is_told(version: Version) -> None:
    switch = MessageRouted("spare", 2, None, "acme", ERROR, discard=False)
    browser = seen(version, *text(0, "Half"), switch, *text(2, " whole"), MessageCompleted("stop"))
    assert browser.message["metadata"] == {**OURS, "vendor": "spare"}


def test_version_7_forgets_all_that_was_shown() -> None:
    switch = MessageRouted("spare", 2, None, "acme", ERROR, discard=True)
    browser = seen(
        7,
        StepStarted(0),
        *text(0, "Wrong"),
        StepCompleted(0),
        StepStarted(1),
        *call(1, "c1", "client"),
        *call(2, "c2", "unknown"),
        Data("a", 1),
        StepCompleted(1),
        switch,
        *text(3, "Right"),
        *text(4, "Righter", replaces=3),
        END,
    )
    mark = {"gateway": {"replaces": 1}}
    assert browser.parts == [
        STEP,
        {"type": "text", "text": "Right", "state": "done"},
        {"type": "text", "text": "Righter", "state": "done", "providerMetadata": mark},
    ]


@each_version
def test_a_correction_is_marked_with_what_it_corrects(version: Version) -> None:
    browser = seen(
        version,
        *text(0, "Wrnog"),
        *text(1, "Kept"),
        *text(2, "Wrong", replaces=0),
        ReasoningStarted(3),
        ReasoningCompleted(3, ""),
        ReasoningStarted(4, replaces=3),
        ReasoningCompleted(4, ""),
        END,
    )
    assert browser.parts[3]["providerMetadata"] == {"gateway": {"replaces": 2}}
    assert [part["text"] for part in browser.parts[1:]] == ["Wrnog", "Kept", "Wrong", "", ""]


# --- steps


@pytest.mark.parametrize("version", [5, 6])
def test_a_step_begins_where_nothing_is_open(version: Version) -> None:
    told = chunks(
        version,
        StepStarted(0),
        *text(0, "One"),
        StepCompleted(0),
        StepStarted(1),
        StepCompleted(1),
        StepStarted(2),
        *text(1, "Two"),
        StepCompleted(2),
        END,
    )
    assert [chunk["type"] for chunk in told if "step" in chunk["type"]] == ["finish-step", "start-step", "finish-step"]


@each_version
def test_what_no_client_can_be_told_of_is_counted(version: Version) -> None:
    _, encoder = written(version, [StepStarted(0), StepCompleted(0), *text(0, "Hi"), END])
    assert encoder.omitted == ({"step.started": 1, "step.completed": 1} if version == 7 else {})


# --- questions


def test_version_5_is_asked_in_words() -> None:
    browser = seen(
        5,
        *call(0, "c1", "unknown"),
        InputRequested("r1", "approval", "It costs", "c1", {"sum": 1}),
        MessageCompleted("input_required"),
    )
    assert browser.parts[1:] == [
        {**BY_VENDOR, "toolCallId": "c1", "state": "input-available", "input": {"a": 1}},
        {
            "type": "text",
            "text": "It costs",
            "state": "done",
            "providerMetadata": {"gateway": {"prompt": "r1"}},
        },
        {
            "type": "data-input_request",
            "data": {
                "requestId": "r1",
                "kind": "approval",
                "prompt": "It costs",
                "toolCallId": "c1",
                "fields": {"sum": 1},
            },
        },
    ]
    assert browser.finish == "stop"


@pytest.mark.parametrize("version", [6, 7])
def test_later_versions_are_asked_to_approve_a_call(version: Version) -> None:
    ask = InputRequested("r1", "approval", "It costs", "c1")
    events = [*call(0, "c1", "unknown"), ask, MessageCompleted("input_required")]
    (request,) = [chunk for chunk in chunks(version, *events) if chunk["type"] == "tool-approval-request"]
    reason = {"reason": "It costs"} if version == 7 else {}
    assert request == {"type": "tool-approval-request", "approvalId": "r1", "toolCallId": "c1", **reason}
    browser = seen(version, *events)
    assert (browser.parts[1]["approval"], browser.finish, browser.ran) == ({"id": "r1"}, "tool-calls", [])


@each_version
@pytest.mark.parametrize(
    ("ask", "shown"),
    [
        (InputRequested("r1", "question", "Which?"), "Which?"),
        (InputRequested("r1", "question"), "The assistant asks you something."),
        (InputRequested("r1", "approval", None, "c9"), "The assistant asks for your approval."),
    ],
)
def test_a_question_is_shown(version: Version, ask: InputRequested, shown: str) -> None:
    browser = seen(version, *text(0, "Well"), ask, MessageCompleted("input_required"))
    assert [part["text"] for part in browser.parts if part["type"] == "text"] == ["Well", shown]
    assert browser.finish == "stop"


@each_version
@pytest.mark.parametrize("is_dynamic", [False, True])
def test_a_result_of_a_call_that_the_client_has_finds_it(version: Version, *, is_dynamic: bool) -> None:
    kind = {"type": "dynamic-tool", "toolName": "pay"} if is_dynamic else {"type": "tool-pay"}
    known = {"id": "a1", "role": "assistant", "parts": [{**kind, "toolCallId": "c1", "state": "approval-responded"}]}
    events = [ToolResult("c1", "paid", is_error=False), *text(0, "Paid"), END]
    data, _ = written(version, events, Continued("a1", {"c1": is_dynamic}))
    browser = Browser(version, known).read(data)
    assert (browser.parts[0]["output"], browser.message["id"]) == ("paid", "a1")


@each_version
@pytest.mark.parametrize("continued", [None, Continued("", {"c9": False})])
def test_a_result_of_a_call_that_nobody_knows_brings_it_along(version: Version, continued: Continued | None) -> None:
    data, _ = written(version, [ToolResult("c1", 1, is_error=False), *text(0, "Paid"), END], continued)
    part = Browser(version).read(data).parts[1]
    assert (part["toolName"], part["input"], part["output"]) == ("tool", {}, 1)


# --- all else


@each_version
def test_sources_files_and_data_have_their_parts(version: Version) -> None:
    browser = seen(
        version,
        *text(0, "See"),
        Source("s1", "A", "https://example.org", quote="q", block=0, start=0, end=3),
        Source("s2", None, "https://example.org/b"),
        Source("s3", file_id="f1"),
        Source("s4", "Book"),
        Source("s5"),
        File(url="https://example.org/a.png", media_type="image/png", name="a.png"),
        File(url="https://example.org/b"),
        File("f1", "b.txt"),
        DataFrame("t", ["a"], [[None]]),
        Data("weather in Kyiv", {"a": None}),
        Data("ä", None),
        Data("", 1),
        VendorEvent("sparkle", {"n": 1}, "acme"),
        END,
    )
    binary = "application/octet-stream"
    assert browser.parts[2:] == [
        {
            "type": "source-url",
            "sourceId": "s1",
            "url": "https://example.org",
            "title": "A",
            "providerMetadata": {"gateway": {"quote": "q"}},
        },
        {"type": "source-url", "sourceId": "s2", "url": "https://example.org/b"},
        {"type": "source-document", "sourceId": "s3", "mediaType": binary, "title": "f1"},
        {"type": "source-document", "sourceId": "s4", "mediaType": binary, "title": "Book"},
        {"type": "source-document", "sourceId": "s5", "mediaType": binary, "title": "s5"},
        {"type": "file", "url": "https://example.org/a.png", "mediaType": "image/png"},
        {"type": "file", "url": "https://example.org/b", "mediaType": binary},
        {"type": "data-file", "data": {"fileId": "f1", "name": "b.txt"}},
        {"type": "data-data_frame", "data": {"name": "t", "columns": ["a"], "rows": [[None]]}},
        {"type": "data-weather_in_Kyiv", "data": {"a": None}},
        {"type": "data-_", "data": None},
        {"type": "data-data", "data": 1},
    ]


def test_what_only_passes_is_no_part_of_the_message() -> None:
    assert chunks(5, VendorEvent("sparkle", {"n": 1}, "acme")) == [
        {
            "type": "data-vendor_event",
            "data": {"vendor": "acme", "name": "sparkle", "payload": {"n": 1}},
            "transient": True,
        }
    ]


def test_a_heartbeat_is_a_comment() -> None:
    encoder = AiSdkEncoder(5, None)
    assert (encoder.heartbeat(), encoder.end()) == (b": heartbeat\n\n", b"data: [DONE]\n\n")


# --- losses

SAMPLES: dict[type, Event] = {
    MessageRouted: MessageRouted("spare", 2, None, "acme", ERROR, discard=False),
    TextStarted: TextStarted(7),
    TextDelta: TextDelta(0, "x"),
    TextCompleted: TextCompleted(0, "x", "sig"),
    ReasoningStarted: ReasoningStarted(7),
    ReasoningDelta: ReasoningDelta(1, "x"),
    ReasoningCompleted: ReasoningCompleted(1, "x", "sig"),
    ToolCallStarted: ToolCallStarted(7, "c7", "pay", "client"),
    ToolCallDelta: ToolCallDelta(2, "c1", "{}"),
    ToolCallCompleted: ToolCallCompleted(2, "c1", "pay", {}, "complete"),
    ToolResult: ToolResult("c1", 1, is_error=False),
    Source: Source("s"),
    File: File(),
    DataFrame: DataFrame("t", [], []),
    Data: Data("d", None),
    StepStarted: StepStarted(0),
    StepCompleted: StepCompleted(0),
    InputRequested: InputRequested("r", "question"),
    UsageReported: UsageReported(1),
    VendorEvent: VendorEvent("v", None),
    MessageCompleted: MessageCompleted("stop"),
    MessageFailed: MessageFailed(ERROR),
    MessageCanceled: MessageCanceled("canceled"),
}
OPENED: list[Event] = [TextStarted(0), ReasoningStarted(1), ToolCallStarted(2, "c1", "pay", "client")]
SILENT = {"usage", "step.started", "step.completed"}


def test_every_type_of_event_is_among_the_samples() -> None:
    assert {MessageStarted, *SAMPLES} == set(get_args(Event))


@each_version
@pytest.mark.parametrize("kind", SAMPLES)
def test_of_each_event_something_is_written_or_its_loss_is_listed(version: Version, kind: type) -> None:
    encoder = AiSdkEncoder(version, None)
    for event in (STARTED, ROUTED, *OPENED):
        assert encoder.event(0, event)
    tag = str(SAMPLES[kind].__struct_config__.tag)
    losses = AiSdkDialect(AiSdkSettings(version)).losses
    assert bool(encoder.event(9, SAMPLES[kind])) == (tag not in SILENT)
    assert tag not in SILENT or tag in losses
    assert encoder.omitted.get(tag, 0) == losses.get(tag, "").startswith("omitted")


@each_version
def test_a_loss_names_an_event_or_a_field_of_one(version: Version) -> None:
    fields = {str(kind.__struct_config__.tag): kind.__struct_fields__ for kind in get_args(Event)}
    for name in AiSdkDialect(AiSdkSettings(version)).losses:
        event, _, field = name.rpartition(".")
        assert name in fields or field in fields[event]


# --- what comes back


def stored(events: Sequence[Event]) -> list[Part]:
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    return assembler.parts()


def resent(browser: Browser) -> list[HistoryMessage]:
    """The history of which the client's next message makes this answer a part."""
    messages = [
        {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]},
        browser.message,
        {"id": "u2", "role": "user", "parts": [{"type": "text", "text": "Next"}]},
    ]
    body = json.dumps({"id": "chat", "messages": messages}).encode()
    headers = CIMultiDict({"Content-Type": "application/json"})
    return read_chat(ClientRequest(headers, body, {"route": "support"})).request.history


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(version=st.sampled_from(VERSIONS), events=streams())
def test_any_stream_is_read_by_the_client_and_comes_back_as_the_same_answer(
    version: Version, events: list[Event]
) -> None:
    data, _ = written(version, events)
    browser = Browser(version).read(data)
    calls = {event.tool_call_id: event for event in events if isinstance(event, ToolCallStarted)}
    pending = events[-1].pending_tool_calls if isinstance(events[-1], MessageCompleted) else []
    assert all(calls[ran].executor == "client" or ran in pending for ran in browser.ran)
    assert set(browser.ran) >= set(pending)
    history = [parts for message in resent(browser) if message.role == "assistant" for parts in message.parts]
    ours = [_as_known(part, pending) for part in stored(events)]
    assert _chain(history) == _chain(ours)


def _as_known(part: Part, pending: list[str]) -> Part:
    """Whose an unknown call was is known by the end: the client's where it is owed, else the vendor's."""
    if not isinstance(part, ToolCallPart) or part.executor != "unknown":
        return part
    return replace(part, executor="client" if part.tool_call_id in pending else "vendor")


def _chain(parts: list[Part]) -> bytes:
    return extend(seed("r", None), "assistant", parts)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(version=st.sampled_from(VERSIONS), events=streams())
def test_what_is_written_is_read_by_our_own_translator(version: Version, events: list[Event]) -> None:
    data, _ = written(version, events)
    translator = AiSdkTranslator(AiSdkTarget(), Blocks(Numbering()))
    told = heard(translator, records(SseDecoder(), data))
    assert [event.text for event in told if isinstance(event, TextCompleted)] == [
        event.text for event in events if isinstance(event, TextCompleted)
    ]
    assert _calls(told) == _calls(events)
    assert _results(told) == _results(events)
    assert [(event.source_id, event.url) for event in told if isinstance(event, Source)] == [
        (event.source_id, event.url) for event in events if isinstance(event, Source)
    ]
    assert _ending(told[-1]) == _ending(events[-1])


def _calls(events: Sequence[Any]) -> dict[str, tuple[str, Any]]:
    return {
        event.tool_call_id: (event.name, event.arguments)
        for event in events
        if isinstance(event, ToolCallCompleted) and event.status == "complete"
    }


def _results(events: Sequence[Any]) -> list[tuple[str, Any]]:
    """An error's output is told as a text."""
    return [
        (event.tool_call_id, as_text(event.output) if event.is_error else event.output)
        for event in events
        if isinstance(event, ToolResult)
    ]


def _ending(event: Any) -> Any:
    match event:
        case MessageCompleted():
            return event.finish_reason, sorted(event.pending_tool_calls)
        case _:
            return event.__struct_config__.tag

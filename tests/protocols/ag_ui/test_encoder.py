"""AG-UI's encoder: canonical streams in, frames out, as the client's own library takes them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

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
from gateway.canonical.message import InputResponsePart
from gateway.protocols.ag_ui.dialect import LOSSES
from gateway.protocols.ag_ui.encoder import AgUiEncoder, Run

STARTED = MessageStarted("m", "c", "r", datetime(2026, 11, 2, tzinfo=UTC))
ROUTED = MessageRouted("acme", 1, "large")
RUN_STARTED = {"type": "RUN_STARTED", "threadId": "t1", "runId": "r1", "protocolVersion": "1.0"}
IDS = {"threadId": "t1", "runId": "r1"}
DONE = {"type": "RUN_FINISHED", **IDS, "outcome": {"type": "success"}}
STOP = MessageCompleted("stop")
ERROR = GatewayError("upstream_timeout", "the vendor gave up", retry_after=2.0).body("req_1")


def bytes_of(*events: Event, run: Run | None = None) -> bytes:
    encoder = AgUiEncoder(run or Run("t1", "r1"))
    written = [encoder.event(number, event) for number, event in enumerate((STARTED, ROUTED, *events))]
    assert encoder.omitted == {"message.routed": sum(type(event) is MessageRouted for event in (ROUTED, *events))}
    return b"".join(written) + encoder.end()


def written(*events: Event, run: Run | None = None) -> list[Any]:
    """The frames behind RUN_STARTED."""
    blocks = bytes_of(*events, run=run).decode().removesuffix("\n\n").split("\n\n")
    first, *rest = [json.loads(block.removeprefix("data: ")) for block in blocks]
    assert first == RUN_STARTED
    return rest


def said(block: int, *deltas: str, signature: str | None = None) -> list[Event]:
    return [
        TextStarted(block),
        *(TextDelta(block, d) for d in deltas),
        TextCompleted(block, "".join(deltas), signature),
    ]


def thought(block: int, *deltas: str, signature: str | None = None) -> list[Event]:
    completed = ReasoningCompleted(block, "".join(deltas), signature)
    return [ReasoningStarted(block), *(ReasoningDelta(block, delta) for delta in deltas), completed]


def start(block: int, **more: Any) -> dict[str, Any]:
    return {"type": "TEXT_MESSAGE_START", "messageId": f"m/{block}", "role": "assistant", **more}


def content(block: int, delta: str) -> dict[str, Any]:
    return {"type": "TEXT_MESSAGE_CONTENT", "messageId": f"m/{block}", "delta": delta}


def end(block: int) -> dict[str, Any]:
    return {"type": "TEXT_MESSAGE_END", "messageId": f"m/{block}"}


def signed(subtype: str, entity: str, value: str) -> dict[str, Any]:
    return {"type": "REASONING_ENCRYPTED_VALUE", "subtype": subtype, "entityId": entity, "encryptedValue": value}


def called(call: str, name: str, parent: str, **mark: Any) -> dict[str, Any]:
    ids = {"type": "TOOL_CALL_START", "toolCallId": call, "toolCallName": name, "parentMessageId": f"m/{parent}"}
    return {**ids, "metadata": {"gateway": mark}}


def custom(name: str, value: Any) -> dict[str, Any]:
    return {"type": "CUSTOM", "name": name, "value": value}


# --- frames


def test_the_bytes_are_frames_of_one_json_document_each() -> None:
    assert (
        bytes_of(*said(0, "Grüße\n"), STOP)
        == (
            'data: {"type":"RUN_STARTED","threadId":"t1","runId":"r1","protocolVersion":"1.0"}\n\n'
            'data: {"type":"TEXT_MESSAGE_START","messageId":"m/0","role":"assistant"}\n\n'
            'data: {"type":"TEXT_MESSAGE_CONTENT","messageId":"m/0","delta":"Grüße\\n"}\n\n'
            'data: {"type":"TEXT_MESSAGE_END","messageId":"m/0"}\n\n'
            'data: {"type":"RUN_FINISHED","threadId":"t1","runId":"r1","outcome":{"type":"success"}}\n\n'
        ).encode()
    )


def test_a_heartbeat_is_a_comment() -> None:
    assert AgUiEncoder(Run("t1", "r1")).heartbeat() == b": heartbeat\n\n"


# --- text and reasoning


def test_texts_are_messages_and_may_grow_in_turns() -> None:
    events: list[Event] = [TextStarted(0), TextStarted(1), TextDelta(0, "a"), TextDelta(1, "b"), TextDelta(0, "c")]
    frames = written(*events, TextCompleted(1, "b"), TextCompleted(0, "ac"), STOP)
    assert frames == [start(0), content(0, "a"), start(1), content(1, "b"), content(0, "c"), end(1), end(0), DONE]


def test_an_empty_text_is_no_message() -> None:
    assert written(*said(0), *said(1, ""), *thought(2), *thought(3, ""), STOP) == [DONE]


def test_what_is_signed_is_told_even_if_it_is_empty() -> None:
    frames = written(*said(0, "Hi", signature="s0"), *said(1, signature="s1"), STOP)
    assert frames == [
        start(0),
        content(0, "Hi"),
        signed("message", "m/0", "s0"),
        end(0),
        start(1),
        signed("message", "m/1", "s1"),
        end(1),
        DONE,
    ]


@pytest.mark.parametrize("deltas", [("Hm", "m"), ()])
def test_reasoning_has_its_span_and_its_encrypted_value(deltas: tuple[str, ...]) -> None:
    frames = written(*thought(0, *deltas, signature="sealed"), STOP)
    assert frames == [
        {"type": "REASONING_START", "messageId": "m/0"},
        {"type": "REASONING_MESSAGE_START", "messageId": "m/0", "role": "reasoning"},
        *({"type": "REASONING_MESSAGE_CONTENT", "messageId": "m/0", "delta": delta} for delta in deltas),
        {"type": "REASONING_MESSAGE_END", "messageId": "m/0"},
        signed("message", "m/0", "sealed"),
        {"type": "REASONING_END", "messageId": "m/0"},
        DONE,
    ]


def test_a_correction_and_a_switch_go_on_in_a_message_of_their_own() -> None:
    corrected: list[Event] = [TextStarted(1, replaces=0), TextDelta(1, "Hello"), TextCompleted(1, "Hello")]
    switch = MessageRouted("other", 2, "m", "acme", ERROR, discard=False)
    frames = written(*said(0, "Helo"), *corrected, switch, *said(2, "!"), STOP)
    assert [frame["delta"] for frame in frames if "delta" in frame] == ["Helo", "Hello", "!"]


# --- calls


def test_calls_belong_to_the_text_before_them_and_are_marked_with_who_runs_them() -> None:
    events: list[Event] = [
        ToolCallStarted(0, "c0", "f", "vendor"),
        ToolCallCompleted(0, "c0", "f", {}, "complete"),
        *said(1, "Let me."),
        ToolCallStarted(2, "c1", "g", "client"),
        ToolCallStarted(3, "c2", "h", "unknown"),
        ToolCallDelta(2, "c1", ""),
        ToolCallDelta(2, "c1", '{"a"'),
        ToolCallDelta(3, "c2", "{}"),
        ToolCallDelta(2, "c1", ":1}"),
        ToolCallCompleted(3, "c2", "h", {}, "complete"),
        ToolCallCompleted(2, "c1", "g", {"a": 1}, "complete", signature="s"),
        ToolResult("c0", {"b": 1}, is_error=True),
    ]
    frames = written(*events, MessageCompleted("tool_calls", None, ["c1", "c2"]))
    assert frames == [
        called("c0", "f", "calls", executor="vendor"),
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c0", "delta": "{}"},
        {"type": "TOOL_CALL_END", "toolCallId": "c0"},
        start(1),
        content(1, "Let me."),
        end(1),
        called("c1", "g", "1", executor="client"),
        called("c2", "h", "1", executor="unknown"),
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": '{"a"'},
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c2", "delta": "{}"},
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c1", "delta": ":1}"},
        {"type": "TOOL_CALL_END", "toolCallId": "c2"},
        signed("tool-call", "c1", "s"),
        {"type": "TOOL_CALL_END", "toolCallId": "c1"},
        {
            "type": "TOOL_CALL_RESULT",
            "messageId": "m/result-1",
            "toolCallId": "c0",
            "content": '{"b":1}',
            "role": "tool",
            "metadata": {"gateway": {"is_error": True}},
        },
        {**DONE, "outcome": {"type": "success", "pendingToolCallIds": ["c1", "c2"]}},
    ]


def test_a_call_that_nobody_owes_is_answered_as_not_run() -> None:
    events: list[Event] = [
        ToolCallStarted(0, "c1", "f", "client"),
        ToolCallCompleted(0, "c1", "f", {}, "cut", ""),
    ]
    frames = written(*events, MessageCompleted("length", "max_tokens"))
    assert frames == [
        called("c1", "f", "calls", executor="client"),
        {"type": "TOOL_CALL_END", "toolCallId": "c1"},
        custom("gateway.finish", {"reason": "length", "raw": "max_tokens"}),
        {
            "type": "TOOL_CALL_RESULT",
            "messageId": "m/result-1",
            "toolCallId": "c1",
            "content": "This call was not run.",
            "role": "tool",
            "metadata": {"gateway": {"is_error": True, "is_run": False}},
        },
        DONE,
    ]


def test_an_interrupt_asks_and_leaves_its_call_open() -> None:
    events: list[Event] = [
        ToolCallStarted(0, "c1", "f", "vendor"),
        ToolCallCompleted(0, "c1", "f", {}, "complete"),
        InputRequested(
            "i1", "approval", "Run f?", "c1", {"schema": {"type": "object"}, "expires_at": "2099", "params": [1]}
        ),
        InputRequested("i2", "question", None),
        InputRequested("i3", "approval", None, None, {"reason": "why", "schema": 7, "metadata": {"a": 1}}),
    ]
    frames = written(*events, MessageCompleted("input_required"), run=Run("t1", "r1", takes_outcomes=False))
    assert frames[-1]["outcome"] == {
        "type": "interrupt",
        "interrupts": [
            {
                "id": "i1",
                "reason": "tool_call",
                "message": "Run f?",
                "toolCallId": "c1",
                "responseSchema": {"type": "object"},
                "expiresAt": "2099",
                "metadata": {"gateway": {"fields": {"params": [1]}}},
            },
            {"id": "i2", "reason": "input_required"},
            {"id": "i3", "reason": "why", "metadata": {"a": 1, "gateway": {"fields": {"schema": 7}}}},
        ],
    }
    assert "TOOL_CALL_RESULT" not in [frame["type"] for frame in frames]


def test_the_first_message_behind_an_answered_interrupt_is_marked_with_the_answer() -> None:
    run = Run("t1", "r1", answers=[InputResponsePart("i1", approved=True)])
    mark = {"answers": [{"type": "input_response", "request_id": "i1", "approved": True}]}
    assert written(*said(0, "a"), *said(1, "b"), STOP, run=run)[0] == start(0, metadata={"gateway": mark})
    assert written(*thought(0, "a"), STOP, run=run)[1]["metadata"] == {"gateway": mark}
    call: list[Event] = [ToolCallStarted(0, "c", "f", "vendor"), ToolCallCompleted(0, "c", "f", {}, "complete")]
    assert written(*call, STOP, run=run)[0] == called("c", "f", "calls", **mark, executor="vendor")


# --- the rest


def test_what_has_no_event_is_a_custom_one() -> None:
    source = Source("s", "T", "https://a.test", None, "q", 0, 0, 2)
    file = File("f", "a.csv", "text/csv", "https://a.test/a")
    frames = written(source, Source("s2"), file, DataFrame("d", ["a"], [[1]]), Data("mood", None), STOP)
    where = {"messageId": "m/0", "start": 0, "end": 2}
    assert frames[:-1] == [
        custom("gateway.source", {"sourceId": "s", "title": "T", "url": "https://a.test", "quote": "q", **where}),
        custom("gateway.source", {"sourceId": "s2"}),
        custom("gateway.file", {"fileId": "f", "name": "a.csv", "mediaType": "text/csv", "url": "https://a.test/a"}),
        custom("gateway.data_frame", {"name": "d", "columns": ["a"], "rows": [[1]]}),
        custom("mood", None),
    ]


PATCH = [
    {"op": "add", "path": "/a~1b/-", "value": None},
    {"op": "replace", "path": "", "value": 1},
    {"op": "test", "path": "/a", "value": 1},
    {"op": "remove", "path": "/a"},
    {"op": "move", "from": "/a", "path": "/b"},
    {"op": "copy", "from": "/a", "path": "/b"},
]
ACTIVITY = {"messageId": "a1", "activityType": "PLAN"}


@pytest.mark.parametrize(
    ("data", "frame"),
    [
        (Data("state", {"n": 1}), {"type": "STATE_SNAPSHOT", "snapshot": {"n": 1}}),
        (Data("state_delta", PATCH), {"type": "STATE_DELTA", "delta": PATCH}),
        (Data("activity", {**ACTIVITY, "content": {}}), {"type": "ACTIVITY_SNAPSHOT", **ACTIVITY, "content": {}}),
        (
            Data("activity", {**ACTIVITY, "content": {}, "replace": False}),
            {"type": "ACTIVITY_SNAPSHOT", **ACTIVITY, "content": {}, "replace": False},
        ),
        (Data("activity_delta", {**ACTIVITY, "patch": PATCH}), {"type": "ACTIVITY_DELTA", **ACTIVITY, "patch": PATCH}),
        (Data("state", None), custom("state", None)),
        (Data("state_delta", [{"op": "frobnicate"}]), custom("state_delta", [{"op": "frobnicate"}])),
        (Data("state_delta", [{"op": "remove", "path": "a"}]), custom("state_delta", [{"op": "remove", "path": "a"}])),
        (Data("activity", {"odd": 1}), custom("activity", {"odd": 1})),
        (Data("activity_delta", [1]), custom("activity_delta", [1])),
        (Data("result", None), custom("result", None)),
        (VendorEvent("tick", {"a": 1}, "acme"), {"type": "RAW", "event": {"a": 1}, "source": "tick"}),
    ],
)
def test_state_and_activities_are_the_protocols_own_where_they_fit(data: Event, frame: dict[str, Any]) -> None:
    assert written(data, STOP) == [frame, DONE]


def test_a_result_is_told_with_the_end() -> None:
    assert written(Data("result", {"score": 1}), STOP) == [{**DONE, "result": {"score": 1}}]


def test_open_steps_of_one_name_are_told_apart() -> None:
    steps: list[Event] = [
        StepStarted(0, "plan"),
        StepStarted(1, "plan"),
        StepStarted(2),
        StepCompleted(1),
        StepCompleted(0),
    ]
    frames = written(*steps, StepCompleted(2), StepStarted(3, "plan"), StepCompleted(3), STOP)
    assert [(frame["type"], frame["stepName"]) for frame in frames[:-1]] == [
        ("STEP_STARTED", "plan"),
        ("STEP_STARTED", "plan (1)"),
        ("STEP_STARTED", "step 2"),
        ("STEP_FINISHED", "plan (1)"),
        ("STEP_FINISHED", "plan"),
        ("STEP_FINISHED", "step 2"),
        ("STEP_STARTED", "plan"),
        ("STEP_FINISHED", "plan"),
    ]


# --- the end


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        (None, None),
        (Usage(credits=2), None),
        (Usage(-1, 2**53), None),
        (Usage(3), [{"provider": "acme", "model": "large", "inputTokens": 3}]),
        (
            Usage(3, 2, 1, 1, 1),
            [
                {
                    "provider": "acme",
                    "model": "large",
                    "inputTokens": 3,
                    "outputTokens": 2,
                    "totalTokens": 5,
                    "reasoningTokens": 1,
                    "cachedInputTokens": 1,
                    "cacheWriteInputTokens": 1,
                }
            ],
        ),
    ],
)
def test_usage_is_a_list_of_one_told_with_the_end(usage: Usage | None, told: Any) -> None:
    completed = MessageCompleted("stop", vendor="acme", model="large", usage=usage)
    assert written(UsageReported(1), completed) == [DONE if told is None else {**DONE, "usage": told}]


def test_a_failure_has_our_code_and_says_whether_to_ask_again() -> None:
    hints = {"retryable": True, "retry_after": 2.0, "request_id": "req_1"}
    error = {"type": "RUN_ERROR", "message": "the vendor gave up", "code": "upstream_timeout"}
    assert written(*said(0, "Hi"), MessageFailed(ERROR, Usage(3)))[-1] == {
        **error,
        "usage": [{"inputTokens": 3}],
        "metadata": {"gateway": hints},
    }
    assert written(MessageFailed(ERROR)) == [{**error, "metadata": {"gateway": hints}}]


def test_a_cancelled_run_is_no_error() -> None:
    cancelled = {**DONE, "outcome": {"type": "cancelled"}}
    assert written(MessageCanceled("client", Usage(3))) == [{**cancelled, "usage": [{"inputTokens": 3}]}]


@pytest.mark.parametrize("takes_outcomes", [True, False])
def test_a_canceled_run_leaves_no_call_for_the_client_to_answer(*, takes_outcomes: bool) -> None:
    told = written(
        ToolCallStarted(0, "c1", "search", "vendor"),
        ToolCallCompleted(0, "c1", "search", {}, "complete"),
        ToolCallStarted(1, "c2", "pay", "client"),
        ToolCallDelta(1, "c2", '{"a":'),
        ToolCallCompleted(1, "c2", "pay", {}, "cut", '{"a":'),
        MessageCanceled("client"),
        run=Run("t1", "r1", takes_outcomes=takes_outcomes),
    )
    assert [frame["toolCallId"] for frame in told if frame["type"] == "TOOL_CALL_RESULT"] == ["c1", "c2"]
    assert told[-1]["type"] == "RUN_FINISHED"


def test_a_client_of_before_1_0_is_spared_what_it_fails_on() -> None:
    old = Run("t1", "r1", takes_outcomes=False)
    finished = {"type": "RUN_FINISHED", **IDS}
    assert written(STOP, run=old) == [finished]
    assert written(MessageCanceled("client"), run=old) == [custom("gateway.finish", {"reason": "canceled"}), finished]
    call: list[Event] = [ToolCallStarted(0, "c", "f", "client"), ToolCallCompleted(0, "c", "f", {}, "complete")]
    assert written(*call, MessageCompleted("tool_calls", None, ["c"]), run=old)[-1] == finished


# --- losses

EXAMPLES: list[list[Event]] = [
    [STARTED],
    [MessageRouted("v", 1)],
    [TextStarted(0)],
    [TextDelta(0, "a")],
    [TextDelta(0, "a"), TextCompleted(0, "a")],
    [ReasoningStarted(0)],
    [ReasoningDelta(0, "a")],
    [ReasoningDelta(0, "a"), ReasoningCompleted(0, "a")],
    [ToolCallStarted(0, "c", "f", "client")],
    [ToolCallDelta(0, "c", "{}")],
    [ToolCallCompleted(0, "c", "f", {}, "complete")],
    [ToolResult("c", 1, is_error=False)],
    [Source("s")],
    [File()],
    [DataFrame("d", [], [])],
    [Data("d", 1)],
    [StepStarted(0)],
    [StepStarted(0), StepCompleted(0)],
    [InputRequested("i", "question")],
    [UsageReported(1)],
    [VendorEvent("n", 1)],
    [STOP],
    [MessageFailed(ERROR)],
    [MessageCanceled("x")],
]


def test_every_event_is_an_example() -> None:
    assert {type(events[-1]) for events in EXAMPLES} == set(Event.__args__)


@pytest.mark.parametrize("events", EXAMPLES, ids=lambda events: str(events[-1].__struct_config__.tag))
def test_what_is_not_written_is_listed(events: list[Event]) -> None:
    encoder = AgUiEncoder(Run("t1", "r1"))
    *before, event = events
    for earlier in before:
        encoder.event(0, earlier)
    tag = str(event.__struct_config__.tag)
    assert (encoder.event(0, event) == b"") == (tag in LOSSES)
    assert (tag in encoder.omitted) == LOSSES.get(tag, "").startswith("omitted")

"""What our dialect writes, our translator reads back, and what a client sends back of it is what was said."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.canonical.assembler import Assembler
from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.events import (
    Data,
    DataFrame,
    Event,
    File,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
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
    VendorEvent,
)
from gateway.canonical.message import InputResponsePart, Part, TextPart, ToolResultPart
from gateway.canonical.turn import Tool
from gateway.conversations.fingerprint import extend, seed
from gateway.framing.sse import SseDecoder
from gateway.protocols.ag_ui.dialect import AgUiDialect
from gateway.protocols.ag_ui.encoder import AgUiEncoder, Run
from gateway.protocols.ag_ui.translator import AgUiTarget, AgUiTranslator
from gateway.protocols.base import ClientRequest
from tests.support.translating import ask, heard, lawful, records

TOOLS = [Tool("weather")]


def begun(message_id: str) -> list[Event]:
    return [MessageStarted(message_id, "c", "r", datetime(2026, 11, 2, tzinfo=UTC)), MessageRouted("v", 1)]


def encoded(*events: Event, message_id: str = "m1", answers: Iterable[InputResponsePart] = ()) -> bytes:
    encoder = AgUiEncoder(Run("t1", "r1", answers=list(answers)))
    told = [*begun(message_id), *events]
    return b"".join(encoder.event(number, event) for number, event in enumerate(told)) + encoder.end()


def read_back(*events: Event) -> list[Event]:
    translator = AgUiTranslator(AgUiTarget(), Blocks(Numbering()))
    next(translator.requests(ask(TextPart("hi"), tools=TOOLS)))
    told = heard(translator, records(SseDecoder(), encoded(*events)))
    lawful(told)
    return [event for event in told if not isinstance(event, Notice)]


def text(block: int, *deltas: str, signature: str | None = None) -> list[Event]:
    return [
        TextStarted(block),
        *(TextDelta(block, d) for d in deltas),
        TextCompleted(block, "".join(deltas), signature),
    ]


def call(block: int, call_id: str, name: str, executor: Any, arguments: dict[str, Any]) -> list[Event]:
    spelled = json.dumps(arguments)
    return [
        ToolCallStarted(block, call_id, name, executor),
        ToolCallDelta(block, call_id, spelled),
        ToolCallCompleted(block, call_id, name, arguments, "complete"),
    ]


RICH: list[Event] = [
    ReasoningStarted(0),
    ReasoningDelta(0, "Hm"),
    ReasoningCompleted(0, "Hm", "sealed"),
    StepStarted(0, "plan"),
    *text(1, "Hello", " world", signature="signed"),
    Source("s1", "T", "https://a.test", None, "q"),
    *call(2, "v1", "search", "vendor", {"q": 1}),
    ToolResult("v1", "none", is_error=True, name="search"),
    StepCompleted(0, "plan"),
    File(None, "a.csv", "text/csv", "https://a.test/a"),
    DataFrame("d", ["a"], [[1]]),
    Data("state", {"n": 1}),
    Data("mood", None),
    VendorEvent("tick", {"a": 1}),
    ToolCallStarted(3, "c1", "weather", "client"),
    ToolCallStarted(4, "c2", "weather", "client"),
    ToolCallDelta(3, "c1", '{"a":'),
    ToolCallDelta(4, "c2", "{}"),
    ToolCallDelta(3, "c1", "1}"),
    ToolCallCompleted(4, "c2", "weather", {}, "complete"),
    ToolCallCompleted(3, "c1", "weather", {"a": 1}, "complete"),
    Data("result", [1]),
]


def without_starts(events: Iterable[Event]) -> list[Event]:
    """A text and a reasoning start with their first delta."""
    return [event for event in events if not isinstance(event, (TextStarted, ReasoningStarted))]


@pytest.mark.parametrize(
    "ending",
    [
        MessageCompleted("tool_calls", None, ["c1", "c2"]),
        MessageCanceled("vendor"),
    ],
)
def test_a_rich_answer_is_read_back_as_it_was(ending: Event) -> None:
    told = RICH if isinstance(ending, MessageCompleted) else RICH[:-1]
    assert without_starts(read_back(*told, ending)) == without_starts([*told, ending])


@pytest.mark.parametrize("reason", ["length", "content_filter", "other"])
def test_an_answer_cut_short_is_read_back_as_that(reason: Any) -> None:
    completed = MessageCompleted(reason, "raw")
    assert read_back(*text(0, "Hi"), completed) == [*text(0, "Hi"), completed]


def test_a_question_is_read_back() -> None:
    question = InputRequested("i1", "approval", "Run?", "v1", {"reason": "tool_call", "schema": {"type": "object"}})
    asked = [*call(0, "v1", "search", "vendor", {}), question]
    assert read_back(*asked, MessageCompleted("input_required")) == [
        *asked,
        MessageCompleted("input_required", "interrupt"),
    ]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
ARGUMENTS = st.dictionaries(TEXTS, st.none() | st.integers(-9, 9) | TEXTS | st.lists(st.booleans()), max_size=3)


@given(deltas=st.lists(TEXTS, min_size=1, max_size=4).filter(any), arguments=ARGUMENTS, output=TEXTS)
def test_any_text_call_and_result_is_read_back(deltas: list[str], arguments: dict[str, Any], output: str) -> None:
    events = [*text(0, *deltas), *call(1, "v1", "f", "vendor", arguments), ToolResult("v1", output, is_error=False)]
    told = read_back(*events, MessageCompleted("stop"))
    assert [event.text for event in told if isinstance(event, TextCompleted)] == ["".join(deltas)]
    assert [event.arguments for event in told if isinstance(event, ToolCallCompleted)] == [arguments]
    assert [event.output for event in told if isinstance(event, ToolResult)] == [output]


# --- what a client sends back


def kept(body: bytes) -> list[dict[str, Any]]:
    """What the client's library makes of a stream, in its history (see `requests/` for what it sends)."""
    messages: list[dict[str, Any]] = []
    for record in SseDecoder().feed(body):
        frame = json.loads(record.data)
        match frame["type"]:
            case "TEXT_MESSAGE_START":
                messages.append({"id": frame["messageId"], "role": "assistant", "content": "", **_metadata(frame)})
            case "TEXT_MESSAGE_CONTENT":
                messages[-1]["content"] += frame["delta"]
            case "TOOL_CALL_START":
                parent = next((m for m in messages if m["id"] == frame["parentMessageId"]), None)
                if parent is None:
                    parent = {"id": frame["parentMessageId"], "role": "assistant"}
                    messages.append(parent)
                function = {"name": frame["toolCallName"], "arguments": ""}
                made = {"id": frame["toolCallId"], "type": "function", "function": function, **_metadata(frame)}
                parent.setdefault("toolCalls", []).append(made)
            case "TOOL_CALL_ARGS":
                calls = [made for m in messages for made in m.get("toolCalls", []) if made["id"] == frame["toolCallId"]]
                calls[0]["function"]["arguments"] += frame["delta"]
            case "TOOL_CALL_RESULT":
                result = {name: frame[name] for name in ("toolCallId", "content", "role", "metadata")}
                messages.append({"id": frame["messageId"], **result})
    return messages


def _metadata(frame: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": frame["metadata"]} if "metadata" in frame else {}


def stored(*events: Event) -> list[Part]:
    assembler = Assembler()
    for event in events:
        assembler.add(event)
    return assembler.parts()


def chain(*said: tuple[Any, Iterable[Part]]) -> bytes:
    fingerprint = seed("support", None)
    for role, parts in said:
        fingerprint = extend(fingerprint, role, parts)
    return fingerprint


def test_a_conversation_with_calls_and_an_approval_is_recognised() -> None:
    first = [
        *text(0, "Let me."),
        *call(1, "c1", "weather", "client", {"a": 1}),
        *call(2, "v1", "search", "vendor", {}),
        ToolResult("v1", "none", is_error=False),
        *text(3, "After."),
    ]
    second = [*call(0, "d1", "delete", "vendor", {}), InputRequested("i1", "approval", "Sure?", "d1")]
    answer = InputResponsePart("i1", approved=True)
    third = [ToolResult("d1", "deleted", is_error=False), *text(0, "Done.")]
    history = [
        {"id": "u1", "role": "user", "content": "hi"},
        *kept(encoded(*first, MessageCompleted("tool_calls", None, ["c1"]))),
        {"id": "r1", "role": "tool", "toolCallId": "c1", "content": "sun"},
        *kept(encoded(*second, MessageCompleted("input_required"), message_id="m2")),
        *kept(encoded(*third, MessageCompleted("stop"), message_id="m3", answers=[answer])),
        {"id": "u2", "role": "user", "content": "next"},
    ]
    run = {"threadId": "t1", "runId": "r9", "messages": history, "tools": [{"name": "weather", "description": ""}]}
    headers = CIMultiDict({"Content-Type": "application/json"})
    asked = AgUiDialect().read(ClientRequest(headers, json.dumps(run).encode(), {"route": "support"})).request
    assert asked.content == [TextPart("next")]
    assert chain(*((told.role, told.parts) for told in asked.history)) == chain(
        ("user", [TextPart("hi")]),
        ("assistant", stored(*first)),
        ("user", [ToolResultPart("c1", "sun")]),
        ("assistant", stored(*second)),
        ("user", [answer]),
        ("assistant", stored(*third)),
    )

"""How events stand on the wire: the type, the fields that apply, and nothing else."""

from datetime import UTC, datetime
from typing import get_args

import msgspec
import pytest

from gateway.canonical.errors import ErrorBody
from gateway.canonical.events import (
    ANSWER,
    CONTENT,
    TERMINAL,
    Event,
    MessageCompleted,
    MessageRouted,
    MessageStarted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    Usage,
    UsageReported,
)
from gateway.canonical.message import Message, TextPart, ToolCallPart

ERROR = ErrorBody("upstream_unavailable", "the vendor is unavailable", retryable=True)
NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)

WIRE: list[tuple[Event, bytes]] = [
    (
        MessageStarted("m1", "c1", "default", NOON),
        (
            b'{"type":"message.started","message_id":"m1","conversation_id":"c1","route":"default",'
            b'"created_at":"2026-11-02T12:00:00Z"}'
        ),
    ),
    (MessageRouted("acme", 1), b'{"type":"message.routed","vendor":"acme","attempt":1}'),
    (
        MessageRouted("zeta", 2, None, "acme", ERROR, discard=False),
        (
            b'{"type":"message.routed","vendor":"zeta","attempt":2,"from":"acme","error":{"code":"upstream_unavailable",'
            b'"message":"the vendor is unavailable","retryable":true},"discard":false}'
        ),
    ),
    (TextStarted(0), b'{"type":"text.started","block":0}'),
    (TextStarted(1, 0), b'{"type":"text.started","block":1,"replaces":0}'),
    (TextDelta(0, "é\n"), '{"type":"text.delta","block":0,"delta":"é\\n"}'.encode()),
    (
        ToolCallCompleted(0, "c", "f", {}, "cut", "{"),
        (
            b'{"type":"tool_call.completed","block":0,"tool_call_id":"c","name":"f","arguments":{},"status":"cut",'
            b'"raw_arguments":"{"}'
        ),
    ),
    (UsageReported(input_tokens=1, credits=0.5), b'{"type":"usage","input_tokens":1,"credits":0.5}'),
    (
        MessageCompleted("stop", usage=Usage(output_tokens=2)),
        b'{"type":"message.completed","finish_reason":"stop","usage":{"output_tokens":2}}',
    ),
]


@pytest.mark.parametrize(("event", "wire"), WIRE, ids=[type(event).__name__ for event, _ in WIRE])
def test_an_event_is_written_with_its_type_and_read_back_as_itself(event: Event, wire: bytes) -> None:
    assert msgspec.json.encode(event) == wire
    assert msgspec.json.decode(wire, type=Event) == event


def test_every_event_has_a_type_of_its_own() -> None:
    types = [event.__struct_config__.tag for event in get_args(Event)]
    assert sorted(types) == sorted(
        [
            "data",
            "data_frame",
            "file",
            "input.requested",
            "message.canceled",
            "message.completed",
            "message.failed",
            "message.routed",
            "message.started",
            "reasoning.completed",
            "reasoning.delta",
            "reasoning.started",
            "source",
            "step.completed",
            "step.started",
            "text.completed",
            "text.delta",
            "text.started",
            "tool_call.completed",
            "tool_call.delta",
            "tool_call.started",
            "tool_result",
            "usage",
            "vendor.event",
        ]
    )


def test_an_answer_is_content_and_a_terminal_is_not() -> None:
    assert ANSWER < CONTENT
    assert not TERMINAL & CONTENT


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="immutable"):
        TextDelta(0, "a").delta = "b"  # type: ignore[misc]  # this is what is refused


def test_a_message_is_written_with_what_applies_and_read_back_as_itself() -> None:
    message = Message(
        "m1",
        "c1",
        "assistant",
        "completed",
        [TextPart("Hi", 0), ToolCallPart("c", "f", {"q": 1}, 1)],
        NOON,
        finish_reason="tool_calls",
        pending_tool_calls=["c"],
    )
    wire = (
        b'{"id":"m1","conversation_id":"c1","role":"assistant","status":"completed","parts":['
        b'{"type":"text","text":"Hi","block":0},'
        b'{"type":"tool_call","tool_call_id":"c","name":"f","arguments":{"q":1},"block":1}],'
        b'"created_at":"2026-11-02T12:00:00Z","finish_reason":"tool_calls","pending_tool_calls":["c"]}'
    )
    assert msgspec.json.encode(message) == wire
    assert msgspec.json.decode(wire, type=Message) == message

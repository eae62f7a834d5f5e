"""What our dialect writes: the events of AG-UI 1.0, exactly as its own client takes them.

A field without a value is left out: a null is fatal. A text delta has no frame here: its bytes are made by a template.
`metadata.gateway` holds what the protocol has no field for: of a call who runs it, of a result whether it is an error,
of an answer's first message what the client had answered, of an error whether to ask again. The client's library keeps
it with the message and the call, and sends it back.
Source: @ag-ui/core 1.0.0, and @ag-ui/client 1.0.0 run against these frames, 2026-11.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

GATEWAY = "gateway"
MAX_COUNT = 2**53 - 1
"""The largest number that the client's library takes."""


class Frame(Struct, rename="camel", omit_defaults=True, tag_field="type"):
    """What all of them share."""


class RunStarted(Frame, tag="RUN_STARTED"):
    thread_id: str
    run_id: str
    protocol_version: str | None = None


class Interrupt(Struct, rename="camel", omit_defaults=True):
    id: str
    reason: str
    message: str | None = None
    tool_call_id: str | None = None
    response_schema: dict[str, Any] | None = None
    expires_at: str | None = None
    metadata: dict[str, Any] | None = None


class Success(Frame, tag="success"):
    pending_tool_call_ids: list[str] | None = None


class Interrupted(Frame, tag="interrupt"):
    interrupts: list[Interrupt]


class Cancelled(Frame, tag="cancelled"):
    pass


class TokenUsage(Struct, rename="camel", omit_defaults=True):
    provider: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None


class RunFinished(Frame, tag="RUN_FINISHED"):
    thread_id: str
    run_id: str
    result: Any = None
    outcome: Success | Interrupted | Cancelled | None = None
    usage: list[TokenUsage] | None = None


class RunError(Frame, tag="RUN_ERROR"):
    message: str
    code: str
    usage: list[TokenUsage] | None = None
    metadata: dict[str, Any] | None = None


class StepStarted(Frame, tag="STEP_STARTED"):
    step_name: str


class StepFinished(Frame, tag="STEP_FINISHED"):
    step_name: str


class TextMessageStart(Frame, tag="TEXT_MESSAGE_START"):
    message_id: str
    role: Literal["assistant"]
    metadata: dict[str, Any] | None = None


class TextMessageEnd(Frame, tag="TEXT_MESSAGE_END"):
    message_id: str


class ReasoningStart(Frame, tag="REASONING_START"):
    message_id: str


class ReasoningMessageStart(Frame, tag="REASONING_MESSAGE_START"):
    message_id: str
    role: Literal["reasoning"]
    metadata: dict[str, Any] | None = None


class ReasoningMessageEnd(Frame, tag="REASONING_MESSAGE_END"):
    message_id: str


class ReasoningEnd(Frame, tag="REASONING_END"):
    message_id: str


class ReasoningEncryptedValue(Frame, tag="REASONING_ENCRYPTED_VALUE"):
    subtype: Literal["message", "tool-call"]
    entity_id: str
    encrypted_value: str


class ToolCallStart(Frame, tag="TOOL_CALL_START"):
    tool_call_id: str
    tool_call_name: str
    parent_message_id: str
    metadata: dict[str, Any] | None


class ToolCallArgs(Frame, tag="TOOL_CALL_ARGS"):
    tool_call_id: str
    delta: str


class ToolCallEnd(Frame, tag="TOOL_CALL_END"):
    tool_call_id: str


class ToolCallResult(Frame, tag="TOOL_CALL_RESULT"):
    message_id: str
    tool_call_id: str
    content: str
    role: Literal["tool"]
    metadata: dict[str, Any]


class Raw(Frame, tag="RAW"):
    event: Any
    source: str


class Custom(Frame, tag="CUSTOM"):
    name: str
    value: Any


# --- state, which must fit: the client's library fails on what is no JSON patch

Pointer = Annotated[str, Meta(pattern=r"^(/([^/~]|~[01])*)*\Z")]


class Operation(Struct, tag_field="op"):
    path: Pointer


class Add(Operation, tag="add"):
    value: Any


class Replace(Operation, tag="replace"):
    value: Any


class Test(Operation, tag="test"):
    value: Any


class Remove(Operation, tag="remove"):
    pass


class Move(Operation, tag="move"):
    source: Pointer = field(name="from")


class Copy(Operation, tag="copy"):
    source: Pointer = field(name="from")


Patch = list[Add | Replace | Test | Remove | Move | Copy]


class StateSnapshot(Frame, tag="STATE_SNAPSHOT"):
    snapshot: Any


class StateDelta(Frame, tag="STATE_DELTA"):
    delta: Patch


class ActivitySnapshot(Frame, tag="ACTIVITY_SNAPSHOT"):
    message_id: str
    activity_type: str
    content: dict[str, Any]
    replace: bool | None = None


class ActivityDelta(Frame, tag="ACTIVITY_DELTA"):
    message_id: str
    activity_type: str
    patch: Patch

"""What an AG-UI server streams: the events of protocol 1.0, the short forms, and the `THINKING_*` of older servers.

Every event may also carry `timestamp`, `rawEvent`, `metadata` and `subagentRunId`, which pass by unread. A field that a
server leaves out, or sends as null although 1.0 forbids it, has the default that means "absent".
Source: ag-ui-protocol 1.0.0 (`ag_ui/_generated/models.py`), @ag-ui/core 1.0.0, read 2026-11.
"""

from typing import Any

from msgspec import Raw, Struct

from gateway.protocols.ag_ui.run_input import AnyPart


class Event(Struct, rename="camel", tag_field="type"):
    """What all events share."""


# --- the run


class RunStarted(Event, tag="RUN_STARTED"):
    thread_id: str = ""
    run_id: str = ""


class Interrupt(Struct, rename="camel"):
    id: str
    reason: str = ""
    message: str | None = None
    tool_call_id: str | None = None
    response_schema: dict[str, Any] | None = None
    expires_at: str | None = None
    metadata: dict[str, Any] | None = None


class Outcome(Struct, rename="camel"):
    """`type`: `success`, `interrupt` or `cancelled`; any other reads as success."""

    type: str = "success"
    pending_tool_call_ids: list[str] | None = None
    interrupts: list[Interrupt] | None = None


class TokenUsage(Struct, rename="camel"):
    """Of one provider and model; parts are included in totals."""

    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None


class RunFinished(Event, tag="RUN_FINISHED"):
    result: Any = None
    outcome: Outcome | None = None
    usage: list[TokenUsage] | TokenUsage | None = None


class RunError(Event, tag="RUN_ERROR"):
    message: str = ""
    code: str | int | None = None
    usage: list[TokenUsage] | TokenUsage | None = None


class StepStarted(Event, tag="STEP_STARTED"):
    step_name: str


class StepFinished(Event, tag="STEP_FINISHED"):
    step_name: str


class SubagentStarted(Event, tag="SUBAGENT_STARTED"):
    subagent_run_id: str
    name: str = ""


class SubagentFinished(Event, tag="SUBAGENT_FINISHED"):
    subagent_run_id: str


class SubagentError(Event, tag="SUBAGENT_ERROR"):
    subagent_run_id: str
    message: str = ""
    code: str | None = None


# --- text


class TextMessageStart(Event, tag="TEXT_MESSAGE_START"):
    message_id: str
    role: str | None = None


class TextMessageContent(Event, tag="TEXT_MESSAGE_CONTENT", gc=False):
    message_id: str = ""
    delta: str = ""


class TextMessageEnd(Event, tag="TEXT_MESSAGE_END"):
    message_id: str = ""


class TextMessageChunk(Event, tag="TEXT_MESSAGE_CHUNK"):
    message_id: str | None = None
    role: str | None = None
    delta: str | None = None


# --- reasoning


class ReasoningStart(Event, tag="REASONING_START"):
    message_id: str = ""


class ReasoningEnd(Event, tag="REASONING_END"):
    message_id: str = ""


class ReasoningMessageStart(Event, tag="REASONING_MESSAGE_START"):
    message_id: str = ""


class ReasoningMessageContent(Event, tag="REASONING_MESSAGE_CONTENT", gc=False):
    message_id: str = ""
    delta: str = ""


class ReasoningMessageEnd(Event, tag="REASONING_MESSAGE_END"):
    message_id: str = ""


class ReasoningMessageChunk(Event, tag="REASONING_MESSAGE_CHUNK"):
    message_id: str | None = None
    delta: str | None = None


class ReasoningEncryptedValue(Event, tag="REASONING_ENCRYPTED_VALUE"):
    """`entity_id` is a message's or, where `subtype` is `tool-call`, a tool call's."""

    entity_id: str
    encrypted_value: str
    subtype: str = "message"


class ThinkingStart(Event, tag="THINKING_START"):
    pass


class ThinkingEnd(Event, tag="THINKING_END"):
    pass


class ThinkingTextMessageStart(Event, tag="THINKING_TEXT_MESSAGE_START"):
    pass


class ThinkingTextMessageContent(Event, tag="THINKING_TEXT_MESSAGE_CONTENT"):
    delta: str = ""


class ThinkingTextMessageEnd(Event, tag="THINKING_TEXT_MESSAGE_END"):
    pass


# --- tool calls


class ToolCallStart(Event, tag="TOOL_CALL_START"):
    tool_call_id: str
    tool_call_name: str


class ToolCallArgs(Event, tag="TOOL_CALL_ARGS", gc=False):
    tool_call_id: str
    delta: str = ""


class ToolCallEnd(Event, tag="TOOL_CALL_END"):
    tool_call_id: str


class ToolCallChunk(Event, tag="TOOL_CALL_CHUNK"):
    tool_call_id: str | None = None
    tool_call_name: str | None = None
    delta: str | None = None


class ToolCallResult(Event, tag="TOOL_CALL_RESULT"):
    tool_call_id: str
    content: str | list[AnyPart]
    message_id: str = ""
    metadata: Any = None


# --- state and the rest


class StateSnapshot(Event, tag="STATE_SNAPSHOT"):
    snapshot: Any = None


class StateDelta(Event, tag="STATE_DELTA"):
    delta: list[Any]


class MessagesSnapshot(Event, tag="MESSAGES_SNAPSHOT"):
    """Each message is read by itself, so that one of a kind that we do not know spoils nothing."""

    messages: list[Raw]


class ActivitySnapshot(Event, tag="ACTIVITY_SNAPSHOT"):
    message_id: str
    activity_type: str
    content: Any = None
    replace: bool | None = None


class ActivityDelta(Event, tag="ACTIVITY_DELTA"):
    message_id: str
    activity_type: str
    patch: list[Any]


class RawEvent(Event, tag="RAW"):
    event: Any = None
    source: str | None = None


class Custom(Event, tag="CUSTOM"):
    name: str
    value: Any = None


AnyEvent = (
    TextMessageContent
    | TextMessageStart
    | TextMessageEnd
    | TextMessageChunk
    | ReasoningStart
    | ReasoningEnd
    | ReasoningMessageStart
    | ReasoningMessageContent
    | ReasoningMessageEnd
    | ReasoningMessageChunk
    | ReasoningEncryptedValue
    | ThinkingStart
    | ThinkingEnd
    | ThinkingTextMessageStart
    | ThinkingTextMessageContent
    | ThinkingTextMessageEnd
    | ToolCallStart
    | ToolCallArgs
    | ToolCallEnd
    | ToolCallChunk
    | ToolCallResult
    | StateSnapshot
    | StateDelta
    | MessagesSnapshot
    | ActivitySnapshot
    | ActivityDelta
    | RawEvent
    | Custom
    | RunStarted
    | RunFinished
    | RunError
    | StepStarted
    | StepFinished
    | SubagentStarted
    | SubagentFinished
    | SubagentError
)

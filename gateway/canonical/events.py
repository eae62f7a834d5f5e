"""The closed union of what a client is told while a message is answered.

Each event is a frozen Struct whose tag is its `type`. It carries no sequence: that is its place in the message's log,
and the encoder is given it. A field that does not apply is absent on the wire, never null.

    message.started -> message.routed -> blocks, results, steps ... -> message.completed | .failed | .canceled

The laws that a sequence of events obeys are in `laws.py`; `CONTENT` says which events commit an attempt.
"""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct, field

from gateway.canonical.errors import ErrorBody

FinishReason = Literal["stop", "length", "tool_calls", "input_required", "content_filter", "other"]
Executor = Literal["client", "vendor", "unknown"]
ToolCallStatus = Literal["complete", "cut", "unreadable"]


class Usage(Struct, frozen=True, omit_defaults=True):
    """A cumulative snapshot. Cached tokens are part of the input, reasoning of the output; credits may be fractions."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    credits: float | None = None
    estimated: bool = False
    partial: bool = False


class Base(Struct, frozen=True, omit_defaults=True, tag_field="type"):
    """What all events share: frozen, tagged by `type`, absent fields left out."""


class MessageStarted(Base, frozen=True, tag="message.started"):
    message_id: str
    conversation_id: str
    route: str
    created_at: datetime


class MessageRouted(Base, frozen=True, tag="message.routed"):
    """Who answers. A later one is a switch in mid-stream and has `from`, `error` and `discard`."""

    vendor: str
    attempt: int
    model: str | None = None
    from_: str | None = field(name="from", default=None)
    error: ErrorBody | None = None
    discard: bool | None = None


class TextStarted(Base, frozen=True, tag="text.started"):
    """`replaces`: this block corrects that one, which a reader drops."""

    block: int
    replaces: int | None = None


class TextDelta(Base, frozen=True, tag="text.delta", gc=False):
    block: int
    delta: str


class TextCompleted(Base, frozen=True, tag="text.completed"):
    block: int
    text: str
    signature: str | None = None


class ReasoningStarted(Base, frozen=True, tag="reasoning.started"):
    block: int
    replaces: int | None = None


class ReasoningDelta(Base, frozen=True, tag="reasoning.delta", gc=False):
    block: int
    delta: str


class ReasoningCompleted(Base, frozen=True, tag="reasoning.completed"):
    block: int
    text: str
    signature: str | None = None


class ToolCallStarted(Base, frozen=True, tag="tool_call.started"):
    block: int
    tool_call_id: str
    name: str
    executor: Executor


class ToolCallDelta(Base, frozen=True, tag="tool_call.delta", gc=False):
    """`delta` is a fragment of the arguments' JSON text."""

    block: int
    tool_call_id: str
    delta: str


class ToolCallCompleted(Base, frozen=True, tag="tool_call.completed"):
    """`arguments` is `{}` and `raw_arguments` the text as it came where `status` is not `complete`."""

    block: int
    tool_call_id: str
    name: str
    arguments: dict[str, Any]
    status: ToolCallStatus
    raw_arguments: str | None = None
    signature: str | None = None


class ToolResult(Base, frozen=True, tag="tool_result"):
    tool_call_id: str
    output: Any
    is_error: bool
    name: str | None = None


class Source(Base, frozen=True, tag="source"):
    """`start` and `end` count code points of `block`'s text."""

    source_id: str
    title: str | None = None
    url: str | None = None
    file_id: str | None = None
    quote: str | None = None
    block: int | None = None
    start: int | None = None
    end: int | None = None


class File(Base, frozen=True, tag="file"):
    file_id: str | None = None
    name: str | None = None
    media_type: str | None = None
    url: str | None = None


class DataFrame(Base, frozen=True, tag="data_frame"):
    name: str
    columns: list[str]
    rows: list[list[Any]]


class Data(Base, frozen=True, tag="data"):
    """A chart, a UI patch, quick actions: `value` as the vendor gave it."""

    name: str
    value: Any


class StepStarted(Base, frozen=True, tag="step.started"):
    step: int
    name: str | None = None


class StepCompleted(Base, frozen=True, tag="step.completed"):
    step: int
    name: str | None = None


class InputRequested(Base, frozen=True, tag="input.requested"):
    """The vendor waits for a person; `message.completed(input_required)` follows."""

    request_id: str
    kind: Literal["question", "approval"]
    prompt: str | None = None
    tool_call_id: str | None = None
    fields: dict[str, Any] | None = None


class UsageReported(Usage, frozen=True, omit_defaults=True, tag_field="type", tag="usage"):
    """The snapshot as an event; a later one replaces it."""


class VendorEvent(Base, frozen=True, tag="vendor.event"):
    """What has no canonical meaning; sent only where the route asks for it. `vendor` is filled in by the relay."""

    name: str
    payload: Any
    vendor: str = ""


class MessageCompleted(Base, frozen=True, tag="message.completed"):
    """A translator gives the reasons and `pending_tool_calls`; the relay adds the rest."""

    finish_reason: FinishReason
    raw_finish_reason: str | None = None
    pending_tool_calls: list[str] = []
    vendor: str | None = None
    model: str | None = None
    usage: Usage | None = None
    vendor_ids: dict[str, str] = {}


class MessageFailed(Base, frozen=True, tag="message.failed"):
    error: ErrorBody
    usage: Usage | None = None
    vendor_ids: dict[str, str] = {}


class MessageCanceled(Base, frozen=True, tag="message.canceled"):
    reason: str
    usage: Usage | None = None
    vendor_ids: dict[str, str] = {}


NoticeKind = Literal[
    "after_terminal",  # the vendor went on after its terminal event
    "arguments_differ",  # a tool call's final arguments are not what its deltas spelled
    "repaired_block",  # a delta for a block never opened, or one opened or closed twice
    "repaired_utf8",  # invalid bytes became U+FFFD
    "text_corrected",  # the closing text is not what the deltas spelled
    "vendor_sequence",  # the vendor's own numbering repeats, goes back or has gaps
]


class Notice(Struct, frozen=True):
    """An oddity of a vendor, for the metrics; a client never sees it."""

    kind: NoticeKind


Event = (
    MessageStarted
    | MessageRouted
    | TextStarted
    | TextDelta
    | TextCompleted
    | ReasoningStarted
    | ReasoningDelta
    | ReasoningCompleted
    | ToolCallStarted
    | ToolCallDelta
    | ToolCallCompleted
    | ToolResult
    | Source
    | File
    | DataFrame
    | Data
    | StepStarted
    | StepCompleted
    | InputRequested
    | UsageReported
    | VendorEvent
    | MessageCompleted
    | MessageFailed
    | MessageCanceled
)

CONTENT: frozenset[type] = frozenset(
    {
        TextDelta,
        ReasoningDelta,
        ToolCallStarted,
        ToolCallDelta,
        ToolResult,
        Source,
        File,
        DataFrame,
        Data,
        InputRequested,
    }
)
"""Events that commit an attempt: the client has seen something it could act on. A delta counts if it is not empty."""

ANSWER: frozenset[type] = frozenset({TextDelta, ToolCallStarted, File, DataFrame, Data, InputRequested})
"""Events without one of which an answer that ends with `stop` or `other` is empty."""

TERMINAL: frozenset[type] = frozenset({MessageCompleted, MessageFailed, MessageCanceled})

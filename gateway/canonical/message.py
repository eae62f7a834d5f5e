"""One stored utterance: the JSON answer, an entry of `history`, and what the store keeps.

A part is a finished block with the fields of its events. Parts stand in the order in which their blocks were opened;
the correction of a block stands in the place of what it replaces.
"""

from datetime import datetime
from typing import Any, Literal

from msgspec import Struct

from gateway.canonical.errors import ErrorBody
from gateway.canonical.events import Executor, FinishReason, ToolCallStatus, Usage

Role = Literal["system", "user", "assistant", "tool"]
Status = Literal["running", "completed", "failed", "canceled"]


class PartBase(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="type"):
    """What all parts share: frozen, tagged by `type`, strict, absent fields left out."""


class TextPart(PartBase, frozen=True, tag="text"):
    text: str
    block: int | None = None
    signature: str | None = None


class ReasoningPart(PartBase, frozen=True, tag="reasoning"):
    text: str
    block: int | None = None
    signature: str | None = None


class ToolCallPart(PartBase, frozen=True, tag="tool_call"):
    tool_call_id: str
    name: str
    arguments: dict[str, Any]
    block: int | None = None
    status: ToolCallStatus = "complete"
    executor: Executor = "unknown"
    raw_arguments: str | None = None
    signature: str | None = None


class ToolResultPart(PartBase, frozen=True, tag="tool_result"):
    tool_call_id: str
    output: Any
    is_error: bool = False
    name: str | None = None


class SourcePart(PartBase, frozen=True, tag="source"):
    """`start` and `end` count code points of the text of `block`."""

    source_id: str
    title: str | None = None
    url: str | None = None
    file_id: str | None = None
    quote: str | None = None
    block: int | None = None
    start: int | None = None
    end: int | None = None


class ImagePart(PartBase, frozen=True, tag="image"):
    """What a client sends: one of `file_id`, `url`, or `data` (base64) with `media_type`."""

    file_id: str | None = None
    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    name: str | None = None


class FilePart(PartBase, frozen=True, tag="file"):
    file_id: str | None = None
    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    name: str | None = None


class DataFramePart(PartBase, frozen=True, tag="data_frame"):
    name: str
    columns: list[str]
    rows: list[list[Any]]


class DataPart(PartBase, frozen=True, tag="data"):
    name: str
    value: Any


class InputPart(PartBase, frozen=True, tag="input"):
    """A question or an approval that the vendor waits for."""

    request_id: str
    kind: Literal["question", "approval"]
    prompt: str | None = None
    tool_call_id: str | None = None
    fields: dict[str, Any] | None = None


class InputResponsePart(PartBase, frozen=True, tag="input_response"):
    """The client's answer to an input request."""

    request_id: str
    approved: bool | None = None
    text: str | None = None
    values: dict[str, Any] | None = None


Part = (
    TextPart
    | ReasoningPart
    | ToolCallPart
    | ToolResultPart
    | SourcePart
    | ImagePart
    | FilePart
    | DataFramePart
    | DataPart
    | InputPart
    | InputResponsePart
)


class Message(Struct, frozen=True, omit_defaults=True):
    """`regenerates` is the id of the answer that this one was asked for instead of."""

    id: str
    conversation_id: str
    role: Role
    status: Status
    parts: list[Part]
    created_at: datetime
    completed_at: datetime | None = None
    finish_reason: FinishReason | None = None
    raw_finish_reason: str | None = None
    pending_tool_calls: list[str] = []
    reason: str | None = None
    usage: Usage | None = None
    route: str | None = None
    vendor: str | None = None
    model: str | None = None
    error: ErrorBody | None = None
    vendor_ids: dict[str, str] = {}
    regenerates: str | None = None

"""The UI message stream of the AI SDK, versions 5 to 7, as it is spelled on the wire.

    Frame       what comes in a stream, by `type`; `data-NAME` is an open set and stays `Unknown`
    UiMessage   what is said, both ways: a role and parts; a part's `type` may be `tool-NAME` or `data-NAME`
    Chat        what a client posts
    Seal        what must come back with a part of the vendor's own, kept as the part's signature

An optional field may be null in what we read, and is left out of what we write.
Source: packages ai 5.0.277, 6.0.326, 7.0.173 (`ui-message-chunks.ts`, `ui-messages.ts`), read 2026-11.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

DONE = b"[DONE]"

MESSAGE_STREAM = {"x-vercel-ai-ui-message-stream": "v1"}

KEYS = frozenset({"id", "messages", "message", "trigger", "messageId"})
"""The protocol's own fields of what is posted; all others are the application's."""

TOOL, DATA, DYNAMIC_TOOL = "tool-", "data-", "dynamic-tool"

Metadata = dict[str, Any]


# --- frames


class Base(Struct, frozen=True, tag_field="type", rename="camel", kw_only=True):
    provider_metadata: Metadata | None = None


class Start(Base, frozen=True, kw_only=True, tag="start"):
    message_id: str | None = None
    message_metadata: Any = None


class MessageMetadata(Base, frozen=True, kw_only=True, tag="message-metadata"):
    message_metadata: Any = None


class Finish(Base, frozen=True, kw_only=True, tag="finish"):
    finish_reason: str | None = None
    message_metadata: Any = None


class Abort(Base, frozen=True, tag="abort"):
    pass


class Error(Base, frozen=True, kw_only=True, tag="error"):
    error_text: Any = None


class StartStep(Base, frozen=True, tag="start-step"):
    pass


class FinishStep(Base, frozen=True, tag="finish-step"):
    pass


class ResetStep(Base, frozen=True, tag="reset-step"):
    """Takes back all parts since the last `start-step`."""


class TextStart(Base, frozen=True, kw_only=True, tag="text-start"):
    id: str


class TextDelta(Base, frozen=True, kw_only=True, tag="text-delta"):
    id: str
    delta: str


class CitedSource(Struct, frozen=True, rename="camel", kw_only=True):
    id: str
    url: str | None = None
    title: str | None = None
    filename: str | None = None


class Citation(Struct, frozen=True, rename="camel", kw_only=True):
    source: CitedSource
    start_index: int | None = None
    end_index: int | None = None
    cited_text: str | None = None


class TextEnd(Base, frozen=True, kw_only=True, tag="text-end"):
    id: str
    citations: list[Citation] | None = None


class ReasoningStart(Base, frozen=True, kw_only=True, tag="reasoning-start"):
    id: str


class ReasoningDelta(Base, frozen=True, kw_only=True, tag="reasoning-delta"):
    id: str
    delta: str


class ReasoningEnd(Base, frozen=True, kw_only=True, tag="reasoning-end"):
    id: str


CallId = Annotated[str, Meta(min_length=1)]


class OfCall(Base, frozen=True, kw_only=True):
    tool_call_id: CallId
    provider_executed: bool | None = None
    dynamic: bool | None = None


class ToolInputStart(OfCall, frozen=True, kw_only=True, tag="tool-input-start"):
    tool_name: str


class ToolInputDelta(OfCall, frozen=True, kw_only=True, tag="tool-input-delta"):
    input_text_delta: str


class ToolInputAvailable(OfCall, frozen=True, kw_only=True, tag="tool-input-available"):
    tool_name: str
    input: Any = None


class ToolInputError(OfCall, frozen=True, kw_only=True, tag="tool-input-error"):
    tool_name: str
    input: Any = None
    error_text: str = ""


class ToolOutputAvailable(OfCall, frozen=True, kw_only=True, tag="tool-output-available"):
    """A `preliminary` output is followed by a better one."""

    output: Any = None
    preliminary: bool | None = None


class ToolOutputError(OfCall, frozen=True, kw_only=True, tag="tool-output-error"):
    error_text: str = ""


class ToolOutputDenied(OfCall, frozen=True, kw_only=True, tag="tool-output-denied"):
    pass


class ToolApprovalRequest(OfCall, frozen=True, kw_only=True, tag="tool-approval-request"):
    approval_id: CallId
    reason: str | None = None
    approval_descriptor: Any = None
    is_automatic: bool | None = None


class ToolApprovalResponse(Base, frozen=True, kw_only=True, tag="tool-approval-response"):
    approval_id: CallId


class SourceUrl(Base, frozen=True, kw_only=True, tag="source-url"):
    source_id: str
    url: str
    title: str | None = None


class SourceDocument(Base, frozen=True, kw_only=True, tag="source-document"):
    source_id: str
    title: str | None = None
    filename: str | None = None


class File(Base, frozen=True, kw_only=True, tag="file"):
    url: str
    media_type: str | None = None


class ReasoningFile(Base, frozen=True, kw_only=True, tag="reasoning-file"):
    url: str
    media_type: str | None = None


Frame = (
    Start
    | MessageMetadata
    | Finish
    | Abort
    | Error
    | StartStep
    | FinishStep
    | ResetStep
    | TextStart
    | TextDelta
    | TextEnd
    | ReasoningStart
    | ReasoningDelta
    | ReasoningEnd
    | ToolInputStart
    | ToolInputDelta
    | ToolInputAvailable
    | ToolInputError
    | ToolOutputAvailable
    | ToolOutputError
    | ToolOutputDenied
    | ToolApprovalRequest
    | ToolApprovalResponse
    | SourceUrl
    | SourceDocument
    | File
    | ReasoningFile
)


class Seal(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a vendor put to a part for itself; in a tool call also whose tool it is, and how its part is named."""

    metadata: Metadata | None = None
    dynamic: bool = False
    by_provider: bool = False


# --- messages


class Approval(Struct, frozen=True, omit_defaults=True):
    id: CallId
    approved: bool | None = None
    reason: str | None = None


class UiPart(Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """A part of any type: the fields that its type has are there."""

    type: str
    text: str | None = None
    state: str | None = None
    tool_name: str | None = None
    tool_call_id: CallId | None = None
    input: Any | UnsetType = UNSET
    raw_input: Any = None
    output: Any | UnsetType = UNSET
    error_text: str | None = None
    approval: Approval | None = None
    provider_executed: bool | None = None
    media_type: str | None = None
    filename: str | None = None
    url: str | None = None
    source_id: str | None = None
    title: str | None = None
    data: Any | UnsetType = UNSET
    provider_metadata: Metadata | None = None
    call_provider_metadata: Metadata | None = None


class UiMessage(Struct, frozen=True, omit_defaults=True, kw_only=True):
    id: str = ""
    role: str
    metadata: Any = None
    parts: list[UiPart]


class InputResponse(Struct, frozen=True, rename="camel", kw_only=True):
    """What the data of a part `data-input_response` is."""

    request_id: CallId
    approved: bool | None = None
    text: str | None = None
    values: dict[str, Any] | None = None


ChatId = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+\Z")]


class Chat(Struct, frozen=True, kw_only=True):
    """Either the whole history, or the last message alone."""

    id: ChatId | None = None
    messages: list[UiMessage] | None = None
    message: UiMessage | None = None


class Refusal(Struct, frozen=True):
    """An error body: whatever the server's author chose; these are the usual names."""

    error: Any = None
    message: Any = None
    code: Any = None


class Body(Struct, frozen=True, rename="camel", omit_defaults=True, kw_only=True):
    """What we post, beside what the configuration and the client add."""

    id: str
    messages: list[UiMessage]
    trigger: str
    message_id: str | None = None


def fields(struct: Struct) -> dict[str, Any]:
    """A struct as the wire spells it."""
    read: dict[str, Any] = msgspec.to_builtins(struct)
    return read

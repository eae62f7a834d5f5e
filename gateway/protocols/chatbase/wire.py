"""Chatbase's API v2 as it is spelled on the wire.

What we send is a `Chat`, a `Retry` or a `ToolOutcome`. What comes back is a stream of `Frame`s (the UI message stream
of the AI SDK), or one `Document`; a refusal is a `Refusal`, a page of a list `ConversationPage` or `MessagePage`. Ids,
credits and the finish reason stand in a frame itself, in its `messageMetadata` or in its `metadata`: the vendor's
manual, its OpenAPI document and its clients disagree.

Source: chatbase.co/docs/api-v2 (streaming, agents/*, conversations/*, client-actions, error-handling, pagination),
spec/openapi.json, the vendor's command line, Android and iOS clients, and the AI SDK's own parts; read 2026-11.
"""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

DONE = b"[DONE]"

CallId = Annotated[str, Meta(min_length=1)]


# --- what we send


class Chat(Struct, frozen=True, rename="camel"):
    """Without `message` the conversation goes on from the tool results it was given."""

    message: str | UnsetType = UNSET
    conversation_id: str | UnsetType = UNSET
    stream: bool = True
    user_id: str | UnsetType = UNSET


class Retry(Struct, frozen=True, rename="camel"):
    """Asks the question before that message again, and forgets what followed."""

    message_id: str
    stream: bool = True


class ToolOutcome(Struct, frozen=True, rename="camel"):
    tool_call_id: str
    output: msgspec.Raw


# --- frames


class Part(Struct, frozen=True, tag_field="type", rename="camel"):
    """Any frame; one that holds an `error` is a failure whatever its type."""

    error: Any = None


class Usage(Struct, frozen=True):
    credits: float | None = None


class Metadata(Struct, frozen=True, rename="camel"):
    message_id: str | None = None
    user_message_id: str | None = None
    conversation_id: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None


class Carrier(Metadata, frozen=True, tag_field="type"):
    """A frame that may carry metadata in three places: its own fields, and these two."""

    error: Any = None
    message_metadata: Metadata | None = None
    metadata: Metadata | None = None


class MessageStart(Carrier, frozen=True, tag="message-start"):
    """As the manual has it."""


class Start(Carrier, frozen=True, tag="start"):
    """As the vendor's clients and the AI SDK have it."""


class MessageMetadata(Carrier, frozen=True, tag="message-metadata"):
    pass


class Finish(Carrier, frozen=True, tag="finish"):
    """The success terminal, unless its finish reason is `error`."""


class StartStep(Part, frozen=True, tag="start-step"):
    pass


class FinishStep(Part, frozen=True, tag="finish-step"):
    pass


class Started(Part, frozen=True):
    id: str | None = None


class Grown(Part, frozen=True, kw_only=True):
    delta: str
    id: str | None = None


class TextStart(Started, frozen=True, tag="text-start"):
    pass


class TextDelta(Grown, frozen=True, tag="text-delta"):
    """The vendor's Android client is tested with deltas that have no `id`."""


class TextEnd(Started, frozen=True, tag="text-end"):
    pass


class ReasoningStart(Started, frozen=True, tag="reasoning-start"):
    pass


class ReasoningDelta(Grown, frozen=True, tag="reasoning-delta"):
    pass


class ReasoningEnd(Started, frozen=True, tag="reasoning-end"):
    pass


class ToolPart(Part, frozen=True, kw_only=True):
    tool_call_id: CallId
    provider_executed: bool | None = None


class ToolInputStart(ToolPart, frozen=True, kw_only=True, tag="tool-input-start"):
    tool_name: str


class ToolInputDelta(ToolPart, frozen=True, kw_only=True, tag="tool-input-delta"):
    input_text_delta: str


class ToolInputAvailable(ToolPart, frozen=True, kw_only=True, tag="tool-input-available"):
    tool_name: str
    input: Any = None


class ToolInputError(ToolPart, frozen=True, kw_only=True, tag="tool-input-error"):
    tool_name: str
    input: Any = None
    error_text: str = ""


class ToolOutputAvailable(ToolPart, frozen=True, kw_only=True, tag="tool-output-available"):
    """A `preliminary` output is followed by a better one."""

    output: Any = None
    preliminary: bool | None = None


class ToolOutputError(ToolPart, frozen=True, kw_only=True, tag="tool-output-error"):
    error_text: str = ""


class ToolOutputDenied(ToolPart, frozen=True, kw_only=True, tag="tool-output-denied"):
    pass


class ToolApprovalRequest(ToolPart, frozen=True, kw_only=True, tag="tool-approval-request"):
    approval_id: str
    reason: str | None = None
    is_automatic: bool | None = None


class ToolApprovalResponse(Part, frozen=True, kw_only=True, tag="tool-approval-response"):
    approval_id: str


class SourceUrl(Part, frozen=True, kw_only=True, tag="source-url"):
    source_id: str
    url: str
    title: str | None = None


class SourceDocument(Part, frozen=True, kw_only=True, tag="source-document"):
    source_id: str
    title: str | None = None
    filename: str | None = None


class File(Part, frozen=True, kw_only=True, tag="file"):
    url: str
    media_type: str | None = None


class Abort(Part, frozen=True, tag="abort"):
    pass


class Error(Part, frozen=True, tag="error"):
    """The failure terminal: `errorText`, or `error` as an object or a text, or `message`."""

    error_text: Any = None
    message: Any = None
    code: Any = None
    request_id: Any = None


Frame = (
    MessageStart
    | Start
    | MessageMetadata
    | Finish
    | StartStep
    | FinishStep
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
    | Abort
    | Error
)


# --- documents


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    text: str


class ToolCallPart(Struct, frozen=True, tag_field="type", tag="tool-call", rename="camel"):
    tool_call_id: CallId
    tool_name: str
    input: Any = None


class ToolResultPart(Struct, frozen=True, tag_field="type", tag="tool-result", rename="camel"):
    tool_call_id: CallId
    output: Any = None
    tool_name: str | None = None


AnswerPart = TextPart | ToolCallPart | ToolResultPart


class Answer(Struct, frozen=True):
    """A whole answer; each part is decoded by itself, so that an unknown kind passes by."""

    id: str | None = None
    parts: list[msgspec.Raw] = []
    metadata: Metadata | None = None


class Document(Struct, frozen=True):
    data: Answer | None = None
    error: Any = None


class Pagination(Struct, frozen=True, rename="camel"):
    cursor: str | None = None
    has_more: bool = False

    @property
    def next(self) -> str | None:
        return self.cursor if self.has_more else None


class ListedConversation(Struct, frozen=True, rename="camel"):
    """Its times are unix seconds."""

    id: str
    created_at: float
    updated_at: float | None = None
    user_id: str | None = None


class ConversationPage(Struct, frozen=True):
    data: list[ListedConversation]
    pagination: Pagination = Pagination()


class StoredMessage(Struct, frozen=True):
    """As in an answer, each part is decoded by itself."""

    role: str
    id: str | None = None
    parts: list[msgspec.Raw] = []


class MessagePage(Struct, frozen=True):
    data: list[StoredMessage]
    pagination: Pagination = Pagination()


class Accepted(Struct, frozen=True):
    success: bool = False


class ToolReceipt(Struct, frozen=True):
    data: Accepted


class Refusal(Struct, frozen=True, rename="camel"):
    """An error body: `error` is an object (`code`, `message`, `details`) or a text; anything may stand in its place."""

    error: Any = None
    error_text: Any = None
    message: Any = None
    code: Any = None
    request_id: Any = None

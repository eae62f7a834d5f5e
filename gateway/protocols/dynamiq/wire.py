"""Dynamiq's Conversations and Runs APIs as they are spelled on the wire.

What we send is a `Message`, an `Input` or a `NewConversation`. What comes back is a stream of envelopes
`{id, type, sequence, timestamp, data}`, told apart by `type`. Only a few payloads are documented; the others are taken
in the spellings that their siblings, the run's own fields and the vendor's open engine have.

Source: docs.getdynamiq.ai/docs/api-reference (conversations, runs) and the SDK `dynamiq-ai/dynamiq`
(types/streaming.py, types/feedback.py, nodes/agents/base.py); read 2026-11.
"""

from datetime import datetime
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

Sequence = Annotated[int, Meta(ge=0, le=2**53)]


# --- what we send


class NewConversation(Struct, frozen=True):
    """One of `app_id` and `model_id`."""

    app_id: str | UnsetType = UNSET
    model_id: str | UnsetType = UNSET
    title: str | UnsetType = UNSET


class TextPart(Struct, frozen=True, tag_field="type", tag="text"):
    text: str


class FileName(Struct, frozen=True):
    id: str
    name: str


class FilePart(Struct, frozen=True, tag_field="type", tag="file"):
    file: FileName


class Message(Struct, frozen=True):
    content: list[TextPart | FilePart]
    model_id: str | UnsetType = UNSET
    subagents_enabled: bool | UnsetType = UNSET


class Feedback(Struct, frozen=True):
    request_id: str
    feedback: str


class Approval(Struct, frozen=True):
    request_id: str
    approved: bool
    params: dict[str, Any] | UnsetType = UNSET
    feedback: str | UnsetType = UNSET


class Input(Struct, frozen=True):
    """`type` is `human_feedback` or `approval_request`."""

    type: str
    data: Feedback | Approval


# --- payloads


class Payload(Struct, frozen=True):
    """What any `data` may hold: an error."""

    error: Any = None


class Run(Payload, frozen=True):
    id: str | None = None
    status: str | None = None
    output: Any = None


class Delta(Payload, frozen=True, kw_only=True):
    delta: str


class Whole(Payload, frozen=True):
    """Nothing says what a completed response holds; these are the names that a run's output goes by."""

    content: Any = None
    output: Any = None
    answer: Any = None


class Thought(Payload, frozen=True):
    """As documented, a `delta` and its `iteration`; the engine says `thought` and `loop_num`."""

    delta: str | None = None
    thought: str | None = None
    iteration: int | None = None
    loop_num: int | None = None


class Tool(Struct, frozen=True):
    name: str | None = None


class ToolFile(Struct, frozen=True):
    """The engine puts the file's bytes beside these, as base64."""

    name: str | None = None
    mime_type: str | None = None


class ToolCall(Payload, frozen=True):
    """As documented: `id`, `tool`, `input`, `result`. The engine's names for them stand behind the documented ones."""

    id: str | None = None
    tool_run_id: str | None = None
    tool: Tool | str | None = None
    name: str | None = None
    action: str | None = None
    input: Any = None
    action_input: Any = None
    delta: str | None = None
    result: Any = UNSET
    output: Any = UNSET
    files: list[ToolFile] | None = None
    status: str | None = None


class Request(Payload, frozen=True):
    """A question or an approval; `template`, `data` and `mutable_data_params` are the engine's."""

    id: str | None = None
    request_id: str | None = None
    type: str | None = None
    prompt: str | None = None
    template: str | None = None
    action: str | None = None
    questions: list[Any] | None = None
    params: dict[str, Any] | None = None
    data: dict[str, Any] | None = None
    editable_params: list[Any] | None = None
    mutable_data_params: list[Any] | None = None


# --- frames


class Frame(Struct, frozen=True, tag_field="type"):
    """Any frame; its own `error` is a failure whatever its type."""

    sequence: Sequence | None = None
    error: Any = None


class RunStarted(Frame, frozen=True, tag="run.started"):
    data: Run | None = None


class RunCompleted(Frame, frozen=True, tag="run.completed"):
    """The success terminal. In a conversation it holds neither id nor output."""

    data: Run | None = None


class RunFailed(Frame, frozen=True, tag="run.failed"):
    data: Run | None = None


class RunCanceled(Frame, frozen=True, tag="run.canceled"):
    data: Run | None = None


class ResponseDelta(Frame, frozen=True, kw_only=True, tag="agent.response.delta"):
    data: Delta


class ResponseCompleted(Frame, frozen=True, tag="agent.response.completed"):
    data: Whole | None = None


class ReasoningDelta(Frame, frozen=True, kw_only=True, tag="agent.reasoning.delta"):
    data: Thought


class ReasoningCompleted(Frame, frozen=True, tag="agent.reasoning.completed"):
    data: Thought | None = None


class ToolStarted(Frame, frozen=True, kw_only=True, tag="agent.tool_call.started"):
    data: ToolCall


class ToolDelta(Frame, frozen=True, kw_only=True, tag="agent.tool_call.delta"):
    data: ToolCall


class ToolCompleted(Frame, frozen=True, kw_only=True, tag="agent.tool_call.completed"):
    data: ToolCall


class ToolFailed(Frame, frozen=True, kw_only=True, tag="agent.tool_call.failed"):
    data: ToolCall


class FeedbackRequested(Frame, frozen=True, kw_only=True, tag="agent.human_feedback.requested"):
    data: Request


class ApprovalRequested(Frame, frozen=True, kw_only=True, tag="approval_request.created"):
    data: Request


AnyFrame = (
    ResponseDelta
    | ResponseCompleted
    | ReasoningDelta
    | ReasoningCompleted
    | ToolStarted
    | ToolDelta
    | ToolCompleted
    | ToolFailed
    | FeedbackRequested
    | ApprovalRequested
    | RunStarted
    | RunCompleted
    | RunFailed
    | RunCanceled
)


# --- documents


class Conversation(Struct, frozen=True):
    id: str
    title: str | None = None
    created_at: datetime | None = None


class ConversationDocument(Struct, frozen=True):
    data: Conversation


class Pagination(Struct, frozen=True):
    page_count: int | None = None


class ConversationPage(Struct, frozen=True):
    data: list[Conversation] = []
    pagination: Pagination | None = None


class File(Struct, frozen=True):
    id: str
    name: str | None = None
    size: int | None = None
    mime_type: str | None = None


class FileDocument(Struct, frozen=True):
    data: File


class Refusal(Struct, frozen=True):
    """An error body, or a frame that cannot be read: what it holds as its error, in either place."""

    error: Any = None
    data: Any = None

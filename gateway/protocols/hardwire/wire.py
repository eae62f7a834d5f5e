"""Hardwire's spelling: what we send, the frames of its two streams, its JSON answers, its refusals.

The documentation and the running server differ in every event name, so each union holds both dialects. `error` and
`complete` mean different things on the message stream and on the run stream: hence two unions.

Source: docs-hardwire.branmcf.com and the server in `branmcf/tenex-take-home`, read 2026-11.
"""

from typing import Any

from msgspec import Struct


class Camel(Struct, rename="camel"):
    """Hardwire writes its fields in camel case."""


# --- what we send


class SendMessage(Camel, omit_defaults=True):
    content: str
    model_id: str
    user_id: str
    workflow_id: str | None = None


class SignIn(Camel):
    email: str
    password: str


# --- shared parts


class Fault(Camel):
    """The running server's error object, in a stream and in a 201; the manual has a string in its place."""

    message: str | None = None
    client_message: str | None = None
    code: str | None = None
    request_id: str | None = None


class Source(Camel):
    url: str | None = None
    title: str | None = None
    description: str | None = None


class StoredMessage(Camel):
    """`sources` is `[]` in a stream and absent in a document."""

    content: str
    id: str | None = None
    role: str | None = None
    sources: list[Source] | None = None


# --- the message stream


class Frame(Camel, tag_field="type", kw_only=True):
    """An `error` on any frame is a failure, whatever the frame's type says."""

    error: Fault | str | None = None


class Start(Frame, tag="start"):
    message_id: str | None = None


class Content(Frame, tag="content"):
    delta: str


class ToolCall(Frame, tag="tool_call"):
    tool_name: str
    tool_args: dict[str, Any] | str | None = None  # an object in the manual's example; JSON text is not excluded


class ToolResult(Frame, tag="tool_result"):
    tool_name: str
    result: Any = None


class End(Frame, tag="end"):
    message_id: str | None = None


class UserMessage(Frame, tag="user_message"):
    message: StoredMessage


class Token(Frame, tag="token"):
    token: str


class Complete(Frame, tag="complete"):
    message: StoredMessage
    chat_id: str | None = None


class Failure(Frame, tag="error"):
    message: str | None = None


RarerFrame = Start | ToolCall | ToolResult | End | UserMessage | Complete
MessageFrame = Content | Token | RarerFrame | Failure


# --- the run stream


class RunFrame(Camel, tag_field="type", kw_only=True):
    """As on the message stream, an `error` is a failure, save in `step_failed`, where it is the step's own."""

    error: Fault | str | None = None


class WorkflowRun(Camel):
    status: str


class Step(Camel):
    """`tool_calls` has no documented shape."""

    step_id: str
    status: str
    name: str | None = None
    tool_calls: Any = None


class Snapshot(RunFrame, tag="snapshot"):
    workflow_run: WorkflowRun
    steps: list[Step] = []
    message: StoredMessage | None = None


class RunEnded(RunFrame, tag="complete"):
    status: str


class RunFailure(RunFrame, tag="error"):
    message: str | None = None


class RunStarted(RunFrame, tag="run_started"):
    pass


class StepStarted(RunFrame, tag="step_started"):
    step_id: str
    tool_id: str | None = None


class StepCompleted(RunFrame, tag="step_completed"):
    step_id: str


class StepFailed(Camel, tag_field="type", tag="step_failed"):
    step_id: str


class RunCompleted(RunFrame, tag="run_completed"):
    status: str


class RunFailed(RunFrame, tag="run_failed"):
    message: str | None = None


RunStreamFrame = (
    Snapshot | RunEnded | RunFailure | RunStarted | StepStarted | StepCompleted | StepFailed | RunCompleted | RunFailed
)


# --- documents


class DocumentedAnswer(Camel):
    """The user's message, with the answer inside."""

    id: str | None = None
    response: StoredMessage | None = None


class Answer(Camel):
    """A 201, which may be a failure: `data` in the manual, the other fields from the running server."""

    data: DocumentedAnswer | None = None
    user_message: StoredMessage | None = None
    assistant_message: StoredMessage | None = None
    chat_id: str | None = None
    workflow_run_id: str | None = None
    error: Fault | str | None = None

    @property
    def question_id(self) -> str | None:
        if self.user_message is not None:
            return self.user_message.id
        return self.data.id if self.data is not None else None

    @property
    def answer(self) -> StoredMessage | None:
        return self.data.response if self.data is not None else self.assistant_message


class DocumentedMessages(Camel):
    messages: list[StoredMessage] = []


class Messages(Camel):
    """A chat's messages, oldest first; below `data` in the manual."""

    messages: list[StoredMessage] = []
    data: DocumentedMessages | None = None

    @property
    def all(self) -> list[StoredMessage]:
        return self.data.messages if self.data is not None else self.messages


class Deleted(Camel):
    success: bool = True


class User(Camel):
    id: str


class SessionFields(Camel):
    user_id: str | None = None


class SignedIn(Camel):
    """The sign-in's answer, and that of a session request (`null` where there is no session)."""

    user: User | None = None
    session: SessionFields | None = None


class Refusal(Camel):
    """Both error bodies. The manual's `error` is a title; the server adds one of any shape on validation."""

    message: str | None = None
    client_message: str | None = None
    code: str | None = None
    request_id: str | None = None
    error: Any = None

"""Sema4.ai's REST API v2 as it is spelled on the wire.

    Frame       one event of the stream, told apart by `event_type`
    Patch       what a `message_content` does to its message: JSON Patch (RFC 6902), `concat_string` and `inc`
    Citation, QuickActions, VegaChart, Attachment
                parts of a message's content, as they are read once they are whole
    Answer      messages as a document: below one of two names, as a list, or one alone
    Stored...   conversations, files, data frames

Read: sema4.ai/docs/v2/api and the vendor's public sources (`server/api/public_v2`, `core/streaming/delta.py`), 2026-11.
"""

from typing import Any

from msgspec import Struct, field

# --- what we send


class NewConversation(Struct, frozen=True):
    name: str


class NewMessage(Struct, frozen=True):
    """All that the vendor takes."""

    content: str


# --- patches


class Operation(Struct, frozen=True, tag_field="op"):
    path: str


class Add(Operation, frozen=True, tag="add"):
    value: Any = None


class Replace(Operation, frozen=True, tag="replace"):
    value: Any = None


class Test(Operation, frozen=True, tag="test"):
    value: Any = None


class Remove(Operation, frozen=True, tag="remove"):
    pass


class Transfer(Operation, frozen=True):
    """The source is spelled `from_`; the standard's own `from` is taken too."""

    from_: str | None = None
    standard_from: str | None = field(name="from", default=None)


class Move(Transfer, frozen=True, tag="move"):
    pass


class Copy(Transfer, frozen=True, tag="copy"):
    pass


class ConcatString(Operation, frozen=True, tag="concat_string"):
    value: str


class Inc(Operation, frozen=True, tag="inc"):
    value: int | float


Patch = Add | Replace | Test | Remove | Move | Copy | ConcatString | Inc


# --- frames


class Base(Struct, frozen=True, tag_field="event_type"):
    """Any frame; one that holds an `error` is a failure whatever its type. `thread_id` is the conversation's id."""

    error: Any = None
    thread_id: str | None = None


class AgentReady(Base, frozen=True, tag="agent_ready"):
    run_id: str | None = None


class MessageFrame(Base, frozen=True, kw_only=True):
    """`sequence_number` counts within the message; 0 is its begin, and where there is none."""

    message_id: str
    sequence_number: int = 0


class MessageBegin(MessageFrame, frozen=True, kw_only=True, tag="message_begin"):
    pass


class MessageContent(MessageFrame, frozen=True, kw_only=True, tag="message_content"):
    delta: Patch


class MessageEnd(MessageFrame, frozen=True, kw_only=True, tag="message_end"):
    data: dict[str, Any] | None = None


class AgentError(Base, frozen=True, tag="agent_error"):
    """The failure: `error` as an object, or in an older build these two texts."""

    error_message: Any = None
    error_stack_trace: Any = None


class AgentFinished(Base, frozen=True, tag="agent_finished"):
    """Always the last, whatever came before."""


class RequestUserInput(Base, frozen=True, tag="request_user_input"):
    message: str | None = None


class RequestToolExecution(Base, frozen=True, kw_only=True, tag="request_tool_execution"):
    tool_name: str
    tool_call_id: str | None = None
    input_raw: str | None = None


class ThreadNameUpdated(Base, frozen=True, tag="thread_name_updated"):
    new_name: str | None = None
    reason: str | None = None


Frame = (
    AgentReady
    | MessageBegin
    | MessageContent
    | MessageEnd
    | AgentError
    | AgentFinished
    | RequestUserInput
    | RequestToolExecution
    | ThreadNameUpdated
)


# --- content


class Citation(Struct, frozen=True):
    """The indices count characters of the text."""

    document_uri: str | None = None
    start_char_index: int | None = None
    end_char_index: int | None = None
    cited_text: str | None = None


class Prose(Struct, frozen=True):
    citations: list[Citation] | None = None


class QuickActions(Struct, frozen=True):
    actions: list[Any] = []


class VegaChart(Struct, frozen=True):
    """`chart_spec_raw` is JSON text."""

    chart_spec_raw: str | None = None
    sub_type: str | None = None
    description: str | None = None


class Attachment(Struct, frozen=True):
    """Its own bytes, where it holds them, pass by."""

    name: str | None = None
    mime_type: str | None = None
    uri: str | None = None


# --- documents


class Answer(Struct, frozen=True):
    """The conversation as it is now, or a failure inside a 200."""

    data: list[dict[str, Any]] | None = None
    messages: list[dict[str, Any]] | None = None
    content: Any = None
    error: Any = None
    detail: Any = None


class Page(Struct, frozen=True):
    """`next` goes into the next query; the messages of some builds stand below their own name."""

    data: list[dict[str, Any]] | None = None
    messages: list[dict[str, Any]] | None = None
    next: str | None = None
    has_more: bool | None = None


class Conversation(Struct, frozen=True):
    """`created_at` is not documented."""

    id: str
    name: str | None = None
    created_at: Any = None


class StoredFile(Struct, frozen=True):
    """`file_ref` is the key of its download, and normally its name."""

    file_ref: str
    mime_type: str | None = None
    file_size_raw: int | None = None
    created_at: Any = None


class StoredFrame(Struct, frozen=True):
    name: str
    column_headers: list[str] = []
    num_rows: int | None = None
    description: str | None = None
    created_at: Any = None


class Table(Struct, frozen=True):
    """Rows in an envelope; the names of its two fields are not documented."""

    columns: list[str] | None = None
    column_names: list[str] | None = None
    column_headers: list[str] | None = None
    rows: list[Any] | None = None
    data: list[Any] | None = None


# --- refusals


class Refusal(Struct, frozen=True):
    """`error` is an object (`error_id`, `code`, `message`, `details`) or a text; `detail` is the web framework's."""

    error: Any = None
    detail: Any = None

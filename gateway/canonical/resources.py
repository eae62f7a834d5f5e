"""What a client asks beside posting messages: of one message, and of what a conversation has.

    ask      what came in, read by a dialect: `CreateConversation`, `ListFiles`, `ReadDataFrame` ...
    answer   what goes out: `Message`, `ConversationAnswer`, `Model`, `Rows` ..., `Page` of any of them, or nothing

A page's cursor is opaque to clients. Bytes of files are neither asked nor answered here: they are streamed past.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from msgspec import Meta, Struct

from gateway.canonical.message import Message
from gateway.canonical.turn import MessageRequest

T = TypeVar("T")

MAX_PAGE = 100
DEFAULT_PAGE = 20

MAX_ROWS = 10_000
DEFAULT_ROWS = 100


class Answer(Struct, frozen=True, omit_defaults=True):
    """What all answers share: frozen, absent fields left out."""


class PageOf(Struct, frozen=True):
    """Which part of a list is asked for: at most `limit` entries behind `cursor`."""

    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: str | None = None


class Page(Struct, Generic[T], frozen=True):
    data: list[T]
    next_cursor: str | None = None


# --- messages


class GetMessage(Struct, frozen=True):
    message_id: str


class CancelMessage(Struct, frozen=True):
    message_id: str


class CountTokens(Struct, frozen=True):
    """How large that message is, without asking it."""

    request: MessageRequest


class TokenCount(Struct, frozen=True):
    """An estimate: no vendor is asked."""

    input_tokens: int


class Resume(Struct, frozen=True):
    """Goes on with the answer that runs in a thread, where one does. A thread is a client's name of a conversation."""

    thread: str


class Stop(Struct, frozen=True):
    """Cancels the answer that runs in a thread, where one does."""

    thread: str


# --- models


class ListModels(Struct, frozen=True): ...


class GetModel(Struct, frozen=True):
    name: str


class Model(Struct, frozen=True):
    """What a client may ask for by that name: a route, since `created_at`, when the gateway began to serve it."""

    name: str
    created_at: datetime


# --- conversations


class CreateConversation(Struct, frozen=True, forbid_unknown_fields=True):
    title: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    metadata: dict[str, Any] = {}


class ListConversations(Struct, frozen=True):
    page: PageOf


class GetConversation(Struct, frozen=True):
    conversation_id: str


class DeleteConversation(Struct, frozen=True):
    """`copies`: whether the vendors' copies are deleted too (all of them, or nothing is), or kept where they are."""

    conversation_id: str
    copies: Literal["delete", "keep"] = "delete"


class ListMessages(Struct, frozen=True):
    conversation_id: str
    page: PageOf


class BindingAnswer(Answer, frozen=True):
    """What one vendor calls the conversation. `is_uncertain`: it may hold a turn whose answer never came."""

    vendor: str
    vendor_ids: dict[str, str]
    is_uncertain: bool = False


class ConversationAnswer(Answer, frozen=True):
    """`is_incomplete`: a message of it could not be stored."""

    id: str
    created_at: datetime
    updated_at: datetime
    title: str | None = None
    metadata: dict[str, Any] = {}
    is_incomplete: bool = False
    bindings: list[BindingAnswer] = []


class DeletedAnswer(Struct, frozen=True):
    """`copies` tells for each vendor that had a copy what became of it."""

    id: str
    copies: dict[str, Literal["deleted", "kept"]]
    deleted: bool = True


# --- files


class ListFiles(Struct, frozen=True):
    conversation_id: str


class UploadFiles(Struct, frozen=True):
    """`route` names where the conversation begins at a vendor, if it has not yet."""

    conversation_id: str
    route: str | None = None


class DownloadFile(Struct, frozen=True):
    conversation_id: str
    file_id: str


class FileAnswer(Answer, frozen=True):
    """`size` is bytes."""

    id: str
    name: str
    media_type: str | None = None
    size: int | None = None
    created_at: datetime | None = None


# --- data frames


class Slice(Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of a data frame: `columns` in that order (none: all), `order` a column, `-column` for descending."""

    offset: Annotated[int, Meta(ge=0)] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = DEFAULT_ROWS
    columns: list[str] = []
    order: str | None = None
    format: Literal["json", "parquet"] = "json"


class ListDataFrames(Struct, frozen=True):
    conversation_id: str


class ReadDataFrame(Struct, frozen=True):
    conversation_id: str
    name: str
    slice: Slice


class DataFrameAnswer(Answer, frozen=True):
    name: str
    columns: list[str]
    row_count: int | None = None
    description: str | None = None
    created_at: datetime | None = None


class Rows(Struct, frozen=True):
    """As the `data_frame` part of a message: a row is a list, in the order of `columns`."""

    name: str
    columns: list[str]
    rows: list[list[Any]]


Ask = (
    GetMessage
    | CancelMessage
    | CountTokens
    | Resume
    | Stop
    | ListModels
    | GetModel
    | CreateConversation
    | ListConversations
    | GetConversation
    | DeleteConversation
    | ListMessages
    | ListFiles
    | UploadFiles
    | DownloadFile
    | ListDataFrames
    | ReadDataFrame
)

Result = (
    Message
    | TokenCount
    | Model
    | Page[Model]
    | ConversationAnswer
    | DeletedAnswer
    | FileAnswer
    | Rows
    | Page[ConversationAnswer]
    | Page[Message]
    | Page[FileAnswer]
    | Page[DataFrameAnswer]
)

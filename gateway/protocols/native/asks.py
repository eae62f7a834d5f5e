"""The canonical API beside posting messages: what each path below `/v1/messages/{id}` and `/v1/conversations` asks.

    GET    /v1/messages/{id}                           the message, as far as it is stored
    POST   /v1/messages/{id}/cancel                    stops it where it runs -> the message
    POST   /v1/conversations                           {"title"?, "metadata"?} -> a conversation
    GET    /v1/conversations                           ?limit=&cursor= -> a page of them, the latest used first
    GET    /v1/conversations/{id}                      the conversation, and what each vendor calls it
    DELETE /v1/conversations/{id}                      ?copies=delete|keep: with the vendors' copies, or without
    GET    /v1/conversations/{id}/messages             ?limit=&cursor= -> a page of messages, the oldest first
    GET    /v1/conversations/{id}/files                what the vendor keeps with the conversation
    POST   /v1/conversations/{id}/files                multipart/form-data, a part `files` for each; ?route=
    GET    /v1/conversations/{id}/files/{file}         the file
    GET    /v1/conversations/{id}/data-frames          the tables that its tools made
    GET    /v1/conversations/{id}/data-frames/{name}   ?offset=&limit=&columns=a,b&order=-a&format=json|parquet

Bodies and queries are read strictly; an error names the path (`$.title`, `query.limit`), never the value.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.resources import (
    DEFAULT_PAGE,
    DEFAULT_ROWS,
    MAX_PAGE,
    MAX_ROWS,
    Ask,
    CancelMessage,
    CreateConversation,
    DeleteConversation,
    DownloadFile,
    GetConversation,
    GetMessage,
    ListConversations,
    ListDataFrames,
    ListFiles,
    ListMessages,
    PageOf,
    ReadDataFrame,
    Slice,
    UploadFiles,
)
from gateway.canonical.turn import Name
from gateway.framing.typed import UNREADABLE
from gateway.protocols.base import ClientRequest, DialectRoute, Operation
from gateway.protocols.reading import check_metadata, read_body, read_query, refuse

_MESSAGE = "/v1/messages/{message_id}"
_CONVERSATION = "/v1/conversations/{conversation_id}"

ROUTES: tuple[DialectRoute, ...] = (
    DialectRoute("GET", _MESSAGE, "get_message"),
    DialectRoute("POST", f"{_MESSAGE}/cancel", "cancel_message"),
    DialectRoute("POST", "/v1/conversations", "create_conversation"),
    DialectRoute("GET", "/v1/conversations", "list_conversations"),
    DialectRoute("GET", _CONVERSATION, "get_conversation"),
    DialectRoute("DELETE", _CONVERSATION, "delete_conversation"),
    DialectRoute("GET", f"{_CONVERSATION}/messages", "list_messages"),
    DialectRoute("GET", f"{_CONVERSATION}/files", "list_files"),
    DialectRoute("POST", f"{_CONVERSATION}/files", "upload_files"),
    DialectRoute("GET", f"{_CONVERSATION}/files/{{file_id}}", "download_file"),
    DialectRoute("GET", f"{_CONVERSATION}/data-frames", "list_data_frames"),
    DialectRoute("GET", f"{_CONVERSATION}/data-frames/{{name}}", "read_data_frame"),
)

MAX_NAME = 256
"""Characters of a data frame's or a column's name."""

ColumnName = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, pattern=r"^[^\x00-\x1f\x7f,]+\Z")]

_decode_new = msgspec.json.Decoder(CreateConversation).decode


class _PageQuery(Struct, frozen=True, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=MAX_PAGE)] = DEFAULT_PAGE
    cursor: Annotated[str, Meta(min_length=1, max_length=512)] | None = None


class _DeleteQuery(Struct, frozen=True, forbid_unknown_fields=True):
    copies: Literal["delete", "keep"] = "delete"


class _UploadQuery(Struct, frozen=True, forbid_unknown_fields=True):
    route: Name | None = None


class _SliceQuery(Struct, frozen=True, forbid_unknown_fields=True):
    offset: Annotated[int, Meta(ge=0, le=2**53)] = 0
    limit: Annotated[int, Meta(ge=1, le=MAX_ROWS)] = DEFAULT_ROWS
    columns: Annotated[str, Meta(min_length=1, max_length=64 * MAX_NAME)] | None = None
    order: ColumnName | None = None
    format: Literal["json", "parquet"] = "json"


class _NoQuery(Struct, frozen=True, forbid_unknown_fields=True): ...


def _read_create(request: ClientRequest) -> Ask:
    read_query(_NoQuery, request)
    if not request.body:
        return CreateConversation()
    asked = read_body(_decode_new, request)
    check_metadata(asked.metadata)
    return asked


def _page(request: ClientRequest) -> PageOf:
    query = read_query(_PageQuery, request)
    return PageOf(query.limit, query.cursor)


def _conversation(request: ClientRequest) -> str:
    return _known(request, "conversation_id", "no such conversation")


def _known(request: ClientRequest, parameter: str, problem: str) -> str:
    """An id out of the path. Raises `not_found` for one that is none of ours, as for one that is not known."""
    value = request.parameters[parameter]
    try:
        return msgspec.convert(value, Name)
    except UNREADABLE as error:
        raise GatewayError("not_found", problem) from error


def _message(request: ClientRequest) -> str:
    read_query(_NoQuery, request)
    return _known(request, "message_id", "no such message")


def _read_get(request: ClientRequest) -> Ask:
    read_query(_NoQuery, request)
    return GetConversation(_conversation(request))


def _read_list_files(request: ClientRequest) -> Ask:
    read_query(_NoQuery, request)
    return ListFiles(_conversation(request))


def _read_download(request: ClientRequest) -> Ask:
    read_query(_NoQuery, request)
    return DownloadFile(_conversation(request), _known(request, "file_id", "the conversation has no such file"))


def _read_list_frames(request: ClientRequest) -> Ask:
    read_query(_NoQuery, request)
    return ListDataFrames(_conversation(request))


def _read_frame(request: ClientRequest) -> Ask:
    query = read_query(_SliceQuery, request)
    conversation = _conversation(request)
    name = _column_names([request.parameters["name"]], "path.name")[0]
    columns = [] if query.columns is None else _column_names(query.columns.split(","), "query.columns")
    return ReadDataFrame(conversation, name, Slice(query.offset, query.limit, columns, query.order, query.format))


def _column_names(names: list[str], path: str) -> list[str]:
    try:
        return msgspec.convert(names, list[ColumnName])
    except UNREADABLE as error:
        raise refuse(path, "a name is empty, too long or holds control characters") from error


ASKS: Mapping[Operation, Callable[[ClientRequest], Ask]] = {
    "get_message": lambda request: GetMessage(_message(request)),
    "cancel_message": lambda request: CancelMessage(_message(request)),
    "create_conversation": _read_create,
    "list_conversations": lambda request: ListConversations(_page(request)),
    "get_conversation": _read_get,
    "delete_conversation": lambda request: DeleteConversation(
        _conversation(request), read_query(_DeleteQuery, request).copies
    ),
    "list_messages": lambda request: ListMessages(_conversation(request), _page(request)),
    "list_files": _read_list_files,
    "upload_files": lambda request: UploadFiles(_conversation(request), read_query(_UploadQuery, request).route),
    "download_file": _read_download,
    "list_data_frames": _read_list_frames,
    "read_data_frame": _read_frame,
}

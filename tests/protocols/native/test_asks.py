"""What each path below `/v1/conversations` asks, without a server: a request in, an ask out."""

from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.canonical.errors import GatewayError
from gateway.canonical.resources import (
    Ask,
    CreateConversation,
    DeleteConversation,
    DownloadFile,
    GetConversation,
    ListConversations,
    ListDataFrames,
    ListFiles,
    ListMessages,
    PageOf,
    ReadDataFrame,
    Slice,
    UploadFiles,
)
from gateway.protocols.base import ClientRequest, Operation
from gateway.protocols.native.dialect import NativeDialect

CONVERSATION = {"conversation_id": "conv_1"}
FILE = {**CONVERSATION, "file_id": "file_1"}
FRAME = {**CONVERSATION, "name": "sales"}


def ask(
    operation: Operation, parameters: dict[str, str], query: dict[str, str] | None = None, body: bytes = b""
) -> Ask:
    headers = CIMultiDict({"Content-Type": "application/json"})
    return NativeDialect().read_ask(operation, ClientRequest(headers, body, parameters, query or {}))


def refused(
    operation: Operation, parameters: dict[str, str], query: dict[str, str] | None = None, body: bytes = b""
) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        ask(operation, parameters, query, body)
    return caught.value


ASKED: list[tuple[Operation, dict[str, str], dict[str, str], Ask]] = [
    ("create_conversation", {}, {}, CreateConversation()),
    ("list_conversations", {}, {}, ListConversations(PageOf())),
    ("list_conversations", {}, {"limit": "100", "cursor": "null"}, ListConversations(PageOf(100, "null"))),
    ("get_conversation", CONVERSATION, {}, GetConversation("conv_1")),
    ("delete_conversation", CONVERSATION, {}, DeleteConversation("conv_1", "delete")),
    ("delete_conversation", CONVERSATION, {"copies": "keep"}, DeleteConversation("conv_1", "keep")),
    ("list_messages", CONVERSATION, {"limit": "1"}, ListMessages("conv_1", PageOf(1))),
    ("list_files", CONVERSATION, {}, ListFiles("conv_1")),
    ("upload_files", CONVERSATION, {}, UploadFiles("conv_1")),
    ("upload_files", CONVERSATION, {"route": "null"}, UploadFiles("conv_1", "null")),
    ("download_file", FILE, {}, DownloadFile("conv_1", "file_1")),
    ("list_data_frames", CONVERSATION, {}, ListDataFrames("conv_1")),
    ("read_data_frame", FRAME, {}, ReadDataFrame("conv_1", "sales", Slice())),
    (
        "read_data_frame",
        {**FRAME, "name": "Umsätze 2026/Q1"},
        {"offset": "5", "limit": "10000", "columns": "a b,ü", "order": "-a b", "format": "parquet"},
        ReadDataFrame("conv_1", "Umsätze 2026/Q1", Slice(5, 10_000, ["a b", "ü"], "-a b", "parquet")),
    ),
]


@pytest.mark.parametrize(("operation", "parameters", "query", "expected"), ASKED)
def test_a_request_is_read_as_what_it_asks(
    operation: Operation, parameters: dict[str, str], query: dict[str, str], expected: Ask
) -> None:
    assert ask(operation, parameters, query) == expected


def test_a_conversation_is_begun_with_a_title_and_metadata() -> None:
    body = b'{"title": "Trip", "metadata": {"a": [1, null]}}'
    assert ask("create_conversation", {}, body=body) == CreateConversation("Trip", {"a": [1, None]})


SECRET = "canary-secret"

MISFITS: list[tuple[Operation, dict[str, str], dict[str, str], str]] = [
    ("list_conversations", {}, {"limit": "0"}, "query.limit"),
    ("list_conversations", {}, {"limit": SECRET}, "query.limit"),
    ("list_conversations", {}, {"cursor": ""}, "query.cursor"),
    ("list_conversations", {}, {"cursor": SECRET * 50}, "query.cursor"),
    ("create_conversation", {}, {"title": SECRET}, "query.title"),
    ("delete_conversation", CONVERSATION, {"copies": SECRET}, "query.copies"),
    ("upload_files", CONVERSATION, {"route": f"../{SECRET}"}, "query.route"),
    ("read_data_frame", FRAME, {"offset": "-1"}, "query.offset"),
    ("read_data_frame", FRAME, {"offset": "9" * 40}, "query.offset"),
    ("read_data_frame", FRAME, {"columns": f"a,{SECRET}\n"}, "query.columns"),
    ("read_data_frame", FRAME, {"columns": "a,"}, "query.columns"),
    ("read_data_frame", FRAME, {"order": f"a,{SECRET}"}, "query.order"),
    ("read_data_frame", FRAME, {"format": SECRET}, "query.format"),
    ("read_data_frame", {**FRAME, "name": f"{SECRET}\0"}, {}, "path.name"),
    ("read_data_frame", {**FRAME, "name": "x" * 257}, {}, "path.name"),
]


@pytest.mark.parametrize(("operation", "parameters", "query", "path"), MISFITS)
def test_what_does_not_fit_is_refused_with_its_path_and_without_its_value(
    operation: Operation, parameters: dict[str, str], query: dict[str, str], path: str
) -> None:
    error = refused(operation, parameters, query)
    assert (error.code, error.details["path"]) == ("bad_request", path)
    assert SECRET not in repr((error.message, error.details))


ODD = ["../a", "a/b", "a\\b", "\0", "conv 1", "x" * 129, "é", "", "a\r\nb", "%2e"]
NAMING: list[tuple[Operation, dict[str, Any], str]] = [
    ("get_conversation", CONVERSATION, "conversation_id"),
    ("delete_conversation", CONVERSATION, "conversation_id"),
    ("list_messages", CONVERSATION, "conversation_id"),
    ("list_files", CONVERSATION, "conversation_id"),
    ("upload_files", CONVERSATION, "conversation_id"),
    ("download_file", FILE, "conversation_id"),
    ("download_file", FILE, "file_id"),
    ("list_data_frames", CONVERSATION, "conversation_id"),
    ("read_data_frame", FRAME, "conversation_id"),
]


@pytest.mark.parametrize("odd", ODD, ids=ascii)
@pytest.mark.parametrize(("operation", "parameters", "field"), NAMING)
def test_an_id_that_cannot_be_ours_is_not_found(
    operation: Operation, parameters: dict[str, str], field: str, odd: str
) -> None:
    assert refused(operation, {**parameters, field: odd}).code == "not_found"

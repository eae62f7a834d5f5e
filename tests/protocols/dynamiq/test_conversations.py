"""Dynamiq's conversations and files beside messages: each request whole, and what its answer becomes."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.framing.typed import Malformed
from gateway.protocols.base import (
    Calls,
    Clue,
    Credentials,
    Form,
    FormPart,
    NewConversation,
    NewFile,
    VendorFile,
    VendorRequest,
    VendorResponse,
)
from gateway.protocols.dynamiq import DYNAMIQ
from gateway.protocols.dynamiq.calls import DynamiqTarget
from gateway.protocols.dynamiq.conversations import DynamiqConversations
from gateway.protocols.dynamiq.files import DynamiqFiles
from gateway.protocols.dynamiq.translator import DynamiqTranslator
from tests.support.translating import exchange

APP = "8e9f0a1b-2c3d-4e5f-8a7b-9c0d1e2f3a4b"
MODEL = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
SINCE = datetime(2026, 6, 10, 9, 11, 0, 500_000, tzinfo=UTC)
CLUE = Clue("Was I\ncharged twice?", SINCE)


def conversations(target: DynamiqTarget | None = None) -> DynamiqConversations:
    return DynamiqConversations(DynamiqTranslator(target or DynamiqTarget(app=APP), Blocks(Numbering())))


def files(**secrets: str) -> DynamiqFiles:
    translator = DynamiqTranslator(DynamiqTarget(app=APP), Blocks(Numbering()))
    with pytest.raises(StopIteration):
        next(translator.authorize(Credentials({"api_key": "k", **secrets}), None))
    return DynamiqFiles(translator)


def answer(body: bytes, status: int = 200) -> VendorResponse:
    return VendorResponse(status, CIMultiDict(), body)


def unsupported(calls: Calls[Any]) -> str:
    with pytest.raises(GatewayError) as caught:
        next(calls)
    assert caught.value.code == "unsupported"
    return caught.value.message


# --- conversations


def test_a_conversation_is_created_for_its_app() -> None:
    new = NewConversation("Was I charged twice?", lambda: "new", user_id="ann", metadata={"a": 1})
    assert exchange(conversations().create(new), b'{"data":{"id":"conv-1"}}') == (
        [
            VendorRequest(
                "POST",
                "/v1/conversations",
                headers={"Content-Type": "application/json"},
                body=b'{"app_id":"8e9f0a1b-2c3d-4e5f-8a7b-9c0d1e2f3a4b","title":"Was I charged twice?"}',
                effect="repeatable",
            )
        ],
        {"conversation": "conv-1"},
    )


def test_a_conversation_is_deleted() -> None:
    request = VendorRequest("DELETE", "/v1/conversations/conv%2F1", effect="repeatable", own_statuses=frozenset({404}))
    assert exchange(conversations().delete({"conversation": "conv/1"}), b'{"message":"deleted"}') == ([request], None)


def test_a_conversation_that_is_gone_is_deleted() -> None:
    calls = conversations().delete({"conversation": "conv-1"})
    next(calls)
    with pytest.raises(StopIteration):
        calls.send(answer(b'{"error":{"code":"not_found"}}', 404))


def test_where_there_was_no_conversation_nothing_is_deleted() -> None:
    assert exchange(conversations().delete({})) == ([], None)


def test_messages_cannot_be_listed() -> None:
    assert unsupported(conversations().messages({"conversation": "conv-1"})) == (
        "dynamiq does not list the messages of a conversation"
    )


# --- find


def page(*items: tuple[str, str | None, str | None], count: int | None = 1) -> bytes:
    listed = [{"id": name, "title": title, "created_at": at} for name, title, at in items]
    pagination = {} if count is None else {"pagination": {"page": 1, "page_size": 50, "page_count": count}}
    return json.dumps({"data": listed, **pagination}).encode()


TITLE = "Was I charged twice?"
THEN = "2026-06-10T09:11:00Z"
BEFORE = "2026-06-10T09:10:59Z"


def test_a_lost_conversation_is_found_by_its_title() -> None:
    listed = page(("c3", "Other", THEN), ("c2", TITLE, THEN), ("c1", TITLE, BEFORE))
    assert exchange(conversations().find(CLUE), listed) == (
        [
            VendorRequest(
                "GET",
                "/v1/conversations",
                query={"app_id": APP, "page": "1", "page_size": "50", "sort": "-created_at"},
            )
        ],
        {"conversation": "c2"},
    )


def test_the_conversations_of_a_model_are_searched_by_the_model() -> None:
    (request,), found = exchange(conversations(DynamiqTarget(model=MODEL)).find(CLUE), page())
    assert (request.query["model_id"], "app_id" in request.query, found) == (MODEL, False, {})


@pytest.mark.parametrize(
    "items",
    [
        [],
        [("c1", TITLE, BEFORE)],
        [("c1", None, THEN)],
        [("c1", TITLE, THEN), ("c2", TITLE, THEN)],
    ],
)
def test_a_conversation_that_is_not_there_or_could_be_two_is_not_found(items: Any) -> None:
    assert exchange(conversations().find(CLUE), page(*items))[1] == {}


@pytest.mark.parametrize("at", ["2026-06-10T09:11:00", None])
def test_a_time_without_a_zone_or_none_at_all_is_taken_as_recent(at: str | None) -> None:
    assert exchange(conversations().find(CLUE), page(("c1", TITLE, at)))[1] == {"conversation": "c1"}


def test_further_pages_are_read_until_the_conversations_are_older() -> None:
    pages = (page(("c3", TITLE, THEN), count=9), page(("c2", "Other", THEN), ("c1", "Other", BEFORE), count=9))
    requests, found = exchange(conversations().find(CLUE), *pages)
    assert [request.query["page"] for request in requests] == ["1", "2"]
    assert found == {"conversation": "c3"}


@pytest.mark.parametrize(
    ("pages", "found"),
    [
        (
            [page(*[("c2", "Other", THEN)] * 50, count=None), page(("c1", TITLE, THEN), count=None)],
            {"conversation": "c1"},
        ),
        ([page(*[("c2", "Other", THEN)] * 50, count=None), page(count=None)], {}),
    ],
)
def test_where_pages_are_not_counted_a_short_one_is_the_last(pages: list[bytes], found: dict[str, str]) -> None:
    assert exchange(conversations().find(CLUE), *pages)[1] == found


def test_after_five_pages_of_recent_conversations_nothing_is_certain() -> None:
    requests, found = exchange(conversations().find(CLUE), *[page(("c1", TITLE, THEN), count=9)] * 5)
    assert (len(requests), found) == (5, {})


def test_a_conversation_without_words_cannot_be_found() -> None:
    assert exchange(conversations().find(Clue(" \n", SINCE))) == ([], {})


def test_a_found_id_that_cannot_stand_in_a_path_is_a_protocol_error() -> None:
    with pytest.raises(GatewayError) as caught:
        exchange(conversations().find(CLUE), page(("..", TITLE, THEN)))
    assert (caught.value.code, caught.value.cause) == ("upstream_protocol", "protocol")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data":[{}]}', b'{"data":[{"id":"c","created_at":"soon"}]}'])
def test_a_list_that_cannot_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        exchange(conversations().find(CLUE), body)


# --- files


def test_a_file_is_uploaded_to_the_app() -> None:
    stored = b'{"data":{"id":"v1","name":"b.txt","size":2,"mime_type":"text/csv"}}'
    assert exchange(files(app_key="a").upload({}, NewFile("a.txt", "text/plain", b"ab")), stored) == (
        [
            VendorRequest(
                "POST",
                "/v1/files",
                "app",
                headers={"Authorization": "Bearer a"},
                body=Form((FormPart("file", b"ab", "a.txt", "text/plain"),)),
                effect="repeatable",
            )
        ],
        VendorFile("v1", "b.txt", "text/csv", 2),
    )


def test_a_file_that_is_still_coming_is_passed_on_unread() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"

    coming = pieces()
    (request,), stored = exchange(files().upload({}, NewFile("a.txt", "text/plain", coming)), b'{"data":{"id":"v1"}}')
    assert request.body == Form((FormPart("file", coming, "a.txt", "text/plain"),))
    assert (request.headers, stored) == ({}, VendorFile("v1", "a.txt", "text/plain"))


def test_a_stored_file_whose_id_cannot_stand_in_a_path_is_a_protocol_error() -> None:
    with pytest.raises(GatewayError) as caught:
        exchange(files().upload({}, NewFile("a.txt", "text/plain", b"")), b'{"data":{"id":".."}}')
    assert caught.value.code == "upstream_protocol"


def test_files_cannot_be_listed_or_fetched_back() -> None:
    assert unsupported(files().list_files({})) == "dynamiq does not list files"
    with pytest.raises(GatewayError) as caught:
        files().download({}, VendorFile("v1", "a.txt"))
    assert (caught.value.code, caught.value.message) == ("unsupported", "dynamiq does not give files back")


def test_the_descriptor_makes_both() -> None:
    assert DYNAMIQ.conversations is DynamiqConversations
    assert DYNAMIQ.files is DynamiqFiles

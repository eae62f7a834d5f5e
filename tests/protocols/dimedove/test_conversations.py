"""Dimedove's conversations beside messages: each request, and what each answer means."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import DataPart, TextPart, ToolCallPart, ToolResultPart
from gateway.framing.typed import Malformed
from gateway.protocols.base import Clue, NewConversation, VendorMessage, VendorRequest, VendorResponse
from gateway.protocols.dimedove.conversations import DimedoveConversations
from tests.support.translating import exchange

CHAT = "550e8400-e29b-41d4-a716-446655440000"
PATH = f"/apps/app_1/conversations/{CHAT}"
BOUND = {"conversation": CHAT}
JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
ACCEPT = {"Accept": "application/json"}
SINCE = datetime(2026, 11, 2, 12, 0, 0, 500_000, tzinfo=UTC)
AT = int(SINCE.timestamp())


def make() -> DimedoveConversations:
    return DimedoveConversations("app_1")


def answer(body: Any, status: int = 200) -> VendorResponse:
    return VendorResponse(status, CIMultiDict(), body if isinstance(body, bytes) else json.dumps(body).encode())


# --- create


def test_a_conversation_is_created_with_all_that_is_known_of_it() -> None:
    new = NewConversation("Orders", lambda: "new", "ann", {"city": "Montreal"})
    assert exchange(make().create(new), answer({"id": CHAT, "object": "conversation", "created_at": AT})) == (
        [
            VendorRequest(
                "POST",
                "/apps/app_1/conversations",
                headers=JSON_HEADERS,
                body=b'{"external_user_id":"ann","title":"Orders","metadata":{"city":"Montreal"}}',
                effect="repeatable",
            )
        ],
        BOUND,
    )


def test_a_conversation_of_nobody_has_a_title_alone() -> None:
    (request,), _ = exchange(make().create(NewConversation("Orders", lambda: "new")), answer({"id": CHAT}))
    assert request.body == b'{"title":"Orders"}'


@pytest.mark.parametrize("body", [b"", {}, {"id": ".."}, {"id": 7}])
def test_a_created_conversation_without_a_good_id_is_malformed(body: Any) -> None:
    with pytest.raises(Malformed):
        exchange(make().create(NewConversation("Orders", lambda: "new")), answer(body))


# --- delete


@pytest.mark.parametrize(
    "gone", [answer({"id": CHAT, "object": "conversation", "deleted": True}), answer({"id": CHAT}), answer(b"", 404)]
)
def test_a_conversation_is_deleted_also_where_it_is_gone(gone: VendorResponse) -> None:
    assert exchange(make().delete(BOUND), gone) == (
        [VendorRequest("DELETE", PATH, headers=ACCEPT, own_statuses=frozenset({404}))],
        None,
    )


def test_a_conversation_that_stays_is_a_protocol_error() -> None:
    with pytest.raises(GatewayError) as caught:
        exchange(make().delete(BOUND), answer({"id": CHAT, "deleted": False}))
    assert (caught.value.code, caught.value.message) == (
        "upstream_protocol",
        "dimedove did not delete the conversation",
    )


@pytest.mark.parametrize("ids", [{}, {"conversation": ".."}])
def test_what_has_no_name_is_neither_deleted_nor_read(ids: dict[str, str]) -> None:
    for calls in (make().delete(ids), make().messages(ids)):
        with pytest.raises(GatewayError) as caught:
            next(calls)
        assert caught.value.code == "bad_request"


# --- messages


def test_messages_are_read_from_the_conversations_items_the_oldest_first() -> None:
    items = [
        {
            "id": "item_2",
            "type": "message",
            "role": "assistant",
            "parts": [
                {"type": "text", "text": "Let me look."},
                {
                    "type": "tool-call",
                    "toolCallId": "call_1",
                    "toolName": "check_inventory",
                    "input": {"sku": 1},
                    "output": {"left": 4},
                },
                {"type": "tool-call", "toolCallId": "call_2", "toolName": "open_form", "input": None, "output": None},
                {"type": "sparkle"},
                {"type": "data-spec", "data": {"op": "add"}},
                {"type": "text", "text": "4 left."},
            ],
            "created_at": 2,
        },
        {"id": "item_0", "type": "message", "role": "system", "parts": [], "created_at": 0},
        {"id": "item_1", "type": "message", "role": "user", "parts": [{"type": "text", "text": "?"}], "created_at": 1},
        {"role": "assistant", "created_at": 3},
    ]
    assert exchange(make().messages(BOUND), answer({"id": CHAT, "items": items})) == (
        [VendorRequest("GET", PATH, headers=ACCEPT)],
        [
            VendorMessage("user", "?", "item_1", [TextPart("?")]),
            VendorMessage(
                "assistant",
                "Let me look.\n\n4 left.",
                "item_2",
                [
                    TextPart("Let me look."),
                    ToolCallPart("call_1", "check_inventory", {"sku": 1}, executor="vendor"),
                    ToolResultPart("call_1", {"left": 4}, name="check_inventory"),
                    ToolCallPart("call_2", "open_form", {}),
                    DataPart("data_spec", {"op": "add"}),
                    TextPart("4 left."),
                ],
            ),
            VendorMessage("assistant", ""),
        ],
    )


def test_a_conversation_without_items_has_no_messages() -> None:
    assert exchange(make().messages(BOUND), answer({"id": CHAT}))[1] == []


@pytest.mark.parametrize("body", [b"", b"[]", {"items": [{}]}, {"items": [{"role": "user", "parts": [{}]}]}])
def test_a_conversation_that_cannot_be_read_is_malformed(body: Any) -> None:
    with pytest.raises(Malformed):
        exchange(make().messages(BOUND), answer(body))


# --- find


def page(path: str = "/apps/app_1/conversations", **more: str) -> VendorRequest:
    query = {"limit": "100", "order": "desc", **more}
    return VendorRequest("GET", path, query=query, headers=ACCEPT, own_statuses=frozenset({404}))


def detail(conversation: str) -> VendorRequest:
    path = f"/apps/app_1/conversations/{conversation}"
    return VendorRequest("GET", path, headers=ACCEPT, own_statuses=frozenset({404}))


def listed(*ids: str, has_more: bool = False, at: int = AT, user: str | None = None) -> VendorResponse:
    data = [{"id": one, "object": "conversation", "created_at": at, "external_user_id": user} for one in ids]
    last = ids[-1] if ids else None
    return answer({"object": "list", "data": data, "first_id": None, "last_id": last, "has_more": has_more})


def said(text: str) -> VendorResponse:
    parts = [{"type": "text", "text": text}]
    return answer({"items": [{"role": "assistant"}, {"role": "user", "parts": parts}, {"role": "user"}]})


CLUE = Clue("Is it here?", SINCE)


def test_a_lost_conversation_is_known_by_its_first_message() -> None:
    assert exchange(make().find(CLUE), listed("a", "b"), said("Hi"), said("Is it here?")) == (
        [page(), detail("a"), detail("b")],
        {"conversation": "b"},
    )


def test_a_users_conversation_is_looked_for_among_the_users() -> None:
    clue = Clue("Is it here?", SINCE, "ann/1")
    path = "/apps/app_1/users/ann%2F1/conversations"
    assert exchange(make().find(clue), listed("a", user="ann/1"), said("Is it here?")) == (
        [page(path), detail("a")],
        {"conversation": "a"},
    )


def test_another_users_conversation_is_not_looked_into() -> None:
    assert exchange(make().find(CLUE), listed("a", user="bob")) == ([page()], {})


def test_a_user_who_is_not_known_has_no_conversation() -> None:
    path = "/apps/app_1/users/ann/conversations"
    assert exchange(make().find(Clue("Is it here?", SINCE, "ann")), answer(b"", 404)) == ([page(path)], {})


def test_pages_are_turned_until_they_are_too_old() -> None:
    answers = (listed("a", has_more=True), listed("b", has_more=True, at=AT - 1), said("Is it here?"))
    assert exchange(make().find(CLUE), *answers) == ([page(), page(after="a"), detail("a")], {"conversation": "a"})


def test_five_pages_are_turned_at_most() -> None:
    answers = [listed(name, has_more=True) for name in "abcde"]
    told = [said(text) for text in ("Hi", "Hi", "Hi", "Hi", "Is it here?")]
    requests, found = exchange(make().find(CLUE), *answers, *told)
    assert requests[:5] == [page(), *(page(after=name) for name in "abcd")]
    assert (requests[5:], found) == ([detail(name) for name in "abcde"], {"conversation": "e"})


@pytest.mark.parametrize(
    ("answers", "count"),
    [
        ((listed(),), 1),
        ((listed(has_more=True),), 1),
        ((listed("a", at=AT - 1),), 1),
        ((listed("a"), answer(b"", 404)), 2),
        ((listed("a"), answer({"items": []})), 2),
        ((listed("a", "b"), said("Is it here?"), said("Is it here?")), 3),
        ((listed(*"abcdefghijk"),), 1),
    ],
)
def test_what_is_not_there_or_could_be_more_than_one_is_not_found(
    answers: tuple[VendorResponse, ...], count: int
) -> None:
    requests, found = exchange(make().find(CLUE), *answers)
    assert (len(requests), found) == (count, {})


def test_a_conversation_that_two_pages_tell_is_one() -> None:
    answers = (listed("a", has_more=True), listed("a"), said("Is it here?"))
    assert exchange(make().find(CLUE), *answers)[1] == {"conversation": "a"}


@pytest.mark.parametrize("body", [b"", {}, {"data": [{"id": ".."}]}])
def test_a_list_that_cannot_be_read_is_malformed(body: Any) -> None:
    with pytest.raises(Malformed):
        exchange(make().find(CLUE), answer(body))

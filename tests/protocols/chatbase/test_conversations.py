"""Chatbase's conversations, the port driven by hand: what is asked, and what the answers mean."""

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.message import TextPart, ToolCallPart, ToolResultPart
from gateway.framing.typed import Malformed
from gateway.protocols.base import Calls, Clue, NewConversation, VendorMessage, VendorRequest, VendorResponse
from gateway.protocols.chatbase import CHATBASE
from gateway.protocols.chatbase.conversations import ChatbaseConversations
from gateway.protocols.chatbase.translator import ChatbaseTarget, ChatbaseTranslator
from tests.support.translating import exchange

SINCE = datetime(2026, 11, 20, 10, 0, 0, 500_000, UTC)
STARTED = 1795168800
"""The second in which SINCE lies."""


def port() -> ChatbaseConversations:
    return ChatbaseConversations(ChatbaseTranslator(ChatbaseTarget("5QHA6VB"), Blocks(Numbering())))


def get(path: str, **query: str) -> VendorRequest:
    return VendorRequest("GET", path, query={"limit": "100", **query}, headers={"Accept": "application/json"})


def page(*data: Any, cursor: str | None = None) -> bytes:
    pagination = {"cursor": cursor, "hasMore": cursor is not None, "total": 7}
    return json.dumps({"data": data, "pagination": pagination}).encode()


def text(role: str, said: str) -> Any:
    return {"id": "m", "role": role, "parts": [{"type": "text", "text": said}], "createdAt": STARTED}


# --- create and delete


def test_a_conversation_cannot_be_begun_without_a_message() -> None:
    with pytest.raises(GatewayError) as caught:
        next(port().create(NewConversation("A title", lambda: "new")))
    assert (caught.value.code, caught.value.message) == (
        "unsupported",
        "chatbase begins a conversation with its first message",
    )


def test_a_conversation_cannot_be_deleted() -> None:
    with pytest.raises(GatewayError) as caught:
        next(port().delete({"conversation": "c"}))
    assert (caught.value.code, caught.value.message) == ("unsupported", "chatbase cannot delete a conversation")
    assert CHATBASE.capabilities["delete_conversation"] == "no"


# --- messages


MESSAGES = "/agents/5QHA6VB/conversations/a%2Fb/messages"


def test_the_messages_are_read_backwards_and_told_forwards() -> None:
    calls = port().messages({"conversation": "a/b"})
    newest = page(text("user", "3"), text("assistant", "4"), cursor="older=")
    oldest = page(text("user", "1"), text("assistant", "2"))
    assert exchange(calls, newest, oldest) == (
        [get(MESSAGES), get(MESSAGES, cursor="older=")],
        [
            VendorMessage("user", "1", "m", [TextPart("1")]),
            VendorMessage("assistant", "2", "m", [TextPart("2")]),
            VendorMessage("user", "3", "m", [TextPart("3")]),
            VendorMessage("assistant", "4", "m", [TextPart("4")]),
        ],
    )


def test_every_part_of_a_message_is_told() -> None:
    body = (
        b'{"data":[{"id":"msg_1","role":"assistant","parts":['
        b'{"type":"text","text":"Let me look."},'
        b'{"type":"tool-call","toolCallId":"c1","toolName":"look","input":{"id":42}},'
        b'{"type":"tool-result","toolCallId":"c1","toolName":"look","output":{"ok":true}},'
        b'{"type":"tool-call","toolCallId":"c2","toolName":"see"},'
        b'{"type":"tool-call","toolCallId":"c3","toolName":"see","input":[1]},'
        b'{"type":"tool-result","toolCallId":"c2"},'
        b'{"type":"sparkle"},'
        b'{"type":"text","text":"Done."}],'
        b'"createdAt":1,"feedback":null,"metadata":{"score":null}}]}'
    )
    assert exchange(port().messages({"conversation": "a/b"}), body)[1] == [
        VendorMessage(
            "assistant",
            "Let me look.\n\nDone.",
            "msg_1",
            [
                TextPart("Let me look."),
                ToolCallPart("c1", "look", {"id": 42}),
                ToolResultPart("c1", {"ok": True}, name="look"),
                ToolCallPart("c2", "see", {}),
                ToolCallPart("c3", "see", {}, status="unreadable", raw_arguments="[1]"),
                ToolResultPart("c2", None),
                TextPart("Done."),
            ],
        )
    ]


def test_only_what_user_and_assistant_said_is_told() -> None:
    body = page(text("system", "0"), text("user", "1"), {"role": "assistant"})
    assert exchange(port().messages({"conversation": "a/b"}), body)[1] == [
        VendorMessage("user", "1", "m", [TextPart("1")]),
        VendorMessage("assistant", ""),
    ]


@pytest.mark.parametrize("ids", [{}, {"conversation": ""}])
def test_what_was_never_begun_has_no_messages(ids: dict[str, str]) -> None:
    assert exchange(port().messages(ids)) == ([], [])


def test_a_list_that_says_more_but_not_where_is_at_its_end() -> None:
    body = b'{"data":[],"pagination":{"cursor":null,"hasMore":true}}'
    assert exchange(port().messages({"conversation": "a/b"}), body) == ([get(MESSAGES)], [])


def test_a_list_that_does_not_end_is_a_protocol_error() -> None:
    with pytest.raises(GatewayError) as caught:
        exchange(port().messages({"conversation": "a/b"}), *[page(cursor="again")] * 100)
    error = caught.value
    assert (error.code, error.cause, error.message) == (
        "upstream_protocol",
        "too_large",
        "chatbase's list of messages does not end",
    )


@pytest.mark.parametrize("conversation", [".", "..", "a\0"])
def test_a_conversation_that_leads_elsewhere_in_a_path_is_refused(conversation: str) -> None:
    with pytest.raises(GatewayError) as caught:
        next(port().messages({"conversation": conversation}))
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"data":{}}',
        b'{"error":"no"}',
        b'{"data":[{"role":"user","parts":[{"type":7}]}]}',
    ],
)
def test_a_list_that_cannot_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        exchange(port().messages({"conversation": "a/b"}), body)


# --- finding a lost conversation


LIST = "/agents/5QHA6VB/conversations"


def listed(conversation: str, began: float = STARTED, user: str | None = None) -> Any:
    return {
        "id": conversation,
        "title": None,
        "createdAt": began,
        "updatedAt": began + 5,
        "userId": user,
        "status": "ongoing",
    }


def asked(said: str = "Where is order 42?") -> bytes:
    return page(text("user", said), text("assistant", "Let me look."))


def find(*bodies: bytes, user_id: str | None = None) -> tuple[list[VendorRequest], dict[str, str]]:
    return exchange(port().find(Clue("Where is order 42?", SINCE, user_id)), *bodies)


def test_a_lost_conversation_is_found_by_its_user_its_time_and_its_first_message() -> None:
    conversations = page(
        listed("new", user="ann"),
        listed("other", user="ann"),
        listed("older", STARTED - 1, user="ann"),
        listed("foreign", user="bob"),
        listed("nobodys"),
    )
    assert find(conversations, asked(), asked("And 43?"), user_id="ann") == (
        [
            get("/agents/5QHA6VB/users/ann/conversations"),
            get(f"{LIST}/new/messages"),
            get(f"{LIST}/other/messages"),
        ],
        {"conversation": "new"},
    )


def test_a_user_whose_id_the_vendor_refuses_is_looked_up_by_what_the_vendor_was_told() -> None:
    hashed = "u-71d4f55f72fa128dfb468a1a3901507c804b74316488744d769d7f4b16696476"
    assert find(page(listed("new", user=hashed)), asked(), user_id="ann@example.com") == (
        [get(f"/agents/5QHA6VB/users/{hashed}/conversations"), get(f"{LIST}/new/messages")],
        {"conversation": "new"},
    )


def test_a_user_whose_id_leads_elsewhere_in_a_path_is_looked_for_among_all() -> None:
    assert find(page(listed("new", user=".."), listed("other")), asked(), user_id="..") == (
        [get(LIST), get(f"{LIST}/new/messages")],
        {"conversation": "new"},
    )


def test_without_a_user_only_conversations_without_one_are_looked_at() -> None:
    assert find(page(listed("new"), listed("anns", user="ann")), asked()) == (
        [get(LIST), get(f"{LIST}/new/messages")],
        {"conversation": "new"},
    )


def test_nothing_is_found_where_no_first_message_is_the_same() -> None:
    assert find(page(listed("new")), asked("Where is order 43?"))[1] == {}
    assert find(page(listed("new")), page(text("assistant", "Where is order 42?")))[1] == {}
    assert find(page(listed("new")), page(text("user", "Hi"), text("user", "Where is order 42?")))[1] == {}
    assert find(page(listed("new")), page())[1] == {}


def test_nothing_is_found_where_no_conversation_began_in_time() -> None:
    assert find(page(listed("older", STARTED - 1))) == ([get(LIST)], {})
    assert find(page()) == ([get(LIST)], {})


def test_what_could_be_two_conversations_is_none() -> None:
    assert find(page(listed("a"), listed("b")), asked(), asked())[1] == {}


def test_a_conversation_of_more_than_a_page_was_not_lost_in_its_first_turn() -> None:
    long = page(text("user", "Where is order 42?"), cursor="older")
    assert find(page(listed("new")), long) == ([get(LIST), get(f"{LIST}/new/messages")], {})


def test_more_than_five_that_could_be_it_are_not_read() -> None:
    assert find(page(*(listed(f"c{number}") for number in range(6)))) == ([get(LIST)], {})
    five = page(*(listed(f"c{number}") for number in range(5)))
    assert find(five, *[asked("Hi")] * 4, asked())[1] == {"conversation": "c4"}


def test_a_candidate_whose_id_cannot_stand_in_a_path_is_none() -> None:
    assert find(page(listed(".."), listed("new")), asked())[1] == {"conversation": "new"}


def test_the_list_is_walked_until_it_grows_too_old() -> None:
    first = page(listed("a", STARTED + 9), cursor="2")
    second = page(listed("new"), listed("old", STARTED - 99), cursor="3")
    assert find(first, second, asked("Hi"), asked()) == (
        [
            get(LIST),
            get(LIST, cursor="2"),
            get(f"{LIST}/a/messages"),
            get(f"{LIST}/new/messages"),
        ],
        {"conversation": "new"},
    )


def test_the_list_is_walked_for_five_pages_at_most() -> None:
    unaged = {"id": "x", "createdAt": 0}
    bodies = [page(unaged, cursor="2"), page(cursor="3"), *(page(unaged, cursor=str(n)) for n in (4, 5, 6))]
    assert find(*bodies) == (
        [get(LIST), *(get(LIST, cursor=str(number)) for number in (2, 3, 4, 5))],
        {},
    )


# --- anything at all


ANYTHING = st.recursive(
    st.sampled_from([None, True, -1, 0.5, 10**30, "", "a", "user", "text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "role", "parts", "type", "text", "input", "toolCallId", "toolName", "createdAt"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.lists(ANYTHING, max_size=3), st.lists(ANYTHING, max_size=3), ANYTHING)
def test_no_list_does_worse_than_fail(conversations: list[Any], messages: list[Any], pagination: Any) -> None:
    bodies = [json.dumps({"data": data, "pagination": pagination}).encode() for data in (conversations, messages)]
    endure(port().messages({"conversation": "c"}), bodies[1:] * 101)
    endure(port().find(Clue("Where is order 42?", SINCE)), [bodies[0], *bodies[1:] * 5])


def endure(calls: Calls[Any], bodies: list[bytes]) -> None:
    """The call ends or fails before it wants another answer."""
    with contextlib.suppress(StopIteration, GatewayError, Malformed):
        next(calls)
        for body in bodies:
            calls.send(VendorResponse(200, CIMultiDict(), body))
        pytest.fail("one more request than answers")

"""Hardwire's chats, the port driven by hand: what is asked, and what the answers mean in both dialects."""

from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.message import SourcePart, TextPart
from gateway.framing.typed import Malformed
from gateway.protocols.base import Clue, NewConversation, VendorMessage, VendorRequest, VendorResponse
from gateway.protocols.hardwire.conversations import HardwireConversations
from gateway.protocols.hardwire.translator import HardwireTarget, HardwireTranslator
from tests.support.translating import exchange

CHAT = "550e8400-e29b-41d4-a716-446655440000"
DELETE = VendorRequest("DELETE", f"/chats/{CHAT}", own_statuses=frozenset({404}))
LIST = VendorRequest("GET", f"/chats/{CHAT}/messages")


def port() -> HardwireConversations:
    return HardwireConversations(HardwireTranslator(HardwireTarget("gpt-4"), Blocks(Numbering())))


def answered(status: int, body: bytes = b"") -> VendorResponse:
    return VendorResponse(status, CIMultiDict(), body)


def test_a_chat_is_named_without_a_request() -> None:
    assert exchange(port().create(NewConversation("A title", lambda: CHAT))) == ([], {"conversation": CHAT})


@pytest.mark.parametrize(
    "response",
    [
        answered(204),
        answered(200, b'{"success":true}'),
        answered(200, b"{}"),
        answered(404, b'{"code":"CHAT_NOT_FOUND"}'),
        answered(404, b"<html>"),
    ],
)
def test_a_chat_is_deleted_in_both_dialects_and_one_that_is_gone_is_deleted(response: VendorResponse) -> None:
    assert exchange(port().delete({"conversation": CHAT}), response) == ([DELETE], None)


def test_a_chat_that_the_vendor_keeps_is_not_deleted() -> None:
    with pytest.raises(GatewayError) as caught:
        exchange(port().delete({"conversation": CHAT}), answered(200, b'{"success":false}'))
    assert (caught.value.code, caught.value.message) == ("upstream_protocol", "hardwire did not delete the chat")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"success":7}'])
def test_a_deletion_that_cannot_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        exchange(port().delete({"conversation": CHAT}), answered(200, body))


MESSAGES = (
    b'{"messages":[{"id":"m1","role":"user","content":"Explain","createdAt":"2026-03-01T12:00:00.000Z"},'
    b'{"id":"n1","role":"system","content":"A note"},'
    b'{"id":"m2","role":"assistant","content":"Quantum bits","sources":['
    b'{"url":"https://example.org/q","title":"Qubits","description":"What a qubit is."},{"url":"https://x.test"}]},'
    b'{"role":"assistant","content":"","sources":[{"title":"Third"}]},{"id":"m4","content":"Nobody said it"}]}'
)
TOLD = [
    VendorMessage("user", "Explain", "m1", [TextPart("Explain")]),
    VendorMessage(
        "assistant",
        "Quantum bits",
        "m2",
        [
            TextPart("Quantum bits"),
            SourcePart("source_0", title="Qubits", url="https://example.org/q", quote="What a qubit is."),
            SourcePart("source_1", url="https://x.test"),
        ],
    ),
    VendorMessage("assistant", "", None, [TextPart(""), SourcePart("source_2", title="Third")]),
]


@pytest.mark.parametrize("body", [MESSAGES, b'{"data":%b}' % MESSAGES])
def test_the_messages_are_told_from_both_envelopes_without_the_servers_notes(body: bytes) -> None:
    assert exchange(port().messages({"conversation": CHAT}), answered(200, body)) == ([LIST], TOLD)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"messages":{}}', b'{"messages":[{"role":"user"}]}'])
def test_a_list_that_cannot_be_read_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        exchange(port().messages({"conversation": CHAT}), answered(200, body))


@pytest.mark.parametrize("ids", [{}, {"conversation": ""}])
def test_what_was_never_begun_is_deleted_and_empty_without_a_request(ids: dict[str, str]) -> None:
    assert exchange(port().delete(ids)) == ([], None)
    assert exchange(port().messages(ids)) == ([], [])


@pytest.mark.parametrize("chat", [".", "..", "a\0"])
def test_a_chat_id_that_means_another_path_is_refused(chat: str) -> None:
    for ask in (port().delete, port().messages):
        with pytest.raises(GatewayError) as caught:
            next(ask({"conversation": chat}))
        assert caught.value.code == "bad_request"


def test_a_chat_id_is_one_segment_of_the_path() -> None:
    assert next(port().delete({"conversation": "a/b"})).path == "/chats/a%2Fb"
    assert next(port().messages({"conversation": "a/b"})).path == "/chats/a%2Fb/messages"


def test_a_chat_is_never_lost_so_none_is_looked_for() -> None:
    assert exchange(port().find(Clue("Hi", datetime(2026, 11, 20, tzinfo=UTC), "ann"))) == ([], {})

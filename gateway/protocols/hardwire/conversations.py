"""Hardwire's chats, beside messages.

    create    nothing is sent: a chat is ours to name, and begins with its first message
    delete    DELETE /chats/{id} -> 204, or 200 {success}; one that is unknown is gone
    messages  GET /chats/{id}/messages, oldest first; a chat without a message is unknown to the vendor
    find      nothing to look for: the id is ours and known before the first request, so it is never lost; and the list
              of chats (GET /users/{id}/chats) tells no first message to know one by

`system` messages are the server's own notes, and no part of the conversation.
Source: docs-hardwire.branmcf.com and the server in `branmcf/tenex-take-home`, read 2026-11.
"""

from collections.abc import Iterable
from itertools import count
from typing import Literal

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Part, SourcePart, TextPart
from gateway.framing.typed import document
from gateway.protocols.base import Calls, Clue, NewConversation, VendorMessage, VendorRequest
from gateway.protocols.hardwire import wire
from gateway.protocols.hardwire.translator import HardwireTranslator, chat_path

UNKNOWN = 404
NO_CONTENT = 204

SPEAKERS: dict[str | None, Literal["user", "assistant"]] = {"user": "user", "assistant": "assistant"}

decode_deleted = document(wire.Deleted)
decode_messages = document(wire.Messages)


class HardwireConversations:
    def __init__(self, _: HardwireTranslator) -> None:
        """The translator signed in; nothing else of it is needed."""

    def create(self, new: NewConversation) -> Calls[dict[str, str]]:
        yield from ()
        return {"conversation": new.new_id()}

    def delete(self, vendor_ids: dict[str, str]) -> Calls[None]:
        chat = vendor_ids.get("conversation")
        if not chat:
            return
        response = yield VendorRequest("DELETE", chat_path(chat), own_statuses=frozenset({UNKNOWN}))
        if response.status not in {UNKNOWN, NO_CONTENT} and not decode_deleted(response.body).success:
            raise GatewayError("upstream_protocol", "hardwire did not delete the chat", cause="protocol")

    def messages(self, vendor_ids: dict[str, str]) -> Calls[list[VendorMessage]]:
        chat = vendor_ids.get("conversation")
        if not chat:
            return []
        response = yield VendorRequest("GET", f"{chat_path(chat)}/messages")
        return list(_told(decode_messages(response.body).all))

    def find(self, clue: Clue) -> Calls[dict[str, str]]:  # noqa: ARG002  (the port's)
        yield from ()
        return {}


def _told(messages: list[wire.StoredMessage]) -> Iterable[VendorMessage]:
    numbers = count()
    for message in messages:
        role = SPEAKERS.get(message.role)
        if role is not None:
            sources = [
                SourcePart(f"source_{next(numbers)}", title=source.title, url=source.url, quote=source.description)
                for source in message.sources or ()
            ]
            parts: list[Part] = [TextPart(message.content), *sources]
            yield VendorMessage(role, message.content, message.id, parts)

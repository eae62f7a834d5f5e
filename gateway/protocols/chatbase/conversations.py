"""Chatbase's conversations, beside messages: its lists, walked page by page.

    create    unsupported: a conversation begins with its first message
    delete    unsupported: there is no such call
    messages  GET /agents/{agent}/conversations/{id}/messages
    find      GET /agents/{agent}/users/{user}/conversations, or without a user GET /agents/{agent}/conversations,
              then the messages of those that may be it

The lists show what all users of our key said, so what could be two conversations is none.
Source: chatbase.co/docs/api-v2 (conversations/*, user-conversations), read 2026-11.
"""

from typing import Literal

import msgspec

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Part, TextPart, ToolCallPart, ToolResultPart
from gateway.framing.typed import Unknown
from gateway.protocols.base import Calls, Clue, NewConversation, VendorMessage, path_segment
from gateway.protocols.chatbase import wire
from gateway.protocols.chatbase.lists import decode_conversations, decode_messages, decode_part, read_page
from gateway.protocols.chatbase.translator import ChatbaseTranslator, as_user_id, is_segment

MOST_PAGES_OF_MESSAGES = 100
MOST_PAGES_OF_CONVERSATIONS = 5
MOST_CANDIDATES = 5

SPEAKERS: dict[str, Literal["user", "assistant"]] = {"user": "user", "assistant": "assistant"}


class ChatbaseConversations:
    def __init__(self, translator: ChatbaseTranslator) -> None:
        self._translator = translator

    def create(self, new: NewConversation) -> Calls[dict[str, str]]:  # noqa: ARG002  (the port's)
        yield from ()
        raise GatewayError("unsupported", "chatbase begins a conversation with its first message")

    def delete(self, vendor_ids: dict[str, str]) -> Calls[None]:  # noqa: ARG002  (the port's)
        yield from ()
        raise GatewayError("unsupported", "chatbase cannot delete a conversation")

    def messages(self, vendor_ids: dict[str, str]) -> Calls[list[VendorMessage]]:
        conversation = vendor_ids.get("conversation")
        if not conversation:
            return []
        path = self._translator.messages_path(conversation)
        newest_first = [(yield from read_page(path, decode_messages))]
        while (cursor := newest_first[-1].pagination.next) is not None:
            if len(newest_first) == MOST_PAGES_OF_MESSAGES:
                raise GatewayError("upstream_protocol", "chatbase's list of messages does not end", cause="too_large")
            newest_first.append((yield from read_page(path, decode_messages, cursor)))
        return [message for page in reversed(newest_first) for message in _told(page)]

    def find(self, clue: Clue) -> Calls[dict[str, str]]:
        candidates = yield from self._candidates(clue)
        if len(candidates) > MOST_CANDIDATES:
            return {}
        found = []
        for conversation in candidates:
            page = yield from read_page(self._translator.messages_path(conversation), decode_messages)
            if _first_question(page) == clue.text:
                found.append(conversation)
        return {"conversation": found[0]} if len(found) == 1 else {}

    def _candidates(self, clue: Clue) -> Calls[list[str]]:
        """The user's conversations that began in time; the vendor's clock counts whole seconds."""
        user_id = as_user_id(clue.user_id) if clue.user_id else None
        path = self._translator.agent_path
        path += f"/users/{path_segment(user_id)}" if user_id is not None and is_segment(user_id) else ""
        since = int(clue.since.timestamp())
        candidates: list[str] = []
        cursor = None
        for _ in range(MOST_PAGES_OF_CONVERSATIONS):
            page = yield from read_page(f"{path}/conversations", decode_conversations, cursor)
            candidates += [
                listed.id
                for listed in page.data
                if listed.created_at >= since and listed.user_id == user_id and is_segment(listed.id)
            ]
            cursor = page.pagination.next
            if cursor is None or _is_older(page, since):
                break
        return candidates


def _is_older(page: wire.ConversationPage, since: float) -> bool:
    """Whether nothing behind this page can have begun since."""
    active = page.data[-1].updated_at if page.data else None
    return active is not None and active < since


def _first_question(page: wire.MessagePage) -> str | None:
    """A conversation with more than one page is longer than a lost one, which had a single turn."""
    if page.pagination.next is not None:
        return None
    return next((message.text for message in _told(page) if message.role == "user"), None)


def _told(page: wire.MessagePage) -> list[VendorMessage]:
    messages = []
    for stored in page.data:
        role = SPEAKERS.get(stored.role)
        if role is not None:
            parts = [part for raw in stored.parts if (part := _part(decode_part(bytes(raw)))) is not None]
            text = "\n\n".join(part.text for part in parts if isinstance(part, TextPart))
            messages.append(VendorMessage(role, text, stored.id, parts))
    return messages


def _part(part: wire.AnswerPart | Unknown) -> Part | None:
    match part:
        case wire.TextPart(text):
            return TextPart(text)
        case wire.ToolCallPart(call, name, arguments) if isinstance(arguments, dict | None):
            return ToolCallPart(call, name, arguments or {})
        case wire.ToolCallPart(call, name, arguments):
            raw = msgspec.json.encode(arguments).decode()
            return ToolCallPart(call, name, {}, status="unreadable", raw_arguments=raw)
        case wire.ToolResultPart(call, output, name):
            return ToolResultPart(call, output, name=name)
        case _:
            return None

"""Sema4.ai's conversations.

    create     POST    /agents/{agent}/conversations {"name"}
    delete     DELETE  .../{conversation}             its files go with it
    messages   GET     .../{conversation}/messages
    find       GET     /agents/{agent}/conversations  by name, and then by when its first message was stored

The list is that of our shared credential: a name alone does not tell whose a conversation is. One that was begun before
we asked, or of which nothing tells when it was begun, is not taken for ours.
"""

from datetime import datetime
from typing import Any

from gateway.canonical.assembler import Assembler
from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.events import Notice, VendorEvent
from gateway.canonical.message import TextPart
from gateway.protocols.base import Calls, Clue, NewConversation, VendorMessage, VendorRequest
from gateway.protocols.sema4 import requests, wire
from gateway.protocols.sema4.lists import Items, first_pages, moment, pages, read
from gateway.protocols.sema4.run import USER_ROLES, Run, Utterance
from gateway.protocols.sema4.translator import AGENT_ROLES, Sema4Translator, id_of, role_of

SEARCHED_PAGES = 5


class Sema4Conversations:
    def __init__(self, translator: Sema4Translator) -> None:
        self._agent = translator.agent

    def create(self, new: NewConversation) -> Calls[dict[str, str]]:
        created = yield requests.create(self._agent, new.title)
        return {"conversation": requests.created(created)}

    def delete(self, vendor_ids: dict[str, str]) -> Calls[None]:
        yield VendorRequest(
            "DELETE",
            requests.conversation_path(self._agent, vendor_ids),
            headers=requests.JSON_HEADERS,
            effect="repeatable",
            own_statuses=frozenset({404}),
        )

    def messages(self, vendor_ids: dict[str, str]) -> Calls[list[VendorMessage]]:
        listed = yield from pages(f"{requests.conversation_path(self._agent, vendor_ids)}/messages")
        return [_read(message) for message in listed if role_of(message) in USER_ROLES | AGENT_ROLES]

    def find(self, clue: Clue) -> Calls[dict[str, str]]:
        listed, is_whole = yield from first_pages(requests.conversations_path(self._agent), SEARCHED_PAGES)
        known = [read(entry, wire.Conversation) for entry in listed]
        named = [each for each in known if each.name == requests.name_of(clue.text)]
        if not is_whole or not 0 < len(named) <= SEARCHED_PAGES:
            return {}
        ours: list[str] = []
        for conversation in named:
            began = moment(conversation.created_at) or (yield from self._first_message_at(conversation.id))
            if began is not None and began >= clue.since:
                ours.append(conversation.id)
        return {"conversation": ours[0]} if len(ours) == 1 else {}

    def _first_message_at(self, conversation: str) -> Calls[datetime | None]:
        path = requests.conversation_path(self._agent, {"conversation": conversation})
        listed: Items
        listed, _ = yield from first_pages(f"{path}/messages", 1)
        return moment(listed[0].get("created_at")) if listed else None


def _read(message: dict[str, Any]) -> VendorMessage:
    """Its content, as an answer of the agent would be told."""
    told = Assembler()
    asked = role_of(message) in USER_ROLES
    utterance = Utterance("", Run(Blocks(Numbering())))
    for event in utterance.end({**message, "role": "agent"}):
        if not isinstance(event, Notice | VendorEvent):
            told.add(event)
    parts = told.parts()
    text = "\n\n".join(part.text for part in parts if isinstance(part, TextPart))
    return VendorMessage("user" if asked else "assistant", text, id_of(message) or None, parts)

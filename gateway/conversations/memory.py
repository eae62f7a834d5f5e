"""Conversations in memory: for one process, gone with it. The oldest idle ones make room above `capacity`."""

from collections import OrderedDict
from collections.abc import Mapping
from itertools import islice

import msgspec
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message
from gateway.conversations.store import BindingKey, Conversation


class _Kept(Struct):
    conversation: Conversation
    messages: list[Message] = msgspec.field(default_factory=list)
    bindings: dict[BindingKey, dict[str, str]] = msgspec.field(default_factory=dict)
    is_running: bool = False


class MemoryStore:
    def __init__(self, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def create(self, conversation: Conversation) -> None:
        self._make_room()
        self._kept[conversation.id] = _Kept(conversation)

    async def begin(self, conversation_id: str, owner: str) -> None:
        kept = self._owned(conversation_id, owner)
        if kept.is_running:
            raise GatewayError("conflict", "another message of this conversation is being answered")
        kept.is_running = True
        self._kept.move_to_end(conversation_id)

    async def end(self, conversation_id: str) -> None:
        kept = self._kept.get(conversation_id)
        if kept is not None:
            kept.is_running = False

    async def append(self, conversation_id: str, messages: list[Message]) -> None:
        kept = self._kept.get(conversation_id)
        if kept is not None:
            kept.messages += messages

    async def messages(self, conversation_id: str, owner: str) -> list[Message]:
        return list(self._owned(conversation_id, owner).messages)

    async def bindings(self, conversation_id: str) -> Mapping[BindingKey, dict[str, str]]:
        kept = self._kept.get(conversation_id)
        return {} if kept is None else kept.bindings

    async def bind(self, conversation_id: str, key: BindingKey, vendor_ids: dict[str, str]) -> None:
        kept = self._kept.get(conversation_id)
        if kept is not None:
            kept.bindings[key] = vendor_ids

    def _owned(self, conversation_id: str, owner: str) -> _Kept:
        kept = self._kept.get(conversation_id)
        if kept is None or kept.conversation.owner != owner:
            raise GatewayError("not_found", "no such conversation")
        return kept

    def _make_room(self) -> None:
        """One that runs is never forgotten, so above the capacity there may be as many as run."""
        surplus = len(self._kept) + 1 - self._capacity
        if surplus > 0:
            idle = (conversation_id for conversation_id, kept in self._kept.items() if not kept.is_running)
            for conversation_id in list(islice(idle, surplus)):
                del self._kept[conversation_id]

"""The port of the stores: conversations, their messages, and their bindings to vendors.

A conversation belongs to the key that made it; for any other key it does not exist. A binding is what one vendor, in
one scope of it, calls the conversation: `{"conversation": "..."}`, and is {} where that vendor was never asked.
All raise `GatewayError`: `not_found` for a conversation that is not the owner's, `conflict` while a message of it runs.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from gateway.canonical.message import Message


class BindingKey(Struct, frozen=True):
    vendor: str
    scope: str


class Conversation(Struct, frozen=True):
    id: str
    owner: str
    created_at: datetime


class Store(Protocol):
    async def create(self, conversation: Conversation) -> None: ...

    async def begin(self, conversation_id: str, owner: str) -> None:
        """Marks a message of the conversation as running."""
        ...

    async def end(self, conversation_id: str) -> None: ...

    async def append(self, conversation_id: str, messages: list[Message]) -> None: ...

    async def messages(self, conversation_id: str, owner: str) -> list[Message]: ...

    async def bindings(self, conversation_id: str) -> Mapping[BindingKey, dict[str, str]]: ...

    async def bind(self, conversation_id: str, key: BindingKey, vendor_ids: dict[str, str]) -> None: ...

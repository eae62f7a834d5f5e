"""The port of the stores: conversations, their messages, their bindings to vendors, and the files they name.

A conversation belongs to the key that made it; for any other key it does not exist. One message of it runs at a time:

    begin   the question and the running answer are stored   -> what each vendor calls the conversation
    end     the answer as it became, and the bindings        -> the conversation is free again

All raise `GatewayError`: `not_found` for what is not the owner's, `conflict` while a message of the conversation runs
or for an id that is taken, `store_unavailable` where the engine fails. Nothing is ever stored in part. A caller that is
cancelled in `begin` or `resume` has begun nothing: where the messages are stored already, the answer is canceled.

What is handed to a store, or read from it, is changed by nobody afterwards.
"""

from collections.abc import Awaitable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from gateway.canonical.message import Message
from gateway.canonical.resources import Page, PageOf


class BindingKey(Struct, frozen=True):
    vendor: str
    scope: str


class Binding(Struct, frozen=True):
    """What one vendor, in one scope of it, calls the conversation: `vendor_ids` ({"conversation": ...} and others).

    `seen` is the id of the last message of ours that the vendor knows. `uncertain` is the id of a question that it may
    have stored, though its answer never came. `moved_at` is when a failure elsewhere brought the conversation there.
    """

    vendor_ids: dict[str, str]
    seen: str | None = None
    uncertain: str | None = None
    moved_at: datetime | None = None


Bindings = Mapping[BindingKey, Binding]
"""The one that was set last stands last."""


class Conversation(Struct, frozen=True):
    """`is_incomplete`: a message of it could not be stored. `alias` is what its owner's client calls it, if it does."""

    id: str
    owner: str
    created_at: datetime
    updated_at: datetime
    title: str | None = None
    metadata: dict[str, Any] = {}
    is_incomplete: bool = False
    alias: str | None = None


class Named(Struct, frozen=True):
    """The conversation of an alias, the fingerprint that its latest ending left, and the answer that runs, if any."""

    conversation_id: str
    fingerprint: bytes | None = None
    running: str | None = None


class StoredFile(Struct, frozen=True):
    """A file by our id: whose it is, and what its vendor calls it (`ref`). No bytes are kept. `size` is bytes.

    `within` is the vendor's conversation, where that one alone has it.
    """

    id: str
    conversation_id: str
    key: BindingKey
    ref: str
    name: str
    media_type: str | None = None
    size: int | None = None
    created_at: datetime | None = None
    within: str | None = None

    def is_in(self, vendor_ids: Mapping[str, str]) -> bool:
        """Whether the vendor has it in the conversation that these name."""
        return self.within is None or self.within == vendor_ids.get("conversation")


class Ending(Struct, frozen=True):
    """How a message ended: the answer, and the bindings that it changed (None: the vendor's copy is of no more use).

    `fingerprint` is that of the conversation up to and with the answer (None: it cannot be recognised by one).
    """

    answer: Message
    bindings: dict[BindingKey, Binding | None] = {}
    fingerprint: bytes | None = None


class Store(Protocol):
    async def create(self, conversation: Conversation) -> None:
        """Its alias is taken from the one that had it; not while a message of that one runs."""
        ...

    async def conversation(self, conversation_id: str, owner: str) -> Conversation: ...

    async def conversations(self, owner: str, page: PageOf) -> Page[Conversation]:
        """The latest used first. Raises `bad_request` for a cursor that is not one of ours."""
        ...

    async def recognise(self, owner: str, fingerprint: bytes) -> str | None:
        """The id of the owner's conversation that was left with this fingerprint by its latest ending.

        None where there is none, or more than one, or somebody holds it. A message that begins takes the fingerprint
        away, and only its ending gives another.
        """
        ...

    async def named(self, owner: str, alias: str) -> Named | None:
        """The owner's conversation of that alias."""
        ...

    def hold(self, conversation_id: str, owner: str) -> AbstractAsyncContextManager[None]:
        """No message of it begins meanwhile, and nobody else holds it."""
        ...

    async def delete(self, conversation_id: str, owner: str) -> None:
        """With its messages, bindings and files; not while a message of it runs, but while it is held."""
        ...

    async def begin(self, conversation: Conversation, messages: list[Message]) -> None:
        """Starts a new conversation, as `create` does, and its first message; `messages` are as for `resume`."""
        ...

    async def resume(self, conversation_id: str, owner: str, messages: list[Message]) -> Bindings:
        """Starts the next message: `messages` are its question, if it has one, and last the answer, which runs."""
        ...

    def end(self, conversation_id: str, ending: Ending) -> Awaitable[None]:
        """Later calls see the ending from now on, and the conversation is free; awaiting it says that it is stored.

        Where it cannot be stored, the conversation `is_incomplete` and the answer failed. The ending of what does not
        run changes nothing.
        """
        ...

    async def messages(self, conversation_id: str, owner: str, page: PageOf) -> Page[Message]:
        """The oldest first. Raises `bad_request` for a cursor that is not one of ours."""
        ...

    async def message(self, message_id: str, owner: str) -> Message:
        """Of any of the owner's conversations, also one that runs."""
        ...

    async def bindings(self, conversation_id: str, owner: str) -> Bindings: ...

    async def bind(self, conversation_id: str, key: BindingKey, binding: Binding | None) -> None:
        """Sets one binding, or drops it with the files it holds."""
        ...

    async def keep_files(self, files: list[StoredFile]) -> list[StoredFile]:
        """Stores them; one that is known by its conversation, key and `ref` keeps the id it has."""
        ...

    async def files(self, conversation_id: str, owner: str) -> list[StoredFile]:
        """In the order in which they became known."""
        ...

    async def close(self) -> None:
        """What was asked before is done first."""
        ...

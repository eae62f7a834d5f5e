"""Messages, conversations, and the tables that their tools made: each ask becomes one result.

    await Conversations(gateway).perform(ask, owner)

Conversations and messages come from our store alone: a vendor's own list, under our shared credential, would show those
of others. Deleting reaches the vendors first: all of their copies go, or nothing does.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message
from gateway.canonical.resources import (
    Ask,
    BindingAnswer,
    CancelMessage,
    ConversationAnswer,
    CreateConversation,
    DataFrameAnswer,
    DeleteConversation,
    DeletedAnswer,
    GetConversation,
    GetMessage,
    ListConversations,
    ListDataFrames,
    ListMessages,
    Page,
    ReadDataFrame,
    Result,
    Rows,
)
from gateway.conversations.store import Binding, BindingKey, Bindings, Conversation
from gateway.routing.plan import Target
from gateway.server.errands import Desk, PortName, told_as
from gateway.server.gateway import Gateway

NO_FRAME = "the conversation has no such data frame"


class Conversations:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._desk = Desk(gateway)

    async def perform(self, ask: Ask, owner: str) -> Result:
        match ask:
            case GetMessage(message_id=message_id):
                return await self._gateway.store.message(message_id, owner)
            case CancelMessage(message_id=message_id):
                return await self._cancel(message_id, owner)
            case CreateConversation():
                return await self._create(ask, owner)
            case ListConversations(page=page):
                found = await self._gateway.store.conversations(owner, page)
                return Page([_told(conversation, {}) for conversation in found.data], found.next_cursor)
            case GetConversation(conversation_id=conversation_id):
                conversation = await self._gateway.store.conversation(conversation_id, owner)
                return _told(conversation, await self._gateway.store.bindings(conversation_id, owner))
            case DeleteConversation():
                return await self._delete(ask, owner)
            case ListMessages(conversation_id=conversation_id, page=page):
                return await self._messages(conversation_id, owner, ask)
            case ListDataFrames(conversation_id=conversation_id):
                return await self._data_frames(conversation_id, owner)
            case ReadDataFrame():
                return await self._rows(ask, owner)
            case _:
                raise GatewayError("internal", "an ask that is somebody else's")

    async def _cancel(self, message_id: str, owner: str) -> Message:
        """The message as it is then: one that is over, or ends by itself just now, stays as it is."""
        running = self._gateway.running.find(message_id, owner)
        if running is not None:
            await running.cancel()
        return await self._gateway.store.message(message_id, owner)

    async def stop(self, alias: str, owner: str) -> None:
        """Cancels what runs in the conversation of that alias, where anything does."""
        found = await self._gateway.store.named(owner, alias)
        if found is not None and found.running is not None:
            await self._cancel(found.running, owner)

    async def _create(self, ask: CreateConversation, owner: str) -> ConversationAnswer:
        now = datetime.now(UTC)
        conversation = Conversation(
            self._gateway.ids.new("conv"), owner, created_at=now, updated_at=now, title=ask.title, metadata=ask.metadata
        )
        await self._gateway.store.create(conversation)
        return _told(conversation, {})

    async def _messages(self, conversation_id: str, owner: str, ask: ListMessages) -> Page[Message]:
        return await self._gateway.store.messages(conversation_id, owner, ask.page)

    # Deleting.

    async def _delete(self, ask: DeleteConversation, owner: str) -> DeletedAnswer:
        """Held, so that no message begins meanwhile. What one vendor deleted is unbound at once: a retry goes on."""
        store = self._gateway.store
        copies: dict[str, Literal["deleted", "kept"]] = {}
        async with store.hold(ask.conversation_id, owner):
            bindings = await store.bindings(ask.conversation_id, owner)
            if ask.copies == "keep":
                copies = {key.vendor: "kept" for key in bindings}
            else:
                for target, binding in self._deletable(bindings):
                    await self._delete_copy(ask.conversation_id, target, binding)
                    copies[target.vendor] = "deleted"
            await store.delete(ask.conversation_id, owner)
        return DeletedAnswer(ask.conversation_id, copies)

    def _deletable(self, bindings: Bindings) -> list[tuple[Target, Binding]]:
        """Raises `unsupported` where any vendor cannot delete its copy: then nothing is deleted anywhere."""
        copies = [(key, binding) for key, binding in bindings.items() if _may_have_copy(binding)]
        keepers = sorted({key.vendor for key, binding in copies if not self._can_delete(key, binding)})
        if keepers:
            raise GatewayError(
                "unsupported",
                f"nothing was deleted, because {', '.join(keepers)} cannot: `copies=keep` leaves the copy there",
                details={"path": "query.copies", "vendors": keepers},
            )
        return [(self._desk.target_of(key), binding) for key, binding in copies]

    def _can_delete(self, key: BindingKey, binding: Binding) -> bool:
        if "conversation" not in binding.vendor_ids:
            return False
        target = self._desk.target_of(key)
        return self._gateway.protocols[target.protocol].capabilities["delete_conversation"] == "yes"

    async def _delete_copy(self, conversation_id: str, target: Target, binding: Binding) -> None:
        await self._desk.run(
            target, "delete_conversation", "conversations", lambda port: port.delete(binding.vendor_ids)
        )
        await self._gateway.store.bind(conversation_id, self._desk.key_of(target), None)

    # Data frames.

    async def _data_frames(self, conversation_id: str, owner: str) -> Page[DataFrameAnswer]:
        found = await self.latest(conversation_id, owner, "data_frames")
        if found is None:
            return Page([])
        target, binding = found
        frames = await self._desk.run(
            target, "list_data_frames", "data_frames", lambda port: port.list_frames(binding.vendor_ids)
        )
        return Page(frames)

    async def _rows(self, ask: ReadDataFrame, owner: str) -> Rows:
        target, binding = await self.frames_of(ask, owner)
        with told_as("not_found", NO_FRAME):
            return await self._desk.run(
                target,
                "read_data_frame",
                "data_frames",
                lambda port: port.rows(binding.vendor_ids, ask.name, ask.slice),
                self._gateway.edge.max_document,
            )

    async def frames_of(self, ask: ReadDataFrame, owner: str) -> tuple[Target, Binding]:
        found = await self.latest(ask.conversation_id, owner, "data_frames")
        if found is None:
            raise GatewayError("not_found", NO_FRAME)
        return found

    async def latest(self, conversation_id: str, owner: str, port: PortName) -> tuple[Target, Binding] | None:
        """The latest binding that is in use and whose protocol offers that. Raises `unsupported` where none does."""
        bindings = await self._gateway.store.bindings(conversation_id, owner)
        return self.choose(bindings, port)

    def choose(self, bindings: Mapping[BindingKey, Binding], port: PortName) -> tuple[Target, Binding] | None:
        bound = [(key, binding) for key, binding in bindings.items() if "conversation" in binding.vendor_ids]
        for key, binding in reversed(bound):
            target = self._desk.find(key)
            if target is not None and self._desk.offers(target, port):
                return target, binding
        if bound:
            raise self._desk.lacks(self._desk.target_of(bound[-1][0]), port)
        return None


def _may_have_copy(binding: Binding) -> bool:
    """Also where a question may have arrived whose answer, with the vendor's id, never did."""
    return "conversation" in binding.vendor_ids or binding.uncertain is not None


def _told(conversation: Conversation, bindings: Bindings) -> ConversationAnswer:
    return ConversationAnswer(
        id=conversation.id,
        created_at=conversation.created_at,
        updated_at=conversation.updated_at,
        title=conversation.title,
        metadata=conversation.metadata,
        is_incomplete=conversation.is_incomplete,
        bindings=[
            BindingAnswer(key.vendor, binding.vendor_ids, binding.uncertain is not None)
            for key, binding in bindings.items()
        ],
    )

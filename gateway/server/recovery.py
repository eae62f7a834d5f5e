"""What a binding is worth after an attempt that broke off: the vendor's own list of messages tells.

the list holds the question     confirmed: the vendor knows the turn, and whatever it answered
the list lacks it               missed: it goes along with the next turn, and so does what was missed before it
there is no such list           abandoned: a new conversation is begun, with all that was said
the vendor's id never came      it is looked for in the vendor's list of conversations; then as above
"""

import asyncio
from typing import Literal

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message, TextPart
from gateway.canonical.turn import HistoryMessage
from gateway.conversations.store import Binding
from gateway.protocols.base import Clue, VendorMessage
from gateway.routing.plan import Route, Target
from gateway.server.asked import Known
from gateway.server.errands import Desk
from gateway.server.gateway import Gateway

Outcome = Literal["confirmed", "missed", "abandoned"]

DEADLINE = 10.0
"""Seconds that a recovery may add to the wait for an answer."""

MAX_SAID = 64 * 1024
"""Characters of what was said that go along; the oldest messages are left out first."""


class Recovery:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._desk = Desk(gateway)

    async def recover(self, known: Known, route: Route, transcript: list[Message], user_id: str | None) -> None:
        """Makes every uncertain binding of the route's targets a certain one, or drops it, in `known`.

        `transcript` is what was said before, the oldest first.
        """
        for target in route.targets:
            binding = known.bindings.get(self._desk.key_of(target))
            if binding is not None and binding.uncertain is not None:
                await self._settle(known, target, binding, transcript, user_id)

    async def _settle(
        self, known: Known, target: Target, binding: Binding, transcript: list[Message], user_id: str | None
    ) -> None:
        key = self._desk.key_of(target)
        turn = _turn_of(binding, transcript)
        vendor_ids, listed = await self._look(target, binding, turn, user_id)
        if listed is None:
            del known.bindings[key]
            known.missed[key] = said(transcript)
            outcome: Outcome = "abandoned"
        elif _holds(listed, turn):
            known.bindings[key] = Binding(vendor_ids, seen=turn[-1].id if turn else binding.seen)
            outcome = "confirmed"
        else:
            known.bindings[key] = Binding(vendor_ids, seen=binding.seen)
            known.missed[key] = said(_after(binding.seen, transcript) or turn)
            outcome = "missed"
        self._gateway.metrics.recovery(vendor=target.vendor, outcome=outcome)

    async def _look(
        self, target: Target, binding: Binding, turn: list[Message], user_id: str | None
    ) -> tuple[dict[str, str], list[VendorMessage] | None]:
        """The vendor's ids and its messages; None where it cannot say."""
        vendor_ids = binding.vendor_ids
        try:
            async with asyncio.timeout(DEADLINE):
                if "conversation" not in vendor_ids and turn and self._may_search(user_id):
                    clue = Clue(_text(turn[0]), turn[0].created_at, user_id)
                    vendor_ids = await self._desk.run(target, "find", "conversations", lambda port: port.find(clue))
                if "conversation" not in vendor_ids:
                    return {}, None
                listed = await self._desk.run(
                    target, "list_messages", "conversations", lambda port: port.messages(vendor_ids)
                )
        except (GatewayError, TimeoutError):
            return {}, None
        return vendor_ids, listed

    def _may_search(self, user_id: str | None) -> bool:
        """Whether what is found in the vendor's own list can only be this user's: that list shows everybody's."""
        return user_id is not None and self._gateway.keys.is_one_caller


def _after(seen: str | None, transcript: list[Message]) -> list[Message]:
    """What came since the last message that the vendor knows; nothing where that is not among them."""
    if seen is None:
        return transcript
    ids = [message.id for message in transcript]
    return transcript[ids.index(seen) + 1 :] if seen in ids else []


def _turn_of(binding: Binding, transcript: list[Message]) -> list[Message]:
    """The uncertain question and its answer."""
    for number, message in enumerate(transcript):
        if message.id == binding.uncertain:
            return transcript[number : number + 2]
    return []


def _holds(listed: list[VendorMessage], turn: list[Message]) -> bool:
    """Whether the last thing that the vendor heard is the question; one without text cannot be told, and is taken."""
    question = _plain(_text(turn[0])) if turn else ""
    heard = [message.text for message in listed if message.role == "user"]
    return not question or (bool(heard) and _plain(heard[-1]).endswith(question))


def said(messages: list[Message]) -> list[HistoryMessage]:
    """As much of the end as there is room for, never a part of a message."""
    said: list[HistoryMessage] = []
    room = MAX_SAID
    for message in reversed(messages):
        room -= len(_text(message))
        if room < 0:
            break
        if message.parts:
            said.append(HistoryMessage(message.role, message.parts))
    return said[::-1]


def _text(message: Message) -> str:
    return "\n\n".join(part.text for part in message.parts if isinstance(part, TextPart))


def _plain(text: str) -> str:
    return " ".join(text.split())

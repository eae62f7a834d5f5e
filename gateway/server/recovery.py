"""What a binding is worth after an attempt that broke off: the vendor's own list of messages tells.

the list holds the question     confirmed: the vendor knows the turn, and whatever it answered
the list lacks it               missed: what the vendor knew before it is all that it knows
there is no such list           abandoned: a new conversation is to be begun
the vendor's id never came      it is looked for in the vendor's list of conversations; then as above
"""

import asyncio
from collections.abc import Iterator
from typing import Literal

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import Message, TextPart
from gateway.canonical.one_text import SO_FAR
from gateway.canonical.turn import NOW
from gateway.conversations.catch_up import Transcript
from gateway.conversations.store import Binding
from gateway.protocols.base import Clue, VendorMessage
from gateway.routing.plan import Target
from gateway.server.errands import Desk
from gateway.server.gateway import Gateway

Outcome = Literal["confirmed", "missed", "abandoned"]

DEADLINE = 10.0
"""Seconds that a recovery may add to the wait for an answer."""


class Recovery:
    def __init__(self, gateway: Gateway, user_id: str | None) -> None:
        self._gateway = gateway
        self._desk = Desk(gateway)
        self._user_id = user_id

    async def recover(self, target: Target, binding: Binding, transcript: Transcript) -> Binding | None:
        """The binding as a certain one; None where it is worth nothing."""
        turn = _turn_of(binding, transcript.after(None))
        vendor_ids, listed = await self._look(target, binding, turn)
        settled: Binding | None = None
        outcome: Outcome = "abandoned"
        if listed is not None:
            times = 1 + _repeated(transcript, turn, binding.seen, target.vendor)
            outcome = "confirmed" if _holds(listed, turn, times, self._tails()) else "missed"
            seen = _last_known(turn, target.vendor) if outcome == "confirmed" and turn else binding.seen
            settled = Binding(vendor_ids, seen, moved_at=binding.moved_at)
        self._gateway.metrics.recovery(vendor=target.vendor, outcome=outcome)
        return settled

    async def _look(
        self, target: Target, binding: Binding, turn: list[Message]
    ) -> tuple[dict[str, str], list[VendorMessage] | None]:
        """The vendor's ids and its messages; None where it cannot say."""
        vendor_ids = binding.vendor_ids
        try:
            async with asyncio.timeout(DEADLINE):
                if "conversation" not in vendor_ids and turn and self._may_search():
                    clue = Clue(_text(turn[0]), turn[0].created_at, self._user_id)
                    vendor_ids = await self._desk.run(target, "find", "conversations", lambda port: port.find(clue))
                if "conversation" not in vendor_ids:
                    return {}, None
                listed = await self._desk.run(
                    target, "list_messages", "conversations", lambda port: port.messages(vendor_ids)
                )
        except (GatewayError, TimeoutError):
            return {}, None
        return vendor_ids, listed

    def _tails(self) -> set[str]:
        """What may have stood behind a question: the ends of the routes' templates."""
        return {_plain(route.rules.catch_up.template.partition(NOW)[2]) for route in self._gateway.routes.values()}

    def _may_search(self) -> bool:
        """Whether what is found in the vendor's own list can only be this user's: that list shows everybody's."""
        return self._user_id is not None and self._gateway.keys.is_one_caller


def _turn_of(binding: Binding, transcript: list[Message]) -> list[Message]:
    """The uncertain question and its answer."""
    for number, message in enumerate(transcript):
        if message.id == binding.uncertain:
            return transcript[number : number + 2]
    return []


def _last_known(turn: list[Message], vendor: str) -> str:
    """The id of the answer, where it was that vendor's; else of the question."""
    return turn[-1].id if turn[-1].vendor == vendor else turn[0].id


def _repeated(transcript: Transcript, turn: list[Message], seen: str | None, vendor: str) -> int:
    """How many of the last turns that the vendor knew had a question that cannot be told from this one's."""
    if not turn:
        return 0
    missed = {message.id for message in transcript.after(seen)}
    known = [message for message in transcript.before(turn[0].id) if message.id not in missed]
    times = 0
    for question, *answer in _turns(known):
        is_held = seen in {question.id, *(each.id for each in answer)} or any(
            each.status == "completed" and each.vendor == vendor for each in answer
        )
        if not is_held or not _plain(_text(question)).endswith(_plain(_text(turn[0]))):
            break
        times += 1
    return times


def _turns(said: list[Message]) -> Iterator[list[Message]]:
    """Each question with what came before the next, the last turn first."""
    end = len(said)
    for start in range(len(said) - 1, -1, -1):
        if said[start].role == "user":
            yield said[start:end]
            end = start


def _holds(listed: list[VendorMessage], turn: list[Message], times: int, tails: set[str]) -> bool:
    """Whether the last things that the vendor heard are the question, so many times.

    One without text cannot be told, and is taken to be there.
    """
    question = _plain(_text(turn[0])) if turn else ""
    heard = [_plain(message.text) for message in listed if message.role == "user"][-times:]
    return not question or (
        len(heard) == times and all(any(text.endswith(question) for text in _without(each, tails)) for each in heard)
    )


def _without(heard: str, tails: set[str]) -> Iterator[str]:
    """A text as it may have been before something was added behind it."""
    for text in (heard, heard.rpartition(_plain(SO_FAR))[0].rstrip()):
        for tail in tails:
            yield text.removesuffix(tail).rstrip()


def _text(message: Message) -> str:
    return "\n\n".join(part.text for part in message.parts if isinstance(part, TextPart))


def _plain(text: str) -> str:
    return " ".join(text.split())

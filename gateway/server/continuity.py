"""What each vendor is told of a conversation when it is asked.

    the conversation is there                 nothing: the vendor keeps it
    it went on elsewhere since                what came after the last message that this vendor knows
    the vendor never had it, or has lost it   all of it
    nobody knows what the vendor has          its own list of messages tells (see `recovery`); then as above
    the vendor keeps nothing                  all of it, each time (`recall`)

All of it is read from the store, when the first vendor is asked who needs it.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime

from msgspec import Struct

from gateway.conversations.catch_up import Missed, Transcript, catch_up, history
from gateway.conversations.store import Binding, BindingKey
from gateway.routing.plan import Target
from gateway.routing.rules import CatchUp

Recover = Callable[[Target, Binding, Transcript], Awaitable[Binding | None]]
"""What an uncertain binding is worth; None where it is worth nothing."""


class Told(Struct, frozen=True):
    """A vendor that was told what it missed, for the metrics."""

    vendor: str
    missed: Missed


class Continuity:
    def __init__(
        self,
        bindings: Mapping[BindingKey, Binding],
        *,
        read: Callable[[], Awaitable[Transcript]],
        recover: Recover,
        rules: CatchUp,
        is_new: bool,
    ) -> None:
        """`is_new`: nothing was said before."""
        self.bindings = dict(bindings)
        self.home = _home(bindings)
        """Where the conversation is: at the vendor that answered last, or may have."""
        self.origin = self.home
        """Where it was before this message."""
        self._read = read
        self._recover = recover
        self._rules = rules
        self._is_new = is_new
        self._moved_at = None if self.origin is None else bindings[self.origin].moved_at
        self._transcript: Transcript | None = None
        self._missed: dict[BindingKey, Missed] = {}
        self._recalled: dict[BindingKey, Missed] = {}

    @property
    def told(self) -> list[Told]:
        return [Told(key.vendor, missed) for key, missed in self._missed.items() if missed.messages or missed.left_out]

    def moved_at(self, key: BindingKey) -> datetime | None:
        """When a failure had brought the conversation there; None also where it was elsewhere before this message."""
        return self._moved_at if key == self.origin else None

    def missed(self, key: BindingKey) -> Missed:
        return self._recalled.get(key) or self._missed.get(key, Missed())

    async def transcript(self) -> Transcript:
        """Raises as the store does."""
        if self._transcript is None:
            self._transcript = await self._read()
        return self._transcript

    def is_certain(self, key: BindingKey) -> bool:
        """Whether the vendor knows all that was said."""
        binding = self.bindings.get(key)
        return self._is_new or (binding is not None and binding.uncertain is None and key == self.home)

    def is_recalled(self, key: BindingKey) -> bool:
        return self._is_new or key in self._recalled

    async def recall(self, key: BindingKey, until: str | None) -> None:
        """Finds out what is told to a vendor that keeps nothing: all before that message. Raises as the store does."""
        transcript = await self.transcript()
        self._recalled[key] = Missed(history(transcript.before(until), key.vendor))

    async def prepare(self, target: Target, key: BindingKey) -> None:
        """Makes the target's binding a certain one, and finds out what that vendor missed. Raises as the store does."""
        if self.is_certain(key):
            return
        binding = self.bindings.get(key)
        transcript = await self.transcript()
        if binding is not None and binding.uncertain is not None:
            binding = await self._recover(target, binding, transcript)
            self._settle(key, binding)
        self._missed[key] = catch_up(
            transcript.after(None if binding is None else binding.seen), self._rules.characters
        )

    def lose(self, key: BindingKey) -> bool:
        """The vendor does not have the conversation any more; whether it ever had."""
        if self.home == key:
            self.home = None
        return self.bindings.pop(key, None) is not None

    def _settle(self, key: BindingKey, binding: Binding | None) -> None:
        if binding is None:
            self.lose(key)
        else:
            self.bindings[key] = binding


def _home(bindings: Mapping[BindingKey, Binding]) -> BindingKey | None:
    """The binding that was set last, but for those that only ever began."""
    heard = [key for key, binding in bindings.items() if binding.seen is not None or binding.uncertain is not None]
    return heard[-1] if heard else None

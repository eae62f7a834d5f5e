"""The texts, or the reasonings, of one answer: ids that begin anew with each step, and steps that are taken back.

    start, grow, end   a part by its id; a delta opens its part
    begin_step         what came before cannot be taken back any more
    retract            what came since is replaced by nothing

The last `providerMetadata` of a part is the vendor's own: it becomes the signature, so that it goes back with the part.
"""

from collections.abc import Callable
from typing import Protocol

from gateway.canonical.blocks import Events
from gateway.canonical.events import ReasoningStarted, TextStarted
from gateway.protocols.ai_sdk import wire
from gateway.protocols.ai_sdk.transcript import seal


class Complete(Protocol):
    def __call__(self, key: str, signature: str | None) -> Events: ...


class Prose:
    def __init__(
        self,
        start: Callable[[str], Events],
        grow: Callable[[str, str], Events],
        complete: Complete,
        settle: Callable[[str, str], Events],
    ) -> None:
        self._start = start
        self._grow = grow
        self._complete = complete
        self._settle = settle
        self._keys: dict[str, str] = {}
        """Of the parts that are open, by id."""
        self._metadata: dict[str, wire.Metadata] = {}
        self._of_this_step: list[str] = []
        self._started = 0
        self.block = 0
        """The number of the block that ended last."""
        self._blocks: dict[str, int] = {}

    def start(self, part_id: str, metadata: wire.Metadata | None = None) -> Events:
        if part_id in self._keys:
            return ()
        key = self._keys[part_id] = f"{self._started}"
        self._started += 1
        self._of_this_step.append(key)
        self._keep(key, metadata)
        events = self._start(key)
        self._blocks.update((key, event.block) for event in events if isinstance(event, TextStarted | ReasoningStarted))
        return events

    def grow(self, part_id: str, delta: str, metadata: wire.Metadata | None = None) -> Events:
        key = self._keys.get(part_id)
        if key is None:
            return (*self.start(part_id), *self.grow(part_id, delta, metadata))
        if metadata is not None:
            self._keep(key, metadata)
        return self._grow(delta, key)

    def end(self, part_id: str, metadata: wire.Metadata | None = None) -> Events:
        key = self._keys.pop(part_id, None)
        if key is None:
            return ()
        self._keep(key, metadata)
        self.block = self._blocks[key]
        own = self._metadata.get(key)
        return self._complete(key, None if own is None else seal(wire.Seal(own)))

    def begin_step(self) -> None:
        self._of_this_step = []

    def retract(self) -> Events:
        """The blocks that were begun earlier stay, but no delta reaches them any more."""
        events = [event for key in self._of_this_step for event in self._settle("", key)]
        self._of_this_step = []
        self._keys = {}
        return tuple(events)

    def _keep(self, key: str, metadata: wire.Metadata | None) -> None:
        if metadata is not None:
            self._metadata[key] = metadata

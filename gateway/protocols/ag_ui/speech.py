"""What the assistant says and thinks: AG-UI's messages as text and reasoning blocks, and what signs them.

A block is opened by its first delta, for servers send empty messages as parents of calls. A reasoning message that has
ended completes with what comes next, because its signature may follow: before REASONING_END, or behind it.
"""

from collections.abc import Iterator

from gateway.canonical.blocks import Blocks, Events
from gateway.canonical.events import Event, TextCompleted

SPEAKERS = frozenset({None, "", "assistant"})


class Speech:
    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self.others: set[str] = set()
        """Messages of the stream that the assistant does not speak."""
        self._texts: dict[str, str] = {}
        """Every finished text, by its message's id."""
        self._whole: str | None = None
        """All of them as one, once they are complete."""
        self._signatures: dict[str, str] = {}
        """Of what is not completed yet, by its message's id."""
        self._unsigned = ""
        """A reasoning message that has ended, and whose signature may follow."""

    def is_others(self, message_id: str, role: str | None) -> bool:
        """Whether a message that starts is not the assistant's: then none of it is told."""
        if role in SPEAKERS:
            return False
        self.others.add(message_id)
        return True

    def text(self, message_id: str, delta: str) -> Events:
        return () if message_id in self.others else self._blocks.text(delta, message_id)

    def complete_text(self, message_id: str) -> Events:
        signature = self._signatures.pop(message_id, None)
        started = self._blocks.start_text(message_id) if signature else ()
        completed = self._blocks.complete_text(message_id, signature)
        self._keep(message_id, completed)
        return (*started, *completed)

    def reasoning(self, message_id: str, delta: str) -> Events:
        return self._blocks.reasoning(delta, message_id)

    def end_reasoning(self, message_id: str) -> Events:
        if message_id in self._signatures:
            return self.complete_reasoning(message_id)
        self._unsigned = message_id
        return ()

    def end_unsigned(self) -> Events:
        message_id, self._unsigned = self._unsigned, ""
        return self.complete_reasoning(message_id) if message_id else ()

    def complete_reasoning(self, message_id: str) -> Events:
        signature = self._signatures.pop(message_id, None)
        started = self._blocks.start_reasoning(message_id) if signature else ()
        return (*started, *self._blocks.complete_reasoning(message_id, signature))

    def sign(self, message_id: str, signature: str) -> Events | None:
        """None where it comes too late."""
        if message_id in self._texts:
            return None
        self._signatures[message_id] = signature
        return self.end_unsigned() if message_id == self._unsigned else ()

    def complete(self) -> Iterator[Event]:
        """Whatever is open: a server may forget to end it."""
        for event in self._blocks.complete():
            self._keep(f"block {len(self._texts)}", (event,))
            yield event

    def recover(self, message_id: str, text: str) -> Events:
        """A text that a snapshot tells, as far as it was not shown: a snapshot may be old, and name it otherwise."""
        shown = self._texts.get(message_id)
        if shown is None:
            if self._whole is None:
                self._whole = "".join(self._texts.values())
            is_shown = text == self._whole or text in self._texts.values()
        else:
            is_shown = shown.startswith(text)
        return () if is_shown else self._blocks.settle_text(text, message_id)

    def _keep(self, message_id: str, completed: Events) -> None:
        for event in completed:
            if isinstance(event, TextCompleted):
                self._texts[message_id] = event.text

"""One run of the agent: its messages as they are told, and what all of them used.

    Run         what the messages of a run share: blocks, tool calls, usage, the model, the budget of patches
    Utterance   one message: patches and snapshots in, canonical events out

A content object is known again by its `content_id`, else by its place. What a user said is not told.
"""

from typing import Any

from gateway.canonical.blocks import Blocks
from gateway.canonical.events import Event, Notice, UsageReported
from gateway.framing.typed import Malformed
from gateway.protocols.sema4 import wire
from gateway.protocols.sema4.contents import Calls, Content, Told, open_content, text_of
from gateway.protocols.sema4.patch import Budget, Change, Document, Growing, Grown, Node

MAX_COUNT = 2**53
MAX_MODEL = 256

USER_ROLES = frozenset({"user", "human"})


class Run:
    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        self.budget = Budget()
        self.calls: Calls = {}
        self.model: str | None = None
        self._used: dict[str, tuple[int | None, int | None]] = {}
        self._input: int | None = None
        self._output: int | None = None

    def note(self, key: str, metadata: Any) -> tuple[UsageReported, ...]:
        """What a message says of its making; usage is reported as the sum over the messages, where it is news."""
        if not isinstance(metadata, dict):
            return ()
        self.model = _model(metadata.get("models")) or self.model
        usage = metadata.get("total_usage")
        if not isinstance(usage, dict):
            return ()
        used = _count(usage.get("input_tokens")), _count(usage.get("output_tokens"))
        if used == (None, None) or self._used.get(key) == used:
            return ()
        before, self._used[key] = self._used.get(key, (None, None)), used
        self._input = _moved(self._input, before[0], used[0])
        self._output = _moved(self._output, before[1], used[1])
        return (UsageReported(self._input, self._output),)


class _Known:
    """A content object that was seen, and the last node that it was."""

    __slots__ = ("content", "kind", "name", "node")

    def __init__(self, kind: str, name: str, node: Node, content: Content) -> None:
        self.kind = kind
        self.name = name
        self.node = node
        self.content = content


class Utterance:
    def __init__(self, key: str, run: Run) -> None:
        self.sequence = 0
        """The vendor's number of the last event that was read."""
        self.is_ended = False
        self._key = key
        self._run = run
        self._document = Document(run.budget)
        self._all: list[_Known] = []
        self._by_node: dict[int, _Known] = {}
        self._by_name: dict[str, _Known] = {}
        self._by_place: dict[int, _Known] = {}
        self._growing: dict[str, tuple[Growing, Content]] = {}
        """Texts by their paths, as long as nothing but texts grows."""

    def apply(self, patch: wire.Patch) -> Told:
        if type(patch) is wire.ConcatString:
            growing = self._growing.get(patch.path)
            if growing is not None:
                leaf, content = growing
                self._document.grow(leaf, patch.value)
                return content.grow(patch.value)
        else:
            self._growing.clear()
        told = [event for change in self._document.apply(patch) for event in self._tell(change)]
        if type(patch) is wire.ConcatString:
            self._keep_growing(patch.path)
        return told

    def show(self, message: Node) -> Told:
        """The whole of it as it is by now."""
        self._growing.clear()
        self._document.become({**self._document.root, **as_message(message)})
        return [*self._note(), *self._tell_all()]

    def end(self, message: Node | None) -> Told:
        """What it came to: what was not shown is added, and what was shown otherwise is replaced."""
        self._document.become({**self._document.root, **as_message(message or {})})
        self.is_ended = True
        ended: set[int] = set()
        told: list[Event | Notice] = []
        for known, node in self._contents():
            told += known.content.end(node)
            ended.add(id(known))
        for known in self._all:
            if id(known) not in ended:
                told += known.content.retract()
        told += self._note()
        self._forget()
        return told

    def stop(self) -> Told:
        """The run is over."""
        return (
            [] if self.is_ended else [event for known, node in self._contents() for event in known.content.stop(node)]
        )

    # What a patch changed.

    def _tell(self, change: Change) -> Told:
        match change.path:
            case () | ("content",):
                return [*self._note(), *self._tell_all()]
            case ("content", place, *fields):
                return self._tell_content(change, place, fields)
            case ("agent_metadata", *_):
                return self._note()
            case _:
                return ()

    def _tell_content(self, change: Change, name: str, fields: list[str]) -> Told:
        entries = self._entries()
        place = int(name)
        if place >= len(entries) or not self._is_spoken():
            return ()
        node = entries[place]
        is_new = self._known_as(node) is None
        known = self._known(place, node)
        if known is None:
            return ()
        if is_new or not fields:
            return known.content.tell(node)
        if fields == [known.content.grows]:
            return known.content.grow(change.delta) if isinstance(change, Grown) else known.content.tell(node)
        return known.content.mark(node)

    def _tell_all(self) -> Told:
        return [event for known, node in self._contents() for event in known.content.tell(node)]

    def _note(self) -> Told:
        return self._run.note(self._key, self._document.root.get("agent_metadata"))

    def _keep_growing(self, path: str) -> None:
        match path.split("/"):
            case ["", "content", place, field]:
                known = self._known_as(self._entries()[int(place)])
                if known is not None and known.content.grows == field and self._is_spoken():
                    self._growing[path] = self._document.leaf(path), known.content

    # Content objects.

    def _is_spoken(self) -> bool:
        return text_of(self._document.root, "role") not in USER_ROLES

    def _entries(self) -> list[Node]:
        entries = self._document.root.get("content")
        if not isinstance(entries, list | None):
            raise Malformed("a message whose content is no list")
        return entries or []

    def _contents(self) -> list[tuple[_Known, Node]]:
        if not self._is_spoken():
            return []
        found = [(self._known(place, node), node) for place, node in enumerate(self._entries())]
        return [(known, node) for known, node in found if known is not None]

    def _known_as(self, node: Node) -> _Known | None:
        known = self._by_node.get(id(node))
        return known if known is not None and known.node is node else None

    def _known(self, place: int, node: Node) -> _Known | None:
        """None as long as it does not say what it is."""
        if not isinstance(node, dict):
            raise Malformed("a content that is no object")
        kind, name = text_of(node, "kind"), text_of(node, "content_id")
        known = self._known_as(node) or self._by_name.get(name) or self._by_place.get(place)
        if known is None or known.kind != kind or (name and known.name not in {"", name}):
            if not kind:
                return None
            content = open_content(kind, f"{self._key}/{len(self._all)}", self._run.blocks, self._run.calls)
            known = _Known(kind, name, node, content)
            self._all.append(known)
        known.name = known.name or name
        self._by_node.pop(id(known.node), None)
        known.node = node
        self._by_node[id(node)] = known
        self._by_place[place] = known
        if name:
            self._by_name[name] = known
        return known

    def _forget(self) -> None:
        """An ended message is of no more use."""
        self._document.root = {}
        for index in (self._all, self._by_node, self._by_name, self._by_place, self._growing):
            index.clear()


def as_message(message: Node) -> Node:
    """A message as the newest build writes it: one text in the place of its content is a content object too."""
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": [{"kind": "text", "text": content}]}
    if isinstance(content, list):
        return {**message, "content": [_as_content(part) for part in content]}
    return message


def _as_content(part: Any) -> Any:
    if isinstance(part, str):
        return {"kind": "text", "text": part}
    if isinstance(part, dict) and "kind" not in part and "text" in part:
        return {**part, "kind": "text"}
    return part


def _model(models: Any) -> str | None:
    first = models[0] if isinstance(models, list) and models else None
    name = first.get("model") if isinstance(first, dict) else None
    return name if isinstance(name, str) and 0 < len(name) <= MAX_MODEL else None


def _count(value: Any) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_COUNT
    return value if is_count else None


def _moved(total: int | None, before: int | None, now: int | None) -> int | None:
    """A sum of which one part changed."""
    if before is None and now is None:
        return total
    return (total or 0) - (before or 0) + (now or 0)

"""A message's content objects as canonical events, each told as far as it is known.

    kind                    becomes
    text, formatted-text    text.*             `citations` become sources behind the text's end
    thought                 reasoning.*
    tool_call               tool_call.*        the result or the error follows its `status`
    quick_actions, vega_chart
                            data               once they are whole
    attachment              file               the same; bytes that stand in it are not shown
    any other               vendor.event       the same

Of a content object we are told that its text grew (`grow`), what it is as a whole (`tell`), that another field changed
(`mark`: no text is looked at, so that it costs nothing), what it came to with its message (`end`), or that the run is
over without that (`stop`). A text that turns out to be another than was shown is replaced; one that changes after its
end is replaced when the message ends.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar, cast

import msgspec
from msgspec import Struct

from gateway.canonical.blocks import Blocks, Events, parse_arguments
from gateway.canonical.events import (
    Data,
    Event,
    Executor,
    File,
    Notice,
    ReasoningStarted,
    Source,
    TextStarted,
    ToolCallCompleted,
    ToolCallStarted,
    ToolResult,
    VendorEvent,
)
from gateway.framing.typed import UNREADABLE, Malformed
from gateway.protocols.sema4 import wire
from gateway.protocols.sema4.patch import Growing, Node, plain

T = TypeVar("T")

Told = Iterable[Event | Notice]

EXECUTORS: dict[str, Executor] = {
    "kernel-internal": "vendor",
    "aa-internal": "vendor",
    "action-external": "vendor",
    "mcp-external": "vendor",
    "provider-side": "vendor",
    "client-side": "client",
}
"""By the sub-type of a tool call."""

UNNAMED = "unnamed"

FAILED = "failed"
ANSWERED = frozenset({"finished", FAILED})
CALLED = ANSWERED | {"running"}
"""What the status of a call is once its arguments are whole."""


class Content(Protocol):
    """One content object; `grows` is the name of its text."""

    grows: str

    def grow(self, delta: str) -> Told: ...
    def tell(self, node: Node) -> Told: ...
    def mark(self, node: Node) -> Told: ...
    def end(self, node: Node) -> Told: ...
    def stop(self, node: Node) -> Told: ...

    def retract(self) -> Told:
        """It is not in the message after all."""
        ...


def open_content(kind: str, key: str, blocks: Blocks, calls: "Calls") -> Content:
    """`key` is its own within the run, whose tool calls `calls` holds by the vendor's ids."""
    match kind:
        case "text" | "formatted-text" | "thought":
            return Prose(kind, key, blocks)
        case "tool_call":
            return Call(key, blocks, calls)
        case _:
            return Whole(kind)


class Prose:
    """A text or a thought."""

    def __init__(self, kind: str, key: str, blocks: Blocks) -> None:
        is_thought = kind == "thought"
        self.grows = "thought" if is_thought else "text"
        self._key = key
        self._blocks = blocks
        self._say = blocks.reasoning if is_thought else blocks.text
        self._complete = blocks.complete_reasoning if is_thought else blocks.complete_text
        self._settle = blocks.settle_reasoning if is_thought else blocks.settle_text
        self._shown = Growing()
        self._number: int | None = None
        self._is_closed = False
        self._cited: set[wire.Citation] = set()

    def grow(self, delta: str) -> Told:
        if self._is_closed:
            return (Notice("repaired_block"),)
        self._shown.grow(delta)
        events = self._say(delta, self._key)
        if self._number is None:
            self._note_number(events)
        return events

    def tell(self, node: Node) -> Told:
        told = () if self._is_closed else self._catch_up(text_of(node, self.grows))
        return (*told, *self.mark(node))

    def mark(self, node: Node) -> Told:
        if node.get("complete") is not True or self._is_closed:
            return ()
        self._is_closed = True
        return (*self._complete(self._key), *self._cite(node))

    def end(self, node: Node) -> Told:
        text = text_of(node, self.grows)
        told = () if self._is_closed and text == self._shown.text() else self._catch_up(text)
        self._is_closed = True
        return (*told, *self._complete(self._key), *self._cite(node))

    def stop(self, node: Node) -> Told:
        return self.end(node)

    def retract(self) -> Told:
        return self._correct("") if self._shown.size else ()

    def _catch_up(self, text: str) -> Told:
        shown = self._shown.text()
        if self._is_closed or not text.startswith(shown):
            return self._correct(text)
        return self.grow(text[len(shown) :]) if len(text) > len(shown) else ()

    def _correct(self, text: str) -> Told:
        """Replaces what was shown; how it grows from there on is told when the message ends."""
        events = self._settle(text, self._key)
        self._is_closed = True
        self._shown = Growing(text)
        self._note_number(events)
        return (*events, Notice("text_corrected"))

    def _note_number(self, events: Events) -> None:
        for event in events:
            if isinstance(event, TextStarted | ReasoningStarted):
                self._number = event.block

    def _cite(self, node: Node) -> Told:
        citations = convert(node, wire.Prose).citations or []
        fresh = [citation for citation in dict.fromkeys(citations) if citation not in self._cited]
        self._cited.update(fresh)
        return [self._source(citation) for citation in fresh]

    def _source(self, citation: wire.Citation) -> Source:
        uri, start, end = citation.document_uri, citation.start_char_index, citation.end_char_index
        is_within = start is not None and end is not None and 0 <= start <= end <= self._shown.size
        return Source(
            self._blocks.numbering.identify("source"),
            title=None if is_web(uri) else uri,
            url=uri if is_web(uri) else None,
            quote=citation.cited_text,
            block=self._number,
            start=start if is_within and self._number is not None else None,
            end=end if is_within and self._number is not None else None,
        )


class ShownCall(Struct):
    """A tool call that was shown; `others` is what its arguments became where deltas told something else.

    `is_asked_apart`: the client was asked to run it, and that is all that was told of it so far.
    """

    key: str
    tool_call_id: str
    name: str
    shown: Growing
    others: str | None = None
    is_asked_apart: bool = False


Calls = dict[str, ShownCall]


class Call:
    """A tool call: its arguments arrive while the model writes them, its result when the vendor has run it."""

    grows = "arguments_raw"

    def __init__(self, key: str, blocks: Blocks, calls: Calls) -> None:
        self._key = key
        self._blocks = blocks
        self._calls = calls
        self._call: ShownCall | None = None
        self._is_answered = False

    def grow(self, delta: str) -> Told:
        call = self._call
        if call is None:
            return ()
        if not self._blocks.is_call_open(call.key):
            return (Notice("repaired_block"),)
        call.shown.grow(delta)
        return self._blocks.call(call.key, delta)

    def tell(self, node: Node) -> Told:
        started, call = self._start(node)
        return (*started, *self._catch_up(call, text_of(node, self.grows)), *self.mark(node)) if call else ()

    def mark(self, node: Node) -> Told:
        if self._call is None:
            return self.tell(node) if node.get("name") else ()
        is_called = node.get("complete") is True or text_of(node, "status") in CALLED
        completed = self._complete(self._call) if is_called else ()
        return (*completed, *self._answer(node)) if has_output(node) else completed

    def end(self, node: Node) -> Told:
        told = self.tell({**node, "name": text_of(node, "name") or UNNAMED})
        completed = self._complete(self._call) if self._call else ()
        return (*told, *completed, *self._answer(node))

    def stop(self, node: Node) -> Told:
        """A call whose arguments are not whole stays open: it was cut."""
        return (*self.mark(node), *self._answer(node))

    def retract(self) -> Told:
        return ()

    def ask(self, frame: wire.RequestToolExecution) -> Told:
        """The vendor wants the client to run it; there may be more of the call in a message, before or behind."""
        started: Events = ()
        call = self._calls.get(frame.tool_call_id or "")
        if call is None:
            started, call = self._open(frame.tool_name or UNNAMED, frame.tool_call_id, "client")
            call.is_asked_apart = True
        return (*started, *self._catch_up(call, frame.input_raw or ""), *self._complete(call))

    def _start(self, node: Node) -> tuple[Events, ShownCall | None]:
        name, wanted = text_of(node, "name"), text_of(node, "tool_call_id")
        known = self._calls.get(wanted)
        if self._call is None and known is not None and known.is_asked_apart:
            self._call = known
        if self._call is not None or not name:
            return (), self._call
        events, self._call = self._open(name, wanted, EXECUTORS.get(text_of(node, "sub_type"), "unknown"))
        return events, self._call

    def _open(self, name: str, wanted: str | None, executor: Executor) -> tuple[Events, ShownCall]:
        events = self._blocks.start_call(self._key, name, tool_call_id=wanted or None, executor=executor)
        call = ShownCall(self._key, cast("ToolCallStarted", events[0]).tool_call_id, name, Growing())
        self._calls.setdefault(call.tool_call_id, call)
        return events, call

    def _catch_up(self, call: ShownCall, arguments: str) -> Told:
        if not self._blocks.is_call_open(call.key):
            return ()
        shown = call.shown.text()
        if not arguments.startswith(shown):
            call.others = arguments
            return ()
        call.others = None
        call.shown.grow(arguments[len(shown) :])
        return self._blocks.call(call.key, arguments[len(shown) :])

    def _complete(self, call: ShownCall) -> Told:
        """Deltas cannot be taken back: where the arguments became others, the call is unreadable."""
        final = None if call.others is None else parse_arguments(call.others) or {}
        events = self._blocks.complete_call(call.key, final)
        is_broken = final is not None and any(map(_is_unreadable, events))
        return (*events, Notice("arguments_differ")) if is_broken else events

    def _answer(self, node: Node) -> Told:
        call, status = self._call, text_of(node, "status")
        if self._is_answered or call is None or status not in ANSWERED:
            return ()
        self._is_answered = True
        error = plain(node.get("error"))
        is_error = status == FAILED or is_given(error)
        output = error if is_given(error) else structured(plain(node.get("result")))
        return (ToolResult(call.tool_call_id, output, is_error, call.name),)


def _is_unreadable(event: Event) -> bool:
    return isinstance(event, ToolCallCompleted) and event.status == "unreadable"


class Whole:
    """What is told in one piece, and once."""

    grows = ""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._is_told = False

    def grow(self, delta: str) -> Told:  # noqa: ARG002  (the port's)
        return ()

    def tell(self, node: Node) -> Told:
        return self._tell(node) if is_done(node) else ()

    def mark(self, node: Node) -> Told:
        return self.tell(node)

    def end(self, node: Node) -> Told:
        return self._tell(node)

    def stop(self, node: Node) -> Told:
        return self.tell(node)

    def retract(self) -> Told:
        return ()

    def _tell(self, node: Node) -> Told:
        if self._is_told:
            return ()
        self._is_told = True
        read = READERS.get(self._kind) if is_done(node) or self._kind == "attachment" else None
        return (VendorEvent(self._kind, plain(node)),) if read is None else read(plain(node))


def _read_actions(node: Node) -> Events:
    actions = convert(node, wire.QuickActions).actions
    return (Data("quick_actions", actions),) if actions else ()


def _read_chart(node: Node) -> Events:
    chart = convert(node, wire.VegaChart)
    value = {"sub_type": chart.sub_type, "description": chart.description, "spec": structured(chart.chart_spec_raw)}
    return (Data("vega_chart", {name: part for name, part in value.items() if part is not None}),)


def _read_attachment(node: Node) -> Events:
    attached = convert(node, wire.Attachment)
    url = attached.uri if is_web(attached.uri) else None
    return (File(name=attached.name, media_type=attached.mime_type, url=url),)


READERS: dict[str, Callable[[Node], Events]] = {
    "quick_actions": _read_actions,
    "vega_chart": _read_chart,
    "attachment": _read_attachment,
}


# --- fields


def convert(value: Any, kind: type[T]) -> T:
    """Raises `Malformed`."""
    try:
        return msgspec.convert(plain(value), kind)
    except UNREADABLE as error:
        raise Malformed(error) from error


def text_of(node: Node, name: str) -> str:
    value = node.get(name)
    if isinstance(value, Growing):
        return value.text()
    if not isinstance(value, str | None):
        raise Malformed(f"`{name}` is no text")
    return value or ""


def structured(text: Any) -> Any:
    """The object or list that a text spells, else the text."""
    if not isinstance(text, str) or not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return msgspec.json.decode(text)
    except UNREADABLE:
        return text


def has_output(node: Node) -> bool:
    """Whether an answered call says what came of it; the status may come first."""
    return is_given(node.get("result")) or is_given(node.get("error"))


def is_given(value: Any) -> bool:
    """A vendor's null may have become an empty object on its way through a patch."""
    return value.size > 0 if isinstance(value, Growing) else value not in (None, "", {})


def is_done(node: Node) -> bool:
    status = node.get("status")
    return status == "done" or (node.get("complete") is True and status != "error")


def is_web(uri: str | None) -> bool:
    return uri is not None and uri.lower().startswith(("http://", "https://"))

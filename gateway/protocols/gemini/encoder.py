"""A stream in Gemini's words: `data:` lines alone, each a chunk of the answer; the connection's end ends it.

    text.delta, reasoning.delta    a part; of two texts at once the later one waits until the earlier is over
    tool_call.completed            a whole call, since clients take no other
    a call of an unknown executor  waits until it is answered, or owed by the client at the end
    source, usage                  with the finish reason, in the last chunk
    message.failed, .canceled      {"error": ...}, which a client raises
    heartbeat                      an empty text

Comments, `[DONE]`, `event:` and `id:` break the clients, and a chunk without a part their history.
Source: ai.google.dev/api/generate-content; google-genai (Python) 3.4.0 `_api_client.py`, `chats.py`; read 2026-11.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import msgspec
from msgspec import Struct

from gateway.canonical.events import (
    Event,
    Executor,
    File,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    MessageRouted,
    MessageStarted,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    Source,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    UsageReported,
)
from gateway.protocols.gemini import errors, wire, writing

_encode = msgspec.json.Encoder().encode

LOSSES: dict[str, str] = {
    "data": "omitted",
    "data_frame": "omitted",
    "step.started": "omitted",
    "step.completed": "omitted",
    "vendor.event": "omitted",
    "message.routed.from": "a switch of vendors is not told: the text goes on in a new part",
    "text.started.replaces": "the corrected text stands behind a blank line, and what it corrects stays",
    "reasoning.started.replaces": "as a text's",
    "reasoning.delta": "left out where the client says `includeThoughts: false`",
    "text.completed.signature": "left out where it is no base64, as a reasoning's and a call's is",
    "tool_call.started": "told with the call's completion",
    "tool_call.delta": "told with the call's completion: clients take whole calls alone",
    "tool_call.completed.executor": "a call that nobody answered, and that nobody owes, is left out, and counted",
    "tool_call.completed.status": "a call that is cut or unreadable is told as one that the client must not run",
    "tool_result": "told where its call is; else left out, and counted",
    "tool_result.output": "of code: a text, JSON where it was none; of any other tool an object",
    "file.file_id": "a file without a URL is left out, and counted",
    "source.source_id": "left out where the source has a title or a URL, as `file_id` is",
    "source.quote": "left out where the source has a URL",
    "usage": "told with the finish reason, where tokens are counted",
    "usage.credits": "left out, as `cache_write_tokens`, `estimated` and `partial` are",
    "input.requested": "its prompt is told as a text, and the message ends with STOP",
    "message.completed.raw_finish_reason": "told where it is one of Gemini's",
    "message.canceled": "the error CANCELLED, without what it was canceled for",
}


class _Waiting(Struct):
    """A block that waits for an earlier one of its kind."""

    deltas: list[str]
    signature: str | None = None
    is_complete: bool = False


class _Prose:
    """The blocks of one kind of prose, one after the other."""

    def __init__(self, chunk: Callable[..., bytes], *, is_thought: bool) -> None:
        self._chunk = chunk
        self._thought = True if is_thought else None
        self.open: int | None = None
        self.speaking: int | None = None
        """The open block, once it has said something."""
        self._waiting: dict[int, _Waiting] = {}
        self.corrections: set[int] = set()
        """Blocks that correct others: they begin with a blank line."""
        self.spoken: list[int] = []
        """The blocks that said something, in order."""

    def start(self, event: TextStarted | ReasoningStarted) -> bytes:
        if event.replaces is not None:
            self.corrections.add(event.block)
        if self.open is None:
            self.open = event.block
        else:
            self._waiting[event.block] = _Waiting([])
        return b""

    def grow(self, event: TextDelta | ReasoningDelta) -> bytes:
        if event.block == self.open:
            return self._say(event.delta)
        self._waiting[event.block].deltas.append(event.delta)
        return b""

    def complete(self, event: TextCompleted | ReasoningCompleted) -> bytes:
        if event.block != self.open:
            waiting = self._waiting[event.block]
            waiting.signature = event.signature
            waiting.is_complete = True
            return b""
        return self._end(event.signature) + self._go_on()

    def _go_on(self) -> bytes:
        """What waited, as far as it is over, and the beginning of what is not."""
        frames: list[bytes] = []
        for block, waiting in list(self._waiting.items()):
            del self._waiting[block]
            self.open = block
            frames.append(self._say("".join(waiting.deltas)))
            if not waiting.is_complete:
                break
            frames.append(self._end(waiting.signature))
        return b"".join(frames)

    def _say(self, text: str) -> bytes:
        if not text:
            return b""
        if self.speaking is None and self.open is not None:
            self.speaking = self.open
            self.spoken.append(self.open)
            text = ("\n\n" if self.open in self.corrections else "") + text
        return self._chunk(wire.Part(text=text, thought=self._thought))

    def _end(self, opaque: str | None) -> bytes:
        self.open = self.speaking = None
        signature = writing.signature(opaque)
        if signature is None:
            return b""
        return self._chunk(wire.Part(text="", thought=self._thought, thought_signature=signature))


class GeminiEncoder:
    def __init__(self, model: str, *, shows_thoughts: bool) -> None:
        self._model = model
        self._id: str | None = None
        self._template = b""
        self._shows_thoughts = shows_thoughts
        self._texts = _Prose(self._chunk, is_thought=False)
        self._thoughts = _Prose(self._chunk, is_thought=True)
        self._said: dict[int, str] = {}
        """The texts of blocks."""
        self._executors: dict[str, Executor] = {}
        self._held: dict[str, ToolCallCompleted] = {}
        """Calls of which it is not known who runs them."""
        self._run: dict[str, wire.Part] = {}
        """The vendor's calls, as they were written."""
        self._sources: list[Source] = []
        self._omitted: Counter[str] = Counter()
        self.omitted: Mapping[str, int] = self._omitted
        self._use(model)

    def event(self, sequence: int, event: Event) -> bytes:  # noqa: ARG002  (there are no ids)
        if type(event) is TextDelta and event.block == self._texts.speaking:
            return self._template % _encode(event.delta)
        tell = self._TELLERS.get(type(event))
        return self._omit(event) if tell is None else tell(self, event)

    def heartbeat(self) -> bytes | None:
        return self._chunk(writing.SILENCE)

    def end(self) -> bytes:
        return b""

    def _use(self, model: str) -> None:
        self._model = model
        mark = b"\0text\0"
        chunk = self._chunk(wire.Part(text="@")).replace(b'"@"', mark, 1)
        self._template = chunk.replace(b"%", b"%%").replace(mark, b"%b")

    def _chunk(self, *parts: wire.Part) -> bytes:
        return self._frame(wire.Candidate(content=wire.Content(list(parts), "model"), index=0))

    def _frame(self, candidate: wire.Candidate, usage: wire.UsageMetadata | None = None) -> bytes:
        chunk = wire.Chunk([candidate], None, usage, self._model, self._id)
        return b"data: %b\n\n" % _encode(chunk)

    def _omit(self, event: Event) -> bytes:
        self._omitted[str(event.__struct_config__.tag)] += 1
        return b""

    # The message.

    def _start(self, event: MessageStarted) -> bytes:
        self._id = event.message_id
        self._use(self._model)
        return b""

    def _route(self, event: MessageRouted) -> bytes:
        if event.model is not None:
            self._use(event.model)
        return b""

    def _complete(self, event: MessageCompleted) -> bytes:
        owed = set(event.pending_tool_calls)
        frames = [self._call(call) for call_id, call in self._held.items() if call_id in owed]
        for call_id, call in self._held.items():
            if call_id not in owed:
                self._omit(call)
        candidate = wire.Candidate(
            content=wire.Content([writing.SILENCE], "model"),
            finish_reason=writing.finish_reason(event.finish_reason, event.raw_finish_reason),
            grounding_metadata=writing.grounding(self._sources, self._spoken()),
            index=0,
        )
        return b"".join([*frames, self._frame(candidate, writing.usage_metadata(event.usage))])

    def _spoken(self) -> list[tuple[int | None, str]]:
        texts: list[tuple[int | None, str]] = []
        for block in self._texts.spoken:
            before = "\n\n" if block in self._texts.corrections else ""
            texts += [(None, before), (block, self._said[block])]
        return texts

    def _fail(self, event: MessageFailed) -> bytes:
        return b"data: %b\n\n" % _encode(errors.told(event.error))

    def _cancel(self, _: MessageCanceled) -> bytes:
        return b"data: %b\n\n" % _encode(errors.CANCELED)

    # Prose.

    def _complete_text(self, event: TextCompleted) -> bytes:
        self._said[event.block] = event.text
        return self._texts.complete(event)

    def _think(self, event: ReasoningStarted | ReasoningDelta | ReasoningCompleted) -> bytes:
        if not self._shows_thoughts:
            return self._omit(event)
        match event:
            case ReasoningStarted():
                return self._thoughts.start(event)
            case ReasoningDelta():
                return self._thoughts.grow(event)
            case _:
                return self._thoughts.complete(event)

    # Calls.

    def _start_call(self, event: ToolCallStarted) -> bytes:
        self._executors[event.tool_call_id] = event.executor
        return b""

    def _complete_call(self, event: ToolCallCompleted) -> bytes:
        executor = self._executors[event.tool_call_id]
        if event.status != "complete":
            broken = wire.BrokenCall(event.status, executor, event.raw_arguments or "")
            return self._run_by_vendor(event.tool_call_id, writing.broken_call(event.tool_call_id, event.name, broken))
        if executor == "client":
            return self._call(event)
        if executor == "vendor":
            return self._run_by_vendor(event.tool_call_id, _of_the_vendor(event))
        self._held[event.tool_call_id] = event
        return b""

    def _call(self, event: ToolCallCompleted) -> bytes:
        return self._chunk(writing.client_call(event.tool_call_id, event.name, event.arguments, event.signature))

    def _run_by_vendor(self, call_id: str, part: wire.Part) -> bytes:
        self._run[call_id] = part
        return self._chunk(part)

    def _answer(self, event: ToolResult) -> bytes:
        held = self._held.pop(event.tool_call_id, None)
        before = b"" if held is None else self._run_by_vendor(event.tool_call_id, _of_the_vendor(held))
        call = self._run.get(event.tool_call_id)
        if call is None:
            return self._omit(event)
        return before + self._chunk(writing.vendor_result(call, event.output, is_error=event.is_error))

    # The rest.

    def _show(self, event: File) -> bytes:
        part = writing.file(event.url, event.media_type, event.name)
        return self._omit(event) if part is None else self._chunk(part)

    def _cite(self, event: Source) -> bytes:
        self._sources.append(event)
        return b""

    def _ask(self, event: InputRequested) -> bytes:
        if not event.prompt:
            return self._omit(event)
        return self._chunk(wire.Part(text=f"\n\n{event.prompt}" if self._texts.spoken else event.prompt))

    _TELLERS: ClassVar[dict[type, Callable[["GeminiEncoder", Any], bytes]]] = {
        MessageStarted: _start,
        MessageRouted: _route,
        MessageCompleted: _complete,
        MessageFailed: _fail,
        MessageCanceled: _cancel,
        TextStarted: lambda self, event: self._texts.start(event),
        TextDelta: lambda self, event: self._texts.grow(event),
        TextCompleted: _complete_text,
        ReasoningStarted: _think,
        ReasoningDelta: _think,
        ReasoningCompleted: _think,
        ToolCallStarted: _start_call,
        ToolCallDelta: lambda *_: b"",
        ToolCallCompleted: _complete_call,
        ToolResult: _answer,
        File: _show,
        Source: _cite,
        InputRequested: _ask,
        UsageReported: lambda *_: b"",
    }


def _of_the_vendor(event: ToolCallCompleted) -> wire.Part:
    return writing.vendor_call(event.tool_call_id, event.name, event.arguments, event.signature)

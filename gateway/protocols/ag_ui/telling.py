"""A turn as `RunAgentInput`: all that was said, as AG-UI's messages, and the answers to what the last run asked.

    instructions          a system message in front
    text, files           a user message: a text, or parts
    answer's text         an assistant message, its calls in `toolCalls`
    reasoning             a reasoning message, its signature as `encryptedValue`
    calls with a result   `toolCalls`, whoever ran them, and a tool message each right behind
    the turn's answers    `resume[]` for interrupts of this vendor's last run, else text
    a partial answer      an assistant message, and the wish that it go on

All else is told as text. A message's id is made of its place, so that it is the same in every turn of a conversation.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from gateway.canonical.history import GO_ON
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.one_text import cannot_take, mention
from gateway.canonical.turn import HistoryMessage, Turn
from gateway.protocols.ag_ui import run_input as wire

NAME = "ag_ui"
INTERRUPTS = "interrupts"
"""Among the vendor's ids: the interrupts that its last run waits for, a line each."""

_MEDIA: dict[str, type[wire.ImagePart | wire.AudioPart | wire.VideoPart]] = {
    "image": wire.ImagePart,
    "audio": wire.AudioPart,
    "video": wire.VideoPart,
}

_encode = msgspec.json.Encoder().encode


class Told(Struct):
    """`ids`, `calls` and `texts` are what a server that repeats the history repeats."""

    messages: list[wire.Message]
    resume: list[wire.Resume]

    @property
    def ids(self) -> set[str]:
        return {message.id for message in self.messages}

    @property
    def calls(self) -> set[str]:
        return {call.id for message in self._answers() for call in message.tool_calls or ()}

    @property
    def texts(self) -> set[str]:
        return {message.content for message in self._answers() if message.content}

    def _answers(self) -> list[wire.AssistantMessage]:
        return [message for message in self.messages if isinstance(message, wire.AssistantMessage)]


def tell(turn: Turn, instructions: str | None, thread_id: str) -> Told:
    """Raises `unsupported` for a file of the turn that only another vendor has."""
    for number, part in enumerate(turn.parts):
        if isinstance(part, (ImagePart, FilePart)) and not (part.url or part.data):
            raise cannot_take(NAME, "files kept elsewhere", f"$.content[{number}]")
    return _Telling(turn, thread_id).tell(instructions)


class _Telling:
    def __init__(self, turn: Turn, thread_id: str) -> None:
        self._turn = turn
        self._thread_id = thread_id
        self._said = [*turn.missed, HistoryMessage("user", list(turn.parts))]
        self._messages: list[wire.Message] = []
        self._results: dict[str, ToolResultPart] = {}
        self._questions: dict[str, InputPart] = {}
        for part in (part for message in self._said for part in message.parts):
            if isinstance(part, ToolResultPart):
                self._results.setdefault(part.tool_call_id, part)
            elif isinstance(part, InputPart):
                self._questions[part.request_id] = part
        asked = [name for name in turn.vendor_ids.get(INTERRUPTS, "").splitlines() if name in self._questions]
        given = {part.request_id: part for part in turn.parts if isinstance(part, InputResponsePart)}
        # An interrupt beside those that are answered is given up: a server wants an answer to each.
        self._answers = {name: given.get(name) for name in asked} if given.keys() & set(asked) else {}
        self._waiting = {self._questions[name].tool_call_id for name in self._answers}
        self._told_calls: set[str] = set()

    def tell(self, instructions: str | None) -> Told:
        if instructions:
            self._add_system(instructions)
        for message in self._said:
            if message.role == "assistant":
                self._add_answer(message.parts)
            elif message.role == "system":
                self._add_system("\n\n".join(part.text for part in message.parts if isinstance(part, TextPart)))
            else:
                self._add_question(message.parts)
        if self._turn.partial:
            self._messages.append(wire.AssistantMessage(self._next_id(), self._turn.partial))
            self._messages.append(wire.UserMessage(self._next_id(), GO_ON))
        return Told(self._messages, [self._resume(*answer) for answer in self._answers.items()])

    def _next_id(self) -> str:
        return f"{self._thread_id}-{len(self._messages)}"

    # What the client said.

    def _add_system(self, text: str) -> None:
        if text:
            self._messages.append(wire.SystemMessage(self._next_id(), text))

    def _add_question(self, parts: Iterable[Part]) -> None:
        contents = [content for part in parts if (content := self._content(part)) is not None]
        match contents:
            case []:
                return
            case [wire.TextPart(text)]:
                self._messages.append(wire.UserMessage(self._next_id(), text))
            case _:
                self._messages.append(wire.UserMessage(self._next_id(), contents))

    def _content(self, part: Part) -> wire.AnyPart | None:
        match part:
            case ImagePart() | FilePart() if part.url or part.data:
                return _media(part)
            case ToolResultPart(tool_call_id) if tool_call_id in self._told_calls:
                return None
            case InputResponsePart(request_id) if request_id in self._answers or self._is_settled(request_id):
                return None
            case _:
                text = mention(part)
                return wire.TextPart(text) if text else None

    def _is_settled(self, request_id: str) -> bool:
        """Whether the result of the call that was asked about tells how it was answered."""
        question = self._questions.get(request_id)
        return question is not None and question.tool_call_id in self._told_calls

    # What was answered.

    def _add_answer(self, parts: Iterable[Part]) -> None:
        answer = _Answer()
        for part in parts:
            match part:
                case TextPart(text, _, signature):
                    self._add_text(answer, text, signature)
                case ReasoningPart(text, _, signature):
                    self._close(answer)
                    self._messages.append(wire.ReasoningMessage(self._next_id(), text, signature))
                case ToolCallPart() if self._is_told(part):
                    answer.calls.append(part)
                    self._told_calls.add(part.tool_call_id)
                case ToolResultPart(tool_call_id) if tool_call_id in self._told_calls:
                    continue
                case InputPart(request_id) if request_id in self._answers or self._is_settled(request_id):
                    continue
                case _:
                    self._add_text(answer, mention(part), None)
        self._close(answer)

    def _add_text(self, answer: "_Answer", text: str, signature: str | None) -> None:
        """Each text is a message, as it is in a client's own history; the calls behind it are its calls."""
        if text or signature:
            self._close(answer)
            answer.text, answer.signature = text, signature

    def _is_told(self, call: ToolCallPart) -> bool:
        is_settled = call.tool_call_id in self._results or call.tool_call_id in self._waiting
        return is_settled and call.status == "complete" and call.tool_call_id not in self._told_calls

    def _close(self, answer: "_Answer") -> None:
        if answer.text or answer.calls or answer.signature:
            calls = [_call(call) for call in answer.calls] or None
            message = wire.AssistantMessage(self._next_id(), answer.text or None, calls, answer.signature)
            self._messages.append(message)
        for call in answer.calls:
            if call.tool_call_id in self._results:
                self._messages.append(_tool_message(self._next_id(), self._results[call.tool_call_id]))
        answer.text, answer.calls, answer.signature = "", [], None

    # What answers an interrupt.

    def _resume(self, interrupt: str, answer: InputResponsePart | None) -> wire.Resume:
        if answer is None or (answer.approved is False and not answer.values and not answer.text):
            return wire.Resume(interrupt, "cancelled")
        return wire.Resume(interrupt, "resolved", _payload(answer, self._questions[interrupt]))


class _Answer(Struct):
    """An assistant message in the making."""

    text: str = ""
    calls: list[ToolCallPart] = []
    signature: str | None = None


def _call(call: ToolCallPart) -> wire.ToolCall:
    return wire.ToolCall(
        call.tool_call_id, wire.FunctionCall(call.name, _encode(call.arguments).decode()), call.signature
    )


def _tool_message(message_id: str, result: ToolResultPart) -> wire.ToolMessage:
    content = result.output if isinstance(result.output, str) else _encode(result.output).decode()
    return wire.ToolMessage(message_id, content, result.tool_call_id, content if result.is_error else None)


def _payload(answer: InputResponsePart, question: InputPart) -> Any:
    if question.kind == "approval":
        payload: dict[str, Any] = {"approved": answer.approved is not False, **(answer.values or {})}
        return {**payload, "reason": answer.text} if answer.text else payload
    if answer.text and answer.values:
        return {"text": answer.text, **answer.values}
    return answer.values or answer.text


def _media(part: ImagePart | FilePart) -> wire.AnyPart:
    usual = "image/png" if isinstance(part, ImagePart) else "application/octet-stream"
    source: wire.Source
    if part.data:
        source = wire.DataSource(part.data, part.media_type or usual)
    else:
        source = wire.UrlSource(part.url or "", part.media_type)
    kind = "image" if isinstance(part, ImagePart) else (part.media_type or "").partition("/")[0]
    metadata = {"filename": part.name} if part.name else None
    return _MEDIA[kind](source, metadata) if kind in _MEDIA else wire.DocumentPart(source, metadata)

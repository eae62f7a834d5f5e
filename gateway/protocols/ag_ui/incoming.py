"""`RunAgentInput`, read: what the client asks, and all that was said, in our words.

    developer, system      instructions where they stand in front, else system messages
    context                behind the instructions: "description:", a line end, the value; also `vendor_options.ag_ui`
    user                   text, images and files; `audio` and `video` are files; source `file` is a file id of ours
    assistant, reasoning   one answer; the messages that our encoder made of an answer are one again, by their ids
    toolCalls              the client's or the vendor's, as `metadata.gateway` says, where our encoder marked them; else
                           the vendor's, if the client declares no such tool and there is a result
    tool                   the client's results; the vendor's belong to the answer, and `is_run` false marks no result
    resume                 answers to input requests: `resolved` and `cancelled` are approved true and false, unless the
                           payload says `approved`; a text is the answer's text, an object its values. A client keeps
                           no record of them, so our encoder marks the answer that followed with what they were
    state, forwardedProps  `vendor_options.ag_ui`
    ignored                activity messages, parentRunId, metadata, names, a forwardedProps that is no object

Raises `bad_request` with the path of what does not fit.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec

from gateway.canonical.blocks import parse_arguments
from gateway.canonical.events import Executor
from gateway.canonical.history import Split, split
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputResponsePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import AskPart, HistoryMessage, MessageRequest, Tool
from gateway.framing.typed import UNREADABLE
from gateway.protocols.ag_ui import run_input as wire
from gateway.protocols.ag_ui.calls import output_of
from gateway.protocols.ag_ui.frames import GATEWAY
from gateway.protocols.ag_ui.telling import NAME
from gateway.protocols.reading import refuse

EXECUTORS = frozenset({"client", "vendor", "unknown"})

_OURS = re.compile(r"(?P<answer>.+)/(?:\d+|calls)")
"""Ids of the messages that our encoder makes of one answer."""
_DATA_URL = re.compile(r"data:(?P<media_type>[^;,]+);base64,(?P<data>.*)", re.DOTALL)


def as_request(run: wire.RunAgentInput, route: str) -> MessageRequest:
    said = _Said(run)
    for message in run.messages:
        said.add(message)
    told = split(said.history)
    if run.resume:
        told = _resuming(told, responses(run))
    if not told.content:
        raise refuse("$.messages", "the last message must be the client's, and say something")
    context = run.context or []
    options = _options(run, context)
    return MessageRequest(
        route=route,
        content=told.content,
        history=told.history,
        instructions="\n\n".join(filter(None, (told.instructions, wire.spell_context(context)))) or None,
        tools=[Tool(tool.name, tool.description or None, tool.parameters or {}) for tool in run.tools or ()],
        vendor_options={NAME: options} if options else {},
    )


def _resuming(told: Split, answers: Sequence[AskPart]) -> Split:
    """What the client had said before the interrupt was answered already; results of its tools go along."""
    results = [part for part in told.content if isinstance(part, ToolResultPart)]
    before = [part for part in told.content if not isinstance(part, ToolResultPart)]
    history = [*told.history, HistoryMessage("user", list(before))] if before else told.history
    return Split(told.instructions, history, [*results, *answers])


def _options(run: wire.RunAgentInput, context: list[wire.Context]) -> dict[str, Any]:
    """What an AG-UI server is told as it came."""
    options = {
        "forwarded_props": run.forwarded_props if isinstance(run.forwarded_props, dict) else {},
        "state": run.state,
        "context": msgspec.to_builtins(context),
    }
    return {name: value for name, value in options.items() if value not in (None, {}, [])}


class _Said:
    def __init__(self, run: wire.RunAgentInput) -> None:
        self.history: list[HistoryMessage] = []
        self._answers: dict[str, HistoryMessage] = {}
        self._tools = {tool.name for tool in run.tools or ()}
        self._results = {message.tool_call_id for message in run.messages if isinstance(message, wire.ToolMessage)}
        self._asked_by: dict[str, HistoryMessage] = {}
        """The answer of each call that the vendor ran, or may have run."""
        self._run_by_vendor: set[str] = set()

    def add(self, message: wire.Message) -> None:
        match message:
            case wire.DeveloperMessage(_, content) | wire.SystemMessage(_, content):
                self.history.append(HistoryMessage("system", [TextPart(content)]))
            case wire.UserMessage(_, content):
                self.history.append(HistoryMessage("user", list(_parts(content))))
            case wire.AssistantMessage():
                self._add_answer(message)
            case wire.ReasoningMessage(message_id, content, encrypted_value):
                self._add_responses(message)
                self._answer(message_id).parts.append(ReasoningPart(content, None, encrypted_value))
            case wire.ToolMessage():
                self._add_result(message)
            case _:
                return

    def _answer(self, message_id: str) -> HistoryMessage:
        """The answer that a message is part of."""
        ours = _OURS.fullmatch(message_id)
        name = ours["answer"] if ours else message_id
        answer = self._answers.get(name)
        if answer is None:
            answer = self._answers[name] = HistoryMessage("assistant", [])
            self.history.append(answer)
        return answer

    def _add_responses(self, message: wire.AssistantMessage | wire.ReasoningMessage) -> None:
        """What the client had answered before this answer began."""
        calls = message.tool_calls or () if isinstance(message, wire.AssistantMessage) else ()
        for metadata in (message.metadata, *(call.metadata for call in calls)):
            responses = _responses(_mark(metadata).get("answers"))
            if responses:
                self.history.append(HistoryMessage("user", responses))

    def _add_answer(self, message: wire.AssistantMessage) -> None:
        self._add_responses(message)
        answer = self._answer(message.id)
        if message.content:
            answer.parts.append(TextPart(message.content, None, message.encrypted_value))
        for call in message.tool_calls or ():
            executor = self._executor(call)
            answer.parts.append(_call(call, executor))
            if executor != "client":
                self._asked_by[call.id] = answer
            if executor == "vendor":
                self._run_by_vendor.add(call.id)

    def _executor(self, call: wire.ToolCall) -> Executor:
        marked = _mark(call.metadata).get("executor")
        if isinstance(marked, str) and marked in EXECUTORS:
            return cast("Executor", marked)
        return "vendor" if call.id in self._results and call.function.name not in self._tools else "client"

    def _add_result(self, message: wire.ToolMessage) -> None:
        mark = _mark(message.metadata)
        if mark.get("is_run") is False:
            return
        asked_by = self._asked_by.get(message.tool_call_id)
        output = output_of(message.content) or message.error or ""
        is_error = message.error is not None or mark.get("is_error") is True
        result = ToolResultPart(message.tool_call_id, output, is_error)
        if asked_by is not None and (mark or message.tool_call_id in self._run_by_vendor):
            asked_by.parts.append(result)
        else:
            self.history.append(HistoryMessage("tool", [result]))


def _mark(metadata: dict[str, Any] | None) -> dict[str, Any]:
    """What our encoder told of a call or a result; {} where it was none of ours."""
    mark = (metadata or {}).get(GATEWAY)
    return mark if isinstance(mark, dict) else {}


def _responses(told: object) -> list[Part]:
    try:
        return list(msgspec.convert(told, list[InputResponsePart]))
    except UNREADABLE:
        return []


def _call(call: wire.ToolCall, executor: Executor) -> ToolCallPart:
    spelled = call.function.arguments
    arguments = parse_arguments(spelled)
    part = ToolCallPart(call.id, call.function.name, arguments or {}, executor=executor, signature=call.encrypted_value)
    if arguments is None:
        return msgspec.structs.replace(part, status="unreadable", raw_arguments=spelled)
    return part


def _parts(content: str | list[wire.AnyPart]) -> Iterable[Part]:
    if isinstance(content, str):
        content = [wire.TextPart(content)]
    for part in content:
        match part:
            case wire.TextPart(text):
                if text:
                    yield TextPart(text)
            case wire.BinaryPart():
                yield _binary(part)
            case _:
                yield _media(part)


def _media(part: wire.Media) -> Part:
    kind = ImagePart if isinstance(part, wire.ImagePart) else FilePart
    name = part.metadata.get("filename") if isinstance(part.metadata, dict) else None
    name = name if isinstance(name, str) else None
    match part.source:
        case wire.DataSource(value, media_type):
            return kind(data=value, media_type=media_type or None, name=name)
        case wire.FileSource(value, _, media_type):
            return kind(file_id=value, media_type=media_type, name=name)
        case source:
            return _at_url(kind, source.value, source.mime_type, name)


def _binary(part: wire.BinaryPart) -> Part:
    kind = ImagePart if part.mime_type.startswith("image/") else FilePart
    if part.url:
        return _at_url(kind, part.url, part.mime_type, part.filename)
    return kind(file_id=part.id, data=part.data, media_type=part.mime_type, name=part.filename)


def _at_url(kind: type[ImagePart | FilePart], url: str, media_type: str | None, name: str | None) -> Part:
    inline = _DATA_URL.fullmatch(url)
    if inline:
        return kind(data=inline["data"], media_type=inline["media_type"], name=name)
    return kind(url=url, media_type=media_type, name=name)


def responses(run: wire.RunAgentInput) -> list[InputResponsePart]:
    return [_response(entry) for entry in run.resume or ()]


def _response(entry: wire.Resume) -> InputResponsePart:
    approved = entry.status == "resolved"
    payload = entry.payload
    if isinstance(payload, str):
        return InputResponsePart(entry.interrupt_id, approved, payload)
    values = dict(payload) if isinstance(payload, dict) else {} if payload is None else {"value": payload}
    if isinstance(values.get("approved"), bool):
        approved = values.pop("approved") and approved
    return InputResponsePart(entry.interrupt_id, approved, values=values or None)

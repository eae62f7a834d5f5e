"""Dynamiq, upstream: a conversation made first, then one event stream a turn, told by the run that answers.

    first turn       POST /v1/conversations {app_id or model_id, title} -> {"data": {"id"}}
    turn             POST /v3/conversations/{id}/messages -> SSE; inline files go to the App's POST /v1/files before it
    input response   POST /v1/runs/{run}/input, then GET /v1/runs/{run}/stream?after_sequence=

    run.started                      the run's id (also `run.created`)
    *.reasoning.delta                reasoning.*; a new iteration is a new block
    *.response.delta                 text.*, apart before and behind a tool call
    *.tool_call.started, .delta      tool_call.*, run by the vendor
    *.tool_call.completed            tool_result, and the call where it was not told; files by name alone
    *.tool_call.failed               tool_result with `is_error`
    *.requested                      input.requested, then message.completed; the run waits
    approval_request.created         the same, for an approval
    run.completed                    message.completed; its `output` is the text where none was streamed
    run.failed                       GatewayError
    run.canceled, run.cancelled      message.canceled
    any other                        vendor.event, as what a subagent responds: its agent tells the answer
    end of bytes before any of these: `upstream_protocol`

`data.type` goes before the event's name. An event whose `sequence` is not above the last one was told before and is
dropped; gaps are lawful. A frame that holds an error is a failure, save of a tool. A tool's result is a text: one that
spells a JSON object or array becomes that, any other stays as it is. A request with the action `info` wants no reply
and is a text of its own. A run that waits is left alone; `run`, `sequence` and `input` (the kind that was asked for)
in the binding lead back to it. Of the payloads only five are documented: see `wire.py`.
Source: docs.getdynamiq.ai/docs/api-reference, read 2026-11; the SDK `dynamiq-ai/dynamiq` for the engine's own shapes.
"""

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, cast

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from gateway.canonical.blocks import Blocks, Events
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    File,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    Notice,
    ToolCallCompleted,
    ToolCallStarted,
    ToolResult,
    VendorEvent,
)
from gateway.canonical.message import FilePart, ImagePart, InputResponsePart
from gateway.canonical.one_text import as_one_text, cannot_take, refuse_what_is_no_text, spoken
from gateway.canonical.turn import Turn
from gateway.framing.record import Record
from gateway.framing.typed import UNREADABLE, Malformed, Unknown, open_union
from gateway.protocols.base import (
    Authorization,
    Calls,
    Credentials,
    Headers,
    NewFile,
    VendorRequest,
    path_segment,
)
from gateway.protocols.dynamiq import calls, faults, wire
from gateway.protocols.dynamiq.calls import DynamiqTarget

Told = Iterable[Event | Notice]

FEEDBACK, APPROVAL = "human_feedback", "approval_request"

KINDS: dict[str, str] = {
    "run.created": "run.started",
    "run.cancelled": "run.canceled",
}
FAMILIES: dict[str, str] = {
    ".response.delta": "agent.response.delta",
    ".response.completed": "agent.response.completed",
    ".reasoning.delta": "agent.reasoning.delta",
    ".reasoning.completed": "agent.reasoning.completed",
    ".tool_call.started": "agent.tool_call.started",
    ".tool_call.delta": "agent.tool_call.delta",
    ".tool_call.completed": "agent.tool_call.completed",
    ".tool_call.failed": "agent.tool_call.failed",
    ".approval_request.created": "approval_request.created",
    ".requested": "agent.human_feedback.requested",
}
"""Types that are read as another: those of one name, and those of one ending."""

FAILED = frozenset({"failed", "failure", "error"})
OUTPUTS = ("content", "output", "answer")

_decode_frame = open_union(cast("Any", wire.AnyFrame))


class DynamiqOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Left to Dynamiq where it is not said."""

    subagents_enabled: bool | None = None


class DynamiqTranslator:
    def __init__(self, target: DynamiqTarget, blocks: Blocks) -> None:
        self.target = target
        self._blocks = blocks
        self.app_headers: dict[str, str] = {}
        """For requests to the App's host, over those of every request."""
        self._run: str | None = None
        self._sequence = -1
        self._has_terminal = False
        self._open: str | None = None
        """Which of `text` and `reasoning` grows; they take turns."""
        self._iteration = ""
        self._has_text = False
        self._tool_calls: dict[str, str] = {}
        """Our id of each tool call, by the vendor's own or, without one, by its name."""
        self._grown: set[str] = set()
        self._answered: set[str] = set()
        self.vendor_ids: dict[str, str] = {}
        self.model: str | None = target.model
        self.ending = False

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:  # noqa: ARG002  (the port's)
        yield from ()
        if "app_key" in credentials:
            self.app_headers = {"Authorization": f"Bearer {credentials['app_key']}"}
        return Authorization({"Authorization": f"Bearer {credentials['api_key']}"})

    # --- requests

    def requests(self, turn: Turn) -> Calls[None]:
        refuse_what_is_no_text(turn, "dynamiq", but=(InputResponsePart, FilePart, ImagePart))
        if turn.regenerates is not None:
            raise cannot_take("dynamiq", "a message to be answered anew", "$.regenerate")
        conversation = turn.vendor_ids.get("conversation")
        if conversation:
            path_segment(conversation)
            self.vendor_ids["conversation"] = conversation
        if any(isinstance(part, InputResponsePart) for part in turn.parts):
            yield from self._answer_request(turn)
        else:
            yield from self._send(turn, conversation)

    def _send(self, turn: Turn, conversation: str | None) -> Calls[None]:
        text = as_one_text(turn)
        files = _files(turn)
        if not files and not any(spoken(part).strip() for part in turn.parts):
            raise GatewayError("bad_request", "the message has no text", details={"path": "$.content"})
        content: list[wire.TextPart | wire.FilePart] = [wire.TextPart(text)] if text.strip() else []
        for file in files:
            named = yield from self._upload(file)
            content.append(wire.FilePart(named))
        if not conversation:
            created = yield calls.create_conversation(self.target, turn.text)
            conversation = calls.read_conversation(created.body)
            self.vendor_ids["conversation"] = conversation
        wants_subagents = None if turn.options is None else turn.options.subagents_enabled
        yield calls.send_message(
            conversation,
            wire.Message(content, self.target.model or UNSET, UNSET if wants_subagents is None else wants_subagents),
        )

    def _upload(self, file: wire.FileName | NewFile) -> Calls[wire.FileName]:
        if isinstance(file, wire.FileName):
            return file
        stored = yield calls.upload_file(file, self.app_headers)
        return wire.FileName(calls.read_file(stored.body, file).ref, file.name)

    def _answer_request(self, turn: Turn) -> Calls[None]:
        answer = _answer(turn)
        run = turn.vendor_ids.get("run")
        if not run:
            raise GatewayError("bad_request", "there is no such input request to answer", details={"path": "$.content"})
        self.vendor_ids["run"] = run
        last = turn.vendor_ids.get("sequence", "")
        yield calls.answer_request(run, answer, self.app_headers)
        self._run = run
        self._sequence = int(last) if last.isdecimal() else -1
        yield calls.follow_run(run, max(self._sequence, 0), self.app_headers)

    # --- the stream

    def feed(self, record: Record) -> Told:
        if not record.data:
            return ()
        if self._has_terminal:
            return (Notice("after_terminal"),)
        frame = _read_frame(record)
        sequence = _sequence(frame)
        if sequence is not None:
            if sequence <= self._sequence:
                return (Notice("vendor_sequence"),)
            self._sequence = sequence
        if isinstance(frame, Unknown):
            return _read_unknown(frame)
        error = frame.error or (frame.data is not None and frame.data.error)
        if error and type(frame) not in self._OWN_ERRORS:
            if isinstance(frame, wire.RunCompleted | wire.RunCanceled):
                self._run = None
            raise faults.failure(error, "upstream_protocol")
        return self._READERS[type(frame)](self, frame)

    def _note_run(self, frame: wire.RunStarted) -> Told:
        if frame.data is not None and frame.data.id:
            self._run = self.vendor_ids["run"] = calls.safe_id(frame.data.id)
        return ()

    def _close(self) -> Events:
        self._open = None
        return self._blocks.complete()

    def _grow_text(self, frame: wire.ResponseDelta) -> Told:
        return self._say(frame.data.delta)

    def _say(self, text: str) -> Events:
        if self._open == "text" or not text:
            return self._blocks.text(text)
        closed = self._close()
        self._open = "text"
        self._has_text = True
        return (*closed, *self._blocks.text(text))

    def _end_text(self, frame: wire.ResponseCompleted) -> Told:
        whole = "" if self._has_text or frame.data is None else _first_text(msgspec.structs.asdict(frame.data))
        return (*self._say(whole), *self._close())

    def _grow_reasoning(self, frame: wire.ReasoningDelta) -> Told:
        thought = frame.data
        delta = thought.delta if thought.delta is not None else thought.thought
        if delta is None:
            raise Malformed("reasoning without a text")
        closed = self._turn_to_reasoning(thought) if delta else ()
        return (*closed, *self._blocks.reasoning(delta, self._iteration))

    def _turn_to_reasoning(self, thought: wire.Thought) -> Events:
        iteration = _iteration(thought) or self._iteration
        closed = () if (self._open, iteration) == ("reasoning", self._iteration) else self._close()
        self._open, self._iteration = "reasoning", iteration
        return closed

    def _end_reasoning(self, frame: wire.ReasoningCompleted) -> Told:
        """The engine repeats a whole `thought`, or tells it only here."""
        thought = frame.data or wire.Thought()
        if not thought.thought:
            return self._close() if self._open == "reasoning" else ()
        closed = self._turn_to_reasoning(thought)
        settled = self._blocks.settle_reasoning(thought.thought, self._iteration)
        return (*closed, *settled, *self._close())

    # --- tool calls

    def _start_call(self, frame: wire.ToolStarted) -> Told:
        """What it is called with may come at once, or in deltas, or with its result."""
        call = frame.data
        started = self._see_call(call)
        arguments = _arguments(call)
        return (*started, *self._complete_call(_key(call), arguments)) if arguments else started

    def _grow_call(self, frame: wire.ToolDelta) -> Told:
        call = frame.data
        fragment = call.delta if call.delta is not None else call.action_input
        started = self._see_call(call)
        if not isinstance(fragment, str) or not self._blocks.is_call_open(_key(call)):
            return (*started, Notice("repaired_block"))
        self._grown.add(_key(call))
        return (*started, *self._blocks.call(_key(call), fragment))

    def _end_call(self, frame: wire.ToolCompleted) -> Told:
        call = frame.data
        is_error = bool(frame.error or call.error) or (call.status or "").lower() in FAILED
        return self._settle_call(call, frame.error, is_error=is_error)

    def _break_call(self, frame: wire.ToolFailed) -> Told:
        return self._settle_call(frame.data, frame.error, is_error=True)

    def _settle_call(self, call: wire.ToolCall, error: Any, *, is_error: bool) -> Told:
        key = _key(call)
        if key in self._answered:
            return (Notice("repaired_block"),)
        events: list[Event | Notice] = [*self._see_call(call), *self._complete_call(key, _arguments(call))]
        tool_call_id = self._tool_calls[key]
        if _has_id(call):
            self._answered.add(key)
        else:
            del self._tool_calls[key]
            self._grown.discard(key)
        output = (error or call.error or _result(call)) if is_error else _result(call)
        if output is not UNSET or is_error:
            told = None if output is UNSET else _decode_text(output)
            events.append(ToolResult(tool_call_id, told, is_error, _name(call)))
        events += [File(name=file.name, media_type=file.mime_type) for file in call.files or ()]
        return events

    def _see_call(self, call: wire.ToolCall) -> Events:
        """The first sight of a call opens it; text that follows it is a block of its own, so that both keep order."""
        key = _key(call)
        if key in self._tool_calls:
            return ()
        closed = self._close()
        name = _name(call) or "tool"
        started = self._blocks.start_call(key, name, tool_call_id=call.id or call.tool_run_id, executor="vendor")
        self._tool_calls[key] = cast("ToolCallStarted", started[0]).tool_call_id
        return (*closed, *started)

    def _complete_call(self, key: str, arguments: object) -> Told:
        """Without an object as `arguments` the deltas say them."""
        if not self._blocks.is_call_open(key):
            return ()
        final = arguments if isinstance(arguments, dict) else None
        spelled: Events = ()
        if arguments and final is None and key not in self._grown:
            text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
            spelled = self._blocks.call(key, text)
        events = (*spelled, *self._blocks.complete_call(key, final))
        if final is not None and cast("ToolCallCompleted", events[-1]).status != "complete":
            return (*events, Notice("arguments_differ"))
        return events

    # --- requests of the vendor's, and endings

    def _ask(self, frame: wire.FeedbackRequested | wire.ApprovalRequested) -> Told:
        asked = frame.data
        if asked.action == "info":
            return (*self._close(), *self._blocks.text(_prompt(asked)), *self._blocks.complete_text())
        is_approval = isinstance(frame, wire.ApprovalRequested) or asked.type == APPROVAL
        self.vendor_ids["input"] = APPROVAL if is_approval else FEEDBACK
        if self._sequence > 0:
            self.vendor_ids["sequence"] = str(self._sequence)
        self._has_terminal = True
        request_id = asked.id or asked.request_id or self._blocks.numbering.identify("input")
        return (
            *self._close(),
            InputRequested(
                request_id,
                "approval" if is_approval else "question",
                _prompt(asked) or None,
                fields=_fields(asked, is_approval=is_approval),
            ),
            MessageCompleted("input_required"),
        )

    def _complete(self, frame: wire.RunCompleted) -> Told:
        run = frame.data or wire.Run()
        match run.status:
            case None | "completed":
                reason = MessageCompleted("stop")
            case "failed":
                self._run = None
                raise faults.failure(None, "upstream_unavailable")
            case "canceled" | "cancelled":
                return self._cancel(frame)
            case _:
                reason = MessageCompleted("other", run.status)
        text = "" if self._has_text else _output_text(run.output)
        self._has_terminal = True
        return (*self._say(text), *self._close(), reason)

    def _fail(self, frame: wire.RunFailed) -> Told:
        self._run = None
        raise faults.failure(frame.error or (frame.data and frame.data.error), "upstream_unavailable")

    def _cancel(self, _: wire.RunCanceled | wire.RunCompleted) -> Told:
        self._has_terminal = True
        return (*self._close(), MessageCanceled("vendor"))

    def finish(self) -> Told:
        if self._has_terminal:
            return ()
        raise GatewayError("upstream_protocol", "dynamiq ended its stream before its terminal event", cause="truncated")

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return faults.refusal(status, headers, body)

    def resume(self) -> VendorRequest | None:
        if self._run is None or self._has_terminal:
            return None
        return calls.follow_run(self._run, max(self._sequence, 0), self.app_headers)

    def cancel(self) -> VendorRequest | None:
        if self._run is None or self._has_terminal:
            return None
        return calls.cancel_run(self._run, self.app_headers)

    _OWN_ERRORS = frozenset({wire.RunFailed, wire.ToolCompleted, wire.ToolFailed})
    """Frames whose error is theirs to tell."""

    _READERS: ClassVar[dict[type, Callable[["DynamiqTranslator", Any], Told]]] = {
        wire.RunStarted: _note_run,
        wire.ResponseDelta: _grow_text,
        wire.ResponseCompleted: _end_text,
        wire.ReasoningDelta: _grow_reasoning,
        wire.ReasoningCompleted: _end_reasoning,
        wire.ToolStarted: _start_call,
        wire.ToolDelta: _grow_call,
        wire.ToolCompleted: _end_call,
        wire.ToolFailed: _break_call,
        wire.FeedbackRequested: _ask,
        wire.ApprovalRequested: _ask,
        wire.RunCompleted: _complete,
        wire.RunFailed: _fail,
        wire.RunCanceled: _cancel,
    }


# --- what goes out


def _files(turn: Turn) -> list[wire.FileName | NewFile]:
    return [
        _file(part, f"$.content[{number}]", turn.files)
        for number, part in enumerate(turn.parts)
        if isinstance(part, (FilePart, ImagePart))
    ]


def _file(part: FilePart | ImagePart, path: str, known: dict[str, str]) -> wire.FileName | NewFile:
    """A file that Dynamiq has, or one to upload first."""
    name = part.name or "file"
    if part.file_id is not None:
        if part.file_id not in known:
            raise cannot_take("dynamiq", "a file of another vendor's", f"{path}.file_id")
        return wire.FileName(known[part.file_id], name)
    if part.url is not None:
        raise cannot_take("dynamiq", "files by their address", f"{path}.url")
    try:
        data = base64.b64decode(part.data or "", validate=True)
    except (binascii.Error, ValueError) as error:
        raise GatewayError("bad_request", "the data is not base64", details={"path": f"{path}.data"}) from error
    if not data:
        raise GatewayError("bad_request", "the file is empty", details={"path": path})
    return NewFile(name, part.media_type or "application/octet-stream", data)


def _answer(turn: Turn) -> wire.Input:
    """The one answer of a turn to what a run asked. All its text is the feedback, behind what was said elsewhere."""
    answers = [(number, part) for number, part in enumerate(turn.parts) if isinstance(part, InputResponsePart)]
    number, answer = answers[0]
    for other, part in enumerate(turn.parts):
        if isinstance(part, (FilePart, ImagePart)):
            raise cannot_take("dynamiq", "files beside the answer to an input request", f"$.content[{other}]")
    if len(answers) > 1:
        path = f"$.content[{answers[1][0]}]"
        raise GatewayError("bad_request", "a run asks for one input at a time", details={"path": path})
    usual = FEEDBACK if answer.approved is None else APPROVAL
    if turn.vendor_ids.get("input", usual) == APPROVAL:
        if answer.approved is None:
            path = f"$.content[{number}].approved"
            raise GatewayError("bad_request", "an approval is given or refused", details={"path": path})
        remark = as_one_text(_without_verdict(turn))
        approval = wire.Approval(answer.request_id, answer.approved, answer.values or UNSET, remark or UNSET)
        return wire.Input(APPROVAL, approval)
    feedback = as_one_text(turn)
    if not feedback:
        raise GatewayError("bad_request", "the answer has no text", details={"path": f"$.content[{number}].text"})
    return wire.Input(FEEDBACK, wire.Feedback(answer.request_id, feedback))


def _without_verdict(turn: Turn) -> Turn:
    parts = [
        replace(part, approved=None, values=None) if isinstance(part, InputResponsePart) else part
        for part in turn.parts
    ]
    return replace(turn, parts=parts)


# --- what comes in


def _read_frame(record: Record) -> Any:
    """A frame by its type; one that cannot be read, but holds an error, is that error."""
    try:
        frame = _decode_frame(record.data, record.name)
        return _read_family(frame) if isinstance(frame, Unknown) else frame
    except Malformed as malformed:
        error = faults.read_error(record.data)
        if error:
            raise faults.failure(error, "upstream_protocol") from malformed
        raise


def _read_family(frame: Unknown) -> Any:
    """A frame of a type that we do not know, but whose name says what it is like."""
    kind = _kind_of(frame.name)
    if kind is None:
        return frame
    try:
        return msgspec.convert({**frame.payload, "type": kind}, cast("type[Any]", wire.AnyFrame))
    except UNREADABLE as error:
        raise Malformed(error) from error


def _kind_of(name: str) -> str | None:
    if name.startswith("subagent.") and ".response." in name:
        return None
    return KINDS.get(name) or next((kind for ending, kind in FAMILIES.items() if f".{name}".endswith(ending)), None)


def _sequence(frame: Any) -> int | None:
    sequence = frame.payload.get("sequence") if isinstance(frame, Unknown) else frame.sequence
    return sequence if type(sequence) is int else None


def _read_unknown(frame: Unknown) -> Told:
    error = faults.error_in(frame.payload.get("error"), frame.payload.get("data"))
    if error:
        raise faults.failure(error, "upstream_protocol")
    return (VendorEvent(frame.name, frame.payload),)


def _iteration(thought: wire.Thought) -> str:
    number = thought.iteration if thought.iteration is not None else thought.loop_num
    return "" if number is None else str(number)


def _has_id(call: wire.ToolCall) -> bool:
    return bool(call.id or call.tool_run_id)


def _key(call: wire.ToolCall) -> str:
    return call.id or call.tool_run_id or f"named {_name(call)}"


def _name(call: wire.ToolCall) -> str | None:
    tool = call.tool.name if isinstance(call.tool, wire.Tool) else call.tool
    return tool or call.name or call.action


def _arguments(call: wire.ToolCall) -> object:
    return call.input if call.input is not None else call.action_input


def _result(call: wire.ToolCall) -> Any:
    return call.result if call.result is not UNSET else call.output


def _decode_text(output: Any) -> Any:
    """What a result's text spells, where that is a JSON object or array; else the text."""
    if not isinstance(output, str) or output.lstrip()[:1] not in {"{", "["}:
        return output
    try:
        return msgspec.json.decode(output)
    except UNREADABLE:
        return output


def _prompt(asked: wire.Request) -> str:
    return asked.prompt or asked.template or ""


def _fields(asked: wire.Request, *, is_approval: bool) -> dict[str, Any] | None:
    """What may be filled in beside a text."""
    if is_approval:
        fields = {
            "params": asked.params or asked.data,
            "editable_params": asked.editable_params or asked.mutable_data_params,
        }
    else:
        fields = {"questions": asked.questions}
    return {name: value for name, value in fields.items() if value} or None


def _first_text(fields: dict[str, Any]) -> str:
    return next((fields[name] for name in OUTPUTS if fields.get(name) and isinstance(fields[name], str)), "")


def _output_text(output: Any) -> str:
    """A run's output, which is what its workflow made it."""
    if not output or isinstance(output, str):
        return output or ""
    found = _first_text(output) if isinstance(output, dict) else ""
    return found or msgspec.json.encode(output).decode()

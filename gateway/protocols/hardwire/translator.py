"""Hardwire, upstream: one POST into a chat that we name ourselves, answered by a stream in one of two dialects.

    sign in       see `sign_in.py`
    turn          POST /chats/{uuid}/messages/stream -> SSE; an unknown chat is created
    turn, whole   POST /chats/{uuid}/messages -> 201, which may hold a failure
    workflow      POST /chats/{uuid}/messages -> 201 {workflowRunId}, GET .../workflow-runs/{run}/stream -> SSE,
                  then GET .../messages where the run's stream told no message

    documented       running server      becomes
    start            user_message        the message's id
    content          token               text.delta
    tool_call        -                   tool_call.*
    tool_result      -                   tool_result; there are no ids: it answers the first unanswered call of its name
    end              complete            message.completed; `complete` repeats the text, to verify, and has sources
    error            error               GatewayError
    run_started      -                   nothing: the run's id is known
    step_started     snapshot.steps[]    step.started, tool_call.*, tool_result
    step_progress    -                   vendor.event
    step_completed, step_failed          step.completed
    run_completed    complete            message.completed, GatewayError or message.canceled, as the status says
    run_failed       error               GatewayError

Dialects are told apart frame by frame. End of bytes before a terminal: `upstream_protocol`. An unknown error code of a
stream is `upstream_protocol`; of a refusal, what its status says.

Hardwire stores the user's message before it answers, so a repeated POST doubles it; it never gives a finish reason.
Source: docs-hardwire.branmcf.com and the server in `branmcf/tenex-take-home`, read 2026-11.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.blocks import Blocks, Events
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    MessageCanceled,
    MessageCompleted,
    Notice,
    Source,
    TextCompleted,
    TextStarted,
    ToolResult,
)
from gateway.canonical.one_text import as_one_text, cannot_take, refuse_what_is_no_text, spoken
from gateway.canonical.turn import Turn
from gateway.framing.lines import JsonDecoder
from gateway.framing.record import Framing, Record
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import Unknown, document, open_union
from gateway.protocols.base import Authorization, Calls, Credentials, Headers, VendorRequest, path_segment
from gateway.protocols.hardwire import wire
from gateway.protocols.hardwire.faults import failure, read_unknown, refusal
from gateway.protocols.hardwire.sign_in import HardwireSession, sign_in
from gateway.protocols.refusing import vendor_error

RUN_ENDS: dict[str, Literal["passed", "failed", "canceled"]] = {
    "PASSED": "passed",
    "completed": "passed",
    "FAILED": "failed",
    "failed": "failed",
    "CANCELLED": "canceled",
    "cancelled": "canceled",
}
STEP_WAITS = "QUEUED"
STEP_ENDS = frozenset({"PASSED", "FAILED", "CANCELLED"})

# Nothing says what a snapshot's tool calls look like: the stream's names first, then the usual ones.
CALL_NAMES = ("toolName", "name")
CALL_ARGUMENTS = ("toolArgs", "args", "arguments", "input")
CALL_RESULTS = ("result", "output")

decode_frame = open_union(wire.MessageFrame)
decode_run_frame = open_union(wire.RunStreamFrame)
decode_answer = document(wire.Answer)
decode_messages = document(wire.Messages)


class HardwireTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """`model` is sent with every message. With `workflow_id` a message starts that workflow instead of a model."""

    model: Annotated[str, Meta(min_length=1)]
    workflow_id: UUID | None = None
    upstream_stream: bool = True


class HardwireOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """`workflow_id` goes before the target's."""

    workflow_id: UUID | None = None


class HardwireTranslator:
    def __init__(self, target: HardwireTarget, blocks: Blocks) -> None:
        self._target = target
        self._blocks = blocks
        self._user_id = ""
        self._read: Callable[[Record], Iterable[Event | Notice]] = self._read_message_frame
        self._terminal = False
        self._text_key = "0"
        self._text_before = ""
        self._unanswered: dict[str, list[str]] = {}
        self._ended_steps: set[str] = set()
        self._step_calls: dict[str, str] = {}
        self._answered_step_calls: set[str] = set()
        self._stored: wire.StoredMessage | None = None
        self._run: VendorRequest | None = None
        self.vendor_ids: dict[str, str] = {}
        self.model: str | None = target.model
        self.ending = False

    # --- sign-in

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
        if "cookie" in credentials and "user_id" in credentials:
            self._user_id = credentials["user_id"]
            return Authorization({"Cookie": credentials["cookie"]})
        if not isinstance(session, HardwireSession):
            session = yield from sign_in(credentials)
        self._user_id = session.user_id
        return Authorization({"Cookie": session.cookie}, session)

    # --- requests

    def requests(self, turn: Turn) -> Calls[None]:
        text = _text(turn)
        workflow = (turn.options and turn.options.workflow_id) or self._target.workflow_id
        chat = turn.vendor_ids.get("conversation") or turn.new_id()
        path = chat_path(chat)
        self.vendor_ids["conversation"] = chat
        body = wire.SendMessage(text, self._target.model, self._user_id, str(workflow) if workflow else None)
        if workflow:
            yield from self._run_workflow(path, body)
        elif turn.stream or self._target.upstream_stream:
            yield _post(f"{path}/messages/stream", body, SseDecoder)
        else:
            self._read = self._read_document
            yield _post(f"{path}/messages", body, JsonDecoder)

    def _run_workflow(self, path: str, body: wire.SendMessage) -> Calls[None]:
        self._read = self._read_run_frame
        started = yield _post(f"{path}/messages", body)
        answer = decode_answer(started.body)
        self._check_answer(answer)
        if not answer.workflow_run_id:
            self._stored = self._answer_in(answer)
            self.ending = True
            return
        run = _run_segment(answer.workflow_run_id)
        self.vendor_ids["run"] = answer.workflow_run_id
        self._run = VendorRequest("GET", f"{path}/workflow-runs/{run}/stream", framing=SseDecoder)
        yield self._run
        if self.ending:
            listed = yield VendorRequest("GET", f"{path}/messages")
            self._stored = _last_answer(decode_messages(listed.body).all, answer.question_id)

    # --- the message stream

    def feed(self, record: Record) -> Iterable[Event | Notice]:
        if self.ending:
            return (Notice("after_terminal"),)
        return self._read(record)

    def _read_message_frame(self, record: Record) -> Iterable[Event | Notice]:
        frame = decode_frame(record.data, record.name)
        if type(frame) is wire.Content and frame.error is None:  # nearly all are, so it is asked for first
            return self._blocks.text(frame.delta, self._text_key)
        match frame:
            case wire.Token(error=None):
                return self._blocks.text(frame.token, self._text_key)
            case Unknown():
                return read_unknown(frame)
            case wire.Failure(error=error, message=message):
                raise failure(error, message)
            case wire.Frame(error=error) if error is not None:
                raise failure(error)
            case _:
                return self._read_rarer_frame(frame)

    def _read_rarer_frame(self, frame: wire.RarerFrame) -> Iterable[Event | Notice]:
        match frame:
            case wire.ToolCall():
                return self._read_tool_call(frame.tool_name, frame.tool_args)
            case wire.ToolResult():
                return self._read_tool_result(frame.tool_name, frame.result)
            case wire.End():
                return self._complete(wire.StoredMessage("", id=frame.message_id))
            case wire.Complete():
                self._check_chat(frame.chat_id)
                return self._complete(frame.message)
            case wire.UserMessage():
                self._note("user_message", frame.message.id)
            case _:
                self._note("message", frame.message_id)
        return ()

    def _read_tool_call(self, name: str, arguments: object) -> Iterator[Event]:
        call_id = self._invent_call_id()
        self._unanswered.setdefault(name, []).append(call_id)
        yield from self._show_call(call_id, name, arguments)

    def _read_tool_result(self, name: str, result: Any) -> Iterator[Event | Notice]:
        unanswered = self._unanswered.get(name)
        if unanswered:
            call_id = unanswered.pop(0)
        else:
            call_id = self._invent_call_id()
            yield Notice("repaired_block")
            yield from self._show_call(call_id, name, None)
        yield ToolResult(call_id, result, is_error=False, name=name)

    def _show_call(self, call_id: str, name: str, arguments: object) -> Iterator[Event]:
        """The call in full; text that follows it opens a block of its own, so that both keep their order."""
        yield from self._close_text()
        yield from self._blocks.start_call(call_id, name, tool_call_id=call_id, executor="vendor")
        if isinstance(arguments, str):
            yield from self._blocks.call(call_id, arguments)
            yield from self._blocks.complete_call(call_id)
        else:
            yield from self._blocks.complete_call(call_id, arguments if isinstance(arguments, dict) else None)

    def _close_text(self) -> Events:
        completed = self._blocks.complete_text(self._text_key)
        self._text_before += "".join(event.text for event in completed if isinstance(event, TextCompleted))
        self._text_key = str(len(self._text_before))
        return completed

    def _complete(self, message: wire.StoredMessage) -> Iterator[Event | Notice]:
        self._terminal = True
        self._note("message", message.id)
        yield from self._verify_text(message.content)
        yield from self._blocks.complete()
        for source in message.sources or ():
            source_id = self._blocks.numbering.identify("source")
            yield Source(source_id, title=source.title, url=source.url, quote=source.description)
        yield MessageCompleted("stop")

    def _verify_text(self, whole: str) -> Iterator[Event | Notice]:
        """The vendor's whole text against what was shown. An empty one says nothing; closed blocks stay as they are."""
        if whole and not whole.startswith(self._text_before):
            yield Notice("text_corrected")
            return
        rest = whole[len(self._text_before) :]
        events = self._blocks.settle_text(rest, self._text_key) if rest else ()
        yield from events
        if any(isinstance(event, TextStarted) and event.replaces is not None for event in events):
            yield Notice("text_corrected")

    # --- the document and the run stream

    def _read_document(self, record: Record) -> Iterator[Event | Notice]:
        answer = decode_answer(record.data)
        self._check_answer(answer)
        yield from self._complete(self._answer_in(answer))

    def _read_run_frame(self, record: Record) -> Iterator[Event | Notice]:
        frame = decode_run_frame(record.data, record.name)
        match frame:
            case Unknown():
                yield from read_unknown(frame)
            case wire.RunFailed():
                raise failure(frame.error, frame.message, otherwise="upstream_unavailable")
            case wire.RunFailure():
                raise failure(frame.error, frame.message)
            case wire.RunFrame(error=error) if error is not None:
                raise failure(error)
            case wire.StepStarted():
                yield from self._start_step(frame.step_id, frame.tool_id)
            case wire.StepCompleted() | wire.StepFailed():
                yield from self._end_step(frame.step_id, None)
            case wire.Snapshot():
                yield from self._read_snapshot(frame)
            case wire.RunCompleted() | wire.RunEnded():
                yield from self._end_run(frame.status)

    def _read_snapshot(self, snapshot: wire.Snapshot) -> Iterator[Event | Notice]:
        for step in snapshot.steps:
            yield from self._read_step(step)
        if snapshot.message is not None and snapshot.message.role != "system":
            self._stored = snapshot.message
        if RUN_ENDS.get(snapshot.workflow_run.status, "passed") != "passed":
            yield from self._end_run(snapshot.workflow_run.status)

    def _read_step(self, step: wire.Step) -> Iterator[Event]:
        if step.status == STEP_WAITS:
            return
        yield from self._start_step(step.step_id, step.name)
        if isinstance(step.tool_calls, list):
            for index, call in enumerate(step.tool_calls):
                yield from self._read_step_call(f"{step.step_id}/{index}", call)
        if step.status in STEP_ENDS:
            yield from self._end_step(step.step_id, step.name)

    def _read_step_call(self, key: str, call: object) -> Iterator[Event]:
        name = _first(call, CALL_NAMES)
        if not isinstance(name, str):
            return
        if key not in self._step_calls:
            self._step_calls[key] = self._invent_call_id()
            yield from self._show_call(self._step_calls[key], name, _first(call, CALL_ARGUMENTS))
        result = _first(call, CALL_RESULTS)
        if result is not None and key not in self._answered_step_calls:
            self._answered_step_calls.add(key)
            yield ToolResult(self._step_calls[key], result, is_error=False, name=name)

    def _start_step(self, key: str, name: str | None) -> Events:
        """A snapshot tells all steps again, as does a stream that was attached to anew."""
        return () if key in self._ended_steps else self._blocks.start_step(name, key)

    def _end_step(self, key: str, name: str | None) -> Events:
        started = self._start_step(key, name)
        self._ended_steps.add(key)
        return (*started, *self._blocks.complete_step(key))

    def _end_run(self, status: str) -> Iterator[Event | Notice]:
        match RUN_ENDS.get(status):
            case "passed" if self._stored is not None:
                yield from self._complete(self._stored)
            case "passed":
                self.ending = True
            case "canceled":
                self._terminal = True
                yield MessageCanceled("vendor")
            case "failed":
                raise vendor_error("upstream_unavailable", cause="vendor_error", vendor_code=status)
            case _:
                raise GatewayError("upstream_protocol", "hardwire ended a workflow run in a state it does not document")

    # --- endings

    def finish(self) -> Iterable[Event | Notice]:
        if self._terminal:
            return ()
        if self.ending:
            return self._complete(self._stored or wire.StoredMessage(""))
        raise GatewayError(
            "upstream_protocol", "hardwire ended its stream before its terminal event", cause="truncated"
        )

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return refusal(status, headers, body)

    def resume(self) -> VendorRequest | None:
        """A workflow run goes on without us and tells whoever asks all it did; a model's answer is not told twice."""
        return None if self.ending or self._terminal else self._run

    def cancel(self) -> VendorRequest | None:
        return None

    # --- what all of them use

    def _note(self, name: str, vendor_id: str | None) -> None:
        if vendor_id:
            self.vendor_ids[name] = vendor_id

    def _invent_call_id(self) -> str:
        return self._blocks.numbering.identify("call")

    def _check_answer(self, answer: wire.Answer) -> None:
        """A 201 may hold a failure."""
        if answer.error is not None:
            raise failure(answer.error)
        self._check_chat(answer.chat_id)
        self._note("user_message", answer.question_id)

    def _answer_in(self, answer: wire.Answer) -> wire.StoredMessage:
        if answer.answer is None:
            raise vendor_error("upstream_empty")
        return answer.answer

    def _check_chat(self, chat: str | None) -> None:
        asked = self.vendor_ids.get("conversation")
        if chat and asked and chat.lower() != asked.lower():
            raise GatewayError("upstream_protocol", "hardwire answered for another chat")


def chat_path(chat: str) -> str:
    return f"/chats/{path_segment(chat)}"


def _text(turn: Turn) -> str:
    """The one text that Hardwire takes; it refuses a blank one, and has no call to answer anew."""
    refuse_what_is_no_text(turn, "hardwire")
    if turn.regenerates is not None:
        raise cannot_take("hardwire", "a question anew", "$.regenerate")
    if not any(spoken(part).strip() for part in turn.parts):
        raise GatewayError("bad_request", "the message has no text", details={"path": "$.content"})
    return as_one_text(turn)


def _run_segment(run: str) -> str:
    try:
        return path_segment(run)
    except GatewayError as error:
        raise GatewayError("upstream_protocol", "hardwire named a run that cannot stand in a path") from error


def _post(path: str, body: wire.SendMessage, framing: Callable[[int], Framing] | None = None) -> VendorRequest:
    return VendorRequest(
        "POST",
        path,
        headers={"Content-Type": "application/json"},
        body=msgspec.json.encode(body),
        framing=framing,
        effect="once",
    )


def _last_answer(messages: list[wire.StoredMessage], question_id: str | None) -> wire.StoredMessage | None:
    """The last answer to the question; `system` messages are the server's own notes."""
    asked, answer = False, None
    for message in messages:
        if message.role == "user" and question_id in {None, message.id}:
            asked, answer = True, None
        elif message.role == "assistant" and asked:
            answer = message
    return answer


def _first(value: object, names: tuple[str, ...]) -> Any:
    if not isinstance(value, dict):
        return None
    return next((value[name] for name in names if value.get(name) is not None), None)

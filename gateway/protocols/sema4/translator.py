"""Sema4.ai, upstream: a conversation, and then one run of its agent for each message, told as patches of documents.

    agent_ready              the run's id; its thread is the conversation
    message_begin, message_content, message_end
                             text.*, reasoning.*, tool_call.* ... (see `run.py`): a run may have several messages, and
                             the end of each repeats it whole, with its usage and its model
    agent_error              GatewayError
    agent_finished           message.completed(stop)
    request_user_input       input.requested, message.completed(input_required); the answer is the next message
    request_tool_execution   tool_call.*       the client cannot answer it: there is no public call for its result
    thread_name_updated      vendor.event      it is the title of the vendor's own copy
    end of bytes before `agent_finished`: `upstream_protocol`

What has no `event_type` is read as far as it can be: a text or a text delta, a patch, messages as they are by now, an
error, an end; data that is no JSON is text, except in the vendor's own events. As a document the answer is all that the
agent said since the last message of a user.

The vendor stores the message before the run, so a repeated POST doubles it. It takes a text and nothing else: files are
uploaded first, and named in the text. Closing the connection cancels the run.
Source: sema4.ai/docs/v2/api, the vendor's public sources and its recorded stream, read 2026-11.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Annotated, Any, ClassVar, Literal, cast

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Event, InputRequested, MessageCompleted, Notice, VendorEvent
from gateway.canonical.message import FilePart, ImagePart, InputResponsePart, TextPart
from gateway.canonical.one_text import as_one_text, cannot_take, refuse_what_is_no_text
from gateway.canonical.turn import AskPart, Turn
from gateway.framing.record import Record
from gateway.framing.typed import UNREADABLE, Malformed, Unknown, document, open_union
from gateway.protocols.base import Authorization, Calls, Credentials, Headers, NewFile, VendorRequest
from gateway.protocols.sema4 import faults, requests, wire
from gateway.protocols.sema4.contents import Call, convert
from gateway.protocols.sema4.run import USER_ROLES, Run, Utterance

Told = Iterable[Event | Notice]

NAME = "sema4"

OWN_EVENTS = frozenset({b"agent_ready", b"agent_event"})
END_EVENTS = frozenset({b"end", b"done"})
HEARTBEATS = frozenset({b"ping", b"heartbeat", b"keep-alive", b"keepalive"})
DONE = b"[DONE]"

MAX_MESSAGES = 1024
"""Of one run."""

AGENT_ROLES = frozenset({"agent", "assistant", "ai"})

LOOSE = ""
"""The key of a text that belongs to no message."""

decode_frame = open_union(cast("Any", wire.Frame))
decode_answer = document(cast("type[wire.Answer | list[dict[str, Any]]]", wire.Answer | list[dict[str, Any]]))
decode_stored = document(cast("type[Any]", Any))


class Sema4Target(Struct, frozen=True, forbid_unknown_fields=True):
    """`authorization`: where the vendor is hosted at Snowflake its key has another scheme.

    `upstream_stream` off: an answer that the client does not stream is asked for as one document.
    """

    agent: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^(?!\.{1,2}\Z)")]
    authorization: Literal["bearer", "snowflake"] = "bearer"
    upstream_stream: bool = True


class Sema4Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Sema4.ai takes no options of its own."""


class Sema4Translator:
    def __init__(self, target: Sema4Target, blocks: Blocks) -> None:
        self.agent = target.agent
        self._target = target
        self._blocks = blocks
        self._run = Run(blocks)
        self._said: dict[str, Utterance] = {}
        self._is_document = False
        self._has_terminal = False
        self.vendor_ids: dict[str, str] = {}
        self.model: str | None = None
        self.ending = False

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:  # noqa: ARG002  (the port's)
        yield from ()
        key = credentials["api_key"]
        scheme = f"Bearer {key}" if self._target.authorization == "bearer" else f'Snowflake Token="{key}"'
        return Authorization({"Authorization": scheme})

    # --- requests

    def requests(self, turn: Turn) -> Calls[None]:
        _refuse(turn)
        files = [_decode_file(part, f"$.content[{n}]") for n, part in enumerate(turn.parts) if _is_inline(part)]
        content = _content(turn)
        conversation = turn.vendor_ids.get("conversation")
        if not conversation:
            conversation = requests.created((yield requests.create(self.agent, turn.text)))
        self.vendor_ids["conversation"] = conversation
        path = requests.conversation_path(self.agent, self.vendor_ids)
        if files:
            stored = yield requests.upload(path, files)
            decode_stored(stored.body)
        self._is_document = not (turn.stream or self._target.upstream_stream)
        yield requests.ask(path, content) if self._is_document else requests.stream(path, content)

    # --- the stream

    def feed(self, record: Record) -> Told:
        if self._is_document:
            return self._read_document(record)
        if self._has_terminal:
            return (Notice("after_terminal"),)
        try:
            frame = decode_frame(record.data)
        except Malformed as error:
            return self._read_untyped(record, error)
        if type(frame) is wire.MessageContent and frame.error is None and frame.thread_id is None:
            return self._patch(frame)  # nearly all are such, so it is asked for first
        return self._read(frame)

    def finish(self) -> Told:
        if not self._has_terminal:
            return self._break_off()
        return ()

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return faults.refuse(status, headers, body)

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        return None

    # Frames.

    def _read(self, frame: wire.Frame | Unknown) -> Told:
        if isinstance(frame, Unknown):
            return self._read_unknown(frame.name, frame.payload)
        if frame.thread_id is not None:
            self._check_conversation(frame.thread_id)
        if isinstance(frame, wire.AgentError):
            return self._fail(faults.failure(frame.error, frame.error_message))
        if frame.error:
            return self._fail(faults.failure(frame.error, otherwise="upstream_protocol"))
        return self._READERS[type(frame)](self, frame)

    def _read_unknown(self, name: str, payload: dict[str, Any]) -> Told:
        if payload.get("error"):
            return self._fail(faults.failure(payload["error"], otherwise="upstream_protocol"))
        return (VendorEvent(name, payload),)

    def _fail(self, error: GatewayError) -> Iterator[Event | Notice]:
        """What was said until then is told as it stands."""
        with suppress(Malformed):
            yield from self._stop()
        raise error

    def _break_off(self) -> Iterator[Event | Notice]:
        return self._fail(
            GatewayError("upstream_protocol", f"{NAME} ended its stream before its terminal event", cause="truncated")
        )

    def _ready(self, frame: wire.AgentReady) -> Told:
        if frame.run_id:
            self.vendor_ids["run"] = frame.run_id
        return ()

    def _check_conversation(self, thread: str) -> None:
        if self.vendor_ids.setdefault("conversation", thread) != thread:
            raise GatewayError("upstream_protocol", f"{NAME} answered for another conversation", cause="protocol")

    def _begin(self, frame: wire.MessageBegin) -> Told:
        if frame.message_id in self._said:
            return (Notice("repaired_block"),)
        self._utterance(frame.message_id)
        return ()

    def _patch(self, frame: wire.MessageContent) -> Told:
        said, number = self._said.get(frame.message_id), frame.sequence_number
        if said is None:
            said = self._utterance(frame.message_id)
            said.sequence = number
            return (Notice("repaired_block"), *said.apply(frame.delta))
        if said.is_ended:
            return (Notice("repaired_block"),)
        if number == said.sequence + 1:
            said.sequence = number
            return said.apply(frame.delta)
        if number <= 0:
            return said.apply(frame.delta)
        if number <= said.sequence:
            return (Notice("vendor_sequence"),)  # it was read before
        said.sequence = number
        return (Notice("vendor_sequence"), *said.apply(frame.delta))

    def _end_message(self, frame: wire.MessageEnd) -> Told:
        return self._end(self._utterance(frame.message_id), frame.data)

    def _end(self, said: Utterance, message: dict[str, Any] | None) -> Told:
        if said.is_ended:
            return (Notice("repaired_block"),)
        told = said.end(message)
        self.model = self._run.model
        return told

    def _utterance(self, message_id: str, place: int = 0) -> Utterance:
        """One without an id is known by its place."""
        key = message_id or f"#{place}"
        said = self._said.get(key)
        if said is None:
            if len(self._said) >= MAX_MESSAGES:
                raise GatewayError(
                    "upstream_protocol", f"the vendor sent more than {MAX_MESSAGES} messages", cause="too_large"
                )
            said = self._said[key] = Utterance(key, self._run)
        if message_id:
            self.vendor_ids["message"] = message_id
        return said

    def _ask_person(self, frame: wire.RequestUserInput) -> Iterator[Event | Notice]:
        yield from self._stop()
        yield InputRequested(self._blocks.numbering.identify("input"), "question", frame.message)
        self._has_terminal = True
        yield MessageCompleted("input_required")

    def _ask_client(self, frame: wire.RequestToolExecution) -> Told:
        return Call(f"/{len(self._run.calls)}", self._blocks, self._run.calls).ask(frame)

    def _rename(self, frame: wire.ThreadNameUpdated) -> Told:
        return (VendorEvent("thread_name_updated", {"new_name": frame.new_name, "reason": frame.reason}),)

    def _complete(self, _: object = None) -> Iterator[Event | Notice]:
        yield from self._stop()
        self._has_terminal = True
        yield MessageCompleted("stop")

    def _stop(self) -> Iterator[Event | Notice]:
        for said in self._said.values():
            yield from said.stop()
        yield from self._blocks.complete()
        self.model = self._run.model

    _READERS: ClassVar[dict[type, Callable[["Sema4Translator", Any], Told]]] = {
        wire.AgentReady: _ready,
        wire.MessageBegin: _begin,
        wire.MessageContent: _patch,
        wire.MessageEnd: _end_message,
        wire.AgentFinished: _complete,
        wire.RequestUserInput: _ask_person,
        wire.RequestToolExecution: _ask_client,
        wire.ThreadNameUpdated: _rename,
    }

    # What has no `event_type`.

    def _read_untyped(self, record: Record, error: Malformed) -> Told:
        data = record.data.strip()
        if record.name in HEARTBEATS:
            return ()
        value = _decode_loosely(data)
        if isinstance(value, dict) and "event_type" in value:
            if value.get("error"):
                return self._fail(faults.failure(value["error"], otherwise="upstream_protocol"))
            raise error
        if record.name == b"error":
            return self._fail(faults.failure(*_error_of(value, data)))
        if record.name in END_EVENTS or data == DONE:
            return self._complete()
        return self._read_loose(record, value, error) if data else ()

    def _read_loose(self, record: Record, value: Any, error: Malformed) -> Told:
        name = record.name.decode()
        match value:
            case {"error": said} if said:
                return self._fail(faults.failure(said, otherwise="upstream_protocol"))
            case {"role": str(role)} if role in USER_ROLES:
                return ()
            case {"delta": str(text)} | {"content": str(text)} | {"text": str(text)}:
                return self._blocks.text(text, LOOSE)
            case {"delta": {"op": _} as patch}:
                return self._utterance(id_of(value)).apply(convert(patch, cast("type[wire.Patch]", wire.Patch)))
            case {"messages": list(messages)} | list(messages):
                return self._show(messages)
            case dict():
                return (VendorEvent(name or "untyped", value),)
            case _ if record.name in OWN_EVENTS or record.data.lstrip()[:1] in {b"{", b"["}:
                raise error
            case _:
                return self._blocks.text(record.data.decode(), LOOSE)

    def _show(self, messages: list[Any]) -> Told:
        """A list of messages as they are by now: the last of the agent's goes on."""
        spoken = [(place, message) for place, message in enumerate(messages) if _is_agents(message)]
        if not spoken:
            return ()
        place, message = spoken[-1]
        said = self._utterance(id_of(message), place)
        return said.show(message)

    # --- documents

    def _read_document(self, record: Record) -> Iterator[Event | Notice]:
        answer = decode_answer(record.data)
        if isinstance(answer, wire.Answer):
            if answer.error or answer.detail:
                raise faults.failure(answer.error, answer.detail)
            messages = answer.data if answer.data is not None else answer.messages
            if messages is None:
                messages = [] if answer.content is None else [decode_stored(record.data)]
        else:
            messages = answer
        for place, message in enumerate(_since_last_question(messages)):
            if _is_agents(message):
                yield from self._end(self._utterance(id_of(message), place), message)
            else:
                yield VendorEvent(role_of(message) or "untyped", message)
        yield from self._complete()


# --- what goes out


def _refuse(turn: Turn) -> None:
    """Raises `unsupported` for what Sema4.ai cannot take."""
    refuse_what_is_no_text(turn, NAME, but=(InputResponsePart, FilePart, ImagePart))
    if turn.regenerates is not None:
        raise cannot_take(NAME, "a turn to be answered anew", "$.regenerate")
    for number, part in enumerate(turn.parts):
        if isinstance(part, FilePart | ImagePart) and not _is_inline(part) and part.file_id not in turn.files:
            what = "files by their URL" if part.file_id is None else "a file that is not in this conversation"
            raise cannot_take(NAME, what, f"$.content[{number}]")


def _is_inline(part: AskPart) -> bool:
    return isinstance(part, FilePart | ImagePart) and part.data is not None


def _decode_file(part: Any, path: str) -> NewFile:
    try:
        data = base64.b64decode(part.data, validate=True)
        name = requests.checked_name(part.name or "file")
    except (binascii.Error, ValueError) as error:
        raise GatewayError("bad_request", "a file's data is not base64", details={"path": path}) from error
    except GatewayError as error:
        error.details = {"path": path}
        raise
    return NewFile(name, part.media_type or "application/octet-stream", data)


def _content(turn: Turn) -> str:
    """The one text that Sema4.ai takes; files that are in the conversation are named in it."""
    parts = [_named(part, turn.files) for part in turn.parts]
    spoken = as_one_text(msgspec.structs.replace(turn, parts=parts))
    if not as_one_text(Turn(parts, turn.new_id)).strip():
        raise GatewayError("bad_request", "the message has no text", details={"path": "$.content"})
    return spoken


def _named(part: AskPart, files: dict[str, str]) -> AskPart:
    if not isinstance(part, FilePart | ImagePart):
        return part
    name = files.get(part.file_id or "") or part.name or "file"
    return TextPart(f"(file {name})")


# --- what comes in


def _decode_loosely(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except UNREADABLE:
        return None


def _error_of(value: Any, data: bytes) -> tuple[Any, Any]:
    """What an event named `error` says, whatever its shape."""
    if not isinstance(value, dict):
        return data.decode() if value is None else value, None
    return value.get("error") or value, value.get("detail")


def _is_agents(message: Any) -> bool:
    return isinstance(message, dict) and role_of(message) in AGENT_ROLES


def role_of(message: dict[str, Any]) -> str:
    """Older builds tell the role by the type; a message that says neither is the agent's."""
    role = message.get("role") or message.get("type") or "agent"
    return role if isinstance(role, str) else ""


def id_of(message: dict[str, Any]) -> str:
    found = message.get("message_id") or message.get("id")
    return found if isinstance(found, str) else ""


def _since_last_question(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    questions = [place for place, message in enumerate(messages) if role_of(message) in USER_ROLES]
    return messages[questions[-1] + 1 :] if questions else messages

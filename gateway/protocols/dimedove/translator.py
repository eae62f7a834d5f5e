"""Dimedove, upstream: a conversation, made at the first message, then one call a turn, answered as a stream or whole.

    conversation              POST /apps/{app}/conversations -> {"id"}; may be sent again
    turn                      POST /apps/{app}/conversations/{id} {message, stream, metadata?} -> stream or document
    tool outputs              GET /apps/{app}/conversations/{id}, after a turn with tool calls

    response.created          the run's id; `conversation_id` must be the one that was asked
    output_text.delta, .done  text.*         a text is (output_index, content_index); `done` repeats it, to verify
    function_call.start, function_call_arguments.delta, .done
                              tool_call.*    run by the vendor
    output_item.done          tool_call.*    the same call again, or one of which nothing else is told; with null
                                             arguments it may be a mere signal, so nobody knows who runs it
    data_spec                 data           a JSON patch of the vendor's UI language
    response.completed        tool_result where the kept conversation has them, then message.completed
    response.failed           GatewayError, as a status `failed` and any frame that holds an `error`
    end of bytes, or `[DONE]`, before one of the two: `upstream_protocol`

An event is named by its `event` line, else by its `type`: two have no `type`, and the vendor's own client reads no
`event` lines. Nothing is ever awaited from the client: no result of a tool can be handed in.
Dimedove keeps the user's message, so a turn is never sent twice; it tells no usage, no finish reason and no model.
Source: docs.dimedove.com/api-reference and /developer/apps/custom-tools, openapi/apps-api.json, the vendor's sample
chat app; read 2026-11.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, ClassVar, cast

import msgspec
from msgspec import UNSET, Meta, Struct

from gateway.canonical.blocks import Blocks, parse_arguments
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Data,
    Event,
    Executor,
    MessageCompleted,
    Notice,
    TextStarted,
    ToolCallCompleted,
    ToolResult,
    VendorEvent,
)
from gateway.canonical.one_text import as_one_text, cannot_take, refuse_what_is_no_text, spoken
from gateway.canonical.turn import Turn
from gateway.framing.record import Record
from gateway.framing.typed import Malformed, Unknown, document, open_union
from gateway.protocols.base import Authorization, Calls, Credentials, Headers, VendorRequest
from gateway.protocols.dimedove import faults, wire
from gateway.protocols.dimedove.conversations import (
    SPEC,
    conversation_path,
    creation,
    read_created,
    read_messages,
    reading,
)
from gateway.protocols.dimedove.framing import AnswerDecoder, Document

Told = Iterable[Event | Notice]

VENDOR = "dimedove"
NAMELESS = "tool"
"""A call that is told without a name, as the vendor's own client calls it."""

_encode = msgspec.json.encode
_DECODERS = {name: document(kind) for name, kind in wire.EVENTS.items()}
_DECODERS_BY_LINE = {name.encode(): decode for name, decode in _DECODERS.items()}
_decode_named = document(wire.Named)
_decode_object = document(dict[str, Any])
_decode_answer = document(wire.Answer)
_decode_item = open_union(cast("Any", wire.Item))
_decode_content = open_union(cast("Any", wire.Content))


class DimedoveTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """`upstream_stream` off: an answer that the client does not stream is asked for as one document.

    `tool_outputs` off: after a turn with tool calls the conversation is not read for what they gave.
    """

    app: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^(?!\.{1,2}\Z)")]
    upstream_stream: bool = True
    tool_outputs: bool = True


class DimedoveOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """Dimedove takes no options of its own."""


class DimedoveTranslator:
    def __init__(self, target: DimedoveTarget, blocks: Blocks) -> None:
        self.target = target
        self._blocks = blocks
        self._is_over = False
        """The vendor's terminal was read, though ours may be still to come."""
        self._has_terminal = False
        self._calls: dict[str, str] = {}
        """Every tool call's name, by its id."""
        self._grown: set[str] = set()
        self._results: dict[str, ToolResult] = {}
        self.vendor_ids: dict[str, str] = {}
        self.model: str | None = None
        self.ending = False

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:  # noqa: ARG002  (the port's)
        yield from ()
        return Authorization({"Authorization": f"Bearer {credentials['api_key']}"})

    def requests(self, turn: Turn) -> Calls[None]:
        refuse_what_is_no_text(turn, VENDOR)
        if turn.regenerates is not None:
            raise cannot_take(VENDOR, "a wish for another answer", "$.regenerate")
        text = as_one_text(turn)
        if not any(spoken(part).strip() for part in turn.parts):
            raise GatewayError("bad_request", "the message has no text", details={"path": "$.content"})
        app = self.target.app
        conversation = turn.vendor_ids.get("conversation")
        if not conversation:
            created = yield creation(app, wire.NewConversation(turn.user_id, metadata=turn.metadata))
            conversation = read_created(created.body)
        self.vendor_ids["conversation"] = conversation
        yield self._send(turn, text, conversation_path(app, conversation))
        if self.ending:
            kept = yield reading(app, conversation)
            self._keep_results(kept.body)

    def _send(self, turn: Turn, text: str, path: str) -> VendorRequest:
        streams = turn.stream or self.target.upstream_stream
        return VendorRequest(
            "POST",
            path,
            headers={
                "Content-Type": "application/json",
                "Accept": "text/event-stream" if streams else "application/json",
            },
            body=_encode(wire.Send(wire.UserMessage("user", text), streams, turn.metadata or UNSET)),
            framing=AnswerDecoder,
            effect="once",
        )

    def feed(self, record: Record) -> Told:
        is_done = record.data.startswith(wire.DONE)
        if not record.data or (self._is_over and is_done):
            return ()
        if self._is_over:
            return (Notice("after_terminal"),)
        if is_done:
            raise _truncated()
        if type(record) is Document:
            return self._read_answer(record)
        event = _read_event(record)
        if type(event) is wire.TextDelta and not event.error:
            return self._blocks.text(event.delta, _text_key(event.output_index, event.content_index))
        return self._read(event)

    def finish(self) -> Told:
        if self._has_terminal:
            return ()
        if not self.ending:
            raise _truncated()
        return self._complete()

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return faults.refuse(status, headers, body)

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        return None

    # Events.

    def _read(self, event: wire.Event | Unknown) -> Told:
        if isinstance(event, Unknown):
            return _read_unknown(event)
        if event.error and type(event) is not wire.Failed:
            raise faults.failure(event.error, "upstream_protocol")
        return self._READERS[type(event)](self, event)

    def _begin(self, event: wire.Created) -> Told:
        self._check_ids(event.id, event.conversation_id)
        return ()

    def _end_text(self, event: wire.TextDone) -> Told:
        return self._settle_text(event.text, _text_key(event.output_index, event.content_index))

    def _settle_text(self, text: str, key: str) -> Told:
        """The whole text against what was shown; an empty one says no more than that it is over."""
        if not text:
            return self._blocks.complete_text(key)
        events = self._blocks.settle_text(text, key)
        if any(isinstance(event, TextStarted) and event.replaces is not None for event in events):
            return (*events, Notice("text_corrected"))
        return events

    def _end_item(self, event: wire.ItemDone) -> Told:
        """Of other items than calls the stream has told already."""
        item = _decode_item(bytes(event.item))
        if isinstance(item, wire.FunctionCall):
            return self._end_call(item)
        return _read_unknown(item) if isinstance(item, Unknown) else ()

    def _end(self, event: wire.Completed) -> Told:
        self._check_ids(event.id, None)
        _check_status(event.status)
        return self._close()

    def _fail(self, event: wire.Failed) -> Told:
        self._check_ids(event.id, None)
        raise faults.failure(event.error, "upstream_unavailable")

    def _check_ids(self, run: str | None, conversation: str | None) -> None:
        if conversation and conversation != self.vendor_ids.get("conversation", conversation):
            raise GatewayError("upstream_protocol", "dimedove answered for another conversation", cause="protocol")
        if run:
            self.vendor_ids["run"] = run

    # Tool calls.

    def _start_call(self, event: wire.CallStart) -> Told:
        if event.call_id in self._calls:
            return (Notice("repaired_block"),)
        return self._open_call(event.call_id, event.name, "vendor")

    def _open_call(self, call: str, name: str | None, executor: Executor) -> Told:
        self._calls[call] = name or NAMELESS
        return self._blocks.start_call(call, name or NAMELESS, tool_call_id=call, executor=executor)

    def _grow_call(self, event: wire.CallDelta) -> Told:
        if not self._blocks.is_call_open(event.call_id):
            return (Notice("repaired_block"),)
        if event.delta:
            self._grown.add(event.call_id)
        return self._blocks.call(event.call_id, event.delta)

    def _end_call(self, event: wire.CallDone | wire.FunctionCall) -> Told:
        """The first of a call's two endings counts."""
        call = event.call_id or self._blocks.numbering.identify("call")
        if call not in self._calls:
            executor: Executor = "unknown" if event.arguments is None else "vendor"
            return (*self._open_call(call, event.name, executor), *self._complete_call(call, event.arguments))
        return self._complete_call(call, event.arguments) if self._blocks.is_call_open(call) else ()

    def _complete_call(self, call: str, arguments: str | None) -> Told:
        """Without `arguments` the deltas say them, or there are none."""
        if not arguments:
            return self._blocks.complete_call(call)
        if call not in self._grown:
            return (*self._blocks.call(call, arguments), *self._blocks.complete_call(call))
        final = parse_arguments(arguments)
        events = self._blocks.complete_call(call, final)
        is_whole = cast("ToolCallCompleted", events[-1]).status == "complete"
        return events if is_whole == (final is not None) else (*events, Notice("arguments_differ"))

    # Documents.

    def _read_answer(self, record: Record) -> Iterator[Event | Notice]:
        answer = faults.decoded(_decode_answer, record.data, "upstream_unavailable")
        if answer.error:
            raise faults.failure(answer.error, "upstream_unavailable")
        self._check_ids(answer.id, answer.conversation_id)
        _check_status(answer.status)
        for index, item in enumerate(answer.output):
            yield from self._read_item(_decode_item(bytes(item)), index)
        yield from self._close()

    def _read_item(self, item: wire.Item | Unknown, index: int) -> Told:
        match item:
            case wire.Message(content):
                return self._read_message(content or [], index)
            case wire.FunctionCall():
                return self._end_call(item)
            case wire.DataSpecItem(data):
                return (Data(SPEC, data),)
            case _:
                return _read_unknown(item)

    def _read_message(self, content: list[msgspec.Raw], index: int) -> Iterator[Event | Notice]:
        for number, raw in enumerate(content):
            part = _decode_content(bytes(raw))
            yield from (
                _read_unknown(part)
                if isinstance(part, Unknown)
                else self._settle_text(part.text, _text_key(index, number))
            )

    # Endings.

    def _close(self) -> Told:
        """The vendor is done; what its tools gave stands in the conversation alone."""
        self._is_over = True
        completed = self._blocks.complete()
        if self._calls and self.target.tool_outputs:
            self.ending = True
            return completed
        return (*completed, *self._complete())

    def _keep_results(self, body: bytes) -> None:
        """A conversation that cannot be read tells nothing more, and fails nothing."""
        try:
            messages = read_messages(body)
        except Malformed:
            return
        asked = max((place for place, message in enumerate(messages) if message.role == "user"), default=-1)
        for message in messages[asked + 1 :]:  # the ids of calls may be those of an earlier turn's
            for part in message.parts:
                if isinstance(part, wire.KeptCall) and part.tool_call_id in self._calls:
                    self._keep_result(part)
                    self.vendor_ids.update({"message": message.id} if message.id else {})

    def _keep_result(self, part: wire.KeptCall) -> None:
        call = part.tool_call_id
        if part.output is not None:
            self._results[call] = ToolResult(call, part.output, is_error=False, name=self._calls[call])

    def _complete(self) -> Told:
        self._has_terminal = True
        return (*self._results.values(), MessageCompleted("stop"))

    _READERS: ClassVar[dict[type, Callable[["DimedoveTranslator", Any], Told]]] = {
        wire.Created: _begin,
        wire.TextDone: _end_text,
        wire.CallStart: _start_call,
        wire.CallDelta: _grow_call,
        wire.CallDone: _end_call,
        wire.ItemDone: _end_item,
        wire.DataSpec: lambda _, event: (Data(SPEC, event.data),),
        wire.Completed: _end,
        wire.Failed: _fail,
    }


# --- what comes in


def _text_key(output_index: int, content_index: int) -> str:
    return f"{output_index}.{content_index}"


def _read_event(record: Record) -> wire.Event | Unknown:
    decode = _DECODERS_BY_LINE.get(record.name)
    name = ""
    if decode is None:
        name = _name(record)
        decode = _DECODERS.get(name)
    if decode is None:
        return Unknown(name, _decode_object(record.data))
    return faults.decoded(decode, record.data, "upstream_protocol")


def _name(record: Record) -> str:
    """An `event` line of which we know nothing gives way to a `type`."""
    named = faults.decoded(_decode_named, record.data, "upstream_protocol")
    return named.type or record.name.decode()


def _read_unknown(event: Unknown) -> Told:
    error = event.payload.get("error")
    if error or event.name == "error":
        raise faults.failure(error or event.payload.get("message"), "upstream_protocol")
    if not event.name:
        raise Malformed("an event without a name")
    return (VendorEvent(event.name, event.payload),)


def _check_status(status: str) -> None:
    """Two are documented; that a third were a success, nothing says."""
    if status == "failed":
        raise faults.failure(None, "upstream_unavailable")
    if status != "completed":
        raise GatewayError("upstream_protocol", "dimedove ended in a state it does not document", cause="protocol")


def _truncated() -> GatewayError:
    return GatewayError("upstream_protocol", "dimedove ended its stream before its terminal event", cause="truncated")

"""OpenAI Chat Completions, upstream: one stateless call a turn, answered by chunks or by one document.

    turn                        POST {base}/chat/completions; Azure: /openai/deployments/{model}/chat/completions
    delta.content               text.*               a text, or Mistral's parts; `<think>` tags where the target says so
    delta.reasoning(_content)   reasoning.*          also `reasoning_details`: the text once, with its signature
    delta.tool_calls            tool_call.*          all the client's; see `calls.py`
    delta.refusal               text.*               the answer then ends as `content_filter`
    delta.annotations, citations, search_results     source, each once
    delta.executed_tools        tool_call.*, tool_result    the vendor's own
    delta.images                file
    finish_reason               message.completed    held until `[DONE]` or the clean end: usage follows it
    usage                       usage                the last one counts
    error, in any place or shape   GatewayError      also `event: error`, and finish reasons that mean one
    end of bytes without finish_reason or `[DONE]`: `upstream_protocol`

The vendor keeps nothing, so that the whole conversation goes with each call, and a call may be repeated.
Source: openai (Python) 3.52, and recordings of the servers in `servers.py`; read 2026-11.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from msgspec import Meta, Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    File,
    FinishReason,
    MessageCompleted,
    Notice,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.turn import Turn
from gateway.framing.lines import JsonDecoder
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import UNREADABLE, Malformed, document
from gateway.protocols.base import Authorization, Calls, Credentials, Headers, VendorRequest, path_segment
from gateway.protocols.openai_chat import errors, wire
from gateway.protocols.openai_chat.calls import Calls as ToolCalls
from gateway.protocols.openai_chat.executed import ExecutedTools
from gateway.protocols.openai_chat.servers import SERVERS, ServerName
from gateway.protocols.openai_chat.sources import Sources
from gateway.protocols.openai_chat.telling import body
from gateway.protocols.openai_chat.thinking import Details, ThinkTags
from gateway.protocols.refusing import vendor_error

Told = Iterable[Event | Notice]

FINISH_REASONS: dict[str | None, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "": "stop",
    None: "stop",  # `[DONE]` came
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
FAILURES = frozenset({"error", "insufficient_system_resource"})
"""Finish reasons that are none."""

AZURE_API_VERSION = "2024-10-21"

_decode_chunk = document(wire.Chunk)
_decode_object = document(dict[str, Any])


class ChatTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """`upstream_stream` off: an answer that the client does not stream is asked for as one document. `think_tags` says
    whether a text may begin with reasoning in tags, where the server's row says otherwise."""

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    server: ServerName = "openai"
    api_version: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.-]{1,32}\Z")] = AZURE_API_VERSION
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    think_tags: bool | None = None
    upstream_stream: bool = True


class ChatTranslator:
    def __init__(self, target: ChatTarget, blocks: Blocks) -> None:
        self._target = target
        self._server = SERVERS[target.server]
        self._blocks = blocks
        self._calls = ToolCalls(blocks)
        self._sources = Sources(blocks.numbering)
        self._executed = ExecutedTools(blocks, self._sources)
        self._details = Details()
        expects_tags = self._server.think_tags if target.think_tags is None else target.think_tags
        self._tags = ThinkTags() if expects_tags else None
        self._is_document = False
        self._flows = False
        """Whether the last chunk was text alone, so that the next will be as well."""
        self._is_speaking = False
        self._is_thinking = False
        self._has_refused = False
        self._is_done = False
        self._has_terminal = False
        self._finish_reason: str | None = None
        self._usage: wire.Usage | None = None
        self._failure: GatewayError | None = None
        """Kept, because nothing that is raised after a finish reason fails the attempt by itself."""
        self.vendor_ids: dict[str, str] = {}
        self.model: str | None = None
        self.ending = False

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:  # noqa: ARG002  (the port's)
        yield from ()
        key = credentials.get("api_key")
        if key is None:
            if not self._server.keyless:
                raise GatewayError("upstream_auth", f"{self._target.server} needs the credential `api_key`")
            return Authorization({})
        if self._server.key_header == "api-key":
            return Authorization({"api-key": key})
        return Authorization({"Authorization": f"Bearer {key}"})

    def requests(self, turn: Turn) -> Calls[None]:
        self._is_document = not (turn.stream or self._target.upstream_stream)
        target = self._target
        in_path = self._server.model_in_path
        yield VendorRequest(
            "POST",
            f"/openai/deployments/{path_segment(target.model)}/chat/completions" if in_path else "/chat/completions",
            query={"api-version": target.api_version} if in_path else {},
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json" if self._is_document else "text/event-stream",
            },
            body=body(
                turn,
                self._server,
                target.server,
                model=None if in_path else target.model,
                max_output_tokens=target.max_output_tokens,
                stream=not self._is_document,
            ),
            framing=JsonDecoder if self._is_document else SseDecoder,
            effect="repeatable",
        )

    def feed(self, record: Record) -> Told:
        if self._flows and not record.name:
            try:
                chunk = wire.decode_text(record.data)
            except UNREADABLE:
                pass
            else:
                return self._blocks.text(chunk.choices[0].delta.content)
        return self._read(record)

    def finish(self) -> Told:
        if self._has_terminal:
            return ()
        if self._failure is not None:
            raise self._failure
        if self.ending or self._is_done:
            return self._complete()
        return self._break_off()

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return errors.refused(status, headers, body)

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        return None

    # Chunks.

    def _read(self, record: Record) -> Told:
        self._flows = False
        if self._has_terminal:
            return (Notice("after_terminal"),)
        if not record.data:
            return ()
        if record.data.strip() == wire.DONE:
            self._is_done = True
            return self.finish()
        chunk = self._chunk(record)
        self.vendor_ids.update({"message": chunk.id} if chunk.id else {})
        self.model = chunk.model or self.model
        groq = chunk.x_groq or wire.Groq()
        self._usage = chunk.usage or groq.usage or self._usage
        if chunk.choices is None and chunk.usage is None:
            name = record.name.decode() or chunk.object or "unknown"
            return (VendorEvent(name, _decode_object(record.data)),)
        self._is_done = self._is_document
        return self._read_chunk(chunk)

    def _chunk(self, record: Record) -> wire.Chunk:
        """A chunk that cannot be read, but holds an error, is that error."""
        try:
            chunk = _decode_chunk(record.data)
        except Malformed as error:
            read = errors.read_refusal(record.data)
            if record.name == b"error" or errors.is_failure(read):
                raise self._fail(read) from error
            raise
        if chunk.error or chunk.object == "error" or record.name == b"error":
            raise self._fail(errors.read_refusal(record.data))
        if chunk.x_groq is not None and chunk.x_groq.error:
            raise self._fail(wire.Refusal(error=chunk.x_groq.error))
        return chunk

    def _fail(self, read: wire.Refusal) -> GatewayError:
        self._failure = errors.failure(read)
        return self._failure

    def _read_chunk(self, chunk: wire.Chunk) -> Iterator[Event | Notice]:
        for choice in chunk.choices or ():
            if not choice.index:  # one answer was asked for
                yield from self._read_choice(choice)
        if chunk.search_results:
            yield from self._sources.list(chunk.search_results)
        if chunk.citations:
            yield from self._sources.list(chunk.citations)

    def _read_choice(self, choice: wire.Choice) -> Iterator[Event | Notice]:
        if choice.error:
            raise self._fail(wire.Refusal(error=choice.error))
        if choice.finish_reason in FAILURES:
            raise self._fail(wire.Refusal(error={"code": choice.finish_reason}))
        self._usage = choice.usage or self._usage
        delta = choice.delta or choice.message
        if delta is not None:
            yield from self._read_delta(delta)
        if choice.finish_reason:
            self._finish_reason = choice.finish_reason
            self.ending = True
        self._flows = self._is_speaking and not self.ending and (self._tags is None or self._tags.is_over)

    def _read_delta(self, delta: wire.Delta) -> Iterator[Event | Notice]:
        detailed = self._details.add(delta.reasoning_details) if delta.reasoning_details else ""
        yield from self._think(delta.reasoning_content or delta.reasoning or detailed)
        if isinstance(delta.content, str):
            yield from self._speak_tagged(delta.content)
        elif delta.content is not None:
            for part in delta.content:
                yield from self._think(_thoughts(part))
                yield from self._speak(part.text or "" if part.type == "text" else "")
        if delta.refusal:
            self._has_refused = True
            yield from self._speak(delta.refusal)
        for fragment in _fragments(delta):
            yield from self._stop_thinking()
            yield from self._stop_speaking()
            yield from self._calls.read(fragment)
        for tool in delta.executed_tools or ():
            yield from self._stop_thinking()
            yield from self._stop_speaking()
            yield from self._executed.read(tool)
        for image in delta.images or ():
            yield File(media_type=_media_type(image.image_url.url), url=image.image_url.url)
        if delta.annotations:
            yield from self._sources.annotate(delta.annotations)

    # Prose: what begins ends what went before.

    def _speak_tagged(self, text: str) -> Iterator[Event]:
        if self._tags is None or not text:
            yield from self._speak(text)
            return
        yield from self._tell(self._tags.read(text))

    def _tell(self, pieces: Iterable[tuple[str, str]]) -> Iterator[Event]:
        for kind, piece in pieces:
            yield from self._think(piece) if kind == "reasoning" else self._speak(piece)

    def _speak(self, text: str) -> Iterator[Event]:
        if text:
            yield from self._stop_thinking()
            self._is_speaking = True
            yield from self._blocks.text(text)

    def _think(self, text: str) -> Iterator[Event]:
        if text:
            yield from self._stop_speaking()
            self._is_thinking = True
            yield from self._blocks.reasoning(text)

    def _stop_speaking(self) -> Iterator[Event]:
        if self._is_speaking:
            self._is_speaking = False
            completed = self._blocks.complete_text()
            self._sources.add_texts(completed)
            yield from completed

    def _stop_thinking(self) -> Iterator[Event]:
        """What was signed but not shown is a reasoning without a text."""
        signature = self._details.seal()
        if signature is not None and not self._is_thinking:
            yield from self._blocks.start_reasoning()
            self._is_thinking = True
        if self._is_thinking:
            self._is_thinking = False
            yield from self._blocks.complete_reasoning(signature=signature)

    # Endings.

    def _complete(self) -> Iterator[Event | Notice]:
        reason = FINISH_REASONS.get(self._finish_reason, "other")
        if self._tags is not None:
            yield from self._tell(self._tags.end())
        yield from self._stop_speaking()
        yield from self._stop_thinking()
        if reason == "content_filter" and not self._calls.are_whole:
            raise vendor_error("content_filtered", vendor_code=self._finish_reason)
        yield from self._executed.complete()
        yield from self._calls.complete(was_cut=reason == "length")
        yield from self._sources.end()
        yield from self._report_usage()
        self._has_terminal = True
        if reason in {"stop", "other", "tool_calls"} and self._calls.ids:
            yield MessageCompleted("tool_calls", self._finish_reason, self._calls.ids)
        elif reason == "tool_calls":
            yield MessageCompleted("stop", self._finish_reason)
        elif reason == "stop" and self._has_refused:
            yield MessageCompleted("content_filter", self._finish_reason)
        else:
            yield MessageCompleted(reason, self._finish_reason)

    def _break_off(self) -> Iterator[Event | Notice]:
        yield from self._report_usage()
        raise GatewayError(
            "upstream_protocol", f"{self._target.server} ended its answer before a finish reason", cause="truncated"
        )

    def _report_usage(self) -> Iterator[Event]:
        if self._usage is not None:
            yield _usage(self._usage)


def _fragments(delta: wire.Delta) -> Iterable[wire.CallFragment]:
    if delta.function_call is not None:
        return (wire.CallFragment(index=0, function=delta.function_call),)
    return delta.tool_calls or ()


def _thoughts(part: wire.ContentPart) -> str:
    if part.type != "thinking":
        return ""
    if isinstance(part.thinking, list):
        return "".join(thought.text or "" for thought in part.thinking)
    return part.thinking or ""


def _media_type(url: str) -> str | None:
    head, found, _ = url.partition(",")
    return head.removeprefix("data:").partition(";")[0] or None if found and head.startswith("data:") else None


def _usage(usage: wire.Usage) -> UsageReported:
    inputs = usage.prompt_tokens_details or wire.InputDetails()
    outputs = usage.completion_tokens_details or wire.OutputDetails()
    reasoning = usage.reasoning_tokens if outputs.reasoning_tokens is None else outputs.reasoning_tokens
    output = usage.completion_tokens
    if output is not None and reasoning and usage.total_tokens == (usage.prompt_tokens or 0) + output + reasoning:
        output += reasoning  # xAI counts the reasoning apart
    cached = usage.prompt_cache_hit_tokens if inputs.cached_tokens is None else inputs.cached_tokens
    return UsageReported(
        input_tokens=usage.prompt_tokens,
        output_tokens=output,
        reasoning_tokens=reasoning,
        cached_tokens=cached,
        cache_write_tokens=inputs.cache_write_tokens,
        credits=_credits(usage.cost),
    )


def _credits(cost: Any) -> float | None:
    return float(cost) if type(cost) in {int, float} else None

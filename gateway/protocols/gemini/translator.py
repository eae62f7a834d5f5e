"""Gemini, upstream: one call a turn, answered by increments of one answer, or by that answer as a document.

    turn                POST {base}/{version}/models/{model}:streamGenerateContent?alt=sse, or :generateContent
    text                text.*             in one block until a part of another kind comes
    text of a thought   reasoning.*
    thoughtSignature    of the block that its part belongs to, which ends there; alone, of an empty reasoning
    functionCall        tool_call.*        whole, or in pieces (see `arguments.py`), whose end may be missing
    executableCode, toolCall               tool_call.*, run by the vendor
    codeExecutionResult, toolResponse      tool_result
    inlineData, fileData                   file
    groundingMetadata and its like         source, at the end (see `sources.py`)
    usageMetadata       usage              the first, and the last
    finishReason        message.completed, at the end of the bytes: chunks may follow it. Where the answer goes on
                        (some servers give one with every chunk) it was none, and only the end of the bytes tells
    promptFeedback      message.completed  content_filter
    error               GatewayError       in an event, or bare between events; CANCELLED is message.canceled
    end of bytes before a finishReason or a promptFeedback: `upstream_protocol`

Only the first candidate is read: more are never asked for. A call that the model could not write is a failure.
Source: google-genai (Python) 3.4.0, recorded streams of vercel/ai and pydantic/pydantic-ai; read 2026-11.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    File,
    FinishReason,
    MessageCanceled,
    MessageCompleted,
    Notice,
    TextCompleted,
    ToolCallStarted,
    ToolResult,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.turn import Turn
from gateway.framing.lines import JsonDecoder
from gateway.framing.record import Record
from gateway.framing.typed import Malformed, document
from gateway.protocols.base import Authorization, Calls, Credentials, Headers, VendorRequest, path_segment
from gateway.protocols.gemini import asking, faults, wire
from gateway.protocols.gemini.arguments import ArgumentText
from gateway.protocols.gemini.framing import ChunkDecoder
from gateway.protocols.gemini.sources import Gathered, Told
from gateway.protocols.refusing import vendor_error

Heard = Iterable[Event | Notice]

FAILURES = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
    }
)
"""Finish reasons of an answer that is none."""

_decode_chunk = document(wire.Chunk)


class Server(Struct, frozen=True):
    """Where a model stands, and the version of the API that is usual there."""

    path: str
    version: str


SERVERS: dict[str, Server] = {
    "gemini": Server("", "v1beta"),
    "vertex": Server("/projects/{project}/locations/{location}/publishers/google", "v1beta1"),
}

Text = Annotated[str, Meta(min_length=1, max_length=256)]


class GeminiTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """`model` with or without the collection that it is in, which is `models` where it is not said.

    `project` and `location` are what `vertex` needs. `upstream_stream` off: an answer that the client does not stream
    is asked for as one document. `stream_arguments` asks for calls in pieces, which only `vertex` has.
    """

    model: Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[A-Za-z0-9._@-]+(/[A-Za-z0-9._@-]+)?\Z")]
    server: Literal["gemini", "vertex"] = "gemini"
    version: Literal["v1", "v1beta", "v1beta1"] | None = None
    project: Text | None = None
    location: Text = "global"
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    include_thoughts: bool = False
    stream_arguments: bool = False
    upstream_stream: bool = True

    def __post_init__(self) -> None:
        if (self.server == "vertex") != (self.project is not None):
            raise ValueError("`project` is what the server `vertex` needs, and no other")

    @property
    def path(self) -> str:
        """Of the model."""
        server = SERVERS[self.server]
        place = server.path.format(project=path_segment(self.project or "-"), location=path_segment(self.location))
        resource = self.model if "/" in self.model else f"models/{self.model}"
        model = "/".join(path_segment(segment) for segment in resource.split("/"))
        return f"/{self.version or server.version}{place}/{model}"


class GeminiTranslator:
    def __init__(self, target: GeminiTarget, blocks: Blocks) -> None:
        self._target = target
        self._blocks = blocks
        self._is_document = False
        self._has_terminal = False
        self._open: Literal["text", "reasoning"] | None = None
        self._calls = 0
        self._streamed: ArgumentText | None = None
        """The arguments of the call that is still being written."""
        self._signature: str | None = None
        """The signature of that call."""
        self._pending: list[str] = []
        self._run_by_vendor: list[tuple[str, str]] = []
        """Ids and names of the calls that the vendor runs and has not answered."""
        self._texts: list[Told] = []
        self._sources = Gathered()
        self._usage: wire.UsageMetadata | None = None
        self._told_usage: UsageReported | None = None
        self._finish_reason: str | None = None
        self._goes_on = False
        """Whether the answer went on behind a finish reason."""
        self._block_reason: str | None = None
        self.vendor_ids: dict[str, str] = {}
        self.model: str | None = None
        self.ending = False

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:  # noqa: ARG002  (the port's)
        yield from ()
        if "access_token" in credentials:
            return Authorization({"Authorization": f"Bearer {credentials['access_token']}"})
        return Authorization({"x-goog-api-key": credentials["api_key"]})

    def requests(self, turn: Turn) -> Calls[None]:
        target = self._target
        self._is_document = not (turn.stream or target.upstream_stream)
        body = asking.write(
            turn,
            asking.Usual(target.model, target.max_output_tokens, target.include_thoughts, target.stream_arguments),
        )
        yield VendorRequest(
            "POST",
            f"{target.path}:{'generateContent' if self._is_document else 'streamGenerateContent'}",
            query={} if self._is_document else {"alt": "sse"},
            headers={
                "Content-Type": "application/json",
                "Accept": "application/json" if self._is_document else "text/event-stream",
            },
            body=wire.encode(body),
            framing=JsonDecoder if self._is_document else ChunkDecoder,
            effect="repeatable",
        )

    def feed(self, record: Record) -> Heard:
        if self._has_terminal:
            return (Notice("after_terminal"),)
        chunk = _read_chunk(record.data)
        if chunk.error:
            return self._fail(record.data)
        candidate = chunk.candidates[0] if chunk.candidates else None
        is_usual = self._finish_reason is None and (self._told_usage is not None or chunk.usage_metadata is None)
        if self._open == "text" and candidate is not None and is_usual:
            part = _plain_text(candidate)
            if part is not None:
                self._usage = chunk.usage_metadata or self._usage
                return self._blocks.text(part)
        return self._read(chunk, candidate, record)

    def finish(self) -> Heard:
        if self._has_terminal:
            return
        if self._finish_reason is None and self._block_reason is None:
            raise GatewayError(
                "upstream_protocol", "gemini ended its answer before its finish reason", cause="truncated"
            )
        reason = wire.FINISH_REASONS.get(self._finish_reason or "", "other") if self._block_reason is None else _BLOCKED
        yield from self._close()
        if reason != "length":
            yield from self._end_call()
        yield from self._sources.tell(self._texts, self._blocks.numbering.identify)
        yield from self._tell_usage()
        self._has_terminal = True
        pending = self._pending if reason == "stop" else []
        yield MessageCompleted("tool_calls" if pending else reason, self._finish_reason or self._block_reason, pending)

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return faults.refused(status, headers, body)

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        return None

    # Chunks.

    def _fail(self, data: bytes) -> Heard:
        said = faults.read_error(data)
        if said.status == "CANCELLED":
            self._has_terminal = True
            return (MessageCanceled("vendor"),)
        raise faults.failed(said)

    def _read(self, chunk: wire.Chunk, candidate: wire.Candidate | None, record: Record) -> Heard:
        if chunk.response_id:
            self.vendor_ids["message"] = chunk.response_id
        self.model = chunk.model_version or self.model
        self._usage = chunk.usage_metadata or self._usage
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason and candidate is None:
            self._block_reason = chunk.prompt_feedback.block_reason
            self.ending = True
        if candidate is not None:
            yield from self._read_candidate(candidate, record)
        if self._told_usage is None:
            yield from self._tell_usage()

    def _read_candidate(self, candidate: wire.Candidate, record: Record) -> Heard:
        parts = (candidate.content and candidate.content.parts) or ()
        if self._finish_reason is not None and any(part.says for part in parts):
            self._finish_reason = None
            self._goes_on = True
            self.ending = False
        for number, part in enumerate(parts):
            yield from self._read_part(part, number, record)
        self._sources.add(candidate)
        if candidate.finish_reason in FAILURES:
            raise vendor_error(
                "upstream_protocol",
                cause="vendor_error",
                vendor_code=candidate.finish_reason,
                vendor_message=candidate.finish_message,
            )
        if candidate.finish_reason:
            self._finish_reason = candidate.finish_reason
            self.ending = not self._goes_on

    def _tell_usage(self) -> Iterator[Event]:
        counted = self._usage or wire.UsageMetadata()
        usage = UsageReported(
            _sum(counted.prompt_token_count, counted.tool_use_prompt_token_count),
            _sum(counted.candidates_token_count, counted.thoughts_token_count),
            counted.thoughts_token_count,
            counted.cached_content_token_count,
        )
        if usage not in {self._told_usage or _NOTHING, _NOTHING}:
            self._told_usage = usage
            yield usage

    # Parts.

    def _read_part(self, part: wire.Part, number: int, record: Record) -> Heard:
        signature = part.thought_signature
        if part.text is not None:
            return self._read_text(part.text, signature, is_thought=part.thought is True)
        if part.function_call is not None:
            return self._read_call(part.function_call, signature)
        if part.executable_code is not None:
            code = part.executable_code
            arguments = {"language": code.language, "code": code.code}
            return self._run(wire.CODE_EXECUTION, code.id, arguments, signature)
        if part.tool_call is not None:
            run = part.tool_call
            return self._run(part.tool_name or run.tool_type, run.id, run.args or {}, signature)
        if part.code_execution_result is not None:
            ran = part.code_execution_result
            output = {"outcome": ran.outcome, "output": ran.output or ""}
            return self._answer(ran.id, wire.CODE_EXECUTION, output, is_error=ran.outcome not in wire.RAN_WELL)
        if part.tool_response is not None:
            answered = part.tool_response
            output = answered.response or {}
            return self._answer(answered.id, part.tool_name, output, is_error=output.keys() == {"error"})
        if part.inline_data is not None and not part.thought:
            blob = part.inline_data
            media_type = blob.mime_type or "application/octet-stream"
            return self._show(File(None, blob.display_name, media_type, f"data:{media_type};base64,{blob.data}"))
        if part.file_data is not None:
            file = part.file_data
            return self._show(File(None, file.display_name, file.mime_type, file.file_uri))
        if signature is not None:
            return self._read_text("", signature, is_thought=part.thought is True)
        return _unknown_part(record.data, number)

    def _read_text(self, text: str, signature: str | None, *, is_thought: bool) -> Iterator[Event]:
        kind: Literal["text", "reasoning"] = "reasoning" if is_thought else "text"
        if text and self._open != kind:
            yield from self._close()
            self._open = kind
        if text:
            yield from self._blocks.reasoning(text) if is_thought else self._blocks.text(text)
        if signature is not None:
            if self._open is None:
                yield from self._blocks.start_reasoning()
                self._open = "reasoning"
            yield from self._close(signature)

    def _close(self, signature: str | None = None) -> Iterator[Event]:
        """Completes the text or the reasoning that is open."""
        if self._open == "reasoning":
            yield from self._blocks.complete_reasoning(signature=signature)
        elif self._open == "text":
            completed = self._blocks.complete_text(signature=signature)
            self._texts += [Told(event.block, event.text) for event in completed if isinstance(event, TextCompleted)]
            yield from completed
        self._open = None

    def _show(self, file: File) -> Iterator[Event]:
        yield from self._close()
        yield file

    # Calls.

    def _read_call(self, call: wire.FunctionCall, signature: str | None) -> Heard:
        """Without a name it goes on with the one that is being written."""
        if call.name:
            yield from self._close()
            yield from self._end_call()
            yield from self._start(call.name, call.id, "client")
            if call.partial_args is None and not call.will_continue:
                yield from self._blocks.complete_call(self._key, call.args or {}, signature=signature)
                return
            self._streamed = ArgumentText()
            self._signature = signature
        if self._streamed is None:
            yield Notice("repaired_block")
            return
        self._signature = signature or self._signature
        for value in call.partial_args or ():
            yield from self._blocks.call(self._key, self._streamed.grow(value))
        if not call.will_continue:
            yield from self._end_call()

    def _end_call(self) -> Iterator[Event]:
        """Of the call that is still being written, where one is."""
        if self._streamed is not None:
            yield from self._blocks.call(self._key, self._streamed.end())
            yield from self._blocks.complete_call(self._key, signature=self._signature)
        self._streamed = None

    @property
    def _key(self) -> str:
        return str(self._calls)

    def _start(self, name: str, call_id: str | None, executor: Literal["client", "vendor"]) -> Iterator[Event]:
        self._calls += 1
        started = self._blocks.start_call(self._key, name, tool_call_id=call_id, executor=executor)
        calls = [event.tool_call_id for event in started if isinstance(event, ToolCallStarted)]
        if executor == "client":
            self._pending += calls
        else:
            self._run_by_vendor += [(call, name) for call in calls]
        yield from started

    def _run(self, name: str, call_id: str | None, arguments: wire.Json, signature: str | None) -> Iterator[Event]:
        yield from self._close()
        yield from self._end_call()
        yield from self._start(name, call_id, "vendor")
        yield from self._blocks.complete_call(self._key, arguments, signature=signature)

    def _answer(self, call_id: str | None, name: str | None, output: wire.Json, *, is_error: bool) -> Heard:
        """Of the call with that id; without one, of the first by that name that is not answered."""
        yield from self._close()
        waiting = (call for call in self._run_by_vendor if (call[0] == call_id if call_id else name in {None, call[1]}))
        found = next(waiting, None)
        if found is None:
            yield Notice("repaired_block")
            return
        self._run_by_vendor.remove(found)
        yield ToolResult(found[0], output, is_error, found[1])


_BLOCKED: FinishReason = "content_filter"
_NOTHING = UsageReported()


def _read_chunk(data: bytes) -> wire.Chunk:
    """What is no chunk may be an error in a list."""
    try:
        return _decode_chunk(data)
    except Malformed:
        said = faults.read_error(data)
        if said.status is None and said.http_status is None:
            raise
        raise faults.failed(said) from None


def _plain_text(candidate: wire.Candidate) -> str | None:
    """The text of a candidate that is nothing but one more piece of it, as nearly all are."""
    content = candidate.content
    if (
        content is None
        or content.parts is None
        or len(content.parts) != 1
        or candidate.finish_reason is not None
        or candidate.grounding_metadata is not None
        or candidate.citation_metadata is not None
        or candidate.url_context_metadata is not None
    ):
        return None
    part = content.parts[0]
    return None if part.thought or part.thought_signature is not None else part.text


def _unknown_part(data: bytes, number: int) -> Heard:
    """A part of a kind that is new, or one that shows a thought as an image."""
    read: Any = msgspec.json.decode(data)
    part = read["candidates"][0]["content"]["parts"][number]
    return (VendorEvent("part", part),) if part else ()


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None

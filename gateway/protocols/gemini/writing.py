"""An answer in Gemini's words: the parts of the encoder's chunks and of a whole document.

    text, reasoning       text, with `thought`; a signature where it is base64, as clients decode it
    a client's call       functionCall, always with its id and arguments
    a vendor's call       executableCode where it runs Python; else toolCall, which clients do not run, with the name in
                          partMetadata where it is of no tool of Gemini's own
    a vendor's result     codeExecutionResult, toolResponse
    a broken call         toolCall as well, with what there is of its arguments in partMetadata
    file                  inlineData of a data URL, fileData of any other
    source                groundingChunks: web where there is a URL; groundingSupports with offsets in bytes
    usage                 thoughts beside the candidates' tokens, the cached ones within the prompt's

Official clients drop a whole turn from a chat's history where one chunk of it has no part: a chunk that has nothing to
say says an empty text.
Source: google-genai (Python) 3.4.0 `types.py` and `chats.py`, @google/genai 2.32.0; read 2026-11.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from gateway.canonical.events import FinishReason, Source, Usage
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputPart,
    Message,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.protocols.gemini import wire

RAW: dict[FinishReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "input_required": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
    "other": "OTHER",
}

OWN_TOOLS = frozenset(
    {
        "GOOGLE_SEARCH_WEB",
        "GOOGLE_SEARCH_IMAGE",
        "URL_CONTEXT",
        "GOOGLE_MAPS",
        "FILE_SEARCH",
        "MEDIA_PROCESSING",
        wire.ANY_TOOL,
    }
)
CODE_TOOLS = frozenset({wire.CODE_EXECUTION, "code_interpreter"})
PYTHON = frozenset({"PYTHON", "LANGUAGE_UNSPECIFIED", "python"})

SILENCE = wire.Part(text="")

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?;base64,(.*)", re.DOTALL)


def signature(opaque: str | None) -> str | None:
    """What a client can decode, in either alphabet of base64; another vendor's may be of any shape."""
    return opaque if opaque and (_is_base64(opaque, b"+/") or _is_base64(opaque, b"-_")) else None


def _is_base64(text: str, alphabet: bytes) -> bool:
    """To the last bit: the Python client fails on a text whose spare bits are set."""
    filled = text + "=" * (-len(text) % 4)
    try:
        return base64.b64encode(base64.b64decode(filled, alphabet, validate=True), alphabet).decode() == filled
    except ValueError:
        return False


def client_call(call_id: str, name: str, arguments: wire.Json, opaque: str | None) -> wire.Part:
    return wire.Part(function_call=wire.FunctionCall(call_id, name, arguments), thought_signature=signature(opaque))


def vendor_call(call_id: str, name: str, arguments: wire.Json, opaque: str | None) -> wire.Part:
    code, language = arguments.get("code"), arguments.get("language", "PYTHON")
    if name in CODE_TOOLS and isinstance(code, str) and language in PYTHON:
        return wire.Part(
            executable_code=wire.ExecutableCode(code, "PYTHON", call_id), thought_signature=signature(opaque)
        )
    if name in OWN_TOOLS:
        return wire.Part(tool_call=wire.ToolCall(name, arguments, call_id), thought_signature=signature(opaque))
    return wire.Part(
        tool_call=wire.ToolCall(wire.ANY_TOOL, arguments, call_id),
        thought_signature=signature(opaque),
        part_metadata=wire.PartMetadata(name),
    )


def broken_call(call_id: str, name: str, broken: wire.BrokenCall) -> wire.Part:
    """Of whomever's: a client must not run it."""
    return wire.Part(tool_call=wire.ToolCall(wire.ANY_TOOL, {}, call_id), part_metadata=wire.PartMetadata(name, broken))


def vendor_result(call: wire.Part, output: Any, *, is_error: bool) -> wire.Part:
    """Of a call as it was written."""
    if call.tool_call is not None:
        run = call.tool_call
        response = output if isinstance(output, dict) else {"error" if is_error else "result": output}
        return wire.Part(
            tool_response=wire.ToolResponse(run.tool_type, response, run.id), part_metadata=call.part_metadata
        )
    told = output if isinstance(output, dict) else {}
    outcome, text = told.get("outcome"), told.get("output", output)
    if not isinstance(outcome, str):
        outcome, text = "OUTCOME_FAILED" if is_error else "OUTCOME_OK", output
    if not isinstance(text, str):
        text = msgspec.json.encode(text).decode()
    code_id = call.executable_code and call.executable_code.id
    return wire.Part(code_execution_result=wire.CodeExecutionResult(outcome, text, code_id or None))


def file(url: str | None, media_type: str | None, name: str | None) -> wire.Part | None:
    """None for one that only the gateway can find."""
    if url is None:
        return None
    found = _DATA_URL.fullmatch(url)
    if found is None or not _is_base64(found[2], b"+/"):
        return wire.Part(file_data=wire.FileData(url, media_type, name))
    return wire.Part(inline_data=wire.Blob(found[2], media_type or found[1] or "application/octet-stream", name))


def grounding(sources: Sequence[Source], texts: Iterable[tuple[int | None, str]]) -> wire.GroundingMetadata | None:
    """`texts` are those of the answer in the order of its parts, by block."""
    if not sources:
        return None
    places: dict[int, tuple[int, str]] = {}
    said = 0
    for block, text in texts:
        if block is not None:
            places[block] = said, text
        said += len(text.encode())
    supports = [
        wire.GroundingSupport(segment, [number])
        for number, source in enumerate(sources)
        if (segment := _segment(source, places)) is not None
    ]
    return wire.GroundingMetadata([_chunk(source) for source in sources], supports or None)


def _chunk(source: Source) -> wire.GroundingChunk:
    if source.url is not None:
        return wire.GroundingChunk(web=wire.Place(source.url, None, source.title))
    return wire.GroundingChunk(retrieved_context=wire.Place(None, None, source.title or source.source_id, source.quote))


def _segment(source: Source, places: dict[int, tuple[int, str]]) -> wire.Segment | None:
    """Without offsets the source belongs to all of its block."""
    if source.block not in places:
        return None
    base, text = places[source.block]
    start = min(source.start or 0, len(text))
    end = len(text) if source.end is None else min(source.end, len(text))
    said = text[start:end]
    first = base + len(text[:start].encode())
    return wire.Segment(None, first, first + len(said.encode()), said) if said else None


def usage_metadata(usage: Usage | None) -> wire.UsageMetadata | None:
    if usage is None or (usage.input_tokens is None and usage.output_tokens is None):
        return None
    thoughts = usage.reasoning_tokens
    said = None if usage.output_tokens is None else max(usage.output_tokens - (thoughts or 0), 0)
    return wire.UsageMetadata(
        usage.input_tokens,
        said,
        thoughts,
        None,
        usage.cached_tokens,
        (usage.input_tokens or 0) + (usage.output_tokens or 0),
    )


def finish_reason(reason: FinishReason, raw: str | None) -> str:
    """The vendor's own word where it means the same."""
    if raw is not None and wire.FINISH_REASONS.get(raw) == reason:
        return raw
    return RAW[reason]


# --- a whole answer


def document(message: Message, model: str, *, shows_thoughts: bool) -> wire.Chunk:
    told = _Told(message, shows_thoughts=shows_thoughts)
    return wire.Chunk(
        candidates=[
            wire.Candidate(
                content=wire.Content(told.parts or [SILENCE], "model"),
                finish_reason=finish_reason(message.finish_reason or "other", message.raw_finish_reason),
                grounding_metadata=grounding(told.sources, told.texts),
                index=0,
            )
        ],
        usage_metadata=usage_metadata(message.usage),
        model_version=message.model or model,
        response_id=message.id,
    )


class _Told:
    """A message's parts in the wire's words, as far as it has them."""

    def __init__(self, message: Message, *, shows_thoughts: bool) -> None:
        self.parts: list[wire.Part] = []
        self.sources: list[Source] = []
        self.texts: list[tuple[int | None, str]] = []
        self._shows_thoughts = shows_thoughts
        self._pending = set(message.pending_tool_calls)
        self._run: dict[str, wire.Part] = {}
        self._answered = {part.tool_call_id for part in message.parts if isinstance(part, ToolResultPart)}
        for part in message.parts:
            self._tell(part)

    def _tell(self, part: object) -> None:
        match part:
            case TextPart(text):
                self.texts.append((part.block, text))
                self.parts.append(wire.Part(text=text, thought_signature=signature(part.signature)))
            case ReasoningPart(text):
                if self._shows_thoughts:
                    opaque = signature(part.signature)
                    self.parts.append(wire.Part(text=text, thought=True, thought_signature=opaque))
            case ToolCallPart():
                self._tell_call(part)
            case ToolResultPart(call, output, is_error) if call in self._run:
                self.parts.append(vendor_result(self._run[call], output, is_error=is_error))
            case FilePart() | ImagePart():
                written = file(part.url, part.media_type, part.name)
                self.parts += [written] if written is not None else []
            case SourcePart():
                fields = {name: getattr(part, name) for name in Source.__struct_fields__}
                self.sources.append(Source(**fields))
            case InputPart(prompt=str(prompt)):
                said = f"\n\n{prompt}" if self.texts else prompt
                self.texts.append((None, said))
                self.parts.append(wire.Part(text=said))
            case _:
                return

    def _tell_call(self, part: ToolCallPart) -> None:
        call, name, arguments = part.tool_call_id, part.name, part.arguments
        if part.status != "complete":
            broken = wire.BrokenCall(part.status, part.executor, part.raw_arguments or "")
            self._tell_run(call, broken_call(call, name, broken))
        elif part.executor == "client" or call in self._pending:
            self.parts.append(client_call(call, name, arguments, part.signature))
        elif part.executor == "vendor" or call in self._answered:
            self._tell_run(call, vendor_call(call, name, arguments, part.signature))

    def _tell_run(self, call: str, written: wire.Part) -> None:
        self._run[call] = written
        self.parts.append(written)

"""What the servers send, in every spelling at once, and the messages that we send.

    data: {"id", "model", "choices": [{"index", "delta": {...}, "finish_reason"}], "usage"}   a `Chunk`
    {"id", "model", "choices": [{"index", "message": {...}, "finish_reason"}], "usage"}       the whole answer, likewise

`TextChunk` is what nearly every chunk of a stream is: text and nothing else. Whatever else could mean something may
only be empty in it, so that one decode both reads the text and proves that there is no more. A chunk that does not fit
is read as a `Chunk`.
Source: openai (Python) 3.52 types; recordings of the servers in `servers.py`; read 2026-11.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

DONE = b"[DONE]"


# --- the usual chunk


class TextOnly(Struct, frozen=True, gc=False):
    content: str
    reasoning: Literal[""] | None = None
    reasoning_content: Literal[""] | None = None
    reasoning_details: tuple[()] | None = None
    refusal: Literal[""] | None = None
    tool_calls: tuple[()] | None = None
    function_call: None = None
    annotations: tuple[()] | None = None
    images: tuple[()] | None = None
    executed_tools: tuple[()] | None = None


class TextChoice(Struct, frozen=True):
    delta: TextOnly
    finish_reason: None = None
    index: Literal[0] = 0
    error: None = None
    usage: None = None


class TextChunk(Struct, frozen=True):
    choices: tuple[TextChoice]
    usage: None = None
    error: None = None
    citations: tuple[()] | None = None
    search_results: tuple[()] | None = None
    x_groq: None = None


# --- any chunk


class ContentPart(Struct, frozen=True):
    """Mistral's: `thinking` is a list of parts, of which only texts count."""

    type: str = "text"
    text: str | None = None
    thinking: "str | list[ContentPart] | None" = None


class Function(Struct, frozen=True):
    """`arguments` are a fragment of JSON text; a few servers send the object."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallFragment(Struct, frozen=True):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Detail(Struct, frozen=True, omit_defaults=True):
    """OpenRouter's: a piece of reasoning, or what a vendor signed or encrypted of it."""

    type: str = ""
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None


class Citation(Struct, frozen=True):
    """OpenAI's `url_citation`; Perplexity's search results are spelled almost as it is."""

    url: str | None = None
    title: str | None = None
    content: str | None = None
    snippet: str | None = None
    start_index: int | None = None
    end_index: int | None = None


class Annotation(Citation, frozen=True):
    """The citation stands below its type's name, or flat."""

    type: str = ""
    url_citation: Citation | None = None


class ImageUrl(Struct, frozen=True):
    url: str


class Image(Struct, frozen=True):
    image_url: ImageUrl


class Found(Struct, frozen=True):
    results: list[Citation] | None = None


class ExecutedTool(Struct, frozen=True):
    """Groq's: one that the vendor ran; told without its output first."""

    type: str
    index: int = 0
    arguments: str | None = None
    output: str | None = None
    search_results: Found | None = None


class Delta(Struct, frozen=True):
    content: str | list[ContentPart] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Detail] | None = None
    tool_calls: list[CallFragment] | None = None
    function_call: Function | None = None
    annotations: list[Annotation] | None = None
    images: list[Image] | None = None
    executed_tools: list[ExecutedTool] | None = None


class InputDetails(Struct, frozen=True):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class OutputDetails(Struct, frozen=True):
    reasoning_tokens: int | None = None


class Usage(Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    reasoning_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    cost: Any = None


class Choice(Struct, frozen=True):
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    index: int | None = None
    error: Any = None
    usage: Usage | None = None


class Groq(Struct, frozen=True):
    usage: Usage | None = None
    error: Any = None


class Chunk(Struct, frozen=True):
    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: Any = None
    id: str | None = None
    model: str | None = None
    object: str | None = None
    citations: list[str | Citation] | None = None
    search_results: list[Citation] | None = None
    x_groq: Groq | None = None


class Refusal(Struct, frozen=True):
    """An error body: `error` is an object or a text, or its fields stand flat; anything may stand in its place."""

    error: Any = None
    object: Any = None
    message: Any = None
    detail: Any = None
    type: Any = None
    code: Any = None
    status_code: Any = None


# --- what we send


class SentFunction(Struct, frozen=True):
    name: str
    arguments: str


class SentCall(Struct, frozen=True):
    id: str
    function: SentFunction
    type: Literal["function"] = "function"


class SentMessage(Struct, frozen=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None
    tool_calls: list[SentCall] | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET
    reasoning: str | UnsetType = UNSET
    reasoning_content: str | UnsetType = UNSET
    reasoning_details: list[Detail] | UnsetType = UNSET


decode_text = msgspec.json.Decoder(TextChunk).decode

"""Anthropic's Messages as they are spelled on the wire: what we send, and what comes back.

    Ask              the request; its messages hold `content.py`'s blocks
    Frame            one event of the stream; a block's start holds the block as raw JSON, decoded as `Started`
    Document         the answer where it is not streamed
    Refusal          an error, as a body and as an event

A delta is one flat Struct, because its type may be one that we do not know yet. Results of the vendor's own tools are
no `Started`: there is a type for each tool, `<tool>_tool_result`, all of the shape of `Outcome`.
Source: platform.claude.com/docs/en/api and the types of anthropic (Python) 2.12.0; read 2026-11.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType, field

from gateway.protocols.anthropic.content import Block, CacheControl

CallId = Annotated[str, Meta(min_length=1)]

OUTCOME = "_tool_result"
"""How the type of every result of a tool ends that the vendor runs."""


# --- what we send


class Said(Struct, frozen=True):
    role: Literal["user", "assistant"]
    content: list[Block]


class Tool(Struct, frozen=True, omit_defaults=True):
    name: str
    input_schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class ToolChoice(Struct, frozen=True, omit_defaults=True):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class ThinkingBase(Struct, frozen=True, tag_field="type", omit_defaults=True): ...


class ThinkingEnabled(ThinkingBase, frozen=True, tag="enabled"):
    budget_tokens: Annotated[int, Meta(ge=1024)]
    display: Literal["summarized", "omitted"] | None = None


class ThinkingAdaptive(ThinkingBase, frozen=True, tag="adaptive"):
    display: Literal["summarized", "omitted"] | None = None


class ThinkingDisabled(ThinkingBase, frozen=True, tag="disabled"): ...


class ThinkingBetweenTools(ThinkingBase, frozen=True, tag="between_tools"): ...


Thinking = ThinkingEnabled | ThinkingAdaptive | ThinkingDisabled | ThinkingBetweenTools

Effort = Literal["low", "medium", "high", "xhigh", "max"]


class OutputFormat(Struct, frozen=True, tag_field="type", tag="json_schema"):
    schema: dict[str, Any]


class OutputConfig(Struct, frozen=True, omit_defaults=True):
    effort: Effort | None = None
    format: OutputFormat | None = None


class Metadata(Struct, frozen=True, omit_defaults=True):
    user_id: str | None = None


class Ask(Struct, frozen=True, omit_defaults=True, kw_only=True):
    model: str
    max_tokens: int
    messages: list[Said]
    stream: bool = False
    system: str | None = None
    tools: list[Tool | dict[str, Any]] = []
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] = []
    metadata: Metadata | None = None
    service_tier: str | None = None
    speed: str | None = None
    container: str | dict[str, Any] | None = None
    inference_geo: str | None = None
    cache_control: CacheControl | None = None
    context_management: dict[str, Any] | None = None


# --- events


class Event(Struct, frozen=True, tag_field="type"): ...


class OutputDetails(Struct, frozen=True):
    thinking_tokens: int | None = None


class Usage(Struct, frozen=True):
    """Cumulative; `input_tokens` are those that no cache had to do with."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    output_tokens_details: OutputDetails | None = None


class Begun(Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    usage: Usage | None = None


class MessageStart(Event, frozen=True, tag="message_start"):
    message: Begun


class BlockStart(Event, frozen=True, tag="content_block_start"):
    index: int
    content_block: Raw


class Citation(Struct, frozen=True):
    """What is cited: a web page by `url`, a search result by `source`, a document by its title alone."""

    type: str
    cited_text: str | None = None
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None


class Delta(Struct, frozen=True):
    type: str
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None
    citation: Citation | None = None


class BlockDelta(Event, frozen=True, tag="content_block_delta"):
    index: int
    delta: Delta


class BlockStop(Event, frozen=True, tag="content_block_stop"):
    index: int


class Ending(Struct, frozen=True):
    stop_reason: str | None = None
    stop_details: Any = None


class MessageDelta(Event, frozen=True, tag="message_delta"):
    delta: Ending
    usage: Usage | None = None


class MessageStop(Event, frozen=True, tag="message_stop"): ...


class Ping(Event, frozen=True, tag="ping"): ...


class Error(Event, frozen=True, tag="error"):
    error: Any = None
    request_id: Any = None


Frame = MessageStart | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | Ping | Error


# --- blocks, as they begin


class TextStart(Event, frozen=True, tag="text"):
    text: str = ""
    citations: list[Citation] | None = None


class ThinkingStart(Event, frozen=True, tag="thinking"):
    thinking: str = ""
    signature: str = ""


class RedactedStart(Event, frozen=True, tag="redacted_thinking"):
    data: str


class Call(Event, frozen=True):
    id: CallId
    name: str
    input: Any = None


class ToolUseStart(Call, frozen=True, tag="tool_use"): ...


class ServerToolUseStart(Call, frozen=True, tag="server_tool_use"): ...


class McpToolUseStart(Call, frozen=True, tag="mcp_tool_use"): ...


class ContainerUpload(Event, frozen=True, tag="container_upload"):
    file_id: str


class Model(Struct, frozen=True):
    model: str | None = None


class Fallback(Event, frozen=True, tag="fallback"):
    """Another model goes on from here."""

    to: Model
    from_: Model | UnsetType = field(name="from", default=UNSET)


Started = (
    TextStart
    | ThinkingStart
    | RedactedStart
    | ToolUseStart
    | ServerToolUseStart
    | McpToolUseStart
    | ContainerUpload
    | Fallback
)


class Outcome(Struct, frozen=True):
    """The result of a tool that the vendor runs; `content` is an error where its type says so."""

    tool_use_id: CallId
    content: Any = None
    is_error: bool = False


# --- documents


class Document(Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_details: Any = None
    usage: Usage | None = None
    error: Any = None


class Refusal(Struct, frozen=True):
    """Anything may stand in the place of each."""

    error: Any = None
    request_id: Any = None

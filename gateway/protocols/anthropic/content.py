"""The blocks of a message's content, as a request holds them: what our translator writes and our dialect reads.

    text, image, document                  the user's, and text the assistant's too
    tool_use / tool_result                 a call of the client's tools, the assistant's; its result, the user's
    thinking, redacted_thinking            the assistant's, with the vendor's signature
    server_tool_use, mcp_tool_use, *_tool_result
                                           the vendor's own tools and what they gave, both in the assistant's message

A redacted thought is kept as a reasoning without a text, whose signature says what it is (`REDACTED`).
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

REDACTED = "redacted_thinking:"
"""Before the data of a redacted thought, in a signature; real ones are base64 and hold no colon."""


class CacheControl(Struct, frozen=True, omit_defaults=True):
    """A hint: what stands before it is kept for the next request."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class BlockBase(Struct, frozen=True, tag_field="type", omit_defaults=True, kw_only=True):
    """We never send a hint of one block; we read it."""

    cache_control: CacheControl | None = None


class SourceBase(Struct, frozen=True, tag_field="type"): ...


class Base64Source(SourceBase, frozen=True, tag="base64"):
    media_type: str
    data: str


class UrlSource(SourceBase, frozen=True, tag="url"):
    url: Annotated[str, Meta(min_length=1)]


class TextSource(SourceBase, frozen=True, tag="text"):
    data: str
    media_type: str = "text/plain"


class FileSource(SourceBase, frozen=True, tag="file"):
    file_id: Annotated[str, Meta(min_length=1)]


class TextBlock(BlockBase, frozen=True, tag="text"):
    text: str


class ContentSource(SourceBase, frozen=True, tag="content"):
    """A document in pieces, which we read alone."""

    content: str | list[TextBlock]


class ImageBlock(BlockBase, frozen=True, tag="image"):
    source: Base64Source | UrlSource | FileSource


class CitationsConfig(Struct, frozen=True):
    enabled: bool = False


class DocumentBlock(BlockBase, frozen=True, tag="document"):
    source: Base64Source | UrlSource | TextSource | FileSource | ContentSource
    title: str | None = None
    citations: CitationsConfig | None = None
    context: str | None = None


class ToolUse(BlockBase, frozen=True, tag="tool_use"):
    id: Annotated[str, Meta(min_length=1)]
    name: str
    input: dict[str, Any]


class ToolResult(BlockBase, frozen=True, tag="tool_result"):
    tool_use_id: Annotated[str, Meta(min_length=1)]
    content: str | list[dict[str, Any]] | None = None
    is_error: bool = False


class ThinkingBlock(BlockBase, frozen=True, tag="thinking"):
    thinking: str
    signature: str = ""


class RedactedThinking(BlockBase, frozen=True, tag="redacted_thinking"):
    data: str


Block = TextBlock | ImageBlock | DocumentBlock | ToolUse | ToolResult | ThinkingBlock | RedactedThinking


# --- what we read alone


class SearchResult(BlockBase, frozen=True, tag="search_result"):
    source: str
    title: str
    content: list[TextBlock]


class ContainerUpload(BlockBase, frozen=True, tag="container_upload"):
    file_id: Annotated[str, Meta(min_length=1)]


class VendorCall(BlockBase, frozen=True):
    id: Annotated[str, Meta(min_length=1)]
    name: str
    input: dict[str, Any] = {}


class ServerToolUse(VendorCall, frozen=True, tag="server_tool_use"): ...


class McpToolUse(VendorCall, frozen=True, tag="mcp_tool_use"): ...


class Outcome(BlockBase, frozen=True):
    """What a tool gave that the vendor ran."""

    tool_use_id: Annotated[str, Meta(min_length=1)]
    content: Any = None
    is_error: bool | None = None


class McpToolResult(Outcome, frozen=True, tag="mcp_tool_result"): ...


class WebSearchResult(Outcome, frozen=True, tag="web_search_tool_result"): ...


class WebFetchResult(Outcome, frozen=True, tag="web_fetch_tool_result"): ...


class CodeResult(Outcome, frozen=True, tag="code_execution_tool_result"): ...


class BashResult(Outcome, frozen=True, tag="bash_code_execution_tool_result"): ...


class EditorResult(Outcome, frozen=True, tag="text_editor_code_execution_tool_result"): ...


class ToolSearchResult(Outcome, frozen=True, tag="tool_search_tool_result"): ...


class AdvisorResult(Outcome, frozen=True, tag="advisor_tool_result"): ...


class Compaction(BlockBase, frozen=True, tag="compaction"): ...


class Fallback(BlockBase, frozen=True, tag="fallback"): ...


class ToolListing(BlockBase, frozen=True, tag="mcp_tool_listing"): ...


UserBlock = TextBlock | ImageBlock | DocumentBlock | ToolResult | SearchResult | ContainerUpload

AssistantBlock = (
    TextBlock
    | ThinkingBlock
    | RedactedThinking
    | ToolUse
    | ServerToolUse
    | McpToolUse
    | McpToolResult
    | WebSearchResult
    | WebFetchResult
    | CodeResult
    | BashResult
    | EditorResult
    | ToolSearchResult
    | AdvisorResult
    | ContainerUpload
    | Compaction
    | Fallback
    | ToolListing
)

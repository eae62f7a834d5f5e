"""What Gemini's generateContent speaks, as far as it is read or written; one shape serves both ways and both doors.

    GenerateContent   the body of a request
    Chunk             a whole answer, or one increment of it in a stream
    Content, Part     one message, and what it consists of: exactly one of the fields that are data, with its flags

Any field may be absent, and some are null. JSON schemas and tools that the vendor runs pass through as they are.
Source: google-genai (Python) 3.4.0 `types.py`, ai.google.dev/api/generate-content; read 2026-11.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.canonical.events import Executor, FinishReason, ToolCallStatus

Json = dict[str, Any]

FINISH_REASONS: dict[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "LANGUAGE": "content_filter",
}

ANY_TOOL = "TOOL_TYPE_UNSPECIFIED"
CODE_EXECUTION = "code_execution"
"""What the tool is called that runs `executableCode`."""

RAN_WELL = frozenset({"OUTCOME_OK", "OUTCOME_UNSPECIFIED"})


class Camel(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Spelled in camel case; absent fields are left out."""


class PartialArg(Camel, frozen=True):
    """A value at a place within a call's arguments; `will_continue`: more of the same text follows."""

    json_path: str
    string_value: str | None = None
    number_value: int | float | None = None
    bool_value: bool | None = None
    null_value: str | UnsetType | None = UNSET
    will_continue: bool | None = None


class FunctionCall(Camel, frozen=True):
    """Whole, or begun with `will_continue`, grown by `partial_args` and ended by an empty one."""

    id: str | None = None
    name: str | None = None
    args: Json | None = None
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class FunctionResponse(Camel, frozen=True):
    """`parts` are what it gives beside its response, images and the like."""

    response: Json
    name: str | None = None
    id: str | None = None
    parts: list[Json] | None = None


class ExecutableCode(Camel, frozen=True):
    code: str
    language: str = "LANGUAGE_UNSPECIFIED"
    id: str | None = None


class CodeExecutionResult(Camel, frozen=True):
    outcome: str = "OUTCOME_UNSPECIFIED"
    output: str | None = None
    id: str | None = None


class ToolCall(Camel, frozen=True):
    """A tool that the vendor runs."""

    tool_type: str
    args: Json | None = None
    id: str | None = None


class ToolResponse(Camel, frozen=True):
    tool_type: str | None = None
    response: Json | None = None
    id: str | None = None


class Blob(Camel, frozen=True):
    """`data` is base64."""

    data: str
    mime_type: str | None = None
    display_name: str | None = None


class FileData(Camel, frozen=True):
    file_uri: str
    mime_type: str | None = None
    display_name: str | None = None


class BrokenCall(Camel, frozen=True):
    """What became of a call's arguments."""

    status: ToolCallStatus
    executor: Executor
    raw_arguments: str


class PartMetadata(Camel, frozen=True):
    """Where clients may keep what is theirs: the gateway writes here what the wire has no field for."""

    gateway_tool_name: str | None = None
    gateway_broken_call: BrokenCall | None = None


class Part(Camel, frozen=True):
    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    executable_code: ExecutableCode | None = None
    code_execution_result: CodeExecutionResult | None = None
    tool_call: ToolCall | None = None
    tool_response: ToolResponse | None = None
    part_metadata: PartMetadata | None = None

    @property
    def says(self) -> bool:
        """Whether it is more than a signature."""
        told = self.function_call, self.inline_data, self.file_data, self.executable_code, self.code_execution_result
        return bool(self.text or any(told) or self.tool_call or self.tool_response)

    @property
    def tool_name(self) -> str | None:
        """Of a tool that the vendor runs."""
        run = self.tool_call or self.tool_response
        kind = None if run is None else run.tool_type
        if kind == ANY_TOOL and self.part_metadata is not None:
            return self.part_metadata.gateway_tool_name or kind
        return kind


class Content(Camel, frozen=True):
    parts: list[Part] | None = None
    role: str | None = None


# --- answers


class Place(Camel, frozen=True):
    """One thing that an answer is grounded on, of whatever kind."""

    uri: str | None = None
    source_uri: str | None = None
    title: str | None = None
    text: str | None = None


class GroundingChunk(Camel, frozen=True):
    web: Place | None = None
    retrieved_context: Place | None = None
    maps: Place | None = None
    image: Place | None = None


class Segment(Camel, frozen=True):
    """Offsets count bytes of UTF-8."""

    part_index: int | None = None
    start_index: int = 0
    end_index: int | None = None
    text: str | None = None


class GroundingSupport(Camel, frozen=True):
    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class GroundingMetadata(Camel, frozen=True):
    grounding_chunks: list[GroundingChunk] | None = None
    grounding_supports: list[GroundingSupport] | None = None


class Citation(Camel, frozen=True):
    start_index: int = 0
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None


class CitationMetadata(Camel, frozen=True):
    citations: list[Citation] | None = None
    citation_sources: list[Citation] | None = None


class UrlMetadata(Camel, frozen=True):
    retrieved_url: str | None = None
    url_retrieval_status: str | None = None


class UrlContextMetadata(Camel, frozen=True):
    url_metadata: list[UrlMetadata] | None = None


class Candidate(Camel, frozen=True):
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    grounding_metadata: GroundingMetadata | None = None
    citation_metadata: CitationMetadata | None = None
    url_context_metadata: UrlContextMetadata | None = None
    index: int | None = None


class PromptFeedback(Camel, frozen=True):
    block_reason: str | None = None
    block_reason_message: str | None = None


class UsageMetadata(Camel, frozen=True):
    """Cumulative. The cached part is within the prompt; thoughts and the prompts of tools are beside the others."""

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    total_token_count: int | None = None


class Chunk(Camel, frozen=True):
    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None


# --- requests


class FunctionDeclaration(Camel, frozen=True):
    """`parameters` is the vendor's own kind of schema, `parameters_json_schema` the usual one."""

    name: str
    description: str | None = None
    parameters: Json | None = None
    parameters_json_schema: Json | None = None


class FunctionCallingConfig(Camel, frozen=True):
    mode: str | None = None
    allowed_function_names: list[str] | None = None
    stream_function_call_arguments: bool | None = None


class ToolConfig(Camel, frozen=True):
    function_calling_config: FunctionCallingConfig | None = None
    retrieval_config: Json | None = None
    include_server_side_tool_invocations: bool | None = None


class ThinkingConfig(Camel, frozen=True):
    include_thoughts: bool | None = None
    thinking_budget: int | None = None
    thinking_level: str | None = None


class MoreGeneration(Camel, frozen=True, forbid_unknown_fields=True):
    """Of `generationConfig`: what no other vendor has."""

    top_k: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_modalities: list[str] | None = None
    thinking_config: ThinkingConfig | None = None
    media_resolution: str | None = None
    speech_config: Json | None = None
    image_config: Json | None = None
    response_logprobs: bool | None = None
    logprobs: int | None = None
    response_mime_type: str | None = None
    enable_enhanced_civic_answers: bool | None = None


class GenerationConfig(MoreGeneration, frozen=True, forbid_unknown_fields=False):
    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop_sequences: list[str] | None = None
    candidate_count: int | None = None
    seed: int | None = None
    response_schema: Json | None = None
    response_json_schema: Json | None = None


class GenerateContent(Camel, frozen=True):
    contents: list[Content]
    system_instruction: Content | None = None
    tools: list[Json] | None = None
    tool_config: ToolConfig | None = None
    generation_config: GenerationConfig | None = None
    safety_settings: list[Json] | None = None
    cached_content: str | None = None
    labels: dict[str, str] | None = None
    service_tier: str | None = None
    store: bool | None = None


class GeminiOptions(Camel, frozen=True, forbid_unknown_fields=True):
    """`vendor_options.gemini`, spelled as the vendor spells it; `tools` are those that the vendor runs."""

    tools: list[Json] = []
    tool_config: ToolConfig | None = None
    generation_config: MoreGeneration | None = None
    safety_settings: list[Json] | None = None
    cached_content: str | None = None
    labels: dict[str, str] | None = None
    service_tier: str | None = None
    store: bool | None = None


encode = msgspec.json.Encoder().encode

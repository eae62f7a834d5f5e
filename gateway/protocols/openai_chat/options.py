"""Fields of a request that have no canonical name: what `vendor_options` may hold, and what a client's own body may.

Those of single servers stand last: OpenRouter, vLLM, Mistral, Perplexity, DeepSeek.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Json = dict[str, Any]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Bias = Annotated[float, Meta(ge=-100, le=100)]


class Extras(Struct, frozen=True, omit_defaults=True, kw_only=True):
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, Bias] | None = None
    parallel_tool_calls: bool | None = None
    prediction: Json | None = None
    prompt_cache_key: str | None = None
    service_tier: str | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    web_search_options: Json | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    top_k: int | None = None
    plugins: list[Json] | None = None
    provider: Json | None = None
    reasoning: Json | None = None
    chat_template_kwargs: Json | None = None
    safe_prompt: bool | None = None
    search_domain_filter: list[str] | None = None
    search_mode: str | None = None
    search_recency_filter: str | None = None
    thinking: Json | None = None


class ChatOptions(Extras, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`reasoning_effort` goes before the canonical one: servers know more words for it."""

    reasoning_effort: str | None = None
    store: bool | None = None

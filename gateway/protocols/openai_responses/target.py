"""What a configuration says of an OpenAI Responses target, and what a client may ask of it by `vendor_options`.

`SERVERS` are the servers that speak Responses, as rows: what each of them takes.
Source: their manuals (platform.openai.com, learn.microsoft.com, openrouter.ai, docs.x.ai, lmstudio.ai), read 2026-11.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct


class Server(Struct, frozen=True):
    """`key_header`: where its key goes. `seals_reasoning`: it gives encrypted reasoning when asked for it."""

    key_header: str = "Authorization"
    user_field: Literal["safety_identifier", "user"] | None = "safety_identifier"
    takes_metadata: bool = True
    seals_reasoning: bool = True


SERVERS: dict[str, Server] = {
    "openai": Server(),
    "azure": Server(key_header="api-key", user_field="user"),
    "openrouter": Server(user_field="user"),
    "xai": Server(user_field="user", takes_metadata=False),
    "copilot": Server(user_field=None, takes_metadata=False),
    "local": Server(user_field=None, takes_metadata=False, seals_reasoning=False),
}
"""`local`: LM Studio, Ollama, vLLM, llama.cpp."""

ServerName = Literal["openai", "azure", "openrouter", "xai", "copilot", "local"]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Summary = Literal["auto", "concise", "detailed"]

LEADING_OUT = ("server_url", "connector_id", "authorization", "headers")
"""Fields of a tool by which its vendor would call any address, or with any credential: a configuration's to give."""

Count = Annotated[int, Meta(ge=1)]


class Target(Struct, frozen=True, forbid_unknown_fields=True):
    """`tools` are those that the vendor runs, such as `{"type": "web_search"}`, for every turn.

    `upstream_stream` off: an answer that the client does not stream is asked for as one document.
    """

    model: Annotated[str, Meta(min_length=1, max_length=256)]
    server: ServerName = "openai"
    upstream_stream: bool = True
    max_output_tokens: Count | None = None
    reasoning_effort: Effort | None = None
    reasoning_summary: Summary | None = None
    tools: list[dict[str, Any]] = []


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of a request that have no canonical one. `tools` and `tool_choice` name what is no function.

    No tool has a field of `LEADING_OUT`.
    """

    include: list[str] = []
    tools: list[dict[str, Any]] = []
    tool_choice: dict[str, Any] | None = None
    reasoning_effort: Effort | None = None
    reasoning_summary: Summary | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Count | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    prompt: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    context_management: list[dict[str, Any]] = []
    moderation: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        for tool in self.tools:
            if (field := leads_out(tool)) is not None:
                raise ValueError(f"a tool may not have `{field}`")


def leads_out(tool: dict[str, Any]) -> str | None:
    """The field of a tool that no client may give."""
    return next((field for field in LEADING_OUT if field in tool), None)

"""The servers that speak this wire, each as one row: how its requests differ from OpenAI's own.

Answers need no row: they are read in every spelling at once. `compatible` is the row for a server that is not listed.

    max_tokens      what the cap on the answer is called
    include_usage   whether `stream_options` is known; else usage comes unasked
    system_role     what instructions are called
    effort          how reasoning is asked for: a word, OpenRouter's object, DeepSeek's switch
    reasoning_back  where earlier reasoning goes: `tool loop` fields only behind the last user message
    formats         the kinds of `response_format` that are known
    images, files   whether they are taken as data, and by URL

Source: platform.openai.com, learn.microsoft.com (Azure), docs.vllm.ai, docs.ollama.com/openai, console.groq.com/docs,
api-docs.deepseek.com, openrouter.ai/docs, docs.mistral.ai, docs.perplexity.ai, docs.x.ai, lmstudio.ai/docs,
docs.litellm.ai; read 2026-11.
"""

from typing import Literal

from msgspec import Struct

ServerName = Literal[
    "openai",
    "azure",
    "vllm",
    "ollama",
    "groq",
    "deepseek",
    "openrouter",
    "mistral",
    "perplexity",
    "xai",
    "lm_studio",
    "litellm",
    "compatible",
]

Way = Literal["data", "url"]

BOTH_WAYS: frozenset[Way] = frozenset({"data", "url"})
AS_DATA: frozenset[Way] = frozenset({"data"})
BY_URL: frozenset[Way] = frozenset({"url"})
NO_WAY: frozenset[Way] = frozenset()

Format = Literal["json_object", "json_schema"]
ALL_FORMATS: frozenset[Format] = frozenset({"json_object", "json_schema"})
SCHEMA_ALONE: frozenset[Format] = frozenset({"json_schema"})
OBJECT_ALONE: frozenset[Format] = frozenset({"json_object"})


class Server(Struct, frozen=True, kw_only=True):
    key_header: Literal["Authorization", "api-key"] = "Authorization"
    keyless: bool = False
    model_in_path: bool = False
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    include_usage: bool = True
    system_role: Literal["system", "developer"] = "system"
    effort: Literal["reasoning_effort", "reasoning", "thinking"] = "reasoning_effort"
    reasoning_back: Literal["reasoning_content", "reasoning", "reasoning_details", "thinking"] | None = None
    user: Literal["user", "safety_identifier"] | None = None
    seed: Literal["seed", "random_seed"] = "seed"
    formats: frozenset[Format] = ALL_FORMATS
    takes_tools: bool = True
    strict_tools: bool = False
    short_call_ids: bool = False
    images: frozenset[Way] = BOTH_WAYS
    files: frozenset[Way] = NO_WAY
    file_part: Literal["file", "document_url"] = "file"
    takes_audio: bool = False
    think_tags: bool = False


SERVERS: dict[ServerName, Server] = {
    "openai": Server(
        max_tokens="max_completion_tokens",
        system_role="developer",
        user="safety_identifier",
        strict_tools=True,
        files=AS_DATA,
        takes_audio=True,
    ),
    "azure": Server(
        key_header="api-key",
        model_in_path=True,
        max_tokens="max_completion_tokens",
        user="user",
        strict_tools=True,
        files=AS_DATA,
        takes_audio=True,
    ),
    "vllm": Server(
        keyless=True, reasoning_back="reasoning", user="user", strict_tools=True, takes_audio=True, think_tags=True
    ),
    "ollama": Server(keyless=True, reasoning_back="reasoning", images=AS_DATA, think_tags=True),
    "groq": Server(max_tokens="max_completion_tokens", reasoning_back="reasoning", user="user", strict_tools=True),
    "deepseek": Server(effort="thinking", reasoning_back="reasoning_content", formats=OBJECT_ALONE, images=NO_WAY),
    "openrouter": Server(
        effort="reasoning",
        reasoning_back="reasoning_details",
        user="user",
        strict_tools=True,
        files=BOTH_WAYS,
        takes_audio=True,
    ),
    "mistral": Server(
        include_usage=False,
        reasoning_back="thinking",
        seed="random_seed",
        strict_tools=True,
        short_call_ids=True,
        files=BY_URL,
        file_part="document_url",
    ),
    "perplexity": Server(include_usage=False, formats=SCHEMA_ALONE, takes_tools=False),
    "xai": Server(max_tokens="max_completion_tokens", reasoning_back="reasoning_content", user="user"),
    "lm_studio": Server(keyless=True, formats=SCHEMA_ALONE, images=AS_DATA, think_tags=True),
    "litellm": Server(
        reasoning_back="reasoning_content", user="user", strict_tools=True, files=AS_DATA, takes_audio=True
    ),
    "compatible": Server(keyless=True, user="user"),
}

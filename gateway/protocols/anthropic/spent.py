"""What an answer has cost so far: Anthropic's usage is cumulative, and each event tells a part of it anew.

    input_tokens + cache_read_input_tokens + cache_creation_input_tokens     input_tokens
    cache_read_input_tokens, cache_creation_input_tokens                     cached_tokens, cache_write_tokens
    output_tokens, output_tokens_details.thinking_tokens                     output_tokens, reasoning_tokens

Source: platform.claude.com/docs/en/api, read 2026-11.
"""

import msgspec

from gateway.canonical.events import UsageReported
from gateway.protocols.anthropic import wire


class Spent:
    def __init__(self) -> None:
        self._usage = wire.Usage()

    def report(self, usage: wire.Usage | None) -> tuple[UsageReported, ...]:
        """The whole, where this tells something new of it."""
        if usage is None:
            return ()
        present = {name: value for name, value in msgspec.structs.asdict(usage).items() if value is not None}
        merged = msgspec.structs.replace(self._usage, **present)
        if merged == self._usage:
            return ()
        self._usage = merged
        return (_normalised(merged),)


def _normalised(usage: wire.Usage) -> UsageReported:
    parts = (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens)
    known = [part for part in parts if part is not None]
    return UsageReported(
        input_tokens=sum(known) if known else None,
        output_tokens=usage.output_tokens,
        reasoning_tokens=usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else None,
        cached_tokens=usage.cache_read_input_tokens,
        cache_write_tokens=usage.cache_creation_input_tokens,
    )

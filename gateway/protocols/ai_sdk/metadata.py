"""The metadata of a message: the protocol has no field for usage or a model, so its servers tell them here.

    merge(old, new)    deep, as the AI SDK's clients merge it
    usage(metadata)    below `usage` or `totalUsage`, or in the metadata itself
                       inputTokens, inputTokenDetails {cacheReadTokens, cacheWriteTokens}     versions 6 and 7
                       outputTokens, outputTokenDetails {reasoningTokens}
                       cachedInputTokens, reasoningTokens                                     version 5
                       promptTokens, completionTokens                                         version 4, still copied
    model(metadata)    `model` or `modelId`
    told(usage)        as our own dialect writes it: with the names of version 5, which all of them know

Each server's author names these fields at will; what is in none of these forms is not read.
Source: ai 5.0.277, 6.0.326, 7.0.173, `LanguageModelUsage`, read 2026-11.
"""

import math
from collections.abc import Iterator
from typing import Any

from gateway.canonical.events import Usage

_PLACES = ("totalUsage", "usage")
_MODEL = ("model", "modelId")


def merge(old: Any, new: Any) -> Any:
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {**old, **{name: merge(old.get(name), value) for name, value in new.items()}}


def usage(metadata: Any) -> Usage | None:
    """None where nothing is told."""
    if not isinstance(metadata, dict):
        return None
    places = [metadata[name] for name in _PLACES if isinstance(metadata.get(name), dict)]
    for place in (*places, metadata):
        found = _usage(place)
        if found != Usage():
            return found
    return None


def _usage(told: dict[str, Any]) -> Usage:
    into = {**told, **dict(_details(told))}
    credits_used = _number(into, "credits")
    return Usage(
        input_tokens=_count(into, "inputTokens", "promptTokens"),
        output_tokens=_count(into, "outputTokens", "completionTokens"),
        reasoning_tokens=_count(into, "reasoningTokens"),
        cached_tokens=_count(into, "cacheReadTokens", "cachedInputTokens"),
        cache_write_tokens=_count(into, "cacheWriteTokens"),
        credits=credits_used,
    )


def _details(told: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in ("inputTokenDetails", "outputTokenDetails"):
        details = told.get(name)
        if isinstance(details, dict):
            yield from details.items()


def _count(told: dict[str, Any], *names: str) -> int | None:
    for name in names:
        number = _number(told, name)
        if number is not None:
            return int(number)
    return None


def _number(told: dict[str, Any], name: str) -> float | None:
    number = told.get(name)
    if not isinstance(number, (int, float)) or isinstance(number, bool):
        return None
    return number if 0 <= number < MAX_COUNT and math.isfinite(number) else None


MAX_COUNT = 2**53


def model(metadata: Any) -> str | None:
    if not isinstance(metadata, dict):
        return None
    return next((name for field in _MODEL if isinstance(name := metadata.get(field), str) and name), None)


def told(used: Usage) -> dict[str, Any]:
    known = {
        "inputTokens": used.input_tokens,
        "outputTokens": used.output_tokens,
        "totalTokens": _total(used),
        "reasoningTokens": used.reasoning_tokens,
        "cachedInputTokens": used.cached_tokens,
        "cacheWriteTokens": used.cache_write_tokens,
        "credits": used.credits,
        "estimated": used.estimated or None,
        "partial": used.partial or None,
    }
    return {name: value for name, value in known.items() if value is not None}


def _total(used: Usage) -> int | None:
    if used.input_tokens is None or used.output_tokens is None:
        return None
    return used.input_tokens + used.output_tokens

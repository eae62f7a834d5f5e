"""Usage and model, wherever a server's author put them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.events import Usage
from gateway.protocols.ai_sdk import metadata

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["usage", "totalUsage", "inputTokens", "model", "a"]), inner, max_size=3)
    ),
)


@pytest.mark.parametrize(
    ("told", "read"),
    [
        (
            {"totalUsage": {"inputTokens": 12, "outputTokens": 7, "reasoningTokens": 2, "cachedInputTokens": 4}},
            Usage(12, 7, 2, 4),
        ),
        (
            {
                "usage": {
                    "inputTokens": 12,
                    "inputTokenDetails": {"noCacheTokens": 8, "cacheReadTokens": 4, "cacheWriteTokens": 1},
                    "outputTokens": 7,
                    "outputTokenDetails": {"textTokens": 5, "reasoningTokens": 2},
                }
            },
            Usage(12, 7, 2, 4, 1),
        ),
        ({"usage": {"promptTokens": 3, "completionTokens": 1}}, Usage(3, 1)),
        ({"inputTokens": 3, "credits": 0.5}, Usage(3, credits=0.5)),
        ({"totalUsage": {}, "usage": {"inputTokens": 1}}, Usage(1)),
        ({"usage": 7, "inputTokenDetails": 7}, None),
        ({"usage": {"inputTokens": True, "outputTokens": "7", "reasoningTokens": -1}}, None),
        ({"usage": {"inputTokens": float("nan"), "outputTokens": 2**60}}, None),
        ({"createdAt": 1}, None),
        ([1], None),
        (None, None),
    ],
)
def test_usage_is_read_in_each_of_its_forms(told: Any, read: Usage | None) -> None:
    assert metadata.usage(told) == read


@pytest.mark.parametrize(
    ("told", "read"),
    [
        ({"model": "a", "modelId": "b"}, "a"),
        ({"model": "", "modelId": "b"}, "b"),
        ({"model": 7}, None),
        ({}, None),
        ("model", None),
    ],
)
def test_the_model_is_read_by_either_name(told: Any, read: str | None) -> None:
    assert metadata.model(told) == read


@pytest.mark.parametrize(
    ("old", "new", "merged"),
    [
        (None, {"a": 1}, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3}, "d": 4}, {"a": {"b": 3, "c": 2}, "d": 4}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}),
        ({"a": 1}, "text", "text"),
    ],
)
def test_metadata_is_merged_deeply(old: Any, new: Any, merged: Any) -> None:
    assert metadata.merge(old, new) == merged


@given(JSON)
def test_any_metadata_can_be_read(told: Any) -> None:
    metadata.usage(metadata.merge({"usage": {"inputTokens": 1}}, told))
    metadata.model(told)


@pytest.mark.parametrize(
    ("used", "told"),
    [
        (Usage(), {}),
        (Usage(3, partial=True), {"inputTokens": 3, "partial": True}),
        (
            Usage(12, 7, 2, 4, 1, 0.5, estimated=True),
            {
                "inputTokens": 12,
                "outputTokens": 7,
                "totalTokens": 19,
                "reasoningTokens": 2,
                "cachedInputTokens": 4,
                "cacheWriteTokens": 1,
                "credits": 0.5,
                "estimated": True,
            },
        ),
    ],
)
def test_usage_is_told_by_the_names_that_all_versions_know(used: Usage, told: dict[str, Any]) -> None:
    assert metadata.told(used) == told

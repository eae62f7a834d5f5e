"""Anthropic's translator against its simulator: both were written from its documentation, apart from each other."""

from typing import Any

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Source, TextCompleted, ToolCallCompleted, ToolResult
from gateway.canonical.message import ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from gateway.canonical.turn import HistoryMessage, Parameters, Tool
from gateway.protocols.anthropic.asking import AnthropicOptions, AnthropicTarget
from gateway.protocols.anthropic.plays import PLAYS, REFUSALS
from gateway.protocols.anthropic.simulator import AnthropicSimulator
from gateway.protocols.anthropic.translator import AnthropicTranslator
from gateway.protocols.base import Credentials
from tests.support.simulating import Meeting
from tests.support.translating import Told, lawful

ENDINGS = {
    "": "stop",
    "thinking": "stop",
    "redacted": "stop",
    "tool": "tool_calls",
    "two-tools": "tool_calls",
    "no-arguments": "tool_calls",
    "web-search": "stop",
    "web-fetch-error": "stop",
    "mcp": "stop",
    "documents": "stop",
    "file": "stop",
    "length": "length",
    "context-window": "length",
    "stop-sequence": "stop",
    "pause": "other",
    "refusal": "content_filter",
    "refused": "content_filter",
    "fallback": "stop",
    "new-things": "stop",
    "reason-to-come": "other",
    "late": "stop",
    "overloaded-first": "upstream_unavailable",
    "overloaded": "upstream_unavailable",
    "api-error": "upstream_unavailable",
    "rate-limit-error": "upstream_rate_limited",
    "started-twice": "stop",
    "spliced": "upstream_protocol",
    "cut": "upstream_protocol",
    "reset": "upstream_protocol",
    "bad-request": "upstream_rejected",
    "too-long": "context_too_long",
    "filtered": "content_filtered",
    "no-credit": "quota_exhausted",
    "unauthorized": "upstream_auth",
    "billing": "quota_exhausted",
    "forbidden": "upstream_auth",
    "no-model": "upstream_not_found",
    "too-large": "context_too_long",
    "conflict": "upstream_unavailable",
    "rate-limited": "upstream_rate_limited",
    "spend-limit": "quota_exhausted",
    "internal": "upstream_unavailable",
    "timeout": "upstream_timeout",
    "too-busy": "upstream_unavailable",
    "proxy": "upstream_unavailable",
}


def meet(simulator: AnthropicSimulator | None = None, **settings: Any) -> Meeting[AnthropicTranslator]:
    translator = AnthropicTranslator(AnthropicTarget("claude-simulated", **settings), Blocks(Numbering()))
    return Meeting(simulator or AnthropicSimulator(), translator, Credentials({"api_key": "k"}))


def ask(text: str, *, stream: bool = True, **fields: Any) -> Told:
    return meet(upstream_stream=stream).talk([TextPart(text)], stream=stream, **fields)


def ending(text: str, *, stream: bool = True) -> str:
    try:
        told = ask(text, stream=stream)
    except GatewayError as error:
        return error.code
    lawful(told)
    return str(getattr(told[-1], "finish_reason", told[-1]))


def test_every_play_has_an_ending() -> None:
    assert set(ENDINGS) == {"", *PLAYS, *REFUSALS}


@pytest.mark.parametrize("play", ENDINGS)
def test_the_translator_understands_what_the_simulator_plays(play: str) -> None:
    assert ending(f"[play:{play}] Explain it" if play else "Explain it") == ENDINGS[play]


@pytest.mark.parametrize("play", ["", *(name for name, play in PLAYS.items() if play.ends and name != "spliced")])
def test_a_document_is_understood_as_the_stream_is(play: str) -> None:
    assert ending(f"[play:{play}] Explain it", stream=False) == ENDINGS[play]


@pytest.mark.parametrize("play", ["", "web-search", "web-fetch-error", "mcp", "two-tools", "documents"])
def test_a_stream_and_a_document_say_the_same(play: str) -> None:
    def gist(told: Told) -> list[Any]:
        return [event for event in told if isinstance(event, (TextCompleted, ToolCallCompleted, ToolResult, Source))]

    streamed, whole = gist(ask(f"[play:{play}] hi")), gist(ask(f"[play:{play}] hi", stream=False))
    assert sorted(map(repr, streamed)) == sorted(map(repr, whole))
    assert streamed


def test_what_was_called_thought_and_answered_is_taken_back() -> None:
    simulator = AnthropicSimulator()
    first = meet(simulator).talk([TextPart("[play:two-tools] hi")], tools=[Tool("lookup_order"), Tool("get_weather")])
    calls = [event for event in first if isinstance(event, ToolCallCompleted)]
    said = HistoryMessage(
        "assistant",
        [
            ReasoningPart("Hm", signature="EqQBsig"),
            *(ToolCallPart(call.tool_call_id, call.name, call.arguments, executor="client") for call in calls),
        ],
    )
    told = meet(simulator).talk(
        [TextPart("so?"), *(ToolResultPart(call.tool_call_id, {"n": 1}) for call in calls)],
        missed=[HistoryMessage("user", [TextPart("hi")]), said],
        instructions="Be brief.",
        parameters=Parameters(temperature=0.5, reasoning_effort="low", stop=["END"]),
        options=AnthropicOptions(top_k=3),
        user_id="u-1",
    )
    assert [event.text for event in told if isinstance(event, TextCompleted)] == ['The tools say {"n":1}, {"n":1}.']


def test_the_newer_version_is_spoken_too() -> None:
    told = meet(version="2026-10-21", thinking="budget").talk(
        [TextPart("hi")], parameters=Parameters(reasoning_effort="high")
    )
    assert getattr(told[-1], "finish_reason", None) == "stop"


def test_ids_and_model_are_learned() -> None:
    meeting = meet()
    meeting.talk()
    assert (meeting.translator.vendor_ids, meeting.translator.model) == (
        {"message": "msg_00000001"},
        "claude-simulated",
    )

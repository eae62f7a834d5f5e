"""The translator against the simulator, which shares no code with it: every request is one that the vendor takes."""

from typing import Any

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    MessageCanceled,
    MessageCompleted,
    Notice,
    Source,
    TextCompleted,
    ToolCallCompleted,
    UsageReported,
)
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import AskPart, HistoryMessage, NamedTool, Parameters, ResponseFormat, Tool
from gateway.protocols.base import Credentials
from gateway.protocols.gemini import GEMINI
from gateway.protocols.gemini.plays import PLAYS, REFUSALS
from gateway.protocols.gemini.simulator import GeminiSimulator
from gateway.protocols.gemini.translator import GeminiTarget, GeminiTranslator
from tests.support.simulating import Meeting
from tests.support.translating import Told, lawful

ENDINGS = {
    "": "stop",
    "plain": "stop",
    "thinking": "stop",
    "signed-thought": "stop",
    "tool": "tool_calls",
    "tools": "tool_calls",
    "tools-one-by-one": "tool_calls",
    "tool-no-args": "tool_calls",
    "streamed-tool": "tool_calls",
    "streamed-tool-no-end": "tool_calls",
    "streamed-tool-cut": "length",
    "code": "stop",
    "code-fails": "stop",
    "search-steps": "stop",
    "grounded": "stop",
    "cited": "stop",
    "url-context": "stop",
    "image": "stop",
    "empty-chunks": "stop",
    "unknown-part": "stop",
    "legacy": "stop",
    "trailers": "stop",
    "cached": "stop",
    "heartbeats": "stop",
    "length": "length",
    "safety": "content_filter",
    "recitation": "content_filter",
    "blocked": "content_filter",
    "other": "other",
    "malformed-call": "upstream_protocol",
    "missing-signature": "upstream_protocol",
    "empty": "stop",
    "cut": "upstream_protocol",
    "error-first": "upstream_unavailable",
    "error": "upstream_unavailable",
    "error-lines": "upstream_unavailable",
    "error-list": "upstream_unavailable",
    "canceled": "canceled",
    "rate-limited": "upstream_rate_limited",
    "rate-limited-bare": "upstream_rate_limited",
    "quota": "quota_exhausted",
    "invalid-key": "upstream_auth",
    "unauthenticated": "upstream_auth",
    "forbidden": "upstream_auth",
    "precondition": "upstream_auth",
    "invalid": "upstream_rejected",
    "too-long": "context_too_long",
    "model-not-found": "upstream_not_found",
    "internal": "upstream_unavailable",
    "overloaded": "upstream_unavailable",
    "deadline": "upstream_timeout",
}

NO_DOCUMENT = {"cut", "error-first", "error", "error-lines", "error-list", "canceled"}
"""Plays of what only a stream can do."""


def meet(play: str = "", *, model: str = "gemini-3-pro", **settings: Any) -> Meeting[GeminiTranslator]:
    translator = GeminiTranslator(GeminiTarget(model, **settings), Blocks(Numbering()))
    return Meeting(GeminiSimulator(play), translator, Credentials({"api_key": "k"}))


def end(told: Told) -> str:
    events = [event for event in told if not isinstance(event, Notice)]
    last = events[-1]
    assert isinstance(last, (MessageCompleted, MessageCanceled))
    return last.finish_reason if isinstance(last, MessageCompleted) else "canceled"


def played(play: str, *, stream: bool = True) -> tuple[str, Told]:
    meeting = meet(upstream_stream=stream)
    text = f"[play:{play}] Explain it" if play else "Explain it"
    try:
        meeting.talk([TextPart(text)], stream=stream)
    except GatewayError as error:
        return error.code, meeting.told
    return end(meeting.told), meeting.told


def test_every_play_has_an_ending() -> None:
    assert set(ENDINGS) == set(GeminiSimulator.plays) == {"", *PLAYS, *REFUSALS}


@pytest.mark.parametrize("play", ENDINGS)
def test_the_translator_understands_what_the_simulator_plays(play: str) -> None:
    ending, told = played(play)
    assert ending == ENDINGS[play]
    if ending not in GATEWAY_CODES:
        lawful(told)


GATEWAY_CODES = {ending for ending in ENDINGS.values() if ending.startswith("upstream")} | {
    "quota_exhausted",
    "context_too_long",
}


@pytest.mark.parametrize("play", sorted(ENDINGS.keys() - NO_DOCUMENT))
def test_a_document_says_what_its_stream_says(play: str) -> None:
    ending, streamed = played(play)
    whole, told = played(play, stream=False)
    assert (whole, texts(told), calls(told), places(told)) == (
        ending,
        texts(streamed),
        calls(streamed),
        places(streamed),
    )


def texts(told: Told) -> str:
    return "".join(event.text for event in told if isinstance(event, TextCompleted))


def calls(told: Told) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, event.arguments) for event in told if isinstance(event, ToolCallCompleted)]


def places(told: Told) -> list[tuple[str | None, int | None, int | None]]:
    return [(event.url, event.start, event.end) for event in told if isinstance(event, Source)]


def test_sources_stand_where_their_bytes_are() -> None:
    _, told = played("grounded")
    assert places(told) == [
        ("https://example.com/a", 0, 21),
        ("https://example.com/a", 22, 37),
        ("https://example.com/b", 0, 21),
    ]


def test_usage_counts_thoughts_and_the_prompts_of_tools() -> None:
    _, told = played("thinking")
    assert [event for event in told if isinstance(event, UsageReported)] == [
        UsageReported(9),
        UsageReported(9, 10 + 12, 12),
    ]
    _, told = played("url-context")
    assert [event for event in told if isinstance(event, UsageReported)][-1] == UsageReported(9 + 4610, 2)


@pytest.mark.parametrize("play", ["tool", "tools", "tools-one-by-one", "streamed-tool"])
def test_calls_are_carried_to_their_end(play: str) -> None:
    meeting = meet(play)
    told = meeting.talk([TextPart("Where is it?")])
    done = next(event for event in told if isinstance(event, MessageCompleted))
    said: list[Part] = [
        ToolCallPart(event.tool_call_id, event.name, event.arguments, executor="client", signature=event.signature)
        for event in told
        if isinstance(event, ToolCallCompleted)
    ]
    results: list[AskPart] = [ToolResultPart(call, "done") for call in done.pending_tool_calls]
    earlier = [HistoryMessage("user", [TextPart("Where is it?")]), HistoryMessage("assistant", said)]
    answer = meet().talk([*results, TextPart("And?")], missed=earlier)
    assert end(answer) == "stop"
    after = meet().talk(results, missed=earlier)
    expected = ", ".join('{"result":"done"}' for _ in results)
    assert texts(after) == f"The tools say {expected}."


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3-pro", "tunedModels/mine"])
def test_all_that_can_be_asked_is_taken(model: str) -> None:
    said: list[HistoryMessage] = [
        HistoryMessage("system", [TextPart("Be brief.")]),
        HistoryMessage("user", [TextPart("hi"), ImagePart(url="https://example.com/a.png")]),
        HistoryMessage(
            "assistant",
            [
                ReasoningPart("hm", signature="c2ln"),
                ReasoningPart("another's"),
                ReasoningPart("", signature="c2ln"),
                TextPart("hello", signature="c2ln"),
                ToolCallPart("call_1", "now", {}, executor="client"),
                ToolCallPart("call_2", "now", {}, executor="vendor"),
            ],
        ),
        HistoryMessage("user", [ToolResultPart("call_1", {"time": 1}, is_error=True)]),
    ]
    told = meet(model=model).talk(
        [
            TextPart("look"),
            FilePart(data="AAAA", media_type="application/pdf"),
            ImagePart(url="data:image/png;base64,AAAA"),
        ],
        missed=said,
        partial="So far",
        instructions="You are kind.",
        tools=[Tool("now", "tells the time", {"type": "object"}, strict=True), Tool("off")],
        tool_choice=NamedTool("now"),
        parameters=Parameters(
            0.5, 0.9, 100, ["END"], 7, ResponseFormat("json_schema", schema={"type": "object"}), "low"
        ),
        user_id="ann",
        metadata={"a": 1},
    )
    assert end(told) == "stop"


def test_a_project_is_asked_with_a_token() -> None:
    target = GeminiTarget("gemini-3-pro", server="vertex", project="p", location="europe-west4")
    meeting = Meeting(
        GeminiSimulator(),
        GeminiTranslator(target, Blocks(Numbering())),
        Credentials({"access_token": "t"}),
    )
    assert end(meeting.talk()) == "stop"


def test_the_descriptor_makes_them_all() -> None:
    assert GEMINI.translator is GeminiTranslator
    assert GEMINI.simulator is GeminiSimulator
    assert GEMINI.scope(GeminiTarget("gemini-3-pro")) == "gemini-3-pro"

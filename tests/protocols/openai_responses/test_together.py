"""The translator against the simulator, which shares no code with it: every request is one that the vendor takes."""

from typing import Any

import pytest

from gateway.canonical.assembler import Assembler
from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Event, InputRequested, MessageCompleted, Notice, TextCompleted, ToolResult
from gateway.canonical.message import InputResponsePart, TextPart, ToolCallPart, ToolResultPart
from gateway.canonical.turn import AskPart, HistoryMessage, Parameters, Tool
from gateway.protocols.base import Credentials
from gateway.protocols.openai_responses import OPENAI_RESPONSES
from gateway.protocols.openai_responses.plays import PLAYS, REFUSALS
from gateway.protocols.openai_responses.simulator import ResponsesSimulator
from gateway.protocols.openai_responses.target import Options, Target
from gateway.protocols.openai_responses.translator import ResponsesTranslator
from tests.support.simulating import Meeting
from tests.support.translating import Told, lawful

ENDINGS = {
    "": "stop",
    "hello": "stop",
    "reasoning": "stop",
    "tool": "tool_calls",
    "two-tools": "tool_calls",
    "custom-tool": "tool_calls",
    "mcp": "stop",
    "search": "stop",
    "code": "stop",
    "image": "stop",
    "approval": "input_required",
    "length": "length",
    "filtered": "content_filter",
    "steered": "other",
    "refusal": "content_filter",
    "cancelled": "message.canceled",
    "bare": "stop",
    "rotating": "tool_calls",
    "no-deltas": "tool_calls",
    "unknown-frame": "stop",
    "cut": "upstream_protocol",
    "error-first": "quota_exhausted",
    "error-flat": "upstream_unavailable",
    "error-nested": "upstream_unavailable",
    "failed": "upstream_rate_limited",
    "bad-request": "upstream_rejected",
    "too-long": "context_too_long",
    "policy": "upstream_rejected",
    "invalid-key": "upstream_auth",
    "forbidden": "upstream_auth",
    "not-found": "upstream_not_found",
    "rate-limit": "upstream_rate_limited",
    "rate-limit-reset": "upstream_rate_limited",
    "quota": "quota_exhausted",
    "internal": "upstream_unavailable",
    "overloaded": "upstream_unavailable",
}

IN_A_STREAM_ALONE = {"cut", "error-flat"}


def meet(play: str = "", *, streams: bool = True, **target: Any) -> Meeting[ResponsesTranslator]:
    settings = Target("gpt-5", upstream_stream=streams, **target)
    translator = ResponsesTranslator(settings, Blocks(Numbering()))
    return Meeting(ResponsesSimulator(play), translator, Credentials({"api_key": "k"}))


def ending(told: Told) -> str:
    last = [event for event in told if not isinstance(event, Notice)][-1]
    return last.finish_reason if isinstance(last, MessageCompleted) else str(last.__struct_config__.tag)


def talk(meeting: Meeting[ResponsesTranslator], *parts: AskPart, **fields: Any) -> tuple[Told, HistoryMessage]:
    """What was told, and the answer as it is stored."""
    told = meeting.talk(parts, **fields)
    assembler = Assembler()
    for event in told:
        if not isinstance(event, Notice):
            assembler.add(event)
    return told, HistoryMessage("assistant", assembler.parts())


def texts(told: Told) -> str:
    return "".join(event.text for event in told if isinstance(event, TextCompleted))


def test_every_play_has_an_ending() -> None:
    assert set(ENDINGS) == {"", *PLAYS, *REFUSALS} == set(ResponsesSimulator.plays)


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("play", ENDINGS)
def test_the_translator_understands_what_the_simulator_plays(*, play: str, streams: bool) -> None:
    meeting = meet(streams=streams)
    try:
        said = ending(meeting.talk([TextPart(f"[play:{play}] Hi" if play else "Hi")], stream=streams))
    except GatewayError as error:
        said = error.code
    if not streams and play in IN_A_STREAM_ALONE:
        return
    assert said == ENDINGS[play]
    assert lawful(meeting.told if "." in said or said in FINISHES else [*meeting.told, MessageCompleted("length")])


FINISHES = {"stop", "length", "tool_calls", "input_required", "content_filter", "other"}


@pytest.mark.parametrize("play", ["reasoning", "two-tools", "mcp", "search", "code", "image", "approval"])
def test_a_document_tells_the_same_as_a_stream(play: str) -> None:
    _, streamed = talk(meet(play), TextPart("hi"))
    _, whole = talk(meet(play, streams=False), TextPart("hi"), stream=False)
    assert streamed.parts == whole.parts


def test_what_the_tools_gave_goes_back_with_the_calls_and_their_reasoning() -> None:
    _, answer = talk(meet("two-tools"), TextPart("Weather and time?"), tools=[Tool("weather"), Tool("time")])
    calls = [part for part in answer.parts if isinstance(part, ToolCallPart)]
    assert [(call.name, call.arguments) for call in calls] == [("weather", {"city": "Kyiv"}), ("time", {})]
    told, _ = talk(
        meet(),
        ToolResultPart(calls[0].tool_call_id, {"sky": "grey"}),
        ToolResultPart(calls[1].tool_call_id, "noon"),
        missed=[HistoryMessage("user", [TextPart("Weather and time?")]), answer],
        tools=[Tool("weather"), Tool("time")],
    )
    assert texts(told) == 'The tools say {"sky":"grey"}, noon.'


def test_a_custom_tools_result_goes_back_as_one() -> None:
    _, answer = talk(meet("custom-tool"), TextPart("Count"), options=Options(tools=[{"type": "custom", "name": "sql"}]))
    [call] = [part for part in answer.parts if isinstance(part, ToolCallPart)]
    assert call.arguments == {"input": 'select "a"'}
    missed = [HistoryMessage("user", [TextPart("Count")]), answer]
    told, _ = talk(meet(), ToolResultPart(call.tool_call_id, "7"), missed=missed)
    assert texts(told) == "The tools say 7."


@pytest.mark.parametrize(("approved", "said"), [(True, "It is gone."), (False, "Then I leave it.")])
def test_an_approval_is_answered(*, approved: bool, said: str) -> None:
    told, answer = talk(meet("approval"), TextPart("Delete it"))
    [asked] = [event for event in told if isinstance(event, InputRequested)]
    told, _ = talk(
        meet(),
        InputResponsePart(asked.request_id, approved=approved),
        missed=[HistoryMessage("user", [TextPart("Delete it")]), answer],
    )
    results: list[Event] = [event for event in told if isinstance(event, ToolResult)]
    assert (texts(told), len(results)) == (said, int(approved))


def test_a_long_conversation_goes_as_a_whole() -> None:
    missed: list[HistoryMessage] = []
    for play in ("reasoning", "mcp", "search", "code", "refusal", "length", "two-tools", "hello"):
        _, answer = talk(meet(play), TextPart("hi"), missed=missed)
        missed += [HistoryMessage("user", [TextPart("hi")]), answer]
    told, _ = talk(
        meet(),
        TextPart("and now?"),
        missed=missed,
        instructions="Be brief.",
        parameters=Parameters(temperature=0.5, max_output_tokens=100),
        user_id="ann@example.com" * 10,
        metadata={"a": 1},
        partial="You asked",
    )
    assert ending(told) == "stop"


@pytest.mark.parametrize("server", ["azure", "openrouter", "local"])
def test_each_server_takes_what_it_is_sent(server: Any) -> None:
    assert ending(meet("reasoning", server=server).talk([TextPart("hi")], user_id="ann")) == "stop"


def test_the_descriptor_makes_both() -> None:
    assert OPENAI_RESPONSES.translator is ResponsesTranslator
    assert OPENAI_RESPONSES.simulator is ResponsesSimulator
    assert OPENAI_RESPONSES.scope(Target("gpt-5")) == "gpt-5"

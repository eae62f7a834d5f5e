"""The translator against the simulator: both were written from the package, apart from each other."""

from typing import Any

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import InputRequested, MessageCompleted, TextCompleted, ToolCallCompleted, ToolResult
from gateway.canonical.message import InputPart, InputResponsePart, TextPart, ToolCallPart, ToolResultPart
from gateway.canonical.turn import HistoryMessage
from gateway.protocols.ai_sdk import AI_SDK
from gateway.protocols.ai_sdk.plays import PLAYS, REFUSALS
from gateway.protocols.ai_sdk.simulator import AiSdkSimulator
from gateway.protocols.ai_sdk.translator import AiSdkTarget, AiSdkTranslator
from gateway.protocols.base import Credentials
from tests.support.simulating import Meeting
from tests.support.translating import lawful

COMPLETED = "completed"
ENDINGS = {
    "": "stop",
    "text": "stop",
    "reasoning": "stop",
    "server-tool": "stop",
    "tool-failed": "stop",
    "preliminary": "stop",
    "provider-tool": "stop",
    "client-tool": "tool_calls",
    "client-tools": "tool_calls",
    "defaults": "tool_calls",
    "approval": "input_required",
    "file": "stop",
    "data": "stop",
    "length": "length",
    "length-in-a-call": "length",
    "content-filter": "content_filter",
    "other": "other",
    "no-reason": "other",
    "no-finish": "other",
    "reset": "stop",
    "reset-of-a-call": "upstream_protocol",
    "error": "upstream_unavailable",
    "error-first": "upstream_unavailable",
    "finish-error": "upstream_unavailable",
    "abort": "message.canceled",
    "cut": "upstream_protocol",
    "empty": "stop",
    "page": "upstream_protocol",
    "bad-request": "upstream_rejected",
    "unauthorized": "upstream_auth",
    "quota": "quota_exhausted",
    "rate-limit": "upstream_rate_limited",
    "internal": "upstream_unavailable",
    "unavailable": "upstream_unavailable",
}
HI = HistoryMessage("user", [TextPart("Hi")])


def meet(play: str = "") -> Meeting[AiSdkTranslator]:
    translator = AiSdkTranslator(AiSdkTarget("/api/chat"), Blocks(Numbering()))
    return Meeting(AiSdkSimulator(play), translator, Credentials({"api_key": "k"}))


def test_every_play_has_an_ending() -> None:
    assert set(ENDINGS) == {"", *PLAYS, *REFUSALS}


@pytest.mark.parametrize("play", ENDINGS)
def test_the_translator_understands_what_the_simulator_plays(play: str) -> None:
    meeting = meet(play)
    try:
        last = meeting.talk()[-1]
        end = last.finish_reason if isinstance(last, MessageCompleted) else str(last.__struct_config__.tag)
    except GatewayError as error:
        end = error.code
    else:
        lawful(meeting.told)
    assert end == ENDINGS[play]


def calls(meeting: Meeting[AiSdkTranslator]) -> list[ToolCallPart]:
    return [
        ToolCallPart(event.tool_call_id, event.name, event.arguments, signature=event.signature)
        for event in meeting.told
        if isinstance(event, ToolCallCompleted)
    ]


def go_on(meeting: Meeting[AiSdkTranslator], *parts: Any, then: list[Any]) -> list[Any]:
    """What is told of the next turn, in which the first one's answer held these parts."""
    again = meet()
    return again.talk(then, missed=[HI, HistoryMessage("assistant", list(parts))], vendor_ids={"message": "msg_0"})


def test_arguments_are_those_that_the_server_filled_in() -> None:
    meeting = meet("defaults")
    meeting.talk()
    assert [call.arguments for call in calls(meeting)] == [{"sum": 1, "currency": "EUR"}]


def test_results_of_the_clients_tools_are_taken() -> None:
    meeting = meet("client-tools")
    meeting.talk()
    then: list[Any] = [ToolResultPart("call_1", "here"), ToolResultPart("call_2", "paid", is_error=True)]
    told = go_on(meeting, *calls(meeting), then=then)
    assert [event.text for event in told if isinstance(event, TextCompleted)] == ['The tools say "here", "paid".']


@pytest.mark.parametrize(
    ("approved", "result", "text"),
    [
        (True, ToolResult("call_1", "done", is_error=False, name="pay"), "It is done."),
        (False, ToolResult("call_1", "denied", is_error=True, name="pay"), "As you like."),
    ],
)
def test_what_the_person_says_to_a_call_is_taken(*, approved: bool, result: ToolResult, text: str) -> None:
    meeting = meet("approval")
    meeting.talk()
    (request,) = [event for event in meeting.told if isinstance(event, InputRequested)]
    asked = InputPart(request.request_id, request.kind, request.prompt, request.tool_call_id)
    told = go_on(meeting, *calls(meeting), asked, then=[InputResponsePart("approval-1", approved=approved)])
    assert told[0] == result
    assert [event.text for event in told if isinstance(event, TextCompleted)] == [text]


@pytest.mark.parametrize("play", ["server-tool", "provider-tool", "tool-failed", "data"])
def test_what_the_vendor_did_is_taken_back(play: str) -> None:
    meeting = meet(play)
    meeting.talk()
    results = [
        ToolResultPart(event.tool_call_id, event.output, event.is_error)
        for event in meeting.told
        if isinstance(event, ToolResult)
    ]
    told = go_on(meeting, *calls(meeting), *results, TextPart("Well"), then=[TextPart("And?")])
    assert isinstance(told[-1], MessageCompleted)


def test_the_descriptor_makes_them_all() -> None:
    assert AI_SDK.translator is AiSdkTranslator
    assert AI_SDK.simulator is AiSdkSimulator

"""AG-UI's translator against its simulator: both were written from its documentation, apart from each other."""

from typing import Any

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import InputRequested, MessageCompleted, TextCompleted
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import HistoryMessage, Tool
from gateway.protocols.ag_ui import AG_UI
from gateway.protocols.ag_ui.plays import PLAYS, REFUSALS
from gateway.protocols.ag_ui.simulator import AgUiSimulator
from gateway.protocols.ag_ui.translator import AgUiTarget, AgUiTranslator
from gateway.protocols.base import Credentials
from tests.support.simulating import Meeting
from tests.support.translating import lawful

TOOLS = [Tool("weather", "tells it", {"type": "object"}), Tool("map")]
COMPLETED = "message.completed"
ENDINGS = dict.fromkeys(["", *PLAYS], COMPLETED) | {
    "cancelled": "message.canceled",
    "error-first": "upstream_unavailable",
    "error": "upstream_unavailable",
    "error-rate": "upstream_rate_limited",
    "error-context": "context_too_long",
    "cut": "upstream_protocol",
    "empty": "message.canceled",  # as `lawful` ends an answer with nothing in it
    "unauthorized": "upstream_auth",
    "forbidden": "upstream_auth",
    "not-found": "upstream_not_found",
    "rate-limited": "upstream_rate_limited",
    "internal": "upstream_unavailable",
    "unavailable": "upstream_unavailable",
}


def meet(key: str = "right") -> Meeting[AgUiTranslator]:
    return Meeting(AgUiSimulator(), AgUiTranslator(AgUiTarget(), Blocks(Numbering())), Credentials({"api_key": key}))


def texts(meeting: Meeting[AgUiTranslator]) -> list[str]:
    return [event.text for event in meeting.told if isinstance(event, TextCompleted)]


def test_every_play_has_an_ending() -> None:
    assert set(ENDINGS) == {"", *PLAYS, *REFUSALS}
    assert AG_UI.simulator is AgUiSimulator


@pytest.mark.parametrize("play", ENDINGS)
def test_the_translator_understands_what_the_simulator_plays(play: str) -> None:
    meeting = meet()
    try:
        meeting.talk([TextPart(f"[play:{play}] Hi" if play else "Hi")], tools=TOOLS)
        end = str(lawful(meeting.told)[-1].__struct_config__.tag)
    except GatewayError as error:
        end = error.code
    assert end == ENDINGS[play]


def test_a_wrong_key_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        meet("invalid").talk()
    assert (caught.value.code, caught.value.vendor_status) == ("upstream_auth", 401)


def test_results_of_the_clients_tools_are_understood() -> None:
    meeting = meet()
    missed = [
        HistoryMessage("user", [TextPart("hi")]),
        HistoryMessage("assistant", [TextPart("Let me."), ToolCallPart("c1", "weather", {}, executor="client")]),
    ]
    meeting.talk([ToolResultPart("c1", {"sun": True})], missed=missed, tools=TOOLS)
    assert texts(meeting) == ['The tools say {"sun":true}.']


def test_every_part_is_understood() -> None:
    meeting = meet()
    parts: list[Any] = [TextPart("see"), ImagePart(url="https://a.test/a.png"), FilePart(data="aGk=", name="a.txt")]
    meeting.talk(parts, instructions="Be brief.")
    assert texts(meeting)[0].startswith("You asked: see")


@pytest.mark.parametrize(("approved", "said"), [(True, "It is done."), (False, "I left it.")])
def test_an_approval_is_asked_and_answered(approved: bool, said: str) -> None:  # noqa: FBT001
    first = meet()
    first.talk([TextPart("[play:approval] Delete it")])
    question = next(event for event in first.told if isinstance(event, InputRequested))
    assert isinstance(first.told[-1], MessageCompleted)
    missed = [
        HistoryMessage("user", [TextPart("Delete it")]),
        HistoryMessage(
            "assistant",
            [
                ToolCallPart("c1", "delete", {"path": "/tmp/a"}, executor="vendor"),
                InputPart(question.request_id, question.kind, question.prompt, question.tool_call_id, question.fields),
            ],
        ),
    ]
    second = meet()
    answer = InputResponsePart(question.request_id, approved)
    second.talk([answer], missed=missed, vendor_ids=first.translator.vendor_ids)
    assert texts(second) == [said]
    assert second.translator.vendor_ids["conversation"] == first.translator.vendor_ids["conversation"]
    assert "interrupts" not in second.translator.vendor_ids

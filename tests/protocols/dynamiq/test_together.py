"""The translator against the simulator, which shares no code with it: every request is one that the vendor takes."""

from datetime import UTC, datetime

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Event, InputRequested, MessageCanceled, MessageCompleted, Notice, TextDelta
from gateway.canonical.message import FilePart, InputResponsePart, TextPart
from gateway.canonical.turn import AskPart
from gateway.protocols.base import (
    Clue,
    Credentials,
    NewConversation,
    NewFile,
)
from gateway.protocols.dynamiq import DYNAMIQ
from gateway.protocols.dynamiq.calls import DynamiqTarget
from gateway.protocols.dynamiq.conversations import DynamiqConversations
from gateway.protocols.dynamiq.files import DynamiqFiles
from gateway.protocols.dynamiq.plays import PLAYS, REFUSALS
from gateway.protocols.dynamiq.simulator import DynamiqSimulator
from gateway.protocols.dynamiq.translator import DynamiqTranslator
from tests.support.simulating import Meeting
from tests.support.translating import Told, ask

TARGETS = [
    DynamiqTarget(app="8e9f0a1b-2c3d-4e5f-8a7b-9c0d1e2f3a4b"),
    DynamiqTarget(model="497f6eca-6276-4993-bfeb-53cbbbba6f08"),
]
APP, MODEL = TARGETS


def meet(simulator: DynamiqSimulator, target: DynamiqTarget = APP) -> Meeting[DynamiqTranslator]:
    credentials = Credentials({"api_key": "dyn_pat_1", "app_key": "dynamiq_acc_1"})
    return Meeting(simulator, DynamiqTranslator(target, Blocks(Numbering())), credentials)


def talk(
    simulator: DynamiqSimulator, parts: list[AskPart], ids: dict[str, str], target: DynamiqTarget = APP
) -> tuple[Told, dict[str, str]]:
    """One turn: what was told, and the binding after it."""
    meeting = meet(simulator, target)
    return meeting.talk(parts, vendor_ids=ids), meeting.translator.vendor_ids


def words(told: Told) -> str:
    return "".join(event.delta for event in told if isinstance(event, TextDelta))


def last(told: Told) -> Event:
    return [event for event in told if not isinstance(event, Notice)][-1]


ENDS = {
    **dict.fromkeys(["failed", "failed-text", "failed-silently", "cut", "waiting"], "failed"),
    **dict.fromkeys(["canceled", "siblings"], "canceled"),
}


@pytest.mark.parametrize("target", TARGETS, ids=["app", "model"])
@pytest.mark.parametrize("name", ["", *(name for name in PLAYS if name not in ENDS)])
def test_each_play_that_ends_well_is_completed_and_binds_the_conversation(name: str, target: DynamiqTarget) -> None:
    told, ids = talk(DynamiqSimulator(name), [TextPart("hi")], {}, target)
    assert isinstance(last(told), MessageCompleted)
    assert ids["conversation"] == "6e177d47-e9a1-5f63-8575-40c51a48eabf"


@pytest.mark.parametrize("name", [name for name, end in ENDS.items() if end == "failed"])
def test_each_play_that_ends_badly_is_a_failure(name: str) -> None:
    with pytest.raises(GatewayError):
        talk(DynamiqSimulator(name), [TextPart("hi")], {})


@pytest.mark.parametrize("name", [name for name, end in ENDS.items() if end == "canceled"])
def test_a_canceled_run_is_canceled(name: str) -> None:
    told, _ = talk(DynamiqSimulator(name), [TextPart("hi")], {})
    assert last(told) == MessageCanceled("vendor")


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_each_refusal_is_a_failure_with_the_vendors_code(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        talk(DynamiqSimulator(name), [TextPart("hi")], {})
    assert (caught.value.vendor_status, caught.value.vendor_code) == (REFUSALS[name].status, REFUSALS[name].code)


def test_a_page_in_place_of_an_answer_is_an_outage() -> None:
    with pytest.raises(GatewayError) as caught:
        talk(DynamiqSimulator("bad-gateway"), [TextPart("hi")], {})
    assert (caught.value.code, caught.value.vendor_status) == ("upstream_unavailable", 502)


def test_a_conversation_goes_on() -> None:
    simulator = DynamiqSimulator("plain")
    _, ids = talk(simulator, [TextPart("hi")], {})
    told, after = talk(simulator, [TextPart("And now?")], ids)
    assert (last(told), after["conversation"]) == (MessageCompleted("stop"), ids["conversation"])


@pytest.mark.parametrize("name", ["feedback", "feedback-engine"])
def test_a_question_is_answered_and_the_run_goes_on(name: str) -> None:
    simulator = DynamiqSimulator(name)
    told, ids = talk(simulator, [TextPart("hi")], {})
    (asked,) = [event for event in told if isinstance(event, InputRequested)]
    told, after = talk(simulator, [InputResponsePart(asked.request_id, text="The second")], ids)
    assert (words(told), last(told)) == ("You said: The second.", MessageCompleted("stop"))
    assert after["conversation"] == ids["conversation"]


@pytest.mark.parametrize("name", ["approval", "approval-engine"])
def test_an_approval_is_given_with_a_parameter_changed(name: str) -> None:
    simulator = DynamiqSimulator(name)
    told, ids = talk(simulator, [TextPart("hi")], {})
    (asked,) = [event for event in told if isinstance(event, InputRequested)]
    answer = InputResponsePart(asked.request_id, approved=True, values={"amount": 600})
    told, _ = talk(simulator, [answer, TextPart("just this once")], ids)
    assert words(told) == 'The refund is approved with {"amount":600} (just this once).'


def test_a_question_that_was_answered_cannot_be_answered_again() -> None:
    simulator = DynamiqSimulator("feedback")
    _, ids = talk(simulator, [TextPart("hi")], {})
    answer: list[AskPart] = [InputResponsePart("7a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9", text="The second")]
    talk(simulator, answer, ids)
    with pytest.raises(GatewayError) as caught:
        talk(simulator, answer, ids)
    assert (caught.value.code, caught.value.vendor_code) == ("upstream_rejected", "bad_request")


def test_a_run_that_was_cut_is_resumed() -> None:
    meeting = meet(DynamiqSimulator("cut"))
    meeting.follow(meeting.translator.requests(ask(TextPart("hi"))))
    again = meeting.translator.resume()
    assert again is not None
    meeting.answer(again)
    assert words(meeting.told) == "The customer was charged twice, on Monday."
    assert last([*meeting.told, *meeting.translator.finish()]) == MessageCompleted("stop")


def test_a_run_is_canceled() -> None:
    meeting = meet(DynamiqSimulator("waiting"))
    meeting.follow(meeting.translator.requests(ask(TextPart("hi"))))
    cancel, again = meeting.translator.cancel(), meeting.translator.resume()
    assert cancel is not None
    assert again is not None
    meeting.answer(cancel)
    meeting.answer(again)
    assert last(meeting.told) == MessageCanceled("vendor")


def test_a_file_goes_with_a_message() -> None:
    told, _ = talk(DynamiqSimulator(), [TextPart("Read"), FilePart(data="YWI=", name="a.txt")], {})
    assert words(told).startswith("You asked: Read. I have a.txt.")


def test_conversations_and_files_are_made_found_and_deleted() -> None:
    meeting = meet(DynamiqSimulator())
    port, files = DynamiqConversations(meeting.translator), DynamiqFiles(meeting.translator)
    ids = meeting.follow(port.create(NewConversation("Was I charged twice?", lambda: "new")))
    clue = Clue("Was I charged twice?", datetime(2026, 6, 10, 9, 11, tzinfo=UTC))
    assert meeting.follow(port.find(clue)) == ids
    meeting.follow(port.delete(ids))
    meeting.follow(port.delete(ids))
    assert meeting.follow(port.find(clue)) == {}
    file = meeting.follow(files.upload({}, NewFile("a.txt", "text/plain", b"ab")))
    assert (file.name, file.media_type, file.size) == ("a.txt", "text/plain", 2)


def test_the_descriptor_makes_both() -> None:
    assert DYNAMIQ.translator is DynamiqTranslator
    assert DYNAMIQ.simulator is DynamiqSimulator

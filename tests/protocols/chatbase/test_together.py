"""The translator against the simulator, which shares no code with it: every request is one that the vendor takes."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageCanceled, MessageCompleted, Notice
from gateway.canonical.message import TextPart, ToolCallPart, ToolResultPart
from gateway.canonical.turn import AskPart
from gateway.protocols.base import (
    Calls,
    Clue,
    Credentials,
    VendorMessage,
)
from gateway.protocols.chatbase import CHATBASE
from gateway.protocols.chatbase.conversations import ChatbaseConversations
from gateway.protocols.chatbase.plays import PLAYS, REFUSALS
from gateway.protocols.chatbase.simulator import ChatbaseSimulator
from gateway.protocols.chatbase.translator import ChatbaseTarget, ChatbaseTranslator
from tests.support.simulating import Meeting
from tests.support.translating import Told

T = TypeVar("T")


def meet(simulator: ChatbaseSimulator, *, upstream_stream: bool = True) -> Meeting[ChatbaseTranslator]:
    target = ChatbaseTarget("5QHA6VB", upstream_stream=upstream_stream)
    return Meeting(simulator, ChatbaseTranslator(target, Blocks(Numbering())), Credentials({"api_key": "k"}))


def talk(
    simulator: ChatbaseSimulator, parts: list[AskPart], ids: dict[str, str], **fields: Any
) -> tuple[Told, dict[str, str]]:
    """One turn: what was told, and the binding after it."""
    meeting = meet(simulator, upstream_stream=fields.get("stream", True))
    return meeting.talk(parts, vendor_ids=ids, **fields), meeting.translator.vendor_ids


def run(simulator: ChatbaseSimulator, ask: Callable[[ChatbaseConversations], Calls[T]]) -> T:
    """What an errand of the port comes to; `ask` is given the port."""
    meeting = meet(simulator)
    return meeting.follow(ask(ChatbaseConversations(meeting.translator)))


ENDS_WELL = sorted(name for name, play in PLAYS.items() if play.ends and play.finish != "error")


@pytest.mark.parametrize("name", ENDS_WELL)
@pytest.mark.parametrize("stream", [True, False])
def test_each_play_that_ends_well_is_completed_and_binds_the_conversation(*, name: str, stream: bool) -> None:
    told, ids = talk(ChatbaseSimulator(name), [TextPart("hi")], {}, stream=stream, user_id="ann@example.com")
    assert isinstance([event for event in told if not isinstance(event, Notice)][-1], MessageCompleted)
    assert ids["conversation"] == "40f838c7-5ee0-5b89-956d-9d22cfd1107f"


@pytest.mark.parametrize("name", sorted(set(PLAYS) - set(ENDS_WELL) - {"abort"}))
def test_each_play_that_ends_badly_is_a_failure(name: str) -> None:
    with pytest.raises(GatewayError):
        talk(ChatbaseSimulator(name), [TextPart("hi")], {})


def test_an_abort_is_canceled() -> None:
    told, _ = talk(ChatbaseSimulator("abort"), [TextPart("hi")], {})
    assert [event for event in told if not isinstance(event, Notice)][-1] == MessageCanceled("vendor")


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_each_refusal_is_a_failure_with_the_vendors_code(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        talk(ChatbaseSimulator(name), [TextPart("hi")], {})
    error = caught.value
    assert (error.vendor_status, error.vendor_code, error.vendor_request_id, error.retry_after) == (
        REFUSALS[name].status,
        REFUSALS[name].code,
        "req_1",
        3.0 if name == "rate-limit" else None,
    )


def test_a_client_action_is_carried_to_its_end() -> None:
    simulator = ChatbaseSimulator("client-action")
    _, ids = talk(simulator, [TextPart("Where is order 42?")], {})
    told, after = talk(simulator, [ToolResultPart("call_1", {"status": "shipped"})], ids)
    assert told[-1] == MessageCompleted("stop", "stop")
    assert after["conversation"] == ids["conversation"]


def test_a_tool_result_that_nobody_waits_for_is_not_found() -> None:
    simulator = ChatbaseSimulator("documented")
    _, ids = talk(simulator, [TextPart("hi")], {})
    with pytest.raises(GatewayError) as caught:
        talk(simulator, [ToolResultPart("call_9", 1)], ids)
    assert (caught.value.code, caught.value.vendor_code) == ("upstream_not_found", "RESOURCE_TOOL_CALL_NOT_FOUND")


# --- beside messages


def test_an_answer_is_given_anew() -> None:
    simulator = ChatbaseSimulator("documented")
    _, ids = talk(simulator, [TextPart("hi")], {})
    told, after = talk(simulator, [TextPart("hi")], ids, regenerates=ids["message"])
    assert told[-1] == MessageCompleted("stop", "stop")
    assert (after["conversation"], after["message"], after["user_message"]) == (ids["conversation"], "msg_2", "msg_0")
    assert [message.id for message in run(simulator, lambda port: port.messages(after))] == ["msg_0", "msg_2"]


def test_an_answer_that_the_vendor_does_not_know_cannot_be_given_anew() -> None:
    simulator = ChatbaseSimulator("documented")
    _, ids = talk(simulator, [TextPart("hi")], {})
    with pytest.raises(GatewayError) as caught:
        talk(simulator, [TextPart("hi")], ids, regenerates="msg_9")
    assert (caught.value.code, caught.value.vendor_code) == ("upstream_not_found", "CHAT_RETRY_MESSAGE_NOT_FOUND")


def test_the_messages_of_a_conversation_are_listed() -> None:
    simulator = ChatbaseSimulator("client-action")
    _, ids = talk(simulator, [TextPart("Where is order 42?")], {})
    talk(simulator, [ToolResultPart("call_1", {"status": "shipped"})], ids)
    assert run(simulator, lambda port: port.messages(ids)) == [
        VendorMessage("user", "Where is order 42?", "msg_0", [TextPart("Where is order 42?")]),
        VendorMessage(
            "assistant",
            "Let me look.",
            "msg_1",
            [
                TextPart("Let me look."),
                ToolCallPart("call_1", "lookupOrder", {"orderId": "42"}),
                ToolResultPart("call_1", {"status": "shipped"}, name="lookupOrder"),
            ],
        ),
        VendorMessage(
            "assistant",
            'The tools say {"status":"shipped"}.',
            "msg_2",
            [TextPart('The tools say {"status":"shipped"}.')],
        ),
    ]


def test_a_long_conversation_is_listed_from_its_beginning() -> None:
    simulator = ChatbaseSimulator("documented")
    _, ids = talk(simulator, [TextPart("0")], {})
    for number in range(1, 60):
        talk(simulator, [TextPart(str(number))], ids)
    messages = run(simulator, lambda port: port.messages(ids))
    assert [message.text for message in messages if message.role == "user"] == [str(number) for number in range(60)]


@pytest.mark.parametrize("user_id", ["ann@example.com", None])
def test_a_conversation_whose_id_never_came_is_found(user_id: str | None) -> None:
    simulator = ChatbaseSimulator("cut-before-metadata")
    for said, user in (("hi", user_id), ("hi", "bob"), ("hello", user_id)):
        with pytest.raises(GatewayError):
            talk(simulator, [TextPart(said)], {}, user_id=user)
    clue = Clue("hi", datetime(2026, 11, 20, tzinfo=UTC), user_id)
    found = run(simulator, lambda port: port.find(clue))
    assert found == {"conversation": "40f838c7-5ee0-5b89-956d-9d22cfd1107f"}
    with pytest.raises(GatewayError):
        talk(simulator, [TextPart("hi")], {}, user_id=user_id)
    assert run(simulator, lambda port: port.find(clue)) == {}


def test_the_descriptor_makes_both() -> None:
    assert CHATBASE.conversations is ChatbaseConversations
    assert CHATBASE.translator is ChatbaseTranslator
    assert CHATBASE.simulator is ChatbaseSimulator

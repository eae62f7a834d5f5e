"""Hardwire's translator against its simulator: both were written from the dossier, apart from each other."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import TextCompleted
from gateway.canonical.message import TextPart
from gateway.protocols.base import Calls, Credentials
from gateway.protocols.hardwire import HARDWIRE
from gateway.protocols.hardwire.conversations import HardwireConversations
from gateway.protocols.hardwire.plays import PLAYS
from gateway.protocols.hardwire.simulator import OTHERS_CHAT, HardwireSimulator
from gateway.protocols.hardwire.translator import HardwireTarget, HardwireTranslator
from tests.support.simulating import Meeting

CHAT = "550e8400-e29b-41d4-a716-446655440000"
STREAMED = HardwireTarget("gpt-4")
SYNC = HardwireTarget("gpt-4", upstream_stream=False)
RUN = HardwireTarget("gpt-4", workflow_id=UUID("3f0b6a52-5a0e-4c3b-9b0a-0c1d2e3f4a5b"))
CREDENTIALS = Credentials({"email": "a@b.test", "password": "right"})

ENDINGS = {
    "": "message.completed",
    "documented": "message.completed",
    "documented-tool": "message.completed",
    "documented-two-calls": "message.completed",
    "documented-error": "upstream_unavailable",
    "sources": "message.completed",
    "no-sources": "message.completed",
    "extended": "message.completed",
    "corrected": "message.completed",
    "streaming-error": "upstream_unavailable",
    "create-message-failed": "upstream_unavailable",
    "cut": "upstream_protocol",
    "late": "message.completed",
    "sync-documented": "message.completed",
    "sync-llm-error": "upstream_unavailable",
    "workflow-documented": "message.completed",
    "workflow-documented-failed": "upstream_unavailable",
    "workflow-tool": "message.completed",
    "workflow-failed": "upstream_unavailable",
    "workflow-cancelled": "message.canceled",
    "workflow-error": "upstream_unavailable",
    "workflow-start-failed": "upstream_unavailable",
    "expired": "upstream_auth",
    "workflow-in-progress": "upstream_unavailable",
    "workflow-timeout": "upstream_timeout",
    "bad-request": "upstream_rejected",
    "unauthorized": "upstream_auth",
    "access-denied": "upstream_auth",
    "access-forbidden": "upstream_auth",
    "user-mismatch": "upstream_auth",
    "not-found": "upstream_not_found",
    "rate-limited": "upstream_rate_limited",
    "rate-limited-reset": "upstream_rate_limited",
    "llm-failed": "upstream_unavailable",
    "internal": "upstream_unavailable",
    "bad-request-documented": "upstream_rejected",
    "unauthorized-documented": "upstream_auth",
    "access-denied-documented": "upstream_auth",
    "not-found-documented": "upstream_not_found",
    "rate-limited-documented": "upstream_rate_limited",
}


def meet(simulator: HardwireSimulator, target: HardwireTarget = STREAMED) -> Meeting[HardwireTranslator]:
    return Meeting(simulator, HardwireTranslator(target, Blocks(Numbering())), CREDENTIALS)


def say(meeting: Meeting[HardwireTranslator], text: str = "Explain it", *, stream: bool = True) -> None:
    meeting.talk([TextPart(text)], new_id=lambda: CHAT, stream=stream)


def ending(meeting: Meeting[HardwireTranslator]) -> str:
    return str(meeting.told[-1].__struct_config__.tag)


def target_of(play: str) -> HardwireTarget:
    if play.startswith("workflow"):
        return RUN
    return SYNC if play.startswith("sync") else STREAMED


def test_every_play_has_an_ending() -> None:
    assert set(ENDINGS) == {"", *PLAYS}


@pytest.mark.parametrize("play", ENDINGS)
def test_the_translator_understands_what_the_simulator_plays(play: str) -> None:
    target = target_of(play)
    meeting = meet(HardwireSimulator(), target)
    try:
        say(meeting, f"[play:{play}] Explain it" if play else "Explain it", stream=target.upstream_stream)
        end = ending(meeting)
    except GatewayError as error:
        end = error.code
    assert end == ENDINGS[play]


def test_an_expired_session_is_signed_in_anew() -> None:
    simulator = HardwireSimulator("expired")
    meeting = meet(simulator)
    with pytest.raises(GatewayError) as caught:
        say(meeting)
    assert (caught.value.code, caught.value.vendor_status) == ("upstream_auth", 401)
    again = meet(simulator)
    say(again)
    assert meeting.authorization.session != again.authorization.session
    assert ending(again) == "message.completed"


def test_the_answer_of_a_run_without_a_message_is_found_in_the_chat() -> None:
    meeting = meet(HardwireSimulator("workflow-documented"), RUN)
    say(meeting)
    assert [event.text for event in meeting.told if isinstance(event, TextCompleted)] == [
        "You asked: Explain it. This is Hardwire's simulator, and it answers in small pieces, as the real one does."
    ]


@pytest.mark.parametrize("play", ["sources", "documented"])
def test_the_messages_of_a_chat_are_listed_and_deleted_with_it(play: str) -> None:
    meeting = meet(HardwireSimulator(play))
    port = HardwireConversations(meeting.translator)
    ids = {"conversation": CHAT}
    say(meeting)
    messages = meeting.follow(port.messages(ids))
    assert [(message.role, message.text) for message in messages] == [
        ("user", "Explain it"),
        ("assistant", "".join(event.text for event in meeting.told if isinstance(event, TextCompleted))),
    ]
    meeting.follow(port.delete(ids))
    with pytest.raises(GatewayError) as caught:
        meeting.follow(port.messages(ids))
    assert caught.value.code == "upstream_not_found"
    meeting.follow(port.delete(ids))


@pytest.mark.parametrize("ask", [HardwireConversations.messages, HardwireConversations.delete])
def test_anothers_chat_is_neither_listed_nor_deleted(
    ask: Callable[[HardwireConversations, dict[str, str]], Calls[Any]],
) -> None:
    meeting = meet(HardwireSimulator())
    with pytest.raises(GatewayError) as caught:
        meeting.follow(ask(HardwireConversations(meeting.translator), {"conversation": OTHERS_CHAT}))
    assert (caught.value.code, caught.value.vendor_code) == ("upstream_auth", "CHAT_ACCESS_FORBIDDEN")


def test_the_descriptor_makes_them_all() -> None:
    assert HARDWIRE.translator is HardwireTranslator
    assert HARDWIRE.simulator is HardwireSimulator
    assert HARDWIRE.conversations is HardwireConversations

"""Hardwire's translator against its simulator: both were written from the dossier, apart from each other."""

from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import pytest
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Notice, TextCompleted
from gateway.canonical.message import TextPart
from gateway.canonical.turn import Turn
from gateway.framing.record import MAX_RECORD, Record
from gateway.protocols.base import Calls, Credentials, Head, Send, SimulatedRequest, VendorRequest, VendorResponse
from gateway.protocols.hardwire import HARDWIRE
from gateway.protocols.hardwire.conversations import HardwireConversations
from gateway.protocols.hardwire.plays import PLAYS
from gateway.protocols.hardwire.simulator import OTHERS_CHAT, HardwireSimulator
from gateway.protocols.hardwire.translator import HardwireTarget, HardwireTranslator

CHAT = "550e8400-e29b-41d4-a716-446655440000"
STREAMED = HardwireTarget("gpt-4")
SYNC = HardwireTarget("gpt-4", upstream_stream=False)
RUN = HardwireTarget("gpt-4", workflow_id=UUID("3f0b6a52-5a0e-4c3b-9b0a-0c1d2e3f4a5b"))
CREDENTIALS = Credentials({"email": "a@b.test", "password": "right"})

T = TypeVar("T")

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


class Meeting:
    """One attempt played between the two, without a socket."""

    def __init__(self, simulator: HardwireSimulator, target: HardwireTarget) -> None:
        self._simulator = simulator
        self._translator = HardwireTranslator(target, Blocks(Numbering()))
        self._headers: dict[str, str] = {}
        self.events: list[Any] = []

    def sign_in(self, session: object = None) -> object:
        authorization = self._exchange(self._translator.authorize(CREDENTIALS, session))
        self._headers = authorization.headers
        return authorization.session

    def run(self, ask: Callable[[HardwireConversations], Calls[T]]) -> T:
        """What an errand of the port comes to."""
        return self._exchange(ask(HardwireConversations(self._translator)))

    def send(self, text: str) -> None:
        turn = Turn([TextPart(text)], lambda: CHAT, stream=self._translator._target.upstream_stream)
        self._exchange(self._translator.requests(turn))
        self._hear(list(self._translator.finish()))

    def _exchange(self, calls: Calls[T]) -> T:
        try:
            request = next(calls)
            while True:
                request = calls.send(self._answer(request))
        except StopIteration as stop:
            value: T = stop.value
            return value

    def _answer(self, request: VendorRequest) -> VendorResponse:
        assert isinstance(request.body, bytes)
        headers = CIMultiDict({**request.headers, **self._headers})
        asked = SimulatedRequest(request.method, request.path, headers, request.query, request.body)
        head, *steps = self._simulator.answer(asked)
        assert isinstance(head, Head)
        body = b"".join(step.data for step in steps if isinstance(step, Send))
        if head.status >= 400 and head.status not in request.own_statuses:
            raise self._translator.refuse(head.status, CIMultiDict(head.headers), body)
        if request.framing is None:
            return VendorResponse(head.status, CIMultiDict(head.headers), body)
        framing = request.framing(MAX_RECORD)
        for record in [*framing.feed(body), *framing.end()]:
            self._feed(record)
        return VendorResponse(head.status, CIMultiDict(head.headers))

    def _feed(self, record: Record) -> None:
        if not self._is_over():
            self._hear(list(self._translator.feed(record)))

    def _is_over(self) -> bool:
        return bool(self.events) and self.ending() in {"message.completed", "message.canceled"}

    def _hear(self, told: list[Any]) -> None:
        self.events += [event for event in told if not isinstance(event, Notice)]

    def ending(self) -> str:
        return str(self.events[-1].__struct_config__.tag)


def target_of(play: str) -> HardwireTarget:
    if play.startswith("workflow"):
        return RUN
    return SYNC if play.startswith("sync") else STREAMED


def test_every_play_has_an_ending() -> None:
    assert set(ENDINGS) == {"", *PLAYS}


@pytest.mark.parametrize("play", ENDINGS)
def test_the_translator_understands_what_the_simulator_plays(play: str) -> None:
    meeting = Meeting(HardwireSimulator(), target_of(play))
    meeting.sign_in()
    try:
        meeting.send(f"[play:{play}] Explain it" if play else "Explain it")
        ending = meeting.ending()
    except GatewayError as error:
        ending = error.code
    assert ending == ENDINGS[play]


def test_an_expired_session_is_signed_in_anew() -> None:
    simulator = HardwireSimulator("expired")
    meeting = Meeting(simulator, STREAMED)
    old = meeting.sign_in()
    with pytest.raises(GatewayError) as caught:
        meeting.send("Explain it")
    assert (caught.value.code, caught.value.vendor_status) == ("upstream_auth", 401)
    again = Meeting(simulator, STREAMED)
    new = again.sign_in()
    again.send("Explain it")
    assert old != new
    assert again.ending() == "message.completed"


def test_the_answer_of_a_run_without_a_message_is_found_in_the_chat() -> None:
    meeting = Meeting(HardwireSimulator("workflow-documented"), RUN)
    meeting.sign_in()
    meeting.send("Explain it")
    assert [event.text for event in meeting.events if isinstance(event, TextCompleted)] == [
        "You asked: Explain it. This is Hardwire's simulator, and it answers in small pieces, as the real one does."
    ]


@pytest.mark.parametrize("play", ["sources", "documented"])
def test_the_messages_of_a_chat_are_listed_and_deleted_with_it(play: str) -> None:
    meeting = Meeting(HardwireSimulator(play), STREAMED)
    meeting.sign_in()
    ids = {"conversation": CHAT}
    meeting.send("Explain it")
    messages = meeting.run(lambda port: port.messages(ids))
    assert [(message.role, message.text) for message in messages] == [
        ("user", "Explain it"),
        ("assistant", "".join(event.text for event in meeting.events if isinstance(event, TextCompleted))),
    ]
    meeting.run(lambda port: port.delete(ids))
    with pytest.raises(GatewayError) as caught:
        meeting.run(lambda port: port.messages(ids))
    assert caught.value.code == "upstream_not_found"
    meeting.run(lambda port: port.delete(ids))


@pytest.mark.parametrize("ask", [HardwireConversations.messages, HardwireConversations.delete])
def test_anothers_chat_is_neither_listed_nor_deleted(
    ask: Callable[[HardwireConversations, dict[str, str]], Calls[Any]],
) -> None:
    meeting = Meeting(HardwireSimulator(), STREAMED)
    meeting.sign_in()
    with pytest.raises(GatewayError) as caught:
        meeting.run(lambda port: ask(port, {"conversation": OTHERS_CHAT}))
    assert (caught.value.code, caught.value.vendor_code) == ("upstream_auth", "CHAT_ACCESS_FORBIDDEN")


def test_the_descriptor_makes_them_all() -> None:
    assert HARDWIRE.translator is HardwireTranslator
    assert HARDWIRE.simulator is HardwireSimulator
    assert HARDWIRE.conversations is HardwireConversations

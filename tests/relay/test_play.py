"""What plays messages against the core finds what is wrong with a stream, or no sweep proves anything."""

import pytest

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageCompleted, MessageFailed, TextDelta, TextStarted
from gateway.protocols.base import Head, Pause, Reset, Send
from gateway.protocols.native.dialect import NativeEncoder
from tests.support.fakes import TARGET, Guest, Parrot, sse
from tests.support.play import (
    SILENCE,
    START,
    STARTED,
    STREAM,
    Played,
    Player,
    Question,
    answers,
    body_of,
    check,
    cut,
    in_pieces,
    play,
    read_stream,
    split,
    whole,
)

FRAME = NativeEncoder().event(0, STARTED)
HELLO = (STREAM, Send(sse(b"hello", b"stop")))


def hello() -> Played:
    return play(Question(Parrot), answers(HELLO), targets=(TARGET,))


@pytest.mark.parametrize(
    "data",
    [
        FRAME[:-1],
        FRAME + b"id: 1\n\n",
        FRAME.replace(b"\n", b"\r\n"),
        b": x\n" + FRAME,
        FRAME.replace(b"id: 0", b"id: 1"),
        FRAME.replace(b'"sequence":0', b'"sequence":1'),
        FRAME.replace(b"event: message.started", b"event: message"),
        FRAME + FRAME,
        FRAME.replace(b"data: ", b"data: \ndata: "),
    ],
)
def test_a_stream_that_is_not_whole_frames_in_order_is_found(data: bytes) -> None:
    assert read_stream(b": heartbeat\n\n" + FRAME) == [STARTED]
    with pytest.raises(AssertionError):
        read_stream(data)


def test_a_lawful_message_passes() -> None:
    check(hello())


def test_a_bug_is_found() -> None:
    played = hello()
    played.core.bugs.append(ZeroDivisionError())
    with pytest.raises(AssertionError):
        check(played)


def test_an_event_that_the_client_was_not_told_is_found() -> None:
    played = hello()
    played.log.insert(3, TextDelta(0, "more"))
    with pytest.raises(AssertionError):
        check(played)


def test_an_outcome_that_is_not_the_terminals_is_found() -> None:
    played = hello()
    played.log[-1] = MessageFailed(GatewayError("internal", "the gateway failed").body())
    with pytest.raises(AssertionError):
        check(played)


def test_a_stored_text_that_is_not_the_told_one_is_found() -> None:
    played = hello()
    played.core.answer.assembler.add(TextStarted(9))
    played.core.answer.assembler.add(TextDelta(9, "more"))
    check(played)
    for event in played.core.answer.assembler.open_events():
        played.core.answer.assembler.add(event)
    with pytest.raises(AssertionError):
        check(played)


def test_bytes_that_nobody_released_are_found() -> None:
    played = play(Question(Parrot), answers((STREAM, Send(sse(b"fault")))), targets=(TARGET,))
    check(played)
    played.data = FRAME
    with pytest.raises(AssertionError):
        check(played)


def test_the_clock_moves_in_pauses_alone() -> None:
    assert hello().seconds == 0
    paused = play(Question(Parrot), answers((STREAM, Pause(1.7), *HELLO[1:])), targets=(TARGET,))
    assert paused.seconds == pytest.approx(1.7)
    silent = play(Question(Parrot), answers((STREAM, SILENCE)), targets=(TARGET,))
    assert silent.seconds == TARGET.deadlines.first_event


def test_a_sign_in_that_breaks_off_fails_the_attempt() -> None:
    played = play(Question(Guest), answers((Head(200), Send(b"s"), Reset())), targets=(TARGET,))
    assert (played.code, played.cause) == ("upstream_unavailable", "reset_midstream")


def test_a_sign_in_that_never_ends_is_left() -> None:
    played = play(Question(Guest), answers((Head(200), SILENCE)), targets=(TARGET,))
    assert (played.cause, played.seconds) == ("first_event_timeout", TARGET.deadlines.first_event)


def test_a_request_more_than_there_are_answers_is_found() -> None:
    with pytest.raises(AssertionError, match="one request more than answers"):
        play(Question(Parrot), answers(), targets=(TARGET,))


def test_a_script_is_changed_in_its_bytes_alone() -> None:
    script = (STREAM, Send(b"ab"), Pause(1), Send(b"cde"))
    assert body_of(script) == b"abcde"
    assert whole(script) == (STREAM, Send(b"abcde"))
    assert split(script, 1) == (STREAM, Send(b"a"), Send(b"bcde"))
    assert in_pieces(script, 2) == (STREAM, Send(b"ab"), Send(b"cd"), Send(b"e"))
    assert cut(script, 3, (Reset(),)) == (STREAM, Send(b"abc"), Reset())


def test_a_player_begins_where_its_core_stands() -> None:
    core = hello().core
    played = Player(core, answers(), now=START + 5).run()
    assert (played.core.outcome, played.data, played.seconds) == ("completed", b"", 0)
    assert isinstance(core.answer.log[-1], MessageCompleted)

"""What plays messages against the core finds what is wrong with a stream, or no sweep proves anything."""

from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

import pytest

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageCompleted, MessageFailed, TextDelta, TextStarted
from gateway.protocols.base import (
    Form,
    FormPart,
    Head,
    Pause,
    Reset,
    Script,
    Send,
    SimulatedRequest,
    VendorRequest,
)
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
    simulated,
    split,
    whole,
)
from tests.support.terminals import terminal_end

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


class Echo:
    """A simulator that answers with what it was asked."""

    plays: Mapping[str, str] = MappingProxyType({})

    def answer(self, request: SimulatedRequest) -> Script:
        return (Head(200, {"Type": request.headers["Content-Type"], "Key": request.headers["Key"]}), Send(request.body))


async def upload() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


@pytest.mark.parametrize("data", [b"ab", upload()], ids=["bytes", "pieces"])
def test_a_simulator_is_asked_in_the_relays_rendering(data: bytes | AsyncIterator[bytes]) -> None:
    form = Form((FormPart("file", data, "a b.txt", "text/plain"),))
    head, sent = simulated(Echo())(VendorRequest("POST", "/files", body=form), {"Key": "k"})
    assert isinstance(head, Head)
    assert isinstance(sent, Send)
    boundary = head.headers["Type"].removeprefix("multipart/form-data; boundary=").encode()
    assert head.headers["Key"] == "k"
    assert sent.data == (
        b'--%b\r\nContent-Disposition: form-data; name="file"; filename="a b.txt"\r\nContent-Type: text/plain\r\n\r\n'
        b"ab\r\n--%b--\r\n" % (boundary, boundary)
    )


@pytest.mark.parametrize(
    ("protocol", "before", "terminal"),
    [
        ("chatbase", b'data: {"type":"text-end"}\n\n', b'data: {"type":"finish"}\n\n'),
        ("chatbase", b'{"type":"text-end"}\n', b'{"type":"finish"}'),
        ("hardwire", b'data: {"type":"content","delta":"end"}\n\n', b'data: {"type":"end"}\n\n'),
        ("hardwire", b'data: {"type":"error"}\n\n', b'data: {"type":"run_completed"}\n\n'),
        ("dimedove", b'data: {"status":"completed"}\n\n', b"event: response.completed\ndata: {}\n\n"),
        ("dimedove", b'event: response.failed\ndata: {"id":"r"}\n\n', b'data: {"type":"response.completed"}\n\n'),
        ("dynamiq", b"event: run.failed\ndata: {}\n\n", b"event: run.completed\ndata: {}\n\n"),
        (
            "dynamiq",
            b'data: {"type":"agent.human_feedback.requested","data":{"action":"info"}}\n\n',
            b'data: {"type":"agent.human_feedback.requested","data":{}}\n\n',
        ),
        ("dynamiq", b'data: {"type":"run.completed","sequence":5}\n\n', b'data: {"type":"run.completed"}\n\n'),
        ("sema4", b'data: {"event_type":"agent_error"}\r\n\r\n', b'data: {"event_type":"agent_finished"}\r\n\r'),
        ("sema4", b"data: DONE\r\r", b"data: [DONE]\r\r"),
        ("sema4", b"event: data\ndata: {}\n\n", b"event: end\ndata: {}\n\n"),
    ],
)
def test_a_terminal_is_whole_behind_the_last_byte_that_it_needs(protocol: str, before: bytes, terminal: bytes) -> None:
    end = len(before + terminal)
    assert terminal_end(protocol, before + terminal + b"\n\n: more\n\n", sequence=5) == end
    assert terminal_end(protocol, before, sequence=5) > len(before)

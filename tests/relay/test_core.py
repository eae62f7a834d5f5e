"""One message through the core: what commits it, what ends it, and that whatever a vendor does, it ends by the laws."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
from msgspec.structs import replace
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    MessageRouted,
    Notice,
    StepCompleted,
    StepStarted,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    Usage,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.message import TextPart
from gateway.canonical.turn import Turn
from gateway.framing.lines import JsonDecoder, NdjsonDecoder
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import Malformed
from gateway.protocols.base import (
    Authorization,
    Calls,
    Credentials,
    Head,
    Pause,
    Reset,
    Script,
    Send,
    Translator,
    VendorRequest,
)
from gateway.protocols.native.dialect import NativeEncoder
from gateway.relay.answer import Limits
from gateway.relay.core import Core, Pace
from gateway.routing.failover import Failover
from gateway.routing.health import Health, HealthSettings
from gateway.routing.plan import Ended, Failure, Route, Target
from gateway.routing.rules import Speed, TargetRules
from tests.support.fakes import ASK, SPARE, TARGET, Caller, Guest, Parrot, Vocabulary, sse
from tests.support.play import (
    DOCUMENT,
    SILENCE,
    START,
    STARTED,
    STREAM,
    Played,
    Question,
    Recorder,
    answers,
    check,
    plan_of,
    play,
)

ROUTED = MessageRouted("acme", 1, "parrot-1")
HELLO = (TextStarted(0), TextDelta(0, "Hello"), TextCompleted(0, "Hello"))
IDS = {"message": "m-1"}
COMPLETED = MessageCompleted("stop", "end", [], "acme", "parrot-1", None, IDS)
SPARED = (replace(ROUTED, vendor="spare", attempt=2), *HELLO, replace(COMPLETED, vendor="spare"))
GONE = GatewayError("upstream_unavailable", "the vendor is gone")
HEARTBEAT = b": heartbeat\n\n"
KEY = Authorization({"X-Key": "k"})


class Founder(Parrot):
    """Begins a conversation before its first message."""

    def requests(self, turn: Turn) -> Calls[None]:
        self.vendor_ids.update(turn.vendor_ids)
        if "conversation" not in turn.vendor_ids:
            created = yield VendorRequest("POST", "/create", effect="repeatable")
            self.vendor_ids["conversation"] = created.body.decode()
        yield ASK


class InTurn:
    """A plan that asks each target once, and remembers why it was asked for the next."""

    def __init__(self, *targets: Target) -> None:
        self.failures: list[Failure] = []
        self.ended_attempts: list[Ended] = []
        self._left = iter(targets)

    def next(self, failure: Failure | None, now: float) -> tuple[Target, float] | None:
        if failure is not None:
            self.failures.append(failure)
        target = next(self._left, None)
        return None if target is None else (target, 0.0)

    def again(self, now: float) -> None:
        """Nothing is counted."""

    def ended(self, ended: Ended, now: float) -> None:
        self.ended_attempts.append(ended)

    def pause_left(self, now: float) -> float:
        return 0.0

    def has_other(self, now: float) -> bool:
        return True


def told(*words: bytes) -> Script:
    return STREAM, Send(sse(*words))


def run(*scripts: Script, make: Any = Parrot, stream: bool = True, checked: bool = True, **how: Any) -> Played:
    """One message to one target, held against the laws."""
    wants = how.pop("wants_vendor_events", False)
    targets = how.pop("targets", (TARGET,))
    question = Question(make, stream=stream, wants_vendor_events=wants)
    played = play(question, answers(*scripts), targets=targets, **how)
    if checked:
        check(played)
    return played


def begin(make: Any = Parrot, target: Target = TARGET, pace: Pace | None = None) -> Core:
    """A core whose vendor has begun to answer."""
    core = new_core(make, target, pace)
    assert core.authorized(KEY, START) == b""
    assert core.sent(START) == b""
    assert core.answered(200, CIMultiDict({"Content-Type": "text/event-stream"}), START) == b""
    return core


def new_core(make: Any = Parrot, target: Target = TARGET, pace: Pace | None = None) -> Core:
    plan = plan_of(target)
    return Core(Question(make), plan, NativeEncoder(), START, limits=Limits(), pace=pace or Pace())


def knowing(**words: Sequence[Any]) -> tuple[Target, ...]:
    return (replace(TARGET, settings=Vocabulary({word.encode(): meaning for word, meaning in words.items()})),)


def failure(code: Any, message: str, *, vendor: str | None = "acme", **fields: Any) -> MessageFailed:
    usage, ids = fields.pop("usage", None), fields.pop("ids", IDS)
    error = GatewayError(code, message, vendor=vendor, **fields)
    return MessageFailed(error.body("req_1"), usage, ids)


# --- a run that is gone back to


class Lasting(Parrot):
    """Its run goes on when the stream breaks, and can be stopped."""

    def resume(self) -> VendorRequest | None:
        return None if self.ending else VendorRequest("GET", "/run", framing=SseDecoder)

    def cancel(self) -> VendorRequest | None:
        return VendorRequest("POST", "/run/cancel", effect="repeatable")


def paths(played: Played) -> list[str]:
    return [request.path for request in played.requests]


@pytest.mark.parametrize("ending", [(), (Reset(),)], ids=["clean", "reset"])
def test_a_run_whose_stream_breaks_is_gone_back_to_in_the_same_attempt(ending: tuple[Reset, ...]) -> None:
    played = run((*told(b"hello"), *ending), told(b"there", b"stop"), make=Lasting)
    assert played.log == [
        STARTED,
        ROUTED,
        TextStarted(0),
        TextDelta(0, "Hello"),
        TextDelta(0, " there"),
        TextCompleted(0, "Hello there"),
        COMPLETED,
    ]
    assert (paths(played), [attempt.resumes for attempt in played.core.attempts]) == (["/ask", "/run"], [1])


def test_before_its_first_content_a_run_is_gone_back_to_as_well() -> None:
    played = run(
        (STREAM, Send(sse(b"usage")), Reset()), told(b"hello", b"stop"), make=Lasting, plan=InTurn(TARGET, SPARE)
    )
    assert [attempt.target.vendor for attempt in played.core.attempts] == ["acme"]
    assert played.core.outcome == "completed"


def test_a_run_of_which_nothing_new_is_heard_is_gone_back_to_three_times() -> None:
    silent = (STREAM,)
    played = run(told(b"hello"), silent, silent, silent, make=Lasting)
    assert (paths(played), played.code) == (["/ask", "/run", "/run", "/run"], "upstream_protocol")
    assert played.seconds == pytest.approx(1.5)


def test_news_of_a_run_let_it_be_gone_back_to_again() -> None:
    news = [told(b"there") for _ in range(5)]
    played = run(told(b"hello"), *news, told(b"stop"), make=Lasting)
    assert (played.core.outcome, played.core.attempts[0].resumes) == ("completed", 6)
    assert played.core.answer.assembler.parts() == [TextPart("Hello" + " there" * 5, 0)]


def test_where_a_run_cannot_be_gone_back_to_what_broke_it_is_told() -> None:
    played = run((*told(b"hello"), Reset()), (Head(404),), make=Lasting)
    assert (played.code, played.cause) == ("upstream_unavailable", "reset_midstream")


def test_a_run_that_fails_after_it_was_gone_back_to_tells_its_own_failure() -> None:
    played = run((*told(b"hello"), Reset()), told(b"fault"), make=Lasting)
    assert (played.code, played.cause) == ("upstream_unavailable", "vendor_error")


@pytest.mark.parametrize("word", [b"fault", b"bug", b"unheard of"])
def test_a_run_that_did_not_break_off_is_not_gone_back_to(word: bytes) -> None:
    played = run(told(b"hello", word), make=Lasting, checked=False)
    assert (paths(played), played.core.outcome) == (["/ask"], "failed")


def test_a_run_that_told_its_terminal_is_not_gone_back_to() -> None:
    assert paths(run((*told(b"hello", b"ending"), Reset()), make=Lasting)) == ["/ask"]


def test_a_translator_that_cannot_say_how_to_go_back_is_a_bug_and_what_broke_is_told() -> None:
    class Forgetful(Parrot):
        def resume(self) -> VendorRequest | None:
            raise ZeroDivisionError("secret")

    played = run((*told(b"hello"), Reset()), make=Forgetful, checked=False)
    assert (played.cause, [type(bug) for bug in played.core.bugs]) == ("reset_midstream", [ZeroDivisionError])


def stopped(core: Core) -> list[tuple[str, str]]:
    return [(left.vendor, left.stop.path) for left in core.left]


def test_a_run_that_was_canceled_here_is_to_be_stopped() -> None:
    core = begin(Lasting)
    assert core.left == []
    core.cancel("client_gone", START)
    assert stopped(core) == [("acme", "/run/cancel")]


def test_a_run_that_is_ended_for_a_reason_of_ours_is_to_be_stopped() -> None:
    core = begin(Lasting)
    core.fail(GatewayError("overloaded", "the gateway stops"), START)
    assert stopped(core) == [("acme", "/run/cancel")]


def test_a_run_that_is_left_for_another_vendor_is_to_be_stopped() -> None:
    played = run((STREAM, SILENCE), told(b"hello", b"stop"), make=Lasting, plan=InTurn(TARGET, SPARE))
    assert played.core.outcome == "completed"
    assert stopped(played.core) == [("acme", "/run/cancel")]


def test_each_run_that_is_left_is_to_be_stopped() -> None:
    played = run((STREAM, SILENCE), told(b"hello", b"fault"), make=Lasting, plan=InTurn(TARGET, SPARE))
    assert played.core.outcome == "failed"
    assert stopped(played.core) == [("acme", "/run/cancel"), ("spare", "/run/cancel")]


def test_a_run_that_is_over_is_not_stopped() -> None:
    assert stopped(run(told(b"hello", b"stop"), make=Lasting).core) == []


def test_a_run_that_was_never_asked_for_is_not_stopped() -> None:
    core = new_core(Lasting)
    core.cancel("client_gone", START)
    assert core.left == []


def test_a_translator_that_cannot_say_how_to_stop_is_a_bug() -> None:
    class Stubborn(Parrot):
        def cancel(self) -> VendorRequest | None:
            raise ZeroDivisionError("secret")

    core = begin(Stubborn)
    core.cancel("client_gone", START)
    assert (core.left, [type(bug) for bug in core.bugs]) == ([], [ZeroDivisionError])


# --- commit


def test_an_answer_is_told_from_its_start_to_its_end() -> None:
    played = run(told(b"hello", b"close", b"stop"))
    assert played.log == [STARTED, ROUTED, *HELLO, COMPLETED]
    assert (played.core.outcome, played.core.error, played.cause) == ("completed", None, "completed")


def test_the_first_content_is_sent_at_once_and_nothing_before_it() -> None:
    core = begin()
    assert core.received(sse(b"open", b"step", b"usage"), START + 1) == b""
    assert core.answer.released is False
    data = core.received(sse(b"there"), START + 2)
    assert [line for line in data.split(b"\n") if line.startswith(b"event: ")] == [
        b"event: message.started",
        b"event: message.routed",
        b"event: text.started",
        b"event: step.started",
        b"event: usage",
        b"event: text.delta",
    ]
    assert core.first_event_at == START + 1


def test_half_an_event_is_nothing_yet() -> None:
    core = begin()
    assert core.received(sse(b"hello")[:-1], START) == b""
    assert core.received(b"\n", START).endswith(b'"delta":"Hello"}\n\n')


def test_lifecycle_events_alone_never_commit() -> None:
    played = run(told(b"open", b"step", b"usage", b"fault"))
    assert (played.core.answer.released, played.core.answer.committed, played.data) == (False, False, b"")
    assert played.log == [
        STARTED,
        failure("upstream_unavailable", "the vendor is down", usage=Usage(input_tokens=3, partial=True)),
    ]


def test_what_is_held_is_capped() -> None:
    names = ("x" * 300,) * 300
    many = tuple(StepStarted(number, name) for number, name in enumerate(names))
    played = run(told(b"many"), targets=knowing(many=many))
    assert (played.code, played.cause, played.core.answer.released) == ("upstream_protocol", "too_large", False)
    below = run(told(b"many", b"hello", b"stop"), targets=knowing(many=many[:150]))
    assert below.core.outcome == "completed"


def test_an_answer_is_capped() -> None:
    limits = Limits(message=1000)
    played = run((STREAM, Send(sse(b"hello")), *[Send(sse(b"there"))] * 100), limits=limits)
    assert (played.code, played.cause) == ("upstream_protocol", "too_large")
    assert played.core.answer.assembler.size < 1030
    document = run((STREAM, Send(sse(b"hello")), *[Send(sse(b"there"))] * 100), limits=limits, stream=False)
    assert (document.code, document.cause) == ("upstream_protocol", "too_large")


def test_a_vendor_that_reports_usage_for_ever_is_capped_too() -> None:
    reports = Send(sse(*[b"usage"] * 100))
    played = run((STREAM, Send(sse(b"hello")), *[reports] * 100, SILENCE), limits=Limits(message=10_000))
    assert (played.code, played.cause) == ("upstream_protocol", "too_large")


def test_a_document_commits_nothing_before_its_end() -> None:
    played = run(told(b"hello", b"close", b"stop"), stream=False)
    assert (played.data, played.core.answer.released) == (b"", False)
    assert played.log == [STARTED, ROUTED, *HELLO, COMPLETED]
    assert played.core.answer.assembler.parts() == [TextPart("Hello", 0)]


def test_a_document_that_fails_half_way_keeps_what_there_was() -> None:
    played = run(told(b"hello", b"fault"), stream=False)
    assert played.log == [
        STARTED,
        MessageRouted("acme", 1),
        *HELLO,
        failure("upstream_unavailable", "the vendor is down"),
    ]


# --- the clock: headers, heartbeats, deadlines


def test_after_a_while_the_stream_begins_without_content_and_fails_in_itself() -> None:
    played = run((STREAM, Pause(11), Send(sse(b"fault"))))
    assert (played.core.answer.released, played.core.answer.committed) == (True, False)
    assert played.log == [STARTED, failure("upstream_unavailable", "the vendor is down")]


def test_the_start_is_not_told_twice_when_content_follows() -> None:
    played = run((STREAM, Pause(12), Send(sse(b"hello", b"stop"))))
    assert played.log == [STARTED, ROUTED, *HELLO, COMPLETED]


def test_the_stream_begins_at_headers_after_and_not_before() -> None:
    core = begin()
    assert core.tick(START + 9.5) == b""
    assert core.tick(START + 10).startswith(b"id: 0\nevent: message.started\n")


def test_heartbeats_come_at_their_interval_and_never_before_release() -> None:
    core = begin(pace=Pace(headers_after=12, heartbeat=5))
    ticks = {second: core.tick(START + second) for second in range(1, 20)}
    assert [second for second, data in ticks.items() if data] == [12, 17]
    assert ticks[17] == HEARTBEAT
    assert core.answer.heartbeats == 1


def test_what_is_said_puts_the_heartbeat_off() -> None:
    core = begin(pace=Pace(heartbeat=5))
    core.received(sse(b"hello"), START + 1)
    core.received(sse(b"there"), START + 4)
    assert [core.tick(START + second) for second in (6, 8.5, 9, 13.5, 14)] == [b"", b"", HEARTBEAT, b"", HEARTBEAT]


def test_a_document_has_no_heartbeat() -> None:
    played = run((STREAM, Send(sse(b"hello")), Pause(25), Send(sse(b"stop"))), stream=False)
    assert (played.data, played.core.answer.heartbeats) == (b"", 0)


COMMENTS = (Send(b": still here\n\n"), Pause(0.5))


@pytest.mark.parametrize(
    ("script", "cause", "seconds"),
    [
        ((STREAM, *COMMENTS * 100), "first_event_timeout", 20),
        ((STREAM, *(Send(sse(b"sparkle")), Pause(0.5)) * 100), "first_event_timeout", 20),
        ((STREAM, *(Send(sse(b"odd")), Pause(0.5)) * 100), "first_event_timeout", 20),
        ((SILENCE,), "first_event_timeout", 20),
        ((STREAM, SILENCE), "first_event_timeout", 20),
        ((STREAM, Pause(10), Send(sse(b"hello")), SILENCE), "idle_timeout", 40),
        ((STREAM, Pause(10), Send(sse(b"hello", b"there")), *COMMENTS * 100), "idle_timeout", 40),
        ((STREAM, *(Send(sse(b"step")), Pause(10)), SILENCE), "idle_timeout", 30),
        ((STREAM, *(Send(sse(b"open")), *(Send(sse(b"there")), Pause(1)) * 150)), "total_timeout", 120),
    ],
    ids=["comments", "unknown", "oddities", "no-head", "no-body", "silence", "heartbeats", "lifecycle", "slow"],
)
def test_a_vendor_that_does_not_come_to_the_point_is_left(script: Script, cause: str, seconds: float) -> None:
    played = run(script)
    assert (played.code, played.cause, played.seconds) == ("upstream_timeout", cause, seconds)


def test_one_byte_a_second_ends_with_the_total_deadline() -> None:
    body = sse(b"hello", *[b"there"] * 20)
    drip = [step for byte in body for step in (Send(bytes([byte])), Pause(1))]
    target = replace(TARGET, deadlines=replace(TARGET.deadlines, total=100))
    played = run((STREAM, *drip), targets=(target,))
    assert (played.code, played.cause, played.seconds) == ("upstream_timeout", "total_timeout", 100)


def test_a_connection_that_does_not_come_about_is_given_up() -> None:
    core = new_core()
    core.authorized(KEY, START)
    core.connects(START)
    core.tick(START + 4.5)
    assert core.do == "call"
    core.tick(START + 5)
    assert (core.do, core.attempts[0].outcome) == ("done", "connect_timeout")


class Tireless(Parrot):
    """May be asked again whatever became of the first time."""

    def requests(self, turn: Turn) -> Calls[None]:
        yield replace(ASK, effect="repeatable")


class Patient(Parrot):
    """Its second request follows the first one's stream, and waits."""

    def requests(self, turn: Turn) -> Calls[None]:
        yield ASK
        yield replace(ASK, after=8)


def test_the_wait_before_a_request_is_no_part_of_connecting() -> None:
    played = run(told(b"hello"), told(b"stop"), make=Patient)
    assert (played.core.outcome, played.seconds) == ("completed", 8)


def test_who_waits_for_a_slow_client_does_not_connect_yet() -> None:
    core = begin(Patient)
    core.received(sse(b"hello"), START)
    core.ended(None, START)
    core.tick(START + 9)
    assert (core.do, core.request) == ("call", replace(ASK, after=8))
    core.connects(START + 9)
    core.tick(START + 13.5)
    assert core.do == "call"
    core.tick(START + 14)
    assert (core.do, core.attempts[0].outcome) == ("done", "connect_timeout")


def test_signing_in_counts_towards_the_first_event() -> None:
    core = new_core()
    core.tick(START + 19.5)
    assert core.do == "authorize"
    core.tick(START + 20)
    assert (core.do, core.attempts[0].outcome) == ("done", "first_event_timeout")


def test_of_deadlines_that_were_all_found_too_late_the_first_is_told() -> None:
    core = new_core()
    core.tick(START + 1000)
    assert (core.do, core.attempts[0].outcome) == ("done", "first_event_timeout")


# --- a client that reads slowly


def ends(core: Core, seconds: float, cause: str) -> bool:
    """Whether a deadline ends it then, and not half a second earlier."""
    core.tick(START + seconds - 0.5)
    assert core.do != "done"
    core.tick(START + seconds)
    return core.attempts[-1].outcome == cause


@pytest.mark.parametrize(("since", "until", "ended"), [(5, 15, 30), (-5, 10, 30), (0, 0, 20)])
def test_the_time_to_the_first_event_stands_still_while_the_client_does_not_read(
    since: float, until: float, ended: float
) -> None:
    """However long it had not read when the target was asked."""
    core = new_core()
    core.stood_still(START + since, START + until)
    assert ends(core, ended, "first_event_timeout")


def test_a_client_that_reads_on_before_a_target_is_asked_again_takes_none_of_its_time() -> None:
    patient = replace(TARGET, rules=TargetRules(retries=1, mid_stream="restart"))
    core = begin(Tireless, patient)
    core.received(sse(b"hello", b"fault"), START)
    wait = core.not_before - START
    assert (core.do, wait > 0) == ("authorize", True)
    core.stood_still(START, START + wait / 2)
    assert core.attempts[-1].started == core.not_before


def test_a_refusal_that_is_not_read_for_a_slow_client_has_all_its_time() -> None:
    core = new_core()
    core.authorized(KEY, START)
    core.sent(START)
    core.answered(503, CIMultiDict(), START)
    core.stood_still(START + 1, START + 11)
    assert ends(core, 15, "status_5xx")


def test_the_speed_of_a_vendor_that_is_not_heard_is_not_its_own() -> None:
    hasty = replace(TARGET, rules=TargetRules(retries=0, min_speed=Speed(characters=10, window=2)))
    plan = InTurn(hasty, SPARE)
    core = Core(Question(Parrot), plan, NativeEncoder(), START, limits=Limits(), pace=Pace())
    core.authorized(KEY, START)
    core.sent(START)
    core.answered(200, CIMultiDict({"Content-Type": "text/event-stream"}), START)
    core.received(sse(b"hello"), START + 1)
    core.stood_still(START, START + 11)
    core.tick(START + 12.5)
    assert core.target is hasty
    core.tick(START + 13)
    assert (core.target, core.attempts[0].outcome) == (SPARE, "too_slow")


def test_the_silence_of_a_vendor_that_is_not_heard_is_not_its_own() -> None:
    core = begin()
    core.received(sse(b"hello"), START)
    core.stood_still(START + 10, START + 30)
    assert ends(core, 50, "idle_timeout")


def test_what_was_heard_after_the_client_stopped_reading_is_as_if_it_were_heard_when_it_reads_on() -> None:
    core = begin()
    core.received(sse(b"hello"), START + 12)
    core.stood_still(START + 10, START + 30)
    assert ends(core, 60, "idle_timeout")


def test_a_client_that_reads_slowly_does_not_prolong_an_answer_that_has_begun() -> None:
    core = begin(target=replace(TARGET, deadlines=replace(TARGET.deadlines, idle=120)))
    core.received(sse(b"hello"), START)
    core.stood_still(START + 10, START + 30)
    assert ends(core, 120, "total_timeout")


def test_connecting_and_waiting_for_trailers_stand_still_as_well() -> None:
    connecting = new_core()
    connecting.authorized(KEY, START)
    connecting.connects(START)
    connecting.stood_still(START + 2, START + 12)
    assert ends(connecting, 15, "connect_timeout")
    ending = begin()
    ending.received(sse(b"hello", b"ending"), START)
    ending.stood_still(START, START + 10)
    ending.tick(START + 10.5)
    assert ending.do == "call"
    ending.tick(START + 11)
    assert ending.outcome == "completed"


# --- ending


def test_trailers_are_waited_for_one_second() -> None:
    played = run((STREAM, Send(sse(b"hello", b"ending")), SILENCE))
    assert (played.log[-1], played.seconds) == (COMPLETED, 1)


class Undecided(Parrot):
    """What follows behind its end takes the end back."""

    def feed(self, record: Record) -> Iterator[Event | Notice]:
        self.ending = False
        return super().feed(record)


def test_a_vendor_that_goes_on_behind_its_end_is_waited_for_as_before() -> None:
    later = (Pause(0.75), Send(sse(b"there")), Pause(0.75), Send(sse(b"stop")))
    played = run((STREAM, Send(sse(b"hello", b"ending")), *later), make=Undecided)
    assert (played.core.outcome, played.seconds) == ("completed", 1.5)


def test_a_trailer_does_not_prolong_the_wait() -> None:
    trailers = (Pause(0.5), Send(sse(b"usage"))) * 5
    played = run((STREAM, Send(sse(b"hello", b"ending")), *trailers))
    assert (played.core.outcome, played.seconds) == ("completed", 1)


@pytest.mark.parametrize("fault", [(Reset(),), (Send(sse(b"fault")),), (Send(sse(b"bug")),), (SILENCE,), ()])
def test_nothing_fails_an_answer_whose_terminal_was_read(fault: Script) -> None:
    played = run((STREAM, Send(sse(b"hello", b"ending")), *fault), checked=False)
    assert played.core.outcome == "completed"
    assert played.log == [STARTED, ROUTED, *HELLO, COMPLETED]


def test_a_bug_behind_the_terminal_is_no_secret() -> None:
    played = run((STREAM, Send(sse(b"hello", b"ending", b"bug"))), checked=False)
    assert (played.core.outcome, [type(bug) for bug in played.core.bugs]) == ("completed", [ZeroDivisionError])


class Sequel(Parrot):
    """After its stream it asks once more, and tells what it is told."""

    def requests(self, turn: Turn) -> Calls[None]:
        yield ASK
        answer = yield VendorRequest("GET", "/rest")
        self.vendor_ids["rest"] = answer.body.decode()


@pytest.mark.parametrize(
    ("second", "rest"),
    [
        ((DOCUMENT, Send(b"r-1")), {"rest": "r-1"}),
        ((DOCUMENT, Send(b"r-1"), Reset()), {}),
        ((Head(500), Send(b"no")), {}),
        ((Head(302),), {}),
        ((DOCUMENT, Send(b"r"), SILENCE), {}),
        ((SILENCE,), {}),
    ],
    ids=["well", "reset", "refusal", "redirect", "half", "silence"],
)
def test_what_is_asked_behind_the_terminal_may_fail(second: Script, rest: dict[str, str]) -> None:
    played = run((STREAM, Send(sse(b"hello", b"ending")), SILENCE), second, make=Sequel)
    assert played.log == [STARTED, ROUTED, *HELLO, replace(COMPLETED, vendor_ids=IDS | rest)]


def test_each_request_behind_the_terminal_has_a_second_of_its_own() -> None:
    played = run((STREAM, Send(sse(b"hello", b"ending")), SILENCE), (SILENCE,), make=Sequel)
    assert (played.core.outcome, played.seconds) == ("completed", 2)


def test_what_comes_after_the_terminal_is_counted_and_dropped() -> None:
    played = run(told(b"hello", b"stop", b"there", b"odd", b"fault", b"there"))
    assert played.log == [STARTED, ROUTED, *HELLO, COMPLETED]
    assert played.core.attempts[0].notices == {"after_terminal": 1}


class Chatty(Parrot):
    """Calls what follows its terminal an oddity by itself."""

    is_over = False

    def feed(self, record: Record) -> Iterator[Event | Notice]:
        if self.is_over:
            return iter((Notice("after_terminal"),))
        self.is_over = record.data == b"stop"
        return super().feed(record)


def test_what_a_translator_itself_finds_behind_the_terminal_is_counted() -> None:
    played = run(told(b"hello", b"stop", b"there", b"there"), make=Chatty)
    assert played.core.attempts[0].notices == {"after_terminal": 2}


def test_bytes_behind_the_end_are_nothing() -> None:
    core = begin()
    core.received(sse(b"hello", b"stop"), START)
    assert [core.received(sse(b"there"), START), core.tick(START + 99), core.cancel("canceled", START + 99)] == [
        b""
    ] * 3
    assert core.fail(GONE, START + 99) == b""
    assert (core.outcome, core.ended_at) == ("completed", START)


def test_a_stream_that_ends_without_its_terminal_is_never_completed() -> None:
    played = run(told(b"hello"))
    assert played.log == [
        STARTED,
        ROUTED,
        *HELLO,
        failure("upstream_protocol", "the parrot fell silent"),
    ]
    assert played.cause == "truncated"


class Silent(Parrot):
    """Says nothing at its end, not even that it was no end."""

    def finish(self) -> Iterator[Event | Notice]:
        return iter(())


def test_a_translator_that_lets_a_stream_end_without_a_terminal_is_not_believed() -> None:
    played = run(told(b"hello"), make=Silent)
    assert (played.code, played.cause) == ("upstream_protocol", "truncated")


def test_a_vendor_that_cancels_unasked_cancels_the_message() -> None:
    played = run(told(b"hello", b"usage", b"abort"))
    usage = Usage(input_tokens=3, partial=True)
    assert played.log == [
        STARTED,
        ROUTED,
        *HELLO[:2],
        UsageReported(input_tokens=3),
        HELLO[2],
        MessageCanceled("vendor", usage, IDS),
    ]
    assert (played.core.outcome, played.cause) == ("canceled", "canceled")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((b"stop",), "upstream_empty"),
        ((b"open", b"usage", b"stop"), "upstream_empty"),
        ((b"filtered",), "content_filtered"),
        ((b"open", b"filtered"), "content_filtered"),
    ],
)
def test_an_answer_of_nothing_is_a_failure(words: tuple[bytes, ...], code: str) -> None:
    played = run(told(*words))
    assert (played.code, played.core.answer.released) == (code, False)


def test_an_answer_that_is_filtered_half_way_is_completed_so() -> None:
    played = run(told(b"hello", b"filtered"))
    assert played.log == [
        STARTED,
        ROUTED,
        *HELLO,
        replace(COMPLETED, finish_reason="content_filter", raw_finish_reason=None),
    ]


CALL = (ToolCallStarted(0, "call_1", "pay", "client"), ToolCallDelta(0, "call_1", '{"sum":'))
CUT = ToolCallCompleted(0, "call_1", "pay", {}, "cut", '{"sum":')


def test_a_call_that_is_cut_fails_the_message() -> None:
    played = run(told(b"call", b"owed"), targets=knowing(call=CALL, owed=(MessageCompleted("tool_calls"),)))
    assert played.log == [
        STARTED,
        ROUTED,
        *CALL,
        CUT,
        failure("upstream_protocol", "a tool call of the vendor's cannot be read"),
    ]
    assert played.cause == "malformed"


def test_a_call_that_the_length_cut_is_told_as_cut() -> None:
    played = run(told(b"call", b"length"), targets=knowing(call=CALL))
    assert played.log == [
        STARTED,
        ROUTED,
        *CALL,
        CUT,
        replace(COMPLETED, finish_reason="length", raw_finish_reason=None),
    ]


def test_a_call_of_the_vendors_own_may_stay_open() -> None:
    call = (ToolCallStarted(0, "call_1", "search", "vendor"),)
    played = run(told(b"call", b"stop"), targets=knowing(call=call))
    assert played.log[-2:] == [ToolCallCompleted(0, "call_1", "search", {}, "cut", ""), COMPLETED]


def test_open_steps_are_completed_before_the_terminal() -> None:
    played = run(told(b"step", b"hello", b"stop"))
    assert played.log == [STARTED, ROUTED, StepStarted(0, "search"), *HELLO, StepCompleted(0, "search"), COMPLETED]


# --- responses


def test_an_answer_of_another_type_is_a_refusal() -> None:
    played = run((Head(200, {"Content-Type": "text/html"}), Send(b"<html>"), Send(b"please sign in")))
    error = played.core.error
    assert error is not None
    assert (error.code, error.cause, error.vendor_status, error.vendor_message, error.vendor) == (
        "upstream_protocol",
        "content_type",
        200,
        "<html>please sign in",
        "acme",
    )


@pytest.mark.parametrize(
    "media_type", ["text/event-stream; charset=utf-8", "Text/Event-Stream", " text/event-stream ;x"]
)
def test_a_media_type_may_have_parameters_and_any_case(media_type: str) -> None:
    played = run((Head(200, {"content-type": media_type}), Send(sse(b"hello", b"stop"))))
    assert played.core.outcome == "completed"


@pytest.mark.parametrize(
    ("head", "code", "cause"),
    [
        (Head(301, {"Location": "http://169.254.169.254/"}), "upstream_protocol", "redirect"),
        (Head(304), "upstream_protocol", "redirect"),
        (Head(307), "upstream_protocol", "redirect"),
        (Head(204), "upstream_protocol", "truncated"),
        (Head(205), "upstream_protocol", "truncated"),
        (Head(200, {"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}), "upstream_protocol", "encoding"),
        (Head(200, {"Content-Type": "text/event-stream", "Content-Encoding": "br"}), "upstream_protocol", "encoding"),
        (Head(503, {"Content-Encoding": "gzip"}), "upstream_unavailable", "status_5xx"),
    ],
)
def test_a_response_that_is_not_plain_is_left_at_its_head(head: Head, code: str, cause: str) -> None:
    played = run((head, SILENCE))
    assert (played.code, played.cause, played.seconds) == (code, cause, 0)


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
def test_an_answer_that_says_it_is_plain_is_read(encoding: str) -> None:
    head = Head(200, {"Content-Type": "text/event-stream", "Content-Encoding": encoding})
    assert run((head, Send(sse(b"hello", b"stop")))).core.outcome == "completed"


@pytest.mark.parametrize("status", [200, 201, 404])
def test_an_answer_that_the_translator_wants_itself_is_read_whole(status: int) -> None:
    class Checking(Caller):
        def finish(self) -> Iterator[Event | Notice]:
            assert self.response is not None
            self.ending = (self.response.status, self.response.body) == (status, b"[1]")
            return super().finish()

    played = run((Head(status), Send(b"["), Send(b"1]")), told(b"hello"), make=Checking)
    assert played.core.outcome == "completed"
    assert [request.path for request in played.requests] == ["/open", "/ask"]


def test_a_status_that_it_does_not_want_is_a_refusal() -> None:
    played = run((Head(409, {"Retry-After": "3"}), Send(b"busy")), make=Caller)
    error = played.core.error
    assert error is not None
    assert (error.code, error.cause, error.retry_after) == ("upstream_rejected", "status_4xx", 3)
    assert (error.vendor_status, error.vendor_message) == (409, "busy")


def test_a_refusal_is_read_up_to_its_cap() -> None:
    played = run((Head(500), *[Send(b"x" * 1000)] * 100), limits=Limits(error_body=2500))
    assert played.core.error is not None
    assert (played.code, len(played.core.error.vendor_message or "")) == ("upstream_unavailable", 2500)


def test_a_refusal_without_end_is_read_for_five_seconds() -> None:
    played = run((Head(529), Send(b"over"), Pause(1), Send(b"loaded"), SILENCE))
    assert played.core.error is not None
    assert (played.code, played.core.error.vendor_message) == ("upstream_unavailable", "overloaded")
    assert played.seconds == 5


@pytest.mark.parametrize("ending", [(), (Reset(),)])
def test_a_refusal_that_breaks_off_is_read_as_far_as_it_came(ending: Script) -> None:
    played = run((Head(400), Send(b"too long"), *ending))
    assert played.core.error is not None
    assert (played.code, played.core.error.vendor_message) == ("upstream_rejected", "too long")


def test_a_document_of_the_vendors_is_capped() -> None:
    played = run((DOCUMENT, *[Send(b"x" * 100)] * 100), make=Caller, limits=Limits(record=1000))
    assert (played.code, played.cause) == ("upstream_protocol", "too_large")


class Telling(Parrot):
    """Tells its answer as lines, or as one document."""

    framing: Any = NdjsonDecoder

    def requests(self, turn: Turn) -> Calls[None]:
        yield replace(ASK, framing=self.framing)


class TellingWhole(Telling):
    framing = JsonDecoder


@pytest.mark.parametrize("make", [Telling, TellingWhole])
@pytest.mark.parametrize("size", [101, 1000])
def test_a_record_over_its_cap_is_refused(make: Any, size: int) -> None:
    played = run((DOCUMENT, Send(b"x" * size)), make=make, limits=Limits(record=100))
    assert (played.code, played.cause) == ("upstream_protocol", "too_large")


def test_the_last_line_needs_no_end() -> None:
    played = run((DOCUMENT, Send(b"hello\nstop")), make=Telling)
    assert played.log == [STARTED, ROUTED, *HELLO, COMPLETED]


class Overflowing(NdjsonDecoder):
    def end(self) -> list[Record]:
        self._keep(b"x" * 200, "a line")
        return []


def test_a_record_that_is_too_large_at_the_end_is_refused() -> None:
    class Late(Telling):
        framing = Overflowing

    played = run((DOCUMENT, Send(b"hello\n")), make=Late, limits=Limits(record=100))
    assert (played.code, played.cause) == ("upstream_protocol", "too_large")


def test_a_vendor_that_closes_without_an_answer_is_unavailable() -> None:
    played = run(())
    assert (played.code, played.cause) == ("upstream_unavailable", "reset_before_headers")


@pytest.mark.parametrize("words", [(), (b"open",)])
def test_a_reset_before_content_is_a_plain_failure(words: tuple[bytes, ...]) -> None:
    played = run((STREAM, Send(sse(*words)), Reset()))
    assert (played.code, played.cause, played.data) == ("upstream_unavailable", "reset_midstream", b"")


def test_a_reset_after_content_closes_what_is_open() -> None:
    played = run((STREAM, Send(sse(b"step", b"hello")), Reset()))
    assert played.log == [
        STARTED,
        ROUTED,
        StepStarted(0, "search"),
        *HELLO,
        StepCompleted(0, "search"),
        failure("upstream_unavailable", "the connection broke"),
    ]


# --- events


def test_what_nobody_knows_is_counted_and_passed_only_where_it_is_asked_for() -> None:
    played = run(told(b"hello", b"sparkle", b"sparkle", b"stop"))
    assert played.log == [STARTED, ROUTED, *HELLO, COMPLETED]
    assert played.core.attempts[0].unknown_events == 2
    asked = run(told(b"sparkle", b"hello", b"stop"), wants_vendor_events=True)
    assert asked.log == [STARTED, ROUTED, VendorEvent("sparkle", {"n": 1}, "acme"), *HELLO, COMPLETED]
    assert asked.core.attempts[0].unknown_events == 1


def test_oddities_are_counted_and_never_told() -> None:
    played = run(told(b"odd", b"hello", b"odd", b"stop"))
    assert played.log == [STARTED, ROUTED, *HELLO, COMPLETED]
    assert played.core.attempts[0].notices == {"vendor_sequence": 2}


def test_bytes_that_are_no_text_are_repaired_and_counted() -> None:
    words = Vocabulary({"hello\ufffd".encode(): (TextStarted(0), TextDelta(0, "Hello"))})
    played = run((STREAM, Send(sse(b"hello\xff", b"stop"))), targets=(replace(TARGET, settings=words),))
    assert (played.core.outcome, played.core.attempts[0].notices) == ("completed", {"repaired_utf8": 1})


def test_an_event_that_cannot_be_read_is_the_vendors_fault() -> None:
    played = run(told(b"hello", b"torn"), targets=knowing(torn=(Malformed("expected `str` - at `$.text`"),)))
    error = played.core.error
    assert error is not None
    assert (error.code, error.cause, error.vendor_message) == (
        "upstream_protocol",
        "malformed",
        "expected `str` - at `$.text`",
    )
    assert b"expected" not in played.data


def test_usage_is_whole_at_a_good_end_and_partial_at_a_bad_one() -> None:
    good = run(told(b"usage", b"hello", b"stop"))
    assert good.log[-1] == replace(COMPLETED, usage=Usage(input_tokens=3))
    bad = run(told(b"usage", b"hello", b"fault"))
    assert cast("MessageFailed", bad.log[-1]).usage == Usage(input_tokens=3, partial=True)


# --- requests


def test_what_a_target_cannot_do_is_said_before_anything_is_sent() -> None:
    class Unable(Parrot):
        def requests(self, turn: Turn) -> Calls[None]:
            raise GatewayError("unsupported", "parrots take no tools", details={"path": "$.tools"})

    plan = InTurn(TARGET)
    played = run(make=Unable, plan=plan)
    assert (played.code, played.requests) == ("unsupported", [])
    assert [failed.phase for failed in plan.failures] == ["not_sent"]
    assert played.log == [
        STARTED,
        failure("unsupported", "parrots take no tools", vendor=None, details={"path": "$.tools"}, ids={}),
    ]


def test_every_request_carries_what_the_sign_in_brought() -> None:
    core = new_core(Caller)
    core.authorized(Authorization({"Cookie": "c=1"}, "s"), START)
    assert core.request_headers == {"Cookie": "c=1"}


def test_an_expired_session_is_renewed_once_and_its_request_repeated() -> None:
    vendor = Recorder(
        answers((DOCUMENT, Send(b"s-1")), (Head(401),), (DOCUMENT, Send(b"s-2")), told(b"hello", b"stop"))
    )
    played = play(Question(Guest), vendor, targets=(TARGET,))
    check(played)
    assert [request.path for request in played.requests] == ["/sign-in", "/ask", "/sign-in", "/ask"]
    assert (played.core.request_headers, played.core.outcome) == ({"X-Session": "s-2"}, "completed")
    assert len(played.core.attempts) == 1


def test_a_session_that_is_refused_again_is_given_up() -> None:
    signed_in = (DOCUMENT, Send(b"s"))
    played = run(signed_in, (Head(401), Send(b"no")), signed_in, (Head(401), Send(b"no!")), make=Guest)
    assert played.core.error is not None
    assert (played.code, played.core.error.vendor_status, played.core.error.vendor_message) == (
        "upstream_auth",
        401,
        "no!",
    )


def test_a_plain_key_that_is_refused_is_not_tried_again() -> None:
    plan = InTurn(TARGET)
    played = run((Head(401), Send(b"no")), plan=plan)
    assert (played.code, len(played.requests)) == ("upstream_auth", 1)
    assert [failed.phase for failed in plan.failures] == ["not_sent"]


def test_a_sign_in_that_fails_is_the_attempts_failure() -> None:
    played = run((Head(403), Send(b"locked")), make=Guest)
    assert (played.code, [request.path for request in played.requests]) == ("upstream_auth", ["/sign-in"])


def test_a_run_that_was_left_while_it_signed_in_is_over() -> None:
    core = new_core(Guest)
    assert b"event: message.canceled" in core.cancel("canceled", START)
    assert core.do == "done"


# --- the next target


def test_nothing_of_a_failed_attempt_reaches_the_client_and_numbers_go_on() -> None:
    class Numbering(Parrot):
        def feed(self, record: Record) -> Iterator[Event | Notice]:
            match record.data:
                case b"call":
                    yield from self.blocks.start_text()
                    yield from self.blocks.start_step("lost")
                    yield UsageReported(input_tokens=self.blocks.numbering.block())
                case b"again":
                    yield from self.blocks.text("Hi")
                    yield from self.blocks.start_call("a", "search", executor="vendor")
                case b"fault":
                    self.blocks.start_call("b", "lost")
                    raise GONE
                case _:
                    yield from super().feed(record)

    plan = InTurn(TARGET, SPARE)
    played = run(told(b"call", b"fault"), told(b"again", b"stop"), make=Numbering, plan=plan)
    assert played.log == [
        STARTED,
        MessageRouted("spare", 2, "parrot-1"),
        TextStarted(3),
        TextDelta(3, "Hi"),
        ToolCallStarted(4, "call_1_1", "search", "vendor"),
        TextCompleted(3, "Hi"),
        ToolCallCompleted(4, "call_1_1", "search", {}, "cut", ""),
        replace(COMPLETED, vendor="spare"),
    ]
    assert [(failed.error.code, failed.phase, failed.target) for failed in plan.failures] == [
        ("upstream_unavailable", "possibly_accepted", TARGET)
    ]
    assert [attempt.outcome for attempt in played.core.attempts] == ["status_5xx", "completed"]


def test_a_document_that_failed_half_way_is_asked_for_elsewhere() -> None:
    played = run(told(b"hello", b"fault"), told(b"hello", b"close", b"stop"), plan=InTurn(TARGET, SPARE), stream=False)
    assert played.log == [
        STARTED,
        replace(ROUTED, vendor="spare", attempt=2),
        *HELLO,
        replace(COMPLETED, vendor="spare"),
    ]
    assert played.core.answer.assembler.parts() == [TextPart("Hello", 0)]


def test_who_limits_our_rate_is_asked_again_in_the_conversation_that_was_begun() -> None:
    created = (Head(200, {}), Send(b"c-1"))
    limited = (Head(429, {"Retry-After": "3"}),)
    plan = plan_of(TARGET)
    played = run(created, limited, told(b"hello", b"close", b"stop"), make=Founder, plan=plan)
    assert [request.path for request in played.requests] == ["/create", "/ask", "/ask"]
    assert [attempt.outcome for attempt in played.core.attempts] == ["rate_limited", "completed"]
    assert played.core.attempts[-1].vendor_ids == {"conversation": "c-1", "message": "m-1"}
    assert played.seconds >= 3


def test_a_pause_that_another_message_brings_while_a_vendor_is_prepared_for_is_respected() -> None:
    """As while its conversation is caught up: there is no `not_before` to wait for."""
    health = Health({target.vendor: HealthSettings() for target in (TARGET, SPARE)}, lambda: 0.5)
    plan = Failover(Route("support", (TARGET, SPARE)), health, home=None, began=START)
    plan.reserve(START)
    core = Core(Question(Parrot), plan, NativeEncoder(), START, limits=Limits(), pace=Pace())
    health.pauses.pause("acme", START + 60)
    core.authorized(KEY, START + 3)
    assert (core.do, core.target.vendor) == ("authorize", "spare")
    (paused, _) = core.attempts
    assert (paused.phase, paused.error and paused.error.code) == ("not_sent", "upstream_rate_limited")


def test_after_content_nobody_else_is_asked() -> None:
    plan = InTurn(TARGET, SPARE)
    played = run(told(b"hello", b"fault"), plan=plan)
    assert (played.core.outcome, plan.failures) == ("failed", [])


def test_where_all_fail_the_last_failure_is_told() -> None:
    played = run(told(b"fault"), (Head(429, {"Retry-After": "7"}),), plan=InTurn(TARGET, SPARE))
    error = played.core.error
    assert error is not None
    assert (error.code, error.retry_after, error.vendor) == ("upstream_rate_limited", 7, "spare")
    assert played.core.answer.released is False


def test_an_answer_that_was_held_too_long_fails_over_all_the_same() -> None:
    played = run((STREAM, Pause(11), Send(sse(b"open", b"fault"))), told(b"hello", b"stop"), plan=InTurn(TARGET, SPARE))
    assert played.log == [
        STARTED,
        replace(ROUTED, vendor="spare", attempt=2),
        *HELLO,
        replace(COMPLETED, vendor="spare"),
    ]


@pytest.mark.parametrize(
    ("script", "phase"),
    [
        ((Head(401),), "not_sent"),
        ((Head(429),), "not_sent"),
        ((Head(500),), "possibly_accepted"),
        ((), "possibly_accepted"),
    ],
)
def test_a_plan_is_told_whether_the_vendor_may_have_taken_the_request(script: Script, phase: str) -> None:
    plan = InTurn(TARGET)
    run(script, plan=plan)
    assert [failed.phase for failed in plan.failures] == [phase]


def test_a_connection_that_failed_was_not_sent() -> None:
    plan = InTurn(TARGET)
    core = Core(Question(Parrot), plan, NativeEncoder(), START, limits=Limits(), pace=Pace())
    core.authorized(KEY, START)
    core.ended(GONE, START)
    assert [failed.phase for failed in plan.failures] == ["not_sent"]


def test_a_target_whose_translator_cannot_be_made_is_passed_over() -> None:
    def make(settings: Vocabulary, blocks: Blocks) -> Translator:
        if settings is TARGET.settings:
            raise ZeroDivisionError("secret")
        return Parrot(settings, blocks)

    spare = replace(SPARE, settings=Vocabulary({b"x": ()}))
    played = run(told(b"hello", b"stop"), make=make, plan=InTurn(TARGET, spare), checked=False)
    assert [attempt.outcome for attempt in played.core.attempts] == ["internal", "completed"]
    assert [type(bug) for bug in played.core.bugs] == [ZeroDivisionError]


def test_a_route_without_a_translator_that_can_be_made_fails() -> None:
    def make(settings: Vocabulary, blocks: Blocks) -> Translator:
        raise ZeroDivisionError("secret")

    played = run(make=make, checked=False)
    assert played.log == [STARTED, failure("internal", "the gateway failed", vendor=None, ids={})]


def test_a_plan_without_a_target_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="a plan without a target"):
        run(plan=InTurn())


def test_an_answer_without_a_request_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="an answer without a request"):
        new_core().answered(200, CIMultiDict(), START)


# --- translators that fail


class UndeclaredError(Exception):
    pass


def broken(method: str) -> type[Parrot]:
    def fail(*_: object) -> Any:
        raise UndeclaredError("secret")

    return type("Broken", (Guest,), {method: fail})


def after_first_yield(method: str) -> type[Parrot]:
    class Broken(Guest):
        def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
            result = yield from super().authorize(credentials, session)
            self._trip("authorize")
            return result

        def requests(self, turn: Turn) -> Calls[None]:
            yield from super().requests(turn)
            self._trip("requests")

        def feed(self, record: Record) -> Iterator[Event | Notice]:
            yield from super().feed(record)
            self._trip("feed")

        def finish(self) -> Iterator[Event | Notice]:
            yield UsageReported(input_tokens=9)
            self._trip("finish")

        def _trip(self, where: str) -> None:
            if where == method:
                raise UndeclaredError("secret")

    return Broken


@pytest.mark.parametrize(
    "make",
    [
        *(broken(method) for method in ("authorize", "requests", "feed", "finish", "refuse")),
        *(after_first_yield(method) for method in ("authorize", "requests", "feed", "finish")),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
def test_a_bug_in_a_translator_is_internal_and_its_text_stays_here(make: type[Parrot], *, stream: bool) -> None:
    is_refused = "refuse" in vars(make)
    answer = (Head(500), Send(b"no")) if is_refused else told(b"hello")
    played = run((DOCUMENT, Send(b"s")), answer, make=make, stream=stream, checked=False)
    assert (played.code, played.cause) == ("internal", "internal")
    assert [type(bug) for bug in played.core.bugs] == [UndeclaredError]
    assert b"secret" not in played.data
    assert "secret" not in repr(played.log)
    played.core.bugs.clear()
    check(played)


@pytest.mark.parametrize("name", ["ending", "vendor_ids", "model"])
def test_a_bug_in_what_a_translator_knows_is_internal_too(name: str) -> None:
    def fail(_: object) -> Any:
        raise UndeclaredError("secret")

    def ignore(*_: object) -> None: ...

    make = type("Broken", (Parrot,), {name: property(fail, ignore)})
    played = run(told(b"hello", b"stop"), make=make, checked=False)
    assert (played.core.do, played.code) == ("done", "internal")


@pytest.mark.parametrize(("word", "outcome"), [(b"stop", "completed"), (b"fault", "failed"), (b"bug", "failed")])
def test_a_bug_in_the_vendors_ids_at_an_ending_changes_nothing_about_it(word: bytes, outcome: str) -> None:
    class Nameless(Parrot):
        vendor_ids = property(lambda _: 1 / 0, lambda *_: None)

        def feed(self, record: Record) -> Iterator[Event | Notice]:
            for meaning in self._words[record.data]:
                if isinstance(meaning, Exception):
                    raise meaning
                yield meaning

    played = run(told(b"hello", word), make=Nameless, checked=False)
    assert played.core.outcome == outcome
    assert [type(bug) for bug in played.core.bugs] == [ZeroDivisionError]
    assert played.core.attempts[0].vendor_ids == {}


def test_a_translator_that_does_not_let_go_is_left() -> None:
    class Clinging(Parrot):
        def requests(self, turn: Turn) -> Calls[None]:
            try:
                yield ASK
            finally:
                raise UndeclaredError("secret")

    core = begin(Clinging)
    assert b"message.canceled" in core.cancel("canceled", START)
    assert core.do == "done"


# --- ended by the client, or by us


def test_a_cancel_before_the_first_event_is_told_as_such() -> None:
    core = begin()
    data = core.cancel("canceled", START + 1)
    assert core.answer.log == [STARTED, MessageCanceled("canceled")]
    assert data.count(b"\n\n") == 2
    assert (core.outcome, core.error, core.attempts[0].outcome) == ("canceled", None, "canceled")


def test_a_cancel_shows_what_was_held() -> None:
    core = begin()
    core.received(sse(b"open", b"usage"), START)
    core.cancel("canceled", START)
    assert core.answer.log == [
        STARTED,
        ROUTED,
        TextStarted(0),
        UsageReported(input_tokens=3),
        TextCompleted(0, ""),
        MessageCanceled("canceled", Usage(input_tokens=3, partial=True), IDS),
    ]


def test_a_client_that_leaves_ends_the_message_where_it_is() -> None:
    core = begin()
    core.received(sse(b"hello"), START)
    core.cancel("client_gone", START + 1)
    assert core.answer.log == [STARTED, ROUTED, *HELLO, MessageCanceled("client_gone", None, IDS)]
    assert (core.outcome, core.attempts[0].outcome) == ("canceled", "client_gone")


def test_a_run_that_goes_on_without_its_client_keeps_nobody_waiting() -> None:
    core = begin(pace=Pace(headers_after=5, heartbeat=5))
    core.is_muted = True
    assert [core.tick(START + second) for second in (5, 10, 15)] == [b""] * 3
    core.received(sse(b"hello", b"stop"), START + 16)
    assert (core.answer.heartbeats, core.outcome) == (0, "completed")


def test_a_message_whose_failure_cannot_be_told_is_over_all_the_same() -> None:
    core = begin()
    core.received(sse(b"hello"), START)
    assert core.abandon(GatewayError("internal", "the gateway failed"), START + 1) == b""
    assert (core.do, core.outcome, core.attempts[0].outcome, core.ended_at) == ("done", "failed", "internal", START + 1)
    assert core.error is not None
    assert core.error.code == "internal"


@pytest.mark.parametrize("words", [(), (b"hello",)])
def test_a_shutdown_is_a_failure_of_ours(words: tuple[bytes, ...]) -> None:
    core = begin()
    core.received(sse(*words), START)
    data = core.fail(GatewayError("overloaded", "the gateway shuts down"), START)
    assert (core.outcome, core.attempts[0].outcome) == ("failed", "internal")
    assert (b"event: message.failed" in data) == bool(words)


def test_each_step_of_the_core_raises_its_epoch() -> None:
    core = new_core(Caller)
    epochs = [core.epoch]
    core.authorized(KEY, START)
    epochs.append(core.epoch)
    core.sent(START)
    core.answered(200, CIMultiDict(), START)
    core.received(b"[]", START)
    core.ended(None, START)
    epochs.append(core.epoch)
    core.cancel("canceled", START)
    epochs.append(core.epoch)
    assert epochs == sorted(set(epochs))


def test_a_response_that_is_dropped_is_heard_no_more() -> None:
    core = new_core(Caller)
    core.authorized(KEY, START)
    assert core.received(b"[]", START) == b""
    assert (core.do, core.target, core.request) == (
        "call",
        TARGET,
        VendorRequest("POST", "/open", own_statuses=frozenset({404}), effect="repeatable"),
    )


TORN = "\ud800"
CALLED = ToolCallStarted(1, "call_1", "pay", "vendor")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    "torn",
    [
        (TextDelta(0, TORN),),
        (TextDelta(0, " "), TextDelta(0, TORN)),
        (StepStarted(0, TORN),),
        (CALLED, ToolCallDelta(1, "call_1", TORN)),
        (ToolCallStarted(1, TORN, "pay", "vendor"),),
        (ToolResult("call_1", TORN, is_error=False),),
        (MessageCompleted("other", TORN),),
    ],
    ids=["text", "flowing", "step", "arguments", "call", "result", "reason"],
)
def test_half_a_character_is_never_passed_on(torn: Sequence[Event], *, stream: bool) -> None:
    played = run(told(b"hello", b"torn", b"stop"), targets=knowing(torn=torn), stream=stream)
    assert (played.code, played.cause) == ("upstream_protocol", "malformed")


@pytest.mark.parametrize("error", [RecursionError("deep"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "torn")])
def test_what_json_cannot_hold_is_the_vendors_fault(error: Exception) -> None:
    played = run(told(b"hello", b"torn"), targets=knowing(torn=(error,)))
    assert (played.code, played.cause) == ("upstream_protocol", "malformed")

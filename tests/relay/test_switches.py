"""Several targets: answers that break off when the client has seen content of them, and attempts that nobody saw."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import pytest
from msgspec.structs import replace
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Events
from gateway.canonical.errors import ErrorBody, GatewayError
from gateway.canonical.events import (
    Data,
    DataFrame,
    Event,
    File,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    MessageRouted,
    MessageStarted,
    Notice,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    Source,
    StepCompleted,
    StepStarted,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallStarted,
    ToolResult,
    Usage,
    UsageReported,
)
from gateway.canonical.message import TextPart
from gateway.canonical.turn import Turn
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
from gateway.routing.plan import Ended, Failure, Plan, Route, Target
from gateway.routing.rules import RouteRules, Speed, TargetRules
from tests.support.fakes import ASK, TARGET, Parrot, Vocabulary, sse
from tests.support.play import (
    SILENCE,
    START,
    STARTED,
    STREAM,
    Played,
    Question,
    answers,
    check,
    plan_of,
    play,
    read_stream,
)

FIRST = MessageRouted("acme", 1, "parrot-1")
SECOND = MessageRouted("spare", 2, "parrot-1")
COMPLETED = MessageCompleted("stop", "end", [], "spare", "parrot-1", None, {"message": "m-1"})
KEY = Authorization({"X-Key": "k"})


SAYINGS: dict[bytes, Callable[[Blocks], Events]] = {
    b"hello": lambda blocks: blocks.text("Hello"),
    b"there": lambda blocks: blocks.text(" there"),
    b"anew": lambda blocks: blocks.text("Good evening"),
    b"think": lambda blocks: blocks.reasoning("Hm"),
    b"settle": lambda blocks: blocks.settle_text("Hallo"),
    b"search": lambda blocks: blocks.start_step("search"),
    b"found": lambda blocks: blocks.complete_step(),
    b"call": lambda blocks: blocks.start_call("c", "pay", executor="vendor"),
}


class Speaker(Parrot):
    """Numbers what it says, as all but parrots do."""

    def feed(self, record: Record) -> Iterator[Event | Notice]:
        self.vendor_ids["message"] = "m-1"
        match record.data:
            case b"fault":
                raise GatewayError("upstream_unavailable", "the vendor is down", cause="vendor_error")
            case b"garble":
                raise Malformed("expected `str`")
            case word if word in SAYINGS:
                yield from SAYINGS[word](self.blocks)
            case _:
                yield from super().feed(record)


class Heard(Question):
    """Remembers what each vendor was asked: what it calls the conversation, and what was shown already."""

    def __init__(self, *args: Any, can_discard: bool = True, **how: Any) -> None:
        super().__init__(*args, **how)
        self.can_discard = can_discard
        self.turns: list[tuple[str, dict[str, str], str]] = []

    def turn(self, target: Target, partial: str) -> Turn:
        turn = super().turn(target, partial)
        self.turns.append((target.vendor, turn.vendor_ids, partial))
        return turn


class Witness:
    """A plan that remembers what it is told, and whom it names."""

    def __init__(self, plan: Plan) -> None:
        self.told: list[Ended] = []
        self.failures: list[Failure] = []
        self.next_asked = 0
        self._plan = plan

    def next(self, failure: Failure | None, now: float) -> tuple[Target, float] | None:
        assert len(self.told) == self.next_asked, "an attempt's end is told before anybody is asked next"
        self.next_asked += 1
        if failure is not None:
            self.failures.append(failure)
        return self._plan.next(failure, now)

    def again(self, now: float) -> None:
        self.next_asked += 1
        self._plan.again(now)

    def ended(self, ended: Ended, now: float) -> None:
        self.told.append(ended)
        self._plan.ended(ended, now)

    def pause_left(self, now: float) -> float:
        return self._plan.pause_left(now)

    def has_other(self, now: float) -> bool:
        return self._plan.has_other(now)


def ruled(vendor: str = "acme", words: Mapping[bytes, Any] | None = None, **rules: Any) -> Target:
    settings = Vocabulary(words or {})
    return replace(TARGET, vendor=vendor, settings=settings, rules=TargetRules(**{"retries": 0, **rules}))


SPARE = ruled("spare")
THIRD = ruled("third")
RESTARTS = ruled(mid_stream="restart")
CONTINUES = ruled(mid_stream="continue")
FAILS = ruled(mid_stream="fail")


def told(*words: bytes) -> Script:
    return STREAM, Send(sse(*words))


def run(
    *scripts: Script,
    targets: tuple[Target, ...] = (RESTARTS, SPARE),
    plan: Plan | None = None,
    rules: RouteRules | None = None,
    make: Any = Speaker,
    checked: bool = True,
    **how: Any,
) -> Played:
    """One message over a route, held against the laws; its plan is told of each attempt once."""
    asked = {name: how.pop(name) for name in ("can_discard", "stream", "vendor_ids") if name in how}
    witness = Witness(plan or plan_of(*targets, rules=rules))
    played = play(Heard(make, **asked), answers(*scripts), targets=targets, plan=witness, **how)
    if checked:
        check(played)
    assert [(ended.target, ended.outcome) for ended in witness.told] == [
        (attempt.target, attempt.outcome) for attempt in played.core.attempts
    ]
    assert sum(isinstance(event, MessageStarted) for event in played.log) == 1
    return played


def vendors(played: Played) -> list[str]:
    return [attempt.target.vendor for attempt in played.core.attempts]


def turns(played: Played) -> list[tuple[str, dict[str, str], str]]:
    return cast("Heard", played.core.ask).turns


def partials(played: Played) -> list[str]:
    return [partial for _, _, partial in turns(played)]


def texts(played: Played) -> list[str]:
    """Of the message as it is stored."""
    return [part.text for part in played.core.answer.parts() if isinstance(part, TextPart)]


def routings(played: Played) -> list[MessageRouted]:
    return [event for event in played.log if isinstance(event, MessageRouted)]


def body(code: Any, message: str, vendor: str = "acme", **fields: Any) -> ErrorBody:
    return GatewayError(code, message, vendor=vendor, **fields).body("req_1")


DOWN = body("upstream_unavailable", "the vendor is down")
BROKE = body("upstream_unavailable", "the connection broke")


def switched(error: ErrorBody = DOWN, *, discard: bool) -> MessageRouted:
    return replace(SECOND, from_="acme", error=error, discard=discard)


def said(text: str, block: int) -> list[Event]:
    return [TextStarted(block), TextDelta(block, text), TextCompleted(block, text)]


# --- driven by hand


def new_core(*targets: Target, pace: Pace | None = None, plan: Plan | None = None) -> Core:
    plan = plan or plan_of(*targets)
    return Core(Heard(Speaker), plan, NativeEncoder(), START, limits=Limits(), pace=pace or Pace())


def ask(core: Core, now: float = START) -> bytes:
    """The attempt in hand, until its vendor begins to answer."""
    data = core.authorized(KEY, now) + core.sent(now)
    return data + core.answered(200, CIMultiDict({"Content-Type": "text/event-stream"}), now)


def broken_off(*targets: Target, plan: Plan | None = None) -> tuple[Core, bytes]:
    """A core whose first target broke off behind "Hello", and whose second is about to be asked."""
    core = new_core(*targets, plan=plan)
    data = ask(core) + core.received(sse(b"hello", b"fault"), START)
    assert (core.target.vendor, core.do) == ("spare", "authorize")
    return core, data


# --- before content


def test_an_error_in_a_stream_before_its_content_moves_on_unseen() -> None:
    played = run(told(b"search", b"usage", b"fault"), told(b"hello", b"stop"))
    assert played.log == [STARTED, SECOND, *said("Hello", 0), COMPLETED]
    assert [attempt.outcome for attempt in played.core.attempts] == ["vendor_error", "completed"]


@pytest.mark.parametrize(
    "failing",
    [
        (),
        (Head(503), Send(b"no")),
        (STREAM, Reset()),
        (STREAM,),
        (STREAM, SILENCE),
        (Head(200, {"Content-Type": "text/html"}), Send(b"<html>")),
        told(b"stop"),
        told(b"search", b"found", b"stop"),
    ],
    ids=["closed", "refused", "reset", "cut", "silent", "html", "empty", "lifecycle-alone"],
)
@pytest.mark.parametrize("policy", ["fail", "restart", "continue"])
def test_before_content_another_target_answers_as_if_it_were_the_first(failing: Script, policy: Any) -> None:
    played = run(failing, told(b"hello", b"stop"), targets=(ruled(mid_stream=policy), SPARE))
    assert [event for event in played.log if not isinstance(event, (TextStarted, TextDelta, TextCompleted))] == [
        STARTED,
        SECOND,
        COMPLETED,
    ]
    assert (texts(played), partials(played)) == (["Hello"], ["", ""])


def test_where_all_fail_before_content_and_in_time_nothing_was_sent() -> None:
    played = run(told(b"search", b"fault"), (Head(503), Send(b"no")))
    assert (played.data, played.core.answer.released, played.code) == (b"", False, "upstream_unavailable")
    assert played.core.answer.parts() == []


def test_where_all_fail_after_the_headers_left_the_stream_tells() -> None:
    played = run((STREAM, Pause(11), Send(sse(b"fault"))), (Head(503), Send(b"no")))
    assert played.core.answer.released is True
    assert [type(event) for event in read_stream(played.data)] == [MessageStarted, MessageFailed]


def test_a_failure_tells_of_each_attempt_and_nothing_that_a_vendor_wrote() -> None:
    played = run((Head(429), Send(b"slow down")), told(b"search", b"fault"), (), targets=(RESTARTS, SPARE, THIRD))
    failed = cast("MessageFailed", played.log[-1])
    assert failed.error.details == {
        "attempts": [
            {"vendor": "acme", "cause": "rate_limited", "code": "upstream_rate_limited"},
            {"vendor": "spare", "cause": "vendor_error", "code": "upstream_unavailable"},
            {"vendor": "third", "cause": "reset_before_headers", "code": "upstream_unavailable"},
        ]
    }
    assert failed.error.vendor == "third"


def test_the_failure_of_an_only_attempt_tells_of_no_others() -> None:
    assert cast("MessageFailed", run(told(b"fault"), targets=(FAILS,)).log[-1]).error.details == {}


def test_what_one_message_tells_of_a_failure_that_many_met_no_other_tells() -> None:
    shared = GatewayError("upstream_auth", "the vendor refused our credential")
    first, second = new_core(FAILS, SPARE), new_core(SPARE)
    first.unauthorized(GatewayError("upstream_unavailable", "the vendor is down"), START)
    first.unauthorized(shared, START)
    second.unauthorized(shared, START)
    assert first.error is not None
    assert second.error is not None
    assert (len(first.error.details["attempts"]), second.error.details) == (2, {})


def test_what_a_target_cannot_do_another_is_asked() -> None:
    class Unable(Speaker):
        def requests(self, turn: Turn) -> Calls[None]:
            if b"unable" in self._words:
                raise GatewayError("unsupported", "parrots take no tools")
            yield ASK

    played = run(told(b"hello", b"stop"), make=Unable, targets=(ruled(words={b"unable": ()}), SPARE))
    assert (vendors(played), len(played.requests)) == (["acme", "spare"], 1)


# --- what the route says of a break


def test_by_default_an_answer_that_breaks_off_fails() -> None:
    played = run(told(b"hello", b"fault"), targets=(ruled(), SPARE))
    assert played.log == [STARTED, FIRST, *said("Hello", 0), MessageFailed(DOWN, None, {"message": "m-1"})]
    assert (vendors(played), texts(played)) == (["acme"], ["Hello"])


def test_a_restart_tells_the_client_to_forget_and_another_target_answers_anew() -> None:
    played = run(told(b"hello", b"fault"), told(b"anew", b"stop"))
    assert played.log == [
        STARTED,
        FIRST,
        *said("Hello", 0),
        switched(discard=True),
        *said("Good evening", 1),
        COMPLETED,
    ]
    assert played.core.answer.parts() == [TextPart("Good evening", 1)]
    assert partials(played) == ["", ""]


def test_a_continuation_is_given_what_was_shown_and_goes_on_in_a_block_of_its_own() -> None:
    played = run(told(b"hello", b"fault"), told(b"there", b"stop"), targets=(CONTINUES, SPARE))
    assert played.log == [
        STARTED,
        FIRST,
        *said("Hello", 0),
        switched(discard=False),
        *said(" there", 1),
        COMPLETED,
    ]
    assert played.core.answer.parts() == [TextPart("Hello", 0), TextPart(" there", 1)]
    assert partials(played) == ["", "Hello"]


def test_blocks_and_steps_are_completed_before_a_switch_and_their_numbers_go_on() -> None:
    played = run(
        told(b"search", b"think", b"call", b"hello", b"fault"), told(b"search", b"think", b"call", b"anew", b"stop")
    )
    assert played.log == [
        STARTED,
        FIRST,
        StepStarted(0, "search"),
        ReasoningStarted(0),
        ReasoningDelta(0, "Hm"),
        ToolCallStarted(1, "call_1_0", "pay", "vendor"),
        TextStarted(2),
        TextDelta(2, "Hello"),
        ReasoningCompleted(0, "Hm"),
        ToolCallCompleted(1, "call_1_0", "pay", {}, "cut", ""),
        TextCompleted(2, "Hello"),
        StepCompleted(0, "search"),
        switched(discard=True),
        StepStarted(1, "search"),
        ReasoningStarted(3),
        ReasoningDelta(3, "Hm"),
        ToolCallStarted(4, "call_1_1", "pay", "vendor"),
        TextStarted(5),
        TextDelta(5, "Good evening"),
        ReasoningCompleted(3, "Hm"),
        ToolCallCompleted(4, "call_1_1", "pay", {}, "cut", ""),
        TextCompleted(5, "Good evening"),
        StepCompleted(1, "search"),
        COMPLETED,
    ]


@pytest.mark.parametrize("policy", ["fail", "restart", "continue"])
@pytest.mark.parametrize(
    ("ending", "error"),
    [
        ((Send(sse(b"fault")),), DOWN),
        ((Reset(),), BROKE),
        ((), body("upstream_protocol", "the parrot fell silent")),
        ((SILENCE,), body("upstream_timeout", "the vendor fell silent")),
        ((Send(sse(b"garble")),), body("upstream_protocol", "the vendor sent an event that cannot be read")),
    ],
    ids=["error", "reset", "cut", "silence", "garbled"],
)
def test_an_answer_may_break_off_in_every_way(ending: Script, error: ErrorBody, policy: Any) -> None:
    targets = (ruled(mid_stream=policy), SPARE)
    played = run((*told(b"hello"), *ending), told(b"anew", b"stop"), targets=targets)
    if policy == "fail":
        assert (routings(played), cast("MessageFailed", played.log[-1]).error) == ([FIRST], error)
    else:
        assert routings(played) == [FIRST, switched(error, discard=policy == "restart")]
        assert played.log[-1] == COMPLETED


@pytest.mark.parametrize(
    ("usual", "by_cause", "ending", "discards"),
    [
        ("fail", {"reset_midstream": "restart"}, (Reset(),), [True]),
        ("fail", {"reset_midstream": "restart"}, (Send(sse(b"fault")),), []),
        ("fail", {"vendor_error": "continue", "truncated": "restart"}, (Send(sse(b"fault")),), [False]),
        ("fail", {"vendor_error": "continue", "truncated": "restart"}, (), [True]),
        ("restart", {"idle_timeout": "fail"}, (SILENCE,), []),
        ("restart", {"idle_timeout": "fail"}, (Reset(),), [True]),
        ("continue", {"vendor_error": "restart"}, (Send(sse(b"fault")),), [True]),
    ],
)
def test_what_becomes_of_a_break_may_depend_on_its_cause(
    usual: Any, by_cause: Any, ending: Script, discards: list[bool]
) -> None:
    targets = (ruled(mid_stream=usual, mid_stream_by_cause=by_cause), SPARE)
    played = run((*told(b"hello"), *ending), told(b"anew", b"stop"), targets=targets)
    assert [routed.discard for routed in routings(played)[1:]] == discards
    assert played.core.outcome == ("completed" if discards else "failed")


def test_the_target_that_broke_off_says_what_becomes_of_its_answer() -> None:
    played = run(told(b"hello", b"fault"), targets=(FAILS, ruled("spare", mid_stream="restart")))
    assert (vendors(played), played.core.outcome) == (["acme"], "failed")


def test_where_a_client_cannot_be_told_to_forget_nothing_is_restarted() -> None:
    played = run(told(b"hello", b"fault"), can_discard=False)
    assert (vendors(played), texts(played), played.core.outcome) == (["acme"], ["Hello"], "failed")


def test_where_a_client_cannot_be_told_to_forget_it_is_still_given_the_rest() -> None:
    played = run(told(b"hello", b"fault"), told(b"there", b"stop"), targets=(CONTINUES, SPARE), can_discard=False)
    assert (texts(played), played.core.outcome) == (["Hello", " there"], "completed")


CALL = ToolCallStarted(9, "c", "pay", "vendor")


@pytest.mark.parametrize(
    "done",
    [
        (CALL,),
        (CALL, ToolCallCompleted(9, "c", "pay", {}, "complete")),
        (ToolResult("c", 1, is_error=False),),
        (File("f-1"),),
        (DataFrame("sales", ["a"], [[1]]),),
        (Data("chart", {}),),
        (InputRequested("r-1", "question"),),
    ],
    ids=["open-call", "call", "result", "file", "frame", "data", "input"],
)
@pytest.mark.parametrize("before", [(), (b"hello",)], ids=["alone", "behind-text"])
def test_nobody_goes_on_with_an_answer_that_did_more_than_speak(
    done: tuple[Event, ...], before: tuple[bytes, ...]
) -> None:
    words = {b"done": done}
    played = run(told(*before, b"done", b"fault"), targets=(ruled(words=words, mid_stream="continue"), SPARE))
    assert (vendors(played), played.core.outcome) == (["acme"], "failed")
    anew = run(
        told(*before, b"done", b"fault"),
        told(b"anew", b"stop"),
        targets=(ruled(words=words, mid_stream="restart"), SPARE),
    )
    assert texts(anew) == ["Good evening"]


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ((b"hello", b"there"), "Hello there"),
        ((b"think",), ""),
        ((b"think", b"hello"), "Hello"),
        ((b"hello", b"cite"), "Hello"),
        ((b"cite",), ""),
        ((b"search", b"hello"), "Hello"),
        ((b"search", b"found", b"hello"), "Hello"),
        ((b"hello", b"usage"), "Hello"),
        ((b"hello", b"settle"), "Hallo"),
    ],
    ids=str,
)
def test_another_goes_on_with_what_was_only_spoken(words: tuple[bytes, ...], shown: str) -> None:
    acme = ruled(words={b"cite": (Source("s-1"),)}, mid_stream="continue")
    played = run(told(*words, b"fault"), told(b"there", b"stop"), targets=(acme, SPARE))
    assert (partials(played), played.core.outcome) == (["", shown], "completed")
    assert texts(played) == [*filter(None, [shown]), " there"]


# --- the second attempt


@pytest.mark.parametrize("target", [RESTARTS, CONTINUES])
def test_a_switch_is_told_with_the_first_content_and_what_precedes_that_is_held(target: Target) -> None:
    core, data = broken_off(target, SPARE)
    assert data.endswith(b'"text":"Hello"}\n\n')
    assert ask(core, START + 1) == b""
    assert core.received(sse(b"search", b"usage", b"open"), START + 2) == b""
    data = core.received(sse(b"there"), START + 3)
    assert [line for line in data.split(b"\n") if line.startswith(b"event: ")] == [
        b"event: message.routed",
        b"event: step.started",
        b"event: usage",
        b"event: text.started",
        b"event: text.started",
        b"event: text.delta",
    ]


def test_between_a_break_and_its_switch_the_client_hears_heartbeats() -> None:
    core, _ = broken_off(RESTARTS, SPARE)
    ask(core)
    assert (core.tick(START + 9), core.tick(START + 10)) == (b"", b": heartbeat\n\n")


def test_a_second_attempt_that_fails_before_content_is_nothing_that_the_client_sees() -> None:
    played = run(
        told(b"hello", b"fault"),
        told(b"search", b"think-not", b"stop"),
        told(b"anew", b"stop"),
        targets=(RESTARTS, ruled("spare", {b"think-not": ()}), THIRD),
    )
    assert played.log == [
        STARTED,
        FIRST,
        *said("Hello", 0),
        replace(switched(discard=True), vendor="third", attempt=3),
        *said("Good evening", 1),
        replace(COMPLETED, vendor="third"),
    ]
    assert [attempt.outcome for attempt in played.core.attempts] == ["vendor_error", "empty", "completed"]


def test_a_third_target_goes_on_with_what_the_first_has_shown() -> None:
    played = run(told(b"hello", b"fault"), (Head(503),), told(b"there", b"stop"), targets=(CONTINUES, SPARE, THIRD))
    assert partials(played) == ["", "Hello", "Hello"]
    assert texts(played) == ["Hello", " there"]


@pytest.mark.parametrize("target", [RESTARTS, CONTINUES])
@pytest.mark.parametrize("second", [(Head(503),), told(b"search", b"fault"), told(b"stop")])
def test_where_nobody_is_left_what_was_shown_stays_and_the_last_failure_is_told(target: Target, second: Script) -> None:
    played = run(told(b"hello", b"fault"), second, targets=(target, SPARE))
    *shown, failed = played.log
    assert shown == [STARTED, FIRST, *said("Hello", 0)]
    assert isinstance(failed, MessageFailed)
    assert failed.error.vendor == "spare"
    assert [told["vendor"] for told in failed.error.details["attempts"]] == ["acme", "spare"]
    assert texts(played) == ["Hello"]
    assert [attempt.discarded for attempt in played.core.attempts] == [0, 0]


def test_where_nobody_else_may_be_asked_a_break_is_a_failure() -> None:
    played = run(told(b"hello", b"fault"), targets=(RESTARTS,))
    assert played.log[-1] == MessageFailed(DOWN, None, {"message": "m-1"})
    once = ruled(mid_stream="restart", once_sent="fail")
    assert vendors(run(told(b"hello", b"fault"), targets=(once, SPARE))) == ["acme"]
    picky = ruled(mid_stream="restart", fail_over_on=("upstream_timeout",))
    assert vendors(run(told(b"hello", b"fault"), targets=(picky, SPARE))) == ["acme"]


def test_no_more_attempts_are_made_than_the_route_allows() -> None:
    played = run(told(b"hello", b"fault"), (Head(503),), targets=(RESTARTS, SPARE, THIRD), rules=RouteRules(attempts=2))
    assert (vendors(played), played.core.outcome) == (["acme", "spare"], "failed")


@pytest.mark.parametrize("policy", ["restart", "continue"])
@pytest.mark.parametrize(("switches", "asked"), [(0, 1), (1, 2), (2, 3)])
def test_a_message_goes_over_no_more_often_than_the_route_allows(policy: Any, switches: int, asked: int) -> None:
    targets = tuple(ruled(vendor, mid_stream=policy) for vendor in ("acme", "spare", "third"))
    broken = told(b"hello", b"fault")
    played = run(*[broken] * asked, targets=targets, rules=RouteRules(switches=switches))
    assert (len(vendors(played)), len(routings(played)), played.core.outcome) == (asked, asked, "failed")
    assert texts(played) == ["Hello"] * (asked if policy == "continue" else 1)


def test_what_was_shown_grows_with_each_that_goes_on() -> None:
    targets = tuple(ruled(vendor, mid_stream="continue") for vendor in ("acme", "spare", "third"))
    played = run(
        told(b"hello", b"fault"),
        told(b"there", b"fault"),
        told(b"anew", b"stop"),
        targets=targets,
        rules=RouteRules(switches=2),
    )
    assert partials(played) == ["", "Hello", "Hello there"]
    assert texts(played) == ["Hello", " there", "Good evening"]


def test_who_goes_on_after_a_restart_is_given_nothing_that_was_forgotten() -> None:
    targets = (RESTARTS, ruled("spare", mid_stream="continue"), THIRD)
    played = run(
        told(b"hello", b"fault"),
        told(b"anew", b"fault"),
        told(b"there", b"stop"),
        targets=targets,
        rules=RouteRules(switches=2),
    )
    assert partials(played) == ["", "", "Good evening"]
    assert texts(played) == ["Good evening", " there"]
    assert [attempt.discarded for attempt in played.core.attempts] == [5, 0, 0]


def test_a_restart_forgets_all_that_others_had_gone_on_with() -> None:
    targets = (CONTINUES, ruled("spare", mid_stream="restart"), THIRD)
    played = run(
        told(b"hello", b"fault"),
        told(b"there", b"fault"),
        told(b"anew", b"stop"),
        targets=targets,
        rules=RouteRules(switches=2),
    )
    assert partials(played) == ["", "Hello", ""]
    assert texts(played) == ["Good evening"]
    assert [attempt.discarded for attempt in played.core.attempts] == [0, 11, 0]


def test_an_answer_that_its_vendor_cut_to_nothing_is_announced_all_the_same() -> None:
    played = run(told(b"hello", b"fault"), told(b"length"))
    assert played.log[-2:] == [
        switched(discard=True),
        replace(COMPLETED, finish_reason="length", raw_finish_reason=None),
    ]
    assert texts(played) == []


def test_an_answer_too_large_is_answered_anew_in_full_size() -> None:
    broken = (STREAM, Send(sse(b"hello", *[b"there"] * 99)))
    anew = (STREAM, Send(sse(b"search")), Send(sse(b"anew", b"stop")))
    played = run(broken, anew, limits=Limits(message=1000))
    assert (texts(played), played.core.attempts[0].outcome) == (["Good evening"], "too_large")


def test_what_others_have_shown_counts_towards_the_size_of_an_answer() -> None:
    first, second = told(b"hello", *[b"there"] * 30, b"fault"), told(*[b"there"] * 30)
    played = run(first, second, targets=(CONTINUES, SPARE), limits=Limits(message=1000))
    assert (played.core.outcome, played.cause) == ("failed", "too_large")


# --- usage


def test_the_usage_of_a_broken_attempt_is_not_that_of_the_answer() -> None:
    played = run(told(b"hello", b"usage", b"fault"), told(b"anew", b"stop"))
    assert played.log[-1] == COMPLETED
    played = run(told(b"hello", b"usage", b"fault"), told(b"anew", b"stop"), targets=(CONTINUES, SPARE))
    assert played.log[-1] == COMPLETED
    both = {b"more": (UsageReported(input_tokens=7),)}
    played = run(
        told(b"hello", b"usage", b"fault"), told(b"anew", b"more", b"stop"), targets=(CONTINUES, ruled("spare", both))
    )
    assert played.log[-1] == replace(COMPLETED, usage=Usage(input_tokens=7))


@pytest.mark.parametrize("target", [RESTARTS, CONTINUES])
def test_the_usage_of_what_was_shown_is_told_where_no_other_came_to_content(target: Target) -> None:
    played = run(told(b"hello", b"usage", b"fault"), (Head(503),), targets=(target, SPARE))
    assert cast("MessageFailed", played.log[-1]).usage == Usage(input_tokens=3, partial=True)


def test_the_usage_of_what_was_forgotten_is_not_told() -> None:
    played = run(told(b"hello", b"usage", b"fault"), told(b"anew", b"fault"))
    assert cast("MessageFailed", played.log[-1]).usage is None


# --- left between a break and its switch


@pytest.mark.parametrize("target", [RESTARTS, CONTINUES])
@pytest.mark.parametrize("words", [None, (b"search", b"usage")], ids=["before-it-is-asked", "before-its-content"])
def test_a_cancel_between_a_break_and_its_switch_ends_with_what_was_shown(
    target: Target, words: tuple[bytes, ...] | None
) -> None:
    witness = Witness(plan_of(target, SPARE))
    core, data = broken_off(target, SPARE, plan=witness)
    if words is not None:
        data += ask(core) + core.received(sse(*words), START)
    data += core.cancel("canceled", START + 1)
    *shown, canceled = core.answer.log
    assert shown == [STARTED, FIRST, *said("Hello", 0)]
    assert isinstance(canceled, MessageCanceled)
    assert core.answer.parts() == [TextPart("Hello", 0)]
    check(Played(core, data, [], 1.0))
    assert [(ended.target.vendor, ended.outcome) for ended in witness.told] == [
        ("acme", "vendor_error"),
        ("spare", "canceled"),
    ]
    assert core.left == []


def test_a_vendor_that_cancels_unasked_after_a_break_cancels_the_message() -> None:
    played = run(told(b"hello", b"fault"), told(b"search", b"abort"))
    assert [type(event) for event in played.log[-2:]] == [TextCompleted, MessageCanceled]
    assert (texts(played), played.core.outcome) == (["Hello"], "canceled")


def test_a_shutdown_between_a_break_and_its_switch_ends_with_what_was_shown() -> None:
    core, data = broken_off(RESTARTS, SPARE)
    data += core.fail(GatewayError("overloaded", "the gateway shuts down"), START + 1)
    *shown, failed = core.answer.log
    assert shown == [STARTED, FIRST, *said("Hello", 0)]
    assert isinstance(failed, MessageFailed)
    assert (failed.error.code, core.answer.parts()) == ("overloaded", [TextPart("Hello", 0)])
    check(Played(core, data, [], 1.0))


# --- documents


@pytest.mark.parametrize("policy", ["fail", "restart", "continue"])
@pytest.mark.parametrize("ending", [(Send(sse(b"fault")),), (Reset(),), (), (SILENCE,)])
def test_of_a_document_that_breaks_off_nothing_is_kept(policy: Any, ending: Script) -> None:
    broken = (STREAM, Send(sse(b"search", b"hello", b"call", b"usage")), *ending)
    played = run(broken, told(b"anew", b"stop"), targets=(ruled(mid_stream=policy), SPARE), stream=False)
    assert played.log == [STARTED, SECOND, *said("Good evening", 2), COMPLETED]
    assert played.core.answer.parts() == [TextPart("Good evening", 2)]
    assert (played.data, partials(played)) == (b"", ["", ""])


def test_a_document_keeps_what_the_last_attempt_had() -> None:
    played = run(told(b"hello", b"fault"), told(b"anew", b"usage", b"fault"), stream=False)
    assert texts(played) == ["Good evening"]
    assert cast("MessageFailed", played.log[-1]).usage == Usage(input_tokens=3, partial=True)


def test_of_a_document_whose_last_attempt_said_nothing_there_is_nothing() -> None:
    played = run(told(b"hello", b"fault"), (Head(503),), stream=False)
    assert [type(event) for event in played.log] == [MessageStarted, MessageFailed]
    assert texts(played) == []


# --- a client that wants no second vendor


def staying(*targets: Target) -> Failover:
    health = Health({target.vendor: HealthSettings() for target in targets}, lambda: 0.5)
    plan = Failover(Route("support", targets), health, home=None, began=START, may_leave=False)
    plan.reserve(START)
    return plan


SLOW = Speed(characters=10, window=2)


@pytest.mark.parametrize(
    ("script", "stream"),
    [
        ((), True),
        ((Head(401),), True),
        ((Head(429),), True),
        ((Head(503),), True),
        ((STREAM, SILENCE), True),
        (told(b"search", b"fault"), True),
        (told(b"hello", b"fault"), True),
        (told(b"hello", b"fault"), False),
        ((*told(b"hello"), Reset()), True),
        ((*told(b"hello"), SILENCE), True),
    ],
)
@pytest.mark.parametrize("policy", ["restart", "continue"])
def test_no_second_vendor_is_asked_against_the_clients_will(policy: Any, script: Script, *, stream: bool) -> None:
    targets = (ruled(mid_stream=policy), SPARE)
    played = run(script, targets=targets, plan=staying(*targets), stream=stream)
    assert (vendors(played), played.core.outcome) == (["acme"], "failed")


def test_a_slow_vendor_is_not_left_against_the_clients_will() -> None:
    targets = (ruled(min_speed=SLOW), SPARE)
    played = run((*told(b"hello"), Pause(5), Send(sse(b"stop"))), targets=targets, plan=staying(*targets))
    assert (vendors(played), played.core.outcome) == (["acme"], "completed")


def test_the_same_vendor_is_asked_again_where_that_is_free_and_no_other_may_be() -> None:
    targets = (ruled(retries=2), SPARE)
    played = run((Head(429, {"Retry-After": "2"}),), told(b"hello", b"stop"), targets=targets, plan=staying(*targets))
    assert (vendors(played), played.core.outcome) == (["acme", "acme"], "completed")


# --- who may be asked again


class Repeatable(Speaker):
    """Asks what may be asked twice."""

    def requests(self, turn: Turn) -> Calls[None]:
        yield replace(ASK, effect="repeatable")


def test_what_may_be_repeated_is_asked_of_the_same_vendor_also_after_a_break() -> None:
    target = ruled(retries=1, mid_stream="restart")
    played = run(told(b"hello", b"fault"), told(b"anew", b"stop"), make=Repeatable, targets=(target,))
    assert routings(played) == [FIRST, replace(switched(discard=True), vendor="acme")]
    assert (texts(played), played.core.outcome) == (["Good evening"], "completed")


@pytest.mark.parametrize("script", [(), (Head(503),), told(b"fault"), (STREAM, Reset())])
def test_a_turn_that_was_possibly_accepted_is_not_sent_to_that_vendor_again(script: Script) -> None:
    played = run(script, targets=(ruled(retries=3),))
    assert (vendors(played), len(played.requests)) == (["acme"], 1)


class Following(Speaker):
    """Starts a run with one request, and hears of it by another."""

    def requests(self, turn: Turn) -> Calls[None]:
        yield VendorRequest("POST", "/run", effect="once")
        yield VendorRequest("GET", "/run/events", framing=SseDecoder)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 429, 503])
def test_a_refusal_says_nothing_of_a_turn_that_was_taken_before(status: int) -> None:
    started, refused = (Head(200), Send(b"r-1")), (Head(status, {"Retry-After": "1"}), Send(b"no"))
    vendor_ids = {"conversation": "c-1"}
    played = run(started, refused, make=Following, targets=(ruled(retries=3),), vendor_ids=vendor_ids)
    assert [request.path for request in played.requests] == ["/run", "/run/events"]
    assert (played.core.attempts[0].phase, played.core.attempts[0].is_uncertain) == ("possibly_accepted", True)


class Guest(Following):
    """Needs a session, which its vendor may have forgotten."""

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
        yield VendorRequest("POST", "/sign-in")
        return Authorization({}, "s-1")


def test_a_turn_that_is_sent_again_with_a_new_session_was_not_taken_before() -> None:
    session = (Head(200), Send(b"s"))
    refused = (Head(429, {"Retry-After": "1"}), Send(b"no"))
    played = run(session, (Head(401),), session, refused, session, (Head(503),), make=Guest, targets=(FAILS,))
    assert [request.path for request in played.requests] == ["/sign-in", "/run", "/sign-in", "/run", "/sign-in", "/run"]
    assert [attempt.is_uncertain for attempt in played.core.attempts] == [False, True]


class Lasting(Speaker):
    """Its run can be gone back to."""

    def resume(self) -> VendorRequest | None:
        return VendorRequest("GET", "/run", framing=SseDecoder)


@pytest.mark.parametrize("status", [404, 429])
def test_a_run_that_cannot_be_gone_back_to_is_not_begun_again_there(status: int) -> None:
    refused = (Head(status, {"Retry-After": "1"}), Send(b"no"))
    played = run((STREAM, Reset()), refused, make=Lasting, targets=(ruled(retries=3),))
    assert [request.path for request in played.requests] == ["/ask", "/run"]
    assert (played.code, played.cause) == ("upstream_unavailable", "reset_midstream")


@pytest.mark.parametrize("target", [RESTARTS, CONTINUES])
def test_a_run_is_gone_back_to_before_another_vendor_is_asked(target: Target) -> None:
    played = run((*told(b"hello"), Reset()), told(b"there", b"stop"), make=Lasting, targets=(target, SPARE))
    assert (vendors(played), texts(played)) == (["acme"], ["Hello there"])
    lost = run((*told(b"hello"), Reset()), (Head(404),), told(b"anew", b"stop"), make=Lasting, targets=(target, SPARE))
    assert vendors(lost) == ["acme", "spare"]
    assert routings(lost)[1].error == BROKE


# --- a vendor that lost the conversation


LOST = (Head(404), Send(b"no such conversation"))
BOUND = {"conversation": "c-1"}


def test_a_vendor_that_lost_the_conversation_is_asked_for_a_new_one() -> None:
    played = run(LOST, told(b"hello", b"stop"), vendor_ids=BOUND)
    assert turns(played) == [("acme", BOUND, ""), ("acme", {}, "")]
    assert played.core.attempts[0].outcome == "not_found"
    assert (vendors(played), played.core.outcome) == (["acme", "acme"], "completed")


def test_a_vendor_that_knows_no_new_conversation_either_is_left() -> None:
    played = run(LOST, LOST, told(b"hello", b"stop"), vendor_ids=BOUND)
    assert (vendors(played), played.core.outcome) == (["acme", "acme", "spare"], "completed")


def test_a_vendor_that_never_had_the_conversation_is_left_at_once() -> None:
    assert vendors(run(LOST, told(b"hello", b"stop"))) == ["acme", "spare"]


def test_after_a_break_a_vendor_that_lost_the_conversation_is_asked_for_a_new_one_too() -> None:
    played = run(told(b"hello", b"fault"), LOST, told(b"anew", b"stop"), vendor_ids=BOUND)
    assert (vendors(played), texts(played)) == (["acme", "spare", "spare"], ["Good evening"])


@pytest.mark.parametrize(("make", "before"), [(Speaker, ()), (Speaker, (b"hello",)), (Repeatable, (b"hello",))])
def test_a_vendor_that_took_the_turn_is_not_asked_for_a_new_conversation(make: Any, before: tuple[bytes, ...]) -> None:
    gone = {b"gone": (GatewayError("upstream_not_found", "no such conversation"),)}
    targets = (ruled(words=gone, mid_stream="restart"), SPARE)
    played = run(told(*before, b"gone"), told(b"anew", b"stop"), make=make, targets=targets, vendor_ids=BOUND)
    assert (vendors(played), texts(played)) == (["acme", "spare"], ["Good evening"])


# --- a minimum speed


QUICK = ruled(min_speed=SLOW, mid_stream="fail")


def test_who_answers_too_slowly_is_left_unseen() -> None:
    slow = (*told(b"hello"), SILENCE)
    played = run(slow, told(b"anew", b"stop"), targets=(QUICK, SPARE))
    assert played.log == [STARTED, SECOND, *said("Good evening", 1), COMPLETED]
    assert [attempt.outcome for attempt in played.core.attempts] == ["too_slow", "completed"]
    assert (played.core.attempts[0].phase, played.seconds) == ("possibly_accepted", 2)


def test_who_answers_slowly_is_heard_where_nobody_else_may_be_asked() -> None:
    slow = (*told(b"hello"), Pause(3), Send(sse(b"there", b"stop")))
    for targets in [(QUICK,), (QUICK, ruled()), (replace(QUICK, rules=replace(QUICK.rules, once_sent="fail")), SPARE)]:
        played = run(slow, targets=targets)
        assert (vendors(played), texts(played)) == (["acme"], ["Hello there"])


def test_an_answer_that_is_let_pass_is_shown_when_its_time_is_over() -> None:
    core = new_core(QUICK)
    ask(core)
    assert (core.received(sse(b"hello"), START), core.tick(START + 1.5)) == (b"", b"")
    assert b"event: text.delta" in core.tick(START + 2)


def test_an_answer_that_is_quick_enough_is_shown_at_once() -> None:
    core = new_core(QUICK, SPARE)
    ask(core)
    assert core.received(sse(b"hello", b"there"), START) == b""
    assert b"Good evening" in core.received(sse(b"anew"), START + 1)
    core.tick(START + 2)
    assert core.target.vendor == "acme"


def test_an_answer_whose_terminal_was_read_is_not_too_slow_and_its_trailers_are_waited_for() -> None:
    trailing = (*told(b"hello", b"ending"), Pause(0.5), Send(sse(b"late")), SILENCE)
    late = {b"late": (UsageReported(input_tokens=1),)}
    hasty = ruled(words=late, min_speed=Speed(characters=100, window=0.5))
    played = run(trailing, targets=(hasty, SPARE))
    assert (vendors(played), played.core.outcome) == (["acme"], "completed")
    assert cast("MessageCompleted", played.log[-1]).usage == Usage(input_tokens=1)
    assert (texts(played), played.seconds) == (["Hello"], 1)


def test_a_slow_document_is_asked_for_elsewhere() -> None:
    played = run((*told(b"hello"), SILENCE), told(b"anew", b"stop"), targets=(QUICK, SPARE), stream=False)
    assert (texts(played), [attempt.outcome for attempt in played.core.attempts]) == (
        ["Good evening"],
        ["too_slow", "completed"],
    )


def test_after_a_break_a_slow_second_answer_is_left_as_well() -> None:
    spare = ruled("spare", min_speed=SLOW)
    played = run(
        told(b"hello", b"fault"), (*told(b"hello"), SILENCE), told(b"anew", b"stop"), targets=(RESTARTS, spare, THIRD)
    )
    assert vendors(played) == ["acme", "spare", "third"]
    assert routings(played)[1] == replace(switched(discard=True), vendor="third", attempt=3)


def test_what_was_held_for_the_sake_of_speed_is_in_no_message_that_fails() -> None:
    settled = {b"settled": (TextStarted(0), TextDelta(0, "No"), TextCompleted(0, "No"))}
    played = run(told(b"settled", b"fault"), targets=(ruled(words=settled, min_speed=SLOW),))
    assert (played.data, played.core.answer.parts()) == (b"", [])


def test_the_first_text_is_the_first_that_anybody_saw() -> None:
    slow = (*told(b"hello"), SILENCE)
    played = run(slow, (STREAM, Pause(3), Send(sse(b"anew", b"stop"))), targets=(QUICK, SPARE))
    assert played.core.answer.first_text_at == START + 5
    broken = run(
        told(b"hello", b"fault"),
        (Head(503),),
        (STREAM, Pause(3), Send(sse(b"anew", b"stop"))),
        targets=(RESTARTS, SPARE, THIRD),
    )
    assert broken.core.answer.first_text_at == START


# --- how long the headers wait


def test_the_headers_wait_as_long_as_the_target_in_hand_says() -> None:
    core = new_core(ruled(headers_after=2), ruled("spare", headers_after=12), pace=Pace(headers_after=5))
    ask(core)
    assert core.tick(START + 1.5) == b""
    core.received(sse(b"fault"), START + 1.5)
    assert (core.target.vendor, core.tick(START + 11.5)) == ("spare", b"")
    assert b"event: message.started" in core.tick(START + 12)


def test_the_headers_wait_as_long_as_the_route_says_where_the_target_says_nothing() -> None:
    core = new_core(ruled(headers_after=15), SPARE, pace=Pace(headers_after=5))
    ask(core)
    assert core.tick(START + 9) == b""
    core.received(sse(b"fault"), START + 9)
    assert b"event: message.started" in core.tick(START + 9)


# --- what the plan is told


def test_the_plan_is_told_how_each_attempt_came_out() -> None:
    witness = Witness(plan_of(RESTARTS, SPARE))
    core = new_core(plan=witness)
    ask(core, START + 1)
    core.received(sse(b"search"), START + 2)
    core.received(sse(b"hello"), START + 3)
    core.received(sse(b"fault"), START + 4)
    ask(core, START + 5)
    core.received(sse(b"search"), START + 6)
    core.received(sse(b"anew"), START + 8)
    core.received(sse(b"stop"), START + 9)
    first, second = witness.told
    assert (first.target, first.outcome, first.first_event_after, first.first_text_after) == (
        RESTARTS,
        "vendor_error",
        2,
        3,
    )
    assert first.error is not None
    assert (second.target, second.outcome, second.error) == (SPARE, "completed", None)
    assert (second.first_event_after, second.first_text_after) == (2, 4)


@pytest.mark.parametrize("error", [None, GatewayError("overloaded", "the gateway shuts down")])
def test_the_plan_is_told_once_of_an_attempt_that_we_end(error: GatewayError | None) -> None:
    witness = Witness(plan_of(RESTARTS, SPARE))
    core = new_core(plan=witness)
    ask(core)
    core.received(sse(b"hello"), START)
    for _ in range(2):
        if error is None:
            core.cancel("client_gone", START)
        else:
            core.fail(error, START)
    assert [ended.outcome for ended in witness.told] == ["client_gone" if error is None else "internal"]


def test_the_plan_is_told_once_of_an_attempt_whose_translator_cannot_be_made() -> None:
    def make(settings: Vocabulary, blocks: Blocks) -> Translator:
        if b"unmade" in settings.words:
            raise ZeroDivisionError("secret")
        return Speaker(settings, blocks)

    unmade = ruled("spare", {b"unmade": ()})
    played = run(told(b"hello", b"fault"), make=make, targets=(RESTARTS, unmade), checked=False)
    assert [attempt.outcome for attempt in played.core.attempts] == ["vendor_error", "internal"]
    assert (played.code, texts(played)) == ("internal", ["Hello"])
    played.core.bugs.clear()
    check(played)


@pytest.mark.parametrize("stream", [True, False])
def test_an_ending_that_cannot_be_told_is_no_completed_attempt(*, stream: bool) -> None:
    torn = {b"torn": (MessageCompleted("other", "\ud800"),)}
    targets = (ruled(words=torn, mid_stream="restart"), SPARE)
    played = run(told(b"hello", b"torn"), told(b"anew", b"stop"), targets=targets, stream=stream)
    assert [attempt.outcome for attempt in played.core.attempts] == ["malformed", "completed"]
    assert texts(played) == ["Good evening"]
    assert len(routings(played)) == (2 if stream else 1)


@pytest.mark.parametrize("ending", [(Send(sse(b"fault")),), (Reset(),), ()])
def test_a_failure_that_is_told_to_the_plan_says_how_far_it_came(ending: Script) -> None:
    witness = Witness(plan_of(RESTARTS, SPARE, THIRD))
    run((*told(b"hello"), *ending), (STREAM, *ending), told(b"anew", b"stop"), plan=witness)
    assert [(failed.phase, failed.is_repeatable) for failed in witness.failures] == [
        ("committed", False),
        ("possibly_accepted", False),
    ]

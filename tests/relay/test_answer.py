"""What the client has been told: held, committed, released, capped, ended."""

from typing import Any

import pytest
from msgspec.structs import replace

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
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    Usage,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.laws import check_stream
from gateway.canonical.message import Part, TextPart
from gateway.protocols.native.dialect import NativeEncoder
from gateway.relay.answer import Answer, Limits
from gateway.routing.rules import Speed
from tests.support.play import START, STARTED, read_stream

ROUTED = MessageRouted("acme", 1, "m-1")
STOP = MessageCompleted("stop", "end")


class Mute(NativeEncoder):
    """A dialect whose start names a model: it writes nothing for `message.started`."""

    def event(self, sequence: int, event: Event) -> bytes:
        return super().event(sequence, event) if sequence else b""


class Unbeating(Mute):
    """And one that has no heartbeat either."""

    def heartbeat(self) -> bytes | None:
        return None


class Ending(NativeEncoder):
    def end(self) -> bytes:
        return b"data: [DONE]\n\n"


def new_answer(encoder: NativeEncoder | None = None, limits: Limits | None = None) -> Answer:
    answer = Answer(STARTED, encoder or NativeEncoder(), limits or Limits(), START)
    answer.begin("acme", 1)
    return answer


def new_document(limits: Limits | None = None) -> Answer:
    answer = Answer(STARTED, None, limits or Limits(), START)
    answer.begin("acme", 1)
    return answer


def take(answer: Answer, *events: Event) -> None:
    for event in events:
        answer.take(event, "m-1", START)


@pytest.mark.parametrize(
    ("before", "content"),
    [
        ([TextStarted(0)], TextDelta(0, "x")),
        ([ReasoningStarted(0)], ReasoningDelta(0, "x")),
        ([], ToolCallStarted(0, "c", "pay", "client")),
        ([], ToolResult("c", None, is_error=False)),
        ([], Source("s")),
        ([], File("f")),
        ([], DataFrame("d", ["a"], [[1]])),
        ([], Data("d", 1)),
        ([], InputRequested("r", "question")),
    ],
)
def test_the_first_content_commits_what_was_held(before: list[Event], content: Event) -> None:
    held = [StepStarted(0), UsageReported(input_tokens=1), *before]
    answer = new_answer()
    take(answer, *held)
    assert (answer.committed, answer.released, answer.flush(START)) == (False, False, b"")
    take(answer, content)
    assert (answer.committed, answer.released, answer.has_content) == (True, True, True)
    assert read_stream(answer.flush(START)) == answer.log == [STARTED, ROUTED, *held, content]


@pytest.mark.parametrize(
    "event",
    [
        TextStarted(0),
        ReasoningStarted(0),
        StepStarted(0),
        UsageReported(input_tokens=1),
        VendorEvent("x", {}, "acme"),
    ],
    ids=lambda event: str(event.__struct_config__.tag),
)
def test_what_is_no_content_is_held(event: Event) -> None:
    answer = new_answer()
    take(answer, event)
    assert (answer.committed, answer.has_content, answer.log) == (False, False, [STARTED])


@pytest.mark.parametrize(
    ("started", "delta"),
    [(TextStarted(0), TextDelta(0, "")), (ReasoningStarted(0), ReasoningDelta(0, ""))],
)
def test_an_empty_delta_is_no_content(started: Event, delta: Event) -> None:
    answer = new_answer()
    take(answer, started, delta)
    assert (answer.committed, answer.has_content) == (False, False)


def test_an_empty_text_is_no_answer() -> None:
    answer = new_answer()
    take(answer, TextStarted(0), TextDelta(0, ""), TextCompleted(0, ""))
    objection = answer.objection(STOP)
    assert objection is not None
    assert objection.code == "upstream_empty"


def test_a_new_attempt_forgets_what_the_last_one_left_uncommitted() -> None:
    answer = new_answer()
    take(answer, TextStarted(0), StepStarted(0))
    answer.begin("spare", 2)
    take(answer, TextStarted(1), TextDelta(1, "Hi"))
    assert answer.log == [STARTED, MessageRouted("spare", 2, "m-1"), TextStarted(1), TextDelta(1, "Hi")]
    assert answer.assembler.open_events() == [TextCompleted(1, "Hi")]


def test_what_was_held_before_counts_towards_no_later_attempt() -> None:
    answer = new_answer(limits=Limits(held=150))
    for attempt in range(1, 5):
        answer.begin("acme", attempt)
        take(answer, StepStarted(attempt, "x" * 40))
    with pytest.raises(GatewayError) as caught:
        take(answer, StepStarted(9, "x" * 40))
    assert (caught.value.code, caught.value.cause) == ("upstream_protocol", "too_large")


BROKEN = ErrorBody("upstream_unavailable", "the connection broke", retryable=True)


def broken_off(*, discard: bool) -> Answer:
    """An answer whose first attempt broke off behind its text, and whose second has begun."""
    answer = new_answer()
    take(answer, TextStarted(0), TextDelta(0, "Hi"))
    answer.break_off(BROKEN, discard=discard)
    answer.begin("spare", 2)
    return answer


def switched(*, discard: bool) -> MessageRouted:
    return MessageRouted("spare", 2, "m-1", "acme", BROKEN, discard)


@pytest.mark.parametrize("discard", [True, False])
def test_a_switch_completes_what_is_open_and_is_told_with_the_first_content_of_the_next_attempt(
    *, discard: bool
) -> None:
    answer = broken_off(discard=discard)
    assert answer.log[-1] == TextCompleted(0, "Hi")
    take(answer, TextStarted(1))
    assert answer.log[-1] == TextCompleted(0, "Hi")
    take(answer, TextDelta(1, "Ho"))
    assert answer.log[-3:] == [switched(discard=discard), TextStarted(1), TextDelta(1, "Ho")]
    assert answer.flows is True


@pytest.mark.parametrize(("discard", "kept"), [(True, []), (False, [TextPart("Hi", 0)])])
def test_what_the_client_is_told_to_forget_is_in_no_message(*, discard: bool, kept: list[Part]) -> None:
    answer = broken_off(discard=discard)
    assert answer.parts() == [TextPart("Hi", 0)]
    take(answer, TextStarted(1), TextDelta(1, "Ho"), TextCompleted(1, "Ho"))
    assert answer.parts() == [*kept, TextPart("Ho", 1)]


def test_a_message_that_fails_before_its_switch_was_told_keeps_what_was_shown() -> None:
    answer = broken_off(discard=True)
    take(answer, TextStarted(1))
    answer.fail(GatewayError("upstream_timeout", "too late"), "req_1", {})
    assert [type(event) for event in answer.log[-2:]] == [TextCompleted, MessageFailed]
    assert answer.parts() == [TextPart("Hi", 0)]


def test_a_message_that_is_canceled_before_its_switch_was_told_keeps_what_was_shown() -> None:
    answer = broken_off(discard=True)
    take(answer, TextStarted(1))
    answer.end(MessageCanceled("canceled"), {}, None)
    assert [type(event) for event in answer.log[-2:]] == [TextCompleted, MessageCanceled]
    assert answer.parts() == [TextPart("Hi", 0)]


def test_how_much_was_to_be_forgotten_is_known_by_attempt_once_it_was_told() -> None:
    answer = broken_off(discard=True)
    take(answer, TextStarted(1))
    assert not answer.discarded
    take(answer, TextDelta(1, "Ho!"))
    answer.break_off(BROKEN, discard=False)
    assert (answer.discarded, answer.text()) == ({1: 2}, "Ho!")
    answer.begin("third", 3)
    take(answer, TextStarted(2), TextDelta(2, "Hum"))
    answer.break_off(BROKEN, discard=True)
    answer.begin("fourth", 4)
    take(answer, TextStarted(3), TextDelta(3, "Ha"))
    assert answer.discarded == {1: 2, 3: 6}


def test_what_was_kept_counts_towards_the_cap_of_the_message() -> None:
    answer = new_answer(limits=Limits(message=200))
    take(answer, TextStarted(0), TextDelta(0, "x" * 120))
    answer.break_off(BROKEN, discard=False)
    answer.begin("spare", 2)
    take(answer, TextStarted(1), TextDelta(1, "x" * 120))
    with pytest.raises(GatewayError, match="over 200 bytes"):
        answer.check_size()


def test_usage_of_a_broken_attempt_is_told_where_no_other_began() -> None:
    answer = new_answer()
    take(answer, TextStarted(0), TextDelta(0, "Hi"), UsageReported(input_tokens=3))
    answer.break_off(BROKEN, discard=True)
    answer.begin("spare", 2)
    answer.fail(GatewayError("upstream_timeout", "too late"), "req_1", {})
    failed = answer.log[-1]
    assert isinstance(failed, MessageFailed)
    assert failed.usage == Usage(input_tokens=3, partial=True)


@pytest.mark.parametrize(
    ("events", "alone"),
    [
        ([TextStarted(0), TextDelta(0, "Hi")], True),
        ([ReasoningStarted(0), ReasoningDelta(0, "hm"), ReasoningCompleted(0, "hm"), Source("s1")], True),
        ([ToolCallStarted(0, "c", "pay", "vendor")], False),
        ([Data("chart", 1)], False),
    ],
)
def test_another_vendor_may_go_on_only_where_nothing_was_done_but_to_speak(events: list[Event], *, alone: bool) -> None:
    answer = new_answer()
    take(answer, *events)
    assert answer.is_text_alone() is alone


# --- a minimum speed

SPEED = Speed(characters=10, window=2)


def probed(*, encoder: bool = True, limits: Limits | None = None) -> Answer:
    answer = new_answer(limits=limits) if encoder else new_document()
    answer.begin("acme", 1, SPEED)
    take(answer, TextStarted(0), TextDelta(0, "slow"))
    return answer


def test_an_answer_is_held_until_it_was_quick_enough() -> None:
    answer = probed()
    assert (answer.committed, answer.log) == (False, [STARTED])
    take(answer, TextDelta(0, "x" * 15))
    assert (answer.committed, answer.log) == (False, [STARTED])
    take(answer, TextDelta(0, "x"))
    assert (answer.committed, answer.lags(START + 10)) == (True, False)


@pytest.mark.parametrize("encoder", [True, False])
def test_an_answer_lags_when_its_window_is_over(*, encoder: bool) -> None:
    answer = probed(encoder=encoder)
    assert answer.lags(START + 1.9) is False
    assert answer.lags(START + 2) is True
    answer.accept("m-1")
    assert (answer.lags(START + 9), answer.committed) == (False, encoder)


def test_nothing_lags_before_it_has_begun() -> None:
    answer = new_answer()
    answer.begin("acme", 1, SPEED)
    take(answer, TextStarted(0))
    assert answer.lags(START + 60) is False


def test_a_tool_call_is_quick_enough() -> None:
    answer = probed()
    take(answer, ToolCallStarted(1, "c", "pay", "vendor"))
    assert answer.committed is True


def test_a_whole_answer_is_quick_enough() -> None:
    answer = probed()
    answer.end(MessageCompleted("stop"), {}, "m-1")
    assert [type(event) for event in answer.log[-2:]] == [TextCompleted, MessageCompleted]


def test_no_more_is_held_for_the_sake_of_speed_than_there_is_room_for() -> None:
    answer = probed(limits=Limits(held=400))
    for number in range(1, 9):
        take(answer, StepStarted(number, "x" * 40))
    assert answer.committed is True


def test_text_flows_once_the_first_of_it_was_sent() -> None:
    answer = new_answer()
    take(answer, ToolCallStarted(0, "c", "pay", "vendor"))
    assert answer.flows is False
    take(answer, TextStarted(1))
    assert answer.flows is False
    take(answer, TextDelta(1, "a"))
    assert (answer.flows, answer.first_text_at) == (True, START)
    answer.take_text(TextDelta(1, "b"))
    assert answer.log[-1] == TextDelta(1, "b")
    assert answer.assembler.open_events()[1] == TextCompleted(1, "ab")
    assert read_stream(answer.flush(START)) == answer.log


def test_a_document_never_flows() -> None:
    answer = new_document()
    take(answer, TextStarted(0), TextDelta(0, "a"), TextDelta(0, "b"))
    assert (answer.flows, answer.committed, answer.log) == (False, False, [STARTED])


def test_the_size_of_an_answer_is_capped() -> None:
    answer = new_answer(limits=Limits(message=100))
    take(answer, TextStarted(0), TextDelta(0, "x" * 68))
    answer.check_size()
    take(answer, TextDelta(0, "x"))
    with pytest.raises(GatewayError) as caught:
        answer.check_size()
    assert (caught.value.code, caught.value.cause) == ("upstream_protocol", "too_large")


# --- release


def test_a_release_sends_the_start_once() -> None:
    answer = new_answer()
    answer.release()
    answer.release()
    assert read_stream(answer.flush(START)) == [STARTED]
    take(answer, TextStarted(0), TextDelta(0, "Hi"))
    assert answer.flush(START).startswith(b"id: 1\nevent: message.routed\n")


@pytest.mark.parametrize(("encoder", "sent"), [(Mute(), b": heartbeat\n\n"), (Unbeating(), b"")])
def test_where_the_start_cannot_be_told_yet_a_heartbeat_stands_for_it(encoder: NativeEncoder, sent: bytes) -> None:
    answer = new_answer(encoder)
    answer.release()
    assert (answer.flush(START), answer.released) == (sent, True)


def test_a_document_is_never_released_and_has_no_heartbeat() -> None:
    answer = new_document()
    answer.release()
    answer.heartbeat()
    assert (answer.released, answer.heartbeats, answer.flush(START)) == (False, 0, b"")


def test_a_heartbeat_is_counted_even_where_a_dialect_has_none() -> None:
    answer = new_answer(Unbeating())
    answer.release()
    answer.heartbeat()
    assert (answer.heartbeats, answer.flush(START)) == (1, b"")


def test_the_last_time_that_something_was_sent_is_known() -> None:
    answer = new_answer()
    assert (answer.flush(START + 1), answer.last_out) == (b"", START)
    answer.release()
    assert answer.flush(START + 2) != b""
    assert (answer.flush(START + 3), answer.last_out) == (b"", START + 2)


# --- endings


def completed(answer: Answer, terminal: MessageCompleted = STOP) -> list[Event]:
    answer.end(terminal, {"conversation": "c-1"}, "m-1")
    check_stream(answer.log)
    return answer.log


def test_an_ending_adds_who_answered_and_what_it_cost() -> None:
    answer = new_answer()
    take(answer, TextStarted(0), TextDelta(0, "Hi"), UsageReported(input_tokens=1, credits=0.5))
    assert completed(answer)[-2:] == [
        TextCompleted(0, "Hi"),
        MessageCompleted("stop", "end", [], "acme", "m-1", Usage(input_tokens=1, credits=0.5), {"conversation": "c-1"}),
    ]
    assert read_stream(answer.flush(START)) == answer.log


def test_the_vendors_ids_at_the_end_are_a_copy() -> None:
    ids = {"run": "r-1"}
    answer = new_answer()
    take(answer, Data("d", 1))
    answer.end(STOP, ids, None)
    ids["run"] = "r-2"
    assert answer.log[-1] == MessageCompleted("stop", "end", [], "acme", None, None, {"run": "r-1"})


def test_blocks_are_completed_in_their_order_and_then_steps() -> None:
    answer = new_answer()
    call = ToolCallStarted(2, "c", "pay", "vendor")
    take(answer, StepStarted(0, "a"), StepStarted(1, "b"), ReasoningStarted(1), call, TextStarted(0))
    take(answer, ToolCallDelta(2, "c", "{}"), TextDelta(0, "x"), ReasoningDelta(1, "y"))
    assert completed(answer)[-6:-1] == [
        TextCompleted(0, "x"),
        ReasoningCompleted(1, "y"),
        ToolCallCompleted(2, "c", "pay", {}, "cut", "{}"),
        StepCompleted(1, "b"),
        StepCompleted(0, "a"),
    ]


def test_a_whole_answer_without_content_is_sent_with_what_was_held() -> None:
    answer = new_answer()
    take(answer, StepStarted(0))
    assert completed(answer, MessageCompleted("length"))[:4] == [STARTED, ROUTED, StepStarted(0), StepCompleted(0)]


def test_a_canceled_message_of_which_nothing_is_known_names_no_vendor() -> None:
    answer = new_answer()
    answer.end(MessageCanceled("canceled"), {}, None)
    assert read_stream(answer.flush(START)) == answer.log == [STARTED, MessageCanceled("canceled")]


def test_the_usage_of_a_canceled_message_is_partial() -> None:
    answer = new_answer()
    take(answer, UsageReported(input_tokens=1))
    answer.end(MessageCanceled("vendor"), {}, "m-1")
    assert answer.log[1:] == [
        ROUTED,
        UsageReported(input_tokens=1),
        MessageCanceled("vendor", Usage(input_tokens=1, partial=True)),
    ]


ERROR = GatewayError("upstream_timeout", "the vendor fell silent", vendor="acme", vendor_message="secret")


def test_a_failure_before_the_stream_began_is_for_the_log_alone() -> None:
    answer = new_answer()
    take(answer, TextStarted(0), UsageReported(input_tokens=1))
    answer.fail(ERROR, "req_1", {"run": "r-1"})
    assert answer.flush(START) == b""
    usage = Usage(input_tokens=1, partial=True)
    assert answer.log == [STARTED, MessageFailed(ERROR.body("req_1"), usage, {"run": "r-1"})]


def test_a_failure_in_a_stream_closes_what_is_open_and_keeps_the_vendors_text_to_itself() -> None:
    answer = new_answer(Ending())
    take(answer, TextStarted(0), TextDelta(0, "Hi"))
    answer.fail(ERROR, "req_1", {})
    assert answer.log[-2:] == [TextCompleted(0, "Hi"), MessageFailed(ERROR.body("req_1"))]
    data = answer.flush(START)
    assert b"secret" not in data
    assert data.endswith(b"\n\ndata: [DONE]\n\n")


def test_a_failure_after_the_release_drops_what_was_held() -> None:
    answer = new_answer()
    answer.release()
    take(answer, TextStarted(0))
    answer.fail(ERROR, "req_1", {})
    assert read_stream(answer.flush(START)) == [STARTED, MessageFailed(ERROR.body("req_1"))]


def test_a_document_that_fails_keeps_what_it_had() -> None:
    answer = new_document()
    take(answer, TextStarted(0), TextDelta(0, "Hi"))
    answer.fail(ERROR, "req_1", {})
    assert answer.log[1:-1] == [
        replace(ROUTED, model=None),
        TextStarted(0),
        TextDelta(0, "Hi"),
        TextCompleted(0, "Hi"),
    ]
    assert answer.flush(START) == b""


# --- what is not believed


def call(executor: Any, status: Any) -> list[Event]:
    started = ToolCallStarted(0, "c", "pay", executor)
    match status:
        case "open":
            return [started]
        case "complete":
            return [started, ToolCallCompleted(0, "c", "pay", {}, "complete")]
        case _:
            return [started, ToolCallCompleted(0, "c", "pay", {}, status, "")]


@pytest.mark.parametrize(
    ("events", "terminal", "code"),
    [
        ([], STOP, "upstream_empty"),
        ([ReasoningStarted(0), ReasoningDelta(0, "x")], STOP, "upstream_empty"),
        ([Source("s")], MessageCompleted("other"), "upstream_empty"),
        ([ToolResult("c", 1, is_error=False)], STOP, "upstream_empty"),
        ([], MessageCompleted("length"), None),
        ([], MessageCompleted("input_required"), None),
        ([], MessageCompleted("content_filter"), "content_filtered"),
        ([StepStarted(0)], MessageCompleted("content_filter"), "content_filtered"),
        ([Source("s")], MessageCompleted("content_filter"), None),
        ([File("f")], STOP, None),
        ([DataFrame("d", [], [])], STOP, None),
        ([Data("d", 1)], STOP, None),
        ([InputRequested("r", "approval")], STOP, None),
        (call("client", "open"), STOP, "upstream_protocol"),
        (call("client", "cut"), STOP, "upstream_protocol"),
        (call("client", "unreadable"), MessageCompleted("tool_calls"), "upstream_protocol"),
        (call("client", "unreadable"), MessageCompleted("content_filter"), "upstream_protocol"),
        (call("client", "cut"), MessageCompleted("length"), None),
        (call("client", "complete"), MessageCompleted("tool_calls", None, ["c"]), None),
        (call("unknown", "cut"), STOP, None),
        (call("unknown", "cut"), MessageCompleted("tool_calls", None, ["c"]), "upstream_protocol"),
        (call("vendor", "open"), STOP, None),
    ],
)
def test_an_ending_is_believed_only_where_the_answer_bears_it_out(
    events: list[Event], terminal: MessageCompleted, code: str | None
) -> None:
    answer = new_answer()
    take(answer, *events)
    objection = answer.objection(terminal)
    assert (objection and objection.code) == code

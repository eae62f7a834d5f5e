"""What a vendor is told of a conversation that it missed: which messages, and as much as there is room for."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from gateway.canonical.message import (
    DataPart,
    FilePart,
    ImagePart,
    InputPart,
    Message,
    Part,
    ReasoningPart,
    Role,
    Status,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.one_text import as_line, as_one_text
from gateway.canonical.turn import HistoryMessage, Turn
from gateway.conversations.catch_up import Missed, Transcript, catch_up, history

THEN = datetime(2026, 11, 21, tzinfo=UTC)
ALL = 1_000_000


def message(message_id: str, role: Role, *parts: Part | str, status: Status = "completed") -> Message:
    said = [TextPart(part) if isinstance(part, str) else part for part in parts]
    return Message(message_id, "c1", role, status, said, THEN)


def user(number: int, *parts: Part | str) -> Message:
    return message(f"q{number}", "user", *(parts or (f"Question {number}",)))


def assistant(number: int, *parts: Part | str, status: Status = "completed") -> Message:
    return message(f"a{number}", "assistant", *(parts or (f"Answer {number}",)), status=status)


def turns(*numbers: int) -> list[Message]:
    return [said for number in numbers for said in (user(number), assistant(number))]


def ids(messages: list[Message]) -> list[str]:
    return [each.id for each in messages]


def lines(missed: Missed) -> list[str]:
    return [as_line(each) for each in missed.messages]


def told(numbers: list[int]) -> list[str]:
    return [line for number in numbers for line in (f"user: Question {number}", f"assistant: Answer {number}")]


# --- which messages


@pytest.mark.parametrize(
    ("seen", "missed"),
    [
        (None, ["q1", "a1", "q2", "a2", "q3", "a3"]),
        ("a1", ["q2", "a2", "q3", "a3"]),
        ("q2", ["a2", "q3", "a3"]),
        ("a3", []),
        ("gone", ["q1", "a1", "q2", "a2", "q3", "a3"]),
    ],
)
def test_a_vendor_missed_what_came_after_the_last_message_it_knows(seen: str | None, missed: list[str]) -> None:
    assert ids(Transcript(turns(1, 2, 3)).after(seen)) == missed


def test_what_is_being_asked_now_was_not_missed() -> None:
    stored = [*turns(1), user(2), assistant(2, status="running")]
    assert ids(Transcript(stored, running=["q2", "a2"]).after(None)) == ["q1", "a1"]


def anew(number: int, of: int, *, status: Status = "completed") -> Message:
    return replace(assistant(number, f"Answer {of} anew", status=status), regenerates=f"a{of}")


def test_an_answer_that_was_given_anew_counts_once() -> None:
    stored = [*turns(1), anew(2, 1), replace(anew(3, 1), regenerates="a2")]
    assert ids(Transcript(stored).after(None)) == ["q1", "a3"]
    assert ids(Transcript(stored).after("q1")) == ["a3"]


def test_a_vendor_that_knows_an_answer_that_was_replaced_missed_the_new_one() -> None:
    stored = [*turns(1), anew(2, 1), *turns(3)]
    assert ids(Transcript(stored).after("a1")) == ["a2", "q3", "a3"]


@pytest.mark.parametrize("status", ["failed", "canceled", "running"])
def test_an_answer_that_could_not_be_given_anew_stands(status: Status) -> None:
    stored = [*turns(1), replace(anew(2, 1, status=status), parts=[])]
    assert lines(catch_up(Transcript(stored).after(None), ALL)) == told([1])


# --- what is told of them


def test_nothing_missed_is_nothing_told() -> None:
    assert catch_up([], ALL) == Missed([], 0, 0)


def test_all_that_was_said_is_told_in_its_order() -> None:
    missed = catch_up(turns(1, 2, 3), ALL)
    assert lines(missed) == told([1, 2, 3])
    assert (missed.left_out, missed.size) == (0, sum(map(len, told([1, 2, 3]))))


def test_a_question_without_an_answer_is_told_as_it_stands() -> None:
    stored = [user(1), assistant(1, ReasoningPart("hm"), status="failed"), *turns(2)]
    assert lines(catch_up(stored, ALL)) == ["user: Question 1", *told([2])]


@pytest.mark.parametrize("status", ["failed", "canceled"])
def test_what_was_shown_of_an_answer_is_told(status: Status) -> None:
    assert lines(catch_up([user(1), assistant(1, "Half an", status=status)], ALL)) == [
        "user: Question 1",
        "assistant: Half an",
    ]


def test_tool_calls_results_files_and_questions_are_told_in_words() -> None:
    stored = [
        user(1, "Look", FilePart(file_id="file_1", name="a.pdf"), ImagePart(url="https://a.test/b.png")),
        assistant(1, "I look.", ToolCallPart("call_1", "look", {"id": 7}), ToolResultPart("call_1", {"n": 4})),
        message("q2", "user", ToolResultPart("call_2", "sunny")),
        assistant(2, InputPart("r1", "question", "Which year?"), InputPart("r2", "approval")),
        assistant(3, FilePart(name="report.pdf"), DataPart("chart", [1])),
    ]
    assert lines(catch_up(stored, ALL)) == [
        "user: Look (file a.pdf) (file without a name)",
        'assistant: I look. (called look with {"id":7}) (got {"n":4})',
        'user: (got "sunny")',
        "assistant: (asked: Which year?)",
        "assistant: (file report.pdf)",
    ]


def test_what_a_client_told_of_earlier_is_told_on_whoever_said_it() -> None:
    stored = [message("s1", "system", "Be kind"), message("t1", "tool", ToolResultPart("c", 1)), *turns(1)]
    missed = catch_up(stored, ALL)
    assert lines(missed) == ["system: Be kind", "tool: (got 1)", *told([1])]


# --- as much as there is room for

SIZE = len("user: Question 1") + len("assistant: Answer 1")


@pytest.mark.parametrize(
    ("characters", "kept"),
    [
        (3 * SIZE, [1, 2, 3]),
        (3 * SIZE - 1, [2, 3]),
        (2 * SIZE, [2, 3]),
        (2 * SIZE - 1, [3]),
        (SIZE, [3]),
        (SIZE - 1, []),
        (0, []),
    ],
)
def test_whole_turns_are_left_out_the_oldest_first(characters: int, kept: list[int]) -> None:
    missed = catch_up(turns(1, 2, 3), characters)
    assert lines(missed) == told(kept)
    assert (missed.left_out, missed.size) == (3 - len(kept), len(kept) * SIZE)


def test_a_turn_that_is_too_large_is_left_out_with_all_before_it() -> None:
    stored = [*turns(1), user(2, "x" * 1000), assistant(2), *turns(3)]
    missed = catch_up(stored, 500)
    assert (lines(missed), missed.left_out) == (told([3]), 2)


def test_where_the_one_turn_is_too_large_only_that_is_said() -> None:
    missed = catch_up([user(1, "x" * 1000), assistant(1)], 500)
    assert (missed.messages, missed.left_out, missed.size) == ([], 1, 0)
    turn = Turn([TextPart("Now")], str, missed=missed.messages, left_out=missed.left_out)
    assert as_one_text(turn) == "[Earlier in this conversation]\n(1 earlier turn is left out)\n[Now]\nNow"


def test_a_turn_is_a_question_with_all_that_answered_it() -> None:
    long = [user(1), assistant(1, "Half", status="failed"), assistant(2), message("t1", "tool", "x")]
    size = sum(len(as_line(HistoryMessage(each.role, each.parts))) for each in long)
    assert catch_up([*long, *turns(3)], SIZE + size - 1).left_out == 1
    assert catch_up([*long, *turns(3)], SIZE + size).left_out == 0


def test_a_turn_of_which_nothing_is_told_is_not_missed() -> None:
    silent = [user(1, DataPart("x", 1)), assistant(1, ReasoningPart("hm"))]
    assert catch_up([*silent, *turns(2)], 0).left_out == 1


def called(number: int, *calls: str) -> Message:
    return assistant(number, *(ToolCallPart(call, "look", {"n": number}, executor="client") for call in calls))


def test_calls_of_one_id_are_told_apart_in_a_history_and_the_latest_keeps_its_own() -> None:
    stored = [
        called(1, "c", "d"),
        user(2, ToolResultPart("c", 1), ToolResultPart("d", 1)),
        called(2, "c"),
        user(3, ToolResultPart("c", 2)),
        replace(called(3, "c"), parts=[*called(3, "c").parts, InputPart("r", "approval", tool_call_id="c")]),
    ]
    ids = [
        [part.tool_call_id for part in told.parts if isinstance(part, (ToolCallPart, ToolResultPart, InputPart))]
        for told in history(stored, "acme")
    ]
    assert ids == [["c_0", "d"], ["c_0", "d"], ["c_2"], ["c_2"], ["c", "c"]]


def test_an_id_that_a_call_is_given_is_no_other_calls() -> None:
    stored = [called(1, "c"), called(2, "c_0"), called(3, "c")]
    calls = [part for told in history(stored, "acme") for part in told.parts if isinstance(part, ToolCallPart)]
    assert [call.tool_call_id for call in calls] == ["c_1", "c_0", "c"]


def test_a_history_without_such_calls_is_told_as_it_is() -> None:
    stored = [called(1, "c"), user(2, ToolResultPart("c", 1)), called(2, "d")]
    assert [told.parts for told in history(stored, "acme")] == [each.parts for each in stored]

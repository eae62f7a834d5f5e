"""What a client resends becomes history and turn; what was said becomes a dialogue that any model can read."""

from itertools import pairwise
from typing import Any, get_args

from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.canonical.history import GO_ON, Split, Spoken, dialogue, split
from gateway.canonical.message import (
    DataPart,
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    Part,
    ReasoningPart,
    Role,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import AskPart, HistoryMessage, Turn

CALL = ToolCallPart("c1", "look", {"at": "sky"}, executor="client")
OTHER = ToolCallPart("c2", "look", {}, executor="client")
RESULT = ToolResultPart("c1", "blue")
OTHER_RESULT = ToolResultPart("c2", "grey")
IMAGE = ImagePart(url="https://files.acme.test/a.png")


def says(role: Role, *parts: Part | str) -> HistoryMessage:
    return HistoryMessage(role, [TextPart(part) if isinstance(part, str) else part for part in parts])


def ask(*parts: AskPart, missed: list[HistoryMessage], **fields: Any) -> Turn:
    return Turn(list(parts), str, missed=missed, **fields)


def told(*missed: HistoryMessage, parts: list[AskPart] | None = None, **fields: Any) -> list[tuple[str, list[Part]]]:
    turn = ask(*(parts or [TextPart("Now")]), missed=list(missed), **fields)
    return [(spoken.role, spoken.parts) for spoken in dialogue(turn)]


# --- from a client


def test_the_last_turn_is_what_is_asked() -> None:
    said = [says("user", "One"), says("assistant", "Hello"), says("user", "Two", IMAGE)]
    assert split(said) == Split(None, said[:2], [TextPart("Two"), IMAGE])


def test_system_messages_at_either_end_are_instructions_and_others_stay() -> None:
    one, two = says("user", "One"), says("user", "Two")
    middle = says("system", "Now in French.")
    said = [says("system", "Be", "brief."), says("system", "Rhyme."), one, middle, two, says("system", "Go.")]
    assert split(said) == Split("Be\n\nbrief.\n\nRhyme.\n\nGo.", [one, middle], [TextPart("Two")])


def test_what_a_client_says_in_a_row_is_one_turn_and_so_are_its_tools_results() -> None:
    said = [says("user", "A"), says("user", "B"), says("assistant", CALL), says("tool", RESULT), says("user", "So?")]
    history = [says("user", "A", "B"), says("assistant", CALL)]
    assert split(said) == Split(None, history, [RESULT, TextPart("So?")])


def test_an_answer_that_comes_in_pieces_is_one() -> None:
    said = [says("user", "A"), says("assistant", "B"), says("assistant", "C"), says("user", "D")]
    assert split(said).history == [says("user", "A"), says("assistant", "B", "C")]


def test_where_the_last_message_is_none_of_the_clients_nothing_is_asked() -> None:
    assert split([]) == Split(None, [], [])
    assert split([says("system", "Be brief.")]) == Split("Be brief.", [], [])
    said = [says("user", "One"), says("assistant", "Hello")]
    assert split(said) == Split(None, said, [])
    assert split([*said, says("system", "Go.")]) == Split("Go.", said, [])


# --- to a vendor


def test_a_conversation_is_told_in_order() -> None:
    thought = ReasoningPart("Hm", 0, "signed")
    assert told(says("user", "One"), says("assistant", thought, "Hello"), says("system", "Be brief.")) == [
        ("user", [TextPart("One")]),
        ("assistant", [thought, TextPart("Hello")]),
        ("system", [TextPart("Be brief.")]),
        ("user", [TextPart("Now")]),
    ]


def test_the_results_of_calls_stand_behind_them_each_once() -> None:
    answer = says("assistant", "Look: ", CALL, OTHER)
    parts: list[AskPart] = [OTHER_RESULT, RESULT, TextPart("So?")]
    assert told(says("user", "One"), answer, parts=parts) == [
        ("user", [TextPart("One")]),
        ("assistant", [TextPart("Look: "), CALL, OTHER]),
        ("tool", [RESULT, OTHER_RESULT]),
        ("user", [TextPart("So?")]),
    ]


def test_a_turn_of_nothing_but_results_has_no_words() -> None:
    assert told(says("user", "One"), says("assistant", CALL), parts=[RESULT])[-1] == ("tool", [RESULT])


def test_a_result_that_comes_late_stands_behind_its_call_and_is_told_again_as_what_is_asked_now() -> None:
    said = [says("user", "One"), says("assistant", CALL), says("user", "Wait"), says("assistant", "Well?")]
    assert told(*said, parts=[RESULT]) == [
        ("user", [TextPart("One")]),
        ("assistant", [CALL]),
        ("tool", [RESULT]),
        ("user", [TextPart("Wait")]),
        ("assistant", [TextPart("Well?")]),
        ("user", [TextPart('(got "blue")')]),
    ]


def test_a_call_that_comes_again_is_answered_once() -> None:
    again = [says("assistant", CALL), says("tool", RESULT), says("assistant", CALL, "Well"), says("tool", RESULT)]
    assert told(*again) == [
        ("assistant", [CALL]),
        ("tool", [RESULT]),
        ("assistant", [CALL, TextPart("Well")]),
        ("user", [TextPart("Now")]),
    ]


def test_what_a_model_cannot_be_shown_becomes_text() -> None:
    run = ToolCallPart("v1", "search", {"q": "x"}, executor="vendor")
    cut = ToolCallPart("c3", "look", {}, status="cut", raw_arguments="{", executor="client")
    kept = FilePart(file_id="f1", name="a.pdf")
    asked = InputPart("r1", "question", "Which?")
    source = SourcePart("s1", url="https://docs.acme.test")
    spoken = told(
        says("user", kept, IMAGE),
        says("assistant", run, ToolResultPart("v1", [1]), CALL, cut, "", asked, source, DataPart("chart", 1)),
        says("user", ToolResultPart("nobody", 2), InputResponsePart("r1", text="This")),
    )
    assert spoken == [
        ("user", [TextPart("(file a.pdf)"), IMAGE]),
        (
            "assistant",
            [
                TextPart('(called search with {"q":"x"})'),
                TextPart("(got [1])"),
                TextPart('(called look with {"at":"sky"})'),
                TextPart("(called look with {})"),
                TextPart("(asked: Which?)"),
            ],
        ),
        ("user", [TextPart("(got 2)"), InputResponsePart("r1", text="This"), TextPart("Now")]),
    ]


def test_an_answer_with_nothing_to_tell_is_left_out() -> None:
    assert told(says("user", "One"), says("assistant", DataPart("chart", 1)), says("user", ""), says("system")) == [
        ("user", [TextPart("One"), TextPart("Now")]),
    ]


def test_a_vendor_that_goes_on_with_anothers_answer_is_shown_it() -> None:
    assert told(partial="Once upon") == [
        ("user", [TextPart("Now")]),
        ("assistant", [TextPart("Once upon")]),
        ("user", [TextPart(GO_ON)]),
    ]


ids = st.sampled_from(["c1", "c2", "c3"])
part = st.one_of(
    st.builds(TextPart, st.sampled_from(["", "a", "b"])),
    st.builds(ReasoningPart, st.just("r")),
    st.builds(ToolCallPart, ids, st.just("look"), st.just({}), executor=st.sampled_from(["client", "vendor"])),
    st.builds(ToolResultPart, ids, st.integers(0, 2)),
    st.just(IMAGE),
)
histories = st.lists(st.builds(HistoryMessage, st.sampled_from(get_args(Role)), st.lists(part, max_size=4)), max_size=6)


@given(histories)
def test_any_dialogue_can_be_read(said: list[HistoryMessage]) -> None:
    spoken = dialogue(ask(TextPart("Now"), missed=said))
    roles = [each.role for each in spoken]
    assert all(left != right or left == "system" for left, right in pairwise(roles))
    assert roles[-1] == "user"
    for before, each in pairwise([Spoken("system", []), *spoken]):
        calls = {part.tool_call_id for part in each.parts if isinstance(part, ToolCallPart)}
        assert not calls or each.role == "assistant"
        results = [part.tool_call_id for part in each.parts if isinstance(part, ToolResultPart)]
        asked = {part.tool_call_id for part in before.parts if isinstance(part, ToolCallPart)}
        assert (each.role == "tool") == bool(results)
        assert set(results) <= asked
        assert len(set(results)) == len(results)


@given(histories)
def test_what_was_split_is_split_no_further(said: list[HistoryMessage]) -> None:
    found = split(said)
    assume(found.content)
    again = split([*found.history, HistoryMessage("user", list(found.content))])
    assert (again.history, again.content) == (found.history, found.content)

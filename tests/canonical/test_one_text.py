"""A turn as one text: what is refused, how the past is told, what an answer to an input request sounds like."""

from typing import Any

import pytest

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import (
    DataPart,
    FilePart,
    ImagePart,
    InputResponsePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.one_text import as_one_text, cannot_take, refuse_what_is_no_text, spoken
from gateway.canonical.turn import AskPart, HistoryMessage, NamedTool, Parameters, Tool, Turn


def ask(*parts: AskPart, **fields: Any) -> Turn:
    return Turn(list(parts), new_id=lambda: "new", **fields)


# --- what is refused

REFUSED: list[tuple[Turn, str, str]] = [
    (ask(TextPart("a"), instructions="Be kind"), "instructions", "$.instructions"),
    (ask(TextPart("a"), tools=[Tool("t")]), "the client's tools", "$.tools"),
    (ask(TextPart("a"), tool_choice="none"), "a choice of tools", "$.tool_choice"),
    (ask(TextPart("a"), tool_choice="required"), "a choice of tools", "$.tool_choice"),
    (ask(TextPart("a"), tool_choice=NamedTool("t")), "a choice of tools", "$.tool_choice"),
    (ask(TextPart("a"), ImagePart(file_id="f")), "images", "$.content[1]"),
    (ask(FilePart(file_id="f")), "files", "$.content[0]"),
    (ask(TextPart("a"), TextPart("b"), ToolResultPart("c", 1)), "results of the client's tools", "$.content[2]"),
]


@pytest.mark.parametrize(("turn", "what", "path"), REFUSED)
def test_what_is_no_text_is_refused_with_its_path(turn: Turn, what: str, path: str) -> None:
    with pytest.raises(GatewayError) as caught:
        refuse_what_is_no_text(turn, "acme")
    error = caught.value
    assert (error.code, error.message, error.details) == ("unsupported", f"acme cannot take {what}", {"path": path})


def test_an_answer_to_an_input_request_is_refused_where_it_is_not_excepted() -> None:
    turn = ask(InputResponsePart("r", approved=True))
    refuse_what_is_no_text(turn, "acme")
    with pytest.raises(GatewayError) as caught:
        refuse_what_is_no_text(turn, "acme", but=())
    assert caught.value.message == "acme cannot take answers to input requests"


def test_what_is_excepted_and_what_is_text_is_taken() -> None:
    files: list[AskPart] = [ImagePart(file_id="f"), FilePart(file_id="f"), ToolResultPart("c", 1)]
    refuse_what_is_no_text(ask(*files), "acme", but={ImagePart, FilePart, ToolResultPart})
    turn = ask(
        TextPart("a"), instructions="", tool_choice="auto", parameters=Parameters(temperature=1), metadata={"a": 1}
    )
    refuse_what_is_no_text(turn, "acme")


def test_what_a_vendor_cannot_take_says_who_what_and_where() -> None:
    error = cannot_take("acme", "a song", "$.content[0]")
    assert (error.code, error.message, error.details) == (
        "unsupported",
        "acme cannot take a song",
        {"path": "$.content[0]"},
    )


# --- the text


def test_a_turn_of_its_own_is_its_texts_alone() -> None:
    assert as_one_text(ask(TextPart("Hi"))) == "Hi"
    assert as_one_text(ask(TextPart("One."), TextPart(""), TextPart("Two."))) == "One.\n\nTwo."


@pytest.mark.parametrize("parts", [[], [TextPart("")], [InputResponsePart("r")], [ToolResultPart("c", 1)]])
def test_a_turn_that_says_nothing_is_no_text(parts: list[AskPart]) -> None:
    assert as_one_text(ask(*parts)) == ""


def test_what_was_said_elsewhere_stands_in_front_in_one_block() -> None:
    turn = ask(
        TextPart("And now?"),
        missed=[
            HistoryMessage("system", [TextPart("Be kind")]),
            HistoryMessage("user", [TextPart("Hi")]),
            HistoryMessage(
                "user", [FilePart(name="a.pdf"), ImagePart(url="https://x.test"), InputResponsePart("r", approved=True)]
            ),
            HistoryMessage("assistant", [TextPart("I look."), ToolCallPart("call_1", "look", {"id": 1})]),
            HistoryMessage("tool", [ToolResultPart("call_1", {"ok": True})]),
            HistoryMessage("assistant", [DataPart("chart", 1), ReasoningPart("hm")]),
            HistoryMessage("assistant", []),
        ],
    )
    assert as_one_text(turn) == (
        "[Earlier in this conversation]\n"
        "system: Be kind\n"
        "user: Hi\n"
        "user: (file a.pdf) (file without a name) Approved.\n"
        'assistant: I look. (called look with {"id":1})\n'
        'tool: (got {"ok":true})\n'
        "[Now]\n"
        "And now?"
    )


def test_a_past_that_says_nothing_adds_nothing() -> None:
    assert as_one_text(ask(TextPart("Hi"), missed=[HistoryMessage("assistant", [TextPart("")])])) == "Hi"


def test_turns_that_are_left_out_are_counted() -> None:
    said = [HistoryMessage("user", [TextPart("Hi")])]
    assert as_one_text(ask(TextPart("Now"), missed=said, left_out=1)) == (
        "[Earlier in this conversation]\n(1 earlier turn is left out)\nuser: Hi\n[Now]\nNow"
    )
    assert as_one_text(ask(TextPart("Now"), left_out=2)) == (
        "[Earlier in this conversation]\n(2 earlier turns are left out)\n[Now]\nNow"
    )


def test_a_template_marks_what_was_said_and_is_never_read_in_it() -> None:
    said = [HistoryMessage("user", [TextPart("What is {now}?")])]
    turn = ask(TextPart("And {earlier}?"), missed=said, template="<past>{earlier}</past>\n{now}\n<end>")
    assert as_one_text(turn) == "<past>user: What is {now}?</past>\nAnd {earlier}?\n<end>"


def test_a_past_without_a_text_of_the_turn_is_told_alone() -> None:
    turn = ask(ToolResultPart("call_1", 1), missed=[HistoryMessage("user", [TextPart("Hi")])])
    assert as_one_text(turn) == "[Earlier in this conversation]\nuser: Hi"


def test_a_partial_answer_is_given_to_go_on_with() -> None:
    assert as_one_text(ask(TextPart("Tell me"), partial="Once upon")) == (
        "Tell me\n[Your answer so far; go on where it stops]\nOnce upon"
    )
    turn = ask(TextPart("Tell me"), partial="Once upon", missed=[HistoryMessage("user", [TextPart("Hi")])])
    assert as_one_text(turn) == (
        "[Earlier in this conversation]\nuser: Hi\n[Now]\nTell me\n"
        "[Your answer so far; go on where it stops]\nOnce upon"
    )


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (TextPart("Hi"), "Hi"),
        (InputResponsePart("r", approved=True), "Approved."),
        (InputResponsePart("r", approved=False, text="too dear"), "Declined. too dear"),
        (InputResponsePart("r", values={"size": 3}), '{"size":3}'),
        (InputResponsePart("r", approved=True, text="ok", values={"size": 3}), 'Approved. ok {"size":3}'),
        (InputResponsePart("r", values={}), ""),
        (ToolResultPart("c", 1), ""),
        (FilePart(name="a.pdf"), ""),
    ],
)
def test_a_part_of_the_turn_is_spoken_or_goes_another_way(part: Part, text: str) -> None:
    assert spoken(part) == text

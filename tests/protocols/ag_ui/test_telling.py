"""What an AG-UI server is told: a conversation as its messages, and answers to interrupts."""

from typing import Any

import msgspec
import pytest

from gateway.canonical.errors import GatewayError
from gateway.canonical.history import GO_ON
from gateway.canonical.message import (
    DataPart,
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import HistoryMessage
from gateway.protocols.ag_ui.telling import tell
from tests.support.translating import ask


def told(*parts: Any, missed: list[HistoryMessage] | None = None, **fields: Any) -> tuple[list[Any], list[Any]]:
    """Messages and resumed interrupts, as they are sent; ids are looked at in a test of their own."""
    run = tell(ask(*parts, missed=missed or [], **fields), None, "t")
    sent = msgspec.json.decode(msgspec.json.encode(run.messages))
    assert [message.pop("id") for message in sent] == [f"t-{number}" for number in range(len(sent))]
    return sent, msgspec.json.decode(msgspec.json.encode(run.resume))


def answered(*parts: Part) -> HistoryMessage:
    return HistoryMessage("assistant", list(parts))


def function(call: str, name: str, arguments: str = "{}") -> dict[str, Any]:
    return {"type": "function", "id": call, "function": {"name": name, "arguments": arguments}}


HI = HistoryMessage("user", [TextPart("hi")])
NEXT = TextPart("next")


def test_a_whole_conversation_becomes_messages() -> None:
    missed = [
        HistoryMessage("system", [TextPart("Be kind."), TextPart("")]),
        HistoryMessage("system", []),
        HI,
        answered(
            ReasoningPart("Hm.", None, "sealed"),
            TextPart("Let me look.", 0, "signed"),
            ToolCallPart("v1", "search", {"q": 1}, executor="vendor", signature="call"),
            ToolResultPart("v1", {"hits": 2}, name="search"),
            TextPart(""),
            TextPart("Two."),
            ToolCallPart("c1", "ask", {}, executor="client"),
            ToolCallPart("c2", "ask", {}, executor="client"),
        ),
        HistoryMessage("user", [ToolResultPart("c2", "no", is_error=True), ToolResultPart("c1", "yes"), TextPart("!")]),
        answered(TextPart("Good.")),
    ]
    messages, _ = told(NEXT, missed=missed)
    assert messages == [
        {"role": "system", "content": "Be kind.\n\n"},
        {"role": "user", "content": "hi"},
        {"role": "reasoning", "content": "Hm.", "encryptedValue": "sealed"},
        {
            "role": "assistant",
            "content": "Let me look.",
            "encryptedValue": "signed",
            "toolCalls": [{**function("v1", "search", '{"q":1}'), "encryptedValue": "call"}],
        },
        {"role": "tool", "toolCallId": "v1", "content": '{"hits":2}'},
        {"role": "assistant", "content": "Two.", "toolCalls": [function("c1", "ask"), function("c2", "ask")]},
        {"role": "tool", "toolCallId": "c1", "content": "yes"},
        {"role": "tool", "toolCallId": "c2", "content": "no", "error": "no"},
        {"role": "user", "content": "!"},
        {"role": "assistant", "content": "Good."},
        {"role": "user", "content": "next"},
    ]


def test_results_that_are_the_turn_stand_behind_their_calls() -> None:
    missed = [HI, answered(ToolCallPart("c1", "ask", {}, executor="client"))]
    messages, _ = told(ToolResultPart("c1", [1]), missed=missed)
    assert messages[1:] == [
        {"role": "assistant", "toolCalls": [function("c1", "ask")]},
        {"role": "tool", "toolCallId": "c1", "content": "[1]"},
    ]


def test_what_no_message_can_say_is_told_as_text() -> None:
    missed = [
        HI,
        answered(
            ToolCallPart("c1", "ask", {"a": 1}, executor="client"),
            ToolCallPart("c2", "ask", {}, status="cut", raw_arguments="{"),
            ToolResultPart("c9", "x"),
            DataPart("chart", {}),
            InputPart("i1", "question", "Which?"),
        ),
        HistoryMessage(
            "user", [ToolResultPart("c8", "y"), InputResponsePart("i1", text="Kyiv"), FilePart(name="a.txt")]
        ),
    ]
    messages, _ = told(NEXT, missed=missed)
    assert [message["content"] for message in messages] == [
        "hi",
        '(called ask with {"a":1})',
        "(called ask with {})",
        '(got "x")',
        "(asked: Which?)",
        [
            {"type": "text", "text": '(got "y")'},
            {"type": "text", "text": "Kyiv"},
            {"type": "text", "text": "(file a.txt)"},
        ],
        "next",
    ]


def test_files_go_by_their_kind() -> None:
    parts = [
        ImagePart(url="https://a.test/b.png"),
        ImagePart(data="aGk=", name="b.png"),
        FilePart(data="aGk=", media_type="application/pdf"),
        FilePart(url="https://a.test/b.mp3", media_type="audio/mpeg"),
        FilePart(url="https://a.test/b.mp4", media_type="video/mp4"),
        FilePart(data="aGk="),
    ]
    messages, _ = told(*parts)
    assert messages[0]["content"] == [
        {"type": "image", "source": {"type": "url", "value": "https://a.test/b.png"}},
        {
            "type": "image",
            "source": {"type": "data", "value": "aGk=", "mimeType": "image/png"},
            "metadata": {"filename": "b.png"},
        },
        {"type": "document", "source": {"type": "data", "value": "aGk=", "mimeType": "application/pdf"}},
        {"type": "audio", "source": {"type": "url", "value": "https://a.test/b.mp3", "mimeType": "audio/mpeg"}},
        {"type": "video", "source": {"type": "url", "value": "https://a.test/b.mp4", "mimeType": "video/mp4"}},
        {"type": "document", "source": {"type": "data", "value": "aGk=", "mimeType": "application/octet-stream"}},
    ]


def test_a_file_that_only_another_vendor_has_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        told(NEXT, FilePart(file_id="f1"))
    assert (caught.value.code, caught.value.details) == ("unsupported", {"path": "$.content[1]"})


def test_what_an_earlier_attempt_showed_is_gone_on_with() -> None:
    messages, _ = told(NEXT, partial="So far")
    assert messages[1:] == [{"role": "assistant", "content": "So far"}, {"role": "user", "content": GO_ON}]


# --- interrupts

DELETE = ToolCallPart("d1", "delete", {}, executor="vendor")
APPROVAL = InputPart("i1", "approval", "Delete?", "d1")
QUESTION = InputPart("i2", "question", "Which?")


@pytest.mark.parametrize(
    ("answer", "resume"),
    [
        (InputResponsePart("i1", True), {"status": "resolved", "payload": {"approved": True}}),
        (InputResponsePart("i1"), {"status": "resolved", "payload": {"approved": True}}),
        (InputResponsePart("i1", False), {"status": "cancelled"}),
        (
            InputResponsePart("i1", False, "too much", {"a": 1}),
            {"status": "resolved", "payload": {"approved": False, "a": 1, "reason": "too much"}},
        ),
    ],
)
def test_an_approval_is_resumed_with_its_call(answer: InputResponsePart, resume: dict[str, Any]) -> None:
    messages, resumed = told(answer, missed=[HI, answered(DELETE, APPROVAL)], vendor_ids={"interrupts": "i1"})
    assert messages[1:] == [{"role": "assistant", "toolCalls": [function("d1", "delete")]}]
    assert resumed == [{"interruptId": "i1", **resume}]


@pytest.mark.parametrize(
    ("answer", "payload"),
    [
        (InputResponsePart("i2", text="Kyiv"), "Kyiv"),
        (InputResponsePart("i2", True, values={"city": "Kyiv"}), {"city": "Kyiv"}),
        (InputResponsePart("i2", text="Kyiv", values={"n": 1}), {"text": "Kyiv", "n": 1}),
    ],
)
def test_a_question_is_resumed_with_its_answer(answer: InputResponsePart, payload: Any) -> None:
    messages, resumed = told(answer, missed=[HI, answered(QUESTION)], vendor_ids={"interrupts": "i2"})
    assert messages == [{"role": "user", "content": "hi"}]
    assert resumed == [{"interruptId": "i2", "status": "resolved", "payload": payload}]


def test_an_interrupt_beside_an_answered_one_is_given_up() -> None:
    missed = [HI, answered(DELETE, APPROVAL, QUESTION)]
    _, resumed = told(InputResponsePart("i2", text="Kyiv"), missed=missed, vendor_ids={"interrupts": "i1\ni2\ni3"})
    assert resumed == [
        {"interruptId": "i1", "status": "cancelled"},
        {"interruptId": "i2", "status": "resolved", "payload": "Kyiv"},
    ]


def test_what_another_vendor_asked_is_answered_in_words() -> None:
    messages, resumed = told(InputResponsePart("i1", True), missed=[HI, answered(DELETE, APPROVAL)])
    assert [message["content"] for message in messages] == [
        "hi",
        "(called delete with {})",
        "(asked: Delete?)",
        "Approved.",
    ]
    assert resumed == []


def test_an_answered_approval_is_told_by_the_result_of_its_call() -> None:
    missed = [
        HI,
        answered(DELETE, APPROVAL),
        HistoryMessage("user", [InputResponsePart("i1", True)]),
        answered(ToolResultPart("d1", "deleted"), TextPart("Done.")),
    ]
    messages, _ = told(NEXT, missed=missed)
    assert messages[1:] == [
        {"role": "assistant", "toolCalls": [function("d1", "delete")]},
        {"role": "tool", "toolCallId": "d1", "content": "deleted"},
        {"role": "assistant", "content": "Done."},
        {"role": "user", "content": "next"},
    ]

"""What was said, as UI messages: whose tools, whose results, what the person approved."""

import json
from typing import Any

import msgspec
import pytest

from gateway.canonical.message import (
    DataFramePart,
    DataPart,
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    Part,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import HistoryMessage
from gateway.protocols.ai_sdk.transcript import Transcript, unseal
from gateway.protocols.ai_sdk.wire import Seal
from tests.support.translating import ask

STATIC, DYNAMIC, PROVIDER = "{}", '{"dynamic":true}', '{"by_provider":true,"metadata":{"p":{"id":1}}}'


def call(signature: str | None = None, executor: Any = "unknown", **fields: Any) -> ToolCallPart:
    return ToolCallPart("c1", "pay", {"sum": 1}, executor=executor, signature=signature, **fields)


def written(*said: HistoryMessage, now: list[Any] | None = None, left_out: int = 0) -> Any:
    turn = ask(*(now or [TextPart("And?")]), missed=list(said), left_out=left_out)
    return json.loads(msgspec.json.encode(Transcript(turn, "chat").messages))


def answered(*parts: Part, now: list[Any] | None = None) -> Any:
    """The parts of the answer that holds these, and all that follows it."""
    told = written(HistoryMessage("user", [TextPart("Hi")]), HistoryMessage("assistant", list(parts)), now=now)
    return told[1]["parts"], [message["parts"] for message in told[2:]]


AND = [[{"type": "text", "text": "And?"}]]


def test_each_message_has_a_number_that_stays() -> None:
    told = written(
        HistoryMessage("system", [TextPart("Be kind"), TextPart("")]),
        HistoryMessage("user", [TextPart("Hi")]),
        HistoryMessage("assistant", [TextPart("Hello"), TextPart("")]),
        HistoryMessage("user", []),
        left_out=2,
    )
    assert [(message["id"], message["role"]) for message in told] == [
        ("chat-4", "system"),
        ("chat-5", "user"),
        ("chat-6", "assistant"),
        ("chat-7", "user"),
    ]
    assert told[2]["parts"] == [{"type": "text", "text": "Hello", "state": "done"}]


def test_text_and_reasoning_go_back_with_what_their_vendor_put_to_them() -> None:
    own = '{"metadata":{"anthropic":{"signature":"s"}}}'
    parts, _ = answered(ReasoningPart("Hm", signature=own), TextPart("Yes", signature="anothers"))
    assert parts == [
        {
            "type": "reasoning",
            "text": "Hm",
            "state": "done",
            "providerMetadata": {"anthropic": {"signature": "s"}},
        },
        {"type": "text", "text": "Yes", "state": "done"},
    ]


@pytest.mark.parametrize(
    ("signature", "named"),
    [
        (STATIC, {"type": "tool-pay"}),
        (DYNAMIC, {"type": "dynamic-tool", "toolName": "pay"}),
        (PROVIDER, {"type": "tool-pay", "providerExecuted": True, "callProviderMetadata": {"p": {"id": 1}}}),
    ],
)
def test_what_the_vendors_tools_did_goes_back_as_it_came(signature: str, named: dict[str, Any]) -> None:
    executor = "vendor" if signature == PROVIDER else "unknown"
    parts, after = answered(call(signature, executor), ToolResultPart("c1", None), TextPart("Paid"))
    assert parts == [
        {"toolCallId": "c1", "state": "output-available", "input": {"sum": 1}, "output": None, **named},
        {"type": "text", "text": "Paid", "state": "done"},
    ]
    assert after == AND


@pytest.mark.parametrize("executor", ["vendor", "unknown"])
def test_what_another_vendors_tools_did_is_text(executor: str) -> None:
    parts, _ = answered(call(None, executor), ToolResultPart("c1", "paid"))
    assert [part["text"] for part in parts] == ['(called pay with {"sum":1})', '(got "paid")']


@pytest.mark.parametrize("executor", ["client", "unknown"])
def test_results_of_the_clients_tools_stand_in_their_calls(executor: str) -> None:
    parts, after = answered(call(None, executor), now=[ToolResultPart("c1", {"ok": True})])
    assert parts == [
        {
            "type": "dynamic-tool",
            "toolName": "pay",
            "toolCallId": "c1",
            "state": "output-available",
            "input": {"sum": 1},
            "output": {"ok": True},
        }
    ]
    assert after == []


@pytest.mark.parametrize(("output", "text"), [("no money", "no money"), ({"code": 7}, '{"code":7}')])
def test_a_failed_tool_has_a_text(output: Any, text: str) -> None:
    parts, after = answered(
        call(STATIC), now=[ToolResultPart("c1", output, is_error=True), ToolResultPart("c1", 2), TextPart("And?")]
    )
    assert parts == [
        {"type": "tool-pay", "toolCallId": "c1", "state": "output-error", "input": {"sum": 1}, "errorText": text}
    ]
    assert after == AND


def test_an_answer_that_went_on_after_its_tools_is_one_message() -> None:
    told = written(
        HistoryMessage("user", [TextPart("Hi")]),
        HistoryMessage("assistant", [call(STATIC)]),
        HistoryMessage("tool", [ToolResultPart("c1", 1)]),
        HistoryMessage("assistant", [TextPart("Paid")]),
    )
    assert [message["role"] for message in told] == ["user", "assistant", "user"]
    assert [part["type"] for part in told[1]["parts"]] == ["tool-pay", "step-start", "text"]


@pytest.mark.parametrize("part", [call(STATIC), call(None), call(STATIC, status="cut", raw_arguments="{")])
def test_a_call_that_nobody_answered_is_text(part: ToolCallPart) -> None:
    parts, _ = answered(part)
    assert parts == [{"type": "text", "text": '(called pay with {"sum":1})'}]


ASKED = InputPart("a1", "approval", "It costs money", "c1")


@pytest.mark.parametrize(
    ("response", "approval"),
    [
        (InputResponsePart("a1", approved=True), {"id": "a1", "approved": True}),
        (InputResponsePart("a1", approved=False, text="no"), {"id": "a1", "approved": False, "reason": "no"}),
    ],
)
def test_what_the_person_says_to_a_call_stands_in_it(response: InputResponsePart, approval: dict[str, Any]) -> None:
    parts, after = answered(call(STATIC), ASKED, now=[response])
    assert parts == [
        {
            "type": "tool-pay",
            "toolCallId": "c1",
            "state": "approval-responded",
            "input": {"sum": 1},
            "approval": approval,
        }
    ]
    assert after == []


@pytest.mark.parametrize(
    ("approved", "result", "state"),
    [
        (True, ToolResultPart("c1", "done"), {"state": "output-available", "output": "done"}),
        (False, ToolResultPart("c1", "denied", is_error=True), {"state": "output-denied"}),
    ],
)
def test_a_call_that_was_approved_keeps_its_approval(
    *, approved: bool, result: ToolResultPart, state: dict[str, Any]
) -> None:
    told = written(
        HistoryMessage("assistant", [call(STATIC), ASKED]),
        HistoryMessage("user", [InputResponsePart("a1", approved=approved)]),
        HistoryMessage("assistant", [result, TextPart("Well")]),
    )
    assert told[0]["parts"] == [
        {
            "type": "tool-pay",
            "toolCallId": "c1",
            "input": {"sum": 1},
            "approval": {"id": "a1", "approved": approved},
            **state,
        },
        {"type": "step-start"},
        {"type": "text", "text": "Well", "state": "done"},
    ]


def test_a_question_and_its_answer_are_text() -> None:
    parts, after = answered(InputPart("q1", "question", "Which?"), now=[InputResponsePart("q1", text="The first")])
    assert parts == [{"type": "text", "text": "(asked: Which?)"}]
    assert after == [[{"type": "text", "text": "The first"}]]


def test_sources_files_and_data_go_back_and_data_frames_do_not() -> None:
    parts, _ = answered(
        SourcePart("s1", "A", "https://example.org"),
        SourcePart("s2"),
        SourcePart("s3", "Book", file_id="f"),
        FilePart(url="https://example.org/a.png", media_type="image/png"),
        FilePart(file_id="f", name="b.txt"),
        DataPart("weather", {"degrees": 21}),
        DataFramePart("t", ["a"], [[1]]),
    )
    binary = "application/octet-stream"
    assert parts == [
        {"type": "source-url", "sourceId": "s1", "url": "https://example.org", "title": "A"},
        {"type": "source-document", "sourceId": "s2", "mediaType": binary, "title": "s2"},
        {"type": "source-document", "sourceId": "s3", "mediaType": binary, "title": "Book"},
        {"type": "file", "mediaType": "image/png", "url": "https://example.org/a.png"},
        {"type": "text", "text": "(file b.txt)"},
        {"type": "data-weather", "data": {"degrees": 21}},
    ]


def test_what_the_client_sends_beside_text_goes_as_files() -> None:
    (message,) = written(
        now=[
            ImagePart(url="https://example.org/a"),
            ImagePart(data="AA==", media_type="image/png", name="a.png"),
            FilePart(data="AA=="),
        ]
    )
    assert message["parts"] == [
        {"type": "file", "mediaType": "image/*", "url": "https://example.org/a"},
        {"type": "file", "mediaType": "image/png", "filename": "a.png", "url": "data:image/png;base64,AA=="},
        {"type": "file", "mediaType": "application/octet-stream", "url": "data:application/octet-stream;base64,AA=="},
    ]


def test_a_file_of_an_earlier_turn_that_only_another_vendor_has_is_named() -> None:
    told = written(HistoryMessage("user", [FilePart(file_id="f", name="b.txt"), DataPart("x", 1)]))
    assert told[0]["parts"] == [{"type": "text", "text": "(file b.txt)"}]


@pytest.mark.parametrize("signature", [None, "", "{", "anothers", '{"sparkle":1}', "7", '"\\ud800"', "[" * 100_000])
def test_a_signature_that_is_not_ours_is_no_seal(signature: str | None) -> None:
    assert unseal(signature) is None


def test_a_seal_is_read_as_it_was_written() -> None:
    assert unseal(PROVIDER) == Seal({"p": {"id": 1}}, by_provider=True)

"""What a client says was said: parts of every kind, answers in pieces, calls without ids."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import HistoryMessage
from gateway.protocols.gemini.contents import read_contents
from gateway.protocols.gemini.wire import Content


def read(*contents: dict[str, Any]) -> list[HistoryMessage]:
    return read_contents(msgspec.convert(list(contents), list[Content]))


def user(*parts: dict[str, Any], role: str | None = "user") -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def model(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def refused(*contents: dict[str, Any]) -> tuple[str, Any]:
    with pytest.raises(GatewayError) as caught:
        read(*contents)
    return caught.value.code, caught.value.details["path"]


HI = user({"text": "hi"})
ASKED = [HI, HistoryMessage("user", [TextPart("hi")])]


def answered(*contents: dict[str, Any]) -> list[Part]:
    """The parts of the one answer behind a question."""
    _, answer = read(HI, *contents)
    assert answer.role == "assistant"
    return answer.parts


# --- the client


def test_bytes_in_the_alphabet_for_urls_become_the_usual_ones() -> None:
    assert read(user({"inlineData": {"data": "-__-_w==", "mimeType": "image/png"}})) == [
        HistoryMessage("user", [ImagePart(data="+//+/w==", media_type="image/png")])
    ]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"text": "a"}, TextPart("a")),
        (
            {"inlineData": {"mimeType": "image/png", "data": "AAAA", "displayName": "a.png"}},
            ImagePart(data="AAAA", media_type="image/png", name="a.png"),
        ),
        (
            {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
            FilePart(data="AAAA", media_type="application/pdf"),
        ),
        (
            {"fileData": {"mimeType": "image/png", "fileUri": "https://example.com/a"}},
            ImagePart(url="https://example.com/a", media_type="image/png"),
        ),
        ({"fileData": {"fileUri": "gs://a/b", "displayName": "b"}}, FilePart(url="gs://a/b", name="b")),
    ],
)
def test_parts_of_the_client(part: dict[str, Any], expected: Part) -> None:
    assert read(user(part)) == [HistoryMessage("user", [expected])]
    assert read(user({"text": ""}, part, role=None)) == [HistoryMessage("user", [expected])]


@pytest.mark.parametrize(
    ("content", "code", "path"),
    [
        ({"role": "system", "parts": []}, "bad_request", "$.contents[0].role"),
        (user({"inlineData": {"data": "AAAA"}}), "bad_request", "$.contents[0].parts[0].inlineData.mimeType"),
        (user({"functionCall": {"name": "a"}}), "bad_request", "$.contents[0].parts[0]"),
        (user({"executableCode": {"code": "1"}}), "unsupported", "$.contents[0].parts[0]"),
        (user({}), "unsupported", "$.contents[0].parts[0]"),
        (
            user({"functionResponse": {"name": "a", "response": {}}}),
            "bad_request",
            "$.contents[0].parts[0].functionResponse",
        ),
        (
            user({"functionResponse": {"name": "a", "response": {}, "id": "c", "parts": [{}]}}),
            "unsupported",
            "$.contents[0].parts[0].functionResponse.parts",
        ),
        (model({"functionCall": {}}), "bad_request", "$.contents[0].parts[0].functionCall.name"),
    ],
)
def test_what_cannot_be_said(content: dict[str, Any], code: str, path: str) -> None:
    assert refused(content) == (code, path)


def test_contents_without_parts_say_nothing() -> None:
    assert read({"role": "user"}, {"role": "user", "parts": []}, {"role": "model"}) == [HistoryMessage("assistant", [])]


# --- the model


def test_an_answer_in_pieces_is_one_again() -> None:
    assert answered(
        model({"text": ""}),
        model({"text": "Let me ", "thought": True}),
        model({"text": "look.", "thought": True}),
        model({"text": "", "thought": True, "thoughtSignature": "s1"}),
        model({"text": "Hel"}, {"text": "lo"}),
        model({"text": "!", "thoughtSignature": "s2"}),
        model({"text": "More"}),
        model({"text": ""}),
        model({}),
    ) == [
        ReasoningPart("Let me look.", signature="s1"),
        TextPart("Hello!", signature="s2"),
        TextPart("More"),
    ]


def test_an_answer_in_many_pieces_is_read_in_linear_time() -> None:
    count = 50_000
    pieces = [{"text": "ab" * 50}] * count
    calls = [{"functionCall": {"id": f"c{number}", "name": "f"}} for number in range(count // 10)]
    results = [{"functionResponse": {"id": f"c{number}", "response": {}}} for number in reversed(range(count // 10))]
    contents = msgspec.convert([model(*pieces, *calls), user(*results)], list[Content])
    began = time.process_time()
    answer, answers = read_contents(contents)
    assert time.process_time() - began < 3
    assert answer.parts[0] == TextPart("ab" * 50 * count)
    assert len(answers.parts) == count // 10


def test_a_signature_alone_signs_what_stands_before_it() -> None:
    assert answered(model({"thoughtSignature": "s0"}, {"text": "a"}, {"thoughtSignature": "s1"})) == [
        ReasoningPart("", signature="s0"),
        TextPart("a", signature="s1"),
    ]
    assert answered(model({"text": "a", "thoughtSignature": "s1"}, {"thoughtSignature": "s2"})) == [
        TextPart("a", signature="s1"),
        ReasoningPart("", signature="s2"),
    ]


def test_files_of_an_answer() -> None:
    assert answered(model({"inlineData": {"mimeType": "image/png", "data": "AAAA"}})) == [
        ImagePart(data="AAAA", media_type="image/png")
    ]
    assert answered(model({"fileData": {"fileUri": "https://example.com/a"}})) == [
        FilePart(url="https://example.com/a")
    ]


def call(name: str, call_id: str | None = None, **args: Any) -> dict[str, Any]:
    return {"functionCall": {"name": name, "args": args, **({"id": call_id} if call_id else {})}}


def result(name: str | None, response: dict[str, Any], call_id: str | None = None) -> dict[str, Any]:
    fields = {"name": name, "id": call_id}
    return {"functionResponse": {"response": response, **{k: v for k, v in fields.items() if v}}}


def test_calls_and_results_with_ids() -> None:
    messages = read(
        HI,
        model({**call("look", "c1", at="sky"), "thoughtSignature": "s"}, call("now", "c2")),
        user(result("now", {"error": "no clock"}, "c2"), result("look", {"result": 1}, "c1")),
        user(result("later", {"error": 1, "more": 2}, "c9"), {"text": "And?"}),
    )
    assert messages[1:] == [
        HistoryMessage(
            "assistant",
            [
                ToolCallPart("c1", "look", {"at": "sky"}, executor="client", signature="s"),
                ToolCallPart("c2", "now", {}, executor="client"),
            ],
        ),
        HistoryMessage(
            "tool",
            [
                ToolResultPart("c2", "no clock", is_error=True, name="now"),
                ToolResultPart("c1", {"result": 1}, name="look"),
            ],
        ),
        HistoryMessage("user", [ToolResultPart("c9", {"error": 1, "more": 2}, name="later"), TextPart("And?")]),
    ]


def test_calls_and_results_without_ids_are_paired_by_name_and_order() -> None:
    messages = read(
        HI,
        model(call("look", "call_0"), call("look"), call("now"), call("look")),
        {"role": "function", "parts": [result("now", {"n": 1}), result("look", {"n": 2}), result("look", {"n": 3})]},
        user(result(None, {"n": 4})),
    )
    assert [part.tool_call_id for part in messages[1].parts if isinstance(part, ToolCallPart)] == [
        "call_0",
        "call_1",
        "call_2",
        "call_3",
    ]
    results = [part for message in messages[2:] for part in message.parts if isinstance(part, ToolResultPart)]
    assert [(part.tool_call_id, part.output) for part in results] == [
        ("call_2", {"n": 1}),
        ("call_0", {"n": 2}),
        ("call_1", {"n": 3}),
        ("call_3", {"n": 4}),
    ]


def test_what_the_vendor_ran() -> None:
    assert answered(
        model(
            {"executableCode": {"code": "1/0", "language": "PYTHON", "id": "x"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "boom", "id": "x"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK"}},
            {"toolCall": {"toolType": "URL_CONTEXT", "args": {"u": 1}}},
            {"toolResponse": {"toolType": "URL_CONTEXT", "response": {"n": 1}}},
            {
                "toolCall": {"toolType": "TOOL_TYPE_UNSPECIFIED", "id": "b"},
                "partMetadata": {"gatewayToolName": "bash"},
            },
            {
                "toolResponse": {"toolType": "TOOL_TYPE_UNSPECIFIED", "id": "b", "response": {"error": "no"}},
                "partMetadata": {"gatewayToolName": "bash"},
            },
            {"toolCall": {"toolType": "TOOL_TYPE_UNSPECIFIED"}, "partMetadata": {"mine": 1}},
            {"toolCall": {"toolType": "TOOL_TYPE_UNSPECIFIED"}},
            {"toolResponse": {}},
        )
    ) == [
        ToolCallPart("x", "code_execution", {"language": "PYTHON", "code": "1/0"}, executor="vendor"),
        ToolResultPart("x", {"outcome": "OUTCOME_FAILED", "output": "boom"}, is_error=True, name="code_execution"),
        ToolCallPart("call_0", "URL_CONTEXT", {"u": 1}, executor="vendor"),
        ToolResultPart("call_0", {"n": 1}, name="URL_CONTEXT"),
        ToolCallPart("b", "bash", {}, executor="vendor"),
        ToolResultPart("b", {"error": "no"}, is_error=True, name="bash"),
        ToolCallPart("call_1", "TOOL_TYPE_UNSPECIFIED", {}, executor="vendor"),
        ToolCallPart("call_2", "TOOL_TYPE_UNSPECIFIED", {}, executor="vendor"),
        ToolResultPart("call_1", {}, name="TOOL_TYPE_UNSPECIFIED"),
    ]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=8), st.randoms())
def test_every_result_finds_a_call_of_its_own(calls: list[tuple[str, bool]], random: Any) -> None:
    asked = [call(name, f"call_{number}" if has_id else None) for number, (name, has_id) in enumerate(calls)]
    names = [name for name, _ in calls]
    random.shuffle(names)
    messages = read(HI, model(*asked), user(*(result(name, {}) for name in names)))
    made = [part.tool_call_id for part in messages[1].parts if isinstance(part, ToolCallPart)]
    given = [p.tool_call_id for message in messages[2:] for p in message.parts if isinstance(p, ToolResultPart)]
    assert len(set(made)) == len(made)
    assert sorted(given) == sorted(made)

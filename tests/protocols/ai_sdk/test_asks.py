"""What `useChat` posts, read: whole histories, last messages, tool results, approvals, files and what does not fit."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import (
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
from gateway.canonical.resources import Resume, Stop
from gateway.canonical.turn import HistoryMessage
from gateway.protocols.ai_sdk.asks import Asked, Continued, read_chat
from gateway.protocols.ai_sdk.dialect import AiSdkDialect, AiSdkSettings
from gateway.protocols.base import ClientRequest, Thread

DIALECT = AiSdkDialect(AiSdkSettings())
JSON_TYPE = CIMultiDict({"Content-Type": "application/json"})
HI = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
NEXT = {"id": "u2", "role": "user", "parts": [{"type": "text", "text": "Next"}]}


def posted(body: Any, **parameters: str) -> ClientRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return ClientRequest(JSON_TYPE, raw, {"route": "support", **parameters})


def read(*messages: Any, **fields: Any) -> Asked:
    return read_chat(posted({"id": "chat", "messages": list(messages), "trigger": "submit-message", **fields}))


def answer(*parts: Any) -> Any:
    return {"id": "a1", "role": "assistant", "parts": list(parts)}


def told(*parts: Any) -> list[Part]:
    """The parts of an answer that is followed by a message, where it is one message of the vendor's."""
    (_, message) = read(HI, answer(*parts), NEXT).request.history
    assert message.role == "assistant"
    return message.parts


def refusal(body: Any) -> tuple[str, Any]:
    with pytest.raises(GatewayError) as caught:
        DIALECT.read(posted(body))
    return caught.value.code, caught.value.details.get("path")


# --- chats


def test_what_a_browser_sends_first_is_read() -> None:
    asked = read_chat(
        posted(
            b'{"id":"chat-1","messages":[{"id":"EJcF","role":"user","metadata":{"k":1},"parts":[{"type":"file","mediaType":'
            b'"image/png","filename":"a.png","url":"data:image/png;base64,AA=="},{"type":"text","text":"hi"}]}],'
            b'"trigger":"submit-message","mood":{"a":1}}'
        )
    )
    assert asked.request.route == "support"
    assert asked.request.content == [ImagePart(data="AA==", media_type="image/png", name="a.png"), TextPart("hi")]
    assert asked.request.vendor_options == {"ai_sdk": {"body": {"mood": {"a": 1}}, "metadata": {"k": 1}}}
    assert (asked.request.history, asked.request.stream) == ([], True)
    assert (asked.thread, asked.continued) == (Thread("chat-1", is_whole=True), None)


def test_a_whole_history_has_the_systems_words_apart() -> None:
    system = {"role": "system", "parts": [{"type": "text", "text": "Be kind"}, {"type": "sparkle"}]}
    request = read(system, HI, answer({"type": "text", "text": "Hello", "state": "done"}), NEXT).request
    assert request.instructions == "Be kind"
    assert request.history == [
        HistoryMessage("user", [TextPart("Hi")]),
        HistoryMessage("assistant", [TextPart("Hello")]),
    ]
    assert request.content == [TextPart("Next")]
    assert request.vendor_options == {}


def test_a_last_message_alone_is_no_whole_history() -> None:
    asked = read_chat(posted({"id": "chat", "message": NEXT}))
    assert asked.thread == Thread("chat", is_whole=False)
    assert (asked.request.history, asked.request.content) == ([], [TextPart("Next")])


def test_results_in_a_last_message_alone_are_what_is_asked() -> None:
    part = {"type": "tool-pay", "toolCallId": "c1", "state": "output-available", "input": {}, "output": 1}
    asked = read_chat(posted({"id": "chat", "message": answer(part)}))
    assert (asked.request.history, asked.request.content) == ([], [ToolResultPart("c1", 1, name="pay")])
    assert asked.continued == Continued("a1", {"c1": False})


def test_without_an_id_the_history_tells() -> None:
    assert read_chat(posted({"messages": [HI]})).thread is None


def test_an_answer_asked_for_anew_is_a_history_that_ends_before_it() -> None:
    asked = read(HI, trigger="regenerate-message", messageId="a1")
    assert (asked.request.content, asked.request.vendor_options) == ([TextPart("Hi")], {})


@pytest.mark.parametrize("name", ["chat 1/x", "ä☀", "x" * 256, ".."])
def test_a_chat_may_have_any_printable_name(name: str) -> None:
    assert read(HI, id=name).thread == Thread(name)
    assert DIALECT.read_ask("resume", posted({}, chat=name)) == Resume(name)
    assert DIALECT.read_ask("stop", posted({}, chat=name)) == Stop(name)


@pytest.mark.parametrize("name", ["", "x" * 257, "a\nb", "\x7f", "\x00"])
def test_a_chat_of_any_other_name_is_refused(name: str) -> None:
    assert refusal({"id": name, "messages": [HI]}) == ("bad_request", "$.id")
    with pytest.raises(GatewayError) as caught:
        DIALECT.read_ask("stop", posted({}, chat=name))
    assert (caught.value.code, caught.value.details["path"]) == ("bad_request", "path.chat")


@pytest.mark.parametrize("value", [b'"\xff"', b'"\\ud800"'])
def test_a_field_of_the_applications_that_is_no_text_is_refused(value: bytes) -> None:
    body = json.dumps({"id": "c", "messages": [HI], "own": 0}).encode().replace(b" 0", value)
    assert refusal(body) == ("bad_request", "$")


def test_a_body_that_is_no_json_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.read(ClientRequest(CIMultiDict({"Content-Type": "text/plain"}), b"{}", {"route": "support"}))
    assert caught.value.code == "unsupported_media_type"
    assert refusal(b"{") == ("bad_request", "$")


CALL = {"type": "tool-pay", "toolCallId": "c1", "state": "input-available", "input": {}}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"id": 7}, "$.id"),
        ({"id": "chat"}, "$.message"),
        ({"id": "chat", "messages": []}, "$.messages"),
        ({"message": HI}, "$.id"),
        ({"messages": [{"role": "user"}]}, "$.messages[0].parts"),
        ({"messages": [{"parts": []}]}, "$.messages[0].role"),
        ({"messages": [{**HI, "role": "tool"}]}, "$.messages[0].role"),
        ({"messages": [{**HI, "parts": []}]}, "$.messages[0]"),
        ({"messages": [HI, answer({"type": "text", "text": "Hello"})]}, "$.messages[1]"),
        ({"messages": [HI, answer(CALL)]}, "$.messages[1]"),
        ({"id": "chat", "message": {**HI, "role": "system"}}, "$.message"),
        ({"messages": [{**HI, "parts": [{"type": "text"}]}]}, "$.messages[0].parts[0].text"),
        ({"messages": [{**HI, "parts": [{"type": "text", "text": 7}]}]}, "$.messages[0].parts[0].text"),
        ({"messages": [{**HI, "parts": [{"type": "file"}]}]}, "$.messages[0].parts[0].url"),
        ({"messages": [{**HI, "parts": [{"type": "file", "url": "data:x"}]}]}, "$.messages[0].parts[0].url"),
        ({"messages": [HI, answer({"type": "tool-pay"}), NEXT]}, "$.messages[1].parts[0].toolCallId"),
        (
            {"messages": [answer({"type": "dynamic-tool", "toolCallId": "c"}), NEXT]},
            "$.messages[0].parts[0].toolName",
        ),
        ({"messages": [answer({"type": "tool-", "toolCallId": "c"}), NEXT]}, "$.messages[0].parts[0].toolName"),
        (
            {"messages": [{**HI, "parts": [{"type": "data-input_response", "data": {"approved": True}}]}]},
            "$.messages[0].parts[0].data.requestId",
        ),
        (
            {"messages": [{**HI, "parts": [{"type": "data-input_response"}]}]},
            "$.messages[0].parts[0].data",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(body: Any, path: str) -> None:
    assert refusal(body) == ("bad_request", path)


# --- the client's parts


@pytest.mark.parametrize(
    ("part", "read_as"),
    [
        (
            {"mediaType": "image/png", "url": "https://example.org/a"},
            ImagePart(url="https://example.org/a", media_type="image/png"),
        ),
        (
            {"mediaType": "application/pdf", "filename": "b.pdf", "url": "https://example.org/b"},
            FilePart(url="https://example.org/b", media_type="application/pdf", name="b.pdf"),
        ),
        ({"url": "data:image/gif;base64,AA=="}, ImagePart(data="AA==", media_type="image/gif")),
        ({"url": "data:,a%20b"}, FilePart(data="YSBi")),
        ({"mediaType": "text/plain", "url": "data:text/html,x"}, FilePart(data="eA==", media_type="text/plain")),
    ],
)
def test_a_file_is_read_by_its_type_and_its_url(part: dict[str, str], read_as: Part) -> None:
    assert read({**HI, "parts": [{"type": "file", **part}]}).request.content == [read_as]


def test_an_answer_to_a_question_is_a_part_of_its_own() -> None:
    data = {"requestId": "q1", "approved": True, "text": "Yes", "values": {"a": 1}}
    parts = [
        {"type": "data-input_response", "data": data},
        {"type": "data-other", "data": 1},
        {"type": "text", "text": ""},
    ]
    assert read({**HI, "parts": parts}).request.content == [
        InputResponsePart("q1", approved=True, text="Yes", values={"a": 1})
    ]


# --- the vendor's parts


def test_an_answers_parts_are_what_they_were() -> None:
    assert told(
        {"type": "step-start"},
        {"type": "reasoning", "text": "Hm", "providerMetadata": {"gateway": "?"}},
        {"type": "text", "text": "Hello", "providerMetadata": {"gateway": "?"}},
        {"type": "source-url", "sourceId": "s1", "url": "https://example.org"},
        {"type": "source-document", "sourceId": "s2", "mediaType": "text/plain", "filename": "b.txt"},
        {"type": "file", "mediaType": "image/png", "url": "https://example.org/a.png"},
        {"type": "data-weather", "data": {"degrees": 21}},
        {"type": "data-nothing"},
        {"type": "data-input_request", "data": {"requestId": "q1", "kind": "question", "prompt": "Which?"}},
        {"type": "data-input_request", "data": {"requestId": "q2", "kind": "approval"}},
        {"type": "data-input_request", "data": "?"},
        {"type": "custom", "kind": "acme.sparkle"},
    ) == [
        ReasoningPart("Hm"),
        TextPart("Hello"),
        SourcePart("s1", url="https://example.org"),
        SourcePart("s2", "b.txt"),
        ImagePart(url="https://example.org/a.png", media_type="image/png"),
        DataPart("weather", {"degrees": 21}),
        DataPart("nothing", None),
        InputPart("q1", "question", "Which?"),
        InputPart("q2", "approval"),
        InputPart("None", "question"),
    ]


@pytest.mark.parametrize(
    ("state", "part"),
    [
        ({"state": "input-available", "input": {"a": 1}}, ToolCallPart("c1", "pay", {"a": 1}, executor="client")),
        ({"state": "input-available"}, ToolCallPart("c1", "pay", {}, executor="client")),
        ({"state": "input-available", "input": None}, ToolCallPart("c1", "pay", {}, executor="client")),
        ({"state": "input-available", "input": '{"a":1}'}, ToolCallPart("c1", "pay", {"a": 1}, executor="client")),
        (
            {"state": "input-available", "input": [1]},
            ToolCallPart("c1", "pay", {}, status="unreadable", executor="client", raw_arguments="[1]"),
        ),
        (
            {"state": "input-streaming", "input": {"a": 1}, "rawInput": '{"a":1'},
            ToolCallPart("c1", "pay", {}, status="cut", executor="client", raw_arguments='{"a":1'),
        ),
        (
            {"state": "input-streaming", "providerExecuted": True},
            ToolCallPart("c1", "pay", {}, status="cut", executor="vendor", raw_arguments=""),
        ),
    ],
)
def test_a_call_has_the_arguments_that_it_came_to(state: dict[str, Any], part: ToolCallPart) -> None:
    assert told({"type": "tool-pay", "toolCallId": "c1", **state}) == [part]


@pytest.mark.parametrize(
    ("state", "result"),
    [
        ({"state": "output-available", "output": "1"}, ToolResultPart("c1", "1", name="pay")),
        ({"state": "output-available"}, ToolResultPart("c1", None, name="pay")),
        ({"state": "output-error", "errorText": "no"}, ToolResultPart("c1", "no", is_error=True, name="pay")),
        ({"state": "output-error"}, ToolResultPart("c1", "", is_error=True, name="pay")),
    ],
)
def test_a_result_is_the_vendors_or_the_clients(state: dict[str, Any], result: ToolResultPart) -> None:
    part = {"type": "dynamic-tool", "toolName": "pay", "toolCallId": "c1", "input": {}, **state}
    assert told({**part, "providerExecuted": True}) == [ToolCallPart("c1", "pay", {}, executor="vendor"), result]
    asked = read(HI, answer(part))
    assert asked.request.history[1:] == [
        HistoryMessage("assistant", [ToolCallPart("c1", "pay", {}, executor="client")])
    ]
    assert asked.request.content == [result]
    assert asked.continued == Continued("a1", {"c1": True})


def test_arguments_that_version_5_could_not_use_are_read() -> None:
    part = {"type": "tool-pay", "toolCallId": "c1", "state": "output-error", "errorText": "no"}
    (_, call) = read(HI, answer({**part, "rawInput": "sum: 1"})).request.history
    assert call.parts == [ToolCallPart("c1", "pay", {}, status="unreadable", executor="client", raw_arguments="sum: 1")]


STEP = {"type": "step-start"}


def test_an_answer_that_went_on_after_its_tools_is_told_apart() -> None:
    call = {"type": "tool-pay", "state": "output-available", "input": {}, "output": 1}
    request = read(
        HI,
        answer(
            STEP,
            {"type": "text", "text": "One"},
            {**call, "toolCallId": "c1"},
            STEP,
            {**call, "toolCallId": "c2"},
            STEP,
            {"type": "text", "text": "Two"},
            STEP,
            {"type": "text", "text": "Three"},
        ),
        NEXT,
    ).request
    assert [(message.role, len(message.parts)) for message in request.history] == [
        ("user", 1),
        ("assistant", 2),
        ("user", 1),
        ("assistant", 1),
        ("user", 1),
        ("assistant", 2),
    ]


@pytest.mark.parametrize(
    ("approval", "responses"),
    [
        ({"id": "a1"}, []),
        ({"id": "a1", "approved": True}, [InputResponsePart("a1", approved=True)]),
        ({"id": "a1", "approved": False, "reason": "no"}, [InputResponsePart("a1", approved=False, text="no")]),
    ],
)
def test_an_approval_is_asked_for_and_given(approval: dict[str, Any], responses: list[Part]) -> None:
    part = {"type": "dynamic-tool", "toolName": "pay", "toolCallId": "c1", "state": "approval-responded", "input": {}}
    request = read(HI, answer({**part, "providerExecuted": True, "approval": approval}), NEXT).request
    assert request.history[1].parts == [
        ToolCallPart("c1", "pay", {}, executor="vendor"),
        InputPart("a1", "approval", None, "c1"),
    ]
    assert request.content == [*responses, TextPart("Next")]


def test_a_denied_call_has_its_end_from_the_vendor() -> None:
    part = {"type": "tool-pay", "toolCallId": "c1", "state": "output-denied", "input": {}}
    approval = {"id": "a1", "approved": False}
    request = read(HI, answer({**part, "approval": approval}, STEP, {"type": "text", "text": "Well"}), NEXT).request
    assert [message.role for message in request.history] == ["user", "assistant", "user", "assistant"]
    assert request.history[1].parts[-1] == ToolResultPart("c1", "denied", is_error=True, name="pay")


def text(words: str, **mark: Any) -> Any:
    return {"type": "text", "text": words, "providerMetadata": {"gateway": mark}}


@pytest.mark.parametrize(
    ("parts", "texts"),
    [
        ([text("Wrnog"), text("Kept"), text("Wrong", replaces=2), text("Wring", replaces=1)], ["Wring", "Kept"]),
        ([text("One"), text("Which?", prompt="q1"), text("Two", replaces=2)], ["Two"]),
        ([text("Which?", prompt="q1"), text("Two", replaces=1)], ["Two"]),
        ([text("One"), text("Two", replaces=2), text("Three", replaces="1"), text("Four", replaces=0)], None),
    ],
)
def test_what_our_encoder_marked_is_undone(parts: list[Any], texts: list[str] | None) -> None:
    assert told(*parts) == [TextPart(words) for words in texts or ["One", "Two", "Three", "Four"]]


PIECES = st.sampled_from(["text", "tool-a", "dynamic-tool", "step-start", "file", "data-x", "reasoning", "tool-", "z"])
JSON = st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.dictionaries(st.text(max_size=2), st.none())


@given(
    st.lists(
        st.builds(
            dict,
            type=PIECES,
            text=JSON,
            toolCallId=JSON,
            toolName=JSON,
            state=st.sampled_from(["output-available", "output-error", "approval-responded", "input-streaming"]),
            input=JSON,
            output=JSON,
            url=st.text(max_size=8) | st.just("data:,x"),
            approval=st.none() | st.fixed_dictionaries({"id": st.text(max_size=2), "approved": JSON}),
            providerMetadata=st.none() | st.fixed_dictionaries({"gateway": JSON}),
        ),
        max_size=5,
    )
)
def test_any_answer_is_read_or_refused(parts: list[Any]) -> None:
    try:
        read(HI, answer(*parts), NEXT)
    except GatewayError as error:
        assert error.code == "bad_request"  # noqa: PT017  (either is well)

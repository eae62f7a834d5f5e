"""OpenAI chat, downstream: what a client's body becomes, and what of it is refused."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import FilePart, ImagePart, Part, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from gateway.canonical.turn import (
    HistoryMessage,
    MessageRequest,
    NamedTool,
    Parameters,
    ResponseFormat,
    Tool,
)
from gateway.conversations.fingerprint import extend
from gateway.protocols.base import ClientRequest
from gateway.protocols.openai_chat import OPENAI_CHAT
from gateway.protocols.openai_chat.dialect import ChatDialect

Json = dict[str, Any]

DIALECT = ChatDialect()
HI = {"role": "user", "content": "Hi"}


def read_bytes(body: bytes) -> MessageRequest:
    return DIALECT.read(ClientRequest(CIMultiDict({"content-type": "application/json"}), body)).request


def read(*messages: Json, **fields: Any) -> MessageRequest:
    return read_bytes(json.dumps({"model": "support", "messages": messages or [HI], **fields}).encode())


def refused(*messages: Any, **fields: Any) -> tuple[str, str | None]:
    with pytest.raises(GatewayError) as caught:
        read(*messages, **fields)
    assert "sk-secret" not in caught.value.message
    return caught.value.code, caught.value.details.get("path")


def asked(*content: Json) -> list[Any]:
    return read({"role": "user", "content": list(content)}).parts()


# --- the whole body


def test_the_least_that_can_be_asked() -> None:
    assert read() == MessageRequest(route="support", content=[TextPart("Hi")], stream=False)


def test_a_request_is_read_in_full() -> None:
    schema = {"name": "city", "description": "A city", "schema": {"type": "object"}, "strict": True}
    function = {"name": "pay", "description": "Pays", "parameters": {"type": "object"}, "strict": True}
    request = read(
        {"role": "system", "content": "Be brief"},
        HI,
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        max_completion_tokens=100,
        temperature=1,
        top_p=0.5,
        stop=["."],
        seed=7,
        response_format={"type": "json_schema", "json_schema": schema},
        reasoning_effort="low",
        tools=[{"type": "function", "function": function}, {"type": "function", "function": {"name": "list"}}],
        tool_choice={"type": "function", "function": {"name": "pay"}},
        parallel_tool_calls=False,
        safety_identifier="ann",
        user="bob",
        n=1,
        presence_penalty=0.5,
        logit_bias={"50256": -100},
        verbosity="low",
        service_tier="flex",
        prompt_cache_key="k",
        store=True,
        metadata={"a": "b"},
        sparkle=1,
    )
    assert request == MessageRequest(
        route="support",
        content=[TextPart("Hi")],
        instructions="Be brief",
        tools=[Tool("pay", "Pays", {"type": "object"}, strict=True), Tool("list")],
        tool_choice=NamedTool("pay"),
        parameters=Parameters(
            temperature=1.0,
            top_p=0.5,
            max_output_tokens=100,
            stop=["."],
            seed=7,
            response_format=ResponseFormat("json_schema", "city", "A city", {"type": "object"}, strict=True),
            reasoning_effort="low",
        ),
        user_id="ann",
        metadata={"a": "b"},
        stream=True,
        vendor_options={
            "openai_chat": {
                "presence_penalty": 0.5,
                "logit_bias": {"50256": -100},
                "parallel_tool_calls": False,
                "prompt_cache_key": "k",
                "service_tier": "flex",
                "verbosity": "low",
            }
        },
    )


def test_what_has_no_canonical_name_is_an_option_of_the_same_wire() -> None:
    request = read(reasoning_effort="xhigh", top_k=5, thinking={"type": "enabled"})
    assert request.parameters == Parameters(reasoning_effort="high")
    options = request.vendor_options["openai_chat"]
    assert options == {"top_k": 5, "thinking": {"type": "enabled"}, "reasoning_effort": "xhigh"}
    assert msgspec.to_builtins(msgspec.convert(options, OPENAI_CHAT.options)) == options


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        ({"max_tokens": 5}, Parameters(max_output_tokens=5)),
        ({"max_tokens": 5, "max_completion_tokens": 6}, Parameters(max_output_tokens=6)),
        ({"stop": "."}, Parameters(stop=["."])),
        ({"stop": None, "temperature": None}, None),
        ({"response_format": {"type": "json_object"}}, Parameters(response_format=ResponseFormat("json_object"))),
    ],
)
def test_parameters_have_their_old_and_short_forms(fields: Json, parameters: Parameters | None) -> None:
    assert read(**fields).parameters == parameters


def test_a_user_is_known_by_either_name() -> None:
    assert read(user="bob").user_id == "bob"
    assert refused(user="sk-secret\n") == ("bad_request", "$.user")
    assert refused(safety_identifier="") == ("bad_request", "$.safety_identifier")


def test_a_choice_of_tools_is_passed_on() -> None:
    assert [read(tool_choice=choice).tool_choice for choice in ("auto", "none", "required", None)] == [
        "auto",
        "none",
        "required",
        None,
    ]


def test_a_model_may_have_any_name() -> None:
    assert read(model="openai/gpt-5:free").route == "openai/gpt-5:free"


# --- messages


def test_a_dialogue_becomes_history_and_content() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "pay", "arguments": '{"sum": 1}'}}
    request = read(
        {"role": "developer", "content": [{"type": "text", "text": "Be brief"}]},
        {"role": "user", "content": "Pay!", "name": "ann"},
        {"role": "assistant", "content": "I pay.", "reasoning_content": "Hm", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "a", "content": '{"ok": true}'},
        {"role": "assistant", "content": None, "tool_calls": [{**call, "id": "b"}]},
        {
            "role": "tool",
            "tool_call_id": "b",
            "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}],
        },
        {"role": "user", "content": "Done?"},
    )
    assert request.instructions == "Be brief"
    assert request.history == [
        HistoryMessage("user", [TextPart("Pay!")]),
        HistoryMessage(
            "assistant",
            [ReasoningPart("Hm"), TextPart("I pay."), ToolCallPart("a", "pay", {"sum": 1}, executor="client")],
        ),
        HistoryMessage("user", [ToolResultPart("a", '{"ok": true}')]),
        HistoryMessage("assistant", [ToolCallPart("b", "pay", {"sum": 1}, executor="client")]),
    ]
    assert request.parts() == [ToolResultPart("b", "12"), TextPart("Done?")]


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]}, ["a", "b"]),
        ({"content": None, "refusal": "No."}, ["No."]),
        ({"content": ""}, None),
        ({"refusal": None, "reasoning": "Hm", "content": "a"}, ["Hm", "a"]),
    ],
)
def test_what_an_assistant_said_is_read_in_every_form(message: Json, parts: list[str] | None) -> None:
    request = read(HI, {"role": "assistant", **message}, HI)
    if parts is None:
        assert request.parts() == [TextPart("Hi"), TextPart("Hi")]
        return
    assert [getattr(part, "text", None) for part in request.history[1].parts] == parts


def test_arguments_that_are_no_object_were_cut() -> None:
    calls = [
        {"id": id_, "type": "function", "function": {"name": "pay", "arguments": text}}
        for id_, text in (("a", '{"su'), ("b", ""))
    ]
    request = read(HI, {"role": "assistant", "tool_calls": calls}, HI)
    assert request.history[1].parts == [
        ToolCallPart("a", "pay", {}, status="unreadable", executor="client", raw_arguments='{"su'),
        ToolCallPart("b", "pay", {}, executor="client"),
    ]


@pytest.mark.parametrize(
    ("part", "read_part"),
    [
        ({"type": "text", "text": "Hi"}, TextPart("Hi")),
        ({"type": "image_url", "image_url": {"url": "https://e/a", "detail": "low"}}, ImagePart(url="https://e/a")),
        (
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}},
            ImagePart(data="iVBO", media_type="image/png"),
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "mp3"}},
            FilePart(data="UklG", media_type="audio/mpeg"),
        ),
        ({"type": "file", "file": {"file_id": "f", "filename": "a"}}, FilePart(file_id="f", name="a")),
        ({"type": "file", "file": {"file_data": "https://e/a.pdf"}}, FilePart(url="https://e/a.pdf")),
        ({"type": "file", "file": {"file_data": "JVBE"}}, FilePart(data="JVBE")),
        (
            {"type": "file", "file": {"file_data": "data:;base64,JVBE", "filename": "a.pdf"}},
            FilePart(data="JVBE", media_type="application/octet-stream", name="a.pdf"),
        ),
    ],
)
def test_each_part_of_a_message_is_read(part: Json, read_part: Any) -> None:
    assert asked(part) == [read_part]


# --- refused


@pytest.mark.parametrize(
    ("messages", "path"),
    [
        ([], "$.messages"),
        ([{"role": "system", "content": "Be brief"}], "$.messages"),
        ([HI, {"role": "assistant", "content": "Hello"}], "$.messages"),
        ([{"role": "user", "content": ""}], "$.messages"),
        ([{"role": "user", "content": []}], "$.messages"),
        ([{"role": "user", "content": [{"type": "text", "text": ""}]}], "$.messages"),
        ([{"role": "robot", "content": "Hi"}], "$.messages[0].role"),
        ([{"role": "user"}], "$.messages[0].content"),
        ([{"role": "user", "content": 7}], "$.messages[0].content"),
        ([{"role": "tool", "content": "1"}], "$.messages[0].tool_call_id"),
    ],
)
def test_messages_that_make_no_sense_are_refused_with_their_path(messages: list[Json], path: str) -> None:
    body = json.dumps({"model": "m", "messages": messages}).encode()
    with pytest.raises(GatewayError) as caught:
        read_bytes(body)
    assert (caught.value.code, caught.value.details["path"]) == ("bad_request", path)


@pytest.mark.parametrize(
    ("part", "field"),
    [
        ({"type": "image_url", "image_url": {"url": "sk-secret"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,sk-secret"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}, "image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:sk-secret;base64"}}, "image_url.url"),
        ({"type": "file", "file": {"file_data": "data:sk-secret"}}, "file.file_data"),
        ({"type": "file", "file": {"filename": "sk-secret"}}, "file"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_path(part: Json, field: str) -> None:
    assert refused(HI, {"role": "user", "content": [part]}) == ("bad_request", f"$.messages[1].content[0].{field}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""),
        ("model", "x" * 257),
        ("temperature", 2.1),
        ("top_p", -1),
        ("max_tokens", 0),
        ("max_completion_tokens", 0),
        ("presence_penalty", 3),
        ("frequency_penalty", -3),
        ("reasoning_effort", "sk-secret"),
        ("stream", "yes"),
        ("n", "1"),
        ("seed", 1.5),
        ("metadata", {"a": "x" * 20_000}),
    ],
)
def test_a_field_that_does_not_fit_is_refused_with_its_path(field: str, value: object) -> None:
    assert refused(**{field: value}) == ("bad_request", f"$.{field}")


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"n": 2}, "$.n"),
        ({"logprobs": True}, "$.logprobs"),
        ({"top_logprobs": 3}, "$.top_logprobs"),
        ({"modalities": ["text", "audio"]}, "$.modalities"),
        ({"audio": {"voice": "alloy"}}, "$.audio"),
        ({"functions": [{"name": "pay"}]}, "$.functions"),
        ({"function_call": {"name": "pay"}}, "$.function_call"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "$.tools[0].type"),
        ({"tool_choice": {"type": "allowed_tools"}}, "$.tool_choice.type"),
    ],
)
def test_what_cannot_be_passed_on_is_unsupported(fields: Json, path: str) -> None:
    assert refused(**fields) == ("unsupported", path)


def test_what_a_function_lacks_is_told() -> None:
    assert refused(tools=[{"type": "function"}]) == ("bad_request", "$.tools[0].function")
    assert refused(tool_choice={"type": "function"}) == ("bad_request", "$.tool_choice.function")


@pytest.mark.parametrize("field", ["audio", "function_call"])
def test_an_answer_of_the_old_kinds_is_unsupported(field: str) -> None:
    assert refused(HI, {"role": "assistant", field: {"id": "x"}}, HI) == ("unsupported", f"$.messages[1].{field}")


@pytest.mark.parametrize("fields", [{"modalities": ["text"]}, {"logprobs": False}, {"function_call": "auto"}])
def test_what_asks_for_the_usual_is_passed_over(fields: Json) -> None:
    assert read(**fields) == read()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"messages":[]}', b"[" * 100_000])
def test_a_body_that_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        read_bytes(body)
    assert caught.value.code == "bad_request"


# --- as it is recognised


texts = st.text(st.characters(codec="utf-8"), max_size=20)
arguments = st.dictionaries(texts, st.integers(-9, 9) | texts | st.booleans(), max_size=3)


@given(said=texts, results=st.lists(st.tuples(texts.filter(bool), arguments), max_size=3))
def test_what_was_written_is_recognised_when_it_is_resent(said: str, results: list[tuple[str, Json]]) -> None:
    calls = [(f"call_{number}", name, given) for number, (name, given) in enumerate(results)]
    message = {
        "role": "assistant",
        "content": said or None,
        "tool_calls": [
            {"id": id_, "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for id_, name, given in calls
        ],
    }
    request = read(HI, message, HI)
    answers = [message.parts for message in request.history if message.role == "assistant"]
    stored: list[Part] = [
        TextPart(said),
        *(ToolCallPart(id_, name, given, executor="client") for id_, name, given in calls),
    ]
    assert extend(b"", "assistant", answers[0] if answers else []) == extend(b"", "assistant", stored)

"""What a client asks: the body of `POST /responses`, every kind of item in its input, and how each is refused."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.canonical.assembler import Assembler
from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import FinishReason, Notice
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.resources import CancelMessage, GetMessage
from gateway.canonical.turn import HistoryMessage, MessageRequest, NamedTool, Parameters, ResponseFormat, Tool
from gateway.conversations.fingerprint import extend
from gateway.protocols.base import ClientRequest, Credentials, Exchange
from gateway.protocols.openai_responses import OPENAI_RESPONSES
from gateway.protocols.openai_responses.dialect import ResponsesDialect
from gateway.protocols.openai_responses.plays import PLAYS
from gateway.protocols.openai_responses.simulator import ResponsesSimulator
from gateway.protocols.openai_responses.target import Options, Target
from gateway.protocols.openai_responses.translator import ResponsesTranslator
from tests.support.simulating import Meeting

DIALECT = ResponsesDialect()
NOW = datetime(2026, 11, 2, tzinfo=UTC)


def open_exchange(body: Any) -> Exchange:
    headers = CIMultiDict({"content-type": "application/json"})
    return DIALECT.read(ClientRequest(headers, json.dumps(body).encode()))


def read(**fields: Any) -> MessageRequest:
    return open_exchange({"model": "support", "input": "Hi", **fields}).request


def said(*items: Any) -> list[HistoryMessage]:
    """What was said before the turn."""
    return read(input=[*items, {"role": "user", "content": "So?"}]).history


def refused(body: Any) -> tuple[str, str]:
    with pytest.raises(GatewayError) as caught:
        open_exchange(body)
    return caught.value.code, caught.value.details["path"]


# --- the request


def test_a_text_is_a_turn() -> None:
    exchange = open_exchange({"model": "support", "input": "Hi"})
    assert exchange.request == MessageRequest(route="support", content=[TextPart("Hi")], stream=False)
    assert (exchange.follows, exchange.thread) == (None, None)


def test_every_field_has_its_place() -> None:
    options = {
        "include": ["web_search_call.results"],
        "parallel_tool_calls": False,
        "max_tool_calls": 2,
        "top_logprobs": 1,
        "truncation": "auto",
        "prompt": {"id": "p"},
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "service_tier": "flex",
        "context_management": [{"type": "compaction"}],
        "moderation": {"model": "omni"},
    }
    custom, search = {"type": "custom", "name": "sql"}, {"type": "web_search"}
    request = read(
        **options,
        instructions="Be brief.",
        tools=[{"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": True}, custom, search],
        tool_choice={"type": "function", "name": "look"},
        temperature=0.5,
        top_p=0.9,
        max_output_tokens=100,
        text={"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": True}, "verbosity": "low"},
        reasoning={"effort": "max", "summary": "auto"},
        metadata={"a": "b"},
        user="bob",
        safety_identifier="ann",
        stream=True,
        store=False,
        stream_options={"include_obfuscation": False},
    )
    told = {**options, "verbosity": "low", "reasoning_effort": "max", "reasoning_summary": "auto"}
    assert request == MessageRequest(
        route="support",
        content=[TextPart("Hi")],
        instructions="Be brief.",
        tools=[Tool("look", None, {"type": "object"}, strict=True)],
        tool_choice=NamedTool("look"),
        parameters=Parameters(
            0.5,
            0.9,
            100,
            response_format=ResponseFormat("json_schema", "n", schema={}, strict=True),
            reasoning_effort="high",
        ),
        user_id="ann",
        metadata={"a": "b"},
        stream=True,
        vendor_options={"openai_responses": {**told, "tools": [custom, search]}},
    )
    assert msgspec.convert(request.vendor_options["openai_responses"], Options).tools == [custom, search]


def test_what_is_asked_is_repeated() -> None:
    search = {"type": "web_search", "search_context_size": "low"}
    body = {
        "model": "support",
        "input": "Hi",
        "tools": [search],
        "tool_choice": "auto",
        "instructions": "Be brief.",
        "text": {"verbosity": "low", "format": {"type": "json_object"}},
        "reasoning": {"effort": "low", "generate_summary": "auto"},
        "temperature": 1,
    }
    message = Message("msg_a", "c", "assistant", "completed", [TextPart("Hi")], NOW)
    document = json.loads(open_exchange(body).document(message))
    shown = {name: document[name] for name in ("tools", "instructions", "text", "reasoning", "temperature")}
    assert shown == {
        "tools": [search],
        "instructions": "Be brief.",
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "temperature": 1,
    }


@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high"])
def test_an_effort_that_all_know_is_no_option(effort: Any) -> None:
    request = read(reasoning={"effort": effort}, user="bob")
    assert (request.parameters, request.vendor_options) == (Parameters(reasoning_effort=effort), {})
    assert request.user_id == "bob"


@pytest.mark.parametrize(
    ("given", "choice", "options"),
    [
        ("auto", "auto", {}),
        ("none", "none", {}),
        ("required", "required", {}),
        ({"type": "web_search"}, None, {"openai_responses": {"tool_choice": {"type": "web_search"}}}),
        (None, None, {}),
    ],
)
def test_a_choice_of_tools_is_read(given: Any, choice: Any, options: Any) -> None:
    request = read(tool_choice=given)
    assert (request.tool_choice, request.vendor_options) == (choice, options)


def test_instructions_are_those_of_the_field_and_of_the_input() -> None:
    items = [
        {"role": "developer", "content": "One."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Ho"},
        {"role": "system", "content": "Two."},
        {"role": "user", "content": "So?"},
    ]
    request = read(input=items, instructions="Zero.")
    assert request.instructions == "Zero.\n\nOne."
    assert [message.role for message in request.history] == ["user", "assistant", "system"]
    assert request.content == [TextPart("So?")]


def test_the_conversation_is_named_by_an_id_of_ours() -> None:
    assert read(conversation="conv_1").conversation_id == "conv_1"
    assert read(conversation={"id": "conv_1"}).conversation_id == "conv_1"
    assert open_exchange({"input": "Hi", "previous_response_id": "resp_msg_1"}).follows == "msg_1"
    assert open_exchange({"input": "Hi"}).request.route is None


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, ("bad_request", "$.input")),
        ({"input": 7}, ("bad_request", "$.input")),
        ({"input": ""}, ("bad_request", "$.input")),
        ({"input": []}, ("bad_request", "$.input")),
        ({"input": [{"role": "assistant", "content": "Hi"}]}, ("bad_request", "$.input")),
        ({"input": "Hi", "model": ""}, ("bad_request", "$.model")),
        ({"input": "Hi", "temperature": 3}, ("bad_request", "$.temperature")),
        ({"input": "Hi", "metadata": {"a": 1}}, ("bad_request", "$.metadata[...]")),
        ({"input": "Hi", "metadata": {"a": "x" * 20_000}}, ("bad_request", "$.metadata")),
        ({"input": "Hi", "user": "\0"}, ("bad_request", "$.user")),
        ({"input": "Hi", "background": True}, ("unsupported", "$.background")),
        ({"input": "Hi", "conversation": "c", "previous_response_id": "r"}, ("bad_request", "$.conversation")),
        ({"input": "Hi", "conversation": "a/b"}, ("not_found", "$.conversation")),
        ({"input": "Hi", "previous_response_id": "msg_1"}, ("not_found", "$.previous_response_id")),
        ({"input": "Hi", "previous_response_id": "resp_a/b"}, ("not_found", "$.previous_response_id")),
        ({"input": "Hi", "tools": [{}]}, ("bad_request", "$.tools[0].type")),
        ({"input": "Hi", "tools": [{"type": "function"}]}, ("bad_request", "$.tools[0].name")),
        ({"input": "Hi", "tools": [{"type": "custom", "name": 7}]}, ("bad_request", "$.tools[0].name")),
        *(
            (
                {"input": "Hi", "tools": [{"type": "mcp", field: "https://d.test"}]},
                ("unsupported", f"$.tools[0].{field}"),
            )
            for field in ("server_url", "connector_id", "authorization", "headers")
        ),
        ({"input": "Hi", "tool_choice": "sparkle"}, ("bad_request", "$.tool_choice")),
        ({"input": "Hi", "tool_choice": {"type": "function"}}, ("bad_request", "$.tool_choice")),
        ({"input": [7]}, ("bad_request", "$.input[0]")),
        ({"input": [{"type": "sparkle"}]}, ("bad_request", "$.input[0].type")),
        ({"input": [{"role": "critic", "content": "x"}]}, ("bad_request", "$.input[0].role")),
        (
            {"input": [{"role": "user", "content": [{"type": "sparkle"}]}]},
            ("bad_request", "$.input[0].content[0].type"),
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            ("unsupported", "$.input[0].content[0]"),
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image"}]}]},
            ("bad_request", "$.input[0].content[0].image_url"),
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file"}]}]},
            ("bad_request", "$.input[0].content[0].file_data"),
        ),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, ("unsupported", "$.input[0]")),
        ({"input": [{"type": "compaction", "encrypted_content": "x"}]}, ("unsupported", "$.input[0]")),
        ({"input": [{"type": "function_call", "name": "t", "arguments": "{}"}]}, ("bad_request", "$.input[0].call_id")),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, ("bad_request", "$.input[0].call_id")),
        ({"input": [{"type": "mcp_approval_request", "name": "t"}]}, ("bad_request", "$.input[0].id")),
        (
            {"input": [{"type": "mcp_approval_response"}]},
            ("bad_request", "$.input[0].approval_request_id"),
        ),
        ({"input": [{"type": "reasoning", "summary": 7}]}, ("bad_request", "$.input[0].summary")),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(body: Any, refusal: tuple[str, str]) -> None:
    assert refused({"model": "support", **body} if "model" not in body else body) == refusal


@pytest.mark.parametrize("name", ["conversation", "previous_response_id"])
def test_answers_are_not_resent_to_a_named_conversation(name: str) -> None:
    items = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert refused({"input": items, name: "resp_1"}) == ("bad_request", "$.input")
    output = {"type": "function_call_output", "call_id": "c", "output": "x"}
    assert open_exchange({"input": [output], name: "resp_1"}).request.content == [ToolResultPart("c", "x")]


@pytest.mark.parametrize("name", ["conversation", "previous_response_id"])
def test_a_system_message_may_stand_anywhere_in_a_turn_of_a_named_conversation(name: str) -> None:
    items = [
        {"type": "function_call_output", "call_id": "c", "output": "x"},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "So?"},
    ]
    request = open_exchange({"input": items, name: "resp_1"}).request
    assert (request.instructions, request.history) == ("Be brief.", [])
    assert request.content == [ToolResultPart("c", "x"), TextPart("So?")]


# --- the items of the input


def test_the_parts_of_a_message_are_read() -> None:
    parts = [
        {"type": "input_text", "text": "See"},
        {"type": "input_text", "text": ""},
        {"type": "input_image", "image_url": "https://a.test/x.png", "detail": "auto"},
        {"type": "input_image", "image_url": "data:image/gif;base64,aGk="},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "file_url": "https://a.test/x.pdf"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,aGk=", "filename": "x.pdf"},
        {"type": "input_file", "file_data": "aGk=", "filename": "y.pdf"},
        {"type": "input_file", "file_id": "file_2"},
    ]
    assert read(input=[{"role": "user", "content": parts}]).content == [
        TextPart("See"),
        ImagePart(url="https://a.test/x.png"),
        ImagePart(data="aGk=", media_type="image/gif"),
        ImagePart(file_id="file_1"),
        FilePart(url="https://a.test/x.pdf"),
        FilePart(data="aGk=", media_type="application/pdf", name="x.pdf"),
        FilePart(data="aGk=", name="y.pdf"),
        FilePart(file_id="file_2"),
    ]


@pytest.mark.parametrize(
    ("item", "parts"),
    [
        (
            {"type": "message", "role": "assistant", "phase": "commentary", "content": "Hm."},
            [TextPart("Hm.", signature="commentary")],
        ),
        (
            {
                "role": "assistant",
                "content": [{"type": "output_text", "text": "A"}, {"type": "refusal", "refusal": "B"}],
            },
            [TextPart("A"), TextPart("B")],
        ),
        (
            {"type": "reasoning", "id": "rs", "summary": [{"text": "a"}, {"text": "b"}], "encrypted_content": "s"},
            [ReasoningPart("a\n\nb", signature="s")],
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "t", "arguments": '{"a":1}'},
            [ToolCallPart("c", "t", {"a": 1}, executor="client")],
        ),
        (
            {"type": "function_call", "call_id": "c", "name": "t", "arguments": "{"},
            [ToolCallPart("c", "t", {}, status="unreadable", executor="client", raw_arguments="{")],
        ),
        (
            {"type": "mcp_call", "id": "m", "name": "t", "arguments": "{}", "output": "x", "server_label": "s"},
            [ToolCallPart("m", "t", {}, executor="vendor"), ToolResultPart("m", "x")],
        ),
        (
            {"type": "web_search_call", "id": "w", "status": "completed", "action": {"query": "x"}},
            [
                ToolCallPart("w", "web_search", {"query": "x"}, executor="vendor"),
                ToolResultPart("w", {"status": "completed"}),
            ],
        ),
        (
            {"type": "image_generation_call", "id": "i", "status": "completed", "result": "aGk="},
            [
                ToolCallPart("i", "image_generation", {}, executor="vendor"),
                FilePart(url="data:image/png;base64,aGk=", media_type="image/png"),
                ToolResultPart("i", {"status": "completed"}),
            ],
        ),
        (
            {"type": "mcp_approval_request", "id": "a", "name": "rm", "server_label": "d", "arguments": "{}"},
            [
                InputPart(
                    "a",
                    "approval",
                    "Allow d to run rm?",
                    fields={"server_label": "d", "name": "rm", "arguments": {}},
                )
            ],
        ),
    ],
)
def test_each_item_of_an_answer_is_read(item: Any, parts: list[Part]) -> None:
    assert said({"role": "user", "content": "Go"}, item)[1:] == [HistoryMessage("assistant", parts)]


def test_what_says_nothing_is_passed_over() -> None:
    empty = {"role": "assistant", "content": []}
    assert said({"type": "mcp_list_tools", "id": "l", "server_label": "d", "tools": []}, empty) == []


def test_a_call_of_another_kind_keeps_what_it_came_as() -> None:
    item = {"type": "custom_tool_call", "call_id": "c", "name": "sql", "input": "select"}
    [answer] = said(item)
    assert answer.parts == [
        ToolCallPart("c", "sql", {"input": "select"}, executor="client", signature=json.dumps(item))
    ]


@pytest.mark.parametrize(
    "output",
    [
        {"type": "function_call_output", "call_id": "c", "output": '{"a": 1}'},
        {"type": "custom_tool_call_output", "call_id": "c", "output": '{"a": 1}'},
        {"type": "local_shell_call_output", "id": "c", "output": '{"a": 1}'},
    ],
)
def test_a_result_stays_as_it_was_sent(output: Any) -> None:
    assert read(input=[output]).content == [ToolResultPart("c", '{"a": 1}')]


def test_a_result_of_the_vendors_own_stands_in_its_answer() -> None:
    call = {"type": "shell_call", "call_id": "c", "environment": {"type": "container_reference"}}
    [answer] = said(call, {"type": "shell_call_output", "call_id": "c", "output": []})
    assert answer.parts == [ToolCallPart("c", "shell", {}, executor="vendor"), ToolResultPart("c", [])]


def test_a_verdict_is_the_clients() -> None:
    verdict = {"type": "mcp_approval_response", "approval_request_id": "a", "approve": False, "reason": "no"}
    assert read(input=[verdict]).content == [InputResponsePart("a", approved=False, text="no")]


# --- beside messages


def ask(operation: Any, response_id: str, **query: str) -> Any:
    return DIALECT.read_ask(operation, ClientRequest(CIMultiDict(), b"", {"response_id": response_id}, query))


def test_a_response_is_asked_for_and_canceled_by_its_id() -> None:
    assert ask("get_message", "resp_msg_1") == GetMessage("msg_1")
    assert ask("get_message", "resp_msg_1", stream="false") == GetMessage("msg_1")
    assert ask("cancel_message", "resp_msg_1") == CancelMessage("msg_1")
    for response_id, query, code in (("msg_1", {}, "not_found"), ("resp_1", {"stream": "true"}, "unsupported")):
        with pytest.raises(GatewayError) as caught:
            ask("get_message", response_id, **query)
        assert caught.value.code == code


def test_the_descriptor_makes_the_dialect() -> None:
    assert OPENAI_RESPONSES.dialect is not None
    dialect = OPENAI_RESPONSES.dialect(OPENAI_RESPONSES.dialect_settings())
    assert (dialect.name, dialect.can_discard) == ("openai_responses", False)


# --- the way back


def stored(play: str) -> Message:
    target = ResponsesTranslator(Target("m"), Blocks(Numbering()))
    meeting = Meeting(ResponsesSimulator(play), target, Credentials({"api_key": "k"}))
    assembler = Assembler()
    for event in meeting.talk([TextPart("hi")]):
        if not isinstance(event, Notice):
            assembler.add(event)
    terminal: Any = meeting.told[-1]
    pending = getattr(terminal, "pending_tool_calls", [])
    reason: FinishReason = getattr(terminal, "finish_reason", "stop")
    return Message(
        "msg_a",
        "c",
        "assistant",
        "completed",
        assembler.parts(),
        NOW,
        finish_reason=reason,
        pending_tool_calls=pending,
        vendor="acme",
    )


def recognised(parts: list[Part]) -> bytes:
    return extend(b"", "assistant", parts)


@pytest.mark.parametrize("play", [name for name, play in PLAYS.items() if play.ends and play.fault is None])
def test_an_answer_that_is_resent_is_recognised(play: str) -> None:
    message = stored(play)
    tools = [{"type": "custom", "name": "run_sql"}]
    document = json.loads(open_exchange({"input": "hi", "tools": tools}).document(message))
    [_, *answers] = said({"role": "user", "content": "hi"}, *document["output"])
    assert recognised([part for answer in answers for part in answer.parts]) == recognised(message.parts)


@given(st.dictionaries(st.text(st.characters(codec="utf-8")), st.integers(0, 9)), st.text(st.characters(codec="utf-8")))
def test_any_call_and_any_text_come_back_as_they_were(arguments: dict[str, int], text: str) -> None:
    parts: list[Part] = [TextPart(text, 0), ToolCallPart("c", "t", dict(arguments), 1, executor="client")]
    message = Message("msg_a", "c", "assistant", "completed", parts, NOW, pending_tool_calls=["c"])
    output = json.loads(DIALECT.write_result(message))["output"]
    [answer] = said(*output)
    assert recognised(answer.parts) == recognised(parts)

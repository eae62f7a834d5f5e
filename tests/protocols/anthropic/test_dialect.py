"""What Anthropic's clients ask, and what they are told of it beside the stream."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.canonical.errors import CODES, Code, GatewayError
from gateway.canonical.events import MessageCompleted, ReasoningCompleted, TextCompleted, ToolCallCompleted
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    Message,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.resources import (
    CountTokens,
    DeletedAnswer,
    GetModel,
    ListModels,
    Model,
    Page,
    TokenCount,
)
from gateway.canonical.turn import (
    HistoryMessage,
    MessageRequest,
    NamedTool,
    Parameters,
    ResponseFormat,
    Tool,
    Turn,
)
from gateway.conversations.fingerprint import extend, seed
from gateway.protocols.anthropic import ANTHROPIC
from gateway.protocols.anthropic.asking import AnthropicOptions, AnthropicTarget, compose
from gateway.protocols.anthropic.dialect import AnthropicDialect
from gateway.protocols.base import ClientRequest

DIALECT = AnthropicDialect()
JSON = {"Content-Type": "application/json"}


def request(body: Any, **headers: str) -> ClientRequest:
    spelled = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return ClientRequest(CIMultiDict(spelled), json.dumps(body).encode(), {}, {"beta": "true"})


def ask(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": "support", "max_tokens": 100, "messages": list(messages) or [user("hi")], **fields}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def read(*messages: Any, **fields: Any) -> MessageRequest:
    return DIALECT.read(request(ask(*messages, **fields))).request


def options(**fields: Any) -> Any:
    return read(**fields).vendor_options.get("anthropic", {})


def refused(body: Any, **headers: str) -> tuple[str, str]:
    with pytest.raises(GatewayError) as caught:
        DIALECT.read(request(body, **headers))
    return caught.value.code, caught.value.details["path"]


# --- messages


def test_a_message_is_read() -> None:
    assert read(user("hi")) == MessageRequest(
        route="support",
        content=[TextPart("hi")],
        parameters=Parameters(max_output_tokens=100),
        stream=False,
    )
    assert read(stream=True).stream


def test_an_answer_that_says_nothing_is_none() -> None:
    assert read(user("hi"), assistant(None)).content == [TextPart("hi")]


def test_what_was_said_before_is_history() -> None:
    asked = read(
        user("hello"),
        assistant("Hi."),
        {"role": "system", "content": "Be brief."},
        user([{"type": "text", "text": "and"}, {"type": "text", "text": ""}, {"type": "text", "text": "now?"}]),
        system=[{"type": "text", "text": "Be kind."}, {"type": "text", "text": "Be true."}],
    )
    assert asked.instructions == "Be kind.\n\nBe true."
    assert asked.history == [
        HistoryMessage("user", [TextPart("hello")]),
        HistoryMessage("assistant", [TextPart("Hi.")]),
        HistoryMessage("system", [TextPart("Be brief.")]),
    ]
    assert asked.content == [TextPart("and"), TextPart("now?")]
    assert read(system="Be kind.").instructions == "Be kind."


def test_an_answer_comes_back_with_all_that_was_told_of_it() -> None:
    found = [{"type": "web_search_result", "url": "https://a.test"}]
    failed = {"type": "web_fetch_tool_result_error", "error_code": "unavailable"}
    blocks = [
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "thinking", "thinking": "unsigned", "signature": ""},
        {"type": "redacted_thinking", "data": "EmwK"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": found},
        {"type": "server_tool_use", "id": "srvtoolu_2", "name": "web_fetch"},
        {"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_2", "content": failed},
        {"type": "mcp_tool_use", "id": "c1", "name": "look", "server_name": "gateway", "input": {}},
        {"type": "mcp_tool_result", "tool_use_id": "c1", "is_error": True, "content": [{"type": "text", "text": "no"}]},
        {"type": "text", "text": "So.", "citations": [{"type": "web_search_result_location"}]},
        {"type": "text", "text": ""},
        {"type": "container_upload", "file_id": "f1"},
        {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}},
        {"type": "compaction", "content": None},
        {"type": "tool_use", "id": "toolu_1", "name": "list", "input": {"a": 1}, "caller": {"type": "direct"}},
    ]
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}
    asked = read(user("hi"), assistant(blocks), user([result]))
    assert asked.history[1].parts == [
        ReasoningPart("Hm", signature="sig"),
        ReasoningPart("unsigned"),
        ReasoningPart("", signature="redacted_thinking:EmwK"),
        ToolCallPart("srvtoolu_1", "web_search", {"query": "x"}, executor="vendor"),
        ToolResultPart("srvtoolu_1", found, name="web_search"),
        ToolCallPart("srvtoolu_2", "web_fetch", {}, executor="vendor"),
        ToolResultPart("srvtoolu_2", failed, is_error=True, name="web_fetch"),
        ToolCallPart("c1", "look", {}, executor="vendor"),
        ToolResultPart("c1", "no", is_error=True, name="look"),
        TextPart("So."),
        FilePart("f1"),
        ToolCallPart("toolu_1", "list", {"a": 1}, executor="client"),
    ]
    assert asked.content == [ToolResultPart("toolu_1", "done")]


IMAGE = {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}}


@pytest.mark.parametrize(
    ("content", "output"),
    [
        ("sunny", "sunny"),
        ('{"sky":"clear"}', '{"sky":"clear"}'),
        (None, ""),
        ("", ""),
        ([], []),
        ([{"type": "text", "text": "sunny", "cache_control": {"type": "ephemeral"}}], "sunny"),
        (
            [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            [
                {"type": "text", "text": "a"},
                {"type": "text", "text": "b"},
            ],
        ),
        ([IMAGE], [IMAGE]),
        ([{"type": "text"}], [{"type": "text"}]),
    ],
)
def test_a_result_is_a_text_or_its_blocks(content: Any, output: Any) -> None:
    block = {"type": "tool_result", "tool_use_id": "c1", "content": content, "is_error": True}
    assert read(user([block])).content == [ToolResultPart("c1", output, is_error=True)]


def test_images_and_documents() -> None:
    hello = base64.b64encode(b"hello").decode()
    two = base64.b64encode(b"one\n\ntwo").decode()
    assert read(
        user(
            [
                IMAGE,
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}},
                {"type": "image", "source": {"type": "file", "file_id": "f1"}},
                {"type": "document", "source": {"type": "url", "url": "https://a.test/b.pdf"}, "title": "b"},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"},
                    "context": "The terms.",
                },
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "hello"}},
                {"type": "document", "source": {"type": "content", "content": "hello"}},
                {
                    "type": "document",
                    "source": {
                        "type": "content",
                        "content": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}],
                    },
                },
                {"type": "document", "source": {"type": "file", "file_id": "f2"}},
                {"type": "container_upload", "file_id": "f3"},
                {
                    "type": "search_result",
                    "source": "https://a.test",
                    "title": "A",
                    "content": [{"type": "text", "text": "So."}],
                },
            ]
        )
    ).content == [
        ImagePart(url="https://a.test/b.png"),
        ImagePart(data="iVBO", media_type="image/png"),
        ImagePart(file_id="f1"),
        FilePart(url="https://a.test/b.pdf", name="b"),
        TextPart("The terms."),
        FilePart(data="JVBE", media_type="application/pdf"),
        FilePart(data=hello, media_type="text/plain"),
        FilePart(data=hello, media_type="text/plain"),
        FilePart(data=two, media_type="text/plain"),
        FilePart(file_id="f2"),
        FilePart(file_id="f3"),
        TextPart("A\nhttps://a.test\nSo."),
    ]


# --- what the answer is to be like


def test_parameters() -> None:
    asked = read(temperature=0.5, top_p=0.9, stop_sequences=["END"], metadata={"user_id": "u-1"})
    assert asked.parameters == Parameters(temperature=0.5, top_p=0.9, max_output_tokens=100, stop=["END"])
    assert asked.user_id == "u-1"
    assert read(metadata={}).user_id is None
    assert read(metadata={"user_id": None}).user_id is None


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize("name", ["output_config", "output_format"])
def test_a_schema_of_the_answer(name: str) -> None:
    form = {"type": "json_schema", "schema": SCHEMA}
    asked = read(**{name: {"format": form} if name == "output_config" else form})
    assert asked.parameters is not None
    assert asked.parameters.response_format == ResponseFormat("json_schema", schema=SCHEMA)


@pytest.mark.parametrize(
    ("fields", "effort", "own"),
    [
        ({}, None, {}),
        ({"thinking": {"type": "disabled"}}, "none", {"thinking": {"type": "disabled"}}),
        ({"thinking": {"type": "adaptive"}}, None, {"thinking": {"type": "adaptive"}}),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
            "minimal",
            {"thinking": {"type": "enabled", "budget_tokens": 1024}},
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 10000, "display": "omitted"}},
            "medium",
            {"thinking": {"type": "enabled", "budget_tokens": 10000, "display": "omitted"}},
        ),
        (
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
            "low",
            {"thinking": {"type": "adaptive"}, "effort": "low"},
        ),
        ({"output_config": {"effort": "xhigh"}}, "high", {"effort": "xhigh"}),
    ],
)
def test_how_much_to_think(fields: dict[str, Any], effort: Any, own: Any) -> None:
    asked = read(**fields)
    assert asked.parameters == Parameters(max_output_tokens=100, reasoning_effort=effort)
    assert asked.vendor_options.get("anthropic", {}) == own


def test_tools() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    asked = read(
        tools=[
            {"name": "list", "input_schema": {"type": "object"}, "description": "Lists", "strict": True},
            {"type": "custom", "name": "look", "input_schema": SCHEMA, "defer_loading": True},
            search,
        ]
    )
    assert asked.tools == [Tool("list", "Lists", {"type": "object"}, strict=True), Tool("look", None, SCHEMA)]
    assert asked.vendor_options == {"anthropic": {"server_tools": [search]}}


@pytest.mark.parametrize(
    ("choice", "expected", "own"),
    [
        (None, None, {}),
        ({"type": "auto"}, "auto", {}),
        ({"type": "none"}, "none", {}),
        ({"type": "any", "disable_parallel_tool_use": True}, "required", {"disable_parallel_tool_use": True}),
        ({"type": "tool", "name": "list"}, NamedTool("list"), {}),
    ],
)
def test_the_choice_of_tools(choice: Any, expected: Any, own: Any) -> None:
    asked = read(tool_choice=choice)
    assert (asked.tool_choice, asked.vendor_options.get("anthropic", {})) == (expected, own)


def test_what_only_anthropic_has_is_kept_for_it() -> None:
    fields = {
        "top_k": 3,
        "service_tier": "auto",
        "speed": "fast",
        "container": {"id": "c1"},
        "inference_geo": "us",
        "context_management": {"edits": []},
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    assert options(**fields) == fields
    headers = CIMultiDict([*JSON.items(), ("anthropic-beta", "a-1, b-2"), ("anthropic-beta", "c-3")])
    asked = DIALECT.read(ClientRequest(headers, json.dumps(ask()).encode())).request
    assert asked.vendor_options == {"anthropic": {"betas": ["a-1", "b-2", "c-3"]}}


MARK = {"cache_control": {"type": "ephemeral"}}
LONG = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"system": [{"type": "text", "text": "a", **LONG}]}, LONG),
        ({"tools": [{"name": "list", "input_schema": {}, **MARK}]}, MARK),
        ({"messages": [user([{"type": "text", "text": "a", **LONG}, {"type": "text", "text": "b", **MARK}])]}, MARK),
        ({"messages": [user([{"type": "text", "text": "a", **LONG}])], **MARK}, MARK),
    ],
)
def test_hints_to_keep_a_part_become_one_for_the_whole(fields: dict[str, Any], hint: Any) -> None:
    asked = DIALECT.read(request({**ask(), **fields})).request
    assert asked.vendor_options == {"anthropic": hint}


def test_documents_are_cited_where_one_is_to_be() -> None:
    source = {"type": "url", "url": "https://a.test/b.pdf"}
    document = {"type": "document", "source": source, "citations": {"enabled": True}}
    assert read(user([document])).vendor_options == {"anthropic": {"document_citations": True}}
    assert read(user([{**document, "citations": {"enabled": False}}])).vendor_options == {}


def test_fields_without_an_effect_pass() -> None:
    assert read(diagnostics={"previous_message_id": "msg"}, fallbacks=["a"]) == read()


# --- what is refused


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"model": ""}, "$.model"),
        ({"model": 7}, "$.model"),
        ({"max_tokens": 0}, "$.max_tokens"),
        ({"messages": []}, "$.messages"),
        ({"messages": [user("")]}, "$.messages[0].content"),
        ({"messages": [user([])]}, "$.messages[0].content"),
        ({"messages": [user("hi"), assistant("I begin")]}, "$.messages[1].role"),
        ({"messages": [user(""), assistant(None)]}, "$.messages[1].role"),
        ({"messages": [{"role": "system", "content": "a"}]}, "$.messages[0].content"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "$.messages[0].role"),
        ({"messages": [user([{"type": "sparkle"}])]}, "$.messages[0].content[0].type"),
        (
            {"messages": [user([{"type": "tool_use", "id": "a", "name": "b", "input": {}}])]},
            "$.messages[0].content[0].type",
        ),
        ({"messages": [user([{"type": "text"}])]}, "$.messages[0].content[0].text"),
        (
            {"messages": [user([{"type": "document", "source": {"type": "text", "data": ""}}])]},
            "$.messages[0].content[0].source",
        ),
        ({"temperature": 1.5}, "$.temperature"),
        ({"top_k": -1}, "$.top_k"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "$.thinking.budget_tokens"),
        ({"tool_choice": {"type": "tool"}}, "$.tool_choice.name"),
        ({"tools": [{"name": "", "input_schema": {}}]}, "$.tools[0].name"),
        ({"tools": [{"input_schema": {}}]}, "$.tools[0].name"),
        ({"tools": [{"type": 7}]}, "$.tools[0].type"),
        ({"metadata": {"user_id": "a\nb"}}, "$.metadata.user_id"),
        ({"service_tier": "gold"}, "$.service_tier"),
        ({"container": {"url": "https://a.test"}}, "$.container.url"),
    ],
)
def test_a_body_that_does_not_fit_names_the_path(fields: dict[str, Any], path: str) -> None:
    assert refused({**ask(), **fields}) == ("bad_request", path)


def test_what_cannot_be_honoured_is_unsupported() -> None:
    body = ask(mcp_servers=[{"type": "url", "url": "https://a.test", "name": "a"}])
    assert refused(body) == ("unsupported", "$.mcp_servers")
    assert read(mcp_servers=[]) == read()


def test_headers_that_do_not_fit_are_refused() -> None:
    assert refused(ask(), anthropic_beta="two words") == ("bad_request", "header.anthropic-beta")
    with pytest.raises(GatewayError) as caught:
        DIALECT.read(ClientRequest(CIMultiDict({"Content-Type": "text/plain"}), b"{}"))
    assert caught.value.code == "unsupported_media_type"
    body = ask()
    del body["max_tokens"]
    assert refused(body) == ("bad_request", "$.max_tokens")


# --- keys


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ([], None),
        ([("x-api-key", "k")], "k"),
        ([("Authorization", "Bearer k")], "k"),
        ([("x-api-key", "k"), ("Authorization", "Bearer k")], "k"),
        ([("x-api-key", "k"), ("Authorization", "Bearer other")], None),
        ([("x-api-key", "k"), ("x-api-key", "other")], None),
        ([("x-api-key", "k"), ("Authorization", "Basic abc")], "k"),
        ([("x-api-key", " ")], None),
    ],
)
def test_the_key_stands_in_one_of_two_headers(headers: list[tuple[str, str]], key: str | None) -> None:
    assert DIALECT.credential(ClientRequest(CIMultiDict(headers), b"")) == key


# --- errors


TOLD: dict[Code, tuple[int, str, str | None]] = {
    "bad_request": (400, "invalid_request_error", None),
    "unauthorized": (401, "authentication_error", None),
    "forbidden": (403, "permission_error", None),
    "not_found": (404, "not_found_error", None),
    "method_not_allowed": (405, "invalid_request_error", None),
    "request_timeout": (408, "invalid_request_error", None),
    "conflict": (409, "conflict_error", None),
    "gone": (410, "not_found_error", None),
    "payload_too_large": (413, "request_too_large", None),
    "unsupported_media_type": (415, "invalid_request_error", None),
    "unsupported": (400, "invalid_request_error", None),
    "rate_limited": (429, "rate_limit_error", "true"),
    "upstream_rate_limited": (429, "rate_limit_error", "false"),
    "upstream_auth": (502, "api_error", "false"),
    "upstream_not_found": (502, "api_error", "false"),
    "upstream_rejected": (400, "invalid_request_error", "false"),
    "upstream_unavailable": (503, "overloaded_error", "false"),
    "upstream_timeout": (504, "timeout_error", "false"),
    "upstream_protocol": (502, "api_error", "false"),
    "upstream_empty": (502, "api_error", "false"),
    "content_filtered": (400, "invalid_request_error", "false"),
    "context_too_long": (400, "invalid_request_error", "false"),
    "quota_exhausted": (402, "billing_error", "false"),
    "overloaded": (529, "overloaded_error", "true"),
    "store_unavailable": (503, "api_error", "true"),
    "internal": (500, "api_error", "false"),
}


def test_every_code_has_its_row() -> None:
    assert set(TOLD) == set(CODES)


@pytest.mark.parametrize("code", TOLD)
def test_each_error_is_told_in_the_dialects_own_words(code: Code) -> None:
    error = GatewayError(code, "our words", vendor_message="sk-secret")
    response = DIALECT.error(error, "r-1")
    body = json.loads(response.body)
    assert (response.status, body["error"]["type"], response.headers.get("x-should-retry")) == TOLD[code]
    assert (body["type"], body["request_id"], response.headers["request-id"]) == ("error", "r-1", "r-1")
    assert body["error"]["details"] == {"error_code": code}
    assert body["error"]["message"].endswith("our words")
    assert b"sk-secret" not in response.body


def test_a_model_that_is_not_there_and_a_conversation_too_long_are_told_as_clients_know_it() -> None:
    error = GatewayError("not_found", "no such route", details={"path": "$.route"})
    assert json.loads(DIALECT.error(error, "r").body)["error"]["message"] == "model: there is none of that name"
    told = json.loads(DIALECT.error(GatewayError("context_too_long", "so it is"), "r").body)
    assert told["error"]["message"] == "prompt is too long: so it is"


def test_when_to_come_back_is_told_in_seconds_and_finer() -> None:
    response = DIALECT.error(GatewayError("rate_limited", "slow", retry_after=1.25), "r")
    assert (response.headers["Retry-After"], response.headers["retry-after-ms"]) == ("2", "1250")


# --- the other doors


def test_models_and_counts() -> None:
    counted = request({"model": "support", "messages": [user("hi")], "tools": []})
    asked = DIALECT.read_ask("count_tokens", counted)
    assert asked == CountTokens(MessageRequest(route="support", content=[TextPart("hi")], stream=False))
    bare = ClientRequest(CIMultiDict(), b"", {"model": "support"})
    assert DIALECT.read_ask("list_models", bare) == ListModels()
    assert DIALECT.read_ask("get_model", bare) == GetModel("support")


def test_what_they_are_answered() -> None:
    model = Model("support", datetime(2026, 11, 2, tzinfo=UTC))
    told = {
        "type": "model",
        "id": "support",
        "display_name": "support",
        "created_at": "2026-11-02T00:00:00Z",
        "lifecycle": "active",
    }
    assert json.loads(DIALECT.write_result(model)) == told
    assert json.loads(DIALECT.write_result(Page([model]))) == {
        "data": [told],
        "has_more": False,
        "first_id": "support",
        "last_id": "support",
    }
    nothing: Page[Model] = Page([])
    assert json.loads(DIALECT.write_result(nothing)) == {
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }
    assert json.loads(DIALECT.write_result(TokenCount(7))) == {"input_tokens": 7}
    with pytest.raises(TypeError, match="DeletedAnswer"):
        DIALECT.write_result(DeletedAnswer("c", {}))


def test_its_doors() -> None:
    assert [(route.method, route.path, route.operation) for route in DIALECT.routes] == [
        ("POST", "/anthropic/v1/messages", "message"),
        ("POST", "/anthropic/v1/messages/count_tokens", "count_tokens"),
        ("GET", "/anthropic/v1/models", "list_models"),
        ("GET", "/anthropic/v1/models/{model}", "get_model"),
    ]
    assert DIALECT.headers("r-1") == {"request-id": "r-1", "X-Request-Id": "r-1"}
    assert (DIALECT.content_type, DIALECT.can_discard) == ("text/event-stream", False)
    assert ANTHROPIC.dialect is not None
    assert isinstance(ANTHROPIC.dialect(None), AnthropicDialect)


# --- an exchange


def test_an_exchange_answers_in_either_form() -> None:
    exchange = DIALECT.read(request(ask(stop_sequences=["END"])))
    assert (exchange.thread, exchange.follows) == (None, None)
    assert exchange.encoder().heartbeat() is not None
    message = Message(
        "m",
        "c",
        "assistant",
        "completed",
        [TextPart("Hi", 0)],
        datetime(2026, 11, 2, tzinfo=UTC),
        finish_reason="stop",
        raw_finish_reason="stop_sequence",
    )
    assert json.loads(exchange.document(message))["stop_sequence"] == "END"


# --- there and back


def test_from_this_dialect_to_this_vendor_nothing_is_lost() -> None:
    body = ask(
        user([{"type": "text", "text": "look"}, IMAGE]),
        assistant(
            [
                {"type": "thinking", "thinking": "Hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "EmwK"},
                {"type": "text", "text": "Let me."},
                {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}},
            ]
        ),
        user([{"type": "tool_result", "tool_use_id": "toolu_1", "content": [IMAGE]}, {"type": "text", "text": "so?"}]),
        max_tokens=5000,
        stream=True,
        system="Be kind.",
        tools=[
            {"name": "look", "input_schema": SCHEMA, "description": "Looks", "strict": True},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 2000},
        output_config={"effort": "max", "format": {"type": "json_schema", "schema": SCHEMA}},
        temperature=1.0,
        top_p=0.5,
        top_k=3,
        stop_sequences=["END"],
        metadata={"user_id": "u-1"},
        service_tier="standard_only",
        speed="fast",
        container="c1",
        inference_geo="us",
        cache_control={"type": "ephemeral"},
        context_management={"edits": []},
    )
    asked = DIALECT.read(request(body)).request
    turn = Turn(
        asked.parts(),
        lambda: "new",
        missed=asked.history,
        instructions=asked.instructions,
        tools=asked.tools,
        tool_choice=asked.tool_choice,
        parameters=asked.parameters,
        user_id=asked.user_id,
        options=msgspec.convert(asked.vendor_options["anthropic"], AnthropicOptions),
    )
    sent = json.loads(msgspec.json.encode(compose(turn, AnthropicTarget("support"), stream=True)))
    assert sent == body


def chain(messages: list[HistoryMessage]) -> bytes:
    known = seed("support", None)
    for message in messages:
        known = extend(known, message.role, message.parts)
    return known


json_objects = st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5) | st.booleans(), max_size=3)


@given(
    texts=st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=3),
    arguments=json_objects,
    is_streamed=st.booleans(),
)
def test_an_answer_that_comes_back_is_recognised(texts: list[str], arguments: dict[str, Any], is_streamed: Any) -> None:
    parts: list[Any] = [
        ReasoningPart("Hm", 0, "sig"),
        *(TextPart(text, number + 1) for number, text in enumerate(texts)),
        ToolCallPart("c1", "look", {"x": 1}, executor="vendor"),
        ToolResultPart("c1", {"ok": True}, name="look"),
        ToolCallPart("c2", "list", arguments, block=9, executor="client"),
    ]
    at = datetime(2026, 11, 2, tzinfo=UTC)
    stored = Message(
        "m", "c", "assistant", "completed", parts, at, finish_reason="tool_calls", pending_tool_calls=["c2"]
    )
    exchange = DIALECT.read(request(ask()))
    blocks = json.loads(exchange.document(stored))["content"]
    if is_streamed:
        blocks = [block for block in blocks if block["type"] != "thinking"]
    asked = read(user("hi"), assistant(blocks), user([{"type": "tool_result", "tool_use_id": "c2", "content": "x"}]))
    before = [HistoryMessage("user", [TextPart("hi")]), HistoryMessage("assistant", parts)]
    assert chain(asked.history) == chain(before)


def test_what_a_translator_told_comes_back_in_the_same_words() -> None:
    """The events of a stream, kept as a message, written as a document, and read again."""
    told: list[Any] = [
        ReasoningCompleted(0, "", "redacted_thinking:EmwK"),
        TextCompleted(1, "Hi"),
        ToolCallCompleted(2, "c1", "list", {}, "complete"),
        MessageCompleted("tool_calls", pending_tool_calls=["c1"]),
    ]
    parts: list[Any] = [
        ReasoningPart(told[0].text, 0, told[0].signature),
        TextPart(told[1].text, 1),
        ToolCallPart("c1", "list", {}, 2, executor="client"),
    ]
    at = datetime(2026, 11, 2, tzinfo=UTC)
    stored = Message("m", "c", "assistant", "completed", parts, at, finish_reason="tool_calls")
    blocks = json.loads(DIALECT.read(request(ask())).document(stored))["content"]
    asked = read(user("hi"), assistant(blocks), user("and?"))
    assert asked.history[1].parts == [
        ReasoningPart("", signature="redacted_thinking:EmwK"),
        TextPart("Hi"),
        ToolCallPart("c1", "list", {}, executor="client"),
    ]

"""OpenAI chat, downstream: whole answers, errors, models, keys."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.canonical.errors import CODES, Code, GatewayError
from gateway.canonical.events import MessageStarted, Usage
from gateway.canonical.message import (
    DataPart,
    InputPart,
    Message,
    Part,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.resources import GetModel, ListModels, Model, Page
from gateway.conversations.fingerprint import extend
from gateway.protocols.base import ClientRequest, Exchange
from gateway.protocols.openai_chat import OPENAI_CHAT
from gateway.protocols.openai_chat.dialect import ChatDialect

Json = dict[str, Any]

DIALECT = ChatDialect()
NOW = datetime(2026, 11, 2, 12, 30, tzinfo=UTC)
JSON = CIMultiDict({"content-type": "application/json"})


def exchange(*messages: Json, **fields: Any) -> Exchange:
    body = {"model": "support", "messages": messages or [{"role": "user", "content": "Hi"}], **fields}
    return DIALECT.read(ClientRequest(JSON, json.dumps(body).encode()))


def answer(*parts: Part, **fields: Any) -> Message:
    fields = {"status": "completed", "finish_reason": "stop", **fields}
    return Message("msg_1", "conv_1", "assistant", parts=list(parts), created_at=NOW, **fields)


def document(*parts: Part, **fields: Any) -> Json:
    told: Json = json.loads(exchange().document(answer(*parts, **fields)))
    return told


def said(*parts: Part, **fields: Any) -> Json:
    message: Json = document(*parts, **fields)["choices"][0]["message"]
    return message


# --- answers


def test_an_answer_is_one_document() -> None:
    assert document(TextPart("Hi", 0), usage=Usage(10, 5)) == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": 1793622600,
        "model": "support",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def test_every_part_that_can_be_told_is_told() -> None:
    message = said(
        ReasoningPart("Hm", 0),
        TextPart("ab", 1),
        ToolCallPart("a", "pay", {"sum": 1}, 2, executor="client"),
        ToolCallPart("b", "search", {}, 3, executor="vendor"),
        ToolResultPart("b", "found"),
        ToolCallPart("c", "ship", {}, 4, executor="unknown"),
        ToolCallPart("d", "other", {}, 5, executor="unknown"),
        ToolCallPart("e", "cut", {}, 6, executor="client", status="cut", raw_arguments='{"su'),
        TextPart("cd", 7),
        SourcePart("s", "A", "https://e/a", block=7, start=0, end=2),
        SourcePart("s", "F", file_id="f"),
        DataPart("chart", {}),
        InputPart("r", "question", "Eh?"),
        InputPart("r", "approval"),
        pending_tool_calls=["a", "c", "e"],
    )
    placed = {"url": "https://e/a", "title": "A", "start_index": 2, "end_index": 4}
    assert message == {
        "role": "assistant",
        "content": "abcd\n\nEh?",
        "refusal": None,
        "reasoning_content": "Hm",
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "pay", "arguments": '{"sum":1}'}},
            {"id": "c", "type": "function", "function": {"name": "ship", "arguments": "{}"}},
            {"id": "e", "type": "function", "function": {"name": "cut", "arguments": '{"su'}},
        ],
        "annotations": [{"type": "url_citation", "url_citation": placed}],
    }


@pytest.mark.parametrize(
    ("parts", "content"),
    [
        ((), ""),
        ((ToolCallPart("a", "pay", {}, executor="client"),), None),
        ((InputPart("r", "question", "Eh?"),), "Eh?"),
        ((TextPart("no block"),), "no block"),
    ],
)
def test_content_is_null_beside_calls_alone(parts: tuple[Part, ...], content: str | None) -> None:
    assert said(*parts)["content"] == content


def test_a_canceled_answer_was_cut_short() -> None:
    told = document(TextPart("Hi", 0), status="canceled", finish_reason=None)
    assert told["choices"][0]["finish_reason"] == "length"
    assert "usage" not in told


def test_an_answer_is_recognised_when_it_is_resent() -> None:
    parts: list[Part] = [
        ReasoningPart("Hm", 0),
        TextPart("a ", 1),
        ToolCallPart("a", "pay", {"sum": 1}, 2, executor="client"),
        ToolCallPart("v", "search", {}, 3, executor="vendor"),
        TextPart("b", 4),
        ToolCallPart("b", "cut", {}, 5, executor="client", status="cut", raw_arguments='{"su'),
    ]
    hi = {"role": "user", "content": "Hi"}
    history = exchange(hi, said(*parts), hi).request.history
    assert extend(b"", "assistant", history[1].parts) == extend(b"", "assistant", parts)


def test_usage_is_streamed_where_it_is_asked_for() -> None:
    started = MessageStarted("msg_1", "conv_1", "support", NOW)
    for options in (None, {}, {"include_usage": False}):
        assert b"usage" not in exchange(stream_options=options).encoder().event(0, started)
    assert b"usage" in exchange(stream_options={"include_usage": True}).encoder().event(0, started)


def test_the_wire_names_no_conversation() -> None:
    assert (exchange().thread, exchange().follows) == (None, None)


# --- errors


STATUSES: dict[Code, int] = {
    "unsupported": 400,
    "upstream_rejected": 400,
    "content_filtered": 400,
    "context_too_long": 400,
    "quota_exhausted": 429,
}


@pytest.mark.parametrize("code", CODES)
def test_every_failure_has_its_status_and_says_whether_to_ask_again(code: Code) -> None:
    told = DIALECT.error(GatewayError(code, "our words", vendor_message="sk-secret", vendor_code="theirs"), "req_1")
    assert told.status == STATUSES.get(code, CODES[code].status)
    error = json.loads(told.body)["error"]
    assert (error.keys(), error["message"]) == ({"message", "type", "param", "code"}, "our words")
    assert b"sk-secret" not in told.body
    given_up = {"content_filtered", "context_too_long", "quota_exhausted", "internal"}
    again = {"rate_limited", "overloaded", "store_unavailable"}
    expected = "true" if code in again else "false" if code in given_up or code.startswith("upstream_") else None
    assert told.headers.get("x-should-retry") == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            GatewayError("not_found", "no such route", details={"path": "$.route"}),
            ("The model does not exist, or you have no access to it.", "model", "model_not_found"),
        ),
        (GatewayError("not_found", "no such message"), ("no such message", None, "not_found")),
        (
            GatewayError("bad_request", "no", details={"path": "$.messages[0].role"}),
            ("no", "messages[0].role", None),
        ),
        (GatewayError("bad_request", "no", details={"path": "$"}), ("no", None, None)),
        (GatewayError("context_too_long", "no"), ("no", None, "context_length_exceeded")),
    ],
)
def test_an_error_names_the_parameter_and_a_known_code(error: GatewayError, expected: tuple[Any, ...]) -> None:
    told = json.loads(DIALECT.error(error, "req_1").body)["error"]
    assert (told["message"], told["param"], told["code"]) == expected


def test_when_to_ask_again_is_told_in_seconds_and_milliseconds() -> None:
    headers = DIALECT.error(GatewayError("rate_limited", "no", retry_after=1.25), "req_1").headers
    assert (headers["Retry-After"], headers["retry-after-ms"]) == ("2", "1250")


def test_a_missing_key_is_asked_for() -> None:
    assert DIALECT.error(GatewayError("unauthorized", "no"), "req_1").headers["WWW-Authenticate"] == "Bearer"


# --- models, keys, headers


@pytest.mark.parametrize(
    ("operation", "parameters", "ask"),
    [("list_models", {}, ListModels()), ("get_model", {"model": "a/b"}, GetModel("a/b"))],
)
def test_models_are_asked_for(operation: Any, parameters: dict[str, str], ask: object) -> None:
    assert DIALECT.read_ask(operation, ClientRequest(CIMultiDict(), b"", parameters)) == ask


def test_routes_are_models() -> None:
    model = {"id": "support", "object": "model", "created": 1793622600, "owned_by": "gateway"}
    assert json.loads(DIALECT.write_result(Model("support", NOW))) == model
    page = Page([Model("support", NOW)], None)
    assert json.loads(DIALECT.write_result(page)) == {"object": "list", "data": [model]}


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({"Authorization": "Bearer k"}, "k"),
        ({"api-key": "k"}, "k"),
        ({"Authorization": "Bearer k", "api-key": "k"}, "k"),
        ({"Authorization": "Bearer k", "api-key": "other"}, None),
        ({"Authorization": "Basic k"}, None),
    ],
)
def test_a_key_stands_in_one_of_two_headers(headers: dict[str, str], key: str | None) -> None:
    assert DIALECT.credential(ClientRequest(CIMultiDict(headers), b"")) == key


def test_an_answer_names_its_request() -> None:
    assert DIALECT.headers("req_1") == {"x-request-id": "req_1"}


def test_the_descriptor_makes_the_dialect() -> None:
    assert OPENAI_CHAT.dialect is not None
    dialect = OPENAI_CHAT.dialect(OPENAI_CHAT.dialect_settings())
    assert [route.path for route in dialect.routes] == [
        "/openai/v1/chat/completions",
        "/openai/v1/models",
        "/openai/v1/models/{model:.+}",
    ]
    assert (dialect.name, dialect.can_discard) == ("openai_chat", False)

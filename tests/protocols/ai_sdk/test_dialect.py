"""The AI SDK, downstream: credentials, headers, errors, documents."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from gateway.canonical.errors import CODES, Code, GatewayError
from gateway.canonical.events import MessageStarted, Usage
from gateway.canonical.message import (
    DataFramePart,
    DataPart,
    FilePart,
    InputPart,
    Message,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.resources import TokenCount
from gateway.protocols.ai_sdk import AI_SDK
from gateway.protocols.ai_sdk.dialect import AiSdkDialect, AiSdkSettings
from gateway.protocols.base import ClientRequest, Exchange, Thread

DIALECT = AiSdkDialect(AiSdkSettings())
NOW = datetime(2026, 11, 2, tzinfo=UTC)


def test_the_key_stands_where_the_application_puts_it() -> None:
    assert DIALECT.credential(ClientRequest(CIMultiDict({"Authorization": "Bearer k"}), b"")) == "k"
    assert DIALECT.credential(ClientRequest(CIMultiDict(), b"")) is None


def test_each_answer_says_which_protocol_it_is() -> None:
    assert DIALECT.headers("req_1") == {"x-vercel-ai-ui-message-stream": "v1", "X-Request-Id": "req_1"}
    assert DIALECT.content_type == "text/event-stream"


@pytest.mark.parametrize(("version", "can_discard"), [(5, False), (6, False), (7, True)])
def test_only_version_7_can_forget(version: int, *, can_discard: bool) -> None:
    settings = msgspec.convert({"version": version}, AI_SDK.dialect_settings)
    assert AI_SDK.dialect is not None
    assert AI_SDK.dialect(settings).can_discard is can_discard


@pytest.mark.parametrize("settings", [{"version": 4}, {"version": "5"}, {"sparkle": 1}])
def test_a_setting_that_is_none_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, AI_SDK.dialect_settings)


@pytest.mark.parametrize("code", CODES)
def test_an_error_is_a_text_that_may_be_shown(code: Code) -> None:
    error = GatewayError(code, "it failed", vendor_message="sk-secret", details={"path": "$.id"})
    answer = DIALECT.error(error, "req_1")
    assert answer.status == CODES[code].status
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert ("WWW-Authenticate" in answer.headers) == (answer.status == 401)
    assert answer.body.decode() == f"it failed ({code}, request req_1)"


def test_a_client_is_told_when_to_come_back() -> None:
    answer = DIALECT.error(GatewayError("rate_limited", "too many", retry_after=2.5), "req_1")
    assert answer.headers["Retry-After"] == "3"


def test_an_unknown_route_is_told_as_one() -> None:
    answer = DIALECT.error(GatewayError("not_found", "no such model", details={"path": "$.route"}), "req_1")
    assert (answer.status, answer.body) == (404, b"there is no such route (not_found, request req_1)")


def test_results_are_written_as_they_are() -> None:
    assert DIALECT.write_result(TokenCount(3)) == b'{"input_tokens":3}'


def exchange(*messages: str) -> Exchange:
    body = f'{{"id":"chat","messages":[{",".join(messages)}]}}'
    headers = CIMultiDict({"Content-Type": "application/json"})
    return DIALECT.read(ClientRequest(headers, body.encode(), {"route": "support"}))


USER = '{"id":"u","role":"user","parts":[{"type":"text","text":"Hi"}]}'
ANSWER = (
    '{"id":"a1","role":"assistant","parts":'
    '[{"type":"tool-pay","toolCallId":"c1","state":"output-available","input":{},"output":1}]}'
)


@pytest.mark.parametrize(("messages", "message_id"), [((USER,), "msg_1"), ((USER, ANSWER), "a1")])
def test_a_stream_begins_with_the_message_that_the_client_adds_to(messages: tuple[str, ...], message_id: str) -> None:
    asked = exchange(*messages)
    assert (asked.thread, asked.follows) == (Thread("chat"), None)
    assert asked.encoder().event(0, MessageStarted("msg_1", "conv_1", "support", NOW)) == (
        b'data: {"type":"start","messageId":"%b","messageMetadata":{"conversationId":"conv_1","messageId":"msg_1"}}\n\n'
        % message_id.encode()
    )


def test_a_stored_answer_is_one_ui_message() -> None:
    message = Message(
        "msg_1",
        "conv_1",
        "assistant",
        "completed",
        [
            ReasoningPart("Hm", 0, "sig"),
            TextPart("Hello", 1),
            ToolCallPart("c1", "pay", {"a": 1}, executor="client"),
            ToolCallPart("c2", "pay", {}, executor="unknown"),
            ToolCallPart("c3", "pay", {}, executor="vendor"),
            ToolResultPart("c3", None),
            ToolCallPart("c4", "pay", {}, executor="vendor"),
            ToolResultPart("c4", {"code": 7}, is_error=True),
            ToolCallPart("c5", "pay", {}, status="cut", executor="vendor", raw_arguments="{"),
            SourcePart("s1", "A", "https://example.org"),
            SourcePart("s2", file_id="f1"),
            FilePart(url="https://example.org/a.png"),
            FilePart(file_id="f1"),
            DataFramePart("t", ["a"], [[1]]),
            DataPart("weather", {"degrees": 21}),
            InputPart("q1", "question"),
        ],
        NOW,
        pending_tool_calls=["c1", "c2"],
        vendor="v",
        usage=Usage(1, 2),
    )
    vendors = {"type": "dynamic-tool", "toolName": "pay", "providerExecuted": True}
    binary = "application/octet-stream"
    assert json.loads(exchange(USER).document(message)) == {
        "id": "msg_1",
        "role": "assistant",
        "metadata": {
            "conversationId": "conv_1",
            "messageId": "msg_1",
            "vendor": "v",
            "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3},
        },
        "parts": [
            {"type": "reasoning", "text": "Hm", "state": "done"},
            {"type": "text", "text": "Hello", "state": "done"},
            {"type": "tool-pay", "toolCallId": "c1", "state": "input-available", "input": {"a": 1}},
            {"type": "tool-pay", "toolCallId": "c2", "state": "input-available", "input": {}},
            {**vendors, "toolCallId": "c3", "state": "output-available", "input": {}, "output": None},
            {**vendors, "toolCallId": "c4", "state": "output-error", "input": {}, "errorText": '{"code":7}'},
            {**vendors, "toolCallId": "c5", "state": "input-streaming", "rawInput": "{"},
            {"type": "source-url", "sourceId": "s1", "url": "https://example.org", "title": "A"},
            {"type": "source-document", "sourceId": "s2", "mediaType": binary, "title": "f1"},
            {"type": "file", "mediaType": binary, "url": "https://example.org/a.png"},
            {"type": "data-data_frame", "data": {"name": "t", "columns": ["a"], "rows": [[1]]}},
            {"type": "data-weather", "data": {"degrees": 21}},
        ],
    }

"""The simulator by itself: what it refuses, as the real server would, and what a response looks like."""

import json
from typing import Any

import pytest

from gateway.protocols.base import Pause
from gateway.protocols.openai_responses.simulator import ResponsesSimulator
from tests.support.play import body_of
from tests.support.simulating import asked, document, frames, head

KEY = {"Authorization": "Bearer k", "Content-Type": "application/json"}
ASK = {"model": "gpt-5", "input": "hi"}
CALL = {"type": "function_call", "call_id": "c", "name": "t", "arguments": "{}"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed-1"}
USER = {"role": "user", "content": "hi"}


def post(body: Any, headers: dict[str, str] | None = None, path: str = "/responses", method: str = "POST") -> Any:
    return asked(ResponsesSimulator(), method, path, body, headers=KEY if headers is None else headers)


def refused(body: Any, **fields: Any) -> tuple[int, str | None, str | None]:
    status, told = document(post(body, **fields))
    return status, told["error"]["code"], told["error"]["param"]


@pytest.mark.parametrize(
    ("body", "fields", "refusal"),
    [
        (ASK, {"path": "/nothing"}, (404, None, None)),
        (None, {"method": "GET"}, (405, "method_not_allowed", None)),
        (ASK, {"headers": {"Content-Type": "application/json"}}, (401, None, None)),
        (ASK, {"headers": {**KEY, "Authorization": "Bearer invalid"}}, (401, "invalid_api_key", None)),
        (ASK, {"headers": {"Authorization": "Bearer k"}}, (400, None, None)),
        (b"{", {}, (400, None, None)),
        (b"[]", {}, (400, None, None)),
        ({**ASK, "sparkle": 1}, {}, (400, "unknown_parameter", "sparkle")),
        ({**ASK, "stream": 1}, {}, (400, "invalid_type", "stream")),
        ({"model": "m"}, {}, (400, "missing_required_parameter", "input")),
        ({**ASK, "temperature": 3}, {}, (400, "invalid_value", "temperature")),
        ({**ASK, "max_output_tokens": 1}, {}, (400, "invalid_value", "max_output_tokens")),
        ({**ASK, "safety_identifier": "x" * 65}, {}, (400, "string_above_max_length", "safety_identifier")),
        ({**ASK, "previous_response_id": "r"}, {}, (404, "previous_response_id_not_found", "previous_response_id")),
        ({**ASK, "model": "unknown"}, {}, (404, "model_not_found", None)),
        ({**ASK, "tools": [{}]}, {}, (400, "missing_required_parameter", "tools[0].type")),
        ({**ASK, "tools": [{"type": "function"}]}, {}, (400, "missing_required_parameter", "tools[0].name")),
        ({**ASK, "input": [1]}, {}, (400, "invalid_value", "input[0]")),
        ({**ASK, "input": [{"type": "sparkle"}]}, {}, (400, "invalid_value", "input[0]")),
        ({**ASK, "input": [{"type": "reasoning"}]}, {}, (400, "missing_required_parameter", "input[0].id")),
        ({**ASK, "input": [CALL, USER]}, {}, (400, None, "input")),
        ({**ASK, "input": [{"type": "function_call_output", "call_id": "c", "output": ""}]}, {}, (400, None, "input")),
        ({**ASK, "input": [REASONING, USER]}, {}, (400, None, "input")),
        ({**ASK, "input": [{**REASONING, "encrypted_content": "x"}, USER]}, {}, (404, None, "input")),
        (
            {**ASK, "input": [{"type": "mcp_approval_response", "approval_request_id": "a", "approve": True}]},
            {},
            (400, None, "input"),
        ),
        ({**ASK, "input": [{"role": "critic", "content": "x"}]}, {}, (400, "invalid_value", "input[0].role")),
        ({**ASK, "input": [{"role": "user", "content": []}]}, {}, (400, "invalid_type", "input[0].content")),
        (
            {**ASK, "input": [{"role": "user", "content": [{"type": "output_text"}]}]},
            {},
            (400, "invalid_value", "input[0].content[0]"),
        ),
    ],
)
def test_what_the_real_server_refuses_is_refused(body: Any, fields: Any, refusal: tuple[int, str, str]) -> None:
    assert refused(body, **fields) == refusal


def test_a_key_of_azures_is_taken() -> None:
    script = post(ASK, headers={"api-key": "k", "Content-Type": "application/json"})
    assert head(script).status == 200


def test_a_message_of_parts_is_read() -> None:
    parts = [{"type": "input_image", "image_url": "data:"}, {"type": "input_text", "text": "to you"}]
    _, response = document(post({**ASK, "input": [{"role": "user", "content": parts}]}))
    assert "“to you”" in response["output"][0]["content"][0]["text"]


def test_nothing_at_all_is_answered_too() -> None:
    _, response = document(post({**ASK, "input": [{"role": "user", "content": " "}]}))
    assert "“nothing”" in response["output"][0]["content"][0]["text"]


def test_an_output_of_parts_is_read() -> None:
    output = {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]}
    _, response = document(post({**ASK, "input": [CALL, output]}))
    assert "input_text" in response["output"][0]["content"][0]["text"]


def test_a_stream_is_numbered_and_bracketed() -> None:
    script = post({**ASK, "stream": True})
    told = frames(body_of(script))
    assert [frame["sequence_number"] for frame in told] == list(range(len(told)))
    assert [frame["type"] for frame in told][:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert [frame["type"] for frame in told][-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert any(isinstance(step, Pause) for step in script)


def test_a_refusal_has_its_headers() -> None:
    script = post({**ASK, "input": "[play:rate-limit] hi"})
    assert head(script).headers["retry-after-ms"] == "1500"
    assert json.loads(body_of(script))["error"]["type"] == "requests"


def test_an_unknown_play_is_a_word() -> None:
    _, response = document(post({**ASK, "input": "[play:sparkle] hi"}))
    assert "“hi”" in response["output"][0]["content"][0]["text"]

"""The simulated server: what it streams, and what it refuses as the real one would."""

import json
from typing import Any

import pytest

from gateway.protocols.base import Pause, Script
from gateway.protocols.openai_chat.simulator import ChatSimulator
from tests.support.play import body_of
from tests.support.simulating import asked, document, frames, head

Json = dict[str, Any]

KEY = {"Authorization": "Bearer k"}
HI: Json = {"model": "gpt", "messages": [{"role": "user", "content": "Hi there"}]}
ANSWER = "You asked: Hi there. This is a simulated completion, and it comes in small pieces, as a real one does."


def post(body: Any = None, path: str = "/chat/completions", headers: Json | None = None, **more: Any) -> Script:
    return asked(ChatSimulator(), "POST", path, HI if body is None else body, headers=headers or KEY, **more)


def refusal(body: Any, **more: Any) -> tuple[int, str | None, str]:
    status, told = document(post(body, **more))
    return status, told["error"]["param"], told["error"]["message"]


def test_an_answer_is_streamed_word_by_word() -> None:
    script = post({**HI, "stream": True, "stream_options": {"include_usage": True}})
    assert head(script).headers == {"Content-Type": "text/event-stream; charset=utf-8", "x-request-id": "req_1"}
    body = body_of(script)
    first, *chunks, last = frames(body)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == ANSWER
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert (last["choices"], last["usage"]["prompt_tokens"]) == ([], 12)
    assert body.endswith(b"data: [DONE]\n\n")


def test_usage_comes_only_where_it_was_asked_for() -> None:
    assert all(chunk["choices"] for chunk in frames(body_of(post({**HI, "stream": True}))))


def test_an_answer_comes_as_one_document() -> None:
    status, told = document(post())
    assert (status, told["object"], told["usage"]["total_tokens"] > 12) == (200, "chat.completion", True)
    assert told["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
    ]


def test_a_deployment_is_asked_with_a_version_and_another_header() -> None:
    path = "/openai/deployments/gpt-x/chat/completions"
    body = {"messages": HI["messages"]}
    status, told = document(post(body, path, {"api-key": "k"}, query={"api-version": "2024-10-21"}))
    assert (status, told["model"]) == (200, "gpt-x")
    assert document(post(body, path, {"api-key": "k"}))[0] == 404


def test_the_last_play_that_a_message_names_is_played() -> None:
    content = [{"type": "text", "text": "[play:length] no, [play:refusal] [play:sparkle]"}, {"type": "image_url"}]
    _, told = document(post({**HI, "messages": [{"role": "user", "content": content}]}))
    assert told["choices"][0]["message"]["refusal"] == "I cannot do that."


def test_a_pause_is_played() -> None:
    script = asked(ChatSimulator("heartbeats"), "POST", "/chat/completions", {**HI, "stream": True}, headers=KEY)
    assert [step for step in script if isinstance(step, Pause)] == [Pause(0.1)]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/chat/completions", 405), ("POST", "/completions", 404)]
)
def test_other_requests_are_not_known(method: str, path: str, status: int) -> None:
    assert document(asked(ChatSimulator(), method, path, HI, headers=KEY))[0] == status


@pytest.mark.parametrize("headers", [{"x": "y"}, {"Authorization": "Bearer "}, {"api-key": "k"}])
def test_a_key_is_needed(headers: Json) -> None:
    assert document(post(headers=headers))[0] == 401


CALL = {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f"}}]}
RESULT = {"role": "tool", "tool_call_id": "a", "content": "1"}


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, "model"),
        ({"model": 7}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["Hi"]}, "messages.[0].role"),
        ({"messages": [{"role": "robot", "content": "Hi"}]}, "messages.[0].role"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages.[0].content"),
        ({"messages": [RESULT]}, "messages.[0].role"),
        ({"messages": [CALL]}, "messages"),
        ({"messages": [CALL, *HI["messages"]]}, "messages.[1]"),
        ({"messages": [CALL, RESULT, RESULT]}, "messages.[2].role"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {}}, "stream_options"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"tools": [{"type": "robot"}]}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
    ],
)
def test_what_the_real_server_refuses_is_refused(change: Json, param: str) -> None:
    status, named, _ = refusal({**HI, **change})
    assert (status, named) == (400, param)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    assert refusal(body)[0] == 400


def test_a_refusal_keeps_its_headers() -> None:
    script = asked(ChatSimulator("rate-limited"), "POST", "/chat/completions", HI, headers=KEY)
    assert head(script).headers["retry-after-ms"] == "1500"
    assert json.loads(body_of(script))["error"]["code"] == "rate_limit_exceeded"

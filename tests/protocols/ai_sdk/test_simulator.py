"""The simulated application: what it plays, and what it refuses."""

from typing import Any

import pytest

from gateway.protocols.ai_sdk.plays import PLAYS, REFUSALS
from gateway.protocols.ai_sdk.simulator import AiSdkSimulator
from gateway.protocols.base import Pause
from tests.support.play import body_of
from tests.support.simulating import asked, document, frames, head

USER = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi there"}]}
TOOL = {"type": "tool-pay", "toolCallId": "c1", "state": "output-available", "input": {}, "output": 1}


def body(*messages: Any) -> dict[str, Any]:
    return {"id": "chat", "messages": list(messages), "trigger": "submit-message"}


def post(*messages: Any, simulator: AiSdkSimulator | None = None, **headers: str) -> Any:
    return asked(simulator or AiSdkSimulator(), "POST", "/api/chat", body(*messages), headers=headers)


def said(text: str) -> dict[str, Any]:
    return {**USER, "parts": [{"type": "text", "text": text}]}


def answer(*parts: Any) -> dict[str, Any]:
    return {"id": "a1", "role": "assistant", "parts": list(parts)}


def test_the_usual_answer_comes_word_by_word() -> None:
    script = post(USER)
    told = frames(body_of(script))
    assert head(script).headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert told[:3] == [
        {"type": "start", "messageId": "msg_0", "messageMetadata": {"model": "simulated-1"}},
        {"type": "start-step"},
        {"type": "text-start", "id": "0"},
    ]
    assert "".join(chunk.get("delta", "") for chunk in told).startswith("You asked: “Hi there”.")
    assert told[-1]["finishReason"] == "stop"
    assert body_of(script).endswith(b"data: [DONE]\n\n")
    assert any(isinstance(step, Pause) for step in script)


def test_nothing_is_repeated_of_nothing() -> None:
    assert "“nothing”" in body_of(post(said(" "))).decode()


@pytest.mark.parametrize("name", PLAYS)
def test_each_play_is_chosen_by_its_name(name: str) -> None:
    in_message = post(said(f"[play:{name}] Hi"))
    assert body_of(in_message) == body_of(post(USER, simulator=AiSdkSimulator(name)))
    assert head(in_message).status == 200


@pytest.mark.parametrize("name", REFUSALS)
def test_each_refusal_is_chosen_by_its_name(name: str) -> None:
    script = post(said(f"[play:{name}] Hi"))
    assert head(script).status == REFUSALS[name].status
    assert AiSdkSimulator.plays[name] == f"refused: {REFUSALS[name].status}"


def test_calls_and_messages_are_counted() -> None:
    simulator = AiSdkSimulator("client-tools")
    told = [frames(body_of(post(USER, simulator=simulator))) for _ in range(2)]
    assert [[c["toolCallId"] for c in chunks if c["type"] == "tool-input-available"] for chunks in told] == [
        ["call_1", "call_2"],
        ["call_3", "call_4"],
    ]
    assert [chunks[0]["messageId"] for chunks in told] == ["msg_0", "msg_1"]


def test_an_answer_goes_on_with_what_the_tools_gave() -> None:
    failed = {**TOOL, "toolCallId": "c2", "state": "output-error", "errorText": "no"}
    told = frames(body_of(post(USER, answer({**TOOL, "output": 7}, {"type": "step-start"}, TOOL, failed))))
    assert told[0]["messageId"] == "a1"
    assert "".join(chunk.get("delta", "") for chunk in told) == 'The tools say 1, "no".'


@pytest.mark.parametrize(
    ("approved", "chunk", "text"),
    [
        (True, {"type": "tool-output-available", "toolCallId": "c1", "output": "done"}, "It is done."),
        (False, {"type": "tool-output-denied", "toolCallId": "c1"}, "As you like."),
    ],
)
def test_an_answer_goes_on_with_what_the_person_said(*, approved: bool, chunk: Any, text: str) -> None:
    part = {**TOOL, "state": "approval-responded", "approval": {"id": "a", "approved": approved}}
    told = frames(body_of(post(USER, answer(part))))
    assert (told[1], told[4]["delta"]) == (chunk, text)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "", {}, 405),
        ("POST", "/unknown/chat", {}, 404),
        ("POST", "", {"Authorization": "Bearer invalid"}, 401),
        ("POST", "", {"Cookie": "session=expired"}, 401),
        ("POST", "", {"Authorization": "Bearer k", "Cookie": "session=s"}, 200),
    ],
)
def test_who_asks_and_where_is_looked_at_first(method: str, path: str, headers: dict[str, str], status: int) -> None:
    script = asked(AiSdkSimulator(), method, path, body(USER), headers=headers)
    assert head(script).status == status


@pytest.mark.parametrize(
    ("posted", "problem"),
    [
        (b"{", "the body is no JSON"),
        ([1], "id"),
        ({"id": ""}, "id"),
        ({"id": "chat"}, "messages"),
        (body(), "messages"),
        (body(7), "message.id"),
        (body({"role": "user"}), "message.id"),
        (body({**USER, "role": "tool"}), "message.role"),
        (body({**USER, "parts": []}), "message.parts"),
        (body(USER, USER), "two messages of one id"),
        (body({**USER, "role": "system"}), "the last message asks nothing"),
        (body(USER, answer({"type": "text", "text": "x"})), "the last message asks nothing"),
        (body(answer(7)), "part.type"),
        (body(answer({"type": "sparkle"})), "a part sparkle"),
        (body(answer({"type": "text", "text": 7})), "text.text"),
        (body(answer({"type": "reasoning"})), "reasoning.text"),
        (body(answer({"type": "file", "url": "x"})), "file.mediaType"),
        (body(answer({"type": "data-x"})), "data-x.data"),
        (body(answer({**TOOL, "type": "tool-fly"})), "no tool schema for tool-fly"),
        (body(answer({**TOOL, "type": "dynamic-tool"})), "dynamic-tool.toolName"),
        (body(answer({**TOOL, "state": "input-available"})), "a tool call without a result"),
        (body(answer({**TOOL, "state": "output-error"})), "tool-pay.errorText"),
        (body(answer({**TOOL, "state": "approval-responded", "approval": {"id": "a"}})), "tool-pay.approval"),
        (
            body(answer({**TOOL, "state": "output-denied", "approval": {"id": "a", "approved": True}})),
            "tool-pay.approval",
        ),
    ],
)
def test_what_the_package_would_refuse_is_refused(posted: Any, problem: str) -> None:
    script = asked(AiSdkSimulator(), "POST", "", posted, headers={})
    assert document(script) == (400, {"error": f"Type validation failed: {problem}"})


def test_parts_of_each_kind_are_taken() -> None:
    kinds = [
        {"type": "reasoning", "text": "Hm"},
        {"type": "file", "mediaType": "image/png", "url": "https://example.org/a.png"},
        {"type": "source-url", "sourceId": "s", "url": "https://example.org"},
        {"type": "source-document", "sourceId": "s", "mediaType": "text/plain", "title": "A"},
        {"type": "data-x", "data": None},
        {**TOOL, "state": "output-denied", "approval": {"id": "a", "approved": False}},
        {**TOOL, "type": "dynamic-tool", "toolName": "anything"},
    ]
    assert head(post(answer(*kinds), USER)).status == 200

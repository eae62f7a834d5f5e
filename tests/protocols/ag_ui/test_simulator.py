"""AG-UI's simulator, asked by hand: what it takes, and what it refuses."""

from typing import Any

import pytest

from gateway.protocols.ag_ui.simulator import AgUiSimulator
from gateway.protocols.base import Head, Pause
from tests.support.play import body_of
from tests.support.simulating import asked, document, frames, head

HELLO = {"id": "u1", "role": "user", "content": "hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLED = {"id": "a1", "role": "assistant", "toolCalls": [CALL]}


def run(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"threadId": "t1", "runId": "r1", "messages": list(messages), **fields}


def post(body: Any, play: str = "", headers: dict[str, str] | None = None) -> Any:
    return asked(AgUiSimulator(play), "POST", "/", body, headers=headers or {})


def text(script: Any) -> str:
    return "".join(frame.get("delta", "") for frame in frames(body_of(script)))


def test_an_answer_repeats_what_was_asked() -> None:
    script = post(run(HELLO))
    assert head(script).headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert text(script).startswith("You asked: hello This is")
    types = [frame["type"] for frame in frames(body_of(script))]
    assert (types[0], types[-1]) == ("RUN_STARTED", "RUN_FINISHED")


def test_a_message_chooses_its_play_and_the_simulator_has_a_usual_one() -> None:
    parts = [{"type": "text", "text": "[play:text] hi"}, {"type": "image", "source": {"type": "url", "value": "u"}}]
    assert text(post(run({"id": "u", "role": "user", "content": parts}))) == "Hello there"
    assert text(post(run(HELLO), "text")) == "Hello there"
    assert text(post(run({**HELLO, "content": "[play:nope] x"}))).startswith("You asked: x")


def test_a_slow_run_pauses() -> None:
    assert sum(isinstance(step, Pause) for step in post(run(HELLO), "slow")) == 6


def test_tools_of_the_client_are_called_by_their_names() -> None:
    tools = [{"name": "weather", "description": ""}, {"name": "map", "description": ""}]
    script = post(run(HELLO, tools=tools), "parallel-tools")
    names = [frame.get("toolCallName") for frame in frames(body_of(script)) if frame["type"] == "TOOL_CALL_START"]
    assert names == ["weather", "map"]


def test_what_tools_say_is_repeated() -> None:
    results = [{"id": f"r{n}", "role": "tool", "toolCallId": "c1", "content": said} for n, said in enumerate("ab")]
    assert text(post(run(HELLO, CALLED, *results))) == "The tools say a, b."
    assert text(post(run(CALLED, results[0]))) == "The tools say a."
    assert text(post(run(results[0]))) == ""
    assert text(post(run({**results[0], "toolCallId": "c2"}))) == ""


def resume(status: str, payload: Any = None, interrupt: str = "int-c1") -> dict[str, Any]:
    return {"interruptId": interrupt, "status": status, "payload": payload}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (resume("resolved", {"approved": True}), "It is done."),
        (resume("resolved", {"approved": 1}), "I left it."),
        (resume("cancelled"), "I left it."),
        (resume("resolved", "Kyiv", "int-q"), 'You said "Kyiv".'),
        (resume("resolved", None, "int-c9"), ""),
    ],
)
def test_an_interrupt_is_resumed(entry: dict[str, Any], said: str) -> None:
    assert text(post(run(HELLO, CALLED, resume=[entry]))) == said


def test_an_empty_history_is_an_error_of_the_run() -> None:
    assert frames(body_of(post(run())))[-1]["type"] == "RUN_ERROR"


MESSAGES: list[Any] = [
    {"id": "s", "role": "system", "content": "x"},
    {"id": "d", "role": "developer", "content": "x"},
    {"id": "r", "role": "reasoning", "content": "x"},
    {"id": "a", "role": "activity", "content": {}},
    {"id": "a", "role": "assistant", "content": None},
    {"id": "t", "role": "tool", "toolCallId": "c", "content": [{"type": "text", "text": ""}]},
]


def test_every_kind_of_message_is_taken() -> None:
    data = {"type": "data", "value": "aGk=", "mimeType": "a/b"}
    user = {"id": "u", "role": "user", "content": [{"type": "document", "source": data}]}
    assert head(post(run(*MESSAGES, user))) == head(post(run(HELLO)))


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        [],
        {},
        {"thread_id": "t", "run_id": "r", "messages": []},
        {"threadId": "t", "runId": 1, "messages": []},
        {"threadId": "t", "runId": "r"},
        run(7),
        run({"role": "user", "content": "x"}),
        run({"id": "u", "role": "oracle", "content": "x"}),
        run({"id": "u", "role": "activity", "content": "x"}),
        run({"id": "u", "role": "user", "content": None}),
        run({"id": "u", "role": "user", "content": [7]}),
        run({"id": "u", "role": "user", "content": [{"type": "binary", "mimeType": "a/b"}]}),
        run({"id": "u", "role": "user", "content": [{"type": "image", "source": 7}]}),
        run({"id": "u", "role": "user", "content": [{"type": "image", "source": {"type": "disk"}}]}),
        run({"id": "u", "role": "user", "content": [{"type": "image", "source": {"type": "data", "value": "a"}}]}),
        run({"id": "t", "role": "tool", "content": "x"}),
        run({"id": "s", "role": "system", "content": []}),
        run({"id": "a", "role": "assistant", "toolCalls": [{"id": "c"}]}),
        run(HELLO, tools=[{"name": "f"}]),
        run(HELLO, resume=[{"interruptId": "i", "status": "maybe"}]),
    ],
)
def test_a_body_that_does_not_fit_is_refused_with_a_list(body: Any) -> None:
    status, errors = document(post(body))
    assert status == 422
    assert errors


def test_refusals_are_played_too() -> None:
    assert head(post(run(HELLO), "rate-limited")) == Head(429, {"Content-Type": "application/json", "Retry-After": "3"})
    assert document(post(run(HELLO), headers={"Authorization": "Bearer invalid"}))[0] == 401
    assert document(asked(AgUiSimulator(), "GET", "/", headers={}))[0] == 405

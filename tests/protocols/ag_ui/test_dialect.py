"""AG-UI's dialect: what a client's request asks, and how it is refused."""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from gateway.canonical.errors import CODES, GatewayError
from gateway.canonical.events import MessageCompleted
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputResponsePart,
    Message,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import HistoryMessage, Tool
from gateway.protocols.ag_ui.dialect import AgUiDialect
from gateway.protocols.ag_ui.translator import AgUiOptions
from gateway.protocols.base import ClientRequest, Exchange, Thread

DIALECT = AgUiDialect()
REQUESTS = Path(__file__).parent / "requests"
HELLO = {"id": "u1", "role": "user", "content": "hello"}


def request(body: Any, **headers: str) -> ClientRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"Content-Type": "application/json", **headers}
    return ClientRequest(CIMultiDict(fields), raw, {"route": "support"})


def run(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"threadId": "t1", "runId": "r1", "protocolVersion": "1.0", "messages": list(messages), **fields}


def read(*messages: Any, **fields: Any) -> Exchange:
    return DIALECT.read(request(run(*messages, **fields)))


def refused(body: Any) -> tuple[str, str]:
    with pytest.raises(GatewayError) as caught:
        DIALECT.read(request(body))
    return caught.value.code, caught.value.details["path"]


def function(call: str, name: str = "f", arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


def tool(call: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"id": f"r-{call}", "role": "tool", "toolCallId": call, "content": content, **more}


NEXT = {"id": "u9", "role": "user", "content": "next"}


def history(*messages: Any, **fields: Any) -> list[HistoryMessage]:
    return read(HELLO, *messages, NEXT, **fields).request.history[1:]


# --- what is asked


def test_a_message_is_read() -> None:
    exchange = read(HELLO)
    assert exchange.thread == Thread("t1", is_whole=True)
    assert exchange.follows is None
    assert (exchange.request.route, exchange.request.stream) == ("support", True)
    assert (exchange.request.content, exchange.request.history) == ([TextPart("hello")], [])
    assert exchange.request.vendor_options == {}


def test_tools_context_state_and_properties_are_read() -> None:
    asked = read(
        {"id": "s", "role": "system", "content": "Be brief."},
        {"id": "d", "role": "developer", "content": "Be kind."},
        HELLO,
        tools=[{"name": "f", "description": "does", "parameters": {"a": 1}}, {"name": "g", "description": ""}],
        context=[{"description": "The page", "value": "/home"}],
        state={"n": 1},
        forwardedProps={"p": 1},
        parentRunId="r0",
    ).request
    assert asked.instructions == "Be brief.\n\nBe kind.\n\nThe page:\n/home"
    assert asked.tools == [Tool("f", "does", {"a": 1}), Tool("g")]
    options = asked.vendor_options["ag_ui"]
    assert options["state"] == {"n": 1}
    assert options["forwarded_props"] == {"p": 1}
    assert msgspec.convert(options, AgUiOptions).context[0].value == "/home"


def test_properties_that_are_no_object_and_an_empty_state_are_ignored() -> None:
    assert read(HELLO, forwardedProps=7, state={}, tools=None, context=None).request.vendor_options == {}


def test_every_part_is_read() -> None:
    def part(kind: str, source: dict[str, Any], **more: Any) -> dict[str, Any]:
        return {"type": kind, "source": source, **more}

    data = {"type": "data", "value": "aGk=", "mimeType": "image/png"}
    binary = {"type": "binary", "mimeType": "image/png"}
    parts = [
        {"type": "text", "text": ""},
        {"type": "text", "text": "see"},
        part("image", data, metadata={"filename": "b.png"}),
        part("image", {"type": "url", "value": "https://a.test/b"}, metadata={"filename": 7}),
        part("image", {"type": "url", "value": "data:image/gif;base64,aGk="}, metadata="x"),
        part("audio", {"type": "url", "value": "https://a.test/c", "mimeType": "audio/mpeg"}),
        part("video", {"type": "file", "value": "f1", "provider": "p"}),
        part("document", {"type": "data", "value": "aGk=", "mimeType": ""}),
        {**binary, "url": "https://a.test/d"},
        {**binary, "data": "aGk=", "filename": "e.png"},
        {"type": "binary", "mimeType": "text/csv", "id": "f2"},
    ]
    assert read({**HELLO, "content": parts}).request.content == [
        TextPart("see"),
        ImagePart(data="aGk=", media_type="image/png", name="b.png"),
        ImagePart(url="https://a.test/b"),
        ImagePart(data="aGk=", media_type="image/gif"),
        FilePart(url="https://a.test/c", media_type="audio/mpeg"),
        FilePart(file_id="f1"),
        FilePart(data="aGk="),
        ImagePart(url="https://a.test/d", media_type="image/png"),
        ImagePart(data="aGk=", media_type="image/png", name="e.png"),
        FilePart(file_id="f2", media_type="text/csv"),
    ]


def test_results_of_the_clients_tools_are_the_turn() -> None:
    called = {"id": "a1", "role": "assistant", "toolCalls": [function("c1"), function("c2"), function("c3")]}
    image = {"type": "image", "source": {"type": "url", "value": "u"}}
    exchange = read(
        HELLO,
        called,
        tool("c1", '{"a":1}'),
        tool("c2", "", error="boom"),
        tool("c3", [{"type": "text", "text": "a"}, image]),
        tools=[{"name": "f", "description": ""}],
    )
    assert exchange.request.content == [
        ToolResultPart("c1", '{"a":1}'),
        ToolResultPart("c2", "boom", is_error=True),
        ToolResultPart("c3", [{"type": "text", "text": "a"}, image]),
    ]


# --- what was said


def test_what_our_encoder_wrote_is_one_answer_again() -> None:
    sent = msgspec.json.decode((REQUESTS / "rich.json").read_bytes())
    asked = DIALECT.read(request(sent)).request
    assert asked.history == [
        HistoryMessage("user", [TextPart("hi")]),
        HistoryMessage(
            "assistant",
            [
                ReasoningPart("Hmm", signature="sealed"),
                ReasoningPart("", signature="only"),
                TextPart("Hello world", signature="st"),
                ToolCallPart("v1", "search", {"q": 1}, executor="vendor"),
                ToolResultPart("v1", '{"hits":2}'),
            ],
        ),
    ]
    assert asked.content == [TextPart("next")]


def test_results_stand_behind_the_whole_answer_that_asked_for_them() -> None:
    sent = msgspec.json.decode((REQUESTS / "calls.json").read_bytes())
    *_, answer, after, _ = sent["messages"]
    sent["messages"] = [HELLO, answer, tool("c1", "x"), after]  # as applications put a result behind its call
    asked = DIALECT.read(request(sent)).request
    assert asked.history[1] == HistoryMessage(
        "assistant",
        [
            TextPart("Let me."),
            ToolCallPart("c1", "weather", {"a": 1}, executor="client", signature="csig"),
            ToolCallPart("c2", "map", {}),
            ToolCallPart("c3", "now", {}, executor="client"),
            TextPart("After."),
        ],
    )
    assert asked.content == [ToolResultPart("c1", "x")]


def test_a_call_without_a_mark_is_the_clients_unless_it_has_a_result_and_no_declaration() -> None:
    called = {"id": "a1", "role": "assistant", "content": "", "toolCalls": [function("c1"), function("c2", "g")]}
    told = history(called, tool("c1", "x"), tool("c2", "y"), tools=[{"name": "g", "description": ""}])
    assert told == [
        HistoryMessage(
            "assistant",
            [
                ToolCallPart("c1", "f", {}, executor="vendor"),
                ToolCallPart("c2", "g", {}, executor="client"),
                ToolResultPart("c1", "x"),
            ],
        )
    ]
    assert read(
        HELLO, called, tool("c1", "x"), tool("c2", "y"), tools=[{"name": "g", "description": ""}]
    ).request.content == [ToolResultPart("c2", "y")]


def test_a_call_of_unknown_executor_is_answered_by_whoever_marked_the_result() -> None:
    unknown = {"gateway": {"executor": "unknown"}}
    called = {"id": "a1", "role": "assistant", "toolCalls": [function(c, metadata=unknown) for c in ("c1", "c2", "c3")]}
    told = history(
        called,
        tool("c1", "x", metadata={"gateway": {"is_error": True}}),
        tool("c2", "y"),
        tool("c3", "z", metadata={"gateway": {"is_error": True, "is_run": False}}),
    )
    assert told[0].parts[3:] == [ToolResultPart("c1", "x", is_error=True)]
    assert [message.parts for message in told[1:]] == []
    content = read(HELLO, called, tool("c2", "y")).request.content
    assert content == [ToolResultPart("c2", "y")]


def test_arguments_that_are_no_object_stay_as_they_came() -> None:
    called = {"id": "a1", "role": "assistant", "toolCalls": [function("c1", arguments='{"a"')]}
    assert history(called)[0].parts == [
        ToolCallPart("c1", "f", {}, status="unreadable", executor="client", raw_arguments='{"a"')
    ]


def test_messages_of_others_are_answers_of_their_own() -> None:
    told = history(
        {"id": "a/1", "role": "assistant", "content": "one"},
        {"id": "u2", "role": "user", "content": "two"},
        {"id": "b-1", "role": "assistant", "content": "three", "metadata": {"gateway": 7}},
        {"id": "x", "role": "activity", "activityType": "PLAN", "content": {}},
    )
    assert [(message.role, message.parts) for message in told] == [
        ("assistant", [TextPart("one")]),
        ("user", [TextPart("two")]),
        ("assistant", [TextPart("three")]),
    ]


# --- interrupts


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ({"status": "resolved"}, InputResponsePart("i", approved=True)),
        ({"status": "cancelled"}, InputResponsePart("i", approved=False)),
        ({"status": "resolved", "payload": "Kyiv"}, InputResponsePart("i", approved=True, text="Kyiv")),
        ({"status": "resolved", "payload": {"a": 1}}, InputResponsePart("i", approved=True, values={"a": 1})),
        ({"status": "resolved", "payload": {"approved": False}}, InputResponsePart("i", approved=False)),
        (
            {"status": "resolved", "payload": {"approved": True, "n": 1}},
            InputResponsePart("i", approved=True, values={"n": 1}),
        ),
        ({"status": "cancelled", "payload": {"approved": True}}, InputResponsePart("i", approved=False)),
        ({"status": "resolved", "payload": [1]}, InputResponsePart("i", approved=True, values={"value": [1]})),
    ],
)
def test_a_resumed_interrupt_is_an_answer(entry: dict[str, Any], part: InputResponsePart) -> None:
    called = {"id": "m/calls", "role": "assistant", "toolCalls": [function("c1")]}
    asked = read(HELLO, called, resume=[{"interruptId": "i", **entry}]).request
    assert (asked.content, len(asked.history)) == ([part], 2)


def test_what_was_said_before_an_interrupt_is_said_no_more_and_tools_results_go_along() -> None:
    resume = [{"interruptId": "i", "status": "resolved"}]
    answer = InputResponsePart("i", approved=True)
    asked = read(HELLO, resume=resume).request
    assert (asked.content, [message.role for message in asked.history]) == ([answer], ["user"])
    called = {"id": "m/calls", "role": "assistant", "toolCalls": [function("c1")]}
    result = {"id": "t1", "role": "tool", "toolCallId": "c1", "content": "1"}
    asked = read(HELLO, called, result, resume=resume, tools=[{"name": "f", "description": ""}]).request
    assert asked.content == [ToolResultPart("c1", "1"), answer]


@pytest.mark.parametrize(
    "first",
    [
        {"role": "assistant", "content": "Done."},
        {"role": "reasoning", "content": "Done."},
        {"role": "assistant", "toolCalls": [function("c2")]},
    ],
)
def test_an_answer_tells_what_the_client_had_answered_before_it(first: dict[str, Any]) -> None:
    mark = {"gateway": {"answers": [{"type": "input_response", "request_id": "i", "approved": True}]}}
    if "toolCalls" in first:
        first = {**first, "toolCalls": [function("c2", metadata=mark)]}
    else:
        first = {**first, "metadata": mark}
    called = {"id": "m1/calls", "role": "assistant", "toolCalls": [function("c1")]}
    told = history(called, {"id": "m2/0", **first})
    assert [message.role for message in told] == ["assistant", "user", "assistant"]
    assert told[1].parts == [InputResponsePart("i", approved=True)]


def test_a_mark_that_cannot_be_read_is_none() -> None:
    first = {"id": "m2/0", "role": "assistant", "content": "Done.", "metadata": {"gateway": {"answers": [7]}}}
    assert [message.role for message in history(first)] == ["assistant"]


@pytest.mark.parametrize("mark", [7, [], {"executor": ["client"]}, {"executor": {}, "answers": 7}])
def test_a_mark_of_any_shape_that_is_none_of_ours_is_passed_by(mark: Any) -> None:
    call = function("c1", metadata={"gateway": mark})
    message = {"id": "a1", "role": "assistant", "toolCalls": [call]}
    history = read(HELLO, message, HELLO).request.history
    assert history[1].parts == [ToolCallPart("c1", "f", {}, executor="client")]


def test_a_history_of_any_length_is_read_in_linear_time() -> None:
    count = 8000
    calls = [{"id": f"c{n}", "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in range(count)]
    results = [{"id": f"r{n}", "role": "tool", "toolCallId": f"c{n}", "content": "x"} for n in reversed(range(count))]
    words = [{"id": f"u{n}", "role": "user", "content": "a"} for n in range(2 * count)]
    began = time.process_time()
    read = DIALECT.read(request(run({"id": "a", "role": "assistant", "toolCalls": calls}, *results, *words))).request
    assert time.process_time() - began < 4
    assert (len(read.history[0].parts), len(read.content or ())) == (2 * count, 2 * count)


# --- refusals


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"{", "$"),
        ([], "$"),
        ({}, "$.threadId"),
        ({"thread_id": "t", "run_id": "r", "messages": []}, "$.threadId"),
        ({**run(HELLO), "threadId": ""}, "$.threadId"),
        ({**run(HELLO), "runId": "r" * 513}, "$.runId"),
        (run(), "$.messages"),
        (run({"id": "u", "role": "user", "content": ""}), "$.messages"),
        (run(HELLO, {"id": "a", "role": "assistant", "content": "Hi"}), "$.messages"),
        (run({"id": "u", "role": "oracle", "content": ""}), "$.messages[0].role"),
        (run({"id": "u", "role": "user", "content": 7}), "$.messages[0].content"),
        (run({"id": "u", "role": "user", "content": [{"type": "image"}]}), "$.messages[0].content[0].source"),
        (run(HELLO, tools=[{"name": "", "description": ""}]), "$.tools[0].name"),
        (run(HELLO, resume=[{"interruptId": "i", "status": "maybe"}]), "$.resume[0].status"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(body: Any, path: str) -> None:
    assert refused(body) == ("bad_request", path)


def test_another_media_type_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.read(request(run(HELLO), **{"Content-Type": "text/plain"}))
    assert caught.value.code == "unsupported_media_type"


# --- the rest


def test_the_key_is_a_bearers() -> None:
    assert DIALECT.credential(request(b"", Authorization="Bearer k")) == "k"
    assert DIALECT.credential(request(b"")) is None


def test_the_one_route_is_a_run() -> None:
    assert [(route.method, route.path, route.operation) for route in DIALECT.routes] == [
        ("POST", "/ag-ui/{route}", "message")
    ]
    assert (DIALECT.content_type, DIALECT.can_discard) == ("text/event-stream", False)
    assert DIALECT.headers("req_1") == {"X-Request-Id": "req_1"}
    with pytest.raises(GatewayError):
        DIALECT.read_ask("list_models", request(b""))


@pytest.mark.parametrize("code", CODES)
def test_an_error_is_short_and_readable(code: Any) -> None:
    answer = DIALECT.error(GatewayError(code, "in our words", vendor_message="sk-secret", retry_after=1.5), "req_1")
    assert json.loads(answer.body) == {"code": code, "message": "in our words", "request_id": "req_1"}
    assert answer.status == CODES[code].status
    assert answer.headers["Retry-After"] == "2"
    assert ("WWW-Authenticate" in answer.headers) == (code == "unauthorized")


def test_an_unknown_route_is_an_unknown_agent() -> None:
    error = GatewayError("not_found", "no such route", details={"path": "$.route"})
    assert json.loads(DIALECT.error(error, "req_1").body)["message"] == "there is no agent of that name"


def test_a_stored_answer_can_be_told_as_one_message() -> None:
    parts: list[Part] = [
        TextPart("Hi"),
        ToolCallPart("c", "f", {"a": 1}),
        ToolCallPart("d", "f", {}, raw_arguments="{"),
    ]
    message = Message("m", "c", "assistant", "completed", parts, datetime(2026, 11, 2, tzinfo=UTC))
    document = read(HELLO).document(message)
    assert json.loads(document) == {
        "role": "assistant",
        "id": "m",
        "content": "Hi",
        "toolCalls": [function("c", arguments='{"a":1}'), function("d", arguments="{")],
    }
    assert json.loads(DIALECT.write_result(message))["id"] == "m"


@pytest.mark.parametrize(
    ("version", "takes_outcomes"), [(None, False), ("0.1.19", False), ("1.0", True), ("2.0", True), ("next", True)]
)
def test_only_a_client_that_names_its_version_is_told_the_new_outcomes(
    version: str | None,
    takes_outcomes: bool,  # noqa: FBT001
) -> None:
    told = read(HELLO, protocolVersion=version).encoder().event(1, MessageCompleted("stop"))
    assert (b"outcome" in told) == takes_outcomes

"""What goes out: the one request of a turn, and every kind of part in its input."""

import hashlib
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import AskPart, HistoryMessage, NamedTool, Parameters, ResponseFormat, Tool
from gateway.framing.lines import JsonDecoder
from gateway.framing.sse import SseDecoder
from gateway.protocols.openai_responses.target import Options, Target
from gateway.protocols.openai_responses.translator import ResponsesTranslator
from tests.support.translating import ask, exchange, refused, sign_in

HERE = Path(__file__).parent
APPROVAL = InputPart(
    "mcpr_1", "approval", "Allow disk?", fields={"server_label": "disk", "name": "rm", "arguments": {"path": "/a"}}
)


def make(**target: Any) -> ResponsesTranslator:
    return ResponsesTranslator(Target(**{"model": "gpt-5", **target}), Blocks(Numbering()))


def body(*parts: AskPart, target: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    requests, _ = exchange(make(**target or {}).requests(ask(*parts, **fields)), b"")
    [request] = requests
    assert isinstance(request.body, bytes)
    sent: dict[str, Any] = json.loads(request.body)
    return sent


def sent(*parts: AskPart, missed: list[HistoryMessage] | None = None, **fields: Any) -> list[Any]:
    items: list[Any] = body(*parts, missed=missed or [], **fields)["input"]
    return items


def after(*parts: Part) -> list[HistoryMessage]:
    return [HistoryMessage("user", [TextPart("Go")]), HistoryMessage("assistant", list(parts))]


GO = {"role": "user", "content": "Go"}


def test_a_turn_is_one_request() -> None:
    [request], _ = exchange(make().requests(ask(TextPart("Hi"))), b"")
    assert (request.method, request.path, request.effect, request.framing) == (
        "POST",
        "/responses",
        "repeatable",
        SseDecoder,
    )
    assert request.headers == {"Content-Type": "application/json", "Accept": "text/event-stream"}
    assert body(TextPart("Hi")) == {
        "model": "gpt-5",
        "input": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
    }


def test_what_is_not_streamed_can_be_asked_for_as_a_document() -> None:
    [request], _ = exchange(make(upstream_stream=False).requests(ask(TextPart("Hi"), stream=False)), b"")
    assert (request.headers["Accept"], request.framing) == ("application/json", JsonDecoder)
    assert isinstance(request.body, bytes)
    assert json.loads(request.body)["stream"] is False
    assert body(TextPart("Hi"), stream=False)["stream"] is True


@pytest.mark.parametrize(
    ("server", "headers"),
    [("openai", {"Authorization": "Bearer k"}), ("azure", {"api-key": "k"})],
)
def test_a_key_goes_where_its_server_wants_it(server: str, headers: dict[str, str]) -> None:
    assert sign_in(make(server=server), api_key="k").headers == headers
    assert sign_in(make(server=server)).headers == {}


@pytest.mark.parametrize("name", ["function-call", "web-search-citations"])
def test_a_recorded_request_is_what_we_send_but_for_what_is_kept(name: str) -> None:
    recorded = json.loads((HERE / "requests" / f"{name}.request.json").read_bytes())["body"]
    functions = [tool for tool in recorded["tools"] if tool["type"] == "function"]
    ours = body(
        TextPart(recorded["input"][0]["content"]),
        target={"model": recorded["model"]},
        instructions=recorded["instructions"],
        tools=[Tool(tool["name"], tool["description"], tool["parameters"], tool["strict"]) for tool in functions],
        tool_choice="auto",
        options=Options(tools=[tool for tool in recorded["tools"] if tool["type"] != "function"]),
    )
    for field in ("model", "input", "stream", "tools", "tool_choice"):
        assert ours[field] == recorded[field]
    assert ours.get("instructions", "") == recorded["instructions"]


def test_everything_that_can_be_asked_has_its_field() -> None:
    assert body(
        TextPart("Hi"),
        target={"tools": [{"type": "web_search"}], "reasoning_summary": "auto", "max_output_tokens": 50},
        instructions="Be brief.",
        tools=[Tool("time"), Tool("weather", "of a city", {"type": "object"}, strict=True)],
        tool_choice="required",
        parameters=Parameters(
            temperature=0.5,
            top_p=0.9,
            seed=1,
            response_format=ResponseFormat("json_schema", "city", "a city", {"type": "object"}, strict=True),
            reasoning_effort="low",
        ),
        user_id="ann",
        metadata={"a": "b", "c": [1], "long": "x" * 600, "n" * 65: "y"},
        options=Options(
            include=["web_search_call.results"],
            tools=[{"type": "code_interpreter"}],
            verbosity="low",
            parallel_tool_calls=False,
            max_tool_calls=2,
            top_logprobs=0,
            truncation="auto",
            prompt={"id": "p"},
            prompt_cache_key="k",
            prompt_cache_retention="24h",
            service_tier="flex",
            context_management=[{"type": "compaction"}],
            moderation={"model": "omni"},
        ),
    ) == {
        "model": "gpt-5",
        "input": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content", "web_search_call.results"],
        "instructions": "Be brief.",
        "tools": [
            {"type": "function", "name": "time", "parameters": {"type": "object", "properties": {}}, "strict": False},
            {
                "type": "function",
                "name": "weather",
                "description": "of a city",
                "parameters": {"type": "object"},
                "strict": True,
            },
            {"type": "web_search"},
            {"type": "code_interpreter"},
        ],
        "tool_choice": "required",
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 50,
        "text": {
            "format": {
                "type": "json_schema",
                "name": "city",
                "description": "a city",
                "schema": {"type": "object"},
                "strict": True,
            },
            "verbosity": "low",
        },
        "reasoning": {"effort": "low", "summary": "auto"},
        "metadata": {"a": "b", "c": "[1]"},
        "safety_identifier": "ann",
        "parallel_tool_calls": False,
        "max_tool_calls": 2,
        "top_logprobs": 0,
        "truncation": "auto",
        "prompt": {"id": "p"},
        "prompt_cache_key": "k",
        "prompt_cache_retention": "24h",
        "service_tier": "flex",
        "context_management": [{"type": "compaction"}],
        "moderation": {"model": "omni"},
    }


def test_a_choice_among_tools_is_told() -> None:
    chosen = {"type": "function", "name": "time"}
    assert body(TextPart("Hi"), tool_choice=NamedTool("time"))["tool_choice"] == chosen
    assert body(TextPart("Hi"), options=Options(tool_choice={"type": "web_search"}))["tool_choice"] == {
        "type": "web_search"
    }


@pytest.mark.parametrize(
    ("wanted", "spelled"),
    [
        (ResponseFormat("text"), {"type": "text"}),
        (ResponseFormat("json_object"), {"type": "json_object"}),
        (ResponseFormat("json_schema"), {"type": "json_schema", "name": "answer", "schema": {}, "strict": False}),
    ],
)
def test_each_format_of_an_answer_is_told(wanted: ResponseFormat, spelled: dict[str, Any]) -> None:
    assert body(TextPart("Hi"), parameters=Parameters(response_format=wanted))["text"] == {"format": spelled}


def test_a_user_goes_as_each_server_calls_it() -> None:
    long = "x" * 65
    assert body(TextPart("Hi"), user_id=long)["safety_identifier"] == hashlib.sha256(long.encode()).hexdigest()
    assert body(TextPart("Hi"), target={"server": "xai"}, user_id="ann")["user"] == "ann"
    local = body(TextPart("Hi"), target={"server": "local"}, user_id="ann", metadata={"a": "b"})
    assert {"user", "safety_identifier", "metadata", "include"}.isdisjoint(local)


@pytest.mark.parametrize("field", ["server_url", "connector_id", "authorization", "headers"])
def test_no_option_leads_a_vendor_to_a_server_of_the_clients(field: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=field):
        msgspec.convert({"tools": [{"type": "mcp", "server_label": "d", field: "x"}]}, Options)


def test_what_cannot_be_said_is_refused_with_its_path() -> None:
    assert refused(make(), ask(TextPart("Hi"), parameters=Parameters(stop=["x"]))) == (
        "unsupported",
        "openai responses cannot take stop sequences",
        {"path": "$.parameters.stop"},
    )
    assert refused(make(), ask(TextPart("Hi"), FilePart(file_id="f"))) == (
        "unsupported",
        "openai responses cannot take a file of another vendor's",
        {"path": "$.content[1]"},
    )


def test_images_and_files_go_with_their_text() -> None:
    assert sent(
        TextPart("See"),
        ImagePart(url="https://a.test/x.png"),
        ImagePart(data="aGk=", media_type="image/gif"),
        ImagePart(data="aGk="),
        FilePart(url="https://a.test/x.pdf"),
        FilePart(url="https://a.test/x.pdf", name="x.pdf"),
        FilePart(data="aGk=", media_type="application/pdf", name="y.pdf"),
        FilePart(data="aGk="),
    ) == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "See"},
                {"type": "input_image", "detail": "auto", "image_url": "https://a.test/x.png"},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/gif;base64,aGk="},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="},
                {"type": "input_file", "file_url": "https://a.test/x.pdf"},
                {"type": "input_file", "file_url": "https://a.test/x.pdf", "filename": "x.pdf"},
                {"type": "input_file", "filename": "y.pdf", "file_data": "data:application/pdf;base64,aGk="},
                {"type": "input_file", "filename": "file", "file_data": "data:application/octet-stream;base64,aGk="},
            ],
        }
    ]


def test_a_text_keeps_its_phase() -> None:
    missed = [HistoryMessage("system", [TextPart("Now brief.")]), *after(TextPart("Hm.", signature="commentary"))]
    assert sent(TextPart("So?"), missed=missed) == [
        {"role": "system", "content": "Now brief."},
        GO,
        {"role": "assistant", "content": "Hm.", "phase": "commentary"},
        {"role": "user", "content": "So?"},
    ]


SEALED = '{"id":"rs_1","encrypted_content":"gAAA"}'


def test_a_reasoning_goes_back_sealed_where_something_came_of_it() -> None:
    missed = after(
        ReasoningPart("Why.", signature=SEALED),
        ReasoningPart("Unsealed."),
        ReasoningPart("Of another kind.", signature="EqQB"),
        TextPart("So."),
        ReasoningPart("", signature=SEALED),
    )
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"}
    assert sent(TextPart("And?"), missed=missed) == [
        GO,
        {**item, "summary": [{"type": "summary_text", "text": "Why."}]},
        {"role": "assistant", "content": "So."},
        {"role": "user", "content": "And?"},
    ]
    call = ToolCallPart("call_1", "t", {}, signature='{"type":"custom_tool_call","call_id":"call_1"}')
    assert sent(ToolResultPart("call_1", "x"), missed=after(ReasoningPart("", signature=SEALED), call))[1] == item


def test_a_call_and_its_result_go_back() -> None:
    call = ToolCallPart("call_1", "weather", {"city": "Kyiv"}, executor="client")
    results: list[tuple[ToolResultPart, Any]] = [
        (ToolResultPart("call_1", "grey"), "grey"),
        (ToolResultPart("call_1", {"sky": "grey"}), '{"sky":"grey"}'),
        (ToolResultPart("call_1", []), "[]"),
        (ToolResultPart("call_1", [{"type": "input_text", "text": "a"}]), [{"type": "input_text", "text": "a"}]),
        (ToolResultPart("call_1", [{"type": "other"}]), '[{"type":"other"}]'),
        (ToolResultPart("call_1", [1]), "[1]"),
        (ToolResultPart("call_1", "no", is_error=True), '{"error":"no"}'),
    ]
    for result, output in results:
        assert sent(result, missed=after(call))[1:] == [
            {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": '{"city":"Kyiv"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": output},
        ]


@pytest.mark.parametrize(
    ("kind", "result", "output"),
    [
        ("custom_tool_call", ToolResultPart("c", "x"), {"call_id": "c", "output": "x"}),
        ("local_shell_call", ToolResultPart("c", {"a": 1}), {"id": "c", "output": '{"a":1}'}),
        ("shell_call", ToolResultPart("c", [{"stdout": "x"}]), {"call_id": "c", "output": [{"stdout": "x"}]}),
        (
            "shell_call",
            ToolResultPart("c", "x"),
            {
                "call_id": "c",
                "output": [{"stdout": "x", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
            },
        ),
        (
            "shell_call",
            ToolResultPart("c", {"a": 1}, is_error=True),
            {
                "call_id": "c",
                "output": [{"stdout": "", "stderr": '{"a":1}', "outcome": {"type": "exit", "exit_code": 1}}],
            },
        ),
        ("apply_patch_call", ToolResultPart("c", "ok"), {"call_id": "c", "status": "completed", "output": "ok"}),
        (
            "apply_patch_call",
            ToolResultPart("c", "no", is_error=True),
            {"call_id": "c", "status": "failed", "output": '{"error":"no"}'},
        ),
        ("computer_call", ToolResultPart("c", {"a": 1}), {"call_id": "c", "output": {"a": 1}}),
    ],
)
def test_a_call_of_another_kind_goes_back_as_it_came(kind: str, result: ToolResultPart, output: Any) -> None:
    item = {"type": kind, "call_id": "c", "x": 1}
    call = ToolCallPart("c", "t", {}, executor="client", signature=json.dumps(item))
    assert sent(result, missed=after(call))[1:] == [item, {"type": f"{kind}_output", **output}]


def test_a_tool_search_goes_back_with_the_tools_that_were_found() -> None:
    item = {"type": "tool_search_call", "call_id": "c"}
    call = ToolCallPart("c", "tool_search", {}, executor="client", signature=json.dumps(item))
    found = {"type": "tool_search_output", "call_id": "c", "execution": "client", "status": "completed", "tools": []}
    assert sent(ToolResultPart("c", []), missed=after(call))[1:] == [item, found]


@pytest.mark.parametrize(
    "signature", ["EqQB", '{"type":"sparkle","call_id":"c"}', '{"type":"shell_call","call_id":"d"}']
)
def test_a_signature_that_is_no_such_call_is_left_out(signature: str) -> None:
    call = ToolCallPart("c", "t", {}, executor="client", signature=signature)
    assert sent(ToolResultPart("c", "x"), missed=after(call))[1]["type"] == "function_call"


@pytest.mark.parametrize("arguments", [{"path": "/a"}, '{"path":"/a"}'])
def test_a_verdict_goes_with_the_approval_that_it_answers(arguments: Any) -> None:
    asked = InputPart("mcpr_1", "approval", "Allow?", fields={**(APPROVAL.fields or {}), "arguments": arguments})
    answer = InputResponsePart("mcpr_1", approved=False, text="too much")
    request = {"server_label": "disk", "name": "rm", "arguments": '{"path":"/a"}'}
    assert sent(answer, TextPart("Sorry."), missed=after(ReasoningPart("", signature=SEALED), asked)) == [
        GO,
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
        {"type": "mcp_approval_request", "id": "mcpr_1", **request},
        {
            "type": "mcp_approval_response",
            "approval_request_id": "mcpr_1",
            "approve": False,
            "reason": "too much",
        },
        {"role": "user", "content": "Sorry."},
    ]


@pytest.mark.parametrize(
    ("asked", "answer", "told"),
    [
        (InputPart("q", "question", "Which?"), InputResponsePart("q", text="This"), "This"),
        (InputPart("a", "approval", "May I?"), InputResponsePart("a", approved=True), "Approved."),
        (APPROVAL, InputResponsePart("mcpr_1", text="Why?"), "Why?"),
        (APPROVAL, InputResponsePart("other", approved=True), "Approved."),
    ],
)
def test_any_other_answer_is_a_text(asked: InputPart, answer: InputResponsePart, told: str) -> None:
    assert sent(answer, missed=after(asked))[1:] == [
        {"role": "assistant", "content": f"(asked: {asked.prompt})"},
        {"role": "user", "content": told},
    ]


def test_an_answer_that_says_nothing_is_left_out() -> None:
    assert sent(TextPart("Hi"), InputResponsePart("q")) == [{"role": "user", "content": "Hi"}]


@given(st.dictionaries(st.text(), st.text()), st.text(min_size=1), st.text())
def test_whatever_a_call_was_given_goes_back_unchanged(arguments: dict[str, str], name: str, output: str) -> None:
    try:
        json.dumps([arguments, name, output], ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    call = ToolCallPart("c", name, dict(arguments), executor="client")
    items = sent(ToolResultPart("c", output), missed=after(call))
    assert json.loads(items[1]["arguments"]) == arguments
    assert (items[1]["name"], items[2]["output"]) == (name, output)

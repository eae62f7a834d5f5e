"""What Anthropic is asked: a turn as the body of a request."""

import base64
import hashlib
import json
from typing import Any

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputResponsePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import (
    HistoryMessage,
    NamedTool,
    Parameters,
    ResponseFormat,
    Tool,
    Turn,
)
from gateway.framing.lines import JsonDecoder
from gateway.framing.sse import SseDecoder
from gateway.protocols.anthropic import wire
from gateway.protocols.anthropic.asking import AnthropicOptions, AnthropicTarget, Container
from gateway.protocols.anthropic.content import CacheControl
from gateway.protocols.anthropic.translator import AnthropicTranslator
from gateway.protocols.base import VendorRequest
from tests.support.translating import ask, exchange, refused

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def make(**settings: Any) -> AnthropicTranslator:
    return AnthropicTranslator(AnthropicTarget("claude-x", **settings), Blocks(Numbering()))


def request(turn: Turn, **settings: Any) -> VendorRequest:
    return next(make(**settings).requests(turn))


def body(turn: Turn, **settings: Any) -> Any:
    sent = request(turn, **settings).body
    assert isinstance(sent, bytes)
    return json.loads(sent)


def asked(**fields: Any) -> Any:
    """What stands in the body beside the message itself."""
    settings = fields.pop("settings", {})
    sent = body(ask(TextPart("hi"), **fields), **settings)
    usual = {"model": "claude-x", "max_tokens": 8192, "messages": [user(text("hi"))], "stream": True}
    return {name: value for name, value in sent.items() if usual.get(name) != value}


def said(*messages: HistoryMessage, now: str = "and now?") -> Any:
    return body(ask(TextPart(now), missed=list(messages)))["messages"]


def user(*blocks: Any) -> Any:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> Any:
    return {"role": "assistant", "content": list(blocks)}


def text(said: str) -> Any:
    return {"type": "text", "text": said}


NOW = user(text("and now?"))


# --- the request


def test_a_turn_is_one_request_that_may_be_sent_again() -> None:
    (sent,), _ = exchange(make().requests(ask(TextPart("hi"))), b"")
    assert sent == VendorRequest(
        "POST",
        "/v1/messages",
        headers={"Content-Type": "application/json", "anthropic-version": "2023-06-01", "Accept": "text/event-stream"},
        body=b'{"model":"claude-x","max_tokens":8192,'
        b'"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}],"stream":true}',
        framing=SseDecoder,
        effect="repeatable",
    )


def test_a_document_is_asked_for_where_the_target_says_so() -> None:
    turn = ask(TextPart("hi"), stream=False)
    sent = request(turn, upstream_stream=False)
    assert (sent.framing, sent.headers["Accept"]) == (JsonDecoder, "application/json")
    assert "stream" not in body(turn, upstream_stream=False)
    assert request(turn).framing is SseDecoder
    assert body(turn)["stream"] is True


def test_betas_are_the_targets_and_the_clients() -> None:
    turn = ask(TextPart("hi"), options=AnthropicOptions(betas=["b", "c"]))
    sent = request(turn, betas=("a", "b"), version="2026-10-21")
    assert (sent.headers["anthropic-beta"], sent.headers["anthropic-version"]) == ("a,b,c", "2026-10-21")


def test_the_recorded_request_is_ours_but_for_the_thinking_of_its_day() -> None:
    turn = ask(
        TextPart("How do I cross the street?"),
        parameters=Parameters(max_output_tokens=4096, reasoning_effort="minimal"),
    )
    sent = request(turn, thinking="budget")
    assert isinstance(sent.body, bytes)
    assert json.loads(sent.body) == {
        "max_tokens": 4096,
        "messages": [{"content": [{"text": "How do I cross the street?", "type": "text"}], "role": "user"}],
        "model": "claude-x",
        "stream": True,
        "thinking": {"budget_tokens": 1024, "type": "enabled"},
    }


# --- messages


def test_all_that_was_said_goes_with_the_turn() -> None:
    assert said(
        HistoryMessage("user", [TextPart("hello")]),
        HistoryMessage("assistant", [TextPart("Hi."), TextPart("How are you?")]),
    ) == [user(text("hello")), assistant(text("Hi."), text("How are you?")), NOW]


def test_instructions_and_system_messages_are_one_text() -> None:
    history = [
        HistoryMessage("user", [TextPart("a")]),
        HistoryMessage("system", [TextPart("Be brief.")]),
        HistoryMessage("assistant", [TextPart("b")]),
    ]
    sent = body(ask(TextPart("c"), instructions="Be kind.", missed=history))
    assert sent["system"] == "Be kind.\n\nBe brief."
    assert sent["messages"] == [user(text("a")), assistant(text("b")), user(text("c"))]


def test_thoughts_go_back_with_their_signature_and_without_one_not_at_all() -> None:
    parts: list[Part] = [
        ReasoningPart("Hm", signature="sig"),
        ReasoningPart("", signature="sig-of-nothing-shown"),
        ReasoningPart("", signature="redacted_thinking:EmwK"),
        ReasoningPart("of another vendor's"),
        ReasoningPart("nor with an empty one", signature=""),
        ToolCallPart("toolu_1", "look", {"a": 1}, executor="client"),
    ]
    history = [HistoryMessage("user", [TextPart("a")]), HistoryMessage("assistant", parts)]
    results: Any = ToolResultPart("toolu_1", "sunny")
    assert body(ask(results, TextPart("so?"), missed=history))["messages"] == [
        user(text("a")),
        assistant(
            {"type": "thinking", "thinking": "Hm", "signature": "sig"},
            {"type": "thinking", "thinking": "", "signature": "sig-of-nothing-shown"},
            {"type": "redacted_thinking", "data": "EmwK"},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}},
        ),
        user({"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}, text("so?")),
    ]


def results(*outputs: Any) -> Any:
    calls: list[Part] = [ToolCallPart(f"c{n}", "look", {}, executor="client") for n in range(len(outputs))]
    history = [HistoryMessage("user", [TextPart("a")]), HistoryMessage("assistant", calls)]
    parts = [ToolResultPart(f"c{n}", output) for n, output in enumerate(outputs)]
    sent = body(ask(TextPart("first"), *parts, missed=history))["messages"][-1]["content"]
    return [block.get("content", block) for block in sent]


def test_results_stand_first_and_images_stay_what_they_are() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}}
    assert results("so", {"a": 1}, [image, text("b")], [image, 7], [], None) == [
        "so",
        '{"a":1}',
        [image, text("b")],
        '[{"type":"image","source":{"type":"url","url":"https://a.test/b.png"}},7]',
        "[]",
        "null",
        text("first"),
    ]


def test_a_failed_result_says_so_and_a_foreign_id_goes_as_a_hash() -> None:
    calls: list[Part] = [ToolCallPart("call|fc.1", "look", {}, executor="client")]
    history = [HistoryMessage("user", [TextPart("a")]), HistoryMessage("assistant", calls)]
    sent = body(ask(ToolResultPart("call|fc.1", "no", is_error=True), missed=history))["messages"]
    name = f"toolu_{hashlib.sha256(b'call|fc.1').hexdigest()[:24]}"
    assert sent[1]["content"][0]["id"] == sent[2]["content"][0]["tool_use_id"] == name
    assert sent[2]["content"][0]["is_error"] is True


def test_an_answer_that_comes_first_is_preceded_by_a_word_of_the_user() -> None:
    left_out = user(text("(The beginning of the conversation is left out.)"))
    assert said(HistoryMessage("assistant", [TextPart("b")])) == [left_out, assistant(text("b")), NOW]


def test_what_another_vendor_began_is_asked_for_again() -> None:
    sent = body(ask(TextPart("hi"), partial="One, two"))["messages"]
    assert sent[1:] == [assistant(text("One, two")), user(text("Go on exactly where your answer stops."))]


def test_an_answer_to_a_question_is_a_text() -> None:
    sent = body(ask(InputResponsePart("r", approved=True, text="go")))["messages"]
    assert sent == [user(text("Approved. go"))]


@pytest.mark.parametrize(
    "missed", [[], [HistoryMessage("user", [TextPart("a")]), HistoryMessage("assistant", [TextPart("b")])]]
)
def test_a_turn_of_white_space_alone_is_a_bad_request(missed: list[HistoryMessage]) -> None:
    assert refused(make(), ask(TextPart(" \n"), missed=missed)) == (
        "bad_request",
        "the message is empty",
        {"path": "$.content"},
    )


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (
            ImagePart(url="https://a.test/b.png"),
            {"type": "image", "source": {"type": "url", "url": "https://a.test/b.png"}},
        ),
        (
            ImagePart(data="iVBO", media_type="image/webp"),
            {"type": "image", "source": {"type": "base64", "media_type": "image/webp", "data": "iVBO"}},
        ),
        (
            FilePart(url="https://a.test/b.pdf", name="b.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://a.test/b.pdf"}, "title": "b.pdf"},
        ),
        (
            FilePart(data="JVBE"),
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBE"}},
        ),
        (
            FilePart(data=encoded("Привіт".encode()), media_type="text/plain"),
            {"type": "document", "source": {"type": "text", "data": "Привіт", "media_type": "text/plain"}},
        ),
        (
            FilePart(data=encoded(b"\xff"), media_type="text/plain"),
            {"type": "document", "source": {"type": "base64", "media_type": "text/plain", "data": "/w=="}},
        ),
        (
            FilePart(data="!", media_type="text/csv"),
            {"type": "document", "source": {"type": "base64", "media_type": "text/csv", "data": "!"}},
        ),
    ],
)
def test_images_and_files_go_by_url_or_inline(part: Any, block: Any) -> None:
    assert body(ask(part))["messages"] == [user(block)]


def test_every_document_can_be_cited_where_the_client_asks_for_it() -> None:
    turn = ask(FilePart(url="https://a.test/b.pdf"), options=AnthropicOptions(document_citations=True))
    assert body(turn)["messages"][0]["content"][0]["citations"] == {"enabled": True}


@pytest.mark.parametrize("part", [ImagePart(file_id="f"), FilePart(file_id="f")])
def test_a_file_of_another_vendors_is_refused(part: Any) -> None:
    assert refused(make(), ask(TextPart("see"), part)) == (
        "unsupported",
        "anthropic cannot take a file of another vendor's",
        {"path": "$.content[1]"},
    )


# --- what the answer is to be like


def test_tools_and_their_choice() -> None:
    tools = [Tool("weather", "The weather", SCHEMA, strict=True), Tool("list")]
    assert asked(tools=tools, tool_choice="required") == {
        "tools": [
            {"name": "weather", "input_schema": SCHEMA, "description": "The weather", "strict": True},
            {"name": "list", "input_schema": {"type": "object"}},
        ],
        "tool_choice": {"type": "any"},
    }


@pytest.mark.parametrize(
    ("choice", "one_at_a_time", "expected"),
    [
        (None, None, None),
        (None, True, {"type": "auto", "disable_parallel_tool_use": True}),
        ("auto", None, {"type": "auto"}),
        ("none", True, {"type": "none"}),
        ("required", True, {"type": "any", "disable_parallel_tool_use": True}),
        (NamedTool("list"), None, {"type": "tool", "name": "list"}),
    ],
)
def test_each_choice_of_tools(choice: Any, one_at_a_time: Any, expected: Any) -> None:
    options = AnthropicOptions(disable_parallel_tool_use=one_at_a_time)
    assert asked(tool_choice=choice, options=options).get("tool_choice") == expected


def test_parameters_and_the_user() -> None:
    parameters = Parameters(temperature=0.5, top_p=0.9, max_output_tokens=10, stop=["END"])
    assert asked(parameters=parameters, user_id="u-1", metadata={"a": 1}) == {
        "max_tokens": 10,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u-1"},
    }


def test_the_target_says_how_long_an_answer_may_be() -> None:
    assert asked(settings={"max_tokens": 100}) == {"max_tokens": 100}


@pytest.mark.parametrize(
    ("fields", "settings", "path"),
    [
        ({"parameters": Parameters(seed=1)}, {}, "$.parameters.seed"),
        ({"parameters": Parameters(temperature=1.5)}, {}, "$.parameters.temperature"),
        ({"parameters": Parameters(temperature=1)}, {"version": "2026-10-21"}, "$.parameters.temperature"),
        ({"parameters": Parameters(top_p=1)}, {"version": "2026-10-21"}, "$.parameters.top_p"),
        ({"options": AnthropicOptions(top_k=1)}, {"version": "2026-10-21"}, "$.vendor_options.anthropic.top_k"),
        (
            {"parameters": Parameters(reasoning_effort="low", max_output_tokens=1024)},
            {"thinking": "budget"},
            "$.parameters.reasoning_effort",
        ),
        (
            {"parameters": Parameters(response_format=ResponseFormat("json_object"))},
            {},
            "$.parameters.response_format",
        ),
        (
            {"parameters": Parameters(response_format=ResponseFormat("json_schema"))},
            {},
            "$.parameters.response_format",
        ),
    ],
)
def test_what_it_has_no_words_for_is_refused(fields: dict[str, Any], settings: dict[str, Any], path: str) -> None:
    code, _, details = refused(make(**settings), ask(TextPart("hi"), **fields))
    assert (code, details) == ("unsupported", {"path": path})


def test_the_newer_version_takes_all_else() -> None:
    assert asked(parameters=Parameters(stop=["x"]), settings={"version": "2026-10-21"}) == {"stop_sequences": ["x"]}


@pytest.mark.parametrize(
    ("effort", "thinking", "expected"),
    [
        ("none", "adaptive", {"thinking": {"type": "disabled"}}),
        ("none", "budget", {"thinking": {"type": "disabled"}}),
        ("minimal", "adaptive", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ("high", "adaptive", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("low", "budget", {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("high", "budget", {"thinking": {"type": "enabled", "budget_tokens": 8191}}),
    ],
)
def test_an_effort_is_told_as_the_model_takes_it(effort: Any, thinking: str, expected: Any) -> None:
    assert asked(parameters=Parameters(reasoning_effort=effort), settings={"thinking": thinking}) == expected


@pytest.mark.parametrize(
    ("thoughts", "parts", "thinking"),
    [
        ([], [ToolResultPart("c", "x")], "disabled"),
        ([ReasoningPart("Hm", signature="sig")], [ToolResultPart("c", "x")], "enabled"),
        ([], [ToolResultPart("c", "x"), TextPart("and now?")], "disabled"),
    ],
)
def test_no_thinking_is_asked_of_an_answer_that_goes_on_without_its_thoughts(
    thoughts: list[Part], parts: list[Any], thinking: str
) -> None:
    call = ToolCallPart("c", "look", {}, executor="client")
    missed = [HistoryMessage("user", [TextPart("hi")]), HistoryMessage("assistant", [*thoughts, call])]
    turn = ask(*parts, missed=missed, parameters=Parameters(reasoning_effort="high"))
    assert body(turn, thinking="budget")["thinking"]["type"] == thinking


def test_its_own_options_go_before_what_the_effort_would_come_to() -> None:
    parameters = Parameters(reasoning_effort="low")
    enabled = AnthropicOptions(thinking=wire.ThinkingEnabled(3000))
    assert asked(parameters=parameters, options=enabled) == {"thinking": {"type": "enabled", "budget_tokens": 3000}}
    assert asked(parameters=parameters, options=AnthropicOptions(effort="max")) == {"output_config": {"effort": "max"}}


def test_a_schema_for_the_answer() -> None:
    form = ResponseFormat("json_schema", "city", "A city", SCHEMA, strict=True)
    assert asked(parameters=Parameters(response_format=form)) == {
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}
    }
    assert asked(parameters=Parameters(response_format=ResponseFormat("text"))) == {}


def test_what_only_it_has_goes_as_it_is() -> None:
    search = {"type": "web_search_20250305", "name": "web_search"}
    options = AnthropicOptions(
        top_k=3,
        service_tier="auto",
        speed="fast",
        container=Container("c1", [{"type": "anthropic", "skill_id": "xlsx"}]),
        inference_geo="us",
        cache_control=CacheControl("ephemeral", "1h"),
        context_management={"edits": []},
        server_tools=[search],
    )
    assert asked(options=options, tools=[Tool("list")]) == {
        "top_k": 3,
        "service_tier": "auto",
        "speed": "fast",
        "container": {"id": "c1", "skills": [{"type": "anthropic", "skill_id": "xlsx"}]},
        "inference_geo": "us",
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
        "context_management": {"edits": []},
        "tools": [{"name": "list", "input_schema": {"type": "object"}}, search],
    }
    assert asked(options=AnthropicOptions(container="c1")) == {"container": "c1"}

"""OpenAI chat, upstream: what a turn becomes on the wire of each server."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputResponsePart,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import HistoryMessage, NamedTool, Parameters, ResponseFormat, Tool, Turn
from gateway.framing.lines import JsonDecoder
from gateway.framing.sse import SseDecoder
from gateway.protocols.openai_chat import OPENAI_CHAT
from gateway.protocols.openai_chat.options import ChatOptions
from gateway.protocols.openai_chat.servers import SERVERS
from gateway.protocols.openai_chat.translator import ChatTarget, ChatTranslator
from tests.support.translating import ask, exchange, refused

FIXTURES = Path(__file__).parent / "fixtures"
Json = dict[str, Any]

HI = TextPart("Hi")
PAY = Tool("pay", "Pays", {"type": "object"}, strict=True)


def make(server: Any = "openai", **settings: Any) -> ChatTranslator:
    return ChatTranslator(ChatTarget("m", server, **settings), Blocks(Numbering()))


def body(turn: Turn, server: Any = "openai", **settings: Any) -> Json:
    (request,), _ = exchange(make(server, **settings).requests(turn), b"")
    decoded: Json = json.loads(bytes(request.body))  # type: ignore[arg-type]
    return decoded


def messages(turn: Turn, server: Any = "openai") -> list[Json]:
    sent: list[Json] = body(turn, server)["messages"]
    return sent


def past(*parts: Any, role: Any = "assistant") -> HistoryMessage:
    return HistoryMessage(role, list(parts))


# --- the request


def test_a_turn_is_one_call_that_may_be_repeated() -> None:
    request = next(make().requests(ask(HI)))
    assert (request.method, request.path, request.query) == ("POST", "/chat/completions", {})
    assert (request.framing, request.effect) == (SseDecoder, "repeatable")
    assert request.headers == {"Content-Type": "application/json", "Accept": "text/event-stream"}


def test_azure_names_the_model_in_the_path() -> None:
    turn = ask(HI)
    translator = ChatTranslator(ChatTarget("a b", "azure", api_version="2025-01-01"), Blocks(Numbering()))
    request = next(translator.requests(turn))
    assert request.path == "/openai/deployments/a%20b/chat/completions"
    assert request.query == {"api-version": "2025-01-01"}
    assert "model" not in body(turn, "azure")


def test_an_answer_that_nobody_streams_may_be_asked_for_as_a_document() -> None:
    request = next(make(upstream_stream=False).requests(ask(HI, stream=False)))
    assert request.framing is JsonDecoder
    assert body(ask(HI, stream=False), upstream_stream=False) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": False,
    }
    assert body(ask(HI, stream=False))["stream"] is True


@pytest.mark.parametrize("server", SERVERS)
def test_usage_is_asked_for_where_that_is_known(server: Any) -> None:
    asked = body(ask(HI), server).get("stream_options")
    assert asked == (None if server in {"mistral", "perplexity"} else {"include_usage": True})


# --- recorded requests


def test_a_recorded_request_is_written_again() -> None:
    recorded = json.loads((FIXTURES / "openai-parallel-tools.request.json").read_bytes())["body"]
    tools = [
        Tool(
            tool["function"]["name"],
            tool["function"]["description"],
            tool["function"]["parameters"],
            tool["function"].get("strict"),
        )
        for tool in recorded["tools"]
    ]
    turn = ask(TextPart(recorded["messages"][0]["content"]), tools=tools, tool_choice="required")
    assert body(turn) == {**recorded, "model": "m"}


def test_a_recorded_request_with_instructions_and_options_is_written_again() -> None:
    recorded = json.loads((FIXTURES / "openrouter-reasoning-comments.request.json").read_bytes())["body"]
    turn = ask(TextPart("What is 2+2?"), options=ChatOptions(reasoning={"enabled": True}))
    assert body(turn, "openrouter") == {**recorded, "model": "m"}


# --- parameters


def test_every_parameter_has_its_field() -> None:
    turn = ask(
        HI,
        parameters=Parameters(0.5, 0.9, 100, ["."], 7, ResponseFormat("json_object"), "low"),
        user_id="ann",
        metadata={"a": 1},
    )
    assert body(turn) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["."],
        "seed": 7,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "low",
        "safety_identifier": "ann",
    }


def test_servers_have_other_names_for_parameters() -> None:
    turn = ask(HI, parameters=Parameters(max_output_tokens=5, seed=7), user_id="ann")
    assert (body(turn, "mistral")["max_tokens"], body(turn, "mistral")["random_seed"]) == (5, 7)
    assert body(turn, "groq")["user"] == "ann"
    assert not {"user", "safety_identifier"} & body(turn, "mistral").keys()


def test_a_target_may_cap_the_answer() -> None:
    assert body(ask(HI), max_output_tokens=9)["max_completion_tokens"] == 9
    asked = ask(HI, parameters=Parameters(max_output_tokens=5))
    assert body(asked, max_output_tokens=9)["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("server", "effort", "field", "value"),
    [
        ("openai", "none", "reasoning_effort", "none"),
        ("openrouter", "high", "reasoning", {"effort": "high"}),
        ("deepseek", "low", "thinking", {"type": "enabled"}),
        ("deepseek", "none", "thinking", {"type": "disabled"}),
    ],
)
def test_each_server_is_asked_to_reason_in_its_own_way(server: Any, effort: Any, field: str, value: Any) -> None:
    assert body(ask(HI, parameters=Parameters(reasoning_effort=effort)), server)[field] == value


def test_a_long_user_id_is_hashed() -> None:
    assert len(body(ask(HI, user_id="a" * 65))["safety_identifier"]) == 64


SCHEMA = ResponseFormat("json_schema", "city", "A city", {"type": "object"}, strict=True)


def test_a_schema_for_the_answer_is_passed_on() -> None:
    sent = body(ask(HI, parameters=Parameters(response_format=SCHEMA)))["response_format"]
    schema = {"name": "city", "description": "A city", "schema": {"type": "object"}, "strict": True}
    assert sent == {"type": "json_schema", "json_schema": schema}
    bare = Parameters(response_format=ResponseFormat("json_schema", schema={}))
    assert body(ask(HI, parameters=bare))["response_format"]["json_schema"] == {"name": "answer", "schema": {}}


def test_text_is_what_an_answer_is_anyway() -> None:
    assert "response_format" not in body(ask(HI, parameters=Parameters(response_format=ResponseFormat("text"))))


@pytest.mark.parametrize(("server", "wanted"), [("deepseek", SCHEMA), ("perplexity", ResponseFormat("json_object"))])
def test_a_format_that_a_server_does_not_know_is_unsupported(server: Any, wanted: ResponseFormat) -> None:
    turn = ask(HI, parameters=Parameters(response_format=wanted))
    assert refused(make(server), turn) == (
        "unsupported",
        f"{server} cannot take a response format of the type {wanted.type}",
        {"path": "$.parameters.response_format"},
    )


def test_options_go_as_they_are_and_before_the_rest() -> None:
    options = ChatOptions(top_k=5, logit_bias={"50256": -100}, reasoning_effort="xhigh", parallel_tool_calls=False)
    turn = ask(HI, parameters=Parameters(reasoning_effort="high"), options=options)
    sent = body(turn)
    assert (sent["top_k"], sent["logit_bias"], sent["reasoning_effort"]) == (5, {"50256": -100}, "xhigh")
    assert "parallel_tool_calls" not in sent
    with_tools = body(msgspec.structs.replace(turn, tools=[PAY]))
    assert with_tools["parallel_tool_calls"] is False


@pytest.mark.parametrize(
    ("options", "reasoning"),
    [
        (ChatOptions(reasoning_effort="xhigh"), {"effort": "xhigh"}),
        (ChatOptions(reasoning_effort="xhigh", reasoning={"max_tokens": 9}), {"max_tokens": 9}),
    ],
)
def test_openrouter_is_told_an_effort_once(options: ChatOptions, reasoning: Json) -> None:
    sent = body(ask(HI, parameters=Parameters(reasoning_effort="high"), options=options), "openrouter")
    assert (sent["reasoning"], "reasoning_effort" in sent) == (reasoning, False)


# --- tools


def test_tools_are_functions() -> None:
    function = {"name": "pay", "description": "Pays", "parameters": {"type": "object"}}
    tools = [PAY, Tool("list")]
    bare = {"name": "list", "parameters": {"type": "object", "properties": {}}}
    sent = body(ask(HI, tools=tools, tool_choice=NamedTool("pay")))
    assert sent["tools"] == [
        {"type": "function", "function": {**function, "strict": True}},
        {"type": "function", "function": bare},
    ]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "pay"}}
    assert body(ask(HI, tools=[PAY], tool_choice="none"), "ollama")["tool_choice"] == "none"
    assert body(ask(HI, tools=[PAY]), "ollama")["tools"] == [{"type": "function", "function": function}]


def test_a_choice_without_tools_is_not_sent() -> None:
    assert "tool_choice" not in body(ask(HI, tool_choice="auto"))


def test_a_server_without_tools_cannot_take_them() -> None:
    assert refused(make("perplexity"), ask(HI, tools=[PAY]))[2] == {"path": "$.tools"}


# --- messages


def test_instructions_stand_first_under_the_servers_name_for_them() -> None:
    turn = ask(
        HI, instructions="Be brief", missed=[past(TextPart("Now in French"), role="system"), past(role="system")]
    )
    assert messages(turn) == [
        {"role": "developer", "content": "Be brief"},
        {"role": "developer", "content": "Now in French"},
        {"role": "user", "content": "Hi"},
    ]
    assert messages(turn, "groq")[0]["role"] == "system"


CALL = ToolCallPart("a", "pay", {"sum": 1}, executor="client")
HISTORY = [
    past(TextPart("Pay!"), role="user"),
    past(ReasoningPart("Hm", signature="another's"), TextPart("I pay."), CALL),
    past(ToolResultPart("a", {"ok": True}), role="tool"),
    past(TextPart("Paid."), SourcePart("s")),
]


def test_what_was_said_goes_with_each_call() -> None:
    function = {"name": "pay", "arguments": '{"sum":1}'}
    assert messages(ask(HI, missed=HISTORY)) == [
        {"role": "user", "content": "Pay!"},
        {
            "role": "assistant",
            "content": "I pay.",
            "tool_calls": [{"id": "a", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "a", "content": '{"ok":true}'},
        {"role": "assistant", "content": "Paid."},
        {"role": "user", "content": "Hi"},
    ]


@pytest.mark.parametrize(
    ("part", "content"),
    [
        (ToolResultPart("a", "12 degrees"), "12 degrees"),
        (ToolResultPart("a", [1]), "[1]"),
        (ToolResultPart("a", "no", is_error=True), '{"error":"no"}'),
    ],
)
def test_a_result_is_text_or_json(part: ToolResultPart, content: str) -> None:
    sent = messages(ask(part, missed=[past(CALL)]))
    assert [message["role"] for message in sent] == ["assistant", "tool"]
    assert sent[1]["content"] == content


def test_call_ids_that_a_server_would_refuse_are_made_anew_in_both_places() -> None:
    long = "x" * 41
    turn = ask(ToolResultPart(long, "1"), missed=[past(ToolCallPart(long, "pay", {}, executor="client"))])
    call, result = messages(turn)
    assert len(result["tool_call_id"]) == 37
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    call, result = messages(turn, "mistral")
    assert len(result["tool_call_id"]) == 9
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    kept = ask(ToolResultPart("D681PevKs", "1"), missed=[past(ToolCallPart("D681PevKs", "pay", {}, executor="client"))])
    assert messages(kept, "mistral")[1]["tool_call_id"] == "D681PevKs"


def test_answers_to_input_requests_and_several_texts_are_one_text() -> None:
    assert (
        messages(ask(HI, InputResponsePart("r"), InputResponsePart("s", approved=True)))[0]["content"]
        == "Hi\n\nApproved."
    )


def test_an_answer_of_reasoning_alone_is_left_out() -> None:
    assert messages(ask(HI, missed=[past(ReasoningPart("Hm"))])) == [{"role": "user", "content": "Hi"}]


def test_a_turn_that_says_nothing_is_refused() -> None:
    for part in (TextPart(""), InputResponsePart("r")):
        assert refused(make(), ask(part))[0] == "bad_request"


# --- reasoning on its way back


LOOP = [past(HI, role="user"), past(ReasoningPart("Hm"), TextPart("I pay."), CALL)]
SIGNED = '[{"type":"reasoning.text","signature":"sig","index":0}]'


@pytest.mark.parametrize(
    ("server", "field"),
    [("deepseek", "reasoning_content"), ("vllm", "reasoning"), ("openai", None), ("openrouter", None)],
)
def test_reasoning_goes_back_while_tools_run_and_no_longer(server: Any, field: str | None) -> None:
    running = messages(ask(ToolResultPart("a", "1"), missed=LOOP), server)[1]
    later = messages(ask(HI, missed=[*LOOP, past(ToolResultPart("a", "1"), role="tool")]), server)[1]
    assert {name: running[name] for name in running if name.startswith("reasoning")} == ({field: "Hm"} if field else {})
    assert not [name for name in later if name.startswith("reasoning")]


def test_what_was_signed_goes_back_as_it_came() -> None:
    said = past(ReasoningPart("Hm", signature=SIGNED), ReasoningPart("no", signature="another's"), TextPart("Yes"))
    sent = messages(ask(HI, missed=[past(HI, role="user"), said]), "openrouter")[1]
    detail = {"type": "reasoning.text", "text": "Hm", "signature": "sig", "index": 0}
    assert sent == {"role": "assistant", "content": "Yes", "reasoning_details": [detail]}


def test_mistral_is_told_its_thoughts_as_parts() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    sent = messages(ask(ToolResultPart("a", "1"), missed=LOOP), "mistral")[1]
    assert sent["content"] == [thought, {"type": "text", "text": "I pay."}]
    silent = [past(HI, role="user"), past(ReasoningPart("Hm"), CALL)]
    assert messages(ask(ToolResultPart("a", "1"), missed=silent), "mistral")[1]["content"] == [thought]


# --- images and files


PNG = ImagePart(data="iVBO", media_type="image/png")


def sent_part(part: Any, server: Any = "openai") -> Json:
    content: list[Json] = messages(ask(HI, part), server)[0]["content"]
    assert content[0] == {"type": "text", "text": "Hi"}
    return content[1]


@pytest.mark.parametrize(
    ("server", "part", "sent"),
    [
        ("openai", PNG, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}),
        ("openai", ImagePart(url="https://e/a"), {"type": "image_url", "image_url": {"url": "https://e/a"}}),
        (
            "openai",
            FilePart(data="iVBO", media_type="image/gif"),
            {"type": "image_url", "image_url": {"url": "data:image/gif;base64,iVBO"}},
        ),
        (
            "openai",
            FilePart(data="JVBE", media_type="application/pdf", name="a.pdf"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBE"}},
        ),
        (
            "openrouter",
            FilePart(url="https://e/a.pdf"),
            {"type": "file", "file": {"filename": "file", "file_data": "https://e/a.pdf"}},
        ),
        (
            "mistral",
            FilePart(url="https://e/a.pdf"),
            {"type": "document_url", "document_url": "https://e/a.pdf"},
        ),
        (
            "openai",
            FilePart(data="UklG", media_type="audio/wav"),
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        ),
    ],
)
def test_each_kind_of_file_has_its_part(server: Any, part: Any, sent: Json) -> None:
    assert sent_part(part, server) == sent


@pytest.mark.parametrize(
    ("server", "part", "what"),
    [
        ("deepseek", PNG, "images"),
        ("ollama", ImagePart(url="https://e/a"), "images"),
        ("openai", ImagePart(file_id="f"), "images"),
        ("openai", FilePart(file_id="f"), "files"),
        ("openai", FilePart(url="https://e/a.pdf"), "files"),
        ("groq", FilePart(data="JVBE", media_type="application/pdf"), "files"),
        ("groq", FilePart(data="UklG", media_type="audio/wav"), "files"),
        ("openai", FilePart(url="https://e/a.wav", media_type="audio/wav"), "files"),
    ],
)
def test_what_a_server_cannot_take_is_unsupported_in_a_turn_and_mentioned_in_the_past(
    server: Any, part: Any, what: str
) -> None:
    code, message, details = refused(make(server), ask(HI, part))
    assert (code, message) == ("unsupported", f"{server} cannot take {what} of this kind")
    assert details == {"path": "$.content[1]"}
    earlier = messages(ask(HI, missed=[past(part, role="user"), past(TextPart("Yes"))]), server)
    assert earlier[0] == {"role": "user", "content": "(file without a name)"}


# --- settings


@pytest.mark.parametrize(
    "settings",
    [{}, {"model": ""}, {"model": "m", "server": "sparkle"}, {"model": "m", "api_version": "a/b"}, {"sparkle": 1}],
)
def test_settings_that_make_no_sense_are_refused(settings: Json) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, OPENAI_CHAT.target)


@pytest.mark.parametrize("options", [{"sparkle": 1}, {"presence_penalty": 3}, {"model": "x"}, {"messages": []}])
def test_options_that_make_no_sense_are_refused(options: Json) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, OPENAI_CHAT.options)


def test_a_conversation_is_bound_to_its_model() -> None:
    assert OPENAI_CHAT.scope(ChatTarget("m")) == "m"
    assert OPENAI_CHAT.takes_history

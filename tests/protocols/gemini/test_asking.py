"""What a turn becomes on Gemini's wire: recorded requests, and each field by itself."""

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
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import AskPart, HistoryMessage, NamedTool, Parameters, ResponseFormat, Tool, Turn
from gateway.framing.lines import JsonDecoder
from gateway.protocols.base import Authorization, VendorRequest
from gateway.protocols.gemini.asking import UNSIGNED
from gateway.protocols.gemini.framing import ChunkDecoder
from gateway.protocols.gemini.translator import GeminiTarget, GeminiTranslator
from gateway.protocols.gemini.wire import GeminiOptions
from tests.support.translating import ask, refused, sign_in

EXAMPLES = Path(__file__).parent / "examples"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def make(model: str = "gemini-3-pro", **settings: Any) -> GeminiTranslator:
    return GeminiTranslator(msgspec.convert({"model": model, **settings}, GeminiTarget), Blocks(Numbering()))


def request(turn: Turn, model: str = "gemini-3-pro", **settings: Any) -> VendorRequest:
    return next(make(model, **settings).requests(turn))


def body(*parts: AskPart, model: str = "gemini-3-pro", settings: dict[str, Any] | None = None, **fields: Any) -> Any:
    sent = request(ask(*(parts or (TextPart("hi"),)), **fields), model, **(settings or {}))
    assert isinstance(sent.body, bytes)
    return json.loads(sent.body)


def options(**given: Any) -> GeminiOptions:
    return msgspec.convert(given, GeminiOptions)


@pytest.mark.parametrize(
    ("name", "turn"),
    [
        (
            "plain-text",
            ask(
                TextPart("What is the capital of France?"),
                instructions="You are a helpful chatbot.",
                parameters=Parameters(temperature=0.0),
            ),
        ),
        (
            "url-context-grounding",
            ask(
                TextPart(
                    "What is the first sentence on the page https://ai.pydantic.dev? Reply with only the sentence."
                ),
                instructions="You are a helpful chatbot.",
                options=options(tools=[{"urlContext": {}}], generationConfig={"responseModalities": ["TEXT"]}),
            ),
        ),
    ],
)
def test_a_recorded_request_is_written(name: str, turn: Turn) -> None:
    recorded = json.loads((EXAMPLES / f"{name}.request").read_bytes())
    path, _, query = recorded["path"].partition("?")
    model = path.removeprefix("/v1beta/models/").partition(":")[0]
    sent = request(turn, model)
    assert isinstance(sent.body, bytes)
    assert (sent.method, sent.path, sent.query, json.loads(sent.body)) == (
        recorded["method"],
        path,
        {"alt": query.removeprefix("alt=")},
        recorded["body"],
    )


# --- where it goes


def test_a_stream_is_asked_for_as_events() -> None:
    sent = request(ask(TextPart("hi")))
    assert (sent.method, sent.path, sent.query, sent.effect, sent.framing, sent.headers) == (
        "POST",
        "/v1beta/models/gemini-3-pro:streamGenerateContent",
        {"alt": "sse"},
        "repeatable",
        ChunkDecoder,
        {"Content-Type": "application/json", "Accept": "text/event-stream"},
    )


def test_a_document_is_asked_for_where_the_client_does_not_stream() -> None:
    sent = request(ask(TextPart("hi"), stream=False), upstream_stream=False)
    assert (sent.path, sent.query, sent.framing, sent.headers) == (
        "/v1beta/models/gemini-3-pro:generateContent",
        {},
        JsonDecoder,
        {"Content-Type": "application/json", "Accept": "application/json"},
    )
    assert request(ask(TextPart("hi"), stream=False)).framing is ChunkDecoder
    assert request(ask(TextPart("hi")), upstream_stream=False).framing is ChunkDecoder


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"version": "v1"}, "/v1/models/gemini-3-pro"),
        ({"model": "tunedModels/mine"}, "/v1beta/tunedModels/mine"),
        (
            {"server": "vertex", "project": "a/b"},
            "/v1beta1/projects/a%2Fb/locations/global/publishers/google/models/gemini-3-pro",
        ),
        (
            {"server": "vertex", "project": "p", "location": "europe-west4", "version": "v1"},
            "/v1/projects/p/locations/europe-west4/publishers/google/models/gemini-3-pro",
        ),
    ],
)
def test_a_model_has_a_path(settings: dict[str, Any], path: str) -> None:
    assert request(ask(TextPart("hi")), **settings).path == f"{path}:streamGenerateContent"


@pytest.mark.parametrize("settings", [{"server": "vertex"}, {"project": "p"}, {"model": "a/b/c"}, {"model": ""}])
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        make(**settings)


def test_the_credential_goes_into_its_header() -> None:
    assert sign_in(make(), api_key="k") == Authorization({"x-goog-api-key": "k"})
    assert sign_in(make(), access_token="t") == Authorization({"Authorization": "Bearer t"})


# --- what was said


def test_the_parts_of_the_turn() -> None:
    parts = body(
        TextPart("look"),
        ImagePart(data="AAAA", media_type="image/png"),
        FilePart(data="AAAA"),
        ImagePart(url="data:image/gif;base64,R0lG"),
        FilePart(url="data:;base64,R0lG", media_type="text/plain"),
        FilePart(url="data:;base64,R0lG"),
        FilePart(url="https://example.com/a.pdf", media_type="application/pdf"),
        ImagePart(url="data:image/svg+xml,abc"),
        InputResponsePart("r", approved=True),
        InputResponsePart("r"),
    )["contents"]
    assert parts == [
        {
            "parts": [
                {"text": "look"},
                {"inlineData": {"data": "AAAA", "mimeType": "image/png"}},
                {"inlineData": {"data": "AAAA", "mimeType": "application/octet-stream"}},
                {"inlineData": {"data": "R0lG", "mimeType": "image/gif"}},
                {"inlineData": {"data": "R0lG", "mimeType": "text/plain"}},
                {"inlineData": {"data": "R0lG", "mimeType": "application/octet-stream"}},
                {"fileData": {"fileUri": "https://example.com/a.pdf", "mimeType": "application/pdf"}},
                {"fileData": {"fileUri": "data:image/svg+xml,abc"}},
                {"text": "Approved."},
            ],
            "role": "user",
        }
    ]


HISTORY = [
    HistoryMessage("user", [TextPart("hi")]),
    HistoryMessage(
        "assistant",
        [
            ReasoningPart("signed", signature="s1"),
            ReasoningPart("another's"),
            ReasoningPart("", signature="s2"),
            TextPart("Let me look.", signature="s3"),
            ToolCallPart("c1", "weather", {"city": "Kyiv"}, executor="client"),
            ToolCallPart("c2", "now", {}, executor="client"),
        ],
    ),
    HistoryMessage("tool", [ToolResultPart("c1", {"sun": True}), ToolResultPart("c2", "no clock", is_error=True)]),
    HistoryMessage("system", [TextPart("Be brief.")]),
]


def test_what_was_said_goes_back_with_its_signatures() -> None:
    sent = body(TextPart("and?"), missed=HISTORY, instructions="Be kind.")
    assert sent["systemInstruction"] == {"parts": [{"text": "Be kind."}, {"text": "Be brief."}], "role": "user"}
    assert sent["contents"] == [
        {"parts": [{"text": "hi"}], "role": "user"},
        {
            "parts": [
                {"text": "signed", "thought": True, "thoughtSignature": "s1"},
                {"text": "", "thoughtSignature": "s2"},
                {"text": "Let me look.", "thoughtSignature": "s3"},
                {
                    "functionCall": {"id": "c1", "name": "weather", "args": {"city": "Kyiv"}},
                    "thoughtSignature": UNSIGNED,
                },
                {"functionCall": {"id": "c2", "name": "now", "args": {}}},
            ],
            "role": "model",
        },
        {
            "parts": [
                {"functionResponse": {"response": {"sun": True}, "name": "weather", "id": "c1"}},
                {"functionResponse": {"response": {"error": "no clock"}, "name": "now", "id": "c2"}},
            ],
            "role": "user",
        },
        {"parts": [{"text": "and?"}], "role": "user"},
    ]


def test_a_call_that_is_signed_keeps_its_signature() -> None:
    said = [
        HistoryMessage("user", [TextPart("hi")]),
        HistoryMessage("assistant", [ToolCallPart("c1", "now", {}, executor="client", signature="s1")]),
    ]
    call = body(ToolResultPart("c1", 5), missed=said)["contents"][1:]
    assert call == [
        {
            "parts": [{"functionCall": {"id": "c1", "name": "now", "args": {}}, "thoughtSignature": "s1"}],
            "role": "model",
        },
        {"parts": [{"functionResponse": {"response": {"result": 5}, "name": "now", "id": "c1"}}], "role": "user"},
    ]


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "tunedModels/gemini-1.5-mine"])
def test_models_that_sign_nothing_are_sent_no_signature_of_ours(model: str) -> None:
    assert UNSIGNED not in json.dumps(body(TextPart("and?"), missed=HISTORY, model=model))


def test_an_answer_that_leaves_nothing_to_tell_is_left_out() -> None:
    said = [HistoryMessage("user", [TextPart("hi")]), HistoryMessage("assistant", [ReasoningPart("hm")])]
    assert body(TextPart("and?"), missed=said)["contents"] == [
        {"parts": [{"text": "hi"}], "role": "user"},
        {"parts": [{"text": "and?"}], "role": "user"},
    ]


def test_a_partial_answer_is_gone_on_with() -> None:
    assert [content["role"] for content in body(partial="So far")["contents"]] == ["user", "model", "user"]


def test_what_cannot_be_sent_is_refused() -> None:
    code, _, details = refused(make(), ask(TextPart("a"), FilePart(file_id="f_1")))
    assert (code, details) == ("unsupported", {"path": "$.content[1]"})
    code, _, details = refused(make(), ask(InputResponsePart("r")))
    assert (code, details) == ("bad_request", {"path": "$.content"})


# --- what is wanted


def test_tools_are_declared_with_their_schema_as_it_is() -> None:
    sent = body(tools=[Tool("now"), Tool("weather", "tells it", SCHEMA)], options=options(tools=[{"googleSearch": {}}]))
    assert sent["tools"] == [
        {
            "functionDeclarations": [
                {"name": "now"},
                {"name": "weather", "description": "tells it", "parametersJsonSchema": SCHEMA},
            ]
        },
        {"googleSearch": {}},
    ]
    assert "toolConfig" not in sent


@pytest.mark.parametrize(
    ("choice", "strict", "config"),
    [
        ("auto", None, {"mode": "AUTO"}),
        ("none", None, {"mode": "NONE"}),
        ("required", True, {"mode": "ANY"}),
        (NamedTool("now"), None, {"mode": "ANY", "allowedFunctionNames": ["now"]}),
        ("auto", True, {"mode": "VALIDATED"}),
        (None, True, {"mode": "VALIDATED"}),
    ],
)
def test_which_tool_is_to_be_called(choice: Any, strict: bool | None, config: dict[str, Any]) -> None:  # noqa: FBT001
    sent = body(tools=[Tool("now", strict=strict)], tool_choice=choice)
    assert sent["toolConfig"] == {"functionCallingConfig": config}
    assert "toolConfig" not in body(tool_choice=choice)


def test_the_configuration_of_tools_is_joined() -> None:
    given = {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "b"]},
        "includeServerSideToolInvocations": True,
    }
    sent = body(tools=[Tool("a")], options=options(toolConfig=given), settings={"stream_arguments": True})
    config = {"mode": "ANY", "allowedFunctionNames": ["a", "b"], "streamFunctionCallArguments": True}
    assert sent["toolConfig"] == {"functionCallingConfig": config, "includeServerSideToolInvocations": True}


def test_parameters() -> None:
    wanted = Parameters(0.5, 0.9, 100, ["END"], 7, ResponseFormat("json_schema", schema=SCHEMA))
    assert body(parameters=wanted)["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "maxOutputTokens": 100,
        "stopSequences": ["END"],
        "seed": 7,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    assert body(parameters=Parameters(response_format=ResponseFormat("json_object")))["generationConfig"] == {
        "responseMimeType": "application/json"
    }
    assert "generationConfig" not in body(parameters=Parameters(response_format=ResponseFormat("text")))


def test_the_targets_own_parameters_are_used_where_nothing_is_asked() -> None:
    settings = {"max_output_tokens": 50, "include_thoughts": True}
    assert body(settings=settings)["generationConfig"] == {
        "maxOutputTokens": 50,
        "thinkingConfig": {"includeThoughts": True},
    }
    asked = body(settings=settings, parameters=Parameters(max_output_tokens=5))
    assert asked["generationConfig"]["maxOutputTokens"] == 5


@pytest.mark.parametrize(
    ("model", "effort", "config"),
    [
        ("gemini-3-pro", "none", {"thinkingLevel": "MINIMAL"}),
        ("gemini-3-pro", "low", {"includeThoughts": True, "thinkingLevel": "LOW"}),
        ("gemini-3-pro", "high", {"includeThoughts": True, "thinkingLevel": "HIGH"}),
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}),
        ("gemini-2.5-flash", "medium", {"includeThoughts": True, "thinkingBudget": 8192}),
    ],
)
def test_how_much_is_thought(model: str, effort: Any, config: dict[str, Any]) -> None:
    sent = body(model=model, parameters=Parameters(reasoning_effort=effort))
    assert sent["generationConfig"] == {"thinkingConfig": config}


def test_options_go_as_they_are() -> None:
    given = {
        "safetySettings": [{"category": "HARM_CATEGORY_HATE_SPEECH", "threshold": "BLOCK_NONE"}],
        "cachedContent": "cachedContents/1",
        "labels": {"team": "a"},
        "serviceTier": "flex",
        "store": False,
        "generationConfig": {"topK": 5, "thinkingConfig": {"thinkingBudget": 9}, "responseMimeType": "text/x.enum"},
    }
    sent = body(options=options(**given), parameters=Parameters(reasoning_effort="low"))
    assert {name: sent[name] for name in given} == given


def test_the_vendor_keeps_nothing_that_could_be_resumed_or_stopped() -> None:
    assert (make().resume(), make().cancel()) == (None, None)

"""Gemini's dialect: what its clients ask, who they are, and how they are refused."""

import json
from datetime import UTC, datetime
from typing import Any, get_args

import msgspec
import pytest
from multidict import CIMultiDict

from gateway.canonical.errors import CODES, Code, GatewayError
from gateway.canonical.message import Message, TextPart, ToolCallPart, ToolResultPart
from gateway.canonical.resources import CountTokens, GetModel, ListModels, Model, Page, Rows, TokenCount
from gateway.canonical.turn import HistoryMessage, MessageRequest, NamedTool, Parameters, ResponseFormat, Tool
from gateway.protocols.base import ClientRequest, NoSettings
from gateway.protocols.gemini import GEMINI
from gateway.protocols.gemini.dialect import GeminiDialect
from gateway.protocols.gemini.errors import STATUSES
from gateway.protocols.gemini.faults import refused as read_refusal
from gateway.protocols.gemini.schemas import as_json_schema
from gateway.protocols.gemini.wire import GeminiOptions

DIALECT = GeminiDialect()
NOW = datetime(2026, 11, 2, tzinfo=UTC)
HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def asked(
    body: Any = None, *, method: str = "streamGenerateContent", query: dict[str, str] | None = None, **headers: str
) -> ClientRequest:
    raw = body if isinstance(body, bytes) else json.dumps(HI if body is None else body).encode()
    spelled = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    parameters = {"version": "v1beta", "model": "support", "method": method}
    return ClientRequest(CIMultiDict(spelled), raw, parameters, {"alt": "sse"} if query is None else query)


def read(**body: Any) -> MessageRequest:
    return DIALECT.read(asked({**HI, **body})).request


def refused(body: Any) -> tuple[str, Any]:
    with pytest.raises(GatewayError) as caught:
        DIALECT.read(asked(body))
    assert "sk-secret" not in caught.value.message
    return caught.value.code, caught.value.details.get("path")


# --- messages


def test_the_least_that_can_be_asked() -> None:
    assert read() == MessageRequest(route="support", content=[TextPart("hi")])


@pytest.mark.parametrize(
    ("method", "query", "is_streamed", "is_list"),
    [
        ("streamGenerateContent", {"alt": "sse"}, True, False),
        ("streamGenerateContent", {}, False, True),
        ("generateContent", {}, False, False),
        ("generateContent", {"alt": "sse"}, False, False),
    ],
)
def test_how_it_is_answered(*, method: str, query: dict[str, str], is_streamed: bool, is_list: bool) -> None:
    exchange = DIALECT.read(asked(method=method, query=query))
    assert exchange.request.stream is is_streamed
    answer = Message("msg_1", "conv_1", "assistant", "completed", [TextPart("Hi")], NOW, finish_reason="stop")
    whole = json.loads(exchange.document(answer))
    assert isinstance(whole, list) is is_list
    assert (whole[0] if is_list else whole)["modelVersion"] == "support"
    assert exchange.encoder().end() == b""
    assert (exchange.thread, exchange.follows) == (None, None)


def test_all_that_can_be_asked() -> None:
    request = read(
        contents=[
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "now", "id": "c1"}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "now", "response": {"t": 1}}}, {"text": "And?"}]},
        ],
        systemInstruction={"parts": [{"text": "Be kind."}, {"text": ""}, {"text": "Be brief."}]},
        tools=[
            {
                "functionDeclarations": [
                    {"name": "now", "description": "tells it", "parametersJsonSchema": {"type": "object"}},
                    {"name": "look", "parameters": {"type": "OBJECT", "properties": {"n": {"type": "STRING"}}}},
                    {"name": "off"},
                ]
            },
            {"googleSearch": {}},
            {"functionDeclarations": None},
        ],
        toolConfig={
            "functionCallingConfig": {"mode": "ANY", "streamFunctionCallArguments": True},
            "retrievalConfig": {"languageCode": "en"},
        },
        generationConfig={
            "temperature": 0.5,
            "topP": 0.9,
            "topK": 40,
            "maxOutputTokens": 100,
            "stopSequences": ["END"],
            "seed": 7,
            "candidateCount": 1,
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT"},
            "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True},
            "sparkle": 1,
        },
        safetySettings=[{"category": "C", "threshold": "BLOCK_NONE"}],
        cachedContent="cachedContents/1",
        labels={"a_b": "c"},
        serviceTier="flex",
        store=False,
        sparkle=1,
    )
    assert request == MessageRequest(
        route="support",
        content=[ToolResultPart("c1", {"t": 1}, name="now"), TextPart("And?")],
        history=[
            HistoryMessage("user", [TextPart("hi")]),
            HistoryMessage("assistant", [ToolCallPart("c1", "now", {}, executor="client")]),
        ],
        instructions="Be kind.\n\nBe brief.",
        tools=[
            Tool("now", "tells it", {"type": "object"}),
            Tool("look", None, {"type": "object", "properties": {"n": {"type": "string"}}}),
            Tool("off"),
        ],
        tool_choice="required",
        parameters=Parameters(
            0.5, 0.9, 100, ["END"], 7, ResponseFormat("json_schema", schema={"type": "object"}), "low"
        ),
        vendor_options=request.vendor_options,
    )
    assert request.vendor_options == {
        "gemini": {
            "tools": [{"googleSearch": {}}],
            "toolConfig": {
                "functionCallingConfig": {"streamFunctionCallArguments": True},
                "retrievalConfig": {"languageCode": "en"},
            },
            "generationConfig": {
                "topK": 40.0,
                "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True},
            },
            "safetySettings": [{"category": "C", "threshold": "BLOCK_NONE"}],
            "cachedContent": "cachedContents/1",
            "labels": {"a_b": "c"},
            "serviceTier": "flex",
            "store": False,
        }
    }
    msgspec.convert(request.vendor_options["gemini"], GeminiOptions)


def test_names_may_be_in_snake_case() -> None:
    request = DIALECT.read(
        asked(
            {
                "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]}],
                "system_instruction": {"parts": [{"text": "Be kind."}]},
                "tools": [{"function_declarations": [{"name": "a", "parameters": {"type": "OBJECT", "min_items": 1}}]}],
                "generation_config": {"max_output_tokens": 5},
            }
        )
    ).request
    assert (request.instructions, request.parameters) == ("Be kind.", Parameters(max_output_tokens=5))
    assert request.tools == [Tool("a", None, {"type": "object", "minItems": 1})]


@pytest.mark.parametrize(
    ("config", "choice", "names"),
    [
        (None, None, ["a", "b"]),
        ({}, None, ["a", "b"]),
        ({"functionCallingConfig": {}}, None, ["a", "b"]),
        ({"functionCallingConfig": {"mode": "MODE_UNSPECIFIED"}}, None, ["a", "b"]),
        ({"functionCallingConfig": {"mode": "AUTO"}}, "auto", ["a", "b"]),
        ({"functionCallingConfig": {"mode": "NONE"}}, "none", ["a", "b"]),
        ({"functionCallingConfig": {"mode": "ANY"}}, "required", ["a", "b"]),
        ({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a"]}}, NamedTool("a"), ["a"]),
        ({"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["a", "b"]}}, "required", ["a", "b"]),
        ({"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["b"]}}, "auto", ["b"]),
    ],
)
def test_which_tools_may_be_called(config: Any, choice: Any, names: list[str]) -> None:
    request = read(tools=[{"functionDeclarations": [{"name": "a"}, {"name": "b"}]}], toolConfig=config)
    assert (request.tool_choice, [tool.name for tool in request.tools]) == (choice, names)
    assert {tool.strict for tool in request.tools} == {True if choice == "auto" and names == ["b"] else None}
    assert request.vendor_options == {}


@pytest.mark.parametrize(
    ("config", "parameters"),
    [
        ({}, None),
        ({"responseMimeType": "text/plain"}, None),
        ({"responseMimeType": "application/json"}, Parameters(response_format=ResponseFormat("json_object"))),
        (
            {"responseMimeType": "application/json", "responseJsonSchema": {"type": "array"}},
            Parameters(response_format=ResponseFormat("json_schema", schema={"type": "array"})),
        ),
        ({"responseMimeType": "text/x.enum"}, None),
        ({"thinkingConfig": {}}, None),
        ({"thinkingConfig": {"thinkingLevel": "XHIGH"}}, Parameters(reasoning_effort="high")),
        ({"thinkingConfig": {"thinkingLevel": "sparkle"}}, None),
        ({"thinkingConfig": {"thinkingBudget": -1}}, None),
        ({"thinkingConfig": {"thinkingBudget": 0}}, Parameters(reasoning_effort="none")),
        ({"thinkingConfig": {"thinkingBudget": 1000}}, Parameters(reasoning_effort="low")),
        ({"thinkingConfig": {"thinkingBudget": 8192}}, Parameters(reasoning_effort="medium")),
        ({"thinkingConfig": {"thinkingBudget": 30000}}, Parameters(reasoning_effort="high")),
    ],
)
def test_parameters(config: dict[str, Any], parameters: Parameters | None) -> None:
    assert read(generationConfig=config).parameters == parameters


def test_what_only_gemini_has_is_kept_for_it() -> None:
    assert read(generationConfig={"responseMimeType": "text/x.enum"}).vendor_options == {
        "gemini": {"generationConfig": {"responseMimeType": "text/x.enum"}}
    }


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (b"{", "bad_request", "$"),
        (b"\xff", "bad_request", "$"),
        (b"[" * 100_000, "bad_request", "$"),
        ([], "bad_request", "$"),
        ({}, "bad_request", "$.contents"),
        ({"contents": []}, "bad_request", "$.contents"),
        ({"contents": [{"parts": [{"text": ""}]}]}, "bad_request", "$.contents"),
        ({"contents": [{"role": "model", "parts": [{"text": "a"}]}]}, "bad_request", "$.contents"),
        ({"contents": "sk-secret"}, "bad_request", "$.contents"),
        ({"contents": [{"parts": [{"text": 7}]}]}, "bad_request", "$.contents[0].parts[0].text"),
        ({**HI, "generationConfig": {"temperature": 3}}, "bad_request", "$.generationConfig.temperature"),
        ({**HI, "generationConfig": {"topP": -1}}, "bad_request", "$.generationConfig.topP"),
        ({**HI, "generationConfig": {"maxOutputTokens": 0}}, "bad_request", "$.generationConfig.maxOutputTokens"),
        ({**HI, "generationConfig": {"candidateCount": 2}}, "unsupported", "$.generationConfig.candidateCount"),
        ({**HI, "tools": [{"functionDeclarations": 7}]}, "bad_request", "$.tools[0].functionDeclarations"),
        (
            {**HI, "tools": [{}, {"functionDeclarations": [{"name": ""}]}]},
            "bad_request",
            "$.tools[1].functionDeclarations[0].name",
        ),
        (
            {**HI, "toolConfig": {"functionCallingConfig": {"mode": "sk-secret"}}},
            "bad_request",
            "$.toolConfig.functionCallingConfig.mode",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_path(body: Any, code: str, path: str) -> None:
    assert refused(body) == (code, path)


def test_a_schema_that_is_nested_too_deeply_is_refused() -> None:
    schema = json.loads('{"items":' * 400 + "{}" + "}" * 400)
    declared = [{"functionDeclarations": [{"name": "a", "parameters": schema}]}]
    assert refused({**HI, "tools": declared}) == ("bad_request", "$.tools")
    generation = {"responseMimeType": "application/json", "responseSchema": schema}
    assert refused({**HI, "generationConfig": generation}) == (
        "bad_request",
        "$.generationConfig.responseSchema",
    )


def test_a_body_is_json() -> None:
    with pytest.raises(GatewayError) as caught:
        DIALECT.read(asked(Content_Type="text/plain"))
    assert caught.value.code == "unsupported_media_type"


# --- schemas


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({}, {}),
        (
            {"type": "STRING", "nullable": True, "format": "enum", "enum": ["a"]},
            {"type": ["string", "null"], "enum": ["a"]},
        ),
        ({"type": "TYPE_UNSPECIFIED", "nullable": True}, {"anyOf": [{}, {"type": "null"}]}),
        ({"type": "STRING", "nullable": False, "format": "date"}, {"type": "string", "format": "date"}),
        (
            {"any_of": [{"type": "INTEGER"}, True], "min_length": "3", "maxLength": "x", "maxItems": 2},
            {"anyOf": [{"type": "integer"}, True], "minLength": 3, "maxLength": "x", "maxItems": 2},
        ),
        (
            {
                "type": "OBJECT",
                "properties": {"a_b": {"type": "ARRAY", "items": {"type": "NUMBER"}}, "c": True},
                "property_ordering": ["a_b"],
                "required": ["a_b"],
                "additionalProperties": {"type": "BOOLEAN"},
                "$defs": {"d": {"type": "NULL"}},
            },
            {
                "type": "object",
                "properties": {"a_b": {"type": "array", "items": {"type": "number"}}, "c": True},
                "required": ["a_b"],
                "additionalProperties": {"type": "boolean"},
                "$defs": {"d": {"type": "null"}},
            },
        ),
        ({"type": ["string"], "items": True}, {"type": ["string"], "items": True}),
    ],
)
def test_a_schema_of_the_vendors_kind(schema: dict[str, Any], expected: dict[str, Any]) -> None:
    assert as_json_schema(schema) == expected


# --- who asks


@pytest.mark.parametrize(
    ("headers", "query", "key"),
    [
        ({}, {}, None),
        ({"x_goog_api_key": "k"}, {}, "k"),
        ({"x_goog_api_key": " "}, {}, None),
        ({}, {"key": "k"}, "k"),
        ({"Authorization": "Bearer k"}, {}, "k"),
        ({"Authorization": "Basic k"}, {}, None),
        ({"x_goog_api_key": "k", "Authorization": "Bearer k"}, {"key": "k"}, "k"),
        ({"x_goog_api_key": "k"}, {"key": "l"}, None),
    ],
)
def test_where_the_key_stands(headers: dict[str, str], query: dict[str, str], key: str | None) -> None:
    assert DIALECT.credential(asked(query=query, **headers)) == key


# --- beside messages


def test_what_is_asked_beside_messages() -> None:
    assert DIALECT.read_ask("list_models", asked()) == ListModels()
    assert DIALECT.read_ask("get_model", asked()) == GetModel("support")
    counted = MessageRequest(route="support", content=[TextPart("hi")], stream=False)
    assert DIALECT.read_ask("count_tokens", asked()) == CountTokens(counted)
    within = asked({"generateContentRequest": {"model": "models/support", **HI}})
    assert DIALECT.read_ask("count_tokens", within) == CountTokens(counted)


def test_what_is_answered() -> None:
    model = {
        "name": "models/support",
        "version": "2026-11-02",
        "displayName": "support",
        "supportedGenerationMethods": ["generateContent", "countTokens"],
    }
    assert json.loads(DIALECT.write_result(Model("support", NOW))) == model
    assert json.loads(DIALECT.write_result(Page([Model("support", NOW)]))) == {"models": [model]}
    assert json.loads(DIALECT.write_result(TokenCount(5))) == {"totalTokens": 5}
    with pytest.raises(TypeError):
        DIALECT.write_result(Rows("a", [], []))


def test_its_paths() -> None:
    assert [(route.method, route.operation) for route in DIALECT.routes] == [
        ("POST", "message"),
        ("POST", "count_tokens"),
        ("GET", "list_models"),
        ("GET", "get_model"),
    ]
    assert all(route.path.startswith("/gemini/{version:v1|v1beta}/models") for route in DIALECT.routes)


def test_the_descriptor_makes_it() -> None:
    assert GEMINI.dialect is not None
    dialect = GEMINI.dialect(NoSettings())
    assert (dialect.name, dialect.content_type, dialect.can_discard) == ("gemini", "text/event-stream", False)
    assert dialect.headers("req_1") == {"X-Request-Id": "req_1"}


# --- errors


@pytest.mark.parametrize("code", get_args(Code))
def test_each_code_has_a_status(code: Code) -> None:
    told = DIALECT.error(GatewayError(code, "no", retry_after=2.2), "req_1")
    error = json.loads(told.body)["error"]
    assert (told.status, error["status"]) == STATUSES[code]
    assert error["code"] == told.status
    assert told.headers == {"Content-Type": "application/json", "Retry-After": "3"}
    assert [detail["@type"].rpartition(".")[2] for detail in error["details"]] == [
        "ErrorInfo",
        "RequestInfo",
        "RetryInfo",
    ]
    assert error["details"][0]["reason"] == code.upper()
    assert set(STATUSES) == set(CODES)


def test_a_field_that_does_not_fit_is_named() -> None:
    error = GatewayError("bad_request", "it does not fit", details={"path": "$.contents"})
    assert json.loads(DIALECT.error(error, "req_1").body)["error"]["details"][-1] == {
        "@type": "type.googleapis.com/google.rpc.BadRequest",
        "fieldViolations": [{"field": "$.contents", "description": "it does not fit"}],
    }


def test_a_model_that_is_not_known() -> None:
    error = GatewayError("not_found", "no such route", details={"path": "$.route"})
    assert json.loads(DIALECT.error(error, "req_1").body)["error"]["message"].startswith("the model is not found")
    other = GatewayError("not_found", "no such path")
    assert json.loads(DIALECT.error(other, "req_1").body)["error"]["message"] == "no such path"


@pytest.mark.parametrize(
    "code",
    ["upstream_rate_limited", "context_too_long", "upstream_unavailable", "upstream_timeout", "upstream_rejected"],
)
def test_its_own_reader_reads_the_same_error(code: Code) -> None:
    told = DIALECT.error(GatewayError(code, "no", retry_after=2.5), "req_1")
    read_back = read_refusal(told.status, CIMultiDict(), told.body)
    assert (read_back.code, read_back.retry_after, read_back.vendor_request_id) == (code, 2.5, "req_1")

"""The simulated Gemini: what it answers, in each of its spellings, and what it refuses."""

import json
from typing import Any

import pytest

from gateway.protocols.base import Head, Pause, Script, Send
from gateway.protocols.gemini.plays import PLAYS, REFUSALS
from gateway.protocols.gemini.simulator import GeminiSimulator
from tests.support.play import body_of
from tests.support.simulating import asked, document, frames, head

MODEL = "/v1beta/models/gemini-3-pro"
STREAM = f"{MODEL}:streamGenerateContent"
DOCUMENT = f"{MODEL}:generateContent"
PROJECT = "/v1beta1/projects/p/locations/global/publishers/google/models/gemini-3-pro:generateContent"
KEY = {"x-goog-api-key": "k"}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts or ({"text": "hi"},))}


def ask(body: Any = None, path: str = STREAM, *, play: str = "", alt: str | None = "sse", **headers: str) -> Script:
    sent = {"contents": [user()]} if body is None else body
    query = {} if alt is None else {"alt": alt}
    given = {name.replace("_", "-"): value for name, value in headers.items()} or KEY
    return asked(GeminiSimulator(play), "POST", path, sent, headers=given, query=query)


def spoken(chunks: list[Any]) -> str:
    parts = [
        part
        for chunk in chunks
        for one in chunk.get("candidates", [])
        for part in one.get("content", {}).get("parts", [])
    ]
    return "".join(part.get("text", "") for part in parts)


HI = "You asked: “hi”. I am a simulated Gemini, so all I can do is repeat it."


def test_the_usual_answer_comes_word_by_word() -> None:
    script = ask()
    assert head(script) == Head(200, {"Content-Type": "text/event-stream"})
    assert spoken(frames(body_of(script))) == HI
    assert Pause(0.02) in script
    assert frames(body_of(script))[-1]["candidates"] == [{"finishReason": "STOP", "index": 0}]


def test_without_alt_it_is_a_list_in_pieces() -> None:
    script = ask(alt=None)
    assert head(script).headers == {"Content-Type": "application/json; charset=UTF-8"}
    assert len([step for step in script if isinstance(step, Send)]) > 2
    assert spoken(json.loads(body_of(script))) == HI


def test_a_document_is_all_of_it() -> None:
    status, body = document(ask(path=DOCUMENT, alt=None))
    assert (status, spoken([body]), body["candidates"][0]["finishReason"]) == (200, HI, "STOP")
    assert body["responseId"] == "resp-1"


def test_a_blocked_prompt_has_no_candidates() -> None:
    _, body = document(ask(path=DOCUMENT, play="blocked"))
    assert body == {"promptFeedback": {"blockReason": "SAFETY"}, "modelVersion": "gemini-3-pro", "responseId": "resp-1"}


def test_a_message_chooses_the_play() -> None:
    body = {"contents": [user({"text": "[play:cut] quoted [play:nothing] [play:plain] hi"})]}
    assert spoken(frames(body_of(ask(body)))) == "Hello there"


def test_an_empty_message_is_answered() -> None:
    assert "“nothing”" in spoken(frames(body_of(ask({"contents": [user({"text": " "})]}))))


def test_results_of_tools_are_told() -> None:
    called = {"functionCall": {"name": "now", "args": {}}, "thoughtSignature": "s"}
    contents = [
        user(),
        {"role": "model", "parts": [called]},
        user({"functionResponse": {"name": "now", "response": {"result": 5}}}),
    ]
    assert spoken(frames(body_of(ask({"contents": contents})))) == 'The tools say {"result":5}.'


@pytest.mark.parametrize("name", sorted(PLAYS))
def test_every_play_can_be_played(name: str) -> None:
    assert head(ask(play=name)).status == 200
    assert GeminiSimulator.plays[name] == PLAYS[name].shows


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_every_refusal_is_told_in_its_shape(name: str) -> None:
    status, body = document(ask(play=name))
    refused = REFUSALS[name]
    error = body[0]["error"] if refused.as_list else body["error"]
    assert (status, error["code"], error["status"]) == (refused.http, refused.http, refused.status)


# --- who may ask, and where


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        (STREAM, {"x": "y"}, (403, "PERMISSION_DENIED")),
        (STREAM, {"x_goog_api_key": "invalid"}, (400, "INVALID_ARGUMENT")),
        (STREAM, {"Authorization": "Bearer t"}, (403, "PERMISSION_DENIED")),
        (PROJECT, {"x_goog_api_key": "k"}, (401, "UNAUTHENTICATED")),
        (PROJECT, {"Authorization": "Basic t"}, (401, "UNAUTHENTICATED")),
        (PROJECT, {"Authorization": "Bearer invalid"}, (401, "UNAUTHENTICATED")),
        ("/v1beta/models/unknown-1:generateContent", {"x_goog_api_key": "k"}, (404, "NOT_FOUND")),
        ("/v1beta/models/m:embedContent", {"x_goog_api_key": "k"}, (404, "NOT_FOUND")),
        ("/v2/models/m:generateContent", {"x_goog_api_key": "k"}, (404, "NOT_FOUND")),
    ],
)
def test_who_and_where(path: str, headers: dict[str, str], expected: tuple[int, str]) -> None:
    status, body = document(ask(path=path, **headers))
    error = body[0]["error"] if isinstance(body, list) else body["error"]
    assert (status, error["status"]) == expected


def test_a_key_may_stand_in_the_query_and_a_token_for_it() -> None:
    simulator = GeminiSimulator()
    by_query = asked(simulator, "POST", DOCUMENT, {"contents": [user()]}, headers={}, query={"key": "k"})
    assert head(by_query).status == 200
    assert head(ask(path=PROJECT, Authorization="Bearer t")).status == 200


def test_another_method_is_not_found() -> None:
    assert head(asked(GeminiSimulator(), "GET", STREAM, headers=KEY)).status == 404


# --- what may be asked

CALL = {"functionCall": {"name": "now", "args": {}}, "thoughtSignature": "s"}
RESULT = {"functionResponse": {"name": "now", "response": {}}}


def model(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "JSON payload"),
        (b"\xff", "JSON payload"),
        ([], "Root element"),
        ({}, "contents is not specified"),
        ({"contents": []}, "contents is not specified"),
        ({"contents": "hi"}, "contents is not specified"),
        ({"contents": [user()], "stream": True}, 'Unknown name "stream"'),
        ({"contents": [7]}, "Invalid value at"),
        ({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]}, "valid role"),
        ({"contents": [{"role": "user"}]}, "must not be empty"),
        ({"contents": [{"role": "user", "parts": []}]}, "must not be empty"),
        ({"contents": [user({"text": "a", "inlineData": {}})]}, "oneof field"),
        ({"contents": [user({"thought": True})]}, "oneof field"),
        ({"contents": [user({"sparkle": 1})]}, 'Unknown name "sparkle" at contents[0].parts'),
        ({"contents": [user(), model({"text": "a"})]}, "last turn"),
        ({"contents": [user(), model(CALL), user()]}, "number of function response parts"),
        ({"contents": [user(RESULT)]}, "number of function response parts"),
        (
            {"contents": [user(), model({"functionCall": CALL["functionCall"]}), user(RESULT)]},
            "missing a thought_signature",
        ),
        (
            {"contents": [user(), model(CALL), user({"functionResponse": {"name": "now", "response": "x"}})]},
            "function_response.response",
        ),
        ({"contents": [user()], "generationConfig": {"n": 1}}, 'Unknown name "n" at generation_config'),
        ({"contents": [user()], "generationConfig": {"temperature": 3}}, "range [0, 2]"),
        ({"contents": [user()], "generationConfig": {"responseJsonSchema": {}}}, "application/json"),
        (
            {
                "contents": [user()],
                "generationConfig": {"thinkingConfig": {"thinkingBudget": 1, "thinkingLevel": "LOW"}},
            },
            "only one",
        ),
    ],
)
def test_what_does_not_fit_is_an_invalid_argument(body: Any, words: str) -> None:
    status, refused = document(ask(body))
    error = refused[0]["error"]
    assert (status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert words in error["message"]


def test_older_models_sign_nothing() -> None:
    contents = [user(), model({"functionCall": CALL["functionCall"]}), user(RESULT)]
    script = ask({"contents": contents}, "/v1beta/models/gemini-2.5-flash:streamGenerateContent")
    assert head(script).status == 200

"""Gemini, played: stateless answers as an event stream, a list in pieces or a document, and the manual's refusals.

    POST  /{version}/models/{model}:streamGenerateContent   ?alt=sse -> events; without it one JSON list, in pieces
    POST  /{version}/models/{model}:generateContent         -> one answer
    the same below /{version}/projects/{project}/locations/{location}/publishers/google/

Every model exists whose name does not begin with `unknown`; every key is good but `invalid`. Below a project a bearer
token stands for the key. A body is read strictly, as the vendor does: names that it does not know, empty contents,
roles, parts without data, results that do not answer the calls before them one by one, and, for the models that sign,
a step whose first call is not signed.
Where the manual is silent (the order of checks, texts of errors) the simulator does the obvious.
Source: ai.google.dev/api, recorded answers, google-genai (Python) 3.4.0; read 2026-11.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gateway.protocols.base import Head, Pause, Script, Send, SimulatedRequest, Step
from gateway.protocols.gemini.plays import (
    CHOICE,
    PLAYS,
    REFUSALS,
    Frame,
    Mode,
    Play,
    Refused,
    reported,
    usual,
)

_PATH = re.compile(
    r"/(?:v1|v1beta|v1beta1)(?P<project>/projects/[^/]+/locations/[^/]+/publishers/google)?"
    r"/(?:models|tunedModels)/(?P<model>[^/:]+):(?P<method>streamGenerateContent|generateContent)"
)
_UNSIGNING = ("gemini-1", "gemini-2")

FIELDS = frozenset(
    {
        "contents",
        "systemInstruction",
        "tools",
        "toolConfig",
        "generationConfig",
        "safetySettings",
        "cachedContent",
        "labels",
        "serviceTier",
        "store",
    }
)
GENERATION_FIELDS = frozenset(
    {
        "temperature",
        "topP",
        "topK",
        "maxOutputTokens",
        "stopSequences",
        "candidateCount",
        "seed",
        "responseMimeType",
        "responseSchema",
        "responseJsonSchema",
        "responseModalities",
        "thinkingConfig",
        "presencePenalty",
        "frequencyPenalty",
        "responseLogprobs",
        "logprobs",
        "mediaResolution",
        "speechConfig",
        "imageConfig",
        "enableEnhancedCivicAnswers",
    }
)
DATA = frozenset(
    {
        "text",
        "inlineData",
        "fileData",
        "functionCall",
        "functionResponse",
        "executableCode",
        "codeExecutionResult",
        "toolCall",
        "toolResponse",
    }
)
FLAGS = frozenset({"thought", "thoughtSignature"})

_encode = msgspec.json.encode


class GeminiSimulator:
    plays: Mapping[str, str] = {
        "": "a friendly answer that comes word by word",
        **{name: play.shows for name, play in PLAYS.items()},
        **{name: f"refused: {refused.http} {refused.status}" for name, refused in REFUSALS.items()},
    }

    def __init__(self, play: str = "") -> None:
        self._play = play
        self._answers = 0

    def answer(self, request: SimulatedRequest) -> Script:
        try:
            return self._answer(request)
        except _Refusal as refusal:
            refused = refusal.refused
            head = Head(refused.http, {"Content-Type": "application/json; charset=UTF-8"})
            return [head, Send(_encode(refused.body()))]

    def _answer(self, request: SimulatedRequest) -> Script:
        found = _PATH.fullmatch(request.path)
        if found is None or request.method != "POST":
            raise _Refusal(Refused(404, "NOT_FOUND", "Requested entity was not found."))
        _admit(request, bears=found["project"] is not None)
        if found["model"].startswith("unknown"):
            raise _Refusal(REFUSALS["model-not-found"])
        body = _body(request)
        _check(body, signs=not found["model"].startswith(_UNSIGNING))
        name = self._choose(_last_text(body))
        if name in REFUSALS:
            raise _Refusal(REFUSALS[name])
        self._answers += 1
        chunks = list(_chunks(_play(name, body), found["model"], f"resp-{self._answers}"))
        mode: Mode = "document" if found["method"] == "generateContent" else "sse"
        if mode == "sse" and request.query.get("alt") != "sse":
            mode = "list"
        return list(_written(chunks, _play(name, body), mode))

    def _choose(self, message: str) -> str:
        """The last play that the message names: what it quotes of the past stands in front."""
        named = [name for name in CHOICE.findall(message) if name in self.plays]
        return named[-1] if named else self._play


# --- how an answer is written


def _play(name: str, body: Frame) -> Play:
    results = [part["functionResponse"] for part in body["contents"][-1]["parts"] if "functionResponse" in part]
    if results:
        return reported(", ".join(_encode(result["response"]).decode() for result in results))
    return PLAYS.get(name) or usual(_last_text(body))


def _chunks(play: Play, model: str, response_id: str) -> Iterator[Frame]:
    bare: Frame = {"modelVersion": model, "responseId": response_id}
    usage: Frame = {"promptTokenCount": 9}
    for chunk in play.chunks:
        if "content" in chunk or "index" in chunk:
            ended = {"finishReason": play.finish} if play.legacy else {}
            yield {"candidates": [{**chunk, **ended}], "usageMetadata": usage, **bare}
        else:
            yield chunk and {**chunk, **bare}
    if play.finish is None:
        return
    usage = _counted(play)
    last: Frame = {"finishReason": play.finish, "index": 0}
    if play.finish_message is not None:
        last["finishMessage"] = play.finish_message
    if not play.legacy:
        yield {"candidates": [last], "usageMetadata": usage, **bare}
    for trailer in play.trailers:
        yield {"candidates": [trailer], "usageMetadata": usage, **bare}


def _counted(play: Play) -> Frame:
    counted = {
        "promptTokenCount": 9,
        "candidatesTokenCount": 2 * len(play.chunks),
        "thoughtsTokenCount": play.thoughts,
        "toolUsePromptTokenCount": play.tool_prompt,
    }
    usage = {name: count for name, count in counted.items() if count}
    return {
        **usage,
        "totalTokenCount": sum(counted.values()),
        **({"cachedContentTokenCount": play.cached} if play.cached else {}),
    }


def _written(chunks: list[Frame], play: Play, mode: Mode) -> Iterator[Step]:
    if mode == "document":
        yield Head(200, {"Content-Type": "application/json; charset=UTF-8"})
        yield Send(_encode(_merged(chunks)))
    elif mode == "list":
        yield Head(200, {"Content-Type": "application/json; charset=UTF-8"})
        for number, chunk in enumerate(chunks):
            yield Send((b",\r\n" if number else b"[") + _encode(chunk))
        yield Send(b"]")
    else:
        yield Head(200, {"Content-Type": "text/event-stream"})
        for chunk in chunks:
            yield Send(b"data: %b\r\n\r\n" % _encode(chunk))
            if play.pace:
                yield Pause(play.pace)
        if play.tail:
            yield Send(play.tail)


def _merged(chunks: list[Frame]) -> Frame:
    """All that the chunks say, as one."""
    whole: Frame = {}
    candidate: Frame = {}
    parts: list[Frame] = []
    for chunk in chunks:
        whole.update(chunk)
        for one in chunk.get("candidates", []):
            candidate.update(one)
            parts += one.get("content", {}).get("parts", [])
    if "candidates" in whole:
        whole["candidates"] = [{**candidate, "content": {"role": "model", "parts": parts}}]
    return whole


# --- what is refused


class _Refusal(Exception):
    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.status)
        self.refused = refused


def _invalid(message: str) -> _Refusal:
    return _Refusal(Refused(400, "INVALID_ARGUMENT", message))


def _admit(request: SimulatedRequest, *, bears: bool) -> None:
    if bears:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or token in {"", "invalid"}:
            raise _Refusal(REFUSALS["unauthenticated"])
        return
    key = request.headers.get("x-goog-api-key") or request.query.get("key")
    if not key:
        message = "Method doesn't allow unregistered callers (callers without established identity)."
        raise _Refusal(Refused(403, "PERMISSION_DENIED", message))
    if key == "invalid":
        raise _Refusal(REFUSALS["invalid-key"])


def _body(request: SimulatedRequest) -> Frame:
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _invalid("Invalid JSON payload received.") from None
    if not isinstance(body, dict):
        raise _invalid("Invalid JSON payload received. Root element must be a message.")
    return body


def _check(body: Frame, *, signs: bool) -> None:
    _names(body, FIELDS, "")
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise _invalid("* GenerateContentRequest.contents: contents is not specified")
    for number, content in enumerate(contents):
        _check_content(content, number)
    if contents[-1]["role"] == "model":
        raise _invalid("Please ensure that the last turn is not the model's.")
    _check_calls(contents, signs=signs)
    _check_generation(body.get("generationConfig", {}))


def _names(given: Any, known: frozenset[str], path: str) -> None:
    if not isinstance(given, dict):
        raise _invalid(f'Invalid value at "{path}"')
    for name in given:
        if name not in known:
            raise _invalid(
                f'Invalid JSON payload received. Unknown name "{name}"{path and f" at {path}"}: Cannot find field.'
            )


def _check_content(content: Any, number: int) -> None:
    _names(content, frozenset({"role", "parts"}), f"contents[{number}]")
    if content.get("role") not in {"user", "model"}:
        raise _invalid("Please use a valid role: user, model.")
    if not isinstance(content.get("parts"), list) or not content["parts"]:
        raise _invalid(f"* GenerateContentRequest.contents[{number}].parts: contents.parts must not be empty.")
    for part in content["parts"]:
        _names(part, DATA | FLAGS, f"contents[{number}].parts")
        if len(DATA & part.keys()) != 1:
            raise _invalid(f"* contents[{number}].parts: required oneof field 'data' must have one initialized field")
        if "functionResponse" in part and not isinstance(part["functionResponse"].get("response"), dict):
            raise _invalid('Invalid value at "function_response.response" (type.googleapis.com/google.protobuf.Struct)')


def _check_calls(contents: list[Frame], *, signs: bool) -> None:
    """Every step of calls is answered right behind it, one by one."""
    asked: list[str] = []
    for content in contents:
        answers = [part["functionResponse"]["name"] for part in content["parts"] if "functionResponse" in part]
        if sorted(answers) != sorted(asked):
            raise _invalid(
                "Please ensure that the number of function response parts is equal to the number of function call"
                " parts of the function call turn."
            )
        calls = [part for part in content["parts"] if "functionCall" in part]
        if signs and calls and not calls[0].get("thoughtSignature"):
            raise _invalid("Function call is missing a thought_signature in functionCall parts.")
        asked = [part["functionCall"]["name"] for part in calls]


def _check_generation(config: Any) -> None:
    _names(config, GENERATION_FIELDS, "generation_config")
    if not 0 <= config.get("temperature", 1) <= 2:
        raise _invalid(
            "* GenerateContentRequest.generation_config.temperature: temperature must be in the range [0, 2]."
        )
    if "responseJsonSchema" in config and config.get("responseMimeType") != "application/json":
        raise _invalid("A response schema needs the response mime type application/json.")
    thinking = config.get("thinkingConfig", {})
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise _invalid("You can only set only one of thinking budget and thinking level.")


def _last_text(body: Frame) -> str:
    return " ".join(part["text"] for part in body["contents"][-1]["parts"] if "text" in part)

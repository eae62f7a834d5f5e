"""A server of OpenAI's Responses, played: it keeps nothing, so every request holds all that was said.

    POST /responses   -> the stream of a response, or with `stream: false` the response

Every key is good but `invalid`, every model exists whose name does not begin with `unknown`. It refuses what the real
one refuses: fields it does not know, a call without its output and an output without its call, a reasoning without what
it led to or that was not sealed here, an approval that was never asked for, what is referred to but not stored.
The last of the input decides what is played: the user's text, the outputs of tools, or a verdict.
Source: openai 3.52.0 `types/responses/response_create_params.py`, error texts of the recordings; read 2026-11.
"""

from collections.abc import Mapping

import msgspec

from gateway.protocols.base import Head, Script, Send, SimulatedRequest
from gateway.protocols.openai_responses.checks import OUTPUTS, Refusal, check
from gateway.protocols.openai_responses.plays import (
    APPROVED,
    CHOICE,
    DECLINED,
    PLAYS,
    REFUSALS,
    Frame,
    Play,
    Refused,
    Text,
    usual,
)
from gateway.protocols.openai_responses.writing import Writing

_encode = msgspec.json.encode


class ResponsesSimulator:
    plays: Mapping[str, str] = {
        "": "a friendly answer that comes word by word",
        **{name: play.shows for name, play in PLAYS.items()},
        **{name: f"refused: {refused.status} {refused.code}" for name, refused in REFUSALS.items()},
    }

    def __init__(self, play: str = "") -> None:
        self._play = play
        self._requests = 0

    def answer(self, request: SimulatedRequest) -> Script:
        self._requests += 1
        try:
            return self._answer(request)
        except Refusal as refusal:
            return self._refuse(refusal.refused)

    def _answer(self, request: SimulatedRequest) -> Script:
        if request.path != "/responses":
            raise Refusal(Refused(404, None, f"Invalid URL ({request.method} {request.path})"))
        if request.method != "POST":
            raise Refusal(Refused(405, "method_not_allowed", "Not allowed", headers={"Allow": "POST"}))
        _admit(request)
        body = _body(request)
        said = check(body)
        play = self._play_of(said)
        settings = {name: body.get(name) for name in ("instructions", "metadata", "temperature", "top_p")}
        settings |= {"model": f"{body['model']}-2026-08-07", "include": body.get("include", [])}
        settings |= {"tools": body.get("tools", []), "tool_choice": "auto", "parallel_tool_calls": True}
        writing = Writing(play, self._requests, settings)
        headers = {"x-request-id": f"req_{self._requests}", "openai-version": "2020-10-01"}
        if body.get("stream"):
            return [Head(200, {**headers, "Content-Type": "text/event-stream; charset=utf-8"}), *writing.steps()]
        return [Head(200, {**headers, "Content-Type": "application/json"}), Send(_encode(writing.document()))]

    def _play_of(self, said: list[Frame]) -> Play:
        last = said[-1]
        if last.get("type") in OUTPUTS:
            outputs = [item["output"] for item in said if item.get("type") in OUTPUTS]
            told = ", ".join(output if isinstance(output, str) else _encode(output).decode() for output in outputs)
            return Play("", (Text(("The tools say ", f"{told}.")),))
        if last.get("type") == "mcp_approval_response":
            return Play("", APPROVED if last["approve"] else DECLINED)
        message = _text(last)
        named = [name for name in CHOICE.findall(message) if name in self.plays]
        name = named[-1] if named else self._play
        if name in REFUSALS:
            raise Refusal(REFUSALS[name])
        return PLAYS.get(name) or usual(message)

    def _refuse(self, refused: Refused) -> Script:
        headers = {"Content-Type": "application/json", "x-request-id": f"req_{self._requests}", **refused.headers}
        fault = {"message": refused.message, "type": refused.type, "param": refused.param, "code": refused.code}
        return [Head(refused.status, headers), Send(_encode({"error": fault}))]


def _admit(request: SimulatedRequest) -> None:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    key = request.headers.get("api-key", key if scheme == "Bearer" else "")
    if not key:
        raise Refusal(Refused(401, None, "You didn't provide an API key."))
    if key == "invalid":
        raise Refusal(REFUSALS["invalid-key"])


def _body(request: SimulatedRequest) -> Frame:
    if request.headers.get("Content-Type", "").partition(";")[0] != "application/json":
        raise Refusal(Refused(400, None, "We could not parse the JSON body of your request."))
    try:
        body = msgspec.json.decode(request.body)
    except msgspec.DecodeError as error:
        raise Refusal(Refused(400, None, "We could not parse the JSON body of your request.")) from error
    if not isinstance(body, dict):
        raise Refusal(Refused(400, None, "The body must be an object."))
    return body


def _text(item: Frame) -> str:
    content = item.get("content", "")
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if part["type"] == "input_text")

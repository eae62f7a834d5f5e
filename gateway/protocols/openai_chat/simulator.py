"""A server of OpenAI Chat Completions, played: requests are checked, answered as a stream or as a document.

    POST /chat/completions                        -> chunks, or one chat.completion
    POST /openai/deployments/{model}/chat/...     the same, with `api-version` and the header `api-key`

Any key is good but `invalid`; none is needed where the request brings none to a model named `local`. Models whose name
begins with `unknown` do not exist. Behind results of tools the answer tells them. Nothing is kept between requests.
Source: platform.openai.com/docs/api-reference/chat, read 2026-11.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import takewhile
from typing import Any

import msgspec

from gateway.protocols.base import Head, Pause, Script, Send, SimulatedRequest, Step
from gateway.protocols.openai_chat.plays import (
    CHOICE,
    INVALID,
    PLAYS,
    REFUSALS,
    Asked,
    Chunk,
    Json,
    Move,
    Play,
    Raw,
    Refused,
    Wait,
    results,
    usual,
)

CREATED = 1793577600
"""Unix seconds: November 2026."""
ROLES = {"developer", "system", "user", "assistant", "tool"}

_encode = msgspec.json.encode

USUAL = Play("a friendly answer that comes word by word", usual)


class _Refusal(Exception):
    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.shows)
        self.refused = refused


class ChatSimulator:
    plays: Mapping[str, str] = {
        "": USUAL.shows,
        **{name: play.shows for name, play in PLAYS.items()},
        **{name: f"refused: {refused.shows}" for name, refused in REFUSALS.items()},
    }

    def __init__(self, play: str = "") -> None:
        self._play = play
        self._requests = 0

    def answer(self, request: SimulatedRequest) -> Script:
        self._requests += 1
        headers = {"x-request-id": f"req_{self._requests}"}
        try:
            body = _admitted(request)
            return self._perform(body, self._chosen(body), headers)
        except _Refusal as refusal:
            refused = refusal.refused
            data = refused.body if isinstance(refused.body, bytes) else _encode(refused.body)
            return [
                Head(refused.status, {"Content-Type": "application/json", **headers, **refused.headers}),
                Send(data),
            ]

    def _chosen(self, body: Json) -> Play:
        """The last play that the last message of the user names; the results of tools are told instead."""
        last = list(takewhile(lambda message: message["role"] == "tool", reversed(body["messages"])))
        if last:
            return results(_text(message["content"]) for message in reversed(last))
        named = [name for name in CHOICE.findall(_question(body)) if name in self.plays]
        name = named[-1] if named else self._play
        if name in REFUSALS:
            raise _Refusal(REFUSALS[name])
        return PLAYS.get(name, USUAL)

    def _perform(self, body: Json, play: Play, headers: dict[str, str]) -> Script:
        tools = body.get("tools") or [{"function": {"name": "get_weather"}}]
        moves = play.moves(Asked(_question(body), tools[0]["function"]["name"]))
        head = {"id": f"chatcmpl-{self._requests}", "created": CREATED, "model": body["model"]}
        if not body.get("stream"):
            return [Head(200, {"Content-Type": "application/json", **headers}), Send(_encode(_whole(head, moves)))]
        is_counted = play.is_counted and (body.get("stream_options") or {}).get("include_usage") is True
        steps = _streamed({**head, "object": "chat.completion.chunk"}, moves, is_counted=is_counted)
        end: list[Step] = [Send(b"data: [DONE]\n\n")] if play.is_done else []
        return [Head(200, {"Content-Type": "text/event-stream; charset=utf-8", **headers}), *steps, *end]


# --- how it is written


def _streamed(head: Json, moves: list[Move], *, is_counted: bool) -> Iterator[Step]:
    yield _data({**head, "choices": [_choice({"role": "assistant", "content": ""})]})
    for move in moves:
        if isinstance(move, Raw):
            yield Send(move.data)
        elif isinstance(move, Wait):
            yield Pause(move.seconds)
        elif move.delta is None and _is_error(move.top):
            yield _data(move.top)
        else:
            choices = [] if move.delta is None else [_choice(move.delta, move.finish)]
            yield _data({**head, "choices": choices, **move.top})
    if is_counted:
        yield _data({**head, "choices": [], "usage": _usage(len(moves))})


def _is_error(document: Json) -> bool:
    return "error" in document or document.get("object") == "error"


def _data(document: Json) -> Send:
    return Send(b"data: %b\n\n" % _encode(document))


def _choice(delta: Json, finish: str | None = None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _usage(output: int) -> Json:
    return {
        "prompt_tokens": 12,
        "completion_tokens": output,
        "total_tokens": 12 + output,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 0},
    }


def _whole(head: Json, moves: list[Move]) -> Json:
    """The same answer in one piece."""
    message: Json = {"role": "assistant", "content": None}
    document: Json = {**head, "object": "chat.completion", "usage": _usage(len(moves))}
    finish = None
    for move in moves:
        if isinstance(move, Chunk):
            document.update(move.top)
            finish = move.finish or finish
            _fold(message, move.delta or {})
    if _is_error(document):
        return document
    return {**document, "choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def _fold(message: Json, delta: Json) -> None:
    for name, value in delta.items():
        if name == "tool_calls":
            for fragment in value:
                _fold_call(message.setdefault("tool_calls", []), fragment)
        elif value is not None:
            before = message.get(name)
            message[name] = value if before is None or name == "role" else before + value


def _fold_call(calls: list[Json], fragment: Json) -> None:
    if "id" in fragment:
        calls.append({"id": fragment["id"], "type": "function", "function": dict(fragment["function"])})
    else:
        call = calls[fragment.get("index", len(calls) - 1)]
        call["function"]["arguments"] += fragment["function"]["arguments"]


# --- what is refused


def _admitted(request: SimulatedRequest) -> Json:
    model = _model_of_path(request)
    body = _body(request)
    if model is not None:
        body["model"] = model
    _check_key(request, body, header="Authorization" if model is None else "api-key")
    _check(body)
    if body["model"].startswith("unknown"):
        raise _Refusal(REFUSALS["model-not-found"])
    return body


def _model_of_path(request: SimulatedRequest) -> str | None:
    if request.method != "POST":
        raise _invalid(405, None, "Method not allowed")
    match request.path.split("/"):
        case ["", "chat", "completions"]:
            return None
        case ["", "openai", "deployments", model, "chat", "completions"] if "api-version" in request.query:
            return model
        case _:
            raise _invalid(404, None, f"Unknown request URL: POST {request.path}")


def _body(request: SimulatedRequest) -> Json:
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _invalid(400, None, "We could not parse the JSON body of your request") from None
    if not isinstance(body, dict):
        raise _invalid(400, None, "We expected an object")
    return body


def _check_key(request: SimulatedRequest, body: Json, header: str) -> None:
    key = request.headers.get(header, "").removeprefix("Bearer " if header == "Authorization" else "")
    if not key and body.get("model") != "local":
        raise _invalid(401, None, "You didn't provide an API key")
    if key == "invalid":
        raise _Refusal(REFUSALS["invalid-key"])


def _check(body: Json) -> None:
    for name, (fits, expected) in FIELDS.items():
        if body.get(name) is not None and not fits(body[name]):
            raise _invalid(400, name, f"Invalid '{name}': expected {expected}")
    for name in ("model", "messages"):
        if not body.get(name):
            raise _invalid(400, name, f"Missing required parameter: '{name}'")
    if body.get("stream_options") is not None and not body.get("stream"):
        raise _invalid(400, "stream_options", "The 'stream_options' parameter is only allowed when 'stream' is enabled")
    for name in ("tool_choice", "parallel_tool_calls"):
        if body.get(name) is not None and not body.get("tools"):
            raise _invalid(400, name, f"'{name}' is only allowed when 'tools' are specified")
    _check_messages(body["messages"])


def _check_messages(messages: list[Any]) -> None:
    owed: list[str] = []
    for number, message in enumerate(messages):
        where = f"messages.[{number}]"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ROLES:
            raise _invalid(400, f"{where}.role", "Invalid value for 'role'")
        if role == "tool":
            if message.get("tool_call_id") not in owed:
                raise _invalid(400, f"{where}.role", "A 'tool' message must answer a preceding message's 'tool_calls'")
            owed.remove(message["tool_call_id"])
        elif owed:
            raise _invalid(400, where, "An assistant message with 'tool_calls' must be followed by tool messages")
        calls = message.get("tool_calls") or []
        if not message.get("content") and not calls:
            raise _invalid(400, f"{where}.content", "Invalid value for 'content': expected a string, got null")
        owed += [call["id"] for call in calls]
    if owed:
        raise _invalid(400, "messages", "An assistant message with 'tool_calls' must be followed by tool messages")


def _invalid(status: int, param: str | None, message: str) -> _Refusal:
    error = {"message": message, "type": INVALID, "param": param, "code": None}
    return _Refusal(Refused(message, status, {"error": error}))


def _question(body: Json) -> str:
    return next((_text(said["content"]) for said in reversed(body["messages"]) if said["role"] == "user"), "")


def _text(content: str | list[Json]) -> str:
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def _is_number(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: type(value) in {int, float} and low <= value <= high


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 1


FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "model": (lambda value: isinstance(value, str), "a string"),
    "messages": (lambda value: isinstance(value, list), "an array"),
    "stream": (lambda value: isinstance(value, bool), "a boolean"),
    "temperature": (_is_number(0, 2), "a number from 0 to 2"),
    "top_p": (_is_number(0, 1), "a number from 0 to 1"),
    "max_tokens": (_is_count, "an integer of at least 1"),
    "max_completion_tokens": (_is_count, "an integer of at least 1"),
    "tools": (
        lambda value: isinstance(value, list) and all(tool.get("type") == "function" for tool in value),
        "an array of functions",
    ),
}

"""Anthropic, played: messages as a stream or one document, the count of their tokens, the list of models.

    POST /v1/messages                -> stream (with "stream": true) or {"type": "message"}
    POST /v1/messages/count_tokens   -> {"input_tokens"}
    GET  /v1/models, /v1/models/{id} -> {"data": [...]}, one of them

Every model exists whose id does not begin with `unknown`; every key is good but `invalid`. It keeps nothing: what was
said comes with each request, and is checked: who speaks first, results for every call and for no other, signatures as
they were given, and the sampling parameters that a version has.
Source: platform.claude.com/docs/en/api; read 2026-11.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.anthropic.plays import (
    CHOICE,
    PLAYS,
    REFUSALS,
    Exchange,
    Frame,
    Play,
    Refused,
    about_results,
    stream,
    usual,
    whole,
)
from gateway.protocols.base import Head, Script, Send, SimulatedRequest

VERSIONS = ("2023-06-01", "2026-10-21")
MODELS = ("claude-simulated", "claude-smaller")
TOKEN = 4
"""Characters."""
MIN_BUDGET = 1024

_encode = msgspec.json.encode


class AnthropicSimulator:
    plays: Mapping[str, str] = {
        "": "a friendly answer that comes word by word",
        **{name: play.shows for name, play in PLAYS.items()},
        **{name: f"refused: {refused.status} {refused.kind}" for name, refused in REFUSALS.items()},
    }

    def __init__(self, play: str = "") -> None:
        self._play = play
        self._requests = 0
        self._calls = 0

    def answer(self, request: SimulatedRequest) -> Script:
        self._requests += 1
        try:
            return self._door(request)(request)
        except _Refusal as refusal:
            return self._refuse(refusal.refused)

    def _door(self, request: SimulatedRequest) -> Callable[[SimulatedRequest], Script]:
        match request.method, request.path.split("/"):
            case "POST", ["", "v1", "messages"]:
                return self._message
            case "POST", ["", "v1", "messages", "count_tokens"]:
                return self._count
            case "GET", ["", "v1", "models"]:
                return self._list_models
            case "GET", ["", "v1", "models", _]:
                return self._get_model
            case _:
                raise _Refusal(Refused(404, "not_found_error", "Not found"))

    def _message(self, request: SimulatedRequest) -> Script:
        _admit(request)
        body = _body(request)
        _check(body, request.headers["anthropic-version"])
        asked, outputs = _last_said(body["messages"])
        name = self._choose(asked)
        if name in REFUSALS:
            raise _Refusal(REFUSALS[name])
        play = about_results(outputs) if outputs and not name else PLAYS.get(name) or usual(asked)
        exchange = self._exchange(body, play)
        if body.get("stream"):
            return [Head(200, self._headers("text/event-stream; charset=utf-8")), *stream(play, exchange)]
        return self._document(200, whole(play, exchange))

    def _choose(self, asked: str) -> str:
        named = [name for name in CHOICE.findall(asked) if name in self.plays]
        return named[-1] if named else self._play

    def _exchange(self, body: Frame, play: Play) -> Exchange:
        first = self._calls
        self._calls += len(play.blocks)
        return Exchange(f"msg_{self._requests:08d}", body["model"], _tokens(body), first, "cache_control" in body)

    def _count(self, request: SimulatedRequest) -> Script:
        _admit(request)
        body = _body(request)
        _check_messages(body)
        return self._document(200, {"input_tokens": _tokens(body)})

    def _list_models(self, request: SimulatedRequest) -> Script:
        _admit(request)
        data = [_model(name) for name in MODELS]
        return self._document(
            200, {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}
        )

    def _get_model(self, request: SimulatedRequest) -> Script:
        _admit(request)
        return self._document(200, _model(_known_model(request.path.rpartition("/")[2])))

    # How it is written.

    def _refuse(self, refused: Refused) -> Script:
        if refused.body is not None:
            return [Head(refused.status, {"Content-Type": "text/html"}), Send(refused.body)]
        details = {"details": refused.details} if refused.details else {}
        error = {"type": refused.kind, "message": refused.message, **details}
        body = {"type": "error", "error": error, "request_id": self._request_id}
        return self._document(refused.status, body, refused.headers)

    def _document(self, status: int, body: Frame, headers: Mapping[str, str] | None = None) -> Script:
        return [Head(status, {**self._headers("application/json"), **(headers or {})}), Send(_encode(body))]

    def _headers(self, content_type: str) -> dict[str, str]:
        return {"Content-Type": content_type, "request-id": self._request_id}

    @property
    def _request_id(self) -> str:
        return f"req_{self._requests:08d}"


# --- what was asked


def _last_said(messages: list[Frame]) -> tuple[str, list[str]]:
    """The text of the last message, and the results in it."""
    blocks = _blocks(messages[-1])
    texts = [block["text"] for block in blocks if block["type"] == "text"]
    outputs = [block.get("content") for block in blocks if block["type"] == "tool_result"]
    return "\n\n".join(texts), [output if isinstance(output, str) else _encode(output).decode() for output in outputs]


def _blocks(message: Frame) -> list[Frame]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _tokens(body: Frame) -> int:
    return len(_encode([body.get("system"), body["messages"], body.get("tools")])) // TOKEN


def _model(name: str) -> Frame:
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": "2026-02-01T00:00:00Z",
    }


# --- what is refused


class _Refusal(Exception):
    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.kind)
        self.refused = refused


def _invalid(message: str) -> _Refusal:
    return _Refusal(Refused(400, "invalid_request_error", message))


def _admit(request: SimulatedRequest) -> None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    key = request.headers.get("x-api-key") or (token if scheme == "Bearer" else "")
    if not key or key == "invalid":
        raise _Refusal(REFUSALS["unauthorized"])
    version = request.headers.get("anthropic-version")
    if version not in VERSIONS:
        raise _invalid("anthropic-version: header is required" if version is None else "anthropic-version: unknown")


def _body(request: SimulatedRequest) -> Frame:
    try:
        body = msgspec.json.decode(request.body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise _invalid("The request body is not valid JSON") from None
    if not isinstance(body, dict):
        raise _invalid("The request body is not an object")
    return body


class _Field(Struct, frozen=True):
    kind: Any
    is_needed: bool = False


FIELDS: dict[str, _Field] = {
    "model": _Field(str, True),
    "max_tokens": _Field(int, True),
    "messages": _Field(list, True),
    "stream": _Field(bool),
    "system": _Field(str | list),
    "tools": _Field(list),
    "tool_choice": _Field(dict),
    "thinking": _Field(dict),
    "output_config": _Field(dict),
    "temperature": _Field(int | float),
    "top_p": _Field(int | float),
    "top_k": _Field(int),
    "stop_sequences": _Field(list),
    "metadata": _Field(dict),
    "service_tier": _Field(str),
    "speed": _Field(str),
    "container": _Field(str | dict),
    "inference_geo": _Field(str),
    "cache_control": _Field(dict),
    "context_management": _Field(dict),
}

USER_BLOCKS = frozenset({"text", "image", "document", "tool_result", "search_result", "container_upload"})
ASSISTANT_BLOCKS = frozenset({"text", "tool_use", "thinking", "redacted_thinking"})


def _check(body: Frame, version: str) -> None:
    for name, field in FIELDS.items():
        if name not in body:
            if field.is_needed:
                raise _invalid(f"{name}: Field required")
        elif not isinstance(body[name], field.kind):
            raise _invalid(f"{name}: Input has the wrong type")
    for name in body:
        if name not in FIELDS:
            raise _invalid(f"{name}: Extra inputs are not permitted")
    _known_model(body["model"])
    if body["max_tokens"] < 1:
        raise _invalid("max_tokens: Input should be greater than or equal to 1")
    _check_sampling(body, version)
    _check_messages(body)
    _check_thinking(body)


def _known_model(name: str) -> str:
    if name.startswith("unknown"):
        raise _Refusal(Refused(404, "not_found_error", f"model: {name}"))
    return name


def _check_sampling(body: Frame, version: str) -> None:
    for name in ("temperature", "top_p", "top_k"):
        if name in body and version != VERSIONS[0]:
            raise _invalid(f"{name}: not supported in version {version}")
    if not 0 <= body.get("temperature", 1) <= 1:
        raise _invalid("temperature: range: 0..1")


def _check_thinking(body: Frame) -> None:
    budget = body.get("thinking", {}).get("budget_tokens")
    if budget is not None and not MIN_BUDGET <= budget < body["max_tokens"]:
        raise _invalid("`max_tokens` must be greater than `thinking.budget_tokens`")
    if body.get("thinking", {}).get("type") == "enabled":
        _check_thoughts(body.get("messages") or [])


def _check_thoughts(messages: list[Frame]) -> None:
    """A turn that goes on with tools' results begins with the thoughts that led to their calls."""
    answers = [message for message in messages if message["role"] == "assistant"]
    if not answers or _blocks(messages[-1])[0]["type"] != "tool_result":
        return
    if _blocks(answers[-1])[0]["type"] not in {"thinking", "redacted_thinking"}:
        raise _invalid("When `thinking` is enabled, a final `assistant` message must start with a thinking block")


def _check_messages(body: Frame) -> None:
    messages = body.get("messages")
    if not messages:
        raise _Refusal(REFUSALS["bad-request"])
    if messages[0]["role"] != "user":
        raise _invalid("messages: first message must use the user role")
    if messages[-1]["role"] != "user":
        raise _invalid("This model does not support assistant message prefill.")
    open_calls: list[str] = []
    for number, message in enumerate(messages):
        allowed = USER_BLOCKS if message["role"] == "user" else ASSISTANT_BLOCKS
        blocks = _blocks(message)
        for place, block in enumerate(blocks):
            _check_block(block, allowed, f"messages.{number}.content.{place}")
        _check_results(open_calls, blocks, number)
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]


def _check_block(block: Frame, allowed: frozenset[str], path: str) -> None:
    if block["type"] not in allowed:
        raise _invalid(f"{path}: Input tag '{block['type']}' does not match any of the expected tags")
    if block["type"] == "text" and not block["text"].strip():
        raise _invalid(f"{path}: text content blocks must contain non-whitespace text")
    if block["type"] == "thinking" and not block.get("signature"):
        raise _invalid(f"{path}: Invalid `signature` in `thinking` block")


def _check_results(calls: list[str], blocks: list[Frame], number: int) -> None:
    """The results of a message's calls stand first in the next one, and there are no others."""
    results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    leading = [block["type"] for block in blocks[: len(results)]]
    if sorted(results) != sorted(calls):
        missing = "without `tool_result` blocks" if set(calls) - set(results) else "unexpected `tool_use_id` found"
        raise _invalid(f"messages.{number}: `tool_use` ids: {missing}")
    if any(kind != "tool_result" for kind in leading):
        raise _invalid(f"messages.{number}: `tool_result` blocks must come first")

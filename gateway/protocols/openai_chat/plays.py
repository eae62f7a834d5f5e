"""What the simulated server can play: each play as the chunks it streams, and the refusals.

Written from OpenAI's reference, the manuals of the compatible servers and recordings of them, apart from what the
translator knows. A play is a list of moves; a whole answer is folded from the same list. Read 2026-11.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

Json = dict[str, Any]

CHOICE = re.compile(r"\[play:([a-z0-9-]+)\]")
ECHOED_WORDS = 6
REMARK = "This is a simulated completion, and it comes in small pieces, as a real one does."


class Chunk(Struct, frozen=True):
    """One chunk; `choices` is [] where neither `delta` nor `finish` is given. `top` stands beside `choices`."""

    delta: Json | None = None
    finish: str | None = None
    top: Json = {}


class Raw(Struct, frozen=True):
    """Bytes between the chunks."""

    data: bytes


class Wait(Struct, frozen=True):
    seconds: float


Move = Chunk | Raw | Wait


class Asked(Struct, frozen=True):
    """What a play may use of the request."""

    text: str
    tool: str


class Play(Struct, frozen=True):
    shows: str
    moves: Callable[[Asked], list[Move]]
    is_counted: bool = True
    """Whether usage follows in a chunk of its own where it was asked for."""
    is_done: bool = True
    """Whether `[DONE]` follows."""


class Refused(Struct, frozen=True):
    shows: str
    status: int
    body: Json | bytes
    headers: dict[str, str] = {}


def words(text: str) -> list[str]:
    return re.findall(r"\s*\S+", text)


def said(text: str) -> list[Move]:
    return [Chunk({"content": piece}) for piece in words(text)]


def usual(asked: Asked) -> list[Move]:
    lines = CHOICE.sub("", asked.text).strip().splitlines() or ["nothing"]
    echo = " ".join(lines[-1].split()[:ECHOED_WORDS])
    return [*said(f"You asked: {echo}. {REMARK}"), Chunk({}, "stop")]


def results(outputs: Iterable[str]) -> Play:
    text = f"The tools say {', '.join(outputs)}."
    return Play("", lambda _: [*said(text), Chunk({}, "stop")])


def _call(index: int, name: str, arguments: str = "", **more: Any) -> Json:
    function = {"name": name, "arguments": arguments}
    return {"index": index, "id": f"call_{index}", "type": "function", "function": function, **more}


def _more(index: int, arguments: str) -> Json:
    return {"index": index, "function": {"arguments": arguments}}


def _calls(*fragments: Json) -> Chunk:
    return Chunk({"tool_calls": list(fragments)})


def _error(code: str | int | None, message: str, **more: Any) -> Json:
    return {"error": {"message": message, "type": "server_error", "param": None, "code": code, **more}}


def _tool(asked: Asked) -> list[Move]:
    return [
        *said("Let me see."),
        _calls(_call(0, asked.tool)),
        _calls(_more(0, '{"city"')),
        _calls(_more(0, ':"Oslo"}')),
        Chunk({}, "tool_calls"),
    ]


def _interleaved(asked: Asked) -> list[Move]:
    return [
        _calls(_call(0, asked.tool), _call(1, asked.tool)),
        _calls(_more(0, '{"city":')),
        _calls(_more(1, '{"city":')),
        _calls(_more(0, '"Oslo"}')),
        _calls(_more(1, '"Rome"}')),
        Chunk({}, "tool_calls"),
    ]


def _whole_calls(asked: Asked) -> list[Move]:
    first, second = _call(0, asked.tool, '{"city":"Oslo"}'), _call(1, asked.tool, '{"city":"Rome"}')
    return [_calls(first, second), Chunk({}, "tool_calls")]


def _calls_without_index(asked: Asked) -> list[Move]:
    first, second = _call(0, asked.tool, '{"city":'), _call(1, asked.tool, "{}")
    rest = {"function": {"arguments": '"Oslo"}'}}
    return [_calls(_unnumbered(first)), _calls(rest), _calls(_unnumbered(second)), Chunk({}, "stop")]


def _unnumbered(fragment: Json) -> Json:
    return {name: value for name, value in fragment.items() if name != "index"}


def _cut_call(asked: Asked) -> list[Move]:
    return [_calls(_call(0, asked.tool, '{"city": "Os')), Chunk({}, "length")]


def _reasoning(field: str) -> Callable[[Asked], list[Move]]:
    def moves(asked: Asked) -> list[Move]:
        return [*(Chunk({"content": None, field: piece}) for piece in ("Let me", " think.")), *usual(asked)]

    return moves


def _details(asked: Asked) -> list[Move]:
    def piece(text: str | None, **more: str) -> Chunk:
        detail = {"type": "reasoning.text", "format": "example-v1", "index": 0, **more}
        told = detail if text is None else {**detail, "text": text}
        return Chunk({"content": "", "reasoning": text, "reasoning_details": [told]})

    return [
        Raw(b": PROCESSING\n\n"),
        piece("Let me"),
        piece(" think."),
        piece(None, signature="c2lnbmVk"),
        *usual(asked),
    ]


def _thinking_parts(_: Asked) -> list[Move]:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Let me think."}]}
    told = [Chunk({"content": [{"type": "text", "text": piece}]}) for piece in ("That ", "was ", "all.")]
    return [Chunk({"content": [thought]}), *told, Chunk({}, "stop")]


def _tags(asked: Asked) -> list[Move]:
    return [Chunk({"content": piece}) for piece in ("<thi", "nk>Let me think.</", "think>\n\n")] + usual(asked)


def _executed(asked: Asked) -> list[Move]:
    tool = {"index": 0, "type": "search", "arguments": '{"query":"qubits"}'}
    found = {"results": [{"url": PAGES[0], "title": "Qubits", "content": "What a qubit is.", "score": 0.9}]}
    return [
        Chunk({"executed_tools": [tool]}),
        Chunk({"executed_tools": [{**tool, "output": "Title: Qubits", "search_results": found}]}),
        *usual(asked),
    ]


PAGES = ["https://example.org/q", "https://example.org/s"]


def _citations(asked: Asked) -> list[Move]:
    found = [{"url": PAGES[0], "title": "Qubits", "snippet": "What a qubit is."}]
    moves = []
    for number, move in enumerate(usual(asked), 1):
        usage = {"prompt_tokens": 10, "completion_tokens": number, "total_tokens": 10 + number}
        top = {"citations": PAGES, "search_results": found, "usage": usage}
        moves.append(Chunk(move.delta, move.finish, top) if isinstance(move, Chunk) else move)
    return [*moves]


def _annotations(_: Asked) -> list[Move]:
    citation = {"url": PAGES[0], "title": "Qubits", "start_index": 0, "end_index": 6}
    return [
        *said("Qubits are two-level systems."),
        Chunk({"annotations": [{"type": "url_citation", "url_citation": citation}]}),
        Chunk({}, "stop"),
    ]


def _prompt_filter(asked: Asked) -> list[Move]:
    return [Chunk(top={"id": "", "model": "", "object": "", "created": 0, "prompt_filter_results": []}), *usual(asked)]


def _image(_: Asked) -> list[Move]:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    return [Chunk({"content": "", "images": [image]}), Chunk({}, "stop")]


def _ends(*moves: Move) -> Callable[[Asked], list[Move]]:
    return lambda _: [*said("Quantum bits"), *moves]


USAGE_AT_THE_END: Json = {"usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}}
NO_CALL = _error("tool_use_failed", "Tool call validation failed", type="invalid_request_error", status_code=400)

PLAYS: dict[str, Play] = {
    "reasoning": Play("reasoning_content before the answer", _reasoning("reasoning_content")),
    "reasoning-field": Play("the same as `reasoning`", _reasoning("reasoning")),
    "reasoning-details": Play("comments, reasoning twice, a signature", _details),
    "thinking-parts": Play("content as parts, of which the first thinks", _thinking_parts),
    "think-tags": Play("reasoning in tags, cut at any place", _tags),
    "tool-call": Play("a text and one call of the client's tool", _tool),
    "parallel-calls": Play("two calls whose fragments take turns", _interleaved),
    "whole-calls": Play("two calls, each in one fragment", _whole_calls),
    "calls-without-index": Play("two calls told apart by id, ending with `stop`", _calls_without_index),
    "executed-tools": Play("a search that the server runs itself", _executed),
    "cut-call": Play("a call cut by length", _cut_call),
    "citations": Play("citations, results and running usage on every chunk", _citations, is_counted=False),
    "annotations": Play("a text with a url_citation", _annotations),
    "prompt-filter": Play("a first chunk without choices, id and model", _prompt_filter),
    "image": Play("an image and no text", _image),
    "usage-with-finish": Play(
        "usage on the chunk that finishes", _ends(Chunk({}, "stop", USAGE_AT_THE_END)), is_counted=False
    ),
    "no-done": Play("a clean end without [DONE]", usual, is_done=False),
    "no-finish": Play("[DONE] without a finish reason", _ends()),
    "heartbeats": Play("comments while nothing is said", _ends(Raw(b": keep-alive\n\n"), Wait(0.1), Chunk({}, "stop"))),
    "length": Play("an answer cut by length", _ends(Chunk({}, "length"))),
    "content-filter": Play("an answer that the filter ends", _ends(Chunk({}, "content_filter"))),
    "refusal": Play("a refusal", lambda _: [Chunk({"refusal": "I cannot do that."}), Chunk({}, "stop")]),
    "cut": Play("a clean end without a finish reason", _ends(), is_done=False),
    "error": Play("an error as a chunk", _ends(Chunk(top=_error("server_error", "The server had an error")))),
    "error-quota": Play("the quota runs out", _ends(Chunk(top=_error("insufficient_quota", "You exceeded it")))),
    "error-event": Play(
        "an `event: error`",
        _ends(Raw(b"event: error\n"), Chunk(top=NO_CALL)),
        is_counted=False,
        is_done=False,
    ),
    "error-beside-choices": Play(
        "an error on a chunk with a delta", _ends(Chunk({"content": ""}, "error", _error(502, "Provider disconnected")))
    ),
    "error-after-finish": Play(
        "an error behind a finish reason", _ends(Chunk({}, "length"), Chunk({"content": ""}, None, _error(502, "Gone")))
    ),
    "error-finish": Play("a finish reason that is none", _ends(Chunk({}, "insufficient_system_resource"))),
    "error-flat": Play(
        "an error without an envelope",
        _ends(Chunk(top={"object": "error", "message": "Out of memory", "type": "InternalServerError", "code": 500})),
    ),
}


def _refusal(kind: str, code: str | None, message: str, param: str | None = None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


INVALID = "invalid_request_error"
LIMITED = "Rate limit reached for requests"

REFUSALS: dict[str, Refused] = {
    "invalid-key": Refused("401", 401, _refusal(INVALID, "invalid_api_key", "Incorrect API key provided")),
    "forbidden": Refused(
        "403", 403, _refusal("request_forbidden", "unsupported_country_region_territory", "Country not supported")
    ),
    "model-not-found": Refused("404", 404, _refusal(INVALID, "model_not_found", "The model does not exist", "model")),
    "rate-limited": Refused(
        "429 with milliseconds to wait",
        429,
        _refusal("requests", "rate_limit_exceeded", LIMITED),
        {"retry-after-ms": "1500", "retry-after": "2"},
    ),
    "rate-limited-reset": Refused(
        "429 with the resets alone",
        429,
        _refusal("requests", "rate_limit_exceeded", LIMITED),
        {
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "1m30s",
            "x-ratelimit-remaining-tokens": "10",
            "x-ratelimit-reset-tokens": "6m0s",
        },
    ),
    "quota": Refused("429 insufficient_quota", 429, _refusal("insufficient_quota", "insufficient_quota", "Exceeded")),
    "no-credits": Refused("402", 402, {"error": {"code": 402, "message": "Insufficient credits"}}),
    "too-long": Refused("400", 400, _refusal(INVALID, "context_length_exceeded", "Too many tokens", "messages")),
    "too-long-flat": Refused(
        "400 without a code for it",
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "filtered": Refused(
        "400 content_filter",
        400,
        {
            "error": {
                "message": "The prompt was filtered",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
    ),
    "overloaded": Refused("503", 503, _refusal("server_error", None, "The engine is currently overloaded")),
    "server-error": Refused("500", 500, _refusal("server_error", None, "The server had an error")),
    "bad-gateway": Refused("502 in HTML", 502, b"<html><h1>502 Bad Gateway</h1></html>", {"Content-Type": "text/html"}),
}

"""What the simulated server of OpenAI's Responses can play; `writing.py` writes it.

An answer is a row of pieces, each an item of the output. `Play.style` chooses among the spellings seen in the wild:

    openai       an `event:` line and a `sequence_number` in every frame, each item bracketed
    bare         as compatible servers: no `event:` line, comments in between, `[DONE]` at the end
    rotating     as GitHub's server: another id in every frame
    no-deltas    as LM Studio: arguments and texts whole, in their `done` alone

Source: openai 3.52.0 `types/responses`, recordings in tests/protocols; read 2026-11.
"""

import re
from typing import Any, Literal

from msgspec import Struct

Frame = dict[str, Any]

CHOICE = re.compile(r"\[play:([a-z0-9-]+)\]\s*")
_WORD = re.compile(r"\S+\s*")

PIXEL = "iVBORw0KGgo="


# --- what is played


class Text(Struct, frozen=True):
    deltas: tuple[str, ...]
    annotations: tuple[Frame, ...] = ()
    status: str = "completed"


class Refusal(Struct, frozen=True):
    deltas: tuple[str, ...]


class Reasoning(Struct, frozen=True):
    """Its summary, part by part."""

    parts: tuple[str, ...]


class Call(Struct, frozen=True):
    """A function call; `fragments` spell its arguments."""

    name: str
    fragments: tuple[str, ...]
    status: str = "completed"


class Together(Struct, frozen=True):
    """Two calls whose arguments come in turns."""

    first: Call
    second: Call


class Custom(Struct, frozen=True):
    name: str
    deltas: tuple[str, ...]


class Mcp(Struct, frozen=True):
    name: str
    fragments: tuple[str, ...]
    output: str | None = None
    error: str | None = None


class Hosted(Struct, frozen=True):
    """Another item of the vendor's own tools: `begun` as it is added, `progress` in between, `ended` as it is done."""

    begun: Frame
    ended: Frame
    progress: tuple[Frame, ...] = ()


class Raw(Struct, frozen=True):
    """A frame as it stands; a document has no place for it."""

    frame: Frame


Piece = Text | Refusal | Reasoning | Call | Together | Custom | Mcp | Hosted | Raw


class Play(Struct, frozen=True):
    """One answer. `ends` False: the stream breaks off behind the last piece. `fault`: how it fails instead."""

    shows: str
    pieces: tuple[Piece, ...]
    status: Literal["completed", "incomplete", "failed", "cancelled"] = "completed"
    incomplete_reason: str | None = None
    fault: Frame | None = None
    style: Literal["openai", "bare", "rotating", "no-deltas"] = "openai"
    ends: bool = True
    pace: float = 0


WEATHER = Call("weather", ('{"city"', ':"Kyiv"}'))
TIME = Call("time", ("{}",))
BROKEN_OFF = (Text(("Let me", " see"), status="in_progress"),)
HELLO = (Text(("Hello", " there.")),)
CITED = Text(
    ("Mount Columbia ", "(example.com)."),
    (
        {
            "type": "url_citation",
            "url": "https://example.com/columbia",
            "title": "Mount Columbia",
            "start_index": 15,
            "end_index": 28,
        },
    ),
)
SEARCH = Hosted(
    {"type": "web_search_call", "status": "in_progress"},
    {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "mountain"}},
    ({"type": "response.web_search_call.searching"},),
)
CODE = Hosted(
    {"type": "code_interpreter_call", "status": "in_progress", "code": "", "container_id": "cntr_1", "outputs": []},
    {
        "type": "code_interpreter_call",
        "status": "completed",
        "code": 'print("hi")',
        "container_id": "cntr_1",
        "outputs": [{"type": "logs", "logs": "hi\n"}],
    },
    (
        {"type": "response.code_interpreter_call_code.delta", "delta": "print("},
        {"type": "response.code_interpreter_call_code.delta", "delta": '"hi")'},
        {"type": "response.code_interpreter_call_code.done", "code": 'print("hi")'},
    ),
)
IMAGE = Hosted(
    {"type": "image_generation_call", "status": "in_progress"},
    {"type": "image_generation_call", "status": "completed", "output_format": "png", "result": PIXEL},
    (
        {
            "type": "response.image_generation_call.partial_image",
            "partial_image_b64": PIXEL,
            "partial_image_index": 0,
        },
    ),
)
ASKING = Hosted(
    {"type": "mcp_approval_request", "name": "delete_file", "server_label": "disk", "arguments": '{"path":"/tmp/a"}'},
    {"type": "mcp_approval_request", "name": "delete_file", "server_label": "disk", "arguments": '{"path":"/tmp/a"}'},
)
APPROVED = (Mcp("delete_file", ('{"path":"/tmp/a"}',), "deleted"), Text(("It is", " gone.")))
DECLINED = (Text(("Then I leave", " it.")),)

QUOTA = {"type": "insufficient_quota", "code": "insufficient_quota", "message": "You exceeded your current quota"}

PLAYS: dict[str, Play] = {
    "hello": Play("a text in two deltas", HELLO),
    "reasoning": Play(
        "a reasoning of two paragraphs, sealed, then a text",
        (Reasoning(("First this.", "Then that.")), *HELLO),
    ),
    "tool": Play("a function call", (Text(("Let me look.",)), WEATHER)),
    "two-tools": Play(
        "a reasoning, then two function calls in turns", (Reasoning(("Both.",)), Together(WEATHER, TIME))
    ),
    "custom-tool": Play("a custom tool call", (Custom("run_sql", ("select ", '"a"')),)),
    "mcp": Play(
        "a tool that runs at the vendor, and one that fails there",
        (
            Mcp("search", ('{"q":', '"x"}'), "found"),
            Mcp("fetch", ("{}",), error="no such page"),
            *HELLO,
        ),
    ),
    "search": Play("a web search and a citation", (SEARCH, CITED)),
    "code": Play("a program that ran", (CODE, *HELLO)),
    "image": Play("an image", (IMAGE, *HELLO)),
    "approval": Play("a tool that wants to be approved", (ASKING,)),
    "length": Play(
        "an answer cut in a call",
        (*HELLO, Call("weather", ('{"ci',), "incomplete")),
        "incomplete",
        "max_output_tokens",
    ),
    "filtered": Play("an answer that was filtered half way", HELLO, "incomplete", "content_filter"),
    "steered": Play("an answer that ended for another reason", HELLO, "incomplete", "steered"),
    "refusal": Play("a refusal", (Refusal(("I can", "not.")),)),
    "cancelled": Play("an answer that somebody canceled", HELLO, "cancelled"),
    "bare": Play("as a compatible server", HELLO, style="bare"),
    "rotating": Play("ids that change in every frame", (Reasoning(("Hm.",)), *HELLO, WEATHER), style="rotating"),
    "no-deltas": Play("texts and arguments without deltas", (*HELLO, WEATHER), style="no-deltas"),
    "unknown-frame": Play(
        "a frame and an item that nobody knows",
        (
            Raw({"type": "response.sparkle", "n": 1}),
            Hosted({"type": "sparkle_call"}, {"type": "sparkle_call", "status": "completed"}),
            *HELLO,
        ),
    ),
    "cut": Play("the end of bytes before a terminal", BROKEN_OFF, ends=False),
    "error-first": Play(
        "an error before any content", (Raw({"type": "error", "error": QUOTA}),), "failed", fault=QUOTA
    ),
    "error-flat": Play(
        "a flat error behind two deltas",
        (*BROKEN_OFF, Raw({"type": "error", "code": "server_error", "message": "It broke", "param": None})),
        ends=False,
    ),
    "error-nested": Play(
        "an error behind two deltas, and the failed response",
        (*BROKEN_OFF, Raw({"type": "error", "error": {"code": "server_error", "message": "It broke"}})),
        "failed",
        fault={"code": "server_error", "message": "It broke"},
    ),
    "failed": Play(
        "a failed response without an error in front",
        (),
        "failed",
        fault={"code": "rate_limit_exceeded", "message": "Slow down"},
    ),
}


class Refused(Struct, frozen=True):
    """An HTTP refusal."""

    status: int
    code: str | None
    message: str
    type: str = "invalid_request_error"
    headers: dict[str, str] = {}
    param: str | None = None


REFUSALS: dict[str, Refused] = {
    "bad-request": Refused(400, "invalid_value", "Invalid value"),
    "too-long": Refused(400, "context_length_exceeded", "Your input exceeds the context window of this model."),
    "policy": Refused(400, "invalid_prompt", "Your prompt was flagged"),
    "invalid-key": Refused(401, "invalid_api_key", "Incorrect API key provided"),
    "forbidden": Refused(403, "unsupported_country_region_territory", "Not supported", "request_forbidden"),
    "not-found": Refused(404, "model_not_found", "The model does not exist or you do not have access to it."),
    "rate-limit": Refused(
        429,
        "rate_limit_exceeded",
        "Rate limit reached",
        "requests",
        {"retry-after-ms": "1500", "retry-after": "2", "x-ratelimit-reset-requests": "1.5s"},
    ),
    "rate-limit-reset": Refused(
        429,
        "rate_limit_exceeded",
        "Rate limit reached",
        "tokens",
        {"x-ratelimit-reset-requests": "12ms", "x-ratelimit-reset-tokens": "1m30s"},
    ),
    "quota": Refused(429, "insufficient_quota", "You exceeded your current quota", "insufficient_quota"),
    "internal": Refused(500, None, "The server had an error", "server_error"),
    "overloaded": Refused(503, None, "The engine is currently overloaded", "service_unavailable"),
}


def usual(message: str) -> Play:
    lines = [line for line in CHOICE.sub("", message).splitlines() if line.strip()]
    words = " ".join(lines[-1].split()[:6]) if lines else "nothing"
    text = f"You asked: “{words}”. I am a simulated model, so all I can do is repeat it."
    return Play("", (Text(tuple(_WORD.findall(text))),), pace=0.02)

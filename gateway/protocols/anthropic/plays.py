"""What the simulated Anthropic can play: answers block by block, refusals, and both spellings of an answer.

    stream     message_start, the blocks, message_delta, message_stop, one `Send` each; a line may end in blanks
    whole      the same answer as one document

Written from the manual and the recordings, apart from what the translator knows. Read 2026-11.
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.base import Pause, Reset, Send, Step

Frame = dict[str, Any]

CHOICE = re.compile(r"\[play:([a-z0-9-]+)\]\s*")
_WORD = re.compile(r"\S+\s*")


# --- what is played


class Block(Struct, frozen=True):
    """`begins` is the block at its start; the deltas grow it; `is_cut` where its end never comes."""

    begins: Frame
    deltas: tuple[Frame, ...] = ()
    is_cut: bool = False


class Play(Struct, frozen=True):
    """One answer. `before` and `after` are events around its blocks; `ends` False: the stream breaks off."""

    shows: str
    blocks: tuple[Block, ...]
    stop: str | None = "end_turn"
    stop_sequence: str | None = None
    details: Frame | None = None
    before: tuple[Frame, ...] = ()
    after: tuple[Frame, ...] = ()
    ends: bool = True
    resets: bool = False
    pace: float = 0


class Refused(Struct, frozen=True):
    """An error answer; `body` where a proxy gives it."""

    status: int
    kind: str
    message: str
    headers: dict[str, str] = {}
    details: Frame = {}
    body: bytes | None = None


def text(*deltas: str) -> Block:
    return Block({"type": "text", "text": ""}, tuple({"type": "text_delta", "text": delta} for delta in deltas))


def cited(said: str, *citations: Frame) -> Block:
    cites = tuple({"type": "citations_delta", "citation": citation} for citation in citations)
    return Block({"type": "text", "text": "", "citations": []}, ({"type": "text_delta", "text": said}, *cites))


def thinking(*deltas: str, signature: str) -> Block:
    thoughts = tuple({"type": "thinking_delta", "thinking": delta} for delta in deltas)
    signed = {"type": "signature_delta", "signature": signature}
    return Block({"type": "thinking", "thinking": "", "signature": ""}, (*thoughts, signed))


def call(kind: str, number: int, name: str, *fragments: str, **fields: str) -> Block:
    """`@n` is the n-th call's id."""
    return Block(
        {"type": kind, "id": f"@{number}", "name": name, "input": {}, **fields},
        tuple({"type": "input_json_delta", "partial_json": fragment} for fragment in ("", *fragments)),
    )


def outcome(kind: str, number: int, content: Any, **fields: Any) -> Block:
    return Block({"type": kind, "tool_use_id": f"@{number}", "content": content, **fields})


LOOK_UP = call("tool_use", 1, "lookup_order", '{"order', '_id": "42"}')
WEATHER = call("tool_use", 2, "get_weather", '{"city": ', '"Kyiv"}')
SEARCH = call("server_tool_use", 1, "web_search", '{"query": "gate', 'ways"}')
FOUND = [
    {
        "type": "web_search_result",
        "url": "https://gateways.test/",
        "title": "Gateways",
        "encrypted_content": "EqgfCioIARgB",
        "page_age": None,
    }
]
ON_THE_WEB = {
    "type": "web_search_result_location",
    "url": "https://gateways.test/",
    "title": "Gateways",
    "encrypted_index": "Eo8BCioIAhgB",
    "cited_text": "A gateway joins two networks.",
}
IN_A_DOCUMENT = {
    "type": "char_location",
    "cited_text": "Orders ship within two days.",
    "document_index": 0,
    "document_title": "Terms",
    "start_char_index": 0,
    "end_char_index": 28,
}
UPLOADED = {"type": "container_upload", "file_id": "file_011CNha8iCJcU1wXNR6q4V8w"}
MOVED = {"type": "fallback", "from": {"model": "claude-simulated"}, "to": {"model": "claude-smaller"}}
BROKEN_OFF = (text("Let me", " see"),)


def error(kind: str, message: str) -> Frame:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_in_stream"}


PLAYS: dict[str, Play] = {
    "thinking": Play(
        "thoughts with their signature", (thinking("Let me", " think.", signature="EqQBsig"), text("42."))
    ),
    "redacted": Play(
        "a thought that may not be read",
        (Block({"type": "redacted_thinking", "data": "EmwKAhgB"}), text("I cannot", " tell why.")),
    ),
    "tool": Play("a call of the client's tool", (text("Let me look."), LOOK_UP), stop="tool_use"),
    "two-tools": Play("two calls, one behind the other", (LOOK_UP, WEATHER), stop="tool_use"),
    "no-arguments": Play("a call without arguments", (call("tool_use", 1, "list_orders"),), stop="tool_use"),
    "web-search": Play(
        "a search on the web, and what it is cited for",
        (
            SEARCH,
            outcome("web_search_tool_result", 1, FOUND),
            cited("A gateway joins networks.", ON_THE_WEB),
        ),
    ),
    "web-fetch-error": Play(
        "a tool of the vendor's that fails",
        (
            call("server_tool_use", 1, "web_fetch", '{"url": "https://nowhere.test"}'),
            outcome(
                "web_fetch_tool_result",
                1,
                {"type": "web_fetch_tool_result_error", "error_code": "url_not_accessible"},
            ),
            text("I could not read it."),
        ),
    ),
    "mcp": Play(
        "a tool of another server",
        (
            call("mcp_tool_use", 1, "echo", '{"text": "hi"}', server_name="echoes"),
            outcome("mcp_tool_result", 1, [{"type": "text", "text": "hi"}], is_error=False),
            text("It says hi."),
        ),
    ),
    "documents": Play("a citation of a document", (cited("Two days.", IN_A_DOCUMENT),)),
    "file": Play("a file of the container's", (Block(UPLOADED), text("Here it is."))),
    "length": Play(
        "cut in a call's arguments: its block has no end",
        (text("I write it"), msgspec.structs.replace(LOOK_UP, deltas=LOOK_UP.deltas[:2], is_cut=True)),
        stop="max_tokens",
    ),
    "context-window": Play("cut by the model's window", (text("So much"),), stop="model_context_window_exceeded"),
    "stop-sequence": Play("a stop sequence", (text("One"),), stop="stop_sequence", stop_sequence="two"),
    "pause": Play("a turn that takes long", (SEARCH, text("I am still looking.")), stop="pause_turn"),
    "refusal": Play(
        "a refusal in mid-answer",
        (text("First"),),
        stop="refusal",
        details={"type": "refusal", "category": "cyber", "explanation": "This could harm."},
    ),
    "refused": Play("a refusal without a word", (), stop="refusal"),
    "fallback": Play("another model goes on", (text("One"), Block(MOVED), text(" two."))),
    "new-things": Play(
        "events, deltas and blocks of types that are yet to come",
        (
            Block({"type": "hologram", "depth": 3}),
            msgspec.structs.replace(
                text("Hello"), deltas=({"type": "glow_delta", "glow": 1}, {"type": "text_delta", "text": "Hello"})
            ),
        ),
        before=({"type": "weather", "sun": True},),
    ),
    "reason-to-come": Play("an unknown reason to stop", (text("Hello"),), stop="tide"),
    "late": Play("an answer with a pause between its words", (text("One", " two", " three"),), pace=0.3),
    "overloaded-first": Play(
        "`overloaded_error` before any block", (), after=(error("overloaded_error", "Overloaded"),), ends=False
    ),
    "overloaded": Play(
        "`overloaded_error` after two deltas", BROKEN_OFF, after=(error("overloaded_error", "Overloaded"),), ends=False
    ),
    "api-error": Play(
        "`api_error` after two deltas", BROKEN_OFF, after=(error("api_error", "Internal server error"),), ends=False
    ),
    "rate-limit-error": Play(
        "`rate_limit_error` in the stream", BROKEN_OFF, after=(error("rate_limit_error", "Slow down"),), ends=False
    ),
    "started-twice": Play(
        "two starts before any block, as a proxy sends them", (text("Hello"),), before=({"type": "message_start"},)
    ),
    "spliced": Play(
        "a second start in mid-answer, as of a proxy that tried again", BROKEN_OFF, after=({"type": "message_start"},)
    ),
    "cut": Play("the stream ends early", BROKEN_OFF, ends=False),
    "reset": Play("the connection is torn down", BROKEN_OFF, ends=False, resets=True),
}

REFUSALS: dict[str, Refused] = {
    "bad-request": Refused(400, "invalid_request_error", "messages: at least one message is required"),
    "too-long": Refused(400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"),
    "filtered": Refused(400, "invalid_request_error", "Output blocked by content filtering policy"),
    "no-credit": Refused(400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
    "unauthorized": Refused(401, "authentication_error", "invalid x-api-key"),
    "billing": Refused(402, "billing_error", "There is an issue with your billing."),
    "forbidden": Refused(403, "permission_error", "Your API key may not use this resource."),
    "no-model": Refused(404, "not_found_error", "model: claude-unknown"),
    "too-large": Refused(413, "request_too_large", "Request exceeds the maximum size"),
    "conflict": Refused(409, "conflict_error", "Another request is in the way."),
    "rate-limited": Refused(
        429,
        "rate_limit_error",
        "This request would exceed your organization's rate limit.",
        headers={
            "retry-after": "17",
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2026-11-02T12:00:17Z",
        },
    ),
    "spend-limit": Refused(
        429,
        "rate_limit_error",
        "Your organization has reached its spend limit.",
        headers={"x-should-retry": "false"},
        details={"error_code": "enforced_spend_limit_reached"},
    ),
    "internal": Refused(500, "api_error", "Internal server error"),
    "timeout": Refused(504, "timeout_error", "Request timed out"),
    "too-busy": Refused(529, "overloaded_error", "Overloaded", headers={"x-should-retry": "true"}),
    "proxy": Refused(502, "", "", body=b"<html><h1>502 Bad Gateway</h1></html>"),
}


def usual(asked: str) -> Play:
    said = f"You asked: {CHOICE.sub('', asked).strip()}. This is Anthropic's simulator, and it answers word by word."
    return Play("", (text(*_WORD.findall(said)),))


def about_results(outputs: list[str]) -> Play:
    return Play("", (text("The tools say ", f"{', '.join(outputs)}."),))


# --- how it is written


class Exchange(Struct, frozen=True):
    message_id: str
    model: str
    asked_tokens: int
    first_call: int
    is_cached: bool = False

    def identified(self, block: Frame) -> Frame:
        """`@n` becomes an id as the vendor gives them."""
        prefix = {"server_tool_use": "srvtoolu", "mcp_tool_use": "mcptoolu", "tool_use": "toolu"}
        given = dict(block)
        if "id" in given:
            given["id"] = f"{prefix[given['type']]}_{self._number(given['id'])}"
        if "tool_use_id" in given:
            kind = "mcptoolu" if given["type"] == "mcp_tool_result" else "srvtoolu"
            given["tool_use_id"] = f"{kind}_{self._number(given['tool_use_id'])}"
        return given

    def _number(self, mark: str) -> str:
        return f"{self.first_call + int(mark[1:]):08d}"

    def begun(self) -> Frame:
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {**self.cached(), "output_tokens": 1},
        }

    def cached(self) -> Frame:
        """Where the request asks for a cache, a tenth of it is read from there."""
        read = self.asked_tokens // 10 if self.is_cached else 0
        return {
            "input_tokens": self.asked_tokens - read,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": read,
        }


def _grown(block: Block) -> list[str]:
    """What its deltas spell, one text for each."""
    fields = ("text", "thinking", "partial_json")
    return [delta[field] for delta in block.deltas for field in fields if field in delta]


def spent(play: Play) -> int:
    return sum(len(_grown(block)) for block in play.blocks) + 1


def stream(play: Play, exchange: Exchange) -> Iterator[Step]:
    for frame in _frames(play, exchange):
        yield Send(_written(frame))
        if play.pace and frame["type"] == "content_block_delta":
            yield Pause(play.pace)
    if play.resets:
        yield Reset()


def _frames(play: Play, exchange: Exchange) -> Iterator[Frame]:
    yield {"type": "message_start", "message": exchange.begun()}
    yield from (_filled(frame, exchange) for frame in play.before)
    for index, block in enumerate(play.blocks):
        yield {"type": "content_block_start", "index": index, "content_block": exchange.identified(block.begins)}
        if index == 0:
            yield {"type": "ping"}
        for delta in block.deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        if not block.is_cut:
            yield {"type": "content_block_stop", "index": index}
    yield from (_filled(frame, exchange) for frame in play.after)
    if play.ends:
        usage = {**exchange.cached(), "output_tokens": spent(play)}
        yield {"type": "message_delta", "delta": _ending(play), "usage": usage}
        yield {"type": "message_stop"}


def _filled(frame: Frame, exchange: Exchange) -> Frame:
    return {**frame, "message": exchange.begun()} if frame["type"] == "message_start" else frame


def _ending(play: Play) -> Frame:
    details = {"stop_details": play.details} if play.details else {}
    return {"stop_reason": play.stop, "stop_sequence": play.stop_sequence, **details}


def _written(frame: Frame) -> bytes:
    padding = b" " * (len(frame["type"]) % 7)
    return b"event: %b\ndata: %b%b\n\n" % (frame["type"].encode(), msgspec.json.encode(frame), padding)


def whole(play: Play, exchange: Exchange) -> Frame:
    return {
        **exchange.begun(),
        "content": [_whole_block(block, exchange) for block in play.blocks],
        **_ending(play),
        "usage": {**exchange.cached(), "output_tokens": spent(play)},
    }


def _whole_block(block: Block, exchange: Exchange) -> Frame:
    given = exchange.identified(block.begins)
    grown = "".join(_grown(block))
    citations = [delta["citation"] for delta in block.deltas if "citation" in delta]
    match given["type"]:
        case "text":
            return {**given, "text": grown, **({"citations": citations} if citations else {})}
        case "thinking":
            return {**given, "thinking": grown, "signature": block.deltas[-1]["signature"]}
        case "tool_use" | "server_tool_use" | "mcp_tool_use":
            return {**given, "input": {} if block.is_cut else msgspec.json.decode(grown or "{}")}
        case _:
            return given

"""What the simulated application plays, as the chunks that a server of the AI SDK writes.

    PLAYS       answers, by name: what each shows, and its chunks between `start` and the end
    REFUSALS    answers that are no stream
    usual       a friendly answer, word by word
    after_tools, after_approval
                how an answer goes on once the client's tools, or the person, have spoken

A `toolCallId` here is a number within the answer: the simulator puts a fresh id in its place.
Source: recordings of ai 5.0.277, 6.0.326 and 7.0.173, read 2026-11.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct

Chunk = dict[str, Any]
Chunks = tuple[Chunk, ...]

CHOICE = re.compile(r"\[play:([a-z0-9-]+)\]\s*")
_WORD = re.compile(r"\S+\s*")

TOTAL = {
    "inputTokens": 12,
    "inputTokenDetails": {"noCacheTokens": 8, "cacheReadTokens": 4, "cacheWriteTokens": 0},
    "outputTokens": 7,
    "outputTokenDetails": {"textTokens": 5, "reasoningTokens": 2},
    "totalTokens": 19,
}


class Play(Struct, frozen=True):
    """`ending`: what follows its chunks; `shape` what the answer is written as."""

    shows: str
    chunks: Chunks
    finish: str | None = "stop"
    ending: Literal["finish", "done", "cut"] = "finish"
    shape: Literal["stream", "page"] = "stream"
    pace: float = 0


class Refused(Struct, frozen=True):
    """An answer that its author chose: mostly JSON with an `error`, sometimes a text."""

    status: int
    body: Chunk | str
    headers: dict[str, str] = {}


def text(part_id: str, *deltas: str) -> Chunks:
    return (
        {"type": "text-start", "id": part_id},
        *({"type": "text-delta", "id": part_id, "delta": delta} for delta in deltas),
        {"type": "text-end", "id": part_id},
    )


def step(*chunks: Chunk) -> Chunks:
    return ({"type": "start-step"}, *chunks, {"type": "finish-step"})


def call(number: int, name: str, arguments: Chunk, **more: Any) -> Chunks:
    spelled = msgspec.json.encode(arguments).decode()
    half = len(spelled) // 2
    return (
        {"type": "tool-input-start", "toolCallId": number, "toolName": name, **more},
        {"type": "tool-input-delta", "toolCallId": number, "inputTextDelta": spelled[:half]},
        {"type": "tool-input-delta", "toolCallId": number, "inputTextDelta": spelled[half:]},
        {"type": "tool-input-available", "toolCallId": number, "toolName": name, "input": arguments, **more},
    )


def output(number: int, value: Any, **more: Any) -> Chunk:
    return {"type": "tool-output-available", "toolCallId": number, "output": value, **more}


KYIV = {"city": "Kyiv"}
WARM = {"city": "Kyiv", "degrees": 21}
BY_PROVIDER = {"providerExecuted": True}
HALF = ({"type": "text-start", "id": "0"}, {"type": "text-delta", "id": "0", "delta": "Let me"})
LOCATE, PAY = ("locate", {"accuracy": "high"}), ("pay", {"sum": 1})

PLAYS: dict[str, Play] = {
    "text": Play("a text in three deltas", step(*text("0", "Hello", " there", " ☀"))),
    "reasoning": Play(
        "signed reasoning, then a text",
        step(
            {"type": "reasoning-start", "id": "r0"},
            {"type": "reasoning-delta", "id": "r0", "delta": "Let me"},
            {"type": "reasoning-delta", "id": "r0", "delta": " think"},
            {"type": "reasoning-end", "id": "r0", "providerMetadata": {"anthropic": {"signature": "sig-1"}}},
            *text("1", "Fine"),
        ),
    ),
    "server-tool": Play(
        "a tool that the server runs, and a second step",
        (*step(*text("0", "Looking"), *call(1, "weather", KYIV), output(1, WARM)), *step(*text("0", "It is 21°"))),
    ),
    "tool-failed": Play(
        "a tool of the server's that fails",
        (
            *step(
                *call(1, "weather", KYIV),
                {"type": "tool-output-error", "toolCallId": 1, "errorText": "An error occurred."},
            ),
            *step(*text("0", "No idea")),
        ),
    ),
    "preliminary": Play(
        "a tool of the server's that tells how far it is",
        step(*call(1, "weather", KYIV), output(1, "loading", preliminary=True), output(1, WARM), *text("0", "Warm")),
    ),
    "provider-tool": Play(
        "a tool that the model's provider runs, and its sources",
        step(
            *call(1, "web_search", {"query": "sun"}, **BY_PROVIDER),
            output(1, [{"url": "https://example.org"}], **BY_PROVIDER),
            {"type": "source-url", "sourceId": "s1", "url": "https://example.org", "title": "Example"},
            {"type": "source-document", "sourceId": "s2", "mediaType": "application/pdf", "title": "Manual"},
            *text("0", "See it"),
        ),
    ),
    "client-tool": Play("a tool that the client runs", step(*text("0", "Where?"), *call(1, *LOCATE)), "tool-calls"),
    "client-tools": Play("two tools that the client runs", step(*call(1, *LOCATE), *call(2, *PAY)), "tool-calls"),
    "defaults": Play(
        "arguments into which the server filled a default",
        step(*call(1, *PAY)[:-1], {**call(1, *PAY)[-1], "input": {"sum": 1, "currency": "EUR"}}),
        "tool-calls",
    ),
    "approval": Play(
        "a tool that a person has to approve",
        step(*call(1, *PAY), {"type": "tool-approval-request", "approvalId": "approval-1", "toolCallId": 1}),
        "tool-calls",
    ),
    "file": Play(
        "an image",
        step({"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,iVBORw0KGgo="}),
    ),
    "data": Play(
        "data that is updated, and some that passes",
        (
            {"type": "data-weather", "id": "w1", "data": {"status": "loading"}},
            {"type": "data-note", "data": {"level": "info"}, "transient": True},
            *step(*text("0", "Warm")),
            {"type": "data-weather", "id": "w1", "data": WARM},
        ),
    ),
    "length": Play("an answer cut by its length", step(*text("0", "Half a")), "length"),
    "length-in-a-call": Play("a tool call cut by its length", step(*call(1, *LOCATE)[:2]), "length"),
    "content-filter": Play("a filtered answer", step(*text("0", "Half")), "content-filter"),
    "other": Play("a reason that is none", step(*text("0", "Half")), "other"),
    "no-reason": Play("a finish without a reason, as early servers have it", step(*text("0", "Half")), None),
    "no-finish": Play("a stream written by hand, without a finish", text("0", "Hello"), ending="done"),
    "reset": Play(
        "a step that begins anew after some text",
        ({"type": "start-step"}, *HALF, {"type": "reset-step"}, *text("0", "Hello"), {"type": "finish-step"}),
    ),
    "reset-of-a-call": Play(
        "a step that begins anew after a tool call",
        ({"type": "start-step"}, *call(1, *LOCATE), {"type": "reset-step"}, *text("0", "Hello")),
    ),
    "error": Play(
        "an error after some text", (*HALF, {"type": "error", "errorText": "An error occurred."}), ending="done"
    ),
    "error-first": Play(
        "an error as the first chunk", ({"type": "error", "errorText": "An error occurred."},), ending="done"
    ),
    "finish-error": Play("a finish that is an error", step(*text("0", "Half")), "error"),
    "abort": Play("an answer that the server stops", (*HALF, {"type": "abort", "reason": "stopped"}), ending="done"),
    "cut": Play("the end of the bytes after some text", HALF, ending="cut"),
    "empty": Play("an answer without a part", ()),
    "page": Play("a 200 with a page of HTML", (), shape="page"),
}

REFUSALS: dict[str, Refused] = {
    "bad-request": Refused(400, {"error": "Invalid messages"}),
    "unauthorized": Refused(401, {"error": "Unauthorized"}),
    "quota": Refused(402, {"error": {"code": "quota", "message": "No credits are left"}}),
    "rate-limit": Refused(429, "Too many requests", {"Retry-After": "3"}),
    "internal": Refused(500, "Internal Server Error", {"x-vercel-id": "fra1::abc"}),
    "unavailable": Refused(503, {"code": "offline", "message": "We are back soon"}),
}


def usual(asked: str) -> Play:
    lines = [line for line in CHOICE.sub("", asked).splitlines() if line.strip()]
    words = " ".join(lines[-1].split()[:6]) if lines else "nothing"
    told = f"You asked: “{words}”. I am a simulated application, so all I can do is repeat it."
    return Play("", step(*text("0", *_WORD.findall(told))), pace=0.02)


def after_tools(outputs: list[Any]) -> Play:
    told = ", ".join(msgspec.json.encode(value).decode() for value in outputs)
    return Play("", step(*text("0", "The tools say ", f"{told}.")))


def after_approval(call_id: str, *, approved: bool) -> Play:
    """The result stands in front of the first step."""
    if approved:
        return Play("", (_of(call_id, output(0, "done")), *step(*text("0", "It is done."))))
    return Play("", (_of(call_id, {"type": "tool-output-denied"}), *step(*text("0", "As you like."))))


def _of(call_id: str, chunk: Chunk) -> Chunk:
    return {**chunk, "toolCallId": call_id}


def written(play: Play, message_id: str, first_call: int) -> Iterator[Chunk]:
    """The chunks of an answer, whose calls are counted from `first_call` on."""
    yield {"type": "start", "messageId": message_id, "messageMetadata": {"model": "simulated-1"}}
    for chunk in play.chunks:
        number = chunk.get("toolCallId")
        yield {**chunk, "toolCallId": f"call_{first_call + number}"} if isinstance(number, int) else chunk
    if play.ending == "finish":
        reason = {} if play.finish is None else {"finishReason": play.finish}
        yield {"type": "finish", **reason, "messageMetadata": {"totalUsage": TOTAL}}

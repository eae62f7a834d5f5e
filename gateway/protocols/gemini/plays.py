"""What the simulated Gemini can play: answers chunk by chunk, failures in a stream, and refusals.

    Play      the chunks of an answer, less what every chunk has (usage, model, id), and how the stream ends
    Refused   an HTTP answer that is an error

Written from the manual and recorded streams, apart from what the translator knows. Read 2026-11.
"""

import re
from typing import Any, Literal

from msgspec import Struct

Frame = dict[str, Any]

CHOICE = re.compile(r"\[play:([a-z0-9-]+)\]\s*")
_WORD = re.compile(r"\S+\s*")

SIGNATURE = "CiQBjz1rX0ltdWxhdGVkLXRob3VnaHQtc2lnbmF0dXJlLTAx"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Play(Struct, frozen=True):
    """`chunks`: each one candidate, or where it has no such fields, a whole frame.

    `tail` is sent as it stands behind them. `legacy`: every chunk has the finish reason, as old models had it.
    """

    shows: str
    chunks: tuple[Frame, ...]
    finish: str | None = "STOP"
    finish_message: str | None = None
    tail: bytes = b""
    trailers: tuple[Frame, ...] = ()
    thoughts: int = 0
    tool_prompt: int = 0
    cached: int = 0
    legacy: bool = False
    pace: float = 0


class Refused(Struct, frozen=True):
    """`as_list`: the body is a list of one, as a stream's errors are."""

    http: int
    status: str
    message: str
    details: tuple[Frame, ...] = ()
    as_list: bool = True

    def body(self) -> Any:
        error: Frame = {"code": self.http, "message": self.message, "status": self.status}
        if self.details:
            error["details"] = list(self.details)
        return [{"error": error}] if self.as_list else {"error": error}


def says(*parts: Frame, **more: Any) -> Frame:
    return {"content": {"role": "model", "parts": list(parts)}, **more}


def text(words: str) -> Frame:
    return {"text": words}


def call(name: str, args: Frame, **more: Any) -> Frame:
    return {"functionCall": {"name": name, "args": args, **more}}


def piece(*values: Frame, **more: Any) -> Frame:
    return {"functionCall": {"partialArgs": list(values), **more}}


HELLO = (says(text("Hello")), says(text(" there")))
BROKEN_OFF = (says(text("Let me")), says(text(" see")))
WEATHER = call("getWeather", {"city": "Kyiv"})
ORDER = call("lookupOrder", {"orderId": "42"})
UNAVAILABLE = b'{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}'

GROUNDED = "Café Ω opens at nine. It closes late."
"""Of which the vendor counts the bytes: 24 to the end of the first sentence, less its last space."""

PLAYS: dict[str, Play] = {
    "plain": Play("two pieces of text", HELLO),
    "thinking": Play(
        "thoughts, then text, then a signature on an empty part",
        (
            says({"text": "The user greets.", "thought": True}),
            says({"text": " I greet back.", "thought": True}),
            says(text("Hello")),
            says(text(" there")),
            says({"text": "", "thoughtSignature": SIGNATURE}),
        ),
        thoughts=12,
    ),
    "signed-thought": Play(
        "a thought and a text that are signed themselves, and a signature alone",
        (
            says({"text": "Hm.", "thought": True, "thoughtSignature": SIGNATURE}),
            says({"text": "Hello.", "thoughtSignature": SIGNATURE}),
            says({"thoughtSignature": SIGNATURE}),
        ),
        thoughts=3,
    ),
    "tool": Play(
        "a signed call without an id",
        (says(text("Let me look.")), says({**WEATHER, "thoughtSignature": SIGNATURE})),
    ),
    "tools": Play(
        "two calls at once, with ids, the first one signed",
        (
            says(
                {**call("getWeather", {"city": "Kyiv"}, id="fc_1"), "thoughtSignature": SIGNATURE},
                call("lookupOrder", {"orderId": "42"}, id="fc_2"),
            ),
        ),
    ),
    "tools-one-by-one": Play("two calls in chunks of their own", (says(WEATHER), says(ORDER))),
    "tool-no-args": Play("a call without arguments", (says({"functionCall": {"name": "now"}}),)),
    "streamed-tool": Play(
        "a call in pieces: values at JSON paths, nested",
        (
            says({"functionCall": {"name": "book", "willContinue": True}, "thoughtSignature": SIGNATURE}),
            says(piece({"jsonPath": "$.to.city", "stringValue": "Ky", "willContinue": True}, willContinue=True)),
            says(piece({"jsonPath": "$.to.city", "stringValue": "iv"}, willContinue=True)),
            says(piece({"jsonPath": "$.to.days[0]", "numberValue": 2}, willContinue=True)),
            says(piece({"jsonPath": "$.to.days[1]", "numberValue": 3.5}, willContinue=True)),
            says(piece({"jsonPath": "$['a b']", "boolValue": True}, willContinue=True)),
            says(piece({"jsonPath": "$.note", "nullValue": "NULL_VALUE"}, willContinue=True)),
            says({"functionCall": {}}),
        ),
    ),
    "streamed-tool-no-end": Play(
        "a call in pieces whose end is missing",
        (
            says({"functionCall": {"name": "book", "willContinue": True}}),
            says(piece({"jsonPath": "$.city", "stringValue": "Kyiv", "willContinue": True}, willContinue=True)),
        ),
    ),
    "streamed-tool-cut": Play(
        "a call in pieces that the limit cuts",
        (
            says({"functionCall": {"name": "book", "willContinue": True}}),
            says(piece({"jsonPath": "$.city", "stringValue": "Ky", "willContinue": True}, willContinue=True)),
        ),
        finish="MAX_TOKENS",
    ),
    "code": Play(
        "code that the vendor runs",
        (
            says({"executableCode": {"language": "PYTHON", "code": "print(6 * 7)"}}),
            says({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "42\n"}}),
            says(text("It is 42.")),
        ),
        tool_prompt=20,
    ),
    "code-fails": Play(
        "code that fails",
        (
            says({"executableCode": {"language": "PYTHON", "code": "1/0", "id": "x1"}}),
            says({"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "ZeroDivisionError", "id": "x1"}}),
            says(text("It fails.")),
        ),
    ),
    "search-steps": Play(
        "a search that the vendor shows",
        (
            says({"toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "id": "s1", "args": {"queries": ["kyiv"]}}}),
            says({"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "id": "s1", "response": {"found": 3}}}),
            says(text("Kyiv it is.")),
        ),
    ),
    "grounded": Play(
        "sources with their places, counted in bytes, on the last chunk and behind it",
        (says(text(GROUNDED[:21])), says(text(GROUNDED[21:]))),
        trailers=(
            {
                "groundingMetadata": {
                    "webSearchQueries": ["café Ω"],
                    "groundingChunks": [
                        {"web": {"uri": "https://example.com/a", "title": "A"}},
                        {"retrievedContext": {"uri": "https://example.com/b", "title": "B"}},
                    ],
                    "groundingSupports": [
                        {
                            "segment": {"startIndex": 0, "endIndex": 23, "text": "Café Ω opens at nine."},
                            "groundingChunkIndices": [0, 1],
                        },
                        {
                            "segment": {"startIndex": 24, "endIndex": 39, "text": "It closes late."},
                            "groundingChunkIndices": [0],
                        },
                    ],
                }
            },
        ),
    ),
    "cited": Play(
        "citations",
        (
            says(
                text("To be or not to be"),
                citationMetadata={"citations": [{"startIndex": 0, "endIndex": 18, "uri": "https://example.com/h"}]},
            ),
        ),
    ),
    "url-context": Play(
        "pages that were read, and one that was not",
        (
            says(
                text("It says hello."),
                urlContextMetadata={
                    "urlMetadata": [
                        {
                            "retrievedUrl": "https://example.com/a",
                            "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS",
                        },
                        {"retrievedUrl": "https://example.com/b", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_ERROR"},
                    ]
                },
            ),
        ),
        tool_prompt=4610,
    ),
    "image": Play(
        "a text and an image",
        (says(text("Here it is.")), says({"inlineData": {"mimeType": "image/png", "data": PIXEL}})),
    ),
    "empty-chunks": Play(
        "chunks without candidates, content or parts between those of an answer",
        ({"usageMetadata": {}}, says(text("Hello")), {"content": {"role": "model"}, "index": 0}, {"index": 0}),
    ),
    "unknown-part": Play("a part of a kind that is new", (says({"sparkle": {"count": 3}}), says(text("Hello")))),
    "legacy": Play("a finish reason on every chunk", HELLO, legacy=True),
    "trailers": Play("usage behind the finish reason", HELLO, trailers=({"usageMetadata": {}},)),
    "cached": Play("a prompt that was partly cached", HELLO, cached=7),
    "heartbeats": Play("empty objects between the chunks", (HELLO[0], {}, {}, HELLO[1])),
    "length": Play("an answer that the limit cuts", BROKEN_OFF, finish="MAX_TOKENS"),
    "safety": Play("an answer that the filter cuts", BROKEN_OFF, finish="SAFETY", finish_message="Unsafe."),
    "recitation": Play("an answer that is filtered before it begins", (), finish="RECITATION"),
    "blocked": Play("a prompt that is blocked", ({"promptFeedback": {"blockReason": "SAFETY"}},), finish=None),
    "other": Play("a finish reason that nobody knows", HELLO, finish="TIRED"),
    "malformed-call": Play(
        "a call that the model could not write",
        (),
        finish="MALFORMED_FUNCTION_CALL",
        finish_message="Malformed function call: getWeather(",
    ),
    "missing-signature": Play("an answer that misses a signature", (), finish="MISSING_THOUGHT_SIGNATURE"),
    "empty": Play("an answer without a word", ()),
    "cut": Play("the end before the finish reason", BROKEN_OFF, finish=None),
    "error-first": Play("an error as the first event", (), finish=None, tail=b"data: " + UNAVAILABLE + b"\n\n"),
    "error": Play("an error after two chunks", BROKEN_OFF, finish=None, tail=b"data: " + UNAVAILABLE + b"\n\n"),
    "error-lines": Play(
        "an error as bare JSON over several lines",
        BROKEN_OFF,
        finish=None,
        tail=b'{\n  "error": {\n    "code": 500,\n    "message": "Internal {",\n    "status": "INTERNAL"\n  }\n}\n',
    ),
    "error-list": Play("an error in a list as bare JSON", BROKEN_OFF, finish=None, tail=b"[" + UNAVAILABLE + b"\n]\n"),
    "canceled": Play(
        "a vendor that cancels unasked",
        BROKEN_OFF,
        finish=None,
        tail=b'data: {"error":{"code":499,"message":"The operation was cancelled.","status":"CANCELLED"}}\n\n',
    ),
}

REFUSALS: dict[str, Refused] = {
    "rate-limited": Refused(
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota. Please retry in 17.5s.",
        (
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "10"}],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.5s"},
        ),
    ),
    "rate-limited-bare": Refused(429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
    "quota": Refused(
        429,
        "RESOURCE_EXHAUSTED",
        "You exceeded your current quota.",
        (
            {
                "@type": "type.googleapis.com/google.rpc.QuotaFailure",
                "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
            },
            {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "47s"},
        ),
    ),
    "invalid-key": Refused(
        400,
        "INVALID_ARGUMENT",
        "API key not valid. Please pass a valid API key.",
        ({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},),
    ),
    "unauthenticated": Refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials."),
    "forbidden": Refused(403, "PERMISSION_DENIED", "The caller does not have permission"),
    "precondition": Refused(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
    "invalid": Refused(400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    "too-long": Refused(
        400,
        "INVALID_ARGUMENT",
        "The input token count (2845475) exceeds the maximum number of tokens allowed (1048576).",
    ),
    "model-not-found": Refused(404, "NOT_FOUND", "models/x is not found for API version v1beta.", as_list=False),
    "internal": Refused(500, "INTERNAL", "An internal error has occurred."),
    "overloaded": Refused(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "deadline": Refused(504, "DEADLINE_EXCEEDED", "The request timed out. Please try again."),
}


def usual(message: str) -> Play:
    words = " ".join(CHOICE.sub("", message).split()[:6]) or "nothing"
    answer = f"You asked: “{words}”. I am a simulated Gemini, so all I can do is repeat it."
    return Play("", tuple(says(text(word)) for word in _WORD.findall(answer)), pace=0.02)


def reported(outputs: str) -> Play:
    """What follows the results of the client's tools."""
    return Play("", (says(text("The tools say ")), says(text(f"{outputs}."))))


Mode = Literal["sse", "list", "document"]

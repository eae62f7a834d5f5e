"""The official clients, one table: which program speaks which dialect, how it reads, and what it calls an ending."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from msgspec import Struct

from tests.acceptance.strangers import Client, Gateway, Told, node, python


class Spoken(Struct, frozen=True):
    """A dialect as its clients see it; `finishes` are their words for our finish reasons.

    `takes_objects`: what a tool returned is an object, not a text. `errors`: the class that a client raises for an HTTP
    status, where it has one for each.
    """

    script: str
    path: str
    finishes: dict[str, str]
    tells_reasoning: bool = True
    tells_usage: bool = True
    tells_sources: bool = True
    takes_tools: bool = True
    takes_objects: bool = False
    errors: dict[int, str] = {}


SDK_ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    404: "NotFoundError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    503: "InternalServerError",
}

DIALECTS: dict[str, Spoken] = {
    "openai_chat": Spoken(
        "openai_chat",
        "/openai/v1",
        {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"},
        errors=SDK_ERRORS,
    ),
    "openai_responses": Spoken(
        "openai_responses",
        "/openai/v1",
        {"stop": "completed", "length": "incomplete", "tool_calls": "completed", "content_filter": "incomplete"},
        errors=SDK_ERRORS,
    ),
    "anthropic": Spoken(
        "anthropic_messages",
        "/anthropic",
        {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"},
        errors={**SDK_ERRORS, 503: "ServiceUnavailableError"},
    ),
    "gemini": Spoken(
        "google_genai",
        "/gemini",
        {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"},
        takes_objects=True,
        errors={400: "ClientError", 401: "ClientError", 404: "ClientError", 429: "ClientError", 503: "ServerError"},
    ),
    "ai_sdk": Spoken(
        "ai_sdk",
        "/ai-sdk/{route}",
        {"stop": "stop", "length": "length", "tool_calls": "tool-calls", "content_filter": "content-filter"},
        tells_usage=False,
        takes_tools=False,
        takes_objects=True,
    ),
    "ag_ui": Spoken(
        "ag_ui",
        "/ag-ui/{route}",
        {"stop": "success", "length": "success", "tool_calls": "success", "content_filter": "success"},
    ),
}


class Speaker(Struct, frozen=True):
    """One client in one of its ways to read."""

    dialect: str
    language: str
    mode: str = "stream"
    version: str | None = None

    def __str__(self) -> str:
        return "-".join(word for word in (self.dialect, self.version or self.language, self.mode) if word)

    @property
    def spoken(self) -> Spoken:
        return DIALECTS[self.dialect]

    @property
    def program(self) -> tuple[str, str]:
        return self.language, self.spoken.script

    @property
    def is_streaming(self) -> bool:
        return self.mode != "whole"


def _of(dialect: str, modes: tuple[str, ...], *languages: str) -> list[Speaker]:
    return [Speaker(dialect, language, mode) for language in languages for mode in modes]


WAYS = ("whole", "plain", "helper")
SPEAKERS = [
    *_of("openai_chat", WAYS, "python", "node"),
    *_of("openai_responses", WAYS, "python", "node"),
    *_of("anthropic", WAYS, "python", "node"),
    *_of("gemini", ("whole", "helper"), "python"),
    *(Speaker("ai_sdk", "node", version=version) for version in ("ai5", "ai6", "ai")),
    *_of("ag_ui", ("stream",), "node"),
]


class Clients:
    """Each program is started when it is first asked, and ends with the tests."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._started: dict[tuple[str, str], Client] = {}

    def ask(self, speaker: Speaker, gateway: Gateway, route: str, *turns: str, **more: Any) -> Told:
        if speaker.program not in self._started:
            language, script = speaker.program
            command = node(script) if language == "node" else python("clients", f"clients.{script}")
            self._started[speaker.program] = self._stack.enter_context(Client(command))
        base = gateway.url + speaker.spoken.path.format(route=route)
        told_apart = {"X-Request-Id": more.pop("request_id", None) or gateway.request_id()}
        case = {
            "base": base,
            "headers": told_apart,
            "route": route,
            "mode": speaker.mode,
            "version": speaker.version,
            "turns": turns,
            **more,
        }
        return self._started[speaker.program].ask(**case)


def started() -> Iterator[Clients]:
    with ExitStack() as stack:
        yield Clients(stack)

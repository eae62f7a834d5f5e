"""What holds of every vendor's room: its examples, its answers spoilt, its refusals and its settings."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import TERMINAL, Event, Notice
from gateway.canonical.message import TextPart
from gateway.framing.lines import JsonDecoder
from gateway.framing.record import Framing
from gateway.framing.sse import LenientSseDecoder, SseDecoder
from gateway.framing.typed import Malformed
from gateway.protocols.ag_ui import AG_UI
from gateway.protocols.ai_sdk import AI_SDK
from gateway.protocols.anthropic import ANTHROPIC
from gateway.protocols.base import Descriptor, Translator
from gateway.protocols.chatbase import CHATBASE
from gateway.protocols.dimedove import DIMEDOVE
from gateway.protocols.dimedove.framing import AnswerDecoder
from gateway.protocols.dynamiq import DYNAMIQ
from gateway.protocols.gemini import GEMINI
from gateway.protocols.gemini.framing import ChunkDecoder
from gateway.protocols.hardwire import HARDWIRE
from gateway.protocols.openai_chat import OPENAI_CHAT
from gateway.protocols.openai_responses import OPENAI_RESPONSES
from gateway.protocols.refusing import refusal
from gateway.protocols.sema4 import SEMA4
from tests.support.spoil import spoilt_json
from tests.support.translating import (
    as_json,
    ask,
    blame,
    documents,
    expected,
    heard,
    lawful,
    records,
    refuse,
    told_by,
    until_failure,
)

HERE = Path(__file__).parent
CHAT = "550e8400-e29b-41d4-a716-446655440000"
APP = "8e9f0a1b-2c3d-4e5f-8a7b-9c0d1e2f3a4b"
MODEL = "497f6eca-6276-4993-bfeb-53cbbbba6f08"


class Reading(Struct, frozen=True):
    """What a room reads: the target whose answer it is, and how it is framed."""

    room: Descriptor
    target: dict[str, Any]
    framing: Callable[[], Framing]
    conversation: str | None = None
    stream: bool = True

    def translator(self) -> Translator:
        """A translator whose first request went out."""
        translator = make(self.room, self.target)
        ids = {"conversation": self.conversation} if self.conversation else {}
        next(translator.requests(ask(TextPart("hi"), vendor_ids=ids, stream=self.stream)))
        return translator

    def examples(self) -> list[Path]:
        folder = HERE / self.room.name / "examples"
        return sorted(folder.glob("*.sse")) if self.stream else documents(folder)


def make(room: Descriptor, target: dict[str, Any]) -> Translator:
    assert room.translator is not None
    return room.translator(msgspec.convert(target, room.target), Blocks(Numbering()))


SYNC: dict[str, Any] = {"upstream_stream": False}
READINGS = {
    "ag_ui": Reading(AG_UI, {}, SseDecoder),
    "ai_sdk": Reading(AI_SDK, {}, SseDecoder),
    "anthropic": Reading(ANTHROPIC, {"model": "m"}, SseDecoder),
    "anthropic-document": Reading(ANTHROPIC, {"model": "m", **SYNC}, JsonDecoder, stream=False),
    "chatbase": Reading(CHATBASE, {"agent": "a"}, LenientSseDecoder),
    "chatbase-document": Reading(CHATBASE, {"agent": "a", **SYNC}, JsonDecoder, stream=False),
    "dimedove": Reading(DIMEDOVE, {"app": "a"}, AnswerDecoder, CHAT),
    "dimedove-document": Reading(DIMEDOVE, {"app": "a"}, AnswerDecoder, CHAT, stream=False),
    "dimedove-no-outputs": Reading(DIMEDOVE, {"app": "a", "tool_outputs": False}, AnswerDecoder, CHAT),
    "dimedove-no-outputs-document": Reading(
        DIMEDOVE, {"app": "a", "tool_outputs": False}, AnswerDecoder, CHAT, stream=False
    ),
    "dynamiq": Reading(DYNAMIQ, {"app": APP}, SseDecoder),
    "gemini": Reading(GEMINI, {"model": "m"}, ChunkDecoder),
    "gemini-document": Reading(GEMINI, {"model": "m", **SYNC}, JsonDecoder, stream=False),
    "hardwire": Reading(HARDWIRE, {"model": "m"}, SseDecoder, CHAT),
    "hardwire-document": Reading(HARDWIRE, {"model": "m", **SYNC}, JsonDecoder, CHAT, stream=False),
    "openai-chat": Reading(OPENAI_CHAT, {"model": "m"}, SseDecoder),
    "openai-chat-document": Reading(OPENAI_CHAT, {"model": "m", **SYNC}, JsonDecoder, stream=False),
    "openai-responses": Reading(OPENAI_RESPONSES, {"model": "m"}, SseDecoder),
    "openai-responses-document": Reading(OPENAI_RESPONSES, {"model": "m", **SYNC}, JsonDecoder, stream=False),
    "sema4": Reading(SEMA4, {"agent": "a"}, SseDecoder),
    "sema4-document": Reading(SEMA4, {"agent": "a", **SYNC}, JsonDecoder, CHAT, stream=False),
}

each_example = pytest.mark.parametrize(
    ("reading", "path"),
    [
        pytest.param(reading, path, id=f"{name}-{path.stem}")
        for name, reading in READINGS.items()
        for path in reading.examples()
    ],
)


# --- examples


@each_example
def test_each_example_becomes_the_events_beside_it(reading: Reading, path: Path) -> None:
    told = heard(reading.translator(), records(reading.framing(), path.read_bytes()))
    assert as_json(told) == expected(path)
    assert len(lawful(told)) > 2


@each_example
def test_an_example_reads_the_same_byte_by_byte(reading: Reading, path: Path) -> None:
    pieces = [bytes([byte]) for byte in path.read_bytes()]
    assert as_json(heard(reading.translator(), records(reading.framing(), *pieces))) == expected(path)


@each_example
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_an_example_reads_the_same_with_any_line_end(reading: Reading, path: Path, line_end: bytes) -> None:
    body = path.read_bytes().replace(b"\r\n", b"\n").replace(b"\n", line_end)
    assert as_json(heard(reading.translator(), records(reading.framing(), body))) == expected(path)


# --- spoilt answers


@pytest.mark.parametrize("reading", READINGS.values(), ids=READINGS)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(data=st.data())
def test_a_spoilt_answer_obeys_the_laws_and_raises_nothing_undeclared(reading: Reading, data: st.DataObject) -> None:
    body = data.draw(spoilt_json(data.draw(bodies(reading))))
    told = told_by(reading.translator(), records(reading.framing(), body))
    assert lawful(until_failure(relayed(told)))


def relayed(told: Iterable[Event | Notice]) -> Iterator[Event | Notice]:
    """What the relay takes: nothing behind a terminal, and what cannot be read or passed on as a failure."""
    try:
        for event in told:
            yield event
            if type(event) in TERMINAL:
                return
    except (Malformed, RecursionError, UnicodeError) as error:
        raise GatewayError("upstream_protocol", "malformed") from error


def bodies(reading: Reading) -> st.SearchStrategy[bytes]:
    """An example, or a few of their events as they never come."""
    whole = [path.read_bytes().replace(b"\r\n", b"\n") for path in reading.examples()]
    if not reading.stream:
        return st.sampled_from(whole)
    events = sorted({event for body in whole for event in body.split(b"\n\n") if event})
    some = st.lists(st.sampled_from(events), min_size=1, max_size=6)
    return st.sampled_from(whole) | some.map(lambda chosen: b"\n\n".join([*chosen, b""]))


# --- refusals


class Target(Struct, frozen=True):
    """A room's smallest target settings, and what they bind a conversation to."""

    room: Descriptor
    settings: dict[str, Any]
    scope: str

    def translator(self) -> Translator:
        return make(self.room, self.settings)


TARGETS = {
    "ag_ui": Target(AG_UI, {"path": "/a"}, "/a"),
    "chatbase": Target(CHATBASE, {"agent": "a"}, "a"),
    "dimedove": Target(DIMEDOVE, {"app": "a"}, "a"),
    "dynamiq-app": Target(DYNAMIQ, {"app": APP}, APP),
    "dynamiq-model": Target(DYNAMIQ, {"model": MODEL}, MODEL),
    "gemini": Target(GEMINI, {"model": "m"}, "m"),
    "hardwire": Target(HARDWIRE, {"model": "m"}, ""),
    "sema4": Target(SEMA4, {"agent": "a"}, "a"),
}

each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


class Words(Struct, frozen=True):
    """How a vendor spells a refusal, the headers it comes with, and what its codes are to us."""

    target: Target
    body: str
    rows: list[tuple[int, str, str, str]]
    headers: dict[str, str] = {}


WORDS = [
    Words(
        TARGETS["chatbase"],
        '{"error":{"code":"@","message":"sk-secret"}}',
        [
            (400, "VALIDATION_INVALID_BODY", "upstream_rejected", "rejected"),
            (400, "VALIDATION_INVALID_JSON", "upstream_rejected", "rejected"),
            (400, "VALIDATION_INVALID_DATE_RANGE", "upstream_rejected", "rejected"),
            (400, "CHAT_RETRY_NO_USER_MESSAGE", "upstream_rejected", "rejected"),
            (401, "AUTH_MISSING_API_KEY", "upstream_auth", "auth"),
            (401, "AUTH_INVALID_API_KEY", "upstream_auth", "auth"),
            (401, "AUTH_EXPIRED_API_KEY", "upstream_auth", "auth"),
            (401, "AUTH_INVALID_JWT", "upstream_auth", "auth"),
            (402, "CHAT_CREDITS_EXHAUSTED", "quota_exhausted", "quota_exhausted"),
            (402, "CHAT_AGENT_CREDITS_EXHAUSTED", "quota_exhausted", "quota_exhausted"),
            (403, "SUBSCRIPTION_API_RESTRICTED_PLAN", "upstream_auth", "auth"),
            (403, "SUBSCRIPTION_PLAN_REQUIRED", "upstream_auth", "auth"),
            (403, "AUTH_INSUFFICIENT_PERMISSIONS", "upstream_auth", "auth"),
            (403, "CHAT_MODEL_NOT_ALLOWED", "upstream_auth", "auth"),
            (403, "CHAT_CONVERSATION_MISMATCH", "upstream_not_found", "not_found"),
            (409, "CHAT_CONVERSATION_MISMATCH", "upstream_not_found", "not_found"),
            (403, "CHAT_CONVERSATION_NOT_ONGOING", "upstream_not_found", "not_found"),
            (409, "CHAT_CONVERSATION_NOT_ONGOING", "upstream_not_found", "not_found"),
            (404, "AGENT_NOT_FOUND", "upstream_not_found", "not_found"),
            (404, "RESOURCE_NOT_FOUND", "upstream_not_found", "not_found"),
            (404, "RESOURCE_MESSAGE_NOT_FOUND", "upstream_not_found", "not_found"),
            (404, "RESOURCE_TOOL_CALL_NOT_FOUND", "upstream_not_found", "not_found"),
            (404, "CHAT_RETRY_MESSAGE_NOT_FOUND", "upstream_not_found", "not_found"),
            (422, "RESOURCE_MESSAGE_NOT_ASSISTANT", "upstream_rejected", "rejected"),
            (429, "RATE_LIMIT_TOO_MANY_REQUESTS", "upstream_rate_limited", "rate_limited"),
            (500, "INTERNAL_SERVER_ERROR", "upstream_unavailable", "status_5xx"),
            (503, "SERVICE_UNDER_MAINTENANCE", "upstream_unavailable", "status_5xx"),
            (403, "SOMETHING_NEW", "upstream_auth", "auth"),
            (409, "SOMETHING_NEW", "upstream_rejected", "status_4xx"),
            (502, "SOMETHING_NEW", "upstream_unavailable", "status_5xx"),
            (200, "SOMETHING_NEW", "upstream_protocol", "content_type"),
            (200, "CHAT_CREDITS_EXHAUSTED", "quota_exhausted", "quota_exhausted"),
        ],
        {"x_request_id": "req_1"},
    ),
    Words(
        TARGETS["dimedove"],
        '{"error":{"message":"sk-secret","type":"@","param":null,"code":null}}',
        [
            (401, "invalid_api_key", "upstream_auth", "auth"),
            (402, "insufficient_credits", "quota_exhausted", "quota_exhausted"),
            (403, "access_denied", "upstream_auth", "auth"),
            (403, "app_inactive", "upstream_unavailable", "status_4xx"),
            (403, "agent_unavailable", "upstream_unavailable", "status_4xx"),
            (404, "not_found", "upstream_not_found", "not_found"),
            (429, "rate_limit_exceeded", "upstream_rate_limited", "rate_limited"),
            (500, "internal_error", "upstream_unavailable", "status_5xx"),
            (403, "something_new", "upstream_auth", "auth"),
            (409, "something_new", "upstream_rejected", "status_4xx"),
            (502, "something_new", "upstream_unavailable", "status_5xx"),
            (200, "something_new", "upstream_protocol", "content_type"),
            (200, "rate_limit_exceeded", "upstream_rate_limited", "rate_limited"),
        ],
        {"x_request_id": "req_1"},
    ),
    Words(
        TARGETS["dynamiq-app"],
        '{"error":{"code":"@","message":"sk-secret"}}',
        [
            (400, "bad_request", "upstream_rejected", "rejected"),
            (401, "unauthorized", "upstream_auth", "auth"),
            (403, "forbidden", "upstream_auth", "auth"),
            (404, "not_found", "upstream_not_found", "not_found"),
            (415, "unsupported_media_type", "upstream_rejected", "status_4xx"),
            (429, "too_many_requests", "upstream_rate_limited", "rate_limited"),
            (500, "internal_error", "upstream_unavailable", "status_5xx"),
            (200, "internal_error", "upstream_protocol", "content_type"),
        ],
        {"x_request_id": "req_1"},
    ),
    Words(
        TARGETS["hardwire"],
        '{"message":"no","clientMessage":"sk-secret","code":"@","requestId":"req_1","statusCode":400}',
        [
            (400, "REQUEST_VALIDATION", "upstream_rejected", "rejected"),
            (401, "UNAUTHORIZED", "upstream_auth", "auth"),
            (403, "CHAT_ACCESS_DENIED", "upstream_auth", "auth"),
            (403, "CHAT_ACCESS_FORBIDDEN", "upstream_auth", "auth"),
            (403, "USER_ID_MISMATCH", "upstream_auth", "auth"),
            (404, "CHAT_NOT_FOUND", "upstream_not_found", "not_found"),
            (409, "WORKFLOW_RUN_IN_PROGRESS", "upstream_unavailable", "status_4xx"),
            (429, "RATE_LIMIT_EXCEEDED", "upstream_rate_limited", "rate_limited"),
            (500, "CREATE_MESSAGE_FAILED", "upstream_unavailable", "status_5xx"),
            (500, "CREATE_CHAT_FAILED", "upstream_unavailable", "status_5xx"),
            (500, "LLM_REQUEST_FAILED", "upstream_unavailable", "status_5xx"),
            (500, "SERVER_INTERNAL_ERROR", "upstream_unavailable", "status_5xx"),
            (504, "WORKFLOW_RUN_TIMEOUT", "upstream_timeout", "first_event_timeout"),
        ],
    ),
    Words(
        TARGETS["sema4"],
        '{"error":{"error_id":"req_1","code":"@","message":"sk-secret"}}',
        [
            (400, "bad_request", "upstream_rejected", "rejected"),
            (401, "unauthorized", "upstream_auth", "auth"),
            (403, "forbidden", "upstream_auth", "auth"),
            (404, "not_found", "upstream_not_found", "not_found"),
            (405, "method_not_allowed", "upstream_rejected", "rejected"),
            (409, "conflict", "upstream_rejected", "rejected"),
            (412, "precondition_failed", "upstream_rejected", "rejected"),
            (415, "unsupported_media_type", "upstream_rejected", "rejected"),
            (422, "unprocessable_entity", "upstream_rejected", "rejected"),
            (429, "too_many_requests", "upstream_rate_limited", "rate_limited"),
            (500, "unexpected", "upstream_unavailable", "status_5xx"),
            (500, "internal_error", "upstream_unavailable", "status_5xx"),
            (503, "sparkle", "upstream_unavailable", "status_5xx"),
            (200, "unexpected", "upstream_protocol", "content_type"),
        ],
    ),
]
"""`@` stands for the code. Source: the vendors' manuals, read 2026-11."""


@pytest.mark.parametrize(
    ("words", "status", "vendor_code", "code", "cause"),
    [
        pytest.param(words, *row, id=f"{words.target.room.name}-{row[0]}-{row[1]}")
        for words in WORDS
        for row in words.rows
    ],
)
def test_each_refusal_has_its_canonical_code(
    words: Words, status: int, vendor_code: str, code: str, cause: str
) -> None:
    body = words.body.replace("@", vendor_code).encode()
    error = refuse(words.target.translator(), status, body, **words.headers)
    assert blame(error) == (code, cause, status, vendor_code, "req_1")
    assert (error.vendor_message, "sk-secret" in error.message) == ("sk-secret", False)


SPELLED = {
    ("sema4", b'{"error":null,"detail":[]}'): "[]",
    ("sema4", b'{"error":[1]}'): "[1]",
    ("sema4", b'{"error":{"code":7,"message":[]}}'): "[]",
    ("sema4", b'{"error":{"type":7,"code":{},"message":[]}}'): "[]",
    ("hardwire", b'{"error":{"type":"two words","message":""}}'): "",
}
"""What a room keeps for the log of a body in a shape that no vendor documents; the others keep nothing."""


@each_target
@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 404, 409, 415, 422, 429, 500, 502, 503, 504])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><h1>502 Bad Gateway</h1></html>",
        b"[]",
        b"null",
        b'{"error":null}',
        b'{"error":null,"detail":[]}',
        b'{"error":[1]}',
        b'{"error":{"code":7,"message":[]}}',
        b'{"error":{"code":{},"message":""}}',
        b'{"error":{"code":"two words"}}',
        b'{"error":{"type":7,"code":{},"message":[]}}',
        b'{"error":{"type":"two words","message":""}}',
        b'{"code":7}',
        b"\xff\xfe",
        b'{"error":"\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_a_refusal_of_any_shape_is_read_by_its_status(target: Target, status: int, body: bytes) -> None:
    error = refuse(target.translator(), status, body)
    assert blame(error) == blame(refusal(status, {}))
    assert error.vendor_message == SPELLED.get((target.room.name, body))


@each_target
@pytest.mark.parametrize("request_id", ["", "two words", "x" * 129, "caf\udce9"])
def test_a_request_id_that_cannot_be_shown_is_left_out(target: Target, request_id: str) -> None:
    assert refuse(target.translator(), 500, x_request_id=request_id).vendor_request_id is None


@each_target
@given(status=st.integers(100, 599), body=st.binary(), request_id=st.text(), reset=st.text())
def test_any_refusal_can_be_read(target: Target, status: int, body: bytes, request_id: str, reset: str) -> None:
    error = refuse(target.translator(), status, body, x_request_id=request_id, X_RateLimit_Reset=reset)
    msgspec.json.encode(error.body())


# --- settings


@each_target
def test_a_conversation_is_bound_to_what_its_target_asks(target: Target) -> None:
    assert target.room.scope(msgspec.convert(target.settings, target.room.target)) == target.scope


@each_target
def test_a_setting_that_nobody_knows_is_refused(target: Target) -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `sparkle`"):
        msgspec.convert({**target.settings, "sparkle": True}, target.room.target)
    with pytest.raises(msgspec.ValidationError, match="unknown field `sparkle`"):
        msgspec.convert({"sparkle": True}, target.room.options)

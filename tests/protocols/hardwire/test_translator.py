"""Hardwire, upstream: bytes of the dossier in, canonical events out. The examples are made by hand, 2026-11."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    TERMINAL,
    Event,
    MessageCompleted,
    MessageFailed,
    Notice,
    TextStarted,
)
from gateway.canonical.message import FilePart, ImagePart, InputResponsePart, TextPart, ToolResultPart
from gateway.canonical.turn import HistoryMessage, NamedTool, Parameters, Tool, Turn
from gateway.framing.lines import JsonDecoder
from gateway.framing.record import MAX_RECORD, Record
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import Malformed
from gateway.protocols.base import (
    Authorization,
    Credentials,
    Headers,
    VendorRequest,
    VendorResponse,
)
from gateway.protocols.hardwire import HARDWIRE
from gateway.protocols.hardwire.sign_in import HardwireSession
from gateway.protocols.hardwire.translator import HardwireOptions, HardwireTarget, HardwireTranslator
from tests.support.spoil import spoilt_json
from tests.support.translating import Told, as_json, exchange, expected, lawful, records, refuse, told_by

EXAMPLES = Path(__file__).parent / "examples"
CHAT = "550e8400-e29b-41d4-a716-446655440000"
WORKFLOW = "3f0b6a52-5a0e-4c3b-9b0a-0c1d2e3f4a5b"
STREAMED = HardwireTarget("gpt-4")
SYNC = HardwireTarget("gpt-4", upstream_stream=False)
RUN = HardwireTarget("gpt-4", workflow_id=UUID(WORKFLOW))
STARTED = (
    b'{"userMessage":{"id":"m1","role":"user","content":"Explain"},"assistantMessage":null,'
    b'"chatId":"550e8400-e29b-41d4-a716-446655440000","workflowRunId":"run-1"}'
)
LISTED = (
    b'{"messages":[{"id":"m0","role":"user","content":"Hi"},{"id":"a0","role":"assistant","content":"Hello"},'
    b'{"id":"m1","role":"user","content":"Explain"},{"id":"n1","role":"system","content":"A note"},'
    b'{"id":"m2","role":"assistant","content":"Quantum bits"},{"id":"n2","role":"system","content":"A note"}]}'
)


def new_translator(target: HardwireTarget = STREAMED) -> HardwireTranslator:
    return HardwireTranslator(target, Blocks(Numbering()))


def ask(text: str = "Explain quantum computing", **more: Any) -> Turn:
    return Turn([TextPart(text)], lambda: CHAT, **more)


class Attempt(Struct):
    """What one attempt sent and told; a failure is told as `message.failed`, notices are apart."""

    requests: list[VendorRequest] = []
    events: Told = []
    notices: list[str] = []
    error: GatewayError | None = None

    def is_over(self) -> bool:
        return bool(self.events) and type(self.events[-1]) in TERMINAL

    def tell(self, told: Event | Notice) -> None:
        if isinstance(told, Notice):
            self.notices.append(told.kind)
        else:
            self.events.append(told)


def attempt(translator: HardwireTranslator, turn: Turn, *answers: bytes) -> Attempt:
    """Plays an attempt to its end: each answer is the body of the next request."""
    seen = Attempt()
    try:
        _exchange(translator, turn, answers, seen)
        for told in translator.finish():
            seen.tell(told)
    except GatewayError as error:
        seen.error = error
        seen.events.append(MessageFailed(error.body()))
    return seen


def _exchange(translator: HardwireTranslator, turn: Turn, answers: Sequence[bytes], seen: Attempt) -> None:
    calls = translator.requests(turn)
    request = next(calls)
    for body in answers:
        seen.requests.append(request)
        for record in records(request.framing(MAX_RECORD), body) if request.framing else ():
            for told in translator.feed(record):
                seen.tell(told)
            if seen.is_over():
                return
        try:
            request = calls.send(VendorResponse(200, CIMultiDict(), b"" if request.framing else body))
        except StopIteration:
            return
    pytest.fail(f"one more request than answers: {request}")


def frames(*lines: str) -> bytes:
    return "".join(f"data: {line}\n\n" for line in lines).encode()


# --- the examples of runs


@pytest.mark.parametrize("path", sorted((EXAMPLES / "runs").glob("*.sse")), ids=lambda path: path.stem)
def test_a_recorded_run_becomes_the_events_beside_it(path: Path) -> None:
    answers = (STARTED, path.read_bytes(), LISTED)
    asked = answers if path.stem == "documented" else answers[:2]
    events = attempt(new_translator(RUN), ask(), *asked).events
    assert as_json(events) == expected(path)
    assert len(lawful(events)) > 2


# --- what is sent


def test_a_message_goes_into_a_chat_of_our_own_naming() -> None:
    translator = new_translator()
    signed_in = translator.authorize(Credentials({"cookie": "s=1", "user_id": "user-123"}), None)
    assert exchange(signed_in) == ([], Authorization({"Cookie": "s=1"}))
    seen = attempt(translator, ask(), (EXAMPLES / "server.sse").read_bytes())
    assert seen.requests == [
        VendorRequest(
            "POST",
            f"/chats/{CHAT}/messages/stream",
            headers={"Content-Type": "application/json"},
            body=b'{"content":"Explain quantum computing","modelId":"gpt-4","userId":"user-123"}',
            framing=SseDecoder,
            effect="once",
        )
    ]
    assert translator.vendor_ids == {"conversation": CHAT, "user_message": "m1", "message": "m2"}
    assert translator.model == "gpt-4"


def test_the_chat_is_known_before_anything_is_sent() -> None:
    translator = new_translator()
    next(translator.requests(ask()))
    assert translator.vendor_ids == {"conversation": CHAT}


def test_a_bound_chat_goes_on() -> None:
    request = next(new_translator().requests(ask(vendor_ids={"conversation": "a/b c"})))
    assert request.path == "/chats/a%2Fb%20c/messages/stream"


@pytest.mark.parametrize("chat", [".", ".."])
def test_a_chat_id_that_means_another_path_is_refused(chat: str) -> None:
    with pytest.raises(GatewayError) as caught:
        next(new_translator().requests(ask(vendor_ids={"conversation": chat})))
    assert caught.value.code == "bad_request"


def test_a_whole_answer_is_streamed_unless_the_target_asks_for_the_vendors_document() -> None:
    assert next(new_translator().requests(ask(stream=False))).framing is SseDecoder
    assert next(new_translator(SYNC).requests(ask(stream=True))).framing is SseDecoder
    assert next(new_translator(SYNC).requests(ask(stream=False))) == VendorRequest(
        "POST",
        f"/chats/{CHAT}/messages",
        headers={"Content-Type": "application/json"},
        body=b'{"content":"Explain quantum computing","modelId":"gpt-4","userId":""}',
        framing=JsonDecoder,
        effect="once",
    )


def test_a_workflow_is_started_followed_and_its_answer_looked_up() -> None:
    translator = new_translator(RUN)
    seen = attempt(translator, ask(), STARTED, (EXAMPLES / "runs/documented.sse").read_bytes(), LISTED)
    assert seen.requests == [
        VendorRequest(
            "POST",
            f"/chats/{CHAT}/messages",
            headers={"Content-Type": "application/json"},
            body=b'{"content":"Explain quantum computing","modelId":"gpt-4","userId":"",'
            b'"workflowId":"3f0b6a52-5a0e-4c3b-9b0a-0c1d2e3f4a5b"}',
            effect="once",
        ),
        VendorRequest("GET", f"/chats/{CHAT}/workflow-runs/run-1/stream", framing=SseDecoder),
        VendorRequest("GET", f"/chats/{CHAT}/messages"),
    ]
    assert translator.vendor_ids == {"conversation": CHAT, "user_message": "m1", "run": "run-1", "message": "m2"}


def test_the_options_workflow_goes_before_the_targets() -> None:
    other = "00000000-0000-4000-8000-000000000001"
    for target in (STREAMED, RUN):
        request = next(new_translator(target).requests(ask(options=HardwireOptions(UUID(other)))))
        assert isinstance(request.body, bytes)
        assert json.loads(request.body)["workflowId"] == other
    request = next(new_translator(RUN).requests(ask(options=HardwireOptions())))
    assert isinstance(request.body, bytes)
    assert json.loads(request.body)["workflowId"] == WORKFLOW


UNSUPPORTED: list[tuple[Turn, str, str]] = [
    (Turn([TextPart("a"), ImagePart(file_id="f")], lambda: CHAT), "$.content[1]", "images"),
    (Turn([FilePart(file_id="f")], lambda: CHAT), "$.content[0]", "files"),
    (Turn([ToolResultPart("call_0", "x")], lambda: CHAT), "$.content[0]", "results of the client's tools"),
    (ask(instructions="Be brief."), "$.instructions", "instructions"),
    (ask(tools=[Tool("search")]), "$.tools", "the client's tools"),
    (ask(tool_choice="required"), "$.tool_choice", "a choice of tools"),
    (ask(tool_choice=NamedTool("search")), "$.tool_choice", "a choice of tools"),
    (ask(regenerates="m2", vendor_ids={"conversation": CHAT}), "$.regenerate", "a question anew"),
]


@pytest.mark.parametrize(("turn", "path", "what"), UNSUPPORTED, ids=[what for *_, what in UNSUPPORTED])
def test_what_hardwire_cannot_take_is_refused_before_anything_is_sent(turn: Turn, path: str, what: str) -> None:
    translator = new_translator()
    with pytest.raises(GatewayError) as caught:
        next(translator.requests(turn))
    error = caught.value
    assert (error.code, error.message) == ("unsupported", f"hardwire cannot take {what}")
    assert error.details == {"path": path}
    assert translator.vendor_ids == {}


@pytest.mark.parametrize("turn", [ask(" \n"), ask(" ", missed=[HistoryMessage("user", [TextPart("Hi")])])])
def test_a_message_without_text_is_refused(turn: Turn) -> None:
    with pytest.raises(GatewayError) as caught:
        next(new_translator().requests(turn))
    error = caught.value
    assert (error.code, error.message) == ("bad_request", "the message has no text")
    assert error.details == {"path": "$.content"}


def sent_text(turn: Turn) -> str:
    request = next(new_translator().requests(turn))
    assert isinstance(request.body, bytes)
    text: str = json.loads(request.body)["content"]
    return text


def test_what_was_said_elsewhere_goes_before_the_text_in_one_block() -> None:
    turn = ask(
        "And now?",
        missed=[HistoryMessage("user", [TextPart("Hi")]), HistoryMessage("assistant", [TextPart("I look.")])],
    )
    assert sent_text(turn) == ("[Earlier in this conversation]\nuser: Hi\nassistant: I look.\n[Now]\nAnd now?")


def test_an_answer_to_what_another_vendor_asked_is_told_as_text() -> None:
    assert sent_text(Turn([InputResponsePart("r", approved=True)], lambda: CHAT)) == "Approved."


def test_a_partial_answer_follows_the_text() -> None:
    assert sent_text(ask("Hi", partial="Hel")) == "Hi\n[Your answer so far; go on where it stops]\nHel"


# --- signing in


OWN = frozenset({400, 401, 403, 404, 422})
GET_SESSION = VendorRequest("GET", "/auth/get-session", headers={"Cookie": "s=1"}, own_statuses=OWN)
OLD_SESSION = VendorRequest("GET", "/auth/session", headers={"Cookie": "s=1"}, own_statuses=OWN)
SIGN_IN = VendorRequest(
    "POST",
    "/auth/sign-in/email",
    headers={"Content-Type": "application/json"},
    body=b'{"email":"a@b.test","password":"p"}',
    effect="repeatable",
    own_statuses=OWN,
)
PASSWORD = Credentials({"email": "a@b.test", "password": "p"})
COOKIE = Credentials({"cookie": "s=1"})


def answered(status: int, body: bytes, headers: Headers | None = None) -> VendorResponse:
    return VendorResponse(status, headers or CIMultiDict(), body)


def test_a_cookie_without_its_user_asks_for_the_session_once() -> None:
    session = answered(200, b'{"session":{"userId":"user-1"},"user":{"id":"user-123","email":"a@b.test"}}')
    assert exchange(new_translator().authorize(COOKIE, None), session) == (
        [GET_SESSION],
        Authorization({"Cookie": "s=1"}, HardwireSession("s=1", "user-123")),
    )


def test_the_manuals_session_path_is_tried_where_the_librarys_is_unknown() -> None:
    responses = answered(404, b""), answered(200, b'{"session":{"userId":"user-123"}}')
    assert exchange(new_translator().authorize(COOKIE, None), *responses) == (
        [GET_SESSION, OLD_SESSION],
        Authorization({"Cookie": "s=1"}, HardwireSession("s=1", "user-123")),
    )


@pytest.mark.parametrize("body", [b"null", b"{}", b'{"session":{}}', b'{"user":{"id":""}}'])
def test_a_cookie_without_a_session_is_a_credential_fault(body: bytes) -> None:
    with pytest.raises(GatewayError) as caught:
        exchange(new_translator().authorize(COOKIE, None), answered(200, body))
    assert caught.value.code == "upstream_auth"


def test_signing_in_keeps_all_cookies_and_the_user() -> None:
    headers = CIMultiDict(
        [
            ("Set-Cookie", "__Secure-better-auth.session_token=abc.d%3D; Max-Age=604800; Path=/; HttpOnly; Secure"),
            ("set-cookie", "better-auth.session_data=e=f; Path=/"),
            ("set-cookie", "old=; Max-Age=0"),
        ]
    )
    session = answered(200, b'{"redirect":false,"token":"t","user":{"id":"user-123"}}', headers)
    cookie = "__Secure-better-auth.session_token=abc.d%3D; better-auth.session_data=e=f"
    assert exchange(new_translator().authorize(PASSWORD, None), session) == (
        [SIGN_IN],
        Authorization({"Cookie": cookie}, HardwireSession(cookie, "user-123")),
    )


@pytest.mark.parametrize("body", [b"", b"null", b'{"redirect":false}', b"<html>"])
def test_a_sign_in_that_does_not_say_the_user_is_followed_by_the_question(body: bytes) -> None:
    responses = answered(200, body, {"Set-Cookie": "s=1; Path=/"}), answered(200, b'{"user":{"id":"user-123"}}')
    assert exchange(new_translator().authorize(PASSWORD, None), *responses) == (
        [SIGN_IN, GET_SESSION],
        Authorization({"Cookie": "s=1"}, HardwireSession("s=1", "user-123")),
    )


def test_a_sign_in_without_a_cookie_is_a_protocol_error() -> None:
    for headers in (CIMultiDict[str](), {"X": "1"}, {"Set-Cookie": "s=; Max-Age=0"}):
        with pytest.raises(GatewayError) as caught:
            exchange(new_translator().authorize(PASSWORD, None), answered(200, b"{}", headers))
        assert caught.value.code == "upstream_protocol"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refused_sign_in_concerns_our_credential(status: int) -> None:
    body = b'{"code":"INVALID_EMAIL_OR_PASSWORD","message":"Invalid email or password p"}'
    with pytest.raises(GatewayError) as caught:
        exchange(new_translator().authorize(PASSWORD, None), answered(status, body))
    error = caught.value
    assert (error.code, error.vendor_status, error.vendor_code) == (
        "upstream_auth",
        status,
        "INVALID_EMAIL_OR_PASSWORD",
    )
    assert error.message == "the vendor refused our credential"


def test_a_good_session_asks_nothing_and_its_user_signs_the_message() -> None:
    translator = new_translator()
    session = HardwireSession("s=1", "user-123")
    assert exchange(translator.authorize(PASSWORD, session)) == ([], Authorization({"Cookie": "s=1"}, session))
    request = next(translator.requests(ask("Hi")))
    assert request.body == b'{"content":"Hi","modelId":"gpt-4","userId":"user-123"}'


def test_a_session_hides_its_cookie() -> None:
    assert repr(HardwireSession("secret", "user-123")) == "HardwireSession(...)"


# --- what comes back


def test_a_correction_is_noticed_and_an_extension_is_not() -> None:
    notices = {
        name: attempt(new_translator(), ask(), (EXAMPLES / f"{name}.sse").read_bytes()).notices
        for name in ("corrected", "extended", "server", "documented-text-around-tool")
    }
    assert notices == {"corrected": ["text_corrected"], "extended": [], "server": [], "documented-text-around-tool": []}


def test_a_result_without_a_call_is_noticed() -> None:
    path = EXAMPLES / "documented-result-without-call.sse"
    assert attempt(new_translator(), ask(), path.read_bytes()).notices == ["repaired_block"]


CALL = '{"type":"tool_call","toolName":"search"}'


def test_the_whole_text_is_verified_behind_a_tool_call_as_well() -> None:
    body = frames(
        '{"type":"content","delta":"One. "}',
        CALL,
        '{"type":"content","delta":"Tow."}',
        '{"type":"complete","message":{"content":"One. Two."}}',
    )
    seen = attempt(new_translator(), ask(), body)
    assert as_json(seen.events) == [
        {"type": "text.started", "block": 0},
        {"type": "text.delta", "block": 0, "delta": "One. "},
        {"type": "text.completed", "block": 0, "text": "One. "},
        {"type": "tool_call.started", "block": 1, "tool_call_id": "call_0", "name": "search", "executor": "vendor"},
        {
            "type": "tool_call.completed",
            "block": 1,
            "tool_call_id": "call_0",
            "name": "search",
            "arguments": {},
            "status": "complete",
        },
        {"type": "text.started", "block": 2},
        {"type": "text.delta", "block": 2, "delta": "Tow."},
        {"type": "text.completed", "block": 2, "text": "Tow."},
        {"type": "text.started", "block": 3, "replaces": 2},
        {"type": "text.delta", "block": 3, "delta": "Two."},
        {"type": "text.completed", "block": 3, "text": "Two."},
        {"type": "message.completed", "finish_reason": "stop"},
    ]
    assert seen.notices == ["text_corrected"]


def test_a_whole_text_that_contradicts_what_stands_before_a_call_is_noticed() -> None:
    body = frames('{"type":"content","delta":"One. "}', CALL, '{"type":"complete","message":{"content":"Uno. Two."}}')
    seen = attempt(new_translator(), ask(), body)
    assert seen.notices == ["text_corrected"]
    assert [event for event in seen.events if isinstance(event, TextStarted)] == [TextStarted(0)]


def test_a_whole_text_that_ends_before_the_call_changes_nothing() -> None:
    body = frames('{"type":"content","delta":"One."}', CALL, '{"type":"complete","message":{"content":"One."}}')
    seen = attempt(new_translator(), ask(), body)
    assert [event for event in seen.events if isinstance(event, TextStarted)] == [TextStarted(0)]
    assert seen.notices == []


def test_an_empty_whole_text_leaves_the_tokens_standing() -> None:
    body = frames('{"type":"token","token":"Hi"}', '{"type":"complete","message":{"content":"","sources":null}}')
    assert as_json(attempt(new_translator(), ask(), body).events) == [
        {"type": "text.started", "block": 0},
        {"type": "text.delta", "block": 0, "delta": "Hi"},
        {"type": "text.completed", "block": 0, "text": "Hi"},
        {"type": "message.completed", "finish_reason": "stop"},
    ]


def test_an_answer_for_another_chat_is_a_protocol_error() -> None:
    body = frames('{"type":"complete","message":{"content":"Hi"},"chatId":"00000000-0000-4000-8000-000000000001"}')
    seen = attempt(new_translator(), ask(), body)
    assert as_json(seen.events) == [
        {
            "type": "message.failed",
            "error": {
                "code": "upstream_protocol",
                "message": "hardwire answered for another chat",
                "retryable": True,
            },
        }
    ]


def test_a_chat_id_in_capitals_is_the_same_chat() -> None:
    body = frames('{"type":"complete","message":{"content":"Hi"},"chatId":"550E8400-E29B-41D4-A716-446655440000"}')
    assert attempt(new_translator(), ask(), body).error is None


@pytest.mark.parametrize(
    "frame",
    [
        '{"type":"token","token":"a","error":{"message":"no"}}',
        '{"type":"content","delta":"a","error":"no"}',
        '{"type":"end","error":"no"}',
        '{"type":"complete","message":{"content":"a"},"error":{"message":"no"}}',
        '{"type":"sparkle","error":"no"}',
        '{"type":"sparkle","error":{"code":7}}',
        '{"type":"sparkle","error":[1]}',
        '{"type":"error"}',
        '{"type":"error","message":"no"}',
        '{"type":"error","error":{}}',
        '{"type":"error","error":{"code":"NEVER_HEARD_OF"}}',
    ],
)
def test_a_frame_with_an_error_is_a_failure_whatever_its_type(frame: str) -> None:
    error = attempt(new_translator(), ask(), frames(frame)).error
    assert error is not None
    assert (error.code, error.cause) == ("upstream_protocol", "vendor_error")


@pytest.mark.parametrize(
    "frame", ['{"error":"no"}', '{"error":{"message":"no"}}', "{}", "[]", "null", "{", '{"type":7}']
)
def test_a_frame_without_a_type_is_malformed(frame: str) -> None:
    with pytest.raises(Malformed):
        attempt(new_translator(), ask(), frames(frame))


FOLDED = [
    ('{"type":"error","error":{"clientMessage":"a","message":"b"},"message":"c"}', "a"),
    ('{"type":"error","error":{"message":"b"},"message":"c"}', "c"),
    ('{"type":"error","error":{"message":"b"}}', "b"),
    ('{"type":"error","error":"d","message":"c"}', "c"),
    ('{"type":"error","error":"d"}', "d"),
]


@pytest.mark.parametrize(("frame", "text"), FOLDED)
def test_the_vendors_text_goes_to_the_log_alone(frame: str, text: str) -> None:
    error = attempt(new_translator(), ask(), frames(frame)).error
    assert error is not None
    assert error.vendor_message == text
    assert error.message == "the vendor answered with something else than its protocol says"
    assert error.vendor_code is None


def test_only_what_looks_like_a_code_or_an_id_is_shown() -> None:
    frame = '{"type":"error","error":{"code":"Bearer sk-1","requestId":"a b"}}'
    error = attempt(new_translator(), ask(), frames(frame)).error
    assert error is not None
    assert (error.vendor_code, error.vendor_request_id) == (None, None)


def test_a_stream_that_stops_half_way_is_a_protocol_error() -> None:
    error = attempt(new_translator(), ask(), (EXAMPLES / "cut.sse").read_bytes()).error
    assert error is not None
    assert (error.code, error.cause) == ("upstream_protocol", "truncated")


def test_an_empty_document_is_a_protocol_error() -> None:
    error = attempt(new_translator(SYNC), ask(stream=False), b" ").error
    assert error is not None
    assert (error.code, error.cause) == ("upstream_protocol", "truncated")


# --- workflow runs


def run_error(body: bytes) -> GatewayError:
    error = attempt(new_translator(RUN), ask(), STARTED, body).error
    assert error is not None
    return error


def test_a_run_that_failed_to_start_is_a_failure_inside_a_201() -> None:
    body = b'{"assistantMessage":null,"error":{"message":"no","code":"WORKFLOW_RUN_FAILED"}}'
    error = attempt(new_translator(RUN), ask(), body).error
    assert error is not None
    assert (error.code, error.vendor_code) == ("upstream_unavailable", "WORKFLOW_RUN_FAILED")


def test_an_answer_in_place_of_a_run_is_the_answer() -> None:
    body = (EXAMPLES / "sync-server.json").read_bytes()
    translator = new_translator(RUN)
    seen = attempt(translator, ask(), body)
    assert as_json(seen.events) == expected(EXAMPLES / "sync-server.json")
    assert translator.vendor_ids == {"conversation": CHAT, "user_message": "m1", "message": "m2"}


def test_neither_run_nor_answer_is_empty() -> None:
    error = attempt(new_translator(RUN), ask(), b'{"assistantMessage":null}').error
    assert error is not None
    assert error.code == "upstream_empty"


@pytest.mark.parametrize("run", [".", ".."])
def test_a_run_id_that_means_another_path_is_a_protocol_error(run: str) -> None:
    error = attempt(new_translator(RUN), ask(), b'{"workflowRunId":"%b"}' % run.encode()).error
    assert error is not None
    assert error.code == "upstream_protocol"


def test_a_run_id_is_one_segment_of_the_path() -> None:
    calls = new_translator(RUN).requests(ask())
    next(calls)
    request = calls.send(answered(201, b'{"workflowRunId":"../users"}'))
    assert request.path == f"/chats/{CHAT}/workflow-runs/..%2Fusers/stream"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ('{"type":"run_failed","error":{"code":"WORKFLOW_RUN_TIMEOUT"}}', "upstream_timeout"),
        ('{"type":"run_failed"}', "upstream_unavailable"),
        ('{"type":"run_completed","status":"failed"}', "upstream_unavailable"),
        ('{"type":"complete","status":"FAILED"}', "upstream_unavailable"),
        ('{"type":"complete","status":"RUNNING"}', "upstream_protocol"),
        ('{"type":"complete","status":"PASSED","error":"no"}', "upstream_protocol"),
        ('{"type":"error","message":"no"}', "upstream_protocol"),
        ('{"type":"sparkle","error":"no"}', "upstream_protocol"),
    ],
)
def test_a_run_that_fails_is_a_failure(frame: str, code: str) -> None:
    assert run_error(frames(frame)).code == code


@pytest.mark.parametrize(
    "frame", ['{"type":"run_completed","status":"cancelled"}', '{"type":"complete","status":"CANCELLED"}']
)
def test_a_run_that_the_vendor_cancels_is_canceled(frame: str) -> None:
    seen = attempt(new_translator(RUN), ask(), STARTED, frames(frame))
    assert as_json(seen.events) == [{"type": "message.canceled", "reason": "vendor"}]


def test_a_step_that_was_never_seen_to_start_is_started_and_completed_once() -> None:
    body = frames(
        '{"type":"step_completed","stepId":"a"}',
        '{"type":"step_started","stepId":"a","toolId":"t"}',
        '{"type":"step_failed","stepId":"b","error":{"any":"shape"}}',
        '{"type":"complete","status":"CANCELLED"}',
    )
    assert as_json(attempt(new_translator(RUN), ask(), STARTED, body).events) == [
        {"type": "step.started", "step": 0},
        {"type": "step.completed", "step": 0},
        {"type": "step.started", "step": 1},
        {"type": "step.completed", "step": 1},
        {"type": "message.canceled", "reason": "vendor"},
    ]


SNAPSHOT = (
    '{"type":"snapshot","workflowRun":{"status":"RUNNING"},"steps":[{"stepId":"a","status":"RUNNING","toolCalls":%s}]}'
)


@pytest.mark.parametrize(
    ("calls", "told"),
    [
        ("7", []),
        ("[7]", []),
        ('[{"name":7}]', []),
        ('[{"name":"t","args":{"a":1},"output":0}]', [("t", {"a": 1}), ("t", 0)]),
        ('[{"name":"t","arguments":"{\\"a\\":1}"}]', [("t", {"a": 1})]),
        ('[{"name":"t","input":[1]}]', [("t", {})]),
    ],
)
def test_a_steps_tool_calls_are_read_in_any_usual_spelling(calls: str, told: list[tuple[str, object]]) -> None:
    body = frames(SNAPSHOT % calls, SNAPSHOT % calls, '{"type":"complete","status":"CANCELLED"}')
    events = as_json(attempt(new_translator(RUN), ask(), STARTED, body).events)
    assert [
        (event["name"], event.get("arguments", event.get("output")))
        for event in events
        if event["type"] in {"tool_call.completed", "tool_result"}
    ] == told


@pytest.mark.parametrize(
    ("listed", "text"),
    [
        (LISTED, "Quantum bits"),
        (b'{"data":%b}' % LISTED, "Quantum bits"),
        (b'{"messages":[]}', None),
        (b'{"messages":[{"id":"a0","role":"assistant","content":"Hello"}]}', None),
        (b'{"messages":[{"id":"m1","role":"user","content":"Explain"}]}', None),
        (b'{"data":null}', None),
    ],
)
def test_the_answer_of_a_run_is_the_last_one_to_its_question(listed: bytes, text: str | None) -> None:
    body = frames('{"type":"run_completed","status":"completed"}')
    events = as_json(attempt(new_translator(RUN), ask(), STARTED, body, listed).events)
    assert [event["text"] for event in events if event["type"] == "text.completed"] == ([text] if text else [])
    assert events[-1] == {"type": "message.completed", "finish_reason": "stop"}


def test_without_the_questions_id_the_last_question_counts() -> None:
    body = frames('{"type":"run_completed","status":"completed"}')
    events = as_json(attempt(new_translator(RUN), ask(), b'{"workflowRunId":"run-1"}', body, LISTED).events)
    assert [event["text"] for event in events if event["type"] == "text.completed"] == ["Quantum bits"]


def test_a_system_message_is_no_answer_of_a_run() -> None:
    message = '{"id":"n1","role":"system","content":"It failed."}'
    body = frames(
        f'{{"type":"snapshot","workflowRun":{{"status":"PASSED"}},"message":{message}}}',
        '{"type":"complete","status":"PASSED"}',
    )
    events = as_json(attempt(new_translator(RUN), ask(), STARTED, body, LISTED).events)
    assert [event["text"] for event in events if event["type"] == "text.completed"] == ["Quantum bits"]


def test_while_the_answer_is_looked_up_the_runs_stream_is_over() -> None:
    body = frames('{"type":"run_completed","status":"completed"}', '{"type":"sparkle"}')
    seen = attempt(new_translator(RUN), ask(), STARTED, body, LISTED)
    assert seen.notices == ["after_terminal"]
    assert seen.error is None


def test_a_run_can_be_attached_to_again_until_it_ended() -> None:
    translator = new_translator(RUN)
    assert translator.resume() is None
    calls = translator.requests(ask())
    next(calls)
    request = calls.send(answered(201, STARTED))
    assert translator.resume() == request
    assert list(translator.feed(Record(b'{"type":"run_completed","status":"completed"}'))) == []
    assert translator.resume() is None


def test_a_run_that_completed_cannot_be_attached_to() -> None:
    translator = new_translator(RUN)
    attempt(translator, ask(), STARTED, (EXAMPLES / "runs/server.sse").read_bytes())
    assert translator.resume() is None


def test_a_models_answer_can_neither_be_resumed_nor_stopped() -> None:
    translator = new_translator()
    next(translator.requests(ask()))
    assert (translator.resume(), translator.cancel()) == (None, None)


# --- refusals


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, "upstream_protocol"),
        (400, "upstream_rejected"),
        (401, "upstream_auth"),
        (403, "upstream_auth"),
        (404, "upstream_not_found"),
        (409, "upstream_rejected"),
        (429, "upstream_rate_limited"),
        (500, "upstream_unavailable"),
        (502, "upstream_unavailable"),
        (504, "upstream_timeout"),
    ],
)
def test_a_refusal_in_the_manuals_words_is_read_by_its_status(status: int, code: str) -> None:
    body = b'{"error":"Unauthorized","message":"Valid session required"}'
    error = new_translator().refuse(status, CIMultiDict(), body)
    assert (error.code, error.vendor_code, error.vendor_message) == (code, None, "Valid session required")


def test_the_manuals_error_may_be_a_code() -> None:
    error = new_translator().refuse(503, CIMultiDict(), b'{"error":"LLM_REQUEST_FAILED"}')
    assert (error.code, error.vendor_code) == ("upstream_unavailable", "LLM_REQUEST_FAILED")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "12", "X-RateLimit-Reset": "7"}, 12.0),
        ({"X-RateLimit-Reset": "7"}, 7.0),
        ({}, None),
    ],
)
def test_a_rate_limit_says_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    assert new_translator().refuse(429, CIMultiDict(headers), b"").retry_after == seconds


# --- spoilt runs and refusals

FRAMES = sorted(
    {
        line.removeprefix(b"data: ")
        for path in EXAMPLES.glob("**/*.sse")
        for line in path.read_bytes().splitlines()
        if line
    }
)


@given(st.sampled_from(FRAMES).flatmap(spoilt_json))
def test_no_frame_of_a_run_does_worse_to_a_message_stream_than_fail_it(data: bytes) -> None:
    with contextlib.suppress(GatewayError, Malformed):
        as_json(told_by(new_translator(), [Record(data)]))


@given(st.sampled_from(FRAMES).flatmap(spoilt_json))
def test_no_frame_of_a_run_stream_does_worse_than_fail(data: bytes) -> None:
    translator = new_translator(RUN)
    calls = translator.requests(ask())
    next(calls)
    calls.send(answered(201, STARTED))
    with contextlib.suppress(GatewayError, Malformed):
        as_json(told_by(translator, [Record(data)]))


@given(spoilt_json(STARTED), spoilt_json(LISTED))
def test_no_answer_around_a_run_does_worse_than_fail(started: bytes, listed: bytes) -> None:
    body = frames('{"type":"run_completed","status":"completed"}')
    with contextlib.suppress(Malformed):
        attempt(new_translator(RUN), ask(), started, body, listed)


@given(
    spoilt_json(
        b'{"message":"m","clientMessage":"c","code":"UNAUTHORIZED","requestId":"r","statusCode":401,"error":{}}'
    )
)
def test_no_refusal_does_worse_than_fail(body: bytes) -> None:
    assert refuse(new_translator(), 401, body).code == "upstream_auth"


# --- the descriptor


NEVER_TOLD = {"reasoning", "files_out", "input_requests", "usage"}
"""No event of the vendor's means any, so there is nothing to refuse."""
NO_DOOR = {"data_frames", "cancel"}
REFUSED = {
    "files_in": Turn([FilePart(file_id="f")], lambda: CHAT),
    "tool_results_in": Turn([ToolResultPart("call_0", "x")], lambda: CHAT),
    "instructions": ask(instructions="Be brief."),
    "client_tools": ask(tools=[Tool("search")]),
    "regenerate": ask(regenerates="m2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_descriptor_says_no_to_is_refused(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        next(new_translator().requests(REFUSED[name]))
    assert caught.value.code == "unsupported"


def test_what_the_descriptor_says_no_to_and_is_not_refused_has_no_door() -> None:
    said_no = {name for name, support in HARDWIRE.capabilities.items() if support == "no"}
    assert said_no == NEVER_TOLD | NO_DOOR | REFUSED.keys()
    assert (HARDWIRE.files, HARDWIRE.data_frames, new_translator().cancel()) == (None, None, None)


def test_what_the_descriptor_ignores_changes_nothing() -> None:
    assert {name for name, support in HARDWIRE.capabilities.items() if support == "ignored"} == {
        "parameters",
        "metadata",
        "user_id",
    }
    turn = ask(parameters=Parameters(temperature=1), metadata={"a": 1}, user_id="u")
    assert next(new_translator().requests(turn)) == next(new_translator().requests(ask()))


@pytest.mark.parametrize(
    "settings", [{}, {"model": ""}, {"model": "m", "modle": "n"}, {"model": "m", "workflow_id": "x"}]
)
def test_wrong_target_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, HARDWIRE.target)


def test_a_completed_answer_has_no_reason_of_the_vendors() -> None:
    seen = attempt(new_translator(), ask(), (EXAMPLES / "server.sse").read_bytes())
    assert seen.events[-1] == MessageCompleted("stop", raw_finish_reason=None)

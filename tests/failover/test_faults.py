"""The faults of the list where a route has a second target: rows 1 to 50, 54, 55, 72, 92, 95, 96, over real sockets.

What a client of a single target is told stands in `tests/faults`; here the first vendor fails and another is well.
"""

import asyncio
import gzip
import ssl
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from gateway.canonical.blocks import MAX_BLOCKS
from gateway.canonical.events import ToolCallCompleted
from tests.support.gateway import END, HELLO, START, Answer, RunningGateway, told, until
from tests.support.scripts import (
    HEAD,
    LAST_CHUNK,
    Connection,
    Drip,
    Hold,
    RawClient,
    Read,
    Received,
    Repeat,
    Reset,
    ScriptServer,
    Sleep,
    Step,
    Wait,
    Write,
    chunk,
    response,
    unanswered_port,
)
from tests.support.targets import (
    ACME_SAYS,
    ACME_START,
    BEGUN,
    CONTINUE,
    FAILING,
    LAST_HEAD,
    QUICK,
    RESTART,
    SAID,
    STATELESS,
    SWITCHED,
    TOUCHY,
    WELL,
    WHOLE,
    Choosing,
    Played,
    also_well,
    answered,
    at,
    breaker_is,
    check_unseen,
    content,
    lines,
    message,
    nobody,
    played,
    refused,
    running_targets,
    said,
    spoken_to,
    switches,
    two,
)

pytestmark = pytest.mark.usefixtures("quick_sweeper")

both_modes = pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])

STRAY = 'stickiness = { mode = "none" }'
"""A conversation goes back to the first target at once."""

MB = 1024 * 1024
EVENTS = START + HELLO + END


class Fault(msgspec.Struct, frozen=True):
    """What the first vendor does, and what is kept of it: outcome, phase, and whether its breaker is charged."""

    acme: Played
    cause: str
    phase: str = "possibly_accepted"
    is_charged: bool = True
    route: str = ""


def frame(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"


OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
ERROR_HEAD = b"HTTP/1.1 500 Oops\r\nConnection: close\r\n\r\n"

HIDDEN: dict[str, Fault] = {
    "row 1: a name that does not resolve": Fault(at("http://x.invalid"), "connect", "not_sent"),
    "row 2: a refused connection": Fault(nobody(), "connect", "not_sent"),
    "row 5: a reset after the request": Fault(played([Read(), Reset()]), "reset_before_headers"),
    "row 5: a close after the request": Fault(played([Read()]), "reset_before_headers"),
    "row 7: headers that never come": Fault(played([Read(), Hold()], target=QUICK), "first_event_timeout"),
    "row 8: headers that drip": Fault(
        played([Read(), Drip(HEAD * 9, every=0.02), Hold()], target=QUICK), "first_event_timeout"
    ),
    "row 9: garbage": Fault(played([Read(), Write(b"hello, who is there?\r\n\r\n"), Hold()]), "protocol"),
    "row 9: a header line over 8 KB": Fault(
        played([Read(), Write(OK + b"X-Long: " + b"x" * 9000 + b"\r\n\r\n"), Hold()]), "protocol"
    ),
    "row 9: a length and chunks": Fault(
        played([Read(), Write(OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), Hold()]), "protocol"
    ),
    "row 11: a page": Fault(played([Read(), Write(response(200, b"<html>", "text/html"))]), "content_type"),
    "row 11: events as text": Fault(played([Read(), Write(response(200, EVENTS, "text/plain"))]), "content_type"),
    "row 11: a page without end": Fault(
        played([Read(), Write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"), Repeat(b"<p>" * 10_000)]),
        "content_type",
    ),
    "row 13: a 200 without a body": Fault(
        played([Read(), Write(response(200, b"", "text/event-stream", connection="close"))]), "truncated"
    ),
    "row 13: a 204": Fault(played([Read(), Write(b"HTTP/1.1 204 No Content\r\n\r\n")]), "truncated"),
    "row 14: gzip": Fault(
        played(
            [
                Read(),
                Write(
                    response(
                        200, gzip.compress(EVENTS), "text/event-stream", content_encoding="gzip", connection="close"
                    )
                ),
            ]
        ),
        "encoding",
    ),
    "row 15: a limit": Fault(played(refused(429, retry_after="60")), "rate_limited", "not_sent", is_charged=False),
    "row 15: a limit without a time": Fault(played(refused(429)), "rate_limited", "not_sent", is_charged=False),
    "row 17: a 401": Fault(played(refused(401, "UNAUTHORIZED")), "auth", "not_sent"),
    "row 17: a 403": Fault(played(refused(403, "CHAT_ACCESS_DENIED")), "auth"),
    "row 18: a 404 of what is new": Fault(played(refused(404, "CHAT_NOT_FOUND")), "not_found", is_charged=False),
    "row 19: a 400, where it is allowed": Fault(
        played(refused(400, "REQUEST_VALIDATION")),
        "rejected",
        is_charged=False,
        route='fail_over_on = ["upstream_rejected"]',
    ),
    "row 19: a 422, where it is allowed": Fault(
        played(refused(422)), "rejected", is_charged=False, route='fail_over_on = ["upstream_rejected"]'
    ),
    "row 19: a 402": Fault(played(refused(402)), "quota_exhausted", route='fail_over_on = ["quota_exhausted"]'),
    "row 20: a 500": Fault(played(refused(500)), "status_5xx"),
    "row 20: a 529": Fault(played(refused(529)), "status_5xx"),
    "row 20: a 500 with a megabyte": Fault(
        played([Read(), Write(response(500, b"x" * MB, "text/html")), Hold()]), "status_5xx"
    ),
    "row 20: a 500 without end": Fault(played([Read(), Write(ERROR_HEAD), Repeat(b"x" * 65_536)]), "status_5xx"),
    "row 21: a reset in the middle of an event": Fault(
        played([Read(), Write(BEGUN + chunk(ACME_SAYS)[:20]), Reset()]), "reset_midstream"
    ),
    "row 21: a reset within the data of an event": Fault(
        played([Read(), Write(BEGUN + chunk(ACME_SAYS[:-1])), Reset()]), "reset_midstream"
    ),
    "row 23: a clean end": Fault(played([Read(), Write(BEGUN + LAST_CHUNK)]), "truncated"),
    "row 23: a clean end in the middle of an event": Fault(
        played([Read(), Write(BEGUN + chunk(ACME_SAYS[:20]) + LAST_CHUNK)]), "truncated"
    ),
    "row 28: an endless line": Fault(
        played([Read(), Write(BEGUN), Repeat(chunk(b"x" * 65_536))]), "too_large", is_charged=False
    ),
    "row 30: comments for ever": Fault(
        played([Read(), Write(BEGUN), Repeat(chunk(b": still here\n\n"), every=0.05)], target=QUICK),
        "first_event_timeout",
    ),
    "row 32: one byte at a time": Fault(
        played(
            [Read(), Write(LAST_HEAD), Drip(chunk(ACME_START) + chunk(ACME_SAYS), every=0.02), Hold()], target=QUICK
        ),
        "first_event_timeout",
    ),
    "row 38: no JSON": Fault(played(answered(ACME_START, frame(b"acme"))), "malformed"),
    "row 38: half a document": Fault(
        played(answered(ACME_START, frame(b'{"type":"content","delta":"acme'))), "malformed"
    ),
    "row 38: two documents": Fault(
        played(answered(ACME_START, frame(b'{"type":"content","delta":"acme"}{"type":"content","delta":"b"}'))),
        "malformed",
    ),
    "row 39: a list": Fault(played(answered(ACME_START, frame(b"[]"))), "malformed"),
    "row 39: a field of another type": Fault(
        played(answered(ACME_START, frame(b'{"type":"content","delta":7}'))), "malformed"
    ),
    "row 40: a depth of 100,000": Fault(
        played(answered(ACME_START, frame(b'{"type":"content","delta":"acme","more":' + b"[" * 100_000))), "malformed"
    ),
    "row 40: a lone surrogate": Fault(
        played(answered(ACME_START, frame(b'{"type":"content","delta":"\\ud83d"}'))), "malformed"
    ),
    "row 47: an error inside a 200": Fault(
        played(answered(ACME_START, frame(b'{"type":"error","error":"LLM_ERROR","message":"acme"}'))), "vendor_error"
    ),
    "row 48: filtered before content, where it is allowed": Fault(
        played(
            answered(
                frame(b'{"type":"start","messageId":"acme-1"}'),
                frame(b'{"type":"finish","finishReason":"content-filter"}'),
            ),
            protocol="chatbase",
        ),
        "content_filtered",
        is_charged=False,
        route='fail_over_on = ["content_filtered"]',
    ),
    "row 52: an answer for another conversation": Fault(
        played(answered(frame(b'{"type":"complete","chatId":"acme-2","message":{"content":"acme"}}'))), "protocol"
    ),
    "no content at all": Fault(played(answered(ACME_START, END)), "empty"),
}


async def check_hidden(gateway: RunningGateway, answer: Answer, fault: Fault) -> None:
    check_unseen(answer)
    assert gateway.hits == {**({"acme": 1} if fault.acme.scripts else {}), "spare": 1}
    failovers, attempts, messages, breakers = await gateway.all_counts(
        "gateway_failovers_total", "gateway_attempts_total", "gateway_messages_total", "gateway_breaker_state"
    )
    assert failovers == {(fault.cause, "acme", fault.phase, "spare"): 1}
    assert attempts == {(fault.cause, fault.acme.protocol, "acme"): 1, ("completed", "hardwire", "spare"): 1}
    assert messages == {("completed", "support", "spare"): 1}
    assert breakers == {("open" if fault.is_charged else "closed", "acme"): 1, ("closed", "spare"): 1}


@both_modes
@pytest.mark.parametrize("fault", HIDDEN.values(), ids=HIDDEN)
async def test_before_content_a_client_sees_nothing_of_a_vendor_that_fails(
    tmp_path: Path, fault: Fault, *, stream: bool
) -> None:
    acme = msgspec.structs.replace(fault.acme, vendor=TOUCHY)
    vendors = {"acme": acme, "spare": played(WELL, vendor=TOUCHY)}
    async with running_targets(tmp_path, vendors, route=fault.route) as gateway:
        began = time.monotonic()
        answer = await gateway.ask(stream=stream)
        assert time.monotonic() - began < 6
        await check_hidden(gateway, answer, fault)
        for connection in gateway.vendors["acme"].connections if "acme" in gateway.vendors else ():
            assert connection.transport.is_closing() or await connection.left(within=1)


# --- rows 1, 3, 4, 6, 10: what takes a stage of its own


async def test_row_1_a_resolver_that_sleeps_is_left_after_the_connect_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = asyncio.get_running_loop().getaddrinfo

    async def sleep(host: str, *arguments: Any, **options: Any) -> Any:
        await asyncio.sleep(60 if host == "x.invalid" else 0)
        return await resolve(host, *arguments, **options)

    vendors = {"acme": at("http://x.invalid", target=QUICK), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors) as gateway:
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", sleep)
        began = time.monotonic()
        check_unseen(await gateway.ask())
        assert 0.2 <= time.monotonic() - began < 1
        assert await gateway.counts("gateway_failovers_total") == {("connect_timeout", "acme", "not_sent", "spare"): 1}


@both_modes
async def test_row_3_connecting_that_hangs_is_left_after_the_connect_deadline(tmp_path: Path, *, stream: bool) -> None:
    async with unanswered_port() as port:
        deadlines = "deadlines = { connect = 0.2, first_event = 30, total = 60 }"
        vendors = {"acme": at(f"http://127.0.0.1:{port}", target=deadlines, vendor=TOUCHY), "spare": played(WELL)}
        async with running_targets(tmp_path, vendors) as gateway:
            began = time.monotonic()
            check_unseen(await gateway.ask(stream=stream))
            assert 0.2 <= time.monotonic() - began < 1
            assert await gateway.counts("gateway_failovers_total") == {
                ("connect_timeout", "acme", "not_sent", "spare"): 1
            }
            assert await gateway.count("gateway_breaker_state", "open", "acme") == 1


async def test_row_4_a_vendor_whose_certificate_is_not_trusted_is_never_spoken_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with ScriptServer(WELL, tls=tls) as acme:
        async with running_targets(tmp_path, {"acme": at(acme.url, vendor=TOUCHY), "spare": played(WELL)}) as gateway:
            check_unseen(await gateway.ask())
            assert await gateway.counts("gateway_failovers_total") == {("tls", "acme", "not_sent", "spare"): 1}
            assert await gateway.count("gateway_breaker_state", "open", "acme") == 1
        assert acme.requests == []


@both_modes
@pytest.mark.parametrize("death", [Reset(), Write(b"")], ids=["reset", "closed"])
async def test_row_6_a_kept_connection_that_dies_under_a_request_moves_on(
    tmp_path: Path, death: Step, *, stream: bool
) -> None:
    kept = [Read(), *told(START, content("From acme"), END), Read(), death]
    async with running_targets(tmp_path, two(kept, vendor=TOUCHY)) as gateway:
        assert said(await gateway.ask(stream=True)) == "From acme"
        check_unseen(await gateway.ask(stream=stream))
        assert gateway.hits == {"acme": 2, "spare": 1}
        assert len(gateway.vendors["acme"].connections) == 1
        assert await gateway.counts("gateway_failovers_total") == {
            ("stale_connection", "acme", "possibly_accepted", "spare"): 1
        }
        assert await gateway.count("gateway_breaker_state", "closed", "acme") == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_row_10_a_redirect_is_not_followed_but_moves_on(tmp_path: Path, status: int) -> None:
    async with ScriptServer([Hold()], host="127.0.0.2") as other:
        script = [Read(), Write(response(status, b"", location=f"{other.url}/chats", connection="close"))]
        async with running_targets(tmp_path, two(script)) as gateway:
            check_unseen(await gateway.ask())
            assert gateway.hits == {"acme": 1, "spare": 1}
            assert await gateway.outcomes() == {"redirect": 1, "completed": 1}
        assert other.connections == []


# --- row 5: what was possibly accepted


@both_modes
async def test_row_5_where_the_route_forbids_it_nobody_is_asked_what_may_have_been_accepted(
    tmp_path: Path, *, stream: bool
) -> None:
    async with running_targets(tmp_path, two([Read(), Reset()]), route='once_sent = "fail"') as gateway:
        answer = await gateway.ask(stream=stream)
        assert (answer.status, answer.ending[1]) == (503, "reset_before_headers")
        assert gateway.hits == {"acme": 1, "spare": 0}


async def test_row_5_what_was_not_sent_may_be_asked_of_another_all_the_same(tmp_path: Path) -> None:
    vendors = {"acme": nobody(), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, route='once_sent = "fail"') as gateway:
        check_unseen(await gateway.ask())


# --- row 15: a vendor that limits our rate


async def test_row_15_a_vendor_that_limits_our_rate_is_left_alone_by_all_until_its_time(tmp_path: Path) -> None:
    limited = played(refused(429, retry_after="0.8"), also_well("Free"), vendor=TOUCHY)
    async with running_targets(tmp_path, {"acme": limited, "spare": played(WELL)}) as gateway:
        began = time.monotonic()
        check_unseen(await gateway.ask())
        assert time.monotonic() - began < 0.6
        for answer in await asyncio.gather(*(gateway.ask(stream=number % 2 == 0) for number in range(5))):
            check_unseen(answer, attempt=1)
        assert 0 < await gateway.count("gateway_vendor_paused_seconds", "acme") <= 0.8
        assert gateway.hits == {"acme": 1, "spare": 6}
        await paused_no_more(gateway)
        assert 0.8 <= time.monotonic() - began < 1.4
        assert said(await gateway.ask()) == "Free"
        assert await gateway.count("gateway_breaker_state", "closed", "acme") == 1


async def paused_no_more(gateway: RunningGateway) -> None:
    async with asyncio.timeout(3):
        while await gateway.counts("gateway_vendor_paused_seconds"):  # noqa: ASYNC110  (no event is set for it)
            await asyncio.sleep(0.01)


@both_modes
async def test_row_15_where_all_limit_our_rate_the_first_that_is_free_is_waited_for(
    tmp_path: Path, *, stream: bool
) -> None:
    vendors = {
        "acme": played(refused(429, retry_after="30"), WELL),
        "spare": played(refused(429, retry_after="0.4"), WELL),
    }
    async with running_targets(tmp_path, vendors) as gateway:
        began = time.monotonic()
        check_unseen(await gateway.ask(stream=stream), attempt=3)
        assert 0.4 <= time.monotonic() - began < 1
        assert gateway.hits == {"acme": 1, "spare": 2}


async def test_row_15_where_all_limit_our_rate_for_long_the_last_refusal_is_told(tmp_path: Path) -> None:
    vendors = two(refused(429, retry_after="300"), refused(429, retry_after="200"))
    async with running_targets(tmp_path, vendors) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.headers["Retry-After"], answer.error["vendor"]) == (429, "200", "spare")


# --- row 17: our credential


@both_modes
async def test_row_17_a_vendor_that_refused_our_credential_is_asked_last_until_a_call_succeeds(
    tmp_path: Path, *, stream: bool
) -> None:
    vendors = {
        "acme": played(refused(401, "UNAUTHORIZED"), also_well("From acme")),
        "spare": played(WELL, WELL, FAILING, FAILING),
    }
    async with running_targets(tmp_path, vendors) as gateway:
        check_unseen(await gateway.ask(stream=stream))
        assert await gateway.count("gateway_credential_refused", "acme") == 1
        check_unseen(await gateway.ask(stream=stream), attempt=1)
        assert gateway.hits == {"acme": 1, "spare": 2}
        third = await gateway.ask(stream=stream)
        assert (said(third), third.line["vendor"], third.line["attempts"]) == ("From acme", "acme", 2)
        assert await gateway.count("gateway_credential_refused", "acme") == 0
        fourth = await gateway.ask(stream=stream)
        assert (said(fourth), fourth.line["attempts"]) == ("From acme", 1)


@both_modes
async def test_row_17_where_all_refuse_our_credential_the_client_is_not_told_to_sign_in(
    tmp_path: Path, *, stream: bool
) -> None:
    async with running_targets(tmp_path, two(refused(401, "UNAUTHORIZED"), refused(403))) as gateway:
        answer = await gateway.ask(stream=stream)
        assert (answer.status, answer.error["code"]) == (502, "upstream_auth")
        assert "WWW-Authenticate" not in answer.headers
        assert gateway.hits == {"acme": 1, "spare": 1}


# --- row 18: a conversation that the vendor lost

LOST = refused(404, "CHAT_NOT_FOUND")
CATCH_UP = "[Earlier in this conversation]\nuser: One\nassistant: Hello\n[Now]\nTwo"


@both_modes
async def test_row_18_the_second_vendor_is_asked_anew_for_a_conversation_that_it_lost(
    tmp_path: Path, *, stream: bool
) -> None:
    vendors = {"acme": played(FAILING), "spare": played(WELL, LOST, WELL)}
    async with running_targets(tmp_path, vendors, route=STRAY) as gateway:
        first = await gateway.ask("One", stream=stream)
        check_unseen(first)
        conversation = first.line["conversation_id"]
        second = await gateway.ask("Two", stream=stream, conversation_id=conversation)
        check_unseen(second, attempt=3)
        spare = gateway.vendors["spare"]
        paths = [each.target for each in spare.requests]
        assert paths[0] == paths[1] != paths[2]
        assert [spoken_to(spare, number) for number in range(3)] == ["One", "Two", CATCH_UP]
        assert await gateway.counts("gateway_rebound_conversations_total") == {("spare",): 1}
        third = await gateway.ask("Three", stream=stream, conversation_id=conversation)
        check_unseen(third)
        assert (spare.requests[-1].target, spoken_to(spare)) == (paths[2], "Three")


async def test_row_18_a_conversation_is_asked_for_anew_once_and_then_of_another_vendor(tmp_path: Path) -> None:
    vendors = {"acme": played(also_well("Hello"), LOST, LOST), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors) as gateway:
        first = await gateway.ask("One")
        second = await gateway.ask("Two", conversation_id=first.line["conversation_id"])
        check_unseen(second, attempt=3)
        assert gateway.hits == {"acme": 3, "spare": 1}
        assert spoken_to(gateway.vendors["spare"]) == CATCH_UP


# --- row 19: what is ours to mend


@both_modes
@pytest.mark.parametrize("status", [400, 422])
async def test_row_19_what_one_vendor_rejects_no_other_is_asked(tmp_path: Path, status: int, *, stream: bool) -> None:
    async with running_targets(tmp_path, two(refused(status, "REQUEST_VALIDATION"), vendor=TOUCHY)) as gateway:
        answer = await gateway.ask(stream=stream)
        assert (answer.status, answer.error["code"]) == (422, "upstream_rejected")
        assert answer.error["vendor_code"] == "REQUEST_VALIDATION"
        assert b"sk-123" not in answer.body
        assert gateway.hits == {"acme": 1, "spare": 0}
        assert await gateway.count("gateway_breaker_state", "closed", "acme") == 1


# --- row 20: retries by budget


async def test_row_20_retries_stay_within_the_vendors_budget_and_then_another_is_asked(tmp_path: Path) -> None:
    budget = "retry_budget = { share = 0, minimum = 2, window = 60 }"
    acme = played(FAILING, protocol="stateless", target="retries = 3", vendor=budget)
    vendors = {"acme": acme, "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, route="backoff = { base = 0.001 }", protocols=STATELESS) as gateway:
        check_unseen(await gateway.ask(), attempt=4)
        assert gateway.hits == {"acme": 3, "spare": 1}
        assert await gateway.count("gateway_retry_budget_left", "acme") == 0
        check_unseen(await gateway.ask(), attempt=2)
        assert gateway.hits == {"acme": 4, "spare": 2}
        assert await gateway.counts("gateway_retries_total") == {("status_5xx", "acme"): 2}


async def test_a_vendor_that_says_that_asking_it_again_is_of_no_use_is_asked_once(tmp_path: Path) -> None:
    acme = played(refused(503, x_should_retry="false"), protocol="stateless", target="retries = 3")
    async with running_targets(tmp_path, {"acme": acme, "spare": played(WELL)}, protocols=STATELESS) as gateway:
        check_unseen(await gateway.ask())
        assert gateway.hits == {"acme": 1, "spare": 1}


# --- rows 22 to 47, after content

AFTER: dict[str, tuple[list[Step], str]] = {
    "row 22: a reset": ([Reset()], "reset_midstream"),
    "row 22: a reset in the middle of an event": ([Write(chunk(content("never"))[:20]), Reset()], "reset_midstream"),
    "row 23: a clean end": ([Write(LAST_CHUNK)], "truncated"),
    "row 23: a clean end within the terminal": ([Write(chunk(END[:-1]) + LAST_CHUNK)], "truncated"),
    "row 28: an endless line": ([Repeat(chunk(b"x" * 65_536))], "too_large"),
    "row 31: silence": ([Hold()], "idle_timeout"),
    "row 31: comments": ([Repeat(chunk(b": still here\n\n"), every=0.05)], "idle_timeout"),
    "row 32: an answer that never ends": ([Repeat(chunk(content(".")), every=0.05)], "total_timeout"),
    "row 38: no JSON": ([Write(chunk(frame(b"hello"))), Hold()], "malformed"),
    "row 39: a field of another type": ([Write(chunk(frame(b'{"type":"content"}'))), Hold()], "malformed"),
    "row 40: a depth of 100,000": (
        [Write(chunk(frame(b'{"type":"content","delta":"","more":' + b"[" * 100_000))), Hold()],
        "malformed",
    ),
    "row 47: an error": ([Write(chunk(frame(b'{"type":"error","error":"LLM_ERROR"}'))), Hold()], "vendor_error"),
}


@pytest.mark.parametrize(("fault", "cause"), AFTER.values(), ids=AFTER)
@pytest.mark.parametrize("route", ["", RESTART, CONTINUE], ids=["fail", "restart", "continue"])
async def test_after_content_the_policy_decides(tmp_path: Path, fault: list[Step], cause: str, route: str) -> None:
    patient = "deadlines = { connect = 2, first_event = 2, idle = 1, total = 2.5 }"
    async with running_targets(tmp_path, two([Read(), Write(SAID), *fault], target=patient), route=route) as gateway:
        answer = await gateway.ask()
        shown = said(answer).replace(".", "")
        assert shown == {"": "From acme", RESTART: "Hello", CONTINUE: "From acmeHello"}[route]
        assert gateway.hits == {"acme": 1, "spare": int(bool(route))}
        if route:
            assert answer.ending == ("completed", "completed", None)
            assert [(switch.from_, switch.discard) for switch in switches(answer)] == [("acme", route == RESTART)]
            assert await gateway.counts("gateway_failovers_total") == {(cause, "acme", "committed", "spare"): 1}
            assert await gateway.outcomes() == {cause: 1, "completed": 1}
        else:
            assert answer.kinds[-1] == "message.failed"
            assert answer.ending[:2] == ("failed", cause)
            assert await gateway.counts("gateway_failovers_total") == {}
            assert await gateway.outcomes() == {cause: 1}


async def test_row_31_heartbeats_go_on_while_a_vendor_is_silent_and_the_next_is_asked(tmp_path: Path) -> None:
    silent = [Read(), Write(SAID), Hold()]
    late = [Read(), Sleep(0.6), *WELL[1:]]
    deadlines = "deadlines = { idle = 0.6 }"
    async with running_targets(
        tmp_path, two(silent, late, target=deadlines), route=f"{RESTART}\nheartbeat = 0.2"
    ) as gateway:
        answer = await gateway.ask()
        assert (answer.kinds, said(answer)) == (SWITCHED, "Hello")
        before, after = answer.body.split(b'"from":"acme"')
        assert before.count(b": heartbeat\n\n") >= 3
        assert b": heartbeat\n\n" not in after
        await (await gateway.vendors["acme"].connection()).left(within=1)


async def test_row_33_a_connection_that_stays_open_behind_the_terminal_is_no_reason_to_ask_anybody(
    tmp_path: Path,
) -> None:
    async with running_targets(tmp_path, two([Read(), Write(SAID + chunk(END)), Hold()])) as gateway:
        began = time.monotonic()
        answer = await gateway.ask()
        assert time.monotonic() - began < 0.5
        assert (answer.kinds, said(answer)) == (WHOLE, "From acme")
        await (await gateway.vendors["acme"].connection()).left(within=2)
        assert gateway.hits == {"acme": 1, "spare": 0}


# --- rows 41 to 48: words that are odd, and endings that are none of the vendor's failures


async def test_row_41_what_is_unknown_is_no_reason_to_ask_anybody(tmp_path: Path) -> None:
    odd = frame(b'{"type":"sparkle","level":3}')
    async with running_targets(tmp_path, two(answered(ACME_START, odd, ACME_SAYS, odd, END))) as gateway:
        assert said(await gateway.ask()) == "From acme"
        assert gateway.hits == {"acme": 1, "spare": 0}


async def test_row_43_ids_of_two_vendors_that_repeat_and_go_back_leave_our_numbers_alone(tmp_path: Path) -> None:
    """Our own are read without a gap, or the answer cannot be read."""
    acme = [Read(), Write(LAST_HEAD + chunk(b"id: 7\n" + ACME_START) + chunk(b"id: 9\n" + ACME_SAYS)), Reset()]
    spare = answered(b"id: 7\n" + START, b"id: 3\n" + HELLO, b"id: -1\n" + END)
    async with running_targets(tmp_path, two(acme, spare), route=RESTART) as gateway:
        assert (await gateway.ask()).kinds == SWITCHED


CALL = [
    frame(b'{"type":"start","messageId":"acme-1"}'),
    frame(b'{"type":"tool-input-start","toolCallId":"c1","toolName":"look"}'),
    frame(b'{"type":"tool-input-delta","toolCallId":"c1","inputTextDelta":"{\\"a\\":"}'),
    frame(b'{"type":"finish","finishReason":"tool-calls"}'),
]


@pytest.mark.parametrize("route", ["", CONTINUE], ids=["fail", "continue"])
async def test_row_44_an_unreadable_call_fails_and_is_never_gone_on_with(tmp_path: Path, route: str) -> None:
    async with running_targets(tmp_path, two(answered(*CALL), protocol="chatbase"), route=route) as gateway:
        answer = await gateway.ask()
        assert answer.ending == ("failed", "malformed", "upstream_protocol")
        assert gateway.hits == {"acme": 1, "spare": 0}


async def test_row_44_an_unreadable_call_is_revoked_where_answers_are_begun_anew(tmp_path: Path) -> None:
    async with running_targets(tmp_path, two(answered(*CALL), protocol="chatbase"), route=RESTART) as gateway:
        answer = await gateway.ask()
        kinds = answer.kinds
        assert kinds.index("tool_call.completed") < kinds.index("message.routed", 2)
        (call,) = (event for event in answer.events if isinstance(event, ToolCallCompleted))
        assert (call.status, call.arguments) == ("cut", {})
        assert (said(answer), answer.terminal.pending_tool_calls) == ("Hello", [])


async def test_row_44_a_document_holds_nothing_of_an_unreadable_call(tmp_path: Path) -> None:
    async with running_targets(tmp_path, two(answered(*CALL), protocol="chatbase")) as gateway:
        answer = await gateway.ask(stream=False)
        check_unseen(answer)
        assert [part["type"] for part in answer.document["parts"]] == ["text"]


FLOOD = [frame(b'{"type":"text-delta","id":"%d","delta":"a"}' % number) for number in range(MAX_BLOCKS + 10)]


@both_modes
async def test_row_45_a_flood_of_blocks_is_capped_and_another_vendor_answers(tmp_path: Path, *, stream: bool) -> None:
    flood = [Read(), Write(LAST_HEAD + chunk(CALL[0] + b"".join(FLOOD)) + LAST_CHUNK)]
    async with running_targets(tmp_path, two(flood, protocol="chatbase"), route=RESTART) as gateway:
        answer = await gateway.ask(stream=stream)
        assert answer.line["outcome"] == "completed"
        assert said(answer) == "Hello"


ABORT = frame(b'{"type":"abort"}')
TALK = frame(b'{"type":"text-delta","id":"t","delta":"Hello"}')
FILTERED = frame(b'{"type":"finish","finishReason":"content-filter"}')


@pytest.mark.parametrize("words", [[], [TALK]], ids=["before content", "after content"])
async def test_row_48_a_vendor_that_cancels_unasked_has_answered(tmp_path: Path, words: list[bytes]) -> None:
    acme = answered(CALL[0], *words, ABORT)
    async with running_targets(tmp_path, two(acme, protocol="chatbase", vendor=TOUCHY), route=RESTART) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.kinds[-1], answer.terminal.reason) == (200, "message.canceled", "vendor")
        assert gateway.hits == {"acme": 1, "spare": 0}
        assert await gateway.count("gateway_breaker_state", "closed", "acme") == 1


@both_modes
async def test_row_48_what_one_vendor_filters_no_other_is_asked(tmp_path: Path, *, stream: bool) -> None:
    acme = played(answered(CALL[0], FILTERED), answered(CALL[0], TALK, FILTERED), protocol="chatbase")
    async with running_targets(tmp_path, {"acme": acme, "spare": played(WELL)}, route=RESTART) as gateway:
        before, after = await gateway.ask(stream=stream), await gateway.ask(stream=stream)
        assert (before.status, before.error["code"]) == (422, "content_filtered")
        reason = after.terminal.finish_reason if stream else after.document["finish_reason"]
        assert (after.status, reason, said(after)) == (200, "content_filter", "Hello")
        assert gateway.hits == {"acme": 2, "spare": 0}


# --- row 50: a vendor that tells our secrets


class Echo(Step, frozen=True):
    """Writes `data` with our own credential in place of `KEY`."""

    data: bytes

    async def play(self, connection: Connection) -> None:
        key = connection.requests[-1].headers["Authorization"].removeprefix("Bearer ")
        await connection.write(self.data.replace(b"KEY", key.encode()))


UNCHUNKED = LAST_HEAD.replace(b"Transfer-Encoding: chunked\r\n", b"")
SPOKEN = b"".join(CALL[:1]) + frame(b'{"type":"text-delta","id":"t","delta":"From acme"}')
ERROR = b'{"type":"error","error":{"code":"KEY","message":"KEY","requestId":"KEY"}}'
REFUSAL = b'HTTP/1.1 500 KEY\r\nConnection: close\r\nX-Request-Id: KEY\r\n\r\n{"error":{"code":"KEY","message":"KEY"}}'

ECHOES: dict[str, list[Step]] = {
    "in a refusal": [Read(), Echo(REFUSAL)],
    "in a status line": [Read(), Echo(b"HTTP/9.9 KEY\r\n\r\n")],
    "in an error before content": [Read(), Write(UNCHUNKED + CALL[0]), Echo(frame(ERROR))],
    "in an error after content": [Read(), Write(UNCHUNKED + SPOKEN), Echo(frame(ERROR))],
    "in what cannot be read": [Read(), Write(UNCHUNKED + SPOKEN), Echo(frame(b'{"type":"text-delta","KEY":1}'))],
}


@pytest.mark.parametrize("script", ECHOES.values(), ids=ECHOES)
async def test_row_50_a_credential_that_a_vendor_tells_is_told_to_nobody_by_a_failover(
    tmp_path: Path, script: list[Step]
) -> None:
    """What may not be told is checked by the gateway's own end."""
    vendors = {"acme": played(script, protocol="chatbase"), "spare": played(WELL, FAILING)}
    async with running_targets(tmp_path, vendors, route=RESTART) as gateway:
        moved, failed = await gateway.ask(), await gateway.ask(stream=False)
        assert (said(moved), moved.line["attempts"]) == ("Hello", 2)
        assert (failed.line["outcome"], failed.line["attempts"]) == ("failed", 2)
        assert b"Bearer api_key=canary" in gateway.vendors["acme"].requests[0].raw


# --- rows 54 and 55: the client

SILENT = [Read(), Hold()]
WAITING: dict[str, tuple[dict[str, Played], str, dict[str, int]]] = {
    "for the first vendor": (two(SILENT), "acme", {"acme": 1, "spare": 0}),
    "for the second vendor": (two(FAILING, SILENT), "spare", {"acme": 1, "spare": 1}),
    "for the first vendor's first content": (two([Read(), Write(BEGUN), Hold()]), "acme", {"acme": 1, "spare": 0}),
    "for a pause": (
        two(refused(429, retry_after="9"), refused(429, retry_after="5")),
        "",
        {"acme": 1, "spare": 1},
    ),
    "for a retry": (
        {"acme": played(refused(503, retry_after="5"), protocol="stateless", target="retries = 1")},
        "",
        {"acme": 1},
    ),
}


@both_modes
@pytest.mark.parametrize(("vendors", "held", "hits"), WAITING.values(), ids=WAITING)
async def test_row_54_a_client_that_leaves_before_the_answer_ends_the_attempts(
    tmp_path: Path, vendors: dict[str, Played], held: str, hits: dict[str, int], *, stream: bool
) -> None:
    async with running_targets(tmp_path, vendors, protocols=STATELESS) as gateway:
        async with RawClient(gateway.url) as client:
            await client.send(message(stream=stream))
            await until(lambda: gateway.hits == hits)
            await asyncio.sleep(0.05)
            client.reset()
        if held:
            await (await gateway.vendors[held].connection()).left(within=1)
        (line,) = await lines(gateway, 1)
        assert (line["level"], line["outcome"], line["cause"], line["code"]) == (
            "info",
            "canceled",
            "client_gone",
            None,
        )
        await gateway.settle()
        assert gateway.hits == hits
        assert (await gateway.outcomes())["client_gone"] == 1


@pytest.mark.parametrize("leave", ["reset", "close"])
@pytest.mark.parametrize("route", [RESTART, CONTINUE], ids=["restart", "continue"])
async def test_row_55_a_client_that_leaves_while_a_vendor_is_silent_is_noticed_at_once(
    tmp_path: Path, leave: str, route: str
) -> None:
    silent = [Read(), Write(SAID), Hold()]
    async with running_targets(tmp_path, two(silent, target="deadlines = { idle = 1.5 }"), route=route) as gateway:
        async with RawClient(gateway.url) as client:
            await client.send(message())
            gateway.received.append(await client.read_until(b'"delta":"From acme"'))
            left = time.monotonic()
            getattr(client, leave)()
            connection = await gateway.vendors["acme"].connection()
            await connection.left(within=1)
        assert connection.left_at is not None
        assert connection.left_at - left < 0.5
        (line,) = await lines(gateway, 1)
        assert (line["outcome"], line["cause"], line["attempts"]) == ("canceled", "client_gone", 1)
        await gateway.settle()
        assert gateway.hits == {"acme": 1, "spare": 0}


# --- row 72: one message at a time


async def test_row_72_of_twenty_messages_at_once_one_runs_through_both_vendors(tmp_path: Path) -> None:
    slowly = [Read(), Sleep(0.3), *FAILING[1:]]
    vendors = {"acme": played(FAILING, slowly), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, route=STRAY) as gateway:
        first = await gateway.ask("One")
        conversation = first.line["conversation_id"]
        before = gateway.hits["acme"]

        async def ask(number: int) -> tuple[int, str]:
            body = {"content": f"Two {number}", "conversation_id": conversation, "stream": False}
            async with gateway.session.post("/v1/messages", json=body) as reply:
                document = await reply.json()
                return reply.status, document.get("error", {}).get("code", "")

        answers = Counter(await asyncio.gather(*map(ask, range(20))))
        assert answers == {(200, ""): 1, (409, "conflict"): 19}
        asked = [each for each in gateway.vendors["acme"].requests[before:] if each.method == "POST"]
        assert (len(asked), gateway.hits["spare"]) == (1, 2)
        history = await gateway.session.get(f"/v1/conversations/{conversation}/messages")
        assert [entry["role"] for entry in (await history.json())["data"]] == ["user", "assistant"] * 2
        check_unseen(await gateway.ask("Three", conversation_id=conversation))


# --- row 92: the wall clock


class WallClock:
    """Tells a time that a test moves, in place of the wall clock of all that is ours."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shift = timedelta()
        clock, real = self, time.time

        class Moved(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Any:
                return datetime.now(tz) + clock.shift

        monkeypatch.setattr(time, "time", lambda: real() + clock.shift.total_seconds())
        for name, module in list(sys.modules.items()):
            if name.startswith("gateway.") and getattr(module, "datetime", None) is datetime:
                monkeypatch.setattr(module, "datetime", Moved)


@pytest.fixture
def wall_clock(monkeypatch: pytest.MonkeyPatch) -> WallClock:
    return WallClock(monkeypatch)


jumps = pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1)], ids=["forwards", "backwards"])

PROBED = "breaker = { minimum = 1, ratio = 1.0, open_for = 0.9, jitter = 0 }"


@jumps
async def test_row_92_a_breaker_does_not_notice_that_the_wall_clock_jumps(
    tmp_path: Path, wall_clock: WallClock, jump: timedelta
) -> None:
    vendors = {"acme": played(FAILING, also_well("Back"), vendor=PROBED), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors) as gateway:
        check_unseen(await gateway.ask())
        opened = time.monotonic()
        wall_clock.shift = jump
        check_unseen(await gateway.ask(), attempt=1)
        assert await gateway.count("gateway_breaker_state", "open", "acme") == 1
        await breaker_is("half_open", gateway)
        assert 0.8 <= time.monotonic() - opened < 1.8
        assert said(await gateway.ask()) == "Back"


@jumps
async def test_row_92_a_pause_does_not_notice_that_the_wall_clock_jumps(
    tmp_path: Path, wall_clock: WallClock, jump: timedelta
) -> None:
    """Not even where the vendor tells a date: that is held against the vendor's own."""
    now = datetime(2026, 11, 2, 12, tzinfo=UTC)
    dates = {
        "date": format_datetime(now, usegmt=True),
        "retry_after": format_datetime(now + timedelta(seconds=1), True),
    }
    vendors = {"acme": played(refused(429, **dates), also_well("Free")), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors) as gateway:
        began = time.monotonic()
        check_unseen(await gateway.ask())
        wall_clock.shift = jump
        check_unseen(await gateway.ask(), attempt=1)
        assert 0.5 < await gateway.count("gateway_vendor_paused_seconds", "acme") <= 1
        await paused_no_more(gateway)
        assert 1 <= time.monotonic() - began < 1.6
        assert said(await gateway.ask()) == "Free"


@jumps
async def test_row_92_deadlines_do_not_notice_that_the_wall_clock_jumps(
    tmp_path: Path, wall_clock: WallClock, jump: timedelta
) -> None:
    async with running_targets(tmp_path, two([Read(), Hold()], target=QUICK)) as gateway:
        began = time.monotonic()
        asked = asyncio.create_task(gateway.ask())
        await (await gateway.vendors["acme"].connection()).heard(b'"modelId"')
        wall_clock.shift = jump
        check_unseen(await asked)
        assert 0.3 <= time.monotonic() - began < 1
        assert await gateway.outcomes() == {"first_event_timeout": 1, "completed": 1}
        assert 0.3 <= gateway.log.of("message")[0]["duration"] < 1


@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize(("jump", "then"), [(timedelta(hours=1), "acme"), (timedelta(hours=-1), "spare")])
async def test_row_92_a_conversation_that_moved_goes_back_by_the_wall_clock_and_survives_its_jumps(
    tmp_path: Path, wall_clock: WallClock, jump: timedelta, then: str, store: str
) -> None:
    vendors = {
        "acme": played(also_well("A1"), [Read(), Reset()], also_well("A3")),
        "spare": played(also_well("S2"), also_well("S3")),
    }
    route = "stickiness = { return_after = 60 }"
    async with running_targets(tmp_path, vendors, route=route, store=store) as gateway:
        first = await gateway.ask("One")
        conversation = first.line["conversation_id"]
        second = await gateway.ask("Two", conversation_id=conversation)
        assert (said(first), said(second)) == ("A1", "S2")
        wall_clock.shift = jump
        third = await gateway.ask("Three", conversation_id=conversation)
        assert (third.line["vendor"], third.line["attempts"]) == (then, 1)
        assert said(third) == {"acme": "A3", "spare": "S3"}[then]
        history = await gateway.session.get(f"/v1/conversations/{conversation}/messages")
        texts = [entry["parts"][0]["text"] for entry in (await history.json())["data"]]
        assert texts == ["One", "A1", "Two", "S2", "Three", said(third)]


# --- row 95: overload


class Bottleneck:
    """A vendor with two places; whoever comes to a full house is refused."""

    def __init__(self, seconds: float) -> None:
        self.is_full = 0
        self._seconds = seconds
        self._inside = 0

    def __call__(self, _: Received) -> Sequence[Step]:
        if self._inside >= 2:
            self.is_full += 1
            return refused(503)
        self._inside += 1
        return [Sleep(self._seconds), _Leave(self), *also_well("From acme")[1:]]


class _Leave(Step, frozen=True):
    house: Bottleneck

    async def play(self, connection: Connection) -> None:
        self.house._inside -= 1


SHARE, LEAST = 0.1, 5


async def test_row_95_under_ten_times_the_load_retries_keep_to_their_budget_and_all_is_well_again_alone(
    tmp_path: Path,
) -> None:
    house = Bottleneck(0.1)
    acme = played(
        [Choosing(house)],
        protocol="stateless",
        target="retries = 2",
        vendor=f"retry_budget = {{ share = {SHARE}, minimum = {LEAST}, window = 60 }}\n"
        "breaker = { minimum = 20, ratio = 0.5, window = 5, open_for = 0.3, max_open = 0.3 }",
    )
    vendors = {"acme": acme, "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, route="backoff = { base = 0.02 }", protocols=STATELESS) as gateway:
        asked = []
        for _ in range(200):
            asked.append(asyncio.create_task(gateway.ask()))
            await asyncio.sleep(0.005)
        answers = await asyncio.gather(*asked)
        assert [answer.status for answer in answers] == [200] * 200
        assert house.is_full > 10
        by_vendor = Counter(answer.line["vendor"] for answer in answers)
        firsts = 200
        retries = sum((await gateway.counts("gateway_retries_total")).values())
        assert 0 < retries <= max(LEAST, SHARE * firsts)
        assert gateway.hits["spare"] == by_vendor["spare"]
        assert gateway.hits["acme"] <= firsts + retries
        assert sum((await gateway.outcomes()).values()) == gateway.hits["acme"] + gateway.hits["spare"]

        overloaded = time.monotonic()
        while (await gateway.ask()).line["vendor"] != "acme":
            assert time.monotonic() - overloaded < 1.3
        before = gateway.hits["spare"]
        for _ in range(5):
            answer = await gateway.ask()
            assert (answer.line["vendor"], answer.line["attempts"]) == ("acme", 1)
        assert gateway.hits["spare"] == before


# --- row 96: all fail, and come back


class Switch:
    """A vendor that is down until it is up, and answers when `go_on` is set."""

    def __init__(self) -> None:
        self.is_up = False
        self.go_on = asyncio.Event()
        self.go_on.set()

    def __call__(self, _: Received) -> Sequence[Step]:
        return [Wait(self.go_on), *(WELL if self.is_up else FAILING)]


OPEN_FOR = 0.5
REVIVED = f"breaker = {{ minimum = 1, ratio = 1.0, open_for = {OPEN_FOR}, max_open = {OPEN_FOR}, jitter = 0.2 }}"


async def test_row_96_while_all_are_down_clients_are_told_at_once_and_one_call_at_a_time_tries_again(
    tmp_path: Path,
) -> None:
    acme, spare = Switch(), Switch()
    vendors = {
        "acme": played([Choosing(acme)], vendor=REVIVED),
        "spare": played([Choosing(spare)], vendor=REVIVED),
    }
    async with running_targets(tmp_path, vendors) as gateway:
        told: list[tuple[int, str | None]] = []

        async def ask() -> None:
            async with gateway.session.post("/v1/messages", json={"content": "Hi", "stream": False}) as reply:
                told.append((reply.status, reply.headers.get("Retry-After")))

        await ask()
        assert (told.pop(), gateway.hits) == ((503, None), {"acme": 1, "spare": 1})

        for number in (2, 3):
            await breaker_is("half_open", gateway, "acme")
            await breaker_is("half_open", gateway, "spare")
            acme.go_on.clear()
            spare.go_on.clear()
            asked = asyncio.gather(*(ask() for _ in range(20)))
            await until(lambda: len(told) == 18)
            assert set(told) == {(503, "1")}
            await until_asked(gateway, number)
            acme.go_on.set()
            spare.go_on.set()
            await asked
            assert told[18:] == [(503, None)] * 2
            assert gateway.hits == {"acme": number, "spare": number}
            told.clear()

        before = gateway.hits
        await asyncio.gather(*(ask() for _ in range(5)))
        assert (set(told), gateway.hits) == ({(503, "1")}, before)

        acme.is_up = spare.is_up = True
        came_back = time.monotonic()
        while told[-1][0] != 200:
            await asyncio.sleep(0.02)
            await ask()
        assert time.monotonic() - came_back < OPEN_FOR + 1
        assert "closed" in {state for state, _ in await gateway.counts("gateway_breaker_state")}
        told.clear()
        await asyncio.gather(*(ask() for _ in range(20)))
        assert told == [(200, None)] * 20


async def until_asked(gateway: RunningGateway, times: int) -> None:
    await until(lambda: gateway.hits == {"acme": times, "spare": times})


@both_modes
async def test_row_96_one_bad_client_never_opens_a_breaker(tmp_path: Path, *, stream: bool) -> None:
    async with running_targets(tmp_path, two(refused(422), vendor=TOUCHY)) as gateway:
        for _ in range(20):
            assert (await gateway.ask(stream=stream)).status == 422
        assert gateway.hits == {"acme": 20, "spare": 0}
        assert await gateway.count("gateway_breaker_state", "closed", "acme") == 1


# --- the bounds of one message


async def test_a_routes_deadlines_are_those_of_its_targets_that_have_none(tmp_path: Path) -> None:
    late = [Read(), Sleep(0.6), *WELL[1:]]
    vendors = {"acme": played(SILENT), "spare": played(late, target="deadlines = { first_event = 5 }")}
    async with running_targets(tmp_path, vendors, route="deadlines = { first_event = 0.3 }") as gateway:
        began = time.monotonic()
        check_unseen(await gateway.ask())
        assert 0.9 <= time.monotonic() - began < 1.5
        assert await gateway.outcomes() == {"first_event_timeout": 1, "completed": 1}


@both_modes
async def test_nobody_is_asked_when_the_time_for_attempts_is_over(tmp_path: Path, *, stream: bool) -> None:
    async with running_targets(tmp_path, two(SILENT, target=QUICK), route="attempts_within = 0.2") as gateway:
        answer = await gateway.ask(stream=stream)
        assert (answer.status, answer.ending) == (504, ("failed", "first_event_timeout", "upstream_timeout"))
        assert gateway.hits == {"acme": 1, "spare": 0}


@pytest.mark.parametrize("attempts", [1, 2, 3])
async def test_no_more_are_asked_than_the_route_allows(tmp_path: Path, attempts: int) -> None:
    vendors = {"acme": played(FAILING), "spare": played(FAILING), "third": played(WELL)}
    async with running_targets(tmp_path, vendors, route=f"attempts = {attempts}") as gateway:
        answer = await gateway.ask()
        assert answer.line["attempts"] == attempts
        assert answer.line["outcome"] == ("completed" if attempts == 3 else "failed")
        assert list(gateway.hits.values()) == [int(number < attempts) for number in range(3)]


async def test_finding_out_what_a_vendor_kept_of_a_turn_takes_no_longer_than_its_answer_may(tmp_path: Path) -> None:
    """The first vendor broke off, so it is asked for its messages before it is asked anything new."""
    vendors = {"acme": played([Read(), Reset()], SILENT, target=QUICK), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, route=STRAY) as gateway:
        first = await gateway.ask("One")
        check_unseen(first)
        began = time.monotonic()
        check_unseen(await gateway.ask("Two", conversation_id=first.line["conversation_id"]))
        assert time.monotonic() - began < 6
        assert [each.method for each in gateway.vendors["acme"].requests][:2] == ["POST", "GET"]

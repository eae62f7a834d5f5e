"""The acceptance scenarios of failover, A, B, C and G of the list of scenarios, each by its number, over real sockets.

Left to others: what a frontend or an operator sees (A20's `gateway check`, B26's other dialects), stopping a message
and what becomes of it when its client goes away (C34, C40 to C42), and a fleet that shares its state (G62 and G63).
Where one target alone shows a scenario, `tests/faults` does; here stands what a second one adds.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from gateway.canonical.events import MessageRouted, TextCompleted, TextDelta
from gateway.protocols.base import ClientRequest, Descriptor, Dialect, DialectRoute, Exchange
from gateway.protocols.hardwire.translator import HardwireTranslator
from gateway.protocols.native.dialect import NativeDialect, NativeExchange
from gateway.protocols.registry import BUILT_IN
from tests.support.gateway import END, HELLO, ONE, START, RunningGateway
from tests.support.scripts import (
    BLANK_LINE,
    LAST_CHUNK,
    Hold,
    RawClient,
    Read,
    Received,
    Repeat,
    Reset,
    Step,
    Wait,
    Write,
    chunk,
    response,
)
from tests.support.targets import (
    ACME_SAYS,
    ACME_START,
    BEGUN,
    BROKEN,
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
from tests.vendors.five import VENDORS, broken_off, five

pytestmark = pytest.mark.usefixtures("quick_sweeper")

both_modes = pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])

AT_ONCE = "backoff = { base = 0.001 }"

UNAVAILABLE = b'data: {"type":"error","error":"LLM_ERROR","message":"overloaded"}\n\n'


# --- A: failover and mid-stream failure

SIXTY = [f"acme-{number} " for number in range(60)]
WHOLE_ANSWER = [f"spare-{number} " for number in range(60)]

AFTER_FORTY: dict[str, tuple[list[Step], str, str]] = {
    "closes": ([Write(LAST_CHUNK)], "truncated", "upstream_protocol"),
    "goes silent": ([Hold()], "idle_timeout", "upstream_timeout"),
    "sends one malformed frame": (
        [Write(chunk(b'data: {"type":"content","delta":7}\n\n')), Hold()],
        "malformed",
        "upstream_protocol",
    ),
}

after_forty = pytest.mark.parametrize(("fault", "cause", "code"), AFTER_FORTY.values(), ids=AFTER_FORTY)


def breaking_off(fault: Sequence[Step]) -> dict[str, Played]:
    """The first fails after 40 of its 60 deltas, the second has as many of its own."""
    begun = [Read(), Write(BEGUN), *(Write(chunk(content(word))) for word in SIXTY[:40])]
    return two([*begun, *fault], also_well(*WHOLE_ANSWER), target=QUICK)


@after_forty
async def test_a1_an_answer_that_breaks_off_fails_where_that_is_the_policy(
    tmp_path: Path, fault: list[Step], cause: str, code: str
) -> None:
    async with running_targets(tmp_path, breaking_off(fault)) as gateway:
        answer = await gateway.ask()
        assert (answer.status, said(answer)) == (200, "".join(SIXTY[:40]))
        assert answer.ending == ("failed", cause, code)
        assert (answer.error["code"], answer.error["vendor"]) == (code, "acme")
        assert "details" not in answer.error
        assert gateway.hits == {"acme": 1, "spare": 0}
        assert await gateway.counts("gateway_failovers_total") == {}


@after_forty
async def test_a1_an_answer_that_breaks_off_is_begun_anew_where_that_is_the_policy(
    tmp_path: Path, fault: list[Step], cause: str, code: str
) -> None:
    async with running_targets(tmp_path, breaking_off(fault), route=RESTART) as gateway:
        answer = await gateway.ask()
        assert (answer.ending[0], said(answer)) == ("completed", "".join(WHOLE_ANSWER))
        (switch,) = switches(answer)
        assert (switch.vendor, switch.attempt, switch.from_, switch.discard) == ("spare", 2, "acme", True)
        assert switch.error is not None
        assert (switch.error.code, switch.error.vendor) == (code, "acme")
        assert gateway.hits == {"acme": 1, "spare": 1}
        assert spoken_to(gateway.vendors["spare"]) == "Hi"
        assert await gateway.counts("gateway_failovers_total") == {(cause, "acme", "committed", "spare"): 1}
        forgotten = len("".join(SIXTY[:40]))
        assert await gateway.counts("gateway_discarded_characters_total") == {("acme",): forgotten}


@after_forty
async def test_a1_an_answer_that_breaks_off_is_gone_on_with_where_that_is_the_policy(
    tmp_path: Path, fault: list[Step], cause: str, code: str
) -> None:
    async with running_targets(tmp_path, breaking_off(fault), route=CONTINUE) as gateway:
        answer = await gateway.ask()
        shown, added = "".join(SIXTY[:40]), "".join(WHOLE_ANSWER)
        assert (answer.ending[0], said(answer)) == ("completed", shown + added)
        blocks = [(event.block, event.text) for event in answer.events if isinstance(event, TextCompleted)]
        assert blocks == [(0, shown), (1, added)]
        (switch,) = switches(answer)
        assert (switch.vendor, switch.attempt, switch.from_, switch.discard) == ("spare", 2, "acme", False)
        assert switch.error is not None
        assert switch.error.code == code
        assert gateway.hits == {"acme": 1, "spare": 1}
        assert spoken_to(gateway.vendors["spare"]) == f"Hi\n[Your answer so far; go on where it stops]\n{shown}"
        assert await gateway.counts("gateway_failovers_total") == {(cause, "acme", "committed", "spare"): 1}
        assert await gateway.counts("gateway_discarded_characters_total") == {}


@pytest.mark.parametrize("policy", ["", RESTART, CONTINUE], ids=["fail", "restart", "continue"])
@after_forty
async def test_a1_a_document_shows_nothing_of_an_answer_that_broke_off(
    tmp_path: Path, fault: list[Step], cause: str, code: str, policy: str
) -> None:
    async with running_targets(tmp_path, breaking_off(fault), route=policy) as gateway:
        answer = await gateway.ask(stream=False)
        check_unseen(answer, text="".join(WHOLE_ANSWER))
        assert gateway.hits == {"acme": 1, "spare": 1}
        assert spoken_to(gateway.vendors["spare"]) == "Hi"
        assert await gateway.counts("gateway_failovers_total") == {(cause, "acme", "possibly_accepted", "spare"): 1}
        assert code in {line["code"] for line in gateway.log.of("failover")}


BEFORE_A_DELTA: dict[str, tuple[list[Step], str]] = {
    "no answer": ([Read(), Reset()], "reset_before_headers"),
    "nothing but a start": ([Read(), Write(BEGUN + LAST_CHUNK)], "truncated"),
    "an error behind the start": (answered(ACME_START, UNAVAILABLE), "vendor_error"),
    "a refusal": (FAILING, "status_5xx"),
}

before_a_delta = pytest.mark.parametrize(("fault", "cause"), BEFORE_A_DELTA.values(), ids=BEFORE_A_DELTA)


@both_modes
@before_a_delta
async def test_a2_a_vendor_that_may_be_asked_again_is_retried_twice(
    tmp_path: Path, fault: list[Step], cause: str, *, stream: bool
) -> None:
    acme = played(fault, fault, WELL, protocol="stateless", target="retries = 2")
    async with running_targets(tmp_path, {"acme": acme}, route=AT_ONCE, protocols=STATELESS) as gateway:
        answer = await gateway.ask(stream=stream)
        assert (answer.status, said(answer)) == (200, "Hello")
        assert b"acme-1" not in answer.body
        assert gateway.hits == {"acme": 3}
        assert await gateway.counts("gateway_retries_total") == {(cause, "acme"): 2}
        assert await gateway.outcomes() == {cause: 2, "completed": 1}


@before_a_delta
async def test_a2_a_vendor_that_keeps_the_turn_is_not_retried(tmp_path: Path, fault: list[Step], cause: str) -> None:
    acme = played(fault, WELL, target="retries = 2")
    async with running_targets(tmp_path, {"acme": acme}, route=AT_ONCE) as gateway:
        answer = await gateway.ask()
        assert answer.ending[:2] == ("failed", cause)
        assert gateway.hits == {"acme": 1}
        assert await gateway.counts("gateway_retries_total") == {}


@pytest.mark.parametrize("protocol", ["hardwire", "stateless"])
async def test_a2_a_vendor_that_heard_nothing_is_retried_whatever_it_keeps(tmp_path: Path, protocol: str) -> None:
    acme = nobody(protocol=protocol, target="retries = 2")
    async with running_targets(tmp_path, {"acme": acme}, route=AT_ONCE, protocols=STATELESS) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.line["attempts"]) == (503, 3)
        assert await gateway.counts("gateway_retries_total") == {("connect", "acme"): 2}


BOTH_FAIL = two([Read(), Write(BEGUN + LAST_CHUNK)], refused(529))
BOTH_TOLD = {
    "code": "upstream_unavailable",
    "message": "the vendor is unavailable",
    "retryable": True,
    "vendor": "spare",
    "vendor_status": 529,
    "details": {
        "attempts": [
            {"vendor": "acme", "cause": "truncated", "code": "upstream_protocol"},
            {"vendor": "spare", "cause": "status_5xx", "code": "upstream_unavailable"},
        ]
    },
}


@both_modes
async def test_a3_where_both_fail_before_content_the_status_is_the_real_one(tmp_path: Path, *, stream: bool) -> None:
    async with running_targets(tmp_path, BOTH_FAIL) as gateway:
        answer = await gateway.ask(stream=stream)
        assert (answer.status, answer.headers["Content-Type"]) == (503, "application/json")
        assert answer.error == BOTH_TOLD
        assert gateway.hits == {"acme": 1, "spare": 1}
        assert await gateway.counts("gateway_failovers_total") == {
            ("truncated", "acme", "possibly_accepted", "spare"): 1
        }


REFUSING = {
    "the first request": {},
    "a sign-in": {"credentials": ("email", "password")},
    "chatbase": {"protocol": "chatbase"},
    "a conversation at dimedove": {"protocol": "dimedove"},
    "a conversation at sema4": {"protocol": "sema4"},
    "a conversation at dynamiq": {"protocol": "dynamiq"},
}


@both_modes
@pytest.mark.parametrize("fields", REFUSING.values(), ids=REFUSING)
async def test_a4_a_refused_connection_moves_on_whenever_it_is_opened(
    tmp_path: Path, fields: dict[str, Any], *, stream: bool
) -> None:
    vendors = {"acme": nobody(**fields), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors) as gateway:
        check_unseen(await gateway.ask(stream=stream))
        assert gateway.hits == {"spare": 1}
        assert await gateway.counts("gateway_failovers_total") == {("connect", "acme", "not_sent", "spare"): 1}


@both_modes
async def test_a4_a_second_request_without_an_answer_moves_on_too(tmp_path: Path, *, stream: bool) -> None:
    created = [Read(), Write(response(201, b'{"id":"acme-c1"}', connection="close"))]
    vendors = {"acme": played(created, [Read(), Reset()], protocol="dimedove"), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors) as gateway:
        check_unseen(await gateway.ask(stream=stream))
        assert gateway.hits == {"acme": 2, "spare": 1}


ODD: dict[str, list[Step]] = {
    "a status of 529": refused(529),
    "a status of 520": refused(520),
    "a status of 599": refused(599),
    "a code in small letters": answered(ACME_START, b'data: {"type":"error","error":{"code":"overloaded"}}\n\n'),
    "a code of null": answered(ACME_START, b'data: {"type":"error","error":{"code":null}}\n\n'),
    "a code that is a number": answered(ACME_START, b'data: {"type":"error","error":{"code":529}}\n\n'),
    "an error of null": answered(ACME_START, b'data: {"type":"error","error":null}\n\n'),
    "no error at all": answered(ACME_START, b'data: {"type":"error"}\n\n'),
}


@pytest.mark.parametrize("script", ODD.values(), ids=ODD)
async def test_a5_an_odd_error_is_a_vendors_and_never_ours(tmp_path: Path, script: list[Step]) -> None:
    async with running_targets(tmp_path, two(script)) as gateway:
        alone, backed = await gateway.ask(failover=False), await gateway.ask()
        assert alone.status in {502, 503}
        assert (alone.error["vendor"], alone.error["retryable"]) == ("acme", True)
        check_unseen(backed)


@pytest.fixture(params=["refused", "limited", "unavailable", "truncated", "broken off"])
def phase(request: pytest.FixtureRequest) -> Played:
    scripts: dict[str, Played] = {
        "refused": nobody(),
        "limited": played(refused(429, retry_after="100")),
        "unavailable": played(FAILING),
        "truncated": played([Read(), Write(BEGUN + LAST_CHUNK)]),
        "broken off": played([Read(), Write(SAID), Reset()]),
    }
    return scripts[request.param]


@both_modes
async def test_a6_without_failover_no_second_vendor_is_asked_in_any_phase(
    tmp_path: Path, phase: Played, *, stream: bool
) -> None:
    async with running_targets(tmp_path, {"acme": phase, "spare": played(WELL)}, route=RESTART) as gateway:
        answer = await gateway.ask(failover=False, stream=stream)
        assert (answer.line["outcome"], answer.line["attempts"]) == ("failed", 1)
        assert gateway.vendors["spare"].connections == []
        assert await gateway.counts("gateway_failovers_total") == {}


CREATED = [Read(), Write(response(201, b'{"id":"acme-c1"}', connection="close"))]
FIRST_WORDS: dict[str, Played] = {
    "hardwire": played(answered(UNAVAILABLE)),
    "chatbase": played(
        answered(b'data: {"type":"error","error":{"code":"INTERNAL_SERVER_ERROR","message":"overloaded"}}\n\n'),
        protocol="chatbase",
    ),
    "dimedove": played(
        CREATED,
        answered(b'event: response.failed\ndata: {"error":{"type":"internal_error","message":"overloaded"}}\n\n'),
        protocol="dimedove",
    ),
    "sema4": played(
        CREATED,
        answered(b'data: {"event_type":"agent_error","error_message":"overloaded","error":{"code":"unexpected"}}\n\n'),
        protocol="sema4",
    ),
}


@both_modes
@pytest.mark.parametrize("acme", FIRST_WORDS.values(), ids=FIRST_WORDS)
async def test_a7_a11_a_200_whose_only_event_is_an_error_moves_on(
    tmp_path: Path, acme: Played, *, stream: bool
) -> None:
    async with running_targets(tmp_path, {"acme": acme, "spare": played(WELL)}) as gateway:
        check_unseen(await gateway.ask(stream=stream))
        assert gateway.hits == {"acme": len(acme.scripts), "spare": 1}
        assert await gateway.counts("gateway_failovers_total") == {
            ("vendor_error", "acme", "possibly_accepted", "spare"): 1
        }


LIFECYCLE = [
    b'data: {"type":"start","messageId":"acme-1"}\n\n',
    b'data: {"type":"start-step"}\n\n',
    b'data: {"type":"text-start","id":"acme-text"}\n\n',
    b'data: {"type":"text-delta","id":"acme-text","delta":""}\n\n',
    b'data: {"type":"message-metadata","conversationId":"acme-c1","usage":{"credits":2}}\n\n',
]
QUOTA = b'data: {"type":"error","error":{"code":"CHAT_CREDITS_EXHAUSTED","message":"quota"}}\n\n'


@both_modes
async def test_a8_an_error_behind_lifecycle_events_moves_on_and_they_are_told_to_nobody(
    tmp_path: Path, *, stream: bool
) -> None:
    acme = played(answered(*LIFECYCLE, QUOTA), protocol="chatbase")
    async with running_targets(tmp_path, {"acme": acme, "spare": played(WELL)}) as gateway:
        answer = await gateway.ask(stream=stream)
        check_unseen(answer)
        assert b"usage" not in answer.body
        assert gateway.hits == {"acme": 1, "spare": 1}
        assert await gateway.counts("gateway_failovers_total") == {
            ("quota_exhausted", "acme", "possibly_accepted", "spare"): 1
        }


NOTHING: dict[str, list[Step]] = {
    "a clean end": [Read(), Write(LAST_HEAD + LAST_CHUNK)],
    "a reset": [Read(), Write(LAST_HEAD), Reset()],
    "comments": answered(b": hello\n\n"),
    "no body": [Read(), Write(response(200, b"", "text/event-stream", connection="close"))],
}


@both_modes
@pytest.mark.parametrize("script", NOTHING.values(), ids=NOTHING)
async def test_a9_a_200_without_events_moves_on(tmp_path: Path, script: list[Step], *, stream: bool) -> None:
    async with running_targets(tmp_path, two(script)) as gateway:
        check_unseen(await gateway.ask(stream=stream))
        assert gateway.hits == {"acme": 1, "spare": 1}


async def test_a10_a_cut_answer_ends_in_exactly_one_failure(tmp_path: Path) -> None:
    async with running_targets(tmp_path, two([Read(), Write(SAID + LAST_CHUNK)])) as gateway:
        answer = await gateway.ask()
        assert (answer.kinds, said(answer)) == (BROKEN, "From acme")
        assert (answer.error["code"], answer.ending[1]) == ("upstream_protocol", "truncated")
        assert await gateway.outcomes() == {"truncated": 1}
        assert gateway.hits == {"acme": 1, "spare": 0}


STALLS: dict[str, list[Step]] = {
    "after the head": [Read(), Write(LAST_HEAD), Hold()],
    "after the start": [Read(), Write(BEGUN), Hold()],
    "under comments": [Read(), Write(BEGUN), Repeat(chunk(b": still here\n\n"), every=0.05)],
}


@both_modes
@pytest.mark.parametrize("script", STALLS.values(), ids=STALLS)
async def test_a12_a_stall_behind_a_200_moves_on_and_the_vendor_is_left(
    tmp_path: Path, script: list[Step], *, stream: bool
) -> None:
    async with running_targets(tmp_path, two(script, target=QUICK)) as gateway:
        began = time.monotonic()
        answer = await gateway.ask(stream=stream)
        assert 0.3 <= time.monotonic() - began < 1.3
        check_unseen(answer)
        stalled = await gateway.vendors["acme"].connection()
        await stalled.left(within=1)
        assert gateway.hits == {"acme": 1, "spare": 1}
        assert await gateway.outcomes() == {"first_event_timeout": 1, "completed": 1}


class Forgetless(NativeDialect):
    """A client that cannot be told to forget."""

    name = "forgetless"
    routes: tuple[DialectRoute, ...] = (DialectRoute("POST", "/forgetless", "message"),)
    can_discard = False


def forgetless(_: object) -> Dialect:
    return Forgetless()


FORGETLESS: Mapping[str, Descriptor] = {**BUILT_IN, "forgetless": Descriptor("forgetless", "", {}, dialect=forgetless)}


async def test_a14_what_was_shown_is_revoked_before_another_answer_begins(tmp_path: Path) -> None:
    async with running_targets(tmp_path, two([Read(), Write(SAID), Reset()]), route=RESTART) as gateway:
        answer = await gateway.ask()
        assert answer.kinds == SWITCHED
        shown = [
            event.delta if isinstance(event, TextDelta) else event.discard
            for event in answer.events
            if isinstance(event, TextDelta | MessageRouted)
        ]
        assert shown == [None, "From acme", True, "Hello"]
        conversation = answer.line["conversation_id"]
        stored = (await ask_json(gateway, f"/v1/conversations/{conversation}/messages"))["data"][-1]
        assert [part["text"] for part in stored["parts"]] == ["Hello"]


async def test_a14_a_client_that_cannot_forget_is_told_of_a_failure_instead(tmp_path: Path) -> None:
    vendors = two([Read(), Write(SAID), Reset()])
    async with running_targets(tmp_path, vendors, route=RESTART, protocols=FORGETLESS) as gateway:
        answer = await gateway.ask(path="/forgetless")
        assert (answer.kinds, said(answer)) == (BROKEN, "From acme")
        assert gateway.hits == {"acme": 1, "spare": 0}


async def test_a14_a_client_that_cannot_forget_can_be_sent_the_rest(tmp_path: Path) -> None:
    vendors = two([Read(), Write(SAID), Reset()])
    async with running_targets(tmp_path, vendors, route=CONTINUE, protocols=FORGETLESS) as gateway:
        answer = await gateway.ask(path="/forgetless")
        assert (answer.kinds, said(answer)) == (SWITCHED, "From acmeHello")


async def ask_json(gateway: RunningGateway, path: str) -> Any:
    async with gateway.session.get(path) as reply:
        assert reply.status == 200
        return await reply.json()


@pytest.mark.parametrize(
    ("script", "route"),
    [
        pytest.param(answered(ACME_START, UNAVAILABLE), "", id="before the headers"),
        pytest.param([Read(), Write(BEGUN), Hold()], "headers_after = 0.1", id="after the headers"),
        pytest.param([Read(), Write(SAID), Reset()], RESTART, id="begun anew"),
        pytest.param([Read(), Write(SAID), Reset()], CONTINUE, id="gone on with"),
    ],
)
async def test_a15_a_stream_has_exactly_one_start(tmp_path: Path, script: list[Step], route: str) -> None:
    async with running_targets(tmp_path, two(script, target=QUICK), route=route) as gateway:
        answer = await gateway.ask()
        assert answer.ending[0] == "completed"
        assert answer.kinds.count("message.started") == 1
        assert gateway.hits == {"acme": 1, "spare": 1}


RUN_BEGUN = [Read(), Write(response(201, b'{"workflowRunId":"run-1"}', connection="close"))]
RUN_BROKEN = [Read(), Write(LAST_HEAD + chunk(b'data: {"type":"run_started"}\n\n')), Reset()]
RUN_OVER = answered(
    b'data: {"type":"snapshot","workflowRun":{"status":"PASSED"},'
    b'"message":{"role":"assistant","content":"Forty-two"}}\n\n',
    b'data: {"type":"run_completed","status":"completed"}\n\n',
)
RUNS: dict[str, Any] = {"target": 'workflow_id = "8e9f6c1a-3b7d-4c52-9a41-6f0d2b8e7c15"'}


@both_modes
async def test_a16_a_vendors_run_is_gone_back_to_before_another_vendor_is_asked(
    tmp_path: Path, at_once: None, *, stream: bool
) -> None:
    vendors = {"acme": played(RUN_BEGUN, RUN_BROKEN, RUN_OVER, **RUNS), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors) as gateway:
        answer = await gateway.ask(stream=stream)
        assert (said(answer), answer.line["vendor"], answer.line["attempts"]) == ("Forty-two", "acme", 1)
        assert [each.method for each in gateway.vendors["acme"].requests] == ["POST", "GET", "GET"]
        assert gateway.vendors["spare"].connections == []
        assert await gateway.counts("gateway_resumed_runs_total") == {("acme",): 1}


async def test_a16_where_the_run_cannot_be_gone_back_to_another_vendor_is_asked(tmp_path: Path, at_once: None) -> None:
    vendors = {"acme": played(RUN_BEGUN, RUN_BROKEN, [Read(), Reset()], **RUNS), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors) as gateway:
        check_unseen(await gateway.ask())
        assert [each.method for each in gateway.vendors["acme"].requests] == ["POST", *["GET"] * 4]
        assert await gateway.counts("gateway_failovers_total") == {
            ("reset_midstream", "acme", "possibly_accepted", "spare"): 1
        }


MALFORMED = b'data: {"type":"content","delta":7}\n\n'
BY_CAUSE = 'mid_stream_by_cause = { truncated = "restart", malformed = "continue" }'


@pytest.mark.parametrize(
    ("fault", "kinds", "text"),
    [
        pytest.param([Write(LAST_CHUNK)], SWITCHED, "Hello", id="listed for a restart"),
        pytest.param([Write(chunk(MALFORMED))], SWITCHED, "From acmeHello", id="listed for going on"),
        pytest.param([Reset()], BROKEN, "From acme", id="not listed"),
    ],
)
async def test_a17_the_cause_decides_what_becomes_of_an_answer(
    tmp_path: Path, fault: list[Step], kinds: list[str], text: str
) -> None:
    async with running_targets(tmp_path, two([Read(), Write(SAID), *fault]), route=BY_CAUSE) as gateway:
        answer = await gateway.ask()
        assert (answer.kinds, said(answer)) == (kinds, text)
        assert gateway.hits == {"acme": 1, "spare": int(kinds == SWITCHED)}


@pytest.mark.parametrize("allowed", [0, 1, 2])
async def test_a17_no_more_switches_are_made_than_the_route_allows(tmp_path: Path, allowed: int) -> None:
    breaks = [Read(), Write(LAST_HEAD + chunk(START) + chunk(content("From spare"))), Reset()]
    vendors = {"acme": played([Read(), Write(SAID), Reset()]), "spare": played(breaks), "third": played(WELL)}
    async with running_targets(tmp_path, vendors, route=f"{RESTART}\nswitches = {allowed}") as gateway:
        answer = await gateway.ask()
        assert said(answer) == ["From acme", "From spare", "Hello"][allowed]
        assert answer.line["outcome"] == ("completed" if allowed == 2 else "failed")
        assert list(gateway.hits.values()) == [int(number <= allowed) for number in range(3)]
        assert [switch.vendor for switch in switches(answer)] == ["spare", "third"][:allowed]


async def test_a17_a_switch_finds_out_anew_who_may_be_asked(tmp_path: Path) -> None:
    """The second vendor was well when the message came in, and has failed by the time the first breaks off."""
    go_on = asyncio.Event()
    breaking = [Read(), Write(SAID), Wait(go_on), Reset()]
    vendors = {"acme": played(breaking, FAILING), "spare": played(FAILING, WELL, vendor=TOUCHY)}
    async with running_targets(tmp_path, vendors, route=RESTART) as gateway:
        asked = asyncio.create_task(gateway.ask())
        await (await gateway.vendors["acme"].connection()).heard(b'"modelId"')
        assert (await gateway.ask()).line["attempts"] == 2
        assert await gateway.count("gateway_breaker_state", "open", "spare") == 1
        go_on.set()
        answer = await asked
        assert (answer.kinds, said(answer)) == (BROKEN, "From acme")
        assert gateway.hits == {"acme": 2, "spare": 1}


@pytest.mark.parametrize("route", [RESTART, CONTINUE], ids=["restart", "continue"])
async def test_a17_who_takes_an_answer_over_is_told_what_was_said_before_it_and_stays(
    tmp_path: Path, route: str
) -> None:
    acme = played(also_well("First answer"), [Read(), Write(SAID), Reset()])
    async with running_targets(tmp_path, {"acme": acme, "spare": played(WELL)}, route=route) as gateway:
        first = await gateway.ask("One")
        conversation = first.line["conversation_id"]
        second = await gateway.ask("Two", conversation_id=conversation)
        assert second.kinds == SWITCHED
        spare = gateway.vendors["spare"]
        earlier = "[Earlier in this conversation]\nuser: One\nassistant: First answer\n[Now]\nTwo"
        partial = "\n[Your answer so far; go on where it stops]\nFrom acme"
        assert spoken_to(spare) == earlier + (partial if route == CONTINUE else "")
        stored = (await ask_json(gateway, f"/v1/conversations/{conversation}/messages"))["data"][-1]
        assert [part["text"] for part in stored["parts"]] == (["From acme"] if route == CONTINUE else []) + ["Hello"]
        check_unseen(await gateway.ask("Three", conversation_id=conversation), attempt=1)
        assert spoken_to(spare) == "Three"
        assert gateway.hits == {"acme": 2, "spare": 2}


async def test_a18_no_byte_reaches_the_client_before_somebody_answers(tmp_path: Path) -> None:
    failing, answering = asyncio.Event(), asyncio.Event()
    late = [Read(), Wait(answering), *WELL[1:]]
    vendors = two([Read(), Write(BEGUN), Wait(failing), Reset()], late)
    async with running_targets(tmp_path, vendors) as gateway, RawClient(gateway.url) as client:
        await client.send(message())
        await (await gateway.vendors["acme"].connection()).heard(b'"modelId"')
        with pytest.raises(TimeoutError):
            await client.read_until(BLANK_LINE, within=0.2)
        failing.set()
        await (await gateway.vendors["spare"].connection()).heard(b'"modelId"')
        with pytest.raises(TimeoutError):
            await client.read_until(BLANK_LINE, within=0.2)
        answering.set()
        assert (await client.read_until(BLANK_LINE)).startswith(b"HTTP/1.1 200 ")
        gateway.received.append(await client.read_until(b"event: message.completed"))


async def test_a18_once_the_headers_went_out_a_failure_travels_in_the_stream(tmp_path: Path) -> None:
    slowly = [Read(), Write(BEGUN), Hold()]
    async with running_targets(tmp_path, two(slowly, FAILING, target=QUICK), route="headers_after = 0.1") as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.kinds) == (200, ["message.started", "message.failed"])
        assert answer.error["details"] == {
            "attempts": [
                {"vendor": "acme", "cause": "first_event_timeout", "code": "upstream_timeout"},
                {"vendor": "spare", "cause": "status_5xx", "code": "upstream_unavailable"},
            ]
        }


async def test_a18_once_the_headers_went_out_the_next_vendor_is_asked_all_the_same(tmp_path: Path) -> None:
    slowly = [Read(), Write(BEGUN), Hold()]
    async with running_targets(tmp_path, two(slowly, target=QUICK), route="headers_after = 0.1") as gateway:
        check_unseen(await gateway.ask())


@both_modes
@pytest.mark.parametrize("said_before", [[], [content("")]], ids=["nothing", "an empty text"])
async def test_a19_an_answer_of_nothing_moves_on(tmp_path: Path, said_before: list[bytes], *, stream: bool) -> None:
    async with running_targets(tmp_path, two(answered(ACME_START, *said_before, END))) as gateway:
        check_unseen(await gateway.ask(stream=stream))
        assert gateway.hits == {"acme": 1, "spare": 1}
        assert await gateway.outcomes() == {"empty": 1, "completed": 1}
        alone = await gateway.ask(failover=False, stream=stream)
        assert (alone.status, alone.error["code"], alone.error["retryable"]) == (502, "upstream_empty", True)


async def test_a20_a_route_explains_who_is_asked_now_and_why(tmp_path: Path) -> None:
    vendors = {"acme": played(FAILING, vendor=TOUCHY), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors) as gateway:
        before = await explained(gateway)
        check_unseen(await gateway.ask())
        after = await explained(gateway)
        assert [(each["vendor"], each["may_be_asked"], each["breaker"]) for each in before] == [
            ("acme", True, "closed"),
            ("spare", True, "closed"),
        ]
        assert [(each["vendor"], each["may_be_asked"], each["breaker"]) for each in after] == [
            ("acme", False, "open"),
            ("spare", True, "closed"),
        ]
        assert after[0]["why"].startswith("its breaker is open for ")
        assert (await gateway.ask()).line["vendor"] == "spare"
        assert gateway.hits == {"acme": 1, "spare": 2}


async def explained(gateway: RunningGateway) -> list[dict[str, Any]]:
    (route,) = (await ask_json(gateway, "/v1/routes?explain=true"))["data"]
    targets: list[dict[str, Any]] = route["explain"]["targets"]
    return targets


# --- B: swallowed and malformed errors


@both_modes
@pytest.mark.parametrize("vendor", VENDORS)
async def test_b22_an_end_before_the_terminal_is_a_failure_at_each_vendor(
    tmp_path: Path, vendor: str, at_once: None, *, stream: bool
) -> None:
    """The other vendor answers, whoever is cut behind its first event."""
    other = "chatbase" if vendor == "hardwire" else "hardwire"
    async with five(tmp_path, backed_by(vendor, other)) as gateway:
        gateway.record(vendor).bend = broken_off(1)
        reply = await gateway.say("backed", "Hi", stream=stream)
        assert reply.status == 200
        told = reply.body.decode()
        assert f'"vendor":"{other}"' in told
        assert f'"vendor":"{vendor}"' not in told
        failovers = await gateway.samples("gateway_failovers_total")
        assert list(failovers.items()) == [(("truncated", vendor, "possibly_accepted", other), 1)]
        assert sum(1 for _ in gateway.record(other).requests) > 0


def backed_by(first: str, second: str) -> str:
    asked = {
        "dynamiq": 'app = "8e9f6c1a-3b7d-4c52-9a41-6f0d2b8e7c15"',
        "chatbase": 'agent = "demo-agent"',
        "dimedove": 'app = "app_1"',
        "hardwire": 'model = "gpt-4o"',
        "sema4": 'agent = "a1"',
    }
    targets = ", ".join(f'{{ vendor = "{name}", retries = 0, {asked[name]} }}' for name in (first, second))
    return f"[routes.backed]\ntargets = [{targets}]\n"


class Explosive(HardwireTranslator):
    """Raises what nobody declared over one word."""

    def feed(self, record: Any) -> Iterable[Any]:
        if b"boom" in record.data:
            raise RuntimeError("boom at http://10.0.0.7")
        return super().feed(record)


EXPLOSIVE = {
    **BUILT_IN,
    "explosive": msgspec.structs.replace(BUILT_IN["hardwire"], name="explosive", translator=Explosive),
}
BUG = {"code": "internal", "message": "the gateway failed", "retryable": False}


async def test_b23_a_bug_of_ours_is_told_and_no_other_vendor_is_asked(tmp_path: Path) -> None:
    acme = played(answered(ACME_START, content("boom"), END), protocol="explosive", vendor=TOUCHY)
    vendors = {"acme": acme, "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, protocols=EXPLOSIVE, bugs=ONE) as gateway:
        answer = await gateway.ask()
        assert (answer.status, answer.error) == (500, BUG)
        assert [line["request_id"] for line in gateway.log.of("unhandled")] == [answer.line["request_id"]]
        assert gateway.hits == {"acme": 1, "spare": 0}
        assert await gateway.count("gateway_breaker_state", "closed", "acme") == 1


async def test_b23_a_bug_of_ours_after_content_ends_the_stream_though_it_might_be_begun_anew(tmp_path: Path) -> None:
    acme = played(answered(ACME_START, ACME_SAYS, content("boom"), END), protocol="explosive")
    vendors = {"acme": acme, "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, route=RESTART, protocols=EXPLOSIVE, bugs=ONE) as gateway:
        answer = await gateway.ask()
        assert (answer.kinds, answer.error) == (BROKEN, BUG)
        assert gateway.hits == {"acme": 1, "spare": 0}


HOLDING_AN_ERROR = [
    b'{"type":"start","messageId":"acme-1","error":"LLM_ERROR"}',
    b'{"type":"content","delta":"acme","error":{"code":"LLM_ERROR"}}',
    b'{"type":"tool_call","toolName":"acme","toolArgs":{},"error":"LLM_ERROR"}',
    b'{"type":"end","messageId":"acme-1","error":"LLM_ERROR"}',
    b'{"type":"complete","message":{"content":"acme"},"error":{"code":"LLM_ERROR"}}',
    b'{"type":"sparkle","error":{"code":"LLM_ERROR"}}',
]


@both_modes
@pytest.mark.parametrize("frame", HOLDING_AN_ERROR, ids=lambda frame: str(msgspec.json.decode(frame)["type"]))
async def test_b24_a_frame_that_holds_an_error_never_completes_an_answer(
    tmp_path: Path, frame: bytes, *, stream: bool
) -> None:
    before = answered(ACME_START, b"data: " + frame + b"\n\n", END)
    after = answered(ACME_START, ACME_SAYS, b"data: " + frame + b"\n\n", END)
    vendors = {"acme": played(before, after), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors) as gateway:
        check_unseen(await gateway.ask(stream=stream))
        answer = await gateway.ask(stream=stream)
        if stream:
            assert (answer.kinds, answer.ending[:2]) == (BROKEN, ("failed", "vendor_error"))
        else:
            check_unseen(answer)
        assert await gateway.count("gateway_attempts_total", "vendor_error", "hardwire", "acme") == 2


@both_modes
async def test_b25_a_refusal_before_the_stream_is_a_status_whoever_made_it(tmp_path: Path, *, stream: bool) -> None:
    rejected = refused(400, "REQUEST_VALIDATION")
    async with running_targets(tmp_path, {"acme": played(rejected, FAILING), "spare": played(rejected)}) as gateway:
        first, second = await gateway.ask(stream=stream), await gateway.ask(stream=stream)
        assert (first.status, first.error["code"], first.error["vendor"]) == (422, "upstream_rejected", "acme")
        assert (second.status, second.error["code"], second.error["vendor"]) == (422, "upstream_rejected", "spare")
        assert gateway.hits == {"acme": 2, "spare": 1}


async def test_b26_an_error_has_one_shape_however_many_were_asked(tmp_path: Path) -> None:
    slowly = [Read(), Write(BEGUN), Hold()]
    async with running_targets(
        tmp_path,
        {"acme": played(FAILING, slowly, target=QUICK), "spare": played(refused(529))},
        route="headers_after = 0.1",
    ) as gateway:
        by_status, in_the_stream = await gateway.ask(), await gateway.ask()
        assert (by_status.status, in_the_stream.kinds[-1]) == (503, "message.failed")
        first, second = by_status.error, in_the_stream.error
        assert first.pop("details")["attempts"][0] == {
            "vendor": "acme",
            "cause": "status_5xx",
            "code": "upstream_unavailable",
        }
        assert second.pop("details")["attempts"][0]["cause"] == "first_event_timeout"
        assert first == second == {key: value for key, value in BOTH_TOLD.items() if key != "details"}


async def test_b27_a_translator_that_raises_costs_its_own_message_alone(tmp_path: Path) -> None:
    def choose(asked: Received) -> Sequence[Step]:
        is_bad = b"bad" in asked.body
        return answered(ACME_START, content("boom"), END) if is_bad else answered(ACME_START, UNAVAILABLE)

    acme = played([Choosing(choose)], protocol="explosive")
    vendors = {"acme": acme, "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, protocols=EXPLOSIVE, bugs=range(5, 6)) as gateway:
        answers = await asyncio.gather(*(gateway.ask("bad" if number % 2 else "good") for number in range(10)))
        assert [answer.status for answer in answers] == [200, 500] * 5
        for answer in answers[::2]:
            check_unseen(answer)
        assert gateway.hits == {"acme": 10, "spare": 5}


async def test_b28_wherever_a_stream_is_cut_its_client_is_sent_whole_frames(tmp_path: Path) -> None:
    body = SAID + chunk(END) + LAST_CHUNK
    places = range(len(LAST_HEAD), body.index(END) + len(END))
    scripts = [[Read(), Write(body[:end]), Reset()] for end in places]
    vendors = {"acme": played(*scripts), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, route=RESTART) as gateway:
        for end in places:
            answer = await gateway.ask()
            assert (said(answer), answer.line["outcome"]) == ("Hello", "completed")
            assert answer.kinds == (SWITCHED if end >= len(SAID) - 2 else WHOLE)
        assert gateway.hits == {"acme": len(places), "spare": len(places)}


@both_modes
async def test_b29_a_vendor_that_failed_is_not_listened_to_though_it_goes_on(tmp_path: Path, *, stream: bool) -> None:
    pinging = Repeat(chunk(b": ping\n\n" + HELLO), every=0.02)
    async with running_targets(tmp_path, two([Read(), Write(BEGUN + chunk(UNAVAILABLE)), pinging])) as gateway:
        began = time.monotonic()
        check_unseen(await gateway.ask(stream=stream))
        assert time.monotonic() - began < 0.5
        await (await gateway.vendors["acme"].connection()).left(within=1)


async def test_b30_what_a_vendor_says_of_its_failure_is_kept_when_another_answers(tmp_path: Path) -> None:
    new = b'data: {"type":"error","error":{"code":"NEW_FAULT","message":"sk-123 is bad","requestId":"r-9"}}\n\n'
    async with running_targets(tmp_path, two(answered(ACME_START, ACME_SAYS, new)), route=RESTART) as gateway:
        answer = await gateway.ask()
        (switch,) = switches(answer)
        assert switch.error is not None
        told = switch.error
        assert (told.code, told.vendor_code, told.vendor_request_id) == ("upstream_protocol", "NEW_FAULT", "r-9")
        assert b"sk-123" not in answer.body
        (line,) = gateway.log.of("failover")
        assert line == {
            "event": "failover",
            "level": "warning",
            "request_id": answer.line["request_id"],
            "conversation_id": answer.line["conversation_id"],
            "message_id": answer.line["message_id"],
            "vendor": "acme",
            "to": "spare",
            "phase": "committed",
            "cause": "vendor_error",
            "code": "upstream_protocol",
            "discarded": len("From acme"),
            "vendor_status": None,
            "vendor_code": "NEW_FAULT",
            "vendor_request_id": "r-9",
            "vendor_message": "sk-123 is bad",
        }


@pytest.mark.parametrize("route", ["", RESTART, CONTINUE], ids=["fail", "restart", "continue"])
async def test_b31_nothing_that_a_vendor_says_behind_its_failure_is_told(tmp_path: Path, route: str) -> None:
    behind = ACME_START + ACME_SAYS + UNAVAILABLE + content("acme again") + END + END
    script = [Read(), Write(LAST_HEAD + chunk(behind) + LAST_CHUNK)]
    async with running_targets(tmp_path, two(script), route=route) as gateway:
        answer = await gateway.ask()
        assert b"again" not in answer.body
        assert said(answer) == {"": "From acme", RESTART: "Hello", CONTINUE: "From acmeHello"}[route]


@both_modes
async def test_b32_a_stream_that_cannot_be_read_on_has_not_ended_well(tmp_path: Path, *, stream: bool) -> None:
    unread = [Read(), Write(SAID), Reset()]
    async with running_targets(tmp_path, two(unread, unread)) as gateway:
        answer = await gateway.ask(stream=stream)
        assert answer.ending == ("failed", "reset_midstream", "upstream_unavailable")
        if stream:
            assert answer.kinds == BROKEN
        else:
            assert answer.status == 503
            assert answer.error["details"]["message"]["status"] == "failed"
            assert [each["vendor"] for each in answer.error["details"]["attempts"]] == ["acme", "spare"]


# --- C: disconnects and leaks


@both_modes
async def test_c33_c35_a_client_that_leaves_takes_the_second_vendor_along(tmp_path: Path, *, stream: bool) -> None:
    talking = [Read(), Write(LAST_HEAD + chunk(START)), Repeat(chunk(HELLO), every=0.05)]
    async with running_targets(tmp_path, two(FAILING, talking)) as gateway:
        async with RawClient(gateway.url) as client:
            await client.send(message(stream=stream))
            connection = await gateway.vendors["spare"].connection()
            await connection.heard(b'"modelId"')
            if stream:
                gateway.received.append(await client.read_until(b'"delta":"Hello"'))
        await connection.left(within=1)
        line = (await lines(gateway, 1))[0]
        assert (line["outcome"], line["cause"], line["attempts"]) == ("canceled", "client_gone", 2)
        assert await gateway.outcomes() == {"status_5xx": 1, "client_gone": 1}
        assert gateway.hits == {"acme": 1, "spare": 1}


async def test_c37_streams_that_moved_on_and_were_abandoned_leave_nothing_behind(tmp_path: Path) -> None:
    """The gateway's own end compares tasks and sockets with those of its start."""
    talking = [Read(), Write(LAST_HEAD + chunk(START)), Repeat(chunk(HELLO), every=0.2)]
    broken = [Read(), Write(SAID), Reset()]
    async with running_targets(tmp_path, two(broken, talking), route=RESTART) as gateway:

        async def abandon() -> None:
            async with RawClient(gateway.url) as client:
                await client.send(message())
                await client.read_until(b'"delta":"Hello"')
                client.reset()

        for _ in range(5):
            await asyncio.gather(*(abandon() for _ in range(40)))
        await lines(gateway, 200)
        assert gateway.hits == {"acme": 200, "spare": 200}
        assert await gateway.outcomes() == {"reset_midstream": 200, "client_gone": 200}
        await gateway.settle()


PROBED = "breaker = { minimum = 1, ratio = 1.0, open_for = 0.2, jitter = 0 }"


@pytest.mark.parametrize("ending", ["completed", "failed", "client_gone", "refused"])
async def test_c38_the_one_place_of_a_probe_is_given_back_however_its_message_ends(tmp_path: Path, ending: str) -> None:
    probe: dict[str, list[Step]] = {
        "completed": WELL,
        "failed": refused(400, "REQUEST_VALIDATION"),
        "client_gone": [Read(), Write(SAID), Hold()],
        "refused": WELL,
    }
    acme = played(FAILING, probe[ending], WELL, vendor=PROBED)
    async with running_targets(tmp_path, {"acme": acme}) as gateway:
        assert (await gateway.ask()).status == 503
        await breaker_is("half_open", gateway)
        if ending == "client_gone":
            async with RawClient(gateway.url) as client:
                await client.send(message())
                gateway.received.append(await client.read_until(b'"delta":"From acme"'))
            await lines(gateway, 2)
        elif ending == "refused":
            unknown = await gateway.session.post("/v1/messages", json={"content": "Hi", "conversation_id": "conv_0"})
            assert unknown.status == 404
        else:
            assert (await gateway.ask()).line["cause"] in {"completed", "rejected"}
        assert said(await gateway.ask()) == "Hello"


class SpeechlessExchange(NativeExchange):
    def encoder(self) -> NoReturn:
        raise RuntimeError("boom")


class Speechless(NativeDialect):
    """Raises what nobody declared where a stream is to begin."""

    name = "speechless"
    routes: tuple[DialectRoute, ...] = (DialectRoute("POST", "/speechless", "message"),)

    def read(self, request: ClientRequest) -> Exchange:
        return SpeechlessExchange(super().read(request).request)


def speechless(_: object) -> Dialect:
    return Speechless()


SPEECHLESS: Mapping[str, Descriptor] = {**BUILT_IN, "speechless": Descriptor("speechless", "", {}, dialect=speechless)}


async def test_c38_the_one_place_of_a_probe_is_given_back_where_nobody_was_asked_after_all(tmp_path: Path) -> None:
    acme = played(FAILING, WELL, vendor=PROBED)
    async with running_targets(tmp_path, {"acme": acme}, protocols=SPEECHLESS, bugs=ONE) as gateway:
        conversation = (await gateway.ask()).line["conversation_id"]
        body = {"content": "Hi", "conversation_id": conversation}
        await breaker_is("half_open", gateway)
        async with gateway.session.post("/speechless", json=body) as refusal:
            assert refusal.status == 500
        async with gateway.session.post("/v1/messages", json={"content": "Hi", "stream": False}) as probe:
            assert probe.status == 200
        async with gateway.session.post("/v1/messages", json={**body, "stream": False}) as following:
            assert following.status == 200


async def test_c39_a_client_that_does_not_read_ends_its_message_and_no_other_vendor_is_asked(tmp_path: Path) -> None:
    flood = [Read(), Write(BEGUN), Repeat(chunk(content("x" * 16_384)))]
    tables = "[server]\nsend_deadline = 0.3\n"
    vendors = two(flood, vendor=PROBED)
    async with running_targets(tmp_path, vendors, route=RESTART, tables=tables) as gateway:
        async with RawClient(gateway.url, receive_buffer=4096) as client:
            await client.send(message())
            await (await gateway.vendors["acme"].connection()).left(within=5)
        line = (await lines(gateway, 1))[0]
        assert (line["outcome"], line["cause"], line["attempts"]) == ("canceled", "slow_client", 1)
        assert gateway.hits == {"acme": 1, "spare": 0}
        assert await gateway.count("gateway_breaker_state", "closed", "acme") == 1


# --- G: cooldown


async def test_g64_a_vendor_that_failed_is_left_alone_for_a_time_that_doubles_and_then_probed(tmp_path: Path) -> None:
    breaker = "breaker = { minimum = 1, ratio = 1.0, open_for = 1.5, jitter = 0 }"
    acme = played(FAILING, FAILING, also_well("Back"), vendor=breaker)
    async with running_targets(tmp_path, {"acme": acme, "spare": played(WELL)}) as gateway:
        check_unseen(await gateway.ask())
        opened = time.monotonic()
        for answer in await asyncio.gather(*(gateway.ask() for _ in range(5))):
            check_unseen(answer, attempt=1)
        assert gateway.hits == {"acme": 1, "spare": 6}

        await breaker_is("half_open", gateway, within=6)
        assert time.monotonic() - opened >= 1.4
        check_unseen(await gateway.ask())
        probed = time.monotonic()
        assert gateway.hits["acme"] == 2
        await breaker_is("half_open", gateway, within=6)
        assert time.monotonic() - probed >= 2.9
        assert gateway.hits["acme"] == 2

        assert said(await gateway.ask()) == "Back"
        assert await gateway.count("gateway_breaker_state", "closed", "acme") == 1
        assert said(await gateway.ask()) == "Back"


async def test_g65_where_all_have_failed_a_client_is_told_when_the_first_may_be_asked(tmp_path: Path) -> None:
    vendors = {
        "acme": played(FAILING, vendor=TOUCHY.replace("jitter", "open_for = 40, jitter")),
        "spare": played(FAILING, vendor=TOUCHY.replace("jitter", "open_for = 20, jitter")),
    }
    async with running_targets(tmp_path, vendors) as gateway:
        assert (await gateway.ask()).line["attempts"] == 2
        refusal = await gateway.session.post("/v1/messages", json={"content": "Hi"})
        assert (refusal.status, refusal.headers["Retry-After"]) == (503, "20")
        error = (await refusal.json())["error"]
        assert (error["code"], error["retryable"]) == ("upstream_unavailable", True)
        assert 19 < error["retry_after"] <= 20
        assert gateway.hits == {"acme": 1, "spare": 1}


async def test_g65_where_all_limit_our_rate_a_client_is_told_when_the_first_does_no_more(tmp_path: Path) -> None:
    vendors = two(refused(429, retry_after="200"), refused(429, retry_after="100"))
    async with running_targets(tmp_path, vendors) as gateway:
        first = await gateway.ask()
        assert (first.status, first.line["attempts"]) == (429, 2)
        refusal = await gateway.session.post("/v1/messages", json={"content": "Hi"})
        assert (refusal.status, refusal.headers["Retry-After"]) == (429, "100")
        assert gateway.hits == {"acme": 1, "spare": 1}

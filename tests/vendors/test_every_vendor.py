"""The same messages to all five simulated vendors, over real sockets, as a stranger's client would send them."""

import asyncio
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.canonical.events import MessageCompleted, MessageStarted
from gateway.canonical.message import Message
from gateway.protocols.base import CAPABILITIES, Head, Pause, SimulatedRequest, Step
from gateway.protocols.registry import BUILT_IN
from tests.support.gateway import until
from tests.vendors.cases import (
    ASKED,
    ASKS,
    CANCELED,
    ELSEWHERE,
    ERROR_FRAMES,
    KINDS,
    LIMITED,
    LINES,
    REFUSALS,
    REPEATED,
    SHOWN,
    UNREADABLE,
    WHOLE_FAILURES,
    WORKFLOW,
    Cannot,
    Case,
    Elsewhere,
    Ignored,
    Refusal,
    Sent,
    told,
)
from tests.vendors.five import VENDORS, Five, broken_off, held, is_stream, swapped
from tests.vendors.general import GENERAL

HERE = Path(__file__).parent


every_vendor = pytest.mark.parametrize("vendor", VENDORS)


def support(vendor: str, capability: str) -> str:
    return BUILT_IN[vendor].capabilities[capability]


# --- what each can do


def test_every_capability_has_its_row_and_every_row_all_vendors() -> None:
    assert {*SHOWN, *ASKED, *ELSEWHERE} == set(CAPABILITIES)
    rows: list[Any] = [*SHOWN.values(), *ASKED.values(), *ELSEWHERE.values()]
    assert [set(row) for row in rows] == [set(VENDORS)] * len(CAPABILITIES)
    named = {row.test for table in ASKED.values() for row in table.values() if isinstance(row, Elsewhere)}
    named |= {test for table in ELSEWHERE.values() for test in table.values()}
    written = {name for path in HERE.glob("test_*.py") for name in re.findall(r"def (test_\w+)", path.read_text())}
    assert named - written == set()


def test_every_protocol_that_can_be_played_is_asked() -> None:
    played = {name for name, descriptor in BUILT_IN.items() if descriptor.simulator is not None}
    assert played == {*VENDORS, *GENERAL}


@every_vendor
@pytest.mark.parametrize("capability", SHOWN)
async def test_what_a_vendor_can_show_is_told_and_what_it_cannot_is_never(
    capability: str, vendor: str, gateway: Five
) -> None:
    match SHOWN[capability][vendor]:
        case Case(content, sees):
            reply = await gateway.say(vendor, content)
            assert (support(vendor, capability), told(reply.events)) == ("yes", sees)
        case Cannot():
            reply = await gateway.say(vendor, "Hi")
            assert support(vendor, capability) == "no"
            assert KINDS[capability] not in [kind for kind, *_ in told(reply.events)]


@every_vendor
@pytest.mark.parametrize("capability", ASKED)
async def test_what_a_message_brings_is_sent_refused_or_ignored(capability: str, vendor: str, gateway: Five) -> None:
    answer = support(vendor, capability)
    reply = await gateway.say(vendor, **ASKS[capability])
    record = gateway.record(vendor)
    match ASKED[capability][vendor]:
        case Sent(bodies):
            assert (answer, reply.status, record.bodies) == ("yes", 200, bodies)
        case Cannot(path):
            assert (answer, reply.status, reply.error["code"]) == ("no", 422, "unsupported")
            assert (reply.error["details"], record.lines) == ({"path": path}, [])
        case Ignored():
            assert (answer, reply.status, record.has_heard("7654321")) == ("ignored", 200, False)
        case Elsewhere():
            assert answer == "yes"


@every_vendor
@pytest.mark.parametrize("content", [" \n", [{"type": "text", "text": ""}]], ids=["blank", "empty"])
async def test_a_message_without_text_is_refused_before_the_vendor_is_asked(
    content: object, vendor: str, gateway: Five
) -> None:
    reply = await gateway.say(vendor, content)
    assert (reply.status, reply.error["code"], reply.error["details"]) == (400, "bad_request", {"path": "$.content"})
    assert gateway.record(vendor).lines == []


@every_vendor
async def test_the_last_turn_is_answered_anew_where_the_vendor_can(vendor: str, gateway: Five) -> None:
    first = await gateway.begin(vendor)
    asked = {"route": vendor, "conversation_id": first["conversation_id"], "regenerate": first["id"]}
    reply = await gateway.ask("POST", "/v1/messages", json=asked)
    if support(vendor, "regenerate") == "yes":
        assert told(reply.events)[-1] == ("completed", "stop")
        assert gateway.record(vendor).lines == ["POST /agents/demo-agent/conversations/*/retry"]
    else:
        assert (reply.status, reply.error["code"]) == (422, "unsupported")
        assert (reply.error["details"], gateway.record(vendor).lines) == ({"path": "$.regenerate"}, [])


@every_vendor
async def test_a_model_is_a_setting_of_those_targets_that_have_one(vendor: str, gateway: Five) -> None:
    has_model = "model" in {field.name for field in msgspec.structs.fields(BUILT_IN[vendor].target)}
    assert has_model is (support(vendor, "model_choice") == "yes")
    if has_model:
        await gateway.say(f"{vendor}-model", "Hi")
        models = {"dynamiq": "1a2b3c4d-3b7d-4c52-9a41-6f0d2b8e7c15", "hardwire": "claude-sonnet-4"}
        assert gateway.record(vendor).has_heard(models[vendor])


# --- turns


@every_vendor
async def test_the_second_turn_goes_to_the_vendors_own_conversation(vendor: str, gateway: Five) -> None:
    first_lines, second_lines = LINES[vendor]
    record = gateway.record(vendor)
    first = (await gateway.say(vendor, "One")).events
    assert record.lines == first_lines
    record.requests.clear()
    started, completed = first[0], first[-1]
    assert isinstance(started, MessageStarted)
    assert isinstance(completed, MessageCompleted)
    second = (await gateway.say(vendor, "Two", conversation_id=started.conversation_id)).events[-1]
    assert record.lines == second_lines
    assert record.has_heard(completed.vendor_ids["conversation"])
    assert not record.has_heard("One")
    assert isinstance(second, MessageCompleted)
    assert second.vendor_ids["conversation"] == completed.vendor_ids["conversation"]


@every_vendor
async def test_a_document_tells_what_the_stream_tells(vendor: str, gateway: Five) -> None:
    assert support(vendor, "streaming") == support(vendor, "text") == "yes"
    streamed = told((await gateway.say(vendor, "Hi")).events)
    routes = [vendor]
    if "upstream_stream" in {field.name for field in msgspec.structs.fields(BUILT_IN[vendor].target)}:
        routes.append(f"{vendor}-whole")
    for route in routes:
        whole = msgspec.json.decode((await gateway.say(route, "Hi", stream=False)).body, type=Message)
        parts = [(part["type"], part["text"]) for part in msgspec.to_builtins(whole.parts)]
        assert parts == [event for event in streamed if event[0] in {"text", "reasoning"}]
        assert (whole.status, whole.finish_reason, whole.route, whole.vendor) == ("completed", "stop", route, vendor)
    is_asked_for_one = any(b'"stream":false' in request.body for request in gateway.record(vendor).requests)
    assert is_asked_for_one is (vendor in {"chatbase", "dimedove"})


@every_vendor
@pytest.mark.parametrize("fault", ["one-byte-chunks:1", "one-byte-chunks:7", "one-chunk", "crlf", "unknown-event:2"])
async def test_how_the_bytes_come_is_not_told(fault: str, vendor: str, gateway: Five) -> None:
    case = SHOWN["tool_calls"][vendor]
    assert isinstance(case, Case)
    first = await gateway.begin(vendor)
    reply = await gateway.say(vendor, f"[fault:{fault}] {case.content}", conversation_id=first["conversation_id"])
    assert told(reply.events) == case.told


@every_vendor
@pytest.mark.parametrize("more", [{"stream": True}, {"stream": False}], ids=["stream", "document"])
async def test_every_play_ends_by_the_laws(more: dict[str, bool], vendor: str, gateway: Five) -> None:
    """Those of a rate limit are told elsewhere: they keep what follows waiting."""
    simulator = gateway.record(vendor).simulator
    assert simulator is not None
    for play in (name for name, shows in simulator.plays.items() if "429" not in shows):
        reply = await gateway.say(vendor, f"[play:{play}] x" if play else "Hi", **more)
        assert reply.status != 500
        if reply.headers["Content-Type"] == "text/event-stream":
            assert told(reply.events)[-1][0] in {"completed", "failed", "canceled"}


async def test_all_vendors_answer_at_once_and_each_its_own(gateway: Five) -> None:
    asked = [(vendor, f"Question-{number}") for number in range(4) for vendor in VENDORS]
    replies = await asyncio.gather(*(gateway.say(vendor, text) for vendor, text in asked))
    for (vendor, text), reply in zip(asked, replies, strict=True):
        assert [text in said for kind, said, *_ in told(reply.events) if kind == "text"] == [True], vendor


async def test_a_session_that_has_expired_is_signed_in_anew(gateway: Five) -> None:
    reply = await gateway.say("hardwire", "[play:expired] x")
    assert told(reply.events)[-1] == ("completed", "stop")
    paths = [request.path.rpartition("/")[2] for request in gateway.record("hardwire").requests]
    assert paths == ["email", "stream", "email", "stream"]


# --- endings


@pytest.mark.parametrize(
    ("vendor", "refusal"),
    [(vendor, refusal) for vendor, refusals in REFUSALS.items() for refusal in refusals],
    ids=lambda value: value.play if isinstance(value, Refusal) else value,
)
async def test_a_vendors_refusal_is_told_in_our_words(vendor: str, refusal: Refusal, gateway: Five) -> None:
    reply = await gateway.say(vendor, f"[play:{refusal.play}] x")
    error = reply.error
    assert (reply.status, error["code"]) == (refusal.status, refusal.code)
    assert (error["vendor"], error["vendor_status"], error.get("vendor_code")) == (
        vendor,
        refusal.vendor_status,
        refusal.vendor_code,
    )
    assert error["message"].startswith("the vendor")
    assert len([line for line in gateway.record(vendor).lines if line == LINES[vendor][1][0]]) == (
        2 if (vendor, refusal.play) == ("hardwire", "unauthorized") else 1
    )


@every_vendor
@pytest.mark.parametrize(("where", "status"), [(1, 503), (-2, 200)], ids=["before text", "after text"])
async def test_an_error_inside_a_200_fails_the_message(where: int, status: int, vendor: str, gateway: Five) -> None:
    frame, code = ERROR_FRAMES[vendor]
    gateway.record(vendor).bend = broken_off(where, b"data: %b\n\n" % frame)
    reply = await gateway.say(vendor, "Hi")
    assert reply.status == status
    if status == 200:
        *shown, ending = told(reply.events)
        assert [said[:9] for kind, said, *_ in shown if kind == "text"] == ["You asked"]
        assert ending == ("failed", "upstream_unavailable", code)
    else:
        assert (reply.error["code"], reply.error.get("vendor_code")) == ("upstream_unavailable", code)
    assert b"what-it-said" not in reply.body
    assert [line["vendor_message"] for line in gateway.log.of("message")] == ["what-it-said"]


@every_vendor
async def test_a_rate_limit_is_passed_on_and_kept(vendor: str, gateway: Five) -> None:
    play, seconds = LIMITED[vendor]
    record = gateway.record(vendor)
    reply = await gateway.say(f"{vendor}-hasty", f"[play:{play}] x")
    assert (reply.status, reply.error["code"], reply.error["vendor_status"]) == (429, "upstream_rate_limited", 429)
    assert (reply.error.get("retry_after"), reply.headers.get("Retry-After")) == (
        seconds,
        None if seconds is None else str(int(seconds)),
    )
    record.requests.clear()
    again = await gateway.say(f"{vendor}-hasty", "Hi")
    if seconds is None:
        assert again.status == 200
    else:
        assert (again.status, again.error["code"], record.requests) == (429, "upstream_rate_limited", [])
        assert 0 < again.error["retry_after"] <= seconds


GONE_BACK_TO = {("dynamiq", "cut:4"), ("dynamiq", "reset-mid-event:4")}
"""The run's id was told by then, and the vendor tells the rest of a run to who asks for it."""


@every_vendor
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("cut:4", "upstream_protocol"),
        ("cut:0", "upstream_protocol"),
        ("reset-mid-event:4", "upstream_unavailable"),
        ("malformed-json:4", "upstream_protocol"),
        ("html-200", "upstream_protocol"),
        ("empty-200", "upstream_protocol"),
        ("reset-head", "upstream_unavailable"),
    ],
)
async def test_a_stream_that_breaks_off_is_never_an_answer(fault: str, code: str, vendor: str, gateway: Five) -> None:
    first = await gateway.begin(vendor)
    record = gateway.record(vendor)
    reply = await gateway.say(vendor, f"[fault:{fault}] Hi", conversation_id=first["conversation_id"])
    told_code = told(reply.events)[-1][1] if reply.status == 200 else reply.error["code"]
    if (vendor, fault) in GONE_BACK_TO:
        assert (told_code, record.lines) == ("stop", [*LINES[vendor][1], "GET /v1/runs/*/stream"])
    else:
        assert (told_code, record.lines) == (code, LINES[vendor][1])


@every_vendor
async def test_a_document_that_breaks_off_shows_what_there_is(vendor: str, gateway: Five) -> None:
    gateway.record(vendor).bend = broken_off(-3)
    reply = await gateway.say(vendor, "Hi", stream=False)
    assert (reply.status, reply.error["code"]) == (502, "upstream_protocol")
    shown = reply.error["details"]["message"]
    assert (shown["status"], shown["parts"][-1]["text"][:9]) == ("failed", "You asked")


@pytest.mark.parametrize("vendor", WHOLE_FAILURES)
async def test_a_vendors_own_document_may_tell_a_failure(vendor: str, gateway: Five) -> None:
    play, code = WHOLE_FAILURES[vendor]
    reply = await gateway.say(f"{vendor}-whole", f"[play:{play}] x", stream=False)
    assert (reply.status, reply.error["code"], reply.error.get("vendor_code")) == (503, "upstream_unavailable", code)


@every_vendor
async def test_nothing_behind_the_terminal_is_told(vendor: str, gateway: Five) -> None:
    first = await gateway.begin(vendor)
    once = told((await gateway.say(vendor, "Hi", conversation_id=first["conversation_id"])).events)
    twice = await gateway.say(vendor, "[fault:twice] Hi", conversation_id=first["conversation_id"])
    assert [event[0] for event in told(twice.events)] == [event[0] for event in once]
    assert [event for event in told(twice.events) if event[0] == "text"] == [
        ("text", said.replace("asked: Hi", "asked: [fault:twice] Hi").replace("“Hi”", "“[fault:twice] Hi”"))
        for kind, said, *_ in once
        if kind == "text"
    ]


@every_vendor
async def test_an_answer_that_is_whole_is_not_waited_for(vendor: str, gateway: Five) -> None:
    gateway.record(vendor).bend = lambda _, steps: [*steps, Pause(60)] if is_stream(steps) else steps
    async with asyncio.timeout(3):
        reply = await gateway.say(vendor, "Hi")
    assert told(reply.events)[-1] == ("completed", "stop")


@every_vendor
async def test_a_refused_turn_leaves_no_doubt_behind(vendor: str, gateway: Five) -> None:
    first = await gateway.begin(vendor)
    ours = first["conversation_id"]
    await gateway.say(vendor, f"[play:{REFUSALS[vendor][0].play}] x", conversation_id=ours)
    gateway.record(vendor).requests.clear()
    assert (await gateway.say(vendor, "Two", conversation_id=ours)).status == 200
    assert gateway.record(vendor).lines == LINES[vendor][1]
    assert await gateway.samples("gateway_recoveries_total") == {}


@pytest.mark.parametrize(
    ("vendor", "content", "options"), [("dynamiq", "[play:cut]", {}), ("hardwire", "Hi", WORKFLOW)]
)
async def test_a_run_that_can_be_resumed_is_gone_on_with(
    vendor: str, content: str, options: dict[str, Any], gateway: Five
) -> None:
    assert support(vendor, "resume") == "yes"
    record = gateway.record(vendor)

    def bend(request: SimulatedRequest, steps: list[Step]) -> list[Step]:
        follows = [line for line in record.lines if line.endswith("workflow-runs/*/stream")]
        return broken_off(1)(request, steps) if len(follows) == 1 else steps

    record.bend = bend
    reply = await gateway.say(vendor, content, **options)
    assert told(reply.events)[-1] == ("completed", "stop")
    assert await gateway.samples("gateway_resumed_runs_total") == {(vendor,): 1}


async def test_a_run_that_can_be_stopped_is_stopped_when_the_client_leaves(gateway: Five) -> None:
    assert support("dynamiq", "cancel") == "yes"
    record = gateway.record("dynamiq")
    record.bend = held
    await leave_after_some_text(gateway, "dynamiq")
    await until(lambda: "POST /v1/runs/*/cancel" in record.lines, within=1.0)
    assert await stops(gateway) == {("stop", "completed", "dynamiq"): 1}


async def test_a_run_that_the_vendor_does_not_stop_is_counted_and_troubles_nobody(gateway: Five) -> None:
    record = gateway.record("dynamiq")
    record.bend = held
    record.instead = lambda request: (Head(500),) if request.path.endswith("/cancel") else None
    await leave_after_some_text(gateway, "dynamiq")
    await until(lambda: "POST /v1/runs/*/cancel" in record.lines, within=1.0)
    assert await stops(gateway) == {("stop", "status_5xx", "dynamiq"): 1}


async def stops(gateway: Five) -> dict[tuple[str, ...], float]:
    """The errands so far, as soon as there is one."""
    async with asyncio.timeout(2.0):
        while not (found := await gateway.samples("gateway_errands_total")):  # noqa: ASYNC110  (no event is set for it)
            await asyncio.sleep(0.01)
    return found


async def leave_after_some_text(gateway: Five, vendor: str) -> None:
    async with gateway.session.post("/v1/messages", json={"route": vendor, "content": "Hi"}) as response:
        seen = b""
        while b"event: text.delta" not in seen:
            seen += await response.content.readany()
        response.close()


@every_vendor
async def test_when_the_client_leaves_the_vendors_stream_is_closed(vendor: str, gateway: Five) -> None:
    record = gateway.record(vendor)
    record.bend = held
    await leave_after_some_text(gateway, vendor)
    telling = record.tellings[-1]
    await until(lambda: telling.is_over, within=2.0)
    assert not telling.is_whole
    await until(lambda: gateway.log.of("message"))
    (line,) = gateway.log.of("message")
    assert (line["outcome"], line["cause"]) == ("canceled", "client_gone")
    kept = await gateway.ask("GET", f"/v1/conversations/{line['conversation_id']}/messages")
    assert [(message["role"], message["status"]) for message in kept.document["data"]] == [
        ("user", "completed"),
        ("assistant", "canceled"),
    ]


@pytest.mark.parametrize("vendor", CANCELED)
async def test_what_the_vendor_cancels_is_canceled(vendor: str, gateway: Five) -> None:
    match CANCELED[vendor]:
        case Case(content, sees):
            reply = await gateway.say(vendor, content, **(WORKFLOW if vendor == "hardwire" else {}))
            assert [event for event in told(reply.events) if event[0] != "reasoning"] == sees
        case Cannot():
            simulator = gateway.record(vendor).simulator
            assert simulator is not None
            assert [shows for shows in simulator.plays.values() if "cancel" in shows] == []


async def test_what_is_filtered_behind_its_text_is_completed_so(gateway: Five) -> None:
    gateway.record("chatbase").bend = swapped((b'"finishReason":"stop"', b'"finishReason":"content-filter"'))
    partly = await gateway.say("chatbase", "[play:documented]")
    assert told(partly.events) == [
        ("text", "Hello there"),
        ("usage", {"credits": 1.0}),
        ("completed", "content_filter"),
    ]
    wholly = await gateway.say("chatbase", "[play:paused]")
    assert (wholly.status, wholly.error["code"]) == (422, "content_filtered")


@every_vendor
async def test_unreadable_arguments_fail_the_message_where_the_client_must_run_the_tool(
    vendor: str, gateway: Five
) -> None:
    spoiled = UNREADABLE[vendor]
    gateway.record(vendor).bend = swapped(*spoiled.pairs)
    reply = await gateway.say(vendor, spoiled.content)
    assert told(reply.events) == spoiled.told


async def test_a_tool_call_that_is_cut_by_length_is_marked_so(gateway: Five) -> None:
    gateway.record("chatbase").bend = swapped(
        (b'"finishReason":"tool-calls"', b'"finishReason":"length"'),
        (b"tool-input-available", b"tool-input-unheard-of"),
    )
    reply = await gateway.say("chatbase", "[play:parallel-actions]")
    completed = reply.events[-1]
    assert isinstance(completed, MessageCompleted)
    assert (completed.finish_reason, completed.pending_tool_calls) == ("length", [])
    assert [event for event in told(reply.events) if event[0] == "tool_call"] == [
        ("tool_call", "lookupOrder", ("cut", '{"orderId":"42"}'), "unknown"),
        ("tool_call", "getWeather", ("cut", '{"city":"Kyiv"}'), "unknown"),
    ]


@every_vendor
async def test_an_event_that_comes_twice_is_told_once_where_the_vendor_numbers_them(vendor: str, gateway: Five) -> None:
    content, sees, is_noticed = REPEATED[vendor]
    reply = await gateway.say(vendor, content)
    assert told(reply.events) == sees
    notices = await gateway.samples("gateway_notices_total")
    assert (("vendor_sequence", vendor) in notices) is is_noticed

"""Conversations over all five vendors: listed, deleted, lost, answered for by mistake, and left in doubt."""

import msgspec
import pytest

from gateway.protocols.base import Reset, SimulatedRequest, Step
from gateway.protocols.base import Send as SendBytes
from gateway.protocols.registry import BUILT_IN
from tests.vendors.cases import AFTER_A_BREAK, DELETES, FOREIGN, FOUND, LINES, LOOKS, Cannot, lost, told
from tests.vendors.five import VENDORS, Five, broken_off, swapped

every_vendor = pytest.mark.parametrize("vendor", VENDORS)

ELSEWHERE_ID = b"00000000-0000-4000-8000-00000000dead"


def spoken(body: object) -> str:
    """The text that a vendor is sent, wherever it keeps it."""
    match body:
        case {"message": str(text)} | {"content": str(text)} | {"message": {"content": str(text)}}:
            return text
        case {"content": [{"text": str(text)}, *_]}:
            return text
    return ""


@every_vendor
async def test_a_conversation_that_is_created_first_begins_at_the_vendor_with_its_first_message(
    vendor: str, gateway: Five
) -> None:
    created = await gateway.ask("POST", "/v1/conversations", json={"title": "Order 42", "metadata": {"n": 1}})
    conversation = created.document["id"]
    assert (created.status, gateway.record(vendor).requests) == (201, [])
    assert (created.document["title"], created.document["metadata"]) == ("Order 42", {"n": 1})
    answered = (await gateway.say(vendor, "One", conversation_id=conversation, stream=False)).document
    assert gateway.record(vendor).lines == LINES[vendor][0]

    got = (await gateway.ask("GET", f"/v1/conversations/{conversation}")).document
    (binding,) = got["bindings"]
    assert (binding["vendor"], binding["vendor_ids"]) == (vendor, answered["vendor_ids"])
    listed = (await gateway.ask("GET", "/v1/conversations")).document
    assert [each["id"] for each in listed["data"]] == [conversation]
    messages = (await gateway.ask("GET", f"/v1/conversations/{conversation}/messages")).document
    question, answer = messages["data"]
    assert (question["role"], question["parts"]) == ("user", [{"type": "text", "text": "One"}])
    assert answer == answered


@every_vendor
async def test_a_conversation_is_deleted_at_the_vendor_too_where_that_can_be(vendor: str, gateway: Five) -> None:
    support = BUILT_IN[vendor].capabilities["delete_conversation"]
    first = await gateway.begin(vendor)
    ours = f"/v1/conversations/{first['conversation_id']}"
    theirs = LOOKS[vendor].format(first["vendor_ids"]["conversation"])
    record = gateway.record(vendor)
    assert gateway.look(vendor, theirs) == 200
    deleted = await gateway.ask("DELETE", ours)
    match DELETES[vendor]:
        case Cannot(path):
            assert (support, deleted.status, deleted.error["code"]) == ("no", 422, "unsupported")
            assert deleted.error["details"] == {"path": path, "vendors": [vendor]}
            assert (record.lines, gateway.look(vendor, theirs)) == ([], 200)
            assert (await gateway.ask("GET", ours)).status == 200
        case lines:
            assert (support, deleted.status, deleted.document["copies"]) == ("yes", 200, {vendor: "deleted"})
            assert (record.lines, gateway.look(vendor, theirs)) == (lines, 404)
            assert (await gateway.ask("GET", ours)).status == 404


@every_vendor
async def test_a_vendors_copy_can_be_kept(vendor: str, gateway: Five) -> None:
    first = await gateway.begin(vendor)
    deleted = await gateway.ask("DELETE", f"/v1/conversations/{first['conversation_id']}?copies=keep")
    assert (deleted.status, deleted.document["copies"]) == (200, {vendor: "kept"})
    assert gateway.record(vendor).lines == []
    assert gateway.look(vendor, LOOKS[vendor].format(first["vendor_ids"]["conversation"])) == 200
    assert (await gateway.say(vendor, "Two", conversation_id=first["conversation_id"])).status == 404


@every_vendor
async def test_a_conversation_that_the_vendor_has_lost_is_begun_there_anew(vendor: str, gateway: Five) -> None:
    first = await gateway.begin(vendor)
    before = first["vendor_ids"]["conversation"]
    record = gateway.record(vendor)
    record.instead = lost(vendor, before)
    reply = await gateway.say(vendor, "Two", conversation_id=first["conversation_id"], stream=False)
    assert (reply.status, reply.document["status"]) == (200, "completed")
    assert reply.document["vendor_ids"]["conversation"] != before
    assert record.lines == [*LINES[vendor][1], *LINES[vendor][0]]
    assert await gateway.samples("gateway_rebound_conversations_total") == {(vendor,): 1}
    record.requests.clear()
    third = await gateway.say(vendor, "Three", conversation_id=first["conversation_id"], stream=False)
    assert (third.status, record.lines) == (200, LINES[vendor][1])


@every_vendor
async def test_a_conversation_that_is_begun_anew_is_told_what_was_said(vendor: str, gateway: Five) -> None:
    first = await gateway.begin(vendor)
    record = gateway.record(vendor)
    record.instead = lost(vendor, first["vendor_ids"]["conversation"])
    await gateway.say(vendor, "Two", conversation_id=first["conversation_id"])
    text = "".join(part["text"] for part in first["parts"] if part["type"] == "text")
    assert spoken(record.bodies[-1]) == f"[Earlier in this conversation]\nuser: One\nassistant: {text}\n[Now]\nTwo"


@every_vendor
async def test_an_answer_for_another_conversation_fails_and_binds_nothing(vendor: str, gateway: Five) -> None:
    named = FOREIGN[vendor]
    first = await gateway.begin(vendor)
    ours, theirs = first["conversation_id"], first["vendor_ids"]["conversation"]
    record = gateway.record(vendor)
    if isinstance(named, Cannot):
        await gateway.say(vendor, "Two", conversation_id=ours)
        heard = b"".join(step.data for step in record.tellings[-1] if isinstance(step, SendBytes))
        assert theirs.encode() not in heard
        return
    record.bend = swapped((named % theirs.encode(), named % ELSEWHERE_ID))
    reply = await gateway.say(vendor, "Two", conversation_id=ours)
    code = told(reply.events)[-1][1] if reply.status == 200 else reply.error["code"]
    assert code == "upstream_protocol"
    (binding,) = (await gateway.ask("GET", f"/v1/conversations/{ours}")).document["bindings"]
    assert binding["vendor_ids"]["conversation"] == theirs
    record.bend = swapped()
    third = await gateway.say(vendor, "Three", conversation_id=ours, stream=False)
    assert third.document["vendor_ids"]["conversation"] == theirs


# --- a turn of which nobody knows whether the vendor has it


@every_vendor
async def test_the_turn_behind_a_broken_one_knows_what_the_vendor_knows(vendor: str, gateway: Five) -> None:
    support = BUILT_IN[vendor].capabilities["message_list"]
    outcome, lines = AFTER_A_BREAK[vendor]
    first = await gateway.begin(vendor)
    ours = first["conversation_id"]
    record = gateway.record(vendor)
    record.bend = broken_off(-3)
    broken = await gateway.say(vendor, "Broken", conversation_id=ours)
    record.bend = swapped()
    assert told(broken.events)[-1] == ("failed", "upstream_protocol", None)
    (binding,) = (await gateway.ask("GET", f"/v1/conversations/{ours}")).document["bindings"]
    assert binding["is_uncertain"]
    record.requests.clear()
    reply = await gateway.say(vendor, "Two", conversation_id=ours, stream=False)
    assert (reply.status, record.lines) == (200, lines)
    assert await gateway.samples("gateway_recoveries_total") == {(outcome, vendor): 1}
    if support == "yes":
        assert (spoken(record.bodies[-1]), record.has_heard("Broken")) == ("Two", False)
        assert reply.document["vendor_ids"]["conversation"] == first["vendor_ids"]["conversation"]
    else:
        assert spoken(record.bodies[-1]).startswith("[Earlier in this conversation]\nuser: One\nassistant: You asked")
        assert "\nuser: Broken\nassistant: You asked" in spoken(record.bodies[-1])
        assert reply.document["vendor_ids"]["conversation"] != first["vendor_ids"]["conversation"]
    (binding,) = (await gateway.ask("GET", f"/v1/conversations/{ours}")).document["bindings"]
    assert "is_uncertain" not in binding


@every_vendor
async def test_a_turn_that_never_reached_the_vendor_goes_along_with_the_next(vendor: str, gateway: Five) -> None:
    first = await gateway.begin(vendor)
    ours = first["conversation_id"]
    record = gateway.record(vendor)
    record.instead = lambda request: [Reset()] if b"Broken" in request.body else None
    broken = await gateway.say(vendor, "Broken", conversation_id=ours)
    assert (broken.status, broken.error["code"]) == (503, "upstream_unavailable")
    record.instead = lambda _: None
    record.requests.clear()
    reply = await gateway.say(vendor, "Two", conversation_id=ours, stream=False)
    outcome, lines = AFTER_A_BREAK[vendor]
    assert (reply.status, record.lines) == (200, lines)
    can_list = outcome == "confirmed"
    assert await gateway.samples("gateway_recoveries_total") == {("missed" if can_list else outcome, vendor): 1}
    text = "".join(part["text"] for part in first["parts"] if part["type"] == "text")
    earlier = "" if can_list else f"user: One\nassistant: {text}\n"
    assert spoken(record.bodies[-1]) == f"[Earlier in this conversation]\n{earlier}user: Broken\n[Now]\nTwo"


@every_vendor
async def test_a_conversation_whose_id_never_came_is_looked_for(vendor: str, gateway: Five) -> None:
    record = gateway.record(vendor)
    record.bend = broken_off(3)
    broken = await gateway.say(vendor, "Broken", user_id="ann")
    record.bend = swapped()
    (line,) = gateway.log.of("message")
    ours = line["conversation_id"]
    (binding,) = (await gateway.ask("GET", f"/v1/conversations/{ours}")).document["bindings"]
    match FOUND[vendor]:
        case Cannot():
            assert "conversation" in binding["vendor_ids"]
        case outcome, lines:
            assert told(broken.events)[-1] == ("failed", "upstream_protocol", None)
            assert "conversation" not in binding["vendor_ids"]
            record.requests.clear()
            reply = await gateway.say(vendor, "Two", conversation_id=ours, user_id="ann", stream=False)
            assert (reply.status, record.lines) == (200, lines)
            assert await gateway.samples("gateway_recoveries_total") == {(outcome, vendor): 1}
            assert msgspec.json.decode(record.requests[-1].body)["message"] == "Two"


def without_ids(_: SimulatedRequest, steps: list[Step]) -> list[Step]:
    """A stream that ends well, and never says which conversation it is."""
    return [step for step in steps if not (isinstance(step, SendBytes) and b"conversationId" in step.data)]


@pytest.mark.parametrize(
    ("user", "outcome", "said"),
    [
        ({}, "abandoned", "[Earlier in this conversation]\nuser: One\nassistant: {}\n[Now]\nTwo"),
        ({"user_id": "ann"}, "confirmed", "Two"),
    ],
    ids=["nobody's", "ann's"],
)
async def test_a_turn_that_completed_though_the_id_never_came_is_known_to_the_next(
    user: dict[str, str], outcome: str, said: str, gateway: Five
) -> None:
    record = gateway.record("chatbase")
    record.bend = without_ids
    first = await gateway.begin("chatbase", **user)
    assert (first["status"], "conversation" in first["vendor_ids"]) == ("completed", False)
    record.bend = swapped()
    second = await gateway.say("chatbase", "Two", conversation_id=first["conversation_id"], stream=False, **user)
    assert (second.status, "conversation" in second.document["vendor_ids"]) == (200, True)
    assert spoken(record.bodies[-1]) == said.format(first["parts"][0]["text"])
    assert await gateway.samples("gateway_recoveries_total") == {(outcome, "chatbase"): 1}


async def test_a_copy_that_cannot_be_named_is_not_told_to_be_deleted(gateway: Five) -> None:
    record = gateway.record("chatbase")
    record.bend = broken_off(3)
    await gateway.say("chatbase", "Broken")
    (line,) = gateway.log.of("message")
    deleted = await gateway.ask("DELETE", f"/v1/conversations/{line['conversation_id']}")
    assert (deleted.status, deleted.error["code"]) == (422, "unsupported")


async def test_what_could_be_somebody_elses_is_not_looked_for(gateway: Five) -> None:
    record = gateway.record("chatbase")
    record.bend = broken_off(3)
    await gateway.say("chatbase", "Broken")
    record.bend = swapped()
    record.requests.clear()
    (line,) = gateway.log.of("message")
    reply = await gateway.say("chatbase", "Two", conversation_id=line["conversation_id"], stream=False)
    assert (reply.status, record.lines) == (200, ["POST /agents/demo-agent/chat"])
    assert await gateway.samples("gateway_recoveries_total") == {("abandoned", "chatbase"): 1}
    assert spoken(record.bodies[-1]).startswith("[Earlier in this conversation]\nuser: Broken\n")

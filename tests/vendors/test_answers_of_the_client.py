"""What a client answers to a vendor that waits: results of its tools, a person's answers and approvals."""

from typing import Any

import pytest

from gateway.protocols.base import Head, Script, Send
from tests.vendors.cases import told
from tests.vendors.five import VENDORS, Five

REFUND = "7a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
WORKFLOW_ID = "3f0b6a52-5a0e-4c3b-9b0a-0c1d2e3f4a5b"


async def test_results_of_the_clients_tools_are_handed_in_and_the_answer_goes_on(gateway: Five) -> None:
    first = await gateway.begin("chatbase", "[play:parallel-actions]")
    assert (first["finish_reason"], first["pending_tool_calls"]) == ("tool_calls", ["call_1", "call_2"])
    results = [
        {"type": "tool_result", "tool_call_id": "call_1", "output": {"state": "shipped"}},
        {"type": "tool_result", "tool_call_id": "call_2", "output": "no sun", "is_error": True},
    ]
    reply = await gateway.say("chatbase", results, conversation_id=first["conversation_id"])
    (_, text), *_, ending = told(reply.events)
    assert text.startswith('The tools say {"state":"shipped"}')
    assert ending == ("completed", "stop")
    handed_in = "POST /agents/demo-agent/conversations/*/tool-result"
    late = [handed_in] * 2
    assert gateway.record("chatbase").lines == [*late, *late, "POST /agents/demo-agent/chat"]


LIMITED: Script = [Head(429, {"Content-Type": "application/json"}), Send(b"{}")]
UNAVAILABLE: Script = [Head(503, {"Content-Type": "application/json"}), Send(b"{}")]


@pytest.mark.parametrize("refused", [LIMITED, UNAVAILABLE], ids=["429", "503"])
async def test_a_result_is_handed_in_again_where_the_turn_failed_behind_it(refused: Script, gateway: Five) -> None:
    first = await gateway.begin("chatbase-hasty", "[play:client-action]")
    result = [{"type": "tool_result", "tool_call_id": "call_1", "output": {"state": "shipped"}}]
    record = gateway.record("chatbase")
    record.instead = lambda request: refused if request.path.endswith("/chat") else None
    failed = await gateway.say("chatbase-hasty", result, conversation_id=first["conversation_id"])
    assert failed.status in {429, 503}
    record.instead = lambda _: None
    record.requests.clear()
    reply = await gateway.say("chatbase-hasty", result, conversation_id=first["conversation_id"])
    assert told(reply.events)[0] == ("text", 'The tools say {"state":"shipped"}.')
    *_, listed, chat = record.lines
    assert (listed, chat) == ("GET /agents/demo-agent/conversations/*/messages", "POST /agents/demo-agent/chat")


async def test_a_result_of_a_call_that_there_is_not_is_refused(gateway: Five) -> None:
    result = [{"type": "tool_result", "tool_call_id": "call_1", "output": 1}]
    reply = await gateway.say("chatbase", result)
    assert (reply.status, reply.error["code"], reply.error["details"]) == (400, "bad_request", {"path": "$.content[0]"})
    first = await gateway.begin("chatbase")
    reply = await gateway.say("chatbase", result, conversation_id=first["conversation_id"])
    assert (reply.status, reply.error["code"]) == (502, "upstream_not_found")
    assert reply.error["vendor_code"] == "RESOURCE_TOOL_CALL_NOT_FOUND"


@pytest.mark.parametrize(
    ("play", "answer", "said"),
    [
        ("feedback", {"text": "The first"}, "You said: The first."),
        ("approval", {"approved": True, "values": {"amount": 600}}, 'The refund is approved with {"amount":600}.'),
        ("approval", {"approved": False, "text": "Too much"}, "The refund is declined (Too much)."),
    ],
)
async def test_a_run_that_waits_is_answered_and_goes_on(
    play: str, answer: dict[str, Any], said: str, gateway: Five
) -> None:
    first = await gateway.begin("dynamiq", f"[play:{play}]")
    assert first["finish_reason"] == "input_required"
    (asked,) = [part for part in first["parts"] if part["type"] == "input"]
    content = [{"type": "input_response", "request_id": asked["request_id"], **answer}]
    reply = await gateway.say("dynamiq", content, conversation_id=first["conversation_id"])
    assert told(reply.events) == [("text", said), ("completed", "stop")]
    assert gateway.record("dynamiq").lines == ["POST /v1/runs/*/input", "GET /v1/runs/*/stream"]
    gateway.record("dynamiq").requests.clear()
    third = await gateway.say("dynamiq", "Thanks", conversation_id=first["conversation_id"])
    assert (third.status, gateway.record("dynamiq").lines) == (200, ["POST /v3/conversations/*/messages"])


async def test_an_approval_goes_to_the_run_that_asked_for_it_though_another_was_the_last(gateway: Five) -> None:
    first = await gateway.begin("dynamiq", "[play:approval]")
    ours, run = first["conversation_id"], first["vendor_ids"]["run"]
    (asked,) = [part for part in first["parts"] if part["type"] == "input"]
    second = await gateway.say("dynamiq", "What is this?", conversation_id=ours, stream=False)
    assert (second.status, second.document["vendor_ids"]["run"] != run) == (200, True)
    record = gateway.record("dynamiq")
    record.requests.clear()
    content = [{"type": "input_response", "request_id": asked["request_id"], "approved": True}]
    reply = await gateway.say("dynamiq", content, conversation_id=ours)
    assert told(reply.events) == [("text", "The refund is approved."), ("completed", "stop")]
    assert [request.path for request in record.requests] == [f"/v1/runs/{run}/input", f"/v1/runs/{run}/stream"]
    assert record.requests[-1].query == {"after_sequence": first["vendor_ids"]["sequence"]}


async def test_a_question_without_a_call_of_its_own_is_answered_by_the_next_message(gateway: Five) -> None:
    first = await gateway.begin("sema4", "[play:user-input]")
    (asked,) = [part for part in first["parts"] if part["type"] == "input"]
    content = [{"type": "input_response", "request_id": asked["request_id"], "text": "In 2026"}]
    reply = await gateway.say("sema4", content, conversation_id=first["conversation_id"])
    assert told(reply.events)[-1] == ("completed", "stop")
    assert gateway.record("sema4").bodies == [{"content": "In 2026"}]


@pytest.mark.parametrize("vendor", ["chatbase", "dimedove", "hardwire"])
async def test_an_answer_to_a_question_goes_as_text_where_there_is_no_call_for_it(vendor: str, gateway: Five) -> None:
    content = [{"type": "input_response", "request_id": "input_0", "approved": True, "text": "Do it"}]
    first = await gateway.begin(vendor)
    reply = await gateway.say(vendor, content, conversation_id=first["conversation_id"])
    assert told(reply.events)[-1] == ("completed", "stop")
    assert gateway.record(vendor).has_heard("Approved. Do it")


# --- options, and who asks


async def test_an_option_of_dynamiq_reaches_it(gateway: Five) -> None:
    await gateway.say("dynamiq", "Hi", vendor_options={"dynamiq": {"subagents_enabled": True}})
    assert gateway.record("dynamiq").bodies[-1]["subagents_enabled"] is True


async def test_an_option_of_hardwire_starts_its_workflow(gateway: Five) -> None:
    reply = await gateway.say("hardwire", "Hi", vendor_options={"hardwire": {"workflow_id": WORKFLOW_ID}})
    assert told(reply.events)[-1] == ("completed", "stop")
    assert gateway.record("hardwire").lines == [
        "POST /chats/*/messages",
        "GET /chats/*/workflow-runs/*/stream",
    ]
    assert gateway.record("hardwire").bodies[0]["workflowId"] == WORKFLOW_ID


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_option_that_a_protocol_does_not_have_is_refused_with_its_path(vendor: str, gateway: Five) -> None:
    reply = await gateway.say(vendor, "Hi", vendor_options={vendor: {"base_url": "http://127.0.0.2/"}})
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    assert reply.error["details"]["path"].startswith(f"$.vendor_options.{vendor}")
    assert (b"127.0.0.2" in reply.body, gateway.record(vendor).requests) == (False, [])


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_option_of_another_protocol_changes_nothing(vendor: str, gateway: Five) -> None:
    other = "hardwire" if vendor == "dynamiq" else "dynamiq"
    option = {"hardwire": {"workflow_id": WORKFLOW_ID}, "dynamiq": {"subagents_enabled": True}}[other]
    reply = await gateway.say(vendor, "Hi", vendor_options={other: option})
    assert reply.status == 200
    assert not gateway.record(vendor).has_heard("subagents")
    assert not gateway.record(vendor).has_heard("workflowId")


@pytest.mark.parametrize("user_id", ["ann@example.com", "Анна", "a" * 200, "a b/c?d#e"])
@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_user_id_that_a_vendor_would_refuse_is_one_that_it_takes(
    vendor: str, user_id: str, gateway: Five
) -> None:
    replies = [await gateway.say(vendor, "Hi", user_id=user_id) for _ in range(2)]
    assert [reply.status for reply in replies] == [200, 200]
    bodies = gateway.record(vendor).bodies
    if vendor == "chatbase":
        first, second = (body["userId"] for body in bodies)
        assert first == second != user_id
    elif vendor == "dimedove":
        assert [body["external_user_id"] for body in bodies if "external_user_id" in body] == [user_id] * 2
    else:
        assert not gateway.record(vendor).has_heard(user_id)

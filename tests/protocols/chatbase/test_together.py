"""The translator against the simulator, which shares no code with it: every request is one that the vendor takes."""

from typing import Any
from urllib.parse import unquote

import pytest
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Event, MessageCanceled, MessageCompleted, Notice
from gateway.canonical.message import TextPart, ToolResultPart
from gateway.canonical.turn import AskPart, Turn
from gateway.framing.record import MAX_RECORD
from gateway.protocols.base import Credentials, Head, Script, Send, SimulatedRequest, VendorRequest, VendorResponse
from gateway.protocols.chatbase import CHATBASE
from gateway.protocols.chatbase.simulator import PLAYS, REFUSALS, ChatbaseSimulator
from gateway.protocols.chatbase.translator import ChatbaseTarget, ChatbaseTranslator


def headers_of(translator: ChatbaseTranslator) -> dict[str, str]:
    with pytest.raises(StopIteration) as signed:
        next(translator.authorize(Credentials({"api_key": "k"}), None))
    headers: dict[str, str] = signed.value.value.headers
    return headers


def carry(simulator: ChatbaseSimulator, request: VendorRequest, headers: dict[str, str]) -> Script:
    assert isinstance(request.body, bytes)
    every = CIMultiDict({**headers, **request.headers})
    return list(simulator.answer(SimulatedRequest(request.method, unquote(request.path), every, {}, request.body)))


def talk(
    simulator: ChatbaseSimulator, parts: list[AskPart], ids: dict[str, str], **fields: Any
) -> tuple[list[Event | Notice], dict[str, str]]:
    """One turn, as the relay plays it: what was told, and the binding after it."""
    target = ChatbaseTarget("5QHA6VB", upstream_stream=fields.get("stream", True))
    translator = ChatbaseTranslator(target, Blocks(Numbering()))
    headers = headers_of(translator)
    calls = translator.requests(Turn(parts, new_id=lambda: "new", vendor_ids=ids, **fields))
    told: list[Event | Notice] = []
    request: VendorRequest | None = next(calls)
    while request is not None:
        head, *steps = carry(simulator, request, headers)
        assert isinstance(head, Head)
        body = b"".join(step.data for step in steps if isinstance(step, Send))
        if head.status >= 300 and head.status not in request.own_statuses:
            raise translator.refuse(head.status, CIMultiDict(head.headers), body)
        if request.framing is not None:
            framing = request.framing(MAX_RECORD)
            for record in [*framing.feed(body), *framing.end()]:
                told += translator.feed(record)
            body = b""
        try:
            request = calls.send(VendorResponse(head.status, CIMultiDict(head.headers), body))
        except StopIteration:
            request = None
    return [*told, *translator.finish()], translator.vendor_ids


ENDS_WELL = sorted(name for name, play in PLAYS.items() if play.ends and play.finish != "error")


@pytest.mark.parametrize("name", ENDS_WELL)
@pytest.mark.parametrize("stream", [True, False])
def test_each_play_that_ends_well_is_completed_and_binds_the_conversation(*, name: str, stream: bool) -> None:
    told, ids = talk(ChatbaseSimulator(name), [TextPart("hi")], {}, stream=stream, user_id="ann@example.com")
    assert isinstance([event for event in told if not isinstance(event, Notice)][-1], MessageCompleted)
    assert ids["conversation"] == "40f838c7-5ee0-5b89-956d-9d22cfd1107f"


@pytest.mark.parametrize("name", sorted(set(PLAYS) - set(ENDS_WELL) - {"abort"}))
def test_each_play_that_ends_badly_is_a_failure(name: str) -> None:
    with pytest.raises(GatewayError):
        talk(ChatbaseSimulator(name), [TextPart("hi")], {})


def test_an_abort_is_canceled() -> None:
    told, _ = talk(ChatbaseSimulator("abort"), [TextPart("hi")], {})
    assert [event for event in told if not isinstance(event, Notice)][-1] == MessageCanceled("vendor")


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_each_refusal_is_a_failure_with_the_vendors_code(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        talk(ChatbaseSimulator(name), [TextPart("hi")], {})
    error = caught.value
    assert (error.vendor_status, error.vendor_code, error.vendor_request_id, error.retry_after) == (
        REFUSALS[name].status,
        REFUSALS[name].code,
        "req_1",
        3.0 if name == "rate-limit" else None,
    )


def test_a_client_action_is_carried_to_its_end() -> None:
    simulator = ChatbaseSimulator("client-action")
    _, ids = talk(simulator, [TextPart("Where is order 42?")], {})
    told, after = talk(simulator, [ToolResultPart("call_1", {"status": "shipped"})], ids)
    assert told[-1] == MessageCompleted("stop", "stop")
    assert after["conversation"] == ids["conversation"]


def test_a_tool_result_that_nobody_waits_for_is_not_found() -> None:
    simulator = ChatbaseSimulator("documented")
    _, ids = talk(simulator, [TextPart("hi")], {})
    with pytest.raises(GatewayError) as caught:
        talk(simulator, [ToolResultPart("call_9", 1)], ids)
    assert (caught.value.code, caught.value.vendor_code) == ("upstream_not_found", "RESOURCE_TOOL_CALL_NOT_FOUND")


def test_the_descriptor_makes_both() -> None:
    assert CHATBASE.translator is ChatbaseTranslator
    assert CHATBASE.simulator is ChatbaseSimulator

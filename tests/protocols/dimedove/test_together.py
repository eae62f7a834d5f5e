"""The translator against the simulator, which shares no code with it: every request is one that the vendor takes.

Each message is played by the relay's own core, so that what comes out obeys the laws.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.events import MessageCompleted, ToolCallCompleted, ToolResult
from gateway.canonical.message import DataPart, TextPart, ToolCallPart, ToolResultPart
from gateway.protocols.base import (
    Calls,
    Clue,
    Credentials,
    Head,
    NewConversation,
    Reset,
    Script,
    Send,
    VendorMessage,
    VendorRequest,
)
from gateway.protocols.dimedove import DIMEDOVE
from gateway.protocols.dimedove.conversations import DimedoveConversations
from gateway.protocols.dimedove.plays import PLAYS, REFUSALS
from gateway.protocols.dimedove.simulator import DimedoveSimulator
from gateway.protocols.dimedove.translator import DimedoveTarget, DimedoveTranslator
from gateway.routing.plan import Deadlines, Target
from tests.support.play import SILENCE, Played, Question, Vendor, body_of, check, cut, play, simulated, whole
from tests.support.simulating import Meeting

T = TypeVar("T")

FIRST = "550e8400-e29b-41d4-a716-446655440000"
BOUND = {"conversation": FIRST}
DEADLINES = Deadlines(connect=1, first_event=10, idle=3, total=60)
MODES = ("stream", "assembled", "document")
"""The client streams; it wants a document of what the vendor streams; the vendor is asked for a document too."""

FAILURES = {
    "failed": "upstream_unavailable",
    "failed-silently": "upstream_unavailable",
    "failed-document": "upstream_unavailable",
    "error-event": "upstream_unavailable",
    "cut": "upstream_protocol",
    "nothing": "upstream_empty",
}
REFUSED = {
    "invalid-key": "upstream_auth",
    "credits": "quota_exhausted",
    "access-denied": "upstream_auth",
    "app-inactive": "upstream_unavailable",
    "agent-unavailable": "upstream_unavailable",
    "not-found": "upstream_not_found",
    "rate-limit": "upstream_rate_limited",
    "internal": "upstream_unavailable",
    "bad-request": "upstream_rejected",
    "unprocessable": "upstream_rejected",
}


def talk(vendor: Vendor, mode: str = "stream", ids: Mapping[str, str] = {}, text: str = "Is it here?") -> Played:
    settings = DimedoveTarget("app_1", upstream_stream=mode != "document")
    target = Target("acme", "dimedove", settings, DEADLINES)
    question = Question(DimedoveTranslator, (TextPart(text),), vendor_ids=ids, stream=mode == "stream")
    played = play(question, vendor, targets=(target,), credentials=Credentials({"api_key": "k"}))
    check(played)
    return played


def expected(name: str, mode: str) -> str | None:
    """An event that no document has a place for fails none."""
    return None if (name, mode) == ("error-event", "document") else FAILURES.get(name)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["", *sorted(PLAYS)])
def test_each_play_ends_as_it_says(name: str, mode: str) -> None:
    played = talk(simulated(DimedoveSimulator(name)), mode)
    assert played.code == expected(name, mode)
    assert played.core.attempts[-1].vendor_ids["conversation"] == FIRST
    if played.code is None:
        ending = played.log[-1]
        assert isinstance(ending, MessageCompleted)
        assert (ending.finish_reason, ending.pending_tool_calls) == ("stop", [])


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_each_refusal_is_a_failure(name: str) -> None:
    played = talk(simulated(DimedoveSimulator(name)))
    error = played.core.error
    assert error is not None
    said: Any = REFUSALS[name].body.get("error", {})
    assert (error.code, error.vendor_status, error.vendor_code) == (
        REFUSED[name],
        REFUSALS[name].status,
        said.get("type"),
    )


def results(played: Played) -> list[tuple[str, Any]]:
    return [(event.tool_call_id, event.output) for event in played.log if isinstance(event, ToolResult)]


IN_STOCK = ("call_1", {"sku": "sku_123", "in_stock": 4})
COLD = ("call_2", {"celsius": -4})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "gave"),
    [
        ("mapped-tool", [IN_STOCK]),
        ("mapped-tool-item", [IN_STOCK]),
        ("both", [IN_STOCK]),
        ("parallel-tools", [IN_STOCK, COLD]),
        ("client-tool", []),
        ("malformed-arguments", []),
        ("text", []),
    ],
)
def test_what_the_tools_gave_is_told_before_the_end(name: str, gave: list[tuple[str, Any]], mode: str) -> None:
    played = talk(simulated(DimedoveSimulator(name)), mode)
    assert results(played) == gave
    calls = [event for event in played.log if isinstance(event, ToolCallCompleted)]
    assert len(played.requests) == (3 if calls else 2)


def test_only_this_turns_tools_are_told() -> None:
    simulator = DimedoveSimulator("mapped-tool")
    talk(simulated(simulator))
    again = talk(simulated(simulator), ids=BOUND)
    assert results(again) == [("call_2", {"sku": "sku_123", "in_stock": 4})]
    assert again.core.attempts[-1].vendor_ids == {**BOUND, "run": "resp_2", "message": "item_4"}


@pytest.mark.parametrize(
    "script",
    [
        [Head(404, {"Content-Type": "application/json"}), Send(b'{"error":{"type":"not_found"}}')],
        [Head(500), Send(b"<html>")],
        [Head(302, {"Location": "/"})],
        [Head(200, {"Content-Type": "text/html"}), Send(b"<html>")],
        [Head(200, {"Content-Type": "application/json"}), Send(b'{"items":'), Reset()],
        [Reset()],
        [SILENCE],
        [],
    ],
)
def test_tools_whose_outputs_cannot_be_fetched_fail_nothing(script: Script) -> None:
    vendor = simulated(DimedoveSimulator("mapped-tool"))

    def answer(request: VendorRequest, headers: Mapping[str, str]) -> Script:
        return script if request.method == "GET" else vendor(request, headers)

    played = talk(answer)
    assert (played.code, results(played)) == (None, [])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["text", "mapped-tool", "generative-ui", "types-only", "document"])
def test_an_answer_that_is_cut_is_never_completed(name: str, mode: str) -> None:
    vendor = simulated(DimedoveSimulator(name))
    _, message, *_ = scripts = record(vendor, mode)
    for at in range(0, len(body_of(message)) - 2, 7):
        left = iter([scripts[0], cut(message, at), *scripts[2:]])
        assert talk(lambda *_, left=left: next(left), mode).code in {"upstream_protocol", "upstream_empty"}


def record(vendor: Vendor, mode: str) -> list[Any]:
    recorded: list[Any] = []

    def answer(request: VendorRequest, headers: Mapping[str, str]) -> Script:
        recorded.append(vendor(request, headers))
        return whole(recorded[-1])

    talk(answer, mode)
    return recorded


def test_a_conversation_goes_on() -> None:
    simulator = DimedoveSimulator()
    first = talk(simulated(simulator))
    ids = first.core.attempts[-1].vendor_ids
    second = talk(simulated(simulator), ids=ids)
    assert [request.path for request in second.requests] == [f"/apps/app_1/conversations/{FIRST}"]
    assert second.core.attempts[-1].vendor_ids == {**BOUND, "run": "resp_2"}


# --- beside messages


def run(simulator: DimedoveSimulator, calls: Calls[T]) -> T:
    """What a port's call comes to."""
    translator = DimedoveTranslator(DimedoveTarget("app_1"), Blocks(Numbering()))
    return Meeting(simulator, translator, Credentials({"api_key": "k"})).follow(calls)


def test_a_conversation_is_created_read_and_deleted() -> None:
    simulator = DimedoveSimulator("mapped-tool")
    port = DimedoveConversations("app_1")
    ids = run(simulator, port.create(NewConversation("Orders", lambda: "new", "ann", {"a": 1})))
    assert ids == BOUND
    talk(simulated(simulator), ids=ids)
    talk(simulated(simulator), ids=ids, text="[play:generative-ui] and?")
    messages = run(simulator, port.messages(ids))
    assert messages[:2] == [
        VendorMessage("user", "Is it here?", "item_1", [TextPart("Is it here?")]),
        VendorMessage(
            "assistant",
            "Yes, 4 left.",
            "item_2",
            [
                ToolCallPart("call_1", "check_inventory", {"product_id": "sku_123"}, executor="vendor"),
                ToolResultPart("call_1", {"sku": "sku_123", "in_stock": 4}, name="check_inventory"),
                TextPart("Yes, 4 left."),
            ],
        ),
    ]
    assert [type(part) for part in messages[3].parts] == [TextPart, DataPart, DataPart, DataPart]
    run(simulator, port.delete(ids))
    run(simulator, port.delete(ids))
    assert run(simulator, port.find(Clue("Is it here?", datetime.fromtimestamp(0, UTC), "ann"))) == {}


def test_a_lost_conversation_is_found() -> None:
    simulator = DimedoveSimulator()
    port = DimedoveConversations("app_1")
    for number in range(3):
        ids = run(simulator, port.create(NewConversation("Orders", lambda: "new", "ann" if number else None)))
        talk(simulated(simulator), ids=ids, text=f"Question {number}")
    since = datetime.fromtimestamp(1709712000, UTC)
    clue = Clue("Question 1", since, "ann")
    assert run(simulator, port.find(clue)) == {"conversation": "550e8400-e29b-41d4-a716-446655440001"}
    assert run(simulator, port.find(replace(clue, user_id=None))) == {}
    assert run(simulator, port.find(Clue("Question 0", since))) == BOUND
    assert run(simulator, port.find(Clue("Question 0", datetime.fromtimestamp(1709712001, UTC)))) == {}


def test_the_descriptor_makes_both() -> None:
    assert DIMEDOVE.translator is DimedoveTranslator
    assert DIMEDOVE.simulator is DimedoveSimulator

"""Every official client in front of several vendors reads what our own stream says, and asks once where it fails."""

import json
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.acceptance.speakers import SPEAKERS, Clients, Speaker
from tests.acceptance.strangers import Gateway, Told

pytestmark = pytest.mark.acceptance

LOOK_UP = {
    "name": "lookupOrder",
    "description": "Looks up an order.",
    "parameters": {"type": "object", "properties": {"orderId": {"type": "string"}}, "required": ["orderId"]},
}
QUICK = {"hardwire": "[play:documented]", "chatbase": "[play:documented]", "openai_responses": "[play:hello]"}
"""Routes, and what is answered without the pace of a person who types."""
SHOW_RESULTS = {"ai_sdk", "ag_ui"}
"""Dialects that tell what a tool of the vendor's returned."""


class Refused(NamedTuple):
    """A message that is refused before an answer begins, and how those clients that know a status learn of it."""

    route: str
    content: str
    code: str
    status: int


REFUSED = [
    Refused("hardwire", "[fault:status-503]", "upstream_unavailable", 503),
    Refused("limited", "[fault:status-429:600]", "upstream_rate_limited", 429),
    Refused("hardwire", "[play:bad-request]", "upstream_rejected", 400),
]


@pytest.fixture(params=SPEAKERS, ids=str)
def speaker(request: pytest.FixtureRequest) -> Speaker:
    found: Speaker = request.param
    return found


def written(output: Any) -> str:
    return msgspec.json.encode(output).decode()


def parsed(output: Any) -> Any:
    """A result is a value to some vendors and its JSON text to others."""
    try:
        return json.loads(output) if isinstance(output, str) else output
    except ValueError:
        return output


def named(calls: list[Told]) -> list[Told]:
    return [{"name": call["name"], "arguments": call["arguments"]} for call in calls]


@pytest.mark.parametrize(
    ("route", "content"),
    [
        ("hardwire", "[play:documented]"),
        ("chatbase", "Ünïcödé 🙂"),
        ("sema4", "[play:thought]"),
        ("anthropic", "[play:thinking]"),
        ("gemini", "[play:plain]"),
        ("openai_chat", "[play:length]"),
    ],
)
def test_an_answer_is_read_as_it_was_said(
    gateway: Gateway, clients: Clients, speaker: Speaker, route: str, content: str
) -> None:
    heard = gateway.heard(route, content)
    told = clients.ask(speaker, gateway, route, content)
    assert "error" not in told
    (turn,) = told["turns"]
    assert turn["text"] == heard.text
    assert turn["finish"] == speaker.spoken.finishes[heard.finish]
    if speaker.spoken.tells_reasoning:
        assert turn["reasoning"] == heard.reasoning
    if speaker.spoken.tells_usage and heard.usage is not None:
        assert turn["usage"] == heard.usage


@pytest.mark.parametrize(
    ("route", "content"),
    [
        ("chatbase", "[play:parallel-actions]"),
        ("openai_chat", "[play:parallel-calls]"),
        ("anthropic", "[play:two-tools]"),
        ("gemini", "[play:tools]"),
    ],
)
def test_two_calls_are_answered_and_the_answer_goes_on(
    gateway: Gateway, clients: Clients, speaker: Speaker, route: str, content: str
) -> None:
    """Chatbase's tools are its own, and a page names none; the other vendors are offered one."""
    offers = {"tools": [LOOK_UP]} if speaker.spoken.takes_tools and route != "chatbase" else {}
    heard = gateway.native(route, content, **offers)
    outputs = {call["name"]: {"sky": "clear", "number": number} for number, call in enumerate(heard.owed)}
    told = clients.ask(speaker, gateway, route, content, outputs=outputs, **offers)
    assert "error" not in told
    calling, answering = told["turns"]
    assert named(calling["calls"]) == heard.owed
    assert len({call["id"] for call in calling["calls"]}) == len(heard.pending) == 2
    assert calling["finish"] == speaker.spoken.finishes["tool_calls"]
    returned = [outputs[call["name"]] for call in heard.owed]
    results = [
        {
            "type": "tool_result",
            "tool_call_id": call_id,
            "output": output if speaker.spoken.takes_objects else written(output),
        }
        for call_id, output in zip(heard.pending, returned, strict=True)
    ]
    after = gateway.native(route, results, conversation_id=heard.conversation_id, **offers)
    assert (answering["text"], answering["calls"]) == (after.text, [])
    assert answering["finish"] == speaker.spoken.finishes[after.finish]


@pytest.mark.parametrize(
    ("route", "content"),
    [("chatbase", "[play:vendor-action]"), ("hardwire", "[play:documented-tool]"), ("sema4", "[play:tool]")],
)
def test_a_tool_that_the_vendor_runs_is_not_for_the_client(
    gateway: Gateway, clients: Clients, speaker: Speaker, route: str, content: str
) -> None:
    heard = gateway.heard(route, content)
    told = clients.ask(speaker, gateway, route, content)
    assert "error" not in told
    (turn,) = told["turns"]
    assert (turn["calls"], turn["text"]) == ([], heard.text)
    assert turn["finish"] == speaker.spoken.finishes["stop"]
    if speaker.dialect in SHOW_RESULTS:
        assert [parsed(result["output"]) for result in turn["results"]] == [parsed(output) for output in heard.results]


@pytest.mark.parametrize(
    ("route", "content"),
    [("hardwire", "[play:sources]"), ("openai_chat", "[play:annotations]"), ("gemini", "[play:grounded]")],
)
def test_sources_are_named(gateway: Gateway, clients: Clients, speaker: Speaker, route: str, content: str) -> None:
    heard = gateway.heard(route, content)
    told = clients.ask(speaker, gateway, route, content)
    assert "error" not in told
    (turn,) = told["turns"]
    assert heard.sources
    if speaker.spoken.tells_sources:
        assert list(dict.fromkeys(turn["sources"])) == list(dict.fromkeys(heard.sources))


@pytest.mark.parametrize("route", QUICK)
def test_a_client_that_sends_everything_again_is_recognised(
    gateway: Gateway, clients: Clients, speaker: Speaker, route: str
) -> None:
    turns = f"{QUICK[route]} I am {speaker}", f"{QUICK[route]} And who are you?"
    request_id = gateway.request_id()
    told = clients.ask(speaker, gateway, route, *turns, request_id=request_id)
    assert "error" not in told
    first, second = gateway.messages(2, request_id)
    assert (first["dialect"], second["dialect"]) == (speaker.dialect, speaker.dialect)
    assert first["conversation_id"] == second["conversation_id"]


@pytest.mark.parametrize("refused", REFUSED, ids=lambda refused: refused.code)
def test_a_refusal_is_raised_as_this_client_names_it_and_nothing_is_asked_twice(
    gateway: Gateway, clients: Clients, speaker: Speaker, refused: Refused
) -> None:
    """The vendor `limited` is then left alone for ten minutes, so that a later message is refused without asking it."""
    request_id = gateway.request_id()
    error = clients.ask(speaker, gateway, refused.route, refused.content, request_id=request_id)["error"]
    if speaker.spoken.errors:
        assert (error["kind"], error["status"]) == (speaker.spoken.errors[refused.status], refused.status)
    else:
        assert refused.code in error["message"]
    (line,) = gateway.messages(1, request_id)
    assert line["code"] == refused.code


@pytest.mark.parametrize(
    ("route", "content"),
    [("chatbase", "[play:error-text]"), ("hardwire", "[play:documented-error]"), ("openai_chat", "[play:error]")],
)
def test_an_answer_that_breaks_off_is_an_error(
    gateway: Gateway, clients: Clients, speaker: Speaker, route: str, content: str
) -> None:
    heard = gateway.heard(route, content)
    request_id = gateway.request_id()
    told = clients.ask(speaker, gateway, route, content, request_id=request_id)
    failed = "error" in told or told["turns"][-1].get("failed")
    assert failed, told
    if speaker.is_streaming:
        (turn,) = told["turns"]
        assert turn["text"] == heard.text
    assert len(gateway.messages(1, request_id)) == 1


def test_an_unknown_route_is_not_found(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    error = clients.ask(speaker, gateway, "nobody", "Hello")["error"]
    if speaker.spoken.errors:
        assert (error["kind"], error["status"]) == (speaker.spoken.errors[404], 404)
    else:
        assert "not_found" in error["message"] or "404" in error["message"]

"""OpenAI chat's translator against its simulator: both were written from its documentation, apart from each other."""

from pathlib import Path
from typing import Any

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageCompleted, ReasoningCompleted, Source, TextCompleted, ToolCallCompleted
from gateway.canonical.message import ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from gateway.canonical.turn import HistoryMessage, Parameters, Tool
from gateway.protocols.base import Credentials
from gateway.protocols.openai_chat import OPENAI_CHAT
from gateway.protocols.openai_chat.plays import PLAYS, REFUSALS
from gateway.protocols.openai_chat.servers import SERVERS
from gateway.protocols.openai_chat.simulator import ChatSimulator
from gateway.protocols.openai_chat.translator import ChatTarget, ChatTranslator
from gateway.protocols.registry import BUILT_IN
from gateway.settings import SettingsError, load
from tests.support.simulating import Meeting
from tests.support.translating import lawful

ENDINGS = {
    "": "stop",
    "reasoning": "stop",
    "reasoning-field": "stop",
    "reasoning-details": "stop",
    "thinking-parts": "stop",
    "think-tags": "stop",
    "tool-call": "tool_calls",
    "parallel-calls": "tool_calls",
    "whole-calls": "tool_calls",
    "calls-without-index": "tool_calls",
    "executed-tools": "stop",
    "cut-call": "length",
    "citations": "stop",
    "annotations": "stop",
    "prompt-filter": "stop",
    "image": "stop",
    "usage-with-finish": "stop",
    "no-done": "stop",
    "no-finish": "stop",
    "heartbeats": "stop",
    "length": "length",
    "content-filter": "content_filter",
    "refusal": "content_filter",
    "cut": "upstream_protocol",
    "error": "upstream_unavailable",
    "error-quota": "quota_exhausted",
    "error-event": "upstream_protocol",
    "error-beside-choices": "upstream_unavailable",
    "error-after-finish": "upstream_unavailable",
    "error-finish": "upstream_unavailable",
    "error-flat": "upstream_unavailable",
    "invalid-key": "upstream_auth",
    "forbidden": "upstream_auth",
    "model-not-found": "upstream_not_found",
    "rate-limited": "upstream_rate_limited",
    "rate-limited-reset": "upstream_rate_limited",
    "quota": "quota_exhausted",
    "no-credits": "quota_exhausted",
    "too-long": "context_too_long",
    "too-long-flat": "context_too_long",
    "filtered": "content_filtered",
    "overloaded": "upstream_unavailable",
    "server-error": "upstream_unavailable",
    "bad-gateway": "upstream_unavailable",
}


def meet(play: str = "", key: str = "k", **settings: Any) -> Meeting[ChatTranslator]:
    translator = ChatTranslator(ChatTarget("gpt", **settings), Blocks(Numbering()))
    return Meeting(ChatSimulator(play), translator, Credentials({"api_key": key} if key else {}))


def ending(meeting: Meeting[ChatTranslator], *, stream: bool) -> str:
    try:
        told = meeting.talk([TextPart("Explain it")], stream=stream)
    except GatewayError as error:
        return error.code
    assert lawful(told)
    assert isinstance(told[-1], MessageCompleted)
    return told[-1].finish_reason


def test_every_play_has_an_ending() -> None:
    assert set(ENDINGS) == {"", *PLAYS, *REFUSALS}


@pytest.mark.parametrize("play", ENDINGS)
def test_the_translator_understands_what_the_simulator_streams(play: str) -> None:
    assert ending(meet(play, think_tags=True), stream=True) == ENDINGS[play]


@pytest.mark.parametrize("play", ENDINGS)
def test_the_translator_understands_the_same_as_a_document(play: str) -> None:
    document = {**ENDINGS, "cut": "stop"}  # a document that is whole is an answer
    assert ending(meet(play, think_tags=True, upstream_stream=False), stream=False) == document[play]


@pytest.mark.parametrize("server", SERVERS)
def test_every_server_is_asked_in_a_way_that_the_simulator_takes(server: Any) -> None:
    meeting = meet(server=server)
    tools = [Tool("pay")] if SERVERS[server].takes_tools else []
    said = [
        HistoryMessage("user", [TextPart("Pay!")]),
        HistoryMessage("assistant", [ReasoningPart("Hm"), ToolCallPart("call_a", "pay", {}, executor="client")]),
        HistoryMessage("tool", [ToolResultPart("call_a", {"ok": True})]),
        HistoryMessage("assistant", [TextPart("Paid.")]),
    ]
    parameters = Parameters(0.5, 0.9, 100, ["."], 7, reasoning_effort="low")
    told = meeting.talk(
        missed=said, instructions="Be brief", tools=tools, parameters=parameters, user_id="ann", stream=True
    )
    assert isinstance(told[-1], MessageCompleted)


def test_results_of_tools_are_answered() -> None:
    first = meet("tool-call")
    told = first.talk(tools=[Tool("pay")])
    (call,) = [event for event in told if isinstance(event, ToolCallCompleted)]
    assert (call.name, call.arguments) == ("pay", {"city": "Oslo"})
    asked = HistoryMessage("user", [TextPart("Pay!")])
    called = HistoryMessage(
        "assistant", [ToolCallPart(call.tool_call_id, call.name, call.arguments, executor="client")]
    )
    again = meet().talk([ToolResultPart(call.tool_call_id, "12 degrees")], missed=[asked, called])
    assert [event.text for event in again if isinstance(event, TextCompleted)] == ["The tools say 12 degrees."]


def test_reasoning_and_sources_are_told() -> None:
    told = meet("reasoning-details").talk()
    assert [event.text for event in told if isinstance(event, ReasoningCompleted)] == ["Let me think."]
    assert len([event for event in meet("citations").talk() if isinstance(event, Source)]) == 2


@pytest.mark.parametrize(("key", "model"), [("invalid", "gpt"), ("k", "unknown-model")])
def test_a_wrong_key_and_a_wrong_model_are_refused(key: str, model: str) -> None:
    translator = ChatTranslator(ChatTarget(model), Blocks(Numbering()))
    meeting = Meeting(ChatSimulator(), translator, Credentials({"api_key": key}))
    with pytest.raises(GatewayError) as caught:
        meeting.talk()
    assert caught.value.code == ("upstream_auth" if key == "invalid" else "upstream_not_found")
    assert caught.value.vendor_request_id == "req_1"


def test_a_server_without_accounts_needs_no_key() -> None:
    translator = ChatTranslator(ChatTarget("local", "ollama"), Blocks(Numbering()))
    assert Meeting(ChatSimulator(), translator, Credentials({})).talk()


LOCAL = """
[vendors.local]
protocol = "openai_chat"
base_url = "http://127.0.0.1:11434/v1"
[routes.local]
targets = [{ vendor = "local", model = "llama"%s }]
"""


def test_a_configuration_without_the_key_that_its_server_needs_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(LOCAL % "")
    with pytest.raises(SettingsError) as caught:
        load(file, BUILT_IN, environ={})
    (problem,) = caught.value.problems
    assert problem == (
        'gateway.toml: routes.local.targets[0]: server = "openai" needs the credential `api_key` at its vendor; '
        'those without are "vllm", "ollama", "lm_studio", "compatible"'
    )
    file.write_text(LOCAL % ', server = "ollama"')
    assert load(file, BUILT_IN, environ={}).routes


def test_the_descriptor_makes_them_all() -> None:
    assert OPENAI_CHAT.translator is ChatTranslator
    assert OPENAI_CHAT.simulator is ChatSimulator

"""Servers that others wrote, as vendors of the gateway: the AI SDK's `streamText`, Pydantic AI's adapters, LiteLLM.

Their models are mocks that obey a word (see `node/streaming_server.js`, `servers/`); the rest runs as in production.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.conftest import written
from tests.acceptance.strangers import Gateway, LiteLlm, Server, Told, Vendor, configuration, node, python

pytestmark = pytest.mark.acceptance

LOOK_UP = {
    "name": "lookUp",
    "description": "Looks up an order.",
    "parameters": {"type": "object", "properties": {"order_id": {"type": "string"}}},
}
ENDS = {"streaming": "stop", "pydantic_ai_sdk": "other", "pydantic_ag_ui": "stop"}
"""A model that gives no reason leaves `finish` without one, which is no `stop`."""
CHATS = list(ENDS)
CALLED: Told = {"name": "lookUpHere", "arguments": {"orderId": "42"}}
CALLED_THERE: Told = {"name": "look_up_here", "arguments": {"order_id": "42"}}
SHIPPED = '{"order":"42","state":"shipped"}'
"""AG-UI's results are texts."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with (
        LiteLlm() as litellm,
        Server(node("streaming_server")) as streaming,
        Server(python("clients", "servers.pydantic_server")) as pydantic,
    ):
        key = {"api_key": litellm.KEY}
        vendors = {
            "streaming": Vendor("ai_sdk", f"{streaming.url}/chat"),
            "pydantic_ai_sdk": Vendor("ai_sdk", f"{pydantic.url}/ai-sdk"),
            "pydantic_ag_ui": Vendor("ag_ui", f"{pydantic.url}/ag-ui"),
            "litellm": Vendor("openai_chat", f"{litellm.url}/v1", 'model = "mock"', key),
            "limited": Vendor("openai_chat", f"{litellm.url}/v1", 'model = "limited"', key),
            "unknown": Vendor("openai_chat", f"{litellm.url}/v1", 'model = "nobody"', key),
        }
        with Gateway(written(tmp_path_factory, configuration(vendors))) as gateway:
            yield gateway


@pytest.mark.parametrize("route", CHATS)
def test_a_conversation_is_told_whole_each_time(gateway: Gateway, route: str) -> None:
    first = gateway.native(route, "hello")
    assert (first.text, first.finish) == ("You said: hello, after 0 messages.", ENDS[route])
    second = gateway.native(route, "again", conversation_id=first.conversation_id)
    assert second.text == "You said: again, after 2 messages."


@pytest.mark.parametrize("route", CHATS)
def test_thoughts_are_no_text(gateway: Gateway, route: str) -> None:
    heard = gateway.native(route, "think")
    assert heard.reasoning == "Greet."
    assert heard.text in {"Hello!", "You said: think, after 0 messages."}


@pytest.mark.parametrize(
    ("route", "call", "result", "text"),
    [
        ("streaming", CALLED, {"state": "shipped"}, "It is shipped."),
        ("pydantic_ai_sdk", CALLED_THERE, {"order": "42", "state": "shipped"}, f"It is {SHIPPED}."),
        ("pydantic_ag_ui", CALLED_THERE, SHIPPED, f"It is {SHIPPED}."),
    ],
)
def test_a_tool_that_the_server_runs_has_its_result(
    gateway: Gateway, route: str, call: Told, result: Any, text: str
) -> None:
    heard = gateway.native(route, "server-tool")
    assert (heard.owed, heard.run, heard.results) == ([], [call], [result])
    assert (heard.text, heard.finish) == (text, ENDS[route])


@pytest.mark.parametrize(
    ("route", "fields", "text"),
    [
        ("streaming", {}, "It is lost."),
        ("pydantic_ag_ui", {"tools": [LOOK_UP]}, 'It is {"state":"lost"}.'),
    ],
)
def test_a_call_is_answered_by_the_client_and_the_answer_goes_on(
    gateway: Gateway, route: str, fields: Any, text: str
) -> None:
    heard = gateway.native(route, "tool", **fields)
    (call,) = heard.owed
    assert call["name"] == "lookUp"
    assert heard.finish == "tool_calls"
    (call_id,) = heard.pending
    result = [{"type": "tool_result", "tool_call_id": call_id, "output": {"state": "lost"}}]
    after = gateway.native(route, result, conversation_id=heard.conversation_id, **fields)
    assert (after.text, after.finish) == (text, "stop")


@pytest.mark.parametrize("route", ["pydantic_ai_sdk", "pydantic_ag_ui"])
def test_a_tool_that_waits_for_a_person_runs_once_it_is_approved(gateway: Gateway, route: str) -> None:
    heard = gateway.native(route, "approve")
    assert heard.finish == "input_required"
    (request,) = [event for event in heard.events if event.__struct_config__.tag == "input.requested"]
    assert request.kind == "approval"  # type: ignore[union-attr]  # its tag says so
    answer = [{"type": "input_response", "request_id": request.request_id, "approved": True}]  # type: ignore[union-attr]
    after = gateway.native(route, answer, conversation_id=heard.conversation_id)
    assert (after.text, after.finish) == ("It is 42 refunded.", ENDS[route])


@pytest.mark.parametrize("route", CHATS)
def test_an_error_in_mid_stream_is_no_end(gateway: Gateway, route: str) -> None:
    heard = gateway.native(route, "break")
    assert heard.text == "Let me"
    assert heard.finish.startswith("upstream_")
    assert "the model broke" not in str(heard.ending)


def test_sources_come_through(gateway: Gateway) -> None:
    heard = gateway.native("streaming", "cite")
    assert (heard.sources, heard.text) == (["https://example.com/a"], "See A.")


@pytest.mark.parametrize(
    ("route", "usage"), [("streaming", (12, 3)), ("pydantic_ag_ui", (50, 9)), ("litellm", (8, 10))]
)
def test_what_it_cost_is_known(gateway: Gateway, route: str, usage: tuple[int, int]) -> None:
    heard = gateway.native(route, "hello")
    assert heard.usage == {"input": usage[0], "output": usage[1]}


def test_the_proxy_answers_in_a_stream_and_in_a_document(gateway: Gateway) -> None:
    heard = gateway.native("litellm", "hello")
    assert (heard.text, heard.finish) == ("Hello from behind the proxy, piece by piece.", "stop")
    status, body = gateway.fetch("/v1/messages", {"route": "litellm", "content": "hello", "stream": False})
    assert (status, b"Hello from behind the proxy, piece by piece." in body) == (200, True)


@pytest.mark.parametrize(
    ("route", "status", "code"), [("limited", 429, b"upstream_rate_limited"), ("unknown", 422, b"upstream_rejected")]
)
def test_what_the_proxy_refuses_is_told_by_status(gateway: Gateway, route: str, status: int, code: bytes) -> None:
    told, body = gateway.fetch("/v1/messages", {"route": route, "content": "hello"})
    assert (told, code in body) == (status, True), body

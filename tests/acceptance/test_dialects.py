"""What the official clients can do in one dialect alone: models, counting, answers to follow, approvals, stopping."""

import hashlib
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import written
from tests.acceptance.speakers import SPEAKERS, Clients, Speaker
from tests.acceptance.strangers import SIMULATED, Gateway, configuration

pytestmark = pytest.mark.acceptance

KEY = "gwk_acceptance"
KEYS = f"""
[[keys]]
id = "stranger"
sha256 = "{hashlib.sha256(KEY.encode()).hexdigest()}"
"""


def speakers(*dialects: str, modes: tuple[str, ...] = ("whole", "plain", "helper", "stream")) -> pytest.MarkDecorator:
    found = [speaker for speaker in SPEAKERS if speaker.dialect in dialects and speaker.mode in modes]
    return pytest.mark.parametrize("speaker", found, ids=str)


once_each = pytest.mark.parametrize(
    "speaker", [speaker for speaker in SPEAKERS if speaker.mode in {"helper", "stream"}], ids=str
)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    text = KEYS + configuration({"chatbase": SIMULATED["chatbase"]})
    with Gateway(written(tmp_path_factory, text)) as gateway:
        yield gateway


SIX = """
[dialects.ai_sdk]
version = 6
"""
SEVEN = """
[dialects.ai_sdk]
version = 7
[routes.restarting]
mid_stream = "restart"
targets = [{ vendor = "chatbase", agent = "demo-agent" }, { vendor = "sema4", agent = "a1" }]
"""


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """For clients of version 6 at least."""
    with Gateway(written(tmp_path_factory, configuration(SIMULATED, SIX))) as gateway:
        yield gateway


# --- every dialect


@once_each
def test_a_key_stands_where_each_client_puts_it(keyed: Gateway, clients: Clients, speaker: Speaker) -> None:
    told = clients.ask(speaker, keyed, "chatbase", "Hello", key=KEY)
    assert "error" not in told
    assert "Hello" in told["turns"][0]["text"]


@once_each
def test_a_wrong_key_is_refused_once(keyed: Gateway, clients: Clients, speaker: Speaker) -> None:
    request_id = keyed.request_id()
    error = clients.ask(speaker, keyed, "chatbase", "Hello", key="gwk_wrong", request_id=request_id)["error"]
    if speaker.spoken.errors:
        assert (error["kind"], error["status"]) == (speaker.spoken.errors[401], 401)
    else:
        assert "unauthorized" in error["message"]
    assert len(keyed.messages(1, request_id)) == 1


@once_each
def test_another_vendor_answers_where_the_first_one_fails(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    request_id = gateway.request_id()
    told = clients.ask(speaker, gateway, "support", "Hello [fault:status-503@hardwire]", request_id=request_id)
    assert "error" not in told
    (line,) = gateway.messages(1, request_id)
    assert (line["vendor"], line["attempts"], line["outcome"]) == ("chatbase", 2, "completed")
    assert "Hello" in told["turns"][0]["text"]


@speakers("openai_chat", "openai_responses", "anthropic", "gemini")
def test_a_request_that_does_not_fit_is_refused(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    misfit = {"max_tokens": 0} if speaker.dialect == "anthropic" else {"temperature": 9}
    error = clients.ask(speaker, gateway, "openai_chat", "Hello", **{"with": misfit})["error"]
    assert (error["kind"], error["status"]) == (speaker.spoken.errors[400], 400)
    assert str(*misfit) in error["message"]


@speakers("openai_chat", "anthropic", "gemini", modes=("helper",))
def test_the_routes_are_its_models(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    told = clients.ask(speaker, gateway, "", asks="models")
    assert "error" not in told
    names = [name.removeprefix("models/") for name in told["models"]]
    assert {"hardwire", "chatbase", "support"} <= set(names)
    assert told["model"] == told["models"][0]


@speakers("anthropic", "gemini", modes=("helper",))
def test_tokens_are_counted(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    few, many = (
        clients.ask(speaker, gateway, "anthropic", asks="count_tokens", text="Hello there. " * times)["input"]
        for times in (1, 100)
    )
    assert 0 < few < many


# --- OpenAI responses


@speakers("openai_responses")
def test_a_response_follows_another_by_its_id(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    request_id = gateway.request_id()
    told = clients.ask(speaker, gateway, "chatbase", "Hello", "And then?", keeps="server", request_id=request_id)
    assert "error" not in told
    assert "And then?" in told["turns"][1]["text"]
    first, second = gateway.messages(2, request_id)
    assert first["conversation_id"] == second["conversation_id"]


@speakers("openai_responses")
def test_results_follow_the_response_that_called(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    outputs = {"lookupOrder": {"state": "shipped"}, "getWeather": {"sky": "clear"}}
    told = clients.ask(speaker, gateway, "chatbase", "[play:parallel-actions]", keeps="server", outputs=outputs)
    assert "error" not in told
    calling, answering = told["turns"]
    assert [call["name"] for call in calling["calls"]] == ["lookupOrder", "getWeather"]
    assert (answering["finish"], answering["calls"]) == ("completed", [])


@speakers("openai_responses")
def test_a_response_that_nobody_gave_cannot_be_followed(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    told = clients.ask(speaker, gateway, "chatbase", "Hello", **{"with": {"previous_response_id": "resp_nobody"}})
    assert told["error"]["status"] in {400, 404}


# --- AI SDK


@speakers("ai_sdk")
def test_results_go_into_the_answer_that_called(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    outputs = {"lookupOrder": {"state": "shipped"}, "getWeather": {"sky": "clear"}}
    told = clients.ask(speaker, gateway, "chatbase", "[play:parallel-actions]", outputs=outputs)
    assert (told["messages"], told["status"]) == (["user", "assistant"], "ready")


@speakers("ai_sdk")
def test_usage_is_metadata(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    (turn,) = clients.ask(speaker, gateway, "anthropic", "[play:thinking]")["turns"]
    heard = gateway.native("anthropic", "[play:thinking]")
    assert heard.usage is not None
    assert turn["metadata"]["usage"]["inputTokens"] == heard.usage["input"]
    assert turn["metadata"]["usage"]["outputTokens"] == heard.usage["output"]


@speakers("ai_sdk", "ag_ui")
def test_a_client_that_stops_stops_the_vendor(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    request_id = gateway.request_id()
    told = clients.ask(speaker, gateway, "anthropic", "[play:late]", asks="stop", request_id=request_id)
    assert "error" not in told
    assert told["text"] in {"One", "One two"}
    (line,) = gateway.messages(1, request_id)
    assert (line["outcome"], line["client_gone"]) == ("canceled", True)


@speakers("ai_sdk")
def test_there_is_nothing_to_resume(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    told = clients.ask(speaker, gateway, "hardwire", asks="resume", id="chat/1 x")
    assert told == {"status": "ready", "messages": 0}


@pytest.mark.parametrize("route", ["ai_sdk", "ag_ui"])
@pytest.mark.parametrize("speaker", [each for each in SPEAKERS if each.version in {"ai6", "ai"}], ids=str)
def test_a_person_approves(newer: Gateway, clients: Clients, speaker: Speaker, route: str) -> None:
    told = clients.ask(speaker, newer, route, "[play:approval]", asks="approve")
    assert "error" not in told
    before, after = told["turns"]
    assert len(before["approvals"]) == 1
    assert after["text"] != ""
    assert (told["messages"], told["status"]) == (["user", "assistant"], "ready")


@pytest.mark.parametrize("speaker", [each for each in SPEAKERS if each.version == "ai"], ids=str)
def test_what_a_failed_vendor_showed_is_forgotten(
    tmp_path_factory: pytest.TempPathFactory, clients: Clients, speaker: Speaker
) -> None:
    text = configuration(SIMULATED, SEVEN)
    with Gateway(written(tmp_path_factory, text)) as gateway:
        told = clients.ask(speaker, gateway, "restarting", "[play:error-text] Hello")
    assert "error" not in told
    assert told["status"] == "ready"
    assert "Let me see" not in told["turns"][0]["text"]
    assert "Hello" in told["turns"][0]["text"]


# --- AG-UI


@pytest.mark.parametrize("route", ["ag_ui", "ai_sdk", "openai_responses"])
@speakers("ag_ui")
def test_a_person_approves_an_interrupt(gateway: Gateway, clients: Clients, speaker: Speaker, route: str) -> None:
    told = clients.ask(speaker, gateway, route, "[play:approval]", asks="approve", payload={"approved": True})
    assert "error" not in told
    before, after = told["turns"]
    assert (before["finish"], len(before["interrupts"])) == ("interrupt", 1)
    assert (after["finish"], after["text"] != "") == ("success", True)


@speakers("ag_ui")
def test_a_question_is_an_interrupt(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    told = clients.ask(speaker, gateway, "ag_ui", "[play:question]", asks="approve", payload={"text": "The second"})
    assert "error" not in told
    before, after = told["turns"]
    assert (before["finish"], len(before["interrupts"])) == ("interrupt", 1)
    assert after["finish"] == "success"


@speakers("ag_ui")
def test_an_error_has_our_code(gateway: Gateway, clients: Clients, speaker: Speaker) -> None:
    heard = gateway.native("chatbase", "[play:error-text]")
    told = clients.ask(speaker, gateway, "chatbase", "[play:error-text]")
    assert told["error"]["code"] == heard.finish
    assert told["turns"][0]["events"][-1] == "RUN_ERROR"

"""The simulated Anthropic: what it plays, and what it refuses as the vendor would."""

from typing import Any

import msgspec
import pytest

from gateway.protocols.anthropic.plays import PLAYS, REFUSALS
from gateway.protocols.anthropic.simulator import AnthropicSimulator
from gateway.protocols.base import Head, Pause, Reset, Script, Send
from tests.support.play import body_of
from tests.support.simulating import asked, document, frames, head

HEADERS = {"x-api-key": "k", "anthropic-version": "2023-06-01"}


def post(body: Any, simulator: AnthropicSimulator | None = None, path: str = "/v1/messages", **headers: str) -> Script:
    spelled = {**HEADERS, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return asked(simulator or AnthropicSimulator(), "POST", path, body, headers=spelled)


def say(text: str = "hi", **fields: Any) -> dict[str, Any]:
    return {"model": "claude-x", "max_tokens": 100, "messages": [{"role": "user", "content": text}], **fields}


def talk(*messages: tuple[str, Any], **fields: Any) -> dict[str, Any]:
    return say(messages=[{"role": role, "content": content} for role, content in messages], **fields)


def refusal(script: Script) -> tuple[int, str, str]:
    status, body = document(script)
    assert body["type"] == "error"
    assert body["request_id"] == head(script).headers["request-id"]
    return status, body["error"]["type"], body["error"]["message"]


# --- answers


def test_the_usual_answer_streams_word_by_word() -> None:
    script = post(say("What is a gateway?", stream=True))
    assert head(script) == Head(200, {"Content-Type": "text/event-stream; charset=utf-8", "request-id": "req_00000001"})
    told = frames(body_of(script))
    said = "".join(frame["delta"]["text"] for frame in told if frame["type"] == "content_block_delta")
    assert said == ("You asked: What is a gateway?. This is Anthropic's simulator, and it answers word by word.")
    assert [frame["type"] for frame in told[:4]] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
    ]
    assert told[-1] == {"type": "message_stop"}
    assert told[0]["message"]["usage"] == {
        "input_tokens": 15,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 1,
    }


def test_a_cache_is_read_where_it_was_asked_for() -> None:
    _, body = document(post(say("What is a gateway?", cache_control={"type": "ephemeral"})))
    assert (body["usage"]["input_tokens"], body["usage"]["cache_read_input_tokens"]) == (14, 1)


def test_each_frame_names_its_event_and_may_end_in_blanks() -> None:
    first = next(step for step in post(say(stream=True)) if isinstance(step, Send)).data
    assert first.startswith(b"event: message_start\ndata: {")
    assert first.endswith(b"}}      \n\n")


def test_without_stream_the_answer_is_one_document() -> None:
    status, body = document(post(say("hi")))
    assert (status, body["stop_reason"], body["id"]) == (200, "end_turn", "msg_00000001")
    assert body["content"] == [
        {
            "type": "text",
            "text": "You asked: hi. This is Anthropic's simulator, and it answers word by word.",
        }
    ]


@pytest.mark.parametrize("name", sorted(PLAYS))
def test_each_play_is_told_by_a_message_or_by_the_host(name: str) -> None:
    told = body_of(post(say(f"[play:{name}] hi", stream=True)))
    by_the_host = body_of(post(say("[play:sparkle] hi", stream=True), AnthropicSimulator(name)))
    assert by_the_host.count(b"event: ") == told.count(b"event: ")
    if PLAYS[name].ends:
        _, whole = document(post(say(f"[play:{name}] hi")))
        assert (len(whole["content"]), whole["stop_reason"]) == (len(PLAYS[name].blocks), PLAYS[name].stop)


def test_a_document_spells_what_the_deltas_spell() -> None:
    _, search = document(post(say("[play:web-search]")))
    assert [block["type"] for block in search["content"]] == ["server_tool_use", "web_search_tool_result", "text"]
    assert search["content"][0]["input"] == {"query": "gateways"}
    assert search["content"][1]["tool_use_id"] == search["content"][0]["id"] == "srvtoolu_00000001"
    assert search["content"][2]["citations"][0]["url"] == "https://gateways.test/"
    _, thought = document(post(say("[play:thinking]")))
    assert thought["content"][0] == {"type": "thinking", "thinking": "Let me think.", "signature": "EqQBsig"}
    _, mcp = document(post(say("[play:mcp]")))
    assert mcp["content"][1]["tool_use_id"] == mcp["content"][0]["id"] == "mcptoolu_00000001"
    _, refused = document(post(say("[play:refusal]")))
    assert refused["stop_details"]["category"] == "cyber"
    _, cut = document(post(say("[play:length]")))
    assert cut["content"][1]["input"] == {}


def test_calls_of_later_answers_have_other_ids() -> None:
    simulator = AnthropicSimulator()
    ids = [document(post(say("[play:two-tools]"), simulator))[1]["content"][1]["id"] for _ in range(2)]
    assert ids == ["toolu_00000002", "toolu_00000004"]


def test_the_pace_of_an_answer_and_how_it_breaks() -> None:
    assert [step for step in post(say("[play:late]", stream=True)) if isinstance(step, Pause)] == [Pause(0.3)] * 3
    assert isinstance(post(say("[play:reset]", stream=True))[-1], Reset)


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_each_refusal_is_told_as_the_vendor_or_its_proxy_tells_it(name: str) -> None:
    script = post(say(f"[play:{name}] hi", stream=True))
    refused = REFUSALS[name]
    assert head(script).status == refused.status
    if refused.body is None:
        assert refusal(script) == (refused.status, refused.kind, refused.message)
        assert refused.headers.items() <= head(script).headers.items()
    else:
        assert body_of(script) == refused.body


def test_a_spending_limit_names_itself() -> None:
    _, body = document(post(say("[play:spend-limit]")))
    assert body["error"]["details"] == {"error_code": "enforced_spend_limit_reached"}


# --- tools


CALLED = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}


def result(call: str = "toolu_1", content: Any = "sunny") -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call, "content": content}


def answered(*blocks: Any) -> dict[str, Any]:
    return talk(("user", "hi"), ("assistant", [CALLED]), ("user", list(blocks)))


def test_results_are_taken_and_told() -> None:
    _, body = document(post(answered(result(), {"type": "text", "text": "so?"})))
    assert body["content"][0]["text"] == "The tools say sunny."
    _, body = document(post(answered(result(content=[{"type": "text", "text": "a"}]))))
    assert body["content"][0]["text"] == 'The tools say [{"type":"text","text":"a"}].'


def test_a_play_goes_before_the_usual_answer_to_results() -> None:
    _, body = document(post(answered(result(), {"type": "text", "text": "[play:thinking]"})))
    assert body["content"][0]["type"] == "thinking"


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "text", "text": "no result"}],
        [result("toolu_2")],
        [result(), result("toolu_2")],
        [{"type": "text", "text": "first"}, result()],
    ],
)
def test_results_that_do_not_fit_their_calls_are_refused(blocks: list[Any]) -> None:
    status, kind, _ = refusal(post(answered(*blocks)))
    assert (status, kind) == (400, "invalid_request_error")


@pytest.mark.parametrize("begins", [[], [{"type": "thinking", "thinking": "Hm", "signature": "s"}]])
def test_a_turn_that_goes_on_thinking_begins_with_its_thoughts(begins: list[Any]) -> None:
    asked = talk(("user", "hi"), ("assistant", [*begins, CALLED]), ("user", [result()]))
    thinking = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2048}
    assert head(post({**asked, **thinking})).status == (200 if begins else 400)


# --- what is refused


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": 7}, "model: Input has the wrong type"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"sparkle": 1}, "sparkle: Extra inputs are not permitted"),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"thinking": {"type": "enabled", "budget_tokens": 500}}, "`max_tokens` must be greater than"),
        ({"messages": []}, "messages: at least one message is required"),
    ],
)
def test_a_body_that_does_not_fit_is_refused(fields: dict[str, Any], message: str) -> None:
    status, kind, told = refusal(post(say(**fields)))
    assert (status, kind) == (400, "invalid_request_error")
    assert told.startswith(message)


def test_a_field_that_is_missing_is_named() -> None:
    body = say()
    del body["max_tokens"]
    assert refusal(post(body))[2] == "max_tokens: Field required"


@pytest.mark.parametrize(
    "messages",
    [
        [("assistant", "I begin")],
        [("user", "hi"), ("assistant", "I end")],
        [("user", [{"type": "tool_use", "id": "t", "name": "look", "input": {}}])],
        [("user", " ")],
        [("user", "hi"), ("assistant", [{"type": "thinking", "thinking": "Hm"}]), ("user", "so?")],
    ],
)
def test_messages_that_do_not_fit_are_refused(messages: list[tuple[str, Any]]) -> None:
    assert refusal(post(talk(*messages)))[:2] == (400, "invalid_request_error")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"7"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    assert refusal(post(body))[:2] == (400, "invalid_request_error")


def test_the_newer_version_has_no_sampling_parameters() -> None:
    script = post(say(top_p=0.5), anthropic_version="2026-10-21")
    assert refusal(script)[2] == "top_p: not supported in version 2026-10-21"


def test_the_key_the_version_and_the_model_are_checked() -> None:
    assert refusal(post(say(), x_api_key="invalid"))[:2] == (401, "authentication_error")
    assert refusal(post(say(), x_api_key=""))[:2] == (401, "authentication_error")
    assert head(post(say(), x_api_key="", Authorization="Bearer t")).status == 200
    assert refusal(post(say(), anthropic_version="2021-01-01"))[2] == "anthropic-version: unknown"
    bare = asked(AnthropicSimulator(), "POST", "/v1/messages", say(), headers={"x-api-key": "k"})
    assert refusal(bare)[2] == "anthropic-version: header is required"
    assert refusal(post(say(model="unknown-1")))[:2] == (404, "not_found_error")


# --- the other doors


def get(path: str) -> Script:
    return asked(AnthropicSimulator(), "GET", path, headers=HEADERS)


def test_tokens_are_counted() -> None:
    status, body = document(post(say("hello"), path="/v1/messages/count_tokens"))
    assert (status, body) == (200, {"input_tokens": 11})


def test_models_are_listed_and_told() -> None:
    _, listed = document(get("/v1/models"))
    assert [model["id"] for model in listed["data"]] == ["claude-simulated", "claude-smaller"]
    assert (listed["has_more"], listed["last_id"]) == (False, "claude-smaller")
    assert document(get("/v1/models/claude-x"))[1]["display_name"] == "Claude X"
    assert refusal(get("/v1/models/unknown-1"))[:2] == (404, "not_found_error")


def test_there_is_nothing_else() -> None:
    assert refusal(get("/v1/sparkle"))[:2] == (404, "not_found_error")
    assert refusal(get("/v1/messages"))[:2] == (404, "not_found_error")


def test_every_play_is_described() -> None:
    assert set(AnthropicSimulator.plays) == {"", *PLAYS, *REFUSALS}
    assert msgspec.json.encode(dict(AnthropicSimulator.plays))

"""The simulated Chatbase: its answers against the bytes of the vendor's documentation, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.protocols.base import Head, Pause, Script, Send, SimulatedRequest
from gateway.protocols.chatbase.plays import PLAYS, REFUSALS
from gateway.protocols.chatbase.simulator import ChatbaseSimulator
from tests.support.play import body_of
from tests.support.simulating import asked, document, frames, head

EXAMPLES = Path(__file__).parent / "examples"
CHAT = "/agents/5QHA6VB/chat"
FIRST = "40f838c7-5ee0-5b89-956d-9d22cfd1107f"
"""The id of the first conversation."""
TOOL_RESULT = f"/agents/5QHA6VB/conversations/{FIRST}/tool-result"
RETRY = f"/agents/5QHA6VB/conversations/{FIRST}/retry"
LIMITS = {
    "X-RateLimit-Limit": "100",
    "X-RateLimit-Remaining": "99",
    "X-RateLimit-Reset": "1781083862000",
}


def post(simulator: ChatbaseSimulator, body: Any, path: str = CHAT, authorization: str = "Bearer k") -> Script:
    return asked(simulator, "POST", path, body, headers={"Authorization": authorization})


def refusal(script: Script) -> tuple[int, str, dict[str, str]]:
    status, body = document(script)
    return status, body["error"]["code"], body["error"].get("details", {})


# --- plays


@pytest.mark.parametrize("name", sorted(PLAYS))
def test_each_play_is_played_as_recorded(name: str) -> None:
    recorded = (EXAMPLES / f"{name}.sse").read_bytes()
    assert body_of(post(ChatbaseSimulator(name), {"message": "hi"})) == recorded
    assert body_of(post(ChatbaseSimulator(), {"message": f"[play:{name}] hi"})) == recorded


def test_the_client_action_is_the_documentations_byte_for_byte() -> None:
    script = post(ChatbaseSimulator("client-action"), {"message": "Where is order 42?", "userId": "user_abc123"})
    documented = (EXAMPLES / "dossier-client-action.sse").read_bytes()
    assert body_of(script) == documented.replace(b"a1b2c3d4-e5f6-4a7b-8c9d-0e1f2a3b4c5d", FIRST.encode())


def test_a_stream_has_the_documented_headers() -> None:
    assert head(post(ChatbaseSimulator(), {"message": "hi"})) == Head(
        200,
        {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-cache",
            "x-vercel-ai-ui-message-stream": "v1",
            **LIMITS,
            "x-request-id": "req_1",
        },
    )


def test_the_usual_answer_repeats_the_question_word_by_word() -> None:
    script = post(ChatbaseSimulator(), {"message": "Where is order 42?"})
    deltas = [frame["delta"] for frame in frames(body_of(script)) if frame["type"] == "text-delta"]
    assert "".join(deltas) == (
        "You asked: “Where is order 42?”. I am a simulated Chatbase agent, so all I can do is repeat it."
    )
    assert [step for step in script if isinstance(step, Pause)] == [Pause(0.02)] * len(deltas)
    assert len(deltas) == 20


def test_the_usual_answer_to_blank_lines_repeats_nothing() -> None:
    assert b"nothing" in b"".join(
        frame["delta"].encode()
        for frame in frames(body_of(post(ChatbaseSimulator(), {"message": "\n \n"})))
        if frame["type"] == "text-delta"
    )


def test_one_frame_leaves_in_one_step() -> None:
    script = post(ChatbaseSimulator("vendor-action"), {"message": "hi"})
    assert all(step.data.count(b"\n\n") == 1 for step in script if isinstance(step, Send))


def test_the_last_play_that_a_message_names_is_played() -> None:
    message = "user: [play:abort] hi\n[play:nonsense]\n[play:sdk] now"
    script = post(ChatbaseSimulator("no-done"), {"message": message})
    assert body_of(script) == (EXAMPLES / "sdk.sse").read_bytes()


def test_every_play_is_listed() -> None:
    assert set(ChatbaseSimulator.plays) == {"", *PLAYS, *REFUSALS}


@pytest.mark.parametrize(
    ("play", "example"),
    [
        ("vendor-action", "sync-stop"),
        ("client-action", "sync-tool-calls"),
        ("finish-error", "sync-error"),
        ("paused", "sync-empty"),
    ],
)
def test_a_chat_that_does_not_stream_is_answered_by_one_document(play: str, example: str) -> None:
    script = post(ChatbaseSimulator(play), {"message": "hi", "stream": False})
    assert head(script) == Head(200, {"Content-Type": "application/json", **LIMITS, "x-request-id": "req_1"})
    assert body_of(script) == (EXAMPLES / f"{example}.json").read_bytes()


def test_parallel_calls_stand_in_a_document_too() -> None:
    _, body = document(post(ChatbaseSimulator("parallel-actions"), {"message": "hi", "stream": False}))
    assert body["data"]["parts"] == [
        {"type": "tool-call", "toolCallId": "call_1", "toolName": "lookupOrder", "input": {"orderId": "42"}},
        {"type": "tool-call", "toolCallId": "call_2", "toolName": "getWeather", "input": {"city": "Kyiv"}},
    ]


def test_what_a_document_has_no_place_for_is_left_out() -> None:
    _, body = document(post(ChatbaseSimulator("unknown-parts"), {"message": "hi", "stream": False}))
    assert body["data"]["parts"] == [{"type": "text", "text": "Hello"}]


# --- conversations


def test_a_conversation_goes_on_and_keeps_its_first_user() -> None:
    simulator = ChatbaseSimulator("documented")
    post(simulator, {"message": "hi", "userId": "ann"})
    script = post(simulator, {"message": "and?", "conversationId": FIRST, "userId": "bob"})
    assert frames(body_of(script))[-2] == {
        "type": "message-metadata",
        "messageId": "msg_3",
        "userMessageId": "msg_2",
        "conversationId": FIRST,
        "userId": "ann",
        "usage": {"credits": 1},
    }


def test_a_second_conversation_has_an_id_of_its_own() -> None:
    simulator = ChatbaseSimulator("documented")
    post(simulator, {"message": "hi"})
    assert frames(body_of(post(simulator, {"message": "hi"})))[-2]["conversationId"] != FIRST


def test_a_tool_result_is_found_at_the_second_try_and_the_chat_goes_on() -> None:
    simulator = ChatbaseSimulator("client-action")
    post(simulator, {"message": "Where is order 42?"})
    result = {"toolCallId": "call_1", "output": {"status": "shipped"}}
    late = document(post(simulator, result, TOOL_RESULT))
    assert late == (
        404,
        {"error": {"code": "RESOURCE_TOOL_CALL_NOT_FOUND", "message": "Tool call not found or expired"}},
    )
    assert body_of(post(simulator, result, TOOL_RESULT)) == b'{"data":{"success":true}}'
    script = post(simulator, {"conversationId": FIRST, "stream": True})
    assert body_of(script) == (EXAMPLES / "client-action-answer.sse").read_bytes()


def test_a_tool_result_is_taken_once() -> None:
    simulator = ChatbaseSimulator("client-action")
    post(simulator, {"message": "hi"})
    result = {"toolCallId": "call_1", "output": 1}
    statuses = [document(post(simulator, result, TOOL_RESULT))[0] for _ in range(3)]
    assert statuses == [404, 200, 404]


def test_a_call_that_the_vendor_ran_takes_no_result() -> None:
    simulator = ChatbaseSimulator("vendor-action")
    post(simulator, {"message": "hi"})
    answers = [refusal(post(simulator, {"toolCallId": "call_1", "output": 1}, TOOL_RESULT)) for _ in range(2)]
    assert answers == [(404, "RESOURCE_TOOL_CALL_NOT_FOUND", {})] * 2


def test_a_second_call_of_a_conversation_has_an_id_of_its_own() -> None:
    simulator = ChatbaseSimulator("client-action")
    post(simulator, {"message": "hi"})
    script = post(simulator, {"message": "again", "conversationId": FIRST})
    assert [frame["toolCallId"] for frame in frames(body_of(script)) if "toolCallId" in frame] == ["call_2"]


def test_a_retry_asks_the_user_message_again_and_forgets_what_followed() -> None:
    simulator = ChatbaseSimulator()
    post(simulator, {"message": "[play:documented] one"})
    post(simulator, {"message": "two", "conversationId": FIRST})
    script = post(simulator, {"messageId": "msg_1"}, RETRY)
    assert frames(body_of(script))[-2] == {
        "type": "message-metadata",
        "messageId": "msg_4",
        "userMessageId": "msg_0",
        "conversationId": FIRST,
        "userId": None,
        "usage": {"credits": 1},
    }
    gone = refusal(post(simulator, {"messageId": "msg_3"}, RETRY))
    assert gone == (404, "CHAT_RETRY_MESSAGE_NOT_FOUND", {})


def test_a_retry_may_be_one_document() -> None:
    simulator = ChatbaseSimulator("documented")
    post(simulator, {"message": "hi"})
    status, body = document(post(simulator, {"messageId": "msg_1", "stream": False}, RETRY))
    assert (status, body["data"]["id"], body["data"]["parts"]) == (
        200,
        "msg_2",
        [{"type": "text", "text": "Hello there"}],
    )


def test_a_retry_goes_back_to_the_user_message_over_answers() -> None:
    simulator = ChatbaseSimulator("client-action")
    post(simulator, {"message": "hi"})
    post(simulator, {"toolCallId": "call_1", "output": 1}, TOOL_RESULT)
    post(simulator, {"toolCallId": "call_1", "output": 1}, TOOL_RESULT)
    post(simulator, {"conversationId": FIRST})
    assert frames(body_of(post(simulator, {"messageId": "msg_2"}, RETRY)))[-2]["userMessageId"] == "msg_0"


def test_a_retry_of_the_first_message_has_no_user_message() -> None:
    simulator = ChatbaseSimulator()
    post(simulator, {"message": "hi"})
    answer = refusal(post(simulator, {"messageId": "msg_0"}, RETRY))
    assert answer == (400, "CHAT_RETRY_NO_USER_MESSAGE", {})


# --- lists


LIST = "/agents/5QHA6VB/conversations"
ONE = f"{LIST}/{FIRST}"
MESSAGES = f"{ONE}/messages"


def send(simulator: ChatbaseSimulator, method: str, path: str, body: Any = None, **query: str) -> Script:
    return asked(simulator, method, path, body, headers={"Authorization": "Bearer k"}, query=query)


def get(simulator: ChatbaseSimulator, path: str, **query: str) -> Any:
    status, body = document(send(simulator, "GET", path, **query))
    assert status == 200
    return body


def talkative() -> ChatbaseSimulator:
    """Three conversations: ann's, which was used last, bob's and nobody's."""
    simulator = ChatbaseSimulator("documented", now=1795168800)
    post(simulator, {"message": "one", "userId": "ann"})
    post(simulator, {"message": "two", "userId": "bob"})
    post(simulator, {"message": "three"})
    post(simulator, {"message": "four", "conversationId": FIRST})
    return simulator


def metadata(conversation: str, user: str | None, status: str = "ongoing") -> Any:
    return {
        "id": conversation,
        "title": None,
        "createdAt": 1795168800,
        "updatedAt": 1795168800,
        "userId": user,
        "status": status,
    }


def said(number: int, role: str, text: str, feedback: str | None = None) -> Any:
    return {
        "id": f"msg_{number}",
        "role": role,
        "parts": [{"type": "text", "text": text}],
        "createdAt": 1795168800,
        "feedback": feedback,
        "metadata": {"score": None},
    }


SAID = [
    said(0, "user", "one"),
    said(1, "assistant", "Hello there"),
    said(6, "user", "four"),
    said(7, "assistant", "Hello there"),
]


def test_conversations_are_listed_by_their_last_use() -> None:
    listed = get(talkative(), LIST)
    assert listed["data"][0] == metadata(FIRST, "ann")
    assert [entry["userId"] for entry in listed["data"]] == ["ann", None, "bob"]
    assert listed["pagination"] == {"cursor": None, "hasMore": False, "total": 3}


def test_a_users_conversations_are_listed_apart() -> None:
    simulator = talkative()
    listed = get(simulator, "/agents/5QHA6VB/users/ann/conversations")
    assert listed == {
        "data": [metadata(FIRST, "ann")],
        "pagination": {"cursor": None, "hasMore": False, "total": 1},
    }
    assert get(simulator, "/agents/5QHA6VB/users/eve/conversations")["data"] == []
    assert get(simulator, "/agents/other/conversations")["data"] == []


def test_a_list_is_told_in_pages() -> None:
    simulator = talkative()
    first = get(simulator, LIST, limit="2")
    assert (len(first["data"]), first["pagination"]["hasMore"], first["pagination"]["total"]) == (2, True, 3)
    second = get(simulator, LIST, limit="2", cursor=first["pagination"]["cursor"])
    assert [entry["userId"] for entry in second["data"]] == ["bob"]
    assert second["pagination"] == {"cursor": None, "hasMore": False, "total": 3}


def test_a_list_holds_the_days_that_are_asked_for() -> None:
    simulator = talkative()
    assert get(simulator, LIST, startDate="2026-11-21")["data"] == []
    assert get(simulator, LIST, endDate="2026-11-19")["data"] == []
    assert len(get(simulator, LIST, startDate="2026-11-20", endDate="2026-11-20")["data"]) == 3


def test_the_newest_messages_come_first_in_pages_that_read_forwards() -> None:
    simulator = talkative()
    assert get(simulator, MESSAGES) == {
        "data": SAID,
        "pagination": {"cursor": None, "hasMore": False, "total": 4},
    }
    newest = get(simulator, MESSAGES, limit="3")
    assert newest["data"] == SAID[1:]
    oldest = get(simulator, MESSAGES, limit="3", cursor=newest["pagination"]["cursor"])
    assert oldest == {"data": SAID[:1], "pagination": {"cursor": None, "hasMore": False, "total": 4}}


def test_a_conversation_is_told_with_its_messages() -> None:
    assert get(talkative(), ONE) == {
        "data": {**metadata(FIRST, "ann"), "messages": SAID},
        "pagination": {"cursor": None, "hasMore": False, "total": 4},
    }


def test_an_export_holds_all_messages() -> None:
    exported = get(talkative(), f"{LIST}/export", conversationId=FIRST, source="api")
    assert exported["data"] == [{**metadata(FIRST, "ann"), "messages": SAID}]
    assert [len(entry["messages"]) for entry in get(talkative(), f"{LIST}/export")["data"]] == [4, 2, 2]


def test_tool_calls_and_results_are_kept_where_they_were_made() -> None:
    simulator = ChatbaseSimulator("client-action")
    post(simulator, {"message": "hi"})
    result = {"toolCallId": "call_1", "output": {"status": "shipped"}}
    post(simulator, result, TOOL_RESULT)
    post(simulator, result, TOOL_RESULT)
    post(simulator, {"conversationId": FIRST})
    assert [message["parts"] for message in get(simulator, MESSAGES)["data"]] == [
        [{"type": "text", "text": "hi"}],
        [
            {"type": "text", "text": "Let me look."},
            {"type": "tool-call", "toolCallId": "call_1", "toolName": "lookupOrder", "input": {"orderId": "42"}},
            {
                "type": "tool-result",
                "toolCallId": "call_1",
                "toolName": "lookupOrder",
                "output": {"status": "shipped"},
            },
        ],
        [{"type": "text", "text": 'The tools say {"status":"shipped"}.'}],
    ]


def test_an_answer_whose_stream_broke_off_is_kept_all_the_same() -> None:
    simulator = ChatbaseSimulator("cut-before-metadata")
    post(simulator, {"message": "hi", "userId": "ann"})
    (lost,) = get(simulator, "/agents/5QHA6VB/users/ann/conversations")["data"]
    assert (lost["id"], lost["createdAt"]) == (FIRST, 4102444800)
    assert [message["parts"][0]["text"] for message in get(simulator, MESSAGES)["data"]] == ["hi", "Hello there"]


def test_a_paused_conversation_takes_messages_and_answers_nothing() -> None:
    simulator = talkative()
    paused = document(send(simulator, "PATCH", ONE, {"paused": True}))
    assert paused == (200, {"data": {"id": FIRST, "status": "paused"}})
    assert get(simulator, LIST)["data"][0] == metadata(FIRST, "ann", "paused")
    silent = frames(body_of(post(simulator, {"message": "five", "conversationId": FIRST})))
    assert [frame["type"] for frame in silent] == ["message-start", "message-metadata", "finish"]
    assert get(simulator, MESSAGES)["data"][-2] == said(8, "user", "five")
    assert document(send(simulator, "PATCH", ONE, {"paused": False}))[1]["data"]["status"] == "ongoing"
    assert b"text-delta" in body_of(post(simulator, {"message": "six", "conversationId": FIRST}))


@pytest.mark.parametrize("feedback", ["positive", "negative", None])
def test_an_answer_takes_feedback(feedback: str | None) -> None:
    simulator = talkative()
    given = document(send(simulator, "PATCH", f"{MESSAGES}/msg_1/feedback", {"feedback": feedback}))
    assert given == (200, {"data": said(1, "assistant", "Hello there", feedback)})
    assert get(simulator, MESSAGES)["data"][1]["feedback"] == feedback


LIMIT = "Expected a number from 1 to 100"


@pytest.mark.parametrize(
    ("query", "code", "details"),
    [
        ({"limit": "0"}, "VALIDATION_INVALID_BODY", {"limit": LIMIT}),
        ({"limit": "101"}, "VALIDATION_INVALID_BODY", {"limit": LIMIT}),
        ({"limit": "ten"}, "VALIDATION_INVALID_BODY", {"limit": LIMIT}),
        ({"cursor": "2"}, "VALIDATION_INVALID_BODY", {"cursor": "Unknown cursor"}),
        ({"cursor": "LTE="}, "VALIDATION_INVALID_BODY", {"cursor": "Unknown cursor"}),
        ({"startDate": "today"}, "VALIDATION_INVALID_BODY", {"startDate": "Expected a date"}),
        ({"startDate": "2026-11-21", "endDate": "2026-11-20"}, "VALIDATION_INVALID_DATE_RANGE", {}),
    ],
)
def test_a_page_that_is_none_is_refused(query: dict[str, str], code: str, details: dict[str, str]) -> None:
    assert refusal(send(ChatbaseSimulator(), "GET", LIST, **query)) == (400, code, details)


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "details"),
    [
        (ONE, {}, 400, "VALIDATION_INVALID_BODY", {"paused": "Required"}),
        (ONE, {"paused": 1}, 400, "VALIDATION_INVALID_BODY", {"paused": "Expected true or false"}),
        (f"{LIST}/other", {"paused": True}, 404, "RESOURCE_NOT_FOUND", {}),
        (f"{MESSAGES}/msg_1/feedback", {}, 400, "VALIDATION_INVALID_BODY", {"feedback": "Required"}),
        (
            f"{MESSAGES}/msg_1/feedback",
            {"feedback": []},
            400,
            "VALIDATION_INVALID_BODY",
            {"feedback": "Expected positive, negative or null"},
        ),
        (f"{MESSAGES}/msg_9/feedback", {"feedback": None}, 404, "RESOURCE_MESSAGE_NOT_FOUND", {}),
        (f"{MESSAGES}/msg_0/feedback", {"feedback": None}, 422, "RESOURCE_MESSAGE_NOT_ASSISTANT", {}),
    ],
)
def test_a_change_that_cannot_be_made_is_refused(
    path: str, body: Any, status: int, code: str, details: dict[str, str]
) -> None:
    assert refusal(send(talkative(), "PATCH", path, body)) == (status, code, details)


@pytest.mark.parametrize("path", [f"{LIST}/other", f"{LIST}/other/messages"])
def test_an_unknown_conversation_cannot_be_told(path: str) -> None:
    assert refusal(send(ChatbaseSimulator(), "GET", path)) == (404, "RESOURCE_NOT_FOUND", {})


@pytest.mark.parametrize("path", ["/", "/health", "/agents"])
def test_a_path_without_an_agent_is_not_found(path: str) -> None:
    assert refusal(send(ChatbaseSimulator(), "GET", path)) == (404, "RESOURCE_NOT_FOUND", {})


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", ONE, "GET, PATCH"), ("POST", LIST, "GET"), ("GET", f"{MESSAGES}/msg_1/feedback", "PATCH")],
)
def test_a_conversation_cannot_be_deleted_nor_made(method: str, path: str, allowed: str) -> None:
    script = send(talkative(), method, path)
    assert (head(script).status, head(script).headers["Allow"]) == (405, allowed)


# --- refusals


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_each_refusal_can_be_played(name: str) -> None:
    refused = REFUSALS[name]
    expected = (refused.status, refused.code, refused.details)
    assert refusal(post(ChatbaseSimulator(name), {"message": "hi"})) == expected
    assert refusal(post(ChatbaseSimulator(), {"message": f"[play:{name}] hi"})) == expected


def test_the_rate_limit_is_the_documentations_byte_for_byte() -> None:
    assert post(ChatbaseSimulator("rate-limit"), {"message": "hi"}) == [
        Head(
            429,
            {
                "Content-Type": "application/json",
                "X-RateLimit-Limit": "100",
                "X-RateLimit-Remaining": "0",
                "X-RateLimit-Reset": "1781083862000",
                "x-request-id": "req_1",
                "Retry-After": "3",
            },
        ),
        Send(
            b'{"error":{"code":"RATE_LIMIT_TOO_MANY_REQUESTS","message":"Too many requests, please try again later"}}'
        ),
    ]


def test_a_refused_message_is_not_kept() -> None:
    simulator = ChatbaseSimulator()
    post(simulator, {"message": "[play:maintenance] hi"})
    assert frames(body_of(post(simulator, {"message": "hi"})))[0] == {"type": "message-start", "messageId": "msg_1"}


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "AUTH_MISSING_API_KEY"),
        ("Bearer", "AUTH_MISSING_API_KEY"),
        ("Basic k", "AUTH_INVALID_API_KEY"),
        ("Bearer invalid", "AUTH_INVALID_API_KEY"),
        ("Bearer expired", "AUTH_EXPIRED_API_KEY"),
    ],
)
def test_a_request_without_a_good_key_is_refused(authorization: str, code: str) -> None:
    answer = refusal(post(ChatbaseSimulator(), {"message": "hi"}, authorization=authorization))
    assert answer == (401, code, {})


def test_another_method_is_refused() -> None:
    script = list(ChatbaseSimulator().answer(SimulatedRequest("GET", CHAT, CIMultiDict())))
    assert (head(script).status, head(script).headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/agents/unknown-1/chat", "AGENT_NOT_FOUND"),
        ("/agents/5QHA6VB/messages", "RESOURCE_NOT_FOUND"),
        ("/agents/5QHA6VB/conversations/other/tool-result", "RESOURCE_NOT_FOUND"),
        ("/agents/5QHA6VB/conversations/other/retry", "RESOURCE_NOT_FOUND"),
    ],
)
def test_what_is_unknown_is_not_found(path: str, code: str) -> None:
    assert refusal(post(ChatbaseSimulator(), {"message": "hi"}, path)) == (404, code, {})


def test_an_unknown_conversation_is_not_found() -> None:
    answer = refusal(post(ChatbaseSimulator(), {"message": "hi", "conversationId": "other"}))
    assert answer == (404, "RESOURCE_NOT_FOUND", {})


def test_the_conversation_of_another_agent_is_refused() -> None:
    simulator = ChatbaseSimulator()
    post(simulator, {"message": "hi"})
    answer = refusal(post(simulator, {"message": "hi", "conversationId": FIRST}, "/agents/other/chat"))
    assert answer == (403, "CHAT_CONVERSATION_MISMATCH", {})


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    assert refusal(post(ChatbaseSimulator(), body)) == (400, "VALIDATION_INVALID_JSON", {})


TEXT = "Expected a text of at least 1 character"
USER = "Expected at most 128 of a-z A-Z 0-9 . _ -"


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ([], {"body": "Expected an object"}),
        ({}, {"message": "Required for a new conversation"}),
        ({"message": ""}, {"message": TEXT}),
        ({"message": None}, {"message": TEXT}),
        ({"message": "hi", "conversationId": ""}, {"conversationId": TEXT}),
        ({"message": "hi", "stream": "yes"}, {"stream": "Expected true or false"}),
        ({"message": "hi", "userId": "a b"}, {"userId": USER}),
        ({"message": "hi", "userId": "x" * 129}, {"userId": USER}),
        ({"message": "hi", "userId": None}, {"userId": USER}),
        ({"message": "hi", "model": "m"}, {"model": "Unrecognized key"}),
    ],
)
def test_a_chat_of_another_shape_is_refused(body: Any, details: dict[str, str]) -> None:
    assert refusal(post(ChatbaseSimulator(), body)) == (400, "VALIDATION_INVALID_BODY", details)


def test_a_chat_without_a_message_needs_a_tool_result() -> None:
    simulator = ChatbaseSimulator()
    post(simulator, {"message": "hi"})
    answer = refusal(post(simulator, {"conversationId": FIRST}))
    assert answer == (400, "VALIDATION_INVALID_BODY", {"message": "Required while no tool result waits"})


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({"output": 1}, {"toolCallId": "Required"}),
        ({"toolCallId": "call_1"}, {"output": "Required"}),
        ({"toolCallId": "", "output": 1}, {"toolCallId": TEXT}),
        ({"toolCallId": "call_1", "output": 1, "more": 1}, {"more": "Unrecognized key"}),
        ({"toolCallId": "call_1", "output": "x" * 20479}, {"output": "Expected at most 20 KB"}),
    ],
)
def test_a_tool_result_of_another_shape_is_refused(body: Any, details: dict[str, str]) -> None:
    simulator = ChatbaseSimulator("client-action")
    post(simulator, {"message": "hi"})
    assert refusal(post(simulator, body, TOOL_RESULT)) == (400, "VALIDATION_INVALID_BODY", details)


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, {"messageId": "Required"}),
        ({"messageId": "msg_1", "stream": 1}, {"stream": "Expected true or false"}),
        ({"messageId": "msg_1", "message": "hi"}, {"message": "Unrecognized key"}),
    ],
)
def test_a_retry_of_another_shape_is_refused(body: Any, details: dict[str, str]) -> None:
    simulator = ChatbaseSimulator()
    post(simulator, {"message": "hi"})
    assert refusal(post(simulator, body, RETRY)) == (400, "VALIDATION_INVALID_BODY", details)

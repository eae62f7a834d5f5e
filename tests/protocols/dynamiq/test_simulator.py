"""The simulated Dynamiq: its answers against the bytes of the vendor's documentation, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.protocols.base import Head, Pause, Script, Send, SimulatedRequest
from gateway.protocols.dynamiq.plays import PLAYS, REFUSALS
from gateway.protocols.dynamiq.simulator import DynamiqSimulator
from tests.support.play import body_of
from tests.support.simulating import asked, document, frames

HERE = Path(__file__).parent
APP = "8e9f0a1b-0000-4000-8000-000000000001"
MODEL = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
HOST_APP = "0c9a4e5e-0d5b-4c8e-9f5a-6f1d2c3b4a59"
REQUEST = "7a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
NOW = "2026-06-10T09:11:00Z"
FIRST = "6e177d47-e9a1-5f63-8575-40c51a48eabf"
"""The first id that is made."""


def call(simulator: DynamiqSimulator, method: str, path: str, body: Any = None, key: str = "k", **query: str) -> Script:
    return asked(simulator, method, path, body, headers={"Authorization": f"Bearer {key}"}, query=query)


def refusal(script: Script) -> tuple[int, str, dict[str, str]]:
    status, body = document(script)
    return status, body["error"]["code"], body["error"].get("details", {})


def words(script: Script) -> str:
    return "".join(frame["data"].get("delta", "") for frame in frames(body_of(script)) if "response" in frame["type"])


def begin(simulator: DynamiqSimulator, **body: Any) -> str:
    _, created = document(call(simulator, "POST", "/v1/conversations", body or {"app_id": APP, "title": "hi"}))
    conversation: str = created["data"]["id"]
    return conversation


def say(simulator: DynamiqSimulator, conversation: str, text: str = "Was I charged twice?", **more: Any) -> Script:
    body = {"content": [{"type": "text", "text": text}], **more}
    return call(simulator, "POST", f"/v3/conversations/{conversation}/messages", body)


def started(play: str) -> tuple[DynamiqSimulator, str]:
    """A conversation's run and its simulator, after the first stream ended."""
    simulator = DynamiqSimulator(play)
    run: str = frames(body_of(say(simulator, begin(simulator))))[0]["data"]["id"]
    return simulator, f"/v1/runs/{run}"


# --- conversations


def test_a_conversation_is_made_shown_listed_and_deleted() -> None:
    simulator = DynamiqSimulator()
    made = {
        "id": FIRST,
        "title": "hi",
        "app_id": APP,
        "org_id": "1d0b5f6f-1e6c-4d9f-8a6b-7a2e3d4c5b6a",
        "created_at": NOW,
        "updated_at": NOW,
    }
    shown = {**made, "user_id": "user-1", "sandbox_id": None}
    assert document(call(simulator, "POST", "/v1/conversations", {"app_id": APP, "title": "hi"})) == (
        200,
        {"data": made},
    )
    assert document(call(simulator, "GET", f"/v1/conversations/{FIRST}")) == (200, {"data": shown})
    assert document(call(simulator, "GET", "/v1/conversations")) == (
        200,
        {"data": [shown], "pagination": {"page": 1, "page_size": 25, "page_count": 1, "total_count": 1}},
    )
    assert document(call(simulator, "DELETE", f"/v1/conversations/{FIRST}")) == (200, {"message": "deleted"})
    assert refusal(call(simulator, "GET", f"/v1/conversations/{FIRST}")) == (404, "not_found", {})
    assert refusal(call(simulator, "DELETE", f"/v1/conversations/{FIRST}")) == (404, "not_found", {})


def test_conversations_are_listed_by_pages_the_newest_first() -> None:
    simulator = DynamiqSimulator()
    made = [begin(simulator, app_id=APP), begin(simulator, model_id=MODEL), begin(simulator, app_id=APP)]

    def listed(**query: str) -> list[str]:
        _, page = document(call(simulator, "GET", "/v1/conversations", **query))
        return [item["id"] for item in page["data"]]

    assert listed() == made[::-1]
    assert listed(sort="created_at") == made
    assert listed(app_id=APP) == [made[2], made[0]]
    assert listed(model_id=MODEL) == [made[1]]
    assert listed(page_size="2", page="2") == [made[0]]
    assert listed(page="9") == []


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, {"app_id": "exactly one of app_id and model_id is required"}),
        ({"app_id": APP, "model_id": MODEL}, {"app_id": "exactly one of app_id and model_id is required"}),
        ({"app_id": "support"}, {"app_id": "must be a valid UUID"}),
        ({"model_id": 7}, {"model_id": "must be a valid UUID"}),
        ({"app_id": APP, "title": 7}, {"title": "must be a string"}),
        ([], {"error": "expected an object"}),
        (b"{", {}),
    ],
)
def test_a_conversation_that_does_not_fit_is_refused(body: Any, details: dict[str, str]) -> None:
    assert refusal(call(DynamiqSimulator(), "POST", "/v1/conversations", body)) == (400, "bad_request", details)


@pytest.mark.parametrize("owner", ["app_id", "model_id"])
def test_a_conversation_of_nobody_is_not_found(owner: str) -> None:
    assert refusal(call(DynamiqSimulator(), "POST", "/v1/conversations", {owner: UNKNOWN})) == (404, "not_found", {})


@pytest.mark.parametrize(
    ("query", "details"),
    [
        ({"page": "0"}, {"page": "must be a positive number"}),
        ({"page_size": "x"}, {"page_size": "must be a positive number"}),
        ({"sort": "title"}, {"sort": "is invalid"}),
    ],
)
def test_a_page_that_does_not_exist_is_refused(query: dict[str, str], details: dict[str, str]) -> None:
    assert refusal(call(DynamiqSimulator(), "GET", "/v1/conversations", **query)) == (400, "bad_request", details)


# --- plays


@pytest.mark.parametrize("name", ["", *PLAYS])
def test_each_play_is_played_as_recorded(name: str) -> None:
    recorded = (HERE / "examples" / f"{name or 'usual'}.sse").read_bytes()
    simulator = DynamiqSimulator(name)
    assert body_of(say(simulator, begin(simulator))) == recorded
    simulator = DynamiqSimulator()
    text = f"[play:{name}] Was I charged twice?" if name else "Was I charged twice?"
    assert body_of(say(simulator, begin(simulator), text)) == recorded


def test_the_documented_message_is_the_documentations_but_for_ids_times_and_gaps() -> None:
    documented = (HERE / "examples" / "dossier-message.sse").read_text().splitlines()
    simulator = DynamiqSimulator("tool")
    played = body_of(say(simulator, begin(simulator))).decode().splitlines()
    assert [line.partition(" ")[0] for line in played] == [line.partition(" ")[0] for line in documented]
    for ours, theirs in zip(played, documented, strict=True):
        if ours.startswith("data: "):
            told_, meant = json.loads(ours[6:]), json.loads(theirs[6:])
            assert list(told_) == list(meant)
            assert {**told_["data"], "id": None} == {**meant["data"], "id": None}


def test_a_stream_has_the_headers_of_one() -> None:
    simulator = DynamiqSimulator()
    assert say(simulator, begin(simulator))[0] == Head(
        200, {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "Connection": "keep-alive"}
    )


def test_the_usual_answer_repeats_the_question_word_by_word() -> None:
    simulator = DynamiqSimulator()
    script = say(simulator, begin(simulator), "user: hi\nWhere is the order that I made on Monday?")
    assert words(script) == (
        "You asked: Where is the order that I."
        " This is a simulated Dynamiq App, and it answers in small pieces, as the real one does."
    )
    assert [step for step in script if isinstance(step, Pause)] == [Pause(0.02)] * 25


def test_a_blank_question_with_a_play_is_answered() -> None:
    simulator = DynamiqSimulator()
    assert words(say(simulator, begin(simulator), "[play:nonsense]")).startswith("You asked: nothing.")


def test_one_event_leaves_in_one_step() -> None:
    simulator = DynamiqSimulator("tool")
    script = say(simulator, begin(simulator))
    assert all(step.data.count(b"\n\n") == 1 for step in script if isinstance(step, Send))


def test_the_last_play_that_a_message_names_is_played() -> None:
    simulator = DynamiqSimulator("failed")
    script = say(simulator, begin(simulator), "user: [play:canceled] Hi\n[play:nonsense]\n[play:plain] Now")
    assert words(script) == "The customer was charged twice"


def test_every_play_is_listed() -> None:
    assert set(DynamiqSimulator.plays) == {"", *PLAYS, *REFUSALS, "bad-gateway"}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_each_refusal_has_the_documented_body(name: str) -> None:
    simulator = DynamiqSimulator(name)
    play = REFUSALS[name]
    details = {"details": play.details} if play.details else {}
    assert document(say(simulator, begin(simulator))) == (
        play.status,
        {"error": {"code": play.code, "message": play.message, **details}},
    )


def test_a_lost_request_is_answered_with_a_page() -> None:
    simulator = DynamiqSimulator("bad-gateway")
    assert say(simulator, begin(simulator)) == [
        Head(502, {"Content-Type": "text/html"}),
        Send(b"<html><body><h1>502 Bad Gateway</h1></body></html>\n"),
    ]


# --- messages that are refused


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, {"content": "cannot be blank"}),
        ({"content": "hi"}, {"content": "cannot be blank"}),
        ({"content": []}, {"content": "cannot be blank"}),
        ({"content": ["hi"]}, {"content": "is invalid"}),
        ({"content": [{"type": "text", "text": " "}]}, {"text": "cannot be blank"}),
        ({"content": [{"type": "text"}]}, {"text": "cannot be blank"}),
        ({"content": [{"type": "file", "file": {"id": "f", "name": "a"}}]}, {"file": "is unknown"}),
        ({"content": [{"type": "file"}]}, {"file": "is unknown"}),
        (
            {"content": [{"type": "text", "text": "hi"}], "subagents_enabled": 1},
            {"subagents_enabled": "must be a boolean"},
        ),
    ],
)
def test_a_message_that_does_not_fit_is_refused(body: Any, details: dict[str, str]) -> None:
    simulator = DynamiqSimulator()
    path = f"/v3/conversations/{begin(simulator)}/messages"
    assert refusal(call(simulator, "POST", path, body)) == (400, "bad_request", details)


def test_a_message_to_a_model_names_it() -> None:
    simulator = DynamiqSimulator("plain")
    conversation = begin(simulator, model_id=MODEL)
    assert refusal(say(simulator, conversation)) == (400, "bad_request", {"model_id": "cannot be blank"})
    assert words(say(simulator, conversation, model_id=MODEL)) == "The customer was charged twice"


def test_a_message_to_no_conversation_is_not_found() -> None:
    assert refusal(say(DynamiqSimulator(), FIRST)) == (404, "not_found", {})


# --- keys and routes


@pytest.mark.parametrize(
    ("authorization", "path", "refused"),
    [
        ("", "/v1/conversations", (401, "unauthorized")),
        ("Basic k", "/v1/conversations", (401, "unauthorized")),
        ("Bearer invalid", "/v1/runs", (401, "unauthorized")),
        ("Bearer other-project", "/v1/conversations", (403, "forbidden")),
        ("Bearer dyn_pat_1", "/v1/runs", (403, "forbidden")),
        ("Bearer uak_1", "/v1/files", (403, "forbidden")),
    ],
)
def test_a_key_that_is_not_good_is_refused(authorization: str, path: str, refused: tuple[int, str]) -> None:
    headers = CIMultiDict(Authorization=authorization)
    script = list(DynamiqSimulator().answer(SimulatedRequest("GET", path, headers)))
    assert refusal(script)[:2] == refused


def test_a_personal_token_is_good_for_the_management_api() -> None:
    status, _ = document(call(DynamiqSimulator(), "GET", "/v1/conversations", key="dyn_pat_1"))
    assert status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("PATCH", "/v1/conversations", 405),
        ("DELETE", "/v1/runs", 405),
        ("GET", "/v1/runs/x", 404),
        ("POST", "/v1/runs/x/input", 404),
    ],
)
def test_what_there_is_not_is_refused(method: str, path: str, status: int) -> None:
    assert refusal(call(DynamiqSimulator(), method, path))[0] == status


# --- runs that go on


def test_a_cut_run_is_told_on_with_its_fifth_event_once_more() -> None:
    simulator, run = started("cut")
    script = call(simulator, "GET", f"{run}/stream", after_sequence="5")
    assert body_of(script) == (HERE / "resumed" / "cut.sse").read_bytes()
    assert frames(body_of(call(simulator, "GET", f"{run}/stream")))[0]["type"] == "run.started"
    _, body = document(call(simulator, "GET", run))
    assert (body["data"]["status"], body["data"]["output"]) == (
        "completed",
        {"content": "The customer was charged twice, on Monday."},
    )


def test_a_cut_run_that_nobody_follows_goes_on_alone() -> None:
    simulator, run = started("cut")
    assert document(call(simulator, "GET", run))[1]["data"]["status"] == "completed"


def test_a_run_waits_for_its_feedback() -> None:
    simulator, run = started("feedback")
    waiting = document(call(simulator, "GET", run))[1]["data"]
    asked = {"id": REQUEST, "type": "human_feedback", "prompt": "Which of the two charges?"}
    assert (waiting["status"], waiting["input_requests"]) == ("awaiting_input", [asked])
    still = call(simulator, "GET", f"{run}/stream", after_sequence="4")
    assert still[1:] == [Pause(15.0), Send(b": heartbeat\n\n")] * 3
    answer = {"type": "human_feedback", "data": {"request_id": REQUEST, "feedback": "The second"}}
    assert document(call(simulator, "POST", f"{run}/input", answer)) == (200, {"message": "ok"})
    script = call(simulator, "GET", f"{run}/stream", after_sequence="3")
    assert body_of(script) == (HERE / "resumed" / "feedback.sse").read_bytes()
    assert refusal(call(simulator, "POST", f"{run}/input", answer)) == (
        400,
        "bad_request",
        {"status": "the run does not wait for input"},
    )


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        ({"approved": True, "params": {"amount": 600}}, 'The refund is approved with {"amount":600}.'),
        ({"approved": False, "feedback": "too dear"}, "The refund is declined (too dear)."),
    ],
)
def test_a_run_waits_for_its_approval(data: dict[str, Any], answer: str) -> None:
    simulator, run = started("approval")
    assert document(call(simulator, "GET", run))[1]["data"]["input_requests"] == [
        {
            "id": REQUEST,
            "type": "approval_request",
            "prompt": "Approve issuing a $620 refund to customer-7421?",
            "params": {"amount": 620, "currency": "USD"},
            "editable_params": ["amount"],
        }
    ]
    body = {"type": "approval_request", "data": {"request_id": REQUEST, **data}}
    assert document(call(simulator, "POST", f"{run}/input", body)) == (200, {"message": "ok"})
    assert words(call(simulator, "GET", f"{run}/stream", after_sequence="2")) == answer


def test_the_approval_is_resumed_as_recorded() -> None:
    simulator, run = started("approval")
    data = {"request_id": REQUEST, "approved": True, "params": {"amount": 600}}
    call(simulator, "POST", f"{run}/input", {"type": "approval_request", "data": data})
    script = call(simulator, "GET", f"{run}/stream", after_sequence="2")
    assert body_of(script) == (HERE / "resumed" / "approval.sse").read_bytes()


def test_a_request_in_the_engines_words_shows_the_same_fields() -> None:
    simulator, run = started("approval-engine")
    assert document(call(simulator, "GET", run))[1]["data"]["input_requests"] == [
        {
            "id": REQUEST,
            "type": "approval_request",
            "prompt": "Refund?",
            "params": {"amount": 620},
            "editable_params": ["amount"],
        }
    ]


@pytest.mark.parametrize(
    ("play", "body", "details"),
    [
        ("feedback", {"type": "approval_request", "data": {}}, {"type": "is invalid"}),
        ("feedback", {"type": "human_feedback"}, {"type": "is invalid"}),
        ("feedback", {"type": "human_feedback", "data": {"request_id": "x"}}, {"request_id": "is unknown"}),
        (
            "feedback",
            {"type": "human_feedback", "data": {"request_id": REQUEST, "feedback": " "}},
            {"feedback": "cannot be blank"},
        ),
        (
            "approval",
            {"type": "approval_request", "data": {"request_id": REQUEST, "approved": "yes"}},
            {"approved": "must be a boolean"},
        ),
        (
            "approval",
            {
                "type": "approval_request",
                "data": {"request_id": REQUEST, "approved": True, "params": {"currency": "EUR"}},
            },
            {"params": "cannot be edited"},
        ),
        ("plain", {"type": "human_feedback", "data": {}}, {"status": "the run does not wait for input"}),
    ],
)
def test_an_input_that_the_run_did_not_ask_for_is_refused(play: str, body: Any, details: dict[str, str]) -> None:
    simulator, run = started(play)
    assert refusal(call(simulator, "POST", f"{run}/input", body)) == (400, "bad_request", details)


@pytest.mark.parametrize("play", ["waiting", "feedback"])
def test_a_run_that_is_canceled_says_so(play: str) -> None:
    simulator, run = started(play)
    assert document(call(simulator, "POST", f"{run}/cancel")) == (200, {"message": "canceled"})
    shown = document(call(simulator, "GET", run))[1]["data"]
    assert (shown["status"], shown["ended_at"], "input_requests" in shown) == ("canceled", NOW, False)
    script = call(simulator, "GET", f"{run}/stream", after_sequence="2")
    assert frames(body_of(script))[-1]["type"] == "run.canceled"
    if play == "waiting":
        assert body_of(script) == (HERE / "resumed" / "waiting.sse").read_bytes()


def test_a_run_that_is_over_cannot_be_canceled() -> None:
    simulator, run = started("plain")
    assert document(call(simulator, "POST", f"{run}/cancel")) == (200, {"message": "canceled"})
    assert document(call(simulator, "GET", run))[1]["data"]["status"] == "completed"


@pytest.mark.parametrize("after", ["0", "-1", "x"])
def test_a_stream_is_followed_from_a_sequence_that_can_be(after: str) -> None:
    simulator, run = started("plain")
    script = call(simulator, "GET", f"{run}/stream", after_sequence=after)
    assert refusal(script) == (400, "bad_request", {"after_sequence": "must be a positive number"})


# --- the Runs API


ASKED = {"input": {"input": "Was I charged twice?"}, "user_id": "ann"}


def test_a_run_is_answered_as_a_document() -> None:
    simulator = DynamiqSimulator("plain")
    assert document(call(simulator, "POST", "/v1/runs", ASKED)) == (
        200,
        {
            "data": {
                "id": FIRST,
                "app_id": HOST_APP,
                "status": "completed",
                "started_at": NOW,
                "input": {"input": "Was I charged twice?"},
                "ended_at": NOW,
                "output": {"content": "The customer was charged twice"},
                "user_id": "ann",
            }
        },
    )


def test_a_run_that_fails_has_no_output() -> None:
    _, body = document(call(DynamiqSimulator("failed"), "POST", "/v1/runs", ASKED))
    assert (body["data"]["status"], "output" in body["data"]) == ("failed", False)


def test_a_run_in_the_background_is_done_at_the_second_look() -> None:
    simulator = DynamiqSimulator("cut")
    status, body = document(call(simulator, "POST", "/v1/runs", {**ASKED, "background": True}))
    assert (status, body["data"]["status"]) == (202, "created")
    looks = [document(call(simulator, "GET", f"/v1/runs/{FIRST}"))[1]["data"] for _ in range(3)]
    assert [look["status"] for look in looks] == ["started", "completed", "completed"]
    assert looks[-1]["output"] == {"content": "The customer was charged twice, on Monday."}


def test_a_run_in_the_background_can_be_followed() -> None:
    simulator = DynamiqSimulator("plain")
    call(simulator, "POST", "/v1/runs", {**ASKED, "background": True})
    assert words(call(simulator, "GET", f"/v1/runs/{FIRST}/stream")) == "The customer was charged twice"


def test_a_run_is_streamed_and_ends_with_its_output() -> None:
    script = call(DynamiqSimulator("plain"), "POST", "/v1/runs", {**ASKED, "stream": True})
    assert frames(body_of(script))[-1]["data"] == {
        "id": FIRST,
        "object": "run",
        "status": "completed",
        "output": {"content": "The customer was charged twice"},
    }


def test_runs_and_their_events_are_listed() -> None:
    simulator = DynamiqSimulator("plain")
    call(simulator, "POST", "/v1/runs", ASKED)
    call(simulator, "POST", "/v1/runs", {**ASKED, "user_id": "bob", "background": True})
    _, runs = document(call(simulator, "GET", "/v1/runs"))
    assert [(run["user_id"], run["status"]) for run in runs["data"]] == [("bob", "created"), ("ann", "completed")]
    _, runs = document(call(simulator, "GET", "/v1/runs", status="completed"))
    assert [run["user_id"] for run in runs["data"]] == ["ann"]
    _, events = document(call(simulator, "GET", f"/v1/runs/{FIRST}/events", page_size="2"))
    assert [event["sequence"] for event in events["data"]] == [1, 2]
    assert events["pagination"] == {"page": 1, "page_size": 2, "page_count": 3, "total_count": 5}


@pytest.mark.parametrize(
    ("body", "details"),
    [
        ({}, {"input": "cannot be blank"}),
        ({"input": {}}, {"input": "cannot be blank"}),
        ({**ASKED, "stream": True, "background": True}, {"background": "cannot be combined with stream"}),
        ({**ASKED, "file_ids": ["f"]}, {"file_ids": "is unknown"}),
    ],
)
def test_a_run_that_does_not_fit_is_refused(body: Any, details: dict[str, str]) -> None:
    assert refusal(call(DynamiqSimulator(), "POST", "/v1/runs", body)) == (400, "bad_request", details)


# --- files


def form(simulator: DynamiqSimulator, path: str, *parts: str) -> Script:
    body = "".join(f"--b\r\nContent-Disposition: form-data; {part}\r\n" for part in parts) + "--b--\r\n"
    headers = CIMultiDict({"Authorization": "Bearer k", "Content-Type": "multipart/form-data; boundary=b"})
    return list(simulator.answer(SimulatedRequest("POST", path, headers, {}, body.encode())))


FILE = 'name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nab'


def test_a_file_is_stored_and_can_be_named() -> None:
    simulator = DynamiqSimulator()
    assert document(form(simulator, "/v1/files", FILE)) == (
        200,
        {"data": {"id": FIRST, "name": "a.txt", "size": 2, "mime_type": "text/plain"}},
    )
    content = [{"type": "text", "text": "Read"}, {"type": "file", "file": {"id": FIRST, "name": "a.txt"}}]
    path = f"/v3/conversations/{begin(simulator)}/messages"
    assert words(call(simulator, "POST", path, {"content": content})).startswith("You asked: Read. I have a.txt.")
    _, run = document(call(simulator, "POST", "/v1/runs", {**ASKED, "file_ids": [FIRST]}))
    assert "I have a.txt." in run["data"]["output"]["content"]


@pytest.mark.parametrize("parts", [(), ('name="other"\r\n\r\nab',), (FILE, FILE)])
def test_an_upload_without_exactly_one_file_is_refused(parts: tuple[str, ...]) -> None:
    assert refusal(form(DynamiqSimulator(), "/v1/files", *parts))[:2] == (400, "bad_request")


def test_an_upload_that_is_no_form_is_refused() -> None:
    assert refusal(call(DynamiqSimulator(), "POST", "/v1/files", b"ab")) == (
        400,
        "bad_request",
        {"file": "expected a form"},
    )


def test_a_run_may_be_asked_for_in_a_form() -> None:
    simulator = DynamiqSimulator()
    asked = 'name="input"\r\n\r\n{"input":"Read"}'
    file = 'name="files"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\nab'
    status, body = document(form(simulator, "/v1/runs", asked, file, 'name="background"\r\n\r\nfalse'))
    assert status == 200
    assert body["data"]["output"]["content"].startswith("You asked: Read. I have a.txt.")
    assert refusal(form(simulator, "/v1/runs", file)) == (400, "bad_request", {"input": "cannot be blank"})

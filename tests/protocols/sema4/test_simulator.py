"""The simulated Sema4.ai: its answers against what is known of the vendor's bytes, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest

from gateway.protocols.base import Head, Pause, Script, Send
from gateway.protocols.sema4.plays import PLAYS
from gateway.protocols.sema4.simulator import PARQUET, REFUSALS, Sema4Simulator
from tests.support.play import body_of
from tests.support.simulating import asked, document, frames, head

EXAMPLES = Path(__file__).parent / "examples"
LIST = "/agents/a1/conversations"
FIRST = "529a03ad-5e61-58a6-bb91-7b491b10c201"
"""The id of the first conversation."""
HERE = f"{LIST}/{FIRST}"
NOW = "2026-06-05T15:40:49.732328+00:00"
STREAMED = sorted(name for name in PLAYS if not name.startswith("sync-"))


def send(
    simulator: Sema4Simulator,
    method: str,
    path: str,
    body: Any = b"",
    *,
    key: str = "Bearer k",
    media_type: str = "application/json",
    **query: str,
) -> Script:
    headers = {"Authorization": key, "Content-Type": media_type}
    return asked(simulator, method, path, body, headers=headers, query=query)


def began(play: str = "") -> Sema4Simulator:
    """A simulator with one conversation."""
    simulator = Sema4Simulator(play)
    send(simulator, "POST", LIST, {"name": "Hi"})
    return simulator


def ask(simulator: Sema4Simulator, content: str = "Hi", way: str = "stream") -> Script:
    return send(simulator, "POST", f"{HERE}/{way}", {"content": content})


def refusal(script: Script) -> tuple[int, str, str]:
    status, body = document(script)
    return status, body["error"]["code"], body["error"]["message"]


# --- runs


@pytest.mark.parametrize("name", STREAMED)
def test_each_play_is_played_as_recorded(name: str) -> None:
    recorded = (EXAMPLES / f"{name}.sse").read_bytes()
    assert body_of(ask(began(name))) == recorded
    assert body_of(ask(began(), f"[play:{name}] Hi")) == recorded


def test_the_usual_answer_repeats_the_question_word_by_word() -> None:
    script = ask(began())
    assert body_of(script) == (EXAMPLES / "usual.sse").read_bytes()
    assert [step for step in script if isinstance(step, Pause)] == [Pause(0.02)] * 17


def test_the_usual_answer_to_blank_lines_repeats_nothing() -> None:
    assert b"nothing" in body_of(ask(began(), "\n \n"))


@pytest.mark.parametrize(("play", "example"), [("thought", "dossier-thought"), ("tool", "dossier-tool")])
def test_a_run_holds_what_was_seen_of_the_vendor_in_its_order(play: str, example: str) -> None:
    seen = [shape(frame) for frame in frames((EXAMPLES / f"{example}.sse").read_bytes())]
    played = iter([shape(frame) for frame in frames(body_of(ask(began(play))))])
    assert all(any(frame == other for other in played) for frame in seen)


def shape(frame: dict[str, Any]) -> Any:
    """What a frame is, without ids, times and contents."""
    delta = frame.get("delta", {})
    return sorted(frame), frame["event_type"], delta.get("op"), delta.get("path")


def test_an_error_is_the_one_that_was_seen() -> None:
    seen = frames((EXAMPLES / "dossier-error.sse").read_bytes())[-2]
    played = frames(body_of(ask(began("agent-error"))))[-2]
    assert (played["error"], sorted(played)) == (seen["error"], sorted(seen))


def test_a_stream_has_the_headers_of_its_library_and_its_line_ends() -> None:
    script = ask(began("text"))
    assert head(script) == Head(
        200,
        {
            "Content-Type": "text/event-stream; charset=utf-8",
            "Cache-Control": "no-store",
            "Connection": "keep-alive",
            "X-Accel-Buffering": "no",
        },
    )
    events = [step.data for step in script if isinstance(step, Send)]
    assert all(event.count(b"\r\n\r\n") == 1 and event.endswith(b"\r\n\r\n") for event in events)
    assert b"\n" not in body_of(script).replace(b"\r\n", b"")


def test_silence_lasts_20_seconds_with_a_comment_in_it() -> None:
    steps = [
        step for step in ask(began("silence")) if isinstance(step, Pause) or b": ping" in getattr(step, "data", b"")
    ]
    ping = Send(b": ping - 2026-06-05 15:41:04.732328+00:00\r\n\r\n")
    assert steps == [Pause(15), ping, Pause(5), ping]


def test_the_last_play_that_a_message_names_is_played() -> None:
    script = ask(began("text"), "user: [play:cut] hi\n[play:nonsense]\n[play:thought] Hi")
    assert body_of(script) == (EXAMPLES / "thought.sse").read_bytes()


def test_every_play_is_listed() -> None:
    assert set(Sema4Simulator.plays) == {"", *PLAYS, *REFUSALS}


@pytest.mark.parametrize(
    ("play", "example"),
    [
        ("tool", "sync-data"),
        ("two-messages", "sync-two-messages"),
        ("sync-messages", "sync-messages"),
        ("sync-list", "sync-list"),
        ("sync-single", "sync-single"),
    ],
)
def test_a_run_that_is_asked_for_as_a_document_is_one(play: str, example: str) -> None:
    script = ask(began(play), way="messages")
    assert head(script) == Head(200, {"Content-Type": "application/json"})
    assert body_of(script) == (EXAMPLES / f"{example}.json").read_bytes()


def test_what_a_message_becomes_is_what_its_end_says() -> None:
    simulator = began("operations")
    end = next(frame for frame in frames(body_of(ask(simulator))) if frame["event_type"] == "message_end")
    _, listed = document(send(simulator, "GET", f"{HERE}/messages"))
    assert listed["data"][1]["content"] == end["data"]["content"]
    assert end["data"]["content"] == [
        {
            "content_id": f"{end['message_id']}-0",
            "complete": True,
            "kind": "text",
            "text": "Hello",
            "count": 3,
            "citations": [],
            "older": None,
        }
    ]


# --- conversations


def test_agents_are_listed() -> None:
    agent = {"id": "a1", "name": "Invoices", "description": "Knows all invoices", "mode": "conversational"}
    assert document(send(Sema4Simulator(), "GET", "/agents")) == (
        200,
        {"next": None, "has_more": False, "data": [agent]},
    )
    assert document(send(Sema4Simulator(), "GET", "/agents/a1")) == (200, agent)


def test_a_conversation_is_created_listed_and_deleted_with_all_it_holds() -> None:
    simulator = Sema4Simulator()
    shown = {"id": FIRST, "name": "Hi", "agent_id": "a1"}
    assert document(send(simulator, "POST", LIST, {"name": "Hi"})) == (200, shown)
    assert document(send(simulator, "GET", LIST)) == (200, {"next": None, "has_more": False, "data": [shown]})
    assert document(send(simulator, "GET", "/agents/a2/conversations"))[1]["data"] == []
    assert document(send(simulator, "DELETE", HERE)) == (200, shown)
    assert refusal(send(simulator, "DELETE", HERE)) == (404, "not_found", "Conversation not found")
    assert refusal(send(simulator, "GET", f"{HERE}/files")) == (404, "not_found", "Conversation not found")


def test_a_list_is_paged_where_a_limit_is_asked_for() -> None:
    simulator = Sema4Simulator()
    for name in "abc":
        send(simulator, "POST", LIST, {"name": name})
    first = document(send(simulator, "GET", LIST, limit="2"))[1]
    last = document(send(simulator, "GET", LIST, limit="2", next="2"))[1]
    assert [(page["next"], page["has_more"], [each["name"] for each in page["data"]]) for page in (first, last)] == [
        ("2", True, ["a", "b"]),
        (None, False, ["c"]),
    ]


def test_a_message_is_stored_even_if_its_run_fails() -> None:
    simulator = began()
    ask(simulator, "[play:agent-error] Hi")
    _, listed = document(send(simulator, "GET", f"{HERE}/messages"))
    assert [message["role"] for message in listed["data"]] == ["user"]


# --- files

FORM = (
    b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.csv"\r\nContent-Type: text/csv\r\n\r\na,b\r\n'
    b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nno file\r\n'
    b'--b\r\nContent-Disposition: form-data; name="files"; filename="b.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n\x00\xff\r\n--b--\r\n"
)
MULTIPART = "multipart/form-data; boundary=b"


def test_two_files_are_stored_from_one_form_and_downloaded_as_they_were() -> None:
    simulator = began()
    status, stored = document(send(simulator, "POST", f"{HERE}/files", FORM, media_type=MULTIPART))
    assert (status, len(stored)) == (200, 2)
    assert stored[0] == {
        "file_id": "ad249afd-0577-5110-8745-02f6627d20fa",
        "file_path": None,
        "file_ref": "a.csv",
        "file_hash": f"{3:064x}",
        "file_size_raw": 3,
        "mime_type": "text/csv",
        "created_at": NOW,
        "embedded": False,
        "file_path_expiration": None,
        "agent_id": "a1",
        "thread_id": FIRST,
        "user_id": None,
        "file_url": None,
        "work_item_id": None,
    }
    assert document(send(simulator, "GET", f"{HERE}/files")) == (200, stored)
    assert send(simulator, "GET", f"{HERE}/files/download/", file_ref="b.bin") == [
        Head(
            200,
            {
                "Content-Type": "application/octet-stream",
                "Content-Disposition": "attachment; filename*=UTF-8''b.bin",
            },
        ),
        Send(b"\x00\xff"),
    ]


def test_a_file_of_the_same_name_takes_the_place_of_the_other() -> None:
    simulator = began()
    for _ in range(2):
        send(simulator, "POST", f"{HERE}/files", FORM, media_type=MULTIPART)
    assert len(document(send(simulator, "GET", f"{HERE}/files"))[1]) == 2


@pytest.mark.parametrize(("body", "media_type"), [(b"", MULTIPART), (b"{}", "application/json")])
def test_an_upload_without_files_is_refused(body: bytes, media_type: str) -> None:
    script = send(began(), "POST", f"{HERE}/files", body, media_type=media_type)
    assert refusal(script) == (422, "unprocessable_entity", "Request validation failed: files: Field required")


def test_a_file_that_is_not_there_is_not_found() -> None:
    assert refusal(send(began(), "GET", f"{HERE}/files/download/", file_ref="x"))[:2] == (404, "not_found")
    assert refusal(send(began(), "GET", f"{HERE}/files/download/"))[0] == 422
    assert refusal(send(began(), "GET", f"{HERE}/files/download"))[0] == 404


# --- data frames


def framed() -> Sema4Simulator:
    simulator = began("chart")
    ask(simulator)
    return simulator


def test_a_data_frame_is_listed_with_as_many_rows_as_asked_for() -> None:
    simulator = framed()
    samples = [
        document(send(simulator, "GET", f"{HERE}/data-frames", num_samples=number))[1][0]["sample_rows"]
        for number in ("0", "1", "-1")
    ]
    assert samples == [[], [["north", 620]], [["north", 620], ["south", 310], ["west", None]]]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ({}, [{"region": "north", "total": 620}, {"region": "south", "total": 310}, {"region": "west", "total": None}]),
        ({"offset": "1", "limit": "1"}, [{"region": "south", "total": 310}]),
        ({"limit": "-1", "column_names": "total"}, [{"total": 620}, {"total": 310}, {"total": None}]),
        (
            {"order_by": "total", "column_names": "region"},
            [{"region": "west"}, {"region": "south"}, {"region": "north"}],
        ),
        ({"order_by": "-region", "limit": "1"}, [{"region": "west", "total": None}]),
    ],
)
def test_rows_are_sliced_as_asked_for(query: dict[str, str], rows: list[Any]) -> None:
    assert document(send(framed(), "GET", f"{HERE}/data-frames/sales", **query)) == (200, rows)


def test_a_data_frame_is_parquet_where_that_is_asked_for() -> None:
    assert send(framed(), "GET", f"{HERE}/data-frames/sales", output_format="parquet") == [
        Head(
            200,
            {
                "Content-Type": "application/octet-stream",
                "Content-Disposition": 'attachment; filename="sales.parquet"',
            },
        ),
        Send(PARQUET),
    ]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"output_format": "csv"}, 422),
        ({"limit": "x"}, 422),
        ({"limit": "-2"}, 422),
        ({"offset": "-1"}, 422),
        ({"column_names": "profit"}, 400),
        ({"order_by": "-profit"}, 400),
    ],
)
def test_a_slice_that_cannot_be_is_refused(query: dict[str, str], status: int) -> None:
    assert refusal(send(framed(), "GET", f"{HERE}/data-frames/sales", **query))[0] == status


def test_a_data_frame_that_is_not_there_is_not_found() -> None:
    assert refusal(send(framed(), "GET", f"{HERE}/data-frames/a/b"))[:2] == (404, "not_found")


# --- refusals


@pytest.mark.parametrize(
    "key", ["", "Bearer ", "Basic k", "Bearer invalid", "Snowflake k", 'Snowflake Token="invalid"']
)
def test_a_key_that_is_none_is_unauthorized(key: str) -> None:
    assert refusal(send(Sema4Simulator(), "GET", LIST, key=key)) == (401, "unauthorized", "Invalid API key")


def test_a_key_without_rights_is_forbidden() -> None:
    assert refusal(send(Sema4Simulator(), "GET", LIST, key="Bearer forbidden"))[:2] == (403, "forbidden")


def test_a_key_may_come_as_snowflake_wants_it() -> None:
    assert head(send(Sema4Simulator(), "GET", LIST, key='Snowflake Token="k"')).status == 200


@pytest.mark.parametrize("path", ["/agents/unknown/conversations", "/agents//conversations", "/agents/unknown-1"])
def test_an_unknown_agent_is_not_found(path: str) -> None:
    assert refusal(send(Sema4Simulator(), "GET", path)) == (404, "not_found", "Agent not found")


def test_an_unknown_conversation_is_a_thread_where_it_streams() -> None:
    script = send(Sema4Simulator(), "POST", f"{LIST}/none/stream", {"content": "Hi"})
    assert refusal(script) == (404, "not_found", "Thread not found")
    other = send(began(), "POST", f"/agents/a2/conversations/{FIRST}/stream", {"content": "Hi"})
    assert refusal(other) == (404, "not_found", "Thread not found")


@pytest.mark.parametrize(
    "path", ["/", "/agents/a1/x", f"{HERE}/x", f"{HERE}/stream/x", "/agents/a1/conversations/a/b/c"]
)
def test_a_path_that_is_none_is_not_found(path: str) -> None:
    assert refusal(send(began(), "GET", path))[:2] == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/agents"),
        ("PUT", "/agents/a1"),
        ("DELETE", LIST),
        ("GET", HERE),
        ("GET", f"{HERE}/stream"),
        ("PUT", f"{HERE}/messages"),
        ("DELETE", f"{HERE}/files"),
        ("POST", f"{HERE}/files/download/"),
        ("POST", f"{HERE}/data-frames"),
        ("POST", f"{HERE}/data-frames/sales"),
    ],
)
def test_another_method_is_not_allowed(method: str, path: str) -> None:
    assert refusal(send(began(), method, path)) == (405, "method_not_allowed", "Method Not Allowed")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"{", "body: JSON decode error"),
        (b"\xff", "body: JSON decode error"),
        (b"[]", "content: Field required"),
        (b"{}", "content: Field required"),
        (b'{"content":7}', "content: Input should be a valid string"),
        (b'{"content":""}', "content: Input should be a valid string"),
        (b'{"content":"Hi","model":"x"}', "Extra inputs are not permitted"),
    ],
)
@pytest.mark.parametrize("way", ["stream", "messages"])
def test_a_body_that_does_not_fit_is_refused(body: bytes, why: str, way: str) -> None:
    script = send(began(), "POST", f"{HERE}/{way}", body)
    assert refusal(script) == (422, "unprocessable_entity", f"Request validation failed: {why}")


def test_a_conversation_without_a_name_is_refused() -> None:
    assert refusal(send(Sema4Simulator(), "POST", LIST, {}))[2] == "Request validation failed: name: Field required"


@pytest.mark.parametrize("name", sorted(set(REFUSALS) - {"bad-gateway", "not-found-plain"}))
def test_each_refusal_has_the_vendors_body(name: str) -> None:
    refused = REFUSALS[name]
    assert document(ask(began(name))) == (
        refused.status,
        {
            "error": {
                "error_id": "ad249afd-0577-5110-8745-02f6627d20fa",
                "code": refused.code,
                "message": refused.message,
            }
        },
    )


def test_a_refusal_may_be_the_web_frameworks_or_the_routers() -> None:
    assert document(ask(began("not-found-plain"))) == (404, {"detail": "Thread not found"})
    page = ask(began("bad-gateway"))
    assert head(page) == Head(502, {"Content-Type": "text/html"})
    assert body_of(page).startswith(b"<html>")


def test_a_refused_message_is_not_stored() -> None:
    simulator = began()
    ask(simulator, "[play:too-many] Hi")
    assert document(send(simulator, "GET", f"{HERE}/messages"))[1]["data"] == []

"""The simulated Dimedove: its answers against the bytes of the vendor's manual, and what it refuses."""

from pathlib import Path
from typing import Any

import pytest

from gateway.protocols.base import Head, Pause, Script, Send
from gateway.protocols.dimedove.plays import PLAYS, REFUSALS
from gateway.protocols.dimedove.simulator import DimedoveSimulator
from tests.support.play import body_of
from tests.support.simulating import asked, document, frames, head

EXAMPLES = Path(__file__).parent / "examples"
LIST = "/apps/app_1/conversations"
FIRST = "550e8400-e29b-41d4-a716-446655440000"
SECOND = "550e8400-e29b-41d4-a716-446655440001"
THIRD = "550e8400-e29b-41d4-a716-446655440002"
CHAT = f"{LIST}/{FIRST}"
COMPLETIONS = "/apps/app_1/completions"
SHOWN = {
    "id": FIRST,
    "object": "conversation",
    "created_at": 1709712000,
    "external_user_id": None,
    "title": None,
    "generated_title": None,
    "metadata": None,
}


def ask(
    simulator: DimedoveSimulator,
    method: str,
    path: str,
    body: Any = b"",
    *,
    query: dict[str, str] | None = None,
    authorization: str = "Bearer k",
) -> Script:
    return asked(simulator, method, path, body, headers={"Authorization": authorization}, query=query)


def begun(play: str = "", app: str = "app_1", **fields: Any) -> DimedoveSimulator:
    """A vendor with one conversation."""
    simulator = DimedoveSimulator(play)
    ask(simulator, "POST", f"/apps/{app}/conversations", fields)
    return simulator


def send(simulator: DimedoveSimulator, content: str = "hi", path: str = CHAT, **fields: Any) -> Script:
    return ask(simulator, "POST", path, {"message": {"content": content, "role": "user"}, "stream": True, **fields})


def is_stream(script: Script) -> bool:
    return head(script).headers["Content-Type"] == "text/event-stream"


def deltas(script: Script) -> list[str]:
    return [frame["delta"] for frame in frames(body_of(script)) if "delta" in frame]


# --- answers


@pytest.mark.parametrize("name", sorted(PLAYS))
def test_each_play_is_played_as_recorded(name: str) -> None:
    recorded = (EXAMPLES / f"{name}.{'json' if PLAYS[name].is_document else 'sse'}").read_bytes()
    assert body_of(send(begun(name))) == recorded
    assert body_of(send(begun(), f"[play:{name}] hi")) == recorded


@pytest.mark.parametrize(
    "name",
    [
        "text",
        "mapped-tool",
        "client-tool",
        "parallel-tools",
        "malformed-arguments",
        "generative-ui",
        "failed",
        "nothing",
    ],
)
def test_a_message_that_does_not_stream_is_answered_by_one_document(name: str) -> None:
    script = send(begun(name), stream=False)
    assert (head(script), body_of(script)) == (
        Head(200, {"Content-Type": "application/json"}),
        (EXAMPLES / f"sync-{name}.json").read_bytes(),
    )


def test_a_cut_document_is_half_of_it() -> None:
    assert body_of(send(begun("cut"), stream=False)).endswith(b'"conversation_id":"%b","ou' % FIRST.encode())


def test_what_a_document_has_no_place_for_is_left_out() -> None:
    _, body = document(send(begun("unknown-events"), stream=False))
    assert body["output"] == [
        {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hello! How can I help?"}]}
    ]


def test_the_mapped_tool_is_the_manuals() -> None:
    """`dossier-full` tells the same in fewer pieces."""
    script = send(begun("mapped-tool"))
    names = [line for line in body_of(script).splitlines() if line.startswith(b"event: ")]
    documented = [line for line in (EXAMPLES / "dossier-full.sse").read_bytes().splitlines() if line[:6] == b"event:"]
    assert list(dict.fromkeys(names)) == [name for name in documented if name != b"event: response.data_spec"]


def test_a_stream_has_the_documented_type() -> None:
    assert head(send(begun())) == Head(200, {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})


@pytest.mark.parametrize(
    ("app", "asked", "streams"),
    [
        ("app_1", {}, True),
        ("app_1", {"stream": None}, True),
        ("document-app", {}, False),
        ("document-app", {"stream": None}, False),
        ("document-app", {"stream": True}, True),
        ("app_1", {"stream": False}, False),
    ],
)
def test_the_apps_default_decides_where_the_message_does_not(app: str, asked: Any, streams: bool) -> None:  # noqa: FBT001
    simulator = begun(app=app)
    body = {"message": {"content": "hi"}, **asked}
    assert is_stream(ask(simulator, "POST", f"/apps/{app}/conversations/{FIRST}", body)) is streams


def test_the_usual_answer_repeats_the_question_word_by_word() -> None:
    script = send(begun(), "Is it here?")
    assert body_of(script) == (EXAMPLES / "usual.sse").read_bytes()
    assert [step for step in script if isinstance(step, Pause)] == [Pause(0.02)] * len(deltas(script))
    assert len(deltas(script)) == 19


def test_the_usual_answer_to_blank_lines_repeats_nothing() -> None:
    assert "“nothing”. " in deltas(send(begun(), "\n \n"))


def test_one_event_leaves_in_one_step() -> None:
    script = send(begun("mapped-tool"))
    assert all(step.data.count(b"\n\n") == 1 for step in script if isinstance(step, Send))


def test_the_last_play_that_a_message_names_is_played() -> None:
    script = send(begun("nothing"), "user: [play:failed] hi\n[play:nonsense]\n[play:both] now")
    assert body_of(script) == (EXAMPLES / "both.sse").read_bytes()


def test_every_play_is_listed() -> None:
    assert set(DimedoveSimulator.plays) == {"", *PLAYS, *REFUSALS}
    assert DimedoveSimulator.plays["rate-limit"] == "refused: 429 rate_limit_exceeded"
    assert DimedoveSimulator.plays["bad-request"] == "refused: 400 in the words of the framework"


@pytest.mark.parametrize(
    ("play", "status", "text"),
    [
        ("text", "completed", "Hello! How can I help?"),
        ("mapped-tool", "completed", "Yes, 4 left."),
        ("failed", "failed", "Let me see"),
    ],
)
def test_a_completion_may_be_one_document(play: str, status: str, text: str) -> None:
    script = ask(DimedoveSimulator(play), "POST", COMPLETIONS, {"prompt": "hi", "stream": False})
    assert document(script) == (
        200,
        {"id": "cmpl_1", "object": "completion", "created_at": 1709712000, "text": text, "status": status},
    )


def test_a_completion_streams_as_a_message_does_without_a_conversation() -> None:
    script = ask(DimedoveSimulator("text"), "POST", COMPLETIONS, {"prompt": "hi", "fast": True, "metadata": {}})
    recorded = (EXAMPLES / "text.sse").read_bytes()
    started = b'{"id":"cmpl_1","object":"completion","status":"in_progress"}'
    assert body_of(script) == recorded.replace(
        b'{"id":"resp_1","object":"response","status":"in_progress","conversation_id":"%b"}' % FIRST.encode(), started
    ).replace(b"resp_1", b"cmpl_1")


# --- conversations


def test_a_conversation_is_created_and_shown() -> None:
    simulator = DimedoveSimulator()
    fields = {"external_user_id": "ann", "title": "Orders", "metadata": {"city": "Montreal"}}
    assert document(ask(simulator, "POST", LIST, fields)) == (200, {**SHOWN, **fields})
    assert document(ask(simulator, "GET", CHAT)) == (200, {**SHOWN, **fields, "items": []})


def test_an_exchange_is_kept_with_what_the_tools_gave() -> None:
    simulator = begun("mapped-tool")
    send(simulator, "Is it here?", metadata={"city": "Montreal"})
    assert document(ask(simulator, "GET", CHAT)) == (
        200,
        {
            **SHOWN,
            "generated_title": {"en-ca": "A question", "fr-ca": "Une question"},
            "metadata": {"city": "Montreal"},
            "items": [
                {
                    "id": "item_1",
                    "type": "message",
                    "role": "user",
                    "parts": [{"type": "text", "text": "Is it here?"}],
                    "created_at": 1709712000,
                },
                {
                    "id": "item_2",
                    "type": "message",
                    "role": "assistant",
                    "parts": [
                        {
                            "type": "tool-call",
                            "toolCallId": "call_1",
                            "toolName": "check_inventory",
                            "input": {"product_id": "sku_123"},
                            "output": {"sku": "sku_123", "in_stock": 4},
                        },
                        {"type": "text", "text": "Yes, 4 left."},
                    ],
                    "created_at": 1709712000,
                },
            ],
        },
    )


@pytest.mark.parametrize(
    ("play", "kinds"),
    [
        ("parallel-tools", ["tool-call", "tool-call", "text"]),
        ("generative-ui", ["text", "data-spec", "data-spec", "data-spec"]),
        ("malformed-arguments", ["tool-call", "text"]),
        ("unknown-events", ["text"]),
    ],
)
def test_each_kind_of_part_is_kept(play: str, kinds: list[str]) -> None:
    simulator = begun(play)
    send(simulator)
    _, shown = document(ask(simulator, "GET", CHAT))
    assert [part["type"] for part in shown["items"][1]["parts"]] == kinds


@pytest.mark.parametrize("play", ["failed", "cut"])
def test_of_an_answer_that_failed_the_question_is_kept(play: str) -> None:
    simulator = begun(play)
    send(simulator)
    _, shown = document(ask(simulator, "GET", CHAT))
    assert [item["role"] for item in shown["items"]] == ["user"]


def test_a_later_message_has_ids_of_its_own_and_keeps_the_metadata() -> None:
    simulator = begun("client-tool", metadata={"a": 1})
    send(simulator)
    script = send(simulator)
    assert (b'"resp_2"' in body_of(script), b'"call_2"' in body_of(script), b'"call_1"' in body_of(script)) == (
        True,
        True,
        False,
    )
    _, shown = document(ask(simulator, "GET", CHAT))
    assert ([item["id"] for item in shown["items"]], shown["metadata"]) == (
        ["item_1", "item_2", "item_3", "item_4"],
        {"a": 1},
    )


def test_a_conversation_is_renamed() -> None:
    simulator = begun(title="Old")
    assert document(ask(simulator, "PATCH", CHAT, {"title": "New"})) == (200, {**SHOWN, "title": "New"})
    assert document(ask(simulator, "PATCH", CHAT, {"title": None})) == (200, SHOWN)


def test_a_deleted_conversation_is_not_found_any_more() -> None:
    simulator = begun()
    assert document(ask(simulator, "DELETE", CHAT)) == (
        200,
        {"id": FIRST, "object": "conversation", "deleted": True},
    )
    assert [document(ask(simulator, method, CHAT, {}))[0] for method in ("GET", "DELETE", "PATCH", "POST")] == [404] * 4
    assert document(ask(simulator, "GET", LIST))[1]["data"] == []
    assert document(ask(simulator, "POST", LIST, {}))[1]["id"] == SECOND


def three() -> DimedoveSimulator:
    simulator = begun(external_user_id="ann")
    for user in ("bob", "ann"):
        ask(simulator, "POST", LIST, {"external_user_id": user})
    return simulator


@pytest.mark.parametrize(
    ("query", "ids", "has_more"),
    [
        ({}, [THIRD, SECOND, FIRST], False),
        ({"order": "asc"}, [FIRST, SECOND, THIRD], False),
        ({"limit": "2"}, [THIRD, SECOND], True),
        ({"limit": "2", "after": SECOND}, [FIRST], False),
        ({"limit": "1", "after": FIRST, "order": "asc"}, [SECOND], True),
        ({"before": FIRST}, [THIRD, SECOND], False),
        ({"after": FIRST}, [], False),
    ],
)
def test_conversations_are_listed_page_by_page(query: dict[str, str], ids: list[str], has_more: bool) -> None:  # noqa: FBT001
    _, page = document(ask(three(), "GET", LIST, query=query))
    assert {**page, "data": [row["id"] for row in page["data"]]} == {
        "object": "list",
        "data": ids,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": has_more,
    }


def test_a_users_conversations_are_listed_apart() -> None:
    simulator = three()
    _, page = document(ask(simulator, "GET", "/apps/app_1/users/ann/conversations"))
    assert [row["id"] for row in page["data"]] == [THIRD, FIRST]
    assert document(ask(simulator, "GET", "/apps/app_1/users/eve/conversations"))[1]["data"] == []


def test_an_app_tells_its_configuration_and_its_numbers() -> None:
    simulator = three()
    send(simulator)
    assert document(ask(simulator, "GET", "/apps/app_1/metrics")) == (
        200,
        {"total_conversations": 3, "total_messages": 2, "total_users": 2},
    )
    assert document(ask(simulator, "GET", "/apps/document-app/config")) == (
        200,
        {
            "app_id": "document-app",
            "stream": False,
            "generative_ui": True,
            "agent": {"name": "Simulated agent", "config": {"primary_color": None, "secondary_color": None}},
        },
    )


# --- refusals


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_each_refusal_can_be_played(name: str) -> None:
    refused = REFUSALS[name]
    assert document(send(begun(name))) == (refused.status, refused.body)
    assert document(send(begun(), f"[play:{name}] hi")) == (refused.status, refused.body)
    assert document(ask(DimedoveSimulator(name), "POST", COMPLETIONS, {"prompt": "hi"})) == (
        refused.status,
        refused.body,
    )


def test_a_refusal_is_the_manuals_byte_for_byte() -> None:
    assert send(begun("rate-limit")) == [
        Head(429, {"Content-Type": "application/json"}),
        Send(b'{"error":{"message":"Rate limit exceeded","type":"rate_limit_exceeded","param":null,"code":null}}'),
    ]


def test_a_refused_message_is_not_kept() -> None:
    simulator = begun("internal")
    send(simulator)
    assert document(ask(simulator, "GET", CHAT))[1]["items"] == []


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer ", "Basic k", "Bearer invalid", "Bearer pk_live_1"])
def test_a_request_without_a_good_key_is_refused(authorization: str) -> None:
    script = ask(DimedoveSimulator(), "POST", LIST, {}, authorization=authorization)
    assert document(script) == (401, REFUSALS["invalid-key"].body)


@pytest.mark.parametrize(
    ("app", "name"),
    [
        ("unknown-1", "not-found"),
        ("denied-1", "access-denied"),
        ("inactive-1", "app-inactive"),
        ("unavailable-1", "agent-unavailable"),
    ],
)
def test_an_app_that_may_not_be_asked_is_refused(app: str, name: str) -> None:
    refused = REFUSALS[name]
    assert document(ask(DimedoveSimulator(), "GET", f"/apps/{app}/config")) == (refused.status, refused.body)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/apps/app_1/config", "GET"),
        ("POST", "/apps/app_1/metrics", "GET"),
        ("PUT", LIST, "GET, POST"),
        ("POST", "/apps/app_1/users/ann/conversations", "GET"),
        ("PUT", CHAT, "GET, PATCH, DELETE, POST"),
        ("GET", COMPLETIONS, "POST"),
    ],
)
def test_another_method_is_refused(method: str, path: str, allowed: str) -> None:
    script = ask(begun(), method, path)
    assert (document(script), head(script).headers["Allow"]) == ((405, {"detail": "Method Not Allowed"}), allowed)


def test_another_path_is_not_found() -> None:
    assert document(ask(DimedoveSimulator(), "GET", "/apps/app_1/messages")) == (404, {"detail": "Not Found"})


@pytest.mark.parametrize("path", [f"{LIST}/other", f"/apps/app_2/conversations/{FIRST}"])
def test_a_conversation_of_nobody_or_of_another_app_is_not_found(path: str) -> None:
    assert document(ask(begun(), "GET", path)) == (404, REFUSALS["not-found"].body)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(body: bytes) -> None:
    assert document(ask(DimedoveSimulator(), "POST", LIST, body)) == (400, {"detail": "Cannot parse request body"})


HI = {"content": "hi"}


@pytest.mark.parametrize(
    ("method", "path", "body", "place", "why"),
    [
        ("POST", LIST, [], [], "Input should be an object"),
        ("POST", LIST, {"title": 7}, ["title"], "Input should be a string or null"),
        ("POST", LIST, {"external_user_id": {}}, ["external_user_id"], "Input should be a string or null"),
        ("POST", LIST, {"metadata": []}, ["metadata"], "Input should be an object of at most 16 KB or null"),
        (
            "POST",
            LIST,
            {"metadata": {"a": "x" * 16 * 1024}},
            ["metadata"],
            "Input should be an object of at most 16 KB or null",
        ),
        ("PATCH", CHAT, {"title": 7}, ["title"], "Input should be a string or null"),
        ("POST", CHAT, {}, ["message"], "Field required"),
        ("POST", CHAT, {"message": "hi"}, ["message"], "Input should be an object"),
        ("POST", CHAT, {"message": {}}, ["message", "content"], "Field required"),
        ("POST", CHAT, {"message": {"content": None}}, ["message", "content"], "Input should be a string"),
        ("POST", CHAT, {"message": {**HI, "role": "system"}}, ["message", "role"], "Input should be 'user'"),
        ("POST", CHAT, {"message": HI, "stream": "yes"}, ["stream"], "Input should be true, false or null"),
        ("POST", COMPLETIONS, {}, ["prompt"], "Field required"),
        ("POST", COMPLETIONS, {"prompt": ""}, ["prompt"], "Input should be a string of 1 to 32000 characters"),
        ("POST", COMPLETIONS, {"prompt": "x" * 32001}, ["prompt"], "Input should be a string of 1 to 32000 characters"),
        ("POST", COMPLETIONS, {"prompt": "hi", "fast": None}, ["fast"], "Input should be true or false"),
    ],
)
def test_a_body_of_another_shape_is_refused(method: str, path: str, body: Any, place: list[str], why: str) -> None:
    status, told = document(ask(begun(), method, path, body))
    (problem,) = told["detail"]
    assert (status, problem["loc"], problem["msg"]) == (422, ["body", "payload", *place], why)


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"limit": "²"}, "limit"),
        ({"order": "up"}, "order"),
        ({"after": "other"}, "after"),
        ({"before": "other"}, "before"),
    ],
)
def test_a_page_that_there_cannot_be_is_refused(query: dict[str, str], place: str) -> None:
    status, told = document(ask(begun(), "GET", LIST, query=query))
    assert (status, told["detail"][0]["loc"]) == (422, ["query", place])


def test_fields_that_nobody_knows_are_passed_over() -> None:
    assert document(ask(DimedoveSimulator(), "POST", LIST, {"colour": "blue"})) == (200, SHOWN)

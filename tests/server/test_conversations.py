"""Everything below `/v1/conversations` but files and data frames: what is asked, told, paged and deleted."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import until
from tests.support.served import Reply, Served, serving
from tests.support.shelf import PROTOCOLS, Shelf, answer, config, cut, hold

VALUE = "canary-value-5d1e"


@pytest.fixture
async def acme() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        yield shelf


@pytest.fixture
async def beta() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        yield shelf


@pytest.fixture
async def gateway(tmp_path: Path, acme: Shelf, beta: Shelf) -> AsyncIterator[Served]:
    text = config(acme=acme, beta=beta, bare={"plain": acme}, deadlines="first_event = 2")
    async with serving(tmp_path, text, protocols=PROTOCOLS) as served:
        yield served


async def say(gateway: Served, route: str, conversation_id: str | None = None, text: str = "Hi") -> Any:
    """A message and its answer as one document."""
    asked: dict[str, object] = {"content": text, "route": route, "stream": False}
    if conversation_id is not None:
        asked["conversation_id"] = conversation_id
    reply = await gateway.post(asked)
    assert reply.status == 200, reply.body
    return reply.document


async def create(gateway: Served, **fields: object) -> str:
    conversation_id = (await gateway.ask("POST", "/v1/conversations", json=fields)).document["id"]
    assert isinstance(conversation_id, str)
    return conversation_id


async def get(gateway: Served, path: str) -> Any:
    reply = await gateway.ask("GET", f"/v1/conversations{path}")
    assert reply.status == 200, reply.body
    return reply.document


def told(reply: Reply) -> tuple[int, str, str | None]:
    """Status, code, and the path that the error names."""
    return reply.status, reply.error["code"], reply.error.get("details", {}).get("path")


# --- begun, read, listed


async def test_a_conversation_is_begun_without_a_message(gateway: Served, acme: Shelf) -> None:
    reply = await gateway.ask("POST", "/v1/conversations", json={"title": "Trip", "metadata": {"a": [1]}})
    assert (reply.status, reply.headers["Content-Type"]) == (201, "application/json")
    document = reply.document
    assert document == {
        "id": document["id"],
        "created_at": document["created_at"],
        "updated_at": document["created_at"],
        "title": "Trip",
        "metadata": {"a": [1]},
    }
    assert await get(gateway, f"/{document['id']}") == document
    assert await get(gateway, f"/{document['id']}/messages") == {"data": [], "next_cursor": None}
    assert acme.calls == []


async def test_a_conversation_needs_no_body(gateway: Served) -> None:
    assert (await gateway.ask("POST", "/v1/conversations")).status == 201


async def test_what_was_begun_without_a_message_goes_on_with_one(gateway: Served, acme: Shelf) -> None:
    conversation_id = await create(gateway, title="Trip")
    message = await say(gateway, "acme", conversation_id)
    assert message["conversation_id"] == conversation_id
    document = await get(gateway, f"/{conversation_id}")
    assert document["bindings"] == [{"vendor": "acme", "vendor_ids": {"conversation": "c1"}}]
    assert document["title"] == "Trip"


async def test_each_vendor_of_a_conversation_is_told_with_its_own_ids(gateway: Served) -> None:
    first = await say(gateway, "acme")
    await say(gateway, "beta", first["conversation_id"])
    document = await get(gateway, f"/{first['conversation_id']}")
    assert document["bindings"] == [
        {"vendor": "acme", "vendor_ids": {"conversation": "c1"}},
        {"vendor": "beta", "vendor_ids": {"conversation": "c1"}},
    ]


async def test_a_binding_that_broke_off_is_told_as_uncertain(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "acme")
    acme.instead["POST /conversations/c1/messages"] = cut
    await gateway.post({"content": "Two", "route": "acme", "conversation_id": first["conversation_id"]})
    (binding,) = (await get(gateway, f"/{first['conversation_id']}"))["bindings"]
    assert binding == {"vendor": "acme", "vendor_ids": {"conversation": "c1"}, "is_uncertain": True}


async def test_messages_are_listed_in_the_order_in_which_they_were_said(gateway: Served) -> None:
    first = await say(gateway, "acme", text="One")
    second = await say(gateway, "acme", first["conversation_id"], text="Two")
    listed = await get(gateway, f"/{first['conversation_id']}/messages")
    assert [(message["role"], message["parts"][0]["text"]) for message in listed["data"]] == [
        ("user", "One"),
        ("assistant", "Hello"),
        ("user", "Two"),
        ("assistant", "Hello"),
    ]
    assert [listed["data"][1], listed["data"][3]] == [first, second]


async def test_a_message_that_runs_is_listed_as_running(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "acme")
    acme.instead["POST /conversations/c1/messages"] = hold
    body = {"content": "Two", "route": "acme", "conversation_id": first["conversation_id"]}
    running = asyncio.create_task(gateway.post(body))
    await until(lambda: acme.calls.count("POST /conversations/c1/messages") == 2)
    *_, question, answered = (await get(gateway, f"/{first['conversation_id']}/messages"))["data"]
    assert [(question["role"], question["status"]), (answered["role"], answered["status"])] == [
        ("user", "completed"),
        ("assistant", "running"),
    ]
    refused = await gateway.ask("DELETE", f"/v1/conversations/{first['conversation_id']}")
    assert told(refused) == (409, "conflict", None)
    assert (await running).status == 504


# --- pages


async def test_messages_are_paged_by_a_cursor(gateway: Served) -> None:
    first = await say(gateway, "acme", text="One")
    await say(gateway, "acme", first["conversation_id"], text="Two")
    path = f"/{first['conversation_id']}/messages"
    whole = await get(gateway, path)
    page = await get(gateway, f"{path}?limit=3")
    rest = await get(gateway, f"{path}?limit=3&cursor={page['next_cursor']}")
    assert (len(page["data"]), len(rest["data"]), rest["next_cursor"]) == (3, 1, None)
    assert page["data"] + rest["data"] == whole["data"]


async def test_conversations_are_paged_the_latest_used_first(gateway: Served) -> None:
    made = [await create(gateway, title=str(number)) for number in range(5)]
    first = await get(gateway, "?limit=2")
    second = await get(gateway, f"?limit=2&cursor={first['next_cursor']}")
    third = await get(gateway, f"?limit=2&cursor={second['next_cursor']}")
    assert [each["id"] for page in (first, second, third) for each in page["data"]] == made[::-1]
    assert third["next_cursor"] is None
    assert "bindings" not in first["data"][0]


async def test_twenty_are_shown_where_no_number_is_asked_for(gateway: Served) -> None:
    for _ in range(21):
        await create(gateway)
    page = await get(gateway, "")
    assert (len(page["data"]), page["next_cursor"] is not None) == (20, True)


@pytest.mark.parametrize("cursor", [VALUE, "a", "W10", "%00", "..", "WyJhIl0", "x" * 513])
@pytest.mark.parametrize("path", ["", "/{}/messages"])
async def test_a_cursor_that_no_list_gave_is_refused(cursor: str, path: str, gateway: Served) -> None:
    conversation_id = await create(gateway)
    reply = await gateway.ask("GET", f"/v1/conversations{path.format(conversation_id)}?cursor={cursor}")
    assert told(reply)[:2] == (400, "bad_request")
    assert reply.error["details"]["path"] in {"$.cursor", "query.cursor"}
    assert VALUE.encode() not in reply.body


# --- strictness

QUERIES = [
    ("GET", "", "limit=0", "query.limit"),
    ("GET", "", "limit=101", "query.limit"),
    ("GET", "", f"limit={VALUE}", "query.limit"),
    ("GET", "", "limit=", "query.limit"),
    ("GET", "", f"sort={VALUE}", "query.sort"),
    ("GET", "", f"limit=1&limit={VALUE}", "query"),
    ("POST", "", f"title={VALUE}", "query.title"),
    ("GET", "/{}", f"a={VALUE}", "query.a"),
    ("DELETE", "/{}", f"copies={VALUE}", "query.copies"),
    ("DELETE", "/{}", f"copy={VALUE}", "query.copy"),
    ("GET", "/{}/messages", "limit=1.5", "query.limit"),
    ("GET", "/{}/messages", f"after={VALUE}", "query.after"),
    ("GET", "/{}/files", "limit=1", "query.limit"),
    ("GET", "/{}/files/file_1", f"name={VALUE}", "query.name"),
    ("POST", "/{}/files", f"route={VALUE}%20", "query.route"),
    ("POST", "/{}/files", f"path={VALUE}", "query.path"),
    ("GET", "/{}/data-frames", "limit=1", "query.limit"),
    ("GET", "/{}/data-frames/sales", "offset=-1", "query.offset"),
    ("GET", "/{}/data-frames/sales", "limit=10001", "query.limit"),
    ("GET", "/{}/data-frames/sales", "columns=", "query.columns"),
    ("GET", "/{}/data-frames/sales", f"columns=a,,{VALUE}", "query.columns"),
    ("GET", "/{}/data-frames/sales", f"order={VALUE}%0a", "query.order"),
    ("GET", "/{}/data-frames/sales", f"format={VALUE}", "query.format"),
    ("GET", "/{}/data-frames/a%0ab", "", "path.name"),
]


@pytest.mark.parametrize(("method", "path", "query", "where"), QUERIES)
async def test_a_query_that_does_not_fit_is_refused_with_its_path(  # noqa: PLR0917  (a row, and what it is asked of)
    method: str, path: str, query: str, where: str, gateway: Served, acme: Shelf
) -> None:
    conversation_id = (await say(gateway, "acme"))["conversation_id"]
    acme.calls.clear()
    reply = await gateway.ask(method, f"/v1/conversations{path.format(conversation_id)}?{query}")
    assert told(reply) == (400, "bad_request", where)
    assert VALUE.encode() not in reply.body
    assert acme.calls == []
    assert VALUE not in repr(gateway.log.lines)


BODIES: list[tuple[bytes, str]] = [
    (b"{", "$"),
    (b"[]", "$"),
    (b'{"titel": "canary-value-5d1e"}', "$.titel"),
    (b'{"title": ""}', "$.title"),
    (b'{"title": ["canary-value-5d1e"]}', "$.title"),
    (b'{"title": "%s"}' % (b"x" * 257), "$.title"),
    (b'{"metadata": "canary-value-5d1e"}', "$.metadata"),
    (b'{"metadata": {"a": "%s"}}' % (b"x" * 20_000), "$.metadata"),
    (b'{"metadata": {"a": "\\ud800"}}', "$"),
    (b'{"metadata": {"a": %s}}' % (b"[" * 100_000), "$"),
    (b"\xff\xfe", "$"),
]


@pytest.mark.parametrize(("body", "where"), BODIES, ids=range(len(BODIES)))
async def test_a_body_that_does_not_fit_is_refused_with_its_path(body: bytes, where: str, gateway: Served) -> None:
    headers = {"Content-Type": "application/json"}
    reply = await gateway.ask("POST", "/v1/conversations", data=body, headers=headers)
    assert told(reply) == (400, "bad_request", where)
    assert VALUE.encode() not in reply.body
    assert (await get(gateway, ""))["data"] == []


async def test_a_body_that_is_no_json_or_too_large_is_refused(gateway: Served) -> None:
    text = await gateway.ask("POST", "/v1/conversations", data=b"title=a", headers={"Content-Type": "text/plain"})
    large = await gateway.ask("POST", "/v1/conversations", data=io.BytesIO(bytes(2_000_000)))
    assert told(text) == (415, "unsupported_media_type", None)
    assert told(large) == (413, "payload_too_large", None)


# --- deleted


async def test_all_copies_are_deleted(gateway: Served, acme: Shelf, beta: Shelf) -> None:
    first = await say(gateway, "acme")
    await say(gateway, "beta", first["conversation_id"])
    path = f"/v1/conversations/{first['conversation_id']}"
    reply = await gateway.ask("DELETE", path)
    assert (reply.status, reply.document) == (
        200,
        {"id": first["conversation_id"], "copies": {"acme": "deleted", "beta": "deleted"}, "deleted": True},
    )
    assert (acme.conversations, beta.conversations) == ({}, {})
    assert told(await gateway.ask("GET", path)) == (404, "not_found", None)
    assert told(await gateway.ask("DELETE", path)) == (404, "not_found", None)
    assert (await get(gateway, ""))["data"] == []


async def test_a_conversation_that_no_vendor_knows_is_deleted_without_a_call(gateway: Served, acme: Shelf) -> None:
    conversation_id = await create(gateway)
    reply = await gateway.ask("DELETE", f"/v1/conversations/{conversation_id}")
    assert (reply.document["copies"], acme.calls) == ({}, [])


async def test_copies_are_kept_where_that_is_asked(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "acme")
    reply = await gateway.ask("DELETE", f"/v1/conversations/{first['conversation_id']}?copies=keep")
    assert reply.document["copies"] == {"acme": "kept"}
    assert list(acme.conversations) == ["c1"]
    assert told(await gateway.ask("GET", f"/v1/conversations/{first['conversation_id']}"))[0] == 404


async def test_nothing_is_deleted_where_one_vendor_cannot(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "acme")
    await say(gateway, "plain", first["conversation_id"])
    acme.calls.clear()
    path = f"/v1/conversations/{first['conversation_id']}"
    reply = await gateway.ask("DELETE", path)
    assert told(reply) == (422, "unsupported", "query.copies")
    assert reply.error["details"]["vendors"] == ["plain"]
    assert acme.calls == []
    assert len((await get(gateway, f"/{first['conversation_id']}"))["bindings"]) == 2
    kept = await gateway.ask("DELETE", f"{path}?copies=keep")
    assert kept.document["copies"] == {"acme": "kept", "plain": "kept"}


async def test_a_copy_that_holds_a_question_without_an_answer_is_deleted(gateway: Served, acme: Shelf) -> None:
    acme.instead["POST /conversations/c1/messages"] = cut
    conversation_id = await create(gateway)
    await gateway.post({"content": "Hi", "route": "acme", "conversation_id": conversation_id})
    assert (await get(gateway, f"/{conversation_id}"))["bindings"][0]["is_uncertain"]
    reply = await gateway.ask("DELETE", f"/v1/conversations/{conversation_id}")
    assert (reply.status, reply.document["copies"]) == (200, {"acme": "deleted"})


async def test_a_copy_that_is_gone_already_is_deleted(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "acme")
    acme.conversations.clear()
    reply = await gateway.ask("DELETE", f"/v1/conversations/{first['conversation_id']}")
    assert reply.document["copies"] == {"acme": "deleted"}


async def test_a_vendor_that_fails_in_the_middle_leaves_what_it_has_and_a_retry_goes_on(
    gateway: Served, acme: Shelf, beta: Shelf
) -> None:
    first = await say(gateway, "acme")
    await say(gateway, "beta", first["conversation_id"])
    path = f"/v1/conversations/{first['conversation_id']}"
    beta.instead["DELETE /conversations/c1"] = answer(500, b"stack")
    refused = await gateway.ask("DELETE", path)
    assert told(refused) == (503, "upstream_unavailable", None)
    assert refused.error["vendor"] == "beta"
    assert b"stack" not in refused.body
    assert (await get(gateway, f"/{first['conversation_id']}"))["bindings"] == [
        {"vendor": "beta", "vendor_ids": {"conversation": "c1"}}
    ]
    assert len((await get(gateway, f"/{first['conversation_id']}/messages"))["data"]) == 4
    del beta.instead["DELETE /conversations/c1"]
    reply = await gateway.ask("DELETE", path)
    assert reply.document["copies"] == {"beta": "deleted"}
    assert acme.calls.count("DELETE /conversations/c1") == 1


async def test_no_message_begins_while_the_conversation_is_being_deleted(gateway: Served, acme: Shelf) -> None:
    first = await say(gateway, "acme")
    acme.instead["DELETE /conversations/c1"] = hold
    deleting = asyncio.create_task(gateway.ask("DELETE", f"/v1/conversations/{first['conversation_id']}"))
    await until(lambda: "DELETE /conversations/c1" in acme.calls)
    body = {"content": "Two", "route": "acme", "conversation_id": first["conversation_id"]}
    assert told(await gateway.post(body)) == (409, "conflict", None)
    assert told(await deleting) == (504, "upstream_timeout", None)
    assert (await gateway.post(body)).status == 200


async def test_a_client_that_leaves_while_a_copy_is_deleted_frees_the_conversation(
    gateway: Served, acme: Shelf
) -> None:
    first = await say(gateway, "acme")
    acme.instead["DELETE /conversations/c1"] = hold
    deleting = asyncio.create_task(gateway.ask("DELETE", f"/v1/conversations/{first['conversation_id']}"))
    await until(lambda: "DELETE /conversations/c1" in acme.calls)
    deleting.cancel()
    async with asyncio.timeout(2):
        await acme.left.wait()
    await until(lambda: bool([line for line in gateway.log.of("resource") if line["code"] == "canceled"]))
    await say(gateway, "acme", first["conversation_id"])
    assert await gateway.samples("gateway_errands_total") == {("delete_conversation", "canceled", "acme"): 1}


async def test_a_conversation_whose_vendor_no_route_leads_to_can_only_be_forgotten(
    tmp_path: Path, acme: Shelf, beta: Shelf
) -> None:
    sqlite = f'kind = "sqlite"\npath = "{tmp_path}/kept.sqlite3"'
    both = config(acme=acme, beta=beta).replace('kind = "memory"', sqlite)
    one = config(beta=beta).replace('kind = "memory"', sqlite)
    async with serving(tmp_path, both, protocols=PROTOCOLS) as gateway:
        first = await say(gateway, "acme")
    async with serving(tmp_path, one, protocols=PROTOCOLS) as gateway:
        path = f"/v1/conversations/{first['conversation_id']}"
        reply = await gateway.ask("DELETE", path)
        assert told(reply) == (422, "unsupported", None)
        assert reply.error["details"] == {"vendor": "acme"}
        assert (await gateway.ask("DELETE", f"{path}?copies=keep")).document["copies"] == {"acme": "kept"}

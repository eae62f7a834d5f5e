"""Two keys and every route: what is another's answers as what does not exist (rows 63 and 73 of the list of faults)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from gateway.protocols.native.dialect import NativeDialect
from tests.support.gateway import until
from tests.support.served import Reply, Served, serving
from tests.support.shelf import HELLO, PROTOCOLS, Shelf, config, form

KEYS = "".join(
    f'[[keys]]\nid = "{name}"\nsha256 = "{hashlib.sha256(f"gwk_{name}".encode()).hexdigest()}"\n' for name in "ab"
)
ANNA, BEN = {"Authorization": "Bearer gwk_a"}, {"Authorization": "Bearer gwk_b"}

ROUTES = [(route.method, route.path, route.operation) for route in NativeDialect.routes]
NAMING = [row for row in ROUTES if "{" in row[1]]
WITHOUT_A_NAME = {"message", "create_conversation", "list_conversations"}

TRAVERSALS = [
    "..",
    "%2e%2e",
    ".%2e",
    "..%2f..%2fadmin",
    "%2f",
    "%2fetc%2fpasswd",
    "%5c..%5c",
    "%00",
    "a%00b",
    "con",
    "NUL",
    "%252e%252e%252f",
    "%0d%0aX:%201",
    "%ed%a0%80",
    "%ff",
    "x" * 300,
    "conv_",
    "*",
    "'%20OR%20'1'='1",
]


@pytest.fixture
async def acme() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        shelf.frames = [{"name": "sales", "columns": ["a"], "rows": [[1]]}]
        yield shelf


@pytest.fixture(params=["memory", "sqlite"])
async def gateway(tmp_path: Path, acme: Shelf, request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    kept = f'kind = "{request.param}"\npath = "{tmp_path}/kept.sqlite3"'
    text = config(acme=acme).replace('kind = "memory"', kept) + KEYS
    async with serving(tmp_path, text, protocols=PROTOCOLS) as served:
        yield served
        assert served.log.of("unhandled") == []


async def annas(gateway: Served) -> dict[str, str]:
    """A conversation of Anna's, a message and a file of it, and the name of a table."""
    body = {"content": "Hi", "route": "acme", "stream": False}
    said = await gateway.ask("POST", "/v1/messages", json=body, headers=ANNA)
    conversation_id = said.document["conversation_id"]
    path = f"/v1/conversations/{conversation_id}/files"
    stored = await gateway.ask("POST", path, data=form(("a.txt", b"A")), headers=ANNA)
    return {
        "message_id": said.document["id"],
        "conversation_id": conversation_id,
        "file_id": stored.document["data"][0]["id"],
        "name": "sales",
    }


def without_id(reply: Reply) -> dict[str, Any]:
    return {name: value for name, value in reply.error.items() if name != "request_id"}


def test_every_route_that_names_nothing_is_known() -> None:
    assert {operation for _, path, operation in ROUTES if "{" not in path} == WITHOUT_A_NAME


@pytest.mark.parametrize(("method", "path", "operation"), NAMING, ids=[row[2] for row in NAMING])
async def test_what_is_another_keys_answers_as_what_does_not_exist(
    method: str, path: str, operation: str, gateway: Served, acme: Shelf
) -> None:
    known = await annas(gateway)
    acme.calls.clear()
    replies = []
    for named in (known, {**known, "conversation_id": "conv_" + "0" * 24, "message_id": "msg_" + "0" * 24}):
        data = form(("a.txt", b"A")) if operation == "upload_files" else None
        replies.append(await gateway.ask(method, path.format(**named), headers=BEN, data=data))
    others, made_up = replies
    assert (others.status, made_up.status) == (404, 404)
    assert without_id(others) == without_id(made_up)
    assert dict.fromkeys(others.headers) == dict.fromkeys(made_up.headers)
    assert acme.calls == []
    path = f"/v1/conversations/{known['conversation_id']}"
    assert (await gateway.ask("GET", path, headers=ANNA)).status == 200


async def test_another_keys_running_message_goes_on(gateway: Served, acme: Shelf) -> None:
    may_answer = asyncio.Event()

    async def answer_late(_: web.Request) -> web.StreamResponse:
        await may_answer.wait()
        return web.Response(body=HELLO, content_type="text/event-stream")

    known = await annas(gateway)
    conversation_id = known["conversation_id"]
    acme.instead["POST /conversations/c1/messages"] = answer_late
    body = {"content": "On", "route": "acme", "stream": False, "conversation_id": conversation_id}
    asking = asyncio.create_task(gateway.ask("POST", "/v1/messages", json=body, headers=ANNA))
    await until(lambda: acme.calls[-1] == "POST /conversations/c1/messages")
    listed = await gateway.ask("GET", f"/v1/conversations/{conversation_id}/messages", headers=ANNA)
    running = listed.document["data"][-1]
    replies = [
        await gateway.ask("POST", f"/v1/messages/{message_id}/cancel", headers=BEN)
        for message_id in (running["id"], "msg_" + "0" * 24)
    ]
    may_answer.set()
    assert (running["status"], (await asking).document["status"]) == ("running", "completed")
    assert [reply.status for reply in replies] == [404, 404]
    assert without_id(replies[0]) == without_id(replies[1])


async def test_another_keys_conversation_cannot_be_continued(gateway: Served, acme: Shelf) -> None:
    conversation_id = (await annas(gateway))["conversation_id"]
    acme.calls.clear()
    bodies = [{"content": "Hi", "conversation_id": named} for named in (conversation_id, "conv_" + "0" * 24)]
    others, made_up = [await gateway.ask("POST", "/v1/messages", json=body, headers=BEN) for body in bodies]
    assert (others.status, without_id(others)) == (404, without_id(made_up))
    assert acme.calls == []


async def test_another_keys_file_is_no_file_of_ones_own_conversation(gateway: Served, acme: Shelf) -> None:
    file_id = (await annas(gateway))["file_id"]
    own = (await gateway.ask("POST", "/v1/conversations", headers=BEN)).document["id"]
    acme.calls.clear()
    for named in (file_id, "file_" + "0" * 24):
        reply = await gateway.ask("GET", f"/v1/conversations/{own}/files/{named}", headers=BEN)
        assert (reply.status, reply.error["message"]) == (404, "the conversation has no such file")
        part = {"type": "file", "file_id": named}
        body = {"content": [part], "conversation_id": own}
        assert (await gateway.ask("POST", "/v1/messages", json=body, headers=BEN)).status == 404
    assert acme.calls == []


async def test_each_key_lists_its_own_conversations(gateway: Served) -> None:
    conversation_id = (await annas(gateway))["conversation_id"]
    own = (await gateway.ask("POST", "/v1/conversations", headers=BEN)).document["id"]
    listed = {}
    for name, headers in (("anna", ANNA), ("ben", BEN)):
        page = (await gateway.ask("GET", "/v1/conversations", headers=headers)).document
        listed[name] = [each["id"] for each in page["data"]]
    assert listed == {"anna": [conversation_id], "ben": [own]}


async def test_the_cursor_of_another_key_shows_nothing_of_its_list(gateway: Served) -> None:
    for _ in range(2):
        await gateway.ask("POST", "/v1/conversations", headers=ANNA)
    cursor = (await gateway.ask("GET", "/v1/conversations?limit=1", headers=ANNA)).document["next_cursor"]
    reply = await gateway.ask("GET", f"/v1/conversations?cursor={cursor}", headers=BEN)
    assert (reply.status, reply.document["data"]) == (200, [])


@pytest.mark.parametrize(("method", "path", "operation"), NAMING, ids=[row[2] for row in NAMING])
async def test_no_form_of_an_id_leads_anywhere_else(
    method: str, path: str, operation: str, gateway: Served, acme: Shelf
) -> None:
    known = await annas(gateway)
    fields = [field for field in known if f"{{{field}}}" in path]
    acme.calls.clear()
    for field in fields:
        for odd in TRAVERSALS:
            target = path.format(**{**known, field: odd})
            async with gateway.raw() as client:
                head = f"{method} {target} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer gwk_a\r\nContent-Length: 0\r\n"
                await client.send(f"{head}Connection: close\r\n\r\n".encode())
                status = int((await client.read_until(b"\r\n")).split()[1])
            allowed = {400, 404, 405, 502} if field == "name" else {400, 404, 405, 415}
            assert status in allowed, (field, odd)
    for call in acme.calls:
        assert call.startswith("GET /conversations/c1/frames/"), call
        assert len(call.partition("?")[0].split("/")) == 5, call
    path = f"/v1/conversations/{known['conversation_id']}"
    assert (await gateway.ask("GET", path, headers=ANNA)).status == 200

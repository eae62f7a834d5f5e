"""What every operation beside messages has in common: its one access line, its count, its secrets, its bugs."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web
from msgspec import Struct

from gateway.protocols.base import Calls, VendorRequest
from gateway.protocols.native.dialect import NativeDialect
from tests.support.served import Served, serving
from tests.support.shelf import (
    CANARY,
    PROTOCOLS,
    SHELF,
    Handler,
    Shelf,
    ShelfFiles,
    ShelfTranslator,
    config,
    form,
)


class Operation(Struct, frozen=True):
    """`call` is what reaches the vendor, where anything does; `status` what a client is told if all is well."""

    name: str
    method: str
    path: str
    call: str | None = None
    status: int = 200


ALL = "/v1/conversations"
ONE = "/v1/conversations/{conversation}"

OPERATIONS = [
    Operation("get_message", "GET", "/v1/messages/{message}"),
    Operation("cancel_message", "POST", "/v1/messages/{message}/cancel"),
    Operation("create_conversation", "POST", ALL, status=201),
    Operation("list_conversations", "GET", ALL),
    Operation("get_conversation", "GET", ONE),
    Operation("delete_conversation", "DELETE", ONE, "DELETE /conversations/c1"),
    Operation("list_messages", "GET", f"{ONE}/messages"),
    Operation("list_files", "GET", f"{ONE}/files", "GET /conversations/c1/files"),
    Operation("upload_files", "POST", f"{ONE}/files", "POST /conversations/c1/files", 201),
    Operation("download_file", "GET", f"{ONE}/files/{{file}}", "GET /conversations/c1/files/ref%2Fa.txt"),
    Operation("list_data_frames", "GET", f"{ONE}/data-frames", "GET /conversations/c1/frames"),
    Operation("read_data_frame", "GET", f"{ONE}/data-frames/sales", "GET /conversations/c1/frames/sales"),
]
CALLING = [each for each in OPERATIONS if each.call is not None]
ERRANDS = {"upload_files": "upload_file"}


@pytest.fixture
async def acme() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        shelf.frames = [{"name": "sales", "columns": ["a"], "rows": [[1]]}]
        yield shelf


@pytest.fixture
async def gateway(tmp_path: Path, acme: Shelf) -> AsyncIterator[Served]:
    async with serving(tmp_path, config(acme=acme), protocols=PROTOCOLS) as served:
        yield served


async def prepare(gateway: Served) -> dict[str, str]:
    """A conversation at the vendor, with a file."""
    said = await gateway.post({"content": "Hi", "route": "acme", "stream": False})
    conversation = said.document["conversation_id"]
    stored = await gateway.ask("POST", f"/v1/conversations/{conversation}/files", data=form(("a.txt", b"A")))
    gateway.log.lines.clear()
    return {"message": said.document["id"], "conversation": conversation, "file": stored.document["data"][0]["id"]}


async def perform(gateway: Served, operation: Operation, known: dict[str, str], request_id: str = "r-1") -> Any:
    return await gateway.ask(
        operation.method,
        operation.path.format(**known),
        data=form(("a.txt", b"A")) if operation.name == "upload_files" else None,
        headers={"X-Request-Id": request_id},
    )


async def errands(gateway: Served) -> dict[tuple[str, ...], float]:
    return await gateway.samples("gateway_errands_total")


def test_every_operation_has_a_row() -> None:
    assert ["message", *(each.name for each in OPERATIONS)] == [route.operation for route in NativeDialect.routes]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.name)
async def test_each_request_has_one_access_line_and_one_count(operation: Operation, gateway: Served) -> None:
    known = await prepare(gateway)
    before = await errands(gateway)
    reply = await perform(gateway, operation, known)
    assert (reply.status, reply.headers["X-Request-Id"]) == (operation.status, "r-1")
    assert reply.headers["Server"] == "protocol-gateway"
    (line,) = gateway.log.lines
    assert line.pop("duration") >= 0
    assert line == {
        "event": "resource",
        "level": "info",
        "request_id": "r-1",
        "key": "anonymous",
        "dialect": "native",
        "operation": operation.name,
        "conversation_id": known["conversation"] if "{conversation}" in operation.path else None,
        "message_id": known["message"] if "{message}" in operation.path else None,
        "code": None,
    }
    after = await errands(gateway)
    new = {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key, 0)}
    errand = ERRANDS.get(operation.name, operation.name)
    assert new == ({} if operation.call is None else {(errand, "completed", "acme"): 1})


async def confess(request: web.Request) -> web.StreamResponse:
    """Tells all it was told."""
    await request.read()
    said = repr(sorted(request.headers.items()))
    return web.Response(
        status=400,
        body=said.encode(),
        headers={"X-Code": request.headers["X-Key"], "X-Request-Id": request.headers["X-Key"]},
    )


@pytest.mark.parametrize("operation", CALLING, ids=lambda each: each.name)
async def test_a_vendor_that_shows_our_credential_shows_it_to_nobody(
    operation: Operation, gateway: Served, acme: Shelf
) -> None:
    known = await prepare(gateway)
    before = await errands(gateway)
    assert operation.call is not None
    acme.instead = Everything(operation.call, confess)
    reply = await perform(gateway, operation, known)
    assert (reply.status, reply.error["code"], reply.error["vendor_status"]) == (422, "upstream_rejected", 400)
    assert [(line["event"], line["code"]) for line in gateway.log.lines] == [("resource", "upstream_rejected")]
    exposition = (await gateway.ask("GET", "/metrics")).body
    for sink in (reply.body, repr(dict(reply.headers)).encode(), repr(gateway.log.lines).encode(), exposition):
        assert CANARY.encode() not in sink
    errand = ERRANDS.get(operation.name, operation.name)
    outcomes = {key: count for key, count in (await errands(gateway)).items() if key not in before}
    assert list(outcomes.values()) == [1]
    assert next(iter(outcomes))[::2] == (errand, "acme")
    assert next(iter(outcomes))[1] in {"rejected", "status_4xx"}


class Everything(dict[str, Handler]):
    """One handler for every call that begins so, whatever its query."""

    def __init__(self, call: str, handler: Handler) -> None:
        super().__init__()
        self._call = call
        self._handler = handler

    def get(self, key: str, default: Any = None) -> Any:
        return self._handler if key.partition("?")[0] == self._call else default


# --- a plug-in with a bug


class RaisingFiles(ShelfFiles):
    def __init__(self, translator: ShelfTranslator) -> None:
        super().__init__(translator)

    def list_files(self, vendor_ids: dict[str, str]) -> Calls[Any]:
        yield VendorRequest("GET", "/conversations/c1/files")
        raise RuntimeError("the text of a bug")


def raising(_: ShelfTranslator) -> ShelfFiles:
    raise RuntimeError("the text of a bug")


@pytest.mark.parametrize("files", [RaisingFiles, raising], ids=["in a call", "when made"])
async def test_a_port_with_a_bug_costs_its_own_request_alone(files: Any, tmp_path: Path, acme: Shelf) -> None:
    protocols = {**PROTOCOLS, "shelf": msgspec.structs.replace(SHELF, files=files)}
    async with serving(tmp_path, config(acme=acme), protocols=protocols) as gateway:
        said = await gateway.post({"content": "Hi", "route": "acme", "stream": False})
        path = f"/v1/conversations/{said.document['conversation_id']}"
        reply = await gateway.ask("GET", f"{path}/files", headers={"X-Request-Id": "r-1"})
        assert (reply.status, reply.error["code"], reply.error["message"]) == (500, "internal", "the gateway failed")
        (bug,) = gateway.log.of("unhandled")
        (line,) = gateway.log.of("resource")
        assert (bug["request_id"], line["request_id"], line["code"]) == ("r-1", "r-1", "internal")
        assert await gateway.samples("gateway_unhandled_errors_total") == {(): 1}
        body = {"content": "Hi", "route": "acme", "conversation_id": said.document["conversation_id"]}
        assert (await gateway.post(body)).status == 200


async def test_a_bug_in_an_upload_frees_the_conversation(tmp_path: Path, acme: Shelf) -> None:
    protocols = {**PROTOCOLS, "shelf": msgspec.structs.replace(SHELF, files=raising)}
    async with serving(tmp_path, config(acme=acme), protocols=protocols) as gateway:
        said = await gateway.post({"content": "Hi", "route": "acme", "stream": False})
        conversation = said.document["conversation_id"]
        reply = await gateway.ask("POST", f"/v1/conversations/{conversation}/files", data=form(("a.txt", b"A")))
        assert reply.status == 500
        body = {"content": "Hi", "route": "acme", "conversation_id": conversation}
        assert (await gateway.post(body)).status == 200


# --- the edge


def odd_requests() -> Iterator[tuple[str, str, dict[str, str]]]:
    for operation in OPERATIONS:
        path = operation.path.format(message="msg_1", conversation="conv_1", file="file_1")
        yield operation.method, path, {"X-Request-Id": "a b"}
        yield operation.method, path, {"Idempotency-Key": "../x"}


@pytest.mark.parametrize(("method", "path", "headers"), list(odd_requests()))
async def test_an_odd_header_is_refused_before_anything_is_looked_at(
    method: str, path: str, headers: dict[str, str], gateway: Served
) -> None:
    reply = await gateway.ask(method, path, headers=headers)
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    assert reply.error["details"] == {"path": f"headers.{next(iter(headers))}"}

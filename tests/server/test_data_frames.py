"""The tables that a conversation's tools made: listed, read row by row, and passed on in formats of their own."""

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import unquote

import msgspec
import pytest

from tests.support.served import DEMO, Reply, Served, serving
from tests.support.shelf import PROTOCOLS, Shelf, answer, config

SALES = {"name": "sales", "columns": ["a", "b"], "rows": [[1, "x"], [2, None]]}


@pytest.fixture
async def acme() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        shelf.frames = [SALES]
        yield shelf


@pytest.fixture
async def gateway(tmp_path: Path, acme: Shelf) -> AsyncIterator[Served]:
    text = config(acme=acme, bare={"plain": acme}) + "[limits]\nmax_document = 5_000"
    async with serving(tmp_path, text, protocols=PROTOCOLS) as served:
        yield served
        assert served.log.of("unhandled") == []


async def frames(gateway: Served, route: str = "acme") -> str:
    """The path of a conversation's data frames."""
    reply = await gateway.post({"content": "Hi", "route": route, "stream": False})
    return f"/v1/conversations/{reply.document['conversation_id']}/data-frames"


def told(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.error["code"]


async def test_frames_are_listed_without_their_rows(gateway: Served) -> None:
    reply = await gateway.ask("GET", await frames(gateway))
    assert (reply.status, reply.document) == (
        200,
        {"data": [{"name": "sales", "columns": ["a", "b"]}], "next_cursor": None},
    )


async def test_rows_are_lists_in_the_order_of_their_columns(gateway: Served) -> None:
    reply = await gateway.ask("GET", f"{await frames(gateway)}/sales")
    assert (reply.status, reply.headers["Content-Type"], reply.document) == (200, "application/json", SALES)


async def test_the_vendor_is_asked_for_the_part_that_the_client_asked_for(gateway: Served, acme: Shelf) -> None:
    path = await frames(gateway)
    await gateway.ask("GET", f"{path}/sales")
    await gateway.ask("GET", f"{path}/sales?offset=2&limit=3&columns=b,a&order=-a")
    asked = [msgspec.json.decode(unquote(call.partition("part=")[2])) for call in acme.calls[-2:]]
    assert asked == [
        {"offset": 0, "limit": 100, "columns": [], "order": None, "format": "json"},
        {"offset": 2, "limit": 3, "columns": ["b", "a"], "order": "-a", "format": "json"},
    ]


async def test_a_format_of_its_own_is_passed_on_as_an_attachment(gateway: Served, acme: Shelf) -> None:
    reply = await gateway.ask("GET", f"{await frames(gateway)}/sales?format=parquet&limit=10000")
    assert (reply.status, reply.body) == (200, b"PAR1")
    assert reply.headers["Content-Type"] == "application/vnd.apache.parquet"
    assert reply.headers["Content-Disposition"] == "attachment; filename*=UTF-8''sales.parquet"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert await gateway.samples("gateway_errands_total") == {("read_data_frame", "completed", "acme"): 1}


async def test_a_conversation_that_began_nowhere_has_no_frames(gateway: Served, acme: Shelf) -> None:
    created = (await gateway.ask("POST", "/v1/conversations")).document
    path = f"/v1/conversations/{created['id']}/data-frames"
    assert (await gateway.ask("GET", path)).document == {"data": [], "next_cursor": None}
    for query in ("", "?format=parquet"):
        assert told(await gateway.ask("GET", f"{path}/sales{query}")) == (404, "not_found")
    assert acme.calls == []


async def test_a_vendor_without_data_frames_is_unsupported(gateway: Served) -> None:
    path = await frames(gateway, "plain")
    for asked in (path, f"{path}/sales", f"{path}/sales?format=parquet"):
        reply = await gateway.ask("GET", asked)
        assert told(reply) == (422, "unsupported")
        assert reply.error["details"] == {"vendor": "plain"}
    assert await gateway.samples("gateway_errands_total") == {}


@pytest.mark.parametrize("query", ["", "?format=parquet"])
async def test_a_frame_that_the_vendor_has_not_is_told(query: str, gateway: Served) -> None:
    reply = await gateway.ask("GET", f"{await frames(gateway)}/lost{query}")
    assert told(reply) == (404, "not_found")
    assert reply.error["vendor"] == "acme"


async def test_rows_over_the_limit_are_refused(gateway: Served, acme: Shelf) -> None:
    acme.frames = [{**SALES, "rows": [["x" * 5000, 1]]}]
    assert told(await gateway.ask("GET", f"{await frames(gateway)}/sales")) == (502, "upstream_protocol")
    assert await gateway.samples("gateway_errands_total") == {("read_data_frame", "too_large", "acme"): 1}


@pytest.mark.parametrize("name", ["a%2Fb", "..%2F..%2Fadmin", "%3Fx=1", "a b", "%e2%82%ac"])
async def test_a_frames_name_is_one_encoded_segment_of_the_vendors_path(
    name: str, gateway: Served, acme: Shelf
) -> None:
    path = await frames(gateway)
    acme.calls.clear()
    async with gateway.raw() as client:
        target = f"{path}/{name.replace(' ', '%20')}"
        await client.send(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        assert (await client.read_until(b"\r\n")).split()[1] in {b"400", b"404", b"502"}
    for call in acme.calls:
        assert len(call.partition("?")[0].split("/")) == 5


async def test_what_a_vendor_says_of_a_refusal_is_not_shown(gateway: Served, acme: Shelf) -> None:
    acme.instead["GET /conversations/c1/frames"] = answer(500, b"a stack of theirs")
    reply = await gateway.ask("GET", await frames(gateway))
    assert told(reply) == (503, "upstream_unavailable")
    assert b"stack" not in reply.body


async def test_the_simulated_vendor_makes_a_table_that_can_be_read(tmp_path: Path) -> None:
    vendor = """
[vendors.sema4]
protocol = "sema4"
base_url = "simulation:sema4"
credentials = { api_key = { env = "NOT_SET_ANYWHERE", default = "demo-api-key" } }
[routes.sema4]
targets = [{ vendor = "sema4", agent = "a1" }]
"""
    async with serving(tmp_path, DEMO + vendor) as gateway:
        path = await frames(gateway, "sema4")
        listed = await gateway.ask("GET", path)
        assert listed.status == 200
        for frame in listed.document["data"]:
            rows = await gateway.ask("GET", f"{path}/{frame['name']}?limit=2")
            assert (rows.status, rows.document["columns"]) == (200, frame["columns"])
            assert len(rows.document["rows"]) <= 2
            assert (await gateway.ask("GET", f"{path}/{frame['name']}?format=parquet")).status == 200

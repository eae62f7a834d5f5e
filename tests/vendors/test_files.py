"""Files and tables over all five vendors: two keep files, one has tables, and the others say so."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from gateway.protocols.registry import BUILT_IN
from tests.support.served import Reply
from tests.vendors.cases import lost
from tests.vendors.five import VENDORS, Five, five

every_vendor = pytest.mark.parametrize("vendor", VENDORS)

NAME = "Übersicht 2026.pdf"
PAGE = b"%PDF-1.7 \x00\xff page"
SHEET = b"region,total\nnorth,620\n"
TAKERS = {
    "dynamiq": ["POST /v1/files", "POST /v1/files"],
    "sema4": ["POST /agents/a1/conversations/*/files", "POST /agents/a1/conversations/*/files"],
}


def two_files() -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("files", PAGE, filename=NAME, content_type="application/pdf")
    form.add_field("files", SHEET, filename="sales.csv", content_type="text/csv")
    return form


async def upload(gateway: Five, conversation: str, query: str = "") -> Any:
    return await gateway.ask("POST", f"/v1/conversations/{conversation}/files{query}", data=two_files())


async def conversation_of(gateway: Five, vendor: str, content: str = "One") -> str:
    document = await gateway.begin(vendor, content)
    return str(document["conversation_id"])


@every_vendor
async def test_files_go_to_the_vendors_that_keep_them(vendor: str, gateway: Five) -> None:
    support = BUILT_IN[vendor].capabilities["files_in"]
    reply = await upload(gateway, await conversation_of(gateway, vendor))
    record = gateway.record(vendor)
    if vendor not in TAKERS:
        assert (support, reply.status, reply.error["code"]) == ("no", 422, "unsupported")
        assert record.lines == []
        return
    assert (support, reply.status, record.lines) == ("yes", 201, TAKERS[vendor])
    told = [(file["name"], file["media_type"], file["size"]) for file in reply.document["data"]]
    assert told == [(NAME, "application/pdf", len(PAGE)), ("sales.csv", "text/csv", len(SHEET))]
    assert [PAGE in request.body for request in record.requests] == [True, False]


@every_vendor
async def test_a_conversation_may_begin_with_a_file(vendor: str, gateway: Five) -> None:
    created = (await gateway.ask("POST", "/v1/conversations")).document["id"]
    reply = await upload(gateway, created, f"?route={vendor}")
    record = gateway.record(vendor)
    if vendor not in TAKERS:
        assert (reply.status, reply.error["code"], record.requests) == (422, "unsupported", [])
        return
    begin, *uploads = record.lines
    assert (reply.status, begin.rpartition("/")[2], uploads) == (201, "conversations", TAKERS[vendor])
    record.requests.clear()
    answered = await gateway.say(vendor, "Hi", conversation_id=created, stream=False)
    assert (answered.status, len(record.lines)) == (200, 1)


@every_vendor
async def test_files_are_listed_and_given_back_by_the_vendor_that_does(vendor: str, gateway: Five) -> None:
    conversation = await conversation_of(gateway, vendor)
    stored = (await upload(gateway, conversation)).document.get("data", [])
    record = gateway.record(vendor)
    record.requests.clear()
    listed = await gateway.ask("GET", f"/v1/conversations/{conversation}/files")
    if vendor != "sema4":
        assert (listed.status, listed.error["code"], record.lines) == (422, "unsupported", [])
        return
    assert [(file["id"], file["name"]) for file in listed.document["data"]] == [
        (file["id"], file["name"]) for file in stored
    ]
    pdf = await gateway.ask("GET", f"/v1/conversations/{conversation}/files/{stored[0]['id']}")
    assert (pdf.status, pdf.body, pdf.headers["Content-Type"]) == (200, PAGE, "application/pdf")
    assert pdf.headers["Content-Disposition"].startswith("attachment")
    assert quote(NAME, safe="") in pdf.headers["Content-Disposition"]
    assert pdf.headers["X-Content-Type-Options"] == "nosniff"
    missing = await gateway.ask("GET", f"/v1/conversations/{conversation}/files/file_unknown")
    assert (missing.status, missing.error["code"]) == (404, "not_found")


@pytest.mark.parametrize("vendor", TAKERS)
async def test_a_message_names_a_file_by_its_id(vendor: str, gateway: Five) -> None:
    conversation = await conversation_of(gateway, vendor)
    stored = (await upload(gateway, conversation)).document["data"]
    record = gateway.record(vendor)
    record.requests.clear()
    named = [{"type": "text", "text": "Read it"}, {"type": "file", "file_id": stored[1]["id"], "name": "sales.csv"}]
    reply = await gateway.say(vendor, named, conversation_id=conversation)
    assert (reply.status, len(record.lines)) == (200, 1)
    assert record.has_heard("sales.csv")
    assert not record.has_heard(stored[1]["id"])
    elsewhere = await gateway.say(vendor, named)
    assert (elsewhere.status, elsewhere.error["code"]) == (404, "not_found")


APP_KEY = """
[vendors.dynamiq.credentials.app_key]
env = "NOT_SET_ANYWHERE"
default = "demo-app-key"
"""


async def test_a_file_goes_to_dynamiqs_app_with_the_key_of_the_app(tmp_path: Path) -> None:
    async with five(tmp_path, APP_KEY) as gateway:
        reply = await upload(gateway, await conversation_of(gateway, "dynamiq"))
        record = gateway.record("dynamiq")
        assert (reply.status, record.lines) == (201, TAKERS["dynamiq"])
        assert [request.headers["Authorization"] for request in record.requests] == ["Bearer demo-app-key"] * 2


# --- files that one conversation of the vendor's has


async def say_of(gateway: Five, conversation: str, file_id: str) -> Reply:
    named = [{"type": "text", "text": "Read it"}, {"type": "file", "file_id": file_id}]
    return await gateway.say("sema4", named, conversation_id=conversation, stream=False)


async def test_a_file_of_a_conversation_that_the_vendor_has_lost_is_refused_until_it_is_there_again(
    gateway: Five,
) -> None:
    first = await gateway.begin("sema4")
    ours = first["conversation_id"]
    (_, sheet) = (await upload(gateway, ours)).document["data"]
    assert (await say_of(gateway, ours, sheet["id"])).status == 200
    record = gateway.record("sema4")
    record.instead = lost("sema4", first["vendor_ids"]["conversation"])
    refused = await say_of(gateway, ours, sheet["id"])
    assert (refused.status, refused.error["code"]) == (502, "upstream_not_found")
    assert (await gateway.say("sema4", "Two", conversation_id=ours)).status == 200
    refused = await say_of(gateway, ours, sheet["id"])
    assert (refused.status, refused.error["code"]) == (422, "unsupported")
    assert refused.error["details"] == {"path": "$.content[1]"}
    again = (await upload(gateway, ours)).document["data"]
    assert again[1]["id"] == sheet["id"]
    assert (await say_of(gateway, ours, sheet["id"])).status == 200
    assert record.bodies[-1]["content"].endswith("Read it\n\n(file sales.csv)")


async def test_a_file_of_a_conversation_that_the_vendor_has_lost_is_no_other_of_its_name(gateway: Five) -> None:
    first = await gateway.begin("sema4")
    ours = first["conversation_id"]
    (_, sheet) = (await upload(gateway, ours)).document["data"]
    gateway.record("sema4").instead = lost("sema4", first["vendor_ids"]["conversation"])
    other = {"type": "file", "name": "sales.csv", "media_type": "text/csv", "data": "SGVsbG8="}
    named = [{"type": "text", "text": "Read it"}, other]
    assert (await gateway.say("sema4", named, conversation_id=ours)).status == 200
    gone = await gateway.ask("GET", f"/v1/conversations/{ours}/files/{sheet['id']}")
    assert (gone.status, gone.error["code"]) == (410, "gone")


async def test_a_question_that_names_a_file_is_answered_anew_as_any_other(gateway: Five) -> None:
    ours = await conversation_of(gateway, "sema4")
    (_, sheet) = (await upload(gateway, ours)).document["data"]
    answer = (await say_of(gateway, ours, sheet["id"])).document
    body = {"conversation_id": ours, "regenerate": answer["id"], "stream": False}
    refused = await gateway.ask("POST", "/v1/messages", json={"route": "sema4", **body})
    assert (refused.status, refused.error["code"]) == (422, "unsupported")
    assert refused.error["details"] == {"path": "$.regenerate"}


# --- names

ODD_NAMES = [
    "Screenshot 2026-11-21 at 3.04.05\u202fPM.png",
    "\U0001f469\u200d\U0001f4bb notes.txt",
    "e\u0301te\u0301.csv",
]


def one_file(name: str) -> aiohttp.FormData:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("files", SHEET, filename=name, content_type="text/csv")
    return form


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
async def test_a_name_with_spaces_and_joiners_that_are_not_seen_is_kept(name: str, gateway: Five) -> None:
    path = f"/v1/conversations/{await conversation_of(gateway, 'sema4')}/files"
    stored = await gateway.ask("POST", path, data=one_file(name))
    assert (stored.status, stored.document["data"][0]["name"]) == (201, name)
    listed = (await gateway.ask("GET", path)).document["data"]
    assert [file["name"] for file in listed] == [name]
    sheet = await gateway.ask("GET", f"{path}/{listed[0]['id']}")
    assert (sheet.status, sheet.body) == (200, SHEET)
    assert quote(name, safe="") in sheet.headers["Content-Disposition"]


@pytest.mark.parametrize("name", ["a\u2028b.csv", "a\u2029b.csv", "gpj\u202e.exe"], ids=ascii)
async def test_a_name_that_ends_a_line_or_turns_letters_round_is_refused(name: str, gateway: Five) -> None:
    path = f"/v1/conversations/{await conversation_of(gateway, 'sema4')}/files"
    refused = await gateway.ask("POST", path, data=one_file(name))
    assert (refused.status, refused.error["code"], gateway.record("sema4").lines) == (400, "bad_request", [])


# --- tables


@every_vendor
async def test_tables_are_the_vendors_that_has_them(vendor: str, gateway: Five) -> None:
    support = BUILT_IN[vendor].capabilities["data_frames"]
    conversation = await conversation_of(gateway, vendor, "[play:chart] x" if vendor == "sema4" else "One")
    frames = f"/v1/conversations/{conversation}/data-frames"
    listed = await gateway.ask("GET", frames)
    read = await gateway.ask("GET", f"{frames}/sales")
    if vendor != "sema4":
        assert (support, listed.status, listed.error["code"]) == ("no", 422, "unsupported")
        assert (read.status, read.error["code"], gateway.record(vendor).lines) == (422, "unsupported", [])
        return
    (frame,) = listed.document["data"]
    assert (support, frame["name"], frame["columns"], frame["row_count"]) == ("yes", "sales", ["region", "total"], 3)
    assert read.document == {
        "name": "sales",
        "columns": ["region", "total"],
        "rows": [["north", 620], ["south", 310], ["west", None]],
    }


@pytest.mark.parametrize("play", ["chart", "frame-lists", "frame-columns", "frame-data"])
@pytest.mark.parametrize(
    ("query", "columns", "rows"),
    [
        ("offset=1&limit=1", ["region", "total"], [["south", 310]]),
        ("columns=total", ["total"], [[620], [310], [None]]),
        ("columns=total,region&limit=1", ["total", "region"], [[620, "north"]]),
        ("order=-total&limit=2", ["region", "total"], [["north", 620], ["south", 310]]),
        ("order=region&offset=2", ["region", "total"], [["west", None]]),
        ("offset=9", ["region", "total"], []),
    ],
)
async def test_a_part_of_a_table_is_asked_for(
    play: str, query: str, columns: list[str], rows: list[Any], gateway: Five
) -> None:
    conversation = await conversation_of(gateway, "sema4", f"[play:{play}] x")
    read = await gateway.ask("GET", f"/v1/conversations/{conversation}/data-frames/sales?{query}")
    assert read.document == {"name": "sales", "columns": columns, "rows": rows}


async def test_a_table_is_downloaded_as_parquet(gateway: Five) -> None:
    conversation = await conversation_of(gateway, "sema4", "[play:chart] x")
    read = await gateway.ask("GET", f"/v1/conversations/{conversation}/data-frames/sales?format=parquet")
    assert (read.status, read.body[:4], read.body[-4:]) == (200, b"PAR1", b"PAR1")
    assert "sales.parquet" in read.headers["Content-Disposition"]


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("columns=nowhere", 422, "upstream_rejected"),
        ("order=nowhere", 422, "upstream_rejected"),
        ("format=xml", 400, "bad_request"),
        ("limit=0", 400, "bad_request"),
    ],
)
async def test_a_part_that_there_is_not_is_refused(query: str, status: int, code: str, gateway: Five) -> None:
    conversation = await conversation_of(gateway, "sema4", "[play:chart] x")
    read = await gateway.ask("GET", f"/v1/conversations/{conversation}/data-frames/sales?{query}")
    assert (read.status, read.error["code"]) == (status, code)


async def test_a_table_that_there_is_not_is_not_found(gateway: Five) -> None:
    conversation = await conversation_of(gateway, "sema4", "[play:chart] x")
    read = await gateway.ask("GET", f"/v1/conversations/{conversation}/data-frames/nowhere")
    assert (read.status, read.error["code"]) == (404, "not_found")

"""Files of a conversation: up to its vendor, listed, and down again, piece by piece and in both directions."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.gateway import resident_bytes, until
from tests.support.scripts import RawClient
from tests.support.served import Reply, Served, serving
from tests.support.shelf import CANARY, PROTOCOLS, Shelf, answer, config, cut, form, hold

MEGABYTE = 1 << 20
SLOW = "[server]\nbody_deadline = 0.3\nsend_deadline = 0.5\n[limits]\nmax_file = 100_000"


@pytest.fixture
async def acme() -> AsyncIterator[Shelf]:
    async with Shelf() as shelf:
        yield shelf


@pytest.fixture
async def gateway(tmp_path: Path, acme: Shelf) -> AsyncIterator[Served]:
    text = config(acme=acme, bare={"plain": acme}, deadlines="first_event = 2, idle = 1")
    async with serving(tmp_path, text, protocols=PROTOCOLS) as served:
        yield served
        assert CANARY not in repr(served.log.lines)
        assert gateway_unhandled(served) == []


@pytest.fixture
async def hasty(tmp_path: Path, acme: Shelf) -> AsyncIterator[Served]:
    """One that waits for bodies and readers for a moment only, and takes small files."""
    async with serving(tmp_path, config(acme=acme) + SLOW, protocols=PROTOCOLS) as served:
        yield served
        assert gateway_unhandled(served) == []


def gateway_unhandled(served: Served) -> list[dict[str, Any]]:
    return served.log.of("unhandled")


async def begin(gateway: Served) -> str:
    """A conversation that no vendor knows; the path of its files."""
    document = (await gateway.ask("POST", "/v1/conversations")).document
    return f"/v1/conversations/{document['id']}/files"


async def upload(gateway: Served, path: str, *files: tuple[str, bytes], query: str = "?route=acme") -> Reply:
    return await gateway.ask("POST", f"{path}{query}", data=form(*files))


def told(reply: Reply) -> tuple[int, str, str | None]:
    """Status, code, and the path that the error names."""
    return reply.status, reply.error["code"], reply.error.get("details", {}).get("path")


def codes(gateway: Served, operation: str) -> list[str | None]:
    return [line["code"] for line in gateway.log.of("resource") if line["operation"] == operation]


# --- up


async def test_files_go_to_the_vendor_and_are_named_by_ids_of_ours(gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    reply = await upload(gateway, path, ("a b.txt", b"A"), ("ü.csv", b"BB"))
    assert (reply.status, reply.document["next_cursor"]) == (201, None)
    first, second = reply.document["data"]
    assert first == {"id": first["id"], "name": "a b.txt", "media_type": "text/plain", "size": 1}
    assert second == {"id": second["id"], "name": "ü.csv", "media_type": "text/plain", "size": 2}
    assert acme.calls == ["POST /conversations", *["POST /conversations/c1/files"] * 2]
    assert acme.conversations["c1"].files == {
        "ref/a b.txt": ("text/plain", b"A"),
        "ref/ü.csv": ("text/plain", b"BB"),
    }
    assert await gateway.samples("gateway_errands_total") == {
        ("create_conversation", "completed", "acme"): 1,
        ("upload_file", "completed", "acme"): 2,
    }


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({}, "a.txt text/plain"),
        ({"name": "b.txt"}, "b.txt text/plain"),
        ({"media_type": "text/csv"}, "a.txt text/csv"),
    ],
)
async def test_the_conversation_that_a_file_began_goes_on_with_a_message_that_names_it(
    more: dict[str, str], named: str, gateway: Served, acme: Shelf
) -> None:
    path = await begin(gateway)
    (file,) = (await upload(gateway, path, ("a.txt", b"A"))).document["data"]
    part = {"type": "file", "file_id": file["id"], **more}
    asked = {"route": "acme", "conversation_id": path.split("/")[3], "content": [{"type": "text", "text": "Hi"}, part]}
    assert (await gateway.post(asked)).status == 200
    assert acme.conversations["c1"].texts == [f"Hi [ref/a.txt {named}]"]
    listed = (await gateway.ask("GET", path.replace("files", "messages"))).document["data"]
    assert listed[0]["parts"][1]["file_id"] == file["id"]


async def test_a_file_that_the_conversation_has_not_is_not_found(gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    other = await begin(gateway)
    (file,) = (await upload(gateway, other, ("a.txt", b"A"))).document["data"]
    acme.calls.clear()
    part = {"type": "file", "file_id": file["id"]}
    reply = await gateway.post({"route": "acme", "conversation_id": path.split("/")[3], "content": [part]})
    assert told(reply) == (404, "not_found", "$.content[0].file_id")
    assert acme.calls == []


async def test_a_later_file_goes_where_the_conversation_is(gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    await upload(gateway, path, ("a.txt", b"A"))
    reply = await upload(gateway, path, ("b.txt", b"B"), query="")
    assert reply.status == 201
    again = await upload(gateway, path, ("c.txt", b"C"))
    assert again.status == 201
    assert acme.calls.count("POST /conversations") == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", (400, "bad_request", "query.route")),
        ("?route=nowhere", (404, "not_found", "$.route")),
        ("?route=plain", (422, "unsupported", None)),
    ],
)
async def test_a_conversation_that_began_nowhere_needs_a_route_that_takes_files(
    query: str, expected: tuple[int, str, str | None], gateway: Served, acme: Shelf
) -> None:
    path = await begin(gateway)
    assert told(await upload(gateway, path, ("a.txt", b"A"), query=query)) == expected
    assert acme.calls == []


async def test_a_vendor_without_files_is_unsupported(gateway: Served) -> None:
    reply = await gateway.post({"content": "Hi", "route": "plain", "stream": False})
    path = f"/v1/conversations/{reply.document['conversation_id']}/files"
    for refused in (await upload(gateway, path, ("a.txt", b"A"), query=""), await gateway.ask("GET", path)):
        assert told(refused) == (422, "unsupported", None)
        assert refused.error["details"] == {"vendor": "plain"}


async def test_a_large_file_passes_through_without_being_gathered(gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    piece, count, digest = b"0123456789abcdef" * 4096, 640, hashlib.sha256()

    async def pieces() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="big"\r\n\r\n'
        for _ in range(count):
            digest.update(piece)
            yield piece
        yield b"\r\n--b--\r\n"

    before = resident_bytes()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    reply = await gateway.ask("POST", f"{path}?route=acme", data=pieces(), headers=headers)
    assert (reply.status, reply.document["data"][0]["size"]) == (201, 40 * MEGABYTE)
    assert acme.received == [f"{40 * MEGABYTE} {digest.hexdigest()}"]
    assert resident_bytes() - before < 16 * MEGABYTE


async def test_a_file_over_the_limit_is_refused_and_what_was_stored_before_is_told(hasty: Served, acme: Shelf) -> None:
    path = await begin(hasty)
    reply = await upload(hasty, path, ("a.txt", b"A"), ("b.txt", bytes(100_001)))
    assert told(reply) == (413, "payload_too_large", None)
    (stored,) = reply.error["details"]["stored"]
    assert [file["id"] for file in (await hasty.ask("GET", path)).document["data"]] == [stored]
    async with asyncio.timeout(2):
        await acme.left.wait()
    assert (await hasty.samples("gateway_errands_total"))["upload_file", "canceled", "acme"] == 1


NAMES = [
    "",
    ".",
    "..",
    ". .",
    "../a",
    "a/b",
    "a\\b",
    "/etc/passwd",
    "C:\\a",
    "%2e%2e",
    "a%2Fb",
    "a%00",
    "a\x07b",
    "con",
    "NUL.txt",
    "aux ",
    "lpt1.",
    "x" * 256,
    "é" * 128,
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
async def test_a_name_that_is_not_plain_is_refused(name: str, gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    escaped = name.replace("\\", "\\\\")
    head = f'Content-Disposition: form-data; name="files"; filename="{escaped}"'
    reply = await post_form(gateway, path, f"--b\r\n{head}\r\n\r\nA\r\n--b--\r\n".encode())
    assert told(reply)[:2] == (400, "bad_request")
    assert len(name) < 3 or name.encode() not in reply.body
    assert "POST /conversations/c1/files" not in acme.calls


@pytest.mark.parametrize("name", ["a.txt", "résumé (1).pdf", "console.log", "...a", "日本.csv", "x" * 255, "a'b;c=d"])
async def test_any_plain_name_is_taken(name: str, gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    head = f'Content-Disposition: form-data; name="files"; filename="{name}"'
    reply = await post_form(gateway, path, f"--b\r\n{head}\r\n\r\nA\r\n--b--\r\n".encode())
    assert (reply.status, reply.document["data"][0]["name"]) == (201, name)
    assert list(acme.conversations["c1"].files) == [f"ref/{name}"]


async def post_form(
    gateway: Served, path: str, body: bytes, media_type: str = "multipart/form-data; boundary=b"
) -> Reply:
    return await gateway.ask("POST", f"{path}?route=acme", data=body, headers={"Content-Type": media_type})


PART = b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n'
FORMS = {
    "no part": b"--b--\r\n",
    "nothing": b"",
    "no form": b"hello",
    "another boundary": b'--c\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nA\r\n--c--\r\n',
    "another field": b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nA\r\n--b--\r\n',
    "a field without a name": b"--b\r\nContent-Type: text/plain\r\n\r\nA\r\n--b--\r\n",
    "no file name": b'--b\r\nContent-Disposition: form-data; name="files"\r\n\r\nA\r\n--b--\r\n',
    "a broken disposition": b'--b\r\nContent-Disposition: form-data; name="files; filename=\r\n\r\nA\r\n--b--\r\n',
    "a head that is none": b"--b\r\nhello\r\n\r\nA\r\n--b--\r\n",
    "a head that does not end": b"--b\r\nContent-Disposition: form-data",
    "cut in the file": PART + b"\r\nhalf of a fi",
    "cut behind the file": PART + b"\r\nA\r\n",
    "an encoded part": PART + b"Content-Transfer-Encoding: base64\r\n\r\nQQ==\r\n--b--\r\n",
    "a compressed part": PART + b"Content-Encoding: gzip\r\n\r\nA\r\n--b--\r\n",
    "a form in a form": b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nA\r\n--c--\r\n--b--\r\n",
    "a long line": b"--b\r\nX: " + b"x" * 20_000 + b"\r\n\r\nA\r\n--b--\r\n",
    "many headers": b"--b\r\n" + b"X: 1\r\n" * 2000 + b"\r\nA\r\n--b--\r\n",
    "too many files": (PART + b"\r\nA\r\n") * 21 + b"--b--\r\n",
}


@pytest.mark.parametrize("body", FORMS.values(), ids=list(FORMS))
async def test_a_form_that_cannot_be_read_is_refused(body: bytes, gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    reply = await post_form(gateway, path, body)
    assert told(reply)[:2] == (400, "bad_request")
    whole = body.count(b"\r\nA\r\n--b\r\n")
    assert len(reply.error["details"].get("stored", [])) == whole
    assert len(acme.conversations["c1"].files) == min(whole, 1)
    assert set(codes(gateway, "upload_files")) == {"bad_request"}


@pytest.mark.parametrize("length", [b"x", b"1", b"100", b"-1"])
async def test_what_a_part_says_of_its_length_does_not_count(length: bytes, gateway: Served) -> None:
    path = await begin(gateway)
    reply = await post_form(gateway, path, PART + b"Content-Length: %b\r\n\r\nABC\r\n--b--\r\n" % length)
    assert (reply.status, reply.document["data"][0]["size"]) == (201, 3)


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json", 415),
        ("multipart/mixed; boundary=b", 415),
        ("multipart/form-data", 400),
        ("multipart/form-data; boundary=" + "x" * 71, 400),
    ],
)
async def test_a_body_that_is_no_form_is_refused(media_type: str, status: int, gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    assert (await post_form(gateway, path, b"--b--\r\n", media_type)).status == status
    assert "POST /conversations/c1/files" not in acme.calls


def slow_form(path: str) -> bytes:
    head = f"POST {path}?route=acme HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n"
    return head.encode() + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + PART + b"\r\nhalf of it"


async def test_a_body_that_does_not_go_on_is_given_up_and_the_vendor_left(hasty: Served, acme: Shelf) -> None:
    path = await begin(hasty)
    async with RawClient(hasty.url) as client:
        await client.send(slow_form(path))
        assert (await client.read_until(b"\r\n")).startswith(b"HTTP/1.1 408 ")
        await client.read_all()
    async with asyncio.timeout(2):
        await acme.left.wait()
    assert codes(hasty, "upload_files") == ["request_timeout"]
    assert acme.conversations["c1"].files == {}
    assert (await upload(hasty, path, ("a.txt", b"A"))).status == 201


async def test_a_client_that_leaves_half_way_leaves_nothing_behind(gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    async with RawClient(gateway.url) as client:
        await client.send(slow_form(path))
        await until(lambda: "POST /conversations/c1/files" in acme.calls)
        client.reset()
    async with asyncio.timeout(2):
        await acme.left.wait()
    await until(lambda: bool(codes(gateway, "upload_files")))
    assert codes(gateway, "upload_files") == ["canceled"]
    assert (await gateway.samples("gateway_errands_total"))["upload_file", "canceled", "acme"] == 1
    assert (await gateway.ask("GET", path)).document["data"] == []
    assert (await upload(gateway, path, ("a.txt", b"A"))).status == 201


async def test_a_message_does_not_begin_while_files_are_on_their_way(gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    async with RawClient(gateway.url) as client:
        await client.send(slow_form(path))
        await until(lambda: "POST /conversations/c1/files" in acme.calls)
        asked = {"route": "acme", "conversation_id": path.split("/")[3], "content": "Hi"}
        assert told(await gateway.post(asked)) == (409, "conflict", None)
        assert told(await upload(gateway, path, ("a.txt", b"A"))) == (409, "conflict", None)


REFUSALS: list[tuple[int, str, int]] = [
    (401, "upstream_auth", 502),
    (404, "upstream_not_found", 502),
    (413, "upstream_rejected", 422),
    (422, "upstream_rejected", 422),
    (429, "upstream_rate_limited", 429),
    (500, "upstream_unavailable", 503),
]


@pytest.mark.parametrize(("status", "code", "ours"), REFUSALS)
async def test_a_vendor_that_refuses_is_told_in_our_words(
    status: int, code: str, ours: int, gateway: Served, acme: Shelf
) -> None:
    path = await begin(gateway)
    await upload(gateway, path, ("a.txt", b"A"))
    acme.instead["POST /conversations/c1/files"] = answer(status, b"a stack of theirs", x_code=CANARY, retry_after="7")
    reply = await upload(gateway, path, ("b.txt", b"B"))
    assert told(reply) == (ours, code, None)
    error = reply.error
    assert (error["vendor"], error["vendor_status"], error.get("retry_after")) == ("acme", status, 7)
    assert reply.headers["Retry-After"] == "7"
    assert "vendor_code" not in error
    assert b"stack" not in reply.body
    assert CANARY.encode() not in reply.body


@pytest.mark.parametrize(
    ("handler", "code"),
    [
        (answer(200, b"<html>"), "upstream_protocol"),
        (answer(200, b"{}"), "upstream_protocol"),
        (cut, "upstream_unavailable"),
        (hold, "upstream_timeout"),
    ],
    ids=["html", "another shape", "cut", "silence"],
)
async def test_a_vendor_that_breaks_is_told_in_our_words(handler: Any, code: str, gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    await upload(gateway, path, ("a.txt", b"A"))
    acme.instead["POST /conversations/c1/files"] = handler
    assert told(await upload(gateway, path, ("b.txt", b"B")))[1] == code
    acme.instead["GET /conversations/c1/files"] = handler
    assert told(await gateway.ask("GET", path))[1] == code


# --- listed


async def test_a_conversation_that_began_nowhere_has_no_files(gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    assert (await gateway.ask("GET", path)).document == {"data": [], "next_cursor": None}
    assert acme.calls == []


async def test_files_are_listed_where_they_are_though_the_vendor_after_that_one_is_not_in_use_any_more(
    tmp_path: Path, acme: Shelf
) -> None:
    sqlite = f'kind = "sqlite"\npath = "{tmp_path}/kept.sqlite3"'
    async with Shelf() as beta:
        both = config(acme=acme, beta=beta).replace('kind = "memory"', sqlite)
        async with serving(tmp_path, both, protocols=PROTOCOLS) as gateway:
            path = await begin(gateway)
            (file,) = (await upload(gateway, path, ("a.txt", b"A"))).document["data"]
            asked = {"route": "beta", "conversation_id": path.split("/")[3], "content": "Hi"}
            assert (await gateway.post(asked)).status == 200
    one = config(acme=acme).replace('kind = "memory"', sqlite)
    async with serving(tmp_path, one, protocols=PROTOCOLS) as gateway:
        listed = await gateway.ask("GET", path)
        assert (listed.status, [each["id"] for each in listed.document["data"]]) == (200, [file["id"]])


async def test_a_file_keeps_its_id_whenever_it_is_listed(gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    (file,) = (await upload(gateway, path, ("a.txt", b"A"))).document["data"]
    acme.conversations["c1"].files["ref/made.csv"] = ("text/csv", b"a,b")
    first = (await gateway.ask("GET", path)).document["data"]
    assert [each["name"] for each in first] == ["a.txt", "made.csv"]
    assert first[0] == file
    assert (await gateway.ask("GET", path)).document["data"] == first
    assert "ref" not in first[1]


ODD_REFS = [
    "../../../etc/passwd",
    "/etc/passwd",
    "a?b=c#d",
    "%2e%2e%2fadmin",
    "a b\r\nX-Key: 1",
    "http://127.0.0.1:1/",
    "\\\\host\\share",
    "ü/日本",
]


@pytest.mark.parametrize("ref", ODD_REFS, ids=ascii)
async def test_a_vendors_odd_reference_is_one_encoded_segment(ref: str, gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    await upload(gateway, path, ("a.txt", b"A"))
    odd = web.json_response([{"ref": ref, "name": ref, "type": "text/html\r\nX: 1", "size": 1}])

    async def listed(_: web.Request) -> web.StreamResponse:
        return odd

    acme.instead["GET /conversations/c1/files"] = listed
    (file,) = (await gateway.ask("GET", path)).document["data"]
    assert not {"/", "\\", "\r", "\n"} & set(file["name"])
    assert "media_type" not in file
    acme.calls.clear()
    reply = await gateway.ask("GET", f"{path}/{file['id']}")
    assert reply.status == 410
    (call,) = acme.calls
    assert call.startswith("GET /conversations/c1/files/")
    assert not {"/", "?", "#", " ", "\r"} & set(call.removeprefix("GET /conversations/c1/files/"))


@pytest.mark.parametrize("ref", ["..", ".", "", "a\0b", "x" * 2000], ids=ascii)
async def test_a_reference_that_can_be_no_segment_is_never_asked_for(ref: str, gateway: Served, acme: Shelf) -> None:
    path = await begin(gateway)
    await upload(gateway, path, ("a.txt", b"A"))

    async def listed(_: web.Request) -> web.StreamResponse:
        return web.json_response([{"ref": ref, "name": "a"}])

    acme.instead["GET /conversations/c1/files"] = listed
    (file,) = (await gateway.ask("GET", path)).document["data"]
    acme.calls.clear()
    reply = await gateway.ask("GET", f"{path}/{file['id']}")
    assert reply.status in {400, 404, 502}
    assert acme.calls == []


# --- down


async def stored(gateway: Served, acme: Shelf, data: bytes = b"<b>A</b>", name: str = "a.html") -> str:
    """The path of a file."""
    path = await begin(gateway)
    (file,) = (await upload(gateway, path, (name, data))).document["data"]
    return f"{path}/{file['id']}"


async def test_a_download_is_an_attachment_that_no_browser_runs(gateway: Served, acme: Shelf) -> None:
    path = await stored(gateway, acme, name="ü 1.html")
    reply = await gateway.ask("GET", path, headers={"X-Request-Id": "r-1"})
    assert (reply.status, reply.body) == (200, b"<b>A</b>")
    shown = {name.title(): value for name, value in reply.headers.items() if name != "Date"}
    assert shown == {
        "Content-Type": "text/html",
        "Content-Length": "8",
        "Content-Disposition": "attachment; filename*=UTF-8''%C3%BC%201.html",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Cache-Control": "private, no-store",
        "Server": "protocol-gateway",
        "X-Request-Id": "r-1",
    }
    assert codes(gateway, "download_file") == [None]


async def test_an_empty_file_is_downloaded(gateway: Served, acme: Shelf) -> None:
    reply = await gateway.ask("GET", await stored(gateway, acme, b""))
    assert (reply.status, reply.body, reply.headers["Content-Length"]) == (200, b"", "0")


async def test_an_unknown_file_is_not_found_without_a_call(gateway: Served, acme: Shelf) -> None:
    path = await stored(gateway, acme)
    acme.calls.clear()
    assert told(await gateway.ask("GET", f"{path}x")) == (404, "not_found", None)
    assert acme.calls == []


async def test_a_file_that_its_vendor_lost_is_told_so(gateway: Served, acme: Shelf) -> None:
    path = await stored(gateway, acme)
    acme.conversations["c1"].files.clear()
    assert told(await gateway.ask("GET", path)) == (410, "gone", None)
    assert (await gateway.samples("gateway_errands_total"))["download_file", "not_found", "acme"] == 1


def broken(head: str, *pieces: bytes, stays: bool = False) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + b"".join(pieces))
        if stays:
            await asyncio.Event().wait()
        await asyncio.sleep(0.05)
        request.transport.close()
        return web.Response()

    return handle


BREAKS = {
    "too short": (broken("Content-Length: 100", b"half"), "truncated"),
    "chunks without an end": (broken("Transfer-Encoding: chunked", b"4\r\nhalf\r\n"), "truncated"),
    "no chunk": (broken("Transfer-Encoding: chunked", b"4\r\nhalf\r\nzz\r\n"), "protocol"),
    "silence": (broken("Content-Length: 100", b"half", stays=True), "idle_timeout"),
}


@pytest.mark.parametrize(("handler", "cause"), BREAKS.values(), ids=list(BREAKS))
async def test_a_download_that_breaks_cuts_the_clients_connection(
    handler: Any, cause: str, gateway: Served, acme: Shelf
) -> None:
    path = await stored(gateway, acme)
    acme.instead["GET /conversations/c1/files/ref%2Fa.html"] = handler
    async with RawClient(gateway.url) as client:
        await client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        with pytest.raises((EOFError, ConnectionResetError)):
            await client.read_until(b"}")
    await until(lambda: bool(codes(gateway, "download_file")))
    (code,) = codes(gateway, "download_file")
    assert code in {"upstream_protocol", "upstream_timeout", "upstream_unavailable"}
    downloads = {
        key: count for key, count in (await gateway.samples("gateway_errands_total")).items() if "download" in key[0]
    }
    assert downloads == {
        ("download_file", cause if cause in {k[1] for k in downloads} else "reset_midstream", "acme"): 1
    }


@pytest.mark.parametrize("head", ["Content-Length: 200000", "Transfer-Encoding: chunked"])
async def test_a_download_over_the_limit_is_refused_or_cut(head: str, hasty: Served, acme: Shelf) -> None:
    path = await stored(hasty, acme)
    data = bytes(200_000) if "Length" in head else b"30d40\r\n" + bytes(200_000) + b"\r\n0\r\n\r\n"
    acme.instead["GET /conversations/c1/files/ref%2Fa.html"] = broken(head, data)
    async with RawClient(hasty.url) as client:
        await client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        try:
            shown = await client.read_all()
        except ConnectionResetError:
            shown = b""
    assert len(shown) < 200_000
    await until(lambda: bool(codes(hasty, "download_file")))
    assert codes(hasty, "download_file") == ["upstream_protocol"]
    assert (await hasty.samples("gateway_errands_total"))["download_file", "too_large", "acme"] == 1


def endless(size: int = 1 << 16) -> Any:
    async def handle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(size))

    return handle


async def test_a_client_that_does_not_read_a_download_is_left(tmp_path: Path, acme: Shelf) -> None:
    slow = SLOW.replace("100_000", "100_000_000_000")
    async with serving(tmp_path, config(acme=acme) + slow, protocols=PROTOCOLS) as gateway:
        path = await stored(gateway, acme)
        acme.instead["GET /conversations/c1/files/ref%2Fa.html"] = endless()
        before = resident_bytes()
        async with RawClient(gateway.url, receive_buffer=4096) as client:
            await client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
            async with asyncio.timeout(3):
                await acme.left.wait()
        assert codes(gateway, "download_file") == ["canceled"]
        assert resident_bytes() - before < 30 * MEGABYTE
        assert (await gateway.samples("gateway_errands_total"))["download_file", "canceled", "acme"] == 1


async def test_a_client_that_leaves_in_a_download_leaves_the_vendor(gateway: Served, acme: Shelf) -> None:
    path = await stored(gateway, acme)
    acme.instead["GET /conversations/c1/files/ref%2Fa.html"] = endless()
    async with RawClient(gateway.url) as client:
        await client.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await client.read_until(b"\r\n\r\n")
        client.reset()
    async with asyncio.timeout(2):
        await acme.left.wait()
    await until(lambda: bool(codes(gateway, "download_file")))
    assert codes(gateway, "download_file") == ["canceled"]


async def test_a_file_of_another_vendors_is_unsupported(tmp_path: Path, acme: Shelf) -> None:
    async with Shelf() as beta, serving(tmp_path, config(acme=acme, beta=beta), protocols=PROTOCOLS) as gateway:
        path = await begin(gateway)
        (file,) = (await upload(gateway, path, ("a.txt", b"A"))).document["data"]
        part = {"type": "file", "file_id": file["id"]}
        reply = await gateway.post({"route": "beta", "conversation_id": path.split("/")[3], "content": [part]})
    assert told(reply)[:2] == (422, "unsupported")

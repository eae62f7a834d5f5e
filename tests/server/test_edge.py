"""What every request passes: its id, one shape for every refusal, limits, and HTTP that cannot be read."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from tests.support.gateway import END, START, RunningGateway, open_sockets, resident_bytes, until
from tests.support.scripts import LAST_CHUNK, Hold, RawClient, Read, Step, Write, chunk, request
from tests.support.served import DEMO, Served, serving
from tests.support.targets import LAST_HEAD, content, message, played, running_targets

JSON_TYPE = "Content-Type: application/json"
CHUNKED = (
    b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
PATHS = ["/v1/messages", "/v1/routes", "/healthz", "/readyz", "/metrics"]


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path, DEMO) as served:
        yield served


def error_of(answer: bytes) -> dict[str, object]:
    """The error in a whole answer as it came over the wire."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\ncontent-type: application/json" in head.lower()
    (found,) = msgspec.json.decode(body).values()
    assert isinstance(found, dict)
    return found


# --- the request's id


@pytest.mark.parametrize("given", ["a", "req-1.2_3", "x" * 128])
async def test_a_plain_request_id_is_kept(given: str, gateway: Served) -> None:
    reply = await gateway.post({"content": "Hi"}, X_Request_Id=given)
    assert reply.headers["X-Request-Id"] == given
    assert [line["request_id"] for line in gateway.log.of("message")] == [given]


async def test_a_missing_request_id_is_made(gateway: Served) -> None:
    replies = [await gateway.post({"content": "Hi"}) for _ in range(2)]
    ids = [reply.headers["X-Request-Id"] for reply in replies]
    assert len(set(ids)) == 2
    assert [line["request_id"] for line in gateway.log.of("message")] == ids


@pytest.mark.parametrize("name", ["X-Request-Id", "Idempotency-Key"])
@pytest.mark.parametrize(
    "given", [b"", b"a b", b"a/b", b"..%2f", b"x" * 129, b"a;b", b"\xc3\xa9", b"\xff", b"a\tb", b"%0d%0a"]
)
async def test_an_odd_id_in_a_header_is_refused_and_not_echoed(name: str, given: bytes, gateway: Served) -> None:
    async with gateway.raw() as client:
        await client.send(
            b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 16\r\n"
            b'%b: %b\r\nConnection: close\r\n\r\n{"content":"Hi"}' % (name.encode(), given)
        )
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.1 400 ")
    error = error_of(answer)
    assert (error["code"], error["details"]) == ("bad_request", {"path": f"headers.{name}"})
    assert not given or given not in answer
    (line,) = gateway.log.lines
    assert (line["event"], line["code"], line["path"]) == ("refused", "bad_request", f"headers.{name}")
    assert not given or given.decode("utf-8", "surrogateescape") not in line.values()


@pytest.mark.parametrize(
    "line", [b"X-Request-Id: a\0b", b"X-Request-Id: a\rb", b"X-Request-Id: a\r\n b", b"X-Request-Id : a", b"X: \x01"]
)
async def test_control_characters_in_a_header_are_refused(line: bytes, gateway: Served) -> None:
    async with gateway.raw() as client:
        await client.send(b"GET /healthz HTTP/1.1\r\nHost: a\r\n%b\r\nConnection: close\r\n\r\n" % line)
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert error_of(answer)["code"] == "bad_request"


async def test_two_request_ids_of_which_one_is_odd_are_refused(gateway: Served) -> None:
    async with gateway.raw() as client:
        await client.send(
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nX-Request-Id: a\r\nX-Request-Id: b c\r\nConnection: close\r\n\r\n"
        )
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.1 400 ")


# --- one shape for every refusal


async def test_every_refusal_has_its_access_line(gateway: Served) -> None:
    await gateway.post(b"{", X_Request_Id="r-1")
    await gateway.ask("GET", "/v1/nothing?canary", headers={"X-Request-Id": "r-2"})
    await gateway.ask("PUT", "/v1/messages", headers={"X-Request-Id": "r-3"})
    lines = [(line["event"], line["request_id"], line["code"], line["status"]) for line in gateway.log.lines]
    assert lines == [
        ("refused", "r-1", "bad_request", 400),
        ("refused", "r-2", "not_found", 404),
        ("refused", "r-3", "method_not_allowed", 405),
    ]
    assert "canary" not in repr(gateway.log.lines)


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v1", "/v1/messages/", "/v1/nothing", "/V1/messages", "//v1/messages", "/v1/messages/a/b"),
        *("/v1/../healthz", "/v1/%2e%2e/healthz", "/%00", "/%ff", "/v1/messages%2f", "/metrics/../../etc/passwd"),
        "/" + "a" * 4000,
    ],
)
async def test_an_unknown_path_is_not_found(path: str, gateway: Served) -> None:
    async with gateway.raw() as client:
        await client.send(request("GET", path, headers=["Connection: close"]))
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert (error_of(answer)["code"], error_of(answer)["message"]) == ("not_found", "no such path")
    assert await gateway.samples("gateway_http_requests_total") == {("unmatched", "4xx"): 1}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_another_method_is_refused_with_those_that_there_are(method: str, path: str, gateway: Served) -> None:
    async with gateway.raw() as client:
        await client.send(request(method, path, headers=["Connection: close"]))
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.1 405 ")
    allowed = b"POST" if path == "/v1/messages" else b"GET,HEAD"
    assert b"\r\nAllow: " + allowed + b"\r\n" in answer
    assert error_of(answer)["code"] == "method_not_allowed"


@pytest.mark.parametrize("media_type", ["", "text/plain", "application/jsonp", "application/x-www-form-urlencoded"])
async def test_a_body_that_says_it_is_no_json_is_refused(media_type: str, gateway: Served) -> None:
    reply = await gateway.post({"content": "Hi"}, Content_Type=media_type)
    assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_may_say_its_charset(media_type: str, gateway: Served) -> None:
    assert (await gateway.post({"content": "Hi"}, Content_Type=media_type)).status == 200


async def test_an_expectation_that_nobody_can_meet_is_refused_in_our_shape(gateway: Served) -> None:
    async with gateway.raw() as client:
        await client.send(request("POST", "/v1/messages", b"{}", [JSON_TYPE, "Expect: wonders", "Connection: close"]))
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.1 4")
    assert error_of(answer)["code"] == "bad_request"


async def test_a_client_that_waits_to_be_asked_for_its_body_is_asked(gateway: Served) -> None:
    body = b'{"content":"Hi","stream":false}'
    whole = request("POST", "/v1/messages", body, [JSON_TYPE, "Expect: 100-continue", "Connection: close"])
    async with gateway.raw() as client:
        await client.send(whole[: -len(body)])
        await client.read_until(b"HTTP/1.1 100 Continue\r\n\r\n")
        await client.send(body)
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.1 200 ")


# --- bodies that are too large


@pytest.mark.parametrize("framing", ["Content-Length: 1099511627776", "Transfer-Encoding: chunked"])
async def test_a_body_without_end_is_refused_at_once_and_cut_off(framing: str, gateway: Served) -> None:
    """After the refusal the rest is read for a second at most, because a client that still writes reads nothing."""
    head = f"POST /v1/messages HTTP/1.1\r\nHost: a\r\n{JSON_TYPE}\r\n{framing}\r\n\r\n".encode()
    piece = chunk(b"x" * 65_536) if "chunked" in framing else b"x" * 65_536
    before = resident_bytes()
    async with gateway.raw() as client:
        await client.send(head)
        sending = asyncio.create_task(send_endlessly(client, piece))
        began = time.monotonic()
        answer = await client.read_until(b"}}", within=3)
        assert time.monotonic() - began < 1
        await asyncio.wait_for(sending, 4)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert error_of(answer)["code"] == "payload_too_large"
    assert resident_bytes() - before < 32 * 1024 * 1024


async def send_endlessly(client: RawClient, piece: bytes) -> None:
    """Until the peer closes."""
    with contextlib.suppress(ConnectionError):
        while True:
            await client.send(piece)


async def test_a_length_over_the_limit_is_refused_before_any_of_it_comes(gateway: Served) -> None:
    began = time.monotonic()
    async with gateway.raw() as client:
        await client.send(
            f"POST /v1/messages HTTP/1.1\r\nHost: a\r\n{JSON_TYPE}\r\nContent-Length: 1048577\r\n\r\n".encode()
        )
        answer = await client.read_until(b"}}")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert time.monotonic() - began < 0.5


async def test_a_body_of_exactly_the_limit_is_read(gateway: Served) -> None:
    body = b'{"content":"Hi"%b}' % (b" " * (1_048_576 - 16))
    statuses = []
    for sent in (body, body + b" "):
        async with gateway.raw() as client:
            await client.send(request("POST", "/v1/messages", sent, [JSON_TYPE, "Connection: close"]))
            statuses.append((await client.read_all()).split(b" ")[1])
    assert statuses == [b"200", b"413"]


async def test_a_compressed_body_counts_by_what_it_becomes(gateway: Served) -> None:
    import gzip

    bomb = gzip.compress(b'{"content":"%b"}' % (b"x" * 64 * 1024 * 1024))
    before = resident_bytes()
    reply = await gateway.post(bomb, Content_Encoding="gzip")
    assert reply.status in {413, 415}
    assert reply.error["code"] in {"payload_too_large", "unsupported_media_type"}
    assert resident_bytes() - before < 32 * 1024 * 1024


# --- documents that nobody reads

SOON = "[server]\nsend_deadline = 0.5\n[limits]\nmax_message = 1_000_000_000\n"
FLOOD = chunk(content("x" * 16_384)) * 512


def ending(last: bytes) -> list[Step]:
    """A vendor that says a lot, and that last."""
    return [Read(), Write(LAST_HEAD + chunk(START) + FLOOD + chunk(last) + LAST_CHUNK), Hold()]


async def check_cut(gateway: RunningGateway, asked: bytes, status: bytes) -> None:
    """Whoever asks so and reads the head alone is cut."""
    await gateway.settle()
    sockets = open_sockets()
    async with RawClient(gateway.url, receive_buffer=4096) as client:
        await client.send(asked)
        assert (await client.read_until(b"\r\n\r\n", within=10)).startswith(b"HTTP/1.1 " + status)
        await until(lambda: open_sockets() == sockets + 1)


async def test_a_failed_answer_that_is_not_read_is_cut(tmp_path: Path) -> None:
    """It holds all that was said until then."""
    acme = played(ending(b"data: not json\n\n"))
    async with running_targets(tmp_path, {"acme": acme}, tables=SOON) as gateway:
        await check_cut(gateway, message(stream=False), b"502 ")


async def test_a_stored_answer_that_is_not_read_is_cut(tmp_path: Path) -> None:
    async with running_targets(tmp_path, {"acme": played(ending(END))}, tables=SOON) as gateway:
        message_id = (await gateway.ask(stream=False)).document["id"]
        await check_cut(gateway, request("GET", f"/v1/messages/{message_id}"), b"200 ")


# --- HTTP that cannot be read


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS"),
        pytest.param(b"nonsense\r\n\r\n", id="no request line"),
        pytest.param(b"GET / HTTP/9.9\r\n\r\n", id="no such version"),
        pytest.param(b"GET / HTTP/1.1\r\nHost a\r\n\r\n", id="a header without a colon"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"x" * 20_000), id="a header too long"),
        pytest.param(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * 20_000), id="a path too long"),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % b"".join(b"X-%d: 1\r\n" % n for n in range(2000)),
            id="many headers",
        ),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", id="a length that is none"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", id="a negative length"),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", id="two lengths"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="a length and chunks",
        ),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP 2"),
    ],
)
async def test_unreadable_http_is_refused_in_our_shape_and_closed(data: bytes, gateway: Served) -> None:
    async with gateway.raw() as client:
        await client.send(data)
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.")
    assert answer.split(b" ")[1] == b"400"
    error = error_of(answer)
    assert (error["code"], error["message"]) == ("bad_request", "the request is not valid HTTP")
    assert await gateway.samples("gateway_unhandled_errors_total") == {(): 0}


@pytest.mark.parametrize("data", [b"zz\r\nx", b"5\r\nhelloX\r\n", b"-1\r\n"])
async def test_a_broken_chunk_of_a_body_is_a_bad_request(data: bytes, gateway: Served) -> None:
    async with gateway.raw() as client:
        await client.send(CHUNKED + data)
        answer = await client.read_all()
    assert answer.startswith(b"HTTP/1.0 400 ")
    assert error_of(answer)["code"] == "bad_request"
    assert await gateway.samples("gateway_unhandled_errors_total") == {(): 0}


async def test_a_broken_chunk_that_comes_later_is_refused_at_the_bodys_deadline_at_the_latest(tmp_path: Path) -> None:
    """aiohttp tells nobody who waits for the body: the refusal it makes stands behind the answer that is awaited."""
    async with serving(tmp_path, DEMO + "[server]\nbody_deadline = 0.5") as gateway:
        async with gateway.raw() as client:
            await client.send(CHUNKED + chunk(b'{"content"'))
            await asyncio.sleep(0.05)
            await client.send(b"zz\r\n")
            answer = await client.read_all()
        assert answer.startswith(b"HTTP/1.1 4")
        assert error_of(answer)["code"] in {"bad_request", "request_timeout"}
        assert await gateway.samples("gateway_unhandled_errors_total") == {(): 0}


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_a_body_that_is_not_in_its_encoding_is_refused(encoding: str, gateway: Served) -> None:
    headers = [JSON_TYPE, f"Content-Encoding: {encoding}", "Connection: close"]
    async with gateway.raw() as client:
        await client.send(request("POST", "/v1/messages", b'{"content":"Hi"}', headers))
        answer = await client.read_all()
    assert answer.split(b" ")[1] in {b"400", b"415"}
    assert error_of(answer)["code"] in {"bad_request", "unsupported_media_type"}
    assert await gateway.samples("gateway_unhandled_errors_total") == {(): 0}

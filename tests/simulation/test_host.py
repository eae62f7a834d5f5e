"""The host plays what a simulator says over real sockets, byte for byte and end for end."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from aiohttp import ClientOSError, ClientPayloadError, ClientSession

from gateway.protocols.base import Head, Pause, Reset, Script, Send, SimulatedRequest, Simulator, Step
from gateway.simulation.host import serve_host
from tests.support.scripts import RawClient, request

SSE = Head(200, {"Content-Type": "text/event-stream"})
DOCUMENT: list[Step] = [Head(201, {"Content-Type": "application/json", "X-Id": "7"}), Send(b'{"ok":true}')]


class Echo:
    """Plays one script, and keeps what it was asked."""

    plays: Mapping[str, str] = {}

    def __init__(self, script: Script) -> None:
        self.asked: list[SimulatedRequest] = []
        self._script = script

    def answer(self, request: SimulatedRequest) -> Script:
        self.asked.append(request)
        return self._script


@pytest.fixture
async def http() -> AsyncIterator[ClientSession]:
    async with ClientSession() as session:
        yield session


async def test_a_simulator_sees_its_path_behind_its_name_decoded_once(http: ClientSession) -> None:
    acme = Echo(DOCUMENT)
    async with serve_host({"acme": acme}) as url, RawClient(url) as client:
        await client.send(request("PUT", "/acme/v2/a%2Fb%2520c/%C3%A9?x=1&y=a%20b", b"\x00\xff", ["X-Key: k"]))
        await client.read_until(b"true}")
    (asked,) = acme.asked
    assert (asked.method, asked.path, asked.query, asked.body) == (
        "PUT",
        "/v2/a/b%20c/é",
        {"x": "1", "y": "a b"},
        b"\x00\xff",
    )
    assert asked.headers["x-key"] == "k"


async def test_the_root_of_a_simulator_is_a_slash(http: ClientSession) -> None:
    acme = Echo(DOCUMENT)
    async with serve_host({"acme": acme}) as url:
        for path in ("/acme", "/acme/", "/acme//"):
            await http.get(url + path)
    assert [asked.path for asked in acme.asked] == ["/", "/", "//"]


async def test_each_simulator_answers_under_its_own_name(http: ClientSession) -> None:
    simulators: dict[str, Simulator] = {"acme": Echo([Head(200), Send(b"a")]), "zeta": Echo([Head(200), Send(b"z")])}
    async with serve_host(simulators) as url:
        answers = [await (await http.get(f"{url}/{name}/x")).read() for name in ("acme", "zeta")]
    assert answers == [b"a", b"z"]


async def test_an_unknown_simulator_is_not_found_among_those_there_are(http: ClientSession) -> None:
    async with serve_host({"zeta": Echo(DOCUMENT), "acme": Echo(DOCUMENT)}) as url:
        answer = await http.get(f"{url}/acne/x")
        assert answer.status == 404
        assert await answer.json() == {"error": "no simulator 'acne'", "simulators": ["acme", "zeta"]}


async def test_every_simulator_is_well_and_is_not_asked_for_it(http: ClientSession) -> None:
    acme = Echo(DOCUMENT)
    async with serve_host({"acme": acme}) as url:
        well = await http.get(f"{url}/acme/healthz")
        assert (well.status, await well.json()) == (200, {"status": "ok"})
        assert acme.asked == []
        assert (await http.get(f"{url}/acne/healthz")).status == 404
        for method, path in (("POST", "/healthz"), ("GET", "/healthz/"), ("GET", "/v1/healthz")):
            assert (await http.request(method, f"{url}/acme{path}")).status == 201
        assert [(asked.method, asked.path) for asked in acme.asked] == [
            ("POST", "/healthz"),
            ("GET", "/healthz/"),
            ("GET", "/v1/healthz"),
        ]


async def test_a_document_has_its_status_headers_and_length(http: ClientSession) -> None:
    async with serve_host({"acme": Echo(DOCUMENT)}) as url:
        answer = await http.post(f"{url}/acme/x")
        assert (answer.status, answer.headers["X-Id"], answer.headers["Content-Length"]) == (201, "7", "11")
        assert "Transfer-Encoding" not in answer.headers
        assert await answer.json() == {"ok": True}


async def test_an_answer_without_a_body_has_none(http: ClientSession) -> None:
    async with serve_host({"acme": Echo([Head(204)])}) as url:
        answer = await http.delete(f"{url}/acme/x")
        assert (answer.status, await answer.read()) == (204, b"")


async def test_each_send_is_a_chunk_of_its_own_and_the_end_is_clean() -> None:
    script: list[Step] = [SSE, Send(b"data: 1\n\n"), Send(b"data: 2\n\n")]
    async with serve_host({"acme": Echo(script)}) as url, RawClient(url) as client:
        await client.send(request("GET", "/acme/"))
        head = await client.read_until(b"\r\n\r\n")
        body = await client.read_until(b"\r\n0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n")
    assert body == b"9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\n0\r\n\r\n"


async def test_an_event_stream_of_one_event_is_chunked_too() -> None:
    async with serve_host({"acme": Echo([SSE, Send(b":\n\n")])}) as url, RawClient(url) as client:
        await client.send(request("GET", "/acme/"))
        assert b"Transfer-Encoding: chunked" in await client.read_until(b"\r\n\r\n")
        assert await client.read_until(b"0\r\n\r\n") == b"3\r\n:\n\n\r\n0\r\n\r\n"


async def test_what_stands_before_a_pause_arrives_before_it() -> None:
    script: list[Step] = [SSE, Pause(0.05), Send(b"data: 1\n\n"), Pause(600), Send(b"data: 2\n\n")]
    async with serve_host({"acme": Echo(script)}) as url, RawClient(url) as client:
        await client.send(request("GET", "/acme/"))
        await client.read_until(b"\r\n\r\n")
        with pytest.raises(TimeoutError):
            await client.read_until(b"data", within=0.02)
        assert await client.read_until(b"1\n\n\r\n") == b"9\r\ndata: 1\n\n\r\n"


async def test_a_reset_is_a_reset_and_no_end() -> None:
    async with serve_host({"acme": Echo([SSE, Send(b"data: ha"), Reset()])}) as url, RawClient(url) as client:
        await client.send(request("GET", "/acme/"))
        with pytest.raises(ConnectionResetError):
            await client.read_all()


async def test_a_reset_in_mid_stream_breaks_the_body_a_client_reads(http: ClientSession) -> None:
    async with serve_host({"acme": Echo([SSE, Send(b"data: ha"), Pause(0.01), Reset()])}) as url:
        answer = await http.get(f"{url}/acme/")
        assert await answer.content.readany() == b"data: ha"
        with pytest.raises(ClientPayloadError):
            await answer.read()


async def test_a_reset_may_come_before_any_answer(http: ClientSession) -> None:
    async with serve_host({"acme": Echo(DOCUMENT)}) as url:
        with pytest.raises(ClientOSError):
            await http.post(f"{url}/acme/", json="[fault:reset-head]")


async def test_a_client_that_goes_away_ends_the_play(http: ClientSession) -> None:
    async with serve_host({"acme": Echo([SSE, Send(b":\n\n"), Pause(600)])}) as url:
        before = asyncio.all_tasks()
        async with http.get(f"{url}/acme/") as answer:
            await answer.content.readany()
            playing = asyncio.all_tasks() - before
            assert playing
        async with asyncio.timeout(2):
            await asyncio.wait(playing)


async def test_a_host_that_stops_does_not_wait_for_its_plays(http: ClientSession) -> None:
    async with asyncio.timeout(5), serve_host({"acme": Echo([SSE, Send(b":\n\n"), Pause(600)])}) as url:
        answer = await http.get(f"{url}/acme/")
        await answer.content.readany()


async def test_a_request_chooses_a_fault_for_the_simulator_it_asks(http: ClientSession) -> None:
    simulators: dict[str, Simulator] = {"acme": Echo(DOCUMENT), "zeta": Echo(DOCUMENT)}
    async with serve_host(simulators) as url:
        answers = [
            await http.post(f"{url}/{name}/x", json={"content": "[fault:status-429:3@acme]"})
            for name in ("acme", "zeta")
        ]
        assert [(each.status, each.headers.get("Retry-After")) for each in answers] == [(429, "3"), (201, None)]


async def test_a_stream_cut_in_pieces_is_the_same_stream(http: ClientSession) -> None:
    script: list[Step] = [SSE, Send('data: {"a":"é"}\n\n'.encode()), Send(b"data: {}\n\n")]
    async with serve_host({"acme": Echo(script)}) as url:
        bodies = [
            await (await http.post(f"{url}/acme/", data=fault)).read()
            for fault in ("", "[fault:one-byte-chunks]", "[fault:one-chunk]", "[fault:slow-head:0]")
        ]
    assert bodies == ['data: {"a":"é"}\n\ndata: {}\n\n'.encode()] * 4

"""Errands over real sockets: a port's calls, sessions, deadlines, uploads that stream and downloads that pass by."""

import asyncio
import gc
import hashlib
import inspect
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgspec
import pytest
from aiohttp import BodyPartReader, web
from aiohttp.test_utils import TestServer

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.framing.typed import Malformed
from gateway.protocols.base import (
    Authorization,
    Calls,
    Credentials,
    Form,
    FormPart,
    Headers,
    VendorRequest,
    VendorResponse,
)
from gateway.relay.errands import MAX_REFUSAL, Errand, Errands, Times
from gateway.relay.rendering import Vendor
from gateway.relay.sessions import Sessions
from gateway.relay.upstream import Origin, Pool
from tests.support.fakes import Guest, Parrot, Vocabulary
from tests.support.gateway import open_sockets, resident_bytes, until
from tests.support.scripts import (
    HEAD,
    LAST_CHUNK,
    Close,
    Connection,
    Hold,
    Read,
    ReadHead,
    Received,
    Repeat,
    Reset,
    ScriptServer,
    Step,
    Wait,
    Write,
    chunk,
    closed_port,
    response,
    unanswered_port,
)

MB = 1024 * 1024
IN_TIME = Times()
LIST = VendorRequest("GET", "/files")
OK = response(200, b'{"ok":true}')
REFUSED = response(401, b'{"code":"UNAUTHORIZED"}')
SIGNED_IN = response(200, b"s-1")


class Serve(Step, frozen=True):
    """Answers every request by what it says."""

    answer: Callable[[Received], bytes]

    async def play(self, connection: Connection) -> None:
        while True:
            await Read().play(connection)
            await connection.write(self.answer(connection.requests[-1]))


class StopReading(Step, frozen=True):
    async def play(self, connection: Connection) -> None:
        connection.transport.pause_reading()
        await asyncio.Event().wait()


class Doorman:
    """A vendor with sessions: `valid` ones are let in, a sign-in hands out the next one."""

    def __init__(self) -> None:
        self.signed_in = 0
        self.valid: set[str] = set()

    def answer(self, asked: Received) -> bytes:
        if asked.target == "/sign-in":
            self.signed_in += 1
            self.valid.add(f"s-{self.signed_in}")
            return response(200, b"s-%d" % self.signed_in)
        return OK if asked.headers["X-Session"] in self.valid else REFUSED


class Stranger(Parrot):
    """Signs in before every request, and has no session to keep."""

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
        response = yield VendorRequest("POST", "/sign-in")
        return Authorization({"X-Once": response.body.decode()})


class Doubter(Parrot):
    """Accepts no session, not even the one it was just given."""

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
        response = yield VendorRequest("POST", "/sign-in")
        return Authorization({}, response.body)


class Reader(Parrot):
    """Cannot read what it is given at the door."""

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
        yield VendorRequest("POST", "/sign-in")
        raise Malformed("expected `str` - at `$.token`")


class Curt(Parrot):
    """Says little of a refusal."""

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return GatewayError("upstream_rejected", "no")


class Confused(Parrot):
    """Cannot read a refusal."""

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        raise Malformed("expected `object`")


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """Whatever a test does: no connection, socket or task is left of it, and no failure that nobody looked at."""
    mishaps: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, mishap: mishaps.append(mishap))
    sockets = open_sockets()
    pool = Pool()
    yield pool
    pool.close()
    await until(lambda: pool.open_connections == 0)
    await until(lambda: open_sockets() == sockets)
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    gc.collect(1)  # a failure's traceback may be what keeps it
    assert mishaps == []


@pytest.fixture
def errands(pool: Pool) -> Errands:
    return Errands(pool, Sessions())


def errand_at(
    vendor: ScriptServer | int, translator: type[Parrot] = Parrot, *, times: Times = IN_TIME, limit: int = 2 * MB
) -> Errand:
    origin = Origin("http", "127.0.0.1", vendor if isinstance(vendor, int) else vendor.port)
    acme = Vendor("acme", {"": (origin, "")}, Credentials({"api_key": "k"}))
    return Errand(acme, translator(Vocabulary(), Blocks(Numbering())), times, limit)


def ask(*requests: VendorRequest) -> Calls[list[VendorResponse]]:
    """A port's generator: one request after another, and all answers."""
    answers = []
    for request in requests:
        answers.append((yield request))  # noqa: PERF401  (a list of answers cannot be made by a comprehension)
    return answers


def bodies(answers: list[VendorResponse]) -> list[bytes]:
    return [answer.body for answer in answers]


def uploading(data: bytes | AsyncIterator[bytes], **fields: Any) -> VendorRequest:
    form = Form((FormPart("note", b"hi"), FormPart("file", data, "a b.bin", "application/x-bin")))
    return VendorRequest("POST", "/files", body=form, effect="repeatable", **fields)


async def endless(piece: bytes = b"x" * 60_000) -> AsyncIterator[bytes]:
    while True:
        yield piece
        await asyncio.sleep(0)


async def failing(coroutine: Coroutine[Any, Any, object]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        async with asyncio.timeout(5):
            await coroutine
    return caught.value


# --- calls and answers


async def test_each_answer_is_sent_back_and_what_the_port_returns_comes_back(errands: Errands) -> None:
    script = [Read(), Write(OK), Read(), Write(HEAD + chunk(b"a") + chunk(b"b") + LAST_CHUNK)]
    async with ScriptServer(script) as vendor:
        first, second = await errands.run(errand_at(vendor), ask(LIST, VendorRequest("POST", "/more", body=b"{}")))
        assert (first.status, first.headers["content-type"], first.body) == (200, "application/json", b'{"ok":true}')
        assert (second.status, second.body) == (200, b"ab")
        assert [(asked.method, asked.target, asked.body) for asked in vendor.requests] == [
            ("GET", "/files", b""),
            ("POST", "/more", b"{}"),
        ]
        assert {asked.headers["X-Key"] for asked in vendor.requests} == {"k"}
        assert len(vendor.connections) == 1


async def test_a_port_that_asks_nothing_needs_no_vendor(errands: Errands) -> None:
    assert await errands.run(errand_at(closed_port()), ask()) == []


async def test_a_deletion_may_be_answered_with_nothing(errands: Errands) -> None:
    script = [Read(), Write(b"HTTP/1.1 204 No Content\r\n\r\n"), Read(), Write(OK)]
    async with ScriptServer(script) as vendor:
        gone, after = await errands.run(errand_at(vendor), ask(VendorRequest("DELETE", "/files/1"), LIST))
        assert (gone.status, gone.body, after.body) == (204, b"", b'{"ok":true}')
        assert len(vendor.connections) == 1


async def test_a_status_that_the_port_wants_is_its_answer(errands: Errands) -> None:
    async with ScriptServer([Read(), Write(response(404, b"none"))]) as vendor:
        [answer] = await errands.run(errand_at(vendor), ask(VendorRequest("GET", "/a", own_statuses=frozenset({404}))))
        assert (answer.status, answer.body) == (404, b"none")


async def test_a_request_that_has_to_wait_waits(errands: Errands) -> None:
    async with ScriptServer([Read(), Write(OK)]) as vendor:
        began = time.monotonic()
        await errands.run(errand_at(vendor), ask(VendorRequest("GET", "/a", after=0.05)))
        assert time.monotonic() - began >= 0.05


async def test_a_refusal_is_what_the_translator_says_of_it(errands: Errands) -> None:
    async with ScriptServer([Read(), Write(response(429, b"slow down", retry_after="3"))]) as vendor:
        error = await failing(errands.run(errand_at(vendor), ask(LIST)))
        assert (error.code, error.cause, error.vendor_status) == ("upstream_rate_limited", "rate_limited", 429)
        assert (error.retry_after, error.vendor_message) == (3.0, "slow down")


async def test_a_refusal_is_told_with_its_status_whatever_the_translator_says(errands: Errands) -> None:
    async with ScriptServer([Read(), Write(response(409, b""))]) as vendor:
        error = await failing(errands.run(errand_at(vendor, Curt), ask(LIST)))
        assert (error.code, error.vendor_status) == ("upstream_rejected", 409)


async def test_a_refusal_that_cannot_be_read_is_a_protocol_error(errands: Errands) -> None:
    async with ScriptServer([Read(), Write(response(409, b""))]) as vendor:
        error = await failing(errands.run(errand_at(vendor, Confused), ask(LIST)))
        assert (error.code, error.cause) == ("upstream_protocol", "malformed")
        with pytest.raises(GatewayError) as caught:
            async with errands.download(errand_at(vendor, Confused), LIST):
                raise AssertionError("it began")
        assert (caught.value.code, caught.value.cause) == ("upstream_protocol", "malformed")


FAULTS: dict[str, tuple[list[Step], str, str, int | None]] = {
    "a redirect": ([Write(response(302, b"", location="/b"))], "upstream_protocol", "redirect", None),
    "compressed": ([Write(response(200, b"\x1f", content_encoding="gzip"))], "upstream_protocol", "encoding", None),
    "nothing": ([Write(b"HTTP/1.1 204 No\r\n\r\n")], "upstream_protocol", "truncated", None),
    "garbage": ([Write(b"hello\r\n\r\n"), Hold()], "upstream_protocol", "protocol", None),
    "too large": ([Write(response(200, b"x" * 1001)), Hold()], "upstream_protocol", "too_large", None),
    "closed": ([Close()], "upstream_unavailable", "reset_before_headers", None),
    "cut": ([Write(OK[:-1])], "upstream_unavailable", "reset_midstream", None),
    "silent": ([Hold()], "upstream_timeout", "first_event_timeout", None),
    "silent after its head": ([Write(HEAD), Hold()], "upstream_timeout", "total_timeout", None),
    "drop by drop": ([Write(HEAD), Repeat(chunk(b"x"), every=0.02)], "upstream_timeout", "total_timeout", None),
    "down": ([Write(response(500, b"stack"))], "upstream_unavailable", "status_5xx", 500),
    "a refusal cut short": ([Write(response(403, b"no!")[:-1])], "upstream_auth", "auth", 403),
    "a refusal without end": (
        [Write(HEAD.replace(b"200", b"403")), Repeat(chunk(b"x" * 9000))],
        "upstream_auth",
        "auth",
        403,
    ),
}


@pytest.mark.parametrize(("script", "code", "cause", "status"), FAULTS.values(), ids=FAULTS)
async def test_an_answer_of_no_use_is_told_and_the_port_is_closed(
    errands: Errands, script: list[Step], code: str, cause: str, status: int | None
) -> None:
    async with ScriptServer([Read(), *script]) as vendor:
        calls = ask(LIST, LIST)
        error = await failing(errands.run(errand_at(vendor, times=Times(answer=0.15), limit=1000), calls))
        assert (error.code, error.cause, error.vendor_status) == (code, cause, status)
        assert len(error.vendor_message or "") <= MAX_REFUSAL
        assert inspect.getgeneratorstate(calls) == "GEN_CLOSED"
        assert len(vendor.requests) == 1


async def test_a_vendor_that_cannot_be_reached_is_told(errands: Errands) -> None:
    calls = ask(LIST)
    error = await failing(errands.run(errand_at(closed_port()), calls))
    assert (error.code, error.cause) == ("upstream_unavailable", "connect")
    assert inspect.getgeneratorstate(calls) == "GEN_CLOSED"


async def test_a_vendor_that_is_not_reached_in_time_is_told(errands: Errands) -> None:
    async with unanswered_port() as port:
        error = await failing(errands.run(errand_at(port, times=Times(connect=0.05)), ask(LIST)))
        assert (error.code, error.cause) == ("upstream_timeout", "connect_timeout")


async def test_a_base_url_that_is_not_configured_is_unsupported(errands: Errands) -> None:
    calls = ask(VendorRequest("GET", "/a", base="apps"))
    assert (await failing(errands.run(errand_at(closed_port()), calls))).code == "unsupported"
    assert inspect.getgeneratorstate(calls) == "GEN_CLOSED"


async def test_a_document_that_the_port_cannot_read_is_a_protocol_error(errands: Errands) -> None:
    def calls() -> Calls[None]:
        yield LIST
        raise Malformed("expected `str` - at `$.id`")

    async with ScriptServer([Read(), Write(OK)]) as vendor:
        error = await failing(errands.run(errand_at(vendor), calls()))
        assert (error.code, error.cause, error.vendor_message) == (
            "upstream_protocol",
            "malformed",
            "expected `str` - at `$.id`",
        )


@pytest.mark.parametrize("script", [[Hold()], [Write(HEAD + chunk(b"a")), Hold()]], ids=["no head", "half a body"])
async def test_who_stops_waiting_closes_the_port_and_the_connection(errands: Errands, script: list[Step]) -> None:
    async with ScriptServer([Read(), *script]) as vendor:
        calls = ask(LIST)
        running = asyncio.create_task(errands.run(errand_at(vendor), calls))
        await (await vendor.connection()).heard(b"\r\n\r\n")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await vendor.connections[0].left()
        assert inspect.getgeneratorstate(calls) == "GEN_CLOSED"


# --- kept connections


@pytest.mark.parametrize("effect", ["none", "repeatable"])
async def test_a_kept_connection_that_turns_out_closed_is_replaced(errands: Errands, effect: Any) -> None:
    request = VendorRequest("POST", "/a", effect=effect)
    async with ScriptServer([Read(), Write(OK), Read(), Close()], [Read(), Write(OK)]) as vendor:
        answers = await errands.run(errand_at(vendor), ask(LIST, request))
        assert bodies(answers) == [b'{"ok":true}'] * 2
        assert [asked.target for asked in vendor.requests] == ["/files", "/a", "/a"]


async def test_what_must_not_happen_twice_is_not_repeated_on_another_connection(errands: Errands) -> None:
    request = VendorRequest("POST", "/a", effect="once")
    async with ScriptServer([Read(), Write(OK), Read(), Close()], [Read(), Write(OK)]) as vendor:
        error = await failing(errands.run(errand_at(vendor), ask(LIST, request)))
        assert (error.code, error.cause) == ("upstream_unavailable", "stale_connection")
        assert len(vendor.connections) == 1


async def test_a_kept_connection_that_answers_badly_is_not_replaced(errands: Errands) -> None:
    async with ScriptServer([Read(), Write(OK), Read(), Write(b"hello\r\n\r\n"), Hold()]) as vendor:
        error = await failing(errands.run(errand_at(vendor), ask(LIST, LIST)))
        assert (error.cause, len(vendor.requests), len(vendor.connections)) == ("protocol", 2, 1)


async def test_a_new_connection_that_is_closed_is_not_replaced(errands: Errands) -> None:
    async with ScriptServer([Read(), Close()]) as vendor:
        error = await failing(errands.run(errand_at(vendor), ask(LIST)))
        assert (error.cause, len(vendor.requests)) == ("reset_before_headers", 1)


# --- sessions


async def test_errands_that_come_at_once_are_signed_in_once(errands: Errands) -> None:
    door = Doorman()
    async with ScriptServer([Serve(door.answer)]) as vendor:
        answers = await asyncio.gather(*(errands.run(errand_at(vendor, Guest), ask(LIST, LIST)) for _ in range(5)))
        assert [bodies(each) for each in answers] == [[b'{"ok":true}'] * 2] * 5
        assert door.signed_in == 1


async def test_a_session_that_is_refused_is_renewed_once_and_the_request_repeated(errands: Errands) -> None:
    door = Doorman()
    async with ScriptServer([Serve(door.answer)]) as vendor:
        await errands.run(errand_at(vendor, Guest), ask(LIST))
        door.valid.clear()
        answers = await errands.run(errand_at(vendor, Guest), ask(VendorRequest("POST", "/a", effect="once"), LIST))
        assert bodies(answers) == [b'{"ok":true}'] * 2
        told = [(asked.target, asked.headers.get("X-Session")) for asked in vendor.requests]
        assert sorted(told, key=str) == [
            ("/a", "s-1"),
            ("/a", "s-2"),
            ("/files", "s-1"),
            ("/files", "s-2"),
            ("/sign-in", None),
            ("/sign-in", None),
        ]


async def test_a_session_that_is_refused_when_new_is_not_renewed_again(errands: Errands) -> None:
    async with ScriptServer([Serve(lambda asked: SIGNED_IN if asked.target == "/sign-in" else REFUSED)]) as vendor:
        error = await failing(errands.run(errand_at(vendor, Guest), ask(LIST)))
        assert (error.code, error.vendor_status) == ("upstream_auth", 401)
        assert sorted(asked.target for asked in vendor.requests) == ["/files", "/files", "/sign-in", "/sign-in"]


async def test_a_key_that_is_refused_is_not_renewed(errands: Errands) -> None:
    async with ScriptServer([Serve(lambda _: REFUSED)]) as vendor:
        error = await failing(errands.run(errand_at(vendor), ask(LIST)))
        assert (error.code, error.vendor_status, len(vendor.requests)) == ("upstream_auth", 401, 1)


async def test_a_sign_in_without_a_session_is_made_for_every_request(errands: Errands) -> None:
    async with ScriptServer([Serve(lambda asked: SIGNED_IN if asked.method == "POST" else OK)]) as vendor:
        await errands.run(errand_at(vendor, Stranger), ask(LIST, LIST))
        assert [(asked.target, asked.headers.get("X-Once")) for asked in vendor.requests] == [
            ("/sign-in", None),
            ("/files", "s-1"),
            ("/sign-in", None),
            ("/files", "s-1"),
        ]


async def test_a_session_that_its_own_translator_does_not_take_is_refused(errands: Errands) -> None:
    async with ScriptServer([Serve(lambda _: SIGNED_IN)]) as vendor:
        error = await failing(errands.run(errand_at(vendor, Doubter), ask(LIST)))
        assert (error.code, error.message) == ("upstream_auth", "the vendor's session was not accepted")
        assert [asked.target for asked in vendor.requests] == ["/sign-in"]


async def test_a_sign_in_that_is_refused_is_what_the_translator_says_of_it(errands: Errands) -> None:
    async with ScriptServer([Serve(lambda _: response(403, b"locked"))]) as vendor:
        error = await failing(errands.run(errand_at(vendor, Guest), ask(LIST)))
        assert (error.code, error.vendor_status, error.vendor_message) == ("upstream_auth", 403, "locked")


@pytest.mark.parametrize("script", [[Hold()], [Write(HEAD), Repeat(chunk(b"x"), every=0.02)]], ids=["silent", "slow"])
async def test_a_sign_in_that_hangs_is_given_up(errands: Errands, script: list[Step]) -> None:
    async with ScriptServer([Read(), *script]) as vendor:
        error = await failing(errands.run(errand_at(vendor, Guest, times=Times(answer=0.1)), ask(LIST)))
        assert (error.code, error.cause) == ("upstream_timeout", "first_event_timeout")
        assert error.message == "the vendor did not answer the sign-in in time"
        await vendor.connections[0].left()


async def test_a_sign_in_that_cannot_be_read_is_a_protocol_error(errands: Errands) -> None:
    async with ScriptServer([Serve(lambda _: OK)]) as vendor:
        error = await failing(errands.run(errand_at(vendor, Reader), ask(LIST)))
        assert (error.code, error.cause) == ("upstream_protocol", "malformed")
        errand = errand_at(vendor, Reader)
        error = await failing(errands.sign_in(errand.translator, errand.vendor, 1))
        assert (error.code, error.cause) == ("upstream_protocol", "malformed")
        with pytest.raises(GatewayError, match="cannot be read"):
            async with errands.download(errand, LIST):
                pass


# --- uploads


async def test_an_upload_leaves_piece_by_piece_as_it_comes(errands: Errands) -> None:
    may_go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"first"
        await may_go_on.wait()
        yield b"second"

    async with ScriptServer([Read(), Write(OK), Read(), Write(OK)]) as vendor:
        running = asyncio.create_task(errands.run(errand_at(vendor), ask(uploading(slowly()), LIST)))
        await (await vendor.connection()).heard(chunk(b"first"))
        assert not vendor.requests
        may_go_on.set()
        assert bodies(await running) == [b'{"ok":true}'] * 2
        asked = vendor.requests[0]
        boundary = asked.headers["Content-Type"].removeprefix("multipart/form-data; boundary=").encode()
        disposition = b'\r\nContent-Disposition: form-data; name="%b"\r\n'
        assert asked.body.split(b"--" + boundary) == [
            b"",
            disposition % b"note" + b"\r\nhi\r\n",
            disposition % b'file"; filename="a b.bin' + b"Content-Type: application/x-bin\r\n\r\nfirstsecond\r\n",
            b"--\r\n",
        ]
        assert len(vendor.connections) == 1


async def test_a_large_upload_passes_through_without_being_gathered(errands: Errands) -> None:
    size, piece = 64 * MB, bytes(range(256)) * 256
    peak, sent = 0, hashlib.sha256()

    async def reading() -> AsyncIterator[bytes]:
        nonlocal peak
        for number in range(size // len(piece)):
            if number % 16 == 0:
                peak = max(peak, resident_bytes())
            sent.update(piece)
            yield piece

    async def store(request: web.Request) -> web.Response:
        heard: dict[str | None, str] = {}
        async for part in await request.multipart():
            assert isinstance(part, BodyPartReader)
            digest = hashlib.sha256()
            while data := await part.read_chunk(65536):
                digest.update(data)
            heard[part.name] = digest.hexdigest()
        return web.json_response(heard)

    app = web.Application(client_max_size=2 * size)
    app.router.add_post("/files", store)
    async with TestServer(app) as vendor:
        errand = errand_at(vendor.port or 0)
        await errands.run(errand, ask(uploading(b"warm up")))
        before = resident_bytes()
        [answer] = await errands.run(errand, ask(uploading(reading())))
        heard = msgspec.json.decode(answer.body)
        assert heard == {"note": hashlib.sha256(b"hi").hexdigest(), "file": sent.hexdigest()}
        assert peak - before < 16 * MB


async def test_an_upload_takes_no_kept_connection(errands: Errands) -> None:
    """It could not be repeated on another, were the kept one closed."""
    async with ScriptServer([Read(), Write(OK), Hold()], [Read(), Write(OK)]) as vendor:

        async def data() -> AsyncIterator[bytes]:
            yield b"x"

        await errands.run(errand_at(vendor), ask(LIST, uploading(data())))
        assert [len(connection.requests) for connection in vendor.connections] == [1, 1]


async def test_a_vendor_that_refuses_before_the_upload_is_over_is_heard_and_its_connection_closed(
    errands: Errands,
) -> None:
    async with ScriptServer([ReadHead(), Write(response(413, b"too large")), Hold()], [Read(), Write(OK)]) as vendor:
        error = await failing(errands.run(errand_at(vendor), ask(uploading(endless()))))
        assert (error.code, error.vendor_status, error.vendor_message) == ("upstream_rejected", 413, "too large")
        await vendor.connections[0].left()
        assert not vendor.connections[0].received.endswith(LAST_CHUNK)
        assert bodies(await errands.run(errand_at(vendor), ask(LIST))) == [b'{"ok":true}']
        assert len(vendor.connections) == 2


async def test_a_vendor_that_claims_success_before_the_upload_is_over_is_not_believed(errands: Errands) -> None:
    async with ScriptServer([ReadHead(), Write(OK), Hold()]) as vendor:
        error = await failing(errands.run(errand_at(vendor), ask(uploading(endless()))))
        assert (error.code, error.message) == (
            "upstream_protocol",
            "the vendor answered before it had read the upload",
        )
        await vendor.connections[0].left()


async def test_a_refusal_ends_the_waiting_for_a_client_that_sends_nothing(errands: Errands) -> None:
    stopped = asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        try:
            yield b"x"
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with ScriptServer([ReadHead(), Write(response(403, b"no")), Hold()]) as vendor:
        error = await failing(errands.run(errand_at(vendor), ask(uploading(silent()))))
        assert (error.code, stopped.is_set()) == ("upstream_auth", True)


async def test_a_client_that_fails_as_it_is_stopped_does_not_hide_the_refusal(errands: Errands) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        try:
            await asyncio.Event().wait()
        finally:
            raise ConnectionResetError("the client")

    async with ScriptServer([ReadHead(), Write(response(403, b"no")), Hold()]) as vendor:
        error = await failing(errands.run(errand_at(vendor), ask(uploading(broken()))))
        assert (error.code, error.vendor_status) == ("upstream_auth", 403)


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["closes", "resets"])
async def test_a_vendor_that_leaves_in_the_middle_of_an_upload_is_unavailable(errands: Errands, end: Step) -> None:
    async with ScriptServer([ReadHead(), end]) as vendor:
        error = await failing(errands.run(errand_at(vendor), ask(uploading(endless()))))
        assert (error.code, error.cause) == ("upstream_unavailable", "reset_before_headers")
        assert len(vendor.connections) == 1


async def test_a_vendor_that_stops_reading_an_upload_is_given_up(errands: Errands) -> None:
    async with ScriptServer([ReadHead(), StopReading()]) as vendor:
        error = await failing(errands.run(errand_at(vendor, times=Times(idle=0.1)), ask(uploading(endless()))))
        assert (error.code, error.cause) == ("upstream_timeout", "idle_timeout")
        assert error.message == "the vendor did not read on in time"


async def test_a_vendor_that_is_silent_after_an_upload_is_given_up(errands: Errands) -> None:
    async def data() -> AsyncIterator[bytes]:
        yield b"x"

    async with ScriptServer([Read(), Hold()]) as vendor:
        error = await failing(errands.run(errand_at(vendor, times=Times(answer=0.1)), ask(uploading(data()))))
        assert (error.code, error.cause) == ("upstream_timeout", "first_event_timeout")
        assert len(vendor.requests) == 1


LOST: list[Exception] = [
    GatewayError("payload_too_large", "a file is over 3 bytes"),
    TimeoutError("the client"),
    ConnectionResetError("the client"),
]


@pytest.mark.parametrize("lost", LOST, ids=lambda error: type(error).__name__)
async def test_a_client_that_fails_in_the_middle_of_an_upload_cuts_it_off(errands: Errands, lost: Exception) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise lost

    async with ScriptServer([Read(), Hold()]) as vendor:
        calls = ask(uploading(broken()))
        with pytest.raises(type(lost)) as caught:
            await errands.run(errand_at(vendor), calls)
        assert caught.value is lost
        await (await vendor.connection()).left()
        assert (vendor.requests, inspect.getgeneratorstate(calls)) == ([], "GEN_CLOSED")


async def test_who_stops_waiting_for_an_upload_cuts_it_off(errands: Errands) -> None:
    async with ScriptServer([Read(), Hold()]) as vendor:
        running = asyncio.create_task(errands.run(errand_at(vendor), ask(uploading(endless()))))
        await (await vendor.connection()).heard(b"xxx")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await vendor.connections[0].left()
        assert vendor.requests == []


async def test_an_upload_is_not_repeated_after_a_401_but_the_next_has_a_new_session(errands: Errands) -> None:
    async def data() -> AsyncIterator[bytes]:
        yield b"x"

    door = Doorman()
    async with ScriptServer([Serve(door.answer)]) as vendor:
        assert bodies(await errands.run(errand_at(vendor, Guest), ask(uploading(data())))) == [b'{"ok":true}']
        door.valid.clear()
        error = await failing(errands.run(errand_at(vendor, Guest), ask(uploading(data()))))
        assert (error.code, error.vendor_status, door.signed_in) == ("upstream_auth", 401, 1)
        assert bodies(await errands.run(errand_at(vendor, Guest), ask(uploading(data())))) == [b'{"ok":true}']
        assert (door.signed_in, len(vendor.requests)) == (2, 5)


# --- downloads


async def test_a_download_is_its_head_and_its_pieces(errands: Errands) -> None:
    second = asyncio.Event()
    script = [Read(), Write(HEAD + chunk(b"a")), Wait(second), Write(chunk(b"b") + LAST_CHUNK), Read(), Write(OK)]
    async with ScriptServer(script) as vendor:
        pieces = []
        async with errands.download(errand_at(vendor), LIST) as found:
            assert found.headers["content-type"] == "text/event-stream"
            async for piece in found.pieces:
                pieces.append(piece)
                second.set()
        assert pieces == [b"a", b"b"]
        await errands.run(errand_at(vendor), ask(LIST))
        assert len(vendor.connections) == 1


async def test_a_download_may_be_larger_than_a_document(errands: Errands) -> None:
    async with (
        ScriptServer([Read(), Write(response(200, b"x" * 5000))]) as vendor,
        errands.download(errand_at(vendor, limit=10), LIST) as found,
    ):
        assert b"".join([piece async for piece in found.pieces]) == b"x" * 5000


async def test_a_session_that_a_download_finds_refused_is_renewed_once(errands: Errands) -> None:
    door = Doorman()
    async with ScriptServer([Serve(door.answer)]) as vendor:
        await errands.run(errand_at(vendor, Guest), ask(LIST))
        door.valid.clear()
        async with errands.download(errand_at(vendor, Guest), LIST) as found:
            assert [piece async for piece in found.pieces] == [b'{"ok":true}']
        assert door.signed_in == 2


DOWNLOADS: dict[str, tuple[list[Step], str, str]] = {
    "refused": ([Write(response(404, b"none"))], "upstream_not_found", "not_found"),
    "a redirect": ([Write(response(302, b"", location="/b"))], "upstream_protocol", "redirect"),
    "compressed": ([Write(response(200, b"\x1f", content_encoding="gzip"))], "upstream_protocol", "encoding"),
    "silent": ([Hold()], "upstream_timeout", "first_event_timeout"),
    "closed": ([Close()], "upstream_unavailable", "reset_before_headers"),
}


@pytest.mark.parametrize(("script", "code", "cause"), DOWNLOADS.values(), ids=DOWNLOADS)
async def test_a_download_that_does_not_begin_is_told(
    errands: Errands, script: list[Step], code: str, cause: str
) -> None:
    async with ScriptServer([Read(), *script]) as vendor:
        with pytest.raises(GatewayError) as caught:
            async with errands.download(errand_at(vendor, times=Times(answer=0.1)), LIST):
                raise AssertionError("it began")
        assert (caught.value.code, caught.value.cause) == (code, cause)


BREAKS: dict[str, tuple[list[Step], str]] = {
    "closed": ([Close()], "reset_midstream"),
    "reset": ([Reset()], "reset_midstream"),
    "garbage": ([Write(b"zz\r\n"), Hold()], "protocol"),
    "silent": ([Hold()], "idle_timeout"),
}


@pytest.mark.parametrize(("end", "cause"), BREAKS.values(), ids=BREAKS)
async def test_a_download_that_breaks_in_the_middle_raises(errands: Errands, end: list[Step], cause: str) -> None:
    taken = asyncio.Event()
    pieces = []

    async def take(errand: Errand) -> None:
        async with errands.download(errand, LIST) as found:
            async for piece in found.pieces:
                pieces.append(piece)
                taken.set()

    async with ScriptServer([Read(), Write(HEAD + chunk(b"a")), Wait(taken), *end]) as vendor:
        error = await failing(take(errand_at(vendor, times=Times(idle=0.1))))
        assert (pieces, error.cause) == ([b"a"], cause)


async def test_a_vendor_waits_while_nobody_takes_what_is_downloaded(errands: Errands) -> None:
    async with ScriptServer([Read(), Write(HEAD), Repeat(chunk(b"x" * 60_000))]) as vendor:
        async with errands.download(errand_at(vendor), LIST) as found:
            await vendor.connections[0].stalled(within=5)
            before = resident_bytes()
            taken = 0
            async for piece in found.pieces:
                taken += len(piece)
                if taken > 32 * MB:
                    break
            await vendor.connections[0].stalled(within=5)
            assert resident_bytes() - before < 16 * MB
        await until(lambda: vendor.connections[0].leaving is not None)


async def test_who_leaves_a_download_early_frees_its_connection(errands: Errands, pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD + chunk(b"a")), Hold()]) as vendor:
        async with errands.download(errand_at(vendor), LIST) as found:
            assert await anext(found.pieces) == b"a"
        await vendor.connections[0].left()
        assert [piece async for piece in found.pieces] == []
        with pytest.raises(ZeroDivisionError):
            async with errands.download(errand_at(vendor), LIST):
                raise ZeroDivisionError
        await (await vendor.connection(1)).left()
        await until(lambda: pool.open_connections == 0)


async def test_who_stops_waiting_for_a_piece_frees_its_connection(errands: Errands) -> None:
    waiting = asyncio.Event()

    async def take(errand: Errand) -> None:
        async with errands.download(errand, LIST) as found:
            async for _ in found.pieces:
                waiting.set()

    async with ScriptServer([Read(), Write(HEAD + chunk(b"a")), Hold()]) as vendor:
        taking = asyncio.create_task(take(errand_at(vendor)))
        await waiting.wait()
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking
        await vendor.connections[0].left()

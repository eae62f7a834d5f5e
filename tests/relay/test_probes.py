"""Vendors are asked for their health over real sockets, and what they answer decides whether they are called."""

import asyncio
import gc
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.protocols.base import Credentials, VendorRequest
from gateway.relay.probes import Outcome, Probes
from gateway.relay.relay import Relay
from gateway.relay.rendering import Vendor, render
from gateway.relay.upstream import Origin, Pool
from gateway.routing.breaker import Breaker, BreakerSettings, State
from gateway.routing.health import Health, HealthSettings
from gateway.routing.probe import Probe, ProbeSettings
from tests.support.gateway import END, HELLO, START, open_sockets, told, until
from tests.support.scripts import (
    HEAD,
    LAST_CHUNK,
    Close,
    Connection,
    Hold,
    Read,
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
from tests.support.served import DEMO, scripted, serving

OK = response(200, b'{"status":"ok"}')
DOWN = response(503, b"down")
ASKED = ProbeSettings("/healthz", every=60, timeout=5, failures=2)
QUICK = ProbeSettings("/healthz", every=60, timeout=0.1)


class Hasty(Probe):
    """Asks six times, each as soon as the one before was answered."""

    left = 6

    def wait(self) -> float:
        self.left -= 1
        return 0.0 if self.left else 60.0


class Asked:
    """Probes of vendors, and all that came of them in the order in which it came."""

    def __init__(self, pool: Pool, settings: ProbeSettings, kind: type[Probe]) -> None:
        self.outcomes: list[tuple[str, Outcome]] = []
        self.states: list[State] = []
        self.bugs: list[BaseException] = []
        self.broken = ""
        self.probes = Probes(pool, on_bug=self.bugs.append, on_probed=self._note)
        self._breakers: dict[str, Breaker] = {}
        self._settings = settings
        self._kind = kind

    def start(self, name: str, port: int, base_path: str = "", scheme: str = "http") -> None:
        """Its breaker is half open from its opening on, unless a probe keeps it open."""
        breaker = self._breakers[name] = Breaker(BreakerSettings(open_for=1e-6, max_open=1e-6))
        vendor = Vendor(name, {"": (Origin(scheme, "127.0.0.1", port), base_path)}, Credentials({"api_key": "s3cret"}))
        self.probes.start(vendor, self._kind(self._settings, breaker, lambda: 0.0))

    async def came(self, count: int = 1) -> list[Outcome]:
        await until(lambda: len(self.outcomes) >= count)
        return [outcome for _, outcome in self.outcomes[:count]]

    def _note(self, vendor: str, outcome: Outcome) -> None:
        self.outcomes.append((vendor, outcome))
        self.states.append(self._breakers[vendor].state(time.monotonic()))
        if vendor == self.broken:
            raise RuntimeError("boom")


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """Whatever a test does: no connection, socket or task is left of it, and no failure that nobody looked at."""
    mishaps: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, mishap: mishaps.append(mishap))
    sockets = open_sockets()
    pool = Pool()
    yield pool
    pool.close()
    await until(lambda: pool.open_connections == 0 and open_sockets() == sockets)
    await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    gc.collect(1)  # a failure's traceback may be what keeps it
    assert mishaps == []


@asynccontextmanager
async def asking(pool: Pool, settings: ProbeSettings = ASKED, kind: type[Probe] = Probe) -> AsyncIterator[Asked]:
    asked = Asked(pool, settings, kind)
    yield asked
    await asked.probes.stop()


# --- one probe


async def test_a_probe_is_a_get_below_the_base_url_that_shows_no_credential(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(OK), Hold()]) as vendor, asking(pool) as asked:
        asked.start("acme", vendor.port, "/api/v2")
        assert await asked.came() == ["ok"]
        assert [request.raw for request in vendor.requests] == [
            b"GET /api/v2/healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept-Encoding: identity\r\n"
            b"User-Agent: protocol-gateway\r\n\r\n" % vendor.port
        ]


ANSWERS: dict[str, tuple[list[Step], Outcome]] = {
    "200": ([Write(OK)], "ok"),
    "204": ([Write(b"HTTP/1.1 204 No Content\r\n\r\n")], "ok"),
    "299": ([Write(response(299, b""))], "ok"),
    "an interim answer first": ([Write(b"HTTP/1.1 103 Early Hints\r\n\r\n"), Write(OK)], "ok"),
    "a body that is cut": ([Write(OK[:-1])], "ok"),
    "a body of garbage": ([Write(HEAD + b"garbage\r\n")], "ok"),
    "a redirect": ([Write(response(302, b"", location="/ok")), Hold()], "redirect"),
    "401": ([Write(response(401, b"no"))], "status_4xx"),
    "404": ([Write(response(404, b"what?"))], "status_4xx"),
    "503": ([Write(DOWN)], "status_5xx"),
    "an unheard-of status": ([Write(response(600, b""))], "protocol"),
    "garbage": ([Write(b"hello\r\n\r\n"), Hold()], "protocol"),
    "an end": ([Close()], "reset_before_headers"),
    "a reset": ([Reset()], "reset_before_headers"),
}


@pytest.mark.parametrize(("script", "outcome"), ANSWERS.values(), ids=ANSWERS)
async def test_a_status_of_2xx_is_well_and_anything_else_is_told_by_its_cause(
    pool: Pool, script: list[Step], outcome: Outcome
) -> None:
    async with ScriptServer([Read(), *script]) as vendor, asking(pool) as asked:
        asked.start("acme", vendor.port)
        assert await asked.came() == [outcome]
        assert len(vendor.requests) == 1


@pytest.mark.parametrize("script", [[Hold()], [Write(HEAD[:-2]), Hold()]], ids=["nothing", "half a head"])
async def test_a_vendor_that_does_not_answer_in_time_is_not_well(pool: Pool, script: list[Step]) -> None:
    async with ScriptServer([Read(), *script]) as vendor, asking(pool, QUICK) as asked:
        asked.start("acme", vendor.port)
        assert await asked.came() == ["first_event_timeout"]
        assert await (await vendor.connection()).left() in {"closed", "reset"}


async def test_a_vendor_that_cannot_be_reached_is_not_well(pool: Pool) -> None:
    async with asking(pool) as asked:
        asked.start("acme", closed_port())
        assert await asked.came() == ["connect"]


async def test_a_vendor_that_is_not_reached_in_time_is_not_well(pool: Pool) -> None:
    async with unanswered_port() as port, asking(pool, QUICK) as asked:
        asked.start("acme", port)
        assert await asked.came() == ["connect_timeout"]


async def test_a_vendor_whose_certificate_cannot_be_trusted_is_not_well(pool: Pool) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(tls)
    async with ScriptServer([Read(), Write(OK)], tls=tls) as vendor, asking(pool) as asked:
        asked.start("acme", vendor.port, scheme="https")
        assert await asked.came() == ["tls"]


# --- its connection


async def test_each_probe_makes_a_connection_of_its_own_that_is_kept_for_others(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(OK), Hold()]) as vendor, asking(pool, kind=Hasty) as asked:
        asked.start("acme", vendor.port)
        assert await asked.came(6) == ["ok"] * 6
        assert [len(connection.requests) for connection in vendor.connections] == [1] * 6
        assert pool.open_connections == 6
        assert pool.take_idle(Origin("http", "127.0.0.1", vendor.port)) is not None


async def test_a_body_is_read_to_its_end_after_the_status_decided(pool: Pool) -> None:
    rest = asyncio.Event()
    script = [Read(), Write(HEAD + chunk(b"we")), Wait(rest), Write(chunk(b"ll") + LAST_CHUNK), Hold()]
    async with ScriptServer(script) as vendor, asking(pool) as asked:
        asked.start("acme", vendor.port)
        assert await asked.came() == ["ok"]
        origin = Origin("http", "127.0.0.1", vendor.port)
        assert pool.take_idle(origin) is None
        rest.set()
        await until(lambda: pool.take_idle(origin) is not None)


async def test_a_body_that_never_ends_is_cut_off(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(HEAD), Repeat(chunk(b"x" * 60_000))]) as vendor, asking(pool) as asked:
        asked.start("acme", vendor.port)
        assert await asked.came() == ["ok"]
        await vendor.connections[0].left()
        assert pool.open_connections == 0


async def test_a_connection_that_somebody_else_has_taken_meanwhile_is_left_alone(pool: Pool) -> None:
    """Who looks at the pool all the time has it before the probe itself goes on."""
    script = [Read(), Write(OK), Read(), Write(OK), Hold()]
    async with ScriptServer(script) as vendor, asking(pool) as asked:
        asked.start("acme", vendor.port)
        origin = Origin("http", "127.0.0.1", vendor.port)
        while (kept := pool.take_idle(origin)) is None:  # noqa: ASYNC110  (no event is set for it)
            await asyncio.sleep(0)
        assert asked.outcomes == []
        reader = Listening()
        acme = Vendor("acme", {"": (origin, "")}, Credentials({}))
        kept.exchange(render(VendorRequest("GET", "/other"), acme, {}).head, b"", reader)
        assert await asked.came() == ["ok"]
        await until(lambda: reader.told)
        assert reader.told == [200, b'{"status":"ok"}', None]


class Listening:
    """Reads one exchange."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def on_head(self, status: int, headers: object) -> None:
        self.told.append(status)

    def on_body(self, data: bytes) -> None:
        self.told.append(data)

    def on_end(self, error: BaseException | None) -> None:
        self.told.append(error)


# --- one after another


async def test_bad_answers_in_a_row_open_the_breaker_and_a_good_one_lets_calls_try(pool: Pool) -> None:
    scripts = [[Read(), Write(answer), Hold()] for answer in (OK, DOWN, DOWN, DOWN, OK, OK)]
    async with ScriptServer(*scripts) as vendor, asking(pool, kind=Hasty) as asked:
        asked.start("acme", vendor.port)
        assert await asked.came(6) == ["ok", *["status_5xx"] * 3, "ok", "ok"]
        assert asked.states == ["closed", "closed", "open", "open", "half_open", "half_open"]


async def test_a_silent_vendor_is_asked_as_often_as_any_other(pool: Pool) -> None:
    settings = ProbeSettings("/healthz", every=0.2, timeout=0.15)
    async with ScriptServer([Read(), Hold()]) as vendor, asking(pool, settings) as asked:
        began = time.monotonic()
        asked.start("acme", vendor.port)
        assert await asked.came(4) == ["first_event_timeout"] * 4
        assert 0.7 < time.monotonic() - began < 1.2


async def test_a_bug_in_one_probe_is_told_once_and_stops_none(pool: Pool) -> None:
    async with ScriptServer([Read(), Write(OK)]) as vendor, asking(pool, kind=Hasty) as asked:
        asked.broken = "acme"
        asked.start("acme", vendor.port)
        asked.start("zeta", vendor.port)
        await asked.came(12)
        assert set(asked.outcomes) == {("acme", "ok"), ("zeta", "ok")}
        assert [str(bug) for bug in asked.bugs] == ["boom"]


async def test_what_cannot_be_asked_is_a_bug_of_ours_and_says_nothing_of_the_vendor(pool: Pool) -> None:
    async with asking(pool) as asked:
        asked.start("acme", closed_port(), "/a b")
        await until(lambda: asked.bugs)
        assert ([str(bug) for bug in asked.bugs], asked.outcomes) == (
            ["a request to the vendor could not be built"],
            [],
        )


async def test_a_probe_that_is_stopped_hangs_up(pool: Pool) -> None:
    async with ScriptServer([Read(), Hold()]) as vendor:
        async with asking(pool) as asked:
            asked.start("acme", vendor.port)
            await (await vendor.connection()).heard(b"\r\n\r\n")
        await vendor.connections[0].left()
        assert (asked.outcomes, pool.open_connections) == ([], 0)


# --- with the relay, and in a whole gateway


async def test_the_relay_asks_the_vendors_that_have_a_probe_while_it_runs() -> None:
    outcomes: list[tuple[str, Outcome]] = []
    bugs: list[BaseException] = []
    async with ScriptServer([Read(), Write(HEAD), Hold()]) as vendor:
        bases = {"": (Origin("http", "127.0.0.1", vendor.port), "")}
        vendors = {name: Vendor(name, bases, Credentials({})) for name in ("acme", "zeta")}
        health = Health({"acme": HealthSettings(), "zeta": HealthSettings(probe=ASKED)}, lambda: 0.0)
        relay = Relay(
            vendors,
            probes=health.probes(),
            on_bug=bugs.append,
            on_probed=lambda name, outcome: outcomes.append((name, outcome)),
        )
        async with relay:
            await until(lambda: outcomes)
            await vendor.connections[0].left(within=DRAINED_WITHIN)
        assert (outcomes, bugs) == ([("zeta", "ok")], [])
        assert asyncio.all_tasks() <= {asyncio.current_task(), *(each.playing for each in vendor.connections)}
        assert relay.pool.open_connections == 0


DRAINED_WITHIN = 3.0
"""The rest of a body may take a second, and the sweeper looks twice a second."""


class Play(Step, frozen=True):
    """Answers every request by what it asks."""

    answer: Callable[[Received], list[Step]]

    async def play(self, connection: Connection) -> None:
        while True:
            await Read().play(connection)
            for step in self.answer(connection.requests[-1]):
                await step.play(connection)


async def test_a_vendor_that_is_not_well_is_not_called_until_it_is(tmp_path: Path) -> None:
    health = DOWN

    def answer(asked: Received) -> list[Step]:
        return [Write(health)] if asked.target == "/health/live" else told(START, HELLO, END)

    probe = '[vendors.acme.probe]\npath = "/health/live"\nevery = 0.2\ntimeout = 0.2\nfailures = 2'
    async with (
        ScriptServer([Play(answer)]) as vendor,
        serving(tmp_path, scripted(vendor.url, probe)) as gateway,
    ):

        async def reaches(state: str) -> None:
            async with asyncio.timeout(5):
                while not (await gateway.samples("gateway_breaker_state"))[state, "acme"]:  # noqa: ASYNC110  (as above)
                    await asyncio.sleep(0.02)

        await reaches("open")
        refused = await gateway.post({"content": "Hi"})
        assert (refused.status, refused.error["code"]) == (503, "upstream_unavailable")
        assert {asked.target for asked in vendor.requests} == {"/health/live"}
        health = OK
        await reaches("half_open")
        answered = await gateway.post({"content": "Hi", "stream": False})
        assert (answered.status, answered.document["status"]) == (200, "completed")
        await reaches("closed")
        counted = await gateway.samples("gateway_health_probes_total")
        assert counted["status_5xx", "acme"] >= 2
        assert counted["ok", "acme"] >= 1
        probes = [asked for asked in vendor.requests if asked.target == "/health/live"]
        await until(lambda: len(vendor.requests) > len(probes) + 1)  # so that none is on its way as all of it ends
        assert {frozenset(asked.headers) for asked in probes} == {frozenset({"Host", "Accept-Encoding", "User-Agent"})}


async def test_a_simulated_vendor_is_well(tmp_path: Path) -> None:
    probes = "".join(
        f'[vendors.{name}.probe]\npath = "/healthz"\nevery = 0.5\ntimeout = 0.5\n' for name in ("hardwire", "chatbase")
    )
    async with serving(tmp_path, DEMO + probes) as gateway, asyncio.timeout(5):
        counted: dict[tuple[str, ...], float] = {}
        while not {("ok", "hardwire"), ("ok", "chatbase")} <= counted.keys():
            await asyncio.sleep(0.02)
            counted = await gateway.samples("gateway_health_probes_total")

"""Canary credentials in every place that holds one, and a look into every sink (row 99 of the list of faults).

Sinks are: what clients are told, log lines in both formats, metrics, the `repr` of what is built, exceptions. The log
is configured as the process does it. What a vendor writes into the text of its answer is its answer, and is shown.
"""

import asyncio
import hashlib
import itertools
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from gateway import settings as s
from gateway.app import build_gateway
from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.conversations.memory import MemoryStore
from gateway.protocols.base import Authorization, Calls, Credentials, Descriptor, Headers, VendorRequest
from gateway.protocols.hardwire import HARDWIRE
from gateway.protocols.hardwire.translator import HardwireTarget, HardwireTranslator
from gateway.protocols.registry import BUILT_IN
from gateway.simulation.faults import FAULTS
from gateway.telemetry import logs
from gateway.telemetry.metrics import Metrics
from tests.support.gateway import HELLO, START, told
from tests.support.scripts import Close, Hold, Read, ScriptServer, Write, request, response
from tests.support.served import Served, serving

CANARY = "canary"
ENVIRON = {
    "GATEWAY_KEY": "gwk-canary-gateway-key-0123456789",
    "HARDWIRE_EMAIL": "canary-email@example.com",
    "HARDWIRE_PASSWORD": "canary-password",
    "CHATBASE_API_KEY": "canary-api-key-0123456789",
    "ACME_COOKIE": "session=canary-cookie-0123456789",
}
SECRETS = [*ENVIRON.values(), "canary-in-a-file", "canary-session-token-0123456789"]
KEY = {"Authorization": f"Bearer {ENVIRON['GATEWAY_KEY']}"}

CONFIG = """
default_route = "hardwire"
[simulation]
port = 0
[[keys]]
id = "team"
secret = { env = "GATEWAY_KEY" }
[vendors.hardwire]
protocol = "hardwire"
base_url = "simulation:hardwire"
credentials = { email = { env = "HARDWIRE_EMAIL" }, password = { env = "HARDWIRE_PASSWORD" } }
[vendors.chatbase]
protocol = "chatbase"
base_url = "simulation:chatbase"
credentials = { api_key = { env = "CHATBASE_API_KEY" } }
[vendors.scripted]
protocol = "PROTOCOL"
base_url = "URL"
credentials = { CREDENTIALS }
[routes.hardwire]
deadlines = { first_event = 2 }
targets = [{ vendor = "hardwire", model = "m" }]
[routes.chatbase]
deadlines = { first_event = 2 }
targets = [{ vendor = "chatbase", agent = "a" }]
[routes.scripted]
targets = [{ vendor = "scripted", TARGET, deadlines = { connect = 1, first_event = 2, idle = 2, total = 4 } }]
"""
SCRIPTED = {
    "hardwire": ('cookie = { env = "ACME_COOKIE" }, user_id = { file = "user.txt" }', 'model = "m"'),
    "signing in": ('email = { env = "HARDWIRE_EMAIL" }, password = { env = "HARDWIRE_PASSWORD" }', 'model = "m"'),
    "chatbase": ('api_key = { env = "CHATBASE_API_KEY" }', 'agent = "a"'),
}


def configuration(tmp_path: Path, url: str = "http://127.0.0.1:9", how: str = "hardwire", protocol: str = "") -> str:
    (tmp_path / "user.txt").write_text("canary-in-a-file\n")
    credentials, target = SCRIPTED[how]
    named = protocol or ("chatbase" if how == "chatbase" else "hardwire")
    text = CONFIG.replace("PROTOCOL", named).replace("URL", url)
    return text.replace("CREDENTIALS", credentials).replace("TARGET", target)


class Sinks:
    """All that left the gateway."""

    def __init__(self, log: Path) -> None:
        self.told: list[bytes] = []
        self.logged: list[bytes] = []
        """What the log must hold, for the test to mean anything."""
        self._log = log

    def check(self) -> None:
        written = self._log.read_bytes()
        assert [text for text in self.logged if text not in written] == []
        for place, secret in itertools.product([written, *self.told], SECRETS):
            assert secret.encode() not in place, place[:2000]


@pytest.fixture(params=["json", "pretty"])
def sinks(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sinks]:
    """The log goes into a file, redacted as in the process; at the end no sink holds a secret."""
    (tmp_path / "user.txt").write_text("canary-in-a-file\n")
    path = tmp_path / "gateway.toml"
    path.write_text(configuration(tmp_path))
    settings = s.load(path, BUILT_IN, environ=ENVIRON)
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    kept = Sinks(tmp_path / "log")
    with kept._log.open("w") as stream:
        sink = logs.configure(request.param, "debug", s.secrets(settings), stream)
        try:
            yield kept
        finally:
            sink.close()
            structlog.reset_defaults()
            root.handlers, root.level = handlers, level
    kept.check()


async def collect(gateway: Served, sinks: Sinks, body: dict[str, Any]) -> int:
    reply = await gateway.post(body, **KEY)
    sinks.told += [reply.body, repr(sorted(reply.headers.items())).encode()]
    sinks.logged.append(reply.headers["X-Request-Id"].encode())
    return reply.status


async def collect_metrics(gateway: Served, sinks: Sinks) -> None:
    for path in ("/metrics", "/v1/routes", "/readyz"):
        sinks.told.append((await gateway.ask("GET", path, headers=KEY)).body)


def serve(tmp_path: Path, *args: str, **protocols: Descriptor) -> Any:
    text = configuration(tmp_path, *args)
    log = structlog.get_logger()
    return serving(tmp_path, text, environ=ENVIRON, protocols={**BUILT_IN, **protocols}, log=log)


SLOW = {"slow-head", "stall-silent", "stall-heartbeats", "endless-comments", "stays-open", "late"}


async def test_no_play_and_no_fault_shows_a_secret(tmp_path: Path, sinks: Sinks) -> None:
    async with serve(tmp_path) as gateway:
        for route in ("hardwire", "chatbase"):
            simulator = BUILT_IN[route].simulator
            assert simulator is not None
            plays = [f"[play:{name}]" for name in simulator("").plays if name not in SLOW]
            faults = [f"[fault:{name}]" for name in FAULTS if name not in SLOW]
            await asyncio.gather(
                *(
                    collect(gateway, sinks, {"route": route, "content": f"{choice} Hi", "stream": choice in faults})
                    for choice in [*plays, *faults]
                )
            )
        await collect_metrics(gateway, sinks)


ECHO = "you sent {secret} in Authorization: Bearer {secret}; Cookie: better-auth.session_token={secret}"


@pytest.mark.parametrize("how", ["hardwire", "chatbase"])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 200])
async def test_an_error_that_echoes_our_headers_shows_no_secret(
    status: int, how: str, tmp_path: Path, sinks: Sinks
) -> None:
    secret = ENVIRON["ACME_COOKIE" if how == "hardwire" else "CHATBASE_API_KEY"]
    text = ECHO.format(secret=secret)
    bodies = [
        {"error": text, "message": text, "code": "X"},
        {"error": {"message": text, "code": text, "details": {"headers": {"a": text}}}, "stack": text},
        {"message": text, "clientMessage": text, "code": text, "requestId": text},
    ]
    for body in bodies:
        echo = response(status, msgspec.json.encode(body), x_request_id=text, x_echo=text, www_authenticate=text)
        async with ScriptServer([Read(), Write(echo), Close()]) as vendor, serve(tmp_path, vendor.url, how) as gateway:
            for stream in (True, False):
                code = await collect(gateway, sinks, {"route": "scripted", "content": "Hi", "stream": stream})
                assert code >= 400
            await collect_metrics(gateway, sinks)


@pytest.mark.parametrize("how", ["hardwire", "chatbase"])
@pytest.mark.parametrize("place", ["code", "requestId", "x-request-id"])
async def test_a_vendor_that_uses_our_credential_as_a_name_is_not_quoted(
    place: str, how: str, tmp_path: Path, sinks: Sinks
) -> None:
    """A code and a request's id are shown to clients, but never where they are our own secret."""
    secret = {"hardwire": "canary-in-a-file", "chatbase": ENVIRON["CHATBASE_API_KEY"]}[how]
    error = {"message": "no", "code": "X", "requestId": "r", place: secret}
    echo = response(403, msgspec.json.encode({**error, "error": error}), x_request_id=secret if "-" in place else "r")
    async with ScriptServer([Read(), Write(echo), Close()]) as vendor, serve(tmp_path, vendor.url, how) as gateway:
        assert await collect(gateway, sinks, {"route": "scripted", "content": "Hi"}) == 502


@pytest.mark.parametrize("how", ["hardwire", "chatbase"])
async def test_a_failure_within_a_stream_that_echoes_our_headers_shows_no_secret(
    how: str, tmp_path: Path, sinks: Sinks
) -> None:
    text = ECHO.format(secret=ENVIRON["ACME_COOKIE" if how == "hardwire" else "CHATBASE_API_KEY"])
    shown = HELLO if how == "hardwire" else b'data: {"type":"text-delta","id":"t","delta":"Hi"}\n\n'
    first = START if how == "hardwire" else b'data: {"type":"start","messageId":"m"}\n\n'
    failures = [
        {"type": "error", "error": text, "errorText": text, "message": text},
        {"type": "error", "error": {"message": text, "code": text, "requestId": text}},
        {"type": text, "error": {"message": text}},
        {"type": "content", "delta": {"wrong": text}},
    ]
    for failure in failures:
        frame = b"data: %b\n\n" % msgspec.json.encode(failure)
        script = [Read(), *told(first, shown, frame), Close()]
        async with ScriptServer(script) as vendor, serve(tmp_path, vendor.url, how) as gateway:
            await collect(gateway, sinks, {"route": "scripted", "content": "Hi"})
            await collect_metrics(gateway, sinks)


async def test_a_session_that_the_vendor_gave_us_is_a_secret_too(tmp_path: Path, sinks: Sinks) -> None:
    cookie = "better-auth.session_token=canary-session-token-0123456789"
    signed_in = response(200, b'{"user":{"id":"u"}}', set_cookie=f"{cookie}; Path=/; HttpOnly")
    text = f"Cookie: {cookie}"
    echo = response(403, msgspec.json.encode({"message": text, "code": "X", "error": text}))
    async with (
        ScriptServer([Read(), Write(signed_in), Read(), Write(echo), Close()]) as vendor,
        serve(tmp_path, vendor.url, "signing in") as gateway,
    ):
        assert await collect(gateway, sinks, {"route": "scripted", "content": "Hi"}) == 502
        assert vendor.requests[0].target == "/auth/sign-in/email"
        assert cookie.encode() in vendor.requests[1].raw


@pytest.mark.parametrize("script", [[Read(), Close()], [Read(), Write(b"HTTP/1.1 canary\r\n\r\n"), Hold()], []])
async def test_a_broken_connection_shows_no_secret(script: list[Any], tmp_path: Path, sinks: Sinks) -> None:
    for how in SCRIPTED:
        async with ScriptServer(script) as vendor, serve(tmp_path, vendor.url, how) as gateway:
            assert await collect(gateway, sinks, {"route": "scripted", "content": "Hi"}) >= 500


async def test_a_client_that_puts_its_key_everywhere_finds_it_nowhere(tmp_path: Path, sinks: Sinks) -> None:
    key = ENVIRON["GATEWAY_KEY"]
    lines = [f"Authorization: Bearer {key}", f"X-Api-Key: {key}", f"Cookie: key={key}", "Connection: close"]
    body = msgspec.json.encode({"content": "Hi", "route": "scripted", "user_id": key, "metadata": {key: key}})
    json_type = "Content-Type: application/json"
    asked = [
        request("POST", f"/v1/messages?api_key={key}", body, [*lines, json_type]),
        request("POST", "/v1/messages", b'{"%b":1}' % b"content", [*lines, json_type]),
        request("POST", "/v1/messages", body, [*lines, json_type, f"X-Request-Id: Bearer {key}"]),
        request("GET", f"/v1/{key}?{key}", headers=lines),
        request("GET", "/v1/routes", headers=[f"Authorization: Basic {key}", "Connection: close"]),
        b"GET /%b HTTP/9.9\r\nAuthorization %b\r\n\r\n" % (key.encode(), key.encode()),
    ]
    async with serve(tmp_path) as gateway:
        for each in asked:
            async with gateway.raw() as client:
                await client.send(each)
                sinks.told.append(await client.read_all())
        await collect_metrics(gateway, sinks)


# --- exceptions


class Talkative(HardwireTranslator):
    """Raises exceptions that quote what it was given."""

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
        if session is None:
            raise RuntimeError(f"cannot use {dict(credentials)}")
        return (yield from super().authorize(credentials, session))


class TalkativeLater(HardwireTranslator):
    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        raise RuntimeError(f"cannot read {body!r}", {"Authorization": body}, [body.decode()])


@pytest.mark.parametrize("translator", [Talkative, TalkativeLater])
async def test_an_exception_that_quotes_a_secret_is_logged_without_it(
    translator: Callable[[Any, Blocks], HardwireTranslator], tmp_path: Path, sinks: Sinks
) -> None:
    protocol = msgspec.structs.replace(HARDWIRE, name="talkative", translator=translator)
    echo = response(500, b'{"key":"%b"}' % ENVIRON["ACME_COOKIE"].encode())
    async with (
        ScriptServer([Read(), Write(echo), Close()]) as vendor,
        serve(tmp_path, vendor.url, "hardwire", "talkative", talkative=protocol) as gateway,
    ):
        assert await collect(gateway, sinks, {"route": "scripted", "content": "Hi"}) == 500
    sinks.logged.append(b"RuntimeError")


# --- what is built


async def test_nothing_that_is_built_shows_a_secret_in_its_repr(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(configuration(tmp_path))
    settings = s.load(path, BUILT_IN, environ=ENVIRON)
    gateway = build_gateway(
        settings,
        BUILT_IN,
        structlog.get_logger(),
        metrics=Metrics("0"),
        store=MemoryStore(),
        simulated="http://127.0.0.1:9",
    )
    digest = hashlib.sha256(ENVIRON["GATEWAY_KEY"].encode())
    built = [settings, *settings.vendors.values(), *settings.keys, gateway.edge, gateway.routes, gateway.relay._vendors]
    shown = [f"{each!r} {each!s} {each}" for each in built]
    assert [text for text in shown for secret in SECRETS if secret in text] == []
    assert [text for text in shown if digest.hexdigest() in text or repr(digest.digest()) in text] == []


def test_a_signed_in_session_and_its_authorization_show_no_secret() -> None:
    translator = HardwireTranslator(HardwireTarget("m"), Blocks(Numbering()))
    calls = translator.authorize(Credentials({"cookie": "canary-cookie", "user_id": "canary-user"}), None)
    with pytest.raises(StopIteration) as stop:
        next(calls)
    assert CANARY not in repr(stop.value.value)
    assert CANARY not in repr(Authorization({"Cookie": "canary"}, "canary"))


def test_a_request_that_signs_in_shows_no_password_in_its_repr() -> None:
    translator = HardwireTranslator(HardwireTarget("m"), Blocks(Numbering()))
    first = next(translator.authorize(Credentials({"email": "a@b.c", "password": "canary-password"}), None))
    assert isinstance(first, VendorRequest)
    assert CANARY not in repr(first)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{ env = "CHATBASE_API_KEY" }', '"canary-api-key-0123456789"'),
        ('{ env = "CHATBASE_API_KEY" }', '{ env = "canary-api-key-0123456789" }'),
        ('{ env = "CHATBASE_API_KEY" }', '{ env = "X", default = "canary-api-key-0123456789" }'),
        ('{ env = "CHATBASE_API_KEY" }', '{ key = "canary-api-key-0123456789" }'),
        ('"http://127.0.0.1:9"', '"https://canary-user:canary-in-a-file@example.com/canary-api-key-0123456789"'),
        ('"http://127.0.0.1:9"', '"https://example.com/?key=canary-api-key-0123456789"'),
        ('secret = { env = "GATEWAY_KEY" }', 'secret = "canary-api-key-0123456789"'),
        ('secret = { env = "GATEWAY_KEY" }', 'sha256 = "canary-api-key-0123456789"'),
        ('{ file = "user.txt" }', '{ file = "missing.txt" }'),
    ],
)
def test_a_configuration_that_is_refused_shows_no_secret(before: str, after: str, tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    text = configuration(tmp_path)
    assert before in text
    path.write_text(text.replace(before, after))
    environ = {**ENVIRON, "HARDWIRE_PASSWORD": "canary-password\n"}
    with pytest.raises(s.SettingsError) as refused:
        s.load(path, BUILT_IN, environ=environ)
    assert [secret for secret in [*SECRETS, "canary-user"] if secret in f"{refused.value}{refused.value!r}"] == []

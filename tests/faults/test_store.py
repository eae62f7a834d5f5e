"""The store of conversations fails: locked, full, or left in the middle of a message (rows 85, 86 and 90)."""

import asyncio
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageCompleted
from gateway.conversations.memory import MemoryStore
from gateway.conversations.store import Ending
from tests.support.command import Command, configuration
from tests.support.gateway import END, HELLO, START, read_events, told
from tests.support.scripts import HEAD, Hold, Read, ScriptServer, Wait, Write, chunk
from tests.support.served import DEMO, serving

BUSY_TIMEOUT = 0.5

LOCK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Another process writes into the file, and does not come to an end."""
    with subprocess.Popen(
        [sys.executable, "-c", LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"locked\n"
        yield
        process.stdin.close()


def sqlite(text: str, path: Path) -> str:
    kept = f'kind = "sqlite"\npath = "{path}"\nbusy_timeout = {BUSY_TIMEOUT}'
    return text.replace('kind = "memory"', kept)


async def test_a_locked_file_is_told_in_time_while_all_else_answers(tmp_path: Path) -> None:
    path = tmp_path / "kept.sqlite3"
    async with serving(tmp_path, sqlite(DEMO, path)) as gateway:
        first = (await gateway.post({"content": "One", "stream": False})).document
        with locked(path):
            began = time.monotonic()
            body = {"content": "Two", "conversation_id": first["conversation_id"]}
            asking = [
                asyncio.create_task(gateway.post(body)),
                asyncio.create_task(gateway.post({"content": "Three"})),
                asyncio.create_task(gateway.ask("POST", "/v1/conversations")),
            ]
            await asyncio.sleep(0.05)
            for quick in ("/healthz", "/metrics", "/v1/routes"):
                asked = time.monotonic()
                assert (await gateway.ask("GET", quick)).status == 200
                assert time.monotonic() - asked < 0.3
            replies = await asyncio.gather(*asking)
            assert time.monotonic() - began < BUSY_TIMEOUT + 1
            assert [(reply.status, reply.error["code"]) for reply in replies] == [(503, "store_unavailable")] * 3
            assert b"sqlite" not in b"".join(reply.body for reply in replies).lower()
        assert (await gateway.post({**body, "stream": False})).status == 200
        assert (await gateway.ask("POST", "/v1/conversations")).status == 201
        failures = await gateway.samples("gateway_store_failures_total")
        assert failures == {("begin",): 2, ("create_conversation",): 1}
        assert gateway.log.of("unhandled") == []


async def test_a_refusal_that_cannot_be_stored_is_told_as_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_store: MemoryStore, _conversation_id: str, _ending: Ending) -> "asyncio.Future[None]":
        ended = asyncio.get_running_loop().create_future()
        ended.set_exception(GatewayError("store_unavailable", "conversations cannot be stored or read now"))
        return ended

    async with serving(tmp_path, DEMO) as gateway:
        first = (await gateway.post({"content": "One", "stream": False})).document
        monkeypatch.setattr(MemoryStore, "end", fail)
        body = {"regenerate": "msg_0", "conversation_id": first["conversation_id"]}
        reply = await gateway.post(body, X_Request_Id="r-1")
        assert (reply.status, reply.error["code"]) == (404, "not_found")
        assert await gateway.samples("gateway_store_failures_total") == {("end",): 1}
        (line,) = gateway.log.of("not stored")
        assert (line["request_id"], line["conversation_id"]) == ("r-1", first["conversation_id"])
        assert line["code"] == "store_unavailable"


# --- against the installed command

CONFIG = """
default_route = "support"
[store]
kind = "sqlite"
path = "kept.sqlite3"
[vendors.acme]
protocol = "hardwire"
base_url = "{url}"
[vendors.acme.credentials]
cookie = {{ env = "NOT_SET_ANYWHERE", default = "a=1" }}
user_id = {{ env = "NOT_SET_ANYWHERE", default = "user-1" }}
[routes.support]
targets = [{{ vendor = "acme", model = "m" }}]
"""


@asynccontextmanager
async def started(config: Path) -> AsyncIterator[tuple[Command, aiohttp.ClientSession]]:
    async with Command(config) as gateway, aiohttp.ClientSession(gateway.url) as session:
        yield gateway, session


async def ask(session: aiohttp.ClientSession, method: str, path: str, **fields: object) -> Any:
    async with session.request(method, path, json=fields or None) as response:
        return await response.json()


def largest(folder: Path) -> int:
    """Bytes of the largest of the store's files: what may not grow any more."""
    return max(file.stat().st_size for file in folder.glob("kept.sqlite3*"))


@pytest.mark.process
async def test_a_disk_that_is_full_at_the_end_costs_the_client_nothing_and_is_told(tmp_path: Path) -> None:
    goes_on = asyncio.Event()
    long = b'data: {"type":"content","delta":"%b"}\n\n' % (b"x" * 20_000)
    slow = [Write(HEAD + chunk(START) + chunk(HELLO)), Wait(goes_on), Write(chunk(long) + chunk(END) + b"0\r\n\r\n")]
    script = [Read(), *slow, Read(), *told(START, HELLO, END), Hold()]
    async with ScriptServer(script) as vendor:
        config = configuration(tmp_path, CONFIG.format(url=vendor.url))
        async with started(config) as (gateway, session):
            headers = {"X-Request-Id": "r-1"}
            async with session.post("/v1/messages", json={"content": "Hi"}, headers=headers) as response:
                body = await response.content.readuntil(b"Hello")
                size = largest(tmp_path)
                limits = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
                resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (size, limits[1]))
                goes_on.set()
                body += await response.read()
            completed = read_events(body)[-1]
            assert isinstance(completed, MessageCompleted)
            line = await gateway.line("not stored", request_id="r-1")
            assert (line["level"], line["code"]) == ("error", "store_unavailable")
            conversation = f"/v1/conversations/{line['conversation_id']}"
            assert (await ask(session, "GET", conversation))["is_incomplete"]
            messages = (await ask(session, "GET", f"{conversation}/messages"))["data"]
            assert [(message["role"], message["status"]) for message in messages] == [
                ("user", "completed"),
                ("assistant", "failed"),
            ]
            assert messages[1]["error"]["code"] == "store_unavailable"
            async with session.get("/metrics") as metrics:
                assert 'gateway_store_failures_total{operation="end"} 1.0' in await metrics.text()
            resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, limits)
            after = await ask(
                session, "POST", "/v1/messages", content="Two", conversation_id=line["conversation_id"], stream=False
            )
            assert after["status"] == "completed"
        async with started(config) as (_, session):
            assert (await ask(session, "GET", conversation))["is_incomplete"]
            messages = (await ask(session, "GET", f"{conversation}/messages"))["data"]
            assert [message["status"] for message in messages] == ["completed", "failed", "completed", "completed"]


@pytest.mark.process
async def test_a_message_that_a_crash_cut_off_has_failed_and_its_conversation_goes_on(tmp_path: Path) -> None:
    cut_off = [Read(), Write(HEAD + chunk(START) + chunk(HELLO)), Hold()]
    async with ScriptServer(cut_off, [Read(), *told(START, HELLO, END), Hold()]) as vendor:
        config = configuration(tmp_path, CONFIG.format(url=vendor.url))
        async with (
            started(config) as (gateway, session),
            session.post("/v1/messages", json={"content": "One"}) as response,
        ):
            shown = await response.content.readuntil(b"\n\n")
            gateway.send_signal(signal.SIGKILL)
            assert await gateway.ended() == -signal.SIGKILL
        started_with = msgspec.json.decode(shown.partition(b"data: ")[2])
        conversation = f"/v1/conversations/{started_with['conversation_id']}"
        async with started(config) as (gateway, session):
            assert (await gateway.line("messages were cut off when the gateway last stopped"))["count"] == 1
            question, cut = (await ask(session, "GET", f"{conversation}/messages"))["data"]
            assert (question["parts"], cut["id"]) == ([{"type": "text", "text": "One"}], started_with["message_id"])
            assert (cut["status"], cut["error"]["code"]) == ("failed", "internal")
            after = await ask(
                session,
                "POST",
                "/v1/messages",
                content="Two",
                conversation_id=started_with["conversation_id"],
                stream=False,
            )
            assert after["status"] == "completed"
            assert b"Two" in vendor.requests[-1].body


@pytest.mark.process
async def test_a_second_gateway_does_not_start_on_the_same_file(tmp_path: Path) -> None:
    async with ScriptServer([Hold()]) as vendor:
        config = configuration(tmp_path, CONFIG.format(url=vendor.url))
        async with started(config):
            second = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "serve", "--config", str(config), "--port", "0"),
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(20):
                _, told_why = await second.communicate()
    assert second.returncode not in {0, None}
    assert b"another gateway uses it" in told_why
    assert b"Traceback" not in told_why

"""Who may ask: a key where there are keys, this machine where there are none, and nobody else's conversation."""

import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.protocols.registry import BUILT_IN
from gateway.settings import SettingsError, load
from tests.support.scripts import ScriptServer
from tests.support.served import DEMO, Served, scripted, serving

KEYS = "".join(
    f'[[keys]]\nid = "{name}"\nsha256 = "{hashlib.sha256(f"gwk_{name}".encode()).hexdigest()}"\n' for name in ("a", "b")
)
UNAUTHORIZED = ("unauthorized", "a valid gateway key is needed", False)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path, DEMO + KEYS) as served:
        yield served


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER "])
async def test_a_key_opens_the_door(scheme: str, gateway: Served) -> None:
    reply = await gateway.post({"content": "Hi"}, Authorization=f"{scheme} gwk_a")
    assert reply.status == 200
    assert [line["key"] for line in gateway.log.of("message")] == ["a"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/openai/v1/models", {"Authorization": "Bearer gwk_a"}),
        ("/openai/v1/models", {"api-key": "gwk_a"}),
        ("/anthropic/v1/models", {"x-api-key": "gwk_a"}),
        ("/anthropic/v1/models", {"Authorization": "Bearer gwk_a"}),
        ("/gemini/v1beta/models", {"x-goog-api-key": "gwk_a"}),
        ("/gemini/v1beta/models?key=gwk_a", {}),
        ("/ai-sdk/hardwire/chat-1/stream", {"Authorization": "Bearer gwk_a"}),
    ],
)
async def test_a_key_stands_where_each_client_puts_it(path: str, headers: dict[str, str], gateway: Served) -> None:
    assert (await gateway.ask("GET", path, headers=headers)).status in {200, 204}
    assert (await gateway.ask("GET", path.partition("?")[0])).status == 401


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer gwk_c",
        "Basic gwk_a",
        "gwk_a",
        "Bearer gwk_a gwk_a",
        "Bearer gwk_A",
        "Bearergwk_a",
    ],
)
async def test_without_a_valid_key_it_is_a_401(value: str, gateway: Served) -> None:
    reply = await gateway.post({"content": "Hi"}, Authorization=value)
    assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert (reply.error["code"], reply.error["message"], reply.error["retryable"]) == UNAUTHORIZED


@pytest.mark.parametrize(
    "lines", [[], ["Bearer gwk_a", "Bearer gwk_a"], ["Bearer gwk_a", "Bearer gwk_b"], [b"Bearer \xff"]]
)
async def test_no_header_two_headers_and_raw_bytes_are_a_401(lines: list[str | bytes], gateway: Served) -> None:
    written = [line if isinstance(line, bytes) else line.encode() for line in lines]
    head = b"".join(b"Authorization: %b\r\n" % line for line in written)
    async with gateway.raw() as client:
        await client.send(b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n%b\r\n" % head)
        answer = await client.read_until(b"}}")
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_body_that_never_comes_does_not_delay_the_401(gateway: Served) -> None:
    async with gateway.raw() as client:
        began = time.monotonic()
        await client.send(b"POST /v1/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        answer = await client.read_until(b"}}")
        assert time.monotonic() - began < 0.5
        await client.read_all(within=3)
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_key_is_asked_for_before_the_body_is_judged(gateway: Served) -> None:
    assert (await gateway.post(b"{", Content_Type="text/plain")).status == 401


async def test_routes_are_told_to_those_with_a_key_alone(gateway: Served) -> None:
    refused = await gateway.ask("GET", "/v1/routes")
    told = await gateway.ask("GET", "/v1/routes", headers={"Authorization": "Bearer gwk_b"})
    assert (refused.status, refused.headers["WWW-Authenticate"], refused.error["code"]) == (
        401,
        "Bearer",
        "unauthorized",
    )
    assert told.status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_and_metrics_need_no_key(path: str, gateway: Served) -> None:
    assert (await gateway.ask("GET", path)).status == 200


async def test_a_conversation_of_another_key_is_as_unknown_as_one_that_never_was(gateway: Served) -> None:
    first = await gateway.post({"content": "Hi", "stream": False}, Authorization="Bearer gwk_a")
    asked = first.document["conversation_id"]
    replies = [
        await gateway.post({"content": "Hi", "conversation_id": name}, Authorization="Bearer gwk_b", X_Request_Id="r")
        for name in (asked, "conv_000000000000000000000000")
    ]
    assert [reply.status for reply in replies] == [404, 404]
    assert replies[0].body == replies[1].body
    own = await gateway.post({"content": "Hi", "conversation_id": asked}, Authorization="Bearer gwk_a")
    assert own.status == 200


async def test_no_vendor_is_asked_for_a_client_without_a_key(tmp_path: Path) -> None:
    async with ScriptServer([]) as vendor, serving(tmp_path, scripted(vendor.url) + KEYS) as gateway:
        assert (await gateway.post({"content": "Hi"})).status == 401
        assert vendor.connections == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com", ""])
def test_without_keys_it_serves_no_other_machine(host: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(DEMO)
    with pytest.raises(SettingsError) as refused:
        load(file, BUILT_IN, environ={}, host=host)
    assert refused.value.problems == [
        "gateway.toml: server.host: without [[keys]] the gateway serves on loopback only, such as 127.0.0.1"
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.10"])
def test_without_keys_it_serves_loopback(host: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(DEMO)
    assert load(file, BUILT_IN, environ={}, host=host).server.host == host

"""Every route of the application, walked: who may call it, and what it answers to those who may not.

A route that stands in no row of `WALK` fails the first test.
"""

import hashlib
from pathlib import Path
from typing import Literal

import pytest
import structlog
from msgspec import Struct

from gateway.app import build_dialects, build_gateway
from gateway.conversations.memory import MemoryStore
from gateway.protocols.registry import BUILT_IN
from gateway.server.application import build_application
from gateway.settings import load
from gateway.telemetry.metrics import Metrics
from tests.support.served import DEMO, serving

KEYS = f'[[keys]]\nid = "a"\nsha256 = "{hashlib.sha256(b"gwk_a").hexdigest()}"\n'


class Row(Struct, frozen=True):
    method: str
    path: str
    needs: Literal["a key", "nothing"]

    @property
    def example(self) -> str:
        return self.path.format(
            message_id="msg_1",
            conversation_id="conv_1",
            file_id="file_1",
            name="sales",
            route="support",
            chat="chat-1",
            model="support",
            version="v1beta",
            method="generateContent",
            response_id="resp_1",
        )


WALK = [
    Row("POST", "/v1/messages", "a key"),
    Row("GET", "/v1/messages/{message_id}", "a key"),
    Row("POST", "/v1/messages/{message_id}/cancel", "a key"),
    Row("POST", "/v1/conversations", "a key"),
    Row("GET", "/v1/conversations", "a key"),
    Row("GET", "/v1/conversations/{conversation_id}", "a key"),
    Row("DELETE", "/v1/conversations/{conversation_id}", "a key"),
    Row("GET", "/v1/conversations/{conversation_id}/messages", "a key"),
    Row("GET", "/v1/conversations/{conversation_id}/files", "a key"),
    Row("POST", "/v1/conversations/{conversation_id}/files", "a key"),
    Row("GET", "/v1/conversations/{conversation_id}/files/{file_id}", "a key"),
    Row("GET", "/v1/conversations/{conversation_id}/data-frames", "a key"),
    Row("GET", "/v1/conversations/{conversation_id}/data-frames/{name}", "a key"),
    Row("GET", "/v1/routes", "a key"),
    Row("POST", "/openai/v1/chat/completions", "a key"),
    Row("GET", "/openai/v1/models", "a key"),
    Row("GET", "/openai/v1/models/{model}", "a key"),
    Row("POST", "/openai/v1/responses", "a key"),
    Row("GET", "/openai/v1/responses/{response_id}", "a key"),
    Row("POST", "/openai/v1/responses/{response_id}/cancel", "a key"),
    Row("POST", "/anthropic/v1/messages", "a key"),
    Row("POST", "/anthropic/v1/messages/count_tokens", "a key"),
    Row("GET", "/anthropic/v1/models", "a key"),
    Row("GET", "/anthropic/v1/models/{model}", "a key"),
    Row("POST", "/gemini/{version}/models/{model}:{method}", "a key"),
    Row("POST", "/gemini/{version}/models/{model}:countTokens", "a key"),
    Row("GET", "/gemini/{version}/models", "a key"),
    Row("GET", "/gemini/{version}/models/{model}", "a key"),
    Row("POST", "/ai-sdk/{route}", "a key"),
    Row("GET", "/ai-sdk/{route}/{chat}/stream", "a key"),
    Row("DELETE", "/ai-sdk/{route}/{chat}/stream", "a key"),
    Row("POST", "/ai-sdk/{route}/{chat}/stop", "a key"),
    Row("POST", "/ag-ui/{route}", "a key"),
    Row("GET", "/healthz", "nothing"),
    Row("GET", "/readyz", "nothing"),
    Row("GET", "/metrics", "nothing"),
]
NAMING = (
    "/v1/messages",
    "/v1/conversations",
    "/openai/v1/models",
    "/openai/v1/responses",
    "/anthropic/v1/models",
    "/gemini",
    "/ai-sdk",
    "/ag-ui",
)
"""Below these the next segment is an id."""
KEYED = [row for row in WALK if row.needs == "a key"]


def test_every_route_has_a_row(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(DEMO)
    settings = load(file, BUILT_IN, environ={})
    gateway = build_gateway(
        settings,
        BUILT_IN,
        structlog.get_logger(),
        metrics=Metrics("0"),
        store=MemoryStore(),
        simulated="http://127.0.0.1:9",
    )
    app = build_application(gateway, build_dialects(settings, BUILT_IN))
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert served == {(row.method, row.path) for row in WALK}


@pytest.mark.parametrize("row", KEYED, ids=lambda row: f"{row.method} {row.path}")
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer gwk_b"}], ids=["no key", "wrong key"])
async def test_a_route_that_needs_a_key_is_closed_without_one(
    row: Row, headers: dict[str, str], tmp_path: Path
) -> None:
    async with serving(tmp_path, DEMO + KEYS) as gateway:
        reply = await gateway.ask(row.method, row.example, headers=headers)
    assert reply.status == 401
    if row.path.startswith("/v1"):
        assert reply.error["code"] == "unauthorized"


@pytest.mark.parametrize("row", WALK, ids=lambda row: f"{row.method} {row.path}")
@pytest.mark.parametrize("tail", ["/", "/..", "/%2e%2e", "/%2e%2e%2f", "%00", "?/../x", "/" + "x" * 300, ";a", "#"])
async def test_no_form_of_a_path_reaches_what_it_does_not_name(row: Row, tail: str, tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO + KEYS) as gateway, gateway.raw() as client:
        await client.send(f"{row.method} {row.example}{tail} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = await client.read_all()
    named = tail.startswith(("?", "#"))
    if named:
        allowed = {401 if row.needs == "a key" else 200}
    else:
        allowed = {401, 404, 405} if row.path.startswith(NAMING) else {404}
    assert int(answer.split(b" ")[1]) in {*allowed, 400}

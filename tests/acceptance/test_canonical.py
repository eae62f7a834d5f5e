"""Our own stream, read by parsers of others: the same events in the same order as our own reader finds."""

import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from aiohttp_sse_client2 import client as sse

from gateway.canonical.events import Event
from tests.acceptance.strangers import Client, Gateway, node
from tests.support.gateway import read_events

pytestmark = pytest.mark.acceptance

MESSAGES = [
    ("chatbase", "Ünïcödé 🙂 and a [play:documented]"),
    ("chatbase", "[play:parallel-actions]"),
    ("chatbase", "[play:error-text]"),
    ("hardwire", "[play:sources]"),
    ("sema4", "[play:chart]"),
]


@pytest.fixture(scope="module")
def parser() -> Iterator[Client]:
    with Client(node("canonical")) as client:
        yield client


def kinds(frames: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(frame["id"], frame["event"], json.loads(frame["data"])["type"]) for frame in frames]


def expected(events: list[Event]) -> list[tuple[str, str, str]]:
    tags = [str(event.__struct_config__.tag) for event in events]
    return [(str(number), tag, tag) for number, tag in enumerate(tags)]


@pytest.mark.parametrize(("route", "content"), MESSAGES)
def test_eventsource_parser_reads_what_we_write(gateway: Gateway, parser: Client, route: str, content: str) -> None:
    body = {"route": route, "content": content}
    told = parser.ask(asks="frames", base=f"{gateway.url}/v1/messages", body=body)
    assert "error" not in told
    assert kinds(told["frames"]) == expected(list(gateway.native(route, content).events))


@pytest.mark.parametrize(("route", "content"), MESSAGES)
def test_an_event_source_reads_what_we_write(gateway: Gateway, parser: Client, route: str, content: str) -> None:
    body = {"route": route, "content": content}
    told = parser.ask(asks="events", base=f"{gateway.url}/v1/messages", body=body)
    assert "error" not in told, told
    assert kinds(told["frames"]) == expected(list(gateway.native(route, content).events))


@pytest.mark.parametrize(("route", "content"), MESSAGES)
async def test_aiohttp_sse_client2_reads_what_we_write(gateway: Gateway, route: str, content: str) -> None:
    body = {"route": route, "content": content}
    found: list[dict[str, Any]] = []
    async with aiohttp.ClientSession() as session:
        stream = sse.EventSource(f"{gateway.url}/v1/messages", option={"method": "POST"}, session=session, json=body)
        async with stream:
            async for event in stream:
                found.append({"id": event.last_event_id, "event": event.type, "data": event.data})
                if event.type in {"message.completed", "message.failed", "message.canceled"}:
                    break
    assert kinds(found) == expected(list(gateway.native(route, content).events))


def test_the_same_message_is_told_the_same_each_time(gateway: Gateway) -> None:
    """What every comparison in this folder rests on."""
    body = {"route": "chatbase", "content": "[play:vendor-action]"}
    events = [read_events(gateway.fetch("/v1/messages", body)[1]) for _ in range(2)]
    assert expected(events[0]) == expected(events[1])

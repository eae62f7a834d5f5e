"""A page of another origin in a real browser, with the AI SDK's own hook, against what `make run` serves."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.strangers import ROOT, Client, Gateway, needed, node

pytestmark = pytest.mark.acceptance


@pytest.fixture(scope="module")
def demo() -> Iterator[Gateway]:
    with Gateway(ROOT / "config" / "demo.toml") as gateway:
        yield gateway


@pytest.fixture(scope="module")
def page() -> Iterator[Client]:
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    with Client(node("browser"), CHROMIUM=needed(Path(chromium))) as page:
        yield page


def test_it_chats(demo: Gateway, page: Client) -> None:
    told = page.ask(asks="chat", api=f"{demo.url}/ai-sdk/dynamiq", turns=["Hello", "And then?"])
    assert (told["status"], told["alert"], told["console"]) == ("ready", None, [])
    assert [message["role"] for message in told["messages"]] == ["user", "assistant"] * 2
    assert told["messages"][1]["text"].startswith("You asked: Hello")
    assert told["messages"][3]["text"].startswith("You asked: And then?")


def test_it_shows_a_tool_that_ran(demo: Gateway, page: Client) -> None:
    told = page.ask(asks="chat", api=f"{demo.url}/ai-sdk/chatbase", turns=["[play:vendor-action]"])
    assert told["messages"][1]["tools"] == [["output-available", 'lookupOrder {"orderId":"42"}']]
    assert told["messages"][1]["text"] == "It is shipped."


def test_it_shows_a_call_that_waits_for_it(demo: Gateway, page: Client) -> None:
    told = page.ask(asks="chat", api=f"{demo.url}/ai-sdk/chatbase", turns=["[play:client-action]"])
    assert told["messages"][1]["tools"] == [["input-available", 'lookupOrder {"orderId":"42"}']]


def test_it_shows_sources(demo: Gateway, page: Client) -> None:
    told = page.ask(asks="chat", api=f"{demo.url}/ai-sdk/hardwire", turns=["[play:sources]"])
    assert told["messages"][1]["sources"] == ["https://example.org/q", "https://example.org/s"]


def test_it_stops(demo: Gateway, page: Client) -> None:
    since = len(demo.log)
    told = page.ask(asks="stop", api=f"{demo.url}/ai-sdk/anthropic", turns=["[play:late]"])
    assert (told["status"], told["alert"]) == ("ready", None)
    assert told["messages"][1]["text"] != ""
    line = demo.logged("message", since=since, route="anthropic")
    assert (line["outcome"], line["client_gone"]) == ("canceled", True)


def test_it_does_not_see_that_a_vendor_failed(demo: Gateway, page: Client) -> None:
    since = len(demo.log)
    turns = ["Hello [fault:status-503@hardwire]"]
    told = page.ask(asks="chat", api=f"{demo.url}/ai-sdk/support", turns=turns)
    assert (told["status"], told["alert"]) == ("ready", None)
    assert "Hello" in told["messages"][1]["text"]
    assert demo.logged("message", since=since, route="support")["vendor"] == "chatbase"


def test_it_shows_what_went_wrong(demo: Gateway, page: Client) -> None:
    told = page.ask(asks="chat", api=f"{demo.url}/ai-sdk/chatbase", turns=["[play:error-text]"])
    assert (told["status"], told["messages"][1]["text"]) == ("error", "Let me see")
    assert told["alert"] is not None
    refused = page.ask(asks="chat", api=f"{demo.url}/ai-sdk/hardwire", turns=["[fault:status-503]"])
    assert (refused["status"], len(refused["messages"])) == ("error", 1)
    assert "unavailable" in refused["alert"]

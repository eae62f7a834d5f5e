"""What each kind of client sees of a failover: nothing before the first content, and afterwards what it can bear."""

from pathlib import Path

import pytest

from gateway.canonical.errors import GatewayError
from tests.support.doors import DOORS, Door, understood
from tests.support.gateway import END, START
from tests.support.scripts import Read, Reset, Step, Write
from tests.support.targets import CONTINUE, FAILING, RESTART, SAID, WELL, answered, content, played, running_targets

to_each = pytest.mark.parametrize("client", DOORS.values(), ids=list(DOORS))

BREAKING: list[Step] = [Read(), Write(SAID), Reset()]
DISCARDS = "[dialects.ai_sdk]\nversion = 7\n"


@to_each
async def test_before_the_first_content_nobody_sees_it(client: Door, tmp_path: Path) -> None:
    vendors = {"acme": played(FAILING), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors) as gateway:
        status, headers, body = await client.ask(gateway.session, "support", "Hi")
        read = understood(client.heard(body))
        assert (status, headers["Content-Type"]) == (200, "text/event-stream")
        assert (read.text, read.ending) == ("Hello", "stop")
        assert gateway.hits == {"acme": 1, "spare": 1}


@to_each
async def test_where_nobody_could_answer_the_status_says_so(client: Door, tmp_path: Path) -> None:
    async with running_targets(tmp_path, {"acme": played(FAILING), "spare": played(FAILING)}) as gateway:
        status, headers, body = await client.ask(gateway.session, "support", "Hi", **{"X-Request-Id": "r-1"})
        assert status == 503
        assert headers["Content-Type"] != "text/event-stream"
        assert headers["X-Request-Id"] == "r-1"
        assert b"sk-123" not in body


@to_each
async def test_an_answer_that_breaks_off_ends_in_that_clients_error(client: Door, tmp_path: Path) -> None:
    async with running_targets(tmp_path, {"acme": played(BREAKING), "spare": played(WELL)}) as gateway:
        _, _, body = await client.ask(gateway.session, "support", "Hi")
        read = understood(client.heard(body))
        assert (read.text, read.ending) == ("From acme", "failed")
        assert gateway.hits == {"acme": 1, "spare": 0}


@to_each
async def test_another_target_goes_on_with_the_answer(client: Door, tmp_path: Path) -> None:
    vendors = {"acme": played(BREAKING), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, route=CONTINUE) as gateway:
        _, _, body = await client.ask(gateway.session, "support", "Hi")
        read = understood(client.heard(body))
        assert (read.text, read.ending) == ("From acmeHello", "stop")


@to_each
async def test_who_cannot_be_told_to_forget_is_told_that_it_failed(client: Door, tmp_path: Path) -> None:
    vendors = {"acme": played(BREAKING), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, route=RESTART) as gateway:
        _, _, body = await client.ask(gateway.session, "support", "Hi")
        read = understood(client.heard(body))
        assert (read.text, read.ending) == ("From acme", "failed")
        assert gateway.hits["spare"] == 0


async def test_the_newest_of_them_forgets_a_step(tmp_path: Path) -> None:
    vendors = {"acme": played(BREAKING), "spare": played(WELL)}
    async with running_targets(tmp_path, vendors, route=RESTART, tables=DISCARDS) as gateway:
        _, _, body = await DOORS["ai_sdk"].ask(gateway.session, "support", "Hi")
        before, found, after = body.partition(b'data: {"type":"reset-step"}\n\n')
        assert found
        assert b"From acme" in before
        assert b"Hello" in after
        assert b'"type":"finish"' in after


@to_each
async def test_what_a_client_has_no_words_for_is_counted(client: Door, tmp_path: Path) -> None:
    """A vendor's own event, where the route asks for it."""
    told = answered(START, b'data: {"type":"sparkle","n":1}\n\n', content("Hello"), END)
    async with running_targets(tmp_path, {"acme": played(told)}, route="vendor_events = true") as gateway:
        _, _, body = await client.ask(gateway.session, "support", "Hi")
        assert understood(client.heard(body)).text == "Hello"
        is_lost = client.dialect().losses.get("vendor.event", "").startswith("omitted")
        counted = await gateway.count("gateway_omitted_events_total", client.name, "vendor.event")
        assert counted == (1 if is_lost else 0)


@to_each
async def test_every_error_of_its_path_is_in_that_clients_shape(client: Door, tmp_path: Path) -> None:
    async with running_targets(tmp_path, {"acme": played(WELL)}) as gateway:
        folder = client.path.split("/")[1]
        async with gateway.session.get(f"/{folder}/no/such/path") as response:
            told = client.dialect().error(GatewayError("not_found", "no such path"), response.headers["X-Request-Id"])
            assert (response.status, await response.read()) == (told.status, told.body)

"""The small handlers: routes, health, readiness, metrics."""

import hashlib
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.served import DEMO, serving


async def test_routes_tell_what_a_client_may_ask_for(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        reply = await gateway.ask("GET", "/v1/routes")
    hardwire, chatbase = reply.document["data"]
    assert (reply.status, reply.document["next_cursor"]) == (200, None)
    assert (hardwire["name"], hardwire["targets"]) == (
        "hardwire",
        [
            {
                "vendor": "hardwire",
                "protocol": "hardwire",
                "model": "gpt-4o",
                "workflow_id": None,
                "upstream_stream": True,
            }
        ],
    )
    assert (chatbase["name"], chatbase["targets"]) == (
        "chatbase",
        [{"vendor": "chatbase", "protocol": "chatbase", "agent": "demo-agent", "upstream_stream": True}],
    )
    assert (hardwire["capabilities"]["usage"], chatbase["capabilities"]["usage"]) == ("no", "yes")


SUPPORT = """
[vendors.hardwire.breaker]
minimum = 1
[routes.support]
retries = 0
targets = [{ vendor = "hardwire", model = "gpt-4o" }, { vendor = "chatbase", agent = "demo-agent" }]
"""


async def test_routes_explain_whom_they_would_ask_now(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO + SUPPORT) as gateway:
        plain = (await gateway.ask("GET", "/v1/routes")).document
        before = (await gateway.ask("GET", "/v1/routes?explain=true")).document
        answer = await gateway.post({"route": "support", "content": "[fault:status-500@hardwire]", "stream": False})
        after = await gateway.ask("GET", "/v1/routes?explain=true")
    assert answer.document["vendor"] == "chatbase"
    explained = [route.pop("explain") for route in before["data"]]
    assert before == plain
    assert [[target["why"] for target in each["targets"]] for each in explained] == [
        ["the only target"],
        ["the only target"],
        ["first in the order", "asked where those before it fail"],
    ]
    hardwire, chatbase = after.document["data"][2]["explain"]["targets"]
    assert (hardwire["vendor"], hardwire["may_be_asked"], hardwire["breaker"]) == ("hardwire", False, "open")
    assert (chatbase["may_be_asked"], chatbase["why"]) == (True, "first in the order")
    assert chatbase["mean_first_text"] > 0
    assert b"demo-" not in after.body.replace(b"demo-agent", b"")
    assert b"http" not in after.body


@pytest.mark.parametrize(
    "query", ["explain", "explain=false", "explain=true&explain=true", "explain=true&x=1", "canary"]
)
async def test_routes_take_no_other_query(query: str, tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        reply = await gateway.ask("GET", f"/v1/routes?{query}")
    assert (reply.status, reply.error["code"], reply.error["details"]) == (
        400,
        "bad_request",
        {"path": "query.explain"},
    )
    assert b"canary" not in reply.body


async def test_routes_are_explained_to_callers_with_a_key_alone(tmp_path: Path) -> None:
    key = f'[[keys]]\nid = "a"\nsha256 = "{hashlib.sha256(b"gwk_a").hexdigest()}"\n'
    async with serving(tmp_path, DEMO + key) as gateway:
        refused = await gateway.ask("GET", "/v1/routes?explain=true")
        known = await gateway.ask("GET", "/v1/routes?explain=true", headers={"Authorization": "Bearer gwk_a"})
    assert (refused.status, refused.error["code"]) == (401, "unauthorized")
    assert (known.status, known.document["data"][0]["explain"]["strategy"]) == (200, "priority")


async def test_a_gateway_that_serves_is_alive_and_ready(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        health = await gateway.ask("GET", "/healthz")
        ready = await gateway.ask("GET", "/readyz")
    assert (health.status, health.document) == (200, {"status": "ok"})
    assert (ready.status, ready.document) == (200, {"status": "ready"})


async def test_a_probe_may_ask_for_the_head_alone(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        reply = await gateway.ask("HEAD", "/readyz")
    assert (reply.status, reply.body) == (200, b"")


async def test_metrics_can_be_parsed_and_hold_nothing_that_a_client_wrote(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        await gateway.post({"content": "canary-text", "user_id": "canary-user", "metadata": {"canary-key": "canary"}})
        await gateway.post({"content": "Hi", "route": "canary-route"}, X_Request_Id="canary-request")
        await gateway.ask("GET", "/canary-path?canary=canary")
        reply = await gateway.ask("GET", "/metrics")
    families = {family.name for family in text_string_to_metric_families(reply.body.decode())}
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert {"gateway_messages", "gateway_attempts", "gateway_http_requests", "gateway_build_info"} <= families
    assert b"canary" not in reply.body


async def test_series_do_not_grow_with_what_clients_make_up(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        sizes = []
        for round_ in range(2):
            for number in range(30):
                await gateway.ask("GET", f"/{round_}/{number}")
                await gateway.post({"content": "Hi", "route": f"r{round_}{number}"}, X_Request_Id=f"{round_}.{number}")
            sizes.append(len((await gateway.ask("GET", "/metrics")).body.splitlines()))
        assert await gateway.samples("gateway_http_requests_total") == {
            ("unmatched", "4xx"): 60,
            ("/v1/messages", "4xx"): 60,
            ("/metrics", "2xx"): 2,
        }
    assert sizes[1] - sizes[0] <= 1  # the scrape's own series

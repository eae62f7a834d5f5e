"""What `GET /v1/routes` says a route can do."""

from pathlib import Path

from tests.support.served import DEMO, serving

TWO_TARGETS = """
[routes.both]
targets = [{ vendor = "chatbase", agent = "demo-agent" }, { vendor = "hardwire", model = "gpt-4o" }]
[routes.same]
targets = [{ vendor = "chatbase", agent = "demo-agent" }, { vendor = "chatbase", agent = "another" }]
"""


async def test_a_target_that_cannot_do_the_same_as_the_first_tells_its_own_capabilities(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO + TWO_TARGETS) as gateway:
        reply = await gateway.ask("GET", "/v1/routes")
    hardwire, chatbase, both, same = reply.document["data"]
    assert both["capabilities"] == same["capabilities"] == chatbase["capabilities"]
    assert [target.get("capabilities") for target in both["targets"]] == [None, hardwire["capabilities"]]
    assert [target.get("capabilities") for target in same["targets"]] == [None, None]

"""Pages of other origins: which may call us, on streams, documents, errors and files alike."""

from pathlib import Path

import pytest

from gateway.settings import SettingsError
from tests.support.served import DEMO, Served, serving

PAGE = "https://app.example.com"
ONE = f'[server.cors]\norigins = ["{PAGE}", "http://localhost:5173"]\nmax_age = 60\n'
ANY = '[server.cors]\norigins = ["*"]\n'
ALLOWED = {"Access-Control-Allow-Origin": PAGE, "Access-Control-Expose-Headers": "*", "Vary": "Origin"}
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}
BODIES = [{"content": "Hi"}, {"content": "Hi", "stream": False}, {"content": 7}]


def granted(headers: object) -> dict[str, str]:
    assert hasattr(headers, "items")
    return {name: value for name, value in headers.items() if name.startswith("Access-Control-") or name == "Vary"}


async def calls(gateway: Served, origin: str | None) -> list[dict[str, str]]:
    headers = {} if origin is None else {"Origin": origin}
    replies = [await gateway.ask("POST", "/v1/messages", json=body, headers=headers) for body in BODIES]
    replies.append(await gateway.ask("GET", "/nowhere", headers=headers))
    assert [reply.status for reply in replies] == [200, 200, 400, 404]
    return [granted(reply.headers) for reply in replies]


async def test_every_answer_to_a_page_that_may_call_says_so(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO + ONE) as gateway:
        assert await calls(gateway, PAGE) == [ALLOWED] * 4
        assert await calls(gateway, "https://evil.example.com") == [{"Vary": "Origin"}] * 4
        assert await calls(gateway, None) == [{"Vary": "Origin"}] * 4


async def test_any_page_may_call_where_all_origins_are_named(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO + ANY) as gateway:
        told = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*"}
        assert await calls(gateway, "https://evil.example.com") == [told] * 4
        assert await calls(gateway, None) == [{}] * 4


async def test_an_origin_may_be_written_otherwise_than_browsers_send_it(tmp_path: Path) -> None:
    written = '[server.cors]\norigins = ["https://App.Example.com:443", "http://localhost:80"]\n'
    async with serving(tmp_path, DEMO + written) as gateway:
        for origin in (PAGE, "http://localhost"):
            assert await calls(gateway, origin) == [{**ALLOWED, "Access-Control-Allow-Origin": origin}] * 4
        assert await calls(gateway, "https://app.example.com:80") == [{"Vary": "Origin"}] * 4


async def test_without_origins_nothing_is_said(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        assert await calls(gateway, PAGE) == [{}] * 4
        reply = await gateway.ask("OPTIONS", "/v1/messages", headers={"Origin": PAGE, **ASKS})
        assert (reply.status, granted(reply.headers)) == (405, {})


async def test_a_preflight_needs_no_key(tmp_path: Path) -> None:
    keys = f'[[keys]]\nid = "a"\nsha256 = "{"0" * 64}"\n'
    async with serving(tmp_path, DEMO + keys + ONE) as gateway:
        reply = await gateway.ask("OPTIONS", "/v1/messages", headers={"Origin": PAGE, **ASKS})
        assert (reply.status, reply.body) == (204, b"")
        assert granted(reply.headers) == {
            **ALLOWED,
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": "authorization, content-type",
            "Access-Control-Max-Age": "60",
        }
        bare = await gateway.ask(
            "OPTIONS", "/v1/messages", headers={"Origin": PAGE, "Access-Control-Request-Method": "GET"}
        )
        assert "Access-Control-Allow-Headers" not in bare.headers


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://evil.example.com", **ASKS}, ASKS, {"Origin": PAGE}],
    ids=["another page", "no page", "no preflight"],
)
async def test_what_is_no_preflight_of_such_a_page_is_a_method_like_any_other(
    headers: dict[str, str], tmp_path: Path
) -> None:
    async with serving(tmp_path, DEMO + ONE) as gateway:
        reply = await gateway.ask("OPTIONS", "/v1/messages", headers=headers)
        assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")


@pytest.mark.parametrize("origin", ["app.example.com", "https://app.example.com/", "https://*.example.com", "null", ""])
async def test_an_origin_is_written_as_a_browser_sends_it(origin: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"server\.cors\.origins\[0\]"):
        async with serving(tmp_path, DEMO + ONE.replace(PAGE, origin)):
            pass

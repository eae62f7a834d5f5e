"""What a request's body may hold: whatever else it holds is refused with its path, and no value of it is echoed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.protocols.registry import BUILT_IN
from tests.support.gateway import END, HELLO, START, told
from tests.support.scripts import Hold, Read, ScriptServer
from tests.support.served import DEMO, Reply, Served, scripted, serving

CANARY = "canary-5d1e"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving(tmp_path, DEMO) as served:
        yield served


def check_is_bad_request(reply: Reply, path: str) -> None:
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    assert reply.error["details"]["path"] == path
    assert CANARY.encode() not in reply.body


# --- JSON that is none


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="unfinished"),
        pytest.param(b"canary-5d1e", id="no JSON"),
        pytest.param(b'{"content":"Hi"} canary-5d1e', id="more than one value"),
        pytest.param(b'{"content":"Hi",}', id="a comma too many"),
        pytest.param(b"{'content':'canary-5d1e'}", id="single quotes"),
        pytest.param(b'{"content":"\xff\xfe canary-5d1e"}', id="no UTF-8"),
        pytest.param(b'{"content":"\xed\xa0\x80"}', id="an encoded surrogate"),
        pytest.param(rb'{"content":"\ud800 canary-5d1e"}', id="half a surrogate pair"),
        pytest.param('{"content":"Hi"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'\xef\xbb\xbf{"content":"Hi"}', id="a byte order mark"),
        pytest.param(b'{"content":"a\nb"}', id="a raw line end"),
        pytest.param(b'{"content":NaN}', id="NaN"),
        pytest.param(b'{"content":"Hi","parameters":{"seed":1e999}}', id="a number that is infinite"),
        pytest.param(b'{"content":"Hi","metadata":' + b"[" * 100_000, id="deep and unfinished"),
        pytest.param(b'{"content":"Hi","metadata":{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}}", id="deep"),
    ],
)
async def test_a_body_that_is_no_json_is_refused(body: bytes, gateway: Served) -> None:
    reply = await gateway.post(body)
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    assert CANARY.encode() not in reply.body
    assert await gateway.samples("gateway_unhandled_errors_total") == {(): 0}


async def test_no_depth_is_an_error_of_ours(gateway: Served) -> None:
    """Somewhere a value that could be read may be too deep to be written again."""
    statuses = set()
    for depth in range(800, 1010):
        deep = b"[" * depth + b"]" * depth
        reply = await gateway.post(b'{"content":"Hi","route":"nobody","metadata":{"a":%b}}' % deep)
        statuses.add(reply.status)
    assert statuses <= {400, 404}  # where the line runs is the interpreter's own affair
    assert await gateway.samples("gateway_unhandled_errors_total") == {(): 0}


@pytest.mark.parametrize("field", ["tools", "vendor_options", "response_format", "history"])
async def test_what_is_deep_reaches_no_vendor_or_is_refused(field: str, gateway: Served) -> None:
    deep = b"[" * 900 + b"]" * 900
    fields = {
        "tools": b'"tools":[{"name":"a","parameters":{"a":%b}}]',
        "vendor_options": b'"vendor_options":{"hardwire":{"workflow_id":%b}}',
        "response_format": b'"parameters":{"response_format":{"type":"json_schema","schema":{"a":%b}}}',
        "history": b'"history":[{"role":"tool","parts":[{"type":"tool_result","tool_call_id":"c","output":%b}]}]',
    }
    for route in ("hardwire", "chatbase"):
        reply = await gateway.post(b'{"content":"Hi","route":"%b",%b}' % (route.encode(), fields[field] % deep))
        assert reply.status in {200, 400, 422}
    assert await gateway.samples("gateway_unhandled_errors_total") == {(): 0}


async def test_of_two_equal_keys_the_last_one_wins(gateway: Served) -> None:
    reply = await gateway.post(b'{"content":"Hi","stream":true,"stream":false,"route":"hardwire","route":"chatbase"}')
    assert (reply.status, reply.document["vendor"]) == (200, "chatbase")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "$.content"),
        ({"content": None}, "$.content"),
        ({"content": ""}, "$.content"),
        ({"content": []}, "$.content"),
        ({"content": 7}, "$.content"),
        ({"content": [{"type": "text"}]}, "$.content[0].text"),
        ({"content": [{"type": CANARY}]}, "$.content[0].type"),
        ({"content": [{"type": "text", "text": "Hi", "url": CANARY}]}, "$.content[0].url"),
        ({"content": "Hi", CANARY[:6]: 1}, "$.canary"),
        ({"content": "Hi", "route": ""}, "$.route"),
        ({"content": "Hi", "route": CANARY * 30}, "$.route"),
        ({"content": "Hi", "stream": "yes"}, "$.stream"),
        ({"content": "Hi", "failover": 1}, "$.failover"),
        ({"content": "Hi", "parameters": {"temperature": 3}}, "$.parameters.temperature"),
        ({"content": "Hi", "parameters": {"url": CANARY}}, "$.parameters.url"),
        ({"content": "Hi", "tools": [{"name": "a", "parameters": CANARY}]}, "$.tools[0].parameters"),
        ({"content": "Hi", "history": [{"role": "root", "parts": []}]}, "$.history[0].role"),
        ({"content": "Hi", "history": [{"role": "user", "parts": [{"type": "text"}]}]}, "$.history[0].parts[0].text"),
        ({"content": "Hi", "metadata": [CANARY]}, "$.metadata"),
        ({"content": "Hi", "metadata": {"a": CANARY * 1500}}, "$.metadata"),
        ({"content": "Hi", "regenerate": "msg_1"}, "$.content"),
        (
            {"content": "Hi", "conversation_id": "conv_1", "history": [{"role": "user", "parts": []}]},
            "$.history",
        ),
    ],
)
async def test_what_does_not_fit_is_refused_with_its_path(body: dict[str, Any], path: str, gateway: Served) -> None:
    check_is_bad_request(await gateway.post(body), path)


@pytest.mark.parametrize("body", [b"null", b"[]", b'"canary-5d1e"', b"1"])
async def test_a_body_that_is_no_object_is_refused(body: bytes, gateway: Served) -> None:
    check_is_bad_request(await gateway.post(body), "$")


async def test_metadata_of_exactly_the_limit_is_taken(gateway: Served) -> None:
    room = 16 * 1024 - len(b'{"a":""}')
    assert (await gateway.post({"content": "Hi", "metadata": {"a": "x" * room}})).status == 200
    check_is_bad_request(await gateway.post({"content": "Hi", "metadata": {"a": "x" * (room + 1)}}), "$.metadata")


async def test_metadata_may_hold_a_number_of_any_size(gateway: Served) -> None:
    reply = await gateway.post(b'{"content":"Hi","metadata":{"a":%b}}' % (b"9" * 40))
    assert reply.status in {200, 400}


@pytest.mark.parametrize("user_id", ["", "a\nb", "a\0", "\x7f", "\x80", "a" * 257, "\u0085"], ids=ascii)
async def test_a_user_id_with_control_characters_is_refused(user_id: str, gateway: Served) -> None:
    check_is_bad_request(await gateway.post({"content": "Hi", "user_id": user_id}), "$.user_id")


@pytest.mark.parametrize("user_id", ["a", "Ada Lovelace <ada@example.com>", "é" * 256, "../../x", "a%0d%0ab"])
@pytest.mark.parametrize("route", ["hardwire", "chatbase"])
async def test_any_printable_user_id_is_taken(user_id: str, route: str, gateway: Served) -> None:
    assert (await gateway.post({"content": "Hi", "user_id": user_id, "route": route})).status == 200


async def test_a_route_that_there_is_not_is_not_found(gateway: Served) -> None:
    reply = await gateway.post({"content": "Hi", "route": CANARY})
    assert (reply.status, reply.error["code"], reply.error["details"]) == (404, "not_found", {"path": "$.route"})
    assert CANARY.encode() not in reply.body


async def test_an_answer_is_given_anew_in_its_conversation_alone(gateway: Served) -> None:
    check_is_bad_request(await gateway.post({"regenerate": "msg_1"}), "$.conversation_id")


# --- options of vendors


@pytest.mark.parametrize("name", ["nobody", "native", "url", "..", "Hardwire"])
async def test_options_for_a_protocol_that_there_is_not_are_refused(name: str, gateway: Served) -> None:
    check_is_bad_request(
        await gateway.post({"content": "Hi", "vendor_options": {name: {}}}), f"$.vendor_options.{name}"
    )


FOREIGN_KEYS = [
    "url",
    "base_url",
    "base",
    "headers",
    "Authorization",
    "api_key",
    "cookie",
    "path",
    "model",
    "agent",
    "",
]


def options() -> Iterator[tuple[str, str]]:
    """Every protocol with each key that it must not take."""
    for name, descriptor in BUILT_IN.items():
        if descriptor.translator is not None:
            own = {field.encode_name for field in msgspec.structs.fields(descriptor.options)}
            yield from ((name, key) for key in FOREIGN_KEYS if key not in own)


@pytest.mark.parametrize(("protocol", "key"), list(options()))
async def test_options_name_no_address_header_or_credential(protocol: str, key: str, gateway: Served) -> None:
    for value in ("http://127.0.0.1:1/canary-5d1e", {"a": CANARY}, None):
        reply = await gateway.post({"content": "Hi", "vendor_options": {protocol: {key: value}}})
        assert (reply.status, reply.error["code"]) == (400, "bad_request")
        assert reply.error["details"]["path"].startswith(f"$.vendor_options.{protocol}")
        assert CANARY.encode() not in reply.body


def test_no_protocol_declares_an_option_that_could_lead_elsewhere() -> None:
    declared = {
        (name, field.encode_name)
        for name, descriptor in BUILT_IN.items()
        for field in msgspec.structs.fields(descriptor.options)
    }
    assert {(name, key) for name, key in declared if key.lower() in {each.lower() for each in FOREIGN_KEYS}} == set()
    for descriptor in BUILT_IN.values():
        if descriptor.translator is not None:
            assert descriptor.options.__struct_config__.forbid_unknown_fields


@pytest.mark.parametrize("value", ["../../x", "a b", "http://127.0.0.1/", "\r\nX: 1", 7, "0" * 300, {}])
async def test_an_option_that_goes_into_a_path_is_typed(value: object, gateway: Served) -> None:
    reply = await gateway.post({"content": "Hi", "vendor_options": {"hardwire": {"workflow_id": value}}})
    assert (reply.status, reply.error["code"]) == (400, "bad_request")


# --- ids that would lead elsewhere

TRAVERSALS = [
    "..",
    ".",
    "../../admin",
    "..%2f..%2fadmin",
    "%2e%2e",
    "%2e%2e%2fadmin",
    "/etc/passwd",
    "\\\\server\\share",
    "C:\\con",
    "CON",
    "a\0b",
    "a\r\nX-Evil: 1",
    "a?b=c",
    "a#b",
    "a;b",
    "é",
    "\u202e",
    "x" * 300,
    "http://127.0.0.1/",
    "",
]


@pytest.mark.parametrize("field", ["conversation_id", "route", "regenerate"])
@pytest.mark.parametrize("form", TRAVERSALS, ids=ascii)
async def test_an_id_that_would_lead_elsewhere_is_refused(field: str, form: str, gateway: Served) -> None:
    body = {field: form} if field == "regenerate" else {"content": "Hi", field: form}
    reply = await gateway.post(body)
    assert reply.status in ({400, 422} if field == "regenerate" else {400, 404})
    assert reply.error["code"] in {"bad_request", "not_found", "unsupported"}
    assert len(form) < 3 or form.encode() not in reply.body


@pytest.mark.parametrize("form", [form for form in TRAVERSALS if form])
async def test_a_vendors_own_id_stays_one_segment_of_a_path(form: str, tmp_path: Path) -> None:
    """Chatbase names its conversations itself, so a hostile one could name a path."""
    frames = (
        b'data: {"type":"start","messageId":"m"}\n\n',
        b'data: {"type":"text-delta","id":"t","delta":"Hi"}\n\n',
        b'data: {"type":"finish","finishReason":"stop","messageMetadata":%b}\n\n'
        % msgspec.json.encode({"conversationId": form}),
    )
    output = {"type": "tool_result", "tool_call_id": "c", "output": "1"}
    config = scripted("URL").replace("hardwire", "chatbase").replace('model = "m"', 'agent = "a"')
    config = config.replace("cookie", "api_key").replace(
        'user_id = { env = "NOT_SET_ANYWHERE", default = "user-1" }\n', ""
    )
    async with (
        ScriptServer([Read(), *told(*frames), Read(), Hold()]) as vendor,
        serving(tmp_path, config.replace("URL", vendor.url)) as gateway,
    ):
        first = await gateway.post({"content": "Hi", "stream": False})
        conversation = first.document.get("conversation_id")
        if first.status == 200:
            body = {"content": [output], "conversation_id": conversation}
            second = asyncio.create_task(gateway.post(body))
            await wait_for_requests(vendor, 2)
            second.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await second
        lines = [received.raw.partition(b"\r\n")[0] for received in vendor.requests]
        heads = [received.raw.partition(b"\r\n\r\n")[0] for received in vendor.requests]
    assert lines[0] == b"POST /agents/a/chat HTTP/1.1"
    assert all(b"X-Evil" not in head.replace(lines[-1], b"") for head in heads)
    if len(lines) == 2:
        method, target, version = lines[1].split(b" ")
        assert (method, version) == (b"POST", b"HTTP/1.1")
        *before, segment, last = target.split(b"/")
        assert (before, last) == ([b"", b"agents", b"a", b"conversations"], b"tool-result")
        assert segment not in {b".", b"..", b""}
    else:
        assert first.status == 502


async def wait_for_requests(vendor: ScriptServer, count: int) -> None:
    async with asyncio.timeout(2):
        while len(vendor.requests) < count:  # noqa: ASYNC110  (the script sets no event for it)
            await asyncio.sleep(0.005)


async def test_a_hardwire_conversation_is_named_by_us(tmp_path: Path) -> None:
    async with ScriptServer([Read(), *told(START, HELLO, END), Hold()]) as vendor:
        async with serving(tmp_path, scripted(vendor.url)) as gateway:
            await gateway.post({"content": "../../x", "user_id": "../../y", "metadata": {"path": "/z"}})
        (received,) = vendor.requests
    _, chats, chat, messages, stream = received.target.split("/")
    assert (chats, messages, stream, len(chat)) == ("chats", "messages", "stream", 36)


# --- any body at all

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("1e400")
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    *("route", "conversation_id", "regenerate", "history", "instructions", "tools", "tool_choice"),
    *("parameters", "user_id", "metadata", "stream", "failover", "vendor_options", "extra"),
]
PARTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "file", "tool_result", "input_response", "source"])},
    optional=dict.fromkeys(
        ("text", "file_id", "url", "data", "media_type", "tool_call_id", "output", "request_id", "values"), VALUES
    ),
)
BODIES = st.fixed_dictionaries(
    {"content": st.text(min_size=1, max_size=30) | st.lists(PARTS, max_size=3) | VALUES},
    optional={
        **dict.fromkeys(FIELDS, VALUES),
        "route": st.sampled_from(["hardwire", "chatbase"]) | VALUES,
        "history": st.lists(
            st.fixed_dictionaries(
                {"role": st.sampled_from(["system", "user", "assistant", "tool"]), "parts": st.lists(PARTS, max_size=2)}
            ),
            max_size=3,
        ),
        "metadata": st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
        "vendor_options": st.dictionaries(st.sampled_from(["hardwire", "chatbase"]), VALUES, max_size=2),
        "tool_choice": st.sampled_from(["auto", "none", "required"]),
        "user_id": st.text(min_size=1, max_size=300),
        "stream": st.booleans(),
    },
)
MAY_BE = {200, 400, 402, 404, 413, 422}


@given(bodies=st.lists(BODIES, min_size=5, max_size=20), data=st.lists(st.binary(max_size=60), max_size=3))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_body_is_answered_or_refused_in_our_shape(
    bodies: list[dict[str, Any]], data: list[bytes], tmp_path: Path
) -> None:
    import json

    asyncio.run(check_bodies([*(json.dumps(body).encode() for body in bodies), *data], tmp_path))


async def check_bodies(bodies: list[bytes], tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        replies = await asyncio.gather(*(gateway.post(body) for body in bodies))
        for body, reply in zip(bodies, replies, strict=True):
            assert reply.status in MAY_BE, body
            if reply.status != 200:
                assert reply.error["code"] not in {"internal", "overloaded"}, body
        assert await gateway.samples("gateway_unhandled_errors_total") == {(): 0}

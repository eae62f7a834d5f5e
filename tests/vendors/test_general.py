"""The six general protocols as vendors, over real sockets: each is told all that was said, each time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from gateway.canonical.events import MessageCanceled, MessageCompleted, MessageStarted
from gateway.protocols.base import CAPABILITIES
from gateway.protocols.registry import BUILT_IN
from gateway.relay import relay
from gateway.simulation.faults import FAULTS
from tests.support.gateway import until
from tests.support.stopping import cancel, running_message
from tests.vendors.cases import ASKS, KINDS, NOTE, Told, told
from tests.vendors.five import Five, Telling, five, held
from tests.vendors.general import GENERAL, ROUTES, Line, alone, as_told, heard, target

every_vendor = pytest.mark.parametrize("vendor", GENERAL)
both_modes = pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])

TOOL = {"name": "look", "description": "Looks.", "parameters": {"type": "object"}}


@pytest.fixture
async def gateway(vendor: str, tmp_path: Path) -> AsyncIterator[Five]:
    async with five(tmp_path, demo=alone(vendor)) as running:
        yield running


def support(vendor: str, capability: str) -> str:
    return BUILT_IN[vendor].capabilities[capability]


def tools(vendor: str) -> dict[str, Any]:
    """What a message brings along so that the vendor may call a tool of the client's."""
    return {"tools": [TOOL]} if support(vendor, "client_tools") == "yes" else {}


# --- what each can show


class Shown(Struct, frozen=True):
    """`line` is told where that play is chosen."""

    play: str
    line: Told


EXAMPLE = "https://example.org"
PNG = "data:image/png;base64,iVBORw0KGgo="
SHOWN: dict[str, dict[str, Shown | None]] = {
    "text": {
        "openai_chat": Shown("length", ("text", "Quantum bits")),
        "openai_responses": Shown("hello", ("text", "Hello there.")),
        "anthropic": Shown("late", ("text", "One two three")),
        "gemini": Shown("plain", ("text", "Hello there")),
        "ai_sdk": Shown("text", ("text", "Hello there ☀")),
        "ag_ui": Shown("text", ("text", "Hello there")),
    },
    "reasoning": {
        "openai_chat": Shown("reasoning", ("reasoning", "Let me think.")),
        "openai_responses": Shown("reasoning", ("reasoning", "First this.\n\nThen that.")),
        "anthropic": Shown("thinking", ("reasoning", "Let me think.")),
        "gemini": Shown("thinking", ("reasoning", "The user greets. I greet back.")),
        "ai_sdk": Shown("reasoning", ("reasoning", "Let me think")),
        "ag_ui": Shown("reasoning", ("reasoning", "Think hard.")),
    },
    "tool_calls": {
        "openai_chat": Shown("executed-tools", ("tool_call", "search", {"query": "qubits"}, "vendor")),
        "openai_responses": Shown("mcp", ("tool_call", "search", {"q": "x"}, "vendor")),
        "anthropic": Shown("mcp", ("tool_call", "echo", {"text": "hi"}, "vendor")),
        "gemini": Shown(
            "code", ("tool_call", "code_execution", {"language": "PYTHON", "code": "print(6 * 7)"}, "vendor")
        ),
        "ai_sdk": Shown("server-tool", ("tool_call", "weather", {"city": "Kyiv"}, "unknown")),
        "ag_ui": Shown("server-tool", ("tool_call", "search", {"q": "x"}, "vendor")),
    },
    "sources": {
        "openai_chat": Shown("citations", ("source", "Qubits", f"{EXAMPLE}/q", "What a qubit is.")),
        "openai_responses": Shown("search", ("source", "Mount Columbia", "https://example.com/columbia", None)),
        "anthropic": Shown("documents", ("source", "Terms", None, "Orders ship within two days.")),
        "gemini": Shown("cited", ("source", None, "https://example.com/h", None)),
        "ai_sdk": Shown("provider-tool", ("source", "Example", EXAMPLE, None)),
        "ag_ui": None,
    },
    "usage": {
        "openai_chat": Shown("usage-with-finish", ("usage", {"input_tokens": 5, "output_tokens": 2})),
        "openai_responses": Shown(
            "hello",
            (
                "usage",
                {
                    "input_tokens": 20,
                    "output_tokens": 12,
                    "reasoning_tokens": 4,
                    "cached_tokens": 8,
                    "cache_write_tokens": 2,
                },
            ),
        ),
        "anthropic": Shown("late", ("usage", {"input_tokens": 20, "output_tokens": 4})),
        "gemini": Shown("cached", ("usage", {"input_tokens": 9, "output_tokens": 4, "cached_tokens": 7})),
        "ai_sdk": Shown(
            "text", ("usage", {"input_tokens": 12, "output_tokens": 7, "reasoning_tokens": 2, "cached_tokens": 4})
        ),
        "ag_ui": Shown("text", ("usage", {"input_tokens": 12, "output_tokens": 5})),
    },
    "files_out": {
        "openai_chat": Shown("image", ("file", None, "image/png", PNG)),
        "openai_responses": Shown("image", ("file", None, "image/png", PNG)),
        "anthropic": Shown("file", ("file", None, None, None)),
        "gemini": Shown("image", ("text", "Here it is.")),
        "ai_sdk": Shown("file", ("file", None, "image/png", PNG)),
        "ag_ui": None,
    },
    "input_requests": {
        "openai_chat": None,
        "openai_responses": Shown(
            "approval",
            (
                "input",
                "approval",
                "Allow disk to run delete_file?",
                {"server_label": "disk", "name": "delete_file", "arguments": {"path": "/tmp/a"}},
            ),
        ),
        "anthropic": None,
        "gemini": None,
        "ai_sdk": Shown("approval", ("input", "approval", None, None)),
        "ag_ui": Shown("question", ("input", "question", "Which city?", {"reason": "input"})),
    },
    "data_frames": dict.fromkeys(GENERAL),
}
"""By capability: where it is seen; None: in no play at all."""


@every_vendor
@pytest.mark.parametrize("capability", SHOWN)
async def test_what_a_vendor_can_show_is_told_in_a_stream_and_in_a_document(
    capability: str, vendor: str, gateway: Five
) -> None:
    shown = SHOWN[capability][vendor]
    assert support(vendor, capability) == ("no" if shown is None else "yes")
    if shown is None:
        return
    content = f"[play:{shown.play}] x"
    events = told((await gateway.say(ROUTES[vendor], content)).events)
    assert shown.line in events
    assert events[-1][0] == "completed"
    kind = KINDS[capability]
    assert kind in [line[0] for line in events]
    whole = (await gateway.say(ROUTES[vendor], content, stream=False)).document
    assert (whole["status"], whole["finish_reason"]) == events[-1]
    if kind == "usage":
        assert {name: count for name, count in whole["usage"].items() if count} == shown.line[1]
    else:
        parts = [part.get("text") or part.get("name") or part.get("title") for part in whole["parts"]]
        assert sum(line[0] == kind for line in events) == sum(part["type"] == kind for part in whole["parts"])
        assert kind not in {"text", "reasoning", "tool_call"} or shown.line[1] in parts


@every_vendor
@both_modes
async def test_every_play_ends_by_the_laws_and_none_shows_what_the_vendor_cannot(
    vendor: str, gateway: Five, *, stream: bool
) -> None:
    """Those of a rate limit are told elsewhere: they keep what follows waiting."""
    simulator = gateway.record(vendor).simulator
    assert simulator is not None
    kinds = set()
    for play in (name for name, shows in simulator.plays.items() if "429" not in shows):
        reply = await gateway.say(f"{ROUTES[vendor]}-once", f"[play:{play}] x" if play else "Hi", stream=stream)
        assert reply.status != 500
        if reply.headers["Content-Type"] == "text/event-stream":
            lines = told(reply.events)
            assert lines[-1][0] in {"completed", "failed", "canceled"}
            kinds |= {kind for kind, *_ in lines}
        elif reply.status == 200:
            assert reply.document["status"] in {"completed", "canceled"}
            kinds |= {part["type"] for part in reply.document["parts"]}
    assert kinds & {KINDS[name] for name, row in SHOWN.items() if name in KINDS and row[vendor] is None} == set()


# --- what each is asked


class Sent(Struct, frozen=True):
    """What the vendor is sent beside the usual: the conversation, and other fields."""

    lines: tuple[Line, ...] = (("user", "Hi"),)
    fields: dict[str, Any] = {}


class Refused(Struct, frozen=True):
    path: str


class Ignored(Struct, frozen=True):
    pass


CONVERSATION = frozenset(
    {"messages", "input", "contents", "instructions", "system", "systemInstruction", "id", "threadId", "runId"}
)
EARLIER: tuple[Line, ...] = (("user", "Red?"), ("assistant", "Blue."), ("user", "Hi"))
IN_VERSE: tuple[Line, ...] = (("system", "Answer in verse."), ("user", "Hi"))
OBJECT = {"type": "object"}

ASKED_FOR: dict[str, dict[str, object]] = {
    **{name: asked for name, asked in ASKS.items() if name not in {"parameters", "client_tools", "tool_results_in"}},
    "parameters": {"content": "Hi", "parameters": {"temperature": 0.25, "max_output_tokens": 7654321}},
    "client_tools": {"content": "Hi", "tools": [TOOL]},
}
ASKED: dict[str, dict[str, Sent | Refused | Ignored]] = {
    "instructions": {**dict.fromkeys(GENERAL, Sent(IN_VERSE)), "ai_sdk": Refused("$.instructions")},
    "history": dict.fromkeys(GENERAL, Sent(EARLIER)),
    "client_tools": {
        "openai_chat": Sent(
            fields={
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "look", "description": "Looks.", "parameters": OBJECT},
                    }
                ]
            }
        ),
        "openai_responses": Sent(
            fields={
                "tools": [
                    {
                        "type": "function",
                        "name": "look",
                        "description": "Looks.",
                        "parameters": OBJECT,
                        "strict": False,
                    }
                ]
            }
        ),
        "anthropic": Sent(fields={"tools": [{"name": "look", "description": "Looks.", "input_schema": OBJECT}]}),
        "gemini": Sent(
            fields={
                "tools": [
                    {
                        "functionDeclarations": [
                            {"name": "look", "description": "Looks.", "parametersJsonSchema": OBJECT}
                        ]
                    }
                ]
            }
        ),
        "ai_sdk": Refused("$.tools"),
        "ag_ui": Sent(fields={"tools": [TOOL]}),
    },
    "parameters": {
        "openai_chat": Sent(fields={"temperature": 0.25, "max_completion_tokens": 7654321}),
        "openai_responses": Sent(fields={"temperature": 0.25, "max_output_tokens": 7654321}),
        "anthropic": Sent(fields={"temperature": 0.25, "max_tokens": 7654321}),
        "gemini": Sent(fields={"generationConfig": {"temperature": 0.25, "maxOutputTokens": 7654321}}),
        "ai_sdk": Ignored(),
        "ag_ui": Ignored(),
    },
    "user_id": {
        "openai_chat": Sent(fields={"safety_identifier": "ann-7654321"}),
        "openai_responses": Sent(fields={"safety_identifier": "ann-7654321"}),
        "anthropic": Sent(fields={"metadata": {"user_id": "ann-7654321"}}),
        "gemini": Ignored(),
        "ai_sdk": Ignored(),
        "ag_ui": Ignored(),
    },
    "metadata": {
        **dict.fromkeys(GENERAL, Ignored()),
        "openai_responses": Sent(fields={"metadata": {"order": "7654321"}}),
        "ai_sdk": Sent(),
    },
    "files_in": dict.fromkeys(GENERAL, Sent()),
}
HEARD = {"metadata": "7654321", "files_in": NOTE["data"]}
"""What stands somewhere in what is sent; Anthropic is told the text of a text file."""


@every_vendor
@pytest.mark.parametrize("capability", ASKED)
async def test_what_a_message_brings_is_sent_refused_or_ignored(capability: str, vendor: str, gateway: Five) -> None:
    record = gateway.record(vendor)
    await gateway.say(ROUTES[vendor], "Hi")
    (usual,) = record.bodies
    record.requests.clear()
    reply = await gateway.say(ROUTES[vendor], **ASKED_FOR[capability])
    answer = support(vendor, capability)
    match ASKED[capability][vendor]:
        case Sent(lines, fields):
            assert (answer, reply.status) == ("yes", 200)
            (body,) = record.bodies
            assert heard(vendor, body) == list(lines)
            others = {name: value for name, value in body.items() if name not in CONVERSATION}
            assert {name: value for name, value in others.items() if usual.get(name) != value} == fields
            if capability in HEARD:
                assert record.has_heard(
                    "Hello" if (capability, vendor) == ("files_in", "anthropic") else HEARD[capability]
                )
        case Refused(path):
            assert (answer, reply.status, reply.error["code"]) == ("no", 422, "unsupported")
            assert (reply.error["details"], record.requests) == ({"path": path}, [])
        case Ignored():
            assert (answer, reply.status, record.has_heard("7654321")) == ("ignored", 200, False)


SEEDS = {**dict.fromkeys(GENERAL, False), "openai_chat": True, "anthropic": None, "gemini": True}
"""Whether a vendor is sent a seed; None: it is refused."""


@pytest.mark.parametrize("vendor", SEEDS)
async def test_a_seed_is_sent_where_there_is_a_field_for_it(vendor: str, gateway: Five) -> None:
    reply = await gateway.say(ROUTES[vendor], "Hi", parameters={"seed": 7654321})
    assert gateway.record(vendor).has_heard("7654321") is bool(SEEDS[vendor])
    if SEEDS[vendor] is None:
        assert (reply.status, reply.error["details"]) == (422, {"path": "$.parameters.seed"})
    else:
        assert told(reply.events)[-1] == ("completed", "stop")


ELSEWHERE = {
    "streaming": "test_what_a_vendor_can_show_is_told_in_a_stream_and_in_a_document",
    "tool_results_in": "test_the_results_of_calls_are_handed_in_and_the_answer_goes_on",
    "regenerate": "test_an_answer_is_given_anew_to_the_same_question",
    "model_choice": "test_a_model_is_asked_for_where_a_target_has_one",
    "cancel": "test_who_is_canceled_or_left_has_its_connection_closed",
    "resume": "test_a_stream_that_breaks_off_is_gone_back_to_by_nobody",
    "message_list": "test_what_a_vendor_does_not_keep_is_neither_listed_nor_deleted_there",
    "delete_conversation": "test_what_a_vendor_does_not_keep_is_neither_listed_nor_deleted_there",
}


def test_every_capability_has_its_row_and_every_row_all_vendors() -> None:
    assert sorted([*SHOWN, *ASKED, *ELSEWHERE]) == sorted(CAPABILITIES)
    rows: list[dict[str, Any]] = [*SHOWN.values(), *ASKED.values()]
    assert [set(row) for row in rows] == [set(GENERAL)] * len(rows)
    assert set(ELSEWHERE.values()) <= globals().keys()


@every_vendor
async def test_a_model_is_asked_for_where_a_target_has_one(vendor: str, gateway: Five) -> None:
    has_model = "model" in {field.name for field in msgspec.structs.fields(BUILT_IN[vendor].target)}
    assert has_model is (support(vendor, "model_choice") == "yes")
    await gateway.say(ROUTES[vendor], "Hi")
    if has_model:
        model = target(ROUTES[vendor]).partition('model = "')[2].rstrip('"')
        assert gateway.record(vendor).has_heard(model)


# --- conversations


def text(message: Any) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


@every_vendor
async def test_all_that_was_said_is_told_each_time_in_order_and_once(vendor: str, gateway: Five) -> None:
    record = gateway.record(vendor)
    lines: list[Line] = []
    more: dict[str, Any] = {}
    for question in ("One", "Two", "Three"):
        whole = (await gateway.say(ROUTES[vendor], question, stream=False, **more)).document
        lines.append(("user", question))
        assert heard(vendor, record.bodies[-1]) == lines
        lines.append(("assistant", text(whole)))
        more = {"conversation_id": whole["conversation_id"]}
    assert len(record.requests) == 3
    assert await gateway.samples("gateway_catch_ups_total") == {}


@every_vendor
async def test_an_answer_is_given_anew_to_the_same_question(vendor: str, gateway: Five) -> None:
    assert support(vendor, "regenerate") == "yes"
    record = gateway.record(vendor)
    first = (await gateway.say(ROUTES[vendor], "One", stream=False)).document
    ours = {"conversation_id": first["conversation_id"]}
    second = (await gateway.say(ROUTES[vendor], "Two", stream=False, **ours)).document
    anew = (await gateway.say(ROUTES[vendor], None, regenerate=second["id"], **ours)).events
    assert told(anew)[-1] == ("completed", "stop")
    await gateway.say(ROUTES[vendor], "Three", **ours)
    asked: list[Line] = [("user", "One"), ("assistant", text(first)), ("user", "Two")]
    said = [heard(vendor, body) for body in record.bodies]
    assert said[1:] == [asked, asked, [*asked, ("assistant", text(second)), ("user", "Three")]]


CALLS: dict[str, tuple[str, list[Line]]] = {
    "openai_chat": ("parallel-calls", [("call", "look", {"city": "Oslo"}), ("call", "look", {"city": "Rome"})]),
    "openai_responses": ("two-tools", [("call", "weather", {"city": "Kyiv"}), ("call", "time", {})]),
    "anthropic": (
        "two-tools",
        [("call", "lookup_order", {"order_id": "42"}), ("call", "get_weather", {"city": "Kyiv"})],
    ),
    "gemini": (
        "tools-one-by-one",
        [("call", "getWeather", {"city": "Kyiv"}), ("call", "lookupOrder", {"orderId": "42"})],
    ),
    "ai_sdk": ("client-tools", [("call", "locate", {"accuracy": "high"}), ("call", "pay", {"sum": 1})]),
    "ag_ui": ("parallel-tools", [("call", "look", {"a": 1}), ("call", "look", {"b": 2})]),
}
"""The play of two calls of the client's at once, and what they are."""


def answers(calls: list[str], turn: int) -> list[dict[str, Any]]:
    return [
        {"type": "tool_result", "tool_call_id": call, "output": {"turn": turn, "call": number}}
        for number, call in enumerate(calls)
    ]


def exchanged(vendor: str, turn: int) -> list[Line]:
    """A turn of two calls and their results, as the vendor is told them."""
    play, calls = CALLS[vendor]
    results: list[Line] = [("result", {"turn": turn, "call": number}) for number in range(2)]
    return as_told(vendor, [("user", f"[play:{play}] {turn}"), *calls, *results])


@every_vendor
@both_modes
async def test_the_results_of_calls_are_handed_in_and_the_answer_goes_on(
    vendor: str, gateway: Five, *, stream: bool
) -> None:
    """Twice, as many a vendor gives its calls the same ids in each answer."""
    assert support(vendor, "tool_results_in") == "yes"
    record, route = gateway.record(vendor), ROUTES[vendor]
    lines: list[Line] = []
    more = tools(vendor)
    for turn in (1, 2):
        reply = await gateway.say(route, f"[play:{CALLS[vendor][0]}] {turn}", stream=stream, **more)
        ours, owed = asking(reply.events if stream else reply.document)
        assert len(owed) == len(set(owed)) == 2
        more["conversation_id"] = ours
        whole = (await gateway.say(route, answers(owed, turn), stream=False, **more)).document
        assert (whole["status"], whole["finish_reason"]) == ("completed", "stop")
        assert f'{{"turn":{turn},"call":0}}, {{"turn":{turn},"call":1}}' in text(whole)
        lines += exchanged(vendor, turn)
        assert heard(vendor, record.bodies[-1]) == lines
        lines.append(("assistant", text(whole)))


def asking(answer: Any) -> tuple[str, list[str]]:
    """Its conversation, and the calls whose results the client owes."""
    if isinstance(answer, dict):
        assert answer["finish_reason"] == "tool_calls"
        return answer["conversation_id"], answer["pending_tool_calls"]
    started, completed = answer[0], answer[-1]
    assert isinstance(started, MessageStarted)
    assert isinstance(completed, MessageCompleted)
    assert completed.finish_reason == "tool_calls"
    return started.conversation_id, completed.pending_tool_calls


REQUESTS: dict[str, tuple[str, dict[str, Any], str]] = {
    "openai_responses": ("approval", {"approved": True}, "It is gone."),
    "ai_sdk": ("approval", {"approved": True}, "It is done."),
    "ag_ui": ("question", {"text": "Kyiv"}, "You said"),
}
"""The play of a vendor that waits for a person, what that says, and what the vendor then says of it."""


@pytest.mark.parametrize("vendor", REQUESTS)
async def test_what_a_vendor_waits_for_is_answered_and_it_goes_on(vendor: str, gateway: Five) -> None:
    play, answer, says = REQUESTS[vendor]
    whole = (await gateway.say(ROUTES[vendor], f"[play:{play}] x", stream=False)).document
    (request_id,) = [part["request_id"] for part in whole["parts"] if part["type"] == "input"]
    response = {"type": "input_response", "request_id": request_id, **answer}
    ours = {"conversation_id": whole["conversation_id"]}
    gone_on = (await gateway.say(ROUTES[vendor], [response], stream=False, **ours)).document
    assert (gone_on["status"], gone_on["finish_reason"]) == ("completed", "stop")
    assert says in text(gone_on)


@every_vendor
async def test_what_a_vendor_does_not_keep_is_neither_listed_nor_deleted_there(vendor: str, gateway: Five) -> None:
    assert support(vendor, "message_list") == support(vendor, "delete_conversation") == "no"
    record = gateway.record(vendor)
    first = (await gateway.say(ROUTES[vendor], "One", stream=False)).document
    ours = f"/v1/conversations/{first['conversation_id']}"
    listed = (await gateway.ask("GET", f"{ours}/messages")).document["data"]
    assert [message["role"] for message in listed] == ["user", "assistant"]
    if "conversation" in first["vendor_ids"]:  # an endpoint that is told of a thread may keep it
        refused = await gateway.ask("DELETE", ours)
        assert (refused.status, refused.error["details"]["path"]) == (422, "query.copies")
        assert (await gateway.ask("DELETE", f"{ours}?copies=keep")).status == 200
    else:
        assert (await gateway.ask("DELETE", ours)).status == 200
    assert (await gateway.ask("GET", ours)).status == 404
    assert len(record.requests) == 1


@every_vendor
async def test_the_turn_behind_a_broken_one_is_told_what_the_client_saw(vendor: str, gateway: Five) -> None:
    record, route = gateway.record(vendor), ROUTES[vendor]
    first = (await gateway.say(route, "One", stream=False)).document
    ours = {"conversation_id": first["conversation_id"]}
    broken = await gateway.say(f"{route}-once", f"[play:{BREAKS[vendor]}] Two", **ours)
    (shown,) = [line[1] for line in told(broken.events) if line[0] == "text"]
    assert (await gateway.say(route, "Three", **ours)).status == 200
    assert heard(vendor, record.bodies[-1]) == [
        ("user", "One"),
        ("assistant", text(first)),
        ("user", f"[play:{BREAKS[vendor]}] Two"),
        ("assistant", shown),
        ("user", "Three"),
    ]
    assert await gateway.samples("gateway_recoveries_total") == {}


BREAKS = dict.fromkeys(GENERAL, "cut")


# --- endings

Endings = dict[str, tuple[int, str, str | None]]
"""By play: the status (200: it breaks off behind some text), our code, and the vendor's."""

UNAVAILABLE, PROTOCOL = "upstream_unavailable", "upstream_protocol"

ENDINGS: dict[str, Endings] = {
    "openai_chat": {
        "cut": (200, PROTOCOL, None),
        "error": (200, UNAVAILABLE, "server_error"),
        "error-quota": (200, "quota_exhausted", "insufficient_quota"),
        "error-event": (200, PROTOCOL, "tool_use_failed"),
        "error-beside-choices": (200, UNAVAILABLE, "server_error"),
        "error-after-finish": (200, UNAVAILABLE, "server_error"),
        "error-finish": (200, UNAVAILABLE, "insufficient_system_resource"),
        "error-flat": (200, UNAVAILABLE, "InternalServerError"),
        "invalid-key": (502, "upstream_auth", "invalid_api_key"),
        "forbidden": (502, "upstream_auth", "unsupported_country_region_territory"),
        "model-not-found": (502, "upstream_not_found", "model_not_found"),
        "rate-limited": (429, "upstream_rate_limited", "rate_limit_exceeded"),
        "rate-limited-reset": (429, "upstream_rate_limited", "rate_limit_exceeded"),
        "quota": (402, "quota_exhausted", "insufficient_quota"),
        "no-credits": (402, "quota_exhausted", None),
        "too-long": (422, "context_too_long", "context_length_exceeded"),
        "too-long-flat": (422, "context_too_long", "BadRequestError"),
        "filtered": (422, "content_filtered", "ResponsibleAIPolicyViolation"),
        "overloaded": (503, UNAVAILABLE, "server_error"),
        "server-error": (503, UNAVAILABLE, "server_error"),
        "bad-gateway": (503, UNAVAILABLE, None),
    },
    "openai_responses": {
        "cut": (200, PROTOCOL, None),
        "error-flat": (200, UNAVAILABLE, "server_error"),
        "error-nested": (200, UNAVAILABLE, "server_error"),
        "error-first": (402, "quota_exhausted", "insufficient_quota"),
        "failed": (429, "upstream_rate_limited", "rate_limit_exceeded"),
        "bad-request": (422, "upstream_rejected", "invalid_value"),
        "too-long": (422, "context_too_long", "context_length_exceeded"),
        "policy": (422, "upstream_rejected", "invalid_prompt"),
        "invalid-key": (502, "upstream_auth", "invalid_api_key"),
        "forbidden": (502, "upstream_auth", "unsupported_country_region_territory"),
        "not-found": (502, "upstream_not_found", "model_not_found"),
        "rate-limit": (429, "upstream_rate_limited", "rate_limit_exceeded"),
        "rate-limit-reset": (429, "upstream_rate_limited", "rate_limit_exceeded"),
        "quota": (402, "quota_exhausted", "insufficient_quota"),
        "internal": (503, UNAVAILABLE, "server_error"),
        "overloaded": (503, UNAVAILABLE, "service_unavailable"),
    },
    "anthropic": {
        "cut": (200, PROTOCOL, None),
        "spliced": (200, PROTOCOL, None),
        "reset": (200, UNAVAILABLE, None),
        "overloaded": (200, UNAVAILABLE, "overloaded_error"),
        "api-error": (200, UNAVAILABLE, "api_error"),
        "rate-limit-error": (200, "upstream_rate_limited", "rate_limit_error"),
        "overloaded-first": (503, UNAVAILABLE, "overloaded_error"),
        "refused": (422, "content_filtered", None),
        "bad-request": (422, "upstream_rejected", "invalid_request_error"),
        "too-long": (422, "context_too_long", "invalid_request_error"),
        "filtered": (422, "content_filtered", "invalid_request_error"),
        "no-credit": (402, "quota_exhausted", "invalid_request_error"),
        "unauthorized": (502, "upstream_auth", "authentication_error"),
        "billing": (402, "quota_exhausted", "billing_error"),
        "forbidden": (502, "upstream_auth", "permission_error"),
        "no-model": (502, "upstream_not_found", "not_found_error"),
        "too-large": (422, "context_too_long", "request_too_large"),
        "conflict": (503, UNAVAILABLE, "conflict_error"),
        "rate-limited": (429, "upstream_rate_limited", "rate_limit_error"),
        "spend-limit": (402, "quota_exhausted", "enforced_spend_limit_reached"),
        "internal": (503, UNAVAILABLE, "api_error"),
        "timeout": (504, "upstream_timeout", "timeout_error"),
        "too-busy": (503, UNAVAILABLE, "overloaded_error"),
        "proxy": (503, UNAVAILABLE, None),
    },
    "gemini": {
        "cut": (200, PROTOCOL, None),
        "error": (200, UNAVAILABLE, "UNAVAILABLE"),
        "error-lines": (200, UNAVAILABLE, "INTERNAL"),
        "error-list": (200, UNAVAILABLE, "UNAVAILABLE"),
        "error-first": (503, UNAVAILABLE, "UNAVAILABLE"),
        "recitation": (422, "content_filtered", None),
        "blocked": (422, "content_filtered", None),
        "malformed-call": (502, PROTOCOL, "MALFORMED_FUNCTION_CALL"),
        "missing-signature": (502, PROTOCOL, "MISSING_THOUGHT_SIGNATURE"),
        "empty": (502, "upstream_empty", None),
        "rate-limited": (429, "upstream_rate_limited", "RESOURCE_EXHAUSTED"),
        "rate-limited-bare": (429, "upstream_rate_limited", "RESOURCE_EXHAUSTED"),
        "quota": (402, "quota_exhausted", "RESOURCE_EXHAUSTED"),
        "invalid-key": (502, "upstream_auth", "INVALID_ARGUMENT"),
        "unauthenticated": (502, "upstream_auth", "UNAUTHENTICATED"),
        "forbidden": (502, "upstream_auth", "PERMISSION_DENIED"),
        "precondition": (502, "upstream_auth", "FAILED_PRECONDITION"),
        "invalid": (422, "upstream_rejected", "INVALID_ARGUMENT"),
        "too-long": (422, "context_too_long", "INVALID_ARGUMENT"),
        "model-not-found": (502, "upstream_not_found", "NOT_FOUND"),
        "internal": (503, UNAVAILABLE, "INTERNAL"),
        "overloaded": (503, UNAVAILABLE, "UNAVAILABLE"),
        "deadline": (504, "upstream_timeout", "DEADLINE_EXCEEDED"),
    },
    "ai_sdk": {
        "cut": (200, PROTOCOL, None),
        "error": (200, UNAVAILABLE, None),
        "finish-error": (200, UNAVAILABLE, None),
        "error-first": (503, UNAVAILABLE, None),
        "empty": (502, "upstream_empty", None),
        "page": (502, PROTOCOL, None),
        "bad-request": (422, "upstream_rejected", None),
        "unauthorized": (502, "upstream_auth", None),
        "quota": (402, "quota_exhausted", "quota"),
        "rate-limit": (429, "upstream_rate_limited", None),
        "internal": (503, UNAVAILABLE, None),
        "unavailable": (503, UNAVAILABLE, "offline"),
    },
    "ag_ui": {
        "cut": (200, PROTOCOL, None),
        "error": (200, UNAVAILABLE, None),
        "error-first": (503, UNAVAILABLE, None),
        "error-rate": (429, "upstream_rate_limited", "rate_limit_exceeded"),
        "error-context": (422, "context_too_long", "CONTEXT_LENGTH_EXCEEDED"),
        "empty": (502, "upstream_empty", None),
        "unauthorized": (502, "upstream_auth", None),
        "forbidden": (502, "upstream_auth", None),
        "not-found": (502, "upstream_not_found", None),
        "rate-limited": (429, "upstream_rate_limited", None),
        "internal": (503, UNAVAILABLE, "internal_error"),
        "unavailable": (503, UNAVAILABLE, None),
    },
}


@every_vendor
def test_every_refusal_that_can_be_played_is_played(vendor: str) -> None:
    make = BUILT_IN[vendor].simulator
    assert make is not None
    refused = {play for play, shows in make("").plays.items() if shows.startswith("refused: ")}
    assert refused <= ENDINGS[vendor].keys()


@pytest.mark.parametrize(("vendor", "play"), [(vendor, play) for vendor, plays in ENDINGS.items() for play in plays])
async def test_what_ends_badly_is_told_in_our_words_and_never_completed(vendor: str, play: str, gateway: Five) -> None:
    status, code, vendor_code = ENDINGS[vendor][play]
    content = f"[play:{play}] x"
    route = f"{ROUTES[vendor]}-{'hasty' if status == 429 else 'once'}"
    reply = await gateway.say(route, content)
    assert reply.status == status
    if status == 200:
        *shown, ending = told(reply.events)
        assert ending == ("failed", code, vendor_code)
        assert "text" in [line[0] for line in shown]
    else:
        assert (reply.error["code"], reply.error.get("vendor_code")) == (code, vendor_code)
        assert reply.error["vendor"] == ROUTES[vendor]
    assert len(gateway.record(vendor).requests) == 1
    if code != "upstream_rate_limited":
        whole = await gateway.say(route, content, stream=False)
        assert whole.status >= 400
        assert (whole.error["code"], whole.error.get("vendor_code")) == (code, vendor_code)
        assert status != 200 or whole.error["details"]["message"]["status"] == "failed"


LIMITED = {
    "openai_chat": ("rate-limited-reset", 90.0),
    "openai_responses": ("rate-limit-reset", 90.0),
    "anthropic": ("rate-limited", 17.0),
    "gemini": ("rate-limited", 17.5),
    "ai_sdk": ("rate-limit", 3.0),
    "ag_ui": ("rate-limited", 3.0),
}


@every_vendor
async def test_a_rate_limit_is_passed_on_and_kept(vendor: str, gateway: Five) -> None:
    play, seconds = LIMITED[vendor]
    record, route = gateway.record(vendor), f"{ROUTES[vendor]}-hasty"
    reply = await gateway.say(route, f"[play:{play}] x")
    assert (reply.status, reply.error["vendor_status"], reply.error["retry_after"]) == (429, 429, seconds)
    assert float(reply.headers["Retry-After"]) >= seconds
    record.requests.clear()
    again = await gateway.say(route, "Hi")
    assert (again.status, again.error["code"], record.requests) == (429, "upstream_rate_limited", [])
    assert 0 < again.error["retry_after"] <= seconds


CANCELED = {"openai_responses": "cancelled", "gemini": "canceled", "ai_sdk": "abort", "ag_ui": "cancelled"}


@pytest.mark.parametrize("vendor", CANCELED)
async def test_what_the_vendor_cancels_is_canceled(vendor: str, gateway: Five) -> None:
    reply = await gateway.say(ROUTES[vendor], f"[play:{CANCELED[vendor]}] x")
    assert told(reply.events)[-1] == ("canceled", "vendor")


# --- faults on the way


DEADLINES = "first_event = 0.5, idle = 0.3, total = 3.0"

SLOW = ("slow-head", "stall-silent", "stall-heartbeats", "endless-comments")
FAULTY_CODES = {
    **dict.fromkeys(SLOW, "upstream_timeout"),
    "reset-head": UNAVAILABLE,
    **dict.fromkeys(("status-400", "status-409", "status-422"), "upstream_rejected"),
    **dict.fromkeys(("status-401", "status-403"), "upstream_auth"),
    "status-402": "quota_exhausted",
    "status-404": "upstream_not_found",
    **dict.fromkeys(("status-408", "status-504"), "upstream_timeout"),
    "status-429": "upstream_rate_limited",
    **dict.fromkeys(("status-500", "status-502", "status-503", "status-529", "status-502-html"), UNAVAILABLE),
    "endless-refusal": UNAVAILABLE,
    **dict.fromkeys(("status-204", "redirect", "html-200", "wrong-type", "empty-200", "cut"), PROTOCOL),
    **dict.fromkeys(("reset-mid-event", "reset-mid-character"), UNAVAILABLE),
    **dict.fromkeys(("endless-line", "malformed-json"), PROTOCOL),
}
HARMLESS = (
    "stays-open",
    "twice",
    "unknown-event",
    "huge-event",
    "one-byte-chunks",
    "one-byte-chunks:7",
    "one-chunk",
    "crlf",
    "cr",
)
BENT = {"duplicate-event", "swapped-events"}
"""What a vendor that does not number its events cannot be known by: the ending alone is told as it is."""


def test_every_fault_is_tried() -> None:
    assert {*FAULTY_CODES, *(name.partition(":")[0] for name in HARMLESS), *BENT} == set(FAULTS)


@every_vendor
async def test_a_fault_on_the_way_is_never_completed(
    vendor: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "SWEEP_INTERVAL", 0.05)
    async with five(tmp_path, demo=alone(vendor, DEADLINES)) as gateway:

        async def outcome(fault: str) -> str:
            reply = await gateway.say(f"{ROUTES[vendor]}-{'hasty' if fault in SLOW else 'once'}", f"[fault:{fault}] x")
            if reply.status != 200:
                return str(reply.error["code"])
            kind, code, *_ = told(reply.events)[-1]
            assert kind == "failed"
            return str(code)

        found = {fault: await outcome(fault) for fault in FAULTY_CODES if fault not in SLOW}
        found |= dict(zip(SLOW, await asyncio.gather(*map(outcome, SLOW)), strict=True))
        assert found == FAULTY_CODES


@every_vendor
async def test_how_the_bytes_come_is_not_told(vendor: str, gateway: Five) -> None:
    play, calls = CALLS[vendor]
    more = tools(vendor)
    usual = await gateway.say(ROUTES[vendor], f"[play:{play}] x", **more)
    lines = [line for line in told(usual.events) if line[0] != "usage"]
    assert len([line for line in lines if line[0] == "tool_call"]) == len(calls)
    for fault in HARMLESS:
        if (vendor, fault) == ("gemini", "twice"):  # whose older servers finish with every chunk
            continue
        async with asyncio.timeout(5):
            reply = await gateway.say(ROUTES[vendor], f"[play:{play}] [fault:{fault}] x", **more)
        assert [line for line in told(reply.events) if line[0] != "usage"] == lines, fault
    for fault in BENT:
        reply = await gateway.say(ROUTES[vendor], f"[fault:{fault}] x")
        assert told(reply.events)[-1] == ("completed", "stop"), fault


@every_vendor
async def test_a_stream_that_breaks_off_is_gone_back_to_by_nobody(vendor: str, gateway: Five) -> None:
    assert support(vendor, "resume") == "no"
    reply = await gateway.say(f"{ROUTES[vendor]}-once", "[fault:reset-mid-event:6] Hi")
    assert told(reply.events)[-1] == ("failed", UNAVAILABLE, None)
    assert len(gateway.record(vendor).requests) == 1


# --- stopping


async def speaking(gateway: Five, vendor: str) -> Telling:
    """The vendor's stream, of which all but the last event was told."""
    tellings = gateway.record(vendor).tellings
    await until(lambda: bool(tellings) and not tellings[-1].is_over)
    return tellings[-1]


@every_vendor
@both_modes
async def test_who_is_canceled_or_left_has_its_connection_closed(vendor: str, gateway: Five, *, stream: bool) -> None:
    """Canceled by a POST; left by a client who closes its connection."""
    assert support(vendor, "cancel") == "no"
    record = gateway.record(vendor)
    record.bend = held
    asking = asyncio.create_task(gateway.say(ROUTES[vendor], "Hi", stream=stream))
    telling = await speaking(gateway, vendor)
    status, whole = await cancel(gateway.session, (await running_message(gateway.session))["id"])
    assert (status, whole["status"]) == (200, "canceled")
    reply = await asking
    if stream:
        assert isinstance(reply.events[-1], MessageCanceled)
    else:
        assert reply.document == whole
    await until(lambda: telling.is_over, within=1)
    assert not telling.is_whole

    record.tellings.clear()
    body = {"route": ROUTES[vendor], "content": "Hi", "stream": stream}
    leaving = asyncio.create_task(gateway.ask("POST", "/v1/messages", json=body))
    telling = await speaking(gateway, vendor)
    leaving.cancel()
    await until(lambda: telling.is_over, within=1)
    assert not telling.is_whole
    await until(lambda: len(gateway.log.of("message")) == 2)
    assert [line["outcome"] for line in gateway.log.of("message")] == ["canceled", "canceled"]
    assert len(record.requests) == 2

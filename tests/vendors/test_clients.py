"""Each kind of client before each general vendor and two that keep their conversations, over a socket: two turns of it.

No client names a conversation of ours: each resends what it was told, and that is the conversation it goes on with.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from tests.support.doors import DOORS, Door, understood
from tests.vendors.five import Five, five
from tests.vendors.general import CALLING, GENERAL, ROUTES, heard

VENDORS = (*GENERAL, "chatbase", "hardwire")


def _chat(body: dict[str, Any], answer: str, question: str) -> dict[str, Any]:
    said = [{"role": "assistant", "content": answer}, {"role": "user", "content": question}]
    return {**body, "messages": [*body["messages"], *said]}


def _responses(body: dict[str, Any], answer: str, question: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": answer, "annotations": [], "logprobs": []}]
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": content}
    said = [{"role": "user", "content": body["input"]}, message, {"role": "user", "content": question}]
    return {**body, "input": said}


def _anthropic(body: dict[str, Any], answer: str, question: str) -> dict[str, Any]:
    said = [
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        {"role": "user", "content": [{"type": "text", "text": question}]},
    ]
    return {**body, "messages": [*body["messages"], *said]}


def _gemini(body: dict[str, Any], answer: str, question: str) -> dict[str, Any]:
    said = [{"role": "model", "parts": [{"text": answer}]}, {"role": "user", "parts": [{"text": question}]}]
    return {**body, "contents": [*body["contents"], *said]}


def _ai_sdk(body: dict[str, Any], answer: str, question: str) -> dict[str, Any]:
    told = [{"type": "step-start"}, {"type": "text", "text": answer, "state": "done"}]
    said = [
        {"id": "a1", "role": "assistant", "parts": told},
        {"id": "u2", "role": "user", "parts": [{"type": "text", "text": question}]},
    ]
    return {**body, "messages": [*body["messages"], *said]}


def _ag_ui(body: dict[str, Any], answer: str, question: str) -> dict[str, Any]:
    said = [
        {"id": "a1", "role": "assistant", "content": answer},
        {"id": "u2", "role": "user", "content": question},
    ]
    return {**body, "runId": "run-2", "messages": [*body["messages"], *said]}


GO_ON: dict[str, Callable[[dict[str, Any], str, str], dict[str, Any]]] = {
    "openai_chat": _chat,
    "openai_responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "ai_sdk": _ai_sdk,
    "ag_ui": _ag_ui,
}
"""The next request of a client, made of its last one and what it was answered."""


async def say(gateway: Five, client: Door, route: str, body: dict[str, Any]) -> str:
    """The text of an answer that is whole."""
    reply = await gateway.ask("POST", client.path.format(route=route), json=body, params=client.query)
    assert (reply.status, reply.headers["Content-Type"]) == (200, "text/event-stream")
    read = understood(client.heard(reply.body))
    assert read.ending == "stop"
    return read.text


@pytest.mark.parametrize("client", DOORS.values(), ids=list(DOORS))
async def test_a_client_that_resends_what_was_said_goes_on_with_its_conversation(client: Door, tmp_path: Path) -> None:
    async with five(tmp_path) as gateway:
        for number, vendor in enumerate(VENDORS, 1):
            route = ROUTES.get(vendor, vendor)
            body = client.body(route, f"One, {vendor}")
            first = await say(gateway, client, route, body)
            assert f"One, {vendor}" in first
            assert "Two" in await say(gateway, client, route, GO_ON[client.name](body, first, "Two"))
            listed = (await gateway.ask("GET", "/v1/conversations")).document["data"]
            assert len(listed) == number, vendor
            kept = (await gateway.ask("GET", f"/v1/conversations/{listed[0]['id']}/messages")).document["data"]
            assert [message["role"] for message in kept] == ["user", "assistant"] * 2, vendor
            last = gateway.record(vendor).bodies[-1]
            if vendor in GENERAL:
                assert heard(vendor, last) == [("user", f"One, {vendor}"), ("assistant", first), ("user", "Two")]
            else:
                assert last.get("message", last.get("content")) == "Two"


# --- calls of the client's tools


class Loop(Struct, frozen=True):
    """How a kind of client asks for a document, and what it adds to all that was said when it has run its tools.

    `told` makes of an answer's document what is resent of it, and the results of its calls.
    """

    path: str
    fields: Callable[[str], dict[str, Any]]
    said: str
    tools: list[dict[str, Any]]
    question: Callable[[str], dict[str, Any]]
    told: Callable[[Any, str], tuple[list[Any], list[Any]]]


OBJECT = {"type": "object", "properties": {}}


def _told_of_chat(document: Any, output: str) -> tuple[list[Any], list[Any]]:
    message = document["choices"][0]["message"]
    calls = message.get("tool_calls") or []
    return [message], [{"role": "tool", "tool_call_id": call["id"], "content": output} for call in calls]


def _told_of_responses(document: Any, output: str) -> tuple[list[Any], list[Any]]:
    calls = [item["call_id"] for item in document["output"] if item["type"] == "function_call"]
    results = [{"type": "function_call_output", "call_id": call, "output": output} for call in calls]
    return document["output"], results


def _told_of_anthropic(document: Any, output: str) -> tuple[list[Any], list[Any]]:
    calls = [block["id"] for block in document["content"] if block["type"] == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": call, "content": output} for call in calls]
    answer = {"role": "assistant", "content": document["content"]}
    return [answer], [{"role": "user", "content": results}] if results else []


def _told_of_gemini(document: Any, output: str) -> tuple[list[Any], list[Any]]:
    content = document["candidates"][0]["content"]
    calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
    results = [{"functionResponse": {**_named(call), "response": {"result": output}}} for call in calls]
    return [content], [{"role": "user", "parts": results}] if results else []


def _named(call: dict[str, Any]) -> dict[str, Any]:
    return {name: call[name] for name in ("id", "name") if name in call}


LOOPS = {
    "openai_chat": Loop(
        "/openai/v1/chat/completions",
        lambda route: {"model": route},
        "messages",
        [{"type": "function", "function": {"name": "look", "parameters": OBJECT}}],
        lambda text: {"role": "user", "content": text},
        _told_of_chat,
    ),
    "openai_responses": Loop(
        "/openai/v1/responses",
        lambda route: {"model": route},
        "input",
        [{"type": "function", "name": "look", "parameters": OBJECT, "strict": False}],
        lambda text: {"role": "user", "content": text},
        _told_of_responses,
    ),
    "anthropic": Loop(
        "/anthropic/v1/messages",
        lambda route: {"model": route, "max_tokens": 100},
        "messages",
        [{"name": "look", "input_schema": OBJECT}],
        lambda text: {"role": "user", "content": text},
        _told_of_anthropic,
    ),
    "gemini": Loop(
        "/gemini/v1beta/models/{route}:generateContent",
        lambda _: {},
        "contents",
        [{"functionDeclarations": [{"name": "look"}]}],
        lambda text: {"role": "user", "parts": [{"text": text}]},
        _told_of_gemini,
    ),
}


@pytest.mark.parametrize("client", LOOPS)
async def test_a_client_runs_its_tools_for_any_vendor_in_one_conversation(client: str, tmp_path: Path) -> None:
    """Twice: some vendors give their calls the same ids in each answer."""
    loop = LOOPS[client]
    async with five(tmp_path) as gateway:
        for number, (vendor, play) in enumerate(CALLING.items(), 1):
            route = ROUTES[vendor]
            tools = {} if vendor == "ai_sdk" else {"tools": loop.tools}
            said: list[Any] = []
            for turn in ("first", "second"):
                said.append(loop.question(f"[play:{play}] {turn} to {vendor}"))
                for _ in range(2):
                    body = {**loop.fields(route), loop.said: said, **tools}
                    reply = await gateway.ask("POST", loop.path.format(route=route), json=body)
                    assert reply.status == 200, (vendor, reply.body)
                    answer, results = loop.told(reply.document, f"found by the {turn}")
                    said += [*answer, *results]
                assert f"found by the {turn}" in reply.body.decode(), vendor
            lines = heard(vendor, gateway.record(vendor).bodies[-1])
            assert [kind for kind, *_ in lines if kind in {"call", "result"}] == ["call", "result"] * 2
            assert len((await gateway.ask("GET", "/v1/conversations")).document["data"]) == number, vendor

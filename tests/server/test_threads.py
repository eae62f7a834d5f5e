"""Clients that name their conversations themselves, or the answer that they go on from; what is told to a vendor that
keeps nothing; models, sizes and stopping."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gateway.canonical.resources import (
    Ask,
    CountTokens,
    GetModel,
    ListModels,
    Result,
    Resume,
    Stop,
)
from gateway.protocols.base import ClientRequest, Descriptor, DialectRoute, Exchange, Operation, Thread
from gateway.protocols.native.dialect import NativeDialect, NativeExchange
from gateway.protocols.registry import BUILT_IN
from tests.support.gateway import END, HELLO, START, RunningGateway, running_gateway, told
from tests.support.scripts import Hold, Read, Reset, ScriptServer, Sleep, Step
from tests.support.served import DEMO, Served, serving
from tests.support.shelf import PROTOCOLS, Shelf, config
from tests.support.targets import WELL


class NamingDialect(NativeDialect):
    """Names of a client's own stand in headers; all else is as in the canonical API."""

    name = "naming"
    routes: tuple[DialectRoute, ...] = (
        DialectRoute("POST", "/naming", "message"),
        DialectRoute("GET", "/naming/{thread}/stream", "resume"),
        DialectRoute("POST", "/naming/{thread}/stop", "stop"),
        DialectRoute("GET", "/models", "list_models"),
        DialectRoute("GET", "/models/{name:.*}", "get_model"),
        DialectRoute("POST", "/count", "count_tokens"),
    )

    def read(self, request: ClientRequest) -> Exchange:
        exchange = NativeExchange(super().read(request).request)
        thread = request.headers.get("X-Thread")
        if thread is not None:
            exchange.thread = Thread(thread, is_whole="X-Part" not in request.headers)
        exchange.follows = request.headers.get("X-Follows")
        return exchange

    def read_ask(self, operation: Operation, request: ClientRequest) -> Ask:
        match operation:
            case "resume":
                return Resume(request.parameters["thread"])
            case "stop":
                return Stop(request.parameters["thread"])
            case "list_models":
                return ListModels()
            case "get_model":
                return GetModel(request.parameters["name"])
            case _:
                return CountTokens(super().read(request).request)

    def write_result(self, result: Result) -> bytes:
        return msgspec.json.encode(result)


NAMING = {"naming": Descriptor("naming", "Naming", {}, dialect=lambda _: NamingDialect())}


def forgetful(protocols: Mapping[str, Descriptor]) -> Mapping[str, Descriptor]:
    """The shelf as one that is told everything each time."""
    return {**protocols, "shelf": msgspec.structs.replace(protocols["shelf"], takes_history=True)}


def history(*texts: str) -> list[dict[str, Any]]:
    roles = ("user", "assistant")
    return [{"role": roles[number % 2], "parts": [{"type": "text", "text": text}]} for number, text in enumerate(texts)]


async def ask(gateway: Served, content: str, headers: dict[str, str], **fields: Any) -> Any:
    body = {"content": content, "stream": False, **fields}
    reply = await gateway.ask("POST", "/naming", json=body, headers=headers)
    assert reply.status == 200, reply.body
    return reply.document


THREAD = {"X-Thread": "chat 1"}
PART = {**THREAD, "X-Part": "yes"}


async def test_a_thread_is_one_conversation(tmp_path: Path) -> None:
    async with Shelf() as acme, serving(tmp_path, config(acme=acme), protocols={**PROTOCOLS, **NAMING}) as gateway:
        first = await ask(gateway, "One", THREAD)
        second = await ask(gateway, "Two", THREAD, history=history("One", "Hello"))
        third = await ask(gateway, "Three", PART)
        assert first["conversation_id"] == second["conversation_id"] == third["conversation_id"]
        assert acme.said == ["One", "Two", "Three"]
        assert (await ask(gateway, "One", {"X-Thread": "chat 2"}))["conversation_id"] != first["conversation_id"]


async def test_a_thread_whose_history_is_another_is_a_new_conversation_of_its_name(tmp_path: Path) -> None:
    async with Shelf() as acme, serving(tmp_path, config(acme=acme), protocols={**PROTOCOLS, **NAMING}) as gateway:
        first = await ask(gateway, "One", THREAD)
        edited = await ask(gateway, "Uno", THREAD)
        again = await ask(gateway, "Two", THREAD, history=history("Uno", "Hello"))
        assert first["conversation_id"] != edited["conversation_id"] == again["conversation_id"]
        assert acme.said == ["One", "Uno", "Two"]


async def test_another_keys_thread_of_the_same_name_is_another(tmp_path: Path) -> None:
    keys = "".join(f'[[keys]]\nid = "{name}"\nsecret = {{ env = "KEY_{name.upper()}" }}\n' for name in ("ann", "bob"))
    environ = {"KEY_ANN": "gwk_ann", "KEY_BOB": "gwk_bob"}
    async with (
        Shelf() as acme,
        serving(tmp_path, config(acme=acme) + keys, protocols={**PROTOCOLS, **NAMING}, environ=environ) as gateway,
    ):
        ids = [
            (await ask(gateway, "One", {**PART, "Authorization": f"Bearer {key}"}))["conversation_id"]
            for key in ("gwk_ann", "gwk_bob", "gwk_ann")
        ]
        assert ids[0] == ids[2] != ids[1]


async def test_a_message_that_follows_the_latest_answer_goes_on_there(tmp_path: Path) -> None:
    async with Shelf() as acme, serving(tmp_path, config(acme=acme), protocols={**PROTOCOLS, **NAMING}) as gateway:
        first = await ask(gateway, "One", {})
        second = await ask(gateway, "Two", {"X-Follows": first["id"]})
        assert second["conversation_id"] == first["conversation_id"]
        assert acme.said == ["One", "Two"]


async def test_a_message_that_follows_an_earlier_answer_begins_a_branch(tmp_path: Path) -> None:
    async with Shelf() as acme, serving(tmp_path, config(acme=acme), protocols={**PROTOCOLS, **NAMING}) as gateway:
        first = await ask(gateway, "One", {})
        await ask(gateway, "Two", {"X-Follows": first["id"]})
        other = await ask(gateway, "Three", {"X-Follows": first["id"]})
        assert other["conversation_id"] != first["conversation_id"]
        assert acme.said[2:] == ["[Earlier in this conversation]\nuser: One\nassistant: Hello\n[Now]\nThree"]


async def test_a_branch_is_without_what_was_answered_anew(tmp_path: Path) -> None:
    async with (
        Shelf() as acme,
        serving(tmp_path, config(acme=acme), protocols=forgetful({**PROTOCOLS, **NAMING})) as gateway,
    ):
        first = await ask(gateway, "One", {})
        anew = {"regenerate": first["id"], "conversation_id": first["conversation_id"], "stream": False}
        second = (await gateway.post(anew)).document
        await ask(gateway, "Two", {"X-Follows": second["id"]})
        await ask(gateway, "Three", {"X-Follows": second["id"]})
        assert acme.said[-1] == f"{EARLIER}Three"


async def test_what_is_no_answer_is_followed_by_nothing(tmp_path: Path) -> None:
    async with Shelf() as acme, serving(tmp_path, config(acme=acme), protocols={**PROTOCOLS, **NAMING}) as gateway:
        first = await ask(gateway, "One", {})
        listed = await gateway.ask("GET", f"/v1/conversations/{first['conversation_id']}/messages")
        for message_id in (listed.document["data"][0]["id"], "msg_nobody"):
            reply = await gateway.ask("POST", "/naming", json={"content": "Hi"}, headers={"X-Follows": message_id})
            assert (reply.status, reply.error["code"]) == (404, "not_found")
            assert reply.error["details"] == {"path": "$.follows"}


async def test_a_thread_goes_on_behind_an_answer_that_broke_off_as_its_client_saw_it(tmp_path: Path) -> None:
    cut = [Read(), *told(START, HELLO)[:-1], Sleep(0.1), Reset()]
    resent = [[], history("One", "Hello"), history("One", "Hello", "Two", "Hello")]
    async with (
        ScriptServer(cut, WELL) as vendor,
        running_gateway(tmp_path, vendor.url, protocols={**BUILT_IN, **NAMING}) as gateway,
    ):
        for question, said in zip(("One", "Two", "Three"), resent, strict=True):
            body = {"content": question, "history": said}
            async with gateway.session.post("/naming", json=body, headers=THREAD) as reply:
                assert reply.status == 200
                await reply.read()
        lines = gateway.log.of("message")
        assert [line["outcome"] for line in lines] == ["failed", "completed", "completed"]
        assert len({line["conversation_id"] for line in lines}) == 1


# --- vendors that keep nothing

EARLIER = "[Earlier in this conversation]\nuser: One\nassistant: Hello\n[Now]\n"


async def test_a_vendor_that_keeps_nothing_is_told_all_of_it_each_time(tmp_path: Path) -> None:
    async with Shelf() as acme, serving(tmp_path, config(acme=acme), protocols=forgetful(PROTOCOLS)) as gateway:
        first = (await gateway.post({"content": "One", "stream": False})).document
        await gateway.post({"content": "Two", "conversation_id": first["conversation_id"], "stream": False})
        assert acme.said == ["One", f"{EARLIER}Two"]
        assert await gateway.samples("gateway_catch_ups_total") == {}
        await gateway.post({"content": "New", "history": history("One", "Hello"), "stream": False})
        assert acme.said[2:] == [f"{EARLIER}New"]


async def test_an_answer_is_given_anew_without_the_one_that_it_replaces(tmp_path: Path) -> None:
    async with Shelf() as acme, serving(tmp_path, config(acme=acme), protocols=forgetful(PROTOCOLS)) as gateway:
        first = (await gateway.post({"content": "One", "stream": False})).document
        conversation = first["conversation_id"]
        second = (await gateway.post({"content": "Two", "conversation_id": conversation, "stream": False})).document
        anew = await gateway.post({"regenerate": second["id"], "conversation_id": conversation, "stream": False})
        assert anew.status == 200
        assert acme.said[1:] == [f"{EARLIER}Two", f"{EARLIER}Two"]


async def test_a_tools_result_may_go_to_any_vendor_that_is_told_everything(tmp_path: Path) -> None:
    result = [{"type": "tool_result", "tool_call_id": "c1", "output": 1}, {"type": "text", "text": "So?"}]
    for protocols, status in ((PROTOCOLS, 422), (forgetful(PROTOCOLS), 200)):
        async with (
            Shelf() as acme,
            Shelf() as spare,
            serving(tmp_path, config(acme=acme, spare=spare), protocols=protocols) as gateway,
        ):
            first = (await gateway.post({"content": "One", "route": "acme", "stream": False})).document
            body = {"content": result, "route": "spare", "conversation_id": first["conversation_id"], "stream": False}
            assert (await gateway.post(body)).status == status


# --- models and sizes

MODELS = """
[routes.fast]
models = ["gpt-4o", "gpt-4*", "*"]
targets = [{ vendor = "hardwire", model = "gpt-4o" }]
"""


async def test_a_route_answers_for_the_models_that_it_names(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO + MODELS, protocols={**BUILT_IN, **NAMING}) as gateway:
        listed = (await gateway.ask("GET", "/models")).document
        assert [model["name"] for model in listed["data"]] == ["hardwire", "chatbase", "fast", "gpt-4o"]
        for name in ("chatbase", "gpt-4o", "gpt-4.1-mini", "meta/llama-3"):
            assert (await gateway.ask("GET", f"/models/{name}")).document["name"] == name
        answered = (await gateway.post({"content": "Hi", "route": "gpt-4o-2024", "stream": False})).document
        assert answered["route"] == "fast"


async def test_a_model_that_no_route_answers_for_is_not_found(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO, protocols={**BUILT_IN, **NAMING}) as gateway:
        for path in ("/models/gpt-4o", "/models/"):
            reply = await gateway.ask("GET", path)
            assert (reply.status, reply.error["code"], reply.error["details"]) == (
                404,
                "not_found",
                {"path": "$.route"},
            )
        reply = await gateway.ask("POST", "/count", json={"content": "Hi", "route": "gpt-4o"})
        assert reply.status == 404


async def test_a_message_is_measured_without_being_asked(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO, protocols={**BUILT_IN, **NAMING}) as gateway:
        small = await gateway.ask("POST", "/count", json={"content": "Hi"})
        assert (small.status, small.headers["X-Token-Count"], small.document) == (200, "estimated", {"input_tokens": 2})
        tool = {"name": "look", "parameters": {"type": "object"}}
        large = {"content": "Hi", "instructions": "Be brief.", "tools": [tool], "history": history("One", "Hello")}
        assert (await gateway.ask("POST", "/count", json=large)).document["input_tokens"] > 15
        assert await gateway.samples("gateway_messages_total") == {}


# --- stopping and going on


async def test_what_runs_in_a_thread_is_stopped_by_its_name(tmp_path: Path) -> None:
    steps: list[Step] = [Read(), *told(START, HELLO)[:-1], Hold()]
    async with (
        ScriptServer(steps, told(START, HELLO, END)) as vendor,
        running_gateway(tmp_path, vendor.url, protocols={**BUILT_IN, **NAMING}) as gateway,
    ):
        posted = asyncio.create_task(post(gateway, "One"))
        async with asyncio.timeout(5):
            while await gateway.count("gateway_open_streams") < 1:  # noqa: ASYNC110  (no event is set for it)
                await asyncio.sleep(0.01)
        busy = await post(gateway, "Meanwhile")
        assert b'"conflict"' in busy
        for path in ("/naming/chat/stop", "/naming/nobody/stop"):
            async with gateway.session.post(path) as reply:
                assert (reply.status, await reply.read()) == (204, b"")
        assert b"message.canceled" in await posted
        async with gateway.session.get("/naming/chat/stream") as reply:
            assert (reply.status, await reply.read()) == (204, b"")


async def post(gateway: RunningGateway, content: str) -> bytes:
    async with gateway.session.post("/naming", json={"content": content}, headers={"X-Thread": "chat"}) as reply:
        return await reply.read()


@pytest.mark.parametrize("name", ["gpt 4", "a*b", "", "**"])
async def test_a_models_name_is_checked(name: str, tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"models\[0\]"):
        async with serving(tmp_path, DEMO + MODELS.replace('"gpt-4o", ', f'"{name}", ')):
            pass

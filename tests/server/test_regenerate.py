"""`regenerate`: the last answer of a conversation is given anew, where the vendor can."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.served import DEMO, Served, serving


async def say(gateway: Served, text: str, **fields: str) -> Any:
    reply = await gateway.post({"route": "chatbase", "content": text, "stream": False, **fields})
    assert reply.status == 200
    return reply.document


def anew(answer: Any, **fields: object) -> dict[str, object]:
    return {
        "route": "chatbase",
        "conversation_id": answer["conversation_id"],
        "regenerate": answer["id"],
        "stream": False,
        **fields,
    }


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "document"])
async def test_the_last_answer_is_given_anew_by_the_vendor_that_gave_it(tmp_path: Path, *, stream: bool) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        first = await say(gateway, "Hello")
        reply = await gateway.post(anew(first, stream=stream))
        assert reply.status == 200
        listed = await gateway.ask("GET", f"/v1/conversations/{first['conversation_id']}/messages")
        question, answer, other = listed.document["data"]
        assert (question["role"], answer["id"], other["regenerates"]) == ("user", first["id"], first["id"])
        assert other["status"] == "completed"
        assert other["vendor_ids"]["conversation"] == first["vendor_ids"]["conversation"]
        assert other["vendor_ids"]["message"] != first["vendor_ids"]["message"]


async def test_an_answer_given_anew_may_be_given_anew_and_the_conversation_goes_on(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        first = await say(gateway, "Hello")
        second = (await gateway.post(anew(first))).document
        third = await gateway.post(anew(second))
        assert third.status == 200
        last = await say(gateway, "And then?", conversation_id=first["conversation_id"])
        assert last["vendor_ids"]["conversation"] == first["vendor_ids"]["conversation"]


async def test_an_answer_that_was_replaced_is_gone(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        first = await say(gateway, "Hello")
        assert (await gateway.post(anew(first))).status == 200
        reply = await gateway.post(anew(first))
        assert (reply.status, reply.error["code"], reply.error["details"]) == (
            404,
            "not_found",
            {"path": "$.regenerate"},
        )


async def test_only_the_last_turn_is_answered_anew(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        first = await say(gateway, "Hello")
        await say(gateway, "And then?", conversation_id=first["conversation_id"])
        reply = await gateway.post(anew(first))
        assert (reply.status, reply.error["code"], reply.error["details"]) == (
            422,
            "unsupported",
            {"path": "$.regenerate"},
        )


async def test_a_vendor_that_did_not_give_the_answer_does_not_give_it_anew(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        first = await say(gateway, "Hello")
        reply = await gateway.post(anew(first, route="hardwire"))
        assert (reply.status, reply.error["code"], reply.error["details"]["path"]) == (
            422,
            "unsupported",
            "$.regenerate",
        )


async def test_an_unknown_answer_is_not_found_and_leaves_the_conversation_free(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        first = await say(gateway, "Hello")
        question_id = (await gateway.ask("GET", f"/v1/conversations/{first['conversation_id']}/messages")).document
        for message_id in ("msg_0", question_id["data"][0]["id"]):
            assert (await gateway.post(anew(first, regenerate=message_id))).error["code"] == "not_found"
        assert (await gateway.post(anew(first))).status == 200


async def test_where_nothing_was_asked_nothing_is_answered_anew(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        created = (await gateway.ask("POST", "/v1/conversations")).document
        of_none = {"id": "msg_0", "conversation_id": created["id"]}
        assert (await gateway.post(anew(of_none))).error["code"] == "not_found"
        listed = await gateway.ask("GET", f"/v1/conversations/{created['id']}/messages")
        (failed,) = listed.document["data"]
        reply = await gateway.post(anew(failed))
        assert (reply.status, reply.error["code"], reply.error["details"]) == (
            422,
            "unsupported",
            {"path": "$.regenerate"},
        )


async def test_an_answer_is_named_with_its_conversation(tmp_path: Path) -> None:
    async with serving(tmp_path, DEMO) as gateway:
        reply = await gateway.post({"route": "chatbase", "regenerate": "msg_1"})
        assert (reply.status, reply.error["details"]["path"]) == (400, "$.conversation_id")

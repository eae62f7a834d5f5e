"""Dynamiq, upstream: each recorded stream becomes the events beside it; requests, refusals and oddities one by one."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Event,
    File,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    Notice,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    VendorEvent,
)
from gateway.canonical.message import FilePart, ImagePart, InputResponsePart, TextPart, ToolResultPart
from gateway.canonical.turn import AskPart, HistoryMessage, Parameters, Tool, Turn
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import Malformed
from gateway.protocols.base import (
    Authorization,
    Form,
    FormPart,
    VendorRequest,
    VendorResponse,
)
from gateway.protocols.dynamiq import DYNAMIQ
from gateway.protocols.dynamiq.calls import DynamiqTarget
from gateway.protocols.dynamiq.translator import DynamiqOptions, DynamiqTranslator
from tests.support.translating import Told, ask, failure, framed, heard, logged, records, refuse, refused, sign_in

EXAMPLES = Path(__file__).parent / "examples"
RESUMED = Path(__file__).parent / "resumed"

APP = "8e9f0a1b-2c3d-4e5f-8a7b-9c0d1e2f3a4b"
MODEL = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
RUN = "8c2c8e2e-2f0a-4f4e-9f4f-6e1a52f0a001"
REQUEST = "7a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"
JSON = {"Content-Type": "application/json"}
TO_STREAM = {**JSON, "Accept": "text/event-stream"}
CREATED = VendorResponse(200, CIMultiDict(), b'{"data":{"id":"conv-1","title":"hi"}}')
OK = VendorResponse(200, CIMultiDict(), b'{"message":"ok"}')


def make(target: DynamiqTarget | None = None) -> DynamiqTranslator:
    return DynamiqTranslator(target or DynamiqTarget(app=APP), Blocks(Numbering()))


def bound(*parts: AskPart, **fields: Any) -> Turn:
    return ask(*parts, vendor_ids={"conversation": "conv-1"}, **fields)


def frame(kind: str, data: object = None, **more: Any) -> str:
    return json.dumps({"type": kind, **({} if data is None else {"data": data}), **more})


def hear(*frames: str) -> Told:
    return heard(make(), framed(*frames))


def sent(turn: Turn, target: DynamiqTarget | None = None) -> Any:
    """The body of the one request of a bound turn."""
    (request,) = make(target).requests(turn)
    assert isinstance(request.body, bytes)
    return json.loads(request.body)


# --- sign-in


def test_the_key_is_sent_as_a_bearer_token() -> None:
    translator = make()
    assert sign_in(translator, api_key="k") == Authorization({"Authorization": "Bearer k"})
    assert translator.app_headers == {}


def test_the_apps_host_may_have_a_key_of_its_own() -> None:
    translator = make()
    assert sign_in(translator, api_key="k", app_key="a") == Authorization({"Authorization": "Bearer k"})
    assert translator.app_headers == {"Authorization": "Bearer a"}


# --- messages


def test_a_first_message_makes_its_conversation() -> None:
    translator = make()
    calls = translator.requests(ask(TextPart("Was I\n  charged twice?")))
    assert next(calls) == VendorRequest(
        "POST",
        "/v1/conversations",
        headers=JSON,
        body=b'{"app_id":"8e9f0a1b-2c3d-4e5f-8a7b-9c0d1e2f3a4b","title":"Was I charged twice?"}',
        effect="repeatable",
    )
    assert calls.send(CREATED) == VendorRequest(
        "POST",
        "/v3/conversations/conv-1/messages",
        headers=TO_STREAM,
        body=b'{"content":[{"type":"text","text":"Was I\\n  charged twice?"}]}',
        framing=SseDecoder,
        effect="once",
    )
    assert translator.vendor_ids == {"conversation": "conv-1"}
    with pytest.raises(StopIteration):
        calls.send(VendorResponse(200, CIMultiDict()))


def test_a_model_is_named_in_the_conversation_and_in_each_message() -> None:
    target = DynamiqTarget(model=MODEL)
    translator = make(target)
    calls = translator.requests(ask(TextPart("hi")))
    assert next(calls).body == b'{"model_id":"497f6eca-6276-4993-bfeb-53cbbbba6f08","title":"hi"}'
    assert calls.send(CREATED).body == (
        b'{"content":[{"type":"text","text":"hi"}],"model_id":"497f6eca-6276-4993-bfeb-53cbbbba6f08"}'
    )
    assert translator.model == MODEL


def test_a_further_message_goes_to_its_conversation() -> None:
    turn = ask(TextPart("And now?"), vendor_ids={"conversation": "a/b c"})
    assert [(request.method, request.path) for request in make().requests(turn)] == [
        ("POST", "/v3/conversations/a%2Fb%20c/messages")
    ]


def test_a_title_is_the_first_sixty_characters() -> None:
    body = next(make().requests(ask(TextPart("x" * 59 + " y z")))).body
    assert isinstance(body, bytes)
    assert json.loads(body)["title"] == "x" * 59


@pytest.mark.parametrize("wants", [True, False])
def test_subagents_are_enabled_or_not_as_the_options_say(*, wants: bool) -> None:
    body = sent(bound(TextPart("hi"), options=DynamiqOptions(wants)))
    assert body == {"content": [{"type": "text", "text": "hi"}], "subagents_enabled": wants}


def test_subagents_are_left_to_dynamiq_where_the_options_do_not_say() -> None:
    assert "subagents_enabled" not in sent(bound(TextPart("hi"), options=DynamiqOptions()))


def test_parameters_metadata_and_the_user_are_left_out() -> None:
    turn = bound(TextPart("hi"), parameters=Parameters(temperature=1), metadata={"a": 1}, user_id="ann")
    assert sent(turn) == {"content": [{"type": "text", "text": "hi"}]}


def test_what_was_said_elsewhere_goes_in_front_as_one_block() -> None:
    turn = bound(TextPart("And now?"), missed=[HistoryMessage("user", [TextPart("Hi")])])
    text = "[Earlier in this conversation]\nuser: Hi\n[Now]\nAnd now?"
    assert sent(turn) == {"content": [{"type": "text", "text": text}]}


@pytest.mark.parametrize(
    ("turn", "message", "path"),
    [
        (ask(TextPart("a"), instructions="Be kind"), "dynamiq cannot take instructions", "$.instructions"),
        (ask(TextPart("a"), tools=[Tool("t")]), "dynamiq cannot take the client's tools", "$.tools"),
        (ask(TextPart("a"), tool_choice="none"), "dynamiq cannot take a choice of tools", "$.tool_choice"),
        (
            ask(TextPart("a"), ToolResultPart("c", 1)),
            "dynamiq cannot take results of the client's tools",
            "$.content[1]",
        ),
        (ask(TextPart("a"), regenerates="m"), "dynamiq cannot take a message to be answered anew", "$.regenerate"),
        (ask(FilePart(url="https://x.test")), "dynamiq cannot take files by their address", "$.content[0].url"),
        (ask(ImagePart(file_id="f")), "dynamiq cannot take a file of another vendor's", "$.content[0].file_id"),
        (
            ask(FilePart(file_id="f"), InputResponsePart("r", text="a"), vendor_ids={"run": RUN}),
            "dynamiq cannot take files beside the answer to an input request",
            "$.content[0]",
        ),
    ],
)
def test_what_dynamiq_cannot_take_is_refused_before_anything_is_sent(turn: Turn, message: str, path: str) -> None:
    assert refused(make(), turn) == ("unsupported", message, {"path": path})


@pytest.mark.parametrize("parts", [[], [TextPart("")], [TextPart(" \n")]])
def test_a_message_without_text_or_file_is_refused(parts: list[AskPart]) -> None:
    assert refused(make(), ask(*parts)) == ("bad_request", "the message has no text", {"path": "$.content"})


@pytest.mark.parametrize("conversation", [".", "..", "x" * 1025, "\0"])
def test_a_conversation_that_cannot_stand_in_a_path_is_refused(conversation: str) -> None:
    code, _, _ = refused(make(), ask(TextPart("a"), vendor_ids={"conversation": conversation}))
    assert code == "bad_request"


@pytest.mark.parametrize("vendor_id", ["", ".", "..", "\\u0000", "x" * 1025])
def test_a_new_conversation_whose_id_cannot_stand_in_a_path_is_a_protocol_error(vendor_id: str) -> None:
    calls = make().requests(ask(TextPart("a")))
    next(calls)
    with pytest.raises(GatewayError) as caught:
        calls.send(VendorResponse(200, CIMultiDict(), f'{{"data":{{"id":"{vendor_id}"}}}}'.encode()))
    assert (caught.value.code, caught.value.cause) == ("upstream_protocol", "protocol")


@pytest.mark.parametrize("body", [b"", b"{}", b'{"data":null}', b'{"data":{"id":7}}', b"<html>"])
def test_a_new_conversation_without_an_id_is_malformed(body: bytes) -> None:
    calls = make().requests(ask(TextPart("a")))
    next(calls)
    with pytest.raises(Malformed):
        calls.send(VendorResponse(200, CIMultiDict(), body))


# --- files


def test_a_file_that_dynamiq_has_is_named_by_its_id() -> None:
    turn = bound(TextPart("Read it"), FilePart(file_id="f1", name="a.pdf"), ImagePart(file_id="f2"))
    turn = msgspec.structs.replace(turn, files={"f1": "v1", "f2": "v2"})
    assert sent(turn) == {
        "content": [
            {"type": "text", "text": "Read it"},
            {"type": "file", "file": {"id": "v1", "name": "a.pdf"}},
            {"type": "file", "file": {"id": "v2", "name": "file"}},
        ]
    }


def test_an_inline_file_is_uploaded_to_the_app_before_the_conversation_is_made() -> None:
    translator = make()
    sign_in(translator, api_key="k", app_key="a")
    calls = translator.requests(
        ask(FilePart(data="YWI=", media_type="text/plain", name="a.txt"), ImagePart(data="Yw=="))
    )
    assert next(calls) == VendorRequest(
        "POST",
        "/v1/files",
        "app",
        headers={"Authorization": "Bearer a"},
        body=Form((FormPart("file", b"ab", "a.txt", "text/plain"),)),
        effect="repeatable",
    )
    second = calls.send(VendorResponse(200, CIMultiDict(), b'{"data":{"id":"v1","name":"a.txt","size":2}}'))
    assert second.body == Form((FormPart("file", b"c", "file", "application/octet-stream"),))
    created = calls.send(VendorResponse(200, CIMultiDict(), b'{"data":{"id":"v2"}}'))
    assert (created.path, created.body) == (
        "/v1/conversations",
        b'{"app_id":"8e9f0a1b-2c3d-4e5f-8a7b-9c0d1e2f3a4b"}',
    )
    assert calls.send(CREATED).body == (
        b'{"content":[{"type":"file","file":{"id":"v1","name":"a.txt"}},{"type":"file","file":{"id":"v2","name":"file"}}]}'
    )


@pytest.mark.parametrize(
    ("part", "message", "path"),
    [
        (FilePart(data="@@@"), "the data is not base64", "$.content[0].data"),
        (FilePart(data="é"), "the data is not base64", "$.content[0].data"),
        (FilePart(data=""), "the file is empty", "$.content[0]"),
        (ImagePart(), "the file is empty", "$.content[0]"),
    ],
)
def test_an_inline_file_that_cannot_be_read_is_refused(part: AskPart, message: str, path: str) -> None:
    assert refused(make(), ask(part)) == ("bad_request", message, {"path": path})


# --- answers to input requests


WAITING = {"conversation": "conv-1", "run": RUN, "sequence": "4", "input": "human_feedback"}
APPROVING = {**WAITING, "input": "approval_request"}


def test_an_answer_goes_to_the_waiting_run_whose_stream_goes_on() -> None:
    translator = make()
    sign_in(translator, api_key="k", app_key="a")
    calls = translator.requests(ask(InputResponsePart(REQUEST, text="The second"), vendor_ids=WAITING))
    assert next(calls) == VendorRequest(
        "POST",
        f"/v1/runs/{RUN}/input",
        "app",
        headers={"Authorization": "Bearer a", **JSON},
        body=b'{"type":"human_feedback","data":'
        b'{"request_id":"7a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9","feedback":"The second"}}',
        effect="once",
    )
    assert (translator.resume(), translator.cancel()) == (None, None)
    assert calls.send(OK) == VendorRequest(
        "GET",
        f"/v1/runs/{RUN}/stream",
        "app",
        query={"after_sequence": "4"},
        headers={"Authorization": "Bearer a", "Accept": "text/event-stream"},
        framing=SseDecoder,
    )
    assert translator.vendor_ids == {"conversation": "conv-1", "run": RUN}


@pytest.mark.parametrize("sequence", ["", "0", "soon"])
def test_a_run_of_which_no_sequence_is_known_is_followed_from_its_start(sequence: str) -> None:
    calls = make().requests(ask(InputResponsePart("r", text="a"), vendor_ids={"run": RUN, "sequence": sequence}))
    next(calls)
    assert calls.send(OK).query == {}


@pytest.mark.parametrize(
    ("parts", "ids", "body"),
    [
        (
            [InputResponsePart("r", approved=True, values={"amount": 600}, text="Go on")],
            APPROVING,
            {
                "type": "approval_request",
                "data": {"request_id": "r", "approved": True, "params": {"amount": 600}, "feedback": "Go on"},
            },
        ),
        (
            [InputResponsePart("r", approved=False)],
            APPROVING,
            {"type": "approval_request", "data": {"request_id": "r", "approved": False}},
        ),
        (
            [InputResponsePart("r", approved=False), TextPart("Too dear")],
            {"run": RUN},
            {"type": "approval_request", "data": {"request_id": "r", "approved": False, "feedback": "Too dear"}},
        ),
        (
            [InputResponsePart("r"), TextPart("The second")],
            {"run": RUN},
            {"type": "human_feedback", "data": {"request_id": "r", "feedback": "The second"}},
        ),
        (
            [InputResponsePart("r", approved=True, values={"size": 3})],
            WAITING,
            {"type": "human_feedback", "data": {"request_id": "r", "feedback": 'Approved. {"size":3}'}},
        ),
    ],
)
def test_an_answer_is_spelled_as_the_kind_of_input_that_was_asked_for(
    parts: list[AskPart], ids: dict[str, str], body: Any
) -> None:
    request = next(make().requests(ask(*parts, vendor_ids=ids)))
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == body


@pytest.mark.parametrize(
    ("turn", "message", "path"),
    [
        (
            bound(InputResponsePart("r", text="a")),
            "there is no such input request to answer",
            "$.content",
        ),
        (
            ask(TextPart("a"), InputResponsePart("r"), vendor_ids=APPROVING),
            "an approval is given or refused",
            "$.content[1].approved",
        ),
        (ask(InputResponsePart("r"), vendor_ids=WAITING), "the answer has no text", "$.content[0].text"),
        (
            ask(InputResponsePart("r", text="a"), InputResponsePart("s", text="b"), vendor_ids=WAITING),
            "a run asks for one input at a time",
            "$.content[1]",
        ),
    ],
)
def test_an_answer_that_answers_nothing_is_refused(turn: Turn, message: str, path: str) -> None:
    assert refused(make(), turn) == ("bad_request", message, {"path": path})


@pytest.mark.parametrize(
    ("name", "last", "texts"),
    [
        ("feedback", 3, ["You said:", " The second."]),
        ("approval", 2, ["The refund", ' is approved with {"amount":600}.']),
        ("cut", 5, [", on Monday", "."]),
    ],
)
def test_what_a_run_told_before_is_not_told_again(name: str, last: int, texts: list[str]) -> None:
    translator = make()
    ids = {"run": RUN, "sequence": str(last)}
    calls = translator.requests(ask(InputResponsePart("r", text="a"), vendor_ids=ids))
    next(calls)
    calls.send(OK)
    assert heard(translator, records(SseDecoder(), (RESUMED / f"{name}.sse").read_bytes())) == [
        Notice("vendor_sequence"),
        TextStarted(0),
        *(TextDelta(0, text) for text in texts),
        TextCompleted(0, "".join(texts)),
        MessageCompleted("stop"),
    ]


# --- resume and cancel


def test_a_run_that_was_cut_is_resumed_behind_the_last_event_and_can_be_canceled() -> None:
    translator = make()
    sign_in(translator, api_key="k", app_key="a")
    for record in records(SseDecoder(), (EXAMPLES / "cut.sse").read_bytes()):
        list(translator.feed(record))
    run = "06725d1e-a1eb-54bb-bb94-cce7760bf2cb"
    assert translator.vendor_ids == {"run": run}
    assert translator.resume() == VendorRequest(
        "GET",
        f"/v1/runs/{run}/stream",
        "app",
        query={"after_sequence": "5"},
        headers={"Authorization": "Bearer a", "Accept": "text/event-stream"},
        framing=SseDecoder,
    )
    assert translator.cancel() == VendorRequest(
        "POST", f"/v1/runs/{run}/cancel", "app", headers={"Authorization": "Bearer a"}, effect="repeatable"
    )
    assert heard(translator, records(SseDecoder(), (RESUMED / "cut.sse").read_bytes())) == [
        Notice("vendor_sequence"),
        TextDelta(1, ", on Monday"),
        TextDelta(1, "."),
        TextCompleted(1, "The customer was charged twice, on Monday."),
        MessageCompleted("stop"),
    ]
    assert (translator.resume(), translator.cancel()) == (None, None)


def test_a_run_that_was_canceled_elsewhere_says_so_when_it_is_resumed() -> None:
    translator = make()
    for path in (EXAMPLES / "waiting.sse", RESUMED / "waiting.sse"):
        told = [event for record in records(SseDecoder(), path.read_bytes()) for event in translator.feed(record)]
    assert told == [Notice("vendor_sequence"), TextCompleted(0, "The customer"), MessageCanceled("vendor")]


def test_a_run_that_nobody_named_is_neither_resumed_nor_canceled() -> None:
    translator = make()
    list(translator.feed(*framed(frame("run.started"))))
    assert (translator.resume(), translator.cancel(), translator.vendor_ids) == (None, None, {})


@pytest.mark.parametrize(
    "last",
    [
        frame("run.failed"),
        frame("run.completed", {"status": "failed"}),
        frame("run.completed", error="no"),
        frame("run.completed", {"error": "no"}),
        frame("run.canceled", error="no"),
        frame("run.canceled", {"error": "no"}),
    ],
)
def test_a_run_that_failed_is_neither_resumed_nor_canceled(last: str) -> None:
    translator = make()
    failure(translator, frame("run.started", {"id": RUN}), last)
    assert (translator.resume(), translator.cancel()) == (None, None)


def test_a_run_without_sequences_is_resumed_from_its_start() -> None:
    translator = make()
    list(translator.feed(*framed(frame("run.started", {"id": RUN}))))
    resumed = translator.resume()
    assert resumed is not None
    assert resumed.query == {}


@pytest.mark.parametrize("run", [".", "..", "x" * 1025])
def test_a_run_whose_id_cannot_stand_in_a_path_is_a_protocol_error(run: str) -> None:
    error = failure(make(), frame("run.started", {"id": run}))
    assert (error.code, error.cause) == ("upstream_protocol", "protocol")


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("feedback", {"input": "human_feedback", "sequence": "3"}),
        ("approval", {"input": "approval_request", "sequence": "2"}),
    ],
)
def test_a_run_that_waits_is_left_alone_and_can_be_found_again(name: str, ids: dict[str, str]) -> None:
    translator = make()
    heard(translator, records(SseDecoder(), (EXAMPLES / f"{name}.sse").read_bytes()))
    assert translator.vendor_ids == {"run": "06725d1e-a1eb-54bb-bb94-cce7760bf2cb", **ids}
    assert (translator.resume(), translator.cancel()) == (None, None)


# --- text and reasoning


DELTA = frame("agent.response.delta", {"delta": "a"})
COMPLETED = frame("run.completed", {"status": "completed"})
ANSWER = [TextStarted(0), TextDelta(0, "a"), TextCompleted(0, "a"), MessageCompleted("stop")]


@pytest.mark.parametrize("kind", ["agent.response.delta", "workflow.response.delta", "response.delta"])
def test_a_text_delta_is_known_by_the_end_of_its_name(kind: str) -> None:
    assert hear(frame(kind, {"delta": "a"}), COMPLETED) == ANSWER


def test_what_a_subagent_responds_is_not_the_answer() -> None:
    told = frame("subagent.response.delta", {"delta": "b"})
    assert hear(told, DELTA, COMPLETED) == [VendorEvent("subagent.response.delta", json.loads(told)), *ANSWER]


def test_the_type_in_the_data_goes_before_the_name_of_the_event() -> None:
    fed = [Record(DELTA.encode(), b"run.failed"), Record(b'{"data":{}}', b"run.completed")]
    assert heard(make(), fed) == ANSWER


def test_a_type_that_stands_in_the_event_line_alone_may_be_unknown_or_a_sibling() -> None:
    fed = [Record(b'{"n":1}', b"sparkle"), Record(b'{"data":{"delta":"a"}}', b"x.response.delta")]
    assert heard(make(), [*fed, *framed(COMPLETED)]) == [VendorEvent("sparkle", {"n": 1, "type": "sparkle"}), *ANSWER]


def test_an_empty_delta_opens_nothing() -> None:
    empty = (frame("agent.response.delta", {"delta": ""}), frame("agent.reasoning.delta", {"delta": ""}))
    assert hear(*empty, DELTA, empty[1], COMPLETED) == ANSWER


@pytest.mark.parametrize("field", ["content", "output", "answer"])
def test_a_response_that_was_not_streamed_may_stand_in_its_completion(field: str) -> None:
    assert hear(frame("agent.response.completed", {field: "a"}), COMPLETED) == ANSWER


@pytest.mark.parametrize("data", [None, {}, {"content": "abc"}])
def test_a_response_that_was_streamed_is_only_completed(data: Any) -> None:
    assert hear(DELTA, frame("agent.response.completed", data), COMPLETED) == ANSWER


def test_a_response_completed_without_any_text_is_nothing() -> None:
    assert hear(frame("agent.response.completed"), DELTA, COMPLETED) == ANSWER


def test_text_that_turns_to_reasoning_and_back_is_two_blocks() -> None:
    thought = frame("agent.reasoning.delta", {"delta": "Hm.", "iteration": 1})
    assert hear(DELTA, thought, DELTA, COMPLETED) == [
        *ANSWER[:-1],
        ReasoningStarted(1),
        ReasoningDelta(1, "Hm."),
        ReasoningCompleted(1, "Hm."),
        TextStarted(2),
        TextDelta(2, "a"),
        TextCompleted(2, "a"),
        MessageCompleted("stop"),
    ]


def test_a_delta_that_does_not_say_its_iteration_belongs_to_the_last_one() -> None:
    thoughts = (
        frame("agent.reasoning.delta", {"delta": "a", "iteration": 2}),
        frame("x.reasoning.delta", {"delta": "b"}),
    )
    assert hear(*thoughts, frame("agent.reasoning.completed"), frame("agent.reasoning.completed")) == [
        ReasoningStarted(0),
        ReasoningDelta(0, "a"),
        ReasoningDelta(0, "b"),
        ReasoningCompleted(0, "ab"),
        hear()[0],
    ]


def test_the_engines_whole_thought_is_told_once() -> None:
    whole = {"thought": "Look it up.", "loop_num": 1}
    told = hear(
        frame("agent.reasoning.delta", {"thought": "Look", "loop_num": 1}),
        frame("agent.reasoning.completed", whole),
        frame("agent.reasoning.completed", whole),
        DELTA,
        COMPLETED,
    )
    assert told == [
        ReasoningStarted(0),
        ReasoningDelta(0, "Look"),
        ReasoningDelta(0, " it up."),
        ReasoningCompleted(0, "Look it up."),
        TextStarted(1),
        TextDelta(1, "a"),
        TextCompleted(1, "a"),
        MessageCompleted("stop"),
    ]


def test_reasoning_without_a_text_is_malformed() -> None:
    with pytest.raises(Malformed):
        make().feed(*framed(frame("agent.reasoning.delta", {"iteration": 1})))


# --- tool calls


def done(**data: Any) -> str:
    return frame("agent.tool_call.completed", data)


def called(call: str, name: str, arguments: str, block: int = 0) -> list[Event]:
    return [
        ToolCallStarted(block, call, name, "vendor"),
        *([ToolCallDelta(block, call, arguments)] if arguments else []),
        ToolCallCompleted(block, call, name, json.loads(arguments or "{}"), "complete"),
    ]


@pytest.mark.parametrize(
    ("result", "output"),
    [
        ('{"a":1}', {"a": 1}),
        (' [1,"b"]', [1, "b"]),
        ("7", "7"),
        ('"a"', '"a"'),
        ("{broken", "{broken"),
        ("[" * 100_000, "[" * 100_000),
        ("", ""),
        (None, None),
        ({"a": 1}, {"a": 1}),
    ],
)
def test_a_result_that_spells_an_object_or_an_array_becomes_it(result: Any, output: Any) -> None:
    told = hear(done(id="c", tool={"name": "t"}, result=result))
    assert told[:-1] == [*called("c", "t", ""), ToolResult("c", output, False, "t")]


@pytest.mark.parametrize(
    "data",
    [
        {"id": "c", "tool": {"name": "t"}, "input": {"a": 1}, "result": "r"},
        {"id": "c", "tool": "t", "input": '{"a":1}', "result": "r"},
        {"tool_run_id": "c", "name": "t", "action_input": {"a": 1}, "output": "r"},
        {"tool_run_id": "c", "action": "t", "input": {"a": 1}, "result": "r", "output": "s", "status": "success"},
    ],
)
def test_a_call_is_read_in_each_of_its_spellings(data: dict[str, Any]) -> None:
    assert hear(done(**data))[:-1] == [*called("c", "t", '{"a":1}'), ToolResult("c", "r", False, "t")]


def test_calls_without_an_id_or_a_name_are_kept_apart() -> None:
    start = frame("agent.tool_call.started", {"input": {}})
    assert hear(start, done(result="r"), done(result="s"))[:-1] == [
        *called("call_0", "tool", ""),
        ToolResult("call_0", "r", False),
        *called("call_1", "tool", "", 1),
        ToolResult("call_1", "s", False),
    ]


def test_a_call_that_is_done_twice_is_told_once() -> None:
    again = done(id="c", tool={"name": "t"}, result="s")
    assert hear(done(id="c", tool={"name": "t"}, result="r"), again)[:-1] == [
        *called("c", "t", ""),
        ToolResult("c", "r", False, "t"),
        Notice("repaired_block"),
    ]


def test_a_call_completed_without_a_result_has_none() -> None:
    assert hear(done(id="c", tool={"name": "t"}))[:-1] == called("c", "t", "")


def test_text_before_a_call_is_completed_first() -> None:
    assert hear(DELTA, done(id="c", tool={"name": "t"}, result="r"))[:-1] == [
        *ANSWER[:-1],
        *called("c", "t", "", 1),
        ToolResult("c", "r", False, "t"),
    ]


def test_deltas_that_spell_something_else_than_the_input_make_the_call_unreadable() -> None:
    delta = frame("agent.tool_call.delta", {"id": "c", "tool": {"name": "t"}, "delta": '{"a":'})
    assert hear(delta, done(id="c", input={"a": 1}, result="r"))[:-1] == [
        ToolCallStarted(0, "c", "t", "vendor"),
        ToolCallDelta(0, "c", '{"a":'),
        ToolCallCompleted(0, "c", "t", {}, "unreadable", '{"a":'),
        Notice("arguments_differ"),
        ToolResult("c", "r", False),
    ]


def test_a_delta_in_the_engines_spelling_grows_the_call() -> None:
    deltas = [
        frame("x.tool_call.delta", {"tool_run_id": "c", "name": "t", "action_input": text}) for text in ("{", "}")
    ]
    assert hear(*deltas, done(tool_run_id="c", name="t", input="{}"))[:-1] == [
        ToolCallStarted(0, "c", "t", "vendor"),
        ToolCallDelta(0, "c", "{"),
        ToolCallDelta(0, "c", "}"),
        ToolCallCompleted(0, "c", "t", {}, "complete"),
    ]


def test_a_delta_that_is_no_text_or_comes_too_late_is_left_out() -> None:
    object_delta = frame("agent.tool_call.delta", {"id": "c", "name": "t", "action_input": {"a": 1}})
    late = frame("agent.tool_call.delta", {"id": "c", "delta": "}"})
    assert hear(object_delta, done(id="c", name="t", result="r"), late)[:-1] == [
        ToolCallStarted(0, "c", "t", "vendor"),
        Notice("repaired_block"),
        ToolCallCompleted(0, "c", "t", {}, "complete"),
        ToolResult("c", "r", False, "t"),
        Notice("repaired_block"),
    ]


def test_an_input_that_is_no_object_makes_the_call_unreadable() -> None:
    assert hear(done(id="c", name="t", input=[1], result="r"))[1:3] == [
        ToolCallDelta(0, "c", "[1]"),
        ToolCallCompleted(0, "c", "t", {}, "unreadable", "[1]"),
    ]


@pytest.mark.parametrize(
    ("text", "output"),
    [
        (frame("agent.tool_call.failed", {"id": "c", "name": "t", "error": "Oh"}), "Oh"),
        (frame("agent.tool_call.failed", {"id": "c", "name": "t", "error": {"message": "Oh"}}), {"message": "Oh"}),
        (frame("agent.tool_call.failed", {"id": "c", "name": "t"}, error="Oh"), "Oh"),
        (frame("agent.tool_call.failed", {"id": "c", "name": "t", "result": "Oh"}), "Oh"),
        (frame("agent.tool_call.failed", {"id": "c", "name": "t"}), None),
        (frame("subagent.tool_call.failed", {"id": "c", "name": "t", "output": "Oh"}), "Oh"),
        (done(id="c", name="t", status="ERROR", result="Oh"), "Oh"),
        (done(id="c", name="t", error="Oh", result="partly"), "Oh"),
    ],
)
def test_a_tool_that_fails_does_not_fail_the_message(text: str, output: Any) -> None:
    assert hear(text, DELTA, COMPLETED)[:-4] == [*called("c", "t", ""), ToolResult("c", output, True, "t")]


def test_files_of_a_tool_are_told_by_their_names() -> None:
    files = [{"name": "a.csv", "mime_type": "text/csv", "content": "YQ=="}, {}]
    assert hear(done(id="c", name="t", files=files))[:-1] == [
        *called("c", "t", ""),
        File(name="a.csv", media_type="text/csv"),
        File(),
    ]


# --- requests to a person


ASKED = MessageCompleted("input_required")


@pytest.mark.parametrize(
    ("text", "event"),
    [
        (
            frame("agent.human_feedback.requested", {"id": "r", "prompt": "Which?"}),
            InputRequested("r", "question", "Which?"),
        ),
        (frame("agent.human_feedback.requested", {"request_id": "r"}), InputRequested("r", "question")),
        (
            frame("agent.human_feedback.requested", {"prompt": "Which?"}),
            InputRequested("input_0", "question", "Which?"),
        ),
        (frame("agent.form.requested", {"id": "r", "prompt": "Fill in"}), InputRequested("r", "question", "Fill in")),
        (frame("subagent.human_feedback.requested", {"id": "r"}), InputRequested("r", "question")),
        (frame("agent.x.requested", {"id": "r", "type": "approval_request"}), InputRequested("r", "approval")),
        (
            frame("agent.approval_request.created", {"id": "r", "params": {"a": 1}}),
            InputRequested("r", "approval", fields={"params": {"a": 1}}),
        ),
    ],
)
def test_a_request_ends_the_message_and_the_run_waits(text: str, event: InputRequested) -> None:
    assert hear(text, DELTA) == [event, ASKED, Notice("after_terminal")]


def test_a_word_that_wants_no_reply_is_a_text_of_its_own() -> None:
    info = [
        frame("agent.human_feedback.requested", {"prompt": text, "action": "info"}) for text in ("One.", "", "Two.")
    ]
    output = frame("run.completed", {"output": "Done."})
    texts = ["One.", "Two.", "Done."]
    expected = [
        event
        for block, text in enumerate(texts)
        for event in (TextStarted(block), TextDelta(block, text), TextCompleted(block, text))
    ]
    assert hear(*info, output) == [*expected, MessageCompleted("stop")]


# --- sequences


def test_an_event_whose_sequence_was_told_is_dropped_whatever_it_says() -> None:
    told = hear(
        frame("agent.response.delta", {"delta": "a"}, sequence=4),
        frame("agent.response.delta", {"delta": "b"}, sequence=4),
        frame("sparkle", sequence=3),
        frame("sparkle", sequence="3"),
        frame("run.completed", {}, sequence=12),
    )
    assert told == [
        *ANSWER[:2],
        Notice("vendor_sequence"),
        Notice("vendor_sequence"),
        VendorEvent("sparkle", {"type": "sparkle", "sequence": "3"}),
        *ANSWER[2:],
    ]


def test_sequences_may_begin_at_zero_or_be_missing() -> None:
    assert hear(frame("agent.response.delta", {"delta": "a"}, sequence=0), COMPLETED) == ANSWER


# --- endings


@pytest.mark.parametrize(
    ("output", "text"),
    [
        ("Yes.", "Yes."),
        ({"content": "Yes."}, "Yes."),
        ({"output": "Yes."}, "Yes."),
        ({"answer": "Yes."}, "Yes."),
        ({"content": "", "answer": "Yes."}, "Yes."),
        ({"content": 7}, '{"content":7}'),
        ([1], "[1]"),
    ],
)
def test_the_output_of_a_run_is_its_text_where_none_was_streamed(output: Any, text: str) -> None:
    assert hear(frame("run.completed", {"output": output})) == [
        TextStarted(0),
        TextDelta(0, text),
        TextCompleted(0, text),
        MessageCompleted("stop"),
    ]


@pytest.mark.parametrize("data", [None, {}, {"output": None}, {"output": ""}, {"output": {}}])
def test_a_run_that_completes_with_nothing_says_nothing(data: Any) -> None:
    assert hear(frame("run.completed", data)) == [MessageCompleted("stop")]


def test_a_completed_run_may_say_another_ending() -> None:
    assert hear(DELTA, frame("run.completed", {"status": "truncated"}))[-1] == MessageCompleted("other", "truncated")
    assert hear(DELTA, frame("run.completed", {"status": "cancelled"}))[-1] == MessageCanceled("vendor")
    assert failure(make(), DELTA, frame("run.completed", {"status": "failed"})).code == "upstream_unavailable"


@pytest.mark.parametrize("kind", ["run.canceled", "run.cancelled"])
def test_a_canceled_run_is_canceled_in_both_spellings(kind: str) -> None:
    assert hear(DELTA, frame(kind)) == [*ANSWER[:-1], MessageCanceled("vendor")]


def test_nothing_is_heard_after_the_terminal() -> None:
    assert hear(COMPLETED, DELTA, "oops") == [
        MessageCompleted("stop"),
        Notice("after_terminal"),
        Notice("after_terminal"),
    ]


def test_a_stream_that_ends_without_a_terminal_is_truncated() -> None:
    error = failure(make(), DELTA)
    assert (error.code, error.cause) == ("upstream_protocol", "truncated")


def test_an_event_without_data_is_nothing() -> None:
    fed = SseDecoder().feed(b": heartbeat\n\nevent: run.failed\ndata:\n\n")
    assert heard(make(), [*fed, *framed(DELTA, COMPLETED)]) == ANSWER


# --- failures in the stream


@pytest.mark.parametrize(
    ("text", "code", "vendor_code", "vendor_message"),
    [
        (frame("run.failed"), "upstream_unavailable", None, None),
        (frame("run.failed", {"error": "Oh"}), "upstream_unavailable", None, "Oh"),
        (frame("run.failed", {}, error="Oh"), "upstream_unavailable", None, "Oh"),
        (
            frame("run.failed", {"error": {"code": "not_found", "message": "Oh"}}),
            "upstream_unavailable",
            "not_found",
            "Oh",
        ),
        (
            frame("run.failed", {"error": {"code": 7, "message": "Oh", "details": {"a": 1}}}),
            "upstream_unavailable",
            None,
            'Oh {"a":1}',
        ),
        (frame("run.completed", {"error": "Oh"}), "upstream_protocol", None, "Oh"),
        (frame("run.started", {}, error={"code": "c"}), "upstream_protocol", "c", None),
        (frame("agent.response.delta", {"delta": "a", "error": "Oh"}), "upstream_protocol", None, "Oh"),
        (frame("agent.response.delta", {"delta": 7, "error": "Oh"}), "upstream_protocol", None, "Oh"),
        (frame("sparkle", error="Oh"), "upstream_protocol", None, "Oh"),
        (frame("sparkle", {"error": {"message": "Oh"}}), "upstream_protocol", None, "Oh"),
        ('{"error":{"code":"bad_request","message":"Oh"}}', "upstream_protocol", "bad_request", "Oh"),
        ('{"type":7,"data":{"error":"Oh"}}', "upstream_protocol", None, "Oh"),
        ('{"error":[1]}', "upstream_protocol", None, None),
    ],
)
def test_any_frame_that_holds_an_error_is_a_failure(
    text: str, code: str, vendor_code: str | None, vendor_message: str | None
) -> None:
    error = failure(make(), DELTA, text, COMPLETED)
    assert logged(error) == (code, "vendor_error", vendor_code, vendor_message)
    assert "Oh" not in error.message


@pytest.mark.parametrize(
    "data",
    [
        b"oops",
        b"[]",
        b"null",
        b"{}",
        b'{"type":7}',
        b'{"type":"agent.response.delta"}',
        b'{"type":"x.response.delta","data":{}}',
        b'{"type":"run.started","sequence":-1}',
        b'{"type":"run.started","sequence":true}',
        b"{" * 99999,
    ],
)
def test_a_frame_that_cannot_be_read_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        make().feed(Record(data))


# --- refusals


def test_the_details_of_a_refusal_go_to_the_log() -> None:
    body = b'{"error":{"code":"bad_request","message":"Bad Request","details":{"input":"cannot be blank"}}}'
    assert refuse(make(), 400, body).vendor_message == 'Bad Request {"input":"cannot be blank"}'
    assert refuse(make(), 400, b'{"error":{"details":{"a":1}}}').vendor_message == '{"a":1}'
    assert refuse(make(), 400, b'{"error":"Bad Request"}').vendor_message == "Bad Request"


# --- the descriptor


@pytest.mark.parametrize(
    "settings",
    [{}, {"app": APP, "model": MODEL}, {"app": "support"}, {"app": f"{APP}\n"}, {"app": APP, "stream": True}],
)
def test_a_target_names_an_app_or_a_model_and_nothing_else(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(settings, DYNAMIQ.target)

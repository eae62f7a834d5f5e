"""Sema4.ai, upstream: each recorded run becomes the events beside it; requests, refusals and oddities one by one."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import (
    Data,
    File,
    InputRequested,
    MessageCompleted,
    Notice,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    Source,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.message import FilePart, ImagePart, InputResponsePart, TextPart, ToolResultPart
from gateway.canonical.turn import AskPart, HistoryMessage, NamedTool, Parameters, Tool, Turn
from gateway.framing.lines import JsonDecoder
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
from gateway.protocols.sema4.translator import MAX_MESSAGES, Sema4Target, Sema4Translator
from tests.support.translating import Told, ask, heard, lawful, records, refuse, sign_in

EXAMPLES = Path(__file__).parent / "examples"
BOUND = {"conversation": "c1"}
POST_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
STREAM_HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream"}
DONE = MessageCompleted("stop")


def make(**settings: Any) -> Sema4Translator:
    return Sema4Translator(Sema4Target("a1", **settings), Blocks(Numbering()))


def for_document() -> Sema4Translator:
    """A translator that asked for a document."""
    translator = make(upstream_stream=False)
    list(translator.requests(ask(TextPart("hi"), vendor_ids=BOUND, stream=False)))
    translator.vendor_ids.clear()
    return translator


# Frames.


def event(event_type: str, **fields: Any) -> Record:
    return Record(msgspec.json.encode({"timestamp": "t", "event_type": event_type, **fields}), b"agent_event")


def begin(message_id: str = "m1") -> Record:
    return event("message_begin", sequence_number=0, message_id=message_id, thread_id="c1", agent_id="a1", data={})


def patch(op: str, path: str, value: Any = None, message_id: str = "m1", **fields: Any) -> Record:
    return event("message_content", message_id=message_id, delta={"op": op, "path": path, "value": value}, **fields)


def end(data: Any, message_id: str = "m1") -> Record:
    return event("message_end", message_id=message_id, thread_id="c1", agent_id="a1", data=data)


def finished() -> Record:
    return event("agent_finished", run_id="r1", thread_id="c1", agent_id="a1")


def contents(*nodes: dict[str, Any]) -> Record:
    return patch(
        "add", "/content", [{"content_id": f"x{n}", "complete": False, **node} for n, node in enumerate(nodes)]
    )


def text(value: str, **fields: Any) -> dict[str, Any]:
    return {"kind": "text", "text": value, "citations": [], **fields}


def tool(arguments: str | None = "{}", **fields: Any) -> dict[str, Any]:
    return {
        "kind": "tool_call",
        "name": "get_invoice",
        "tool_call_id": "tc1",
        "arguments_raw": arguments,
        "sub_type": "action-external",
        "status": "streaming",
        "result": None,
        "error": None,
        **fields,
    }


def read(*frames: Record, translator: Sema4Translator | None = None) -> Told:
    """What a run of these frames tells, after it was found lawful."""
    told = heard(translator or make(), frames)
    lawful(told)
    return told


def failure(*frames: Record, translator: Sema4Translator | None = None) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        feed(translator or make(), frames)
    return caught.value


def feed(translator: Sema4Translator, frames: Iterable[Record]) -> None:
    for record in frames:
        list(translator.feed(record))


def malformed(*frames: Record) -> None:
    with pytest.raises(Malformed):
        feed(make(), frames)


def prose(block: int, *deltas: str, replaces: int | None = None) -> Told:
    return [
        TextStarted(block, replaces),
        *(TextDelta(block, delta) for delta in deltas),
        TextCompleted(block, "".join(deltas)),
    ]


def called(block: int, call: str, *fragments: str, arguments: dict[str, Any], name: str = "get_invoice") -> Told:
    return [
        ToolCallStarted(block, call, name, "vendor"),
        *(ToolCallDelta(block, call, fragment) for fragment in fragments),
        ToolCallCompleted(block, call, name, arguments, "complete"),
    ]


# --- examples


def test_a_run_says_its_ids_and_its_model() -> None:
    translator = make()
    heard(translator, records(SseDecoder(), (EXAMPLES / "two-messages.sse").read_bytes()))
    assert translator.model == "gpt-5-mini"
    assert translator.vendor_ids == {
        "conversation": "529a03ad-5e61-58a6-bb91-7b491b10c201",
        "run": "a3778844-fbe9-567c-b777-f8c2c437a92e",
        "message": "a0dce335-cee7-56a2-a7cd-210e58191f41",
    }


def test_a_document_says_its_message_and_its_model() -> None:
    translator = for_document()
    heard(translator, records(JsonDecoder(), (EXAMPLES / "sync-two-messages.json").read_bytes()))
    assert (translator.model, translator.vendor_ids) == (
        "gpt-5-mini",
        {"message": "a0dce335-cee7-56a2-a7cd-210e58191f41"},
    )


# --- requests


def test_a_first_message_creates_its_conversation_and_streams_into_it() -> None:
    translator = make()
    calls = translator.requests(ask(TextPart("Where is\n order 42?")))
    assert next(calls) == VendorRequest(
        "POST",
        "/agents/a1/conversations",
        headers=POST_HEADERS,
        body=b'{"name":"Where is order 42?"}',
        effect="repeatable",
    )
    created = VendorResponse(200, CIMultiDict(), b'{"id":"c/1","name":"Where is order 42?","agent_id":"a1"}')
    assert calls.send(created) == VendorRequest(
        "POST",
        "/agents/a1/conversations/c%2F1/stream",
        headers=STREAM_HEADERS,
        body=b'{"content":"Where is\\n order 42?"}',
        framing=SseDecoder,
        effect="once",
    )
    assert translator.vendor_ids == {"conversation": "c/1"}
    with pytest.raises(StopIteration):
        calls.send(VendorResponse(200, CIMultiDict()))


def test_a_further_message_goes_into_its_conversation() -> None:
    (request,) = make().requests(ask(TextPart("And 43?"), vendor_ids=BOUND))
    assert (request.path, request.body) == ("/agents/a1/conversations/c1/stream", b'{"content":"And 43?"}')


def test_a_document_is_asked_for_where_neither_client_nor_target_streams() -> None:
    turn = ask(TextPart("hi"), vendor_ids=BOUND, stream=False)
    assert list(make(upstream_stream=False).requests(turn)) == [
        VendorRequest(
            "POST",
            "/agents/a1/conversations/c1/messages",
            headers=POST_HEADERS,
            body=b'{"content":"hi"}',
            framing=JsonDecoder,
            effect="once",
        )
    ]


@pytest.mark.parametrize(("client", "target"), [(True, False), (False, True)])
def test_a_stream_is_asked_for_where_the_client_or_the_target_streams(*, client: bool, target: bool) -> None:
    turn = ask(TextPart("hi"), vendor_ids=BOUND, stream=client)
    (request,) = make(upstream_stream=target).requests(turn)
    assert request.framing is SseDecoder


@pytest.mark.parametrize(
    "answer", [b'{"id":""}', b'{"id":".."}', b'{"id":"."}', b"{}", b"[]", b"", b'{"id":"a\\u0000"}']
)
def test_a_conversation_without_a_usable_id_is_malformed(answer: bytes) -> None:
    calls = make().requests(ask(TextPart("hi")))
    next(calls)
    with pytest.raises(Malformed):
        calls.send(VendorResponse(200, CIMultiDict(), answer))


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("x" * 61, "x" * 60),
        ("x" * 59 + " y", "x" * 59),
        (" a\t\nb\u2028c ", "a b c"),
        ("\u200b", "\u200b"),
    ],
)
def test_a_conversation_is_named_after_what_was_said_first(said: str, name: str) -> None:
    request = next(make().requests(ask(TextPart(said))))
    assert request.body == msgspec.json.encode({"name": name})


@pytest.mark.parametrize("agent", ["", ".", "..", "x" * 129])
def test_an_agent_that_cannot_stand_in_a_path_is_refused(agent: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"agent": agent}, Sema4Target)


@pytest.mark.parametrize("fields", [{"agent": "a", "model": "x"}, {"agent": "a", "authorization": "basic"}, {}])
def test_a_target_that_nobody_knows_is_refused(fields: dict[str, str]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(fields, Sema4Target)


def test_the_agent_is_percent_encoded() -> None:
    translator = Sema4Translator(Sema4Target("a/b c"), Blocks(Numbering()))
    assert next(translator.requests(ask(TextPart("hi")))).path == "/agents/a%2Fb%20c/conversations"


def test_parameters_metadata_and_the_user_are_left_out() -> None:
    fields: dict[str, Any] = {"parameters": Parameters(temperature=1), "metadata": {"a": 1}, "user_id": "ann"}
    (request,) = make().requests(ask(TextPart("hi"), vendor_ids=BOUND, tool_choice="auto", **fields))
    assert request.body == b'{"content":"hi"}'


@pytest.mark.parametrize(
    ("turn", "message", "path"),
    [
        (ask(TextPart("a"), instructions="Be kind"), "sema4 cannot take instructions", "$.instructions"),
        (ask(TextPart("a"), tools=[Tool("t")]), "sema4 cannot take the client's tools", "$.tools"),
        (ask(TextPart("a"), tool_choice=NamedTool("t")), "sema4 cannot take a choice of tools", "$.tool_choice"),
        (ask(ToolResultPart("c", 1)), "sema4 cannot take results of the client's tools", "$.content[0]"),
        (ask(TextPart("a"), regenerates="m1"), "sema4 cannot take a turn to be answered anew", "$.regenerate"),
        (
            ask(TextPart("a"), ImagePart(url="https://x.test/a.png")),
            "sema4 cannot take files by their URL",
            "$.content[1]",
        ),
        (ask(FilePart(url="https://x.test/a.pdf")), "sema4 cannot take files by their URL", "$.content[0]"),
        (
            ask(FilePart(file_id="file_1"), files={"file_2": "b.pdf"}),
            "sema4 cannot take a file that is not in this conversation",
            "$.content[0]",
        ),
    ],
)
def test_what_sema4_cannot_take_is_refused_before_anything_is_sent(turn: Turn, message: str, path: str) -> None:
    with pytest.raises(GatewayError) as caught:
        next(make().requests(turn))
    assert (caught.value.code, caught.value.message, caught.value.details) == ("unsupported", message, {"path": path})


@pytest.mark.parametrize("parts", [[], [TextPart("")], [TextPart(" \n")], [InputResponsePart("input_0")]])
def test_a_message_without_text_is_refused(parts: list[AskPart]) -> None:
    missed = [HistoryMessage("user", [TextPart("Earlier")])]
    with pytest.raises(GatewayError) as caught:
        next(make().requests(ask(*parts, missed=missed)))
    assert (caught.value.code, caught.value.details) == ("bad_request", {"path": "$.content"})


def test_what_was_said_elsewhere_goes_in_front_and_what_was_shown_behind() -> None:
    missed = [HistoryMessage("user", [TextPart("Hi")]), HistoryMessage("assistant", [TextPart("Hello!")])]
    (request,) = make().requests(ask(TextPart("And now?"), missed=missed, partial="Well", vendor_ids=BOUND))
    assert isinstance(request.body, bytes)
    assert json.loads(request.body) == {
        "content": "[Earlier in this conversation]\nuser: Hi\nassistant: Hello!\n[Now]\nAnd now?\n"
        "[Your answer so far; go on where it stops]\nWell"
    }


def test_an_answer_to_an_input_request_is_the_next_message() -> None:
    (request,) = make().requests(ask(InputResponsePart("input_0", text="2025"), vendor_ids=BOUND))
    assert request.body == b'{"content":"2025"}'


def test_files_are_uploaded_first_and_named_in_the_text() -> None:
    parts: list[AskPart] = [
        TextPart("Compare"),
        FilePart(data="YQ==", name="a.csv", media_type="text/csv"),
        ImagePart(data="Yg=="),
        FilePart(file_id="file_1"),
        ImagePart(file_id="file_2", name="chart"),
    ]
    turn = ask(*parts, vendor_ids=BOUND, files={"file_1": "old.pdf", "file_2": "c.png"})
    calls = make().requests(turn)
    assert next(calls) == VendorRequest(
        "POST",
        "/agents/a1/conversations/c1/files",
        headers={"Accept": "application/json"},
        body=Form(
            (
                FormPart("files", b"a", "a.csv", "text/csv"),
                FormPart("files", b"b", "file", "application/octet-stream"),
            )
        ),
        effect="once",
    )
    sent = calls.send(VendorResponse(200, CIMultiDict(), b"[]"))
    assert isinstance(sent.body, bytes)
    assert json.loads(sent.body) == {
        "content": "Compare\n\n(file a.csv)\n\n(file file)\n\n(file old.pdf)\n\n(file c.png)"
    }


def test_an_upload_that_is_not_answered_in_json_is_malformed() -> None:
    calls = make().requests(ask(FilePart(data="YQ=="), vendor_ids=BOUND))
    next(calls)
    with pytest.raises(Malformed):
        calls.send(VendorResponse(200, CIMultiDict(), b"<html>"))


@pytest.mark.parametrize("data", ["%", "YQ", "YQ==\n", "\u00e9"])
def test_a_file_that_is_not_base64_is_refused_before_anything_is_sent(data: str) -> None:
    with pytest.raises(GatewayError) as caught:
        next(make().requests(ask(TextPart("hi"), FilePart(data=data))))
    assert (caught.value.code, caught.value.details) == ("bad_request", {"path": "$.content[1]"})


@pytest.mark.parametrize("name", ["../a", "a\\b", 'a"b', "a\r\nb", "..", " ", "a\0", "\ud800", "x" * 256])
def test_a_file_whose_name_is_none_is_refused_before_anything_is_sent(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        next(make().requests(ask(FilePart(data="YQ==", name=name))))
    assert (caught.value.code, caught.value.details) == ("bad_request", {"path": "$.content[0]"})


# --- sign-in


@pytest.mark.parametrize(("scheme", "header"), [("bearer", "Bearer s3cret"), ("snowflake", 'Snowflake Token="s3cret"')])
def test_the_key_goes_into_the_header_that_the_host_wants(scheme: str, header: str) -> None:
    assert sign_in(make(authorization=scheme), api_key="s3cret") == Authorization({"Authorization": header})


# --- texts


def test_the_first_characters_come_with_their_object() -> None:
    told = read(begin(), contents(text("He")), patch("concat_string", "/content/0/text", "llo!"), finished())
    assert told == [*prose(0, "He", "llo!"), DONE]


def test_thoughts_and_texts_may_take_turns() -> None:
    told = read(
        begin(),
        contents({"kind": "thought", "thought": "a"}, text("b")),
        patch("concat_string", "/content/0/thought", "A"),
        patch("concat_string", "/content/1/text", "B"),
        patch("concat_string", "/content/0/thought", "1"),
        patch("concat_string", "/content/1/text", "2"),
        finished(),
    )
    assert told == [
        ReasoningStarted(0),
        ReasoningDelta(0, "a"),
        TextStarted(1),
        TextDelta(1, "b"),
        ReasoningDelta(0, "A"),
        TextDelta(1, "B"),
        ReasoningDelta(0, "1"),
        TextDelta(1, "2"),
        ReasoningCompleted(0, "aA1"),
        TextCompleted(1, "bB2"),
        DONE,
    ]


def test_a_formatted_text_is_a_text() -> None:
    told = read(begin(), contents({"kind": "formatted-text", "text": "Hi"}), finished())
    assert told == [*prose(0, "Hi"), DONE]


def test_a_text_that_is_replaced_by_a_longer_one_grows() -> None:
    told = read(begin(), contents(text("He")), patch("replace", "/content/0/text", "Hello!"), finished())
    assert told == [*prose(0, "He", "llo!"), DONE]


def test_a_text_that_is_replaced_by_another_is_corrected() -> None:
    told = read(begin(), contents(text("Helo")), patch("replace", "/content/0/text", "Hello"), finished())
    assert told == [*prose(0, "Helo"), *prose(1, "Hello", replaces=0), Notice("text_corrected"), DONE]


def test_a_corrected_text_that_grows_is_told_when_the_run_is_over() -> None:
    grown = patch("concat_string", "/content/0/text", " you")
    told = read(begin(), contents(text("Helo")), patch("replace", "/content/0/text", "Hello"), grown, grown, finished())
    assert told == [
        *prose(0, "Helo"),
        *prose(1, "Hello", replaces=0),
        Notice("text_corrected"),
        Notice("repaired_block"),
        Notice("repaired_block"),
        *prose(2, "Hello you you", replaces=1),
        Notice("text_corrected"),
        DONE,
    ]


def test_a_content_object_that_is_replaced_as_a_whole_grows_too() -> None:
    whole = {"content_id": "x0", "complete": True, **text("Hello!")}
    told = read(begin(), contents(text("He")), patch("replace", "/content/0", whole), finished())
    assert told == [*prose(0, "He", "llo!"), DONE]


def test_a_content_object_that_is_moved_is_known_again() -> None:
    move = event("message_content", message_id="m1", delta={"op": "move", "path": "/content/1", "from_": "/content/0"})
    grown = patch("concat_string", "/content/1/text", "!")
    told = read(begin(), contents(text("a"), text("b")), move, grown, finished())
    assert told == [
        TextStarted(0),
        TextDelta(0, "a"),
        TextStarted(1),
        TextDelta(1, "b"),
        TextDelta(0, "!"),
        TextCompleted(1, "b"),
        TextCompleted(0, "a!"),
        DONE,
    ]


def test_a_content_object_that_is_inserted_leaves_the_others_as_they_are() -> None:
    inserted = patch("add", "/content/0", {"content_id": "y", "complete": False, **text("new")})
    grown = patch("concat_string", "/content/1/text", "!")
    told = read(begin(), contents(text("a")), inserted, grown, finished())
    assert told == [
        TextStarted(0),
        TextDelta(0, "a"),
        TextStarted(1),
        TextDelta(1, "new"),
        TextDelta(0, "!"),
        TextCompleted(1, "new"),
        TextCompleted(0, "a!"),
        DONE,
    ]


def test_a_content_object_that_is_built_field_by_field_is_told_as_soon_as_it_says_what_it_is() -> None:
    told = read(
        begin(),
        patch("add", "/content", []),
        patch("add", "/content/-", {}),
        patch("add", "/content/0/text", "He"),
        patch("concat_string", "/content/0/text", "l"),
        patch("add", "/content/0/kind", "text"),
        patch("add", "/content/0/content_id", "x0"),
        patch("concat_string", "/content/0/text", "lo"),
        patch("add", "/content/0/complete", value=True),
        finished(),
    )
    assert told == [*prose(0, "Hel", "lo"), DONE]


def test_a_content_object_that_becomes_another_kind_is_another() -> None:
    told = read(begin(), contents(text("a")), patch("replace", "/content/0/kind", "thought"), finished())
    assert told == [TextStarted(0), TextDelta(0, "a"), TextCompleted(0, "a"), DONE]


def test_a_content_object_that_is_removed_is_taken_back_when_the_message_ends() -> None:
    final = {"content": [{"content_id": "x1", **text("b")}]}
    told = read(
        begin(),
        contents(text("a"), text("b")),
        event("message_content", message_id="m1", delta={"op": "remove", "path": "/content/0"}),
        end(final),
        finished(),
    )
    assert told == [
        TextStarted(0),
        TextDelta(0, "a"),
        TextStarted(1),
        TextDelta(1, "b"),
        TextCompleted(1, "b"),
        TextCompleted(0, "a"),
        TextStarted(2, replaces=0),
        TextCompleted(2, ""),
        Notice("text_corrected"),
        DONE,
    ]


def test_content_that_changes_as_a_whole_is_told() -> None:
    told = read(begin(), patch("replace", "", {"role": "agent", "content": [text("Hi")]}), finished())
    assert told == [*prose(0, "Hi"), DONE]


def test_what_a_user_said_is_not_told() -> None:
    told = read(
        begin(),
        patch("add", "/role", "user"),
        contents(text("Hi")),
        patch("concat_string", "/content/0/text", "!"),
        end({"role": "user", "content": [text("Hi!")]}),
        begin("m2"),
        patch("add", "/content", [text("Hello")], message_id="m2"),
        finished(),
    )
    assert told == [*prose(0, "Hello"), DONE]


# --- the message's end


def test_the_end_of_a_message_tells_what_was_not_shown() -> None:
    final = {"content": [{"content_id": "x0", **text("Hello!")}, {"content_id": "x1", **text("Bye.")}]}
    told = read(begin(), contents(text("He")), end(final), finished())
    assert told == [*prose(0, "He", "llo!"), *prose(1, "Bye."), DONE]


def test_the_end_of_a_message_corrects_what_was_shown_otherwise() -> None:
    final = {"content": [{"content_id": "x0", **text("Jello")}]}
    complete = patch("replace", "/content/0/complete", value=True)
    told = read(begin(), contents(text("Hello")), complete, end(final), finished())
    assert told == [*prose(0, "Hello"), *prose(1, "Jello", replaces=0), Notice("text_corrected"), DONE]


def test_the_end_of_a_message_may_be_all_of_it() -> None:
    told = read(end({"content": [text("Hi")]}), finished())
    assert told == [*prose(0, "Hi"), DONE]


def test_a_content_without_an_id_is_known_by_its_place() -> None:
    told = read(begin(), patch("add", "/content", [text("He")]), end({"content": [text("Hello")]}), finished())
    assert told == [*prose(0, "He", "llo"), DONE]


@pytest.mark.parametrize("data", [None, {}, {"content": None}])
def test_an_end_that_repeats_nothing_leaves_what_was_told(data: Any) -> None:
    told = read(begin(), contents(text("He")), end(data), finished())
    assert [one for one in told if not isinstance(one, Notice)][:2] == [TextStarted(0), TextDelta(0, "He")]
    assert told[-1] == DONE


def test_the_content_of_an_end_may_be_one_text() -> None:
    told = read(begin(), patch("add", "/content", [text("He")]), end({"content": "Hello"}), finished())
    assert told == [*prose(0, "He", "llo"), DONE]


def test_an_ended_message_says_nothing_more() -> None:
    final = end({"content": [text("Hi")]})
    more = patch("concat_string", "/content/0/text", "!")
    told = read(begin(), final, more, final, begin(), finished())
    assert told == [*prose(0, "Hi"), *[Notice("repaired_block")] * 3, DONE]


def test_a_message_that_never_began_is_read_all_the_same() -> None:
    told = read(contents(text("Hi")), finished())
    assert told == [Notice("repaired_block"), *prose(0, "Hi"), DONE]


def test_more_messages_than_a_run_may_have_are_refused() -> None:
    error = failure(*(begin(f"m{number}") for number in range(MAX_MESSAGES + 1)))
    assert (error.code, error.cause) == ("upstream_protocol", "too_large")


# --- sequence numbers


def test_a_patch_that_comes_twice_is_read_once() -> None:
    grown = patch("concat_string", "/content/0/text", "lo", sequence_number=2)
    first = patch("add", "/content", [text("Hel")], sequence_number=1)
    assert read(begin(), first, grown, grown, finished()) == [
        TextStarted(0),
        TextDelta(0, "Hel"),
        TextDelta(0, "lo"),
        Notice("vendor_sequence"),
        TextCompleted(0, "Hello"),
        DONE,
    ]


def test_a_gap_in_the_sequence_is_noticed() -> None:
    first = patch("add", "/content", [text("Hi")], sequence_number=3)
    assert read(begin(), first, finished()) == [Notice("vendor_sequence"), *prose(0, "Hi"), DONE]


# --- citations

CITED = {"document_uri": "https://x.test/a", "start_char_index": 0, "end_char_index": 2, "cited_text": "Hi"}


def test_citations_count_code_points_of_their_block() -> None:
    node = text("\U0001f600i", complete=True, citations=[CITED])
    told = read(begin(), contents(text("a", complete=True), node), finished())
    source = Source("source_0", url="https://x.test/a", quote="Hi", block=1, start=0, end=2)
    assert told == [*prose(0, "a"), *prose(1, "\U0001f600i"), source, DONE]


@pytest.mark.parametrize(("start", "stop"), [(0, 3), (2, 1), (-1, 1), (None, 1), (0, None), (10**30, 10**31)])
def test_an_offset_that_does_not_fit_is_left_out(start: int | None, stop: int | None) -> None:
    cited = {"document_uri": "notes.txt", "start_char_index": start, "end_char_index": stop}
    told = read(begin(), contents(text("ab", complete=True, citations=[cited])), finished())
    assert told == [*prose(0, "ab"), Source("source_0", title="notes.txt", block=0), DONE]


def test_a_citation_is_told_once_and_a_late_one_when_the_message_ends() -> None:
    late = {"document_uri": "https://x.test/b"}
    node = text("Hi", complete=True, citations=[CITED, CITED])
    added = patch("add", "/content/0/citations/-", late)
    final = {"content": [{"content_id": "x0", **node, "citations": [CITED, late]}]}
    told = read(begin(), contents(node), added, end(final), finished())
    assert told == [
        *prose(0, "Hi"),
        Source("source_0", url="https://x.test/a", quote="Hi", block=0, start=0, end=2),
        Source("source_1", url="https://x.test/b", block=0),
        DONE,
    ]


def test_a_citation_of_no_text_stands_by_itself() -> None:
    told = read(begin(), contents(text("", complete=True, citations=[CITED])), finished())
    assert told == [Source("source_0", url="https://x.test/a", quote="Hi"), DONE]


# --- tool calls


def test_a_tool_call_that_comes_whole_is_told_whole() -> None:
    node = tool('{"id":7}', complete=True, status="finished", result="620")
    told = read(begin(), contents(node), finished())
    assert told == [
        *called(0, "tc1", '{"id":7}', arguments={"id": 7}),
        ToolResult("tc1", "620", is_error=False, name="get_invoice"),
        DONE,
    ]


@pytest.mark.parametrize(
    ("sub_type", "executor"),
    [
        ("kernel-internal", "vendor"),
        ("aa-internal", "vendor"),
        ("action-external", "vendor"),
        ("mcp-external", "vendor"),
        ("provider-side", "vendor"),
        ("client-side", "client"),
        ("unknown", "unknown"),
        ("sparkle", "unknown"),
    ],
)
def test_the_sub_type_says_who_runs_a_call(sub_type: str, executor: Any) -> None:
    told = read(begin(), contents(tool(complete=True, sub_type=sub_type)), finished())
    assert told[0] == ToolCallStarted(0, "tc1", "get_invoice", executor)


def test_a_running_call_has_all_its_arguments() -> None:
    running = patch("replace", "/content/0/status", "running")
    told = read(begin(), contents(tool(None)), running, running, finished())
    assert told == [*called(0, "tc1", arguments={}), DONE]


def test_a_call_may_finish_before_its_result_is_told() -> None:
    told = read(
        begin(),
        contents(tool(complete=True)),
        patch("replace", "/content/0/status", "finished"),
        patch("replace", "/content/0/result", "[1]"),
        patch("replace", "/content/0/result", "[1,2]"),
        finished(),
    )
    assert told == [
        *called(0, "tc1", "{}", arguments={}),
        ToolResult("tc1", [1], is_error=False, name="get_invoice"),
        DONE,
    ]


@pytest.mark.parametrize("ending", [(), (end(None),)])
def test_a_call_that_finished_with_nothing_is_answered_at_the_end(ending: tuple[Record, ...]) -> None:
    told = read(begin(), contents(tool(complete=True, status="finished")), *ending, finished())
    assert told == [
        *called(0, "tc1", "{}", arguments={}),
        ToolResult("tc1", None, is_error=False, name="get_invoice"),
        DONE,
    ]


def test_a_result_that_is_no_json_after_all_is_a_text() -> None:
    told = read(begin(), contents(tool(complete=True, status="finished", result="[draft")), finished())
    assert told[-2] == ToolResult("tc1", "[draft", is_error=False, name="get_invoice")


def test_a_failed_call_is_answered_with_its_error() -> None:
    told = read(
        begin(),
        contents(tool(complete=True)),
        patch("replace", "/content/0/error", "No"),
        patch("concat_string", "/content/0/error", " such"),
        patch("replace", "/content/0/status", "failed"),
        finished(),
    )
    assert told[-2] == ToolResult("tc1", "No such", is_error=True, name="get_invoice")


def test_a_null_that_became_an_empty_object_is_no_error() -> None:
    node = tool(complete=True, status="finished", result="ok", error={})
    assert read(begin(), contents(node), finished())[-2] == ToolResult("tc1", "ok", is_error=False, name="get_invoice")


def test_arguments_may_be_replaced_by_longer_ones() -> None:
    told = read(
        begin(),
        contents(tool('{"id"')),
        patch("replace", "/content/0/arguments_raw", '{"id":7}'),
        patch("replace", "/content/0/complete", value=True),
        finished(),
    )
    assert told == [*called(0, "tc1", '{"id"', ":7}", arguments={"id": 7}), DONE]


@pytest.mark.parametrize("became", ['{"id":8}', "{", '"x"'])
def test_arguments_that_became_others_are_unreadable(became: str) -> None:
    told = read(
        begin(),
        contents(tool('{"id":7}')),
        patch("replace", "/content/0/arguments_raw", became),
        patch("replace", "/content/0/complete", value=True),
        finished(),
    )
    assert told == [
        ToolCallStarted(0, "tc1", "get_invoice", "vendor"),
        ToolCallDelta(0, "tc1", '{"id":7}'),
        ToolCallCompleted(0, "tc1", "get_invoice", {}, "unreadable", '{"id":7}'),
        Notice("arguments_differ"),
        DONE,
    ]


def test_arguments_that_are_only_spelled_anew_are_the_same() -> None:
    told = read(
        begin(),
        contents(tool('{"id":7}')),
        patch("replace", "/content/0/arguments_raw", '{ "id": 7 }'),
        patch("replace", "/content/0/complete", value=True),
        finished(),
    )
    assert told == [*called(0, "tc1", '{"id":7}', arguments={"id": 7}), DONE]


def test_arguments_that_grow_after_their_end_are_noticed() -> None:
    grown = patch("concat_string", "/content/0/arguments_raw", " ")
    told = read(begin(), contents(tool(complete=True)), grown, finished())
    assert told == [*called(0, "tc1", "{}", arguments={}), Notice("repaired_block"), DONE]


def test_a_call_is_told_once_it_has_a_name() -> None:
    node = tool("{")
    del node["name"]
    told = read(
        begin(),
        contents(node),
        patch("replace", "/content/0/status", "running"),
        patch("replace", "/content/0/status", "streaming"),
        patch("concat_string", "/content/0/arguments_raw", "}"),
        patch("add", "/content/0/name", "late"),
        patch("replace", "/content/0/complete", value=True),
        finished(),
    )
    assert told == [*called(0, "tc1", "{}", arguments={}, name="late"), DONE]


def test_a_call_that_never_had_a_name_is_told_with_its_message() -> None:
    told = read(begin(), end({"content": [tool(name="", tool_call_id=None)]}), finished())
    assert told == [*called(0, "call_0", "{}", arguments={}, name="unnamed"), DONE]


def test_a_call_without_a_name_is_not_told_where_its_message_has_no_end() -> None:
    told = read(begin(), contents(tool(name="", status="finished", result="1"), text("Hi")), finished())
    assert told == [*prose(0, "Hi"), DONE]


def test_two_calls_of_one_id_get_two() -> None:
    told = read(begin(), contents(tool(complete=True), tool(complete=True)), finished())
    assert [one.tool_call_id for one in told if isinstance(one, ToolCallStarted)] == ["tc1", "call_0"]


def test_a_call_whose_arguments_are_not_whole_stays_open_for_the_relay_to_cut() -> None:
    told = read(begin(), contents(tool('{"id"')), finished())
    assert told == [ToolCallStarted(0, "tc1", "get_invoice", "vendor"), ToolCallDelta(0, "tc1", '{"id"'), DONE]


def test_arguments_that_are_no_json_at_the_end_are_unreadable() -> None:
    told = read(begin(), contents(tool('{"id"')), end(None), finished())
    assert told[-2] == ToolCallCompleted(0, "tc1", "get_invoice", {}, "unreadable", '{"id"')


# --- other contents


def test_a_chart_is_told_when_it_is_done() -> None:
    chart = {"kind": "vega_chart", "chart_spec_raw": '{"mark"', "status": "generating", "sub_type": "vega"}
    told = read(
        begin(),
        contents(chart),
        patch("concat_string", "/content/0/chart_spec_raw", ':"bar"}'),
        patch("replace", "/content/0/status", "done"),
        patch("replace", "/content/0/complete", value=True),
        end(None),
        finished(),
    )
    assert told == [Data("vega_chart", {"sub_type": "vega", "spec": {"mark": "bar"}}), DONE]


def test_a_chart_that_failed_is_an_event_of_the_vendors() -> None:
    chart = {"kind": "vega_chart", "status": "error", "complete": True, "error": "no data"}
    told = read(begin(), contents(text("a", complete=True), chart), end(None), finished())
    assert told == [*prose(0, "a"), VendorEvent("vega_chart", {"content_id": "x1", **chart}), DONE]


def test_a_chart_that_is_not_done_is_not_told_where_its_message_has_no_end() -> None:
    chart = {"kind": "vega_chart", "chart_spec_raw": "{", "status": "generating"}
    assert read(begin(), contents(text("a", complete=True), chart), finished()) == [*prose(0, "a"), DONE]


def test_no_suggestions_are_nothing() -> None:
    actions = {"kind": "quick_actions", "actions": [], "status": "done"}
    assert read(begin(), contents(text("a", complete=True), actions), finished()) == [*prose(0, "a"), DONE]


@pytest.mark.parametrize(
    ("uri", "url"),
    [
        ("https://x.test/a", "https://x.test/a"),
        ("HTTP://x.test/a", "HTTP://x.test/a"),
        ("file:///etc/passwd", None),
        ("javascript:alert(1)", None),
        (None, None),
    ],
)
def test_an_attachment_is_a_file_without_its_bytes(uri: str | None, url: str | None) -> None:
    node = {"kind": "attachment", "name": "a.png", "mime_type": "image/png", "uri": uri, "base64_data": "iVBO"}
    told = read(begin(), contents(node), end(None), finished())
    assert told == [File(name="a.png", media_type="image/png", url=url), DONE]


def test_calls_and_files_that_are_not_in_the_message_after_all_cannot_be_taken_back() -> None:
    node = {"kind": "attachment", "name": "a.png", "complete": True}
    told = read(begin(), contents(tool(complete=True), node), end({"content": [text("a")]}), finished())
    assert told == [*called(0, "tc1", "{}", arguments={}), File(name="a.png"), *prose(1, "a"), DONE]


def test_a_text_that_is_no_content_grows_unseen() -> None:
    told = read(
        begin(),
        contents(text("a"), {"kind": "hologram", "": "x"}),
        patch("add", "/note", "x"),
        patch("concat_string", "/note", "y"),
        patch("concat_string", "/content/1/", "y"),
        patch("concat_string", "/content/1/", "z"),
        finished(),
    )
    assert told == [*prose(0, "a"), DONE]


# --- usage


def test_usage_is_the_sum_over_the_messages_and_told_where_it_is_news() -> None:
    told = read(
        begin(),
        contents(text("a")),
        patch("add", "/agent_metadata", {"models": [{"model": "gpt-5"}]}),
        patch("add", "/agent_metadata/total_usage", {"input_tokens": 5, "output_tokens": None}),
        patch("inc", "/agent_metadata/total_usage/input_tokens", 2),
        end({"agent_metadata": {"total_usage": {"input_tokens": 7}}}),
        end({"content": [], "agent_metadata": {"total_usage": {"input_tokens": 1, "output_tokens": 2}}}, "m2"),
        end({"agent_metadata": {"total_usage": {"output_tokens": 3}}}, "m3"),
        finished(),
    )
    assert told == [
        TextStarted(0),
        TextDelta(0, "a"),
        UsageReported(5),
        UsageReported(7),
        TextCompleted(0, "a"),
        UsageReported(8, 2),
        UsageReported(8, 5),
        DONE,
    ]


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        [],
        {"total_usage": {}},
        {"total_usage": []},
        {"total_usage": {"input_tokens": -1, "output_tokens": True}},
        {"total_usage": {"input_tokens": 2**53, "output_tokens": "7"}},
        {"models": {}},
        {"models": []},
        {"models": ["gpt-5"]},
        {"models": [{"model": 7}]},
        {"models": [{"model": ""}]},
        {"models": [{"model": "x" * 257}]},
    ],
)
def test_metadata_of_another_shape_says_nothing(metadata: Any) -> None:
    translator = make()
    assert read(end({"content": [text("a")], "agent_metadata": metadata}), finished(), translator=translator) == [
        *prose(0, "a"),
        DONE,
    ]
    assert translator.model is None


# --- requests of the agent


def test_a_question_ends_the_message() -> None:
    told = read(begin(), contents(text("Well")), event("request_user_input", message="Which year?", timeout=120))
    assert told == [
        *prose(0, "Well"),
        InputRequested("input_0", "question", "Which year?"),
        MessageCompleted("input_required"),
    ]


def test_a_tool_that_the_client_should_run_is_shown_and_the_run_goes_on() -> None:
    asked = event("request_tool_execution", tool_name="open", tool_call_id="tc9", input_raw='{"page":3}')
    told = read(asked, begin(), contents(text("Done")), finished())
    assert told == [
        ToolCallStarted(0, "tc9", "open", "client"),
        ToolCallDelta(0, "tc9", '{"page":3}'),
        ToolCallCompleted(0, "tc9", "open", {"page": 3}, "complete"),
        *prose(1, "Done"),
        DONE,
    ]


def test_a_tool_call_that_is_also_asked_apart_is_one_call() -> None:
    asked = event("request_tool_execution", tool_name="get_invoice", tool_call_id="tc1", input_raw='{"id":7}')
    node = tool('{"id"', sub_type="client-side")
    final = {"content": [{"content_id": "x0", **tool('{"id":7}', status="finished", result="ok", complete=True)}]}
    one = [
        ToolCallStarted(0, "tc1", "get_invoice", "client"),
        ToolCallDelta(0, "tc1", '{"id"'),
        ToolCallDelta(0, "tc1", ":7}"),
        ToolCallCompleted(0, "tc1", "get_invoice", {"id": 7}, "complete"),
        ToolResult("tc1", "ok", is_error=False, name="get_invoice"),
        DONE,
    ]
    assert read(begin(), contents(node), asked, end(final), finished()) == one
    assert read(asked, begin(), end(final), finished()) == [
        one[0],
        ToolCallDelta(0, "tc1", '{"id":7}'),
        *one[3:],
    ]


def test_a_request_without_a_name_or_an_id_is_shown_all_the_same() -> None:
    asked = event("request_tool_execution", tool_name="")
    told = read(asked, asked, finished())
    assert told == [
        ToolCallStarted(0, "call_0", "unnamed", "client"),
        ToolCallCompleted(0, "call_0", "unnamed", {}, "complete"),
        ToolCallStarted(1, "call_1", "unnamed", "client"),
        ToolCallCompleted(1, "call_1", "unnamed", {}, "complete"),
        DONE,
    ]


def test_a_new_name_is_an_event_of_the_vendors() -> None:
    renamed = event("thread_name_updated", thread_id="c1", new_name="Invoices", old_name=None, reason="manual")
    assert read(begin(), contents(text("a")), renamed, finished()) == [
        TextStarted(0),
        TextDelta(0, "a"),
        VendorEvent("thread_name_updated", {"new_name": "Invoices", "reason": "manual"}),
        TextCompleted(0, "a"),
        DONE,
    ]


# --- endings


def test_a_run_may_have_no_id() -> None:
    translator = make()
    read(event("agent_ready", thread_id="c1"), end({"content": [text("a")]}), finished(), translator=translator)
    assert translator.vendor_ids == {"conversation": "c1", "message": "m1"}


def test_nothing_is_told_after_the_terminal() -> None:
    translator = make()
    assert heard(translator, [end({"content": [text("a")]}), finished(), begin(), finished()]) == [
        *prose(0, "a"),
        DONE,
        Notice("after_terminal"),
        Notice("after_terminal"),
    ]


@pytest.mark.parametrize("frames", [[], [begin()], [end({"content": [text("a")]})]])
def test_an_end_of_the_bytes_without_a_terminal_is_truncated(frames: list[Record]) -> None:
    translator = make()
    for record in frames:
        list(translator.feed(record))
    with pytest.raises(GatewayError) as caught:
        list(translator.finish())
    assert (caught.value.code, caught.value.cause, caught.value.message) == (
        "upstream_protocol",
        "truncated",
        "sema4 ended its stream before its terminal event",
    )


def test_a_document_that_is_empty_is_truncated() -> None:
    with pytest.raises(GatewayError) as caught:
        list(for_document().finish())
    assert caught.value.cause == "truncated"


@pytest.mark.parametrize(
    ("code", "canonical", "cause"),
    [
        ("bad_request", "upstream_rejected", "rejected"),
        ("unprocessable_entity", "upstream_rejected", "rejected"),
        ("method_not_allowed", "upstream_rejected", "rejected"),
        ("conflict", "upstream_rejected", "rejected"),
        ("precondition_failed", "upstream_rejected", "rejected"),
        ("unsupported_media_type", "upstream_rejected", "rejected"),
        ("unauthorized", "upstream_auth", "auth"),
        ("forbidden", "upstream_auth", "auth"),
        ("not_found", "upstream_not_found", "not_found"),
        ("too_many_requests", "upstream_rate_limited", "rate_limited"),
        ("unexpected", "upstream_unavailable", "vendor_error"),
        ("internal_error", "upstream_unavailable", "vendor_error"),
        ("sparkle", "upstream_unavailable", "vendor_error"),
    ],
)
def test_an_error_of_the_agent_fails_the_run_by_its_code(code: str, canonical: str, cause: str) -> None:
    error = failure(event("agent_error", error={"error_id": "e-1", "code": code, "message": "secret place"}))
    assert (error.code, error.cause, error.vendor_code, error.vendor_request_id, error.vendor_message) == (
        canonical,
        cause,
        code,
        "e-1",
        "secret place",
    )
    assert "secret" not in error.message


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"error_message": "It broke", "error_stack_trace": "File a.py"}, "It broke"),
        ({"error": "It broke"}, "It broke"),
        ({"error": {"details": {"a": 1}}}, '{"a":1}'),
        ({"error": {"message": 7, "code": 9, "error_id": "a b"}}, "7"),
        ({"error": []}, "[]"),
        ({}, None),
    ],
)
def test_an_error_of_another_shape_fails_the_run_too(fields: dict[str, Any], message: str | None) -> None:
    error = failure(event("agent_error", **fields))
    assert (error.code, error.vendor_code, error.vendor_request_id, error.vendor_message) == (
        "upstream_unavailable",
        None,
        None,
        message,
    )


@pytest.mark.parametrize("event_type", ["agent_finished", "message_begin", "agent_ready", "message_content", "sparkle"])
def test_any_event_that_holds_an_error_is_one(event_type: str) -> None:
    error = failure(event(event_type, message_id="m", delta={"op": "remove", "path": "/a"}, error={"code": "odd"}))
    assert (error.code, error.vendor_code) == ("upstream_protocol", "odd")


def test_what_was_held_back_is_told_before_an_error() -> None:
    translator = make()
    told = heard(
        translator,
        [
            begin(),
            contents(text("Helo")),
            patch("replace", "/content/0/text", "Hello"),
            patch("concat_string", "/content/0/text", " you"),
            event("agent_error", error={"code": "unexpected"}),
        ],
    )
    assert told[-5:-1] == [*prose(2, "Hello you", replaces=1), Notice("text_corrected")]


def test_an_error_is_told_even_if_what_was_held_back_cannot_be_read() -> None:
    error = failure(begin(), contents(text("a", citations=7)), event("agent_error", error={"code": "unexpected"}))
    assert error.vendor_code == "unexpected"


@pytest.mark.parametrize(
    "event_type", ["agent_ready", "message_begin", "message_content", "message_end", "agent_finished"]
)
def test_another_conversation_is_refused(event_type: str) -> None:
    translator = make()
    list(translator.requests(ask(TextPart("hi"), vendor_ids=BOUND)))
    other = event(event_type, message_id="m", thread_id="c2", delta={"op": "add", "path": "/a", "value": 1})
    error = failure(other, translator=translator)
    assert (error.code, error.cause) == ("upstream_protocol", "protocol")
    assert translator.vendor_ids == BOUND


@pytest.mark.parametrize(
    "record",
    [
        event("message_begin"),
        event("message_content", message_id="m1"),
        event("message_content", message_id="m1", delta=[]),
        event("message_content", message_id="m1", delta={"op": "explode", "path": "/a"}),
        event("message_content", message_id="m1", delta={"op": "concat_string", "path": "/a", "value": 1}),
        event("message_content", message_id="m1", delta={"op": "concat_string", "path": "/a", "value": "x"}),
        event("message_end", message_id="m1", data=[]),
        event("agent_ready", run_id=7),
        event("message_end", message_id="m1", data={"content": 7}),
        event("message_end", message_id="m1", data={"content": [7]}),
        event("message_end", message_id="m1", data={"content": {"0": {}}}),
        event("message_end", message_id="m1", data={"role": 7, "content": []}),
        event("message_end", message_id="m1", data={"content": [{"kind": "text", "text": 7}]}),
        event("message_end", message_id="m1", data={"content": [{"kind": "text", "citations": 7}]}),
        event(
            "message_end",
            message_id="m1",
            data={"content": [{"kind": "vega_chart", "chart_spec_raw": [], "status": "done"}]},
        ),
        Record(b'{"event_type":7}', b"agent_event"),
        Record(b"{", b"agent_event"),
        Record(b"{"),
        Record(b"[1,"),
        Record(b"hello", b"agent_event"),
        Record(b"null", b"agent_ready"),
        Record(b'{"delta":{"op":"explode"}}'),
        patch("add", "/content", {"a": {}}),
        patch("add", "/content", 7),
    ],
)
def test_what_cannot_be_read_is_malformed(record: Record) -> None:
    malformed(begin("m0"), begin("m1"), record)


def test_a_content_that_is_an_object_cannot_be_added_to() -> None:
    malformed(begin(), patch("replace", "", {"content": None}), patch("add", "/content/abc", {}))


# --- what has no `event_type`


def untyped(*frames: tuple[bytes, bytes]) -> Told:
    return read(*(Record(data, name) for name, data in frames))


@pytest.mark.parametrize(
    "data",
    [
        b'{"delta":"Hi"}',
        b'{"content":"Hi"}',
        b'{"text":"Hi","role":"agent"}',
        b"Hi",
        b'{"delta":{"op":"add","path":"/content","value":[{"kind":"text","text":"Hi"}]}}',
        b'{"id":"m1","delta":{"op":"add","path":"/content","value":[{"kind":"text","text":"Hi"}]}}',
        b'{"messages":[{"type":"human","content":"?"},{"type":"ai","content":"Hi"}]}',
        b'[{"role":"agent","content":[{"type":"text","text":"Hi"}]},{"role":"user","content":"!"}]',
        b'[{"role":"agent","content":["Hi"]}]',
        b'[{"role":"agent","content":"old"},{"role":"agent","id":"m2","content":[{"kind":"text","text":"Hi"}]}]',
    ],
)
@pytest.mark.parametrize("name", [b"", b"data", b"sparkle"])
def test_a_text_without_a_type_is_a_text(data: bytes, name: bytes) -> None:
    assert untyped((name, data), (b"", b"[DONE]")) == [*prose(0, "Hi"), DONE]


@pytest.mark.parametrize("data", [b"42", b"null", b"true", b'"Hi"', b" a"])
def test_data_that_is_no_object_is_text_as_it_stands(data: bytes) -> None:
    assert untyped((b"", data), (b"end", b"{}")) == [*prose(0, data.decode()), DONE]


@pytest.mark.parametrize("end_of", [(b"end", b"{}"), (b"done", b"bye"), (b"", b"[DONE]"), (b"x", b" [DONE]")])
def test_an_end_without_a_type_is_the_terminal(end_of: tuple[bytes, bytes]) -> None:
    assert untyped((b"", b'{"text":"a"}'), end_of) == [*prose(0, "a"), DONE]


@pytest.mark.parametrize(
    "frame",
    [
        (b"ping", b"2026-06-05"),
        (b"heartbeat", b"{}"),
        (b"", b" "),
        (b"", b'{"role":"user","text":"?"}'),
        (b"", b"[]"),
        (b"", b'{"messages":[1]}'),
        (b"", b'[{"role":["agent"],"content":"x"}]'),
    ],
)
def test_what_says_nothing_is_nothing(frame: tuple[bytes, bytes]) -> None:
    assert untyped(frame, (b"", b'{"text":"a"}'), (b"end", b"")) == [*prose(0, "a"), DONE]


@pytest.mark.parametrize(
    ("name", "data", "code", "vendor_code", "message"),
    [
        (b"error", b'{"error":{"code":"forbidden","message":"no"}}', "upstream_auth", "forbidden", "no"),
        (b"error", b'{"code":"not_found","message":"no"}', "upstream_not_found", "not_found", "no"),
        (b"error", b'{"detail":"no"}', "upstream_unavailable", None, "no"),
        (b"error", b"no", "upstream_unavailable", None, "no"),
        (b"error", b'["no"]', "upstream_unavailable", None, '["no"]'),
        (b"", b'{"error":"no"}', "upstream_protocol", None, "no"),
        (b"end", b'{"event_type":"message_begin","error":"no"}', "upstream_protocol", None, "no"),
        (b"agent_event", b'{"error":{"code":"odd"}}', "upstream_protocol", "odd", None),
    ],
)
def test_an_error_without_a_type_is_a_failure(
    name: bytes, data: bytes, code: str, vendor_code: str | None, message: str | None
) -> None:
    error = failure(Record(data, name))
    assert (error.code, error.vendor_code, error.vendor_message) == (code, vendor_code, message)


def test_an_object_that_nobody_knows_is_an_event_of_the_vendors() -> None:
    frames = [Record(b'{"a":1}', b"agent_event"), Record(b'{"a":2}'), Record(b'{"event_type":"z","a":3}')]
    assert heard(make(), frames)[:3] == [
        VendorEvent("agent_event", {"a": 1}),
        VendorEvent("untyped", {"a": 2}),
        VendorEvent("z", {"event_type": "z", "a": 3}),
    ]


def test_messages_as_they_are_by_now_grow_and_their_last_goes_on() -> None:
    snapshots = [
        [{"type": "ai", "content": "He"}],
        [{"type": "ai", "content": "Hello"}],
        [{"type": "ai", "content": "Hello"}, {"type": "tool", "content": "x"}, {"type": "ai", "content": "Bye"}],
    ]
    frames = [Record(msgspec.json.encode(snapshot)) for snapshot in snapshots]
    assert read(*frames, Record(b"[DONE]")) == [
        TextStarted(0),
        TextDelta(0, "He"),
        TextDelta(0, "llo"),
        TextStarted(1),
        TextDelta(1, "Bye"),
        TextCompleted(0, "Hello"),
        TextCompleted(1, "Bye"),
        DONE,
    ]


# --- documents


def document(value: Any) -> Told:
    translator = for_document()
    told = heard(translator, [Record(msgspec.json.encode(value))])
    lawful(told)
    return told


@pytest.mark.parametrize(
    "value",
    [
        {"data": [{"role": "agent", "content": "old"}, {"role": "user", "content": "?"}, {"content": "Hi"}]},
        {"messages": [{"type": "human", "content": "?"}, {"type": "agent", "content": [{"text": "Hi"}]}]},
        [{"role": "assistant", "content": [text("Hi")]}],
        {"id": "m1", "content": "Hi"},
        {"id": "m1", "content": [{"type": "text", "text": "Hi"}]},
    ],
)
def test_an_answer_may_come_in_four_shapes(value: Any) -> None:
    assert document(value) == [*prose(0, "Hi"), DONE]


def test_a_document_tells_all_since_the_last_question() -> None:
    messages = [
        {"type": "agent", "content": "old"},
        {"type": "human", "content": "?"},
        {"type": "agent", "content": "One"},
        {"type": "action_request", "action_calls": [{"name": "look"}]},
        {"type": "agent", "content": "Two"},
        {"role": ["agent"], "content": "Three"},
    ]
    assert document({"messages": messages}) == [
        *prose(0, "One"),
        VendorEvent("action_request", messages[3]),
        *prose(1, "Two"),
        VendorEvent("untyped", messages[5]),
        DONE,
    ]


def test_a_message_that_stands_twice_in_a_document_is_told_once() -> None:
    message = {"message_id": "m1", "role": "agent", "content": "Hi"}
    assert document([message, message]) == [*prose(0, "Hi"), Notice("repaired_block"), DONE]


@pytest.mark.parametrize("value", [{}, {"data": []}, [], {"data": None}])
def test_a_document_without_an_answer_is_empty(value: Any) -> None:
    assert document(value) == [DONE]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ({"error": {"code": "too_many_requests"}}, "upstream_rate_limited"),
        ({"error": "no"}, "upstream_unavailable"),
        ({"detail": "Agent not found"}, "upstream_unavailable"),
    ],
)
def test_a_200_that_is_a_failure_is_one(value: Any, code: str) -> None:
    with pytest.raises(GatewayError) as caught:
        list(for_document().feed(Record(msgspec.json.encode(value))))
    assert caught.value.code == code


@pytest.mark.parametrize(
    "value", [b"7", b"{", b'{"data":7}', b"[7]", b'{"id":"m","content":7}', b'{"id":1e400,"content":"Hi"}']
)
def test_a_document_of_another_shape_is_malformed(value: bytes) -> None:
    with pytest.raises(Malformed):
        list(for_document().feed(Record(value)))


# --- refusals


def test_the_details_of_a_refusal_go_to_the_log() -> None:
    body = b'{"error":{"code":"bad_request","message":"No","details":"at all"}}'
    assert refuse(make(), 400, body).vendor_message == "No at all"


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (404, b'{"detail":"Agent not found"}', "upstream_not_found", "Agent not found"),
        (422, b'{"detail":[{"loc":["body"]}]}', "upstream_rejected", '[{"loc":["body"]}]'),
        (502, b"<html>", "upstream_unavailable", None),
        (504, b"", "upstream_timeout", None),
        (500, b"\xff", "upstream_unavailable", None),
        (418, b"[]", "upstream_rejected", None),
        (429, b'{"error":null}', "upstream_rate_limited", None),
        (500, b'{"error":' + b"[" * 900 + b"]" * 900 + b"}", "upstream_unavailable", "[" * 900 + "]" * 900),
        (500, b'{"error":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "upstream_unavailable", None),
    ],
)
def test_a_refusal_of_another_shape_is_read_by_its_status(
    status: int, body: bytes, code: str, message: str | None
) -> None:
    error = make().refuse(status, CIMultiDict(), body)
    assert (error.code, error.vendor_code, error.vendor_request_id) == (code, None, None)
    assert error.vendor_message == message


def test_a_refusal_is_read_however_deep_it_is() -> None:
    bodies = [b'{"error":' + b"[" * depth + b"]" * depth + b"}" for depth in range(700, 1100)]
    assert {make().refuse(500, CIMultiDict(), body).code for body in bodies} == {"upstream_unavailable"}


def test_a_rate_limit_says_when_to_come_back_and_that_nothing_was_taken() -> None:
    error = make().refuse(429, CIMultiDict({"Retry-After": "7"}), b"")
    assert (error.retry_after, error.may_be_accepted) == (7.0, False)


# --- the port


def test_a_run_can_be_neither_resumed_nor_cancelled_by_a_call() -> None:
    translator = make()
    list(translator.requests(ask(TextPart("hi"), vendor_ids=BOUND)))
    assert (translator.resume(), translator.cancel(), translator.ending) == (None, None, False)


# --- properties


pieces = st.lists(st.text("abc", max_size=4), min_size=1, max_size=6)


@given(st.data(), st.lists(pieces, min_size=1, max_size=3))
def test_the_deltas_of_a_text_spell_it_however_it_was_patched(data: st.DataObject, texts: list[list[str]]) -> None:
    """Texts that grow in turns, by both operations; now and then one is replaced by another."""
    shown = ["".join(parts[:1]) for parts in texts]
    frames = [begin(), contents(*(text(each) for each in shown))]
    left = [(place, piece) for place, parts in enumerate(texts) for piece in parts[1:]]
    for place, piece in data.draw(st.permutations(left)):
        op = data.draw(st.sampled_from(["concat_string", "replace", "other"]))
        shown[place] = shown[place] + piece if op != "other" else piece
        value = piece if op == "concat_string" else shown[place]
        frames.append(patch("replace" if op == "other" else op, f"/content/{place}/text", value))
    told = read(*frames, finished())
    replaced = {one.replaces for one in told if isinstance(one, TextStarted)}
    spelled = [one.text for one in told if isinstance(one, TextCompleted) and one.block not in replaced]
    assert sorted(filter(None, spelled)) == sorted(filter(None, shown))

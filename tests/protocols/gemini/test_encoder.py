"""What a client of Gemini's is sent: chunk by chunk, and what its own protocol's reader makes of it (law 8)."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.assembler import Assembler
from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import ErrorBody
from gateway.canonical.events import (
    Data,
    DataFrame,
    Event,
    File,
    FinishReason,
    InputRequested,
    MessageCanceled,
    MessageCompleted,
    MessageFailed,
    MessageRouted,
    MessageStarted,
    Notice,
    ReasoningCompleted,
    ReasoningDelta,
    ReasoningStarted,
    Source,
    StepCompleted,
    StepStarted,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
    Usage,
    UsageReported,
    VendorEvent,
)
from gateway.canonical.laws import check_stream
from gateway.canonical.message import Message, Part
from gateway.canonical.turn import MessageRequest
from gateway.conversations.fingerprint import extend, seed
from gateway.framing.lines import JsonDecoder
from gateway.framing.sse import SseDecoder
from gateway.protocols.gemini.asks import Read
from gateway.protocols.gemini.contents import read_contents
from gateway.protocols.gemini.dialect import GeminiExchange
from gateway.protocols.gemini.encoder import LOSSES, GeminiEncoder
from gateway.protocols.gemini.translator import GeminiTarget, GeminiTranslator
from gateway.protocols.gemini.wire import FINISH_REASONS, Content
from gateway.protocols.gemini.writing import document
from tests.support.translating import Told, heard, lawful, records

NOW = datetime(2026, 11, 2, tzinfo=UTC)
STARTED = MessageStarted("msg_1", "conv_1", "support", NOW)
ROUTED = MessageRouted("acme", 1, "acme-large")
ERROR = ErrorBody("upstream_timeout", "the vendor fell silent", retryable=True, retry_after=2.5, request_id="req_1")
SIGNATURE = "c2lnbmVk"


def encoder(*, shows_thoughts: bool = True) -> GeminiEncoder:
    return GeminiEncoder("support", shows_thoughts=shows_thoughts)


def written(*events: Event, made: GeminiEncoder | None = None) -> bytes:
    """What an answer of these events is, from its start on."""
    told = made or encoder()
    stream: list[Event] = [STARTED, ROUTED, *events]
    return b"".join(told.event(sequence, event) for sequence, event in enumerate(stream)) + told.end()


def chunks(body: bytes) -> list[Any]:
    lines = body.decode().split("\n\n")
    assert lines.pop() == ""
    assert all(line.startswith("data: ") and "\n" not in line for line in lines)
    return [json.loads(line[6:]) for line in lines]


def parts(*events: Event, made: GeminiEncoder | None = None) -> list[dict[str, Any]]:
    told = chunks(written(*events, made=made))
    return [part for chunk in told for one in chunk["candidates"] for part in one["content"]["parts"]]


def kind(part: dict[str, Any]) -> str:
    return next(name for name in part if name not in {"thoughtSignature", "partMetadata"})


def last(*events: Event) -> Any:
    return chunks(written(*events))[-1]


def text(block: int, words: str, signature: str | None = None) -> list[Event]:
    return [TextStarted(block), TextDelta(block, words), TextCompleted(block, words, signature)]


def call(block: int, call_id: str, name: str, arguments: dict[str, Any], executor: Any = "client") -> list[Event]:
    spelled = json.dumps(arguments)
    return [
        ToolCallStarted(block, call_id, name, executor),
        ToolCallDelta(block, call_id, spelled),
        ToolCallCompleted(block, call_id, name, arguments, "complete", None, SIGNATURE),
    ]


# --- chunks


def test_a_chunk_is_a_data_line_and_nothing_else() -> None:
    assert written(TextStarted(0), TextDelta(0, 'H"i'), TextDelta(0, " 50%")) == (
        b'data: {"candidates":[{"content":{"parts":[{"text":"H\\"i"}],"role":"model"},"index":0}],'
        b'"modelVersion":"acme-large","responseId":"msg_1"}\n\n'
        b'data: {"candidates":[{"content":{"parts":[{"text":" 50%"}],"role":"model"},"index":0}],'
        b'"modelVersion":"acme-large","responseId":"msg_1"}\n\n'
    )


def test_the_model_is_the_one_that_was_asked_for_where_the_vendor_names_none() -> None:
    made = GeminiEncoder('5%"@"', shows_thoughts=True)
    made.event(0, STARTED)
    made.event(1, MessageRouted("acme", 1))
    made.event(2, TextStarted(0))
    told = [made.event(3, TextDelta(0, "a")), made.event(4, TextDelta(0, "b"))]
    assert [json.loads(frame[6:])["modelVersion"] for frame in told] == ['5%"@"', '5%"@"']


def test_a_heartbeat_is_an_empty_text() -> None:
    made = encoder()
    assert made.event(0, STARTED) == b""
    assert made.heartbeat() == (
        b'data: {"candidates":[{"content":{"parts":[{"text":""}],"role":"model"},"index":0}],'
        b'"modelVersion":"support","responseId":"msg_1"}\n\n'
    )


def test_every_chunk_of_an_answer_has_a_part() -> None:
    for chunk in chunks(written(*text(0, "a"), MessageCompleted("stop"))):
        assert chunk["candidates"][0]["content"]["parts"]


# --- prose


def test_thoughts_and_their_signatures() -> None:
    events = [
        ReasoningStarted(0),
        ReasoningDelta(0, "Hm"),
        ReasoningCompleted(0, "Hm", SIGNATURE),
        *text(1, "Hi", SIGNATURE),
    ]
    assert parts(*events) == [
        {"text": "Hm", "thought": True},
        {"text": "", "thought": True, "thoughtSignature": SIGNATURE},
        {"text": "Hi"},
        {"text": "", "thoughtSignature": SIGNATURE},
    ]


@pytest.mark.parametrize("opaque", ["", "two words", "a+b_", "abcde", "whole", "AAAA==", "é", '{"a":1}'])
def test_a_signature_that_no_client_could_decode_is_left_out(opaque: str) -> None:
    assert parts(*text(0, "Hi", opaque)) == [{"text": "Hi"}]


@pytest.mark.parametrize("opaque", ["YWI=", "YWI", "a-b_", "a+b/"])
def test_a_signature_is_base64_of_either_kind(opaque: str) -> None:
    assert parts(*text(0, "Hi", opaque))[-1] == {"text": "", "thoughtSignature": opaque}


def test_thoughts_are_left_out_where_the_client_wants_none() -> None:
    made = encoder(shows_thoughts=False)
    events = [ReasoningStarted(0), ReasoningDelta(0, "Hm"), ReasoningCompleted(0, "Hm"), *text(1, "Hi")]
    assert parts(*events, made=made) == [{"text": "Hi"}]
    assert made.omitted == {"reasoning.started": 1, "reasoning.delta": 1, "reasoning.completed": 1}


def test_of_two_texts_at_once_the_later_one_waits() -> None:
    events: list[Event] = [
        TextStarted(0),
        TextDelta(0, "One"),
        TextStarted(1),
        ReasoningStarted(2),
        TextStarted(3),
        TextDelta(1, "Two"),
        TextDelta(3, "Thr"),
        ReasoningDelta(2, "Hm"),
        TextDelta(0, " more"),
        TextCompleted(1, "Two", SIGNATURE),
        ReasoningCompleted(2, "Hm"),
        TextCompleted(0, "One more"),
        TextDelta(3, "ee"),
        TextCompleted(3, "Three"),
    ]
    assert parts(*events) == [
        {"text": "One"},
        {"text": "Hm", "thought": True},
        {"text": " more"},
        {"text": "Two"},
        {"text": "", "thoughtSignature": SIGNATURE},
        {"text": "Thr"},
        {"text": "ee"},
    ]


def test_a_text_that_corrects_another_stands_behind_a_blank_line() -> None:
    events = [
        *text(0, "Wrong"),
        TextStarted(1, replaces=0),
        TextDelta(1, "Right"),
        TextCompleted(1, "Right"),
        ReasoningStarted(2),
        ReasoningCompleted(2, ""),
        ReasoningStarted(3, replaces=2),
        ReasoningDelta(3, "Hm"),
        ReasoningDelta(3, ""),
    ]
    assert [part["text"] for part in parts(*events)] == ["Wrong", "\n\nRight", "\n\nHm"]


# --- calls


def test_a_clients_call_is_whole_with_its_id_and_its_arguments() -> None:
    assert parts(*call(0, "c1", "now", {}), *call(1, "c2", "look", {"at": "sky"})) == [
        {"functionCall": {"id": "c1", "name": "now", "args": {}}, "thoughtSignature": SIGNATURE},
        {"functionCall": {"id": "c2", "name": "look", "args": {"at": "sky"}}, "thoughtSignature": SIGNATURE},
    ]


@pytest.mark.parametrize(
    ("output", "is_error", "result"),
    [
        ({"outcome": "OUTCOME_OK", "output": "42"}, False, {"outcome": "OUTCOME_OK", "output": "42"}),
        ("42", False, {"outcome": "OUTCOME_OK", "output": "42"}),
        ({"stdout": "4"}, False, {"outcome": "OUTCOME_OK", "output": '{"stdout":"4"}'}),
        ({"outcome": "OUTCOME_OK", "output": [4]}, False, {"outcome": "OUTCOME_OK", "output": "[4]"}),
        ("boom", True, {"outcome": "OUTCOME_FAILED", "output": "boom"}),
    ],
)
def test_code_that_a_vendor_ran(output: object, is_error: bool, result: dict[str, Any]) -> None:  # noqa: FBT001
    events = [*call(0, "c1", "code_interpreter", {"code": "6*7"}, "vendor"), ToolResult("c1", output, is_error)]
    assert parts(*events) == [
        {"executableCode": {"code": "6*7", "language": "PYTHON", "id": "c1"}, "thoughtSignature": SIGNATURE},
        {"codeExecutionResult": {**result, "id": "c1"}},
    ]


def test_a_tool_of_geminis_own_that_a_vendor_ran() -> None:
    events = [*call(0, "c1", "GOOGLE_SEARCH_WEB", {"q": 1}, "vendor"), ToolResult("c1", {"n": 1}, is_error=False)]
    assert parts(*events) == [
        {
            "toolCall": {"toolType": "GOOGLE_SEARCH_WEB", "args": {"q": 1}, "id": "c1"},
            "thoughtSignature": SIGNATURE,
        },
        {"toolResponse": {"toolType": "GOOGLE_SEARCH_WEB", "response": {"n": 1}, "id": "c1"}},
    ]


ANY = "TOOL_TYPE_UNSPECIFIED"


@pytest.mark.parametrize(
    ("output", "is_error", "response"),
    [("sunny", False, {"result": "sunny"}), ("boom", True, {"error": "boom"}), ({"a": 1}, True, {"a": 1})],
)
def test_any_other_tool_that_a_vendor_ran(output: object, is_error: bool, response: dict[str, Any]) -> None:  # noqa: FBT001
    events = [*call(0, "c1", "bash", {"code": "ls", "language": "sh"}, "vendor"), ToolResult("c1", output, is_error)]
    named = {"partMetadata": {"gatewayToolName": "bash"}}
    assert parts(*events) == [
        {
            "toolCall": {"toolType": ANY, "args": {"code": "ls", "language": "sh"}, "id": "c1"},
            "thoughtSignature": SIGNATURE,
            **named,
        },
        {"toolResponse": {"toolType": ANY, "response": response, "id": "c1"}, **named},
    ]


def test_a_call_of_an_unknown_executor_waits_for_its_result_or_the_end() -> None:
    made = encoder()
    events = [
        *call(0, "c1", "look", {}, "unknown"),
        *call(1, "c2", "count", {}, "unknown"),
        *call(2, "c3", "sleep", {}, "unknown"),
        ToolResult("c1", "seen", is_error=False),
        *text(3, "Well"),
        MessageCompleted("tool_calls", None, ["c2"]),
    ]
    told = parts(*events, made=made)
    assert [kind(part) for part in told] == ["toolCall", "toolResponse", "text", "functionCall", "text"]
    assert told[3]["functionCall"]["id"] == "c2"
    assert made.omitted == {"tool_call.completed": 1}


@pytest.mark.parametrize("executor", ["client", "vendor", "unknown"])
@pytest.mark.parametrize("status", ["cut", "unreadable"])
def test_a_broken_call_is_one_that_the_client_must_not_run(executor: Any, status: Any) -> None:
    events: list[Event] = [
        ToolCallStarted(0, "c1", "look", executor),
        ToolCallDelta(0, "c1", '{"a'),
        ToolCallCompleted(0, "c1", "look", {}, status, '{"a'),
    ]
    broken = {"status": status, "executor": executor, "rawArguments": '{"a'}
    assert parts(*events) == [
        {
            "toolCall": {"toolType": ANY, "args": {}, "id": "c1"},
            "partMetadata": {"gatewayToolName": "look", "gatewayBrokenCall": broken},
        }
    ]


# --- files, sources, questions


def test_files() -> None:
    made = encoder()
    events = [
        File(None, "a.png", "image/png", "data:image/png;base64,AAAA"),
        File(None, None, None, "data:text/plain;charset=utf-8;base64,AAAA"),
        File(None, None, None, "data:;base64,AAAA"),
        File(None, None, "image/png", "data:image/png;base64,whole"),
        File(None, "b", "video/mp4", "https://example.com/b"),
        File("file_1", "c"),
    ]
    assert parts(*events, made=made) == [
        {"inlineData": {"data": "AAAA", "mimeType": "image/png", "displayName": "a.png"}},
        {"inlineData": {"data": "AAAA", "mimeType": "text/plain"}},
        {"inlineData": {"data": "AAAA", "mimeType": "application/octet-stream"}},
        {"fileData": {"fileUri": "data:image/png;base64,whole", "mimeType": "image/png"}},
        {"fileData": {"fileUri": "https://example.com/b", "mimeType": "video/mp4", "displayName": "b"}},
    ]
    assert made.omitted == {"file": 1}


def test_sources_stand_in_the_last_chunk_with_offsets_in_bytes() -> None:
    grounding = last(
        *text(0, "Où? "),
        *text(1, "Là 😀."),
        TextStarted(2, replaces=0),
        TextDelta(2, "Ici."),
        TextCompleted(2, "Ici."),
        Source("s1", "A", "https://a.example", None, "quote", 1, 3, 4),
        Source("s2", "B", "https://b.example", block=2),
        Source("s3", None, None, "file_1", "quote"),
        Source("s4", "D", "https://d.example", block=9, start=0, end=1),
        Source("s5", "E", "https://e.example", block=1, start=90, end=99),
        MessageCompleted("stop"),
    )["candidates"][0]["groundingMetadata"]
    assert grounding == {
        "groundingChunks": [
            {"web": {"uri": "https://a.example", "title": "A"}},
            {"web": {"uri": "https://b.example", "title": "B"}},
            {"retrievedContext": {"title": "s3", "text": "quote"}},
            {"web": {"uri": "https://d.example", "title": "D"}},
            {"web": {"uri": "https://e.example", "title": "E"}},
        ],
        "groundingSupports": [
            {"segment": {"startIndex": 9, "endIndex": 13, "text": "😀"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 16, "endIndex": 20, "text": "Ici."}, "groundingChunkIndices": [1]},
        ],
    }


def test_a_question_is_told_as_a_text() -> None:
    made = encoder()
    question = InputRequested("r1", "approval", "May I?", "c1")
    assert parts(question, MessageCompleted("input_required"), made=made)[0] == {"text": "May I?"}
    assert parts(*text(0, "Hm."), question)[1] == {"text": "\n\nMay I?"}
    made = encoder()
    assert parts(InputRequested("r1", "question"), made=made) == []
    assert made.omitted == {"input.requested": 1}


# --- endings

ENDINGS: list[tuple[FinishReason, str | None, str]] = [
    ("stop", None, "STOP"),
    ("stop", "end_turn", "STOP"),
    ("tool_calls", "STOP", "STOP"),
    ("input_required", None, "STOP"),
    ("length", "max_tokens", "MAX_TOKENS"),
    ("content_filter", None, "SAFETY"),
    ("content_filter", "RECITATION", "RECITATION"),
    ("stop", "RECITATION", "STOP"),
    ("other", "whatever", "OTHER"),
]


@pytest.mark.parametrize(("reason", "raw", "expected"), ENDINGS)
def test_the_end(reason: FinishReason, raw: str | None, expected: str) -> None:
    assert last(*text(0, "Hi"), MessageCompleted(reason, raw)) == {
        "candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": expected, "index": 0}],
        "modelVersion": "acme-large",
        "responseId": "msg_1",
    }


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        (Usage(credits=2.0), None),
        (Usage(5), {"promptTokenCount": 5, "totalTokenCount": 5}),
        (Usage(output_tokens=7), {"candidatesTokenCount": 7, "totalTokenCount": 7}),
        (
            Usage(20, 12, 4, 5),
            {
                "promptTokenCount": 20,
                "candidatesTokenCount": 8,
                "thoughtsTokenCount": 4,
                "cachedContentTokenCount": 5,
                "totalTokenCount": 32,
            },
        ),
        (
            Usage(1, 2, 4),
            {"promptTokenCount": 1, "candidatesTokenCount": 0, "thoughtsTokenCount": 4, "totalTokenCount": 3},
        ),
    ],
)
def test_usage_is_told_with_the_end(usage: Usage | None, expected: dict[str, int] | None) -> None:
    told = last(*text(0, "Hi"), UsageReported(5), MessageCompleted("stop", usage=usage))
    assert told.get("usageMetadata") == expected


def test_a_failure_is_an_error_in_the_stream() -> None:
    assert last(*text(0, "Hi"), MessageFailed(ERROR)) == {
        "error": {
            "code": 504,
            "message": "the vendor fell silent",
            "status": "DEADLINE_EXCEEDED",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "UPSTREAM_TIMEOUT",
                    "domain": "gateway",
                },
                {"@type": "type.googleapis.com/google.rpc.RequestInfo", "requestId": "req_1"},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"},
            ],
        }
    }


def test_a_failure_may_have_no_request() -> None:
    told = last(MessageFailed(ErrorBody("internal", "a bug", retryable=False)))["error"]
    assert [detail["reason"] for detail in told["details"]] == ["INTERNAL"]


def test_a_canceled_answer_ends_with_the_error_cancelled() -> None:
    assert last(*text(0, "Hi"), MessageCanceled("client_gone"))["error"]["status"] == "CANCELLED"


# --- what cannot be carried

OMITTED: list[Event] = [
    Data("chart", 1),
    DataFrame("sales", ["a"], [[1]]),
    StepStarted(0),
    StepCompleted(0),
    VendorEvent("odd", {}),
]


@pytest.mark.parametrize("event", OMITTED, ids=lambda event: str(event.__struct_config__.tag))
def test_what_has_no_words_is_counted(event: Event) -> None:
    made = encoder()
    assert written(event, made=made) == b""
    name = str(event.__struct_config__.tag)
    assert (made.omitted, LOSSES[name]) == ({name: 1}, "omitted")


def test_every_type_is_told_or_listed() -> None:
    told = set(GeminiEncoder._TELLERS) | {type(event) for event in OMITTED}
    assert told == set(Event.__args__)
    omitted = {str(event.__struct_config__.tag) for event in OMITTED}
    assert {name for name, words in LOSSES.items() if words.startswith("omitted")} == omitted


def test_the_result_of_no_call_is_counted() -> None:
    made = encoder()
    assert written(ToolResult("c9", 1, is_error=False), made=made) == b""
    assert made.omitted == {"tool_result": 1}


# --- read back

RICH: list[Event] = [
    ReasoningStarted(0),
    ReasoningDelta(0, "Let me "),
    ReasoningDelta(0, "look."),
    ReasoningCompleted(0, "Let me look.", SIGNATURE),
    TextStarted(1),
    TextDelta(1, "Señor 😀, "),
    ToolCallStarted(2, "c1", "look", "client"),
    ToolCallStarted(3, "c2", "count", "client"),
    ToolCallDelta(2, "c1", '{"at":'),
    ToolCallDelta(3, "c2", '{"n":[1,'),
    ToolCallDelta(2, "c1", '"sky"}'),
    ToolCallDelta(3, "c2", "2]}"),
    TextDelta(1, "the sky."),
    TextCompleted(1, "Señor 😀, the sky.", SIGNATURE),
    ToolCallCompleted(2, "c1", "look", {"at": "sky"}, "complete", None, SIGNATURE),
    ToolCallCompleted(3, "c2", "count", {"n": [1, 2]}, "complete"),
    *call(4, "c3", "bash", {"cmd": "ls"}, "vendor"),
    ToolResult("c3", {"files": 2}, is_error=False, name="bash"),
    Source("s1", "Sky", "https://sky.example", None, None, 1, 9, 16),
    File(None, "a.png", "image/png", "data:image/png;base64,AAAA"),
    UsageReported(20, 12, 4, 5),
    MessageCompleted("tool_calls", "tool_use", ["c1", "c2"], "acme", "acme-large", Usage(20, 12, 4, 5)),
]


def understood(body: bytes, *, is_document: bool = False) -> Told:
    translator = GeminiTranslator(GeminiTarget("m"), Blocks(Numbering()))
    return heard(translator, records(JsonDecoder() if is_document else SseDecoder(), body))


def meaning(told: Told) -> dict[str, Any]:
    events = [event for event in told if not isinstance(event, Notice)]
    end = events[-1]
    assert isinstance(end, MessageCompleted)
    return {
        "text": "".join(event.text for event in events if isinstance(event, TextCompleted)),
        "reasoning": "".join(event.text for event in events if isinstance(event, ReasoningCompleted)),
        "calls": [(e.tool_call_id, e.name, e.arguments) for e in events if isinstance(e, ToolCallCompleted)],
        "executors": [event.executor for event in events if isinstance(event, ToolCallStarted)],
        "results": [(e.tool_call_id, e.output, e.name) for e in events if isinstance(e, ToolResult)],
        "sources": [(event.url, event.title) for event in events if isinstance(event, Source)],
        "files": [(event.name, event.url) for event in events if isinstance(event, File)],
        "usage": [
            (e.input_tokens, e.output_tokens, e.reasoning_tokens, e.cached_tokens)
            for e in events
            if isinstance(e, UsageReported)
        ][-1:],
        "ending": (end.finish_reason, end.pending_tool_calls),
    }


def parts_of(events: list[Event]) -> list[Part]:
    assembler = Assembler()
    for event in [STARTED, ROUTED, *events]:
        assembler.add(event)
    return list(assembler.parts())


def message(events: list[Event], **fields: Any) -> Message:
    end = events[-1]
    assert isinstance(end, MessageCompleted)
    return Message(
        id="msg_1",
        conversation_id="conv_1",
        role="assistant",
        status="completed",
        parts=parts_of(events),
        created_at=NOW,
        finish_reason=end.finish_reason,
        raw_finish_reason=end.raw_finish_reason,
        pending_tool_calls=end.pending_tool_calls,
        usage=end.usage,
        model="acme-large",
        **fields,
    )


GEMINI_EXCHANGE = GeminiExchange(Read(MessageRequest(route="support"), shows_thoughts=True), as_list=False)


def test_its_own_reader_reads_the_same() -> None:
    check_stream([STARTED, ROUTED, *RICH])
    told = understood(written(*RICH))
    lawful(told)
    assert meaning(told) == {
        "text": "Señor 😀, the sky.",
        "reasoning": "Let me look.",
        "calls": [("c1", "look", {"at": "sky"}), ("c2", "count", {"n": [1, 2]}), ("c3", "bash", {"cmd": "ls"})],
        "executors": ["client", "client", "vendor"],
        "results": [("c3", {"files": 2}, "bash")],
        "sources": [("https://sky.example", "Sky")],
        "files": [("a.png", "data:image/png;base64,AAAA")],
        "usage": [(20, 12, 4, 5)],
        "ending": ("tool_calls", ["c1", "c2"]),
    }
    source = next(event for event in told if isinstance(event, Source))
    assert (source.start, source.end) == (9, 16)


def test_a_document_says_the_same() -> None:
    body = GEMINI_EXCHANGE.document(message(RICH))
    assert meaning(understood(body, is_document=True)) == meaning(understood(written(*RICH)))
    whole = json.loads(body)
    assert (whole["modelVersion"], whole["responseId"]) == ("acme-large", "msg_1")


def resent(body: bytes) -> list[Part]:
    """The parts of an answer as a client of Gemini's resends it: its chunks one by one."""
    contents = [
        msgspec.convert(one["content"], Content) for chunk in chunks(body) for one in chunk.get("candidates", [])
    ]
    return read_contents(contents)[0].parts


def test_what_comes_back_is_recognised() -> None:
    chain = seed("support", None)
    assert extend(chain, "assistant", resent(written(*RICH))) == extend(chain, "assistant", parts_of(RICH))


def test_a_switch_goes_on_in_a_new_part() -> None:
    events = [*text(0, "Well, "), MessageRouted("other", 2, "other-1", "acme", ERROR, discard=False), *text(1, "so.")]
    told = chunks(written(*events))
    assert [chunk["modelVersion"] for chunk in told] == ["acme-large", "other-1"]


@given(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=6))
def test_any_text_is_read_back(deltas: list[str]) -> None:
    whole = "".join(deltas)
    events: list[Event] = [TextStarted(0), *(TextDelta(0, delta) for delta in deltas), TextCompleted(0, whole)]
    assert meaning(understood(written(*events, MessageCompleted("stop"))))["text"] == whole


# --- documents


def whole(*events: Event, shows_thoughts: bool = True, **fields: Any) -> Any:
    ended = events if isinstance(events[-1], MessageCompleted) else (*events, MessageCompleted("stop"))
    told = document(message(list(ended), **fields), "support", shows_thoughts=shows_thoughts)
    return json.loads(msgspec.json.encode(told))["candidates"][0]


def test_an_answer_without_a_word_has_an_empty_text() -> None:
    assert whole(*text(0, "")) == {
        "content": {"parts": [{"text": ""}], "role": "model"},
        "finishReason": "STOP",
        "index": 0,
    }


def test_a_document_leaves_out_what_a_stream_leaves_out() -> None:
    told = whole(
        ReasoningStarted(0),
        ReasoningDelta(0, "Hm"),
        ReasoningCompleted(0, "Hm"),
        *call(1, "c1", "look", {}, "unknown"),
        *call(2, "c2", "count", {}, "unknown"),
        ToolResult("c2", 2, is_error=False),
        ToolResult("c9", 2, is_error=False),
        File("file_1"),
        Data("chart", 1),
        InputRequested("r0", "question"),
        InputRequested("r1", "question", "And?"),
        InputRequested("r2", "question", "Or?"),
        shows_thoughts=False,
    )
    assert [kind(part) for part in told["content"]["parts"]] == ["toolCall", "toolResponse", "text", "text"]
    assert [part["text"] for part in told["content"]["parts"][2:]] == ["And?", "\n\nOr?"]


def test_a_document_tells_a_broken_call() -> None:
    told = whole(
        ToolCallStarted(0, "c1", "look", "client"),
        ToolCallDelta(0, "c1", '{"a'),
        ToolCallCompleted(0, "c1", "look", {}, "cut", '{"a'),
        MessageCompleted("length"),
    )
    assert told["content"]["parts"][0]["partMetadata"]["gatewayBrokenCall"]["rawArguments"] == '{"a'
    assert told["finishReason"] == "MAX_TOKENS"


def test_a_broken_call_comes_back_as_it_was() -> None:
    events: list[Event] = [
        ToolCallStarted(0, "c1", "look", "client"),
        ToolCallDelta(0, "c1", '{"a'),
        ToolCallCompleted(0, "c1", "look", {}, "cut", '{"a'),
        MessageCompleted("length"),
    ]
    chain = seed("support", None)
    assert extend(chain, "assistant", resent(written(*events))) == extend(chain, "assistant", parts_of(events))


def test_every_finish_reason_of_the_wire_is_read_back() -> None:
    for raw, reason in FINISH_REASONS.items():
        told = understood(written(*text(0, "Hi"), MessageCompleted(reason, raw)))
        assert told[-1] == MessageCompleted(reason, raw)

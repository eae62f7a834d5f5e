"""Sema4.ai beside messages: conversations, files and data frames, request by request."""

from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.message import FilePart, ReasoningPart, TextPart, ToolCallPart, ToolResultPart
from gateway.canonical.resources import DataFrameAnswer, Rows, Slice
from gateway.framing.typed import Malformed
from gateway.protocols.base import (
    Calls,
    Clue,
    Form,
    FormPart,
    NewConversation,
    NewFile,
    VendorFile,
    VendorMessage,
    VendorRequest,
)
from gateway.protocols.sema4.conversations import Sema4Conversations
from gateway.protocols.sema4.data_frames import Sema4DataFrames
from gateway.protocols.sema4.files import Sema4Files
from gateway.protocols.sema4.requests import checked_name
from gateway.protocols.sema4.translator import Sema4Target, Sema4Translator
from tests.support.translating import exchange

T = TypeVar("T")

TRANSLATOR = Sema4Translator(Sema4Target("a/1"), Blocks(Numbering()))
CONVERSATIONS = Sema4Conversations(TRANSLATOR)
FILES = Sema4Files(TRANSLATOR)
FRAMES = Sema4DataFrames(TRANSLATOR)
BOUND = {"conversation": "c/1", "run": "r1"}
HERE = "/agents/a%2F1/conversations"
THERE = f"{HERE}/c%2F1"
JSON = {"Accept": "application/json"}
NOON = datetime(2026, 6, 5, 12, tzinfo=UTC)
BEFORE, AFTER = "2026-06-05T11:59:59+00:00", "2026-06-05T12:00:01+00:00"


def answered(calls: Calls[T], *answers: Any) -> tuple[T, list[VendorRequest]]:
    """What the calls come to with these answers, and the requests."""
    bodies = [answer if isinstance(answer, bytes) else msgspec.json.encode(answer) for answer in answers]
    requests, result = exchange(calls, *bodies)
    return result, requests


def result(calls: Calls[T], *answers: Any) -> T:
    return answered(calls, *answers)[0]


def malformed(calls: Calls[Any], *answers: Any) -> None:
    with pytest.raises(Malformed):
        answered(calls, *answers)


def page(path: str, cursor: str | None = None) -> VendorRequest:
    query = {"limit": "100"} | ({"next": cursor} if cursor else {})
    return VendorRequest("GET", path, query=query, headers=JSON)


# --- conversations


def test_a_conversation_is_created_under_one_line_of_its_title() -> None:
    created, requests = answered(
        CONVERSATIONS.create(NewConversation(" My\ninvoices ", lambda: "new")), {"id": "c1", "name": "My invoices"}
    )
    assert created == {"conversation": "c1"}
    assert requests == [
        VendorRequest(
            "POST",
            HERE,
            headers={"Content-Type": "application/json", "Accept": "application/json"},
            body=b'{"name":"My invoices"}',
            effect="repeatable",
        )
    ]


def test_a_conversation_without_a_title_has_a_name_all_the_same() -> None:
    request = next(CONVERSATIONS.create(NewConversation("", lambda: "new")))
    assert request.body == b'{"name":"Conversation"}'


def test_a_conversation_is_deleted_and_may_be_gone_already() -> None:
    _, requests = answered(CONVERSATIONS.delete(BOUND), b'{"detail":"Conversation not found"}')
    assert requests == [
        VendorRequest("DELETE", THERE, headers=JSON, effect="repeatable", own_statuses=frozenset({404}))
    ]


@pytest.mark.parametrize("ids", [{}, {"conversation": ""}, {"conversation": ".."}, {"conversation": "\ud800"}])
def test_a_conversation_that_cannot_stand_in_a_path_is_refused(ids: dict[str, str]) -> None:
    for calls in (
        CONVERSATIONS.delete(ids),
        CONVERSATIONS.messages(ids),
        FILES.list_files(ids),
        FRAMES.list_frames(ids),
    ):
        with pytest.raises(GatewayError) as caught:
            next(calls)
        assert caught.value.code == "bad_request"


def test_messages_are_read_page_by_page_with_all_their_parts() -> None:
    asked = {
        "message_id": "m1",
        "role": "user",
        "content": [
            {"kind": "text", "text": "Look"},
            {"kind": "attachment", "name": "a.csv", "mime_type": "text/csv", "base64_data": "YQ=="},
        ],
    }
    told = {
        "message_id": "m2",
        "role": "agent",
        "content": [
            {"kind": "thought", "thought": "Hm"},
            {
                "kind": "tool_call",
                "name": "look",
                "tool_call_id": "t1",
                "arguments_raw": "{}",
                "status": "finished",
                "result": "ok",
            },
            {"kind": "text", "text": "One"},
            {"kind": "hologram"},
            {"kind": "text", "text": "Two"},
        ],
    }
    old = {"type": "agent", "content": "Bye"}
    messages, requests = answered(
        CONVERSATIONS.messages(BOUND),
        {"next": "p2", "has_more": True, "data": [asked, {"role": "system", "content": "x"}]},
        {"next": "p3", "messages": [told]},
        {"next": None, "has_more": False, "data": [old]},
    )
    assert requests == [page(f"{THERE}/messages"), page(f"{THERE}/messages", "p2"), page(f"{THERE}/messages", "p3")]
    assert messages == [
        VendorMessage("user", "Look", "m1", [TextPart("Look", 0), FilePart(name="a.csv", media_type="text/csv")]),
        VendorMessage(
            "assistant",
            "One\n\nTwo",
            "m2",
            [
                ReasoningPart("Hm", 0),
                ToolCallPart("t1", "look", {}, 1),
                ToolResultPart("t1", "ok", is_error=False, name="look"),
                TextPart("One", 2),
                TextPart("Two", 3),
            ],
        ),
        VendorMessage("assistant", "Bye", None, [TextPart("Bye", 0)]),
    ]


@pytest.mark.parametrize("listed", [[], {"data": []}, {"next": "x", "has_more": False, "data": []}])
def test_a_conversation_may_have_no_messages(listed: Any) -> None:
    assert result(CONVERSATIONS.messages(BOUND), listed) == []


@pytest.mark.parametrize("listed", [b"", b"7", {}, {"data": None}, {"data": [7]}, [7], [{"content": 7}]])
def test_messages_of_another_shape_are_malformed(listed: Any) -> None:
    malformed(CONVERSATIONS.messages(BOUND), listed)


def test_a_list_that_does_not_end_is_refused() -> None:
    with pytest.raises(GatewayError) as caught:
        answered(CONVERSATIONS.messages(BOUND), *[{"next": "again", "data": []}] * 101)
    assert (caught.value.code, caught.value.cause) == ("upstream_protocol", "too_large")


def conversation(name: str, cid: str, **fields: Any) -> dict[str, Any]:
    return {"id": cid, "name": name, "agent_id": "a1", **fields}


CLUE = Clue("Where is\norder 42?", NOON)
OURS = conversation("Where is order 42?", "c1")


def test_a_lost_conversation_is_found_by_its_name_and_its_first_message() -> None:
    found, requests = answered(
        CONVERSATIONS.find(CLUE),
        {"next": "p2", "has_more": True, "data": [conversation("Hi", "c0"), OURS]},
        {"data": [conversation("Where is order 42?", "c2")]},
        {"data": [{"role": "user", "content": "x", "created_at": AFTER}, {"created_at": BEFORE}]},
        {"data": [{"role": "user", "content": "x", "created_at": BEFORE}]},
    )
    assert found == {"conversation": "c1"}
    assert requests == [page(HERE), page(HERE, "p2"), page(f"{HERE}/c1/messages"), page(f"{HERE}/c2/messages")]


def test_a_list_that_tells_when_a_conversation_began_needs_no_messages() -> None:
    assert result(CONVERSATIONS.find(CLUE), [{**OURS, "created_at": "2026-06-05T12:00:00"}]) == {"conversation": "c1"}
    assert result(CONVERSATIONS.find(CLUE), [{**OURS, "created_at": BEFORE}]) == {}


@pytest.mark.parametrize(
    "answers",
    [
        ([[]]),
        ([[conversation("Hi", "c0")]]),
        ([[{"id": "c0"}]]),
        ([[OURS], []]),
        ([[OURS], [{"created_at": "yesterday"}]]),
        ([[OURS], [{}]]),
        ([[{**OURS, "created_at": AFTER}, {**OURS, "id": "c2", "created_at": AFTER}]]),
        ([[OURS] * 6]),
        ([{"next": "on", "data": [OURS]}] * 5),
    ],
)
def test_a_conversation_that_is_not_surely_ours_is_not_found(answers: list[Any]) -> None:
    assert result(CONVERSATIONS.find(CLUE), *answers) == {}


def test_a_list_without_ids_is_malformed() -> None:
    malformed(CONVERSATIONS.find(CLUE), [{"name": "x"}])


# --- files

STORED = {
    "file_id": "f1",
    "file_path": None,
    "file_ref": "report.pdf",
    "file_hash": "h",
    "file_size_raw": 3,
    "mime_type": "application/pdf",
    "created_at": AFTER,
    "embedded": False,
}
REPORT = VendorFile(
    "report.pdf", "report.pdf", "application/pdf", 3, datetime(2026, 6, 5, 12, 0, 1, tzinfo=UTC), within="c/1"
)


@pytest.mark.parametrize("listed", [[STORED], {"data": [STORED]}])
def test_files_are_listed(listed: Any) -> None:
    files, requests = answered(FILES.list_files(BOUND), listed)
    assert (files, requests) == ([REPORT], [VendorRequest("GET", f"{THERE}/files", headers=JSON)])


@pytest.mark.parametrize(
    ("ref", "name"), [("../../etc/passwd", "passwd"), ("a\\b.txt", "b.txt"), ("a/", "file"), ("", "file")]
)
def test_a_files_name_holds_no_path(ref: str, name: str) -> None:
    assert result(FILES.list_files(BOUND), [{"file_ref": ref, "created_at": 7}]) == [
        VendorFile(ref, name, within="c/1")
    ]


@pytest.mark.parametrize("listed", [[{}], [{"file_ref": 7}], [7], {}, b"x"])
def test_files_of_another_shape_are_malformed(listed: Any) -> None:
    malformed(FILES.list_files(BOUND), listed)


def test_a_file_is_uploaded_by_itself() -> None:
    file = NewFile("report.pdf", "application/pdf", b"abc")
    stored, requests = answered(FILES.upload(BOUND, file), [STORED])
    assert stored == REPORT
    assert requests == [
        VendorRequest(
            "POST",
            f"{THERE}/files",
            headers=JSON,
            body=Form((FormPart("files", b"abc", "report.pdf", "application/pdf"),)),
            effect="once",
        )
    ]


def test_a_file_may_be_stored_under_another_name() -> None:
    file = NewFile("report.pdf", "application/pdf", b"abc")
    assert result(FILES.upload(BOUND, file), [{"file_ref": "report (1).pdf"}]).ref == "report (1).pdf"
    assert result(FILES.upload(BOUND, file), {"data": [{"file_ref": "a"}, STORED]}) == REPORT


@pytest.mark.parametrize("stored", [[], [{"file_ref": "a"}, {"file_ref": "b"}]])
def test_an_upload_that_cannot_be_found_again_is_malformed(stored: Any) -> None:
    malformed(FILES.upload(BOUND, NewFile("report.pdf", "application/pdf", b"abc")), stored)


def test_a_file_whose_name_is_none_is_not_uploaded() -> None:
    with pytest.raises(GatewayError) as caught:
        next(FILES.upload(BOUND, NewFile("a\r\nb", "text/plain", b"")))
    assert caught.value.code == "bad_request"


PLAIN = ["a b.csv", "3.04.05\u202fPM.png", "\U0001f469\u200d\U0001f4bb.txt", "\u65e5\u672c.csv", "a\xa0b", "e\u0301"]
UNPLAIN = ["a\nb", "a\rb", "a\x85b", "a\x1bb", "a\u2028b", "a\u2029b", "gpj\u202e.exe", "a\u2066b", "\udc80"]


@pytest.mark.parametrize("name", PLAIN, ids=ascii)
def test_a_name_in_any_letters_is_a_name(name: str) -> None:
    assert checked_name(name) == name
    assert FILES.download(BOUND, VendorFile(name, "x")).query == {"file_ref": name}


@pytest.mark.parametrize("name", UNPLAIN, ids=ascii)
def test_a_name_that_ends_a_line_or_turns_letters_round_is_none(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        checked_name(name)
    assert caught.value.code == "bad_request"
    with pytest.raises(GatewayError) as caught:
        FILES.download(BOUND, VendorFile(name, "x"))
    assert caught.value.code == "bad_request"


def test_a_file_is_downloaded_by_its_reference_which_is_no_path() -> None:
    ref = "../a b&c=\u00e9/?#.pdf"
    assert FILES.download(BOUND, VendorFile(ref, "x")) == VendorRequest(
        "GET", f"{THERE}/files/download/", query={"file_ref": ref}
    )


@pytest.mark.parametrize("ref", ["", "a\0", "a\r\nb", "\ud800", "x" * 1025])
def test_a_reference_that_cannot_be_sent_is_refused(ref: str) -> None:
    with pytest.raises(GatewayError) as caught:
        FILES.download(BOUND, VendorFile(ref, "x"))
    assert caught.value.code == "bad_request"


# --- data frames

SALES = {
    "data_frame_id": "d1",
    "name": "sales 2025/06",
    "description": None,
    "num_rows": 2,
    "num_columns": 2,
    "created_at": AFTER,
    "column_headers": ["region", "total"],
    "sample_rows": [],
}
NAME = "sales 2025/06"
PART = Slice(offset=1, limit=2)
ROWS = Rows(NAME, ["region", "total"], [["north", 620], ["west", None]])
OBJECTS = [{"region": "north", "total": 620}, {"region": "west", "total": None}]
LISTS = [["north", 620], ["west", None]]


def test_data_frames_are_listed_without_their_rows() -> None:
    frames, requests = answered(FRAMES.list_frames(BOUND), [SALES])
    assert frames == [
        DataFrameAnswer(NAME, ["region", "total"], row_count=2, created_at=datetime(2026, 6, 5, 12, 0, 1, tzinfo=UTC))
    ]
    assert requests == [VendorRequest("GET", f"{THERE}/data-frames", query={"num_samples": "0"}, headers=JSON)]


def test_rows_are_asked_for_with_all_that_the_client_wants() -> None:
    part = Slice(offset=3, limit=7, columns=["total", "region"], order="-total")
    request = next(FRAMES.rows(BOUND, NAME, part))
    assert request == VendorRequest(
        "GET",
        f"{THERE}/data-frames/sales%202025%2F06",
        query={
            "offset": "3",
            "limit": "7",
            "output_format": "json",
            "column_names": "total,region",
            "order_by": "-total",
        },
        headers=JSON,
    )


@pytest.mark.parametrize(
    "written",
    [
        OBJECTS,
        [{"region": "north", "total": 620}, {"region": "west"}],
        {"columns": ["region", "total"], "rows": LISTS},
        {"columns": ["region", "total"], "data": LISTS, "index": [0, 1]},
        {"column_names": ["region", "total"], "rows": LISTS},
        {"column_headers": ["region", "total"], "rows": OBJECTS},
        {"columns": None, "data": OBJECTS},
        [*OBJECTS, {"region": "more than was asked for", "total": 1}],
    ],
)
def test_rows_are_read_in_every_shape(written: Any) -> None:
    assert result(FRAMES.rows(BOUND, NAME, PART), written) == ROWS


@pytest.mark.parametrize("written", [LISTS, {"rows": LISTS}])
def test_lists_without_columns_have_those_of_the_list_of_frames(written: Any) -> None:
    rows, requests = answered(FRAMES.rows(BOUND, NAME, PART), written, [{"name": "x"}, SALES])
    assert rows == ROWS
    assert requests[1] == VendorRequest("GET", f"{THERE}/data-frames", query={"num_samples": "0"}, headers=JSON)


def test_no_rows_have_the_columns_of_the_list_of_frames() -> None:
    assert result(FRAMES.rows(BOUND, NAME, PART), [], [SALES]) == Rows(NAME, ["region", "total"], [])
    assert result(FRAMES.rows(BOUND, NAME, PART), [], []) == Rows(NAME, [], [])


def test_lists_without_columns_have_those_that_were_asked_for() -> None:
    part = Slice(columns=["total", "region"])
    assert result(FRAMES.rows(BOUND, NAME, part), [[620, "north"]]) == Rows(NAME, ["total", "region"], [[620, "north"]])


@pytest.mark.parametrize("written", [OBJECTS, {"columns": ["region", "total"], "rows": LISTS}])
def test_columns_stand_in_the_order_that_was_asked_for(written: Any) -> None:
    part = Slice(columns=["total"])
    assert result(FRAMES.rows(BOUND, NAME, part), written) == Rows(NAME, ["total"], [[620], [None]])


def test_lists_of_all_columns_are_cut_to_those_that_were_asked_for() -> None:
    part = Slice(columns=["total"])
    assert result(FRAMES.rows(BOUND, NAME, part), LISTS, [SALES]) == Rows(NAME, ["total"], [[620], [None]])


@pytest.mark.parametrize(
    "answers",
    [
        [b"PAR1"],
        [7],
        [{}],
        [[7]],
        [[{"a": 1}, [1]]],
        [{"columns": ["a"], "rows": [[1, 2]]}],
        [{"columns": "a", "rows": []}],
        [[[1]], []],
    ],
)
def test_rows_of_another_shape_are_malformed(answers: list[Any]) -> None:
    malformed(FRAMES.rows(BOUND, NAME, PART), *answers)


def test_a_table_without_a_column_that_was_asked_for_is_malformed() -> None:
    malformed(FRAMES.rows(BOUND, NAME, Slice(columns=["profit"])), OBJECTS)


def test_a_column_whose_name_holds_a_comma_cannot_be_asked_for() -> None:
    with pytest.raises(GatewayError) as caught:
        next(FRAMES.rows(BOUND, NAME, Slice(columns=["a,b"])))
    assert (caught.value.code, caught.value.details) == ("unsupported", {"path": "$.columns"})


@pytest.mark.parametrize("name", ["", ".", "..", "a\0", "\ud800"])
def test_a_data_frame_whose_name_cannot_stand_in_a_path_is_refused(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        next(FRAMES.rows(BOUND, name, PART))
    assert caught.value.code == "bad_request"


def test_a_data_frame_is_downloaded_in_another_format() -> None:
    assert FRAMES.download(BOUND, NAME, Slice(format="parquet", order="total")) == VendorRequest(
        "GET",
        f"{THERE}/data-frames/sales%202025%2F06",
        query={"offset": "0", "limit": "100", "output_format": "parquet", "order_by": "total"},
    )

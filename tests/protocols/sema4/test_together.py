"""The translator and its ports against the simulator, which shares no code with them."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import InputRequested, MessageCompleted, Notice, TextCompleted
from gateway.canonical.message import FilePart, InputResponsePart, TextPart
from gateway.canonical.resources import DataFrameAnswer, Rows, Slice
from gateway.canonical.turn import AskPart
from gateway.protocols.base import (
    Calls,
    Clue,
    Credentials,
    NewConversation,
    NewFile,
    VendorFile,
    VendorMessage,
)
from gateway.protocols.sema4 import SEMA4
from gateway.protocols.sema4.conversations import Sema4Conversations
from gateway.protocols.sema4.data_frames import Sema4DataFrames
from gateway.protocols.sema4.files import Sema4Files
from gateway.protocols.sema4.plays import PLAYS
from gateway.protocols.sema4.simulator import PARQUET, REFUSALS, Sema4Simulator
from gateway.protocols.sema4.translator import Sema4Target, Sema4Translator
from tests.support.simulating import Meeting
from tests.support.translating import Told

T = TypeVar("T")
NOW = datetime(2026, 6, 5, 15, 40, 49, 732328, UTC)


def make(agent: str = "a1", **settings: Any) -> Sema4Translator:
    return Sema4Translator(Sema4Target(agent, **settings), Blocks(Numbering()))


def meet(simulator: Sema4Simulator, **settings: Any) -> Meeting[Sema4Translator]:
    return Meeting(simulator, make(**settings), Credentials({"api_key": "k"}))


def talk(
    simulator: Sema4Simulator, parts: list[AskPart], ids: dict[str, str], *, stream: bool = True, **settings: Any
) -> tuple[Told, dict[str, str]]:
    """One turn: what was told, and the binding after it."""
    meeting = meet(simulator, upstream_stream=stream, **settings)
    return meeting.talk(parts, vendor_ids=ids, stream=stream), meeting.translator.vendor_ids


def ask(simulator: Sema4Simulator, calls: Calls[T]) -> T:
    """What a port's calls come to."""
    return meet(simulator).follow(calls)


def texts(told: Told) -> list[str]:
    return [event.text for event in told if isinstance(event, TextCompleted)]


ENDS_WELL = sorted(name for name, play in PLAYS.items() if play.ending == "finished")
LOOSE_ENDS = ["plain-text", "snapshots", "user-input"]


@pytest.mark.parametrize("name", ["", *ENDS_WELL])
@pytest.mark.parametrize("stream", [True, False])
def test_each_play_that_ends_well_is_completed_and_binds_the_conversation(*, name: str, stream: bool) -> None:
    told, ids = talk(Sema4Simulator(name), [TextPart("hi")], {}, stream=stream)
    assert [event for event in told if not isinstance(event, Notice)][-1] == MessageCompleted("stop")
    assert ids["conversation"] == "529a03ad-5e61-58a6-bb91-7b491b10c201"


@pytest.mark.parametrize("name", LOOSE_ENDS)
def test_each_play_without_a_typed_end_is_completed(name: str) -> None:
    told, _ = talk(Sema4Simulator(name), [TextPart("hi")], {})
    assert isinstance(told[-1], MessageCompleted)


@pytest.mark.parametrize("name", sorted(set(PLAYS) - set(ENDS_WELL) - set(LOOSE_ENDS)))
def test_each_play_that_ends_badly_is_a_failure(name: str) -> None:
    with pytest.raises(GatewayError):
        talk(Sema4Simulator(name), [TextPart("hi")], {})


@pytest.mark.parametrize("name", sorted(set(PLAYS) - set(ENDS_WELL)))
def test_a_run_that_does_not_finish_is_no_document(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        talk(Sema4Simulator(name), [TextPart("hi")], {}, stream=False)
    assert caught.value.code == "upstream_unavailable"


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_each_refusal_is_a_failure_with_the_vendors_code(name: str) -> None:
    with pytest.raises(GatewayError) as caught:
        talk(Sema4Simulator(name), [TextPart("hi")], {})
    refused = REFUSALS[name]
    shown = None if refused.detail or not refused.code else refused.code
    assert (caught.value.vendor_status, caught.value.vendor_code) == (refused.status, shown)


@pytest.mark.parametrize("authorization", ["bearer", "snowflake"])
def test_both_schemes_are_let_in(authorization: str) -> None:
    told, _ = talk(Sema4Simulator("text"), [TextPart("hi")], {}, authorization=authorization)
    assert texts(told) == ["Hello!"]


@pytest.mark.parametrize("name", ["tool", "citations", "chart", "quick-actions", "attachment", "operations"])
def test_a_stream_and_a_document_tell_the_same_texts(name: str) -> None:
    streamed, _ = talk(Sema4Simulator(name), [TextPart("hi")], {})
    whole, _ = talk(Sema4Simulator(name), [TextPart("hi")], {}, stream=False)
    assert texts(streamed) == texts(whole)


def test_a_question_is_answered_by_the_next_message() -> None:
    simulator = Sema4Simulator()
    told, ids = talk(simulator, [TextPart("[play:user-input] hi")], {})
    assert told[-2:] == [InputRequested("input_0", "question", "Which year?"), MessageCompleted("input_required")]
    told, after = talk(simulator, [InputResponsePart("input_0", text="2025")], ids)
    assert texts(told) == ["You asked: “2025”. I am a simulated Sema4.ai agent, so all I can do is repeat it."]
    assert after["conversation"] == ids["conversation"]


def test_a_conversation_that_was_deleted_is_not_found_and_may_be_deleted_again() -> None:
    simulator = Sema4Simulator()
    conversations = Sema4Conversations(make())
    ids = ask(simulator, conversations.create(NewConversation("Invoices", lambda: "new")))
    ask(simulator, conversations.delete(ids))
    ask(simulator, conversations.delete(ids))
    with pytest.raises(GatewayError) as caught:
        talk(simulator, [TextPart("hi")], ids)
    assert caught.value.code == "upstream_not_found"


def test_messages_are_listed_with_what_was_asked_and_said() -> None:
    simulator = Sema4Simulator("text")
    _, ids = talk(simulator, [TextPart("hi")], {})
    listed = ask(simulator, Sema4Conversations(make()).messages(ids))
    assert listed == [
        VendorMessage("user", "hi", "ad6322f1-c398-5dc6-bb34-e54924fee65e", [TextPart("hi", 0)]),
        VendorMessage("assistant", "Hello!", "f350de66-d210-5e60-a6b2-c523322f22a6", [TextPart("Hello!", 0)]),
    ]


def test_a_lost_conversation_is_found_among_more_than_a_page() -> None:
    simulator = Sema4Simulator("text")
    conversations = Sema4Conversations(make())
    for number in range(120):
        ask(simulator, conversations.create(NewConversation(f"Other {number}", lambda: "new")))
    _, ids = talk(simulator, [TextPart("Where is\nit?")], {})
    found = ask(simulator, conversations.find(Clue("Where is\nit?", NOW)))
    assert found == {"conversation": ids["conversation"]}
    assert ask(simulator, conversations.find(Clue("Where is\nit?", NOW + timedelta(seconds=1)))) == {}
    assert ask(simulator, conversations.find(Clue("Other 7", NOW))) == {}


def test_files_are_uploaded_listed_and_downloaded() -> None:
    simulator = Sema4Simulator("text")
    files = Sema4Files(make())
    sent: list[AskPart] = [
        TextPart("Compare"),
        FilePart(data="YQ==", name="a b.csv", media_type="text/csv"),
        FilePart(data="AP8=", name="é.bin"),
    ]
    _, ids = talk(simulator, sent, {})
    stored = ask(simulator, files.upload(ids, NewFile("c.txt", "text/plain", b"see")))
    assert stored == VendorFile("c.txt", "c.txt", "text/plain", 3, NOW, within=ids["conversation"])
    listed = ask(simulator, files.list_files(ids))
    assert [(file.name, file.media_type, file.size) for file in listed] == [
        ("a b.csv", "text/csv", 1),
        ("é.bin", "application/octet-stream", 2),
        ("c.txt", "text/plain", 3),
    ]
    answer = meet(simulator).answer(files.download(ids, listed[1]))
    assert (answer.headers["Content-Disposition"], answer.body) == (
        "attachment; filename*=UTF-8''%C3%A9.bin",
        b"\x00\xff",
    )


@pytest.mark.parametrize("play", ["chart", "frame-lists", "frame-columns", "frame-data"])
def test_a_data_frame_is_listed_and_read_in_every_shape(play: str) -> None:
    simulator = Sema4Simulator(play)
    frames = Sema4DataFrames(make())
    _, ids = talk(simulator, [TextPart("hi")], {})
    assert ask(simulator, frames.list_frames(ids)) == [
        DataFrameAnswer("sales", ["region", "total"], row_count=3, created_at=NOW)
    ]
    whole: list[list[Any]] = [["north", 620], ["south", 310], ["west", None]]
    assert ask(simulator, frames.rows(ids, "sales", Slice())) == Rows("sales", ["region", "total"], whole)
    part = Slice(offset=1, limit=1, columns=["total"], order="-total")
    assert ask(simulator, frames.rows(ids, "sales", part)) == Rows("sales", ["total"], [[310]])
    assert ask(simulator, frames.rows(ids, "sales", Slice(offset=3))) == Rows("sales", ["region", "total"], [])


def test_a_data_frame_is_downloaded_as_parquet() -> None:
    simulator = Sema4Simulator("chart")
    _, ids = talk(simulator, [TextPart("hi")], {})
    answer = meet(simulator).answer(Sema4DataFrames(make()).download(ids, "sales", Slice(format="parquet")))
    assert (answer.headers["Content-Type"], answer.body) == ("application/octet-stream", PARQUET)


def test_a_data_frame_that_is_not_there_is_not_found() -> None:
    simulator = Sema4Simulator("text")
    _, ids = talk(simulator, [TextPart("hi")], {})
    with pytest.raises(GatewayError) as caught:
        ask(simulator, Sema4DataFrames(make()).rows(ids, "none", Slice()))
    assert caught.value.code == "upstream_not_found"


def test_the_descriptor_makes_them_all() -> None:
    assert (SEMA4.translator, SEMA4.simulator) == (Sema4Translator, Sema4Simulator)
    assert (SEMA4.conversations, SEMA4.files, SEMA4.data_frames) == (Sema4Conversations, Sema4Files, Sema4DataFrames)

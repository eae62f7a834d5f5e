"""The two dialects of Hardwire's stream: what its manual documents, and what its server sends.

Source: the manual's chapter on streaming, the server's `messages/stream` handler; read 2026-11.
"""

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.events import (
    Event,
    MessageCompleted,
    Notice,
    Source,
    TextCompleted,
    TextDelta,
    TextStarted,
    ToolCallCompleted,
    ToolCallDelta,
    ToolCallStarted,
    ToolResult,
)
from gateway.framing.record import Record
from gateway.protocols.hardwire.translator import HardwireTarget, HardwireTranslator


def read(*frames: str) -> tuple[list[Event | Notice], dict[str, str]]:
    """What frames mean, and what the vendor calls things afterwards."""
    translator = HardwireTranslator(HardwireTarget("gpt-4o"), Blocks(Numbering()))
    told = [event for frame in frames for event in translator.feed(Record(frame.encode()))]
    return [*told, *translator.finish()], translator.vendor_ids


def test_the_documented_dialect() -> None:
    told, ids = read(
        '{"type":"start","messageId":"m2"}',
        '{"type":"tool_call","toolName":"exa-web-search","toolArgs":{"query":"qubits"}}',
        '{"type":"tool_result","toolName":"exa-web-search","result":{"items":[]}}',
        '{"type":"content","delta":"Quantum"}',
        '{"type":"content","delta":" bits"}',
        '{"type":"end","messageId":"m2"}',
    )
    started = told[0]
    assert isinstance(started, ToolCallStarted)
    call = started.tool_call_id
    assert told == [
        ToolCallStarted(0, call, "exa-web-search", "vendor"),
        ToolCallDelta(0, call, '{"query":"qubits"}'),
        ToolCallCompleted(0, call, "exa-web-search", {"query": "qubits"}, "complete"),
        ToolResult(call, {"items": []}, is_error=False, name="exa-web-search"),
        TextStarted(1),
        TextDelta(1, "Quantum"),
        TextDelta(1, " bits"),
        TextCompleted(1, "Quantum bits"),
        MessageCompleted("stop"),
    ]
    assert ids == {"message": "m2"}


def test_the_servers_dialect() -> None:
    told, ids = read(
        '{"type":"user_message","message":{"id":"m1","role":"user","content":"Explain",'
        '"createdAt":"2026-03-01T12:00:00.000Z"}}',
        '{"type":"token","token":"Quantum"}',
        '{"type":"token","token":" bits"}',
        '{"type":"complete","message":{"id":"m2","role":"assistant","content":"Quantum bits",'
        '"createdAt":"2026-03-01T12:00:04.000Z","sources":[{"url":"https://example.org/q","title":"Qubits"}]},'
        '"chatId":"c1"}',
    )
    sources = [(event.url, event.title) for event in told if isinstance(event, Source)]
    assert sources == [("https://example.org/q", "Qubits")]
    assert [event for event in told if not isinstance(event, Source)] == [
        TextStarted(0),
        TextDelta(0, "Quantum"),
        TextDelta(0, " bits"),
        TextCompleted(0, "Quantum bits"),
        MessageCompleted("stop"),
    ]
    assert ids["message"] == "m2"

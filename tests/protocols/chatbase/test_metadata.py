"""The four shapes in which Chatbase tells its metadata, each for itself: all mean the same record.

Source: the vendor's streaming guide, its SDKs for Android and iOS, its command line; read 2026-11.
"""

from gateway.canonical.blocks import Blocks, Numbering
from gateway.canonical.events import Event, MessageCompleted, Notice, UsageReported
from gateway.framing.record import Record
from gateway.protocols.chatbase.translator import ChatbaseTarget, ChatbaseTranslator

IDS = {"conversation": "conv-1", "message": "msg_1", "user_message": "msg_0"}
TOLD = [UsageReported(credits=1.5), MessageCompleted("stop", "stop")]


def read(*frames: str) -> tuple[list[Event | Notice], dict[str, str]]:
    """What frames mean, and what the vendor calls things afterwards."""
    translator = ChatbaseTranslator(ChatbaseTarget("agent-1"), Blocks(Numbering()))
    told = [event for frame in frames for event in translator.feed(Record(frame.encode()))]
    return [*told, *translator.finish()], translator.vendor_ids


def test_flat_metadata_of_the_streaming_guide() -> None:
    told = read(
        '{"type":"message-metadata","messageId":"msg_1","userMessageId":"msg_0","conversationId":"conv-1",'
        '"userId":null,"usage":{"credits":1.5}}',
        '{"type":"finish","finishReason":"stop"}',
    )
    assert told == (TOLD, IDS)


def test_metadata_below_message_metadata() -> None:
    told = read(
        '{"type":"message-metadata","messageMetadata":{"messageId":"msg_1","userMessageId":"msg_0",'
        '"conversationId":"conv-1","userId":null,"usage":{"credits":1.5}}}',
        '{"type":"finish","finishReason":"stop"}',
    )
    assert told == (TOLD, IDS)


def test_message_metadata_in_the_finish_of_the_mobile_sdks() -> None:
    """Android's reason is beside it, the one of iOS and of the command line inside."""
    metadata = (
        '"messageId":"msg_1","userMessageId":"msg_0","conversationId":"conv-1","userId":null,"usage":{"credits":1.5}'
    )
    beside = read('{"type":"finish","finishReason":"stop","messageMetadata":{%s}}' % metadata)  # noqa: UP031
    inside = read('{"type":"finish","messageMetadata":{%s,"finishReason":"stop"}}' % metadata)  # noqa: UP031
    assert (beside, inside) == ((TOLD, IDS), (TOLD, IDS))


def test_metadata_in_the_finish_of_the_guide_to_user_conversations() -> None:
    """It tells no message ids."""
    told = read(
        '{"type":"finish","finishReason":"stop","metadata":{"conversationId":"conv-1","userId":"user_abc123",'
        '"usage":{"credits":1.5}}}'
    )
    assert told == (TOLD, {"conversation": "conv-1"})

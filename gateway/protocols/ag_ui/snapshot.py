"""`MESSAGES_SNAPSHOT`: all messages of a thread as the server has them; which of them are the answer in hand.

They stand behind the last user message, and are none of those that we told: by id, or where a server renames what it
is told, by text and by the ids of calls. A message that cannot be read is passed by.
"""

from collections.abc import Iterable

from msgspec import Raw

from gateway.framing.typed import Malformed, open_union
from gateway.protocols.ag_ui import run_input
from gateway.protocols.ag_ui.telling import Told

_decode_message = open_union(run_input.Message)


def answer_in(messages: Iterable[Raw], told: Told) -> list[run_input.AssistantMessage | run_input.ToolMessage]:
    ids, calls, texts = told.ids, told.calls, told.texts
    answer: list[run_input.AssistantMessage | run_input.ToolMessage] = []
    for raw in messages:
        match _read(raw):
            case run_input.UserMessage():
                answer = []
            case run_input.AssistantMessage() as message if message.id not in ids:
                known = calls & {call.id for call in message.tool_calls or ()}
                if not known and message.content not in texts:
                    answer.append(message)
            case run_input.ToolMessage() as message if message.id not in ids and message.tool_call_id not in calls:
                answer.append(message)
            case _:
                continue
    return answer


def _read(raw: Raw) -> object:
    try:
        return _decode_message(bytes(raw))
    except Malformed:
        return None

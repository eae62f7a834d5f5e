"""Dimedove's Apps API v1 as it is spelled on the wire.

What we send is a `NewConversation` or a `Send`. What comes back is a stream of the events named in `EVENTS`, or one
`Answer`; a refusal is a `Refusal`. A stream says `call_id` and `function_call`, a kept conversation `toolCallId` and
`tool-call`.

Source: docs.dimedove.com/api-reference and /developer/apps/custom-tools, openapi/apps-api.json, the vendor's sample
chat app (`Dimedove/dimedove-cookbook`); read 2026-11.
"""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

DONE = b"[DONE]"

CallId = Annotated[str, Meta(min_length=1)]
ConversationId = Annotated[str, Meta(pattern=r"^(?!\.{1,2}\Z)[\x21-\x7e]{1,256}\Z")]
"""It goes into paths."""


# --- what we send


class NewConversation(Struct, frozen=True, omit_defaults=True):
    external_user_id: str | None = None
    title: str | None = None
    metadata: dict[str, Any] = {}


class UserMessage(Struct, frozen=True):
    role: str
    content: str


class Send(Struct, frozen=True):
    """Without `stream` the App's own default would decide."""

    message: UserMessage
    stream: bool
    metadata: dict[str, Any] | UnsetType = UNSET


# --- events


class Event(Struct, frozen=True):
    """Any event; one that holds an `error` is a failure whatever its name."""

    error: Any = None


class Created(Event, frozen=True):
    """As it is documented it has no `type`, as has `Completed`."""

    id: str | None = None
    conversation_id: str | None = None


class TextDelta(Event, frozen=True, kw_only=True):
    delta: str
    output_index: int = 0
    content_index: int = 0


class TextDone(Event, frozen=True, kw_only=True):
    """Repeats the whole text."""

    text: str
    output_index: int = 0
    content_index: int = 0


class CallStart(Event, frozen=True, kw_only=True):
    call_id: CallId
    name: str


class CallDelta(Event, frozen=True, kw_only=True):
    call_id: CallId
    delta: str


class CallDone(Event, frozen=True, kw_only=True):
    call_id: CallId
    name: str | None = None
    arguments: str | None = None


class ItemDone(Event, frozen=True, kw_only=True):
    item: Raw


class DataSpec(Event, frozen=True, kw_only=True):
    data: Any


class Completed(Event, frozen=True):
    """The success terminal, unless its status says otherwise."""

    id: str | None = None
    status: str = "completed"


class Failed(Event, frozen=True):
    """The failure terminal; its `error` may be absent."""

    id: str | None = None


EVENTS: dict[str, type[Event]] = {
    "response.created": Created,
    "response.output_text.delta": TextDelta,
    "response.output_text.done": TextDone,
    "response.function_call.start": CallStart,
    "response.function_call_arguments.delta": CallDelta,
    "response.function_call_arguments.done": CallDone,
    "response.output_item.done": ItemDone,
    "response.data_spec": DataSpec,
    "response.completed": Completed,
    "response.failed": Failed,
}


class Named(Struct, frozen=True):
    """What is looked for in an event whose `event` line does not say what it is."""

    type: str | None = None


# --- the document


class Answer(Struct, frozen=True):
    """A whole response; each item is decoded by itself, so that an unknown kind passes by."""

    id: str
    conversation_id: str | None = None
    output: list[Raw] = []
    status: str = "completed"
    error: Any = None


class Message(Struct, frozen=True, tag_field="type", tag="message"):
    content: list[Raw] | None = None


class FunctionCall(Struct, frozen=True, tag_field="type", tag="function_call"):
    """`arguments` is JSON text, or null for a tool that only signals."""

    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None


class DataSpecItem(Struct, frozen=True, tag_field="type", tag="data_spec"):
    data: Any


class Text(Struct, frozen=True, tag_field="type", tag="text"):
    text: str


class OutputText(Text, frozen=True, tag_field="type", tag="output_text"):
    """As the API that Dimedove's resembles has it."""


Item = Message | FunctionCall | DataSpecItem
Content = Text | OutputText


# --- kept conversations


class Conversation(Struct, frozen=True):
    """`created_at` is seconds since 1970."""

    id: ConversationId
    created_at: float = 0
    external_user_id: str | None = None


class ConversationPage(Struct, frozen=True):
    data: list[Conversation]
    last_id: str | None = None
    has_more: bool = False


class Deleted(Struct, frozen=True):
    deleted: bool = True


class KeptItem(Struct, frozen=True):
    """A message; each part is decoded by itself."""

    role: str
    id: str | None = None
    parts: list[Raw] = []
    created_at: float = 0


class ConversationDetail(Struct, frozen=True):
    items: list[KeptItem] = []


class KeptText(Struct, frozen=True, tag_field="type", tag="text"):
    text: str


class KeptCall(Struct, frozen=True, tag_field="type", tag="tool-call", rename="camel"):
    """`output` is what the tool gave; null where that is not told."""

    tool_call_id: CallId
    tool_name: str
    input: dict[str, Any] | None = None
    output: Any = None


class KeptSpec(Struct, frozen=True, tag_field="type", tag="data-spec"):
    data: Any


KeptPart = KeptText | KeptCall | KeptSpec


# --- refusals


class Refusal(Struct, frozen=True):
    """`error` is an object (`type`, `message`, `code`); the framework below answers `detail`, a text or a list."""

    error: Any = None
    detail: Any = None
    message: Any = None

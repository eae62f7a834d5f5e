"""What the client asks: `MessageRequest` as it came in, strictly decoded, and `Turn` as a translator is handed it."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from gateway.canonical.message import FilePart, ImagePart, InputResponsePart, Part, Role, TextPart, ToolResultPart

Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._-]+\Z")]
"""Names and ids a client may send: they go into paths, headers, labels and keys, so they hold no special character."""

UserId = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+\Z")]

AskPart = TextPart | ImagePart | FilePart | ToolResultPart | InputResponsePart

MAX_METADATA = 16 * 1024

EARLIER, NOW = "{earlier}", "{now}"
CATCH_UP_TEMPLATE = f"[Earlier in this conversation]\n{EARLIER}\n[Now]\n{NOW}"
"""How what a vendor missed is marked, where it takes only a text."""


class Strict(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Part of our own API: an unknown field is refused with its path."""


class Tool(Strict, frozen=True):
    """A tool the client runs; `parameters` is a JSON schema."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str | None = None
    parameters: dict[str, Any] = {}
    strict: bool | None = None
    """Whether the arguments must fit the schema."""


class NamedTool(Strict, frozen=True):
    name: Annotated[str, Meta(min_length=1, max_length=128)]


class ResponseFormat(Strict, frozen=True):
    """What the text of an answer is to be; `schema`, which it then must fit where `strict`, goes with `json_schema`."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


Effort = Literal["none", "minimal", "low", "medium", "high"]


class Parameters(Strict, frozen=True):
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop: list[str] = []
    seed: int | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: Effort | None = None


class HistoryMessage(Strict, frozen=True):
    role: Role
    parts: list[Part]


class MessageRequest(Strict, frozen=True):
    """The body of `POST /v1/messages`."""

    route: Name | None = None
    conversation_id: Name | None = None
    content: Annotated[str, Meta(min_length=1)] | Annotated[list[AskPart], Meta(min_length=1)] | None = None
    regenerate: Name | None = None
    history: list[HistoryMessage] = []
    instructions: str | None = None
    tools: list[Tool] = []
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    parameters: Parameters | None = None
    user_id: UserId | None = None
    metadata: dict[str, Any] = {}
    stream: bool = True
    failover: bool = True
    vendor_options: dict[Name, dict[str, Any]] = {}

    def parts(self) -> list[AskPart]:
        """The user's turn as parts."""
        if self.content is None:
            return []
        return [TextPart(self.content)] if isinstance(self.content, str) else self.content


class Turn(Struct, frozen=True):
    """One turn for one target: what was asked, and what that vendor already knows.

    `vendor_ids` is the binding ({} for a new conversation), `missed` what was said elsewhere since, or before there was
    one, less the oldest `left_out` turns, marked by `template`; `partial` is what an earlier attempt already showed,
    `options` the protocol's own typed options, `new_id` a maker of fresh UUIDs as text.
    `files` says what this vendor calls the files that parts name by `file_id`; one that is not in it is another
    vendor's. `regenerates` is the vendor's id of the answer that is to be given anew; `parts` is then its question.
    """

    parts: list[AskPart]
    new_id: Callable[[], str]
    missed: list[HistoryMessage] = []
    left_out: int = 0
    template: str = CATCH_UP_TEMPLATE
    partial: str = ""
    instructions: str | None = None
    tools: list[Tool] = []
    tool_choice: Literal["auto", "none", "required"] | NamedTool | None = None
    parameters: Parameters | None = None
    user_id: str | None = None
    metadata: dict[str, Any] = {}
    options: Any = None
    vendor_ids: dict[str, str] = {}
    files: dict[str, str] = {}
    regenerates: str | None = None
    stream: bool = True

    @property
    def text(self) -> str:
        """The text parts of the turn, a blank line between two."""
        return "\n\n".join(part.text for part in self.parts if isinstance(part, TextPart))

"""`RunAgentInput`: the body of a run, as a client sends it, and as we send it to a server.

    messages   by `role`: developer, system, user, assistant, tool, reasoning, activity
    content    of user and tool messages: a text, or parts by `type`: text, image, audio, video, document, binary (old)
    source     of a part, by `type`: data {value, mimeType}, url {value}, file {value}

A field without a value is left out when it is sent: 1.0 forbids null. It may be null when it is read.
Source: ag-ui-protocol 1.0.0 and @ag-ui/core 1.0.0; `binary` as @ag-ui/client 1.0.0 converts it. Read 2026-11.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

PROTOCOL_VERSION = "1.0"

Id = Annotated[str, Meta(min_length=1, max_length=512)]


class Sent(Struct, rename="camel", omit_defaults=True):
    """What all of it shares."""


# --- parts


class DataSource(Sent, tag_field="type", tag="data"):
    """`value` is base64."""

    value: str
    mime_type: str = ""


class UrlSource(Sent, tag_field="type", tag="url"):
    value: str
    mime_type: str | None = None


class FileSource(Sent, tag_field="type", tag="file"):
    value: str
    provider: str | None = None
    mime_type: str | None = None


Source = DataSource | UrlSource | FileSource


class TextPart(Sent, tag_field="type", tag="text"):
    text: str


class Media(Sent, tag_field="type"):
    """`metadata.filename` is where the client's own library keeps a file's name."""

    source: Source
    metadata: Any = None


class ImagePart(Media, tag="image"):
    pass


class AudioPart(Media, tag="audio"):
    pass


class VideoPart(Media, tag="video"):
    pass


class DocumentPart(Media, tag="document"):
    pass


class BinaryPart(Sent, tag_field="type", tag="binary"):
    """Of clients before 1.0."""

    mime_type: str
    id: str | None = None
    url: str | None = None
    data: str | None = None
    filename: str | None = None


AnyPart = TextPart | ImagePart | AudioPart | VideoPart | DocumentPart | BinaryPart


# --- messages


class FunctionCall(Sent):
    """`arguments` is JSON text."""

    name: str
    arguments: str


class ToolCall(Sent, tag_field="type", tag="function"):
    id: str
    function: FunctionCall
    encrypted_value: str | None = None
    metadata: dict[str, Any] | None = None


class DeveloperMessage(Sent, tag_field="role", tag="developer"):
    id: str
    content: str


class SystemMessage(Sent, tag_field="role", tag="system"):
    id: str
    content: str


class UserMessage(Sent, tag_field="role", tag="user"):
    id: str
    content: str | list[AnyPart]


class AssistantMessage(Sent, tag_field="role", tag="assistant"):
    id: str
    content: str | None = None
    tool_calls: list[ToolCall] | None = None
    encrypted_value: str | None = None
    metadata: dict[str, Any] | None = None


class ToolMessage(Sent, tag_field="role", tag="tool"):
    id: str
    content: str | list[AnyPart]
    tool_call_id: str
    error: str | None = None
    metadata: dict[str, Any] | None = None


class ReasoningMessage(Sent, tag_field="role", tag="reasoning"):
    id: str
    content: str
    encrypted_value: str | None = None
    metadata: dict[str, Any] | None = None


class ActivityMessage(Sent, tag_field="role", tag="activity"):
    id: str


Message = (
    DeveloperMessage | SystemMessage | UserMessage | AssistantMessage | ToolMessage | ReasoningMessage | ActivityMessage
)


# --- the run


class Tool(Sent):
    name: Annotated[str, Meta(min_length=1, max_length=128)]
    description: str
    parameters: dict[str, Any] | None = None


class Context(Sent):
    description: str
    value: str


class Resume(Sent):
    """The answer to one interrupt of the run before."""

    interrupt_id: str
    status: Literal["resolved", "cancelled"]
    payload: Any = None


class RunAgentInput(Sent):
    thread_id: Id
    run_id: Id
    messages: list[Message]
    protocol_version: str | None = None
    parent_run_id: str | None = None
    state: Any = None
    tools: list[Tool] | None = None
    context: list[Context] | None = None
    forwarded_props: Any = None
    resume: list[Resume] | None = None


def spell_context(context: list[Context]) -> str:
    """What the application tells its agent, as text for vendors that have no field for it."""
    return "\n\n".join(f"{entry.description}:\n{entry.value}" for entry in context)

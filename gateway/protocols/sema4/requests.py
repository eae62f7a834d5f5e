"""What is sent to Sema4.ai, as requests: paths, bodies, and the name of a conversation.

    new conversation  POST   /agents/{agent}/conversations {"name"}
    upload            POST   .../{conversation}/files, a form whose field `files` may be repeated
    turn              POST   .../{conversation}/stream {"content"}, or .../messages for a document

The vendor wants a name for a conversation; it is given the beginning of what was first said in it.
"""

import unicodedata

import msgspec

from gateway.canonical.errors import GatewayError
from gateway.framing.lines import JsonDecoder
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import Malformed, document
from gateway.protocols.base import Form, FormPart, NewFile, VendorRequest, VendorResponse, path_segment
from gateway.protocols.sema4 import wire

MAX_NAME = 60
NAMELESS = "Conversation"
MAX_FILE_NAME = 255

UNPLAIN = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's categories of controls, halves of characters, and the ends of lines and paragraphs."""

TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""What makes a name look like another (Unicode Standard Annex 9)."""

JSON_HEADERS = {"Accept": "application/json"}
POST_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}
STREAM_HEADERS = {"Content-Type": "application/json", "Accept": "text/event-stream"}

_encode = msgspec.json.encode
_decode_conversation = document(wire.Conversation)


def name_of(text: str) -> str:
    """The beginning of a text in one line."""
    return " ".join(text.split())[:MAX_NAME].rstrip() or NAMELESS


def conversations_path(agent: str) -> str:
    return f"/agents/{path_segment(agent)}/conversations"


def conversation_path(agent: str, vendor_ids: dict[str, str]) -> str:
    """Raises `bad_request` where there is none, or one that cannot stand in a path."""
    return f"{conversations_path(agent)}/{path_segment(vendor_ids.get('conversation', ''))}"


def create(agent: str, name: str) -> VendorRequest:
    return VendorRequest(
        "POST",
        conversations_path(agent),
        headers=POST_HEADERS,
        body=_encode(wire.NewConversation(name_of(name))),
        effect="repeatable",
    )


def created(response: VendorResponse) -> str:
    """The new conversation's id. One that cannot stand in a path is `upstream_protocol`."""
    conversation = _decode_conversation(response.body).id
    try:
        path_segment(conversation)
    except GatewayError as error:
        raise Malformed("a conversation without a usable id") from error
    return conversation


def upload(path: str, files: list[NewFile]) -> VendorRequest:
    """`path` is the conversation's. Raises `bad_request` for a name that is none."""
    parts = tuple(FormPart("files", file.data, checked_name(file.name), file.media_type) for file in files)
    return VendorRequest("POST", f"{path}/files", headers=JSON_HEADERS, body=Form(parts), effect="once")


def is_plain(text: str) -> bool:
    """Without what ends a line, controls a terminal, turns the order of letters round, or is half a character."""
    return not any(unicodedata.category(each) in UNPLAIN or each in TURNING for each in text)


def checked_name(name: str) -> str:
    """A file's name; one with a path, a line end or the like in it is refused."""
    is_name = 0 < len(name) <= MAX_FILE_NAME and is_plain(name) and not set(name) & set('/\\"') and name.strip(". ")
    if not is_name:
        raise GatewayError("bad_request", "a file's name holds what no name may hold")
    return name


def stream(path: str, content: str) -> VendorRequest:
    return VendorRequest(
        "POST",
        f"{path}/stream",
        headers=STREAM_HEADERS,
        body=_encode(wire.NewMessage(content)),
        framing=SseDecoder,
        effect="once",
    )


def ask(path: str, content: str) -> VendorRequest:
    """The same, answered by one document."""
    return VendorRequest(
        "POST",
        f"{path}/messages",
        headers=POST_HEADERS,
        body=_encode(wire.NewMessage(content)),
        framing=JsonDecoder,
        effect="once",
    )

"""Dimedove's conversations beside their messages' sending: begun, read back, looked for, deleted.

    create     POST /apps/{app}/conversations {external_user_id?, title?, metadata?} -> 200 {"id", ...}
    read       GET /apps/{app}/conversations/{id} -> {..., "items": [{"role", "parts"}]}, the one list of messages
    delete     DELETE /apps/{app}/conversations/{id} -> {"deleted": true}
    find       GET /apps/{app}/conversations, or /apps/{app}/users/{user}/conversations: the newest first, `after` the
               last id of a page; then the first message of each that may be it

Titles are generated after the first exchange, so a lost conversation is known by its first message, not by its title.
Source: docs.dimedove.com/api-reference, openapi/apps-api.json, read 2026-11.
"""

import math
from collections.abc import Iterator
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.message import DataPart, Part, TextPart, ToolCallPart, ToolResultPart
from gateway.framing.typed import Unknown, document, open_union
from gateway.protocols.base import Calls, Clue, NewConversation, VendorMessage, VendorRequest, path_segment
from gateway.protocols.dimedove import wire

SPEC = "data_spec"
"""The name of structured UI, as an event and as a part."""

ACCEPT = {"Accept": "application/json"}
SEND = {"Content-Type": "application/json", **ACCEPT}

MAX_PAGES = 5
PAGE = "100"
MAX_CANDIDATES = 10
"""Conversations that are looked into; where there are more, it could be any."""

_encode = msgspec.json.encode
_decode_conversation = document(wire.Conversation)
_decode_page = document(wire.ConversationPage)
_decode_deleted = document(wire.Deleted)
_decode_detail = document(wire.ConversationDetail)
_decode_part = open_union(cast("Any", wire.KeptPart))


class Kept(Struct, frozen=True):
    """One message of a conversation, its parts of known kinds in order."""

    role: str
    id: str | None
    parts: list[wire.KeptPart]


def conversation_path(app: str, conversation: str) -> str:
    return f"{_conversations(app)}/{path_segment(conversation)}"


def creation(app: str, new: wire.NewConversation) -> VendorRequest:
    """An empty conversation too many matters to nobody."""
    return VendorRequest("POST", _conversations(app), headers=SEND, body=_encode(new), effect="repeatable")


def read_created(body: bytes) -> str:
    return _decode_conversation(body).id


def reading(app: str, conversation: str) -> VendorRequest:
    return VendorRequest("GET", conversation_path(app, conversation), headers=ACCEPT)


def read_messages(body: bytes) -> list[Kept]:
    """The oldest first."""
    items = sorted(_decode_detail(body).items, key=lambda item: item.created_at)
    return [Kept(item.role, item.id, list(_known_parts(item))) for item in items]


def _known_parts(item: wire.KeptItem) -> Iterator[wire.KeptPart]:
    for raw in item.parts:
        part = _decode_part(bytes(raw))
        if not isinstance(part, Unknown):
            yield part


def _conversations(app: str) -> str:
    return f"/apps/{path_segment(app)}/conversations"


class DimedoveConversations:
    def __init__(self, app: str) -> None:
        self._app = app

    def create(self, new: NewConversation) -> Calls[dict[str, str]]:
        response = yield creation(self._app, wire.NewConversation(new.user_id, new.title, new.metadata))
        return {"conversation": read_created(response.body)}

    def delete(self, vendor_ids: dict[str, str]) -> Calls[None]:
        path = conversation_path(self._app, vendor_ids.get("conversation", ""))
        response = yield VendorRequest("DELETE", path, headers=ACCEPT, own_statuses=frozenset({404}))
        if response.status != 404 and not _decode_deleted(response.body).deleted:
            raise GatewayError("upstream_protocol", "dimedove did not delete the conversation", cause="protocol")

    def messages(self, vendor_ids: dict[str, str]) -> Calls[list[VendorMessage]]:
        response = yield reading(self._app, vendor_ids.get("conversation", ""))
        return [_message(kept, role) for kept in read_messages(response.body) if (role := _SPEAKERS.get(kept.role))]

    def find(self, clue: Clue) -> Calls[dict[str, str]]:
        candidates = yield from self._begun_since(clue)
        if len(candidates) > MAX_CANDIDATES:
            return {}
        found = []
        for conversation in candidates:
            response = yield msgspec.structs.replace(reading(self._app, conversation), own_statuses=frozenset({404}))
            if response.status != 404 and _first_text(read_messages(response.body)) == clue.text:
                found.append(conversation)
        return {"conversation": found[0]} if len(found) == 1 else {}

    def _begun_since(self, clue: Clue) -> Calls[list[str]]:
        """The ids of that user's conversations, or of nobody's, that are new enough; a second is not split."""
        path, since = _conversations(self._app), math.floor(clue.since.timestamp())
        if clue.user_id is not None:
            path = f"/apps/{path_segment(self._app)}/users/{path_segment(clue.user_id)}/conversations"
        found: dict[str, None] = {}
        query = {"limit": PAGE, "order": "desc"}
        for _ in range(MAX_PAGES):
            response = yield VendorRequest("GET", path, query=query, headers=ACCEPT, own_statuses=frozenset({404}))
            if response.status == 404:
                break  # a user of whom Dimedove has not heard
            page = _decode_page(response.body)
            new = [row for row in page.data if row.created_at >= since]
            found |= {row.id: None for row in new if row.external_user_id == clue.user_id}
            if not page.has_more or not page.last_id or len(new) < len(page.data):
                break
            query = {**query, "after": page.last_id}
        return list(found)


# --- what comes back

_SPEAKERS: dict[str, Literal["user", "assistant"]] = {"user": "user", "assistant": "assistant"}


def _first_text(messages: list[Kept]) -> str | None:
    return next((_text(message) for message in messages if message.role == "user"), None)


def _text(kept: Kept) -> str:
    return "\n\n".join(part.text for part in kept.parts if isinstance(part, wire.KeptText))


def _message(kept: Kept, role: Literal["user", "assistant"]) -> VendorMessage:
    return VendorMessage(role, _text(kept), kept.id, [canonical for part in kept.parts for canonical in _parts(part)])


def _parts(part: wire.KeptPart) -> Iterator[Part]:
    match part:
        case wire.KeptText(text):
            yield TextPart(text)
        case wire.KeptSpec(data):
            yield DataPart(SPEC, data)
        case _:
            yield from _call_parts(part)


def _call_parts(kept: wire.KeptCall) -> Iterator[Part]:
    """A call whose output is told was run by Dimedove; who ran any other, nobody knows."""
    call, name, has_output = kept.tool_call_id, kept.tool_name, kept.output is not None
    yield ToolCallPart(call, name, kept.input or {}, executor="vendor" if has_output else "unknown")
    if has_output:
        yield ToolResultPart(call, kept.output, name=name)

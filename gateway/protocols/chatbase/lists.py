"""Chatbase's lists, a page at a time.

A page is {"data": [...], "pagination": {"cursor", "hasMore", "total"}}. Conversations come by their last activity, the
latest first. Of messages the newest page comes first, and is chronological inside; the cursor walks backwards.
Source: chatbase.co/docs/api-v2 (pagination), read 2026-11.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from gateway.framing.typed import document, open_union
from gateway.protocols.base import Calls, VendorRequest
from gateway.protocols.chatbase import wire

P = TypeVar("P")

PAGE = 100
"""Entries; the most that a page may have."""

decode_conversations = document(wire.ConversationPage)
decode_messages = document(wire.MessagePage)
decode_part = open_union(cast("Any", wire.AnswerPart))


def read_page(path: str, decode: Callable[[bytes], P], cursor: str | None = None) -> Calls[P]:
    query = {"limit": str(PAGE)} if cursor is None else {"limit": str(PAGE), "cursor": cursor}
    response = yield VendorRequest("GET", path, query=query, headers={"Accept": "application/json"})
    return decode(response.body)

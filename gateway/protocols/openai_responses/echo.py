"""What a response repeats of its request, as the official clients' types want it; and the ids of responses.

A response is named `resp_` and the id of the message that it is.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.events import MessageStarted
from gateway.canonical.turn import Name
from gateway.framing.typed import UNREADABLE

PREFIX = "resp_"


def response_id(message_id: str) -> str:
    return PREFIX + message_id


def message_id(response: str, path: str) -> str:
    """Raises `not_found` for the id of a response that cannot be ours."""
    try:
        return msgspec.convert(response.removeprefix(PREFIX) if response.startswith(PREFIX) else "", Name)
    except UNREADABLE as error:
        raise GatewayError("not_found", "no such response", details={"path": path}) from error


class Echo(Struct, frozen=True):
    """`fields` as they are written; `functions` and `custom` are the names of the tools that the client runs."""

    model: str | None = None
    fields: Mapping[str, Any] = {}
    functions: frozenset[str] = frozenset()
    custom: frozenset[str] = frozenset()

    def response(self, started: MessageStarted) -> dict[str, Any]:
        """As it begins."""
        return {
            "id": response_id(started.message_id),
            "object": "response",
            "created_at": int(started.created_at.timestamp()),
            "status": "in_progress",
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": self.model or started.route,
            "output": [],
            "usage": None,
            "conversation": {"id": started.conversation_id},
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": True,
            "store": True,
            "temperature": None,
            "tool_choice": "auto",
            "tools": [],
            "top_p": None,
            **self.fields,
        }


def shown_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A function has all of its fields."""
    return {"parameters": None, "strict": None, **tool} if tool["type"] == "function" else tool

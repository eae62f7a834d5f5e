"""What the stores share: their refusals, and the cursors of their lists.

A cursor is a place in a list, as base64url of a small JSON array, and names the last entry that was shown:

    conversations   [microseconds of `updated_at`, id]
    messages        [position in the conversation]
"""

import base64
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from gateway.canonical.errors import GatewayError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

LAST = 2**63 - 1

MAX_CURSOR = 1024


class ConversationPlace(Struct, frozen=True, array_like=True):
    updated_at: Annotated[int, Meta(ge=-LAST, le=LAST)]
    id: str


class MessagePlace(Struct, frozen=True, array_like=True):
    position: Annotated[int, Meta(ge=0, le=LAST)]


FIRST_CONVERSATION = ConversationPlace(LAST, "")
"""Before the first entry of a list, the latest being the first."""
FIRST_MESSAGE = MessagePlace(-1)

Place = TypeVar("Place", ConversationPlace, MessagePlace)


def write_cursor(place: ConversationPlace | MessagePlace) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def read_cursor(cursor: str | None, first: Place) -> Place:
    """Where a page begins: behind this place. Raises `bad_request` for anything that we did not write."""
    if cursor is None:
        return first
    if len(cursor) > MAX_CURSOR:
        raise _bad_cursor()
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), b"-_", validate=True)
        place = msgspec.json.decode(text, type=type(first))
    except (ValueError, RecursionError, msgspec.MsgspecError) as error:
        raise _bad_cursor() from error
    if write_cursor(place) != cursor:
        raise _bad_cursor()
    return place


def microseconds(moment: datetime) -> int:
    return (moment - EPOCH) // MICROSECOND


def from_microseconds(number: int) -> datetime:
    return EPOCH + number * MICROSECOND


def no_such_conversation() -> GatewayError:
    return GatewayError("not_found", "no such conversation")


def no_such_message() -> GatewayError:
    return GatewayError("not_found", "no such message")


def is_running() -> GatewayError:
    return GatewayError("conflict", "another message of this conversation is being answered")


def is_taken() -> GatewayError:
    return GatewayError("conflict", "there is a conversation with this id already")


def _bad_cursor() -> GatewayError:
    return GatewayError("bad_request", "$.cursor: it is none that this list gave", details={"path": "$.cursor"})

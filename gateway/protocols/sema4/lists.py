"""Lists of the vendor: a page with `next`, `has_more` and `data`, or an array alone.

The manual pages agents, conversations and messages; the builds that were seen answer all in one page.
"""

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import msgspec

from gateway.canonical.errors import GatewayError
from gateway.framing.typed import UNREADABLE, Malformed, document
from gateway.protocols.base import VendorRequest, VendorResponse
from gateway.protocols.sema4 import wire
from gateway.protocols.sema4.requests import JSON_HEADERS

T = TypeVar("T")

Items = list[dict[str, Any]]

PAGE_SIZE = "100"
MAX_PAGES = 100

_decode = document(cast("type[wire.Page | Items]", wire.Page | Items))


def pages(path: str) -> Generator[VendorRequest, VendorResponse, Items]:
    """All entries. Raises `upstream_protocol` where the list does not come to an end."""
    items, _ = yield from first_pages(path, MAX_PAGES, is_whole=True)
    return items


def first_pages(
    path: str, most: int, *, is_whole: bool = False
) -> Generator[VendorRequest, VendorResponse, tuple[Items, bool]]:
    """The entries of at most so many pages, and whether these are all."""
    items: Items = []
    cursor: str | None = None
    for _ in range(most):
        query = {"limit": PAGE_SIZE} | ({"next": cursor} if cursor else {})
        response = yield VendorRequest("GET", path, query=query, headers=JSON_HEADERS)
        page = _decode(response.body)
        items += entries_of(page)
        cursor = None if isinstance(page, list) or page.has_more is False else page.next
        if not cursor:
            return items, True
    if is_whole:
        raise GatewayError("upstream_protocol", "the vendor's list does not end", cause="too_large")
    return items, False


def entries(body: bytes) -> Items:
    """Of a list that is not paged."""
    return entries_of(_decode(body))


def entries_of(page: wire.Page | Items) -> Items:
    if isinstance(page, list):
        return page
    found = page.data if page.data is not None else page.messages
    if found is None:
        raise Malformed("a list without its entries")
    return found


def read(entry: Any, kind: type[T]) -> T:
    """Raises `Malformed`."""
    try:
        return msgspec.convert(entry, kind)
    except UNREADABLE as error:
        raise Malformed(error) from error


def moment(value: Any) -> datetime | None:
    """A time as the vendor writes it; one without its zone is UTC, and one that cannot be read is none."""
    try:
        read_as = msgspec.convert(value, datetime)
    except UNREADABLE:
        return None
    return read_as if read_as.tzinfo else read_as.replace(tzinfo=UTC)

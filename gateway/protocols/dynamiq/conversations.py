"""Dynamiq's conversations, beside their messages.

    create    POST /v1/conversations
    delete    DELETE /v1/conversations/{id}, for good, with its messages; one that is unknown is gone
    messages  no such list
    find      GET /v1/conversations, page by page, the newest first: the one title since then that the text would make

Source: docs.getdynamiq.ai/docs/api-reference/conversations, read 2026-11.
"""

from datetime import UTC, datetime

from gateway.canonical.errors import GatewayError
from gateway.framing.typed import document
from gateway.protocols.base import Calls, Clue, NewConversation, VendorMessage, VendorRequest, path_segment
from gateway.protocols.dynamiq import calls, wire
from gateway.protocols.dynamiq.translator import DynamiqTranslator

MAX_PAGES = 5
PAGE_SIZE = 50

_decode_page = document(wire.ConversationPage)


class DynamiqConversations:
    def __init__(self, translator: DynamiqTranslator) -> None:
        self._target = translator.target

    def create(self, new: NewConversation) -> Calls[dict[str, str]]:
        created = yield calls.create_conversation(self._target, new.title)
        return {"conversation": calls.read_conversation(created.body)}

    def delete(self, vendor_ids: dict[str, str]) -> Calls[None]:
        conversation = vendor_ids.get("conversation")
        if conversation:
            path = f"/v1/conversations/{path_segment(conversation)}"
            yield VendorRequest("DELETE", path, effect="repeatable", own_statuses=frozenset({404}))

    def messages(self, vendor_ids: dict[str, str]) -> Calls[list[VendorMessage]]:  # noqa: ARG002  (the port's)
        yield from ()
        raise GatewayError("unsupported", "dynamiq does not list the messages of a conversation")

    def find(self, clue: Clue) -> Calls[dict[str, str]]:
        """{} also where the pages end before `clue.since` does: an older one could be meant as well."""
        title = calls.title_of(clue.text)
        # The vendor's times are whole seconds.
        since = _aware(clue.since).replace(microsecond=0)
        found: list[str] = []
        for number in range(1, MAX_PAGES + 1 if title else 1):
            answer = yield self._list(number)
            page = _decode_page(answer.body)
            recent = [item for item in page.data if item.created_at is None or _aware(item.created_at) >= since]
            found += [item.id for item in recent if item.title == title]
            if len(recent) < len(page.data) or _is_last(page, number):
                return {"conversation": calls.safe_id(found[0])} if len(found) == 1 else {}
        return {}

    def _list(self, number: int) -> VendorRequest:
        target = self._target
        owner = {"app_id": target.app} if target.app else {"model_id": target.model or ""}
        query = {**owner, "page": str(number), "page_size": str(PAGE_SIZE), "sort": "-created_at"}
        return VendorRequest("GET", "/v1/conversations", query=query)


def _is_last(page: wire.ConversationPage, number: int) -> bool:
    """Where the vendor does not count its pages, a short one is the last."""
    count = page.pagination.page_count if page.pagination else None
    return not page.data or (len(page.data) < PAGE_SIZE if count is None else number >= count)


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)

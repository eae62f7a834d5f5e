"""What Dynamiq is asked, one function a call, and the ids it answers with.

    management   POST /v1/conversations, POST /v3/conversations/{id}/messages
    base "app"   POST /v1/files, POST /v1/runs/{id}/input | cancel, GET /v1/runs/{id}/stream

The App's host may want another credential than the management API: `headers` carry it there.
Source: docs.getdynamiq.ai/docs/api-reference, read 2026-11.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct

from gateway.canonical.errors import GatewayError
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import document
from gateway.protocols.base import Form, FormPart, NewFile, VendorFile, VendorRequest, path_segment
from gateway.protocols.dynamiq import wire

APP = "app"
MAX_TITLE = 60

JSON = {"Content-Type": "application/json"}
STREAM = {"Accept": "text/event-stream"}

Id = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\Z")]

_encode = msgspec.json.encode
_decode_conversation = document(wire.ConversationDocument)
_decode_file = document(wire.FileDocument)


class DynamiqTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """Who answers: an App, or a model. Raises `ValueError` unless exactly one is named."""

    app: Id | None = None
    model: Id | None = None

    def __post_init__(self) -> None:
        if (self.app is None) == (self.model is None):
            raise ValueError("exactly one of `app` and `model` is wanted")


def title_of(text: str) -> str:
    """The first words of a text, on one line."""
    return " ".join(text.split())[:MAX_TITLE].strip()


def create_conversation(target: DynamiqTarget, text: str) -> VendorRequest:
    new = wire.NewConversation(target.app or UNSET, target.model or UNSET, title_of(text) or UNSET)
    return VendorRequest("POST", "/v1/conversations", headers=JSON, body=_encode(new), effect="repeatable")


def read_conversation(body: bytes) -> str:
    return safe_id(_decode_conversation(body).data.id)


def send_message(conversation: str, message: wire.Message) -> VendorRequest:
    """Dynamiq stores the message before it answers: sent twice, it would be two."""
    return VendorRequest(
        "POST",
        f"/v3/conversations/{path_segment(conversation)}/messages",
        headers={**JSON, **STREAM},
        body=_encode(message),
        framing=SseDecoder,
        effect="once",
    )


def upload_file(file: NewFile, headers: Mapping[str, str]) -> VendorRequest:
    """A file that no message names is nothing, so it may be sent again."""
    form = Form((FormPart("file", file.data, file.name, file.media_type),))
    return VendorRequest("POST", "/v1/files", APP, headers=dict(headers), body=form, effect="repeatable")


def read_file(body: bytes, sent: NewFile) -> VendorFile:
    file = _decode_file(body).data
    return VendorFile(safe_id(file.id), file.name or sent.name, file.mime_type or sent.media_type, file.size)


def answer_request(run: str, answer: wire.Input, headers: Mapping[str, str]) -> VendorRequest:
    path = f"/v1/runs/{path_segment(run)}/input"
    return VendorRequest("POST", path, APP, headers={**headers, **JSON}, body=_encode(answer), effect="once")


def follow_run(run: str, after_sequence: int, headers: Mapping[str, str]) -> VendorRequest:
    """The run's events behind `after_sequence` (0: all of them), those to come included."""
    return VendorRequest(
        "GET",
        f"/v1/runs/{path_segment(run)}/stream",
        APP,
        query={"after_sequence": str(after_sequence)} if after_sequence else {},
        headers={**headers, **STREAM},
        framing=SseDecoder,
    )


def cancel_run(run: str, headers: Mapping[str, str]) -> VendorRequest:
    path = f"/v1/runs/{path_segment(run)}/cancel"
    return VendorRequest("POST", path, APP, headers=dict(headers), effect="repeatable")


def safe_id(vendor_id: str) -> str:
    """An id from the wire that may stand in a path. Raises `upstream_protocol` for any other."""
    try:
        path_segment(vendor_id)
    except GatewayError as error:
        raise GatewayError(
            "upstream_protocol", "dynamiq gave an id that cannot stand in a path", cause="protocol"
        ) from error
    return vendor_id

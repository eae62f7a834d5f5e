"""Sema4.ai's files, which belong to a conversation.

    list       GET   .../files
    upload     POST  .../files, a form          answered by a list of what was stored
    download   GET   .../files/download/?file_ref=

A file's reference is normally its name. It goes into the query alone: never into a path.
Their shapes are those of the vendor's internal twins of these calls.
"""

from gateway.canonical.errors import GatewayError
from gateway.framing.typed import Malformed
from gateway.protocols.base import Calls, NewFile, VendorFile, VendorRequest
from gateway.protocols.sema4 import requests, wire
from gateway.protocols.sema4.lists import entries, moment, read
from gateway.protocols.sema4.translator import Sema4Translator

MAX_REF = 1024


class Sema4Files:
    def __init__(self, translator: Sema4Translator) -> None:
        self._agent = translator.agent

    def list_files(self, vendor_ids: dict[str, str]) -> Calls[list[VendorFile]]:
        path = requests.conversation_path(self._agent, vendor_ids)
        listed = yield VendorRequest("GET", f"{path}/files", headers=requests.JSON_HEADERS)
        return _read(listed.body, vendor_ids)

    def upload(self, vendor_ids: dict[str, str], file: NewFile) -> Calls[VendorFile]:
        answer = yield requests.upload(requests.conversation_path(self._agent, vendor_ids), [file])
        stored = _read(answer.body, vendor_ids)
        named = [each for each in stored if each.name == file.name] if len(stored) > 1 else stored
        if not named:
            raise Malformed("an upload of which nothing was stored")
        return named[-1]

    def download(self, vendor_ids: dict[str, str], file: VendorFile) -> VendorRequest:
        if not file.ref or len(file.ref) > MAX_REF or not requests.is_plain(file.ref):
            raise GatewayError("bad_request", "a file's reference cannot stand in a request")
        path = requests.conversation_path(self._agent, vendor_ids)
        return VendorRequest("GET", f"{path}/files/download/", query={"file_ref": file.ref})


def _read(body: bytes, vendor_ids: dict[str, str]) -> list[VendorFile]:
    within = vendor_ids.get("conversation")
    return [_as_file(read(entry, wire.StoredFile), within) for entry in entries(body)]


def _as_file(stored: wire.StoredFile, within: str | None) -> VendorFile:
    name = stored.file_ref.replace("\\", "/").rpartition("/")[2]
    return VendorFile(
        ref=stored.file_ref,
        name=name or "file",
        media_type=stored.mime_type,
        size=stored.file_size_raw,
        created_at=moment(stored.created_at),
        within=within,
    )

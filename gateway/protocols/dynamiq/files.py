"""Dynamiq's files: they belong to an App, not to a conversation, and cannot be listed or fetched back.

    upload    POST /v1/files at the App's host (base "app") -> {"data": {id, name, size, mime_type}}

A message names a file by that id.
Source: docs.getdynamiq.ai/docs/api-reference/runs/uploadRunFile, read 2026-11.
"""

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import Calls, NewFile, VendorFile, VendorRequest
from gateway.protocols.dynamiq import calls
from gateway.protocols.dynamiq.translator import DynamiqTranslator


class DynamiqFiles:
    def __init__(self, translator: DynamiqTranslator) -> None:
        self._headers = translator.app_headers

    def list_files(self, vendor_ids: dict[str, str]) -> Calls[list[VendorFile]]:  # noqa: ARG002  (the port's)
        yield from ()
        raise GatewayError("unsupported", "dynamiq does not list files")

    def upload(self, vendor_ids: dict[str, str], file: NewFile) -> Calls[VendorFile]:  # noqa: ARG002  (the port's)
        stored = yield calls.upload_file(file, self._headers)
        return calls.read_file(stored.body, file)

    def download(self, vendor_ids: dict[str, str], file: VendorFile) -> VendorRequest:  # noqa: ARG002  (the port's)
        raise GatewayError("unsupported", "dynamiq does not give files back")

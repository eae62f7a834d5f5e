"""Files of a conversation: kept by its vendor, named by ids of ours, and streamed past without being gathered.

    list       the vendor's list; each file has an id of ours from then on
    upload     each `files` part goes to the vendor as it comes in; a conversation that has begun at no vendor begins at
               the first target of `?route=` that takes files
    download   the vendor's answer, always as an attachment that no browser runs

A name is a plain one: no path, no control character, no device of Windows, at most 255 bytes.
"""

import asyncio
import re
import warnings
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar
from urllib.parse import quote

from aiohttp import (
    BadContentDispositionHeader,
    BadContentDispositionParam,
    BodyPartReader,
    MultipartReader,
    web,
)
from aiohttp.http import HttpProcessingError
from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.canonical.resources import DownloadFile, FileAnswer, ListFiles, Page, UploadFiles
from gateway.conversations.store import Binding, BindingKey, StoredFile
from gateway.protocols.base import Headers, NewConversation, NewFile, VendorFile
from gateway.relay.downstream import SERVER, ClientGone
from gateway.relay.errands import Download
from gateway.routing.plan import Target
from gateway.server.conversations import Conversations
from gateway.server.errands import Desk, told_as
from gateway.server.gateway import REQUEST_ID, Gateway

T = TypeVar("T")

PIECE = 64 * 1024
"""Bytes of an upload that are read at a time."""

MAX_NAME = 255
MAX_FILES = 20
MAX_LENGTH_DIGITS = 15
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\ud800-\udfff]|%2e|%2f|%5c|%00", re.IGNORECASE)
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,64}/[A-Za-z0-9!#$&^_.+-]{1,64}")
UNTYPED = "application/octet-stream"

ODD_HEADS = (BadContentDispositionHeader, BadContentDispositionParam)
for _odd in ODD_HEADS:
    warnings.simplefilter("error", _odd)  # else aiohttp writes what the client sent to standard error, and goes on
UNREADABLE_FORM = (ValueError, HttpProcessingError, web.HTTPException, web.RequestPayloadError, *ODD_HEADS)
"""All that aiohttp raises for a form that is none."""

PLAIN_ENCODINGS = frozenset({"", "7bit", "8bit", "binary", "identity"})

NEW_CONVERSATION = "Files"
"""The title of a vendor's conversation that begins with a file."""


class _Place(Struct, frozen=True):
    """Which vendor's copy of a conversation the files are in."""

    target: Target
    key: BindingKey
    binding: Binding


class Files:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._desk = Desk(gateway)
        self._conversations = Conversations(gateway)

    async def list_files(self, ask: ListFiles, owner: str) -> Page[FileAnswer]:
        found = await self._conversations.latest(ask.conversation_id, owner, "files")
        if found is None:
            return Page([])
        target, binding = found
        listed = await self._desk.run(target, "list_files", "files", lambda port: port.list_files(binding.vendor_ids))
        return Page(await self._named(ask.conversation_id, self._desk.key_of(target), listed))

    async def upload(self, ask: UploadFiles, owner: str, request: web.Request) -> Page[FileAnswer]:
        """Held, so that no message begins at the vendor meanwhile. What was stored before a failure is told with it."""
        if request.content_type != "multipart/form-data":
            raise GatewayError("unsupported_media_type", "the body must be multipart/form-data")
        stored: list[FileAnswer] = []
        async with self._gateway.store.hold(ask.conversation_id, owner):
            try:
                place = await self._place(ask, owner)
                async for file in self._parts(request):
                    stored += await self._upload_one(ask.conversation_id, place, file)
            except GatewayError as error:
                if stored:
                    error.details = {**error.details, "stored": [file.id for file in stored]}
                raise
        if not stored:
            raise _misfit("files", "no part of that name")
        return Page(stored)

    async def download(self, ask: DownloadFile, owner: str, request: web.Request) -> web.StreamResponse:
        known = await self._gateway.store.files(ask.conversation_id, owner)
        file = next((file for file in known if file.id == ask.file_id), None)
        if file is None:
            raise GatewayError("not_found", "the conversation has no such file")
        bindings = await self._gateway.store.bindings(ask.conversation_id, owner)
        if file.key not in bindings:
            raise GatewayError("gone", "the vendor that kept this file is not in use any more")
        vendor_ids = bindings[file.key].vendor_ids
        if not file.is_in(vendor_ids):
            raise GatewayError("gone", "the vendor does not have this file any more")
        wanted = VendorFile(file.ref, file.name, file.media_type, file.size, file.created_at)
        target = self._desk.target_of(file.key)
        with told_as("gone", "the vendor does not have this file any more"):
            async with self._desk.download(
                target, "download_file", "files", lambda port: port.download(vendor_ids, wanted)
            ) as found:
                media_type = media_type_of(found.headers) or file.media_type or UNTYPED
                return await self.pass_on(request, found, file.name, media_type)

    async def pass_on(self, request: web.Request, found: Download, name: str, media_type: str) -> web.StreamResponse:
        """Piece by piece. A body that breaks after it began, or grows over the limit, cuts the client's connection."""
        limit = self._gateway.edge.max_file
        headers = _download_headers(found.headers, name, media_type)
        if int(headers.get("Content-Length", "0")) > limit:
            raise GatewayError("upstream_protocol", f"the vendor's file is over {limit} bytes", cause="too_large")
        response = web.StreamResponse(headers={**headers, "X-Request-Id": request[REQUEST_ID]})
        size = 0
        try:
            async for piece in found.pieces:
                size += len(piece)
                if size > limit:
                    raise GatewayError(
                        "upstream_protocol", f"the vendor's file is over {limit} bytes", cause="too_large"
                    )
                if not response.prepared:
                    await response.prepare(request)
                async with asyncio.timeout(self._gateway.edge.send_deadline):
                    await response.write(piece)
            await response.prepare(request)
            async with asyncio.timeout(self._gateway.edge.send_deadline):
                await response.write_eof()
        except GatewayError:
            if response.prepared and request.transport is not None:
                request.transport.abort()
            raise
        except (ConnectionError, TimeoutError) as error:
            if request.transport is not None:
                request.transport.abort()
            raise ClientGone from error
        return response

    # Uploads.

    async def _place(self, ask: UploadFiles, owner: str) -> _Place:
        bindings = await self._gateway.store.bindings(ask.conversation_id, owner)
        found = self._conversations.choose(bindings, "files") if ask.route is None else None
        if found is not None:
            target, binding = found
            return _Place(target, self._desk.key_of(target), binding)
        if ask.route is None:
            raise _misfit("query.route", "needed: the conversation has begun at no vendor yet")
        target = self._taker(ask.route)
        key = self._desk.key_of(target)
        bound = bindings.get(key)
        if bound is None or "conversation" not in bound.vendor_ids:
            new = NewConversation(NEW_CONVERSATION, self._gateway.ids.uuid)
            vendor_ids = await self._desk.run(
                target, "create_conversation", "conversations", lambda port: port.create(new)
            )
            bound = Binding(vendor_ids, uncertain=None if bound is None else bound.uncertain)
            await self._gateway.store.bind(ask.conversation_id, key, bound)
        return _Place(target, key, bound)

    def _taker(self, route_name: str) -> Target:
        route = self._gateway.route(route_name)
        for target in route.targets:
            if self._desk.offers(target, "files"):
                return target
        raise self._desk.lacks(route.targets[0], "files")

    async def _parts(self, request: web.Request) -> AsyncIterator[NewFile]:
        """Each file as it comes in. Raises `bad_request` for a form that cannot be read, and for odd names."""
        reader = await self._read(request.multipart())
        number = 0
        while (part := await self._read(reader.next())) is not None:
            if number == MAX_FILES:
                raise _misfit("files", f"over {MAX_FILES} parts")
            yield self._read_head(part, f"files[{number}]")
            number += 1

    def _read_head(self, part: MultipartReader | BodyPartReader, path: str) -> NewFile:
        if not isinstance(part, BodyPartReader):
            raise _misfit(path, "a form in a form")
        try:
            field, name = part.name, part.filename
        except UNREADABLE_FORM as error:
            raise _misfit(path, "the part's head cannot be read") from error
        if field != "files":
            raise _misfit("files", "every part must have this name")
        for header in ("Content-Transfer-Encoding", "Content-Encoding"):
            if part.headers.get(header, "").strip().lower() not in PLAIN_ENCODINGS:
                raise _misfit(path, "a part must not be encoded")
        return NewFile(check_name(name, path), media_type_of(part.headers) or UNTYPED, self._pieces(part))

    async def _pieces(self, part: BodyPartReader) -> AsyncIterator[bytes]:
        limit, size = self._gateway.edge.max_file, 0
        while piece := await self._read(part.read_chunk(PIECE)):
            size += len(piece)
            if size > limit:
                raise GatewayError("payload_too_large", f"a file is over {limit} bytes")
            yield piece
        if not part.at_eof():
            raise _misfit("$", "the form ends too early")

    async def _read(self, reading: Coroutine[Any, Any, T]) -> T:
        """More of the form, which must come in time."""
        try:
            async with asyncio.timeout(self._gateway.edge.body_deadline):
                return await reading
        except TimeoutError as error:
            raise GatewayError("request_timeout", "the body did not go on in time") from error
        except UNREADABLE_FORM as error:
            raise _misfit("$", "the form cannot be read") from error

    async def _upload_one(self, conversation_id: str, place: _Place, file: NewFile) -> list[FileAnswer]:
        stored = await self._desk.run(
            place.target, "upload_file", "files", lambda port: port.upload(place.binding.vendor_ids, file)
        )
        return await self._named(conversation_id, place.key, [stored])

    async def _named(self, conversation_id: str, key: BindingKey, listed: list[VendorFile]) -> list[FileAnswer]:
        """The vendor's files under ids of ours."""
        kept = await self._gateway.store.keep_files(
            [
                StoredFile(
                    id=self._gateway.ids.new("file"),
                    conversation_id=conversation_id,
                    key=key,
                    ref=file.ref,
                    name=_shown(file.name),
                    media_type=_media_type(file.media_type),
                    size=file.size,
                    created_at=file.created_at,
                    within=file.within,
                )
                for file in listed
            ]
        )
        return [FileAnswer(file.id, file.name, file.media_type, file.size, file.created_at) for file in kept]


def check_name(name: str | None, path: str) -> str:
    """A plain file name. Raises `bad_request` for any other."""
    plain = (name or "").rstrip(" .")  # as Windows reads it
    if not name or not plain or _UNSAFE.search(name) or _DEVICES.fullmatch(plain):
        raise _misfit(path, "not a plain file name")
    if len(name.encode()) > MAX_NAME:
        raise _misfit(path, f"a name of over {MAX_NAME} bytes")
    return name


def _download_headers(vendors: Headers, name: str, media_type: str) -> dict[str, str]:
    """Never shown inline and never guessed at: what is in the file is anybody's (RFC 6266, RFC 8187)."""
    headers = {
        "Content-Type": media_type,
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(_shown(name), safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox",
        "Cache-Control": "private, no-store",
        "Server": SERVER,
    }
    length = vendors.get("Content-Length", "")
    if length.isascii() and length.isdigit() and len(length) <= MAX_LENGTH_DIGITS:
        headers["Content-Length"] = length
    return headers


def _shown(name: str) -> str:
    """A vendor's name for a file, without what would make it a path."""
    return _UNSAFE.sub("_", name)[:MAX_NAME].rstrip(" .") or "file"


def media_type_of(headers: Headers) -> str | None:
    return _media_type(headers.get("Content-Type"))


def _media_type(value: str | None) -> str | None:
    bare = (value or "").partition(";")[0].strip()
    return bare if _MEDIA_TYPE.fullmatch(bare) else None


def _misfit(path: str, problem: str) -> GatewayError:
    return GatewayError(
        "bad_request", f"the request does not fit: {path}: {problem}", details={"path": path, "problem": problem}
    )

"""A vendor that keeps conversations, files and tables, over a real socket, and the protocol that speaks to it.

    async with Shelf() as acme, serving(tmp_path, config(acme=acme), protocols=PROTOCOLS) as gateway:
        reply = await gateway.ask("POST", "/v1/conversations/.../files?route=acme", data=form(("a.txt", b"A")))
        assert acme.calls == ["POST /conversations", "POST /conversations/c1/files"]
        acme.instead["DELETE /conversations/c1"] = answer(500)

What it speaks, below its base URL:

    POST   /conversations                     -> {"id"}
    GET    /conversations                     -> [{"id", "texts"}]
    DELETE /conversations/{id}                -> {}
    POST   /conversations/{id}/messages       a text -> SSE: `data: Hello`, `data: end`
    GET    /conversations/{id}/messages       -> the texts that were asked
    GET    /conversations/{id}/files          -> [{"ref", "name", "type", "size"}]
    POST   /conversations/{id}/files          a form with one part -> one of them
    GET    /conversations/{id}/files/{ref}    -> its bytes
    GET    /conversations/{id}/frames         -> [{"name", "columns"}]
    GET    /conversations/{id}/frames/{name}  ?part= -> {"name", "columns", "rows"}, or bytes
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

import aiohttp
import msgspec
from aiohttp import web
from msgspec import Struct

from gateway.canonical.blocks import Blocks
from gateway.canonical.errors import GatewayError
from gateway.canonical.events import Event, MessageCompleted, Notice
from gateway.canonical.message import FilePart
from gateway.canonical.one_text import as_one_text
from gateway.canonical.resources import DataFrameAnswer, Rows, Slice
from gateway.canonical.turn import Turn
from gateway.framing.record import Record
from gateway.framing.sse import SseDecoder
from gateway.framing.typed import document
from gateway.protocols.base import (
    CAPABILITIES,
    Authorization,
    Calls,
    Clue,
    Credentials,
    Descriptor,
    Form,
    FormPart,
    Headers,
    NewConversation,
    NewFile,
    VendorFile,
    VendorMessage,
    VendorRequest,
    path_segment,
)
from gateway.protocols.refusing import refusal
from gateway.protocols.registry import BUILT_IN

CANARY = "canary-7b3e91"
"""Stands in every credential."""

HELLO = b"data: Hello\n\ndata: end\n\n"


class ShelfTarget(Struct, frozen=True, forbid_unknown_fields=True):
    shelf: str = ""


class NoOptions(Struct, frozen=True, forbid_unknown_fields=True): ...


class _Id(Struct):
    id: str


class _Named(Struct):
    id: str
    texts: list[str]


class _File(Struct):
    ref: str
    name: str
    type: str | None = None
    size: int | None = None


class _Frame(Struct):
    name: str
    columns: list[str]


_read_id = document(_Id)
_read_conversations = document(list[_Named])
_read_texts = document(list[str])
_read_file = document(_File)
_read_files = document(list[_File])
_read_frames = document(list[_Frame])
_read_rows = document(Rows)


class ShelfTranslator:
    model: str | None = None
    ending = False

    def __init__(self, target: ShelfTarget, blocks: Blocks) -> None:
        self._blocks = blocks
        self.vendor_ids: dict[str, str] = {}

    def authorize(self, credentials: Credentials, session: object) -> Calls[Authorization]:
        yield from ()
        return Authorization({"X-Key": credentials["key"]})

    def requests(self, turn: Turn) -> Calls[None]:
        self.vendor_ids = dict(turn.vendor_ids)
        if "conversation" not in self.vendor_ids:
            created = yield VendorRequest("POST", "/conversations", effect="repeatable")
            self.vendor_ids["conversation"] = _read_id(created.body).id
        named = [part for part in turn.parts if isinstance(part, FilePart)]
        if any(part.file_id not in turn.files for part in named):
            raise GatewayError("unsupported", "the shelf has no such file")
        said = as_one_text(turn)
        for part in named:
            said += f" [{turn.files[part.file_id or '']} {part.name} {part.media_type}]"
        path = f"{_path(self.vendor_ids)}/messages"
        yield VendorRequest("POST", path, body=said.encode(), framing=SseDecoder, effect="once")

    def feed(self, record: Record) -> Iterable[Event | Notice]:
        if record.data == b"end":
            yield from self._blocks.complete()
            yield MessageCompleted("stop")
        else:
            yield from self._blocks.text(record.data.decode(), "0")

    def finish(self) -> Iterable[Event | Notice]:
        raise GatewayError("upstream_protocol", "the shelf ended before its end", cause="truncated")

    def refuse(self, status: int, headers: Headers, body: bytes) -> GatewayError:
        return refusal(status, headers, vendor_code=headers.get("X-Code"), vendor_message=body.decode("latin-1"))

    def resume(self) -> VendorRequest | None:
        return None

    def cancel(self) -> VendorRequest | None:
        return None


class ShelfConversations:
    def __init__(self, translator: ShelfTranslator) -> None:
        """It signed in."""

    def create(self, new: NewConversation) -> Calls[dict[str, str]]:
        created = yield VendorRequest("POST", "/conversations", effect="repeatable")
        return {"conversation": _read_id(created.body).id}

    def delete(self, vendor_ids: dict[str, str]) -> Calls[None]:
        yield VendorRequest("DELETE", _path(vendor_ids), own_statuses=frozenset({404}))

    def messages(self, vendor_ids: dict[str, str]) -> Calls[list[VendorMessage]]:
        listed = yield VendorRequest("GET", f"{_path(vendor_ids)}/messages")
        return [VendorMessage("user", text) for text in _read_texts(listed.body)]

    def find(self, clue: Clue) -> Calls[dict[str, str]]:
        listed = yield VendorRequest("GET", "/conversations")
        found = [each.id for each in _read_conversations(listed.body) if clue.text in each.texts]
        return {"conversation": found[0]} if len(found) == 1 else {}


class ShelfFiles:
    def __init__(self, translator: ShelfTranslator) -> None:
        """It signed in."""

    def list_files(self, vendor_ids: dict[str, str]) -> Calls[list[VendorFile]]:
        listed = yield VendorRequest("GET", f"{_path(vendor_ids)}/files")
        return [_told(file) for file in _read_files(listed.body)]

    def upload(self, vendor_ids: dict[str, str], file: NewFile) -> Calls[VendorFile]:
        form = Form((FormPart("file", file.data, file.name, file.media_type),))
        stored = yield VendorRequest("POST", f"{_path(vendor_ids)}/files", body=form, effect="once")
        return _told(_read_file(stored.body))

    def download(self, vendor_ids: dict[str, str], file: VendorFile) -> VendorRequest:
        return VendorRequest("GET", f"{_path(vendor_ids)}/files/{path_segment(file.ref)}")


class ShelfFrames:
    def __init__(self, translator: ShelfTranslator) -> None:
        """It signed in."""

    def list_frames(self, vendor_ids: dict[str, str]) -> Calls[list[DataFrameAnswer]]:
        listed = yield VendorRequest("GET", f"{_path(vendor_ids)}/frames")
        return [DataFrameAnswer(frame.name, frame.columns) for frame in _read_frames(listed.body)]

    def rows(self, vendor_ids: dict[str, str], name: str, part: Slice) -> Calls[Rows]:
        answered = yield self.download(vendor_ids, name, part)
        return _read_rows(answered.body)

    def download(self, vendor_ids: dict[str, str], name: str, part: Slice) -> VendorRequest:
        asked = msgspec.json.encode(part).decode()
        return VendorRequest("GET", f"{_path(vendor_ids)}/frames/{path_segment(name)}", query={"part": asked})


def _path(vendor_ids: dict[str, str]) -> str:
    return f"/conversations/{path_segment(vendor_ids['conversation'])}"


def _told(file: _File) -> VendorFile:
    return VendorFile(file.ref, file.name, file.type, file.size)


SHELF = Descriptor(
    name="shelf",
    title="Shelf",
    capabilities=dict.fromkeys(CAPABILITIES, "yes"),
    translator=ShelfTranslator,
    target=ShelfTarget,
    options=NoOptions,
    credentials=(frozenset({"key"}),),
    conversations=ShelfConversations,
    files=ShelfFiles,
    data_frames=ShelfFrames,
    scope=lambda target: target.shelf,
)
BARE = Descriptor(
    name="bare",
    title="Shelf without anything beside messages",
    capabilities=dict.fromkeys(CAPABILITIES, "no"),
    translator=ShelfTranslator,
    target=ShelfTarget,
    options=NoOptions,
    credentials=(frozenset({"key"}),),
)
PROTOCOLS: dict[str, Descriptor] = {**BUILT_IN, "shelf": SHELF, "bare": BARE}


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Kept(Struct):
    """What the vendor keeps of one conversation."""

    texts: list[str] = msgspec.field(default_factory=list)
    files: dict[str, tuple[str, bytes]] = msgspec.field(default_factory=dict)


class Shelf:
    """`instead` answers calls in another way, by `METHOD path` as it stands on the wire."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.received: list[str] = []
        """Digest and length of each upload."""
        self.conversations: dict[str, Kept] = {}
        self.frames: list[dict[str, Any]] = []
        self.instead: dict[str, Handler] = {}
        self.left = asyncio.Event()
        """Set when the gateway cut a call."""
        self.url = ""
        self._names = iter(f"c{number}" for number in range(1, 1000))
        app = web.Application(client_max_size=1 << 30)
        app.router.add_route("*", r"/{tail:[\s\S]*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)

    @property
    def said(self) -> list[str]:
        """The texts that it was asked, conversation by conversation."""
        return [text for kept in self.conversations.values() for text in kept.texts]

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        call = f"{request.method} {request.raw_path}"
        self.calls.append(call)
        try:
            return await self.instead.get(call, self._usual)(request)
        except (asyncio.CancelledError, ConnectionError, web.RequestPayloadError):
            self.left.set()
            raise

    async def _usual(self, request: web.Request) -> web.StreamResponse:
        segments = map(unquote, request.raw_path.partition("?")[0].split("/")[1:])
        match [request.method, *segments]:
            case ["POST", "conversations"]:
                name = next(self._names)
                self.conversations[name] = Kept()
                return web.json_response({"id": name})
            case ["GET", "conversations"]:
                told = [{"id": name, "texts": kept.texts} for name, kept in self.conversations.items()]
                return web.json_response(told)
            case [method, "conversations", name, *rest] if name in self.conversations:
                return await self._within(request, name, [method, *rest])
        return web.json_response({}, status=404)

    async def _within(self, request: web.Request, name: str, call: list[str]) -> web.StreamResponse:
        kept = self.conversations[name]
        match call:
            case ["DELETE"]:
                del self.conversations[name]
                return web.json_response({})
            case ["POST", "messages"]:
                kept.texts.append(await request.text())
                return web.Response(body=HELLO, content_type="text/event-stream")
            case ["GET", "messages"]:
                return web.json_response(kept.texts)
            case ["GET", "files"]:
                return web.json_response([_as_told(ref, *file) for ref, file in kept.files.items()])
            case ["POST", "files"]:
                return await self._store(request, kept)
            case ["GET", "files", ref] if ref in kept.files:
                return web.Response(body=kept.files[ref][1], content_type="text/html")
            case ["GET", "frames"]:
                return web.json_response([{"name": each["name"], "columns": each["columns"]} for each in self.frames])
            case ["GET", "frames", name]:
                return self._read_frame(request, name)
        return web.json_response({}, status=404)

    async def _store(self, request: web.Request, kept: Kept) -> web.StreamResponse:
        part = await (await request.multipart()).next()
        if not isinstance(part, aiohttp.BodyPartReader) or part.filename is None:
            return web.json_response({}, status=400)
        digest, size, beginning = hashlib.sha256(), 0, b""
        while piece := await part.read_chunk(1 << 16):
            digest.update(piece)
            size += len(piece)
            beginning = beginning or piece
        self.received.append(f"{size} {digest.hexdigest()}")
        ref = f"ref/{part.filename}"
        kept.files[ref] = (part.headers["Content-Type"], beginning)
        return web.json_response(_as_told(ref, part.headers["Content-Type"], b"") | {"size": size})

    def _read_frame(self, request: web.Request, name: str) -> web.StreamResponse:
        frame = next((each for each in self.frames if each["name"] == name), None)
        if frame is None:
            return web.json_response({}, status=404)
        if msgspec.json.decode(request.query["part"]).get("format") == "parquet":
            return web.Response(body=b"PAR1", content_type="application/vnd.apache.parquet")
        return web.json_response(frame)


def _as_told(ref: str, media_type: str, data: bytes) -> dict[str, object]:
    return {"ref": ref, "name": ref.rpartition("/")[2], "type": media_type, "size": len(data)}


def answer(status: int, body: bytes = b"{}", **headers: str) -> Handler:
    """`retry_after="3"` among `headers` becomes `Retry-After: 3`."""
    named = {name.replace("_", "-").title(): value for name, value in headers.items()}

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=body, headers={"Content-Type": "application/json", **named})

    return handle


async def cut(request: web.Request) -> web.StreamResponse:
    """Takes the call, and breaks off without an answer."""
    await request.read()
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def hold(_: web.Request) -> web.StreamResponse:
    """Answers nothing until the gateway leaves."""
    await asyncio.Event().wait()
    return web.Response()


def config(bare: Mapping[str, Shelf] | None = None, deadlines: str = "", more: str = "", **shelves: Shelf) -> str:
    """A vendor and a route for each of `shelves`, and for each of `bare`; `more` stands in front of all tables."""
    text = f'{more}\n[store]\nkind = "memory"\n'
    for protocol, vendors in (("shelf", shelves), ("bare", bare or {})):
        for name, shelf in vendors.items():
            text += f"""
[vendors.{name}]
protocol = "{protocol}"
base_url = "{shelf.url}"
credentials = {{ key = {{ env = "NOT_SET_ANYWHERE", default = "{CANARY}" }} }}
[routes.{name}]
targets = [{{ vendor = "{name}", deadlines = {{ {deadlines} }} }}]
"""
    return text


def form(*files: tuple[str, bytes], field: str = "files") -> aiohttp.FormData:
    data = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
    for name, content in files:
        data.add_field(field, content, filename=name, content_type="text/plain")
    return data

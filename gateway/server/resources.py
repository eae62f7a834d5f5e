"""Every operation of a dialect other than `message`: who asks, what, one result, one line in the log.

JSON       the dialect reads the ask and writes the result; where there is none, the answer is 204 without a body
uploads    the body is streamed past (see `files.py`)
downloads  a file, or a table in a format of its own
"""

import asyncio
import time

import msgspec
from aiohttp import web

from gateway.canonical.errors import GatewayError
from gateway.canonical.resources import (
    Ask,
    CountTokens,
    CreateConversation,
    DownloadFile,
    GetModel,
    ListFiles,
    ListModels,
    ReadDataFrame,
    Result,
    Resume,
    Stop,
    TokenCount,
    UploadFiles,
)
from gateway.protocols.base import ClientRequest, Dialect, Operation
from gateway.relay.downstream import ClientGone
from gateway.server.catalogue import Catalogue
from gateway.server.conversations import NO_FRAME, Conversations
from gateway.server.edge import read_body, refuse
from gateway.server.errands import Desk, told_as
from gateway.server.files import UNTYPED, Files, media_type_of
from gateway.server.gateway import MAX_SHOWN, REQUEST_ID, Gateway
from gateway.server.keeping import alias_of
from gateway.server.report import vendors_words

CREATED: tuple[type[Ask], ...] = (CreateConversation, UploadFiles)
WITH_BODY: frozenset[Operation] = frozenset({"create_conversation", "count_tokens"})
ESTIMATED = {"X-Token-Count": "estimated"}


class ResourceHandler:
    def __init__(self, gateway: Gateway, dialect: Dialect, operation: Operation) -> None:
        self._gateway = gateway
        self._dialect = dialect
        self._operation: Operation = operation
        self._conversations = Conversations(gateway)
        self._files = Files(gateway)
        self._catalogue = Catalogue(gateway)
        self._desk = Desk(gateway)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        began = time.monotonic()
        owner = None
        code: str | None = "internal"
        failure: GatewayError | None = None
        try:
            owner = self._owner(request)
            response = await self._answer(request, owner)
            code = None
        except GatewayError as error:
            code, failure = error.code, error
            self._count_store_failure(error)
            return refuse(self._dialect, error, request[REQUEST_ID])
        except ClientGone:
            code = "canceled"
            return web.Response(status=499)  # nobody reads it: the connection is gone
        except asyncio.CancelledError:
            code = "canceled"
            raise
        else:
            return response
        finally:
            self._gateway.log.info(
                "resource",
                request_id=request[REQUEST_ID],
                key=owner,
                dialect=self._dialect.name,
                operation=self._operation,
                conversation_id=_shown(request, "conversation_id"),
                message_id=_shown(request, "message_id"),
                code=code,
                duration=round(time.monotonic() - began, 4),
                **vendors_words(failure),
            )

    def _owner(self, request: web.Request) -> str:
        head = ClientRequest(request.headers, b"", query=dict(request.query))
        return self._gateway.keys.owner(self._dialect.credential(head))

    async def _answer(self, request: web.Request, owner: str) -> web.StreamResponse:
        asked = ClientRequest(request.headers, b"", dict(request.match_info), _query(request))
        if self._operation in WITH_BODY:
            edge = self._gateway.edge
            asked = msgspec.structs.replace(asked, body=await read_body(request, edge.max_body, edge.body_deadline))
        ask = self._dialect.read_ask(self._operation, asked)
        match ask:
            case DownloadFile():
                return await self._files.download(ask, owner, request)
            case ReadDataFrame() if ask.slice.format != "json":
                return await self._download_table(ask, owner, request)
            case UploadFiles():
                result: Result = await self._files.upload(ask, owner, request)
            case ListFiles():
                result = await self._files.list_files(ask, owner)
            case ListModels() | GetModel() | CountTokens():
                result = self._catalogue.perform(ask)
            case Resume():
                return self._nothing(request)
            case Stop():
                await self._conversations.stop(alias_of(self._dialect.name, ask.thread), owner)
                return self._nothing(request)
            case _:
                result = await self._conversations.perform(ask, owner)
        return web.Response(
            status=201 if isinstance(ask, CREATED) else 200,
            body=self._dialect.write_result(result),
            content_type="application/json",
            headers={**self._dialect.headers(request[REQUEST_ID]), **(ESTIMATED if type(result) is TokenCount else {})},
        )

    def _nothing(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"X-Request-Id": request[REQUEST_ID]})

    async def _download_table(self, ask: ReadDataFrame, owner: str, request: web.Request) -> web.StreamResponse:
        target, binding = await self._conversations.frames_of(ask, owner)
        name = f"{ask.name}.{ask.slice.format}"
        with told_as("not_found", NO_FRAME):
            async with self._desk.download(
                target,
                "read_data_frame",
                "data_frames",
                lambda port: port.download(binding.vendor_ids, ask.name, ask.slice),
            ) as found:
                return await self._files.pass_on(request, found, name, media_type_of(found.headers) or UNTYPED)

    def _count_store_failure(self, error: GatewayError) -> None:
        if error.code == "store_unavailable":
            self._gateway.metrics.store_failure(self._operation)


def _shown(request: web.Request, parameter: str) -> str | None:
    return request.match_info.get(parameter, "")[:MAX_SHOWN] or None


def _query(request: web.Request) -> dict[str, str]:
    """Raises `bad_request` for a parameter that stands twice."""
    query = dict(request.query)
    if len(query) < len(request.query):
        raise GatewayError(
            "bad_request", "the request does not fit: query: a parameter stands twice", details={"path": "query"}
        )
    return query

"""A `VendorRequest` as bytes: where it goes, its head, and its body, whole or piece by piece.

A form whose parts are all bytes is one body. One that holds an upload has no known length: its envelope is written
around the upload's own pieces, which are never gathered (RFC 7578; chunked, RFC 9112, 7.1).

Names stand in a form as browsers write them, UTF-8 with three characters escaped (html.spec.whatwg.org, "Multipart form
data", read 2026-11): servers decode no more than that, so a space that is sent as %20 would stay in a file's name.
"""

import uuid
from collections.abc import AsyncIterable, AsyncIterator, Iterator

from msgspec import Struct

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import Credentials, Form, FormPart, VendorRequest
from gateway.relay.upstream import Origin, render_head


class Vendor(Struct, frozen=True):
    """A configured vendor as the relay calls it: where each base URL leads, and its secrets."""

    name: str
    bases: dict[str, tuple[Origin, str]]
    credentials: Credentials

    def base(self, name: str) -> tuple[Origin, str]:
        """Raises `unsupported` for one that the configuration leaves out."""
        try:
            return self.bases[name]
        except KeyError:
            raise GatewayError("unsupported", f"the vendor is configured without its base URL {name!r}") from None


class Rendered(Struct, frozen=True):
    """`pieces` follow the head as chunks, where there are any."""

    origin: Origin
    head: bytes
    body: bytes = b""
    pieces: AsyncIterator[bytes] | None = None

    def __repr__(self) -> str:
        return f"Rendered({self.origin})"  # the head holds a credential


def render(request: VendorRequest, vendor: Vendor, headers: dict[str, str]) -> Rendered:
    origin, base_path = vendor.base(request.base)
    body = request.body
    if isinstance(body, Form):
        boundary = uuid.uuid4().hex
        headers = headers | {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        pieces = list(_pieces(body, boundary))
        known = [piece for piece in pieces if isinstance(piece, bytes)]
        if len(known) < len(pieces):
            head = render_head(request, origin, base_path, headers, None)
            return Rendered(origin, head, pieces=_one_after_another(pieces))
        body = b"".join(known)
    return Rendered(origin, render_head(request, origin, base_path, headers, len(body)), body)


def _pieces(form: Form, boundary: str) -> Iterator[bytes | AsyncIterable[bytes]]:
    for part in form.parts:
        yield f"--{boundary}\r\n{_part_head(part)}\r\n\r\n".encode()
        yield part.data
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _part_head(part: FormPart) -> str:
    """A plain field has no type unless it was given one: servers take a typed field for a file."""
    media_type = part.media_type
    head = f'Content-Disposition: form-data; name="{part.name.translate(_ESCAPES)}"'
    if part.file_name is not None:
        head += f'; filename="{part.file_name.translate(_ESCAPES)}"'
        media_type = media_type or "application/octet-stream"
    if media_type is None:
        return head
    if not media_type.isprintable():
        raise GatewayError("internal", "a request to the vendor could not be built")
    return f"{head}\r\nContent-Type: {media_type}"


_ESCAPES = str.maketrans({'"': "%22", "\r": "%0D", "\n": "%0A"})


async def _one_after_another(pieces: list[bytes | AsyncIterable[bytes]]) -> AsyncIterator[bytes]:
    """Without empty ones: as a chunk that would be the last."""
    for piece in pieces:
        if not isinstance(piece, bytes):
            async for part in piece:
                if part:
                    yield part
        elif piece:
            yield piece

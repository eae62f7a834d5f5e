"""A vendor's request as bytes: where it goes, forms as browsers write them, uploads that are never gathered."""

from collections.abc import AsyncIterator

import pytest

from gateway.canonical.errors import GatewayError
from gateway.protocols.base import Credentials, Form, FormPart, VendorRequest
from gateway.relay.rendering import Rendered, Vendor, render
from gateway.relay.upstream import Origin

ACME = Origin("https", "acme.test", 443)
FILES = Origin("https", "files.acme.test", 443)
VENDOR = Vendor("acme", {"": (ACME, "/v1"), "files": (FILES, "")}, Credentials({"api_key": "k"}))
OURS = b"Accept-Encoding: identity\r\nUser-Agent: protocol-gateway\r\n"


async def upload(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def form_of(*parts: FormPart) -> tuple[Rendered, str]:
    """A form as it is sent, and its boundary."""
    rendered = render(VendorRequest("POST", "/files", body=Form(parts)), VENDOR, {"X-Key": "k"})
    _, _, rest = rendered.head.decode().partition("Content-Type: multipart/form-data; boundary=")
    return rendered, rest.partition("\r\n")[0]


async def test_a_request_goes_to_the_base_url_that_it_names() -> None:
    post = VendorRequest("POST", "/chat", body=b"{}")
    head = b"POST /v1/chat HTTP/1.1\r\nHost: acme.test\r\n" + OURS + b"X-Key: k\r\nContent-Length: 2\r\n\r\n"
    assert render(post, VENDOR, {"X-Key": "k"}) == Rendered(ACME, head, b"{}")
    get = VendorRequest("GET", "/a", base="files")
    head = b"GET /a HTTP/1.1\r\nHost: files.acme.test\r\n" + OURS + b"\r\n"
    assert render(get, VENDOR, {}) == Rendered(FILES, head)


async def test_a_base_url_that_is_not_configured_is_unsupported() -> None:
    with pytest.raises(GatewayError) as caught:
        render(VendorRequest("GET", "/a", base="apps"), VENDOR, {})
    assert (caught.value.code, caught.value.message) == (
        "unsupported",
        "the vendor is configured without its base URL 'apps'",
    )


async def test_what_is_rendered_does_not_show_its_credential() -> None:
    rendered = render(VendorRequest("GET", "/a"), VENDOR, {"Authorization": "Bearer sk-123"})
    assert b"sk-123" in rendered.head
    assert "sk-123" not in repr(rendered)


async def test_a_form_of_bytes_is_one_body_of_known_length() -> None:
    rendered, boundary = await form_of(
        FormPart("note", b"hi"), FormPart("file", b"\0\xff\r\n", "a.bin"), FormPart("meta", b"{}", None, "text/json")
    )
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    ).encode() + (
        b"\0\xff\r\n\r\n"
        + f'--{boundary}\r\nContent-Disposition: form-data; name="meta"\r\n'
        f"Content-Type: text/json\r\n\r\n{{}}\r\n--{boundary}--\r\n".encode()
    )
    assert (rendered.origin, rendered.body, rendered.pieces) == (ACME, body, None)
    assert rendered.head.endswith(f"boundary={boundary}\r\nContent-Length: {len(body)}\r\n\r\n".encode())
    assert b"\r\nX-Key: k\r\n" in rendered.head


async def test_a_form_without_parts_is_its_end() -> None:
    rendered, boundary = await form_of()
    assert rendered.body == f"--{boundary}--\r\n".encode()


async def test_a_large_part_of_bytes_is_sent_without_a_warning() -> None:
    rendered, _ = await form_of(FormPart("file", b"x" * 3_000_000, "a.bin"))
    assert len(rendered.body) > 3_000_000


NAMES: dict[str, str] = {
    "Bericht März (1).pdf": "Bericht März (1).pdf",
    'a "b".pdf': "a %22b%22.pdf",
    "a\r\nX-Evil: 1": "a%0D%0AX-Evil: 1",
    "100%.pdf": "100%.pdf",
    "\\": "\\",
}


@pytest.mark.parametrize(("name", "written"), NAMES.items())
async def test_names_are_written_as_browsers_write_them(name: str, written: str) -> None:
    rendered, _ = await form_of(FormPart(name, b"", name))
    line = rendered.body.split(b"\r\n")[1].decode()
    assert line == f'Content-Disposition: form-data; name="{written}"; filename="{written}"'


@pytest.mark.parametrize("media_type", ["a/b\r\nX-Evil: 1", "a/b\n", "a/b\0"])
async def test_a_media_type_that_would_be_an_injection_is_not_sent(media_type: str) -> None:
    with pytest.raises(GatewayError) as caught:
        await form_of(FormPart("file", b"", "a.bin", media_type))
    assert (caught.value.code, caught.value.message) == ("internal", "a request to the vendor could not be built")


async def test_uploads_come_in_chunks_as_their_pieces_come_and_never_as_an_empty_one() -> None:
    rendered, boundary = await form_of(
        FormPart("note", b""),
        FormPart("file", upload(b"one", b"", b"two"), "a.txt", "text/plain"),
        FormPart("file", upload(), "b.txt", "text/plain"),
    )
    assert rendered.body == b""
    assert rendered.head.endswith(f"boundary={boundary}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
    assert b"Content-Length" not in rendered.head
    assert rendered.pieces is not None
    part = f'--{boundary}\r\nContent-Disposition: form-data; name="{{}}'
    file = part.format('file"; filename="{}.txt"\r\nContent-Type: text/plain\r\n\r\n')
    pieces = [piece.decode() async for piece in rendered.pieces]
    assert pieces == [
        part.format('note"\r\n\r\n'),
        "\r\n",
        *(file.format("a"), "one", "two", "\r\n"),
        *(file.format("b"), "\r\n"),
        f"--{boundary}--\r\n",
    ]


async def test_two_forms_have_two_boundaries() -> None:
    assert (await form_of())[1] != (await form_of())[1]

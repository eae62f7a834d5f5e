"""HTTP/1.1 responses against aiohttp's own reader, which is the oracle for what is valid, and against hostile ones."""

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpResponseParser
from hypothesis import given
from hypothesis import strategies as st

from gateway.relay.http1 import Body, HeadReader, ResponseHead, Unreadable, body_of

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def read(loop: asyncio.AbstractEventLoop, pieces: Iterable[bytes]) -> tuple[ResponseHead | None, bytes, Body | None]:
    heads = HeadReader(BaseProtocol(loop), loop)
    head: ResponseHead | None = None
    body: Body | None = None
    told: list[bytes] = []
    for piece in pieces:
        rest = piece
        if body is None:
            found = heads.feed(piece)
            if found is None:
                continue
            head, rest = found
            body = body_of(head)
        if rest:
            told.append(body.feed(rest))
    return head, b"".join(told), body


def expected(
    loop: asyncio.AbstractEventLoop, data: bytes, *, closes: bool = False
) -> tuple[int, list[tuple[str, str]], bytes]:
    """What aiohttp reads."""
    parser = HttpResponseParser(
        BaseProtocol(loop), loop, 2**16, response_with_body=True, read_until_eof=True, auto_decompress=False
    )
    [(message, payload)], _, rest = parser.feed_data(data)
    if closes:
        parser.feed_eof()
    assert rest == b""
    assert payload.is_eof()
    return message.code, list(message.headers.items()), payload.read_nowait()


def pieces_of(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def chunk_of(data: bytes, extension: bytes, zeros: int, upper: bool) -> bytes:  # noqa: FBT001  (drawn, not chosen)
    size = (b"%X" if upper else b"%x") % len(data)
    return b"0" * zeros + size + extension + b"\r\n" + data + b"\r\n"


EXTENSIONS = st.sampled_from([b"", b";a", b";a=1", b";a=1;b=2"])
CHUNKS = st.lists(
    st.builds(chunk_of, st.binary(min_size=1, max_size=300), EXTENSIONS, st.integers(0, 5), st.booleans())
)
TRAILERS = st.lists(st.sampled_from([b"X-Sum: 1\r\n", b"X-Other: two words\r\n"]), max_size=3)
CUTS = st.lists(st.integers(0, 10_000), max_size=12)
FIELDS = st.lists(st.sampled_from([b"X-A: 1\r\n", b"x-a: 2\r\n", b"X-B:  b \r\n", b"Set-Cookie: a=b\r\n", b"X-C:\r\n"]))


# --- bodies


@given(chunks=CHUNKS, trailers=TRAILERS, cuts=CUTS, fields=FIELDS)
def test_a_chunked_body_is_read_as_aiohttp_reads_it(
    loop: asyncio.AbstractEventLoop,
    chunks: Sequence[bytes],
    trailers: Sequence[bytes],
    cuts: list[int],
    fields: Sequence[bytes],
) -> None:
    head = OK + b"".join(fields) + b"Transfer-Encoding: chunked\r\n\r\n"
    data = head + b"".join(chunks) + b"0\r\n" + b"".join(trailers) + b"\r\n"
    found, told, body = read(loop, pieces_of(data, cuts))
    assert found is not None
    assert body is not None
    assert (found.status, list(found.headers.items()), told) == expected(loop, data)
    assert body.is_whole


@given(content=st.binary(max_size=2000), cuts=CUTS)
def test_a_body_of_known_length_is_read_as_aiohttp_reads_it(
    loop: asyncio.AbstractEventLoop, content: bytes, cuts: list[int]
) -> None:
    data = OK + b"Content-Length: %d\r\n\r\n" % len(content) + content
    _, told, body = read(loop, pieces_of(data, cuts))
    assert told == content == expected(loop, data)[2]
    assert body is not None
    assert body.is_whole


@given(content=st.binary(max_size=2000), cuts=CUTS)
def test_a_body_until_the_close_is_read_as_aiohttp_reads_it(
    loop: asyncio.AbstractEventLoop, content: bytes, cuts: list[int]
) -> None:
    data = OK + b"\r\n" + content
    found, told, body = read(loop, pieces_of(data, cuts))
    assert found is not None
    assert body is not None
    assert (found.is_last, body.is_whole) == (True, False)
    body.close()
    assert body.is_whole
    assert told == content == expected(loop, data, closes=True)[2]


WHOLE = (
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\n\r\n"
    b"5\r\nhello\r\n00A;name=value\r\n, how are \r\n3\r\nyou\r\n0\r\nX-Sum: 1\r\n\r\n"
)


@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
def test_an_answer_may_be_cut_at_every_byte(loop: asyncio.AbstractEventLoop, cut: int) -> None:
    head, told, body = read(loop, [WHOLE[:cut], WHOLE[cut:]])
    assert head is not None
    assert body is not None
    assert (head.status, head.headers.get("X-A"), told, body.is_whole) == (200, "1", b"hello, how are you", True)


def test_an_answer_may_come_byte_by_byte(loop: asyncio.AbstractEventLoop) -> None:
    head, told, body = read(loop, [bytes([byte]) for byte in WHOLE])
    assert head is not None
    assert body is not None
    assert (head.status, told, body.is_whole) == (200, b"hello, how are you", True)


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_an_answer_that_is_cut_short_is_never_whole(loop: asyncio.AbstractEventLoop, end: int) -> None:
    _, _, body = read(loop, [WHOLE[:end]])
    if body is not None:
        assert not body.is_whole
        with pytest.raises(Unreadable):
            body.close()


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_is_whole_at_its_head(loop: asyncio.AbstractEventLoop, status: int) -> None:
    _, told, body = read(loop, [b"HTTP/1.1 %d Nothing\r\nContent-Length: 9\r\n\r\n" % status])
    assert body is not None
    assert (told, body.is_whole) == (b"", True)


def test_lengths_that_agree_are_one_length(loop: asyncio.AbstractEventLoop) -> None:
    head = ResponseHead(200, {"Content-Length": "5"}, is_last=False)
    assert body_of(head).feed(b"hello") == b"hello"


def test_a_sized_body_that_is_cut_short_cannot_be_read() -> None:
    body = body_of(ResponseHead(200, {"Content-Length": "5"}, is_last=False))
    assert body.feed(b"hel") == b"hel"
    with pytest.raises(Unreadable):
        body.close()


# --- heads


@pytest.mark.parametrize("count", [1, 3, 50])
def test_interim_answers_are_skipped(loop: asyncio.AbstractEventLoop, count: int) -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n" * count
    head, told, _ = read(loop, [interim + OK + b"Content-Length: 2\r\n\r\nhi"])
    assert head is not None
    assert (head.status, told) == (200, b"hi")


LAST: dict[str, tuple[bytes, bool]] = {
    "HTTP/1.1": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False),
    "close": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", True),
    "Close, among others": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x, Close\r\n\r\n", True),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", True),
    "HTTP/1.0 kept alive": (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n", False),
}


@pytest.mark.parametrize(("data", "is_last"), LAST.values(), ids=LAST)
def test_a_head_says_whether_its_connection_may_be_used_again(
    loop: asyncio.AbstractEventLoop,
    data: bytes,
    is_last: bool,  # noqa: FBT001  (a table's column)
) -> None:
    head, _, _ = read(loop, [data])
    assert head is not None
    assert head.is_last is is_last


def test_one_reader_reads_one_head_after_another(loop: asyncio.AbstractEventLoop) -> None:
    heads = HeadReader(BaseProtocol(loop), loop)
    for status in (200, 500, 204):
        found = heads.feed(b"HTTP/1.1 %d Status\r\nX-Number: %d\r\n\r\n" % (status, status))
        assert found is not None
        head, rest = found
        assert (head.status, head.headers.get("X-Number"), rest) == (status, str(status), b"")


# --- what cannot be read in one way only

HEADS: dict[str, bytes] = {
    "a length and chunks": OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunks and a length": OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    "two lengths in one line": OK + b"Content-Length: 5, 6\r\n\r\n",
    "chunked, identity": OK + b"Transfer-Encoding: chunked, identity\r\n\r\n",
    "identity": OK + b"Transfer-Encoding: identity\r\n\r\n",
    "gzip, chunked": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "chunked twice": OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    "chunked with a space behind the name": OK + b"Transfer-Encoding : chunked\r\n\r\n",
    "a length with a space behind the name": OK + b"Content-Length : 5\r\n\r\n",
    "chunked with a letter behind it": OK + b"Transfer-Encoding: chunkedx\r\n\r\n",
    "a length with a sign": OK + b"Content-Length: +5\r\n\r\n",
    "a negative length": OK + b"Content-Length: -5\r\n\r\n",
    "a length in hexadecimal": OK + b"Content-Length: 0x5\r\n\r\n",
    "a length with underscores": OK + b"Content-Length: 1_0\r\n\r\n",
    "an empty length": OK + b"Content-Length: \r\n\r\n",
    "a length of 20 digits": OK + b"Content-Length: " + b"9" * 20 + b"\r\n\r\n",
    "a length of 19 digits": OK + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n",
    "a length of other digits": OK + "Content-Length: \N{ARABIC-INDIC DIGIT FIVE}\r\n\r\n".encode(),
    "no status line": b"hello, who is there?\r\n\r\n",
    "an empty status line": b"\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "a status of letters": b"HTTP/1.1 abc OK\r\n\r\n",
    "a version that is none": b"HTTP/x.1 200 OK\r\n\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "a name with a control character": OK + b"X-\1: 1\r\n\r\n",
    "a value with NUL": OK + b"X-A: a\0b\r\n\r\n",
    "a line without a colon": OK + b"hello\r\n\r\n",
    "a line without a name": OK + b": hello\r\n\r\n",
    "a bare LF": OK + b"X-A: 1\nX-B: 2\r\n\r\n",
    "a bare CR": OK + b"X-A: 1\rX-B: 2\r\n\r\n",
    "a line over 8 KB": OK + b"X-A: " + b"x" * 8200 + b"\r\n\r\n",
    "a reason over 8 KB": b"HTTP/1.1 200 " + b"x" * 8200 + b"\r\n\r\n",
    "1,000 lines": OK + b"".join(b"X-%d: 1\r\n" % number for number in range(1000)) + b"\r\n",
    "a head of 100 KB without end": OK + b"X-A: 1\r\n" * 12_800,
}


@pytest.mark.parametrize("data", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("size", [1, 7, 2**20])
def test_a_head_that_can_be_read_in_two_ways_or_in_none_is_refused(
    loop: asyncio.AbstractEventLoop, data: bytes, size: int
) -> None:
    with pytest.raises(Unreadable):
        read(loop, [data[start : start + size] for start in range(0, len(data), size)])


BODIES: dict[str, bytes] = {
    "a size in another notation": b"0x5\r\nhello\r\n",
    "a size with a sign": b"+5\r\nhello\r\n",
    "a negative size": b"-1\r\nhello\r\n",
    "a size with underscores": b"1_0\r\nhello\r\n",
    "a size behind a space": b" 5\r\nhello\r\n",
    "an empty size": b"\r\nhello\r\n",
    "an extension without size": b";a=1\r\nhello\r\n",
    "a size of letters": b"xyz\r\nhello\r\n",
    "a size of 20 digits": b"f" * 20 + b"\r\nhello\r\n",
    "two sizes": b"5 5\r\nhello\r\n",
    "a size with other digits": "\N{ARABIC-INDIC DIGIT FIVE}\r\nhello\r\n".encode(),
    "a bare LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "data longer than its size": b"5\r\nhello, who is there?\r\n",
    "data longer by one": b"5\r\nhello!\r\n",
    "data with a bare LF behind it": b"5\r\nhello\n0\r\n\r\n",
    "data with a bare CR behind it": b"5\r\nhello\r0\r\n\r\n",
    "an extension without end": b"5;" + b"x" * 5000,
    "an extension of 5 KB": b"5;" + b"x" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    "trailers without end": b"0\r\n" + b"X-A: 1\r\n" * 5000,
    "a trailer of 5 KB": b"0\r\nX-A: " + b"x" * 5000,
    "bytes behind the end": b"0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
}


@pytest.mark.parametrize("data", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("size", [1, 7, 2**20])
def test_a_chunked_body_that_breaks_the_rules_is_refused(
    loop: asyncio.AbstractEventLoop, data: bytes, size: int
) -> None:
    with pytest.raises(Unreadable):
        read(loop, [CHUNKED, *(data[start : start + size] for start in range(0, len(data), size))])


@pytest.mark.parametrize("behind", [b"5\r\nhello\r\n", b"0\r\n\r\n", b"\r\n", b"x"])
def test_bytes_behind_a_last_chunk_that_came_alone_are_refused(loop: asyncio.AbstractEventLoop, behind: bytes) -> None:
    with pytest.raises(Unreadable, match="bytes behind the last chunk"):
        read(loop, [CHUNKED, b"5\r\nhello\r\n", b"0\r\n\r\n", behind])


@pytest.mark.parametrize("size", [1, 7, 2**20])
def test_bytes_behind_a_body_of_known_length_are_refused(loop: asyncio.AbstractEventLoop, size: int) -> None:
    data = b"hello!"
    with pytest.raises(Unreadable):
        read(loop, [OK + b"Content-Length: 5\r\n\r\n", *(data[at : at + size] for at in range(0, len(data), size))])


@given(data=st.binary(max_size=400), cuts=CUTS)
def test_noise_is_unreadable_and_nothing_else(loop: asyncio.AbstractEventLoop, data: bytes, cuts: list[int]) -> None:
    for begin in (b"", b"HTTP/1.1 200 OK\r\n", CHUNKED):
        try:
            read(loop, pieces_of(begin + data, cuts))
        except Unreadable as error:
            assert str(error)  # noqa: PT017  (nothing else may be raised, and nothing need be)


# --- time


def seconds(loop: asyncio.AbstractEventLoop, data: bytes, size: int) -> float:
    pieces = [data[start : start + size] for start in range(0, len(data), size)]
    best = float("inf")
    for _ in range(5):
        began = time.process_time()
        read(loop, pieces)
        best = min(best, time.process_time() - began)
    return best


GROWING: dict[str, tuple[bytes, bytes, int]] = {
    "tiny chunks in one read": (CHUNKED, b"1\r\nx\r\n" * 20_000, 2**30),
    "tiny chunks byte by byte": (CHUNKED, b"1\r\nx\r\n" * 5_000, 1),
    "one large chunk in small reads": (CHUNKED + b"fffffff\r\n", b"x" * 1_000_000, 100),
    "a length in small reads": (OK + b"Content-Length: 99999999\r\n\r\n", b"x" * 1_000_000, 100),
    "a head byte by byte": (OK, b"X-Some-Header: %b\r\n" % (b"x" * 300) * 60, 1),
}


@pytest.mark.sweep
@pytest.mark.parametrize(("begin", "data", "size"), GROWING.values(), ids=GROWING)
def test_twice_the_bytes_take_about_twice_the_time(
    loop: asyncio.AbstractEventLoop, begin: bytes, data: bytes, size: int
) -> None:
    once = seconds(loop, begin + data, size)
    assert seconds(loop, begin + data + data, size) < 3.4 * once + 0.05

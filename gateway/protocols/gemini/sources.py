"""What an answer is grounded on, gathered while it streams and told at its end, when all of its text is known.

    groundingChunks      a source, once for each of the groundingSupports that name it, with its place in the text
    citationMetadata     with its place
    urlContextMetadata   without, where it was read and nothing above tells of it

The metadata may come with any chunk, again and again, each time with all or only with what is new.
Offsets count bytes of UTF-8. The manual counts them from the start of the part that `partIndex` names, but the vendor
leaves that out where thoughts stand before the answer, so the text that comes with them tells where they begin.
Source: google-genai (Python) 3.4.0 `Segment`, googleapis/python-genai issue 961; read 2026-11.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate

from msgspec import Struct

from gateway.canonical.events import Source
from gateway.protocols.gemini import wire

READ = "URL_RETRIEVAL_STATUS_SUCCESS"

MOST_TRIES = 100_000
"""Texts that the quotes of one answer may be looked for in, each from its own start."""
MOST_SEARCHED = 100_000_000
"""Bytes that may be searched for its quotes that stand elsewhere."""

PAGE = 4096
CONTINUATIONS = bytes(range(0x80, 0xC0))
"""The bytes of UTF-8 that begin no character."""


class _Cited(Struct, frozen=True):
    """`start` and `end` count bytes; without `end` its place is not known. `said` is what the answer says there."""

    url: str | None
    title: str | None
    quote: str | None = None
    start: int = 0
    end: int | None = None
    said: str | None = None


class Span(Struct, frozen=True):
    """A place within one block, in code points."""

    block: int
    start: int
    end: int


class Told(Struct, frozen=True):
    """A text block as it stands in the answer."""

    block: int
    text: str


class Gathered:
    def __init__(self) -> None:
        self._cited: dict[_Cited, None] = {}
        self._read: dict[_Cited, None] = {}

    def add(self, candidate: wire.Candidate) -> None:
        if candidate.grounding_metadata is not None:
            self._cited.update(dict.fromkeys(_grounds(candidate.grounding_metadata)))
        if candidate.citation_metadata is not None:
            cited = candidate.citation_metadata
            for one in (*(cited.citations or ()), *(cited.citation_sources or ())):
                self._cited[_Cited(one.uri, one.title, None, one.start_index, one.end_index)] = None
        if candidate.url_context_metadata is not None:
            for page in candidate.url_context_metadata.url_metadata or ():
                if page.retrieved_url and page.url_retrieval_status in {READ, None}:
                    self._read[_Cited(page.retrieved_url, None)] = None

    def tell(self, texts: Sequence[Told], identify: Callable[[str], str]) -> Iterator[Source]:
        """`identify` makes an id; one source that is cited in several places keeps its own."""
        if not self._cited and not self._read:
            return
        answer = Answer(texts)
        placed = {_key(one) for one in self._cited if one.end is not None}
        cited = [one for one in self._cited if one.end is not None or _key(one) not in placed]
        known = {one.url for one in cited}
        ids: dict[tuple[str | None, str | None], str] = {}
        for one in (*cited, *(page for page in self._read if page.url not in known)):
            source_id = ids.get(_key(one)) or ids.setdefault(_key(one), identify("source"))
            span = answer.find(one.start, one.end, one.said)
            place = (None, None, None) if span is None else (span.block, span.start, span.end)
            yield Source(source_id, one.title, one.url, None, one.quote, *place)


def _grounds(metadata: wire.GroundingMetadata) -> Iterator[_Cited]:
    """Each chunk in its places, or without one."""
    segments: dict[int, list[wire.Segment]] = {}
    for support in metadata.grounding_supports or ():
        if support.segment is not None and support.segment.end_index is not None:
            for index in support.grounding_chunk_indices or ():
                segments.setdefault(index, []).append(support.segment)
    for number, chunk in enumerate(metadata.grounding_chunks or ()):
        named = _named(chunk)
        if named.url or named.title:
            yield from (_at(named, segment) for segment in segments[number]) if number in segments else (named,)


def _at(cited: _Cited, segment: wire.Segment) -> _Cited:
    return _Cited(cited.url, cited.title, cited.quote, segment.start_index, segment.end_index, segment.text or None)


def _key(cited: _Cited) -> tuple[str | None, str | None]:
    return cited.url, None if cited.url else cited.title


def _named(chunk: wire.GroundingChunk) -> _Cited:
    place = chunk.web or chunk.retrieved_context or chunk.maps or chunk.image or wire.Place()
    return _Cited(place.uri or place.source_uri or None, place.title or None, place.text or None)


class Answer:
    """Texts, and where in them a span of bytes stands. A quote that is costly to find has no place."""

    def __init__(self, texts: Sequence[Told]) -> None:
        self._texts = texts
        self._counts = [_Counts(told.text) for told in texts]
        self._starts = list(accumulate((count.size for count in self._counts), initial=0))
        self._said = {told.block: told.text for told in texts}
        self._tries = 0
        self._searched = 0

    def find(self, start: int, end: int | None, said: str | None) -> Span | None:
        """Counted from the answer's start; else, where it is known what is said, from any text's, or where it is."""
        if end is None:
            return None
        if said is None:
            return self._at(start, end)
        self._tries += len(self._texts)
        for base in self._starts[:-1] if self._tries <= MOST_TRIES else [0]:
            span = self._at(base + start, base + end)
            if span is not None and self._said[span.block][span.start : span.end] == said:
                return span
        return self._only(said)

    def _at(self, start: int, end: int) -> Span | None:
        """A span that lies within one text and divides no character."""
        number = bisect_right(self._starts, start) - 1
        if not (0 <= number < len(self._texts) and start < end <= self._starts[number + 1]):
            return None
        base, counts = self._starts[number], self._counts[number]
        first, last = counts.before(start - base), counts.before(end - base)
        return None if first is None or last is None else Span(self._texts[number].block, first, last)

    def _only(self, said: str) -> Span | None:
        self._searched += self._starts[-1]
        found = [told for told in self._texts if said in told.text] if self._searched <= MOST_SEARCHED else []
        if len(found) != 1 or found[0].text.count(said) != 1:
            return None
        start = found[0].text.index(said)
        return Span(found[0].block, start, start + len(said))


class _Counts:
    """How many code points stand before a byte of a text."""

    def __init__(self, text: str) -> None:
        self._data = text.encode()
        self.size = len(self._data)
        self._pages: list[int] = []
        if not text.isascii():
            pages = (_count(self._data[at : at + PAGE]) for at in range(0, self.size, PAGE))
            self._pages = list(accumulate(pages, initial=0))

    def before(self, offset: int) -> int | None:
        """None within a character."""
        if not self._pages:
            return offset
        if self._data[offset : offset + 1].translate(None, CONTINUATIONS) != self._data[offset : offset + 1]:
            return None
        page = offset // PAGE
        return self._pages[page] + _count(self._data[page * PAGE : offset])


def _count(data: bytes) -> int:
    """Of the characters that begin in it."""
    return len(data.translate(None, CONTINUATIONS))

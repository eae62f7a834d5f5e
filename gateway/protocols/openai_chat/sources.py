"""What an answer cites, in three spellings, each source once.

    citations        ["https://...", ...]                                     Perplexity, on every chunk
    search_results   [{"url", "title", "snippet"}, ...]                       the same with titles
    annotations      [{"type": "url_citation", "url_citation": {"url", "title", "start_index", "end_index"}}]

A citation with indices is held to the end: they count characters of the whole content, which may be several blocks.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from gateway.canonical.blocks import Numbering
from gateway.canonical.events import Event, Source, TextCompleted
from gateway.protocols.openai_chat.wire import Annotation, Citation


class Sources:
    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._known: set[str] = set()
        self._held: dict[tuple[str, int, int], Citation] = {}
        """By URL and passage."""
        self._starts: list[int] = []
        self._texts: list[TextCompleted] = []
        self._length = 0

    def add_texts(self, events: Iterable[Event]) -> None:
        """Text blocks that are over; indices count on from one to the next."""
        for text in (event for event in events if isinstance(event, TextCompleted)):
            self._starts.append(self._length)
            self._texts.append(text)
            self._length += len(text.text)

    def list(self, citations: Iterable[str | Citation]) -> Iterator[Source]:
        """Of what was found, not of what a passage rests on."""
        for entry in citations:
            citation = Citation(entry) if isinstance(entry, str) else entry
            if citation.url and citation.url not in self._known:
                yield self._name(citation)

    def annotate(self, annotations: Iterable[Annotation]) -> Iterator[Source]:
        for annotation in annotations:
            citation = annotation.url_citation or annotation
            if not citation.url:
                continue
            passage = _passage(citation)
            if passage is not None:
                self._held.setdefault((citation.url, *passage), citation)
            elif citation.url not in self._known:
                yield self._name(citation)

    def end(self) -> Iterator[Source]:
        for (_, start, end), citation in self._held.items():
            yield self._place(self._name(citation), start, end)

    def _name(self, citation: Citation) -> Source:
        self._known.add(citation.url or "")
        return Source(
            self._numbering.identify("source"),
            citation.title or None,
            citation.url,
            quote=citation.content or citation.snippet or None,
        )

    def _place(self, source: Source, start: int, end: int) -> Source:
        if start >= self._length:
            return source
        number = bisect_right(self._starts, start) - 1
        text, begin = self._texts[number], self._starts[number]
        return replace(source, block=text.block, start=start - begin, end=min(end - begin, len(text.text)))


def _passage(citation: Citation) -> tuple[int, int] | None:
    start, end = citation.start_index, citation.end_index
    return (start, end) if start is not None and end is not None and 0 <= start < end else None

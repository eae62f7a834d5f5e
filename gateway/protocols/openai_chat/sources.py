"""What an answer cites, in three spellings, each source once.

    citations        ["https://...", ...]                                     Perplexity, on every chunk
    search_results   [{"url", "title", "snippet"}, ...]                       the same with titles
    annotations      [{"type": "url_citation", "url_citation": {"url", "title", "start_index", "end_index"}}]

A citation with indices is held to the end: they count characters of the whole content, which may be several blocks.
"""

from collections.abc import Iterable, Iterator

from gateway.canonical.blocks import Numbering
from gateway.canonical.events import Event, Source, TextCompleted
from gateway.protocols.openai_chat.wire import Annotation, Citation


class Sources:
    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._known: set[str] = set()
        self._held: list[Citation] = []
        self._texts: list[tuple[int, int]] = []

    def add_texts(self, events: Iterable[Event]) -> None:
        """Text blocks that are over; indices count on from one to the next."""
        self._texts += [(event.block, len(event.text)) for event in events if isinstance(event, TextCompleted)]

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
            if _has_range(citation):
                self._held.append(citation)
            elif citation.url not in self._known:
                yield self._name(citation)

    def end(self) -> Iterator[Source]:
        seen: set[tuple[str | None, int | None, int | None]] = set()
        for citation in self._held:
            passage = citation.url, citation.start_index, citation.end_index
            if passage not in seen:
                seen.add(passage)
                yield self._place(citation)

    def _name(self, citation: Citation) -> Source:
        self._known.add(citation.url or "")
        return Source(
            self._numbering.identify("source"),
            citation.title or None,
            citation.url,
            quote=citation.content or citation.snippet or None,
        )

    def _place(self, citation: Citation) -> Source:
        named = self._name(citation)
        start, end = citation.start_index or 0, citation.end_index or 0
        for block, length in self._texts:
            if start < length:
                return Source(
                    named.source_id,
                    named.title,
                    named.url,
                    quote=named.quote,
                    block=block,
                    start=start,
                    end=min(end, length),
                )
            start, end = start - length, end - length
        return named


def _has_range(citation: Citation) -> bool:
    start, end = citation.start_index, citation.end_index
    return start is not None and end is not None and 0 <= start < end

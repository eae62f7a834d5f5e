"""Where a source stands in an answer: bytes into code points, whatever the vendor counts from."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.canonical.blocks import Numbering
from gateway.canonical.events import Source
from gateway.protocols.gemini import wire
from gateway.protocols.gemini.sources import MOST_SEARCHED, MOST_TRIES, Answer, Gathered, Span, Told

TEXTS = [Told(1, "Où est-il? "), Told(4, "Là 😀.")]


def gathered(*candidates: dict[str, Any], texts: list[Told] = TEXTS) -> list[Source]:
    sources = Gathered()
    for candidate in candidates:
        sources.add(msgspec.convert(candidate, wire.Candidate))
    return list(sources.tell(texts, Numbering().identify))


def test_a_place_is_counted_from_the_answers_start() -> None:
    assert Answer(TEXTS).find(0, 3, None) == Span(1, 0, 2)
    assert Answer(TEXTS).find(12, 15, None) == Span(4, 0, 2)
    assert Answer(TEXTS).find(16, 20, "😀") == Span(4, 3, 4)


def test_a_quote_tells_which_part_its_place_is_counted_from() -> None:
    assert Answer(TEXTS).find(0, 3, "Là") == Span(4, 0, 2)
    assert Answer(TEXTS).find(0, 3, "Où") == Span(1, 0, 2)


def test_a_quote_that_stands_elsewhere_is_found_where_it_stands_once() -> None:
    assert Answer(TEXTS).find(900, 905, "est") == Span(1, 3, 6)
    assert Answer([Told(0, "no no")]).find(9, 11, "no") is None
    assert Answer([Told(0, "no"), Told(1, "no")]).find(9, 11, "no") is None
    assert Answer(TEXTS).find(0, 3, "nowhere") is None


def test_a_place_that_is_none_is_not_told() -> None:
    for start, end in [(0, None), (3, 3), (-1, 3), (0, 2), (2, 4), (10, 14), (0, 99), (5, 4)]:
        assert Answer(TEXTS).find(start, end, None) is None, (start, end)
    assert Answer([]).find(0, 1, None) is None


def test_a_source_is_told_once_for_each_place_under_one_id() -> None:
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}}, {"maps": {"title": "B"}}, {}],
        "groundingSupports": [
            {"segment": {"endIndex": 3, "text": "Où"}, "groundingChunkIndices": [0, 7, -1]},
            {"segment": {"startIndex": 12, "endIndex": 15}, "groundingChunkIndices": [0]},
            {"groundingChunkIndices": [1]},
            {"segment": {"endIndex": 3}},
        ],
    }
    candidate = {"groundingMetadata": grounding}
    assert gathered(candidate, candidate, {"groundingMetadata": {}}, {}) == [
        Source("source_0", "A", "https://a.example", None, None, 1, 0, 2),
        Source("source_0", "A", "https://a.example", None, None, 4, 0, 2),
        Source("source_1", "B"),
    ]


def test_what_no_support_names_is_told_without_a_place() -> None:
    chunks = [
        {"image": {"sourceUri": "https://a.example", "imageUri": "https://i.example"}},
        {"retrievedContext": {"uri": "gs://b", "title": "B", "text": "long"}},
    ]
    assert gathered({"groundingMetadata": {"groundingChunks": chunks}}) == [
        Source("source_0", None, "https://a.example"),
        Source("source_1", "B", "gs://b", None, "long"),
    ]


def test_pages_that_were_read_are_told_where_nothing_else_tells_of_them() -> None:
    pages = [
        {"retrievedUrl": "https://a.example", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
        {"retrievedUrl": "https://b.example"},
        {"retrievedUrl": "https://c.example", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_PAYWALL"},
        {"urlRetrievalStatus": "URL_RETRIEVAL_STATUS_SUCCESS"},
    ]
    cited = {"citationSources": [{"endIndex": 3, "uri": "https://a.example", "title": "A"}]}
    assert gathered({"urlContextMetadata": {"urlMetadata": pages}}, {"citationMetadata": cited}) == [
        Source("source_0", "A", "https://a.example", None, None, 1, 0, 2),
        Source("source_1", None, "https://b.example"),
    ]
    assert gathered({"urlContextMetadata": {}}, {"citationMetadata": {}}) == []


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3), st.data())
def test_any_place_within_a_text_is_found(texts: list[str], data: st.DataObject) -> None:
    told = [Told(number, text) for number, text in enumerate(texts)]
    block = data.draw(st.integers(0, len(texts) - 1))
    start = data.draw(st.integers(0, len(texts[block]) - 1))
    end = data.draw(st.integers(start + 1, len(texts[block])))
    base = len("".join(texts[:block]).encode())
    first, last = (base + len(texts[block][:edge].encode()) for edge in (start, end))
    assert Answer(told).find(first, last, None) == Span(block, start, end)
    assert Answer(told).find(first, last, texts[block][start:end]) == Span(block, start, end)


def test_a_place_far_into_a_text_is_found() -> None:
    text = "a😀é" * 4000
    assert Answer([Told(0, text)]).find(7 * 3999, 7 * 4000, "a😀é") == Span(0, 3 * 3999, 3 * 4000)
    assert Answer([Told(0, text)]).find(7 * 3999 + 2, 7 * 4000, None) is None


def test_quotes_that_are_costly_to_find_have_no_place() -> None:
    answer = Answer([Told(number, "abc") for number in range(MOST_TRIES)])
    assert answer.find(3, 6, "abc") == Span(1, 0, 3)
    assert answer.find(2, 3, "bc") is None
    assert answer.find(3, 6, "abc") == Span(1, 0, 3)
    answer = Answer([Told(0, "no" * (MOST_SEARCHED // 4) + "yes")])
    assert answer.find(0, 3, "yes") is not None
    assert answer.find(0, 3, "yes") is None

"""Reasoning that was signed, and reasoning in tags."""

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.openai_chat.thinking import Details, ThinkTags, restore
from gateway.protocols.openai_chat.wire import Detail


def sealed(*pieces: Detail) -> str | None:
    details = Details()
    for piece in pieces:
        details.add([piece])
    return details.seal()


TEXT = Detail("reasoning.text", text="Hm", index=0)
SIGNATURE = Detail("reasoning.text", signature="sig", format="f", index=0)
SUMMARY = Detail("reasoning.summary", summary="Hm", index=0)
ENCRYPTED = Detail("reasoning.encrypted", data="xyz", id="rs_1", index=0)


@pytest.mark.parametrize(
    ("pieces", "restored"),
    [
        ([TEXT, SIGNATURE], [Detail("reasoning.text", "Hm", signature="sig", format="f", index=0)]),
        ([SUMMARY, ENCRYPTED], [SUMMARY, ENCRYPTED]),
        ([ENCRYPTED, ENCRYPTED], [ENCRYPTED, ENCRYPTED]),
        (
            [TEXT, SIGNATURE, Detail("reasoning.text", "?", index=1)],
            [
                Detail("reasoning.text", "Hm", signature="sig", format="f", index=0),
                Detail("reasoning.text", "?", index=1),
            ],
        ),
        ([Detail("reasoning.text", "a", id="1"), Detail("reasoning.text", "b", signature="s", id="2")], None),
    ],
)
def test_what_was_sealed_is_restored(pieces: list[Detail], restored: list[Detail] | None) -> None:
    signature = sealed(*pieces)
    assert signature is not None
    assert restore(signature, "Hm") == (pieces if restored is None else restored)


def test_what_nobody_signed_needs_no_signature() -> None:
    assert sealed(TEXT) is None
    assert sealed() is None


@pytest.mark.parametrize("signature", ["", "c2ln", "{}", "[1]", '[{"type":7}]'])
def test_anothers_signature_restores_nothing(signature: str) -> None:
    assert restore(signature, "Hm") is None


texts = st.text(st.sampled_from("<>/think \nab"), max_size=12)


@given(texts, texts, st.data())
def test_tags_are_found_wherever_the_text_is_cut(thought: str, answer: str, data: st.DataObject) -> None:
    whole = f"<think>{thought}</think>{answer}"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(whole)), max_size=8)))
    pieces = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    tags = ThinkTags()
    told = [entry for piece in pieces for entry in tags.read(piece)] + tags.end()
    first, _, rest = whole.removeprefix("<think>").partition("</think>")
    assert "".join(text for kind, text in told if kind == "reasoning") == first
    assert "".join(text for kind, text in told if kind == "text") == rest.lstrip()


@given(texts.filter(lambda text: not text.lstrip().startswith("<think>")), st.integers(0, 12))
def test_a_text_without_tags_is_left_as_it_is(text: str, cut: int) -> None:
    tags = ThinkTags()
    told = [*tags.read(text[:cut]), *tags.read(text[cut:]), *tags.end()]
    assert "".join(piece for kind, piece in told if kind == "text") == text


@pytest.mark.sweep
def test_details_are_joined_in_linear_time() -> None:
    details = Details()
    began = process_time()
    for _ in range(200_000):
        details.add([Detail("reasoning.text", text="word", index=0)])
    details.add([SIGNATURE])
    assert details.seal() == '[{"type":"reasoning.text","signature":"sig","format":"f","index":0}]'
    assert process_time() - began < 5


def test_white_space_is_not_held_back_for_ever() -> None:
    tags = ThinkTags()
    assert [tags.read(" " * 100) for _ in range(3)] == [[], [], [("text", " " * 300)]]
    assert tags.is_over

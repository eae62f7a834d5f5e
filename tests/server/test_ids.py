"""Ids: of a form that others can read, and never the same twice."""

from uuid import RFC_4122, UUID

from gateway.server.ids import BATCH, Ids


def test_a_uuid_is_one_of_version_4_as_it_is_usually_written() -> None:
    ids = Ids()
    made = [ids.uuid() for _ in range(BATCH)]
    assert len(set(made)) == BATCH
    for text in made:
        uuid = UUID(text)
        assert (str(uuid), uuid.version, uuid.variant) == (text, 4, RFC_4122)
    assert {text[19] for text in made} == set("89ab")


def test_an_id_names_what_it_is_of_and_repeats_none() -> None:
    ids = Ids()
    made = [ids.new("msg") for _ in range(BATCH)]
    assert len(set(made)) == BATCH
    assert all(text.startswith("msg_") and len(bytes.fromhex(text[4:])) == 12 for text in made)

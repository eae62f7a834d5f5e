"""The registry: the built-in protocols, and those that join through an entry point."""

from importlib.metadata import EntryPoint

import pytest

from gateway.protocols import registry
from gateway.protocols.base import CAPABILITIES
from gateway.protocols.native import NATIVE


def install(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Makes `importlib.metadata` find one more entry point."""
    entry = EntryPoint(name, value, "gateway.protocols")
    monkeypatch.setattr(registry, "entry_points", lambda *, group: [entry] if group == "gateway.protocols" else [])


def test_every_built_in_protocol_says_what_it_can_do_with_everything() -> None:
    for name, descriptor in registry.load().items():
        assert descriptor.name == name
        assert tuple(descriptor.capabilities) == CAPABILITIES


def test_a_plug_in_joins_under_its_entry_points_name(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "acme", "gateway.protocols.native:NATIVE")
    assert registry.load() == {**registry.BUILT_IN, "acme": NATIVE}


def test_a_plug_in_cannot_take_the_name_of_a_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "hardwire", "gateway.protocols.hardwire:HARDWIRE")
    with pytest.raises(ValueError, match="plug-in hardwire: a protocol of that name is built in"):
        registry.load()


def test_a_plug_in_that_is_no_descriptor_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, "acme", "gateway.protocols.base:CAPABILITIES")
    with pytest.raises(ValueError, match=r"plug-in acme: gateway\.protocols\.base:CAPABILITIES is no Descriptor"):
        registry.load()

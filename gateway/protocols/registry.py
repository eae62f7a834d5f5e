"""Every protocol we speak, one line each; others join through the entry-point group `gateway.protocols`."""

from collections.abc import Mapping
from importlib.metadata import entry_points

from gateway.protocols.base import Descriptor
from gateway.protocols.chatbase import CHATBASE
from gateway.protocols.dimedove import DIMEDOVE
from gateway.protocols.dynamiq import DYNAMIQ
from gateway.protocols.hardwire import HARDWIRE
from gateway.protocols.native import NATIVE
from gateway.protocols.sema4 import SEMA4

BUILT_IN: dict[str, Descriptor] = {
    "native": NATIVE,
    "chatbase": CHATBASE,
    "dimedove": DIMEDOVE,
    "dynamiq": DYNAMIQ,
    "hardwire": HARDWIRE,
    "sema4": SEMA4,
}


def load() -> Mapping[str, Descriptor]:
    """The built-in protocols and the installed plug-ins by name; a plug-in cannot take a built-in's name.

    Raises `ValueError` for a plug-in that does, or that is no `Descriptor`.
    """
    protocols = dict(BUILT_IN)
    for entry in entry_points(group="gateway.protocols"):
        descriptor = entry.load()
        if not isinstance(descriptor, Descriptor):
            raise ValueError(f"plug-in {entry.name}: {entry.value} is no Descriptor")  # noqa: TRY004
        if entry.name in protocols:
            raise ValueError(f"plug-in {entry.name}: a protocol of that name is built in")
        protocols[entry.name] = descriptor
    return protocols

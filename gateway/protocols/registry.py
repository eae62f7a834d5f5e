"""Every protocol we speak, one line each; others join through the entry-point group `gateway.protocols`."""

from collections.abc import Mapping
from importlib.metadata import entry_points

from gateway.protocols.ag_ui import AG_UI
from gateway.protocols.ai_sdk import AI_SDK
from gateway.protocols.anthropic import ANTHROPIC
from gateway.protocols.base import Descriptor
from gateway.protocols.chatbase import CHATBASE
from gateway.protocols.dimedove import DIMEDOVE
from gateway.protocols.dynamiq import DYNAMIQ
from gateway.protocols.gemini import GEMINI
from gateway.protocols.hardwire import HARDWIRE
from gateway.protocols.native import NATIVE
from gateway.protocols.openai_chat import OPENAI_CHAT
from gateway.protocols.openai_responses import OPENAI_RESPONSES
from gateway.protocols.sema4 import SEMA4

BUILT_IN: dict[str, Descriptor] = {
    "native": NATIVE,
    "ag_ui": AG_UI,
    "ai_sdk": AI_SDK,
    "anthropic": ANTHROPIC,
    "chatbase": CHATBASE,
    "dimedove": DIMEDOVE,
    "dynamiq": DYNAMIQ,
    "gemini": GEMINI,
    "hardwire": HARDWIRE,
    "openai_chat": OPENAI_CHAT,
    "openai_responses": OPENAI_RESPONSES,
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

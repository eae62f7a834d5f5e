"""OpenAI Chat Completions: OpenAI and the many servers that speak like it, and clients of the same wire.

A vendor keeps nothing, so all that was said goes with each call. Answers to input requests go as text. `metadata` is
ignored: OpenAI takes it only for answers that it is to store. Files come out only where a server sends images.
"""

from collections.abc import Collection

from gateway.protocols.base import Descriptor
from gateway.protocols.openai_chat.dialect import ChatDialect
from gateway.protocols.openai_chat.options import ChatOptions
from gateway.protocols.openai_chat.servers import SERVERS
from gateway.protocols.openai_chat.simulator import ChatSimulator
from gateway.protocols.openai_chat.translator import ChatTarget, ChatTranslator


def _scope(target: ChatTarget) -> str:
    return target.model


def _objection(target: ChatTarget, credentials: Collection[str]) -> str | None:
    if "api_key" in credentials or SERVERS[target.server].keyless:
        return None
    keyless = ", ".join(f'"{name}"' for name, server in SERVERS.items() if server.keyless)
    return f'server = "{target.server}" needs the credential `api_key` at its vendor; those without are {keyless}'


OPENAI_CHAT = Descriptor(
    name="openai_chat",
    title="OpenAI Chat Completions",
    capabilities={
        "streaming": "yes",
        "text": "yes",
        "reasoning": "yes",
        "tool_calls": "yes",
        "tool_results_in": "yes",
        "sources": "yes",
        "files_in": "yes",
        "files_out": "yes",
        "data_frames": "no",
        "input_requests": "no",
        "usage": "yes",
        "instructions": "yes",
        "history": "yes",
        "client_tools": "yes",
        "parameters": "yes",
        "user_id": "yes",
        "metadata": "ignored",
        "model_choice": "yes",
        "regenerate": "yes",
        "cancel": "no",
        "resume": "no",
        "message_list": "no",
        "delete_conversation": "no",
    },
    translator=ChatTranslator,
    dialect=lambda _: ChatDialect(),
    simulator=ChatSimulator,
    target=ChatTarget,
    options=ChatOptions,
    credentials=(frozenset({"api_key"}), frozenset()),
    objection=_objection,
    scope=_scope,
    takes_history=True,
)

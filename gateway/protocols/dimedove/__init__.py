"""Dimedove (Apps API v1): one App is one agent; it keeps conversations and streams responses with tools and UI patches.

An answer to an input request has no call of its own and goes as text, and so does what was said elsewhere. Ignored:
`parameters`, which it has no fields for. The user's id is told when the conversation is made: it cannot change.
"""

from gateway.protocols.base import Descriptor
from gateway.protocols.dimedove.conversations import DimedoveConversations
from gateway.protocols.dimedove.simulator import DimedoveSimulator
from gateway.protocols.dimedove.translator import DimedoveOptions, DimedoveTarget, DimedoveTranslator


def _conversations(translator: DimedoveTranslator) -> DimedoveConversations:
    return DimedoveConversations(translator.target.app)


def _scope(target: DimedoveTarget) -> str:
    return target.app


DIMEDOVE = Descriptor(
    name="dimedove",
    title="Dimedove",
    capabilities={
        "streaming": "yes",
        "text": "yes",
        "reasoning": "no",
        "tool_calls": "yes",
        "tool_results_in": "no",
        "sources": "no",
        "files_in": "no",
        "files_out": "no",
        "data_frames": "no",
        "input_requests": "no",
        "usage": "no",
        "instructions": "no",
        "history": "yes",
        "client_tools": "no",
        "parameters": "ignored",
        "user_id": "yes",
        "metadata": "yes",
        "model_choice": "no",
        "regenerate": "no",
        "cancel": "no",
        "resume": "no",
        "message_list": "yes",
        "delete_conversation": "yes",
    },
    translator=DimedoveTranslator,
    simulator=DimedoveSimulator,
    target=DimedoveTarget,
    options=DimedoveOptions,
    credentials=(frozenset({"api_key"}),),
    conversations=_conversations,
    scope=_scope,
)

"""Dynamiq: Apps and models that keep their conversations (v3), and the runs that answer them.

Without the base URL "app", the App's own host, there are no uploads, no answers to input requests, no cancel and no
resume. What was said elsewhere goes as text. `parameters`, `metadata` and `user_id` are ignored: a message has no
fields for them. A file that a tool made is told by its name alone.
"""

from gateway.protocols.base import Descriptor
from gateway.protocols.dynamiq.calls import DynamiqTarget
from gateway.protocols.dynamiq.conversations import DynamiqConversations
from gateway.protocols.dynamiq.files import DynamiqFiles
from gateway.protocols.dynamiq.simulator import DynamiqSimulator
from gateway.protocols.dynamiq.translator import DynamiqOptions, DynamiqTranslator


def _scope(target: DynamiqTarget) -> str:
    return target.app or target.model or ""


DYNAMIQ = Descriptor(
    name="dynamiq",
    title="Dynamiq",
    capabilities={
        "streaming": "yes",
        "text": "yes",
        "reasoning": "yes",
        "tool_calls": "yes",
        "tool_results_in": "no",
        "sources": "no",
        "files_in": "yes",
        "files_out": "no",
        "data_frames": "no",
        "input_requests": "yes",
        "usage": "no",
        "instructions": "no",
        "history": "yes",
        "client_tools": "no",
        "parameters": "ignored",
        "user_id": "ignored",
        "metadata": "ignored",
        "model_choice": "yes",
        "regenerate": "no",
        "cancel": "yes",
        "resume": "yes",
        "message_list": "no",
        "delete_conversation": "yes",
    },
    translator=DynamiqTranslator,
    simulator=DynamiqSimulator,
    target=DynamiqTarget,
    options=DynamiqOptions,
    credentials=(frozenset({"api_key"}), frozenset({"api_key", "app_key"})),
    optional_bases=frozenset({"app"}),
    conversations=DynamiqConversations,
    files=DynamiqFiles,
    scope=_scope,
)

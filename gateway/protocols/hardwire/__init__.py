"""Hardwire: chats that take a model by message, answered in one of two dialects; cookie sessions; workflow runs.

What was said elsewhere, and the answer to another vendor's input request, go as text. Ignored: `parameters` and
`metadata`, which it has no fields for, and `user_id`: every message is the signed-in user's. A workflow's run can be
resumed, a model's answer cannot.
"""

from gateway.protocols.base import Descriptor
from gateway.protocols.hardwire.conversations import HardwireConversations
from gateway.protocols.hardwire.simulator import HardwireSimulator
from gateway.protocols.hardwire.translator import HardwireOptions, HardwireTarget, HardwireTranslator

HARDWIRE = Descriptor(
    name="hardwire",
    title="Hardwire",
    capabilities={
        "streaming": "yes",
        "text": "yes",
        "reasoning": "no",
        "tool_calls": "yes",
        "tool_results_in": "no",
        "sources": "yes",
        "files_in": "no",
        "files_out": "no",
        "data_frames": "no",
        "input_requests": "no",
        "usage": "no",
        "instructions": "no",
        "history": "yes",
        "client_tools": "no",
        "parameters": "ignored",
        "user_id": "ignored",
        "metadata": "ignored",
        "model_choice": "yes",
        "regenerate": "no",
        "cancel": "no",
        "resume": "yes",
        "message_list": "yes",
        "delete_conversation": "yes",
    },
    translator=HardwireTranslator,
    simulator=HardwireSimulator,
    target=HardwireTarget,
    options=HardwireOptions,
    credentials=(
        frozenset({"cookie", "user_id"}),
        frozenset({"cookie"}),
        frozenset({"email", "password"}),
    ),
    conversations=HardwireConversations,
)

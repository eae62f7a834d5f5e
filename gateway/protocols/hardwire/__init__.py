"""Hardwire: chats that take a model by message, answered in one of two dialects; cookie sessions; workflow runs."""

from gateway.protocols.base import Descriptor
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
        "resume": "no",
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
)

"""Sema4.ai (REST API v2): agents whose conversations hold messages, files and data frames.

It takes one text and nothing else: files go into the conversation first, an answer to an input request is the next
message, and what was said elsewhere goes in front of it. A run is cancelled by closing its connection.
"""

from gateway.protocols.base import Descriptor
from gateway.protocols.sema4.conversations import Sema4Conversations
from gateway.protocols.sema4.data_frames import Sema4DataFrames
from gateway.protocols.sema4.files import Sema4Files
from gateway.protocols.sema4.simulator import Sema4Simulator
from gateway.protocols.sema4.translator import Sema4Options, Sema4Target, Sema4Translator


def _scope(target: Sema4Target) -> str:
    return target.agent


SEMA4 = Descriptor(
    name="sema4",
    title="Sema4.ai",
    capabilities={
        "streaming": "yes",
        "text": "yes",
        "reasoning": "yes",
        "tool_calls": "yes",
        "tool_results_in": "no",
        "sources": "yes",
        "files_in": "yes",
        "files_out": "yes",
        "data_frames": "yes",
        "input_requests": "yes",
        "usage": "yes",
        "instructions": "no",
        "history": "yes",
        "client_tools": "no",
        "parameters": "ignored",
        "user_id": "ignored",
        "metadata": "ignored",
        "model_choice": "no",
        "regenerate": "no",
        "cancel": "yes",
        "resume": "no",
        "message_list": "yes",
        "delete_conversation": "yes",
    },
    translator=Sema4Translator,
    simulator=Sema4Simulator,
    target=Sema4Target,
    options=Sema4Options,
    credentials=(frozenset({"api_key"}),),
    conversations=Sema4Conversations,
    files=Sema4Files,
    data_frames=Sema4DataFrames,
    scope=_scope,
)

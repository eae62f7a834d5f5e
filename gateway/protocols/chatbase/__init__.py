"""Chatbase (API v2): agents that keep their conversations and stream the AI SDK's UI message stream.

Its manual names no reasoning, sources or files; they are passed on where they come all the same. An answer to an input
request has no call of its own and goes as text, and so does what was said elsewhere. Ignored: `parameters` and
`metadata`, which it has no fields for. The user's id is told with the first message alone: it cannot change.
"""

from gateway.protocols.base import Descriptor
from gateway.protocols.chatbase.conversations import ChatbaseConversations
from gateway.protocols.chatbase.simulator import ChatbaseSimulator
from gateway.protocols.chatbase.translator import ChatbaseOptions, ChatbaseTarget, ChatbaseTranslator


def _scope(target: ChatbaseTarget) -> str:
    return target.agent


CHATBASE = Descriptor(
    name="chatbase",
    title="Chatbase",
    capabilities={
        "streaming": "yes",
        "text": "yes",
        "reasoning": "no",
        "tool_calls": "yes",
        "tool_results_in": "yes",
        "sources": "no",
        "files_in": "no",
        "files_out": "no",
        "data_frames": "no",
        "input_requests": "yes",
        "usage": "yes",
        "instructions": "no",
        "history": "yes",
        "client_tools": "no",
        "parameters": "ignored",
        "user_id": "yes",
        "metadata": "ignored",
        "model_choice": "no",
        "regenerate": "yes",
        "cancel": "no",
        "resume": "no",
        "message_list": "yes",
        "delete_conversation": "no",
    },
    translator=ChatbaseTranslator,
    simulator=ChatbaseSimulator,
    target=ChatbaseTarget,
    options=ChatbaseOptions,
    credentials=(frozenset({"api_key"}),),
    conversations=ChatbaseConversations,
    scope=_scope,
)

"""The AI SDK's UI message stream (versions 5, 6 and 7): an application's chat endpoint, and what `useChat` speaks.

Upstream, an endpoint is an agent of its own: it takes all that was said and nothing else, so instructions and tools are
refused; `path` and the fields of `body` are the operator's. Ignored: `user_id` and `parameters`, which it has no fields
for, and which some clients cannot but send. A client's metadata goes with its message.
"""

from gateway.protocols.ai_sdk.dialect import AiSdkDialect, AiSdkSettings
from gateway.protocols.ai_sdk.simulator import AiSdkSimulator
from gateway.protocols.ai_sdk.translator import AiSdkOptions, AiSdkTarget, AiSdkTranslator
from gateway.protocols.base import Descriptor


def _scope(target: AiSdkTarget) -> str:
    return target.path


AI_SDK = Descriptor(
    name="ai_sdk",
    title="AI SDK UI message stream",
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
        "input_requests": "yes",
        "usage": "yes",
        "instructions": "no",
        "history": "yes",
        "client_tools": "no",
        "parameters": "ignored",
        "user_id": "ignored",
        "metadata": "yes",
        "model_choice": "no",
        "regenerate": "yes",
        "cancel": "no",
        "resume": "no",
        "message_list": "no",
        "delete_conversation": "no",
    },
    translator=AiSdkTranslator,
    dialect=AiSdkDialect,
    dialect_settings=AiSdkSettings,
    simulator=AiSdkSimulator,
    target=AiSdkTarget,
    options=AiSdkOptions,
    credentials=(frozenset(), frozenset({"api_key"}), frozenset({"cookie"})),
    scope=_scope,
    takes_history=True,
)

"""Anthropic: the Messages API of Claude, and of the servers that speak it.

It keeps no conversation: all that was said goes with every turn, in the order it was said. Thoughts go back with their
signatures. Ignored: `metadata`, for which it has no field but the user's id.
"""

from gateway.protocols.anthropic.asking import AnthropicOptions, AnthropicTarget
from gateway.protocols.anthropic.dialect import AnthropicDialect
from gateway.protocols.anthropic.simulator import AnthropicSimulator
from gateway.protocols.anthropic.translator import AnthropicTranslator
from gateway.protocols.base import Descriptor


def _scope(target: AnthropicTarget) -> str:
    return target.model


ANTHROPIC = Descriptor(
    name="anthropic",
    title="Anthropic Messages",
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
    translator=AnthropicTranslator,
    dialect=lambda _: AnthropicDialect(),
    simulator=AnthropicSimulator,
    target=AnthropicTarget,
    options=AnthropicOptions,
    credentials=(frozenset({"api_key"}), frozenset({"auth_token"})),
    scope=_scope,
    takes_history=True,
)

"""OpenAI Responses, and the servers that speak it: a vendor that is told everything each time, and a client's dialect.

Nothing is kept at the vendor (`store` is false): reasoning goes back encrypted. A `seed` is ignored. Files go by their
URL or with their data; what a vendor's tools wrote into a container is only named.
"""

from gateway.protocols.base import Descriptor
from gateway.protocols.openai_responses.dialect import ResponsesDialect
from gateway.protocols.openai_responses.simulator import ResponsesSimulator
from gateway.protocols.openai_responses.target import Options, Target
from gateway.protocols.openai_responses.translator import ResponsesTranslator


def _scope(target: Target) -> str:
    return target.model


OPENAI_RESPONSES = Descriptor(
    name="openai_responses",
    title="OpenAI Responses",
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
        "instructions": "yes",
        "history": "yes",
        "client_tools": "yes",
        "parameters": "yes",
        "user_id": "yes",
        "metadata": "yes",
        "model_choice": "yes",
        "regenerate": "yes",
        "cancel": "no",
        "resume": "no",
        "message_list": "no",
        "delete_conversation": "no",
    },
    translator=ResponsesTranslator,
    dialect=lambda _: ResponsesDialect(),
    simulator=ResponsesSimulator,
    target=Target,
    options=Options,
    credentials=(frozenset({"api_key"}), frozenset()),
    scope=_scope,
    takes_history=True,
)

"""Google Gemini (generateContent): a stateless model, told all that was said each time.

Ignored: the user's id and `metadata`, which it has no fields for. Files go by URL or inline; its own store of uploaded
files is not used.
"""

from gateway.protocols.base import Descriptor
from gateway.protocols.gemini.dialect import GeminiDialect
from gateway.protocols.gemini.simulator import GeminiSimulator
from gateway.protocols.gemini.translator import GeminiTarget, GeminiTranslator
from gateway.protocols.gemini.wire import GeminiOptions


def _scope(target: GeminiTarget) -> str:
    return target.model


GEMINI = Descriptor(
    name="gemini",
    title="Google Gemini",
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
        "user_id": "ignored",
        "metadata": "ignored",
        "model_choice": "yes",
        "regenerate": "yes",
        "cancel": "no",
        "resume": "no",
        "message_list": "no",
        "delete_conversation": "no",
    },
    translator=GeminiTranslator,
    dialect=lambda _: GeminiDialect(),
    simulator=GeminiSimulator,
    target=GeminiTarget,
    options=GeminiOptions,
    credentials=(frozenset({"api_key"}), frozenset({"access_token"})),
    scope=_scope,
    takes_history=True,
)

"""AG-UI 1.0: agents behind one endpoint that take the whole history and stream a run.

Ignored: `parameters`, `user_id` and `metadata`, which a run has no fields for.
"""

from gateway.protocols.ag_ui.dialect import AgUiDialect
from gateway.protocols.ag_ui.simulator import AgUiSimulator
from gateway.protocols.ag_ui.translator import AgUiOptions, AgUiTarget, AgUiTranslator
from gateway.protocols.base import Descriptor

AG_UI = Descriptor(
    name="ag_ui",
    title="AG-UI",
    capabilities={
        "streaming": "yes",
        "text": "yes",
        "reasoning": "yes",
        "tool_calls": "yes",
        "tool_results_in": "yes",
        "sources": "no",
        "files_in": "yes",
        "files_out": "no",
        "data_frames": "no",
        "input_requests": "yes",
        "usage": "yes",
        "instructions": "yes",
        "history": "yes",
        "client_tools": "yes",
        "parameters": "ignored",
        "user_id": "ignored",
        "metadata": "ignored",
        "model_choice": "no",
        "regenerate": "yes",
        "cancel": "no",
        "resume": "no",
        "message_list": "no",
        "delete_conversation": "no",
    },
    translator=AgUiTranslator,
    simulator=AgUiSimulator,
    dialect=lambda _: AgUiDialect(),
    target=AgUiTarget,
    options=AgUiOptions,
    credentials=(frozenset(), frozenset({"api_key"})),
    scope=lambda target: target.path,
    takes_history=True,
)

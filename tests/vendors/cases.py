"""What each of the five vendors can do, as data: what is sent, and what must be seen.

    SHOWN    by capability: a message, and all that its stream tells; or `Cannot`, and the usual stream tells none of it
    ASKED    by capability: what a message brings, and what the vendor is sent of it; or `Cannot`, and it is refused;
             or `Ignored`, and the vendor hears nothing of it

A stream is told as a list of what it came to: a block when it is completed, any other event as it is.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from gateway.canonical import events as e
from gateway.protocols.base import Head, Script, Send
from tests.vendors.five import VENDORS, Instead

Told = tuple[Any, ...]


class Case(Struct, frozen=True):
    content: str
    told: list[Told]


class Cannot(Struct, frozen=True):
    """The vendor has no such thing. `path`: of what is refused."""

    path: str = ""


class Elsewhere(Struct, frozen=True):
    """It is told by a scenario of its own."""

    test: str


class Sent(Struct, frozen=True):
    """The JSON bodies that the vendor is sent, in order."""

    bodies: list[Any]


class Ignored(Struct, frozen=True):
    """The vendor hears nothing of it."""


def told(events: Sequence[e.Event]) -> list[Told]:
    executors = {event.tool_call_id: event.executor for event in events if isinstance(event, e.ToolCallStarted)}
    found: list[Told] = []
    for event in events:
        if isinstance(event, e.ToolCallCompleted):
            arguments = event.arguments if event.status == "complete" else (event.status, event.raw_arguments)
            found.append(("tool_call", event.name, arguments, executors[event.tool_call_id]))
        elif type(event) in _TOLD:
            found.append(_TOLD[type(event)](event))
    return found


_TOLD: dict[type, Callable[[Any], Told]] = {
    e.TextCompleted: lambda event: ("text", event.text),
    e.ReasoningCompleted: lambda event: ("reasoning", event.text),
    e.ToolResult: lambda event: ("tool_error" if event.is_error else "tool_result", event.name, event.output),
    e.Source: lambda event: ("source", event.title, event.url, event.quote),
    e.File: lambda event: ("file", event.name, event.media_type, event.url),
    e.Data: lambda event: ("data", event.name, event.value),
    e.InputRequested: lambda event: ("input", event.kind, event.prompt, event.fields),
    e.UsageReported: lambda event: ("usage", {name: count for name, count in structs.asdict(event).items() if count}),
    e.MessageCompleted: lambda event: ("completed", event.finish_reason),
    e.MessageFailed: lambda event: ("failed", event.error.code, event.error.vendor_code),
    e.MessageCanceled: lambda event: ("canceled", event.reason),
}


STOP = ("completed", "stop")
CREDIT = ("usage", {"credits": 1.0})
NONE = Cannot()
HARDWIRES_REMARK = "This is Hardwire's simulator, and it answers in small pieces, as the real one does."

SHOWN: dict[str, dict[str, Case | Cannot]] = {
    "text": {
        "dynamiq": Case("[play:plain]", [("text", "The customer was charged twice"), STOP]),
        "chatbase": Case("[play:documented]", [("text", "Hello there"), CREDIT, STOP]),
        "dimedove": Case("[play:text]", [("text", "Hello! How can I help?"), STOP]),
        "hardwire": Case("[play:documented] x", [("text", "Quantum bits!"), STOP]),
        "sema4": Case("[play:text]", [("text", "Hello!"), ("usage", {"input_tokens": 12, "output_tokens": 3}), STOP]),
    },
    "reasoning": {
        "dynamiq": Case(
            "[play:iterations]",
            [
                ("reasoning", "Check the account."),
                ("reasoning", "Two charges."),
                ("text", "The customer was charged twice"),
                STOP,
            ],
        ),
        "chatbase": NONE,
        "dimedove": NONE,
        "hardwire": NONE,
        "sema4": Case("[play:thought]", [("reasoning", "Greet."), ("text", "Hello!"), STOP]),
    },
    "tool_calls": {
        "dynamiq": Case(
            "[play:tool-deltas]",
            [
                ("tool_call", "lookup-customer", {"customer_id": "c-1"}, "vendor"),
                ("tool_result", "lookup-customer", {"charges": 2}),
                ("text", "Yes, twice."),
                STOP,
            ],
        ),
        "chatbase": Case(
            "[play:vendor-action]",
            [
                ("tool_call", "lookupOrder", {"orderId": "42"}, "unknown"),
                ("tool_result", "lookupOrder", {"ok": True}),
                ("text", "It is shipped."),
                CREDIT,
                STOP,
            ],
        ),
        "dimedove": Case(
            "[play:mapped-tool]",
            [
                ("tool_call", "check_inventory", {"product_id": "sku_123"}, "vendor"),
                ("text", "Yes, 4 left."),
                ("tool_result", "check_inventory", {"sku": "sku_123", "in_stock": 4}),
                STOP,
            ],
        ),
        "hardwire": Case(
            "[play:documented-tool] x",
            [
                ("tool_call", "exa-web-search", {"query": "quantum computing"}, "vendor"),
                ("tool_result", "exa-web-search", {"items": [{"title": "Qubits", "url": "https://example.org/q"}]}),
                ("text", "Quantum bits!"),
                STOP,
            ],
        ),
        "sema4": Case(
            "[play:tool]",
            [
                ("reasoning", "Look it up."),
                ("tool_call", "get_invoice", {"id": 7}, "vendor"),
                ("tool_result", "get_invoice", {"total": 620}),
                ("text", "The total is 620."),
                STOP,
            ],
        ),
    },
    "sources": {
        "dynamiq": NONE,
        "chatbase": NONE,
        "dimedove": NONE,
        "hardwire": Case(
            "[play:sources] Why?",
            [
                ("text", f"You asked: Why?. {HARDWIRES_REMARK}"),
                ("source", "Qubits", "https://example.org/q", "What a qubit is."),
                ("source", "Superposition", "https://example.org/s", None),
                STOP,
            ],
        ),
        "sema4": Case(
            "[play:citations]",
            [("text", "Net 30 days."), ("source", None, "https://example.com/terms.pdf", "Net 30 days."), STOP],
        ),
    },
    "usage": {
        "dynamiq": NONE,
        "chatbase": Case("[play:metadata-after-finish]", [("text", "Hello there"), ("usage", {"credits": 1.5}), STOP]),
        "dimedove": NONE,
        "hardwire": NONE,
        "sema4": Case(
            "[play:two-messages]",
            [
                ("text", "One moment."),
                ("usage", {"input_tokens": 5, "output_tokens": 2}),
                ("text", "Here it is."),
                ("usage", {"input_tokens": 12, "output_tokens": 5}),
                STOP,
            ],
        ),
    },
    "files_out": {
        "dynamiq": NONE,
        "chatbase": NONE,
        "dimedove": NONE,
        "hardwire": NONE,
        "sema4": Case(
            "[play:attachment]",
            [
                ("text", "Here"),
                ("file", "report.pdf", "application/pdf", "https://example.com/report.pdf"),
                ("file", "a.png", "image/png", None),
                STOP,
            ],
        ),
    },
    "input_requests": {
        "dynamiq": Case(
            "[play:approval]",
            [
                (
                    "input",
                    "approval",
                    "Approve issuing a $620 refund to customer-7421?",
                    {"params": {"amount": 620, "currency": "USD"}, "editable_params": ["amount"]},
                ),
                ("completed", "input_required"),
            ],
        ),
        "chatbase": Case(
            "[play:other-parts]",
            [
                ("source", "Terms", None, None),
                ("file", None, "image/png", "https://example.com/a.png"),
                ("tool_call", "pay", ("unreadable", '"x"'), "unknown"),
                ("tool_error", "pay", "no object"),
                ("tool_call", "pay", {"sum": 1}, "unknown"),
                ("tool_error", "pay", "no money"),
                ("tool_call", "pay", {"sum": 2}, "unknown"),
                ("tool_error", "pay", "denied"),
                ("tool_call", "pay", {"sum": 3}, "unknown"),
                ("input", "approval", None, None),
                CREDIT,
                ("completed", "input_required"),
            ],
        ),
        "dimedove": NONE,
        "hardwire": NONE,
        "sema4": Case(
            "[play:user-input]", [("input", "question", "Which year?", None), ("completed", "input_required")]
        ),
    },
}
KINDS = {
    "text": "text",
    "reasoning": "reasoning",
    "tool_calls": "tool_call",
    "sources": "source",
    "usage": "usage",
    "files_out": "file",
    "input_requests": "input",
}
"""What a stream tells of a capability."""


APP = "8e9f6c1a-3b7d-4c52-9a41-6f0d2b8e7c15"


def dynamiq(text: str, **more: object) -> list[Any]:
    return [{"app_id": APP, "title": "Hi"}, {"content": [{"type": "text", "text": text}], **more}]


def chatbase(text: str, **more: object) -> list[Any]:
    return [{"message": text, "stream": True, **more}]


def dimedove(text: str, metadata: Mapping[str, object] | None = None, **more: object) -> list[Any]:
    told = {"metadata": metadata} if metadata else {}
    return [{**more, **told}, {"message": {"role": "user", "content": text}, "stream": True, **told}]


def hardwire(text: str, **more: object) -> list[Any]:
    return [{"content": text, "modelId": "gpt-4o", "userId": "user-123", **more}]


def sema4(text: str) -> list[Any]:
    return [{"name": "Hi"}, {"content": text}]


EARLIER = "[Earlier in this conversation]\nuser: Red?\nassistant: Blue.\n[Now]\nHi"
RED = [
    {"role": "user", "parts": [{"type": "text", "text": "Red?"}]},
    {"role": "assistant", "parts": [{"type": "text", "text": "Blue."}]},
]
NOTE = {"type": "file", "name": "note.txt", "media_type": "text/plain", "data": "SGVsbG8="}
RESULT = {"type": "tool_result", "tool_call_id": "call_1", "output": {"ok": True}}
HI = {"type": "text", "text": "Hi"}

ASKS: dict[str, dict[str, object]] = {
    "instructions": {"content": "Hi", "instructions": "Answer in verse."},
    "client_tools": {"content": "Hi", "tools": [{"name": "look"}]},
    "history": {"content": "Hi", "history": RED},
    "parameters": {"content": "Hi", "parameters": {"temperature": 0.25, "seed": 7654321}},
    "user_id": {"content": "Hi", "user_id": "ann-7654321"},
    "metadata": {"content": "Hi", "metadata": {"order": "7654321"}},
    "tool_results_in": {"content": [RESULT]},
    "files_in": {"content": [HI, NOTE]},
}
"""What a message brings; 7654321 stands in what may be ignored."""

ASKED: dict[str, dict[str, Sent | Cannot | Ignored | Elsewhere]] = {
    "instructions": {
        "dynamiq": Cannot("$.instructions"),
        "chatbase": Cannot("$.instructions"),
        "dimedove": Cannot("$.instructions"),
        "hardwire": Cannot("$.instructions"),
        "sema4": Cannot("$.instructions"),
    },
    "client_tools": {
        "dynamiq": Cannot("$.tools"),
        "chatbase": Cannot("$.tools"),
        "dimedove": Cannot("$.tools"),
        "hardwire": Cannot("$.tools"),
        "sema4": Cannot("$.tools"),
    },
    "history": {
        "dynamiq": Sent(dynamiq(EARLIER)),
        "chatbase": Sent(chatbase(EARLIER)),
        "dimedove": Sent(dimedove(EARLIER)),
        "hardwire": Sent(hardwire(EARLIER)),
        "sema4": Sent(sema4(EARLIER)),
    },
    "parameters": {
        "dynamiq": Ignored(),
        "chatbase": Ignored(),
        "dimedove": Ignored(),
        "hardwire": Ignored(),
        "sema4": Ignored(),
    },
    "user_id": {
        "dynamiq": Ignored(),
        "chatbase": Sent(chatbase("Hi", userId="ann-7654321")),
        "dimedove": Sent(dimedove("Hi", external_user_id="ann-7654321")),
        "hardwire": Ignored(),
        "sema4": Ignored(),
    },
    "metadata": {
        "dynamiq": Ignored(),
        "chatbase": Ignored(),
        "dimedove": Sent(dimedove("Hi", {"order": "7654321"})),
        "hardwire": Ignored(),
        "sema4": Ignored(),
    },
    "tool_results_in": {
        "dynamiq": Cannot("$.content[0]"),
        "chatbase": Elsewhere("test_results_of_the_clients_tools_are_handed_in_and_the_answer_goes_on"),
        "dimedove": Cannot("$.content[0]"),
        "hardwire": Cannot("$.content[0]"),
        "sema4": Cannot("$.content[0]"),
    },
    "files_in": {
        "dynamiq": Sent(
            [
                {"app_id": APP, "title": "Hi"},
                {
                    "content": [
                        {"type": "text", "text": "Hi"},
                        {"type": "file", "file": {"id": "6e177d47-e9a1-5f63-8575-40c51a48eabf", "name": "note.txt"}},
                    ]
                },
            ]
        ),
        "chatbase": Cannot("$.content[1]"),
        "dimedove": Cannot("$.content[1]"),
        "hardwire": Cannot("$.content[1]"),
        "sema4": Sent(sema4("Hi\n\n(file note.txt)")),
    },
}

ELSEWHERE: dict[str, dict[str, str]] = {
    "streaming": dict.fromkeys(VENDORS, "test_a_document_tells_what_the_stream_tells"),
    "model_choice": dict.fromkeys(VENDORS, "test_a_model_is_a_setting_of_those_targets_that_have_one"),
    "regenerate": dict.fromkeys(VENDORS, "test_the_last_turn_is_answered_anew_where_the_vendor_can"),
    "cancel": dict.fromkeys(VENDORS, "test_when_the_client_leaves_the_vendors_stream_is_closed"),
    "resume": dict.fromkeys(VENDORS, "test_a_stream_that_breaks_off_is_never_an_answer"),
    "message_list": dict.fromkeys(VENDORS, "test_the_turn_behind_a_broken_one_knows_what_the_vendor_knows"),
    "delete_conversation": dict.fromkeys(VENDORS, "test_a_conversation_is_deleted_at_the_vendor_too_where_that_can_be"),
    "data_frames": dict.fromkeys(VENDORS, "test_tables_are_the_vendors_that_has_them"),
}
"""By capability: the scenario that asks all five."""


# --- turns

LINES: dict[str, tuple[list[str], list[str]]] = {
    "dynamiq": (
        ["POST /v1/conversations", "POST /v3/conversations/*/messages"],
        ["POST /v3/conversations/*/messages"],
    ),
    "chatbase": (["POST /agents/demo-agent/chat"], ["POST /agents/demo-agent/chat"]),
    "dimedove": (
        ["POST /apps/app_1/conversations", "POST /apps/app_1/conversations/*"],
        ["POST /apps/app_1/conversations/*"],
    ),
    "hardwire": (["POST /chats/*/messages/stream"], ["POST /chats/*/messages/stream"]),
    "sema4": (
        ["POST /agents/a1/conversations", "POST /agents/a1/conversations/*/stream"],
        ["POST /agents/a1/conversations/*/stream"],
    ),
}
"""What the first turn of a conversation asks of a vendor, and what the second does."""

# --- how it ends badly


class Refusal(Struct, frozen=True):
    play: str
    vendor_status: int
    status: int
    code: str
    vendor_code: str | None


REFUSALS: dict[str, list[Refusal]] = {
    "dynamiq": [
        Refusal("bad-request", 400, 422, "upstream_rejected", "bad_request"),
        Refusal("unauthorized", 401, 502, "upstream_auth", "unauthorized"),
        Refusal("internal", 500, 503, "upstream_unavailable", "internal_error"),
        Refusal("bad-gateway", 502, 503, "upstream_unavailable", None),
    ],
    "chatbase": [
        Refusal("validation", 400, 422, "upstream_rejected", "VALIDATION_INVALID_BODY"),
        Refusal("invalid-key", 401, 502, "upstream_auth", "AUTH_INVALID_API_KEY"),
        Refusal("credits", 402, 402, "quota_exhausted", "CHAT_CREDITS_EXHAUSTED"),
        Refusal("internal", 500, 503, "upstream_unavailable", "INTERNAL_SERVER_ERROR"),
    ],
    "dimedove": [
        Refusal("unprocessable", 422, 422, "upstream_rejected", None),
        Refusal("invalid-key", 401, 502, "upstream_auth", "invalid_api_key"),
        Refusal("credits", 402, 402, "quota_exhausted", "insufficient_credits"),
        Refusal("internal", 500, 503, "upstream_unavailable", "internal_error"),
    ],
    "hardwire": [
        Refusal("bad-request", 400, 422, "upstream_rejected", "REQUEST_VALIDATION"),
        Refusal("unauthorized", 401, 502, "upstream_auth", "UNAUTHORIZED"),
        Refusal("internal", 500, 503, "upstream_unavailable", "SERVER_INTERNAL_ERROR"),
    ],
    "sema4": [
        Refusal("invalid-body", 422, 422, "upstream_rejected", "unprocessable_entity"),
        Refusal("forbidden", 403, 502, "upstream_auth", "forbidden"),
        Refusal("internal-error", 500, 503, "upstream_unavailable", "internal_error"),
        Refusal("bad-gateway", 502, 503, "upstream_unavailable", None),
    ],
}

LIMITED: dict[str, tuple[str, float | None]] = {
    "dynamiq": ("rate-limited", None),
    "chatbase": ("rate-limit", 3.0),
    "dimedove": ("rate-limit", None),
    "hardwire": ("rate-limited", 12.0),
    "sema4": ("too-many", None),
}
"""The play of a 429, and the seconds that it says to wait."""

ERROR_FRAMES: dict[str, tuple[bytes, str | None]] = {
    "dynamiq": (
        b'{"type":"run.failed","sequence":99,"data":{"error":{"code":"internal_error","message":"what-it-said"}}}',
        "internal_error",
    ),
    "chatbase": (b'{"type":"error","errorText":"what-it-said"}', None),
    "dimedove": (
        b'{"type":"response.failed","status":"failed","error":{"message":"what-it-said","type":"internal_error"}}',
        "internal_error",
    ),
    "hardwire": (b'{"type":"error","error":{"message":"what-it-said","code":"STREAMING_ERROR"}}', "STREAMING_ERROR"),
    "sema4": (b'{"event_type":"agent_error","error":{"code":"unexpected","message":"what-it-said"}}', "unexpected"),
}
"""An error inside a 200, and the code in it that may be shown."""

WHOLE_FAILURES: dict[str, tuple[str, str | None]] = {
    "chatbase": ("finish-error", None),
    "dimedove": ("failed-document", None),
    "hardwire": ("sync-llm-error", "LLM_ERROR"),
    "sema4": ("agent-error", "unexpected"),
}
"""The play of a document that tells a failure, and the code in it; Dynamiq has no documents."""

WORKFLOW = {"vendor_options": {"hardwire": {"workflow_id": "3f0b6a52-5a0e-4c3b-9b0a-0c1d2e3f4a5b"}}}

CANCELED: dict[str, Case | Cannot] = {
    "dynamiq": Case("[play:canceled]", [("text", "The customer was charged"), ("canceled", "vendor")]),
    "chatbase": Case("[play:abort]", [("text", "Let me see"), ("canceled", "vendor")]),
    "dimedove": NONE,
    "hardwire": Case("[play:workflow-cancelled] x", [("canceled", "vendor")]),
    "sema4": NONE,
}
"""A run that is stopped by somebody else."""


class Spoiled(Struct, frozen=True):
    """An answer in which one thing is written otherwise, and what is told of it."""

    content: str
    told: list[Told]
    pairs: tuple[tuple[bytes, bytes], ...] = ()


UNREADABLE: dict[str, Spoiled] = {
    "dynamiq": Spoiled(
        "[play:tool-deltas]",
        [
            ("tool_call", "lookup-customer", ("unreadable", '{"customer_id":'), "vendor"),
            ("tool_result", "lookup-customer", {"charges": 2}),
            ("text", "Yes, twice."),
            STOP,
        ],
        ((b'\\"c-1\\"}', b""), (b',"input":{"customer_id":"c-1"}', b"")),
    ),
    "chatbase": Spoiled(
        "[play:client-action]",
        [
            ("text", "Let me look."),
            ("tool_call", "lookupOrder", ("unreadable", '"{"'), "unknown"),
            CREDIT,
            ("failed", "upstream_protocol", None),
        ],
        ((b'"input":{"orderId":"42"}', b'"input":"{"'),),
    ),
    "dimedove": Spoiled(
        "[play:malformed-arguments]",
        [
            ("tool_call", "check_inventory", ("unreadable", '{"product_id":'), "vendor"),
            ("text", "Sorry."),
            STOP,
        ],
    ),
    "hardwire": Spoiled(
        "[play:documented-tool] x",
        [
            ("tool_call", "exa-web-search", ("unreadable", "qubits"), "vendor"),
            ("tool_result", "exa-web-search", {"items": [{"title": "Qubits", "url": "https://example.org/q"}]}),
            ("text", "Quantum bits!"),
            STOP,
        ],
        ((b'"toolArgs":{"query":"quantum computing"}', b'"toolArgs":"qubits"'),),
    ),
    "sema4": Spoiled(
        "[play:tool]",
        [
            ("reasoning", "Look it up."),
            ("tool_call", "get_invoice", ("unreadable", '{"id":7'), "vendor"),
            ("tool_result", "get_invoice", {"total": 620}),
            ("text", "The total is 620."),
            STOP,
        ],
        ((b':7}"', b':7"'),),
    ),
}
"""Arguments of a tool call that are no JSON. Chatbase alone lets the client run it: then the message fails."""

REPEATED: dict[str, tuple[str, list[Told], bool]] = {
    "dynamiq": ("[play:repeated]", [("text", "The customer was charged twice"), STOP], True),
    "chatbase": ("[play:documented][fault:duplicate-event:2]", [("text", "HelloHello there"), CREDIT, STOP], False),
    "dimedove": (
        "[play:text][fault:duplicate-event:1]",
        [("text", "HelloHello! How can I help?"), ("text", "Hello! How can I help?"), STOP],
        False,
    ),
    "hardwire": ("[play:documented][fault:duplicate-event:1] x", [("text", "QuantumQuantum bits!"), STOP], False),
    "sema4": (
        "[play:text][fault:duplicate-event:10]",
        [("text", "Hello!"), ("usage", {"input_tokens": 12, "output_tokens": 3}), STOP],
        True,
    ),
}
"""An event that comes twice: a vendor that numbers its events is not taken in by it (`True`)."""


# --- conversations


LOOKS: dict[str, str] = {
    "dynamiq": "/v1/conversations/{}",
    "chatbase": "/agents/demo-agent/conversations/{}",
    "dimedove": "/apps/app_1/conversations/{}",
    "hardwire": "/chats/{}/messages",
    "sema4": "/agents/a1/conversations/{}/messages",
}
"""Where a vendor shows a conversation."""

DELETES: dict[str, list[str] | Cannot] = {
    "dynamiq": ["DELETE /v1/conversations/*"],
    "chatbase": Cannot("query.copies"),
    "dimedove": ["DELETE /apps/app_1/conversations/*"],
    "hardwire": ["DELETE /chats/*"],
    "sema4": ["DELETE /agents/a1/conversations/*"],
}

LOST: dict[str, bytes] = {
    "dynamiq": b'{"error":{"code":"not_found","message":"Conversation not found"}}',
    "chatbase": b'{"error":{"code":"RESOURCE_NOT_FOUND","message":"Conversation not found"}}',
    "dimedove": b'{"error":{"message":"App or conversation not found","type":"not_found","param":null,"code":null}}',
    "hardwire": b'{"message":"Chat not found","clientMessage":"Chat not found.","code":"CHAT_NOT_FOUND"}',
    "sema4": b'{"error":{"error_id":"e-1","code":"not_found","message":"Thread not found"}}',
}
"""What a 404 says of a conversation."""


def lost(vendor: str, conversation: str) -> Instead:
    """The vendor's 404 for whatever names that conversation."""
    refused: Script = [Head(404, {"Content-Type": "application/json"}), Send(LOST[vendor])]
    return lambda request: refused if conversation in f"{request.path} {request.body!r}" else None


FOREIGN: dict[str, bytes | Cannot] = {
    "dynamiq": NONE,
    "chatbase": b'"conversationId":"%b"',
    "dimedove": b'"conversation_id":"%b"',
    "hardwire": b'"chatId":"%b"',
    "sema4": b'"thread_id":"%b"',
}
"""Where a stream names its conversation."""

AFTER_A_BREAK: dict[str, tuple[str, list[str]]] = {
    "dynamiq": ("abandoned", ["POST /v1/conversations", "POST /v3/conversations/*/messages"]),
    "chatbase": ("confirmed", ["GET /agents/demo-agent/conversations/*/messages", "POST /agents/demo-agent/chat"]),
    "dimedove": ("confirmed", ["GET /apps/app_1/conversations/*", "POST /apps/app_1/conversations/*"]),
    "hardwire": ("confirmed", ["GET /chats/*/messages", "POST /chats/*/messages/stream"]),
    "sema4": (
        "confirmed",
        ["GET /agents/a1/conversations/*/messages", "POST /agents/a1/conversations/*/stream"],
    ),
}
"""What the turn behind a broken one finds out, and asks for it; without a list of messages nothing can be found out."""

FOUND: dict[str, tuple[str, list[str]] | Cannot] = {
    "dynamiq": NONE,
    "chatbase": (
        "confirmed",
        [
            "GET /agents/demo-agent/users/ann/conversations",
            "GET /agents/demo-agent/conversations/*/messages",
            "GET /agents/demo-agent/conversations/*/messages",
            "POST /agents/demo-agent/chat",
        ],
    ),
    "dimedove": NONE,
    "hardwire": NONE,
    "sema4": NONE,
}
"""A first turn that broke off before it named its conversation; the others name theirs before they are asked."""

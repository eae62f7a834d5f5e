"""What the simulated Dimedove can answer, by name; how an answer is written stands in `writing.py`."""

from typing import Any, Literal

from msgspec import Struct

Json = dict[str, Any]


class Text(Struct, frozen=True):
    """`done` is what `output_text.done` repeats: None for the deltas' text, "" for no such event."""

    deltas: tuple[str, ...]
    done: str | None = None


class Call(Struct, frozen=True):
    """A tool call; `arguments` None is a client tool's. `told` says by which events; `output` is what it gave."""

    number: int
    name: str
    arguments: str | None = None
    fragments: tuple[str, ...] = ()
    told: Literal["streamed", "item", "both"] = "streamed"
    output: Json | None = None


class Together(Struct, frozen=True):
    """Tool calls whose arguments are streamed in turns."""

    calls: tuple[Call, ...]


class Spec(Struct, frozen=True):
    """One patch of Generative UI."""

    patch: Json


class Raw(Struct, frozen=True):
    """An event as it stands. A document has no place for it."""

    name: str
    payload: Json


Item = Text | Call | Together | Spec | Raw


class Play(Struct, frozen=True):
    """One answer. `ends` "cut": the bytes stop inside the last character that is not ASCII.

    `lines`: events named by `event` lines and `type`s as documented, by the lines alone, or by the types alone.
    `is_document`: it is a document, whatever was asked. `has_extras`: comments between the events, `[DONE]` behind.
    """

    shows: str
    items: tuple[Item, ...]
    ends: Literal["completed", "failed", "cut"] = "completed"
    error: Json | None = None
    lines: Literal["documented", "names", "types"] = "documented"
    is_document: bool = False
    has_extras: bool = False
    pace: float = 0


class Refused(Struct, frozen=True):
    """An error answer; its `body` is what the manual has, or the framework's own."""

    status: int
    body: Json
    headers: dict[str, str] = {}

    @property
    def shows(self) -> str:
        error = self.body.get("error", {})
        return f"refused: {self.status} {error.get('type', 'in the words of the framework')}"


def documented(status: int, kind: str, message: str) -> Refused:
    return Refused(status, {"error": {"message": message, "type": kind, "param": None, "code": None}})


HELLO = Text(("Hello", "! How can I", " help?"))
CHECK = Call(
    1,
    "check_inventory",
    '{"product_id":"sku_123"}',
    ('{"product_id":', '"sku_123"}'),
    output={"sku": "sku_123", "in_stock": 4},
)
WEATHER = Call(2, "get_weather", '{"city":"Montreal"}', ('{"city"', ':"Montreal"}'), output={"celsius": -4})
IN_STOCK = Text(("Yes, ", "4 left."))
FORM = Call(1, "open_quote_form", told="item")
BROKEN_OFF = Text(("Let me", " see"), done="")


def _patch(path: str, value: Any) -> Spec:
    return Spec({"type": "patch", "patch": {"op": "add", "path": path, "value": value}})


PLAYS: dict[str, Play] = {
    "text": Play("three deltas", (HELLO,)),
    "document": Play("a document though a stream was asked for", (HELLO,), is_document=True),
    "mapped-tool": Play("a tool that the vendor runs, its arguments streamed, then text", (CHECK, IN_STOCK)),
    "mapped-tool-item": Play(
        "the same told by `output_item.done` alone, as the page on custom tools has it",
        (Call(1, CHECK.name, CHECK.arguments, told="item", output=CHECK.output), IN_STOCK),
    ),
    "client-tool": Play("a signal for the client: `output_item.done` with null arguments", (FORM, Text(("Here.",)))),
    "both": Play(
        "a call that is announced twice",
        (Call(1, CHECK.name, CHECK.arguments, CHECK.fragments, "both", CHECK.output), IN_STOCK),
    ),
    "parallel-tools": Play("two calls, their arguments in turns", (Together((CHECK, WEATHER)), IN_STOCK)),
    "text-around-tool": Play("text, a call, text", (Text(("Let me look.",)), CHECK, IN_STOCK)),
    "malformed-arguments": Play(
        "arguments that are no JSON", (Call(1, CHECK.name, '{"product_id":', ('{"product_id":',)), Text(("Sorry.",)))
    ),
    "generative-ui": Play(
        "text, then three patches of Generative UI",
        (
            Text(("Let me help you", " choose a plan.")),
            _patch("/root", "card-plan-selection"),
            _patch("/root/children/-", {"type": "radio-group", "name": "plan", "options": ["Basic", "Premium"]}),
            _patch("/root/children/-", {"type": "button", "label": "Go"}),
        ),
    ),
    "corrected": Play("a closing text that differs from its deltas", (Text(("Four", " left"), done="4 left."),)),
    "unclosed": Play("a text that nothing closes", (Text(("Hello", " there"), done=""),)),
    "only-done": Play("a text without deltas", (Text((), done="Hello there"),)),
    "failed": Play(
        "`response.failed` with a message after two deltas",
        (BROKEN_OFF,),
        ends="failed",
        error={"message": "The agent stopped"},
    ),
    "failed-silently": Play("`response.failed` without an error after two deltas", (BROKEN_OFF,), ends="failed"),
    "failed-document": Play("a 200 whose document says `failed`", (BROKEN_OFF,), ends="failed", is_document=True),
    "error-event": Play(
        "an event that nobody knows, and that holds an error",
        (BROKEN_OFF, Raw("response.trouble", {"error": {"message": "Out of luck", "type": "internal_error"}})),
    ),
    "names-only": Play("payloads without `type`", (CHECK, IN_STOCK), lines="names"),
    "types-only": Play("payloads without `event` lines", (CHECK, IN_STOCK), lines="types"),
    "extras": Play("comments between the events, `[DONE]` behind them", (HELLO,), has_extras=True),
    "unknown-events": Play(
        "events and items that nobody knows",
        (
            Raw("response.sparkle", {"type": "response.sparkle", "count": 3}),
            Raw(
                "response.output_item.done",
                {"type": "response.output_item.done", "output_index": 0, "item": {"type": "glitter", "count": 4}},
            ),
            HELLO,
        ),
    ),
    "cut": Play("the end inside a character of a delta", (Text(("Crème ", "brûlée"), done=""),), ends="cut"),
    "nothing": Play("a response without output", ()),
}

REFUSALS: dict[str, Refused] = {
    "invalid-key": documented(401, "invalid_api_key", "Invalid or missing API key"),
    "credits": documented(402, "insufficient_credits", "The team's credits are used up"),
    "access-denied": documented(403, "access_denied", "API key does not have access to this app"),
    "app-inactive": documented(403, "app_inactive", "App is disabled"),
    "agent-unavailable": documented(403, "agent_unavailable", "No active agent configured for this app"),
    "not-found": documented(404, "not_found", "App or conversation not found"),
    "rate-limit": documented(429, "rate_limit_exceeded", "Rate limit exceeded"),
    "internal": documented(500, "internal_error", "Unexpected server error"),
    "bad-request": Refused(400, {"detail": "Cannot parse request body"}),
    "unprocessable": Refused(
        422, {"detail": [{"type": "missing", "loc": ["body", "payload", "message"], "msg": "Field required"}]}
    ),
}

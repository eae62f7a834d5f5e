"""What the simulated Sema4.ai says: each play is a run of messages and frames, and how it ends.

A message is told as the real server tells it: its first content object comes whole with its first characters, the rest
as patches, and its end repeats it. Written from the dossier of the vendor, which was read 2026-11.
"""

import re
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

Fields = dict[str, Any]

ECHOED_WORDS = 6

_CHOICE = re.compile(r"\[play:[a-z0-9-]+\]\s*")
_WORD = re.compile(r"\S+\s*")


class Prose(Struct, frozen=True):
    """`late`: the citations stand in the message's end alone."""

    pieces: tuple[str, ...]
    kind: Literal["text", "formatted-text", "thought"] = "text"
    citations: tuple[Fields, ...] = ()
    late: bool = False


class Call(Struct, frozen=True):
    """A tool call; it fails where it has an error."""

    arguments: tuple[str, ...]
    name: str = "get_invoice"
    result: str | None = None
    error: str | None = None
    sub_type: str = "action-external"


class Object(Struct, frozen=True):
    """Any other content object: how it begins, and the patches that it goes through, below its own path."""

    begin: Fields
    patches: tuple[Fields, ...] = ()


Content = Prose | Call | Object


class Said(Struct, frozen=True):
    """One message of the run; `ends` False: its end is never told."""

    contents: tuple[Content, ...]
    tokens: tuple[int, int] | None = None
    ends: bool = True


class Framed(Struct, frozen=True):
    """An event beside the messages; `name` None: without an `event:` line. `data` of a text is sent as it is."""

    data: Fields | list[Any] | str
    name: str | None = "agent_event"


class Silence(Struct, frozen=True):
    """Seconds, with a comment behind."""

    seconds: float


Part = Said | Framed | Silence
Ending = Literal["finished", "error", "old-error", "cut"]


class Frame(Struct, frozen=True):
    """A data frame that a run leaves behind, and how its rows are written."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    shape: Literal["objects", "lists", "columns", "data"] = "objects"


class Play(Struct, frozen=True):
    """`document`: how the answer looks where it is no stream. `ready` False: there is no `agent_ready`."""

    shows: str
    parts: tuple[Part, ...]
    ending: Ending = "finished"
    document: Literal["data", "messages", "list", "single"] = "data"
    pace: float = 0
    frames: tuple[Frame, ...] = ()
    ready: bool = True


SALES = Frame("sales", ("region", "total"), (("north", 620), ("south", 310), ("west", None)))
CITATION = {
    "document_uri": "https://example.com/terms.pdf",
    "start_char_index": 0,
    "end_char_index": 9,
    "cited_text": "Net 30 days.",
}
CHART = Object(
    {
        "kind": "vega_chart",
        "chart_spec_raw": '{"mark":',
        "sub_type": "vega-lite",
        "status": "generating",
        "description": "Sales by region",
        "error": None,
    },
    (
        {"op": "concat_string", "path": "/chart_spec_raw", "value": '"bar"}'},
        {"op": "replace", "path": "/status", "value": "done"},
        {"op": "replace", "path": "/complete", "value": True},
    ),
)
ACTIONS = Object(
    {"kind": "quick_actions", "actions": [], "status": "generating", "thinking": "", "error": None},
    (
        {"op": "add", "path": "/actions/-", "value": {"label": "Yes", "value": "yes", "icon": "check"}},
        {"op": "add", "path": "/actions/1", "value": {"label": "No", "value": "no", "icon": None}},
        {"op": "replace", "path": "/status", "value": "done"},
        {"op": "replace", "path": "/complete", "value": True},
    ),
)
REPORT = {
    "kind": "attachment",
    "name": "report.pdf",
    "mime_type": "application/pdf",
    "description": None,
    "uri": "https://example.com/report.pdf",
    "base64_data": None,
}
PICTURE = {**REPORT, "name": "a.png", "mime_type": "image/png", "uri": None, "base64_data": "iVBORw0KGgo="}
WHOLE = ({"op": "replace", "path": "/complete", "value": True},)
HELLO = Said((Prose(("He", "llo!")),))
PARTIAL = Said((Prose(("Let me", " see")),), ends=False)
LOOK_UP = ('{"id"', ":7}")
TOTAL = '{"total":620}'

PLAYS: dict[str, Play] = {
    "thought": Play("a thought, then a text", (Said((Prose(("G", "reet."), "thought"), Prose(("He", "llo!")))),)),
    "text": Play("a text alone, with usage at its end", (Said((Prose(("He", "llo!")),), (12, 3)),)),
    "tool": Play(
        "a tool call: its arguments stream, it runs, it has a result; then a text",
        (
            Said(
                (
                    Prose(("Look", " it up."), "thought"),
                    Call(LOOK_UP, result=TOTAL),
                    Prose(("The total", " is 620.")),
                )
            ),
        ),
    ),
    "tool-failed": Play(
        "a tool call that fails; the run goes on",
        (Said((Call(LOOK_UP, error="No such invoice"), Prose(("There is", " none.")))),),
    ),
    "two-messages": Play(
        "two messages in one run, each with its usage",
        (Said((Prose(("One", " moment.")),), (5, 2)), Said((Prose(("Here", " it is.")),), (7, 3))),
    ),
    "citations": Play(
        "citations that come with their text", (Said((Prose(("Net 30 ", "days."), "text", (CITATION,)),)),)
    ),
    "citations-late": Play(
        "citations in the message's end alone",
        (Said((Prose(("Net 30 ", "days."), "formatted-text", (CITATION,), late=True),)),),
    ),
    "agent-error": Play("an error after partial text", (PARTIAL,), "error"),
    "agent-error-first": Play("an error before any text", (), "error"),
    "agent-error-old": Play("an error in an older build's words, after partial text", (PARTIAL,), "old-error"),
    "chart": Play("a chart; a data frame is left behind", (Said((CHART, Prose(("See", " above.")))),), frames=(SALES,)),
    "frame-lists": Play("a data frame whose rows are lists", (HELLO,), frames=(replace(SALES, shape="lists"),)),
    "frame-columns": Play("a data frame with columns and rows", (HELLO,), frames=(replace(SALES, shape="columns"),)),
    "frame-data": Play("a data frame with columns and data", (HELLO,), frames=(replace(SALES, shape="data"),)),
    "quick-actions": Play("suggestions behind a text", (Said((Prose(("Shall", " I?")), ACTIONS)),)),
    "attachment": Play(
        "a file by its address and one by its bytes",
        (Said((Prose(("Here",)), Object(REPORT, WHOLE), Object(PICTURE, WHOLE))),),
    ),
    "client-tool": Play(
        "a tool that the client should run, for which there is no call: the connection closes",
        (
            Framed(
                {
                    "event_type": "request_tool_execution",
                    "tool_name": "open_page",
                    "tool_call_id": "call_9",
                    "input_raw": '{"page":3}',
                }
            ),
        ),
        "cut",
    ),
    "user-input": Play(
        "a question to the user, for which there is no call: the connection closes",
        (Framed({"event_type": "request_user_input", "message": "Which year?", "timeout": 120.0}),),
        "cut",
    ),
    "renamed": Play(
        "the conversation gets its name in mid-stream",
        (
            Said((Prose(("One", " moment.")),)),
            Framed(
                {
                    "event_type": "thread_name_updated",
                    "thread_id": "",
                    "agent_id": "",
                    "new_name": "Invoices",
                    "old_name": "Hi",
                    "reason": "auto",
                }
            ),
            Said((Prose(("Here", " it is.")),)),
        ),
    ),
    "silence": Play(
        "20 s of silence between two messages, with a comment after 15",
        (Said((Prose(("One", " moment.")),)), Silence(15), Silence(5), Said((Prose(("Here", " it is.")),))),
    ),
    "cut": Play("the end of the body without `agent_finished`, behind a whole message", (HELLO,), "cut"),
    "no-message-end": Play(
        "a run that finishes without the message's end", (Said((Prose(("He", "llo!")),), ends=False),)
    ),
    "replaced": Play(
        "a text that is replaced while it grows",
        (
            Said(
                (
                    Object(
                        {"kind": "text", "text": "Helo", "citations": []},
                        (
                            {"op": "replace", "path": "/text", "value": "Hello"},
                            {"op": "concat_string", "path": "/text", "value": " you"},
                            *WHOLE,
                        ),
                    ),
                )
            ),
        ),
    ),
    "operations": Play(
        "every operation that a patch may be",
        (
            Said(
                (
                    Object(
                        {"kind": "text", "text": "Hel", "draft": "lo", "count": 1, "citations": []},
                        (
                            {"op": "test", "path": "/text", "value": "Hel"},
                            {"op": "inc", "path": "/count", "value": 2},
                            {"op": "copy", "path": "/old", "from_": "/draft"},
                            {"op": "remove", "path": "/draft"},
                            {"op": "move", "path": "/older", "from_": "/old"},
                            {"op": "concat_string", "path": "/text", "value": "lo"},
                            {"op": "add", "path": "/older", "value": None},
                            *WHOLE,
                        ),
                    ),
                )
            ),
        ),
    ),
    "unknown": Play(
        "an unknown event, an unknown content and an unknown name",
        (
            Framed({"event_type": "sparkle", "count": 3}),
            Framed({"beat": 1}, "sparkle"),
            Said((Prose(("Hello",)), Object({"kind": "hologram", "rays": 3}, WHOLE))),
        ),
    ),
    "plain-text": Play(
        "texts without a type, an end without one",
        (
            Framed({"delta": "He"}, "data"),
            Framed({"content": "ll"}, None),
            Framed("o!", None),
            Framed("[DONE]", None),
        ),
        "cut",
        ready=False,
    ),
    "snapshots": Play(
        "messages as they are by now, as older builds tell them",
        (
            Framed({"messages": [{"type": "human", "content": "Hi"}, {"type": "ai", "content": "He"}]}, "data"),
            Framed([{"type": "human", "content": "Hi"}, {"type": "ai", "content": "Hello!"}], "data"),
            Framed({}, "end"),
        ),
        "cut",
        ready=False,
    ),
    "error-event": Play(
        "an event named `error`",
        (PARTIAL, Framed({"error": {"error_id": "e-1", "code": "too_many_requests", "message": "Quota"}}, "error")),
        "cut",
    ),
    "sync-messages": Play("as a document: `messages`, as v1 had it", (HELLO,), document="messages"),
    "sync-list": Play("as a document: a list", (HELLO,), document="list"),
    "sync-single": Play("as a document: the answer alone", (HELLO,), document="single"),
}


def usual(message: str) -> Play:
    lines = [line for line in _CHOICE.sub("", message).splitlines() if line.strip()]
    words = " ".join(lines[-1].split()[:ECHOED_WORDS]) if lines else "nothing"
    text = f"You asked: “{words}”. I am a simulated Sema4.ai agent, so all I can do is repeat it."
    thought = Prose(("The user", " wants an answer."), "thought")
    return Play("", (Said((thought, Prose(tuple(_WORD.findall(text)))), (20, 18)),), pace=0.02)

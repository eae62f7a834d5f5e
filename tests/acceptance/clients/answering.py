"""A client as a program: each line of its input is a conversation to have, and one line of its output what came of it.

    {"base": URL, "route": NAME, "mode": how the client reads, "turns": [TEXT, ...],
     "headers": {...}, "key"?: KEY, "with"?: more fields of each request,
     "tools"?: [{"name", "description", "parameters"}], "outputs"?: {TOOL: what it returns}}

    {"turns": [{"text", "reasoning", "calls": [{"id", "name", "arguments"}], "results", "sources", "usage", "finish"}],
     "error"?: {"kind", "status", "message", "code"}}

Where the answer calls tools and `outputs` are given, these are sent back, as one more turn.
"""

import json
import sys
from collections.abc import Callable
from typing import Any, Protocol

Told = dict[str, Any]


class Chat(Protocol):
    """A conversation as this client keeps it. What an answer said is filled in as it comes, so that a part survives."""

    def say(self, text: str, turn: Told) -> None: ...
    def give(self, outputs: dict[str, Any], turn: Told) -> None: ...


def answering(chat: Callable[[Told], Chat], **others: Callable[[Told, Told], None]) -> None:
    """`others`: what else can be asked, by the name in `asks`; each fills in what is told."""
    for line in sys.stdin:
        ask, told = json.loads(line), Told()
        try:
            if "asks" in ask:
                others[ask["asks"]](ask, told)
            else:
                _converse(ask, told, chat(ask))
        except Exception as error:  # noqa: BLE001  (whatever the client raises is what a test is about)
            told["error"] = described(error)
        sys.stdout.write(json.dumps(told) + "\n")
        sys.stdout.flush()


def _converse(ask: Told, told: Told, chat: Chat) -> None:
    told["turns"] = []
    for text in ask["turns"]:
        turn = _opened(told)
        chat.say(text, turn)
        while turn["calls"] and "outputs" in ask:
            outputs = {call["id"]: ask["outputs"][call["name"]] for call in turn["calls"]}
            turn = _opened(told)
            chat.give(outputs, turn)


def _opened(told: Told) -> Told:
    turn: Told = {"text": "", "reasoning": "", "calls": [], "results": [], "sources": [], "usage": None, "finish": None}
    told["turns"].append(turn)
    return turn


def written(output: Any) -> str:
    """What a tool returned, as JavaScript writes it."""
    return json.dumps(output, separators=(",", ":"), ensure_ascii=False)


def described(error: Exception) -> Told:
    code = getattr(error, "code", None)
    status = getattr(error, "status_code", code if isinstance(code, int) else None)
    return {"kind": type(error).__name__, "status": status, "message": str(error), "code": code}

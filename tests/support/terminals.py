"""Where the success terminal of each vendor is whole, told from its manual, apart from what the translators know.

chatbase   a frame of the type `finish`, or `abort`
dimedove   the event `response.completed`
dynamiq    `run.completed`, a cancel, a question to a person that wants a reply, a request for approval
hardwire   a frame of the type `end`, `complete` or `run_completed`, or a snapshot of a run that was cancelled
sema4      `agent_finished`, `request_user_input`, and of older builds an event `end` or `done`, or `[DONE]`

Each comes in a block that a blank line closes; at chatbase and hardwire also as a line that is JSON by itself.
"""

import json
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any


def terminal_end(protocol: str, body: bytes, sequence: int = 0) -> int:
    """After how many bytes of a stream the first terminal is whole; behind its end where there is none.

    `sequence`: up to which the events were told in another stream, and are told again.
    """
    ends = range(len(body) + 1)
    return bisect_left(ends, x=True, key=lambda end: _holds_terminal(protocol, body[:end], sequence))


def _holds_terminal(protocol: str, data: bytes, sequence: int) -> bool:
    frames = ((name, _read(text)) for name, text in _records(data))
    return any(_is_terminal(protocol, name, frame) and not _is_old(frame, sequence) for name, frame in frames)


def _is_old(frame: Any, sequence: int) -> bool:
    return isinstance(frame, dict) and 0 < frame.get("sequence", 0) <= sequence


def _records(data: bytes) -> Iterator[tuple[str, bytes]]:
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    *blocks, _ = text.split(b"\n\n")
    for block in blocks:
        fields = [line.partition(b":") for line in block.split(b"\n")]
        values = {name: value.removeprefix(b" ") for name, _, value in fields}
        yield values.get(b"event", b"").decode(), values.get(b"data", b"")
    for line in text.split(b"\n"):
        if line.startswith(b"{"):
            yield "", line


def _read(text: bytes) -> Any:
    """What a line spells, or the line."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_terminal(protocol: str, event: str, frame: Any) -> bool:
    kind = frame.get("type", event) if isinstance(frame, dict) else event
    match protocol, kind, frame:
        case "chatbase", "finish" | "abort", _:
            return True
        case "hardwire", "end" | "complete" | "run_completed", _:
            return True
        case "hardwire", "snapshot", {"workflowRun": {"status": "CANCELLED"}}:
            return True
        case "dimedove", "response.completed", _:
            return True
        case "dynamiq", "agent.human_feedback.requested", {"data": {"action": "info"}}:
            return False
        case "dynamiq", "agent.human_feedback.requested" | "approval_request.created", _:
            return True
        case "dynamiq", "run.completed" | "run.canceled" | "run.cancelled", _:
            return True
        case "sema4", "end" | "done", _:
            return True
        case "sema4", _, b"[DONE]" | {"event_type": "agent_finished" | "request_user_input"}:
            return True
    return False

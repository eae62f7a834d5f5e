"""What can go wrong between a vendor and us, as pure functions from a script to a bent script.

A request that holds `[fault:NAME]` or `[fault:NAME:NUMBER]` anywhere in its body has its answer bent so; an answer to
a request without it stays as it is. `[fault:NAME@SIMULATOR]` bends the answers of that simulator alone, so that a
failover to another one succeeds. An unknown name is answered with 400 and the names there are.

An event is what ends with an empty line; where nothing does (a JSON document, JSON lines), it is one `Send`. `NUMBER`
means what the fault's description calls it: events that pass before, seconds or bytes. Failures that a vendor puts in
its own words (an error event, a refusal inside a 200) are plays of its simulator.
"""

import re
from collections.abc import Callable
from functools import partial

import msgspec
from msgspec import Struct

from gateway.protocols.base import Head, Pause, Reset, Script, Send, Step

CHOICE = re.compile(rb"\[fault:([a-z0-9-]+)(?::([0-9]{1,9}))?(?:@([A-Za-z0-9._-]+))?\]")
EVENT = re.compile(rb".+?(?:\n\n|\r\n\r\n|\r\r|\Z)", re.DOTALL)
JSON = {"Content-Type": "application/json"}
HTML = {"Content-Type": "text/html; charset=utf-8"}
PAGE = Send(b"<!doctype html><title>Bad gateway</title><h1>The origin is unreachable</h1>\n")
REFUSAL = Send(b'{"error":{"code":"injected","message":"this refusal was asked for"}}')
SPARKLE = Send(b'event: sparkle\ndata: {"type":"sparkle","event_type":"sparkle","event":"sparkle"}\n\n')
FILLER = Send(b"x" * 65_536)
FILLERS = 1024
FIRST_LEAD = 0xC0
"""Bytes from here on begin a character of several bytes."""
HOUR = 3600

Bend = Callable[[Script, int], Script]


class Fault(Struct, frozen=True):
    """`number` is what stands for a number that the request does not give."""

    description: str
    bend: Bend
    number: int = 0


def inject(script: Script, body: bytes, simulator: str) -> Script:
    """`script` bent as the request's `body` asks."""
    for name, number, only in CHOICE.findall(body):
        if only.decode() in {"", simulator}:
            return _bend(script, name.decode(), number)
    return script


def _bend(script: Script, name: str, number: bytes) -> Script:
    fault = FAULTS.get(name)
    if fault is None:
        known = {"error": f"no fault is named {name}", "faults": {each: FAULTS[each].description for each in FAULTS}}
        return [Head(400, JSON), Send(msgspec.json.encode(known))]
    return fault.bend(script, int(number) if number else fault.number)


def _delay(script: Script, seconds: int) -> Script:
    return [Pause(seconds), *script]


def _reset_at_once(_: Script, seconds: int) -> Script:
    return [Pause(seconds), Reset()]


def _refuse(_: Script, seconds: int, *, status: int) -> Script:
    headers = {**JSON, "Retry-After": str(seconds)} if seconds else JSON
    return [Head(status, headers), REFUSAL]


def _page(_: Script, __: int, *, status: int) -> Script:
    return [Head(status, HTML), PAGE]


def _redirect(_: Script, port: int) -> Script:
    return [Head(307, {"Location": f"http://127.0.0.2:{port}/"})]


def _no_content(_: Script, __: int) -> Script:
    return [Head(204)]


def _refuse_endlessly(_: Script, __: int) -> Script:
    return [Head(500, JSON), *[FILLER] * FILLERS]


def _mistype(script: Script, _: int) -> Script:
    heads = [Head(head.status, {**head.headers, "Content-Type": "text/plain"}) for head in _heads(script)]
    return [*heads, *(step for step in script if not isinstance(step, Head))]


def _empty(script: Script, _: int) -> Script:
    return _heads(script)


def _cut(script: Script, events: int) -> Script:
    shown, _ = _split(script, events)
    return shown


def _reset_in_event(script: Script, events: int) -> Script:
    return _reset_within(script, events, _half)


def _reset_in_character(script: Script, events: int) -> Script:
    return _reset_within(script, events, _half_a_character)


def _stall(script: Script, seconds: int) -> Script:
    shown, rest = _split(script, 1)
    return [*shown, Pause(seconds), *rest]


def _stall_with_heartbeats(script: Script, seconds: int) -> Script:
    shown, rest = _split(script, 1)
    return [*shown, *_heartbeats(1, seconds), *rest]


def _comment_endlessly(script: Script, _: int) -> Script:
    return [*_heads(script), *_heartbeats(0.1, 10 * HOUR)]


def _write_an_endless_line(script: Script, events: int) -> Script:
    return [*_cut(script, events), Send(b"data: "), *[FILLER] * FILLERS]


def _stay_open(script: Script, seconds: int) -> Script:
    return [*script, Pause(seconds)]


def _repeat_everything(script: Script, _: int) -> Script:
    return [*script, *(step for step in script if not isinstance(step, Head))]


def _add_unknown(script: Script, events: int) -> Script:
    shown, rest = _split(script, events)
    return [*shown, SPARKLE, *rest]


def _break_json(script: Script, events: int) -> Script:
    """Takes the last brace out of the next event."""
    return _change(script, events, lambda data: b"".join(data.rpartition(b"}")[::2]))


def _inflate(script: Script, size: int) -> Script:
    """A known event of `size` bytes more, in a field of which nobody knows."""
    return _change(script, 1, partial(_pad, size=size))


def _duplicate(script: Script, events: int) -> Script:
    shown, rest = _split(script, events)
    return [*shown, *rest[:1], *rest]


def _swap(script: Script, events: int) -> Script:
    shown, rest = _split(script, events)
    first, after = _split(rest, 1)
    return [*shown, *after[:1], *first, *after[1:]]


def _send_pieces(script: Script, size: int) -> Script:
    step = max(size, 1)
    return _recut(script, lambda data: [data[start : start + step] for start in range(0, len(data), step)])


def _send_at_once(script: Script, _: int) -> Script:
    return [*_heads(script), Send(b"".join(step.data for step in script if isinstance(step, Send)))]


def _end_lines_with(script: Script, _: int, *, line_end: bytes) -> Script:
    return _recut(script, lambda data: [data.replace(b"\r\n", b"\n").replace(b"\n", line_end)])


def _heartbeats(every: float, times: int) -> list[Step]:
    return [Send(b": heartbeat\n\n"), Pause(every)] * times


def _heads(script: Script) -> list[Head]:
    return [step for step in script if isinstance(step, Head)]


def _recut(script: Script, cut: Callable[[bytes], list[bytes]]) -> list[Step]:
    """The script with other pieces of data for each `Send`."""
    steps: list[Step] = []
    for step in script:
        if isinstance(step, Send):
            steps += [Send(piece) for piece in cut(step.data)]
        else:
            steps.append(step)
    return steps


def _split(script: Script, events: int) -> tuple[list[Step], list[Step]]:
    """What is played before the event that follows so many, and the rest, which begins with that event."""
    steps = _recut(script, EVENT.findall)
    places = [place for place, step in enumerate(steps) if isinstance(step, Send)]
    place = places[events] if events < len(places) else len(steps)
    return steps[:place], steps[place:]


def _change(script: Script, events: int, change: Callable[[bytes], bytes]) -> Script:
    """The script with other data in the event that follows so many."""
    shown, rest = _split(script, events)
    return [*shown, *_recut(rest[:1], lambda data: [change(data)]), *rest[1:]]


def _reset_within(script: Script, events: int, begin: Callable[[bytes], bytes]) -> Script:
    """Resets when the beginning of the event that follows so many was sent."""
    shown, rest = _split(script, events)
    return [*shown, *_recut(rest[:1], lambda data: [begin(data)]), Reset()]


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _half_a_character(data: bytes) -> bytes:
    """Up to within the first character of several bytes; data without any gets half of one."""
    lead = next((place for place, byte in enumerate(data) if byte >= FIRST_LEAD), None)
    return _half(data) + b"\xc3" if lead is None else data[: lead + 1]


def _pad(data: bytes, size: int) -> bytes:
    head, brace, rest = data.partition(b"{")
    comma = b"" if rest.lstrip().startswith(b"}") else b","
    return b'%b%b"padding":"%b"%b%b' % (head, brace, b"x" * size, comma, rest) if brace else data


FAULTS: dict[str, Fault] = {
    "slow-head": Fault("nothing at all for NUMBER seconds, then the answer", _delay, 8),
    "reset-head": Fault("a reset instead of an answer, after NUMBER seconds", _reset_at_once),
    **{
        f"status-{status}": Fault(
            f"refused with {status}; Retry-After is NUMBER seconds", partial(_refuse, status=status)
        )
        for status in (400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 502, 503, 504, 529)
    },
    "status-502-html": Fault("refused with 502 and the page of a proxy", partial(_page, status=502)),
    "status-204": Fault("no content", _no_content),
    "endless-refusal": Fault("refused with 500 and a body of 64 MB", _refuse_endlessly),
    "redirect": Fault("sent to port NUMBER of 127.0.0.2", _redirect, 80),
    "html-200": Fault("a page instead of the answer", partial(_page, status=200)),
    "wrong-type": Fault("the answer as text/plain", _mistype),
    "empty-200": Fault("the head of the answer and no body", _empty),
    "cut": Fault("a clean end after NUMBER events", _cut, 1),
    "reset-mid-event": Fault("a reset in the middle of the event after NUMBER", _reset_in_event, 1),
    "reset-mid-character": Fault("a reset in the middle of a character, after NUMBER events", _reset_in_character, 1),
    "stall-silent": Fault("silence for NUMBER seconds after the first event", _stall, 20),
    "stall-heartbeats": Fault("only comments for NUMBER seconds after the first event", _stall_with_heartbeats, 20),
    "endless-comments": Fault("comments for an hour instead of the answer", _comment_endlessly),
    "endless-line": Fault("after NUMBER events a line of 64 MB", _write_an_endless_line, 1),
    "stays-open": Fault("the whole answer, and NUMBER seconds until it ends", _stay_open, HOUR),
    "twice": Fault("the whole answer, and all its events again", _repeat_everything),
    "unknown-event": Fault("an event of an unknown type after NUMBER events", _add_unknown, 1),
    "malformed-json": Fault("the event after NUMBER lacks its last brace", _break_json, 1),
    "duplicate-event": Fault("the event after NUMBER comes twice", _duplicate, 1),
    "swapped-events": Fault("the two events after NUMBER change places", _swap, 1),
    "huge-event": Fault("the second event is NUMBER bytes larger", _inflate, 1_000_000),
    "one-byte-chunks": Fault("the answer in chunks of NUMBER bytes", _send_pieces, 1),
    "one-chunk": Fault("the answer in one chunk", _send_at_once),
    "crlf": Fault("lines end with CRLF", partial(_end_lines_with, line_end=b"\r\n")),
    "cr": Fault("lines end with CR", partial(_end_lines_with, line_end=b"\r")),
}

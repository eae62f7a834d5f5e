"""Bodies of vendors, spoilt at random: their JSON, and their bytes.

What a value becomes is JSON text, or nearly: some of it is no JSON at all, or more than a reader may swallow.
"""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

DEEP = 100_000
HUGE = "1" + "0" * 400

TOKENS = [
    *("null", "true", "false", "0", "-1", "1.5", '""', '"x"', "[]", "{}", "[{}]", '[["a"]]'),
    *('{"a":1}', '{"error":"x"}'),
    *('"[DONE]"', '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"error"', '"finish"', '"call_1"'),
    *(HUGE, f"-{HUGE}", "1e400", "NaN", "Infinity", "-0", "01", "'x'", "", "{", "]", "[1,]", "/**/1"),
    *("[" * DEEP, "[" * DEEP + "]" * DEEP, '{"a":' * DEEP + "1" + "}" * DEEP, "[" * 500 + "]" * 500),
]

_MARK = "@@spoilt@@"
_BYTES = [b"\n", b"\n\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b":", b"data:", b"data: "]
_BYTES += [b"event: error\n", b"id: 1\n", b"id\n", b"retry: 0\n", b"[DONE]", b"{", b"}", b'"', b"\\", b"0", b" ", b""]

Path = tuple[str | int, ...]


@st.composite
def spoilt_json(draw: st.DrawFn, body: bytes) -> bytes:
    """One to three of the body's lines changed within their JSON, dropped, doubled or put elsewhere."""
    lines = body.split(b"\n")
    for _ in range(draw(st.integers(1, 3))):
        number = draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["within", "within", "within", "drop", "double", "move"])):
            case "within":
                lines[number] = draw(_spoilt_line(lines[number]))
            case "drop":
                lines[number] = b""
            case "double":
                lines[number] = lines[number] + b"\n\n" + lines[number]
            case "move":
                other = draw(st.integers(0, len(lines) - 1))
                lines[number], lines[other] = lines[other], lines[number]
    return b"\n".join(lines)


@st.composite
def spoilt_bytes(draw: st.DrawFn, body: bytes) -> bytes:
    """Up to four places cut out, or filled with something else."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        length = draw(st.sampled_from([0, 0, 1, 1, 2, 7]))
        body = body[:start] + draw(st.sampled_from(_BYTES)) + body[start + length :]
    return body


@st.composite
def _spoilt_line(draw: st.DrawFn, line: bytes) -> bytes:
    start = line.find(b"{")
    try:
        value = json.loads(line[start:]) if start >= 0 else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        return line
    path = draw(st.sampled_from([(), *_paths(value)]))
    change = draw(st.sampled_from(["retype", "retype", "drop", "double", "swap", "deepen"]))
    return line[:start] + _changed(draw, value, path, change).encode("utf-8", "surrogatepass")


def _changed(draw: st.DrawFn, value: dict[str, Any], path: Path, change: str) -> str:
    token = draw(st.sampled_from(TOKENS))
    if not path:
        return token
    *way, last = path
    place: Any = value
    for step in way:
        place = place[step]
    if change == "drop":
        del place[last]
    elif change == "deepen":
        place[last] = {str(last): place[last]}
    elif change == "swap":
        other = draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        place[last], place[other] = place[other], place[last]
    elif change == "double" and isinstance(place, dict):
        return json.dumps(_with_mark(value, place)).replace(f'"{_MARK}": 0', f"{json.dumps(last)}: {token}")
    else:
        place[last] = _MARK
    return json.dumps(value).replace(f'"{_MARK}"', token)


def _with_mark(value: dict[str, Any], place: dict[str, Any]) -> dict[str, Any]:
    place[_MARK] = 0
    return value


def _paths(value: Any, before: Path = ()) -> Iterator[Path]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*before, key)
        yield from _paths(inner, (*before, key))

"""A call's arguments that come as values at JSON paths, spelled as the JSON text that they are.

    [{"jsonPath": "$.to.city", "stringValue": "Bos", "willContinue": true}]   -> {"to":{"city":"Bos
    [{"jsonPath": "$.to.city", "stringValue": "ton"}]                         -> ton"
    [{"jsonPath": "$.days[0]", "numberValue": 2}]                             -> },"days":[2
    the end                                                                   -> ]}

A model writes its arguments from left to right, so the values come in the order of the text. One that goes back to what
is closed already, or leaves a gap in a list, raises `Malformed`.
Source: google-genai (Python) 3.4.0 `PartialArg`; RFC 9535 (JSONPath), 2.7; read 2026-11.
"""

import re
from itertools import takewhile

import msgspec
from msgspec import UNSET

from gateway.framing.typed import Malformed
from gateway.protocols.gemini.wire import PartialArg

Step = str | int
Path = tuple[Step, ...]

_STEP = re.compile(
    r"""\.(?P<name>[^.\[\]]+) | \[(?P<index>\d{1,9})\] | \[(?P<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]""",
    re.VERBOSE,
)

_NO_JSON = re.compile(r"""\\.|["\x00-\x1f]""", re.DOTALL)

_encode = msgspec.json.encode


class ArgumentText:
    """The text so far ends within the value at `_path`; the containers on the way to it are open."""

    def __init__(self) -> None:
        self._path: Path = ()
        self._written: list[set[Step]] = []
        """What stands in each of them: names, or the numbers of a list."""
        self._is_text_open = False

    def grow(self, value: PartialArg) -> str:
        """What is to be added for it."""
        path = parse_path(value.json_path)
        if self._is_text_open and path == self._path:
            return self._go_on(value)
        spelled = _spell(value)
        return "" if spelled is None else self._close_text() + self._move(path) + self._begin(value, spelled)

    def end(self) -> str:
        """What closes all that is open; "" where there was nothing."""
        return self._close_text() + "".join(_close(step) for step in reversed(self._path))

    def _begin(self, value: PartialArg, spelled: str) -> str:
        self._is_text_open = value.string_value is not None and value.will_continue is True
        return spelled[:-1] if self._is_text_open else spelled

    def _go_on(self, value: PartialArg) -> str:
        more = _encode(value.string_value or "").decode()[1:-1]
        return more if value.will_continue else more + self._close_text()

    def _close_text(self) -> str:
        was_open, self._is_text_open = self._is_text_open, False
        return '"' if was_open else ""

    def _move(self, path: Path) -> str:
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._path, path, strict=False)))
        if shared == len(path) or (self._path and shared == len(self._path)):
            raise Malformed("a value of a call's arguments comes twice")
        closing = "".join(_close(step) for step in reversed(self._path[shared + 1 :]))
        del self._written[shared + 1 :]
        text = closing
        if self._path:
            if type(self._path[shared]) is not type(path[shared]):
                raise Malformed("a call's argument is both a list and an object")
            text += ","
        else:
            text += _open(path[0])
            self._written.append(set())
        text += self._enter(shared, path[shared])
        for depth in range(shared + 1, len(path)):
            self._written.append(set())
            text += _open(path[depth]) + self._enter(depth, path[depth])
        self._path = path
        return text

    def _enter(self, depth: int, step: Step) -> str:
        written = self._written[depth]
        if isinstance(step, int):
            if step != len(written):
                raise Malformed("a call's arguments leave a gap in a list")
            written.add(step)
            return ""
        if step in written:
            raise Malformed("a value of a call's arguments comes twice")
        written.add(step)
        return f"{_encode(step).decode()}:"


def parse_path(text: str) -> Path:
    """The steps of a JSON path that begins at an object."""
    steps: list[Step] = []
    at = 1 if text.startswith("$") else -1
    while 0 < at < len(text) and (found := _STEP.match(text, at)):
        steps.append(_step(found))
        at = found.end()
    if at != len(text) or not steps or isinstance(steps[0], int):
        raise Malformed("no path into a call's arguments")
    return tuple(steps)


def _step(found: re.Match[str]) -> Step:
    if found["index"] is not None:
        return int(found["index"])
    return found["name"] if found["quoted"] is None else _unquote(found["quoted"])


def _unquote(quoted: str) -> str:
    """A name in either kind of quotes, with the escapes of JSON and that of its own quote."""
    spelled = _NO_JSON.sub(_as_json, quoted[1:-1])
    try:
        return msgspec.json.decode(f'"{spelled}"', type=str)
    except msgspec.DecodeError as error:
        raise Malformed(error) from error


def _as_json(found: re.Match[str]) -> str:
    text = found[0]
    if len(text) == 1:
        return _encode(text).decode()[1:-1]
    return "'" if text == "\\'" else text


def _spell(value: PartialArg) -> str | None:
    """Its JSON text; None where it has no value."""
    for given in (value.string_value, value.bool_value, value.number_value):
        if given is not None:
            return _encode(given).decode()
    return None if value.null_value is UNSET else "null"


def _open(step: Step) -> str:
    return "[" if isinstance(step, int) else "{"


def _close(step: Step) -> str:
    return "]" if isinstance(step, int) else "}"

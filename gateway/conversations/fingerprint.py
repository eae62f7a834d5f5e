"""What a conversation is recognised by: a hash chain over the roles and contents of its messages.

Many a client names no conversation and resends all that was said with each turn. The chain over it is that of the
conversation which it continues (`Store.recognise`); an edit, or an answer given anew, leads to another chain.

    seed     SHA-256 of [route, user_id]
    extend   SHA-256 of the chain so far and [role, text, [part, ...]]

The arrays are JSON with sorted keys, so that different messages are different bytes. `text` is the text of all text
parts, joined as clients join it, without the white space around it. The other parts follow in their order, an answer's
calls in that of their ids, each with what every client sends back of it:

    tool_call        its id, name and arguments, as raw text where they cannot be read
    tool_result      the id of its call, output, is_error
    file, image      file_id, url, the digest of data
    input_response   everything

What a client is not shown by every dialect does not count: of an answer all but its text and the calls that are the
client's to run; reasoning, sources, data, data frames and input requests; signatures and block numbers. A message with
nothing that counts leaves the chain as it is.

Raises `UnicodeEncodeError` and `RecursionError` for what cannot be written as JSON. 1 KB of text takes 5 us.
"""

from collections.abc import Iterable
from hashlib import sha256

import msgspec

from gateway.canonical.blocks import parse_arguments
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputResponsePart,
    Part,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)

_encode = msgspec.json.Encoder(order="sorted").encode


def seed(route: str, user_id: str | None) -> bytes:
    """The chain before the first message."""
    return sha256(_encode((route, user_id))).digest()


def extend(chain: bytes, role: Role, parts: Iterable[Part]) -> bytes:
    """The chain with one message more."""
    texts: list[str] = []
    others: list[Part] = []
    resent_by = _resent_of_answers if role == "assistant" else _resent
    for part in parts:
        if isinstance(part, TextPart):
            texts.append(part.text)
        elif (resent := resent_by(part)) is not None:
            others.append(resent)
    if role == "assistant":
        others.sort(key=_call_id)
    text = "".join(texts).strip()
    if not text and not others:
        return chain
    return sha256(chain + _encode((role, text, others))).digest()


def _resent_of_answers(part: Part) -> Part | None:
    return _resent(part) if isinstance(part, ToolCallPart) and part.executor != "vendor" else None


def _call_id(part: Part) -> str:
    return part.tool_call_id if isinstance(part, ToolCallPart) else ""


def _resent(part: Part) -> Part | None:
    match part:
        case ToolCallPart(tool_call_id, name, arguments):
            spelled = arguments if part.status == "complete" else parse_arguments(part.raw_arguments or "")
            raw = part.raw_arguments if spelled is None else None
            return ToolCallPart(tool_call_id, name, spelled or {}, raw_arguments=raw)
        case ToolResultPart(tool_call_id, output, is_error):
            return ToolResultPart(tool_call_id, output, is_error)
        case FilePart(file_id, url, data):
            return FilePart(file_id, url, _digest(data))
        case ImagePart(file_id, url, data):
            return ImagePart(file_id, url, _digest(data))
        case InputResponsePart():
            return part
        case _:
            return None


def _digest(data: str | None) -> str | None:
    return None if data is None else sha256(data.encode()).hexdigest()

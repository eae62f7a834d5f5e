"""How the simulated Dimedove writes an answer: as a stream, as a document, and as it is kept in the conversation.

    event: response.output_text.delta
    data: {"type":"response.output_text.delta","delta":"Hello","output_index":0,"content_index":0}

`response.created` and `response.completed` have no `type`, as in the manual.
"""

from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from gateway.protocols.base import Pause, Send, Step
from gateway.protocols.dimedove.plays import Call, Item, Json, Play, Spec, Text, Together

encode = msgspec.json.encode


class Exchange(Struct, frozen=True):
    """The names that one answer goes by; a call's is made of its number in the play."""

    response_id: str
    conversation_id: str
    created_at: int
    call: Callable[[int], str]


class Frame(Struct, frozen=True):
    name: str
    payload: Json
    is_typed: bool = True


def stream(play: Play, exchange: Exchange) -> Iterator[Step]:
    created: Json = {"id": exchange.response_id, "object": "response", "status": "in_progress"}
    yield from framed(play, {**created, "conversation_id": exchange.conversation_id}, exchange.call)


def framed(play: Play, created: Json, call: Callable[[int], str]) -> Iterator[Step]:
    """One event a step; the answer to a completion differs in `created` alone."""
    frames = [Frame("response.created", created, is_typed=False)]
    place = 0
    for item in play.items:
        frames += _frames(item, place, call)
        place += len(item.calls) if isinstance(item, Together) else 1
    if play.ends != "cut":
        frames.append(_terminal(play, created["id"]))
    for frame in frames[:-1]:
        yield from _steps(frame, play)
    yield from _last_steps(frames[-1], play)


def _last_steps(frame: Frame, play: Play) -> Iterator[Step]:
    if play.ends == "cut":
        data = _write(frame, play.lines)
        yield Send(data[: max(place for place, byte in enumerate(data) if byte > 0x7F)])
        return
    yield from _steps(frame, play)
    if play.has_extras:
        yield Send(b"data: [DONE]\n\n")


def _steps(frame: Frame, play: Play) -> Iterator[Step]:
    if play.has_extras:
        yield Send(b": keep-alive\n\n")
    yield Send(_write(frame, play.lines))
    if play.pace and frame.name == "response.output_text.delta":
        yield Pause(play.pace)


def _write(frame: Frame, lines: str) -> bytes:
    payload = frame.payload
    if lines == "types":
        return b"data: %b\n\n" % encode({"type": frame.name, **payload})
    if lines == "documented" and frame.is_typed:
        payload = {"type": frame.name, **payload}
    return b"event: %b\ndata: %b\n\n" % (frame.name.encode(), encode(payload))


def _frames(item: Item, index: int, call: Callable[[int], str]) -> Iterator[Frame]:
    match item:
        case Text():
            yield from _text_frames(item, index)
        case Call(told="item"):
            yield _item_frame(item, index, call)
        case Call():
            yield from _call_frames((item,), index, call)
        case Together(calls):
            yield from _call_frames(calls, index, call)
        case Spec(patch):
            yield Frame("response.data_spec", {"data": patch, "output_index": index})
        case _:
            yield Frame(item.name, item.payload)


def _text_frames(text: Text, index: int) -> Iterator[Frame]:
    place = {"output_index": index, "content_index": 0}
    yield from (Frame("response.output_text.delta", {"delta": delta, **place}) for delta in text.deltas)
    if text.done != "":
        yield Frame("response.output_text.done", {"text": _whole_text(text), **place})


def _whole_text(text: Text) -> str:
    return text.done or "".join(text.deltas)


def _call_frames(calls: tuple[Call, ...], index: int, call: Callable[[int], str]) -> Iterator[Frame]:
    places = [{"call_id": call(one.number), "output_index": index + place} for place, one in enumerate(calls)]
    for one, place in zip(calls, places, strict=True):
        yield Frame("response.function_call.start", {"name": one.name, **place})
    for turn in zip(*(one.fragments for one in calls), strict=True):
        for fragment, place in zip(turn, places, strict=True):
            yield Frame("response.function_call_arguments.delta", {"delta": fragment, **place})
    for one, place in zip(calls, places, strict=True):
        whole = {"name": one.name, "arguments": one.arguments, **place}
        yield Frame("response.function_call_arguments.done", whole)
        if one.told == "both":
            yield _item_frame(one, place["output_index"], call)


def _item_frame(one: Call, index: object, call: Callable[[int], str]) -> Frame:
    return Frame("response.output_item.done", {"output_index": index, "item": _call_item(one, call)})


def _call_item(one: Call, call: Callable[[int], str]) -> Json:
    return {"type": "function_call", "name": one.name, "arguments": one.arguments, "call_id": call(one.number)}


def _terminal(play: Play, response_id: str) -> Frame:
    if play.ends == "failed":
        error = {"error": play.error} if play.error else {}
        return Frame("response.failed", {"id": response_id, "status": "failed", **error})
    return Frame("response.completed", {"id": response_id, "status": "completed"}, is_typed=False)


# --- as a document


def document(play: Play, exchange: Exchange) -> bytes:
    """The whole response; a cut one is half of it."""
    body = encode(
        {
            "id": exchange.response_id,
            "object": "response",
            "created_at": exchange.created_at,
            "conversation_id": exchange.conversation_id,
            "output": [entry for item in play.items for entry in _output(item, exchange.call)],
            "status": "failed" if play.ends == "failed" else "completed",
        }
    )
    return body[: len(body) // 2] if play.ends == "cut" else body


def _output(item: Item, call: Callable[[int], str]) -> Iterator[Json]:
    match item:
        case Text():
            content = [{"type": "text", "text": _whole_text(item)}]
            yield {"type": "message", "role": "assistant", "content": content}
        case Call():
            yield _call_item(item, call)
        case Together(calls):
            yield from (_call_item(one, call) for one in calls)
        case Spec(patch):
            yield {"type": "data_spec", "data": patch}


# --- as it is kept


def kept_parts(play: Play, call: Callable[[int], str]) -> list[Json]:
    """What the conversation shows of an answer that was completed."""
    return [part for item in play.items for part in _parts(item, call)]


def _parts(item: Item, call: Callable[[int], str]) -> Iterator[Json]:
    match item:
        case Text():
            yield {"type": "text", "text": _whole_text(item)}
        case Call():
            yield {
                "type": "tool-call",
                "toolCallId": call(item.number),
                "toolName": item.name,
                "input": _input(item.arguments),
                "output": item.output,
            }
        case Together(calls):
            for one in calls:
                yield from _parts(one, call)
        case Spec(patch):
            yield {"type": "data-spec", "data": patch}


def _input(arguments: str | None) -> Json:
    try:
        read: Json = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        return {}
    return read

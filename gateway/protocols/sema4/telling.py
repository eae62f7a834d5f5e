"""How the simulated Sema4.ai writes a run: CRLF, two event names, patches, and the message as it is stored."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from gateway.protocols.base import Pause, Send, Step
from gateway.protocols.sema4.plays import Call, Content, Fields, Play, Prose, Said, Silence

NOW = "2026-06-05T15:40:49.732328+00:00"
LATER = "2026-06-05T15:40:50+00:00"
PING = b": ping - 2026-06-05 15:41:04.732328+00:00\r\n\r\n"
ERROR = {
    "error_id": "27df921d-3079-4306-86e3-74013eda8aef",
    "code": "unexpected",
    "message": "An internal error occurred during agent execution",
}


class Names(Struct, frozen=True):
    """What a run goes by; its messages are numbered from `first_message` on."""

    run_id: str
    thread_id: str
    agent_id: str
    message_ids: tuple[str, ...]


class Taken(Struct, frozen=True):
    """A content object as it begins, what happens to it, and what it becomes."""

    begin: Fields
    patches: list[Fields]
    final: Fields


def stream(play: Play, names: Names) -> Iterator[Step]:
    """Every event is one step."""
    run = {"run_id": names.run_id, "thread_id": names.thread_id, "agent_id": names.agent_id}
    if play.ready:
        yield _event({"event_type": "agent_ready", **run}, "agent_ready")
    ids = iter(names.message_ids)
    for part in play.parts:
        match part:
            case Said():
                yield from _paced(_message_events(part, next(ids), names), play.pace)
            case Silence(seconds):
                yield from (Pause(seconds), Send(PING))
            case _:
                yield _framed(part.data, part.name, names)
    if play.ending == "error":
        yield _event({"event_type": "agent_error", **run, "error": ERROR, "context": {}})
    elif play.ending == "old-error":
        yield _event(
            {"event_type": "agent_error", **run, "error_message": ERROR["message"], "error_stack_trace": "File a.py"}
        )
    if play.ending != "cut":
        yield _event({"event_type": "agent_finished", **run})


def stored(play: Play, names: Names) -> list[Fields]:
    """The messages of a run as the vendor keeps them."""
    said = [part for part in play.parts if isinstance(part, Said)]
    return [_final(part, message_id, names) for part, message_id in zip(said, names.message_ids, strict=True)]


def encode(value: object) -> bytes:
    return msgspec.json.encode(value)


def _paced(events: Iterator[Fields], pace: float) -> Iterator[Step]:
    for event in events:
        yield _event(event)
        if pace and event.get("delta", {}).get("op") == "concat_string":
            yield Pause(pace)


def _event(fields: Fields, name: str = "agent_event") -> Send:
    return Send(b"event: %b\r\ndata: %b\r\n\r\n" % (name.encode(), encode({"timestamp": NOW, **fields})))


def _framed(data: Any, name: str | None, names: Names) -> Send:
    if isinstance(data, dict) and "event_type" in data:
        known = {"thread_id": names.thread_id, "agent_id": names.agent_id}
        return _event({**data, **{field: value for field, value in known.items() if field in data}})
    line = data.encode() if isinstance(data, str) else encode(data)
    return Send((b"" if name is None else b"event: %b\r\n" % name.encode()) + b"data: %b\r\n\r\n" % line)


def _message_events(said: Said, message_id: str, names: Names) -> Iterator[Fields]:
    about = {"message_id": message_id, "thread_id": names.thread_id, "agent_id": names.agent_id}
    yield {"event_type": "message_begin", "sequence_number": 0, **about, "data": {}}
    number = 0
    for number, delta in enumerate(_patches(said, message_id, names), 1):
        yield {"event_type": "message_content", "sequence_number": number, "message_id": message_id, "delta": delta}
    if said.ends:
        final = {**_final(said, message_id, names), "updated_at": LATER}
        yield {"event_type": "message_end", "sequence_number": number + 1, **about, "data": final}


def _patches(said: Said, message_id: str, names: Names) -> Iterator[Fields]:
    first, *others = (_take(content, f"{message_id}-{n}", n) for n, content in enumerate(said.contents))
    yield _add("/message_id", message_id)
    yield _add("/role", "agent")
    yield _add("/content", [first.begin])
    yield _add("/created_at", NOW)
    yield _add("/agent_metadata", {})
    yield _add("/server_metadata", {})
    yield _add("/parent_run_id", names.run_id)
    yield _add("/complete", value=False)
    yield from first.patches
    for place, taken in enumerate(others, 1):
        yield _add(f"/content/{place}", taken.begin)
        yield from taken.patches
    if said.ends:
        yield {"op": "replace", "path": "/complete", "value": True}


def _add(path: str, value: Any) -> Fields:
    return {"op": "add", "path": path, "value": value}


def _take(content: Content, content_id: str, place: int) -> Taken:
    base = {"content_id": content_id, "complete": False}
    match content:
        case Prose():
            return _take_prose(content, base, place)
        case Call():
            return _take_call(content, base, place)
        case _:
            begin = {**base, **content.begin}
            own = [_below(place, patch) for patch in content.patches]
            return Taken(begin, own, _folded(begin, content.patches))


def _take_prose(prose: Prose, base: Fields, place: int) -> Taken:
    field = "thought" if prose.kind == "thought" else "text"
    beside: Fields = {"extras": {}} if field == "thought" else {"citations": []}
    begin = {**base, "kind": prose.kind, field: prose.pieces[0], **beside}
    patches: list[Fields] = [{"op": "concat_string", "path": f"/{field}", "value": piece} for piece in prose.pieces[1:]]
    if not prose.late:
        patches += [{"op": "add", "path": "/citations/-", "value": citation} for citation in prose.citations]
    patches.append({"op": "replace", "path": "/complete", "value": True})
    if field == "text":
        beside = {"citations": list(prose.citations)}
    final = {**begin, field: "".join(prose.pieces), **beside, "complete": True}
    return Taken(begin, [_below(place, patch) for patch in patches], final)


def _take_call(call: Call, base: Fields, place: int) -> Taken:
    begin = {
        **base,
        "kind": "tool_call",
        "name": call.name,
        "tool_call_id": f"call_{base['content_id'][-6:]}",
        "arguments_raw": call.arguments[0],
        "sub_type": call.sub_type,
        "status": "streaming",
        "result": None,
        "error": None,
        "started_at": None,
        "ended_at": None,
        "action_server_run_id": None,
        "metadata": {},
    }
    became: Fields = {"complete": True, "status": "running", "started_at": LATER}
    if call.error is not None:
        became |= {"error": call.error, "status": "failed", "ended_at": LATER}
    else:
        became |= {"result": call.result, "status": "finished", "ended_at": LATER}
    patches = [{"op": "concat_string", "path": "/arguments_raw", "value": piece} for piece in call.arguments[1:]]
    patches += [_replace("complete", value=True), _replace("status", "running"), _replace("started_at", LATER)]
    last = [name for name in ("result", "error", "status", "ended_at") if name in became and became[name] != "running"]
    patches += [_replace(name, became[name]) for name in last]
    final = {**begin, "arguments_raw": "".join(call.arguments), **became}
    return Taken(begin, [_below(place, patch) for patch in patches], final)


def _replace(field: str, value: Any) -> Fields:
    return {"op": "replace", "path": f"/{field}", "value": value}


def _below(place: int, patch: Fields) -> Fields:
    """A content object's own patch, as one of the message."""
    return {name: f"/content/{place}{value}" if name in {"path", "from_"} else value for name, value in patch.items()}


def _folded(begin: Fields, patches: tuple[Fields, ...]) -> Fields:
    """What the plays' own patches come to: one level deep, and lists that only grow."""
    final = dict(begin)
    for patch in patches:
        name, _, place = patch["path"].removeprefix("/").partition("/")
        match patch["op"]:
            case "concat_string" | "inc":
                final[name] = final[name] + patch["value"]
            case "add" if place:
                final[name] = [*final[name], patch["value"]]
            case "add" | "replace":
                final[name] = patch["value"]
            case "copy":
                final[name] = final[patch["from_"].removeprefix("/")]
            case "move":
                final[name] = final.pop(patch["from_"].removeprefix("/"))
            case "remove":
                del final[name]
    return final


def _final(said: Said, message_id: str, names: Names) -> Fields:
    metadata: Fields = {}
    if said.tokens is not None:
        into, out = said.tokens
        usage = {"input_tokens": into, "output_tokens": out, "total_tokens": into + out}
        used = {"platform": "openai", "model": "gpt-5-mini", "call_type": "chat", "usage": usage}
        metadata = {"total_usage": usage, "models": [used]}
    return {
        "message_id": message_id,
        "role": "agent",
        "content": [_take(content, f"{message_id}-{n}", n).final for n, content in enumerate(said.contents)],
        "created_at": NOW,
        "updated_at": NOW,
        "agent_metadata": metadata,
        "server_metadata": {},
        "parent_run_id": names.run_id,
        "complete": True,
        "commited": False,
    }

"""How the simulated server writes what it plays: frame by frame, or as one document. See `plays.py`."""

from collections.abc import Iterator, Sequence
from itertools import zip_longest

import msgspec

from gateway.protocols.base import Pause, Send, Step
from gateway.protocols.openai_responses.plays import (
    Call,
    Custom,
    Frame,
    Hosted,
    Mcp,
    Piece,
    Play,
    Raw,
    Reasoning,
    Text,
    Together,
)

CREATED_AT = 4102444800
"""Unix seconds: the year 2100."""

USAGE: Frame = {
    "input_tokens": 20,
    "input_tokens_details": {"cached_tokens": 8, "cache_write_tokens": 2},
    "output_tokens": 12,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 32,
}

PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
    "mcp_call": "mcp",
    "mcp_approval_request": "mcpr",
    "web_search_call": "ws",
    "code_interpreter_call": "ci",
    "image_generation_call": "ig",
}

_encode = msgspec.json.encode


class Writing:
    """One answer on its way out; `settings` are the fields of the request that its response repeats."""

    def __init__(self, play: Play, number: int, settings: Frame) -> None:
        self._play = play
        self._number = number
        self._settings = settings
        self._fresh = 0
        self._items = 0
        self._output: dict[int, Frame] = {}

    def steps(self) -> Iterator[Step]:
        is_bare = self._play.style == "bare"
        for sequence, frame in enumerate(self._frames()):
            data = _encode(frame if is_bare else {**frame, "sequence_number": sequence})
            name = b": PROCESSING\n\n" if is_bare else b"event: %b\n" % frame["type"].encode()
            yield Send(b"%bdata: %b\n\n" % (name, data))
            if self._play.pace and frame["type"] == "response.output_text.delta":
                yield Pause(self._play.pace)
        if is_bare:
            yield Send(b"data: [DONE]\n\n")

    def document(self) -> Frame:
        for _ in self._frames():
            """Only the output counts."""
        return self._response(self._play.status)

    def _frames(self) -> Iterator[Frame]:
        yield {"type": "response.created", "response": self._response("in_progress")}
        yield {"type": "response.in_progress", "response": self._response("in_progress")}
        for piece in self._play.pieces:
            yield from self._piece(piece)
        if self._play.ends:
            status = self._play.status
            kind = status if status in {"failed", "incomplete"} else "completed"
            yield {"type": f"response.{kind}", "response": self._response(status)}

    def _response(self, status: str) -> Frame:
        has_ended = status != "in_progress"
        reason = self._play.incomplete_reason if has_ended else None
        return {
            **self._settings,
            "id": self._id("resp", str(self._number)),
            "object": "response",
            "created_at": CREATED_AT,
            "status": status,
            "error": self._play.fault if has_ended else None,
            "incomplete_details": {"reason": reason} if reason else None,
            "output": [self._output[index] for index in sorted(self._output)] if has_ended else [],
            "usage": USAGE if status in {"completed", "incomplete"} else None,
        }

    def _id(self, prefix: str, name: str) -> str:
        """Of one thing the same, or another one in every frame."""
        if self._play.style != "rotating":
            return f"{prefix}_{name}"
        self._fresh += 1
        return f"capture-{self._fresh}"

    # Items.

    def _piece(self, piece: Piece) -> Iterator[Frame]:
        match piece:
            case Raw(frame):
                yield frame
            case Call():
                yield from self._calls((piece,))
            case Together(first, second):
                yield from self._calls((first, second))
            case Custom(name, deltas):
                item = {"call_id": f"call_{self._number}_{self._items}", "name": name, "input": "".join(deltas)}
                yield from self._grown({"type": "custom_tool_call", **item}, "input", "custom_tool_call_input", deltas)
            case Mcp():
                yield from self._grown(_mcp(piece), "arguments", "mcp_call_arguments", piece.fragments)
            case Hosted(begun, ended, progress):
                index = self._next()
                yield self._added(index, begun)
                yield from (self._at(index, ended, frame) for frame in progress)
                yield self._done(index, ended)
            case Reasoning(parts):
                yield from self._reasoning(parts)
            case Text(deltas, annotations, status):
                part = {
                    "type": "output_text",
                    "text": "".join(deltas),
                    "annotations": list(annotations),
                    "logprobs": [],
                }
                yield from self._message(part, "text", "output_text", deltas, status)
            case _:
                part = {"type": "refusal", "refusal": "".join(piece.deltas)}
                yield from self._message(part, "refusal", "refusal", piece.deltas, "completed")

    def _next(self) -> int:
        self._items += 1
        return self._items - 1

    def _named(self, index: int, item: Frame) -> Frame:
        prefix = PREFIXES.get(item["type"], "item")
        return {"id": self._id(prefix, f"{self._number}_{index}"), **item}

    def _added(self, index: int, item: Frame) -> Frame:
        return {"type": "response.output_item.added", "output_index": index, "item": self._named(index, item)}

    def _done(self, index: int, item: Frame) -> Frame:
        self._output[index] = self._named(index, item)
        return {"type": "response.output_item.done", "output_index": index, "item": self._named(index, item)}

    def _at(self, index: int, item: Frame, frame: Frame) -> Frame:
        return {**frame, "output_index": index, "item_id": self._named(index, item)["id"]}

    def _deltas(self, deltas: Sequence[str]) -> Sequence[str]:
        return () if self._play.style == "no-deltas" else deltas

    def _calls(self, calls: Sequence[Call]) -> Iterator[Frame]:
        """Their arguments in turns; the last one ends first."""
        items = [(self._next(), call) for call in calls]
        whole = {index: _call(call, f"call_{self._number}_{index}") for index, call in items}
        kind = "response.function_call_arguments"
        for index, item in whole.items():
            yield self._added(index, {**item, "arguments": "", "status": "in_progress"})
        for turn in zip_longest(*(self._deltas(call.fragments) for call in calls)):
            for (index, _), delta in zip(items, turn, strict=True):
                if delta is not None:
                    yield self._at(index, whole[index], {"type": f"{kind}.delta", "delta": delta})
        for index, call in reversed(items):
            if call.status == "completed":
                done = {"type": f"{kind}.done", "arguments": whole[index]["arguments"]}
                yield self._at(index, whole[index], done)
            yield self._done(index, whole[index])

    def _grown(self, item: Frame, field: str, kind: str, deltas: Sequence[str]) -> Iterator[Frame]:
        index = self._next()
        empty = {"output": None, "error": None} if "output" in item else {}
        yield self._added(index, {**item, **empty, field: "", "status": "in_progress"})
        for delta in self._deltas(deltas):
            yield self._at(index, item, {"type": f"response.{kind}.delta", "delta": delta})
        yield self._at(index, item, {"type": f"response.{kind}.done", field: item[field]})
        yield self._done(index, item)

    def _reasoning(self, parts: Sequence[str]) -> Iterator[Frame]:
        index = self._next()
        kind = "response.reasoning_summary"
        summary = [{"type": "summary_text", "text": text} for text in parts]
        begun: Frame = {"type": "reasoning", "summary": []}
        yield self._added(index, begun)
        for number, part in enumerate(summary):
            here = {"summary_index": number}
            yield self._at(index, begun, {"type": f"{kind}_part.added", **here, "part": {**part, "text": ""}})
            yield self._at(index, begun, {"type": f"{kind}_text.delta", **here, "delta": part["text"]})
            yield self._at(index, begun, {"type": f"{kind}_text.done", **here, "text": part["text"]})
            yield self._at(index, begun, {"type": f"{kind}_part.done", **here, "part": part})
        wants = "reasoning.encrypted_content" in self._settings["include"]
        sealed = f"sealed-{self._number}-{index}" if wants else None
        yield self._done(index, {**begun, "summary": summary, "encrypted_content": sealed})

    def _message(self, part: Frame, field: str, kind: str, deltas: Sequence[str], status: str) -> Iterator[Frame]:
        index = self._next()
        item: Frame = {"type": "message", "role": "assistant", "status": "completed", "content": [part]}
        empty = {**part, field: "", **({"annotations": []} if field == "text" else {})}
        yield self._added(index, {**item, "status": "in_progress", "content": []})
        here = {"content_index": 0}
        yield self._at(index, item, {"type": "response.content_part.added", **here, "part": empty})
        for delta in self._deltas(deltas):
            yield self._at(index, item, {"type": f"response.{kind}.delta", **here, "delta": delta})
        for number, annotation in enumerate(part.get("annotations", ())):
            told = {"annotation": annotation, "annotation_index": number}
            yield self._at(index, item, {"type": "response.output_text.annotation.added", **here, **told})
        if status == "completed":
            yield self._at(index, item, {"type": f"response.{kind}.done", **here, field: part[field]})
            yield self._at(index, item, {"type": "response.content_part.done", **here, "part": part})
            yield self._done(index, item)


def _call(call: Call, call_id: str) -> Frame:
    return {
        "type": "function_call",
        "call_id": call_id,
        "name": call.name,
        "arguments": "".join(call.fragments),
        "status": call.status,
    }


def _mcp(piece: Mcp) -> Frame:
    return {
        "type": "mcp_call",
        "server_label": "disk",
        "name": piece.name,
        "arguments": "".join(piece.fragments),
        "output": piece.output,
        "error": {"type": "mcp_tool_execution_error", "content": piece.error} if piece.error else None,
        "status": "failed" if piece.error else "completed",
    }

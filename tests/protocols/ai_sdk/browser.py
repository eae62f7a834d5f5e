"""A client of the AI SDK, as strict as the oldest patches: folds a stream into the UI message that its user sees.

Told after `ui-message-chunks.ts` and `process-ui-message-stream.ts` of ai 5.0.150 (a chunk may have no unknown field),
5.0.277, 6.0.326 and 7.0.173, and compared with them by hand on 2026-11-21. `Broken` is where they would give up.
"""

import json
from typing import Any

from gateway.framing.sse import SseDecoder
from gateway.protocols.ai_sdk.wire import DONE

Chunk = dict[str, Any]

CALL = {"toolCallId"}
MARKS = {"providerExecuted", "dynamic"}
FIELDS: dict[str, tuple[set[str], set[str]]] = {
    "start": (set(), {"messageId", "messageMetadata"}),
    "message-metadata": ({"messageMetadata"}, set()),
    "finish": (set(), {"finishReason", "messageMetadata"}),
    "abort": (set(), set()),
    "error": ({"errorText"}, set()),
    "start-step": (set(), set()),
    "finish-step": (set(), set()),
    "text-start": ({"id"}, {"providerMetadata"}),
    "text-delta": ({"id", "delta"}, {"providerMetadata"}),
    "text-end": ({"id"}, {"providerMetadata"}),
    "reasoning-start": ({"id"}, {"providerMetadata"}),
    "reasoning-delta": ({"id", "delta"}, {"providerMetadata"}),
    "reasoning-end": ({"id"}, {"providerMetadata"}),
    "tool-input-start": (CALL | {"toolName"}, MARKS),
    "tool-input-delta": (CALL | {"inputTextDelta"}, set()),
    "tool-input-available": (CALL | {"toolName", "input"}, MARKS),
    "tool-output-available": (CALL | {"output"}, MARKS),
    "tool-output-error": (CALL | {"errorText"}, MARKS),
    "source-url": ({"sourceId", "url"}, {"title", "providerMetadata"}),
    "source-document": ({"sourceId", "mediaType", "title"}, {"filename", "providerMetadata"}),
    "file": ({"url", "mediaType"}, {"providerMetadata"}),
}
SINCE_6: dict[str, tuple[set[str], set[str]]] = {"tool-approval-request": (CALL | {"approvalId"}, set())}
SINCE_7: dict[str, tuple[set[str], set[str]]] = {
    "tool-approval-request": (CALL | {"approvalId"}, {"reason"}),
    "reset-step": (set(), set()),
}
OF_DATA: tuple[set[str], set[str]] = ({"data"}, {"transient", "id"})
ANYTHING = {"input", "output", "data", "messageMetadata", "providerMetadata"}
REASONS = {"stop", "length", "content-filter", "tool-calls", "error", "other"}


class Broken(Exception):
    """The client shows an error, or nothing."""


class Browser:
    def __init__(self, version: int, goes_on_with: Chunk | None = None) -> None:
        self._version = version
        self._fields: dict[str, tuple[set[str], set[str]]] = {**FIELDS}
        self._fields.update(SINCE_6 if version == 6 else SINCE_7 if version == 7 else {})
        self.message: Chunk = goes_on_with or {"id": "random", "role": "assistant", "parts": []}
        self.error: str | None = None
        self.finish: str | None = None
        self.was_aborted = False
        self.is_done = False
        self.ran: list[str] = []
        """The ids of the calls that the application was given to run."""
        self._open: dict[tuple[str, str], Chunk] = {}

    @property
    def parts(self) -> list[Chunk]:
        parts: list[Chunk] = self.message["parts"]
        return parts

    def read(self, data: bytes) -> "Browser":
        for record in SseDecoder().feed(data):
            if record.data == DONE:
                self.is_done = True
            elif self.error is None:
                _require(not self.is_done, "a chunk behind the end")
                self._take(json.loads(record.data))
        return self

    def posts_again(self) -> bool:
        """`lastAssistantMessageIsCompleteWithToolCalls`."""
        if self.error is not None:
            return False
        tools = [part for part in self._step() if _is_tool(part) and not part.get("providerExecuted")]
        return bool(tools) and all(part["state"] in {"output-available", "output-error"} for part in tools)

    def _take(self, chunk: Chunk) -> None:
        kind = chunk["type"]
        if kind.startswith("data-"):
            _check(chunk, OF_DATA)
            if not chunk.get("transient"):
                self.parts.append(chunk)
            return
        _require(kind in self._fields, f"no chunk {kind}")
        _check(chunk, self._fields[kind])
        kind, _, verb = kind.rpartition("-")
        take = getattr(self, f"_take_{chunk['type'].replace('-', '_')}", None)
        if take is not None:
            take(chunk)
        elif kind in {"text", "reasoning"}:
            self._take_prose(kind, verb, chunk)
        else:
            self.parts.append(chunk)

    def _take_start(self, chunk: Chunk) -> None:
        self.message["id"] = chunk.get("messageId", self.message["id"])
        self._merge(chunk)

    def _take_message_metadata(self, chunk: Chunk) -> None:
        self._merge(chunk)

    def _take_finish(self, chunk: Chunk) -> None:
        self.finish = chunk["finishReason"]
        _require(self.finish in REASONS, f"no reason {self.finish}")
        self._merge(chunk)

    def _merge(self, chunk: Chunk) -> None:
        self.message["metadata"] = {**self.message.get("metadata", {}), **chunk.get("messageMetadata", {})}

    def _take_abort(self, _: Chunk) -> None:
        self.was_aborted = True

    def _take_error(self, chunk: Chunk) -> None:
        self.error = chunk["errorText"]

    def _take_start_step(self, _: Chunk) -> None:
        self.parts.append({"type": "step-start"})

    def _take_finish_step(self, _: Chunk) -> None:
        if self._version == 5:
            self._open = {}

    def _take_reset_step(self, _: Chunk) -> None:
        self._open = {}
        del self.parts[len(self.parts) - len(self._step()) :]

    def _take_prose(self, kind: str, verb: str, chunk: Chunk) -> None:
        key = (kind, chunk["id"])
        if verb == "start":
            _require(key not in self._open, "a part that is open begins")
            self._open[key] = {"type": kind, "text": "", "state": "streaming"}
            if "providerMetadata" in chunk:
                self._open[key]["providerMetadata"] = chunk["providerMetadata"]
            self.parts.append(self._open[key])
            return
        _require(key in self._open, f"{verb} of a part that is not open")
        if verb == "delta":
            self._open[key]["text"] += chunk["delta"]
        else:
            self._open.pop(key)["state"] = "done"

    def _take_tool_input_start(self, chunk: Chunk) -> None:
        self._update(chunk, "input-streaming")

    def _take_tool_input_delta(self, chunk: Chunk) -> None:
        part = self._tool(chunk)
        _require(part["state"] == "input-streaming", "a delta of a whole input")
        part["rawInput"] = part.get("rawInput", "") + chunk["inputTextDelta"]
        part["input"] = {}

    def _take_tool_input_available(self, chunk: Chunk) -> None:
        part = self._update(chunk, "input-available")
        part["input"] = chunk["input"]
        part.pop("rawInput", None)
        if not chunk.get("providerExecuted"):
            self.ran.append(chunk["toolCallId"])

    def _take_tool_output_available(self, chunk: Chunk) -> None:
        part = self._tool(chunk)
        part.update(state="output-available", output=chunk["output"])

    def _take_tool_output_error(self, chunk: Chunk) -> None:
        part = self._tool(chunk)
        part.update(state="output-error", errorText=chunk["errorText"])

    def _take_tool_approval_request(self, chunk: Chunk) -> None:
        part = self._tool(chunk)
        _require(part["state"] == "input-available", "an approval of no whole input")
        part.update(state="approval-requested", approval={"id": chunk["approvalId"]})

    def _update(self, chunk: Chunk, state: str) -> Chunk:
        """Only a part of the same kind in the last step is the same; any other is doubled."""
        name, is_dynamic = chunk["toolName"], chunk.get("dynamic", False)
        kind = "dynamic-tool" if is_dynamic else f"tool-{name}"
        known = [part for part in self.parts if part.get("toolCallId") == chunk["toolCallId"]]
        if known:
            _require(known[0]["type"] == kind and known[0] in self._step(), "a call that is told twice")
            known[0]["state"] = state
            return known[0]
        part: Chunk = {"type": kind, "toolCallId": chunk["toolCallId"], "state": state}
        if is_dynamic:
            part["toolName"] = name
        if chunk.get("providerExecuted"):
            part["providerExecuted"] = True
        self.parts.append(part)
        return part

    def _tool(self, chunk: Chunk) -> Chunk:
        for part in self.parts:
            if part.get("toolCallId") == chunk["toolCallId"]:
                is_dynamic = part["type"] == "dynamic-tool"
                _require("dynamic" not in chunk or is_dynamic, "a dynamic result of a typed call")
                _require(self._version > 5 or is_dynamic or not chunk.get("dynamic"), "a part of another kind")
                return part
        raise Broken("a chunk of no call")

    def _step(self) -> list[Chunk]:
        starts = [number for number, part in enumerate(self.parts) if part["type"] == "step-start"]
        return self.parts[starts[-1] + 1 :] if starts else list(self.parts)


def _check(chunk: Chunk, fields: tuple[set[str], set[str]]) -> None:
    needed, optional = fields
    names = chunk.keys() - {"type"}
    _require(needed <= names, f"{chunk['type']} without {needed - names}")
    _require(names <= needed | optional, f"{chunk['type']} with {names - needed - optional}")
    for name in names - ANYTHING:
        _require(isinstance(chunk[name], bool if name in {*MARKS, "transient"} else str), f"{name} of another type")
    for name in names & {"messageMetadata", "providerMetadata"}:
        _require(isinstance(chunk[name], dict), f"{name} is no object")


def _is_tool(part: Chunk) -> bool:
    kind: str = part["type"]
    return kind == "dynamic-tool" or kind.startswith("tool-")


def _require(fact: bool, problem: str) -> None:  # noqa: FBT001  (an assertion's own shape)
    if not fact:
        raise Broken(problem)

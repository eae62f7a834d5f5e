"""A turn with all that was said before it, as the list of UI messages that a client of the AI SDK would post.

    Transcript(turn, chat).messages     [UiMessage, ...]
    Transcript(turn, chat).calls        tool call id -> name, of what was said before

One UI message holds an answer with the results of its tools, whoever ran them, what the person approved, and what was
answered to that: `step-start` stands between the pieces. What the vendor itself put there goes back as it came, told
by its seal (a part's signature, which another vendor's parts have lost on the way); calls that the client answered
are dynamic tools; all else that other vendors' tools did, and calls that nobody answered, are text. Reasoning and
sources go back as well; data frames do not. Ids of messages are counted, so that they are the same with each turn.

Source: ai 7.0.173, `ui-messages.ts` and `convert-to-model-messages.ts`, read 2026-11.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from gateway.canonical.history import GO_ON
from gateway.canonical.message import (
    DataPart,
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    Part,
    ReasoningPart,
    SourcePart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.one_text import cannot_take, mention, spoken
from gateway.canonical.turn import HistoryMessage, Turn
from gateway.framing.typed import UNREADABLE
from gateway.protocols.ai_sdk import wire

_encode = msgspec.json.encode
_decode_seal = msgspec.json.Decoder(wire.Seal).decode

STEP = wire.UiPart(type="step-start")
IMAGE, BINARY = "image/*", "application/octet-stream"
"""What a file is called whose type nobody told: the protocol needs one."""


def seal(own: wire.Seal) -> str:
    return _encode(own).decode()


def unseal(signature: str | None) -> wire.Seal | None:
    """None for what is no seal of ours."""
    if signature is None:
        return None
    try:
        return _decode_seal(signature)
    except UNREADABLE:
        return None


def as_text(output: Any) -> str:
    """A tool's output, where the protocol has a text for it."""
    return output if isinstance(output, str) else _encode(output).decode()


class Transcript:
    def __init__(self, turn: Turn, chat: str) -> None:
        """Raises `unsupported` for a file of the turn's that cannot be told."""
        for number, part in enumerate(turn.parts):
            if isinstance(part, (ImagePart, FilePart)) and _file(part) is None:
                raise cannot_take("the vendor", "files by id", f"$.content[{number}]")
        self._chat = chat
        self._first = 2 * turn.left_out
        said = [*turn.missed, HistoryMessage("user", list(turn.parts))]
        if turn.partial:
            said += [HistoryMessage("assistant", [TextPart(turn.partial)]), HistoryMessage("user", [TextPart(GO_ON)])]
        self._collect(said)
        self.messages: list[wire.UiMessage] = []
        for message in said:
            self._tell(message)

    def _collect(self, said: Sequence[HistoryMessage]) -> None:
        self.calls: dict[str, str] = {}
        self._results: dict[str, ToolResultPart] = {}
        self._run_by_vendor: set[str] = set()
        self._approvals: dict[str, InputPart] = {}
        """By the id of the tool call that is to be approved."""
        self._responses: dict[str, InputResponsePart] = {}
        self._told: set[str] = set()
        """Results and responses that stand in their calls: the calls' ids and the requests'."""
        for message in said:
            for part in message.parts:
                match part:
                    case ToolCallPart():
                        self.calls[part.tool_call_id] = part.name
                    case ToolResultPart():
                        self._results.setdefault(part.tool_call_id, part)
                        if message.role == "assistant":
                            self._run_by_vendor.add(part.tool_call_id)
                    case InputPart(kind="approval", tool_call_id=str(call_id)):
                        self._approvals[call_id] = part
                    case InputResponsePart():
                        self._responses[part.request_id] = part

    def _tell(self, message: HistoryMessage) -> None:
        if message.role == "assistant":
            self._add("assistant", [told for part in message.parts for told in self._of_the_vendor(part)])
        elif message.role == "system":
            self._add("system", [told for part in message.parts for told in _text(spoken(part))])
        else:
            self._add("user", [told for part in message.parts for told in self._of_the_client(part)])

    def _add(self, role: str, parts: list[wire.UiPart]) -> None:
        if not parts:
            return
        if role == "assistant" and self.messages and self.messages[-1].role == role:
            self.messages[-1].parts.extend([STEP, *parts])
            return
        number = self._first + len(self.messages)
        self.messages.append(wire.UiMessage(id=f"{self._chat}-{number}", role=role, parts=parts))

    def _of_the_vendor(self, part: Part) -> Iterator[wire.UiPart]:
        match part:
            case TextPart() if part.text:
                yield wire.UiPart(type="text", text=part.text, state="done", provider_metadata=_metadata(part))
            case ReasoningPart():
                yield wire.UiPart(type="reasoning", text=part.text, state="done", provider_metadata=_metadata(part))
            case ToolCallPart():
                yield from self._call(part)
            case ToolResultPart() if part.tool_call_id in self._told:
                return
            case InputPart() if part.request_id in self._told:
                return
            case SourcePart(url=str(url)):
                yield wire.UiPart(type="source-url", source_id=part.source_id, url=url, title=part.title)
            case SourcePart():
                title = part.title or part.source_id
                yield wire.UiPart(type="source-document", source_id=part.source_id, media_type=BINARY, title=title)
            case DataPart():
                yield wire.UiPart(type=wire.DATA + part.name, data=part.value)
            case ImagePart() | FilePart():
                yield from _file_or_mention(part)
            case _:
                yield from _text(mention(part))

    def _call(self, part: ToolCallPart) -> Iterator[wire.UiPart]:
        own = unseal(part.signature)
        result = self._results.get(part.tool_call_id)
        asked = self._approvals.get(part.tool_call_id)
        response = None if asked is None else self._responses.get(asked.request_id)
        is_anothers = own is None and (part.executor == "vendor" or part.tool_call_id in self._run_by_vendor)
        if part.status != "complete" or is_anothers or (result is None and response is None):
            yield from _text(mention(part))
            return
        self._told.add(part.tool_call_id)
        if asked is not None and response is not None:
            self._told.add(asked.request_id)
        yield _tool_part(part, own or wire.Seal(dynamic=True), result, response)

    def _of_the_client(self, part: Part) -> Iterator[wire.UiPart]:
        match part:
            case ToolResultPart() if part.tool_call_id in self._told:
                return
            case InputResponsePart() if part.request_id in self._told:
                return
            case TextPart() | InputResponsePart():
                yield from _text(spoken(part))
            case ImagePart() | FilePart():
                yield from _file_or_mention(part)
            case _:
                yield from _text(mention(part))


def _tool_part(
    call: ToolCallPart, own: wire.Seal, result: ToolResultPart | None, response: InputResponsePart | None
) -> wire.UiPart:
    is_denied = response is not None and response.approved is False
    if result is None:
        state = "approval-responded"
    elif is_denied:
        state = "output-denied"
    else:
        state = "output-error" if result.is_error else "output-available"
    is_dynamic = own.dynamic
    return wire.UiPart(
        type=wire.DYNAMIC_TOOL if is_dynamic else wire.TOOL + call.name,
        tool_name=call.name if is_dynamic else None,
        tool_call_id=call.tool_call_id,
        state=state,
        input=call.arguments,
        output=result.output if result is not None and state == "output-available" else UNSET,
        error_text=as_text(result.output) if result is not None and state == "output-error" else None,
        approval=None if response is None else _approval(response),
        provider_executed=own.by_provider or None,
        call_provider_metadata=own.metadata,
    )


def _approval(response: InputResponsePart) -> wire.Approval:
    return wire.Approval(id=response.request_id, approved=response.approved is not False, reason=response.text)


def _text(text: str) -> Iterator[wire.UiPart]:
    if text:
        yield wire.UiPart(type="text", text=text)


def _metadata(part: TextPart | ReasoningPart) -> wire.Metadata | None:
    own = unseal(part.signature)
    return None if own is None else own.metadata


def _file_or_mention(part: ImagePart | FilePart) -> Iterator[wire.UiPart]:
    told = _file(part)
    if told is None:
        yield from _text(mention(part))
    else:
        yield told


def _file(part: ImagePart | FilePart) -> wire.UiPart | None:
    """None for one that only another vendor has."""
    media_type = part.media_type or (IMAGE if isinstance(part, ImagePart) else BINARY)
    url = part.url or (f"data:{media_type};base64,{part.data}" if part.data else None)
    if url is None:
        return None
    return wire.UiPart(type="file", media_type=media_type, filename=part.name, url=url)

"""What was said, as the `input` of a request to a server of OpenAI's Responses, whole each time.

    text                   {"role", "content"}; an answer's `phase` is the signature of its text
    image, file            input_image, input_file, in a user's content
    reasoning              an item with the encrypted content that its signature holds; else left out
    tool call, result      function_call, function_call_output by `call_id`; other calls as their signature has them
    answer to an approval  the mcp_approval_request that it answers, and mcp_approval_response

A reasoning that nothing of the vendor's follows would be refused, and is left out.
Source: openai 3.52.0 `types/responses/response_input_item_param.py`; read 2026-11.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard

import msgspec

from gateway.canonical.history import Spoken, dialogue
from gateway.canonical.message import (
    FilePart,
    ImagePart,
    InputPart,
    InputResponsePart,
    Part,
    ReasoningPart,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.one_text import spoken
from gateway.canonical.turn import HistoryMessage, Turn
from gateway.framing.typed import UNREADABLE
from gateway.protocols.openai_responses import wire_items

VENDOR = "openai responses"

Item = dict[str, Any]

PHASES = frozenset({"commentary", "final_answer"})

APPROVAL = frozenset({"server_label", "name", "arguments"})
"""The fields of an input request that was an approval of this vendor's."""

CONTENT_TYPES = frozenset({"input_text", "input_image", "input_file"})

_encode = msgspec.json.encode


def items(turn: Turn) -> list[Item]:
    return _InputWriter(turn).written()


class _InputWriter:
    def __init__(self, turn: Turn) -> None:
        self._approvals = _answered_approvals(turn)
        """The approvals of this vendor's that were answered, by id."""
        self._own_items: dict[str, str] = {}
        """The types of calls that go back as they came, by id."""
        missed = [HistoryMessage(said.role, [self._unasked(part) for part in said.parts]) for said in turn.missed]
        self._dialogue = dialogue(msgspec.structs.replace(turn, missed=missed))

    def written(self) -> list[Item]:
        said = [item for message in self._dialogue for item in self._message(message)]
        return [item for number, item in enumerate(said) if not _is_idle_reasoning(said, number)]

    def _unasked(self, part: Part) -> Part:
        """An approval that goes back as an item is not told as a text too."""
        if isinstance(part, InputPart) and part.request_id in self._approvals:
            return msgspec.structs.replace(part, prompt=None)
        return part

    def _message(self, message: Spoken) -> Iterator[Item]:
        match message.role:
            case "assistant":
                for part in message.parts:
                    yield from self._of_an_answer(part)
            case "tool":
                yield from (self._result(part) for part in message.parts if isinstance(part, ToolResultPart))
            case role:
                yield from self._of_the_client(role, message.parts)

    def _of_an_answer(self, part: Part) -> Iterator[Item]:
        match part:
            case TextPart(text=text, signature=phase):
                yield {"role": "assistant", "content": text, **({"phase": phase} if phase in PHASES else {})}
            case ReasoningPart(signature=str(signature)):
                yield from _reasoning(part.text, signature)
            case ToolCallPart():
                yield self._call(part)

    def _call(self, part: ToolCallPart) -> Item:
        own = own_item(part.signature)
        if own is not None and own["call_id"] == part.tool_call_id:
            self._own_items[part.tool_call_id] = own["type"]
            return own
        return {
            "type": "function_call",
            "call_id": part.tool_call_id,
            "name": part.name,
            "arguments": _encode(part.arguments).decode(),
        }

    def _result(self, part: ToolResultPart) -> Item:
        call = part.tool_call_id
        match self._own_items.get(call, "function_call"):
            case "local_shell_call":
                return {"type": "local_shell_call_output", "id": call, "output": _as_text(part)}
            case "shell_call":
                return {"type": "shell_call_output", "call_id": call, "output": _shell_output(part)}
            case "apply_patch_call":
                status = "failed" if part.is_error else "completed"
                return {"type": "apply_patch_call_output", "call_id": call, "status": status, "output": _as_text(part)}
            case "computer_call":
                return {"type": "computer_call_output", "call_id": call, "output": part.output}
            case "tool_search_call":
                told = {"execution": "client", "status": "completed", "tools": part.output}
                return {"type": "tool_search_output", "call_id": call, **told}
            case kind:
                return {"type": f"{kind}_output", "call_id": call, "output": _output(part)}

    def _of_the_client(self, role: str, parts: Sequence[Part]) -> Iterator[Item]:
        """Answers to approvals are items of their own."""
        contents: list[dict[str, Any]] = []
        for part in parts:
            if _is_verdict(part) and part.request_id in self._approvals:
                yield from _spoken(role, contents)
                contents = []
                yield from _approval(self._approvals[part.request_id], part)
            else:
                contents += _content(part)
        yield from _spoken(role, contents)


OWN_ITEMS = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "computer_call",
        "tool_search_call",
    }
)


def own_item(signature: str | None) -> Item | None:
    """The item that a call came as, where its signature is one."""
    try:
        item = msgspec.json.decode(signature or "")
    except UNREADABLE:
        return None
    is_item = isinstance(item, dict) and isinstance(item.get("call_id"), str) and str(item.get("type")) in OWN_ITEMS
    return item if is_item else None


def _reasoning(text: str, signature: str) -> Iterator[Item]:
    try:
        sealed = wire_items.read_sealed(signature)
    except UNREADABLE:
        return
    summary = [{"type": "summary_text", "text": text}] if text else []
    yield {
        "type": "reasoning",
        "id": sealed.id,
        "summary": summary,
        "encrypted_content": sealed.encrypted_content,
    }


def _is_idle_reasoning(said: Sequence[Item], number: int) -> bool:
    """Whether an item is a reasoning that led to nothing."""
    if not _is_reasoning(said[number]):
        return False
    led_to = next((item for item in said[number + 1 :] if not _is_reasoning(item)), {"role": "user"})
    return led_to.get("role") != "assistant" and led_to.get("type") not in {*OWN_ITEMS, "mcp_approval_request"}


def _is_reasoning(item: Item) -> bool:
    return item.get("type") == "reasoning"


def _answered_approvals(turn: Turn) -> dict[str, InputPart]:
    said = [part for message in turn.missed for part in message.parts]
    asked = {part.request_id: part for part in said if isinstance(part, InputPart) and _is_approval(part)}
    answers = {part.request_id for part in (*said, *turn.parts) if _is_verdict(part)}
    return {request_id: part for request_id, part in asked.items() if request_id in answers}


def _is_verdict(part: Part) -> TypeGuard[InputResponsePart]:
    return isinstance(part, InputResponsePart) and part.approved is not None


def _is_approval(part: InputPart) -> bool:
    return part.kind == "approval" and (part.fields or {}).keys() >= APPROVAL


def _approval(asked: InputPart, answer: InputResponsePart) -> Iterator[Item]:
    fields = asked.fields or {}
    arguments = fields["arguments"]
    yield {
        "type": "mcp_approval_request",
        "id": asked.request_id,
        "server_label": fields["server_label"],
        "name": fields["name"],
        "arguments": arguments if isinstance(arguments, str) else _encode(arguments).decode(),
    }
    yield {
        "type": "mcp_approval_response",
        "approval_request_id": asked.request_id,
        "approve": bool(answer.approved),
        **({"reason": answer.text} if answer.text else {}),
    }


def _spoken(role: str, contents: list[dict[str, Any]]) -> Iterator[Item]:
    if [content["type"] for content in contents] == ["input_text"]:
        yield {"role": role, "content": contents[0]["text"]}
    elif contents:
        yield {"role": role, "content": contents}


def _content(part: Part) -> Iterator[dict[str, Any]]:
    match part:
        case ImagePart():
            yield {"type": "input_image", "detail": "auto", "image_url": part.url or _data_url(part, "image/png")}
        case FilePart(url=str(url)):
            named = {"filename": part.name} if part.name else {}
            yield {"type": "input_file", "file_url": url, **named}
        case FilePart():
            data = _data_url(part, "application/octet-stream")
            yield {"type": "input_file", "filename": part.name or "file", "file_data": data}
        case _ if text := spoken(part):
            yield {"type": "input_text", "text": text}


def _data_url(part: ImagePart | FilePart, otherwise: str) -> str:
    return f"data:{part.media_type or otherwise};base64,{part.data}"


def _output(part: ToolResultPart) -> str | list[Any]:
    """A text, or parts of the vendor's own kinds; anything else as JSON."""
    output = part.output
    if isinstance(output, list) and output and not part.is_error and all(map(_is_content, output)):
        return output
    return _as_text(part)


def _is_content(value: object) -> bool:
    return isinstance(value, dict) and value.get("type") in CONTENT_TYPES


def _as_text(part: ToolResultPart) -> str:
    output = {"error": part.output} if part.is_error else part.output
    return output if isinstance(output, str) else _encode(output).decode()


def _shell_output(part: ToolResultPart) -> list[Any]:
    """What each command wrote, as the vendor spells it; else as if one command had written it."""
    if isinstance(part.output, list):
        return part.output
    outcome = {"type": "exit", "exit_code": 1 if part.is_error else 0}
    text = part.output if isinstance(part.output, str) else _encode(part.output).decode()
    return [{"stdout": "" if part.is_error else text, "stderr": text if part.is_error else "", "outcome": outcome}]

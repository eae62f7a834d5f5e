"""What a client says was said: `contents`, which it resends with each turn, as messages.

    user    text, images and files, results of its tools; `function` is the older name of one that only has results
    model   text, thoughts, calls; and the code and the tools that the vendor ran, with their results

An answer comes back in the pieces in which it was streamed, each as a message of its own: pieces of one kind in a row
are one part again. A part without text but with a signature signs the one before it.
A call without an id is given one, and a result without an id is that of the first call by its name that has none yet.
Files come in either alphabet of base64 (the Python client writes the one for URLs), and leave in the usual one.
Source: google-genai (Python) 3.4.0 and @google/genai 2.32.0, `chats`; read 2026-11.
"""

from collections import defaultdict, deque
from collections.abc import Iterable
from typing import Literal, cast

from msgspec.structs import replace

from gateway.canonical.message import (
    FilePart,
    ImagePart,
    Part,
    ReasoningPart,
    Role,
    TextPart,
    ToolCallPart,
    ToolResultPart,
)
from gateway.canonical.turn import HistoryMessage
from gateway.protocols.gemini import wire
from gateway.protocols.reading import cannot_carry, refuse

ROLES: dict[str | None, Literal["user", "model"]] = {None: "user", "user": "user", "function": "user", "model": "model"}

_USUAL = str.maketrans("-_", "+/")


def read_contents(contents: Iterable[wire.Content], path: str = "$.contents") -> list[HistoryMessage]:
    return _Reader(contents).read(path)


class _Reader:
    def __init__(self, contents: Iterable[wire.Content]) -> None:
        self._contents = list(contents)
        self._taken = {
            call.id
            for content in self._contents
            for part in content.parts or ()
            for call in (part.function_call, part.executable_code, part.tool_call)
            if call is not None and call.id
        }
        self._next = 0
        self._asked = _Calls()
        self._run = _Calls()
        self._said: list[HistoryMessage] = []
        self._pieces: list[str] = []
        """Of the text or the thought that the model said last."""

    def read(self, path: str) -> list[HistoryMessage]:
        for number, content in enumerate(self._contents):
            at = f"{path}[{number}]"
            if content.role not in ROLES:
                raise refuse(f"{at}.role", "expected `user` or `model`")
            if ROLES[content.role] == "model":
                self._read_model(content.parts or [], f"{at}.parts")
            else:
                self._settle()
                self._read_user(content.parts or [], f"{at}.parts")
        self._settle()
        return self._said

    # The client.

    def _read_user(self, parts: list[wire.Part], path: str) -> None:
        read = [self._of_user(part, f"{path}[{number}]") for number, part in enumerate(parts) if part.text != ""]
        if read:
            role: Role = "tool" if all(isinstance(part, ToolResultPart) for part in read) else "user"
            self._said.append(HistoryMessage(role, read))

    def _of_user(self, part: wire.Part, path: str) -> Part:
        if part.text is not None:
            return TextPart(part.text)
        if part.inline_data is not None:
            blob = part.inline_data
            if not blob.mime_type:
                raise refuse(f"{path}.inlineData.mimeType", "expected a media type")
            return _kind(blob.mime_type)(
                data=blob.data.translate(_USUAL), media_type=blob.mime_type, name=blob.display_name
            )
        if part.file_data is not None:
            file = part.file_data
            return _kind(file.mime_type or "")(url=file.file_uri, media_type=file.mime_type, name=file.display_name)
        if part.function_response is not None:
            return self._result(part.function_response, f"{path}.functionResponse")
        if part.function_call is not None:
            raise refuse(path, "a call is the model's")
        raise cannot_carry(path, "a part of this kind")

    def _result(self, response: wire.FunctionResponse, path: str) -> ToolResultPart:
        if response.parts:
            raise cannot_carry(f"{path}.parts", "what a tool gives beside its response")
        call = self._asked.take(response.id, response.name)
        call_id = response.id or (call and call[0])
        if call_id is None:
            raise refuse(path, "there is no such call to answer")
        if set(response.response) == {"error"}:
            return ToolResultPart(call_id, response.response["error"], is_error=True, name=response.name)
        return ToolResultPart(call_id, response.response, name=response.name)

    # The model.

    def _read_model(self, parts: list[wire.Part], path: str) -> None:
        if not self._said or self._said[-1].role != "assistant":
            self._said.append(HistoryMessage("assistant", []))
        said = self._said[-1].parts
        for number, part in enumerate(parts):
            self._of_model(said, part, f"{path}[{number}]")

    def _of_model(self, said: list[Part], part: wire.Part, path: str) -> None:
        signature = part.thought_signature or None
        if part.text:
            self._grow(said, ReasoningPart if part.thought else TextPart, part.text, signature)
            return
        self._settle()
        if part.function_call is not None:
            call = part.function_call
            if not call.name:
                raise refuse(f"{path}.functionCall.name", "expected a name")
            call_id = self._name(self._asked, call.id, call.name)
            said.append(ToolCallPart(call_id, call.name, call.args or {}, executor="client", signature=signature))
        elif part.inline_data is not None or part.file_data is not None:
            said.append(self._of_user(part, path))
        elif not self._of_a_vendors_tool(said, part, signature) and signature is not None:
            _sign(said, signature)

    def _grow(
        self, said: list[Part], kind: type[TextPart] | type[ReasoningPart], text: str, signature: str | None
    ) -> None:
        last = said[-1] if said else None
        if isinstance(last, kind) and last.signature is None:
            self._pieces = self._pieces or [last.text]
            self._pieces.append(text)
        else:
            self._settle()
            said.append(kind(text))
        if signature is not None:
            self._settle()
            _sign(said, signature)

    def _settle(self) -> None:
        if self._pieces:
            said = self._said[-1].parts
            said[-1] = replace(cast("TextPart | ReasoningPart", said[-1]), text="".join(self._pieces))
        self._pieces = []

    def _of_a_vendors_tool(self, said: list[Part], part: wire.Part, signature: str | None) -> bool:
        """Whether it is."""
        if part.executable_code is not None:
            code = part.executable_code
            arguments = {"language": code.language, "code": code.code}
            said.append(self._vendor_call(wire.CODE_EXECUTION, code.id, arguments, signature))
        elif part.tool_call is not None:
            run = part.tool_call
            called = self._vendor_call(part.tool_name or run.tool_type, run.id, run.args or {}, signature)
            said.append(_broken(called, part.part_metadata))
        elif part.code_execution_result is not None:
            ran = part.code_execution_result
            output = {"outcome": ran.outcome, "output": ran.output or ""}
            self._ran(said, ran.id, wire.CODE_EXECUTION, output, is_error=ran.outcome not in wire.RAN_WELL)
        elif part.tool_response is not None:
            output = part.tool_response.response or {}
            self._ran(said, part.tool_response.id, part.tool_name, output, is_error=output.keys() == {"error"})
        else:
            return False
        return True

    def _vendor_call(self, name: str, call_id: str | None, arguments: wire.Json, signature: str | None) -> ToolCallPart:
        named = self._name(self._run, call_id, name)
        return ToolCallPart(named, name, arguments, executor="vendor", signature=signature)

    def _ran(
        self, said: list[Part], call_id: str | None, name: str | None, output: wire.Json, *, is_error: bool
    ) -> None:
        """The result of no call tells nothing."""
        call = self._run.take(call_id, name)
        if call is not None:
            said.append(ToolResultPart(call[0], output, is_error=is_error, name=call[1]))

    def _name(self, calls: "_Calls", call_id: str | None, name: str) -> str:
        named = call_id or self._invent()
        calls.add(named, name)
        return named

    def _invent(self) -> str:
        while (invented := f"call_{self._next}") in self._taken:
            self._next += 1
        self._next += 1
        return invented


class _Calls:
    """Those that are not answered, in their order."""

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[str, str]] = {}
        self._added = 0
        self._all: deque[int] = deque()
        self._by_id: defaultdict[str, deque[int]] = defaultdict(deque)
        self._by_name: defaultdict[str, deque[int]] = defaultdict(deque)

    def add(self, call_id: str, name: str) -> None:
        self._waiting[self._added] = call_id, name
        for queue in (self._all, self._by_id[call_id], self._by_name[name]):
            queue.append(self._added)
        self._added += 1

    def take(self, call_id: str | None, name: str | None) -> tuple[str, str] | None:
        """The first call by that id, as id and name; without an id, by that name; without either, any."""
        queue = self._by_id[call_id] if call_id else self._all if name is None else self._by_name[name]
        while queue:
            call = self._waiting.pop(queue.popleft(), None)
            if call is not None:
                return call
        return None


def _broken(call: ToolCallPart, metadata: wire.PartMetadata | None) -> ToolCallPart:
    """A call as it was, where its arguments were cut or could not be read."""
    if metadata is None or metadata.gateway_broken_call is None:
        return call
    broken = metadata.gateway_broken_call
    return replace(
        call, arguments={}, status=broken.status, executor=broken.executor, raw_arguments=broken.raw_arguments
    )


def _kind(media_type: str) -> type[ImagePart] | type[FilePart]:
    return ImagePart if media_type.startswith("image/") else FilePart


def _sign(said: list[Part], signature: str) -> None:
    last = said[-1] if said else None
    if isinstance(last, (TextPart, ReasoningPart)) and last.signature is None:
        said[-1] = replace(last, signature=signature)
    else:
        said.append(ReasoningPart("", signature=signature))

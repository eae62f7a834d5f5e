"""The six general protocols as vendors: where the demonstration has them, and what each is told, in the same words.

    async with five(tmp_path, demo=alone("gemini")) as gateway:
        await gateway.say("gemini", "Hi")
        heard("gemini", gateway.record("gemini").bodies[-1]) == [("user", "Hi")]

A record has the name of its protocol. Behind `ROUTES[protocol]` and `-once` nothing is tried twice, and behind `-hasty`
who limits our rate is not waited for either.
"""

import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from tests.vendors.five import DEMO

ROUTES = {
    "openai_chat": "openai",
    "openai_responses": "responses",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "ai_sdk": "ai-sdk",
    "ag_ui": "ag-ui",
}
"""By protocol: the demonstration's vendor, and the route to it."""

GENERAL = tuple(ROUTES)

CALLING = {
    "openai_chat": "tool-call",
    "openai_responses": "tool",
    "anthropic": "tool",
    "gemini": "tool",
    "ai_sdk": "client-tool",
    "ag_ui": "client-tool",
}
"""The play in which a text comes with one call of the client's tool."""

Line = tuple[str, Any] | tuple[str, str, Any]
"""("user", text), ("call", name, arguments) or ("result", output); a message's texts are one."""


def target(route: str) -> str:
    """The demonstration's target, as TOML without its braces."""
    (settings,) = tomllib.loads(DEMO)["routes"][route]["targets"]
    return ", ".join(f'{name} = "{value}"' for name, value in settings.items())


def alone(protocol: str, deadlines: str = "first_event = 1.4") -> str:
    """The demonstration without all other vendors, as TOML. It is a fraction of it, and as much faster to begin."""
    name = ROUTES[protocol]
    given = tomllib.loads(DEMO)["vendors"][name].get("credentials", {})
    credentials = [
        f'{secret} = {{ env = "{at["env"]}", default = "{at["default"]}" }}\n' for secret, at in given.items()
    ]
    return f"""
[store]
kind = "memory"
[simulation]
port = 0
[vendors.{name}]
protocol = "{protocol}"
base_url = "simulation:{protocol}"
[vendors.{name}.credentials]
{"".join(credentials)}
[vendors.{name}.breaker]
minimum = 1_000_000
[routes.{name}]
targets = [{{ {target(name)} }}]
[routes.{name}-once]
targets = [{{ {target(name)}, retries = 0 }}]
[routes.{name}-hasty]
targets = [{{ {target(name)}, retries = 0, deadlines = {{ {deadlines} }} }}]
"""


def heard(protocol: str, body: Any) -> list[Line]:
    """All that a request tells of the conversation, in order; what a vendor is told of thoughts is left out."""
    lines: list[Line] = []
    for role, said in _HEARD[protocol](body):
        if isinstance(said, tuple):
            lines.append(said)
        elif lines and lines[-1][0] == role:
            lines[-1] = (role, f"{lines[-1][1]}\n\n{said}")
        elif said:
            lines.append((role, said))
    return lines


Said = Iterator[tuple[str, str | Line]]


def _of_chat(body: Any) -> Said:
    for message in body["messages"]:
        role = "system" if message["role"] == "developer" else message["role"]
        if role == "tool":
            yield role, ("result", _json(message["content"]))
            continue
        for text in _texts(message["content"]):
            yield role, text
        for call in message.get("tool_calls", []):
            yield role, ("call", call["function"]["name"], _json(call["function"]["arguments"]))


def _of_responses(body: Any) -> Said:
    yield "system", body.get("instructions", "")
    for item in body["input"]:
        match item:
            case {"role": role, "content": content}:
                for text in _texts(content):
                    yield role, text
            case {"type": "function_call", "name": name, "arguments": arguments}:
                yield "assistant", ("call", name, _json(arguments))
            case {"type": "function_call_output", "output": output}:
                yield "tool", ("result", _json(output))


def _of_anthropic(body: Any) -> Said:
    for text in _texts(body.get("system")):
        yield "system", text
    for message in body["messages"]:
        for block in message["content"]:
            match block:
                case {"type": "text", "text": text}:
                    yield message["role"], text
                case {"type": "tool_use", "name": name, "input": arguments}:
                    yield "assistant", ("call", name, arguments)
                case {"type": "tool_result", "content": output}:
                    yield "tool", ("result", _json(output))


def _of_gemini(body: Any) -> Said:
    for text in _texts(body.get("systemInstruction", {}).get("parts")):
        yield "system", text
    for content in body["contents"]:
        for part in content["parts"]:
            match part:
                case {"functionCall": call}:
                    yield "assistant", ("call", call["name"], call.get("args", {}))
                case {"functionResponse": {"response": output}}:
                    yield "tool", ("result", output)
                case {"text": text} if not part.get("thought"):
                    yield "assistant" if content["role"] == "model" else "user", text


def _of_ai_sdk(body: Any) -> Said:
    for message in body["messages"]:
        for part in message["parts"]:
            match part:
                case {"type": "text", "text": text}:
                    yield message["role"], text
                case {"type": kind, "input": arguments, "output": output}:
                    yield "assistant", ("call", part.get("toolName", kind.removeprefix("tool-")), arguments)
                    yield "tool", ("result", output)


def _of_ag_ui(body: Any) -> Said:
    for message in body["messages"]:
        if message["role"] == "tool":
            yield "tool", ("result", _json(message["content"]))
            continue
        for text in _texts(message.get("content")):
            yield message["role"], text
        for call in message.get("toolCalls", []):
            yield "assistant", ("call", call["function"]["name"], _json(call["function"]["arguments"]))


_HEARD: dict[str, Callable[[Any], Said]] = {
    "openai_chat": _of_chat,
    "openai_responses": _of_responses,
    "anthropic": _of_anthropic,
    "gemini": _of_gemini,
    "ai_sdk": _of_ai_sdk,
    "ag_ui": _of_ag_ui,
}


def _texts(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content]
    return [part["text"] for part in content or [] if "text" in part]


def _json(text: str) -> Any:
    """A tool's output, where it is told as text: the value that it is JSON of, or the text."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def as_told(protocol: str, lines: list[Line]) -> list[Line]:
    """Calls and then their results, as a vendor is told them: the AI SDK has each result behind its call."""
    if protocol != "ai_sdk":
        return lines
    results = (line for line in lines if line[0] == "result")
    told: list[Line] = []
    for line in lines:
        if line[0] != "result":
            told += [line, next(results)] if line[0] == "call" else [line]
    return told

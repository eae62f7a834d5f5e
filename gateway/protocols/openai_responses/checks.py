"""What the simulated server refuses of a request's body, as OpenAI's own does; see `simulator.py`."""

from typing import Any

from gateway.protocols.openai_responses.plays import REFUSALS, Frame, Refused

FIELDS: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "input": (str, list),
    "stream": (bool,),
    "store": (bool,),
    "include": (list,),
    "instructions": (str,),
    "tools": (list,),
    "tool_choice": (str, dict),
    "temperature": (int, float),
    "top_p": (int, float),
    "max_output_tokens": (int,),
    "text": (dict,),
    "reasoning": (dict,),
    "metadata": (dict,),
    "user": (str,),
    "safety_identifier": (str,),
    "parallel_tool_calls": (bool,),
    "max_tool_calls": (int,),
    "top_logprobs": (int,),
    "truncation": (str,),
    "prompt": (dict,),
    "prompt_cache_key": (str,),
    "prompt_cache_retention": (str,),
    "service_tier": (str,),
    "context_management": (list,),
    "moderation": (dict,),
    "stream_options": (dict,),
    "previous_response_id": (str,),
    "conversation": (str, dict),
    "background": (bool,),
}

RANGES = {"temperature": (0.0, 2.0), "top_p": (0.0, 1.0), "max_output_tokens": (16.0, 1e9)}

ROLES = {
    "user": {"input_text", "input_image", "input_file"},
    "system": {"input_text"},
    "developer": {"input_text"},
    "assistant": {"output_text", "refusal"},
}

NEEDED: dict[str, tuple[str, ...]] = {
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "reasoning": ("id", "summary"),
    "mcp_approval_request": ("id", "name", "arguments", "server_label"),
    "mcp_approval_response": ("approval_request_id", "approve"),
}
"""What an item of the input must have; of other kinds there is none here."""

OUTPUTS = {"function_call_output": "function_call", "custom_tool_call_output": "custom_tool_call"}

MAX_IDENTIFIER = 64


class Refusal(Exception):
    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.message)
        self.refused = refused


def check(body: Frame) -> list[Frame]:
    """The input, item by item."""
    _check_fields(body)
    for name in ("previous_response_id", "conversation"):
        if name in body:
            raise Refusal(Refused(404, f"{name}_not_found", "Nothing is stored here.", param=name))
    if body["model"].startswith("unknown"):
        raise Refusal(REFUSALS["not-found"])
    for number, tool in enumerate(body.get("tools", [])):
        _check_tool(tool, f"tools[{number}]")
    said = [{"role": "user", "content": body["input"]}] if isinstance(body["input"], str) else body["input"]
    _Input(said).check()
    return said


def _check_fields(body: Frame) -> None:
    for name, value in body.items():
        if name not in FIELDS:
            raise _invalid(name, f"Unknown parameter: '{name}'.", "unknown_parameter")
        if not isinstance(value, FIELDS[name]):
            raise _invalid(name, f"Invalid type for '{name}'.", "invalid_type")
    for name in ("model", "input"):
        if not body.get(name):
            raise _missing(name)
    for name, (least, most) in RANGES.items():
        if not least <= body.get(name, least) <= most:
            raise _invalid(name, f"Invalid '{name}'.")
    if len(body.get("safety_identifier", "")) > MAX_IDENTIFIER:
        raise _invalid("safety_identifier", "Expected a string with maximum length 64.", "string_above_max_length")


def _check_tool(tool: Any, path: str) -> None:
    if not isinstance(tool, dict) or "type" not in tool:
        raise _missing(f"{path}.type")
    if tool["type"] == "function" and not tool.keys() >= {"name", "parameters"}:
        raise _missing(f"{path}.name")


class _Input:
    def __init__(self, said: list[Any]) -> None:
        self._said = said
        self._calls: dict[str, str] = {}
        self._asked: set[str] = set()
        self._answered: set[str] = set()

    def check(self) -> None:
        for number, item in enumerate(self._said):
            self._check_item(item, number)
        for call in self._calls.keys() - self._answered:
            raise _invalid("input", f"No tool output found for function call {call}.", None)

    def _check_item(self, item: Any, number: int) -> None:
        path = f"input[{number}]"
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if kind == "message":
            _check_message(item, path)
            return
        if kind not in NEEDED:
            raise _invalid(path, "Invalid input item.")
        for name in NEEDED[kind]:
            if name not in item:
                raise _missing(f"{path}.{name}")
        if kind in OUTPUTS:
            self._take_output(item, OUTPUTS[kind])
        elif kind == "reasoning":
            _check_reasoning(item, self._said[number + 1 :])
        elif kind == "mcp_approval_request":
            self._asked.add(item["id"])
        elif kind == "mcp_approval_response":
            self._take_verdict(item)
        else:
            self._calls[item["call_id"]] = kind

    def _take_output(self, item: Frame, kind: str) -> None:
        call = item["call_id"]
        if self._calls.get(call) != kind:
            raise _invalid("input", f"No tool call found for function call output with call_id {call}.", None)
        self._answered.add(call)

    def _take_verdict(self, item: Frame) -> None:
        if item["approval_request_id"] not in self._asked:
            raise _invalid("input", "No approval request found.", None)


def _check_message(item: Frame, path: str) -> None:
    role, content = item.get("role"), item.get("content")
    if role not in ROLES:
        raise _invalid(f"{path}.role", "Invalid value.")
    if isinstance(content, str):
        return
    if not isinstance(content, list) or not content:
        raise _invalid(f"{path}.content", "Invalid type.", "invalid_type")
    for number, part in enumerate(content):
        if not isinstance(part, dict) or part.get("type") not in ROLES[role]:
            raise _invalid(f"{path}.content[{number}]", "Invalid value.")


def _check_reasoning(item: Frame, behind: list[Any]) -> None:
    if not str(item.get("encrypted_content", "")).startswith("sealed-"):
        text = f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false."
        raise Refusal(Refused(404, None, text, param="input"))
    led_to: Frame = next((other for other in behind if other.get("type") != "reasoning"), {})
    if led_to.get("role") != "assistant" and led_to.get("type") not in {*OUTPUTS.values(), "mcp_approval_request"}:
        text = f"Item '{item['id']}' of type 'reasoning' was provided without its required following item."
        raise _invalid("input", text, None)


def _missing(param: str) -> Refusal:
    return _invalid(param, f"Missing required parameter: '{param}'.", "missing_required_parameter")


def _invalid(param: str, message: str, code: str | None = "invalid_value") -> Refusal:
    return Refusal(Refused(400, code, message, param=param))

"""Anthropic's own client: `whole`, `plain` (the events as they come) and `helper` (its `.stream()`)."""

import json
from typing import Any

from anthropic import Anthropic

from tests.acceptance.clients.answering import Told, answering, written


class Messages:
    def __init__(self, ask: Told) -> None:
        self._ask = ask
        self._client = Anthropic(
            base_url=ask["base"], api_key=ask.get("key", "none"), default_headers=ask["headers"], timeout=30
        )
        self._messages: list[Any] = []

    def say(self, text: str, turn: Told) -> None:
        self._answer(text, turn)

    def give(self, outputs: dict[str, Any], turn: Told) -> None:
        results = [
            {"type": "tool_result", "tool_use_id": call_id, "content": written(output)}
            for call_id, output in outputs.items()
        ]
        self._answer(results, turn)

    def _answer(self, content: Any, turn: Told) -> None:
        self._messages.append({"role": "user", "content": content})
        asked: Told = {"model": self._ask["route"], "max_tokens": 1024, "messages": self._messages}
        asked.update(self._ask.get("with", {}))
        if "tools" in self._ask:
            asked["tools"] = [
                {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
                for tool in self._ask["tools"]
            ]
        read = {"whole": self._whole, "plain": self._plain, "helper": self._helper}[self._ask["mode"]]
        read(asked, turn)

    def _whole(self, asked: Told, turn: Told) -> None:
        self._tell(self._client.messages.create(**asked), turn)

    def _helper(self, asked: Told, turn: Told) -> None:
        with self._client.messages.stream(**asked) as stream:
            for event in stream:
                if event.type == "text":
                    turn["text"] += event.text
            self._tell(stream.get_final_message(), turn)

    def _plain(self, asked: Told, turn: Told) -> None:
        blocks: dict[int, Told] = {}
        with self._client.messages.create(**asked, stream=True) as stream:
            for event in stream:
                if event.type == "message_start":
                    turn.update(id=event.message.id, model=event.message.model)
                    turn["usage"] = _usage(event.message.usage)
                elif event.type == "content_block_start":
                    blocks[event.index] = event.content_block.model_dump(exclude_none=True)
                elif event.type == "content_block_delta":
                    _grow(blocks[event.index], event.delta, turn)
                elif event.type == "message_delta":
                    turn["finish"] = event.delta.stop_reason
                    turn["usage"] = _usage(event.usage)
        for block in blocks.values():
            if "json" in block:
                block["input"] = json.loads(block.pop("json") or "{}")
            if block["type"] == "tool_use":
                turn["calls"].append({"id": block["id"], "name": block["name"], "arguments": block["input"]})
        self._messages.append({"role": "assistant", "content": list(blocks.values())})

    def _tell(self, message: Any, turn: Told) -> None:
        blocks = message.content
        turn.update(
            id=message.id,
            model=message.model,
            text="".join(block.text for block in blocks if block.type == "text"),
            reasoning="".join(block.thinking for block in blocks if block.type == "thinking"),
            calls=[
                {"id": block.id, "name": block.name, "arguments": block.input}
                for block in blocks
                if block.type == "tool_use"
            ],
            sources=[
                getattr(note, "url", None) for block in blocks if block.type == "text" for note in block.citations or ()
            ],
            usage=_usage(message.usage),
            finish=message.stop_reason,
        )
        self._messages.append({"role": "assistant", "content": blocks})


def _usage(usage: Any) -> Told:
    """What came from a cache or went into it is counted apart."""
    cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    return {"input": (usage.input_tokens or 0) + cached, "output": usage.output_tokens}


def _grow(block: Told, delta: Any, turn: Told) -> None:
    if delta.type == "text_delta":
        block["text"] += delta.text
        turn["text"] += delta.text
    elif delta.type == "thinking_delta":
        block["thinking"] += delta.thinking
        turn["reasoning"] += delta.thinking
    elif delta.type == "signature_delta":
        block["signature"] = delta.signature
    elif delta.type == "input_json_delta":
        block["json"] = block.get("json", "") + delta.partial_json
    elif delta.type == "citations_delta":
        block.setdefault("citations", []).append(delta.citation.model_dump(exclude_none=True))
        turn["sources"].append(getattr(delta.citation, "url", None))


def count_tokens(ask: Told, told: Told) -> None:
    client = Anthropic(base_url=ask["base"], api_key=ask.get("key", "none"), default_headers=ask["headers"])
    messages: Any = [{"role": "user", "content": ask["text"]}]
    told["input"] = client.messages.count_tokens(model=ask["route"], messages=messages).input_tokens


def models(ask: Told, told: Told) -> None:
    client = Anthropic(base_url=ask["base"], api_key=ask.get("key", "none"), default_headers=ask["headers"])
    told["models"] = [model.id for model in client.models.list()]
    told["model"] = client.models.retrieve(told["models"][0]).id


if __name__ == "__main__":
    answering(Messages, count_tokens=count_tokens, models=models)

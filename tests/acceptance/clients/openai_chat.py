"""OpenAI's own client, chat completions: `whole`, `plain` (the chunks as they come) and `helper` (its `.stream()`)."""

import json
from typing import Any

from openai import LengthFinishReasonError, OpenAI

from tests.acceptance.clients.answering import Told, answering, written


class Completions:
    def __init__(self, ask: Told) -> None:
        self._ask = ask
        self._client = OpenAI(
            base_url=ask["base"], api_key=ask.get("key", "none"), default_headers=ask["headers"], timeout=30
        )
        self._messages: list[Any] = []

    def say(self, text: str, turn: Told) -> None:
        self._messages.append({"role": "user", "content": text})
        self._answer(turn)

    def give(self, outputs: dict[str, Any], turn: Told) -> None:
        for call_id, output in outputs.items():
            self._messages.append({"role": "tool", "tool_call_id": call_id, "content": written(output)})
        self._answer(turn)

    def _answer(self, turn: Told) -> None:
        asked: Told = {"model": self._ask["route"], "messages": self._messages, **self._ask.get("with", {})}
        if "tools" in self._ask:
            asked["tools"] = [{"type": "function", "function": tool} for tool in self._ask["tools"]]
        read = {"whole": self._whole, "plain": self._plain, "helper": self._helper}[self._ask["mode"]]
        read(asked, turn)

    def _whole(self, asked: Told, turn: Told) -> None:
        self._tell(self._client.chat.completions.create(**asked), turn)

    def _helper(self, asked: Told, turn: Told) -> None:
        usage = {"include_usage": True}
        with self._client.chat.completions.stream(**asked, stream_options=usage) as stream:
            for event in stream:
                if event.type == "content.delta":
                    turn["text"] += event.delta
            try:
                completion = stream.get_final_completion()
            except LengthFinishReasonError as cut:
                completion = cut.completion
            self._tell(completion, turn)

    def _plain(self, asked: Told, turn: Told) -> None:
        calls: dict[int, Told] = {}
        with self._client.chat.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}
        ) as stream:
            for chunk in stream:
                turn["id"], turn["model"] = chunk.id, chunk.model
                turn["usage"] = _usage(chunk.usage) or turn["usage"]
                for choice in chunk.choices:
                    turn["finish"] = choice.finish_reason or turn["finish"]
                    turn["text"] += choice.delta.content or ""
                    turn["reasoning"] += getattr(choice.delta, "reasoning_content", None) or ""
                    turn["sources"] += _urls(getattr(choice.delta, "annotations", None))
                    for call in choice.delta.tool_calls or ():
                        known = calls.setdefault(
                            call.index, {"id": call.id, "name": call.function.name, "arguments": ""}
                        )
                        known["arguments"] += call.function.arguments or ""
        said = [
            {"id": call["id"], "type": "function", "function": {name: call[name] for name in ("name", "arguments")}}
            for call in calls.values()
        ]
        self._keep({"role": "assistant", "content": turn["text"] or None, "tool_calls": said}, turn)

    def _tell(self, completion: Any, turn: Told) -> None:
        (choice,) = completion.choices
        message = choice.message
        turn.update(
            id=completion.id,
            model=completion.model,
            text=message.content or "",
            reasoning=getattr(message, "reasoning_content", None) or "",
            sources=_urls(message.annotations),
            usage=_usage(completion.usage),
            finish=choice.finish_reason,
        )
        self._keep(message.model_dump(exclude_none=True, exclude={"parsed"}), turn)

    def _keep(self, message: Told, turn: Told) -> None:
        """The answer goes into the history as a stranger would put it there."""
        turn["calls"] = [
            {"id": call["id"], "name": call["function"]["name"], "arguments": json.loads(call["function"]["arguments"])}
            for call in message.get("tool_calls") or ()
        ]
        self._messages.append({name: value for name, value in message.items() if value})


def _urls(annotations: Any) -> list[str]:
    told = [note if isinstance(note, dict) else note.model_dump() for note in annotations or ()]
    return [note["url_citation"]["url"] for note in told]


def _usage(usage: Any) -> Told | None:
    return usage and {"input": usage.prompt_tokens, "output": usage.completion_tokens}


def models(ask: Told, told: Told) -> None:
    client = OpenAI(base_url=ask["base"], api_key=ask.get("key", "none"), default_headers=ask["headers"])
    told["models"] = [model.id for model in client.models.list()]
    told["model"] = client.models.retrieve(told["models"][0]).id


if __name__ == "__main__":
    answering(Completions, models=models)

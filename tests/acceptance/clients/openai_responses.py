"""OpenAI's own client, responses: `whole`, `plain` (the events as they come) and `helper` (its `.stream()`).

With `"keeps": "server"` only what is new is sent, with `previous_response_id`; else all that was said, as items.
"""

import json
from typing import Any

from openai import OpenAI

from tests.acceptance.clients.answering import Told, answering, written


class Responses:
    def __init__(self, ask: Told) -> None:
        self._ask = ask
        self._client = OpenAI(
            base_url=ask["base"], api_key=ask.get("key", "none"), default_headers=ask["headers"], timeout=30
        )
        self._items: list[Any] = []
        self._previous: str | None = None

    def say(self, text: str, turn: Told) -> None:
        self._answer([{"role": "user", "content": text}], turn)

    def give(self, outputs: dict[str, Any], turn: Told) -> None:
        items = [
            {"type": "function_call_output", "call_id": call_id, "output": written(output)}
            for call_id, output in outputs.items()
        ]
        self._answer(items, turn)

    def _answer(self, items: list[Any], turn: Told) -> None:
        self._items += items
        asked: Told = {"model": self._ask["route"], "input": self._items, **self._ask.get("with", {})}
        if self._ask.get("keeps") == "server":
            asked["input"] = items
            if self._previous is not None:
                asked["previous_response_id"] = self._previous
        if "tools" in self._ask:
            asked["tools"] = [{"type": "function", "strict": False, **tool} for tool in self._ask["tools"]]
        read = {"whole": self._whole, "plain": self._plain, "helper": self._helper}[self._ask["mode"]]
        self._tell(read(asked, turn), turn)

    def _whole(self, asked: Told, _: Told) -> Any:
        return self._client.responses.create(**asked)

    def _helper(self, asked: Told, turn: Told) -> Any:
        with self._client.responses.stream(**asked) as stream:
            for event in stream:
                _grow(event, turn)
                if event.type in {"response.incomplete", "response.failed"}:
                    return event.response  # the helper's own final response is a completed one
            return stream.get_final_response()

    def _plain(self, asked: Told, turn: Told) -> Any:
        last = None
        with self._client.responses.create(**asked, stream=True) as stream:
            for event in stream:
                _grow(event, turn)
                last = event
        turn["last"] = last and last.type
        return last.response if last is not None and hasattr(last, "response") else None

    def _tell(self, response: Any, turn: Told) -> None:
        if response is None:
            return
        calls = [item for item in response.output if item.type == "function_call"]
        turn.update(
            id=response.id,
            model=response.model,
            streamed=turn["text"],
            text=response.output_text,
            reasoning="".join(_reasoning(item) for item in response.output if item.type == "reasoning"),
            calls=[{"id": call.call_id, "name": call.name, "arguments": json.loads(call.arguments)} for call in calls],
            sources=[url for item in response.output if item.type == "message" for url in _urls(item)],
            usage=response.usage and {"input": response.usage.input_tokens, "output": response.usage.output_tokens},
            finish=response.status,
            failed=response.error and response.error.code,
            why=response.incomplete_details and response.incomplete_details.reason,
        )
        self._previous = response.id
        self._items += [item.model_dump(exclude_none=True, exclude={"parsed_arguments"}) for item in response.output]


def _grow(event: Any, turn: Told) -> None:
    if event.type == "response.output_text.delta":
        turn["text"] += event.delta
    if event.type == "error":
        turn["failed"] = event.code


def _reasoning(item: Any) -> str:
    return "".join(part.text for part in [*(item.summary or ()), *(item.content or ())])


def _urls(item: Any) -> list[str]:
    return [note.url for part in item.content if part.type == "output_text" for note in part.annotations]


if __name__ == "__main__":
    answering(Responses)

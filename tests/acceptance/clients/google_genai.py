"""Google's own client: `whole`, and `helper` (its `generate_content_stream`)."""

from typing import Any

from google import genai
from google.genai import types

from tests.acceptance.clients.answering import Told, answering


def connected(ask: Told) -> genai.Client:
    options = types.HttpOptions(base_url=ask["base"], headers=ask["headers"], timeout=30_000)
    return genai.Client(api_key=ask.get("key", "none"), http_options=options)


class Contents:
    def __init__(self, ask: Told) -> None:
        self._ask = ask
        self._client = connected(ask)
        self._contents: list[types.Content] = []
        self._names: dict[str, str] = {}

    def say(self, text: str, turn: Told) -> None:
        self._answer([types.Part(text=text)], turn)

    def give(self, outputs: dict[str, Any], turn: Told) -> None:
        parts = [
            types.Part(function_response=types.FunctionResponse(id=call_id, name=self._names[call_id], response=output))
            for call_id, output in outputs.items()
        ]
        self._answer(parts, turn)

    def _answer(self, parts: list[types.Part], turn: Told) -> None:
        self._contents.append(types.Content(role="user", parts=parts))
        asked: Told = {"model": self._ask["route"], "contents": self._contents}
        if "tools" in self._ask:
            functions = [
                types.FunctionDeclaration(
                    name=tool["name"], description=tool["description"], parameters_json_schema=tool["parameters"]
                )
                for tool in self._ask["tools"]
            ]
            asked["config"] = types.GenerateContentConfig(tools=[types.Tool(function_declarations=functions)])
        if "with" in self._ask:
            asked["config"] = types.GenerateContentConfig(**self._ask["with"])
        answer = types.Content(role="model", parts=[])
        if self._ask["mode"] == "whole":
            self._grow(self._client.models.generate_content(**asked), answer, turn)
        else:
            for chunk in self._client.models.generate_content_stream(**asked):
                self._grow(chunk, answer, turn)
        self._contents.append(answer)

    def _grow(self, chunk: types.GenerateContentResponse, answer: types.Content, turn: Told) -> None:
        turn["id"] = chunk.response_id or turn.get("id")
        turn["model"] = chunk.model_version or turn.get("model")
        if chunk.usage_metadata is not None:
            usage = chunk.usage_metadata
            output = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)
            turn["usage"] = {"input": usage.prompt_token_count, "output": output}
        for candidate in chunk.candidates or ():
            turn["finish"] = candidate.finish_reason.value if candidate.finish_reason else turn["finish"]
            turn["sources"] += _urls(candidate)
            for part in (candidate.content and candidate.content.parts) or ():
                self._read(part, turn)
                assert answer.parts is not None
                answer.parts.append(part)

    def _read(self, part: types.Part, turn: Told) -> None:
        if part.text:
            turn["reasoning" if part.thought else "text"] += part.text
        if part.function_call is not None:
            call = part.function_call
            call_id = call.id or str(len(self._names))
            self._names[call_id] = call.name or ""
            turn["calls"].append({"id": call_id, "name": call.name, "arguments": call.args or {}})


def _urls(candidate: types.Candidate) -> list[str | None]:
    grounding = candidate.grounding_metadata
    chunks = (grounding and grounding.grounding_chunks) or ()
    cited = (candidate.citation_metadata and candidate.citation_metadata.citations) or ()
    return [*(chunk.web.uri for chunk in chunks if chunk.web), *(citation.uri for citation in cited)]


def count_tokens(ask: Told, told: Told) -> None:
    client = connected(ask)
    told["input"] = client.models.count_tokens(model=ask["route"], contents=ask["text"]).total_tokens


def models(ask: Told, told: Told) -> None:
    client = connected(ask)
    told["models"] = [model.name for model in client.models.list()]
    told["model"] = client.models.get(model=told["models"][0]).name


if __name__ == "__main__":
    answering(Contents, count_tokens=count_tokens, models=models)

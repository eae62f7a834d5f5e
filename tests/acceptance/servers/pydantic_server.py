"""An agent of Pydantic AI behind its own adapters: POST /ag-ui and POST /ai-sdk. Its model obeys a word:

`think`, `tool` (for the client to run: AG-UI's tools come with the request), `server-tool`, `approve` (a tool that
waits for a person), `break` (an exception in mid-stream); else it repeats.
"""

import json
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from pydantic_ai import Agent, DeferredToolRequests, Tool
from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaThinkingPart, DeltaToolCall, FunctionModel
from pydantic_ai.ui.ag_ui import AGUIAdapter
from pydantic_ai.ui.vercel_ai import VercelAIAdapter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TOOLS = {"tool": "lookUp", "server-tool": "look_up_here", "approve": "refund"}


async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[Any]:
    last = messages[-1]
    assert isinstance(last, ModelRequest)
    results = [part for part in last.parts if isinstance(part, ToolReturnPart)]
    if results:
        yield "It is "
        yield f"{results[0].model_response_str()}."
        return
    asked = next(str(part.content) for part in last.parts if isinstance(part, UserPromptPart))
    if asked in TOOLS:
        yield {0: DeltaToolCall(name=TOOLS[asked], json_args='{"order_id":', tool_call_id="call-1")}
        yield {0: DeltaToolCall(json_args='"42"}')}
        return
    if asked == "think":
        yield {0: DeltaThinkingPart(content="Greet.")}
    if asked == "break":
        yield "Let me"
        raise RuntimeError("the model broke")
    for piece in ("You said: ", asked, f", after {len(messages) - 1} messages."):
        yield piece


def look_up_here(order_id: str) -> dict[str, str]:
    return {"order": order_id, "state": "shipped"}


def refund(order_id: str) -> str:
    return f"{order_id} refunded"


agent = Agent(
    FunctionModel(stream_function=answer),
    output_type=[str, DeferredToolRequests],
    tools=[look_up_here, Tool(refund, requires_approval=True)],
)


async def ag_ui(request: Request) -> Response:
    return await AGUIAdapter.dispatch_request(request, agent=agent, include_usage=True)


async def ai_sdk(request: Request) -> Response:
    return await VercelAIAdapter.dispatch_request(request, agent=agent, sdk_version=6)


app = Starlette(routes=[Route("/ag-ui", ag_ui, methods=["POST"]), Route("/ai-sdk", ai_sdk, methods=["POST"])])

if __name__ == "__main__":
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        sys.stdout.write(json.dumps({"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}) + "\n")
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])

"""Programs of others, met over sockets: clients that talk to a gateway, servers that it talks to; how to start them.

    with Gateway(file) as gateway, Client(node("openai_chat")) as client:
        told = client.ask(base=f"{gateway.url}/openai/v1", route="hardwire", mode="whole", turns=["Hello"])
        assert told["turns"][0]["text"] == gateway.native("hardwire", "Hello").text

A client is one process for all that it is asked: `tests/acceptance/clients/answering.py` says what goes in and out.
"""

import itertools
import json
import os
import queue
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from msgspec import Struct

from gateway.canonical.events import (
    Event,
    MessageCompleted,
    MessageFailed,
    ReasoningCompleted,
    Source,
    TextCompleted,
    ToolCallCompleted,
    ToolResult,
    Usage,
)
from tests.support.gateway import read_events

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
NODE_MODULES = HERE / "node" / "node_modules"
ANSWERED_WITHIN = 60.0
READY_WITHIN = 60.0
Told = dict[str, Any]


def needed(program: Path) -> str:
    """Its path; where it is not installed the test is skipped, and fails where CI asks."""
    if not program.exists():
        told = f"{program} is missing: make acceptance installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    return str(program)


def node(script: str) -> list[str]:
    """Under the Node that npm installed, whatever the machine has."""
    installed = sorted(NODE_MODULES.glob("node-linux-*/bin/node"))
    return [needed(installed[0] if installed else NODE_MODULES), str(HERE / "node" / f"{script}.js")]


def python(environment: str, module: str) -> list[str]:
    return [needed(ROOT / ".acceptance" / environment / "bin" / "python"), "-m", f"tests.acceptance.{module}"]


class Program:
    """A process whose lines of output arrive one by one; it ends with the block, or is killed."""

    def __init__(self, command: Sequence[str], **environ: str) -> None:
        self._command = command
        self._environ = environ
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env={**os.environ, **self._environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(self._process.stdout, self._lines.put), daemon=True),
            threading.Thread(target=self._read, args=(self._process.stderr, self._on_error), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        try:
            self._await_start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _await_start(self) -> None:
        """Until it can be used."""

    def _end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join()
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._process.stdout.close()
        self._process.stderr.close()

    def line(self, within: float = ANSWERED_WITHIN) -> Told:
        """The next line of its output, which is a JSON object."""
        try:
            line = self._lines.get(timeout=within)
        except queue.Empty:
            line = None
        if line is None:
            raise AssertionError(f"{self._command} said nothing; its errors: {''.join(self._errors[-40:])}")
        return dict(json.loads(line))

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def _on_error(self, line: str | None) -> None:
        if line is not None:
            self._errors.append(line)

    def _read(self, stream: Any, put: Callable[[str | None], None]) -> None:
        for line in stream:
            put(line)
        put(None)


class Client(Program):
    """A client that is asked line by line."""

    def ask(self, **case: Any) -> Told:
        self.write(json.dumps(case))
        return self.line()


class Server(Program):
    """A server that says on its first line where it listens."""

    def _await_start(self) -> None:
        self.url: str = self.line(READY_WITHIN)["url"]


class LiteLlm(Program):
    """LiteLLM's proxy, which says nothing and is asked until it is there."""

    KEY = "sk-acceptance-4f1c0a86b2d94e7f"

    def __init__(self) -> None:
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self._port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        proxy = needed(ROOT / ".acceptance" / "servers" / "bin" / "litellm")
        config = str(HERE / "servers" / "litellm.yaml")
        super().__init__(
            [proxy, "--config", config, "--host", "127.0.0.1", "--port", str(self._port), "--telemetry", "False"],
            LITELLM_MASTER_KEY=self.KEY,
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )

    def _await_start(self) -> None:
        until(lambda: fetch(f"{self.url}/health/liveliness")[0] == 200, READY_WITHIN)


class Gateway(Program):
    """`gateway serve` on a free port; its log is kept."""

    def __init__(self, config: Path, **environ: str) -> None:
        super().__init__([sys.executable, "-m", "gateway", "serve", "--config", str(config), "--port", "0"], **environ)
        self.log: list[Told] = []
        self._news = threading.Condition()
        self._ended = False
        self._numbers = itertools.count(1)
        self._heard: dict[tuple[str, str], Heard] = {}

    def _await_start(self) -> None:
        self.url: str = self.logged("listening", within=READY_WITHIN)["url"]

    def _on_error(self, line: str | None) -> None:
        super()._on_error(line)
        with self._news:
            if line is None:
                self._ended = True
            elif line.startswith("{"):
                self.log.append(json.loads(line))
            self._news.notify_all()

    def logged(self, event: str, *, since: int = 0, within: float = 10.0, **fields: Any) -> Told:
        """The first log line of that event with those fields, waited for."""

        def found() -> list[Told]:
            return [each for each in self.log[since:] if each["event"] == event and fields.items() <= each.items()]

        with self._news:
            self._news.wait_for(lambda: self._ended or bool(found()), within)
            if not found():
                raise AssertionError(f"no {event} {fields} in the log: {''.join(self._errors[-20:])}")
            return found()[0]

    def messages(self, count: int, request_id: str) -> list[Told]:
        """The access lines of what was asked under that id, as soon as there are so many."""

        def found() -> list[Told]:
            lines = [line for line in self.log if line["event"] in {"message", "refused"}]
            return [line for line in lines if line["request_id"] == request_id]

        with self._news:
            self._news.wait_for(lambda: len(found()) >= count, 10)
            return found()

    def request_id(self) -> str:
        """A new one, to find in the log what a client asked."""
        return f"asked-{next(self._numbers)}"

    def heard(self, route: str, content: str) -> "Heard":
        """What our own stream says to the same message; a simulated vendor says the same each time."""
        if (route, content) not in self._heard:
            self._heard[route, content] = self.native(route, content)
        return self._heard[route, content]

    def native(self, route: str, content: Any, **fields: Any) -> "Heard":
        request_id = self.request_id()
        asked = {"route": route, "content": content, **fields}
        status, body = self.fetch("/v1/messages", asked, **{"X-Request-Id": request_id})
        assert status == 200, body
        return Heard(read_events(body))

    def fetch(self, path: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
        return fetch(self.url + path, body, **headers)


class Heard:
    """A canonical stream, reduced to what other protocols can say as well."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.of(TextCompleted))

    @property
    def reasoning(self) -> str:
        return "".join(event.text for event in self.of(ReasoningCompleted))

    @property
    def conversation_id(self) -> str:
        return str(self.events[0].conversation_id)  # type: ignore[union-attr]  # law 1

    @property
    def owed(self) -> list[Told]:
        """The calls whose results the client owes: names and arguments, as ids differ from message to message."""
        return [_told(call) for call in self.of(ToolCallCompleted) if call.tool_call_id in self.pending]

    @property
    def run(self) -> list[Told]:
        """The calls that the vendor ran itself."""
        return [_told(call) for call in self.of(ToolCallCompleted) if call.tool_call_id not in self.pending]

    @property
    def results(self) -> list[Any]:
        return [event.output for event in self.of(ToolResult)]

    @property
    def sources(self) -> list[str | None]:
        return [event.url for event in self.of(Source)]

    @property
    def pending(self) -> list[str]:
        return list(self.ending.pending_tool_calls or ())

    @property
    def ending(self) -> Any:
        return self.events[-1]

    @property
    def finish(self) -> str:
        ending = self.ending
        if isinstance(ending, MessageCompleted):
            return ending.finish_reason
        return ending.error.code if isinstance(ending, MessageFailed) else "canceled"

    @property
    def usage(self) -> Told | None:
        told: Usage | None = self.ending.usage
        if told is None or told.input_tokens is None:
            return None
        return {"input": told.input_tokens, "output": told.output_tokens}


def _told(call: ToolCallCompleted) -> Told:
    return {"name": call.name, "arguments": call.arguments}


class Vendor(Struct, frozen=True):
    """A vendor of a configuration, and a route of its name."""

    protocol: str
    base_url: str
    target: str = ""
    credentials: dict[str, str] = {}


SIMULATED: dict[str, Vendor] = {
    "hardwire": Vendor(
        "hardwire",
        "simulation:hardwire",
        'model = "gpt-4o"',
        {"email": "demo@example.com", "password": "demo-password"},
    ),
    "chatbase": Vendor("chatbase", "simulation:chatbase", 'agent = "demo-agent"', {"api_key": "demo-api-key"}),
    "sema4": Vendor("sema4", "simulation:sema4", 'agent = "a1"', {"api_key": "demo-api-key"}),
    "limited": Vendor("chatbase", "simulation:chatbase", 'agent = "demo-agent"', {"api_key": "demo-api-key"}),
    "dynamiq": Vendor(
        "dynamiq", "simulation:dynamiq", 'app = "8e9f6c1a-3b7d-4c52-9a41-6f0d2b8e7c15"', {"api_key": "demo-api-key"}
    ),
    "openai_chat": Vendor("openai_chat", "simulation:openai_chat", 'model = "gpt-5"', {"api_key": "demo-api-key"}),
    "openai_responses": Vendor(
        "openai_responses", "simulation:openai_responses", 'model = "gpt-5"', {"api_key": "demo-api-key"}
    ),
    "anthropic": Vendor("anthropic", "simulation:anthropic", 'model = "claude"', {"api_key": "demo-api-key"}),
    "gemini": Vendor("gemini", "simulation:gemini", 'model = "gemini"', {"api_key": "demo-api-key"}),
    "ai_sdk": Vendor("ai_sdk", "simulation:ai_sdk"),
    "ag_ui": Vendor("ag_ui", "simulation:ag_ui"),
}


def configuration(vendors: dict[str, Vendor], more: str = "") -> str:
    """As TOML. No breaker ever opens, so that what fails in one test is asked again in the next."""
    tables = ['[store]\nkind = "memory"\n[simulation]\nport = 0\n']
    for name, vendor in vendors.items():
        secrets = "".join(
            f'{key} = {{ env = "NOT_SET_ANYWHERE", default = "{secret}" }}\n'
            for key, secret in vendor.credentials.items()
        )
        target = f'{{ vendor = "{name}"{", " if vendor.target else ""}{vendor.target} }}'
        tables.append(
            f'[vendors.{name}]\nprotocol = "{vendor.protocol}"\nbase_url = "{vendor.base_url}"\n'
            "allow_plain_http = true\n"
            f"[vendors.{name}.breaker]\nminimum = 1_000_000\n[vendors.{name}.credentials]\n{secrets}"
            f"[routes.{name}]\ntargets = [{target}]\n"
        )
    return "\n".join([*tables, more])


def fetch(url: str, body: Any = None, **headers: str) -> tuple[int, bytes]:
    """Status and body; 0 where nothing listens."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()
    except urllib.error.URLError:
        return 0, b""


def until(is_so: Callable[[], bool], within: float = 20.0) -> None:
    """Waits for a fact that nothing announces."""
    deadline = time.monotonic() + within
    while not is_so():
        if time.monotonic() > deadline:
            raise AssertionError("it never came")
        time.sleep(0.02)

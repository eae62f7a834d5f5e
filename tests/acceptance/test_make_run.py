"""`make run` as a stranger uses it: wait for "Ready", paste what is printed, press Ctrl-C."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.acceptance

ROOT = Path(__file__).parents[2]


@pytest.fixture
def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        bound: int = listener.getsockname()[1]
    return bound


@pytest.fixture
def running(port: int) -> Iterator[subprocess.Popen[str]]:
    if not (ROOT / ".venv" / "installed").exists():
        pytest.skip("`make` has not set up this checkout: make acceptance does")
    with subprocess.Popen(
        ["make", "run", f"PORT={port}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        yield process
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def printed_commands(process: subprocess.Popen[str]) -> list[str]:
    commands: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("  curl"):
            commands.append(line.strip())
        if len(commands) == 6:
            break
    return commands


def test_the_printed_commands_work_as_printed_and_ctrl_c_ends_it_all(running: subprocess.Popen[str], port: int) -> None:
    answers = [
        subprocess.run(command, shell=True, capture_output=True, text=True, timeout=60, check=True).stdout
        for command in printed_commands(running)
    ]
    os.killpg(running.pid, signal.SIGINT)  # what a terminal does on Ctrl-C
    running.wait(20)
    *streams, document = answers
    assert [stream.count("event: message.completed") for stream in streams] == [1, 1, 1, 1, 1]
    for vendor, stream in zip(("dynamiq", "chatbase", "dimedove", "hardwire", "sema4"), streams, strict=True):
        assert f'"vendor":"{vendor}"' in stream
    assert '"status":"completed"' in document
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0

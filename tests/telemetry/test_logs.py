"""What a log line looks like, and what it never shows."""

import logging
import os
import pty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog

from gateway.telemetry import logs

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Lines]:
    """The lines written so far; asking for them ends the log."""
    with (tmp_path / "log").open("w+") as stream:
        sink = logs.configure("json", "info", ["configured-secret"], stream)

        def read() -> list[dict[str, Any]]:
            sink.close()
            return [msgspec.json.decode(line) for line in (tmp_path / "log").read_bytes().splitlines()]

        yield read
        sink.close()


def without_time(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "timestamp"}


def test_a_line_is_one_json_object_with_time_level_and_event_first(lines: Lines) -> None:
    structlog.get_logger().info("message", route="support", attempts=1)
    (line,) = lines()
    assert list(line) == ["timestamp", "level", "event", "route", "attempts"]
    assert line["timestamp"].endswith("Z")
    assert without_time(line) == {"level": "info", "event": "message", "route": "support", "attempts": 1}


def test_lines_below_the_level_are_left_out(lines: Lines) -> None:
    structlog.get_logger().debug("quiet")
    structlog.get_logger().warning("loud")
    assert [line["event"] for line in lines()] == ["loud"]


def test_secrets_are_redacted_in_fields_and_in_the_event_itself(lines: Lines) -> None:
    structlog.get_logger().bind(authorization="Bearer x").info("sent configured-secret", url="https://a/?token=x")
    assert [without_time(line) for line in lines()] == [
        {
            "level": "info",
            "event": "sent [redacted]",
            "authorization": "[redacted]",
            "url": "https://a/?token=[redacted]",
        }
    ]


def test_a_traceback_shows_no_local_variables_and_no_secrets(lines: Lines) -> None:
    local = "a-local-value"
    try:
        raise ValueError("configured-secret")
    except ValueError:
        structlog.get_logger().exception("broken")
    (line,) = lines()
    assert (line["level"], line["exception"][0]["exc_type"]) == ("error", "ValueError")
    assert line["exception"][0]["exc_value"] == "[redacted]"
    assert local not in str(line)


def test_raw_header_bytes_do_not_break_a_line(lines: Lines) -> None:
    structlog.get_logger().info("odd", header="caf\udce9", nested=[{"x": "\udce9"}])
    assert [without_time(line) for line in lines()] == [
        {"level": "info", "event": "odd", "header": "caf\\udce9", "nested": [{"x": "\\udce9"}]}
    ]


def test_the_standard_library_speaks_through_the_same_lines(lines: Lines) -> None:
    logging.getLogger("aiohttp.server").error("Error handling %s", "configured-secret")
    logging.getLogger("aiohttp.access").info("not this")
    assert [without_time(line) for line in lines()] == [
        {"level": "error", "event": "Error handling [redacted]", "logger": "aiohttp.server"}
    ]


def test_on_a_terminal_lines_are_for_people_and_a_client_cannot_draw_on_it() -> None:
    controller, terminal = pty.openpty()
    with os.fdopen(terminal, "w") as stream:
        sink = logs.configure("auto", "info", ["configured-secret"], stream)
        structlog.get_logger().info("message", content="\x1b[2J configured-secret")
        sink.close()
        shown = os.read(controller, 4_096).decode()
    os.close(controller)
    assert "message" in shown
    assert not shown.startswith("{")
    assert "\x1b[2J" not in shown
    assert "\\x1b[2J [redacted]" in shown


def test_a_traceback_for_people_is_redacted_too(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        sink = logs.configure("pretty", "info", ["configured-secret"], stream)
        try:
            raise ValueError("configured-secret")
        except ValueError:
            structlog.get_logger().exception("broken")
        sink.close()
    shown = (tmp_path / "log").read_text()
    assert "ValueError: [redacted]" in shown
    assert "configured-secret" not in shown

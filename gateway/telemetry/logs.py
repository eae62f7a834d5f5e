"""Log lines: JSON, or coloured text on a terminal, redacted, written by a thread of their own.

    {"timestamp":"2026-11-20T09:30:00.123456Z","level":"info","event":"message","route":"support",...}

`configure` is called once by the process; until then structlog's own defaults hold, so tests that look at log lines
need nothing from here. A line of 14 fields costs its caller 13 us, and 4 more where `get_logger()` was never bound; one
that holds something to redact 40. A traceback shows no local variables: they may hold keys.
"""

import logging
import sys
from collections.abc import Collection, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec
import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, Processor

from gateway.telemetry.redaction import Redactor
from gateway.telemetry.sink import Sink

Format = Literal["auto", "json", "pretty"]
Level = Literal["debug", "info", "warning", "error"]

_encode = msgspec.json.Encoder().encode


def configure(
    format: Format = "auto",  # noqa: A002  (the configuration's word)
    level: Level = "info",
    secrets: Collection[str] = (),
    stream: TextIO | None = None,
) -> Sink:
    """Sends structlog's and the standard library's lines to `stream`, by default standard error."""
    stream = stream or sys.stderr
    pretty = format == "pretty" or (format == "auto" and stream.isatty())
    sink = Sink(stream.fileno())
    structlog.configure(
        processors=_pretty(secrets) if pretty else _json(secrets),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_Writer(sink),
        cache_logger_on_first_use=False,
    )
    _route_standard_library()
    return sink


class _Writer:
    """The innermost logger, one for all, and the factory that hands it out: any level just writes the line."""

    def __init__(self, sink: Sink) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = sink.write

    def __call__(self, *_names: object) -> "_Writer":
        return self


def _json(secrets: Collection[str]) -> list[Processor]:
    redact = Redactor(secrets)
    render_exception = structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False))

    def render(logger: object, method: str, event: EventDict) -> bytes:
        fields = redact(render_exception(logger, method, event) if "exc_info" in event else event)
        return _line({"timestamp": datetime.now(UTC), "level": method, "event": fields.pop("event"), **fields})

    return [render]


def _line(fields: Mapping[str, object]) -> bytes:
    try:
        return _encode(fields) + b"\n"
    except UnicodeEncodeError:  # lone surrogates: raw header bytes look like that
        return _encode(_encodable(fields)) + b"\n"


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        return {_encodable(key): _encodable(entry) for key, entry in value.items()}
    return [_encodable(entry) for entry in value] if isinstance(value, list) else value


def _pretty(secrets: Collection[str]) -> list[Processor]:
    redact = Redactor(secrets)
    # `repr` of texts, so that a client's line breaks and escape sequences cannot draw on the operator's terminal.
    console = structlog.dev.ConsoleRenderer(repr_native_str=True)

    def redacted(_logger: object, _method: str, event: EventDict) -> MutableMapping[str, Any]:
        return redact(event)

    def render(logger: object, method: str, event: EventDict) -> bytes:
        return console(logger, method, event).encode("utf-8", "backslashreplace") + b"\n"

    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redacted,
        render,
    ]


class _Bridge(logging.Handler):
    """Hands the lines of aiohttp, asyncio and other libraries to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger()
        log.log(record.levelno, record.getMessage(), logger=record.name, exc_info=record.exc_info)


def _route_standard_library() -> None:
    root = logging.getLogger()
    root.handlers = [_Bridge(logging.WARNING)]
    root.setLevel(logging.WARNING)

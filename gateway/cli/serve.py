"""`gateway serve`: reads the configuration and hands it to the composition root."""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import http_parser

from gateway import settings
from gateway.protocols.base import Descriptor
from gateway.settings import SettingsError

NO_PARSER = "gateway: aiohttp has no compiled HTTP parser: unset AIOHTTP_NO_EXTENSIONS, or install aiohttp's wheel"


def serve(config: Path, protocols: Mapping[str, Descriptor], *, host: str | None, port: int | None) -> int:
    """Raises `SettingsError`, also where aiohttp would parse requests in Python: slower, and more lenient; and
    `GatewayError` where the store cannot be used."""
    if not has_compiled_parser():
        raise SettingsError([NO_PARSER])
    from gateway.app import serve as serve_app  # noqa: PLC0415  (`check` and `key` need no server)

    loaded = settings.load(config, protocols, host=host, port=port)
    serve_app(loaded, protocols)
    return 0


def has_compiled_parser() -> bool:
    return http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy

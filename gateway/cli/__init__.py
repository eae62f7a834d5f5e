"""The command `gateway`: serve, check, key, simulate. `main` returns the exit code: 0, 1 (refused) or 2 (misused)."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from gateway.canonical.errors import GatewayError
from gateway.cli.check import check
from gateway.cli.key import make_key
from gateway.cli.serve import serve
from gateway.cli.simulate import simulate
from gateway.protocols import registry
from gateway.protocols.base import Descriptor
from gateway.settings import NAME, SettingsError


def main(arguments: Sequence[str] | None = None) -> int:
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if "run" not in chosen:
        parser.print_help()
        return 2
    try:
        code: int = chosen.run(chosen)
    except SettingsError as error:
        return _refuse(*error.problems)
    except GatewayError as error:  # a store that cannot be used
        return _refuse(f"gateway: {error.message}")
    except OSError as error:  # a port in use
        return _refuse(f"gateway: {error.strerror or error}")
    except KeyboardInterrupt:
        return 0
    return code


def _refuse(*lines: str) -> int:
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="gateway",
        description="One SSE endpoint in front of every conversational vendor.",
        epilog="gateway COMMAND --help tells more about each.",
    )
    parser.add_argument("--version", action="version", version=f"gateway {version('protocol-gateway')}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _add_serve(commands)
    _add_check(commands)
    _add_key(commands)
    _add_simulate(commands)
    return parser


_Commands = argparse._SubParsersAction  # noqa: SLF001  (argparse names its type nowhere else)


def _add_serve(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "serve",
        help="serve the configured routes",
        description="Serves the routes of a configuration until SIGINT or SIGTERM; open streams get time to end.",
    )
    command.add_argument("--config", type=Path, required=True, metavar="FILE", help="the configuration, TOML")
    command.add_argument("--host", metavar="H", help="instead of the configuration's server.host")
    command.add_argument(
        "--port", type=_port, metavar="N", help="instead of the configuration's server.port; 0: any free one"
    )
    command.set_defaults(
        run=lambda chosen: serve(chosen.config, _protocols(), host=chosen.host, port=chosen.port),
    )


def _add_check(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "check",
        help="check a configuration and explain it",
        description="Tells what a configuration means, or all that is wrong with it (exit code 1). Shows no secret.",
    )
    command.add_argument("config", type=Path, metavar="FILE", help="the configuration, TOML")
    command.set_defaults(run=lambda chosen: check(chosen.config, _protocols(), sys.stdout))


def _add_key(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "key",
        help="make a key for a caller",
        description="Makes a random key, shows it once, and prints the lines that let the configuration know its hash.",
    )
    command.add_argument("id", nargs="?", type=_name, default="my-team", metavar="ID", help="whose key it is")
    command.set_defaults(run=lambda chosen: make_key(chosen.id, sys.stdout))


def _add_simulate(commands: "_Commands[argparse.ArgumentParser]") -> None:
    command = commands.add_parser(
        "simulate",
        help="play the vendors, without a gateway",
        description="Serves simulated vendors on 127.0.0.1, each below its protocol's name.",
    )
    command.add_argument("--port", type=_port, default=8091, metavar="N", help="default 8091; 0: any free one")
    command.add_argument(
        "--play",
        type=_play,
        action="append",
        default=[],
        metavar="PROTOCOL=PLAY",
        help="what a vendor plays where the message chooses nothing",
    )
    command.add_argument("--list", action="store_true", help="list the plays of each vendor and leave")
    command.set_defaults(
        run=lambda chosen: simulate(
            _protocols(), dict(chosen.play), sys.stdout, port=None if chosen.list else chosen.port
        ),
    )


def _protocols() -> Mapping[str, Descriptor]:
    try:
        return registry.load()
    except ValueError as error:
        raise SettingsError([f"gateway: {error}"]) from error


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"a port is 0 to 65535, got {text!r}")
    return int(text)


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("an id has 1 to 128 letters, digits, dots, underscores and hyphens")
    return text


def _play(text: str) -> tuple[str, str]:
    protocol, equals, play = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"expected PROTOCOL=PLAY, got {text!r}")
    return protocol, play

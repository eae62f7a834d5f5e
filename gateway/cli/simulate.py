"""`gateway simulate`: the simulated vendors alone, for trying a translator or another client of theirs."""

import asyncio
import signal
from collections.abc import Mapping
from typing import TextIO

from gateway.protocols.base import Descriptor, Simulator
from gateway.settings import SettingsError, nearest
from gateway.simulation.host import serve_host


def simulate(protocols: Mapping[str, Descriptor], play: Mapping[str, str], out: TextIO, *, port: int | None) -> int:
    """Serves until SIGINT or SIGTERM; without a port it lists the plays. Raises `SettingsError` for an unknown play."""
    simulators = _build(protocols, play)
    if port is None:
        _list(simulators, out)
    else:
        asyncio.run(_serve(simulators, port, out))
    return 0


def _build(protocols: Mapping[str, Descriptor], play: Mapping[str, str]) -> dict[str, Simulator]:
    simulators = {
        name: descriptor.simulator(play.get(name, ""))
        for name, descriptor in protocols.items()
        if descriptor.simulator is not None
    }
    problems = [
        f"--play {name}: no simulated vendor of that name{nearest(name, simulators)}"
        for name in play
        if name not in simulators
    ]
    problems += [
        f"--play {name}={play[name]}: no such play{nearest(play[name], simulator.plays)}"
        for name, simulator in simulators.items()
        if name in play and play[name] not in simulator.plays
    ]
    if problems:
        raise SettingsError(problems)
    return simulators


def _list(simulators: Mapping[str, Simulator], out: TextIO) -> None:
    for name, simulator in simulators.items():
        out.write(f"{name}\n")
        out.writelines(f"    {play or '(the usual one)':28} {shows}\n" for play, shows in simulator.plays.items())


async def _serve(simulators: Mapping[str, Simulator], port: int, out: TextIO) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with serve_host(simulators, port) as url:
        out.writelines(f"{name:12} {url}/{name}\n" for name in simulators)
        out.write("A message that holds [play:NAME] chooses a play; --list names them. Ctrl-C ends.\n")
        out.flush()
        await stopped.wait()

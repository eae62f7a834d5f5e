"""`make bench`: microseconds of CPU per event and per stream, of the gateway and of a raw aiohttp pass-through.

    vendor    plays Hardwire's documented dialect, one event per write (see `vendor.py`)
    target    the gateway, with a key, metrics and the access line on; or the pass-through (see `passthrough.py`)
    load      16 keep-alive connections, one stream after another on each (see `load.py`)

    long      200 events, 2 ms apart on each stream, so that a target finds one event per read: CPU per event
    short     5 events in successive turns of the vendor's event loop: CPU per stream

Everything is on 127.0.0.1 and on uvloop where it is installed. The targets have one core, vendor and load the others.
CPU is user and system time of the target's process as /proc has it, in ticks of 10 ms, so this runs on Linux. The
targets take turns in each round; shown are medians over the rounds, and the median of the rounds' ratios.
`events/write` near 1 says that no events were taken together.
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from types import FrameType

import msgspec
from msgspec import Struct

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("gateway.toml")

SERVE = ("-m", "gateway", "serve")
KEY = "bench-key"
GATEWAY_ENVIRON = {"GATEWAY_BENCH_KEY": KEY, "HARDWIRE_COOKIE": "session=bench", "HARDWIRE_USER_ID": "bench"}

CONNECTIONS = 16
STARTED_WITHIN = 15.0
STOPPED_WITHIN = 5.0
GRACE = 15.0
"""Seconds that a load may take beyond its time, for its own start and the last streams."""


class Workload(Struct, frozen=True):
    name: str
    events: int
    gap: float
    unit: str
    per: int
    """What the CPU of one stream is divided by."""


WORKLOADS = (
    Workload("long", events=200, gap=0.002, unit="us/event", per=200),
    Workload("short", events=5, gap=0, unit="us/stream", per=1),
)


class Target(Struct, frozen=True):
    name: str
    pid: int
    port: int
    path: str
    terminal: str


class Sample(Struct, frozen=True):
    """One target under one workload for a while."""

    cost: float
    events_per_write: float


class Counted(Struct):
    """What a load tells."""

    streams: int
    writes: int


Rounds = dict[str, list[dict[str, Sample]]]
"""Workload -> a sample of each target, for every round."""


def main() -> None:
    asked = _parse()
    if not Path("/proc/self/stat").exists():
        sys.exit("CPU is read from /proc, which this system does not have: make bench needs Linux")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    began = time.monotonic()
    try:
        rounds = measure(asked.rounds, asked.seconds)
    except KeyboardInterrupt:
        sys.exit(130)
    except RuntimeError as failure:
        sys.exit(str(failure))
    sys.stdout.write("".join(f"{line}\n" for line in table(rounds)))
    _tell(f"{time.monotonic() - began:.0f} s in all")


def measure(rounds: int, seconds: float) -> Rounds:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        vendor, vendor_port = stack.enter_context(_announced(_other_cores(), "vendor"))
        _tell(f"vendor: process {vendor}")
        targets = (
            stack.enter_context(_gateway(folder, vendor_port)),
            stack.enter_context(_passthrough(vendor_port)),
        )
        for target in targets:
            _tell(f"{target.name}: process {target.pid}")
            for workload in WORKLOADS:
                _sample(target, workload, min(seconds, 0.5))  # connections, caches and counters exist from here on
        return {workload.name: _take_turns(targets, workload, rounds, seconds) for workload in WORKLOADS}


def table(rounds: Rounds) -> Iterator[str]:
    first = next(iter(rounds.values()))
    yield (
        f"{os.cpu_count()} cores, {CONNECTIONS} connections, Python {platform.python_version()}, "
        f"aiohttp {version('aiohttp')}, uvloop {_uvloop()}; medians of {len(first)} rounds"
    )
    yield ""
    yield f"{'CPU of the process':34} {'gateway':>12} {'pass-through':>14} {'ratio':>7} {'events/write':>14}"
    for workload in WORKLOADS:
        samples = rounds[workload.name]
        ours, raw = ([each[name].cost for each in samples] for name in ("gateway", "pass-through"))
        ratio = median(mine / other for mine, other in zip(ours, raw, strict=True))
        together = ", ".join(
            f"{median(each[name].events_per_write for each in samples):.2f}" for name in ("gateway", "pass-through")
        )
        what = f"{workload.name} streams ({workload.events} events), {workload.unit}"
        yield f"{what:34} {median(ours):12.1f} {median(raw):14.1f} {ratio:7.2f} {together:>14}"


# --- measuring


def _take_turns(
    targets: tuple[Target, ...], workload: Workload, rounds: int, seconds: float
) -> list[dict[str, Sample]]:
    samples = []
    for number in range(1, rounds + 1):
        each = {target.name: _sample(target, workload, seconds) for target in targets}
        told = ", ".join(f"{name} {sample.cost:.1f}" for name, sample in each.items())
        _tell(f"{workload.name}, round {number} of {rounds}: {told} {workload.unit}")
        samples.append(each)
    return samples


def _sample(target: Target, workload: Workload, seconds: float) -> Sample:
    before = cpu_seconds(target.pid)
    counted = _run_load(target, workload, seconds)
    used = cpu_seconds(target.pid) - before
    events = counted.streams * workload.events
    return Sample(used * 1e6 / (counted.streams * workload.per), events / counted.writes)


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, also of those that ended (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _run_load(target: Target, workload: Workload, seconds: float) -> Counted:
    body = msgspec.json.encode({"content": f"{workload.events} {workload.gap}"}).decode()
    told = {
        "port": target.port,
        "path": target.path,
        "key": KEY,
        "body": body,
        "terminal": target.terminal,
        "events": workload.events,
        "seconds": seconds,
        "connections": CONNECTIONS,
    }
    arguments = [f"--{name}={value}" for name, value in told.items()]
    with _process(_other_cores(), "-m", "tests.benchmarks.load", *arguments) as load:
        out, _ = load.communicate(timeout=seconds + GRACE)
        if load.returncode != 0:
            raise RuntimeError(f"the load failed at the {target.name}")
    return msgspec.json.decode(out, type=Counted)


# --- the processes


@contextmanager
def _gateway(folder: Path, vendor_port: int) -> Iterator[Target]:
    config = folder / "gateway.toml"
    config.write_text(CONFIG.read_text().replace("@UP@", str(vendor_port)))
    log = folder / "gateway.log"
    with (
        log.open("wb") as err,
        _process(_target_core(), *SERVE, "--config", str(config), "--port", "0", err=err.fileno()) as process,
    ):
        yield Target("gateway", process.pid, _listening_port(process, log), "/v1/messages", "message.completed")


def _listening_port(process: subprocess.Popen[str], log: Path) -> int:
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_bytes().splitlines(keepends=True):
            if b'"event":"listening"' in line and line.endswith(b"\n"):
                url: str = msgspec.json.decode(line)["url"]
                return int(url.rpartition(":")[2])
        time.sleep(0.05)
    raise RuntimeError(f"the gateway does not start: {log.read_text()}")


@contextmanager
def _passthrough(vendor_port: int) -> Iterator[Target]:
    with _announced(_target_core(), "passthrough", f"http://127.0.0.1:{vendor_port}") as (pid, port):
        yield Target("pass-through", pid, port, "/chats/bench/messages/stream", '"type":"end"')


@contextmanager
def _announced(cores: set[int], module: str, *arguments: str) -> Iterator[tuple[int, int]]:
    """A module beside this one that prints its port: its process id and that port."""
    with _process(cores, "-m", f"tests.benchmarks.{module}", *arguments) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the {module} does not start")
        yield process.pid, int(line)


@contextmanager
def _process(cores: set[int], *arguments: str, err: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """Python with these arguments on these cores, away from the terminal's Ctrl-C, and ended whatever happens here."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **GATEWAY_ENVIRON},
        stdout=subprocess.PIPE,
        stderr=err,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            os.sched_setaffinity(process.pid, cores)
            yield process
        finally:
            _end(process)


def _target_core() -> set[int]:
    return {min(os.sched_getaffinity(0))}


def _other_cores() -> set[int]:
    """All but the target's, where there are others."""
    return os.sched_getaffinity(0) - _target_core() or _target_core()


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


# --- words


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU per event and per stream, beside a raw aiohttp pass-through.")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="default 3")
    parser.add_argument("--seconds", type=float, default=2.5, metavar="S", help="of each measurement; default 2.5")
    return parser.parse_args()


def _uvloop() -> str:
    try:
        return version("uvloop")
    except PackageNotFoundError:
        return "not installed"


def _tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    main()

"""`make bench` still runs: a hundredth of its time, the same processes and the same table."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.load import Load, build_request, split_chunks

BENCH = Path(__file__).with_name("bench.py")
ROW = re.compile(r"(?P<what>\w+ streams) .* (?P<ours>[\d.]+) +(?P<raw>[\d.]+) +(?P<ratio>[\d.]+) +[\d.]+, [\d.]+")

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="CPU is read from /proc")


@pytest.mark.process
def test_the_bench_prints_a_row_of_costs_for_each_workload_and_ends_its_processes() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--rounds", "1", "--seconds", "0.1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    rows = [found for line in done.stdout.splitlines() if (found := ROW.match(line))]
    assert [row["what"] for row in rows] == ["long streams", "short streams"]
    assert all(float(row["ours"]) > 0 and float(row["raw"]) > 0 for row in rows)
    started = re.findall(r"process (\d+)", done.stderr)
    assert len(started) == 3
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []


def test_a_chunked_body_is_split_where_it_was_written() -> None:
    assert split_chunks(b"3\r\none\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n") == [b"one", b"\r\n\r\n"]


@pytest.mark.parametrize(
    "body",
    [
        b'data: {"type":"content","delta":" word"}\n\ndata: {"type":"end"}\n\n',
        b'data: {"type":"content","delta":" word"}\n\ndata: {"type":"content","delta":" word"}\n\n',
    ],
)
def test_a_stream_without_all_its_events_or_its_terminal_fails_the_measurement(body: bytes) -> None:
    load = Load(0, build_request("/", "k", "{}"), events=2, terminal=b'"type":"end"', seconds=0)
    with pytest.raises(ValueError, match="no whole stream"):
        load.check(body)

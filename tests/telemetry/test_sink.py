"""Lines leave through a thread of their own: nothing is lost at the end, and nobody waits for a reader."""

import os
import time

from gateway.telemetry.sink import Sink


def drained(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as reader:
        return reader.read()


def test_lines_are_whole_and_in_order_after_close() -> None:
    reader, writer = os.pipe()
    sink = Sink(writer)
    for number in range(3):
        sink.write(b"line %d\n" % number)
    sink.close()
    os.close(writer)
    assert drained(reader) == b"line 0\nline 1\nline 2\n"
    assert sink.dropped == 0


def test_lines_leave_without_close() -> None:
    reader, writer = os.pipe()
    sink = Sink(writer)
    sink.write(b"now\n")
    assert os.read(reader, 100) == b"now\n"
    sink.close()
    os.close(writer)
    os.close(reader)


def test_a_pipe_that_nobody_reads_holds_nobody_and_the_lost_lines_are_counted() -> None:
    reader, writer = os.pipe()
    sink = Sink(writer, bound=100)
    line = b"x" * 9_999 + b"\n"
    started = time.monotonic()
    for _ in range(1_000):
        sink.write(line)
    assert time.monotonic() - started < 0.5
    assert sink.dropped >= 900
    received = b""
    while len(received) < (1_000 - sink.dropped) * len(line):
        received += os.read(reader, 65_536)
    sink.close()
    os.close(writer)
    os.close(reader)
    assert received == line * (1_000 - sink.dropped)


def test_a_pipe_that_refuses_for_now_is_tried_again() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    sink = Sink(writer)
    sink.write(b"y" * 300_000)
    received = b""
    while len(received) < 300_000:
        received += os.read(reader, 65_536)
    sink.close()
    os.close(writer)
    os.close(reader)
    assert (len(received), sink.dropped) == (300_000, 0)


def test_a_reader_that_went_away_is_survived_and_counted() -> None:
    reader, writer = os.pipe()
    sink = Sink(writer)
    os.close(reader)
    sink.write(b"lost\n")
    sink.close()
    os.close(writer)
    assert sink.dropped == 1


def test_close_does_not_wait_for_ever_for_a_reader() -> None:
    reader, writer = os.pipe()
    sink = Sink(writer)
    sink.write(b"z" * 1_000_000)
    started = time.monotonic()
    sink.close()
    assert time.monotonic() - started < 5
    os.close(reader)  # frees the thread
    os.close(writer)

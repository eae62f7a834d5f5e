"""The metrics, in a registry of their own: counters are added once per message, never per delta.

    message(...)    at a message's end
    attempt(...)    at an attempt's end; `outcome` is "completed" or a `canonical.errors.Cause`
    exposition()    the text that Prometheus scrapes

Every label has a closed set of values: names from the configuration, protocols, causes. Nothing a client sent gets into
one. A label's child is looked up once and kept: `labels()` costs 2 us each time.
"""

import platform
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.canonical.errors import Cause

Outcome = Literal["completed", "failed", "canceled"]

NO_VENDOR = "none"
"""The vendor of a message that no vendor was asked for."""

FIRST_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
WHOLE_BUCKETS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0)


M = TypeVar("M", Counter, Histogram)


class _Children(dict[tuple[str, ...], M]):
    """A metric's children by their labels."""

    def __init__(self, family: M) -> None:
        super().__init__()
        self._family: M = family

    def __missing__(self, labels: tuple[str, ...]) -> M:
        child: M = self._family.labels(*labels)
        self[labels] = child
        return child


class Metrics:
    """`log_lines_dropped` reads the log's own count at each scrape."""

    def __init__(self, version: str, log_lines_dropped: Callable[[], int] = lambda: 0) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self._registry.register(_LogLines(log_lines_dropped))
        self._messages = self._counter(
            "gateway_messages", "Messages by how they ended.", ("route", "vendor", "outcome")
        )
        self._attempts = self._counter(
            "gateway_attempts", "Tries at one target by how they ended.", ("vendor", "protocol", "outcome")
        )
        self._first_event = self._histogram(
            "gateway_time_to_first_event_seconds", "From the request to the vendor's first event.", FIRST_BUCKETS
        )
        self._first_text = self._histogram(
            "gateway_time_to_first_text_seconds", "From the request to the first text.", FIRST_BUCKETS
        )
        self._duration = self._histogram(
            "gateway_message_duration_seconds", "From the request to the terminal event.", WHOLE_BUCKETS
        )
        self._unknown = self._counter(
            "gateway_unknown_vendor_events", "Vendor events that no translator understands.", ("protocol",)
        )
        self._notices = self._counter("gateway_notices", "Oddities in what vendors sent.", ("protocol", "kind"))
        self._requests = self._counter("gateway_http_requests", "Requests answered.", ("handler", "status_class"))
        self._heartbeats = Counter("gateway_heartbeats", "Heartbeats sent to clients.", registry=self._registry)
        self._open_streams = Gauge("gateway_open_streams", "Messages being streamed.", registry=self._registry)
        self._unhandled = Counter(
            "gateway_unhandled_errors", "Exceptions that nothing of ours expected.", registry=self._registry
        )
        build = Gauge(
            "gateway_build_info", "What runs here.", ("version", "python", "aiohttp"), registry=self._registry
        )
        build.labels(version, platform.python_version(), aiohttp.__version__).set(1)

    def message(
        self,
        *,
        route: str,
        vendor: str | None,
        outcome: Outcome,
        duration: float,
        first_event: float | None = None,
        first_text: float | None = None,
        heartbeats: int = 0,
    ) -> None:
        """Durations run from the client's request, in seconds; None where it never came to that."""
        self._messages[route, vendor or NO_VENDOR, outcome].inc()
        self._duration[(route,)].observe(duration)
        if first_event is not None:
            self._first_event[(route,)].observe(first_event)
        if first_text is not None:
            self._first_text[(route,)].observe(first_text)
        if heartbeats:
            self._heartbeats.inc(heartbeats)

    def attempt(self, *, vendor: str, protocol: str, outcome: Cause | Literal["completed"]) -> None:
        self._attempts[vendor, protocol, outcome].inc()

    def unknown_vendor_events(self, protocol: str, count: int = 1) -> None:
        self._unknown[(protocol,)].inc(count)

    def notice(self, protocol: str, kind: str, count: int = 1) -> None:
        self._notices[protocol, kind].inc(count)

    def request(self, handler: str, status: int) -> None:
        """`handler` is the matched route's own name, never the path that a client sent."""
        self._requests[handler, f"{status // 100}xx"].inc()

    def stream_opened(self) -> None:
        self._open_streams.inc()

    def stream_closed(self) -> None:
        self._open_streams.dec()

    def unhandled_error(self) -> None:
        self._unhandled.inc()

    def exposition(self) -> tuple[bytes, str]:
        """The body and its content type."""
        return generate_latest(_WithoutCreated(self._registry)), CONTENT_TYPE_PLAIN_0_0_4

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> _Children[Counter]:
        return _Children(Counter(name, text, labels, registry=self._registry))

    def _histogram(self, name: str, text: str, buckets: Sequence[float]) -> _Children[Histogram]:
        return _Children(Histogram(name, text, ("route",), buckets=buckets, registry=self._registry))


class _LogLines(Collector):
    def __init__(self, dropped: Callable[[], int]) -> None:
        self._dropped = dropped

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(
            "gateway_log_lines_dropped", "Log lines that nobody read in time.", value=self._dropped()
        )


class _WithoutCreated(Collector):
    """Leaves out the time at which each series began: every counter would be two."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric

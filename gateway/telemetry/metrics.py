"""The metrics, in a registry of their own: counters are added once per message, never per delta.

    message(...)    at a message's end
    attempt(...)    at an attempt's end; `outcome` is "completed" or a `canonical.errors.Cause`
    exposition()    the text that Prometheus scrapes

Every label has a closed set of values: names from the configuration, protocols, causes. Nothing a client sent gets into
one. All is counted in plain numbers, on the one thread of the event loop, and given to prometheus-client at a scrape:
its own counters take a lock and 0.3 us each time, its histograms 2.5 us.
"""

import platform
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Literal, Protocol

import aiohttp
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.canonical.errors import Cause

Outcome = Literal["completed", "failed", "canceled"]

NO_VENDOR = "none"
"""The vendor of a message that no vendor was asked for."""

FIRST_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
GAP_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0)
WHOLE_BUCKETS = (0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 1800.0)


class _Counter(Collector):
    """A counter by its labels; without labels it is there from the start."""

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._values: dict[tuple[str, ...], int] = {} if labels else {(): 0}

    def add(self, *labels: str, count: int = 1) -> None:
        self._values[labels] = self._values.get(labels, 0) + count

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


class _Histogram(Collector):
    """Durations in seconds, by the values of one label."""

    def __init__(self, name: str, text: str, label: str, bounds: Sequence[float]) -> None:
        self._name, self._text, self._label, self._bounds = name, text, label, bounds
        self._counts: dict[str, list[int]] = {}
        self._sums: dict[str, float] = {}

    def observe(self, value: str, seconds: float) -> None:
        counts = self._counts.get(value)
        if counts is None:
            counts = self._counts[value] = [0] * (len(self._bounds) + 1)
            self._sums[value] = 0.0
        counts[bisect_left(self._bounds, seconds)] += 1
        self._sums[value] += seconds

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=(self._label,))
        names = [*(str(bound) for bound in self._bounds), "+Inf"]
        for value, counts in self._counts.items():
            buckets = list(zip(names, accumulate(counts), strict=True))
            family.add_metric((value,), buckets, self._sums[value])
        yield family


class VendorHealth(Protocol):
    """What is shown of a vendor's health; `paused` is seconds."""

    @property
    def breaker(self) -> Literal["closed", "open", "half_open"]: ...
    @property
    def paused(self) -> float: ...
    @property
    def retries_left(self) -> float: ...
    @property
    def is_refused(self) -> bool: ...


class _Health(Collector):
    def __init__(self, read: Callable[[], Iterable[tuple[str, VendorHealth]]]) -> None:
        self._read = read

    def collect(self) -> Iterator[Metric]:
        breaker = GaugeMetricFamily(
            "gateway_breaker_state", "1 for the state that a vendor's breaker is in.", labels=("vendor", "state")
        )
        paused = _gauge("gateway_vendor_paused_seconds", "Seconds until a vendor that limits our rate is called again.")
        budget = _gauge("gateway_retry_budget_left", "Retries that a vendor may be sent now.")
        refused = _gauge("gateway_credential_refused", "Whether a vendor refused our credential when last asked.")
        for vendor, health in self._read():
            for state in ("closed", "open", "half_open"):
                breaker.add_metric((vendor, state), health.breaker == state)
            if health.paused:
                paused.add_metric((vendor,), health.paused)
            budget.add_metric((vendor,), health.retries_left)
            refused.add_metric((vendor,), health.is_refused)
        yield from (breaker, paused, budget, refused)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=("vendor",))


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
        self._to_headers = self._histogram(
            "gateway_time_to_headers_seconds",
            "From an attempt's start to its vendor's first response head.",
            FIRST_BUCKETS,
            "vendor",
        )
        self._gap = self._histogram(
            "gateway_longest_gap_seconds",
            "The longest time between two events of a vendor, per attempt.",
            GAP_BUCKETS,
            "vendor",
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
        self._omitted = self._counter(
            "gateway_omitted_events", "Events that a client's dialect has no words for.", ("dialect", "event")
        )
        self._ignored = self._counter(
            "gateway_ignored_options", "What messages asked for that has no effect there.", ("protocol", "option")
        )
        self._notices = self._counter("gateway_notices", "Oddities in what vendors sent.", ("protocol", "kind"))
        self._requests = self._counter("gateway_http_requests", "Requests answered.", ("handler", "status_class"))
        self._errands = self._counter(
            "gateway_errands",
            "Calls to vendors beside messages (conversations, files, data frames) by how they ended.",
            ("vendor", "operation", "outcome"),
        )
        self._health_probes = self._counter(
            "gateway_health_probes", "Times that a vendor was asked for its health.", ("vendor", "outcome")
        )
        self._recoveries = self._counter(
            "gateway_recoveries",
            "Conversations looked for at a vendor after an attempt that broke off, by what was found.",
            ("vendor", "outcome"),
        )
        self._resumed = self._counter(
            "gateway_resumed_runs", "Times that a vendor's run was gone back to, its stream having broken.", ("vendor",)
        )
        self._rebound = self._counter(
            "gateway_rebound_conversations", "Conversations begun anew at a vendor that had lost them.", ("vendor",)
        )
        self._failovers = self._counter(
            "gateway_failovers",
            "Messages that went over to another vendor, by how far the attempt had come that failed, and why it did.",
            ("from", "to", "phase", "cause"),
        )
        self._retries = self._counter(
            "gateway_retries", "Attempts at a target that had just failed, by why it did.", ("vendor", "cause")
        )
        self._hedges = self._counter(
            "gateway_hedges", "Vendors asked beside another one that had not begun to answer.", ("vendor", "outcome")
        )
        self._discarded = self._counter(
            "gateway_discarded_characters", "Characters of an answer that clients were told to forget.", ("vendor",)
        )
        self._catch_ups = self._counter(
            "gateway_catch_ups", "Vendors told what was said elsewhere in a conversation.", ("vendor",)
        )
        self._catch_up_size = self._counter(
            "gateway_catch_up_characters", "Characters of what vendors were told of conversations.", ("vendor",)
        )
        self._left_out = self._counter(
            "gateway_catch_up_turns_left_out", "Turns that vendors were not told of for want of room.", ("vendor",)
        )
        self._store_failures = self._counter(
            "gateway_store_failures", "Calls to our store that failed, by what was to be done.", ("operation",)
        )
        self._disconnects = self._counter(
            "gateway_client_disconnects",
            "Clients that left before the end of an answer, by what became of its run.",
            ("route", "policy"),
        )
        self._heartbeats = self._counter("gateway_heartbeats", "Heartbeats sent to clients.")
        self._open = 0
        open_streams = Gauge("gateway_open_streams", "Messages being answered.", registry=self._registry)
        open_streams.set_function(lambda: self._open)
        self._unhandled = self._counter("gateway_unhandled_errors", "Exceptions that nothing of ours expected.")
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
        self._messages.add(route, vendor or NO_VENDOR, outcome)
        self._duration.observe(route, duration)
        if first_event is not None:
            self._first_event.observe(route, first_event)
        if first_text is not None:
            self._first_text.observe(route, first_text)
        if heartbeats:
            self._heartbeats.add(count=heartbeats)

    def attempt(
        self,
        *,
        vendor: str,
        protocol: str,
        outcome: Cause | Literal["completed"],
        to_headers: float | None = None,
        longest_gap: float = 0.0,
        resumes: int = 0,
    ) -> None:
        """`to_headers` and `longest_gap` are seconds: None where no head came, and 0 where there were no two events."""
        self._attempts.add(vendor, protocol, outcome)
        if longest_gap:
            self._gap.observe(vendor, longest_gap)
        if resumes:
            self._resumed.add(vendor, count=resumes)
        if to_headers is not None:
            self._to_headers.observe(vendor, to_headers)

    def watch_connections(self, count: Callable[[], int]) -> None:
        """Reads at each scrape how many connections to vendors are open."""
        gauge = Gauge("gateway_vendor_connections", "Open connections to vendors.", registry=self._registry)
        gauge.set_function(count)

    def watch_health(self, read: Callable[[], Iterable[tuple[str, VendorHealth]]]) -> None:
        """Reads at each scrape how each vendor is."""
        self._registry.register(_Health(read))

    def unknown_vendor_events(self, protocol: str, count: int = 1) -> None:
        self._unknown.add(protocol, count=count)

    def omitted(self, dialect: str, event: str, count: int) -> None:
        self._omitted.add(dialect, event, count=count)

    def ignored(self, protocol: str, option: str) -> None:
        self._ignored.add(protocol, option)

    def notice(self, protocol: str, kind: str, count: int = 1) -> None:
        self._notices.add(protocol, kind, count=count)

    def request(self, handler: str, status: int) -> None:
        """`handler` is the matched route's own name, never the path that a client sent."""
        self._requests.add(handler, f"{status // 100}xx")

    def stream_opened(self) -> None:
        self._open += 1

    def stream_closed(self) -> None:
        self._open -= 1

    def unhandled_error(self) -> None:
        self._unhandled.add()

    def errand(self, *, vendor: str, operation: str, outcome: str) -> None:
        """`outcome` as an attempt's."""
        self._errands.add(vendor, operation, outcome)

    def health_probe(self, *, vendor: str, outcome: Cause | Literal["ok"]) -> None:
        self._health_probes.add(vendor, outcome)

    def recovery(self, *, vendor: str, outcome: Literal["confirmed", "missed", "abandoned"]) -> None:
        self._recoveries.add(vendor, outcome)

    def failover(self, *, source: str, to: str, phase: str, cause: str) -> None:
        self._failovers.add(source, to, phase, cause)

    def retry(self, *, vendor: str, cause: str) -> None:
        self._retries.add(vendor, cause)

    def hedge(self, *, vendor: str, outcome: Literal["won", "lost"]) -> None:
        self._hedges.add(vendor, outcome)

    def discarded(self, vendor: str, characters: int) -> None:
        self._discarded.add(vendor, count=characters)

    def catch_up(self, *, vendor: str, characters: int, turns_left_out: int) -> None:
        self._catch_ups.add(vendor)
        self._catch_up_size.add(vendor, count=characters)
        if turns_left_out:
            self._left_out.add(vendor, count=turns_left_out)

    def rebound(self, vendor: str) -> None:
        self._rebound.add(vendor)

    def client_left(self, *, route: str, policy: Literal["cancel", "drain", "continue"]) -> None:
        self._disconnects.add(route, policy)

    def store_failure(self, operation: str) -> None:
        self._store_failures.add(operation)

    def exposition(self) -> tuple[bytes, str]:
        """The body and its content type."""
        return generate_latest(_WithoutCreated(self._registry)), CONTENT_TYPE_PLAIN_0_0_4

    def _counter(self, name: str, text: str, labels: Sequence[str] = ()) -> _Counter:
        counter = _Counter(name, text, labels)
        self._registry.register(counter)
        return counter

    def _histogram(self, name: str, text: str, bounds: Sequence[float], label: str = "route") -> _Histogram:
        histogram = _Histogram(name, text, label, bounds)
        self._registry.register(histogram)
        return histogram


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

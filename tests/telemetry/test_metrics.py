"""What Prometheus reads."""

from gateway.telemetry.metrics import Metrics


def samples(metrics: Metrics, *names: str) -> list[str]:
    """The exposition's lines of these names, without buckets."""
    body, _ = metrics.exposition()
    lines = body.decode().splitlines()
    return [line for line in lines if line.startswith(names) and "_bucket" not in line]


def test_a_message_is_counted_once_with_its_durations() -> None:
    metrics = Metrics("0.1.0")
    metrics.message(
        route="support",
        vendor="acme",
        outcome="completed",
        duration=3.0,
        first_event=0.5,
        first_text=1.0,
        heartbeats=2,
    )
    assert samples(
        metrics,
        "gateway_messages_total",
        "gateway_message_duration_seconds_",
        "gateway_time_to_first_event_seconds_",
        "gateway_time_to_first_text_seconds_",
        "gateway_heartbeats_total",
    ) == [
        'gateway_messages_total{outcome="completed",route="support",vendor="acme"} 1.0',
        'gateway_time_to_first_event_seconds_count{route="support"} 1.0',
        'gateway_time_to_first_event_seconds_sum{route="support"} 0.5',
        'gateway_time_to_first_text_seconds_count{route="support"} 1.0',
        'gateway_time_to_first_text_seconds_sum{route="support"} 1.0',
        'gateway_message_duration_seconds_count{route="support"} 1.0',
        'gateway_message_duration_seconds_sum{route="support"} 3.0',
        "gateway_heartbeats_total 2.0",
    ]


def test_a_message_that_no_vendor_answered_has_no_first_event() -> None:
    metrics = Metrics("0.1.0")
    metrics.message(route="support", vendor=None, outcome="failed", duration=0.1)
    assert samples(metrics, "gateway_messages_total", "gateway_time_to_first_event_seconds_") == [
        'gateway_messages_total{outcome="failed",route="support",vendor="none"} 1.0'
    ]


def test_attempts_are_counted_by_their_cause() -> None:
    metrics = Metrics("0.1.0")
    metrics.attempt(vendor="acme", protocol="acme-chat", outcome="connect_timeout")
    metrics.attempt(vendor="acme", protocol="acme-chat", outcome="completed")
    metrics.attempt(vendor="acme", protocol="acme-chat", outcome="completed")
    assert samples(metrics, "gateway_attempts_total") == [
        'gateway_attempts_total{outcome="connect_timeout",protocol="acme-chat",vendor="acme"} 1.0',
        'gateway_attempts_total{outcome="completed",protocol="acme-chat",vendor="acme"} 2.0',
    ]


def test_probes_of_vendors_health_are_counted_by_what_came_of_them() -> None:
    metrics = Metrics("0.1.0")
    for outcome in ("ok", "connect", "ok"):
        metrics.health_probe(vendor="acme", outcome=outcome)
    assert samples(metrics, "gateway_health_probes_total") == [
        'gateway_health_probes_total{outcome="ok",vendor="acme"} 2.0',
        'gateway_health_probes_total{outcome="connect",vendor="acme"} 1.0',
    ]


def test_streams_oddities_requests_and_bugs_are_counted() -> None:
    lost = [7]
    metrics = Metrics("0.1.0", lambda: lost[0])
    metrics.stream_opened()
    metrics.stream_opened()
    metrics.stream_closed()
    metrics.unknown_vendor_events("acme-chat", 3)
    metrics.notice("acme-chat", "text_corrected")
    metrics.request("messages", 422)
    metrics.unhandled_error()
    assert samples(
        metrics,
        "gateway_open_streams",
        "gateway_unknown_vendor_events_total",
        "gateway_notices_total",
        "gateway_http_requests_total",
        "gateway_unhandled_errors_total",
        "gateway_log_lines_dropped_total",
    ) == [
        "gateway_log_lines_dropped_total 7.0",
        'gateway_unknown_vendor_events_total{protocol="acme-chat"} 3.0',
        'gateway_notices_total{kind="text_corrected",protocol="acme-chat"} 1.0',
        'gateway_http_requests_total{handler="messages",status_class="4xx"} 1.0',
        "gateway_open_streams 1.0",
        "gateway_unhandled_errors_total 1.0",
    ]


def test_the_running_versions_can_be_read() -> None:
    (line,) = samples(Metrics("0.1.0"), "gateway_build_info")
    assert 'version="0.1.0"' in line
    assert 'python="3.' in line
    assert 'aiohttp="3.' in line


def test_two_gateways_in_one_process_count_apart() -> None:
    one, other = Metrics("0.1.0"), Metrics("0.1.0")
    one.unhandled_error()
    assert samples(other, "gateway_unhandled_errors_total") == ["gateway_unhandled_errors_total 0.0"]


def test_the_content_type_is_the_text_format_every_prometheus_reads() -> None:
    assert Metrics("0.1.0").exposition()[1] == "text/plain; version=0.0.4; charset=utf-8"


def test_the_first_head_of_an_attempt_is_timed_by_vendor_and_open_connections_are_read_at_the_scrape() -> None:
    metrics = Metrics("0.1.0")
    connections = [1, 2]
    metrics.watch_connections(lambda: len(connections))
    metrics.attempt(vendor="acme", protocol="acme-chat", outcome="completed", to_headers=0.5)
    metrics.attempt(vendor="acme", protocol="acme-chat", outcome="connect")
    connections.pop()
    assert samples(metrics, "gateway_time_to_headers_seconds_", "gateway_vendor_connections") == [
        'gateway_time_to_headers_seconds_count{vendor="acme"} 1.0',
        'gateway_time_to_headers_seconds_sum{vendor="acme"} 0.5',
        "gateway_vendor_connections 1.0",
    ]

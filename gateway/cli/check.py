"""`gateway check`: what a configuration means, in a page; no secret is on it, only where each comes from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

from gateway import settings
from gateway.cli.routes import explain_route
from gateway.protocols.base import Descriptor
from gateway.routing.health import HealthSettings
from gateway.routing.probe import ProbeSettings
from gateway.settings import Settings, Store, Vendor, is_loopback


def check(config: Path, protocols: Mapping[str, Descriptor], out: TextIO) -> int:
    """Raises `SettingsError`."""
    loaded = settings.load(config, protocols)
    out.write("".join(f"{line}\n" for line in explain(loaded, protocols)))
    out.write(f"\n{config} is in order.\n")
    return 0


def explain(loaded: Settings, protocols: Mapping[str, Descriptor]) -> Iterator[str]:
    yield from _server(loaded)
    for vendor in loaded.vendors.values():
        yield ""
        yield from _vendor(vendor, protocols[vendor.protocol])
    for route in loaded.routes.values():
        yield ""
        yield from explain_route(route, is_default=route.name == loaded.default_route)


def _server(loaded: Settings) -> Iterator[str]:
    host, port = loaded.server.host, loaded.server.port
    reach = "for this machine alone" if is_loopback(host) else "for every machine that reaches it"
    yield f"listens on     {host}:{port}, {reach}"
    if not loaded.keys:
        yield "keys           none: no caller is asked for one, and only loopback may be served"
    for key in loaded.keys:
        yield f"key            {key.id}, {key.source}"
    if loaded.server.cors.origins:
        yield f"pages of       {', '.join(loaded.server.cors.origins)}"
    if loaded.simulation is not None:
        yield f"simulation     on 127.0.0.1, port {loaded.simulation.port or 'any that is free'}"
    yield f"conversations  {_kept(loaded.store)}"
    yield f"log            {loaded.log.level}, {loaded.log.format}"


def _kept(store: Store) -> str:
    return f"in {store.path}" if store.kind == "sqlite" else "in memory, until the gateway stops"


def _vendor(vendor: Vendor, descriptor: Descriptor) -> Iterator[str]:
    yield f"vendor {vendor.name}"
    yield f"    protocol   {vendor.protocol} ({descriptor.title})"
    yield f"    at         {vendor.base_url or f'the simulated {vendor.simulated}'}"
    for base, url in vendor.bases.items():
        yield f"    {base:10} {url}"
    for name, source in vendor.sources.items():
        yield f"    {name:10} set, {source}"
    yield from _health(vendor.health)


def _health(health: HealthSettings) -> Iterator[str]:
    breaker, budget = health.breaker, health.retry_budget
    calls = f"{breaker.minimum} calls or more in {breaker.window:g} s"
    opens = f"for {breaker.open_for:g} s, later up to {breaker.max_open:g} s"
    yield f"    breaker    opens where {_share(breaker.ratio)} of {calls} fail: {opens}"
    if breaker.slow_after is not None:
        slow = f"{_share(breaker.slow_ratio)} of them have no first event in {breaker.slow_after:g} s"
        yield f"               or where {slow}"
    yield (
        f"    retries    at most {budget.minimum} in {budget.window:g} s, "
        f"or {_share(budget.share)} of the first attempts where that is more"
    )
    if health.probe is not None:
        yield from _probe(health.probe)


def _probe(probe: ProbeSettings) -> Iterator[str]:
    times = f"every {probe.every:g} s, for {probe.timeout:g} s at most"
    yield f"    probe      GET {probe.path}, without credentials, {times}"
    yield f"               bad answers in a row that open the breaker: {probe.failures}"


def _share(part: float) -> str:
    return f"{100 * part:g}%"

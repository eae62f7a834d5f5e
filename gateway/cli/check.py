"""`gateway check`: what a configuration means, in a page; no secret is on it, only where each comes from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import msgspec

from gateway import settings
from gateway.protocols.base import Descriptor
from gateway.routing.plan import Route, Target
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
        yield from _route(route, loaded)


def _server(loaded: Settings) -> Iterator[str]:
    host, port = loaded.server.host, loaded.server.port
    reach = "for this machine alone" if is_loopback(host) else "for every machine that reaches it"
    yield f"listens on     {host}:{port}, {reach}"
    if not loaded.keys:
        yield "keys           none: no caller is asked for one, and only loopback may be served"
    for key in loaded.keys:
        yield f"key            {key.id}, {key.source}"
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


def _route(route: Route, loaded: Settings) -> Iterator[str]:
    yield f"route {route.name}{' (the default)' if route.name == loaded.default_route else ''}"
    for number, target in enumerate(route.targets, 1):
        vendor = loaded.vendors[target.vendor]
        yield f"    target {number}   {target.vendor} ({vendor.protocol}), {_fields(target)}"
        waits = target.deadlines
        yield (
            f"               connect {waits.connect:g} s, first event {waits.first_event:g} s, "
            f"idle {waits.idle:g} s, total {waits.total:g} s"
        )
    yield f"    headers after {route.headers_after:g} s, a heartbeat every {route.heartbeat:g} s"
    if route.vendor_events:
        yield "    vendor events are passed on"


def _fields(target: Target) -> str:
    fields: dict[str, Any] = msgspec.to_builtins(target.settings)
    return ", ".join(
        f"{name} {msgspec.json.encode(value).decode()}" for name, value in fields.items() if value is not None
    )

"""THE composition root: settings become a running gateway.

    async with running(settings, protocols, log) as url: ...     everything up, listening, ready; all down afterwards
    serve(settings, protocols)                                   the same until SIGINT or SIGTERM

Start: simulated vendors first, because their addresses are part of vendors; then relay, server, ready. Stop: not
ready; the open streams get `shutdown_grace` seconds to end by themselves, then their terminal; then the rest closes.
"""

import asyncio
import gc
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import structlog
from aiohttp import web

from gateway import settings as s
from gateway.conversations.memory import MemoryStore
from gateway.conversations.sqlite import SqliteStore
from gateway.conversations.store import Store
from gateway.protocols.base import Descriptor, Dialect, NoSettings
from gateway.relay.answer import Limits
from gateway.relay.relay import Relay
from gateway.relay.rendering import Vendor
from gateway.relay.upstream import split_base_url
from gateway.routing.health import Health
from gateway.server.application import build_application
from gateway.server.cors import Cors
from gateway.server.gateway import Edge, Gateway, Key, Keys, Log
from gateway.server.listener import CLOSING, Runner
from gateway.simulation.host import serve_host
from gateway.telemetry import logs
from gateway.telemetry.metrics import Metrics

Protocols = Mapping[str, Descriptor]

SHUTTING_DOWN = "the gateway is shutting down"

GC_THRESHOLDS = (20_000, 20, 50)
"""A stream makes hundreds of objects and no cycles; with Python's (700, 10, 10) a seventh of the CPU looks for them."""


@asynccontextmanager
async def running(
    settings: s.Settings, protocols: Protocols, log: Log, log_lines_dropped: Callable[[], int] = lambda: 0
) -> AsyncIterator[str]:
    """Yields the URL that is listened on, once it is ready."""
    async with AsyncExitStack() as stack:
        simulated = ""
        if settings.simulation is not None:
            simulated = await stack.enter_async_context(_simulation(settings.simulation, protocols))
        metrics = Metrics(version("protocol-gateway"), log_lines_dropped)
        store = await stack.enter_async_context(_store(settings.store, log))
        gateway = build_gateway(settings, protocols, log, metrics=metrics, store=store, simulated=simulated)
        await stack.enter_async_context(gateway.relay)
        url = await stack.enter_async_context(_listening(gateway, settings, protocols))
        gateway.is_ready = True
        yield url


def build_gateway(
    settings: s.Settings, protocols: Protocols, log: Log, *, metrics: Metrics, store: Store, simulated: str = ""
) -> Gateway:
    """`simulated` is the URL of the host that plays simulated vendors."""

    def on_bug(error: BaseException) -> None:
        metrics.unhandled_error()
        log.error("unhandled", exc_info=error)

    health = Health({name: vendor.health for name, vendor in settings.vendors.items()}, random.random)
    relay = Relay(
        {name: _vendor(vendor, protocols, simulated) for name, vendor in settings.vendors.items()},
        send_deadline=settings.server.send_deadline,
        probes=health.probes(),
        on_bug=on_bug,
        on_stopped=lambda vendor, outcome: metrics.errand(vendor=vendor, operation="stop", outcome=outcome),
        on_left=lambda route, policy: metrics.client_left(route=route, policy=policy),
        on_probed=lambda vendor, outcome: metrics.health_probe(vendor=vendor, outcome=outcome),
    )
    metrics.watch_connections(lambda: relay.pool.open_connections)
    metrics.watch_health(lambda: health.states(time.monotonic()))
    limits = settings.limits
    return Gateway(
        relay=relay,
        store=store,
        metrics=metrics,
        log=log,
        health=health,
        routes=settings.routes,
        default_route=settings.default_route,
        protocols=protocols,
        dialect=_native(protocols),
        keys=Keys(tuple(Key(key.id, key.digest) for key in settings.keys)),
        edge=Edge(
            settings.server.max_body,
            settings.server.body_deadline,
            settings.server.send_deadline,
            limits.max_file,
            limits.max_document,
        ),
        limits=Limits(limits.max_message, limits.max_held, limits.max_record, limits.max_error_body),
        cors=Cors(settings.server.cors.origins, settings.server.cors.max_age),
    )


def build_dialects(settings: s.Settings, protocols: Protocols) -> list[Dialect]:
    return [
        make(settings.dialects[name])
        for name, descriptor in protocols.items()
        if (make := descriptor.dialect) is not None
    ]


def serve(settings: s.Settings, protocols: Protocols) -> None:
    """Serves until SIGINT or SIGTERM, on uvloop where it is installed. Raises `OSError` where it cannot listen."""
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    sink = logs.configure(settings.log.format, settings.log.level, s.secrets(settings))
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings, protocols, lambda: sink.dropped))
    finally:
        sink.close()


async def _serve(settings: s.Settings, protocols: Protocols, log_lines_dropped: Callable[[], int]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    log = structlog.get_logger().bind()
    async with running(settings, protocols, log, log_lines_dropped) as url:
        log.info("listening", url=url, routes=sorted(settings.routes), keys=len(settings.keys))
        if not settings.keys:
            log.warning("no keys are configured: anybody on this machine may call", url=url)
        await stop.wait()
        log.info("stopping", grace=settings.server.shutdown_grace)
    log.info("stopped")


@asynccontextmanager
async def _listening(gateway: Gateway, settings: s.Settings, protocols: Protocols) -> AsyncIterator[str]:
    runner = Runner(
        build_application(gateway, build_dialects(settings, protocols)),
        gateway.dialect,
        settings.server.header_deadline,
        lambda: gateway.metrics.request("unread", 408),
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.server.host, settings.server.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        gateway.is_ready = False
        await gateway.running.drain(settings.server.shutdown_grace, SHUTTING_DOWN)
        await runner.cleanup()
        await gateway.running.close(CLOSING)


@asynccontextmanager
async def _simulation(simulation: s.Simulation, protocols: Protocols) -> AsyncIterator[str]:
    simulators = {
        name: make(simulation.play.get(name, ""))
        for name, descriptor in protocols.items()
        if (make := descriptor.simulator) is not None
    }
    async with serve_host(simulators, simulation.port) as url:
        yield url


@asynccontextmanager
async def _store(settings: s.Store, log: Log) -> AsyncIterator[Store]:
    """Raises `store_unavailable` with the path and the reason where the file cannot be used."""
    if settings.kind == "memory":
        yield MemoryStore()
        return
    store = await SqliteStore.open(Path(settings.path), busy_timeout=settings.busy_timeout)
    if store.interrupted:
        log.warning("messages were cut off when the gateway last stopped", count=store.interrupted)
    try:
        yield store
    finally:
        await store.close()


def _vendor(vendor: s.Vendor, protocols: Protocols, simulated: str) -> Vendor:
    urls = {"": vendor.base_url or "", **vendor.bases}
    if vendor.simulated is not None:
        played = protocols[vendor.simulated]
        urls = dict.fromkeys({"", *played.bases, *played.optional_bases}, f"{simulated}/{vendor.simulated}")
    return Vendor(vendor.name, {name: split_base_url(url) for name, url in urls.items()}, vendor.credentials)


def _native(protocols: Protocols) -> Dialect:
    make = protocols["native"].dialect
    if make is None:
        raise ValueError("the canonical dialect is missing")
    return make(NoSettings())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415  (an extra)
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop

"""The README says what is: every block of it is fed to what it is about, every table compared with its code."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from gateway import settings
from gateway.canonical.errors import CODES
from gateway.canonical.events import Event
from gateway.canonical.turn import AskPart, MessageRequest
from gateway.protocols import registry
from gateway.protocols.native.dialect import NativeDialect
from gateway.routing.health import VendorState
from gateway.routing.plan import Deadlines, Route
from gateway.routing.probe import ProbeSettings
from gateway.simulation.faults import FAULTS
from gateway.telemetry.metrics import Metrics
from tests.support import tables

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```([\w ]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"`(\w+)`(\??)")
EVENTS = {kind.__struct_config__.tag: kind for kind in get_args(Event)}

ENVIRON = {
    "GATEWAY_KEY_SHA256": "0" * 64,
    "CHATBASE_API_KEY": "an-api-key",
    "DIMEDOVE_API_KEY": "sk_live_key",
    "DYNAMIQ_API_KEY": "an-api-key",
    "HARDWIRE_EMAIL": "someone@example.com",
    "HARDWIRE_PASSWORD": "a-password",
    "SEMA4_API_KEY": "an-api-key",
    "OPENAI_API_KEY": "sk-key",
    "ANTHROPIC_API_KEY": "sk-ant-key",
    "GEMINI_API_KEY": "an-api-key",
}


def blocks(language: str) -> list[str]:
    return [body for name, body in BLOCK.findall(README) if name == language]


def table(head: str) -> dict[str, list[str]]:
    """The rows below that head, by the name in their first cell; the other cells as they stand."""
    lines = README.splitlines()
    begin = lines.index(head) + 2
    end = lines.index("", begin)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[begin:end]]
    return {row[0].strip("`"): row[1:] for row in rows}


@pytest.mark.parametrize("block", blocks("toml"))
def test_every_configuration_shown_can_be_loaded(block: str, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(block, "utf-8")
    loaded = settings.load(file, registry.load(), environ=ENVIRON)
    assert all(route.targets for route in loaded.routes.values())


@pytest.mark.parametrize("block", blocks("json"))
def test_every_json_block_is_json(block: str) -> None:
    assert isinstance(msgspec.json.decode(block), dict)


def test_there_are_configurations_documents_and_a_stream_to_look_at() -> None:
    assert [len(blocks("toml")), len(blocks("json")), len(blocks("text"))] == [6, 3, 2]


def test_what_is_shown_of_the_demonstrations_configuration_stands_in_it() -> None:
    (excerpt,) = blocks("toml excerpt")
    assert excerpt in (ROOT / "config" / "demo.toml").read_text("utf-8")


def test_a_configuration_is_shown_for_every_protocol_that_a_vendor_speaks() -> None:
    shown = re.findall(r'^protocol = "(\w+)"$', "".join(blocks("toml")), re.MULTILINE)
    spoken = {name for name, descriptor in registry.load().items() if descriptor.translator is not None}
    assert set(shown) == spoken
    assert spoken == set(tables.ORDER)


@pytest.mark.parametrize(
    "made", [tables.capabilities(), tables.settings(), tables.paths()], ids=["capabilities", "settings", "paths"]
)
def test_the_tables_of_the_protocols_are_those_of_their_descriptors(made: str) -> None:
    assert f"\n\n{made}\n" in README


def test_the_table_of_the_api_has_every_path() -> None:
    told = set(table("| request | answer |"))
    ours = {f"{route.method} {route.path}" for route in NativeDialect.routes}
    assert told == ours | {"GET /v1/routes", "GET /healthz", "GET /readyz", "GET /metrics"}


def test_the_stream_shown_is_made_of_whole_frames_in_order() -> None:
    frames = [frame.split("\n") for frame in blocks("text")[0].strip().split("\n\n") if frame != "..."]
    sequences = []
    for identity, name, data in frames:
        event = msgspec.json.decode(data.removeprefix("data: "))
        assert [identity, name] == [f"id: {event['sequence']}", f"event: {event['type']}"]
        msgspec.convert(event, EVENTS[event["type"]], strict=False)
        sequences.append(event["sequence"])
    assert sequences == sorted(set(sequences))


def test_the_event_table_has_every_event_with_every_field() -> None:
    told = {name: FIELD.findall(fields) for name, (fields, _) in table("| event | fields | meaning |").items()}
    assert told == {name: _fields(kind) for name, kind in EVENTS.items()}


def _fields(kind: type[msgspec.Struct]) -> list[tuple[str, str]]:
    return [(field.encode_name, "" if field.required else "?") for field in msgspec.structs.fields(kind)]


def test_the_error_table_has_every_code_with_its_status() -> None:
    told = {code: row[:2] for code, row in table("| code | HTTP | retryable | meaning |").items()}
    assert told == {code: [str(row.status), "yes" if row.retryable else "no"] for code, row in CODES.items()}


def test_the_request_table_has_every_field() -> None:
    assert set(table("| field | type | today |")) == set(MessageRequest.__struct_fields__)


def test_the_table_of_parts_has_every_part_with_every_field() -> None:
    told = {
        name: {field for field, _ in FIELD.findall(row[0])}
        for names, row in table("| part | fields | who takes it |").items()
        for name, _ in FIELD.findall(f"`{names}`")
    }
    assert told == {
        str(kind.__struct_config__.tag): set(kind.__struct_fields__) - {"block", "signature", "name"}
        | ({"name"} if kind.__struct_config__.tag in {"file", "image"} else set())
        for kind in get_args(AskPart)
    }


SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": settings.Server,
    "limits": settings.Limits,
    "route": Route,
    "deadlines": Deadlines,
    "store": settings.Store,
    "probe": ProbeSettings,
}


def test_the_table_of_limits_has_every_number_and_its_default() -> None:
    told = {name: float(row[0]) for name, row in table("| setting | default | what it bounds |").items()}
    assert told == {
        f"{section}.{field.encode_name}": field.default
        for section, kind in SECTIONS.items()
        for field in msgspec.structs.fields(kind)
        if type(field.default) in {int, float} and field.encode_name != "port"
    }


def test_the_metrics_table_has_every_metric_with_its_labels() -> None:
    told = {name: set(re.findall(r"`(\w+)`", row[0])) for name, row in table("| metric | labels | meaning |").items()}
    metrics = Metrics("0")
    metrics.message(route="r", vendor="v", outcome="completed", duration=1, first_event=1, first_text=1)
    metrics.attempt(vendor="v", protocol="p", outcome="completed", to_headers=1, longest_gap=1, resumes=1)
    metrics.watch_connections(lambda: 0)
    health = VendorState("open", breaker_wait=1, paused=1, retries_left=1, is_refused=True)
    metrics.watch_health(lambda: [("v", health)])
    metrics.failover(source="v", to="w", phase="not_sent", cause="connect")
    metrics.retry(vendor="v", cause="connect")
    metrics.discarded("v", 1)
    metrics.hedge(vendor="v", outcome="won")
    metrics.catch_up(vendor="v", characters=1, turns_left_out=1)
    metrics.errand(vendor="v", operation="list_files", outcome="completed")
    metrics.health_probe(vendor="v", outcome="ok")
    metrics.recovery(vendor="v", outcome="confirmed")
    metrics.rebound("v")
    metrics.client_left(route="r", policy="drain")
    metrics.store_failure("end")
    metrics.unknown_vendor_events("p")
    metrics.notice("p", "text_corrected")
    metrics.omitted("d", "data", 1)
    metrics.ignored("p", "metadata")
    metrics.request("/metrics", 200)
    exposed = text_string_to_metric_families(metrics.exposition()[0].decode())
    ours = [family for family in exposed if family.name.startswith("gateway_")]
    assert told == {_exposed_name(family): set(family.samples[0].labels) - {"le"} for family in ours}


def _exposed_name(family: Metric) -> str:
    return f"{family.name}_total" if family.type == "counter" else family.name


def test_every_play_and_every_fault_named_exists() -> None:
    simulators = [descriptor.simulator for descriptor in registry.load().values()]
    plays = {play for make in simulators if make is not None for play in make("").plays}
    assert set(re.findall(r"\[play:([a-z0-9-]+)[\]:]", README)) <= plays
    assert set(re.findall(r"\[fault:([a-z0-9-]+)[\]:]", README)) <= set(FAULTS)

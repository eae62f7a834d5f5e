"""Any vendor to any client: what each protocol's stream says is what each client's protocol says of it (law 8).

`rich/` holds, for each protocol, one answer with reasoning, text, two parallel tool calls (interleaved where the wire
can), a source and usage, and one that fails behind its first words. Beside them, every recorded and documented example
of every vendor's room goes through every client's dialect.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from gateway.canonical.events import (
    Event,
    InputRequested,
    MessageCanceled,
    MessageFailed,
    ReasoningStarted,
    TextStarted,
)
from tests.support.doors import DOORS, Door, Understood, relayed, understood

HERE = Path(__file__).parent
TEXT = "Se\u00f1or \U0001f600, the sky."
RICH = Understood(
    text=TEXT,
    reasoning="Let me look.",
    calls=[("call_a", "look", {"at": "sky"}), ("call_b", "count", {"n": [1, 2]})],
    vendor_calls=[],
    results=[],
    sources={("https://docs.acme.test/sky", "Sky")},
    asked=[],
    usage=(20, 12, 5, 4),
    ending="tool_calls",
)

from_each = pytest.mark.parametrize("vendor", DOORS.values(), ids=[f"from-{name}" for name in DOORS])
to_each = pytest.mark.parametrize("client", DOORS.values(), ids=[f"to-{name}" for name in DOORS])

EXAMPLES = sorted(HERE.glob("*/examples/*.events.json"))
read_events = msgspec.json.Decoder(list[Event]).decode


def spoken(vendor: Door, kind: str = "") -> list[Event]:
    return vendor.heard((HERE / "rich" / f"{vendor.name}{kind}.sse").read_bytes())


def written(client: Door, events: Iterable[Event]) -> bytes:
    """What the client is sent, heartbeats between."""
    encoder = client.read(client.body("support", "Hi")).encoder()
    frames = [encoder.event(sequence, event) for sequence, event in enumerate(events)]
    return (encoder.heartbeat() or b"").join(frames) + encoder.end()


def rich(vendor: Door) -> Understood:
    """AG-UI has no sources."""
    return replace(RICH, sources=set()) if vendor.name == "ag_ui" else RICH


@from_each
def test_each_vendor_is_understood(vendor: Door) -> None:
    assert understood(spoken(vendor)) == rich(vendor)
    failed = understood(spoken(vendor, ".failed"))
    assert (failed.text, failed.ending) == ("Well, ", "failed")


@from_each
@to_each
def test_each_client_reads_what_each_vendor_said(vendor: Door, client: Door) -> None:
    assert understood(client.heard(written(client, spoken(vendor)))) == rich(vendor)


@from_each
@to_each
def test_each_client_is_told_that_a_vendor_failed(vendor: Door, client: Door) -> None:
    failed = understood(client.heard(written(client, spoken(vendor, ".failed"))))
    assert (failed.text, failed.ending) == ("Well, ", "failed")


# --- every example of every room


def example(path: Path) -> list[Event]:
    told = read_events(msgspec.json.encode([each for each in msgspec.json.decode(path.read_bytes()) if is_event(each)]))
    return relayed(told)


def is_event(told: dict[str, Any]) -> bool:
    return "type" in told


@to_each
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.parent.name}-{path.name.split('.')[0]}")
def test_each_client_reads_every_example(path: Path, client: Door) -> None:
    events = example(path)
    meant, read = understood(events), understood(client.heard(written(client, events)))
    assert every_call(read) - {invented(result) for result in meant.results} == every_call(meant) or "tool_result" in (
        client.dialect().losses
    )
    assert read == carried(meant, read, events, client)


def every_call(told: Understood) -> set[tuple[str, str]]:
    return {(call, name) for call, name, _ in (*told.calls, *told.vendor_calls)}


def invented(result: tuple[str, Any]) -> tuple[str, str]:
    """What a client whose protocol has no result without a call is told."""
    return result[0], "tool"


def carried(meant: Understood, read: Understood, events: list[Event], client: Door) -> Understood:
    """What a dialect says it can carry of it; what it lists as lost is as it was read."""
    losses = client.dialect().losses
    replaced = any(
        isinstance(event, (TextStarted, ReasoningStarted)) and event.replaces is not None for event in events
    )
    asks = any(isinstance(event, InputRequested) for event in events) and "input.requested" in losses
    if isinstance(events[-1], (MessageFailed, MessageCanceled)):
        meant = replace(meant, usage=read.usage)
    if "source.url" in losses:
        meant = replace(meant, sources={source for source in meant.sources if source[0] is not None})
    if "tool_result" in losses:
        meant = replace(meant, results=read.results)
    if "tool_result" in losses or read.results:
        meant = replace(meant, vendor_calls=read.vendor_calls)
    if asks or meant.ending == "length":  # whose a call is then, nobody needs to know
        meant = replace(meant, calls=read.calls, vendor_calls=read.vendor_calls)
    if replaced:
        meant = replace(meant, text=read.text, reasoning=read.reasoning)
    if asks:
        meant = replace(meant, text=read.text, asked=read.asked)
    if asks or is_lost(meant.ending, losses) or says_nothing(read):
        meant = replace(meant, ending=read.ending)
    return meant


def is_lost(ending: str, losses: Mapping[str, str]) -> bool:
    if ending == "canceled":
        return "message.canceled" in losses
    return ending in {"other", "input_required"} and "message.completed.finish_reason" in losses


def says_nothing(read: Understood) -> bool:
    """Where all that was said is lost, a reader of ours takes it for no answer."""
    return read.ending == "canceled" and not read.text and not read.calls

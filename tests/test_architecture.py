"""The package keeps to the design's table of rooms, and the checker that says so is not blind."""

from pathlib import Path

import pytest

from tests.support.architecture import ALLOWED, forbidden_arrows, import_cycles, misplaced_names, read_sources

CHECKOUT = Path(__file__).parent.parent


def test_no_import_crosses_the_table_of_rooms() -> None:
    assert forbidden_arrows(read_sources(CHECKOUT)) == []


def test_no_module_needs_itself() -> None:
    assert import_cycles(read_sources(CHECKOUT)) == []


def test_a_protocols_name_stands_in_its_folder_and_on_its_registry_lines_alone() -> None:
    assert misplaced_names(read_sources(CHECKOUT)) == []


def test_every_room_stands_in_the_table() -> None:
    """A room that is not in it may import nothing, and nobody may import it."""
    rooms = {path.split("/")[1].removesuffix(".py") for path in read_sources(CHECKOUT) if path.endswith(".py")}
    assert rooms - {"__init__", "__main__"} <= set(ALLOWED)


# --- the checker itself

LAWFUL = {
    "gateway/__init__.py": "",
    "gateway/__main__.py": "from gateway.cli import main",
    "gateway/canonical/__init__.py": "",
    "gateway/canonical/events.py": "import msgspec\nfrom gateway.canonical.errors import ErrorBody",
    "gateway/canonical/errors.py": "from typing import Any",
    "gateway/framing/sse.py": "from gateway.framing import record",
    "gateway/framing/record.py": "",
    "gateway/protocols/base.py": "from gateway.canonical import events\nfrom gateway.framing.record import Record",
    "gateway/protocols/acme/__init__.py": "from gateway.protocols.acme.translator import T\nACME = 1",
    "gateway/protocols/acme/translator.py": "from gateway.protocols.acme import wire\nfrom . import wire as w",
    "gateway/protocols/acme/wire.py": "from gateway.framing.sse import SseDecoder",
    "gateway/protocols/registry.py": 'from gateway.protocols.acme import ACME\n\nALL = {\n    "acme": ACME,\n}\n',
    "gateway/relay/core.py": "from gateway.protocols.base import Translator\nfrom gateway.telemetry.logs import log",
    "gateway/telemetry/logs.py": "",
    "gateway/server/playground/index.html": "<h1>acmeist</h1>",
    "gateway/settings.py": "from gateway.routing import plan",
    "gateway/routing/plan.py": "from gateway.canonical.errors import Code",
    "gateway/cli/__init__.py": "import gateway.protocols.registry\nfrom gateway.app import serve",
    "gateway/app.py": "def serve():\n    from gateway.relay.core import Core",
}


def test_a_lawful_package_has_nothing_to_complain_of() -> None:
    assert (forbidden_arrows(LAWFUL), import_cycles(LAWFUL), misplaced_names(LAWFUL)) == ([], [], [])


@pytest.mark.parametrize(
    ("path", "source", "arrow"),
    [
        (
            "gateway/canonical/events.py",
            "import gateway.framing.sse",
            "gateway.canonical.events -> gateway.framing.sse",
        ),
        ("gateway/framing/sse.py", "from gateway import canonical", "gateway.framing.sse -> gateway.canonical"),
        (
            "gateway/canonical/events.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from gateway.app import serve",
            "gateway.canonical.events -> gateway.app",
        ),
        (
            "gateway/routing/plan.py",
            "def plan():\n    from gateway.telemetry.logs import log",
            "gateway.routing.plan -> gateway.telemetry.logs",
        ),
        (
            "gateway/relay/core.py",
            "from gateway.protocols.acme.wire import Chunk",
            "gateway.relay.core -> gateway.protocols.acme.wire",
        ),
        ("gateway/relay/core.py", "from gateway.protocols import acme", "gateway.relay.core -> gateway.protocols.acme"),
        (
            "gateway/relay/core.py",
            "from gateway.protocols.registry import load",
            "gateway.relay.core -> gateway.protocols.registry",
        ),
        (
            "gateway/settings.py",
            "from gateway.protocols import registry",
            "gateway.settings -> gateway.protocols.registry",
        ),
        ("gateway/app.py", "from gateway.protocols import acme", "gateway.app -> gateway.protocols.acme"),
        (
            "gateway/protocols/zeta/wire.py",
            "from ..acme import wire",
            "gateway.protocols.zeta.wire -> gateway.protocols.acme.wire",
        ),
        (
            "gateway/protocols/zeta/__init__.py",
            "from ..acme.wire import Chunk",
            "gateway.protocols.zeta -> gateway.protocols.acme.wire",
        ),
        (
            "gateway/protocols/base.py",
            "from .registry import load",
            "gateway.protocols.base -> gateway.protocols.registry",
        ),
        ("gateway/relay/core.py", "from gateway.settings import S", "gateway.relay.core -> gateway.settings"),
        (
            "gateway/simulation/host.py",
            "from gateway.canonical.events import Event",
            "gateway.simulation.host -> gateway.canonical.events",
        ),
        (
            "gateway/client/http.py",
            "from gateway.protocols.base import T",
            "gateway.client.http -> gateway.protocols.base",
        ),
        (
            "gateway/attic/old.py",
            "from gateway.canonical import events",
            "gateway.attic.old -> gateway.canonical.events",
        ),
        (
            "gateway/relay/core.py",
            "import importlib\nimportlib.import_module('gateway.protocols.acme')",
            "gateway.relay.core -> gateway.protocols.acme",
        ),
        ("gateway/relay/core.py", "__import__('gateway.settings')", "gateway.relay.core -> gateway.settings"),
        (
            "gateway/relay/core.py",
            "from importlib import import_module\nimport_module(name)",
            "gateway.relay.core -> gateway",
        ),
    ],
)
def test_an_arrow_that_the_table_does_not_draw_is_found(path: str, source: str, arrow: str) -> None:
    assert forbidden_arrows({**LAWFUL, path: source}) == [arrow]


def test_modules_that_need_one_another_are_found() -> None:
    sources = {
        **LAWFUL,
        "gateway/canonical/__init__.py": "from gateway.canonical.events import TextDelta",
        "gateway/canonical/errors.py": "from gateway.canonical import TextDelta",
        "gateway/framing/record.py": "import gateway.framing.record",
    }
    assert import_cycles(sources) == [
        ["gateway.canonical", "gateway.canonical.errors", "gateway.canonical.events"],
        ["gateway.framing.record"],
    ]


@pytest.mark.parametrize("line", ["# as acme does", "x = 'acme'", "acme_id = 1", "AcmeTarget", "is_ACME", "acme-large"])
def test_a_protocols_name_outside_its_folder_is_found(line: str) -> None:
    assert misplaced_names({**LAWFUL, "gateway/server/playground/app.js": f"\n{line}\n"}) == [
        "gateway/server/playground/app.js:2: acme"
    ]


def test_another_protocols_folder_is_outside_too() -> None:
    sources = {
        **LAWFUL,
        "gateway/protocols/ze_ta/wire.py": "# as acme does",
        "gateway/protocols/registry.py": (
            "from gateway.protocols.acme import ACME\nfrom gateway.protocols.ze_ta import ZE_TA\n\n"
            'ALL = {\n    "acme": ACME,\n    "ze-ta": ZE_TA,\n}\n'
        ),
    }
    assert misplaced_names(sources) == ["gateway/protocols/ze_ta/wire.py:1: acme"]
    assert misplaced_names({**sources, "gateway/app.py": "ze-ta"}) == [
        "gateway/protocols/ze_ta/wire.py:1: acme",
        "gateway/app.py:1: ze_ta",
    ]


@pytest.mark.parametrize(
    ("registry", "lines"),
    [
        ("", 0),
        ("from gateway.protocols.acme import ACME\n", 1),
        ('from gateway.protocols.acme import ACME\nALL = {\n    "acme": ACME,\n}\n# acme is special\n', 3),
        ("from gateway.protocols.acme import ACME\nALL = [ACME]\n", 2),
    ],
)
def test_a_protocol_has_one_import_and_one_entry_in_the_registry(registry: str, lines: int) -> None:
    assert misplaced_names({**LAWFUL, "gateway/protocols/registry.py": registry}) == [
        f"gateway/protocols/registry.py: acme has {lines} lines, not an import and an entry"
    ]


def test_a_simulated_vendor_may_name_what_it_sells() -> None:
    played = {f"gateway/protocols/ze_ta/{name}.py": 'MODEL = "acme-large"' for name in ("simulator", "plays")}
    registry = (
        "from gateway.protocols.acme import ACME\nfrom gateway.protocols.ze_ta import ZE_TA\n\n"
        'ALL = {\n    "acme": ACME,\n    "ze-ta": ZE_TA,\n}\n'
    )
    assert misplaced_names({**LAWFUL, **played, "gateway/protocols/registry.py": registry}) == []


def test_a_protocol_whose_name_is_an_english_word_may_be_spoken_of() -> None:
    sources = {**LAWFUL, "gateway/protocols/native/dialect.py": "", "gateway/app.py": "# the native way"}
    assert misplaced_names(sources) == []

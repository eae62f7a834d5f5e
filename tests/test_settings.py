"""A configuration is read whole, or refused with all that is wrong with it; no secret is ever shown."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

import pytest
from msgspec import Meta, Struct
from msgspec.structs import replace

from gateway.canonical.errors import CAUSES
from gateway.protocols.base import Descriptor, Script, SimulatedRequest
from gateway.protocols.registry import BUILT_IN
from gateway.routing.backoff import BackoffSettings
from gateway.routing.breaker import BreakerSettings
from gateway.routing.budget import BudgetSettings
from gateway.routing.health import HealthSettings
from gateway.routing.order import Stickiness
from gateway.routing.plan import Deadlines, Route, Target
from gateway.routing.probe import ProbeSettings
from gateway.routing.rules import CatchUp, RouteRules, Speed, TargetRules
from gateway.settings import (
    Key,
    Limits,
    Log,
    Server,
    Settings,
    SettingsError,
    Simulation,
    is_loopback,
    load,
    secrets,
)


class Agent(Struct, frozen=True):
    agent: str
    mode: Literal["fast", "deep"] = "fast"
    top: Annotated[int, Meta(ge=1, le=9)] = 1


class Tenant(Struct, frozen=True):
    tenant: str

    def __post_init__(self) -> None:
        if self.tenant == "root":
            raise ValueError("this tenant cannot be asked")


class Ear(Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[5, 6] = 5


class AcmeSimulator:
    plays: Mapping[str, str] = {"usual": "an answer", "cut": "no terminal"}

    def answer(self, request: SimulatedRequest) -> Script:
        return ()


PROTOCOLS = {
    "acme-chat": Descriptor(
        name="acme-chat",
        title="Acme",
        capabilities={},
        translator=lambda *_: pytest.fail("no translator is needed"),
        simulator=lambda _: AcmeSimulator(),
        target=Agent,
        credentials=(frozenset({"api_key"}),),
    ),
    "apex": Descriptor(
        name="apex",
        title="Apex",
        capabilities={},
        translator=lambda *_: pytest.fail("no translator is needed"),
        target=Tenant,
        credentials=(frozenset({"cookie"}), frozenset({"email", "password"})),
        bases=frozenset({"files"}),
    ),
    "listener": Descriptor(
        name="listener",
        title="Only for clients",
        capabilities={},
        dialect=lambda _: pytest.fail("no dialect is needed"),
        dialect_settings=Ear,
    ),
}

SECRET = "canary-4711-canary"
ENVIRON = {"ACME_KEY": SECRET, "EMPTY": "", "TWO_LINES": "a\nb", "BYTES": "k\udcff"}

ACME = """
[vendors.acme]
protocol = "acme-chat"
base_url = "https://api.acme.test/v1/"
credentials = { api_key = { env = "ACME_KEY" } }
"""
SUPPORT = """
[routes.support]
targets = [{ vendor = "acme", agent = "a1" }]
"""


def read(tmp_path: Path, text: str, host: str | None = None, port: int | None = None) -> Settings:
    file = tmp_path / "gateway.toml"
    file.write_text(text, "utf-8")
    return load(file, PROTOCOLS, environ=ENVIRON, host=host, port=port)


def problems(tmp_path: Path, text: str, host: str | None = None) -> list[str]:
    """What is wrong, without the file's name; and none of it shows the secret."""
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, text, host)
    assert SECRET not in str(caught.value)
    return [problem.removeprefix("gateway.toml: ") for problem in caught.value.problems]


def test_a_small_file_has_defaults_for_all_that_it_leaves_out(tmp_path: Path) -> None:
    settings = read(tmp_path, ACME + SUPPORT)
    assert (settings.server, settings.log, settings.limits) == (Server(), Log(), Limits())
    assert (settings.simulation, settings.keys, settings.default_route) == (None, (), "support")
    assert settings.routes == {
        "support": Route(
            "support",
            (Target("acme", "acme-chat", Agent("a1"), Deadlines(5.0, 60.0, 300.0, 1800.0)),),
            10.0,
            10.0,
            False,
        )
    }
    vendor = settings.vendors["acme"]
    assert vendor.health == HealthSettings()
    assert (vendor.protocol, vendor.base_url, dict(vendor.credentials), vendor.sources) == (
        "acme-chat",
        "https://api.acme.test/v1",
        {"api_key": SECRET},
        {"api_key": "env ACME_KEY"},
    )


def test_every_setting_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("p4ssword\n")
    settings = read(
        tmp_path,
        f"""
        default_route = "deep"
        [server]
        host = "0.0.0.0"
        port = 9000
        max_body = 2
        body_deadline = 3
        header_deadline = 4.5
        send_deadline = 5
        shutdown_grace = 6
        [log]
        level = "debug"
        format = "json"
        [limits]
        max_message = 1
        max_held = 2
        max_record = 3
        max_error_body = 4
        [simulation]
        port = 8091
        play = {{ acme-chat = "cut" }}
        [[keys]]
        id = "team-a"
        sha256 = "{"AB" * 32}"
        [[keys]]
        id = "team-b"
        secret = {{ env = "ACME_KEY" }}
        [vendors.played]
        protocol = "acme-chat"
        base_url = "simulation:acme-chat"
        credentials = {{ api_key = {{ env = "UNSET", default = "demo" }} }}
        [vendors.apex]
        protocol = "apex"
        base_url = "http://127.0.0.1:3026/api"
        bases = {{ files = "https://files.apex.test/" }}
        credentials = {{ email = {{ env = "UNSET", default = "a@b.test" }}, password = {{ file = "password" }} }}
        [routes.deep]
        targets = [
            {{ vendor = "played", agent = "a", mode = "deep", top = 9, deadlines = {{ connect = 1, idle = 20.5 }} }},
            {{ vendor = "apex", tenant = "t" }},
        ]
        headers_after = 15
        heartbeat = 1.5
        vendor_events = true
        [routes.other]
        targets = [{{ vendor = "apex", tenant = "t" }}]
        """,
    )
    assert settings.default_route == "deep"
    assert settings.server == Server("0.0.0.0", 9000, 2, 3.0, 4.5, 5.0, 6.0)
    assert settings.log == Log("debug", "json")
    assert settings.limits == Limits(1, 2, 3, 4)
    assert settings.simulation == Simulation(8091, {"acme-chat": "cut"})
    assert settings.keys == (
        Key("team-a", bytes.fromhex("ab" * 32), "sha256 from the file"),
        Key("team-b", hashlib.sha256(SECRET.encode()).digest(), "secret from env ACME_KEY"),
    )
    played, apex = settings.vendors.values()
    assert (played.simulated, played.base_url, played.sources) == (
        "acme-chat",
        None,
        {"api_key": "default of env UNSET"},
    )
    assert (apex.base_url, apex.bases) == ("http://127.0.0.1:3026/api", {"files": "https://files.apex.test"})
    assert dict(apex.credentials) == {"email": "a@b.test", "password": "p4ssword"}
    assert settings.routes["deep"] == Route(
        "deep",
        (
            Target("played", "acme-chat", Agent("a", "deep", 9), Deadlines(connect=1.0, idle=20.5)),
            Target("apex", "apex", Tenant("t"), Deadlines()),
        ),
        15.0,
        1.5,
        True,
    )
    assert secrets(settings) == {"demo", "a@b.test", "p4ssword"}


def test_every_rule_of_routing_can_be_written(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        ACME
        + """
        [vendors.acme.breaker]
        window = 1
        minimum = 2
        ratio = 0.3
        slow_after = 4
        slow_ratio = 0.5
        open_for = 6
        max_open = 7
        jitter = 0.8
        probes = 9
        [vendors.acme.retry_budget]
        share = 0.1
        minimum = 2
        window = 3
        [vendors.acme.probe]
        path = "/healthz"
        every = 4
        timeout = 3
        failures = 2
        [routes.support]
        headers_after = 12
        strategy = "weighted"
        stickiness = { mode = "none", return_after = 0 }
        attempts = 7
        attempts_within = 8
        switches = 0
        backoff = { base = 1, cap = 2, max_hint = 3 }
        catch_up = { characters = 4, template = "{earlier}{now}" }
        deadlines = { connect = 1, first_event = 2, idle = 3, total = 4 }
        retries = 5
        fail_over_on = ["content_filtered", "upstream_rejected"]
        once_sent = "fail"
        mid_stream = "restart"
        mid_stream_by_cause = { truncated = "continue" }
        on_disconnect = "drain"
        drain = 6
        min_speed = { characters = 7, window = 8 }
        hedge_after = 11
        may_run_twice = true
        [[routes.support.targets]]
        vendor = "acme"
        agent = "a1"
        weight = 9
        headers_after = 10
        """,
    )
    assert settings.vendors["acme"].health == HealthSettings(
        BreakerSettings(1.0, 2, 0.3, 4.0, 0.5, 6.0, 7.0, 0.8, 9),
        BudgetSettings(0.1, 2, 3.0),
        ProbeSettings("/healthz", 4.0, 3.0, 2),
    )
    route = settings.routes["support"]
    assert (route.headers_after, route.rules) == (
        12.0,
        RouteRules(
            "weighted",
            Stickiness("none", 0.0),
            7,
            8.0,
            0,
            BackoffSettings(1.0, 2.0, 3.0),
            CatchUp(4, "{earlier}{now}"),
            11.0,
        ),
    )
    rules = TargetRules(
        10.0,
        5,
        ("content_filtered", "upstream_rejected"),
        "fail",
        "restart",
        {"truncated": "continue"},
        "drain",
        6.0,
        Speed(7.0, 8.0),
        may_run_twice=True,
    )
    assert route.targets == (Target("acme", "acme-chat", Agent("a1"), Deadlines(1.0, 2.0, 3.0, 4.0), rules, 9.0),)


def test_a_target_takes_from_its_route_what_it_does_not_say_itself(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        ACME
        + """
        [routes.support]
        headers_after = 3
        deadlines = { connect = 1, idle = 30 }
        retries = 4
        mid_stream_by_cause = { truncated = "restart", malformed = "restart" }
        fail_over_on = ["upstream_timeout"]
        targets = [
            { vendor = "acme", agent = "a1" },
            { vendor = "acme", agent = "a2", deadlines = { idle = 5 }, retries = 0, fail_over_on = [] },
            { vendor = "acme", agent = "a3", headers_after = 2, mid_stream_by_cause = { truncated = "continue" } },
        ]
        """,
    )
    usual = TargetRules(
        retries=4,
        mid_stream_by_cause={"truncated": "restart", "malformed": "restart"},
        fail_over_on=("upstream_timeout",),
    )
    assert [(target.deadlines, target.rules) for target in settings.routes["support"].targets] == [
        (Deadlines(connect=1.0, idle=30.0), usual),
        (Deadlines(connect=1.0, idle=5.0), replace(usual, retries=0, fail_over_on=())),
        (
            Deadlines(connect=1.0, idle=30.0),
            replace(usual, headers_after=2.0, mid_stream_by_cause={"truncated": "continue"}),
        ),
    ]


def test_a_dialect_is_made_with_its_own_table(tmp_path: Path) -> None:
    assert read(tmp_path, ACME + SUPPORT).dialects == {"listener": Ear()}
    table = "[dialects.listener]\nversion = 6\n"
    assert read(tmp_path, ACME + SUPPORT + table).dialects == {"listener": Ear(6)}


def test_a_dialect_that_there_is_not_cannot_be_told_anything(tmp_path: Path) -> None:
    tables = "[dialects.acme-chat]\n[dialects.listner]\n[dialects.listener]\nversion = 7\nsize = 1\n"
    assert problems(tmp_path, ACME + SUPPORT + tables) == [
        "dialects.acme-chat: no client speaks that",
        'dialects.listner: no client speaks that, did you mean "listener"?',
        "dialects.listener.size: unknown key",
        "dialects.listener.version: expected one of 5, 6: 7",
    ]


def test_a_models_name_leads_to_one_route(tmp_path: Path) -> None:
    other = SUPPORT.replace("support", "other")
    named = SUPPORT + 'models = ["gpt-4o", "gpt-*", "gpt-4o"]\n'
    assert read(tmp_path, ACME + named).routes["support"].models == ("gpt-4o", "gpt-*", "gpt-4o")
    assert problems(tmp_path, ACME + named + other + 'models = ["o1", "gpt-4o", "support"]\n') == [
        'routes.other.models[1]: "gpt-4o" leads to the route "support" already',
        'routes.other.models[2]: "support" leads to the route "support" already',
    ]


def test_no_protocol_has_a_setting_of_a_name_that_every_target_has() -> None:
    ours = {"vendor", "weight", "deadlines", *TargetRules.__struct_fields__}
    assert {name: ours & set(found.target.__struct_fields__) for name, found in BUILT_IN.items()} == {
        name: set() for name in BUILT_IN
    }


def test_no_repr_shows_a_secret(tmp_path: Path) -> None:
    key = f'[[keys]]\nid = "k"\nsha256 = "{"ab" * 32}"\n'
    settings = read(tmp_path, ACME + SUPPORT + key)
    assert SECRET not in repr(settings)
    assert "\\xab" not in repr(settings)
    assert SECRET in secrets(settings)


def test_where_there_are_several_routes_none_is_the_default_unless_named(tmp_path: Path) -> None:
    assert read(tmp_path, ACME + SUPPORT + SUPPORT.replace("support", "other")).default_route is None


def test_the_command_line_takes_the_place_of_host_and_port(tmp_path: Path) -> None:
    settings = read(tmp_path, "[server]\nhost = '::1'\nmax_body = 5\n" + ACME + SUPPORT, "localhost", 0)
    assert settings.server == Server("localhost", 0, 5)
    assert problems(tmp_path, ACME + SUPPORT, "0.0.0.0") == [
        "server.host: without [[keys]] the gateway serves on loopback only, such as 127.0.0.1"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[servr]", ['servr: unknown key, did you mean "server"?']),
        ("xyz = 1", ["xyz: unknown key"]),
        ('"odd key" = 1', ['"odd key": unknown key']),
        ("server = 5", ["server: expected a table, got `int`"]),
        ("vendors = []\n", ["vendors: expected a table, got an array"]),
        ("keys = 'k'\n", ["keys: expected an array, got `str`"]),
        ("[server]\nprt = 1", ['server.prt: unknown key, did you mean "port"?']),
        ("[server]\nport = 'http'", ['server.port: expected `int`, got `str`: "http"']),
        ("[server]\nport = 65536", ["server.port: expected `int` <= 65535: 65536"]),
        ("[server]\nbody_deadline = 0", ["server.body_deadline: expected `float` > 0.0: 0"]),
        ("[server]\nbody_deadline = nan", ["server.body_deadline: expected `float` > 0.0: nan"]),
        ("[server]\nbody_deadline = inf", ["server.body_deadline: expected `float` <= 86400.0: inf"]),
        (
            "[server]\nhost = '0.0.0.0'",
            ["server.host: without [[keys]] the gateway serves on loopback only, such as 127.0.0.1"],
        ),
        ("[log]\nlevel = 'loud'", ['log.level: expected one of debug, info, warning, error: "loud"']),
        ("[limits]\nmax_held = true", ["limits.max_held: expected `int`, got `bool`: True"]),
        ("[simulation]\nport = -1", ["simulation.port: expected `int` >= 0: -1"]),
        ("[simulation.play]\nacme = 'cut'", ['simulation.play.acme: no protocol "acme", did you mean "acme-chat"?']),
        ("[simulation.play]\napex = 'cut'", ["simulation.play.apex: this protocol has no simulated vendor"]),
        ("[simulation.play]\nacme-chat = 'cutt'", ['simulation.play.acme-chat: no play "cutt", did you mean "cut"?']),
        ("[simulation.play]\nacme-chat = 5", ["simulation.play.acme-chat: expected `str`, got `int`: 5"]),
    ],
)
def test_what_does_not_fit_is_named_with_its_path(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = problems(tmp_path, text if "vendors" in text else f"{text}\n{ACME}{SUPPORT}")
    assert found[: len(expected)] == expected


@pytest.mark.parametrize(
    ("vendor", "expected"),
    [
        ('base_url = "https://a.test"', ['vendors.v: "protocol" is missing']),
        ('protocol = "acme-chat"', ['vendors.v: "base_url" is missing']),
        (
            'protocol = "acme-chatt"\nbase_url = "https://a.test"',
            ['vendors.v.protocol: no protocol "acme-chatt", did you mean "acme-chat"?'],
        ),
        (
            'protocol = "listener"\nbase_url = "https://a.test"',
            ['vendors.v.protocol: "listener" is for clients: no vendor is called in it'],
        ),
        (
            'protocol = "acme-chat"\nbase_url = "https://a.test"',
            ["vendors.v.credentials: expected api_key"],
        ),
        (
            'protocol = "apex"\nbase_url = "https://a.test"\nbases = { fils = "https://b.test" }',
            [
                'vendors.v.bases.fils: unknown key, did you mean "files"?',
                'vendors.v.bases: "files" is missing',
                "vendors.v.credentials: expected cookie, or email and password",
            ],
        ),
    ],
)
def test_a_vendor_has_what_its_protocol_asks_for(tmp_path: Path, vendor: str, expected: list[str]) -> None:
    assert problems(tmp_path, f"{ACME}{SUPPORT}[vendors.v]\n{vendor}\n") == expected


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("ftp://a.test", "expected an http or https URL"),
        ("api.acme.test", "expected an http or https URL"),
        ("https://", "expected an http or https URL"),
        ("https://a b.test", "expected an http or https URL"),
        ("https://[::1", "is no URL"),
        ("https://a.test:http", "is no URL"),
        ("https://a..test", "is no URL"),
        (f"https://{'a' * 64}.test", "is no URL"),
        (f"https://demo:{SECRET}@a.test", "a base URL has no user, query or fragment"),
        (f"https://a.test/?key={SECRET}", "a base URL has no user, query or fragment"),
        ("https://a.test/#x", "a base URL has no user, query or fragment"),
        ("http://a.test", "plain http leaves this machine: write https, or allow_plain_http = true beside it"),
        ("simulation:acme-chat", "there is no [simulation] section"),
    ],
)
def test_a_base_url_is_whole_and_safe(tmp_path: Path, url: str, problem: str) -> None:
    text = ACME.replace("https://api.acme.test/v1/", url) + SUPPORT
    assert problems(tmp_path, text) == [f"vendors.acme.base_url: {problem}"]


def test_a_simulated_vendor_needs_a_simulator(tmp_path: Path) -> None:
    text = "[simulation]\n" + ACME.replace("https://api.acme.test/v1/", "simulation:apex") + SUPPORT
    assert problems(tmp_path, text) == ['vendors.acme.base_url: the protocol "apex" has no simulated vendor']


def test_plain_http_is_for_loopback_or_on_demand(tmp_path: Path) -> None:
    local = ACME.replace("https://api.acme.test", "http://localhost:3026")
    remote = ACME.replace("https://api.acme.test", "http://10.0.0.1") + "allow_plain_http = true\n"
    assert read(tmp_path, local + SUPPORT).vendors["acme"].base_url == "http://localhost:3026/v1"
    assert read(tmp_path, remote + SUPPORT).vendors["acme"].base_url == "http://10.0.0.1/v1"


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        (f'"{SECRET}"', ': write { env = "NAME" } or { file = "PATH" }, never the secret itself'),
        ("5", ': write { env = "NAME" } or { file = "PATH" }, never the secret itself'),
        ("{}", ': write either { env = "NAME" } or { file = "PATH" }'),
        ('{ env = "A", file = "b" }', ': write either { env = "NAME" } or { file = "PATH" }'),
        ('{ env = "UNSET" }', ": the environment variable UNSET is not set"),
        ('{ env = "EMPTY" }', ": env EMPTY is empty or holds control characters"),
        ('{ env = "TWO_LINES" }', ": env TWO_LINES is empty or holds control characters"),
        ('{ env = "BYTES" }', ": env BYTES is no UTF-8 text"),
        (f'{{ env = "{SECRET}" }}', ".env: expected the name of an environment variable, in capitals"),
        ('{ file = "absent" }', ": the file absent cannot be read: No such file or directory"),
        ('{ file = "binary" }', ": the file binary cannot be read: it is no UTF-8 text"),
        (f'{{ env = "ACME_KEY", default = "{SECRET}" }}', ".default: only a vendor on loopback may have one"),
    ],
)
def test_a_secret_is_named_never_written(tmp_path: Path, secret: str, problem: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    text = ACME.replace('{ env = "ACME_KEY" }', secret) + SUPPORT
    assert problems(tmp_path, text)[0] == f"vendors.acme.credentials.api_key{problem}"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ('sha256 = "00"', ['keys[0]: "id" is missing']),
        ('id = "a"', ['keys[0]: write either "sha256" or "secret"']),
        (f'id = "a"\nsha256 = "{SECRET}"', ["keys[0].sha256: expected 64 hexadecimal digits"]),
        ('id = "a"\nsha256 = { env = "ACME_KEY" }', ["keys[0].sha256: expected 64 hexadecimal digits"]),
        ('id = "a"\nsha256 = { env = "UNSET" }', ["keys[0].sha256: the environment variable UNSET is not set"]),
        (
            'id = "a"\nsha256 = 5',
            ['keys[0].sha256: write { env = "NAME" } or { file = "PATH" }, never the secret itself'],
        ),
        (
            f'id = "a"\nsecret = "{SECRET}"',
            ['keys[0].secret: write { env = "NAME" } or { file = "PATH" }, never the secret itself'],
        ),
        (
            'id = "a b"\nsecret = { env = "ACME_KEY", default = "x" }',
            [
                "keys[0].id: a name has 1 to 128 letters, digits, dots, underscores and hyphens",
                "keys[0].secret.default: only a vendor on loopback may have one",
            ],
        ),
        (
            'id = "a"\nsecret = { env = "ACME_KEY" }\n[[keys]]\nid = "a"\nsecret = { env = "ACME_KEY" }',
            ['keys[1].id: a second key "a"'],
        ),
        (
            'id = "a"\nsecret = { env = "ACME_KEY" }\n[[keys]]\nid = "b"\nsecret = { env = "ACME_KEY" }',
            ['keys[1]: the same key as "a"\'s: a caller is known by it'],
        ),
        ('id = "a"\nsecret = { env = "BYTES" }', ["keys[0].secret: env BYTES is no UTF-8 text"]),
    ],
)
def test_a_key_is_a_hash_or_a_named_secret(tmp_path: Path, key: str, expected: list[str]) -> None:
    assert problems(tmp_path, f"[[keys]]\n{key}\n{ACME}{SUPPORT}") == expected


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (
            '{ vendor = "acme", agent = "a" }, { vendr = "acme" }',
            [
                'routes.support.targets[1].vendr: unknown key, did you mean "vendor"?',
                'routes.support.targets[1]: "vendor" is missing',
            ],
        ),
        (
            '{ vendor = "acmee", agent = "a" }',
            ['routes.support.targets[0].vendor: no vendor "acmee", did you mean "acme"?'],
        ),
        ('{ vendor = "acme" }', ['routes.support.targets[0]: "agent" is missing']),
        (
            '{ vendor = "acme", agnt = "a", top = 10, mode = "slow" }',
            [
                'routes.support.targets[0].agnt: unknown key, did you mean "agent"?',
                'routes.support.targets[0]: "agent" is missing',
                'routes.support.targets[0].mode: expected one of fast, deep: "slow"',
                "routes.support.targets[0].top: expected `int` <= 9: 10",
            ],
        ),
        (
            '{ vendor = "acme", agent = "a", deadlines = { conect = 5, idle = -1, total = nan } }',
            [
                'routes.support.targets[0].deadlines.conect: unknown key, did you mean "connect"?',
                "routes.support.targets[0].deadlines.idle: expected seconds above 0, at most 86400: -1.0",
                "routes.support.targets[0].deadlines.total: expected seconds above 0, at most 86400: nan",
            ],
        ),
        ("", ["routes.support.targets: a route needs a target"]),
        (
            "5",
            [
                "routes.support.targets[0]: expected a table, got `int`",
                "routes.support.targets: a route needs a target",
            ],
        ),
        (
            '"acme"',
            [
                "routes.support.targets[0]: expected a table, got `str`",
                "routes.support.targets: a route needs a target",
            ],
        ),
    ],
)
def test_a_target_fits_its_vendor_and_its_protocol(tmp_path: Path, target: str, expected: list[str]) -> None:
    assert problems(tmp_path, f"{ACME}[routes.support]\ntargets = [{target}]\n") == expected


CODES = (
    "unsupported, upstream_rate_limited, upstream_auth, upstream_not_found, upstream_rejected, upstream_unavailable, "
    "upstream_timeout, upstream_protocol, upstream_empty, content_filtered, context_too_long, quota_exhausted"
)
CAUSES_SHOWN = ", ".join(CAUSES)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("attemps = 3", ['attemps: unknown key, did you mean "attempts"?']),
        ("weight = 1", ["weight: unknown key"]),
        (
            'strategy = "weigthed"',
            ['strategy: expected one of priority, weighted, least_latency: "weigthed", did you mean "weighted"?'],
        ),
        ("attempts = 0\nswitches = 11", ["attempts: expected `int` >= 1: 0", "switches: expected `int` <= 10: 11"]),
        ("stickiness = 5", ["stickiness: expected a table, got `int`"]),
        ("stickiness = { return_after = -1 }", ["stickiness.return_after: expected `float` >= 0.0: -1"]),
        ("backoff = { base = nan }", ["backoff.base: expected `float` >= 0.001: nan"]),
        ('catch_up = { template = "{now}" }', ["catch_up: the template must hold {earlier} exactly once"]),
        ("deadlines = 5", ["deadlines: expected a table, got `int`"]),
        ("deadlines = { total = 0 }", ["deadlines.total: expected seconds above 0, at most 86400: 0.0"]),
        ("min_speed = {}", ['min_speed: "characters" is missing']),
        ("drain = true", ["drain: expected `float`, got `bool`: True"]),
        ('fail_over_on = "upstream_auth"', ["fail_over_on: expected an array, got `str`"]),
        (
            'fail_over_on = ["upstream_timout", 5, "upstream_auth", "upstream_auth"]',
            [
                f'fail_over_on[0]: expected one of {CODES}: "upstream_timout", did you mean "upstream_timeout"?',
                f"fail_over_on[1]: expected one of {CODES}: 5",
                'fail_over_on: "upstream_auth" stands there more than once',
            ],
        ),
        ("mid_stream_by_cause = []", ["mid_stream_by_cause: expected a table, got an array"]),
        (
            'mid_stream_by_cause = { truncatd = "restart", malformed = "stop" }',
            [
                f'mid_stream_by_cause.truncatd: expected one of {CAUSES_SHOWN}: "truncatd", did you mean "truncated"?',
                'mid_stream_by_cause.malformed: expected one of fail, restart, continue: "stop"',
            ],
        ),
    ],
)
def test_a_rule_of_routing_fits(tmp_path: Path, rule: str, expected: list[str]) -> None:
    assert problems(tmp_path, f"{ACME}{SUPPORT}{rule}\n") == [f"routes.support.{problem}" for problem in expected]


def test_a_rule_of_a_target_is_told_with_the_targets_path_whatever_its_vendor(tmp_path: Path) -> None:
    targets = '{ vendor = "acme", agent = "a", retries = 11 }, { vendor = "b", drain = 0, weight = 2 }, { weight = -1 }'
    assert problems(tmp_path, f"{ACME}[routes.support]\nstrategy = 'weighted'\ntargets = [{targets}]\n") == [
        "routes.support.targets[0].retries: expected `int` <= 10: 11",
        "routes.support.targets[1].drain: expected `float` > 0.0: 0",
        'routes.support.targets[1].vendor: no vendor "b"',
        'routes.support.targets[2]: "vendor" is missing',
        "routes.support.targets[2].weight: expected `float` >= 0.0: -1",
    ]


@pytest.mark.parametrize(
    ("strategy", "weights", "expected"),
    [
        ("weighted", ("weight = 0", "weight = 0.0"), ["targets: every weight is 0: at least one must be above"]),
        ("weighted", ("weight = 0", "top = 1"), []),
        (
            "priority",
            ("weight = 1", "weight = 2"),
            [
                'targets[0].weight: weight has no effect: strategy is "priority"',
                'targets[1].weight: weight has no effect: strategy is "priority"',
            ],
        ),
        (
            "least_latency",
            ("top = 1", "weight = 2"),
            ['targets[1].weight: weight has no effect: strategy is "least_latency"'],
        ),
        (
            "weigh",
            ("weight = 0", "weight = 0"),
            ['strategy: expected one of priority, weighted, least_latency: "weigh", did you mean "weighted"?'],
        ),
    ],
)
def test_weights_have_an_effect(tmp_path: Path, strategy: str, weights: tuple[str, str], expected: list[str]) -> None:
    targets = ", ".join(f'{{ vendor = "acme", agent = "a", {weight} }}' for weight in weights)
    text = f'{ACME}[routes.r]\nstrategy = "{strategy}"\ntargets = [{targets}]\n'
    if not expected:
        assert [target.weight for target in read(tmp_path, text).routes["r"].targets] == [0.0, 1.0]
        return
    assert problems(tmp_path, text) == [f"routes.r.{problem}" for problem in expected]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("breaker = { ratio = 2 }", "breaker.ratio: expected `float` <= 1.0: 2"),
        ("breaker = { opens_for = 2 }", 'breaker.opens_for: unknown key, did you mean "open_for"?'),
        ("breaker = { open_for = 400 }", "breaker: open_for is longer than max_open: 400.0 > 300.0"),
        ("retry_budget = { share = -0.1 }", "retry_budget.share: expected `float` >= 0.0: -0.1"),
        ("retry_budget = 5", "retry_budget: expected a table, got `int`"),
        ("probe = { every = 5 }", 'probe: "path" is missing'),
        ('probe = { path = "healthz" }', "probe: path is no plain path, such as /healthz"),
        ('probe = { path = "/", failure = 1 }', 'probe.failure: unknown key, did you mean "failures"?'),
        ('probe = { path = "/", failures = 0 }', "probe.failures: expected `int` >= 1: 0"),
        ('probe = { path = "/", every = 1 }', "probe: timeout is longer than every: 2.0 > 1.0"),
        ("probe = true", "probe: expected a table, got `bool`"),
    ],
)
def test_what_is_said_of_a_vendors_health_fits(tmp_path: Path, table: str, expected: str) -> None:
    assert problems(tmp_path, f"{ACME}{table}\n{SUPPORT}") == [f"vendors.acme.{expected}"]


def test_a_protocols_own_check_of_its_target_is_told_with_the_path(tmp_path: Path) -> None:
    text = """
    [vendors.apex]
    protocol = "apex"
    base_url = "https://apex.test"
    bases = { files = "https://files.apex.test" }
    credentials = { cookie = { env = "ACME_KEY" } }
    [routes.r]
    targets = [{ vendor = "apex", tenant = "root" }]
    """
    assert problems(tmp_path, text) == ["routes.r.targets[0]: this tenant cannot be asked"]


@pytest.mark.parametrize("setting", ["headers_after", "heartbeat"])
def test_silence_towards_a_client_stays_below_its_bound(tmp_path: Path, setting: str) -> None:
    assert problems(tmp_path, f"{ACME}{SUPPORT}{setting} = 15.5\n") == [
        f"routes.support.{setting}: expected `float` <= 15.0: 15.5"
    ]


def test_routes_exist_and_have_plain_names_and_targets(tmp_path: Path) -> None:
    assert problems(tmp_path, ACME) == ["routes: there is no route"]
    assert problems(tmp_path, f"{ACME}[routes.support]\nretries = -1\n") == [
        'routes.support: "targets" is missing',
        "routes.support.retries: expected `int` >= 0: -1",
    ]
    assert problems(tmp_path, f'default_route = "suport"\n{ACME}{SUPPORT}') == [
        'default_route: no route "suport", did you mean "support"?'
    ]
    assert problems(tmp_path, ACME + SUPPORT.replace("support", '"a/b"')) == [
        'routes."a/b": a name has 1 to 128 letters, digits, dots, underscores and hyphens'
    ]


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = f"""
    [server]
    port = "a"
    hst = "b"
    [vendors.acme]
    protocol = "acme-chat"
    base_url = 5
    [vendors.other]
    protocol = "acme"
    base_url = "https://a.test"
    credentials = {{ api_key = "{SECRET}" }}
    [routes.support]
    targets = [{{ vendor = "acme" }}, {{ vendor = "other" }}, {{ vendor = "third" }}]
    """
    assert problems(tmp_path, text) == [
        'server.hst: unknown key, did you mean "host"?',
        'server.port: expected `int`, got `str`: "a"',
        "vendors.acme.base_url: expected `str`, got `int`",
        'vendors.other.protocol: no protocol "acme", did you mean "acme-chat"?',
        'vendors.other.credentials.api_key: write { env = "NAME" } or { file = "PATH" }, never the secret itself',
        'routes.support.targets[2].vendor: no vendor "third", did you mean "other"?',
    ]


def test_a_file_that_is_absent_or_no_toml_says_so(tmp_path: Path) -> None:
    absent = tmp_path / "absent.toml"
    with pytest.raises(SettingsError) as caught:
        load(absent, PROTOCOLS)
    assert caught.value.problems == [f"{absent}: cannot be read: No such file or directory"]
    assert problems(tmp_path, "a = ") == ["is no TOML: Invalid value (at end of document)"]


def test_loopback_is_this_machine_alone() -> None:
    hosts = ("127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost", "0.0.0.0", "::", "10.0.0.1", "localhost.test", "")
    assert [host for host in hosts if is_loopback(host)] == ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"]

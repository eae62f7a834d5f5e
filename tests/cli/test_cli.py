"""The command line: what it prints, what it refuses, and its exit codes."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import main
from gateway.protocols import registry
from gateway.routing.backoff import BackoffSettings
from gateway.routing.breaker import BreakerSettings
from gateway.routing.budget import BudgetSettings
from gateway.routing.health import HealthSettings
from gateway.routing.order import Stickiness
from gateway.routing.plan import Deadlines
from gateway.routing.probe import ProbeSettings
from gateway.routing.rules import CatchUp, RouteRules, Speed, TargetRules
from gateway.settings import load

CONFIG = Path(__file__).parents[2] / "config"
ENVIRON = {
    "GATEWAY_KEY": "canary-gateway-key",
    "HARDWIRE_EMAIL": "canary@example.com",
    "HARDWIRE_PASSWORD": "canary-password",
    "CHATBASE_API_KEY": "canary-api-key",
    "DYNAMIQ_API_KEY": "canary-api-key",
    "DIMEDOVE_API_KEY": "canary-api-key",
    "SEMA4_API_KEY": "canary-api-key",
}
GATEWAY = [sys.executable, "-m", "gateway"]

HEALTH = """\
    breaker    opens where 50% of 10 calls or more in 30 s fail: for 30 s, later up to 300 s
    retries    at most 10 in 10 s, or 20% of the first attempts where that is more
"""
ATTEMPTS = """\
    attempts   at most 6 begin within 120 s; a retry waits up to 0.25 s, later 8 s, for a vendor's hint 60 s
    catch-up   at most 65536 characters of what a vendor missed
"""
ONE = f"""\
    order      there is one target: nobody else is asked
{ATTEMPTS}"""
ALONE = """\
               connect 5 s, first event 60 s, idle 300 s, total 1800 s
               fails: 1 retry; nobody else is asked: there is no other target
               breaks off: the message fails
               client leaves: the vendor's run is stopped
    headers after 10 s, a heartbeat every 10 s
"""

EXPLAINED = f"""\
listens on     127.0.0.1:8080, for this machine alone
key            my-team, secret from env GATEWAY_KEY
conversations  in {CONFIG / "gateway.sqlite3"}
log            info, auto

vendor hardwire
    protocol   hardwire (Hardwire)
    at         https://api-hardwire.branmcf.com/api
    email      set, env HARDWIRE_EMAIL
    password   set, env HARDWIRE_PASSWORD
{HEALTH}
vendor chatbase
    protocol   chatbase (Chatbase)
    at         https://www.chatbase.co/api/v2
    api_key    set, env CHATBASE_API_KEY
{HEALTH}
vendor dynamiq
    protocol   dynamiq (Dynamiq)
    at         https://api.getdynamiq.ai
    app        https://YOUR-APP-HOSTNAME
    api_key    set, env DYNAMIQ_API_KEY
{HEALTH}
vendor dimedove
    protocol   dimedove (Dimedove)
    at         https://api.dimedove.com/v1
    api_key    set, env DIMEDOVE_API_KEY
{HEALTH}
vendor sema4
    protocol   sema4 (Sema4.ai)
    at         https://YOUR-DEPLOYMENT-HOST/tenants/YOUR-TENANT-ID/api/v2
    api_key    set, env SEMA4_API_KEY
{HEALTH}
route support (the default)
    order      as below; a conversation stays where it is
{ATTEMPTS}\
    target 1   chatbase (chatbase), agent "YOUR-AGENT-ID", upstream_stream true
               connect 5 s, first event 20 s, idle 300 s, total 1800 s
               fails: 1 retry; another target is asked on the usual codes
               once sent: another vendor is asked
               breaks off: the message fails
               client leaves: the vendor's run is stopped
    target 2   sema4 (sema4), agent "YOUR-AGENT-ID", authorization "bearer", upstream_stream true
               connect 5 s, first event 20 s, idle 300 s, total 1800 s
               fails: 0 retries; another target is asked on the usual codes
               once sent: another vendor is asked
               breaks off: the message fails
               client leaves: the vendor's run is stopped
    headers after 10 s, a heartbeat every 10 s

route research
    order      drawn by weight; a conversation stays where it is
{ATTEMPTS}\
    target 1   hardwire (hardwire), model "gpt-4o", upstream_stream true
               weight 1 of 1.25
               connect 5 s, first event 60 s, idle 300 s, total 1800 s
               fails: 1 retry; another target is asked on the usual codes
               once sent: nobody else is asked: all targets are of this vendor
               breaks off: the message fails
               client leaves: the vendor's run is stopped
    target 2   hardwire (hardwire), model "claude-sonnet-4", upstream_stream true
               weight 0.25 of 1.25
               connect 5 s, first event 60 s, idle 300 s, total 1800 s
               fails: 1 retry; another target is asked on the usual codes
               once sent: nobody else is asked: all targets are of this vendor
               breaks off: the message fails
               client leaves: the vendor's run is stopped
    headers after 10 s, a heartbeat every 10 s

route cases
{ONE}\
    target 1   dynamiq (dynamiq), app "00000000-0000-0000-0000-000000000000"
{ALONE}
route shop
{ONE}\
    target 1   dimedove (dimedove), app "YOUR-APP-ID", upstream_stream true, tool_outputs true
{ALONE}
route analysis
{ONE}\
    target 1   sema4 (sema4), agent "YOUR-AGENT-ID", authorization "bearer", upstream_stream true
{ALONE}
"""


def misused(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return int(left.value.code or 0)


def test_check_explains_the_shipped_configuration_and_shows_no_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    file = str(CONFIG / "gateway.toml")
    assert main(["check", file]) == 0
    shown = capsys.readouterr()
    assert shown.out == f"{EXPLAINED}{file} is in order.\n"
    assert "canary" not in shown.out + shown.err


def test_check_tells_of_every_secret_that_is_not_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ENVIRON:
        monkeypatch.delenv(name, raising=False)
    assert main(["check", str(CONFIG / "gateway.toml")]) == 1
    assert capsys.readouterr().err.splitlines() == [
        "gateway.toml: keys[0].secret: the environment variable GATEWAY_KEY is not set",
        "gateway.toml: vendors.hardwire.credentials.email: the environment variable HARDWIRE_EMAIL is not set",
        "gateway.toml: vendors.hardwire.credentials.password: the environment variable HARDWIRE_PASSWORD is not set",
        "gateway.toml: vendors.chatbase.credentials.api_key: the environment variable CHATBASE_API_KEY is not set",
        "gateway.toml: vendors.dynamiq.credentials.api_key: the environment variable DYNAMIQ_API_KEY is not set",
        "gateway.toml: vendors.dimedove.credentials.api_key: the environment variable DIMEDOVE_API_KEY is not set",
        "gateway.toml: vendors.sema4.credentials.api_key: the environment variable SEMA4_API_KEY is not set",
    ]


def test_the_demonstration_needs_nothing_from_its_environment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(CONFIG / "demo.toml")]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "keys           none: no caller is asked for one, and only loopback may be served" in shown
    assert "    at         the simulated chatbase" in shown


def test_every_commented_setting_of_the_shipped_configuration_exists(tmp_path: Path) -> None:
    settings = load(uncommented(tmp_path), registry.load(), environ=ENVIRON)
    assert (settings.server.port, settings.limits.max_held) == (8080, 65_536)
    assert settings.simulation is not None
    assert settings.simulation.play == {"hardwire": "documented"}


def test_every_rule_of_routing_is_shown_in_the_shipped_configuration_with_its_default(tmp_path: Path) -> None:
    file = uncommented(tmp_path)
    written = tomllib.loads(file.read_text())
    route, vendor = written["routes"]["support"], written["vendors"]["hardwire"]
    shown = {name: set(route[name]) for name in ("stickiness", "backoff", "catch_up", "min_speed", "deadlines")}
    assert shown == {
        "stickiness": set(Stickiness.__struct_fields__),
        "backoff": set(BackoffSettings.__struct_fields__),
        "catch_up": set(CatchUp.__struct_fields__),
        "min_speed": set(Speed.__struct_fields__),
        "deadlines": set(Deadlines.__struct_fields__),
    }
    assert {*RouteRules.__struct_fields__, *TargetRules.__struct_fields__} <= set(route)
    assert set(vendor["breaker"]) == set(BreakerSettings.__struct_fields__)
    assert set(vendor["retry_budget"]) == set(BudgetSettings.__struct_fields__)
    assert set(vendor["probe"]) == set(ProbeSettings.__struct_fields__)
    settings = load(file, registry.load(), environ=ENVIRON)
    support, health = settings.routes["support"], settings.vendors["hardwire"].health
    assert support.rules == RouteRules(stickiness=Stickiness(return_after=600.0), hedge_after=1.5)
    assert support.targets[0].rules == TargetRules(min_speed=Speed(20.0))
    assert health == HealthSettings(BreakerSettings(slow_after=20.0), probe=ProbeSettings("/liveness"))


def uncommented(tmp_path: Path) -> Path:
    """The shipped configuration with all that is commented out in it."""
    text = (CONFIG / "gateway.toml").read_text()
    setting = re.compile(r'^# (\[[\w.]+\]$|[a-z_]+ = .+|    ".+|\]$)', re.MULTILINE)
    file = tmp_path / "gateway.toml"
    file.write_text(
        setting.sub(lambda found: found[1], text).replace(
            'workflow_id = "..."', f'workflow_id = "{"0" * 8}-0000-4000-8000-{"0" * 12}"'
        )
    )
    return file


def test_check_explains_a_public_gateway_with_several_hosts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "public.toml"
    file.write_text(f"""
        [server]
        host = "0.0.0.0"
        [server.cors]
        origins = ["https://app.example.com"]
        [simulation]
        port = 8091
        [[keys]]
        id = "a"
        sha256 = "{"00" * 32}"
        [vendors.v]
        protocol = "chatbase"
        base_url = "http://127.0.0.1:9/api"
        credentials = {{ api_key = {{ env = "NOT_SET_ANYWHERE", default = "canary" }} }}
        breaker = {{ minimum = 4, ratio = 0.25, slow_after = 5, slow_ratio = 0.75, open_for = 10 }}
        retry_budget = {{ share = 0.5, minimum = 2, window = 60 }}
        probe = {{ path = "/healthz", every = 2.5, timeout = 0.5, failures = 1 }}
        [routes.r]
        targets = [{{ vendor = "v", agent = "x" }}]
        vendor_events = true
    """)
    assert main(["check", str(file)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:6] == [
        "listens on     0.0.0.0:8080, for every machine that reaches it",
        "key            a, sha256 from the file",
        "pages of       https://app.example.com",
        "simulation     on 127.0.0.1, port 8091",
        f"conversations  in {tmp_path / 'gateway.sqlite3'}",
        "log            info, auto",
    ]
    assert shown[11:16] == [
        "    breaker    opens where 25% of 4 calls or more in 30 s fail: for 10 s, later up to 300 s",
        "               or where 75% of them have no first event in 5 s",
        "    retries    at most 2 in 60 s, or 50% of the first attempts where that is more",
        "    probe      GET /healthz, without credentials, every 2.5 s, for 0.5 s at most",
        "               bad answers in a row that open the breaker: 1",
    ]
    assert "    vendor events are passed on" in shown
    assert "canary" not in "".join(shown)


def test_a_made_key_fits_the_hash_that_is_printed_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["key", "team-a"]) == 0
    shown = capsys.readouterr().out
    (key,) = re.findall(r"gwk_[\w-]{43}", shown)
    assert 'id = "team-a"' in shown
    assert f'sha256 = "{hashlib.sha256(key.encode()).hexdigest()}"' in shown


def test_the_plays_can_be_listed_and_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--list"]) == 0
    shown = capsys.readouterr().out
    assert "\nhardwire\n    documented " in shown
    assert main(["simulate", "--play", "hardwir=cut", "--play", "hardwire=cutt"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        '--play hardwir: no simulated vendor of that name, did you mean "hardwire"?',
        '--play hardwire=cutt: no such play, did you mean "cut"?',
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve",),
        ("serve", "--config", "x", "--port", "http"),
        ("serve", "--config", "x", "--port", "65536"),
        ("chek", "x"),
        ("key", "a b"),
        ("simulate", "--play", "hardwire"),
    ],
)
def test_a_misused_command_is_code_2(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert misused(*arguments) == 2
    assert "usage: gateway" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["serve", "check", "key", "simulate"])
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert misused(command, "--help") == 0
    assert f"usage: gateway {command}" in capsys.readouterr().out


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "simulate" in capsys.readouterr().out
    assert misused("--version") == 0


def test_a_plug_in_that_is_none_stops_the_command_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load_broken() -> None:
        raise ValueError("plug-in x: a.b:C is no Descriptor")

    monkeypatch.setattr(registry, "load", load_broken)
    assert main(["check", str(CONFIG / "demo.toml")]) == 1
    assert capsys.readouterr().err == "gateway: plug-in x: a.b:C is no Descriptor\n"


@pytest.mark.process
def test_it_refuses_to_serve_without_the_compiled_parser() -> None:
    ended = subprocess.run(
        [*GATEWAY, "serve", "--config", str(CONFIG / "demo.toml"), "--port", "0"],
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        1,
        "",
        "gateway: aiohttp has no compiled HTTP parser: unset AIOHTTP_NO_EXTENSIONS, or install aiohttp's wheel\n",
    )


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_simulated_vendors_play_until_they_are_told_to_stop(number: signal.Signals) -> None:
    with subprocess.Popen([*GATEWAY, "simulate", "--port", "0"], stdout=subprocess.PIPE, text=True) as simulated:
        assert simulated.stdout is not None
        url = ""
        for line in simulated.stdout:
            name, _, rest = line.partition(" ")
            if name == "chatbase":
                url = rest.strip()
            if line.startswith("A message"):
                break
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{url}/agents/a/chat", data=b"{}", timeout=10)
        refused.value.close()
        simulated.send_signal(number)
        assert simulated.wait(10) == 0
    assert refused.value.code == 401


@pytest.mark.process
def test_a_port_in_use_is_told_in_one_line() -> None:
    with subprocess.Popen([*GATEWAY, "simulate", "--port", "0"], stdout=subprocess.PIPE, text=True) as simulated:
        assert simulated.stdout is not None
        port = simulated.stdout.readline().split(":")[2].split("/")[0]
        second = subprocess.run(
            [*GATEWAY, "simulate", "--port", port], capture_output=True, text=True, timeout=30, check=False
        )
        simulated.terminate()
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1
    assert "address already in use" in second.stderr


@pytest.mark.process
def test_a_file_that_is_no_store_of_ours_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "gateway.sqlite3").write_text("some notes of somebody else's, and no database at all")
    (tmp_path / "gateway.toml").write_text((CONFIG / "demo.toml").read_text().replace('"memory"', '"sqlite"'))
    refused = subprocess.run(
        [*GATEWAY, "serve", "--config", str(tmp_path / "gateway.toml"), "--port", "0"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert refused.returncode == 1
    assert refused.stderr == f"gateway: {tmp_path / 'gateway.sqlite3'}: file is not a database\n"


@pytest.mark.process
def test_the_demonstration_answers_and_its_log_holds_no_secret() -> None:
    with subprocess.Popen(
        [*GATEWAY, "serve", "--config", str(CONFIG / "demo.toml"), "--port", "0"],
        env={**os.environ, "HARDWIRE_DEMO_PASSWORD": "canary-password", "SEMA4_DEMO_API_KEY": "canary-api-key"},
        stderr=subprocess.PIPE,
        text=True,
    ) as served:
        assert served.stderr is not None
        try:
            listening = json.loads(served.stderr.readline())
            answers = [
                ask(listening["url"], {"route": route, "content": "Hello canary-password", "stream": False})
                for route in listening["routes"]
            ]
            failing = {"route": "support", "content": "Hello [fault:status-503@hardwire]", "stream": False}
            answers.append(ask(listening["url"], failing))
            served.send_signal(signal.SIGTERM)
            log = served.stderr.read()
            assert served.wait(20) == 0
        finally:
            served.kill()  # a failure must not wait for it
    vendors = sorted(tomllib.loads((CONFIG / "demo.toml").read_text())["vendors"])
    assert listening["routes"] == sorted([*vendors, "support"])
    assert {(route, answer["vendor"]) for route, answer in zip(listening["routes"], answers, strict=False)} == {
        *zip(vendors, vendors, strict=True),
        ("support", "hardwire"),
    }
    assert answers[-1]["vendor"] == "chatbase"
    assert {answer["status"] for answer in answers} == {"completed"}
    assert log.count('"event":"message"') == len(vendors) + 2
    assert "canary" not in log


def ask(url: str, message: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{url}/v1/messages", json.dumps(message).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as response:
        answer: dict[str, Any] = json.load(response)
    return answer

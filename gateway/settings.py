"""The configuration: a TOML file becomes frozen Structs, or one `SettingsError` that tells all that is wrong with it.

    [server] [log] [limits]   values with defaults: see the Structs of those names
    [server.cors]             pages of which other origins may call us
    [dialects.NAME]           what a client-facing protocol may be told: see its own settings
    [store]                   where conversations are kept
    [simulation]              the gateway itself plays vendors on 127.0.0.1:port (0: any free one)
    [[keys]]                  who may call us: `sha256` (64 hex digits), or `secret`, which is hashed here
    [vendors.NAME]            `protocol`, `base_url`, `bases`, `credentials`, `allow_plain_http`; `breaker`,
                              `retry_budget` and `probe`, the `HealthSettings`
    [routes.NAME]             `RouteRules`, and `targets`: each a vendor, a weight and its protocol's own settings

`deadlines` and the fields of `TargetRules` stand in a target's table, or in its route's for all targets that do not say
otherwise, field by field.

A secret is `{ env = "NAME" }` or `{ file = "PATH" }` (relative to the configuration), never written out; a `default`
beside `env` serves vendors on loopback alone. `base_url = "simulation:NAME"` is the simulated vendor of protocol NAME.

A problem reads `gateway.toml: routes.support.targets[1].vendr: unknown key, did you mean "vendor"?`, and shows a wrong
value where that cannot be a secret. Durations are seconds, sizes bytes.
"""

import hashlib
import ipaddress
import os
import re
import tomllib
import types
from collections import Counter
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from gateway.protocols.base import Credentials, Descriptor
from gateway.routing.breaker import BreakerSettings
from gateway.routing.budget import BudgetSettings
from gateway.routing.health import HealthSettings
from gateway.routing.order import Strategy, Weight
from gateway.routing.plan import Deadlines, Route, Target
from gateway.routing.probe import ProbeSettings
from gateway.routing.rules import RouteRules, TargetRules

S = TypeVar("S", bound=Struct)

SIMULATION = "simulation:"
"""What a `base_url` begins with that names a simulated vendor."""

NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")

MAX_SECONDS = 86_400
Seconds = Annotated[float, Meta(gt=0, le=MAX_SECONDS)]
ShortSeconds = Annotated[float, Meta(gt=0, le=15)]
"""The laws of the stream bound silence by 15 s."""
Bytes = Annotated[int, Meta(gt=0, le=1 << 40)]
Port = Annotated[int, Meta(ge=0, le=65_535)]


Origin = Annotated[
    str, Meta(pattern=r"^(\*|https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?)\Z")
]


class Cors(Struct, frozen=True):
    """Pages of these origins, such as `https://app.example.com`, may call us (`*`: of any); `max_age` is seconds."""

    origins: tuple[Origin, ...] = ()
    max_age: Annotated[int, Meta(ge=0, le=86_400)] = 600


class Server(Struct, frozen=True):
    host: str = "127.0.0.1"
    port: Port = 8080
    max_body: Bytes = 1_048_576
    body_deadline: Seconds = 15.0
    header_deadline: Seconds = 10.0
    send_deadline: Seconds = 30.0
    """How long a client may leave what we wrote unread."""
    shutdown_grace: Seconds = 10.0
    cors: Cors = Cors()


class Log(Struct, frozen=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "pretty"] = "auto"
    """`auto` is pretty on a terminal."""


class Limits(Struct, frozen=True):
    max_message: Bytes = 4_194_304
    """Of one answer's text and log."""
    max_held: Bytes = 65_536
    """Of what is held before commit."""
    max_record: Bytes = 2_097_152
    max_error_body: Bytes = 65_536
    max_file: Bytes = 134_217_728
    """Of one file, up or down."""
    max_document: Bytes = 16_777_216
    """Of the rows of one data frame."""


class Store(Struct, frozen=True):
    """`sqlite` keeps conversations in `path` (relative to the configuration), `memory` until the process ends."""

    kind: Literal["sqlite", "memory"] = "sqlite"
    path: Annotated[str, Meta(min_length=1)] = "gateway.sqlite3"
    busy_timeout: Seconds = 2.0


class Simulation(Struct, frozen=True):
    port: Port = 0
    play: dict[str, str] = {}
    """What a simulated vendor plays where a message chooses nothing: protocol -> play."""


class Key(Struct, frozen=True):
    """A caller's key: its SHA-256, and where that came from."""

    id: str
    digest: bytes
    source: str

    def __repr__(self) -> str:
        return f"Key({self.id!r})"


class Vendor(Struct, frozen=True):
    """A service that speaks `protocol`.

    `simulated` names the protocol whose simulator stands in; `base_url` is then None, and `bases` may lack names.
    `sources` says where each credential came from, such as `env ACME_API_KEY`.
    """

    name: str
    protocol: str
    base_url: str | None
    bases: dict[str, str]
    credentials: Credentials
    sources: dict[str, str]
    simulated: str | None = None
    health: HealthSettings = HealthSettings()


class Settings(Struct, frozen=True):
    """`default_route` is the only route where the file names none, and None where there are several."""

    default_route: str | None
    server: Server
    log: Log
    limits: Limits
    store: Store
    simulation: Simulation | None
    keys: tuple[Key, ...]
    vendors: dict[str, Vendor]
    routes: dict[str, Route]
    dialects: dict[str, Struct] = {}
    """What each client-facing protocol is made with, by name."""


class SettingsError(Exception):
    """All that is wrong with a configuration, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def load(
    path: Path,
    protocols: Mapping[str, Descriptor],
    *,
    environ: Mapping[str, str] = os.environ,
    host: str | None = None,
    port: int | None = None,
) -> Settings:
    """Reads and checks a configuration; `host` and `port` take the place of the file's. Raises `SettingsError`."""
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise SettingsError([f"{path}: cannot be read: {error.strerror}"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{path.name}: is no TOML: {error}"]) from error
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    server = document.get("server", {})
    if given and isinstance(server, dict):
        document["server"] = {**server, **given}
    return _Loader(path, protocols, environ).load(document)


def secrets(settings: Settings) -> frozenset[str]:
    """The secrets in use, for the log to leave out."""
    return frozenset(secret for vendor in settings.vendors.values() for secret in vendor.credentials.values())


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


# --- the file as it is written


class _Key(Struct, frozen=True):
    id: str
    sha256: object = None
    secret: object = None


class _Secret(Struct, frozen=True):
    env: str | None = None
    file: str | None = None
    default: str | None = None


class _Vendor(Struct, frozen=True):
    protocol: str
    base_url: str
    bases: dict[str, str] = {}
    credentials: dict[str, object] = {}
    allow_plain_http: bool = False
    breaker: BreakerSettings = BreakerSettings()
    retry_budget: BudgetSettings = BudgetSettings()
    probe: ProbeSettings | None = None


ModelName = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\s*]*\*?\Z")]
"""A name, or with a `*` at its end what names begin with."""


class _Route(Struct, frozen=True):
    """What a route has beside `RouteRules`, and what it says for its targets."""

    targets: list[dict[str, Any]]
    headers_after: ShortSeconds = 10.0
    heartbeat: ShortSeconds = 10.0
    vendor_events: bool = False
    models: tuple[ModelName, ...] = ()


class _Target(Struct, frozen=True):
    """What every target has beside its protocol's settings, its deadlines and its rules."""

    vendor: str
    weight: Weight = 1.0


class _Trust(Struct, frozen=True):
    """The deadlines and the fields of `TargetRules` that are given, by name."""

    deadlines: dict[str, float] = {}
    rules: dict[str, Any] = {}


class _File(Struct, frozen=True):
    default_route: str | None = None
    server: Server = Server()
    log: Log = Log()
    limits: Limits = Limits()
    store: Store = Store()
    simulation: Simulation | None = None
    keys: list[_Key] = []
    vendors: dict[str, _Vendor] = {}
    routes: dict[str, dict[str, Any]] = {}
    dialects: dict[str, dict[str, Any]] = {}


_TRUST = frozenset({"deadlines", *TargetRules.__struct_fields__})
_ROUTE_TRUST = _TRUST - frozenset(_Route.__struct_fields__)
_ROUTE_RULES = frozenset(RouteRules.__struct_fields__)

_UNSEEN = frozenset({"credentials", "env", "default", "sha256", "secret", "base_url", "bases"})
"""Fields whose values are not shown: someone may have written a secret there."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ENV = re.compile(r"[A-Z_][A-Z0-9_]{0,127}")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SHAPES: dict[type, str] = {dict: "a table", list: "an array"}


class _Reader:
    """Turns tables into Structs field by field, and collects what does not fit, so that all of it is told at once."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.problems: list[str] = []

    def refuse(self, path: str, problem: str) -> None:
        self.problems.append(f"{self._file}: {path}: {problem}")

    def struct(self, kind: type[S], table: object, path: str, beside: Iterable[str] = ()) -> S | None:
        """The Struct, with defaults for what was refused; None where a field without default is missing or refused.

        `beside` names keys of the same table that are read elsewhere.
        """
        values = self.given(kind, table, path, beside)
        if values is None or any(found.required and found.name not in values for found in msgspec.structs.fields(kind)):
            return None
        return self._build(kind, values, path)

    def given(self, kind: type[S], table: object, path: str, beside: Iterable[str] = ()) -> dict[str, Any] | None:
        """The values of the Struct's fields that the table gives and that fit; None where it is no table."""
        if not isinstance(table, dict):
            self.refuse(path, f"expected a table, got {_kind(table)}")
            return None
        fields = {found.encode_name: found for found in msgspec.structs.fields(kind)}
        self._refuse_unknown(table, {*fields, *beside}, path)
        values = {}
        for name, found in fields.items():
            if name in table:
                values[found.name] = self._value(found.type, table[name], _join(path, name))
            elif found.required:
                self.refuse(path, f'"{name}" is missing')
        return {name: value for name, value in values.items() if value is not None}

    def _build(self, kind: type[S], values: dict[str, Any], path: str) -> S | None:
        try:
            return kind(**values)
        except ValueError as error:  # a Struct's own `__post_init__`
            self.refuse(path, str(error))
            return None

    def _refuse_unknown(self, table: dict[str, Any], known: set[str], path: str) -> None:
        for name in table:
            if name not in known:
                self.refuse(_join(path, name), f"unknown key{nearest(name, known)}")

    def _value(self, kind: Any, raw: object, path: str) -> Any:
        """The value, or None where it does not fit (TOML itself has no null)."""
        if get_origin(kind) in (Union, types.UnionType):
            members = [member for member in get_args(kind) if member is not types.NoneType]
            if len(members) == 1:
                return self._value(members[0], raw, path)
        if isinstance(kind, type) and issubclass(kind, Struct):
            return self.struct(kind, raw, path)
        shape, arguments = get_origin(kind), get_args(kind)
        if shape is dict:
            return self._named(arguments[0], arguments[1], raw, path)
        if shape is list or (shape is tuple and arguments[-1] is Ellipsis):
            return self._listed(shape, arguments[0], raw, path)
        return self._leaf(kind, raw, path)

    def _named(self, names: Any, kind: Any, raw: object, path: str) -> Any:
        """The entries that fit, of those whose names do."""
        if not isinstance(raw, dict):
            return self.refuse(path, f"expected a table, got {_kind(raw)}")
        paths = {name: _join(path, name) for name in raw if self._leaf(names, name, _join(path, name)) is not None}
        entries = {name: self._value(kind, raw[name], paths[name]) for name in paths}
        return {name: value for name, value in entries.items() if value is not None}

    def _listed(self, shape: Any, kind: Any, raw: object, path: str) -> Any:
        """The entries that fit."""
        if not isinstance(raw, list):
            return self.refuse(path, f"expected an array, got {_kind(raw)}")
        entries = [self._value(kind, value, f"{path}[{index}]") for index, value in enumerate(raw)]
        return shape(entry for entry in entries if entry is not None)

    def _leaf(self, kind: Any, raw: object, path: str) -> Any:
        try:
            return msgspec.convert(raw, kind)
        except msgspec.ValidationError as error:
            reason, _, place = str(error).partition(" - at `$")
            shown = "" if _UNSEEN.intersection(re.split(r"[.\[]", path)) else _shown(raw)
            if get_origin(kind) is Literal:
                choices = list(map(str, get_args(kind)))
                reason = f"expected one of {', '.join(choices)}"
                shown += nearest(raw, choices) if isinstance(raw, str) else ""
            return self.refuse(path + place.removesuffix("`"), reason[0].lower() + reason[1:] + shown)


class _Loader:
    """One configuration: `_File` in, `Settings` out."""

    def __init__(self, path: Path, protocols: Mapping[str, Descriptor], environ: Mapping[str, str]) -> None:
        self._folder = path.parent
        self._protocols = protocols
        self._environ = environ
        self._reader = _Reader(path.name)
        self._refuse = self._reader.refuse

    def load(self, document: dict[str, Any]) -> Settings:
        file = self._reader.struct(_File, document, "")
        if file is None:  # pragma: no cover - every field of `_File` has a default
            raise SettingsError(self._reader.problems)
        named = document.get("vendors")
        vendor_names = set(named) if isinstance(named, dict) else set()
        self._check_simulation(file.simulation)
        settings = Settings(
            default_route=self._default_route(file),
            server=file.server,
            log=file.log,
            limits=file.limits,
            store=msgspec.structs.replace(file.store, path=str(self._folder / file.store.path)),
            simulation=file.simulation,
            keys=self._keys(file.keys),
            vendors=self._vendors(file),
            routes=self._routes(file, vendor_names),
            dialects=self._dialects(file.dialects),
        )
        self._check_exposure(file)
        if self._reader.problems:
            raise SettingsError(self._reader.problems)
        return settings

    def _check_simulation(self, simulation: Simulation | None) -> None:
        for protocol, play in simulation.play.items() if simulation else ():
            path = _join("simulation.play", protocol)
            descriptor = self._protocol(protocol, path)
            if descriptor is None:
                continue
            if descriptor.simulator is None:
                self._refuse(path, "this protocol has no simulated vendor")
                continue
            plays = descriptor.simulator("").plays
            if play not in plays:
                self._refuse(path, f"no play {_quoted(play)}{nearest(play, plays)}")

    def _check_exposure(self, file: _File) -> None:
        if not file.keys and not is_loopback(file.server.host):
            self._refuse("server.host", "without [[keys]] the gateway serves on loopback only, such as 127.0.0.1")

    def _dialects(self, written: dict[str, dict[str, Any]]) -> dict[str, Struct]:
        doors = {name: found for name, found in self._protocols.items() if found.dialect is not None}
        for name in sorted(written.keys() - doors.keys()):
            self._refuse(_join("dialects", name), f"no client speaks that{nearest(name, doors)}")
        made = {
            name: self._reader.struct(door.dialect_settings, written.get(name, {}), _join("dialects", name))
            for name, door in doors.items()
        }
        return {name: settings for name, settings in made.items() if settings is not None}

    def _default_route(self, file: _File) -> str | None:
        if not file.routes:
            self._refuse("routes", "there is no route")
        elif file.default_route is None:
            return next(iter(file.routes)) if len(file.routes) == 1 else None
        elif file.default_route not in file.routes:
            hint = nearest(file.default_route, file.routes)
            self._refuse("default_route", f"no route {_quoted(file.default_route)}{hint}")
        return file.default_route

    # --- keys

    def _keys(self, written: list[_Key]) -> tuple[Key, ...]:
        keys: dict[str, Key] = {}
        owners: dict[bytes, str] = {}
        for index, entry in enumerate(written):
            path = f"keys[{index}]"
            self._check_name(entry.id, _join(path, "id"))
            if entry.id in keys:
                self._refuse(_join(path, "id"), f"a second key {_quoted(entry.id)}")
            found = self._digest(entry, path)
            if found is not None:
                digest, source = found
                keys[entry.id] = Key(entry.id, digest, source)
                if owners.setdefault(digest, entry.id) != entry.id:
                    self._refuse(path, f"the same key as {_quoted(owners[digest])}'s: a caller is known by it")
        return tuple(keys.values())

    def _digest(self, entry: _Key, path: str) -> tuple[bytes, str] | None:
        if (entry.sha256 is None) == (entry.secret is None):
            self._refuse(path, 'write either "sha256" or "secret"')
            return None
        if entry.secret is not None:
            secret = self._secret(entry.secret, _join(path, "secret"), may_default=False)
            return secret and (hashlib.sha256(secret[0].encode()).digest(), f"secret from {secret[1]}")
        path = _join(path, "sha256")
        found = ("", "") if isinstance(entry.sha256, str) else self._secret(entry.sha256, path, may_default=False)
        if found is None:
            return None
        digits = entry.sha256 if isinstance(entry.sha256, str) else found[0]
        if not _SHA256.fullmatch(digits):
            self._refuse(path, "expected 64 hexadecimal digits")
            return None
        return bytes.fromhex(digits), f"sha256 from {found[1] or 'the file'}"

    # --- vendors

    def _vendors(self, file: _File) -> dict[str, Vendor]:
        vendors = {name: self._vendor(name, entry, file) for name, entry in file.vendors.items()}
        return {name: vendor for name, vendor in vendors.items() if vendor is not None}

    def _vendor(self, name: str, entry: _Vendor, file: _File) -> Vendor | None:
        path = _join("vendors", name)
        self._check_name(name, path)
        simulated = None
        if entry.base_url.startswith(SIMULATION):
            simulated = entry.base_url.removeprefix(SIMULATION)
            self._check_simulated(simulated, file, _join(path, "base_url"))
        else:
            self._check_url(entry.base_url, entry, _join(path, "base_url"))
        for base, url in entry.bases.items():
            self._check_url(url, entry, _join(path, "bases", base))
        descriptor = self._protocol(entry.protocol, _join(path, "protocol"))
        may_default = simulated is not None or is_loopback(_host(entry.base_url))
        resolved = self._credentials(entry, path, may_default=may_default)
        if descriptor is None:
            return None
        self._check_vendor(entry, descriptor, path, simulated=simulated is not None)
        return Vendor(
            name=name,
            protocol=entry.protocol,
            base_url=None if simulated is not None else entry.base_url.rstrip("/"),
            bases={base: url.rstrip("/") for base, url in entry.bases.items()},
            credentials=Credentials({key: value for key, (value, _) in resolved.items()}),
            sources={key: source for key, (_, source) in resolved.items()},
            simulated=simulated,
            health=HealthSettings(entry.breaker, entry.retry_budget, entry.probe),
        )

    def _check_simulated(self, simulated: str, file: _File, path: str) -> None:
        descriptor = self._protocol(simulated, path)
        if descriptor is not None and descriptor.simulator is None:
            self._refuse(path, f"the protocol {_quoted(simulated)} has no simulated vendor")
        if file.simulation is None:
            self._refuse(path, "there is no [simulation] section")

    def _check_url(self, url: str, entry: _Vendor, path: str) -> None:
        problem = _url_problem(url, plain=entry.allow_plain_http)
        if problem is not None:
            self._refuse(path, problem)

    def _check_vendor(self, entry: _Vendor, descriptor: Descriptor, path: str, *, simulated: bool) -> None:
        if descriptor.translator is None:
            self._refuse(
                _join(path, "protocol"), f"{_quoted(entry.protocol)} is for clients: no vendor is called in it"
            )
            return
        known = descriptor.bases | descriptor.optional_bases
        for base in entry.bases.keys() - known:
            self._refuse(_join(path, "bases", base), f"unknown key{nearest(base, known)}")
        for base in sorted(descriptor.bases - entry.bases.keys()) if not simulated else ():
            self._refuse(_join(path, "bases"), f'"{base}" is missing')
        if frozenset(entry.credentials) not in descriptor.credentials:
            self._refuse(_join(path, "credentials"), f"expected {_sets(descriptor.credentials)}")

    def _credentials(self, entry: _Vendor, path: str, *, may_default: bool) -> dict[str, tuple[str, str]]:
        resolved = {
            name: self._secret(raw, _join(path, "credentials", name), may_default=may_default)
            for name, raw in entry.credentials.items()
        }
        return {name: secret for name, secret in resolved.items() if secret is not None}

    # --- secrets

    def _secret(self, raw: object, path: str, *, may_default: bool) -> tuple[str, str] | None:
        """A secret and where it came from."""
        if not isinstance(raw, dict):
            self._refuse(path, 'write { env = "NAME" } or { file = "PATH" }, never the secret itself')
            return None
        entry = self._reader.struct(_Secret, raw, path)
        if entry is None or (entry.env is None) == (entry.file is None):
            self._refuse(path, 'write either { env = "NAME" } or { file = "PATH" }')
            return None
        if entry.default is not None and not may_default:
            self._refuse(_join(path, "default"), "only a vendor on loopback may have one")
        found = self._from_env(entry, path) if entry.env is not None else self._from_file(entry, path)
        if found is None:
            return None
        value, source = found
        if not value or _CONTROL.search(value):
            self._refuse(path, f"{source} is empty or holds control characters")
            return None
        if not _is_utf8(value):
            self._refuse(path, f"{source} is no UTF-8 text")
            return None
        return found

    def _from_env(self, entry: _Secret, path: str) -> tuple[str, str] | None:
        name = entry.env or ""
        if not _ENV.fullmatch(name):
            self._refuse(_join(path, "env"), "expected the name of an environment variable, in capitals")
            return None
        if name in self._environ:
            return self._environ[name], f"env {name}"
        if entry.default is not None:
            return entry.default, f"default of env {name}"
        self._refuse(path, f"the environment variable {name} is not set")
        return None

    def _from_file(self, entry: _Secret, path: str) -> tuple[str, str] | None:
        file = self._folder / (entry.file or "")
        try:
            return file.read_text("utf-8").rstrip("\r\n"), f"file {entry.file}"
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
            self._refuse(path, f"the file {entry.file} cannot be read: {reason}")
            return None

    # --- routes

    def _routes(self, file: _File, vendor_names: set[str]) -> dict[str, Route]:
        made = {name: self._route(name, table, file, vendor_names) for name, table in file.routes.items()}
        routes = {name: route for name, route in made.items() if route is not None}
        self._check_models(routes)
        return routes

    def _check_models(self, routes: dict[str, Route]) -> None:
        """A name leads to one route."""
        taken: dict[str, str] = {name: name for name in routes}
        for route in routes.values():
            for index, model in enumerate(route.models):
                if taken.setdefault(model, route.name) != route.name:
                    path = _join("routes", route.name) + f".models[{index}]"
                    self._refuse(path, f"{_quoted(model)} leads to the route {_quoted(taken[model])} already")

    def _route(self, name: str, table: dict[str, Any], file: _File, vendor_names: set[str]) -> Route | None:
        path = _join("routes", name)
        self._check_name(name, path)
        entry = self._reader.struct(_Route, table, path, _ROUTE_RULES | _ROUTE_TRUST)
        rules = self._reader.struct(RouteRules, _only(table, _ROUTE_RULES), path) or RouteRules()
        usual = self._trust(_only(table, _ROUTE_TRUST), path, _Trust())
        if entry is None:
            return None
        if not entry.targets:
            self._refuse(_join(path, "targets"), "a route needs a target")
        targets = [
            self._target(target, f"{path}.targets[{index}]", usual, file, vendor_names)
            for index, target in enumerate(entry.targets)
        ]
        if table.get("strategy", rules.strategy) == rules.strategy:
            self._check_weights(rules.strategy, entry.targets, path)
        return Route(
            name=name,
            targets=tuple(target for target in targets if target is not None),
            headers_after=entry.headers_after,
            heartbeat=entry.heartbeat,
            vendor_events=entry.vendor_events,
            models=entry.models,
            rules=rules,
        )

    def _check_weights(self, strategy: Strategy, targets: list[dict[str, Any]], path: str) -> None:
        weights = {index: target["weight"] for index, target in enumerate(targets) if "weight" in target}
        if strategy != "weighted":
            for index in weights:
                self._refuse(
                    f"{path}.targets[{index}].weight", f"weight has no effect: strategy is {_quoted(strategy)}"
                )
        elif targets and list(weights.values()) == [0] * len(targets):
            self._refuse(f"{path}.targets", "every weight is 0: at least one must be above")

    def _target(
        self, table: dict[str, Any], path: str, usual: _Trust, file: _File, vendor_names: set[str]
    ) -> Target | None:
        trust = self._trust(_only(table, _TRUST), path, usual)
        vendor = table.get("vendor")
        entry = file.vendors.get(vendor) if isinstance(vendor, str) else None
        descriptor = self._protocols.get(entry.protocol) if entry else None
        if descriptor is None:
            self._explain_target(table, path, vendor_names)
            return None
        own = frozenset(found.encode_name for found in msgspec.structs.fields(descriptor.target))
        common = self._reader.struct(_Target, table, path, own | _TRUST)
        settings = self._reader.struct(descriptor.target, _only(table, own), path)
        if common is None or settings is None or entry is None:
            return None
        objection = descriptor.objection(settings, entry.credentials)
        if objection is not None:
            self._refuse(path, objection)
        return Target(
            vendor=common.vendor,
            protocol=descriptor.name,
            settings=settings,
            deadlines=Deadlines(**trust.deadlines),
            rules=TargetRules(**trust.rules),
            weight=common.weight,
        )

    def _trust(self, table: dict[str, Any], path: str, usual: _Trust) -> _Trust:
        """What the table gives, and what is usual of what it does not give."""
        deadlines = self._reader.given(Deadlines, table.get("deadlines", {}), _join(path, "deadlines")) or {}
        for name, seconds in deadlines.items():
            if not 0 < seconds <= MAX_SECONDS:
                self._refuse(f"{path}.deadlines.{name}", f"expected seconds above 0, at most {MAX_SECONDS}: {seconds}")
        rules = self._reader.given(TargetRules, table, path, ("deadlines",)) or {}
        for code, times in Counter(rules.get("fail_over_on", ())).items():
            if times > 1:
                self._refuse(_join(path, "fail_over_on"), f"{_quoted(code)} stands there more than once")
        return _Trust({**usual.deadlines, **deadlines}, {**usual.rules, **rules})

    def _explain_target(self, table: dict[str, Any], path: str, vendor_names: set[str]) -> None:
        """What is wrong with a target whose vendor, and with it the names of its settings, is not known."""
        vendor = table.get("vendor")
        if isinstance(vendor, str):
            if vendor not in vendor_names:
                self._refuse(_join(path, "vendor"), f"no vendor {_quoted(vendor)}{nearest(vendor, vendor_names)}")
            return
        names = ("vendor", "weight", "deadlines")
        likely = {name: value for name, value in table.items() if name in names or nearest(name, names)}
        self._reader.struct(_Target, likely, path, _TRUST)

    # --- all of them

    def _protocol(self, name: str, path: str) -> Descriptor | None:
        descriptor = self._protocols.get(name)
        if descriptor is None:
            self._refuse(path, f"no protocol {_quoted(name)}{nearest(name, self._protocols)}")
        return descriptor

    def _check_name(self, name: str, path: str) -> None:
        if not NAME.fullmatch(name):
            self._refuse(path, "a name has 1 to 128 letters, digits, dots, underscores and hyphens")


def nearest(name: str, known: Iterable[str]) -> str:
    """`, did you mean "that"?`, or nothing where no known name is near."""
    close = get_close_matches(name, list(known), n=1)
    return f", did you mean {_quoted(close[0])}?" if close else ""


def _url_problem(url: str, *, plain: bool) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        return "is no URL"
    if parts.scheme not in ("http", "https") or not parts.hostname or _CONTROL.search(url) or " " in url:
        return "expected an http or https URL"
    if "@" in parts.netloc or "?" in url or "#" in url:
        return "a base URL has no user, query or fragment"
    if parts.scheme == "http" and not plain and not is_loopback(parts.hostname):
        return "plain http leaves this machine: write https, or allow_plain_http = true beside it"
    return None


def _is_utf8(text: str) -> bool:
    """Python keeps other bytes of the environment as halves of characters (PEP 383)."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _only(table: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name in names}


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _join(*names: str) -> str:
    quoted = (name if index == 0 or _BARE.fullmatch(name) else _quoted(name) for index, name in enumerate(names))
    return ".".join(name for name in quoted if name)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _kind(raw: object) -> str:
    return _SHAPES.get(type(raw), f"`{type(raw).__name__}`")


def _shown(raw: object) -> str:
    return f": {_quoted(raw) if isinstance(raw, str) else raw}"[:80] if isinstance(raw, str | int | float) else ""


def _sets(sets: Iterable[frozenset[str]]) -> str:
    return ", or ".join(" and ".join(sorted(names)) or "nothing" for names in sets)

"""Which room may import which: the design's table as data, and a checker that reads sources and names what breaks it.

Sources            path -> text, as they stand below the checkout: {"gateway/app.py": "..."}
forbidden_arrows   every import that the table does not allow, wherever it stands in its file
import_cycles      modules that need one another
misplaced_names    a protocol's name outside its folder and its two lines in the registry
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

Sources = Mapping[str, str]

WAIST = frozenset({"canonical", "framing"})
PORTS = WAIST | {"protocols.base"}
DOORS = PORTS | {"protocols.reading", "protocols.refusing"}
SERVICES = PORTS | {"simulation", "routing", "conversations", "telemetry"}
ALL = SERVICES | {"relay", "server", "client", "settings", "app", "cli"}

ALLOWED: dict[str, frozenset[str]] = {
    "gateway": frozenset(),
    "canonical": frozenset(),
    "framing": frozenset(),
    "protocols": frozenset(),
    "protocols.base": WAIST,
    "protocols.reading": PORTS,
    "protocols.refusing": PORTS,
    "protocols.registry": PORTS | {"protocols.*"},
    "protocols.*": DOORS,
    "simulation": frozenset({"framing", "protocols.base"}),
    "routing": frozenset({"canonical"}),
    "conversations": frozenset({"canonical"}),
    "telemetry": frozenset({"canonical"}),
    "relay": SERVICES,
    "server": SERVICES | {"relay"},
    "client": WAIST,
    "settings": ALL,
    "app": ALL | {"protocols.registry"},
    "cli": ALL | {"protocols.registry"},
}
"""Room -> the rooms it may import beside itself; `protocols.*` is any one protocol's folder, and no other's."""

NOT_PROTOCOLS = {"__init__", "base", "reading", "refusing", "registry"}
ENGLISH_WORDS = {"native"}
"""Protocols whose names are words that a comment may need."""
PLAYED = ("/simulator.py", "/plays.py")
"""What a simulated vendor says may hold names of makers and models that are protocols here."""
REGISTRY = "gateway/protocols/registry.py"


def read_sources(checkout: Path) -> Sources:
    """Every file of the package that is text."""
    files = [path for path in sorted((checkout / "gateway").rglob("*")) if path.is_file()]
    texts = {
        path.relative_to(checkout).as_posix(): path.read_bytes() for path in files if "__pycache__" not in path.parts
    }
    return {path: data.decode() for path, data in texts.items() if b"\0" not in data}


def forbidden_arrows(sources: Sources) -> list[str]:
    """`importing module -> imported module`, for each arrow that the table does not allow."""
    return [
        f"{importer} -> {imported}"
        for importer, imports in _graph(sources).items()
        for imported in sorted(imports)
        if not _may_import(_room(importer), _room(imported))
    ]


def import_cycles(sources: Sources) -> list[list[str]]:
    """The modules that reach themselves, grouped by whom they reach each other with."""
    graph = _graph(sources)
    reached = {module: _reach(graph, module) for module in graph}
    cycles = {
        tuple(sorted(other for other in reached[module] if module in reached.get(other, ())))
        for module in graph
        if module in reached[module]
    }
    return [list(cycle) for cycle in sorted(cycles)]


def misplaced_names(sources: Sources) -> list[str]:
    """`path:line: name`, for each protocol's name where it may not stand, and for what the registry lacks."""
    return [
        problem
        for name in _protocols(sources)
        if name not in ENGLISH_WORDS
        for problem in (*_named_elsewhere(sources, name), *_misregistered(sources, name))
    ]


def _may_import(importer: str, imported: str) -> bool:
    if importer == imported:
        return True
    return _row(imported) in ALLOWED.get(_row(importer), frozenset())


def _row(room: str) -> str:
    return room if room in ALLOWED or not room.startswith("protocols.") else "protocols.*"


def _room(module: str) -> str:
    """The row of the table that a module belongs to; a protocol's folder is a room of its own."""
    _, *inside = module.split(".")
    match inside:
        case []:
            return "gateway"
        case ["__main__"]:
            return "cli"
        case ["protocols", name, *_]:
            return f"protocols.{name}"
        case _:
            return inside[0]


def _graph(sources: Sources) -> dict[str, set[str]]:
    """Module -> the modules of ours that it names in an import, in a function or under TYPE_CHECKING too."""
    paths = {_module(path): path for path in sources if path.endswith(".py")}
    packages = {module for module, path in paths.items() if path.endswith("/__init__.py")}
    return {
        module: {
            name if name in paths else name.rpartition(".")[0]
            for name in _imported_names(sources[path], module if module in packages else module.rpartition(".")[0])
            if name.partition(".")[0] == "gateway"
        }
        for module, path in paths.items()
    }


def _module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _imported_names(source: str, package: str) -> Iterator[str]:
    """Modules, and members of modules, as `gateway.canonical.events.TextDelta`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module, names, level):
                base = _relative_to(package, level or 0)
                yield from (".".join(filter(None, (base, module, alias.name))) for alias in names)
            case ast.Call(ast.Name("import_module" | "__import__") | ast.Attribute(attr="import_module"), [name, *_]):
                yield str(name.value) if isinstance(name, ast.Constant) else f"gateway.{ast.unparse(name)}"


def _relative_to(package: str, level: int) -> str:
    parts = package.split(".")
    return ".".join(parts[: len(parts) + 1 - level]) if level else ""


def _reach(graph: Mapping[str, set[str]], module: str) -> set[str]:
    reached: set[str] = set()
    ahead = list(graph[module])
    while ahead:
        here = ahead.pop()
        if here not in reached:
            reached.add(here)
            ahead += graph.get(here, ())
    return reached


def _protocols(sources: Sources) -> list[str]:
    modules = [path.split("/")[2].removesuffix(".py") for path in sources if path.startswith("gateway/protocols/")]
    return sorted({module for module in modules if module not in NOT_PROTOCOLS})


def _named_elsewhere(sources: Sources, name: str) -> Iterator[str]:
    own = (f"gateway/protocols/{name}/", f"gateway/protocols/{name}.py", REGISTRY)
    for path, text in sources.items():
        if not path.startswith(own) and not path.endswith(PLAYED):
            yield from (f"{path}:{number}: {name}" for number, _ in _lines_with(text, name))


def _misregistered(sources: Sources, name: str) -> Iterator[str]:
    """The registry names a protocol in two lines: one imports it, one is its entry."""
    lines = [line for _, line in _lines_with(sources.get(REGISTRY, ""), name)]
    shapes = [rf"from gateway\.protocols\.{name} import \w+", rf' +"{_spelled(name)}": \w+,']
    if len(lines) != len(shapes) or not all(map(re.fullmatch, shapes, lines)):
        yield f"{REGISTRY}: {name} has {len(lines)} lines, not an import and an entry"


def _lines_with(text: str, name: str) -> list[tuple[int, str]]:
    """Lines with the name as a word: `acme`, `ACME`, `Acme`, also in `acme_id` and `AcmeTarget`, not in `acmeist`."""
    forms = "|".join(_spelled(form) for form in (name, name.upper(), name.title().replace("_", "")))
    word = re.compile(rf"(?<![A-Za-z])(?:{forms})(?![a-z])")
    return [(number, line) for number, line in enumerate(text.splitlines(), 1) if word.search(line)]


def _spelled(name: str) -> str:
    return name.replace("_", "[_-]")

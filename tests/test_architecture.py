"""The plan of the packages, read from their imports: nothing flows back, nothing goes round."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("benchmark", "datamodules", "lightning_modules")
DOOR = {"datamodules.batch", "datamodules.errors"}
"""What models may know of the data."""
TOP = {
    ".ci",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CITATION.cff",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "benchmark",
    "constraints.txt",
    "datamodules",
    "leaderboards",
    "lightning_modules",
    "pyproject.toml",
    "tests",
}
ROOMS = (
    "cli",
    "checks",
    "campaign",
    "report",
    "predict",
    "engines",
    "recordings",
    "execution",
    "tuning",
    "tracking",
    "plan",
    "code",
    "encoders",
    "boards",
    "ensembles",
    "adapters",
    "curves",
    "scored",
    "store",
    "starting",
    "drawing",
    "files",
    "result",
    "upgrade",
    "run",
    "plugins",
    "adapters",
    "probes",
    "templates",
    "tables",
    "typed",
    "errors",
)
"""Rooms of benchmark, from the top to the ground: each imports only those that come after it."""
CIRCLES: tuple[tuple[str, str], ...] = ()
"""Imports that close a circle and are meant to: the module, and what it imports."""
LEAVES = (
    "benchmark",
    "benchmark.adapters.catalogue",
    "benchmark.cli.main",
    "benchmark.engines.catalogue",
    "benchmark.engines.event",
    "benchmark.engines.server",
    "benchmark.code",
    "benchmark.plan.narrow",
    "benchmark.plan.order",
    "benchmark.plan.parse",
    "benchmark.plan.suite",
    "benchmark.plugins",
    "benchmark.probes.catalogue",
    "benchmark.report.page",
    "benchmark.result",
    "benchmark.run",
    "benchmark.files",
    "benchmark.starting",
    "benchmark.store",
    "benchmark.tracking.names",
    "datamodules.catalogue",
    "datamodules.croissant",
    "datamodules.dataset",
    "datamodules.datasheet",
    "datamodules.errors",
    "datamodules.flags",
    "datamodules.folder",
    "datamodules.inputs",
    "datamodules.protocol",
    "datamodules.signals.kinds",
    "datamodules.signals.recording",
    "datamodules.splits",
    "datamodules.tasks",
    "lightning_modules.catalogue",
    "lightning_modules.metrics",
    "lightning_modules.recipe",
    "lightning_modules.spaces",
)
"""Modules that are importable without torch."""
HEAVY = ("torch", "lightning", "ray", "wandb", "optuna")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}


def imports(name: str) -> Iterator[str]:
    """Yield our own modules that a module imports, also inside functions and for types alone.

    A module that is named as ``"module:Class"``, to be imported later, counts as well.
    """
    for node in ast.walk(ast.parse(MODULES[name].read_text())):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import in line {node.lineno}"
            assert node.module
            found = [
                whole if (whole := f"{node.module}.{alias.name}") in MODULES else node.module
                for alias in node.names
            ]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            module, _, kind = node.value.partition(":")
            found = [module] if kind.isidentifier() and module in MODULES else []
        else:
            continue
        yield from (module for module in found if module.partition(".")[0] in PACKAGES)


def package(name: str) -> str:
    return name.partition(".")[0]


def test_modules_are_found():
    assert {package(name) for name in MODULES} == set(PACKAGES)
    assert "datamodules.signals.recording" in MODULES
    assert len(MODULES) > 30
    assert any(package(to) == "datamodules" for to in imports("benchmark.execution.execute"))


@pytest.mark.parametrize("name", MODULES)
def test_every_import_is_of_a_module_that_is_there(name):
    assert [to for to in imports(name) if to not in MODULES] == []


@pytest.mark.parametrize("name", [name for name in MODULES if package(name) == "datamodules"])
def test_datamodules_stand_on_nothing_of_ours(name):
    assert {to for to in imports(name) if package(to) != "datamodules"} == set()


@pytest.mark.parametrize("name", [name for name in MODULES if package(name) == "lightning_modules"])
def test_models_come_through_the_door(name):
    others = {to for to in imports(name) if package(to) != "lightning_modules"}
    assert others <= DOOR


@pytest.mark.parametrize("name", [name for name in MODULES if package(name) != "benchmark"])
def test_nothing_imports_benchmark(name):
    assert [to for to in imports(name) if package(to) == "benchmark"] == []


@pytest.mark.parametrize("name", [name for name in MODULES if name not in PACKAGES])
def test_nobody_imports_the_face_of_its_own_package(name):
    assert package(name) not in set(imports(name))


def circle(graph: Mapping[str, Collection[str]]) -> list[str]:
    """Return the modules of one circle, or none."""
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circles():
    graph = {name: set(imports(name)) - {name} for name in MODULES}
    assert sum(map(len, graph.values())) > 50
    for pair in CIRCLES:
        one, other = pair
        assert other in graph[one], f"{pair} is no exception any more"
        graph[one].discard(other)
    assert circle(graph) == []


def test_a_circle_would_be_found():
    assert circle({"a": ["b"], "b": ["c"], "c": ["a"], "d": []})
    assert circle({"a": ["b"], "b": ["c"], "c": []}) == []
    assert "benchmark.engines.local" in set(imports("benchmark.engines.catalogue"))  # as text
    assert "benchmark.tracking.wandb" in set(imports("benchmark.tracking.tracker"))  # in a function


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


@pytest.mark.parametrize(
    "name", [name for name in MODULES if package(name) == "benchmark" and room(name)]
)
def test_rooms_import_only_those_below(name):
    assert room(name) in ROOMS, f"{room(name)} is a new room: say where it is in ROOMS"
    above = ROOMS[: ROOMS.index(room(name))]
    assert {to for to in imports(name) if package(to) == "benchmark" and room(to) in above} == set()


def test_every_room_is_there():
    assert {room(name) for name in MODULES if package(name) == "benchmark"} - {""} == set(ROOMS)


def heavy_modules(script: str) -> str:
    """Return the heavy libraries that a script imports, in a process of its own."""
    script = f"import sys\n{script}\nprint(sorted({set(HEAVY)} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("name", LEAVES)
def test_can_be_known_without_torch(name):
    assert heavy_modules(f"import {name}") == "[]"


@pytest.mark.parametrize("catalogue", ["datasets", "models", "distillers", "splits", "suites"])
def test_catalogues_are_listed_without_torch(catalogue):
    script = f"from benchmark.cli.main import main\nassert main(['list', {catalogue!r}]) == 0"
    assert heavy_modules(script) == "[]"


def test_torch_would_be_noticed():
    assert heavy_modules("import lightning_modules.layers") == "['torch']"


def test_extras_are_imported_where_they_are_needed():
    """The libraries of extras are no dependencies: no module asks for one when it is imported."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    libraries = {
        re.match(r"\w+", one)[0] for name in extras if name != "dev" for one in extras[name]
    }
    assert {"mne", "tensorboard", "pyarrow", "ray"} <= libraries
    chosen = {"benchmark.engines.ray"}  # imported with --engine ray alone
    for name, path in MODULES.items():
        for node in ast.parse(path.read_text()).body if name not in chosen else ():
            names = [alias.name for alias in getattr(node, "names", ())]
            if isinstance(node, ast.ImportFrom):
                names = [str(node.module)]
            if isinstance(node, ast.Import | ast.ImportFrom):
                assert {one.partition(".")[0] for one in names} & libraries == set(), name


def test_no_utils():
    assert [path for path in FILES if path.stem in ("utils", "util", "helpers", "misc")] == []


def test_every_package_is_typed():
    for name in PACKAGES:
        assert (ROOT / name / "py.typed").is_file(), name


def test_top_level():
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True
    )
    assert {line.partition("/")[0] for line in listed.stdout.splitlines()} <= TOP

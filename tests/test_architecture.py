"""The plan of the packages, read from their imports: nothing flows back, nothing goes round."""

import ast
import subprocess
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("benchmark", "datamodules", "lightning_modules")
DOOR = {"datamodules.batch", "datamodules.errors"}
"""What models may know of the data."""
TOP = {
    ".ci",
    ".gitignore",
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
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in FILES
}


def imports(name: str, everywhere: bool = True) -> Iterator[str]:
    """Our own modules that a module imports; without ``everywhere``, when it is imported itself."""
    tree = ast.parse(MODULES[name].read_text())
    for node in ast.walk(tree) if everywhere else at_import(tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import in line {node.lineno}"
            assert node.module
            found = [
                whole if (whole := f"{node.module}.{alias.name}") in MODULES else node.module
                for alias in node.names
            ]
        else:
            continue
        yield from (module for module in found if module.partition(".")[0] in PACKAGES)


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """Every node that runs when the module is imported, without what only a type checker sees."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from at_import(child)


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


def test_no_circles():
    graph = {name: set(imports(name, everywhere=False)) - {name} for name in MODULES}
    assert sum(map(len, graph.values())) > 50
    list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_readers_and_splits_know_no_torch():
    for name in ("datamodules.splits", "datamodules.signals.recording", "benchmark.run"):
        tree = ast.parse(MODULES[name].read_text())
        found = {
            alias.name.partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        } | {
            (node.module or "").partition(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        assert "torch" not in found, name


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

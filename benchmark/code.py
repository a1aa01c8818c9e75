"""Code: a digest of the source that defines a model, so that a changed model is other work.

The digest covers the syntax trees of a module and of everything that it imports from some packages,
directly or through others. Comments, docstrings and formatting do not count. Nothing is imported to
compute it, so it needs no torch.

Trees are written in a form of this file's own: the name of each node and its fields, without those
that are empty and without those that only repeat how something was spelled. ``ast.dump`` and
``ast.unparse`` change with the version of Python; here, a field that a later version adds changes
nothing while it is empty. The one known exception are f-strings, whose trees Python 3.12 made
different for nested formats: a model with such a string may count as changed after an upgrade from
3.11, and is then done again.

Not seen are files that are no Python modules, modules whose name is put together while the program
runs, and compiled extensions.
"""

import ast
import hashlib
import sys
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

from benchmark.probes.catalogue import PROBES
from benchmark.run import Run
from lightning_modules.catalogue import DISTILLERS, MODELS

NO_SOURCE = "no-source"
"""In place of a digest, for a class that is defined in no file, as in an interactive session. Such
a model counts as unchanged however it changes."""
LEFT_OUT = frozenset(
    {
        "benchmark.probes.catalogue",  # a probe's own entry is part of its digest
        "lightning_modules",
        "lightning_modules.catalogue",
        "lightning_modules.recipe",  # the values of a recipe are in a run by name
    }
)
"""Modules that define no model by themselves, though models may import them."""
SPELLING = frozenset({"ctx", "kind", "lineno", "type_comment", "type_ignores"})
"""Fields of a node that say how something was written or is used, but not what it is."""
DIGITS = 12


def code_of_run(run: Run) -> str:
    """Return the digest of the code that defines a run's model and its distiller.

    The teachers of a run are runs with digests of their own.
    """
    if run.model in PROBES:
        probe = PROBES[run.model]
        code = code_of("benchmark.probes.fit", ("benchmark.probes", "datamodules.signals"))
        return _digest(f"{code} {probe.sees} {probe.classifier}")
    modules = [MODELS[run.model].__module__]
    if run.distiller:
        modules.append(DISTILLERS[run.distiller].__module__)
    codes = [code_of(name, (name.partition(".")[0], "lightning_modules")) for name in modules]
    if NO_SOURCE in codes:
        return NO_SOURCE
    return codes[0] if len(codes) == 1 else _digest(" ".join(codes))


@lru_cache(maxsize=256)
def code_of(module: str, within: Sequence[str]) -> str:
    """Return the digest of a module's code and of what it imports from some packages.

    Args:
        module: Name of the module, as in ``lightning_modules.dnn``.
        within: Names of packages or modules, as a tuple; imports of anything else do not count.

    Returns:
        Hexadecimal digits, or ``NO_SOURCE`` if the module has no file.
    """
    if _source(module) is None:
        return NO_SOURCE
    texts: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if name in texts or path is None:
            continue
        tree = ast.parse(path.read_bytes(), str(path))
        texts[name] = "".join(_written(tree))
        is_package = path.name == "__init__.py"
        waiting += [
            imported
            for imported in _imports(tree, name, is_package)
            if imported not in LEFT_OUT and _is_within(imported, within)
        ]
    return _digest("\n".join(f"{name} {texts[name]}" for name in sorted(texts)))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def _is_within(name: str, within: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in within)


def _source(name: str) -> Path | None:
    """Return the file of a module, which is not imported; None if it has none, or is no module."""
    if file := getattr(sys.modules.get(name), "__file__", None):
        path = Path(file)
        return path if path.suffix == ".py" and path.is_file() else None
    package, _, last = name.rpartition(".")
    if package:
        folder = _folder(package)
        files = (folder / f"{last}.py", folder / last / "__init__.py") if folder else ()
        return next((path for path in files if path.is_file()), None)
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):  # a module without a specification, as __main__
        return None
    file = spec.origin if spec and spec.has_location else None
    return Path(file) if file and file.endswith(".py") else None


def _folder(package: str) -> Path | None:
    """Return the folder of a package, with or without an ``__init__.py``; None for a module."""
    parent, _, last = package.rpartition(".")
    if parent:
        folder = _folder(parent)
        return folder / last if folder and (folder / last).is_dir() else None
    try:
        spec = find_spec(package)
    except (ImportError, ValueError):
        return None
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0]) if folders else None


def _imports(tree: ast.Module, name: str, is_package: bool) -> Iterator[str]:
    """Yield the names of modules that a module may import, also inside its functions."""
    package = name if is_package else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            for alias in node.names:  # a module of a package, or something that base defines
                submodule = f"{base}.{alias.name}"
                yield submodule if _source(submodule) else base


def _written(node: ast.AST) -> Iterator[str]:
    """Yield a syntax tree as text, without strings that stand alone and without empty fields."""
    yield f"({type(node).__name__}"
    for field, value in ast.iter_fields(node):
        if field in SPELLING or value is None or value == []:
            continue
        yield f" {field}="
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, ast.AST):
                if not _says_nothing(item):
                    yield from _written(item)
            else:
                yield f"{type(item).__name__}:{item!r}"
    yield ")"


def _says_nothing(node: ast.AST) -> bool:
    """Return whether a statement does nothing: a docstring, another lone string, or ``pass``."""
    if isinstance(node, ast.Pass):
        return True
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )

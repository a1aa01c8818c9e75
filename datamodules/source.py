"""Source: the code of modules in a form that comments and layout do not change, and its digest.

The digest covers the syntax trees of modules and of everything that they import from some packages,
directly or through others, wherever the import stands. Comments, docstrings and formatting do not
count. Nothing is imported to compute it, so it needs no torch.

Trees are written in a form of this file's own: the name of each node and its fields, without those
that are empty and without those that only repeat how something was spelled. ``ast.dump`` and
``ast.unparse`` change with the version of Python; here, a field that a later version adds changes
nothing while it is empty. The one known exception are f-strings, whose trees Python 3.12 made
different for nested formats: a module with such a string may count as changed after an upgrade from
3.11.

Not seen are files that are no Python modules, modules whose name is put together while the program
runs, and compiled extensions.
"""

import ast
import hashlib
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from importlib.util import find_spec, resolve_name
from pathlib import Path

SPELLING = frozenset({"ctx", "kind", "lineno", "type_comment", "type_ignores"})
"""Fields of a node that say how something was written or is used, but not what it is."""
DIGITS = 12


def code_digest(
    modules: Iterable[str], within: Collection[str], without: Collection[str] = ()
) -> str:
    """Return a digest of the code of some modules and of what they import from some packages.

    Args:
        modules: Names of modules, as in ``lightning_modules.dnn``.
        within: Names of packages or modules; imports of anything else do not count.
        without: Names of modules whose import does not count either, with what only they import.

    Returns:
        Hexadecimal digits.

    Raises:
        OSError: A module without a file, as one that is typed in.
    """
    texts: dict[str, str] = {}
    waiting = list(modules)
    for name in waiting:
        if source_of(name) is None:
            raise OSError(f"expected a file with the source of {name}, found none")
    while waiting:
        name = waiting.pop()
        path = source_of(name)
        if name in texts or path is None:
            continue
        texts[name], imports = _read(name, path)
        waiting += [
            imported
            for imported in imports
            if imported not in without and _is_within(imported, within)
        ]
    return text_digest("\n".join(f"{name} {texts[name]}" for name in sorted(texts)))


def text_digest(text: str) -> str:
    """Return the digest of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]


def source_of(name: str) -> Path | None:
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


def _is_within(name: str, within: Collection[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in within)


@lru_cache(maxsize=256)
def _read(name: str, path: Path) -> tuple[str, tuple[str, ...]]:
    """Return the tree of a module as text, and what it may import."""
    parts: list[str] = []
    imports: list[ast.Import | ast.ImportFrom] = []
    _write(ast.parse(path.read_bytes(), str(path)), parts, imports)
    return "".join(parts), tuple(dict.fromkeys(_imported(imports, name, path)))


def _write(node: ast.AST, parts: list[str], imports: list[ast.Import | ast.ImportFrom]) -> None:
    """Write a syntax tree as text, without statements that do nothing and without empty fields.

    Args:
        node: The tree.
        parts: Parts of the text, to which those of the tree are added.
        imports: Import statements, to which those of the tree are added.
    """
    parts.append(f"({type(node).__name__}")
    if isinstance(node, ast.Import | ast.ImportFrom):
        imports.append(node)
    for field in node._fields:
        value = getattr(node, field, None)
        if field in SPELLING or value is None or value == []:
            continue
        parts.append(f" {field}=")
        for item in value if isinstance(value, list) else (value,):
            if not isinstance(item, ast.AST):
                parts.append(f"{type(item).__name__}:{item!r}")
            elif not _says_nothing(item):
                _write(item, parts, imports)
    parts.append(")")


def _says_nothing(node: ast.AST) -> bool:
    """Return whether a statement does nothing: a docstring, another lone string, or ``pass``."""
    if isinstance(node, ast.Pass):
        return True
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imported(
    imports: Iterable[ast.Import | ast.ImportFrom], name: str, path: Path
) -> Iterator[str]:
    """Yield the names of modules that the import statements of a module may import."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in imports:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        base = resolve_name("." * node.level + (node.module or ""), package)
        for alias in node.names:  # a module of a package, or something that base defines
            submodule = f"{base}.{alias.name}"
            yield submodule if source_of(submodule) else base

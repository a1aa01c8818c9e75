"""Digests that name what is stored: of values, of files, and of the code that made something."""

import ast
import hashlib
import json
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import cache, lru_cache
from importlib.util import resolve_name
from pathlib import Path


def digest(value: object) -> str:
    """Return the hexadecimal digest (16 digits) of anything that JSON can hold."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return the sha256 of a file. It is computed again only after the file has changed."""
    stat = path.stat()
    return _file_digest(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _file_digest(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def code_digest(modules: Iterable[str], without: Collection[str] = ()) -> str:
    """Return a digest of the code of some modules and of all that they import of ours.

    Imports are followed wherever they stand, also inside functions, to modules of this project and
    of the package that the importing module is in. Comments, docstrings and layout do not count.

    Args:
        modules: Names of modules.
        without: Names of modules that are left out, with what only they import.
    """
    pending, codes = list(modules), dict[str, str]()
    while pending:
        name = pending.pop()
        if name not in codes and name not in without:
            codes[name], imported = _read(name)
            pending += imported
    return digest(codes)


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """Return the code of a module in a normal form, and the modules of ours that it imports."""
    tree = ast.parse(read_source(module))
    packages = {__name__.partition(".")[0], module.partition(".")[0]}
    imported = tuple(
        name
        for name in dict.fromkeys(_imported_names(module, tree))
        if name.partition(".")[0] in packages and _file(name) is not None
    )
    return ast.unparse(_WithoutStrings().visit(tree)), imported


def _imported_names(module: str, tree: ast.Module) -> Iterator[str]:
    """Yield everything that may be a module in the import statements of a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = node.module or ""
            if node.level:
                package = getattr(sys.modules.get(module), "__package__", None)
                name = resolve_name("." * node.level + name, package or module.rpartition(".")[0])
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def read_source(module: str) -> str:
    """Return the source of a module.

    Raises:
        OSError: A module without a file, as one that is typed in.
    """
    file = _file(module)
    if file is None:
        raise OSError(f"expected a file with the source of {module}, found none")
    return file.read_text(encoding="utf-8")


def _file(module: str) -> Path | None:
    """Return the file of a module whose package is imported; None if there is none.

    Nothing is imported, as a name may be that of a class, and a module may take long to load.
    """
    if module in sys.modules:
        path = getattr(sys.modules[module], "__file__", None) or ""
        return Path(path) if path.endswith(".py") else None
    package, *names = module.split(".")
    for folder in getattr(sys.modules.get(package), "__path__", ()):
        path = Path(folder, *names)
        for file in (path.with_suffix(".py"), path / "__init__.py"):
            if file.is_file():
                return file
    return None


class _WithoutStrings(ast.NodeTransformer):
    """Removes docstrings and other constants that stand alone, which do nothing."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) else node

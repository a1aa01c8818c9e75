"""Scores of all results of a store, and the cache that they come from where nothing has changed.

``<store>/scores.json`` holds what follows from each ``predictions.npz``, under the digest of that
file and the version of the code of each score. The version is read from the syntax tree of the
score and of all that it uses, comments and docstrings aside: nobody has to count it up, and a score
that is added makes no other one old. Predictions are hashed each time boards are written, so that a
file that changed is seen. The cache may be deleted at any time; one that was tampered with, cut
short or written by other code is not believed, and is written anew.
"""

import ast
import hashlib
import inspect
import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.files import DiskFullError, write_text
from benchmark.result import Result
from benchmark.scored import Scored, described, score_units, scored_result, with_scores
from benchmark.store import PREDICTIONS, DamagedError, Store, parsed
from lightning_modules.metrics import SCORES, confusion

CACHE = "scores.json"
DAMAGED = f"{PREDICTIONS} is not the file that was committed, or is gone"

Entry = dict[str, Any]
"""``n_units``, ``units``, ``confusion`` and ``scores`` of each subject, as in a scored result."""


@dataclass
class Cache:
    """Values that follow from predictions, by their digest.

    Args:
        entries: Values by digest of ``predictions.npz``.
        versions: Version of each score that the entries hold.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def as_text(self) -> str:
        """Return a line with the digest of the rest, then JSON."""
        values = {"units": _units_version(), "versions": self.versions, "entries": self.entries}
        text = json.dumps(values, sort_keys=True)
        return f"{hashlib.sha256(text.encode()).hexdigest()}\n{text}\n"

    @classmethod
    def from_text(cls, text: str) -> "Cache":
        """Return the cache that ``as_text`` of the same code wrote; an empty one for other text."""
        digest, _, content = text.rstrip("\n").partition("\n")
        if hashlib.sha256(content.encode()).hexdigest() != digest:
            return cls()
        values = json.loads(content)
        if values["units"] != _units_version():
            return cls()
        return cls(values["entries"], values["versions"])


def scored_results(store: Store) -> list[Scored]:
    """Return every result with its scores, in order of path.

    A result whose predictions are not those that were committed has the status ``"damaged"`` and no
    scores; the log names it.
    """
    before = _read(store.root / CACHE)
    versions = score_versions()
    missing = [name for name in SCORES if before.versions.get(name) != versions[name]]
    after = Cache(versions=versions)
    results, changed = [], bool(missing)
    for folder, result in store.entries():
        if result.status != "done":
            results.append(with_scores(result, None, folder))
            continue
        try:
            content = store.read(folder, result, PREDICTIONS)
            digest = hashlib.sha256(content).hexdigest()
            old = before.entries.get(digest)
            if old is None or missing:
                changed = True
                after.entries[digest] = _entry(content, folder, old, missing)
            else:
                after.entries[digest] = old
        except (DamagedError, KeyError, IndexError, ValueError) as error:
            logging.getLogger(__name__).warning("not ranked: %s: %s", result.run.label, error)
            results.append(_damaged(result, folder))
            continue
        entry = after.entries[digest]
        scores = {s: {name: v[name] for name in SCORES} for s, v in entry["scores"].items()}
        results.append(scored_result(result, folder=folder, **{**entry, "scores": scores}))
    if results and (changed or after.entries.keys() != before.entries.keys()):
        with suppress(OSError, DiskFullError):  # boards need no cache
            write_text(store.root / CACHE, after.as_text())
    return results


def score_versions() -> dict[str, str]:
    """Return the version of the code of each score, by name."""
    return {name: code_version(score) for name, score in SCORES.items()}


def code_version(function: Callable[..., object]) -> str:
    """Return a digest of a function and of all that it uses of its module.

    Comments and docstrings do not count.
    """
    defined = _defined(function.__module__)
    reached: dict[str, str] = {}
    names = [function.__name__]
    while names:
        name = names.pop()
        if name not in reached:
            reached[name] = ast.dump(defined[name])
            names += [
                node.id
                for node in ast.walk(defined[name])
                if isinstance(node, ast.Name) and node.id in defined
            ]
    return hashlib.sha256(json.dumps(sorted(reached.items())).encode()).hexdigest()[:16]


@cache
def _defined(module: str) -> dict[str, ast.stmt]:
    """Return the statements of a module that give its names a value, without docstrings."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    defined: dict[str, ast.stmt] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    for statement in tree.body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            defined[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            defined |= {target.id: statement for target in targets if isinstance(target, ast.Name)}
    return defined


def _units_version() -> str:
    """Return the version of the code that makes score units of predictions."""
    return "-".join(code_version(function) for function in (score_units, described, confusion))


def _entry(content: bytes, folder: Path, old: Entry | None, missing: list[str]) -> Entry:
    """Return the entry of predictions: all of it, or an older one with the scores that it lacks."""
    units = score_units(parsed(content, folder))
    names = SCORES if old is None else missing
    scores = {subject: dict(values) for subject, values in old["scores"].items()} if old else {}
    for subject, of_subject in units.items():
        values = scores.setdefault(subject, {})
        values |= {name: of_subject.score(SCORES[name]) for name in names}
    return {**(old or described(units)), "scores": scores}


def _damaged(result: Result, folder: Path) -> Scored:
    """Return the result without scores, for a row that is incomplete and says why."""
    return scored_result(result, folder=folder, status="damaged", error=DAMAGED)


def _read(path: Path) -> Cache:
    """Return the cache of a store; an empty one where there is none that can be believed."""
    try:
        return Cache.from_text(path.read_text())
    except (OSError, ValueError, KeyError, TypeError):
        return Cache()

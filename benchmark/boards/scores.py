"""Scores of all results of a store, and the cache that they come from where nothing has changed.

``<store>/scores.json`` holds what follows from each ``predictions.npz``, under the digest of that
file and the version of the code of each score. The version is read from the syntax tree of the
score and of all that it uses, comments and docstrings aside: nobody has to count it up, and a score
that is added makes no other one old. Predictions are hashed each time boards are written, so that a
file that changed is seen. Where a split tests a subject in several folds, the scores over all units
of the subject are kept too, under the digests of these folds. The cache may be deleted at any time;
one that was tampered with, cut short or written by other code is not believed, and is written anew.
"""

import ast
import hashlib
import inspect
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from benchmark.boards.distillation import across_folds
from benchmark.files import DiskFullError, write_text
from benchmark.result import FIELDS, Result
from benchmark.run import Run
from benchmark.scored import (
    Scored,
    described,
    scored_result,
    together,
    with_scores,
)
from benchmark.store import AGAIN, PREDICTIONS, DamagedError, Store, parsed
from lightning_modules.metrics import SCORES, confusion
from lightning_modules.units import score_units

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
    scores; it is set aside, and the log names it. So is an ensemble of whose members one is not
    there as it was when their mean was taken.
    """
    before = read_cache(store.root / CACHE)
    versions = score_versions()
    missing = [name for name in SCORES if before.versions.get(name) != versions[name]]
    after = Cache(versions=versions)
    results: list[Scored] = []
    digests: list[str] = []
    changed = bool(missing)
    for folder, result in store.entries():
        digests.append("")
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
        except (DamagedError, KeyError, IndexError, TypeError, ValueError) as error:
            store.put_aside(folder, error)
            results.append(_damaged(result, folder, DAMAGED))
            continue
        entry, digests[-1] = after.entries[digest], digest
        scores = {s: {name: v[name] for name in SCORES} for s, v in entry["scores"].items()}
        results.append(scored_result(result, folder=folder, **{**entry, "scores": scores}))
    for n, reason in _outdated(results, digests).items():
        store.put_aside(results[n].folder, DamagedError(f"{results[n].folder}: {reason}. {AGAIN}"))
        results[n] = _damaged(results[n], results[n].folder, reason)
    for places in tested_together(results):
        key = digest_of_folds(digests[n] for n in places)
        if key not in before.entries or missing:
            changed = True
            after.entries[key] = _pooled_entry([results[n] for n in places], store)
        else:
            after.entries[key] = before.entries[key]
        entry = after.entries[key]
        scores = {s: {name: v[name] for name in SCORES} for s, v in entry["scores"].items()}
        for n in places:
            results[n] = replace(results[n], pooled=scores, n_pooled=entry["n_units"])
    if results and (changed or after.entries.keys() != before.entries.keys()):
        with suppress(OSError, DiskFullError):  # boards need no cache
            write_text(store.root / CACHE, after.as_text())
    return results


def _outdated(results: Sequence[Result], digests: Sequence[str]) -> dict[int, str]:
    """Return why ensembles are not the means of their members, by position of the result.

    Args:
        results: All results of a store.
        digests: Digest of the predictions of each; empty for one that is not done.
    """
    there = {r.run.id: digest for r, digest in zip(results, digests, strict=True) if digest}
    reasons: dict[int, str] = {}
    for n, result in enumerate(results):
        for name, digest in result.averaged.items():
            if result.status == "done" and there.get(name) != digest:
                state = "other predictions now" if name in there else "none now, or damaged ones"
                reasons[n] = f"the mean was taken with predictions of {name}, which has {state}"
    return reasons


def tested_together(results: Sequence[Result]) -> list[list[int]]:
    """Return positions of results of one row and seed that test the same people.

    Listed are those that are done, of splits that test a subject in several folds.
    """
    groups: dict[tuple[Run, int, tuple[str, ...]], list[int]] = defaultdict(list)
    for place, result in enumerate(results):
        run, splitting = result.run, result.run.protocol.splitting
        if result.status == "done" and not splitting.over_subjects:
            people = splitting.people(run.subjects, run.protocol.dealing(run.fold, run.seed))
            groups[across_folds(run), run.seed, tuple(people)].append(place)
    return list(groups.values())


def digest_of_folds(digests: Iterable[str]) -> str:
    """Return the digest of predictions of several folds, whatever their order."""
    return hashlib.sha256("".join(sorted(digests)).encode()).hexdigest()


def _pooled_entry(results: Sequence[Scored], store: Store) -> Entry:
    """Return the entry of the predictions of several folds together."""
    contents = [(store.read(r.folder, r, PREDICTIONS), r.folder) for r in results]
    units = score_units(together([parsed(content, folder) for content, folder in contents]))
    scores = {
        subject: {name: of_subject.score(score) for name, score in SCORES.items()}
        for subject, of_subject in units.items()
    }
    return {**described(units), "scores": scores}


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
    return "-".join(
        code_version(function) for function in (score_units, together, described, confusion)
    )


def _entry(content: bytes, folder: Path, old: Entry | None, missing: list[str]) -> Entry:
    """Return the entry of predictions: all of it, or an older one with the scores that it lacks."""
    units = score_units(parsed(content, folder))
    names = SCORES if old is None else missing
    scores = {subject: dict(values) for subject, values in old["scores"].items()} if old else {}
    for subject, of_subject in units.items():
        values = scores.setdefault(subject, {})
        values |= {name: of_subject.score(SCORES[name]) for name in names}
    return {**(old or described(units)), "scores": scores}


def _damaged(result: Result, folder: Path, reason: str) -> Scored:
    """Return the result without scores, for a row that is incomplete and says why."""
    bare = {name: getattr(result, name) for name in FIELDS}
    return Scored(**bare | {"status": "damaged", "error": reason}, folder=folder)


def read_cache(path: Path) -> Cache:
    """Return the cache in a file; an empty one where there is none that can be believed."""
    try:
        return Cache.from_text(path.read_text())
    except (OSError, ValueError, KeyError, TypeError):
        return Cache()

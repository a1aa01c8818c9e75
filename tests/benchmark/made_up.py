"""Made-up runs, and results in a store with scores that no predictions have."""

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from benchmark.boards.board import Board, build_boards
from benchmark.boards.cohort import Cohort, build_cohorts
from benchmark.boards.scores import (
    CACHE,
    Cache,
    digest_of_folds,
    score_versions,
    scored_results,
    tested_together,
)
from benchmark.boards.versions import by_version
from benchmark.result import Result
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.store import PREDICTIONS, RESULT, Store
from benchmark.upgrade import PROTOCOL as FLAT
from datamodules.protocol import Protocol

PROTOCOL = {field.name for field in dataclasses.fields(Protocol)}


def make_run(**fields: Any) -> Run:
    """Return a run; fields of its protocol stand beside its own."""
    protocol = {name: fields.pop(name) for name in PROTOCOL & fields.keys()}
    return Run(protocol=Protocol(**protocol), **fields)


def plant(path: Path, content: bytes) -> None:
    """Replace a file of a result by another one, as if that had been committed."""
    path.write_bytes(content)
    described = path.with_name(RESULT)
    result = json.loads(described.read_text())
    result["files"][path.name] = hashlib.sha256(content).hexdigest()
    described.write_text(json.dumps(result))


def stored(folder: Path, results: Iterable[Result]) -> Store:
    """Return a store as Store.save leaves it, without waiting for the disk each time.

    The predictions of each hold nothing but the id of its run; of folds that test one subject the
    scores are averaged, as there are no units to score together.
    """
    results, digests = list(results), []
    store, path = Store(folder), folder / CACHE
    entries = Cache.from_text(path.read_text()).entries if path.is_file() else {}
    for result in results:
        folder_of_run, files = store.folder(result.run), {}
        folder_of_run.mkdir(parents=True)
        if result.status == "done":
            content = io.BytesIO()
            np.savez(content, id=np.array(result.run.id))
            (folder_of_run / PREDICTIONS).write_bytes(content.getvalue())
            files[PREDICTIONS] = hashlib.sha256(content.getvalue()).hexdigest()
            if isinstance(result, Scored):
                entries[files[PREDICTIONS]] = result.derived
        values = dataclasses.replace(result, files=files).as_dict()
        (folder_of_run / RESULT).write_text(json.dumps(values))
        digests.append(files.get(PREDICTIONS, ""))
    for places in tested_together(results):
        of_folds = [results[place].derived for place in places]
        scores: dict[str, list[dict[str, float]]] = {}
        for derived in of_folds:
            for subject, values in derived["scores"].items():
                scores.setdefault(subject, []).append(values)
        entries[digest_of_folds(digests[place] for place in places)] = {
            **of_folds[0],
            "scores": {
                subject: {name: float(np.mean([v[name] for v in values])) for name in values[0]}
                for subject, values in scores.items()
            },
        }
    folder.mkdir(exist_ok=True)
    path.write_text(Cache(entries, score_versions()).as_text())
    return store


def as_schema_1(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a result as the first schema had them: flat, and without digests."""
    run = dict(values["run"])
    protocol = run.pop("protocol")
    run |= {name: protocol[name] for name in FLAT} | {"protocol": protocol["version"]}
    run["recipe"] = list(run["recipe"].items())
    return {n: v for n, v in values.items() if n not in ("schema", "files")} | {"run": run}


def boards_of(store: Store) -> list[Board]:
    """Return the boards of a store, as the command line shows them."""
    return build_boards(scored_results(store), store)


def cohorts_of(results: Iterable[Scored]) -> list[Cohort]:
    """Return the rows of all boards."""
    return build_cohorts(by_version(results, [])[0])


def plain_score(runs: Iterable[Path]) -> float:
    """Return macro F1 of the people whom runs test, by a plain loop over score units.

    Args:
        runs: Their folders.
    """
    scores = []
    for folder in runs:
        columns = np.load(folder / PREDICTIONS)
        for subject in np.unique(columns["subject"]):
            of_subject = columns["subject"] == subject
            keys = [
                tuple(columns[name][row] for name in ("session", "trial", "unit"))
                for row in np.flatnonzero(of_subject)
            ]
            probabilities = columns["probabilities"][of_subject]
            label = columns["label"][of_subject]
            target, predicted = [], []
            for key in dict.fromkeys(keys):
                rows = [place for place, other in enumerate(keys) if other == key]
                target.append(label[rows[0]])
                predicted.append(probabilities[rows].mean(axis=0).argmax())
            scores.append(f1_score(target, predicted, average="macro"))
    return float(np.mean(scores))

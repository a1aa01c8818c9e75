"""Verify: do a finished run again in a place of its own, and compare what comes out."""

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.engines.local import run_all
from benchmark.errors import BenchmarkError
from benchmark.execution.execute import Places
from benchmark.result import Result
from benchmark.run import PROTOCOL, Run
from benchmark.store import Store

TOLERANCE = 1e-4
"""Probabilities and scores may differ by so much: the last digit that a board shows."""
WINDOWS = ("subject", "session", "trial", "unit", "start", "label")
"""Columns of the predictions that say what was tested; they are equal or they are not."""

Predictions = Mapping[str, npt.NDArray[Any]]


class VerifyError(BenchmarkError):
    """A run that cannot be done again."""


@dataclass(frozen=True)
class Difference:
    """Something on record that is otherwise now.

    Attributes:
        what: Its name.
        first: On record.
        again: Now.
        size: How far apart two numbers are; NaN where it is no number.
    """

    what: str
    first: str
    again: str
    size: float = np.nan


@dataclass(frozen=True)
class Verdict:
    """What came out of a run that was done again.

    Attributes:
        first: On record.
        again: Now; failed if it could not be repeated.
        tolerance: By how much probabilities and scores may differ.
        largest: Difference of two probabilities or scores; NaN if there was none to compare.
        differences: Beyond the tolerance, in predictions and scores; empty: verified.
        circumstances: Commit, versions, device and such that are not those on record.
    """

    first: Result
    again: Result
    tolerance: float
    largest: float
    differences: tuple[Difference, ...]
    circumstances: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether it came out as on record, within the tolerance."""
        return self.again.status == "done" and not self.differences


def read_run(folder: Path) -> Result:
    """What is on record of a finished run, the run itself as its ``run.json`` states it.

    Raises:
        VerifyError: It is not finished, of another protocol, or its files are not of one run.
    """
    first = Store(folder.parents[2]).load(folder)
    try:
        asked = Run.from_dict(json.loads((folder / "run.json").read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise VerifyError(
            f"{folder}: expected run.json beside result.json, found {error!r}. Without it nobody "
            "can say what was asked; run it anew"
        ) from error
    if asked.id != first.run.id:
        raise VerifyError(
            f"{folder}: expected run.json and result.json of one run, found {asked.id} and "
            f"{first.run.id}. One of them was changed"
        )
    if first.status != "done":
        raise VerifyError(
            f"{folder}: expected a finished run, found one that failed: {first.error}. "
            "affectbench run --retry-failed does it again"
        )
    if asked.protocol != PROTOCOL:
        raise VerifyError(
            f"{folder}: expected a run of protocol {PROTOCOL}, found protocol {asked.protocol}: "
            f"its numbers mean something else. Check out commit {first.commit or 'of that time'}"
        )
    return first


def verify(folder: Path, places: Places, device: str, tolerance: float = TOLERANCE) -> Verdict:
    """Do a run again, as ``affectbench run`` does it, and compare.

    A fresh worker does it in a temporary store; teachers are read from the store of the run, whose
    files stay as they are.

    Args:
        folder: Of the run, in its store.
        places: Where the recordings and the cache are, and whether only deterministic algorithms
            may be used; its ``runs`` is not read.
        device: ``"cpu"`` or the number of a GPU.
        tolerance: By how much probabilities and scores may differ; 0: equal bits.

    Raises:
        VerifyError: The run cannot be done again, or one of its teachers is not there.
    """
    first, store = read_run(folder), Store(folder.parents[2])
    places = dataclasses.replace(places, deterministic=places.deterministic or first.deterministic)
    with tempfile.TemporaryDirectory(prefix="affectbench-verify-") as name:
        there = Store(Path(name))
        for teacher in first.run.teachers:
            if store.status(teacher) != "done":
                raise VerifyError(
                    f"{first.run.label}: expected its teacher {teacher.id} in {store.root}, found "
                    f"{store.status(teacher) or 'no such run'}. affectbench run does it"
                )
            link = there.folder(teacher)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(store.folder(teacher).absolute(), target_is_directory=True)
        run_all([first.run], dataclasses.replace(places, runs=there.root), [device], lambda _: None)
        again = there.result(first.run)
        if again is None:
            raise VerifyError(f"{first.run.label}: expected it to be done again, found no result")
        if again.status != "done":
            return Verdict(first, again, tolerance, np.nan, (), changed(first, again))
        theirs, ours = store.predictions(first.run), there.predictions(first.run)
    found = [*_windows(theirs, ours), *_findings(first, again, tolerance)]
    sizes = [_distance(first.scores[s], again.scores[s]) for s in first.scores if s in again.scores]
    if theirs["probabilities"].shape == ours["probabilities"].shape:
        apart = np.abs(theirs["probabilities"] - ours["probabilities"])
        sizes.append(float(apart.max(initial=0.0)))
        if beyond := int((apart > tolerance).any(axis=1).sum()):
            flipped = theirs["probabilities"].argmax(1) != ours["probabilities"].argmax(1)
            found.append(
                Difference(
                    "probabilities",
                    f"{len(apart)} windows",
                    f"{beyond} differ, {int(flipped.sum())} in class",
                    float(apart.max()),
                )
            )
    largest = max(sizes, default=np.nan)
    return Verdict(first, again, tolerance, largest, tuple(found), changed(first, again))


def _windows(first: Predictions, again: Predictions) -> list[Difference]:
    """Columns that are not the same windows."""
    return [
        Difference(f"windows: {name}", f"{len(first[name])} values", f"{len(again[name])} others")
        for name in (*WINDOWS, "probabilities")
        if first[name].shape != again[name].shape
        or (name in WINDOWS and not np.array_equal(first[name], again[name]))
    ]


def _findings(first: Result, again: Result, tolerance: float) -> list[Difference]:
    """What differs in scores, score units and the choice of the epoch."""
    found = []
    for subject in sorted({*first.scores, *again.scores}):
        theirs, ours = first.scores.get(subject, {}), again.scores.get(subject, {})
        found += [
            Difference(f"{name} of {subject}", f"{value:.6f}", f"{ours[name]:.6f}", size)
            for name, value in theirs.items()
            if name in ours and (size := abs(value - ours[name])) > tolerance
        ]
        if first.units.get(subject) != again.units.get(subject):
            a, b = (str(result.units.get(subject, "none")) for result in (first, again))
            found.append(Difference(f"score units of {subject}", a, b))
    if first.epochs != again.epochs:
        a, b = (
            f"{result.epochs[1]} of {result.epochs[0]}" if result.epochs else "none"
            for result in (first, again)
        )
        found.append(Difference("epoch chosen", a, b))
    return found


def _distance(first: Mapping[str, float], again: Mapping[str, float]) -> float:
    return max((abs(v - again[name]) for name, v in first.items() if name in again), default=0.0)


def changed(first: Result, again: Result) -> tuple[Difference, ...]:
    """Under what circumstances a run was done again that are not those on record."""
    pairs = [
        (name, str(getattr(first, name)), str(getattr(again, name)))
        for name in ("commit", "device", "threads", "deterministic", "raw")
        if name != "raw" or again.status == "done"
    ]
    pairs += [
        (name, first.versions.get(name, "none"), again.versions.get(name, "none"))
        for name in sorted({*first.versions, *again.versions})
    ]
    return tuple(Difference(name, a or "unknown", b or "unknown") for name, a, b in pairs if a != b)

"""Verify: do a finished run again in a place of its own, and compare what comes out."""

import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmark.engines.engine import Engine, Terms
from benchmark.errors import BenchmarkError
from benchmark.execution.places import Places
from benchmark.plugins import not_loaded
from benchmark.result import Result
from benchmark.run import INNER
from benchmark.scored import Scored, scored, with_scores
from benchmark.store import PREDICTIONS, Store, load_run, parsed
from datamodules.protocol import VERSION
from datamodules.temporary import owned

TOLERANCE = 1e-4
"""Largest difference of probabilities and scores: the last digit that a board shows."""
WINDOWS = ("subject", "session", "trial", "unit", "start", "label")
"""Columns of the predictions that name the tested windows; they must be equal."""

Predictions = Mapping[str, npt.NDArray[Any]]


class VerifyError(BenchmarkError):
    """A run that cannot be done again."""


@dataclass(frozen=True)
class Difference:
    """A value that differs from the one on record.

    Attributes:
        what: Name of the value.
        first: Value on record.
        again: Value now.
        size: Difference of two numbers; NaN for other values.
    """

    what: str
    first: str
    again: str
    size: float = np.nan


@dataclass(frozen=True)
class Verdict:
    """Outcome of a run that was done again.

    Attributes:
        first: Result on record.
        again: Result now; failed if the run could not be repeated.
        tolerance: Largest difference of probabilities and scores that counts as equal.
        largest: Largest difference of two probabilities or scores; NaN if none was compared.
        differences: Differences beyond the tolerance, in predictions and scores; empty: verified.
        circumstances: Commit, versions, device and such that differ from those on record.
    """

    first: Scored
    again: Scored
    tolerance: float
    largest: float
    differences: tuple[Difference, ...]
    circumstances: tuple[Difference, ...]

    @property
    def equal(self) -> bool:
        """Whether the result is that on record, within the tolerance."""
        return self.again.status == "done" and not self.differences


def read_run(folder: Path) -> Scored:
    """Return the result of a finished run with its scores, if ``run.json`` states the same run.

    Raises:
        VerifyError: The run is not finished, of another protocol, or its files are not of one run.
    """
    store = Store(folder.parents[2])
    first = store.load(folder)
    try:
        run = load_run(folder)
    except OSError as error:
        raise VerifyError(
            f"{folder}: expected run.json beside result.json, found {error!r}. Without it nobody "
            "can say what was asked; run it anew"
        ) from error
    if run.id != first.run.id:
        raise VerifyError(
            f"{folder}: expected run.json and result.json of one run, found {run.id} and "
            f"{first.run.id}. One of them was changed"
        )
    if first.status != "done":
        raise VerifyError(
            f"{folder}: expected a finished run, found one that failed: {first.error}. "
            "affectbench run --retry-failed does it again"
        )
    if line := not_loaded(run.dataset, run.model, run.distiller, first.plugins):
        raise VerifyError(f"{folder}: {line}")
    if run.protocol.version != VERSION:
        raise VerifyError(
            f"{folder}: expected a run of protocol {VERSION}, found protocol "
            f"{run.protocol.version}: its numbers mean something else. Check out commit "
            f"{first.commit or 'of that time'}"
        )
    return with_scores(first, parsed(store.read(folder, first, PREDICTIONS), folder), folder)


def verify(folder: Path, places: Places, engine: Engine, tolerance: float = TOLERANCE) -> Verdict:
    """Do a run again, as ``affectbench run`` does it, and compare.

    It is done in a temporary store; its teachers or members, and the inner runs that chose its
    values or members, are read from the store of the run, whose files stay as they are.

    Args:
        folder: Folder of the run, in its store.
        places: Folders of the recordings and the cache, and whether only deterministic algorithms
            may be used; its ``runs`` is not read.
        engine: Engine that does it again.
        tolerance: Largest difference of probabilities and scores; 0: equal bits.

    Raises:
        VerifyError: The run cannot be done again, or one of its teachers or members is missing.
    """
    first, store = read_run(folder), Store(folder.parents[2])
    places = dataclasses.replace(places, deterministic=places.deterministic or first.deterministic)
    with tempfile.TemporaryDirectory(prefix=owned()) as name:
        other = Store(Path(name))
        for needed in first.run.needs:
            if store.status(needed) != "done":
                kind = "teacher" if needed in first.run.teachers else "member"
                raise VerifyError(
                    f"{first.run.label}: expected its {kind} {needed.id} in {store.root}, found "
                    f"{store.status(needed) or 'no such run'}. affectbench run does it"
                )
            link = other.folder(needed)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(store.folder(needed).absolute(), target_is_directory=True)
        if first.run.chosen_by and (store.root / INNER).is_dir():
            (other.root / INNER).symlink_to((store.root / INNER).absolute(), True)
        places = dataclasses.replace(places, runs=other.root)
        engine.run_all([first.run], places, lambda _: None, Terms())
        again = scored(other, first.run)
        if again is None:
            raise VerifyError(f"{first.run.label}: expected it to be done again, found no result")
        if again.status != "done":
            return Verdict(first, again, tolerance, np.nan, (), changed(first, again))
        theirs = parsed(store.read(folder, first, PREDICTIONS), folder)
        ours = other.predictions(first.run)
    differences = [*_windows(theirs, ours), *_findings(first, again, tolerance)]
    sizes = [_distance(first.scores[s], again.scores[s]) for s in first.scores if s in again.scores]
    if theirs["probabilities"].shape == ours["probabilities"].shape:
        apart = np.abs(theirs["probabilities"] - ours["probabilities"])
        sizes.append(float(apart.max(initial=0.0)))
        if beyond := int((apart > tolerance).any(axis=1).sum()):
            flipped = theirs["probabilities"].argmax(1) != ours["probabilities"].argmax(1)
            differences.append(
                Difference(
                    "probabilities",
                    f"{len(apart)} windows",
                    f"{beyond} differ, {int(flipped.sum())} in class",
                    float(apart.max()),
                )
            )
    largest = max(sizes, default=np.nan)
    return Verdict(first, again, tolerance, largest, tuple(differences), changed(first, again))


def _windows(first: Predictions, again: Predictions) -> list[Difference]:
    """Return the columns that differ in their windows."""
    return [
        Difference(f"windows: {name}", f"{len(first[name])} values", f"{len(again[name])} others")
        for name in (*WINDOWS, "probabilities")
        if first[name].shape != again[name].shape
        or (name in WINDOWS and not np.array_equal(first[name], again[name]))
    ]


def _findings(first: Scored, again: Scored, tolerance: float) -> list[Difference]:
    """Return the differences in scores, score units and the choice of the epoch."""
    differences = []
    for subject in sorted({*first.scores, *again.scores}):
        theirs, ours = first.scores.get(subject, {}), again.scores.get(subject, {})
        differences += [
            Difference(f"{name} of {subject}", f"{value:.6f}", f"{ours[name]:.6f}", size)
            for name, value in theirs.items()
            if name in ours and (size := abs(value - ours[name])) > tolerance
        ]
        if first.units.get(subject) != again.units.get(subject):
            a, b = (str(result.units.get(subject, "none")) for result in (first, again))
            differences.append(Difference(f"score units of {subject}", a, b))
    if first.epochs != again.epochs:
        a, b = (
            f"{result.epochs[1]} of {result.epochs[0]}" if result.epochs else "none"
            for result in (first, again)
        )
        differences.append(Difference("epoch chosen", a, b))
    return differences


def _distance(first: Mapping[str, float], again: Mapping[str, float]) -> float:
    return max((abs(v - again[name]) for name, v in first.items() if name in again), default=0.0)


def changed(first: Result, again: Result) -> tuple[Difference, ...]:
    """Return the circumstances that differ from those on record."""
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

"""Calibration of one run on its validation people, and its worth on the people whom it tests.

``<store>/uncertainty.json`` holds what follows from the two files of predictions of each run, under
their digests, as ``scores.json`` does of the one; see benchmark.boards.scores. That file is hashed
each time boards are written. ``validation.npz`` is hashed when its size or its time of change is
not what it was when it was hashed last.
"""

import hashlib
import logging
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.boards.confidence import (
    NOMINAL,
    ROUNDING,
    covered,
    fit_temperature,
    log_loss,
    scaled,
    selective_accuracy,
    sets_of,
    threshold,
)
from benchmark.boards.scores import Cache, Entry, read_cache
from benchmark.files import DiskFullError, write_text
from benchmark.scored import Scored
from benchmark.store import PREDICTIONS, VALIDATION, DamagedError, Store, parsed
from datamodules.source import code_digest
from lightning_modules.metrics import accuracy, brier, ece
from lightning_modules.units import Units, score_units

CACHE = "uncertainty.json"
CODE = (
    "benchmark.boards.calibrated",
    "benchmark.boards.confidence",
    "lightning_modules.metrics",
    "lightning_modules.units",
)
"""Modules that the values follow from: where one of them has changed, the cache is old."""
LEAST_UNITS = math.ceil(NOMINAL / (1 - NOMINAL) - ROUNDING)
"""Number of validation units from which on there are sets that lack a class."""
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Calibrated:
    """A run whose probabilities were calibrated, or the reason why they were not.

    Attributes:
        reason: Why there is nothing else; empty where there is.
        n_people: Number of validation people.
        n_units: Number of their score units.
        temperature: Temperature that fits their units best.
        values: By tested person, ``n_units`` of theirs and the means over these of what is
            measured, by name of its column.
    """

    reason: str = ""
    n_people: int = 0
    n_units: int = 0
    temperature: float = np.nan
    values: Mapping[str, Mapping[str, float]] | None = None


def calibrated_results(results: Iterable[Scored], store: Store) -> dict[Path, Calibrated]:
    """Return what calibration comes to in each result that is done, by its folder.

    Args:
        results: Results with scores, whose predictions were found to be those that were committed.
        store: Their store.
    """
    version = code_digest(CODE[:1], CODE)
    before = read_cache(store.root / CACHE)
    known = before.entries if before.versions == {CACHE: version} else {}
    entries: dict[str, Entry] = {}
    calibrated: dict[Path, Calibrated] = {}
    for result in results:
        if result.status != "done":
            continue
        if VALIDATION not in result.files:
            calibrated[result.folder] = Calibrated(reason=why_none(result))
            continue
        key = _key(result)
        try:
            entry = entries[key] = _entry(result, store, known.get(key))
        except (DamagedError, KeyError, IndexError, TypeError, ValueError, OSError) as error:
            LOG.warning("not calibrated: %s", error)
            reason = f"{VALIDATION} is not the file that was committed, or is gone"
            calibrated[result.folder] = Calibrated(reason=reason)
            continue
        calibrated[result.folder] = Calibrated(**{n: v for n, v in entry.items() if n != "stamp"})
    if calibrated and entries != known:
        with suppress(OSError, DiskFullError):  # boards need no cache
            write_text(store.root / CACHE, Cache(entries, {CACHE: version}).as_text())
    return calibrated


def why_none(result: Scored) -> str:
    """Return why a run has kept no predictions of validation people."""
    run = result.run
    if run.protocol.splitting.within_subject:
        return "validation trials are of the people who are tested"
    if not run.protocol.validation:
        return "no people are kept apart to choose the epoch"
    if run.recipe.refit:
        return "validation people are trained on too (refit)"
    if any(member.recipe.refit for member in run.members):
        return "validation people of members are trained on too (refit)"
    return f"no {VALIDATION}: an earlier version kept none"


def calibrate(tested: Mapping[str, Units], validation: Mapping[str, Units]) -> Calibrated:
    """Calibrate on validation people, and measure on those who are tested.

    A person who is in both is refused: what is measured would not be that of a new person.

    Args:
        tested: Score units by tested person.
        validation: Score units by validation person.
    """
    if both := sorted(tested.keys() & validation.keys()):
        return Calibrated(reason=f"REFUSED, a leak: {', '.join(both)} calibrated and tested")
    probabilities = np.concatenate([units.probabilities[-1] for units in validation.values()])
    target = np.concatenate([units.target for units in validation.values()])
    temperature = fit_temperature(probabilities, target)
    least = threshold(scaled(probabilities, temperature), target)
    values = {person: _measured(units, temperature, least) for person, units in tested.items()}
    return Calibrated("", len(validation), len(target), temperature, values)


def _measured(units: Units, temperature: float, least: float) -> dict[str, float]:
    """Return what is measured on one person, by name of its column."""
    before, target = units.probabilities[-1], units.target
    after = scaled(before, temperature)
    sets = sets_of(after, least)
    sizes = sets.sum(axis=1)
    return {
        "n_units": len(target),
        **{
            f"{name}{suffix}": score(probabilities, target)
            for name, score in (("log_loss", log_loss), ("brier", brier), ("ece", ece))
            for suffix, probabilities in (("", before), ("_calibrated", after))
        },
        "coverage": float(covered(sets, target).mean()),
        "set_size": float(sizes.mean()),
        "single_sets": float((sizes == 1).mean()),
        "empty_sets": float((sizes == 0).mean()),
        "accuracy": accuracy(before, target),
        "selective_accuracy": selective_accuracy(before, target),
    }


def _key(result: Scored) -> str:
    """Return the name of a result's entry: a digest of its folder and of both files."""
    parts = (str(result.folder.name), result.files[PREDICTIONS], result.files[VALIDATION])
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def _entry(result: Scored, store: Store, old: Entry | None) -> Entry:
    """Return the values of Calibrated, and the size and time of the file that they are of."""
    state = (result.folder / VALIDATION).stat()
    stamp = [state.st_size, state.st_mtime_ns]
    if old and old["stamp"] == stamp:
        return old
    content = store.read(result.folder, result, VALIDATION)
    if old:
        return {**old, "stamp": stamp}
    tested = store.read(result.folder, result, PREDICTIONS)
    measured = calibrate(
        score_units(parsed(tested, result.folder)),
        score_units(parsed(content, result.folder, VALIDATION)),
    )
    return {**vars(measured), "stamp": stamp}

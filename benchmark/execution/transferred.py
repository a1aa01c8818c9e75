"""Test of a model in another domain: nobody whom it has seen, under whatever name, is tested.

People are told apart by their names within one dataset, and everywhere by their signals: what the
recordings of two datasets share is found as doubles within one are (``datamodules.repeats``).
"""

from benchmark.errors import BenchmarkError
from benchmark.execution.predictor import Predictor
from benchmark.run import Run
from datamodules.archive import Archive
from datamodules.datamodule import EmotionDataModule
from datamodules.doubles import Double, doubles_between
from datamodules.errors import IncompatibleRunError, LeakError
from datamodules.resident import RESIDENT, Shelf
from datamodules.stored import StoredSignal

SHARED = ("fold", "seed")
"""Fields of a run that are equal in the run of another domain whose model it tests."""
DOUBLES: Shelf[tuple[Double, ...]] = RESIDENT.keep(Shelf(16))
"""People of two archives who share signal, of the latest pairs of archives."""
NAMED = 3
"""Number of pairs of people that a message names."""


def let_test_unseen(
    run: Run, predictor: Predictor, module: EmotionDataModule, home: EmotionDataModule
) -> None:
    """Leave out of the test part whom the model has seen, and refuse what cannot be tested.

    Who trained it, and who chose its epoch, is read from its checkpoint.

    Args:
        run: Run that tests the model of another domain.
        predictor: The model.
        module: Datamodule of the run, after its setup.
        home: Datamodule of the run that trained the model, its recordings prepared.

    Raises:
        BenchmarkError: Everybody was seen.
        IncompatibleRunError: Classes, or shapes, channels or units of signals, that differ.
        LeakError: A model of another fold, or a tested person whose signals it has seen.
    """
    (trained,) = run.trained
    if differing := [name for name in SHARED if getattr(trained, name) != getattr(run, name)]:
        raise LeakError(
            f"leak: the model of {trained.label} is no model of the fold that is tested: its "
            f"{', '.join(differing)} differs."
        )
    _check_inputs(run, predictor, module, home)
    seen = {*predictor.subjects, *predictor.chosen_on}
    if unknown := sorted(seen - {*trained.subjects}):
        raise LeakError(f"leak: the model was trained or chosen on {unknown}, not of its run.")
    if run.dataset == trained.dataset:
        unseen = [name for name in module.fold.members.test if name not in seen]
        if not unseen:
            raise BenchmarkError(
                f"{run.label}: expected somebody whom the model has not seen, found nobody"
            )
        module.test_alone(unseen)
    check_doubles(trained.dataset, home.recordings, seen, run.dataset, module)


def check_doubles(
    home: str, known: Archive, seen: set[str], away: str, module: EmotionDataModule
) -> None:
    """Refuse a tested person whose signals are those of somebody whom the model has seen.

    Args:
        home: Name of the dataset that the model was trained on.
        known: Its recordings.
        seen: Subjects there who trained the model or chose its epoch.
        away: Name of the dataset that is tested.
        module: Datamodule of the test.

    Raises:
        LeakError: Naming the pairs.
    """
    tested = module.fold.members.test
    doubles = _doubles(known, module.fold.archive)
    leaks = [d for d in doubles if d.subject in seen and d.other in tested]
    if leaks:
        pairs = "; ".join(
            f"{leak.subject} of {home} and {leak.other} of {away} share {leak.shared}"
            for leak in leaks[:NAMED]
        )
        raise LeakError(
            f"leak: {pairs}{'; ...' if len(leaks) > NAMED else ''}: the model has seen the first, "
            "and the second is tested. Expected other people: leave one of them out (--subject "
            "names those who take part)."
        )


def _doubles(known: Archive, tested: Archive) -> tuple[Double, ...]:
    """Return who of one archive shares signal with whom of another, once for all folds."""
    key = tuple(
        (archive.place, *(stored.subject for stored in archive.subjects))
        for archive in (known, tested)
    )
    return DOUBLES.kept(key, lambda: doubles_between(known.subjects, tested.subjects))


def _check_inputs(
    run: Run, predictor: Predictor, module: EmotionDataModule, home: EmotionDataModule
) -> None:
    """Refuse classes or signals that mean something else in the other domain.

    Raises:
        IncompatibleRunError: Naming what differs.
    """
    if tuple(predictor.classes) != tuple(module.task.classes):
        raise IncompatibleRunError(
            f"{run.label}: expected the classes {', '.join(predictor.classes)}, found "
            f"{', '.join(module.task.classes)}"
        )
    if dict(predictor.inputs) != dict(module.inputs):
        raise IncompatibleRunError(
            f"{run.label}: expected signals of the shapes {dict(predictor.inputs)}, found "
            f"{dict(module.inputs)}"
        )
    for name in run.signals:
        ours, theirs = (
            {(_places(stored), stored.unit) for stored in archive.stored(name)}
            for archive in (home.recordings, module.fold.archive)
        )
        if ours != theirs:
            raise IncompatibleRunError(
                f"{run.label}: expected {name} with channels and unit {sorted(ours)}, as in "
                f"{run.trained[0].dataset}, found {sorted(theirs)}. Convert it where it is read"
            )


def _places(stored: StoredSignal) -> tuple[str, ...]:
    """Return the names of several channels: that of a single one says no more than the signal's."""
    return stored.channels if len(stored.channels) > 1 else ()

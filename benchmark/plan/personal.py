"""Runs that give labelled minutes of each tested person to trained models of others."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from benchmark.adapters.catalogue import ADAPTERS
from benchmark.code import code_of_run
from benchmark.plan.suite import Suite
from benchmark.plan.trained import test_of
from benchmark.probes.catalogue import PROBES
from benchmark.run import Run
from datamodules.calibration import MOST_LABELLED
from datamodules.errors import IncompatibleRunError
from datamodules.minutes import LONGEST
from datamodules.protocol import Protocol

EVERY_MODEL = "every_model"
"""Name of what does not apply where no model of a board does."""


def personal_runs(
    suite: Suite,
    alone: Sequence[Sequence[Run]],
    people: Collection[str],
    reasons: dict[str, str],
) -> list[Run]:
    """Return the runs of all adapters and minutes; why others do not apply goes to ``reasons``.

    Each model is tested as it is too, on the same score units, and an adapter that replaces a part
    of a network is run without minutes.

    Args:
        suite: Adapters and minutes.
        alone: Runs of each model, of all folds and seeds, that train it.
        people: Subjects who have score units after the largest number of minutes.
        reasons: Reasons by board and name, to be added to.
    """
    if not (suite.adapters and alone):
        return []
    first = alone[0][0]
    try:
        protocols = {m: labelled(first.protocol, m) for m in sorted({0.0, *suite.labelled_minutes})}
        check_people(alone[0], people)
    except IncompatibleRunError as error:
        reasons[f"{first.board}__calibrated_by_labelled/{EVERY_MODEL}"] = str(error)
        return []
    runs: list[Run] = []
    for of_model in alone:
        try:
            tests = {m: [_test_of(run, p) for run in of_model] for m, p in protocols.items()}
        except IncompatibleRunError as error:
            board = replace(of_model[0], protocol=protocols[0.0]).board
            reasons[f"{board}/{of_model[0].name}"] = str(error)
            continue
        runs += tests[0.0]
        for adapter in suite.adapters:
            if reason := ADAPTERS[adapter].why_not(of_model[0].model):
                name = replace(of_model[0], adapter=adapter).name
                reasons[f"{tests[0.0][0].board}/{name}"] = reason
                continue
            runs += _adapted(adapter, tests)
    return runs


def labelled(protocol: Protocol, minutes: float) -> Protocol:
    """Return a protocol with labelled minutes of each person.

    Raises:
        IncompatibleRunError: It cannot have them, or has another calibration.
    """
    if protocol.calibrating:
        raise IncompatibleRunError(
            f"labelled minutes: expected no calibration besides, found {protocol.calibration}"
        )
    return replace(protocol, calibration=f"labelled:{minutes:g}")


def check_people(runs: Sequence[Run], people: Collection[str]) -> None:
    """Refuse labelled minutes where a fold has nobody to test after them.

    Args:
        runs: All folds and seeds of a model.
        people: Subjects who have score units after the largest number of minutes.

    Raises:
        IncompatibleRunError: Naming who is too short.
    """
    after = f"a score unit after {MOST_LABELLED:g} labelled minutes and a gap"
    if not people:
        raise IncompatibleRunError(
            f"expected people with {after}, found none: their recordings are too short"
        )
    for run in runs:
        protocol = run.protocol
        tested = protocol.splitting.people(run.subjects, protocol.dealing(run.fold, run.seed))
        if not set(tested) & {*people}:
            raise IncompatibleRunError(
                f"expected somebody with {after} in every fold, found none in fold {run.fold}: "
                f"{', '.join(tested)} have less. Leave them out (--subject names those who take "
                "part), or take fewer folds"
            )


def _test_of(run: Run, protocol: Protocol) -> Run:
    """Return the run that tests a model as it is, on what is left after the minutes."""
    if run.window > LONGEST:
        raise IncompatibleRunError(
            f"expected windows of at most {LONGEST:g} s, from which the gap follows, found "
            f"{run.window:g} s"
        )
    return test_of(run, protocol)


def _adapted(adapter: str, tests: Mapping[float, Sequence[Run]]) -> list[Run]:
    """Return the runs of an adapter, from those that test the model as it is."""
    runs = []
    for minutes, of_minutes in tests.items():
        if not minutes and (not ADAPTERS[adapter].anew or of_minutes[0].model in PROBES):
            continue
        changed = [replace(run, adapter=adapter) for run in of_minutes]
        code = code_of_run(changed[0])
        runs += [replace(run, code=code) for run in changed]
    return runs

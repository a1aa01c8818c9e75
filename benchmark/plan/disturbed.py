"""Tests of trained models on disturbed recordings, beside the runs that train them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmark.code import code_of_run
from benchmark.plan.suite import ALL, Suite
from benchmark.plan.trained import test_of, why_not_kept
from benchmark.run import Run
from datamodules.corruptions import CORRUPTIONS
from datamodules.dataset import Dataset
from datamodules.errors import IncompatibleRunError
from datamodules.signals.preprocessing import sources


def disturbed_runs(
    suite: Suite, runs: Sequence[Run], dataset: Dataset, reasons: dict[str, str]
) -> Iterator[Run]:
    """Yield a test of each run's model for each corruption of a suite that it can feel.

    Runs under protocol flags or with a calibration, and teachers of some of the training people,
    are not tested again.

    Args:
        suite: Suite.
        runs: Runs of a board, of models and of pairs.
        dataset: Dataset of the board.
        reasons: Receiver of the reasons why a model is not tested, by board and name.
    """
    recorded = dataset.recorded(tuple(dataset.signals))
    names = CORRUPTIONS if ALL in suite.corruptions else suite.corruptions
    for name in names:
        if ALL in suite.corruptions and not CORRUPTIONS[name].touched(recorded):
            continue
        for run in dict.fromkeys(runs):
            if run.protocol.flags or run.protocol.calibrating or run.without:
                continue
            protocol = replace(run.protocol, corruption=name)
            try:
                test = test_of(run, protocol)
                check_felt(run, name, dataset)
            except IncompatibleRunError as error:
                board = run.board if why_not_kept(run) else replace(run, protocol=protocol).board
                reasons[f"{board}/{run.name} on disturbed recordings"] = str(error)
                continue
            yield replace(test, code=code_of_run(test))


def check_felt(run: Run, corruption: str, dataset: Dataset) -> None:
    """Raise IncompatibleRunError, with the reason, for a corruption that says nothing of a run."""
    recorded = dataset.recorded(tuple(dataset.signals))
    seen = dataset.recorded(sorted(sources(run.signals, dataset.preprocessing)))
    if reason := CORRUPTIONS[corruption].why_not(seen, recorded):
        raise IncompatibleRunError(reason)

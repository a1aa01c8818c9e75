"""Self-test of the harness: no effect where none is planted, and every leak is refused.

All data are white noise (datamodules.noise), bare or with a planted effect. Without an effect,
trials are equally long: the probabilities of a long one are means of more windows and so nearer to
what a model says of anything, which is not quite nothing.

Where there is nothing to be found, the draws of noise follow from the version of this project, so
that they are new ones in each release and nobody can choose them. An interval of 95 % misses chance
in 5 of 100 draws; a model fails if it misses in more draws than happens to any of the models once
in a thousand releases.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binom

from benchmark.boards.flawed import averaged, by_row, tested
from benchmark.boards.leak_audit import audit_table
from benchmark.boards.statistics import CONFIDENCE, interval
from benchmark.campaign import Reporter, prepare_suite
from benchmark.checks.cases import JUDGED, make_cases
from benchmark.engines.engine import Engine, Terms
from benchmark.engines.event import Finished
from benchmark.errors import BenchmarkError
from benchmark.execution.assemble import make_datamodule
from benchmark.execution.checkpoint import NETWORK, load_network
from benchmark.execution.places import Places
from benchmark.execution.teachers import check_teacher
from benchmark.plan.expand import expand
from benchmark.run import Run
from benchmark.scored import Scored, scored
from benchmark.store import Store
from datamodules.errors import LeakError
from datamodules.flags import FLAGS, OF_TEACHERS, REPORTED, Flag, known_flags
from datamodules.flaws import passes
from datamodules.guard import check_read
from datamodules.noise import NOISE

FALSE_ALARM = 0.001
"""Largest chance that a release fails in which nothing is wrong, if each interval misses chance in
5 of 100 draws. Eight people's scores of 15 trials are coarse: where each trial is guessed, 6 of 100
intervals miss chance, with which it is 0.002."""
N_NULL = sum(len(case.fields["models"]) for case in make_cases("").values() if len(case.draws) > 1)
"""Number of models and cases in which there is nothing to be found."""
CHANCE = 1 / len(NOISE.tasks["emotion"].classes)
ROUNDING = 1e-6
"""Scores have single precision."""


@dataclass(frozen=True)
class Check:
    """One check and its outcome.

    Args:
        name: Name of the check.
        expected: Expectation, in words.
        found: Finding, in words.
        passed: Whether they agree.
    """

    name: str
    expected: str
    found: str
    passed: bool


def selftest(
    scratch: Path, engine: Engine, finished: Callable[[Finished, int], None], release: str
) -> list[Check]:
    """Do all runs and check their results.

    Args:
        scratch: Folder for recordings and results.
        engine: Engine that does the runs.
        finished: Function that takes the event of each run, and the number of runs.
        release: Version of this project, from which the draws of null data follow.

    Raises:
        BenchmarkError: A run failed.
    """
    places = Places(Path("none"), scratch / "cache", scratch / "runs", logger="none")
    of_case: dict[str, list[Run]] = {}
    for name, case in make_cases(release).items():
        of_case[name] = []
        for suite in case.suites():
            of_case[name] += expand(suite, prepare_suite(suite, places, Reporter())).runs
    runs = list(dict.fromkeys(run for of_one in of_case.values() for run in of_one))
    engine.run_all(runs, places, lambda event: finished(event, len(runs)), Terms())
    store = Store(places.runs)
    results = {run: scored(store, run) for run in runs}
    for run, result in results.items():
        if result is None or result.status != "done":
            raise BenchmarkError(f"{run.label}: {result.error if result else 'not run'}")
    by_case = {
        name: [result for run in dict.fromkeys(runs) if (result := results[run])]
        for name, runs in of_case.items()
    }
    return [
        *_chances(by_case["null"], store, "nothing planted"),
        *_effects(by_case["planted"], store),
        *_chances(by_case["permuted"], store, "labels permuted"),
        *_refusals([run for run in runs if run.protocol.flags], places),
        *_inflations({name: audit_table(results, store) for name, results in by_case.items()}),
        *_lengths(by_case, store),
    ]


def _balanced(results: Sequence[Scored], store: Store) -> Iterator[tuple[Run, list[float]]]:
    """Yield the balanced accuracy of every subject, for each model on each draw."""
    for run, of_row in by_row(results).items():
        yield run, list(averaged(tested(of_row, store), "balanced_accuracy").values())


def allowed_misses(draws: int) -> int:
    """Return in how many draws an interval may miss chance.

    If each does with 1 - CONFIDENCE, more miss with a probability of at most FALSE_ALARM in all
    N_NULL checks together.
    """
    return int(binom.isf(FALSE_ALARM / N_NULL, draws, 1 - CONFIDENCE))


def _chances(results: Sequence[Scored], store: Store, name: str) -> Iterator[Check]:
    """Check for each model in how many draws its interval over people misses chance."""
    misses: dict[str, list[bool]] = {}
    for run, values in _balanced(results, store):
        _, low, high = interval(values)
        inside = low - ROUNDING <= CHANCE <= high + ROUNDING
        misses.setdefault(run.model, []).append(not inside)
    for model, missed in misses.items():
        allowed = allowed_misses(len(missed))
        yield Check(
            f"{name}: {model}",
            f"interval misses chance in at most {allowed} of {len(missed)} draws",
            f"in {sum(missed)}",
            sum(missed) <= allowed,
        )


def _effects(results: Sequence[Scored], store: Store) -> Iterator[Check]:
    for run, values in _balanced(results, store):
        mean, low, high = interval(values)
        yield Check(
            f"effect planted: {run.model}",
            f"balanced accuracy above {CHANCE:g}",
            f"{mean:.3f} ({low:.3f} to {high:.3f})",
            low > CHANCE,
        )


def _refusals(runs: Sequence[Run], places: Places) -> Iterator[Check]:
    """Check that every flaw, planted by its own flag, is refused without this flag."""
    for flag in FLAGS:
        _, model, besides = JUDGED[flag]
        flags = known_flags([flag, *([besides] if besides else [])])
        planted = next(r for r in runs if r.protocol.flags == flags and r.name == model)
        honest = tuple(name for name in flags if name != flag)
        greater = {flag, "random_windows", *REPORTED} - set(honest)  # what lets it pass as well
        others = tuple(name for name in FLAGS if name not in greater)
        messages = [_refusal(planted, places, allowed) for allowed in (honest, others, flags)]
        yield Check(
            f"guard: {flag}",
            "refused without its flag, with all others too; passes with it",
            messages[0] or "not refused",
            bool(messages[0] and messages[1] and not messages[2]),
        )


def _refusal(run: Run, places: Places, flags: Sequence[Flag]) -> str:
    """Return the guard's message about a run with its flaw, under these flags; empty: none."""
    try:
        if run.protocol.reports_epochs:
            check_read(passes(flags))
            return ""
        module = make_datamodule(run, places)
        module.prepare_data()
        module.setup()
        if OF_TEACHERS in run.protocol.flags:
            (teacher,) = run.teachers
            predictor = load_network(Store(places.runs).folder(teacher) / NETWORK)
            check_teacher(teacher, predictor, run, module, passes(flags))
        else:
            module.check(flags)
    except LeakError as error:
        return str(error)
    return ""


def _inflations(tables: Mapping[str, pd.DataFrame]) -> Iterator[Check]:
    for flag in FLAGS:
        case, model, besides = JUDGED[flag]
        table = tables[case]
        (line,) = table[
            (table["flaw"] == flag) & (table["model"] == model) & (table["besides"] == besides)
        ].to_dict("records")
        finding = f"{line['adds']:+.3f} macro F1 ({line['low']:+.3f} to {line['high']:+.3f})"
        # A mean is no choice, and a student need not inherit what its teacher gained.
        if flag in ("report_mean_over_epochs", OF_TEACHERS):
            moved = line["higher"] + line["lower"]
            yield Check(f"flaw: {flag}", "changes the score", finding, moved > 0)
        else:
            yield Check(f"flaw: {flag}", "adds, interval above 0", finding, line["low"] > 0)


def _lengths(by_case: Mapping[str, Sequence[Scored]], store: Store) -> Iterator[Check]:
    """Check that padding gives the emotion away only where films differ in length."""
    flawed = {
        name: [result for result in by_case[name] if result.run.protocol.flags]
        for name in ("films", "equal films")
    }
    for run, values in _balanced(flawed["films"], store):
        mean, low, high = interval(values)
        yield Check(
            f"noise, films, zero padding: {run.model}",
            f"balanced accuracy above {CHANCE:g}",
            f"{mean:.3f} ({low:.3f} to {high:.3f})",
            low > CHANCE,
        )
    yield from _chances(flawed["equal films"], store, "noise, equal films, zero padding")


def as_record(checks: Sequence[Check], **more: object) -> dict[str, object]:
    """Return the record of a selftest, as plain values."""
    return {
        "passed": all(check.passed for check in checks),
        "checks": [vars(check) for check in checks],
        **more,
    }


def table_of(checks: Sequence[Check]) -> str:
    """Return a table of checks for a terminal."""
    lines = pd.DataFrame([vars(check) for check in checks])
    lines["passed"] = np.where(lines["passed"], "ok", "FAILED")
    return str(lines.to_string(index=False, max_colwidth=90))

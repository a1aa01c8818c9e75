"""Search: the candidates of a study, one generation after the other, and the one that is chosen.

Candidates come from Optuna's TPE sampler with a fixed seed, and its median pruner gives up those
that are worse, over the inner folds so far, than half of the complete ones. The sampler is asked
for a generation at a time, whose candidates are done side by side; what it answers follows from its
seed and from the scores of the generations before. So a search is kept in no file: it is asked from
the start again, and told what the store has. Neither kills nor the number of workers change it.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from benchmark.boards.evidence import inner_score
from benchmark.plan.studies import FOLDS, Study
from benchmark.run import Run, Value
from benchmark.scored import Scored
from datamodules.machine import extra
from lightning_modules.spaces import Choice, Range

if TYPE_CHECKING:
    import optuna

GENERATION = 5
"""Number of candidates that are asked for at once. Those of the first generation are the values of
the untuned run and random ones, and none of them is pruned."""
DIGITS = 3
"""Significant digits of a number from a range; finer differences mean nothing."""
Needs = tuple[Run, ...]
"""Inner runs that are to be done before a search goes on."""


@dataclass(eq=False)
class _Candidate:
    trial: "optuna.Trial"
    values: Mapping[str, Value]
    runs: tuple[Run, ...]
    results: list[Scored] = field(default_factory=list)
    score: float = np.nan
    going: bool = True

    @property
    def complete(self) -> bool:
        return self.going and len(self.results) == len(self.runs)


def search(study: Study) -> Generator[Needs, Mapping[str, Scored], Run]:
    """Yield the inner runs that a study needs next, until it has chosen.

    Args:
        study: The study.

    Yields:
        Inner runs that are to be done now, side by side; their results, by id, are sent back.

    Returns:
        The training with the values of the complete candidate with the best score: of the first one
        by its values if several are equal, and of the first of all if none is complete.

    Raises:
        MissingExtraError: Optuna is not installed.
    """
    with extra("optuna", "tuning", "--budget"):
        import optuna  # takes half a second, and nothing but a search needs it

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    seed = np.random.default_rng([study.run.seed, study.run.fold]).integers(2**32)
    trials = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=int(seed), n_startup_trials=GENERATION),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=GENERATION),
    )
    trials.enqueue_trial(study.first)
    space = {name: _distribution(one) for name, one in sorted(study.space.items())}
    candidates: list[_Candidate] = []
    while len(candidates) < study.budget:
        generation = []
        for number in range(len(candidates), min(len(candidates) + GENERATION, study.budget)):
            trial = trials.ask(space)
            values = {name: _rounded(value) for name, value in trial.params.items()}
            values = values if number else study.first
            generation.append(_Candidate(trial, values, study.inner_runs(values)))
        at_once = 1 if candidates else FOLDS  # nothing of the first generation is pruned
        for fold in range(0, FOLDS, at_once):
            going = [one for one in generation if one.going]
            needs = [run for one in going for run in one.runs[fold : fold + at_once]]
            results = yield tuple(dict.fromkeys(needs))
            for one in going:
                for run in one.runs[fold : fold + at_once]:
                    _take(trials, one, results[run.id])
        for one in generation:
            if one.complete:
                trials.tell(one.trial, one.score)
        candidates += generation
    order: dict[str, int] = {}
    for number, one in enumerate(candidates):  # values that were tried before are no new ones
        order.setdefault(one.runs[0].id, number)
    complete = [one for one in candidates if one.complete]
    complete.sort(key=lambda one: order[one.runs[0].id])
    best = max(complete, key=lambda one: one.score, default=candidates[0])
    tried = dict.fromkeys(result.run.id for one in candidates for result in one.results)
    return study.tuned_run(best.values, tuple(tried))


def _take(trials: "optuna.Study", candidate: _Candidate, result: Scored) -> None:
    """Take the result of the next inner fold; a candidate may be given up for it."""
    from optuna.trial import TrialState  # imported with the search

    if not candidate.going:
        return
    candidate.results.append(result)
    if result.status == "done":
        candidate.score = inner_score(candidate.results)
    if result.status != "done" or np.isnan(candidate.score):
        candidate.going = False
        trials.tell(candidate.trial, state=TrialState.FAIL)
        return
    fold = len(candidate.results) - 1
    candidate.trial.report(candidate.score, fold)
    if fold < FOLDS - 1 and candidate.trial.should_prune():
        candidate.going = False
        trials.tell(candidate.trial, state=TrialState.PRUNED)


def _distribution(values: Range | Choice) -> "optuna.distributions.BaseDistribution":
    """Return a range or a choice as Optuna has it."""
    from optuna import distributions as of  # imported with the search

    if isinstance(values, Choice):
        return of.CategoricalDistribution(values.values)
    if values.whole:
        return of.IntDistribution(int(values.low), int(values.high), log=values.log)
    return of.FloatDistribution(values.low, values.high, log=values.log)


def _rounded(value: Value) -> Value:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value

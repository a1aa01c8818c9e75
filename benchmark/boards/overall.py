"""Ranks over all boards: which model does well everywhere."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from benchmark.boards.cohort import BLIND, Cohort, Row
from benchmark.boards.statistics import CONFIDENCE, critical_difference
from datamodules.protocol import Protocol

LEAST_DATASETS = 5
"""From which on a test over datasets is worth its name."""
FIRST = ("model", "recipe", "average_rank", "n_boards", "note")

Model = tuple[str, str]
"""Name and recipe; what it sees differs from dataset to dataset."""


def overall_ranks(cohorts: Sequence[Cohort]) -> tuple[tuple[str, ...], pd.DataFrame]:
    """Return how to read the ranks, and average ranks of models that are complete everywhere.

    Models are ranked by macro F1 on each board (1 is best, equal scores share the mean of their
    ranks); the ranks of a dataset's boards are averaged and ranked anew, so that a dataset counts
    once however many tasks and splits it has; ``average_rank`` is the mean over datasets. Boards of
    splits within subjects, of people who are calibrated, and of models of other datasets do not
    take part. Probes that should lose are not ranked, as on boards. A model that has several rows
    on one board is not ranked either: to choose one would be to choose by score.

    From five datasets on, Friedman's test and the critical difference of Nemenyi's (Demšar 2006)
    stand in the head.
    """
    boards = [cohort for cohort in cohorts if _takes_part(cohort.results[0].run.protocol)]
    rows = [_rows(cohort) for cohort in boards]
    models = sorted(set().union(*rows)) if rows else []
    lacking = {model: _lacking(model, boards, rows) for model in models}
    ranked = [model for model in models if not lacking[model]]
    ranks = {
        cohort.name: stats.rankdata([-cohort.score(by_model[model][0]) for model in ranked])
        for cohort, by_model in zip(boards, rows, strict=True)
    }
    blocks: dict[str, list[npt.NDArray[np.float64]]] = defaultdict(list)
    for cohort in boards:
        blocks[cohort.results[0].run.dataset].append(ranks[cohort.name])
    of_datasets = np.array([stats.rankdata(np.mean(block, axis=0)) for block in blocks.values()])
    average = of_datasets.mean(axis=0) if len(blocks) else np.empty(0)
    order = np.argsort(average, kind="stable")  # of equals, by name
    lines = [
        {
            "model": ranked[i][0],
            "recipe": ranked[i][1],
            "average_rank": average[i],
            "n_boards": len(boards),
            **{name: places[i] for name, places in ranks.items()},
        }
        for i in order
    ]
    lines += [
        {
            "model": model[0],
            "recipe": model[1],
            "n_boards": sum(model in by_model for by_model in rows),
            "note": f"not ranked: {'; '.join(lacking[model])}",
        }
        for model in models
        if lacking[model]
    ]
    table = pd.DataFrame(lines, columns=[*FIRST, *ranks])
    return (*_head(boards, len(blocks)), *_tests(of_datasets)), table


def _takes_part(protocol: Protocol) -> bool:
    splitting = protocol.splitting
    return splitting.trains and not (splitting.within_subject or protocol.calibrating)


def _rows(cohort: Cohort) -> dict[Model, list[Row]]:
    by_model: dict[Model, list[Row]] = defaultdict(list)
    for row in cohort.rows:
        by_model[row.run.name, row.run.recipe_label].append(row)
    return dict(by_model)


def _lacking(
    model: Model, boards: Sequence[Cohort], rows: Sequence[Mapping[Model, Sequence[Row]]]
) -> list[str]:
    """Return the reasons why a model is not ranked, board by board."""
    if model[0] in BLIND:
        return ["should lose"]
    reasons = []
    for cohort, by_model in zip(boards, rows, strict=True):
        of_model = by_model.get(model, ())
        if len(of_model) > 1:
            reasons.append(f"{len(of_model)} rows on {cohort.name}")
        elif not of_model:
            reasons.append(f"not on {cohort.name}")
        elif not of_model[0].complete:
            reasons.append(f"incomplete on {cohort.name}")
    return reasons


def _head(boards: Sequence[Cohort], n_datasets: int) -> list[str]:
    return [
        f"overall: ranks of macro F1 (1 is best) on {len(boards)} board(s), averaged within a "
        f"dataset, ranked anew, averaged over {n_datasets} dataset(s)",
        "ranked are the models that are complete on every board, each by its one row there; probes "
        "that should lose are not",
    ]


def _tests(ranks: npt.NDArray[np.float64]) -> list[str]:
    """Return Friedman's test and Nemenyi's critical difference, or why there are none.

    Args:
        ranks: Shape (datasets, models).
    """
    if len(ranks) < LEAST_DATASETS:
        return [
            f"no test over datasets: {len(ranks)} of the {LEAST_DATASETS} that it takes; which "
            "models differ on a board stands on that board"
        ]
    if ranks.shape[1] < 3:
        return [f"no test over datasets: {ranks.shape[1]} ranked model(s), it takes 3"]
    friedman = stats.friedmanchisquare(*ranks.T)
    size = critical_difference(ranks.shape[1], len(ranks))
    return [
        f"Friedman's test: chi-squared {friedman.statistic:.4f}, p {friedman.pvalue:.4g}",
        f"average ranks differ (Nemenyi, {CONFIDENCE:.0%}) if they are {size:.4f} or more apart"
        + ("" if friedman.pvalue < 1 - CONFIDENCE else ", which Friedman's test does not bear out"),
    ]

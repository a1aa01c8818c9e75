"""Tuned rows: what was chosen for each training, by what inner scores and at what cost."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from benchmark.boards.cohort import signals_label
from benchmark.boards.evidence import Evidence
from benchmark.probes.catalogue import PROBES
from benchmark.run import Run
from benchmark.store import Store, StoreError

COLUMNS = (
    "board",
    "model",
    "signals",
    "recipe",
    "fold",
    "seed",
    "budget",
    "n_people",
    "default_score",
    "chosen_score",
    "chosen",
    "n_pruned",
    "n_failed",
    "n_runs",
    "tuning_hours",
    "id",
    "note",
)


def tuned_table(evidence: Iterable[Evidence], store: Store) -> pd.DataFrame:
    """Return one line a study: what it chose, and the inner scores of that and of the default."""
    lines = [_line(one, store) for one in evidence if one.run.budget]
    return pd.DataFrame(lines, columns=list(COLUMNS)).sort_values(
        ["board", "model", "signals", "recipe", "seed", "fold"], ignore_index=True
    )


def _line(evidence: Evidence, store: Store) -> dict[str, Any]:
    run, candidates, note = evidence.run, evidence.candidates, ""
    scores = {"default_score": np.nan, "chosen_score": np.nan}
    if evidence.missing:
        note = f"{len(evidence.missing)} inner run(s) are not in the store"
    else:
        try:
            scores["default_score"] = candidates[0].score(store)
            if chosen := evidence.candidate(run):
                scores["chosen_score"] = chosen.score(store)
        except StoreError as error:
            store.put_aside(store.folder(run), error)
            note = "predictions of an inner run are not those that were committed, or are gone"
    people = {len(result.run.subjects) for result in evidence.results}
    return {
        "board": run.board,
        "model": run.name,
        "signals": signals_label(run),
        "recipe": run.untuned.recipe_label,
        "fold": run.fold,
        "seed": run.seed,
        "budget": run.budget,
        "n_people": max(people, default=0),
        **scores,
        "chosen": " ".join(f"{name}={value}" for name, value in chosen_values(run).items()),
        "n_pruned": sum(not one.complete and not one.failed for one in candidates),
        "n_failed": sum(one.failed for one in candidates),
        "n_runs": len(evidence.results),
        "tuning_hours": evidence.hours,
        "id": run.id,
        "note": note,
    }


def chosen_values(run: Run) -> dict[str, object]:
    """Return the values that a study chose; of a network, arguments that differ from defaults."""
    defaults = PROBES[run.model].arguments if run.model in PROBES else {}
    arguments = {**defaults, **dict(run.arguments)}
    of_recipe = {n: getattr(run.recipe, n) for n in run.tuned if hasattr(run.recipe, n)}
    return of_recipe | {name: arguments[name] for name in run.tuned if name in arguments}

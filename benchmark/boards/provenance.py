"""What is behind a row: its windows, whether its signals look ahead, whom its recipe knows."""

import re
from collections.abc import Sequence

from benchmark.boards.cohort import Row
from benchmark.plugins import ENSEMBLE
from benchmark.probes.catalogue import PROBES
from benchmark.probes.encoders import UNKNOWN
from benchmark.run import Run
from datamodules.catalogue import DATASETS
from datamodules.signals.preprocessing import is_causal
from lightning_modules.recipe import Recipe

CAUSAL, OFFLINE, NONE = "causal", "offline", "none"
"""Values of the column ``input``."""
NOTHING = "nothing"
"""Value of the column ``pretrained_on`` of a network with random weights."""
INPUT_LINE = (
    f"input {OFFLINE}: a signal of the row went through steps that use what was recorded after a "
    "window's end (zero-phase filters, resampling, cvxEDA, scaling over the recording) and is not "
    f"known in live use; {CAUSAL}: none did; what its publisher did to a file does not count"
)


def window_of(run: Run) -> str:
    """Return the seconds of a window; empty for a dataset that is not in the catalogue.

    Of an ensemble these are the lengths of its members' windows.
    """
    dataset = DATASETS.get(run.dataset)
    if dataset is None:
        return ""
    lengths = {
        one.window or dataset.window_length(one.recipe.window, one.protocol)
        for one in (run.members or (run,))
    }
    return "+".join(f"{length:g}" for length in sorted(lengths))


def input_of(run: Run) -> str:
    """Return whether windows of a run depend on what was recorded after their end.

    Returns:
        ``"causal"`` or ``"offline"``, from the steps of its signals and what a probe sees;
        ``"none"`` without signals; empty for a dataset that is not in the catalogue. An ensemble is
        ``"causal"`` if all are that it may consist of.
    """
    if run.members:
        of_members = {input_of(member) for member in run.members}
        return next(value for value in ("", OFFLINE, CAUSAL, NONE) if value in of_members)
    if not run.signals:
        return NONE
    dataset = DATASETS.get(run.dataset)
    if dataset is None:
        return ""
    dataset = dataset.brought(run.brought)
    probe = PROBES.get(run.model)
    ahead = probe is not None and probe.sees == "subject"  # the mean of all windows of a person
    if probe is not None and probe.encoder:
        rates = {name: sfreq for name, (_, sfreq) in dataset.signals.items()}
        ahead = not probe.encoder.is_causal(rates)
    ahead = ahead or not run.protocol.calibrating.causal
    ahead = ahead or not all(is_causal(name, dataset.preprocessing) for name in run.signals)
    return OFFLINE if ahead else CAUSAL


def tuned_on(run: Run) -> tuple[str, ...]:
    """Return the datasets whose people had a say in a recipe of a run, its teachers or members."""
    recipes = [one.recipe for one in (run, *run.teachers, *run.members, *run.trained)]
    names = [name for recipe in recipes if isinstance(recipe, Recipe) for name in recipe.tuned_on]
    return tuple(dict.fromkeys(names))


def pretrained_on(run: Run) -> tuple[str, ...]:
    """Return what the encoder of a run was trained on: names of datasets, or ``"nothing"``.

    Of an ensemble, those of all that it may consist of.
    """
    if run.members:
        return tuple(dict.fromkeys(name for one in run.members for name in pretrained_on(one)))
    probe = PROBES.get(run.model)
    if probe is not None and probe.encoder and not probe.pretrained:
        return (NOTHING,)
    return run.pretrained_on


def has_seen(run: Run) -> bool:
    """Return whether the encoder of a run was trained on the dataset that it is tested on.

    A dataset is known by its name or its title, however they are spelled.
    """
    dataset = DATASETS.get(run.dataset)
    names = {run.dataset, *([dataset.title] if dataset else [])}
    return bool({_bare(name) for name in names} & {_bare(name) for name in pretrained_on(run)})


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def provenance_head(rows: Sequence[Row]) -> list[str]:
    """Return lines of the head of a board on what is behind its rows."""
    inputs = {input_of(row.run) for row in rows}
    lines = [INPUT_LINE] if OFFLINE in inputs else []
    longer = sorted({f"{row.run.name} ({window_of(row.run)} s)" for row in rows if row.run.window})
    if longer:
        lines.append(
            f"windows longer than a score unit: {', '.join(longer)}; a unit is scored by the one "
            "window around it, inside the same segment"
        )
    tuned = sorted(
        {f"{row.run.name} ({row.run.kind})" for row in rows if row.run.dataset in tuned_on(row.run)}
    )
    if tuned:
        lines.append(
            f"tuned on people of this dataset: {', '.join(tuned)}; values of their recipes were "
            "chosen with people who are tested here, so that their scores may be too high"
        )
    lines += _of_encoders(rows)
    budgets = sorted({row.run.budget for row in rows if row.run.budget})
    if budgets:
        lines.append(
            f"NAME-tuned: the model NAME with values that a study of {_listed(budgets)} candidates "
            "chose in each fold, by inner folds of the people who are not tested there; the values "
            "of NAME are the first candidate. What was chosen is in tuned.csv"
        )
    if any(row.run.members for row in rows):
        lines.append(
            f"{ENSEMBLE}: mean of the probabilities of models of its recipe, chosen and weighed in "
            "each fold by inner folds of the people who are not tested there. What was chosen is "
            "in ensembles.csv"
        )
    refitted = sorted({row.run.name for row in rows if _refits(row.run)})
    if refitted and not all(_refits(row.run) for row in rows):
        lines.append(
            "NOT EQUAL DATA: refitted on training and validation subjects together, the others on "
            f"training subjects alone: {', '.join(refitted)}"
        )
    return lines


def _refits(run: Run) -> bool:
    """Return whether a run, or a model that an ensemble may consist of, is refitted."""
    return any(one.recipe.refit for one in (run, *run.members))


def _of_encoders(rows: Sequence[Row]) -> list[str]:
    """Return lines on what the encoders of a board have seen."""
    runs = [row.run for row in rows if pretrained_on(row.run)]
    seen = sorted({_weighted(run) for run in runs if has_seen(run)})
    doubtful = sorted({_weighted(run) for run in runs if UNKNOWN in pretrained_on(run)})
    lines = []
    if runs:
        lines.append(
            "frozen encoders: networks with the weights of a file, which are not trained here; a "
            "logistic regression on their embeddings is. What a file was trained on is as its user "
            "or its catalogue says; NAME_untrained is the same network with random weights"
        )
    if seen:
        lines.append(
            f"pre-trained on people of this dataset: {', '.join(seen)}; the network has seen "
            "signals of people who are tested here, so that their scores may be too high"
        )
    if doubtful:
        lines.append(
            f"not known what else it was pre-trained on: {', '.join(doubtful)}; the people who are "
            "tested here may be among them"
        )
    return lines


def _weighted(run: Run) -> str:
    return f"{run.name} ({run.pretrained})" if run.pretrained else run.name


def _listed(numbers: Sequence[int]) -> str:
    return " or ".join(str(number) for number in numbers)

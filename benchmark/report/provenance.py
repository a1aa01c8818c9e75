"""Provenance of a row: its protocol, what computed it, and the score of each subject."""

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmark.boards.cohort import Row, signals_label
from benchmark.boards.distillation import across_folds
from benchmark.probes.catalogue import PROBES
from benchmark.run import Run
from benchmark.scored import Scored

Facts = list[tuple[str, str]]
"""Names and what they are, in order."""
SHORT = 8
"""Letters of a run's id, which `affectbench logs` takes for the whole."""
SHOWN = {
    *("dataset", "task", "protocol", "fold", "seed", "model", "signals", "subjects", "data"),
    *("options", "recipe", "kind", "changed", "arguments", "distiller", "distillation"),
    *("teachers", "without", "alone", "members", "trained"),
}
"""Fields of a run that have a line of their own, or none."""
SAID = {"split", "folds", "stimulus_folds", "partitions", "rule", "padding", "mask", "version"}
"""Fields of a protocol that have a line of their own, or none."""


def provenance(row: Row, tested: Sequence[str]) -> dict[str, Any]:
    """Return all that is known of a row, as plain values.

    Args:
        row: Row of a board.
        tested: Subjects of the board; scores are in their order, None where there is none.
    """
    done = [result for result in row.results if result.status == "done"]
    sections = {
        "Protocol": _protocol(row, done),
        "Model": _model(row.run),
        "Taught by": _teaching(row.run),
        "Chosen among": _members(row.run),
        "Data": _data(row.run, done),
        "Computed": _execution(row.results, done),
    }
    scored = row.macro_f1
    return {
        "title": row.run.name,
        "sections": {name: facts for name, facts in sections.items() if facts},
        "scores": [round(scored[s], 4) if s in scored else None for s in tested],
        "runs": _ids(row.results),
    }


def split_label(run: Run) -> str:
    """Return a split in words."""
    if run.trained and not run.protocol.splitting.trains:
        return f"trained on {run.trained[0].domain}"
    return run.protocol.slug.replace("_", " ")


def _protocol(row: Row, done: Iterable[Scored]) -> Facts:
    run = row.run
    seeds = sorted({result.run.seed for result in row.results})
    splitting = run.protocol.splitting
    others = "trials" if splitting.within_subject else "subjects"
    epoch = f"chosen on validation {others}"
    epoch += ", then trained anew on both for as many epochs" if run.recipe.refit else ""
    if run.model in PROBES:
        used = "are trained on" if run.recipe.refit else "are not used"
        epoch = f"none to choose, so that validation {others} {used}"
    if run.members:
        epoch = f"that of each member; members are chosen by inner folds without test {others}"
    facts = [
        ("version", str(run.protocol.version)),
        ("split", f"{split_label(run)}: {splitting.about}"),
        ("epoch", f"{epoch}; what is tested is read once"),
        ("seeds", _joined(seeds)),
        ("task", f"{run.task}: {_joined(next((r.classes for r in done if r.classes), ()))}"),
        ("threshold", f"{run.protocol.rule}, where a task cuts ratings"),
        ("labels from", _joined(sorted({r.labels for r in done if r.labels}))),
        ("whole trials", f"padding {run.protocol.padding}{', mask' if run.protocol.mask else ''}"),
        ("scores", f"{row.expected - row.missing} of {row.expected}, one a subject and seed"),
    ]
    if run.protocol.padding is None:
        facts = [fact for fact in facts if fact[0] != "whole trials"]
    facts += [
        (f.name.replace("_", " "), _plain(getattr(value, f.name)))
        for value, said in ((run.protocol, SAID), (run, SHOWN))
        for f in dataclasses.fields(value)
        if f.name not in said and getattr(value, f.name) != f.default
    ]
    return [(name, value) for name, value in facts if value.rstrip(": ")]


def _model(run: Run) -> Facts:
    values = {**dict(run.arguments), **({} if run.members else vars(run.recipe))}
    values |= dict.fromkeys(run.tuned, "chosen in each fold, see tuned.csv")
    facts = [
        ("sees", signals_label(run)),
        ("recipe", run.recipe_label),
        *((name, _plain(value)) for name, value in values.items()),
    ]
    return [(name, value) for name, value in facts if value]


def _teaching(run: Run) -> Facts:
    if not run.distiller:
        return []
    facts = [("distiller", run.distiller)]
    facts += [(name, _plain(value)) for name, value in run.distillation]
    for teacher in run.teachers[:1]:
        facts += [
            ("teacher", teacher.name),
            ("teacher sees", signals_label(teacher)),
            ("teacher's recipe", teacher.recipe_label),
            *((f"teacher's {name}", _plain(value)) for name, value in vars(teacher.recipe).items()),
        ]
    if len(run.teachers) > 1:
        facts.append(("out of fold", f"{len(run.teachers)} teachers"))
    return facts


def _members(run: Run) -> Facts:
    return [
        (member.name, f"sees {signals_label(member)}; {member.recipe_label}")
        for member in run.members
    ]


def _data(run: Run, done: Iterable[Scored]) -> Facts:
    options = ", ".join(f"{name} {_plain(value)}" for name, value in run.options)
    raw = _joined(sorted({result.raw for result in done if result.raw}))
    facts = [
        ("dataset", f"{run.dataset} ({options})" if options else run.dataset),
        ("subjects", f"{len(run.subjects)} took part"),
        ("brought to one form", ", ".join(run.forms)),
        ("prepared recordings", run.data),
        ("samples of its signals", run.samples),
        ("raw files", raw),
    ]
    return [(name, value) for name, value in facts if value]


def _execution(results: Sequence[Scored], done: Sequence[Scored]) -> Facts:
    versions = {f"{name} {value}" for r in results for name, value in r.versions.items()}
    trained = [r.epochs for r in done if r.epochs]
    facts = [
        ("commit", _joined(sorted({r.commit for r in results if r.commit}))),
        ("versions", _joined(sorted(versions))),
        ("device", _joined(sorted({r.device for r in results if r.device}))),
        ("threads", _joined(sorted({r.threads for r in results}))),
        ("runs", f"{len(done)} done, {len(results) - len(done)} failed"),
    ]
    if trained:
        epochs, best = (np.median(values) for values in zip(*trained, strict=True))
        facts.append(("epochs", f"{epochs:g} trained, {best:g} counts (medians)"))
    for name in ("prepare", "train", "predict"):
        seconds = [r.seconds[name] for r in done if name in r.seconds]
        if seconds:
            facts.append((f"{name}, seconds", f"{np.median(seconds):.2f} a run (median)"))
    if done:
        facts.append(("peak memory", f"{max(r.peak_memory for r in done) / 2**20:,.0f} MiB"))
    notes = list(dict.fromkeys(note for r in results for note in r.notes))
    facts += [("note", note) for note in notes]
    return [(name, value) for name, value in facts if value]


def _ids(results: Iterable[Scored]) -> dict[str, str]:
    """Return the ids of the runs of each seed, in order of fold."""
    by_seed: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for result in results:
        by_seed[result.run.seed].append((result.run.fold, result.id[:SHORT]))
    return {str(seed): " ".join(i for _, i in sorted(ids)) for seed, ids in sorted(by_seed.items())}


def _plain(value: object) -> str:
    return _joined(value) if isinstance(value, tuple | list) else str(value)


def _joined(values: Iterable[object]) -> str:
    return ", ".join(_plain(value) for value in values)


def failures(results: Iterable[Scored]) -> list[dict[str, Any]]:
    """Return failed runs by folder; errors of a row that differ in numbers alone are one."""
    by_error: dict[tuple[Run, str], list[Scored]] = defaultdict(list)
    for result in results:
        if result.status == "failed":
            by_error[across_folds(result.run), re.sub(r"\d+", "", result.error)].append(result)
    return [
        {
            "board": run.board,
            "name": run.name,
            "signals": signals_label(run),
            "error": same[0].error,
            "runs": [(r.run.fold, r.run.seed, r.id[:SHORT]) for r in same],
            "traceback": same[0].traceback,
        }
        for (run, _), same in by_error.items()
    ]

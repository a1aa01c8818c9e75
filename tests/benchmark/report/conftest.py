"""Made-up results that fill every part of the page, some with names that are up to no good."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from benchmark.curves import METRICS, NAMES, curves_text
from benchmark.report.page import render
from benchmark.result import Result
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.store import Store
from lightning_modules.metrics import SCORES
from lightning_modules.recipe import Recipe
from tests.benchmark.made_up import make_run, stored

SUBJECTS = tuple(f"S{number:02d}" for number in range(1, 13))
SKILL = {"majority": 0.33, "time": 0.5, "lda": 0.6, "random_forest": 0.62, "cnn": 0.7, "lstm": 0.68}
EVIL = "<img src=x onerror='window.hacked=1'>"
"""An error, a note and a cell that would run if it were not escaped."""

CURVES = {epoch: {name: 1 / (1 + epoch) for name in NAMES} for epoch in (1, 2, 3)}
"""Learning curves of every network."""


def asked(model: str, fold: int, seed: int = 0, **fields) -> Run:
    values = {
        "dataset": "wesad",
        "task": "stress",
        "signals": ("eda", "bvp"),
        "subjects": SUBJECTS,
        "data": "d" * 16,
        "recipe": Recipe("a paper", lr=0.001, max_epochs=20),
        **fields,
    }
    return make_run(fold=fold, seed=seed, model=model, **values)


def taught(run: Run, distiller: str, teacher: Run | None) -> Run:
    teachers = (teacher,) if teacher else ()
    return dataclasses.replace(run, distiller=distiller, teachers=teachers, alone=run.id)


def done(run: Run, score: float, **fields) -> Scored:
    subject = run.subjects[run.fold]
    right = round(10 * score)
    values = {
        "scores": {subject: dict.fromkeys(SCORES, score)},
        "n_units": {subject: 20},
        "units": {subject: f"units of {subject}"},
        "confusion": {subject: [[right, 10 - right], [3, 7]]},
        "classes": ("calm", "stress"),
        "labels": "the publisher's own conditions",
        "parameters": 0 if run.model in ("majority", "time") else 1000 + 10 * len(run.name),
        "efficiency": {"macs": 5e5, "latency_ms": 1.5, "cpu_latency_ms": 0.5 + len(run.name) / 10}
        if run.model in ("cnn", "lstm")
        else {},
        "seconds": {"prepare": 0.5, "train": 2.0, "predict": 0.1},
        "device": "cpu (x86_64)",
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "commit": "0123456789",
        "raw": "r" * 16,
        "control": run.distiller == "label_smoothing",
        "notes": (EVIL,),
        "epochs": (3, 2) if run.model in ("cnn", "lstm") else None,
        **fields,
    }
    return Scored(run, "done", **values)


def results() -> list[Result]:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 0.05, len(SUBJECTS))

    def score(model: str, fold: int) -> float:
        return float(np.clip(SKILL[model] + hard[fold] + rng.normal(0, 0.03), 0, 1))

    found = []
    for task in ("stress", "affect"):
        for model in SKILL:
            for fold in range(len(SUBJECTS)):
                found.append(done(asked(model, fold, task=task), score(model, fold)))
    for fold in range(len(SUBJECTS)):
        student, teacher = asked("cnn", fold), asked("lstm", fold)
        run = taught(student, "soft_targets", teacher)
        found.append(done(run, score("cnn", fold) + 0.1))
        run = taught(student, "label_smoothing", None)
        found.append(done(run, score("cnn", fold) + 0.01))
        failed = asked("dnn", fold)
        if fold < 2:
            error = f"RuntimeError: fold {fold} of {EVIL}"
            found.append(Result(failed, "failed", error=error, traceback=f"Traceback\n{error}"))
        elif fold < 8:
            found.append(done(failed, 0.99))
    return found


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two boards; the first with a distillation, a control and an incomplete row."""
    store = stored(tmp_path_factory.mktemp("store") / "runs", results())
    for result in list(store.results()):
        if result.epochs:
            (store.folder(result.run) / METRICS).write_text(curves_text(CURVES))
    store.note_cells({}, {"wesad__stress__leave_one_subject_out/rtcan_1d": f"no music {EVIL}"})
    return store


@pytest.fixture(scope="session")
def leaderboards(store: Store) -> Path:
    """With tables that do not follow from the store."""
    folder = store.root.parent / "leaderboards"
    folder.mkdir()
    (folder / "leak_audit.csv").write_text(
        "# what a flaw adds\nflag,model,gain\nselect_on_test,cnn,0.0625\nnone,lstm,\n"
        f'scale_on_all,"{EVIL}",-0.5\n'
    )
    (folder / "selftest.json").write_text('{"null data": {"p": 0.4}, "passed": true}\n')
    return folder


@pytest.fixture(scope="session")
def page(store: Store, leaderboards: Path) -> Path:
    """The page as a file."""
    path = store.root.parent / "report.html"
    path.write_text(render(store, leaderboards))
    return path


@pytest.fixture(scope="session")
def evil() -> str:
    """What must stand on the page as text."""
    return EVIL

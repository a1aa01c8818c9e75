"""Small synthetic worlds: four people, eight phases of one score unit each."""

import dataclasses
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from benchmark.boards.scores import scored_results
from benchmark.campaign import Folders, run_suite
from benchmark.engines.engine import Engine
from benchmark.engines.event import summarise
from benchmark.engines.queue import Queue
from benchmark.engines.server import THREADS
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.plan.expand import expand
from benchmark.plan.suite import Suite
from benchmark.recordings.prepare import prepare
from benchmark.run import Run
from benchmark.store import Store
from benchmark.tracking.tracker import make_tracker
from datamodules.protocol import Protocol

OPTIONS = {"n_subjects": 4, "phase": 60.0}
RECIPES = {"cnn": {"max_epochs": 3, "stride": 30.0}}


@dataclasses.dataclass(frozen=True)
class Workshop:
    """Plans and does runs on synthetic recordings that are made once."""

    cache: Path

    def suite(self, models: Sequence[str], **fields: Any) -> Suite:
        fields = {"options": {"synthetic": OPTIONS}, "recipes": RECIPES, **fields}
        return Suite("small", datasets=("synthetic",), models=tuple(models), **fields)

    def plan(self, models: Sequence[str], **fields: Any) -> tuple[Run, ...]:
        suite = self.suite(models, **fields)
        options = suite.options["synthetic"]
        found = prepare("synthetic", Path("none"), self.cache, options, suite.subjects)
        return expand(suite, {"synthetic": found}).runs

    def places(self, runs: Path, **fields: Any) -> Places:
        return Places(Path("none"), self.cache, runs, **fields)

    def do(self, runs: Sequence[Run], folder: Path) -> Store:
        for run in runs:
            result = execute(run, self.places(folder))
            assert result.status == "done", result.traceback
        return Store(folder)


class InProcess(Engine):
    """An engine without workers: all that a new engine must do."""

    slots = ("cpu",)

    def run_all(self, runs, places, finished, terms):
        torch.set_num_threads(THREADS)
        queue = Queue(runs, places, finished, terms)
        terms.workers(len(self.slots))
        while job := queue.next():
            run, last = job
            terms.watch(0, "cpu", run)
            queue.ended(summarise(execute(run, places, last=last)))
            terms.watch(0, "cpu", None)
        return list(queue.waiting)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Nothing was started."""


@pytest.fixture(scope="session")
def in_process() -> type[Engine]:
    return InProcess


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def finished(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of real runs: three models, two seeds, four folds. Not to be written to."""
    runs = workshop.plan(["cnn", "lda", "majority"], seeds=(0, 1))
    return workshop.do(runs, tmp_path_factory.mktemp("finished"))


@pytest.fixture
def write_suite(tmp_path: Path) -> Callable[..., Path]:
    """Writes a suite file on small synthetic data; keywords replace its keys."""

    def write(**keys: Any) -> Path:
        values: dict[str, Any] = {
            "datasets": ["synthetic"],
            "models": ["majority", "lda", "cnn"],
            "options": {"synthetic": dict(OPTIONS)},
            "recipes": {name: dict(recipe) for name, recipe in RECIPES.items()},
            **keys,
        }
        path = tmp_path / "small.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return write


@pytest.fixture
def store(finished: Store, tmp_path: Path) -> Store:
    """A copy of the finished runs that may be written to."""
    shutil.copytree(finished.root, tmp_path / "runs")
    return Store(tmp_path / "runs")


CURVES = {
    *("train_loss", "train_accuracy", "train_macro_f1"),
    *("val_loss", "val_accuracy", "val_macro_f1"),
}


def some(store):
    """Of each model the first run."""
    return list({result.run.model: result for result in scored_results(store)}.values())


def track(store, results, name="wandb", mode="offline", boards=None, anew=False):
    """Give results to a tracker; what it warned of."""
    said = []
    with make_tracker(name, mode, "small", store, said.append) as tracker:
        for result in results:
            tracker.add(result.run, anew)
        if boards:
            tracker.add_boards(boards)
    return said


def expected_history(store, result):
    """Rows by epoch, from the CSV by a plain loop; the scores on the last of them."""
    rows = defaultdict(dict)
    path = store.folder(result.run) / "metrics.csv"
    for line in pd.read_csv(path).to_dict("records") if path.is_file() else ():
        known = {name: line[name] for name in CURVES if not np.isnan(line[name])}
        rows[int(line["epoch"])].update({"epoch": int(line["epoch"]), **known})
    scores = list(result.scores.values())
    for name in scores[0]:
        rows[max(rows, default=0)][f"test_{name}"] = np.mean([score[name] for score in scores])
    return rows


@pytest.fixture
def tracked() -> SimpleNamespace:
    """What tests of trackers share."""
    return SimpleNamespace(CURVES=CURVES, some=some, track=track, expected_history=expected_history)


@pytest.fixture(scope="session")
def tuned(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A suite of tuned models with its outcome, store and boards; not to be written to."""
    suite = dataclasses.replace(
        workshop.suite(
            ["majority"],
            splits=("subject_k_fold",),
            options={"synthetic": {"n_subjects": 6, "phase": 60.0}},
            recipes={"dnn": {"max_epochs": 1, "stride": 60.0}},
            parts=(
                {"models": ("lda", "majority"), "budget": 7},
                {"models": ("dnn",), "budget": 2},
            ),
        ),
        protocol=Protocol("subject_k_fold", 2),
    )
    root = tmp_path_factory.mktemp("tuned")
    folders = Folders(root / "data", workshop.cache, root / "runs", root / "leaderboards")
    outcome = run_suite(suite, folders, InProcess())
    store = Store(root / "runs")
    return SimpleNamespace(suite=suite, folders=folders, outcome=outcome, store=store)


@pytest.fixture(scope="session")
def ensembled(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A suite with an ensemble of probes that see windows of two lengths; not to be written to."""
    suite = workshop.suite(
        ["majority", "lda", "logistic", "random_forest"],
        splits=("subject_k_fold",),
        options={"synthetic": {"n_subjects": 6, "phase": 60.0, "effect": 0.2}},
        recipes={"random_forest": {"window": 30.0}},
        arguments={"random_forest": {"n_trees": 10}},
        seeds=(1,),
        ensemble=("all",),
        protocol=Protocol("subject_k_fold", 2),
    )
    root = tmp_path_factory.mktemp("ensembled")
    folders = Folders(root / "data", workshop.cache, root / "runs", root / "leaderboards")
    outcome = run_suite(suite, folders, InProcess())
    runs = [run for run in outcome.runs if run.members]
    store = Store(root / "runs")
    return SimpleNamespace(suite=suite, folders=folders, outcome=outcome, store=store, runs=runs)

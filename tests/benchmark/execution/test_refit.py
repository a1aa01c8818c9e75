"""A second training, on training and validation subjects, for the epochs that were chosen."""

import dataclasses
import itertools
from collections import Counter
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import ReduceLROnPlateau

from benchmark.boards.provenance import provenance_head
from benchmark.execution.assemble import make_datamodule, make_model, ready
from benchmark.execution.checkpoint import load_predictor
from benchmark.execution.execute import execute
from benchmark.execution.fit import Course, refit
from benchmark.execution.parallel import spreads
from benchmark.plan.expand import expand
from benchmark.plan.prepared import Prepared
from benchmark.plan.suite import Distillation, SuiteError
from benchmark.probes.catalogue import PROBES
from benchmark.probes.fit import fit_probe
from benchmark.run import Run
from benchmark.store import Store
from datamodules.errors import LeakError
from datamodules.protocol import Protocol
from datamodules.resident import RESIDENT
from lightning_modules import cnn
from lightning_modules.base import EmotionClassifier
from tests.benchmark.made_up import cohorts_of

RECIPE = {
    "max_epochs": 5,
    "window": 30.0,
    "stride": 30.0,
    "lr": 0.01,
    "plateau_patience": 1,
    "plateau_factor": 0.5,
    "patience": None,
    "refit": True,
}


def planned(workshop: Any, model: str = "cnn", fold: int = 0, **recipe: Any) -> Run:
    values = {**(RECIPE if model == "cnn" else {"refit": True}), **recipe}
    return workshop.plan([model], recipes={model: values})[fold]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[tuple[int, int, int]]]:
    """Subject, trial and class of every training window, by the model that took it, in order."""
    windows: dict[int, list[tuple[int, int, int]]] = {}
    models = []  # kept, so that no two have one id

    def loss(self: EmotionClassifier, batch: Any) -> torch.Tensor:
        models.append(self)
        columns = (batch.subject.tolist(), batch.trial.tolist(), batch.target.tolist())
        windows.setdefault(id(self), []).extend(zip(*columns, strict=True))
        return original(self, batch)

    original = EmotionClassifier._training_loss
    monkeypatch.setattr(EmotionClassifier, "_training_loss", loss)
    return windows


@pytest.mark.parametrize("fold", [0, 2])
def test_windows_that_are_seen(workshop, tmp_path, seen, fold):
    run = planned(workshop, fold=fold)
    result = execute(run, workshop.places(tmp_path))
    assert result.status == "done", result.traceback
    members = make_datamodule(run, workshop.places(tmp_path))
    members.setup()
    people = members.fold.members
    first, second = seen.values()
    trained, best = result.epochs
    for windows, names, epochs in (
        (first, people.train, trained),
        (second, people.train + people.val, best),
    ):
        expected = {run.subjects.index(name) for name in names}
        assert {subject for subject, _, _ in windows} == expected
        times = Counter(windows)
        assert set(times.values()) <= {2 * epochs}  # a phase of 60 s has two windows
        assert len(times) == 8 * len(names)
    assert run.subjects.index(people.test[0]) not in {subject for subject, _, _ in first + second}
    assert sum(result.chosen_with) == 16 * len(people.train)
    assert sum(result.trained_on) == 16 * len(people.train + people.val)
    kept = load_predictor(Store(tmp_path).folder(run) / "model.ckpt")
    assert set(kept.subjects) == {*people.train, *people.val}
    assert kept.model.recipe == run.recipe


def test_result_is_that_of_a_loop_by_hand(workshop, tmp_path, monkeypatch):
    """A plain loop of PyTorch, without dropout, on the windows of all who are not tested."""
    monkeypatch.setattr(cnn, "DROPOUT", 0.0)
    run = planned(workshop, lr=1e-3)
    result = execute(run, workshop.places(tmp_path))
    _, best = result.epochs
    curves = pd.read_csv(Store(tmp_path).folder(run) / "metrics.csv").groupby("epoch").first()
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], lr=run.recipe.lr)
    plateau = ReduceLROnPlateau(
        optimizer, factor=0.5, patience=0, threshold=1e-4, threshold_mode="abs"
    )
    rates = []
    for loss in curves["val_loss"]:
        rates.append(optimizer.param_groups[0]["lr"])
        plateau.step(loss)

    everybody = dataclasses.replace(run, protocol=Protocol(validation=False))
    module = ready(everybody, workshop.places(tmp_path))  # sets the seed
    model = make_model(run, module).train()
    windows, test = module.gathered("train"), module.gathered("test")
    optimizer = torch.optim.Adam(model.parameters(), lr=run.recipe.lr, fused=True)
    order = torch.Generator().manual_seed(run.seed)
    for rate in rates[:best]:
        optimizer.param_groups[0]["lr"] = rate
        for rows in torch.randperm(len(windows), generator=order).split(run.recipe.batch_size):
            batch = windows[rows]
            optimizer.zero_grad()
            cross_entropy(model(batch.signals).logits, batch.target).backward()
            optimizer.step()
    with torch.no_grad():
        logits = model.eval()(test[torch.arange(len(test))].signals).logits
    found = Store(tmp_path).predictions(run)["probabilities"]
    np.testing.assert_allclose(found, logits.softmax(dim=1), atol=3e-4)
    plain = dataclasses.replace(run.recipe, refit=False)
    once = dataclasses.replace(run, recipe=plain, changed=())
    execute(once, workshop.places(tmp_path))
    assert not np.allclose(found, Store(tmp_path).predictions(once)["probabilities"], atol=1e-2)


def test_learning_rates_are_those_of_the_first_training(workshop, tmp_path, monkeypatch):
    run = planned(workshop)
    module = ready(run, workshop.places(tmp_path))
    model, rates = make_model(run, module), []
    step = torch.optim.Adam.step

    def watched(self, *values, **named):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *values, **named)

    monkeypatch.setattr(torch.optim.Adam, "step", watched)
    course = Course(5, 3, ((0.3,), (0.2,), (0.1,), (0.05,), (0.01,)))
    module.train_on_validation()
    trainer = refit(model, module, course, "cpu", tmp_path)
    assert trainer.current_epoch == 3
    assert [rate for rate, _ in itertools.groupby(rates)] == [0.3, 0.2, 0.1]


def test_a_loss_that_is_no_number_is_refused(workshop, tmp_path):
    run = planned(workshop, lr=1e-3)
    module = ready(run, workshop.places(tmp_path))
    module.train_on_validation()
    model = make_model(run, module)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="in epoch 2: training diverged"):
        refit(model, module, Course(4, 2, ((1e-3,),) * 4), "cpu", tmp_path)


def test_result_does_not_depend_on_what_ran_before(workshop, tmp_path):
    run = planned(workshop)
    RESIDENT.clear()
    execute(run, workshop.places(tmp_path / "alone"))
    execute(planned(workshop, fold=1), workshop.places(tmp_path / "other"))
    L.seed_everything(77, verbose=False)
    execute(run, workshop.places(tmp_path / "later"))
    first, second = (Store(tmp_path / name).predictions(run) for name in ("alone", "later"))
    np.testing.assert_array_equal(first["probabilities"], second["probabilities"])


@pytest.mark.parametrize("model", ["lda", "prior"])
def test_a_probe_is_fitted_on_both(workshop, tmp_path, model):
    run = planned(workshop, model)
    result = execute(run, workshop.places(tmp_path))
    assert result.status == "done", result.traceback
    everybody = dataclasses.replace(run, protocol=Protocol(validation=False))
    module = ready(everybody, workshop.places(tmp_path))
    by_hand = fit_probe(PROBES[model], module, run.seed)
    found = Store(tmp_path).predictions(run)["probabilities"]
    np.testing.assert_array_equal(found, by_hand.predict(module))
    assert result.trained_on == by_hand.trained_on
    once = workshop.plan([model], recipes={})[0]
    assert sum(execute(once, workshop.places(tmp_path)).trained_on) < sum(result.trained_on)


def test_the_guard_looks_at_what_is_joined(workshop, tmp_path):
    module = ready(planned(workshop), workshop.places(tmp_path))
    segments = {**module.fold.segments, "val": module.fold.segments["test"]}
    module._fold = dataclasses.replace(module.fold, segments=segments)
    with pytest.raises(LeakError, match=r"window\(s\) in train are of subjects that are not in it"):
        module.train_on_validation()


# --- where it is asked for


def test_label_and_id(workshop):
    run = planned(workshop)
    assert "refit=True" in run.recipe_label
    once = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, refit=False))
    assert once.id != run.id
    spelled = workshop.plan(["lda"], recipes={"lda": {"refit": False}})
    assert [one.id for one in spelled] == [one.id for one in workshop.plan(["lda"], recipes={})]


def test_one_device_trains_it(workshop):
    assert not spreads(planned(workshop))
    assert spreads(planned(workshop, refit=False))


def test_a_value_that_is_neither_is_refused(workshop):
    for model in ("cnn", "lda"):
        with pytest.raises(SuiteError, match="expected refit to be true or false, found 'yes'"):
            planned(workshop, model, refit="yes")


READY = {"synthetic": Prepared(("S1", "S2", "S3", "S4"), {}, "d" * 16)}


def reasons(workshop: Any, models: list[str], **fields: Any) -> dict[str, str]:
    plan = expand(workshop.suite(models, **fields), READY)
    assert not any(run.recipe.refit for run in plan.runs if run.model == "cnn")
    return {name.rpartition("/")[2]: why for name, why in plan.not_applicable.items()}


def test_without_validation_subjects_there_is_nothing_to_add(workshop):
    recipes = {"cnn": {"refit": True}, "lda": {"refit": True}}
    protocol = Protocol(validation=False)
    why = reasons(workshop, ["cnn", "lda"], recipes=recipes, protocol=protocol)
    assert set(why) == {"cnn", "lda"}
    assert all(reason.endswith("found validation: false") for reason in why.values())


@pytest.mark.parametrize("flag", ["select_on_test", "report_best_epoch", "report_mean_over_epochs"])
def test_no_flag_may_choose_the_epoch_on_the_test_part(workshop, flag):
    protocol = Protocol(flags=(flag,))
    why = reasons(workshop, ["cnn"], recipes={"cnn": {"refit": True}}, protocol=protocol)
    assert why["cnn"].endswith(f"validation subjects choose, found {flag}")


@pytest.mark.parametrize("refitted", ["cnn", "dnn"])
def test_pairs_are_refused(workshop, refitted):
    pair = Distillation("soft_targets", "cnn", "dnn")
    recipes = {refitted: {"refit": True}}
    suite = dataclasses.replace(
        workshop.suite(["majority"], recipes=recipes), models=(), distillations=(pair,)
    )
    plan = expand(suite, READY)
    assert plan.runs == ()
    (why,) = plan.not_applicable.values()
    assert why.startswith("refit: expected student and teacher to be trained once")


def test_the_head_says_where_data_are_unequal(workshop, tmp_path):
    runs = [planned(workshop, "lda"), workshop.plan(["majority"])[0]]
    results = [execute(run, workshop.places(tmp_path)) for run in runs]
    (cohort,) = cohorts_of(results)
    head = [line for line in provenance_head(cohort.rows) if not line.startswith("input ")]
    assert head == [
        "NOT EQUAL DATA: refitted on training and validation subjects together, the others on "
        "training subjects alone: lda"
    ]
    (alone,) = cohorts_of(results[:1])
    assert not any(line.startswith("NOT EQUAL") for line in provenance_head(alone.rows))

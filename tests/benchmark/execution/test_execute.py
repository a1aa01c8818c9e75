"""One run: the epoch, the scores, the files, and what must not have any influence."""

import dataclasses
import io
import itertools
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from benchmark.execution import cost
from benchmark.execution import execute as train
from benchmark.execution.assemble import make_datamodule, make_model
from benchmark.execution.cost import Efficiency, measure
from benchmark.execution.execute import execute
from benchmark.result import Result
from benchmark.run import Run
from benchmark.scored import scored, with_scores
from benchmark.store import Store
from datamodules.batch import SignalSpec
from datamodules.errors import DatasetCorruptedError
from datamodules.protocol import Protocol
from datamodules.resident import RESIDENT
from datamodules.signals.recording import Recording, Signal
from datamodules.splits import SPLITS, Dealing, Members
from datamodules.synthetic import SyntheticReader
from lightning_modules.base import EmotionClassifier
from lightning_modules.catalogue import MODELS
from lightning_modules.cnn import CNN
from lightning_modules.feature_rows.rows import FeatureRows
from lightning_modules.recipe import Recipe
from lightning_modules.tsception import TSception
from lightning_modules.units import predictions, score_units


def one_run(workshop: Any, model: str = "cnn", **recipe: Any) -> Run:
    recipes = {model: recipe} if recipe else {}
    return workshop.plan([model], recipes=recipes)[0]


def short(workshop: Any, **recipe: Any) -> Run:
    return one_run(workshop, "cnn", **{"max_epochs": 4, "stride": 30.0, **recipe})


def weights(store: Store, run: Run) -> dict[str, Tensor]:
    path = store.folder(run) / "model.ckpt"
    return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]


def members_of(run: Run) -> Members:
    trials: dict[str, list[tuple[str, str]]] = {subject: [] for subject in run.subjects}
    return SPLITS["leave_one_subject_out"].members(trials, Dealing(run.fold, run.seed))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the recordings of some subjects noise."""

    def make(*subjects: str) -> None:
        def read(self: SyntheticReader, subject: str) -> Iterator[Recording]:
            for found in original(self, subject):
                if subject not in subjects:
                    yield found
                    continue
                rng = np.random.default_rng(7)
                signals = {
                    name: dataclasses.replace(
                        signal,
                        samples=rng.normal(50, 9, signal.samples.shape).astype(np.float32),
                    )
                    for name, signal in found.signals.items()
                }
                yield dataclasses.replace(found, signals=signals)

        monkeypatch.setattr(SyntheticReader, "read", read)

    original = SyntheticReader.read
    assert dataclasses.is_dataclass(Signal)
    return make


# --- score units


def test_units_of_one_trial_are_scored_apart(workshop, tmp_path):
    options = {"synthetic": {"n_subjects": 4, "phase": 130.0}}
    run = workshop.plan(["lda"], options=options, recipes={})[0]
    module = make_datamodule(run, workshop.places(tmp_path))
    module.prepare_data()
    module.setup()
    windows = module.windows("test")
    assert len(windows) == 8 * 2
    probabilities = np.tile([[0.9, 0.1], [0.4, 0.6]], (8, 1))  # first and second unit of a trial
    (own,) = score_units(predictions(module.columns("test"), probabilities)).values()
    assert len(own.target) == 16
    assert own.confusion == [[4, 4], [4, 4]]


def test_units_are_the_same_whatever_the_window(workshop, tmp_path):
    def digest(columns) -> str:
        probabilities = np.full((len(columns["label"]), 2), 0.5)
        return score_units(predictions(columns, probabilities))["S1"].digest

    digests = []
    for window in (60.0, 20.0):
        run = one_run(workshop, "cnn", window=window, stride=10.0)
        module = make_datamodule(run, workshop.places(tmp_path))
        module.prepare_data()
        module.setup()
        columns = module.columns("test")
        digests.append(digest(columns))
    assert digests[0] == digests[1]
    assert digest({**columns, "label": 1 - columns["label"]}) != digests[0]


def test_several_test_subjects_are_scored_apart(workshop, tmp_path):
    run = workshop.plan(["lda"], splits=("subject_k_fold",), protocol=Protocol(folds=2))[0]
    result = execute(run, workshop.places(tmp_path))
    assert result.status == "done", result.traceback
    assert len(result.scores) == 2
    assert set(result.n_units.values()) == {8}
    with np.load(Store(tmp_path).folder(run) / "predictions.npz") as file:
        assert set(file["subject"].tolist()) == set(result.scores)
        for subject, counts in result.confusion.items():
            guess = file["probabilities"][file["subject"] == subject].argmax(1)
            truth = file["label"][file["subject"] == subject]
            expected = np.zeros((2, 2), int)
            np.add.at(expected, (truth, guess), 1)
            assert counts == expected.tolist()


# --- the epoch that counts


@pytest.fixture(scope="module")
def trained(workshop: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Run, Result]:
    run = short(workshop, max_epochs=12, patience=None, lr=0.0005)
    store = Store(tmp_path_factory.mktemp("trained"))
    result = execute(run, workshop.places(store.root))
    assert result.status == "done", result.traceback
    return store, run, result


def test_epoch_is_the_first_best_on_validation_subjects(trained):
    store, run, result = trained
    metrics = pd.read_csv(store.folder(run) / "metrics.csv")
    val = metrics.dropna(subset="val_macro_f1").set_index("epoch")["val_macro_f1"]
    assert len(val) == 12
    assert val.nunique() > 1
    assert result.epochs == (12, int(np.argmax(val.to_numpy())) + 1)


def test_checkpoint_loads_without_trust_and_predicts_the_same(trained, workshop):
    store, run, _ = trained
    path = store.folder(run) / "model.ckpt"
    content = torch.load(path, map_location="cpu", weights_only=True)
    assert "optimizer_states" not in content
    model = MODELS[run.model].load_from_checkpoint(path, map_location="cpu", weights_only=True)
    module = make_datamodule(run, workshop.places(store.root))
    trainer = Trainer(
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    again = torch.cat(trainer.predict(model, datamodule=module)).double().numpy()
    with np.load(store.folder(run) / "predictions.npz") as file:
        np.testing.assert_array_equal(file["probabilities"], again)
        np.testing.assert_array_equal(file["subject"], ["S1"] * 8)
        np.testing.assert_array_equal(file["label"], module.windows("test").target)
        np.testing.assert_array_equal(file["start"], module.windows("test").start)
        np.testing.assert_array_equal(file["trial"], np.arange(1, 9))
    columns = predictions(module.columns("test"), again)
    assert with_scores(trained[2], columns).scores == trained[2].scores


def test_weights_are_those_of_the_best_epoch(trained, workshop, tmp_path):
    store, run, result = trained
    best = result.epochs[1]
    stopped = dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, max_epochs=best))
    assert execute(stopped, workshop.places(tmp_path)).epochs == (best, best)
    assert same(weights(store, run), weights(Store(tmp_path), stopped))


def test_patience_ends_training(workshop, tmp_path):
    run = short(workshop, max_epochs=40, patience=1, lr=1e-9)
    result = execute(run, workshop.places(tmp_path))
    assert result.status == "done", result.traceback
    assert result.epochs == (2, 1)


# --- what must not have any influence


@pytest.mark.parametrize("model", ["cnn", "attention_lrcn"])
def test_test_subject_has_no_influence_on_the_weights(workshop, tmp_path, noisy, model):
    recipe = {"max_epochs": 2, "stride": 60.0}
    run = one_run(workshop, model, **recipe)
    assert members_of(run).test == ("S1",)
    clean = workshop.do([run], tmp_path / "clean")
    noisy("S1")
    other = dataclasses.replace(workshop, cache=tmp_path / "noisy cache")
    changed = one_run(other, model, **recipe)
    assert (changed.data, changed.samples != run.samples) == (run.data, True)
    disturbed = other.do([changed], tmp_path / "disturbed")
    assert same(weights(clean, run), weights(disturbed, changed))
    before, after = clean.predictions(run), disturbed.predictions(changed)
    assert not np.array_equal(before["probabilities"], after["probabilities"])


def test_training_subject_has_influence(workshop, tmp_path, noisy):
    """Without it the test above could pass for the wrong reason."""
    run = short(workshop)
    (trained, *_) = members_of(run).train
    clean = workshop.do([run], tmp_path / "clean")
    noisy(trained)
    other = dataclasses.replace(workshop, cache=tmp_path / "noisy cache")
    changed = short(other)
    disturbed = other.do([changed], tmp_path / "disturbed")
    assert not same(weights(clean, run), weights(disturbed, changed))


def test_same_run_twice_is_the_same(workshop, tmp_path):
    run = short(workshop)
    one = workshop.do([run], tmp_path / "one")
    torch.manual_seed(99)
    np.random.default_rng(99).random(5)
    other = workshop.do([run], tmp_path / "other")
    assert same(weights(one, run), weights(other, run))
    first, second = one.predictions(run), other.predictions(run)
    assert list(first) == list(second)
    for name, column in first.items():
        np.testing.assert_array_equal(second[name], column)
    (a,), (b,) = list(one.results()), list(other.results())
    logs = ("log.txt", "metrics.csv")
    assert {k: v for k, v in a.files.items() if k not in logs} == {
        k: v for k, v in b.files.items() if k not in logs
    }
    measured = {"seconds": {}, "peak_memory": 0, "commit": "", "files": {}, "ended": 0.0}
    assert dataclasses.replace(a, **measured) == dataclasses.replace(b, **measured)


def test_order_of_runs_in_a_process_does_not_matter(workshop, tmp_path):
    runs = workshop.plan(["cnn", "lda"], recipes={"cnn": {"max_epochs": 2, "stride": 30.0}})[::3]
    one = workshop.do(runs, tmp_path / "one")
    other = workshop.do(runs[::-1], tmp_path / "other")
    for run in runs:
        np.testing.assert_array_equal(
            one.predictions(run)["probabilities"], other.predictions(run)["probabilities"]
        )


def test_seed_changes_the_weights(workshop, tmp_path):
    run = short(workshop)
    other = dataclasses.replace(run, seed=1)
    store = workshop.do([run, other], tmp_path)
    assert not same(weights(store, run), weights(store, other))


# --- what is recorded


def test_result_of_a_network(trained, workshop):
    store, run, result = trained
    module = make_datamodule(run, workshop.places(store.root))
    model = make_model(run, module)
    assert result.parameters == sum(p.numel() for p in model.parameters())
    assert set(result.seconds) == {"prepare", "train", "predict"}
    assert min(result.seconds.values()) >= 0
    assert result.peak_memory > 1e7
    assert result.versions["torch"] == torch.__version__
    assert result.device.startswith("cpu")
    assert dataclasses.replace(scored(store, run), files={}) == result
    assert 0 < time.time() - result.ended < 3600
    assert result.raw
    assert result.error == result.traceback == ""


def test_cost_of_a_network_is_that_of_its_model_before_training(trained, workshop):
    store, run, result = trained
    module = make_datamodule(run, workshop.places(store.root))
    expected = measure(make_model(run, module), module.inputs, "cpu")
    assert set(result.efficiency) == {"macs", "latency_ms", "cpu_latency_ms"}
    assert result.efficiency["macs"] == expected.macs > 0
    assert result.efficiency["latency_ms"] == result.efficiency["cpu_latency_ms"] > 0
    assert result.parameters == expected.parameters


def test_probe_has_no_cost(workshop, tmp_path):
    assert execute(one_run(workshop, "majority"), workshop.places(tmp_path)).efficiency == {}


def test_cost_is_measured_once_for_runs_of_one_architecture_and_input(
    workshop, tmp_path, monkeypatch
):
    measured: list[tuple[str, tuple[str, ...]]] = []

    def count(model: EmotionClassifier, inputs: Any, device: str) -> Efficiency:
        measured.append((type(model).__name__, tuple(inputs)))
        return Efficiency(len(measured), 10, 0.12345, 0.5)

    monkeypatch.setattr(cost, "measure", count)
    RESIDENT.clear()
    recipe = {"max_epochs": 1, "stride": 60.0}
    recipes = {"cnn": recipe, "dnn": recipe}
    short_window = {"cnn": {**recipe, "window": 30.0}}
    runs = workshop.plan(["cnn", "dnn"], recipes=recipes, signals=("eda",))
    cnn, again, dnn = runs[0], runs[1], runs[4]
    both = workshop.plan(["cnn"], recipes=recipes, signals=("eda", "temp"))[0]
    shorter = workshop.plan(["cnn"], recipes=short_window, signals=("eda",))[0]
    results = [execute(run, workshop.places(tmp_path)) for run in (cnn, again, dnn, both, shorter)]
    assert [result.error for result in results] == [""] * 5
    assert [result.parameters for result in results] == [1, 1, 2, 3, 4]
    assert measured == [
        ("CNN", ("eda",)),
        ("DNN", ("eda",)),
        ("CNN", ("eda", "temp")),
        ("CNN", ("eda",)),
    ]
    expected = {"macs": 10, "latency_ms": 0.1235, "cpu_latency_ms": 0.5}
    assert [result.efficiency for result in results] == [expected] * 5
    RESIDENT.clear()


def test_variants_of_a_model_are_measured_apart(monkeypatch, workshop, tmp_path):
    counted = itertools.count()
    monkeypatch.setattr(cost, "measure", lambda *_: Efficiency(next(counted), 1, 1.0, 1.0))
    RESIDENT.clear()
    run = one_run(workshop)
    module = make_datamodule(run, workshop.places(tmp_path))
    module.prepare_data()
    module.setup()
    model = make_model(run, module)
    other = dataclasses.replace(run, arguments=(("layers", "study_1"),))
    measured = [cost.cost_of(r, model, module.inputs, "cpu") for r in (run, other, run)]
    assert [efficiency.parameters for efficiency in measured] == [0, 1, 0]
    RESIDENT.clear()


def test_a_model_is_measured_for_other_electrodes_again(workshop):
    """A network that takes mirrored pairs is smaller where there are fewer of them."""
    RESIDENT.clear()
    run, sizes = dataclasses.replace(one_run(workshop), model="tsception"), []
    for channels in (("F3", "F4", "C3", "C4"), ("F3", "F4", "Fz", "Cz")):
        inputs = {"eeg": SignalSpec(4, 128, 128.0, channels)}
        sizes.append(cost.cost_of(run, TSception(inputs, 2), inputs, "cpu").parameters)
    assert sizes[0] - sizes[1] == 15 * 15 * 3
    RESIDENT.clear()


def test_recipe_of_the_run_is_what_is_trained(workshop, tmp_path):
    run = short(workshop, lr=0.25, weight_decay=0.5, batch_size=9, optimizer="adam")
    module = make_datamodule(run, workshop.places(tmp_path))
    model = make_model(run, module)
    assert isinstance(model, CNN)
    assert isinstance(model.recipe, Recipe)
    optimizer: Any = model.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.param_groups[0]["lr"] == 0.25
    assert optimizer.param_groups[0]["weight_decay"] == 0.5
    assert module.loading.batch_size == 9
    assert module.windowing.stride == 30.0


def test_bfloat16_is_another_run_and_close_to_the_usual_one(workshop, tmp_path, captured_dtypes):
    results, predictions, dtypes = [], [], []
    for precision in ("32-true", "bf16-mixed"):
        run = short(workshop, precision=precision)
        captured_dtypes.clear()
        results.append(execute(run, workshop.places(tmp_path)))
        assert results[-1].status == "done", results[-1].traceback
        store = Store(tmp_path)
        with np.load(store.folder(run) / "predictions.npz") as file:
            predictions.append(file["probabilities"])
        dtypes.append(set(captured_dtypes))
        assert {value.dtype for value in weights(store, run).values()} <= {
            torch.float32,
            torch.int64,
        }
    assert dtypes == [{torch.float32}, {torch.bfloat16}]  # of training, choosing and testing
    apart = np.abs(predictions[0] - predictions[1]).max()
    assert 0 < apart < 0.1
    assert np.allclose(predictions[1].sum(axis=1), 1, atol=1e-6)  # scored in float32


@pytest.fixture
def captured_dtypes(monkeypatch):
    """What the CNN's last layer answers in."""
    found: list[torch.dtype] = []
    real = torch.nn.functional.linear

    def watched(*words: Any, **names: Any) -> Tensor:
        answer = real(*words, **names)
        found.append(answer.dtype)
        return answer

    monkeypatch.setattr(torch.nn.functional, "linear", watched)
    return found


@pytest.mark.parametrize("model", ["dnn", "cnn", "lstm", "cnn_lstm"])
def test_features_are_computed_once_and_change_nothing_but_rounding(
    workshop, tmp_path, monkeypatch, model
):
    real, rows = FeatureRows.measure, []

    def watched(self: FeatureRows, signals: Any) -> Any:
        rows.append(len(next(iter(signals.values()))))
        return real(self, signals)

    monkeypatch.setattr(FeatureRows, "measure", watched)
    run = one_run(workshop, model, max_epochs=4)
    found, windows = [], []
    for limit in (0, 2**30):
        RESIDENT.clear()
        monkeypatch.setattr(RESIDENT.features, "limit", limit)
        rows.clear()
        assert execute(run, workshop.places(tmp_path / str(len(found)))).status == "done"
        with np.load(Store(tmp_path / str(len(found))).folder(run) / "predictions.npz") as file:
            found.append(file["probabilities"])
        windows.append(sum(rows))
    module = make_datamodule(run, workshop.places(tmp_path))
    module.prepare_data()
    module.setup()
    fitted = len(module.fold.rows["train"]) + len(module.fold.rows["val"])
    assert windows[0] - windows[1] >= 3 * (fitted - 1)  # a last batch of one is left out
    np.testing.assert_allclose(*found, atol=0.01, rtol=0)


# --- what goes wrong


def test_run_that_raises_is_a_failed_result(workshop, tmp_path, monkeypatch):
    def broken(self: EmotionClassifier, batch: Any, batch_idx: int) -> Tensor:
        raise RuntimeError("the seventh seal")

    monkeypatch.setattr(CNN, "training_step", broken)
    run = short(workshop)
    result = execute(run, workshop.places(tmp_path))
    assert result.status == "failed"
    assert result.error == "RuntimeError: the seventh seal"
    assert 'raise RuntimeError("the seventh seal")' in result.traceback
    assert dataclasses.replace(scored(Store(tmp_path), run), files={}) == result
    files = {path.name for path in Store(tmp_path).folder(run).iterdir()}
    assert {"run.json", "result.json", "log.txt"} <= files
    assert "predictions.npz" not in files
    assert "the seventh seal" in (Store(tmp_path).folder(run) / "log.txt").read_text()
    monkeypatch.undo()
    assert execute(run, workshop.places(tmp_path)).status == "done"
    assert Store(tmp_path).status(run) == "done"


def test_changed_data_is_a_failed_result(workshop, tmp_path):
    run = dataclasses.replace(short(workshop), data="0" * 16)
    result = execute(run, workshop.places(tmp_path))
    assert result.status == "failed"
    assert result.error.startswith(DatasetCorruptedError.__name__)
    assert "0" * 16 in result.error
    assert short(workshop).data in result.error
    assert "changed" in result.error


def test_diverging_training_says_so(workshop, tmp_path):
    run = short(workshop, lr=1e30)
    result = execute(run, workshop.places(tmp_path))
    assert result.status == "failed"
    assert "finite loss" in result.error
    assert "lower learning rate" in result.error
    assert result.scores == {}


def test_log_of_one_run_is_not_in_another(workshop, tmp_path, monkeypatch):
    run = short(workshop, max_epochs=1)
    execute(dataclasses.replace(run, data="0" * 16), workshop.places(tmp_path))
    execute(run, workshop.places(tmp_path))
    log = Store(tmp_path).folder(run) / "log.txt"
    assert not log.is_file() or "expected the recordings" not in log.read_text()


def test_checkpoint_holds_no_path(trained, workshop):
    store, run, _ = trained
    raw = (store.folder(run) / "model.ckpt").read_bytes()
    text = b"".join(
        zipfile.ZipFile(io.BytesIO(raw)).read(name)
        for name in zipfile.ZipFile(io.BytesIO(raw)).namelist()
    )
    for folder in (store.root, workshop.cache, Path.home(), Path(train.__file__).parent):
        assert str(folder).encode() not in text

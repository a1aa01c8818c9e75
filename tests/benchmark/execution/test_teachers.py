"""Distillation of real runs: what a teacher sees, who may teach, and what is left of it."""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import Tensor

from benchmark.cli.main import main
from benchmark.execution import assemble
from benchmark.execution.assemble import make_datamodule, make_model
from benchmark.execution.checkpoint import load_predictor
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.execution.teachers import (
    SHARED,
    check_teacher,
    make_distiller,
    rescaling,
    taught_signals,
)
from benchmark.plan.expand import expand
from benchmark.plan.suite import Distillation, Suite
from benchmark.recordings.prepare import prepare
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import Store
from datamodules.batch import LENGTH, SignalSpec
from datamodules.catalogue import DATASETS
from datamodules.datamodule import EmotionDataModule
from datamodules.dataset import Dataset
from datamodules.errors import DatasetCorruptedError, LeakError
from datamodules.protocol import Protocol
from datamodules.scaling import Scaling
from datamodules.signals.recording import Recording, Segment, Signal
from datamodules.splits import Members
from datamodules.stored import as_recording
from datamodules.synthetic import SyntheticReader
from datamodules.tasks import ConditionTask
from lightning_modules.distillation.base import Distiller

BOARD = "synthetic_phase_60__stress__leave_one_subject_out"
OPTIONS = {"synthetic": {"n_subjects": 4, "phase": 60.0}}
RECIPES = {"dnn": {"max_epochs": 1, "scaling": "none"}, "lstm": {"max_epochs": 1}}
SIGNALS = {"student_signals": ["eda"], "teacher_signals": ["temp", "bvp"]}
PAIR = {"distiller": "soft_targets", "student": "dnn", "teacher": "lstm", **SIGNALS}
ITSELF = {"student": "dnn", "student_signals": ["eda"]}
PAIRS = [
    {**PAIR, "out_of_fold": 2},
    PAIR,
    {"distiller": "label_smoothing", **ITSELF},
    {"distiller": "self_distillation", **ITSELF},
]


def distillation(**keys: Any) -> Distillation:
    return Distillation(**{k: tuple(v) if isinstance(v, list) else v for k, v in keys.items()})


def taught_by(workshop: Any, recipes: Any = RECIPES, **keys: Any) -> Run:
    """The taught run of the first fold."""
    runs = workshop.plan(
        [], options=OPTIONS, recipes=recipes, distillations=(distillation(**keys),)
    )
    return next(run for run in runs if run.distiller)


def ready(run: Run, places: Places, signals: Any = None) -> EmotionDataModule:
    module = make_datamodule(run, places, signals)
    module.prepare_data()
    module.setup()
    return module


def distiller_of(run: Run, places: Places) -> tuple[Distiller, EmotionDataModule]:
    both = ready(run, places, taught_signals(run))
    model = make_model(run, ready(run, places))
    return make_distiller(run, model, both, Store(places.runs)), both


def weights(store: Store, run: Run) -> dict[str, Tensor]:
    path = store.folder(run) / "model.ckpt"
    return torch.load(path, map_location="cpu", weights_only=True)["state_dict"]


# --- from the suite to the board


@dataclass(frozen=True)
class Done:
    """A small suite that is done."""

    folder: Path
    words: list[str]

    @property
    def store(self) -> Store:
        return Store(self.folder / "runs")

    @property
    def boards(self) -> Path:
        return self.folder / "leaderboards"

    def run(self, name: str, fold: int = 0, n_teachers: int = 1, without: int = 0) -> Run:
        (found,) = [
            result.run
            for result in self.store.results()
            if (result.run.name, result.run.fold) == (name, fold)
            and len(result.run.teachers) == n_teachers
            and len(result.run.without) == without
        ]
        return found


@pytest.fixture(scope="module")
def suite_done(workshop: Any, tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("distillation")
    path = folder / "small.yaml"
    keys = {"datasets": ["synthetic"], "models": [], "options": OPTIONS, "recipes": RECIPES}
    path.write_text(yaml.safe_dump({**keys, "distillations": PAIRS}))
    words = ["run", str(path), "--cache", str(workshop.cache), "--runs", str(folder / "runs")]
    words += ["--leaderboards", str(folder / "leaderboards"), "--devices", "cpu"]
    assert main([*words, "--jobs-per-device", "2"]) == 0
    return Done(folder, words)


@pytest.fixture
def copied(suite_done: Done, tmp_path: Path) -> Done:
    """The same in a folder that may be spoilt."""
    shutil.copytree(suite_done.folder / "runs", tmp_path / "runs")
    return dataclasses.replace(suite_done, folder=tmp_path)


def test_all_is_done_once(suite_done):
    results = list(suite_done.store.results())
    assert {result.status for result in results} == {"done"}
    # a fold: the student alone, two out-of-fold teachers, one of all, four taught ones
    assert len(results) == 4 * (1 + 2 + 1 + 4)


def test_distillation_csv_follows_from_the_runs(suite_done):
    table = pd.read_csv(suite_done.boards / "distillation.csv")
    names = list(zip(table["distiller"], table["out_of_fold"], table["control"], strict=True))
    assert sorted(names) == [
        ("label_smoothing", 0, True),
        ("self_distillation", 0, True),
        ("soft_targets", 0, False),
        ("soft_targets", 2, False),
    ]
    assert set(table["board"]) == {BOARD}
    assert set(table["n_missing"]) == {0}
    assert set(table["n_subjects"]) == {4}
    runs = pd.read_csv(suite_done.boards / "runs.csv").fillna({"without": ""})
    runs["several"] = runs["recipe"].str.contains("out of fold")
    f1 = runs.pivot_table(index=["model", "several", "without"], columns="fold", values="macro_f1")
    alone = f1.loc["dnn", False, ""].to_numpy()
    for line in table.itertuples():
        of = {"soft_targets": "-of_lstm", "self_distillation": "-of_dnn"}.get(line.distiller, "")
        name = f"dnn-by_{line.distiller}{of}"
        taught = f1.loc[name, bool(line.out_of_fold), ""].to_numpy()
        assert line.gain == pytest.approx((taught - alone).mean(), abs=2e-4)
        assert line.alone == pytest.approx(alone.mean(), abs=2e-4)
        assert pd.isna(line.p_holm) == line.control
    whole = f1.loc["lstm", False, ""].mean()
    parts = runs[runs["without"] != ""].groupby("subject")["macro_f1"].mean().mean()
    by_fold = table[table["teacher"] == "lstm"].set_index("out_of_fold")["teacher_macro_f1"]
    assert by_fold[0] == pytest.approx(whole, abs=2e-4)
    assert by_fold[2] == pytest.approx(parts, abs=2e-4)


def test_board_has_a_row_a_student_and_none_of_out_of_fold_teachers(suite_done):
    table = pd.read_csv(suite_done.boards / f"{BOARD}.csv", comment="#")
    assert sorted(table["model"]) == [
        "dnn",
        "dnn-by_label_smoothing",
        "dnn-by_self_distillation-of_dnn",
        "dnn-by_soft_targets-of_lstm",
        "dnn-by_soft_targets-of_lstm",
        "lstm",
    ]
    assert set(table["n_runs"]) == {4}
    assert set(table["complete"]) == {True}
    recipes = table[table["model"] == "dnn-by_soft_targets-of_lstm"]["recipe"]
    assert recipes.str.endswith("2 out of fold").sum() == 1
    assert recipes.str.contains("teacher bvp\\+temp").all()


def test_second_call_computes_nothing_and_boards_come_back(suite_done, capsys):
    before = {path.name: path.read_bytes() for path in suite_done.boards.iterdir()}
    results = {p: p.stat().st_mtime_ns for p in suite_done.store.root.rglob("result.json")}
    assert main(suite_done.words) == 0
    assert "nothing to compute" in capsys.readouterr().out
    assert {p: p.stat().st_mtime_ns for p in results} == results
    assert {path.name: path.read_bytes() for path in suite_done.boards.iterdir()} == before
    shutil.rmtree(suite_done.boards)
    assert main(["leaderboard", *suite_done.words[4:8]]) == 0
    assert {path.name: path.read_bytes() for path in suite_done.boards.iterdir()} == before


# --- what is left of the teacher afterwards: nothing


@pytest.mark.parametrize("n_teachers", [1, 2])
def test_checkpoint_asks_for_the_students_signals_only(suite_done, n_teachers):
    run = suite_done.run("dnn-by_soft_targets-of_lstm", n_teachers=n_teachers)
    predictor = load_predictor(suite_done.store.folder(run) / "model.ckpt")
    assert set(predictor.inputs) == {"eda"}
    assert set(predictor.subjects) < set(run.subjects) - {"S1"}
    assert sum(p.numel() for p in predictor.model.parameters()) == sum(
        weight.numel()
        for name, weight in weights(suite_done.store, suite_done.run("dnn", n_teachers=0)).items()
        if "running" not in name and "num_batches" not in name
    )


def test_teachers_signals_are_not_read_after_training(suite_done, workshop):
    run = suite_done.run("dnn-by_soft_targets-of_lstm")
    predictor = load_predictor(suite_done.store.folder(run) / "model.ckpt")
    expected = suite_done.store.predictions(run)
    names = taught_signals(run)
    module = ready(run, workshop.places(suite_done.folder), names)
    (stored,) = [s for s in module.fold.archive.subjects if s.subject == "S1"]
    signals = {
        name: dataclasses.replace(signal, samples=np.array(signal.samples))
        for name, signal in as_recording(stored, 0, names).signals.items()
    }
    rng = np.random.default_rng(0)

    def noise(name: str) -> Signal:
        samples = rng.normal(20, 5, signals[name].samples.shape).astype(np.float32)
        return dataclasses.replace(signals[name], samples=samples)

    def predicted(**changed: Signal) -> np.ndarray:
        starts, found, _ = predictor.predict({**signals, **changed}, stride=20.0)
        return found[np.isin(starts, expected["start"])]

    others = {name: noise(name) for name in signals if name != "eda"}
    assert {"temp", "bvp"} <= set(others)
    clean = predicted()
    assert len(clean) == len(expected["start"])
    np.testing.assert_allclose(clean, expected["probabilities"], atol=1e-6)
    np.testing.assert_array_equal(predicted(**others), clean)
    assert np.abs(predicted(eda=noise("eda")) - clean).max() > 1e-3


def test_other_samples_than_a_teacher_was_planned_on_are_refused(suite_done, workshop):
    run = suite_done.run("dnn-by_soft_targets-of_lstm")
    places = workshop.places(suite_done.folder)
    (teacher,) = run.teachers
    other = dataclasses.replace(run, teachers=(dataclasses.replace(teacher, samples="0" * 16),))
    module = ready(run, places)
    with pytest.raises(DatasetCorruptedError, match=f"planned on .* {'0' * 16}"):
        assemble.taught(other, make_model(run, module), module, places)


def test_run_is_the_same_if_the_teachers_signals_of_the_tested_are_noise(
    suite_done, workshop, tmp_path, monkeypatch
):
    original = SyntheticReader.read

    def read(self: SyntheticReader, subject: str) -> Iterator[Recording]:
        for found in original(self, subject):
            if subject != "S1":
                yield found
                continue
            rng = np.random.default_rng(1)
            signals = {
                name: dataclasses.replace(
                    signal, samples=rng.normal(9, 3, signal.samples.shape).astype(np.float32)
                )
                if name in ("temp", "bvp")
                else signal
                for name, signal in found.signals.items()
            }
            yield dataclasses.replace(found, signals=signals)

    monkeypatch.setattr(SyntheticReader, "read", read)
    noisy = dataclasses.replace(workshop, cache=tmp_path / "cache")
    again = taught_by(noisy, **PAIR)
    clean = suite_done.run("dnn-by_soft_targets-of_lstm")
    assert again.samples == clean.samples
    assert again.teachers[0].samples != clean.teachers[0].samples
    store = noisy.do([*again.teachers, again], tmp_path / "runs")
    np.testing.assert_array_equal(
        store.predictions(again)["probabilities"],
        suite_done.store.predictions(clean)["probabilities"],
    )
    assert not np.array_equal(
        store.predictions(again.teachers[0])["probabilities"],
        suite_done.store.predictions(clean.teachers[0])["probabilities"],
    )


def test_distiller_that_adds_nothing_changes_nothing(suite_done, workshop, tmp_path):
    asked = taught_by(workshop, distiller="label_smoothing", arguments={"smoothing": 0.0}, **ITSELF)
    alone = suite_done.run("dnn", n_teachers=0)
    assert asked.alone == alone.id
    store = workshop.do([asked], tmp_path)
    expected, found = weights(suite_done.store, alone), weights(store, asked)
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    smoothed = suite_done.run("dnn-by_label_smoothing", n_teachers=0)
    other = weights(suite_done.store, smoothed)
    assert not all(torch.equal(other[name], expected[name]) for name in expected)


# --- what a teacher sees


EYE = SignalSpec(3, 10, 2.0)
MEAN, STD = torch.tensor([[5.0], [-2.0], [0.0]]), torch.tensor([[2.0], [0.5], [1.0]])
OWN_MEAN, OWN_STD = torch.tensor([[1.0], [-1.0], [7.0]]), torch.tensor([[4.0], [3.0], [0.1]])


@pytest.mark.parametrize("student", ["none", "standard"])
@pytest.mark.parametrize("teacher", ["none", "standard"])
def test_rescaling_in_closed_form(student, teacher):
    raw = torch.randn(4, 3, 10, generator=torch.Generator().manual_seed(0))
    own = Scaling({"eye": OWN_MEAN}, {"eye": OWN_STD}) if student == "standard" else None
    known = ({"eye": MEAN}, {"eye": STD}) if teacher == "standard" else ({}, {})
    inputs = {"eye": EYE, LENGTH: SignalSpec(1, 1, 1.0)}
    loaded: Any = SimpleNamespace(inputs=inputs, mean=known[0], std=known[1])
    module: Any = SimpleNamespace(fold=SimpleNamespace(scaling=own))
    shift, scale = rescaling(loaded, module)
    given = (raw - OWN_MEAN) / OWN_STD if own else raw
    wanted = (raw - MEAN) / STD if teacher == "standard" else raw
    if student == teacher == "none":
        assert shift == scale == {}
        return
    assert set(shift) == set(scale) == {"eye"}
    torch.testing.assert_close(given * scale["eye"] + shift["eye"], wanted, atol=1e-5, rtol=1e-5)


def test_nothing_is_rescaled_where_both_take_signals_alike():
    loaded: Any = SimpleNamespace(inputs={"eye": EYE}, mean={"eye": MEAN}, std={"eye": STD})
    scaling = Scaling({"eye": MEAN.clone()}, {"eye": STD.clone()})
    module: Any = SimpleNamespace(fold=SimpleNamespace(scaling=scaling))
    assert rescaling(loaded, module) == ({}, {})


@pytest.mark.parametrize("student", ["none", "standard"])
@pytest.mark.parametrize("teacher", ["none", "standard"])
def test_teacher_sees_and_says_what_it_did_alone(workshop, tmp_path, student, teacher):
    recipes = {name: {"max_epochs": 1} for name in ("dnn", "lstm")}
    recipes["dnn"]["scaling"], recipes["lstm"]["scaling"] = student, teacher
    run = taught_by(workshop, recipes, **PAIR)
    (asked,) = run.teachers
    store, places = workshop.do([asked], tmp_path), workshop.places(tmp_path)
    distiller, both = distiller_of(run, places)
    (built,) = distiller.teachers
    assert set(built.scale) == (set() if student == teacher else {"temp", "bvp"})

    tested = both.gathered("test")[torch.arange(len(both.windows("test")))]
    said = built(tested.signals).logits.softmax(dim=1).detach().numpy()
    expected = store.predictions(asked)
    np.testing.assert_array_equal(both.windows("test").start, expected["start"])
    np.testing.assert_allclose(said, expected["probabilities"], atol=1e-5)

    seen: dict[str, Tensor] = {}
    built.model.register_forward_pre_hook(lambda _, given: seen.update(given[0]))
    rows = torch.arange(len(both.windows("train")))
    built(both.gathered("train")[rows].signals)
    own = ready(asked, places).gathered("train")[rows]
    assert set(seen) == set(own.signals) == {"temp", "bvp"}
    for name, window in own.signals.items():
        torch.testing.assert_close(seen[name], window, atol=1e-3, rtol=1e-4)


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> list[Distiller]:
    """Distillers of the runs of a test."""
    made: list[Distiller] = []

    def make(*arguments: Any) -> Distiller:
        made.append(original(*arguments))
        return made[-1]

    original = make_distiller
    monkeypatch.setattr(assemble, "make_distiller", make)
    return made


def test_out_of_fold_teachers_answer_for_those_they_have_not_seen(copied, workshop, captured):
    run = copied.run("dnn-by_soft_targets-of_lstm", n_teachers=2)
    places = workshop.places(copied.store.root)
    assert execute(run, places).status == "done"
    (distiller,) = captured
    raw = ready(run, places, taught_signals(run))  # the student takes samples as recorded
    assert raw.fold.scaling is None
    windows = raw.windows("train")
    batch = raw.gathered("train")[torch.arange(len(windows))]
    loaded = [load_predictor(copied.store.folder(t) / "model.ckpt") for t in run.teachers]
    assert {subject for teacher in loaded for subject in teacher.subjects} == set(
        raw.fold.members.train
    )
    assert len(windows) == len(distiller.owner) == len(distiller.teacher_logits)
    for row, subject in enumerate(windows.subject):
        teacher = loaded[int(distiller.owner[row])]
        assert raw.subjects[subject] not in teacher.subjects
        assert raw.subjects[subject] in raw.fold.members.train
        given = {
            name: (batch.signals[name][row : row + 1] - teacher.mean[name]) / teacher.std[name]
            for name in teacher.inputs
        }
        expected = teacher.model(given).logits[0]
        torch.testing.assert_close(distiller.teacher_logits[row], expected, atol=1e-4, rtol=1e-4)
    assert set(distiller.owner.tolist()) == {0, 1}


def test_teacher_is_not_trained_and_not_the_one_of_another_fold(copied, workshop, captured):
    run = copied.run("dnn-by_soft_targets-of_lstm", fold=2)
    before = weights(copied.store, run.teachers[0])
    execute(run, workshop.places(copied.store.root))
    (distiller,) = captured
    after = distiller.teachers[0].model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert not distiller.teachers[0].model.training


def test_signals_of_all_who_take_part_once_and_the_students_first():
    run = Run("d", "t", Protocol(), 0, 0, "dnn", ("temp", "eda"), ("S1",), "x")
    assert taught_signals(run) == ("temp", "eda")
    teachers = tuple(
        dataclasses.replace(run, model="lstm", signals=s) for s in (("bvp", "eda"), ("eda", "acc"))
    )
    taught = dataclasses.replace(run, teachers=teachers)
    assert taught_signals(taught) == ("temp", "eda", "bvp", "acc")


# --- who may not teach


def refused(run: Run, places: Places) -> str:
    result = execute(run, places)
    assert result.status == "failed"
    assert result.scores == {}
    return result.error


def test_unfinished_teacher_is_a_failed_run(workshop, tmp_path):
    run = taught_by(workshop, **PAIR)
    error = refused(run, workshop.places(tmp_path))
    for part in ("BenchmarkError: expected a finished teacher", "lstm fold 0 seed 0", "not run"):
        assert part in error
    Store(tmp_path).save(Result(run.teachers[0], "failed", error="ValueError: no"))
    assert "(failed)" in refused(run, workshop.places(tmp_path))


def test_teacher_without_its_checkpoint_is_a_failed_run(copied, workshop):
    run = copied.run("dnn-by_soft_targets-of_lstm")
    (copied.store.folder(run.teachers[0]) / "model.ckpt").unlink()
    again = dataclasses.replace(run, distillation=(("temperature", 3.0),))
    error = refused(again, workshop.places(copied.store.root))
    assert "expected the model.ckpt of a finished run" in error


def test_teacher_of_another_fold_is_refused(copied, workshop):
    run = copied.run("dnn-by_soft_targets-of_lstm")
    other = copied.run("lstm", fold=1, n_teachers=0)
    asked = dataclasses.replace(run, teachers=(other,))
    error = refused(asked, workshop.places(copied.store.root))
    assert error == "LeakError: leak: a teacher of another fold: expected 0, found 1."


def test_teacher_that_says_it_has_seen_the_tested_is_refused(copied, workshop):
    run = copied.run("dnn-by_soft_targets-of_lstm")
    place = copied.store.folder(run.teachers[0]) / "model.ckpt"
    others = [copied.store.folder(copied.run("lstm", f, 0)) / "model.ckpt" for f in (1, 2, 3)]
    leaky = next(path for path in others if "S1" in load_predictor(path).subjects)
    shutil.copyfile(leaky, place)
    result = json.loads(place.with_name("result.json").read_text())
    result["files"]["model.ckpt"] = hashlib.sha256(place.read_bytes()).hexdigest()
    place.with_name("result.json").write_text(json.dumps(result))
    again = dataclasses.replace(run, distillation=(("temperature", 3.0),))
    error = refused(again, workshop.places(copied.store.root))
    assert error == "LeakError: leak: the teacher was trained on ['S1'], which this run tests."


OTHERWISE = {
    "dataset": "wesad",
    "options": (("effect", 0.0),),
    "task": "affect",
    "fold": 1,
    "seed": 1,
    "subjects": ("S1", "S2"),
    "data": "y",
    "brought": (("bvp", 32.0, ""),),
}
PROTOCOLS = {
    "split": "subject_k_fold",
    "folds": 3,
    "rule": "median",
    "padding": "zero",
    "mask": True,
    "test_share": 0.4,
    "validation": False,
    "score_windows": True,
    "flags": ("scale_on_all",),
    "version": 99,
    "stimulus_folds": 3,
    "partitions": 2,
    "corruption": "eda_detached",
    "calibration": "whole",
}
RUN = Run("synthetic", "stress", Protocol(), 0, 0, "dnn", ("eda",), ("S1",), "x")


def with_members(members: Members) -> Any:
    """A datamodule of which only the members matter."""
    return SimpleNamespace(fold=SimpleNamespace(members=members))


def under(run: Run, **values: Any) -> Run:
    """The run under a protocol with other values."""
    return dataclasses.replace(run, protocol=dataclasses.replace(run.protocol, **values))


def check(teacher: Run, members: Members, seen: list[str], trials: Any = ()) -> None:
    loaded: Any = SimpleNamespace(subjects=seen, trials=trials, chosen_on=(), chosen_on_trials=())
    check_teacher(teacher, loaded, RUN, with_members(members))


@pytest.mark.parametrize("name", SHARED)
def test_teacher_of_other_work_is_refused_by_name(name):
    members = Members(("S2",), ("S3",), ("S1",))
    check(dataclasses.replace(RUN, model="lstm"), members, ["S2"])
    with pytest.raises(LeakError, match=f"a teacher of another {name}: expected") as caught:
        check(dataclasses.replace(RUN, **{name: OTHERWISE[name]}), members, ["S2"])
    assert repr(OTHERWISE[name]) in str(caught.value)


@pytest.mark.parametrize("name", [f.name for f in dataclasses.fields(Protocol)])
def test_teacher_under_another_protocol_is_refused(name):
    members = Members(("S2",), ("S3",), ("S1",))
    needed = {"mask": {"padding": "zero"}, "partitions": {"split": "subject_k_fold"}}
    values = needed.get(name, {})
    run = under(RUN, **values)
    loaded: Any = SimpleNamespace(subjects=["S2"], trials=(), chosen_on=(), chosen_on_trials=())
    check_teacher(run, loaded, run, with_members(members))
    teacher = under(run, **{name: PROTOCOLS[name]})
    with pytest.raises(LeakError, match="a teacher under another protocol: expected") as caught:
        check_teacher(teacher, loaded, run, with_members(members))
    assert f"{name}={PROTOCOLS[name]!r}" in str(caught.value)


def test_all_that_fixes_who_is_trained_on_and_what_is_shared():
    own = {
        "model",
        "signals",
        "recipe",
        "kind",
        "changed",
        "arguments",
        "code",
        "window",
        "samples",
    }
    taught = {"distiller", "distillation", "teachers", "without", "alone"}
    apart = {"protocol"}  # flags may be of the teachers, see test_flags_of_a_teacher
    apart |= {"budget", "tuned", "chosen_by", "inner"}  # neither teachers nor students are tuned
    apart |= {"members", "weights", "pretrained", "pretrained_on"}  # nor are they such rows
    apart |= {"trained", "adapter"}  # nor do they test models of others
    assert set(SHARED) == {f.name for f in dataclasses.fields(Run)} - own - taught - apart


STIMULI = {"train": frozenset("abc"), "val": frozenset("d"), "test": frozenset("ef")}


@pytest.mark.parametrize(
    ("members", "subjects", "trials", "seen"),
    [
        (Members(("S2", "S3"), ("S4",), ("S1",)), ["S2", "S3"], [], None),
        (Members(("S2", "S3"), ("S4",), ("S1",)), ["S1", "S2"], [], "S1"),
        (Members(("S2",), ("S3",), ("S1",), STIMULI), ["S2"], ["a", "b", "c"], None),
        (Members(("S2",), ("S3",), ("S1",), STIMULI), ["S2"], ["a", "e"], "e"),
        (Members(("S2",), ("S3",), ("S1",), STIMULI), ["S1"], ["a"], "S1"),
        (Members(("S1",), ("S1",), ("S1",), STIMULI), ["S1"], ["a", "c"], None),
        (Members(("S1",), ("S1",), ("S1",), STIMULI), ["S1"], ["a", "f"], "f"),
        (Members(("S1",), ("S1",), ("S1",), STIMULI), ["S1"], [], "S1"),
    ],
)
def test_teacher_that_has_seen_a_tested_subject_or_trial_is_refused(
    members, subjects, trials, seen
):
    if seen is None:
        check(RUN, members, subjects, trials)
        return
    with pytest.raises(LeakError) as caught:
        check(RUN, members, subjects, trials)
    assert f"trained on ['{seen}']" in str(caught.value)


def test_teacher_that_has_seen_a_tested_stimulus_passes_under_the_flag_about_it():
    run = under(RUN, split="subject_stimulus_k_fold", flags=("same_stimuli",))
    members = Members(("S2",), ("S3",), ("S1",), {**STIMULI, "train": frozenset("abe")}, False)
    for subjects, refused in ((["S2"], False), (["S1"], True)):
        loaded: Any = SimpleNamespace(
            subjects=subjects, trials=["a", "b", "e"], chosen_on=["S3"], chosen_on_trials=["d"]
        )
        if refused:
            with pytest.raises(LeakError, match=r"trained on \['S1'\]"):
                check_teacher(run, loaded, run, with_members(members))
        else:
            check_teacher(run, loaded, run, with_members(members))


# --- whole trials, padded and masked


SIGNALS_OF_TRIALS = {"eda": (1, 4.0), "temp": (1, 2.0)}


@dataclass(frozen=True)
class UnevenReader:
    """Trials of 8 to 20 s of noise whose spread tells the class."""

    n_subjects: int = 3

    @property
    def subjects(self) -> tuple[str, ...]:
        return tuple(f"U{number}" for number in range(self.n_subjects))

    def files(self, subject: str) -> tuple[Path, ...]:
        return ()

    def read(self, subject: str) -> Iterator[Recording]:
        rng = np.random.default_rng(self.subjects.index(subject))
        for trial, seconds in enumerate((8.0, 12.0, 20.0, 16.0)):
            signals = {
                name: Signal(
                    rng.normal(30, 1 + trial % 2, (1, round(seconds * rate))).astype(np.float32),
                    rate,
                    (name,),
                    "a.u.",
                )
                for name, (_, rate) in SIGNALS_OF_TRIALS.items()
            }
            condition = ("calm", "wild")[trial % 2]
            segment = Segment(0.0, seconds, trial, {"condition": condition})
            yield Recording(subject, "1", signals, (segment,))


UNEVEN = Dataset(
    name="uneven",
    title="Uneven",
    reader=UnevenReader,
    tasks={"mood": ConditionTask("mood", ("calm", "wild"), {"calm": 0, "wild": 1}, "made up")},
    signals=SIGNALS_OF_TRIALS,
    trial_seconds=(8.0, 20.0),
    access="Made up.",
    layout="no files",
    has_files=False,
)
"""Trials of different lengths, scored as a whole."""


@pytest.mark.parametrize("padding", ["mean", "edge"])
def test_padded_trials_with_a_mask(tmp_path, monkeypatch, captured, padding):
    monkeypatch.setitem(DATASETS, "uneven", UNEVEN)
    cache = tmp_path / "cache"
    recipes = {"dnn": {"max_epochs": 1}, "lstm": {"max_epochs": 1, "scaling": "none"}}
    pair = distillation(
        distiller="soft_targets",
        student="dnn",
        teacher="lstm",
        student_signals=["eda"],
        teacher_signals=["eda", "temp"],
    )
    suite = Suite(
        "s",
        ("uneven",),
        models=(),
        recipes=recipes,
        protocol=Protocol(padding=padding, mask=True),
        distillations=(pair,),
    )
    plan = expand(suite, {"uneven": prepare("uneven", Path("none"), cache, {}, ())})
    assert plan.not_applicable == {}
    run = next(run for run in plan.runs if run.distiller)
    assert run.board == "uneven__mood_zero_padded_masked__leave_one_subject_out"
    places = Places(Path("none"), cache, tmp_path / "runs")
    for asked in (*run.teachers, run):
        result = execute(asked, places)
        assert result.status == "done", result.traceback
    (distiller,) = captured
    own = ready(run.teachers[0], places)
    raw = own.gathered("train")[torch.arange(len(own.windows("train")))]
    teacher = load_predictor(Store(places.runs).folder(run.teachers[0]) / "model.ckpt").model
    assert LENGTH in raw.signals
    torch.testing.assert_close(
        distiller.teacher_logits, teacher(raw.signals).logits, atol=1e-4, rtol=1e-3
    )
    loaded = load_predictor(Store(places.runs).folder(run) / "model.ckpt")
    assert set(loaded.inputs) == {"eda", LENGTH}
    assert isinstance(loaded.model, L.LightningModule)


@pytest.mark.parametrize(
    ("flags", "theirs"),
    [
        ((), ()),
        (("scale_on_all",), ("scale_on_all",)),
        (("teacher_selected_on_test",), ("select_on_test",)),
        (("select_on_test", "report_best_epoch"), ()),
        (("random_windows", "teacher_selected_on_test"), ("random_windows", "select_on_test")),
    ],
)
def test_flags_of_a_teacher(flags, theirs):
    module = with_members(Members(("S2",), ("S1",), ("S1",), disjoint=False))
    honest: Any = SimpleNamespace(subjects=["S2"], trials=[], chosen_on=["S3"], chosen_on_trials=[])
    run = under(RUN, flags=flags)
    check_teacher(under(RUN, flags=theirs), honest, run, module)
    for others in ((), ("select_on_test",), ("scale_on_all",)):
        if others != theirs:
            with pytest.raises(LeakError, match="a teacher under another protocol"):
                check_teacher(under(RUN, flags=others), honest, run, module)


def test_teacher_whose_epoch_was_chosen_on_the_tested_is_refused():
    module = with_members(Members(("S2",), ("S3",), ("S1",)))
    chosen: Any = SimpleNamespace(subjects=["S2"], trials=[], chosen_on=["S1"], chosen_on_trials=[])
    with pytest.raises(LeakError, match=r"epoch of the teacher was chosen on \['S1'\], which this"):
        check_teacher(RUN, chosen, RUN, module)
    check_teacher(RUN, chosen, RUN, module, passed={"teacher"})
    teacher = under(RUN, flags=("select_on_test",))
    check_teacher(teacher, chosen, under(RUN, flags=("teacher_selected_on_test",)), module)

"""Models of one dataset on another: by hand, without whom they know, and refused where they must.

Three datasets of four people, in their publishers' files: two folds each, two models.
"""

import dataclasses
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score

from benchmark.boards.scores import scored_results
from benchmark.boards.transfer import transfer_table
from benchmark.boards.versions import by_version
from benchmark.campaign import Reporter, planned
from benchmark.execution.checkpoint import PROBE, load_predictor
from benchmark.execution.execute import execute
from benchmark.execution.places import Places
from benchmark.plan.domain import Domain
from benchmark.plan.suite import Suite
from benchmark.recordings.prepare import synthesize
from benchmark.store import Store
from datamodules.cache import read_subject
from datamodules.catalogue import DATASETS
from datamodules.protocol import Protocol
from datamodules.signals.recording import Fault, Recording
from tests.benchmark.made_up import plant

OPTIONS = {
    "stress_predict": {"scale": 0.4},
    "empatica_e4": {"minutes": 2.0},
    "wearable_stress": {"scale": 0.2},
}
EXERCISE = Domain("wearable_stress", task="exercise", test_only=True)
WINDOW = 30.0


def suite(**fields):
    values = {
        "tasks": ("stress",),
        "splits": ("subject_k_fold",),
        "models": ("lda", "cnn"),
        "recipes": {
            "lda": {"window": WINDOW},
            "cnn": {"window": WINDOW, "stride": WINDOW, "max_epochs": 1},
        },
        "recipe": "fast",
        "transfer": (Domain("found"), EXERCISE),
        "protocol": Protocol("subject_k_fold", 2),
        **fields,
    }
    return Suite("small", **values)


def plan(places, **fields):
    return planned(suite(**fields), places, Reporter())[1]


def write(data):
    for seed, (name, options) in enumerate(OPTIONS.items()):  # of one seed, people are the same
        synthesize(name, data / name, 4, seed, 2.0, options)
    return data


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    places = Places(write(root / "data"), root / "cache", root / "runs")
    runs = plan(places).runs
    results = {run: execute(run, places) for run in runs}
    return SimpleNamespace(places=places, store=Store(places.runs), runs=runs, results=results)


def transfers(world, **fields):
    """The runs that test models elsewhere, of some values of these."""
    return [
        run
        for run in world.runs
        if run.trained and all(getattr(run, name) == value for name, value in fields.items())
    ]


def test_every_pair_is_run_and_done(world):
    assert {result.error for result in world.results.values()} == {""}
    assert {result.status for result in world.results.values()} == {"done"}
    pairs = {(run.trained[0].dataset, run.dataset, run.task) for run in transfers(world)}
    names = tuple(OPTIONS)
    expected = {(one, other, "stress") for one in names for other in names if one != other}
    assert pairs == expected | {(name, "wearable_stress", "exercise") for name in names}
    assert all(
        len(run.trained) == 1 and run.fold == run.trained[0].fold for run in transfers(world)
    )


def by_hand(run, store):
    """Subject, session, trial, unit, start and probabilities of each window, by a plain loop."""
    dataset = DATASETS[run.dataset]
    predictor = load_predictor(store.folder(run.trained[0]))
    rows = {}
    for subject in run.subjects:
        reader = dataset.make_reader(store.root.parent / "data" / run.dataset)
        for item, signals, _ in read_subject(reader, dataset.preprocessing, subject):
            if isinstance(item, Fault):
                continue
            for segment in item.segments:
                label = dataset.task(run.task).label(subject, segment)
                unit = 0
                while label is not None and segment.start + (unit + 1) * dataset.unit <= (
                    segment.stop + 1e-6
                ):
                    begin = segment.start + unit * dataset.unit
                    start = begin
                    while start + WINDOW <= begin + dataset.unit + 1e-6:
                        window = {
                            name: torch.from_numpy(cut(signals[name], start))[None]
                            for name in run.signals
                        }
                        key = subject, item.session, segment.trial, unit, round(start, 6)
                        rows[key] = label, predictor.probabilities(window)[0]
                        start += run.recipe.stride
                    unit += 1
    return rows


def cut(signal, start):
    first, length = round(start * signal.sfreq), round(WINDOW * signal.sfreq)
    first = min(first, signal.samples.shape[1] - length)
    return np.ascontiguousarray(signal.samples[:, first : first + length])


@pytest.mark.parametrize("model", ["lda", "cnn"])
@pytest.mark.parametrize(
    ("home", "away"), [("wearable_stress", "empatica_e4"), ("stress_predict", "wearable_stress")]
)
def test_probabilities_are_those_of_the_kept_model_on_windows_cut_by_hand(world, model, home, away):
    runs = transfers(world, model=model, dataset=away, task="stress", fold=1)
    (run,) = [run for run in runs if run.trained[0].dataset == home]
    columns, expected = world.store.predictions(run), by_hand(run, world.store)
    names = ("subject", "session", "trial", "unit")
    keys = [
        (*row, round(float(start), 6))
        for *row, start in zip(
            *(columns[name].tolist() for name in names), columns["start"], strict=True
        )
    ]
    assert set(keys) == set(expected)
    assert len(keys) == len(expected) > 20
    assert columns["label"].tolist() == [expected[key][0] for key in keys]
    probabilities = np.stack([expected[key][1] for key in keys])
    assert np.abs(columns["probabilities"] - probabilities).max() < 1e-5


def test_scores_of_the_table_are_those_of_scikit_learn(world):
    today, _ = by_version(scored_results(world.store), world.runs)
    table = transfer_table(today)
    assert len(table) == 2 * (3 * 3 + 3)
    for line in table.to_dict("records"):
        away, _, task = line["tested_on"].partition(" ")
        runs = [
            run
            for run in world.runs
            if run.model == line["model"]
            and (run.dataset, run.task) == (away, task or "stress")
            and (run.trained[0].dataset if run.trained else run.dataset) == line["trained_on"]
        ]
        scores = {"alarms": {}, "f1": {}, "balanced": {}}
        for run in runs:
            for subject, (target, predicted) in units(world.store.predictions(run)).items():
                values = {"alarms": np.mean(predicted[target == 0] == 1)}
                if not task:
                    values["f1"] = f1_score(target, predicted, average="macro")
                    values["balanced"] = balanced_accuracy_score(target, predicted)
                for name, value in values.items():
                    scores[name].setdefault(subject, []).append(value)
        alarms, *others = (
            np.mean([np.mean(values) for values in of_score.values()])
            for of_score in scores.values()
            if of_score
        )
        assert line["false_alarms"] == pytest.approx(alarms)
        assert line["n_people"] == len(scores["alarms"]) == 4
        if task:
            assert np.isnan(line["macro_f1"])
            continue
        f1, balanced = others
        assert line["macro_f1"] == pytest.approx(f1)
        assert line["balanced_accuracy"] == pytest.approx(balanced)
        if line["trained_on"] != away:
            (inside,) = table[
                (table["model"] == line["model"])
                & (table["trained_on"] == away)
                & (table["tested_on"] == away)
            ]["macro_f1"]
            assert line["within"] == pytest.approx(inside)
            assert line["difference"] == pytest.approx(f1 - inside)


def units(columns):
    """Targets and predictions of the score units of each person."""
    probabilities, target = {}, {}
    keys = zip(*(columns[n].tolist() for n in ("subject", "session", "trial", "unit")), strict=True)
    for row, key in enumerate(keys):
        probabilities.setdefault(key, []).append(columns["probabilities"][row])
        target[key] = columns["label"][row]
    return {
        subject: (
            np.array([target[key] for key in target if key[0] == subject]),
            np.array(
                [np.mean(probabilities[k], axis=0).argmax() for k in target if k[0] == subject]
            ),
        )
        for subject in {key[0] for key in target}
    }


def test_of_its_own_dataset_a_model_is_tested_on_those_alone_whom_it_has_not_seen(world):
    runs = transfers(world, dataset="wearable_stress", task="exercise", model="lda")
    tested = {}
    for run in runs:
        known = load_predictor(world.store.folder(run.trained[0]))
        people = set(world.store.predictions(run)["subject"].tolist())
        seen = {*known.subjects, *known.chosen_on}
        if run.trained[0].dataset == run.dataset:
            assert people == set(run.subjects) - seen
            tested[run.fold] = people
        else:
            assert people == set(run.subjects)
    assert sorted(name for people in tested.values() for name in people) == sorted(runs[0].subjects)


@pytest.fixture
def planted(world, tmp_path):
    """The same world, in which a person of Stress-Predict is in the other dataset too."""
    data = tmp_path / "data"
    shutil.copytree(world.places.data, data)
    (first, *_) = transfers(world, dataset="stress_predict")[0].subjects
    shutil.copytree(data / "stress_predict" / "Raw_data" / first, data / "empatica_e4" / "guest")
    start = float((data / "empatica_e4" / "guest" / "EDA.csv").read_text().split("\n")[0])
    with (data / "empatica_e4" / "labels.csv").open("a") as file:
        file.write(f"guest,{start + 10:.0f},{start + 130:.0f},baseline\n")
        file.write(f"guest,{start + 130:.0f},{start + 260:.0f},stress\n")
    places = Places(data, tmp_path / "cache", tmp_path / "runs")
    runs = plan(places, models=("lda",), datasets=("stress_predict", "empatica_e4")).runs
    return SimpleNamespace(places=places, runs=runs, copied=first)


def test_a_person_whose_signals_the_model_has_seen_is_refused_under_any_name(planted):
    outcomes = []
    for run in planted.runs:
        result = execute(run, planted.places)
        if run.trained and run.trained[0].dataset == "stress_predict":
            known = load_predictor(Store(planted.places.runs).folder(run.trained[0]))
            seen = planted.copied in {*known.subjects, *known.chosen_on}
            outcomes.append((seen, result.status))
            if seen:
                assert "leak: " in result.error
                both = f"{planted.copied} of stress_predict and guest of empatica_e4 share"
                assert both in result.error
    assert sorted(outcomes) == [(False, "done"), (True, "failed")]


@pytest.fixture
def copied(world, tmp_path):
    """The same finished runs in a store that may be spoilt."""
    places = dataclasses.replace(world.places, runs=tmp_path / "runs")
    shutil.copytree(world.places.runs, places.runs)
    return SimpleNamespace(places=places, store=Store(places.runs))


def again(run):
    """The same work under another id, as what is done is not done again."""
    return dataclasses.replace(run, alone="0123456789ab")


def test_who_is_tested_of_its_own_dataset_follows_from_the_file_of_the_model(world, copied):
    """The model of another fold lies in the place of the one that the run names."""
    run, other = (
        next(
            r
            for r in transfers(world, dataset="wearable_stress", task="exercise", fold=fold)
            if r.model == "lda" and r.trained[0].dataset == r.dataset
        )
        for fold in (0, 1)
    )
    honest = set(world.store.predictions(run)["subject"].tolist())
    source, target = (copied.store.folder(r.trained[0]) / PROBE for r in (other, run))
    plant(target, source.read_bytes())
    known = load_predictor(source)
    result = execute(again(run), copied.places)
    assert result.status == "done", result.error
    tested = set(copied.store.predictions(again(run))["subject"].tolist())
    assert tested == set(run.subjects) - {*known.subjects, *known.chosen_on}
    assert tested != honest


def test_a_model_that_was_trained_on_others_than_its_run_says_is_refused(world, copied):
    """The model of the tested domain lies in the place of the one that is to be tested there."""
    run = next(
        r
        for r in transfers(world, dataset="empatica_e4", model="lda", fold=0)
        if r.trained[0].dataset == "stress_predict"
    )
    inside = next(
        r
        for r in world.runs
        if not r.trained and (r.dataset, r.model, r.fold) == ("empatica_e4", "lda", 0)
    )
    leaky = copied.store.folder(inside) / PROBE
    assert set(load_predictor(leaky).subjects) & set(run.subjects)
    plant(copied.store.folder(run.trained[0]) / PROBE, leaky.read_bytes())
    result = execute(again(run), copied.places)
    assert result.status == "failed"
    assert "leak: the model was trained or chosen on ['P0" in result.error
    assert "not of its run" in result.error


def test_a_model_of_another_fold_is_refused(world, tmp_path):
    run, other = transfers(world, dataset="empatica_e4", model="lda")[:2]
    mixed = dataclasses.replace(run, trained=other.trained)
    places = dataclasses.replace(world.places, runs=tmp_path / "runs")
    shutil.copytree(world.places.runs, places.runs)
    result = execute(mixed, places)
    assert result.status == "failed"
    assert "no model of the fold that is tested: its fold differs" in result.error


@pytest.fixture
def in_kilohms(world, tmp_path, monkeypatch):
    """The same world, where one dataset has resistance in place of conductance."""
    places = dataclasses.replace(world.places, runs=tmp_path / "runs", cache=tmp_path / "cache")
    shutil.copytree(world.places.runs, places.runs)
    reader = DATASETS["empatica_e4"].reader
    read = reader.read

    def changed(self, subject):
        for item in read(self, subject):
            if isinstance(item, Recording):
                eda = dataclasses.replace(item.signals["eda"], unit="kOhm")
                item = dataclasses.replace(item, signals={**item.signals, "eda": eda})
            yield item

    monkeypatch.setattr(reader, "read", changed)
    return SimpleNamespace(places=places, plan=plan(places, models=("lda",)))


def test_a_pair_of_another_unit_is_refused(in_kilohms):
    runs, reasons = in_kilohms.plan.runs, in_kilohms.plan.not_applicable
    pairs = {(run.trained[0].dataset, run.dataset) for run in runs if run.trained}
    assert pairs
    assert not any("empatica_e4" in pair for pair in pairs)
    of_pairs = [reason for board, reason in reasons.items() if "empatica_e4" in board]
    assert len(of_pairs) == 5  # two and two datasets, and the exercise of one
    assert all("eda in " in reason and "no conversion" in reason for reason in of_pairs)


def test_signals_of_another_unit_are_refused(world, in_kilohms):
    """As by a plan that does not look at units."""
    run = next(r for r in transfers(world, model="lda") if r.dataset == "empatica_e4")
    own = next(r for r in in_kilohms.plan.runs if r.dataset == "empatica_e4")
    unseen = dataclasses.replace(run, data=own.data, samples=own.samples)
    result = execute(unseen, in_kilohms.places)
    assert result.status == "failed"
    assert "expected eda with channels and unit" in result.error
    assert "kOhm" in result.error

"""uncertainty.csv: against plain loops; what is not believed, refused or not there; the cache."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from benchmark.boards import calibrated as module
from benchmark.boards.board import write_leaderboards
from benchmark.boards.calibrated import CACHE
from benchmark.boards.scores import scored_results
from benchmark.boards.statistics import LEAST_SUBJECTS
from benchmark.result import Result
from benchmark.run import Run
from benchmark.store import PREDICTIONS, VALIDATION, Store, as_npz
from datamodules.protocol import Protocol
from tests.benchmark.made_up import as_schema_1

PEOPLE = tuple(f"S{number}" for number in range(10))
UNITS, WINDOWS = 10, 3


def run(model: str, fold: int, seed: int = 0, protocol: Protocol | None = None) -> Run:
    return Run(
        "wesad", "affect", protocol or Protocol(), fold, seed, model, ("eda",), PEOPLE, "a" * 16
    )


def columns(people: list[str], seed: int, units: int = UNITS) -> dict[str, np.ndarray]:
    """Predictions of three windows a unit, too sure, in an order of no use."""
    rng = np.random.default_rng(seed)
    n = len(people) * units * WINDOWS
    label = np.concatenate(
        [np.random.default_rng(ord(name[1])).integers(0, 3, units) for name in people]
    ).repeat(WINDOWS)
    logits = 2.0 * rng.normal(0, 1.5, (n, 3))
    logits[np.arange(n), label] += 1.5
    powers = np.exp(logits)
    order = rng.permutation(n)
    table = {
        "subject": np.repeat(people, units * WINDOWS),
        "session": np.array(["1"] * n),
        "trial": np.tile(np.arange(units).repeat(WINDOWS), len(people)),
        "unit": np.zeros(n, int),
        "start": np.arange(n) * 10.0,
        "label": label,
        "probabilities": powers / powers.sum(axis=1, keepdims=True),
    }
    return {name: column[order] for name, column in table.items()}


def validated(fold: int) -> list[str]:
    return [PEOPLE[(fold + k) % len(PEOPLE)] for k in (1, 2)]


def save(
    store: Store, done: Run, validation: dict[str, np.ndarray] | None, units: int = UNITS
) -> None:
    number = 100 * done.seed + done.fold
    files = {}
    if validation is not None:
        files[VALIDATION] = store.root.parent / VALIDATION
        files[VALIDATION].write_bytes(as_npz(validation))
    result = Result(done, "done", seconds={"train": 1.0})
    store.save(result, columns([PEOPLE[done.fold]], number, units), files)


def fill(folder: Path, models: tuple[str, ...] = ("lda", "majority"), seeds=(0, 1)) -> Store:
    store = Store(folder / "runs")
    for model in models:
        for seed in seeds:
            for fold in range(len(PEOPLE)):
                save(store, run(model, fold, seed), columns(validated(fold), 50 + fold + seed))
    return store


def written(store: Store) -> pd.DataFrame:
    write_leaderboards(store, store.root.parent / "boards")
    table = pd.read_csv(store.root.parent / "boards" / "uncertainty.csv", comment="#")
    return table.set_index("model")


def head(store: Store) -> str:
    return (store.root.parent / "boards" / "uncertainty.csv").read_text()


def by_unit(table: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean probabilities and class of each unit, by a plain loop."""
    keys = list(zip(table["subject"].tolist(), table["trial"].tolist(), strict=True))
    means, target = [], []
    for key in sorted(set(keys)):
        rows = [row for row, other in enumerate(keys) if other == key]
        means.append(table["probabilities"][rows].mean(axis=0))
        target.append(table["label"][rows[0]])
    return np.array(means), np.array(target)


def measured(fold: int, seed: int) -> dict[str, float]:
    """One run, by plain loops, scipy and scikit-learn."""
    validation, true = by_unit(columns(validated(fold), 50 + fold + seed))
    tested, target = by_unit(columns([PEOPLE[fold]], 100 * seed + fold))

    def softened(said: np.ndarray, cold: float) -> np.ndarray:
        powers = said**cold
        return powers / powers.sum(axis=1, keepdims=True)

    def loss(cold: float) -> float:
        return log_loss(true, softened(validation, cold), labels=[0, 1, 2])

    cold = minimize_scalar(loss, bounds=(0.001, 20), method="bounded", options={"xatol": 1e-9}).x
    after = softened(tested, cold)
    scores = sorted(1 - p[k] for p, k in zip(softened(validation, cold), true, strict=True))
    quantile = scores[int(np.ceil(21 * 0.9)) - 1]
    sets = [[k for k in range(3) if 1 - p[k] <= quantile] for p in after]
    right = (tested.argmax(axis=1) == target).tolist()
    surest = np.argsort(-tested.max(axis=1))[:8]
    return {
        "temperature": 1 / cold,
        "log_loss": log_loss(target, tested, labels=[0, 1, 2]),
        "log_loss_calibrated": log_loss(target, after, labels=[0, 1, 2]),
        "brier_calibrated": float(((after - np.eye(3)[target]) ** 2).sum(axis=1).mean()),
        "coverage": float(np.mean([k in s for k, s in zip(target, sets, strict=True)])),
        "set_size": float(np.mean([len(s) for s in sets])),
        "single_sets": float(np.mean([len(s) == 1 for s in sets])),
        "empty_sets": float(np.mean([not s for s in sets])),
        "accuracy": float(np.mean(right)),
        "selective_accuracy": float(np.mean([right[i] for i in surest])),
    }


def test_every_column_by_plain_loops(tmp_path):
    line = written(fill(tmp_path)).loc["lda"]
    runs = {(f, s): measured(f, s) for f in range(10) for s in (0, 1)}
    people = {
        name: np.array([np.mean([runs[fold, seed][name] for seed in (0, 1)]) for fold in range(10)])
        for name in runs[0, 0]
    }
    temperatures = [values["temperature"] for values in runs.values()]
    assert line["temperature"] == pytest.approx(np.median(temperatures), abs=2e-4)
    for name in set(people) - {"temperature"}:
        assert line[name] == pytest.approx(people[name].mean(), abs=6e-5), name
    coverage = people["coverage"]
    ends = stats.t.interval(0.95, 9, coverage.mean(), stats.sem(coverage))
    assert line["coverage_low"] == pytest.approx(ends[0], abs=6e-5)
    assert line["coverage_high"] == pytest.approx(min(ends[1], 1), abs=6e-5)
    assert line["coverage_decile"] == pytest.approx(np.quantile(coverage, 0.1), abs=6e-5)
    assert line["below_nominal"] == pytest.approx((coverage < 0.9 - 1e-12).mean(), abs=6e-5)
    gains = people["selective_accuracy"] - people["accuracy"]
    ends = stats.t.interval(0.95, 9, gains.mean(), stats.sem(gains))
    assert line["selective_gain"] == pytest.approx(gains.mean(), abs=6e-5)
    assert line[["gain_low", "gain_high"]].tolist() == pytest.approx(list(ends), abs=6e-5)
    assert line[["n_subjects", "n_validation", "n_validation_units"]].tolist() == [10, 2, 20]


def test_rows_are_those_of_the_board_blind_probes_among_them(tmp_path):
    store = fill(tmp_path, seeds=(0,))
    (board,) = write_leaderboards(store, tmp_path / "boards")
    table = written(store)
    assert table.index.tolist() == board.table["model"].tolist()
    assert "majority" in table.index
    assert table["coverage"].notna().all()
    assert "measured, and not promised" in head(store)


def test_few_people_have_no_interval(tmp_path):
    people = PEOPLE[: LEAST_SUBJECTS - 1]
    store = Store(tmp_path / "runs")
    for fold in range(len(people)):
        done = dataclasses.replace(run("lda", fold), subjects=people)
        save(store, done, columns([people[fold - 1]], fold))
    line = written(store).loc["lda"]
    assert line["coverage"] == line["coverage"]
    assert line[["coverage_low", "coverage_high", "gain_low", "gain_high"]].isna().all()


def test_a_tested_person_among_the_validation_people_is_refused(tmp_path):
    """The leak that pays: the units that are tested choose temperature and threshold."""
    store = fill(tmp_path, ("majority",), (0,))
    for fold in range(len(PEOPLE)):
        people = validated(fold) if fold != 3 else ["S3", *validated(fold)]
        save(store, run("lda", fold), columns(people, fold))
    line = written(store).loc["lda"]
    assert line["note"] == "REFUSED, a leak: S3 calibrated and tested (1 of 10 runs)"
    assert line.drop(["board", "signals", "recipe", "complete", "note"]).isna().all()
    (said,) = [line for line in head(store).splitlines() if "# REFUSED" in line]
    assert said.endswith("lda: REFUSED, a leak: S3 calibrated and tested (1 of 10 runs)")
    assert written(store).loc["lda", "note"] == line["note"]  # from the cache as well
    assert written(store).loc["majority", "coverage"] > 0


@pytest.mark.parametrize("how", ["changed", "gone", "of another run"])
def test_a_file_that_changed_is_not_believed(tmp_path, how, caplog):
    store = fill(tmp_path, seeds=(0,))
    before = written(store)
    path = store.folder(run("lda", 2)) / VALIDATION
    if how == "changed":
        path.write_bytes(as_npz(columns(validated(2), 7)))
    elif how == "gone":
        path.unlink()
    else:
        path.write_bytes((store.folder(run("lda", 3)) / VALIDATION).read_bytes())
    after = written(store)
    assert after.loc["lda", "note"].startswith(f"{VALIDATION} is not the file that was committed")
    assert "(1 of 10 runs)" in after.loc["lda", "note"]
    assert np.isnan(after.loc["lda", "coverage"])
    assert f"not calibrated: {path}" in caplog.text or how == "gone"
    pd.testing.assert_series_equal(before.loc["majority"], after.loc["majority"])
    (store.root / CACHE).unlink()
    pd.testing.assert_frame_equal(written(store), after)
    (board,) = write_leaderboards(store, tmp_path / "boards")
    assert board.table["complete"].all()  # what is scored is as it was


def test_old_results_without_the_file_are_believed_and_say_so(tmp_path):
    store = fill(tmp_path, ("majority",), (0,))
    for fold in range(len(PEOPLE)):
        save(store, run("lda", fold), None if fold > 3 else columns(validated(fold), fold))
    line = written(store).loc["lda"]
    assert line["note"] == f"no {VALIDATION}: an earlier version kept none (6 of 10 runs)"
    assert line["complete"]
    assert np.isnan(line["temperature"])
    folder = store.folder(run("lda", 5))
    (folder / VALIDATION).write_bytes(as_npz(columns(["S5"], 0)))  # which was never committed
    pd.testing.assert_series_equal(written(store).loc["lda"], line)
    for path in store.root.rglob("result.json"):  # and those of the first schema
        path.write_text(json.dumps(as_schema_1(json.loads(path.read_text()))))
    table = written(store)
    assert table["note"].str.contains("(10 of 10 runs)", regex=False).all()


@pytest.mark.parametrize(
    ("protocol", "reason"),
    [
        (Protocol(validation=False), "no people are kept apart to choose the epoch"),
        (Protocol("trial_k_fold", 2), "validation trials are of the people who are tested"),
    ],
)
def test_protocols_without_validation_people_say_so(tmp_path, protocol, reason):
    store = Store(tmp_path / "runs")
    done = dataclasses.replace(run("lda", 0), protocol=protocol)
    save(store, done, None)
    for result in module.calibrated_results(scored_results(store), store).values():
        assert result.reason == reason


def test_too_few_units_have_sets_of_all_classes(tmp_path):
    store = Store(tmp_path / "runs")
    for fold in range(len(PEOPLE)):
        few = columns([PEOPLE[fold - 1]], fold, 8 if fold else 9)
        save(store, run("lda", fold), few)
    line = written(store).loc["lda"]
    assert line["note"] == (
        "sets of all classes, as validation units are fewer than 9 (9 of 10 runs)"
    )
    assert line["set_size"] > 2.5
    assert line["coverage"] > 0.95


def test_an_incomplete_row_is_no_claim(tmp_path):
    store = Store(tmp_path / "runs")
    for fold in range(len(PEOPLE)):
        save(store, run("majority", fold), columns(validated(fold), fold))
        if fold:
            save(store, run("lda", fold), columns(validated(fold), fold))
    table = written(store)
    assert table.loc["lda", "note"] == "lacks 1 of 10 scores"
    assert table["coverage"].notna().to_dict() == {"majority": True, "lda": False}


def test_files_are_read_once(tmp_path, monkeypatch):
    store = fill(tmp_path, seeds=(0,))
    first, reads, original = written(store), [], Store.read

    def read(self, folder, result, name):
        reads.append(name)
        return original(self, folder, result, name)

    monkeypatch.setattr(Store, "read", read)
    before = (store.root / CACHE).stat().st_mtime_ns
    pd.testing.assert_frame_equal(written(store), first)
    assert reads == [PREDICTIONS] * 20  # which scores hash each time
    assert (store.root / CACHE).stat().st_mtime_ns == before
    path = store.folder(run("lda", 2)) / VALIDATION
    os.utime(path, ns=(1, 1))
    reads.clear()
    pd.testing.assert_frame_equal(written(store), first)
    assert reads.count(VALIDATION) == 1


def test_other_code_or_a_spoilt_cache_is_computed_anew(tmp_path, monkeypatch):
    store = fill(tmp_path, seeds=(0,))
    first, calls, original = written(store), [], module.calibrate
    monkeypatch.setattr(module, "calibrate", lambda *two: calls.append(two) or original(*two))
    assert len(calls) == 0
    path = store.root / CACHE
    path.write_text(path.read_text().replace('"coverage": 0', '"coverage": 1', 1))
    pd.testing.assert_frame_equal(written(store), first)
    assert len(calls) == 20
    monkeypatch.setattr(module, "code_digest", lambda *_: "other")
    pd.testing.assert_frame_equal(written(store), first)
    assert len(calls) == 40


def test_folds_that_test_one_person_count_by_their_units(tmp_path):
    """Two groups of people by two of films: each person is tested by two runs."""
    people, protocol = PEOPLE[:4], Protocol("subject_stimulus_k_fold", 2, stimulus_folds=2)
    cells = {0: people[2:], 1: people[2:], 2: people[:2], 3: people[:2]}
    store = Store(tmp_path / "runs")
    expected: dict[str, list[tuple[float, int]]] = {person: [] for person in people}
    for fold, tested in cells.items():
        done = Run("deap", "valence", protocol, fold, 0, "lda", ("eda",), people, "a" * 16)
        others = [person for person in people if person not in tested][:1]
        validation = store.root.parent / VALIDATION
        validation.write_bytes(as_npz(columns(others, fold)))
        table = columns(list(tested), 90 + fold, 3 + 2 * (fold % 2))
        table["trial"] = table["trial"] + 100 * fold
        store.save(Result(done, "done", seconds={"train": 1.0}), table, {VALIDATION: validation})
        for person in tested:
            means, target = by_unit({n: c[table["subject"] == person] for n, c in table.items()})
            right = means.argmax(axis=1) == target
            expected[person].append((float(right.mean()), len(right)))
    line = written(store).loc["lda"]
    of_people = [
        sum(value * n for value, n in pairs) / sum(n for _, n in pairs)
        for pairs in expected.values()
    ]
    assert line["accuracy"] == pytest.approx(np.mean(of_people), abs=6e-5)
    assert line["n_subjects"] == 4

"""One board, computed again from the predictions by other means: numpy, SciPy, scikit-learn.

Nothing of ``benchmark.boards`` is used but the CSV that it wrote.
"""

import json
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    matthews_corrcoef,
)

from benchmark.boards.board import write_leaderboards
from benchmark.result import Result
from benchmark.store import Store
from tests.benchmark.made_up import make_run

SUBJECTS = tuple(f"S{number}" for number in range(9))
SKILL = {"cnn": 2.0, "lstm": 1.7, "lda": 0.8, "random_forest": 0.5, "time": 0.6, "majority": 0.0}
UNITS, WINDOWS, SEEDS = 12, 3, (0, 1)
SCORES = {
    "macro_f1": lambda truth, p: f1_score(truth, p.argmax(axis=1), average="macro"),
    "balanced_accuracy": lambda truth, p: balanced_accuracy_score(truth, p.argmax(axis=1)),
    "mcc": lambda truth, p: matthews_corrcoef(truth, p.argmax(axis=1)),
    "accuracy": lambda truth, p: accuracy_score(truth, p.argmax(axis=1)),
    "brier": lambda truth, p: 2 * brier_score_loss(truth, p[:, 1]),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A store of leave-one-subject-out runs with made-up predictions, and its leaderboards."""
    folder = tmp_path_factory.mktemp("recomputed")
    rng, store = np.random.default_rng(0), Store(folder / "runs")
    labels = rng.integers(0, 2, (len(SUBJECTS), UNITS))
    labels[:, :2] = (0, 1)
    ease = rng.normal(0, 0.5, len(SUBJECTS))
    for model, seed, fold in product(SKILL, SEEDS, range(len(SUBJECTS))):
        target = np.repeat(labels[fold], WINDOWS)
        signal = SKILL[model] and (SKILL[model] + ease[fold]) * (2 * target - 1)
        noise = rng.normal(0, 2, len(target)) * (SKILL[model] > 0)
        p = 1 / (1 + np.exp(-(signal + noise)))
        columns = {
            "subject": np.full(len(target), SUBJECTS[fold]),
            "session": np.full(len(target), "1"),
            "trial": np.repeat(np.arange(UNITS), WINDOWS),
            "unit": np.zeros(len(target), dtype=np.int64),
            "start": np.arange(len(target)) * 20.0,
            "label": target,
            "probabilities": np.stack([1 - p, p], axis=1).astype(np.float32),
        }
        run = make_run(
            dataset="wesad",
            task="stress",
            fold=fold,
            seed=seed,
            model=model,
            signals=("eda",),
            subjects=SUBJECTS,
            data="a" * 16,
        )
        store.save(Result(run, "done", seconds={"train": 1.0}), columns, {})
    write_leaderboards(store, folder / "boards")
    return folder / "runs", folder / "boards"


@pytest.fixture(scope="module")
def units(folders: tuple[Path, Path]) -> pd.DataFrame:
    """Label and probability of every score unit: windows averaged."""
    tables = []
    for path in folders[0].rglob("predictions.npz"):
        run = json.loads((path.parent / "result.json").read_text())["run"]
        with np.load(path) as file:
            windows = pd.DataFrame(
                {name: file[name] for name in ("subject", "trial", "unit", "label")}
            )
            windows["p"] = file["probabilities"][:, 1].astype(float)
        grouped = windows.groupby(["subject", "trial", "unit"]).mean().reset_index()
        tables.append(grouped.assign(model=run["model"], seed=run["seed"]))
    return pd.concat(tables)


@pytest.fixture(scope="module")
def by_subject(units: pd.DataFrame) -> pd.DataFrame:
    """Scores of every subject, averaged over seeds."""
    lines = []
    for (model, _, subject), table in units.groupby(["model", "seed", "subject"]):
        truth = table["label"].to_numpy().astype(int)
        p = np.stack([1 - table["p"], table["p"]], axis=1)
        line = {name: score(truth, p) for name, score in SCORES.items()}
        lines.append({"model": model, "subject": subject, **line})
    return pd.DataFrame(lines).groupby(["model", "subject"]).mean().reset_index()


@pytest.fixture(scope="module")
def board(folders: tuple[Path, Path]) -> pd.DataFrame:
    (path,) = folders[1].glob("wesad*.csv")
    return pd.read_csv(path, comment="#").set_index("model")


def test_scores(board, by_subject):
    assert set(board.index) == set(SKILL)
    for model, table in by_subject.groupby("model"):
        for name in SCORES:
            assert board.loc[model, name] == pytest.approx(table[name].mean(), abs=6e-5)
        decile = np.quantile(table["macro_f1"], 0.1)
        assert board.loc[model, "worst_decile"] == pytest.approx(decile, abs=6e-5)
        for name, prefix in (("macro_f1", "ci"), ("balanced_accuracy", "balanced")):
            values = table[name]
            error = stats.sem(values)
            low, high = values.mean(), values.mean()
            if error:
                low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), error)
            assert board.loc[model, f"{prefix}_low"] == pytest.approx(max(0, low), abs=6e-5)
            assert board.loc[model, f"{prefix}_high"] == pytest.approx(min(1, high), abs=6e-5)


def test_pooled_scores(board, units):
    for model, table in units.groupby("model"):
        of_seeds = [
            f1_score(seed["label"], seed["p"] > 0.5, average="macro")
            for _, seed in table.groupby("seed")
        ]
        assert board.loc[model, "pooled_macro_f1"] == pytest.approx(np.mean(of_seeds), abs=6e-5)


def corrected(scores: dict[str, np.ndarray]) -> dict[frozenset[str], float]:
    """Step-down p-values of all pairs over all 512 exchanges, one at a time."""
    pairs = list(combinations(scores, 2))
    signs = list(product((1, -1), repeat=len(SUBJECTS)))
    sizes = {
        pair: [abs(np.mean((scores[pair[0]] - scores[pair[1]]) * one)) for one in signs]
        for pair in pairs
    }
    left = sorted(pairs, key=lambda pair: -sizes[pair][0])
    p, before = {}, 0.0
    while left:
        pair = left[0]
        largest = [max(sizes[other][place] for other in left) for place in range(len(signs))]
        before = max(before, float(np.mean([value >= sizes[pair][0] - 1e-7 for value in largest])))
        p[frozenset(pair)] = before
        left = left[1:]
    return p


def test_ranks_and_claims(board, by_subject):
    scores = {
        model: table.sort_values("subject")["macro_f1"].to_numpy()
        for model, table in by_subject.groupby("model")
        if model not in ("time", "majority")
    }
    means = {model: values.mean() for model, values in scores.items()}
    p = corrected(scores)
    apart = 0
    for model in scores:
        surely = [o for o in scores if o != model and p[frozenset((model, o))] <= 0.05]
        better = sum(means[other] > means[model] for other in surely)
        worse = sum(means[other] < means[model] for other in surely)
        assert board.loc[model, "rank_low"] == 1 + better
        assert board.loc[model, "rank_high"] == len(scores) - worse
        apart += len(surely)
    assert 0 < apart < len(scores) * (len(scores) - 1)
    for model in ("cnn", "lstm"):
        both = [p[frozenset((model, name))] for name in ("lda", "random_forest")]
        assert board.loc[model, "p_simple"] == pytest.approx(max(both), abs=6e-5)
        lead = means[model] - max(means["lda"], means["random_forest"])
        assert board.loc[model, "delta_simple"] == pytest.approx(lead, abs=6e-5)
    assert (
        board.loc[["time", "majority"], ["rank_low", "rank_high", "p_simple"]].isna().all(axis=None)
    )
    constant = by_subject.set_index(["model", "subject"]).loc["majority", "macro_f1"]
    delta = means["cnn"] - constant.mean()
    assert board.loc["cnn", "delta_majority"] == pytest.approx(delta, abs=6e-5)


def test_subjects_above_chance(board, units):
    for model, table in units.groupby("model"):
        count = 0
        for _, of_subject in table.groupby("subject"):
            p = [
                stats.fisher_exact(
                    pd.crosstab(seed["label"] > 0.5, seed["p"] > 0.5)
                    .reindex(index=[False, True], columns=[False, True], fill_value=0)
                    .to_numpy(),
                    alternative="greater",
                ).pvalue
                for _, seed in of_subject.groupby("seed")
            ]
            count += np.median(p) <= 0.05
        assert board.loc[model, "subjects_above_chance"] == count

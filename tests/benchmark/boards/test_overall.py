"""Average ranks over boards: by hand, against scipy's Friedman test and published tables."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from benchmark.boards.overall import overall_ranks
from benchmark.boards.statistics import critical_difference
from benchmark.scored import Scored
from lightning_modules.metrics import SCORES
from tests.benchmark.made_up import cohorts_of, make_run

SUBJECTS = ("S1", "S2", "S3")
NAMES = ("wesad", "deap", "amigos", "pmemo", "seed_v")


def results(dataset: str, scores: dict[str, float], **fields) -> list[Scored]:
    found = []
    for model, score in scores.items():
        for fold, subject in enumerate(SUBJECTS):
            values = {"task": "stress", **fields}
            run = make_run(
                dataset=dataset, fold=fold, seed=0, model=model, signals=("eda",),
                subjects=SUBJECTS, data="a" * 16, **values,
            )  # fmt: skip
            found.append(Scored(run, "done", scores={subject: dict.fromkeys(SCORES, score)}))
    return found


def ranks(found: list[Scored]):
    head, table = overall_ranks(cohorts_of(found))
    return " ".join(head), table


def test_ranks_by_hand():
    found = results("wesad", {"cnn": 0.9, "lstm": 0.8, "lda": 0.8, "dnn": 0.1})
    found += results("deap", {"cnn": 0.5, "lstm": 0.6, "lda": 0.7, "dnn": 0.4})
    head, table = ranks(found)
    assert table["model"].tolist() == ["lda", "cnn", "lstm", "dnn"]
    assert table["average_rank"].tolist() == [1.75, 2.0, 2.25, 4.0]
    assert table["wesad__stress__leave_one_subject_out"].tolist() == [2.5, 1.0, 2.5, 4.0]
    assert "no test over datasets: 2 of the 5" in head
    assert "Friedman" not in head


def test_dataset_counts_once_however_many_boards_it_has():
    found = []
    for task in ("stress", "affect", "valence"):
        found += results("wesad", {"cnn": 0.9, "lda": 0.8}, task=task)
    found += results("deap", {"cnn": 0.4, "lda": 0.5})
    _, table = ranks(found)
    assert table["average_rank"].tolist() == [1.5, 1.5]
    assert table["n_boards"].tolist() == [4, 4]
    assert table["model"].tolist() == ["cnn", "lda"]


def test_only_who_is_complete_everywhere_is_ranked():
    found = results("wesad", {"cnn": 0.9, "lstm": 0.8, "lda": 0.7, "dnn": 0.95})
    found += results("deap", {"cnn": 0.9, "lstm": 0.8, "lda": 0.7})
    short = results("deap", {"lstm": 0.8})[1:]
    found = [r for r in found if (r.run.dataset, r.run.model) != ("deap", "lstm")] + short
    other = results("wesad", {"lda": 0.75})
    found += [dataclasses.replace(r, run=dataclasses.replace(r.run, signals=())) for r in other]
    _, table = ranks(found)
    notes = table.set_index("model")["note"]
    assert table["model"].tolist() == ["cnn", "dnn", "lda", "lstm"]
    assert table["average_rank"].tolist()[0] == 1.0
    assert table["average_rank"].isna().tolist() == [False, True, True, True]
    assert notes["dnn"] == "not ranked: not on deap__stress__leave_one_subject_out"
    assert notes["lstm"] == "not ranked: incomplete on deap__stress__leave_one_subject_out"
    assert notes["lda"] == "not ranked: 2 rows on wesad__stress__leave_one_subject_out"


def test_probes_that_should_lose_take_no_rank_from_others():
    found = results("wesad", {"time": 0.95, "cnn": 0.9, "lda": 0.8, "motion": 0.85})
    found += results("deap", {"time": 0.9, "cnn": 0.7, "lda": 0.8, "motion": 0.75})
    head, table = ranks(found)
    by_model = table.set_index("model")
    assert by_model.loc[["cnn", "lda"], "average_rank"].tolist() == [1.5, 1.5]
    assert by_model.loc[["motion", "time"], "average_rank"].isna().all()
    assert set(by_model.loc[["motion", "time"], "note"]) == {"not ranked: should lose"}
    assert set(by_model["n_boards"]) == {2}
    assert "probes that should lose are not" in head


def test_within_subject_and_older_boards_do_not_take_part():
    found = results("wesad", {"cnn": 0.9, "lda": 0.8})
    found += results("wesad", {"cnn": 0.1, "lda": 0.8}, version=0)
    within = results("deap", {"cnn": 0.1, "lda": 0.8}, split="trial_k_fold")
    head, table = ranks(found + within)
    assert table["model"].tolist() == ["cnn", "lda"]
    assert [name for name in table if "__" in name] == ["wesad__stress__leave_one_subject_out"]
    assert "1 board(s)" in head


def test_five_datasets_are_tested():
    rng = np.random.default_rng(0)
    scores = rng.random((5, 4)) + np.array([0.0, 0.1, 0.5, 0.7])
    models = ("cnn", "lstm", "lda", "dnn")
    found = []
    for dataset, row in zip(NAMES, scores / 2, strict=True):
        found += results(dataset, dict(zip(models, row.tolist(), strict=True)))
    head, table = ranks(found)
    expected = stats.friedmanchisquare(*scores.T)
    assert f"chi-squared {expected.statistic:.4f}, p {expected.pvalue:.4g}" in head
    assert f"{critical_difference(4, 5):.4f} or more apart" in head
    average = dict(zip(models, stats.rankdata(-scores, axis=1).mean(axis=0), strict=True))
    assert table.set_index("model")["average_rank"].to_dict() == pytest.approx(average)
    assert ("not bear out" in head) == (expected.pvalue >= 0.05)


def test_two_models_are_not_tested():
    found = []
    for dataset in NAMES:
        found += results(dataset, {"cnn": 0.5, "lda": 0.4})
    assert "2 ranked model(s), it takes 3" in ranks(found)[0]


def test_nothing_at_all():
    head, table = ranks([])
    assert len(table) == 0
    assert "0 board(s)" in head


@pytest.mark.parametrize(
    ("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (7, 2.949), (10, 3.164)]
)
def test_critical_difference_from_the_published_table(k, q):
    # Demšar 2006, table 5 (a), alpha 0.05
    assert critical_difference(k, 14) == pytest.approx(q * np.sqrt(k * (k + 1) / 84), abs=1e-3)

"""Robustness: drops by hand, of results that never ran."""

import dataclasses

import numpy as np
import pytest

from benchmark.boards.board import write_leaderboards
from benchmark.boards.robustness import COLUMNS, robustness_table
from benchmark.boards.statistics import holm
from benchmark.plan.trained import test_of as again_of
from benchmark.scored import Scored
from tests.benchmark.made_up import make_run

SUBJECTS = ("S1", "S2", "S3")
PLAIN, OFF, GONE = (0.8, 0.7, 0.9), (0.6, 0.7, 0.5), (0.3, 0.3, 0.3)


def trained(model, fold, seed=0, **fields):
    values = {
        "dataset": "synthetic",
        "task": "stress",
        "signals": ("eda", "bvp"),
        "subjects": SUBJECTS,
        "data": "a" * 16,
        **fields,
    }
    return make_run(fold=fold, seed=seed, model=model, **values)


def on(corruption, run):
    protocol = dataclasses.replace(run.protocol, corruption=corruption)
    return again_of(run, protocol) if corruption else run


def scored(model, scores, corruption="", seed=0, **fields):
    """A result a fold."""
    return [
        Scored(
            on(corruption, trained(model, fold, seed, **fields)),
            "done",
            scores={SUBJECTS[fold]: {"macro_f1": score}},
        )
        for fold, score in enumerate(scores)
    ]


def test_a_drop_by_hand():
    table = robustness_table([*scored("lda", PLAIN), *scored("lda", OFF, "eda_detached")])
    (line,) = table.to_dict("records")
    assert list(table) == list(COLUMNS)
    assert line["board"] == trained("lda", 0).board
    assert (line["corruption"], line["model"], line["signals"]) == (
        "eda_detached",
        "lda",
        "eda+bvp",
    )
    assert (line["undisturbed"], line["disturbed"]) == pytest.approx((0.8, 0.6))
    assert line["drop"] == pytest.approx(0.2)
    # 0.2, 0, 0.4: sums of 0.6 and more, either way, come in 4 of 8 flips
    assert line["p"] == line["p_holm"] == 4 / 8
    assert (line["lower"], line["higher"]) == (2, 0)
    assert line["worst_decile"] == pytest.approx(np.quantile(OFF, 0.1))
    assert line["worst_decile_undisturbed"] == pytest.approx(np.quantile(PLAIN, 0.1))
    assert (line["n_subjects"], line["n_seeds"], line["n_missing"]) == (3, 1, 0)


def test_seeds_are_averaged_within_a_subject():
    other = (0.4, 0.7, 0.5)
    table = robustness_table(
        [
            *(scored("lda", PLAIN) + scored("lda", PLAIN, seed=1)),
            *(scored("lda", OFF, "eda_detached") + scored("lda", other, "eda_detached", seed=1)),
        ]
    )
    (line,) = table.to_dict("records")
    assert line["n_seeds"] == 2
    assert line["disturbed"] == pytest.approx(np.mean([(0.6 + 0.4) / 2, 0.7, 0.5]))


def test_the_family_is_a_board_with_all_of_its_corruptions():
    results = [
        *(scored("lda", PLAIN) + scored("cnn", PLAIN)),
        *scored("lda", OFF, "eda_detached"),
        *scored("cnn", GONE, "eda_detached"),
        *scored("lda", GONE, "missing_eda"),
    ]
    table = robustness_table(results)
    assert table["corruption"].tolist() == ["missing_eda", "eda_detached", "eda_detached"]
    assert table["p_holm"].tolist() == holm(table["p"].tolist())
    assert table["p"].tolist() == [0.25, 0.25, 0.5]  # cnn, then lda


def test_what_is_not_done_both_ways_is_missing_and_claims_nothing():
    plain, off = scored("lda", PLAIN), scored("lda", OFF, "eda_detached")
    off[2] = Scored(off[2].run, "failed", error="ValueError: no")
    (line,) = robustness_table([*plain, *off]).to_dict("records")
    assert (line["n_subjects"], line["n_missing"]) == (2, 1)
    assert line["undisturbed"] == pytest.approx(0.75)  # of the same two people
    assert np.isnan(line["p_holm"])


def test_a_taught_student_stands_beside_its_teacher():
    def taught(fold):
        alone, teacher = trained("dnn", fold, signals=("eda",)), trained("lstm", fold)
        return dataclasses.replace(
            alone, distiller="soft_targets", alone=alone.id, teachers=(teacher,)
        )

    def of_student(scores, corruption=""):
        return [
            Scored(
                on(corruption, taught(fold)),
                "done",
                scores={SUBJECTS[fold]: {"macro_f1": score}},
            )
            for fold, score in enumerate(scores)
        ]

    results = [*of_student(PLAIN), *of_student(OFF, "eda_detached")]
    (line,) = robustness_table(results).to_dict("records")
    assert line["teacher"] == "lstm eda+bvp"
    assert np.isnan(line["teacher_drop"])  # it was not tested
    results += [*scored("lstm", PLAIN), *scored("lstm", GONE, "eda_detached")]
    table = robustness_table(results).set_index("model")
    line = table.loc["dnn-by_soft_targets-of_lstm"]
    assert line["teacher_disturbed"] == pytest.approx(0.3)
    assert line["teacher_drop"] == pytest.approx(table.loc["lstm", "drop"]) == pytest.approx(0.5)
    assert table["teacher"].isna().tolist() == [False, True]


def test_disturbed_recordings_are_in_no_other_table(workshop, tmp_path):
    runs = workshop.plan(["lda", "majority"], corruptions=("eda_detached",))
    store = workshop.do(runs, tmp_path / "runs")
    boards = write_leaderboards(store, tmp_path / "boards")
    assert [board.name for board in boards] == [runs[0].board]
    texts = {path.name: path.read_text() for path in (tmp_path / "boards").rglob("*.csv")}
    assert [name for name, text in texts.items() if "eda_detached" in text] == ["robustness.csv"]
    lines = texts["robustness.csv"].splitlines()
    assert len([line for line in lines if not line.startswith("#")]) == 2
    plain = workshop.do([run for run in runs if not run.trained], tmp_path / "plain")
    write_leaderboards(plain, tmp_path / "boards")
    assert not (tmp_path / "boards" / "robustness.csv").exists()

"""Distillation board: gains by hand, of results that never ran."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmark.boards.distillation import COLUMNS, gains_table
from benchmark.run import Run
from benchmark.scored import Scored
from benchmark.upgrade import CONTROLS
from lightning_modules.catalogue import DISTILLERS
from lightning_modules.recipe import Recipe
from tests.benchmark.made_up import make_run

SUBJECTS = ("S1", "S2", "S3")
COST = {"dnn": (10, 100, 0.5), "lstm": (30, 900, 2.0)}
"""Parameters, multiply-accumulates and milliseconds."""


def run(model: str, fold: int, seed: int = 0, **fields: Any) -> Run:
    values = {
        "dataset": "synthetic",
        "task": "stress",
        "signals": ("eda",),
        "subjects": SUBJECTS,
        "data": "a" * 16,
        **fields,
    }
    return make_run(fold=fold, seed=seed, model=model, **values)


def taught(distiller: str, fold: int, seed: int = 0, **fields: Any) -> Run:
    """A dnn that learns from an lstm with another signal, unless the distiller has no teacher."""
    alone = run("dnn", fold, seed)
    if distiller in ("soft_targets", "features", "shuffled_teacher", "uncertainty_weighted"):
        fields = {"teachers": (run("lstm", fold, seed, signals=("eda", "bvp")),), **fields}
    return dataclasses.replace(alone, distiller=distiller, alone=alone.id, **fields)


def done(asked: Run, macro_f1: float) -> Scored:
    parameters, macs, latency = COST[asked.model]
    folds = asked.protocol.folds if asked.protocol.splitting.within_subject else 1
    return Scored(
        asked,
        "done",
        control=asked.distiller in CONTROLS,
        scores={SUBJECTS[asked.fold // folds]: {"macro_f1": macro_f1}},
        parameters=parameters,
        efficiency={"macs": macs, "latency_ms": latency, "cpu_latency_ms": latency},
    )


def failed(asked: Run) -> Scored:
    return Scored(asked, "failed", error="ValueError: no")


def scored(make: Any, name: str, by_seed: dict[int, tuple[float, ...]], **fields: Any) -> list:
    """A result a fold and seed."""
    return [
        done(make(name, fold, seed, **fields), value)
        for seed, values in by_seed.items()
        for fold, value in enumerate(values)
    ]


def table(*results: list[Scored]) -> pd.DataFrame:
    return gains_table({"board": [result for some in results for result in some]})


def only(*results: list[Scored]) -> dict[str, Any]:
    (line,) = table(*results).to_dict("records")
    return line


ALONE = scored(run, "dnn", {0: (0.5, 0.6, 0.7)})
TEACHERS = scored(run, "lstm", {0: (0.9, 0.8, 0.7)}, signals=("eda", "bvp"))
TAUGHT = scored(taught, "soft_targets", {0: (0.6, 0.8, 0.6)})


def test_gain_by_hand():
    line = only(ALONE, TEACHERS, TAUGHT)
    assert line["gain"] == pytest.approx(0.2 / 3)
    assert np.isnan([line["gain_low"], line["gain_high"]]).all()  # of three subjects
    assert (line["alone"], line["distilled"]) == pytest.approx((0.6, 2 / 3))
    assert line["teacher_macro_f1"] == pytest.approx(0.8)
    # 0.1, 0.2, -0.1: sums of 0.2 and more, either way, come in 6 of 8 flips
    assert line["p"] == line["p_holm"] == 6 / 8
    assert (line["won"], line["lost"]) == (2, 1)
    assert (line["n_subjects"], line["n_seeds"], line["n_missing"]) == (3, 1, 0)
    assert (line["student"], line["student_signals"]) == ("dnn", "eda")
    assert (line["distiller"], line["control"]) == ("soft_targets", False)
    assert (line["teacher"], line["teacher_signals"]) == ("lstm", "eda+bvp")
    assert (line["board"], line["recipe"], line["out_of_fold"]) == ("board", "published", 0)
    for who, model in (("student", "dnn"), ("teacher", "lstm")):
        found = tuple(line[f"{who}_{what}"] for what in ("parameters", "macs", "latency_ms"))
        assert found == COST[model]


def test_columns_are_always_the_same():
    assert list(table(ALONE, TEACHERS, TAUGHT)) == list(table(ALONE)) == list(COLUMNS)
    assert table(ALONE).empty
    assert gains_table({}).empty


def test_seeds_are_averaged_within_a_subject():
    alone = scored(run, "dnn", {0: (0.5, 0.5, 0.5), 4: (0.7, 0.5, 0.3)})
    better = scored(taught, "soft_targets", {0: (0.5, 0.7, 0.5), 4: (0.9, 0.7, 0.3)})
    line = only(alone, better)
    assert (line["n_subjects"], line["n_seeds"], line["n_missing"]) == (3, 2, 0)
    assert line["gain"] == pytest.approx(np.mean([0.1, 0.2, 0.0]))
    assert line["p"] == 0.5  # two subjects differ, both for the better
    assert (line["won"], line["lost"]) == (2, 0)


def test_folds_that_test_one_subject_are_averaged_too():
    alone, better = [], []
    scores = [(0.2, 0.1), (0.4, 0.3), (0.5, 0.0), (0.5, 0.0), (0.6, 0.0), (0.8, 0.1)]
    for fold, (score, gain) in enumerate(scores):
        asked = run("dnn", fold, split="trial_k_fold", folds=2)
        alone.append(done(asked, score))
        again = dataclasses.replace(asked, distiller="label_smoothing", alone=asked.id)
        better.append(done(again, score + gain))
    line = only(alone, better)
    assert (line["n_subjects"], line["n_missing"]) == (3, 0)
    assert line["alone"] == pytest.approx(0.5)
    assert line["gain"] == pytest.approx(np.mean([0.2, 0.0, 0.05]))


def test_pairs_are_compared_on_as_many_units():
    pooled = {"S1": {"macro_f1": 0.9}}
    asked = [run("dnn", fold, split="trial_k_fold", folds=2) for fold in range(4)]
    alone = [done(one, 0.2) for one in asked]
    better = [
        done(dataclasses.replace(one, distiller="label_smoothing", alone=one.id), 0.3)
        for one in asked
    ]
    values = {"pooled": pooled, "n_pooled": {"S1": 8}}
    alone[:2] = [dataclasses.replace(result, **values) for result in alone[:2]]
    better[:1] = [dataclasses.replace(better[0], **{**values, "n_pooled": {"S1": 4}})]
    line = only(alone, better)
    assert (line["n_subjects"], line["n_missing"]) == (1, 4)
    better[:2] = [dataclasses.replace(result, **values) for result in better[:2]]
    line = only(alone, better)
    assert (line["n_subjects"], line["n_missing"]) == (2, 2)
    assert line["distilled"] == pytest.approx(np.mean([0.9, 0.3]))


def test_claims_of_a_board_are_corrected_together_and_controls_not():
    features = scored(taught, "features", {0: (0.6, 0.7, 0.8)})
    results = [*ALONE, *TEACHERS, *TAUGHT, *features]
    for control in CONTROLS:
        results += scored(taught, control, {0: (0.6, 0.7, 0.8)})
    found = gains_table({"one": results, "other": [*ALONE, *features]})
    one = found[found["board"] == "one"].set_index("distiller")
    # p of three wins out of three is 2/8, of soft targets 6/8
    assert one.loc["features", "p"] == 0.25
    assert one.loc["features", "p_holm"] == 0.5
    assert one.loc["soft_targets", "p_holm"] == 0.75
    assert one.loc[list(CONTROLS), "p"].tolist() == [0.25] * len(CONTROLS)
    assert one.loc[list(CONTROLS), "p_holm"].isna().all()
    other = found[found["board"] == "other"]
    assert other["p_holm"].tolist() == [0.25]


def test_controls_are_distillers_that_say_so():
    named = [name for name, kind in DISTILLERS.items() if kind.control]
    assert sorted(named) == sorted(CONTROLS)


def test_best_gain_first_and_controls_last():
    results = [*ALONE, *TEACHERS]
    results += scored(taught, "soft_targets", {0: (0.5, 0.6, 0.6)})
    results += scored(taught, "features", {0: (0.6, 0.7, 0.8)})
    results += scored(taught, "more_epochs", {0: (0.9, 0.9, 0.9)})
    results += scored(taught, "label_smoothing", {0: (0.5, 0.6, 0.7)})
    expected = ["features", "soft_targets", "more_epochs", "label_smoothing"]
    assert table(results)["distiller"].tolist() == expected
    pd.testing.assert_frame_equal(table(results), table(results[::-1]))


def without_fold(results: list[Scored], fold: int) -> list[Scored]:
    return [result for result in results if result.run.fold != fold]


@pytest.mark.parametrize(
    ("alone", "better"),
    [
        (without_fold(ALONE, 0), TAUGHT),
        (ALONE, without_fold(TAUGHT, 0)),
        ([failed(ALONE[0].run), *ALONE[1:]], TAUGHT),
        (ALONE, [failed(TAUGHT[0].run), *TAUGHT[1:]]),
    ],
    ids=["no student alone", "no taught one", "student alone failed", "taught one failed"],
)
def test_missing_counterparts_are_counted_and_nothing_takes_their_place(alone, better):
    line = only(alone, TEACHERS, better)
    assert (line["n_missing"], line["n_subjects"]) == (1, 2)
    assert (line["alone"], line["distilled"]) == pytest.approx((0.65, 0.7))
    assert line["gain"] == pytest.approx(0.05)
    assert line["teacher_macro_f1"] == pytest.approx(0.75)  # of the same two subjects
    assert (line["won"], line["lost"]) == (1, 1)


def test_seed_that_lacks_a_counterpart_leaves_the_other_one():
    alone = scored(run, "dnn", {0: (0.5, 0.6, 0.7), 1: (0.1, 0.1, 0.1)})
    better = scored(taught, "soft_targets", {0: (0.6, 0.8, 0.6)})
    better.append(done(taught("soft_targets", 0, 1), 0.2))
    line = only(alone, better)
    assert (line["n_seeds"], line["n_missing"], line["n_subjects"]) == (2, 2, 3)
    assert line["alone"] == pytest.approx(np.mean([0.3, 0.6, 0.7]))
    assert line["distilled"] == pytest.approx(np.mean([0.4, 0.8, 0.6]))


def test_nothing_to_compare():
    line = only([failed(result.run) for result in TAUGHT], TEACHERS)
    assert (line["n_missing"], line["n_subjects"]) == (3, 0)
    assert np.isnan([line["gain"], line["alone"], line["p"], line["p_holm"]]).all()
    assert pd.isna(line["student_parameters"])
    assert pd.isna(line["won"])


def test_one_subject_has_a_gain_and_no_interval():
    line = only(ALONE[:1], TAUGHT[:1], TEACHERS[:1])
    assert (line["n_subjects"], line["n_missing"]) == (1, 2)
    assert (line["gain"], line["p"]) == pytest.approx((0.1, 1.0))
    assert np.isnan([line["gain_low"], line["gain_high"]]).all()


def test_without_a_teacher():
    line = only(ALONE, scored(taught, "label_smoothing", {0: (0.6, 0.6, 0.7)}))
    assert (line["control"], line["teacher"], line["teacher_signals"]) == (True, "none", "")
    assert np.isnan(line["teacher_macro_f1"])
    assert pd.isna(line["teacher_macs"])
    assert line["gain"] == pytest.approx(0.1 / 3)


def test_student_that_is_its_own_teacher():
    better = [
        done(taught("self_distillation", fold, teachers=(run("dnn", fold),)), 0.9)
        for fold in range(3)
    ]
    line = only(ALONE, better)
    assert (line["teacher"], line["teacher_signals"]) == ("dnn", "eda")
    assert line["teacher_macro_f1"] == line["alone"] == pytest.approx(0.6)


def out_of_fold(fold: int) -> tuple[Run, ...]:
    rest = [subject for subject in SUBJECTS if subject != SUBJECTS[fold]]
    return tuple(run("lstm", fold, signals=("eda", "bvp"), without=(name,)) for name in rest)


def test_out_of_fold_teachers_are_averaged_and_have_a_line_of_their_own():
    teachers = [
        done(teacher, value)
        for fold, values in enumerate([(0.2, 0.4), (0.5, 0.5), (0.9, 0.6)])
        for teacher, value in zip(out_of_fold(fold), values, strict=True)
    ]
    better = [
        done(taught("soft_targets", fold, teachers=out_of_fold(fold)), 0.8) for fold in range(3)
    ]
    found = table(ALONE, TEACHERS, TAUGHT, teachers, better).set_index("out_of_fold")
    assert found.loc[2, "teacher_macro_f1"] == pytest.approx(np.mean([0.3, 0.5, 0.75]))
    assert found.loc[2, "gain"] == pytest.approx(0.2)
    assert found.loc[0, "teacher_macro_f1"] == pytest.approx(0.8)
    assert found.loc[0, "gain"] == pytest.approx(0.2 / 3)
    assert found["teacher"].tolist() == ["lstm", "lstm"]


@pytest.mark.parametrize(
    "change",
    [
        {"signals": ("eda", "temp")},
        {"recipe": Recipe("a paper", lr=0.1)},
        {"arguments": (("layers", "study_1"),)},
        {"model": "dnn"},
    ],
    ids=repr,
)
def test_other_teachers_have_a_line_of_their_own(change):
    others = [dataclasses.replace(result.run, **change) for result in TEACHERS]
    better = [
        done(taught("soft_targets", fold, teachers=(other,)), 0.7)
        for fold, other in enumerate(others)
    ]
    found = table(ALONE, TEACHERS, TAUGHT, better, [done(other, 0.5) for other in others])
    assert sorted(found["teacher_macro_f1"]) == pytest.approx([0.5, 0.8])
    assert found["n_missing"].tolist() == [0, 0]


def test_other_arguments_have_a_line_of_their_own():
    hotter = scored(taught, "soft_targets", {0: (0.9, 0.9, 0.9)}, distillation=(("soft", 0.5),))
    found = table(ALONE, TEACHERS, TAUGHT, hotter).set_index("recipe")
    assert set(found.index) == {"published", "published soft=0.5"}
    assert found.loc["published soft=0.5", "gain"] == pytest.approx(0.3)


def test_results_from_before_costs_were_measured():
    old = [dataclasses.replace(result, efficiency={}) for result in (*ALONE, *TEACHERS)]
    line = only(old, TAUGHT)
    assert line["teacher_parameters"] == 30
    assert pd.isna(line["teacher_macs"])
    assert line["student_macs"] == 100
